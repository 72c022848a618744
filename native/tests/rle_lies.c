/* Hostile RLE (X3, X9): headers that lie, segments that end early or run on, every truncation.
 * Never a byte read or written outside, which the sanitizers watch; and both twins say the same. */
#include "rle.h"

typedef struct outcome {
    dl_status status;
    dl_error error;
    uint8_t *out;
} outcome;

/* `data` is copied into a block of exactly its size. */
static outcome decode(const uint8_t *data, size_t size, const dl_rle_shape *shape) {
    size_t out_size = size_of(shape);
    outcome o[2];
    uint8_t *copy = malloc(size ? size : 1);
    CHECK(copy);
    memcpy(copy, data, size);
    for (int i = 0; i < 2; i++) {
        memset(&o[i], 0, sizeof o[i]);
        o[i].out = malloc(out_size);
        CHECK(o[i].out);
        memset(o[i].out, 0xA5, out_size);
        o[i].status = dl_rle_decode(copy, size, shape, o[i].out, out_size,
                                    i ? DL_VECTORS_NONE : DL_VECTORS_BEST, &o[i].error);
        CHECK(o[i].status == DL_OK || o[i].status == o[i].error.code);
        CHECK(o[i].status == DL_OK || (o[i].error.message[0] && o[i].error.offset <= size));
    }
    CHECK(o[0].status == o[1].status && memcmp(o[0].out, o[1].out, out_size) == 0);
    CHECK(strcmp(o[0].error.message, o[1].error.message) == 0);
    CHECK(o[0].error.offset == o[1].error.offset);
    free(o[1].out);
    free(copy);
    return o[0];
}

static outcome expect(const uint8_t *data, size_t size, const dl_rle_shape *shape, dl_status status,
                      const char *part) {
    outcome o = decode(data, size, shape);
    CHECK_CASE(o.status == status, "%s: status %d: %s", part, (int)o.status, o.error.message);
    CHECK_CASE(status == DL_OK || strstr(o.error.message, part), "%s: %s", part, o.error.message);
    return o;
}

static void put_u32(uint8_t *into, uint32_t value) {
    for (int i = 0; i < 4; i++) into[i] = (uint8_t)(value >> 8 * i);
}

static void refused(const uint8_t *data, size_t size, const dl_rle_shape *shape, dl_status status,
                    const char *part) {
    free(expect(data, size, shape, status, part).out);
}

static void headers(void) {
    static const uint32_t counts[] = {0, 1, 3, 15, 16, 255, 0x02000000, 0x7FFFFFFF, 0xFFFFFFFF};
    dl_rle_shape shape = {1, 4, 1, 2};
    uint8_t data[80] = {2};
    put_u32(data + 4, 64);
    put_u32(data + 8, 66);
    memcpy(data + 64, "\xFD\x01\xFD\x02", 4);
    outcome o = expect(data, 68, &shape, DL_OK, "");
    CHECK(memcmp(o.out, "\2\1\2\1\2\1\2\1", 8) == 0);
    free(o.out);
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        uint8_t other[80];
        memcpy(other, data, sizeof other);
        put_u32(other, counts[i]);
        refused(other, 68, &shape, DL_ERR_CORRUPT, "1 samples of 2 bytes have 2");
    }
    for (size_t size = 0; size < DL_RLE_HEADER; size++)
        refused(data, size, &shape, DL_ERR_TRUNCATED, "header of 64 bytes");
    static const struct {
        uint32_t first, second;
        const char *part; /* NULL: fine */
    } offsets[] = {
        {63, 66, "segment 1 of 2 is said to begin at 63"}, /* inside the header */
        {0, 66, "segment 1 of 2"},
        {66, 64, "segment 2 of 2 is said to begin at 64"}, /* backwards */
        {64, 69, "segment 2 of 2"},                        /* outside */
        {69, 70, "segment 1 of 2"},
        {0xFFFFFFFF, 66, "segment 1 of 2"},
        {64, 0xFFFFFFFF, "segment 2 of 2"},
        {64, 0x80000042, "segment 2 of 2"},
    };
    for (size_t i = 0; i < COUNT_OF(offsets); i++) {
        put_u32(data + 4, offsets[i].first);
        put_u32(data + 8, offsets[i].second);
        refused(data, 68, &shape, DL_ERR_CORRUPT, offsets[i].part);
    }
    put_u32(data + 4, 64); /* empty segments */
    put_u32(data + 8, 64);
    refused(data, 68, &shape, DL_ERR_TRUNCATED, "segment 1 of 2 (0 bytes at 64)");
    put_u32(data + 8, 68);
    refused(data, 68, &shape, DL_ERR_TRUNCATED, "segment 2 of 2 (0 bytes at 68)");
    put_u32(data + 4, 70); /* a gap behind the header, odd offsets, bytes behind the last one */
    put_u32(data + 8, 73);
    memcpy(data + 70, "\xFD\x01\x80\xFD\x02\x00\x00", 7);
    free(expect(data, 77, &shape, DL_OK, "").out);
    uint8_t byte;
    dl_error error;
    CHECK(dl_rle_decode(data, 77, &shape, &byte, 1, DL_VECTORS_BEST, &error) == DL_ERR_ARGUMENT);
}

/* One segment of a frame of `columns` bytes. */
static outcome one(const void *segment, size_t size, uint32_t columns, dl_status status,
                   const char *part) {
    uint8_t data[4096] = {1, 0, 0, 0, 64};
    dl_rle_shape shape = {1, columns, 1, 1};
    CHECK(size <= sizeof data - 64);
    memcpy(data + 64, segment, size);
    return expect(data, 64 + size, &shape, status, part);
}

#define GIVES(segment, text)                                                                       \
    do {                                                                                           \
        outcome o_ = one(segment, sizeof(segment) - 1, sizeof(text) - 1, DL_OK, "");               \
        CHECK_CASE(memcmp(o_.out, text, sizeof(text) - 1) == 0, "%s", text);                       \
        free(o_.out);                                                                              \
    } while (0)
#define FAILS(segment, columns, part)                                                              \
    free(one(segment, sizeof(segment) - 1, columns, DL_ERR_TRUNCATED, part).out)

static void segments(void) {
    GIVES("\x02"
          "abc",
          "abc");
    GIVES("\xFEz", "zzz");
    GIVES("\x80\x80\x00"
          "a\x80\xFFz\x80",
          "azz");          /* -128 outputs nothing */
    GIVES("\x81z", "zzz"); /* a run past the end: what fits */
    GIVES("\x7F"
          "abcd",
          "abc"); /* a literal past the end of both */
    GIVES("\x02"
          "abc\x00",
          "abc"); /* padding */
    GIVES("\x02"
          "abc\x55\x66\x77\x88",
          "abc"); /* anything behind it */
    FAILS("\x02"
          "abc",
          4, "segment 1 of 1 (4 bytes at 64) gives at most 3 bytes of 4");
    FAILS("\x02"
          "ab",
          3, "at most 2 bytes of 3");
    FAILS("\xFE", 3, "at most 0 bytes of 3");
    FAILS("\x00", 1, "at most 0 bytes of 1");
    FAILS("\x80\x80\x80", 1, "at most 0 bytes of 1");
    FAILS("\x81z\x81", 129, "at most 128 bytes of 129");
    FAILS("\x81z", 129, "at most 128 bytes of 129");
    FAILS("\x81z", 0xFFFFFFFF / 64, "at most 128 bytes of"); /* refused before it is decoded */
    uint8_t nothing[4000];
    memset(nothing, 0x80, sizeof nothing);
    free(one(nothing, sizeof nothing, 10, DL_ERR_TRUNCATED, "at most 0 bytes of 10").out);
    memcpy(nothing + 3990, "\xF7z", 2);
    free(one(nothing, sizeof nothing, 10, DL_OK, "").out);
}

/* Coded as if rows were none: runs cross them and the blocks of the decoder. */
static void runs_cross_rows(void) {
    enum { PIXELS = 40000 };
    uint8_t *data = malloc(64 + PIXELS), *expected = malloc(PIXELS);
    CHECK(data && expected);
    for (uint64_t state = 1; state < 40; state++) {
        dl_rle_shape shape = {100, 400, 1, 1};
        uint64_t random = state;
        size_t size = 64, got = 0;
        memset(data, 0, 64);
        data[0] = 1;
        data[4] = 64;
        while (got < PIXELS) {
            size_t length = 100 + (size_t)random_below(&random, 29);
            uint8_t value = (uint8_t)random_next(&random);
            data[size++] = (uint8_t)(257 - length);
            data[size++] = value;
            if (length > PIXELS - got) length = PIXELS - got; /* and past the frame */
            memset(expected + got, value, length);
            got += length;
        }
        outcome o = expect(data, size, &shape, DL_OK, "");
        CHECK(memcmp(o.out, expected, PIXELS) == 0);
        free(o.out);
    }
    free(data);
    free(expected);
}

/* Cut anywhere, a frame is refused, unless only the padding is lost. */
static void every_truncation(const dl_rle_shape *shape, int kind) {
    uint64_t state = 7 + (uint64_t)kind;
    dl_rle_encoder *encoder = dl_rle_encoder_new(DL_VECTORS_BEST);
    dl_rle_frame frame;
    CHECK(encoder);
    uint8_t *pixels = frame_of(shape, kind, &state);
    encode(encoder, shape, pixels, &frame);
    uint8_t *coded = whole(&frame);
    size_t full = (size_t)frame.size;
    for (size_t size = 0; size <= full; size++) {
        outcome o = decode(coded, size, shape);
        if (size + 1 < full) CHECK(o.status != DL_OK);
        if (o.status == DL_OK) CHECK(memcmp(o.out, pixels, size_of(shape)) == 0);
        if (size == full) CHECK(o.status == DL_OK);
        free(o.out);
    }
    /* Any byte changed: an error or other pixels, and the twins agree. */
    for (int i = 0; i < 3000; i++) {
        size_t at = (size_t)random_below(&state, full);
        uint8_t was = coded[at];
        coded[at] = (uint8_t)random_next(&state);
        free(decode(coded, full, shape).out);
        if (i % 16) coded[at] = was; /* some damage stays */
    }
    free(coded);
    free(pixels);
    dl_rle_encoder_free(encoder);
}

/* More pixels than an address space has. */
static void overflow(void) {
    uint8_t data[128] = {8, 0, 0, 0, 64}, out[1];
    static const dl_rle_shape shapes[] = {{0xFFFFFFFF, 0xFFFFFFFF, 1, 8},
                                          {0x80000000, 0x80000000, 8, 1},
                                          {0xFFFFFFFF, 0x10000001, 4, 2}};
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        dl_error error;
        dl_status looked = dl_rle_look(data, sizeof data, &shapes[i], &error);
        CHECK(looked == DL_ERR_UNSUPPORTED || looked == DL_ERR_CORRUPT);
        CHECK(dl_rle_decode(data, sizeof data, &shapes[i], out, 1, DL_VECTORS_BEST, &error) ==
              looked);
    }
}

int main(void) {
    static const dl_rle_shape shapes[] = {{3, 7, 1, 1},   {5, 40, 1, 2}, {4, 33, 3, 1},
                                          {2, 300, 1, 2}, {2, 50, 3, 2}, {1, 20, 15, 1}};
    headers();
    segments();
    runs_cross_rows();
    overflow();
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        for (int kind = 0; kind < KINDS; kind++) every_truncation(&shapes[i], kind);
    return 0;
}
