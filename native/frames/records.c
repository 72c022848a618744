/* Directory records (PS3.3 F.3.2.2) in one pass, whatever their lengths and offsets say. */
#include "dicomloom/frames.h"

enum { DIRECTORY_RECORD_SEQUENCE = 0x00041220 };

/* Where one pass over the records is. */
typedef struct pass {
    dl_lister *lister;
    const uint32_t *tags;
    size_t tag_count;
    dl_syntax syntax;
    uint64_t size; /* of the source */
    dl_record_list *into;
} pass;

void dl_record_list_free(dl_record_list *list) {
    dl_bytes_free(&list->records);
    dl_bytes_free(&list->values);
}

static dl_status out_of_memory(dl_error *error) {
    return dl_fail(error, DL_ERR_MEMORY, 0, "out of memory");
}

static bool is_wanted(const pass *p, uint32_t tag) {
    for (size_t i = 0; i < p->tag_count; i++)
        if (p->tags[i] == tag) return true;
    return false;
}

static dl_status append_value(pass *p, const dl_element *element, dl_error *error) {
    dl_record_value value = {.offset = element->value,
                             .tag = element->tag,
                             .length = element->length,
                             .record = (uint32_t)(p->into->records.length / sizeof(dl_record))};
    if (element->length == 2 || element->length == 4) {
        const uint8_t *bytes;
        dl_status status =
            dl_window_get(&p->lister->window, element->value, element->length, &bytes, error);
        if (status != DL_OK) return status;
        if (!bytes) return dl_window_truncated(&p->lister->window, element->tag, error);
        value.number = element->length == 2 ? dl_load_u16(bytes, p->syntax.big_endian)
                                            : dl_load_u32(bytes, p->syntax.big_endian);
    }
    if (dl_bytes_append(&p->into->values, &value, sizeof value) != DL_OK)
        return out_of_memory(error);
    return DL_OK;
}

/* Reads elements from *offset to a delimiter of items, to `limit`, or to an item where one cannot
 * be. *offset is then behind the last element; *ended says that a delimiter was there. Returns an
 * error other than DL_ERR_MEMORY where the grammar breaks: what was found before is kept. */
static dl_status read_elements(pass *p, uint64_t *offset, uint64_t limit, bool *ended,
                               dl_error *error) {
    const dl_skipper by = {&p->lister->window, &p->lister->frames, p->lister->depth};
    *ended = false;
    for (;;) {
        dl_element element;
        bool found;
        dl_status status =
            dl_element_read(&p->lister->window, *offset, limit, p->syntax, &element, &found, error);
        if (status != DL_OK) return status;
        if (!found) return DL_OK;
        if (DL_TAG_GROUP(element.tag) == 0xFFFE) {
            if (element.tag == DL_TAG_ITEM_END) {
                *ended = true;
                *offset = element.value;
            }
            return DL_OK;
        }
        if (element.tag == DIRECTORY_RECORD_SEQUENCE) return DL_OK;
        if (element.length == DL_UNDEFINED_LENGTH) {
            dl_syntax inner = element.vr == DL_VR_UN ? (dl_syntax){false, false} : p->syntax;
            dl_skipped skipped;
            status = dl_skip(&by, DL_IN_SEQUENCE, element.tag, element.value, limit, inner,
                             &skipped, error);
            if (status != DL_OK) return status;
            *offset = skipped.end;
            continue;
        }
        uint64_t end = limit < p->size ? limit : p->size;
        if (element.length > end - element.value)
            return dl_fail_tag(error, DL_ERR_TRUNCATED, element.tag, *offset,
                               "a record's value is cut off at");
        if (is_wanted(p, element.tag)) {
            status = append_value(p, &element, error);
            if (status != DL_OK) return status;
        }
        *offset = element.value + element.length;
    }
}

/* One record behind its item header. *offset is then where the next one should be. */
static dl_status read_record(pass *p, const dl_element *item, uint64_t start, uint64_t *offset,
                             dl_error *error) {
    bool undefined = item->length == DL_UNDEFINED_LENGTH, ended;
    uint64_t at = item->value, limit = undefined ? DL_NO_END : item->value + item->length;
    dl_record record = {.offset = start, .content = item->value};
    if (!undefined && limit > p->size) record.broken = true;
    dl_status status = read_elements(p, &at, limit, &ended, error);
    if (status == DL_ERR_MEMORY || status == DL_ERR_IO) return status;
    if (status != DL_OK || (undefined && !ended)) record.broken = true;
    record.end = undefined ? (ended ? at - 8 : at) : (limit < p->size ? limit : p->size);
    /* An element that breaks the grammar spoils no record but its own, where that has a length. */
    *offset = undefined ? at : record.end;
    if (record.broken && (undefined ? status != DL_OK : record.end == p->size)) p->into->cut = true;
    if (dl_bytes_append(&p->into->records, &record, sizeof record) != DL_OK)
        return out_of_memory(error);
    return DL_OK;
}

/* Items follow one another to a sequence delimiter or to what is no item: the declared length of
 * the sequence is not believed. */
static dl_status read_items(pass *p, uint64_t offset, uint64_t declared_end, dl_error *error) {
    while (!p->into->cut) {
        dl_element item;
        bool found;
        dl_status status =
            dl_element_read(&p->lister->window, offset, DL_NO_END, p->syntax, &item, &found, error);
        if (status == DL_ERR_MEMORY || status == DL_ERR_IO) return status;
        if (status == DL_OK && found && item.tag == DL_TAG_ITEM_END) { /* stray */
            offset = item.value;
            continue;
        }
        if (status != DL_OK || !found || item.tag != DL_TAG_ITEM) break;
        if (p->into->records.length / sizeof(dl_record) >= DL_LIST_RECORDS)
            return dl_fail_tag(error, DL_ERR_LIMIT, DIRECTORY_RECORD_SEQUENCE, offset,
                               "too many directory records at");
        status = read_record(p, &item, offset, &offset, error);
        if (status != DL_OK) return status;
    }
    p->into->end = offset;
    if (declared_end != DL_NO_END && declared_end != offset) p->into->length_lies = true;
    return DL_OK;
}

dl_status dl_list_records(dl_lister *lister, uint64_t offset, dl_syntax syntax,
                          const uint32_t *tags, size_t tag_count, dl_record_list *into,
                          dl_error *error) {
    pass p = {lister, tags, tag_count, syntax, 0, into};
    dl_status status = dl_window_size(&lister->window, &p.size, error);
    if (status != DL_OK) return status;
    dl_record root = {.offset = offset, .content = offset};
    bool ended;
    status = read_elements(&p, &offset, DL_NO_END, &ended, error);
    if (status == DL_ERR_MEMORY || status == DL_ERR_IO) return status;
    root.broken = status != DL_OK || ended;
    root.end = into->end = offset;
    if (dl_bytes_append(&into->records, &root, sizeof root) != DL_OK) return out_of_memory(error);
    dl_element sequence;
    bool found;
    if (root.broken) return DL_OK;
    status = dl_element_read(&lister->window, offset, DL_NO_END, syntax, &sequence, &found, error);
    if (status != DL_OK) return status;
    if (!found || sequence.tag != DIRECTORY_RECORD_SEQUENCE) return DL_OK;
    into->has_sequence = true;
    uint64_t end =
        sequence.length == DL_UNDEFINED_LENGTH ? DL_NO_END : sequence.value + sequence.length;
    return read_items(&p, sequence.value, end, error);
}
