/* What is DICOM is recognised in each of its forms, and what only looks like it is refused with the
 * reason (P10, P11). */
#include "data_set.h"

static dl_status detect(const void *data, size_t size, dl_start *start, dl_error *error) {
    uint8_t *exact = malloc(size ? size : 1);
    CHECK(exact);
    if (size) memcpy(exact, data, size);
    dl_memory memory = {exact, size};
    dl_source source;
    dl_window window = {0};
    *start = (dl_start){0};
    *error = (dl_error){0};
    dl_source_memory(&source, &memory);
    CHECK(dl_window_open(&window, &source, DL_WINDOW_FIRST, error) == DL_OK);
    dl_status status = dl_detect(&window, start, error);
    CHECK(status == DL_OK || (error->code == status && error->message[0]));
    dl_window_free(&window);
    free(exact);
    return status;
}

static void put_body(writer *w) {
    put_text(w, DL_TAG(0x0008, 0x0016), "UI", "1.2.840.10008.5.1.4.1.1.4");
    put_text(w, DL_TAG(0x0008, 0x0060), "CS", "MR");
    put_text(w, DL_TAG(0x0010, 0x0010), "PN", "Doe^John");
    put_text(w, DL_TAG(0x0010, 0x0020), "LO", "42");
    put_us(w, DL_TAG(0x0028, 0x0010), "US", 512);
}

static void part10(void) {
    static const dl_syntax syntaxes[] = {{true, false}, {false, false}, {true, true}};
    for (size_t i = 0; i < COUNT_OF(syntaxes); i++) {
        writer w = {.syntax = syntaxes[i]};
        dl_start start;
        dl_error error;
        put_part10(&w, uid_of(syntaxes[i]));
        put_body(&w);
        CHECK(detect(w.bytes.data, w.bytes.length, &start, &error) == DL_OK);
        CHECK(start.offset == 132 && start.has_meta);
        CHECK(start.syntax.explicit_vr && !start.syntax.big_endian);
        /* P11: a preamble may be the head of another format. */
        static const char *const heads[] = {"II*", "MZ", "\177ELF", "%PDF", "PK\3\4"};
        for (size_t k = 0; k < COUNT_OF(heads); k++) {
            memcpy(w.bytes.data, heads[k], strlen(heads[k]));
            CHECK(detect(w.bytes.data, w.bytes.length, &start, &error) == DL_OK);
        }
        /* The preamble cut off, and DICM with it. */
        CHECK(detect(w.bytes.data + 128, w.bytes.length - 128, &start, &error) == DL_OK);
        CHECK(start.offset == 4 && start.has_meta);
        CHECK(detect(w.bytes.data + 132, w.bytes.length - 132, &start, &error) == DL_OK);
        CHECK(start.offset == 0 && start.has_meta);
        writer_free(&w);
    }
}

static void part10_without_meta(void) {
    static const char preamble[128];
    static const dl_syntax syntaxes[] = {{true, false}, {false, false}, {true, true}};
    for (size_t i = 0; i < COUNT_OF(syntaxes); i++) {
        writer w = {.syntax = syntaxes[i]};
        dl_start start;
        dl_error error;
        put(&w, preamble, sizeof preamble);
        put(&w, "DICM", 4);
        put_body(&w);
        CHECK(detect(w.bytes.data, w.bytes.length, &start, &error) == DL_OK);
        CHECK(start.offset == 132 && !start.has_meta);
        CHECK(start.syntax.explicit_vr == syntaxes[i].explicit_vr);
        CHECK(start.syntax.big_endian == syntaxes[i].big_endian);
        writer_free(&w);
    }
}

static void bare(void) {
    static const dl_syntax syntaxes[] = {{true, false}, {false, false}, {true, true}};
    for (size_t i = 0; i < COUNT_OF(syntaxes); i++) {
        for (int group_length = 0; group_length < 2; group_length++) {
            writer w = {.syntax = syntaxes[i]};
            dl_start start;
            dl_error error;
            if (group_length) {
                put_header(&w, DL_TAG(0x0008, 0x0000), "UL", 4);
                put_u32(&w, 42);
            }
            put_body(&w);
            CHECK(detect(w.bytes.data, w.bytes.length, &start, &error) == DL_OK);
            CHECK(start.offset == 0 && !start.has_meta);
            CHECK(start.syntax.explicit_vr == syntaxes[i].explicit_vr);
            CHECK(start.syntax.big_endian == syntaxes[i].big_endian);
            writer_free(&w);
        }
    }
}

static void look_alikes_are_refused(void) {
    static const struct {
        const char *bytes;
        size_t size;
        const char *reason;
    } cases[] = {
        {"", 0, "empty"},
        {"\0", 1, "not DICOM"},
        {"DICM", 4, "not DICOM"},
        {"DICM is what this text begins with", 34, "not DICOM"},
        {"\xFF\xD8\xFF\xE0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0", 20, "JPEG"},
        {"\x89PNG\r\n\x1A\n\0\0\0\rIHDR", 16, "PNG"},
        {"GIF89a\1\0\1\0", 10, "GIF"},
        {"BM\x36\0\0\0\0\0\0\0\x36\0\0\0", 14, "BMP"},
        {"II*\0\x08\0\0\0\x01\0\0\0", 12, "TIFF"},
        {"MM\0*\0\0\0\x08", 8, "TIFF"},
        {"%PDF-1.7\n%\xE2\xE3\xCF\xD3\n", 15, "PDF"},
        {"PK\3\4\x14\0\0\0\x08\0", 10, "zip"},
        {"\x1F\x8B\x08\0\0\0\0\0", 8, "gzip"},
        {"\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0\x3E\0", 20, "ELF"},
        {"MZ\x90\0\3\0\0\0\4\0\0\0", 12, "Windows"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:00", 56, "git-lfs"},
        {"SQLite format 3\0\x10\0\1\1", 20, "SQLite"},
        {"(0008,0060) CS [MR]\n(0010,0010) PN [Doe]\n", 41, "not DICOM"},
        {"{\"00080060\": {\"vr\": \"CS\", \"Value\": [\"MR\"]}}", 43, "not DICOM"},
        /* elements that do not rise, and one element alone */
        {"\x08\0\x60\0CS\2\0MR\x08\0\x16\0UI\2\0001\0", 20, "not DICOM"},
        {"\x08\0\x60\0CS\2\0MR", 10, "not DICOM"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dl_start start;
        dl_error error;
        dl_status status = detect(cases[i].bytes, cases[i].size, &start, &error);
        CHECK_CASE(status == DL_ERR_NOT_DICOM, "case %zu", i);
        CHECK_CASE(strstr(error.message, cases[i].reason), "case %zu: %s", i, error.message);
    }
    uint8_t block[4096];
    uint64_t state = 9;
    dl_start start;
    dl_error error;
    memset(block, 0, sizeof block);
    CHECK(detect(block, sizeof block, &start, &error) == DL_ERR_NOT_DICOM);
    memset(block, 0xFF, sizeof block);
    CHECK(detect(block, sizeof block, &start, &error) == DL_ERR_NOT_DICOM);
    memset(block, ' ', sizeof block);
    CHECK(detect(block, sizeof block, &start, &error) == DL_ERR_NOT_DICOM);
    for (int round = 0; round < 2000; round++) {
        for (size_t i = 0; i < 512; i++) block[i] = (uint8_t)random_next(&state);
        CHECK_CASE(detect(block, 512, &start, &error) == DL_ERR_NOT_DICOM, "round %d", round);
    }
    memcpy(block + 128, "DICM", 4); /* the magic number, and noise */
    memset(block + 132, 0xFF, 300);
    CHECK(detect(block, 512, &start, &error) == DL_ERR_NOT_DICOM && error.offset == 132);
    CHECK(detect(block, 132, &start, &error) == DL_ERR_TRUNCATED && error.offset == 132);
}

/* What the transfer syntax promised, and what the bytes say. */
static void promises_are_checked(void) {
    static const dl_syntax syntaxes[] = {{true, false}, {false, false}, {true, true}};
    for (size_t is = 0; is < COUNT_OF(syntaxes); is++) {
        for (size_t said = 0; said < COUNT_OF(syntaxes); said++) {
            writer w = {.syntax = syntaxes[is]};
            put_body(&w);
            dl_memory memory = {w.bytes.data, w.bytes.length};
            dl_source source;
            dl_window window = {0};
            dl_error error;
            dl_source_memory(&source, &memory);
            CHECK(dl_window_open(&window, &source, DL_WINDOW_FIRST, &error) == DL_OK);
            dl_syntax syntax = syntaxes[said];
            CHECK(dl_detect_syntax(&window, 0, &syntax, &error) == DL_OK);
            CHECK_CASE(syntax.explicit_vr == syntaxes[is].explicit_vr &&
                           syntax.big_endian == syntaxes[is].big_endian,
                       "%zu said to be %zu", is, said);
            syntax = syntaxes[said]; /* at the end there is nothing to contradict it */
            CHECK(dl_detect_syntax(&window, w.bytes.length, &syntax, &error) == DL_OK);
            CHECK(syntax.explicit_vr == syntaxes[said].explicit_vr);
            dl_window_free(&window);
            writer_free(&w);
        }
    }
}

int main(void) {
    part10();
    part10_without_meta();
    bare();
    look_alikes_are_refused();
    promises_are_checked();
    return 0;
}
