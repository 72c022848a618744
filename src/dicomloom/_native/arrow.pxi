# Included by scan.pyx: tables as a stream, through the Arrow PyCapsule interface.

cdef extern from *:
    """
    /* The Arrow C stream interface, a published ABI. */
    struct ArrowArrayStream {
        int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *);
        int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *);
        const char *(*get_last_error)(struct ArrowArrayStream *);
        void (*release)(struct ArrowArrayStream *);
        void *private_data;
    };
    """
    struct ArrowArrayStream:
        int (*get_schema)(ArrowArrayStream *, ArrowSchema *) noexcept
        int (*get_next)(ArrowArrayStream *, ArrowArray *) noexcept
        const char *(*get_last_error)(ArrowArrayStream *) noexcept
        void (*release)(ArrowArrayStream *) noexcept
        void *private_data


cdef class StreamState:
    cdef object tables  # an iterator of Table
    cdef tuple names
    cdef tuple types
    cdef bytes message


cdef int stream_failed(StreamState state, error) noexcept:
    # Even if what follows fails, for an exception of whoever makes the tables can be anything: a
    # failure that were none would be a stream that ends.
    state.message = b"a table failed"
    try:
        state.message = f"{type(error).__name__}: {error}".encode("utf-8", "replace")
    except BaseException:
        pass
    return EIO


cdef int stream_schema(ArrowArrayStream *stream, ArrowSchema *schema) noexcept with gil:
    cdef StreamState state = <StreamState>stream.private_data
    try:
        return fill_schema(schema, state.names, state.types)
    except BaseException as error:
        return stream_failed(state, error)


cdef int stream_next(ArrowArrayStream *stream, ArrowArray *array) noexcept with gil:
    cdef StreamState state = <StreamState>stream.private_data
    cdef Table table
    try:
        table = next(state.tables, None)
        if table is None:
            memset(array, 0, sizeof(ArrowArray))
            return 0
        return table.fill_array(array)
    except BaseException as error:
        return stream_failed(state, error)


cdef const char *stream_error(ArrowArrayStream *stream) noexcept with gil:
    cdef StreamState state = <StreamState>stream.private_data
    return NULL if state.message is None else <const char *>state.message


cdef void stream_release(ArrowArrayStream *stream) noexcept with gil:
    Py_DECREF(<object>stream.private_data)
    stream.release = NULL
    stream.private_data = NULL


cdef void free_stream_capsule(object capsule) noexcept:
    cdef ArrowArrayStream *stream = <ArrowArrayStream *>PyCapsule_GetPointer(
        capsule, "arrow_array_stream"
    )
    if stream.release != NULL:
        stream.release(stream)
    free(stream)


def stream_capsule(tables, tuple names, tuple types):
    """An ArrowArrayStream over an iterator of Table."""
    cdef StreamState state = StreamState.__new__(StreamState)
    cdef ArrowArrayStream *stream
    state.tables = tables
    state.names = names
    state.types = types
    stream = <ArrowArrayStream *>calloc(1, sizeof(ArrowArrayStream))
    if stream == NULL:
        raise MemoryError()
    Py_INCREF(state)
    stream.get_schema = stream_schema
    stream.get_next = stream_next
    stream.get_last_error = stream_error
    stream.release = stream_release
    stream.private_data = <void *>state
    return PyCapsule_New(
        stream, "arrow_array_stream", <void (*)(object) noexcept>free_stream_capsule
    )
