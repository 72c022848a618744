/* Which elements a data set has, and where its sequences keep their items. */
#include "dicomloom/frames.h"

static dl_status out_of_memory(dl_error *error) {
    return dl_fail(error, DL_ERR_MEMORY, 0, "out of memory");
}

dl_status dl_lister_open(dl_lister *lister, const dl_source *source, uint32_t depth,
                         dl_error *error) {
    lister->depth = depth;
    return dl_window_attach(&lister->window, source, error);
}

void dl_lister_free(dl_lister *lister) {
    dl_window_free(&lister->window);
    dl_bytes_free(&lister->frames);
}

static bool is_pixels(uint32_t tag) {
    return tag == DL_TAG_PIXEL_DATA || tag == DL_TAG_FLOAT_PIXEL_DATA ||
           tag == DL_TAG_DOUBLE_PIXEL_DATA;
}

/* Elements that follow it have VRs that depend on it. */
static dl_status read_sign(dl_lister *lister, const dl_entry *entry, dl_syntax syntax,
                           bool *is_signed, dl_error *error) {
    const uint8_t *value;
    if (entry->tag != DL_TAG_PIXEL_REPRESENTATION || entry->length < 2) return DL_OK;
    dl_status status = dl_window_get(&lister->window, entry->value, 2, &value, error);
    if (status != DL_OK) return status;
    if (!value) return dl_window_truncated(&lister->window, entry->tag, error);
    *is_signed = dl_load_u16(value, syntax.big_endian) == 1;
    return DL_OK;
}

/* Finds the end of an element whose header was read, and sees to it that the source has it all. */
static dl_status find_end(dl_lister *lister, const dl_element *element, uint64_t limit,
                          dl_syntax syntax, dl_entry *entry, dl_error *error) {
    dl_status status;
    if (entry->undefined) {
        const dl_skipper by = {&lister->window, &lister->frames, lister->depth};
        dl_skipped skipped;
        /* PS3.5 6.2.2: UN of undefined length holds implicit VR little endian. */
        dl_syntax inner = element->vr == DL_VR_UN ? (dl_syntax){false, false} : syntax;
        status =
            dl_skip(&by, DL_IN_SEQUENCE, entry->tag, entry->value, limit, inner, &skipped, error);
        if (status != DL_OK) return status;
        entry->length = skipped.content - entry->value;
        entry->end = skipped.end;
    } else {
        entry->length = element->length;
        if (limit != DL_NO_END && entry->length > limit - entry->value)
            entry->length = limit - entry->value; /* a value ends with its item */
        entry->end = entry->value + entry->length;
    }
    /* Its last byte, not the size: of an inflated source that is known when all is inflated. The
     * read is none of its own: the next header follows. */
    const uint8_t *last;
    status = dl_window_get(&lister->window, entry->end - 1, 1, &last, error);
    if (status != DL_OK) return status;
    return last ? DL_OK : dl_window_truncated(&lister->window, entry->tag, error);
}

/* Where no element is found: is that the end, or is something missing? */
static dl_status check_end(dl_lister *lister, uint64_t offset, uint64_t limit, uint32_t previous,
                           dl_error *error) {
    uint64_t size;
    if (offset >= limit) return DL_OK;
    dl_status status = dl_window_size(&lister->window, &size, error);
    if (status != DL_OK) return status;
    return offset == size && limit == DL_NO_END
               ? DL_OK
               : dl_window_truncated(&lister->window, previous, error);
}

dl_status dl_list_elements(dl_lister *lister, uint64_t offset, uint64_t limit, dl_syntax syntax,
                           bool stop_at_pixels, dl_bytes *entries, dl_error *error) {
    uint32_t previous = 0, count = 0;
    bool is_signed = false;
    for (;;) {
        dl_element element;
        bool found;
        dl_status status =
            dl_element_read(&lister->window, offset, limit, syntax, &element, &found, error);
        if (status == DL_ERR_TRUNCATED && limit != DL_NO_END && limit - offset < 12)
            return DL_OK; /* less than a header is left of the item */
        if (status == DL_ERR_TRUNCATED)
            return dl_window_truncated(&lister->window, previous, error);
        if (status != DL_OK) return status;
        if (!found) return check_end(lister, offset, limit, previous, error);
        if (DL_TAG_GROUP(element.tag) == 0xFFFE) {
            bool hop = element.tag == DL_TAG_ITEM && element.length != DL_UNDEFINED_LENGTH;
            offset = hop ? element.value + element.length : element.value; /* stray */
            continue;
        }
        /* Group 0000 is of messages (PS3.7), not of data sets: zeros that fill up a file. */
        if (DL_TAG_GROUP(element.tag) == 0 && previous > 0) return DL_OK;
        if (++count > DL_LIST_ELEMENTS)
            return dl_fail_tag(error, DL_ERR_LIMIT, element.tag, offset, "too many elements at");
        dl_vr vr = element.vr;
        if (vr == DL_VR_NONE)
            vr = dl_vr_resolve(dl_dictionary_vr(element.tag), element.length, is_signed);
        dl_entry entry = {.offset = offset,
                          .value = element.value,
                          .tag = element.tag,
                          .vr = vr,
                          .undefined = element.length == DL_UNDEFINED_LENGTH};
        bool last = stop_at_pixels && is_pixels(entry.tag);
        if (last) {
            entry.length = entry.undefined ? 0 : element.length;
            entry.end = entry.undefined ? DL_NO_END : entry.value + entry.length;
        } else {
            status = find_end(lister, &element, limit, syntax, &entry, error);
            if (status != DL_OK) return status;
        }
        status = read_sign(lister, &entry, syntax, &is_signed, error);
        if (status != DL_OK) return status;
        if (dl_bytes_append(entries, &entry, sizeof entry) != DL_OK) return out_of_memory(error);
        if (last) return DL_OK;
        offset = entry.end;
        previous = entry.tag;
    }
}

/* --- items -------------------------------------------------------------------------------------
 */

void dl_item_list_free(dl_item_list *list) {
    dl_bytes_free(&list->starts);
    dl_bytes_free(&list->ends);
    dl_bytes_free(&list->undefined);
}

static dl_status append_item(dl_item_list *items, uint64_t start, uint64_t end, bool undefined,
                             dl_error *error) {
    uint8_t flag = undefined;
    if (dl_bytes_append(&items->starts, &start, sizeof start) != DL_OK ||
        dl_bytes_append(&items->ends, &end, sizeof end) != DL_OK ||
        dl_bytes_append(&items->undefined, &flag, 1) != DL_OK)
        return out_of_memory(error);
    return DL_OK;
}

dl_status dl_list_items(dl_lister *lister, const dl_entry *sequence, dl_syntax syntax,
                        dl_item_list *items, dl_error *error) {
    const dl_skipper by = {&lister->window, &lister->frames, lister->depth};
    uint64_t offset = sequence->value, size;
    dl_status status = dl_window_size(&lister->window, &size, error);
    if (status != DL_OK) return status;
    if (offset > size || sequence->length > size - offset)
        return dl_window_truncated(&lister->window, sequence->tag, error);
    uint64_t limit = offset + sequence->length;
    if (sequence->vr == DL_VR_UN) syntax = (dl_syntax){false, false};
    for (;;) {
        dl_element item;
        bool found;
        status = dl_element_read(&lister->window, offset, limit, syntax, &item, &found, error);
        if (status == DL_ERR_TRUNCATED && limit - offset < 8) return DL_OK;
        if (status != DL_OK) return status;
        if (!found && offset < limit)
            return dl_window_truncated(&lister->window, sequence->tag, error);
        if (!found) return DL_OK;
        if (item.tag == DL_TAG_ITEM_END) { /* stray */
            offset = item.value;
            continue;
        }
        if (item.tag != DL_TAG_ITEM) return DL_OK;
        bool undefined = item.length == DL_UNDEFINED_LENGTH;
        dl_skipped skipped;
        if (undefined) {
            dl_syntax inner = syntax;
            status = dl_detect_syntax(&lister->window, item.value, &inner, error);
            if (status != DL_OK) return status;
            status =
                dl_skip(&by, DL_IN_ITEM, sequence->tag, item.value, limit, inner, &skipped, error);
            if (status != DL_OK) return status;
        } else {
            skipped.end = item.length < limit - item.value ? item.value + item.length : limit;
            skipped.content = skipped.end;
        }
        status = append_item(items, item.value, skipped.content, undefined, error);
        if (status != DL_OK) return status;
        offset = skipped.end;
    }
}
