/* Fragments are the same whatever way a connection cuts its bytes, and what lies is told: each
 * stream here is received in many ways, and held against what its bytes are. */
#include "wires.h"

enum { MOST = 1 << 16, CAPACITY = DL_RECEIVER_LEAST };

static meaning m;

static void receive_as(const uint8_t *data, size_t ahead, bringing b) {
    static uint8_t buffer[CAPACITY];
    dl_wire wire = {.context = &b, .receive = bring};
    dl_receiver receiver;
    dl_receiver_open(&receiver, &wire, buffer, sizeof buffer, MOST, 10);
    dl_error error;
    CHECK(dl_receiver_put(&receiver, data, ahead, &error) == DL_OK);
    check_received(&m, data, &receiver);
}

/* Whole, by single bytes, in two pieces cut everywhere, in random pieces, and with the first bytes
 * already at hand. */
static void receive_in_all_ways(const dl_bytes *stream) {
    const uint8_t *data = stream->length ? stream->data : (const uint8_t *)"";
    size_t size = stream->length;
    understand(&m, data, size, MOST);
    for (size_t step = 0; step < 14; step++)
        receive_as(data, 0, (bringing){.data = data, .size = size, .step = step});
    for (uint64_t seed = 1; seed < 20; seed++)
        receive_as(data, 0, (bringing){.data = data, .size = size, .step = 40, .random = seed});
    for (size_t cut = 0; cut <= size && cut <= CAPACITY; cut += size < 200 ? 1 : 61) {
        bringing rest = {.data = data + cut, .size = size - cut};
        receive_as(data, cut, rest);
        rest.step = 1;
        receive_as(data, cut, rest);
    }
}

/* The stream, and what is left of it when it ends at every byte. */
static void receive_cut_off(dl_bytes *stream) {
    receive_in_all_ways(stream);
    size_t whole = stream->length;
    for (size_t size = 0; size < whole; size++) {
        stream->length = size;
        receive_in_all_ways(stream);
    }
    dl_bytes_free(stream);
}

static void usual_message(dl_bytes *s) {
    put_pdu(s, 6 + 8);
    put_fragment(s, 1, DL_FRAGMENT_COMMAND | DL_FRAGMENT_LAST, "command.", 8);
    put_pdu(s, 6 + 6);
    put_fragment(s, 1, 0, "abcdef", 6);
    put_pdu(s, 6 + 2);
    put_fragment(s, 1, DL_FRAGMENT_LAST, "gh", 2);
}

static void several_fragments_in_a_pdu(dl_bytes *s) {
    put_pdu(s, 4 * 6 + 7);
    put_fragment(s, 3, DL_FRAGMENT_COMMAND, "com", 3);
    put_fragment(s, 3, DL_FRAGMENT_COMMAND | DL_FRAGMENT_LAST, "ma", 2);
    put_fragment(s, 3, 0, "", 0);
    put_fragment(s, 3, DL_FRAGMENT_LAST, "nd", 2);
    usual_message(s);
}

static void empty_fragments(dl_bytes *s) {
    put_pdu(s, 6);
    put_fragment(s, 255, DL_FRAGMENT_COMMAND | DL_FRAGMENT_LAST, "", 0);
    for (int i = 0; i < 3; i++) {
        put_pdu(s, 6);
        put_fragment(s, 255, i == 2 ? DL_FRAGMENT_LAST : 0, "", 0);
    }
}

/* The message control header has six bits that PS3.8 E.2 leaves unused. */
static void unused_bits(dl_bytes *s) {
    put_pdu(s, 6 + 2);
    put_fragment(s, 1, 0xFD, "ab", 2);
    put_pdu(s, 6 + 2);
    put_fragment(s, 1, 0xFF, "cd", 2);
}

static void another_context(dl_bytes *s) {
    put_pdu(s, 6 + 2);
    put_fragment(s, 1, 0, "ab", 2);
    put_pdu(s, 6 + 2);
    put_fragment(s, 3, DL_FRAGMENT_LAST, "cd", 2);
}

static void another_kind(dl_bytes *s) {
    put_pdu(s, 2 * 6 + 4);
    put_fragment(s, 1, DL_FRAGMENT_COMMAND, "ab", 2);
    put_fragment(s, 1, DL_FRAGMENT_LAST, "cd", 2);
}

static void another_pdu_between(dl_bytes *s) {
    usual_message(s);
    CHECK(dl_bytes_append(s, "\x05\0\0\0\0\x04\0\0\0\0", 10) == DL_OK);
}

static void abort_within(dl_bytes *s) {
    put_pdu(s, 6 + 2);
    put_fragment(s, 1, 0, "ab", 2);
    CHECK(dl_bytes_append(s, "\x07\0\0\0\0\x04\0\0\0\0", 10) == DL_OK);
}

static void well_formed(void) {
    void (*const makers[])(dl_bytes *) = {
        usual_message, several_fragments_in_a_pdu, empty_fragments, unused_bits, another_context,
        another_kind,  another_pdu_between,        abort_within};
    for (size_t i = 0; i < COUNT_OF(makers); i++) {
        dl_bytes stream = {0};
        makers[i](&stream);
        receive_cut_off(&stream);
    }
}

/* Lengths of a PDU, and of a presentation data value in it; the bytes behind go on for long. */
static void lengths_that_lie(void) {
    static const struct {
        uint32_t pdu, value;
        dl_status expected;
    } LIES[] = {{0, 8, DL_ERR_CORRUPT},           {1, 8, DL_ERR_CORRUPT},
                {5, 8, DL_ERR_CORRUPT},           {6, 0, DL_ERR_CORRUPT},
                {6, 1, DL_ERR_CORRUPT},           {12, 9, DL_ERR_CORRUPT},
                {12, 0xFFFFFFFF, DL_ERR_CORRUPT}, {12, 0x80000008, DL_ERR_CORRUPT},
                {15, 8, DL_ERR_CORRUPT}, /* three bytes that are no fragment */
                {MOST + 1, 8, DL_ERR_LIMIT},      {0xFFFFFFFF, 8, DL_ERR_LIMIT}};
    for (size_t i = 0; i < COUNT_OF(LIES); i++) {
        dl_bytes stream = {0};
        put_pdu(&stream, LIES[i].pdu);
        put_u32(&stream, LIES[i].value);
        CHECK(dl_bytes_append(&stream, "\x01\x02 any bytes, which are no fragment header", 40) ==
              DL_OK);
        understand(&m, stream.data, stream.length, MOST);
        CHECK_CASE(m.status == LIES[i].expected, "case %zu: status %d", i, (int)m.status);
        receive_cut_off(&stream);
    }
}

/* A fragment of an odd number of bytes breaks PS3.8 E.2, and hurts nobody. */
static void odd_lengths(void) {
    dl_bytes stream = {0};
    put_pdu(&stream, 2 * 6 + 1 + 3);
    put_fragment(&stream, 1, 0, "a", 1);
    put_fragment(&stream, 1, DL_FRAGMENT_LAST, "bcd", 3);
    receive_cut_off(&stream);
}

/* PDUs and fragments around the size of the receiver's buffer. */
static void around_the_buffer(void) {
    static uint8_t data[3 * CAPACITY];
    uint64_t random = 1;
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)random_next(&random);
    for (size_t size = CAPACITY - 14; size <= CAPACITY + 2; size++) {
        dl_bytes stream = {0};
        put_pdu(&stream, (uint32_t)(6 + size));
        put_fragment(&stream, 1, 0, data, size);
        put_pdu(&stream, (uint32_t)(3 * 6 + 2 * size));
        put_fragment(&stream, 1, 0, data, size);
        put_fragment(&stream, 1, 0, data, size);
        put_fragment(&stream, 1, DL_FRAGMENT_LAST, "", 0);
        put_pdu(&stream, (uint32_t)(6 + sizeof data));
        put_fragment(&stream, 1, DL_FRAGMENT_LAST, data, sizeof data);
        receive_in_all_ways(&stream);
        dl_bytes_free(&stream);
    }
}

static void any_streams(void) {
    uint64_t random = 7;
    for (int round = 0; round < 300; round++) {
        dl_bytes stream = {0};
        for (uint64_t pdus = random_below(&random, 6); pdus > 0; pdus--) {
            size_t sizes[4], total = 0, count = 1 + (size_t)random_below(&random, 4);
            for (size_t i = 0; i < count; i++) {
                sizes[i] = (size_t)random_below(&random, 9);
                total += 6 + sizes[i];
            }
            put_pdu(&stream, (uint32_t)total);
            for (size_t i = 0; i < count; i++)
                put_fragment(&stream, 1 + 2 * (int)random_below(&random, 8) / 7,
                             (int)random_below(&random, 4), "12345678", sizes[i]);
        }
        /* One byte in some of them is another. */
        if (stream.length && round % 3 == 0)
            stream.data[random_below(&random, stream.length)] = (uint8_t)random_next(&random);
        receive_in_all_ways(&stream);
        dl_bytes_free(&stream);
    }
}

int main(void) {
    well_formed();
    lengths_that_lie();
    odd_lengths();
    around_the_buffer();
    any_streams();
    return 0;
}
