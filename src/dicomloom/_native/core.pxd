# What Cython sees of native/include/dicomloom: only the names the .pyx files use.
from libc.stdint cimport int64_t, intptr_t, uint8_t, uint32_t, uint64_t


cdef extern from "stdbool.h" nogil:
    ctypedef bint c_bool "bool"


cdef extern from "dicomloom/base.h" nogil:
    ctypedef enum dl_status:
        DL_OK
        DL_ERR_MEMORY
        DL_ERR_IO
        DL_ERR_NOT_DICOM
        DL_ERR_TRUNCATED
        DL_ERR_CORRUPT
        DL_ERR_LIMIT
        DL_ERR_UNSUPPORTED
        DL_ERR_ARGUMENT
        DL_ERR_PIXEL
        DL_ERR_STOPPED

    ctypedef struct dl_error:
        dl_status code
        int os_error
        uint32_t tag
        uint64_t offset
        char message[200]

    dl_status dl_fail(dl_error *error, dl_status code, uint64_t offset, const char *format, ...)
    dl_status dl_fail_os(dl_error *error, int os_error, const char *what)

    ctypedef struct dl_bytes:
        uint8_t *data
        size_t length

    void dl_bytes_free(dl_bytes *data)

    ctypedef struct dl_source:
        void *context
        dl_status (*read_at)(void *, uint64_t, void *, size_t, size_t *, dl_error *) noexcept nogil
        dl_status (*size)(void *, uint64_t *, dl_error *) noexcept nogil
        void (*close)(void *) noexcept nogil

    ctypedef struct dl_memory:
        const uint8_t *data
        size_t size

    void dl_source_memory(dl_source *source, dl_memory *memory)
    void dl_source_descriptor(dl_source *source, int descriptor)
    void dl_source_close(dl_source *source)
    dl_status dl_file_open(int at, const char *name, int *descriptor, dl_error *error)
    enum: DL_CURRENT_DIRECTORY


    ctypedef struct dl_socket:
        intptr_t descriptor
        dl_status (*waiting)(void *, dl_error *) noexcept nogil
        void *context

    dl_status dl_socket_receive(void *socket, void *into, size_t room, double deadline,
                                size_t *count, dl_error *error)
    dl_status dl_socket_send(void *socket, const void *data, size_t size, double deadline,
                             size_t *count, dl_error *error)
    double dl_monotonic_seconds()


cdef extern from "dicomloom/network.h" nogil:
    ctypedef struct dl_wire:
        void *context
        dl_status (*receive)(void *, void *, size_t, double, size_t *, dl_error *) noexcept nogil
        dl_status (*send)(void *, const void *, size_t, double, size_t *, dl_error *) noexcept nogil

    enum: DL_FRAGMENT_COMMAND
    enum: DL_PDU_P_DATA

    ctypedef enum dl_arrival:
        DL_ARRIVED_FRAGMENT
        DL_ARRIVED_OTHER
        DL_ARRIVED_END
        DL_ARRIVED_NOTHING

    ctypedef struct dl_receiver:
        uint8_t context_id
        uint8_t control
        uint32_t pdu_left
        uint32_t left
        uint8_t *buffer
        size_t at
        size_t length

    ctypedef struct dl_sink:
        dl_bytes *memory
        int descriptor
        int os_error
        uint64_t most
        uint64_t size

    ctypedef struct dl_message:
        const uint8_t *command
        size_t command_size
        const uint8_t *data
        int descriptor
        uint64_t start
        uint64_t size
        uint32_t most
        uint8_t context_id

    void dl_receiver_open(dl_receiver *receiver, const dl_wire *wire, uint8_t *buffer,
                          size_t capacity, uint32_t most, double patience)
    dl_status dl_receiver_put(dl_receiver *receiver, const uint8_t *data, size_t size,
                              dl_error *error)
    dl_status dl_receive_fragment(dl_receiver *receiver, double deadline, dl_arrival *arrival,
                                  dl_error *error)
    dl_status dl_receive_part(dl_receiver *receiver, dl_sink *sink, dl_error *error)
    dl_status dl_send_message(const dl_wire *wire, const dl_message *message, uint8_t *buffer,
                              size_t capacity, double patience, dl_error *error)


cdef extern from "dicomloom/dicom.h" nogil:
    ctypedef enum dl_vr:
        DL_VR_NONE
        DL_VR_COUNT

    ctypedef struct dl_vr_traits:
        char name[20]

    const dl_vr_traits dl_vr_table[]
    dl_vr dl_vr_from_bytes(const uint8_t *text)

    ctypedef struct dl_syntax:
        bint explicit_vr
        bint big_endian

    const uint64_t DL_NO_END

    ctypedef struct dl_element:
        uint32_t tag
        uint32_t length
        uint64_t value
        dl_vr vr

    ctypedef struct dl_start:
        uint64_t offset
        bint has_meta
        dl_syntax syntax

    ctypedef enum dl_encoding:
        DL_ENCODED_EXPLICIT
        DL_ENCODED_IMPLICIT
        DL_ENCODED_BIG
        DL_ENCODED_DEFLATED

    ctypedef struct dl_window:
        pass

    enum: DL_WINDOW_FIRST
    uint32_t DL_UNDEFINED_LENGTH

    dl_status dl_window_open(dl_window *window, const dl_source *source, size_t first,
                             dl_error *error)
    void dl_window_free(dl_window *window)
    dl_status dl_window_get(dl_window *window, uint64_t offset, size_t size, const uint8_t **bytes,
                            dl_error *error)
    dl_status dl_window_size(dl_window *window, uint64_t *size, dl_error *error)
    dl_status dl_element_read(dl_window *window, uint64_t offset, uint64_t limit, dl_syntax syntax,
                              dl_element *element, c_bool *found, dl_error *error)
    dl_status dl_detect(dl_window *window, dl_start *start, dl_error *error)
    dl_status dl_detect_syntax(dl_window *window, uint64_t offset, dl_syntax *syntax,
                               dl_error *error)
    dl_encoding dl_encoding_of(const uint8_t *uid, size_t size)
    dl_syntax dl_encoding_syntax(dl_encoding encoding)
    bint dl_is_meta(const uint8_t *head, dl_syntax syntax, dl_encoding data_set)
    dl_vr dl_vr_resolve(dl_vr vr, uint32_t length, bint is_signed)

    ctypedef struct dl_dictionary_entry:
        uint32_t tag
        uint32_t mask
        uint8_t vr
        uint8_t retired

    const char *dl_dictionary_vm(const dl_dictionary_entry *entry)
    const char *dl_dictionary_keyword(const dl_dictionary_entry *entry)
    const char *dl_dictionary_name(const dl_dictionary_entry *entry)
    const dl_dictionary_entry *dl_dictionary_find(uint32_t tag)
    const dl_dictionary_entry *dl_dictionary_find_keyword(const char *keyword, size_t size)
    const dl_dictionary_entry *dl_dictionary_at(size_t index)
    dl_vr dl_dictionary_vr(uint32_t tag)


cdef extern from "dicomloom/frames.h" nogil:
    ctypedef struct dl_entry:
        uint64_t offset
        uint64_t value
        uint64_t length
        uint64_t end
        uint32_t tag
        dl_vr vr
        bint undefined

    ctypedef struct dl_lister:
        pass

    enum: DL_LIST_DEPTH

    dl_status dl_lister_open(dl_lister *lister, const dl_source *source, uint32_t depth,
                             dl_error *error)
    void dl_lister_free(dl_lister *lister)
    dl_status dl_list_elements(dl_lister *lister, uint64_t offset, uint64_t limit,
                               dl_syntax syntax, bint stop_at_pixels, dl_bytes *entries,
                               dl_error *error)

    ctypedef struct dl_header:
        uint64_t start
        uint64_t data_set
        uint64_t size
        dl_syntax syntax
        bint deflated
        bint has_transfer_syntax
        uint8_t transfer_syntax_size
        uint8_t transfer_syntax[64]

    dl_status dl_list_header(dl_lister *lister, dl_header *header, dl_bytes *entries,
                             dl_error *error)

    ctypedef struct dl_item_list:
        dl_bytes starts
        dl_bytes ends
        dl_bytes undefined

    void dl_item_list_free(dl_item_list *items)
    dl_status dl_list_items(dl_lister *lister, const dl_entry *sequence, dl_syntax syntax,
                            dl_item_list *items, dl_error *error)

    ctypedef struct dl_fragments:
        dl_bytes offsets
        dl_bytes lengths
        uint64_t end
        bint complete

    void dl_fragments_free(dl_fragments *fragments)
    dl_status dl_walk_fragments(const dl_source *source, uint64_t offset, uint64_t limit,
                                dl_fragments *fragments, dl_error *error)
    dl_status dl_frame_fragments(const dl_source *source, uint64_t start, uint64_t end,
                                 dl_fragments *fragments, dl_error *error)

    ctypedef struct dl_record:
        uint64_t offset
        uint64_t content
        uint64_t end
        bint broken

    ctypedef struct dl_record_value:
        uint64_t offset
        uint32_t record
        uint32_t tag
        uint32_t length
        uint32_t number

    ctypedef struct dl_record_list:
        dl_bytes records
        dl_bytes values
        uint64_t end
        bint has_sequence
        bint length_lies
        bint cut

    void dl_record_list_free(dl_record_list *list)
    dl_status dl_list_records(dl_lister *lister, uint64_t offset, dl_syntax syntax,
                              const uint32_t *tags, size_t tag_count, dl_record_list *into,
                              dl_error *error)

    ctypedef struct dl_recoding:
        dl_syntax from_syntax "from"
        bint to_explicit
        bint is_signed

    dl_status dl_recode(dl_lister *lister, const dl_recoding *how, uint64_t offset, uint64_t end,
                        dl_bytes *into, dl_error *error)


cdef extern from "dicomloom/scan.h" nogil:
    ctypedef struct dl_step:
        uint32_t tag
        const char *creator
        int item
        dl_vr vr

    ctypedef enum dl_column_type:
        DL_COLUMN_TEXT
        DL_COLUMN_INT64
        DL_COLUMN_FLOAT64
        DL_COLUMN_DATE32

    ctypedef struct dl_plan:
        pass

    enum: DL_PATH_STEPS

    dl_plan *dl_plan_new()
    void dl_plan_free(dl_plan *plan)
    dl_status dl_plan_add(dl_plan *plan, const dl_step *steps, size_t count, dl_column_type type,
                          dl_error *error)
    size_t dl_plan_columns(const dl_plan *plan)
    dl_column_type dl_plan_column_type(const dl_plan *plan, size_t column)

    ctypedef struct dl_column:
        dl_column_type type
        dl_bytes validity
        dl_bytes offsets
        dl_bytes data
        int64_t nulls

    ctypedef struct dl_deferred:
        uint32_t column
        uint32_t vr
        uint64_t start
        uint64_t length
        uint64_t charset
        uint64_t charset_size

    ctypedef struct dl_table:
        size_t column_count
        size_t rows
        dl_column *columns
        uint64_t misfits
        dl_bytes deferred
        dl_bytes deferred_charsets

    dl_table *dl_table_new(const dl_column_type *types, size_t count)
    void dl_table_free(dl_table *table)

    ctypedef struct dl_edit:
        uint64_t start
        uint64_t length
        const uint8_t *text
        size_t size

    dl_status dl_table_edit(dl_table *table, size_t column, const dl_edit *edits, size_t count)

    struct ArrowSchema:
        void (*release)(ArrowSchema *) noexcept nogil
    struct ArrowArray:
        void (*release)(ArrowArray *) noexcept nogil

    dl_status dl_arrow_schema(ArrowSchema *schema, const dl_column_type *types,
                              const char *const *names, size_t count)
    dl_status dl_arrow_array(ArrowArray *array, const dl_table *table, void *owner,
                             void (*release_owner)(void *) noexcept)

    ctypedef struct dl_row:
        dl_table *table

    dl_status dl_row_begin(dl_row *row, dl_table *table)
    dl_status dl_row_end(dl_row *row)
    void dl_row_free(dl_row *row)
    dl_status dl_csv_append(dl_bytes *into, const dl_table *table)
    dl_status dl_json_append(dl_bytes *into, const dl_table *table, const char *const *keys)

    ctypedef dl_status (*dl_open_inflated)(void *, const dl_source *, uint64_t, dl_source *,
                                           dl_error *) noexcept nogil

    ctypedef struct dl_limits:
        uint32_t depth
        uint64_t value_size

    ctypedef struct dl_reader:
        const dl_plan *plan
        dl_limits limits
        dl_open_inflated open_inflated
        void *open_context

    void dl_reader_free(dl_reader *reader)
    dl_status dl_read(dl_reader *reader, const dl_source *source, dl_row *row,
                      size_t first_column, dl_error *error)

    ctypedef struct dl_known:
        pass

    dl_known *dl_known_new()
    void dl_known_free(dl_known *known)
    dl_status dl_known_add(dl_known *known, const char *path, size_t path_size, uint64_t size,
                           int64_t modified_ns, uint64_t inode)
    bint dl_known_keeps(const dl_known *known, const char *path, size_t path_size, uint64_t size,
                        int64_t modified_ns, uint64_t inode)

    ctypedef enum dl_errors:
        pass

    ctypedef struct dl_scan_options:
        unsigned threads
        size_t batch_rows
        dl_errors errors
        bint follow_links
        bint file_info
        dl_known *known
        dl_limits limits
        dl_open_inflated open_inflated
        void *open_context

    ctypedef struct dl_scan_counts:
        uint64_t files
        uint64_t ok
        uint64_t errors
        uint64_t unchanged
        uint64_t changed
        uint64_t bytes_read
        unsigned threads

    ctypedef struct dl_scan:
        pass

    dl_scan *dl_scan_new(const dl_plan *plan, const dl_scan_options *options, dl_error *error)
    bint dl_scan_add(dl_scan *scan, const char *const *paths, size_t count, size_t *taken)
    void dl_scan_close(dl_scan *scan)
    dl_status dl_scan_next(dl_scan *scan, double seconds, dl_table **table, c_bool *finished,
                           dl_error *error)
    void dl_scan_give_back(dl_scan *scan, dl_table *table)
    void dl_scan_counts_get(dl_scan *scan, dl_scan_counts *counts)
    void dl_scan_stop(dl_scan *scan)
    void dl_scan_free(dl_scan *scan)


# --- codecs: RLE ----------------------------------------------------------------------------------

cdef extern from "dicomloom/codecs.h" nogil:
    ctypedef enum dl_vectors:
        DL_VECTORS_BEST
        DL_VECTORS_NONE

    enum: DL_RLE_HEADER

    ctypedef struct dl_rle_shape:
        uint32_t rows
        uint32_t columns
        uint32_t samples
        uint32_t sample_bytes

    ctypedef struct dl_piece:
        const uint8_t *data
        size_t size

    ctypedef struct dl_rle_frame:
        uint8_t header[64]
        dl_piece segments[15]
        uint32_t count
        uint64_t size

    ctypedef struct dl_rle_encoder:
        pass

    dl_status dl_rle_bound(const dl_rle_shape *shape, uint64_t *bound, dl_error *error)
    dl_rle_encoder *dl_rle_encoder_new(dl_vectors vectors)
    void dl_rle_encoder_free(dl_rle_encoder *encoder)
    dl_status dl_rle_encode_begin(dl_rle_encoder *encoder, const dl_rle_shape *shape,
                                  dl_error *error)
    dl_status dl_rle_encode_rows(dl_rle_encoder *encoder, const uint8_t *rows, size_t size,
                                 dl_error *error)
    dl_status dl_rle_encode_end(dl_rle_encoder *encoder, dl_rle_frame *frame, dl_error *error)
    dl_status dl_rle_look(const uint8_t *data, size_t size, const dl_rle_shape *shape,
                          dl_error *error)
    dl_status dl_rle_decode(const uint8_t *data, size_t size, const dl_rle_shape *shape,
                            uint8_t *out, size_t out_size, dl_vectors vectors, dl_error *error)

    ctypedef struct dl_raster:
        uint32_t rows
        uint32_t columns
        uint32_t samples
        uint32_t sample_bytes
        uint32_t bits
        bint is_signed


# --- codecs: JPEG Lossless ------------------------------------------------------------------------

cdef extern from "dicomloom/jpeg_lossless.h" nogil:
    ctypedef struct dl_jpeg_lossless_options:
        uint32_t predictor
        uint32_t shift
        uint32_t restart_rows

    ctypedef struct dl_jpeg_lossless_encoder:
        pass

    ctypedef struct dl_jpeg_lossless_decoder:
        pass

    dl_status dl_jpeg_lossless_bound(const dl_raster *raster,
                                     const dl_jpeg_lossless_options *options, uint64_t *bound,
                                     dl_error *error)
    dl_jpeg_lossless_encoder *dl_jpeg_lossless_encoder_new(dl_vectors vectors)
    void dl_jpeg_lossless_encoder_free(dl_jpeg_lossless_encoder *encoder)
    dl_status dl_jpeg_lossless_encode_begin(dl_jpeg_lossless_encoder *encoder,
                                            const dl_raster *raster,
                                            const dl_jpeg_lossless_options *options,
                                            dl_error *error)
    dl_status dl_jpeg_lossless_encode_count(dl_jpeg_lossless_encoder *encoder, const uint8_t *rows,
                                            uint32_t count, size_t stride, dl_error *error)
    dl_status dl_jpeg_lossless_encode_rows(dl_jpeg_lossless_encoder *encoder, const uint8_t *rows,
                                           uint32_t count, size_t stride, dl_error *error)
    dl_status dl_jpeg_lossless_encode_end(dl_jpeg_lossless_encoder *encoder, dl_piece *piece,
                                          dl_error *error)
    dl_jpeg_lossless_decoder *dl_jpeg_lossless_decoder_new(dl_vectors vectors)
    void dl_jpeg_lossless_decoder_free(dl_jpeg_lossless_decoder *decoder)
    dl_status dl_jpeg_lossless_decode(dl_jpeg_lossless_decoder *decoder, const uint8_t *data,
                                      size_t size, const dl_raster *raster, uint8_t *out,
                                      size_t stride, dl_error *error)


# --- codecs: JPEG-LS ------------------------------------------------------------------------------

cdef extern from "dicomloom/jpeg_ls.h" nogil:
    ctypedef struct dl_jpeg_ls_options:
        uint32_t near
        uint32_t interleave
        uint32_t restart_rows

    ctypedef struct dl_jpeg_ls_encoder:
        pass

    ctypedef struct dl_jpeg_ls_decoder:
        pass

    dl_status dl_jpeg_ls_bound(const dl_raster *raster, const dl_jpeg_ls_options *options,
                               uint64_t *bound, dl_error *error)
    dl_jpeg_ls_encoder *dl_jpeg_ls_encoder_new(dl_vectors vectors)
    void dl_jpeg_ls_encoder_free(dl_jpeg_ls_encoder *encoder)
    dl_status dl_jpeg_ls_encode_begin(dl_jpeg_ls_encoder *encoder, const dl_raster *raster,
                                      const dl_jpeg_ls_options *options, dl_error *error)
    dl_status dl_jpeg_ls_encode_rows(dl_jpeg_ls_encoder *encoder, const uint8_t *rows,
                                     uint32_t count, size_t stride, dl_error *error)
    dl_status dl_jpeg_ls_encode_end(dl_jpeg_ls_encoder *encoder, dl_piece *pieces, uint32_t *count,
                                    dl_error *error)
    dl_jpeg_ls_decoder *dl_jpeg_ls_decoder_new(dl_vectors vectors)
    void dl_jpeg_ls_decoder_free(dl_jpeg_ls_decoder *decoder)
    dl_status dl_jpeg_ls_decode(dl_jpeg_ls_decoder *decoder, const uint8_t *data, size_t size,
                                const dl_raster *raster, uint8_t *out, size_t stride,
                                dl_error *error)
