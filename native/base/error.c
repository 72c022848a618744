#if defined(__linux__)
#define _GNU_SOURCE /* the strerror_r that returns a string */
#endif
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "dicomloom/base.h"

dl_status dl_fail(dl_error *error, dl_status code, uint64_t offset, const char *format, ...) {
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
        error->code = code;
        error->os_error = 0;
        error->tag = 0;
        error->offset = offset;
    }
    return code;
}

const char *dl_os_message(int os_error, char *into, size_t size) {
#if defined(_WIN32)
    if (strerror_s(into, size, os_error) != 0) (void)snprintf(into, size, "error %d", os_error);
    return into;
#elif defined(__GLIBC__)
    return strerror_r(os_error, into, size);
#else
    if (strerror_r(os_error, into, size) != 0) (void)snprintf(into, size, "error %d", os_error);
    return into;
#endif
}

dl_status dl_fail_os(dl_error *error, int os_error, const char *what) {
    char reason[100];
    /* Lower case: the reasons stand inside a sentence, and "permission denied" is what people grep.
     */
    const char *text = dl_os_message(os_error, reason, sizeof reason);
    char first = text[0] >= 'A' && text[0] <= 'Z' ? (char)(text[0] - 'A' + 'a') : text[0];
    const char *rest = first ? text + 1 : text;
    if (what)
        (void)dl_fail(error, DL_ERR_IO, 0, "%s: %c%s", what, first, rest);
    else
        (void)dl_fail(error, DL_ERR_IO, 0, "%c%s", first, rest);
    if (error) error->os_error = os_error;
    return DL_ERR_IO;
}
