/* Descriptors are those of the C library, as Python's are: a build has to link the same one. */
#include <errno.h>
#include <io.h>

#include "system_windows.h"

/* A handle that was opened to be read in turn takes an offset all the same, so that many threads
 * may read by one descriptor. */
static dl_status descriptor_read_at(void *context, uint64_t offset, void *into, size_t size,
                                    size_t *got, dl_error *error) {
    HANDLE handle = (HANDLE)_get_osfhandle((int)(intptr_t)context);
    *got = 0;
    if (offset > (uint64_t)INT64_MAX - size) return DL_OK;
    OVERLAPPED at = {.Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32)};
    DWORD count = 0, most = size < 1u << 30 ? (DWORD)size : 1u << 30;
    if (!ReadFile(handle, into, most, &count, &at)) {
        DWORD reason = GetLastError();
        if (reason == ERROR_HANDLE_EOF) return DL_OK;
        dl_status status = dl_fail_os(error, dl_windows_errno(reason), NULL);
        if (error) error->offset = offset;
        return status;
    }
    *got = count;
    return DL_OK;
}

static dl_status descriptor_size(void *context, uint64_t *size, dl_error *error) {
    HANDLE handle = (HANDLE)_get_osfhandle((int)(intptr_t)context);
    LARGE_INTEGER found;
    if (!GetFileSizeEx(handle, &found))
        return dl_fail_os(error, dl_windows_errno(GetLastError()), NULL);
    *size = (uint64_t)found.QuadPart;
    return DL_OK;
}

static void descriptor_close(void *context) { (void)_close((int)(intptr_t)context); }

void dl_source_descriptor(dl_source *source, int descriptor) {
    *source = (dl_source){.context = (void *)(intptr_t)descriptor,
                          .read_at = descriptor_read_at,
                          .size = descriptor_size,
                          .close = descriptor_close};
}

int dl_descriptor_write(int descriptor, const void *data, size_t size) {
    const uint8_t *next = data;
    while (size) {
        int n = _write(descriptor, next, size < 1u << 30 ? (unsigned)size : 1u << 30);
        if (n <= 0) return n < 0 ? errno : ENOSPC; /* a full disk is a short count there */
        next += n;
        size -= (size_t)n;
    }
    return 0;
}
