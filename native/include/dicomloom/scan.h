/* native/scan: files to rows: wanted tags, one file to one row, columns in the Arrow layout, CSV
 * and JSON text, the walk over directories, and the pool of threads that ties them together. */
#ifndef DICOMLOOM_SCAN_H
#define DICOMLOOM_SCAN_H

#include "dicomloom/dicom.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- plan: what is wanted ----------------------------------------------------------------------
 */

#define DL_ITEM_NONE (-1) /* the last step of a path */
#define DL_ITEM_ALL (-2)  /* [*] */
#define DL_PATH_STEPS 32

typedef struct dl_step {
    uint32_t tag;        /* of a private element: (group, 00ee) */
    const char *creator; /* the private creator, NULL for standard elements */
    int32_t item;        /* which item of the sequence to enter, DL_ITEM_ALL or DL_ITEM_NONE */
    dl_vr vr;            /* where the file does not say: DL_VR_NONE for what the dictionary says */
} dl_step;

typedef enum dl_column_type {
    DL_COLUMN_TEXT = 0,
    DL_COLUMN_INT64,
    DL_COLUMN_FLOAT64,
    DL_COLUMN_DATE32 /* days since 1970-01-01 */
} dl_column_type;

/* Immutable once the scan begins; used by many threads at a time. */
typedef struct dl_plan dl_plan;

dl_plan *dl_plan_new(void);
void dl_plan_free(dl_plan *plan);
/* Adds the next column. The creators are copied. */
DL_NODISCARD dl_status dl_plan_add(dl_plan *plan, const dl_step *steps, size_t count,
                                   dl_column_type type, dl_error *error);
size_t dl_plan_columns(const dl_plan *plan);
dl_column_type dl_plan_column_type(const dl_plan *plan, size_t column);

/* --- table: rows as columns --------------------------------------------------------------------
 */

/* One column in the layout of the Arrow columnar format: a validity bitmap (least significant bit
 * first), and either int32 offsets and UTF-8 data, or int64, double or int32 values in data. */
typedef struct dl_column {
    dl_column_type type;
    dl_bytes validity;
    dl_bytes offsets;
    dl_bytes data;
    int64_t nulls;
} dl_column;

/* A value that waits for a decoder: its raw bytes stand in the column's data. */
typedef struct dl_deferred {
    uint32_t column;
    uint32_t vr;
    uint64_t start, length;         /* of the raw bytes in the column's data */
    uint64_t charset, charset_size; /* the Specific Character Set in deferred_charsets */
} dl_deferred;

typedef struct dl_table {
    size_t column_count;
    size_t rows;
    dl_column *columns;
    uint64_t bytes;    /* held in all columns, roughly */
    uint64_t misfits;  /* values that did not fit their column's type, and are null */
    dl_bytes deferred; /* dl_deferred, in the order of rows */
    dl_bytes deferred_charsets;
} dl_table;

dl_table *dl_table_new(const dl_column_type *types, size_t count);
void dl_table_free(dl_table *table);
void dl_table_clear(dl_table *table); /* no rows; the memory is kept */

typedef struct dl_edit {
    uint64_t start, length; /* in the column's data; edits are in rising order and do not overlap */
    const uint8_t *text;
    size_t size;
} dl_edit;
/* Replaces parts of a text column's data: how deferred values come back. */
DL_NODISCARD dl_status dl_table_edit(dl_table *table, size_t column, const dl_edit *edits,
                                     size_t count);

/* The Arrow C data interface: structures of a published ABI, the same in every library. */
struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};
struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

/* Fills *schema with a struct of the given columns; the consumer releases it. */
DL_NODISCARD dl_status dl_arrow_schema(struct ArrowSchema *schema, const dl_column_type *types,
                                       const char *const *names, size_t count);
/* Fills *array with the table's columns, not copied. release_owner(owner) is called when the
 * consumer has released the array and every child it moved out. */
DL_NODISCARD dl_status dl_arrow_array(struct ArrowArray *array, const dl_table *table, void *owner,
                                      void (*release_owner)(void *owner));

/* One row under construction. A cell that is not set is null. */
typedef struct dl_row {
    dl_table *table;
    uint8_t *set;              /* a column's cell: 0 not set, 1 set, 2 null whatever comes */
    size_t *waiting;           /* a column's values in the row's part of table->deferred */
    size_t deferred, charsets; /* where the row's part of those buffers starts */
    uint64_t misfits;          /* of the rows before */
} dl_row;

DL_NODISCARD dl_status dl_row_begin(dl_row *row, dl_table *table);
/* Text of a cell is appended to dl_row_text(row, column); dl_row_reset empties it first. */
void dl_row_reset(dl_row *row, size_t column);
size_t dl_row_start(const dl_row *row, size_t column); /* of the cell's text in the column's data */
static inline dl_bytes *dl_row_text(dl_row *row, size_t column) {
    row->set[column] = 1;
    return &row->table->columns[column].data;
}
/* Appends to table->deferred, for the value that its column's text ends with. */
DL_NODISCARD dl_status dl_row_defer(dl_row *row, const dl_deferred *deferred);
/* Makes a cell null for the rest of the row, and counts it among the misfits. */
void dl_row_spoil(dl_row *row, size_t column);
DL_NODISCARD dl_status dl_row_set_text(dl_row *row, size_t column, const char *text);
DL_NODISCARD dl_status dl_row_set_int64(dl_row *row, size_t column, int64_t value);
DL_NODISCARD dl_status dl_row_set_double(dl_row *row, size_t column, double value);
DL_NODISCARD dl_status dl_row_end(dl_row *row);
void dl_row_drop(dl_row *row); /* as if it had not begun */
void dl_row_free(dl_row *row);

/* Rows as RFC 4180 records, each ended by LF. No header: the caller knows the names. */
DL_NODISCARD dl_status dl_csv_append(dl_bytes *into, const dl_table *table);
/* Rows as JSON objects, one a line; keys[i] is the JSON text of column i's name with its colon. */
DL_NODISCARD dl_status dl_json_append(dl_bytes *into, const dl_table *table,
                                      const char *const *keys);

/* --- read: one source, one row -----------------------------------------------------------------
 */

/* Opens the inflated form (RFC 1951) of what follows `offset` in raw. raw outlives *inflated. */
typedef dl_status (*dl_open_inflated)(void *context, const dl_source *raw, uint64_t offset,
                                      dl_source *inflated, dl_error *error);

typedef struct dl_limits {
    uint32_t depth;      /* nesting of sequences */
    uint64_t value_size; /* bytes of one wanted text or number value */
} dl_limits;
#define DL_DEFAULT_DEPTH 64
#define DL_DEFAULT_VALUE_SIZE (1u << 20)

typedef struct dl_reader {
    const dl_plan *plan;
    dl_limits limits;
    dl_open_inflated open_inflated; /* NULL: deflated data sets are DL_ERR_UNSUPPORTED */
    void *open_context;
    uint64_t bytes_read; /* in all, for those who count */
    /* private: */
    size_t first_read; /* what recent files needed of their first bytes, and some slack */
    dl_window window, inflated_window;
    dl_bytes scratch, blocks, frames;
} dl_reader;

/* Zero-initialise a dl_reader, set plan and limits, and call dl_reader_free at the end. */
void dl_reader_free(dl_reader *reader);
/* Reads the wanted values into the cells first_column ... of row. On an error the values that stand
 * before the fault are there, and message, tag and offset say where it is. */
DL_NODISCARD dl_status dl_read(dl_reader *reader, const dl_source *source, dl_row *row,
                               size_t first_column, dl_error *error);

/* --- known: what an earlier index holds --------------------------------------------------------
 */

/* A set of (path, size, time, inode), 17 bytes each at load 1. Hashes only; a doubtful case counts
 * as changed, so a collision costs a read and loses nothing. Checks are thread-safe. */
typedef struct dl_known dl_known;
typedef enum dl_known_state { DL_KNOWN_NEW, DL_KNOWN_CHANGED, DL_KNOWN_UNCHANGED } dl_known_state;

dl_known *dl_known_new(void);
void dl_known_free(dl_known *known);
DL_NODISCARD dl_status dl_known_add(dl_known *known, const char *path, size_t path_size,
                                    uint64_t size, int64_t modified_ns, uint64_t inode);
/* Compares with what is on disk now, and remembers that the path was seen. */
dl_known_state dl_known_check(dl_known *known, const char *path, size_t path_size, uint64_t size,
                              int64_t modified_ns, uint64_t inode);
/* After a scan: was this row's file seen unchanged, so that the row still holds? */
bool dl_known_keeps(const dl_known *known, const char *path, size_t path_size, uint64_t size,
                    int64_t modified_ns, uint64_t inode);

/* --- walk: what to read, shared by threads -----------------------------------------------------
 */

/* A directory whose files are being read; open as long as one of its chunks is. */
typedef struct dl_folder dl_folder;

/* Some files of one folder, or paths given by the caller (folder NULL, kind unknown). */
typedef struct dl_chunk {
    struct dl_chunk *next;
    dl_folder *folder;
    uint32_t count;
    dl_bytes names; /* NUL-terminated, back to back */
    /* Set when the chunk is no files, but a directory that could not be listed: why. */
    bool failed;
    dl_error error;
} dl_chunk;

typedef struct dl_walk dl_walk;

/* Linked files are always read; linked directories are entered only with follow_links, each once.
 */
dl_walk *dl_walk_new(bool follow_links);
void dl_walk_free(dl_walk *walk);
/* Gives more paths to read, files or directories. False when enough are waiting: call again. */
bool dl_walk_add(dl_walk *walk, const char *const *paths, size_t count, size_t *taken);
void dl_walk_close(dl_walk *walk); /* no more paths will come */
/* Blocks for the next chunk; NULL at the end. Every chunk goes back through dl_walk_done. */
DL_NODISCARD dl_status dl_walk_take(dl_walk *walk, dl_chunk **chunk);
void dl_walk_done(dl_walk *walk, dl_chunk *chunk);
/* A path in a chunk turned out to be a directory. */
DL_NODISCARD dl_status dl_walk_enter(dl_walk *walk, const char *path);
void dl_walk_stop(dl_walk *walk); /* wakes everybody; dl_walk_take gives NULL from now on */
/* The directory descriptor that a chunk's names are relative to, and the folder's path. */
int dl_chunk_descriptor(const dl_chunk *chunk);
const char *dl_chunk_path(const dl_chunk *chunk);

/* --- scan: the pool ----------------------------------------------------------------------------
 */

typedef enum dl_errors { DL_ERRORS_KEEP, DL_ERRORS_SKIP, DL_ERRORS_ONLY } dl_errors;

typedef struct dl_scan_options {
    unsigned threads; /* 0: one a processor, more while they mostly wait for the disk */
    size_t batch_rows;
    dl_errors errors;
    bool follow_links;
    bool file_info;  /* add FileSize, FileModified and FileInode */
    dl_known *known; /* skip files that it holds unchanged; needs file_info; may be NULL */
    dl_limits limits;
    dl_open_inflated open_inflated;
    void *open_context;
} dl_scan_options;

typedef struct dl_scan_counts {
    uint64_t files, ok, errors, unchanged, changed, bytes_read;
    unsigned threads;
} dl_scan_counts;

/* Columns: Filename, Status, the plan's, Error, and with file_info FileSize (bytes), FileModified
 * (nanoseconds since 1970), FileInode. At most `threads + 8` tables exist at a time. */
typedef struct dl_scan dl_scan;

#define DL_SCAN_MAX_THREADS 32 /* of the automatic choice; a caller may ask for more */

/* The plan outlives the scan. Threads start with the first dl_scan_next. */
dl_scan *dl_scan_new(const dl_plan *plan, const dl_scan_options *options, dl_error *error);
/* See dl_walk_add and dl_walk_close. */
bool dl_scan_add(dl_scan *scan, const char *const *paths, size_t count, size_t *taken);
void dl_scan_close(dl_scan *scan);
/* Waits up to `seconds` for a table. *table is NULL when none came; *finished then says whether one
 * still can. The table is the caller's. Thread-safe. */
DL_NODISCARD dl_status dl_scan_next(dl_scan *scan, double seconds, dl_table **table, bool *finished,
                                    dl_error *error);
/* Gives a table of dl_scan_next back, to be filled again: cheaper than dl_table_free. */
void dl_scan_give_back(dl_scan *scan, dl_table *table);
void dl_scan_counts_get(dl_scan *scan, dl_scan_counts *counts);
void dl_scan_stop(dl_scan *scan); /* the threads end at the next file */
void dl_scan_free(dl_scan *scan); /* stops, and waits for the threads */

#ifdef __cplusplus
}
#endif
#endif
