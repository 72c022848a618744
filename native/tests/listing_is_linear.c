/* A million items, delimiters or elements of no length are read once, and cost what their headers
 * cost (P9). */
#include "listing.h"

enum { REPEATS = 1 << 20, SEQUENCE = 0x00400275 };

static void put_repeated(writer *w, const char *unit, size_t size) {
    for (size_t i = 0; i < REPEATS; i++) put(w, unit, size);
}

static void check_read_once(const listing *l, const writer *w) {
    CHECK_CASE(l->status == DL_OK, "%s", l->error.message);
    CHECK(l->bytes_read <= w->bytes.length + 2 * DL_WINDOW_CAPACITY);
}

static void items(const char *unit, size_t size, bool undefined, size_t count) {
    writer w = {.syntax = EXPLICIT};
    opened sequence = put_sequence(&w, SEQUENCE, undefined);
    put_repeated(&w, unit, size);
    put_end(&w, sequence);
    put_us(&w, 0x00540011, "US", 7);
    listing l = list_all(&w);
    check_read_once(&l, &w);
    CHECK(entry_count(&l) == 2);
    listing found = list_items(w.bytes.data, w.bytes.length, entries_of(&l), EXPLICIT);
    check_read_once(&found, &w);
    CHECK_CASE(found.items.undefined.length == count, "%zu", found.items.undefined.length);
    CHECK(found.items.starts.capacity <= 2 * 8 * count + 64);
    listing_free(&found);
    listing_free(&l);
    for (int to_explicit = 0; to_explicit < 2; to_explicit++) {
        l = recode_all(&w, to_explicit);
        check_read_once(&l, &w);
        CHECK(l.recoded.length <= 2 * w.bytes.length);
        listing_free(&l);
    }
    writer_free(&w);
}

/* Strays are read over; elements are listed up to a limit, and recoded beyond. */
static void elements(const char *unit, dl_status listed) {
    writer w = {.syntax = EXPLICIT};
    put_repeated(&w, unit, 8);
    put_us(&w, 0x00540011, "US", 7);
    listing l = list_all(&w);
    CHECK_CASE(l.status == listed, "%s", l.error.message);
    CHECK(l.bytes_read <= w.bytes.length + 2 * DL_WINDOW_CAPACITY);
    CHECK(entry_count(&l) == (listed == DL_OK ? 1 : DL_LIST_ELEMENTS));
    listing_free(&l);
    l = recode_all(&w, false);
    check_read_once(&l, &w);
    listing_free(&l);
    writer_free(&w);
}

int main(void) {
    static const char item[] = "\xFE\xFF\x00\xE0\0\0\0\0";
    static const char delimited[] = "\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF\xFE\xFF\x0D\xE0\0\0\0\0";
    static const char open[] = "\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF"; /* delimiters are missing */
    static const char stray[] = "\xFE\xFF\x0D\xE0\0\0\0\0";
    for (int undefined = 0; undefined < 2; undefined++) {
        items(item, 8, undefined, REPEATS);
        items(delimited, 16, undefined, REPEATS);
        items(open, 8, undefined, REPEATS);
        items(stray, 8, undefined, 0);
    }
    elements("\x08\0\x60\0CS\0\0", DL_ERR_LIMIT);
    elements(stray, DL_OK);
    elements("\xFE\xFF\xDD\xE0\0\0\0\0", DL_OK);
    elements(item, DL_OK);
    return 0;
}
