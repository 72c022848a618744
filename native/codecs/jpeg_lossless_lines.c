/* Kernels over lines, in plain C. */
#include "jpeg_lossless.h"

static uint16_t load(const uint8_t *row, size_t count, const dl_form *form, uint16_t *line) {
    uint32_t others = 0, extend = form->sign ? 0x80 : 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t value = form->bytes == 1 ? (row[i] ^ extend) - extend
                                          : (uint32_t)(row[2 * i] | row[2 * i + 1] << 8);
        others |= value + form->sign;
        line[i] = (uint16_t)((value & form->mask) >> form->shift);
    }
    return (uint16_t)(others & ~(uint32_t)form->mask);
}

static void differ(unsigned predictor, const uint16_t *line, const uint16_t *above, size_t samples,
                   size_t count, uint16_t bias, uint16_t *into) {
    for (size_t i = samples; i < count; i++) {
        size_t left = i - samples;
        into[i] =
            (uint16_t)(line[i] + bias - dl_predict(predictor, line[left], above[i], above[left]));
    }
}

static void count_categories(uint16_t *differences, size_t samples, size_t count,
                             uint64_t counts[DL_COMPONENTS][DL_CATEGORIES]) {
    for (size_t i = 0; i < count; i += samples)
        for (size_t k = 0; k < samples; k++) counts[k][dl_category(differences[i + k])]++;
}

static void extend(const uint16_t *values, const uint8_t *categories, size_t count,
                   uint16_t *differences) {
    for (size_t i = 0; i < count; i++) {
        uint32_t mask = (1u << (categories[i] & 15)) - 1, value = values[i] & mask;
        differences[i] = (uint16_t)(value > mask >> 1 ? value : value - mask);
    }
}

/* The neighbour to the left stays in a register: one sample waits for the other. */
DL_ALWAYS_INLINE void undo_by(const unsigned predictor, const uint16_t *differences,
                              const uint16_t *above, const size_t samples, size_t count,
                              uint16_t *line) {
    uint16_t a[DL_COMPONENTS];
    for (size_t k = 0; k < samples; k++) a[k] = line[k];
    for (size_t i = samples; i < count; i += samples)
        for (size_t k = 0; k < samples; k++) {
            size_t at = i + k;
            a[k] = (uint16_t)(differences[at] +
                              dl_predict(predictor, a[k], above[at], above[at - samples]));
            line[at] = a[k];
        }
}

DL_ALWAYS_INLINE void undo_samples(const unsigned predictor, const uint16_t *differences,
                                   const uint16_t *above, size_t samples, size_t count,
                                   uint16_t *line) {
    switch (samples) {
    case 1: undo_by(predictor, differences, above, 1, count, line); return;
    case 2: undo_by(predictor, differences, above, 2, count, line); return;
    case 3: undo_by(predictor, differences, above, 3, count, line); return;
    default: undo_by(predictor, differences, above, 4, count, line); return;
    }
}

static void undo(unsigned predictor, const uint16_t *differences, const uint16_t *above,
                 size_t samples, size_t count, uint16_t *line) {
    switch (predictor) {
    case 6: undo_samples(6, differences, above, samples, count, line); return;
    case 7: undo_samples(7, differences, above, samples, count, line); return;
    default:
        for (size_t i = samples; i < count; i++) {
            size_t left = i - samples;
            line[i] = (uint16_t)(differences[i] +
                                 dl_predict(predictor, line[left], above[i], above[left]));
        }
    }
}

static void store(const uint16_t *line, size_t count, const dl_form *form, uint8_t *row) {
    for (size_t i = 0; i < count; i++) {
        uint32_t value = ((uint32_t)line[i] << form->shift) & form->mask;
        value = (value ^ form->sign) - form->sign;
        if (form->bytes == 1) {
            row[i] = (uint8_t)value;
        } else {
            row[2 * i] = (uint8_t)value;
            row[2 * i + 1] = (uint8_t)(value >> 8);
        }
    }
}

const dl_line_kernels dl_line_kernels_plain = {load, differ, count_categories, extend, undo, store};

const dl_line_kernels *dl_line_kernels_get(dl_vectors vectors) {
#ifdef DL_HAVE_AVX2
    if (dl_has_avx2(vectors)) return &dl_line_kernels_avx2;
#endif
    (void)vectors;
    return &dl_line_kernels_plain;
}
