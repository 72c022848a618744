/* A socket gives and takes what there is, waits no longer than it may, and ends a wait when it is
 * asked to. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static dl_status count_down(void *context, dl_error *error) {
    int *left = context;
    return --*left ? DL_OK : dl_fail(error, DL_ERR_STOPPED, 0, "enough");
}

static void pair(int ends[2]) { CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0); }

static void gives_what_there_is(void) {
    int ends[2];
    char got[16];
    size_t count = 99;
    dl_error error;
    pair(ends);
    dl_socket one = {.descriptor = ends[0]}, other = {.descriptor = ends[1]};
    CHECK(dl_socket_receive(&one, got, sizeof got, 0, &count, &error) == DL_ERR_IO);
    CHECK(error.os_error == ETIMEDOUT && count == 0);
    CHECK(dl_socket_send(&other, "abc", 3, 0, &count, &error) == DL_OK && count == 3);
    CHECK(dl_socket_receive(&one, got, 2, 0, &count, &error) == DL_OK && count == 2);
    CHECK(memcmp(got, "ab", 2) == 0);
    (void)close(ends[1]);
    CHECK(dl_socket_receive(&one, got, sizeof got, 0, &count, &error) == DL_OK && count == 1);
    CHECK(dl_socket_receive(&one, got, sizeof got, 0, &count, &error) == DL_OK && count == 0);
    /* No SIGPIPE, which would end this program. */
    CHECK(dl_socket_send(&one, "abc", 3, 0, &count, &error) == DL_ERR_IO && count == 0);
    CHECK(error.os_error == EPIPE);
    (void)close(ends[0]);
}

/* Nobody reads: sooner or later there is no room. */
static void takes_what_has_room(void) {
    static uint8_t data[1 << 16];
    int ends[2];
    size_t count = 0;
    dl_error error;
    pair(ends);
    dl_socket one = {.descriptor = ends[0]};
    dl_status status;
    do {
        status = dl_socket_send(&one, data, sizeof data, 0, &count, &error);
    } while (status == DL_OK);
    CHECK(status == DL_ERR_IO && error.os_error == ETIMEDOUT);
    int left = 1;
    one.waiting = count_down;
    one.context = &left;
    double soon = dl_monotonic_seconds() + 60;
    CHECK(dl_socket_send(&one, data, sizeof data, soon, &count, &error) == DL_ERR_STOPPED);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void is_asked_while_it_waits(void) {
    int ends[2], left = 2;
    char got[16];
    size_t count;
    dl_error error;
    pair(ends);
    dl_socket one = {.descriptor = ends[0], .waiting = count_down, .context = &left};
    double soon = dl_monotonic_seconds() + 60;
    CHECK(dl_socket_receive(&one, got, sizeof got, soon, &count, &error) == DL_ERR_STOPPED);
    CHECK(left == 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
    CHECK(dl_socket_receive(&one, got, sizeof got, soon, &count, &error) == DL_ERR_IO);
    CHECK(error.os_error == EBADF);
}

int main(void) {
    gives_what_there_is();
    takes_what_has_room();
    is_asked_while_it_waits();
    return 0;
}
