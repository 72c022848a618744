#include <stdlib.h>

#include "dicomloom/dicom.h"

typedef struct single_byte_set {
    char number[4]; /* of the ISO registration: ISO_IR 101 is "101" */
    uint16_t upper[128];
} single_byte_set;

#include "charset_tables.inc"

enum {
    SETS = sizeof single_byte_sets / sizeof single_byte_sets[0],
    KATAKANA = DL_CHARSET_DEFERRED + 1, /* ISO_IR 13 */
    FIRST_TABLE = KATAKANA + 1
};

static bool is_pad(uint8_t byte) { return byte == ' ' || byte == 0; }

dl_charset dl_charset_find(const uint8_t *value, size_t size) {
    while (size && is_pad(value[size - 1])) size--;
    while (size && *value == ' ') value++, size--;
    if (size == 0) return DL_CHARSET_DEFAULT;
    if (memchr(value, '\\', size)) return DL_CHARSET_DEFERRED; /* code extensions, PS3.5 6.1.2.5 */
    /* "ISO_IR 100", "ISO 2022 IR 100", and as vendors write them: "ISO-IR 100", "ISO_IR_100". */
    if (size < 7 || size > 16 || memcmp(value, "ISO", 3) != 0) return DL_CHARSET_DEFERRED;
    size_t digits = size;
    while (digits > 0 && value[digits - 1] >= '0' && value[digits - 1] <= '9') digits--;
    const uint8_t *number = value + digits;
    size_t count = size - digits;
    if (digits < 5 || memcmp(value + digits - 3, "IR", 2) != 0) return DL_CHARSET_DEFERRED;
    if (count == 1 && number[0] == '6') return DL_CHARSET_DEFAULT;
    if (count == 2 && memcmp(number, "13", 2) == 0) return KATAKANA;
    if (count != 3) return DL_CHARSET_DEFERRED;
    if (memcmp(number, "192", 3) == 0) return DL_CHARSET_UTF8;
    for (int i = 0; i < SETS; i++)
        if (memcmp(number, single_byte_sets[i].number, 3) == 0)
            return (dl_charset)(FIRST_TABLE + i);
    return DL_CHARSET_DEFERRED;
}

/* Length of the run of plain ASCII (no ESC, which starts a code extension) at the front. */
static size_t ascii_run(const uint8_t *text, size_t size) {
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, text + i, 8);
        uint64_t escape = word ^ 0x1B1B1B1B1B1B1B1BULL;
        uint64_t has_escape = (escape - 0x0101010101010101ULL) & ~escape;
        if ((word | has_escape) & 0x8080808080808080ULL) break;
    }
    while (i < size && text[i] < 0x80 && text[i] != 0x1B) i++;
    return i;
}

static uint8_t *put_code_point(uint8_t *out, unsigned point) {
    if (point < 0x80) {
        *out++ = (uint8_t)point;
    } else if (point < 0x800) {
        *out++ = (uint8_t)(0xC0 | point >> 6);
        *out++ = (uint8_t)(0x80 | (point & 0x3F));
    } else {
        *out++ = (uint8_t)(0xE0 | point >> 12);
        *out++ = (uint8_t)(0x80 | (point >> 6 & 0x3F));
        *out++ = (uint8_t)(0x80 | (point & 0x3F));
    }
    return out;
}

/* The number of bytes of the well-formed sequence at text, or 0; *bad is then how many bytes one
 * U+FFFD stands for (Unicode 3.9, Table 3-7: the maximal subpart). */
static size_t utf8_sequence(const uint8_t *text, size_t size, size_t *bad) {
    uint8_t lead = text[0];
    uint8_t low = 0x80, high = 0xBF;
    size_t length;
    *bad = 1;
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) {
        length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        length = 3;
        if (lead == 0xE0) low = 0xA0;
        if (lead == 0xED) high = 0x9F;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        length = 4;
        if (lead == 0xF0) low = 0x90;
        if (lead == 0xF4) high = 0x8F;
    } else {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if (i == size || text[i] < low || text[i] > high) return *bad = i, (size_t)0;
        low = 0x80;
        high = 0xBF;
    }
    return length;
}

static dl_status utf8_append(dl_bytes *into, const uint8_t *text, size_t size, bool escape) {
    static const char hex[] = "0123456789abcdef";
    /* \xNN is the longest that a byte becomes. */
    if (size > SIZE_MAX / 4) return DL_ERR_MEMORY;
    dl_status status = dl_bytes_reserve(into, size * 4);
    if (status != DL_OK) return status;
    uint8_t *out = into->data + into->length;
    while (size) {
        size_t bad, length = utf8_sequence(text, size, &bad);
        if (length) {
            for (size_t i = 0; i < length; i++) *out++ = text[i];
        } else if (!escape) {
            length = bad;
            out = put_code_point(out, 0xFFFD);
        } else {
            length = 1;
            *out++ = '\\';
            *out++ = 'x';
            *out++ = (uint8_t)hex[text[0] >> 4];
            *out++ = (uint8_t)hex[text[0] & 15];
        }
        text += length;
        size -= length;
    }
    into->length = (size_t)(out - into->data);
    return DL_OK;
}

dl_status dl_utf8_append(dl_bytes *into, const uint8_t *text, size_t size) {
    return ascii_run(text, size) == size ? dl_bytes_append(into, text, size)
                                         : utf8_append(into, text, size, false);
}

dl_status dl_utf8_append_escaped(dl_bytes *into, const uint8_t *text, size_t size) {
    return ascii_run(text, size) == size ? dl_bytes_append(into, text, size)
                                         : utf8_append(into, text, size, true);
}

/* One value without padding; *deferred when it is not for us. */
static dl_status decode_append(dl_bytes *into, dl_charset charset, const uint8_t *text, size_t size,
                               bool *deferred) {
    size_t plain = ascii_run(text, size);
    if (DL_LIKELY(plain == size)) return dl_bytes_append(into, text, size);
    if (charset == DL_CHARSET_UTF8) return dl_utf8_append(into, text, size);
    if (charset == DL_CHARSET_DEFERRED) return *deferred = true, DL_OK;
    if (size > SIZE_MAX / 3) return DL_ERR_MEMORY;
    dl_status status = dl_bytes_reserve(into, size * 3);
    if (status != DL_OK) return status;
    uint8_t *out = into->data + into->length;
    for (size_t i = 0; i < size; i++) {
        unsigned point = text[i];
        if (point >= 0x80 && charset >= FIRST_TABLE) {
            point = single_byte_sets[charset - FIRST_TABLE].upper[point - 0x80];
        } else if (charset == KATAKANA && point >= 0x80) {
            /* JIS X 0201. Bytes outside it are Shift JIS, which is against PS3.3 and common. */
            if (point < 0xA1 || point > 0xDF) return *deferred = true, DL_OK;
            point += 0xFF61 - 0xA1;
        } else if (point == 0x1B) {
            return *deferred = true, DL_OK;
        }
        out = put_code_point(out, point); /* the default repertoire reads as ISO 8859-1 */
    }
    into->length = (size_t)(out - into->data);
    return DL_OK;
}

dl_status dl_text_append(dl_bytes *into, dl_vr vr, dl_charset charset, const uint8_t *value,
                         size_t size, bool *deferred) {
    unsigned flags = dl_vr_table[vr].flags;
    if (!(flags & DL_VR_CHARSET)) charset = DL_CHARSET_DEFAULT;
    *deferred = false;
    while (size && is_pad(value[size - 1])) size--;
    /* In a multi-byte set a backslash may be the second half of a character: not ours to split. */
    if (charset == DL_CHARSET_DEFERRED && ascii_run(value, size) != size)
        return *deferred = true, DL_OK;
    size_t start = into->length;
    for (;;) {
        const uint8_t *split = flags & DL_VR_MULTIPLE ? memchr(value, '\\', size) : NULL;
        size_t whole = split ? (size_t)(split - value) : size, kept = whole;
        const uint8_t *text = value;
        while (kept && is_pad(text[kept - 1])) kept--;
        if (flags & DL_VR_LEADING)
            while (kept && *text == ' ') text++, kept--;
        dl_status status = decode_append(into, charset, text, kept, deferred);
        if (status != DL_OK || *deferred) {
            into->length = start;
            return status;
        }
        if (!split) return DL_OK;
        status = dl_bytes_append(into, "\\", 1);
        if (status != DL_OK) return status;
        value += whole + 1;
        size -= whole + 1;
    }
}

static size_t format_tag(char *into, uint16_t group, uint16_t element) {
    static const char hex[] = "0123456789abcdef";
    const char text[] = {
        '(', hex[group >> 12],   hex[group >> 8 & 15],   hex[group >> 4 & 15],   hex[group & 15],
        ',', hex[element >> 12], hex[element >> 8 & 15], hex[element >> 4 & 15], hex[element & 15],
        ')'};
    memcpy(into, text, sizeof text);
    return sizeof text;
}

dl_status dl_numbers_append(dl_bytes *into, dl_vr vr, bool big_endian, const uint8_t *value,
                            size_t size) {
    size_t unit = dl_vr_table[vr].unit;
    if (unit == 0) return DL_ERR_ARGUMENT;
    for (size_t i = 0; i + unit <= size; i += unit) {
        char text[DL_NUMBER_SIZE + 1];
        size_t n = 0;
        if (i) text[n++] = '\\';
        const uint8_t *p = value + i;
        uint32_t word = unit >= 4 ? dl_load_u32(p, big_endian) : dl_load_u16(p, big_endian);
        uint64_t wide = unit == 8 ? dl_load_u64(p, big_endian) : word;
        float single;
        double full;
        switch (vr) {
        case DL_VR_AT:
            n += format_tag(text + n, dl_load_u16(p, big_endian), dl_load_u16(p + 2, big_endian));
            break;
        case DL_VR_FL:
            memcpy(&single, &word, 4);
            n += dl_format_float(text + n, single);
            break;
        case DL_VR_FD:
            memcpy(&full, &wide, 8);
            n += dl_format_double(text + n, full);
            break;
        case DL_VR_SS: n += dl_format_int64(text + n, (int16_t)word); break;
        case DL_VR_SL: n += dl_format_int64(text + n, (int32_t)word); break;
        case DL_VR_SV: n += dl_format_int64(text + n, (int64_t)wide); break;
        default: n += dl_format_uint64(text + n, wide); break;
        }
        dl_status status = dl_bytes_append(into, text, n);
        if (status != DL_OK) return status;
    }
    return DL_OK;
}
