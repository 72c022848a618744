/* A part of a message goes where it is to go, no more of it than is allowed, and when it cannot go
 * there the messages after it still come; a connection that fails or is late is told. */
#define _XOPEN_SOURCE 700
#include "temporary.h"
#include "wires.h"

enum { MOST = 1 << 16 };

static uint8_t buffer[DL_RECEIVER_LEAST];

/* Two fragments of ten bytes, then another message. */
static dl_bytes two_messages(void) {
    dl_bytes stream = {0};
    put_pdu(&stream, 6 + 10);
    put_fragment(&stream, 1, 0, "0123456789", 10);
    put_pdu(&stream, 6 + 10);
    put_fragment(&stream, 1, DL_FRAGMENT_LAST, "abcdefghij", 10);
    put_pdu(&stream, 6 + 4);
    put_fragment(&stream, 3, DL_FRAGMENT_COMMAND | DL_FRAGMENT_LAST, "next", 4);
    return stream;
}

static dl_status go_to_fragment(dl_receiver *receiver, dl_arrival *arrival, dl_error *error) {
    return dl_receive_fragment(receiver, dl_monotonic_seconds(), arrival, error);
}

static void check_next(dl_receiver *receiver) {
    dl_arrival arrival;
    dl_error error;
    dl_bytes part = {0};
    dl_sink sink = {.memory = &part, .descriptor = -1, .most = 4};
    CHECK(go_to_fragment(receiver, &arrival, &error) == DL_OK && arrival == DL_ARRIVED_FRAGMENT);
    CHECK(receiver->context_id == 3);
    CHECK(dl_receive_part(receiver, &sink, &error) == DL_OK && bytes_equal(&part, "next", 4));
    dl_bytes_free(&part);
}

static void open_at_fragment(dl_receiver *receiver, const dl_wire *wire) {
    dl_arrival arrival;
    dl_error error;
    dl_receiver_open(receiver, wire, buffer, sizeof buffer, MOST, 10);
    CHECK(go_to_fragment(receiver, &arrival, &error) == DL_OK && arrival == DL_ARRIVED_FRAGMENT);
}

/* Whatever the limit and however the bytes come: no byte more is kept, and the rest can be thrown
 * away. */
static void limits(void) {
    dl_bytes stream = two_messages();
    for (uint64_t most = 0; most <= 21; most++) {
        for (size_t step = 0; step < 5; step++) {
            bringing b = {.data = stream.data, .size = stream.length, .step = step};
            dl_wire wire = {.context = &b, .receive = bring};
            dl_receiver receiver;
            dl_error error;
            dl_bytes part = {0};
            dl_sink sink = {.memory = &part, .descriptor = -1, .most = most};
            open_at_fragment(&receiver, &wire);
            dl_status status = dl_receive_part(&receiver, &sink, &error);
            CHECK(status == (most < 20 ? DL_ERR_LIMIT : DL_OK) && part.length <= most);
            dl_sink nowhere = {.descriptor = -1, .most = 20};
            if (status != DL_OK) CHECK(dl_receive_part(&receiver, &nowhere, &error) == DL_OK);
            CHECK(sink.size + nowhere.size == 20);
            check_next(&receiver);
            dl_bytes_free(&part);
        }
    }
    dl_bytes_free(&stream);
}

static void check_file(int descriptor, const char *text) {
    char found[64] = "";
    dl_source source;
    size_t size = 0;
    dl_error error;
    dl_source_descriptor(&source, descriptor);
    CHECK(source.read_at(source.context, 0, found, sizeof found - 1, &size, &error) == DL_OK);
    CHECK(size == strlen(text) && strcmp(found, text) == 0);
}

/* To a file, from where it stands; a descriptor that cannot be written costs no message. */
static void descriptors(void) {
    dl_bytes stream = two_messages();
    int file = temporary_file(), read_only = open_device(NULL_DEVICE, false);
    int full = open_device("/dev/full", true);
    CHECK(read_only >= 0 && dl_descriptor_write(file, "head ", 5) == 0);
    const struct {
        int descriptor, before, os_error;
    } cases[] = {{file, 0, 0},
                 {file, EIO, EIO}, /* it failed before: nothing is written with a hole */
                 {read_only, 0, EBADF},
                 {-1, 0, 0},
                 {full, 0, ENOSPC}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (i == 4 && full < 0) continue; /* a system without such a device */
        bringing b = {.data = stream.data, .size = stream.length, .step = 7};
        dl_wire wire = {.context = &b, .receive = bring};
        dl_receiver receiver;
        dl_error error;
        dl_sink sink = {.descriptor = cases[i].descriptor, .os_error = cases[i].before, .most = 20};
        open_at_fragment(&receiver, &wire);
        CHECK(dl_receive_part(&receiver, &sink, &error) == DL_OK);
        CHECK_CASE(sink.os_error == cases[i].os_error, "case %zu: %d", i, sink.os_error);
        CHECK(sink.size == 20);
        check_next(&receiver);
    }
    check_file(file, "head 0123456789abcdefghij");
    close_descriptor(file);
    close_descriptor(read_only);
    if (full >= 0) close_descriptor(full);
    dl_bytes_free(&stream);
}

/* A wire that fails at every byte: where nothing has begun, being late is no failure. */
static void failures(void) {
    static const int REASONS[] = {ETIMEDOUT, ECONNRESET};
    dl_bytes stream = two_messages();
    for (size_t size = 0; size < 44; size++) {
        for (size_t i = 0; i < COUNT_OF(REASONS); i++) {
            bringing b = {.data = stream.data, .size = size, .os_error = REASONS[i]};
            dl_wire wire = {.context = &b, .receive = bring};
            dl_receiver receiver;
            dl_arrival arrival;
            dl_error error = {0};
            dl_sink sink = {.descriptor = -1, .most = 100};
            dl_receiver_open(&receiver, &wire, buffer, sizeof buffer, MOST, 10);
            dl_status status = go_to_fragment(&receiver, &arrival, &error);
            if (size == 0 && REASONS[i] == ETIMEDOUT) {
                CHECK(status == DL_OK && arrival == DL_ARRIVED_NOTHING);
                continue;
            }
            CHECK((status == DL_OK) == (size >= 12));
            if (status == DL_OK) status = dl_receive_part(&receiver, &sink, &error);
            CHECK(status == DL_ERR_IO && error.os_error == REASONS[i]);
        }
    }
    dl_bytes_free(&stream);
}

static dl_status bring_late(void *context, void *into, size_t room, double deadline, size_t *count,
                            dl_error *error) {
    double until = dl_monotonic_seconds() + 0.002; /* no sleep that all systems have is so short */
    while (dl_monotonic_seconds() < until) continue;
    return bring(context, into, room, deadline, count, error);
}

/* A peer whose every PDU is in time has to get on with its message, too. */
static void pace(void) {
    static const uint8_t MANY[2 * DL_RECEIVER_PACE];
    const struct {
        size_t size;
        dl_status status;
    } cases[] = {{1, DL_ERR_IO}, {100, DL_ERR_IO}, {sizeof MANY, DL_OK}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dl_bytes stream = {0};
        for (int number = 0; number < 5; number++) {
            put_pdu(&stream, 6 + (uint32_t)cases[i].size);
            put_fragment(&stream, 1, number < 4 ? 0 : DL_FRAGMENT_LAST, MANY, cases[i].size);
        }
        bringing b = {.data = stream.data, .size = stream.length, .step = cases[i].size + 12};
        dl_wire wire = {.context = &b, .receive = bring_late};
        dl_receiver receiver;
        dl_arrival arrival;
        dl_error error = {0};
        dl_sink sink = {.descriptor = -1, .most = MOST};
        dl_receiver_open(&receiver, &wire, buffer, sizeof buffer, MOST, 0.001);
        CHECK(go_to_fragment(&receiver, &arrival, &error) == DL_OK);
        CHECK(dl_receive_part(&receiver, &sink, &error) == cases[i].status);
        if (cases[i].status == DL_ERR_IO) CHECK(error.os_error == ETIMEDOUT);
        dl_bytes_free(&stream);
    }
}

/* What breaks the contract is said, and changes nothing. */
static void contracts(void) {
    dl_bytes stream = two_messages();
    bringing b = {.data = stream.data, .size = stream.length};
    dl_wire wire = {.context = &b, .receive = bring};
    dl_receiver receiver;
    dl_arrival arrival;
    dl_error error;
    dl_sink sink = {.descriptor = -1, .most = 100};
    open_at_fragment(&receiver, &wire);
    CHECK(go_to_fragment(&receiver, &arrival, &error) == DL_ERR_ARGUMENT);
    static const uint8_t MANY[DL_RECEIVER_LEAST];
    CHECK(dl_receiver_put(&receiver, MANY, sizeof MANY, &error) == DL_ERR_ARGUMENT);
    CHECK(dl_receive_part(&receiver, &sink, &error) == DL_OK && sink.size == 20);
    check_next(&receiver);
    dl_bytes_free(&stream);
}

int main(void) {
    limits();
    descriptors();
    failures();
    pace();
    contracts();
    return 0;
}
