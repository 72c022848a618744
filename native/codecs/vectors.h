/* Whether twins for AVX2 are built; which one runs is found out at run time. */
#ifndef DICOMLOOM_CODECS_VECTORS_H
#define DICOMLOOM_CODECS_VECTORS_H

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#define DL_HAVE_AVX2 1
#endif

#endif
