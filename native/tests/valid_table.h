/* Does a table keep what the Arrow columnar format and scan.h promise? Shared with the fuzzers. */
#ifndef DICOMLOOM_TESTS_VALID_TABLE_H
#define DICOMLOOM_TESTS_VALID_TABLE_H

#include "check.h"
#include "dicomloom/scan.h"

/* Length of the well-formed sequence at text, by decoding it (RFC 3629), or 0. Written another way
 * than the core's on purpose. */
static inline size_t utf8_length(const uint8_t *text, size_t size) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = text[0] < 0x80   ? 1
                    : text[0] < 0xC0 ? 0
                    : text[0] < 0xE0 ? 2
                    : text[0] < 0xF0 ? 3
                    : text[0] < 0xF8 ? 4
                                     : 0;
    if (length == 0 || length > size) return 0;
    uint32_t point = length == 1 ? text[0] : text[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80) return 0;
        point = point << 6 | (text[i] & 0x3F);
    }
    bool surrogate = point >= 0xD800 && point <= 0xDFFF;
    return point < least[length] || surrogate || point > 0x10FFFF ? 0 : length;
}

static inline bool is_utf8(const uint8_t *text, size_t size) {
    while (size) {
        size_t length = utf8_length(text, size);
        if (!length) return false;
        text += length;
        size -= length;
    }
    return true;
}

/* Text of every cell is UTF-8, but for the raw bytes of deferred values. */
static inline void check_text_column(const dl_table *table, size_t index) {
    const dl_column *column = &table->columns[index];
    const int32_t *offsets = (const int32_t *)(const void *)column->offsets.data;
    CHECK(column->offsets.length == (table->rows + 1) * sizeof *offsets);
    CHECK(offsets[0] == 0 && (size_t)offsets[table->rows] == column->data.length);
    uint8_t *copy = malloc(column->data.length + 1);
    CHECK(copy);
    if (column->data.length) memcpy(copy, column->data.data, column->data.length);
    const dl_deferred *deferred = (const dl_deferred *)(const void *)table->deferred.data;
    uint64_t reached = 0;
    for (size_t i = 0; i < table->deferred.length / sizeof *deferred; i++) {
        if (deferred[i].column != index) continue;
        CHECK(deferred[i].start >= reached);
        CHECK(deferred[i].length <= column->data.length);
        CHECK(deferred[i].start <= column->data.length - deferred[i].length);
        reached = deferred[i].start + deferred[i].length;
        memset(copy + deferred[i].start, 'x', deferred[i].length);
    }
    for (size_t row = 0; row < table->rows; row++) {
        CHECK(offsets[row] <= offsets[row + 1]);
        CHECK(is_utf8(copy + offsets[row], (size_t)(offsets[row + 1] - offsets[row])));
    }
    free(copy);
}

static inline void check_table(const dl_table *table) {
    CHECK(table->deferred.length % sizeof(dl_deferred) == 0);
    const dl_deferred *deferred = (const dl_deferred *)(const void *)table->deferred.data;
    for (size_t i = 0; i < table->deferred.length / sizeof *deferred; i++) {
        CHECK(deferred[i].column < table->column_count && deferred[i].vr < DL_VR_COUNT);
        CHECK(table->columns[deferred[i].column].type == DL_COLUMN_TEXT);
        CHECK(deferred[i].charset_size <= table->deferred_charsets.length);
        CHECK(deferred[i].charset <= table->deferred_charsets.length - deferred[i].charset_size);
    }
    for (size_t index = 0; index < table->column_count; index++) {
        const dl_column *column = &table->columns[index];
        CHECK(column->validity.length == (table->rows + 7) / 8);
        int64_t nulls = 0;
        for (size_t row = 0; row < table->rows; row++)
            nulls += !(column->validity.data[row >> 3] >> (row & 7) & 1);
        CHECK(nulls == column->nulls);
        size_t unit = column->type == DL_COLUMN_DATE32 ? 4 : 8;
        if (column->type == DL_COLUMN_TEXT)
            check_text_column(table, index);
        else
            CHECK(column->data.length == table->rows * unit);
    }
}

#endif
