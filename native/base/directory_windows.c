/* Files are opened as the system's own library opens them, relative to a directory's handle: as
 * openat does, a path is looked up once, whoever renames its parts meanwhile; and a name is a name,
 * be it CON, or ended by a dot. */
#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdlib.h>
#include <winternl.h>

#include "system_windows.h"

#define SHARE_ALL (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)
#define ENTRIES_SIZE (16 * 1024) /* the longest entry takes 614 bytes */

/* ntstatus.h and windows.h cannot both be included as they are. */
#define IS_A_DIRECTORY ((NTSTATUS)0xC00000BAL)

struct dl_directory {
    HANDLE handle;
    int descriptor;
    bool begun;
    const FILE_ID_BOTH_DIR_INFO *next; /* within entries; NULL: to be asked for */
    dl_bytes name;
    uint64_t entries[ENTRIES_SIZE / 8];
};

static HANDLE handle_of(int descriptor) { return (HANDLE)_get_osfhandle(descriptor); }

/* `options` are of NtCreateFile: FILE_DIRECTORY_FILE and such. */
static dl_status open_handle(int at, const char *name, ACCESS_MASK access, ULONG options,
                             HANDLE *handle, dl_error *error) {
    bool whole = at == DL_CURRENT_DIRECTORY;
    wchar_t *wide = whole ? dl_windows_path(name) : dl_windows_name(name);
    if (!wide && errno == ENOMEM) return dl_fail(error, DL_ERR_MEMORY, 0, "out of memory");
    if (!wide) return dl_fail_os(error, errno, NULL);
    size_t size = wcslen(wide) * sizeof *wide;
    if (size > UINT16_MAX - sizeof *wide) {
        free(wide);
        return dl_fail_os(error, ENAMETOOLONG, NULL);
    }
    if (whole) wide[1] = L'?'; /* "\\?\C:" is "\??\C:" below */
    UNICODE_STRING text = {(USHORT)size, (USHORT)size, wide};
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, &text, OBJ_CASE_INSENSITIVE,
                               whole ? NULL : handle_of(at), NULL);
    IO_STATUS_BLOCK done;
    NTSTATUS status = NtCreateFile(
        handle, access | FILE_READ_ATTRIBUTES | SYNCHRONIZE, &attributes, &done, NULL, 0, SHARE_ALL,
        FILE_OPEN, options | FILE_SYNCHRONOUS_IO_NONALERT | FILE_OPEN_FOR_BACKUP_INTENT, NULL, 0);
    free(wide);
    if (status == IS_A_DIRECTORY) return dl_fail_os(error, EISDIR, NULL);
    if (status < 0) return dl_fail_os(error, dl_windows_errno(RtlNtStatusToDosError(status)), NULL);
    return DL_OK;
}

dl_status dl_file_open(int at, const char *name, int *descriptor, dl_error *error) {
    HANDLE handle;
    dl_status status =
        open_handle(at, name, FILE_READ_DATA, FILE_NON_DIRECTORY_FILE, &handle, error);
    if (status != DL_OK) return status;
    /* A pipe or a device may let a read wait for ever. */
    int reason = GetFileType(handle) == FILE_TYPE_DISK ? 0 : EINVAL;
    if (!reason) {
        *descriptor = _open_osfhandle((intptr_t)handle, _O_RDONLY | _O_BINARY | _O_NOINHERIT);
        reason = *descriptor < 0 ? EMFILE : 0;
    }
    if (reason) (void)CloseHandle(handle);
    return reason ? dl_fail_os(error, reason, NULL) : DL_OK;
}

/* Only these lead to another name; others (files in a cloud, deduplicated ones) are files. */
static bool is_link(HANDLE handle, DWORD attributes) {
    FILE_ATTRIBUTE_TAG_INFO info;
    return attributes & FILE_ATTRIBUTE_REPARSE_POINT &&
           GetFileInformationByHandleEx(handle, FileAttributeTagInfo, &info, sizeof info) &&
           (info.ReparseTag == IO_REPARSE_TAG_SYMLINK ||
            info.ReparseTag == IO_REPARSE_TAG_MOUNT_POINT);
}

static dl_status stat_handle(HANDLE handle, dl_file_info *info, dl_error *error) {
    BY_HANDLE_FILE_INFORMATION found;
    *info = (dl_file_info){.kind = DL_FILE_OTHER};
    if (GetFileType(handle) != FILE_TYPE_DISK) return DL_OK;
    if (!GetFileInformationByHandle(handle, &found))
        return dl_fail_os(error, dl_windows_errno(GetLastError()), NULL);
    info->kind = is_link(handle, found.dwFileAttributes)             ? DL_FILE_LINK
                 : found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY ? DL_FILE_DIRECTORY
                                                                     : DL_FILE_REGULAR;
    info->size = (uint64_t)found.nFileSizeHigh << 32 | found.nFileSizeLow;
    int64_t modified = (int64_t)((uint64_t)found.ftLastWriteTime.dwHighDateTime << 32 |
                                 found.ftLastWriteTime.dwLowDateTime);
    info->modified_ns = (modified - 116444736000000000) * 100; /* from 1601, in 100 ns */
    info->inode = (uint64_t)found.nFileIndexHigh << 32 | found.nFileIndexLow;
    info->device = found.dwVolumeSerialNumber;
    return DL_OK;
}

dl_status dl_file_stat(int at, const char *name, bool follow, dl_file_info *info, dl_error *error) {
    if (at != DL_CURRENT_DIRECTORY && strcmp(name, ".") == 0)
        return stat_handle(handle_of(at), info, error);
    HANDLE handle;
    dl_status status =
        open_handle(at, name, 0, follow ? 0 : FILE_OPEN_REPARSE_POINT, &handle, error);
    if (status != DL_OK) return status;
    status = stat_handle(handle, info, error);
    (void)CloseHandle(handle);
    return status;
}

dl_status dl_directory_open(int at, const char *name, bool follow, dl_directory **directory,
                            dl_error *error) {
    HANDLE handle;
    dl_file_info info;
    ULONG options = FILE_DIRECTORY_FILE | (follow ? 0 : FILE_OPEN_REPARSE_POINT);
    dl_status status =
        open_handle(at, name, FILE_LIST_DIRECTORY | FILE_TRAVERSE, options, &handle, error);
    if (status != DL_OK) return status;
    status = stat_handle(handle, &info, error);
    if (status == DL_OK && info.kind == DL_FILE_LINK) status = dl_fail_os(error, ELOOP, NULL);
    dl_directory *opened = status == DL_OK ? malloc(sizeof *opened) : NULL;
    if (status == DL_OK && !opened) status = dl_fail_os(error, ENOMEM, NULL);
    int descriptor =
        status == DL_OK ? _open_osfhandle((intptr_t)handle, _O_RDONLY | _O_NOINHERIT) : -1;
    if (status == DL_OK && descriptor < 0) status = dl_fail_os(error, EMFILE, NULL);
    if (status != DL_OK) {
        free(opened);
        (void)CloseHandle(handle);
        return status;
    }
    opened->handle = handle;
    opened->descriptor = descriptor;
    opened->begun = false;
    opened->next = NULL;
    opened->name = (dl_bytes){0};
    *directory = opened;
    return DL_OK;
}

/* Asks for the next entries; leaves `next` NULL at the end. */
static dl_status fill_entries(dl_directory *directory, dl_error *error) {
    FILE_INFO_BY_HANDLE_CLASS how =
        directory->begun ? FileIdBothDirectoryInfo : FileIdBothDirectoryRestartInfo;
    directory->begun = true;
    directory->next = NULL;
    if (GetFileInformationByHandleEx(directory->handle, how, directory->entries,
                                     sizeof directory->entries)) {
        directory->next = (const FILE_ID_BOTH_DIR_INFO *)directory->entries;
        return DL_OK;
    }
    DWORD reason = GetLastError();
    if (reason == ERROR_NO_MORE_FILES || reason == ERROR_FILE_NOT_FOUND) return DL_OK;
    return dl_fail_os(error, dl_windows_errno(reason), NULL);
}

dl_status dl_directory_next(dl_directory *directory, dl_directory_entry *entry, dl_error *error) {
    for (;;) {
        dl_status status = directory->next ? DL_OK : fill_entries(directory, error);
        const FILE_ID_BOTH_DIR_INFO *found = directory->next;
        entry->name = NULL;
        if (status != DL_OK || !found) return status;
        directory->next =
            found->NextEntryOffset
                ? (const FILE_ID_BOTH_DIR_INFO *)(const void *)((const char *)found +
                                                                found->NextEntryOffset)
                : NULL;
        size_t size = found->FileNameLength / sizeof(wchar_t);
        if (dl_windows_name_back(&directory->name, found->FileName, size) != DL_OK)
            return dl_fail_os(error, ENOMEM, NULL);
        const char *name = (const char *)directory->name.data;
        if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]))) continue;
        entry->name = name;
        /* What a reparse point is, its tag says, and not every file system tells that here. */
        entry->kind = found->FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT ? DL_FILE_UNKNOWN
                      : found->FileAttributes & FILE_ATTRIBUTE_DIRECTORY   ? DL_FILE_DIRECTORY
                                                                           : DL_FILE_REGULAR;
        return DL_OK;
    }
}

int dl_directory_descriptor(const dl_directory *directory) { return directory->descriptor; }

void dl_directory_close(dl_directory *directory) {
    if (!directory) return;
    (void)_close(directory->descriptor);
    dl_bytes_free(&directory->name);
    free(directory);
}
