/* A source that gives less than it is asked for, as sources may. */
#ifndef DICOMLOOM_FUZZ_TRICKLE_H
#define DICOMLOOM_FUZZ_TRICKLE_H

#include "dicomloom/base.h"

/* Gives one to seven bytes at a time. */
typedef struct trickle {
    const uint8_t *data;
    size_t size;
    unsigned turn;
} trickle;

static dl_status trickle_read(void *context, uint64_t offset, void *into, size_t size, size_t *got,
                              dl_error *error) {
    trickle *t = context;
    (void)error;
    *got = 0;
    if (offset >= t->size) return DL_OK;
    size_t left = t->size - (size_t)offset;
    *got = 1 + t->turn++ % 7;
    if (t->size > 4096) *got *= 512; /* slow is for the small */
    if (*got > left) *got = left;
    if (*got > size) *got = size;
    memcpy(into, t->data + offset, *got);
    return DL_OK;
}

static dl_status trickle_size(void *context, uint64_t *size, dl_error *error) {
    (void)error;
    *size = ((const trickle *)context)->size;
    return DL_OK;
}

#endif
