/* No allocation is sized by a length that the bytes do not back: a file of a few hundred bytes that
 * speaks of gigabytes costs less than 4 MiB (P2). */
#include "data_set.h"
#include "failing_malloc.h"
#include "listing.h"

enum { BOUND = 4 << 20, PATIENT_ID = 0x00100020, REQUEST_SEQUENCE = 0x00400275 };

static const dl_syntax SYNTAXES[] = {{true, false}, {false, false}, {true, true}};

static void read_bounded(const dl_plan *plan, const writer *w, uint64_t value_size,
                         const char *what) {
    uint32_t depth = value_size == UINT64_MAX ? UINT32_MAX : DL_DEFAULT_DEPTH;
    dl_reader reader = {.plan = plan, .limits = {depth, value_size}};
    dl_memory memory = {w->bytes.data, w->bytes.length};
    dl_source source;
    dl_source_memory(&source, &memory);
    largest_allocation = 0;
    allocations = 0;
    result r = read_with(&reader, &source);
    CHECK_CASE(largest_allocation < BOUND, "%s: %zu bytes", what, (size_t)largest_allocation);
    CHECK_CASE(allocations < 200, "%s: %ld allocations", what, (long)allocations);
    CHECK_TEXT(r, 0, "MR");
    result_free(&r);
    dl_reader_free(&reader);
}

static void each_vr(void) {
    for (int variant = 0; variant < 3; variant++) {
        for (dl_vr vr = DL_VR_AE; vr < DL_VR_OB_OR_OW; vr++) {
            bool wide = !SYNTAXES[variant].explicit_vr || dl_vr_is(vr, DL_VR_LONG);
            for (int wanted = 0; wanted < 3; wanted++) {
                const char *name = dl_vr_table[vr].name;
                writer w = {.syntax = SYNTAXES[variant]};
                put_part10(&w, uid_of(w.syntax));
                put_text(&w, 0x00080060, "CS", "MR");
                put_header(&w, PATIENT_ID, name, wide ? 0xFFFFFFF0 : 0xFFFE);
                put_item(&w, false);
                put_header(&w, PATIENT_ID, name, wide ? 0x7FFFFFFF : 0xFFFE);
                put(&w, "0123456789", 10);
                dl_plan *plan = dl_plan_new();
                CHECK(plan);
                WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00080060));
                if (wanted == 1) WANT(plan, DL_COLUMN_TEXT, AT_TAG(PATIENT_ID));
                if (wanted == 2)
                    WANT(plan, DL_COLUMN_TEXT, IN_SEQ(PATIENT_ID, DL_ITEM_ALL), AT_TAG(PATIENT_ID));
                read_bounded(plan, &w, DL_DEFAULT_VALUE_SIZE, name);
                read_bounded(plan, &w, UINT64_MAX, name); /* a caller who sets no limit */
                dl_plan_free(plan);
                writer_free(&w);
            }
        }
    }
}

/* Lengths in the file meta information, of a sequence and of an item. */
static void structures(void) {
    static const uint32_t lengths[] = {0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF};
    static const uint32_t tags[] = {0x00020016, REQUEST_SEQUENCE,  DL_TAG_CHARSET,
                                    0x00090010, DL_TAG_PIXEL_DATA, 0x00280103};
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00080060));
    WANT(plan, DL_COLUMN_TEXT, IN_SEQ(REQUEST_SEQUENCE, DL_ITEM_ALL), AT_TAG(PATIENT_ID));
    WANT(plan, DL_COLUMN_TEXT, AT_PRIVATE(0x00090001, "ACME", DL_VR_LO));
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(DL_TAG_PIXEL_DATA));
    WANT(plan, DL_COLUMN_TEXT, AT_TAG(0x00280106));
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        for (size_t k = 1; k < COUNT_OF(tags); k++) {
            writer w = {.syntax = IMPLICIT};
            put_part10(&w, UID_IMPLICIT);
            put_text(&w, 0x00080060, "CS", "MR");
            put_header(&w, tags[k], NULL, lengths[i]);
            put_header(&w, DL_TAG_ITEM, NULL, lengths[i]);
            put(&w, "0123456789", 10);
            read_bounded(plan, &w, UINT64_MAX, "a structure");
            writer_free(&w);
        }
    }
    dl_plan_free(plan);
}

/* The same of what is listed, looked into and recoded. */
static void listed(void) {
    static const uint32_t lengths[] = {0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        for (int variant = 0; variant < 3; variant++) {
            writer w = {.syntax = SYNTAXES[variant]};
            put_header(&w, REQUEST_SEQUENCE, "SQ", lengths[i]);
            put_header(&w, DL_TAG_ITEM, NULL, lengths[i]);
            put_header(&w, 0x00282000, "OB", lengths[i]);
            put(&w, "0123456789", 10);
            largest_allocation = 0;
            allocations = 0;
            listing l[3] = {list_all(&w), recode_all(&w, true), recode_all(&w, false)};
            for (int k = 0; k < 3; k++) {
                CHECK(l[k].status != DL_OK && l[k].recoded.capacity < 1000);
                listing_free(&l[k]);
            }
            CHECK_CASE(largest_allocation < BOUND, "%zu bytes", (size_t)largest_allocation);
            dl_fragments fragments = {0};
            dl_memory memory = {w.bytes.data, w.bytes.length};
            dl_source source;
            dl_error error;
            dl_source_memory(&source, &memory);
            CHECK(dl_walk_fragments(&source, 0, DL_NO_END, &fragments, &error) == DL_OK);
            CHECK(fragments.offsets.capacity == 0 && largest_allocation < BOUND);
            dl_fragments_free(&fragments);
            writer_free(&w);
        }
    }
}

int main(void) {
    each_vr();
    listed();
    structures();
    return 0;
}
