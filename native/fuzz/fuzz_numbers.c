/* Numbers from any text and any bytes: dl_parse_double agrees with the grammar of DS and with
 * strtod, dl_parse_int64 with strtoll, and binary numbers, written in decimal, come back. */
#include <ctype.h>
#include <errno.h>
#include <math.h>

#include "dicomloom/dicom.h"
#include "fuzz.h"

enum { LONGEST = 60 }; /* of a text whose value is compared: DS has 16 characters (PS3.5 6.2) */

static size_t digits(const char *text, size_t size, size_t at) {
    size_t n = 0;
    while (at + n < size && isdigit((unsigned char)text[at + n])) n++;
    return n;
}

static size_t sign(const char *text, size_t size, size_t at) {
    return at < size && (text[at] == '+' || text[at] == '-');
}

/* *exponent is set to the number of its digits. */
static bool is_decimal(const char *text, size_t size, size_t *exponent) {
    size_t at = sign(text, size, 0), whole = digits(text, size, at), fraction = 0;
    *exponent = 0;
    at += whole;
    if (at < size && text[at] == '.') {
        fraction = digits(text, size, ++at);
        at += fraction;
    }
    if (whole + fraction == 0) return false;
    if (at == size) return true;
    if (text[at] != 'e' && text[at] != 'E') return false;
    at++;
    at += sign(text, size, at);
    *exponent = digits(text, size, at);
    return *exponent > 0 && at + *exponent == size;
}

static void check_parsing(const char *text, size_t size) {
    char copy[LONGEST + 1], *rest;
    double real = 0;
    int64_t whole = 0;
    size_t exponent;
    bool is_real = dl_parse_double(text, size, &real),
         is_whole = dl_parse_int64(text, size, &whole);
    bool decimal = is_decimal(text, size, &exponent);
    CHECK(!is_real || decimal);
    if (size > LONGEST) return;
    memcpy(copy, text, size);
    copy[size] = 0;
    if (exponent < 18) CHECK(is_real == decimal);
    if (is_real) {
        double expected = strtod(copy, NULL);
        CHECK(memcmp(&expected, &real, sizeof real) == 0);
    }
    errno = 0;
    long long expected = strtoll(copy, &rest, 10);
    bool good = size > 0 && rest == copy + size && !isspace((unsigned char)copy[0]) && !errno;
    CHECK(is_whole == good && (!good || whole == expected));
    CHECK(!is_whole || is_real);
}

/* Each number of the text, parsed, is the number of the bytes again. */
static void check_numbers(dl_vr vr, bool big_endian, const uint8_t *value, size_t size) {
    dl_bytes out = {0};
    size_t unit = dl_vr_table[vr].unit, at = 0, n = 0;
    CHECK(dl_numbers_append(&out, vr, big_endian, value, size) == DL_OK);
    CHECK(out.length <= (size / unit) * (DL_NUMBER_SIZE + 1));
    for (; at < out.length; n++) {
        const char *text = (const char *)out.data + at;
        const char *split = memchr(text, '\\', out.length - at);
        size_t length = split ? (size_t)(split - text) : out.length - at;
        const uint8_t *p = value + n * unit;
        char copy[DL_NUMBER_SIZE + 1];
        CHECK(length > 0 && length <= DL_NUMBER_SIZE);
        memcpy(copy, text, length);
        copy[length] = 0;
        at += length + (split != NULL);
        if (vr == DL_VR_FD || vr == DL_VR_FL) {
            double real, parsed;
            float single;
            uint64_t wide = unit == 8 ? dl_load_u64(p, big_endian) : 0;
            uint32_t word = unit == 4 ? dl_load_u32(p, big_endian) : 0;
            memcpy(&real, &wide, sizeof real);
            memcpy(&single, &word, sizeof single);
            bool finite = unit == 8 ? isfinite(real) : isfinite(single);
            CHECK(dl_parse_double(copy, length, &parsed) == finite);
            if (finite && unit == 8) CHECK(memcmp(&parsed, &real, sizeof real) == 0);
            if (finite && unit == 4) CHECK(strtof(copy, NULL) == single);
        } else if (vr != DL_VR_AT) {
            uint64_t wide = unit == 2   ? dl_load_u16(p, big_endian)
                            : unit == 4 ? dl_load_u32(p, big_endian)
                                        : dl_load_u64(p, big_endian);
            if (vr == DL_VR_SS) wide = (uint64_t)(int16_t)wide;
            if (vr == DL_VR_SL) wide = (uint64_t)(int32_t)wide;
            CHECK((copy[0] == '-' ? (uint64_t)strtoll(copy, NULL, 10) : strtoull(copy, NULL, 10)) ==
                  wide);
        }
    }
    CHECK(n == size / unit);
    dl_bytes_free(&out);
}

/* The input: a VR, then text that is also taken as binary numbers. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    dl_vr vr = (dl_vr)(data[0] % DL_VR_COUNT);
    bool big_endian = data[0] & 0x80;
    check_parsing((const char *)data + 1, size - 1);
    if (dl_vr_table[vr].unit) check_numbers(vr, big_endian, data + 1, size - 1);
    return 0;
}
