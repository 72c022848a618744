/* Values: their bytes, and the cells they become. */
#include "read.h"

dl_status dl_pass_fail(pass *p, dl_status code, uint32_t tag, uint64_t offset, const char *what) {
    return dl_fail_tag(p->error, code, tag, offset, what);
}

dl_status dl_pass_truncated(pass *p, uint32_t tag) {
    return dl_window_truncated(p->window, tag, p->error);
}

dl_status dl_pass_out_of_memory(pass *p) {
    return dl_fail(p->error, DL_ERR_MEMORY, 0, "out of memory");
}

dl_status dl_pass_value(pass *p, const dl_element *element, const uint8_t **bytes) {
    size_t size = element->length;
    if (size <= DL_WINDOW_CAPACITY && size <= p->reader->limits.value_size) {
        dl_status status = dl_window_get(p->window, element->value, size, bytes, p->error);
        return status != DL_OK || *bytes ? status : dl_pass_truncated(p, element->tag);
    }
    if (size > p->reader->limits.value_size) {
        uint64_t available;
        dl_status status = dl_window_size(p->window, &available, p->error);
        if (status != DL_OK) return status;
        if (element->value > available || size > available - element->value)
            return dl_pass_truncated(p, element->tag);
        return dl_pass_fail(p, DL_ERR_LIMIT, element->tag, element->value,
                            "a value longer than the limit in");
    }
    dl_bytes *scratch = &p->reader->scratch;
    scratch->length = 0;
    while (scratch->length < size) {
        /* A piece at a time: a length that lies is not worth its memory. */
        const dl_source *source = p->window->source;
        size_t piece = size - scratch->length, got = 0;
        if (piece > DL_WINDOW_CAPACITY) piece = DL_WINDOW_CAPACITY;
        if (dl_bytes_reserve(scratch, piece) != DL_OK) return dl_pass_out_of_memory(p);
        dl_status status = source->read_at(source->context, element->value + scratch->length,
                                           scratch->data + scratch->length, piece, &got, p->error);
        if (status != DL_OK) return status;
        if (got == 0) return dl_pass_truncated(p, element->tag);
        scratch->length += got;
        p->window->bytes_read += got;
    }
    *bytes = scratch->data;
    return DL_OK;
}

/* YYYYMMDD, or YYYY.MM.DD of the standard before 1993 (PS3.5 6.2, note on DA). */
static bool parse_date(const uint8_t *text, size_t size, int64_t *days) {
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned digits[8];
    size_t n = 0;
    if (size != 8 && !(size == 10 && text[4] == '.' && text[7] == '.')) return false;
    for (size_t i = 0; i < size; i++) {
        if (size == 10 && (i == 4 || i == 7)) continue;
        digits[n] = (unsigned)text[i] - '0';
        if (digits[n++] > 9) return false;
    }
    int64_t year = digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3];
    unsigned month = digits[4] * 10 + digits[5], day = digits[6] * 10 + digits[7];
    if (month < 1 || month > 12 || year < 1) return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day < 1 || day > lengths[month - 1] + (month == 2 && leap ? 1u : 0u)) return false;
    /* Years that begin in March put the leap day last. */
    int64_t march_year = year - (month <= 2);
    int64_t of_year = (153 * (month + (month > 2 ? 0u : 12u) - 3) + 2) / 5 + day - 1;
    *days =
        march_year * 365 + march_year / 4 - march_year / 100 + march_year / 400 + of_year - 719468;
    return true;
}

/* The single number or date of a typed column; false where the value is something else. */
static bool typed_value(dl_column_type type, const uint8_t *text, size_t size, int64_t *whole,
                        double *real) {
    switch (type) {
    case DL_COLUMN_INT64: return dl_parse_int64((const char *)text, size, whole);
    case DL_COLUMN_FLOAT64: return dl_parse_double((const char *)text, size, real);
    case DL_COLUMN_DATE32: return parse_date(text, size, whole);
    default: return false;
    }
}

/* Turns the text that was appended to a typed cell into its value. */
static dl_status settle_typed(pass *p, size_t index, size_t start) {
    dl_column *column = &p->row->table->columns[index];
    size_t size = column->data.length - start;
    const uint8_t *text = size ? column->data.data + start : (const uint8_t *)"";
    int64_t whole = 0;
    double real = 0;
    bool fits = typed_value(column->type, text, size, &whole, &real);
    if (!fits && size)
        dl_row_spoil(p->row, index);
    else
        dl_row_reset(p->row, index);
    if (!fits) return DL_OK;
    return column->type == DL_COLUMN_FLOAT64 ? dl_row_set_double(p->row, index, real)
                                             : dl_row_set_int64(p->row, index, whole);
}

/* Where the character set's text stands for deferred values: most of them have the last one's. */
static dl_status put_charset(dl_table *table, const scope *in, uint64_t *at) {
    dl_bytes *charsets = &table->deferred_charsets;
    size_t count = table->deferred.length / sizeof(dl_deferred);
    if (count) {
        const dl_deferred *all = (const dl_deferred *)(const void *)table->deferred.data;
        const dl_deferred *last = &all[count - 1];
        if (last->charset_size == in->charset_size &&
            (in->charset_size == 0 ||
             memcmp(charsets->data + last->charset, in->charset_text, in->charset_size) == 0)) {
            *at = last->charset;
            return DL_OK;
        }
    }
    *at = charsets->length;
    return dl_bytes_append(charsets, in->charset_text, in->charset_size);
}

static dl_status defer(pass *p, size_t index, dl_vr vr, const scope *in, const uint8_t *value,
                       size_t size) {
    dl_table *table = p->row->table;
    dl_bytes *data = dl_row_text(p->row, index);
    dl_deferred deferred = {.column = (uint32_t)index,
                            .vr = (uint32_t)vr,
                            .start = data->length,
                            .length = size,
                            .charset_size = in->charset_size};
    dl_status status = put_charset(table, in, &deferred.charset);
    if (status == DL_OK) status = dl_bytes_append(data, value, size);
    if (status == DL_OK) status = dl_row_defer(p->row, &deferred);
    return status;
}

dl_status dl_pass_put(pass *p, const dl_node *node, dl_vr vr, const scope *in, const uint8_t *value,
                      size_t size) {
    size_t index = p->first_column + node->column;
    dl_column *column = &p->row->table->columns[index];
    bool more = node->joins && p->row->set[index];
    if (more && column->type != DL_COLUMN_TEXT) {
        dl_row_spoil(p->row, index); /* several values are no single number */
        return DL_OK;
    }
    if (!more) dl_row_reset(p->row, index);
    dl_bytes *data = dl_row_text(p->row, index);
    size_t start = data->length;
    dl_status status = more ? dl_bytes_append(data, "\\", 1) : DL_OK;
    if (status == DL_OK && dl_vr_is(vr, DL_VR_TEXT)) {
        bool deferred = false;
        status = dl_text_append(data, vr, in->charset, value, size, &deferred);
        if (status == DL_OK && deferred) status = defer(p, index, vr, in, value, size);
    } else if (status == DL_OK) {
        status = dl_numbers_append(data, vr, in->syntax.big_endian, value, size);
    }
    if (status == DL_OK && column->type != DL_COLUMN_TEXT) status = settle_typed(p, index, start);
    if (status == DL_ERR_MEMORY) return dl_pass_out_of_memory(p);
    if (status == DL_OK && more &&
        data->length > dl_row_start(p->row, index) + p->reader->limits.value_size)
        return dl_pass_fail(p, DL_ERR_LIMIT, node->tag, p->window->base,
                            "joined values longer than the limit in");
    return status;
}

dl_status dl_pass_put_count(pass *p, const dl_node *node, uint64_t count) {
    char text[DL_NUMBER_SIZE];
    size_t size = dl_format_uint64(text, count);
    scope plain = {0};
    return dl_pass_put(p, node, DL_VR_IS, &plain, (const uint8_t *)text, size);
}
