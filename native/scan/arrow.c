/* Tables through the Arrow C data interface. */
#include <stdatomic.h>
#include <stdlib.h>

#include "dicomloom/scan.h"

static char *copy_text(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (copy) memcpy(copy, text, size);
    return copy;
}

static void release_schema(struct ArrowSchema *schema) {
    for (int64_t i = 0; i < schema->n_children; i++) {
        struct ArrowSchema *child = schema->children[i];
        if (child && child->release) child->release(child);
        free(child);
    }
    free(schema->children);
    free((char *)(uintptr_t)schema->name);
    schema->release = NULL;
}

static const char *format_of(dl_column_type type) {
    switch (type) {
    case DL_COLUMN_INT64: return "l";
    case DL_COLUMN_FLOAT64: return "g";
    case DL_COLUMN_DATE32: return "tdD";
    default: return "u";
    }
}

dl_status dl_arrow_schema(struct ArrowSchema *schema, const dl_column_type *types,
                          const char *const *names, size_t count) {
    enum { NULLABLE = 2 };
    *schema = (struct ArrowSchema){.format = "+s", .release = release_schema};
    schema->name = copy_text("");
    schema->children = calloc(count ? count : 1, sizeof *schema->children);
    bool failed = !schema->name || !schema->children;
    for (size_t i = 0; i < count && !failed; i++) {
        struct ArrowSchema *child = calloc(1, sizeof *child);
        char *name = copy_text(names[i]);
        failed = !child || !name;
        if (failed) {
            free(child);
            free(name);
            break;
        }
        *child = (struct ArrowSchema){.format = format_of(types[i]),
                                      .name = name,
                                      .flags = NULLABLE,
                                      .release = release_schema};
        schema->children[schema->n_children++] = child;
    }
    if (!failed) return DL_OK;
    schema->release(schema);
    return DL_ERR_MEMORY;
}

/* Each array of the tree owns one of these; consumers may move children out and keep them longer.
 */
typedef struct shared {
    atomic_int holders;
    void *owner;
    void (*release_owner)(void *);
} shared;

typedef struct holder {
    shared *shared;
    const void *buffers[3];
} holder;

static void release_array(struct ArrowArray *array) {
    for (int64_t i = 0; i < array->n_children; i++) {
        struct ArrowArray *child = array->children[i];
        if (child && child->release) child->release(child);
        free(child);
    }
    free(array->children);
    holder *holding = array->private_data;
    shared *all = holding->shared;
    free(holding);
    array->release = NULL;
    if (atomic_fetch_sub(&all->holders, 1) == 1) {
        all->release_owner(all->owner);
        free(all);
    }
}

static bool hold(struct ArrowArray *array, shared *all) {
    holder *holding = calloc(1, sizeof *holding);
    if (!holding) return false;
    holding->shared = all;
    atomic_fetch_add(&all->holders, 1);
    array->private_data = holding;
    array->buffers = holding->buffers;
    array->release = release_array;
    return true;
}

static void fill_child(struct ArrowArray *child, const dl_column *column, size_t rows) {
    static const int64_t nothing = 0; /* an empty column still shows non-null buffers */
    child->length = (int64_t)rows;
    child->null_count = column->nulls;
    child->buffers[0] = column->nulls ? column->validity.data : NULL;
    const void *data = column->data.data ? (const void *)column->data.data : &nothing;
    if (column->type == DL_COLUMN_TEXT) {
        child->n_buffers = 3;
        child->buffers[1] = column->offsets.data;
        child->buffers[2] = data;
    } else {
        child->n_buffers = 2;
        child->buffers[1] = data;
    }
}

dl_status dl_arrow_array(struct ArrowArray *array, const dl_table *table, void *owner,
                         void (*release_owner)(void *owner)) {
    shared *all = calloc(1, sizeof *all);
    if (!all) return DL_ERR_MEMORY;
    all->owner = owner;
    all->release_owner = release_owner;
    *array = (struct ArrowArray){.length = (int64_t)table->rows, .n_buffers = 1};
    if (!hold(array, all)) {
        free(all);
        return DL_ERR_MEMORY;
    }
    array->children =
        calloc(table->column_count ? table->column_count : 1, sizeof *array->children);
    bool failed = !array->children;
    for (size_t i = 0; i < table->column_count && !failed; i++) {
        struct ArrowArray *child = calloc(1, sizeof *child);
        if (!child || !hold(child, all)) {
            free(child);
            failed = true;
            break;
        }
        fill_child(child, &table->columns[i], table->rows);
        array->children[array->n_children++] = child;
    }
    if (!failed) return DL_OK;
    all->release_owner = NULL; /* the caller keeps its table */
    atomic_fetch_add(&all->holders, 1);
    array->release(array);
    free(all);
    return DL_ERR_MEMORY;
}
