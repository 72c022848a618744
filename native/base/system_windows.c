#include "system_windows.h"

#include <errno.h>
#include <stdlib.h>
#include <wchar.h>

int dl_windows_errno(DWORD code) {
    static const struct {
        DWORD code;
        int number;
    } known[] = {
        {ERROR_FILE_NOT_FOUND, ENOENT},
        {ERROR_PATH_NOT_FOUND, ENOENT},
        {ERROR_INVALID_DRIVE, ENOENT},
        {ERROR_BAD_NETPATH, ENOENT},
        {ERROR_BAD_NET_NAME, ENOENT},
        {ERROR_BAD_PATHNAME, ENOENT},
        {ERROR_INVALID_NAME, ENOENT},
        {ERROR_ACCESS_DENIED, EACCES},
        {ERROR_SHARING_VIOLATION, EACCES},
        {ERROR_LOCK_VIOLATION, EACCES},
        {ERROR_NETWORK_ACCESS_DENIED, EACCES},
        {ERROR_DELETE_PENDING, EACCES},
        {ERROR_DIRECTORY, ENOTDIR},
        {ERROR_TOO_MANY_OPEN_FILES, EMFILE},
        {ERROR_NOT_ENOUGH_MEMORY, ENOMEM},
        {ERROR_OUTOFMEMORY, ENOMEM},
        {ERROR_NO_SYSTEM_RESOURCES, ENOMEM},
        {ERROR_INVALID_HANDLE, EBADF},
        {ERROR_INVALID_PARAMETER, EINVAL},
        {ERROR_DISK_FULL, ENOSPC},
        {ERROR_HANDLE_DISK_FULL, ENOSPC},
        {1295 /* ERROR_DISK_QUOTA_EXCEEDED */, ENOSPC},
        {ERROR_WRITE_PROTECT, EROFS},
        {ERROR_BROKEN_PIPE, EPIPE},
        {ERROR_NO_DATA, EPIPE},
        {ERROR_FILENAME_EXCED_RANGE, ENAMETOOLONG},
        {ERROR_CANT_RESOLVE_FILENAME, ELOOP},
        {ERROR_NETNAME_DELETED, ECONNRESET},
        {ERROR_CONNECTION_ABORTED, ECONNABORTED},
        {WSAEACCES, EACCES},
        {WSAEBADF, EBADF},
        {WSAENOTSOCK, EBADF}, /* a closed one: the number is no other kind of handle's */
        {WSAEFAULT, EFAULT},
        {WSAEINVAL, EINVAL},
        {WSAEWOULDBLOCK, EAGAIN},
        {WSAENOTCONN, ENOTCONN},
        {WSAESHUTDOWN, EPIPE},
        {WSAECONNRESET, ECONNRESET},
        {WSAECONNABORTED, ECONNABORTED},
        {WSAENETRESET, ENETRESET},
        {WSAENETDOWN, ENETDOWN},
        {WSAENETUNREACH, ENETUNREACH},
        {WSAEHOSTUNREACH, EHOSTUNREACH},
        {WSAETIMEDOUT, ETIMEDOUT},
        {WSAENOBUFS, ENOBUFS},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].code == code) return known[i].number;
    return EIO;
}

/* The code point at `p`, of a string that ends in NUL, and how many bytes it has; 0: none. */
static unsigned decode(const uint8_t *p, uint32_t *code) {
    unsigned size = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    *code = size == 1 ? p[0] : size == 2 ? p[0] & 0x1Fu : size == 3 ? p[0] & 0xFu : p[0] & 7u;
    for (unsigned i = 1; i < size; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0; /* the NUL, too */
        *code = *code << 6 | (p[i] & 0x3Fu);
    }
    return p[0] < 0xF5 && *code >= least[size] && *code <= 0x10FFFF ? size : 0;
}

wchar_t *dl_windows_name(const char *name) {
    const uint8_t *p = (const uint8_t *)name;
    wchar_t *wide = calloc(strlen(name) + 1, sizeof *wide);
    if (!wide) errno = ENOMEM;
    for (size_t at = 0; wide && *p;) {
        uint32_t code;
        unsigned size = decode(p, &code);
        if (size == 0) {
            free(wide);
            errno = EILSEQ;
            return NULL;
        }
        p += size;
        if (code >= 0x10000) wide[at++] = (wchar_t)(0xD7C0 + (code >> 10));
        wide[at++] = (wchar_t)(code >= 0x10000 ? 0xDC00 | (code & 0x3FF) : code);
    }
    return wide;
}

dl_status dl_windows_name_back(dl_bytes *into, const wchar_t *name, size_t size) {
    into->length = 0;
    for (size_t i = 0; i < size; i++) {
        uint32_t code = name[i];
        bool pair = code >> 10 == 0x36 && i + 1 < size && name[i + 1] >> 10 == 0x37;
        if (pair) code = ((code & 0x3FF) << 10 | (name[++i] & 0x3FFu)) + 0x10000;
        uint8_t raw[4];
        size_t count = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
        for (size_t k = count; k-- > 1; code >>= 6) raw[k] = (uint8_t)(0x80 | (code & 0x3F));
        raw[0] = (uint8_t)(lead[count] | code);
        dl_status status = dl_bytes_append(into, raw, count);
        if (status != DL_OK) return status;
    }
    return dl_bytes_append(into, "", 1);
}

static bool begins_with(const wchar_t *text, const wchar_t *prefix) {
    return wcsncmp(text, prefix, wcslen(prefix)) == 0;
}

/* "C:\a" to "\\?\C:\a", "\\server\share\a" to "\\?\UNC\server\share\a". `path` is freed. */
static wchar_t *verbatim(wchar_t *path) {
    if (begins_with(path, L"\\\\?\\")) return path;
    bool share = begins_with(path, L"\\\\");
    const wchar_t *prefix = share ? L"\\\\?\\UNC" : L"\\\\?\\", *rest = share ? path + 1 : path;
    size_t before = wcslen(prefix), size = wcslen(rest) + 1;
    wchar_t *made = calloc(before + size, sizeof *made);
    if (made) {
        memcpy(made, prefix, before * sizeof *made);
        memcpy(made + before, rest, size * sizeof *made);
    }
    free(path);
    errno = ENOMEM;
    return made;
}

wchar_t *dl_windows_path(const char *name) {
    wchar_t *wide = dl_windows_name(name);
    if (!wide || begins_with(wide, L"\\\\?\\")) return wide;
    /* Makes it absolute, "/" to "\", and devices to "\\.\CON". */
    DWORD room = wide[0] ? GetFullPathNameW(wide, 0, NULL, NULL) : 0;
    wchar_t *full = room ? calloc(room, sizeof *full) : NULL;
    DWORD size = full ? GetFullPathNameW(wide, room, full, NULL) : 0;
    int reason = room && !full ? ENOMEM : size < room && size > 0 ? 0 : ENOENT;
    free(wide);
    if (!reason && begins_with(full, L"\\\\.\\")) reason = EINVAL;
    if (!reason) return verbatim(full);
    free(full);
    errno = reason;
    return NULL;
}
