/* Plans of samples of JPEG-LS, see dl_ls_plan: what needs no sample to be decoded first. */
#ifndef DICOMLOOM_CODECS_JPEG_LS_PLAN_H
#define DICOMLOOM_CODECS_JPEG_LS_PLAN_H

#include "jpeg_ls.h"
#include "planes.h"

/* Of `count` samples from `first` on, line->plan[0] being that of the first. */
typedef void dl_ls_planner(const dl_ls_model *model, const dl_ls_line *line, size_t samples,
                           size_t first, size_t count);

typedef struct dl_ls_planners {
    dl_ls_planner *above; /* for parameters that are not usual, coding and decoding */
    dl_ls_planner *whole; /* for coding with the usual ones */
    dl_ls_planner *parts; /* for decoding with them; what begins with line->parts[0] */
} dl_ls_planners;

extern const dl_ls_planners dl_ls_planners_plain;
#ifdef DL_HAVE_AVX2
extern const dl_ls_planners dl_ls_planners_avx2;
#endif

#endif
