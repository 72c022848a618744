#include "dicomloom/dicom.h"

#include "dictionary_table.inc"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

const dl_dictionary_entry *dl_dictionary_find(uint32_t tag) {
    size_t low = 0, high = COUNT(elements);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (elements[middle].tag < tag)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < COUNT(elements) && elements[low].tag == tag) return &elements[low];
    for (size_t i = 0; i < COUNT(repeaters); i++) {
        /* Repeating groups are even (PS3.5 7.6): an odd group that matches the mask is private. */
        if ((tag & repeaters[i].mask) == repeaters[i].tag && (DL_TAG_GROUP(tag) & 1) == 0)
            return &repeaters[i];
    }
    return NULL;
}

const dl_dictionary_entry *dl_dictionary_find_keyword(const char *keyword, size_t size) {
    size_t low = 0, high = COUNT(by_keyword);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const dl_dictionary_entry *entry = &elements[by_keyword[middle]];
        size_t length = strlen(entry->keyword);
        int order = memcmp(entry->keyword, keyword, length < size ? length : size);
        if (order == 0 && length == size) return entry;
        if (order == 0) order = length < size ? -1 : 1;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = 0; i < COUNT(repeaters); i++) {
        if (strlen(repeaters[i].keyword) == size &&
            memcmp(repeaters[i].keyword, keyword, size) == 0)
            return &repeaters[i];
    }
    return NULL;
}

const dl_dictionary_entry *dl_dictionary_at(size_t index) {
    if (index < COUNT(elements)) return &elements[index];
    index -= COUNT(elements);
    return index < COUNT(repeaters) ? &repeaters[index] : NULL;
}

dl_vr dl_dictionary_vr(uint32_t tag) {
    const dl_dictionary_entry *entry = dl_dictionary_find(tag);
    if (entry) return (dl_vr)entry->vr;
    if (DL_TAG_ELEMENT(tag) == 0) return DL_VR_UL; /* group length, PS3.5 7.2 */
    bool private_group = (DL_TAG_GROUP(tag) & 1) != 0;
    if (private_group && DL_TAG_ELEMENT(tag) >= 0x10 && DL_TAG_ELEMENT(tag) <= 0xFF)
        return DL_VR_LO; /* private creator, PS3.5 7.8.1 */
    return DL_VR_UN;
}
