/* Whichever allocation fails, the caller is told; buffers never outgrow the bound; a second frame
 * allocates nothing. */
#include "failing_malloc.h"
#include "rle.h"

static const dl_rle_shape SHAPES[] = {{1, 1, 1, 1},     {64, 100, 1, 2},  {512, 512, 1, 2},
                                      {200, 129, 3, 1}, {1, 65535, 3, 4}, {300, 1, 1, 1}};

/* Rows one by one, so that segments have to grow. */
static dl_status code(dl_rle_encoder *encoder, const dl_rle_shape *shape, const uint8_t *pixels,
                      dl_rle_frame *frame) {
    dl_error error = {0};
    size_t row = size_of(shape) / shape->rows;
    dl_status status = dl_rle_encode_begin(encoder, shape, &error);
    for (uint32_t i = 0; i < shape->rows && status == DL_OK; i++)
        status = dl_rle_encode_rows(encoder, pixels + i * row, row, &error);
    if (status == DL_OK) status = dl_rle_encode_end(encoder, frame, &error);
    CHECK(status == error.code);
    return status;
}

static void check(const dl_rle_shape *shape, int kind) {
    uint64_t state = 3, bound;
    dl_error error;
    dl_rle_frame frame;
    uint8_t *pixels = frame_of(shape, kind, &state);
    CHECK(dl_rle_bound(shape, &bound, &error) == DL_OK);
    for (long n = 0; n < 10000; n++) {
        failing_one = n;
        allocations = 0;
        dl_rle_encoder *encoder = dl_rle_encoder_new(DL_VECTORS_BEST);
        dl_status status = encoder ? code(encoder, shape, pixels, &frame) : DL_ERR_MEMORY;
        bool failed = allocations > n;
        failing_one = -1;
        CHECK(status == (failed ? DL_ERR_MEMORY : DL_OK));
        if (encoder) CHECK(code(encoder, shape, pixels, &frame) == DL_OK); /* none the worse */
        dl_rle_encoder_free(encoder);
        if (!failed) break;
    }
    dl_rle_encoder *encoder = dl_rle_encoder_new(DL_VECTORS_BEST);
    CHECK(encoder);
    largest_allocation = 0;
    CHECK(code(encoder, shape, pixels, &frame) == DL_OK);
    /* A segment's share of the bound, or one row by planes with their slack, whichever is more. */
    size_t stride = (size_t)shape->samples * shape->sample_bytes;
    size_t segment = (size_t)(bound - DL_RLE_HEADER) / stride + 64;
    size_t row = stride * (shape->columns + 256);
    CHECK_CASE(largest_allocation <= (segment > row ? segment : row), "%zu",
               (size_t)largest_allocation);
    allocations = 0;
    CHECK(code(encoder, shape, pixels, &frame) == DL_OK);
    uint8_t *coded = whole(&frame), *out = malloc(size_of(shape));
    allocations -= 2;
    CHECK(out && dl_rle_decode(coded, (size_t)frame.size, shape, out, size_of(shape),
                               DL_VECTORS_BEST, &error) == DL_OK);
    CHECK(allocations == 0);
    CHECK(memcmp(out, pixels, size_of(shape)) == 0);
    free(out);
    free(coded);
    free(pixels);
    dl_rle_encoder_free(encoder);
}

int main(void) {
    for (size_t i = 0; i < COUNT_OF(SHAPES); i++)
        for (int kind = 0; kind < KINDS; kind++) check(&SHAPES[i], kind);
    return 0;
}
