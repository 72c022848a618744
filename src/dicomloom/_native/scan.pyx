# cython: language_level=3, embedsignature=True
"""native/scan for Python: conversion, lifetimes, and the GIL; no policy."""

from cpython.buffer cimport (
    PyBUF_SIMPLE,
    PyBuffer_FillInfo,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport EIO
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

cimport cython

from dicomloom._native.core cimport *

import os

from dicomloom.errors import StateError

include "errors.pxi"

cdef dict TYPES = {
    "text": DL_COLUMN_TEXT,
    "int64": DL_COLUMN_INT64,
    "float64": DL_COLUMN_FLOAT64,
    "date32": DL_COLUMN_DATE32,
}
cdef dict TYPE_NAMES = {code: name for name, code in TYPES.items()}
cdef tuple ERRORS = ("keep", "skip", "only")  # in the order of dl_errors


cdef class Plan:
    """Wanted values. columns: [(steps, type)], a step: (tag, creator or None, item, VR)."""

    cdef dl_plan *plan
    cdef readonly tuple types

    def __cinit__(self, columns):
        cdef dl_step steps[32]
        cdef dl_error error
        cdef bytes vr
        self.plan = dl_plan_new()
        if self.plan == NULL:
            raise MemoryError()
        for path, kind in columns:
            if len(path) > DL_PATH_STEPS:
                raise ValueError("too many steps in a path")
            kept = []  # the creators' bytes live until dl_plan_add has copied them
            for i, (tag, creator, item, name) in enumerate(path):
                memset(&steps[i], 0, sizeof(dl_step))
                steps[i].tag = tag
                steps[i].item = item
                vr = name.encode("ascii") + b"  "
                steps[i].vr = dl_vr_from_bytes(<const uint8_t *><const char *>vr)
                if len(name) != 2:  # "US or SS": the dictionary of the C core knows the rule
                    steps[i].vr = DL_VR_NONE
                if creator is not None:
                    kept.append(creator.encode("utf-8"))
                    steps[i].creator = kept[-1]
            check(dl_plan_add(self.plan, steps, len(path), TYPES[kind], &error), &error)
        self.types = tuple(kind for _, kind in columns)

    def __dealloc__(self):
        dl_plan_free(self.plan)


cdef class Known:
    """What an earlier index holds; see dl_known."""

    cdef dl_known *known

    def __cinit__(self):
        self.known = dl_known_new()
        if self.known == NULL:
            raise MemoryError()

    def __dealloc__(self):
        dl_known_free(self.known)

    def add(self, str path not None, uint64_t size, int64_t modified_ns, int64_t inode):
        cdef bytes text = path.encode("utf-8")
        if dl_known_add(self.known, text, len(text), size, modified_ns, <uint64_t>inode) != DL_OK:
            raise MemoryError()

    def keeps(self, str path not None, uint64_t size, int64_t modified_ns, int64_t inode):
        cdef bytes text = path.encode("utf-8")
        return bool(
            dl_known_keeps(self.known, text, len(text), size, modified_ns, <uint64_t>inode)
        )


cdef class Scanner


cdef const char **texts_of(list held) except NULL:
    """The texts of a list of bytes, which the caller keeps; to be freed."""
    cdef const char **texts = <const char **>calloc(len(held) + 1, sizeof(char *))
    if texts == NULL:
        raise MemoryError()
    try:
        for i in range(len(held)):
            text = held[i]
            # C would see a path that ends at its NUL: another file.
            if b"\0" in text:
                raise ValueError(f"embedded null byte in {text!r}")
            texts[i] = text
    except BaseException:
        free(texts)
        raise
    return texts


# --- columns --------------------------------------------------------------------------------------

cdef void release_batch(void *owner) noexcept with gil:
    Py_DECREF(<object>owner)


cdef void free_schema_capsule(object capsule) noexcept:
    cdef ArrowSchema *schema = <ArrowSchema *>PyCapsule_GetPointer(capsule, "arrow_schema")
    if schema.release != NULL:
        schema.release(schema)
    free(schema)


cdef void free_array_capsule(object capsule) noexcept:
    cdef ArrowArray *array = <ArrowArray *>PyCapsule_GetPointer(capsule, "arrow_array")
    if array.release != NULL:
        array.release(array)
    free(array)


cdef int fill_schema(ArrowSchema *schema, tuple names, tuple types) except -1:
    cdef size_t count = len(names)
    cdef list encoded = [name.encode("utf-8") for name in names]
    cdef const char **texts = <const char **>calloc(count + 1, sizeof(char *))
    cdef dl_column_type *codes = <dl_column_type *>calloc(count + 1, sizeof(dl_column_type))
    try:
        if texts == NULL or codes == NULL:
            raise MemoryError()
        for i in range(count):
            texts[i] = <const char *>(<bytes>encoded[i])
            codes[i] = TYPES[types[i]]
        if dl_arrow_schema(schema, codes, texts, count) != DL_OK:
            raise MemoryError()
    finally:
        free(texts)
        free(codes)
    return 0


def schema_capsule(tuple names not None, tuple types not None):
    cdef ArrowSchema *schema = <ArrowSchema *>calloc(1, sizeof(ArrowSchema))
    if schema == NULL:
        raise MemoryError()
    try:
        fill_schema(schema, names, types)
    except BaseException:
        free(schema)
        raise
    return PyCapsule_New(schema, "arrow_schema", <void (*)(object) noexcept>free_schema_capsule)


cdef class Table:
    """A dl_table and the names of its columns."""

    cdef dl_table *table
    cdef readonly tuple names
    cdef Scanner scanner  # whom the table is given back to, or None

    def __init__(self):
        raise TypeError("tables are made by scans and read_row")

    def __dealloc__(self):
        if self.scanner is not None and self.scanner.is_ours():
            dl_scan_give_back(self.scanner.scan, self.table)
        else:
            dl_table_free(self.table)

    @property
    def rows(self):
        return self.table.rows

    @property
    def misfits(self):
        return self.table.misfits

    @property
    def types(self):
        return tuple(
            TYPE_NAMES[self.table.columns[i].type] for i in range(self.table.column_count)
        )

    def values(self, size_t index):
        """One column as Python objects; the dates of date32 stay days since 1970."""
        if index >= self.table.column_count:
            raise IndexError(index)
        cdef dl_column *column = &self.table.columns[index]
        cdef const char *data = <const char *>column.data.data
        cdef const int32_t *offsets = <const int32_t *>column.offsets.data
        found = []
        for row in range(self.table.rows):
            if not (column.validity.data[row >> 3] >> (row & 7)) & 1:
                found.append(None)
            elif column.type == DL_COLUMN_TEXT:
                found.append(data[offsets[row]:offsets[row + 1]].decode("utf-8"))
            elif column.type == DL_COLUMN_INT64:
                found.append((<const int64_t *>data)[row])
            elif column.type == DL_COLUMN_DATE32:
                found.append((<const int32_t *>data)[row])
            else:
                found.append((<const double *>data)[row])
        return found

    def resolve(self, decode):
        """Replace each value that waits for a decoder by decode(raw, charset, VR)."""
        cdef size_t count = self.table.deferred.length // sizeof(dl_deferred)
        cdef dl_deferred *deferred = <dl_deferred *>self.table.deferred.data
        cdef const char *charsets = <const char *>self.table.deferred_charsets.data
        cdef dl_edit *edits
        cdef size_t used
        cdef dl_status status
        if count == 0:
            return
        edits = <dl_edit *>calloc(count, sizeof(dl_edit))
        if edits == NULL:
            raise MemoryError()
        try:
            for index in range(self.table.column_count):
                used = 0
                held = []
                raw = <const char *>self.table.columns[index].data.data
                for i in range(count):
                    if deferred[i].column != index:
                        continue
                    start, size = deferred[i].start, deferred[i].length
                    at, length = deferred[i].charset, deferred[i].charset_size
                    text = decode(
                        raw[start:start + size],
                        charsets[at:at + length] if length else b"",
                        dl_vr_table[deferred[i].vr].name.decode("ascii"),
                    ).encode("utf-8", "replace")
                    held.append(text)
                    edits[used].start = start
                    edits[used].length = size
                    edits[used].text = <const uint8_t *><const char *>(<bytes>text)
                    edits[used].size = len(text)
                    used += 1
                if used:
                    status = dl_table_edit(self.table, index, edits, used)
                    if status != DL_OK:
                        raise MemoryError()
                    # These places are no more: whoever comes again after an exception passes over.
                    for i in range(count):
                        if deferred[i].column == index:
                            deferred[i].column = <uint32_t>self.table.column_count
            self.table.deferred.length = 0
        finally:
            free(edits)

    def array_capsule(self):
        cdef ArrowArray *array = <ArrowArray *>calloc(1, sizeof(ArrowArray))
        if array == NULL:
            raise MemoryError()
        try:
            self.fill_array(array)
        except BaseException:
            free(array)
            raise
        return PyCapsule_New(array, "arrow_array", <void (*)(object) noexcept>free_array_capsule)

    cdef int fill_array(self, ArrowArray *array) except -1:
        Py_INCREF(self)
        if dl_arrow_array(array, self.table, <void *>self, release_batch) != DL_OK:
            Py_DECREF(self)
            raise MemoryError()
        return 0


cdef class Text:
    """Rows as text, in a buffer that is filled again and again; read it as a bytes-like object."""

    cdef dl_bytes text
    cdef size_t exports  # who holds the buffer, which filling it again may move
    cdef bint busy

    def __dealloc__(self):
        dl_bytes_free(&self.text)

    def __getbuffer__(self, Py_buffer *view, int flags):
        if self.busy:
            raise BufferError("the text is being written")
        PyBuffer_FillInfo(view, self, self.text.data, self.text.length, 1, flags)
        # Cython's placeholder, which stood in view.obj. Where that line raises, it still does, and
        # Cython takes care of it.
        Py_DECREF(None)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer *view):
        self.exports -= 1

    cdef int begin(self) except -1:
        if self.exports or self.busy:
            raise BufferError("the text of the rows before is still in use")
        self.text.length = 0
        self.busy = True
        return 0

    def csv(self, Table table not None):
        """Hold the rows as CSV, without a header line."""
        cdef dl_status status
        self.begin()
        with nogil:
            status = dl_csv_append(&self.text, table.table)
        self.busy = False
        if status != DL_OK:
            raise MemoryError()

    def json(self, Table table not None, keys):
        """Hold the rows as JSON lines; keys: the JSON of each name with its colon, as bytes."""
        cdef dl_status status
        cdef list held = list(keys)
        cdef const char **texts
        if len(held) != table.table.column_count:
            raise ValueError("one key a column")
        texts = texts_of(held)
        try:
            self.begin()
            with nogil:
                status = dl_json_append(&self.text, table.table, texts)
            self.busy = False
        finally:
            free(texts)
        if status != DL_OK:
            raise MemoryError()


cdef Table table_of(dl_table *table, tuple names):
    cdef Table made = Table.__new__(Table)
    made.table = table
    made.names = names
    return made


include "arrow.pxi"
include "source.pxi"


cdef dl_status open_inflated(void *context, const dl_source *raw, uint64_t offset,
                             dl_source *inflated, dl_error *error) noexcept with gil:
    """context: (what makes the reader from a function that reads deflated bytes, failures)."""
    cdef PythonSource state
    cdef list failures = None
    try:
        factory, failures = <tuple>context
        state = PythonSource.__new__(PythonSource)
        state.failures = failures
        state.below = raw
        state.start = offset
        state.reader = factory(state.below_read)
        fill_python_source(inflated, state)
        return DL_OK
    except BaseException as failure:
        return python_failed(error, offset, failures, failure)


# --- reading --------------------------------------------------------------------------------------

cdef int fill_limits(dl_limits *limits, tuple given) except -1:
    limits.depth, limits.value_size = given
    return 0


def read_row(Plan plan not None, source, tuple limits not None, inflater):
    """Read one source into a Table of one row and the plan's columns.

    source: a path as bytes, or, in a 1-tuple, a bytes-like object or a reader (see PythonSource).
    Returns (Table, exception or None).
    """
    cdef dl_reader reader
    cdef dl_row row
    cdef dl_source opened
    cdef dl_memory memory
    cdef Py_buffer view
    cdef dl_error error
    cdef dl_status status
    cdef int descriptor
    cdef PythonSource state
    cdef Table table
    cdef dl_column_type *types
    cdef size_t count = dl_plan_columns(plan.plan)
    cdef bint viewed = False
    cdef const char *name
    cdef list failures = []
    cdef tuple context = (inflater, failures)

    memset(&reader, 0, sizeof(reader))
    memset(&row, 0, sizeof(row))
    memset(&error, 0, sizeof(error))
    reader.plan = plan.plan
    fill_limits(&reader.limits, limits)
    reader.open_inflated = open_inflated
    reader.open_context = <void *>context

    types = <dl_column_type *>calloc(count + 1, sizeof(dl_column_type))
    if types == NULL:
        raise MemoryError()
    for i in range(count):
        types[i] = dl_plan_column_type(plan.plan, i)
    table = table_of(dl_table_new(types, count), ())
    free(types)
    if table.table == NULL:
        raise MemoryError()

    if isinstance(source, bytes):
        if b"\0" in source:
            raise ValueError(f"embedded null byte in {source!r}")
        name = source
        with nogil:
            status = dl_file_open(DL_CURRENT_DIRECTORY, name, &descriptor, &error)
        if status != DL_OK:
            return table, error_of(&error)
        dl_source_descriptor(&opened, descriptor)
    else:
        given = source[0]
        if hasattr(given, "read_at"):
            state = PythonSource.__new__(PythonSource)
            state.reader = given
            state.failures = failures
            fill_python_source(&opened, state)
        else:
            PyObject_GetBuffer(given, &view, PyBUF_SIMPLE)
            viewed = True
            memory.data = <const uint8_t *>view.buf
            memory.size = view.len
            dl_source_memory(&opened, &memory)
    try:
        if dl_row_begin(&row, table.table) != DL_OK:
            raise MemoryError()
        with nogil:
            status = dl_read(&reader, &opened, &row, 0, &error)
        if dl_row_end(&row) != DL_OK:
            raise MemoryError()
    finally:
        dl_source_close(&opened)
        dl_reader_free(&reader)
        dl_row_free(&row)
        if viewed:
            PyBuffer_Release(&view)
    if status == DL_OK:
        return table, None
    for failure in failures:
        if not isinstance(failure, Exception):
            raise failure  # Ctrl-C and the like are no fault of the file
    made = error_of(&error)
    made.__cause__ = failures[0] if failures else None
    return table, made


@cython.no_gc_clear  # what the threads use stays until they have been joined
cdef class Scanner:
    """A dl_scan; the end of its life joins its threads.

    It does not cross a fork: in the child there are no threads to end, and a lock may be held by one
    of them for ever.
    """

    cdef dl_scan *scan
    cdef object process
    cdef Plan plan  # kept alive
    cdef Known known
    cdef tuple inflater
    cdef tuple names

    def __cinit__(self, Plan plan not None, tuple names not None, *, unsigned threads,
                  size_t batch_rows, errors, bint follow_links, bint file_info, Known known,
                  tuple limits not None, inflater):
        cdef dl_scan_options options
        cdef dl_error error
        memset(&options, 0, sizeof(options))
        options.threads = threads
        options.batch_rows = batch_rows
        options.errors = <dl_errors>ERRORS.index(errors)
        options.follow_links = follow_links
        options.file_info = file_info
        options.known = NULL if known is None else known.known
        fill_limits(&options.limits, limits)
        options.open_inflated = open_inflated
        self.inflater = (inflater, None)
        options.open_context = <void *>self.inflater
        self.plan = plan
        self.known = known
        self.names = names
        self.process = os.getpid()
        self.scan = dl_scan_new(plan.plan, &options, &error)
        if self.scan == NULL:
            raise error_of(&error)

    def __dealloc__(self):
        if self.is_ours():
            with nogil:
                dl_scan_free(self.scan)

    cpdef bint is_ours(self) noexcept:
        """Whether this is the process that the scan was made in."""
        return self.scan != NULL and self.process == os.getpid()

    cdef int check_ours(self) except -1:
        if not self.is_ours():
            raise StateError("a scan cannot be used in a process that was forked from its own")
        return 0

    def add(self, list paths not None):
        """Give paths (bytes); returns how many were taken."""
        cdef size_t count = len(paths), taken = 0
        cdef const char **texts
        self.check_ours()
        texts = texts_of(paths)
        with nogil:
            dl_scan_add(self.scan, texts, count, &taken)
        free(texts)
        return taken

    def close_input(self):
        self.check_ours()
        dl_scan_close(self.scan)

    def next(self, double seconds):
        """Wait for a Table: (Table or None, whether the scan has ended)."""
        cdef dl_table *table = NULL
        cdef Table made
        cdef c_bool finished = False
        cdef dl_error error
        cdef dl_status status
        self.check_ours()
        with nogil:
            status = dl_scan_next(self.scan, seconds, &table, &finished, &error)
        check(status, &error)
        if table == NULL:
            return None, bool(finished)
        made = table_of(table, self.names)
        made.scanner = self
        return made, bool(finished)

    def stop(self):
        self.check_ours()
        with nogil:
            dl_scan_stop(self.scan)

    def counts(self):
        cdef dl_scan_counts counts
        self.check_ours()
        dl_scan_counts_get(self.scan, &counts)
        return counts
