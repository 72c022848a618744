/* Whichever allocation fails, the caller is told; what is held is about what was coded; a second
 * frame allocates nothing. */
#include "failing_malloc.h"
#include "jpeg_ls.h"

static const struct {
    dl_raster raster;
    dl_jpeg_ls_options options;
} FRAMES[] = {{{1, 1, 1, 1, 8, false}, {0, 0, 0}},    {{64, 100, 1, 2, 16, false}, {0, 0, 0}},
              {{60, 129, 3, 1, 8, false}, {0, 0, 7}}, {{1, 65535, 4, 2, 16, false}, {3, 2, 0}},
              {{300, 1, 1, 1, 8, false}, {0, 0, 1}},  {{128, 128, 1, 2, 12, true}, {2, 0, 0}},
              {{60, 129, 3, 1, 8, false}, {1, 1, 0}}, {{60, 129, 3, 1, 8, false}, {0, 2, 0}}};

/* Row by row; the scans stay with the encoder. */
static dl_status code(dl_jpeg_ls_encoder *encoder, const dl_raster *raster,
                      const dl_jpeg_ls_options *options, const uint8_t *pixels, dl_piece *pieces,
                      uint32_t *count) {
    dl_error error = {0};
    size_t row = row_size(raster);
    dl_status status = dl_jpeg_ls_encode_begin(encoder, raster, options, &error);
    for (uint32_t i = 0; i < raster->rows && status == DL_OK; i++)
        status = dl_jpeg_ls_encode_rows(encoder, pixels + i * row, 1, row, &error);
    if (status == DL_OK) status = dl_jpeg_ls_encode_end(encoder, pieces, count, &error);
    CHECK(status == error.code && (status == DL_OK) == (error.message[0] == 0));
    return status;
}

/* Fails one allocation after the other, until none is left that could. */
static void every_failure_of_encoding(const dl_raster *raster, const dl_jpeg_ls_options *options,
                                      const uint8_t *pixels) {
    for (long n = 0;; n++) {
        dl_piece pieces[DL_JPEG_LS_SAMPLES];
        uint32_t count;
        failing_one = n;
        allocations = 0;
        dl_jpeg_ls_encoder *encoder = dl_jpeg_ls_encoder_new(DL_VECTORS_BEST);
        dl_status status =
            encoder ? code(encoder, raster, options, pixels, pieces, &count) : DL_ERR_MEMORY;
        bool failed = allocations > n;
        failing_one = -1;
        CHECK(status == (failed ? DL_ERR_MEMORY : DL_OK));
        if (encoder) /* none the worse */
            CHECK(code(encoder, raster, options, pixels, pieces, &count) == DL_OK);
        dl_jpeg_ls_encoder_free(encoder);
        if (!failed) break;
    }
}

static void every_failure_of_decoding(const dl_raster *raster, const uint8_t *coded, size_t size,
                                      uint8_t *out) {
    for (long n = 0;; n++) {
        dl_error error = {0};
        failing_one = n;
        allocations = 0;
        dl_jpeg_ls_decoder *decoder = dl_jpeg_ls_decoder_new(DL_VECTORS_BEST);
        dl_status status = DL_ERR_MEMORY;
        if (decoder) {
            status = dl_jpeg_ls_decode(decoder, coded, size, raster, out, row_size(raster), &error);
            CHECK(status == error.code && (status == DL_OK) == (error.message[0] == 0));
        }
        bool failed = allocations > n;
        failing_one = -1;
        CHECK(status == (failed ? DL_ERR_MEMORY : DL_OK));
        if (decoder)
            CHECK(dl_jpeg_ls_decode(decoder, coded, size, raster, out, row_size(raster), &error) ==
                  DL_OK);
        dl_jpeg_ls_decoder_free(decoder);
        if (!failed) break;
    }
}

/* The bits of a row at LIMIT and a window of them, the coded scan, or the table of gradients, which
 * is most; and half of it, for what grows is allocated in steps. */
static size_t held_most(const dl_raster *raster, size_t size) {
    size_t samples = (size_t)raster->columns * raster->samples, most = 9 * samples + 33000;
    size_t table = (size_t)4 << raster->bits;
    if (size + 4096 > most) most = size + 4096;
    if (table > most) most = table;
    return most + most / 2;
}

static void check(const dl_raster *raster, const dl_jpeg_ls_options *options, int kind) {
    uint64_t state = 3;
    dl_error error;
    size_t row = row_size(raster), size = 0;
    uint8_t *pixels = frame_of(raster, kind, options->near, row, &state);
    uint8_t *out = malloc(row * raster->rows);
    dl_jpeg_ls_encoder *encoder = dl_jpeg_ls_encoder_new(DL_VECTORS_BEST);
    dl_jpeg_ls_decoder *decoder = dl_jpeg_ls_decoder_new(DL_VECTORS_BEST);
    dl_piece pieces[DL_JPEG_LS_SAMPLES];
    uint32_t count;
    CHECK(encoder && decoder && out);
    uint8_t *coded = encode_in(encoder, raster, options, pixels, row, raster->rows, &size);
    dl_jpeg_ls_encoder_free(encoder);
    encoder = dl_jpeg_ls_encoder_new(DL_VECTORS_BEST);
    CHECK(encoder);
    largest_allocation = 0;
    CHECK(code(encoder, raster, options, pixels, pieces, &count) == DL_OK);
    CHECK(dl_jpeg_ls_decode(decoder, coded, size, raster, out, row, &error) == DL_OK);
    CHECK_CASE(largest_allocation <= held_most(raster, size), "%zu", (size_t)largest_allocation);
    allocations = 0;
    CHECK(code(encoder, raster, options, pixels, pieces, &count) == DL_OK);
    CHECK(dl_jpeg_ls_decode(decoder, coded, size, raster, out, row, &error) == DL_OK);
    CHECK(allocations == 0);
    every_failure_of_encoding(raster, options, pixels);
    every_failure_of_decoding(raster, coded, size, out);
    dl_jpeg_ls_decoder_free(decoder);
    dl_jpeg_ls_encoder_free(encoder);
    free(coded);
    free(out);
    free(pixels);
}

/* Mapping tables are memory too. */
static void mapping_tables(void) {
    static const uint8_t coded[] = "\xFF\xD8\xFF\xF7\x00\x0B\x02\x00\x01\x00\x08\x01\x01\x11\x00"
                                   "\xFF\xF8\x00\x09\x02\x01\x01\x05\xF0\x10\xFF" /* the table */
                                   "\xFF\xDA\x00\x08\x01\x01\x01\x00\x00\x00"
                                   "\xFC\xFF\xD9"; /* a run to the end of the line */
    enum { SIZE = sizeof coded - 1 };
    static const dl_raster raster = {1, 8, 1, 1, 8, false};
    uint8_t out[8];
    every_failure_of_decoding(&raster, coded, SIZE, out);
    CHECK(memcmp(out, "\5\5\5\5\5\5\5\5", 8) == 0);
    dl_jpeg_ls_decoder *decoder = dl_jpeg_ls_decoder_new(DL_VECTORS_BEST);
    CHECK(decoder);
    for (int i = 0; i < 3; i++) {
        dl_error error;
        allocations = 0;
        CHECK(dl_jpeg_ls_decode(decoder, coded, SIZE, &raster, out, 8, &error) == DL_OK);
        CHECK(i == 0 || allocations == 0);
    }
    dl_jpeg_ls_decoder_free(decoder);
}

int main(void) {
    for (size_t i = 0; i < COUNT_OF(FRAMES); i++)
        for (int kind = 0; kind < KINDS; kind++) check(&FRAMES[i].raster, &FRAMES[i].options, kind);
    mapping_tables();
    return 0;
}
