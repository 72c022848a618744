/* One source to one row: file meta information, transfer syntax, data set. */
#include "read.h"

/* Reads the elements of group 0002, up to the first that is none. */
static dl_status read_meta(pass *p, const dl_start *start, scope *in, uint64_t *end,
                           dl_encoding *found_encoding) {
    const dl_nodes *nodes = &p->reader->plan->meta;
    uint64_t offset = start->offset;
    uint32_t previous = DL_TAG(0x0002, 0x0000);
    for (;;) {
        const uint8_t *value;
        dl_element element;
        bool found;
        *end = offset;
        dl_status status = dl_window_get(p->window, offset, 6, &value, p->error);
        if (status != DL_OK) return status;
        if (!value) break;
        if (!dl_is_meta(value, in->syntax, *found_encoding)) return DL_OK;
        status =
            dl_element_read(p->window, offset, DL_NO_END, in->syntax, &element, &found, p->error);
        if (status == DL_ERR_TRUNCATED) return dl_pass_truncated(p, previous);
        if (status != DL_OK) return status;
        previous = element.tag;
        if (element.length == DL_UNDEFINED_LENGTH)
            return dl_pass_fail(p, DL_ERR_CORRUPT, element.tag, offset, "undefined length in");
        if (element.tag == DL_TAG_TRANSFER_SYNTAX) {
            status = dl_pass_value(p, &element, &value);
            if (status != DL_OK) return status;
            *found_encoding = dl_encoding_of(value, element.length);
        }
        for (uint32_t i = 0; i < nodes->standard_count; i++) {
            uint64_t unused;
            if (nodes->standard[i].tag != element.tag) continue;
            status = dl_pass_take(p, &nodes->standard[i], &element, in, DL_NO_END, &unused);
            if (status != DL_OK) return status;
        }
        offset = element.value + element.length;
    }
    uint64_t size;
    dl_status status = dl_window_size(p->window, &size, p->error);
    if (status == DL_OK && offset > size) status = dl_pass_truncated(p, previous);
    return status;
}

static dl_status no_data_set(pass *p, uint64_t offset) {
    return dl_fail(p->error, DL_ERR_TRUNCATED, offset,
                   "truncated: no data set behind the file meta information at byte %llu",
                   (unsigned long long)offset);
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
    if (status == DL_OK && inner.window->end == 0) status = no_data_set(p, offset);
    if (status == DL_OK) status = dl_detect_syntax(inner.window, 0, &in->syntax, p->error);
    if (status == DL_OK)
        status =
            dl_pass_data_set(&inner, &reader->plan->data_set, in, AT_TOP, 0, 0, DL_NO_END, &end);
    dl_source_close(&inflated);
    return status;
}

/* Without the character set's text, which is as long as it is rarely used. */
static scope plain_scope(dl_syntax syntax) {
    scope in;
    in.syntax = syntax;
    in.charset = DL_CHARSET_DEFAULT;
    in.is_signed = false;
    in.charset_size = 0;
    return in;
}

static dl_status read_file(pass *p) {
    dl_start start = {0};
    dl_status status = dl_detect(p->window, &start, p->error);
    if (status != DL_OK) return status;
    scope in = plain_scope(start.syntax);
    uint64_t offset = start.offset, end;
    if (start.has_meta) {
        dl_encoding data_set = DL_ENCODED_IMPLICIT;
        status = read_meta(p, &start, &in, &offset, &data_set);
        if (status != DL_OK) return status;
        const dl_nodes *wanted = &p->reader->plan->data_set;
        if (wanted->standard_count + wanted->private_count == 0) return DL_OK;
        in = plain_scope(dl_encoding_syntax(data_set));
        if (data_set == DL_ENCODED_DEFLATED) return read_deflated(p, offset, &in);
        status = dl_detect_syntax(p->window, offset, &in.syntax, p->error);
        if (status != DL_OK) return status;
        const uint8_t *byte;
        status = dl_window_get(p->window, offset, 1, &byte, p->error);
        if (status != DL_OK) return status;
        if (!byte) return no_data_set(p, offset);
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
