/* Differences to bits: a token is the code of a category and the bits of the difference behind it.
 */
#ifndef DICOMLOOM_CODECS_JPEG_LOSSLESS_TOKENS_H
#define DICOMLOOM_CODECS_JPEG_LOSSLESS_TOKENS_H

#include "bitio.h"
#include "jpeg_lossless.h"

enum {
    DL_NEAR = 512,      /* differences below it, of either sign, have a token in a table */
    DL_TOKEN_GROUP = 4, /* tokens that are put at once, if they are not too long for that */
    DL_TOKEN_ROOM = 2 * DL_PUT_STUFFED_MOST * DL_TOKEN_GROUP /* bytes that a group may take */
};

typedef struct dl_token_table {
    uint32_t near[2 * DL_NEAR];
    dl_code codes[DL_CATEGORIES]; /* by category */
} dl_token_table;

/* What codes a line of so many samples a pixel. */
typedef struct dl_token_group {
    const dl_token_table *tables[DL_TOKEN_GROUP]; /* of its first, second ... place */
    size_t size;                                  /* a whole number of pixels, or tables are one */
    uint64_t zeros;        /* the code of a run of differences 0, where tables are one, */
    unsigned zeros_length; /* and its length; 0 where it is too long */
} dl_token_group;

void dl_tokens_make(const dl_huffman *huffman, dl_token_table *table);
/* `count` tables: one, or one for each sample. */
void dl_tokens_group(const dl_token_table *tables, uint32_t count, uint32_t samples,
                     dl_token_group *group);

/* Codes differences, which have the bias DL_NEAR, from `at` on, as long as writer->at is not behind
 * `limit`; DL_TOKEN_ROOM has to follow that, and zeros the differences. Adds to *bits how many they
 * are. Returns how far it came; SIZE_MAX where a category has no code. */
typedef size_t dl_tokens_put(dl_byte_stuffer *writer, const uint16_t *biased, size_t at,
                             size_t count, const dl_token_group *group, const uint8_t *limit,
                             uint64_t *bits);
dl_tokens_put *dl_tokens_put_get(dl_vectors vectors);

/* Bits behind the code of a category: 16 has none (H.1.2.2). */
DL_ALWAYS_INLINE unsigned dl_extra_bits(unsigned category) { return category % 16; }

#endif
