/* Any bytes as a header, a data set and pixel data: what is listed lies inside the source and in
 * order, a source that trickles gives the same, and what is recoded is well formed, has the same
 * elements, and recodes to itself.
 *
 * The first byte chooses the encoding, the depth and where to stop; the rest is the source. */
#include "fuzz.h"
#include "trickle.h"

#include "dicomloom/frames.h"

enum { IMPLICIT = 1, BIG = 2, STOP = 4, TIGHT = 8, SIGNED = 16, BARE = 32 };

typedef struct outcome {
    dl_status header, listed, recoded[2];
    dl_error error;
    dl_header head;
    dl_bytes meta, entries, bytes[2];
    dl_fragments fragments;
    uint64_t start;
    dl_syntax syntax;
} outcome;

static const dl_entry *entries_of(const dl_bytes *bytes) {
    return (const dl_entry *)(const void *)bytes->data;
}

static void told(const outcome *o, dl_status status, size_t size) {
    if (status == DL_OK) return;
    CHECK(status == DL_ERR_TRUNCATED || status == DL_ERR_CORRUPT || status == DL_ERR_LIMIT ||
          status == DL_ERR_NOT_DICOM);
    CHECK(o->error.code == status && o->error.message[0] && o->error.offset <= size);
}

static void run(outcome *o, const dl_source *source, size_t size, int mode) {
    dl_lister lister = {0};
    CHECK(dl_lister_open(&lister, source, mode & TIGHT ? 2 : DL_LIST_DEPTH, &o->error) == DL_OK);
    o->syntax = (dl_syntax){!(mode & IMPLICIT), (mode & BIG) != 0};
    o->header = DL_ERR_NOT_DICOM;
    if (!(mode & BARE)) {
        o->header = dl_list_header(&lister, &o->head, &o->meta, &o->error);
        told(o, o->header, size);
        if (o->header == DL_OK) {
            CHECK(o->head.start <= o->head.data_set && o->head.data_set <= size);
            CHECK(o->head.size == size && o->head.transfer_syntax_size <= 64);
            o->start = o->head.data_set;
            o->syntax = o->head.syntax;
        }
    }
    o->listed = dl_list_elements(&lister, o->start, DL_NO_END, o->syntax, mode & STOP, &o->entries,
                                 &o->error);
    told(o, o->listed, size);
    for (int to_explicit = 0; to_explicit < 2; to_explicit++) {
        dl_recoding how = {o->syntax, to_explicit, mode & SIGNED};
        o->recoded[to_explicit] =
            dl_recode(&lister, &how, o->start, size, &o->bytes[to_explicit], &o->error);
        told(o, o->recoded[to_explicit], size);
        CHECK(o->bytes[to_explicit].length <= 4 * size + 64);
    }
    CHECK(dl_walk_fragments(source, o->start, DL_NO_END, &o->fragments, &o->error) == DL_OK);
    dl_lister_free(&lister);
}

static void outcome_free(outcome *o) {
    dl_bytes_free(&o->meta);
    dl_bytes_free(&o->entries);
    dl_bytes_free(&o->bytes[0]);
    dl_bytes_free(&o->bytes[1]);
    dl_fragments_free(&o->fragments);
}

static void check_equal(const outcome *a, const outcome *b) {
    CHECK(a->header == b->header && a->listed == b->listed);
    CHECK(a->meta.length == b->meta.length && a->entries.length == b->entries.length);
    for (int i = 0; i < 2; i++) {
        CHECK(a->recoded[i] == b->recoded[i] && a->bytes[i].length == b->bytes[i].length);
        CHECK(!a->bytes[i].length ||
              memcmp(a->bytes[i].data, b->bytes[i].data, a->bytes[i].length) == 0);
    }
    CHECK(a->fragments.end == b->fragments.end && a->fragments.complete == b->fragments.complete);
    CHECK(a->fragments.offsets.length == b->fragments.offsets.length);
}

static void check_items(const dl_source *source, const dl_entry *entry, dl_syntax syntax) {
    dl_lister lister = {0};
    dl_item_list items = {0};
    dl_error error;
    CHECK(dl_lister_open(&lister, source, DL_LIST_DEPTH, &error) == DL_OK);
    (void)!dl_list_items(&lister, entry, syntax, &items, &error);
    const uint64_t *starts = (const uint64_t *)(const void *)items.starts.data;
    const uint64_t *ends = (const uint64_t *)(const void *)items.ends.data;
    uint64_t least = entry->value;
    for (size_t i = 0; i < items.undefined.length; i++) {
        CHECK(starts[i] >= least + 8 && ends[i] >= starts[i]);
        CHECK(ends[i] <= entry->value + entry->length);
        least = ends[i];
    }
    dl_item_list_free(&items);
    dl_lister_free(&lister);
}

static void check_listed(const outcome *o, const dl_source *source, size_t size, int mode) {
    const dl_entry *entries = entries_of(&o->entries);
    size_t count = o->entries.length / sizeof *entries;
    uint64_t offset = o->start;
    for (size_t i = 0; i < count; i++) {
        const dl_entry *e = &entries[i];
        CHECK(e->offset >= offset && e->value >= e->offset + 8 && e->value <= size);
        CHECK(e->vr > DL_VR_NONE && e->vr < DL_VR_OB_OR_OW && DL_TAG_GROUP(e->tag) != 0xFFFE);
        bool last = mode & STOP && i + 1 == count && o->listed == DL_OK;
        CHECK(last || (e->end <= size && e->value + e->length <= e->end));
        CHECK(e->undefined || e->end == e->value + e->length);
        offset = e->end;
        if ((e->vr == DL_VR_SQ || e->vr == DL_VR_UN) && e->end <= size && i < 20)
            check_items(source, e, o->syntax);
    }
}

/* --- what was recoded, read by the letter ------------------------------------------------------
 */

typedef struct output {
    const uint8_t *data;
    size_t size, at;
    bool top;
    uint32_t tags[64]; /* of the outermost level, the first ones */
    size_t count;
} output;

static void read_content(output *o, bool is_explicit, size_t end, bool top);

static uint32_t take_u32(output *o, size_t end) {
    CHECK(end - o->at >= 4);
    o->at += 4;
    return dl_load_u32(o->data + o->at - 4, false);
}

static uint32_t take_tag(output *o, size_t end) {
    uint32_t pair = take_u32(o, end);
    return pair << 16 | pair >> 16;
}

/* The items of a sequence, or the fragments of pixel data, whose bytes may be anything. */
static void read_items(output *o, bool is_explicit, bool sequence, size_t end, bool delimited) {
    while (delimited || o->at < end) {
        uint32_t tag = take_tag(o, end), length = take_u32(o, end);
        if (tag == DL_TAG_SEQUENCE_END) {
            CHECK(delimited && length == 0);
            return;
        }
        CHECK(tag == DL_TAG_ITEM);
        if (length == DL_UNDEFINED_LENGTH) {
            read_content(o, is_explicit, SIZE_MAX, false);
            continue;
        }
        CHECK(length <= end - o->at && length <= o->size - o->at);
        size_t item_end = o->at + length;
        if (sequence) read_content(o, is_explicit, item_end, false);
        o->at = item_end;
    }
}

/* Elements up to end, or with end SIZE_MAX up to an item delimiter. */
static void read_content(output *o, bool is_explicit, size_t end, bool top) {
    bool delimited = end == SIZE_MAX;
    if (delimited) end = o->size;
    while (delimited || o->at < end) {
        uint32_t tag = take_tag(o, end), length;
        dl_vr vr = dl_dictionary_vr(tag);
        if (delimited && tag == DL_TAG_ITEM_END) {
            CHECK(take_u32(o, end) == 0);
            return;
        }
        CHECK(DL_TAG_GROUP(tag) != 0xFFFE);
        if (is_explicit) {
            CHECK(end - o->at >= 4);
            vr = dl_vr_from_bytes(o->data + o->at);
            length = dl_load_u16(o->data + o->at + 2, false);
            CHECK(vr != DL_VR_NONE && (!dl_vr_is(vr, DL_VR_LONG) || length == 0));
            o->at += 4;
        }
        if (!is_explicit || dl_vr_is(vr, DL_VR_LONG)) length = take_u32(o, end);
        if (top && o->count < 64) o->tags[o->count++] = tag;
        bool inner = is_explicit && vr != DL_VR_UN;
        /* Implicit VR cannot say that, against the dictionary, this is none. */
        bool sequence = is_explicit && vr == DL_VR_SQ;
        if (length == DL_UNDEFINED_LENGTH) {
            read_items(o, inner, sequence, end, true);
        } else {
            CHECK(length <= end - o->at);
            size_t value_end = o->at + length;
            if (sequence) read_items(o, inner, true, value_end, false);
            o->at = value_end;
        }
    }
    CHECK(delimited || o->at == end);
}

static void check_recoded(const outcome *o, int to_explicit, int mode) {
    if (o->recoded[to_explicit] != DL_OK) return;
    const dl_bytes *bytes = &o->bytes[to_explicit];
    output out = {.data = bytes->data, .size = bytes->length};
    read_content(&out, to_explicit, bytes->length, true);
    if (o->listed != DL_OK || mode & STOP) return;
    const dl_entry *entries = entries_of(&o->entries);
    size_t kept = 0;
    for (size_t i = 0; i < o->entries.length / sizeof *entries && kept < out.count; i++) {
        bool group_length = DL_TAG_ELEMENT(entries[i].tag) == 0 && !entries[i].undefined;
        if (group_length && DL_TAG_GROUP(entries[i].tag) != 2) continue;
        CHECK(entries[i].tag == out.tags[kept++]);
    }
    CHECK(kept == out.count);
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
    run(&first, &whole, size, mode);
    run(&second, &little, size, mode);
    check_equal(&first, &second);
    check_listed(&first, &whole, size, mode);
    check_recoded(&first, 0, mode);
    check_recoded(&first, 1, mode);
    outcome_free(&first);
    outcome_free(&second);
    return 0;
}
