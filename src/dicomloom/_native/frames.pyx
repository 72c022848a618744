# cython: language_level=3, embedsignature=True
"""native/frames for Python: conversion, lifetimes, and the GIL; no policy.

A `source` is an open file descriptor (which stays open), a bytes-like object, or an object with
read_at(offset, size) -> bytes and size() -> int. An Element is a tuple (tag, vr, offset, value,
length, end, undefined): `offset` of its header, `value` of its first value byte, `length` of the
value without a delimiter, `end` behind all of it.
"""

cimport cython
from cpython.buffer cimport PyBUF_READ, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from dicomloom._native.core cimport *

from array import array

include "errors.pxi"
include "source.pxi"

cdef tuple VRS = tuple(
    dl_vr_table[<int>i].name.decode("ascii") for i in range(<int>DL_VR_COUNT)
)


# CPython crashes when it collects a memoryview together with what holds a buffer of it: the collector
# does not see us. There are no cycles for it to find, as `check` lets go of the failures.
@cython.no_gc
cdef class Source:
    """A dl_source over what was given; its end gives everything back."""

    cdef dl_source source
    cdef dl_memory memory
    cdef Py_buffer view
    cdef bint viewed
    cdef list failures

    def __cinit__(self, given):
        cdef PythonSource state
        self.failures = []
        if isinstance(given, int):
            dl_source_descriptor(&self.source, given)
            self.source.close = NULL  # it is the caller's
        elif hasattr(given, "read_at"):
            state = PythonSource.__new__(PythonSource)
            state.reader = given
            state.failures = self.failures
            fill_python_source(&self.source, state)
        else:
            PyObject_GetBuffer(given, &self.view, PyBUF_SIMPLE)
            self.viewed = True
            self.memory.data = <const uint8_t *>self.view.buf
            self.memory.size = self.view.len
            dl_source_memory(&self.source, &self.memory)

    def __dealloc__(self):
        dl_source_close(&self.source)
        if self.viewed:
            PyBuffer_Release(&self.view)

    cdef check(self, dl_status status, const dl_error *error):
        if status == DL_OK:
            return
        failures = list(self.failures)
        self.failures.clear()
        for failure in failures:
            if not isinstance(failure, Exception):
                raise failure  # Ctrl-C and the like are no fault of the source
        if status == DL_ERR_MEMORY:
            raise MemoryError()
        raise error_of(error) from (failures[0] if failures else None)


cdef class Lister:
    """A dl_lister and the source it reads."""

    cdef dl_lister lister
    cdef Source source

    def __cinit__(self, source, uint32_t depth):
        cdef dl_error error
        self.source = Source(source)
        check(dl_lister_open(&self.lister, &self.source.source, depth, &error), &error)

    def __dealloc__(self):
        dl_lister_free(&self.lister)


cdef dl_syntax syntax_of(bint explicit_vr, bint big_endian) noexcept:
    cdef dl_syntax syntax
    syntax.explicit_vr = explicit_vr
    syntax.big_endian = big_endian
    return syntax


cdef list elements_of(const dl_bytes *entries):
    cdef const dl_entry *entry = <const dl_entry *>entries.data
    cdef size_t count = entries.length // sizeof(dl_entry)
    cdef list made = []
    for i in range(count):
        made.append((
            entry[i].tag,
            VRS[<int>entry[i].vr],
            entry[i].offset,
            entry[i].value,
            entry[i].length,
            None if entry[i].end == DL_NO_END else entry[i].end,
            bool(entry[i].undefined),
        ))
    return made


cdef offsets_of(dl_bytes *numbers):
    """An array('Q') of what stands in numbers, which are freed."""
    made = array("Q")
    try:
        if numbers.length:
            made.frombytes(PyMemoryView_FromMemory(
                <char *>numbers.data, <Py_ssize_t>numbers.length, PyBUF_READ
            ))
    finally:
        dl_bytes_free(numbers)
    return made


cdef class Header:
    """The head of a file; see dl_header."""

    cdef readonly uint64_t start
    cdef readonly uint64_t data_set
    cdef readonly uint64_t size
    cdef readonly str transfer_syntax
    cdef readonly list meta
    cdef readonly bint explicit_vr
    cdef readonly bint big_endian
    cdef readonly bint deflated


def read_header(source):
    """Find where everything is: preamble, file meta information, encoding."""
    cdef Lister lister = Lister(source, DL_LIST_DEPTH)
    cdef Header made = Header.__new__(Header)
    cdef dl_header header
    cdef dl_bytes entries
    cdef dl_error error
    cdef dl_status status
    memset(&entries, 0, sizeof(entries))
    try:
        with nogil:
            status = dl_list_header(&lister.lister, &header, &entries, &error)
        lister.source.check(status, &error)
        made.meta = elements_of(&entries)
    finally:
        dl_bytes_free(&entries)
    made.start = header.start
    made.data_set = header.data_set
    made.size = header.size
    made.explicit_vr = header.syntax.explicit_vr
    made.big_endian = header.syntax.big_endian
    made.deflated = header.deflated
    if header.has_transfer_syntax:
        made.transfer_syntax = header.transfer_syntax[:header.transfer_syntax_size].decode(
            "ascii", "replace"
        )
    return made


cdef class Cursor:
    """Element headers of a source, read one at a time wherever they are asked for."""

    cdef dl_window window
    cdef Source source

    def __cinit__(self, source):
        cdef dl_error error
        self.source = Source(source)
        self.source.check(
            dl_window_open(&self.window, &self.source.source, DL_WINDOW_FIRST, &error), &error
        )

    def __dealloc__(self):
        dl_window_free(&self.window)

    def detect(self):
        """Where the first element is, and how it is encoded: (offset, explicit_vr, big_endian)."""
        cdef dl_start start
        cdef dl_error error
        memset(&start, 0, sizeof(start))
        self.source.check(dl_detect(&self.window, &start, &error), &error)
        return start.offset, bool(start.syntax.explicit_vr), bool(start.syntax.big_endian)

    def is_meta(self, uint64_t offset, bint explicit_vr, bint big_endian,
                bytes transfer_syntax not None):
        """Whether an element of group 0002 is at offset; transfer_syntax as far as it is known."""
        cdef const uint8_t *head
        cdef dl_error error
        self.source.check(dl_window_get(&self.window, offset, 6, &head, &error), &error)
        return head != NULL and bool(
            dl_is_meta(head, syntax_of(explicit_vr, big_endian), encoding_named(transfer_syntax))
        )

    def encoding(self, uint64_t offset, bint explicit_vr, bint big_endian):
        """How the element at offset is really written: (explicit_vr, big_endian)."""
        cdef dl_syntax syntax = syntax_of(explicit_vr, big_endian)
        cdef dl_error error
        self.source.check(dl_detect_syntax(&self.window, offset, &syntax, &error), &error)
        return bool(syntax.explicit_vr), bool(syntax.big_endian)

    def element(self, uint64_t offset, end, bint explicit_vr, bint big_endian, bint signed):
        """The header at offset: (tag, vr, value, length), or None at `end` or that of the source.

        vr is "" for items and delimiters, length None where it is undefined.
        """
        cdef uint64_t limit = DL_NO_END if end is None else end
        cdef dl_element element
        cdef c_bool found
        cdef dl_vr vr
        cdef dl_error error
        self.source.check(
            dl_element_read(&self.window, offset, limit, syntax_of(explicit_vr, big_endian),
                            &element, &found, &error),
            &error,
        )
        if not found:
            return None
        vr = element.vr
        if vr == DL_VR_NONE and element.tag >> 16 != 0xFFFE:
            vr = dl_vr_resolve(dl_dictionary_vr(element.tag), element.length, signed)
        length = None if element.length == DL_UNDEFINED_LENGTH else element.length
        return element.tag, VRS[<int>vr], element.value, length

    def size(self):
        """How many bytes the source has."""
        cdef uint64_t size = 0
        cdef dl_error error
        self.source.check(dl_window_size(&self.window, &size, &error), &error)
        return size


cdef dl_encoding encoding_named(bytes transfer_syntax) noexcept:
    return dl_encoding_of(<const uint8_t *><const char *>transfer_syntax, len(transfer_syntax))


def encoding_of(bytes transfer_syntax not None):
    """What a Transfer Syntax UID says: (explicit_vr, big_endian, deflated)."""
    cdef dl_encoding encoding = encoding_named(transfer_syntax)
    cdef dl_syntax syntax = dl_encoding_syntax(encoding)
    return bool(syntax.explicit_vr), bool(syntax.big_endian), encoding == DL_ENCODED_DEFLATED


def list_elements(source, uint64_t offset, bint explicit_vr, bint big_endian, *, end=None,
                  bint stop_at_pixels=True, uint32_t max_depth=DL_LIST_DEPTH):
    """List the elements of the outermost level from offset on; see dl_list_elements."""
    cdef Lister lister = Lister(source, max_depth)
    cdef dl_syntax syntax = syntax_of(explicit_vr, big_endian)
    cdef uint64_t limit = DL_NO_END if end is None else end
    cdef dl_bytes entries
    cdef dl_error error
    cdef dl_status status
    memset(&entries, 0, sizeof(entries))
    try:
        with nogil:
            status = dl_list_elements(&lister.lister, offset, limit, syntax, stop_at_pixels,
                                      &entries, &error)
        lister.source.check(status, &error)
        return elements_of(&entries)
    finally:
        dl_bytes_free(&entries)


def sequence_items(source, element, bint explicit_vr, bint big_endian,
                   uint32_t max_depth=DL_LIST_DEPTH):
    """Where the items of a sequence have their content: (starts, ends, undefined).

    undefined: bytes, 1 for each item of undefined length.
    """
    cdef Lister lister = Lister(source, max_depth)
    cdef dl_syntax syntax = syntax_of(explicit_vr, big_endian)
    cdef dl_item_list items
    cdef dl_entry entry
    cdef dl_error error
    cdef dl_status status
    memset(&items, 0, sizeof(items))
    entry.tag, vr, entry.offset, entry.value, entry.length, end, entry.undefined = element
    entry.end = DL_NO_END if end is None else end
    entry.vr = <dl_vr><int>VRS.index(vr)
    try:
        with nogil:
            status = dl_list_items(&lister.lister, &entry, syntax, &items, &error)
        lister.source.check(status, &error)
        undefined = PyBytes_FromStringAndSize(
            <const char *>items.undefined.data, items.undefined.length
        )
        return offsets_of(&items.starts), offsets_of(&items.ends), undefined
    finally:
        dl_item_list_free(&items)


def walk_items(source, uint64_t offset, limit=None):
    """All items of encapsulated pixel data, the basic offset table first.

    offset: of the first byte behind the header of PixelData; limit: where to stop at the latest.
    Returns (offsets, lengths, end, complete).
    """
    cdef Source opened = Source(source)
    cdef uint64_t until = DL_NO_END if limit is None else limit
    cdef dl_fragments fragments
    cdef dl_error error
    cdef dl_status status
    memset(&fragments, 0, sizeof(fragments))
    try:
        with nogil:
            status = dl_walk_fragments(&opened.source, offset, until, &fragments, &error)
        opened.check(status, &error)
        return (
            offsets_of(&fragments.offsets),
            offsets_of(&fragments.lengths),
            fragments.end,
            bool(fragments.complete),
        )
    finally:
        dl_fragments_free(&fragments)


def fragment_items(source, uint64_t start, end):
    """One frame's fragments, [(offset, length)]: the items in [start, end).

    A sequence delimiter ends them early; with end None only that does. CorruptError where something
    is no item, or does not end with `end`.
    """
    cdef Source opened = Source(source)
    cdef uint64_t until = DL_NO_END if end is None else end
    cdef dl_fragments fragments
    cdef const uint64_t *offsets
    cdef const uint64_t *lengths
    cdef dl_error error
    cdef dl_status status
    memset(&fragments, 0, sizeof(fragments))
    try:
        with nogil:
            status = dl_frame_fragments(&opened.source, start, until, &fragments, &error)
        opened.check(status, &error)
        offsets = <const uint64_t *>fragments.offsets.data
        lengths = <const uint64_t *>fragments.lengths.data
        return [
            (offsets[i], lengths[i])
            for i in range(<size_t>(fragments.offsets.length // sizeof(uint64_t)))
        ]
    finally:
        dl_fragments_free(&fragments)


cdef class Records:
    """The records of a DICOMDIR, by their place in its sequence; see dl_list_records.

    Record 0 stands for the data set around them. All are array('I'): a DICOMDIR has 32-bit offsets.
    `starts`, `lengths` and `numbers` have one a wanted tag, with a place for each record: where a
    value begins (0 where there is none), its bytes, and the numbers of UL and US values.
    """

    cdef readonly object offsets
    cdef readonly object contents
    cdef readonly object ends
    cdef readonly list broken
    cdef readonly dict starts
    cdef readonly dict lengths
    cdef readonly dict numbers
    cdef readonly uint64_t end
    cdef readonly bint has_sequence
    cdef readonly bint length_lies
    cdef readonly bint cut


cdef fill_records(Records made, const dl_record_list *found, tags, dict numbers):
    cdef const dl_record *record = <const dl_record *>found.records.data
    cdef const dl_record_value *value = <const dl_record_value *>found.values.data
    cdef size_t count = found.records.length // sizeof(dl_record)
    cdef size_t values = found.values.length // sizeof(dl_record_value)
    cdef unsigned int[::1] offsets, contents, ends, starts, lengths
    cdef uint32_t tag
    cdef size_t i
    made.end = found.end
    made.has_sequence = found.has_sequence
    made.length_lies = found.length_lies
    made.cut = found.cut
    if count and record[count - 1].end > 0xFFFFFFFF:
        raise LimitError("a DICOMDIR has no more than 2^32-1 bytes")
    zeros = array("I", [0]) * count
    made.offsets, made.contents, made.ends = zeros[:], zeros[:], zeros[:]
    made.broken = []
    offsets, contents, ends = made.offsets, made.contents, made.ends
    for i in range(count):
        offsets[i] = <unsigned int>record[i].offset
        contents[i] = <unsigned int>record[i].content
        ends[i] = <unsigned int>record[i].end
        if record[i].broken:
            made.broken.append(i)
    made.numbers = {tag: array("I", [least]) * count for tag, least in numbers.items()}
    made.starts = {tag: zeros[:] for tag in tags if tag not in numbers}
    made.lengths = {tag: zeros[:] for tag in made.starts}
    # Tag by tag, for an array is not looked up for each value then.
    for number, column in made.numbers.items():
        tag, starts = number, column
        for i in range(values):
            if value[i].tag == tag and value[i].record < count and value[i].length in (2, 4):
                starts[value[i].record] = value[i].number
    for number, column in made.starts.items():
        tag, starts, lengths = number, column, made.lengths[number]
        for i in range(values):
            if value[i].tag == tag and value[i].record < count:
                starts[value[i].record] = <unsigned int>value[i].offset
                lengths[value[i].record] = value[i].length


def list_records(source, uint64_t offset, bint explicit_vr, bint big_endian, tags, *,
                 dict numbers={}, uint32_t max_depth=DL_LIST_DEPTH):
    """Find the records of a DICOMDIR whose data set begins at offset: Records.

    numbers has the tags whose values are numbers, and what stands for those that are not there.
    """
    cdef Lister lister = Lister(source, max_depth)
    cdef dl_syntax syntax = syntax_of(explicit_vr, big_endian)
    cdef const unsigned int[::1] wanted = array("I", tags)
    cdef const uint32_t *first = &wanted[0] if len(wanted) else NULL
    cdef size_t wanted_count = len(wanted)
    cdef Records made = Records.__new__(Records)
    cdef dl_record_list found
    cdef dl_error error
    cdef dl_status status
    memset(&found, 0, sizeof(found))
    try:
        with nogil:
            status = dl_list_records(&lister.lister, offset, syntax, first, wanted_count, &found,
                                     &error)
        lister.source.check(status, &error)
        fill_records(made, &found, tags, numbers)
        return made
    finally:
        dl_record_list_free(&found)


def recode(source, uint64_t offset, uint64_t end, bint from_explicit, bint from_big_endian,
           bint to_explicit, *, bint signed=False, uint32_t max_depth=DL_LIST_DEPTH):
    """Encode the elements in [offset, end) as explicit or implicit VR little endian."""
    cdef Lister lister = Lister(source, max_depth)
    cdef dl_recoding how
    cdef dl_bytes into
    cdef dl_error error
    cdef dl_status status
    memset(&into, 0, sizeof(into))
    how.from_syntax = syntax_of(from_explicit, from_big_endian)
    how.to_explicit = to_explicit
    how.is_signed = signed
    try:
        with nogil:
            status = dl_recode(&lister.lister, &how, offset, end, &into, &error)
        lister.source.check(status, &error)
        return PyBytes_FromStringAndSize(<const char *>into.data, into.length)
    finally:
        dl_bytes_free(&into)
