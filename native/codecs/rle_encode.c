/* The RLE encoder: rows to byte planes, planes to PackBits (PS3.5 G.3 to G.5). */
#include <stdlib.h>

#include "planes.h"
#include "rle.h"

enum {
    LONGEST = 128, /* bytes of a token (G.3.1) */
    STRIDE = 32,   /* bytes that are copied at once, perhaps more than there are */
    SPILL = 64     /* room for that behind the worst case, and for the byte that pads */
};

#define TOP_BIT ((uint64_t)1 << 63)

struct dl_rle_encoder {
    const dl_kernels *kernels;
    dl_rle_shape shape;
    uint32_t count, rows_left;
    size_t row_size, pitch, worst_row;
    uint64_t worst_segment;
    dl_bytes segments[DL_RLE_SEGMENTS], planes, mask;
};

/* A run of three or more saves at least the byte that the literal behind it begins with, so nothing
 * is worse than one literal, which costs a byte for each 128. */
static size_t worst_row_of(uint32_t columns) {
    return columns + (columns + LONGEST - 1) / (size_t)LONGEST;
}

static uint64_t worst_segment_of(const dl_rle_shape *shape) {
    uint64_t rows = (uint64_t)shape->rows * worst_row_of(shape->columns);
    return rows + rows % 2;
}

dl_status dl_rle_check_shape(const dl_rle_shape *shape, dl_error *error) {
    uint64_t segments = (uint64_t)shape->samples * shape->sample_bytes;
    uint32_t bytes = shape->sample_bytes;
    if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8)
        return dl_fail(error, DL_ERR_UNSUPPORTED, 0,
                       "RLE codes samples of 1, 2, 4 or 8 bytes, not of %u", bytes);
    if (segments == 0 || segments > DL_RLE_SEGMENTS)
        return dl_fail(error, DL_ERR_UNSUPPORTED, 0,
                       "RLE has 1 to 15 segments; %u samples of %u bytes would need %llu",
                       shape->samples, bytes, (unsigned long long)segments);
    if (shape->rows == 0 || shape->columns == 0)
        return dl_fail(error, DL_ERR_UNSUPPORTED, 0, "a frame of %u rows and %u columns is empty",
                       shape->rows, shape->columns);
    return DL_OK;
}

static dl_status check_coded(const dl_rle_shape *shape, dl_error *error) {
    dl_status status = dl_rle_check_shape(shape, error);
    if (status == DL_OK && (shape->rows > DL_RLE_SIDE || shape->columns > DL_RLE_SIDE))
        return dl_fail(error, DL_ERR_UNSUPPORTED, 0,
                       "%u rows and %u columns: DICOM has at most 65,535 of each", shape->rows,
                       shape->columns);
    return status;
}

dl_status dl_rle_bound(const dl_rle_shape *shape, uint64_t *bound, dl_error *error) {
    *bound = 0;
    dl_status status = check_coded(shape, error);
    if (status != DL_OK) return status;
    *bound = DL_RLE_HEADER + worst_segment_of(shape) * shape->samples * shape->sample_bytes;
    return DL_OK;
}

dl_rle_encoder *dl_rle_encoder_new(dl_vectors vectors) {
    dl_rle_encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder) encoder->kernels = dl_kernels_get(vectors);
    return encoder;
}

void dl_rle_encoder_free(dl_rle_encoder *encoder) {
    if (!encoder) return;
    for (size_t i = 0; i < DL_RLE_SEGMENTS; i++) dl_bytes_free(&encoder->segments[i]);
    dl_bytes_free(&encoder->planes);
    dl_bytes_free(&encoder->mask);
    free(encoder);
}

/* Room for the next row and what copying spills: geometric growth that ends at the bound. */
static dl_status reserve_row(const dl_rle_encoder *encoder, dl_bytes *segment) {
    size_t wanted = segment->length + encoder->worst_row + SPILL;
    if (DL_LIKELY(wanted <= segment->capacity)) return DL_OK;
    size_t capacity = segment->capacity + segment->capacity / 2;
    if (capacity > encoder->worst_segment + SPILL)
        capacity = (size_t)encoder->worst_segment + SPILL;
    if (capacity < wanted) capacity = wanted;
    uint8_t *data = realloc(segment->data, capacity);
    if (!data) return DL_ERR_MEMORY;
    segment->data = data;
    segment->capacity = capacity;
    return DL_OK;
}

/* Zeros, so that what kernels read behind a plane is at least defined. */
static dl_status clear_room(dl_bytes *bytes, size_t size) {
    if (bytes->capacity < size) {
        uint8_t *data = calloc(1, size);
        if (!data) return DL_ERR_MEMORY;
        dl_bytes_free(bytes);
        *bytes = (dl_bytes){data, 0, size};
    }
    return DL_OK;
}

dl_status dl_rle_encode_begin(dl_rle_encoder *encoder, const dl_rle_shape *shape, dl_error *error) {
    dl_status status = check_coded(shape, error);
    encoder->count = encoder->rows_left = 0;
    if (status != DL_OK) return status;
    uint32_t count = shape->samples * shape->sample_bytes;
    size_t pitch = (shape->columns + DL_PLANE_SLACK + 31) / 32 * 32;
    if (clear_room(&encoder->planes, count * pitch) != DL_OK ||
        clear_room(&encoder->mask, dl_mask_words(shape->columns) * sizeof(uint64_t)) != DL_OK)
        return dl_fail(error, DL_ERR_MEMORY, 0, "no memory to code a row");
    encoder->shape = *shape;
    encoder->count = count;
    encoder->rows_left = shape->rows;
    encoder->row_size = (size_t)shape->columns * count;
    encoder->pitch = pitch;
    encoder->worst_row = worst_row_of(shape->columns);
    encoder->worst_segment = worst_segment_of(shape);
    for (size_t i = 0; i < DL_RLE_SEGMENTS; i++) encoder->segments[i].length = 0;
    return DL_OK;
}

/* --- one plane of one row ----------------------------------------------------------------------
 */

/* 64 bits from bit `at` on. */
static inline uint64_t bits_at(const uint64_t *mask, size_t at) {
    const uint64_t *word = mask + at / 64;
    return word[0] >> at % 64 | word[1] << 1 << (63 - at % 64);
}

static inline size_t zeros_below(uint64_t bits) {
#if defined(__GNUC__)
    return (size_t)__builtin_ctzll(bits);
#else
    size_t n = 0;
    for (; !(bits & 1); bits >>= 1) n++;
    return n;
#endif
}

/* Copies may go on behind `size`: into what later tokens overwrite, or the spill. */
static inline uint8_t *put_literal(uint8_t *into, const uint8_t *bytes, size_t size) {
    while (size > LONGEST) {
        *into++ = LONGEST - 1;
        memcpy(into, bytes, LONGEST);
        into += LONGEST;
        bytes += LONGEST;
        size -= LONGEST;
    }
    *into++ = (uint8_t)(size - 1);
    memcpy(into, bytes, STRIDE);
    for (size_t i = STRIDE; i < size; i += STRIDE) memcpy(into + i, bytes + i, STRIDE);
    return into + size;
}

static inline uint8_t *put_run(uint8_t *into, uint8_t value, size_t size) {
    into[0] = (uint8_t)(257 - size);
    into[1] = value;
    return into + 2;
}

/* Whether `size` bytes are pairs and nothing else; `start` is where they are in the mask. */
static inline bool all_pairs(const uint64_t *mask, size_t start, size_t size) {
    const uint64_t pairs = 0x5555555555555555;
    if (size % 2) return false;
    for (; size > 64; size -= 64, start += 64)
        if (~bits_at(mask, start) & pairs) return false;
    return (~bits_at(mask, start) & pairs & UINT64_MAX >> (64 - size)) == 0;
}

/* What stands between two runs. Pairs and nothing else are runs of their own: in a literal they
 * would be one byte longer. */
static inline uint8_t *put_between(uint8_t *into, const uint8_t *bytes, size_t size,
                                   const uint64_t *mask, size_t start) {
    if (DL_LIKELY(!all_pairs(mask, start, size))) return put_literal(into, bytes + start, size);
    for (size_t i = 0; i < size; i += 2) into = put_run(into, bytes[start + i], 2);
    return into;
}

/* How many bits are set from `at` on. */
static size_t ones_at(const uint64_t *mask, size_t at) {
    size_t start = at;
    while (bits_at(mask, at) == UINT64_MAX) at += 64; /* the mask ends in zeros */
    return at - start + zeros_below(~bits_at(mask, at));
}

/* Codes `size` bytes into room for their worst case and SPILL more; returns the end. */
static uint8_t *put_row(uint8_t *into, const uint8_t *bytes, size_t size, const uint64_t *mask) {
    size_t at = 0, literal = 0;
    while (at < size) {
        uint64_t equal = bits_at(mask, at), runs = equal & equal >> 1;
        if (runs == 0) { /* none of three begins in 63 bytes */
            at += 63;
            continue;
        }
        size_t skip = zeros_below(runs), start = at + skip;
        size_t length = zeros_below(~(equal >> skip) | TOP_BIT);
        if (length + skip >= 63) length = ones_at(mask, start); /* it goes on behind what we see */
        length++;                                               /* bytes, not pairs */
        if (start > literal) into = put_between(into, bytes, start - literal, mask, literal);
        at = start + length;
        for (; length > LONGEST; length -= LONGEST) into = put_run(into, bytes[start], LONGEST);
        literal = at;
        if (length >= 3)
            into = put_run(into, bytes[start], length);
        else
            literal -= length;
    }
    if (size > literal) into = put_between(into, bytes, size - literal, mask, literal);
    return into;
}

dl_status dl_rle_encode_rows(dl_rle_encoder *encoder, const uint8_t *rows, size_t size,
                             dl_error *error) {
    size_t row_size = encoder->row_size, bytes = encoder->shape.sample_bytes;
    size_t columns = encoder->shape.columns, count = encoder->count;
    uint64_t *mask = (uint64_t *)(void *)encoder->mask.data;
    if (count == 0) return dl_fail(error, DL_ERR_ARGUMENT, 0, "no frame was begun");
    if (size % row_size != 0)
        return dl_fail(error, DL_ERR_ARGUMENT, 0,
                       "%zu bytes are no number of whole rows, which have %zu bytes", size,
                       row_size);
    if (size / row_size > encoder->rows_left)
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "%zu rows, where %u are left of a frame of %u",
                       size / row_size, encoder->rows_left, encoder->shape.rows);
    for (const uint8_t *end = rows + size; rows != end; rows += row_size) {
        dl_planes_split(encoder->kernels, rows, columns, count, encoder->planes.data,
                        encoder->pitch);
        for (size_t i = 0; i < count; i++) {
            const uint8_t *plane = encoder->planes.data + dl_rle_plane(i, bytes) * encoder->pitch;
            dl_bytes *segment = &encoder->segments[i];
            if (reserve_row(encoder, segment) != DL_OK) {
                encoder->count = 0;
                return dl_fail(error, DL_ERR_MEMORY, 0, "no memory for a segment of %zu bytes",
                               segment->length);
            }
            encoder->kernels->equal(plane, columns, mask);
            uint8_t *into = segment->data + segment->length;
            segment->length = (size_t)(put_row(into, plane, columns, mask) - segment->data);
        }
        encoder->rows_left--;
    }
    return DL_OK;
}

static void put_u32(uint8_t *into, uint32_t value) {
    for (int i = 0; i < 4; i++) into[i] = (uint8_t)(value >> 8 * i);
}

dl_status dl_rle_encode_end(dl_rle_encoder *encoder, dl_rle_frame *frame, dl_error *error) {
    memset(frame, 0, sizeof *frame);
    if (encoder->count == 0) return dl_fail(error, DL_ERR_ARGUMENT, 0, "no frame was begun");
    if (encoder->rows_left > 0)
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "%u of %u rows are missing", encoder->rows_left,
                       encoder->shape.rows);
    frame->count = encoder->count;
    frame->size = DL_RLE_HEADER;
    put_u32(frame->header, frame->count);
    for (uint32_t i = 0; i < frame->count; i++) {
        dl_bytes *segment = &encoder->segments[i];
        if (segment->length % 2) segment->data[segment->length++] = 0; /* G.3.1; has its room */
        if (frame->size + segment->length > UINT32_MAX)
            return dl_fail(error, DL_ERR_LIMIT, 0,
                           "coded, the frame has more than the 4 GiB an RLE header can address");
        put_u32(frame->header + 4 + 4 * (size_t)i, (uint32_t)frame->size);
        frame->segments[i] = (dl_piece){segment->data, segment->length};
        frame->size += segment->length;
    }
    encoder->count = 0; /* a frame ends once */
    return DL_OK;
}
