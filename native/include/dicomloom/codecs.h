/* native/codecs: lossless codecs of medical images, one a file.
 *
 * Frames are little endian and color by pixel: all samples of a pixel side by side. Nothing here
 * has global state; a context belongs to one thread at a time, what has none may be called from
 * many. */
#ifndef DICOMLOOM_CODECS_H
#define DICOMLOOM_CODECS_H

#include "dicomloom/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which twin of a kernel runs. Both give the same bytes; the tests hold them to it. */
typedef enum dl_vectors {
    DL_VECTORS_BEST = 0, /* what this processor is best at */
    DL_VECTORS_NONE      /* plain C */
} dl_vectors;

/* A part of a coded frame; frames that have several are all of them, one behind the other. */
typedef struct dl_piece {
    const uint8_t *data;
    size_t size;
} dl_piece;

/* A frame for JPEG Lossless or JPEG-LS. Neither knows a sign: of signed samples the pattern of the
 * lowest `bits` is coded, and decoding puts the sign back. Strides are bytes from the beginning of
 * a row to that of the next. */
typedef struct dl_raster {
    uint32_t rows, columns; /* at most 65535 */
    uint32_t samples;       /* of a pixel */
    uint32_t sample_bytes;  /* 1 or 2 */
    uint32_t bits;          /* BitsStored: 2 to 16, and no more than a sample has */
    bool is_signed;         /* PixelRepresentation is 1 */
} dl_raster;

enum { DL_RASTER_SIDE = 65535 };

/* --- RLE Lossless, PS3.5 Annex G ---------------------------------------------------------------
 */

enum {
    DL_RLE_HEADER = 64, /* bytes: the number of segments and 15 offsets (G.5) */
    DL_RLE_SEGMENTS = 15,
    DL_RLE_SIDE = 65535 /* rows or columns of what is coded: they are US (PS3.3 C.7.6.3) */
};

typedef struct dl_rle_shape {
    uint32_t rows, columns, samples;
    uint32_t sample_bytes; /* 1, 2, 4 or 8 */
} dl_rle_shape;

/* A coded frame: the header and then each segment, one behind the other. */
typedef struct dl_rle_frame {
    uint8_t header[DL_RLE_HEADER];
    dl_piece segments[DL_RLE_SEGMENTS];
    uint32_t count; /* of segments */
    uint64_t size;  /* of the whole */
} dl_rle_frame;

/* How many bytes a coded frame has at most; *bound is 0 where the shape cannot be coded. */
DL_NODISCARD dl_status dl_rle_bound(const dl_rle_shape *shape, uint64_t *bound, dl_error *error);

/* Holds the segments of one frame, coded, and one row by byte planes. The buffers grow to what the
 * largest frame so far needed and are kept for the next one. */
typedef struct dl_rle_encoder dl_rle_encoder;

dl_rle_encoder *dl_rle_encoder_new(dl_vectors vectors); /* NULL: no memory */
void dl_rle_encoder_free(dl_rle_encoder *encoder);

/* Starts a frame; what was left of the one before is dropped. */
DL_NODISCARD dl_status dl_rle_encode_begin(dl_rle_encoder *encoder, const dl_rle_shape *shape,
                                           dl_error *error);
/* Codes the next rows, as many as there are in size bytes, which must be whole rows. */
DL_NODISCARD dl_status dl_rle_encode_rows(dl_rle_encoder *encoder, const uint8_t *rows, size_t size,
                                          dl_error *error);
/* Ends a frame of which all rows were given. The segments are valid until the next begin or free.
 */
DL_NODISCARD dl_status dl_rle_encode_end(dl_rle_encoder *encoder, dl_rle_frame *frame,
                                         dl_error *error);

/* Whether the header fits the shape and each segment could hold its plane of the frame, which is
 * checked without decoding: look first where `out` has to be allocated. */
DL_NODISCARD dl_status dl_rle_look(const uint8_t *data, size_t size, const dl_rle_shape *shape,
                                   dl_error *error);
/* Decodes a frame into `out`, whose size must be that of the shape. Runs may cross rows; what
 * follows the last pixel in a segment is ignored. Linear in size + out_size. */
DL_NODISCARD dl_status dl_rle_decode(const uint8_t *data, size_t size, const dl_rle_shape *shape,
                                     uint8_t *out, size_t out_size, dl_vectors vectors,
                                     dl_error *error);

#ifdef __cplusplus
}
#endif
#endif
