/* The pool: threads take chunks of file names, read each file into a row of their own table, and
 * hand full tables to whoever asks. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "dicomloom/scan.h"

enum { FILENAME_COLUMN = 0, STATUS_COLUMN = 1, FIRST_WANTED = 2, INFO_COLUMNS = 3 };
#define TABLE_BYTES (8u << 20) /* a table is handed over when it holds this much */
#define TABLE_SECONDS 0.25     /* or is this old, so that a slow disk shows results too */
#define READY_TABLES 4         /* that wait to be taken, before the threads wait */
#define SPARE_TABLES 4         /* given back, and not yet in use again */

typedef struct worker {
    dl_scan *scan;
    dl_thread thread;
    dl_reader reader;
    dl_row row;
    dl_table *table;
    double table_since;
    dl_bytes path;
} worker;

struct dl_scan {
    const dl_plan *plan;
    dl_scan_options options;
    dl_column_type *types;
    size_t columns;
    dl_walk *walk;

    dl_mutex mutex;
    dl_condition changed;
    worker **workers;
    unsigned started, running, most;
    bool begun, stopped;
    dl_table *ready[READY_TABLES];
    size_t ready_count;
    dl_table *spare[SPARE_TABLES];
    size_t spare_count;
    dl_error failure; /* what ended the scan before its time */

    atomic_ullong files, ok, errors, unchanged, changed_files, bytes_read;
};

static size_t error_column(const dl_scan *scan) {
    return FIRST_WANTED + dl_plan_columns(scan->plan);
}

dl_scan *dl_scan_new(const dl_plan *plan, const dl_scan_options *options, dl_error *error) {
    dl_scan *scan = calloc(1, sizeof *scan);
    if (!scan) {
        (void)dl_fail(error, DL_ERR_MEMORY, 0, "out of memory");
        return NULL;
    }
    scan->plan = plan;
    scan->options = *options;
    if (scan->options.known) scan->options.file_info = true;
    if (scan->options.batch_rows == 0) scan->options.batch_rows = 8192;
    scan->columns = FIRST_WANTED + dl_plan_columns(plan) + 1;
    if (scan->options.file_info) scan->columns += INFO_COLUMNS;
    unsigned processors = dl_processor_count();
    scan->most = options->threads                   ? options->threads
                 : processors > DL_SCAN_MAX_THREADS ? processors
                                                    : DL_SCAN_MAX_THREADS;
    scan->types = calloc(scan->columns, sizeof *scan->types);
    scan->workers = calloc(scan->most, sizeof *scan->workers);
    scan->walk = dl_walk_new(options->follow_links);
    bool locks = dl_mutex_init(&scan->mutex);
    if (locks && !dl_condition_init(&scan->changed)) {
        dl_mutex_destroy(&scan->mutex);
        locks = false;
    }
    if (!scan->types || !scan->workers || !scan->walk || !locks) {
        if (locks) {
            dl_condition_destroy(&scan->changed);
            dl_mutex_destroy(&scan->mutex);
        }
        dl_walk_free(scan->walk);
        free(scan->types);
        free(scan->workers);
        free(scan);
        (void)dl_fail(error, DL_ERR_MEMORY, 0, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < scan->columns; i++) scan->types[i] = DL_COLUMN_TEXT;
    for (size_t i = 0; i < dl_plan_columns(plan); i++)
        scan->types[FIRST_WANTED + i] = dl_plan_column_type(plan, i);
    if (scan->options.file_info)
        for (size_t i = 1; i <= INFO_COLUMNS; i++)
            scan->types[error_column(scan) + i] = DL_COLUMN_INT64;
    return scan;
}

bool dl_scan_add(dl_scan *scan, const char *const *paths, size_t count, size_t *taken) {
    return dl_walk_add(scan->walk, paths, count, taken);
}

void dl_scan_close(dl_scan *scan) { dl_walk_close(scan->walk); }

/* --- one file ----------------------------------------------------------------------------------
 */

static dl_status out_of_memory(dl_error *error) {
    return dl_fail(error, DL_ERR_MEMORY, 0, "out of memory while scanning");
}

/* Ends the row, or takes it back when the caller does not want such rows. */
static dl_status finish_row(worker *w, const dl_error *failed) {
    dl_scan *scan = w->scan;
    atomic_fetch_add_explicit(&scan->files, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(failed ? &scan->errors : &scan->ok, 1, memory_order_relaxed);
    dl_errors policy = scan->options.errors;
    if (policy != DL_ERRORS_KEEP && (policy == DL_ERRORS_ONLY) != (failed != NULL)) {
        dl_row_drop(&w->row);
        return DL_OK;
    }
    dl_status status = dl_row_set_text(&w->row, STATUS_COLUMN, failed ? "ERROR" : "OK");
    /* A system's words are in whatever encoding its locale has. */
    if (status == DL_OK && failed)
        status = dl_utf8_append(dl_row_text(&w->row, error_column(scan)),
                                (const uint8_t *)failed->message, strlen(failed->message));
    return status == DL_OK ? dl_row_end(&w->row) : status;
}

static dl_status put_filename(worker *w, const char *folder, const char *name) {
    dl_bytes *path = &w->path;
    size_t size = strlen(folder);
    path->length = 0;
    dl_status status = dl_bytes_append(path, folder, size);
    if (status == DL_OK && size && name[0] && folder[size - 1] != '/')
        status = dl_bytes_append(path, "/", 1);
    if (status == DL_OK) status = dl_bytes_append(path, name, strlen(name));
    if (status == DL_OK)
        status =
            dl_utf8_append_escaped(dl_row_text(&w->row, FILENAME_COLUMN), path->data, path->length);
    return status;
}

static dl_status put_file_info(worker *w, const dl_file_info *info) {
    size_t at = error_column(w->scan) + 1;
    dl_status status = dl_row_set_int64(&w->row, at, (int64_t)info->size);
    if (status == DL_OK) status = dl_row_set_int64(&w->row, at + 1, info->modified_ns);
    if (status == DL_OK) status = dl_row_set_int64(&w->row, at + 2, (int64_t)info->inode);
    return status;
}

static dl_known_state compare_known(worker *w, const dl_file_info *info) {
    dl_scan *scan = w->scan;
    const dl_column *names = &w->table->columns[FILENAME_COLUMN];
    const int32_t *offsets = (const int32_t *)(const void *)names->offsets.data;
    size_t start = (size_t)offsets[w->table->rows];
    dl_known_state state =
        dl_known_check(scan->options.known, (const char *)names->data.data + start,
                       names->data.length - start, info->size, info->modified_ns, info->inode);
    if (state != DL_KNOWN_NEW)
        atomic_fetch_add(state == DL_KNOWN_UNCHANGED ? &scan->unchanged : &scan->changed_files, 1);
    return state;
}

/* Only memory can run out here; whatever is wrong with the file becomes its row. */
static dl_status read_file(worker *w, int at, const char *folder, const char *name, bool given) {
    dl_scan *scan = w->scan;
    dl_error error;
    dl_file_info info = {.kind = DL_FILE_REGULAR};
    bool look = given || scan->options.file_info;
    dl_status looked = look ? dl_file_stat(at, name, true, &info, &error) : DL_OK;
    if (looked == DL_ERR_MEMORY) return looked;
    if (given && looked == DL_OK && info.kind == DL_FILE_DIRECTORY)
        return dl_walk_enter(scan->walk, name);

    dl_status status = dl_row_begin(&w->row, w->table);
    if (status == DL_OK) status = put_filename(w, folder, name);
    if (status != DL_OK) return status;
    if (looked != DL_OK) {
        /* Not to be looked at any more: to an update that is a change, not a file that is gone. */
        info.size = UINT64_MAX - 1;
        if (scan->options.known) (void)compare_known(w, &info);
        return finish_row(w, &error);
    }
    if (info.kind != DL_FILE_REGULAR) {
        (void)dl_fail(&error, DL_ERR_IO, 0, "not a regular file");
        return finish_row(w, &error);
    }
    if (scan->options.known && compare_known(w, &info) == DL_KNOWN_UNCHANGED) {
        dl_row_drop(&w->row);
        return DL_OK;
    }
    int descriptor;
    status = dl_file_open(at, name, &descriptor, &error);
    if (status != DL_OK) return status == DL_ERR_MEMORY ? status : finish_row(w, &error);
    dl_source source;
    dl_source_descriptor(&source, descriptor);
    uint64_t before = w->reader.bytes_read;
    status = dl_read(&w->reader, &source, &w->row, FIRST_WANTED, &error);
    dl_source_close(&source);
    atomic_fetch_add_explicit(&scan->bytes_read, w->reader.bytes_read - before,
                              memory_order_relaxed);
    if (status == DL_ERR_MEMORY) return status;
    /* A file that the system would not read keeps no size: a later update must try it again. */
    if (scan->options.file_info && status != DL_ERR_IO) {
        dl_status put = put_file_info(w, &info);
        if (put != DL_OK) return put;
    }
    return finish_row(w, status == DL_OK ? NULL : &error);
}

/* --- threads -----------------------------------------------------------------------------------
 */

/* Hands the worker's table over. Blocks while nobody takes them. False when the scan was stopped.
 */
static bool hand_over(worker *w) {
    dl_scan *scan = w->scan;
    dl_mutex_lock(&scan->mutex);
    while (!scan->stopped && scan->ready_count == READY_TABLES)
        dl_condition_wait(&scan->changed, &scan->mutex);
    bool go_on = !scan->stopped;
    if (go_on) {
        scan->ready[scan->ready_count++] = w->table;
        w->table = NULL;
        dl_condition_wake_all(&scan->changed);
    }
    dl_mutex_unlock(&scan->mutex);
    return go_on;
}

static void end_early(dl_scan *scan, dl_status status) {
    dl_mutex_lock(&scan->mutex);
    if (scan->failure.code == DL_OK) (void)out_of_memory(&scan->failure);
    scan->failure.code = status;
    scan->stopped = true;
    dl_condition_wake_all(&scan->changed);
    dl_mutex_unlock(&scan->mutex);
    dl_walk_stop(scan->walk);
}

static bool is_stopped(dl_scan *scan) {
    dl_mutex_lock(&scan->mutex);
    bool stopped = scan->stopped;
    dl_mutex_unlock(&scan->mutex);
    return stopped;
}

static dl_status ready_table(worker *w) {
    if (w->table) return DL_OK;
    dl_scan *scan = w->scan;
    dl_mutex_lock(&scan->mutex);
    if (scan->spare_count) w->table = scan->spare[--scan->spare_count];
    dl_mutex_unlock(&scan->mutex);
    if (!w->table) w->table = dl_table_new(scan->types, scan->columns);
    w->table_since = dl_monotonic_seconds();
    return w->table ? DL_OK : DL_ERR_MEMORY;
}

static dl_status read_chunk(worker *w, const dl_chunk *chunk) {
    const char *folder = dl_chunk_path(chunk);
    if (chunk->failed) {
        dl_error error = chunk->error;
        char reason[DL_MESSAGE_SIZE];
        memcpy(reason, error.message, sizeof reason);
        (void)dl_fail(&error, DL_ERR_IO, 0, "cannot list the directory: %.150s", reason);
        dl_status status = ready_table(w);
        if (status == DL_OK) status = dl_row_begin(&w->row, w->table);
        if (status == DL_OK) status = put_filename(w, folder, "");
        return status == DL_OK ? finish_row(w, &error) : status;
    }
    int at = dl_chunk_descriptor(chunk);
    const char *name = (const char *)chunk->names.data;
    for (uint32_t i = 0; i < chunk->count; i++, name += strlen(name) + 1) {
        dl_status status = ready_table(w);
        if (status == DL_OK) status = read_file(w, at, folder, name, chunk->folder == NULL);
        if (status != DL_OK) return status;
        if (w->table->rows >= w->scan->options.batch_rows || w->table->bytes >= TABLE_BYTES) {
            if (!hand_over(w)) return DL_OK;
        }
    }
    return DL_OK;
}

static void *run(void *argument);

static dl_status start_worker(dl_scan *scan, dl_error *error) {
    worker *w = calloc(1, sizeof *w);
    if (!w) return out_of_memory(error);
    w->scan = scan;
    w->reader.plan = scan->plan;
    w->reader.limits = scan->options.limits;
    w->reader.open_inflated = scan->options.open_inflated;
    w->reader.open_context = scan->options.open_context;
    dl_mutex_lock(&scan->mutex);
    dl_status status = DL_ERR_STOPPED;
    if (scan->started < scan->most && !scan->stopped) {
        status = dl_thread_start(&w->thread, run, w, error);
        if (status == DL_OK) {
            scan->workers[scan->started++] = w;
            scan->running++;
        }
    }
    dl_mutex_unlock(&scan->mutex);
    if (status != DL_OK) free(w);
    return status;
}

/* Threads beyond the processors help only while files keep the threads waiting. A wait a file or
 * two says that the bytes come from a device, not from memory. */
static void maybe_add_worker(dl_scan *scan, uint64_t waits, uint32_t files) {
    if (scan->options.threads || files < 4 || waits * 2 < files) return;
    dl_error ignored; /* no more threads to be had: the ones there go on */
    (void)start_worker(scan, &ignored);
}

static void *run(void *argument) {
    worker *w = argument;
    dl_scan *scan = w->scan;
    for (;;) {
        dl_chunk *chunk;
        dl_status status = dl_walk_take(scan->walk, &chunk);
        if (status == DL_OK && chunk) {
            uint64_t waits = dl_thread_waits();
            uint32_t files = chunk->count;
            status = read_chunk(w, chunk);
            maybe_add_worker(scan, dl_thread_waits() - waits, files);
            dl_walk_done(scan->walk, chunk);
        }
        if (status != DL_OK) {
            end_early(scan, status);
            break;
        }
        if (!chunk || is_stopped(scan)) break;
        if (w->table && w->table->rows &&
            dl_monotonic_seconds() - w->table_since >= TABLE_SECONDS && !hand_over(w))
            break;
    }
    if (w->table && w->table->rows) (void)hand_over(w);
    dl_table_free(w->table);
    dl_row_free(&w->row);
    dl_reader_free(&w->reader);
    dl_bytes_free(&w->path);
    dl_mutex_lock(&scan->mutex);
    scan->running--;
    dl_condition_wake_all(&scan->changed);
    dl_mutex_unlock(&scan->mutex);
    return NULL;
}

/* --- the caller's side -------------------------------------------------------------------------
 */

static dl_status start_first_workers(dl_scan *scan, dl_error *error) {
    unsigned threads = scan->options.threads ? scan->options.threads : dl_processor_count();
    for (unsigned i = 0; i < threads; i++) {
        dl_status status = start_worker(scan, error);
        /* One thread is enough to finish; an OS that gives no more is no reason to fail. */
        if (status == DL_ERR_STOPPED || (status != DL_OK && i > 0)) break;
        if (status != DL_OK) return status;
    }
    return DL_OK;
}

static dl_status begin(dl_scan *scan, dl_error *error) {
    dl_mutex_lock(&scan->mutex);
    bool first = !scan->begun && !scan->stopped;
    scan->begun = true;
    if (first) scan->running++; /* while threads are being started, another caller must wait */
    dl_mutex_unlock(&scan->mutex);
    if (!first) return DL_OK;
    dl_status status = start_first_workers(scan, error);
    dl_mutex_lock(&scan->mutex);
    scan->running--;
    dl_condition_wake_all(&scan->changed);
    dl_mutex_unlock(&scan->mutex);
    return status;
}

dl_status dl_scan_next(dl_scan *scan, double seconds, dl_table **table, bool *finished,
                       dl_error *error) {
    *table = NULL;
    *finished = false;
    dl_status status = begin(scan, error);
    if (status != DL_OK) return status;
    dl_mutex_lock(&scan->mutex);
    if (scan->ready_count == 0 && scan->running > 0 && !scan->stopped)
        (void)dl_condition_wait_for(&scan->changed, &scan->mutex, seconds);
    if (scan->failure.code != DL_OK) {
        *error = scan->failure;
        status = scan->failure.code;
    } else if (scan->ready_count > 0 && !scan->stopped) {
        *table = scan->ready[0];
        scan->ready_count--;
        memmove(scan->ready, scan->ready + 1, scan->ready_count * sizeof(dl_table *));
        dl_condition_wake_all(&scan->changed);
    } else {
        *finished = scan->running == 0 || scan->stopped;
    }
    dl_mutex_unlock(&scan->mutex);
    return status;
}

void dl_scan_give_back(dl_scan *scan, dl_table *table) {
    dl_table_clear(table);
    dl_mutex_lock(&scan->mutex);
    if (!scan->stopped && scan->spare_count < SPARE_TABLES) {
        scan->spare[scan->spare_count++] = table;
        table = NULL;
    }
    dl_mutex_unlock(&scan->mutex);
    dl_table_free(table);
}

void dl_scan_counts_get(dl_scan *scan, dl_scan_counts *counts) {
    counts->files = atomic_load(&scan->files);
    counts->ok = atomic_load(&scan->ok);
    counts->errors = atomic_load(&scan->errors);
    counts->unchanged = atomic_load(&scan->unchanged);
    counts->changed = atomic_load(&scan->changed_files);
    counts->bytes_read = atomic_load(&scan->bytes_read);
    dl_mutex_lock(&scan->mutex);
    counts->threads = scan->started;
    dl_mutex_unlock(&scan->mutex);
}

void dl_scan_stop(dl_scan *scan) {
    dl_mutex_lock(&scan->mutex);
    scan->stopped = true;
    dl_condition_wake_all(&scan->changed);
    dl_mutex_unlock(&scan->mutex);
    dl_walk_stop(scan->walk);
}

void dl_scan_free(dl_scan *scan) {
    if (!scan) return;
    dl_scan_stop(scan);
    /* No worker starts another once stopped is set, so the list is final. */
    for (unsigned i = 0; i < scan->started; i++) {
        dl_thread_join(scan->workers[i]->thread);
        free(scan->workers[i]);
    }
    for (size_t i = 0; i < scan->ready_count; i++) dl_table_free(scan->ready[i]);
    for (size_t i = 0; i < scan->spare_count; i++) dl_table_free(scan->spare[i]);
    dl_walk_free(scan->walk);
    dl_condition_destroy(&scan->changed);
    dl_mutex_destroy(&scan->mutex);
    free(scan->types);
    free(scan->workers);
    free(scan);
}
