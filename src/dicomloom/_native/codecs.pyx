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
from cpython.ref cimport Py_DECREF
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cimport cython

from dicomloom._native.core cimport *

include "errors.pxi"


# --- what encoders share --------------------------------------------------------------------------

@cython.no_gc_clear  # whoever holds a buffer counts on its owner
cdef class Piece:
    """Coded bytes where the encoder has them: a read-only buffer, until the next frame begins."""

    cdef Coder owner
    cdef const uint8_t *data
    cdef Py_ssize_t size
    cdef uint64_t frame  # the one it is of

    def __init__(self):
        raise TypeError("pieces are made by encoders")

    def __len__(self):
        return self.size

    def __getbuffer__(self, Py_buffer *view, int flags):
        if self.frame != self.owner.frame:
            raise BufferError("the encoder has begun another frame")
        PyBuffer_FillInfo(view, self, <void *>self.data, self.size, 1, flags)
        # Cython's placeholder, which stood in view.obj. Where that line raises, it still does, and
        # Cython takes care of it.
        Py_DECREF(None)
        self.owner.exports += 1

    def __releasebuffer__(self, Py_buffer *view):
        self.owner.exports -= 1


cdef class Coder:
    """Counts the frames that were begun, and who holds pieces of the last."""

    cdef uint64_t frame
    cdef size_t exports  # buffers of pieces that somebody holds
    cdef bint busy

    cdef int enter(self, bint begins) except -1:
        if self.busy:
            raise RuntimeError("an encoder belongs to one thread at a time")
        if begins:
            if self.exports:
                raise BufferError("pieces of the frame before are still in use")
            self.frame += 1
        self.busy = True
        return 0

    cdef Piece piece(self, const dl_piece *coded):
        cdef Piece piece = Piece.__new__(Piece)
        piece.owner = self
        piece.data = coded.data
        piece.size = coded.size
        piece.frame = self.frame
        return piece


# --- RLE Lossless ---------------------------------------------------------------------------------

cdef class RLEEncoder(Coder):
    """Frames of one shape, in a context that is used again; for one thread at a time.

    A frame is given whole to encode(), or in lots of rows: begin(), rows() ..., end().
    """

    cdef dl_rle_encoder *encoder
    cdef dl_rle_shape shape

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
        cdef list made = [frame.header[:DL_RLE_HEADER]]
        for i in range(frame.count):
            made.append(self.piece(&frame.segments[i]))
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
                raise ValueError(f"expected a buffer of {size} bytes, found {out.len}")
            with nogil:
                status = dl_rle_decode(<const uint8_t *>coded.buf, coded.len, &shape,
                                       <uint8_t *>out.buf, out.len, DL_VECTORS_BEST, &error)
        finally:
            PyBuffer_Release(&out)
    finally:
        PyBuffer_Release(&coded)
    check(status, &error)
    return into


# --- JPEG Lossless and JPEG-LS --------------------------------------------------------------------

cdef dl_status no_codec(dl_error *error) noexcept nogil:
    return dl_fail(error, DL_ERR_ARGUMENT, 0, "a class of its own has the codec")


cdef class RasterEncoder(Coder):
    """Frames of one dl_raster, in a context that is used again; for one thread at a time."""

    cdef dl_raster raster
    cdef size_t stride

    cdef int shape(self, uint32_t rows, uint32_t columns, uint32_t samples, uint32_t sample_bytes,
                   uint32_t bits, bint signed) except -1:
        self.raster = dl_raster(rows, columns, samples, sample_bytes, bits, signed)
        self.stride = <size_t>columns * samples * sample_bytes
        return 0

    # What each codec fills in; `step` numbers the passes, of which the last one codes.
    cdef dl_status start(self, dl_error *error) noexcept nogil:
        return no_codec(error)

    cdef dl_status take(self, int step, const uint8_t *rows, uint32_t count,
                        dl_error *error) noexcept nogil:
        return no_codec(error)

    cdef dl_status finish(self, dl_piece *pieces, uint32_t *count, dl_error *error) noexcept nogil:
        return no_codec(error)

    cdef int give(self, int step, given) except -1:
        cdef Py_buffer view
        cdef dl_error error
        cdef dl_status status
        PyObject_GetBuffer(given, &view, PyBUF_SIMPLE)
        try:
            if <size_t>view.len % self.stride:
                raise ValueError(f"{view.len} bytes are no whole rows of {self.stride}")
            self.enter(False)
            with nogil:
                status = self.take(step, <const uint8_t *>view.buf,
                                   <uint32_t>(<size_t>view.len // self.stride), &error)
            self.busy = False
        finally:
            PyBuffer_Release(&view)
        check(status, &error)
        return 0

    def begin(self):
        """Begin a frame; drops one that was not ended."""
        cdef dl_error error
        cdef dl_status status
        self.enter(True)
        with nogil:
            status = self.start(&error)
        self.busy = False
        check(status, &error)

    def rows(self, data):
        """Code the next rows, any number of whole ones."""
        self.give(1, data)

    def end(self):
        """Return the coded frame: buffers that are good until the next frame begins."""
        cdef dl_piece pieces[4]
        cdef uint32_t count = 0
        cdef dl_error error
        self.enter(False)
        cdef dl_status status = self.finish(pieces, &count, &error)
        self.busy = False
        check(status, &error)
        return [self.piece(&pieces[i]) for i in range(count)]


cdef class JPEGLosslessEncoder(RasterEncoder):
    """Two passes: count() all rows, then rows() all of them again; or encode() a whole frame."""

    cdef dl_jpeg_lossless_encoder *encoder
    cdef dl_jpeg_lossless_options options

    def __cinit__(self, uint32_t rows, uint32_t columns, uint32_t samples, uint32_t sample_bytes,
                  uint32_t bits, bint signed, *, uint32_t predictor=1, uint32_t shift=0,
                  uint32_t restart_rows=0):
        self.shape(rows, columns, samples, sample_bytes, bits, signed)
        self.options = dl_jpeg_lossless_options(predictor, shift, restart_rows)
        self.bound()
        self.encoder = dl_jpeg_lossless_encoder_new(DL_VECTORS_BEST)
        if self.encoder == NULL:
            raise MemoryError()

    def __dealloc__(self):
        dl_jpeg_lossless_encoder_free(self.encoder)

    def bound(self):
        """Bytes that a coded frame has at most."""
        cdef uint64_t bound
        cdef dl_error error
        check(dl_jpeg_lossless_bound(&self.raster, &self.options, &bound, &error), &error)
        return bound

    cdef dl_status start(self, dl_error *error) noexcept nogil:
        return dl_jpeg_lossless_encode_begin(self.encoder, &self.raster, &self.options, error)

    cdef dl_status take(self, int step, const uint8_t *rows, uint32_t count,
                        dl_error *error) noexcept nogil:
        if step == 0:
            return dl_jpeg_lossless_encode_count(self.encoder, rows, count, self.stride, error)
        return dl_jpeg_lossless_encode_rows(self.encoder, rows, count, self.stride, error)

    cdef dl_status finish(self, dl_piece *pieces, uint32_t *count, dl_error *error) noexcept nogil:
        count[0] = 1
        return dl_jpeg_lossless_encode_end(self.encoder, pieces, error)

    def count(self, data):
        """Count what occurs in the next rows: the first pass."""
        self.give(0, data)

    def encode(self, data):
        """Return what end() does for a whole frame."""
        self.begin()
        self.give(0, data)
        self.give(1, data)
        return self.end()


cdef class JPEGLSEncoder(RasterEncoder):
    """A frame is given whole to encode(), or in lots of rows: begin(), rows() ..., end()."""

    cdef dl_jpeg_ls_encoder *encoder
    cdef dl_jpeg_ls_options options

    def __cinit__(self, uint32_t rows, uint32_t columns, uint32_t samples, uint32_t sample_bytes,
                  uint32_t bits, bint signed, *, uint32_t near=0, uint32_t interleave=2,
                  uint32_t restart_rows=0):
        self.shape(rows, columns, samples, sample_bytes, bits, signed)
        self.options = dl_jpeg_ls_options(near, interleave, restart_rows)
        self.bound()
        self.encoder = dl_jpeg_ls_encoder_new(DL_VECTORS_BEST)
        if self.encoder == NULL:
            raise MemoryError()

    def __dealloc__(self):
        dl_jpeg_ls_encoder_free(self.encoder)

    def bound(self):
        """Bytes that a coded frame has at most."""
        cdef uint64_t bound
        cdef dl_error error
        check(dl_jpeg_ls_bound(&self.raster, &self.options, &bound, &error), &error)
        return bound

    cdef dl_status start(self, dl_error *error) noexcept nogil:
        return dl_jpeg_ls_encode_begin(self.encoder, &self.raster, &self.options, error)

    cdef dl_status take(self, int step, const uint8_t *rows, uint32_t count,
                        dl_error *error) noexcept nogil:
        return dl_jpeg_ls_encode_rows(self.encoder, rows, count, self.stride, error)

    cdef dl_status finish(self, dl_piece *pieces, uint32_t *count, dl_error *error) noexcept nogil:
        return dl_jpeg_ls_encode_end(self.encoder, pieces, count, error)

    def encode(self, data):
        """Return what end() does for a whole frame."""
        self.begin()
        self.give(1, data)
        return self.end()


cdef class RasterDecoder:
    """A context that is used again for frames of any kind; for one thread at a time."""

    cdef bint busy

    cdef dl_status run(self, const uint8_t *data, size_t size, const dl_raster *raster,
                       uint8_t *out, size_t stride, dl_error *error) noexcept nogil:
        return no_codec(error)

    def decode(self, data, uint32_t rows, uint32_t columns, uint32_t samples,
               uint32_t sample_bytes, uint32_t bits, bint signed, into=None):
        """Decode one frame to little endian, color by pixel, into a buffer or a new bytearray."""
        cdef Py_buffer coded, out
        cdef dl_error error
        cdef dl_status status
        cdef dl_raster raster = dl_raster(rows, columns, samples, sample_bytes, bits, signed)
        cdef size_t stride = <size_t>columns * samples * sample_bytes, size = stride * rows
        PyObject_GetBuffer(data, &coded, PyBUF_SIMPLE)
        try:
            if into is None:
                into = PyByteArray_FromStringAndSize(NULL, size)
            PyObject_GetBuffer(into, &out, PyBUF_WRITABLE)
            try:
                if <size_t>out.len != size:
                    raise ValueError(f"expected a buffer of {size} bytes, found {out.len}")
                if self.busy:
                    raise RuntimeError("a decoder belongs to one thread at a time")
                self.busy = True
                with nogil:
                    status = self.run(<const uint8_t *>coded.buf, coded.len, &raster,
                                      <uint8_t *>out.buf, stride, &error)
                self.busy = False
            finally:
                PyBuffer_Release(&out)
        finally:
            PyBuffer_Release(&coded)
        check(status, &error)
        return into


cdef class JPEGLosslessDecoder(RasterDecoder):
    cdef dl_jpeg_lossless_decoder *decoder

    def __cinit__(self):
        self.decoder = dl_jpeg_lossless_decoder_new(DL_VECTORS_BEST)
        if self.decoder == NULL:
            raise MemoryError()

    def __dealloc__(self):
        dl_jpeg_lossless_decoder_free(self.decoder)

    cdef dl_status run(self, const uint8_t *data, size_t size, const dl_raster *raster,
                       uint8_t *out, size_t stride, dl_error *error) noexcept nogil:
        return dl_jpeg_lossless_decode(self.decoder, data, size, raster, out, stride, error)


cdef class JPEGLSDecoder(RasterDecoder):
    cdef dl_jpeg_ls_decoder *decoder

    def __cinit__(self):
        self.decoder = dl_jpeg_ls_decoder_new(DL_VECTORS_BEST)
        if self.decoder == NULL:
            raise MemoryError()

    def __dealloc__(self):
        dl_jpeg_ls_decoder_free(self.decoder)

    cdef dl_status run(self, const uint8_t *data, size_t size, const dl_raster *raster,
                       uint8_t *out, size_t stride, dl_error *error) noexcept nogil:
        return dl_jpeg_ls_decode(self.decoder, data, size, raster, out, stride, error)
