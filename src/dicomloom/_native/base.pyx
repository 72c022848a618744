# cython: language_level=3, embedsignature=True
"""native/base for Python: what the standard library does not have on every system."""

from libc.stdint cimport uint8_t, uint64_t

from dicomloom._native.core cimport (
    DL_OK,
    dl_error,
    dl_source,
    dl_source_descriptor,
    dl_status,
)

import os


def read_into(int descriptor, uint8_t[::1] into not None, uint64_t offset):
    """Fill what the system gives of a buffer with the bytes at `offset`: how many these are."""
    cdef dl_source source
    cdef dl_error error
    cdef dl_status status = DL_OK
    cdef size_t got = 0
    cdef size_t size = len(into)
    if size:
        dl_source_descriptor(&source, descriptor)  # not closed: the descriptor is the caller's
        with nogil:
            status = source.read_at(source.context, offset, &into[0], size, &got, &error)
    if status != DL_OK:
        raise OSError(error.os_error, os.strerror(error.os_error))
    return got
