#include "planes.h"

enum { HALF = 2048 }; /* bytes of a plane of halves: what is split twice stays in the first cache */

static void split2(const uint8_t *pixels, size_t count, uint8_t *first, uint8_t *second) {
    for (size_t i = 0; i < count; i++) {
        first[i] = pixels[2 * i];
        second[i] = pixels[2 * i + 1];
    }
}

static void split3(const uint8_t *pixels, size_t count, uint8_t *planes, size_t pitch) {
    for (size_t i = 0; i < count; i++) {
        planes[i] = pixels[3 * i];
        planes[pitch + i] = pixels[3 * i + 1];
        planes[2 * pitch + i] = pixels[3 * i + 2];
    }
}

static void join2(const uint8_t *first, const uint8_t *second, size_t count, uint8_t *pixels) {
    for (size_t i = 0; i < count; i++) {
        pixels[2 * i] = first[i];
        pixels[2 * i + 1] = second[i];
    }
}

static void join3(const uint8_t *planes, size_t pitch, size_t count, uint8_t *pixels) {
    for (size_t i = 0; i < count; i++) {
        pixels[3 * i] = planes[i];
        pixels[3 * i + 1] = planes[pitch + i];
        pixels[3 * i + 2] = planes[2 * pitch + i];
    }
}

static inline uint64_t load8(const uint8_t *bytes) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t value; /* not every compiler sees that dl_load_u64 is one load */
    memcpy(&value, bytes, sizeof value);
    return value;
#else
    return dl_load_u64(bytes, false);
#endif
}

/* One bit for each of eight pairs. */
static uint64_t equal8(const uint8_t *bytes) {
    const uint64_t low = 0x7F7F7F7F7F7F7F7F;
    uint64_t differ = load8(bytes) ^ load8(bytes + 1);
    uint64_t zero = ~(((differ & low) + low) | differ | low); /* 0x80 where a byte is 0 */
    return (zero >> 7) * 0x0102040810204080 >> 56;
}

static void equal(const uint8_t *bytes, size_t count, uint64_t *mask) {
    for (size_t i = 0; i < count; i += 64) {
        uint64_t word = 0;
        for (size_t k = 0; k < 64; k += 8) word |= equal8(bytes + i + k) << k;
        mask[i / 64] = word;
    }
    dl_mask_end(mask, count);
}

static const dl_kernels plain = {split2, split3, join2, join3, equal};

const dl_kernels *dl_kernels_get(dl_vectors vectors) {
#ifdef DL_HAVE_AVX2
    if (dl_has_avx2(vectors)) return &dl_kernels_avx2;
#endif
    (void)vectors;
    return &plain;
}

/* An even stride is split in two by halves of pixels, and these in turn: 6 = 2 x 3, 8 = 2 x 2 x 2.
 */
void dl_planes_split(const dl_kernels *kernels, const uint8_t *pixels, size_t count, size_t stride,
                     uint8_t *planes, size_t pitch) {
    uint8_t even[HALF], odd[HALF];
    size_t half = stride / 2, most = half ? HALF / half : 0;
    if (stride == 1) {
        memcpy(planes, pixels, count);
    } else if (stride == 2) {
        kernels->split2(pixels, count, planes, planes + pitch);
    } else if (stride == 3) {
        kernels->split3(pixels, count, planes, pitch);
    } else if (stride % 2 == 0) {
        for (size_t n; count > 0; count -= n, pixels += n * stride, planes += n) {
            n = count < most ? count : most;
            kernels->split2(pixels, n * half, even, odd);
            dl_planes_split(kernels, even, n, half, planes, 2 * pitch);
            dl_planes_split(kernels, odd, n, half, planes + pitch, 2 * pitch);
        }
    } else {
        for (size_t k = 0; k < stride; k++)
            for (size_t i = 0; i < count; i++) planes[k * pitch + i] = pixels[i * stride + k];
    }
}

void dl_planes_join(const dl_kernels *kernels, const uint8_t *planes, size_t pitch, size_t count,
                    size_t stride, uint8_t *pixels) {
    uint8_t even[HALF], odd[HALF];
    size_t half = stride / 2, most = half ? HALF / half : 0;
    if (stride == 1) {
        memcpy(pixels, planes, count);
    } else if (stride == 2) {
        kernels->join2(planes, planes + pitch, count, pixels);
    } else if (stride == 3) {
        kernels->join3(planes, pitch, count, pixels);
    } else if (stride % 2 == 0) {
        for (size_t n; count > 0; count -= n, pixels += n * stride, planes += n) {
            n = count < most ? count : most;
            dl_planes_join(kernels, planes, 2 * pitch, n, half, even);
            dl_planes_join(kernels, planes + pitch, 2 * pitch, n, half, odd);
            kernels->join2(even, odd, n * half, pixels);
        }
    } else {
        for (size_t k = 0; k < stride; k++)
            for (size_t i = 0; i < count; i++) pixels[i * stride + k] = planes[k * pitch + i];
    }
}
