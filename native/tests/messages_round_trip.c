/* A message that is sent is the message that is received, in PDUs no larger than the peer takes;
 * and a wire or a file that fails in the middle is told. */
#define _XOPEN_SOURCE 700
#include "temporary.h"
#include "wires.h"

enum { CAPACITY = DL_SENDER_LEAST, LARGEST = 3 * CAPACITY };

static uint8_t bytes[LARGEST], outgoing[CAPACITY];
static meaning m;

typedef struct route {
    uint32_t most;
    size_t step;
    bool from_file;
} route;

static int file_of(const uint8_t *data, size_t size) {
    int descriptor = temporary_file();
    CHECK(dl_descriptor_write(descriptor, data, size) == 0);
    return descriptor;
}

/* One part of what was sent: `size` bytes, and a NUL where that is odd. */
static size_t check_sent(const uint8_t *sent, size_t first, const uint8_t *data, size_t size,
                         int kind, uint32_t most) {
    size_t at = 0, i = first, padded = size + size % 2;
    for (;; i++) {
        CHECK(i < m.count);
        const fragment *f = &m.fragments[i];
        CHECK(f->context_id == 5 && (f->control & DL_FRAGMENT_COMMAND) == kind);
        CHECK(f->size + 6 <= most && (f->size % 2 == 0 || most == 7) && padded - at >= f->size);
        for (size_t k = 0; k < f->size; k++, at++)
            CHECK(sent[f->offset + k] == (at < size ? data[at] : 0));
        if (f->control & DL_FRAGMENT_LAST) break;
        CHECK(f->size > 0);
    }
    CHECK(at == padded);
    return i + 1;
}

static void round_trip(size_t command_size, size_t size, route r) {
    taking t = {.step = r.step};
    dl_wire wire = {.context = &t, .send = take};
    dl_error error;
    int descriptor = r.from_file ? file_of(bytes, 100 + size) : -1;
    dl_message message = {.command = bytes + 1,
                          .command_size = command_size,
                          .data = r.from_file ? NULL : bytes + 100,
                          .descriptor = descriptor,
                          .start = 100,
                          .size = size,
                          .most = r.most,
                          .context_id = 5};
    CHECK(dl_send_message(&wire, &message, outgoing, CAPACITY, 10, &error) == DL_OK);
    understand(&m, t.taken.data, t.taken.length, r.most);
    CHECK(m.status == DL_OK && m.arrival == DL_ARRIVED_END);
    size_t next = check_sent(t.taken.data, 0, bytes + 1, command_size, DL_FRAGMENT_COMMAND, r.most);
    CHECK(check_sent(t.taken.data, next, bytes + 100, size, 0, r.most) == m.count);
    if (r.from_file) close_descriptor(descriptor);
    dl_bytes_free(&t.taken);
}

static void all_sizes(void) {
    static const uint32_t MOST[] = {7, 8, 9, 10, 13, 20, 64};
    for (size_t i = 0; i < COUNT_OF(MOST); i++)
        for (size_t size = 0; size < 70; size++)
            for (int from_file = 0; from_file < 2; from_file++)
                round_trip(size % 9, size, (route){MOST[i], i, from_file});
}

/* Around one and two PDUs, and one and two buffers. */
static void boundaries(void) {
    static const uint32_t MOST[] = {1024,     CAPACITY - 7, CAPACITY - 6, CAPACITY - 5,
                                    CAPACITY, CAPACITY + 1, 1 << 17,      UINT32_MAX};
    for (size_t i = 0; i < COUNT_OF(MOST); i++) {
        size_t room = MOST[i] < CAPACITY - 6 ? MOST[i] - 6 : CAPACITY - 12;
        for (size_t many = 1; many <= 2; many++)
            for (size_t size = many * room - 15; size <= many * room + 15; size++)
                round_trip(94, size, (route){MOST[i], size % 3 * 100, size % 4 == 0});
    }
}

static void parts_alone(void) {
    taking t = {0};
    dl_wire wire = {.context = &t, .send = take};
    dl_error error;
    dl_message message = {.descriptor = -1, .most = 100, .context_id = 5};
    CHECK(dl_send_message(&wire, &message, outgoing, CAPACITY, 10, &error) == DL_OK);
    CHECK(t.taken.length == 0);
    message.data = bytes;
    message.size = 10;
    CHECK(dl_send_message(&wire, &message, outgoing, CAPACITY, 10, &error) == DL_OK);
    understand(&m, t.taken.data, t.taken.length, 100);
    CHECK(check_sent(t.taken.data, 0, bytes, 10, 0, 100) == 1 && m.count == 1);
    dl_bytes_free(&t.taken);
}

/* A wire that fails at every byte of three fragments. */
static void failures(void) {
    for (size_t most = 0; most < 3 * 12 + 20 + 30; most++) {
        taking t = {.step = 1, .most = most, .os_error = most % 2 ? EPIPE : ETIMEDOUT};
        dl_wire wire = {.context = &t, .send = take};
        dl_error error;
        dl_message message = {.command = bytes,
                              .command_size = 20,
                              .data = bytes,
                              .descriptor = -1,
                              .size = 30,
                              .most = 26,
                              .context_id = 5};
        dl_status status = dl_send_message(&wire, &message, outgoing, CAPACITY, 10, &error);
        CHECK(status == DL_ERR_IO && error.os_error == t.os_error && t.taken.length == most);
        dl_bytes_free(&t.taken);
    }
}

/* A file that ends too soon, one that cannot be read, no room. */
static void unreadable(void) {
    taking t = {0};
    dl_wire wire = {.context = &t, .send = take};
    dl_error error;
    dl_message message = {.most = 100, .context_id = 5, .start = 100};
    message.descriptor = file_of(bytes, 200);
    for (message.size = 99; message.size < 103; message.size++) {
        dl_status status = dl_send_message(&wire, &message, outgoing, CAPACITY, 10, &error);
        CHECK(status == (message.size <= 100 ? DL_OK : DL_ERR_TRUNCATED));
    }
    close_descriptor(message.descriptor);
    CHECK(dl_send_message(&wire, &message, outgoing, CAPACITY, 10, &error) == DL_ERR_TRUNCATED);
    CHECK(strstr(error.message, "cannot read the file: "));
    CHECK(dl_send_message(&wire, &message, outgoing, CAPACITY, 10, NULL) == DL_ERR_TRUNCATED);
    CHECK(dl_send_message(&wire, &message, outgoing, CAPACITY - 1, 10, &error) == DL_ERR_ARGUMENT);
    message.most = 6;
    CHECK(dl_send_message(&wire, &message, outgoing, CAPACITY, 10, &error) == DL_ERR_ARGUMENT);
    dl_bytes_free(&t.taken);
}

int main(void) {
    uint64_t random = 3;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)random_next(&random);
    all_sizes();
    boundaries();
    parts_alone();
    failures();
    unreadable();
    return 0;
}
