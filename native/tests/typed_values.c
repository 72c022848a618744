/* Typed columns hold the number or the date that the text is, or null and one misfit more. */
#include <math.h>

#include "data_set.h"
#include "valid_table.h"

enum { BIRTH_DATE = 0x00100030, SERIES_NUMBER = 0x00200011, THICKNESS = 0x00180050 };

static int64_t whole_of(const dl_table *table, size_t column) {
    int64_t whole;
    int32_t days;
    const uint8_t *data = table->columns[column].data.data;
    if (table->columns[column].type != DL_COLUMN_DATE32)
        return memcpy(&whole, data, sizeof whole), whole;
    memcpy(&days, data, sizeof days);
    return days;
}

static double real_of(const dl_table *table, size_t column) {
    double real;
    memcpy(&real, table->columns[column].data.data, sizeof real);
    return real;
}

typedef struct cell {
    bool set;
    int64_t whole;
    double real;
    uint64_t misfits;
} cell;

static cell read_value(dl_column_type type, uint32_t tag, const char *vr, const void *value,
                       size_t size) {
    writer w = {.syntax = EXPLICIT};
    put_part10(&w, UID_EXPLICIT);
    put_value(&w, tag, vr, value, size);
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, type, AT_TAG(tag));
    result r = read_all(plan, &w);
    CHECK_CASE(r.status == DL_OK, "%s", r.error.message);
    check_table(r.table);
    cell c = {.set = cell_set(r.table, 0, 0), .misfits = r.table->misfits};
    if (type == DL_COLUMN_FLOAT64)
        c.real = real_of(r.table, 0);
    else
        c.whole = whole_of(r.table, 0);
    result_free(&r);
    dl_plan_free(plan);
    writer_free(&w);
    return c;
}

static void numbers(void) {
    static const struct {
        const char *text;
        bool fits;
        int64_t value;
    } cases[] = {{"12 ", true, 12},
                 {" -7 ", true, -7},
                 {"+3", true, 3},
                 {"1\\2 ", false, 0},
                 {"1.0 ", false, 0},
                 {"x ", false, 0},
                 {"99999999999999999999", false, 0}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        cell c =
            read_value(DL_COLUMN_INT64, SERIES_NUMBER, "IS", cases[i].text, strlen(cases[i].text));
        CHECK_CASE(c.set == cases[i].fits && c.misfits == !cases[i].fits, "%s", cases[i].text);
        CHECK_CASE(c.whole == cases[i].value, "%s", cases[i].text);
    }
    cell c = read_value(DL_COLUMN_FLOAT64, THICKNESS, "DS", "-1.25e2 ", 8);
    CHECK(c.set && c.real == -125);
    c = read_value(DL_COLUMN_FLOAT64, THICKNESS, "DS", "1.5\\1.5 ", 8);
    CHECK(!c.set && c.misfits == 1);
    c = read_value(DL_COLUMN_FLOAT64, 0x00189073, "FD", "\0\0\0\0\0\0\xF8\x3F", 8);
    CHECK(c.set && c.real == 1.5 && c.misfits == 0);
    c = read_value(DL_COLUMN_INT64, 0x00280010, "US", "\xFF\xFF", 2);
    CHECK(c.set && c.whole == 65535);
    c = read_value(DL_COLUMN_INT64, 0x00280010, "US", "\1\0\2\0", 4);
    CHECK(!c.set && c.misfits == 1);
    c = read_value(DL_COLUMN_INT64, DL_TAG_PIXEL_DATA, "OW", "12345678", 8);
    CHECK(c.set && c.whole == 8);
    /* An empty value is null, and nothing is wrong with it. */
    static const dl_column_type types[] = {DL_COLUMN_INT64, DL_COLUMN_FLOAT64, DL_COLUMN_DATE32};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        c = read_value(types[i], THICKNESS, "DS", "", 0);
        CHECK(!c.set && c.misfits == 0);
        c = read_value(types[i], THICKNESS, "DS", "  ", 2);
        CHECK(!c.set && c.misfits == 0);
    }
}

static bool is_leap(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

/* The first, the last and the leap day of each month, against a calendar that counts days. */
static void every_month(void) {
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, DL_COLUMN_DATE32, AT_TAG(BIRTH_DATE));
    writer w = {.syntax = EXPLICIT};
    put_part10(&w, UID_EXPLICIT);
    put_text(&w, BIRTH_DATE, "DA", "YYYYMMDD");
    char *date = (char *)w.bytes.data + w.bytes.length - 8;
    dl_reader reader = {.plan = plan, .limits = {DL_DEFAULT_DEPTH, DL_DEFAULT_VALUE_SIZE}};
    dl_memory memory = {w.bytes.data, w.bytes.length};
    dl_source source;
    dl_source_memory(&source, &memory);
    int64_t first = -719162; /* 0001-01-01 */
    for (int year = 1; year <= 9999; year++) {
        for (int month = 1; month <= 12; month++) {
            int length = lengths[month - 1] + (month == 2 && is_leap(year));
            bool all = month == 2 && year % 20 == 0; /* every year would take too long */
            for (int day = 1; day <= length + 1; day++) {
                if (!all && day != 1 && day != length && year % 50 != 1) continue;
                char text[40];
                (void)snprintf(text, sizeof text, "%04d%02d%02d", year, month, day);
                memcpy(date, text, 8);
                result r = read_with(&reader, &source);
                bool there = day <= length;
                CHECK_CASE(r.status == DL_OK && cell_set(r.table, 0, 0) == there, "%s", text);
                CHECK_CASE(!there || whole_of(r.table, 0) == first + day - 1, "%s", text);
                CHECK_CASE(r.table->misfits == !there, "%s", text);
                result_free(&r);
            }
            first += length;
        }
    }
    CHECK(first == 2932897); /* 10000-01-01 */
    dl_reader_free(&reader);
    dl_plan_free(plan);
    writer_free(&w);
}

static void no_dates(void) {
    static const char *const none[] = {
        "20230229",   "00000101",  "20231301",          "20230001",  "20230100",
        "2023-01-15", "2023.0115", "2023011 ",          "20230115x", "20230115-20230116",
        "2023.01-15", "20 30115",  "19700101\\19700102"};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        cell c = read_value(DL_COLUMN_DATE32, BIRTH_DATE, "DA", none[i], strlen(none[i]));
        CHECK_CASE(!c.set && c.misfits == 1, "%s", none[i]);
    }
    static const char *const epoch[] = {"19700101", "1970.01.01", "19700101  "};
    for (size_t i = 0; i < COUNT_OF(epoch); i++) {
        cell c = read_value(DL_COLUMN_DATE32, BIRTH_DATE, "DA", epoch[i], strlen(epoch[i]));
        CHECK_CASE(c.set && c.whole == 0 && c.misfits == 0, "%s", epoch[i]);
    }
}

/* Several items under a [*] are several values: a typed column holds one, or none of them. */
static void joined_values_are_one_or_none(void) {
    for (int count = 0; count <= 5; count++) {
        writer w = {.syntax = EXPLICIT};
        put_part10(&w, UID_EXPLICIT);
        opened items = put_sequence(&w, 0x00400275, true);
        for (int i = 0; i < count; i++) {
            opened item = put_item(&w, true);
            char digit[] = {(char)('1' + i), ' ', 0};
            put_text(&w, SERIES_NUMBER, "IS", digit);
            put_end(&w, item);
        }
        put_end(&w, items);
        dl_plan *plan = dl_plan_new();
        CHECK(plan);
        WANT(plan, DL_COLUMN_INT64, IN_SEQ(0x00400275, DL_ITEM_ALL), AT_TAG(SERIES_NUMBER));
        WANT(plan, DL_COLUMN_FLOAT64, IN_SEQ(0x00400275, DL_ITEM_ALL), AT_TAG(SERIES_NUMBER));
        result r = read_all(plan, &w);
        CHECK_CASE(r.status == DL_OK, "%s", r.error.message);
        check_table(r.table);
        for (size_t column = 0; column < 2; column++) {
            CHECK_CASE(cell_set(r.table, column, 0) == (count == 1), "%d items", count);
            if (count == 1 && column == 0) CHECK(whole_of(r.table, 0) == 1);
        }
        CHECK_CASE((r.table->misfits > 0) == (count > 1), "%d items", count);
        result_free(&r);
        dl_plan_free(plan);
        writer_free(&w);
    }
}

/* A row that is taken back takes its misfits along (scan.h: as if it had not begun). */
static void dropped_rows_have_no_misfits(void) {
    writer w = {.syntax = EXPLICIT};
    put_part10(&w, UID_EXPLICIT);
    put_text(&w, SERIES_NUMBER, "IS", "x ");
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, DL_COLUMN_INT64, AT_TAG(SERIES_NUMBER));
    dl_table *table = table_for(plan);
    dl_reader reader = {.plan = plan, .limits = {DL_DEFAULT_DEPTH, DL_DEFAULT_VALUE_SIZE}};
    dl_memory memory = {w.bytes.data, w.bytes.length};
    dl_source source;
    dl_row row = {0};
    dl_error error;
    dl_source_memory(&source, &memory);
    for (uint64_t i = 0; i < 2; i++) {
        CHECK(dl_row_begin(&row, table) == DL_OK);
        CHECK(dl_read(&reader, &source, &row, 0, &error) == DL_OK);
        CHECK(table->misfits == i + 1);
        if (i == 0) CHECK(dl_row_end(&row) == DL_OK);
    }
    dl_row_drop(&row);
    CHECK(table->rows == 1 && table->misfits == 1);
    dl_row_free(&row);
    dl_table_free(table);
    dl_reader_free(&reader);
    dl_plan_free(plan);
    writer_free(&w);
}

int main(void) {
    numbers();
    no_dates();
    every_month();
    joined_values_are_one_or_none();
    dropped_rows_have_no_misfits();
    return 0;
}
