/* Every file becomes one row, however many threads read: the counts agree with the rows, a scan may
 * be stopped or freed at any time, and two of them do not know of each other. */
#define _XOPEN_SOURCE 700
#include "data_set.h"
#include "tree.h"
#include "valid_table.h"

enum { GOOD = 400, BAD = 90, FILES = GOOD + BAD, FILENAME = 0, STATUS = 1, ID = 2, ERROR_TEXT = 4 };

/* Data sets with a number each, and of each kind of trouble thirty. */
static void fill(tree *t) {
    tree_make(t);
    for (int i = 0; i < FILES; i++) {
        char name[64], id[16];
        writer w = {.syntax = i % 3 ? EXPLICIT : IMPLICIT};
        (void)snprintf(name, sizeof name, "d%d", i % 7);
        tree_directory(t, name);
        (void)snprintf(id, sizeof id, "%04d", i);
        put_part10(&w, uid_of(w.syntax));
        put_text(&w, 0x00100020, "LO", id);
        put_us(&w, 0x00280010, "US", (unsigned)i);
        size_t size = w.bytes.length;
        if (i >= GOOD) size = i % 3 == 0 ? 0 : i % 3 == 1 ? 60 : size - 5;
        (void)snprintf(name, sizeof name, "d%d/%d.dcm", i % 7, i);
        tree_file(t, name, w.bytes.data, size);
        writer_free(&w);
    }
    tree_fifo(t, "d0/fifo");
}

static dl_plan *plan_two(void) {
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00100020));
    WANT(plan, DL_COLUMN_INT64, AT_TAG(0x00280010));
    return plan;
}

static dl_scan_options options_for(unsigned threads) {
    return (dl_scan_options){
        .threads = threads, .batch_rows = 7, .limits = {DL_DEFAULT_DEPTH, DL_DEFAULT_VALUE_SIZE}};
}

static dl_scan *scan_of(const dl_plan *plan, const dl_scan_options *options, const char *root) {
    dl_error error;
    size_t taken;
    dl_scan *scan = dl_scan_new(plan, options, &error);
    CHECK(scan && dl_scan_add(scan, &root, 1, &taken) && taken == 1);
    return scan;
}

typedef struct tally {
    int rows, ok, errors;
    int seen[FILES]; /* by the number in the file's name */
} tally;

static void count_rows(tally *t, const dl_table *table) {
    check_table(table);
    const int64_t *rows = (const int64_t *)(const void *)table->columns[ID + 1].data.data;
    for (size_t row = 0; row < table->rows; row++) {
        size_t size;
        char name[TREE_PATH];
        const char *text = cell_text(table, FILENAME, row, &size);
        CHECK(size < sizeof name);
        memcpy(name, text, size);
        name[size] = 0;
        int number = -1;
        const char *slash = strrchr(name, '/');
        CHECK_CASE(slash && sscanf(slash, "/%d.dcm", &number) == 1, "%s", name);
        CHECK(number >= 0 && number < FILES);
        t->seen[number]++;
        t->rows++;
        text = cell_text(table, STATUS, row, &size);
        bool ok = size == 2 && memcmp(text, "OK", 2) == 0;
        CHECK(ok || (size == 5 && memcmp(text, "ERROR", 5) == 0));
        CHECK(ok == (number < GOOD));
        CHECK(cell_set(table, ERROR_TEXT, row) == !ok);
        if (ok)
            t->ok++;
        else
            t->errors++;
        if (!ok) continue;
        char id[16];
        (void)snprintf(id, sizeof id, "%04d", number);
        text = cell_text(table, ID, row, &size);
        CHECK(size == 4 && memcmp(text, id, 4) == 0 && rows[row] == number);
    }
}

/* Takes tables until there are no more, or so many. */
static void take_tables(dl_scan *scan, tally *t, int most) {
    for (bool finished = false; !finished && most > 0;) {
        dl_table *table;
        dl_error error;
        CHECK(dl_scan_next(scan, 5, &table, &finished, &error) == DL_OK);
        CHECK(!table || (!finished && table->rows > 0));
        if (table) count_rows(t, table), most--;
        if (table && most % 2)
            dl_scan_give_back(scan, table); /* to be filled again */
        else
            dl_table_free(table);
    }
}

static void every_file_once(const tree *t, const dl_plan *plan) {
    static const unsigned threads[] = {1, 2, 8, 0};
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        for (int policy = DL_ERRORS_KEEP; policy <= DL_ERRORS_ONLY; policy++) {
            dl_scan_options options = options_for(threads[i]);
            options.errors = (dl_errors)policy;
            options.file_info = i % 2;
            dl_scan *scan = scan_of(plan, &options, t->root);
            dl_scan_close(scan);
            tally found = {0};
            take_tables(scan, &found, INT32_MAX);
            dl_scan_counts counts;
            dl_scan_counts_get(scan, &counts);
            CHECK(counts.files == FILES && counts.ok == GOOD && counts.errors == BAD);
            CHECK(counts.unchanged == 0 && counts.changed == 0 && counts.bytes_read > 0);
            CHECK(threads[i] == 0 || counts.threads == threads[i]);
            CHECK(found.ok == (policy == DL_ERRORS_ONLY ? 0 : GOOD));
            CHECK(found.errors == (policy == DL_ERRORS_SKIP ? 0 : BAD));
            for (int k = 0; k < FILES; k++) CHECK(found.seen[k] <= 1);
            dl_table *table;
            bool finished;
            dl_error error;
            CHECK(dl_scan_next(scan, 0, &table, &finished, &error) == DL_OK && finished && !table);
            dl_scan_free(scan);
        }
    }
}

/* What is not there, is no file, or is a directory, given by name: a row each, or its files'. */
static void given_paths(const tree *t, const dl_plan *plan) {
    char missing[TREE_PATH], fifo[TREE_PATH], folder[TREE_PATH], file[TREE_PATH];
    const char *const paths[] = {tree_path(t, "missing", missing), tree_path(t, "d0/fifo", fifo),
                                 tree_path(t, "d1", folder), tree_path(t, "d0/0.dcm", file), ""};
    dl_scan_options options = options_for(2);
    dl_error error;
    size_t taken;
    dl_scan *scan = dl_scan_new(plan, &options, &error);
    CHECK(scan && dl_scan_add(scan, paths, COUNT_OF(paths), &taken));
    dl_scan_close(scan);
    int rows = 0;
    for (bool finished = false; !finished;) {
        dl_table *table;
        CHECK(dl_scan_next(scan, 5, &table, &finished, &error) == DL_OK);
        if (table) check_table(table), rows += (int)table->rows;
        dl_table_free(table);
    }
    CHECK(rows == 3 + FILES / 7 + 1);
    dl_scan_free(scan);
}

static dl_status fail_in_latin_1(void *context, const dl_source *raw, uint64_t offset,
                                 dl_source *inflated, dl_error *error) {
    (void)context, (void)raw, (void)inflated;
    return dl_fail(error, DL_ERR_CORRUPT, offset,
                   "donn\xE9"
                   "es");
}

/* Tables are UTF-8, whatever the words are that a locale has for an error. */
static void messages_are_utf8(const dl_plan *plan) {
    tree t;
    tree_make(&t);
    writer w = {.syntax = EXPLICIT};
    put_part10(&w, UID_DEFLATED);
    put_text(&w, 0x00100020, "LO", "1 ");
    tree_file(&t, "a", w.bytes.data, w.bytes.length);
    dl_scan_options options = options_for(1);
    options.open_inflated = fail_in_latin_1;
    dl_scan *scan = scan_of(plan, &options, t.root);
    dl_scan_close(scan);
    dl_table *table = NULL;
    for (bool finished = false; !finished && !table;) {
        dl_error error;
        CHECK(dl_scan_next(scan, 5, &table, &finished, &error) == DL_OK);
    }
    CHECK(table && table->rows == 1 &&
          cell_is(table, ERROR_TEXT,
                  "donn\xEF\xBF\xBD"
                  "es"));
    dl_table_free(table);
    dl_scan_free(scan);
    writer_free(&w);
    tree_remove(&t);
}

static void known_files_are_passed_over(const tree *t, const dl_plan *plan) {
    dl_known *known = dl_known_new();
    dl_file_info info;
    dl_error error;
    CHECK(known);
    for (int i = 0; i < FILES; i++) {
        char name[64], path[TREE_PATH];
        (void)snprintf(name, sizeof name, "d%d/%d.dcm", i % 7, i);
        (void)tree_path(t, name, path);
        CHECK(dl_file_stat(DL_CURRENT_DIRECTORY, path, true, &info, &error) == DL_OK);
        if (i % 4 == 0) continue;
        CHECK(dl_known_add(known, path, strlen(path), info.size + (i % 4 == 1), info.modified_ns,
                           info.inode) == DL_OK);
    }
    dl_scan_options options = options_for(4);
    options.known = known;
    dl_scan *scan = scan_of(plan, &options, t->root);
    dl_scan_close(scan);
    tally found = {0};
    take_tables(scan, &found, INT32_MAX);
    for (int i = 0; i < FILES; i++) CHECK_CASE(found.seen[i] == (i % 4 < 2), "%d.dcm", i);
    dl_scan_counts counts;
    dl_scan_counts_get(scan, &counts);
    CHECK(counts.files == (uint64_t)found.rows && counts.ok + counts.errors == counts.files);
    CHECK(counts.unchanged == FILES - counts.files && counts.changed > 0);
    dl_scan_free(scan);
    dl_known_free(known);
}

static void stopped_and_freed(const tree *t, const dl_plan *plan) {
    for (int round = 0; round < 60; round++) {
        dl_scan_options options = options_for(1u << round % 4);
        dl_scan *scan = scan_of(plan, &options, t->root);
        tally found = {0};
        if (round % 5) dl_scan_close(scan);
        if (round % 3) take_tables(scan, &found, round / 5); /* else: freed before it began */
        if (round % 2) {
            dl_scan_stop(scan);
            dl_table *table;
            bool finished;
            dl_error error;
            CHECK(dl_scan_next(scan, 5, &table, &finished, &error) == DL_OK);
            CHECK(finished && !table);
        }
        for (int i = 0; i < FILES; i++) CHECK(found.seen[i] <= 1);
        dl_scan_free(scan);
    }
    dl_scan_free(NULL);
}

typedef struct task {
    dl_scan *scan;
    tally found;
} task;

static void *take_in_thread(void *argument) {
    task *k = argument;
    take_tables(k->scan, &k->found, INT32_MAX);
    return NULL;
}

static void two_at_once(const tree *t, const dl_plan *plan) {
    task tasks[2] = {0};
    dl_thread threads[2];
    dl_error error;
    for (int i = 0; i < 2; i++) {
        dl_scan_options options = options_for(3);
        tasks[i].scan = scan_of(plan, &options, t->root);
        dl_scan_close(tasks[i].scan);
        CHECK(dl_thread_start(&threads[i], take_in_thread, &tasks[i], &error) == DL_OK);
    }
    for (int i = 0; i < 2; i++) {
        dl_thread_join(threads[i]);
        for (int k = 0; k < FILES; k++) CHECK(tasks[i].found.seen[k] == 1);
        dl_scan_free(tasks[i].scan);
    }
}

static void *stop_in_thread(void *argument) {
    task *k = argument;
    dl_scan_counts counts;
    do {
        dl_scan_counts_get(k->scan, &counts);
    } while (counts.files < FILES / 4);
    dl_scan_stop(k->scan);
    return NULL;
}

static void stopped_by_another_thread(const tree *t, const dl_plan *plan) {
    for (int round = 0; round < 20; round++) {
        dl_scan_options options = options_for(4);
        task k = {.scan = scan_of(plan, &options, t->root)};
        dl_thread thread;
        dl_error error;
        CHECK(dl_thread_start(&thread, stop_in_thread, &k, &error) == DL_OK);
        dl_scan_close(k.scan);
        take_tables(k.scan, &k.found, INT32_MAX);
        dl_thread_join(thread);
        for (int i = 0; i < FILES; i++) CHECK(k.found.seen[i] <= 1);
        dl_scan_free(k.scan);
    }
}

int main(void) {
    tree t;
    fill(&t);
    dl_plan *plan = plan_two();
    every_file_once(&t, plan);
    given_paths(&t, plan);
    messages_are_utf8(plan);
    known_files_are_passed_over(&t, plan);
    stopped_and_freed(&t, plan);
    two_at_once(&t, plan);
    stopped_by_another_thread(&t, plan);
    dl_plan_free(plan);
    tree_remove(&t);
    return 0;
}
