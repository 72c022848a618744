/* What the encoder and the decoder of JPEG-LS share: parameters, statistics, and the kernels that
 * code a line. Names in capitals are those of ISO/IEC 14495-1. */
#ifndef DICOMLOOM_CODECS_JPEG_LS_H
#define DICOMLOOM_CODECS_JPEG_LS_H

#include "bitio.h"
#include "dicomloom/jpeg_ls.h"

enum {
    DL_LS_CONTEXTS = 365, /* regular mode (A.3.4) */
    DL_LS_RESET = 64,
    DL_LS_LONGEST = 64, /* bits of a code at most: LIMIT of 16 bits */
    /* Bytes behind the bits of a line that kernels may write or read. */
    DL_LS_SLACK = 32
};

typedef struct dl_ls_parameters {
    int32_t bits; /* P */
    int32_t maxval, near, t1, t2, t3, reset;
} dl_ls_parameters;

/* What decoding a sample waits for stands side by side; both structures have eight bytes, so that
 * an index needs no multiplication. */
typedef struct dl_ls_context {
    int16_t c;   /* C: correction of the prediction */
    uint16_t n;  /* N */
    uint8_t k;   /* the Golomb parameter that A and N give (A.5.1) */
    int8_t flip; /* -1: errors are mapped the other way around (A.5.2), else 0 */
    int16_t unused;
} dl_ls_context;

typedef struct dl_ls_sums {
    int32_t a, b;
} dl_ls_sums;

/* A context of run interruption (A.7.2). */
typedef struct dl_ls_interruption {
    int32_t a, n, nn;
} dl_ls_interruption;

typedef struct dl_ls_model {
    dl_ls_parameters parameters;
    int32_t range, qbpp, limit;
    bool modular; /* lossless with RANGE = 2^P: errors wrap as P bits do */
    /* Of the quantizer of gradients (A.3.3): quantize[d] for -maxval <= d <= maxval, and the same
     * with the sign of d reversed. */
    const int8_t *quantize, *quantize_reversed;
    uint32_t run_index[DL_JPEG_LS_SAMPLES];
    dl_ls_context contexts[DL_LS_CONTEXTS];
    dl_ls_sums sums[DL_LS_CONTEXTS];
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

/* --- lines ---
 * Of `width` pixels of `samples` samples each, with one pixel of room before and behind. */

typedef struct dl_ls_line {
    const uint16_t *above;
    uint16_t *current;  /* what is coded; near-lossless, what the decoder will have */
    int16_t *gradients; /* room for width x samples */
    size_t width;
    uint32_t *run_index;
} dl_ls_line;

/* Bits that are to be decoded, without stuffing; `at` is the first byte of which not all are in
 * `bits`. Behind the last there are DL_LS_SLACK zeros. */
typedef struct dl_ls_input {
    const uint8_t *at;
    uint64_t bits;
    unsigned count; /* of bits that are valid, from the highest */
} dl_ls_input;

typedef struct dl_ls_kernels {
    /* Codes a line; the writer has room for DL_LS_LONGEST bits a sample and DL_LS_SLACK bytes. */
    void (*encode)(dl_ls_model *model, const dl_ls_line *line, unsigned samples,
                   dl_bit_writer *writer);
    /* Decodes a line. False: no code can begin with these bits; *column is where. */
    bool (*decode)(dl_ls_model *model, const dl_ls_line *line, unsigned samples, dl_ls_input *input,
                   size_t *column);
} dl_ls_kernels;

const dl_ls_kernels *dl_ls_kernels_get(dl_vectors vectors);

#endif
