/* The items of encapsulated pixel data: offset table, fragments, delimiter (PS3.5 A.4). */
#include <stdlib.h>

#include "dicomloom/frames.h"

/* Headers that lie this near to each other cost less to read with what lies between them: a call
 * takes about as long as copying so many bytes. */
enum { NEAR = 4096, BLOCK = 65536, HEAD = 8 };

/* A view that knows whether it hops or reads on. */
typedef struct view {
    const dl_source *source;
    uint8_t *block;
    uint64_t base;
    size_t length;
} view;

/* Sets *head to the 8 bytes at offset, or to NULL where the source ends before. */
static dl_status head_at(view *v, uint64_t offset, bool near, const uint8_t **head,
                         dl_error *error) {
    uint64_t start = offset - v->base;
    *head = NULL;
    if (DL_UNLIKELY(start > v->length || HEAD > v->length - start)) {
        size_t wanted = near ? BLOCK : HEAD;
        v->base = offset;
        v->length = 0;
        start = 0;
        while (v->length < HEAD) {
            size_t got = 0;
            dl_status status =
                v->source->read_at(v->source->context, offset + v->length, v->block + v->length,
                                   wanted - v->length, &got, error);
            if (status != DL_OK) return status;
            if (got == 0) return DL_OK;
            v->length += got;
        }
    }
    *head = v->block + start;
    return DL_OK;
}

static dl_status append(dl_fragments *fragments, uint64_t offset, uint64_t length,
                        dl_error *error) {
    if (dl_bytes_append(&fragments->offsets, &offset, sizeof offset) != DL_OK ||
        dl_bytes_append(&fragments->lengths, &length, sizeof length) != DL_OK)
        return dl_fail(error, DL_ERR_MEMORY, 0, "out of memory");
    return DL_OK;
}

typedef enum ending {
    AT_LIMIT,     /* the last item ends with the limit */
    AT_DELIMITER, /* fragments->end is behind it */
    CUT_OFF,      /* an item, or its header, reaches behind the limit */
    NO_ITEM
} ending;

static dl_status walk(view *v, uint64_t offset, uint64_t limit, uint64_t most,
                      dl_fragments *fragments, ending *how, dl_error *error) {
    bool near = true;
    for (uint64_t count = 0;; count++) {
        const uint8_t *head;
        fragments->end = offset;
        *how = offset == limit ? AT_LIMIT : CUT_OFF;
        if (offset >= limit || limit - offset < HEAD) return DL_OK;
        dl_status status = head_at(v, offset, near, &head, error);
        if (status != DL_OK || !head) return status;
        /* Encapsulated transfer syntaxes are little endian (PS3.5 A.4). */
        uint32_t tag = DL_TAG(dl_load_u16(head, false), dl_load_u16(head + 2, false));
        uint32_t length = dl_load_u32(head + 4, false);
        if (tag == DL_TAG_SEQUENCE_END) {
            fragments->end = offset + HEAD;
            *how = AT_DELIMITER;
            return DL_OK;
        }
        if (tag != DL_TAG_ITEM || length == DL_UNDEFINED_LENGTH) return *how = NO_ITEM, DL_OK;
        if (length > limit - offset - HEAD) return DL_OK;
        if (count >= most)
            return dl_fail_tag(error, DL_ERR_LIMIT, DL_TAG_PIXEL_DATA, offset,
                               "too many fragments of one frame in");
        status = append(fragments, offset + HEAD, length, error);
        if (status != DL_OK) return status;
        offset += HEAD + (uint64_t)length;
        near = length < NEAR;
    }
}

static dl_status walk_source(const dl_source *source, uint64_t offset, uint64_t limit,
                             uint64_t most, dl_fragments *fragments, ending *how, dl_error *error) {
    view v = {.source = source, .block = malloc(BLOCK)};
    if (!v.block) return dl_fail(error, DL_ERR_MEMORY, 0, "out of memory");
    fragments->offsets.length = fragments->lengths.length = 0;
    fragments->complete = false;
    dl_status status = walk(&v, offset, limit, most, fragments, how, error);
    free(v.block);
    return status;
}

void dl_fragments_free(dl_fragments *fragments) {
    dl_bytes_free(&fragments->offsets);
    dl_bytes_free(&fragments->lengths);
}

dl_status dl_walk_fragments(const dl_source *source, uint64_t offset, uint64_t limit,
                            dl_fragments *fragments, dl_error *error) {
    uint64_t size;
    ending how;
    dl_status status = source->size(source->context, &size, error);
    if (status != DL_OK) return status;
    if (limit > size) limit = size;
    status = walk_source(source, offset, limit, UINT64_MAX, fragments, &how, error);
    if (status == DL_OK) fragments->complete = how == AT_DELIMITER;
    return status;
}

dl_status dl_frame_fragments(const dl_source *source, uint64_t start, uint64_t end,
                             dl_fragments *fragments, dl_error *error) {
    uint64_t size;
    ending how;
    dl_status status = source->size(source->context, &size, error);
    if (status != DL_OK) return status;
    status = walk_source(source, start, end < size ? end : size, DL_FRAME_FRAGMENTS, fragments,
                         &how, error);
    if (status != DL_OK) return status;
    fragments->complete = how == AT_DELIMITER;
    if (how == AT_DELIMITER || (how == AT_LIMIT && end <= size)) return DL_OK;
    if (how != NO_ITEM && end > size)
        return dl_fail_tag(error, DL_ERR_TRUNCATED, DL_TAG_PIXEL_DATA, size, "truncated in");
    return dl_fail_tag(error, DL_ERR_CORRUPT, DL_TAG_PIXEL_DATA, fragments->end,
                       how == NO_ITEM ? "no item of encapsulated pixel data in"
                                      : "an item that is longer than its frame in");
}
