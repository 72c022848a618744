/* Symbols from four places of a segment at a time. */
#ifndef DICOMLOOM_CODECS_JPEG_LOSSLESS_LANES_H
#define DICOMLOOM_CODECS_JPEG_LOSSLESS_LANES_H

#include "jpeg_lossless.h"

enum {
    DL_LANES = 4,
    DL_LANE_SYMBOLS = 256, /* of each in a round */
    DL_LANE_BITS = 28,     /* of a symbol at most, so that 57 bits have two */
    DL_LANE_SLACK = 32,    /* places that vectors read and write behind the last */
    DL_LANE_MARKED = 48,   /* symbols of a lane at which the one before may join it */
    DL_LANE_MARKS = DL_LANE_MARKED * DL_LANE_BITS,
    DL_ROUND_MOST = 2 * DL_LANES * DL_LANE_SYMBOLS /* symbols of a round */
};

/* What lanes write: the bits from the first of each symbol on, and its entry. */
typedef struct dl_lanes {
    bool has_bmi2;
    uint32_t tops[DL_LANES][DL_LANE_SYMBOLS + DL_LANE_SLACK];
    uint16_t entries[DL_LANES][DL_LANE_SYMBOLS + DL_LANE_SLACK];
    uint8_t marks[DL_LANE_MARKS];
} dl_lanes;

/* An entry for the bits that a symbol begins with: how many it has (at most DL_LANE_BITS), and its
 * category above that. 0: none is known. */
static inline uint16_t dl_lane_entry(size_t bits, uint32_t category) {
    return (uint16_t)(bits | category << 8);
}

/* How many bits have to be there behind where a round begins, if symbols have about so many. */
static inline size_t dl_round_needs(size_t pace) {
    return DL_LANE_SYMBOLS * ((DL_LANES - 1) * pace + DL_LANE_BITS) + DL_LANE_MARKS + 64;
}

/* Reads what follows bit *at of `data`, which is moved on, and returns how many symbols that are:
 * at most DL_ROUND_MOST, less if one has no entry or lanes do not fall into step. May write
 * DL_LANE_SLACK places beyond. `table` has an entry for each `width` bits. */
size_t dl_lanes_read(dl_lanes *lanes, const uint16_t *table, unsigned width, const uint8_t *data,
                     size_t *at, size_t pace, uint16_t *values, uint8_t *categories);

#endif
