/* Allocations of the core, counted, measured, and made to fail: the linker sends malloc, calloc and
 * realloc here (--wrap). What libc allocates for itself is not. */
#ifndef DICOMLOOM_TESTS_FAILING_MALLOC_H
#define DICOMLOOM_TESTS_FAILING_MALLOC_H

#include <stdatomic.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

static atomic_long allocations;      /* since it was set to 0 */
static atomic_long failing_one = -1; /* the one that fails, counted from 0; -1: none */
static atomic_size_t largest_allocation;

static inline int allocation_fails(size_t size) {
    size_t largest = largest_allocation;
    while (size > largest && !atomic_compare_exchange_weak(&largest_allocation, &largest, size)) {
    }
    return atomic_fetch_add(&allocations, 1) == failing_one;
}

void *__wrap_malloc(size_t size) { return allocation_fails(size) ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t count, size_t size) {
    return allocation_fails(count * size) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size) {
    return allocation_fails(size) ? NULL : __real_realloc(block, size);
}

#endif
