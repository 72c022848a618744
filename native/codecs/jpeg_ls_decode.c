/* The decoder of JPEG-LS: marker segments to parameters, stuffed bytes to bits, bits to lines. */
#include <stdlib.h>

#include "jpeg_ls.h"
#include "jpeg_markers.h"
#include "raster.h"

enum {
    WINDOW = 32768, /* bytes without stuffing that are made at once, beside those of a line */
    MAPPINGS = 8,
    MAPPING_MOST = 65536, /* entries */
    RESET_LEAST = 3,
    RESET_MOST = 32767, /* what keeps A within 31 bits */
    LSE_PRESETS = 1,
    LSE_MAPPING = 2,
    LSE_MAPPING_CONTINUED = 3,
    LSE_SIZE = 4
};

/* A mapping table (C.2.4.1.2): what its samples stand for. */
typedef struct mapping {
    uint32_t id, width; /* width: bytes of an entry */
    dl_bytes entries;   /* of 16 bits each */
} mapping;

typedef struct part {
    uint32_t id;
    bool done;
} part;

struct dl_jpeg_ls_decoder {
    const dl_ls_kernels *kernels;
    dl_ls_quantizer quantizer;
    dl_ls_model model;
    dl_ls_lines lines;
    dl_bytes window; /* bits */
    mapping mappings[MAPPINGS];
    /* Of the frame: */
    dl_jpeg_stream stream;
    const dl_raster *raster;
    uint8_t *out;
    size_t stride;
    uint32_t bits;                    /* P; 0: there was no frame header */
    bool rows_follow, columns_follow; /* by DNL, or by LSE */
    part components[DL_JPEG_LS_SAMPLES];
    dl_ls_parameters presets; /* of LSE; zeros: the defaults */
    uint32_t restart_rows, mapping_count;
    /* Of the scan: */
    dl_ls_parameters parameters;
    uint32_t count, interleave;
    uint32_t chosen[DL_JPEG_LS_SAMPLES]; /* components */
    const mapping *mapped[DL_JPEG_LS_SAMPLES];
    size_t line_bytes; /* that a line may take in the window */
    /* Of the restart interval: */
    size_t start; /* its first byte */
    dl_bit_unstuffer unstuffer;
    dl_ls_input input;
    uint8_t *filled;  /* behind the last whole byte in the window */
    unsigned partial; /* bits there, once the interval has ended */
    bool ended;
    uint64_t dropped; /* bytes that stood in the window before what is there now */
};

dl_jpeg_ls_decoder *dl_jpeg_ls_decoder_new(dl_vectors vectors) {
    dl_jpeg_ls_decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder) decoder->kernels = dl_ls_kernels_get(vectors);
    return decoder;
}

void dl_jpeg_ls_decoder_free(dl_jpeg_ls_decoder *decoder) {
    if (!decoder) return;
    for (size_t i = 0; i < MAPPINGS; i++) dl_bytes_free(&decoder->mappings[i].entries);
    dl_bytes_free(&decoder->quantizer.bytes);
    dl_bytes_free(&decoder->lines.room);
    dl_bytes_free(&decoder->window);
    free(decoder);
}

/* --- marker segments ---------------------------------------------------------------------------
 */

static dl_status read_frame(dl_jpeg_ls_decoder *d, const dl_jpeg_segment *s, dl_error *error) {
    const dl_raster *raster = d->raster;
    const uint8_t *body = s->body;
    if (d->bits) return dl_jpeg_bad(&d->stream, s, error, "is a second frame header");
    if (s->size < 6 || s->size < 6 + 3 * (size_t)body[5])
        return dl_jpeg_bad(&d->stream, s, error, "has %zu bytes, too few for a frame header",
                           s->size);
    uint32_t bits = body[0], rows = dl_jpeg_u16(body + 1), columns = dl_jpeg_u16(body + 3);
    if (bits < 2 || bits > 16 || bits > 8 * raster->sample_bytes)
        return dl_jpeg_bad(&d->stream, s, error, "says %u bits a sample, expected 2 to %u", bits,
                           8 * raster->sample_bytes);
    d->rows_follow = rows == 0;
    d->columns_follow = columns == 0;
    if ((rows != raster->rows && rows != 0) || (columns != raster->columns && columns != 0) ||
        body[5] != raster->samples)
        return dl_jpeg_bad(&d->stream, s, error,
                           "says %u rows, %u columns, %u samples, expected %u, %u, %u", rows,
                           columns, body[5], raster->rows, raster->columns, raster->samples);
    for (uint32_t i = 0; i < raster->samples; i++) {
        const uint8_t *at = body + 6 + 3 * i;
        if (at[1] != body[7])
            return dl_fail(error, DL_ERR_UNSUPPORTED, s->at,
                           "JPEG-LS components of different sampling (%02X, %02X)", body[7], at[1]);
        d->components[i] = (part){at[0], false};
        for (uint32_t k = 0; k < i; k++)
            if (d->components[k].id == at[0])
                return dl_jpeg_bad(&d->stream, s, error, "has component %u twice", at[0]);
    }
    d->bits = bits;
    return DL_OK;
}

static dl_status read_mapping(dl_jpeg_ls_decoder *d, const dl_jpeg_segment *s, dl_error *error) {
    const uint8_t *body = s->body;
    mapping *m = NULL;
    if (s->size < 3) return dl_jpeg_bad(&d->stream, s, error, "has no mapping table");
    uint32_t id = body[1], width = body[2];
    for (uint32_t i = 0; i < d->mapping_count; i++)
        if (d->mappings[i].id == id) m = &d->mappings[i];
    if (!m && (body[0] == LSE_MAPPING_CONTINUED || id == 0))
        return dl_jpeg_bad(&d->stream, s, error,
                           "goes on with mapping table %u, which is not there", id);
    if (!m && d->mapping_count == MAPPINGS)
        return dl_fail(error, DL_ERR_UNSUPPORTED, s->at, "JPEG-LS with more than %d mapping tables",
                       MAPPINGS);
    if (!m) m = &d->mappings[d->mapping_count++];
    if (body[0] == LSE_MAPPING) {
        m->entries.length = 0;
        m->width = width;
    }
    m->id = id;
    size_t entries = (s->size - 3) / (width ? width : 1);
    if (width != m->width || width == 0 || width > d->raster->sample_bytes ||
        entries * width != s->size - 3 || m->entries.length / 2 + entries > MAPPING_MOST)
        return dl_jpeg_bad(&d->stream, s, error,
                           "has a mapping table of %zu bytes with entries of %u", s->size - 3,
                           width);
    for (size_t i = 0; i < entries; i++) {
        const uint8_t *at = body + 3 + i * width;
        uint16_t value = (uint16_t)(width == 1 ? *at : dl_jpeg_u16(at));
        if (dl_bytes_append(&m->entries, &value, sizeof value) != DL_OK)
            return dl_fail(error, DL_ERR_MEMORY, s->at, "no memory for a mapping table");
    }
    return DL_OK;
}

/* Rows and columns, in numbers of two to four bytes (C.2.4.1.4). */
static dl_status read_size(dl_jpeg_ls_decoder *d, const dl_jpeg_segment *s, dl_error *error) {
    size_t width = s->size >= 2 ? s->body[1] : 0;
    uint32_t rows = 0, columns = 0;
    if (width < 2 || width > 4 || s->size < 2 + 2 * width)
        return dl_jpeg_bad(&d->stream, s, error, "has a size in %zu bytes of %zu", s->size, width);
    for (size_t i = 0; i < width; i++) {
        rows = rows << 8 | s->body[2 + i];
        columns = columns << 8 | s->body[2 + width + i];
    }
    if (rows != d->raster->rows || columns != d->raster->columns)
        return dl_jpeg_bad(&d->stream, s, error, "says %u rows, %u columns, expected %u, %u", rows,
                           columns, d->raster->rows, d->raster->columns);
    d->rows_follow = d->columns_follow = false;
    return DL_OK;
}

/* LSE (C.2.4). */
static dl_status read_parameters(dl_jpeg_ls_decoder *d, const dl_jpeg_segment *s, dl_error *error) {
    unsigned kind = s->size ? s->body[0] : 0;
    if (kind == LSE_MAPPING || kind == LSE_MAPPING_CONTINUED) return read_mapping(d, s, error);
    if (kind == LSE_SIZE) return read_size(d, s, error);
    if (kind != LSE_PRESETS)
        return dl_fail(error, DL_ERR_UNSUPPORTED, s->at, "JPEG-LS parameters (LSE) of type %u",
                       kind);
    if (s->size < 11) return dl_jpeg_bad(&d->stream, s, error, "has %zu bytes, not 11", s->size);
    d->presets.maxval = (int32_t)dl_jpeg_u16(s->body + 1);
    d->presets.t1 = (int32_t)dl_jpeg_u16(s->body + 3);
    d->presets.t2 = (int32_t)dl_jpeg_u16(s->body + 5);
    d->presets.t3 = (int32_t)dl_jpeg_u16(s->body + 7);
    d->presets.reset = (int32_t)dl_jpeg_u16(s->body + 9);
    return DL_OK;
}

/* DRI: two bytes in ISO/IEC 10918-1, two to four here (C.2.5). */
static dl_status read_interval(dl_jpeg_ls_decoder *d, const dl_jpeg_segment *s, dl_error *error) {
    if (s->size < 2 || s->size > 4)
        return dl_jpeg_bad(&d->stream, s, error, "has %zu bytes, expected 2 to 4", s->size);
    d->restart_rows = 0;
    for (size_t i = 0; i < s->size; i++) d->restart_rows = d->restart_rows << 8 | s->body[i];
    return DL_OK;
}

/* DNL */
static dl_status read_lines(dl_jpeg_ls_decoder *d, const dl_jpeg_segment *s, dl_error *error) {
    uint32_t rows = s->size >= 2 ? dl_jpeg_u16(s->body) : 0;
    if (rows != d->raster->rows)
        return dl_jpeg_bad(&d->stream, s, error, "says %u rows, expected %u", rows,
                           d->raster->rows);
    d->rows_follow = false;
    return DL_OK;
}

/* Which components a scan has, and their mapping tables (C.2.3). */
static dl_status read_components(dl_jpeg_ls_decoder *d, const dl_jpeg_segment *s, dl_error *error) {
    for (uint32_t i = 0; i < d->count; i++) {
        uint32_t id = s->body[1 + 2 * i], table = s->body[2 + 2 * i], k = 0;
        while (k < d->raster->samples && d->components[k].id != id) k++;
        if (k == d->raster->samples || d->components[k].done)
            return dl_jpeg_bad(&d->stream, s, error, "codes component %u, %s", id,
                               k == d->raster->samples ? "which is not in the frame" : "again");
        d->components[k].done = true;
        d->chosen[i] = k;
        d->mapped[i] = NULL;
        for (uint32_t m = 0; m < d->mapping_count; m++)
            if (d->mappings[m].id == table) d->mapped[i] = &d->mappings[m];
        if (table != 0 && !d->mapped[i])
            return dl_jpeg_bad(&d->stream, s, error, "needs mapping table %u, which is not there",
                               table);
    }
    return DL_OK;
}

static dl_status choose_parameters(dl_jpeg_ls_decoder *d, const dl_jpeg_segment *s, int32_t near,
                                   dl_error *error) {
    const dl_ls_parameters *given = &d->presets;
    int32_t top = (int32_t)(1U << d->bits) - 1;
    dl_ls_parameters p = {.bits = (int32_t)d->bits, .near = near};
    p.maxval = given->maxval ? given->maxval : top;
    if (p.maxval > top || near > DL_LS_NEAR_MOST || near > p.maxval / 2)
        return dl_jpeg_bad(&d->stream, s, error, "has NEAR %d with MAXVAL %d of %u bits", near,
                           p.maxval, d->bits);
    dl_ls_default_thresholds(&p);
    if (given->t1) p.t1 = given->t1;
    if (given->t2) p.t2 = given->t2;
    if (given->t3) p.t3 = given->t3;
    p.reset = given->reset ? given->reset : DL_LS_RESET;
    if (p.t1 < near + 1 || p.t2 < p.t1 || p.t3 < p.t2 || p.t3 > p.maxval)
        return dl_jpeg_bad(&d->stream, s, error,
                           "has thresholds %d, %d, %d with NEAR %d, MAXVAL %d", p.t1, p.t2, p.t3,
                           near, p.maxval);
    if (p.reset < RESET_LEAST || p.reset > RESET_MOST)
        return dl_jpeg_bad(&d->stream, s, error, "has RESET %d, expected %d to %d", p.reset,
                           RESET_LEAST, RESET_MOST);
    d->parameters = p;
    return dl_ls_quantizer_make(&d->quantizer, &p, error);
}

static dl_status read_scan(dl_jpeg_ls_decoder *d, const dl_jpeg_segment *s, dl_error *error) {
    const uint8_t *body = s->body;
    if (!d->bits) return dl_jpeg_bad(&d->stream, s, error, "stands before a frame header (SOF55)");
    d->count = s->size ? body[0] : 0;
    if (d->count == 0 || d->count > d->raster->samples || s->size < 4 + 2 * (size_t)d->count)
        return dl_jpeg_bad(&d->stream, s, error, "is a scan of %u components in %zu bytes",
                           d->count, s->size);
    if (d->columns_follow) return dl_jpeg_bad(&d->stream, s, error, "begins a scan of 0 columns");
    const uint8_t *tail = body + 1 + 2 * d->count;
    d->interleave = d->count == 1 ? DL_INTERLEAVE_NONE : tail[1];
    if (d->count > 1 && d->interleave != DL_INTERLEAVE_LINE &&
        d->interleave != DL_INTERLEAVE_SAMPLE)
        return dl_jpeg_bad(&d->stream, s, error, "has %u components and interleave %u", d->count,
                           tail[1]);
    if (tail[2] & 0x0F)
        return dl_fail(error, DL_ERR_UNSUPPORTED, s->at, "JPEG-LS with a point transform of %u",
                       tail[2] & 0x0F);
    dl_status status = read_components(d, s, error);
    return status == DL_OK ? choose_parameters(d, s, tail[0], error) : status;
}

/* --- bits --------------------------------------------------------------------------------------
 */

/* Of an interval, how many bits were there to be taken so far, and how many were taken. */
static uint64_t bits_there(const dl_jpeg_ls_decoder *d) {
    return 8 * (d->dropped + (uint64_t)(d->filled - d->window.data)) + d->partial;
}

static uint64_t bits_taken(const dl_jpeg_ls_decoder *d) { return 8 * d->dropped + d->input.at; }

/* The byte of the stream that holds a bit of the interval. */
static size_t offset_of(const dl_jpeg_ls_decoder *d, uint64_t bit) {
    const uint8_t *data = d->stream.data;
    size_t at = d->start;
    for (uint64_t bits = 0; at < d->stream.size; at++) {
        bits += at > d->start && data[at - 1] == 0xFF ? 7 : 8;
        if (bits > bit) break;
    }
    return at;
}

/* Makes `least` bytes of bits, or all that the interval has left, ready to be taken. */
static void fill(dl_jpeg_ls_decoder *d, size_t least) {
    uint8_t *window = d->window.data, *end = window + d->window.capacity - DL_LS_SLACK;
    size_t there = (size_t)(d->filled - window), used = d->input.at / 8;
    if (d->ended || (used <= there && there - used >= least)) return;
    memmove(window, window + used, there - used);
    d->dropped += used;
    d->input.at %= 8;
    d->filled = window + (there - used);
    size_t got = dl_unstuff_bits(&d->unstuffer, d->filled, (size_t)(end - d->filled));
    d->filled += got;
    if (d->unstuffer.at < d->unstuffer.end) return;
    d->ended = true;
    d->partial = d->unstuffer.count;
    memset(d->filled, 0, DL_LS_SLACK);
    *d->filled = (uint8_t)(d->unstuffer.bits >> 56);
}

static void start_interval(dl_jpeg_ls_decoder *d, size_t at) {
    const dl_jpeg_stream *stream = &d->stream;
    dl_ls_model_start(&d->model, &d->parameters, &d->quantizer);
    dl_ls_lines_clear(&d->lines);
    d->start = at;
    d->unstuffer = (dl_bit_unstuffer){.at = stream->data + at, .end = stream->data + stream->size};
    d->input = (dl_ls_input){.window = d->window.data};
    d->filled = d->window.data;
    d->dropped = 0;
    d->partial = 0;
    d->ended = false;
}

/* An interval ends with RSTm; the next begins behind it. */
static dl_status restart(dl_jpeg_ls_decoder *d, uint32_t row, dl_error *error) {
    const unsigned expected = DL_RST0 + (row / d->restart_rows - 1) % 8;
    const uint8_t *data = d->stream.data;
    fill(d, d->window.capacity);
    size_t at = (size_t)(d->unstuffer.at - data);
    while (at + 1 < d->stream.size && data[at + 1] == 0xFF) at++; /* fill bytes */
    if (!d->ended || bits_there(d) - bits_taken(d) > 8 || at + 2 > d->stream.size ||
        data[at + 1] != expected)
        return dl_fail(error, at + 2 > d->stream.size ? DL_ERR_TRUNCATED : DL_ERR_CORRUPT,
                       offset_of(d, bits_taken(d)),
                       "JPEG-LS: expected restart marker FF %02X behind row %u at byte %zu",
                       expected, row - 1, offset_of(d, bits_taken(d)));
    start_interval(d, at + 2);
    return DL_OK;
}

/* --- lines -------------------------------------------------------------------------------------
 */

static dl_status lay_out(dl_jpeg_ls_decoder *d, dl_error *error) {
    uint32_t lines = d->interleave == DL_INTERLEAVE_LINE ? d->count : 1;
    uint32_t pixel = d->interleave == DL_INTERLEAVE_SAMPLE ? d->count : 1;
    dl_status status = dl_ls_lines_make(&d->lines, lines, pixel, d->raster->columns, error);
    if (status != DL_OK) return status;
    /* A bit or two before each code, and DL_LS_LONGEST of it. */
    d->line_bytes = d->lines.size * (DL_LS_LONGEST / 8 + 1) + DL_LS_SLACK;
    d->window.length = 0;
    if (dl_bytes_reserve(&d->window, WINDOW + d->line_bytes) != DL_OK)
        return dl_fail(error, DL_ERR_MEMORY, 0, "no memory to decode a row");
    return DL_OK;
}

static dl_status fail_at(const dl_jpeg_ls_decoder *d, uint32_t row, dl_error *error) {
    uint64_t taken = bits_taken(d), there = bits_there(d);
    if (d->ended && taken + DL_LS_LONGEST >= there) {
        size_t at = (size_t)(d->unstuffer.at - d->stream.data);
        return dl_fail(error, DL_ERR_TRUNCATED, at,
                       "JPEG-LS: the data of a scan end at byte %zu, within row %u of %u", at, row,
                       d->raster->rows);
    }
    size_t at = offset_of(d, taken);
    return dl_fail(error, DL_ERR_CORRUPT, at,
                   "JPEG-LS: expected a code of row %u at byte %zu, no code begins like that", row,
                   at);
}

/* The samples of one component, from every `pixel`th place of a line, through its table. */
static dl_status store(dl_jpeg_ls_decoder *d, const uint16_t *line, uint32_t index, uint32_t row,
                       dl_error *error) {
    const dl_raster *raster = d->raster;
    const mapping *m = d->mapped[index];
    uint32_t component = d->chosen[index], bits = d->bits < raster->bits ? d->bits : raster->bits;
    uint8_t *out = d->out + row * d->stride + component * raster->sample_bytes;
    /* Which the next line makes anew. */
    uint16_t *picked = d->lines.current[d->lines.count > 1 ? index : 0];
    if (m) bits = raster->bits;
    for (size_t i = 0; i < raster->columns; i++) {
        uint32_t value = line[i * d->lines.pixel];
        if (m && value >= m->entries.length / 2)
            return dl_fail(error, DL_ERR_CORRUPT, offset_of(d, bits_taken(d)),
                           "JPEG-LS: mapping table %u has %zu entries, row %u, column %zu needs %u",
                           m->id, m->entries.length / 2, row, i, value);
        picked[i] = m ? ((const uint16_t *)(const void *)m->entries.data)[value] : (uint16_t)value;
    }
    dl_raster_store(raster, out, raster->samples, picked, raster->columns, bits);
    return DL_OK;
}

static bool stores_as_it_is(const dl_jpeg_ls_decoder *d) {
    for (uint32_t i = 0; i < d->lines.pixel; i++)
        if (d->chosen[i] != i || d->mapped[i]) return false;
    return d->lines.pixel == d->raster->samples;
}

static dl_status decode_line(dl_jpeg_ls_decoder *d, uint32_t row, uint32_t index, dl_error *error) {
    const uint32_t pixel = d->lines.pixel;
    dl_ls_line line = dl_ls_line_begin(&d->lines, index, &d->model.run_index[index]);
    fill(d, d->line_bytes);
    d->kernels->decode(&d->model, &line, pixel, &d->input);
    if (d->input.failed || bits_taken(d) > bits_there(d)) return fail_at(d, row, error);
    dl_ls_line_end(&d->lines, index);
    if (stores_as_it_is(d)) {
        uint32_t bits = d->bits < d->raster->bits ? d->bits : d->raster->bits;
        dl_raster_store(d->raster, d->out + row * d->stride, 1, line.current, d->lines.size, bits);
        return DL_OK;
    }
    dl_status status = DL_OK;
    for (uint32_t i = 0; status == DL_OK && i < pixel; i++)
        status = store(d, line.current + i, index + i, row, error);
    return status;
}

static dl_status decode_scan(dl_jpeg_ls_decoder *d, dl_error *error) {
    dl_status status = lay_out(d, error);
    if (status != DL_OK) return status;
    start_interval(d, d->stream.at);
    for (uint32_t row = 0; row < d->raster->rows; row++) {
        if (d->restart_rows > 0 && row > 0 && row % d->restart_rows == 0)
            status = restart(d, row, error);
        for (uint32_t i = 0; status == DL_OK && i < d->lines.count; i++)
            status = decode_line(d, row, i, error);
        if (status != DL_OK) return status;
    }
    dl_jpeg_skip_scan(&d->stream);
    return DL_OK;
}

/* --- the stream --------------------------------------------------------------------------------
 */

static dl_status read_segment(dl_jpeg_ls_decoder *d, const dl_jpeg_segment *s, dl_error *error) {
    static const uint8_t transform[] = {'m', 'r', 'f', 'x'};
    switch (s->marker) {
    case DL_SOF55: return read_frame(d, s, error);
    case DL_LSE: return read_parameters(d, s, error);
    case DL_DRI: return read_interval(d, s, error);
    case DL_DNL: return read_lines(d, s, error);
    case DL_EOI:
        return dl_fail(error, DL_ERR_TRUNCATED, s->at,
                       "JPEG-LS: the stream ends at byte %zu before all components are coded",
                       s->at);
    default: break;
    }
    if (s->marker >= 0xC0 && s->marker <= 0xCF && s->marker != DL_DHT)
        return dl_fail(error, DL_ERR_CORRUPT, s->at, "expected a JPEG-LS frame, found JPEG (SOF%u)",
                       s->marker - 0xC0);
    if (s->marker == 0xE8 && s->size >= 5 && memcmp(s->body, transform, 4) == 0 && s->body[4])
        return dl_fail(error, DL_ERR_UNSUPPORTED, s->at,
                       "JPEG-LS with color transform %u of Hewlett-Packard", s->body[4]);
    return DL_OK; /* APPn, COM, fill and what else says nothing of the samples */
}

static bool all_done(const dl_jpeg_ls_decoder *d) {
    for (uint32_t i = 0; i < d->raster->samples; i++)
        if (!d->components[i].done) return false;
    return true;
}

/* All samples are there; where DNL follows it must agree, and need not be there. */
static dl_status check_rows(dl_jpeg_ls_decoder *d, dl_error *error) {
    dl_jpeg_segment segment;
    if (!d->rows_follow || dl_jpeg_next(&d->stream, &segment, NULL) != DL_OK ||
        segment.marker != DL_DNL)
        return DL_OK;
    return read_lines(d, &segment, error);
}

static dl_status check(const dl_raster *raster, size_t stride, dl_error *error) {
    dl_status status = dl_raster_check(raster, "JPEG-LS", error);
    if (status == DL_OK && stride < dl_raster_row(raster))
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "rows of %zu bytes that lie %zu apart",
                       dl_raster_row(raster), stride);
    return status;
}

dl_status dl_jpeg_ls_decode(dl_jpeg_ls_decoder *decoder, const uint8_t *data, size_t size,
                            const dl_raster *raster, uint8_t *out, size_t stride, dl_error *error) {
    dl_jpeg_ls_decoder *d = decoder;
    dl_jpeg_segment segment;
    dl_status status = check(raster, stride, error);
    if (status != DL_OK) return status;
    d->stream = (dl_jpeg_stream){data, size, 0, "JPEG-LS"};
    d->raster = raster;
    d->out = out;
    d->stride = stride;
    d->bits = d->restart_rows = d->mapping_count = 0;
    d->presets = (dl_ls_parameters){0};
    status = dl_jpeg_start(&d->stream, error);
    while (status == DL_OK) {
        status = dl_jpeg_next(&d->stream, &segment, error);
        if (status != DL_OK) break;
        if (segment.marker != DL_SOS) {
            status = read_segment(d, &segment, error);
            continue;
        }
        status = read_scan(d, &segment, error);
        if (status == DL_OK) status = decode_scan(d, error);
        if (status == DL_OK && all_done(d)) return check_rows(d, error);
    }
    return status;
}
