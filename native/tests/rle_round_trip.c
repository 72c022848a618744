/* Every shape comes back; what is coded follows Annex G by the letter, is within the bound, as
 * short as PackBits can be, and the same however the rows are handed over. */
#include "rle.h"

static const uint32_t COLUMNS[] = {1,   2,   3,   4,   15,  16,  17,  31,  32,  33,  63,
                                   64,  65,  66,  95,  96,  126, 127, 128, 129, 130, 131,
                                   191, 192, 193, 255, 256, 257, 258, 300, 511, 513, 1000};

/* G.3.1 and G.5: rows end with a token, one byte of padding at most, and offsets are true. */
static void check_grammar(const dl_rle_shape *shape, const uint8_t *pixels,
                          const dl_rle_frame *frame) {
    size_t stride = (size_t)shape->samples * shape->sample_bytes, at = DL_RLE_HEADER;
    CHECK(frame->count == stride && u32_at(frame->header) == stride);
    for (size_t s = 0; s < DL_RLE_SEGMENTS; s++) {
        uint32_t offset = u32_at(frame->header + 4 + 4 * s);
        if (s >= stride) {
            CHECK(offset == 0);
            continue;
        }
        CHECK(offset == at && frame->segments[s].size % 2 == 0);
        at += frame->segments[s].size;
        const uint8_t *p = frame->segments[s].data, *end = p + frame->segments[s].size;
        const uint8_t *expected = pixels + plane_of(shape, s);
        for (uint32_t row = 0; row < shape->rows; row++) {
            for (size_t left = shape->columns; left > 0;) {
                size_t token = *p++, length = token < 128 ? token + 1 : 257 - token;
                CHECK(token != 128 && length <= left);
                left -= length;
                for (size_t i = 0; i < length; i++, expected += stride)
                    CHECK(*expected == p[token < 128 ? i : 0]);
                p += token < 128 ? length : 1;
            }
        }
        CHECK(p == end || (p + 1 == end && *p == 0));
    }
    CHECK(frame->size == at);
}

/* The least number of bytes of tokens that give bytes: cost[i] is that of the first i. */
static size_t shortest(const uint8_t *bytes, size_t stride, size_t size, uint32_t *cost) {
    cost[0] = 0;
    for (size_t i = 1; i <= size; i++) {
        cost[i] = UINT32_MAX;
        bool same = true;
        for (size_t n = 1; n <= 128 && n <= i; n++) {
            same = same && bytes[(i - n) * stride] == bytes[(i - 1) * stride];
            uint32_t token = cost[i - n] + (same && n > 1 ? 2 : 1 + (uint32_t)n);
            if (token < cost[i]) cost[i] = token;
        }
    }
    return cost[size];
}

/* Equal where a row is one token at most of either kind; where literals are cut in pieces of 128, a
 * byte may be lost for each cut. */
static void check_shortest(const dl_rle_shape *shape, const uint8_t *pixels,
                           const dl_rle_frame *frame) {
    uint32_t cost[1001];
    size_t stride = (size_t)shape->samples * shape->sample_bytes;
    for (size_t s = 0; s < stride; s++) {
        size_t least = 0;
        for (uint32_t row = 0; row < shape->rows; row++)
            least += shortest(pixels + (size_t)row * shape->columns * stride + plane_of(shape, s),
                              stride, shape->columns, cost);
        size_t size = frame->segments[s].size, cuts = shape->rows * (shape->columns - 1) / 128;
        CHECK(size >= least);
        CHECK_CASE(size <= least + least % 2 + (cuts + 1) / 2 * 2, "%u columns: %zu, least %zu",
                   shape->columns, size, least);
    }
}

static void check_decoded(const dl_rle_shape *shape, const uint8_t *pixels, const uint8_t *coded,
                          size_t coded_size) {
    size_t size = size_of(shape);
    uint8_t *out = malloc(size);
    CHECK(out);
    for (dl_vectors vectors = DL_VECTORS_BEST; vectors <= DL_VECTORS_NONE; vectors++) {
        dl_error error;
        memset(out, 0xA5, size);
        dl_status status = dl_rle_decode(coded, coded_size, shape, out, size, vectors, &error);
        CHECK_CASE(status == DL_OK, "%s", error.message);
        CHECK(memcmp(out, pixels, size) == 0);
        CHECK(dl_rle_look(coded, coded_size, shape, &error) == DL_OK);
    }
    free(out);
}

/* The same bytes when rows come in lots of any size, and from either twin. */
static void check_lots(dl_rle_encoder *encoder, const dl_rle_shape *shape, const uint8_t *pixels,
                       const uint8_t *coded, uint64_t coded_size, uint64_t *state) {
    size_t row = size_of(shape) / shape->rows;
    dl_error error;
    dl_rle_frame frame;
    CHECK(dl_rle_encode_begin(encoder, shape, &error) == DL_OK);
    for (uint32_t done = 0, lot; done < shape->rows; done += lot) {
        lot = (uint32_t)random_below(state, shape->rows - done + 1); /* none, too */
        CHECK(dl_rle_encode_rows(encoder, pixels + done * row, lot * row, &error) == DL_OK);
    }
    CHECK(dl_rle_encode_end(encoder, &frame, &error) == DL_OK);
    CHECK(frame.size == coded_size);
    uint8_t *again = whole(&frame);
    CHECK(memcmp(again, coded, (size_t)coded_size) == 0);
    free(again);
}

static void check(dl_rle_encoder *best, dl_rle_encoder *plain, const dl_rle_shape *shape, int kind,
                  uint64_t *state) {
    dl_rle_frame frame;
    dl_error error;
    uint64_t bound;
    uint8_t *pixels = frame_of(shape, kind, state);
    encode(best, shape, pixels, &frame);
    check_grammar(shape, pixels, &frame);
    check_shortest(shape, pixels, &frame);
    CHECK(dl_rle_bound(shape, &bound, &error) == DL_OK && frame.size <= bound);
    uint8_t *coded = whole(&frame);
    check_decoded(shape, pixels, coded, (size_t)frame.size);
    check_lots(best, shape, pixels, coded, frame.size, state);
    check_lots(plain, shape, pixels, coded, frame.size, state);
    free(coded);
    free(pixels);
}

/* The contract of begin, rows, end. */
static void order_of_calls(dl_rle_encoder *encoder) {
    static const uint8_t pixels[12] = {0};
    dl_rle_shape shape = {3, 4, 1, 1};
    dl_rle_frame frame;
    dl_error error;
    CHECK(dl_rle_encode_rows(encoder, pixels, 4, &error) == DL_ERR_ARGUMENT);
    CHECK(dl_rle_encode_end(encoder, &frame, &error) == DL_ERR_ARGUMENT);
    CHECK(dl_rle_encode_begin(encoder, &shape, &error) == DL_OK);
    CHECK(dl_rle_encode_rows(encoder, pixels, 3, &error) == DL_ERR_ARGUMENT);
    CHECK(dl_rle_encode_rows(encoder, pixels, 8, &error) == DL_OK);
    CHECK(dl_rle_encode_end(encoder, &frame, &error) == DL_ERR_ARGUMENT);
    CHECK(dl_rle_encode_rows(encoder, pixels, 8, &error) == DL_ERR_ARGUMENT);
    CHECK(dl_rle_encode_rows(encoder, pixels, 4, &error) == DL_OK);
    CHECK(dl_rle_encode_end(encoder, &frame, &error) == DL_OK && frame.size == 64 + 6);
    CHECK(dl_rle_encode_end(encoder, &frame, &error) == DL_ERR_ARGUMENT);
    CHECK(dl_rle_encode_begin(encoder, &shape, &error) == DL_OK); /* one that is given up */
    CHECK(dl_rle_encode_rows(encoder, pixels, 4, &error) == DL_OK);
    encode(encoder, &shape, pixels, &frame);
    CHECK(frame.size == 64 + 6);
    dl_rle_encoder_free(NULL);
}

static void shapes_that_are_none(dl_rle_encoder *encoder) {
    static const dl_rle_shape shapes[] = {
        {0, 1, 1, 1},  {1, 0, 1, 1},         {1, 1, 0, 1},     {1, 1, 1, 0},
        {1, 1, 1, 3},  {1, 1, 16, 1},        {1, 1, 2, 8},     {1, 1, 0x80000000, 8},
        {1, 1, 1, 16}, {65536, 1, 1, 1},     {1, 65536, 1, 1}, {1, 1, 0xFFFFFFFF, 1},
        {1, 1, 8, 2},  {1, 0xFFFFFFFF, 1, 1}};
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        dl_error error;
        uint64_t bound = 1;
        CHECK_CASE(dl_rle_encode_begin(encoder, &shapes[i], &error) == DL_ERR_UNSUPPORTED,
                   "shape %zu", i);
        CHECK(error.message[0]);
        CHECK(dl_rle_bound(&shapes[i], &bound, &error) == DL_ERR_UNSUPPORTED && bound == 0);
    }
}

int main(void) {
    dl_rle_encoder *best = dl_rle_encoder_new(DL_VECTORS_BEST),
                   *plain = dl_rle_encoder_new(DL_VECTORS_NONE);
    CHECK(best && plain);
    uint64_t state = 1;
    order_of_calls(best);
    shapes_that_are_none(best);
    for (uint32_t samples = 1; samples <= DL_RLE_SEGMENTS; samples++) {
        for (uint32_t bytes = 1; samples * bytes <= DL_RLE_SEGMENTS && bytes <= 8; bytes *= 2) {
            for (size_t i = 0; i < COUNT_OF(COLUMNS); i++) {
                int kinds = samples * bytes <= 3 ? KINDS : 1; /* all, or one of them in turn */
                for (int k = 0; k < kinds; k++) {
                    dl_rle_shape shape = {1 + (uint32_t)random_below(&state, 4), COLUMNS[i],
                                          samples, bytes};
                    int kind = kinds == 1 ? (int)random_below(&state, KINDS) : k;
                    check(best, plain, &shape, kind, &state);
                }
            }
        }
    }
    dl_rle_encoder_free(best);
    dl_rle_encoder_free(plain);
    return 0;
}
