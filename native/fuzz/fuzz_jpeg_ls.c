/* JPEG-LS from any bytes: a raster, then a coded frame, then the same bytes as pixels. Beyond not
 * crashing: both twins agree on pixels, status and message; what is coded comes back, within NEAR
 * and within the bound, and however the rows are handed over. */
#include "dicomloom/jpeg_ls.h"

#include "fuzz.h"

enum { SHAPE = 6, MOST = 1 << 18 };

typedef struct outcome {
    dl_status status;
    dl_error error;
    uint8_t *out;
} outcome;

static outcome decode(const uint8_t *data, size_t size, const dl_raster *raster, size_t stride,
                      dl_vectors vectors) {
    dl_jpeg_ls_decoder *decoder = dl_jpeg_ls_decoder_new(vectors);
    outcome o = {.out = calloc(raster->rows, stride)};
    CHECK(o.out && decoder);
    o.status = dl_jpeg_ls_decode(decoder, data, size, raster, o.out, stride, &o.error);
    CHECK(o.status == DL_OK || (o.error.code == o.status && o.error.offset <= size));
    CHECK(o.status == DL_OK || o.error.message[0]);
    dl_jpeg_ls_decoder_free(decoder);
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

/* Rows in lots of `lot`; the scans as one block, or NULL where a sample is refused. */
static uint8_t *encode(const uint8_t *pixels, const dl_raster *raster,
                       const dl_jpeg_ls_options *options, size_t stride, uint32_t lot,
                       dl_vectors vectors, size_t *size, dl_error *error) {
    dl_jpeg_ls_encoder *encoder = dl_jpeg_ls_encoder_new(vectors);
    dl_bytes made = {0};
    dl_status status = DL_OK;
    CHECK(encoder && dl_jpeg_ls_encode_begin(encoder, raster, options, error) == DL_OK);
    for (uint32_t done = 0, some; done < raster->rows && status == DL_OK; done += some) {
        some = raster->rows - done < lot ? raster->rows - done : lot;
        status = dl_jpeg_ls_encode_rows(encoder, pixels + done * stride, some, stride, error);
    }
    CHECK(status == DL_OK || status == DL_ERR_PIXEL);
    if (status == DL_OK) {
        dl_piece pieces[DL_JPEG_LS_SAMPLES];
        uint32_t count;
        CHECK(dl_jpeg_ls_encode_end(encoder, pieces, &count, error) == DL_OK);
        for (uint32_t i = 0; i < count; i++)
            CHECK(dl_bytes_append(&made, pieces[i].data, pieces[i].size) == DL_OK);
    }
    *size = made.length;
    dl_jpeg_ls_encoder_free(encoder);
    return made.data;
}

static int32_t value_at(const uint8_t *at, const dl_raster *raster) {
    if (raster->sample_bytes == 1) return raster->is_signed ? (int8_t)*at : *at;
    uint16_t value = dl_load_u16(at, false);
    return raster->is_signed ? (int16_t)value : value;
}

static void check_near(const uint8_t *is, const uint8_t *was, const dl_raster *raster, size_t size,
                       uint32_t near) {
    if (near == 0) CHECK(memcmp(is, was, size) == 0);
    for (size_t i = 0; near > 0 && i < size; i += raster->sample_bytes) {
        int32_t error = value_at(is + i, raster) - value_at(was + i, raster);
        CHECK((uint32_t)(error < 0 ? -error : error) <= near);
    }
}

static void check_round_trip(const uint8_t *pixels, const dl_raster *raster,
                             const dl_jpeg_ls_options *options, size_t row, uint32_t lot) {
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
    CHECK(dl_jpeg_ls_bound(raster, options, &bound, &error) == DL_OK && first_size <= bound);
    for (dl_vectors vectors = DL_VECTORS_BEST; vectors <= DL_VECTORS_NONE; vectors++) {
        outcome o = decode(first, first_size, raster, row, vectors);
        CHECK(o.status == DL_OK);
        check_near(o.out, pixels, raster, row * raster->rows, options->near);
        free(o.out);
    }
    free(first);
    free(second);
}

/* The same pixels with no more bits than the raster says. */
static uint8_t *trimmed(const uint8_t *pixels, const dl_raster *raster, size_t size) {
    uint8_t *trim = malloc(size);
    uint32_t half = 1U << (raster->bits - 1), sign = raster->is_signed ? half : 0;
    CHECK(trim);
    for (size_t i = 0; i < size; i += raster->sample_bytes) {
        uint32_t value = raster->sample_bytes == 1 ? pixels[i] : dl_load_u16(pixels + i, false);
        value = ((value & (2 * half - 1)) ^ sign) - sign;
        trim[i] = (uint8_t)value;
        if (raster->sample_bytes == 2) trim[i + 1] = (uint8_t)(value >> 8);
    }
    return trim;
}

/* The input: samples, bytes of a sample, sign, whether pixels are trimmed, and interleave; bits and
 * restarts; NEAR; rows, columns (two bytes); then what is coded. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < SHAPE) return 0;
    dl_raster raster = {data[3],
                        dl_load_u16(data + 4, false),
                        1 + (data[0] & 3U),
                        1 + (data[0] >> 2 & 1U),
                        2 + (data[1] & 15U),
                        data[0] >> 3 & 1};
    dl_jpeg_ls_options options = {data[2], (data[0] >> 5) % 3, data[1] >> 4};
    bool trim = data[0] >> 4 & 1;
    data += SHAPE;
    size -= SHAPE;
    if (raster.bits > 8 * raster.sample_bytes) raster.bits = 8 * raster.sample_bytes;
    size_t row = (size_t)raster.columns * raster.samples * raster.sample_bytes;
    if (row == 0 || row * raster.rows > MOST) return 0;
    if (raster.rows > 0) check_decoding(data, size, &raster, row);
    raster.rows = (uint32_t)(size / row < 300 ? size / row : 300);
    options.near %= 1U << (raster.bits - 1); /* at most MAXVAL / 2 */
    if (raster.rows == 0) return 0;
    uint32_t lot = 1 + (uint32_t)(size % raster.rows);
    uint8_t *pixels = trim ? trimmed(data, &raster, row * raster.rows) : NULL;
    check_round_trip(pixels ? pixels : data, &raster, &options, row, lot);
    free(pixels);
    return 0;
}
