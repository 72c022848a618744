/* tree.h by the calls of Windows. Names are UTF-8, and as long as they like. */
#ifndef DICOMLOOM_TESTS_TREE_WINDOWS_H
#define DICOMLOOM_TESTS_TREE_WINDOWS_H

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include "check.h"

typedef struct tree {
    char root[64];
} tree;

#define TREE_PATH 1024
static inline const char *tree_path(const tree *t, const char *name, char *into) {
    int size = snprintf(into, TREE_PATH, "%s/%s", t->root, name);
    CHECK(size > 0 && size < TREE_PATH);
    return into;
}

/* The path as Windows takes it whatever its length and its names: without "/" and ".". */
static inline const wchar_t *tree_wide(const char *path, wchar_t *into) {
    wchar_t folder[MAX_PATH], name[TREE_PATH];
    CHECK(GetCurrentDirectoryW(MAX_PATH, folder) > 0);
    CHECK(MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, name, TREE_PATH) > 0);
    for (wchar_t *each = name; *each; each++)
        if (*each == L'/') *each = L'\\';
    (void)swprintf(into, 2 * TREE_PATH, L"\\\\?\\%ls\\%ls", folder, name);
    return into;
}

static inline void tree_make(tree *t) {
    wchar_t wide[2 * TREE_PATH];
    for (int i = 0;; i++) { /* a process that failed may have left one, and had our number */
        (void)snprintf(t->root, sizeof t->root, "dicomloom-test-%lu-%d", GetCurrentProcessId(), i);
        if (CreateDirectoryW(tree_wide(t->root, wide), NULL)) return;
        CHECK(GetLastError() == ERROR_ALREADY_EXISTS);
    }
}

static inline void tree_directory(const tree *t, const char *name) {
    char path[TREE_PATH];
    wchar_t wide[2 * TREE_PATH];
    CHECK_CASE(CreateDirectoryW(tree_wide(tree_path(t, name, path), wide), NULL) ||
                   GetLastError() == ERROR_ALREADY_EXISTS,
               "%s", path);
}

static inline void tree_file(const tree *t, const char *name, const void *data, size_t size) {
    char path[TREE_PATH];
    wchar_t wide[2 * TREE_PATH];
    DWORD count = 0;
    HANDLE file = CreateFileW(tree_wide(tree_path(t, name, path), wide), GENERIC_WRITE, 0, NULL,
                              CREATE_ALWAYS, 0, NULL);
    CHECK_CASE(file != INVALID_HANDLE_VALUE, "%s", path);
    CHECK(size == 0 || WriteFile(file, data, (DWORD)size, &count, NULL));
    CHECK(count == size && CloseHandle(file));
}

/* There are no FIFOs among files. */
static inline void tree_fifo(const tree *t, const char *name) {
    (void)t;
    (void)name;
}

static inline void tree_empty(const wchar_t *folder) {
    WIN32_FIND_DATAW found;
    wchar_t *path = calloc(4 * TREE_PATH, sizeof *path);
    CHECK(path);
    (void)swprintf(path, 4 * TREE_PATH, L"%ls\\*", folder);
    HANDLE search = FindFirstFileW(path, &found);
    CHECK(search != INVALID_HANDLE_VALUE);
    do {
        if (wcscmp(found.cFileName, L".") == 0 || wcscmp(found.cFileName, L"..") == 0) continue;
        (void)swprintf(path, 4 * TREE_PATH, L"%ls\\%ls", folder, found.cFileName);
        if (found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) {
            tree_empty(path);
            CHECK(RemoveDirectoryW(path));
        } else {
            CHECK(DeleteFileW(path));
        }
    } while (FindNextFileW(search, &found));
    CHECK(FindClose(search));
    free(path);
}

static inline void tree_remove(const tree *t) {
    wchar_t wide[2 * TREE_PATH];
    tree_empty(tree_wide(t->root, wide));
    CHECK(RemoveDirectoryW(wide));
}

#endif
