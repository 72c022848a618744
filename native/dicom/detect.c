#include "dicomloom/dicom.h"

/* Is this the head of an element that a data set could begin with? */
static bool plausible(const uint8_t *p, size_t size, dl_syntax syntax) {
    if (size < 8) return false;
    uint32_t tag = DL_TAG(dl_load_u16(p, syntax.big_endian), dl_load_u16(p + 2, syntax.big_endian));
    uint16_t group = DL_TAG_GROUP(tag);
    if (group < 0x0002 || group == 0x0003 || group >= 0x7FE1) return false;
    bool known = dl_dictionary_find(tag) != NULL || DL_TAG_ELEMENT(tag) == 0 || (group & 1);
    if (syntax.explicit_vr) return dl_vr_from_bytes(p + 4) != DL_VR_NONE && (known || group <= 8);
    uint32_t length = dl_load_u32(p + 4, syntax.big_endian);
    /* No VR to check: ask for a tag of the standard and a length that a first element can have. */
    if (dl_dictionary_vr(tag) == DL_VR_SQ) return true;
    return known && length < 0x10000;
}

/* A bare data set has no magic number: its first elements must read as elements, in order. */
static dl_status reads_as(dl_window *window, uint64_t offset, dl_syntax syntax, bool *yes,
                          dl_error *error) {
    enum { ENOUGH = 4 };
    uint32_t previous = 0;
    *yes = false;
    for (int i = 0; i < ENOUGH; i++) {
        const uint8_t *p;
        dl_status status = dl_window_get(window, offset, 8, &p, error);
        if (status != DL_OK) return status;
        if (!p) return *yes = i > 1, DL_OK;
        uint16_t group = dl_load_u16(p, syntax.big_endian);
        /* Behind the file meta information the encoding is another one. */
        if (i > 0 && DL_TAG_GROUP(previous) == 0x0002 && group != 0x0002) return *yes = true, DL_OK;
        if (!plausible(p, 8, syntax)) return DL_OK;
        dl_element element;
        bool found;
        status = dl_element_read(window, offset, DL_NO_END, syntax, &element, &found, error);
        if (status != DL_OK || !found) return status == DL_ERR_TRUNCATED ? DL_OK : status;
        if (i == 0 && DL_TAG_GROUP(element.tag) > 0x0008) return DL_OK;
        if (i > 0 && element.tag <= previous) return DL_OK;
        previous = element.tag;
        /* A first element this long, or of undefined length, is followed no further. */
        if (element.length > DL_WINDOW_FIRST) return *yes = i > 0, DL_OK;
        offset = element.value + element.length;
    }
    *yes = true;
    return DL_OK;
}

static dl_status not_dicom(dl_window *window, dl_error *error) {
    static const struct {
        const char *magic;
        uint8_t size;
        const char *what;
    } known[] = {
        {"\xFF\xD8\xFF", 3, "a JPEG image"},
        {"\x89PNG", 4, "a PNG image"},
        {"GIF8", 4, "a GIF image"},
        {"BM", 2, "a BMP image"},
        {"II*\0", 4, "a TIFF image"},
        {"MM\0*", 4, "a TIFF image"},
        {"\0\0\0\x0CjP  ", 8, "a JPEG 2000 image"},
        {"\xFF\x4F\xFF\x51", 4, "a JPEG 2000 codestream"},
        {"%PDF", 4, "a PDF document"},
        {"PK\3\4", 4, "a zip archive"},
        {"\x1F\x8B", 2, "gzip data"},
        {"\x7F"
         "ELF",
         4, "an ELF program"},
        {"MZ", 2, "a Windows program"},
        {"version https://git-lfs", 23, "a git-lfs pointer"},
        {"SQLite format 3", 15, "an SQLite database"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (window->length >= known[i].size &&
            memcmp(window->buffer, known[i].magic, known[i].size) == 0)
            return dl_fail(error, DL_ERR_NOT_DICOM, 0, "not DICOM: looks like %s", known[i].what);
    }
    return dl_fail(error, DL_ERR_NOT_DICOM, 0,
                   "not DICOM: no DICM at byte 128, and the first bytes are no data set");
}

dl_status dl_detect(dl_window *window, dl_start *start, dl_error *error) {
    static const dl_syntax explicit_le = {true, false}, implicit_le = {false, false},
                           explicit_be = {true, true};
    const dl_syntax candidates[] = {explicit_le, implicit_le, explicit_be};
    const uint8_t *p;
    if (window->end == 0) return dl_fail(error, DL_ERR_NOT_DICOM, 0, "not DICOM: empty file");
    dl_status status = dl_window_get(window, 0, 132, &p, error);
    if (status != DL_OK) return status;
    bool preamble = p && memcmp(p + 128, "DICM", 4) == 0;
    if (preamble) {
        start->offset = 132;
        status = dl_window_get(window, 132, 8, &p, error);
        if (status != DL_OK) return status;
        if (!p)
            return dl_fail(error, DL_ERR_TRUNCATED, 132,
                           "truncated: nothing follows DICM at byte 132");
        for (size_t i = 0; i < 3; i++) {
            if (!plausible(p, 8, candidates[i])) continue;
            start->syntax = candidates[i];
            start->has_meta = dl_load_u16(p, candidates[i].big_endian) == 0x0002;
            return DL_OK;
        }
        return dl_fail(error, DL_ERR_NOT_DICOM, 132,
                       "not DICOM: what follows DICM at byte 132 is no element");
    }
    /* Part 10 whose preamble, or preamble and DICM, a gateway cut off; or a bare data set. */
    start->offset = window->length >= 4 && memcmp(window->buffer, "DICM", 4) == 0 ? 4 : 0;
    for (size_t i = 0; i < 3; i++) {
        bool yes;
        status = reads_as(window, start->offset, candidates[i], &yes, error);
        if (status != DL_OK) return status;
        if (!yes) continue;
        status = dl_window_get(window, start->offset, 8, &p, error);
        if (status != DL_OK) return status;
        start->syntax = candidates[i];
        start->has_meta = p && dl_load_u16(p, candidates[i].big_endian) == 0x0002;
        return DL_OK;
    }
    status = dl_window_get(window, 0, 1, &p, error);
    return status != DL_OK ? status : not_dicom(window, error);
}

dl_status dl_detect_syntax(dl_window *window, uint64_t offset, dl_syntax *syntax, dl_error *error) {
    const uint8_t *p;
    dl_status status = dl_window_get(window, offset, 8, &p, error);
    if (status != DL_OK || !p) return status;
    if (DL_TAG_GROUP(DL_TAG(dl_load_u16(p, syntax->big_endian), 0)) == 0xFFFE) return DL_OK;
    bool spelled = dl_vr_from_bytes(p + 4) != DL_VR_NONE;
    if (syntax->explicit_vr == spelled) {
        /* Right about the VR; a data set whose groups read as 0x0800 is of the other byte order. */
        dl_syntax other = {spelled, !syntax->big_endian};
        if (spelled && !plausible(p, 8, *syntax) && plausible(p, 8, other)) *syntax = other;
        return DL_OK;
    }
    dl_syntax other = {spelled, spelled ? syntax->big_endian : false};
    if (spelled && !plausible(p, 8, other)) other.big_endian = !other.big_endian;
    if (plausible(p, 8, other)) *syntax = other;
    return DL_OK;
}

dl_encoding dl_encoding_of(const uint8_t *uid, size_t size) {
    while (size && (uid[size - 1] == 0 || uid[size - 1] == ' ')) size--;
    static const struct {
        const char *uid;
        dl_encoding encoding;
    } others[] = {
        {"1.2.840.10008.1.2", DL_ENCODED_IMPLICIT},
        {"1.2.840.10008.1.2.2", DL_ENCODED_BIG},
        {"1.2.840.10008.1.2.1.99", DL_ENCODED_DEFLATED},
        /* GE: big-endian pixels, little-endian header */
        {"1.2.840.113619.5.2", DL_ENCODED_IMPLICIT},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (size == strlen(others[i].uid) && memcmp(uid, others[i].uid, size) == 0)
            return others[i].encoding;
    return DL_ENCODED_EXPLICIT; /* PS3.5 A.4: every other one, known or to come */
}

bool dl_is_meta(const uint8_t *head, dl_syntax syntax, dl_encoding data_set) {
    /* A deflated data set may begin with any bytes: there the VR counts too. */
    return dl_load_u16(head, syntax.big_endian) == 0x0002 &&
           (data_set != DL_ENCODED_DEFLATED || dl_vr_from_bytes(head + 4) != DL_VR_NONE);
}
