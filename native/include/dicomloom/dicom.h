/* native/dicom: the grammar of PS3.5: value representations, element headers, the dictionary of
 * PS3.6, character sets, and how a value becomes text. */
#ifndef DICOMLOOM_DICOM_H
#define DICOMLOOM_DICOM_H

#include "dicomloom/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- value representations (PS3.5 6.2) ---------------------------------------------------------
 */

typedef enum dl_vr {
    DL_VR_NONE = 0, /* delimiters, and bytes that are no VR */
    DL_VR_AE,
    DL_VR_AS,
    DL_VR_AT,
    DL_VR_CS,
    DL_VR_DA,
    DL_VR_DS,
    DL_VR_DT,
    DL_VR_FD,
    DL_VR_FL,
    DL_VR_IS,
    DL_VR_LO,
    DL_VR_LT,
    DL_VR_OB,
    DL_VR_OD,
    DL_VR_OF,
    DL_VR_OL,
    DL_VR_OV,
    DL_VR_OW,
    DL_VR_PN,
    DL_VR_SH,
    DL_VR_SL,
    DL_VR_SQ,
    DL_VR_SS,
    DL_VR_ST,
    DL_VR_SV,
    DL_VR_TM,
    DL_VR_UC,
    DL_VR_UI,
    DL_VR_UL,
    DL_VR_UN,
    DL_VR_UR,
    DL_VR_US,
    DL_VR_UT,
    DL_VR_UV,
    /* What the dictionary says where the data set decides (PS3.5 A.1). Never found in a file. */
    DL_VR_OB_OR_OW,
    DL_VR_US_OR_OW,
    DL_VR_US_OR_SS,
    DL_VR_US_OR_SS_OR_OW,
    DL_VR_COUNT
} dl_vr;

enum {
    DL_VR_LONG = 1,     /* explicit VR: two reserved bytes, then a 32-bit length (PS3.5 7.1.2) */
    DL_VR_TEXT = 2,     /* characters */
    DL_VR_CHARSET = 4,  /* ... encoded by Specific Character Set (PS3.5 6.1.2.3) */
    DL_VR_MULTIPLE = 8, /* ... where a backslash separates values */
    DL_VR_LEADING = 16, /* ... whose leading spaces are padding too */
    DL_VR_NUMBER = 32   /* binary numbers */
};

typedef struct dl_vr_traits {
    char name[20];
    uint8_t flags;
    uint8_t unit; /* bytes of one number, else 0 */
} dl_vr_traits;

extern const dl_vr_traits dl_vr_table[DL_VR_COUNT];
extern const uint8_t dl_vr_letters[26][26];
/* The VR that two bytes spell, or DL_VR_NONE. */
static inline dl_vr dl_vr_from_bytes(const uint8_t bytes[2]) {
    unsigned first = bytes[0] - (unsigned)'A', second = bytes[1] - (unsigned)'A';
    return first < 26 && second < 26 ? (dl_vr)dl_vr_letters[first][second] : DL_VR_NONE;
}
static inline bool dl_vr_is(dl_vr vr, unsigned flag) { return (dl_vr_table[vr].flags & flag) != 0; }
/* What the dictionary leaves open, decided: `length` is that of the value, is_signed whether Pixel
 * Representation (0028,0103) is 1. Other VRs stay as they are. */
dl_vr dl_vr_resolve(dl_vr vr, uint32_t length, bool is_signed);

/* --- tags --------------------------------------------------------------------------------------
 */

#define DL_TAG(group, element) ((uint32_t)(group) << 16 | (uint32_t)(element))
#define DL_TAG_GROUP(tag) ((uint16_t)((tag) >> 16))
#define DL_TAG_ELEMENT(tag) ((uint16_t)((tag)&0xFFFF))
#define DL_TAG_TRANSFER_SYNTAX DL_TAG(0x0002, 0x0010)
#define DL_TAG_CHARSET DL_TAG(0x0008, 0x0005)
#define DL_TAG_PIXEL_REPRESENTATION DL_TAG(0x0028, 0x0103)
#define DL_TAG_FLOAT_PIXEL_DATA DL_TAG(0x7FE0, 0x0008)
#define DL_TAG_DOUBLE_PIXEL_DATA DL_TAG(0x7FE0, 0x0009)
#define DL_TAG_PIXEL_DATA DL_TAG(0x7FE0, 0x0010)
#define DL_TAG_ITEM DL_TAG(0xFFFE, 0xE000)
#define DL_TAG_ITEM_END DL_TAG(0xFFFE, 0xE00D)
#define DL_TAG_SEQUENCE_END DL_TAG(0xFFFE, 0xE0DD)
#define DL_UNDEFINED_LENGTH 0xFFFFFFFFu
#define DL_NO_END UINT64_MAX

/* Fills error with "<what> (gggg,eeee) at byte <offset>", and returns code. */
dl_status dl_fail_tag(dl_error *error, dl_status code, uint32_t tag, uint64_t offset,
                      const char *what);

/* --- dictionary (PS3.6) ------------------------------------------------------------------------
 */

typedef struct dl_dictionary_entry {
    uint32_t tag;
    uint32_t mask;    /* 0xFFFFFFFF but for repeating groups */
    uint32_t keyword; /* where its texts are, for the functions below */
    uint8_t vm_size;  /* with the terminator, as the next */
    uint8_t keyword_size;
    uint8_t vr; /* a dl_vr */
    uint8_t retired;
} dl_dictionary_entry;

const char *dl_dictionary_vm(const dl_dictionary_entry *entry);
const char *dl_dictionary_keyword(const dl_dictionary_entry *entry);
const char *dl_dictionary_name(const dl_dictionary_entry *entry);
const dl_dictionary_entry *dl_dictionary_find(uint32_t tag);
const dl_dictionary_entry *dl_dictionary_find_keyword(const char *keyword, size_t size);
/* The index-th entry, repeating groups last; NULL past the end. */
const dl_dictionary_entry *dl_dictionary_at(size_t index);
/* The VR of a tag in implicit VR: dictionary, private creator (LO), group length (UL), else UN. */
dl_vr dl_dictionary_vr(uint32_t tag);

/* --- reading -----------------------------------------------------------------------------------
 */

/* A sliding view of a source. The first read is sized to hold all that is wanted of most headers.
 */
typedef struct dl_window {
    const dl_source *source;
    uint8_t *buffer;
    size_t capacity;
    uint64_t base;       /* source offset of buffer[0] */
    size_t length;       /* valid bytes in buffer */
    uint64_t end;        /* the source has nothing at or after this, DL_NO_END until known */
    bool size_known;     /* end is its size exactly */
    uint64_t bytes_read; /* since dl_window_open, for those who count */
} dl_window;

#define DL_WINDOW_FIRST 8192
#define DL_WINDOW_CAPACITY 65536

/* Reads the first `first` bytes, 1 to DL_WINDOW_FIRST. The buffer is allocated at the first open
 * and kept for the next source until dl_window_free. */
DL_NODISCARD dl_status dl_window_open(dl_window *window, const dl_source *source, size_t first,
                                      dl_error *error);
/* As dl_window_open, and reads nothing yet: for what does not begin at the first byte. */
DL_NODISCARD dl_status dl_window_attach(dl_window *window, const dl_source *source,
                                        dl_error *error);
void dl_window_free(dl_window *window);
/* Sets *bytes to `size` (at most DL_WINDOW_CAPACITY) bytes at offset, or to NULL where the source
 * ends before. */
DL_NODISCARD dl_status dl_window_fill(dl_window *window, uint64_t offset, size_t size,
                                      const uint8_t **bytes, dl_error *error);

static inline DL_NODISCARD dl_status dl_window_get(dl_window *window, uint64_t offset, size_t size,
                                                   const uint8_t **bytes, dl_error *error) {
    uint64_t start = offset - window->base; /* wraps to huge when before the window */
    if (DL_LIKELY(start <= window->length && size <= window->length - start)) {
        *bytes = window->buffer + start;
        return DL_OK;
    }
    return dl_window_fill(window, offset, size, bytes, error);
}
/* How many bytes the source has; asks it at most once. */
DL_NODISCARD dl_status dl_window_size(dl_window *window, uint64_t *size, dl_error *error);
/* DL_ERR_TRUNCATED: "truncated in (gggg,eeee) at byte <where the source ends>". */
DL_NODISCARD dl_status dl_window_truncated(dl_window *window, uint32_t tag, dl_error *error);

typedef struct dl_syntax {
    bool explicit_vr;
    bool big_endian;
} dl_syntax;

typedef struct dl_element {
    uint32_t tag;
    uint32_t length; /* DL_UNDEFINED_LENGTH when undefined */
    uint64_t value;  /* offset of the first value byte */
    dl_vr vr;        /* as in the file; DL_VR_NONE in implicit VR and for delimiters */
} dl_element;

/* Reads the element header at offset (PS3.5 7.1). `limit` is the end of the enclosing item, or
 * DL_NO_END. *found is false at the end of the source or at the limit. Bytes that are no VR, in
 * explicit VR, are read as an implicit VR element: such elements exist. */
DL_NODISCARD dl_status dl_element_read(dl_window *window, uint64_t offset, uint64_t limit,
                                       dl_syntax syntax, dl_element *element, bool *found,
                                       dl_error *error);

/* Where the data set starts and how it is encoded. */
typedef struct dl_start {
    uint64_t offset;  /* of the first element after the preamble, (0002,eeee) or not */
    bool has_meta;    /* that element is of group 0002 */
    dl_syntax syntax; /* of that element */
} dl_start;

/* Decides whether the source is DICOM: Part 10 with a preamble, without one, or a bare data set in
 * any of the three encodings. DL_ERR_NOT_DICOM says why not. */
DL_NODISCARD dl_status dl_detect(dl_window *window, dl_start *start, dl_error *error);
/* The encoding that the first element at offset is really written in; *syntax is what the transfer
 * syntax promised and stays as it is where the bytes do not contradict it. */
DL_NODISCARD dl_status dl_detect_syntax(dl_window *window, uint64_t offset, dl_syntax *syntax,
                                        dl_error *error);

/* What a transfer syntax says of the data set's elements (PS3.5 A). */
typedef enum dl_encoding {
    DL_ENCODED_EXPLICIT,
    DL_ENCODED_IMPLICIT,
    DL_ENCODED_BIG,
    DL_ENCODED_DEFLATED
} dl_encoding;

/* Of the value of (0002,0010), padding and all. */
dl_encoding dl_encoding_of(const uint8_t *uid, size_t size);
static inline dl_syntax dl_encoding_syntax(dl_encoding encoding) {
    return (dl_syntax){encoding != DL_ENCODED_IMPLICIT, encoding == DL_ENCODED_BIG};
}
/* Are these 6 bytes the head of an element of group 0002? `data_set` is what is known so far of
 * what follows. The group length counts for nothing: it lies too often. */
bool dl_is_meta(const uint8_t *head, dl_syntax syntax, dl_encoding data_set);

/* --- walking over what is not looked at --------------------------------------------------------
 */

typedef enum dl_inside { DL_IN_SEQUENCE, DL_IN_ITEM } dl_inside;

typedef struct dl_skipper {
    dl_window *window;
    dl_bytes *frames; /* scratch: a frame a level */
    uint32_t depth;   /* how deep sequences may nest */
} dl_skipper;

typedef struct dl_skipped {
    uint64_t content; /* where the content ends: in front of a delimiter */
    uint64_t end;     /* behind the delimiter; at the limit; or where a delimiter is missing */
    uint64_t items;   /* of the outermost sequence */
} dl_skipped;

/* Walks from offset, inside a sequence or an item of undefined length, to where it ends. `tag` is
 * the sequence's, for errors. Nesting costs a frame, not a call. */
DL_NODISCARD dl_status dl_skip(const dl_skipper *by, dl_inside what, uint32_t tag, uint64_t offset,
                               uint64_t limit, dl_syntax syntax, dl_skipped *skipped,
                               dl_error *error);

/* --- text --------------------------------------------------------------------------------------
 */

/* A Specific Character Set: 0 is the default repertoire. */
typedef uint8_t dl_charset;
#define DL_CHARSET_DEFAULT 0
#define DL_CHARSET_UTF8 1
#define DL_CHARSET_DEFERRED 2 /* multi-byte or with code extensions: decoded by the caller */

/* The set that the value of (0008,0005) names. */
dl_charset dl_charset_find(const uint8_t *value, size_t size);

/* Appends the value of a text VR as UTF-8: padding removed as the VR says (PS3.5 6.2), values
 * separated by backslashes, undecodable bytes as U+FFFD. *deferred is set, and nothing appended,
 * when the value needs a decoder that is not ours. */
DL_NODISCARD dl_status dl_text_append(dl_bytes *into, dl_vr vr, dl_charset charset,
                                      const uint8_t *value, size_t size, bool *deferred);
/* Appends bytes as UTF-8, each invalid sequence replaced by U+FFFD (Unicode 3.9, best practice). */
DL_NODISCARD dl_status dl_utf8_append(dl_bytes *into, const uint8_t *text, size_t size);
/* Appends bytes as UTF-8, each byte of an invalid sequence as \xNN: nothing of a name is lost. */
DL_NODISCARD dl_status dl_utf8_append_escaped(dl_bytes *into, const uint8_t *text, size_t size);
/* Appends binary numbers in decimal, and attribute tags as (gggg,eeee), separated by backslashes.
 * A remainder that does not fill a number is left out. */
DL_NODISCARD dl_status dl_numbers_append(dl_bytes *into, dl_vr vr, bool big_endian,
                                         const uint8_t *value, size_t size);

#ifdef __cplusplus
}
#endif
#endif
