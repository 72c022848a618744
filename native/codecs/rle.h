/* What the encoder and the decoder of RLE share. */
#ifndef DICOMLOOM_CODECS_RLE_H
#define DICOMLOOM_CODECS_RLE_H

#include "dicomloom/codecs.h"

/* DL_ERR_UNSUPPORTED unless the shape has pixels and 1 to 15 segments. */
DL_NODISCARD dl_status dl_rle_check_shape(const dl_rle_shape *shape, dl_error *error);

/* Which byte of a pixel, in memory, a segment holds: its most significant byte comes first (G.2).
 */
static inline size_t dl_rle_plane(size_t segment, size_t sample_bytes) {
    size_t in_sample = segment % sample_bytes;
    return segment - in_sample + (sample_bytes - 1 - in_sample);
}

#endif
