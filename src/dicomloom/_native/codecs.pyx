# cython: language_level=3, embedsignature=True
"""native/codecs for Python: conversion, lifetimes, and the GIL; no policy."""

from cpython.buffer cimport (
    PyBUF_SIMPLE,
    PyBUF_WRITABLE,
    PyBuffer_FillInfo,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytearray cimport PyByteArray_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dicomloom._native.core cimport *

include "errors.pxi"


# --- RLE Lossless ---------------------------------------------------------------------------------

cdef class Piece:
    """A coded segment where the encoder has it: a read-only buffer, until the next frame begins."""

    cdef RLEEncoder owner
    cdef const uint8_t *data
    cdef Py_ssize_t size
    cdef uint64_t frame  # the one it is of

    def __len__(self):
        return self.size

    def __getbuffer__(self, Py_buffer *view, int flags):
        if self.frame != self.owner.frame:
            raise BufferError("the encoder has begun another frame")
        PyBuffer_FillInfo(view, self, <void *>self.data, self.size, 1, flags)
        self.owner.exports += 1

    def __releasebuffer__(self, Py_buffer *view):
        self.owner.exports -= 1


cdef class RLEEncoder:
    """Frames of one shape, in a context that is used again; for one thread at a time.

    A frame is given whole to encode(), or in lots of rows: begin(), rows() ..., end().
    """

    cdef dl_rle_encoder *encoder
    cdef dl_rle_shape shape
    cdef uint64_t frame  # how many were begun
    cdef size_t exports  # buffers of pieces that somebody holds
    cdef bint busy

    def __cinit__(self, uint32_t rows, uint32_t columns, uint32_t samples, uint32_t sample_bytes):
        self.shape = dl_rle_shape(rows, columns, samples, sample_bytes)
        self.bound()
        self.encoder = dl_rle_encoder_new(DL_VECTORS_BEST)
        if self.encoder == NULL:
            raise MemoryError()

    def __dealloc__(self):
        dl_rle_encoder_free(self.encoder)

    def bound(self):
        """Bytes that a coded frame has at most."""
        cdef uint64_t bound
        cdef dl_error error
        check(dl_rle_bound(&self.shape, &bound, &error), &error)
        return bound

    cdef int enter(self, bint begins) except -1:
        if self.busy:
            raise RuntimeError("an encoder belongs to one thread at a time")
        if begins:
            if self.exports:
                raise BufferError("pieces of the frame before are still in use")
            self.frame += 1
        self.busy = True
        return 0

    cdef int code(self, given, bint begins, bint ends, dl_rle_frame *frame) except -1:
        cdef Py_buffer view
        cdef dl_error error
        cdef dl_status status = DL_OK
        PyObject_GetBuffer(given, &view, PyBUF_SIMPLE)
        try:
            self.enter(begins)
            with nogil:
                if begins:
                    status = dl_rle_encode_begin(self.encoder, &self.shape, &error)
                if status == DL_OK:
                    status = dl_rle_encode_rows(self.encoder, <const uint8_t *>view.buf, view.len,
                                                &error)
                if status == DL_OK and ends:
                    status = dl_rle_encode_end(self.encoder, frame, &error)
            self.busy = False
        finally:
            PyBuffer_Release(&view)
        check(status, &error)
        return 0

    cdef list pieces(self, dl_rle_frame *frame):
        cdef Piece piece
        cdef list made = [frame.header[:DL_RLE_HEADER]]
        for i in range(frame.count):
            piece = Piece.__new__(Piece)
            piece.owner = self
            piece.data = frame.segments[i].data
            piece.size = frame.segments[i].size
            piece.frame = self.frame
            made.append(piece)
        return made

    def begin(self):
        cdef dl_error error
        cdef dl_status status
        self.enter(True)
        with nogil:
            status = dl_rle_encode_begin(self.encoder, &self.shape, &error)
        self.busy = False
        check(status, &error)

    def rows(self, data):
        """Code the next rows."""
        self.code(data, False, False, NULL)

    def end(self):
        """Return the header and the segments: buffers that are good until the next frame begins."""
        cdef dl_rle_frame frame
        cdef dl_error error
        self.enter(False)
        cdef dl_status status = dl_rle_encode_end(self.encoder, &frame, &error)
        self.busy = False
        check(status, &error)
        return self.pieces(&frame)

    def encode(self, data):
        """Return what end() does for a whole frame."""
        cdef dl_rle_frame frame
        self.code(data, True, True, &frame)
        return self.pieces(&frame)


def rle_decode(data, uint32_t rows, uint32_t columns, uint32_t samples, uint32_t sample_bytes,
               into=None):
    """Decode one frame to little endian, color by pixel, into a buffer or a new bytearray."""
    cdef Py_buffer coded, out
    cdef dl_error error
    cdef dl_status status
    cdef dl_rle_shape shape = dl_rle_shape(rows, columns, samples, sample_bytes)
    cdef size_t size
    PyObject_GetBuffer(data, &coded, PyBUF_SIMPLE)
    try:
        # Before there is room: a header may speak of any size.
        check(dl_rle_look(<const uint8_t *>coded.buf, coded.len, &shape, &error), &error)
        size = <size_t>rows * columns * samples * sample_bytes
        if into is None:
            into = PyByteArray_FromStringAndSize(NULL, size)
        PyObject_GetBuffer(into, &out, PyBUF_WRITABLE)
        try:
            if <size_t>out.len != size:
                raise ValueError(f"into has {out.len} bytes, the frame has {size}")
            with nogil:
                status = dl_rle_decode(<const uint8_t *>coded.buf, coded.len, &shape,
                                       <uint8_t *>out.buf, out.len, DL_VECTORS_BEST, &error)
        finally:
            PyBuffer_Release(&out)
    finally:
        PyBuffer_Release(&coded)
    check(status, &error)
    return into
