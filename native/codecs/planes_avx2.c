/* The twins for AVX2, chosen at run time: the rest of the library is built for any x86. */
#include "planes.h"

#ifdef DL_HAVE_AVX2
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i load(const uint8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

AVX2 static inline void store(uint8_t *p, __m256i v) {
    _mm256_storeu_si256((__m256i *)(void *)p, v);
}

AVX2 static inline __m256i twice(const uint8_t *p) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p));
}

AVX2 static void split2(const uint8_t *pixels, size_t count, uint8_t *first, uint8_t *second) {
    const __m256i low = _mm256_set1_epi16(0xFF);
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m256i a = load(pixels + 2 * i), b = load(pixels + 2 * i + 32);
        __m256i even = _mm256_packus_epi16(_mm256_and_si256(a, low), _mm256_and_si256(b, low));
        __m256i odd = _mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8));
        store(first + i, _mm256_permute4x64_epi64(even, 0xD8));
        store(second + i, _mm256_permute4x64_epi64(odd, 0xD8));
    }
    for (; i < count; i++) {
        first[i] = pixels[2 * i];
        second[i] = pixels[2 * i + 1];
    }
}

AVX2 static void join2(const uint8_t *first, const uint8_t *second, size_t count, uint8_t *pixels) {
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m256i a = load(first + i), b = load(second + i);
        __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
        store(pixels + 2 * i, _mm256_permute2x128_si256(low, high, 0x20));
        store(pixels + 2 * i + 32, _mm256_permute2x128_si256(low, high, 0x31));
    }
    for (; i < count; i++) {
        pixels[2 * i] = first[i];
        pixels[2 * i + 1] = second[i];
    }
}

/* Of 16 pixels in three vectors, the bytes of one plane stand at other places in each vector, so
 * all three blend into one, and a shuffle puts it in order. THIRDS[k] marks every third byte from
 * k. */
static const uint8_t THIRDS[3][16] = {{255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 255},
                                      {0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0},
                                      {0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0}};
/* Where byte i of plane k stands in the blend; and which byte of plane k stands at place i. */
static const uint8_t ORDER[3][16] = {{0, 3, 6, 9, 12, 15, 2, 5, 8, 11, 14, 1, 4, 7, 10, 13},
                                     {1, 4, 7, 10, 13, 0, 3, 6, 9, 12, 15, 2, 5, 8, 11, 14},
                                     {2, 5, 8, 11, 14, 1, 4, 7, 10, 13, 0, 3, 6, 9, 12, 15}};
static const uint8_t PLACE[3][16] = {{0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10, 5},
                                     {5, 0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10},
                                     {10, 5, 0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15}};

/* a where the second mask and the third are not set. */
AVX2 static inline __m256i blend3(__m256i a, __m256i b, __m256i c, __m256i second, __m256i third) {
    return _mm256_blendv_epi8(_mm256_blendv_epi8(a, b, second), c, third);
}

AVX2 static void split3(const uint8_t *pixels, size_t count, uint8_t *planes, size_t pitch) {
    const __m256i t0 = twice(THIRDS[0]), t1 = twice(THIRDS[1]), t2 = twice(THIRDS[2]);
    const __m256i o0 = twice(ORDER[0]), o1 = twice(ORDER[1]), o2 = twice(ORDER[2]);
    size_t i = 0;
    for (; i + 32 <= count; i += 32) { /* each lane has 16 pixels of its own */
        __m256i x = load(pixels + 3 * i), y = load(pixels + 3 * i + 32),
                z = load(pixels + 3 * i + 64);
        __m256i a = _mm256_permute2x128_si256(x, y, 0x30);
        __m256i b = _mm256_permute2x128_si256(x, z, 0x21);
        __m256i c = _mm256_permute2x128_si256(y, z, 0x30);
        store(planes + i, _mm256_shuffle_epi8(blend3(a, b, c, t2, t1), o0));
        store(planes + pitch + i, _mm256_shuffle_epi8(blend3(a, b, c, t0, t2), o1));
        store(planes + 2 * pitch + i, _mm256_shuffle_epi8(blend3(a, b, c, t1, t0), o2));
    }
    for (; i < count; i++)
        for (size_t k = 0; k < 3; k++) planes[k * pitch + i] = pixels[3 * i + k];
}

AVX2 static void join3(const uint8_t *planes, size_t pitch, size_t count, uint8_t *pixels) {
    const __m256i t0 = twice(THIRDS[0]), t1 = twice(THIRDS[1]), t2 = twice(THIRDS[2]);
    const __m256i p0 = twice(PLACE[0]), p1 = twice(PLACE[1]), p2 = twice(PLACE[2]);
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m256i x = _mm256_shuffle_epi8(load(planes + i), p0);
        __m256i y = _mm256_shuffle_epi8(load(planes + pitch + i), p1);
        __m256i z = _mm256_shuffle_epi8(load(planes + 2 * pitch + i), p2);
        __m256i a = blend3(x, y, z, t1, t2), b = blend3(x, y, z, t0, t1),
                c = blend3(x, y, z, t2, t0);
        store(pixels + 3 * i, _mm256_permute2x128_si256(a, b, 0x20));
        store(pixels + 3 * i + 32, _mm256_permute2x128_si256(c, a, 0x30));
        store(pixels + 3 * i + 64, _mm256_permute2x128_si256(b, c, 0x31));
    }
    for (; i < count; i++)
        for (size_t k = 0; k < 3; k++) pixels[3 * i + k] = planes[k * pitch + i];
}

AVX2 static inline uint64_t equal32(const uint8_t *bytes) {
    __m256i same = _mm256_cmpeq_epi8(load(bytes), load(bytes + 1));
    return (uint32_t)_mm256_movemask_epi8(same);
}

AVX2 static void equal(const uint8_t *bytes, size_t count, uint64_t *mask) {
    for (size_t i = 0; i < count; i += 64)
        mask[i / 64] = equal32(bytes + i) | equal32(bytes + i + 32) << 32;
    dl_mask_end(mask, count);
}

const dl_kernels dl_kernels_avx2 = {split2, split3, join2, join3, equal};
#else
typedef int dl_no_avx2; /* ISO C wants something in a file */
#endif
