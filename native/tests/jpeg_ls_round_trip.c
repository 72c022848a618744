/* Every frame comes back, near-lossless ones within NEAR, whatever the precision, samples,
 * interleave and restarts; what is coded is within the bound, and the same from either twin and
 * however the rows are handed over. */
#include "jpeg_ls.h"

static dl_jpeg_ls_encoder *encoders[2];
static dl_jpeg_ls_decoder *decoders[2];

static void check_decoded(dl_jpeg_ls_decoder *decoder, const dl_raster *raster,
                          const dl_jpeg_ls_options *options, const uint8_t *pixels,
                          size_t pixel_stride, const uint8_t *coded, size_t size, uint8_t *out,
                          size_t stride) {
    dl_error error;
    memset(out, 0xA5, stride * raster->rows);
    dl_status status = dl_jpeg_ls_decode(decoder, coded, size, raster, out, stride, &error);
    CHECK_CASE(status == DL_OK, "%s", error.message);
    int32_t near = (int32_t)options->near;
    for (size_t y = 0; y < raster->rows; y++) {
        const uint8_t *is = out + y * stride, *was = pixels + y * pixel_stride;
        if (near == 0) CHECK(memcmp(is, was, row_size(raster)) == 0);
        for (size_t i = 0; near > 0 && i < row_size(raster); i += raster->sample_bytes) {
            int32_t off = value_at(is + i, raster) - value_at(was + i, raster);
            CHECK_CASE(-near <= off && off <= near, "row %zu, byte %zu: %d", y, i, off);
        }
        for (size_t i = row_size(raster); i < stride; i++) CHECK(is[i] == 0xA5);
    }
}

/* Both twins must decode the same, which NEAR leaves open. */
static void check_twins(const dl_raster *raster, const dl_jpeg_ls_options *options,
                        const uint8_t *pixels, size_t pixel_stride, const uint8_t *coded,
                        size_t size, uint64_t *state) {
    size_t stride = row_size(raster) + (size_t)random_below(state, 4);
    uint8_t *out[2];
    for (int i = 0; i < 2; i++) {
        out[i] = malloc(stride * raster->rows);
        CHECK(out[i]);
        check_decoded(decoders[i], raster, options, pixels, pixel_stride, coded, size, out[i],
                      stride);
    }
    CHECK(memcmp(out[0], out[1], stride * raster->rows) == 0);
    free(out[0]);
    free(out[1]);
}

/* What stands where: SOF55 and the first SOS say what was asked for (C.2.2, C.2.3). */
static void check_headers(const dl_raster *raster, const dl_jpeg_ls_options *options,
                          const uint8_t *coded, size_t size) {
    const uint8_t *at = coded + 4, *end = coded + size;
    uint32_t samples = raster->samples;
    uint32_t in_scan = options->interleave == DL_INTERLEAVE_NONE ? 1 : samples;
    CHECK(size > 4 && memcmp(coded, "\xFF\xD8\xFF\xF7", 4) == 0);
    CHECK(dl_load_u16(at, true) == 8 + 3 * samples && at[2] == raster->bits);
    CHECK(dl_load_u16(at + 3, true) == raster->rows && at[7] == samples);
    CHECK(dl_load_u16(at + 5, true) == raster->columns);
    for (bool restarts = false;; at += 2) {
        at += dl_load_u16(at, true);
        CHECK(at + 4 < end && at[0] == 0xFF);
        if (at[1] == 0xDD) { /* DRI: rows */
            CHECK(dl_load_u16(at + 4, true) == options->restart_rows);
            restarts = true;
        }
        if (at[1] != 0xDA) continue;
        CHECK(restarts == (options->restart_rows > 0));
        break;
    }
    CHECK(dl_load_u16(at + 2, true) == 6 + 2 * in_scan && at[4] == in_scan);
    at += 5 + 2 * in_scan;
    CHECK(at[0] == options->near && at[2] == 0);
    CHECK(at[1] == (samples > 1 ? options->interleave : DL_INTERLEAVE_NONE));
    CHECK(end[-2] == 0xFF && end[-1] == 0xD9);
}

static void check(const dl_raster *raster, const dl_jpeg_ls_options *options, int kind,
                  uint64_t *state) {
    size_t stride = row_size(raster) + (size_t)random_below(state, 5), size, other_size;
    uint8_t *pixels = frame_of(raster, kind, options->near, stride, state);
    uint8_t *coded = encode_in(encoders[0], raster, options, pixels, stride, raster->rows, &size);
    check_headers(raster, options, coded, size);
    uint8_t *other = encode_in(encoders[1], raster, options, pixels, stride,
                               1 + (uint32_t)random_below(state, raster->rows), &other_size);
    CHECK(size == other_size && memcmp(coded, other, size) == 0);
    uint64_t bound;
    dl_error error;
    CHECK(dl_jpeg_ls_bound(raster, options, &bound, &error) == DL_OK && size <= bound);
    check_twins(raster, options, pixels, stride, coded, size, state);
    free(other);
    free(coded);
    free(pixels);
}

static void any_frame(uint32_t samples, uint32_t bits, uint32_t near, uint32_t columns,
                      uint64_t *state) {
    bool wide = bits > 8 || random_below(state, 3) == 0;
    dl_raster raster = {1 + (uint32_t)random_below(state, 6), columns, samples, wide ? 2 : 1, bits,
                        random_below(state, 3) == 0};
    dl_jpeg_ls_options options = {near, (uint32_t)random_below(state, 3), 0};
    if (random_below(state, 3) == 0) options.restart_rows = 1 + (uint32_t)random_below(state, 4);
    check(&raster, &options, (int)random_below(state, KINDS), state);
}

static void all_shapes(uint64_t *state) {
    for (uint32_t samples = 1; samples <= 4; samples++)
        for (uint32_t bits = 2; bits <= 16; bits++) {
            uint32_t nears[] = {0, 0, 1, 3, most_near(bits)};
            for (size_t i = 0; i < COUNT_OF(nears); i++) {
                if (nears[i] > most_near(bits)) continue;
                for (uint32_t columns = 1; columns <= 70; columns++)
                    any_frame(samples, bits, nears[i], columns, state);
                any_frame(samples, bits, nears[i], 1021, state);
            }
        }
}

/* Frames of many rows: contexts grow old (RESET), and restart markers come around. */
static void large_frames(uint64_t *state) {
    for (int kind = 0; kind < KINDS; kind++)
        for (uint32_t samples = 1; samples <= 4; samples++)
            for (uint32_t interleave = 0; interleave < 3; interleave++) {
                if (samples == 1 && interleave > 0) continue;
                uint32_t bits = (kind + samples) % 2 ? 16 : 8;
                dl_raster raster = {61, 203, samples, bits / 8, bits, false};
                dl_jpeg_ls_options options = {0, interleave, samples == 2 ? 5 : 0};
                check(&raster, &options, kind, state);
                options.near = 2;
                check(&raster, &options, kind, state);
            }
}

/* The contract of begin, rows, end. */
static void order_of_calls(dl_jpeg_ls_encoder *encoder) {
    static const uint8_t pixels[12] = {1, 2, 3, 4};
    dl_raster raster = {3, 4, 1, 1, 8, false};
    dl_jpeg_ls_options options = {0, 0, 0};
    dl_piece pieces[DL_JPEG_LS_SAMPLES];
    dl_error error;
    uint32_t count = 7;
    CHECK(dl_jpeg_ls_encode_rows(encoder, pixels, 1, 4, &error) == DL_ERR_ARGUMENT);
    CHECK(dl_jpeg_ls_encode_end(encoder, pieces, &count, &error) == DL_ERR_ARGUMENT && count == 0);
    for (int again = 0; again < 2; again++) { /* the first is given up */
        CHECK(dl_jpeg_ls_encode_begin(encoder, &raster, &options, &error) == DL_OK);
        CHECK(dl_jpeg_ls_encode_rows(encoder, pixels, 4, 4, &error) == DL_ERR_ARGUMENT);
        CHECK(dl_jpeg_ls_encode_rows(encoder, pixels, 0, 4, &error) == DL_OK);
        CHECK(dl_jpeg_ls_encode_rows(encoder, pixels, 2, 4, &error) == DL_OK);
        CHECK(dl_jpeg_ls_encode_rows(encoder, pixels, 2, 4, &error) == DL_ERR_ARGUMENT);
        CHECK(strstr(error.message, "1 left of 3"));
        CHECK(dl_jpeg_ls_encode_end(encoder, pieces, &count, &error) == DL_ERR_ARGUMENT);
        CHECK(strstr(error.message, "1 of 3 rows"));
    }
    CHECK(dl_jpeg_ls_encode_rows(encoder, pixels + 8, 1, 4, &error) == DL_OK);
    CHECK(dl_jpeg_ls_encode_end(encoder, pieces, &count, &error) == DL_OK && count == 1);
    CHECK(dl_jpeg_ls_encode_end(encoder, pieces, &count, &error) == DL_ERR_ARGUMENT);
    CHECK(dl_jpeg_ls_encode_rows(encoder, pixels, 1, 4, &error) == DL_ERR_ARGUMENT);
    options.near = 128;
    CHECK(dl_jpeg_ls_encode_begin(encoder, &raster, &options, &error) == DL_ERR_ARGUMENT);
    CHECK(dl_jpeg_ls_encode_rows(encoder, pixels, 1, 4, &error) == DL_ERR_ARGUMENT);
    dl_jpeg_ls_encoder_free(NULL);
    dl_jpeg_ls_decoder_free(NULL);
}

static void pixels_that_do_not_fit(dl_jpeg_ls_encoder *encoder) {
    static const struct {
        dl_raster raster;
        uint32_t bad;
        const char *message;
    } cases[] = {
        {{3, 40, 1, 2, 12, false}, 4096, "from 0 to 4095 (BitsStored 12), found 4096"},
        {{3, 40, 1, 2, 12, true}, 2048, "from -2048 to 2047 (BitsStored 12), found 2048"},
        {{3, 40, 1, 2, 12, true}, 0xF000, "from -2048 to 2047 (BitsStored 12), found -4096"},
        {{3, 40, 3, 1, 7, false}, 128, "from 0 to 127 (BitsStored 7), found 128"},
        {{3, 40, 4, 2, 9, false}, 0x200, "from 0 to 511 (BitsStored 9), found 512"},
        {{3, 40, 2, 1, 7, true}, 0xBF, "from -64 to 63 (BitsStored 7), found -65"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (uint32_t sample = 0; sample < 40 * cases[i].raster.samples; sample++) {
            const dl_raster *raster = &cases[i].raster;
            uint8_t pixels[3 * 40 * 4 * 2] = {0};
            dl_error error;
            char where[40];
            dl_jpeg_ls_options options = {0, sample % 3, 0};
            size_t row = row_size(raster), at = 2 * row + sample * raster->sample_bytes;
            set_sample(pixels + at, raster->sample_bytes, cases[i].bad);
            CHECK(dl_jpeg_ls_encode_begin(encoder, raster, &options, &error) == DL_OK);
            CHECK(dl_jpeg_ls_encode_rows(encoder, pixels, 3, row, &error) == DL_ERR_PIXEL);
            (void)snprintf(where, sizeof where, "in row 2, column %u:", sample / raster->samples);
            CHECK_CASE(strstr(error.message, where) && strstr(error.message, cases[i].message),
                       "%s", error.message);
            CHECK(dl_jpeg_ls_encode_rows(encoder, pixels, 0, row, &error) == DL_ERR_ARGUMENT);
        }
}

/* An error of NEAR could change the sign of what is near the ends: refused, and of that nothing
 * more than has to be. */
static void signs_that_could_change(dl_jpeg_ls_encoder *encoder) {
    for (uint32_t bits = 2; bits <= 16; bits++)
        for (uint32_t near = 0; near <= most_near(bits); near = near ? 2 * near + 1 : 1) {
            int32_t half = 1 << (bits - 1);
            for (int32_t i = -3; i < 4; i++)
                for (int end = 0; end < 2; end++) {
                    int32_t inner = (int32_t)near + i,
                            value = end ? half - 1 - inner : inner - half;
                    if (value < -half || value >= half) continue;
                    uint8_t pixels[4] = {0};
                    dl_raster raster = {2, 1, 1, 2, bits, true};
                    dl_jpeg_ls_options options = {near, 0, 0};
                    dl_error error;
                    bool refused = near > 0 && (value < -half + (int32_t)near ||
                                                value > half - 1 - (int32_t)near);
                    set_sample(pixels + 2, 2, (uint32_t)value);
                    CHECK(dl_jpeg_ls_encode_begin(encoder, &raster, &options, &error) == DL_OK);
                    dl_status status = dl_jpeg_ls_encode_rows(encoder, pixels, 2, 2, &error);
                    CHECK_CASE(status == (refused ? DL_ERR_PIXEL : DL_OK), "%u bits, %u: %d", bits,
                               near, value);
                    CHECK(!refused || (strstr(error.message, "change sign by an error of") &&
                                       strstr(error.message, "(row 1, column 0)")));
                }
        }
}

/* Where that is, whichever scan or sample of a pixel it is in. */
static void places_of_signs(dl_jpeg_ls_encoder *encoder) {
    for (uint32_t interleave = 0; interleave < 3; interleave++)
        for (uint32_t sample = 0; sample < 20 * 3; sample++) {
            dl_raster raster = {2, 20, 3, 2, 16, true};
            dl_jpeg_ls_options options = {255, interleave, 0};
            uint8_t pixels[2 * 20 * 3 * 2] = {0};
            dl_error error;
            char where[40];
            set_sample(pixels + row_size(&raster) + 2 * sample, 2, 0x8000);
            CHECK(dl_jpeg_ls_encode_begin(encoder, &raster, &options, &error) == DL_OK);
            CHECK(dl_jpeg_ls_encode_rows(encoder, pixels, 2, row_size(&raster), &error) ==
                  DL_ERR_PIXEL);
            (void)snprintf(where, sizeof where, "(row 1, column %u)", sample / 3);
            CHECK_CASE(strstr(error.message, where), "%s", error.message);
        }
}

static void what_cannot_be_coded(dl_jpeg_ls_encoder *encoder) {
    static const struct {
        dl_raster raster;
        dl_jpeg_ls_options options;
        dl_status status;
    } cases[] = {{{0, 1, 1, 1, 8, false}, {0, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 0, 1, 1, 8, false}, {0, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{65536, 1, 1, 1, 8, false}, {0, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 65536, 1, 1, 8, false}, {0, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 1, 0, 1, 8, false}, {0, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 1, 5, 1, 8, false}, {0, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 1, 1, 4, 8, false}, {0, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 1, 1, 0, 8, false}, {0, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 1, 1, 1, 9, false}, {0, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 1, 1, 1, 1, false}, {0, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 1, 1, 2, 17, false}, {0, 0, 0}, DL_ERR_UNSUPPORTED},
                 {{1, 1, 1, 1, 8, false}, {128, 0, 0}, DL_ERR_ARGUMENT},
                 {{1, 1, 1, 1, 8, false}, {127, 0, 0}, DL_OK},
                 {{1, 1, 1, 1, 2, false}, {2, 0, 0}, DL_ERR_ARGUMENT},
                 {{1, 1, 1, 1, 2, false}, {1, 0, 0}, DL_OK},
                 {{1, 1, 1, 2, 16, false}, {256, 0, 0}, DL_ERR_ARGUMENT},
                 {{1, 1, 1, 2, 16, false}, {255, 0, 0}, DL_OK},
                 {{1, 1, 1, 2, 16, false}, {UINT32_MAX, 0, 0}, DL_ERR_ARGUMENT},
                 {{1, 1, 3, 1, 8, false}, {0, 3, 0}, DL_ERR_ARGUMENT},
                 {{1, 1, 1, 1, 8, false}, {0, 3, 0}, DL_ERR_ARGUMENT},
                 {{1, 1, 3, 1, 8, false}, {0, UINT32_MAX, 0}, DL_ERR_ARGUMENT},
                 {{1, 1, 1, 1, 8, false}, {0, 0, 65536}, DL_ERR_ARGUMENT},
                 {{1, 1, 1, 1, 8, false}, {0, 0, 65535}, DL_OK},
                 {{65535, 65535, 4, 2, 16, true}, {255, 2, 1}, DL_OK}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dl_error error = {0};
        uint64_t bound = 1;
        dl_status status = dl_jpeg_ls_bound(&cases[i].raster, &cases[i].options, &bound, &error);
        CHECK_CASE(status == cases[i].status, "case %zu: %s", i, error.message);
        CHECK((bound > 0) == (status == DL_OK) && (status == DL_OK) == (error.message[0] == 0));
        CHECK(dl_jpeg_ls_encode_begin(encoder, &cases[i].raster, &cases[i].options, &error) ==
              status);
    }
}

int main(void) {
    uint64_t state = 1;
    for (int i = 0; i < 2; i++) {
        encoders[i] = dl_jpeg_ls_encoder_new(i ? DL_VECTORS_NONE : DL_VECTORS_BEST);
        decoders[i] = dl_jpeg_ls_decoder_new(i ? DL_VECTORS_NONE : DL_VECTORS_BEST);
        CHECK(encoders[i] && decoders[i]);
    }
    order_of_calls(encoders[0]);
    what_cannot_be_coded(encoders[0]);
    pixels_that_do_not_fit(encoders[0]);
    signs_that_could_change(encoders[0]);
    places_of_signs(encoders[0]);
    all_shapes(&state);
    large_frames(&state);
    for (int i = 0; i < 2; i++) {
        dl_jpeg_ls_encoder_free(encoders[i]);
        dl_jpeg_ls_decoder_free(decoders[i]);
    }
    return 0;
}
