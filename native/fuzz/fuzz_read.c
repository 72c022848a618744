/* dl_read over any bytes: detection, headers, paths, values. The first byte chooses how the rest is
 * read. Beyond not crashing: the table is valid, the error says where, CSV reads back as the cells,
 * and a source that gives a few bytes at a time gives the same row. */
#include "dicomloom/scan.h"
#include "fuzz.h"
#include "trickle.h"

enum { TYPED = 1, TIGHT = 2, INFLATING = 4, NUMBERS = 8 };

#define ALL DL_ITEM_ALL
#define LEAF DL_ITEM_NONE
#define NO_VR DL_VR_NONE

/* Paths that meet what files hold: the defaults of an index, nested items, private blocks, binary.
 */
static const struct {
    dl_step steps[3];
    size_t count;
    dl_column_type type;
} WANTED[] = {
    {{{0x00020010, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_TEXT},
    {{{0x00020002, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_TEXT},
    {{{0x00080016, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_TEXT},
    {{{0x00080018, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_TEXT},
    {{{0x00080020, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_DATE32},
    {{{0x00080060, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_TEXT},
    {{{0x0008103E, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_TEXT},
    {{{0x00081140, NULL, 0, NO_VR}, {0x00081155, NULL, LEAF, NO_VR}}, 2, DL_COLUMN_TEXT},
    {{{0x00081140, NULL, ALL, NO_VR}, {0x00081155, NULL, LEAF, NO_VR}}, 2, DL_COLUMN_TEXT},
    {{{0x00082218, NULL, ALL, NO_VR}, {0x00080100, NULL, LEAF, NO_VR}}, 2, DL_COLUMN_TEXT},
    {{{0x00090001, "GEMS_IDEN_01", LEAF, DL_VR_LO}}, 1, DL_COLUMN_TEXT},
    {{{0x00100010, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_TEXT},
    {{{0x00100020, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_TEXT},
    {{{0x00100030, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_DATE32},
    {{{0x00180050, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_FLOAT64},
    {{{0x0020000D, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_TEXT},
    {{{0x0020000E, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_TEXT},
    {{{0x00200013, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_INT64},
    {{{0x00200032, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_TEXT},
    {{{0x00280010, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_INT64},
    {{{0x00280071, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_INT64}, /* its sign comes behind it */
    {{{0x00280106, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_INT64},
    {{{0x00283000, NULL, 0, NO_VR}, {0x00283002, NULL, LEAF, NO_VR}}, 2, DL_COLUMN_TEXT},
    {{{0x00290010, "SIEMENS CSA HEADER", LEAF, DL_VR_OB}}, 1, DL_COLUMN_TEXT},
    {{{0x00400275, NULL, 1, NO_VR},
      {0x00400008, NULL, ALL, NO_VR},
      {0x00080100, NULL, LEAF, NO_VR}},
     3,
     DL_COLUMN_TEXT},
    {{{0x0040A730, NULL, ALL, NO_VR},
      {0x0040A730, NULL, 0, NO_VR},
      {0x0040A160, NULL, LEAF, NO_VR}},
     3,
     DL_COLUMN_TEXT},
    {{{0x0040A730, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_INT64},
    {{{0x52009230, NULL, ALL, NO_VR},
      {0x00209113, NULL, 0, NO_VR},
      {0x00200032, NULL, LEAF, NO_VR}},
     3,
     DL_COLUMN_TEXT},
    {{{0x52009229, NULL, 0, NO_VR},
      {0x00289110, NULL, ALL, NO_VR},
      {0x00180050, NULL, LEAF, NO_VR}},
     3,
     DL_COLUMN_FLOAT64},
    {{{0x60003000, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_TEXT},
    {{{0x7FE00010, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_INT64},
    {{{0x00080060, NULL, LEAF, NO_VR}}, 1, DL_COLUMN_INT64}, /* a type that does not fit */
};

enum { COLUMNS = COUNT_OF(WANTED) };

static dl_plan *plan_of(int mode) {
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    for (size_t i = 0; i < COLUMNS; i++) {
        dl_column_type type = mode & TYPED ? WANTED[i].type : DL_COLUMN_TEXT;
        if (mode & NUMBERS) type = (dl_column_type)(i % 4);
        dl_error error;
        CHECK(dl_plan_add(plan, WANTED[i].steps, WANTED[i].count, type, &error) == DL_OK);
    }
    return plan;
}

/* An inflater that leaves the bytes as they are: what matters is that they are another source. */
typedef struct behind {
    const dl_source *raw;
    uint64_t offset;
} behind;

static dl_status behind_read(void *context, uint64_t offset, void *into, size_t size, size_t *got,
                             dl_error *error) {
    const behind *b = context;
    *got = 0;
    if (offset > UINT64_MAX - b->offset) return DL_OK;
    return b->raw->read_at(b->raw->context, b->offset + offset, into, size, got, error);
}

static dl_status behind_size(void *context, uint64_t *size, dl_error *error) {
    const behind *b = context;
    dl_status status = b->raw->size(b->raw->context, size, error);
    *size = *size > b->offset ? *size - b->offset : 0;
    return status;
}

static dl_status open_behind(void *context, const dl_source *raw, uint64_t offset,
                             dl_source *inflated, dl_error *error) {
    behind *b = context;
    (void)error;
    *b = (behind){raw, offset};
    *inflated = (dl_source){.context = b, .read_at = behind_read, .size = behind_size};
    return DL_OK;
}

typedef struct outcome {
    dl_status status;
    dl_error error;
    dl_table *table;
} outcome;

static outcome read_source(const dl_plan *plan, const dl_source *source, int mode) {
    behind b;
    dl_column_type types[COLUMNS];
    outcome o = {0};
    dl_row row = {0};
    dl_reader reader = {
        .plan = plan,
        .limits = {mode & TIGHT ? 2 : DL_DEFAULT_DEPTH, mode & TIGHT ? 16 : DL_DEFAULT_VALUE_SIZE},
        .open_inflated = mode & INFLATING ? open_behind : NULL,
        .open_context = &b};
    for (size_t i = 0; i < COLUMNS; i++) types[i] = dl_plan_column_type(plan, i);
    CHECK((o.table = dl_table_new(types, COLUMNS)) != NULL);
    CHECK(dl_row_begin(&row, o.table) == DL_OK);
    o.status = dl_read(&reader, source, &row, 0, &o.error);
    CHECK(dl_row_end(&row) == DL_OK && o.table->rows == 1);
    dl_row_free(&row);
    dl_reader_free(&reader);
    return o;
}

static void check_outcome(const outcome *o, size_t size, int mode) {
    check_table(o->table);
    if (o->status == DL_OK) return;
    CHECK(o->status != DL_ERR_MEMORY && o->status != DL_ERR_IO && o->status != DL_ERR_ARGUMENT);
    CHECK(o->error.code == o->status && o->error.message[0] && o->error.os_error == 0);
    CHECK(strlen(o->error.message) < DL_MESSAGE_SIZE);
    CHECK(o->error.offset <= size);
    CHECK(o->status != DL_ERR_LIMIT || mode & TIGHT || o->error.tag);
}

static void check_same(const dl_bytes *a, const dl_bytes *b) {
    CHECK(a->length == b->length && (!a->length || memcmp(a->data, b->data, a->length) == 0));
}

static void check_equal(const outcome *a, const outcome *b) {
    CHECK(a->status == b->status && a->table->misfits == b->table->misfits);
    CHECK(a->status == DL_OK || strcmp(a->error.message, b->error.message) == 0);
    for (size_t i = 0; i < COLUMNS; i++) {
        check_same(&a->table->columns[i].validity, &b->table->columns[i].validity);
        check_same(&a->table->columns[i].data, &b->table->columns[i].data);
    }
    check_same(&a->table->deferred, &b->table->deferred);
}

/* RFC 4180 by the letter: each field without its quotes is the text cell. */
static void check_csv(const dl_table *table) {
    dl_bytes csv = {0};
    CHECK(dl_csv_append(&csv, table) == DL_OK);
    const uint8_t *p = csv.data, *end = csv.data + csv.length;
    for (size_t i = 0; i < COLUMNS; i++) {
        const dl_column *column = &table->columns[i];
        const uint8_t *cell = column->data.data;
        bool quoted = *p == '"', text = column->type == DL_COLUMN_TEXT;
        size_t n = 0;
        for (p += quoted; p < end; p++, n++) {
            if (quoted && *p == '"' && *++p != '"') break;
            if (!quoted && (*p == ',' || *p == '\n')) break;
            if (text) CHECK(n < column->data.length && *p == cell[n]);
        }
        CHECK(!text || n == column->data.length);
        CHECK(p < end && *p++ == (i + 1 == COLUMNS ? '\n' : ','));
    }
    CHECK(p == end);
    dl_bytes_free(&csv);
}

/* JSON enough: control characters escaped, quotes in pairs, one object on one line. */
static void check_json(const dl_table *table) {
    const char *keys[COLUMNS];
    dl_bytes json = {0};
    size_t strings = 0;
    for (size_t i = 0; i < COLUMNS; i++) keys[i] = "\"k\":";
    CHECK(dl_json_append(&json, table, keys) == DL_OK);
    CHECK(json.length > 2 && json.data[0] == '{' && json.data[json.length - 1] == '\n');
    for (size_t i = 0; i + 1 < json.length; i++) {
        CHECK(json.data[i] >= 0x20);
        if (json.data[i] == '\\')
            i++;
        else
            strings += json.data[i] == '"';
    }
    CHECK(strings % 2 == 0);
    dl_bytes_free(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static dl_plan *plans[16]; /* made once: they are immutable */
    if (size == 0) return 0;
    int mode = data[0] & 15;
    data++;
    size--;
    if (!plans[mode]) plans[mode] = plan_of(mode);
    dl_memory memory = {data, size};
    trickle slow = {data, size, 0};
    dl_source whole, little = {.context = &slow, .read_at = trickle_read, .size = trickle_size};
    dl_source_memory(&whole, &memory);
    outcome first = read_source(plans[mode], &whole, mode);
    outcome second = read_source(plans[mode], &little, mode);
    check_outcome(&first, size, mode);
    check_equal(&first, &second);
    check_csv(first.table);
    check_json(first.table);
    dl_table_free(first.table);
    dl_table_free(second.table);
    return 0;
}
