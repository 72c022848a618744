/* Frames to code, and a slow, plain reading of PS3.5 Annex G to hold the codec to. */
#ifndef DICOMLOOM_TESTS_RLE_H
#define DICOMLOOM_TESTS_RLE_H

#include "check.h"
#include "dicomloom/codecs.h"

static inline size_t size_of(const dl_rle_shape *shape) {
    return (size_t)shape->rows * shape->columns * shape->samples * shape->sample_bytes;
}

/* Kinds of rows: what the branches of an encoder tell apart. */
enum { NOISE, CONSTANT, RUNS, PAIRS, TRIPLES, MIXED, RAMP, KINDS };

static inline void fill(uint8_t *bytes, size_t size, int kind, uint64_t *state) {
    for (size_t i = 0, run = 0; i < size; i++) {
        bool again = i > 0 && run > 0;
        uint8_t value = again ? bytes[i - 1] : (uint8_t)random_next(state);
        if (!again) {
            uint64_t pick = random_below(state, 8);
            if (kind == NOISE) run = 1;
            if (kind == CONSTANT) run = size;
            if (kind == RUNS) run = 1 + (size_t)random_below(state, 300);
            if (kind == PAIRS) run = 2;
            if (kind == TRIPLES) run = 2 + (size_t)random_below(state, 2);
            if (kind == MIXED)
                run = pick < 4 ? 1 : pick < 7 ? 1 + pick % 3 : (size_t)random_below(state, 150) + 1;
            if (kind == RAMP) run = 1 + i % 5;
            if (kind == RAMP) value = (uint8_t)i;
        }
        bytes[i] = value;
        run--;
    }
}

/* Random bytes in which the bytes of a plane, not of a pixel, make runs. */
static inline uint8_t *frame_of(const dl_rle_shape *shape, int kind, uint64_t *state) {
    size_t stride = (size_t)shape->samples * shape->sample_bytes, size = size_of(shape);
    size_t pixels = size / stride;
    uint8_t *frame = malloc(size), *plane = malloc(pixels);
    CHECK(frame && plane);
    for (size_t k = 0; k < stride; k++) {
        fill(plane, pixels, kind, state);
        for (size_t i = 0; i < pixels; i++) frame[i * stride + k] = plane[i];
    }
    free(plane);
    return frame;
}

/* Byte `plane` of each pixel: segment s holds it for sample s / bytes, the highest byte first. */
static inline size_t plane_of(const dl_rle_shape *shape, size_t segment) {
    size_t bytes = shape->sample_bytes;
    return segment / bytes * bytes + (bytes - 1 - segment % bytes);
}

static inline uint32_t u32_at(const uint8_t *p) { return dl_load_u32(p, false); }

/* The coded frame as one block of exactly its size, for the sanitizer to watch. */
static inline uint8_t *whole(const dl_rle_frame *frame) {
    uint8_t *made = malloc((size_t)frame->size), *at = made + DL_RLE_HEADER;
    CHECK(made);
    memcpy(made, frame->header, DL_RLE_HEADER);
    for (uint32_t i = 0; i < frame->count; i++) {
        memcpy(at, frame->segments[i].data, frame->segments[i].size);
        at += frame->segments[i].size;
    }
    CHECK(at == made + frame->size);
    return made;
}

static inline void encode(dl_rle_encoder *encoder, const dl_rle_shape *shape, const uint8_t *pixels,
                          dl_rle_frame *frame) {
    dl_error error;
    CHECK(dl_rle_encode_begin(encoder, shape, &error) == DL_OK);
    CHECK(dl_rle_encode_rows(encoder, pixels, size_of(shape), &error) == DL_OK);
    CHECK(dl_rle_encode_end(encoder, frame, &error) == DL_OK);
}

#endif
