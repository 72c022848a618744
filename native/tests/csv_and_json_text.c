/* Rows as CSV and as JSON lines read back as the same cells: quotes, control characters, numbers,
 * and every date from year 1 to 9999. */
#include <math.h>

#include "check.h"
#include "dicomloom/scan.h"

static dl_table *text_table(const char *const *cells, const size_t *sizes, size_t rows,
                            size_t columns) {
    static const dl_column_type types[8];
    dl_table *table = dl_table_new(types, columns);
    dl_row row = {0};
    CHECK(table);
    for (size_t i = 0; i < rows; i++) {
        CHECK(dl_row_begin(&row, table) == DL_OK);
        for (size_t k = 0; k < columns; k++) {
            const char *text = cells[i * columns + k];
            if (text)
                CHECK(dl_bytes_append(dl_row_text(&row, k), text, sizes[i * columns + k]) == DL_OK);
        }
        CHECK(dl_row_end(&row) == DL_OK);
    }
    dl_row_free(&row);
    return table;
}

static void known_lines(void) {
    static const char *const cells[] = {"plain", "a,b",      "say \"hi\"", "two\nlines", "cr\rlf",
                                        "",      NULL,       "tab\t\x01",  "\"",         "\\",
                                        ",",     "\xC3\xA9", "=1+1",       " lead",      "x\x7F"};
    static const char csv[] = "plain,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",\"cr\rlf\"\n"
                              ",,tab\t\x01,\"\"\"\",\\\n"
                              "\",\",\xC3\xA9,=1+1, lead,x\x7F\n";
    static const char json[] =
        "{\"a\":\"plain\",\"b\":\"a,b\",\"c\":\"say \\\"hi\\\"\",\"d\":\"two\\u000alines\","
        "\"e\":\"cr\\u000dlf\"}\n"
        "{\"a\":\"\",\"b\":null,\"c\":\"tab\\u0009\\u0001\",\"d\":\"\\\"\",\"e\":\"\\\\\"}\n"
        "{\"a\":\",\",\"b\":\"\xC3\xA9\",\"c\":\"=1+1\",\"d\":\" lead\",\"e\":\"x\x7F\"}\n";
    static const char *const keys[] = {"\"a\":", "\"b\":", "\"c\":", "\"d\":", "\"e\":"};
    size_t sizes[COUNT_OF(cells)];
    for (size_t i = 0; i < COUNT_OF(cells); i++) sizes[i] = cells[i] ? strlen(cells[i]) : 0;
    dl_table *table = text_table(cells, sizes, 3, 5);
    dl_bytes out = {0};
    CHECK(dl_csv_append(&out, table) == DL_OK);
    CHECK_CASE(bytes_equal(&out, csv, strlen(csv)), "%.*s", (int)out.length, out.data);
    out.length = 0;
    CHECK(dl_json_append(&out, table, keys) == DL_OK);
    CHECK_CASE(bytes_equal(&out, json, strlen(json)), "%.*s", (int)out.length, out.data);
    dl_bytes_free(&out);
    dl_table_free(table);
}

/* RFC 4180, read by the letter: the next field of a record, without its quotes. */
static const uint8_t *next_field(const uint8_t *p, char *into, size_t *size) {
    *size = 0;
    if (*p != '"') {
        while (*p != ',' && *p != '\n') into[(*size)++] = (char)*p++;
        return p;
    }
    for (p++; *p != '"' || p[1] == '"'; p++) {
        if (*p == '"') p++;
        into[(*size)++] = (char)*p;
    }
    return p + 1;
}

static const uint8_t *next_string(const uint8_t *p, char *into, size_t *size) {
    *size = 0;
    CHECK(*p++ == '"');
    for (; *p != '"'; p++) {
        CHECK(*p >= 0x20);
        unsigned escaped = 0;
        char digits[5] = {0};
        if (*p != '\\') {
            into[(*size)++] = (char)*p;
        } else if (*++p == 'u') {
            memcpy(digits, p + 1, 4);
            CHECK(sscanf(digits, "%4x", &escaped) == 1 && escaped < 0x20);
            into[(*size)++] = (char)escaped;
            p += 4;
        } else {
            CHECK(*p == '"' || *p == '\\');
            into[(*size)++] = (char)*p;
        }
    }
    return p + 1;
}

/* Cells made of the characters that matter come back as they were. */
static void cells_come_back(uint64_t seed) {
    static const char letters[] = "ab,\"\"\n\r\\/\t\0\x1F u";
    enum { CELLS = 40, LONGEST = 12 };
    static const char *const keys[] = {"\"k\":", "\"k\":"};
    char text[CELLS][LONGEST], found[LONGEST + 4];
    const char *cells[CELLS];
    size_t sizes[CELLS], size;
    uint64_t state = seed;
    for (int i = 0; i < CELLS; i++) {
        cells[i] = text[i];
        sizes[i] = random_below(&state, LONGEST);
        for (size_t k = 0; k < sizes[i]; k++)
            text[i][k] = letters[random_below(&state, sizeof letters - 1)];
    }
    dl_table *table = text_table(cells, sizes, CELLS / 2, 2);
    dl_bytes csv = {0}, json = {0};
    CHECK(dl_csv_append(&csv, table) == DL_OK && dl_json_append(&json, table, keys) == DL_OK);
    const uint8_t *p = csv.data, *q = json.data;
    for (int i = 0; i < CELLS; i++) {
        p = next_field(p, found, &size);
        CHECK(size == sizes[i] && memcmp(found, text[i], size) == 0);
        CHECK(*p++ == (i % 2 ? '\n' : ','));
        CHECK(*q++ == (i % 2 ? ',' : '{') && memcmp(q, "\"k\":", 4) == 0);
        q = next_string(q + 4, found, &size);
        CHECK(size == sizes[i] && memcmp(found, text[i], size) == 0);
        if (i % 2) CHECK(*q++ == '}' && *q++ == '\n');
    }
    CHECK(p == csv.data + csv.length && q == json.data + json.length);
    dl_bytes_free(&csv);
    dl_bytes_free(&json);
    dl_table_free(table);
}

static void numbers(void) {
    static const dl_column_type types[] = {DL_COLUMN_INT64, DL_COLUMN_FLOAT64};
    static const char *const keys[] = {"\"i\":", "\"f\":"};
    static const char csv[] = "-9223372036854775808,1.5\n,\n7,nan\n0,-inf\n1,1e+300\n2,-0\n";
    static const char json[] = "{\"i\":-9223372036854775808,\"f\":1.5}\n{\"i\":null,\"f\":null}\n"
                               "{\"i\":7,\"f\":null}\n{\"i\":0,\"f\":null}\n{\"i\":1,\"f\":1e300}\n"
                               "{\"i\":2,\"f\":-0}\n";
    const double reals[] = {1.5, 0, NAN, -INFINITY, 1e300, -0.0};
    const int64_t wholes[] = {INT64_MIN, 0, 7, 0, 1, 2};
    dl_table *table = dl_table_new(types, 2);
    dl_row row = {0};
    dl_bytes out = {0};
    CHECK(table);
    for (size_t i = 0; i < COUNT_OF(reals); i++) {
        CHECK(dl_row_begin(&row, table) == DL_OK);
        if (i != 1) CHECK(dl_row_set_int64(&row, 0, wholes[i]) == DL_OK);
        if (i != 1) CHECK(dl_row_set_double(&row, 1, reals[i]) == DL_OK);
        CHECK(dl_row_end(&row) == DL_OK);
    }
    CHECK(dl_csv_append(&out, table) == DL_OK);
    char plain[sizeof csv];
    size_t n = 0;
    for (const char *p = csv; *p; p++) /* e300, not e+300 */
        if (*p != '+') plain[n++] = *p;
    CHECK_CASE(bytes_equal(&out, plain, n), "%.*s", (int)out.length, out.data);
    out.length = 0;
    CHECK(dl_json_append(&out, table, keys) == DL_OK);
    CHECK_CASE(bytes_equal(&out, json, strlen(json)), "%.*s", (int)out.length, out.data);
    dl_bytes_free(&out);
    dl_row_free(&row);
    dl_table_free(table);
}

/* Columns that hold no byte at all. */
static void nothing_but_nulls(void) {
    static const dl_column_type types[] = {DL_COLUMN_TEXT, DL_COLUMN_INT64, DL_COLUMN_TEXT};
    static const char *const keys[] = {"\"a\":", "\"b\":", "\"c\":"};
    dl_table *table = dl_table_new(types, 3);
    dl_row row = {0};
    dl_bytes out = {0};
    CHECK(table);
    CHECK(dl_csv_append(&out, table) == DL_OK && dl_json_append(&out, table, keys) == DL_OK);
    CHECK(out.length == 0); /* no rows yet */
    CHECK(dl_row_begin(&row, table) == DL_OK && dl_row_end(&row) == DL_OK);
    CHECK(dl_csv_append(&out, table) == DL_OK && bytes_equal(&out, ",,\n", 3));
    out.length = 0;
    CHECK(dl_json_append(&out, table, keys) == DL_OK);
    CHECK(bytes_equal(&out, "{\"a\":null,\"b\":null,\"c\":null}\n", 29));
    dl_bytes_free(&out);
    dl_row_free(&row);
    dl_table_free(table);
}

/* A calendar that counts one day after the other. */
typedef struct calendar {
    int year, month, day;
} calendar;

static void next_day(calendar *c) {
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (c->year % 4 == 0 && c->year % 100 != 0) || c->year % 400 == 0;
    if (c->day++ < lengths[c->month - 1] + (c->month == 2 && leap)) return;
    c->day = 1;
    if (c->month++ < 12) return;
    c->month = 1;
    c->year++;
}

static void put_digits(char *into, int value, int digits) {
    for (; digits-- > 0; value /= 10) into[digits] = (char)('0' + value % 10);
}

static void every_day(void) {
    enum { BATCH = 20000 };
    static const dl_column_type type = DL_COLUMN_DATE32;
    static const char *const keys[] = {"\"d\":"};
    calendar today = {1, 1, 1};
    dl_row row = {0};
    dl_bytes csv = {0}, json = {0};
    int32_t days = -719162;
    while (today.year <= 9999) {
        dl_table *table = dl_table_new(&type, 1);
        CHECK(table);
        for (int i = 0; i < BATCH; i++) {
            CHECK(dl_row_begin(&row, table) == DL_OK);
            CHECK(dl_row_set_int64(&row, 0, days + i) == DL_OK);
            CHECK(dl_row_end(&row) == DL_OK);
        }
        csv.length = json.length = 0;
        CHECK(dl_csv_append(&csv, table) == DL_OK && csv.length == BATCH * 11);
        if (today.year == 1) CHECK(dl_json_append(&json, table, keys) == DL_OK);
        for (int i = 0; i < BATCH && today.year <= 9999; i++, days++, next_day(&today)) {
            char text[] = "0000-00-00\n";
            put_digits(text, today.year, 4);
            put_digits(text + 5, today.month, 2);
            put_digits(text + 8, today.day, 2);
            CHECK_CASE(memcmp(csv.data + 11 * i, text, 11) == 0, "%.10s, not %.10s",
                       csv.data + 11 * i, text);
        }
        dl_table_free(table);
    }
    CHECK(days == 2932897);
    CHECK(memcmp(json.data, "{\"d\":\"0001-01-01\"}\n", 19) == 0);
    dl_bytes_free(&csv);
    dl_bytes_free(&json);
    dl_row_free(&row);
}

int main(void) {
    known_lines();
    for (uint64_t seed = 0; seed < 2000; seed++) cells_come_back(seed);
    numbers();
    nothing_but_nulls();
    every_day();
    return 0;
}
