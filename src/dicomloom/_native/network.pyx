# cython: language_level=3, embedsignature=True
"""native/network for Python: conversion, lifetimes, and the GIL; no policy."""

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.errno cimport ETIMEDOUT
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from dicomloom._native.core cimport *

import os
import struct

include "errors.pxi"

# Of each direction; a PDU of the usual 128 KiB goes out and comes in at one go.
cdef enum:
    CAPACITY = 270336  # 264 KiB; as a shift it stops Cython with overflowcheck

FRAGMENT, OTHER, END, NOTHING = (
    DL_ARRIVED_FRAGMENT, DL_ARRIVED_OTHER, DL_ARRIVED_END, DL_ARRIVED_NOTHING
)


cdef dl_status heed_signals(void *context, dl_error *error) noexcept with gil:
    try:
        PyErr_CheckSignals()
        return DL_OK
    except BaseException as failure:
        (<Fragments>context).failure = failure
        return dl_fail(error, DL_ERR_STOPPED, 0, "interrupted")


cdef dl_status python_failed(Fragments self, dl_error *error, failure) noexcept:
    if isinstance(failure, TimeoutError):
        return dl_fail_os(error, ETIMEDOUT, NULL)
    self.failure = failure
    return dl_fail(error, DL_ERR_IO, 0, "the connection failed")


cdef dl_status python_receive(void *context, void *into, size_t room, double deadline,
                              size_t *count, dl_error *error) noexcept with gil:
    cdef Fragments self = <Fragments>context
    count[0] = 0
    cdef size_t got
    try:
        got = self.connection.receive(<uint8_t[:room]>into, deadline - dl_monotonic_seconds())
        if got > room:
            raise ValueError(f"{got} bytes received where there is room for {room}")
        count[0] = got
        return DL_OK
    except BaseException as failure:
        return python_failed(self, error, failure)


cdef dl_status python_send(void *context, const void *data, size_t size, double deadline,
                           size_t *count, dl_error *error) noexcept with gil:
    cdef Fragments self = <Fragments>context
    count[0] = 0
    cdef size_t gone
    try:
        gone = self.connection.send(
            <uint8_t[:size]><uint8_t *>data, deadline - dl_monotonic_seconds()
        )
        if gone > size:
            raise ValueError(f"{gone} bytes sent of {size}")
        count[0] = gone
        return DL_OK
    except BaseException as failure:
        return python_failed(self, error, failure)


cdef class Fragments:
    """The fragments of the messages of an association, both ways.

    Parameters
    ----------
    connection : int or object
        A connected socket's descriptor, which stays open, or an object with
        receive(buffer, seconds) -> int and send(buffer, seconds) -> int, which raise an OSError,
        TimeoutError after so many seconds.
    most : int
        Bytes of the largest PDU that is taken.
    patience : float
        Seconds that a PDU may take.
    """

    cdef dl_wire wire
    cdef dl_socket socket
    cdef dl_receiver receiver
    cdef object connection, failure
    cdef uint8_t *outgoing
    cdef double patience

    def __cinit__(self, connection, uint32_t most, double patience):
        cdef uint8_t *incoming
        self.patience = patience
        if isinstance(connection, int):
            self.socket.descriptor = connection
            self.socket.waiting = heed_signals
            self.socket.context = <void *>self
            self.wire.context = &self.socket
            self.wire.receive = dl_socket_receive
            self.wire.send = dl_socket_send
        else:
            self.connection = connection
            self.wire.context = <void *>self
            self.wire.receive = python_receive
            self.wire.send = python_send
        incoming = <uint8_t *>PyMem_Malloc(CAPACITY)
        self.outgoing = <uint8_t *>PyMem_Malloc(CAPACITY)
        dl_receiver_open(&self.receiver, &self.wire, incoming, CAPACITY, most, patience)
        if incoming == NULL or self.outgoing == NULL:
            raise MemoryError()

    def __dealloc__(self):
        PyMem_Free(self.receiver.buffer)
        PyMem_Free(self.outgoing)

    cdef check(self, dl_status status, const dl_error *error):
        if status == DL_OK:
            return
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        if status == DL_ERR_IO:
            raise OSError(error.os_error, os.strerror(error.os_error))
        check(status, error)

    def put(self, const uint8_t[::1] data not None):
        """Let these bytes come before all that is received."""
        cdef dl_error error
        if len(data):
            self.check(dl_receiver_put(&self.receiver, &data[0], len(data), &error), &error)

    def rest(self):
        """Take away what was received beyond the last fragment; nothing within a fragment."""
        if self.receiver.left:
            return b""
        cdef bytes made = PyBytes_FromStringAndSize(
            <char *>self.receiver.buffer + self.receiver.at,
            self.receiver.length - self.receiver.at,
        )
        if self.receiver.pdu_left:
            # Whoever goes on needs to see the fragments that are left of a PDU as one.
            made = struct.pack(">BxL", DL_PDU_P_DATA, self.receiver.pdu_left) + made
        self.receiver.at = self.receiver.length = self.receiver.pdu_left = 0
        return made

    def arrive(self, double seconds):
        """Wait so many seconds for a fragment: FRAGMENT, OTHER, END or NOTHING."""
        cdef dl_arrival arrival = DL_ARRIVED_NOTHING
        cdef dl_error error
        cdef dl_status status
        with nogil:
            status = dl_receive_fragment(
                &self.receiver, dl_monotonic_seconds() + seconds, &arrival, &error
            )
        self.check(status, &error)
        return <int>arrival

    @property
    def context_id(self):
        return self.receiver.context_id

    @property
    def is_command(self):
        """Whether the fragment at hand is of a command set."""
        return bool(self.receiver.control & DL_FRAGMENT_COMMAND)

    def read_part(self, uint64_t most):
        """Take the rest of a command set or data set: bytes."""
        cdef dl_sink sink
        cdef dl_bytes memory
        memset(&memory, 0, sizeof(memory))
        memset(&sink, 0, sizeof(sink))
        sink.memory = &memory
        sink.descriptor = -1
        sink.most = most
        try:
            self.receive_part(&sink)
            return PyBytes_FromStringAndSize(<char *>memory.data, memory.length)
        finally:
            dl_bytes_free(&memory)

    def write_part(self, int descriptor, uint64_t most):
        """Write the rest of a data set (-1: nowhere): (its size, errno of the writing or 0)."""
        cdef dl_sink sink
        memset(&sink, 0, sizeof(sink))
        sink.descriptor = descriptor
        sink.most = most
        self.receive_part(&sink)
        return sink.size, sink.os_error

    cdef receive_part(self, dl_sink *sink):
        cdef dl_error error
        cdef dl_status status
        with nogil:
            status = dl_receive_part(&self.receiver, sink, &error)
        self.check(status, &error)

    def send(self, uint8_t context_id, uint32_t most, bytes command not None, data):
        """Send a message in PDUs of at most `most` bytes.

        `data` is None, bytes, or (descriptor, start, end) of a file.
        """
        cdef dl_message message
        cdef dl_error error
        cdef dl_status status
        memset(&message, 0, sizeof(message))
        message.command = <const uint8_t *>PyBytes_AsString(command)
        message.command_size = len(command)
        message.context_id = context_id
        message.most = most
        message.descriptor = -1
        if isinstance(data, bytes):
            message.data = <const uint8_t *>PyBytes_AsString(data)
            message.size = len(data)
        elif data is not None:
            message.descriptor, message.start, end = data
            message.size = end - message.start
        with nogil:
            status = dl_send_message(
                &self.wire, &message, self.outgoing, CAPACITY, self.patience, &error
            )
        self.check(status, &error)
