/* Rows become columns: cells, nulls, rows that are taken back; and edits of a text column give what
 * editing each cell by itself would give. */
#include "check.h"
#include "valid_table.h"

enum { ROWS = 60, CELL = 24 };

typedef struct cell {
    char text[8 * CELL];
    size_t size;
} cell;

static void append(cell *c, const char *text, size_t size) {
    CHECK(c->size + size <= sizeof c->text);
    memcpy(c->text + c->size, text, size);
    c->size += size;
}

/* Random rows, random edits inside their cells, and the cells they should become. */
static void random_edits(uint64_t seed) {
    static const dl_column_type types[] = {DL_COLUMN_INT64, DL_COLUMN_TEXT, DL_COLUMN_TEXT};
    uint64_t state = seed;
    dl_table *table = dl_table_new(types, 3);
    dl_row row = {0};
    dl_edit edits[ROWS * 4];
    static cell cells[ROWS], others[ROWS];
    size_t count = 0, rows = random_below(&state, ROWS), reached = 0;
    CHECK(table);
    for (size_t i = 0; i < rows; i++) {
        char text[CELL];
        size_t size = random_below(&state, 3) ? random_below(&state, CELL) : 0, at = 0;
        for (size_t k = 0; k < size; k++) text[k] = (char)('a' + random_below(&state, 26));
        CHECK(dl_row_begin(&row, table) == DL_OK);
        CHECK(dl_bytes_append(dl_row_text(&row, 1), text, size) == DL_OK);
        CHECK(dl_bytes_append(dl_row_text(&row, 2), text, size / 2) == DL_OK);
        CHECK(dl_row_end(&row) == DL_OK);
        cells[i].size = others[i].size = 0;
        append(&others[i], text, size / 2);
        while (at < size) { /* an edit covers at least one byte: deferred values do */
            size_t kept = random_below(&state, 6), removed = 1 + random_below(&state, 6);
            if (kept > size - at) kept = size - at;
            append(&cells[i], text + at, kept);
            at += kept;
            if (at == size || random_below(&state, 4) == 0) continue;
            if (removed > size - at) removed = size - at;
            static const char with[] = "ABCDEFGHIJ";
            size_t put = random_below(&state, 11);
            edits[count++] = (dl_edit){reached + at, removed, (const uint8_t *)with, put};
            append(&cells[i], with, put);
            at += removed;
        }
        reached += size;
    }
    CHECK(dl_table_edit(table, 1, edits, count) == DL_OK);
    check_table(table);
    for (size_t column = 1; column < 3; column++) {
        const int32_t *offsets = (const int32_t *)(const void *)table->columns[column].offsets.data;
        for (size_t i = 0; i < rows; i++) {
            const cell *wanted = column == 1 ? &cells[i] : &others[i];
            size_t size = (size_t)(offsets[i + 1] - offsets[i]);
            CHECK_CASE(size == wanted->size, "seed %llu, row %zu", (unsigned long long)seed, i);
            if (size)
                CHECK(memcmp(table->columns[column].data.data + offsets[i], wanted->text, size) ==
                      0);
        }
    }
    dl_row_free(&row);
    dl_table_free(table);
}

static const dl_column_type TYPES[] = {DL_COLUMN_TEXT, DL_COLUMN_INT64, DL_COLUMN_FLOAT64,
                                       DL_COLUMN_DATE32};

static void put_row(dl_row *row, dl_table *table, int i) {
    CHECK(dl_row_begin(row, table) == DL_OK);
    if (i & 1) CHECK(dl_row_set_text(row, 0, "old") == DL_OK);
    if (i & 1) CHECK(dl_row_set_text(row, 0, "text") == DL_OK); /* the later value counts */
    if (i & 2) CHECK(dl_row_set_int64(row, 1, i) == DL_OK);
    if (i & 4) CHECK(dl_row_set_double(row, 2, 1) == DL_OK);
    if (i & 4) CHECK(dl_row_set_double(row, 2, i / 2.0) == DL_OK);
    if (i & 8) CHECK(dl_row_set_int64(row, 3, -i) == DL_OK);
}

/* Every other row is taken back, once with a value that waits for a decoder. */
static void rows_come_and_go(dl_table *table) {
    enum { COUNT = 1000 };
    dl_row row = {0};
    check_table(table); /* of no rows */
    for (int i = 0; i < COUNT; i++) {
        put_row(&row, table, i);
        CHECK(dl_row_end(&row) == DL_OK);
        put_row(&row, table, 15);
        dl_deferred waits = {.column = 0, .start = table->columns[0].data.length, .length = 1};
        CHECK(dl_bytes_append(dl_row_text(&row, 0), "\xFF", 1) == DL_OK);
        CHECK(dl_row_defer(&row, &waits) == DL_OK);
        CHECK(dl_bytes_append(&table->deferred_charsets, "x", 1) == DL_OK);
        if (i % 3 == 0) dl_row_reset(&row, 0);
        dl_row_drop(&row);
        CHECK(table->deferred.length == 0 && table->deferred_charsets.length == 0);
    }
    CHECK(table->rows == COUNT);
    check_table(table);
    const int32_t *offsets = (const int32_t *)(const void *)table->columns[0].offsets.data;
    for (int i = 0; i < COUNT; i++) {
        int64_t whole;
        double real;
        int32_t days;
        memcpy(&whole, table->columns[1].data.data + 8 * i, 8);
        memcpy(&real, table->columns[2].data.data + 8 * i, 8);
        memcpy(&days, table->columns[3].data.data + 4 * i, 4);
        CHECK(offsets[i + 1] - offsets[i] == (i & 1 ? 4 : 0));
        CHECK(whole == (i & 2 ? i : 0) && real == (i & 4 ? i / 2.0 : 0));
        CHECK(days == (i & 8 ? -i : 0));
        for (int column = 0; column < 4; column++)
            CHECK((table->columns[column].validity.data[i >> 3] >> (i & 7) & 1) ==
                  (i >> column & 1));
    }
    dl_row_free(&row);
}

/* A table that is emptied is as good as a new one. */
static void tables_are_used_again(void) {
    dl_table *table = dl_table_new(TYPES, 4);
    CHECK(table);
    for (int round = 0; round < 3; round++) {
        rows_come_and_go(table);
        table->misfits = 1;
        dl_deferred waits = {.column = 0};
        CHECK(dl_bytes_append(&table->deferred, &waits, sizeof waits) == DL_OK);
        dl_table_clear(table);
        CHECK(table->rows == 0 && table->misfits == 0 && table->bytes == 0);
        CHECK(table->deferred.length == 0 && table->deferred_charsets.length == 0);
    }
    dl_table_free(table);
}

/* Edits of the deferred values of two columns, as a decoder makes them. */
static void a_value_is_reset_with_what_waits(void) {
    static const dl_column_type types[] = {DL_COLUMN_TEXT, DL_COLUMN_TEXT};
    dl_table *table = dl_table_new(types, 2);
    dl_row row = {0};
    CHECK(table && dl_row_begin(&row, table) == DL_OK);
    for (uint32_t column = 0; column < 2; column++) {
        dl_deferred waits = {.column = column, .length = 1};
        CHECK(dl_bytes_append(dl_row_text(&row, column), "?", 1) == DL_OK);
        CHECK(dl_row_defer(&row, &waits) == DL_OK);
    }
    dl_row_reset(&row, 0);
    const dl_deferred *left = (const dl_deferred *)(const void *)table->deferred.data;
    CHECK(table->deferred.length == sizeof *left && left->column == 1);
    CHECK(dl_row_end(&row) == DL_OK);
    check_table(table);
    dl_edit edit = {0, 1, (const uint8_t *)"decoded", 7};
    CHECK(dl_table_edit(table, 1, &edit, 1) == DL_OK);
    CHECK(dl_table_edit(table, 0, NULL, 0) == DL_OK);
    CHECK(bytes_equal(&table->columns[1].data, "decoded", 7));
    CHECK(table->columns[0].nulls == 1 && table->columns[1].nulls == 0);
    dl_row_free(&row);
    dl_table_free(table);
    table = dl_table_new(NULL, 0); /* no columns is a table too */
    CHECK(table && dl_row_begin(&row, table) == DL_OK && dl_row_end(&row) == DL_OK);
    CHECK(table->rows == 1);
    dl_row_free(&row);
    dl_table_free(table);
    dl_table_free(NULL);
}

int main(void) {
    for (uint64_t seed = 0; seed < 3000; seed++) random_edits(seed);
    tables_are_used_again();
    a_value_is_reset_with_what_waits();
    return 0;
}
