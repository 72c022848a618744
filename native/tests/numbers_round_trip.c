/* Formatted numbers read back as the same value, and are as short as that allows; parsed text means
 * what strtod says it means; neither depends on the locale of the process. */
#include <ctype.h>
#include <locale.h>
#include <math.h>

#include "check.h"

enum { SAMPLES = 20000 };

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Random bit patterns, and the values where formatting goes wrong: round, tiny, halfway. */
static double sample(uint64_t *state, int i) {
    static const double known[] = {
        0.0,     -0.0,   1.0,    0.1,  1e22, 1e23, 123456789.0, 5e-324, 2.2250738585072014e-308,
        1e16,    1e17,   9.5e-5, 1e-5, 1e-6, -1.5, 0.3,         1e300,  1.7976931348623157e308,
        1.0 / 3, 100000, 2.5e15, 1e15, 1e-7, 65535};
    if (i < (int)COUNT_OF(known)) return known[i];
    uint64_t bits = random_next(state);
    double value;
    switch (i % 4) {
    case 0: return (double)(int64_t)(bits >> (bits & 63)) / 1000;
    case 1: return (double)(float)(int32_t)bits;
    case 2: return ldexp((double)(bits >> 12), (int)(bits & 127) - 64);
    default: memcpy(&value, &bits, sizeof value); return value;
    }
}

static size_t significant(const char *text) {
    size_t digits = 0, trailing = 0;
    for (; *text && *text != 'e'; text++) {
        if (!isdigit((unsigned char)*text) || (digits == 0 && *text == '0')) continue;
        digits++;
        trailing = *text == '0' ? trailing + 1 : 0;
    }
    return digits - trailing;
}

/* How many digits it takes when every count is tried, from one up. */
static size_t shortest(double value, bool single) {
    char text[64];
    for (int precision = 0; precision < 17; precision++) {
        (void)snprintf(text, sizeof text, "%.*e", precision, value);
        if (single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value) break;
    }
    return significant(text);
}

static void doubles_come_back(void) {
    uint64_t state = 1;
    for (int i = 0; i < SAMPLES; i++) {
        double value = sample(&state, i), parsed;
        char text[DL_NUMBER_SIZE + 1];
        size_t size = dl_format_double(text, value);
        CHECK(size <= DL_NUMBER_SIZE);
        text[size] = 0;
        if (!isfinite(value)) {
            CHECK(strcmp(text, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf") == 0);
            CHECK(!dl_parse_double(text, size, &parsed)); /* DS has no such values */
            continue;
        }
        CHECK_CASE(bits_of(strtod(text, NULL)) == bits_of(value), "%s for %.17g", text, value);
        CHECK_CASE(dl_parse_double(text, size, &parsed), "%s", text);
        CHECK_CASE(bits_of(parsed) == bits_of(value), "%s for %.17g", text, value);
        CHECK_CASE(significant(text) <= shortest(value, false), "%s is not the shortest", text);
    }
}

static void floats_come_back(void) {
    uint64_t state = 2;
    for (int i = 0; i < SAMPLES; i++) {
        uint32_t bits = i == 0 ? 1 : (uint32_t)random_next(&state); /* 1: the smallest there is */
        float value;
        memcpy(&value, &bits, sizeof value);
        char text[DL_NUMBER_SIZE + 1];
        size_t size = dl_format_float(text, value);
        CHECK(size <= DL_NUMBER_SIZE);
        text[size] = 0;
        if (!isfinite(value)) continue;
        CHECK_CASE(strtof(text, NULL) == value, "%s for %.9g", text, (double)value);
        CHECK_CASE(significant(text) <= shortest((double)value, true), "%s is not the shortest",
                   text);
    }
}

static void integers_come_back(void) {
    uint64_t state = 3;
    for (int i = 0; i < SAMPLES; i++) {
        uint64_t value = random_next(&state) >> random_below(&state, 64);
        if (i < 3) value = (uint64_t)INT64_MAX + (uint64_t)i; /* MAX, MIN, MIN + 1 */
        if (i == 3) value = UINT64_MAX;
        if (i == 4) value = 0;
        char text[DL_NUMBER_SIZE + 1], expected[32];
        text[dl_format_uint64(text, value)] = 0;
        (void)snprintf(expected, sizeof expected, "%llu", (unsigned long long)value);
        CHECK_CASE(strcmp(text, expected) == 0, "%s", expected);
        size_t size = dl_format_int64(text, (int64_t)value);
        text[size] = 0;
        (void)snprintf(expected, sizeof expected, "%lld", (long long)value);
        CHECK_CASE(strcmp(text, expected) == 0, "%s", expected);
        int64_t parsed;
        CHECK_CASE(dl_parse_int64(text, size, &parsed) && parsed == (int64_t)value, "%s", text);
    }
}

static void integers_are_whole(void) {
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } cases[] = {
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"-9223372036854775808", true, INT64_MIN},
        {"-9223372036854775809", false, 0},
        {"18446744073709551616", false, 0},
        {"99999999999999999999999999", false, 0},
        {"+5", true, 5},
        {"-0", true, 0},
        {"000000000000000000000000000000000000000000000000000000000000000000000000042", true, 42},
        {"", false, 0},
        {"+", false, 0},
        {"-", false, 0},
        {"--5", false, 0},
        {"+-5", false, 0},
        {" 5", false, 0},
        {"5 ", false, 0},
        {"5.", false, 0},
        {"0x5", false, 0},
        {"1e3", false, 0},
        {"1\\2", false, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t value = -77;
        bool good = dl_parse_int64(cases[i].text, strlen(cases[i].text), &value);
        CHECK_CASE(good == cases[i].good, "\"%s\"", cases[i].text);
        CHECK_CASE(!good || value == cases[i].value, "\"%s\"", cases[i].text);
    }
    int64_t value;
    CHECK(dl_parse_int64("123", 2, &value) &&
          value == 12); /* the size, not a terminator, ends it */
    CHECK(!dl_parse_int64("1\0002", 3, &value));
}

/* The grammar of DS: sign, digits with at most one point, exponent. */
static bool is_decimal(const char *p) {
    size_t digits = 0;
    if (*p == '+' || *p == '-') p++;
    for (; isdigit((unsigned char)*p); p++) digits++;
    if (*p == '.')
        for (p++; isdigit((unsigned char)*p); p++) digits++;
    if (!digits) return false;
    if (*p != 'e' && *p != 'E') return *p == 0;
    p++;
    if (*p == '+' || *p == '-') p++;
    if (!isdigit((unsigned char)*p)) return false;
    while (isdigit((unsigned char)*p)) p++;
    return *p == 0;
}

static void text_means_what_strtod_says(void) {
    static const char letters[] = "000123456789..++--eE xnif,";
    static const char *const known[] = {"9007199254740993",
                                        "9007199254740992.5",
                                        "1e22",
                                        "1e23",
                                        "-1e-22",
                                        "1e-23",
                                        "1e400",
                                        "123456789012345678",
                                        "1234567890123456789",
                                        "1e-400",
                                        "0e999",
                                        ".5",
                                        "5.",
                                        ".",
                                        "1e",
                                        "1e+",
                                        "e5",
                                        "inf",
                                        "nan",
                                        "0x10",
                                        "1,5",
                                        "1.7976931348623159e308",
                                        "2.4703282292062327e-324",
                                        "1.000000000000000000000000000001"};
    uint64_t state = 4;
    for (int i = 0; i < 10 * SAMPLES; i++) {
        char text[64];
        if (i < (int)COUNT_OF(known)) {
            (void)snprintf(text, sizeof text, "%s", known[i]);
        } else if (i % 2) { /* well-formed more often than chance would have it */
            (void)snprintf(text, sizeof text, "%s%u.%0*ue%d", i % 4 == 1 ? "-" : "",
                           (unsigned)random_next(&state), (int)random_below(&state, 12),
                           (unsigned)random_next(&state), (int)random_below(&state, 700) - 350);
        } else {
            size_t size = random_below(&state, 20);
            for (size_t k = 0; k < size; k++)
                text[k] = letters[random_below(&state, sizeof letters - 1)];
            text[size] = 0;
        }
        double value;
        bool good = dl_parse_double(text, strlen(text), &value);
        CHECK_CASE(good == is_decimal(text), "\"%s\"", text);
        CHECK_CASE(!good || bits_of(value) == bits_of(strtod(text, NULL)), "\"%s\"", text);
    }
}

typedef struct formatted {
    char text[DL_NUMBER_SIZE];
    size_t size;
} formatted;

static void format_all(formatted *into, int count) {
    uint64_t state = 5;
    for (int i = 0; i < count; i++) {
        double value = sample(&state, i);
        into[i].size = i % 5 ? dl_format_double(into[i].text, value)
                             : dl_format_float(into[i].text, (float)value);
    }
}

static void locale_changes_nothing(void) {
    enum { COUNT = 5000 };
    static const char *const comma[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "nl_NL.UTF-8", "de_DE"};
    static formatted before[COUNT], after[COUNT];
    format_all(before, COUNT);
    const char *found = NULL;
    for (size_t i = 0; i < COUNT_OF(comma) && !found; i++) found = setlocale(LC_ALL, comma[i]);
    if (!found || strcmp(localeconv()->decimal_point, ",") != 0) {
        (void)puts("no locale with a decimal comma is installed: that part was left out");
        return;
    }
    format_all(after, COUNT);
    for (int i = 0; i < COUNT; i++) {
        CHECK(before[i].size == after[i].size);
        CHECK(memcmp(before[i].text, after[i].text, before[i].size) == 0);
    }
    double value;
    CHECK(dl_parse_double("1.5", 3, &value) && value == 1.5);
    CHECK(dl_parse_double("1.25000000000000000000", 22, &value) && value == 1.25);
    CHECK(dl_parse_double("1.5e-300", 8, &value) && value == 1.5e-300);
    CHECK(!dl_parse_double("1,5", 3, &value));
    CHECK(!dl_parse_double("1,25000000000000000000", 22, &value));
    CHECK(setlocale(LC_ALL, "C"));
}

int main(void) {
    integers_come_back();
    integers_are_whole();
    text_means_what_strtod_says();
    locale_changes_nothing();
    doubles_come_back();
    floats_come_back();
    return 0;
}
