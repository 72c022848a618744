/* The kernels of JPEG-LS: one source, for any processor and for one with AVX2 and BMI2. */
#include "jpeg_ls_plan.h"

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

static inline void fill_run(uint16_t *pixels, const uint16_t *before, size_t run,
                            unsigned samples) {
    if (samples == 1) {
        const uint16_t value = *before;
        for (size_t i = 0; i < run; i++) pixels[i] = value;
    } else {
        for (size_t i = 0; i < run; i++)
            memcpy(pixels + i * samples, before, samples * sizeof *pixels);
    }
}

#define INLINE static inline __attribute__((always_inline))

#define NAME(name) plain_##name
#define PLANNERS dl_ls_planners_plain
#define KERNEL static
#define NEVER_INLINE static __attribute__((noinline))
#include "jpeg_ls_lines.inc"
static const dl_ls_kernels plain_kernels = {plain_encode, plain_decode};
#undef NAME
#undef PLANNERS
#undef KERNEL
#undef NEVER_INLINE

#ifdef DL_HAVE_AVX2
#define NAME(name) avx2_##name
#define PLANNERS dl_ls_planners_avx2
#define KERNEL static __attribute__((target("bmi,bmi2,lzcnt")))
#define NEVER_INLINE static __attribute__((noinline, target("bmi,bmi2,lzcnt")))
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
