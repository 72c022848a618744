/* Every entry of the dictionary is found by its tag and by its keyword, repeating groups too, and
 * nothing else is. */
#include "check.h"
#include "dicomloom/dicom.h"

static void every_entry_is_found(void) {
    const dl_dictionary_entry *entry, *previous = NULL;
    size_t count = 0;
    for (; (entry = dl_dictionary_at(count)); count++) {
        /* (0028,04x0) begins at x = 1: with x = 0 some of them are elements of their own. */
        const dl_dictionary_entry *found = dl_dictionary_find(entry->tag);
        bool shadowed = entry->mask != UINT32_MAX && found && found->mask == UINT32_MAX;
        CHECK_CASE(found == entry || shadowed, "%08x", entry->tag);
        CHECK(dl_dictionary_find(entry->tag | (~entry->mask & 0x00220022)) == entry);
        CHECK((entry->tag & ~entry->mask) == 0);
        CHECK(entry->vr < DL_VR_COUNT && entry->vm_size > 1 && *dl_dictionary_vm(entry) &&
              dl_dictionary_name(entry));
        CHECK(dl_dictionary_vr(entry->tag) == (dl_vr)found->vr);
        if (previous && entry->mask == UINT32_MAX && previous->mask == UINT32_MAX)
            CHECK(previous->tag < entry->tag);
        if (previous && entry->mask == UINT32_MAX) CHECK(previous->mask == UINT32_MAX);
        const char *keyword = dl_dictionary_keyword(entry);
        size_t size = strlen(keyword);
        if (size) {
            CHECK_CASE(dl_dictionary_find_keyword(keyword, size) == entry, "%s", keyword);
            /* A prefix is found only where it is a keyword of its own, as Rows and RowsX. */
            const dl_dictionary_entry *other = dl_dictionary_find_keyword(keyword, size - 1);
            CHECK(!other || (strlen(dl_dictionary_keyword(other)) == size - 1 &&
                             memcmp(dl_dictionary_keyword(other), keyword, size - 1) == 0));
        }
        previous = entry;
    }
    CHECK(count > 5000);
    CHECK(!dl_dictionary_at(count + 1) && !dl_dictionary_at(SIZE_MAX));
}

static const dl_dictionary_entry *find(const char *keyword) {
    return dl_dictionary_find_keyword(keyword, strlen(keyword));
}

static void known_ones(void) {
    CHECK(find("PatientID")->tag == 0x00100020 && find("PatientID")->vr == DL_VR_LO);
    CHECK(find("PixelData")->tag == DL_TAG_PIXEL_DATA);
    CHECK(find("OverlayRows")->tag == 0x60000010 && find("OverlayRows")->mask == 0xFF00FFFF);
    CHECK(dl_dictionary_find_keyword("PatientIDs", 9) == find("PatientID"));
    static const char *const none[] = {"",      " ",     "patientid", "PatientIDX", "PatientI",
                                       "Patie", "ZZZZZ", "\xFF\xFF",  "A",          "PatientID "};
    for (size_t i = 0; i < COUNT_OF(none); i++) CHECK_CASE(!find(none[i]), "\"%s\"", none[i]);
}

/* The size counts, not a terminator: what stands behind a NUL is part of the name. */
static void size_is_obeyed(void) {
    static const char name[64] = "Rows";
    for (size_t size = 5; size <= sizeof name; size++) {
        char *exact = malloc(size);
        CHECK(exact);
        memcpy(exact, name, size);
        CHECK_CASE(!dl_dictionary_find_keyword(exact, size), "Rows and %zu NULs", size - 4);
        free(exact);
    }
}

static void groups_repeat(void) {
    for (unsigned group = 0x6000; group <= 0x60FF; group++) {
        const dl_dictionary_entry *entry = dl_dictionary_find(DL_TAG(group, 0x3000));
        CHECK((entry != NULL) == (group % 2 == 0)); /* odd groups are private */
        CHECK(!entry || strcmp(dl_dictionary_keyword(entry), "OverlayData") == 0);
        CHECK(dl_dictionary_vr(DL_TAG(group, 0x3000)) == (group % 2 ? DL_VR_UN : DL_VR_OB_OR_OW));
    }
    CHECK(!dl_dictionary_find(DL_TAG(0x6000, 0x9999)));
    CHECK(dl_dictionary_find(DL_TAG(0x0020, 0x3142))->vr == DL_VR_CS);
}

static void the_rest_has_a_vr(void) {
    CHECK(dl_dictionary_vr(DL_TAG(0x0009, 0x0000)) == DL_VR_UL);
    CHECK(dl_dictionary_vr(DL_TAG(0x0009, 0x0010)) == DL_VR_LO);
    CHECK(dl_dictionary_vr(DL_TAG(0x0009, 0x00FF)) == DL_VR_LO);
    CHECK(dl_dictionary_vr(DL_TAG(0x0009, 0x000F)) == DL_VR_UN);
    CHECK(dl_dictionary_vr(DL_TAG(0x0009, 0x0100)) == DL_VR_UN);
    CHECK(dl_dictionary_vr(DL_TAG(0x0009, 0x1001)) == DL_VR_UN);
    CHECK(dl_dictionary_vr(DL_TAG(0x0008, 0x0000)) == DL_VR_UL);
    CHECK(dl_dictionary_vr(DL_TAG(0x0008, 0x9999)) == DL_VR_UN);
    uint64_t state = 8;
    for (int i = 0; i < 100000; i++)
        CHECK(dl_dictionary_vr((uint32_t)random_next(&state)) < DL_VR_COUNT);
}

int main(void) {
    every_entry_is_found();
    known_ones();
    groups_repeat();
    the_rest_has_a_vr();
    size_is_obeyed();
    return 0;
}
