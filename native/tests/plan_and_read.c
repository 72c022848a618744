/* What a plan asks for is what the row holds: paths into sequences, private blocks, counts, in each
 * encoding, with items of defined and of undefined length; and reading stops when all is found. */
#include "data_set.h"

enum {
    PATIENT_NAME = 0x00100010,
    PATIENT_ID = 0x00100020,
    MODALITY = 0x00080060,
    REQUEST_SEQUENCE = 0x00400275,
    CODE_SEQUENCE = 0x00400008,
    CODE_VALUE = 0x00080100,
    STEP_ID = 0x00400009,
    ROWS = 0x00280010,
    SMALLEST_PIXEL = 0x00280106,
    LUT_SEQUENCE = 0x00283000,
    LUT_DESCRIPTOR = 0x00283002
};

static const dl_syntax SYNTAXES[] = {{true, false}, {false, false}, {true, true}};

/* Three items; the first two hold codes: a, b / c; the last holds none. */
static void put_requests(writer *w, bool undefined_sequences, bool undefined_items) {
    static const char *const codes[3][2] = {{"a ", "b "}, {"c ", NULL}, {NULL, NULL}};
    static const char *const ids[3] = {"first ", "second", "third "};
    opened requests = put_sequence(w, REQUEST_SEQUENCE, undefined_sequences);
    for (int i = 0; i < 3; i++) {
        opened item = put_item(w, undefined_items);
        opened inner = put_sequence(w, CODE_SEQUENCE, undefined_sequences);
        for (int k = 0; k < 2 && codes[i][k]; k++) {
            opened code = put_item(w, undefined_items);
            put_text(w, CODE_VALUE, "SH", codes[i][k]);
            put_text(w, 0x00080104, "LO", "meaning ");
            put_end(w, code);
        }
        put_end(w, inner);
        put_text(w, STEP_ID, "SH", ids[i]);
        put_text(w, 0x00401001, "SH", "behind the last wanted");
        put_end(w, item);
    }
    put_end(w, requests);
}

static void paths_in_every_encoding(void) {
    for (int variant = 0; variant < 12; variant++) {
        dl_syntax syntax = SYNTAXES[variant % 3];
        writer w = {.syntax = syntax};
        put_part10(&w, uid_of(syntax));
        put_text(&w, MODALITY, "CS", "MR");
        put_text(&w, PATIENT_NAME, "PN", "Doe^Jane");
        put_requests(&w, variant / 3 % 2, variant / 6);
        put_us(&w, 0x00540011, "US", 7); /* behind the sequence: its end was found */
        dl_plan *plan = dl_plan_new();
        CHECK(plan);
        WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00540011));
        WANT(plan, DL_COLUMN_TEXT, AT_TAG(PATIENT_NAME));
        WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, 1), AT_TAG(STEP_ID));
        WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, DL_ITEM_ALL), AT_TAG(STEP_ID));
        WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, 0), IN_SEQ(CODE_SEQUENCE, 1),
             AT_TAG(CODE_VALUE));
        WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, DL_ITEM_ALL),
             IN_SEQ(CODE_SEQUENCE, DL_ITEM_ALL), AT_TAG(CODE_VALUE));
        WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, DL_ITEM_ALL), IN_SEQ(CODE_SEQUENCE, 0),
             AT_TAG(CODE_VALUE));
        WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, 3), AT_TAG(STEP_ID));
        WANT(plan, DL_COLUMN_TEXT, AT_TAG(REQUEST_SEQUENCE)); /* without a path: how many items */
        WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, 0), AT_TAG(CODE_SEQUENCE));
        WANT(plan, DL_COLUMN_TEXT, AT_TAG(DL_TAG_TRANSFER_SYNTAX));
        WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00080090)); /* not there */
        WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, 2), AT_TAG(CODE_SEQUENCE));
        CHECK(dl_plan_columns(plan) == 13 && dl_plan_column_type(plan, 3) == DL_COLUMN_TEXT);
        result r = read_all(plan, &w);
        CHECK_CASE(r.status == DL_OK, "variant %d: %s", variant, r.error.message);
        CHECK_TEXT(r, 0, "7");
        CHECK_TEXT(r, 1, "Doe^Jane");
        CHECK_TEXT(r, 2, "second");
        CHECK_TEXT(r, 3, "first\\second\\third");
        CHECK_TEXT(r, 4, "b");
        CHECK_TEXT(r, 5, "a\\b\\c");
        CHECK_TEXT(r, 6, "a\\c");
        CHECK_NULL(r, 7);
        CHECK_TEXT(r, 8, "3");
        CHECK_TEXT(r, 9, "2");
        CHECK_TEXT(r, 10, uid_of(syntax));
        CHECK_NULL(r, 11);
        CHECK_TEXT(r, 12, "0");
        result_free(&r);
        dl_plan_free(plan);
        writer_free(&w);
    }
}

static void private_blocks_move(void) {
    for (int variant = 0; variant < 3; variant++) {
        dl_syntax syntax = SYNTAXES[variant];
        writer w = {.syntax = syntax};
        put_part10(&w, uid_of(syntax));
        put_text(&w, 0x00090010, "LO", "OTHER ");
        put_text(&w, 0x00090023, "LO", "  ACME 1.0 ");
        put_text(&w, 0x00091001, "LO", "not this");
        put_text(&w, 0x00092301, "LO", "this");
        put_us(&w, 0x00092302, "US", 0xFFFE);
        opened items = put_sequence(&w, 0x00092303, true);
        opened item = put_item(&w, true);
        put_text(&w, 0x00110010, "LO", "ACME 1.0");
        put_text(&w, 0x00111004, "LO", "deep");
        put_end(&w, item);
        put_end(&w, items);
        put_text(&w, 0x00112304, "LO", "block of another group");
        dl_plan *plan = dl_plan_new();
        CHECK(plan);
        WANT(plan, DL_COLUMN_TEXT, AT_PRIVATE(0x00090001, "ACME 1.0", DL_VR_LO));
        WANT(plan, DL_COLUMN_TEXT, AT_PRIVATE(0x00090002, "ACME 1.0", DL_VR_SS));
        WANT(plan, DL_COLUMN_TEXT, IN_PRIVATE(0x00090003, "ACME 1.0", 0, DL_VR_SQ),
             AT_PRIVATE(0x00110004, "ACME 1.0", DL_VR_LO));
        WANT(plan, DL_COLUMN_TEXT, AT_PRIVATE(0x00090001, "ACME", DL_VR_LO));
        WANT(plan, DL_COLUMN_TEXT, AT_PRIVATE(0x00110004, "ACME 1.0", DL_VR_LO));
        WANT(plan, DL_COLUMN_TEXT, AT_PRIVATE(0x00090003, "ACME 1.0", DL_VR_NONE));
        result r = read_all(plan, &w);
        CHECK_CASE(r.status == DL_OK, "%s", r.error.message);
        CHECK_TEXT(r, 0, "this");
        CHECK_TEXT(r, 1, syntax.explicit_vr ? "65534" : "-2"); /* the file's VR wins */
        CHECK_TEXT(r, 2, "deep");
        CHECK_NULL(r, 3);
        CHECK_NULL(r, 4); /* a block holds within its group and its data set only */
        CHECK_TEXT(r, 5, "1");
        result_free(&r);
        dl_plan_free(plan);
        writer_free(&w);
    }
}

/* PS3.5 6.2.2: what UN hides is implicit VR little endian, whatever stands around it. */
static void unknown_hides_implicit(void) {
    for (int big = 0; big < 2; big++) {
        dl_syntax syntax = {true, big};
        writer w = {.syntax = syntax};
        put_part10(&w, uid_of(syntax));
        opened requests = put_begin(&w, REQUEST_SEQUENCE, "UN", true);
        w.syntax = IMPLICIT;
        opened item = put_item(&w, true);
        put_text(&w, STEP_ID, "SH", "inside");
        put_us(&w, 0x00540011, "US", 258);
        put_end(&w, item);
        put_end(&w, requests);
        w.syntax = syntax;
        put_value(&w, ROWS + 0x1000, "UN", "\x02\x01",
                  2); /* (0028,1010): no US of any dictionary */
        put_value(&w, 0x00540011, "UN", "\x02\x01", 2);
        put_value(&w, 0x00540013, "UN", "abc", 3); /* a sequence of three bytes holds no item */
        dl_plan *plan = dl_plan_new();
        CHECK(plan);
        WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, 0), AT_TAG(STEP_ID));
        WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, 0), AT_TAG(0x00540011));
        WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00540011));
        WANT(plan, DL_COLUMN_TEXT, AT_TAG(REQUEST_SEQUENCE));
        WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00540013));
        result r = read_all(plan, &w);
        CHECK_CASE(r.status == DL_OK, "%s", r.error.message);
        CHECK_TEXT(r, 0, "inside");
        CHECK_TEXT(r, 1, "258");
        CHECK_TEXT(r, 2, "258");
        CHECK_TEXT(r, 3, "1");
        CHECK_TEXT(r, 4, "0");
        result_free(&r);
        dl_plan_free(plan);
        writer_free(&w);
    }
}

static void signs_follow_pixel_representation(void) {
    for (int variant = 0; variant < 6; variant++) {
        dl_syntax syntax = SYNTAXES[variant % 3];
        bool is_signed = variant / 3;
        writer w = {.syntax = syntax};
        put_part10(&w, uid_of(syntax));
        put_us(&w, DL_TAG_PIXEL_REPRESENTATION, "US", is_signed);
        put_us(&w, SMALLEST_PIXEL, is_signed ? "SS" : "US", 0xFFFE);
        opened luts = put_sequence(&w, LUT_SEQUENCE, false);
        opened item = put_item(&w, false);
        put_header(&w, LUT_DESCRIPTOR, is_signed ? "SS" : "US", 6);
        put_u16(&w, 16);
        put_u16(&w, 0xFFFE);
        put_u16(&w, 12);
        put_end(&w, item);
        put_end(&w, luts);
        const char *descriptor = is_signed ? "16\\-2\\12" : "16\\65534\\12";
        for (int both = 0; both < 2; both++) {
            dl_plan *plan = dl_plan_new();
            CHECK(plan);
            WANT(plan, DL_COLUMN_TEXT, IN_SEQ(LUT_SEQUENCE, 0), AT_TAG(LUT_DESCRIPTOR));
            if (both) WANT(plan, DL_COLUMN_TEXT, AT_TAG(SMALLEST_PIXEL));
            result r = read_all(plan, &w);
            CHECK_CASE(r.status == DL_OK, "%s", r.error.message);
            if (both) CHECK_TEXT(r, 1, is_signed ? "-2" : "65534");
            /* (0028,0103) stands outside the sequence, and holds inside it. */
            CHECK_TEXT(r, 0, descriptor);
            result_free(&r);
            dl_plan_free(plan);
        }
        writer_free(&w);
    }
}

/* (0028,0103) holds for what stands in front of it too; said twice, it is no reason to go round and
 * round; and in one item it takes nothing from the others. */
static void signs_may_come_late(void) {
    enum { PERIMETER = 0x00280071 };
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(PERIMETER));
    WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, DL_ITEM_ALL), AT_TAG(PERIMETER));
    for (int times = 1; times <= 3; times++) {
        writer w = {.syntax = IMPLICIT};
        put_part10(&w, UID_IMPLICIT);
        put_us(&w, PERIMETER, "US", 0xFFFE);
        for (int i = times; i-- > 0;) put_us(&w, DL_TAG_PIXEL_REPRESENTATION, "US", i % 2 == 0);
        result r = read_all(plan, &w);
        CHECK_CASE(r.status == DL_OK, "%s", r.error.message);
        CHECK(cell_is(r.table, 0, "-2")); /* the last one is 1 */
        result_free(&r);
        writer_free(&w);
    }
    writer w = {.syntax = IMPLICIT};
    put_part10(&w, UID_IMPLICIT);
    opened items = put_sequence(&w, REQUEST_SEQUENCE, false);
    for (int i = 0; i < 2; i++) {
        opened item = put_item(&w, false);
        put_us(&w, PERIMETER, "US", 0xFFFE);
        put_us(&w, DL_TAG_PIXEL_REPRESENTATION, "US", (unsigned)i);
        put_end(&w, item);
    }
    put_end(&w, items);
    result r = read_all(plan, &w);
    CHECK_CASE(r.status == DL_OK, "%s", r.error.message);
    CHECK_TEXT(r, 1, "65534\\-2");
    result_free(&r);
    dl_plan_free(plan);
    writer_free(&w);
}

static void binary_is_counted(void) {
    for (int encapsulated = 0; encapsulated < 2; encapsulated++) {
        writer w = {.syntax = EXPLICIT};
        put_part10(&w, encapsulated ? "1.2.840.10008.1.2.4.50" : UID_EXPLICIT);
        put_us(&w, ROWS, "US", 512);
        if (encapsulated) {
            opened pixels = put_begin(&w, DL_TAG_PIXEL_DATA, "OB", true);
            put_value(&w, DL_TAG_ITEM, NULL, "", 0);
            put_value(&w, DL_TAG_ITEM, NULL, "0123456789", 10);
            put_end(&w, pixels);
        } else {
            put_value(&w, DL_TAG_PIXEL_DATA, "OW", "0123456789", 10);
        }
        put_text(&w, 0xFFFCFFFC, "OB", "");
        dl_plan *plan = dl_plan_new();
        CHECK(plan);
        WANT(plan, DL_COLUMN_TEXT, AT_TAG(DL_TAG_PIXEL_DATA));
        WANT(plan, DL_COLUMN_TEXT, AT_TAG(0xFFFCFFFC));
        result r = read_all(plan, &w);
        CHECK_CASE(r.status == DL_OK, "%s", r.error.message);
        CHECK_TEXT(r, 0, encapsulated ? "26" : "10"); /* two item headers, ten bytes */
        CHECK_TEXT(r, 1, "0");
        result_free(&r);
        dl_plan_free(plan);
        writer_free(&w);
    }
}

static void order_is_not_trusted(void) {
    writer w = {.syntax = EXPLICIT};
    put_part10(&w, UID_EXPLICIT);
    put_text(&w, PATIENT_NAME, "PN", "Doe^John");
    put_text(&w, 0x00100040, "CS", "O ");
    put_text(&w, MODALITY, "CS", "CT"); /* behind the last wanted tag, and wanted */
    put_text(&w, PATIENT_ID, "LO", "1 ");
    put_text(&w, PATIENT_ID, "LO", "2 "); /* twice: the last one counts */
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(PATIENT_ID));
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(MODALITY));
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(PATIENT_NAME));
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(MODALITY)); /* one tag in two columns */
    result r = read_all(plan, &w);
    CHECK_CASE(r.status == DL_OK, "%s", r.error.message);
    CHECK_TEXT(r, 0, "2");
    CHECK_TEXT(r, 1, "CT");
    CHECK_TEXT(r, 2, "Doe^John");
    CHECK_TEXT(r, 3, "CT");
    result_free(&r);
    dl_plan_free(plan);
    writer_free(&w);
}

/* A source that gives a few bytes at a time. */
typedef struct trickle {
    const writer *w;
    size_t most;
} trickle;

static dl_status trickle_read(void *context, uint64_t offset, void *into, size_t size, size_t *got,
                              dl_error *error) {
    const trickle *t = context;
    size_t length = t->w->bytes.length;
    (void)error;
    *got = offset >= length ? 0 : size < t->most ? size : t->most;
    if (*got > length - offset) *got = length - (size_t)offset;
    if (*got) memcpy(into, t->w->bytes.data + offset, *got);
    return DL_OK;
}

static dl_status trickle_size(void *context, uint64_t *size, dl_error *error) {
    (void)error;
    *size = ((const trickle *)context)->w->bytes.length;
    return DL_OK;
}

/* How many bytes a read gives, and where the window happens to end, decides nothing: elements out
 * of order, moved byte by byte over the end of the first read. */
static void short_reads_change_nothing(void) {
    static const size_t most[] = {1, 13, 512, 8191};
    char text[DL_WINDOW_FIRST];
    memset(text, 'x', sizeof text);
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(MODALITY));
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(PATIENT_ID));
    for (size_t size = DL_WINDOW_FIRST - 400; size < DL_WINDOW_FIRST - 200; size++) {
        writer w = {.syntax = IMPLICIT};
        put_part10(&w, UID_IMPLICIT);
        put_value(&w, 0x00080070, "LO", text, size);
        put_text(&w, PATIENT_ID, "LO", "1 ");
        put_text(&w, 0x00100040, "CS", "O ");
        put_text(&w, MODALITY, "CS", "CT");
        result r = read_all(plan, &w);
        CHECK_CASE(r.status == DL_OK, "%s", r.error.message);
        CHECK_TEXT(r, 1, "1");
        for (size_t i = 0; i < COUNT_OF(most); i++) {
            trickle t = {&w, most[i]};
            dl_source source = {&t, trickle_read, trickle_size, NULL};
            dl_reader reader = {.plan = plan, .limits = {DL_DEFAULT_DEPTH, DL_DEFAULT_VALUE_SIZE}};
            result other = read_with(&reader, &source);
            CHECK_CASE(cell_set(r.table, 0, 0) == cell_set(other.table, 0, 0),
                       "(0008,0060) at byte %zu, reads of %zu", w.bytes.length - 10, most[i]);
            CHECK(other.status == DL_OK);
            CHECK_TEXT(other, 1, "1");
            result_free(&other);
            dl_reader_free(&reader);
        }
        result_free(&r);
        writer_free(&w);
    }
    dl_plan_free(plan);
}

static void reading_stops_early(void) {
    enum { PIXELS = 1 << 20 };
    writer w = {.syntax = EXPLICIT};
    put_part10(&w, UID_EXPLICIT);
    put_text(&w, PATIENT_NAME, "PN", "Doe^John");
    put_us(&w, ROWS, "US", 512);
    uint8_t *zeros = calloc(1, PIXELS);
    CHECK(zeros);
    for (int i = 0; i < 4; i++) put_value(&w, DL_TAG(0x7F00 + 2 * i, 0x0010), "OW", zeros, PIXELS);
    free(zeros);
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(PATIENT_NAME));
    result r = read_all(plan, &w);
    CHECK(r.status == DL_OK && r.bytes_read <= DL_WINDOW_FIRST);
    result_free(&r);
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(DL_TAG(0x7F06, 0x0010))); /* hops over the others */
    r = read_all(plan, &w);
    CHECK(r.status == DL_OK && r.bytes_read <= 6 * DL_WINDOW_FIRST);
    CHECK_TEXT(r, 1, "1048576");
    result_free(&r);
    dl_plan_free(plan);
    writer_free(&w);
}

static dl_memory inflated_memory;
static dl_status open_inflated(void *context, const dl_source *raw, uint64_t offset,
                               dl_source *inflated, dl_error *error) {
    (void)error;
    uint8_t byte;
    size_t got;
    CHECK(raw->read_at(raw->context, offset, &byte, 1, &got, NULL) == DL_OK && got == 1);
    CHECK(byte == 'Z');
    ++*(int *)context;
    dl_source_memory(inflated, &inflated_memory);
    return DL_OK;
}

static void deflated_data_sets(void) {
    int opens = 0;
    writer body = {.syntax = EXPLICIT}, w = {.syntax = EXPLICIT};
    put_text(&body, PATIENT_NAME, "PN", "Doe^Jane");
    put_part10(&w, UID_DEFLATED);
    put(&w, "Z", 1);
    inflated_memory = (dl_memory){body.bytes.data, body.bytes.length};
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(DL_TAG_TRANSFER_SYNTAX));
    dl_reader reader = {.plan = plan,
                        .limits = {DL_DEFAULT_DEPTH, DL_DEFAULT_VALUE_SIZE},
                        .open_inflated = open_inflated,
                        .open_context = &opens};
    dl_memory memory = {w.bytes.data, w.bytes.length};
    dl_source source;
    dl_source_memory(&source, &memory);
    result r = read_with(&reader, &source);
    CHECK(r.status == DL_OK && opens == 0); /* nothing of the data set was wanted */
    result_free(&r);
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(PATIENT_NAME));
    r = read_with(&reader, &source);
    CHECK_CASE(r.status == DL_OK && opens == 1, "%s", r.error.message);
    CHECK_TEXT(r, 0, UID_DEFLATED);
    CHECK_TEXT(r, 1, "Doe^Jane");
    result_free(&r);
    dl_reader_free(&reader);
    r = read_all(plan, &w);
    CHECK(r.status == DL_ERR_UNSUPPORTED && r.error.offset == w.bytes.length - 1);
    CHECK_TEXT(r, 0, UID_DEFLATED);
    result_free(&r);
    dl_plan_free(plan);
    writer_free(&w);
    writer_free(&body);
}

static void plans_are_checked(void) {
    dl_plan *plan = dl_plan_new();
    dl_step steps[DL_PATH_STEPS + 1];
    dl_error error;
    CHECK(plan);
    for (size_t i = 0; i < COUNT_OF(steps); i++) steps[i] = (dl_step)IN_SEQ(REQUEST_SEQUENCE, 0);
    CHECK(dl_plan_add(plan, steps, 0, DL_COLUMN_TEXT, &error) == DL_ERR_ARGUMENT);
    CHECK(dl_plan_add(plan, steps, COUNT_OF(steps), DL_COLUMN_TEXT, &error) == DL_ERR_ARGUMENT);
    CHECK(dl_plan_columns(plan) == 0);
    CHECK(dl_plan_add(plan, steps, DL_PATH_STEPS, DL_COLUMN_TEXT, &error) == DL_OK);
    CHECK(dl_plan_columns(plan) == 1);
    dl_plan_free(plan);
    dl_plan_free(NULL);
}

int main(void) {
    paths_in_every_encoding();
    private_blocks_move();
    unknown_hides_implicit();
    binary_is_counted();
    order_is_not_trusted();
    reading_stops_early();
    deflated_data_sets();
    plans_are_checked();
    signs_follow_pixel_representation();
    short_reads_change_nothing();
    signs_may_come_late();
    return 0;
}
