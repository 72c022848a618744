#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dicomloom/base.h"

/* The descriptor itself is the context: no allocation for a file that is read once. */
static dl_status descriptor_read_at(void *context, uint64_t offset, void *into, size_t size,
                                    size_t *got, dl_error *error) {
    int descriptor = (int)(intptr_t)context;
    *got = 0;
    /* A declared length can point anywhere; past what off_t can say there is no file. */
    if (offset > (uint64_t)INT64_MAX - size) return DL_OK;
    ssize_t n;
    do {
        n = pread(descriptor, into, size, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        int reason = errno;
        dl_status status = dl_fail_os(error, reason, NULL);
        if (error) error->offset = offset;
        return status;
    }
    *got = (size_t)n;
    return DL_OK;
}

static dl_status descriptor_size(void *context, uint64_t *size, dl_error *error) {
    struct stat st;
    if (fstat((int)(intptr_t)context, &st) != 0) return dl_fail_os(error, errno, NULL);
    *size = (uint64_t)st.st_size;
    return DL_OK;
}

static void descriptor_close(void *context) { (void)close((int)(intptr_t)context); }

void dl_source_descriptor(dl_source *source, int descriptor) {
    *source = (dl_source){.context = (void *)(intptr_t)descriptor,
                          .read_at = descriptor_read_at,
                          .size = descriptor_size,
                          .close = descriptor_close};
}

int dl_descriptor_write(int descriptor, const void *data, size_t size) {
    const uint8_t *next = data;
    while (size) {
        ssize_t n = write(descriptor, next, size);
        if (n < 0) {
            if (errno == EINTR) continue;
            return errno;
        }
        next += n;
        size -= (size_t)n;
    }
    return 0;
}
