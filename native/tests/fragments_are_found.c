/* Every whole item of encapsulated pixel data is found, at the cost of its header or of reading on,
 * and none that is cut off; what follows is told apart (P9, X7). */
#include "check.h"
#include "dicomloom/frames.h"

/* Items whose content nobody made: only headers have bytes. */
typedef struct stream {
    uint64_t start; /* of the first item */
    uint64_t count; /* items */
    uint64_t (*length)(uint64_t index);
    const uint64_t *offsets; /* of each header, and behind the last */
    uint8_t tail[8];
    size_t tail_size;
    uint64_t size, reads, bytes;
} stream;

static dl_status stream_read(void *context, uint64_t offset, void *into, size_t size, size_t *got,
                             dl_error *error) {
    stream *s = context;
    uint8_t *to = into;
    (void)error;
    *got = 0;
    if (offset >= s->size) return DL_OK;
    if (size > s->size - offset) size = (size_t)(s->size - offset);
    s->reads++;
    s->bytes += *got = size;
    memset(to, 0x5A, size);
    uint64_t low = 0, high = s->count;
    while (low < high) { /* the first header that ends behind offset */
        uint64_t middle = low + (high - low) / 2;
        if (s->offsets[middle] + 8 <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    for (uint64_t i = low; i <= s->count && s->offsets[i] < offset + size; i++) {
        uint8_t head[8] = {0xFE, 0xFF, 0x00, 0xE0};
        uint32_t length = i < s->count ? (uint32_t)s->length(i) : 0;
        for (int k = 0; k < 4; k++) head[4 + k] = (uint8_t)(length >> 8 * k);
        if (i == s->count) memcpy(head, s->tail, sizeof head);
        for (uint64_t k = 0; k < (i < s->count ? 8 : s->tail_size); k++) {
            uint64_t at = s->offsets[i] + k;
            if (at >= offset && at < offset + size) to[at - offset] = head[k];
        }
    }
    return DL_OK;
}

static dl_status stream_size(void *context, uint64_t *size, dl_error *error) {
    (void)error;
    *size = ((const stream *)context)->size;
    return DL_OK;
}

static uint64_t *make(stream *s) {
    uint64_t *offsets = malloc((s->count + 1) * sizeof *offsets);
    CHECK(offsets);
    uint64_t at = s->start;
    for (uint64_t i = 0; i < s->count; i++) {
        offsets[i] = at;
        at += 8 + s->length(i);
    }
    offsets[s->count] = at;
    s->offsets = offsets;
    s->size = at + s->tail_size;
    return offsets;
}

static uint64_t number(const dl_bytes *bytes, size_t index) {
    uint64_t value;
    CHECK(8 * index + 8 <= bytes->length);
    memcpy(&value, bytes->data + 8 * index, 8);
    return value;
}

static uint64_t small(uint64_t index) { return index == 0 ? 0 : 500 + 2 * (index % 3); }
static uint64_t large(uint64_t index) { return index == 0 ? 1200 : (2u << 20) + 2 * index; }
static uint64_t none(uint64_t index) { return index - index; }
static uint64_t longest(uint64_t index) { return DL_UNDEFINED_LENGTH - 1 - index; }
static uint64_t mixed(uint64_t index) {
    static const uint64_t lengths[] = {0, 8, 70000, 4095, 4096, 65528, 65536, 2, 100000};
    return lengths[index % COUNT_OF(lengths)];
}

static const uint8_t DELIMITER[8] = {0xFE, 0xFF, 0xDD, 0xE0};

static void walk(uint64_t (*length)(uint64_t), uint64_t count, uint64_t most_reads) {
    stream s = {.start = 1001, .count = count, .length = length, .tail_size = 8};
    memcpy(s.tail, DELIMITER, 8);
    uint64_t *offsets = make(&s);
    dl_source source = {&s, stream_read, stream_size, NULL};
    dl_fragments found = {0};
    dl_error error;
    CHECK(dl_walk_fragments(&source, s.start, DL_NO_END, &found, &error) == DL_OK);
    CHECK(found.complete && found.end == s.size);
    CHECK(found.offsets.length == 8 * count && found.lengths.length == 8 * count);
    for (uint64_t i = 0; i < count; i++) {
        CHECK(number(&found.offsets, i) == offsets[i] + 8);
        CHECK(number(&found.lengths, i) == length(i));
    }
    CHECK_CASE(s.reads <= most_reads, "%llu reads", (unsigned long long)s.reads);
    dl_fragments_free(&found);
    free(offsets);
}

/* Cut at every byte: the whole items, and where the last of them ends. */
static void cut_everywhere(void) {
    stream s = {.start = 10, .count = 9, .length = small, .tail_size = 8};
    memcpy(s.tail, DELIMITER, 8);
    uint64_t *offsets = make(&s);
    dl_source source = {&s, stream_read, stream_size, NULL};
    uint64_t all = s.size;
    dl_fragments found = {0};
    dl_error error;
    for (int by_limit = 0; by_limit < 2; by_limit++) {
        for (uint64_t cut = 0; cut <= all; cut++) {
            size_t whole = 0;
            while (whole < 9 && offsets[whole + 1] <= cut) whole++;
            s.size = by_limit ? all : cut;
            CHECK(dl_walk_fragments(&source, 10, by_limit ? cut : DL_NO_END, &found, &error) ==
                  DL_OK);
            CHECK(found.offsets.length == 8 * whole);
            CHECK(found.complete == (cut == all));
            CHECK(found.end == (cut == all ? all : offsets[whole]));
            dl_status status = dl_frame_fragments(&source, 10, DL_NO_END, &found, &error);
            CHECK(by_limit || status == (cut == all ? DL_OK : DL_ERR_TRUNCATED));
            CHECK(status == DL_OK || error.offset == cut);
        }
    }
    dl_fragments_free(&found);
    free(offsets);
}

static void what_is_no_item(void) {
    static const uint8_t tails[][8] = {
        {0xFE, 0xFF, 0x0D, 0xE0},                         /* a stray item delimiter */
        {0xE0, 0x7F, 0x10, 0x00, 'O', 'B', 0, 0},         /* an element */
        {0},                                              /* zeros */
        {0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF}, /* of undefined length */
        {0xFE, 0xFF, 0x00, 0xE0, 0xFE, 0xFF, 0xFF, 0xFF}, /* far too long */
    };
    for (size_t i = 0; i < COUNT_OF(tails); i++) {
        stream s = {.start = 0, .count = 5, .length = mixed, .tail_size = 8};
        memcpy(s.tail, tails[i], 8);
        uint64_t *offsets = make(&s);
        dl_source source = {&s, stream_read, stream_size, NULL};
        dl_fragments found = {0};
        dl_error error;
        CHECK(dl_walk_fragments(&source, 0, DL_NO_END, &found, &error) == DL_OK);
        CHECK(!found.complete && found.end == offsets[5] && found.offsets.length == 40);
        CHECK(dl_frame_fragments(&source, 0, s.size, &found, &error) == DL_ERR_CORRUPT);
        CHECK(error.offset == offsets[5] && error.tag == DL_TAG_PIXEL_DATA);
        /* The frames in front of it are there. */
        for (size_t a = 0; a < 5; a++) {
            for (size_t b = a; b <= 5; b++) {
                CHECK(dl_frame_fragments(&source, offsets[a], offsets[b], &found, &error) == DL_OK);
                CHECK(found.offsets.length == 8 * (b - a));
                if (b > a) CHECK(number(&found.offsets, 0) == offsets[a] + 8);
            }
            /* ... and offsets that point between items are told. */
            CHECK(dl_frame_fragments(&source, offsets[a] + 4, offsets[5], &found, &error) ==
                  DL_ERR_CORRUPT);
            if (mixed(a))
                CHECK(dl_frame_fragments(&source, offsets[a], offsets[a + 1] - 1, &found, &error) ==
                      DL_ERR_CORRUPT);
        }
        dl_fragments_free(&found);
        free(offsets);
    }
}

/* A frame in a million pieces is no frame. */
static void fragments_of_a_frame_are_limited(void) {
    stream s = {.count = DL_FRAME_FRAGMENTS + 1, .length = none, .tail_size = 8};
    memcpy(s.tail, DELIMITER, 8);
    uint64_t *offsets = make(&s);
    dl_source source = {&s, stream_read, stream_size, NULL};
    dl_fragments found = {0};
    dl_error error;
    CHECK(dl_frame_fragments(&source, 0, DL_NO_END, &found, &error) == DL_ERR_LIMIT);
    CHECK(dl_frame_fragments(&source, 0, offsets[DL_FRAME_FRAGMENTS], &found, &error) == DL_OK);
    CHECK(found.lengths.length == 8 * (size_t)DL_FRAME_FRAGMENTS);
    dl_fragments_free(&found);
    free(offsets);
}

int main(void) {
    walk(small, 100000, 100000 * 512 / 65000 + 2);
    walk(large, 300, 303);
    walk(none, 1 << 20, (8 << 20) / 65536 + 2);
    walk(mixed, 5000, 5000);
    walk(longest, 12, 14); /* with their headers, 4 GiB and more */
    walk(small, 0, 1);
    cut_everywhere();
    what_is_no_item();
    fragments_of_a_frame_are_limited();
    return 0;
}
