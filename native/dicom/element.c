#include "dicomloom/dicom.h"

dl_status dl_fail_tag(dl_error *error, dl_status code, uint32_t tag, uint64_t offset,
                      const char *what) {
    (void)dl_fail(error, code, offset, "%s (%04x,%04x) at byte %llu", what, DL_TAG_GROUP(tag),
                  DL_TAG_ELEMENT(tag), (unsigned long long)offset);
    if (error) error->tag = tag;
    return code;
}

static bool is_letter(uint8_t byte) { return byte >= 'A' && byte <= 'Z'; }

dl_status dl_element_read(dl_window *window, uint64_t offset, uint64_t limit, dl_syntax syntax,
                          dl_element *element, bool *found, dl_error *error) {
    const uint8_t *p;
    *found = false;
    if (offset >= limit) return DL_OK;
    dl_status status = dl_window_get(window, offset, 8, &p, error);
    if (status != DL_OK) return status;
    if (!p || limit - offset < 8) {
        if (!p) {
            status = dl_window_get(window, offset, 1, &p, error);
            if (status != DL_OK || !p) return status;
        }
        return dl_fail(error, DL_ERR_TRUNCATED, offset, "truncated in an element header");
    }
    uint32_t tag = DL_TAG(dl_load_u16(p, syntax.big_endian), dl_load_u16(p + 2, syntax.big_endian));
    element->tag = tag;
    element->vr = DL_VR_NONE;
    element->value = offset + 8;
    *found = true;
    if (!syntax.explicit_vr || DL_UNLIKELY(DL_TAG_GROUP(tag) == 0xFFFE)) {
        element->length = dl_load_u32(p + 4, syntax.big_endian);
        return DL_OK;
    }
    dl_vr vr = dl_vr_from_bytes(p + 4);
    bool wide;
    if (DL_LIKELY(vr != DL_VR_NONE)) {
        element->vr = vr;
        wide = dl_vr_is(vr, DL_VR_LONG);
    } else if (is_letter(p[4]) && is_letter(p[5])) {
        /* A VR of a later edition has the wide form (PS3.5 7.1.2); old writers' inventions do not.
         */
        element->vr = DL_VR_UN;
        wide = p[6] == 0 && p[7] == 0;
    } else {
        element->length = dl_load_u32(p + 4, syntax.big_endian);
        return DL_OK;
    }
    if (!wide) {
        element->length = dl_load_u16(p + 6, syntax.big_endian);
        return DL_OK;
    }
    status = dl_window_get(window, offset, 12, &p, error);
    if (status != DL_OK) return status;
    if (!p || limit - offset < 12)
        return dl_fail(error, DL_ERR_TRUNCATED, offset, "truncated in an element header");
    element->length = dl_load_u32(p + 8, syntax.big_endian);
    element->value = offset + 12;
    return DL_OK;
}
