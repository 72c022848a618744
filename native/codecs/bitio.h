/* Bits of entropy-coded segments, the most significant first, stuffed as ISO/IEC 10918-1 (F.1.2.3:
 * a byte 0 behind each 0xFF) or 14495-1 (A.1: a bit 0 behind each 0xFF) ask. */
#ifndef DICOMLOOM_CODECS_BITIO_H
#define DICOMLOOM_CODECS_BITIO_H

#include "dicomloom/base.h"

/* Eight bytes, the first the most significant. */
static inline uint64_t dl_load_be64(const uint8_t *p) {
#if defined(__GNUC__) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t value;
    memcpy(&value, p, sizeof value);
    return __builtin_bswap64(value);
#else
    return dl_load_u64(p, true);
#endif
}

static inline void dl_store_be64(uint8_t *p, uint64_t value) {
#if defined(__GNUC__) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    value = __builtin_bswap64(value);
    memcpy(p, &value, sizeof value);
#else
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(value >> (56 - 8 * i));
#endif
}

/* Whether any byte is 0xFF. Never misses one; exact. */
static inline bool dl_has_ff(uint64_t value) {
    uint64_t inverted = ~value; /* a byte of 0 there */
    return ((inverted - 0x0101010101010101) & value & 0x8080808080808080) != 0;
}

/* How many bits stand before the highest that is set; 64 for 0. */
static inline unsigned dl_leading_zeros(uint64_t value) {
#if defined(__GNUC__)
    return value ? (unsigned)__builtin_clzll(value) : 64;
#else
    unsigned n = 64;
    for (; value; value >>= 1) n--;
    return n;
#endif
}

/* --- bits without stuffing ---
 */

/* Writes to where there is room for eight bytes more than it writes. */
typedef struct dl_bit_writer {
    uint8_t *at;
    uint64_t bits;  /* of the byte that is not complete, from the highest bit */
    unsigned count; /* of them, at most 7 */
} dl_bit_writer;

enum { DL_PUT_MOST = 56 };

/* Puts a value of `length` bits, 1 to DL_PUT_MOST. There is no branch in it: no processor could
 * foresee when a byte is full. */
static inline void dl_put_bits(dl_bit_writer *writer, uint64_t value, unsigned length) {
    unsigned count = writer->count + length;
    uint64_t bits = writer->bits | value << (64 - count);
    dl_store_be64(writer->at, bits);
    writer->at += count >> 3;
    writer->bits = bits << (count & 56);
    writer->count = count & 7;
}

/* --- the bit stuffing of JPEG-LS ---
 */

/* Bytes that `bits` become at most, with a byte behind a last 0xFF. */
static inline size_t dl_stuffed_most(size_t bits) { return bits / 7 + 2; }

/* Bits that go out with stuffing; what does not fill a byte waits for more. */
typedef struct dl_bit_stuffer {
    uint8_t *out;
    bool after_ff;
} dl_bit_stuffer;

/* Takes `count` bits from `from`, but for the last that make no whole byte, and says how many it
 * took. Reads up to eight bytes behind them. */
size_t dl_stuff_bits(dl_bit_stuffer *stuffer, const uint8_t *from, size_t count);

/* The way back: what stands before a marker, or the end, as bits. */
typedef struct dl_bit_unstuffer {
    const uint8_t *at, *end;
    bool after_ff;
    uint64_t bits; /* of the byte of `out` that is not complete */
    unsigned count;
} dl_bit_unstuffer;

/* Fills up to `room` bytes, less than eight of them perhaps not, and says how many; what does not
 * fill a byte waits. It stands at a marker, or at the end, when it gives none. */
size_t dl_unstuff_bits(dl_bit_unstuffer *unstuffer, uint8_t *out, size_t room);

/* --- byte stuffing, ISO/IEC 10918-1 ------------------------------------------------------------
 */

typedef struct dl_byte_stuffer {
    uint64_t bits;  /* the lowest `count` are still to be written */
    unsigned count; /* at most 7 between calls */
    uint8_t *at;
} dl_byte_stuffer;

enum { DL_PUT_STUFFED_MOST = 16 }; /* bytes that dl_put_stuffed may write */

/* 1 to 56 bits; `value` has none above. Fewer than 8 bits remain unwritten. */
static inline void dl_put_stuffed(dl_byte_stuffer *writer, uint64_t value, unsigned length) {
    writer->bits = writer->bits << length | value;
    writer->count += length;
    uint64_t word = writer->bits << (64 - writer->count);
    if (DL_LIKELY(!dl_has_ff(word))) {
        dl_store_be64(writer->at, word);
        writer->at += writer->count / 8;
    } else {
        for (unsigned i = writer->count / 8; i > 0; i--, word <<= 8) {
            *writer->at++ = (uint8_t)(word >> 56);
            if (word >> 56 == 0xFF) *writer->at++ = 0;
        }
    }
    writer->count %= 8;
}

/* The last byte is filled with ones (F.1.2.3). */
static inline void dl_put_stuffed_end(dl_byte_stuffer *writer) {
    unsigned missing = 8 - writer->count;
    if (missing < 8) dl_put_stuffed(writer, (1u << missing) - 1, missing);
}

#endif
