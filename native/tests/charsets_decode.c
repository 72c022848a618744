/* Text becomes UTF-8: padding goes as each VR says, single-byte sets by their tables, what needs
 * another decoder is left to the caller, and whatever the bytes are the result is UTF-8. */
#include "dicomloom/dicom.h"
#include "valid_table.h"

static dl_charset charset(const char *name) {
    return dl_charset_find((const uint8_t *)name, strlen(name));
}

static void padding_goes(void) {
    static const struct {
        dl_vr vr;
        const char *value, *text;
    } cases[] = {
        /* PS3.5 Table 6.2-1: trailing padding everywhere, leading where it is not significant */
        {DL_VR_LO, "  two words  ", "two words"},
        {DL_VR_LO, " A \\  B ", "A\\B"},
        {DL_VR_SH, " A ", "A"},
        {DL_VR_AE, " STORE ", "STORE"},
        {DL_VR_CS, "ORIGINAL\\PRIMARY\\AXIAL ", "ORIGINAL\\PRIMARY\\AXIAL"},
        {DL_VR_CS, " A \\ B ", "A\\B"},
        {DL_VR_DS, " 1.5 \\-2 ", "1.5\\-2"},
        {DL_VR_IS, " 12 ", "12"},
        {DL_VR_PN, " Doe^John ", " Doe^John"},
        {DL_VR_UC, " x ", " x"},
        {DL_VR_UC, "a \\b ", "a\\b"},
        /* one value: a backslash is a character */
        {DL_VR_ST, " a \\ b ", " a \\ b"},
        {DL_VR_LT, " a \\ b ", " a \\ b"},
        {DL_VR_UT, " a \\ b ", " a \\ b"},
        {DL_VR_UR, "http://a/b\\c ", "http://a/b\\c"},
        {DL_VR_DA, "20240229 ", "20240229"},
        {DL_VR_TM, "1015 \\1016 ", "1015\\1016"},
        {DL_VR_DT, "2024 ", "2024"},
        {DL_VR_AS, "018M", "018M"},
        /* empty values stay values */
        {DL_VR_LO, "", ""},
        {DL_VR_LO, "   ", ""},
        {DL_VR_LO, "A\\", "A\\"},
        {DL_VR_LO, "\\A", "\\A"},
        {DL_VR_LO, "\\ \\", "\\\\"},
        {DL_VR_LT, "\\", "\\"},
        {DL_VR_LO, "tab\tand\x7F stay", "tab\tand\x7F stay"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bool deferred = true;
        dl_bytes out = {0};
        CHECK(dl_bytes_append(&out, "=", 1) == DL_OK); /* what stood there before stays */
        CHECK(dl_text_append(&out, cases[i].vr, DL_CHARSET_DEFAULT, (const uint8_t *)cases[i].value,
                             strlen(cases[i].value), &deferred) == DL_OK);
        CHECK(!deferred && out.data[0] == '=');
        size_t size = strlen(cases[i].text);
        CHECK_CASE(out.length == size + 1 && memcmp(out.data + 1, cases[i].text, size) == 0,
                   "%s \"%s\" gave \"%.*s\"", dl_vr_table[cases[i].vr].name, cases[i].value,
                   (int)out.length, out.data);
        dl_bytes_free(&out);
    }
    dl_bytes out = {0};
    bool deferred;
    const uint8_t uid[] = "1.2.840\0\0";
    CHECK(dl_text_append(&out, DL_VR_UI, DL_CHARSET_DEFAULT, uid, 9, &deferred) == DL_OK);
    CHECK(bytes_equal(&out, "1.2.840", 7));
    out.length = 0;
    const uint8_t inner[] = "1.2\0\\3.4\0 ";
    CHECK(dl_text_append(&out, DL_VR_UI, DL_CHARSET_DEFAULT, inner, 10, &deferred) == DL_OK);
    CHECK(bytes_equal(&out, "1.2\\3.4", 7));
    dl_bytes_free(&out);
}

static void sets_are_found(void) {
    static const char *const same[][2] = {
        {"ISO_IR 100", "ISO 2022 IR 100"},
        {"ISO_IR 100", "ISO-IR 100"},
        {"ISO_IR 100", "ISO_IR_100"},
        {"ISO_IR 100", " ISO_IR 100 "},
        {"ISO_IR 144", "ISO 2022 IR 144"},
        {"ISO_IR 13", "ISO 2022 IR 13"},
        {"ISO_IR 6", "ISO 2022 IR 6"},
        {"ISO_IR 6", ""},
        {"ISO_IR 6", "   "},
    };
    for (size_t i = 0; i < COUNT_OF(same); i++)
        CHECK_CASE(charset(same[i][0]) == charset(same[i][1]), "%s", same[i][1]);
    CHECK(charset("ISO_IR 6") == DL_CHARSET_DEFAULT);
    CHECK(charset("ISO_IR 192") == DL_CHARSET_UTF8);
    CHECK(dl_charset_find((const uint8_t *)"ISO_IR 100\0\0", 12) == charset("ISO_IR 100"));
    static const char *const deferred[] = {
        "ISO 2022 IR 87",
        "\\ISO 2022 IR 87",
        "ISO 2022 IR 6\\ISO 2022 IR 87",
        "ISO_IR 100\\ISO 2022 IR 144",
        "GB18030",
        "GBK",
        "ISO_IR 58",
        "ISO_IR 999",
        "ISO_IR 1000",
        "ISO_IR",
        "ISO_IR ",
        "100",
        "utf-8",
        "\\",
        "iso_ir 100 and much more than a code string holds",
    };
    for (size_t i = 0; i < COUNT_OF(deferred); i++)
        CHECK_CASE(charset(deferred[i]) == DL_CHARSET_DEFERRED, "%s", deferred[i]);
    /* P7: twenty sets, each unknown, are no more trouble than one. */
    char many[400] = "";
    for (int i = 0; i < 20; i++) (void)strcat(many, "ISO 2022 IR 999\\");
    CHECK(charset(many) == DL_CHARSET_DEFERRED);
}

static void tables_agree(void) {
    static const struct {
        const char *set, *value, *text;
    } cases[] = {
        {"ISO_IR 6", "Buc^J\xE9r\xF4me", "Buc^J\xC3\xA9r\xC3\xB4me"}, /* read as ISO 8859-1 */
        {"ISO_IR 100", "Buc^J\xE9r\xF4me", "Buc^J\xC3\xA9r\xC3\xB4me"},
        {"ISO_IR 101", "W\xB3\xF3", "W\xC5\x82\xC3\xB3"},
        {"ISO_IR 109", "\xA1", "\xC4\xA6"},
        {"ISO_IR 110", "\xA1", "\xC4\x84"},
        {"ISO_IR 144", "\xBB\xEE\xDA", "\xD0\x9B\xD1\x8E\xD0\xBA"},
        {"ISO_IR 127", "\xC7", "\xD8\xA7"},
        {"ISO_IR 126", "\xC4\xE9", "\xCE\x94\xCE\xB9"},
        {"ISO_IR 138", "\xF9\xBF", "\xD7\xA9\xEF\xBF\xBD"}, /* 0xBF is unassigned */
        {"ISO_IR 148", "\xDD", "\xC4\xB0"},
        {"ISO_IR 166", "\xA1", "\xE0\xB8\x81"},
        {"ISO_IR 13", "\xD4\xCF", "\xEF\xBE\x94\xEF\xBE\x8F"},
        {"ISO_IR 192", "\xC5\x82 \xF0\x9F\x98\x80", "\xC5\x82 \xF0\x9F\x98\x80"},
        {"ISO_IR 192", "a\xFF ", "a\xEF\xBF\xBD"},
        {"ISO_IR 192", "\x1B", "\x1B"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dl_bytes out = {0};
        bool deferred;
        CHECK(dl_text_append(&out, DL_VR_PN, charset(cases[i].set), (const uint8_t *)cases[i].value,
                             strlen(cases[i].value), &deferred) == DL_OK);
        CHECK_CASE(!deferred && bytes_equal(&out, cases[i].text, strlen(cases[i].text)),
                   "%s case %zu gave \"%.*s\"", cases[i].set, i, (int)out.length, out.data);
        dl_bytes_free(&out);
    }
}

static void others_are_deferred(void) {
    static const struct {
        dl_vr vr;
        const char *set, *value;
        bool deferred;
    } cases[] = {
        {DL_VR_PN, "\\ISO 2022 IR 87", "Yamada^Tarou=\x1B$B;3ED\x1B(B", true},
        {DL_VR_PN, "\\ISO 2022 IR 87", "Yamada^Tarou", false}, /* plain ASCII needs no decoder */
        {DL_VR_LO, "GB18030", "\xB2\xE2\\plain", true},
        {DL_VR_LO, "GB18030", "plain\\plain", false},
        {DL_VR_LO, "ISO_IR 13", "abc\\\x93\xFA", true}, /* Shift JIS */
        {DL_VR_LO, "ISO_IR 6", "abc\\\x1B$B;3", true},
        {DL_VR_LO, "ISO_IR 100", "\xE9\\\x1B", true},
        {DL_VR_LO, "ISO_IR 100", "ends with an escape\x1B", true},
        {DL_VR_CS, "GB18030", "\xB2", false}, /* no text of the set: the default repertoire */
        {DL_VR_UI, "\\ISO 2022 IR 87", "1.2.3", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dl_bytes out = {0};
        bool deferred;
        CHECK(dl_bytes_append(&out, "before", 6) == DL_OK);
        CHECK(dl_text_append(&out, cases[i].vr, charset(cases[i].set),
                             (const uint8_t *)cases[i].value, strlen(cases[i].value),
                             &deferred) == DL_OK);
        CHECK_CASE(deferred == cases[i].deferred, "case %zu", i);
        CHECK_CASE(!deferred || bytes_equal(&out, "before", 6), "case %zu: %.*s", i,
                   (int)out.length, out.data);
        dl_bytes_free(&out);
    }
}

static void everything_becomes_utf8(void) {
    uint64_t state = 7;
    for (int round = 0; round < 20000; round++) {
        uint8_t value[24];
        size_t size = random_below(&state, sizeof value + 1);
        for (size_t i = 0; i < size; i++) value[i] = (uint8_t)random_next(&state);
        dl_charset set = (dl_charset)(round % 14);
        dl_vr vr = (dl_vr)(random_below(&state, DL_VR_COUNT));
        dl_bytes out = {0};
        bool deferred;
        if (!dl_vr_is(vr, DL_VR_TEXT)) continue;
        CHECK(dl_text_append(&out, vr, set, value, size, &deferred) == DL_OK);
        CHECK(is_utf8(out.data, out.length));
        CHECK(!deferred || out.length == 0);
        dl_bytes_free(&out);
    }
}

/* The examples of Unicode 15, 3.9, Tables 3-8 to 3-11. */
static void replacement_is_best_practice(void) {
#define R "\xEF\xBF\xBD"
    static const char *const cases[][2] = {
        {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", R R R R R R R R "A"},
        {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", R R R R R R R R "A"},
        {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", R R R R R "A" R R "B"},
        {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", R R R R "A"},
        {"ends early \xE2\x82", "ends early " R},
        {"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"},
        {"", ""},
    };
    static const char *const escaped[][2] = {
        {"/a/\xE9t\xC3\xA9", "/a/\\xe9t\xC3\xA9"},
        {"\xE1\x80\xE2", "\\xe1\\x80\\xe2"},
        {"\xF0\x9F\x98\x80\xF0", "\xF0\x9F\x98\x80\\xf0"},
        {"plain", "plain"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dl_bytes out = {0};
        CHECK(dl_utf8_append(&out, (const uint8_t *)cases[i][0], strlen(cases[i][0])) == DL_OK);
        CHECK_CASE(bytes_equal(&out, cases[i][1], strlen(cases[i][1])), "case %zu", i);
        dl_bytes_free(&out);
    }
    for (size_t i = 0; i < COUNT_OF(escaped); i++) {
        dl_bytes out = {0};
        const uint8_t *text = (const uint8_t *)escaped[i][0];
        CHECK(dl_utf8_append_escaped(&out, text, strlen(escaped[i][0])) == DL_OK);
        CHECK_CASE(bytes_equal(&out, escaped[i][1], strlen(escaped[i][1])), "case %zu", i);
        dl_bytes_free(&out);
    }
#undef R
}

static void valid_text_stays(void) {
    for (uint32_t point = 0; point <= 0x10FFFF; point += point < 0x3000 ? 1 : 61) {
        if (point >= 0xD800 && point <= 0xDFFF) continue;
        uint8_t text[4];
        size_t size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
        for (size_t i = size; i-- > 1;)
            text[i] = (uint8_t)(0x80 | (point >> 6 * (size - 1 - i) & 0x3F));
        text[0] = (uint8_t)(lead[size] | point >> 6 * (size - 1));
        dl_bytes out = {0};
        CHECK(dl_utf8_append(&out, text, size) == DL_OK);
        CHECK(dl_utf8_append_escaped(&out, text, size) == DL_OK);
        CHECK(out.length == 2 * size && memcmp(out.data, text, size) == 0);
        CHECK(memcmp(out.data + size, text, size) == 0);
        dl_bytes_free(&out);
    }
}

int main(void) {
    padding_goes();
    sets_are_found();
    tables_agree();
    others_are_deferred();
    everything_becomes_utf8();
    replacement_is_best_practice();
    valid_text_stays();
    return 0;
}
