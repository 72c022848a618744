/* JPEG-LS: ISO/IEC 14495-1 (ITU-T T.87), lossless and near-lossless.
 *
 * A frame is coded in one pass over its rows. What is held is the coded frame, two rows and the
 * statistics of 367 contexts. */
#ifndef DICOMLOOM_JPEG_LS_H
#define DICOMLOOM_JPEG_LS_H

#include "dicomloom/codecs.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { DL_JPEG_LS_SAMPLES = 4 };

/* ILV (C.2.3). */
typedef enum dl_interleave {
    DL_INTERLEAVE_NONE = 0, /* a scan for each component */
    DL_INTERLEAVE_LINE,
    DL_INTERLEAVE_SAMPLE
} dl_interleave;

typedef struct dl_jpeg_ls_options {
    uint32_t near;         /* NEAR: the largest error of a sample, at most min(255, MAXVAL / 2) */
    uint32_t interleave;   /* a dl_interleave; of no effect with one sample */
    uint32_t restart_rows; /* rows between restart markers; 0: none */
} dl_jpeg_ls_options;

/* How many bytes a coded frame has at most; *bound is 0 where it cannot be coded. */
DL_NODISCARD dl_status dl_jpeg_ls_bound(const dl_raster *raster, const dl_jpeg_ls_options *options,
                                        uint64_t *bound, dl_error *error);

/* Holds one coded frame. Its buffers grow to what the largest frame so far needed. */
typedef struct dl_jpeg_ls_encoder dl_jpeg_ls_encoder;

dl_jpeg_ls_encoder *dl_jpeg_ls_encoder_new(dl_vectors vectors); /* NULL: no memory */
void dl_jpeg_ls_encoder_free(dl_jpeg_ls_encoder *encoder);

/* Starts a frame of 1 to 4 samples; what was left of the one before is dropped. */
DL_NODISCARD dl_status dl_jpeg_ls_encode_begin(dl_jpeg_ls_encoder *encoder, const dl_raster *raster,
                                               const dl_jpeg_ls_options *options, dl_error *error);
/* Codes the next `count` rows. DL_ERR_PIXEL where a sample needs more than raster->bits, with the
 * row and the column in the message. */
DL_NODISCARD dl_status dl_jpeg_ls_encode_rows(dl_jpeg_ls_encoder *encoder, const uint8_t *rows,
                                              uint32_t count, size_t stride, dl_error *error);
/* Ends a frame all of whose rows were given: *count pieces, one a scan, valid until the next begin
 * or free. */
DL_NODISCARD dl_status dl_jpeg_ls_encode_end(dl_jpeg_ls_encoder *encoder,
                                             dl_piece pieces[DL_JPEG_LS_SAMPLES], uint32_t *count,
                                             dl_error *error);

/* Holds statistics, tables and rows; used again for any frame. */
typedef struct dl_jpeg_ls_decoder dl_jpeg_ls_decoder;

dl_jpeg_ls_decoder *dl_jpeg_ls_decoder_new(dl_vectors vectors); /* NULL: no memory */
void dl_jpeg_ls_decoder_free(dl_jpeg_ls_decoder *decoder);

/* Decodes a frame into rows that lie `stride` bytes apart. Rows, columns and samples of the stream
 * must be those of the raster, and its precision P at most that of a sample in memory; a signed
 * sample has its sign in bit min(P, raster->bits) - 1. What stands behind the last sample is not
 * looked at. Linear in size and in the size of the frame. On an error, rows before the one that the
 * message names hold what was decoded. */
DL_NODISCARD dl_status dl_jpeg_ls_decode(dl_jpeg_ls_decoder *decoder, const uint8_t *data,
                                         size_t size, const dl_raster *raster, uint8_t *out,
                                         size_t stride, dl_error *error);

#ifdef __cplusplus
}
#endif
#endif
