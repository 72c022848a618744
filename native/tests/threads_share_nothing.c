/* Codecs, data sets and tables of any number of threads do not know of each other: what is shared
 * is read only. Meant for ThreadSanitizer (DICOMLOOM_SANITIZE=thread); without it, results are
 * compared. */

#include "data_set.h"
#include "dicomloom/codecs.h"
#include "dicomloom/frames.h"
#include "dicomloom/jpeg_lossless.h"
#include "dicomloom/jpeg_ls.h"

enum { THREADS = 4, ROUNDS = 3, ROWS = 24, COLUMNS = 48, SIZE = ROWS * COLUMNS };

static const dl_raster RASTER = {
    .rows = ROWS, .columns = COLUMNS, .samples = 1, .sample_bytes = 1, .bits = 8};
static uint8_t pixels[SIZE]; /* as everything below, written before any thread is there */
static writer data_set;
static dl_plan *plan;

static void same_pixels(const uint8_t *decoded) { CHECK(memcmp(decoded, pixels, SIZE) == 0); }

static void rle(dl_vectors vectors) {
    const dl_rle_shape shape = {ROWS, COLUMNS, 1, 1};
    uint8_t coded[4 * SIZE + DL_RLE_HEADER], decoded[SIZE];
    dl_rle_frame frame;
    dl_error error;
    dl_rle_encoder *encoder = dl_rle_encoder_new(vectors);
    CHECK(encoder && dl_rle_encode_begin(encoder, &shape, &error) == DL_OK);
    CHECK(dl_rle_encode_rows(encoder, pixels, SIZE, &error) == DL_OK);
    CHECK(dl_rle_encode_end(encoder, &frame, &error) == DL_OK && frame.count == 1);
    memcpy(coded, frame.header, DL_RLE_HEADER);
    memcpy(coded + DL_RLE_HEADER, frame.segments[0].data, frame.segments[0].size);
    CHECK(dl_rle_decode(coded, frame.size, &shape, decoded, SIZE, vectors, &error) == DL_OK);
    same_pixels(decoded);
    dl_rle_encoder_free(encoder);
}

static void jpeg_lossless(dl_vectors vectors) {
    const dl_jpeg_lossless_options options = {.predictor = 1, .restart_rows = 8};
    uint8_t decoded[SIZE];
    dl_piece piece;
    dl_error error;
    dl_jpeg_lossless_encoder *encoder = dl_jpeg_lossless_encoder_new(vectors);
    dl_jpeg_lossless_decoder *decoder = dl_jpeg_lossless_decoder_new(vectors);
    CHECK(encoder && decoder);
    CHECK(dl_jpeg_lossless_encode_begin(encoder, &RASTER, &options, &error) == DL_OK);
    CHECK(dl_jpeg_lossless_encode_count(encoder, pixels, ROWS, COLUMNS, &error) == DL_OK);
    CHECK(dl_jpeg_lossless_encode_rows(encoder, pixels, ROWS, COLUMNS, &error) == DL_OK);
    CHECK(dl_jpeg_lossless_encode_end(encoder, &piece, &error) == DL_OK);
    CHECK(dl_jpeg_lossless_decode(decoder, piece.data, piece.size, &RASTER, decoded, COLUMNS,
                                  &error) == DL_OK);
    same_pixels(decoded);
    dl_jpeg_lossless_encoder_free(encoder);
    dl_jpeg_lossless_decoder_free(decoder);
}

static void jpeg_ls(dl_vectors vectors) {
    const dl_jpeg_ls_options options = {.restart_rows = 8};
    uint8_t decoded[SIZE];
    dl_piece pieces[DL_JPEG_LS_SAMPLES];
    uint32_t count;
    dl_error error;
    dl_jpeg_ls_encoder *encoder = dl_jpeg_ls_encoder_new(vectors);
    dl_jpeg_ls_decoder *decoder = dl_jpeg_ls_decoder_new(vectors);
    CHECK(encoder && decoder);
    CHECK(dl_jpeg_ls_encode_begin(encoder, &RASTER, &options, &error) == DL_OK);
    CHECK(dl_jpeg_ls_encode_rows(encoder, pixels, ROWS, COLUMNS, &error) == DL_OK);
    CHECK(dl_jpeg_ls_encode_end(encoder, pieces, &count, &error) == DL_OK && count == 1);
    CHECK(dl_jpeg_ls_decode(decoder, pieces[0].data, pieces[0].size, &RASTER, decoded, COLUMNS,
                            &error) == DL_OK);
    same_pixels(decoded);
    dl_jpeg_ls_encoder_free(encoder);
    dl_jpeg_ls_decoder_free(decoder);
}

static void values(void) {
    result r = read_all(plan, &data_set);
    CHECK(r.status == DL_OK && cell_is(r.table, 0, "Doe^Jane"));
    result_free(&r);
}

static void recoded(void) {
    const dl_recoding how = {.from = EXPLICIT, .to_explicit = false};
    dl_source source;
    dl_lister lister = {0};
    dl_bytes into = {0};
    dl_error error;
    dl_memory memory = {data_set.bytes.data, data_set.bytes.length};
    dl_source_memory(&source, &memory);
    CHECK(dl_lister_open(&lister, &source, DL_LIST_DEPTH, &error) == DL_OK);
    CHECK(dl_recode(&lister, &how, 0, data_set.bytes.length, &into, &error) == DL_OK);
    CHECK(into.length > 0 && dl_dictionary_find(0x00100010));
    dl_bytes_free(&into);
    dl_lister_free(&lister);
}

static void *work(void *argument) {
    for (int round = 0; round < ROUNDS; round++) {
        dl_vectors vectors = (round + *(int *)argument) % 2 ? DL_VECTORS_NONE : DL_VECTORS_BEST;
        rle(vectors);
        jpeg_lossless(vectors);
        jpeg_ls(vectors);
        values();
        recoded();
    }
    return NULL;
}

int main(void) {
    uint64_t seed = 1;
    for (size_t i = 0; i < SIZE; i++) pixels[i] = (uint8_t)(i / 5 + random_below(&seed, 4));
    data_set = (writer){.syntax = EXPLICIT};
    put_uid(&data_set, 0x00080018, "1.2.3");
    put_text(&data_set, 0x00100010, "PN", "Doe^Jane");
    put_us(&data_set, 0x00280010, "US", ROWS);
    plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00100010));
    dl_thread threads[THREADS];
    int numbers[THREADS];
    dl_error error;
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(dl_thread_start(&threads[i], work, &numbers[i], &error) == DL_OK);
    }
    for (int i = 0; i < THREADS; i++) dl_thread_join(threads[i]);
    dl_plan_free(plan);
    writer_free(&data_set);
    return 0;
}
