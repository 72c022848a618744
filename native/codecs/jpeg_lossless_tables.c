/* Huffman tables of JPEG Lossless: the best ones, and the codes of any. */
#include "jpeg_lossless.h"

enum {
    LEAVES = DL_CATEGORIES + 1, /* the categories that occur, and the code that is all ones */
    NODES = 2 * LEAVES          /* of a list: leaves, and packages of the list before */
};

void dl_huffman_codes(const dl_huffman *table, dl_code codes[DL_CATEGORIES]) {
    uint32_t code = 0;
    size_t at = 0;
    for (unsigned length = 1; length <= DL_CODE_BITS; length++, code <<= 1)
        for (unsigned i = 0; i < table->lengths[length - 1]; i++)
            codes[at++] = (dl_code){(uint16_t)code++, (uint8_t)length};
}

/* A leaf, or a package of two nodes; which leaves are in it is a bit set for each time that one is,
 * summed in `depth`. */
typedef struct node {
    uint64_t weight;
    uint8_t depth[LEAVES];
} node;

/* Merges the leaves with the packages of pairs of a list, both sorted. */
static size_t merge(const uint64_t *weights, size_t leaves, const node *list, size_t count,
                    node *into) {
    size_t leaf = 0, pair = 0, made = 0;
    while (leaf < leaves || pair + 1 < count) {
        bool package = pair + 1 < count;
        uint64_t weight = package ? list[pair].weight + list[pair + 1].weight : 0;
        node *next = &into[made++];
        if (package && (leaf == leaves || weight < weights[leaf])) {
            next->weight = weight;
            for (size_t i = 0; i < leaves; i++)
                next->depth[i] = (uint8_t)(list[pair].depth[i] + list[pair + 1].depth[i]);
            pair += 2;
        } else {
            *next = (node){weights[leaf], {0}};
            next->depth[leaf++] = 1;
        }
    }
    return made;
}

/* Package-merge (Larmore and Hirschberg 1990): the lengths of the best code for weights that rise,
 * none above 16. */
static void best_lengths(const uint64_t *weights, size_t leaves, uint8_t *lengths) {
    node lists[2][NODES];
    size_t count = 0, levels = leaves - 1; /* no code of these is longer, limit or not */
    if (levels > DL_CODE_BITS) levels = DL_CODE_BITS;
    for (size_t level = 0; level < levels; level++)
        count = merge(weights, leaves, lists[level % 2], count, lists[1 - level % 2]);
    memset(lengths, 0, leaves);
    for (size_t i = 0; i < 2 * leaves - 2; i++)
        for (size_t k = 0; k < leaves; k++)
            lengths[k] = (uint8_t)(lengths[k] + lists[levels % 2][i].depth[k]);
}

/* The code that is all ones is that of a leaf which never occurs: it is the last of the longest
 * codes, and is dropped. */
void dl_huffman_best(const uint64_t counts[DL_CATEGORIES], dl_huffman *table) {
    uint64_t weights[LEAVES] = {0};
    uint8_t categories[LEAVES] = {0}, lengths[LEAVES];
    size_t leaves = 1;
    for (uint8_t category = 0; category < DL_CATEGORIES; category++) {
        if (counts[category] == 0) continue;
        size_t at = leaves++;
        for (; at > 1 && weights[at - 1] > counts[category]; at--) {
            weights[at] = weights[at - 1];
            categories[at] = categories[at - 1];
        }
        weights[at] = counts[category];
        categories[at] = category;
    }
    memset(table, 0, sizeof *table);
    if (leaves == 1) return;
    best_lengths(weights, leaves, lengths);
    for (size_t i = leaves; i-- > 1;) { /* the most frequent first: its code is the shortest */
        table->lengths[lengths[i] - 1]++;
        table->values[table->count++] = categories[i];
    }
}
