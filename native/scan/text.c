/* Rows as text: CSV (RFC 4180, but lines end in LF alone, as every other tool in a pipe expects)
 * and JSON lines. */
#include "dicomloom/scan.h"

static bool is_set(const dl_column *column, size_t row) {
    return (column->validity.data[row >> 3] >> (row & 7) & 1) != 0;
}

static const uint8_t *text_cell(const dl_column *column, size_t row, size_t *size) {
    const int32_t *offsets = (const int32_t *)(const void *)column->offsets.data;
    *size = (size_t)(offsets[row + 1] - offsets[row]);
    /* A column that never held a byte has no data to point into. */
    return *size ? column->data.data + offsets[row] : (const uint8_t *)"";
}

/* Days since 1970-01-01 to YYYY-MM-DD, in the proleptic Gregorian calendar. */
static size_t format_date(char *into, int32_t days) {
    /* Years that begin in March, in cycles of 400: leap days then fall at a year's end. */
    int64_t shifted = (int64_t)days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    unsigned day = (unsigned)(shifted - era * 146097);
    unsigned year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    unsigned of_year = day - (365 * year + year / 4 - year / 100);
    unsigned march = (5 * of_year + 2) / 153;
    unsigned month = march < 10 ? march + 3 : march - 9;
    unsigned number = (unsigned)((int64_t)year + era * 400 + (month <= 2));
    unsigned parts[] = {number / 1000 % 10, number / 100 % 10, number / 10 % 10, number % 10};
    for (int i = 0; i < 4; i++) into[i] = (char)('0' + parts[i]);
    unsigned of_month = of_year - (153 * march + 2) / 5 + 1;
    into[4] = into[7] = '-';
    into[5] = (char)('0' + month / 10);
    into[6] = (char)('0' + month % 10);
    into[8] = (char)('0' + of_month / 10);
    into[9] = (char)('0' + of_month % 10);
    return 10;
}

static size_t format_value(char *into, const dl_column *column, size_t row) {
    const void *values = column->data.data;
    switch (column->type) {
    case DL_COLUMN_INT64: return dl_format_int64(into, ((const int64_t *)values)[row]);
    case DL_COLUMN_DATE32: return format_date(into, ((const int32_t *)values)[row]);
    default: return dl_format_double(into, ((const double *)values)[row]);
    }
}

/* One pass that copies while nothing needs a quote: most cells never do. */
static uint8_t *put_csv(uint8_t *out, const uint8_t *text, size_t size) {
    static const bool special[256] = {[','] = true, ['"'] = true, ['\n'] = true, ['\r'] = true};
    size_t i = 0;
    while (i < size && !special[text[i]]) i++;
    if (DL_LIKELY(i == size)) {
        memcpy(out, text, size);
        return out + size;
    }
    *out++ = '"';
    for (i = 0; i < size; i++) {
        if (text[i] == '"') *out++ = '"';
        *out++ = text[i];
    }
    *out++ = '"';
    return out;
}

dl_status dl_csv_append(dl_bytes *into, const dl_table *table) {
    for (size_t row = 0; row < table->rows; row++) {
        for (size_t i = 0; i < table->column_count; i++) {
            const dl_column *column = &table->columns[i];
            size_t size = 0;
            const uint8_t *text = (const uint8_t *)"";
            if (column->type == DL_COLUMN_TEXT) text = text_cell(column, row, &size);
            /* Twice the size if all are quotes, two quotes around, one separator. */
            dl_status status = dl_bytes_reserve(into, 2 * size + DL_NUMBER_SIZE + 3);
            if (status != DL_OK) return status;
            uint8_t *out = into->data + into->length;
            if (i) *out++ = ',';
            if (column->type == DL_COLUMN_TEXT) {
                if (size) out = put_csv(out, text, size);
            } else if (is_set(column, row)) {
                out += format_value((char *)out, column, row);
            }
            into->length = (size_t)(out - into->data);
        }
        dl_status status = dl_bytes_append(into, "\n", 1);
        if (status != DL_OK) return status;
    }
    return DL_OK;
}

static uint8_t *put_json(uint8_t *out, const uint8_t *text, size_t size) {
    static const char hex[] = "0123456789abcdef";
    *out++ = '"';
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = text[i];
        if (byte == '"' || byte == '\\') {
            *out++ = '\\';
            *out++ = byte;
        } else if (byte >= 0x20) {
            *out++ = byte;
        } else {
            memcpy(out, "\\u00", 4);
            out[4] = (uint8_t)hex[byte >> 4];
            out[5] = (uint8_t)hex[byte & 15];
            out += 6;
        }
    }
    *out++ = '"';
    return out;
}

dl_status dl_json_append(dl_bytes *into, const dl_table *table, const char *const *keys) {
    for (size_t row = 0; row < table->rows; row++) {
        for (size_t i = 0; i < table->column_count; i++) {
            const dl_column *column = &table->columns[i];
            size_t size = 0, key = strlen(keys[i]);
            const uint8_t *text = (const uint8_t *)"";
            if (column->type == DL_COLUMN_TEXT) text = text_cell(column, row, &size);
            dl_status status = dl_bytes_reserve(into, 6 * size + key + DL_NUMBER_SIZE + 8);
            if (status != DL_OK) return status;
            uint8_t *out = into->data + into->length;
            *out++ = i ? ',' : '{';
            memcpy(out, keys[i], key);
            out += key;
            if (!is_set(column, row)) {
                memcpy(out, "null", 4);
                out += 4;
            } else if (column->type == DL_COLUMN_TEXT) {
                out = put_json(out, text, size);
            } else {
                char value[DL_NUMBER_SIZE];
                size_t n = format_value(value, column, row);
                bool finite = value[n - 1] >= '0' && value[n - 1] <= '9'; /* not nan, not inf */
                bool quoted = column->type == DL_COLUMN_DATE32;
                if (finite && !quoted) {
                    memcpy(out, value, n);
                    out += n;
                } else if (quoted) {
                    out = put_json(out, (const uint8_t *)value, n);
                } else {
                    memcpy(out, "null", 4);
                    out += 4;
                }
            }
            into->length = (size_t)(out - into->data);
        }
        dl_status status = dl_bytes_append(into, "}\n", 2);
        if (status != DL_OK) return status;
    }
    return DL_OK;
}
