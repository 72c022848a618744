/* Hostile JPEG Lossless (X3, X9): streams that are cut or changed anywhere, segments that lie.
 * Never a byte read or written outside, which the sanitizers watch; both twins say the same, and
 * what they say is within the stream. */
#include "jpeg_lossless.h"

static dl_jpeg_lossless_decoder *decoders[2];

typedef struct outcome {
    dl_status status;
    dl_error error;
    uint8_t *out;
} outcome;

/* `data` is copied into a block of exactly its size; rows lie three bytes apart. */
static outcome decode(const uint8_t *data, size_t size, const dl_raster *raster) {
    size_t row = row_size(raster), stride = row + 3, out_size = stride * (raster->rows - 1) + row;
    outcome o[2];
    uint8_t *copy = malloc(size ? size : 1);
    CHECK(copy);
    memcpy(copy, data, size);
    for (int i = 0; i < 2; i++) {
        memset(&o[i], 0, sizeof o[i]);
        o[i].out = malloc(out_size);
        CHECK(o[i].out);
        memset(o[i].out, 0xA5, out_size);
        o[i].status =
            dl_jpeg_lossless_decode(decoders[i], copy, size, raster, o[i].out, stride, &o[i].error);
        CHECK(o[i].status == DL_OK || o[i].status == o[i].error.code);
        CHECK(o[i].status == DL_OK || (o[i].error.message[0] && o[i].error.offset <= size));
        for (size_t at = row; at < out_size; at += stride)
            CHECK(memcmp(o[i].out + at, "\xA5\xA5\xA5", 3) == 0);
    }
    CHECK(o[0].status == o[1].status && memcmp(o[0].out, o[1].out, out_size) == 0);
    CHECK(strcmp(o[0].error.message, o[1].error.message) == 0);
    CHECK(o[0].error.offset == o[1].error.offset);
    free(o[1].out);
    free(copy);
    return o[0];
}

/* Cut anywhere, a frame is refused unless all samples are there; rows before the one that the
 * message names are right. */
static void every_truncation(const dl_raster *raster, const dl_jpeg_lossless_options *options,
                             int kind) {
    uint64_t state = 7 + (uint64_t)kind;
    dl_jpeg_lossless_encoder *encoder = dl_jpeg_lossless_encoder_new(DL_VECTORS_BEST);
    CHECK(encoder);
    size_t row = row_size(raster), full;
    uint8_t *pixels = frame_of(raster, kind, row, &state);
    uint8_t *coded = encode_in(encoder, raster, options, pixels, row, 2, &full);
    for (size_t size = 0; size <= full; size++) {
        outcome o = decode(coded, size, raster);
        const char *named = strstr(o.error.message, ", row ");
        size_t rows = named ? strtoul(named + 6, NULL, 10) : 0;
        if (size + 2 < full) CHECK(o.status == DL_ERR_TRUNCATED || size < 2);
        if (size + 2 >= full) CHECK(o.status == DL_OK);
        if (o.status == DL_OK) rows = raster->rows;
        for (size_t y = 0; y < rows; y++)
            CHECK(memcmp(o.out + y * (row + 3), pixels + y * row, row) == 0);
        free(o.out);
    }
    for (size_t at = 0; at < full; at++) /* any bit, and all of a byte */
        for (unsigned flip = 1; flip <= 0x100; flip <<= 1) {
            uint8_t was = coded[at];
            coded[at] ^= flip == 0x100 ? 0xFF : (uint8_t)flip;
            free(decode(coded, full, raster).out);
            coded[at] = was;
        }
    for (int i = 0; i < 2000; i++) { /* some damage stays */
        size_t at = (size_t)random_below(&state, full);
        uint8_t was = coded[at];
        coded[at] = (uint8_t)random_next(&state);
        free(decode(coded, full, raster).out);
        if (i % 16) coded[at] = was;
    }
    free(coded);
    free(pixels);
    dl_jpeg_lossless_encoder_free(encoder);
}

/* --- segments ----------------------------------------------------------------------------------
 */

#define SOI "\xFF\xD8"
#define SOF "\xFF\xC3\x00\x0B\x08\x00\x01\x00\x08\x01\x01\x11\x00" /* a row of eight bytes */
#define DHT                                                                                        \
    "\xFF\xC4\x00\x14\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"         \
    "\x00" /* 0: category 0 */
#define SOS "\xFF\xDA\x00\x08\x01\x01\x00\x01\x00\x00"
#define EOI "\xFF\xD9"

static void says(const char *data, size_t size, const dl_raster *raster, dl_status status,
                 const char *part) {
    outcome o = decode((const uint8_t *)data, size, raster);
    CHECK_CASE(o.status == status, "%s: status %d: %s", part, (int)o.status, o.error.message);
    CHECK_CASE(status == DL_OK || strstr(o.error.message, part), "%s: %s", part, o.error.message);
    free(o.out);
}
#define SAYS(text, status, part) says(text, sizeof(text) - 1, &eight, status, part)

static const dl_raster eight = {1, 8, 1, 1, 8, false};

static void frames_and_order(void) {
    SAYS(SOI SOF DHT SOS "\x00" EOI, DL_OK, "");
    SAYS("\xFF\xFF\xFF" SOI DHT SOF SOS "\x00", DL_OK, "");
    SAYS("", DL_ERR_CORRUPT, "found nothing");
    SAYS("\x00\x01", DL_ERR_CORRUPT, "expected JPEG Lossless (FF D8)");
    SAYS("\xFF\x4F\xFF\x51", DL_ERR_CORRUPT, "expected JPEG Lossless (FF D8)");
    SAYS(SOI DHT SOS "\x00" EOI, DL_ERR_CORRUPT, "before any frame");
    SAYS(SOI SOF SOS "\x00" EOI, DL_ERR_CORRUPT, "table 0, which was not defined");
    SAYS(SOI SOF SOF DHT SOS "\x00" EOI, DL_ERR_CORRUPT, "second of its kind");
    SAYS(SOI SOF DHT EOI, DL_ERR_TRUNCATED, "before all components");
    SAYS(SOI SOF DHT, DL_ERR_TRUNCATED, "where the stream ends");
    SAYS(SOI "\xFF\xC0\x00\x0B\x08\x00\x01\x00\x08\x01\x01\x11\x00", DL_ERR_UNSUPPORTED,
         "JPEG Baseline");
    SAYS(SOI "\xFF\xC7\x00\x02", DL_ERR_UNSUPPORTED, "Hierarchical (lossless)");
    SAYS(SOI "\xFF\xCB\x00\x02", DL_ERR_UNSUPPORTED, "Lossless (arithmetic)");
    SAYS(SOI "\xFF\xF7\x00\x02", DL_ERR_UNSUPPORTED, "JPEG-LS");
    SAYS(SOI "\xFF\xC3\x00\x0B\x08\x00\x02\x00\x08\x01\x01\x11\x00", DL_ERR_CORRUPT,
         "2 rows and 8 columns, expected 1 and 8");
    SAYS(SOI "\xFF\xC3\x00\x0B\x08\x00\x01\xFF\xFF\x01\x01\x11\x00", DL_ERR_CORRUPT,
         "65535 columns");
    SAYS(SOI "\xFF\xC3\x00\x0B\x09\x00\x01\x00\x08\x01\x01\x11\x00", DL_ERR_CORRUPT,
         "samples of 9 bits, expected 2 to 8");
    SAYS(SOI "\xFF\xC3\x00\x0B\x01\x00\x01\x00\x08\x01\x01\x11\x00", DL_ERR_CORRUPT, "of 1 bits");
    SAYS(SOI "\xFF\xC3\x00\x0B\x08\x00\x01\x00\x08\x02\x01\x11\x00", DL_ERR_CORRUPT,
         "length that does not fit");
    SAYS(SOI "\xFF\xC3\x00\x07\x08\x00\x01\x00\x08", DL_ERR_CORRUPT, "length that does not fit");
    SAYS(SOI "\xFF\xC3\x00\x0E\x08\x00\x01\x00\x08\x02\x01\x11\x00\x02\x11\x00", DL_ERR_CORRUPT,
         "2 components, expected 1");
    SAYS(SOI "\xFF\xC3\x00\x0B\x08\x00\x01\x00\x08\x01\x01\x01\x00", DL_ERR_CORRUPT,
         "sampling factors 0 and 1");
    SAYS(SOI SOF "\xFF\xDD\x00\x03\x00" DHT SOS, DL_ERR_CORRUPT, "length that does not fit");
    SAYS(SOI SOF "\xFF\xDD\x00\x04\x00\x0C" DHT SOS "\x00", DL_ERR_CORRUPT, "restarts each 12");
    SAYS(SOI SOF "\xFF\xDC\x00\x04\x00\x02" DHT SOS "\x00", DL_ERR_CORRUPT, "says 2 rows");
}

static void tables(void) {
#define TABLE(length, first, lengths)                                                              \
    SOI SOF "\xFF\xC4\x00" length first lengths "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    SAYS(TABLE("\x14", "\x10", "\x01\x00\x00\x00") "\x00", DL_ERR_CORRUPT, "table 0 of class 1");
    SAYS(TABLE("\x14", "\x04", "\x01\x00\x00\x00") "\x00", DL_ERR_CORRUPT, "table 4 of class 0");
    SAYS(TABLE("\x14", "\x00", "\x01\x00\x00\x00") "\x11", DL_ERR_CORRUPT, "category 17");
    SAYS(TABLE("\x16", "\x00", "\x03\x00\x00\x00") "\x00\x01\x02", DL_ERR_CORRUPT, "too many");
    SAYS(TABLE("\x16", "\x00", "\x02\x01\x00\x00") "\x00\x01\x02", DL_ERR_CORRUPT, "too many");
    SAYS(TABLE("\x14", "\x00", "\x00\x00\x00\x12") "\x00", DL_ERR_CORRUPT, "too many");
    SAYS(TABLE("\x14", "\x00", "\x00\x00\x00\xFF") "\x00", DL_ERR_CORRUPT, "too many");
    SAYS(TABLE("\x14", "\x00", "\x00\x02\x00\x00") "\x00", DL_ERR_CORRUPT, "ends within");
    SAYS(TABLE("\x13", "\x00", "\x01\x00\x00\x00") "\x00", DL_ERR_CORRUPT, "ends within");
    SAYS(SOI SOF "\xFF\xC4\x00\x01", DL_ERR_CORRUPT, "says length 1");
    SAYS(SOI SOF "\xFF\xC4\x00\x02" DHT SOS "\x00", DL_OK, ""); /* none */
    SAYS(SOI SOF "\xFF\xC4\xFF\xFF\x00", DL_ERR_TRUNCATED, "says length 65535");
    SAYS(TABLE("\x13", "\x00", "\x00\x00\x00\x00") SOS "\x00", DL_ERR_CORRUPT,
         "no Huffman code stands at byte 46, row 0, column 0"); /* no codes at all */
}

static void scans(void) {
    SAYS(SOI SOF DHT "\xFF\xDA\x00\x08\x01\x02\x00\x01\x00\x00\x00", DL_ERR_CORRUPT,
         "component 2, which the frame does not have");
    SAYS(SOI SOF DHT "\xFF\xDA\x00\x0A\x02\x01\x00\x01\x00\x01\x00\x00\x00", DL_ERR_CORRUPT,
         "component 1 twice");
    SAYS(SOI SOF DHT "\xFF\xDA\x00\x08\x01\x01\x10\x01\x00\x00\x00", DL_ERR_CORRUPT,
         "table 1, which");
    SAYS(SOI SOF DHT "\xFF\xDA\x00\x08\x01\x01\xF0\x01\x00\x00\x00", DL_ERR_CORRUPT,
         "table 15, which");
    SAYS(SOI SOF DHT "\xFF\xDA\x00\x08\x01\x01\x00\x00\x00\x00\x00", DL_ERR_UNSUPPORTED,
         "predictor 0");
    SAYS(SOI SOF DHT "\xFF\xDA\x00\x08\x01\x01\x00\x08\x00\x00\x00", DL_ERR_CORRUPT, "predictor 8");
    SAYS(SOI SOF DHT "\xFF\xDA\x00\x08\x01\x01\x00\x01\x00\x08\x00", DL_ERR_CORRUPT,
         "drops 8 bits of samples of 8");
    SAYS(SOI SOF DHT "\xFF\xDA\x00\x06\x00\x01\x00\x00", DL_ERR_CORRUPT, "does not fit");
    SAYS(SOI SOF DHT "\xFF\xDA\x00\x02", DL_ERR_CORRUPT, "does not fit");
    SAYS(SOI SOF DHT SOS "\x01", DL_ERR_CORRUPT, "row 0, column 7");
    SAYS(SOI SOF DHT SOS, DL_ERR_TRUNCATED, "the data end at byte 47, row 0, column 0");
    SAYS(SOI SOF DHT SOS EOI, DL_ERR_TRUNCATED, "a marker ends the data at byte 47, row 0");
    SAYS(SOI SOF DHT SOS "\xFF", DL_ERR_TRUNCATED, "row 0, column 0");
    SAYS(SOI SOF DHT SOS "\xFF\x00", DL_ERR_CORRUPT, "no Huffman code");
    static const dl_raster rgb = {1, 8, 3, 1, 8, false};
    static const char different[] =
        SOI "\xFF\xC3\x00\x11\x08\x00\x01\x00\x08\x03\x01\x22\x00\x02\x11\x00\x03\x11\x00";
    static const char blocks[] =
        SOI "\xFF\xC3\x00\x11\x08\x00\x01\x00\x08\x03\x01\x22\x00\x02\x22\x00\x03\x22\x00" DHT
            "\xFF\xDA\x00\x0C\x03\x01\x00\x02\x00\x03\x00\x01\x00\x00\x00\x00\x00";
    static const char same_ids[] =
        SOI "\xFF\xC3\x00\x11\x08\x00\x01\x00\x08\x03\x01\x11\x00\x02\x11\x00\x01\x11\x00";
    static const char again[] =
        SOI "\xFF\xC3\x00\x11\x08\x00\x01\x00\x08\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00" DHT SOS
            "\x00" SOS "\x00";
    says(different, sizeof different - 1, &rgb, DL_ERR_UNSUPPORTED, "sampled differently");
    says(blocks, sizeof blocks - 1, &rgb, DL_ERR_UNSUPPORTED, "in blocks");
    says(same_ids, sizeof same_ids - 1, &rgb, DL_ERR_CORRUPT, "component 1 twice");
    says(again, sizeof again - 1, &rgb, DL_ERR_CORRUPT, "component 1 again");
}

static void restarts(void) {
    static const dl_raster three = {3, 8, 1, 1, 8, false};
#define START                                                                                      \
    SOI "\xFF\xC3\x00\x0B\x08\x00\x03\x00\x08\x01\x01\x11\x00"                                     \
        "\xFF\xDD\x00\x04\x00\x08" DHT SOS
#define THREE(text, status, part) says(START text, sizeof(START text) - 1, &three, status, part)
    THREE("\x00\xFF\xD0\x00\xFF\xD1\x00", DL_OK, "");
    THREE("\x00\xFF\xFF\xFF\xD0\x00\xFF\xD1\x00", DL_OK, "");
    THREE("\x00\xFF\xD1\x00\xFF\xD1\x00", DL_ERR_CORRUPT,
          "restart marker 0 at byte 54, before row 1");
    THREE("\x00\xFF\xD0\x00\xFF\xD0\x00", DL_ERR_CORRUPT,
          "restart marker 1 at byte 57, before row 2");
    THREE("\x00\x00\xFF\xD0\x00\xFF\xD1\x00", DL_ERR_CORRUPT, "restart marker 0 at byte 54");
    THREE("\x00\xFF\xD0\xFF\xD1\x00", DL_ERR_TRUNCATED, "a marker ends the data at byte 56, row 1");
    THREE("\x00\xFF\xD9", DL_ERR_CORRUPT, "restart marker 0");
    THREE("\x00\xFF", DL_ERR_TRUNCATED, "row 1, column 0");
    THREE("\x00", DL_ERR_TRUNCATED, "row 1, column 0");
}

static void arguments(void) {
    static const uint8_t data[] = {0xFF, 0xD8};
    uint8_t out[64];
    dl_error error;
    dl_raster raster = eight;
    CHECK(dl_jpeg_lossless_decode(decoders[0], data, 2, &raster, out, 7, &error) ==
          DL_ERR_ARGUMENT);
    raster.samples = 5;
    CHECK(dl_jpeg_lossless_decode(decoders[0], data, 2, &raster, out, 64, &error) ==
          DL_ERR_UNSUPPORTED);
}

int main(void) {
    static const dl_raster shapes[] = {{3, 7, 1, 1, 8, false},   {5, 40, 1, 2, 16, false},
                                       {4, 33, 3, 1, 8, false},  {2, 300, 1, 2, 12, true},
                                       {2, 50, 4, 2, 16, false}, {40, 1, 2, 1, 3, true}};
    for (int i = 0; i < 2; i++) {
        decoders[i] = dl_jpeg_lossless_decoder_new(i ? DL_VECTORS_NONE : DL_VECTORS_BEST);
        CHECK(decoders[i]);
    }
    frames_and_order();
    tables();
    scans();
    restarts();
    arguments();
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        for (int kind = 0; kind < KINDS; kind++) {
            dl_jpeg_lossless_options options = {1 + (uint32_t)(i + (size_t)kind) % 7, 0,
                                                (uint32_t)kind % 3};
            every_truncation(&shapes[i], &options, kind);
        }
    dl_jpeg_lossless_decoder_free(decoders[0]);
    dl_jpeg_lossless_decoder_free(decoders[1]);
    return 0;
}
