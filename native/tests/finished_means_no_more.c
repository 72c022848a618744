/* When dl_scan_next says that a scan is finished no table comes any more, to no thread: the reason
 * why several may take tables of one scan. */
#define _XOPEN_SOURCE 700
#include <stdatomic.h>

#include "data_set.h"
#include "tree.h"

enum { FILES = 40, TAKERS = 16, ROUNDS = 400 };

typedef struct shared {
    dl_scan *scan;
    dl_mutex mutex;
    dl_condition together;
    int missing;                   /* takers that are not there yet */
    atomic_int rows, handed_after; /* rows; tables that came after somebody was told the end */
    atomic_bool ended;
} shared;

static void *take(void *argument) {
    shared *s = argument;
    dl_mutex_lock(&s->mutex);
    if (--s->missing == 0) dl_condition_wake_all(&s->together);
    while (s->missing) dl_condition_wait(&s->together, &s->mutex);
    dl_mutex_unlock(&s->mutex);
    for (bool finished = false; !finished;) {
        dl_table *table;
        dl_error error;
        bool ended = s->ended;
        CHECK(dl_scan_next(s->scan, 5, &table, &finished, &error) == DL_OK);
        if (table) s->rows += (int)table->rows;
        if (table && ended) s->handed_after++;
        dl_table_free(table);
    }
    s->ended = true;
    return NULL;
}

int main(void) {
    tree t;
    tree_make(&t);
    for (int i = 0; i < FILES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%d", i);
        tree_file(&t, name, "no data set", 11);
    }
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    for (int round = 0; round < ROUNDS; round++) {
        shared s = {.missing = TAKERS};
        dl_thread threads[TAKERS];
        dl_error error;
        size_t taken;
        const char *root = t.root;
        dl_scan_options options = {.threads = 1 + (unsigned)round % 4, .batch_rows = 5};
        s.scan = dl_scan_new(plan, &options, &error);
        CHECK(s.scan && dl_scan_add(s.scan, &root, 1, &taken));
        dl_scan_close(s.scan);
        CHECK(dl_mutex_init(&s.mutex) && dl_condition_init(&s.together));
        for (int i = 0; i < TAKERS; i++)
            CHECK(dl_thread_start(&threads[i], take, &s, &error) == DL_OK);
        for (int i = 0; i < TAKERS; i++) dl_thread_join(threads[i]);
        CHECK_CASE(s.rows == FILES, "%d rows in round %d", s.rows, round);
        CHECK_CASE(s.handed_after == 0, "round %d", round);
        dl_condition_destroy(&s.together);
        dl_mutex_destroy(&s.mutex);
        dl_scan_free(s.scan);
    }
    dl_plan_free(plan);
    tree_remove(&t);
    return 0;
}
