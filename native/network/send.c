#include <errno.h>

#include "dicomloom/network.h"

/* What is being sent: `buffer` is filled with whole PDUs, then goes to the wire. */
typedef struct sender {
    const dl_wire *wire;
    uint8_t *buffer;
    size_t capacity, length;
    double patience;
    uint32_t most; /* bytes of a fragment without its header */
    uint8_t context_id;
} sender;

static dl_status flush(sender *s, dl_error *error) {
    size_t at = 0;
    while (at < s->length) {
        size_t count = 0;
        dl_status status = s->wire->send(s->wire->context, s->buffer + at, s->length - at,
                                         dl_monotonic_seconds() + s->patience, &count, error);
        if (status != DL_OK) return status;
        at += count;
    }
    s->length = 0;
    return DL_OK;
}

static void store_u32(uint8_t *into, uint32_t value) {
    into[0] = (uint8_t)(value >> 24);
    into[1] = (uint8_t)(value >> 16);
    into[2] = (uint8_t)(value >> 8);
    into[3] = (uint8_t)value;
}

/* Begins a PDU of one fragment with `size` bytes; returns where these go. There is room. */
static uint8_t *begin(sender *s, uint32_t size, int control) {
    uint8_t *pdu = s->buffer + s->length;
    pdu[0] = DL_PDU_P_DATA;
    pdu[1] = 0;
    store_u32(pdu + 2, size + DL_FRAGMENT_HEADER);
    store_u32(pdu + 6, size + 2);
    pdu[10] = s->context_id;
    pdu[11] = (uint8_t)control;
    s->length += DL_PDU_HEADER + DL_FRAGMENT_HEADER + size;
    return pdu + DL_PDU_HEADER + DL_FRAGMENT_HEADER;
}

static dl_status read_all(const dl_source *source, uint64_t offset, uint8_t *into, size_t size,
                          dl_error *error) {
    while (size) {
        size_t got = 0;
        dl_status status = source->read_at(source->context, offset, into, size, &got, error);
        if (status != DL_OK) {
            char reason[DL_MESSAGE_SIZE / 2];
            int os_error = error ? error->os_error : 0;
            return dl_fail(error, DL_ERR_TRUNCATED, offset, "cannot read the file: %s",
                           dl_os_message(os_error, reason, sizeof reason));
        }
        if (got == 0)
            return dl_fail(error, DL_ERR_TRUNCATED, offset,
                           "the file ends within the data set that is being sent");
        offset += got;
        into += got;
        size -= got;
    }
    return DL_OK;
}

/* Puts one part of a message, a command set or a data set, into PDUs. One of an odd size, as
 * deflating makes them, is padded by a NUL (PS3.5 A.5). */
static dl_status put_part(sender *s, const dl_source *source, uint64_t start, uint64_t size,
                          int kind, dl_error *error) {
    const size_t headers = DL_PDU_HEADER + DL_FRAGMENT_HEADER;
    uint64_t left = size + size % 2;
    do { /* a part without a byte is one empty fragment */
        uint32_t count = left < s->most ? (uint32_t)left : s->most;
        if (s->capacity - s->length < headers + count) {
            dl_status status = flush(s, error);
            if (status != DL_OK) return status;
        }
        uint8_t *into = begin(s, count, kind | (count == left ? DL_FRAGMENT_LAST : 0));
        size_t stored = count < size ? count : (size_t)size;
        if (stored < count) into[stored] = 0;
        dl_status status = read_all(source, start, into, stored, error);
        if (status != DL_OK) return status;
        start += stored;
        size -= stored;
        left -= count;
    } while (left);
    return DL_OK;
}

dl_status dl_send_message(const dl_wire *wire, const dl_message *message, uint8_t *buffer,
                          size_t capacity, double patience, dl_error *error) {
    const size_t headers = DL_PDU_HEADER + DL_FRAGMENT_HEADER;
    if (capacity < DL_SENDER_LEAST || message->most <= DL_FRAGMENT_HEADER)
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "no room for a fragment");
    size_t most = capacity - headers;
    if (most > message->most - DL_FRAGMENT_HEADER) most = message->most - DL_FRAGMENT_HEADER;
    /* PS3.8 E.2: fragments have an even number of bytes, unless the peer takes only one. */
    if (most > 1) most -= most % 2;
    sender s = {.wire = wire,
                .buffer = buffer,
                .capacity = capacity,
                .patience = patience,
                .most = (uint32_t)most,
                .context_id = message->context_id};
    dl_source source;
    dl_memory memory = {message->command, message->command_size};
    dl_source_memory(&source, &memory);
    dl_status status = DL_OK;
    if (message->command)
        status = put_part(&s, &source, 0, message->command_size, DL_FRAGMENT_COMMAND, error);
    if (status == DL_OK && message->data) {
        memory = (dl_memory){message->data, (size_t)message->size};
        status = put_part(&s, &source, 0, message->size, 0, error);
    } else if (status == DL_OK && message->descriptor >= 0) {
        dl_source_descriptor(&source, message->descriptor);
        status = put_part(&s, &source, message->start, message->size, 0, error);
    }
    return status == DL_OK ? flush(&s, error) : status;
}
