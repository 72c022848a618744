/* JPEG Lossless: process 14 of ISO/IEC 10918-1 (ITU-T T.81), SOF3 with Huffman coding.
 *
 * A frame is coded in two passes over its rows: one counts how often each category of difference
 * occurs, one codes with the tables that are best for that. What is held is the coded frame, a row
 * and the tables. */
#ifndef DICOMLOOM_JPEG_LOSSLESS_H
#define DICOMLOOM_JPEG_LOSSLESS_H

#include "dicomloom/codecs.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dl_jpeg_lossless_options {
    uint32_t predictor;    /* selection value, 1 to 7 (H.1.2.1, table H.1) */
    uint32_t shift;        /* point transform Pt: low bits that are dropped, less than bits */
    uint32_t restart_rows; /* rows between restart markers; 0, or all rows: none. Their pixels have
                              to be at most 65,535 (DRI) */
} dl_jpeg_lossless_options;

/* How many bytes a coded frame has at most; *bound is 0 where it cannot be coded. */
DL_NODISCARD dl_status dl_jpeg_lossless_bound(const dl_raster *raster,
                                              const dl_jpeg_lossless_options *options,
                                              uint64_t *bound, dl_error *error);

/* Holds one coded frame, three rows of 16 bit numbers, and tables (17 KiB). Its buffers grow to
 * what the largest frame so far needed. */
typedef struct dl_jpeg_lossless_encoder dl_jpeg_lossless_encoder;

dl_jpeg_lossless_encoder *dl_jpeg_lossless_encoder_new(dl_vectors vectors); /* NULL: no memory */
void dl_jpeg_lossless_encoder_free(dl_jpeg_lossless_encoder *encoder);

/* Starts a frame of 1 to 4 samples; what was left of the one before is dropped. */
DL_NODISCARD dl_status dl_jpeg_lossless_encode_begin(dl_jpeg_lossless_encoder *encoder,
                                                     const dl_raster *raster,
                                                     const dl_jpeg_lossless_options *options,
                                                     dl_error *error);
/* The first pass: the next `count` rows. DL_ERR_PIXEL where a sample needs more than raster->bits,
 * with the row and the column in the message. */
DL_NODISCARD dl_status dl_jpeg_lossless_encode_count(dl_jpeg_lossless_encoder *encoder,
                                                     const uint8_t *rows, uint32_t count,
                                                     size_t stride, dl_error *error);
/* The second pass: the same rows again, once all were counted. DL_ERR_ARGUMENT, and nothing written
 * beyond the buffer, where they are others. */
DL_NODISCARD dl_status dl_jpeg_lossless_encode_rows(dl_jpeg_lossless_encoder *encoder,
                                                    const uint8_t *rows, uint32_t count,
                                                    size_t stride, dl_error *error);
/* Ends a frame all of whose rows were given twice. The piece is valid until the next begin or free.
 */
DL_NODISCARD dl_status dl_jpeg_lossless_encode_end(dl_jpeg_lossless_encoder *encoder,
                                                   dl_piece *piece, dl_error *error);

/* Holds tables (82 KiB), 8 KiB of the stream, and five rows of 16 bit numbers or less with 6 KiB
 * behind them; used again for any frame. */
typedef struct dl_jpeg_lossless_decoder dl_jpeg_lossless_decoder;

dl_jpeg_lossless_decoder *dl_jpeg_lossless_decoder_new(dl_vectors vectors); /* NULL: no memory */
void dl_jpeg_lossless_decoder_free(dl_jpeg_lossless_decoder *decoder);

/* Decodes a frame into rows that lie `stride` bytes apart. Rows, columns and samples of the stream
 * must be those of the raster, and its precision P at most that of a sample in memory; a signed
 * sample has its sign in bit min(P, raster->bits) - 1. What stands behind the last sample is not
 * looked at. Linear in size and in the size of the frame. On an error, rows before the one that the
 * message names hold what was decoded. */
DL_NODISCARD dl_status dl_jpeg_lossless_decode(dl_jpeg_lossless_decoder *decoder,
                                               const uint8_t *data, size_t size,
                                               const dl_raster *raster, uint8_t *out, size_t stride,
                                               dl_error *error);

#ifdef __cplusplus
}
#endif
#endif
