/* Byte planes: what RLE does to every byte, as kernels in two twins, plain C and AVX2. */
#ifndef DICOMLOOM_CODECS_PLANES_H
#define DICOMLOOM_CODECS_PLANES_H

#include "dicomloom/codecs.h"
#include "vectors.h"

enum { DL_PLANE_SLACK = 96 }; /* bytes behind a plane that dl_kernels.equal may read */

typedef struct dl_kernels {
    /* Pixels of two or three bytes to planes and back. Touch nothing beyond. */
    void (*split2)(const uint8_t *pixels, size_t count, uint8_t *first, uint8_t *second);
    void (*split3)(const uint8_t *pixels, size_t count, uint8_t *planes, size_t pitch);
    void (*join2)(const uint8_t *first, const uint8_t *second, size_t count, uint8_t *pixels);
    void (*join3)(const uint8_t *planes, size_t pitch, size_t count, uint8_t *pixels);
    /* Bit i of mask: bytes[i] == bytes[i + 1], for i + 1 < count. Bits behind them are 0, to the
     * end of two more words. Reads DL_PLANE_SLACK bytes more. */
    void (*equal)(const uint8_t *bytes, size_t count, uint64_t *mask);
} dl_kernels;

const dl_kernels *dl_kernels_get(dl_vectors vectors);
#ifdef DL_HAVE_AVX2
extern const dl_kernels dl_kernels_avx2;
#endif

/* Pixels of `stride` bytes, at most DL_RLE_SEGMENTS, to planes that lie `pitch` apart; and back. */
void dl_planes_split(const dl_kernels *kernels, const uint8_t *pixels, size_t count, size_t stride,
                     uint8_t *planes, size_t pitch);
void dl_planes_join(const dl_kernels *kernels, const uint8_t *planes, size_t pitch, size_t count,
                    size_t stride, uint8_t *pixels);

/* Words of the mask of a plane of `count` bytes. */
static inline size_t dl_mask_words(size_t count) { return (count + 63) / 64 + 2; }

/* Clears what stands behind the last pair of `count` bytes. */
static inline void dl_mask_end(uint64_t *mask, size_t count) {
    size_t last = (count - 1) / 64;
    mask[last] &= ((uint64_t)1 << (count - 1) % 64) - 1;
    for (size_t i = last + 1; i < dl_mask_words(count); i++) mask[i] = 0;
}

#endif
