/* A data set recoded is, byte for byte, the data set as it is written in the other encoding: for
 * random ones, from each encoding to both. */
#include "listing.h"

static const dl_syntax SYNTAXES[] = {{true, false}, {false, false}, {true, true}};

typedef struct leaf {
    uint32_t tag;
    const char *vr;
    uint8_t unit; /* bytes that are swapped as one */
} leaf;

/* By rising tag; sequences stand at their places. */
static const leaf LEAVES[] = {
    {0x00080005, "CS", 1}, {0x00080054, "AE", 1}, {0x0008010E, "UR", 1}, {0x00080119, "UC", 1},
    {0x0008030E, "UT", 1}, {0x0008040C, "UV", 8}, {0x00081140, "SQ", 0}, {0x00089459, "FL", 4},
    {0x00090010, "LO", 1}, {0x00091001, "UN", 1}, {0x00100010, "PN", 1}, {0x00101010, "AS", 1},
    {0x00101020, "DS", 1}, {0x00104000, "LT", 1}, {0x001811B7, "FD", 8}, {0x00186016, "UL", 4},
    {0x00186020, "SL", 4}, {0x00189219, "SS", 2}, {0x00189323, "CS", 1}, {0x00209165, "AT", 2},
    {0x00280002, "US", 2}, {0x00280103, "US", 2}, {0x00280106, "SS", 2}, {0x00281201, "OW", 2},
    {0x00282000, "OB", 1}, {0x00283006, "OW", 2}, {0x00400275, "SQ", 0}, {0x00409211, "SS", 2},
    {0x00660016, "OF", 4}, {0x00660022, "OD", 8}, {0x00660040, "OL", 4}, {0x7FE00001, "OV", 8},
    {0x7FE00010, "OW", 2}};

/* Values are little endian until they are put. */
static void put_leaf(writer *w, const leaf *l, uint64_t *seed) {
    uint8_t value[256], swapped[256];
    size_t unit = l->unit < 2 ? 2 : l->unit;
    size_t size = unit * (random_below(seed, 9) + (l->vr[1] == 'W' ? 2 : 0));
    for (size_t i = 0; i < size; i++) value[i] = (uint8_t)random_next(seed);
    if (l->tag == DL_TAG_PIXEL_REPRESENTATION) size = 2, value[0] = 1, value[1] = 0;
    for (size_t i = 0; i < size; i++)
        swapped[i] = value[l->unit < 2 ? i : i / unit * unit + unit - 1 - i % unit];
    put_value(w, l->tag, l->vr, w->syntax.big_endian ? swapped : value, size);
}

static void put_random(writer *w, uint64_t *seed, int depth) {
    for (size_t i = 0; i < COUNT_OF(LEAVES); i++) {
        const leaf *l = &LEAVES[i];
        bool needed = l->tag == DL_TAG_PIXEL_REPRESENTATION; /* implicit VR's SS is a guess */
        if (depth > 0 && !needed && random_below(seed, 4) == 0) continue;
        if (l->unit) {
            put_leaf(w, l, seed);
            continue;
        }
        if (depth == 3) continue;
        opened items = put_sequence(w, l->tag, random_below(seed, 2));
        for (uint64_t k = random_below(seed, 4); k > 0; k--) {
            opened item = put_item(w, random_below(seed, 2));
            if (random_below(seed, 5)) put_random(w, seed, depth + 1);
            put_end(w, item);
        }
        put_end(w, items);
    }
}

static writer written(uint64_t seed, dl_syntax syntax) {
    writer w = {.syntax = syntax};
    put_random(&w, &seed, 0);
    return w;
}

static void random_data_sets(void) {
    for (uint64_t seed = 0; seed < 60; seed++) {
        for (size_t i = 0; i < 3; i++) {
            for (size_t k = 0; k < 2; k++) {
                writer from = written(seed, SYNTAXES[i]), to = written(seed, SYNTAXES[k]);
                listing l = recode_all(&from, SYNTAXES[k].explicit_vr);
                CHECK_CASE(l.status == DL_OK, "%s", l.error.message);
                CHECK_CASE(bytes_equal(&l.recoded, (const char *)to.bytes.data, to.bytes.length),
                           "seed %d, from %zu to %zu", (int)seed, i, k);
                listing_free(&l);
                writer_free(&from);
                writer_free(&to);
            }
        }
    }
}

static void check_recoded(const writer *from, const writer *to) {
    listing l = recode_all(from, to->syntax.explicit_vr);
    CHECK_CASE(l.status == DL_OK, "%s", l.error.message);
    CHECK(bytes_equal(&l.recoded, (const char *)to->bytes.data, to->bytes.length));
    listing_free(&l);
}

/* Group lengths, strays, and zeros at the end go; missing delimiters come. */
static void what_goes_and_what_comes(void) {
    writer from = {.syntax = EXPLICIT}, to = {.syntax = IMPLICIT};
    for (int i = 0; i < 2; i++) {
        writer *w = i ? &to : &from;
        if (!i) put_value(w, 0x00080000, "UL", "\4\0\0\0", 4);
        put_text(w, 0x00080060, "CS", "MR");
        if (!i) put_header(w, DL_TAG_ITEM_END, NULL, 0);
        if (!i) put_value(w, DL_TAG_ITEM, NULL, "abcd", 4);
        opened items = put_sequence(w, 0x00081140, true);
        for (int k = 0; k < 3; k++) {
            opened item = put_item(w, true);
            if (!i) put_value(w, 0x00080000, "UL", "\4\0\0\0", 4);
            put_text(w, 0x00081155, "UI", "1.2.");
            if (i || k == 1) put_end(w, item);
            if (!i && k == 1) put_header(w, DL_TAG_ITEM_END, NULL, 0);
        }
        if (i) put_end(w, items);
        put_text(w, 0x00100020, "LO", "behind");
    }
    /* An item whose delimiter is missing ends where an item or a sequence delimiter comes; here
     * none comes, so what is behind is the last item's. */
    size_t behind = 8 + 6, delimiters = 16;
    memmove(to.bytes.data + to.bytes.length - behind - delimiters,
            to.bytes.data + to.bytes.length - behind, behind);
    to.bytes.length -= delimiters;
    put_header(&to, DL_TAG_ITEM_END, NULL, 0);
    put_header(&to, DL_TAG_SEQUENCE_END, NULL, 0);
    check_recoded(&from, &to);
    writer_free(&from);
    writer_free(&to);
    from = (writer){.syntax = EXPLICIT}, to = (writer){.syntax = EXPLICIT};
    put_text(&from, 0x00080060, "CS", "MR");
    put(&from, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    put_text(&to, 0x00080060, "CS", "MR");
    check_recoded(&from, &to);
    writer_free(&from);
    writer_free(&to);
}

/* PS3.5 6.2.2: UN of undefined length holds implicit VR, whatever is around it. */
static void put_unknown(writer *w, const char *vr, bool inner_explicit) {
    dl_syntax outer = w->syntax;
    opened items = put_begin(w, 0x00091010, vr, true);
    w->syntax = inner_explicit ? EXPLICIT : IMPLICIT;
    opened item = put_item(w, true);
    put_us(w, 0x00280010, "US", 7);
    opened inner = put_sequence(w, 0x00081140, false);
    opened empty = put_item(w, false);
    put_text(w, 0x00081155, "UI", "1.2.");
    put_end(w, empty);
    put_end(w, inner);
    put_end(w, item);
    put_end(w, items);
    w->syntax = outer;
    put_us(w, 0x00280010, "US", 8);
}

static void sequences_of_unknown_elements(void) {
    writer un = {.syntax = EXPLICIT}, big = {.syntax = BIG}, implicit = {.syntax = IMPLICIT},
           sq = {.syntax = EXPLICIT};
    put_unknown(&un, "UN", false);
    put_unknown(&big, "UN", false);
    put_unknown(&implicit, NULL, false);
    put_unknown(&sq, "SQ", true);
    check_recoded(&un, &un);
    check_recoded(&big, &un);
    check_recoded(&un, &implicit);
    check_recoded(&implicit, &implicit);
    check_recoded(&implicit, &sq);
    check_recoded(&sq, &implicit);
    writer_free(&un);
    writer_free(&big);
    writer_free(&implicit);
    writer_free(&sq);
}

/* A private sequence of defined length would be read as bytes in implicit VR. */
static void private_sequences_stay_sequences(void) {
    writer defined = {.syntax = EXPLICIT}, delimited = {.syntax = IMPLICIT};
    for (int i = 0; i < 2; i++) {
        writer *w = i ? &delimited : &defined;
        opened items = put_sequence(w, 0x00091010, i);
        opened item = put_item(w, false);
        put_us(w, 0x00280010, "US", 7);
        put_end(w, item);
        put_end(w, items);
    }
    check_recoded(&defined, &delimited);
    writer_free(&defined);
    writer_free(&delimited);
}

/* What the dictionary takes for a sequence, and has no item, had another VR: it is UN. */
static void values_that_are_no_sequence(void) {
    static const char *const values[] = {"12", "1234", "1.2.840.10008.1.2"};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        writer implicit = {.syntax = IMPLICIT}, un = {.syntax = EXPLICIT},
               ui = {.syntax = EXPLICIT};
        put_text(&ui, 0x00081140, "UI", values[i]);
        put_text(&un, 0x00081140, "UN", values[i]);
        put_text(&implicit, 0x00081140, NULL, values[i]);
        check_recoded(&ui, &implicit);
        check_recoded(&implicit, &un);
        check_recoded(&implicit, &implicit);
        writer_free(&implicit);
        writer_free(&un);
        writer_free(&ui);
    }
}

static void values_too_long_for_their_vr(void) {
    static const size_t sizes[] = {65532, 65534, 65536, 100000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char *text = malloc(sizes[i]);
        CHECK(text);
        memset(text, 'x', sizes[i]);
        writer from = {.syntax = IMPLICIT}, to = {.syntax = EXPLICIT};
        put_value(&from, 0x00204000, "LT", text, sizes[i]);
        put_value(&to, 0x00204000, sizes[i] > 65534 ? "UN" : "LT", text, sizes[i]);
        check_recoded(&from, &to);
        free(text);
        writer_free(&from);
        writer_free(&to);
    }
}

/* Icons may be encapsulated: their fragments are bytes, not data sets. */
static void fragments_inside_items(void) {
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 2; k++) {
            writer w[2] = {{.syntax = SYNTAXES[i]}, {.syntax = SYNTAXES[k]}};
            for (int n = 0; n < 2; n++) {
                opened icons = put_sequence(&w[n], 0x00880200, false);
                opened icon = put_item(&w[n], true);
                opened pixels = put_begin(&w[n], DL_TAG_PIXEL_DATA, "OB", true);
                put_value(&w[n], DL_TAG_ITEM, NULL, NULL, 0);
                put_value(&w[n], DL_TAG_ITEM, NULL, "\xFF\xD8\0\0\xFE\xFF\0\xE0", 8);
                put_end(&w[n], pixels);
                put_end(&w[n], icon);
                put_end(&w[n], icons);
            }
            check_recoded(&w[0], &w[1]);
            writer_free(&w[0]);
            writer_free(&w[1]);
        }
    }
}

int main(void) {
    for (size_t i = 0; i < COUNT_OF(LEAVES); i++)
        CHECK(i == 0 || LEAVES[i].tag > LEAVES[i - 1].tag);
    random_data_sets();
    what_goes_and_what_comes();
    sequences_of_unknown_elements();
    private_sequences_stay_sequences();
    values_that_are_no_sequence();
    values_too_long_for_their_vr();
    fragments_inside_items();
    return 0;
}
