/* What an earlier index holds: an open-addressed table of hashes. */
#include <stdatomic.h>
#include <stdlib.h>

#include "dicomloom/scan.h"

enum { USED = 1, AMBIGUOUS = 2, UNCHANGED = 4 };

typedef struct entry {
    uint64_t path, state;
} entry;

struct dl_known {
    entry *entries;
    atomic_uchar *flags;
    size_t capacity; /* a power of two */
    size_t count;
};

/* Multiply and fold, eight bytes at a time (the idea of MUM hashes). */
static uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9E3779B97F4A7C15ULL;
    return hash ^ hash >> 29;
}

static uint64_t hash_path(const char *path, size_t size) {
    uint64_t hash = mix(0x8BADF00D5EED1234ULL, size); /* a size must not undo a byte's change */
    while (size >= 8) {
        uint64_t word;
        memcpy(&word, path, 8);
        hash = mix(hash, word);
        path += 8;
        size -= 8;
    }
    uint64_t rest = 0;
    memcpy(&rest, path, size);
    hash = mix(hash, rest);
    return mix(hash, hash >> 32);
}

static uint64_t hash_state(uint64_t size, int64_t modified_ns, uint64_t inode) {
    return mix(mix(mix(0x1234567812345678ULL, size), (uint64_t)modified_ns), inode);
}

dl_known *dl_known_new(void) { return calloc(1, sizeof(dl_known)); }

void dl_known_free(dl_known *known) {
    if (!known) return;
    free(known->entries);
    free(known->flags);
    free(known);
}

/* The slot that holds the path, or the free one where it would go. */
static size_t slot(const dl_known *known, uint64_t path) {
    size_t mask = known->capacity - 1, at = (size_t)path & mask;
    while ((known->flags[at] & USED) && known->entries[at].path != path) at = (at + 1) & mask;
    return at;
}

static dl_status grow(dl_known *known) {
    dl_known bigger = {.capacity = known->capacity ? known->capacity * 2 : 1024};
    bigger.entries = calloc(bigger.capacity, sizeof *bigger.entries);
    bigger.flags = calloc(bigger.capacity, sizeof *bigger.flags);
    if (!bigger.entries || !bigger.flags) {
        free(bigger.entries);
        free(bigger.flags);
        return DL_ERR_MEMORY;
    }
    for (size_t i = 0; i < known->capacity; i++) {
        if (!(known->flags[i] & USED)) continue;
        size_t at = slot(&bigger, known->entries[i].path);
        bigger.entries[at] = known->entries[i];
        bigger.flags[at] = known->flags[i];
    }
    bigger.count = known->count;
    free(known->entries);
    free(known->flags);
    *known = bigger;
    return DL_OK;
}

dl_status dl_known_add(dl_known *known, const char *path, size_t path_size, uint64_t size,
                       int64_t modified_ns, uint64_t inode) {
    if (known->count >= known->capacity - known->capacity / 8 || known->capacity == 0) {
        dl_status status = grow(known);
        if (status != DL_OK) return status;
    }
    uint64_t hash = hash_path(path, path_size);
    size_t at = slot(known, hash);
    if (known->flags[at] & USED) {
        known->flags[at] |= AMBIGUOUS; /* a name twice, or a collision: read such files again */
        return DL_OK;
    }
    known->entries[at] = (entry){hash, hash_state(size, modified_ns, inode)};
    known->flags[at] = USED;
    known->count++;
    return DL_OK;
}

dl_known_state dl_known_check(dl_known *known, const char *path, size_t path_size, uint64_t size,
                              int64_t modified_ns, uint64_t inode) {
    if (known->capacity == 0) return DL_KNOWN_NEW;
    size_t at = slot(known, hash_path(path, path_size));
    if (!(known->flags[at] & USED)) return DL_KNOWN_NEW;
    if ((known->flags[at] & AMBIGUOUS) ||
        known->entries[at].state != hash_state(size, modified_ns, inode))
        return DL_KNOWN_CHANGED;
    atomic_fetch_or(&known->flags[at], UNCHANGED);
    return DL_KNOWN_UNCHANGED;
}

bool dl_known_keeps(const dl_known *known, const char *path, size_t path_size, uint64_t size,
                    int64_t modified_ns, uint64_t inode) {
    if (known->capacity == 0) return false;
    size_t at = slot(known, hash_path(path, path_size));
    return (known->flags[at] & USED) && (known->flags[at] & UNCHANGED) &&
           known->entries[at].state == hash_state(size, modified_ns, inode);
}
