/* The twins for AVX2, chosen at run time: the rest of the library is built for any x86. */
#include "jpeg_lossless.h"

#ifdef DL_HAVE_AVX2
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

enum { LANES = 16 };

AVX2_INLINE __m256i read16(const uint16_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

AVX2_INLINE void write16(uint16_t *p, __m256i v) { _mm256_storeu_si256((__m256i *)(void *)p, v); }

AVX2_INLINE __m128i read8(const uint16_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

AVX2_INLINE uint16_t any_of(__m256i v) {
    __m128i x = _mm_or_si128(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    x = _mm_or_si128(x, _mm_srli_si128(x, 8));
    x = _mm_or_si128(x, _mm_srli_si128(x, 4));
    x = _mm_or_si128(x, _mm_srli_si128(x, 2));
    return (uint16_t)_mm_extract_epi16(x, 0);
}

AVX2_INLINE __m256i same16(uint16_t value) { return _mm256_set1_epi16((short)value); }

/* --- samples and lines -------------------------------------------------------------------------
 */

AVX2 static uint16_t load(const uint8_t *row, size_t count, const dl_form *form, uint16_t *line) {
    const __m256i mask = same16(form->mask), sign = same16(form->sign);
    const __m128i shift = _mm_cvtsi32_si128((int)form->shift);
    __m256i others = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        __m256i v;
        if (form->bytes == 2) {
            v = _mm256_loadu_si256((const __m256i *)(const void *)(row + 2 * i));
        } else {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(row + i));
            v = form->sign ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes);
        }
        others = _mm256_or_si256(others, _mm256_add_epi16(v, sign));
        write16(line + i, _mm256_srl_epi16(_mm256_and_si256(v, mask), shift));
    }
    uint16_t found = any_of(_mm256_andnot_si256(mask, others));
    if (i == count) return found;
    return found | dl_line_kernels_plain.load(row + i * form->bytes, count - i, form, line + i);
}

AVX2 static void store(const uint16_t *line, size_t count, const dl_form *form, uint8_t *row) {
    const __m256i mask = same16(form->mask), sign = same16(form->sign), low = same16(0xFF);
    const __m128i shift = _mm_cvtsi32_si128((int)form->shift);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        __m256i v = _mm256_and_si256(_mm256_sll_epi16(read16(line + i), shift), mask);
        v = _mm256_sub_epi16(_mm256_xor_si256(v, sign), sign);
        if (form->bytes == 2) {
            _mm256_storeu_si256((__m256i *)(void *)(row + 2 * i), v);
        } else {
            v = _mm256_and_si256(v, low);
            v = _mm256_permute4x64_epi64(_mm256_packus_epi16(v, v), 0x08);
            _mm_storeu_si128((__m128i *)(void *)(row + i), _mm256_castsi256_si128(v));
        }
    }
    if (i < count) dl_line_kernels_plain.store(line + i, count - i, form, row + i * form->bytes);
}

/* --- differences -------------------------------------------------------------------------------
 */

/* (b - c) / 2 rounded down, of numbers without sign: the average of b and 65535 - c is that much
 * above 2^15. */
AVX2_INLINE __m256i half_difference(__m256i b, __m256i c) {
    __m256i inverted = _mm256_xor_si256(c, same16(0xFFFF));
    return _mm256_xor_si256(_mm256_avg_epu16(b, inverted), same16(0x8000));
}

/* dl_predict; 1 to 7. */
AVX2_INLINE __m256i predict(unsigned predictor, const uint16_t *line, const uint16_t *above,
                            size_t left, size_t i) {
    __m256i a = read16(line + left), b = read16(above + i), c = read16(above + left);
    switch (predictor) {
    case 1: return a;
    case 2: return b;
    case 3: return c;
    case 4: return _mm256_sub_epi16(_mm256_add_epi16(a, b), c);
    case 5: return _mm256_add_epi16(a, half_difference(b, c));
    case 6: return _mm256_add_epi16(b, half_difference(a, c));
    default: /* the average rounds up */
        return _mm256_sub_epi16(_mm256_avg_epu16(a, b),
                                _mm256_and_si256(_mm256_xor_si256(a, b), same16(1)));
    }
}

AVX2_INLINE void differ_by(unsigned predictor, const uint16_t *line, const uint16_t *above,
                           size_t samples, size_t count, uint16_t bias, uint16_t *into) {
    const __m256i more = same16(bias);
    for (size_t i = samples; i < count; i += LANES) {
        __m256i predicted = predict(predictor, line, above, i - samples, i);
        write16(into + i, _mm256_add_epi16(_mm256_sub_epi16(read16(line + i), predicted), more));
    }
}

AVX2 static void differ(unsigned predictor, const uint16_t *line, const uint16_t *above,
                        size_t samples, size_t count, uint16_t bias, uint16_t *into) {
    switch (predictor) {
    case 1: differ_by(1, line, above, samples, count, bias, into); return;
    case 2: differ_by(2, line, above, samples, count, bias, into); return;
    case 3: differ_by(3, line, above, samples, count, bias, into); return;
    case 4: differ_by(4, line, above, samples, count, bias, into); return;
    case 5: differ_by(5, line, above, samples, count, bias, into); return;
    case 6: differ_by(6, line, above, samples, count, bias, into); return;
    default: differ_by(7, line, above, samples, count, bias, into); return;
    }
}

/* --- how often each category occurs ------------------------------------------------------------
 */

enum {
    BLOCK = 3 * LANES
}; /* in every such block, a lane belongs to one component: 1, 2, 3 or 4
      of them */

/* Differences to their sizes. Returns all their bits. */
AVX2_INLINE uint16_t sizes(uint16_t *differences, size_t count) {
    __m256i all = _mm256_setzero_si256();
    for (size_t i = 0; i < count; i += LANES) {
        __m256i size = _mm256_abs_epi16(read16(differences + i));
        all = _mm256_or_si256(all, size);
        write16(differences + i, size);
    }
    return any_of(all);
}

/* 32768, which has a sign here, is counted one by one; it counts as 32767 once more. */
static void count_largest(uint16_t *sizes_found, size_t samples, size_t count,
                          uint64_t counts[DL_COMPONENTS][DL_CATEGORIES]) {
    for (size_t i = 0; i < count; i++) {
        if (sizes_found[i] != 0x8000) continue;
        counts[i % samples][16]++;
        counts[i % samples][15]--;
        sizes_found[i] = 0x7FFF;
    }
}

AVX2_INLINE uint64_t sum_of(__m256i v) {
    __m256i pairs = _mm256_madd_epi16(v, same16(1));
    __m128i x = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
    x = _mm_add_epi32(x, _mm_srli_si128(x, 8));
    x = _mm_add_epi32(x, _mm_srli_si128(x, 4));
    return (uint32_t)_mm_cvtsi128_si32(x);
}

/* `found` have at least this category: they are not of the one below. */
AVX2_INLINE void move_up(uint64_t *counts, unsigned category, uint64_t found) {
    counts[category] += found;
    counts[category - 1] -= found;
}

AVX2_INLINE void spread(const __m256i found[3], size_t samples, unsigned category,
                        uint64_t counts[DL_COMPONENTS][DL_CATEGORIES]) {
    uint16_t lanes[BLOCK];
    __m256i all = _mm256_add_epi16(_mm256_add_epi16(found[0], found[1]), found[2]);
    if (samples == 1) {
        move_up(counts[0], category, sum_of(all));
    } else if (samples == 3) {
        for (size_t v = 0; v < 3; v++) write16(lanes + v * LANES, found[v]);
        for (size_t i = 0; i < BLOCK; i++) move_up(counts[i % 3], category, lanes[i]);
    } else {
        write16(lanes, all);
        for (size_t i = 0; i < LANES; i++) move_up(counts[i % samples], category, lanes[i]);
    }
}

AVX2_INLINE __m256i add_above(__m256i found, __m256i size, __m256i limit) {
    return _mm256_sub_epi16(found, _mm256_cmpgt_epi16(size, limit));
}

/* Compares with the limits of two categories at a time. */
AVX2 static void count_categories(uint16_t *differences, size_t samples, size_t count,
                                  uint64_t counts[DL_COMPONENTS][DL_CATEGORIES]) {
    uint16_t all = sizes(differences, count);
    for (size_t k = 0; k < samples; k++) counts[k][0] += count / samples;
    if (all & 0x8000) count_largest(differences, samples, count, counts);
    if (all & 0x8000) all = 0x7FFF;
    for (unsigned category = 1; all >> (category - 1) != 0; category += 2) {
        __m256i a[3], b[3];
        __m256i low = same16((uint16_t)((1u << (category - 1)) - 1)), high = same16(0x7FFF);
        if (category < 15) high = same16((uint16_t)((1u << category) - 1));
        for (size_t v = 0; v < 3; v++) a[v] = b[v] = _mm256_setzero_si256();
        for (size_t i = 0; i < count; i += BLOCK) {
            for (size_t v = 0; v < 3; v++) {
                __m256i size = read16(differences + i + v * LANES);
                a[v] = add_above(a[v], size, low);
                b[v] = add_above(b[v], size, high);
            }
        }
        spread(a, samples, category, counts);
        if (category < 15) spread(b, samples, category + 1, counts);
    }
}

/* --- decoding ----------------------------------------------------------------------------------
 */

/* The low and the high byte of 2^category - 1, for categories to 15. */
static const uint8_t LOW_ONES[16] = {0,   1,   3,   7,   15,  31,  63,  127,
                                     255, 255, 255, 255, 255, 255, 255, 255};
static const uint8_t HIGH_ONES[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 7, 15, 31, 63, 127};

AVX2_INLINE __m256i twice(const uint8_t *p) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p));
}

AVX2 static void extend(const uint16_t *values, const uint8_t *categories, size_t count,
                        uint16_t *differences) {
    const __m256i low = twice(LOW_ONES), high = twice(HIGH_ONES), five = same16(0x1F);
    for (size_t i = 0; i < count; i += LANES) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(categories + i));
        __m256i category = _mm256_and_si256(_mm256_cvtepu8_epi16(bytes), five);
        __m256i top = _mm256_slli_epi16(_mm256_shuffle_epi8(high, category), 8);
        __m256i mask = _mm256_or_si256(_mm256_shuffle_epi8(low, category), top);
        __m256i value = _mm256_and_si256(read16(values + i), mask);
        __m256i positive = _mm256_cmpgt_epi16(value, _mm256_srli_epi16(mask, 1));
        write16(differences + i, _mm256_sub_epi16(value, _mm256_andnot_si256(positive, mask)));
    }
}

/* --- undoing differences -----------------------------------------------------------------------
 */

/* Each of eight, plus those before it that are `samples`, 2 * `samples` ... away. */
AVX2_INLINE __m128i prefix(__m128i v, size_t samples) {
    switch (samples) {
    case 1: v = _mm_add_epi16(v, _mm_slli_si128(v, 2)); /* fall through */
    case 2: v = _mm_add_epi16(v, _mm_slli_si128(v, 4)); /* fall through */
    case 4: return _mm_add_epi16(v, _mm_slli_si128(v, 8));
    default:
        v = _mm_add_epi16(v, _mm_slli_si128(v, 6));
        return _mm_add_epi16(v, _mm_slli_si128(v, 12));
    }
}

/* Where the last of a component stands in eight, for each of the next eight. */
AVX2_INLINE __m128i last_of(size_t samples) {
    uint16_t places[8];
    for (size_t i = 0; i < 8; i++) {
        size_t at = 2 * (8 - samples + i % samples);
        places[i] = (uint16_t)(at | (at + 1) << 8);
    }
    return read8(places);
}

/* Predictors 1, 4 and 5, which are the left neighbour and what the line above says. Behind the end,
 * sums go on with whatever is there. */
AVX2_INLINE void sum_up(unsigned predictor, const uint16_t *differences, const uint16_t *above,
                        size_t samples, size_t count, uint16_t *line) {
    const __m128i last = last_of(samples), ones = _mm_set1_epi16(-1), top = _mm_set1_epi16(-32768);
    uint16_t first[8] = {0};
    for (size_t k = 0; k < samples; k++)
        first[8 - samples + k] = (uint16_t)(line[k] - (predictor == 4 ? above[k] : 0));
    __m128i sum = read8(first);
    for (size_t i = samples; i < count; i += 8) {
        __m128i v = read8(differences + i), b = read8(above + i);
        if (predictor == 5) {
            __m128i c = _mm_xor_si128(read8(above + i - samples), ones);
            v = _mm_add_epi16(v, _mm_xor_si128(_mm_avg_epu16(b, c), top));
        }
        sum = _mm_add_epi16(prefix(v, samples), _mm_shuffle_epi8(sum, last));
        __m128i made = predictor == 4 ? _mm_add_epi16(sum, b) : sum;
        _mm_storeu_si128((__m128i *)(void *)(line + i), made);
    }
}

AVX2_INLINE void sum_samples(unsigned predictor, const uint16_t *differences, const uint16_t *above,
                             size_t samples, size_t count, uint16_t *line) {
    switch (samples) {
    case 1: sum_up(predictor, differences, above, 1, count, line); return;
    case 2: sum_up(predictor, differences, above, 2, count, line); return;
    case 3: sum_up(predictor, differences, above, 3, count, line); return;
    default: sum_up(predictor, differences, above, 4, count, line); return;
    }
}

AVX2 static void undo(unsigned predictor, const uint16_t *differences, const uint16_t *above,
                      size_t samples, size_t count, uint16_t *line) {
    const uint16_t *from = predictor == 2 ? above + samples : above;
    switch (predictor) {
    case 1: sum_samples(1, differences, above, samples, count, line); return;
    case 4: sum_samples(4, differences, above, samples, count, line); return;
    case 5: sum_samples(5, differences, above, samples, count, line); return;
    case 2:
    case 3:
        for (size_t i = samples; i < count; i += LANES)
            write16(line + i,
                    _mm256_add_epi16(read16(differences + i), read16(from + i - samples)));
        return;
    default: dl_line_kernels_plain.undo(predictor, differences, above, samples, count, line);
    }
}

const dl_line_kernels dl_line_kernels_avx2 = {load, differ, count_categories, extend, undo, store};
#else
typedef int dl_no_avx2_lines; /* ISO C wants something in a file */
#endif
