#include "dicomloom/dicom.h"

#define PLAIN (DL_VR_TEXT | DL_VR_MULTIPLE)
#define CODED (DL_VR_TEXT | DL_VR_MULTIPLE | DL_VR_CHARSET)

/* PS3.5 Table 6.2-1: which spaces are padding, which VRs hold one value, which are text. */
const dl_vr_traits dl_vr_table[DL_VR_COUNT] = {
    [DL_VR_NONE] = {"", 0, 0},
    [DL_VR_AE] = {"AE", PLAIN | DL_VR_LEADING, 0},
    [DL_VR_AS] = {"AS", PLAIN, 0},
    [DL_VR_AT] = {"AT", DL_VR_NUMBER, 4},
    [DL_VR_CS] = {"CS", PLAIN | DL_VR_LEADING, 0},
    [DL_VR_DA] = {"DA", PLAIN, 0},
    [DL_VR_DS] = {"DS", PLAIN | DL_VR_LEADING, 0},
    [DL_VR_DT] = {"DT", PLAIN, 0},
    [DL_VR_FD] = {"FD", DL_VR_NUMBER, 8},
    [DL_VR_FL] = {"FL", DL_VR_NUMBER, 4},
    [DL_VR_IS] = {"IS", PLAIN | DL_VR_LEADING, 0},
    [DL_VR_LO] = {"LO", CODED | DL_VR_LEADING, 0},
    [DL_VR_LT] = {"LT", DL_VR_TEXT | DL_VR_CHARSET, 0},
    [DL_VR_OB] = {"OB", DL_VR_LONG, 0},
    [DL_VR_OD] = {"OD", DL_VR_LONG, 0},
    [DL_VR_OF] = {"OF", DL_VR_LONG, 0},
    [DL_VR_OL] = {"OL", DL_VR_LONG, 0},
    [DL_VR_OV] = {"OV", DL_VR_LONG, 0},
    [DL_VR_OW] = {"OW", DL_VR_LONG, 0},
    [DL_VR_PN] = {"PN", CODED, 0},
    [DL_VR_SH] = {"SH", CODED | DL_VR_LEADING, 0},
    [DL_VR_SL] = {"SL", DL_VR_NUMBER, 4},
    [DL_VR_SQ] = {"SQ", DL_VR_LONG, 0},
    [DL_VR_SS] = {"SS", DL_VR_NUMBER, 2},
    [DL_VR_ST] = {"ST", DL_VR_TEXT | DL_VR_CHARSET, 0},
    [DL_VR_SV] = {"SV", DL_VR_LONG | DL_VR_NUMBER, 8},
    [DL_VR_TM] = {"TM", PLAIN, 0},
    [DL_VR_UC] = {"UC", DL_VR_LONG | CODED, 0},
    [DL_VR_UI] = {"UI", PLAIN, 0},
    [DL_VR_UL] = {"UL", DL_VR_NUMBER, 4},
    [DL_VR_UN] = {"UN", DL_VR_LONG, 0},
    [DL_VR_UR] = {"UR", DL_VR_LONG | DL_VR_TEXT, 0},
    [DL_VR_US] = {"US", DL_VR_NUMBER, 2},
    [DL_VR_UT] = {"UT", DL_VR_LONG | DL_VR_TEXT | DL_VR_CHARSET, 0},
    [DL_VR_UV] = {"UV", DL_VR_LONG | DL_VR_NUMBER, 8},
    [DL_VR_OB_OR_OW] = {"OB or OW", DL_VR_LONG, 0},
    [DL_VR_US_OR_OW] = {"US or OW", DL_VR_NUMBER, 2},
    [DL_VR_US_OR_SS] = {"US or SS", DL_VR_NUMBER, 2},
    [DL_VR_US_OR_SS_OR_OW] = {"US or SS or OW", DL_VR_NUMBER, 2},
};

dl_vr dl_vr_resolve(dl_vr vr, uint32_t length, bool is_signed) {
    switch (vr) {
    case DL_VR_US_OR_SS: return is_signed ? DL_VR_SS : DL_VR_US;
    case DL_VR_US_OR_OW: return length > 2 ? DL_VR_OW : DL_VR_US;
    case DL_VR_US_OR_SS_OR_OW: /* a table when it has more than one entry */
        return length > 2 ? DL_VR_OW : is_signed ? DL_VR_SS : DL_VR_US;
    case DL_VR_OB_OR_OW: /* PS3.5 A.4: encapsulated is OB, A.1: in implicit VR the rest is OW */
        return length == DL_UNDEFINED_LENGTH ? DL_VR_OB : DL_VR_OW;
    default: return vr;
    }
}

#define AT(a, b) [a - 'A'][b - 'A']
const uint8_t dl_vr_letters[26][26] = {
    AT('A', 'E') = DL_VR_AE, AT('A', 'S') = DL_VR_AS, AT('A', 'T') = DL_VR_AT,
    AT('C', 'S') = DL_VR_CS, AT('D', 'A') = DL_VR_DA, AT('D', 'S') = DL_VR_DS,
    AT('D', 'T') = DL_VR_DT, AT('F', 'D') = DL_VR_FD, AT('F', 'L') = DL_VR_FL,
    AT('I', 'S') = DL_VR_IS, AT('L', 'O') = DL_VR_LO, AT('L', 'T') = DL_VR_LT,
    AT('O', 'B') = DL_VR_OB, AT('O', 'D') = DL_VR_OD, AT('O', 'F') = DL_VR_OF,
    AT('O', 'L') = DL_VR_OL, AT('O', 'V') = DL_VR_OV, AT('O', 'W') = DL_VR_OW,
    AT('P', 'N') = DL_VR_PN, AT('S', 'H') = DL_VR_SH, AT('S', 'L') = DL_VR_SL,
    AT('S', 'Q') = DL_VR_SQ, AT('S', 'S') = DL_VR_SS, AT('S', 'T') = DL_VR_ST,
    AT('S', 'V') = DL_VR_SV, AT('T', 'M') = DL_VR_TM, AT('U', 'C') = DL_VR_UC,
    AT('U', 'I') = DL_VR_UI, AT('U', 'L') = DL_VR_UL, AT('U', 'N') = DL_VR_UN,
    AT('U', 'R') = DL_VR_UR, AT('U', 'S') = DL_VR_US, AT('U', 'T') = DL_VR_UT,
    AT('U', 'V') = DL_VR_UV,
};
