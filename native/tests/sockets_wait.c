/* A socket gives and takes what there is, waits no longer than it may, and ends a wait when it is
 * asked to. */
#include <errno.h>

#include "check.h"
#include "socket_pair.h"

static dl_status count_down(void *context, dl_error *error) {
    int *left = context;
    return --*left ? DL_OK : dl_fail(error, DL_ERR_STOPPED, 0, "enough");
}

static void gives_what_there_is(void) {
    socket_end ends[2];
    char got[16];
    size_t count = 99;
    dl_error error;
    socket_pair(ends);
    dl_socket one = {.descriptor = (intptr_t)ends[0]}, other = {.descriptor = (intptr_t)ends[1]};
    CHECK(dl_socket_receive(&one, got, sizeof got, 0, &count, &error) == DL_ERR_IO);
    CHECK(error.os_error == ETIMEDOUT && count == 0);
    CHECK(dl_socket_send(&other, "abc", 3, 0, &count, &error) == DL_OK && count == 3);
    CHECK(dl_socket_receive(&one, got, 2, 0, &count, &error) == DL_OK && count == 2);
    CHECK(memcmp(got, "ab", 2) == 0);
    close_socket(ends[1]);
    CHECK(dl_socket_receive(&one, got, sizeof got, 0, &count, &error) == DL_OK && count == 1);
    CHECK(dl_socket_receive(&one, got, sizeof got, 0, &count, &error) == DL_OK && count == 0);
    /* No SIGPIPE, which would end this program. */
    dl_status status;
    do { /* over TCP it takes a while until the other end says that it is gone */
        status = dl_socket_send(&one, "abc", 3, dl_monotonic_seconds() + 60, &count, &error);
    } while (status == DL_OK);
    CHECK(status == DL_ERR_IO && count == 0);
    CHECK(error.os_error == EPIPE || error.os_error == ECONNRESET ||
          error.os_error == ECONNABORTED);
    close_socket(ends[0]);
}

/* Nobody reads: sooner or later there is no room. */
static void takes_what_has_room(void) {
    static uint8_t data[1 << 16];
    socket_end ends[2];
    size_t count = 0;
    dl_error error;
    socket_pair(ends);
    dl_socket one = {.descriptor = (intptr_t)ends[0]};
    dl_status status;
    do {
        status = dl_socket_send(&one, data, sizeof data, 0, &count, &error);
    } while (status == DL_OK);
    CHECK(status == DL_ERR_IO && error.os_error == ETIMEDOUT);
    int left;
    one.waiting = count_down;
    one.context = &left;
    do { /* TCP may find more room meanwhile */
        left = 1;
        double soon = dl_monotonic_seconds() + 60;
        status = dl_socket_send(&one, data, sizeof data, soon, &count, &error);
    } while (status == DL_OK);
    CHECK(status == DL_ERR_STOPPED);
    close_socket(ends[0]);
    close_socket(ends[1]);
}

static void is_asked_while_it_waits(void) {
    socket_end ends[2];
    int left = 2;
    char got[16];
    size_t count;
    dl_error error;
    socket_pair(ends);
    dl_socket one = {.descriptor = (intptr_t)ends[0], .waiting = count_down, .context = &left};
    double soon = dl_monotonic_seconds() + 60;
    CHECK(dl_socket_receive(&one, got, sizeof got, soon, &count, &error) == DL_ERR_STOPPED);
    CHECK(left == 0);
    close_socket(ends[0]);
    close_socket(ends[1]);
    CHECK(dl_socket_receive(&one, got, sizeof got, soon, &count, &error) == DL_ERR_IO);
    CHECK(error.os_error == EBADF);
}

int main(void) {
    gives_what_there_is();
    takes_what_has_room();
    is_asked_while_it_waits();
    return 0;
}
