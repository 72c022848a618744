#include "jpeg_ls_plan.h"

static int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }
static int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

/* A.4.1 */
static int32_t median(int32_t ra, int32_t rb, int32_t rc) {
    return ra + rb - smaller(larger(ra, smaller(rb, rc)), larger(rb, rc));
}

static void above(const dl_ls_model *model, const dl_ls_line *line, size_t samples, size_t first,
                  size_t count) {
    const int8_t *quantize = model->quantize;
    for (size_t i = 0; i < count; i++) {
        const uint16_t *at = line->above + first + i;
        int32_t rb = at[0], rc = *(at - samples), rd = at[samples];
        line->plan[i] =
            (dl_ls_plan){(int16_t)(81 * quantize[rd - rb] + 9 * quantize[rb - rc]), (uint16_t)rb,
                         (uint16_t)smaller(rb, rc), (uint16_t)larger(rb, rc)};
    }
}

static void whole(const dl_ls_model *model, const dl_ls_line *line, size_t samples, size_t first,
                  size_t count) {
    const int8_t *quantize = model->quantize;
    for (size_t i = 0; i < count; i++) {
        const uint16_t *at = line->above + first + i, *now = line->current + first + i;
        int32_t ra = *(now - samples), rb = at[0], rc = *(at - samples), rd = at[samples];
        int32_t index = 81 * quantize[rd - rb] + 9 * quantize[rb - rc] + quantize[rc - ra];
        int32_t predicted = median(ra, rb, rc), sign = index < 0 ? -1 : 1;
        int32_t below = predicted, beyond = model->parameters.maxval - predicted;
        line->plan[i] = (dl_ls_plan){(int16_t)(sign * index), (uint16_t)(sign * (*now - predicted)),
                                     (uint16_t)-smaller(sign < 0 ? beyond : below, 128),
                                     (uint16_t)smaller(sign < 0 ? below : beyond, 127)};
    }
}

static void parts(const dl_ls_model *model, const dl_ls_line *line, size_t samples, size_t first,
                  size_t count) {
    const int8_t *quantize = model->quantize;
    for (size_t i = 0; i < count; i++) {
        const uint16_t *at = line->above + first + i;
        int32_t rb = at[0], rc = *(at - samples), rd = at[samples];
        int32_t index = 81 * quantize[rd - rb] + 9 * quantize[rb - rc];
        int32_t exchange = index < 0 ? model->parameters.maxval : 0;
        uint16_t *part = line->parts + i;
        rb ^= exchange;
        rc ^= exchange;
        part[DL_LS_INDEX * DL_LS_ROOM] = (uint16_t)(index < 0 ? -index : index);
        part[DL_LS_EXCHANGE * DL_LS_ROOM] = (uint16_t)exchange;
        part[DL_LS_RB * DL_LS_ROOM] = (uint16_t)rb;
        part[DL_LS_RC * DL_LS_ROOM] = (uint16_t)rc;
        part[DL_LS_LEAST * DL_LS_ROOM] = (uint16_t)smaller(rb, rc);
        part[DL_LS_MOST * DL_LS_ROOM] = (uint16_t)larger(rb, rc);
    }
}

const dl_ls_planners dl_ls_planners_plain = {above, whole, parts};
