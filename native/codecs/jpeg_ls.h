/* What the encoder and the decoder of JPEG-LS share: parameters, statistics, and the kernels that
 * code a line. Names in capitals are those of ISO/IEC 14495-1. */
#ifndef DICOMLOOM_CODECS_JPEG_LS_H
#define DICOMLOOM_CODECS_JPEG_LS_H

#include "bitio.h"
#include "dicomloom/jpeg_ls.h"

enum {
    DL_LS_CONTEXTS = 365, /* regular mode (A.3.4) */
    DL_LS_RESET = 64,
    DL_LS_NEAR_MOST = 255, /* (C.2.3) */
    DL_LS_LONGEST = 64,    /* bits of a code at most: LIMIT of 16 bits */
    /* Bytes behind the bits of a line that kernels may write or read. */
    DL_LS_SLACK = 32
};

typedef struct dl_ls_parameters {
    int32_t bits; /* P */
    int32_t maxval, near, t1, t2, t3, reset;
} dl_ls_parameters;

/* Statistics of a context (A.2.1, A.6), and what coding its next sample needs to know of them. */
typedef struct dl_ls_context {
    int16_t b;    /* B */
    int16_t lean; /* 62 where 2 B <= -N, more elsewhere: see flip() */
    int16_t c;    /* C, the correction of the prediction */
    int16_t unused;
    uint32_t a;    /* A */
    uint16_t n;    /* N times DL_LS_STEP */
    uint16_t past; /* 63 - k, k being the Golomb parameter that A and N give (A.5.1) */
} dl_ls_context;

enum {
    DL_LS_SCALE = sizeof(dl_ls_context), /* indices of contexts are counted in bytes */
    DL_LS_STEP = 64,                     /* and N in bytes of a table */
    DL_LS_LEAN = 62
};

/* A context of run interruption (A.7.2). */
typedef struct dl_ls_interruption {
    int32_t a, n, nn;
} dl_ls_interruption;

typedef struct dl_ls_model {
    dl_ls_parameters parameters;
    int32_t range, qbpp, limit;
    bool usual; /* lossless with RANGE = 2^P, so that errors wrap as P bits do, and RESET = 64 */
    /* Of the quantizer of gradients (A.3.3): quantize[d] for -maxval <= d <= maxval, and the same
     * with the sign of d reversed; in units of DL_LS_SCALE. */
    const int8_t *quantize, *quantize_reversed;
    uint32_t run_index[DL_JPEG_LS_SAMPLES];
    dl_ls_context contexts[DL_LS_CONTEXTS];
    int32_t counts[DL_LS_CONTEXTS]; /* N of each where the parameters are not usual */
    dl_ls_interruption interruptions[2];
} dl_ls_model;

/* The table that model->quantize points into; kept from frame to frame. */
typedef struct dl_ls_quantizer {
    dl_ls_parameters made_for;
    dl_bytes bytes;
} dl_ls_quantizer;

/* C.2.4.1.1.1: the thresholds for MAXVAL and NEAR. */
void dl_ls_default_thresholds(dl_ls_parameters *parameters);
DL_NODISCARD dl_status dl_ls_quantizer_make(dl_ls_quantizer *quantizer,
                                            const dl_ls_parameters *parameters, dl_error *error);
/* The state in which a scan, and each restart interval, begins (A.8). */
void dl_ls_model_start(dl_ls_model *model, const dl_ls_parameters *parameters,
                       const dl_ls_quantizer *quantizer);

/* --- lines -------------------------------------------------------------------------------------
 */

/* What the lines decide of a sample before its turn comes. */
typedef struct dl_ls_plan {
    /* 81 Q1 + 9 Q2, what the line above says of the context; coding with the usual parameters, the
     * absolute value of the whole. In DL_LS_SCALE. */
    int16_t context;
    /* Rb; coding with the usual parameters, the error with the sign of the context and without C.
     */
    uint16_t base;
    /* The smaller and the larger of Rb and Rc: Ra + Rb minus what of them is nearest to Ra is the
     * median of A.4.1. Coding with the usual parameters, between which values (of int16_t) C does
     * not lead beyond 0 and MAXVAL. */
    uint16_t least, most;
} dl_ls_plan;

enum {
    DL_LS_PLANNED = 128, /* pixels that are planned at once */
    DL_LS_ROOM = DL_LS_PLANNED * DL_JPEG_LS_SAMPLES + 16
};

/* The plan for decoding with the usual parameters: an array of each of these, so that all of a
 * sample are at fixed distances from the first. Where the sign of the context is known and
 * negative, all samples are exchanged for MAXVAL minus themselves, and there is no sign any more.
 */
enum {
    DL_LS_INDEX,    /* the absolute value of 81 Q1 + 9 Q2, in DL_LS_SCALE */
    DL_LS_EXCHANGE, /* MAXVAL where samples are exchanged, or 0: to be combined by exclusive or */
    DL_LS_RB,
    DL_LS_RC,
    DL_LS_LEAST, /* the smaller and the larger of Rb and Rc */
    DL_LS_MOST,
    DL_LS_PARTS
};

typedef struct dl_ls_line {
    const uint16_t *above;
    uint16_t *current; /* what is coded; near-lossless, what the decoder will have */
    dl_ls_plan *plan;  /* room for DL_LS_ROOM */
    uint16_t *parts;   /* DL_LS_PARTS times DL_LS_ROOM */
    size_t width;
    uint32_t *run_index;
} dl_ls_line;

/* The lines of a row: the one above and the current one of each. They have a pixel of room before
 * them, and one and what kernels read too much behind. */
typedef struct dl_ls_lines {
    uint32_t count, pixel; /* lines; samples of a pixel */
    size_t size;           /* samples of a line */
    dl_bytes room;
    uint16_t *above[DL_JPEG_LS_SAMPLES], *current[DL_JPEG_LS_SAMPLES];
    dl_ls_plan plan[DL_LS_ROOM];
    uint16_t parts[DL_LS_PARTS * DL_LS_ROOM];
} dl_ls_lines;

/* Bits that are to be decoded, without stuffing. Behind the last there are DL_LS_SLACK bytes of
 * zeros. */
typedef struct dl_ls_input {
    const uint8_t *window;
    size_t at;   /* bits that were taken from it */
    bool failed; /* no code begins with those at `at` */
} dl_ls_input;

typedef struct dl_ls_kernels {
    /* Codes a line; the writer has room for DL_LS_LONGEST bits a sample and DL_LS_SLACK bytes. */
    void (*encode)(dl_ls_model *model, const dl_ls_line *line, unsigned samples,
                   dl_bit_writer *writer);
    /* Decodes a line, unless the input fails. */
    void (*decode)(dl_ls_model *model, const dl_ls_line *line, unsigned samples,
                   dl_ls_input *input);
} dl_ls_kernels;

const dl_ls_kernels *dl_ls_kernels_get(dl_vectors vectors);

/* Makes `count` lines of `columns` pixels; the room is kept from frame to frame. */
DL_NODISCARD dl_status dl_ls_lines_make(dl_ls_lines *lines, uint32_t count, uint32_t pixel,
                                        uint32_t columns, dl_error *error);
/* Nothing above, as at the beginning of a scan. */
void dl_ls_lines_clear(dl_ls_lines *lines);
/* What stands beside the lines (A.2.1: Ra, Rc and Rd at the edges); then a kernel may run. */
dl_ls_line dl_ls_line_begin(dl_ls_lines *lines, uint32_t index, uint32_t *run_index);
/* The current line becomes the one above. */
void dl_ls_line_end(dl_ls_lines *lines, uint32_t index);

#endif
