/* Data sets and sequences: which elements are wanted, and where reading may stop. */
#include "read.h"

/* The VR to read a value as: the file's, or, where it says nothing, what is known of the tag. */
static dl_vr effective_vr(const dl_element *element, const dl_node *node, bool is_signed) {
    dl_vr vr = element->vr;
    if (vr == DL_VR_NONE || vr == DL_VR_UN) vr = node->vr;
    return dl_vr_resolve(vr, element->length, is_signed);
}

static dl_status read_items(pass *p, const dl_node *node, const dl_element *sequence,
                            const scope *in, uint64_t limit, uint64_t *end);

dl_status dl_pass_take(pass *p, const dl_node *node, const dl_element *element, const scope *in,
                       uint64_t limit, uint64_t *end) {
    bool undefined = element->length == DL_UNDEFINED_LENGTH;
    dl_vr vr = effective_vr(element, node, in->is_signed);
    bool sequence = vr == DL_VR_SQ || (undefined && vr == DL_VR_UN);
    scope inner;
    if (DL_UNLIKELY(element->vr == DL_VR_UN && in->syntax.explicit_vr)) {
        inner = *in;
        inner.syntax = (dl_syntax){false, false}; /* PS3.5 6.2.2, note 4 */
        in = &inner;
    }
    if (node->children) return sequence ? read_items(p, node, element, in, limit, end) : DL_OK;

    /* Only sequences and fragments have an undefined length (PS3.5 7.1.1); here is no value. */
    if (undefined && dl_vr_is(vr, DL_VR_TEXT | DL_VR_NUMBER)) return DL_OK;
    if (sequence || undefined) {
        uint64_t items, until = undefined ? limit : element->value + element->length;
        if (until > limit) until = limit;
        dl_status status = dl_pass_skip(p, DL_IN_SEQUENCE, element->tag, element->value, until,
                                        in->syntax, end, &items);
        if (status != DL_OK) return status;
        /* Without a path: items of a sequence, bytes of fragments up to their delimiter. */
        uint64_t bytes = *end - element->value;
        return dl_pass_put_count(p, node, sequence ? items : bytes < 8 ? bytes : bytes - 8);
    }
    if (!dl_vr_is(vr, DL_VR_TEXT | DL_VR_NUMBER)) {
        uint64_t size;
        dl_status status = dl_window_size(p->window, &size, p->error);
        if (status != DL_OK) return status;
        if (element->value > size || element->length > size - element->value)
            return dl_pass_truncated(p, element->tag);
        return dl_pass_put_count(p, node, element->length);
    }
    const uint8_t *value;
    dl_status status = dl_pass_value(p, element, &value);
    return status != DL_OK ? status : dl_pass_put(p, node, vr, in, value, element->length);
}

/* All that is wanted of an element. Where one path into a sequence breaks off, another may still
 * find its value; the first failure is the one to tell. */
static dl_status take_standard(pass *p, const dl_nodes *nodes, uint32_t at,
                               const dl_element *element, const scope *in, uint64_t limit,
                               uint64_t *end) {
    dl_status worst = DL_OK;
    dl_error *told = p->error, untold;
    for (; at < nodes->standard_count && nodes->standard[at].tag == element->tag; at++) {
        dl_status status = dl_pass_take(p, &nodes->standard[at], element, in, limit, end);
        if (DL_LIKELY(status == DL_OK) || worst != DL_OK) continue;
        worst = status;
        p->error = &untold;
    }
    p->error = told;
    return worst;
}

/* Notes which block a private creator reserves (PS3.5 7.8.1). */
static dl_status note_creator(pass *p, const dl_nodes *nodes, const dl_element *element) {
    uint16_t group = DL_TAG_GROUP(element->tag);
    uint8_t *blocks = p->reader->blocks.data;
    if (element->length > DL_WINDOW_FIRST) return DL_OK; /* LO holds 64 characters */
    for (uint32_t i = 0; i < nodes->private_count; i++) {
        const dl_node *node = &nodes->private[i];
        /* One creator reserves one block (PS3.5 7.8.1): a second one is not asked for. */
        if (DL_TAG_GROUP(node->tag) != group || blocks[node->id] != 0) continue;
        const uint8_t *value;
        dl_status status = dl_pass_value(p, element, &value);
        if (status != DL_OK) return status;
        size_t size = element->length;
        while (size && (value[size - 1] == ' ' || value[size - 1] == 0)) size--;
        while (size && *value == ' ') value++, size--;
        if (size == strlen(node->creator) && memcmp(value, node->creator, size) == 0)
            blocks[node->id] = (uint8_t)DL_TAG_ELEMENT(element->tag);
    }
    return DL_OK;
}

static dl_status take_private(pass *p, const dl_nodes *nodes, const dl_element *element,
                              const scope *in, uint64_t limit, uint64_t *end) {
    uint16_t number = DL_TAG_ELEMENT(element->tag);
    if (number >= 0x10 && number <= 0xFF) return note_creator(p, nodes, element);
    for (uint32_t i = 0; i < nodes->private_count; i++) {
        const dl_node *node = &nodes->private[i];
        uint8_t block = p->reader->blocks.data[node->id];
        if (block == 0 || number >> 8 != block) continue;
        if ((element->tag & 0xFFFF00FF) != node->tag) continue;
        dl_status status = dl_pass_take(p, node, element, in, limit, end);
        if (status != DL_OK) return status;
    }
    return DL_OK;
}

static dl_status read_charset(pass *p, const dl_element *element, scope *in) {
    const uint8_t *value;
    size_t size = element->length;
    if (size > sizeof in->charset_text) size = sizeof in->charset_text; /* a dozen sets */
    dl_status status = dl_window_get(p->window, element->value, size, &value, p->error);
    if (status != DL_OK) return status;
    if (!value) return dl_pass_truncated(p, element->tag);
    in->charset = dl_charset_find(value, size);
    memcpy(in->charset_text, value, size);
    in->charset_size = (uint8_t)size;
    return DL_OK;
}

static dl_status read_pixel_representation(pass *p, const dl_element *element, scope *in) {
    const uint8_t *value;
    if (element->length < 2) return DL_OK;
    dl_status status = dl_window_get(p->window, element->value, 2, &value, p->error);
    if (status != DL_OK) return status;
    if (!value) return dl_pass_truncated(p, element->tag);
    in->is_signed = dl_load_u16(value, in->syntax.big_endian) == 1;
    return DL_OK;
}

/* The next tag at which something is to be done: a wanted one, a character set, the start of a
 * group with wanted private elements. */
static uint32_t next_stop(const dl_nodes *nodes, uint32_t next_node, uint32_t previous) {
    uint32_t stop = next_node < nodes->standard_count ? nodes->standard[next_node].tag : UINT32_MAX;
    if (stop > nodes->last + 1 && nodes->last != UINT32_MAX) stop = nodes->last + 1;
    if (previous < DL_TAG_CHARSET && stop > DL_TAG_CHARSET) stop = DL_TAG_CHARSET;
    if (nodes->pixel_representation && previous < DL_TAG_PIXEL_REPRESENTATION &&
        stop > DL_TAG_PIXEL_REPRESENTATION)
        stop = DL_TAG_PIXEL_REPRESENTATION;
    for (uint32_t i = 0; i < nodes->private_count; i++) {
        uint32_t first = nodes->private[i].tag & 0xFFFF0000;
        if ((previous >> 16) <= (first >> 16) && stop > first) stop = first;
    }
    return stop;
}

/* Hops over elements in front of `stop` that lie whole in the window, in order, and hold nothing of
 * undefined length: nearly all there are. Whatever else there is, is left to the careful reader. */
static uint64_t hop(const dl_window *window, uint64_t offset, uint64_t limit, dl_syntax syntax,
                    uint32_t stop, uint32_t *previous) {
    uint64_t start = offset - window->base;
    if (syntax.big_endian || start > window->length || offset >= limit) return offset;
    size_t room = window->length - (size_t)start;
    if (limit - offset < room) room = (size_t)(limit - offset);
    const uint8_t *p = window->buffer + start;
    uint32_t last = *previous;
    while (room >= 12) {
        uint32_t tag = DL_TAG(dl_load_u16(p, false), dl_load_u16(p + 2, false));
        if (tag >= stop || tag <= last || DL_TAG_GROUP(tag) == 0xFFFE) break;
        size_t head = 8, length;
        if (syntax.explicit_vr) {
            dl_vr vr = dl_vr_from_bytes(p + 4);
            if (vr == DL_VR_NONE) break;
            /* A branch: choosing without one makes every element wait for the table. */
            if (dl_vr_is(vr, DL_VR_LONG)) {
                head = 12;
                length = dl_load_u32(p + 8, false);
            } else {
                length = dl_load_u16(p + 6, false);
            }
        } else {
            length = dl_load_u32(p + 4, false);
        }
        if (length > room - head) break; /* of undefined length too */
        p += head + length;
        room -= head + length;
        last = tag;
    }
    *previous = last;
    return window->base + (uint64_t)(p - window->buffer);
}

/* Values that stand before Pixel Representation need it: finds it ahead of them. What is wrong on
 * the way is left to the reading proper. */
static dl_status find_sign(pass *p, scope *in, uint64_t offset, uint64_t limit) {
    for (uint32_t tag = 0; tag <= DL_TAG_PIXEL_REPRESENTATION;) {
        dl_element element;
        bool found;
        dl_status status =
            dl_element_read(p->window, offset, limit, in->syntax, &element, &found, p->error);
        if (status == DL_ERR_IO || status == DL_ERR_MEMORY) return status;
        if (status != DL_OK || !found || DL_TAG_GROUP(element.tag) == 0xFFFE) return DL_OK;
        tag = element.tag;
        if (tag == DL_TAG_PIXEL_REPRESENTATION &&
            read_pixel_representation(p, &element, in) != DL_OK)
            return DL_OK;
        offset = element.value + element.length;
        if (element.length != DL_UNDEFINED_LENGTH) continue;
        uint64_t items;
        dl_syntax inner = in->syntax;
        if (element.vr == DL_VR_UN) inner = (dl_syntax){false, false};
        status = dl_pass_skip(p, DL_IN_SEQUENCE, tag, element.value, limit, inner, &offset, &items);
        if (status != DL_OK) return DL_OK;
    }
    return DL_OK;
}

/* Behind the last wanted tag, the next element tells whether the order can be trusted. It is looked
 * at only where the first read of any file could show it. */
static dl_status order_breaks_after(pass *p, const dl_element *element, dl_syntax syntax,
                                    bool *breaks) {
    uint64_t next = element->value + element->length;
    *breaks = false;
    if (element->length == DL_UNDEFINED_LENGTH || next + 4 > DL_WINDOW_FIRST) return DL_OK;
    const uint8_t *bytes;
    dl_status status = dl_window_get(p->window, next, 4, &bytes, p->error);
    if (status != DL_OK || !bytes) return status;
    uint16_t group = dl_load_u16(bytes, syntax.big_endian);
    uint32_t tag = DL_TAG(group, dl_load_u16(bytes + 2, syntax.big_endian));
    *breaks = tag < element->tag && group >= 0x0002; /* zeros are what fills up a file */
    return DL_OK;
}

/* Behind the last wanted tag, with nothing found: nothing vouches for this element, and a damaged
 * tag or length would make an empty row of a good file. It counts if the source has all of it. */
static dl_status require_whole(pass *p, const dl_element *element) {
    const uint8_t *byte;
    uint64_t size, end = element->value + element->length;
    dl_status status;
    if (element->length == DL_UNDEFINED_LENGTH || element->length == 0) return DL_OK;
    if (p->window == &p->reader->window) {
        status = dl_window_size(p->window, &size, p->error);
        return status == DL_OK && end > size ? dl_pass_truncated(p, element->tag) : status;
    }
    status = dl_window_get(p->window, end - 1, 1, &byte, p->error); /* inflates no further */
    return status == DL_OK && !byte ? dl_pass_truncated(p, element->tag) : status;
}

dl_status dl_pass_data_set(pass *p, const dl_nodes *nodes, scope *in, place where, uint32_t parent,
                           uint64_t offset, uint64_t limit, uint64_t *end) {
    uint32_t previous = 0, next_node = 0;
    bool ordered = true, taken = false;
    if (nodes->signed_before) {
        dl_status status = find_sign(p, in, offset, limit);
        if (status != DL_OK) return status;
    }
    for (uint32_t i = 0; i < nodes->private_count; i++)
        p->reader->blocks.data[nodes->private[i].id] = 0;
    for (;;) {
        dl_element element;
        bool found;
        if (ordered) {
            uint32_t stop = next_stop(nodes, next_node, previous);
            offset = hop(p->window, offset, limit, in->syntax, stop, &previous);
        }
        dl_status status =
            dl_element_read(p->window, offset, limit, in->syntax, &element, &found, p->error);
        if (DL_UNLIKELY(status == DL_ERR_TRUNCATED && limit != DL_NO_END && limit - offset < 12)) {
            *end = limit; /* less than a header is left of the item */
            return DL_OK;
        }
        if (DL_UNLIKELY(status == DL_ERR_TRUNCATED))
            return dl_pass_truncated(p, previous ? previous : parent);
        if (DL_UNLIKELY(status != DL_OK)) return status;
        if (DL_UNLIKELY(!found)) {
            *end = offset < limit ? offset : limit;
            if (offset >= limit) return DL_OK;
            if (where != AT_TOP) return dl_pass_truncated(p, parent);
            uint64_t size;
            status = dl_window_size(p->window, &size, p->error);
            if (status != DL_OK) return status;
            /* Cut off, or grown shorter since its size was asked. */
            return offset == size ? DL_OK : dl_pass_truncated(p, previous);
        }
        uint32_t tag = element.tag;
        if (DL_UNLIKELY(limit != DL_NO_END && element.length > limit - element.value &&
                        element.length != DL_UNDEFINED_LENGTH))
            element.length = (uint32_t)(limit - element.value); /* a value ends with its item */
        if (DL_UNLIKELY(DL_TAG_GROUP(tag) == 0xFFFE)) {
            if (where == IN_UNDEFINED_ITEM) {
                /* Its delimiter; or that is missing, and this belongs to the sequence. */
                *end = tag == DL_TAG_ITEM_END ? element.value : offset;
                return DL_OK;
            }
            bool hop = tag == DL_TAG_ITEM && element.length != DL_UNDEFINED_LENGTH;
            offset = hop ? element.value + element.length : element.value; /* stray */
            continue;
        }
        if (DL_UNLIKELY(tag < previous)) {
            /* Group 0000 is of messages (PS3.7), not of data sets: zeros that fill up a file. */
            if (where == AT_TOP && DL_TAG_GROUP(tag) == 0 && previous >= nodes->last) return DL_OK;
            ordered = false;
            next_node = 0;
        }
        if (tag > nodes->last && ordered) {
            if (where == AT_TOP && !taken) status = require_whole(p, &element);
            if (status != DL_OK) return status;
            bool breaks;
            status = order_breaks_after(p, &element, in->syntax, &breaks);
            if (status != DL_OK) return status;
            if (!breaks && where == AT_TOP) p->reached = offset;
            *end = limit;
            if (!breaks && where != IN_UNDEFINED_ITEM) return DL_OK;
            uint64_t items;
            if (!breaks)
                return dl_pass_skip(p, DL_IN_ITEM, parent, offset, limit, in->syntax, end, &items);
        }
        if (tag == DL_TAG_CHARSET && element.length != DL_UNDEFINED_LENGTH) {
            status = read_charset(p, &element, in);
            if (status != DL_OK) return status;
        }
        if (tag == DL_TAG_PIXEL_REPRESENTATION && nodes->pixel_representation) {
            status = read_pixel_representation(p, &element, in);
            if (status != DL_OK) return status;
        }
        uint64_t after = DL_NO_END;
        while (next_node < nodes->standard_count && nodes->standard[next_node].tag < tag)
            next_node++;
        if (next_node < nodes->standard_count && nodes->standard[next_node].tag == tag) {
            taken = true;
            status = take_standard(p, nodes, next_node, &element, in, limit, &after);
            if (status != DL_OK) return status;
        }
        if (nodes->private_count && (DL_TAG_GROUP(tag) & 1)) {
            status = take_private(p, nodes, &element, in, limit, &after);
            if (status != DL_OK) return status;
        }
        if (element.length != DL_UNDEFINED_LENGTH) {
            after = element.value + element.length;
        } else if (after == DL_NO_END) {
            uint64_t items;
            dl_syntax inner = in->syntax;
            if (element.vr == DL_VR_UN) inner = (dl_syntax){false, false};
            status =
                dl_pass_skip(p, DL_IN_SEQUENCE, tag, element.value, limit, inner, &after, &items);
            if (status != DL_OK) return status;
        }
        offset = after;
        previous = tag;
    }
}

static dl_status read_items(pass *p, const dl_node *node, const dl_element *sequence,
                            const scope *in, uint64_t limit, uint64_t *end) {
    bool defined = sequence->length != DL_UNDEFINED_LENGTH;
    uint64_t offset = sequence->value, items;
    if (defined && sequence->value + sequence->length < limit)
        limit = sequence->value + sequence->length;
    for (int32_t index = 0;;) {
        dl_element item;
        bool found;
        dl_status status =
            dl_element_read(p->window, offset, limit, in->syntax, &item, &found, p->error);
        if (status == DL_ERR_TRUNCATED && limit != DL_NO_END && limit - offset < 12) break;
        if (status == DL_ERR_TRUNCATED) return dl_pass_truncated(p, sequence->tag);
        if (status != DL_OK) return status;
        if (!found) {
            if (offset < limit) return dl_pass_truncated(p, sequence->tag);
            break;
        }
        if (item.tag == DL_TAG_ITEM_END) { /* stray */
            offset = item.value;
            continue;
        }
        if (item.tag != DL_TAG_ITEM) {
            *end = defined ? limit : item.tag == DL_TAG_SEQUENCE_END ? item.value : offset;
            return DL_OK;
        }
        bool undefined = item.length == DL_UNDEFINED_LENGTH;
        uint64_t item_end = undefined ? limit : item.value + item.length;
        if (item_end > limit) item_end = limit;
        scope inner = *in;
        status = dl_detect_syntax(p->window, item.value, &inner.syntax, p->error);
        if (status != DL_OK) return status;
        uint64_t after = item_end;
        if (node->item == DL_ITEM_ALL || node->item == index) {
            status = dl_pass_data_set(p, node->children, &inner,
                                      undefined ? IN_UNDEFINED_ITEM : IN_DEFINED_ITEM,
                                      sequence->tag, item.value, item_end, &after);
            if (!undefined) after = item_end;
        } else if (undefined) {
            status = dl_pass_skip(p, DL_IN_ITEM, sequence->tag, item.value, limit, inner.syntax,
                                  &after, &items);
        }
        if (status != DL_OK) return status;
        offset = after;
        if (node->item == index) break; /* the others are not wanted */
        index++;
    }
    *end = limit;
    if (defined) return DL_OK;
    return dl_pass_skip(p, DL_IN_SEQUENCE, sequence->tag, offset, limit, in->syntax, end, &items);
}
