#include "dicomloom/dicom.h"

/* All texts are one object and an entry has offsets into it: a table of pointers would have to be
 * relocated, hundreds of kilobytes, in every process and every module that has it. */
#define DL_TEXT(member, vm, keyword, name) char member[sizeof(vm "\0" keyword "\0" name)];
static const struct texts {
#define DL_ELEMENT(tag, mask, vr, retired, vm, keyword, name) DL_TEXT(e##tag, vm, keyword, name)
#define DL_REPEATER(tag, mask, vr, retired, vm, keyword, name) DL_TEXT(r##tag, vm, keyword, name)
#include "dictionary_table.inc"
#undef DL_ELEMENT
#undef DL_REPEATER
} texts = {
#define DL_ELEMENT(tag, mask, vr, retired, vm, keyword, name) vm "\0" keyword "\0" name,
#define DL_REPEATER DL_ELEMENT
#include "dictionary_table.inc"
#undef DL_ELEMENT
#undef DL_REPEATER
};

#define DL_ENTRY(tag, mask, member, vr, retired, vm, keyword)                                      \
    {tag, mask,   offsetof(struct texts, member) + sizeof(vm), sizeof(vm), sizeof(keyword),        \
     vr,  retired},
static const dl_dictionary_entry elements[] = {
#define DL_ELEMENT(tag, mask, vr, retired, vm, keyword, name)                                      \
    DL_ENTRY(tag, mask, e##tag, vr, retired, vm, keyword)
#include "dictionary_table.inc"
#undef DL_ELEMENT
};
static const dl_dictionary_entry repeaters[] = {
#define DL_REPEATER(tag, mask, vr, retired, vm, keyword, name)                                     \
    DL_ENTRY(tag, mask, r##tag, vr, retired, vm, keyword)
#include "dictionary_table.inc"
#undef DL_REPEATER
};
#define DL_BY_KEYWORD
#include "dictionary_table.inc"

const char *dl_dictionary_keyword(const dl_dictionary_entry *entry) {
    return (const char *)&texts + entry->keyword;
}

const char *dl_dictionary_vm(const dl_dictionary_entry *entry) {
    return dl_dictionary_keyword(entry) - entry->vm_size;
}

const char *dl_dictionary_name(const dl_dictionary_entry *entry) {
    return dl_dictionary_keyword(entry) + entry->keyword_size;
}

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
        size_t length = (size_t)entry->keyword_size - 1;
        int order = memcmp(dl_dictionary_keyword(entry), keyword, length < size ? length : size);
        if (order == 0 && length == size) return entry;
        if (order == 0) order = length < size ? -1 : 1;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = 0; i < COUNT(repeaters); i++) {
        if ((size_t)repeaters[i].keyword_size - 1 == size &&
            memcmp(dl_dictionary_keyword(&repeaters[i]), keyword, size) == 0)
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
