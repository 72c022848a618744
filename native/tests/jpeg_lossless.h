/* Frames to code as JPEG Lossless, and what the standard says of them, slowly and by the letter. */
#ifndef DICOMLOOM_TESTS_JPEG_LOSSLESS_H
#define DICOMLOOM_TESTS_JPEG_LOSSLESS_H

#include "check.h"
#include "dicomloom/jpeg_lossless.h"

static inline size_t row_size(const dl_raster *raster) {
    return (size_t)raster->columns * raster->samples * raster->sample_bytes;
}

static inline uint32_t sample_at(const uint8_t *p, uint32_t bytes) {
    return bytes == 1 ? p[0] : dl_load_u16(p, false);
}

static inline void set_sample(uint8_t *p, uint32_t bytes, uint32_t value) {
    p[0] = (uint8_t)value;
    if (bytes == 2) p[1] = (uint8_t)(value >> 8);
}

/* Kinds of frames. LEAPS has the differences that have a category of their own (16). */
enum { NOISE, CONSTANT, SMOOTH, EXTREMES, SPARSE, LEAPS, KINDS };

static inline uint32_t value_of_kind(int kind, size_t x, size_t y, uint32_t bits, uint64_t *state) {
    uint32_t most = (1u << bits) - 1, random = (uint32_t)random_next(state);
    switch (kind) {
    case NOISE: return random & most;
    case CONSTANT: return most / 3;
    case SMOOTH: return (uint32_t)(most / 2 + 3 * x + 5 * y + random % 4) & most;
    case EXTREMES: return random & 1 ? most : 0;
    case SPARSE: return random % 32 ? 0 : random >> 8 & most;
    default: return (random & 7 ? (uint32_t)(x + y) & 1 : random >> 3 & 1) << (bits - 1);
    }
}

/* Rows `stride` apart; what lies between is noise. A sign fills a sample. */
static inline uint8_t *frame_of(const dl_raster *raster, int kind, size_t stride, uint64_t *state) {
    uint8_t *frame = malloc(stride * raster->rows);
    uint32_t bytes = raster->sample_bytes, sign = raster->is_signed ? 1u << (raster->bits - 1) : 0;
    CHECK(frame);
    for (size_t i = 0; i < stride * raster->rows; i++) frame[i] = (uint8_t)random_next(state);
    for (size_t y = 0; y < raster->rows; y++)
        for (size_t x = 0; x < (size_t)raster->columns * raster->samples; x++) {
            uint32_t value = value_of_kind(kind, x, y, raster->bits, state);
            set_sample(frame + y * stride + x * bytes, bytes, (value ^ sign) - sign);
        }
    return frame;
}

/* Rows in lots of at most `lot`, in both passes; the frame as a block of exactly its size. */
static inline uint8_t *encode_in(dl_jpeg_lossless_encoder *encoder, const dl_raster *raster,
                                 const dl_jpeg_lossless_options *options, const uint8_t *pixels,
                                 size_t stride, uint32_t lot, size_t *size) {
    dl_error error;
    dl_piece piece;
    CHECK_CASE(dl_jpeg_lossless_encode_begin(encoder, raster, options, &error) == DL_OK, "%s",
               error.message);
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t done = 0, some; done < raster->rows; done += some) {
            some = raster->rows - done < lot ? raster->rows - done : lot;
            const uint8_t *rows = pixels + done * stride;
            dl_status status =
                pass == 0 ? dl_jpeg_lossless_encode_count(encoder, rows, some, stride, &error)
                          : dl_jpeg_lossless_encode_rows(encoder, rows, some, stride, &error);
            CHECK_CASE(status == DL_OK, "%s", error.message);
        }
    CHECK_CASE(dl_jpeg_lossless_encode_end(encoder, &piece, &error) == DL_OK, "%s", error.message);
    uint8_t *coded = malloc(piece.size);
    CHECK(coded);
    memcpy(coded, piece.data, piece.size);
    *size = piece.size;
    return coded;
}

static inline int32_t predicted(unsigned predictor, int32_t a, int32_t b, int32_t c) {
    int32_t up = 1 << 20; /* so that what is halved is positive */
    switch (predictor) {
    case 1: return a;
    case 2: return b;
    case 3: return c;
    case 4: return a + b - c;
    case 5: return a + (b - c + up) / 2 - up / 2;
    case 6: return b + (a - c + up) / 2 - up / 2;
    default: return (a + b) / 2;
    }
}

/* The difference, modulo 2^16, of sample k of pixel (x, y) in a frame of values that lie `samples`
 * apart (H.1.2.1); `first` is the first row of an interval. */
static inline uint16_t difference_at(const uint16_t *values, size_t columns, size_t samples,
                                     size_t x, size_t y, size_t k, unsigned predictor, bool first,
                                     uint32_t middle) {
    const uint16_t *here = values + (y * columns + x) * samples + k;
    int32_t a = x > 0 ? here[-(ptrdiff_t)samples] : 0;
    int32_t b = first ? 0 : here[-(ptrdiff_t)(samples * columns)];
    int32_t c = x > 0 && !first ? here[-(ptrdiff_t)(samples * (columns + 1))] : 0;
    int32_t from = predicted(predictor, a, b, c);
    if (first) from = x > 0 ? a : (int32_t)middle;
    if (!first && x == 0) from = b;
    return (uint16_t)(*here - from);
}

static inline unsigned category_of(uint16_t difference) {
    uint32_t size = difference > 0x8000 ? 0x10000u - difference : difference;
    unsigned category = 0;
    for (; size; size >>= 1) category++;
    return category;
}

/* The values that are coded: bits of a sample, shifted. */
static inline uint16_t *values_of(const dl_raster *raster, const uint8_t *pixels, size_t stride,
                                  uint32_t shift) {
    size_t across = (size_t)raster->columns * raster->samples;
    uint16_t *values = malloc(across * raster->rows * sizeof *values);
    CHECK(values);
    for (size_t y = 0; y < raster->rows; y++)
        for (size_t x = 0; x < across; x++) {
            uint32_t value =
                sample_at(pixels + y * stride + x * raster->sample_bytes, raster->sample_bytes);
            values[y * across + x] = (uint16_t)((value & ((1u << raster->bits) - 1)) >> shift);
        }
    return values;
}

#endif
