/* A data set cut at any byte lists the elements that stand before the cut, and says where it ends
 * (P5); lengths that lie are not believed (P2, P4, P6); an unreliable source is no danger (P13). */
#include "listing.h"

static const dl_syntax SYNTAXES[] = {{true, false}, {false, false}, {true, true}};

enum { SEQUENCE = 0x00081140 };

static void build(writer *w, bool undefined) {
    put_text(w, 0x00080005, "CS", "ISO_IR 100");
    put_text(w, 0x00080060, "CS", "MR");
    opened items = put_sequence(w, SEQUENCE, undefined);
    for (int i = 0; i < 3; i++) {
        opened item = put_item(w, undefined);
        put_text(w, 0x00081155, "UI", "1.2.");
        opened codes = put_sequence(w, 0x0040A043, !undefined);
        opened code = put_item(w, !undefined);
        put_us(w, 0x00280010, "US", 3);
        put_end(w, code);
        put_end(w, codes);
        put_end(w, item);
    }
    put_end(w, items);
    put_text(w, 0x00091001, "LO", "private ");
    put_us(w, DL_TAG_PIXEL_REPRESENTATION, "US", 1);
    put_value(w, 0x00282000, "OB", "0123456789", 10);
}

static bool same(const dl_entry *a, const dl_entry *b) {
    return a->tag == b->tag && a->vr == b->vr && a->offset == b->offset && a->value == b->value &&
           a->length == b->length && a->end == b->end && a->undefined == b->undefined;
}

static void cut_everywhere(dl_syntax syntax, bool undefined) {
    writer w = {.syntax = syntax};
    build(&w, undefined);
    listing whole = list_all(&w);
    CHECK(whole.status == DL_OK && entry_count(&whole) == 6);
    const dl_entry *entries = entries_of(&whole);
    for (size_t cut = 0; cut <= w.bytes.length; cut++) {
        uint8_t *exact = malloc(cut ? cut : 1);
        CHECK(exact);
        if (cut) memcpy(exact, w.bytes.data, cut);
        size_t before = 0;
        while (before < 6 && entries[before].end <= cut) before++;
        bool good = before == 0 ? cut == 0 : entries[before - 1].end == cut;
        listing l = list_bytes(exact, cut, syntax, true);
        CHECK_CASE(l.status == (good ? DL_OK : DL_ERR_TRUNCATED), "%zu: %s", cut, l.error.message);
        CHECK(good || l.error.offset == cut);
        CHECK_CASE(entry_count(&l) == before, "%zu of %zu at %zu", entry_count(&l), before, cut);
        for (size_t i = 0; i < before; i++) CHECK(same(entries_of(&l) + i, entries + i));
        listing_free(&l);
        for (int to_explicit = 0; to_explicit < 2; to_explicit++) {
            l = recode_bytes(exact, cut, syntax, to_explicit);
            /* An undefined length may end with the data set. */
            bool inside = undefined && before == 2 && cut >= entries[2].value;
            if (!inside) CHECK(l.status == (good ? DL_OK : DL_ERR_TRUNCATED));
            CHECK(l.status == DL_OK || l.status == DL_ERR_TRUNCATED);
            CHECK(l.status == DL_OK || l.error.offset == cut);
            listing_free(&l);
        }
        if (cut >= entries[2].value) { /* what there is of the sequence */
            dl_entry sequence = entries[2];
            l = list_items(exact, cut, &sequence, syntax);
            CHECK(l.status == (cut >= sequence.value + sequence.length ? DL_OK : DL_ERR_TRUNCATED));
            listing_free(&l);
        }
        free(exact);
    }
    listing_free(&whole);
    writer_free(&w);
}

/* P2: each VR says that it is longer than the file. */
static void far_beyond_the_file(dl_syntax syntax) {
    for (dl_vr vr = DL_VR_AE; vr < DL_VR_OB_OR_OW; vr++) {
        bool wide = !syntax.explicit_vr || dl_vr_is(vr, DL_VR_LONG);
        writer w = {.syntax = syntax};
        put_text(&w, 0x00080060, "CS", "MR");
        put_header(&w, 0x00091001, dl_vr_table[vr].name, wide ? 0xFFFFFFFE : 0xFFFE);
        put(&w, "0123456789", 10);
        listing l = list_all(&w);
        CHECK(l.status == DL_ERR_TRUNCATED && l.error.offset == w.bytes.length);
        CHECK(l.error.tag == 0x00091001 && entry_count(&l) == 1);
        listing_free(&l);
        l = recode_all(&w, true);
        CHECK(l.status == DL_ERR_TRUNCATED && l.error.tag == 0x00091001);
        listing_free(&l);
        writer_free(&w);
    }
}

/* P4: an item longer than its sequence, a value longer than its item, less than a header left. */
static void longer_than_the_parent(dl_syntax syntax) {
    for (int lie = 0; lie < 5; lie++) {
        writer w = {.syntax = syntax}, honest = {.syntax = {true, false}};
        for (int i = 0; i < 2; i++) {
            writer *to = i ? &honest : &w;
            opened items = put_sequence(to, SEQUENCE, false);
            opened item = put_item(to, false);
            uint32_t length = i || lie != 1 ? 4 : 0xFF00;
            put_header(to, 0x00081155, "UI", length);
            put(to, "1.2.", 4);
            if (!i && lie == 3) put(to, "\0\0\0", 3);
            if (!i && lie == 4) put_header(to, DL_TAG_ITEM, NULL, 0x1000); /* a stray one */
            put_end(to, item);
            if (!i && lie == 2) put(to, "\xFE\xFF\0", 3);
            put_end(to, items);
            if (!i && lie == 0) { /* the item's length */
                size_t all = to->bytes.length;
                to->bytes.length = item.header - 4;
                put_u32(to, 0x10000);
                to->bytes.length = all;
            }
            put_us(to, 0x00280010, "US", 7);
        }
        listing l = list_all(&w);
        CHECK_CASE(l.status == DL_OK && entry_count(&l) == 2, "%s", l.error.message);
        listing items = list_items(w.bytes.data, w.bytes.length, entries_of(&l), syntax);
        CHECK_CASE(items.status == DL_OK && items.items.undefined.length == 1, "%d: %s", lie,
                   items.error.message);
        listing_free(&items);
        listing_free(&l);
        l = recode_all(&w, true);
        CHECK_CASE(l.status == DL_OK, "%s", l.error.message);
        CHECK_CASE(bytes_equal(&l.recoded, (const char *)honest.bytes.data, honest.bytes.length),
                   "lie %d", lie);
        listing_free(&l);
        writer_free(&w);
        writer_free(&honest);
    }
}

/* A sequence whose length spans what are no items is not rewritten as if it were one. */
static void no_items_where_some_must_be(void) {
    writer w = {.syntax = EXPLICIT};
    put_text(&w, 0x00080060, "CS", "MR");
    put_value(&w, SEQUENCE, "SQ", "anonymised bytes", 16);
    put_us(&w, 0x00280010, "US", 7);
    listing l = list_all(&w);
    CHECK(l.status == DL_OK && entry_count(&l) == 3);
    listing items = list_items(w.bytes.data, w.bytes.length, entries_of(&l) + 1, EXPLICIT);
    CHECK(items.status == DL_OK && items.items.starts.length == 0);
    listing_free(&items);
    listing_free(&l);
    l = recode_all(&w, false);
    CHECK(l.status == DL_ERR_CORRUPT && l.error.tag == SEQUENCE && l.error.offset == 22);
    listing_free(&l);
    writer_free(&w);
}

/* P6: values that are no multiple of their unit keep their bytes; only whole numbers turn. */
static void remainders(void) {
    writer w = {.syntax = BIG}, to = {.syntax = EXPLICIT};
    put_value(&w, 0x00280010, "US", "\1\2\3", 3);
    put_value(&w, 0x00660016, "OF", "\1\2\3\4\5\6", 6);
    put_value(&w, 0x00660022, "OD", "\1\2\3", 3);
    put_value(&to, 0x00280010, "US", "\2\1\3", 3);
    put_value(&to, 0x00660016, "OF", "\4\3\2\1\5\6", 6);
    put_value(&to, 0x00660022, "OD", "\1\2\3", 3);
    listing l = recode_all(&w, true);
    CHECK(l.status == DL_OK);
    CHECK(bytes_equal(&l.recoded, (const char *)to.bytes.data, to.bytes.length));
    listing_free(&l);
    writer_free(&w);
    writer_free(&to);
}

/* A source that says one size and holds another, gives a little at a time, and may fail. */
typedef struct shrinking {
    const uint8_t *data;
    size_t says, holds;
    int fails_in;
} shrinking;

static dl_status shrinking_read(void *context, uint64_t offset, void *into, size_t size,
                                size_t *got, dl_error *error) {
    shrinking *s = context;
    *got = 0;
    if (s->fails_in && --s->fails_in == 0) return dl_fail(error, DL_ERR_IO, offset, "stale");
    if (offset >= s->holds) return DL_OK;
    *got = size < 40 ? size : 40;
    if (*got > s->holds - offset) *got = s->holds - (size_t)offset;
    memcpy(into, s->data + offset, *got);
    return DL_OK;
}

static dl_status shrinking_size(void *context, uint64_t *size, dl_error *error) {
    (void)error;
    *size = ((const shrinking *)context)->says;
    return DL_OK;
}

static void unreliable(dl_syntax syntax) {
    writer w = {.syntax = syntax};
    put_part10(&w, uid_of(syntax));
    size_t start = w.bytes.length;
    build(&w, true);
    size_t size = w.bytes.length;
    for (size_t step = 0; step < 3 * size; step++) {
        shrinking context = {w.bytes.data, size, size, 0};
        if (step < size) context.holds = step;
        if (step >= size && step < 2 * size) context.says = step - size;
        if (step >= 2 * size) context.fails_in = 1 + (int)(step - 2 * size);
        dl_source source = {&context, shrinking_read, shrinking_size, NULL};
        dl_lister lister = {0};
        dl_header header;
        dl_bytes entries = {0}, recoded = {0};
        dl_error error;
        dl_fragments fragments = {0};
        dl_recoding how = {syntax, true, false};
        CHECK(dl_lister_open(&lister, &source, DL_LIST_DEPTH, &error) == DL_OK);
        dl_status status[4];
        status[0] = dl_list_header(&lister, &header, &entries, &error);
        status[1] = dl_list_elements(&lister, start, DL_NO_END, syntax, true, &entries, &error);
        status[2] = dl_recode(&lister, &how, start, size, &recoded, &error);
        status[3] = dl_walk_fragments(&source, start, DL_NO_END, &fragments, &error);
        for (int i = 0; i < 4; i++)
            CHECK(status[i] != DL_ERR_MEMORY && status[i] != DL_ERR_ARGUMENT &&
                  (status[i] != DL_ERR_IO || step >= 2 * size));
        CHECK(recoded.length <= 2 * size);
        dl_fragments_free(&fragments);
        dl_bytes_free(&entries);
        dl_bytes_free(&recoded);
        dl_lister_free(&lister);
    }
    writer_free(&w);
}

int main(void) {
    for (size_t i = 0; i < COUNT_OF(SYNTAXES); i++) {
        cut_everywhere(SYNTAXES[i], false);
        cut_everywhere(SYNTAXES[i], true);
        far_beyond_the_file(SYNTAXES[i]);
        longer_than_the_parent(SYNTAXES[i]);
        unreliable(SYNTAXES[i]);
    }
    no_items_where_some_must_be();
    remainders();
    return 0;
}
