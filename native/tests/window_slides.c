/* A window shows the bytes of its source, at any offset and size, however short the reads are; it
 * asks nothing behind an end that it has seen, and survives a source that fails. */
#include "check.h"
#include "dicomloom/dicom.h"

/* A source that gives less than it is asked for, fails on demand, and remembers what it said. */
typedef struct moody {
    uint8_t *data;
    uint64_t size;
    uint64_t state;      /* of its moods */
    size_t most;         /* bytes at a time */
    uint64_t ended;      /* it has said that nothing comes from here on */
    int fails_in, sizes; /* reads until one fails, 0: never; how often its size was asked */
    uint64_t given;
} moody;

static dl_status moody_read(void *context, uint64_t offset, void *into, size_t size, size_t *got,
                            dl_error *error) {
    moody *m = context;
    *got = 0;
    CHECK(size > 0 && offset < m->ended);
    if (m->fails_in && --m->fails_in == 0) return dl_fail(error, DL_ERR_IO, offset, "no mood");
    if (offset >= m->size) {
        m->ended = offset;
        return DL_OK;
    }
    size_t left = (size_t)(m->size - offset), least = size < left ? size : left;
    *got = 1 + (size_t)random_below(&m->state, m->most);
    if (*got > least) *got = least;
    memcpy(into, m->data + offset, *got);
    m->given += *got;
    return DL_OK;
}

static dl_status moody_size(void *context, uint64_t *size, dl_error *error) {
    moody *m = context;
    (void)error;
    m->sizes++;
    *size = m->size;
    return DL_OK;
}

static void look(dl_window *window, const moody *m, uint64_t offset, size_t size) {
    const uint8_t *bytes;
    dl_error error;
    CHECK(dl_window_get(window, offset, size, &bytes, &error) == DL_OK);
    bool there = offset <= m->size && size <= m->size - offset;
    CHECK_CASE((bytes != NULL) == there, "%zu at %llu", size, (unsigned long long)offset);
    if (there) CHECK(memcmp(bytes, m->data + offset, size) == 0);
}

static dl_source open_moody(moody *m, dl_window *window, size_t first) {
    static dl_source source;
    dl_error error;
    m->ended = UINT64_MAX;
    m->given = 0;
    source = (dl_source){.context = m, .read_at = moody_read, .size = moody_size};
    CHECK(dl_window_open(window, &source, first, &error) == DL_OK);
    return source;
}

static void any_offset(moody *m, dl_window *window, int steps) {
    uint64_t state = m->size + m->most, offset = 0;
    (void)open_moody(m, window, 1 + (size_t)random_below(&state, 2 * DL_WINDOW_FIRST));
    for (int i = 0; i < steps; i++) {
        size_t size = 1 + (size_t)random_below(&state, i % 3 ? 16 : DL_WINDOW_CAPACITY);
        look(window, m, offset, size);
        CHECK(window->bytes_read == m->given);
        switch (random_below(&state, 8)) {
        case 0: offset = random_below(&state, m->size + 10); break;
        case 1: offset = m->size > size ? m->size - size : 0; break; /* ends with the source */
        case 2: offset = random_next(&state); break;                 /* as declared lengths do */
        case 3: offset = UINT64_MAX - random_below(&state, 20); break;
        default: offset += size; break;
        }
    }
}

static void failures_pass(moody *m, dl_window *window) {
    for (int fails_in = 1; fails_in < 40; fails_in++) {
        uint64_t state = (uint64_t)fails_in;
        (void)open_moody(m, window, DL_WINDOW_FIRST);
        m->fails_in = fails_in;
        dl_error error = {0};
        const uint8_t *bytes;
        for (int i = 0; i < 60; i++) {
            uint64_t offset = random_below(&state, m->size);
            size_t size = 1 + (size_t)random_below(&state, 300);
            dl_status status = dl_window_get(window, offset, size, &bytes, &error);
            CHECK(status == DL_OK || (status == DL_ERR_IO && error.code == DL_ERR_IO));
            look(window, m, offset, size); /* the window is as good as before */
            m->fails_in = m->fails_in ? m->fails_in : 3;
            if (m->fails_in <= 3) m->fails_in = 0;
        }
        m->fails_in = 0;
    }
    dl_source source = {.context = m, .read_at = moody_read, .size = moody_size};
    dl_error error;
    m->ended = UINT64_MAX;
    m->fails_in = 1;
    CHECK(dl_window_open(window, &source, DL_WINDOW_FIRST, &error) == DL_ERR_IO);
    CHECK(dl_window_open(window, &source, DL_WINDOW_FIRST, &error) == DL_OK);
}

static void size_is_asked_once(moody *m, dl_window *window) {
    dl_error error;
    uint64_t size;
    dl_source source = open_moody(m, window, DL_WINDOW_FIRST);
    (void)source;
    m->sizes = 0;
    for (int i = 0; i < 3; i++) {
        CHECK(dl_window_size(window, &size, &error) == DL_OK && size == m->size);
        look(window, m, m->size / 2, 1);
        look(window, m, m->size, 1);
    }
    CHECK(m->sizes == 1);
    (void)open_moody(m, window, DL_WINDOW_FIRST); /* the next source has a size of its own */
    m->size--;
    CHECK(dl_window_size(window, &size, &error) == DL_OK && size == m->size && m->sizes == 2);
    m->size++;
    const uint8_t *bytes;
    CHECK(dl_window_get(window, 0, DL_WINDOW_CAPACITY + 1, &bytes, &error) == DL_ERR_ARGUMENT);
}

/* A file that grows, or shrinks, while it is read: nothing is behind the size that was told. */
static void the_size_holds(moody *m, dl_window *window) {
    dl_error error;
    uint64_t all = m->size, size;
    for (int asked_first = 0; asked_first < 2; asked_first++) {
        dl_source source = {.context = m, .read_at = moody_read, .size = moody_size};
        m->ended = UINT64_MAX;
        m->size = asked_first ? all / 2 : all;
        CHECK(dl_window_attach(window, &source, &error) == DL_OK);
        if (!asked_first) look(window, m, all / 2 - 4, 8);
        m->size = all / 2;
        CHECK(dl_window_size(window, &size, &error) == DL_OK && size == all / 2);
        m->size = all;
        for (uint64_t offset = all / 2 - 4; offset < all / 2 + 4; offset++) {
            const uint8_t *bytes;
            CHECK(dl_window_get(window, offset, 4, &bytes, &error) == DL_OK);
            CHECK((bytes != NULL) == (offset + 4 <= size));
            if (bytes) CHECK(memcmp(bytes, m->data + offset, 4) == 0);
        }
    }
}

static void memory_ends(void) {
    const uint8_t data[] = {1, 2, 3};
    dl_memory memory = {data, sizeof data};
    dl_source source;
    dl_source_memory(&source, &memory);
    uint8_t into[8];
    size_t got;
    CHECK(source.read_at(source.context, 1, into, 8, &got, NULL) == DL_OK && got == 2);
    CHECK(into[0] == 2 && into[1] == 3);
    CHECK(source.read_at(source.context, 3, into, 8, &got, NULL) == DL_OK && got == 0);
    CHECK(source.read_at(source.context, UINT64_MAX, into, 8, &got, NULL) == DL_OK && got == 0);
    dl_source_close(&source);
}

int main(void) {
    static const uint64_t sizes[] = {0, 1, 131, 8191, 8192, 8193, 65536, 65537, 300000};
    static const size_t most[] = {1, 7, 4096, SIZE_MAX};
    dl_window window = {0};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        uint64_t state = i;
        moody m = {.size = sizes[i]};
        m.data = malloc(m.size + 1);
        CHECK(m.data);
        for (uint64_t k = 0; k < m.size; k++) m.data[k] = (uint8_t)random_next(&state);
        for (size_t k = 0; k < COUNT_OF(most); k++) {
            m.most = most[k];
            any_offset(&m, &window, most[k] < 100 ? 60 : 400);
        }
        if (m.size > 1) size_is_asked_once(&m, &window);
        if (m.size > 1000) failures_pass(&m, &window);
        if (m.size > 1000) the_size_holds(&m, &window);
        free(m.data);
    }
    dl_window_free(&window);
    memory_ends();
    return 0;
}
