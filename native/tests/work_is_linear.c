/* Millions of items, delimiters or elements of no length are read once each, and leave nothing
 * behind (P9). */
#include "data_set.h"

enum {
    REPEATS = 1 << 20,
    STEP_ID = 0x00400009,
    REQUEST_SEQUENCE = 0x00400275,
    BEHIND = 0x00540011
};

/* A source that says the same eight bytes over and over between a head and a tail. */
typedef struct repeating {
    writer head, tail;
    uint8_t unit[8];
    uint64_t repeats;
} repeating;

static uint64_t size_of(const repeating *r) {
    return r->head.bytes.length + 8 * r->repeats + r->tail.bytes.length;
}

static dl_status repeating_read(void *context, uint64_t offset, void *into, size_t size,
                                size_t *got, dl_error *error) {
    const repeating *r = context;
    uint64_t head = r->head.bytes.length, middle = 8 * r->repeats;
    (void)error;
    for (*got = 0; *got < size && offset < size_of(r); ++*got, offset++)
        ((uint8_t *)into)[*got] = offset < head ? r->head.bytes.data[offset]
                                  : offset < head + middle
                                      ? r->unit[(offset - head) % 8]
                                      : r->tail.bytes.data[offset - head - middle];
    return DL_OK;
}

static dl_status repeating_size(void *context, uint64_t *size, dl_error *error) {
    (void)error;
    *size = size_of(context);
    return DL_OK;
}

static result read_repeating(const dl_plan *plan, repeating *r) {
    dl_reader reader = {.plan = plan, .limits = {DL_DEFAULT_DEPTH, DL_DEFAULT_VALUE_SIZE}};
    dl_source source = {r, repeating_read, repeating_size, NULL};
    result found = read_with(&reader, &source);
    dl_reader_free(&reader);
    CHECK_CASE(found.bytes_read <= size_of(r) + 2 * DL_WINDOW_CAPACITY, "%llu bytes of %llu",
               (unsigned long long)found.bytes_read, (unsigned long long)size_of(r));
    return found;
}

/* Variant 0: nobody wants the sequence; 1: how many items; 2: all; 3: the last; 4: none there. */
static dl_plan *plan_variant(int variant) {
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(BEHIND));
    int32_t item = variant == 2 ? DL_ITEM_ALL : variant == 3 ? REPEATS : INT32_MAX;
    if (variant == 1) WANT(plan, DL_COLUMN_TEXT, AT_TAG(REQUEST_SEQUENCE));
    if (variant > 1) WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, item), AT_TAG(STEP_ID));
    return plan;
}

static void items(const char *unit, bool undefined, int variant) {
    repeating r = {.head.syntax = EXPLICIT, .tail.syntax = EXPLICIT, .repeats = REPEATS};
    memcpy(r.unit, unit, 8);
    put_part10(&r.head, UID_EXPLICIT);
    put_header(&r.head, REQUEST_SEQUENCE, "SQ", undefined ? DL_UNDEFINED_LENGTH : 8 * REPEATS + 18);
    opened item = put_item(&r.tail, false);
    put_text(&r.tail, STEP_ID, "SH", "v ");
    put_end(&r.tail, item);
    if (undefined) put_header(&r.tail, DL_TAG_SEQUENCE_END, NULL, 0);
    put_us(&r.tail, BEHIND, "US", 7);
    dl_plan *plan = plan_variant(variant);
    result found = read_repeating(plan, &r);
    CHECK_CASE(found.status == DL_OK, "%s", found.error.message);
    CHECK_TEXT(found, 0, "7");
    bool items_repeat = (uint8_t)unit[2] == 0x00;
    if (variant == 1) CHECK_TEXT(found, 1, items_repeat ? "1048577" : "1");
    if (variant == 2 || (variant == 3 && items_repeat)) CHECK_TEXT(found, 1, "v");
    if (variant == 4) CHECK_NULL(found, 1);
    result_free(&found);
    dl_plan_free(plan);
    writer_free(&r.head);
    writer_free(&r.tail);
}

/* The same element again and again, and ones that never rise. */
static void elements(const char *unit) {
    repeating r = {.head.syntax = EXPLICIT, .tail.syntax = EXPLICIT, .repeats = REPEATS};
    memcpy(r.unit, unit, 8);
    put_part10(&r.head, UID_EXPLICIT);
    put_text(&r.head, 0x00100010, "PN", "Doe^John");
    put_us(&r.tail, BEHIND, "US", 7);
    dl_plan *plan = plan_variant(2);
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00080060));
    WANT(plan, DL_COLUMN_TEXT, AT_PRIVATE(0x00090001, "ACME", DL_VR_LO));
    result found = read_repeating(plan, &r);
    CHECK_CASE(found.status == DL_OK, "%s", found.error.message);
    CHECK_TEXT(found, 0, "7");
    result_free(&found);
    dl_plan_free(plan);
    writer_free(&r.head);
    writer_free(&r.tail);
}

/* Values that wait for a decoder, and another one that comes again and again: to take back the one
 * before costs nothing that grows with those that wait. */
static void values_that_wait(bool waits) {
    enum { ITEMS = 300000 };
    writer w = {.syntax = EXPLICIT};
    put_part10(&w, UID_EXPLICIT);
    put_text(&w, DL_TAG_CHARSET, "CS", "\\ISO 2022 IR 87 ");
    opened sequence = put_sequence(&w, REQUEST_SEQUENCE, true);
    for (int i = 0; i < ITEMS; i++) {
        opened item = put_item(&w, false);
        put_text(&w, STEP_ID, "SH", "\xE1 ");
        put_end(&w, item);
    }
    put_end(&w, sequence);
    for (int i = 0; i < ITEMS; i++) put_text(&w, 0x00400280, "ST", waits ? "\xE2 " : "a ");
    put_text(&w, 0x00400280, "ST", "\xE3 ");
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, DL_ITEM_ALL), AT_TAG(STEP_ID));
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00400280));
    result found = read_all(plan, &w);
    CHECK_CASE(found.status == DL_OK, "%s", found.error.message);
    CHECK_TEXT(found, 1, "\xE3 ");
    const dl_deferred *deferred = (const dl_deferred *)(const void *)found.table->deferred.data;
    CHECK(found.table->deferred.length == (ITEMS + 1) * sizeof *deferred);
    for (int i = 0; i <= ITEMS; i++) CHECK(deferred[i].column == (i == ITEMS));
    result_free(&found);
    dl_plan_free(plan);
    writer_free(&w);
}

int main(void) {
    values_that_wait(false);
    values_that_wait(true);
    for (int variant = 0; variant < 5; variant++) {
        items("\xFE\xFF\x00\xE0\0\0\0\0", true, variant);
        items("\xFE\xFF\x00\xE0\0\0\0\0", false, variant);
        items("\xFE\xFF\x0D\xE0\0\0\0\0", true, variant); /* stray item delimiters */
    }
    elements("\x08\0\x60\0CS\0\0");
    elements("\x09\0\x10\0LO\0\0");
    elements("\xFE\xFF\xDD\xE0\0\0\0\0");
    elements("\xFE\xFF\x00\xE0\0\0\0\0");
    return 0;
}
