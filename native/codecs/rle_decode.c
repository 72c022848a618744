/* The RLE decoder: segments to planes, a block at a time, and planes to pixels (PS3.5 G.3 to G.5).
 */
#include "planes.h"
#include "rle.h"

enum {
    BLOCK = 12288, /* bytes of all planes of a block: with its pixels they fit in the first cache */
    LONGEST = 128, /* bytes that a token gives */
    SPILL = 160,   /* room behind a plane for the last token, and what copying adds */
    SAFE = 168,    /* bytes of a segment behind a token, that copying may take more than it needs */
    BEST_RATIO = 64, /* two bytes of a segment give at most 128 */
    AT_ONCE = 32     /* bytes copied, which most tokens do not exceed */
};

typedef struct segment {
    const uint8_t *start, *at, *end;
    size_t ready; /* bytes that the last token gave beyond its block */
} segment;

typedef struct decoder {
    const uint8_t *data;
    size_t pixels, count; /* count: of segments */
    segment segments[DL_RLE_SEGMENTS];
} decoder;

static dl_status too_short(const decoder *d, size_t index, uint64_t got, dl_error *error) {
    const segment *s = &d->segments[index];
    return dl_fail(error, DL_ERR_TRUNCATED, (uint64_t)(s->end - d->data),
                   "RLE segment %zu of %zu (%zu bytes at %zu) gives at most %llu bytes of %zu",
                   index + 1, d->count, (size_t)(s->end - s->start), (size_t)(s->start - d->data),
                   (unsigned long long)got, d->pixels);
}

/* Finds the segments; what is wrong with the header is said here. */
static dl_status read_header(decoder *d, const uint8_t *data, size_t size,
                             const dl_rle_shape *shape, dl_error *error) {
    dl_status status = dl_rle_check_shape(shape, error);
    if (status != DL_OK) return status;
    uint64_t pixels = (uint64_t)shape->rows * shape->columns;
    if (pixels > SIZE_MAX / DL_RLE_SEGMENTS)
        return dl_fail(error, DL_ERR_UNSUPPORTED, 0, "%u rows of %u columns: too many pixels",
                       shape->rows, shape->columns);
    if (size < DL_RLE_HEADER)
        return dl_fail(error, DL_ERR_TRUNCATED, size,
                       "an RLE frame begins with a header of 64 bytes, %zu are there", size);
    d->data = data;
    d->pixels = (size_t)pixels;
    d->count = shape->samples * shape->sample_bytes;
    uint32_t count = dl_load_u32(data, false);
    if (count != d->count)
        return dl_fail(error, DL_ERR_CORRUPT, 0,
                       "the RLE header says %u segments; %u samples of %u bytes have %zu", count,
                       shape->samples, shape->sample_bytes, d->count);
    for (size_t i = 0; i < d->count; i++) {
        size_t at = 4 + 4 * i, offset = dl_load_u32(data + at, false);
        size_t least = i ? (size_t)(d->segments[i - 1].start - data) : DL_RLE_HEADER;
        if (offset < least || offset > size)
            return dl_fail(error, DL_ERR_CORRUPT, at,
                           "RLE segment %zu of %zu is said to begin at %zu, but can only from %zu "
                           "to %zu",
                           i + 1, d->count, offset, least, size);
        d->segments[i] = (segment){data + offset, data + offset, data + size, 0};
        if (i) d->segments[i - 1].end = data + offset;
    }
    for (size_t i = 0; i < d->count; i++) {
        uint64_t most = (uint64_t)(d->segments[i].end - d->segments[i].start) * BEST_RATIO;
        if (most < d->pixels) return too_short(d, i, most, error);
    }
    return DL_OK;
}

dl_status dl_rle_look(const uint8_t *data, size_t size, const dl_rle_shape *shape,
                      dl_error *error) {
    decoder d;
    return read_header(&d, data, size, shape, error);
}

/* Tokens far from the end of a segment: copies have sizes that the compiler knows. That runs and
 * literals are told apart by a branch is faster, on real images, than blending both without one. */
static uint8_t *expand(segment *s, uint8_t *into, const uint8_t *stop) {
    const uint8_t *p = s->at;
    while (into < stop && s->end - p >= SAFE) {
        unsigned token = *p;
        if (token < LONGEST) {
            memcpy(into, p + 1, AT_ONCE);
            if (token >= AT_ONCE) memcpy(into + AT_ONCE, p + 1 + AT_ONCE, LONGEST - AT_ONCE);
            into += token + 1;
            p += token + 2;
        } else if (DL_LIKELY(token > LONGEST)) {
            memset(into, p[1], AT_ONCE);
            if (token < 257 - AT_ONCE) memset(into + AT_ONCE, p[1], LONGEST - AT_ONCE);
            into += 257 - token;
            p += 2;
        } else {
            p++; /* G.3.1: -128 outputs nothing */
        }
    }
    s->at = p;
    return into;
}

/* One token near the end of a segment, byte for byte; NULL: the segment is over. */
static uint8_t *expand_one(segment *s, uint8_t *into) {
    size_t left = (size_t)(s->end - s->at), length;
    if (left == 0) return NULL;
    unsigned token = *s->at;
    if (token == LONGEST) {
        s->at++;
        return into;
    }
    if (left == 1) return NULL;
    if (token > LONGEST) {
        length = 257 - token;
        memset(into, s->at[1], length);
        s->at += 2;
    } else {
        length = token + 1 < left ? token + 1 : left - 1; /* what is there of it may be enough */
        memcpy(into, s->at + 1, length);
        s->at += 1 + length;
    }
    return into + length;
}

/* Fills the plane of a block behind what is ready, up to 127 bytes beyond. Returns how far it came.
 */
static size_t expand_block(segment *s, uint8_t *plane, size_t size) {
    const uint8_t *stop = plane + size;
    uint8_t *into = expand(s, plane + s->ready, stop);
    while (into < stop) {
        uint8_t *next = expand_one(s, into);
        if (!next) break;
        into = next;
    }
    return (size_t)(into - plane);
}

dl_status dl_rle_decode(const uint8_t *data, size_t size, const dl_rle_shape *shape, uint8_t *out,
                        size_t out_size, dl_vectors vectors, dl_error *error) {
    uint8_t planes[BLOCK + DL_RLE_SEGMENTS * SPILL];
    decoder d;
    dl_status status = read_header(&d, data, size, shape, error);
    if (status != DL_OK) return status;
    if (out_size != d.pixels * d.count)
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "room for %zu bytes, the frame has %zu", out_size,
                       d.pixels * d.count);
    const dl_kernels *kernels = dl_kernels_get(vectors);
    size_t most = BLOCK / d.count / 64 * 64, pitch = most + SPILL;
    for (size_t done = 0, block; done < d.pixels; done += block) {
        block = d.pixels - done < most ? d.pixels - done : most;
        for (size_t i = 0; i < d.count; i++) {
            segment *s = &d.segments[i];
            uint8_t *plane = planes + dl_rle_plane(i, shape->sample_bytes) * pitch;
            memcpy(plane, plane + most, s->ready); /* what the block before has left */
            size_t got = expand_block(s, plane, block);
            if (got < block) return too_short(&d, i, done + got, error);
            s->ready = got - block;
        }
        dl_planes_join(kernels, planes, pitch, block, d.count, out + done * d.count);
    }
    return DL_OK;
}
