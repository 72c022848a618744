/* Element headers (PS3.5 7.1): each form in each encoding, the limit of the enclosing item, and the
 * end of the source at every byte. */
#include "data_set.h"

typedef struct header {
    dl_status status;
    bool found;
    dl_element element;
    dl_error error;
} header;

static header read_header(const void *data, size_t size, uint64_t offset, uint64_t limit,
                          dl_syntax syntax) {
    /* Exactly as large as it says, so that a sanitizer sees a read behind it. */
    uint8_t *exact = malloc(size ? size : 1);
    CHECK(exact);
    memcpy(exact, data, size);
    dl_memory memory = {exact, size};
    dl_source source;
    dl_window window = {0};
    header h = {0};
    dl_source_memory(&source, &memory);
    CHECK(dl_window_open(&window, &source, DL_WINDOW_FIRST, &h.error) == DL_OK);
    h.status = dl_element_read(&window, offset, limit, syntax, &h.element, &h.found, &h.error);
    dl_window_free(&window);
    free(exact);
    return h;
}

static void every_vr(void) {
    static const dl_syntax syntaxes[] = {{true, false}, {false, false}, {true, true}};
    for (size_t s = 0; s < COUNT_OF(syntaxes); s++) {
        for (dl_vr vr = DL_VR_AE; vr < DL_VR_OB_OR_OW; vr++) {
            writer w = {.syntax = syntaxes[s]};
            put_header(&w, DL_TAG(0x0012, 0x3456), dl_vr_table[vr].name, 0x1234);
            size_t size = w.bytes.length;
            CHECK(size == (syntaxes[s].explicit_vr && dl_vr_is(vr, DL_VR_LONG) ? 12 : 8));
            header h = read_header(w.bytes.data, size, 0, DL_NO_END, syntaxes[s]);
            CHECK(h.status == DL_OK && h.found);
            CHECK(h.element.tag == 0x00123456 && h.element.length == 0x1234);
            CHECK(h.element.value == size);
            CHECK(h.element.vr == (syntaxes[s].explicit_vr ? vr : DL_VR_NONE));
            for (size_t cut = 0; cut < size; cut++) {
                h = read_header(w.bytes.data, cut, 0, DL_NO_END, syntaxes[s]);
                CHECK(h.status == (cut ? DL_ERR_TRUNCATED : DL_OK));
                CHECK(cut || !h.found);
                h = read_header(w.bytes.data, size, 0, cut, syntaxes[s]); /* cut by its item */
                CHECK(h.status == (cut ? DL_ERR_TRUNCATED : DL_OK));
                CHECK(cut || !h.found);
            }
            writer_free(&w);
        }
    }
}

static void forms(void) {
    static const struct {
        const char *bytes;
        size_t size;
        dl_syntax syntax;
        uint32_t tag, length;
        dl_vr vr;
        uint64_t value;
    } cases[] = {
        /* items and delimiters have no VR, whatever the encoding (PS3.5 7.5) */
        {"\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF", 8, {true, false}, 0xFFFEE000, UINT32_MAX, 0, 8},
        {"\xFE\xFF\x0D\xE0\x00\x00\x00\x00", 8, {true, false}, 0xFFFEE00D, 0, 0, 8},
        {"\xFF\xFE\xE0\xDD\x00\x00\x00\x00", 8, {true, true}, 0xFFFEE0DD, 0, 0, 8},
        {"\xFE\xFF\x00\xE0OB\x00\x00", 8, {true, false}, 0xFFFEE000, 0x0000424F, 0, 8},
        /* bytes that are no VR: such an element was written in implicit VR */
        {"\x08\x00\x60\x00\x02\x00\x00\x00", 8, {true, false}, 0x00080060, 2, 0, 8},
        {"\x08\x00\x60\x00l\x00\x00\x00", 8, {true, false}, 0x00080060, 'l', 0, 8},
        /* a VR of a later edition is of the long form */
        {"\x08\x00\x60\x00ZZ\x00\x00\x04\x00\x00\x00",
         12,
         {true, false},
         0x00080060,
         4,
         DL_VR_UN,
         12},
        /* an invention is not */
        {"\x08\x00\x60\x00ZZ\x04\x00", 8, {true, false}, 0x00080060, 4, DL_VR_UN, 8},
        {"\x00\x08\x00\x60"
         "CS\x00\x02",
         8,
         {true, true},
         0x00080060,
         2,
         DL_VR_CS,
         8},
        {"\x08\x00\x40\x11SQ\x00\x00\xFF\xFF\xFF\xFF",
         12,
         {true, false},
         0x00081140,
         UINT32_MAX,
         DL_VR_SQ,
         12},
        {"\x08\x00\x40\x11\xFF\xFF\xFF\xFF", 8, {false, false}, 0x00081140, UINT32_MAX, 0, 8},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        header h = read_header(cases[i].bytes, cases[i].size, 0, DL_NO_END, cases[i].syntax);
        CHECK_CASE(h.status == DL_OK && h.found, "case %zu", i);
        CHECK_CASE(h.element.tag == cases[i].tag, "case %zu", i);
        CHECK_CASE(h.element.length == cases[i].length, "case %zu", i);
        CHECK_CASE(h.element.vr == cases[i].vr, "case %zu", i);
        CHECK_CASE(h.element.value == cases[i].value, "case %zu", i);
        h = read_header(cases[i].bytes, cases[i].size, 0, cases[i].size, cases[i].syntax);
        CHECK_CASE(h.status == DL_OK && h.found, "case %zu at its limit", i);
    }
}

static void offsets(void) {
    static const char bytes[] = "........\x08\x00\x60\x00"
                                "CS\x02\x00MR";
    header h = read_header(bytes, 18, 8, DL_NO_END, EXPLICIT);
    CHECK(h.status == DL_OK && h.found && h.element.tag == 0x00080060 && h.element.value == 16);
    h = read_header(bytes, 18, 18, DL_NO_END, EXPLICIT);
    CHECK(h.status == DL_OK && !h.found);
    h = read_header(bytes, 18, 17, DL_NO_END, EXPLICIT);
    CHECK(h.status == DL_ERR_TRUNCATED && h.error.offset == 17);
    /* Where a declared length led: past the limit, past the source, past what can be counted. */
    h = read_header(bytes, 18, 8, 8, EXPLICIT);
    CHECK(h.status == DL_OK && !h.found);
    h = read_header(bytes, 18, 12, 8, EXPLICIT);
    CHECK(h.status == DL_OK && !h.found);
    static const uint64_t far[] = {19, 1u << 31, 1ULL << 62, UINT64_MAX - 8, UINT64_MAX - 1};
    for (size_t i = 0; i < COUNT_OF(far); i++) {
        h = read_header(bytes, 18, far[i], DL_NO_END, EXPLICIT);
        CHECK_CASE(h.status == DL_OK || h.status == DL_ERR_TRUNCATED, "%zu", i);
        CHECK(!h.found);
    }
}

int main(void) {
    every_vr();
    forms();
    offsets();
    return 0;
}
