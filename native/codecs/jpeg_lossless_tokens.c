/* Differences to bits. */
#include "jpeg_lossless_tokens.h"

enum {
    NEAR_BITS = 0xFC00, /* set where a difference, with the bias DL_NEAR, is not near */
    LENGTH_BITS = 6,    /* of a token in a table; its bits stand above */
    GROUP_BITS = 56,    /* that are put at once */
    RUN = 16,           /* differences of 0 that are */
    NO_CODE = 63        /* the length of a token of a category that was not counted */
};

/* The code of the category, and behind it the low bits of the difference, or of one less where it
 * is negative (F.1.2.1.1). */
DL_ALWAYS_INLINE uint64_t token_of(const dl_token_table *table, uint16_t difference,
                                   unsigned *length) {
    unsigned category = dl_category(difference), extra = dl_extra_bits(category);
    dl_code code = table->codes[category];
    uint32_t low = (uint32_t)difference - (difference >> 15);
    *length = code.length + extra;
    return (uint64_t)code.bits << extra | (low & ((1u << extra) - 1));
}

void dl_tokens_make(const dl_huffman *huffman, dl_token_table *table) {
    dl_code codes[DL_CATEGORIES];
    dl_huffman_codes(huffman, codes);
    for (size_t i = 0; i < DL_CATEGORIES; i++) table->codes[i] = (dl_code){0, NO_CODE};
    for (size_t i = 0; i < huffman->count; i++) table->codes[huffman->values[i]] = codes[i];
    for (uint32_t i = 0; i < 2 * DL_NEAR; i++) {
        unsigned length;
        uint64_t token = token_of(table, (uint16_t)(i - DL_NEAR), &length);
        table->near[i] = length < NO_CODE ? (uint32_t)token << LENGTH_BITS | length : NO_CODE;
    }
}

void dl_tokens_group(const dl_token_table *tables, uint32_t count, uint32_t samples,
                     dl_token_group *group) {
    dl_code zero = tables[0].codes[0];
    *group = (dl_token_group){{NULL}, samples == 3 && count > 1 ? 3 : DL_TOKEN_GROUP, 0, 0};
    for (uint32_t i = 0; i < DL_TOKEN_GROUP; i++)
        group->tables[i] = &tables[count > 1 ? i % samples : 0];
    if (count > 1 || RUN * zero.length > GROUP_BITS) return;
    group->zeros_length = RUN * zero.length;
    for (uint32_t i = 0; i < RUN; i++) group->zeros = group->zeros << zero.length | zero.bits;
}

/* Tokens one by one; false where a category was never counted. */
static bool put_slowly(dl_byte_stuffer *writer, const uint16_t *biased, size_t count,
                       const dl_token_table *const *tables, uint64_t *bits) {
    for (size_t i = 0; i < count; i++) {
        unsigned length;
        uint64_t token = token_of(tables[i], (uint16_t)(biased[i] - DL_NEAR), &length);
        if (length > 32) return false;
        dl_put_stuffed(writer, token, length);
        *bits += length;
    }
    return true;
}

typedef struct token {
    uint64_t bits;
    unsigned length;
} token;

DL_ALWAYS_INLINE token near_token(const dl_token_table *table, uint16_t biased) {
    uint32_t entry = table->near[biased];
    return (token){entry >> LENGTH_BITS, entry & NO_CODE};
}

DL_ALWAYS_INLINE token far_token(const dl_token_table *table, uint16_t biased) {
    token made;
    made.bits = token_of(table, (uint16_t)(biased - DL_NEAR), &made.length);
    return made;
}

DL_ALWAYS_INLINE token join(token a, token b) {
    return (token){a.bits << (b.length & 63) | b.bits, a.length + b.length};
}

/* Whether the next RUN differences, with the bias DL_NEAR, are all 0. */
DL_ALWAYS_INLINE bool run_of_zeros(const uint16_t *biased) {
    uint64_t four[RUN / 4],
        zeros = (uint64_t)DL_NEAR << 48 | (uint64_t)DL_NEAR << 32 | DL_NEAR << 16 | DL_NEAR;
    memcpy(four, biased, sizeof four);
    if (DL_LIKELY(four[0] != zeros)) return false;
    return ((four[1] ^ zeros) | (four[2] ^ zeros) | (four[3] ^ zeros)) == 0;
}

DL_ALWAYS_INLINE size_t put_groups(dl_byte_stuffer *writer, const uint16_t *biased, size_t at,
                                   size_t count, const dl_token_group *group, const size_t size,
                                   const uint8_t *limit, uint64_t *bits) {
    const dl_token_table *const *tables = group->tables;
    dl_byte_stuffer w =
        *writer; /* in registers: bytes may be anything, also what writer points to */
    uint64_t total = 0;
    while (at < count && w.at <= limit) {
        const uint16_t *d = biased + at;
        size_t some = count - at < size ? count - at : size;
        if (group->zeros_length > 0 && run_of_zeros(d)) { /* never behind the end, which has 0 */
            dl_put_stuffed(&w, group->zeros, group->zeros_length);
            total += group->zeros_length;
            at += RUN;
            continue;
        }
        if (DL_LIKELY(some == size)) {
            bool near = ((d[0] | d[1] | d[2] | d[3]) & NEAR_BITS) == 0;
            token a, b, c, e = {0, 0};
            if (near) {
                a = near_token(tables[0], d[0]);
                b = near_token(tables[1], d[1]);
                c = near_token(tables[2], d[2]);
                if (size == 4) e = near_token(tables[3], d[3]);
            } else {
                a = far_token(tables[0], d[0]);
                b = far_token(tables[1], d[1]);
                c = far_token(tables[2], d[2]);
                if (size == 4) e = far_token(tables[3], d[3]);
            }
            token first = join(a, b), second = size == 4 ? join(c, e) : c;
            unsigned length = first.length + second.length;
            if (DL_LIKELY(length <= GROUP_BITS)) {
                dl_put_stuffed(&w, join(first, second).bits, length);
            } else if (first.length <= GROUP_BITS && second.length <= GROUP_BITS) {
                dl_put_stuffed(&w, first.bits, first.length);
                dl_put_stuffed(&w, second.bits, second.length);
            } else {
                some = 0;
            }
            total += some ? length : 0;
            at += some;
            if (DL_LIKELY(some > 0)) continue;
            some = size;
        }
        if (!put_slowly(&w, d, some, tables, &total)) return SIZE_MAX;
        at += some;
    }
    *writer = w;
    *bits += total;
    return at;
}

static size_t put_plainly(dl_byte_stuffer *writer, const uint16_t *biased, size_t at, size_t count,
                          const dl_token_group *group, const uint8_t *limit, uint64_t *bits) {
    if (group->size == 3) return put_groups(writer, biased, at, count, group, 3, limit, bits);
    return put_groups(writer, biased, at, count, group, DL_TOKEN_GROUP, limit, bits);
}

#ifdef DL_HAVE_AVX2
/* The same with shifts that need no fixed register. */
__attribute__((target("avx2,bmi,bmi2"))) static size_t
put_quickly(dl_byte_stuffer *writer, const uint16_t *biased, size_t at, size_t count,
            const dl_token_group *group, const uint8_t *limit, uint64_t *bits) {
    if (group->size == 3) return put_groups(writer, biased, at, count, group, 3, limit, bits);
    return put_groups(writer, biased, at, count, group, DL_TOKEN_GROUP, limit, bits);
}
#endif

dl_tokens_put *dl_tokens_put_get(dl_vectors vectors) {
#ifdef DL_HAVE_AVX2
    if (dl_has_bmi2(vectors)) return put_quickly;
#endif
    (void)vectors;
    return put_plainly;
}
