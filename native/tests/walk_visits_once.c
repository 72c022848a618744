/* A walk gives every file once, to whichever thread asks: deep and wide trees, links and loops, and
 * nothing that is no file; and it ends when it is told to (P13). */
#define _XOPEN_SOURCE 700
#include <stdatomic.h>

#include "dicomloom/scan.h"
#include "tree.h"

enum { MOST = 8192, MOST_THREADS = 8 };

typedef struct visits {
    dl_walk *walk;
    atomic_int files[MOST]; /* how often the file f<number> was given */
    atomic_int others, failed, directories;
} visits;

/* f12 is 12, -1 is anything else. */
static int number_of(const char *path) {
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    int number;
    char rest;
    return sscanf(name, "f%d%c", &number, &rest) == 1 && number < MOST ? number : -1;
}

static void visit(visits *v, const dl_chunk *chunk, const char *name) {
    int at = dl_chunk_descriptor(chunk), number = number_of(name), descriptor;
    bool given = chunk->folder == NULL;
    dl_file_info info;
    dl_error error;
    if (number >= 0) v->files[number]++;
    if (number >= 0 && number % 8) return; /* a sample is enough, and faster */
    bool known = dl_file_stat(at, name, true, &info, &error) == DL_OK;
    if (given && known && info.kind == DL_FILE_DIRECTORY) {
        v->directories++;
        CHECK(dl_walk_enter(v->walk, name) == DL_OK);
        return;
    }
    CHECK(given || !known || info.kind == DL_FILE_REGULAR);
    if (number < 0) {
        v->others++;
        return;
    }
    CHECK_CASE(dl_file_open(at, name, &descriptor, &error) == DL_OK, "%s: %s", name, error.message);
    dl_source source;
    dl_source_descriptor(&source, descriptor);
    dl_source_close(&source);
}

static void *take_all(void *argument) {
    visits *v = argument;
    for (;;) {
        dl_chunk *chunk;
        CHECK(dl_walk_take(v->walk, &chunk) == DL_OK);
        if (!chunk) return NULL;
        if (chunk->failed) {
            CHECK(chunk->count == 0 && chunk->error.code == DL_ERR_IO && chunk->error.message[0]);
            v->failed++;
        }
        const char *name = (const char *)chunk->names.data;
        size_t left = chunk->names.length;
        for (uint32_t i = 0; i < chunk->count; i++) {
            CHECK(left > 0);
            size_t size = strlen(name) + 1;
            visit(v, chunk, name);
            name += size;
            left -= size;
        }
        CHECK(left == 0);
        dl_walk_done(v->walk, chunk);
    }
}

/* Lets the threads have the processor for a moment. */
static void rest(void) {
    dl_mutex mutex;
    dl_condition never;
    CHECK(dl_mutex_init(&mutex) && dl_condition_init(&never));
    dl_mutex_lock(&mutex);
    (void)dl_condition_wait_for(&never, &mutex, 0.0002);
    dl_mutex_unlock(&mutex);
    dl_condition_destroy(&never);
    dl_mutex_destroy(&mutex);
}

/* Walks over paths with so many threads. The caller reads the visits and frees them. */
static visits *walk_over(const char *const *paths, size_t count, bool follow, int threads) {
    visits *v = calloc(1, sizeof *v);
    dl_thread started[MOST_THREADS];
    dl_error error;
    CHECK(v && (v->walk = dl_walk_new(follow)));
    for (int i = 0; i < threads; i++)
        CHECK(dl_thread_start(&started[i], take_all, v, &error) == DL_OK);
    for (size_t at = 0; at < count;) {
        size_t taken;
        bool all = dl_walk_add(v->walk, paths + at, count - at, &taken);
        at += taken;
        CHECK(all == (at == count));
        if (!all) rest();
    }
    dl_walk_close(v->walk);
    for (int i = 0; i < threads; i++) dl_thread_join(started[i]);
    dl_chunk *chunk; /* the end stays the end */
    CHECK(dl_walk_take(v->walk, &chunk) == DL_OK && !chunk);
    dl_walk_free(v->walk);
    return v;
}

static void check_each_once(const visits *v, int files) {
    for (int i = 0; i < MOST; i++)
        CHECK_CASE(v->files[i] == (i < files), "f%d was given %d times", i, v->files[i]);
}

static void wide_and_deep(void) {
    enum { WIDE = 5000, DEEP = 120, WIDE_DIRECTORIES = 100 };
    static const int threads[] = {1, 2, MOST_THREADS};
    tree t;
    char name[TREE_PATH] = "deep", path[TREE_PATH];
    int files = 0;
    tree_make(&t);
    tree_directory(&t, "wide");
    for (int i = 0; i < WIDE; i++) {
        char file[32];
        (void)snprintf(file, sizeof file, "wide/f%d", files++);
        tree_file(&t, file, "", 0);
    }
    for (int i = 0; i < WIDE_DIRECTORIES; i++) {
        char file[64];
        (void)snprintf(file, sizeof file, "d%d", i);
        tree_directory(&t, file);
        (void)snprintf(file, sizeof file, "d%d/f%d", i, files++);
        tree_file(&t, file, "", 0);
    }
    for (int i = 0; i < DEEP; i++) {
        tree_directory(&t, name);
        size_t size = strlen(name);
        (void)snprintf(name + size, sizeof name - size, "/f%d", files++);
        tree_file(&t, name, "", 0);
        (void)snprintf(name + size, sizeof name - size, "/d");
    }
    tree_fifo(&t, "wide/f9999"); /* opening it would block */
    tree_directory(&t, "empty");
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        for (int follow = 0; follow < 2; follow++) {
            const char *root = t.root;
            visits *v = walk_over(&root, 1, follow, threads[i]);
            check_each_once(v, files);
            CHECK(v->others == 0 && v->failed == 0 && v->directories == 1);
            free(v);
        }
    }
    const char *const parts[] = {tree_path(&t, "wide/f0", path), path, "f-none"};
    visits *v = walk_over(parts, 2, false, 2); /* a file given twice is given twice */
    CHECK(v->files[0] == 2 && v->others == 0);
    free(v);
    tree_remove(&t);
}

#if !defined(_WIN32) /* where links take a privilege, and names_are_kept has the long paths */
/* Links to a file, to nothing, to a directory outside, and back to the root. */
static void links(void) {
    tree t, outside;
    char target[80];
    tree_make(&t);
    tree_make(&outside);
    tree_directory(&t, "a");
    tree_file(&t, "a/f0", "", 0);
    tree_file(&t, "f1", "", 0);
    tree_file(&outside, "f2", "", 0);
    tree_directory(&outside, "sub");
    tree_file(&outside, "sub/f3", "", 0);
    (void)snprintf(target, sizeof target, "../../%s", outside.root);
    tree_link(&t, target, "a/out");
    tree_link(&t, target, "a/again");
    tree_link(&t, "..", "a/loop");
    tree_link(&t, ".", "self");
    tree_link(&t, "nothing", "broken");
    tree_link(&t, "me", "me"); /* a link to itself */
    tree_link(&outside, "../sub", "sub/loop");
    const char *const paths[] = {t.root, t.root};
    for (int threads = 1; threads <= MOST_THREADS; threads *= 2) {
        visits *v = walk_over(paths, 1, false, threads);
        check_each_once(v, 2);
        CHECK(v->failed == 0);
        CHECK(v->others == 2); /* the broken ones: opening them gives the reason */
        free(v);
        v = walk_over(paths, 2, true, threads); /* named twice, and linked three times */
        check_each_once(v, 4);
        CHECK(v->failed == 0 && v->others == 2);
        free(v);
    }
    tree_remove(&outside);
    tree_remove(&t);
}

#endif

/* What cannot be listed is a chunk with the reason, and the rest goes on. */
static void failures(void) {
    tree t;
    char path[TREE_PATH], missing[TREE_PATH];
    tree_make(&t);
    tree_file(&t, "f0", "", 0);
    visits v = {.walk = dl_walk_new(false)};
    CHECK(v.walk);
    CHECK(dl_walk_enter(v.walk, tree_path(&t, "missing", missing)) == DL_OK);
    CHECK(dl_walk_enter(v.walk, t.root) == DL_OK);
    CHECK(dl_walk_enter(v.walk, tree_path(&t, "f0", path)) == DL_OK); /* no directory */
    dl_walk_close(v.walk);
    (void)take_all(&v);
    CHECK(v.failed == 2 && v.files[0] == 1);
    dl_walk_free(v.walk);
    tree_remove(&t);
}

#if !defined(_WIN32)
/* A tree whose paths are longer than the system opens: reported, not crashed over or hung on. */
static void paths_too_long(void) {
    enum { LEVELS = 60 };
    static const char level[] = "a_directory_name_of_a_hundred_characters_"
                                "________________________________________________________ends";
    tree t;
    tree_make(&t);
    int at = open(t.root, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < LEVELS; i++) {
        CHECK(at >= 0 && mkdirat(at, level, 0700) == 0);
        int below = openat(at, level, O_RDONLY | O_DIRECTORY);
        CHECK(close(at) == 0);
        at = below;
    }
    CHECK(close(at) == 0);
    tree_file(&t, "f0", "", 0);
    const char *root = t.root;
    visits *v = walk_over(&root, 1, false, 2);
    check_each_once(v, 1);
    CHECK(v->failed <= 1);
    free(v);
    tree_remove(&t);
}

#endif

/* More paths than may wait: what was not taken is given again. */
static void many_paths(void) {
    enum { PATHS = 8000 };
    tree t;
    tree_make(&t);
    char(*names)[96] = calloc(PATHS, sizeof *names);
    const char **paths = calloc(PATHS, sizeof *paths);
    CHECK(names && paths);
    for (int i = 0; i < PATHS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "f%d", i);
        if (i % 20 == 0) tree_file(&t, name, "", 0);
        (void)snprintf(names[i], sizeof names[i], "%s/%s", t.root, i % 20 ? "x" : name);
        paths[i] = names[i];
    }
    for (int threads = 1; threads <= MOST_THREADS; threads *= 2) {
        visits *v = walk_over(paths, PATHS, false, threads);
        for (int i = 0; i < PATHS; i++) CHECK(v->files[i] == (i % 20 == 0));
        CHECK(v->others == PATHS / 20 * 19);
        free(v);
    }
    dl_walk *walk = dl_walk_new(false); /* nobody takes them */
    size_t taken = 0;
    CHECK(walk && !dl_walk_add(walk, paths, PATHS, &taken) && taken > 0 && taken < PATHS);
    CHECK(!dl_walk_add(walk, paths, PATHS, &taken) && taken == 0);
    dl_walk_free(walk);
    free(names);
    free(paths);
    tree_remove(&t);
}

static void *take_none(void *argument) {
    dl_chunk *chunk;
    CHECK(dl_walk_take(argument, &chunk) == DL_OK);
    CHECK(!chunk);
    return NULL;
}

/* Threads that wait for paths which never come are woken. */
static void stopping(void) {
    for (int round = 0; round < 20; round++) {
        dl_walk *walk = dl_walk_new(round % 2);
        dl_thread threads[4];
        dl_error error;
        CHECK(walk);
        for (int i = 0; i < 4; i++)
            CHECK(dl_thread_start(&threads[i], take_none, walk, &error) == DL_OK);
        if (round % 3 == 0) dl_walk_close(walk);
        dl_walk_stop(walk);
        for (int i = 0; i < 4; i++) dl_thread_join(threads[i]);
        dl_walk_free(walk);
    }
    dl_walk_free(NULL);
}

/* Half a tree is listed when the walk is freed: nothing of it stays. */
static void freed_half_way(void) {
    tree t;
    tree_make(&t);
    for (int i = 0; i < 1500; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, i % 10 ? "f%d" : "d%d", i);
        if (i % 10)
            tree_file(&t, name, "", 0);
        else
            tree_directory(&t, name);
    }
    for (int takes = 0; takes < 40; takes += 7) {
        dl_walk *walk = dl_walk_new(true);
        CHECK(walk && dl_walk_enter(walk, t.root) == DL_OK);
        for (int i = 0; i < takes; i++) {
            dl_chunk *chunk;
            CHECK(dl_walk_take(walk, &chunk) == DL_OK && chunk);
            dl_walk_done(walk, chunk);
        }
        dl_walk_free(walk);
    }
    tree_remove(&t);
}

int main(void) {
    wide_and_deep();
    failures();
#if !defined(_WIN32)
    links();
    paths_too_long();
#endif
    many_paths();
    stopping();
    freed_half_way();
    return 0;
}
