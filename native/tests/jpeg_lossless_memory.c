/* Whichever allocation fails, the caller is told; what is held is about what was coded; a second
 * frame allocates nothing. */
#include "failing_malloc.h"
#include "jpeg_lossless.h"

static const dl_raster RASTERS[] = {{1, 1, 1, 1, 8, false},     {64, 100, 1, 2, 16, false},
                                    {200, 129, 3, 1, 8, false}, {1, 65535, 4, 2, 16, false},
                                    {300, 1, 1, 1, 8, false},   {128, 128, 1, 2, 12, true}};

static dl_status code(dl_jpeg_lossless_encoder *encoder, const dl_raster *raster,
                      const uint8_t *pixels, dl_piece *piece) {
    dl_error error = {0};
    dl_jpeg_lossless_options options = {1, 0, 0};
    size_t row = row_size(raster);
    dl_status status = dl_jpeg_lossless_encode_begin(encoder, raster, &options, &error);
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < raster->rows && status == DL_OK; i++)
            status = pass
                         ? dl_jpeg_lossless_encode_rows(encoder, pixels + i * row, 1, row, &error)
                         : dl_jpeg_lossless_encode_count(encoder, pixels + i * row, 1, row, &error);
    if (status == DL_OK) status = dl_jpeg_lossless_encode_end(encoder, piece, &error);
    CHECK(status == error.code);
    return status;
}

/* Fails one allocation after the other, until none is left that could. */
static void every_failure(const dl_raster *raster, const uint8_t *pixels, const uint8_t *coded,
                          size_t size, uint8_t *out) {
    for (long n = 0; n < 100; n++) {
        dl_piece piece;
        failing_one = n;
        allocations = 0;
        dl_jpeg_lossless_encoder *encoder = dl_jpeg_lossless_encoder_new(DL_VECTORS_BEST);
        dl_status status = encoder ? code(encoder, raster, pixels, &piece) : DL_ERR_MEMORY;
        bool failed = allocations > n;
        failing_one = -1;
        CHECK(status == (failed ? DL_ERR_MEMORY : DL_OK));
        if (encoder) CHECK(code(encoder, raster, pixels, &piece) == DL_OK); /* none the worse */
        dl_jpeg_lossless_encoder_free(encoder);
        if (!failed) break;
    }
    for (long n = 0; n < 100; n++) {
        dl_error error;
        failing_one = n;
        allocations = 0;
        dl_jpeg_lossless_decoder *decoder = dl_jpeg_lossless_decoder_new(DL_VECTORS_BEST);
        dl_status status = DL_ERR_MEMORY;
        if (decoder)
            status = dl_jpeg_lossless_decode(decoder, coded, size, raster, out, row_size(raster),
                                             &error);
        bool failed = allocations > n;
        failing_one = -1;
        CHECK(status == (failed ? DL_ERR_MEMORY : DL_OK));
        if (decoder)
            CHECK(dl_jpeg_lossless_decode(decoder, coded, size, raster, out, row_size(raster),
                                          &error) == DL_OK);
        dl_jpeg_lossless_decoder_free(decoder);
        if (!failed) break;
    }
}

static void check(const dl_raster *raster, int kind) {
    uint64_t state = 3;
    dl_error error;
    dl_piece piece;
    size_t row = row_size(raster);
    uint8_t *pixels = frame_of(raster, kind, row, &state), *out = malloc(row * raster->rows);
    dl_jpeg_lossless_encoder *encoder = dl_jpeg_lossless_encoder_new(DL_VECTORS_BEST);
    dl_jpeg_lossless_decoder *decoder = dl_jpeg_lossless_decoder_new(DL_VECTORS_BEST);
    CHECK(encoder && decoder && out);
    largest_allocation = 0;
    CHECK(code(encoder, raster, pixels, &piece) == DL_OK);
    /* The coded frame and what grew in vain, or three rows of 16 bits, whichever is more. */
    size_t held = 2 * piece.size + 4096;
    size_t lines = 3 * ((size_t)raster->columns * raster->samples + 64) * sizeof(uint16_t);
    CHECK_CASE(largest_allocation <= (held > lines ? held : lines), "%zu",
               (size_t)largest_allocation);
    CHECK(dl_jpeg_lossless_decode(decoder, piece.data, piece.size, raster, out, row, &error) ==
          DL_OK);
    memset(out, 0, row * raster->rows);
    allocations = 0;
    CHECK(code(encoder, raster, pixels, &piece) == DL_OK);
    CHECK(dl_jpeg_lossless_decode(decoder, piece.data, piece.size, raster, out, row, &error) ==
          DL_OK);
    CHECK(allocations == 0);
    CHECK(memcmp(out, pixels, row * raster->rows) == 0);
    every_failure(raster, pixels, piece.data, piece.size, out);
    dl_jpeg_lossless_decoder_free(decoder);
    dl_jpeg_lossless_encoder_free(encoder);
    free(out);
    free(pixels);
}

int main(void) {
    for (size_t i = 0; i < COUNT_OF(RASTERS); i++)
        for (int kind = 0; kind < KINDS; kind++) check(&RASTERS[i], kind);
    return 0;
}
