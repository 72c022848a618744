/* Lengths that lie are not believed, and no reason to refuse the rest of a file (P2 to P4, P6). */
#include "data_set.h"
#include "valid_table.h"

enum {
    MODALITY = 0x00080060,
    PATIENT_ID = 0x00100020,
    STEP_ID = 0x00400009,
    REQUEST_SEQUENCE = 0x00400275,
    BEHIND = 0x00540011
};

static const dl_syntax SYNTAXES[] = {{true, false}, {false, false}, {true, true}};

/* Columns: in front, in the sequence, behind. */
static dl_plan *plan_three(void) {
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(MODALITY));
    WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, DL_ITEM_ALL), AT_TAG(STEP_ID));
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(BEHIND));
    return plan;
}

static void begin(writer *w, dl_syntax syntax) {
    w->syntax = syntax;
    put_part10(w, uid_of(syntax));
    put_text(w, MODALITY, "CS", "MR");
}

/* P2: each VR says that it is longer than the file. */
static void far_beyond_the_file(void) {
    for (int variant = 0; variant < 3; variant++) {
        for (dl_vr vr = DL_VR_AE; vr < DL_VR_OB_OR_OW; vr++) {
            for (int wanted = 0; wanted < 2; wanted++) {
                bool wide = !SYNTAXES[variant].explicit_vr || dl_vr_is(vr, DL_VR_LONG);
                writer w = {0};
                begin(&w, SYNTAXES[variant]);
                put_header(&w, PATIENT_ID, dl_vr_table[vr].name, wide ? 0xFFFFFFFE : 0xFFFE);
                put(&w, "0123456789", 10);
                dl_plan *plan = plan_three();
                if (wanted) WANT(plan, DL_COLUMN_TEXT, AT_TAG(PATIENT_ID));
                result r = read_all(plan, &w);
                check_table(r.table);
                CHECK_TEXT(r, 0, "MR");
                if (wanted && vr == DL_VR_SQ && SYNTAXES[variant].explicit_vr) {
                    CHECK(r.status == DL_ERR_TRUNCATED || r.status == DL_OK);
                } else if (wanted) {
                    CHECK_CASE(r.status == DL_ERR_TRUNCATED || r.status == DL_ERR_LIMIT, "%s: %s",
                               dl_vr_table[vr].name, r.error.message);
                    CHECK(r.error.tag == PATIENT_ID && r.error.offset <= w.bytes.length);
                } else {
                    CHECK(r.status == DL_ERR_TRUNCATED && r.error.offset == w.bytes.length);
                    CHECK(r.error.tag == PATIENT_ID);
                }
                result_free(&r);
                dl_plan_free(plan);
                writer_free(&w);
            }
        }
    }
}

/* P3: the group length of the file meta information is absent, or anything; and so is a VR. */
static void group_length_is_not_believed(void) {
    static const uint32_t lies[] = {0, 1, 7, 8, 30, 1000, 0x7FFFFFFF, 0xFFFFFFFF};
    static const struct {
        const char *bytes;
        size_t size;
    } odd[] = {
        {"\2\0\x16\0AE\2\0AB", 10},       {"\2\0\x16\0SQ\0\0\0\0\0\0", 12},
        {"\2\0\x16\0UN\0\0\0\0\0\0", 12}, {"\2\0\x16\0ZZ\2\0AB", 10},
        {"\2\0\x16\0\2\0\0\0AB", 10},     {"\2\0\x16\0ZZ\0\0\2\0\0\0AB", 14},
    };
    for (size_t i = 0; i <= COUNT_OF(lies); i++) {
        for (size_t k = 0; k < COUNT_OF(odd); k++) {
            static const char preamble[128];
            writer w = {.syntax = EXPLICIT};
            put(&w, preamble, sizeof preamble);
            put(&w, "DICM", 4);
            if (i < COUNT_OF(lies)) {
                put_header(&w, 0x00020000, "UL", 4);
                put_u32(&w, lies[i]);
            }
            put_uid(&w, DL_TAG_TRANSFER_SYNTAX, UID_IMPLICIT);
            put(&w, odd[k].bytes, odd[k].size);
            w.syntax = IMPLICIT;
            put_text(&w, MODALITY, "CS", "MR");
            put_us(&w, BEHIND, "US", 7);
            dl_plan *plan = plan_three();
            result r = read_all(plan, &w);
            CHECK_CASE(r.status == DL_OK, "lie %zu, VR %zu: %s", i, k, r.error.message);
            CHECK_TEXT(r, 0, "MR");
            CHECK_TEXT(r, 2, "7");
            result_free(&r);
            dl_plan_free(plan);
            writer_free(&w);
        }
    }
}

/* P4: what stands between (0008,0060) and (0054,0011), a letter a token:
 *   S s  the sequence, of undefined or of defined length    N  another one inside, undefined
 *   I i  an item, of undefined or of defined length         )  end of the innermost defined length
 *   E Q  item delimiter, sequence delimiter                 L  ... which says 1,000 bytes more
 *   v x  a wanted value                                     o  a value longer than its item
 *   c    eight bytes of a header of twelve                  z  four bytes that are no header */
static void put_tokens(writer *w, const char *tokens) {
    opened stack[16];
    size_t depth = 0;
    for (; *tokens; tokens++) {
        switch (*tokens) {
        case 'S': (void)put_sequence(w, REQUEST_SEQUENCE, true); break;
        case 'N': (void)put_sequence(w, 0x00400008, true); break;
        case 's': stack[depth++] = put_sequence(w, REQUEST_SEQUENCE, false); break;
        case 'I': (void)put_item(w, true); break;
        case 'i': stack[depth++] = put_item(w, false); break;
        case 'E': put_header(w, DL_TAG_ITEM_END, NULL, 0); break;
        case 'Q': put_header(w, DL_TAG_SEQUENCE_END, NULL, 0); break;
        case 'v': put_text(w, STEP_ID, "SH", "v "); break;
        case 'x': put_text(w, STEP_ID, "SH", "x "); break;
        case 'z': put(w, "zzzz", 4); break;
        case ')': put_end(w, stack[--depth]); break;
        case 'L': {
            size_t all = w->bytes.length, header = stack[--depth].header;
            w->bytes.length = header - 4;
            put_u32(w, (uint32_t)(all - header + 1000));
            w->bytes.length = all;
            break;
        }
        case 'c':
            put_header(w, 0x0040A043, "SQ", 0);
            if (w->syntax.explicit_vr) w->bytes.length -= 4;
            break;
        case 'o':
            put_header(w, 0x00400007, "LO", 1000);
            put(w, "ab", 2);
            break;
        default: CHECK(0);
        }
    }
}

static const struct {
    const char *tokens, *value; /* NULL: none */
} DELIMITED[] = {
    {"SIvEQ", "v"},        {"E", NULL},           {"Q", NULL},          {"EEQQ", NULL},
    {"SIvEQE", "v"},       {"SIvEQQ", "v"},       {"SIvQ", "v"},        {"SIvIxQ", "v\\x"},
    {"SIvE", "v"},         {"SIEIvEQ", "v"},      {"SEIvEQ", "v"},      {"SIvEEIxEQ", "v\\x"},
    {"siv))", "v"},        {"siv)ix))", "v\\x"},  {"siv)E)", "v"},      {"sivE))", "v"},
    {"sivL)", "v"},        {"sIv)", "v"},         {"sIvE)", "v"},       {"sIvEix))", "v\\x"},
    {"Siv)Q", "v"},        {"S", NULL},           {"s)", NULL},         {"si))", NULL},
    {"SQ", NULL},          {"sivQ))", "v"},       {"sivz))", "v"},      {"siv)z)", "v"},
    {"sivz)ix))", "v\\x"}, {"siNIz))", NULL},     {"siNIEz)ix))", "x"}, {"sio)ix))", "x"},
    {"sivc))", "v"},       {"sivc)ix))", "v\\x"}, {"siNIc))", NULL},    {"siNIc)ix))", "x"},
    {"sIvc)", "v"},        {"Sivc)Q", "v"},
};

static void delimiters_stray_and_lack(void) {
    for (size_t i = 0; i < 3 * COUNT_OF(DELIMITED); i++) {
        dl_syntax syntax = SYNTAXES[i % 3];
        const char *tokens = DELIMITED[i / 3].tokens, *value = DELIMITED[i / 3].value;
        writer w = {0};
        begin(&w, syntax);
        put_tokens(&w, tokens);
        put_us(&w, BEHIND, "US", 7);
        dl_plan *plan = plan_three();
        result r = read_all(plan, &w);
        check_table(r.table);
        CHECK_CASE(r.status == DL_OK, "%s in encoding %zu: %s", tokens, i % 3, r.error.message);
        CHECK_TEXT(r, 0, "MR");
        CHECK_CASE(value ? cell_is(r.table, 1, value) : !cell_set(r.table, 1, 0), "%s", tokens);
        CHECK_CASE(cell_is(r.table, 2, "7"), "%s", tokens);
        result_free(&r);
        dl_plan_free(plan);
        /* Nobody wants the sequence: the way past it is another one. */
        plan = dl_plan_new();
        CHECK(plan);
        WANT(plan, DL_COLUMN_TEXT, AT_TAG(MODALITY));
        WANT(plan, DL_COLUMN_TEXT, AT_TAG(BEHIND));
        r = read_all(plan, &w);
        CHECK_CASE(r.status == DL_OK, "%s in encoding %zu: %s", tokens, i % 3, r.error.message);
        CHECK_TEXT(r, 0, "MR");
        CHECK_CASE(cell_is(r.table, 1, "7"), "%s", tokens);
        result_free(&r);
        dl_plan_free(plan);
        writer_free(&w);
    }
    /* An item that takes the rest of the file with it: its values are there, and the file ends. */
    writer w = {0};
    begin(&w, EXPLICIT);
    put_tokens(&w, "SivLQ");
    put_us(&w, BEHIND, "US", 7);
    dl_plan *plan = plan_three();
    result r = read_all(plan, &w);
    CHECK(r.status == DL_ERR_TRUNCATED && r.error.offset == w.bytes.length);
    CHECK_TEXT(r, 0, "MR");
    CHECK_TEXT(r, 1, "v");
    result_free(&r);
    dl_plan_free(plan);
    writer_free(&w);
}

/* Elements that the reader looks at for its own sake: a fault in them is not the caller's. */
static void own_elements_may_lie(void) {
    static const uint32_t tags[] = {DL_TAG_CHARSET, 0x00090010, DL_TAG_PIXEL_REPRESENTATION};
    for (size_t i = 0; i < COUNT_OF(tags); i++) {
        for (int undefined = 0; undefined < 2; undefined++) {
            enum { LONG = 2 << 20 };
            writer w = {.syntax = IMPLICIT};
            put_part10(&w, UID_IMPLICIT);
            if (undefined) {
                put_header(&w, tags[i], NULL, DL_UNDEFINED_LENGTH);
                put_header(&w, DL_TAG_SEQUENCE_END, NULL, 0);
            } else {
                char *text = calloc(1, LONG);
                CHECK(text);
                put_value(&w, tags[i], NULL, text, LONG);
                free(text);
            }
            put_us(&w, 0x00280106, "US", 7);
            dl_plan *plan = dl_plan_new();
            CHECK(plan);
            WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00280106));
            WANT(plan, DL_COLUMN_TEXT, AT_PRIVATE(0x00090001, "ACME", DL_VR_LO));
            result r = read_all(plan, &w);
            CHECK_CASE(r.status == DL_OK, "%08x, %s: %s", tags[i],
                       undefined ? "undefined length" : "2 MiB", r.error.message);
            CHECK_TEXT(r, 0, "7");
            result_free(&r);
            dl_plan_free(plan);
            writer_free(&w);
        }
    }
}

/* P6: no values, half a value, 65,535 values. */
static void odd_numbers_of_bytes(void) {
    enum { MANY = 65535 };
    static const size_t sizes[] = {0, 1, 2, 3, 2 * MANY};
    static const char *const texts[] = {"", "", "257", "257", NULL};
    uint8_t *ones = malloc(2 * MANY);
    CHECK(ones);
    memset(ones, 1, 2 * MANY);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        writer w = {.syntax = IMPLICIT};
        put_part10(&w, UID_IMPLICIT);
        put_value(&w, 0x00280010, "US", ones, sizes[i]);
        put_us(&w, BEHIND, "US", 7);
        dl_plan *plan = dl_plan_new();
        CHECK(plan);
        WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00280010));
        WANT(plan, DL_COLUMN_TEXT, AT_TAG(BEHIND));
        result r = read_all(plan, &w);
        CHECK_CASE(r.status == DL_OK, "%s", r.error.message);
        CHECK_TEXT(r, 1, "7");
        size_t size;
        (void)cell_text(r.table, 0, 0, &size);
        CHECK(texts[i] ? cell_is(r.table, 0, texts[i]) : size == 4 * MANY - 1);
        result_free(&r);
        dl_plan_free(plan);
        writer_free(&w);
    }
    free(ones);
}

/* P7: a character set inside one item holds for that item. */
static void a_charset_stays_in_its_item(void) {
    writer w = {.syntax = EXPLICIT};
    put_part10(&w, UID_EXPLICIT);
    put_text(&w, DL_TAG_CHARSET, "CS", "ISO_IR 100");
    opened items = put_sequence(&w, REQUEST_SEQUENCE, true);
    for (int i = 0; i < 3; i++) {
        opened item = put_item(&w, true);
        if (i == 1) put_text(&w, DL_TAG_CHARSET, "CS", "ISO_IR 144");
        put_text(&w, STEP_ID, "SH", "\xD6 ");
        put_end(&w, item);
    }
    put_end(&w, items);
    put_text(&w, 0x00400280, "ST", "\xD6 ");
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, DL_ITEM_ALL), AT_TAG(STEP_ID));
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00400280));
    result r = read_all(plan, &w);
    CHECK_CASE(r.status == DL_OK, "%s", r.error.message);
    CHECK_TEXT(r, 0, "\xC3\x96\\\xD0\xB6\\\xC3\x96");
    CHECK_TEXT(r, 1, "\xC3\x96");
    result_free(&r);
    dl_plan_free(plan);
    writer_free(&w);
}

/* Item delimiters are no elements to be hopped over, even on the way to a tag behind theirs. */
static void delimiters_are_no_elements(void) {
    for (int variant = 0; variant < 3; variant++) {
        writer w = {0};
        begin(&w, SYNTAXES[variant]);
        opened items = put_sequence(&w, REQUEST_SEQUENCE, true);
        for (int i = 0; i < 2; i++) {
            opened item = put_item(&w, true);
            put_text(&w, STEP_ID, "SH", i ? "x " : "v ");
            put_text(&w, 0x00401001, "SH", "no ");
            put_end(&w, item);
        }
        put_end(&w, items);
        put_us(&w, BEHIND, "US", 7);
        dl_plan *plan = plan_three();
        WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, DL_ITEM_ALL), AT_TAG(0xFFFFFFFF));
        result r = read_all(plan, &w);
        CHECK_CASE(r.status == DL_OK, "encoding %d: %s", variant, r.error.message);
        CHECK_TEXT(r, 1, "v\\x");
        CHECK_TEXT(r, 2, "7");
        result_free(&r);
        dl_plan_free(plan);
        writer_free(&w);
    }
}

int main(void) {
    far_beyond_the_file();
    group_length_is_not_believed();
    odd_numbers_of_bytes();
    a_charset_stays_in_its_item();
    delimiters_stray_and_lack();
    own_elements_may_lie();
    delimiters_are_no_elements();
    return 0;
}
