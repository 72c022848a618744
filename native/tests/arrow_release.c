/* Tables through the Arrow C data interface: the layout a consumer expects, and the owner released
 * once, when the last of the arrays is, in whatever order that happens. */
#include "check.h"
#include "dicomloom/scan.h"

static const dl_column_type TYPES[] = {DL_COLUMN_TEXT, DL_COLUMN_INT64, DL_COLUMN_FLOAT64,
                                       DL_COLUMN_DATE32};
static const char *const NAMES[] = {"Filename", "Rows", "\xC3\xA9", ""};
enum { COLUMNS = 4 };

typedef struct owner {
    dl_table *table;
    int releases;
} owner;

static void release_owner(void *context) {
    owner *o = context;
    o->releases++;
    dl_table_free(o->table);
    o->table = NULL;
}

static dl_table *table_of(int rows) {
    dl_table *table = dl_table_new(TYPES, COLUMNS);
    dl_row row = {0};
    CHECK(table);
    for (int i = 0; i < rows; i++) {
        CHECK(dl_row_begin(&row, table) == DL_OK);
        CHECK(dl_row_set_text(&row, 0, i % 2 ? "odd" : "even") == DL_OK);
        if (i % 3) CHECK(dl_row_set_int64(&row, 1, i) == DL_OK);
        CHECK(dl_row_set_double(&row, 2, i) == DL_OK);
        CHECK(dl_row_end(&row) == DL_OK);
    }
    dl_row_free(&row);
    return table;
}

static void check_layout(const struct ArrowArray *array, int rows) {
    CHECK(array->length == rows && array->null_count == 0 && array->offset == 0);
    CHECK(array->n_buffers == 1 && !array->buffers[0] && !array->dictionary);
    CHECK(array->n_children == COLUMNS);
    static const int64_t buffers[] = {3, 2, 2, 2};
    const int64_t nulls[] = {0, (rows + 2) / 3, 0, rows};
    for (int64_t i = 0; i < COLUMNS; i++) {
        const struct ArrowArray *child = array->children[i];
        CHECK(child->length == rows && child->offset == 0 && child->n_children == 0);
        CHECK(child->null_count == nulls[i] && child->n_buffers == buffers[i]);
        CHECK(child->buffers[0] || nulls[i] == 0);
        for (int64_t k = 1; k < buffers[i]; k++) CHECK(child->buffers[k]);
        CHECK(child->release && !child->dictionary);
    }
    const int32_t *offsets = array->children[0]->buffers[1];
    const char *text = array->children[0]->buffers[2];
    CHECK(offsets[0] == 0);
    if (rows > 1) CHECK(offsets[1] == 4 && offsets[2] == 7 && memcmp(text, "evenodd", 7) == 0);
    const uint8_t *validity = array->children[1]->buffers[0];
    const int64_t *numbers = array->children[1]->buffers[1];
    for (int i = 0; i < rows; i++) {
        CHECK((validity[i >> 3] >> (i & 7) & 1) == (i % 3 != 0));
        CHECK(i % 3 == 0 || numbers[i] == i);
    }
}

/* How many of the children are moved out, and whether they go before or after their parent. */
static void moved_children(int rows, unsigned moved, bool parent_first) {
    owner o = {.table = table_of(rows)};
    struct ArrowArray array, kept[COLUMNS];
    CHECK(dl_arrow_array(&array, o.table, &o, release_owner) == DL_OK);
    check_layout(&array, rows);
    for (int i = 0; i < COLUMNS; i++) {
        if (!(moved >> i & 1)) continue;
        kept[i] = *array.children[i]; /* a move, as the specification has it */
        array.children[i]->release = NULL;
    }
    if (parent_first) array.release(&array);
    if (parent_first) CHECK(!array.release && o.releases == (moved ? 0 : 1));
    for (int i = 0; i < COLUMNS; i++) {
        if (!(moved >> i & 1)) continue;
        CHECK(o.releases == 0);
        if (i == 0 && rows > 1) CHECK(memcmp(kept[0].buffers[2], "evenodd", 7) == 0);
        kept[i].release(&kept[i]);
        CHECK(!kept[i].release);
    }
    if (!parent_first) CHECK(o.releases == 0);
    if (!parent_first) array.release(&array);
    CHECK(o.releases == 1 && !o.table);
}

/* The parent is moved: the arrays do not point at themselves. */
static void moved_parent(void) {
    owner o = {.table = table_of(5)};
    struct ArrowArray array, moved;
    CHECK(dl_arrow_array(&array, o.table, &o, release_owner) == DL_OK);
    moved = array;
    memset(&array, 0xEE, sizeof array);
    check_layout(&moved, 5);
    moved.release(&moved);
    CHECK(o.releases == 1);
}

typedef struct release_task {
    struct ArrowArray *array;
} release_task;

static void *release_in_thread(void *argument) {
    struct ArrowArray *array = ((release_task *)argument)->array;
    array->release(array);
    return NULL;
}

/* Consumers on other threads let go at the same time. */
static void released_by_threads(void) {
    for (int round = 0; round < 50; round++) {
        owner o = {.table = table_of(5)};
        struct ArrowArray array, kept[COLUMNS];
        dl_thread threads[COLUMNS + 1];
        release_task tasks[COLUMNS + 1];
        dl_error error;
        CHECK(dl_arrow_array(&array, o.table, &o, release_owner) == DL_OK);
        for (int i = 0; i < COLUMNS; i++) {
            kept[i] = *array.children[i];
            array.children[i]->release = NULL;
            tasks[i].array = &kept[i];
        }
        tasks[COLUMNS].array = &array;
        for (int i = 0; i <= COLUMNS; i++)
            CHECK(dl_thread_start(&threads[i], release_in_thread, &tasks[i], &error) == DL_OK);
        for (int i = 0; i <= COLUMNS; i++) dl_thread_join(threads[i]);
        CHECK(o.releases == 1);
    }
}

static void schemas(void) {
    static const char *const formats[] = {"u", "l", "g", "tdD"};
    struct ArrowSchema schema, kept;
    CHECK(dl_arrow_schema(&schema, TYPES, NAMES, COLUMNS) == DL_OK);
    CHECK(strcmp(schema.format, "+s") == 0 && schema.n_children == COLUMNS && !schema.metadata);
    for (int i = 0; i < COLUMNS; i++) {
        CHECK(strcmp(schema.children[i]->format, formats[i]) == 0);
        CHECK(strcmp(schema.children[i]->name, NAMES[i]) == 0);
        CHECK(schema.children[i]->flags == 2 && schema.children[i]->n_children == 0);
    }
    kept = *schema.children[2];
    schema.children[2]->release = NULL;
    schema.release(&schema);
    CHECK(!schema.release && strcmp(kept.name, NAMES[2]) == 0);
    kept.release(&kept);
    CHECK(dl_arrow_schema(&schema, NULL, NULL, 0) == DL_OK && schema.n_children == 0);
    schema.release(&schema);
}

int main(void) {
    for (unsigned moved = 0; moved < 1u << COLUMNS; moved++) {
        for (int rows = 0; rows < 20; rows += 9) {
            moved_children(rows, moved, true);
            moved_children(rows, moved, false);
        }
    }
    moved_parent();
    released_by_threads();
    schemas();
    return 0;
}
