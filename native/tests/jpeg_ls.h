/* Frames to code as JPEG-LS, and ways to have them coded. */
#ifndef DICOMLOOM_TESTS_JPEG_LS_H
#define DICOMLOOM_TESTS_JPEG_LS_H

#include "check.h"
#include "dicomloom/jpeg_ls.h"

static inline size_t row_size(const dl_raster *raster) {
    return (size_t)raster->columns * raster->samples * raster->sample_bytes;
}

static inline void set_sample(uint8_t *p, uint32_t bytes, uint32_t value) {
    p[0] = (uint8_t)value;
    if (bytes == 2) p[1] = (uint8_t)(value >> 8);
}

static inline int32_t value_at(const uint8_t *p, const dl_raster *raster) {
    if (raster->sample_bytes == 1) return raster->is_signed ? (int8_t)*p : *p;
    uint16_t value = dl_load_u16(p, false);
    return raster->is_signed ? (int16_t)value : value;
}

/* The largest NEAR (C.2.3). */
static inline uint32_t most_near(uint32_t bits) { return bits > 9 ? 255 : (1u << (bits - 1)) - 1; }

/* Kinds of frames. RUNS are long and end anywhere; TEXTURE has gradients of all sizes. */
enum { NOISE, CONSTANT, SMOOTH, EXTREMES, RUNS, TEXTURE, KINDS };

static inline uint32_t value_of_kind(int kind, size_t x, size_t y, uint32_t bits, uint64_t *state) {
    uint32_t most = (1u << bits) - 1, random = (uint32_t)random_next(state);
    switch (kind) {
    case NOISE: return random & most;
    case CONSTANT: return most / 3;
    case SMOOTH: return (uint32_t)(most / 2 + 3 * x + 5 * y + random % 4) & most;
    case EXTREMES: return random & 1 ? most : 0;
    case RUNS: return random % 32 ? (uint32_t)(y / 2 + x / 64) & most : random >> 8 & most;
    default: return (random >> 8 & most) >> random % (bits + 1);
    }
}

/* Where values near the ends of what is signed are refused, they are moved towards 0. */
static inline uint32_t moved_from_ends(uint32_t value, uint32_t bits, uint32_t near) {
    uint32_t half = 1u << (bits - 1);
    if (value >= half && value < half + near) return half + near;
    return value < half && value + near >= half ? half - 1 - near : value;
}

/* Rows `stride` apart; what lies between is noise. A sign fills a sample. */
static inline uint8_t *frame_of(const dl_raster *raster, int kind, uint32_t near, size_t stride,
                                uint64_t *state) {
    uint8_t *frame = malloc(stride * raster->rows);
    uint32_t bytes = raster->sample_bytes, sign = raster->is_signed ? 1u << (raster->bits - 1) : 0;
    CHECK(frame);
    for (size_t i = 0; i < stride * raster->rows; i++) frame[i] = (uint8_t)random_next(state);
    for (size_t y = 0; y < raster->rows; y++)
        for (size_t x = 0; x < (size_t)raster->columns * raster->samples; x++) {
            uint32_t value = value_of_kind(kind, x, y, raster->bits, state);
            if (sign) value = moved_from_ends(value, raster->bits, near);
            set_sample(frame + y * stride + x * bytes, bytes, (value ^ sign) - sign);
        }
    return frame;
}

/* Rows in lots of at most `lot`; the scans as a block of exactly their size. */
static inline uint8_t *encode_in(dl_jpeg_ls_encoder *encoder, const dl_raster *raster,
                                 const dl_jpeg_ls_options *options, const uint8_t *pixels,
                                 size_t stride, uint32_t lot, size_t *size) {
    dl_error error;
    dl_piece pieces[DL_JPEG_LS_SAMPLES];
    uint32_t count;
    CHECK_CASE(dl_jpeg_ls_encode_begin(encoder, raster, options, &error) == DL_OK, "%s",
               error.message);
    for (uint32_t done = 0, some; done < raster->rows; done += some) {
        some = raster->rows - done < lot ? raster->rows - done : lot;
        dl_status status =
            dl_jpeg_ls_encode_rows(encoder, pixels + done * stride, some, stride, &error);
        CHECK_CASE(status == DL_OK, "%s", error.message);
    }
    CHECK_CASE(dl_jpeg_ls_encode_end(encoder, pieces, &count, &error) == DL_OK, "%s",
               error.message);
    *size = 0;
    for (uint32_t i = 0; i < count; i++) *size += pieces[i].size;
    uint8_t *coded = malloc(*size), *next = coded;
    CHECK(coded);
    for (uint32_t i = 0; i < count; next += pieces[i++].size)
        memcpy(next, pieces[i].data, pieces[i].size);
    return coded;
}

#endif
