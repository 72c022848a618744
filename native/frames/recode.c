/* A data set in another encoding: explicit or implicit VR, little endian. Lengths of sequences that
 * stay defined are filled in when they are closed, so that one pass does. */
#include "dicomloom/frames.h"

typedef enum kind { DATA_SET, ITEM, SEQUENCE, FRAGMENTS } kind;

/* A data set, sequence or item that is open, in the source and in the output. */
typedef struct level {
    uint64_t limit;   /* where it ends at the latest */
    size_t length_at; /* where its length stands in the output; 0: it is undefined */
    uint32_t tag;     /* the sequence's */
    kind kind;
    dl_syntax syntax;
    bool undefined; /* in the source: a delimiter ends it */
    bool firm;      /* the limit is that of a defined length, here or further out */
    bool to_explicit;
    bool is_signed;
} level;

typedef struct recoder {
    dl_window *window;
    dl_bytes *levels, *into;
    dl_error *error;
    uint64_t stop; /* there is nothing behind */
    uint32_t depth, sequences, previous;
} recoder;

static dl_status out_of_memory(const recoder *r) {
    return dl_fail(r->error, DL_ERR_MEMORY, 0, "out of memory");
}

static dl_status truncated(const recoder *r, uint32_t tag) {
    return dl_fail_tag(r->error, DL_ERR_TRUNCATED, tag, r->stop, "truncated in");
}

static level *top_of(const recoder *r) {
    return (level *)(void *)(r->levels->data + r->levels->length) - 1;
}

/* --- output ------------------------------------------------------------------------------------
 */

static void store_u16(uint8_t *p, unsigned value) {
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static void store_u32(uint8_t *p, uint32_t value) {
    store_u16(p, value & 0xFFFF);
    store_u16(p + 2, value >> 16);
}

/* vr is DL_VR_NONE for items and delimiters, which have none. The length stands last. */
static dl_status put_header(const recoder *r, bool to_explicit, uint32_t tag, dl_vr vr,
                            uint32_t length) {
    uint8_t head[12] = {0};
    size_t size = 8;
    store_u16(head, DL_TAG_GROUP(tag));
    store_u16(head + 2, DL_TAG_ELEMENT(tag));
    if (to_explicit && vr != DL_VR_NONE) {
        /* PS3.5 6.2.2: what is too long for a 16-bit length is UN. */
        if (!dl_vr_is(vr, DL_VR_LONG) && length > 65534) vr = DL_VR_UN;
        memcpy(head + 4, dl_vr_table[vr].name, 2);
        if (dl_vr_is(vr, DL_VR_LONG)) {
            size = 12;
            store_u32(head + 8, length);
        } else {
            store_u16(head + 6, length);
        }
    } else {
        store_u32(head + 4, length);
    }
    return dl_bytes_append(r->into, head, size) == DL_OK ? DL_OK : out_of_memory(r);
}

static void swap(uint8_t *bytes, size_t size, size_t unit) {
    for (size_t i = 0; i + unit <= size; i += unit)
        for (size_t a = 0, b = unit - 1; a < b; a++, b--) {
            uint8_t kept = bytes[i + a];
            bytes[i + a] = bytes[i + b];
            bytes[i + b] = kept;
        }
}

/* Bytes of what is swapped as one in another byte order (PS3.5 7.3), 1 for what is not. */
static size_t swapped_unit(dl_vr vr) {
    switch (vr) {
    case DL_VR_AT: /* two numbers: group and element */
    case DL_VR_OW: return 2;
    case DL_VR_OF:
    case DL_VR_OL: return 4;
    case DL_VR_OD:
    case DL_VR_OV: return 8;
    default: return dl_vr_is(vr, DL_VR_NUMBER) ? dl_vr_table[vr].unit : 1;
    }
}

/* A piece at a time: a length that lies is not worth its memory. */
static dl_status copy(const recoder *r, uint32_t tag, uint64_t offset, uint64_t size, size_t unit) {
    enum { PIECE = DL_WINDOW_CAPACITY / 2 };
    while (size > 0) {
        size_t piece = size < PIECE ? (size_t)size : PIECE;
        const uint8_t *bytes;
        dl_status status = dl_window_get(r->window, offset, piece, &bytes, r->error);
        if (status != DL_OK) return status;
        if (!bytes) return dl_window_truncated(r->window, tag, r->error);
        if (dl_bytes_append(r->into, bytes, piece) != DL_OK) return out_of_memory(r);
        if (unit > 1) swap(r->into->data + r->into->length - piece, piece, unit);
        offset += piece;
        size -= piece;
    }
    return DL_OK;
}

/* --- levels ------------------------------------------------------------------------------------
 */

/* Writes the header of a sequence or an item, and enters it. `defined` says whether its length
 * will be filled in. */
static dl_status open_level(recoder *r, const level *made, uint32_t tag, dl_vr vr, bool to_explicit,
                            bool defined) {
    if (made->kind != ITEM) {
        if (r->sequences >= r->depth)
            return dl_fail_tag(r->error, DL_ERR_LIMIT, tag, r->window->base,
                               "sequences nest too deep in");
        r->sequences++;
    }
    dl_status status = put_header(r, to_explicit, tag, vr, DL_UNDEFINED_LENGTH);
    if (status != DL_OK) return status;
    if (dl_bytes_append(r->levels, made, sizeof *made) != DL_OK) return out_of_memory(r);
    if (defined) top_of(r)->length_at = r->into->length - 4;
    return DL_OK;
}

static dl_status close_level(recoder *r) {
    const level closed = *top_of(r);
    r->levels->length -= sizeof closed;
    if (closed.kind == DATA_SET) return DL_OK;
    if (closed.kind != ITEM) r->sequences--;
    if (closed.length_at == 0) {
        uint32_t tag = closed.kind == ITEM ? DL_TAG_ITEM_END : DL_TAG_SEQUENCE_END;
        return put_header(r, false, tag, DL_VR_NONE, 0);
    }
    size_t length = r->into->length - closed.length_at - 4;
    if (length >= DL_UNDEFINED_LENGTH)
        return dl_fail_tag(r->error, DL_ERR_LIMIT, closed.tag, closed.limit,
                           "4 GiB, more than a length can say, in");
    store_u32(r->into->data + closed.length_at, (uint32_t)length);
    return DL_OK;
}

/* --- elements ----------------------------------------------------------------------------------
 */

static dl_status read_sign(const recoder *r, const dl_element *element, level *in) {
    const uint8_t *value;
    if (element->tag != DL_TAG_PIXEL_REPRESENTATION || element->length < 2) return DL_OK;
    dl_status status = dl_window_get(r->window, element->value, 2, &value, r->error);
    if (status != DL_OK) return status;
    if (!value) return dl_window_truncated(r->window, element->tag, r->error);
    in->is_signed = dl_load_u16(value, in->syntax.big_endian) == 1;
    return DL_OK;
}

static dl_status open_sequence(recoder *r, const dl_element *element, dl_vr vr, uint64_t limit) {
    const level *in = top_of(r);
    bool undefined = element->length == DL_UNDEFINED_LENGTH;
    level made = {.limit = limit,
                  .tag = element->tag,
                  .kind = SEQUENCE,
                  .syntax = in->syntax,
                  .undefined = undefined,
                  .firm = in->firm || !undefined,
                  .to_explicit = in->to_explicit,
                  .is_signed = in->is_signed};
    bool defined = !undefined;
    if (element->vr == DL_VR_UN) {
        /* PS3.5 6.2.2: it holds implicit VR little endian, before and after. */
        made.syntax = (dl_syntax){false, false};
        made.to_explicit = false;
    } else if (undefined && vr != DL_VR_SQ && dl_vr_is(vr, DL_VR_LONG) &&
               !dl_vr_is(vr, DL_VR_TEXT | DL_VR_NUMBER) && vr != DL_VR_UN) {
        made.kind = FRAGMENTS; /* PS3.5 A.4: of encapsulated pixel data, in icons too */
    } else {
        vr = DL_VR_SQ;
        /* In implicit VR, where the dictionary does not, the undefined length says what it is. */
        if (!in->to_explicit && dl_dictionary_vr(element->tag) != DL_VR_SQ) defined = false;
    }
    return open_level(r, &made, element->tag, vr, in->to_explicit, defined);
}

/* In implicit VR the dictionary says what an element is, but its writer may have had another VR in
 * mind: what does not begin with an item is no sequence, and stays as it is. */
static dl_status is_sequence(const recoder *r, const dl_element *element, bool *is) {
    const uint8_t *value;
    *is = element->length == 0;
    if (element->length < 8) return DL_OK;
    dl_status status = dl_window_get(r->window, element->value, 4, &value, r->error);
    if (status != DL_OK) return status;
    if (!value) return dl_window_truncated(r->window, element->tag, r->error);
    uint32_t tag = DL_TAG(dl_load_u16(value, false), dl_load_u16(value + 2, false));
    *is = tag == DL_TAG_ITEM || tag == DL_TAG_ITEM_END || tag == DL_TAG_SEQUENCE_END;
    return DL_OK;
}

/* One element of a data set or item. *next is where to go on. */
static dl_status put_element(recoder *r, dl_element *element, uint64_t *next) {
    level *in = top_of(r);
    bool undefined = element->length == DL_UNDEFINED_LENGTH;
    uint64_t end = in->limit;
    if (!undefined) {
        if (!in->firm && element->length > r->stop - element->value)
            return truncated(r, element->tag);
        if (element->length > in->limit - element->value)
            element->length = (uint32_t)(in->limit - element->value); /* ends with its item */
        end = element->value + element->length;
        /* Group lengths (PS3.5 7.2) would be wrong now. */
        if (DL_TAG_ELEMENT(element->tag) == 0 && DL_TAG_GROUP(element->tag) != 0x0002)
            return *next = end, DL_OK;
        dl_status status = read_sign(r, element, in);
        if (status != DL_OK) return status;
    }
    dl_vr vr = element->vr;
    if (vr == DL_VR_NONE)
        vr = dl_vr_resolve(dl_dictionary_vr(element->tag), element->length, in->is_signed);
    if (vr == DL_VR_SQ && element->vr == DL_VR_NONE && !undefined) {
        bool is;
        dl_status status = is_sequence(r, element, &is);
        if (status != DL_OK) return status;
        if (!is) vr = DL_VR_UN;
    }
    if (undefined || vr == DL_VR_SQ) {
        *next = element->value;
        return open_sequence(r, element, vr, end);
    }
    *next = end;
    dl_status status = put_header(r, in->to_explicit, element->tag, vr, element->length);
    if (status != DL_OK) return status;
    size_t unit = in->syntax.big_endian ? swapped_unit(vr) : 1;
    return copy(r, element->tag, element->value, element->length, unit);
}

/* What stands in a data set or item. */
static dl_status in_data_set(recoder *r, uint64_t offset, dl_element *element, uint64_t *next) {
    const level *in = top_of(r);
    uint32_t tag = element->tag;
    *next = element->value;
    if (DL_TAG_GROUP(tag) == 0xFFFE) {
        if (in->kind == ITEM && in->undefined) {
            /* Its delimiter; or that is missing, and this belongs to the sequence. */
            if (tag != DL_TAG_ITEM_END) *next = offset;
            if (tag != DL_TAG_ITEM_END && tag != DL_TAG_ITEM && tag != DL_TAG_SEQUENCE_END)
                return dl_fail_tag(r->error, DL_ERR_CORRUPT, tag, offset,
                                   "neither an item nor a delimiter:");
            return close_level(r);
        }
        if (tag == DL_TAG_ITEM && element->length != DL_UNDEFINED_LENGTH) *next += element->length;
        if (*next > in->limit) *next = in->limit; /* stray; it does not lead out */
        return DL_OK;
    }
    if (in->kind == DATA_SET) {
        /* Group 0000 is of messages (PS3.7), not of data sets: zeros that fill up a file. */
        if (DL_TAG_GROUP(tag) == 0 && r->previous > 0) return close_level(r);
        r->previous = tag;
    }
    return put_element(r, element, next);
}

static dl_status put_item(recoder *r, const dl_element *item, uint64_t *next) {
    const level *in = top_of(r);
    bool undefined = item->length == DL_UNDEFINED_LENGTH;
    uint64_t end = in->limit;
    *next = item->value;
    if (!undefined) {
        if (!in->firm && item->length > r->stop - item->value) return truncated(r, in->tag);
        if (item->length < end - item->value) end = item->value + item->length;
    }
    if (in->kind == FRAGMENTS && !undefined) {
        *next = end;
        uint32_t length = (uint32_t)(end - item->value);
        dl_status status = put_header(r, false, DL_TAG_ITEM, DL_VR_NONE, length);
        return status != DL_OK ? status : copy(r, in->tag, item->value, length, 1);
    }
    level made = *in;
    made.kind = ITEM;
    made.limit = end;
    made.undefined = undefined;
    made.firm = in->firm || !undefined;
    made.length_at = 0;
    if (end - item->value >= 8) {
        dl_status status = dl_detect_syntax(r->window, item->value, &made.syntax, r->error);
        if (status != DL_OK) return status;
    }
    return open_level(r, &made, DL_TAG_ITEM, DL_VR_NONE, false, !undefined);
}

/* What stands in a sequence, or among fragments. */
static dl_status in_sequence(recoder *r, uint64_t offset, const dl_element *element,
                             uint64_t *next) {
    const level *in = top_of(r);
    *next = element->value;
    if (element->tag == DL_TAG_ITEM) return put_item(r, element, next);
    if (element->tag == DL_TAG_ITEM_END) return DL_OK; /* stray */
    if (element->tag == DL_TAG_SEQUENCE_END) return in->undefined ? close_level(r) : DL_OK;
    if (!in->undefined)
        return dl_fail_tag(r->error, DL_ERR_CORRUPT, in->tag, offset,
                           "no item where one must be in");
    *next = offset; /* the delimiter is missing: what comes is not ours */
    return close_level(r);
}

static dl_status walk(recoder *r, uint64_t offset) {
    while (r->levels->length > 0) {
        const level *in = top_of(r);
        dl_element element;
        bool found, whole = in->kind == DATA_SET;
        dl_status status =
            dl_element_read(r->window, offset, in->limit, in->syntax, &element, &found, r->error);
        if (status == DL_ERR_TRUNCATED && !whole && in->limit - offset < 12)
            found = false, offset = in->limit, status = DL_OK; /* less than a header is left */
        if (status == DL_ERR_TRUNCATED) return truncated(r, whole ? r->previous : in->tag);
        if (status != DL_OK) return status;
        if (!found && offset < in->limit) return truncated(r, whole ? r->previous : in->tag);
        uint64_t next = offset;
        if (!found)
            status = close_level(r);
        else if (in->kind == DATA_SET || in->kind == ITEM)
            status = in_data_set(r, offset, &element, &next);
        else
            status = in_sequence(r, offset, &element, &next);
        if (status != DL_OK) return status;
        offset = next;
    }
    return DL_OK;
}

dl_status dl_recode(dl_lister *lister, const dl_recoding *how, uint64_t offset, uint64_t end,
                    dl_bytes *into, dl_error *error) {
    recoder r = {.window = &lister->window,
                 .levels = &lister->frames,
                 .into = into,
                 .error = error,
                 .depth = lister->depth};
    dl_status status = dl_window_size(r.window, &r.stop, error);
    if (status != DL_OK) return status;
    if (r.stop > end) r.stop = end;
    level whole = {.limit = end,
                   .kind = DATA_SET,
                   .syntax = how->from,
                   .to_explicit = how->to_explicit,
                   .is_signed = how->is_signed};
    r.levels->length = 0;
    if (dl_bytes_append(r.levels, &whole, sizeof whole) != DL_OK) return out_of_memory(&r);
    return walk(&r, offset);
}
