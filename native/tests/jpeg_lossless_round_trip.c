/* Every frame comes back, whatever the predictor, precision, samples, point transform and restarts;
 * what is coded follows annexes B, C, F and H by the letter, is within the bound, never longer than
 * annex K would make it, and the same from either twin and however the rows are handed over. */
#include "jpeg_lossless.h"

typedef struct bit_reader {
    const uint8_t *at, *end;
    unsigned left; /* of the byte at `at` */
} bit_reader;

static unsigned next_bit(bit_reader *reader) {
    CHECK(reader->at < reader->end);
    unsigned bit = *reader->at >> --reader->left & 1;
    if (reader->left > 0) return bit;
    if (*reader->at == 0xFF) CHECK(*++reader->at == 0); /* F.1.2.3 */
    reader->at++;
    reader->left = 8;
    return bit;
}

/* To the next byte: what is left are ones. */
static void end_bits(bit_reader *reader) {
    while (reader->left != 8) CHECK(next_bit(reader) == 1);
}

/* Figure F.16, one bit after the other, on a table as DHT has it. */
static unsigned read_category(bit_reader *reader, const uint8_t *table) {
    uint32_t code = 0, first = 0;
    size_t at = 0;
    for (size_t length = 1; length <= 16; length++) {
        code = code << 1 | next_bit(reader);
        first <<= 1;
        if (code < first + table[length - 1]) {
            CHECK(code != (1u << length) - 1); /* C.2: never all ones */
            return table[16 + at + code - first];
        }
        at += table[length - 1];
        first += table[length - 1];
    }
    CHECK(false);
    return 0;
}

static uint16_t read_difference(bit_reader *reader, const uint8_t *table) {
    unsigned category = read_category(reader, table);
    uint32_t value = 0;
    if (category == 16) return 0x8000;
    for (unsigned i = 0; i < category; i++) value = value << 1 | next_bit(reader);
    if (category > 0 && value >> (category - 1) == 0) value -= (1u << category) - 1;
    CHECK(category_of((uint16_t)value) == category);
    return (uint16_t)value;
}

static const uint8_t *expect_bytes(const uint8_t *at, const char *bytes, size_t size) {
    CHECK(memcmp(at, bytes, size) == 0);
    return at + size;
}

/* The segments before the scan, each in its place; tables[k] for component k. */
static const uint8_t *read_headers(const uint8_t *at, const dl_raster *raster,
                                   const dl_jpeg_lossless_options *options,
                                   const uint8_t *tables[4], bool *restarts) {
    uint32_t samples = raster->samples, count = 0;
    at = expect_bytes(at, "\xFF\xD8\xFF\xC3\x00", 5);
    CHECK(*at == 8 + 3 * samples && at[1] == raster->bits);
    CHECK(dl_load_u16(at + 2, true) == raster->rows &&
          dl_load_u16(at + 4, true) == raster->columns);
    CHECK(at[6] == samples);
    at += 7;
    for (uint32_t k = 0; k < samples; k++, at += 3)
        CHECK(at[0] == k + 1 && at[1] == 0x11 && at[2] == 0);
    at = expect_bytes(at, "\xFF\xC4", 2);
    for (const uint8_t *end = at + dl_load_u16(at, true), *table = at + 2;; count++) {
        at = table;
        if (table == end) break;
        CHECK(*table == count);
        tables[count] = table + 1;
        size_t codes = 0;
        for (size_t i = 1; i <= 16; i++) codes += table[i];
        table += 17 + codes;
    }
    CHECK(count == 1 || count == samples);
    for (uint32_t k = count; k < samples; k++) tables[k] = tables[0];
    *restarts = options->restart_rows > 0 && options->restart_rows < raster->rows;
    if (*restarts) {
        at = expect_bytes(at, "\xFF\xDD\x00\x04", 4);
        CHECK(dl_load_u16(at, true) == options->restart_rows * raster->columns);
        at += 2;
    }
    at = expect_bytes(at, "\xFF\xDA\x00", 3);
    CHECK(at[0] == 6 + 2 * samples && at[1] == samples);
    at += 2;
    for (uint32_t k = 0; k < samples; k++, at += 2)
        CHECK(at[0] == k + 1 && at[1] == (count > 1 ? k << 4 : 0));
    CHECK(at[0] == options->predictor && at[1] == 0 && at[2] == options->shift);
    return at + 3;
}

/* Bits that the codes of annex K.2 would have, which never limits them here: 17 numbers of a few
 * thousand differences are too few for a code of 17 bits. */
static uint64_t bits_of_annex_k(const uint64_t counts[17]) {
    uint64_t weights[18], bits = 0;
    size_t count = 0;
    for (size_t i = 0; i < 17; i++) {
        if (counts[i] > 0) weights[count++] = counts[i];
        bits += counts[i] * (i < 16 ? i : 0);
    }
    weights[count++] = 1; /* the code that is all ones, with the weight K.2 gives it */
    for (; count > 1; count--) {
        for (size_t end = count - 1; end + 2 > count; end--) /* the two least to the end */
            for (size_t i = 0; i < end; i++)
                if (weights[i] < weights[end]) {
                    uint64_t other = weights[i];
                    weights[i] = weights[end];
                    weights[end] = other;
                }
        weights[count - 2] += weights[count - 1];
        bits += weights[count - 2];
    }
    return bits; /* with those of the code that never occurs */
}

static void check_grammar(const dl_raster *raster, const dl_jpeg_lossless_options *options,
                          const uint16_t *values, const uint8_t *coded, size_t size) {
    const uint8_t *tables[4];
    bool restarts;
    bit_reader reader = {read_headers(coded, raster, options, tables, &restarts), coded + size, 8};
    uint32_t middle = 1u << (raster->bits - options->shift - 1);
    uint64_t counts[5][17] = {{0}};
    const uint8_t *start = reader.at;
    for (size_t y = 0; y < raster->rows; y++) {
        bool first = y == 0 || (restarts && y % options->restart_rows == 0);
        if (y > 0 && first) {
            end_bits(&reader);
            CHECK(reader.at[0] == 0xFF);
            CHECK(reader.at[1] == 0xD0 + (y / options->restart_rows - 1) % 8);
            reader.at += 2;
        }
        for (size_t x = 0; x < raster->columns; x++)
            for (size_t k = 0; k < raster->samples; k++) {
                uint16_t expected = difference_at(values, raster->columns, raster->samples, x, y, k,
                                                  options->predictor, first, middle);
                CHECK(read_difference(&reader, tables[k]) == expected);
                counts[k][category_of(expected)]++;
                counts[4][category_of(expected)]++;
            }
    }
    end_bits(&reader);
    CHECK(reader.at + 2 == coded + size && reader.at[0] == 0xFF && reader.at[1] == 0xD9);
    size_t stuffed = 0;
    for (const uint8_t *at = start; at < reader.at; at++) stuffed += *at == 0xFF;
    if (restarts) return;
    uint64_t each = 0, one = bits_of_annex_k(counts[4]);
    for (size_t k = 0; k < raster->samples; k++) each += bits_of_annex_k(counts[k]);
    size_t used = (size_t)(reader.at - start) - stuffed;
    CHECK(used <= (one + 7) / 8 || (raster->samples > 1 && tables[0] != tables[1]));
    CHECK(used <= (each + 7) / 8 + 34 * (raster->samples - 1));
}

static void check_decoded(dl_jpeg_lossless_decoder *decoder, const dl_raster *raster,
                          const dl_jpeg_lossless_options *options, const uint8_t *pixels,
                          size_t pixel_stride, const uint8_t *coded, size_t size, size_t stride) {
    dl_error error;
    uint8_t *out = malloc(stride * raster->rows);
    uint32_t bytes = raster->sample_bytes, dropped = (1u << options->shift) - 1;
    CHECK(out);
    memset(out, 0xA5, stride * raster->rows);
    dl_status status = dl_jpeg_lossless_decode(decoder, coded, size, raster, out, stride, &error);
    CHECK_CASE(status == DL_OK, "%s", error.message);
    for (size_t y = 0; y < raster->rows; y++) {
        const uint8_t *is = out + y * stride, *was = pixels + y * pixel_stride;
        if (options->shift == 0) CHECK(memcmp(is, was, row_size(raster)) == 0);
        for (size_t i = 0; options->shift > 0 && i < row_size(raster); i += bytes)
            CHECK(sample_at(is + i, bytes) == (sample_at(was + i, bytes) & ~dropped));
        for (size_t i = row_size(raster); i < stride; i++) CHECK(is[i] == 0xA5);
    }
    free(out);
}

static dl_jpeg_lossless_encoder *encoders[2];
static dl_jpeg_lossless_decoder *decoders[2];

static void check(const dl_raster *raster, const dl_jpeg_lossless_options *options, int kind,
                  uint64_t *state) {
    size_t stride = row_size(raster) + (size_t)random_below(state, 5), size, other_size;
    uint8_t *pixels = frame_of(raster, kind, stride, state);
    uint16_t *values = values_of(raster, pixels, stride, options->shift);
    uint8_t *coded = encode_in(encoders[0], raster, options, pixels, stride, raster->rows, &size);
    check_grammar(raster, options, values, coded, size);
    uint8_t *other = encode_in(encoders[1], raster, options, pixels, stride,
                               1 + (uint32_t)random_below(state, raster->rows), &other_size);
    CHECK(size == other_size && memcmp(coded, other, size) == 0);
    uint64_t bound;
    dl_error error;
    CHECK(dl_jpeg_lossless_bound(raster, options, &bound, &error) == DL_OK && size <= bound);
    for (int i = 0; i < 2; i++)
        check_decoded(decoders[i], raster, options, pixels, stride, coded, size,
                      row_size(raster) + (size_t)random_below(state, 4));
    free(other);
    free(coded);
    free(values);
    free(pixels);
}

static void any_frame(uint32_t samples, uint32_t bits, uint32_t predictor, uint32_t columns,
                      uint64_t *state) {
    bool wide = bits > 8 || random_below(state, 3) == 0;
    dl_raster raster = {1 + (uint32_t)random_below(state, 6), columns, samples, wide ? 2 : 1, bits,
                        random_below(state, 4) == 0};
    dl_jpeg_lossless_options options = {predictor, 0, (uint32_t)random_below(state, 4)};
    if (random_below(state, 4) == 0) options.shift = (uint32_t)random_below(state, bits);
    check(&raster, &options, (int)random_below(state, KINDS), state);
}

/* Frames of which several places are read at a time, with and without restarts in between. */
static void long_frames(uint64_t *state) {
    for (int kind = 0; kind < KINDS; kind++)
        for (uint32_t bits = 5; bits <= 16; bits++)
            for (uint32_t restart = 0; restart <= 24; restart += 12) {
                uint32_t samples = 1 + 2 * (uint32_t)random_below(state, 2);
                dl_raster raster = {61, 301 + bits, samples, 2, bits, false};
                dl_jpeg_lossless_options options = {1 + bits % 7, 0, restart};
                check(&raster, &options, kind, state);
            }
}

/* The contract of begin, count, rows, end. */
static void order_of_calls(dl_jpeg_lossless_encoder *encoder) {
    static const uint8_t pixels[12] = {1, 2, 3, 4}, other[12] = {255, 0, 255, 0};
    dl_raster raster = {3, 4, 1, 1, 8, false};
    dl_jpeg_lossless_options options = {1, 0, 0};
    dl_piece piece;
    dl_error error;
    CHECK(dl_jpeg_lossless_encode_count(encoder, pixels, 1, 4, &error) == DL_ERR_ARGUMENT);
    CHECK(dl_jpeg_lossless_encode_rows(encoder, pixels, 1, 4, &error) == DL_ERR_ARGUMENT);
    CHECK(dl_jpeg_lossless_encode_end(encoder, &piece, &error) == DL_ERR_ARGUMENT);
    for (int again = 0; again < 2; again++) { /* the first is given up */
        CHECK(dl_jpeg_lossless_encode_begin(encoder, &raster, &options, &error) == DL_OK);
        CHECK(dl_jpeg_lossless_encode_count(encoder, pixels, 3, 3, &error) == DL_ERR_ARGUMENT);
        CHECK(dl_jpeg_lossless_encode_count(encoder, pixels, 2, 4, &error) == DL_OK);
        CHECK(dl_jpeg_lossless_encode_rows(encoder, pixels, 1, 4, &error) == DL_ERR_ARGUMENT);
        CHECK(dl_jpeg_lossless_encode_count(encoder, pixels, 2, 4, &error) == DL_ERR_ARGUMENT);
        CHECK(dl_jpeg_lossless_encode_count(encoder, pixels + 8, 1, 4, &error) == DL_OK);
        CHECK(dl_jpeg_lossless_encode_end(encoder, &piece, &error) == DL_ERR_ARGUMENT);
        CHECK(dl_jpeg_lossless_encode_rows(encoder, pixels, 2, 4, &error) == DL_OK);
        CHECK(dl_jpeg_lossless_encode_count(encoder, pixels, 1, 4, &error) == DL_ERR_ARGUMENT);
        CHECK(dl_jpeg_lossless_encode_end(encoder, &piece, &error) == DL_ERR_ARGUMENT);
        CHECK(dl_jpeg_lossless_encode_rows(encoder, pixels + 4, 2, 4, &error) == DL_ERR_ARGUMENT);
    }
    CHECK(dl_jpeg_lossless_encode_rows(encoder, pixels + 8, 1, 4, &error) == DL_OK);
    CHECK(dl_jpeg_lossless_encode_end(encoder, &piece, &error) == DL_OK && piece.size > 0);
    CHECK(dl_jpeg_lossless_encode_end(encoder, &piece, &error) == DL_ERR_ARGUMENT);
    CHECK(dl_jpeg_lossless_encode_begin(encoder, &raster, &options, &error) == DL_OK);
    CHECK(dl_jpeg_lossless_encode_count(encoder, pixels, 3, 4, &error) == DL_OK);
    CHECK(dl_jpeg_lossless_encode_rows(encoder, other, 3, 4, &error) == DL_ERR_ARGUMENT);
    CHECK(strstr(error.message, "row 0"));
    CHECK(dl_jpeg_lossless_encode_rows(encoder, pixels, 3, 4, &error) == DL_ERR_ARGUMENT);
    dl_jpeg_lossless_encoder_free(NULL);
    dl_jpeg_lossless_decoder_free(NULL);
}

/* Rows of the second pass that are others: refused, or coded if they have as many bits; and never
 * written outside, which the sanitizers watch. */
static void other_rows(dl_jpeg_lossless_encoder *encoder, uint64_t *state) {
    dl_raster raster = {7, 61, 1, 2, 16, false};
    dl_jpeg_lossless_options options = {1, 0, 2};
    for (int first = 0; first < KINDS; first++)
        for (int second = 0; second < KINDS; second++) {
            uint8_t *a = frame_of(&raster, first, row_size(&raster), state);
            uint8_t *b = frame_of(&raster, second, row_size(&raster), state);
            dl_piece piece;
            dl_error error;
            CHECK(dl_jpeg_lossless_encode_begin(encoder, &raster, &options, &error) == DL_OK);
            CHECK(dl_jpeg_lossless_encode_count(encoder, a, 7, row_size(&raster), &error) == DL_OK);
            dl_status status =
                dl_jpeg_lossless_encode_rows(encoder, b, 7, row_size(&raster), &error);
            if (status == DL_OK) status = dl_jpeg_lossless_encode_end(encoder, &piece, &error);
            CHECK(status == DL_ERR_ARGUMENT || (status == DL_OK && first == second));
            free(a);
            free(b);
        }
}

static void pixels_that_do_not_fit(dl_jpeg_lossless_encoder *encoder) {
    static const struct {
        dl_raster raster;
        uint32_t bad;
        const char *message;
    } cases[] = {
        {{3, 40, 1, 2, 12, false}, 4096, "from 0 to 4095 (BitsStored 12), found 4096"},
        {{3, 40, 1, 2, 12, true}, 2048, "from -2048 to 2047 (BitsStored 12), found 2048"},
        {{3, 40, 1, 2, 12, true}, 0xF000, "from -2048 to 2047 (BitsStored 12), found -4096"},
        {{3, 40, 3, 1, 7, false}, 128, "from 0 to 127 (BitsStored 7), found 128"},
        {{3, 40, 2, 1, 7, true}, 0xBF, "from -64 to 63 (BitsStored 7), found -65"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const dl_raster *raster = &cases[i].raster;
        for (uint32_t column = 0; column < raster->columns; column++) {
            uint8_t pixels[3 * 40 * 4] = {0};
            dl_error error;
            char where[40];
            dl_jpeg_lossless_options options = {1, 0, 0};
            size_t at = 2 * row_size(raster) +
                        (size_t)(column + 1) * raster->samples * raster->sample_bytes;
            set_sample(pixels + at - raster->sample_bytes, raster->sample_bytes, cases[i].bad);
            CHECK(dl_jpeg_lossless_encode_begin(encoder, raster, &options, &error) == DL_OK);
            CHECK(dl_jpeg_lossless_encode_count(encoder, pixels, 3, row_size(raster), &error) ==
                  DL_ERR_PIXEL);
            (void)snprintf(where, sizeof where, "in row 2, column %u", column);
            CHECK_CASE(strstr(error.message, where) && strstr(error.message, cases[i].message),
                       "%s", error.message);
        }
    }
}

static void what_cannot_be_coded(dl_jpeg_lossless_encoder *encoder) {
    static const struct {
        dl_raster raster;
        dl_jpeg_lossless_options options;
        dl_status status;
    } cases[] = {{{0, 1, 1, 1, 8, false}, {1, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 0, 1, 1, 8, false}, {1, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{65536, 1, 1, 1, 8, false}, {1, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 65536, 1, 1, 8, false}, {1, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 1, 0, 1, 8, false}, {1, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 1, 5, 1, 8, false}, {1, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 1, 1, 4, 8, false}, {1, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 1, 1, 0, 8, false}, {1, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 1, 1, 1, 9, false}, {1, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 1, 1, 1, 1, false}, {1, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 1, 1, 2, 17, false}, {1, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 1, 1, 1, 8, false}, {0, 0, 0}, DL_ERR_ARGUMENT},
                 {{1, 1, 1, 1, 8, false}, {8, 0, 0}, DL_ERR_ARGUMENT},
                 {{1, 1, 1, 1, 8, false}, {1, 8, 0}, DL_ERR_ARGUMENT},
                 {{300, 512, 1, 1, 8, false}, {1, 0, 128}, DL_ERR_ARGUMENT},
                 {{300, 512, 1, 1, 8, false}, {1, 0, 127}, DL_OK},
                 {{300, 512, 1, 1, 8, false}, {1, 0, 300}, DL_OK},
                 {{65535, 65535, 4, 2, 16, true}, {7, 15, 1}, DL_OK}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dl_error error = {0};
        uint64_t bound = 1;
        dl_status status =
            dl_jpeg_lossless_bound(&cases[i].raster, &cases[i].options, &bound, &error);
        CHECK_CASE(status == cases[i].status, "case %zu: %s", i, error.message);
        CHECK((bound > 0) == (status == DL_OK) && (status == DL_OK) == (error.message[0] == 0));
        CHECK(dl_jpeg_lossless_encode_begin(encoder, &cases[i].raster, &cases[i].options, &error) ==
              status);
    }
}

int main(void) {
    uint64_t state = 1;
    for (int i = 0; i < 2; i++) {
        encoders[i] = dl_jpeg_lossless_encoder_new(i ? DL_VECTORS_NONE : DL_VECTORS_BEST);
        decoders[i] = dl_jpeg_lossless_decoder_new(i ? DL_VECTORS_NONE : DL_VECTORS_BEST);
        CHECK(encoders[i] && decoders[i]);
    }
    order_of_calls(encoders[0]);
    what_cannot_be_coded(encoders[0]);
    for (int i = 0; i < 2; i++) {
        other_rows(encoders[i], &state);
        pixels_that_do_not_fit(encoders[i]);
    }
    for (uint32_t samples = 1; samples <= 4; samples++)
        for (uint32_t bits = 2; bits <= 16; bits++)
            for (uint32_t predictor = 1; predictor <= 7; predictor++) {
                for (uint32_t columns = 1; columns <= 70; columns++)
                    any_frame(samples, bits, predictor, columns, &state);
                any_frame(samples, bits, predictor, 1021, &state);
            }
    long_frames(&state);
    for (int kind = 0; kind < KINDS; kind++) /* chunks, and the widest lookups */
        for (uint32_t samples = 1; samples <= 4; samples++) {
            dl_raster raster = {301,  401, samples, samples % 2 ? 2 : 1, samples % 2 ? 16 : 8,
                                false};
            dl_jpeg_lossless_options options = {1 + (uint32_t)kind, 0, samples == 2 ? 100 : 0};
            check(&raster, &options, kind, &state);
        }
    for (int i = 0; i < 2; i++) {
        dl_jpeg_lossless_encoder_free(encoders[i]);
        dl_jpeg_lossless_decoder_free(decoders[i]);
    }
    return 0;
}
