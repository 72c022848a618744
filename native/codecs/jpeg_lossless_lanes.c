/* Huffman streams fall into step by themselves: who begins in the middle of a symbol soon meets a
 * place where one begins. So four lanes read at a time, the first from where a symbol begins, the
 * others from guesses; as none waits for the others, the processor does four lookups in the time
 * of one. Then each is followed until it stands where a symbol of the next one began, and goes on
 * as that one: what a place gives does not depend on how it was reached, so only symbols are taken
 * that one lane alone would have read too. What is behind a lane that no other one joins is thrown
 * away, and read again. */
#include "jpeg_lossless_lanes.h"

#include "bitio.h"

/* --- lanes -------------------------------------------------------------------------------------
 */

DL_ALWAYS_INLINE uint64_t bits_at(const uint8_t *data, size_t at) {
    return dl_load_be64(data + (at >> 3)) << (at & 7);
}

/* Where the lanes stand goes from places[k] to ends[k]. Where a symbol has no entry a lane stands
 * still, which needs no test. It is written out so that all is kept in registers. */
DL_ALWAYS_INLINE void run(dl_lanes *lanes, const uint16_t *table, unsigned width,
                          const uint8_t *data, const size_t places[DL_LANES],
                          size_t ends[DL_LANES]) {
    const unsigned unseen = 64 - width;
    size_t at[DL_LANES] = {places[0], places[1], places[2], places[3]};
    for (size_t i = 0; i < DL_LANE_SYMBOLS; i += 2) {
        uint64_t bits[DL_LANES] = {bits_at(data, at[0]), bits_at(data, at[1]), bits_at(data, at[2]),
                                   bits_at(data, at[3])};
#define DL_READ(k, place)                                                                          \
    do {                                                                                           \
        uint32_t entry = table[bits[k] >> unseen];                                                 \
        lanes->entries[k][place] = (uint16_t)entry;                                                \
        lanes->tops[k][place] = (uint32_t)(bits[k] >> 32);                                         \
        bits[k] <<= entry & 63;                                                                    \
        at[k] += entry & 0xFF;                                                                     \
    } while (0)
        DL_READ(0, i);
        DL_READ(1, i);
        DL_READ(2, i);
        DL_READ(3, i);
        DL_READ(0, i + 1);
        DL_READ(1, i + 1);
        DL_READ(2, i + 1);
        DL_READ(3, i + 1);
#undef DL_READ
    }
    for (size_t k = 0; k < DL_LANES; k++) ends[k] = at[k];
}

/* Symbols to values, in the lowest bits, and categories. */
DL_ALWAYS_INLINE void split(const uint32_t *restrict tops, const uint16_t *restrict entries,
                            size_t count, uint16_t *restrict values, uint8_t *restrict categories) {
    for (size_t i = 0; i < count; i += 16)
        for (size_t k = i; k < i + 16; k++) {
            values[k] = (uint16_t)(tops[k] >> (-(uint32_t)entries[k] & 31));
            categories[k] = (uint8_t)(entries[k] >> 8);
        }
}

typedef void (*run_lanes)(dl_lanes *, const uint16_t *, unsigned, const uint8_t *, const size_t *,
                          size_t *);
typedef void (*split_symbols)(const uint32_t *, const uint16_t *, size_t, uint16_t *, uint8_t *);

static void run_plainly(dl_lanes *lanes, const uint16_t *table, unsigned width, const uint8_t *data,
                        const size_t *places, size_t *ends) {
    run(lanes, table, width, data, places, ends);
}

static void split_plainly(const uint32_t *tops, const uint16_t *entries, size_t count,
                          uint16_t *values, uint8_t *categories) {
    split(tops, entries, count, values, categories);
}

#ifdef DL_HAVE_AVX2
__attribute__((target("avx2,bmi,bmi2"))) static void
run_quickly(dl_lanes *lanes, const uint16_t *table, unsigned width, const uint8_t *data,
            const size_t *places, size_t *ends) {
    run(lanes, table, width, data, places, ends);
}

__attribute__((target("avx2,bmi,bmi2"))) static void split_quickly(const uint32_t *tops,
                                                                   const uint16_t *entries,
                                                                   size_t count, uint16_t *values,
                                                                   uint8_t *categories) {
    split(tops, entries, count, values, categories);
}
#endif

/* --- from one to the next ----------------------------------------------------------------------
 */

/* Marks where the first symbols of lane k begin, by their number and 1. Returns how many bits it is
 * to behind the last mark. */
static size_t mark(dl_lanes *lanes, size_t k) {
    size_t place = 0;
    memset(lanes->marks, 0, sizeof lanes->marks);
    for (size_t i = 0; i < DL_LANE_MARKED; i++) {
        lanes->marks[place] = (uint8_t)(i + 1);
        if (lanes->entries[k][i] == 0) return place + 1;
        if (i + 1 < DL_LANE_MARKED) place += lanes->entries[k][i] & 0xFF;
    }
    return place + 1;
}

/* Of the symbols `from` to `count` of a lane, which ends at bit *at: how many stand before one that
 * begins at a mark, the last of these; `count` if none does. *at goes with it. */
static size_t step_back(const dl_lanes *lanes, const uint16_t *entries, size_t from, size_t count,
                        size_t start, size_t reach, size_t *at) {
    size_t place = *at;
    for (size_t i = count;; i--) {
        if (place < start) return count;
        if (place - start < reach && lanes->marks[place - start] != 0) {
            *at = place;
            return i;
        }
        if (i == from) return count;
        place -= entries[i - 1] & 0xFF;
    }
}

/* Reads on to a mark, for DL_LANE_SYMBOLS at most. */
static size_t step_on(const dl_lanes *lanes, const uint16_t *table, unsigned width,
                      const uint8_t *data, size_t start, size_t reach, size_t *at, uint16_t *values,
                      uint8_t *categories) {
    size_t count = 0, place = *at;
    while (count < DL_LANE_SYMBOLS &&
           (place < start || (place - start < reach && lanes->marks[place - start] == 0))) {
        uint64_t bits = bits_at(data, place);
        uint32_t entry = table[bits >> (64 - width)];
        if (entry == 0) break;
        values[count] = (uint16_t)(bits >> (-entry & 63));
        categories[count++] = (uint8_t)(entry >> 8);
        place += entry & 0xFF;
    }
    *at = place;
    return count;
}

size_t dl_lanes_read(dl_lanes *lanes, const uint16_t *table, unsigned width, const uint8_t *data,
                     size_t *at, size_t pace, uint16_t *values, uint8_t *categories) {
    size_t places[DL_LANES], ends[DL_LANES], got = 0, from = 0;
    run_lanes run_them = run_plainly;
    split_symbols split_them = split_plainly;
#ifdef DL_HAVE_AVX2
    if (lanes->has_bmi2) {
        run_them = run_quickly;
        split_them = split_quickly;
    }
#endif
    for (size_t k = 0; k < DL_LANES; k++) places[k] = *at + k * pace * DL_LANE_SYMBOLS;
    run_them(lanes, table, width, data, places, ends);
    for (size_t k = 0; k < DL_LANES; k++) {
        const uint16_t *entries = lanes->entries[k];
        size_t count = DL_LANE_SYMBOLS, reach = 0, next = k + 1;
        while (count > from && entries[count - 1] == 0) count--;
        *at = ends[k];
        bool goes_on = next < DL_LANES && count == DL_LANE_SYMBOLS;
        if (goes_on) {
            reach = mark(lanes, next);
            count = step_back(lanes, entries, from, count, places[next], reach, at);
        }
        split_them(lanes->tops[k] + from, entries + from, count - from, values + got,
                   categories + got);
        got += count - from;
        if (!goes_on) break;
        got += step_on(lanes, table, width, data, places[next], reach, at, values + got,
                       categories + got);
        if (*at < places[next] || *at - places[next] >= reach) break;
        if (lanes->marks[*at - places[next]] == 0) break;
        from = lanes->marks[*at - places[next]] - 1u;
    }
    return got;
}
