/* A file is found and opened whatever its name is made of and however long its path is; what is no
 * file is refused, and never waited for (P13). */
#define _XOPEN_SOURCE 700
#include <errno.h>

#include "dicomloom/scan.h"
#include "temporary.h"
#include "tree.h"

static const char *const NAMES[] = {
    "plain",
    "with space",
    "caf\xC3\xA9",
    "\xE6\x97\xA5\xE6\x9C\xAC.dcm",
    "\xF0\x9F\xA9\xBB.dcm",
    "ends in a dot.",
    "CON",
    "nul.dcm",
};

static uint64_t read_whole(int at, const char *name, char *into, size_t room) {
    int descriptor;
    dl_error error;
    dl_source source;
    size_t got = 0;
    uint64_t size = 0;
    CHECK_CASE(dl_file_open(at, name, &descriptor, &error) == DL_OK, "%s: %s", name, error.message);
    dl_source_descriptor(&source, descriptor);
    CHECK(source.size(source.context, &size, &error) == DL_OK);
    CHECK(source.read_at(source.context, 2, into, room, &got, &error) == DL_OK);
    CHECK(got + 2 == size);
    CHECK(source.read_at(source.context, size, into, room, &got, &error) == DL_OK && got == 0);
    CHECK(source.read_at(source.context, UINT64_MAX, into, room, &got, &error) == DL_OK);
    CHECK(got == 0);
    dl_source_close(&source);
    return size;
}

/* A directory brings each name back as it was given, with which the file opens. */
static void every_name_comes_back(const tree *t, const char *folder) {
    char path[TREE_PATH], found_text[64];
    bool seen[COUNT_OF(NAMES)] = {false};
    dl_directory *directory;
    dl_directory_entry entry;
    dl_file_info info;
    dl_error error;
    CHECK_CASE(dl_directory_open(DL_CURRENT_DIRECTORY, tree_path(t, folder, path), true, &directory,
                                 &error) == DL_OK,
               "%s: %s", folder, error.message);
    int at = dl_directory_descriptor(directory);
    for (;;) {
        CHECK(dl_directory_next(directory, &entry, &error) == DL_OK);
        if (!entry.name) break;
        size_t i = 0;
        while (i < COUNT_OF(NAMES) && strcmp(NAMES[i], entry.name) != 0) i++;
        CHECK_CASE(i < COUNT_OF(NAMES) && !seen[i], "%s", entry.name);
        seen[i] = true;
        CHECK(entry.kind == DL_FILE_REGULAR || entry.kind == DL_FILE_UNKNOWN);
        CHECK(dl_file_stat(at, entry.name, false, &info, &error) == DL_OK);
        CHECK(info.kind == DL_FILE_REGULAR && info.size == 2 + strlen(NAMES[i]));
        CHECK(info.modified_ns > 1500000000LL * 1000000000);
        CHECK(read_whole(at, entry.name, found_text, sizeof found_text) == info.size);
        CHECK(memcmp(found_text, NAMES[i], strlen(NAMES[i])) == 0);
    }
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) CHECK_CASE(seen[i], "%s", NAMES[i]);
    CHECK(dl_file_stat(at, ".", true, &info, &error) == DL_OK && info.kind == DL_FILE_DIRECTORY);
    CHECK(dl_file_open(at, "absent", &(int){0}, &error) == DL_ERR_IO && error.os_error == ENOENT);
    dl_directory_close(directory);
}

static void fill(const tree *t, const char *folder) {
    tree_directory(t, folder);
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        char name[TREE_PATH], data[64];
        (void)snprintf(name, sizeof name, "%s/%s", folder, NAMES[i]);
        (void)snprintf(data, sizeof data, "::%s", NAMES[i]);
        tree_file(t, name, data, strlen(data));
    }
}

/* Beyond the 260 characters that Windows' older calls take. */
static void long_paths(const tree *t) {
    char folder[TREE_PATH] = "long";
    tree_directory(t, folder);
    for (int i = 0; i < 8; i++) {
        size_t size = strlen(folder);
        (void)snprintf(folder + size, sizeof folder - size, "/%050d", i);
        tree_directory(t, folder);
    }
    (void)strcat(folder, "/d");
    CHECK(strlen(folder) > 400);
    fill(t, folder);
    every_name_comes_back(t, folder);
}

/* Not a file by these names, and nothing to wait for. */
static void no_files(const tree *t) {
    static const char *const names[] = {
        "",
        "absent/x",
        "absent",
        NULL_DEVICE,
#if defined(_WIN32)
        "CON",
        "con",
        "\\\\.\\CON",
        "\\\\.\\pipe\\none",
        "COM1",
        "\xFF\xFE",
#endif
    };
    char path[TREE_PATH];
    dl_error error;
    dl_file_info info;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        int descriptor = -1;
        dl_status status = dl_file_stat(DL_CURRENT_DIRECTORY, names[i], true, &info, &error);
        CHECK_CASE(status == DL_ERR_IO || info.kind == DL_FILE_OTHER, "%s", names[i]);
        CHECK(status == DL_OK || error.message[0]);
        if (status == DL_OK) continue; /* what is known to be no file is not opened */
        CHECK_CASE(dl_file_open(DL_CURRENT_DIRECTORY, names[i], &descriptor, &error) == DL_ERR_IO,
                   "%s", names[i]);
    }
    dl_directory *directory;
    dl_status status = dl_directory_open(DL_CURRENT_DIRECTORY, tree_path(t, "d/plain", path), true,
                                         &directory, &error);
    CHECK(status == DL_ERR_IO && error.os_error == ENOTDIR);
}

int main(void) {
    tree t;
    tree_make(&t);
    fill(&t, "d");
    every_name_comes_back(&t, "d");
    long_paths(&t);
    no_files(&t);
    tree_remove(&t);
    return 0;
}
