#include "raster.h"

dl_status dl_raster_check(const dl_raster *raster, const char *codec, dl_error *error) {
    const dl_raster *r = raster;
    if (r->rows == 0 || r->columns == 0 || r->rows > DL_RASTER_SIDE || r->columns > DL_RASTER_SIDE)
        return dl_fail(error, DL_ERR_UNSUPPORTED, 0,
                       "%s codes 1 to 65,535 rows and columns, not %u x %u", codec, r->rows,
                       r->columns);
    if (r->samples == 0 || r->samples > 4)
        return dl_fail(error, DL_ERR_UNSUPPORTED, 0, "%s codes 1 to 4 samples a pixel, not %u",
                       codec, r->samples);
    if ((r->sample_bytes != 1 && r->sample_bytes != 2) || r->bits < 2 ||
        r->bits > 8 * r->sample_bytes)
        return dl_fail(error, DL_ERR_UNSUPPORTED, 0,
                       "%s codes 2 to 16 bits in samples of 1 or 2 bytes, not %u in %u", codec,
                       r->bits, r->sample_bytes);
    return DL_OK;
}

dl_status dl_raster_refuse(const dl_raster *raster, const uint8_t *row, uint32_t number,
                           size_t step, size_t count, dl_error *error) {
    int32_t half = (int32_t)1 << (raster->bits - 1);
    int32_t least = raster->is_signed ? -half : 0,
            most = raster->is_signed ? half - 1 : 2 * half - 1;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = row + i * step * raster->sample_bytes;
        int32_t value = raster->sample_bytes == 1 ? *at : dl_load_u16(at, false);
        int32_t top = (int32_t)1 << (8 * raster->sample_bytes - 1);
        if (raster->is_signed && value >= top) value -= 2 * top;
        if (value < least || value > most)
            return dl_fail(error, DL_ERR_PIXEL, 0,
                           "expected values from %d to %d (BitsStored %u), found %d in row %u, "
                           "column %zu: give the true BitsStored, or clear the unused bits first",
                           least, most, raster->bits, value, number, i * step / raster->samples);
    }
    return DL_OK;
}

dl_status dl_raster_load(const dl_raster *raster, const uint8_t *row, uint32_t number, size_t step,
                         uint16_t *line, size_t count, dl_error *error) {
    /* Shifted by half the range, signed values that fit are below 2^bits as unsigned ones are. */
    const unsigned half = raster->is_signed ? 1U << (raster->bits - 1) : 0;
    const unsigned mask = (1U << raster->bits) - 1,
                   whole = raster->sample_bytes == 1 ? 0xFF : 0xFFFF;
    unsigned beyond = 0;
    if (raster->sample_bytes == 1) {
        for (size_t i = 0; i < count; i++) {
            unsigned value = row[i * step];
            beyond |= (value + half) & whole;
            line[i] = (uint16_t)(value & mask);
        }
    } else if (step == 1) {
        for (size_t i = 0; i < count; i++) {
            unsigned value = dl_load_u16(row + 2 * i, false);
            beyond |= (value + half) & whole;
            line[i] = (uint16_t)(value & mask);
        }
    } else {
        for (size_t i = 0; i < count; i++) {
            unsigned value = dl_load_u16(row + 2 * i * step, false);
            beyond |= (value + half) & whole;
            line[i] = (uint16_t)(value & mask);
        }
    }
    return beyond > mask ? dl_raster_refuse(raster, row, number, step, count, error) : DL_OK;
}

void dl_raster_store(const dl_raster *raster, uint8_t *row, size_t step, const uint16_t *line,
                     size_t count, uint32_t bits) {
    /* Of unsigned samples nothing is changed. */
    const bool extends = raster->is_signed && bits < 16;
    const unsigned sign = extends ? 1U << (bits - 1) : 0, mask = extends ? 2 * sign - 1 : 0xFFFF;
    if (raster->sample_bytes == 1)
        for (size_t i = 0; i < count; i++)
            row[i * step] = (uint8_t)(((line[i] & mask) ^ sign) - sign);
    else
        for (size_t i = 0; i < count; i++) {
            unsigned value = ((line[i] & mask) ^ sign) - sign;
            row[2 * i * step] = (uint8_t)value;
            row[2 * i * step + 1] = (uint8_t)(value >> 8);
        }
}
