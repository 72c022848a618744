#define _GNU_SOURCE /* d_type */
#define _FILE_OFFSET_BITS 64
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dicomloom/base.h"

struct dl_directory {
    DIR *stream;
};

static int resolve(int at) { return at == DL_CURRENT_DIRECTORY ? AT_FDCWD : at; }

dl_status dl_file_open(int at, const char *name, int *descriptor, dl_error *error) {
    /* O_NONBLOCK: a FIFO that takes the place of a file after the walk saw it must not hang us. */
    int fd;
    do {
        fd = openat(resolve(at), name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return dl_fail_os(error, errno, NULL);
    *descriptor = fd;
    return DL_OK;
}

dl_status dl_file_stat(int at, const char *name, bool follow, dl_file_info *info, dl_error *error) {
    struct stat st;
    if (fstatat(resolve(at), name, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0)
        return dl_fail_os(error, errno, NULL);
    info->kind = S_ISREG(st.st_mode)   ? DL_FILE_REGULAR
                 : S_ISDIR(st.st_mode) ? DL_FILE_DIRECTORY
                 : S_ISLNK(st.st_mode) ? DL_FILE_LINK
                                       : DL_FILE_OTHER;
    info->size = (uint64_t)st.st_size;
#if defined(__APPLE__)
    info->modified_ns = (int64_t)st.st_mtimespec.tv_sec * 1000000000 + st.st_mtimespec.tv_nsec;
#else
    info->modified_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
#endif
    info->inode = (uint64_t)st.st_ino;
    info->device = (uint64_t)st.st_dev;
    return DL_OK;
}

dl_status dl_directory_open(int at, const char *name, bool follow, dl_directory **directory,
                            dl_error *error) {
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW);
    int fd;
    do {
        fd = openat(resolve(at), name, flags);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return dl_fail_os(error, errno, NULL);
    dl_directory *opened = malloc(sizeof *opened);
    if (opened) opened->stream = fdopendir(fd);
    if (!opened || !opened->stream) {
        int reason = opened ? errno : ENOMEM;
        free(opened);
        (void)close(fd);
        return dl_fail_os(error, reason, NULL);
    }
    *directory = opened;
    return DL_OK;
}

dl_status dl_directory_next(dl_directory *directory, dl_directory_entry *entry, dl_error *error) {
    for (;;) {
        errno = 0; /* the only way to tell the end from a failure */
        const struct dirent *found = readdir(directory->stream);
        if (!found) {
            entry->name = NULL;
            return errno ? dl_fail_os(error, errno, NULL) : DL_OK;
        }
        const char *name = found->d_name;
        if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]))) continue;
        entry->name = name;
        switch (found->d_type) {
        case DT_REG: entry->kind = DL_FILE_REGULAR; break;
        case DT_DIR: entry->kind = DL_FILE_DIRECTORY; break;
        case DT_LNK: entry->kind = DL_FILE_LINK; break;
        case DT_UNKNOWN: entry->kind = DL_FILE_UNKNOWN; break;
        default: entry->kind = DL_FILE_OTHER; break;
        }
        return DL_OK;
    }
}

int dl_directory_descriptor(const dl_directory *directory) { return dirfd(directory->stream); }

void dl_directory_close(dl_directory *directory) {
    if (!directory) return;
    (void)closedir(directory->stream);
    free(directory);
}
