# Included by the .pyx files, after errors.pxi: byte sources that are Python objects, which need the
# GIL.

from dicomloom.errors import LimitError, TruncatedError


cdef class PythonSource:
    """A dl_source over an object with read_at(offset, size) -> bytes and size() -> int."""

    cdef object reader
    cdef list failures  # where exceptions go whose class a dl_status cannot carry, or None
    cdef const dl_source *below  # for an inflating reader: where the deflated bytes are
    cdef uint64_t start

    def below_read(self, uint64_t offset, size_t size):
        """Read what the source below holds: the deflated bytes, from their first one on."""
        cdef bytes into = PyBytes_FromStringAndSize(NULL, size)
        cdef char *data = into
        cdef size_t got = 0
        cdef dl_error error
        cdef dl_status status
        if self.below == NULL:
            raise ValueError("the source has been closed")
        with nogil:
            status = self.below.read_at(self.below.context, self.start + offset, data, size, &got,
                                        &error)
        check(status, &error)
        return into[:got]


cdef dl_status python_failed(dl_error *error, uint64_t offset, list failures, failure) noexcept:
    cdef dl_status code = DL_ERR_CORRUPT
    if isinstance(failure, MemoryError):
        code = DL_ERR_MEMORY
    elif isinstance(failure, OSError):
        code = DL_ERR_IO
    elif isinstance(failure, LimitError):
        code = DL_ERR_LIMIT
    elif isinstance(failure, TruncatedError):
        code = DL_ERR_TRUNCATED
    # Even if what follows fails, for an exception is the caller's too, and can be anything.
    dl_fail(error, code, offset, "a source failed")
    try:
        if failures is not None:
            failures.append(failure)
        message = str(failure).encode("utf-8", "replace")[:150]
        dl_fail(error, code, offset, "%s", <const char *><bytes>message)
        if isinstance(failure, OSError) and failure.errno:
            error.os_error = failure.errno
    except BaseException:
        pass
    return code


cdef dl_status python_read_at(void *context, uint64_t offset, void *into, size_t size,
                              size_t *got, dl_error *error) noexcept with gil:
    cdef bytes data
    got[0] = 0
    try:
        data = bytes((<PythonSource>context).reader.read_at(offset, size))[:size]
        memcpy(into, <const char *>data, len(data))
        got[0] = len(data)
        return DL_OK
    except BaseException as failure:
        return python_failed(error, offset, (<PythonSource>context).failures, failure)


cdef dl_status python_size(void *context, uint64_t *size, dl_error *error) noexcept with gil:
    try:
        size[0] = (<PythonSource>context).reader.size()
        return DL_OK
    except BaseException as failure:
        return python_failed(error, 0, (<PythonSource>context).failures, failure)


cdef void python_close(void *context) noexcept with gil:
    (<PythonSource>context).reader = None  # an inflating reader holds us: end the cycle
    (<PythonSource>context).below = NULL
    Py_DECREF(<object>context)


cdef void fill_python_source(dl_source *source, PythonSource state) noexcept:
    Py_INCREF(state)
    source.context = <void *>state
    source.read_at = python_read_at
    source.size = python_size
    source.close = python_close
