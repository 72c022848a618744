#include "dicomloom/base.h"

static dl_status memory_read_at(void *context, uint64_t offset, void *into, size_t size,
                                size_t *got, dl_error *error) {
    (void)error;
    const dl_memory *memory = context;
    size_t left = offset < memory->size ? memory->size - (size_t)offset : 0;
    *got = size < left ? size : left;
    if (*got) memcpy(into, memory->data + offset, *got);
    return DL_OK;
}

static dl_status memory_size(void *context, uint64_t *size, dl_error *error) {
    (void)error;
    *size = ((const dl_memory *)context)->size;
    return DL_OK;
}

void dl_source_memory(dl_source *source, dl_memory *memory) {
    *source = (dl_source){.context = memory, .read_at = memory_read_at, .size = memory_size};
}
