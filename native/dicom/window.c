#include <stdlib.h>

#include "dicomloom/dicom.h"

dl_status dl_window_attach(dl_window *window, const dl_source *source, dl_error *error) {
    if (!window->buffer) {
        window->buffer = malloc(DL_WINDOW_CAPACITY);
        if (!window->buffer) return dl_fail(error, DL_ERR_MEMORY, 0, "out of memory");
        window->capacity = DL_WINDOW_CAPACITY;
    }
    window->source = source;
    window->base = 0;
    window->end = DL_NO_END;
    window->size_known = false;
    window->bytes_read = 0;
    window->length = 0;
    return DL_OK;
}

dl_status dl_window_open(dl_window *window, const dl_source *source, size_t first,
                         dl_error *error) {
    dl_status status = dl_window_attach(window, source, error);
    if (status != DL_OK) return status;
    size_t got = 0;
    if (first > DL_WINDOW_FIRST) first = DL_WINDOW_FIRST;
    status = source->read_at(source->context, 0, window->buffer, first, &got, error);
    if (status != DL_OK) return status;
    window->length = got;
    window->bytes_read = got;
    if (got == 0) window->end = 0;
    return DL_OK;
}

void dl_window_free(dl_window *window) {
    free(window->buffer);
    *window = (dl_window){0};
}

dl_status dl_window_fill(dl_window *window, uint64_t offset, size_t size, const uint8_t **bytes,
                         dl_error *error) {
    *bytes = NULL;
    if (size > window->capacity)
        return dl_fail(error, DL_ERR_ARGUMENT, offset, "a window holds %zu bytes, not %zu",
                       window->capacity, size);
    if (offset > DL_NO_END - size) return DL_OK; /* past the end of anything */
    if (offset + size > window->end) return DL_OK;

    uint64_t start = offset - window->base;
    size_t kept = 0;
    if (offset >= window->base && start < window->length) {
        /* What is wanted begins in the window: keep its head, read on behind it. */
        kept = window->length - (size_t)start;
        memmove(window->buffer, window->buffer + start, kept);
    }
    bool onward = kept > 0 || start == window->length;
    window->base = offset;
    window->length = kept;
    /* A hop, or a little beyond the first read: a page or two. Reading on and on: take more. */
    size_t goal = onward && offset >= DL_WINDOW_FIRST ? window->capacity / 2 : DL_WINDOW_FIRST;
    if (goal < size) goal = size;
    /* A file that grows meanwhile shows no more than what its size, once asked, says. */
    if (goal > window->end - offset) goal = (size_t)(window->end - offset);
    while (window->length < size) {
        size_t got = 0;
        dl_status status = window->source->read_at(
            window->source->context, window->base + window->length, window->buffer + window->length,
            goal - window->length, &got, error);
        if (status != DL_OK) return status;
        if (got == 0) {
            if (!window->size_known) window->end = window->base + window->length;
            return DL_OK;
        }
        window->length += got;
        window->bytes_read += got;
    }
    *bytes = window->buffer;
    return DL_OK;
}

dl_status dl_window_size(dl_window *window, uint64_t *size, dl_error *error) {
    if (!window->size_known) {
        uint64_t end;
        dl_status status = window->source->size(window->source->context, &end, error);
        if (status != DL_OK) return status;
        window->end = end;
        window->size_known = true;
        if (end < window->base)
            window->length = 0;
        else if (window->length > end - window->base)
            window->length = (size_t)(end - window->base);
    }
    *size = window->end;
    return DL_OK;
}

dl_status dl_window_truncated(dl_window *window, uint32_t tag, dl_error *error) {
    uint64_t size;
    dl_status status = dl_window_size(window, &size, error);
    return status != DL_OK ? status
                           : dl_fail_tag(error, DL_ERR_TRUNCATED, tag, size, "truncated in");
}
