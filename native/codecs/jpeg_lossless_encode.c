/* The encoder of JPEG Lossless: one pass counts the categories of differences, one codes them. */
#include <stdlib.h>

#include "jpeg_lossless_tokens.h"
#include "jpeg_markers.h"
#include "raster.h"

enum { HEADERS = 256 }; /* bytes of all segments before the scan, at most */

typedef enum stage { IDLE, COUNTING, CODING } stage;

struct dl_jpeg_lossless_encoder {
    const dl_line_kernels *kernels;
    dl_tokens_put *put;
    stage stage;
    dl_raster raster;
    dl_jpeg_lossless_options options;
    dl_form form;
    size_t count;                         /* of samples in a row */
    uint32_t rows;                        /* of this pass so far */
    uint16_t *line, *above, *differences; /* in `lines` */
    dl_bytes lines, coded;                /* coded.length: what is complete */
    uint64_t counts[DL_COMPONENTS][DL_CATEGORIES];
    uint64_t bits_left; /* of what was counted */
    uint32_t tables;    /* one, or one a component */
    dl_huffman huffman[DL_COMPONENTS];
    dl_token_table tokens[DL_COMPONENTS];
    dl_byte_stuffer writer;
};

/* --- what can be coded -------------------------------------------------------------------------
 */

/* Rows from one restart to the next; all of them where there is none. */
static uint32_t interval_of(const dl_raster *raster, const dl_jpeg_lossless_options *options) {
    uint32_t rows = options->restart_rows;
    return rows == 0 || rows > raster->rows ? raster->rows : rows;
}

static dl_status check(const dl_raster *raster, const dl_jpeg_lossless_options *options,
                       dl_error *error) {
    dl_status status = dl_raster_check(raster, "JPEG Lossless", error);
    if (status != DL_OK) return status;
    if (options->predictor < 1 || options->predictor > 7)
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "JPEG Lossless has predictors 1 to 7, not %u",
                       options->predictor);
    if (options->shift >= raster->bits)
        return dl_fail(error, DL_ERR_ARGUMENT, 0,
                       "a point transform of %u bits leaves none of samples of %u bits",
                       options->shift, raster->bits);
    uint32_t interval = interval_of(raster, options);
    if (interval < raster->rows && (uint64_t)interval * raster->columns > 65535)
        return dl_fail(error, DL_ERR_ARGUMENT, 0,
                       "a restart each %u rows of %u pixels: at most 65,535 pixels can be between "
                       "two, which are %u rows",
                       interval, raster->columns, 65535 / raster->columns);
    return DL_OK;
}

/* A code with all its lengths 5 would do for 17 categories, so that the best is no longer; nor has
 * a difference more bits than two samples. Stuffing doubles each byte at worst. */
dl_status dl_jpeg_lossless_bound(const dl_raster *raster, const dl_jpeg_lossless_options *options,
                                 uint64_t *bound, dl_error *error) {
    *bound = 0;
    dl_status status = check(raster, options, error);
    if (status != DL_OK) return status;
    uint32_t interval = interval_of(raster, options);
    uint64_t intervals = (raster->rows + interval - 1) / interval;
    uint64_t samples = (uint64_t)raster->rows * raster->columns * raster->samples;
    uint32_t extra = raster->bits - options->shift + 1;
    if (extra > 15) extra = 15;
    *bound = HEADERS + 2 * (samples * (5 + extra) / 8 + intervals) + 2 * intervals;
    return DL_OK;
}

/* --- beginning ---------------------------------------------------------------------------------
 */

dl_jpeg_lossless_encoder *dl_jpeg_lossless_encoder_new(dl_vectors vectors) {
    dl_jpeg_lossless_encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder) return NULL;
    encoder->kernels = dl_line_kernels_get(vectors);
    encoder->put = dl_tokens_put_get(vectors);
    return encoder;
}

void dl_jpeg_lossless_encoder_free(dl_jpeg_lossless_encoder *encoder) {
    if (!encoder) return;
    dl_bytes_free(&encoder->lines);
    dl_bytes_free(&encoder->coded);
    free(encoder);
}

dl_status dl_jpeg_lossless_encode_begin(dl_jpeg_lossless_encoder *encoder, const dl_raster *raster,
                                        const dl_jpeg_lossless_options *options, dl_error *error) {
    encoder->stage = IDLE;
    dl_status status = check(raster, options, error);
    if (status != DL_OK) return status;
    size_t count = (size_t)raster->columns * raster->samples, pitch = count + DL_LINE_SLACK;
    if (encoder->lines.capacity < 3 * pitch * sizeof(uint16_t)) {
        uint8_t *lines = calloc(3 * pitch, sizeof(uint16_t));
        if (!lines) return dl_fail(error, DL_ERR_MEMORY, 0, "no memory to code a row");
        dl_bytes_free(&encoder->lines);
        encoder->lines = (dl_bytes){lines, 0, 3 * pitch * sizeof(uint16_t)};
    }
    encoder->line = (uint16_t *)(void *)encoder->lines.data;
    encoder->above = encoder->line + pitch;
    encoder->differences = encoder->above + pitch;
    encoder->raster = *raster;
    encoder->options = *options;
    encoder->options.restart_rows = interval_of(raster, options);
    uint16_t sign = (uint16_t)(raster->is_signed ? 1u << (raster->bits - 1) : 0u);
    encoder->form =
        (dl_form){raster->sample_bytes, options->shift, (uint16_t)((1u << raster->bits) - 1), sign};
    encoder->count = count;
    encoder->rows = 0;
    memset(encoder->counts, 0, sizeof encoder->counts);
    encoder->stage = COUNTING;
    return DL_OK;
}

/* --- rows to differences -----------------------------------------------------------------------
 */

static bool differences_of(dl_jpeg_lossless_encoder *encoder, const uint8_t *row, uint16_t bias) {
    const dl_line_kernels *kernels = encoder->kernels;
    size_t samples = encoder->raster.samples, count = encoder->count;
    uint16_t *line = encoder->above, *above = encoder->line, *into = encoder->differences;
    bool first = encoder->rows % encoder->options.restart_rows == 0;
    uint32_t middle = 1u << (encoder->raster.bits - encoder->options.shift - 1);
    if (kernels->load(row, count, &encoder->form, line) != 0) return false;
    for (size_t k = 0; k < samples; k++)
        into[k] = (uint16_t)(line[k] + bias - (first ? middle : above[k]));
    kernels->differ(first ? 1 : encoder->options.predictor, line, above, samples, count, bias,
                    into);
    memset(into + count, 0, DL_LINE_SLACK * sizeof *into);
    encoder->line = line;
    encoder->above = above;
    return true;
}

static dl_status check_rows(dl_jpeg_lossless_encoder *encoder, uint32_t count, size_t stride,
                            dl_error *error) {
    uint32_t left = encoder->raster.rows - encoder->rows;
    if (count > left)
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "%u rows, where %u are left of a frame of %u",
                       count, left, encoder->raster.rows);
    if (stride < encoder->count * encoder->raster.sample_bytes)
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "rows of %zu bytes, which lie %zu bytes apart",
                       encoder->count * encoder->raster.sample_bytes, stride);
    return DL_OK;
}

dl_status dl_jpeg_lossless_encode_count(dl_jpeg_lossless_encoder *encoder, const uint8_t *rows,
                                        uint32_t count, size_t stride, dl_error *error) {
    if (encoder->stage != COUNTING)
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "no frame was begun whose rows can be counted");
    dl_status status = check_rows(encoder, count, stride, error);
    if (status != DL_OK) return status;
    for (; count > 0; count--, rows += stride) {
        if (!differences_of(encoder, rows, 0)) {
            encoder->stage = IDLE;
            return dl_raster_refuse(&encoder->raster, rows, encoder->rows, 1, encoder->count,
                                    error);
        }
        encoder->kernels->count(encoder->differences, encoder->raster.samples, encoder->count,
                                encoder->counts);
        encoder->rows++;
    }
    return DL_OK;
}

/* --- tables and headers ------------------------------------------------------------------------
 */

/* Bits of all differences that were counted, coded with a table. */
static uint64_t bits_of(const uint64_t *counts, const dl_huffman *table) {
    dl_code codes[DL_CATEGORIES];
    uint64_t bits = 0;
    dl_huffman_codes(table, codes);
    for (unsigned i = 0; i < table->count; i++) {
        unsigned category = table->values[i];
        bits += counts[category] * (codes[i].length + dl_extra_bits(category));
    }
    return bits;
}

static size_t table_size(const dl_huffman *table) { return 1 + DL_CODE_BITS + table->count; }

/* One table for all components, or one for each: what makes the frame shorter. */
static void choose_tables(dl_jpeg_lossless_encoder *encoder) {
    uint32_t samples = encoder->raster.samples;
    uint64_t all[DL_CATEGORIES] = {0}, bits = 0, size = 0;
    dl_huffman one;
    for (uint32_t k = 0; k < samples; k++) {
        for (size_t i = 0; i < DL_CATEGORIES; i++) all[i] += encoder->counts[k][i];
        dl_huffman_best(encoder->counts[k], &encoder->huffman[k]);
        bits += bits_of(encoder->counts[k], &encoder->huffman[k]);
        size += table_size(&encoder->huffman[k]);
    }
    encoder->tables = samples;
    encoder->bits_left = bits;
    if (samples == 1) return;
    dl_huffman_best(all, &one);
    uint64_t one_bits = bits_of(all, &one);
    if ((one_bits + 7) / 8 + table_size(&one) > (bits + 7) / 8 + size) return;
    encoder->tables = 1;
    encoder->huffman[0] = one;
    encoder->bits_left = one_bits;
}

/* What a segment of `size` bytes begins with. */
static uint8_t *put_segment(uint8_t *into, unsigned marker, size_t size) {
    return dl_jpeg_put_u16(dl_jpeg_put_marker(into, marker), (uint32_t)size + 2);
}

static uint8_t *put_tables(uint8_t *into, const dl_jpeg_lossless_encoder *encoder) {
    size_t size = 0;
    for (uint32_t k = 0; k < encoder->tables; k++) size += table_size(&encoder->huffman[k]);
    into = put_segment(into, DL_DHT, size);
    for (uint32_t k = 0; k < encoder->tables; k++) {
        const dl_huffman *table = &encoder->huffman[k];
        *into++ = (uint8_t)k; /* class 0, destination */
        memcpy(into, table->lengths, DL_CODE_BITS);
        memcpy(into + DL_CODE_BITS, table->values, table->count);
        into += DL_CODE_BITS + table->count;
    }
    return into;
}

/* SOI, SOF3 (B.2.2), DHT, DRI, SOS (B.2.3). */
static uint8_t *put_headers(uint8_t *into, const dl_jpeg_lossless_encoder *encoder) {
    const dl_raster *raster = &encoder->raster;
    uint32_t samples = raster->samples, interval = encoder->options.restart_rows;
    into = put_segment(dl_jpeg_put_marker(into, DL_SOI), DL_SOF3, 6 + 3 * (size_t)samples);
    *into++ = (uint8_t)raster->bits;
    into = dl_jpeg_put_u16(into, raster->rows);
    into = dl_jpeg_put_u16(into, raster->columns);
    *into++ = (uint8_t)samples;
    for (uint32_t k = 0; k < samples; k++) {
        *into++ = (uint8_t)(k + 1);
        *into++ = 0x11; /* sampling factors */
        *into++ = 0;
    }
    into = put_tables(into, encoder);
    if (interval < raster->rows)
        into = dl_jpeg_put_u16(put_segment(into, DL_DRI, 2), interval * raster->columns);
    into = put_segment(into, DL_SOS, 4 + 2 * (size_t)samples);
    *into++ = (uint8_t)samples;
    for (uint32_t k = 0; k < samples; k++) {
        *into++ = (uint8_t)(k + 1);
        *into++ = (uint8_t)((encoder->tables > 1 ? k : 0) << 4);
    }
    *into++ = (uint8_t)encoder->options.predictor;
    *into++ = 0;
    *into++ = (uint8_t)encoder->options.shift;
    return into;
}

static dl_status reserve(dl_jpeg_lossless_encoder *encoder, size_t extra, dl_error *error) {
    if (dl_bytes_reserve(&encoder->coded, extra) == DL_OK) return DL_OK;
    encoder->stage = IDLE;
    return dl_fail(error, DL_ERR_MEMORY, 0, "no memory for a coded frame of %zu bytes and more",
                   encoder->coded.length);
}

/* All rows were counted: tables, headers, and room for the bits, of which one byte in 256 or so
 * will be stuffed. */
static dl_status begin_coding(dl_jpeg_lossless_encoder *encoder, dl_error *error) {
    uint32_t rows = encoder->raster.rows, interval = encoder->options.restart_rows;
    if (encoder->rows != rows)
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "%u of %u rows are not counted",
                       rows - encoder->rows, rows);
    choose_tables(encoder);
    for (uint32_t k = 0; k < encoder->tables; k++)
        dl_tokens_make(&encoder->huffman[k], &encoder->tokens[k]);
    uint64_t size = encoder->bits_left / 8 + 4 * (uint64_t)(rows / interval + 1);
    size += size / 128 + HEADERS + 2 * DL_TOKEN_ROOM;
    encoder->coded.length = 0;
    if (size > SIZE_MAX / 2)
        return dl_fail(error, DL_ERR_MEMORY, 0, "no memory for %llu bytes",
                       (unsigned long long)size);
    dl_status status = reserve(encoder, (size_t)size, error);
    if (status != DL_OK) return status;
    encoder->coded.length =
        (size_t)(put_headers(encoder->coded.data, encoder) - encoder->coded.data);
    encoder->writer = (dl_byte_stuffer){0, 0, NULL};
    encoder->rows = 0;
    encoder->stage = CODING;
    return DL_OK;
}

/* --- differences to bits -----------------------------------------------------------------------
 */

static dl_status other_rows(dl_jpeg_lossless_encoder *encoder, dl_error *error) {
    encoder->stage = IDLE;
    return dl_fail(error, DL_ERR_ARGUMENT, 0, "row %u is not what it was when it was counted",
                   encoder->rows);
}

static dl_status code_line(dl_jpeg_lossless_encoder *encoder, const dl_token_group *group,
                           dl_error *error) {
    dl_bytes *coded = &encoder->coded;
    dl_byte_stuffer *writer = &encoder->writer;
    uint64_t bits = 0;
    for (size_t at = 0; at < encoder->count;) {
        dl_status status = reserve(encoder, 2 * DL_TOKEN_ROOM, error);
        if (status != DL_OK) return status;
        writer->at = coded->data + coded->length;
        at = encoder->put(writer, encoder->differences, at, encoder->count, group,
                          coded->data + coded->capacity - DL_TOKEN_ROOM, &bits);
        if (at == SIZE_MAX || bits > encoder->bits_left) return other_rows(encoder, error);
        coded->length = (size_t)(writer->at - coded->data);
    }
    encoder->bits_left -= bits;
    return DL_OK;
}

/* The end of an interval, and the marker behind it. */
static dl_status end_interval(dl_jpeg_lossless_encoder *encoder, unsigned marker, dl_error *error) {
    dl_status status = reserve(encoder, DL_TOKEN_ROOM, error);
    if (status != DL_OK) return status;
    dl_byte_stuffer *writer = &encoder->writer;
    writer->at = encoder->coded.data + encoder->coded.length;
    dl_put_stuffed_end(writer);
    *writer->at++ = 0xFF;
    *writer->at++ = (uint8_t)marker;
    encoder->coded.length = (size_t)(writer->at - encoder->coded.data);
    return DL_OK;
}

dl_status dl_jpeg_lossless_encode_rows(dl_jpeg_lossless_encoder *encoder, const uint8_t *rows,
                                       uint32_t count, size_t stride, dl_error *error) {
    dl_status status = DL_OK;
    if (encoder->stage == IDLE) return dl_fail(error, DL_ERR_ARGUMENT, 0, "no frame was begun");
    if (encoder->stage == COUNTING) status = begin_coding(encoder, error);
    if (status == DL_OK) status = check_rows(encoder, count, stride, error);
    uint32_t interval = encoder->options.restart_rows;
    if (status != DL_OK) return status;
    dl_token_group group;
    dl_tokens_group(encoder->tokens, encoder->tables, encoder->raster.samples, &group);
    for (; count > 0 && status == DL_OK; count--, rows += stride) {
        if (!differences_of(encoder, rows, DL_NEAR)) return other_rows(encoder, error);
        status = code_line(encoder, &group, error);
        if (status != DL_OK) return status;
        encoder->rows++;
        if (encoder->rows % interval == 0 && encoder->rows < encoder->raster.rows)
            status = end_interval(encoder, DL_RST0 + (encoder->rows / interval - 1) % 8, error);
    }
    return status;
}

dl_status dl_jpeg_lossless_encode_end(dl_jpeg_lossless_encoder *encoder, dl_piece *piece,
                                      dl_error *error) {
    *piece = (dl_piece){NULL, 0};
    if (encoder->stage == IDLE) return dl_fail(error, DL_ERR_ARGUMENT, 0, "no frame was begun");
    uint32_t done = encoder->stage == CODING ? encoder->rows : 0;
    if (done < encoder->raster.rows)
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "%u of %u rows are not coded",
                       encoder->raster.rows - done, encoder->raster.rows);
    if (encoder->bits_left > 0) return other_rows(encoder, error);
    dl_status status = end_interval(encoder, DL_EOI, error);
    if (status != DL_OK) return status;
    *piece = (dl_piece){encoder->coded.data, encoder->coded.length};
    encoder->stage = IDLE; /* a frame ends once */
    return DL_OK;
}
