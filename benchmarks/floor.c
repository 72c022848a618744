/* The floor: how fast this machine can open files, read 8 KiB of each and close them. Nothing else.
 *
 *     floor list THREADS NAMES     NAMES: "directory\0name\0name\0\0directory\0name\0...\0\0"
 *     floor walk THREADS TREE
 *
 * `list` has all names in memory and all directories open before its clock starts, so that it pays
 * for openat, pread and close alone: nothing that has to find its files can be faster. `walk` finds
 * them too. Prints one line of JSON.
 *
 *     cc -O2 -pthread floor.c -o floor */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 8192, CHUNK = 32 };

static _Noreturn void die(const char *what) {
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *grown(void *data, size_t count, size_t *capacity, size_t unit) {
    if (count < *capacity) return data;
    *capacity = *capacity ? *capacity * 2 : 1024;
    data = realloc(data, *capacity * unit);
    if (!data) die("memory");
    return data;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static atomic_ullong files, bytes;

static void read_one(int at, const char *name, char *buffer, unsigned long long *got) {
    int fd = openat(at, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) die(name);
    ssize_t n = pread(fd, buffer, READ_SIZE, 0);
    if (n < 0) die(name);
    close(fd);
    *got += (unsigned long long)n;
}

/* --- list --------------------------------------------------------------------------------------
 */

typedef struct entry {
    int at;
    const char *name;
} entry;

static entry *entries;
static size_t entry_count;
static atomic_size_t next_entry;

static void load(const char *path) {
    FILE *in = fopen(path, "rb");
    if (!in) die(path);
    struct stat st;
    if (fstat(fileno(in), &st) != 0) die(path);
    size_t size = (size_t)st.st_size;
    char *text = malloc(size + 1);
    if (!text || fread(text, 1, size, in) != size) die(path);
    text[size] = 0;
    fclose(in);
    size_t capacity = 0;
    for (char *p = text; p < text + size; p++) { /* p++: over the empty name that ends a group */
        int at = open(p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (at < 0) die(p);
        for (p += strlen(p) + 1; *p; p += strlen(p) + 1) {
            entries = grown(entries, entry_count, &capacity, sizeof *entries);
            entries[entry_count++] = (entry){at, p};
        }
    }
}

static void *run_list(void *unused) {
    char buffer[READ_SIZE];
    unsigned long long got = 0, read = 0;
    for (;;) {
        size_t from = atomic_fetch_add_explicit(&next_entry, CHUNK, memory_order_relaxed);
        if (from >= entry_count) break;
        size_t to = from + CHUNK < entry_count ? from + CHUNK : entry_count;
        for (size_t i = from; i < to; i++) read_one(entries[i].at, entries[i].name, buffer, &got);
        read += to - from;
    }
    atomic_fetch_add(&files, read);
    atomic_fetch_add(&bytes, got);
    return unused;
}

/* --- walk --------------------------------------------------------------------------------------
 */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static char **folders;
static size_t folder_count, folder_capacity;
static unsigned busy;

static void push(const char *parent, const char *name) {
    char *path;
    if (asprintf(&path, "%s%s%s", parent, *parent ? "/" : "", name) < 0) die("memory");
    pthread_mutex_lock(&lock);
    folders = grown(folders, folder_count, &folder_capacity, sizeof *folders);
    folders[folder_count++] = path;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void *run_walk(void *unused) {
    char buffer[READ_SIZE];
    unsigned long long got = 0, read = 0;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (folder_count == 0 && busy > 0) pthread_cond_wait(&changed, &lock);
        if (folder_count == 0) break;
        char *folder = folders[--folder_count];
        busy++;
        pthread_mutex_unlock(&lock);
        DIR *listing = opendir(folder);
        if (!listing) die(folder);
        for (struct dirent *d; (d = readdir(listing));) {
            if (d->d_type == DT_REG) {
                read_one(dirfd(listing), d->d_name, buffer, &got);
                read++;
            } else if (d->d_type == DT_DIR && strcmp(d->d_name, ".") && strcmp(d->d_name, "..")) {
                push(folder, d->d_name);
            }
        }
        closedir(listing);
        free(folder);
        pthread_mutex_lock(&lock);
        if (--busy == 0) pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    atomic_fetch_add(&files, read);
    atomic_fetch_add(&bytes, got);
    return unused;
}

int main(int argc, char **argv) {
    int threads = argc == 4 ? atoi(argv[2]) : 0;
    int walk = argc == 4 && strcmp(argv[1], "walk") == 0;
    if (threads < 1 || (!walk && strcmp(argv[1], "list") != 0)) {
        fprintf(stderr, "usage: floor list|walk THREADS NAMES|TREE\n");
        return 2;
    }
    struct rlimit most;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max; /* a descriptor a directory */
    setrlimit(RLIMIT_NOFILE, &most);
    pthread_t *pool = calloc((size_t)threads, sizeof *pool);
    if (!pool) die("memory");
    if (walk)
        push("", argv[3]);
    else
        load(argv[3]);

    double began = now();
    for (int i = 0; i < threads; i++)
        if (pthread_create(&pool[i], NULL, walk ? run_walk : run_list, NULL) != 0) die("thread");
    for (int i = 0; i < threads; i++) pthread_join(pool[i], NULL);
    double seconds = now() - began;

    printf("{\"files\": %llu, \"seconds\": %.6f, \"bytes\": %llu, \"threads\": %d}\n",
           (unsigned long long)files, seconds, (unsigned long long)bytes, threads);
    return 0;
}
