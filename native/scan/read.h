/* What the files that read one source share: read.c (the file), data_set.c (elements that match),
 * value.c (values to cells). */
#ifndef DICOMLOOM_SCAN_READ_H
#define DICOMLOOM_SCAN_READ_H

#include "plan.h"

/* What holds for the elements of one data set or item. */
typedef struct scope {
    dl_syntax syntax;
    dl_charset charset;
    bool is_signed; /* Pixel Representation (0028,0103) is 1 */
    uint8_t charset_size;
    uint8_t charset_text[200]; /* Specific Character Set as it stands, for deferred values */
} scope;

typedef struct pass {
    dl_reader *reader;
    dl_window *window;
    dl_row *row;
    size_t first_column;
    dl_error *error;
    uint64_t reached; /* where the data set was left, behind all that is wanted; 0 if it was not */
} pass;

/* Fills p->error with "<what> (gggg,eeee) at byte <offset>". */
dl_status dl_pass_fail(pass *p, dl_status code, uint32_t tag, uint64_t offset, const char *what);
/* "truncated in (gggg,eeee) at byte <where the source ends>". */
dl_status dl_pass_truncated(pass *p, uint32_t tag);
dl_status dl_pass_out_of_memory(pass *p);

/* dl_skip with what the pass holds. *end is where the sequence or item ends, *items counts those of
 * the outermost sequence. */
DL_NODISCARD static inline dl_status dl_pass_skip(pass *p, dl_inside what, uint32_t tag,
                                                  uint64_t offset, uint64_t limit, dl_syntax syntax,
                                                  uint64_t *end, uint64_t *items) {
    const dl_skipper by = {p->window, &p->reader->frames, p->reader->limits.depth};
    dl_skipped skipped;
    dl_status status = dl_skip(&by, what, tag, offset, limit, syntax, &skipped, p->error);
    if (status != DL_OK) return status;
    *end = skipped.end;
    *items = skipped.items;
    return DL_OK;
}

/* value.c */
/* The bytes of an element of defined length, valid until the next read. */
DL_NODISCARD dl_status dl_pass_value(pass *p, const dl_element *element, const uint8_t **bytes);
/* Sets the node's cell, or adds to it where values of several items are joined. */
DL_NODISCARD dl_status dl_pass_put(pass *p, const dl_node *node, dl_vr vr, const scope *in,
                                   const uint8_t *value, size_t size);
DL_NODISCARD dl_status dl_pass_put_count(pass *p, const dl_node *node, uint64_t count);

/* data_set.c */
typedef enum place { AT_TOP, IN_DEFINED_ITEM, IN_UNDEFINED_ITEM } place;
/* Takes what one node wants of an element that matches it. *end is set where the element's end was
 * found on the way, for elements of undefined length. */
DL_NODISCARD dl_status dl_pass_take(pass *p, const dl_node *node, const dl_element *element,
                                    const scope *in, uint64_t limit, uint64_t *end);
/* Reads the wanted elements from offset on, up to limit or, in an item of undefined length, its
 * delimiter. Recursion follows the wanted paths, never the nesting of the input. */
DL_NODISCARD dl_status dl_pass_data_set(pass *p, const dl_nodes *nodes, scope *in, place where,
                                        uint32_t parent, uint64_t offset, uint64_t limit,
                                        uint64_t *end);

#endif
