#include "jpeg_markers.h"

#include <stdarg.h>
#include <stdio.h>

static bool stands_alone(unsigned marker) {
    return marker == 0x01 || (marker >= DL_RST0 && marker <= DL_EOI);
}

dl_status dl_jpeg_start(dl_jpeg_stream *stream, dl_error *error) {
    const uint8_t *data = stream->data;
    size_t at = 0;
    while (at < stream->size && data[at] == 0xFF) at++;
    if (at == stream->size || at == 0 || data[at] != DL_SOI)
        return dl_fail(error, DL_ERR_CORRUPT, at, "expected %s (FF D8), found %s", stream->name,
                       stream->size ? "other bytes" : "nothing");
    stream->at = at + 1;
    return DL_OK;
}

dl_status dl_jpeg_next(dl_jpeg_stream *stream, dl_jpeg_segment *segment, dl_error *error) {
    const uint8_t *data = stream->data;
    size_t size = stream->size, at = stream->at;
    if (at < size && data[at] != 0xFF)
        return dl_fail(error, DL_ERR_CORRUPT, at, "%s: expected a marker at byte %zu, found %02X",
                       stream->name, at, data[at]);
    while (at < size && data[at] == 0xFF) at++; /* B.1.1.2: any number of fill bytes */
    if (at >= size)
        return dl_fail(error, DL_ERR_TRUNCATED, at,
                       "%s: expected a marker at byte %zu, where the stream ends", stream->name,
                       at);
    *segment = (dl_jpeg_segment){data[at], at - 1, NULL, 0};
    stream->at = ++at;
    if (stands_alone(segment->marker)) return DL_OK;
    size_t length = size - at >= 2 ? dl_jpeg_u16(data + at) : 2;
    if (length < 2)
        return dl_fail(error, DL_ERR_CORRUPT, at, "%s: segment FF %02X at byte %zu says length %zu",
                       stream->name, segment->marker, segment->at, length);
    if (size - at < length)
        return dl_fail(error, DL_ERR_TRUNCATED, size,
                       "%s: segment FF %02X at byte %zu says length %zu, %zu bytes are left",
                       stream->name, segment->marker, segment->at, length, size - at);
    segment->body = data + at + 2;
    segment->size = length - 2;
    stream->at = at + length;
    return DL_OK;
}

void dl_jpeg_skip_scan(dl_jpeg_stream *stream) {
    const uint8_t *at = stream->data + stream->at, *end = stream->data + stream->size;
    while (at < end && (at = memchr(at, 0xFF, (size_t)(end - at))) != NULL) {
        if (end - at < 2) break;
        unsigned next = at[1];
        if (next >= 0x80 && next != 0xFF && (next & 0xF8) != DL_RST0) {
            stream->at = (size_t)(at - stream->data);
            return;
        }
        at++;
    }
    stream->at = stream->size;
}

dl_status dl_jpeg_bad(const dl_jpeg_stream *stream, const dl_jpeg_segment *segment, dl_error *error,
                      const char *format, ...) {
    char what[DL_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return dl_fail(error, DL_ERR_CORRUPT, segment->at, "%s: segment FF %02X at byte %zu %.120s",
                   stream->name, segment->marker, segment->at, what);
}
