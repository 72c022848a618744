/* Hostile JPEG-LS: streams that are cut or changed anywhere, segments that lie. Never a byte read
 * or written outside, which the sanitizers watch; both twins say the same, and what they say is
 * within the stream; work is linear in the stream and the rows that come of it. */
#include "jpeg_ls.h"

enum { GAP = 3, GUARD = 16 };

static dl_jpeg_ls_decoder *decoders[2];

typedef struct outcome {
    dl_status status;
    dl_error error;
    uint8_t *block, *out; /* rows lie GAP bytes apart */
} outcome;

static size_t stride_of(const dl_raster *raster) { return row_size(raster) + GAP; }

static void check_untouched(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) CHECK(bytes[i] == 0xA5);
}

static outcome decode_with(dl_jpeg_ls_decoder *decoder, const uint8_t *data, size_t size,
                           const dl_raster *raster) {
    size_t row = row_size(raster), stride = stride_of(raster);
    size_t out_size = stride * raster->rows - GAP;
    outcome o = {.block = malloc(out_size + 2 * GUARD)};
    CHECK(o.block);
    memset(o.block, 0xA5, out_size + 2 * GUARD);
    o.out = o.block + GUARD;
    o.status = dl_jpeg_ls_decode(decoder, data, size, raster, o.out, stride, &o.error);
    CHECK(o.status == DL_OK || o.status == o.error.code);
    CHECK(o.status == DL_OK || (o.error.message[0] && o.error.offset <= size));
    check_untouched(o.block, GUARD);
    check_untouched(o.out + out_size, GUARD);
    for (size_t y = 0; y + 1 < raster->rows; y++) check_untouched(o.out + y * stride + row, GAP);
    return o;
}

/* `data` is copied into a block of exactly its size. */
static outcome decode(const uint8_t *data, size_t size, const dl_raster *raster) {
    uint8_t *copy = malloc(size ? size : 1);
    CHECK(copy);
    memcpy(copy, data, size);
    outcome o = decode_with(decoders[0], copy, size, raster),
            other = decode_with(decoders[1], copy, size, raster);
    CHECK(o.status == other.status);
    CHECK(memcmp(o.out, other.out, stride_of(raster) * raster->rows - GAP) == 0);
    if (o.status != DL_OK) CHECK(strcmp(o.error.message, other.error.message) == 0);
    if (o.status != DL_OK) CHECK(o.error.offset == other.error.offset);
    free(other.block);
    free(copy);
    return o;
}

/* --- streams -----------------------------------------------------------------------------------
 */

/* The row that a message names is the first that is not there. */
static size_t rows_there(const outcome *o, const dl_raster *raster) {
    if (o->status == DL_OK) return raster->rows;
    const char *named = strstr(o->error.message, "behind row ");
    if (named) return strtoul(named + 11, NULL, 10) + 1;
    named = strstr(o->error.message, "row ");
    return named ? strtoul(named + 4, NULL, 10) : 0;
}

/* Cut anywhere, a frame is refused unless all samples are there. */
static void every_cut(const uint8_t *coded, size_t full, const dl_raster *raster, bool one_scan) {
    outcome whole = decode(coded, full, raster);
    CHECK(whole.status == DL_OK);
    for (size_t size = 0; size < full; size++) {
        outcome o = decode(coded, size, raster);
        CHECK_CASE(size + 2 < full || o.status == DL_OK, "%s", o.error.message);
        CHECK_CASE(size + 2 >= full || size < 2 || o.status == DL_ERR_TRUNCATED, "%zu of %zu: %s",
                   size, full, o.error.message);
        CHECK(size >= 2 || o.status == DL_ERR_CORRUPT);
        size_t rows = one_scan ? rows_there(&o, raster) : 0;
        CHECK(rows <= raster->rows);
        CHECK(rows == 0 || memcmp(o.out, whole.out, rows * stride_of(raster) - GAP) == 0);
        free(o.block);
    }
    free(whole.block);
}

static void every_change(uint8_t *coded, size_t full, const dl_raster *raster, uint64_t *state) {
    for (size_t at = 0; at < full; at++) /* any bit, all of a byte, and some other values */
        for (unsigned flip = 1; flip <= 0x400; flip <<= 1) {
            uint8_t was = coded[at];
            uint8_t changed = (uint8_t)(flip < 0x100 ? was ^ flip : random_next(state));
            coded[at] = flip == 0x100 ? 0xFF : changed;
            free(decode(coded, full, raster).block);
            coded[at] = was;
        }
    for (int i = 0; i < 2000; i++) { /* some damage stays */
        size_t at = (size_t)random_below(state, full);
        uint8_t was = coded[at];
        coded[at] = (uint8_t)random_next(state);
        free(decode(coded, full, raster).block);
        if (i % 16) coded[at] = was;
    }
}

static void other_sizes(const uint8_t *coded, size_t full, const dl_raster *raster) {
    for (int i = 0; i < 7; i++) {
        dl_raster other = *raster;
        if (i < 2) other.rows += i ? 1 : -1;
        if (i == 2 || i == 3) other.columns += i == 2 ? 1 : -1;
        if (i == 4 || i == 5) other.samples += i == 4 ? 1 : -1;
        if (i == 6) other.sample_bytes = 1;
        if (other.bits > 8 * other.sample_bytes) other.bits = 8;
        if (other.rows == 0 || other.columns == 0 || other.samples == 0 || other.samples > 4)
            continue;
        outcome o = decode(coded, full, &other);
        CHECK(o.status == (i == 6 && raster->bits <= 8 ? DL_OK : DL_ERR_CORRUPT));
        CHECK(o.status == DL_OK || strstr(o.error.message, ", expected "));
        free(o.block);
    }
}

static void damage(const dl_raster *raster, const dl_jpeg_ls_options *options, int kind) {
    uint64_t state = 7 + (uint64_t)kind;
    dl_jpeg_ls_encoder *encoder = dl_jpeg_ls_encoder_new(DL_VECTORS_BEST);
    CHECK(encoder);
    size_t row = row_size(raster), full;
    uint8_t *pixels = frame_of(raster, kind, options->near, row, &state);
    uint8_t *coded = encode_in(encoder, raster, options, pixels, row, 2, &full);
    every_cut(coded, full, raster,
              raster->samples == 1 || options->interleave != DL_INTERLEAVE_NONE);
    other_sizes(coded, full, raster);
    every_change(coded, full, raster, &state);
    free(coded);
    free(pixels);
    dl_jpeg_ls_encoder_free(encoder);
}

/* --- segments ----------------------------------------------------------------------------------
 */

#define SOI "\xFF\xD8"
#define SOF "\xFF\xF7\x00\x0B\x08\x00\x01\x00\x08\x01\x01\x11\x00" /* a row of eight bytes */
#define SOS "\xFF\xDA\x00\x08\x01\x01\x00\x00\x00\x00"
#define EIGHT "\xFC" /* zeros: runs of 1, 1, 1, 1, 2 and 2 */
#define EOI "\xFF\xD9"

static const dl_raster eight = {1, 8, 1, 1, 8, false}, two_bytes = {1, 8, 1, 2, 16, false},
                       rgb = {1, 8, 3, 1, 8, false};

static void says(const char *data, size_t size, const dl_raster *raster, dl_status status,
                 const char *part) {
    outcome o = decode((const uint8_t *)data, size, raster);
    CHECK_CASE(o.status == status, "%s: status %d: %s", part, (int)o.status,
               o.status ? o.error.message : "");
    CHECK_CASE(status == DL_OK || strstr(o.error.message, part), "%s: %s", part, o.error.message);
    free(o.block);
}
#define SAYS(text, status, part) says(text, sizeof(text) - 1, &eight, status, part)
#define SAYS_OF(raster, text, status, part) says(text, sizeof(text) - 1, raster, status, part)

static void frames_and_order(void) {
    SAYS(SOI SOF SOS EIGHT EOI, DL_OK, "");
    SAYS("\xFF\xFF\xFF" SOI SOF SOS EIGHT, DL_OK, "");
    SAYS("", DL_ERR_CORRUPT, "found nothing");
    SAYS("\x00\x01", DL_ERR_CORRUPT, "expected JPEG-LS (FF D8)");
    SAYS("\xFF\x4F\xFF\x51", DL_ERR_CORRUPT, "expected JPEG-LS (FF D8)");
    SAYS(SOI SOS EIGHT EOI, DL_ERR_CORRUPT, "before a frame header");
    SAYS(SOI SOF SOF SOS EIGHT EOI, DL_ERR_CORRUPT, "second frame header");
    SAYS(SOI SOF EOI, DL_ERR_TRUNCATED, "before all components");
    SAYS(SOI SOF, DL_ERR_TRUNCATED, "where the stream ends");
    SAYS(SOI "\x00" SOF, DL_ERR_CORRUPT, "expected a marker at byte 2");
    SAYS(SOI "\xFF\xC0\x00\x0B\x08\x00\x01\x00\x08\x01\x01\x11\x00", DL_ERR_CORRUPT, "SOF0");
    SAYS(SOI "\xFF\xC3\x00\x02", DL_ERR_CORRUPT, "SOF3");
    SAYS(SOI "\xFF\xE8\x00\x07mrfx\x01", DL_ERR_UNSUPPORTED, "color transform 1");
    SAYS(SOI "\xFF\xE8\x00\x07mrfx\x00" SOF SOS EIGHT, DL_OK, "");
    SAYS(SOI "\xFF\xFE\x00\x01", DL_ERR_CORRUPT, "says length 1");
    SAYS(SOI "\xFF\xFE\xFF\xFF", DL_ERR_TRUNCATED, "says length 65535");
#define FRAME(rest) SOI "\xFF\xF7\x00\x0B" rest
    SAYS(FRAME("\x08\x00\x02\x00\x08\x01\x01\x11\x00"), DL_ERR_CORRUPT, "says 2 rows");
    SAYS(FRAME("\x08\x00\x01\xFF\xFF\x01\x01\x11\x00"), DL_ERR_CORRUPT, "65535 columns");
    SAYS(FRAME("\x09\x00\x01\x00\x08\x01\x01\x11\x00"), DL_ERR_CORRUPT, "9 bits a sample");
    SAYS(FRAME("\x01\x00\x01\x00\x08\x01\x01\x11\x00"), DL_ERR_CORRUPT, "1 bits a sample");
    SAYS_OF(&two_bytes, FRAME("\x11\x00\x01\x00\x08\x01\x01\x11\x00"), DL_ERR_CORRUPT, "17 bits");
    SAYS(FRAME("\x08\x00\x01\x00\x08\x02\x01\x11\x00"), DL_ERR_CORRUPT, "too few for a frame");
    SAYS(FRAME("\x08\x00\x01\x00\x08\x00\x01\x11\x00"), DL_ERR_CORRUPT, "0 samples");
    SAYS(SOI "\xFF\xF7\x00\x06\x08\x00\x01\x00", DL_ERR_CORRUPT, "too few for a frame");
    SAYS(SOI "\xFF\xF7\x00\x02", DL_ERR_CORRUPT, "too few for a frame");
}

/* Rows and columns that come later, or never, or wrong. */
static void sizes(void) {
#define NO_ROWS FRAME("\x08\x00\x00\x00\x08\x01\x01\x11\x00")
#define NO_SIZE FRAME("\x08\x00\x00\x00\x00\x01\x01\x11\x00")
    SAYS(NO_ROWS SOS EIGHT "\xFF\xDC\x00\x04\x00\x01" EOI, DL_OK, "");
    SAYS(NO_ROWS SOS EIGHT "\xFF\xDC\x00\x04\x00\x02" EOI, DL_ERR_CORRUPT, "says 2 rows");
    SAYS(NO_ROWS SOS EIGHT "\xFF\xDC\x00\x02", DL_ERR_CORRUPT, "says 0 rows");
    SAYS(NO_SIZE SOS EIGHT EOI, DL_ERR_CORRUPT, "0 columns");
#define SIZE(length, rest) NO_SIZE "\xFF\xF8\x00" length "\x04" rest SOS EIGHT EOI
    SAYS(SIZE("\x08", "\x02\x00\x01\x00\x08"), DL_OK, "");
    SAYS(SIZE("\x0A", "\x03\x00\x00\x01\x00\x00\x08"), DL_OK, "");
    SAYS(SIZE("\x0C", "\x04\x00\x00\x00\x01\x00\x00\x00\x08"), DL_OK, "");
    SAYS(SIZE("\x0C", "\x04\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), DL_ERR_CORRUPT, "4294967295 rows");
    SAYS(SIZE("\x08", "\x02\x00\x01\x00\x09"), DL_ERR_CORRUPT, "9 columns");
    SAYS(SIZE("\x06", "\x01\x01\x08"), DL_ERR_CORRUPT, "has a size in");
    SAYS(SIZE("\x04", "\x02"), DL_ERR_CORRUPT, "has a size in");
    SAYS(SIZE("\x0B", "\x04\x00\x00\x00\x01\x00\x00\x08"), DL_ERR_CORRUPT, "has a size in");
    SAYS(SIZE("\x03", ""), DL_ERR_CORRUPT, "has a size in");
    SAYS(SIZE("\x04", "\xFF"), DL_ERR_CORRUPT, "has a size in");
}

/* Presets (LSE of type 1): MAXVAL, T1, T2, T3, RESET. */
static void presets(void) {
#define PRESETS(five) SOI SOF "\xFF\xF8\x00\x0D\x01" five SOS EIGHT EOI
    SAYS(PRESETS("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), DL_OK, "");
    SAYS(PRESETS("\x00\xFF\x00\x01\x00\x01\x00\x01\x00\x03"), DL_OK, "");
    SAYS(PRESETS("\x00\x01\x00\x00\x00\x00\x00\x00\x7F\xFF"), DL_OK, "");
    SAYS(PRESETS("\x00\xFF\x00\xFF\x00\xFF\x00\xFF\x00\x40"), DL_OK, "");
    SAYS(PRESETS("\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), DL_ERR_CORRUPT, "MAXVAL 256");
    SAYS(PRESETS("\xFF\xFF\x00\x00\x00\x00\x00\x00\x00\x00"), DL_ERR_CORRUPT, "MAXVAL 65535");
    SAYS(PRESETS("\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"), DL_ERR_CORRUPT, "thresholds 256,");
    SAYS(PRESETS("\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00"), DL_ERR_CORRUPT, "thresholds 3, 2,");
    SAYS(PRESETS("\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00"), DL_ERR_CORRUPT, "3, 7, 6 with");
    SAYS(PRESETS("\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00"), DL_ERR_CORRUPT, "3, 7, 256 with");
    SAYS(PRESETS("\x00\x00\xFF\xFF\xFF\xFF\xFF\xFF\x00\x00"), DL_ERR_CORRUPT, "65535, 65535, 6");
    SAYS(PRESETS("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02"), DL_ERR_CORRUPT, "RESET 2,");
    SAYS(PRESETS("\x00\x00\x00\x00\x00\x00\x00\x00\x80\x00"), DL_ERR_CORRUPT, "RESET 32768,");
    SAYS(SOI SOF "\xFF\xF8\x00\x0C\x01\x00\xFF\x00\x00\x00\x00\x00\x00\x00", DL_ERR_CORRUPT,
         "has 10 bytes, not 11");
    SAYS(SOI SOF "\xFF\xF8\x00\x03\x01", DL_ERR_CORRUPT, "has 1 bytes, not 11");
    SAYS(SOI SOF "\xFF\xF8\x00\x02", DL_ERR_UNSUPPORTED, "of type 0");
    SAYS(SOI SOF "\xFF\xF8\x00\x03\x05", DL_ERR_UNSUPPORTED, "of type 5");
    SAYS(SOI SOF "\xFF\xF8\x00\x03\xFF", DL_ERR_UNSUPPORTED, "of type 255");
#define NEAR(near) SOS_TAIL("\x00" near "\x00\x00")
#define SOS_TAIL(tail) SOI SOF "\xFF\xDA\x00\x08\x01\x01" tail EIGHT EOI
    SAYS(NEAR("\x7F"), DL_OK, "");
    SAYS(NEAR("\x80"), DL_ERR_CORRUPT, "NEAR 128 with MAXVAL 255");
    SAYS(SOI SOF "\xFF\xF8\x00\x0D\x01\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00"
                 "\xFF\xDA\x00\x08\x01\x01\x00\x04\x00\x00" EIGHT,
         DL_ERR_CORRUPT, "NEAR 4 with MAXVAL 7");
    SAYS(SOI SOF "\xFF\xF8\x00\x0D\x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00"
                 "\xFF\xDA\x00\x08\x01\x01\x00\x02\x00\x00" EIGHT,
         DL_ERR_CORRUPT, "with NEAR 2"); /* T1 is NEAR + 1 at least */
}

static void mapping_tables(void) {
#define SOS_MAPPED "\xFF\xDA\x00\x08\x01\x01\x01\x00\x00\x00"
#define MAPPED(segments) SOI SOF segments SOS_MAPPED EIGHT EOI
#define TABLE(length, rest) "\xFF\xF8\x00" length rest
    SAYS(MAPPED(TABLE("\x06", "\x02\x01\x01\x07")), DL_OK, "");
    SAYS(MAPPED(TABLE("\x05", "\x02\x01\x01") TABLE("\x06", "\x03\x01\x01\x07")), DL_OK, "");
    SAYS(MAPPED(TABLE("\x05", "\x02\x01\x01")), DL_ERR_CORRUPT,
         "table 1 has 0 entries, row 0, column 0 needs 0");
    SAYS(MAPPED(""), DL_ERR_CORRUPT, "needs mapping table 1");
    SAYS(MAPPED(TABLE("\x06", "\x02\x02\x01\x07")), DL_ERR_CORRUPT, "needs mapping table 1");
    SAYS(MAPPED(TABLE("\x06", "\x03\x01\x01\x07")), DL_ERR_CORRUPT, "goes on with mapping table 1");
    SAYS(MAPPED(TABLE("\x06", "\x02\x00\x01\x07")), DL_ERR_CORRUPT, "mapping table 0");
    SAYS(MAPPED(TABLE("\x04", "\x02\x01")), DL_ERR_CORRUPT, "has no mapping table");
    SAYS(MAPPED(TABLE("\x03", "\x03")), DL_ERR_CORRUPT, "has no mapping table");
    SAYS(MAPPED(TABLE("\x06", "\x02\x01\x00\x07")), DL_ERR_CORRUPT, "entries of 0");
    SAYS(MAPPED(TABLE("\x07", "\x02\x01\x02\x00\x07")), DL_ERR_CORRUPT, "entries of 2");
    SAYS(MAPPED(TABLE("\x06", "\x02\x01\xFF\x07")), DL_ERR_CORRUPT, "entries of 255");
#define SOF_TWO "\xFF\xF7\x00\x0B\x10\x00\x01\x00\x08\x01\x01\x11\x00"
    SAYS_OF(&two_bytes, SOI SOF_TWO TABLE("\x07", "\x02\x01\x02\x12\x34") SOS_MAPPED EIGHT, DL_OK,
            "");
    SAYS_OF(&two_bytes, SOI SOF_TWO TABLE("\x08", "\x02\x01\x02\x12\x34\x56") SOS_MAPPED EIGHT,
            DL_ERR_CORRUPT, "of 3 bytes with entries of 2");
    SAYS_OF(&two_bytes,
            SOI SOF_TWO TABLE("\x06", "\x02\x01\x01\x07") TABLE("\x07", "\x03\x01\x02\x12\x34")
                SOS_MAPPED EIGHT,
            DL_ERR_CORRUPT, "entries of 2");
#define ONE(id) TABLE("\x06", "\x02" id "\x01\x07")
    SAYS(MAPPED(ONE("\1") ONE("\2") ONE("\3") ONE("\4") ONE("\5") ONE("\6") ONE("\7") ONE("\x08")),
         DL_OK, "");
    SAYS(MAPPED(ONE("\1") ONE("\2") ONE("\3") ONE("\4") ONE("\5") ONE("\6") ONE("\7") ONE("\x08")
                    ONE("\x09")),
         DL_ERR_UNSUPPORTED, "more than 8 mapping tables");
}

/* A table that goes on and on has 65,536 entries at most. */
static void endless_table(void) {
    dl_bytes stream = {0};
    static const char start[] = SOI SOF, more[] = "\xFF\xF8\xFF\xFF\x03\x01\x01",
                      first[] = "\xFF\xF8\x00\x05\x02\x01\x01";
    static const uint8_t entries[65530];
    CHECK(dl_bytes_append(&stream, start, sizeof start - 1) == DL_OK);
    CHECK(dl_bytes_append(&stream, first, sizeof first - 1) == DL_OK);
    for (int i = 0; i < 3; i++) {
        CHECK(dl_bytes_append(&stream, more, sizeof more - 1) == DL_OK);
        CHECK(dl_bytes_append(&stream, entries, sizeof entries) == DL_OK);
    }
    says((const char *)stream.data, stream.length, &eight, DL_ERR_CORRUPT,
         "has a mapping table of 65530 bytes");
    dl_bytes_free(&stream);
}

static void scans(void) {
#define SCAN(rest) SOI SOF "\xFF\xDA\x00" rest EIGHT EOI
    SAYS(SCAN("\x08\x01\x02\x00\x00\x00\x00"), DL_ERR_CORRUPT, "component 2, which is not");
    SAYS(SCAN("\x08\x02\x01\x00\x00\x00\x00"), DL_ERR_CORRUPT, "scan of 2 components in 6");
    SAYS(SCAN("\x0A\x02\x01\x00\x01\x00\x00\x01\x00"), DL_ERR_CORRUPT, "scan of 2 components in 8");
    SAYS(SCAN("\x06\x00\x00\x00\x00"), DL_ERR_CORRUPT, "scan of 0 components in 4");
    SAYS(SCAN("\x07\x01\x01\x00\x00\x00"), DL_ERR_CORRUPT, "scan of 1 components in 5");
    SAYS(SCAN("\x02"), DL_ERR_CORRUPT, "scan of 0 components in 0");
    SAYS(SCAN("\x08\x01\x01\x00\x00\x00\x01"), DL_ERR_UNSUPPORTED, "point transform of 1");
    SAYS(SCAN("\x08\x01\x01\x00\x00\xFF\x00"), DL_OK, ""); /* of one component: of no effect */
    SAYS(SOI SOF SOS, DL_ERR_TRUNCATED, "end at byte 25, within row 0 of 1");
    SAYS(SOI SOF SOS EOI, DL_ERR_TRUNCATED, "end at byte 25, within row 0 of 1");
    SAYS(SOI SOF SOS "\xFF", DL_ERR_TRUNCATED, "end at byte 25, within row 0 of 1");
    SAYS(SOI SOF SOS "\xF8" EOI, DL_ERR_TRUNCATED, "end at byte 26, within row 0 of 1");
    SAYS(SOI SOF SOS "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
         DL_ERR_CORRUPT, "expected a code of row 0 at byte 25");
#define SOF_RGB "\xFF\xF7\x00\x11\x08\x00\x01\x00\x08\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"
#define SOS_RGB(rest) SOI SOF_RGB "\xFF\xDA\x00\x0C\x03" rest EIGHT EIGHT EIGHT EOI
#define ONE_OF(id) "\xFF\xDA\x00\x08\x01" id "\x00\x00\x00\x00" EIGHT
    SAYS_OF(&rgb, SOS_RGB("\x01\x00\x02\x00\x03\x00\x00\x02\x00"), DL_OK, "");
    SAYS_OF(&rgb, SOS_RGB("\x03\x00\x01\x00\x02\x00\x00\x02\x00"), DL_OK, "");
    SAYS_OF(&rgb, SOS_RGB("\x01\x00\x02\x00\x02\x00\x00\x02\x00"), DL_ERR_CORRUPT,
            "component 2, again");
    SAYS_OF(&rgb, SOS_RGB("\x01\x00\x02\x00\x04\x00\x00\x02\x00"), DL_ERR_CORRUPT,
            "component 4, which");
    SAYS_OF(&rgb, SOS_RGB("\x01\x00\x02\x00\x03\x00\x00\x00\x00"), DL_ERR_CORRUPT,
            "3 components and interleave 0");
    SAYS_OF(&rgb, SOS_RGB("\x01\x00\x02\x00\x03\x00\x00\x03\x00"), DL_ERR_CORRUPT,
            "3 components and interleave 3");
    SAYS_OF(&rgb, SOI SOF_RGB ONE_OF("\1") ONE_OF("\3") ONE_OF("\2"), DL_OK, "");
    SAYS_OF(&rgb, SOI SOF_RGB ONE_OF("\1") ONE_OF("\3") EOI, DL_ERR_TRUNCATED, "before all comp");
    SAYS_OF(&rgb, SOI SOF_RGB ONE_OF("\1") ONE_OF("\1"), DL_ERR_CORRUPT, "component 1, again");
    SAYS_OF(&rgb, SOI SOF_RGB ONE_OF("\1") SOF_RGB, DL_ERR_CORRUPT, "second frame header");
    SAYS_OF(&rgb,
            SOI "\xFF\xF7\x00\x11\x08\x00\x01\x00\x08\x03\x01\x22\x00\x02\x11\x00\x03\x11\x00",
            DL_ERR_UNSUPPORTED, "different sampling");
    SAYS_OF(&rgb,
            SOI "\xFF\xF7\x00\x11\x08\x00\x01\x00\x08\x03\x01\x11\x00\x02\x11\x00\x01\x11\x00",
            DL_ERR_CORRUPT, "component 1 twice");
}

static void restarts(void) {
    static const dl_raster three = {3, 8, 1, 1, 8, false};
#define SOF_THREE "\xFF\xF7\x00\x0B\x08\x00\x03\x00\x08\x01\x01\x11\x00"
#define START SOI SOF_THREE "\xFF\xDD\x00\x04\x00\x01" SOS EIGHT
#define THREE(text, status, part) SAYS_OF(&three, START text, status, part)
    THREE("\xFF\xD0" EIGHT "\xFF\xD1" EIGHT, DL_OK, "");
    THREE("\xFF\xFF\xFF\xD0" EIGHT "\xFF\xD1" EIGHT, DL_OK, "");
    THREE("\xFF\xD1" EIGHT "\xFF\xD1" EIGHT, DL_ERR_CORRUPT, "FF D0 behind row 0");
    THREE("\xFF\xD0" EIGHT "\xFF\xD0" EIGHT, DL_ERR_CORRUPT, "FF D1 behind row 1");
    THREE("\xFF\xD0" EIGHT EIGHT, DL_ERR_TRUNCATED, "FF D1 behind row 1");
    THREE(EIGHT EIGHT, DL_ERR_TRUNCATED, "FF D0 behind row 0");
    THREE(EIGHT EIGHT EOI, DL_ERR_CORRUPT, "FF D0 behind row 0");
    THREE(EIGHT EIGHT "\xFF\xD0" EIGHT "\xFF\xD1" EIGHT, DL_ERR_CORRUPT, "FF D0 behind row 0");
    THREE("\xFF\xD0\xFF\xD1" EIGHT, DL_ERR_TRUNCATED, "within row 1 of 3");
    THREE(EOI, DL_ERR_CORRUPT, "FF D0 behind row 0");
    THREE("\xFF\xDA", DL_ERR_CORRUPT, "FF D0 behind row 0");
    THREE("\xFF", DL_ERR_TRUNCATED, "FF D0 behind row 0");
    THREE("\xFF\xFF\xFF", DL_ERR_TRUNCATED, "FF D0 behind row 0");
    THREE("", DL_ERR_TRUNCATED, "FF D0 behind row 0");
    SAYS_OF(&three, SOI SOF_THREE SOS EIGHT "\xFF\xD0" EIGHT, DL_ERR_TRUNCATED, "within row 1");
    SAYS(SOI SOF "\xFF\xDD\x00\x03\x01" SOS EIGHT, DL_ERR_CORRUPT, "expected 2 to 4");
    SAYS(SOI SOF "\xFF\xDD\x00\x02" SOS EIGHT, DL_ERR_CORRUPT, "expected 2 to 4");
    SAYS(SOI SOF "\xFF\xDD\x00\x07\1\1\1\1\1" SOS EIGHT, DL_ERR_CORRUPT, "expected 2 to 4");
    SAYS(SOI SOF "\xFF\xDD\x00\x06\xFF\xFF\xFF\xFF" SOS EIGHT, DL_OK, "");
}

static void arguments(void) {
    static const uint8_t data[] = {0xFF, 0xD8};
    static const struct {
        dl_raster raster;
        size_t stride;
        dl_status status;
    } cases[] = {{{1, 8, 1, 1, 8, false}, 7, DL_ERR_ARGUMENT},
                 {{1, 8, 3, 2, 8, false}, 47, DL_ERR_ARGUMENT},
                 {{1, 8, 1, 1, 8, false}, 8, DL_ERR_TRUNCATED},
                 {{1, 8, 5, 1, 8, false}, 64, DL_ERR_UNSUPPORTED},
                 {{1, 8, 0, 1, 8, false}, 64, DL_ERR_UNSUPPORTED},
                 {{1, 8, 1, 4, 8, false}, 64, DL_ERR_UNSUPPORTED},
                 {{1, 8, 1, 1, 9, false}, 64, DL_ERR_UNSUPPORTED},
                 {{1, 8, 1, 1, 1, false}, 64, DL_ERR_UNSUPPORTED},
                 {{0, 8, 1, 1, 8, false}, 64, DL_ERR_UNSUPPORTED},
                 {{1, 0, 1, 1, 8, false}, 64, DL_ERR_UNSUPPORTED},
                 {{65536, 8, 1, 1, 8, false}, 64, DL_ERR_UNSUPPORTED},
                 {{1, 65536, 1, 1, 8, false}, 65536, DL_ERR_UNSUPPORTED}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t out[64];
        dl_error error;
        dl_status status = dl_jpeg_ls_decode(decoders[0], data, sizeof data, &cases[i].raster, out,
                                             cases[i].stride, &error);
        CHECK_CASE(status == cases[i].status && status == error.code, "case %zu: %s", i,
                   error.message);
    }
}

/* --- work --------------------------------------------------------------------------------------
 */

/* The largest frame there is, of which no row comes: were it looked at whole, or were there room
 * for it, this would not end. Nothing is written to `out`. */
static void largest_frames(void) {
    static const dl_raster raster = {65535, 65535, 1, 1, 8, false};
#define SOF_LARGEST "\xFF\xF7\x00\x0B\x08\xFF\xFF\xFF\xFF\x01\x01\x11\x00"
    static const char none[] = SOI SOF_LARGEST SOS, zeros[] = SOI SOF_LARGEST SOS "\0\0\0\0\0\0\0",
                      ones[] = SOI SOF_LARGEST "\xFF\xDD\x00\x04\x00\x01" SOS "\xFE\xFF\x7F";
    static const char *const streams[] = {none, zeros, ones};
    static const size_t lengths[] = {sizeof none - 1, sizeof zeros - 1, sizeof ones - 1};
    for (int again = 0; again < 100; again++)
        for (size_t i = 0; i < COUNT_OF(streams); i++) {
            dl_error error;
            uint8_t out[1] = {0xA5};
            CHECK(dl_jpeg_ls_decode(decoders[again % 2], (const uint8_t *)streams[i], lengths[i],
                                    &raster, out, 65535, &error) == DL_ERR_TRUNCATED);
            CHECK(strstr(error.message, "within row 0 of 65535") && out[0] == 0xA5);
        }
}

/* A row for each three bytes: what begins an interval is paid for by its marker. */
static void interval_after_interval(void) {
    static const dl_raster raster = {65535, 1, 1, 1, 8, false};
    static const char start[] =
        SOI "\xFF\xF7\x00\x0B\x08\xFF\xFF\x00\x01\x01\x01\x11\x00\xFF\xDD\x00\x04\x00\x01" SOS;
    dl_bytes stream = {0};
    CHECK(dl_bytes_append(&stream, start, sizeof start - 1) == DL_OK);
    for (unsigned row = 0; row < raster.rows; row++) {
        uint8_t bytes[3] = {0x80, 0xFF, (uint8_t)(0xD0 + row % 8)};
        CHECK(dl_bytes_append(&stream, bytes, 3) == DL_OK);
    }
    says((const char *)stream.data, stream.length - 2, &raster, DL_OK, "");
    stream.data[stream.length - 3] = 0xFF; /* the last row: no data */
    says((const char *)stream.data, stream.length - 2, &raster, DL_ERR_TRUNCATED, "row 65534");
    dl_bytes_free(&stream);
}

/* The data end about where the decoder's window does, in rows that are all alike: of zeros behind
 * them the next row would make a run of no length for each column, and take a bit for each. */
static void ends_with_the_window(void) {
    const dl_raster raster = {
        .rows = 2000, .columns = 500, .samples = 2, .sample_bytes = 1, .bits = 8};
    const dl_jpeg_ls_options options = {.interleave = DL_INTERLEAVE_SAMPLE};
    const size_t row = row_size(&raster);
    dl_jpeg_ls_encoder *encoder = dl_jpeg_ls_encoder_new(DL_VECTORS_BEST);
    uint8_t *pixels = calloc(raster.rows, row);
    uint64_t state = 11;
    CHECK(encoder && pixels);
    for (size_t noisy = 35 * row; noisy < 42 * row; noisy += 150) {
        size_t full;
        for (size_t i = 0; i < noisy; i++) pixels[i] = (uint8_t)random_next(&state);
        uint8_t *coded = encode_in(encoder, &raster, &options, pixels, row, raster.rows, &full);
        for (size_t size = full - 200; size < full - 8; size += 40) {
            outcome o = decode(coded, size, &raster);
            CHECK(o.status == DL_ERR_TRUNCATED);
            free(o.block);
        }
        free(coded);
    }
    free(pixels);
    dl_jpeg_ls_encoder_free(encoder);
}

int main(void) {
    static const struct {
        dl_raster raster;
        dl_jpeg_ls_options options;
    } shapes[] = {{{3, 7, 1, 1, 8, false}, {0, 0, 0}},  {{4, 20, 1, 2, 16, false}, {0, 0, 3}},
                  {{3, 12, 3, 1, 8, false}, {0, 1, 0}}, {{2, 70, 1, 2, 12, true}, {2, 0, 0}},
                  {{3, 9, 4, 2, 16, false}, {5, 2, 1}}, {{20, 1, 2, 1, 3, true}, {0, 0, 0}},
                  {{3, 15, 2, 1, 8, false}, {0, 0, 1}}, {{3, 12, 3, 1, 8, true}, {0, 2, 0}},
                  {{6, 17, 2, 2, 10, false}, {1, 1, 2}}};
    for (int i = 0; i < 2; i++) {
        decoders[i] = dl_jpeg_ls_decoder_new(i ? DL_VECTORS_NONE : DL_VECTORS_BEST);
        CHECK(decoders[i]);
    }
    ends_with_the_window(); /* of new decoders, whose windows are small */
    frames_and_order();
    sizes();
    presets();
    mapping_tables();
    endless_table();
    scans();
    restarts();
    arguments();
    largest_frames();
    interval_after_interval();
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        for (int kind = 0; kind < KINDS; kind++)
            damage(&shapes[i].raster, &shapes[i].options, kind);
    dl_jpeg_ls_decoder_free(decoders[0]);
    dl_jpeg_ls_decoder_free(decoders[1]);
    return 0;
}
