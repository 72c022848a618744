/* What the files *_windows.c share: Windows' own header, its errors as errno, its names. */
#ifndef DICOMLOOM_BASE_SYSTEM_WINDOWS_H
#define DICOMLOOM_BASE_SYSTEM_WINDOWS_H

#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#if !defined(_WIN32_WINNT)
#define _WIN32_WINNT 0x0602 /* Windows 8: FileIdBothDirectoryInfo, SRWLOCK, WSAPoll */
#endif
#include <winsock2.h>
/* Behind winsock2.h, which must come first. */
#include <windows.h>

#include "dicomloom/base.h"

/* The errno for an error of Windows, or of Winsock. EIO where there is none. */
int dl_windows_errno(DWORD code);

/* Names are UTF-16 that need not be valid. Here they are UTF-8 that also has lone surrogates (the
 * "surrogatepass" of Python's os.fsencode), so that every file can be named.
 *
 * To UTF-16; NULL with errno: EILSEQ for other bytes, ENOMEM. The caller frees it. */
wchar_t *dl_windows_name(const char *name);
/* From UTF-16 of `size` units: a string in `into`, in place of what it had. */
DL_NODISCARD dl_status dl_windows_name_back(dl_bytes *into, const wchar_t *name, size_t size);

/* A whole path that Windows takes as it stands: "\\?\C:\...", so that it may be longer than 260
 * characters. NULL, with errno: also EINVAL for a device (CON, NUL, \\.\...), which no file is. */
wchar_t *dl_windows_path(const char *name);

#endif
