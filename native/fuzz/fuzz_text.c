/* Text of any bytes in any VR and character set: the result is UTF-8, of bounded size, what stood
 * before stays, and replacing invalid sequences agrees with a decoder written another way. */
#include "dicomloom/dicom.h"
#include "fuzz.h"

static const char BEFORE[] = "before";

static dl_bytes begin(void) {
    dl_bytes out = {0};
    CHECK(dl_bytes_append(&out, BEFORE, sizeof BEFORE - 1) == DL_OK);
    return out;
}

static void end(dl_bytes *out) {
    size_t before = sizeof BEFORE - 1;
    CHECK(out->length >= before && memcmp(out->data, BEFORE, before) == 0);
    CHECK(is_utf8(out->data, out->length));
    dl_bytes_free(out);
}

/* Can more bytes make a well-formed sequence of this beginning? */
static bool is_beginning(const uint8_t *text, size_t size) {
    static const uint8_t seconds[] = {0x80, 0x90, 0xA0}; /* each lead byte allows one of them */
    uint8_t whole[4] = {0, 0x80, 0x80, 0x80};
    if (size > 3) return false;
    memcpy(whole, text, size);
    for (size_t i = 0; i < (size > 1 ? 1 : COUNT_OF(seconds)); i++) {
        if (size == 1) whole[1] = seconds[i];
        for (size_t length = size + 1; length <= 4; length++)
            if (utf8_length(whole, length) == length) return true;
    }
    return false;
}

/* Unicode 3.9, best practice: U+FFFD for each maximal subpart. */
static void check_replacement(const uint8_t *text, size_t size) {
    dl_bytes out = begin(), expected = begin();
    CHECK(dl_utf8_append(&out, text, size) == DL_OK);
    for (size_t i = 0; i < size;) {
        size_t length = utf8_length(text + i, size - i);
        if (length) {
            CHECK(dl_bytes_append(&expected, text + i, length) == DL_OK);
        } else {
            for (length = 1; i + length < size && is_beginning(text + i, length) &&
                             is_beginning(text + i, length + 1);)
                length++;
            CHECK(dl_bytes_append(&expected, "\xEF\xBF\xBD", 3) == DL_OK);
        }
        i += length;
    }
    CHECK(out.length == expected.length && memcmp(out.data, expected.data, out.length) == 0);
    end(&out);
    end(&expected);
}

/* \xNN gives every byte back. */
static void check_escaping(const uint8_t *text, size_t size) {
    dl_bytes out = begin();
    CHECK(dl_utf8_append_escaped(&out, text, size) == DL_OK);
    const uint8_t *p = out.data + sizeof BEFORE - 1, *last = out.data + out.length;
    for (size_t i = 0; i < size;) {
        size_t length = utf8_length(text + i, size - i);
        if (length) {
            CHECK((size_t)(last - p) >= length && memcmp(p, text + i, length) == 0);
            p += length;
        } else {
            char hex[5];
            (void)snprintf(hex, sizeof hex, "\\x%02x", text[i]);
            CHECK(last - p >= 4 && memcmp(p, hex, 4) == 0);
            p += 4;
            length = 1;
        }
        i += length;
    }
    CHECK(p == last);
    end(&out);
}

static size_t count(const uint8_t *text, size_t size, uint8_t byte) {
    size_t n = 0;
    for (size_t i = 0; i < size; i++) n += text[i] == byte;
    return n;
}

static void check_text(dl_vr vr, dl_charset charset, const uint8_t *text, size_t size) {
    bool deferred;
    dl_bytes out = begin();
    CHECK(dl_text_append(&out, vr, charset, text, size, &deferred) == DL_OK);
    size_t before = sizeof BEFORE - 1, length = out.length - before;
    CHECK(length <= 3 * size);
    if (deferred) CHECK(length == 0);
    /* A value more or less would move the others. */
    else if (charset != DL_CHARSET_DEFERRED || !dl_vr_is(vr, DL_VR_CHARSET))
        CHECK(count(out.data + before, length, '\\') == count(text, size, '\\'));
    if (!deferred && length) CHECK(out.data[out.length - 1] != ' ' && out.data[out.length - 1]);
    /* Once is enough: text without padding stays as it is. */
    dl_bytes again = begin();
    bool second;
    CHECK(dl_text_append(&again, vr, DL_CHARSET_UTF8, out.data + before, length, &second) == DL_OK);
    if (dl_vr_is(vr, DL_VR_CHARSET))
        CHECK(!second && again.length == out.length &&
              memcmp(again.data, out.data, out.length) == 0);
    end(&again);
    end(&out);
}

/* The input: a VR, the size of the name of a character set, that name, the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    dl_vr vr = (dl_vr)(data[0] % DL_VR_COUNT);
    size_t name = data[1] % 24;
    data += 2;
    size -= 2;
    if (name > size) name = size;
    dl_charset charset = dl_charset_find(data, name);
    CHECK(charset < 32);
    if (dl_vr_is(vr, DL_VR_TEXT)) {
        check_text(vr, charset, data + name, size - name);
        /* Every set there is, not only those whose names the fuzzer found. */
        if (size > name) check_text(vr, (dl_charset)(data[name] % 14), data + name, size - name);
    }
    check_replacement(data, size);
    check_escaping(data, size);
    return 0;
}
