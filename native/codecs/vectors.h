/* Twins of kernels: which are built, and which of them this processor runs. */
#ifndef DICOMLOOM_CODECS_VECTORS_H
#define DICOMLOOM_CODECS_VECTORS_H

#include "dicomloom/codecs.h"

/* Not 32-bit processors, whose other registers hold half of what the kernels put there. */
#if defined(__GNUC__) && defined(__x86_64__)
#define DL_HAVE_AVX2 1
#endif

static inline bool dl_has_avx2(dl_vectors vectors) {
#ifdef DL_HAVE_AVX2
    return vectors == DL_VECTORS_BEST && __builtin_cpu_supports("avx2");
#else
    (void)vectors;
    return false;
#endif
}

/* And BMI2; whoever has these has lzcnt. */
static inline bool dl_has_bmi2(dl_vectors vectors) {
#ifdef DL_HAVE_AVX2
    return dl_has_avx2(vectors) && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
    return dl_has_avx2(vectors);
#endif
}

#endif
