/* The planners for AVX2: sixteen samples at once, which may be more than there are. */
#include "jpeg_ls_plan.h"

#ifdef DL_HAVE_AVX2
#include <immintrin.h>

#define AVX2 static inline __attribute__((target("avx2")))
#define KERNEL static __attribute__((target("avx2")))

typedef struct limits {
    __m256i t[4]; /* what a gradient of region 1 to 4 is greater than */
} limits;

AVX2 __m256i load(const uint16_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* Sixteen plans, of which each vector has one part. */
AVX2 void store(dl_ls_plan *plan, __m256i context, __m256i base, __m256i least, __m256i most) {
    __m256i low = _mm256_unpacklo_epi16(context, base), high = _mm256_unpackhi_epi16(context, base);
    __m256i from = _mm256_unpacklo_epi16(least, most), to = _mm256_unpackhi_epi16(least, most);
    __m256i a = _mm256_unpacklo_epi32(low, from), b = _mm256_unpackhi_epi32(low, from);
    __m256i c = _mm256_unpacklo_epi32(high, to), d = _mm256_unpackhi_epi32(high, to);
    __m256i *into = (__m256i *)(void *)plan;
    _mm256_storeu_si256(into, _mm256_permute2x128_si256(a, b, 0x20));
    _mm256_storeu_si256(into + 1, _mm256_permute2x128_si256(c, d, 0x20));
    _mm256_storeu_si256(into + 2, _mm256_permute2x128_si256(a, b, 0x31));
    _mm256_storeu_si256(into + 3, _mm256_permute2x128_si256(c, d, 0x31));
}

AVX2 limits limits_of(const dl_ls_model *model) {
    const dl_ls_parameters *p = &model->parameters;
    limits l = {{_mm256_set1_epi16((int16_t)p->near), _mm256_set1_epi16((int16_t)(p->t1 - 1)),
                 _mm256_set1_epi16((int16_t)(p->t2 - 1)), _mm256_set1_epi16((int16_t)(p->t3 - 1))}};
    return l;
}

/* Minus the region of a - b (A.3.3), of numbers that are biased to be signed: what saturates is
 * beyond all thresholds. */
AVX2 __m256i region(__m256i a, __m256i b, const limits *l) {
    __m256i d = _mm256_subs_epi16(a, b);
    __m256i size = _mm256_max_epi16(d, _mm256_subs_epi16(_mm256_setzero_si256(), d));
    __m256i low =
        _mm256_add_epi16(_mm256_cmpgt_epi16(size, l->t[0]), _mm256_cmpgt_epi16(size, l->t[1]));
    __m256i high =
        _mm256_add_epi16(_mm256_cmpgt_epi16(size, l->t[2]), _mm256_cmpgt_epi16(size, l->t[3]));
    return _mm256_sign_epi16(_mm256_add_epi16(low, high), d);
}

AVX2 __m256i weighted(__m256i region, int weight) {
    return _mm256_mullo_epi16(region, _mm256_set1_epi16((int16_t)(-weight * DL_LS_SCALE)));
}

AVX2 __m256i biased(__m256i v) { return _mm256_xor_si256(v, _mm256_set1_epi16(INT16_MIN)); }

/* 81 Q1 + 9 Q2 */
AVX2 __m256i context(__m256i rb, __m256i rc, __m256i rd, const limits *l) {
    rb = biased(rb);
    return _mm256_add_epi16(weighted(region(biased(rd), rb, l), 81),
                            weighted(region(rb, biased(rc), l), 9));
}

KERNEL void above(const dl_ls_model *model, const dl_ls_line *line, size_t samples, size_t first,
                  size_t count) {
    if (model->parameters.t3 > INT16_MAX) {
        dl_ls_planners_plain.above(model, line, samples, first, count);
        return;
    }
    const limits l = limits_of(model);
    for (size_t i = 0; i < count; i += 16) {
        const uint16_t *at = line->above + first + i;
        __m256i rb = load(at), rc = load(at - samples), rd = load(at + samples);
        store(line->plan + i, context(rb, rc, rd, &l), rb, _mm256_min_epu16(rb, rc),
              _mm256_max_epu16(rb, rc));
    }
}

KERNEL void whole(const dl_ls_model *model, const dl_ls_line *line, size_t samples, size_t first,
                  size_t count) {
    const limits l = limits_of(model);
    const __m256i maxval = _mm256_set1_epi16((int16_t)model->parameters.maxval);
    for (size_t i = 0; i < count; i += 16) {
        const uint16_t *at = line->above + first + i, *now = line->current + first + i;
        __m256i ra = load(now - samples), rb = load(at), rc = load(at - samples);
        __m256i index = _mm256_add_epi16(context(rb, rc, load(at + samples), &l),
                                         weighted(region(biased(rc), biased(ra), &l), 1));
        __m256i sign = _mm256_srai_epi16(index, 15);
        __m256i near = _mm256_min_epu16(_mm256_max_epu16(ra, _mm256_min_epu16(rb, rc)),
                                        _mm256_max_epu16(rb, rc));
        __m256i below = _mm256_sub_epi16(_mm256_add_epi16(ra, rb), near);
        __m256i beyond = _mm256_sub_epi16(maxval, below);
        __m256i error = _mm256_xor_si256(_mm256_sub_epi16(load(now), below), sign);
        __m256i least =
            _mm256_min_epu16(_mm256_blendv_epi8(below, beyond, sign), _mm256_set1_epi16(128));
        __m256i most =
            _mm256_min_epu16(_mm256_blendv_epi8(beyond, below, sign), _mm256_set1_epi16(127));
        store(line->plan + i, _mm256_abs_epi16(index), _mm256_sub_epi16(error, sign),
              _mm256_sub_epi16(_mm256_setzero_si256(), least), most);
    }
}

AVX2 void store_part(uint16_t *first, int part, __m256i v) {
    _mm256_storeu_si256((__m256i *)(void *)(first + (ptrdiff_t)part * DL_LS_ROOM), v);
}

KERNEL void parts(const dl_ls_model *model, const dl_ls_line *line, size_t samples, size_t first,
                  size_t count) {
    if (model->parameters.t3 > INT16_MAX) {
        dl_ls_planners_plain.parts(model, line, samples, first, count);
        return;
    }
    const limits l = limits_of(model);
    const __m256i maxval = _mm256_set1_epi16((int16_t)model->parameters.maxval);
    for (size_t i = 0; i < count; i += 16) {
        const uint16_t *at = line->above + first + i;
        uint16_t *part = line->parts + i;
        __m256i rb = load(at), rc = load(at - samples);
        __m256i index = context(rb, rc, load(at + samples), &l);
        __m256i exchange = _mm256_and_si256(_mm256_srai_epi16(index, 15), maxval);
        rb = _mm256_xor_si256(rb, exchange);
        rc = _mm256_xor_si256(rc, exchange);
        store_part(part, DL_LS_INDEX, _mm256_abs_epi16(index));
        store_part(part, DL_LS_EXCHANGE, exchange);
        store_part(part, DL_LS_RB, rb);
        store_part(part, DL_LS_RC, rc);
        store_part(part, DL_LS_LEAST, _mm256_min_epu16(rb, rc));
        store_part(part, DL_LS_MOST, _mm256_max_epu16(rb, rc));
    }
}

const dl_ls_planners dl_ls_planners_avx2 = {above, whole, parts};
#else
typedef int dl_no_avx2; /* ISO C wants something in a file */
#endif
