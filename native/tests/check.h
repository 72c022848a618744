/* What every test needs: a check that survives NDEBUG, and numbers that are random but the same on
 * every run. */
#ifndef DICOMLOOM_TESTS_CHECK_H
#define DICOMLOOM_TESTS_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dicomloom/base.h"

/* At once: a leak that comes of stopping half-way is nothing to report. */
#ifndef CHECK_FAILED
#define CHECK_FAILED() _Exit(1)
#endif

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);          \
            CHECK_FAILED();                                                                        \
        }                                                                                          \
    } while (0)

/* Like CHECK, and says which case of a table of cases it was. */
#define CHECK_CASE(condition, ...)                                                                 \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: not so: %s: ", __FILE__, __LINE__, #condition);          \
            (void)fprintf(stderr, __VA_ARGS__);                                                    \
            (void)fputc('\n', stderr);                                                             \
            CHECK_FAILED();                                                                        \
        }                                                                                          \
    } while (0)

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* splitmix64 (Steele, Lea and Flood 2014). */
static inline uint64_t random_next(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15ULL;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
    return z ^ z >> 31;
}

static inline uint64_t random_below(uint64_t *state, uint64_t bound) {
    return random_next(state) % bound;
}

static inline bool bytes_equal(const dl_bytes *bytes, const char *text, size_t size) {
    return bytes->length == size && (size == 0 || memcmp(bytes->data, text, size) == 0);
}

#endif
