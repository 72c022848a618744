/* native/frames: what reading and rewriting objects needs of their bytes: the header, the elements
 * of a data set, the items of a sequence or of encapsulated pixel data, and a data set in another
 * encoding. */
#ifndef DICOMLOOM_FRAMES_H
#define DICOMLOOM_FRAMES_H

#include "dicomloom/dicom.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- elements ----------------------------------------------------------------------------------
 */

/* One element as it lies in the source. */
typedef struct dl_entry {
    uint64_t offset; /* of its header */
    uint64_t value;  /* of its first value byte */
    uint64_t length; /* of its value, without a delimiter */
    uint64_t end;    /* behind all of it, its delimiter too; DL_NO_END when not looked for */
    uint32_t tag;
    dl_vr vr; /* the file's, or, where it says nothing, the dictionary's; never "US or SS" */
    bool undefined;
} dl_entry;

/* Reads elements of one source. Zero-initialise it; one thread at a time. */
typedef struct dl_lister {
    dl_window window;
    dl_bytes frames; /* private */
    uint32_t depth;  /* how deep sequences may nest */
} dl_lister;

#define DL_LIST_DEPTH 64
#define DL_LIST_ELEMENTS (1u << 20) /* of one data set; more is DL_ERR_LIMIT */

/* Reads nothing yet. May be called again for another source. */
DL_NODISCARD dl_status dl_lister_open(dl_lister *lister, const dl_source *source, uint32_t depth,
                                      dl_error *error);
void dl_lister_free(dl_lister *lister);

/* Appends the dl_entry of each element of the outermost level from offset on, to where the source
 * or `limit` ends. With stop_at_pixels the first of (7FE0,0008), (7FE0,0009) and (7FE0,0010) is the
 * last one: it is not walked, and its end, where its length is defined, may lie behind the
 * source's. Stray items and delimiters are left out, and zeros that fill up a file. On an error the
 * elements before the fault are there. */
DL_NODISCARD dl_status dl_list_elements(dl_lister *lister, uint64_t offset, uint64_t limit,
                                        dl_syntax syntax, bool stop_at_pixels, dl_bytes *entries,
                                        dl_error *error);

typedef struct dl_header {
    uint64_t start;    /* of the first element behind preamble and DICM */
    uint64_t data_set; /* of its first element, or of the deflated stream */
    uint64_t size;     /* of the source */
    dl_syntax syntax;  /* of the data set, as it is really written */
    bool deflated;
    bool has_transfer_syntax;
    uint8_t transfer_syntax_size;
    uint8_t transfer_syntax[64]; /* without padding; cut off where it is too long for a UI */
} dl_header;

/* Finds where everything is, and appends the dl_entry of each element of group 0002. */
DL_NODISCARD dl_status dl_list_header(dl_lister *lister, dl_header *header, dl_bytes *entries,
                                      dl_error *error);

/* --- items -------------------------------------------------------------------------------------
 */

/* Parallel arrays, 17 bytes an item. */
typedef struct dl_item_list {
    dl_bytes starts;    /* uint64_t: of the content */
    dl_bytes ends;      /* uint64_t: of the content, without a delimiter */
    dl_bytes undefined; /* uint8_t: 1 for an item of undefined length */
} dl_item_list;
void dl_item_list_free(dl_item_list *list);

/* The items of a sequence that dl_list_elements found. `syntax` is that of the data set it is in;
 * what UN holds is implicit VR little endian all the same (PS3.5 6.2.2). */
DL_NODISCARD dl_status dl_list_items(dl_lister *lister, const dl_entry *sequence, dl_syntax syntax,
                                     dl_item_list *items, dl_error *error);

/* Items of encapsulated pixel data (PS3.5 A.4): 16 bytes each. */
typedef struct dl_fragments {
    dl_bytes offsets; /* uint64_t: of the first value byte */
    dl_bytes lengths; /* uint64_t */
    uint64_t end;     /* behind the delimiter, or behind the last whole item */
    bool complete;    /* the delimiter was there */
} dl_fragments;
void dl_fragments_free(dl_fragments *fragments);

#define DL_FRAME_FRAGMENTS (1u << 20) /* of one frame; more is DL_ERR_LIMIT */

/* All items from offset on, the basic offset table first, to the delimiter; or to what is no item,
 * is cut off, or reaches behind `limit`, which is no error. Reads headers only, and what lies
 * between them where that costs less. */
DL_NODISCARD dl_status dl_walk_fragments(const dl_source *source, uint64_t offset, uint64_t limit,
                                         dl_fragments *fragments, dl_error *error);
/* The items in [start, end): those of one frame. A delimiter ends them early. Anything else that is
 * no item, or does not end with `end`, is DL_ERR_CORRUPT; the end of the source DL_ERR_TRUNCATED.
 */
DL_NODISCARD dl_status dl_frame_fragments(const dl_source *source, uint64_t start, uint64_t end,
                                          dl_fragments *fragments, dl_error *error);

/* --- directory records (PS3.3 F.3.2.2) ---------------------------------------------------------
 */

/* A record as it lies in the source, found by its place in the sequence. */
typedef struct dl_record {
    uint64_t offset;  /* of its item header: what other records point to */
    uint64_t content; /* of its first element */
    uint64_t end;     /* behind its last one */
    bool broken;      /* cut off, or what is in it breaks the grammar of PS3.5 */
} dl_record;

/* A wanted value of a record's outermost level. */
typedef struct dl_record_value {
    uint64_t offset;
    uint32_t record; /* the index of its record */
    uint32_t tag;
    uint32_t length; /* the source has all of it */
    uint32_t number; /* what it says as an integer, where it has two or four bytes */
} dl_record_value;

typedef struct dl_record_list {
    dl_bytes records;  /* dl_record; the first stands for the data set in front of the sequence */
    dl_bytes values;   /* dl_record_value, by record */
    uint64_t end;      /* behind the last record */
    bool has_sequence; /* there is a Directory Record Sequence */
    bool length_lies;  /* its length is not that of its records */
    bool cut;          /* a record is cut off: no more can be found */
} dl_record_list;
void dl_record_list_free(dl_record_list *list);

#define DL_LIST_RECORDS (1u << 26) /* more is DL_ERR_LIMIT; offsets of 32 bits reach no further */

/* Reads the data set at offset to its Directory Record Sequence, and the records in that one after
 * the other, with the values of the tags that are wanted. What records say of one another and of
 * lengths is not followed; a broken record costs that record, or what follows where its own length
 * is not known. Linear in the bytes, and holds some three times as many. */
DL_NODISCARD dl_status dl_list_records(dl_lister *lister, uint64_t offset, dl_syntax syntax,
                                       const uint32_t *tags, size_t tag_count, dl_record_list *into,
                                       dl_error *error);

/* --- another encoding --------------------------------------------------------------------------
 */

typedef struct dl_recoding {
    dl_syntax from;
    bool to_explicit; /* to explicit VR little endian, else implicit */
    bool is_signed;   /* Pixel Representation, until (0028,0103) is met */
} dl_recoding;

/* Appends the elements in [offset, end) in the other encoding; `end` is where an element ends.
 * Lengths stay defined or undefined as they are, but for sequences that only an undefined length
 * shows to be ones. Group lengths, which would be wrong, stray items and delimiters, and zeros that
 * fill up a file are left out; missing delimiters are added. Holds what the source really has, up
 * to some three times where it is made of empty elements. */
DL_NODISCARD dl_status dl_recode(dl_lister *lister, const dl_recoding *how, uint64_t offset,
                                 uint64_t end, dl_bytes *into, dl_error *error);

#ifdef __cplusplus
}
#endif
#endif
