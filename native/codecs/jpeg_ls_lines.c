/* The kernels of JPEG-LS: one source, for any processor and for one with AVX2 and BMI2. */
#include "jpeg_ls_plan.h"

#ifdef DL_HAVE_AVX2
#include <tmmintrin.h>
#endif

enum {
    RUN_INDEX_MOST = 31,
    /* Zeros before a code that are seen to at once: with 1 and 16 bits more they are no more than
     * DL_PUT_MOST. */
    FAST = 39
};

/* J (A.2.1): the run lengths that a bit stands for, as powers of two. */
static const uint8_t RUN_LENGTHS[RUN_INDEX_MOST + 1] = {0, 0, 0, 0, 1,  1,  1,  1,  2,  2, 2,
                                                        2, 3, 3, 3, 3,  4,  4,  5,  5,  6, 6,
                                                        7, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* 2^32 / N, rounded so that A times it, shifted, is (A - 1) / N rounded down (and 0 where A is 0),
 * as long as A is below 2^26. */
#define DOWN(n) (uint32_t)(0xFFFFFFFF / (n))
#define DOWN8(n)                                                                                   \
    DOWN(n), DOWN(n + 1), DOWN(n + 2), DOWN(n + 3), DOWN(n + 4), DOWN(n + 5), DOWN(n + 6),         \
        DOWN(n + 7)
static const uint32_t RECIPROCALS[DL_LS_RESET + 1] = {
    0, DOWN8(1), DOWN8(9), DOWN8(17), DOWN8(25), DOWN8(33), DOWN8(41), DOWN8(49), DOWN8(57)};

#define ALWAYS static inline __attribute__((always_inline))

/* A.5.1: the least k with N * 2^k >= A. */
ALWAYS int32_t golomb(int32_t a, int32_t n) {
    int32_t k = (int32_t)dl_leading_zeros((uint64_t)n) - (int32_t)dl_leading_zeros((uint64_t)a | 1);
    k &= ~(k >> 31);
    return k + (n << k < a);
}

/* 63 - k, for N up to RESET: k has as many bits as (A - 1) / N. */
ALWAYS uint8_t past_of(uint32_t a, uint32_t n) {
    return (uint8_t)dl_leading_zeros((uint64_t)a * RECIPROCALS[n] >> 31 | 1);
}

/* A.6.2: brings B, to which an error was added, between -N and 0, and C after it. N counts the
 * sample already. */
ALWAYS void balance(dl_ls_context *context, int32_t b, int32_t n) {
    int32_t high = -b >> 31, low = (b + n - 1) >> 31; /* -1 where B > 0, and where B <= -N */
    int32_t c = context->c + low - high;
    b += (n & low) - (n & high);
    b = b < 1 - n ? 1 - n : b;
    b = b > 0 ? 0 : b;
    c = c < -128 ? -128 : c;
    context->c = (int16_t)(c > 127 ? 127 : c);
    context->b = (int16_t)b;
    context->slope = (int16_t)(2 * b + n - 1);
}

/* A.6, of samples that are few or parameters that are rare. Wrong codes may give errors of any
 * size, so A wraps. */
static void update_any(dl_ls_context *context, int32_t error, int32_t step, int32_t reset) {
    uint32_t a =
        (uint32_t)context->a + (uint32_t)(error < 0 ? 0 - (uint32_t)error : (uint32_t)error);
    int32_t b = (int32_t)((uint32_t)context->b + (uint32_t)error * (uint32_t)step);
    if (context->n == (uint32_t)reset) {
        a >>= 1;
        b >>= 1;
        context->n >>= 1;
    }
    context->a = (int32_t)a;
    context->n++;
    balance(context, b, (int32_t)context->n);
    context->past = (uint8_t)(63 - golomb((int32_t)(a & INT32_MAX), (int32_t)context->n));
}

ALWAYS void bias_plain(dl_ls_context *context, int32_t error) {
    balance(context, (int32_t)((uint32_t)context->b + (uint32_t)error), (int32_t)context->n + 1);
}

#ifdef DL_HAVE_AVX2
/* The same with B and C side by side in a vector: half of the instructions, and none of those of
 * which the processor does only four at once. Additions that saturate give what is put within its
 * bounds anyway. Beyond 16 bits only wrong codes have errors. */
static inline __attribute__((always_inline, target("ssse3"))) void
bias_ssse3(dl_ls_context *context, int32_t error) {
    int32_t pair;
    memcpy(&pair, &context->b, sizeof pair);
    const __m128i n = _mm_cvtsi32_si128((int32_t)context->n); /* without the sample */
    __m128i v = _mm_adds_epi16(_mm_cvtsi32_si128(pair), _mm_cvtsi32_si128((uint16_t)error));
    __m128i low = _mm_srai_epi16(_mm_shufflelo_epi16(_mm_adds_epi16(v, n), 0), 15);
    __m128i high = _mm_cmpgt_epi16(_mm_shufflelo_epi16(v, 0), _mm_setzero_si128());
    __m128i change = _mm_sub_epi16(_mm_cvtsi32_si128(0x0001FFFF), n); /* -N - 1 and 1 */
    v = _mm_add_epi16(v, _mm_sign_epi16(change, _mm_sub_epi16(low, high)));
    v = _mm_max_epi16(v, _mm_sub_epi16(_mm_cvtsi32_si128((int32_t)0xFF800000), n)); /* -N, -128 */
    v = _mm_min_epi16(v, _mm_cvtsi32_si128(0x007F0000));                            /* 0, 127 */
    pair = _mm_cvtsi128_si32(v);
    memcpy(&context->b, &pair, sizeof pair);
    pair = _mm_cvtsi128_si32(_mm_add_epi16(_mm_add_epi16(v, v), n));
    memcpy(&context->slope, &pair, sizeof pair);
}
#endif

static inline void interruption_update(dl_ls_interruption *context, int32_t error, int32_t mapped,
                                       bool flat, int32_t reset) {
    context->nn += error < 0;
    context->a += (mapped + 1 - flat) >> 1;
    if (context->n == reset) {
        context->a >>= 1;
        context->n >>= 1;
        context->nn >>= 1;
    }
    context->n++;
}

static inline size_t smallest(size_t a, size_t b) { return a < b ? a : b; }

/* How many samples are alike in both, from the first on. */
static size_t equal_samples(const uint16_t *a, const uint16_t *b, size_t count) {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        uint64_t x, y;
        memcpy(&x, a + i, sizeof x);
        memcpy(&y, b + i, sizeof y);
        if (x != y) break;
    }
    while (i < count && a[i] == b[i]) i++;
    return i;
}

/* A pixel again and again. */
static void fill_run(uint16_t *pixels, const uint16_t *before, size_t run, unsigned samples) {
    const size_t count = run * samples;
    if (run == 0) return;
    if (samples == 1) {
        const uint16_t value = *before;
        for (size_t i = 0; i < count; i++) pixels[i] = value;
        return;
    }
    memcpy(pixels, before, samples * sizeof *pixels);
    for (size_t done = samples, more; done < count; done += more) {
        more = smallest(done, count - done);
        memcpy(pixels + done, pixels, more * sizeof *pixels);
    }
}

#define NAME(name) plain_##name
#define PLANNERS dl_ls_planners_plain
#define BIAS bias_plain
#define INLINE ALWAYS
#define KERNEL static
#define NEVER_INLINE static __attribute__((noinline))
#include "jpeg_ls_lines.inc"
static const dl_ls_kernels plain_kernels = {plain_encode, plain_decode};
#undef NAME
#undef PLANNERS
#undef BIAS
#undef INLINE
#undef KERNEL
#undef NEVER_INLINE

#ifdef DL_HAVE_AVX2
/* Not all that AVX2 brings: given minima and maxima of vectors, compilers take single numbers there
 * and back for them. */
#define FOR_THESE "ssse3,bmi,bmi2,lzcnt"
#define NAME(name) avx2_##name
#define PLANNERS dl_ls_planners_avx2
#define BIAS bias_ssse3
#define INLINE static inline __attribute__((always_inline, target(FOR_THESE)))
#define KERNEL static __attribute__((target(FOR_THESE)))
#define NEVER_INLINE static __attribute__((noinline, target(FOR_THESE)))
#include "jpeg_ls_lines.inc"
static const dl_ls_kernels avx2_kernels = {avx2_encode, avx2_decode};
#endif

const dl_ls_kernels *dl_ls_kernels_get(dl_vectors vectors) {
#ifdef DL_HAVE_AVX2
    if (vectors == DL_VECTORS_BEST && __builtin_cpu_supports("avx2") &&
        __builtin_cpu_supports("bmi2")) /* whoever has these has lzcnt */
        return &avx2_kernels;
#endif
    (void)vectors;
    return &plain_kernels;
}
