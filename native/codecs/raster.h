/* Rows of a dl_raster as lines of 16 bit patterns, and back. */
#ifndef DICOMLOOM_CODECS_RASTER_H
#define DICOMLOOM_CODECS_RASTER_H

#include "dicomloom/codecs.h"

/* DL_ERR_UNSUPPORTED unless `codec` can code such a frame: 1 to 4 samples of 2 to 16 bits. */
DL_NODISCARD dl_status dl_raster_check(const dl_raster *raster, const char *codec, dl_error *error);

/* Bytes of a row without what may stand between rows. */
static inline size_t dl_raster_row(const dl_raster *raster) {
    return (size_t)raster->columns * raster->samples * raster->sample_bytes;
}

/* The DL_ERR_PIXEL for the first of `count` samples, `step` apart, that needs more than
 * raster->bits; `number` is that of the row. DL_OK where there is none. */
dl_status dl_raster_refuse(const dl_raster *raster, const uint8_t *row, uint32_t number,
                           size_t step, size_t count, dl_error *error);

/* Loads `count` samples that stand `step` samples apart from the first on, or fails as
 * dl_raster_refuse does. */
DL_NODISCARD dl_status dl_raster_load(const dl_raster *raster, const uint8_t *row, uint32_t number,
                                      size_t step, uint16_t *line, size_t count, dl_error *error);

/* Stores them, with the sign that a signed raster has in bit `bits` - 1; see dl_raster_load. */
void dl_raster_store(const dl_raster *raster, uint8_t *row, size_t step, const uint16_t *line,
                     size_t count, uint32_t bits);

#endif
