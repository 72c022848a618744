/* Connections in memory that cut, end and fail where a test says, PDUs to bring over them, and what
 * PS3.8 9.3.5 and E.2 say that these are: found without a receiver, all bytes at hand. */
#ifndef DICOMLOOM_TESTS_WIRES_H
#define DICOMLOOM_TESTS_WIRES_H

#include <errno.h>

#include "check.h"
#include "dicomloom/network.h"

/* Brings `data`, then ends, or fails with `os_error`. */
typedef struct bringing {
    const uint8_t *data;
    size_t size, at;
    size_t step;     /* at most so many bytes at a time; 0: all */
    uint64_t random; /* not 0: any number of bytes up to `step` */
    int os_error;
} bringing;

static inline size_t portion(size_t step, uint64_t *random, size_t most) {
    size_t size = step && step < most ? step : most;
    return *random ? 1 + (size_t)random_below(random, size) : size;
}

static inline dl_status bring(void *context, void *into, size_t room, double deadline,
                              size_t *count, dl_error *error) {
    bringing *b = context;
    (void)deadline;
    CHECK(room > 0);
    *count = 0;
    size_t left = b->size - b->at;
    if (left == 0) return b->os_error ? dl_fail_os(error, b->os_error, NULL) : DL_OK;
    *count = portion(b->step, &b->random, left < room ? left : room);
    memcpy(into, b->data + b->at, *count);
    b->at += *count;
    return DL_OK;
}

/* Takes all that is sent, or fails with `os_error` where more than `most` bytes were. */
typedef struct taking {
    dl_bytes taken;
    size_t step, most;
    uint64_t random;
    int os_error;
} taking;

static inline dl_status take(void *context, const void *data, size_t size, double deadline,
                             size_t *count, dl_error *error) {
    taking *t = context;
    (void)deadline;
    CHECK(size > 0);
    *count = 0;
    if (t->os_error && t->taken.length >= t->most) return dl_fail_os(error, t->os_error, NULL);
    *count = portion(t->step, &t->random, size);
    return dl_bytes_append(&t->taken, data, *count);
}

/* --- PDUs --------------------------------------------------------------------------------------
 */

static inline void put_u32(dl_bytes *bytes, uint32_t value) {
    uint8_t raw[] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                     (uint8_t)value};
    CHECK(dl_bytes_append(bytes, raw, sizeof raw) == DL_OK);
}

/* The header of a P-DATA-TF that says that it has `length` bytes. */
static inline void put_pdu(dl_bytes *bytes, uint32_t length) {
    CHECK(dl_bytes_append(bytes, "\x04", 2) == DL_OK);
    put_u32(bytes, length);
}

/* A presentation data value, with as many bytes as it says. */
static inline void put_fragment(dl_bytes *bytes, int context_id, int control, const void *data,
                                size_t size) {
    uint8_t head[] = {(uint8_t)context_id, (uint8_t)control};
    put_u32(bytes, (uint32_t)size + 2);
    CHECK(dl_bytes_append(bytes, head, sizeof head) == DL_OK);
    CHECK(dl_bytes_append(bytes, data, size) == DL_OK);
}

/* --- what bytes are ----------------------------------------------------------------------------
 */

typedef struct fragment {
    size_t offset, size;
    uint8_t context_id, control;
    bool cut; /* the bytes end within it, or with it where more were announced */
} fragment;

enum { MOST_FRAGMENTS = 4096 };

typedef struct meaning {
    fragment fragments[MOST_FRAGMENTS];
    size_t count;
    dl_status status;   /* what comes behind the fragments */
    dl_arrival arrival; /* of DL_OK */
    size_t at;          /* where */
} meaning;

static inline bool ends_with(meaning *m, dl_status status, dl_arrival arrival, size_t at) {
    m->status = status;
    m->arrival = arrival;
    m->at = at;
    return false;
}

/* The fragments of the PDU at `at`, whose body ends at `end`; false where nothing can follow. */
static inline bool understand_pdu(meaning *m, const uint8_t *data, size_t size, size_t at,
                                  size_t end) {
    while (at < end) {
        if (end - at < DL_FRAGMENT_HEADER) return ends_with(m, DL_ERR_CORRUPT, 0, at);
        if (at + DL_FRAGMENT_HEADER > size) return ends_with(m, DL_ERR_TRUNCATED, 0, at);
        size_t length = dl_load_u32(data + at, true);
        if (length < 2 || length > end - at - 4) return ends_with(m, DL_ERR_CORRUPT, 0, at);
        fragment f = {at + 6, length - 2, data[at + 4], data[at + 5], at + 4 + length > size};
        if (f.cut) f.size = size - f.offset;
        CHECK(m->count < MOST_FRAGMENTS);
        m->fragments[m->count++] = f;
        if (f.cut) return ends_with(m, DL_ERR_TRUNCATED, 0, size);
        at += 4 + length;
    }
    return true;
}

static inline void understand(meaning *m, const uint8_t *data, size_t size, uint32_t most) {
    size_t at = 0;
    m->count = 0;
    for (;;) {
        if (at == size) break;
        if (data[at] != DL_PDU_P_DATA) {
            (void)ends_with(m, DL_OK, DL_ARRIVED_OTHER, at);
            return;
        }
        if (size - at < DL_PDU_HEADER) {
            (void)ends_with(m, DL_ERR_TRUNCATED, 0, at);
            return;
        }
        uint32_t length = dl_load_u32(data + at + 2, true);
        if (length > most || length == 0) {
            (void)ends_with(m, length ? DL_ERR_LIMIT : DL_ERR_CORRUPT, 0, at);
            return;
        }
        at += DL_PDU_HEADER;
        if (!understand_pdu(m, data, size, at, at + length)) return;
        at += length;
    }
    (void)ends_with(m, DL_OK, DL_ARRIVED_END, at);
}

/* --- what a receiver makes of them -------------------------------------------------------------
 */

static inline bool same_part(const fragment *one, const fragment *other) {
    return one->context_id == other->context_id &&
           (one->control & DL_FRAGMENT_COMMAND) == (other->control & DL_FRAGMENT_COMMAND);
}

/* Holds one part that a receiver brought against the fragments from `first` on; returns how many
 * these are. `status` is what dl_receive_part said. */
static inline size_t check_part(const meaning *m, const uint8_t *data, size_t first,
                                const dl_bytes *part, dl_status status) {
    size_t at = 0, i = first;
    for (; i < m->count; i++) {
        const fragment *f = &m->fragments[i];
        if (!same_part(f, &m->fragments[first])) {
            CHECK(status == DL_ERR_CORRUPT && at == part->length);
            return i - first;
        }
        CHECK(part->length - at >= f->size);
        CHECK(f->size == 0 || memcmp(part->data + at, data + f->offset, f->size) == 0);
        at += f->size;
        if (f->cut) break;
        if (f->control & DL_FRAGMENT_LAST) {
            CHECK(status == DL_OK && at == part->length);
            return i + 1 - first;
        }
    }
    CHECK(at == part->length);
    CHECK(status == (m->status == DL_OK ? DL_ERR_TRUNCATED : m->status));
    return m->count - first;
}

/* Receives all that a wire brings, and holds it against what the bytes are. Stops behind the first
 * part that ends badly. */
static inline void check_received(const meaning *m, const uint8_t *data, dl_receiver *receiver) {
    size_t next = 0;
    for (;;) {
        dl_arrival arrival = DL_ARRIVED_NOTHING;
        dl_error error = {0};
        dl_status status = dl_receive_fragment(receiver, 0, &arrival, &error);
        CHECK(status == DL_OK || (error.code == status && error.message[0]));
        if (next == m->count) {
            CHECK(status == m->status && (status != DL_OK || arrival == m->arrival));
            CHECK(status != DL_OK ||
                  receiver->received - (receiver->length - receiver->at) == m->at);
            return;
        }
        CHECK(status == DL_OK && arrival == DL_ARRIVED_FRAGMENT);
        CHECK(receiver->context_id == m->fragments[next].context_id);
        CHECK(receiver->control == m->fragments[next].control);
        dl_bytes part = {0};
        dl_sink sink = {.memory = &part, .descriptor = -1, .most = UINT64_MAX};
        status = dl_receive_part(receiver, &sink, &error);
        CHECK(sink.size == part.length);
        CHECK(status == DL_OK || (error.code == status && error.message[0]));
        next += check_part(m, data, next, &part, status);
        dl_bytes_free(&part);
        if (status != DL_OK) return;
    }
}

#endif
