/* The kernels of JPEG-LS: one source, for any processor and for one with AVX2 and BMI2. */
#include "jpeg_ls_plan.h"

#ifdef DL_HAVE_AVX2
#include <immintrin.h>
#endif

enum {
    RUN_INDEX_MOST = 31,
    /* Zeros before a code that are seen to at once: with 1 and 16 bits more they are no more than
     * DL_PUT_MOST. */
    FAST = 39,
    /* Before which of the 64 bits that were loaded a code must have its first 1, for all of it to
     * be there. */
    WITHIN = 64 - 16,
    K_MOST = 24 /* more than codes that are right have */
};

/* J (A.2.1): the run lengths that a bit stands for, as powers of two. */
static const uint8_t RUN_LENGTHS[RUN_INDEX_MOST + 1] = {0, 0, 0, 0, 1,  1,  1,  1,  2,  2, 2,
                                                        2, 3, 3, 3, 3,  4,  4,  5,  5,  6, 6,
                                                        7, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* What an update needs to know of N, the number of samples before it. */
typedef struct stage {
    /* As the vectors of update_ssse3() have them: what is added to B to see whether it is too
     * small; what B and C change by if it is not; the least that they may be; and what makes `lean`
     * of B.
     */
    int16_t n[8], change[8], least[8], next[4];
    /* 2^32 / (N + 1), rounded so that A times it, shifted, is (A - 1) / (N + 1) rounded down (and 0
     * where A is 0), as long as A is below 2^26. */
    uint64_t reciprocal;
} stage;

#define STAGE(n)                                                                                   \
    {                                                                                              \
        {n}, {-(n)-1, -(n)-1, 1, 0}, {-(n), DL_LS_LEAN, -128, INT16_MIN},                          \
            {0, (n) / 2 + DL_LS_LEAN + 1, 0, 0}, 0xFFFFFFFF / ((n) + 1)                            \
    }
#define STAGE8(n)                                                                                  \
    STAGE(n), STAGE(n + 1), STAGE(n + 2), STAGE(n + 3), STAGE(n + 4), STAGE(n + 5), STAGE(n + 6),  \
        STAGE(n + 7)
#ifdef __GNUC__
__attribute__((aligned(64)))
#endif
static const stage STAGES[DL_LS_RESET] = {STAGE8(0),  STAGE8(8),  STAGE8(16), STAGE8(24),
                                          STAGE8(32), STAGE8(40), STAGE8(48), STAGE8(56)};

#define ALWAYS static inline __attribute__((always_inline))

/* A.5.1: the least k with N * 2^k >= A. */
ALWAYS int32_t golomb(int32_t a, int32_t n) {
    int32_t k = (int32_t)dl_leading_zeros((uint64_t)n) - (int32_t)dl_leading_zeros((uint64_t)a | 1);
    k &= ~(k >> 31);
    return k + (n << k < a);
}

/* By N times DL_LS_STEP. */
ALWAYS const stage *stage_of(size_t n) {
    return (const stage *)(const void *)((const uint8_t *)STAGES + n);
}

/* 63 - k, by what is known of N - 1: k has as many bits as (A - 1) / N. */
ALWAYS uint16_t past_of(uint32_t a, const stage *s) {
    return (uint16_t)dl_leading_zeros(a * s->reciprocal >> 31 | 1);
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
    b += (n - 1) / 2 + DL_LS_LEAN + 1;
    context->lean = (int16_t)(b < DL_LS_LEAN ? DL_LS_LEAN : b);
}

/* A.6, of parameters that are rare. Wrong codes may give errors of any size, so A wraps. */
static void update_any(dl_ls_context *context, int32_t *count, int32_t error, int32_t step,
                       int32_t reset) {
    uint32_t a = context->a + (error < 0 ? 0 - (uint32_t)error : (uint32_t)error);
    int32_t b = (int32_t)((uint32_t)context->b + (uint32_t)error * (uint32_t)step), n = *count;
    if (n == reset) {
        a >>= 1;
        b >>= 1;
        n >>= 1;
    }
    context->a = a;
    *count = ++n;
    balance(context, b, n);
    context->past = (uint16_t)(63 - golomb((int32_t)(a & INT32_MAX), n));
}

/* A.6 with RESET = 64; `moves` is what the error adds to B, of which only the lower 16 bits count:
 * those of wrong codes may have more. */
ALWAYS void update_plain(dl_ls_context *context, int32_t error, int32_t moves) {
    uint32_t a = context->a + (error < 0 ? 0 - (uint32_t)error : (uint32_t)error);
    int32_t b = context->b + (int16_t)moves;
    size_t n = context->n;
    if (DL_UNLIKELY(n == DL_LS_RESET * DL_LS_STEP)) {
        a >>= 1;
        b >>= 1;
        n >>= 1;
    }
    context->a = a;
    context->past = past_of(a, stage_of(n));
    n += DL_LS_STEP;
    context->n = (uint16_t)n;
    balance(context, b, (int32_t)(n / DL_LS_STEP));
}

#ifdef DL_HAVE_AVX2
/* The same with B and C side by side in a vector: half of the instructions, and none of those of
 * which the processor does only four at once. Additions that saturate give what is put within its
 * bounds anyway. */
static inline __attribute__((always_inline, target("ssse3"))) __m128i load_part(const stage *s,
                                                                                size_t offset) {
    return _mm_load_si128((const __m128i *)(const void *)((const uint8_t *)s + offset));
}

static inline __attribute__((always_inline, target("ssse3,lzcnt"))) void
update_ssse3(dl_ls_context *context, int32_t error, int32_t moves) {
    uint32_t a = context->a + (error < 0 ? 0 - (uint32_t)error : (uint32_t)error);
    size_t n = context->n;
    /* B, something, C. */
    __m128i v = _mm_adds_epi16(_mm_loadl_epi64((const __m128i *)(const void *)context),
                               _mm_cvtsi32_si128(moves));
    if (DL_UNLIKELY(n == DL_LS_RESET * DL_LS_STEP)) {
        const __m128i c = _mm_set_epi32(0, 0, 0xFFFF, 0);
        v = _mm_or_si128(_mm_and_si128(c, v), _mm_andnot_si128(c, _mm_srai_epi16(v, 1)));
        a >>= 1;
        n >>= 1;
    }
    const stage *s = stage_of(n);
    context->a = a;
    context->n = (uint16_t)(n + DL_LS_STEP);
    context->past = past_of(a, s);
    /* The middle of B, B + N and 0: its sign says whether B is too large or too small. */
    __m128i beyond = _mm_adds_epi16(load_part(s, offsetof(stage, n)), v);
    beyond = _mm_max_epi16(_mm_min_epi16(beyond, _mm_setzero_si128()), v);
    beyond = _mm_shufflelo_epi16(beyond, _MM_SHUFFLE(0, 0, 0, 0));
    v = _mm_shufflelo_epi16(v, _MM_SHUFFLE(3, 2, 0, 0));
    v = _mm_add_epi16(v, load_part(s, offsetof(stage, next)));
    v = _mm_add_epi16(v, _mm_sign_epi16(load_part(s, offsetof(stage, change)), beyond));
    v = _mm_max_epi16(v, load_part(s, offsetof(stage, least)));
    v = _mm_min_epi16(v, _mm_set_epi32(0, 0, 0x7FFF007F, 0x7FFF0000));
    _mm_storel_epi64((__m128i *)(void *)context, v);
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

/* Within 16 bits. */
ALWAYS int32_t saturated(int32_t value) {
    value = value < INT16_MIN ? INT16_MIN : value;
    return value > INT16_MAX ? INT16_MAX : value;
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

/* Whether all around a pixel is alike, so that, without loss, a run begins there. Looked at before
 * a part of a line is planned: the plan of a run is for nothing. */
static inline bool begins_run(const dl_ls_line *line, size_t column, unsigned samples) {
    const uint16_t *above = line->above + column * samples;
    const uint16_t *before = line->current + column * samples - samples;
    for (unsigned s = 0; s < samples; s++) {
        uint16_t rc = *(above + s - samples);
        if (above[s] != rc || above[s + samples] != rc || before[s] != rc) return false;
    }
    return true;
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

/* A number that compilers do not put off: what is known early is to be ready when what comes late
 * is added to it. */
#ifdef __GNUC__
#define READY(x) __asm__("" : "+r"(x))
#else
#define READY(x) (void)(x)
#endif

#define NAME(name) plain_##name
#define PLANNERS dl_ls_planners_plain
#define UPDATE update_plain
#define LEADING(bits) dl_leading_zeros(bits | 1)
#define INLINE ALWAYS
#define KERNEL static
#define NEVER_INLINE static __attribute__((noinline))
#include "jpeg_ls_lines.inc"
static const dl_ls_kernels plain_kernels = {plain_encode, plain_decode};
#undef NAME
#undef PLANNERS
#undef UPDATE
#undef LEADING
#undef INLINE
#undef KERNEL
#undef NEVER_INLINE

#ifdef DL_HAVE_AVX2
/* Not all that AVX2 brings: given minima and maxima of vectors, compilers take single numbers there
 * and back for them. */
#define FOR_THESE "ssse3,bmi,bmi2,lzcnt"
#define NAME(name) avx2_##name
#define PLANNERS dl_ls_planners_avx2
#define UPDATE update_ssse3
#define LEADING(bits) (uint32_t) _lzcnt_u64(bits)
#define INLINE static inline __attribute__((always_inline, target(FOR_THESE)))
#define KERNEL static __attribute__((target(FOR_THESE)))
#define NEVER_INLINE static __attribute__((noinline, target(FOR_THESE)))
#include "jpeg_ls_lines.inc"
static const dl_ls_kernels avx2_kernels = {avx2_encode, avx2_decode};
#endif

const dl_ls_kernels *dl_ls_kernels_get(dl_vectors vectors) {
#ifdef DL_HAVE_AVX2
    if (dl_has_bmi2(vectors)) return &avx2_kernels;
#endif
    (void)vectors;
    return &plain_kernels;
}
