/* Marker segments of ISO/IEC 10918-1 (B.1.1) and 14495-1, as both decoders read them. */
#ifndef DICOMLOOM_CODECS_JPEG_MARKERS_H
#define DICOMLOOM_CODECS_JPEG_MARKERS_H

#include "dicomloom/codecs.h"

enum {
    DL_SOF3 = 0xC3, /* lossless, Huffman */
    DL_DHT = 0xC4,
    DL_RST0 = 0xD0,
    DL_SOI = 0xD8,
    DL_EOI = 0xD9,
    DL_SOS = 0xDA,
    DL_DNL = 0xDC,
    DL_DRI = 0xDD,
    DL_SOF55 = 0xF7, /* JPEG-LS */
    DL_LSE = 0xF8
};

typedef struct dl_jpeg_stream {
    const uint8_t *data;
    size_t size, at;
    const char *name; /* of the format, for messages */
} dl_jpeg_stream;

typedef struct dl_jpeg_segment {
    unsigned marker;
    size_t at;           /* of its 0xFF */
    const uint8_t *body; /* behind its length; NULL with markers that stand alone */
    size_t size;
} dl_jpeg_segment;

/* Finds SOI, perhaps behind fill bytes, and stands behind it. */
DL_NODISCARD dl_status dl_jpeg_start(dl_jpeg_stream *stream, dl_error *error);
/* Reads the next marker, and the segment of those that have one. */
DL_NODISCARD dl_status dl_jpeg_next(dl_jpeg_stream *stream, dl_jpeg_segment *segment,
                                    dl_error *error);
/* Looks from stream->at for the next marker that is no restart marker (and no stuffing), and stands
 * before it; at the end where there is none. */
void dl_jpeg_skip_scan(dl_jpeg_stream *stream);

/* Fails with what a segment had to be: "<format>: <what> at byte N". */
dl_status dl_jpeg_bad(const dl_jpeg_stream *stream, const dl_jpeg_segment *segment, dl_error *error,
                      const char *format, ...) DL_PRINTF(4, 5);

static inline uint32_t dl_jpeg_u16(const uint8_t *p) { return dl_load_u16(p, true); }

/* For encoders; they return what is behind. */
static inline uint8_t *dl_jpeg_put_u16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}
static inline uint8_t *dl_jpeg_put_marker(uint8_t *at, unsigned marker) {
    return dl_jpeg_put_u16(at, 0xFF00 | marker);
}

#endif
