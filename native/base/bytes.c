#include <stdlib.h>

#include "dicomloom/base.h"

dl_status dl_bytes_grow(dl_bytes *bytes, size_t extra) {
    if (extra > SIZE_MAX / 2 - bytes->length) return DL_ERR_MEMORY;
    size_t wanted = bytes->length + extra;
    size_t capacity = bytes->capacity ? bytes->capacity : 64;
    while (capacity < wanted) capacity += capacity / 2;
    uint8_t *data = realloc(bytes->data, capacity);
    if (!data) return DL_ERR_MEMORY;
    bytes->data = data;
    bytes->capacity = capacity;
    return DL_OK;
}

void dl_bytes_free(dl_bytes *bytes) {
    free(bytes->data);
    bytes->data = NULL;
    bytes->length = bytes->capacity = 0;
}
