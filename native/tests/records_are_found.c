/* Directory records are found one after the other, whatever the sequence's length says; a record
 * that is cut off is the last one, and ten thousand empty ones cost their headers. */
#include "listing.h"

static const uint32_t TAGS[] = {0x00041400, 0x00041430};

static dl_record_list list_records(const writer *w, size_t size) {
    dl_record_list found = {0};
    dl_lister lister = {0};
    dl_error error;
    dl_memory memory = {w->bytes.data, size};
    dl_source source;
    dl_source_memory(&source, &memory);
    CHECK(dl_lister_open(&lister, &source, DL_LIST_DEPTH, &error) == DL_OK);
    dl_status status = dl_list_records(&lister, 0, w->syntax, TAGS, COUNT_OF(TAGS), &found, &error);
    CHECK_CASE(status == DL_OK || status == DL_ERR_TRUNCATED, "%s", error.message);
    CHECK(lister.window.bytes_read <= size + 2 * DL_WINDOW_CAPACITY);
    dl_lister_free(&lister);
    return found;
}

static size_t count_of(const dl_record_list *list) {
    return list->records.length / sizeof(dl_record);
}

static void put_records(writer *w, bool undefined, int count) {
    put_text(w, 0x00041130, "CS", "DISC");
    opened records = put_sequence(w, 0x00041220, undefined);
    for (int i = 0; i < count; i++) {
        opened item = put_item(w, undefined);
        put_text(w, 0x00041430, "CS", "IMAGE ");
        put_end(w, item);
    }
    put_end(w, records);
}

int main(void) {
    static const dl_syntax syntaxes[] = {{true, false}, {false, false}, {true, true}};
    for (size_t s = 0; s < COUNT_OF(syntaxes); s++) {
        for (int undefined = 0; undefined < 2; undefined++) {
            writer w = {.syntax = syntaxes[s]};
            put_records(&w, undefined, 3);
            dl_record_list whole = list_records(&w, w.bytes.length);
            CHECK(count_of(&whole) == 4 && whole.has_sequence && !whole.cut);
            CHECK(!whole.length_lies || undefined);
            CHECK(whole.values.length == 3 * sizeof(dl_record_value));
            dl_record_list_free(&whole);
            for (size_t size = 0; size < w.bytes.length; size++) {
                dl_record_list cut = list_records(&w, size);
                CHECK(count_of(&cut) <= 4);
                dl_record_list_free(&cut);
            }
            writer_free(&w);
        }
    }
    writer many = {.syntax = {true, false}};
    put_records(&many, false, 10000);
    dl_record_list found = list_records(&many, many.bytes.length);
    CHECK(count_of(&found) == 10001);
    dl_record_list_free(&found);
    writer_free(&many);
    return 0;
}
