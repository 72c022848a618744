/* The decoder of JPEG Lossless: marker segments, scans, and rows from symbols. */
#include <stdlib.h>

#include "jpeg_lossless_symbols.h"
#include "jpeg_markers.h"
#include "raster.h"

static const char NAME[] = "JPEG Lossless";

struct dl_jpeg_lossless_decoder {
    const dl_line_kernels *kernels;
    dl_bytes lines;
    dl_jpeg_stream stream;
    /* Of the frame. */
    const dl_raster *raster;
    uint8_t *out;
    size_t stride;
    bool has_frame, unknown_rows, subsampled;
    unsigned precision;
    uint8_t ids[DL_COMPONENTS];
    unsigned done; /* a bit for each component that is decoded */
    uint32_t interval;
    bool defined[DL_COMPONENTS];
    dl_huffman tables[DL_COMPONENTS];
    /* Of the scan: which components, in their order, and its parameters. */
    uint32_t count, places[DL_COMPONENTS];
    unsigned predictor, shift;
    uint16_t *line, *above, *differences, *values;
    uint8_t *categories;
    dl_lookup lookup;
    dl_symbol_reader reader;
};

dl_jpeg_lossless_decoder *dl_jpeg_lossless_decoder_new(dl_vectors vectors) {
    dl_jpeg_lossless_decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder) return NULL;
    decoder->kernels = dl_line_kernels_get(vectors);
    decoder->reader.has_bmi2 = decoder->reader.lanes.has_bmi2 = dl_has_bmi2(vectors);
    return decoder;
}

void dl_jpeg_lossless_decoder_free(dl_jpeg_lossless_decoder *decoder) {
    if (!decoder) return;
    dl_bytes_free(&decoder->lines);
    free(decoder);
}

/* --- segments ----------------------------------------------------------------------------------
 */

/* DHT: one table or several (B.2.4.2). */
static dl_status read_tables(dl_jpeg_lossless_decoder *d, const dl_jpeg_segment *segment,
                             dl_error *error) {
    const uint8_t *at = segment->body, *end = at + segment->size;
    while (at < end) {
        if (end - at < 1 + DL_CODE_BITS)
            return dl_jpeg_bad(&d->stream, segment, error, "ends within a Huffman table");
        unsigned class = *at >> 4, destination = *at & 15, count = 0;
        uint32_t free = 1; /* codes of this length that are not taken */
        if (class != 0 || destination >= DL_COMPONENTS)
            return dl_jpeg_bad(&d->stream, segment, error,
                               "has table %u of class %u, expected 0 to 3 of class 0", destination,
                               class);
        for (int i = 0; i < DL_CODE_BITS; i++) {
            free *= 2;
            count += at[1 + i];
            if (at[1 + i] > free || count > DL_CATEGORIES)
                return dl_jpeg_bad(&d->stream, segment, error,
                                   "has %u codes of %d bits, which is too many", at[1 + i], i + 1);
            free -= at[1 + i];
        }
        dl_huffman table = {{0}, {0}, (uint8_t)count};
        memcpy(table.lengths, at + 1, DL_CODE_BITS);
        at += 1 + DL_CODE_BITS;
        if ((size_t)(end - at) < count)
            return dl_jpeg_bad(&d->stream, segment, error, "ends within a Huffman table");
        for (unsigned i = 0; i < count; i++) {
            table.values[i] = at[i];
            if (at[i] >= DL_CATEGORIES)
                return dl_jpeg_bad(&d->stream, segment, error,
                                   "codes category %u, expected 0 to 16", at[i]);
        }
        at += count;
        d->tables[destination] = table;
        d->defined[destination] = true;
    }
    return DL_OK;
}

/* What has to agree with the raster. */
static dl_status check_frame(dl_jpeg_lossless_decoder *d, const dl_jpeg_segment *segment,
                             dl_error *error) {
    const dl_raster *raster = d->raster;
    const uint8_t *body = segment->body;
    uint32_t rows = dl_jpeg_u16(body + 1), columns = dl_jpeg_u16(body + 3), samples = body[5];
    if ((rows != 0 && rows != raster->rows) || columns != raster->columns)
        return dl_jpeg_bad(&d->stream, segment, error,
                           "has %u rows and %u columns, expected %u and %u", rows, columns,
                           raster->rows, raster->columns);
    if (samples != raster->samples)
        return dl_jpeg_bad(&d->stream, segment, error, "has %u components, expected %u", samples,
                           raster->samples);
    if (d->precision < 2 || d->precision > 8 * raster->sample_bytes)
        return dl_jpeg_bad(&d->stream, segment, error, "has samples of %u bits, expected 2 to %u",
                           d->precision, 8 * raster->sample_bytes);
    return DL_OK;
}

/* SOF3 (B.2.2). */
static dl_status read_frame(dl_jpeg_lossless_decoder *d, const dl_jpeg_segment *segment,
                            dl_error *error) {
    const uint8_t *body = segment->body;
    if (d->has_frame) return dl_jpeg_bad(&d->stream, segment, error, "is the second of its kind");
    if (segment->size < 6 || segment->size != 6 + 3 * (size_t)body[5])
        return dl_jpeg_bad(&d->stream, segment, error, "has a length that does not fit");
    d->precision = body[0];
    d->unknown_rows = dl_jpeg_u16(body + 1) == 0;
    dl_status status = check_frame(d, segment, error);
    if (status != DL_OK) return status;
    for (uint32_t k = 0; k < d->raster->samples; k++) {
        const uint8_t *component = body + 6 + 3 * (size_t)k;
        unsigned across = component[1] >> 4, down = component[1] & 15;
        d->ids[k] = component[0];
        for (uint32_t i = 0; i < k; i++)
            if (d->ids[i] == d->ids[k])
                return dl_jpeg_bad(&d->stream, segment, error, "has component %u twice", d->ids[k]);
        if (across < 1 || across > 4 || down < 1 || down > 4)
            return dl_jpeg_bad(&d->stream, segment, error,
                               "has sampling factors %u and %u, expected 1 to 4", across, down);
        if (component[1] != body[7])
            return dl_fail(error, DL_ERR_UNSUPPORTED, segment->at,
                           "%s: components are sampled differently, which DICOM does not have",
                           NAME);
    }
    d->subsampled = body[7] != 0x11;
    d->has_frame = true;
    return DL_OK;
}

/* Which component of the scan is which, and its table. */
static dl_status read_components(dl_jpeg_lossless_decoder *d, const dl_jpeg_segment *segment,
                                 const dl_huffman **tables, dl_error *error) {
    unsigned before = d->done;
    for (uint32_t k = 0; k < d->count; k++) {
        unsigned id = segment->body[1 + 2 * (size_t)k];
        unsigned table = segment->body[2 + 2 * (size_t)k] >> 4;
        uint32_t place = 0;
        while (place < d->raster->samples && d->ids[place] != id) place++;
        if (place == d->raster->samples)
            return dl_jpeg_bad(&d->stream, segment, error,
                               "has component %u, which the frame does not have", id);
        if (d->done >> place & 1)
            return dl_jpeg_bad(&d->stream, segment, error, "has component %u %s", id,
                               before >> place & 1 ? "again" : "twice");
        if (table >= DL_COMPONENTS || !d->defined[table])
            return dl_jpeg_bad(&d->stream, segment, error,
                               "wants Huffman table %u, which was not defined", table);
        d->done |= 1u << place;
        d->places[k] = place;
        tables[k] = &d->tables[table];
    }
    return DL_OK;
}

/* More bits at a time do not pay until they are used often. */
static unsigned width_for(const dl_jpeg_lossless_decoder *d) {
    uint64_t samples = (uint64_t)d->raster->rows * d->raster->columns;
    unsigned width = DL_SHORT_CODE;
    while (width < DL_WIDTH_MOST && samples >> (width + 2) != 0) width++;
    return width;
}

/* SOS (B.2.3). */
static dl_status read_scan(dl_jpeg_lossless_decoder *d, const dl_jpeg_segment *segment,
                           dl_error *error) {
    const dl_huffman *tables[DL_COMPONENTS];
    const uint8_t *body = segment->body;
    if (!d->has_frame) return dl_jpeg_bad(&d->stream, segment, error, "comes before any frame");
    if (segment->size < 1 || body[0] < 1 || body[0] > DL_COMPONENTS ||
        segment->size != 4 + 2 * (size_t)body[0])
        return dl_jpeg_bad(&d->stream, segment, error, "has a length that does not fit");
    d->count = body[0];
    dl_status status = read_components(d, segment, tables, error);
    if (status != DL_OK) return status;
    d->predictor = body[1 + 2 * d->count];
    d->shift = body[3 + 2 * d->count] & 15;
    if (d->predictor < 1 || d->predictor > 7)
        return dl_fail(error, d->predictor == 0 ? DL_ERR_UNSUPPORTED : DL_ERR_CORRUPT, segment->at,
                       "%s: the scan at byte %zu has predictor %u, expected 1 to 7", NAME,
                       segment->at, d->predictor);
    if (d->shift >= d->precision)
        return dl_jpeg_bad(&d->stream, segment, error,
                           "drops %u bits of samples of %u (point transform)", d->shift,
                           d->precision);
    if (d->subsampled && d->count > 1)
        return dl_fail(error, DL_ERR_UNSUPPORTED, segment->at,
                       "%s: the scan at byte %zu interleaves components in blocks", NAME,
                       segment->at);
    if (d->interval % d->raster->columns != 0)
        return dl_jpeg_bad(&d->stream, segment, error,
                           "restarts each %u samples, expected whole rows of %u (H.1.1)",
                           d->interval, d->raster->columns);
    dl_lookup_make(&d->lookup, tables, d->count, width_for(d));
    return DL_OK;
}

/* --- rows --------------------------------------------------------------------------------------
 */

static dl_status reserve_lines(dl_jpeg_lossless_decoder *d, dl_error *error) {
    size_t count = (size_t)d->raster->columns * d->raster->samples;
    size_t pitch = count + DL_LINE_SLACK, ahead = pitch + DL_AHEAD;
    size_t size = (3 * pitch + ahead) * sizeof(uint16_t) + ahead;
    if (d->lines.capacity < size) {
        uint8_t *lines = calloc(size, 1); /* kernels read behind a line: at least it is defined */
        if (!lines) return dl_fail(error, DL_ERR_MEMORY, 0, "no memory to decode a row");
        dl_bytes_free(&d->lines);
        d->lines = (dl_bytes){lines, 0, size};
    }
    d->line = (uint16_t *)(void *)d->lines.data;
    d->above = d->line + pitch;
    d->differences = d->above + pitch;
    d->values = d->differences + pitch;
    d->categories = (uint8_t *)(d->values + ahead);
    return DL_OK;
}

static dl_status no_symbol(const dl_jpeg_lossless_decoder *d, dl_status status, uint32_t row,
                           size_t at, dl_error *error) {
    size_t place = dl_symbols_place(&d->reader);
    if (status == DL_ERR_TRUNCATED) place = d->reader.at;
    return dl_fail(error, status, place, "%s: %s at byte %zu, row %u, column %zu", NAME,
                   status != DL_ERR_TRUNCATED ? "no Huffman code stands"
                   : place < d->reader.size   ? "a marker ends the data"
                                              : "the data end",
                   place, row, at / d->count);
}

/* The restart marker with this number, which has to follow (B.2.1, F.2.1.3.1). */
static dl_status read_restart(dl_jpeg_lossless_decoder *d, unsigned number, uint32_t row,
                              dl_error *error) {
    dl_symbol_reader *reader = &d->reader;
    size_t at = reader->at, size = reader->size;
    bool over = dl_symbols_over(reader);
    if (over) {
        at = reader->at;
        while (at + 1 < size && reader->data[at + 1] == 0xFF) at++;
        if (at + 1 >= size)
            return dl_fail(error, DL_ERR_TRUNCATED, size,
                           "%s: the data end at byte %zu, row %u, column 0", NAME, size, row);
    }
    if (!over || reader->data[at + 1] != DL_RST0 + number) {
        if (!over) at = dl_symbols_place(reader);
        return dl_fail(error, DL_ERR_CORRUPT, at,
                       "%s: expected restart marker %u at byte %zu, before row %u", NAME, number,
                       at, row);
    }
    dl_symbols_start(reader, reader->data, size, at + 2);
    return DL_OK;
}

/* Symbols from place `taken` to a line (H.1.2.1). */
static void undo_row(dl_jpeg_lossless_decoder *d, size_t taken, size_t count, bool first) {
    const dl_line_kernels *kernels = d->kernels;
    uint16_t *line = d->above, *above = d->line, *differences = d->differences;
    uint32_t middle = 1u << (d->precision - d->shift - 1);
    const uint8_t *categories = d->categories + taken;
    kernels->extend(d->values + taken, categories, count, differences);
    for (size_t i = 0; d->reader.sixteen && i < count; i++)
        if ((categories[i] & 31) == 16) differences[i] = 0x8000;
    for (size_t k = 0; k < d->count; k++)
        line[k] = (uint16_t)(differences[k] + (first ? middle : above[k]));
    kernels->undo(first ? 1 : d->predictor, differences, above, d->count, count, line);
    d->line = line;
    d->above = above;
}

/* A line to its places in the frame. */
static void store_row(const dl_jpeg_lossless_decoder *d, size_t count, uint8_t *row) {
    const dl_raster *raster = d->raster;
    unsigned bits = d->precision;
    uint16_t sign = 0;
    bool straight = d->count == raster->samples;
    if (raster->is_signed) {
        if (bits > raster->bits) bits = raster->bits;
        sign = (uint16_t)(1u << (bits - 1));
    }
    dl_form form = {raster->sample_bytes, d->shift, (uint16_t)((1u << bits) - 1), sign};
    for (uint32_t k = 0; k < d->count; k++) straight = straight && d->places[k] == k;
    if (straight) {
        d->kernels->store(d->line, count, &form, row);
        return;
    }
    size_t bytes = raster->sample_bytes, pixel = bytes * raster->samples;
    for (uint32_t k = 0; k < d->count; k++) {
        uint8_t *into = row + bytes * d->places[k];
        for (size_t i = k; i < count; i += d->count, into += pixel)
            d->kernels->store(d->line + i, 1, &form, into);
    }
}

static dl_status decode_scan(dl_jpeg_lossless_decoder *d, dl_error *error) {
    uint32_t rows = d->raster->rows, interval = d->interval / d->raster->columns;
    size_t count = (size_t)d->raster->columns * d->count;
    size_t at = 0, taken = 0; /* symbols that are there, and those of them whose rows are done */
    if (interval == 0) interval = rows;
    dl_symbols_start(&d->reader, d->stream.data, d->stream.size, d->stream.at);
    d->reader.pace = d->lookup.pace;
    d->reader.misses = 0;
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t in_interval = row % interval;
        uint32_t follow = interval - in_interval < rows - row ? interval - in_interval : rows - row;
        dl_status status = DL_OK;
        if (row > 0 && in_interval == 0)
            status = read_restart(d, (row / interval - 1) % 8, row, error);
        if (status != DL_OK) return status;
        if (at - taken < count) {
            at -= taken;
            memmove(d->values, d->values + taken, at * sizeof *d->values);
            memmove(d->categories, d->categories + taken, at);
            taken = 0;
            status = dl_symbols_read(&d->reader, &d->lookup, d->values, d->categories, &at, count,
                                     count * (follow - 1));
        } else {
            d->reader.sixteen = false; /* all were read by lookups, which leave those out */
        }
        if (status != DL_OK) return no_symbol(d, status, row, at, error);
        undo_row(d, taken, count, in_interval == 0);
        store_row(d, count, d->out + row * d->stride);
        taken += count;
    }
    d->stream.at = dl_symbols_place(&d->reader);
    return DL_OK;
}

/* --- the stream --------------------------------------------------------------------------------
 */

/* The processes of table B.1 that this is not. */
static dl_status other_process(const dl_jpeg_segment *segment, dl_error *error) {
    static const char *const names[16] = {"Baseline",
                                          "Extended (sequential)",
                                          "Progressive",
                                          NULL,
                                          NULL,
                                          "Hierarchical (sequential)",
                                          "Hierarchical (progressive)",
                                          "Hierarchical (lossless)",
                                          NULL,
                                          "Extended (arithmetic)",
                                          "Progressive (arithmetic)",
                                          "Lossless (arithmetic)",
                                          NULL,
                                          "Hierarchical (sequential, arithmetic)",
                                          "Hierarchical (progressive, arithmetic)",
                                          "Hierarchical (lossless, arithmetic)"};
    const char *name = segment->marker == DL_SOF55 ? "JPEG-LS" : names[segment->marker & 15];
    return dl_fail(error, DL_ERR_UNSUPPORTED, segment->at,
                   "expected JPEG Lossless (FF C3), found FF %02X at byte %zu: JPEG %s",
                   segment->marker, segment->at, name);
}

static bool is_other_process(unsigned marker) {
    return marker == DL_SOF55 || (marker >= 0xC0 && marker <= 0xCF && marker != DL_SOF3 &&
                                  marker != DL_DHT && marker != 0xC8 && marker != 0xCC);
}

/* DNL (B.2.5): it says how many rows there are, or says it again. */
static dl_status read_rows(dl_jpeg_lossless_decoder *d, const dl_jpeg_segment *segment,
                           dl_error *error) {
    uint32_t rows = segment->size == 2 ? dl_jpeg_u16(segment->body) : 0;
    if (rows != d->raster->rows)
        return dl_jpeg_bad(&d->stream, segment, error, "says %u rows, expected %u", rows,
                           d->raster->rows);
    return DL_OK;
}

/* Where the frame does not say its rows, a DNL behind the first scan must not contradict; where it
 * is lost with all that followed, every row was there. */
static dl_status check_rows(dl_jpeg_lossless_decoder *d, dl_error *error) {
    dl_jpeg_stream stream = d->stream;
    dl_jpeg_segment segment;
    if (dl_jpeg_next(&stream, &segment, NULL) != DL_OK || segment.marker != DL_DNL) return DL_OK;
    return read_rows(d, &segment, error);
}

static dl_status read_segment(dl_jpeg_lossless_decoder *d, const dl_jpeg_segment *segment,
                              dl_error *error) {
    dl_status status = DL_OK;
    unsigned all = (1u << d->raster->samples) - 1;
    if (is_other_process(segment->marker)) return other_process(segment, error);
    switch (segment->marker) {
    case DL_SOF3: return read_frame(d, segment, error);
    case DL_DHT: return read_tables(d, segment, error);
    case DL_DNL: return read_rows(d, segment, error);
    case DL_DRI:
        if (segment->size != 2)
            return dl_jpeg_bad(&d->stream, segment, error, "has a length that does not fit");
        d->interval = dl_jpeg_u16(segment->body);
        return DL_OK;
    case DL_EOI:
        return dl_fail(error, DL_ERR_TRUNCATED, segment->at,
                       "%s: the stream ends at byte %zu, before all components were decoded", NAME,
                       segment->at);
    case DL_SOS:
        status = read_scan(d, segment, error);
        if (status == DL_OK) status = decode_scan(d, error);
        if (status != DL_OK || (d->done == all && !d->unknown_rows)) return status;
        dl_jpeg_skip_scan(&d->stream);
        if (d->unknown_rows) status = check_rows(d, error);
        d->unknown_rows = false;
        return status;
    default: return DL_OK; /* APPn, COM, and what else says nothing about the pixels */
    }
}

dl_status dl_jpeg_lossless_decode(dl_jpeg_lossless_decoder *decoder, const uint8_t *data,
                                  size_t size, const dl_raster *raster, uint8_t *out, size_t stride,
                                  dl_error *error) {
    dl_jpeg_lossless_decoder *d = decoder;
    dl_status status = dl_raster_check(raster, "JPEG Lossless", error);
    if (status != DL_OK) return status;
    size_t row = (size_t)raster->columns * raster->samples * raster->sample_bytes;
    if (stride < row)
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "rows of %zu bytes, which lie %zu bytes apart",
                       row, stride);
    d->stream = (dl_jpeg_stream){data, size, 0, NAME};
    d->raster = raster;
    d->out = out;
    d->stride = stride;
    d->has_frame = false;
    d->done = 0;
    d->interval = 0;
    memset(d->defined, 0, sizeof d->defined);
    status = dl_jpeg_start(&d->stream, error);
    if (status == DL_OK) status = reserve_lines(d, error);
    while (status == DL_OK && d->done != (1u << raster->samples) - 1) {
        dl_jpeg_segment segment;
        status = dl_jpeg_next(&d->stream, &segment, error);
        if (status == DL_OK) status = read_segment(d, &segment, error);
    }
    return status;
}
