/* A file cut at any byte gives the values that stand before the cut, and says where it ends (P5);
 * one that shrinks, or fails, while it is read gives no other ones (P13). */
#include "data_set.h"
#include "valid_table.h"

enum { COLUMNS = 12, MARKS = 64 };

/* A data set, and where its elements of the outermost level begin. */
typedef struct sample {
    writer w;
    size_t body, marks[MARKS], count;
} sample;

static void mark(sample *s) {
    CHECK(s->count < MARKS);
    s->marks[s->count++] = s->w.bytes.length;
}

static bool is_marked(const sample *s, size_t at) {
    for (size_t i = 0; i < s->count; i++)
        if (s->marks[i] == at) return true;
    return false;
}

static void build(sample *s, dl_syntax syntax, bool undefined) {
    writer *w = &s->w;
    w->syntax = syntax;
    put_part10(w, uid_of(syntax));
    s->body = w->bytes.length;
    put_text(w, 0x00080005, "CS", "ISO_IR 100");
    mark(s);
    put_text(w, 0x00080060, "CS", "MR");
    mark(s);
    put_text(w, 0x00090010, "LO", "ACME");
    mark(s);
    put_text(w, 0x00091001, "LO", "private ");
    mark(s);
    put_text(w, 0x00100010, "PN", "M\xFCller^Anna ");
    mark(s);
    put_text(w, 0x00104000, "LT", "not wanted");
    mark(s);
    put_us(w, 0x00280010, "US", 512);
    mark(s);
    for (int which = 0; which < 2; which++) { /* a wanted sequence, and one that is not */
        opened items = put_sequence(w, which ? 0x00400440 : 0x00400275, undefined);
        for (int i = 0; i < 3; i++) {
            opened item = put_item(w, undefined);
            char text[] = {(char)('a' + i), (char)('a' + i), 0};
            put_text(w, 0x00400009, "SH", text);
            opened codes = put_sequence(w, 0x0040A043, !undefined);
            opened code = put_item(w, !undefined);
            put_text(w, 0x00080100, "SH", text);
            put_end(w, code);
            put_end(w, codes);
            put_end(w, item);
        }
        put_end(w, items);
        mark(s);
    }
    put_text(w, 0x00541300, "DS", "1.5 ");
    mark(s);
    if (undefined) {
        opened pixels = put_begin(w, DL_TAG_PIXEL_DATA, "OB", true);
        put_value(w, DL_TAG_ITEM, NULL, "0123456789", 10);
        put_end(w, pixels);
    } else {
        put_value(w, DL_TAG_PIXEL_DATA, "OW", "0123456789", 10);
    }
    mark(s);
}

static dl_plan *plan_all(void) {
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, DL_COLUMN_TEXT, IN_SEQ(0x00400275, DL_ITEM_ALL), AT_TAG(0x00400009));
    WANT(plan, DL_COLUMN_TEXT, IN_SEQ(0x00400275, DL_ITEM_ALL), IN_SEQ(0x0040A043, DL_ITEM_ALL),
         AT_TAG(0x00080100));
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(DL_TAG_TRANSFER_SYNTAX));
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00080060));
    WANT(plan, DL_COLUMN_TEXT, AT_PRIVATE(0x00090001, "ACME", DL_VR_LO));
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00100010));
    WANT(plan, DL_COLUMN_INT64, AT_TAG(0x00280010));
    WANT(plan, DL_COLUMN_TEXT, IN_SEQ(0x00400275, 1), IN_SEQ(0x0040A043, 0), AT_TAG(0x00080100));
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00400275));
    WANT(plan, DL_COLUMN_TEXT, IN_SEQ(0x00400275, 2), AT_TAG(0x00400009));
    WANT(plan, DL_COLUMN_FLOAT64, AT_TAG(0x00541300));
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(DL_TAG_PIXEL_DATA));
    CHECK(dl_plan_columns(plan) == COLUMNS);
    return plan;
}

/* Is what a cut left of a column the whole's value, or, of joined values, its first ones? */
static bool is_part(const result *part, const result *whole, size_t column) {
    if (!cell_set(part->table, column, 0)) return true;
    if (!cell_set(whole->table, column, 0)) return false;
    if (part->table->columns[column].type != DL_COLUMN_TEXT)
        return memcmp(part->table->columns[column].data.data,
                      whole->table->columns[column].data.data, 8) == 0;
    size_t size, all;
    const char *text = cell_text(part->table, column, 0, &size);
    const char *full = cell_text(whole->table, column, 0, &all);
    bool joined = column < 2;
    return size <= all && memcmp(text, full, size) == 0 &&
           (size == all || (joined && full[size] == '\\'));
}

static void cut_everywhere(const sample *s, const dl_plan *plan) {
    bool seen[COLUMNS] = {false};
    result whole = read_all(plan, &s->w);
    CHECK_CASE(whole.status == DL_OK, "%s", whole.error.message);
    for (size_t column = 0; column < COLUMNS; column++)
        CHECK_CASE(cell_set(whole.table, column, 0), "column %zu", column);
    for (size_t cut = 0; cut <= s->w.bytes.length; cut++) {
        uint8_t *exact = malloc(cut ? cut : 1);
        CHECK(exact);
        memcpy(exact, s->w.bytes.data, cut);
        result r = read_bytes(plan, exact, cut);
        free(exact);
        check_table(r.table);
        if (cut < 140) {
            CHECK_CASE(r.status == DL_ERR_NOT_DICOM || r.status == DL_ERR_TRUNCATED, "%zu", cut);
        } else {
            bool good = cut > s->body && is_marked(s, cut);
            CHECK_CASE(r.status == (good ? DL_OK : DL_ERR_TRUNCATED), "cut at %zu: %s", cut,
                       r.error.message);
            CHECK_CASE(good || r.error.offset == cut, "cut at %zu: %s", cut, r.error.message);
        }
        for (size_t column = 0; column < COLUMNS; column++) {
            CHECK_CASE(is_part(&r, &whole, column), "column %zu, cut at %zu", column, cut);
            bool set = cell_set(r.table, column, 0);
            CHECK_CASE(set || !seen[column], "column %zu lost by a later cut at %zu", column, cut);
            seen[column] = set;
        }
        result_free(&r);
    }
    result_free(&whole);
}

/* A source that says one size and holds another, and gives a little at a time. */
typedef struct shrinking {
    const uint8_t *data;
    size_t says, holds;
    int fails_in;
} shrinking;

static dl_status shrinking_read(void *context, uint64_t offset, void *into, size_t size,
                                size_t *got, dl_error *error) {
    shrinking *s = context;
    *got = 0;
    if (s->fails_in && --s->fails_in == 0) return dl_fail(error, DL_ERR_IO, offset, "stale");
    if (offset >= s->holds) return DL_OK;
    *got = size < 40 ? size : 40;
    if (*got > s->holds - offset) *got = s->holds - (size_t)offset;
    memcpy(into, s->data + offset, *got);
    return DL_OK;
}

static dl_status shrinking_size(void *context, uint64_t *size, dl_error *error) {
    (void)error;
    *size = ((const shrinking *)context)->says;
    return DL_OK;
}

static void shrink_and_fail(const sample *s, const dl_plan *plan) {
    result whole = read_all(plan, &s->w);
    dl_reader reader = {.plan = plan, .limits = {DL_DEFAULT_DEPTH, DL_DEFAULT_VALUE_SIZE}};
    size_t size = s->w.bytes.length;
    for (size_t step = 0; step < 3 * size; step++) {
        size_t at = step % size;
        shrinking context = {s->w.bytes.data, size, size, 0};
        if (step < size) context.holds = at;                    /* shorter than it says */
        if (step >= size && step < 2 * size) context.says = at; /* longer than it says */
        if (step >= 2 * size) context.fails_in = 1 + (int)at;
        dl_source source = {&context, shrinking_read, shrinking_size, NULL};
        result r = read_with(&reader, &source);
        check_table(r.table);
        if (step >= 2 * size)
            CHECK(r.status == DL_OK || r.status == DL_ERR_IO);
        else
            CHECK(r.status != DL_ERR_IO && r.status != DL_ERR_MEMORY);
        for (size_t column = 0; column < COLUMNS; column++) {
            bool binary = column == COLUMNS - 1 && step < size; /* its length is only declared */
            CHECK_CASE(binary || is_part(&r, &whole, column), "column %zu, step %zu", column, step);
        }
        result_free(&r);
    }
    dl_reader_free(&reader);
    result_free(&whole);
}

int main(void) {
    static const dl_syntax syntaxes[] = {{true, false}, {false, false}, {true, true}};
    dl_plan *plan = plan_all();
    for (int variant = 0; variant < 6; variant++) {
        sample s = {0};
        build(&s, syntaxes[variant % 3], variant / 3);
        cut_everywhere(&s, plan);
        shrink_and_fail(&s, plan);
        writer_free(&s.w);
    }
    dl_plan_free(plan);
    return 0;
}
