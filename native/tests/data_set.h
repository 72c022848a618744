/* Builds small data sets in memory, reads them, and looks at the row that comes of it. */
#ifndef DICOMLOOM_TESTS_DATA_SET_H
#define DICOMLOOM_TESTS_DATA_SET_H

#include "check.h"
#include "dicomloom/scan.h"

/* --- writing -----------------------------------------------------------------------------------
 */

typedef struct writer {
    dl_bytes bytes;
    dl_syntax syntax;
} writer;

static const dl_syntax EXPLICIT = {true, false}, IMPLICIT = {false, false}, BIG = {true, true};

static inline void put(writer *w, const void *data, size_t size) {
    CHECK(dl_bytes_append(&w->bytes, data, size) == DL_OK);
}

static inline void put_u16(writer *w, unsigned value) {
    uint8_t little[] = {(uint8_t)value, (uint8_t)(value >> 8)};
    uint8_t big[] = {little[1], little[0]};
    put(w, w->syntax.big_endian ? big : little, 2);
}

static inline void put_u32(writer *w, uint32_t value) {
    put_u16(w, w->syntax.big_endian ? value >> 16 : value & 0xFFFF);
    put_u16(w, w->syntax.big_endian ? value & 0xFFFF : value >> 16);
}

/* A header with whatever length it is told; vr NULL for items and delimiters. */
static inline void put_header(writer *w, uint32_t tag, const char *vr, uint32_t length) {
    put_u16(w, DL_TAG_GROUP(tag));
    put_u16(w, DL_TAG_ELEMENT(tag));
    if (!w->syntax.explicit_vr || !vr) {
        put_u32(w, length);
        return;
    }
    put(w, vr, 2);
    if (dl_vr_is(dl_vr_from_bytes((const uint8_t *)vr), DL_VR_LONG)) {
        put_u16(w, 0);
        put_u32(w, length);
    } else {
        put_u16(w, length);
    }
}

static inline void put_value(writer *w, uint32_t tag, const char *vr, const void *value,
                             size_t size) {
    put_header(w, tag, vr, (uint32_t)size);
    put(w, value, size);
}

/* Text as it stands: the caller pads, as padding is what some tests are about. */
static inline void put_text(writer *w, uint32_t tag, const char *vr, const char *text) {
    put_value(w, tag, vr, text, strlen(text));
}

static inline void put_us(writer *w, uint32_t tag, const char *vr, unsigned value) {
    put_header(w, tag, vr, 2);
    put_u16(w, value);
}

/* A sequence or an item, up to `put_end`; of undefined length, or with one that is filled in. */
typedef struct opened {
    size_t header; /* where the length stands; 0: undefined */
    bool item;
} opened;

static inline opened put_begin(writer *w, uint32_t tag, const char *vr, bool undefined) {
    put_header(w, tag, vr, DL_UNDEFINED_LENGTH);
    return (opened){undefined ? 0 : w->bytes.length, tag == DL_TAG_ITEM};
}

static inline opened put_sequence(writer *w, uint32_t tag, bool undefined) {
    return put_begin(w, tag, "SQ", undefined);
}

static inline opened put_item(writer *w, bool undefined) {
    return put_begin(w, DL_TAG_ITEM, NULL, undefined);
}

static inline void put_end(writer *w, opened what) {
    if (what.header == 0) {
        put_header(w, what.item ? DL_TAG_ITEM_END : DL_TAG_SEQUENCE_END, NULL, 0);
        return;
    }
    size_t all = w->bytes.length;
    w->bytes.length = what.header - 4;
    put_u32(w, (uint32_t)(all - what.header));
    w->bytes.length = all;
}

static inline void put_uid(writer *w, uint32_t tag, const char *uid) {
    size_t size = strlen(uid);
    put_value(w, tag, "UI", uid, size + (size & 1)); /* padded with its own NUL */
}

/* Preamble, DICM and file meta information in explicit VR little endian (PS3.10 7.1). */
static inline void put_part10(writer *w, const char *transfer_syntax) {
    static const char preamble[128];
    dl_syntax after = w->syntax;
    w->syntax = EXPLICIT;
    put(w, preamble, sizeof preamble);
    put(w, "DICM", 4);
    put_header(w, DL_TAG(0x0002, 0x0000), "UL", 4);
    size_t length = w->bytes.length;
    put_u32(w, 0);
    put_value(w, DL_TAG(0x0002, 0x0001), "OB", "\0\1", 2);
    put_uid(w, DL_TAG(0x0002, 0x0002), "1.2.840.10008.5.1.4.1.1.4");
    put_uid(w, DL_TAG(0x0002, 0x0003), "1.2.3.4");
    put_uid(w, DL_TAG_TRANSFER_SYNTAX, transfer_syntax);
    size_t all = w->bytes.length;
    w->bytes.length = length;
    put_u32(w, (uint32_t)(all - length - 4));
    w->bytes.length = all;
    w->syntax = after;
}

static const char UID_IMPLICIT[] = "1.2.840.10008.1.2";
static const char UID_EXPLICIT[] = "1.2.840.10008.1.2.1";
static const char UID_BIG[] = "1.2.840.10008.1.2.2";
static const char UID_DEFLATED[] = "1.2.840.10008.1.2.1.99";

static inline const char *uid_of(dl_syntax syntax) {
    return syntax.big_endian ? UID_BIG : syntax.explicit_vr ? UID_EXPLICIT : UID_IMPLICIT;
}

static inline void writer_free(writer *w) { dl_bytes_free(&w->bytes); }

/* --- wanting -----------------------------------------------------------------------------------
 */

#define AT_TAG(tag)                                                                                \
    { tag, NULL, DL_ITEM_NONE, DL_VR_NONE }
#define IN_SEQ(tag, item)                                                                          \
    { tag, NULL, item, DL_VR_NONE }
#define AT_PRIVATE(tag, creator, vr)                                                               \
    { tag, creator, DL_ITEM_NONE, vr }
#define IN_PRIVATE(tag, creator, item, vr)                                                         \
    { tag, creator, item, vr }

static inline void want_path(dl_plan *plan, dl_column_type type, const dl_step *steps,
                             size_t count) {
    dl_error error;
    CHECK_CASE(dl_plan_add(plan, steps, count, type, &error) == DL_OK, "%s", error.message);
}

/* The next column: WANT(plan, DL_COLUMN_TEXT, IN_SEQ(sequence, 0), AT_TAG(tag)). */
#define WANT(plan, type, ...)                                                                      \
    do {                                                                                           \
        const dl_step steps_[] = {__VA_ARGS__};                                                    \
        want_path(plan, type, steps_, COUNT_OF(steps_));                                           \
    } while (0)

/* --- reading -----------------------------------------------------------------------------------
 */

typedef struct result {
    dl_status status;
    dl_error error;
    dl_table *table; /* of one row */
    uint64_t bytes_read;
} result;

static inline dl_table *table_for(const dl_plan *plan) {
    dl_column_type types[64];
    size_t columns = dl_plan_columns(plan);
    CHECK(columns <= COUNT_OF(types));
    for (size_t i = 0; i < columns; i++) types[i] = dl_plan_column_type(plan, i);
    dl_table *table = dl_table_new(types, columns);
    CHECK(table);
    return table;
}

/* Reads with a reader that the caller has set up and frees. */
static inline result read_with(dl_reader *reader, const dl_source *source) {
    result r = {0};
    dl_row row = {0};
    r.table = table_for(reader->plan);
    uint64_t before = reader->bytes_read;
    CHECK(dl_row_begin(&row, r.table) == DL_OK);
    r.status = dl_read(reader, source, &row, 0, &r.error);
    CHECK(r.status == DL_OK || r.error.code == r.status);
    CHECK(r.status == DL_OK || (r.error.message[0] && strlen(r.error.message) < DL_MESSAGE_SIZE));
    CHECK(dl_row_end(&row) == DL_OK);
    dl_row_free(&row);
    r.bytes_read = reader->bytes_read - before;
    return r;
}

static inline result read_bytes(const dl_plan *plan, const void *data, size_t size) {
    dl_reader reader = {.plan = plan, .limits = {DL_DEFAULT_DEPTH, DL_DEFAULT_VALUE_SIZE}};
    dl_memory memory = {data, size};
    dl_source source;
    dl_source_memory(&source, &memory);
    result r = read_with(&reader, &source);
    dl_reader_free(&reader);
    return r;
}

static inline result read_all(const dl_plan *plan, const writer *w) {
    return read_bytes(plan, w->bytes.data, w->bytes.length);
}

static inline void result_free(result *r) {
    dl_table_free(r->table);
    r->table = NULL;
}

static inline bool cell_set(const dl_table *table, size_t column, size_t row) {
    return table->columns[column].validity.data[row >> 3] >> (row & 7) & 1;
}

static inline const char *cell_text(const dl_table *table, size_t column, size_t row,
                                    size_t *size) {
    const int32_t *offsets = (const int32_t *)(const void *)table->columns[column].offsets.data;
    *size = (size_t)(offsets[row + 1] - offsets[row]);
    return *size ? (const char *)table->columns[column].data.data + offsets[row] : "";
}

static inline bool cell_is(const dl_table *table, size_t column, const char *text) {
    size_t size;
    const char *found = cell_text(table, column, 0, &size);
    bool same = cell_set(table, column, 0) && size == strlen(text) && !memcmp(found, text, size);
    if (!same)
        (void)fprintf(stderr, "column %zu: wanted \"%s\", found %s\"%.*s\"\n", column, text,
                      cell_set(table, column, 0) ? "" : "null, ", (int)size, found);
    return same;
}

#define CHECK_TEXT(result, column, text) CHECK(cell_is((result).table, column, text))
#define CHECK_NULL(result, column) CHECK(!cell_set((result).table, column, 0))

#endif
