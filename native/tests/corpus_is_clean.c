/* Every file of a folder through everything that parses. Built with sanitizers, this says that real
 * files meet no undefined behaviour; built without, that none of them crashes or hangs.
 *
 *     corpus_is_clean FOLDER...
 *
 * Each folder must have a file: a wrong path proves nothing. */
#include "check.h"
#include "dicomloom/frames.h"
#include "dicomloom/scan.h"

enum { PATH_SIZE = 4096 };

static unsigned files;

/* Paths that meet what files hold: file meta, text, dates, items of items, private, binary. */
static dl_plan *plan_of(void) {
    static const struct {
        dl_step steps[2];
        size_t count;
        dl_column_type type;
    } wanted[] = {
        {{{.tag = DL_TAG_TRANSFER_SYNTAX, .item = DL_ITEM_NONE}}, 1, DL_COLUMN_TEXT},
        {{{.tag = 0x00080018, .item = DL_ITEM_NONE}}, 1, DL_COLUMN_TEXT},
        {{{.tag = 0x00080020, .item = DL_ITEM_NONE}}, 1, DL_COLUMN_DATE32},
        {{{.tag = 0x00081140, .item = DL_ITEM_ALL}, {.tag = 0x00081155, .item = DL_ITEM_NONE}},
         2,
         DL_COLUMN_TEXT},
        {{{.tag = 0x00100010, .item = DL_ITEM_NONE}}, 1, DL_COLUMN_TEXT},
        {{{.tag = 0x00280010, .item = DL_ITEM_NONE}}, 1, DL_COLUMN_INT64},
        {{{.tag = 0x00280030, .item = DL_ITEM_NONE}}, 1, DL_COLUMN_FLOAT64},
        {{{.tag = 0x00290010,
           .creator = "SIEMENS CSA HEADER",
           .item = DL_ITEM_NONE,
           .vr = DL_VR_OB}},
         1,
         DL_COLUMN_TEXT},
        {{{.tag = 0x52009230, .item = 0}, {.tag = 0x00209113, .item = DL_ITEM_NONE}},
         2,
         DL_COLUMN_TEXT},
        {{{.tag = 0xFFFCFFFC, .item = DL_ITEM_NONE}}, 1, DL_COLUMN_TEXT}, /* walks over all */
    };
    dl_plan *plan = dl_plan_new();
    CHECK(plan);
    dl_error error;
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        CHECK(dl_plan_add(plan, wanted[i].steps, wanted[i].count, wanted[i].type, &error) == DL_OK);
    return plan;
}

static void read_row(const dl_plan *plan, const dl_source *source) {
    dl_column_type types[32];
    size_t columns = dl_plan_columns(plan);
    CHECK(columns <= COUNT_OF(types));
    for (size_t i = 0; i < columns; i++) types[i] = dl_plan_column_type(plan, i);
    dl_table *table = dl_table_new(types, columns);
    dl_reader reader = {.plan = plan, .limits = {DL_DEFAULT_DEPTH, DL_DEFAULT_VALUE_SIZE}};
    dl_row row = {0};
    dl_bytes csv = {0};
    dl_error error;
    CHECK(table && dl_row_begin(&row, table) == DL_OK);
    dl_status status = dl_read(&reader, source, &row, 0, &error);
    CHECK(status == DL_OK || (error.code == status && error.message[0]));
    CHECK(dl_row_end(&row) == DL_OK && dl_csv_append(&csv, table) == DL_OK);
    dl_bytes_free(&csv);
    dl_row_free(&row);
    dl_reader_free(&reader);
    dl_table_free(table);
}

static void list_sequences(dl_lister *lister, const dl_bytes *entries, dl_syntax syntax) {
    const dl_entry *entry = (const dl_entry *)(const void *)entries->data;
    for (size_t i = 0; i < entries->length / sizeof *entry; i++) {
        if (entry[i].vr != DL_VR_SQ) continue;
        dl_item_list items = {0};
        dl_error error;
        dl_status status = dl_list_items(lister, &entry[i], syntax, &items, &error);
        CHECK(status == DL_OK || error.message[0]);
        dl_item_list_free(&items);
    }
}

static void list_all(const dl_source *source) {
    static const uint32_t tags[] = {0x00041200, 0x00041400, 0x00041420, 0x00041430, 0x00041500};
    dl_lister lister = {0};
    dl_error error;
    CHECK(dl_lister_open(&lister, source, DL_LIST_DEPTH, &error) == DL_OK);
    dl_header header;
    dl_bytes meta = {0}, entries = {0};
    if (dl_list_header(&lister, &header, &meta, &error) == DL_OK) {
        for (int stop = 0; stop < 2; stop++) {
            entries.length = 0;
            dl_status status = dl_list_elements(&lister, header.data_set, DL_NO_END, header.syntax,
                                                stop, &entries, &error);
            CHECK(status == DL_OK || error.message[0]);
        }
        list_sequences(&lister, &entries, header.syntax);
        for (int to_explicit = 0; to_explicit < 2; to_explicit++) {
            dl_recoding how = {header.syntax, to_explicit, false};
            dl_bytes into = {0};
            dl_status status =
                dl_recode(&lister, &how, header.data_set, header.size, &into, &error);
            CHECK(status == DL_OK || error.message[0]);
            dl_bytes_free(&into);
        }
        const dl_entry *last = (const dl_entry *)(const void *)entries.data;
        if (entries.length) {
            last += entries.length / sizeof *last - 1;
            dl_fragments fragments = {0};
            CHECK(dl_walk_fragments(source, last->value, DL_NO_END, &fragments, &error) == DL_OK);
            dl_fragments_free(&fragments);
        }
        dl_record_list records = {0};
        dl_status status = dl_list_records(&lister, header.data_set, header.syntax, tags,
                                           COUNT_OF(tags), &records, &error);
        CHECK(status == DL_OK || error.message[0]);
        dl_record_list_free(&records);
    }
    dl_bytes_free(&meta);
    dl_bytes_free(&entries);
    dl_lister_free(&lister);
}

static void parse(const dl_plan *plan, const char *path) {
    int descriptor;
    dl_error error;
    CHECK_CASE(dl_file_open(DL_CURRENT_DIRECTORY, path, &descriptor, &error) == DL_OK, "%s", path);
    dl_source source;
    dl_source_descriptor(&source, descriptor);
    read_row(plan, &source);
    list_all(&source);
    dl_source_close(&source);
    files++;
}

/* The folders to come are kept one behind the other, each with its NUL. */
static void parse_folder(const dl_plan *plan, const char *folder) {
    dl_bytes waiting = {0};
    dl_error error;
    CHECK(dl_bytes_append(&waiting, folder, strlen(folder) + 1) == DL_OK);
    for (size_t at = 0; at < waiting.length; at += strlen((char *)waiting.data + at) + 1) {
        char here[PATH_SIZE], path[PATH_SIZE];
        (void)snprintf(here, sizeof here, "%s", (char *)waiting.data + at);
        dl_directory *directory;
        CHECK_CASE(dl_directory_open(DL_CURRENT_DIRECTORY, here, true, &directory, &error) == DL_OK,
                   "%s", here);
        for (;;) {
            dl_directory_entry entry;
            CHECK(dl_directory_next(directory, &entry, &error) == DL_OK);
            if (!entry.name) break;
            int size = snprintf(path, sizeof path, "%s/%s", here, entry.name);
            CHECK(size > 0 && size < PATH_SIZE);
            dl_file_info info;
            CHECK(dl_file_stat(DL_CURRENT_DIRECTORY, path, false, &info, &error) == DL_OK);
            if (info.kind == DL_FILE_REGULAR) parse(plan, path);
            if (info.kind == DL_FILE_DIRECTORY)
                CHECK(dl_bytes_append(&waiting, path, (size_t)size + 1) == DL_OK);
        }
        dl_directory_close(directory);
    }
    dl_bytes_free(&waiting);
}

int main(int count, char **arguments) {
    dl_plan *plan = plan_of();
    for (int i = 1; i < count; i++) {
        unsigned before = files;
        parse_folder(plan, arguments[i]);
        CHECK_CASE(files > before, "no file in %s", arguments[i]);
    }
    dl_plan_free(plan);
    (void)printf("%u files\n", files);
    return 0;
}
