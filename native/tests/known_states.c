/* A file counts as unchanged only when path, size, time and inode all are what an earlier index
 * held, and only once: whatever is doubtful is read again. */
#include "check.h"
#include "dicomloom/scan.h"

enum { FILES = 20000, THREADS = 4 };

static size_t name(char *into, size_t size, int i) {
    return (size_t)snprintf(into, size, "study/series %d/%0*d.dcm", i / 100, i % 7, i);
}

static dl_known_state check(dl_known *known, int i, uint64_t size, int64_t time, uint64_t inode) {
    char path[64];
    return dl_known_check(known, path, name(path, sizeof path, i), size, time, inode);
}

static bool keeps(const dl_known *known, int i, uint64_t size, int64_t time, uint64_t inode) {
    char path[64];
    return dl_known_keeps(known, path, name(path, sizeof path, i), size, time, inode);
}

static void add(dl_known *known, int i) {
    char path[64];
    size_t size = name(path, sizeof path, i);
    CHECK(dl_known_add(known, path, size, (uint64_t)i, -i, (uint64_t)i * 3) == DL_OK);
}

static void states(void) {
    dl_known *known = dl_known_new();
    CHECK(known);
    CHECK(check(known, 1, 1, -1, 3) == DL_KNOWN_NEW && !keeps(known, 1, 1, -1, 3));
    for (int i = 0; i < FILES; i++) add(known, i);
    for (int i = 0; i < FILES; i++) {
        uint64_t size = (uint64_t)i, inode = size * 3;
        CHECK(!keeps(known, i, size, -i, inode)); /* not seen yet: perhaps deleted */
        CHECK(check(known, i, size + 1, -i, inode) == DL_KNOWN_CHANGED);
        CHECK(check(known, i, size, -i + 1, inode) == DL_KNOWN_CHANGED);
        CHECK(check(known, i, size, -i, inode + 1) == DL_KNOWN_CHANGED);
        CHECK(!keeps(known, i, size, -i, inode));
        if (i % 2) continue;
        CHECK(check(known, i, size, -i, inode) == DL_KNOWN_UNCHANGED);
    }
    for (int i = 0; i < FILES; i++) {
        uint64_t size = (uint64_t)i, inode = size * 3;
        CHECK(keeps(known, i, size, -i, inode) == (i % 2 == 0));
        CHECK(!keeps(known, i, size + 1, -i, inode)); /* an older row of the same file */
        CHECK(check(known, FILES + i, size, -i, inode) == DL_KNOWN_NEW);
    }
    dl_known_free(known);
    dl_known_free(NULL);
}

static void doubt_counts_as_changed(void) {
    dl_known *known = dl_known_new();
    CHECK(known);
    for (int twice = 0; twice < 2; twice++)
        for (int i = 0; i < 100; i++)
            if (!twice || i % 3 == 0) add(known, i);
    for (int i = 100; i < 5000; i++) add(known, i); /* growing forgets no doubt */
    for (int i = 0; i < 100; i++) {
        uint64_t size = (uint64_t)i;
        bool doubtful = i % 3 == 0;
        CHECK(check(known, i, size, -i, size * 3) ==
              (doubtful ? DL_KNOWN_CHANGED : DL_KNOWN_UNCHANGED));
        CHECK(keeps(known, i, size, -i, size * 3) == !doubtful);
    }
    dl_known_free(known);
}

/* Names that differ in a byte, in length, or behind the eighth byte. */
static void names_are_told_apart(void) {
    static const char *const names[] = {"",         "a",         "b",         "aa",
                                        "12345678", "123456789", "12345679",  "1234567\0",
                                        "/a/b",     "/a//b",     "/a/b/",     "12345678\0",
                                        "\xFF",     "\xFF\xFF",  "123456781", "aaaaaaaaaaaaaaaaa"};
    static const size_t sizes[] = {0, 1, 1, 2, 8, 9, 8, 8, 4, 5, 5, 9, 1, 2, 9, 17};
    for (size_t held = 0; held < COUNT_OF(names); held++) {
        dl_known *known = dl_known_new();
        CHECK(known && dl_known_add(known, names[held], sizes[held], 1, 2, 3) == DL_OK);
        for (size_t i = 0; i < COUNT_OF(names); i++)
            CHECK_CASE(dl_known_check(known, names[i], sizes[i], 1, 2, 3) ==
                           (i == held ? DL_KNOWN_UNCHANGED : DL_KNOWN_NEW),
                       "%zu and %zu", held, i);
        dl_known_free(known);
    }
}

typedef struct task {
    dl_known *known;
    int first;
    uint64_t unchanged;
} task;

static void *run(void *argument) {
    task *t = argument;
    for (int k = 0; k < FILES; k++) {
        int i = (k + t->first) % FILES;
        uint64_t size = (uint64_t)i + (i % 5 == 0);
        t->unchanged += check(t->known, i, size, -i, (uint64_t)i * 3) == DL_KNOWN_UNCHANGED;
    }
    return NULL;
}

static void many_threads(void) {
    dl_known *known = dl_known_new();
    task tasks[THREADS];
    dl_thread threads[THREADS];
    dl_error error;
    CHECK(known);
    for (int i = 0; i < FILES; i++) add(known, i);
    for (int k = 0; k < THREADS; k++) {
        tasks[k] = (task){known, k * (FILES / THREADS / 2), 0};
        CHECK(dl_thread_start(&threads[k], run, &tasks[k], &error) == DL_OK);
    }
    for (int k = 0; k < THREADS; k++) {
        dl_thread_join(threads[k]);
        CHECK(tasks[k].unchanged == FILES - FILES / 5);
    }
    for (int i = 0; i < FILES; i++)
        CHECK(keeps(known, i, (uint64_t)i, -i, (uint64_t)i * 3) == (i % 5 != 0));
    dl_known_free(known);
}

int main(void) {
    states();
    doubt_counts_as_changed();
    names_are_told_apart();
    many_threads();
    return 0;
}
