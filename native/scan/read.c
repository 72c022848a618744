/* One source to one row: finds the wanted elements and stops behind the last of them. */
#include <stdlib.h>

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
} pass;

static dl_status fail(pass *p, dl_status code, uint32_t tag, uint64_t offset, const char *what) {
    (void)dl_fail(p->error, code, offset, "%s (%04x,%04x) at byte %llu", what, DL_TAG_GROUP(tag),
                  DL_TAG_ELEMENT(tag), (unsigned long long)offset);
    if (p->error) p->error->tag = tag;
    return code;
}

static dl_status truncated(pass *p, uint32_t tag) {
    uint64_t size;
    dl_status status = dl_window_size(p->window, &size, p->error);
    return status != DL_OK ? status : fail(p, DL_ERR_TRUNCATED, tag, size, "truncated in");
}

static dl_status out_of_memory(pass *p) {
    return dl_fail(p->error, DL_ERR_MEMORY, 0, "out of memory");
}

/* --- skipping ----------------------------------------------------------------------------------
 */

typedef enum frame_kind { IN_SEQUENCE, IN_ITEM } frame_kind;
typedef struct frame {
    frame_kind kind;
    dl_syntax syntax;
} frame;

/* Walks from offset, inside a sequence or an item of undefined length, to where it ends: behind its
 * delimiter, at limit, or where a delimiter is missing. Nesting costs a frame, not a call. */
static dl_status skip(pass *p, frame_kind kind, uint32_t tag, uint64_t offset, uint64_t limit,
                      dl_syntax syntax, uint64_t *end, uint64_t *items) {
    dl_bytes *stack = &p->reader->frames;
    uint32_t depth = 1, deepest = p->reader->limits.depth;
    stack->length = 0;
    if (dl_bytes_reserve(stack, ((size_t)deepest + 2) * sizeof(frame)) != DL_OK)
        return out_of_memory(p);
    frame *frames = (frame *)(void *)stack->data;
    frames[0] = (frame){kind, syntax};
    *items = 0;
    while (depth > 0) {
        frame *top = &frames[depth - 1];
        dl_element element;
        bool found;
        dl_status status =
            dl_element_read(p->window, offset, limit, top->syntax, &element, &found, p->error);
        if (status == DL_ERR_TRUNCATED && limit != DL_NO_END && offset + 8 > limit)
            found = false, offset = limit; /* less than a header is left of the parent */
        else if (status == DL_ERR_TRUNCATED)
            return truncated(p, tag);
        else if (status != DL_OK)
            return status;
        if (!found) {
            if (offset < limit) return truncated(p, tag);
            *end = limit;
            return DL_OK;
        }
        uint64_t next = element.value + element.length;
        bool undefined = element.length == DL_UNDEFINED_LENGTH;
        if (top->kind == IN_SEQUENCE) {
            if (element.tag == DL_TAG_ITEM) {
                if (depth == 1) ++*items;
                if (undefined) {
                    if (depth > deepest)
                        return fail(p, DL_ERR_LIMIT, tag, offset, "sequences nest too deep in");
                    frames[depth] = (frame){IN_ITEM, top->syntax};
                    status =
                        dl_detect_syntax(p->window, element.value, &frames[depth].syntax, p->error);
                    if (status != DL_OK) return status;
                    depth++;
                    next = element.value;
                }
            } else if (element.tag == DL_TAG_SEQUENCE_END) {
                depth--;
                next = element.value;
            } else if (element.tag == DL_TAG_ITEM_END) {
                next = element.value; /* stray */
            } else {
                depth--; /* the delimiter is missing: what comes is not ours */
                next = offset;
            }
        } else if (element.tag == DL_TAG_ITEM_END) {
            depth--;
            next = element.value;
        } else if (element.tag == DL_TAG_SEQUENCE_END || element.tag == DL_TAG_ITEM) {
            depth--; /* the item's delimiter is missing */
            next = offset;
        } else if (undefined) {
            if (depth > deepest)
                return fail(p, DL_ERR_LIMIT, tag, offset, "sequences nest too deep in");
            /* PS3.5 6.2.2: UN of undefined length holds implicit VR little endian. */
            dl_syntax inner = element.vr == DL_VR_UN ? (dl_syntax){false, false} : top->syntax;
            frames[depth++] = (frame){IN_SEQUENCE, inner};
            next = element.value;
        }
        offset = next < limit ? next : limit; /* a length never leads out of its parent */
    }
    *end = offset;
    return DL_OK;
}

/* --- values ------------------------------------------------------------------------------------
 */

static dl_status value_bytes(pass *p, const dl_element *element, const uint8_t **bytes) {
    size_t size = element->length;
    if (size > p->reader->limits.value_size)
        return fail(p, DL_ERR_LIMIT, element->tag, element->value,
                    "a value longer than the limit in");
    if (size <= DL_WINDOW_CAPACITY) {
        dl_status status = dl_window_get(p->window, element->value, size, bytes, p->error);
        return status != DL_OK || *bytes ? status : truncated(p, element->tag);
    }
    uint64_t available;
    dl_status status = dl_window_size(p->window, &available, p->error);
    if (status != DL_OK) return status;
    if (element->value > available || size > available - element->value)
        return truncated(p, element->tag);
    dl_bytes *scratch = &p->reader->scratch;
    scratch->length = 0;
    if (dl_bytes_reserve(scratch, size) != DL_OK) return out_of_memory(p);
    while (scratch->length < size) {
        const dl_source *source = p->window->source;
        size_t got = 0;
        status = source->read_at(source->context, element->value + scratch->length,
                                 scratch->data + scratch->length, size - scratch->length, &got,
                                 p->error);
        if (status != DL_OK) return status;
        if (got == 0) return truncated(p, element->tag); /* the file shrank */
        scratch->length += got;
        p->window->bytes_read += got;
    }
    *bytes = scratch->data;
    return DL_OK;
}

/* YYYYMMDD, or YYYY.MM.DD of the standard before 1993 (PS3.5 6.2, note on DA). */
static bool parse_date(const uint8_t *text, size_t size, int64_t *days) {
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned digits[8];
    size_t n = 0;
    if (size != 8 && !(size == 10 && text[4] == '.' && text[7] == '.')) return false;
    for (size_t i = 0; i < size; i++) {
        if (size == 10 && (i == 4 || i == 7)) continue;
        digits[n] = (unsigned)text[i] - '0';
        if (digits[n++] > 9) return false;
    }
    int64_t year = digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3];
    unsigned month = digits[4] * 10 + digits[5], day = digits[6] * 10 + digits[7];
    if (month < 1 || month > 12 || year < 1) return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day < 1 || day > lengths[month - 1] + (month == 2 && leap ? 1u : 0u)) return false;
    /* Years that begin in March put the leap day last. */
    int64_t march_year = year - (month <= 2);
    int64_t of_year = (153 * (month + (month > 2 ? 0u : 12u) - 3) + 2) / 5 + day - 1;
    *days =
        march_year * 365 + march_year / 4 - march_year / 100 + march_year / 400 + of_year - 719468;
    return true;
}

/* The single number or date of a typed column; false where the value is something else. */
static bool typed_value(dl_column_type type, const uint8_t *text, size_t size, int64_t *whole,
                        double *real) {
    switch (type) {
    case DL_COLUMN_INT64: return dl_parse_int64((const char *)text, size, whole);
    case DL_COLUMN_FLOAT64: return dl_parse_double((const char *)text, size, real);
    case DL_COLUMN_DATE32: return parse_date(text, size, whole);
    default: return false;
    }
}

/* Turns the text that was appended to a typed cell into its value. */
static dl_status settle_typed(pass *p, size_t index, size_t start) {
    dl_column *column = &p->row->table->columns[index];
    const uint8_t *text = column->data.data + start;
    size_t size = column->data.length - start;
    int64_t whole = 0;
    double real = 0;
    bool fits = typed_value(column->type, text, size, &whole, &real);
    dl_row_reset(p->row, index);
    if (!fits) {
        if (size) p->row->table->misfits++;
        return DL_OK;
    }
    return column->type == DL_COLUMN_FLOAT64 ? dl_row_set_double(p->row, index, real)
                                             : dl_row_set_int64(p->row, index, whole);
}

static dl_status defer(pass *p, size_t index, dl_vr vr, const scope *in, const uint8_t *value,
                       size_t size) {
    dl_table *table = p->row->table;
    dl_bytes *data = dl_row_text(p->row, index);
    dl_deferred deferred = {.column = (uint32_t)index,
                            .vr = (uint32_t)vr,
                            .start = data->length,
                            .length = size,
                            .charset = table->deferred_charsets.length,
                            .charset_size = in->charset_size};
    dl_status status = dl_bytes_append(data, value, size);
    if (status == DL_OK)
        status = dl_bytes_append(&table->deferred_charsets, in->charset_text, in->charset_size);
    if (status == DL_OK) status = dl_bytes_append(&table->deferred, &deferred, sizeof deferred);
    return status;
}

static dl_status put_value(pass *p, const dl_node *node, dl_vr vr, const scope *in,
                           const uint8_t *value, size_t size) {
    size_t index = p->first_column + node->column;
    dl_column *column = &p->row->table->columns[index];
    bool more = node->joins && p->row->set[index];
    if (!more) dl_row_reset(p->row, index);
    dl_bytes *data = dl_row_text(p->row, index);
    size_t start = data->length;
    dl_status status = more ? dl_bytes_append(data, "\\", 1) : DL_OK;
    if (status == DL_OK && dl_vr_is(vr, DL_VR_TEXT)) {
        bool deferred = false;
        status = dl_text_append(data, vr, in->charset, value, size, &deferred);
        if (status == DL_OK && deferred) status = defer(p, index, vr, in, value, size);
    } else if (status == DL_OK) {
        status = dl_numbers_append(data, vr, in->syntax.big_endian, value, size);
    }
    if (status == DL_OK && column->type != DL_COLUMN_TEXT) status = settle_typed(p, index, start);
    return status == DL_ERR_MEMORY ? out_of_memory(p) : status;
}

static dl_status put_count(pass *p, const dl_node *node, uint64_t count) {
    char text[DL_NUMBER_SIZE];
    size_t size = dl_format_uint64(text, count);
    scope plain = {0};
    return put_value(p, node, DL_VR_IS, &plain, (const uint8_t *)text, size);
}

/* The VR to read a value as: the file's, or, where it says nothing, what is known of the tag. */
static dl_vr effective_vr(const dl_element *element, const dl_node *node, bool is_signed) {
    dl_vr vr = element->vr;
    if (vr == DL_VR_NONE || vr == DL_VR_UN) vr = node->vr;
    switch (vr) {
    case DL_VR_US_OR_SS: return is_signed ? DL_VR_SS : DL_VR_US;
    case DL_VR_US_OR_SS_OR_OW:
    case DL_VR_US_OR_OW: /* a table when it has more than one entry */
        return element->length > 2 ? DL_VR_OW : is_signed ? DL_VR_SS : DL_VR_US;
    case DL_VR_OB_OR_OW: return DL_VR_OW;
    default: return vr;
    }
}

static dl_status read_items(pass *p, const dl_node *node, const dl_element *sequence,
                            const scope *in, uint64_t limit, uint64_t *end);

/* Takes what one node wants of an element that matches it. *end is set where the element's end was
 * found on the way, for elements of undefined length. */
static dl_status take(pass *p, const dl_node *node, const dl_element *element, const scope *in,
                      uint64_t limit, uint64_t *end) {
    bool undefined = element->length == DL_UNDEFINED_LENGTH;
    dl_vr vr = effective_vr(element, node, in->is_signed);
    bool sequence = vr == DL_VR_SQ || (undefined && vr == DL_VR_UN);
    scope inner = *in;
    if (element->vr == DL_VR_UN && in->syntax.explicit_vr)
        inner.syntax = (dl_syntax){false, false}; /* PS3.5 6.2.2, note 4 */
    if (node->children) return sequence ? read_items(p, node, element, &inner, limit, end) : DL_OK;

    if (sequence || undefined) {
        uint64_t items, until = undefined ? limit : element->value + element->length;
        if (until > limit) until = limit;
        dl_status status =
            skip(p, IN_SEQUENCE, element->tag, element->value, until, inner.syntax, end, &items);
        if (status != DL_OK) return status;
        /* Without a path: items of a sequence, bytes of fragments up to their delimiter. */
        uint64_t bytes = *end - element->value;
        return put_count(p, node, sequence ? items : bytes < 8 ? bytes : bytes - 8);
    }
    if (!dl_vr_is(vr, DL_VR_TEXT | DL_VR_NUMBER)) {
        uint64_t size;
        dl_status status = dl_window_size(p->window, &size, p->error);
        if (status != DL_OK) return status;
        if (element->value > size || element->length > size - element->value)
            return truncated(p, element->tag);
        return put_count(p, node, element->length);
    }
    const uint8_t *value;
    dl_status status = value_bytes(p, element, &value);
    return status != DL_OK ? status : put_value(p, node, vr, &inner, value, element->length);
}

/* --- data sets ---------------------------------------------------------------------------------
 */

/* Notes which block a private creator reserves (PS3.5 7.8.1). */
static dl_status note_creator(pass *p, const dl_nodes *nodes, const dl_element *element) {
    uint16_t group = DL_TAG_GROUP(element->tag);
    uint8_t *blocks = p->reader->blocks.data;
    for (uint32_t i = 0; i < nodes->private_count; i++) {
        const dl_node *node = &nodes->private[i];
        if (DL_TAG_GROUP(node->tag) != group) continue;
        const uint8_t *value;
        dl_status status = value_bytes(p, element, &value);
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
        dl_status status = take(p, node, element, in, limit, end);
        if (status != DL_OK) return status;
    }
    return DL_OK;
}

static dl_status read_charset(pass *p, const dl_element *element, scope *in) {
    const uint8_t *value;
    dl_status status = value_bytes(p, element, &value);
    if (status != DL_OK) return status;
    size_t size = element->length;
    in->charset = dl_charset_find(value, size);
    if (size > sizeof in->charset_text) size = sizeof in->charset_text;
    memcpy(in->charset_text, value, size);
    in->charset_size = (uint8_t)size;
    return DL_OK;
}

static dl_status read_pixel_representation(pass *p, const dl_element *element, scope *in) {
    const uint8_t *value;
    if (element->length < 2) return DL_OK;
    dl_status status = value_bytes(p, element, &value);
    if (status == DL_OK) in->is_signed = dl_load_u16(value, in->syntax.big_endian) == 1;
    return status;
}

/* Behind the last wanted tag, the next element tells whether the order can be trusted. */
static bool order_breaks_after(const dl_window *window, const dl_element *element,
                               dl_syntax syntax) {
    uint64_t next = element->value + element->length - window->base;
    if (element->length == DL_UNDEFINED_LENGTH || element->value < window->base ||
        next > window->length || window->length - next < 4)
        return false;
    const uint8_t *bytes = window->buffer + next;
    uint16_t group = dl_load_u16(bytes, syntax.big_endian);
    uint32_t tag = DL_TAG(group, dl_load_u16(bytes + 2, syntax.big_endian));
    return tag < element->tag && group >= 0x0008;
}

typedef enum place { AT_TOP, IN_DEFINED_ITEM, IN_UNDEFINED_ITEM } place;

/* Reads the wanted elements from offset on, up to limit or, in an item of undefined length, its
 * delimiter. Recursion follows the wanted paths, never the nesting of the input. */
static dl_status read_data_set(pass *p, const dl_nodes *nodes, scope *in, place where,
                               uint32_t parent, uint64_t offset, uint64_t limit, uint64_t *end) {
    uint32_t previous = 0, next_node = 0;
    bool ordered = true;
    for (uint32_t i = 0; i < nodes->private_count; i++)
        p->reader->blocks.data[nodes->private[i].id] = 0;
    for (;;) {
        dl_element element;
        bool found;
        dl_status status =
            dl_element_read(p->window, offset, limit, in->syntax, &element, &found, p->error);
        if (DL_UNLIKELY(status == DL_ERR_TRUNCATED && limit != DL_NO_END && limit - offset < 8)) {
            *end = limit; /* less than a header is left of the item */
            return DL_OK;
        }
        if (DL_UNLIKELY(status == DL_ERR_TRUNCATED))
            return truncated(p, previous ? previous : parent);
        if (DL_UNLIKELY(status != DL_OK)) return status;
        if (DL_UNLIKELY(!found)) {
            *end = offset < limit ? offset : limit;
            if (offset >= limit) return DL_OK;
            if (where != AT_TOP) return truncated(p, parent);
            uint64_t size;
            status = dl_window_size(p->window, &size, p->error);
            if (status != DL_OK) return status;
            if (offset > size) return truncated(p, previous);
            return DL_OK;
        }
        uint32_t tag = element.tag;
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
            ordered = false;
            next_node = 0;
        }
        if (tag > nodes->last && ordered && !order_breaks_after(p->window, &element, in->syntax)) {
            uint64_t items;
            *end = limit;
            if (where != IN_UNDEFINED_ITEM) return DL_OK;
            return skip(p, IN_ITEM, parent, offset, limit, in->syntax, end, &items);
        }
        if (tag == DL_TAG_CHARSET) {
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
        for (uint32_t i = next_node; i < nodes->standard_count && nodes->standard[i].tag == tag;
             i++) {
            status = take(p, &nodes->standard[i], &element, in, limit, &after);
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
            status = skip(p, IN_SEQUENCE, tag, element.value, limit, inner, &after, &items);
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
        if (status == DL_ERR_TRUNCATED && limit != DL_NO_END && limit - offset < 8) break;
        if (status == DL_ERR_TRUNCATED) return truncated(p, sequence->tag);
        if (status != DL_OK) return status;
        if (!found) {
            if (offset < limit) return truncated(p, sequence->tag);
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
            status = read_data_set(p, node->children, &inner,
                                   undefined ? IN_UNDEFINED_ITEM : IN_DEFINED_ITEM, sequence->tag,
                                   item.value, item_end, &after);
            if (!undefined) after = item_end;
        } else if (undefined) {
            status =
                skip(p, IN_ITEM, sequence->tag, item.value, limit, inner.syntax, &after, &items);
        }
        if (status != DL_OK) return status;
        offset = after;
        if (node->item == index) break; /* the others are not wanted */
        index++;
    }
    *end = limit;
    if (defined) return DL_OK;
    return skip(p, IN_SEQUENCE, sequence->tag, offset, limit, in->syntax, end, &items);
}

/* --- the file ----------------------------------------------------------------------------------
 */

typedef enum encoding {
    ENCODED_EXPLICIT,
    ENCODED_IMPLICIT,
    ENCODED_BIG,
    ENCODED_DEFLATED
} encoding;

static encoding encoding_of(const uint8_t *uid, size_t size) {
    while (size && (uid[size - 1] == 0 || uid[size - 1] == ' ')) size--;
    static const struct {
        const char *uid;
        encoding encoding;
    } others[] = {
        {"1.2.840.10008.1.2", ENCODED_IMPLICIT},
        {"1.2.840.10008.1.2.2", ENCODED_BIG},
        {"1.2.840.10008.1.2.1.99", ENCODED_DEFLATED},
        {"1.2.840.113619.5.2", ENCODED_IMPLICIT}, /* GE: big-endian pixels, little-endian header */
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (size == strlen(others[i].uid) && memcmp(uid, others[i].uid, size) == 0)
            return others[i].encoding;
    return ENCODED_EXPLICIT; /* PS3.5 A.4: every other one, known or to come */
}

/* Reads the elements of group 0002. Their end is where the group ends or, as a deflated data set
 * may begin with any bytes, where the group length points; it is not believed beyond that. */
static dl_status read_meta(pass *p, const dl_start *start, scope *in, uint64_t *end,
                           encoding *found_encoding) {
    const dl_nodes *nodes = &p->reader->plan->meta;
    uint64_t offset = start->offset, announced = DL_NO_END;
    uint32_t previous = DL_TAG(0x0002, 0x0000);
    for (;;) {
        const uint8_t *value;
        dl_element element;
        bool found;
        *end = offset;
        if (offset == announced) return DL_OK;
        dl_status status = dl_window_get(p->window, offset, 2, &value, p->error);
        if (status != DL_OK) return status;
        if (!value || dl_load_u16(value, in->syntax.big_endian) != 0x0002) break;
        status =
            dl_element_read(p->window, offset, DL_NO_END, in->syntax, &element, &found, p->error);
        if (status == DL_ERR_TRUNCATED) return truncated(p, previous);
        if (status != DL_OK) return status;
        previous = element.tag;
        if (element.length == DL_UNDEFINED_LENGTH)
            return fail(p, DL_ERR_CORRUPT, element.tag, offset, "undefined length in");
        bool length = element.tag == DL_TAG(0x0002, 0x0000) && element.length == 4;
        if (length || element.tag == DL_TAG_TRANSFER_SYNTAX) {
            status = value_bytes(p, &element, &value);
            if (status != DL_OK) return status;
            if (length)
                announced = element.value + 4 + dl_load_u32(value, in->syntax.big_endian);
            else
                *found_encoding = encoding_of(value, element.length);
        }
        for (uint32_t i = 0; i < nodes->standard_count; i++) {
            uint64_t unused;
            if (nodes->standard[i].tag != element.tag) continue;
            status = take(p, &nodes->standard[i], &element, in, DL_NO_END, &unused);
            if (status != DL_OK) return status;
        }
        offset = element.value + element.length;
    }
    uint64_t size;
    dl_status status = dl_window_size(p->window, &size, p->error);
    if (status == DL_OK && offset > size) status = truncated(p, previous);
    return status;
}

static dl_status read_deflated(pass *p, uint64_t offset, scope *in) {
    dl_reader *reader = p->reader;
    if (!reader->open_inflated)
        return dl_fail(p->error, DL_ERR_UNSUPPORTED, offset,
                       "deflated data set at byte %llu: no inflater was given",
                       (unsigned long long)offset);
    dl_source inflated;
    dl_status status =
        reader->open_inflated(reader->open_context, p->window->source, offset, &inflated, p->error);
    if (status != DL_OK) return status;
    pass inner = *p;
    inner.window = &reader->inflated_window;
    status = dl_window_open(inner.window, &inflated, p->error);
    uint64_t end;
    if (status == DL_OK) status = dl_detect_syntax(inner.window, 0, &in->syntax, p->error);
    if (status == DL_OK)
        status = read_data_set(&inner, &reader->plan->data_set, in, AT_TOP, 0, 0, DL_NO_END, &end);
    dl_source_close(&inflated);
    return status;
}

static dl_status read_file(pass *p) {
    dl_start start = {0};
    dl_status status = dl_detect(p->window, &start, p->error);
    if (status != DL_OK) return status;
    scope in = {.syntax = start.syntax};
    uint64_t offset = start.offset, end;
    if (start.has_meta) {
        encoding data_set = ENCODED_IMPLICIT;
        status = read_meta(p, &start, &in, &offset, &data_set);
        if (status != DL_OK) return status;
        const dl_nodes *wanted = &p->reader->plan->data_set;
        if (wanted->standard_count + wanted->private_count == 0) return DL_OK;
        in = (scope){.syntax = {data_set != ENCODED_IMPLICIT, data_set == ENCODED_BIG}};
        if (data_set == ENCODED_DEFLATED) return read_deflated(p, offset, &in);
        status = dl_detect_syntax(p->window, offset, &in.syntax, p->error);
        if (status != DL_OK) return status;
        const uint8_t *byte;
        status = dl_window_get(p->window, offset, 1, &byte, p->error);
        if (status != DL_OK) return status;
        if (!byte)
            return dl_fail(p->error, DL_ERR_TRUNCATED, offset,
                           "truncated: no data set behind the file meta information at byte %llu",
                           (unsigned long long)offset);
    }
    return read_data_set(p, &p->reader->plan->data_set, &in, AT_TOP, 0, offset, DL_NO_END, &end);
}

dl_status dl_read(dl_reader *reader, const dl_source *source, dl_row *row, size_t first_column,
                  dl_error *error) {
    pass p = {reader, &reader->window, row, first_column, error};
    size_t nodes = reader->plan->nodes ? reader->plan->nodes : 1;
    reader->blocks.length = 0;
    if (dl_bytes_reserve(&reader->blocks, nodes) != DL_OK) return out_of_memory(&p);
    dl_status status = dl_window_open(p.window, source, error);
    if (status == DL_OK) status = read_file(&p);
    reader->bytes_read += p.window->bytes_read;
    return status;
}

void dl_reader_free(dl_reader *reader) {
    dl_window_free(&reader->window);
    dl_window_free(&reader->inflated_window);
    dl_bytes_free(&reader->scratch);
    dl_bytes_free(&reader->blocks);
    dl_bytes_free(&reader->frames);
}
