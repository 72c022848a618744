/* The encoder of JPEG-LS: rows to lines, lines to bits, bits to stuffed bytes. */
#include <stdlib.h>

#include "jpeg_ls.h"
#include "jpeg_markers.h"
#include "raster.h"

enum {
    HEADER_MOST = 80,   /* all marker segments of a frame, or what stands between intervals */
    DEFAULTS_SURE = 12, /* bits with which all decoders have the same defaults */
    SPILL = 8,          /* bytes that storing eight at once may reach beyond */
};

/* One scan: the whole frame, or one component of it. */
typedef struct scan {
    dl_ls_model model;
    dl_bit_stuffer stuffer;
    dl_bit_writer writer;
    uint8_t *bits;  /* room for a line */
    dl_bytes coded; /* its capacity only grows */
} scan;

struct dl_jpeg_ls_encoder {
    const dl_ls_kernels *kernels;
    dl_raster raster;
    dl_jpeg_ls_options options;
    dl_ls_parameters parameters;
    dl_ls_quantizer quantizer;
    uint32_t rows_left, scans;
    uint64_t worst_scan;
    dl_ls_lines lines;
    dl_bytes bits; /* of a line of each scan */
    scan scan[DL_JPEG_LS_SAMPLES];
};

static uint32_t interleave_of(const dl_raster *raster, const dl_jpeg_ls_options *options) {
    return raster->samples == 1 ? DL_INTERLEAVE_NONE : options->interleave;
}

static uint32_t scans_of(const dl_raster *raster, const dl_jpeg_ls_options *options) {
    return interleave_of(raster, options) == DL_INTERLEAVE_NONE ? raster->samples : 1;
}

/* Bits of a row in one scan: LIMIT for each sample, which no state of the statistics lets all of
 * them need, and what ends a run. */
static uint64_t worst_row_of(const dl_raster *raster, const dl_jpeg_ls_options *options) {
    uint64_t samples = (uint64_t)raster->columns * raster->samples / scans_of(raster, options);
    uint64_t bpp = raster->bits, limit = 2 * (bpp + (bpp > 8 ? bpp : 8));
    return samples * (limit + 1) + 64;
}

static uint64_t worst_scan_of(const dl_raster *raster, const dl_jpeg_ls_options *options) {
    uint64_t bits = worst_row_of(raster, options) * raster->rows;
    uint64_t intervals = options->restart_rows ? raster->rows / options->restart_rows : 0;
    return bits / 7 + 4 * intervals + HEADER_MOST;
}

static dl_status check(const dl_raster *raster, const dl_jpeg_ls_options *options,
                       dl_error *error) {
    dl_status status = dl_raster_check(raster, "JPEG-LS", error);
    if (status != DL_OK) return status;
    uint32_t most = ((1U << raster->bits) - 1) / 2;
    if (most > DL_LS_NEAR_MOST) most = DL_LS_NEAR_MOST;
    if (options->near > most)
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "NEAR is at most %u with %u bits, not %u", most,
                       raster->bits, options->near);
    if (options->interleave > DL_INTERLEAVE_SAMPLE || options->restart_rows > UINT16_MAX)
        return dl_fail(error, DL_ERR_ARGUMENT, 0,
                       "interleave is 0, 1 or 2 and restart_rows at most 65,535, not %u and %u",
                       options->interleave, options->restart_rows);
    return DL_OK;
}

dl_status dl_jpeg_ls_bound(const dl_raster *raster, const dl_jpeg_ls_options *options,
                           uint64_t *bound, dl_error *error) {
    *bound = 0;
    dl_status status = check(raster, options, error);
    if (status == DL_OK) *bound = worst_scan_of(raster, options) * scans_of(raster, options);
    return status;
}

dl_jpeg_ls_encoder *dl_jpeg_ls_encoder_new(dl_vectors vectors) {
    dl_jpeg_ls_encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder) encoder->kernels = dl_ls_kernels_get(vectors);
    return encoder;
}

void dl_jpeg_ls_encoder_free(dl_jpeg_ls_encoder *encoder) {
    if (!encoder) return;
    for (size_t i = 0; i < DL_JPEG_LS_SAMPLES; i++) dl_bytes_free(&encoder->scan[i].coded);
    dl_bytes_free(&encoder->quantizer.bytes);
    dl_bytes_free(&encoder->lines.room);
    dl_bytes_free(&encoder->bits);
    free(encoder);
}

/* --- markers -----------------------------------------------------------------------------------
 */

/* SOI, SOF55 (C.2.2) and DRI (C.2.5). */
static uint8_t *put_frame_header(uint8_t *at, const dl_raster *raster, uint32_t restart_rows) {
    at = dl_jpeg_put_marker(dl_jpeg_put_marker(at, DL_SOI), DL_SOF55);
    at = dl_jpeg_put_u16(at, 8 + 3 * raster->samples);
    *at++ = (uint8_t)raster->bits;
    at = dl_jpeg_put_u16(dl_jpeg_put_u16(at, raster->rows), raster->columns);
    *at++ = (uint8_t)raster->samples;
    for (uint32_t i = 0; i < raster->samples; i++) {
        *at++ = (uint8_t)(i + 1);
        *at++ = 0x11; /* one sample a pixel, both ways */
        *at++ = 0;
    }
    if (restart_rows > 0)
        at = dl_jpeg_put_u16(dl_jpeg_put_u16(dl_jpeg_put_marker(at, DL_DRI), 4), restart_rows);
    return at;
}

/* LSE (C.2.4.1.1) with what would hold without it: with more than 12 bits, decoders are known that
 * have other defaults. */
static uint8_t *put_presets(uint8_t *at, const dl_ls_parameters *p) {
    at = dl_jpeg_put_u16(dl_jpeg_put_marker(at, DL_LSE), 13);
    *at++ = 1;
    at = dl_jpeg_put_u16(dl_jpeg_put_u16(at, (uint32_t)p->maxval), (uint32_t)p->t1);
    return dl_jpeg_put_u16(dl_jpeg_put_u16(dl_jpeg_put_u16(at, (uint32_t)p->t2), (uint32_t)p->t3),
                           (uint32_t)p->reset);
}

/* SOS (C.2.3) of `count` components from `first` on. */
static uint8_t *put_scan_header(uint8_t *at, uint32_t first, uint32_t count,
                                const dl_jpeg_ls_options *options) {
    at = dl_jpeg_put_u16(dl_jpeg_put_marker(at, DL_SOS), 6 + 2 * count);
    *at++ = (uint8_t)count;
    for (uint32_t i = 0; i < count; i++) {
        *at++ = (uint8_t)(first + i + 1);
        *at++ = 0; /* no mapping table */
    }
    *at++ = (uint8_t)options->near;
    *at++ = (uint8_t)(count == 1 ? DL_INTERLEAVE_NONE : options->interleave);
    *at++ = 0; /* no point transform */
    return at;
}

/* --- a frame -----------------------------------------------------------------------------------
 */

/* Room in a scan for `size` bytes more: geometric growth that ends at the bound. */
static dl_status reserve(const dl_jpeg_ls_encoder *encoder, scan *s, size_t size, dl_error *error) {
    size_t used = s->coded.data ? (size_t)(s->stuffer.out - s->coded.data) : 0;
    size_t wanted = used + size + SPILL;
    if (DL_LIKELY(wanted <= s->coded.capacity)) return DL_OK;
    uint64_t capacity = (uint64_t)s->coded.capacity + s->coded.capacity / 2;
    if (capacity > encoder->worst_scan + SPILL) capacity = encoder->worst_scan + SPILL;
    if (capacity < wanted) capacity = wanted;
    uint8_t *data = capacity <= SIZE_MAX ? realloc(s->coded.data, (size_t)capacity) : NULL;
    if (!data) return dl_fail(error, DL_ERR_MEMORY, 0, "no memory for a coded frame");
    s->coded.data = data;
    s->coded.capacity = (size_t)capacity;
    s->stuffer.out = data + used;
    return DL_OK;
}

/* What a scan and each restart interval begin with: nothing above, no statistics. */
static void start_interval(dl_jpeg_ls_encoder *encoder) {
    dl_ls_lines_clear(&encoder->lines);
    for (uint32_t i = 0; i < encoder->scans; i++) {
        scan *s = &encoder->scan[i];
        dl_ls_model_start(&s->model, &encoder->parameters, &encoder->quantizer);
        s->stuffer.after_ff = false;
        s->writer = (dl_bit_writer){s->bits, 0, 0};
    }
}

/* Room for lines, and for the bits of a line in each scan. */
static dl_status lay_out(dl_jpeg_ls_encoder *encoder, dl_error *error) {
    const dl_raster *raster = &encoder->raster;
    uint32_t interleave = interleave_of(raster, &encoder->options);
    size_t bits = (size_t)worst_row_of(raster, &encoder->options) / 8 + DL_LS_SLACK;
    encoder->bits.length = 0;
    if (dl_bytes_reserve(&encoder->bits, encoder->scans * bits) != DL_OK)
        return dl_fail(error, DL_ERR_MEMORY, 0, "no memory to code a row");
    for (uint32_t i = 0; i < encoder->scans; i++)
        encoder->scan[i].bits = encoder->bits.data + i * bits;
    bool by_pixel = interleave == DL_INTERLEAVE_SAMPLE;
    return dl_ls_lines_make(&encoder->lines, by_pixel ? 1 : raster->samples,
                            by_pixel ? raster->samples : 1, raster->columns, error);
}

dl_status dl_jpeg_ls_encode_begin(dl_jpeg_ls_encoder *encoder, const dl_raster *raster,
                                  const dl_jpeg_ls_options *options, dl_error *error) {
    encoder->rows_left = encoder->scans = 0;
    dl_status status = check(raster, options, error);
    if (status != DL_OK) return status;
    dl_ls_parameters parameters = {.bits = (int32_t)raster->bits,
                                   .maxval = (int32_t)(1U << raster->bits) - 1,
                                   .near = (int32_t)options->near,
                                   .reset = DL_LS_RESET};
    dl_ls_default_thresholds(&parameters);
    status = dl_ls_quantizer_make(&encoder->quantizer, &parameters, error);
    if (status != DL_OK) return status;
    encoder->raster = *raster;
    encoder->options = *options;
    encoder->parameters = parameters;
    encoder->scans = scans_of(raster, options);
    encoder->worst_scan = worst_scan_of(raster, options);
    status = lay_out(encoder, error);
    for (uint32_t i = 0; status == DL_OK && i < encoder->scans; i++) {
        scan *s = &encoder->scan[i];
        s->stuffer.out = s->coded.data;
        status = reserve(encoder, s, HEADER_MOST, error);
        if (status != DL_OK) break;
        if (i == 0)
            s->stuffer.out = put_frame_header(s->stuffer.out, raster, options->restart_rows);
        if (i == 0 && raster->bits > DEFAULTS_SURE)
            s->stuffer.out = put_presets(s->stuffer.out, &parameters);
        s->stuffer.out =
            put_scan_header(s->stuffer.out, i, raster->samples / encoder->scans, options);
    }
    if (status != DL_OK) return status;
    start_interval(encoder);
    encoder->rows_left = raster->rows;
    return DL_OK;
}

/* Bits of the line go out; the last few, which make no byte, stay for the next. */
static void stuff_line(scan *s) {
    dl_bit_writer *writer = &s->writer;
    size_t bits = 8 * (size_t)(writer->at - s->bits) + writer->count;
    size_t done = dl_stuff_bits(&s->stuffer, s->bits, bits), left = bits - done;
    uint64_t rest = dl_load_be64(s->bits + done / 8) << done % 8;
    *writer =
        (dl_bit_writer){s->bits, left ? rest >> (64 - left) << (64 - left) : 0, (unsigned)left};
}

/* Zeros fill the last byte; behind 0xFF, which no marker may follow, that is one more. */
static void end_interval(scan *s) {
    if (s->writer.count > 0 || s->stuffer.after_ff) {
        dl_put_bits(&s->writer, 0, (s->stuffer.after_ff ? 7 : 8) - s->writer.count);
        stuff_line(s);
    }
}

static dl_status encode_line(dl_jpeg_ls_encoder *encoder, scan *s, uint32_t index,
                             uint32_t *run_index, dl_error *error) {
    dl_ls_line line = dl_ls_line_begin(&encoder->lines, index, run_index);
    encoder->kernels->encode(&s->model, &line, encoder->lines.pixel, &s->writer);
    size_t bits = 8 * (size_t)(s->writer.at - s->bits) + s->writer.count;
    dl_status status = reserve(encoder, s, dl_stuffed_most(bits) + HEADER_MOST, error);
    if (status != DL_OK) return status;
    stuff_line(s);
    dl_ls_line_end(&encoder->lines, index);
    return DL_OK;
}

static void restart(dl_jpeg_ls_encoder *encoder, uint32_t row) {
    unsigned marker = DL_RST0 + (row / encoder->options.restart_rows - 1) % 8;
    for (uint32_t i = 0; i < encoder->scans; i++) {
        end_interval(&encoder->scan[i]);
        encoder->scan[i].stuffer.out = dl_jpeg_put_marker(encoder->scan[i].stuffer.out, marker);
    }
    start_interval(encoder);
}

/* JPEG-LS knows no sign: an error of NEAR could turn the least of signed values into the greatest.
 */
static dl_status check_ends(const dl_jpeg_ls_encoder *encoder, const uint16_t *line,
                            uint32_t number, dl_error *error) {
    const uint32_t bits = encoder->raster.bits, near = encoder->options.near;
    const int32_t half = (int32_t)1 << (bits - 1);
    for (size_t i = 0; i < encoder->lines.size; i++) {
        if (line[i] + near < (uint32_t)half || line[i] >= (uint32_t)half + near) continue;
        return dl_fail(error, DL_ERR_PIXEL, 0,
                       "signed values within %u of %d or %d, the ends of BitsStored %u, could "
                       "change sign by an error of %u: use JPEGLSLossless (row %u, column %zu)",
                       near, half - 1, -half, bits, near, number, i / encoder->lines.pixel);
    }
    return DL_OK;
}

static dl_status encode_row(dl_jpeg_ls_encoder *encoder, const uint8_t *row, dl_error *error) {
    const dl_raster *raster = &encoder->raster;
    dl_ls_lines *lines = &encoder->lines;
    uint32_t number = raster->rows - encoder->rows_left;
    uint32_t restart_rows = encoder->options.restart_rows;
    if (restart_rows > 0 && number > 0 && number % restart_rows == 0) restart(encoder, number);
    for (uint32_t i = 0; i < lines->count; i++) {
        const uint8_t *first = row + i * raster->sample_bytes;
        dl_status status = dl_raster_load(raster, first, number, lines->count, lines->current[i],
                                          lines->size, error);
        if (status == DL_OK && encoder->options.near > 0 && raster->is_signed)
            status = check_ends(encoder, lines->current[i], number, error);
        if (status != DL_OK) return status;
    }
    for (uint32_t i = 0; i < lines->count; i++) {
        scan *s = &encoder->scan[encoder->scans > 1 ? i : 0];
        uint32_t *run_index = &s->model.run_index[encoder->scans > 1 ? 0 : i];
        dl_status status = encode_line(encoder, s, i, run_index, error);
        if (status != DL_OK) return status;
    }
    encoder->rows_left--;
    return DL_OK;
}

dl_status dl_jpeg_ls_encode_rows(dl_jpeg_ls_encoder *encoder, const uint8_t *rows, uint32_t count,
                                 size_t stride, dl_error *error) {
    if (encoder->scans == 0) return dl_fail(error, DL_ERR_ARGUMENT, 0, "no frame was begun");
    if (count > encoder->rows_left)
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "%u rows more, the frame has %u left of %u",
                       count, encoder->rows_left, encoder->raster.rows);
    for (uint32_t i = 0; i < count; i++) {
        dl_status status = encode_row(encoder, rows + i * stride, error);
        if (status != DL_OK) {
            encoder->rows_left = encoder->scans = 0;
            return status;
        }
    }
    return DL_OK;
}

dl_status dl_jpeg_ls_encode_end(dl_jpeg_ls_encoder *encoder, dl_piece pieces[DL_JPEG_LS_SAMPLES],
                                uint32_t *count, dl_error *error) {
    *count = 0;
    if (encoder->scans == 0) return dl_fail(error, DL_ERR_ARGUMENT, 0, "no frame was begun");
    if (encoder->rows_left > 0)
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "%u of %u rows are missing", encoder->rows_left,
                       encoder->raster.rows);
    for (uint32_t i = 0; i < encoder->scans; i++) {
        scan *s = &encoder->scan[i];
        end_interval(s);
        if (i + 1 == encoder->scans) s->stuffer.out = dl_jpeg_put_marker(s->stuffer.out, DL_EOI);
        pieces[i] = (dl_piece){s->coded.data, (size_t)(s->stuffer.out - s->coded.data)};
    }
    *count = encoder->scans;
    encoder->scans = 0;
    return DL_OK;
}
