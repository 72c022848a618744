#include "jpeg_ls_plan.h"

static int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }
static int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

/* A.4.1 */
static int32_t median(int32_t ra, int32_t rb, int32_t rc) {
    return ra + rb - smaller(larger(ra, smaller(rb, rc)), larger(rb, rc));
}

static void above(const dl_ls_model *model, const dl_ls_line *line, size_t samples) {
    const size_t count = line->width * samples;
    const int8_t *quantize = model->quantize;
    for (size_t i = 0; i < count; i++) {
        const uint16_t *at = line->above + i;
        int32_t rb = at[0], rc = *(at - samples), rd = at[samples];
        line->plan.context[i] = (int16_t)(81 * quantize[rd - rb] + 9 * quantize[rb - rc]);
        line->plan.least[i] = (int16_t)smaller(rb, rc);
        line->plan.most[i] = (int16_t)larger(rb, rc);
    }
}

static void whole(const dl_ls_model *model, const dl_ls_line *line, size_t samples) {
    const size_t count = line->width * samples;
    const int8_t *quantize = model->quantize;
    for (size_t i = 0; i < count; i++) {
        const uint16_t *at = line->above + i, *now = line->current + i;
        int32_t ra = *(now - samples), rb = at[0], rc = *(at - samples), rd = at[samples];
        int32_t index = 81 * quantize[rd - rb] + 9 * quantize[rb - rc] + quantize[rc - ra];
        int32_t predicted = median(ra, rb, rc), sign = index < 0 ? -1 : 1;
        int32_t below = predicted, beyond = model->parameters.maxval - predicted;
        line->plan.context[i] = (int16_t)(sign * index);
        line->plan.error[i] = (int16_t)(sign * (*now - predicted));
        line->plan.least[i] = (int16_t)-smaller(sign < 0 ? beyond : below, 128);
        line->plan.most[i] = (int16_t)smaller(sign < 0 ? below : beyond, 127);
    }
}

const dl_ls_planners dl_ls_planners_plain = {above, whole};
