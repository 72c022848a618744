/* Whichever allocation fails, the caller is told DL_ERR_MEMORY, nothing is lost and nothing that is
 * left behind is broken. Each scenario runs once for every allocation it makes. */
#define _XOPEN_SOURCE 700
#include "data_set.h"
#include "failing_malloc.h"
#include "listing.h"
#include "tree.h"
#include "valid_table.h"

enum {
    REQUEST_SEQUENCE = 0x00400275,
    STEP_ID = 0x00400009,
    COMMENT = 0x00104000,
    LONG_VALUE = 100000,
    FILES = 24,
    ERROR_TEXT = 9
};

/* Returns what went wrong, DL_OK if nothing did. */
typedef dl_status (*scenario)(const void *context);

static void fail_each(const char *name, scenario run, const void *context) {
    for (long n = 0; n < 100000; n++) {
        allocations = 0;
        failing_one = n;
        dl_status status = run(context);
        bool failed = allocations > n;
        failing_one = -1;
        CHECK_CASE(status == (failed ? DL_ERR_MEMORY : DL_OK), "%s, allocation %ld: status %d",
                   name, n, (int)status);
        if (!failed) return;
    }
    CHECK_CASE(0, "%s never ends", name);
}

/* The test's own allocations do not fail, and are not counted. */
typedef struct paused {
    long counted, failing;
} paused;

static paused pause_failing(void) {
    paused p = {allocations, failing_one};
    failing_one = -1;
    return p;
}

static void resume_failing(paused p) {
    allocations = p.counted;
    failing_one = p.failing;
}

/* Where a failure may be made good: the scenario checked that nothing is missing, so it counts as
 * told. */
static dl_status or_made_good(dl_status status) {
    return failing_one >= 0 && allocations > failing_one ? DL_ERR_MEMORY : status;
}

static void check_table_quietly(const dl_table *table) {
    paused p = pause_failing();
    check_table(table);
    resume_failing(p);
}

/* --- reading -----------------------------------------------------------------------------------
 */

static void build(writer *w) {
    char *text = malloc(LONG_VALUE);
    CHECK(text);
    memset(text, 'x', LONG_VALUE);
    w->syntax = IMPLICIT;
    put_part10(w, UID_IMPLICIT);
    put_text(w, DL_TAG_CHARSET, "CS", "\\ISO 2022 IR 87");
    put_text(w, 0x00080060, "CS", "MR");
    put_text(w, 0x00090010, "LO", "ACME");
    put_text(w, 0x00091001, "LO", "private ");
    put_text(w, 0x00100010, "PN", "\x1B$B;3ED\x1B(B^ ");
    put_value(w, COMMENT, "LT", text, LONG_VALUE); /* longer than the window */
    put_us(w, 0x00280010, "US", 512);
    opened items = put_sequence(w, REQUEST_SEQUENCE, true);
    for (int i = 0; i < 40; i++) {
        opened item = put_item(w, true);
        put_text(w, STEP_ID, "SH", "step");
        put_end(w, item);
    }
    put_end(w, items);
    free(text);
}

static dl_status make_plan(dl_plan *plan) {
    static const dl_step paths[][2] = {
        {AT_TAG(0x00080060), AT_TAG(0)},
        {AT_PRIVATE(0x00090001, "ACME", DL_VR_LO), AT_TAG(0)},
        {AT_TAG(0x00100010), AT_TAG(0)},
        {AT_TAG(COMMENT), AT_TAG(0)},
        {AT_TAG(0x00280010), AT_TAG(0)},
        {IN_SEQ(REQUEST_SEQUENCE, DL_ITEM_ALL), AT_TAG(STEP_ID)},
        {AT_TAG(REQUEST_SEQUENCE), AT_TAG(0)},
    };
    dl_error error;
    dl_status status = DL_OK;
    for (size_t i = 0; i < COUNT_OF(paths) && status == DL_OK; i++)
        status = dl_plan_add(plan, paths[i], i == 5 ? 2 : 1,
                             i == 4 ? DL_COLUMN_INT64 : DL_COLUMN_TEXT, &error);
    CHECK(status == DL_OK || error.code == status);
    return status;
}

static dl_status plan_scenario(const void *context) {
    (void)context;
    dl_plan *plan = dl_plan_new();
    dl_status status = plan ? make_plan(plan) : DL_ERR_MEMORY;
    dl_plan_free(plan);
    return status;
}

static dl_status read_scenario(const void *context) {
    const writer *w = context;
    paused p = pause_failing(); /* the plan is another scenario's */
    dl_plan *plan = dl_plan_new();
    CHECK(plan && make_plan(plan) == DL_OK);
    dl_column_type types[8];
    for (size_t i = 0; i < dl_plan_columns(plan); i++) types[i] = dl_plan_column_type(plan, i);
    dl_reader reader = {.plan = plan, .limits = {DL_DEFAULT_DEPTH, DL_DEFAULT_VALUE_SIZE}};
    dl_memory memory = {w->bytes.data, w->bytes.length};
    dl_source source;
    dl_row row = {0};
    dl_error error;
    dl_source_memory(&source, &memory);
    resume_failing(p);
    dl_status status = DL_ERR_MEMORY;
    dl_table *table = dl_table_new(types, dl_plan_columns(plan));
    if (table) {
        for (int i = 0; i < 3; i++) {
            status = dl_row_begin(&row, table);
            if (status == DL_OK) status = dl_read(&reader, &source, &row, 0, &error);
            if (status == DL_OK) status = dl_row_end(&row);
            if (status != DL_OK) break;
        }
        if (status == DL_OK) check_table_quietly(table);
    }
    dl_row_free(&row);
    dl_table_free(table);
    dl_reader_free(&reader);
    dl_plan_free(plan);
    return status;
}

/* --- tables ------------------------------------------------------------------------------------
 */

static dl_table *full_table(void) {
    static const dl_column_type types[] = {DL_COLUMN_TEXT, DL_COLUMN_INT64, DL_COLUMN_DATE32};
    dl_table *table = dl_table_new(types, 3);
    dl_row row = {0};
    CHECK(table);
    for (int i = 0; i < 30; i++) {
        CHECK(dl_row_begin(&row, table) == DL_OK);
        CHECK(dl_row_set_text(&row, 0, "some \"text\"") == DL_OK);
        CHECK(dl_row_set_int64(&row, 1, i) == DL_OK);
        CHECK(dl_row_end(&row) == DL_OK);
    }
    dl_row_free(&row);
    return table;
}

static void release_nothing(void *owner) { ++*(int *)owner; }

/* Edits and exports read a table that stays as it was where they fail. */
static dl_status table_scenario(const void *context) {
    static const char *const names[] = {"a", "b", "c"};
    static const char *const keys[] = {"\"a\":", "\"b\":", "\"c\":"};
    (void)context;
    paused p = pause_failing();
    dl_table *table = full_table();
    dl_column_type types[] = {DL_COLUMN_TEXT, DL_COLUMN_INT64, DL_COLUMN_DATE32};
    dl_edit edits[30];
    for (uint64_t i = 0; i < 30; i++)
        edits[i] = (dl_edit){11 * i + 5, 6, (const uint8_t *)"replaced, and longer", 20};
    resume_failing(p);
    dl_status status = dl_table_edit(table, 0, edits, 30);
    check_table_quietly(table);
    dl_bytes csv = {0}, json = {0};
    if (status == DL_OK) status = dl_csv_append(&csv, table);
    if (status == DL_OK) status = dl_json_append(&json, table, keys);
    struct ArrowSchema schema;
    struct ArrowArray array;
    int released = 0;
    if (status == DL_OK) status = dl_arrow_schema(&schema, types, names, 3);
    if (status == DL_OK) {
        status = dl_arrow_array(&array, table, &released, release_nothing);
        if (status == DL_OK) array.release(&array);
        CHECK(released == (status == DL_OK)); /* a caller who got no array keeps the table */
        schema.release(&schema);
    }
    dl_bytes_free(&csv);
    dl_bytes_free(&json);
    dl_table_free(table);
    return status;
}

static dl_status known_scenario(const void *context) {
    (void)context;
    dl_known *known = dl_known_new();
    dl_status status = known ? DL_OK : DL_ERR_MEMORY;
    uint64_t i = 0;
    for (; status == DL_OK && i < 3000; i++) {
        status = dl_known_add(known, (const char *)&i, sizeof i, i, 0, i);
        if (status != DL_OK) break;
    }
    for (uint64_t k = 0; known && k < i; k++) /* what it held it still holds */
        CHECK(dl_known_check(known, (const char *)&k, sizeof k, k, 0, k) == DL_KNOWN_UNCHANGED);
    dl_known_free(known);
    return status;
}

/* --- listing -----------------------------------------------------------------------------------
 */

static dl_status header_scenario(const void *context) {
    const writer *w = context;
    listing l = list_header(w->bytes.data, w->bytes.length);
    listing_free(&l);
    return l.status;
}

static dl_status list_scenario(const void *context) {
    const writer *w = context;
    listing l = list_header(w->bytes.data, w->bytes.length);
    if (l.status == DL_OK) {
        elements_of e = {l.header.data_set, DL_NO_END, w->syntax, true};
        listing_free(&l);
        l = with_lister(w->bytes.data, w->bytes.length, DL_LIST_DEPTH, call_elements, &e);
    }
    if (l.status == DL_OK) {
        const dl_entry sequence = entries_of(&l)[entry_count(&l) - 1];
        CHECK(sequence.tag == REQUEST_SEQUENCE);
        listing_free(&l);
        l = list_items(w->bytes.data, w->bytes.length, &sequence, w->syntax);
        CHECK(l.status != DL_OK || l.items.undefined.length == 40);
    }
    listing_free(&l);
    return l.status;
}

static dl_status recode_scenario(const void *context) {
    const writer *w = context;
    size_t start = w->bytes.length - 4;
    while (start > 0 && memcmp(w->bytes.data + start, "\x08\0\x05\0", 4) != 0) start--;
    listing l = recode_bytes(w->bytes.data + start, w->bytes.length - start, w->syntax, true);
    listing_free(&l);
    return l.status;
}

/* Grown records, grown values, and records that are skipped over. */
static dl_status records_scenario(const void *context) {
    static const uint32_t tags[] = {0x00041430};
    const writer *w = context;
    dl_lister lister = {0};
    dl_record_list found = {0};
    dl_memory memory = {w->bytes.data, w->bytes.length};
    dl_source source;
    dl_error error;
    dl_source_memory(&source, &memory);
    dl_status status = dl_lister_open(&lister, &source, DL_LIST_DEPTH, &error);
    if (status == DL_OK)
        status = dl_list_records(&lister, 0, w->syntax, tags, COUNT_OF(tags), &found, &error);
    CHECK(status == DL_OK || (error.code == status && error.message[0]));
    CHECK(status != DL_OK || found.records.length == 301 * sizeof(dl_record));
    CHECK(status != DL_OK || found.values.length == 300 * sizeof(dl_record_value));
    dl_record_list_free(&found);
    dl_lister_free(&lister);
    return status;
}

static void build_records(writer *w) {
    w->syntax = (dl_syntax){true, false};
    opened records = put_sequence(w, 0x00041220, true);
    for (int i = 0; i < 300; i++) {
        opened item = put_item(w, true);
        put_text(w, 0x00041430, "CS", "IMAGE ");
        opened inner = put_sequence(w, REQUEST_SEQUENCE, true);
        put_end(w, inner);
        put_end(w, item);
    }
    put_end(w, records);
}

static dl_status fragments_scenario(const void *context) {
    static const uint8_t item[8] = {0xFE, 0xFF, 0x00, 0xE0};
    dl_memory memory = {NULL, 0};
    dl_source source;
    dl_bytes items = {0};
    dl_fragments fragments = {0};
    dl_error error;
    (void)context;
    paused p = pause_failing();
    for (int i = 0; i < 300; i++) CHECK(dl_bytes_append(&items, item, 8) == DL_OK);
    resume_failing(p);
    memory = (dl_memory){items.data, items.length};
    dl_source_memory(&source, &memory);
    dl_status status = dl_walk_fragments(&source, 0, DL_NO_END, &fragments, &error);
    if (status == DL_OK) status = dl_frame_fragments(&source, 0, items.length, &fragments, &error);
    CHECK(status != DL_OK || fragments.offsets.length == 2400);
    dl_fragments_free(&fragments);
    dl_bytes_free(&items);
    return status;
}

/* --- walks and scans ---------------------------------------------------------------------------
 */

static void check_chunk(const dl_chunk *chunk) {
    size_t names = 0;
    for (size_t i = 0; i < chunk->names.length; i++) names += chunk->names.data[i] == 0;
    CHECK(names == chunk->count);
    CHECK(!names || chunk->names.data[chunk->names.length - 1] == 0);
}

static dl_status walk_scenario(const void *context) {
    dl_walk *walk = dl_walk_new(true);
    if (!walk) return DL_ERR_MEMORY;
    dl_status status = dl_walk_enter(walk, context), first = status;
    dl_walk_close(walk);
    for (bool more = true; more;) {
        dl_chunk *chunk;
        status = dl_walk_take(walk, &chunk);
        if (first == DL_OK) first = status;
        more = status != DL_OK || chunk; /* other threads go on: so do we */
        if (status != DL_OK || !chunk) continue;
        check_chunk(chunk);
        if (chunk->failed && first == DL_OK) first = DL_ERR_MEMORY; /* told as the chunk's error */
        dl_walk_done(walk, chunk);
    }
    dl_walk_free(walk);
    return first;
}

static dl_status add_scenario(const void *context) {
    const char *const paths[] = {context, context, context};
    dl_walk *walk = dl_walk_new(false);
    if (!walk) return DL_ERR_MEMORY;
    size_t taken = 0, more;
    /* Nothing but memory keeps three paths from being taken; what was not is given again. */
    dl_status status = dl_walk_add(walk, paths, 3, &taken) ? DL_OK : DL_ERR_MEMORY;
    if (status != DL_OK) CHECK(dl_walk_add(walk, paths + taken, 3 - taken, &more));
    dl_walk_close(walk);
    uint32_t count = 0;
    for (;;) {
        dl_chunk *chunk;
        CHECK(dl_walk_take(walk, &chunk) == DL_OK);
        if (!chunk) break;
        check_chunk(chunk);
        count += chunk->count;
        dl_walk_done(walk, chunk);
    }
    CHECK(count == 3);
    dl_walk_free(walk);
    return or_made_good(status);
}

static dl_status scan_scenario(const void *context) {
    const char *root = context;
    paused p = pause_failing();
    dl_plan *plan = dl_plan_new();
    CHECK(plan && make_plan(plan) == DL_OK);
    resume_failing(p);
    dl_error error = {0};
    size_t taken;
    dl_scan_options options = {.threads = 1,
                               .batch_rows = 10,
                               .file_info = true,
                               .limits = {DL_DEFAULT_DEPTH, DL_DEFAULT_VALUE_SIZE}};
    dl_scan *scan = dl_scan_new(plan, &options, &error);
    dl_status status = scan ? DL_OK : error.code;
    int rows = 0;
    bool unlisted = false; /* a row tells that a directory's files are missing */
    if (scan) {
        while (!dl_scan_add(scan, &root, 1, &taken)) continue;
        dl_scan_close(scan);
        for (bool finished = false; !finished && status == DL_OK;) {
            dl_table *table;
            status = dl_scan_next(scan, 5, &table, &finished, &error);
            CHECK(status == DL_OK || error.code == status);
            for (size_t row = 0; table && row < table->rows; row++, rows++) {
                size_t size;
                const char *text = cell_text(table, ERROR_TEXT, row, &size);
                unlisted = unlisted || (size > 11 && memcmp(text, "cannot list", 11) == 0);
            }
            dl_table_free(table);
        }
        if (status == DL_OK) {
            CHECK_CASE(rows == FILES || unlisted, "%d rows, allocation %ld", rows,
                       (long)failing_one);
            status = or_made_good(status);
        }
    }
    dl_scan_free(scan);
    dl_plan_free(plan);
    return status;
}

int main(void) {
    writer w = {0}, records = {0};
    tree t;
    build(&w);
    build_records(&records);
    tree_make(&t);
    tree_directory(&t, "below");
    for (int i = 0; i < FILES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, i % 2 ? "below/f%d" : "f%d", i);
        tree_file(&t, name, w.bytes.data, i % 3 ? w.bytes.length : 10);
    }
    fail_each("plan", plan_scenario, NULL);
    fail_each("read", read_scenario, &w);
    fail_each("header", header_scenario, &w);
    fail_each("list", list_scenario, &w);
    fail_each("recode", recode_scenario, &w);
    fail_each("records", records_scenario, &records);
    fail_each("fragments", fragments_scenario, NULL);
    fail_each("known", known_scenario, NULL);
    fail_each("add", add_scenario, t.root);
    fail_each("scan", scan_scenario, t.root);
    fail_each("walk", walk_scenario, t.root);
    fail_each("table", table_scenario, NULL);
    tree_remove(&t);
    writer_free(&records);
    writer_free(&w);
    return 0;
}
