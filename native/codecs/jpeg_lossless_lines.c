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

static void undo(unsigned predictor, const uint16_t *differences, const uint16_t *above,
                 size_t samples, size_t count, uint16_t *line) {
    for (size_t i = samples; i < count; i++) {
        size_t left = i - samples;
        line[i] =
            (uint16_t)(differences[i] + dl_predict(predictor, line[left], above[i], above[left]));
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
    if (vectors == DL_VECTORS_BEST && __builtin_cpu_supports("avx2")) return &dl_line_kernels_avx2;
#endif
    (void)vectors;
    return &dl_line_kernels_plain;
}
