/* Parameters and first states of JPEG-LS, and room for its lines. */
#include <stdlib.h>

#include "jpeg_ls.h"

enum { BASIC_T1 = 3, BASIC_T2 = 7, BASIC_T3 = 21, MAXVAL_FOR_T = 4095 };

static int32_t clamp(int32_t value, int32_t least, int32_t most) {
    return value > most || value < least ? least : value; /* as C.2.4.1.1.1 has it */
}

static int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

void dl_ls_default_thresholds(dl_ls_parameters *p) {
    int32_t most = p->maxval, near = p->near;
    if (most >= 128) {
        int32_t factor = ((most < MAXVAL_FOR_T ? most : MAXVAL_FOR_T) + 128) / 256;
        p->t1 = clamp(factor * (BASIC_T1 - 2) + 2 + 3 * near, near + 1, most);
        p->t2 = clamp(factor * (BASIC_T2 - 3) + 3 + 5 * near, p->t1, most);
        p->t3 = clamp(factor * (BASIC_T3 - 4) + 4 + 7 * near, p->t2, most);
    } else {
        int32_t factor = 256 / (most + 1);
        p->t1 = clamp(larger(2, BASIC_T1 / factor + 3 * near), near + 1, most);
        p->t2 = clamp(larger(3, BASIC_T2 / factor + 5 * near), p->t1, most);
        p->t3 = clamp(larger(4, BASIC_T3 / factor + 7 * near), p->t2, most);
    }
}

static int8_t quantize(const dl_ls_parameters *p, int32_t d) {
    int32_t size = d < 0 ? -d : d;
    int region = (size > p->near) + (size >= p->t1) + (size >= p->t2) + (size >= p->t3);
    return (int8_t)((d < 0 ? -region : region) * DL_LS_SCALE);
}

dl_status dl_ls_quantizer_make(dl_ls_quantizer *quantizer, const dl_ls_parameters *parameters,
                               dl_error *error) {
    const dl_ls_parameters *p = parameters, *old = &quantizer->made_for;
    if (quantizer->bytes.length > 0 && old->maxval == p->maxval && old->near == p->near &&
        old->t1 == p->t1 && old->t2 == p->t2 && old->t3 == p->t3)
        return DL_OK;
    size_t side = 2 * (size_t)p->maxval + 1;
    quantizer->bytes.length = 0;
    if (dl_bytes_reserve(&quantizer->bytes, 2 * side) != DL_OK)
        return dl_fail(error, DL_ERR_MEMORY, 0, "no memory for the tables of JPEG-LS");
    int8_t *table = (int8_t *)quantizer->bytes.data;
    for (int32_t d = -p->maxval; d <= p->maxval; d++) {
        int8_t region = quantize(p, d);
        table[p->maxval + d] = region;
        table[(size_t)(p->maxval - d) + side] = region;
    }
    quantizer->made_for = *p;
    quantizer->bytes.length = 2 * side;
    return DL_OK;
}

/* Bits of numbers below `count`. */
static int32_t bits_for(int32_t count) {
    int32_t bits = 0;
    while ((int32_t)1 << bits < count) bits++;
    return bits;
}

void dl_ls_model_start(dl_ls_model *model, const dl_ls_parameters *parameters,
                       const dl_ls_quantizer *quantizer) {
    const dl_ls_parameters *p = parameters;
    int32_t step = 2 * p->near + 1, bpp = larger(2, bits_for(p->maxval + 1));
    model->parameters = *p;
    model->range = (p->maxval + 2 * p->near) / step + 1;
    model->qbpp = bits_for(model->range);
    model->limit = 2 * (bpp + larger(8, bpp));
    model->usual = p->near == 0 && model->range == (int32_t)1 << p->bits && p->reset == DL_LS_RESET;
    size_t side = 2 * (size_t)p->maxval + 1;
    model->quantize = (const int8_t *)quantizer->bytes.data + p->maxval;
    model->quantize_reversed = model->quantize + side;
    int32_t a = larger(2, (model->range + 32) / 64);
    dl_ls_context context = {.lean = DL_LS_LEAN + 1,
                             .n = DL_LS_STEP,
                             .a = (uint32_t)a,
                             .past = (uint16_t)(63 - bits_for(a))};
    for (size_t i = 0; i < DL_LS_CONTEXTS; i++) model->contexts[i] = context;
    for (size_t i = 0; i < DL_LS_CONTEXTS; i++) model->counts[i] = 1;
    for (size_t i = 0; i < 2; i++) model->interruptions[i] = (dl_ls_interruption){a, 1, 0};
    memset(model->run_index, 0, sizeof model->run_index);
}

enum { SLACK = 16 }; /* places behind a line that kernels may read */

static size_t pitch_of(const dl_ls_lines *lines) { return lines->size + 2 * lines->pixel + SLACK; }

dl_status dl_ls_lines_make(dl_ls_lines *lines, uint32_t count, uint32_t pixel, uint32_t columns,
                           dl_error *error) {
    lines->count = count;
    lines->pixel = pixel;
    lines->size = (size_t)columns * pixel;
    size_t pitch = pitch_of(lines);
    lines->room.length = 0;
    if (dl_bytes_reserve(&lines->room, 2 * count * pitch * sizeof(uint16_t)) != DL_OK)
        return dl_fail(error, DL_ERR_MEMORY, 0, "no memory for a row of JPEG-LS");
    uint16_t *next = (uint16_t *)(void *)lines->room.data + pixel;
    for (uint32_t i = 0; i < count; i++) {
        lines->above[i] = next;
        lines->current[i] = next + pitch;
        next += 2 * pitch;
    }
    dl_ls_lines_clear(lines);
    return DL_OK;
}

void dl_ls_lines_clear(dl_ls_lines *lines) {
    for (uint32_t i = 0; i < lines->count; i++)
        memset(lines->above[i] - lines->pixel, 0, pitch_of(lines) * sizeof(uint16_t));
}

dl_ls_line dl_ls_line_begin(dl_ls_lines *lines, uint32_t index, uint32_t *run_index) {
    uint16_t *above = lines->above[index], *current = lines->current[index];
    const size_t size = lines->size, pixel = lines->pixel;
    memcpy(above + size, above + size - pixel, pixel * sizeof *above);
    memcpy(current - pixel, above, pixel * sizeof *above);
    return (dl_ls_line){above, current, lines->plan, lines->parts, size / pixel, run_index};
}

void dl_ls_line_end(dl_ls_lines *lines, uint32_t index) {
    uint16_t *done = lines->current[index];
    lines->current[index] = lines->above[index];
    lines->above[index] = done;
}
