/* Binary values become decimal text: each VR, both byte orders, remainders left out. */
#include "check.h"
#include "dicomloom/dicom.h"

static void each_vr(void) {
    static const struct {
        dl_vr vr;
        const char *little; /* the bytes in little endian */
        size_t size;
        const char *text;
    } cases[] = {
        {DL_VR_US, "\xFF\xFF\x01\x00", 4, "65535\\1"},
        {DL_VR_SS, "\xFF\xFF\x00\x80", 4, "-1\\-32768"},
        {DL_VR_UL, "\xFF\xFF\xFF\xFF", 4, "4294967295"},
        {DL_VR_SL, "\x00\x00\x00\x80", 4, "-2147483648"},
        {DL_VR_UV, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8, "18446744073709551615"},
        {DL_VR_SV, "\x00\x00\x00\x00\x00\x00\x00\x80", 8, "-9223372036854775808"},
        {DL_VR_FL, "\x00\x00\xC0\x3F\xCD\xCC\xCC\x3D", 8, "1.5\\0.1"},
        {DL_VR_FD, "\x9A\x99\x99\x99\x99\x99\xB9\x3F", 8, "0.1"},
        {DL_VR_FL, "\x00\x00\x80\xFF\x00\x00\x00\x80", 8, "-inf\\-0"},
        {DL_VR_US_OR_SS, "\xFE\xFF", 2, "65534"},
        {DL_VR_US, "", 0, ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t unit = dl_vr_table[cases[i].vr].unit;
        uint8_t big[16];
        for (size_t k = 0; k < cases[i].size; k++)
            big[k] = (uint8_t)cases[i].little[k - k % unit + unit - 1 - k % unit];
        for (int swap = 0; swap < 2; swap++) {
            dl_bytes out = {0};
            const uint8_t *value = swap ? big : (const uint8_t *)cases[i].little;
            CHECK(dl_numbers_append(&out, cases[i].vr, swap, value, cases[i].size) == DL_OK);
            CHECK_CASE(bytes_equal(&out, cases[i].text, strlen(cases[i].text)), "%s",
                       cases[i].text);
            dl_bytes_free(&out);
        }
    }
}

static void tags_keep_their_halves(void) {
    dl_bytes out = {0};
    const uint8_t little[] = {0x28, 0x00, 0x10, 0x00, 0xE0, 0x7F, 0xFF, 0xAB};
    const uint8_t big[] = {0x00, 0x28, 0x00, 0x10, 0x7F, 0xE0, 0xAB, 0xFF};
    CHECK(dl_numbers_append(&out, DL_VR_AT, false, little, 8) == DL_OK);
    CHECK(bytes_equal(&out, "(0028,0010)\\(7fe0,abff)", 23));
    out.length = 0;
    CHECK(dl_numbers_append(&out, DL_VR_AT, true, big, 8) == DL_OK);
    CHECK(bytes_equal(&out, "(0028,0010)\\(7fe0,abff)", 23));
    dl_bytes_free(&out);
}

static void remainders_are_left_out(void) {
    static const uint8_t value[16] = {1};
    for (dl_vr vr = DL_VR_NONE; vr < DL_VR_COUNT; vr++) {
        size_t unit = dl_vr_table[vr].unit;
        CHECK((unit != 0) == dl_vr_is(vr, DL_VR_NUMBER));
        for (size_t size = 0; size <= sizeof value; size++) {
            dl_bytes out = {0};
            /* A copy of just this size, so that a sanitizer sees a read behind it. */
            uint8_t *exact = malloc(size ? size : 1);
            CHECK(exact);
            memcpy(exact, value, size);
            dl_status status = dl_numbers_append(&out, vr, false, exact, size);
            CHECK(status == (unit ? DL_OK : DL_ERR_ARGUMENT));
            size_t numbers = out.length ? 1 : 0;
            for (size_t i = 0; i < out.length; i++) numbers += out.data[i] == '\\';
            CHECK(!unit || numbers == size / unit);
            free(exact);
            dl_bytes_free(&out);
        }
    }
}

static void every_vr_is_spelled(void) {
    size_t found = 0;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            const uint8_t bytes[2] = {(uint8_t)a, (uint8_t)b};
            dl_vr vr = dl_vr_from_bytes(bytes);
            if (vr == DL_VR_NONE) continue;
            found++;
            CHECK(vr < DL_VR_OB_OR_OW && memcmp(dl_vr_table[vr].name, bytes, 2) == 0);
        }
    }
    CHECK(found == DL_VR_OB_OR_OW - 1);
}

int main(void) {
    each_vr();
    tags_keep_their_halves();
    remainders_are_left_out();
    every_vr_is_spelled();
    return 0;
}
