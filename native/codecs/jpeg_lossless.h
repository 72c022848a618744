/* What the encoder and the decoder of JPEG Lossless share: code tables, and kernels over lines in
 * two twins, plain C and AVX2. A line is a row as 16 bit numbers, all samples of a pixel side by
 * side, so that the neighbour to the left stands `samples` places before. */
#ifndef DICOMLOOM_CODECS_JPEG_LOSSLESS_H
#define DICOMLOOM_CODECS_JPEG_LOSSLESS_H

#include "dicomloom/jpeg_lossless.h"
#include "vectors.h"

/* For loops that are made several times, with other constants or for another processor. */
#if defined(__GNUC__)
#define DL_ALWAYS_INLINE __attribute__((always_inline)) static inline
#else
#define DL_ALWAYS_INLINE static inline
#endif

enum {
    DL_COMPONENTS = 4,  /* of a scan, at most (B.2.3) */
    DL_CATEGORIES = 17, /* of differences: 0 to 16 (table H.2) */
    DL_CODE_BITS = 16,  /* of the longest code */
    DL_LINE_SLACK = 64  /* places behind a line that kernels may read and write */
};

/* --- code tables -------------------------------------------------------------------------------
 */

/* As DHT says it (B.2.4.2): how many codes of 1 to 16 bits, and what they stand for, in their
 * order. */
typedef struct dl_huffman {
    uint8_t lengths[DL_CODE_BITS];
    uint8_t values[DL_CATEGORIES];
    uint8_t count; /* of codes */
} dl_huffman;

typedef struct dl_code {
    uint16_t bits;
    uint8_t length;
} dl_code;

/* The codes in their order (annex C). */
void dl_huffman_codes(const dl_huffman *table, dl_code codes[DL_CATEGORIES]);
/* The table that codes these numbers of categories in the fewest bits, no code longer than 16 and
 * none all ones. */
void dl_huffman_best(const uint64_t counts[DL_CATEGORIES], dl_huffman *table);

/* --- lines -------------------------------------------------------------------------------------
 */

/* How samples lie in memory. */
typedef struct dl_form {
    uint32_t bytes, shift;
    uint16_t mask; /* the bits of a sample */
    uint16_t sign; /* its sign, 0 where it has none */
} dl_form;

typedef struct dl_line_kernels {
    /* Samples to a line: of each the masked bits, shifted. Not 0 if one has other bits, and they
     * are not those of its sign. */
    uint16_t (*load)(const uint8_t *row, size_t count, const dl_form *form, uint16_t *line);
    /* line - prediction + bias for the places `samples` to count. */
    void (*differ)(unsigned predictor, const uint16_t *line, const uint16_t *above, size_t samples,
                   size_t count, uint16_t bias, uint16_t *into);
    /* Adds how often each category occurs in a component. Overwrites the differences, behind which
     * DL_LINE_SLACK must be 0. */
    void (*count)(uint16_t *differences, size_t samples, size_t count,
                  uint64_t counts[DL_COMPONENTS][DL_CATEGORIES]);
    /* Differences of categories up to 15 from the lowest bits of values (F.2.2.1, EXTEND). Of a
     * category only the lowest five bits matter. */
    void (*extend)(const uint16_t *values, const uint8_t *categories, size_t count,
                   uint16_t *differences);
    /* Undoes differ, the bias being 0; what stands before `samples` is given. */
    void (*undo)(unsigned predictor, const uint16_t *differences, const uint16_t *above,
                 size_t samples, size_t count, uint16_t *line);
    /* A line to samples, whose sign fills what is above it. */
    void (*store)(const uint16_t *line, size_t count, const dl_form *form, uint8_t *row);
} dl_line_kernels;

const dl_line_kernels *dl_line_kernels_get(dl_vectors vectors);
extern const dl_line_kernels dl_line_kernels_plain;
#ifdef DL_HAVE_AVX2
extern const dl_line_kernels dl_line_kernels_avx2;
#endif

/* Table H.1, modulo 2^16: a to the left, b above, c above to the left. Halves are rounded down, as
 * an arithmetic shift does it. */
static inline uint16_t dl_predict(unsigned predictor, uint32_t a, uint32_t b, uint32_t c) {
    const uint32_t up = 65536; /* keeps what is halved positive; half of it goes out again */
    switch (predictor) {
    case 1: return (uint16_t)a;
    case 2: return (uint16_t)b;
    case 3: return (uint16_t)c;
    case 4: return (uint16_t)(a + b - c);
    case 5: return (uint16_t)(a + ((b + up - c) >> 1) + up / 2);
    case 6: return (uint16_t)(b + ((a + up - c) >> 1) + up / 2);
    default: return (uint16_t)((a + b) >> 1);
    }
}

/* The category of a difference: how many bits its size has. Signs are as good as random, so that
 * nothing here may branch on them. */
static inline unsigned dl_category(uint16_t difference) {
    uint32_t negative = 0u - (difference >> 15), size = (difference ^ negative) - negative;
    uint32_t marked = 2 * (size & 0xFFFF) + 1;
#if defined(__GNUC__)
    return 31 - (unsigned)__builtin_clz(marked);
#else
    unsigned category = 0;
    for (; marked > 1; marked >>= 1) category++;
    return category;
#endif
}

#endif
