/* Lists and recodes bytes in memory. */
#ifndef DICOMLOOM_TESTS_LISTING_H
#define DICOMLOOM_TESTS_LISTING_H

#include "data_set.h"
#include "dicomloom/frames.h"

typedef struct listing {
    dl_status status;
    dl_error error;
    dl_bytes entries, recoded;
    dl_header header;
    dl_item_list items;
    uint64_t bytes_read;
} listing;

static inline const dl_entry *entries_of(const listing *l) {
    return (const dl_entry *)(const void *)l->entries.data;
}

static inline size_t entry_count(const listing *l) { return l->entries.length / sizeof(dl_entry); }

static inline void listing_free(listing *l) {
    dl_bytes_free(&l->entries);
    dl_bytes_free(&l->recoded);
    dl_item_list_free(&l->items);
}

typedef dl_status (*listing_call)(dl_lister *lister, listing *l, const void *context);

/* Opens a lister over the bytes, calls, and checks that an error is one. */
static inline listing with_lister(const void *data, size_t size, uint32_t depth, listing_call call,
                                  const void *context) {
    listing l = {0};
    dl_lister lister = {0};
    dl_memory memory = {data, size};
    dl_source source;
    dl_source_memory(&source, &memory);
    l.status = dl_lister_open(&lister, &source, depth, &l.error);
    if (l.status == DL_OK) l.status = call(&lister, &l, context);
    CHECK(l.status == DL_OK || (l.error.code == l.status && l.error.message[0]));
    l.bytes_read = lister.window.bytes_read;
    dl_lister_free(&lister);
    return l;
}

typedef struct elements_of {
    uint64_t offset, limit;
    dl_syntax syntax;
    bool stop_at_pixels;
} elements_of;

static inline dl_status call_elements(dl_lister *lister, listing *l, const void *context) {
    const elements_of *e = context;
    return dl_list_elements(lister, e->offset, e->limit, e->syntax, e->stop_at_pixels, &l->entries,
                            &l->error);
}

static inline listing list_bytes(const void *data, size_t size, dl_syntax syntax, bool stop) {
    elements_of e = {0, DL_NO_END, syntax, stop};
    return with_lister(data, size, DL_LIST_DEPTH, call_elements, &e);
}

static inline listing list_all(const writer *w) {
    return list_bytes(w->bytes.data, w->bytes.length, w->syntax, false);
}

static inline dl_status call_header(dl_lister *lister, listing *l, const void *context) {
    (void)context;
    return dl_list_header(lister, &l->header, &l->entries, &l->error);
}

static inline listing list_header(const void *data, size_t size) {
    return with_lister(data, size, DL_LIST_DEPTH, call_header, NULL);
}

typedef struct items_of {
    const dl_entry *sequence;
    dl_syntax syntax;
} items_of;

static inline dl_status call_items(dl_lister *lister, listing *l, const void *context) {
    const items_of *i = context;
    return dl_list_items(lister, i->sequence, i->syntax, &l->items, &l->error);
}

static inline listing list_items(const void *data, size_t size, const dl_entry *sequence,
                                 dl_syntax syntax) {
    items_of i = {sequence, syntax};
    return with_lister(data, size, DL_LIST_DEPTH, call_items, &i);
}

typedef struct recoding_of {
    dl_recoding how;
    uint64_t offset, end;
} recoding_of;

static inline dl_status call_recode(dl_lister *lister, listing *l, const void *context) {
    const recoding_of *r = context;
    return dl_recode(lister, &r->how, r->offset, r->end, &l->recoded, &l->error);
}

static inline listing recode_bytes(const void *data, size_t size, dl_syntax from,
                                   bool to_explicit) {
    recoding_of r = {{from, to_explicit, false}, 0, size};
    return with_lister(data, size, DL_LIST_DEPTH, call_recode, &r);
}

static inline listing recode_all(const writer *w, bool to_explicit) {
    return recode_bytes(w->bytes.data, w->bytes.length, w->syntax, to_explicit);
}

#endif
