/* One source to one row: file meta information, transfer syntax, data set. */
#include "read.h"

typedef enum encoding {
    ENCODED_EXPLICIT,
    ENCODED_IMPLICIT,
    ENCODED_BIG,
    ENCODED_DEFLATED
} encoding;

static encoding encoding_of(const uint8_t *uid, size_t size) {
    while (size && (uid[size - 1] == 0 || uid[size - 1] == ' ')) size--;
    static const struct {
        const char *uid;
        encoding encoding;
    } others[] = {
        {"1.2.840.10008.1.2", ENCODED_IMPLICIT},
        {"1.2.840.10008.1.2.2", ENCODED_BIG},
        {"1.2.840.10008.1.2.1.99", ENCODED_DEFLATED},
        {"1.2.840.113619.5.2", ENCODED_IMPLICIT}, /* GE: big-endian pixels, little-endian header */
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (size == strlen(others[i].uid) && memcmp(uid, others[i].uid, size) == 0)
            return others[i].encoding;
    return ENCODED_EXPLICIT; /* PS3.5 A.4: every other one, known or to come */
}

/* Reads the elements of group 0002. They end where the group does; the group length is believed
 * only in front of a deflated data set, whose first bytes may look like anything. */
static dl_status read_meta(pass *p, const dl_start *start, scope *in, uint64_t *end,
                           encoding *found_encoding) {
    const dl_nodes *nodes = &p->reader->plan->meta;
    uint64_t offset = start->offset, announced = DL_NO_END;
    uint32_t previous = DL_TAG(0x0002, 0x0000);
    for (;;) {
        const uint8_t *value;
        dl_element element;
        bool found;
        *end = offset;
        if (offset == announced && *found_encoding == ENCODED_DEFLATED) return DL_OK;
        dl_status status = dl_window_get(p->window, offset, 2, &value, p->error);
        if (status != DL_OK) return status;
        if (!value || dl_load_u16(value, in->syntax.big_endian) != 0x0002) break;
        status =
            dl_element_read(p->window, offset, DL_NO_END, in->syntax, &element, &found, p->error);
        if (status == DL_ERR_TRUNCATED) return dl_pass_truncated(p, previous);
        if (status != DL_OK) return status;
        previous = element.tag;
        if (element.length == DL_UNDEFINED_LENGTH)
            return dl_pass_fail(p, DL_ERR_CORRUPT, element.tag, offset, "undefined length in");
        bool length = element.tag == DL_TAG(0x0002, 0x0000) && element.length == 4;
        if (length || element.tag == DL_TAG_TRANSFER_SYNTAX) {
            status = dl_pass_value(p, &element, &value);
            if (status != DL_OK) return status;
            if (length)
                announced = element.value + 4 + dl_load_u32(value, in->syntax.big_endian);
            else
                *found_encoding = encoding_of(value, element.length);
        }
        for (uint32_t i = 0; i < nodes->standard_count; i++) {
            uint64_t unused;
            if (nodes->standard[i].tag != element.tag) continue;
            status = dl_pass_take(p, &nodes->standard[i], &element, in, DL_NO_END, &unused);
            if (status != DL_OK) return status;
        }
        offset = element.value + element.length;
    }
    if (offset - p->window->base <= p->window->length) return DL_OK;
    uint64_t size; /* asked only here: a system call a file would show */
    dl_status status = dl_window_size(p->window, &size, p->error);
    if (status == DL_OK && offset > size) status = dl_pass_truncated(p, previous);
    return status;
}

static dl_status read_deflated(pass *p, uint64_t offset, scope *in) {
    dl_reader *reader = p->reader;
    if (!reader->open_inflated)
        return dl_fail(p->error, DL_ERR_UNSUPPORTED, offset,
                       "deflated data set at byte %llu: no inflater was given",
                       (unsigned long long)offset);
    dl_source inflated;
    dl_status status =
        reader->open_inflated(reader->open_context, p->window->source, offset, &inflated, p->error);
    if (status != DL_OK) return status;
    pass inner = *p;
    inner.window = &reader->inflated_window;
    status = dl_window_open(inner.window, &inflated, DL_WINDOW_FIRST, p->error);
    uint64_t end;
    if (status == DL_OK) status = dl_detect_syntax(inner.window, 0, &in->syntax, p->error);
    if (status == DL_OK)
        status =
            dl_pass_data_set(&inner, &reader->plan->data_set, in, AT_TOP, 0, 0, DL_NO_END, &end);
    dl_source_close(&inflated);
    return status;
}

static dl_status read_file(pass *p) {
    dl_start start = {0};
    dl_status status = dl_detect(p->window, &start, p->error);
    if (status != DL_OK) return status;
    scope in = {.syntax = start.syntax};
    uint64_t offset = start.offset, end;
    if (start.has_meta) {
        encoding data_set = ENCODED_IMPLICIT;
        status = read_meta(p, &start, &in, &offset, &data_set);
        if (status != DL_OK) return status;
        const dl_nodes *wanted = &p->reader->plan->data_set;
        if (wanted->standard_count + wanted->private_count == 0) return DL_OK;
        in = (scope){.syntax = {data_set != ENCODED_IMPLICIT, data_set == ENCODED_BIG}};
        if (data_set == ENCODED_DEFLATED) return read_deflated(p, offset, &in);
        status = dl_detect_syntax(p->window, offset, &in.syntax, p->error);
        if (status != DL_OK) return status;
        const uint8_t *byte;
        status = dl_window_get(p->window, offset, 1, &byte, p->error);
        if (status != DL_OK) return status;
        if (!byte)
            return dl_fail(p->error, DL_ERR_TRUNCATED, offset,
                           "truncated: no data set behind the file meta information at byte %llu",
                           (unsigned long long)offset);
    }
    return dl_pass_data_set(p, &p->reader->plan->data_set, &in, AT_TOP, 0, offset, DL_NO_END, &end);
}

/* Files of an archive are alike. Bytes that are not read need not be copied, which shows when the
 * files are cached; a first read that proves too short costs another one, so shrink slowly. */
static void learn(dl_reader *reader, uint64_t reached) {
    enum { SLACK = 512, LEAST = 1024 };
    size_t needed = reached < DL_WINDOW_FIRST - SLACK ? (size_t)reached + SLACK : DL_WINDOW_FIRST;
    if (needed < LEAST) needed = LEAST;
    if (needed >= reader->first_read)
        reader->first_read = needed;
    else
        reader->first_read -= (reader->first_read - needed) / 8;
}

dl_status dl_read(dl_reader *reader, const dl_source *source, dl_row *row, size_t first_column,
                  dl_error *error) {
    pass p = {reader, &reader->window, row, first_column, error, 0};
    size_t nodes = reader->plan->nodes ? reader->plan->nodes : 1;
    reader->blocks.length = 0;
    if (dl_bytes_reserve(&reader->blocks, nodes) != DL_OK) return dl_pass_out_of_memory(&p);
    if (reader->first_read == 0) reader->first_read = DL_WINDOW_FIRST;
    dl_status status = dl_window_open(p.window, source, reader->first_read, error);
    if (status == DL_OK) status = read_file(&p);
    if (status == DL_OK && p.reached) learn(reader, p.reached);
    reader->bytes_read += p.window->bytes_read;
    return status;
}

void dl_reader_free(dl_reader *reader) {
    dl_window_free(&reader->window);
    dl_window_free(&reader->inflated_window);
    dl_bytes_free(&reader->scratch);
    dl_bytes_free(&reader->blocks);
    dl_bytes_free(&reader->frames);
}
