/* RLE Lossless from any bytes: a shape, then a coded frame, then the same bytes as pixels. Beyond
 * not crashing: both twins agree on pixels, status and message; what is coded comes back, within
 * the bound, and however the rows are handed over. */
#include "dicomloom/codecs.h"
#include "fuzz.h"

enum { SHAPE = 4, MOST = 1 << 20 };

typedef struct outcome {
    dl_status status;
    dl_error error;
    uint8_t *out;
} outcome;

static outcome decode(const uint8_t *data, size_t size, const dl_rle_shape *shape, size_t out_size,
                      dl_vectors vectors) {
    outcome o = {.out = calloc(1, out_size)};
    CHECK(o.out);
    o.status = dl_rle_decode(data, size, shape, o.out, out_size, vectors, &o.error);
    CHECK(o.status == DL_OK || (o.error.code == o.status && o.error.offset <= size));
    return o;
}

static void check_decoding(const uint8_t *data, size_t size, const dl_rle_shape *shape,
                           size_t out_size) {
    dl_error error;
    outcome a = decode(data, size, shape, out_size, DL_VECTORS_BEST),
            b = decode(data, size, shape, out_size, DL_VECTORS_NONE);
    CHECK(a.status == b.status && memcmp(a.out, b.out, out_size) == 0);
    if (a.status != DL_OK) CHECK(strcmp(a.error.message, b.error.message) == 0);
    if (a.status == DL_OK) CHECK(dl_rle_look(data, size, shape, &error) == DL_OK);
    free(a.out);
    free(b.out);
}

/* Rows in lots of `lot`; returns the frame as one block. */
static uint8_t *encode(const uint8_t *pixels, const dl_rle_shape *shape, size_t row, size_t lot,
                       dl_vectors vectors, size_t *size) {
    dl_rle_encoder *encoder = dl_rle_encoder_new(vectors);
    dl_rle_frame frame;
    dl_error error;
    CHECK(encoder && dl_rle_encode_begin(encoder, shape, &error) == DL_OK);
    for (size_t done = 0; done < shape->rows; done += lot) {
        size_t rows = shape->rows - done < lot ? shape->rows - done : lot;
        CHECK(dl_rle_encode_rows(encoder, pixels + done * row, rows * row, &error) == DL_OK);
    }
    CHECK(dl_rle_encode_end(encoder, &frame, &error) == DL_OK);
    uint8_t *made = malloc((size_t)frame.size);
    CHECK(made);
    memcpy(made, frame.header, DL_RLE_HEADER);
    *size = DL_RLE_HEADER;
    for (uint32_t i = 0; i < frame.count; i++) {
        memcpy(made + *size, frame.segments[i].data, frame.segments[i].size);
        *size += frame.segments[i].size;
    }
    CHECK(*size == frame.size);
    dl_rle_encoder_free(encoder);
    return made;
}

static void check_round_trip(const uint8_t *pixels, const dl_rle_shape *shape, size_t row,
                             size_t lot) {
    size_t first_size, second_size, out_size = row * shape->rows;
    dl_error error;
    uint64_t bound;
    uint8_t *first = encode(pixels, shape, row, shape->rows, DL_VECTORS_BEST, &first_size);
    uint8_t *second = encode(pixels, shape, row, lot, DL_VECTORS_NONE, &second_size);
    CHECK(first_size == second_size && memcmp(first, second, first_size) == 0);
    CHECK(dl_rle_bound(shape, &bound, &error) == DL_OK && first_size <= bound);
    for (dl_vectors vectors = DL_VECTORS_BEST; vectors <= DL_VECTORS_NONE; vectors++) {
        outcome o = decode(first, first_size, shape, out_size, vectors);
        CHECK(o.status == DL_OK && memcmp(o.out, pixels, out_size) == 0);
        free(o.out);
    }
    free(first);
    free(second);
}

/* The input: samples and bytes of a sample, rows, columns (two bytes); then what is coded. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < SHAPE) return 0;
    dl_rle_shape shape = {data[1], dl_load_u16(data + 2, false), data[0] & 15,
                          1U << (data[0] >> 4 & 3)};
    data += SHAPE;
    size -= SHAPE;
    size_t row = (size_t)shape.columns * shape.samples * shape.sample_bytes;
    size_t out_size = row * shape.rows;
    if (out_size > MOST) return 0;
    check_decoding(data, size, &shape, out_size);
    if (row == 0 || (size_t)shape.samples * shape.sample_bytes > DL_RLE_SEGMENTS) return 0;
    shape.rows = (uint32_t)(size / row);
    if (shape.rows > 0 && shape.rows <= DL_RLE_SIDE)
        check_round_trip(data, &shape, row, 1 + size % shape.rows);
    return 0;
}
