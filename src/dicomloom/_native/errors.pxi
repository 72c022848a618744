# Included by the .pyx files: a dl_error as the exception to raise.

from dicomloom.errors import from_native

cdef dict CODES = {
    DL_ERR_MEMORY: "memory",
    DL_ERR_IO: "io",
    DL_ERR_NOT_DICOM: "not-dicom",
    DL_ERR_TRUNCATED: "truncated",
    DL_ERR_CORRUPT: "corrupt",
    DL_ERR_LIMIT: "limit",
    DL_ERR_UNSUPPORTED: "unsupported",
    DL_ERR_ARGUMENT: "argument",
    DL_ERR_PIXEL: "pixel",
    DL_ERR_STOPPED: "stopped",
}


cdef object error_of(const dl_error *error, path=None):
    return from_native(
        CODES.get(error.code, "argument"),
        error.message.decode("utf-8", "replace"),
        error.os_error,
        error.offset,
        error.tag,
        path,
    )


cdef check(dl_status status, const dl_error *error, path=None):
    if status == DL_ERR_MEMORY:
        raise MemoryError()
    if status != DL_OK:
        raise error_of(error, path)
