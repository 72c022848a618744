/* Plans of lines of JPEG-LS, see dl_ls_plan: what needs no sample of the line to be decoded first.
 */
#ifndef DICOMLOOM_CODECS_JPEG_LS_PLAN_H
#define DICOMLOOM_CODECS_JPEG_LS_PLAN_H

#include "jpeg_ls.h"
#include "planes.h"

typedef struct dl_ls_planners {
    /* For decoding, and for near-lossless coding: context, least, most. */
    void (*above)(const dl_ls_model *model, const dl_ls_line *line, size_t samples);
    /* For coding with the usual parameters: context, error, least, most. */
    void (*whole)(const dl_ls_model *model, const dl_ls_line *line, size_t samples);
} dl_ls_planners;

extern const dl_ls_planners dl_ls_planners_plain;
#ifdef DL_HAVE_AVX2
extern const dl_ls_planners dl_ls_planners_avx2;
#endif

#endif
