/* A temporary tree of files, below the working directory, and its removal. */
#ifndef DICOMLOOM_TESTS_TREE_H
#define DICOMLOOM_TESTS_TREE_H

/* The including program defines _XOPEN_SOURCE 700 before its first header. */
#if defined(_WIN32)
#include "tree_windows.h"
#else
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

typedef struct tree {
    char root[64];
} tree;

static inline void tree_make(tree *t) {
    (void)snprintf(t->root, sizeof t->root, "dicomloom-test-XXXXXX");
    CHECK(mkdtemp(t->root));
}

/* "<root>/<name>", in a buffer of the caller's. */
#define TREE_PATH 1024
static inline const char *tree_path(const tree *t, const char *name, char *into) {
    int size = snprintf(into, TREE_PATH, "%s/%s", t->root, name);
    CHECK(size > 0 && size < TREE_PATH);
    return into;
}

static inline void tree_directory(const tree *t, const char *name) {
    char path[TREE_PATH];
    CHECK_CASE(mkdir(tree_path(t, name, path), 0700) == 0 || errno == EEXIST, "%s", path);
}

static inline void tree_file(const tree *t, const char *name, const void *data, size_t size) {
    char path[TREE_PATH];
    int descriptor = open(tree_path(t, name, path), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK_CASE(descriptor >= 0, "%s", path);
    CHECK(size == 0 || write(descriptor, data, size) == (ssize_t)size);
    CHECK(close(descriptor) == 0);
}

static inline void tree_link(const tree *t, const char *target, const char *name) {
    char path[TREE_PATH];
    CHECK_CASE(symlink(target, tree_path(t, name, path)) == 0, "%s", path);
}

static inline void tree_fifo(const tree *t, const char *name) {
    char path[TREE_PATH];
    CHECK_CASE(mkfifo(tree_path(t, name, path), 0600) == 0, "%s", path);
}

/* Goes by descriptors, so that paths longer than the system allows are removed too. */
static inline void tree_empty(int directory) {
    DIR *stream = fdopendir(directory);
    CHECK(stream);
    for (const struct dirent *each; (each = readdir(stream));) {
        if (strcmp(each->d_name, ".") == 0 || strcmp(each->d_name, "..") == 0) continue;
        struct stat st;
        CHECK(fstatat(dirfd(stream), each->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0);
        bool below = S_ISDIR(st.st_mode);
        if (below) tree_empty(openat(dirfd(stream), each->d_name, O_RDONLY | O_DIRECTORY));
        CHECK(unlinkat(dirfd(stream), each->d_name, below ? AT_REMOVEDIR : 0) == 0);
    }
    CHECK(closedir(stream) == 0);
}

static inline void tree_remove(const tree *t) {
    tree_empty(open(t->root, O_RDONLY | O_DIRECTORY));
    CHECK(rmdir(t->root) == 0);
}

#endif
#endif
