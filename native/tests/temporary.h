/* A temporary file without a name to be removed, and devices, as descriptors. */
#ifndef DICOMLOOM_TESTS_TEMPORARY_H
#define DICOMLOOM_TESTS_TEMPORARY_H

/* The including program defines _XOPEN_SOURCE 700 before its first header. */
#include <fcntl.h>
#if defined(_WIN32)
#include <io.h>
#include <sys/stat.h>
#define NULL_DEVICE "NUL"
#else
#include <unistd.h>
#define NULL_DEVICE "/dev/null"
#endif

#include "check.h"

static inline int temporary_file(void) {
#if defined(_WIN32)
    char *name = _tempnam(NULL, "dicomloom");
    CHECK(name);
    int flags = _O_RDWR | _O_BINARY | _O_CREAT | _O_EXCL | _O_TEMPORARY;
    int descriptor = _open(name, flags, _S_IREAD | _S_IWRITE);
    free(name);
#else
    char name[] = "/tmp/dicomloom-test-XXXXXX";
    int descriptor = mkstemp(name);
    CHECK(descriptor >= 0 && unlink(name) == 0);
#endif
    CHECK(descriptor >= 0);
    return descriptor;
}

/* -1 where the system has no such device. */
static inline int open_device(const char *name, bool to_write) {
#if defined(_WIN32)
    return _open(name, to_write ? _O_WRONLY | _O_BINARY : _O_RDONLY | _O_BINARY);
#else
    return open(name, to_write ? O_WRONLY : O_RDONLY);
#endif
}

static inline void close_descriptor(int descriptor) {
    dl_source source;
    dl_source_descriptor(&source, descriptor);
    dl_source_close(&source);
}

#endif
