/* What the standard allows and our encoder does not make decodes too: scans of any components in
 * any order, tables of any form and defined anew, other precisions, fill bytes, DNL, segments that
 * say nothing of pixels, an end that is missing. */
#include "jpeg_lossless.h"

typedef struct stream {
    dl_bytes bytes;
    uint32_t pending, count; /* bits that are not a byte yet */
} stream;

static void put(stream *s, uint32_t byte) {
    uint8_t value = (uint8_t)byte;
    CHECK(dl_bytes_append(&s->bytes, &value, 1) == DL_OK);
}

static void put_text(stream *s, const char *bytes, size_t size) {
    CHECK(dl_bytes_append(&s->bytes, bytes, size) == DL_OK);
}
#define PUT(s, text) put_text(s, text, sizeof(text) - 1)

static void put_u16(stream *s, uint32_t value) {
    put(s, value >> 8);
    put(s, value & 255);
}

static void put_bits(stream *s, uint32_t value, unsigned count) {
    while (count-- > 0) {
        s->pending = s->pending << 1 | (value >> count & 1);
        if (++s->count < 8) continue;
        put(s, s->pending & 255);
        if ((s->pending & 255) == 255) put(s, 0);
        s->count = 0;
    }
}

static void end_bits(stream *s) {
    while (s->count > 0) put_bits(s, 1, 1);
}

/* A table as DHT has it: lengths, then categories in the order of their codes. */
typedef struct table {
    uint8_t lengths[16], values[17];
    size_t count;
} table;

/* Forms of tables: all of five bits, one longer than the other up to 16, those the other way round,
 * or two bits for the least and then nine. */
enum { FLAT, STAIRS, BACKWARDS, SHORT_OR_LONG, FORMS };

static table table_of(int form) {
    table t = {{0}, {0}, 17};
    for (uint8_t i = 0; i < 17; i++) t.values[i] = form == BACKWARDS ? 16 - i : i;
    if (form == FLAT) t.lengths[4] = 17;
    for (size_t i = 0; i < 16 && (form == STAIRS || form == BACKWARDS); i++) t.lengths[i] = 1;
    if (form == STAIRS || form == BACKWARDS) t.lengths[15] = 2; /* the last is all ones */
    if (form == SHORT_OR_LONG) {
        t.lengths[1] = 3;
        t.lengths[8] = 14;
    }
    return t;
}

static void put_table(stream *s, const table *t, uint32_t destination, size_t how_many) {
    if (how_many > 0) {
        PUT(s, "\xFF\xFF\xFF\xC4"); /* fill bytes before it */
        put_u16(s, (uint32_t)(2 + how_many * (17 + t->count)));
    }
    put(s, destination);
    put_text(s, (const char *)t->lengths, 16);
    put_text(s, (const char *)t->values, t->count);
}

static void put_difference(stream *s, const table *t, uint16_t difference) {
    unsigned category = category_of(difference);
    uint32_t code = 0;
    size_t at = 0;
    for (unsigned length = 1; length <= 16; length++, code <<= 1)
        for (unsigned i = 0; i < t->lengths[length - 1]; i++, at++, code++)
            if (t->values[at] == category) {
                put_bits(s, code, length);
                if (category == 16) return;
                uint32_t low = difference & 0x8000 ? difference - 1u : difference;
                put_bits(s, low & ((1u << category) - 1), category);
                return;
            }
    CHECK(false);
}

typedef struct plan {
    uint32_t precision, shift, predictor, restart_rows;
    bool says_rows, repeats_rows, ends;
    uint32_t order[4]; /* of the components in scans */
    uint32_t scans, sizes[4];
    int forms[4]; /* of the tables of each scan's components */
} plan;

static void put_frame(stream *s, const dl_raster *raster, const plan *p) {
    PUT(s, "\xFF\xD8\xFF\xE0\x00\x04xy\xFF\xFE\x00\x05\xFF\xD9!\xFF\xC3"); /* APP0, COM */
    put_u16(s, 8 + 3 * raster->samples);
    put(s, p->precision);
    put_u16(s, p->says_rows ? raster->rows : 0);
    put_u16(s, raster->columns);
    put(s, raster->samples);
    for (uint32_t k = 0; k < raster->samples; k++) {
        put(s, 200 + 7 * k); /* ids may be anything */
        put(s, raster->samples == 1 || p->scans == raster->samples ? 0x22 : 0x11);
        put(s, 3);
    }
}

/* Component k of each pixel of the scan, values[] having `samples` of them. */
static void put_scan(stream *s, const dl_raster *raster, const plan *p, const uint16_t *values,
                     const uint32_t *order, uint32_t count) {
    table tables[4];
    for (uint32_t k = 0; k < count; k++) tables[k] = table_of(p->forms[k]);
    for (uint32_t k = 0; k < count; k++) put_table(s, &tables[k], 3 - k, k == 0 ? count : 0);
    if (p->restart_rows > 0) {
        PUT(s, "\xFF\xDD\x00\x04");
        put_u16(s, p->restart_rows * raster->columns);
    }
    PUT(s, "\xFF\xDA");
    put_u16(s, 6 + 2 * count);
    put(s, count);
    for (uint32_t k = 0; k < count; k++) {
        put(s, 200 + 7 * order[k]);
        put(s, (3 - k) << 4);
    }
    put(s, p->predictor);
    put(s, 0);
    put(s, p->shift);
    uint32_t middle = 1u << (p->precision - p->shift - 1);
    for (size_t y = 0; y < raster->rows; y++) {
        bool first = y == 0 || (p->restart_rows > 0 && y % p->restart_rows == 0);
        if (first && y > 0) {
            end_bits(s);
            PUT(s, "\xFF\xFF"); /* a fill byte */
            put(s, 0xD0 + (uint32_t)(y / p->restart_rows - 1) % 8);
        }
        for (size_t x = 0; x < raster->columns; x++)
            for (uint32_t k = 0; k < count; k++)
                put_difference(s, &tables[k],
                               difference_at(values, raster->columns, raster->samples, x, y,
                                             order[k], p->predictor, first, middle));
    }
    end_bits(s);
}

static void put_rows(stream *s, uint32_t rows) {
    PUT(s, "\xFF\xDC\x00\x04");
    put_u16(s, rows);
}

static void put_all(stream *s, const dl_raster *raster, const plan *p, const uint16_t *values) {
    put_frame(s, raster, p);
    const uint32_t *order = p->order;
    for (uint32_t i = 0; i < p->scans; order += p->sizes[i++]) {
        put_scan(s, raster, p, values, order, p->sizes[i]);
        if (i == 0 && (!p->says_rows || p->repeats_rows)) put_rows(s, raster->rows);
        PUT(s, "\xFF\xE1\x00\x02"); /* APP1, empty */
    }
    if (p->ends) PUT(s, "\xFF\xD9trailing");
}

static plan any_plan(const dl_raster *raster, uint64_t *state) {
    plan p = {.precision = raster->bits, .order = {0, 1, 2, 3}};
    uint32_t samples = raster->samples, left = samples;
    p.predictor = 1 + (uint32_t)random_below(state, 7);
    if (random_below(state, 4) == 0) p.shift = (uint32_t)random_below(state, raster->bits);
    p.restart_rows = (uint32_t)random_below(state, 4);
    p.says_rows = random_below(state, 3) > 0;
    p.repeats_rows = random_below(state, 2) > 0;
    p.ends = random_below(state, 2) > 0;
    for (uint32_t k = samples; k > 1; k--) {
        uint32_t other = (uint32_t)random_below(state, k), was = p.order[k - 1];
        p.order[k - 1] = p.order[other];
        p.order[other] = was;
    }
    while (left > 0) {
        uint32_t size = 1 + (uint32_t)random_below(state, left);
        p.sizes[p.scans++] = size;
        left -= size;
    }
    for (size_t k = 0; k < 4; k++) p.forms[k] = (int)random_below(state, FORMS);
    return p;
}

static void check(dl_jpeg_lossless_decoder *decoder, const dl_raster *raster, const stream *s,
                  const uint16_t *values, uint32_t shift, uint32_t precision) {
    dl_error error;
    size_t count = (size_t)raster->columns * raster->samples * raster->rows;
    uint32_t bytes = raster->sample_bytes;
    uint8_t *data = malloc(s->bytes.length), *out = malloc(count * bytes);
    CHECK(data && out);
    memcpy(data, s->bytes.data, s->bytes.length);
    dl_status status = dl_jpeg_lossless_decode(decoder, data, s->bytes.length, raster, out,
                                               row_size(raster), &error);
    CHECK_CASE(status == DL_OK, "%s", error.message);
    uint32_t bits = precision < raster->bits ? precision : raster->bits;
    uint32_t sign = raster->is_signed ? 1u << (bits - 1) : 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t value = (uint32_t)values[i] << shift;
        if (sign) value = ((value & ((1u << bits) - 1)) ^ sign) - sign;
        value &= bytes == 1 ? 0xFF : 0xFFFF;
        CHECK_CASE(sample_at(out + i * bytes, bytes) == value, "sample %zu", i);
    }
    free(out);
    free(data);
}

/* A precision that is not BitsStored: values are what they are. */
static void other_precisions(dl_jpeg_lossless_decoder *decoder, uint64_t *state) {
    for (uint32_t precision = 2; precision <= 16; precision++)
        for (uint32_t bits = 2; bits <= 16; bits++)
            for (int is_signed = 0; is_signed < 2; is_signed++) {
                dl_raster raster = {3, 20, 1, 2, bits, is_signed},
                          coded = {3, 20, 1, 2, precision, false};
                plan p = any_plan(&coded, state);
                uint8_t *pixels = frame_of(&coded, NOISE, row_size(&coded), state);
                uint16_t *values = values_of(&coded, pixels, row_size(&coded), p.shift);
                stream s = {{0}, 0, 0};
                put_all(&s, &coded, &p, values);
                check(decoder, &raster, &s, values, p.shift, precision);
                if (precision <= 8 && bits <= 8) {
                    raster.sample_bytes = 1;
                    check(decoder, &raster, &s, values, p.shift, precision);
                }
                dl_bytes_free(&s.bytes);
                free(values);
                free(pixels);
            }
}

int main(void) {
    uint64_t state = 5;
    dl_jpeg_lossless_decoder *decoders[2] = {dl_jpeg_lossless_decoder_new(DL_VECTORS_BEST),
                                             dl_jpeg_lossless_decoder_new(DL_VECTORS_NONE)};
    CHECK(decoders[0] && decoders[1]);
    for (int i = 0; i < 6000; i++) {
        dl_raster raster = {1 + (uint32_t)random_below(&state, 6),
                            1 + (uint32_t)random_below(&state, i % 50 ? 40 : 3000),
                            1 + (uint32_t)random_below(&state, 4),
                            2,
                            16,
                            false};
        raster.bits = 2 + (uint32_t)random_below(&state, 15);
        if (raster.bits <= 8) raster.sample_bytes = 1 + (uint32_t)random_below(&state, 2);
        raster.is_signed = random_below(&state, 4) == 0;
        plan p = any_plan(&raster, &state);
        if (p.restart_rows * raster.columns > 65535) p.restart_rows = 0;
        uint8_t *pixels =
            frame_of(&raster, (int)random_below(&state, KINDS), row_size(&raster), &state);
        uint16_t *values = values_of(&raster, pixels, row_size(&raster), p.shift);
        stream s = {{0}, 0, 0};
        put_all(&s, &raster, &p, values);
        for (int k = 0; k < 2; k++) check(decoders[k], &raster, &s, values, p.shift, raster.bits);
        dl_bytes_free(&s.bytes);
        free(values);
        free(pixels);
    }
    other_precisions(decoders[0], &state);
    dl_jpeg_lossless_decoder_free(decoders[0]);
    dl_jpeg_lossless_decoder_free(decoders[1]);
    return 0;
}
