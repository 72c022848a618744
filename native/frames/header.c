/* The head of a file: preamble, file meta information, and how the data set is encoded. */
#include "dicomloom/frames.h"

static dl_status read_transfer_syntax(dl_lister *lister, const dl_entry *entry, dl_header *header,
                                      dl_encoding *encoding, dl_error *error) {
    const uint8_t *value;
    size_t size = entry->length < DL_WINDOW_CAPACITY ? (size_t)entry->length : DL_WINDOW_CAPACITY;
    dl_status status = dl_window_get(&lister->window, entry->value, size, &value, error);
    if (status != DL_OK) return status;
    if (!value) return dl_window_truncated(&lister->window, entry->tag, error);
    *encoding = dl_encoding_of(value, size);
    while (size && (value[size - 1] == 0 || value[size - 1] == ' ')) size--;
    while (size && *value == ' ') value++, size--;
    if (size > sizeof header->transfer_syntax) size = sizeof header->transfer_syntax;
    memcpy(header->transfer_syntax, value, size);
    header->transfer_syntax_size = (uint8_t)size;
    header->has_transfer_syntax = true;
    return DL_OK;
}

/* One element of group 0002. None of them has an undefined length (PS3.10 7.1). */
static dl_status read_entry(dl_lister *lister, uint64_t offset, dl_syntax syntax, uint32_t previous,
                            dl_entry *entry, dl_error *error) {
    dl_element element;
    bool found;
    dl_status status =
        dl_element_read(&lister->window, offset, DL_NO_END, syntax, &element, &found, error);
    if (status == DL_ERR_TRUNCATED || (status == DL_OK && !found))
        return dl_window_truncated(&lister->window, previous, error);
    if (status != DL_OK) return status;
    if (element.length == DL_UNDEFINED_LENGTH)
        return dl_fail_tag(error, DL_ERR_CORRUPT, element.tag, offset, "undefined length in");
    *entry = (dl_entry){.offset = offset,
                        .value = element.value,
                        .length = element.length,
                        .end = element.value + element.length,
                        .tag = element.tag,
                        .vr = element.vr};
    if (entry->vr == DL_VR_NONE)
        entry->vr = dl_vr_resolve(dl_dictionary_vr(entry->tag), element.length, false);
    return DL_OK;
}

static dl_status list_meta(dl_lister *lister, dl_syntax syntax, dl_header *header,
                           dl_encoding *encoding, dl_bytes *entries, dl_error *error) {
    uint32_t previous = DL_TAG(0x0002, 0x0000), count = 0;
    for (;;) {
        const uint8_t *head;
        dl_entry entry = {0};
        dl_status status = dl_window_get(&lister->window, header->data_set, 6, &head, error);
        if (status != DL_OK) return status;
        if (!head || !dl_is_meta(head, syntax, *encoding)) return DL_OK;
        status = read_entry(lister, header->data_set, syntax, previous, &entry, error);
        if (status != DL_OK) return status;
        if (entry.end > header->size) return dl_window_truncated(&lister->window, entry.tag, error);
        if (++count > DL_LIST_ELEMENTS)
            return dl_fail_tag(error, DL_ERR_LIMIT, entry.tag, entry.offset,
                               "too many elements at");
        if (entry.tag == DL_TAG_TRANSFER_SYNTAX) {
            status = read_transfer_syntax(lister, &entry, header, encoding, error);
            if (status != DL_OK) return status;
        }
        if (dl_bytes_append(entries, &entry, sizeof entry) != DL_OK)
            return dl_fail(error, DL_ERR_MEMORY, 0, "out of memory");
        header->data_set = entry.end;
        previous = entry.tag;
    }
}

dl_status dl_list_header(dl_lister *lister, dl_header *header, dl_bytes *entries, dl_error *error) {
    dl_start start = {0};
    *header = (dl_header){0};
    /* The first read of dl_window_open is what dl_detect looks at. */
    dl_status status =
        dl_window_open(&lister->window, lister->window.source, DL_WINDOW_FIRST, error);
    if (status == DL_OK) status = dl_detect(&lister->window, &start, error);
    if (status == DL_OK) status = dl_window_size(&lister->window, &header->size, error);
    if (status != DL_OK) return status;
    header->start = header->data_set = start.offset;
    header->syntax = start.syntax;
    if (!start.has_meta) return DL_OK;
    dl_encoding encoding = DL_ENCODED_IMPLICIT;
    status = list_meta(lister, start.syntax, header, &encoding, entries, error);
    if (status != DL_OK) return status;
    header->syntax = dl_encoding_syntax(encoding);
    header->deflated = encoding == DL_ENCODED_DEFLATED;
    if (header->deflated) return DL_OK;
    return dl_detect_syntax(&lister->window, header->data_set, &header->syntax, error);
}
