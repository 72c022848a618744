/* JPEG Lossless from any bytes: a raster, then a coded frame, then the same bytes as pixels. Beyond
 * not crashing: both twins agree on pixels, status and message; what is coded comes back, within
 * the bound, and however the rows are handed over. */
#include "dicomloom/jpeg_lossless.h"

#include "fuzz.h"

enum { SHAPE = 6, MOST = 1 << 18 };

typedef struct outcome {
    dl_status status;
    dl_error error;
    uint8_t *out;
} outcome;

static outcome decode(const uint8_t *data, size_t size, const dl_raster *raster, size_t stride,
                      dl_vectors vectors) {
    dl_jpeg_lossless_decoder *decoder = dl_jpeg_lossless_decoder_new(vectors);
    outcome o = {.out = calloc(raster->rows, stride)};
    CHECK(o.out && decoder);
    o.status = dl_jpeg_lossless_decode(decoder, data, size, raster, o.out, stride, &o.error);
    CHECK(o.status == DL_OK || (o.error.code == o.status && o.error.offset <= size));
    dl_jpeg_lossless_decoder_free(decoder);
    return o;
}

static void check_decoding(const uint8_t *data, size_t size, const dl_raster *raster,
                           size_t stride) {
    outcome a = decode(data, size, raster, stride, DL_VECTORS_BEST),
            b = decode(data, size, raster, stride, DL_VECTORS_NONE);
    CHECK(a.status == b.status && memcmp(a.out, b.out, stride * raster->rows) == 0);
    if (a.status != DL_OK) CHECK(strcmp(a.error.message, b.error.message) == 0);
    if (a.status != DL_OK) CHECK(a.error.offset == b.error.offset);
    free(a.out);
    free(b.out);
}

static dl_status pass(dl_jpeg_lossless_encoder *encoder, int number, const uint8_t *pixels,
                      const dl_raster *raster, size_t stride, uint32_t lot, dl_error *error) {
    dl_status status = DL_OK;
    for (uint32_t done = 0, some; done < raster->rows && status == DL_OK; done += some) {
        const uint8_t *rows = pixels + done * stride;
        some = raster->rows - done < lot ? raster->rows - done : lot;
        status = number == 1 ? dl_jpeg_lossless_encode_count(encoder, rows, some, stride, error)
                             : dl_jpeg_lossless_encode_rows(encoder, rows, some, stride, error);
    }
    return status;
}

/* Rows in lots of `lot`; the frame as one block, or NULL where a sample has too many bits. */
static uint8_t *encode(const uint8_t *pixels, const dl_raster *raster,
                       const dl_jpeg_lossless_options *options, size_t stride, uint32_t lot,
                       dl_vectors vectors, size_t *size, dl_error *error) {
    dl_jpeg_lossless_encoder *encoder = dl_jpeg_lossless_encoder_new(vectors);
    dl_piece piece;
    uint8_t *made = NULL;
    CHECK(encoder && dl_jpeg_lossless_encode_begin(encoder, raster, options, error) == DL_OK);
    dl_status status = pass(encoder, 1, pixels, raster, stride, lot, error);
    CHECK(status == DL_OK || status == DL_ERR_PIXEL);
    if (status == DL_OK) {
        CHECK(pass(encoder, 2, pixels, raster, stride, lot, error) == DL_OK);
        CHECK(dl_jpeg_lossless_encode_end(encoder, &piece, error) == DL_OK);
        made = malloc(piece.size);
        CHECK(made);
        memcpy(made, piece.data, piece.size);
        *size = piece.size;
    }
    dl_jpeg_lossless_encoder_free(encoder);
    return made;
}

static void check_round_trip(const uint8_t *pixels, const dl_raster *raster,
                             const dl_jpeg_lossless_options *options, size_t row, uint32_t lot) {
    size_t first_size, second_size;
    dl_error error, other;
    uint64_t bound;
    uint8_t *first =
        encode(pixels, raster, options, row, raster->rows, DL_VECTORS_BEST, &first_size, &error);
    uint8_t *second =
        encode(pixels, raster, options, row, lot, DL_VECTORS_NONE, &second_size, &other);
    CHECK(!first == !second);
    if (!first) {
        CHECK(strcmp(error.message, other.message) == 0);
        return;
    }
    CHECK(first_size == second_size && memcmp(first, second, first_size) == 0);
    CHECK(dl_jpeg_lossless_bound(raster, options, &bound, &error) == DL_OK && first_size <= bound);
    for (dl_vectors vectors = DL_VECTORS_BEST; vectors <= DL_VECTORS_NONE; vectors++) {
        outcome o = decode(first, first_size, raster, row, vectors);
        CHECK(o.status == DL_OK);
        if (options->shift == 0) CHECK(memcmp(o.out, pixels, row * raster->rows) == 0);
        free(o.out);
    }
    free(first);
    free(second);
}

/* The input: samples, bytes of a sample and sign; bits and predictor; shift and restarts; rows,
 * columns (two bytes); then what is coded. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < SHAPE) return 0;
    dl_raster raster = {data[3],
                        dl_load_u16(data + 4, false),
                        1 + (data[0] & 3U),
                        1 + (data[0] >> 2 & 1U),
                        2 + (data[1] & 15U),
                        data[0] >> 3 & 1};
    dl_jpeg_lossless_options options = {1 + (data[1] >> 4) % 7, data[2] & 15, data[2] >> 4};
    data += SHAPE;
    size -= SHAPE;
    if (raster.bits > 8 * raster.sample_bytes) raster.bits = 8 * raster.sample_bytes;
    size_t row = (size_t)raster.columns * raster.samples * raster.sample_bytes;
    if (row == 0 || row * raster.rows > MOST) return 0;
    if (raster.rows > 0) check_decoding(data, size, &raster, row);
    raster.rows = (uint32_t)(size / row < 300 ? size / row : 300);
    if (options.shift >= raster.bits) options.shift = 0;
    if (options.restart_rows * raster.columns > 65535) options.restart_rows = 0;
    if (raster.rows > 0)
        check_round_trip(data, &raster, &options, row, 1 + (uint32_t)(size % raster.rows));
    return 0;
}
