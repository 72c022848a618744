#define _GNU_SOURCE /* strtod_l */
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif

#include "dicomloom/base.h"

bool dl_parse_int64(const char *text, size_t size, int64_t *value) {
    size_t i = 0;
    bool negative = false;
    if (i < size && (text[i] == '+' || text[i] == '-')) negative = text[i++] == '-';
    if (i == size) return false;
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX, sum = 0;
    for (; i < size; i++) {
        unsigned digit = (unsigned char)text[i] - '0';
        if (digit > 9 || sum > (limit - digit) / 10) return false;
        sum = sum * 10 + digit;
    }
    *value = negative ? (int64_t)(0 - sum) : (int64_t)sum;
    return true;
}

/* strtod in the C locale, whatever locale the host program has chosen. */
static bool parse_slowly(const char *text, size_t size, double *value) {
    char copy[64];
    if (size >= sizeof copy) return false;
    memcpy(copy, text, size);
    copy[size] = 0;
    char *end;
#if defined(_WIN32)
    _locale_t plain = _create_locale(LC_ALL, "C");
    if (!plain) return false;
    *value = _strtod_l(copy, &end, plain);
    _free_locale(plain);
#else
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0) return false;
    *value = strtod_l(copy, &end, plain);
    freelocale(plain);
#endif
    return end == copy + size;
}

bool dl_parse_double(const char *text, size_t size, double *value) {
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    size_t i = 0;
    bool negative = false, any = false;
    if (i < size && (text[i] == '+' || text[i] == '-')) negative = text[i++] == '-';
    uint64_t mantissa = 0;
    int scale = 0, digits = 0;
    for (bool fraction = false; i < size; i++) {
        unsigned digit = (unsigned char)text[i] - '0';
        if (digit <= 9) {
            any = true;
            mantissa = mantissa * 10 + digit;
            if (mantissa) digits++;
            if (fraction) scale--;
            if (digits > 18) return parse_slowly(text, size, value);
        } else if (text[i] == '.' && !fraction) {
            fraction = true;
        } else {
            break;
        }
    }
    if (!any) return false;
    if (i < size) {
        if (text[i] != 'e' && text[i] != 'E') return false;
        int64_t exponent;
        if (!dl_parse_int64(text + i + 1, size - i - 1, &exponent)) return false;
        if (exponent < -400 || exponent > 400) return parse_slowly(text, size, value);
        scale += (int)exponent;
    }
    /* Both factors are exact doubles, so one rounding gives the nearest value (Clinger 1990). */
    if (mantissa > (1ULL << 53) || scale < -22 || scale > 22)
        return parse_slowly(text, size, value);
    double magnitude = (double)mantissa;
    magnitude = scale < 0 ? magnitude / power[-scale] : magnitude * power[scale];
    *value = negative ? -magnitude : magnitude;
    return true;
}

size_t dl_format_uint64(char *into, uint64_t value) {
    char reversed[20];
    size_t n = 0;
    do {
        reversed[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (size_t i = 0; i < n; i++) into[i] = reversed[n - 1 - i];
    return n;
}

size_t dl_format_int64(char *into, int64_t value) {
    if (value >= 0) return dl_format_uint64(into, (uint64_t)value);
    into[0] = '-';
    return 1 + dl_format_uint64(into + 1, 0 - (uint64_t)value);
}

/* Digits d1.d2d3... times ten to the exponent, laid out as people write numbers. */
static size_t lay_out(char *into, bool negative, const char *digits, int count, int exponent) {
    size_t n = 0;
    if (negative) into[n++] = '-';
    if (exponent >= -5 && exponent < 17) {
        int whole = exponent + 1;
        if (whole <= 0) {
            into[n++] = '0';
            into[n++] = '.';
            for (int i = whole; i < 0; i++) into[n++] = '0';
        }
        for (int i = 0; i < count || i < whole; i++) {
            if (i == whole && whole > 0) into[n++] = '.';
            into[n++] = i < count ? digits[i] : '0';
        }
        return n;
    }
    into[n++] = digits[0];
    if (count > 1) {
        into[n++] = '.';
        memcpy(into + n, digits + 1, (size_t)count - 1);
        n += (size_t)count - 1;
    }
    into[n++] = 'e';
    return n + dl_format_int64(into + n, exponent);
}

static size_t format_shortest(char *into, double value, int precision, int most, bool single) {
    if (isnan(value)) return memcpy(into, "nan", 3), (size_t)3;
    if (isinf(value)) {
        bool negative = value < 0;
        memcpy(into, negative ? "-inf" : "inf", negative ? 4 : 3);
        return negative ? 4 : 3;
    }
    if (value == 0) {
        memcpy(into, signbit(value) ? "-0" : "0", signbit(value) ? 2 : 1);
        return signbit(value) ? 2 : 1;
    }
    /* Fewer digits than a normal number's always suffice for a subnormal one. */
    if (fabs(value) < (single ? (double)FLT_MIN : DBL_MIN)) precision = 1;
    char text[64];
    for (;; precision++) {
        (void)snprintf(text, sizeof text, "%.*e", precision - 1, value);
        /* Same locale out and in, so the comparison is sound whatever the decimal point. */
        bool same = single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value;
        if (same || precision == most) break;
    }
    char digits[20];
    int count = 0;
    const char *p = text;
    for (; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9') digits[count++] = *p;
    while (count > 1 && digits[count - 1] == '0') count--;
    return lay_out(into, value < 0, digits, count, (int)strtol(p + 1, NULL, 10));
}

size_t dl_format_double(char *into, double value) {
    return format_shortest(into, value, 15, 17, false);
}

size_t dl_format_float(char *into, float value) {
    return format_shortest(into, (double)value, 6, 9, true);
}
