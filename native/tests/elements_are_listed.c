/* Each element of the outermost level is listed once, with where it and its value begin and end;
 * each item of a sequence too; and a header is found with and without preamble. */
#include "listing.h"

static const dl_syntax SYNTAXES[] = {{true, false}, {false, false}, {true, true}};

static void check_entry(const listing *l, size_t index, uint32_t tag, dl_vr vr, uint64_t offset,
                        uint64_t end) {
    CHECK_CASE(index < entry_count(l), "%zu entries", entry_count(l));
    const dl_entry *e = entries_of(l) + index;
    CHECK_CASE(e->tag == tag, "%08x, not %08x", (unsigned)e->tag, (unsigned)tag);
    CHECK_CASE(e->vr == vr, "%08x is %s", (unsigned)tag, dl_vr_table[e->vr].name);
    CHECK_CASE(e->offset == offset, "%08x at %llu", (unsigned)tag, (unsigned long long)e->offset);
    CHECK_CASE(e->end == end, "%08x to %llu", (unsigned)tag, (unsigned long long)e->end);
    bool delimited = e->undefined && end != DL_NO_END;
    if (end != DL_NO_END) CHECK(e->value + e->length + (delimited ? 8 : 0) == end);
}

static void put_sequences(writer *w, bool undefined, size_t marks[3]) {
    marks[0] = w->bytes.length;
    opened items = put_sequence(w, 0x00081140, undefined);
    for (int i = 0; i < 3; i++) {
        opened item = put_item(w, undefined != (i == 1));
        put_text(w, 0x00081155, "UI", "1.2.3.");
        opened codes = put_sequence(w, 0x0040A043, !undefined);
        put_end(w, put_item(w, undefined));
        put_end(w, codes);
        put_end(w, item);
    }
    put_end(w, items);
    marks[1] = w->bytes.length;
    put_text(w, 0x00091001, "LO", "private ");
    marks[2] = w->bytes.length;
}

static void check_items(const writer *w, const dl_entry *sequence, bool undefined) {
    listing l = list_items(w->bytes.data, w->bytes.length, sequence, w->syntax);
    CHECK_CASE(l.status == DL_OK, "%s", l.error.message);
    CHECK(l.items.undefined.length == 3 && l.items.starts.length == 24);
    uint64_t previous = sequence->value;
    for (size_t i = 0; i < 3; i++) {
        uint64_t start, end;
        memcpy(&start, l.items.starts.data + 8 * i, 8);
        memcpy(&end, l.items.ends.data + 8 * i, 8);
        bool delimited = undefined != (i == 1);
        CHECK(l.items.undefined.data[i] == delimited);
        CHECK(start == previous + 8 && end > start);
        elements_of e = {start, end, w->syntax, false};
        listing inner = with_lister(w->bytes.data, w->bytes.length, 64, call_elements, &e);
        CHECK_CASE(inner.status == DL_OK, "%s", inner.error.message);
        CHECK(entry_count(&inner) == 2 && entries_of(&inner)[1].end == end);
        CHECK(entries_of(&inner)[0].tag == 0x00081155);
        listing_free(&inner);
        previous = end + (delimited ? 8 : 0);
    }
    CHECK(previous == sequence->value + sequence->length);
    listing_free(&l);
}

static void a_data_set(dl_syntax syntax, bool undefined) {
    writer w = {.syntax = syntax};
    size_t marks[3], pixels, open_vr;
    put_text(&w, 0x00080060, "CS", "MR");
    put_sequences(&w, undefined, marks);
    put_us(&w, DL_TAG_PIXEL_REPRESENTATION, "US", 1);
    open_vr = w.bytes.length;
    put_us(&w, 0x00280106, "SS", 0xFFFF);
    pixels = w.bytes.length;
    put_value(&w, DL_TAG_PIXEL_DATA, "OW", "0123456789", 10);
    size_t behind = w.bytes.length;
    put_text(&w, 0xFFFCFFFC, "OB", "padding ");
    for (int stop = 0; stop < 2; stop++) {
        listing l = list_bytes(w.bytes.data, w.bytes.length, syntax, stop);
        CHECK_CASE(l.status == DL_OK, "%s", l.error.message);
        CHECK_CASE(entry_count(&l) == (stop ? 6 : 7), "%zu", entry_count(&l));
        check_entry(&l, 0, 0x00080060, DL_VR_CS, 0, marks[0]);
        check_entry(&l, 1, 0x00081140, DL_VR_SQ, marks[0], marks[1]);
        check_entry(&l, 2, 0x00091001, syntax.explicit_vr ? DL_VR_LO : DL_VR_UN, marks[1],
                    marks[2]);
        check_entry(&l, 4, 0x00280106, DL_VR_SS, open_vr, pixels);
        check_entry(&l, 5, DL_TAG_PIXEL_DATA, DL_VR_OW, pixels, behind);
        if (!stop) check_entry(&l, 6, 0xFFFCFFFC, DL_VR_OB, behind, w.bytes.length);
        check_items(&w, entries_of(&l) + 1, undefined);
        listing_free(&l);
    }
    writer_free(&w);
}

/* Whatever is wrong with pixel data is for its reader to say. */
static void pixels_end_the_list(void) {
    static const uint32_t tags[] = {DL_TAG_PIXEL_DATA, DL_TAG_FLOAT_PIXEL_DATA,
                                    DL_TAG_DOUBLE_PIXEL_DATA};
    for (size_t i = 0; i < COUNT_OF(tags); i++) {
        writer w = {.syntax = EXPLICIT};
        put_text(&w, 0x00080060, "CS", "MR");
        put_header(&w, tags[i], "OW", 0xFFFFFFF0);
        listing l = list_bytes(w.bytes.data, w.bytes.length, EXPLICIT, true);
        CHECK(l.status == DL_OK && entry_count(&l) == 2);
        check_entry(&l, 1, tags[i], DL_VR_OW, 10, 22 + (uint64_t)0xFFFFFFF0);
        listing_free(&l);
        l = list_bytes(w.bytes.data, w.bytes.length, EXPLICIT, false);
        CHECK(l.status == DL_ERR_TRUNCATED && l.error.tag == tags[i] && entry_count(&l) == 1);
        listing_free(&l);
        w.bytes.length = 10;
        put_header(&w, tags[i], "OB", DL_UNDEFINED_LENGTH);
        l = list_bytes(w.bytes.data, w.bytes.length, EXPLICIT, true);
        CHECK(l.status == DL_OK && entries_of(&l)[1].undefined);
        check_entry(&l, 1, tags[i], DL_VR_OB, 10, DL_NO_END);
        listing_free(&l);
        writer_free(&w);
    }
}

/* What stands between elements and is none. */
static void strays_are_left_out(void) {
    for (size_t i = 0; i < COUNT_OF(SYNTAXES); i++) {
        writer w = {.syntax = SYNTAXES[i]};
        put_text(&w, 0x00080060, "CS", "MR");
        put_header(&w, DL_TAG_SEQUENCE_END, NULL, 0);
        put_header(&w, DL_TAG_ITEM_END, NULL, 0);
        put_value(&w, DL_TAG_ITEM, NULL, "0123", 4);
        put_us(&w, 0x00280010, "US", 1);
        put(&w, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18); /* fills up a block */
        listing l = list_all(&w);
        CHECK_CASE(l.status == DL_OK && entry_count(&l) == 2, "%s", l.error.message);
        listing_free(&l);
        writer_free(&w);
    }
}

typedef struct uid_case {
    const char *uid;
    dl_syntax written, found;
    bool deflated;
} uid_case;

static void headers(void) {
    static const uid_case cases[] = {
        {UID_EXPLICIT, {true, false}, {true, false}, false},
        {UID_IMPLICIT, {false, false}, {false, false}, false},
        {UID_BIG, {true, true}, {true, true}, false},
        {UID_DEFLATED, {true, false}, {true, false}, true},
        {"1.2.840.113619.5.2", {false, false}, {false, false}, false}, /* GE, private */
        {"1.2.840.10008.1.2.4.90", {true, false}, {true, false}, false},
        {UID_EXPLICIT, {false, false}, {false, false}, false}, /* not as promised */
        {UID_IMPLICIT, {true, false}, {true, false}, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (uint64_t cut = 0; cut <= 132; cut += cut == 0 ? 128 : 4) { /* preamble, DICM */
            writer w = {.syntax = cases[i].written};
            put_part10(&w, cases[i].uid);
            size_t data_set = w.bytes.length - cut;
            put_text(&w, 0x00080060, "CS", "MR");
            put_us(&w, 0x00280010, "US", 1);
            listing l = list_header(w.bytes.data + cut, w.bytes.length - cut);
            CHECK_CASE(l.status == DL_OK, "%s", l.error.message);
            CHECK(l.header.start == 132 - cut && l.header.data_set == data_set);
            CHECK(l.header.size == w.bytes.length - cut && entry_count(&l) == 5);
            CHECK(l.header.syntax.explicit_vr == cases[i].found.explicit_vr);
            CHECK(l.header.syntax.big_endian == cases[i].found.big_endian);
            CHECK(l.header.deflated == cases[i].deflated && l.header.has_transfer_syntax);
            CHECK(l.header.transfer_syntax_size == strlen(cases[i].uid) &&
                  memcmp(l.header.transfer_syntax, cases[i].uid, strlen(cases[i].uid)) == 0);
            check_entry(&l, 1, 0x00020001, DL_VR_OB, 144 - cut, 158 - cut);
            listing_free(&l);
            writer_free(&w);
        }
    }
}

static void bare_data_sets(void) {
    for (size_t i = 0; i < COUNT_OF(SYNTAXES); i++) {
        writer w = {.syntax = SYNTAXES[i]};
        put_text(&w, 0x00080005, "CS", "ISO_IR 100");
        put_text(&w, 0x00080060, "CS", "MR");
        put_us(&w, 0x00280010, "US", 1);
        listing l = list_header(w.bytes.data, w.bytes.length);
        CHECK_CASE(l.status == DL_OK, "%s", l.error.message);
        CHECK(l.header.start == 0 && l.header.data_set == 0 && entry_count(&l) == 0);
        CHECK(!l.header.has_transfer_syntax && !l.header.deflated);
        CHECK(l.header.syntax.explicit_vr == SYNTAXES[i].explicit_vr);
        CHECK(l.header.syntax.big_endian == SYNTAXES[i].big_endian);
        listing_free(&l);
        writer_free(&w);
    }
}

/* P3: the group length of the file meta information is no guide. */
static void group_lengths_that_lie(void) {
    static const uint32_t lengths[] = {0, 1, 60, 1000, 0x7FFFFFFF, 0xFFFFFFFF};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        writer w = {.syntax = EXPLICIT};
        put_part10(&w, UID_EXPLICIT);
        size_t all = w.bytes.length;
        w.bytes.length = 140;
        put_u32(&w, lengths[i]);
        w.bytes.length = all;
        put_text(&w, 0x00080060, "CS", "MR");
        listing l = list_header(w.bytes.data, w.bytes.length);
        CHECK_CASE(l.status == DL_OK && l.header.data_set == all, "%s", l.error.message);
        listing_free(&l);
        writer_free(&w);
    }
}

int main(void) {
    for (size_t i = 0; i < COUNT_OF(SYNTAXES); i++)
        for (int undefined = 0; undefined < 2; undefined++) a_data_set(SYNTAXES[i], undefined);
    pixels_end_the_list();
    strays_are_left_out();
    headers();
    bare_data_sets();
    group_lengths_that_lie();
    return 0;
}
