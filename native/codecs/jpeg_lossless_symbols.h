/* Huffman codes and the bits behind them, from an entropy-coded segment to categories and values.
 */
#ifndef DICOMLOOM_CODECS_JPEG_LOSSLESS_SYMBOLS_H
#define DICOMLOOM_CODECS_JPEG_LOSSLESS_SYMBOLS_H

#include "jpeg_lossless_lanes.h"

enum {
    DL_WIDTH_MOST = 12,     /* bits that a lookup sees at most */
    DL_SYMBOLS_AT_ONCE = 7, /* that a lookup gives at most */
    DL_SYMBOLS_SPILL = 2 * DL_SYMBOLS_AT_ONCE,
    DL_CHUNK = 8192,                          /* bytes of a segment that are unstuffed at once */
    DL_HISTORY = 8,                           /* bytes before them that are still known */
    DL_AHEAD = DL_ROUND_MOST + DL_LANE_SLACK, /* places that may be written beyond those asked */
    DL_SHORT_CODE = 8 /* bits of codes that are found at once when symbols are read one by one */
};

/* What decodes the components of a scan. `entries` holds a table for each component that may come
 * next, or one for all where all have the same codes. */
typedef struct dl_lookup {
    uint32_t components, tables;
    unsigned width;
    dl_huffman huffman[DL_COMPONENTS];
    dl_code codes[DL_COMPONENTS][DL_CATEGORIES];
    uint8_t brief[DL_COMPONENTS][1 << DL_SHORT_CODE]; /* 1 + which code it is; 0: a longer one */
    uint32_t entries[DL_COMPONENTS << DL_WIDTH_MOST];
    uint32_t pace;                        /* bits of a symbol, about; 0 if lanes do not pay */
    uint16_t singles[1 << DL_WIDTH_MOST]; /* entries for lanes */
} dl_lookup;

/* For a scan of so many components, whose tables are given; `width` is at least DL_SHORT_CODE. What
 * was made before is kept if it is the same. */
void dl_lookup_make(dl_lookup *lookup, const dl_huffman *const *tables, uint32_t components,
                    unsigned width);

typedef struct dl_symbol_reader {
    const uint8_t *data;
    size_t size, at;           /* at: behind what is in the buffer */
    bool ended;                /* a marker stands there, or it is the end */
    const uint8_t *next, *end; /* in the buffer */
    uint64_t bits;             /* those to come are at the top */
    uint32_t left;             /* how many of them count; those behind are right or 0 */
    bool has_bmi2;             /* and it is to be used */
    bool sixteen;              /* the last call met a category 16 */
    uint32_t pace, misses;     /* of lanes; for a scan they begin with that of its lookup, and 0 */
    dl_lanes lanes;
    uint8_t buffer[DL_HISTORY + DL_CHUNK + 16];
} dl_symbol_reader;

/* Begins at the first byte of a segment. */
void dl_symbols_start(dl_symbol_reader *reader, const uint8_t *data, size_t size, size_t at);
/* Where the first byte stands of which no bit was read. */
size_t dl_symbols_place(const dl_symbol_reader *reader);
/* Whether less than a byte is left before the marker at reader->at, or the end. */
bool dl_symbols_over(dl_symbol_reader *reader);

/* Reads symbols from place *at, 0 being one of the first component, until there are `count`: of
 * each the category, in the lowest five bits, and the value, in the lowest bits of its place. May
 * read some more, of the `more` that have to follow, and write DL_AHEAD places beyond `count`.
 * Fails with DL_ERR_TRUNCATED or, where there is no such code, DL_ERR_CORRUPT. */
DL_NODISCARD dl_status dl_symbols_read(dl_symbol_reader *reader, const dl_lookup *lookup,
                                       uint16_t *values, uint8_t *categories, size_t *at,
                                       size_t count, size_t more);

#endif
