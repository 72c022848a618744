/* Any bytes as the directory records of a DICOMDIR: records lie inside the source, in order and
 * apart; values lie inside their record and say what the bytes say; a source that trickles gives
 * the same; no byte is read more than a few times.
 *
 * The first byte chooses the encoding and the depth; the rest is the source. */
#include "fuzz.h"
#include "trickle.h"

#include "dicomloom/frames.h"

enum { IMPLICIT = 1, BIG = 2, TIGHT = 4, BARE = 8 };

static const uint32_t TAGS[] = {0x00041200, 0x00041400, 0x00041410, 0x00041420, 0x00041430,
                                0x00041500, 0x00041511, 0x00080005, 0x00100010};
enum { TAG_COUNT = sizeof TAGS / sizeof *TAGS };

typedef struct outcome {
    dl_status status;
    dl_error error;
    dl_record_list list;
    uint64_t start, bytes_read;
    dl_syntax syntax;
} outcome;

static void run(outcome *o, const dl_source *source, int mode) {
    dl_lister lister = {0};
    dl_header head;
    dl_bytes meta = {0};
    CHECK(dl_lister_open(&lister, source, mode & TIGHT ? 2 : DL_LIST_DEPTH, &o->error) == DL_OK);
    o->syntax = (dl_syntax){!(mode & IMPLICIT), (mode & BIG) != 0};
    if (!(mode & BARE) && dl_list_header(&lister, &head, &meta, &o->error) == DL_OK) {
        o->start = head.data_set;
        o->syntax = head.syntax;
    }
    dl_bytes_free(&meta);
    uint64_t before = lister.window.bytes_read;
    o->status = dl_list_records(&lister, o->start, o->syntax, TAGS, TAG_COUNT, &o->list, &o->error);
    o->bytes_read = lister.window.bytes_read - before;
    dl_lister_free(&lister);
}

static const dl_record *records_of(const outcome *o) {
    return (const dl_record *)(const void *)o->list.records.data;
}

static const dl_record_value *values_of(const outcome *o) {
    return (const dl_record_value *)(const void *)o->list.values.data;
}

static size_t record_count(const outcome *o) { return o->list.records.length / sizeof(dl_record); }

static void check_records(const outcome *o, size_t size) {
    const dl_record *records = records_of(o);
    uint64_t least = o->start;
    for (size_t i = 0; i < record_count(o); i++) {
        CHECK(records[i].offset >= least && records[i].end <= size);
        CHECK(records[i].content == records[i].offset + (i ? 8 : 0));
        CHECK(records[i].end >= records[i].content);
        least = records[i].end;
    }
    CHECK(record_count(o) == 0 || (o->list.end >= least && o->list.end <= size));
    CHECK(record_count(o) <= size / 8 + 1);
    CHECK(o->list.has_sequence || record_count(o) <= 1);
}

static bool is_wanted(uint32_t tag) {
    for (size_t i = 0; i < TAG_COUNT; i++)
        if (TAGS[i] == tag) return true;
    return false;
}

static void check_values(const outcome *o, const uint8_t *data) {
    const dl_record *records = records_of(o);
    const dl_record_value *values = values_of(o);
    uint64_t least = o->start;
    for (size_t i = 0; i < o->list.values.length / sizeof *values; i++) {
        const dl_record_value *v = &values[i];
        CHECK(v->record < record_count(o) && is_wanted(v->tag));
        CHECK(v->offset >= least && v->offset >= records[v->record].content);
        least = v->offset + v->length;
        CHECK(least <= records[v->record].end);
        if (v->length == 2)
            CHECK(v->number == dl_load_u16(data + v->offset, o->syntax.big_endian));
        else if (v->length == 4)
            CHECK(v->number == dl_load_u32(data + v->offset, o->syntax.big_endian));
        else
            CHECK(v->number == 0);
    }
}

static void check_equal(const outcome *a, const outcome *b) {
    CHECK(a->status == b->status && record_count(a) == record_count(b));
    CHECK(a->list.values.length == b->list.values.length && a->list.end == b->list.end);
    CHECK(a->list.has_sequence == b->list.has_sequence && a->list.cut == b->list.cut);
    CHECK(a->list.length_lies == b->list.length_lies);
    for (size_t i = 0; i < record_count(a); i++) {
        const dl_record *one = &records_of(a)[i], *other = &records_of(b)[i];
        CHECK(one->offset == other->offset && one->end == other->end);
        CHECK(one->broken == other->broken);
    }
    for (size_t i = 0; i < a->list.values.length / sizeof(dl_record_value); i++)
        CHECK(values_of(a)[i].offset == values_of(b)[i].offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    int mode = data[0];
    data++;
    size--;
    dl_memory memory = {data, size};
    trickle slow = {data, size, 0};
    dl_source whole, little = {.context = &slow, .read_at = trickle_read, .size = trickle_size};
    dl_source_memory(&whole, &memory);
    outcome first = {0}, second = {0};
    run(&first, &whole, mode);
    run(&second, &little, mode);
    CHECK(first.status == DL_OK || (first.error.code == first.status && first.error.message[0]));
    CHECK(first.bytes_read <= 2 * (uint64_t)size + 4 * DL_WINDOW_CAPACITY);
    check_equal(&first, &second);
    check_records(&first, size);
    check_values(&first, data);
    dl_record_list_free(&first.list);
    dl_record_list_free(&second.list);
    return 0;
}
