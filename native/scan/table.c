#include <limits.h>
#include <stdlib.h>

#include "dicomloom/scan.h"

dl_table *dl_table_new(const dl_column_type *types, size_t count) {
    dl_table *table = calloc(1, sizeof *table);
    if (!table) return NULL;
    table->columns = calloc(count ? count : 1, sizeof *table->columns);
    if (!table->columns) {
        free(table);
        return NULL;
    }
    table->column_count = count;
    for (size_t i = 0; i < count; i++) {
        dl_column *column = &table->columns[i];
        column->type = types[i];
        const int32_t zero = 0;
        if (types[i] == DL_COLUMN_TEXT &&
            dl_bytes_append(&column->offsets, &zero, sizeof zero) != DL_OK) {
            dl_table_free(table);
            return NULL;
        }
    }
    return table;
}

void dl_table_free(dl_table *table) {
    if (!table) return;
    for (size_t i = 0; i < table->column_count; i++) {
        dl_bytes_free(&table->columns[i].validity);
        dl_bytes_free(&table->columns[i].offsets);
        dl_bytes_free(&table->columns[i].data);
    }
    dl_bytes_free(&table->deferred);
    dl_bytes_free(&table->deferred_charsets);
    free(table->columns);
    free(table);
}

void dl_table_clear(dl_table *table) {
    for (size_t i = 0; i < table->column_count; i++) {
        dl_column *column = &table->columns[i];
        column->validity.length = column->data.length = 0;
        column->offsets.length = column->type == DL_COLUMN_TEXT ? sizeof(int32_t) : 0;
        column->nulls = 0;
    }
    table->rows = 0;
    table->bytes = table->misfits = 0;
    table->deferred.length = table->deferred_charsets.length = 0;
}

static void append_reserved(dl_bytes *bytes, const void *data, size_t size) {
    if (size) memcpy(bytes->data + bytes->length, data, size);
    bytes->length += size;
}

dl_status dl_table_edit(dl_table *table, size_t index, const dl_edit *edits, size_t count) {
    dl_column *column = &table->columns[index];
    dl_bytes data = {0};
    uint64_t total = column->data.length;
    for (size_t i = 0; i < count; i++) total += edits[i].size - edits[i].length;
    /* All that can fail comes first: the column is edited whole or not at all. */
    if (total > INT32_MAX || dl_bytes_reserve(&data, (size_t)total) != DL_OK) return DL_ERR_MEMORY;

    int32_t *offsets = (int32_t *)(void *)column->offsets.data;
    uint64_t copied = 0;
    size_t row = 0; /* the next offset to be moved */
    int64_t shift = 0;
    for (size_t i = 0; i <= count; i++) {
        uint64_t until = i < count ? edits[i].start : column->data.length;
        if (until > copied)
            append_reserved(&data, column->data.data + copied, (size_t)(until - copied));
        /* An edit belongs to the row that it starts in: its end, not its start, moves. */
        while (row <= table->rows && (uint64_t)offsets[row] <= until) {
            offsets[row] = (int32_t)(offsets[row] + shift);
            row++;
        }
        if (i == count) break;
        append_reserved(&data, edits[i].text, edits[i].size);
        copied = edits[i].start + edits[i].length;
        shift += (int64_t)edits[i].size - (int64_t)edits[i].length;
    }
    dl_bytes_free(&column->data);
    column->data = data;
    return DL_OK;
}

/* --- rows --------------------------------------------------------------------------------------
 */

static size_t value_size(dl_column_type type) { return type == DL_COLUMN_DATE32 ? 4 : 8; }

size_t dl_row_start(const dl_row *row, size_t index) {
    const dl_column *column = &row->table->columns[index];
    return (size_t)((const int32_t *)(const void *)column->offsets.data)[row->table->rows];
}

dl_status dl_row_begin(dl_row *row, dl_table *table) {
    if (row->table != table) {
        size_t count = table->column_count ? table->column_count : 1;
        row->table = NULL; /* what follows may fail half-way */
        uint8_t *set = realloc(row->set, count);
        if (!set) return DL_ERR_MEMORY;
        row->set = set;
        size_t *waiting = realloc(row->waiting, count * sizeof *waiting);
        if (!waiting) return DL_ERR_MEMORY;
        row->waiting = waiting;
        row->table = table;
    }
    memset(row->set, 0, table->column_count);
    memset(row->waiting, 0, table->column_count * sizeof *row->waiting);
    row->deferred = table->deferred.length;
    row->charsets = table->deferred_charsets.length;
    row->misfits = table->misfits;
    return DL_OK;
}

void dl_row_free(dl_row *row) {
    free(row->set);
    free(row->waiting);
    row->set = NULL;
    row->waiting = NULL;
    row->table = NULL;
}

dl_status dl_row_defer(dl_row *row, const dl_deferred *deferred) {
    dl_status status = dl_bytes_append(&row->table->deferred, deferred, sizeof *deferred);
    if (status == DL_OK) row->waiting[deferred->column]++;
    return status;
}

/* From behind, where those of a column that is set again and again are: all of the row may be very
 * many. */
static void drop_deferred(dl_row *row, size_t index) {
    dl_table *table = row->table;
    dl_deferred *deferred = (dl_deferred *)(void *)table->deferred.data;
    size_t all = table->deferred.length / sizeof *deferred, first = all;
    for (; row->waiting[index] > 0; row->waiting[index]--) do
            first--;
        while (deferred[first].column != index);
    size_t kept = first;
    for (size_t i = first; i < all; i++)
        if (deferred[i].column != index) deferred[kept++] = deferred[i];
    table->deferred.length = kept * sizeof *deferred;
}

void dl_row_reset(dl_row *row, size_t index) {
    dl_table *table = row->table;
    dl_column *column = &table->columns[index];
    if (!row->set[index]) return;
    row->set[index] = 0;
    column->data.length = column->type == DL_COLUMN_TEXT ? dl_row_start(row, index)
                                                         : table->rows * value_size(column->type);
    if (row->waiting[index]) drop_deferred(row, index);
}

void dl_row_spoil(dl_row *row, size_t index) {
    if (row->set[index] == 2) return;
    dl_row_reset(row, index);
    row->set[index] = 2;
    row->table->misfits++;
}

dl_status dl_row_set_text(dl_row *row, size_t column, const char *text) {
    dl_row_reset(row, column);
    return dl_bytes_append(dl_row_text(row, column), text, strlen(text));
}

dl_status dl_row_set_int64(dl_row *row, size_t index, int64_t value) {
    dl_row_reset(row, index);
    dl_bytes *data = dl_row_text(row, index);
    if (row->table->columns[index].type != DL_COLUMN_DATE32)
        return dl_bytes_append(data, &value, sizeof value);
    int32_t days = (int32_t)value;
    return dl_bytes_append(data, &days, sizeof days);
}

dl_status dl_row_set_double(dl_row *row, size_t index, double value) {
    dl_row_reset(row, index);
    return dl_bytes_append(dl_row_text(row, index), &value, sizeof value);
}

/* Room for one more row in every column, so that a row is added whole or not at all. */
static dl_status reserve_row(dl_table *table) {
    for (size_t i = 0; i < table->column_count; i++) {
        dl_column *column = &table->columns[i];
        bool text = column->type == DL_COLUMN_TEXT;
        if (text && column->data.length > INT32_MAX) return DL_ERR_MEMORY;
        dl_status status = dl_bytes_reserve(&column->validity, 1);
        if (status == DL_OK)
            status = dl_bytes_reserve(text ? &column->offsets : &column->data, sizeof(int64_t));
        if (status != DL_OK) return status;
    }
    return DL_OK;
}

dl_status dl_row_end(dl_row *row) {
    dl_table *table = row->table;
    size_t n = table->rows;
    uint64_t bytes = 0;
    dl_status status = reserve_row(table);
    if (status != DL_OK) return status;
    for (size_t i = 0; i < table->column_count; i++) {
        dl_column *column = &table->columns[i];
        bool set = row->set[i] == 1;
        if ((n & 7) == 0) append_reserved(&column->validity, "", 1);
        if (column->type == DL_COLUMN_TEXT) {
            int32_t end = (int32_t)column->data.length;
            append_reserved(&column->offsets, &end, sizeof end);
        } else if (!set) {
            const int64_t zero = 0;
            append_reserved(&column->data, &zero, value_size(column->type));
        }
        if (set)
            column->validity.data[n >> 3] |= (uint8_t)(1u << (n & 7));
        else
            column->nulls++;
        bytes += column->data.length;
    }
    table->bytes = bytes;
    table->rows++;
    return DL_OK;
}

void dl_row_drop(dl_row *row) {
    dl_table *table = row->table;
    table->deferred.length = row->deferred;
    table->deferred_charsets.length = row->charsets;
    table->misfits = row->misfits;
    memset(row->waiting, 0, table->column_count * sizeof *row->waiting);
    for (size_t i = 0; i < table->column_count; i++) dl_row_reset(row, i);
}
