#include <errno.h>

#include "dicomloom/network.h"

void dl_receiver_open(dl_receiver *receiver, const dl_wire *wire, uint8_t *buffer, size_t capacity,
                      uint32_t most, double patience) {
    *receiver = (dl_receiver){
        .wire = wire, .buffer = buffer, .capacity = capacity, .most = most, .patience = patience};
}

dl_status dl_receiver_put(dl_receiver *receiver, const uint8_t *data, size_t size,
                          dl_error *error) {
    if (size > receiver->capacity - receiver->length)
        return dl_fail(error, DL_ERR_ARGUMENT, 0, "more bytes than the receiver has room for");
    if (size) memcpy(receiver->buffer + receiver->length, data, size);
    receiver->length += size;
    receiver->received += size;
    return DL_OK;
}

static size_t held(const dl_receiver *receiver) { return receiver->length - receiver->at; }

/* Where in all that was received the receiver stands. */
static uint64_t position(const dl_receiver *receiver) {
    return receiver->received - held(receiver);
}

/* Receives once; the end of the connection shows as *more == false. */
static dl_status receive_some(dl_receiver *receiver, double deadline, bool *more, dl_error *error) {
    /* What waits here is a part of a header, or nothing: all the room is for what comes. */
    if (receiver->at) {
        memmove(receiver->buffer, receiver->buffer + receiver->at, held(receiver));
        receiver->length -= receiver->at;
        receiver->at = 0;
    }
    size_t count = 0;
    double began = dl_monotonic_seconds();
    dl_status status =
        receiver->wire->receive(receiver->wire->context, receiver->buffer + receiver->length,
                                receiver->capacity - receiver->length, deadline, &count, error);
    receiver->waited += dl_monotonic_seconds() - began;
    if (status != DL_OK) return status;
    receiver->length += count;
    receiver->received += count;
    *more = count > 0;
    return DL_OK;
}

/* Has at least `size` bytes, no more than DL_RECEIVER_LEAST, in the buffer, in time for the PDU. */
static dl_status need(dl_receiver *receiver, size_t size, dl_error *error) {
    while (held(receiver) < size) {
        bool more = false;
        dl_status status = receive_some(receiver, receiver->deadline, &more, error);
        if (status != DL_OK) return status;
        if (!more)
            return dl_fail(error, DL_ERR_TRUNCATED, position(receiver),
                           "the connection ended within a PDU");
    }
    return DL_OK;
}

static dl_status begin_pdu(dl_receiver *receiver, double deadline, dl_arrival *arrival,
                           dl_error *error) {
    if (held(receiver) == 0) {
        bool more = false;
        dl_status status = receive_some(receiver, deadline, &more, error);
        if (status == DL_ERR_IO && error->os_error == ETIMEDOUT) {
            *arrival = DL_ARRIVED_NOTHING;
            return DL_OK;
        }
        if (status != DL_OK) return status;
        if (!more) {
            *arrival = DL_ARRIVED_END;
            return DL_OK;
        }
    }
    receiver->deadline = dl_monotonic_seconds() + receiver->patience;
    if (receiver->buffer[receiver->at] != DL_PDU_P_DATA) {
        *arrival = DL_ARRIVED_OTHER;
        return DL_OK;
    }
    dl_status status = need(receiver, DL_PDU_HEADER, error);
    if (status != DL_OK) return status;
    uint32_t length = dl_load_u32(receiver->buffer + receiver->at + 2, true);
    if (length > receiver->most)
        return dl_fail(error, DL_ERR_LIMIT, position(receiver),
                       "expected at most %u bytes in a PDU of type 04H, found %u", receiver->most,
                       length);
    receiver->at += DL_PDU_HEADER;
    receiver->pdu_left = length;
    *arrival = DL_ARRIVED_FRAGMENT;
    return DL_OK;
}

dl_status dl_receive_fragment(dl_receiver *receiver, double deadline, dl_arrival *arrival,
                              dl_error *error) {
    if (receiver->left)
        return dl_fail(error, DL_ERR_ARGUMENT, position(receiver), "a fragment is not consumed");
    *arrival = DL_ARRIVED_FRAGMENT;
    while (receiver->pdu_left == 0) {
        dl_status status = begin_pdu(receiver, deadline, arrival, error);
        if (status != DL_OK || *arrival != DL_ARRIVED_FRAGMENT) return status;
        /* A P-DATA-TF with nothing in it breaks PS3.8 9.3.5, and one after the other would be a way
         * to keep us busy. */
        if (receiver->pdu_left == 0)
            return dl_fail(error, DL_ERR_CORRUPT, position(receiver),
                           "expected a presentation data value in a PDU of type 04H, found none");
    }
    if (receiver->pdu_left < DL_FRAGMENT_HEADER)
        return dl_fail(error, DL_ERR_CORRUPT, position(receiver),
                       "expected a presentation data value, found %u bytes at the end of a PDU",
                       receiver->pdu_left);
    dl_status status = need(receiver, DL_FRAGMENT_HEADER, error);
    if (status != DL_OK) return status;
    const uint8_t *header = receiver->buffer + receiver->at;
    uint32_t length = dl_load_u32(header, true);
    if (length < 2 || length > receiver->pdu_left - 4)
        return dl_fail(error, DL_ERR_CORRUPT, position(receiver),
                       "a presentation data value of %u bytes, where its PDU has %u left", length,
                       receiver->pdu_left - 4);
    receiver->context_id = header[4];
    receiver->control = header[5];
    receiver->at += DL_FRAGMENT_HEADER;
    receiver->pdu_left -= DL_FRAGMENT_HEADER;
    receiver->left = length - 2;
    return DL_OK;
}

static dl_status put(dl_sink *sink, const uint8_t *data, size_t size, uint64_t offset,
                     dl_error *error) {
    sink->size += size;
    if (sink->size > sink->most)
        return dl_fail(error, DL_ERR_LIMIT, offset, "expected at most %llu bytes, found more",
                       (unsigned long long)sink->most);
    if (sink->memory) {
        if (dl_bytes_append(sink->memory, data, size) != DL_OK)
            return dl_fail(error, DL_ERR_MEMORY, offset, "no memory for a message");
    } else if (sink->descriptor >= 0 && !sink->os_error) {
        sink->os_error = dl_descriptor_write(sink->descriptor, data, size);
    }
    return DL_OK;
}

static dl_status consume(dl_receiver *receiver, dl_sink *sink, dl_error *error) {
    while (receiver->left) {
        dl_status status = held(receiver) ? DL_OK : need(receiver, 1, error);
        if (status != DL_OK) return status;
        size_t size = held(receiver) < receiver->left ? held(receiver) : receiver->left;
        const uint8_t *data = receiver->buffer + receiver->at;
        /* Consumed whatever becomes of it: after DL_ERR_LIMIT the rest can still be thrown away. */
        receiver->at += size;
        receiver->left -= (uint32_t)size;
        receiver->pdu_left -= (uint32_t)size;
        status = put(sink, data, size, position(receiver), error);
        if (status != DL_OK) return status;
    }
    return DL_OK;
}

dl_status dl_receive_part(dl_receiver *receiver, dl_sink *sink, dl_error *error) {
    uint8_t context_id = receiver->context_id, kind = receiver->control & DL_FRAGMENT_COMMAND;
    double waited = receiver->waited;
    uint64_t had = receiver->received;
    for (;;) {
        dl_status status = consume(receiver, sink, error);
        if (status != DL_OK) return status;
        if (receiver->control & DL_FRAGMENT_LAST) return DL_OK;
        dl_arrival arrival;
        if (receiver->waited - waited > receiver->patience) {
            /* Each PDU is in time, and the message never ends: a byte a second, say. */
            if (receiver->received - had < DL_RECEIVER_PACE)
                return dl_fail_os(error, ETIMEDOUT, NULL);
            waited = receiver->waited;
            had = receiver->received;
        }
        status = dl_receive_fragment(receiver, dl_monotonic_seconds() + receiver->patience,
                                     &arrival, error);
        if (status != DL_OK) return status;
        if (arrival == DL_ARRIVED_NOTHING) return dl_fail_os(error, ETIMEDOUT, NULL);
        if (arrival != DL_ARRIVED_FRAGMENT)
            return dl_fail(error, DL_ERR_TRUNCATED, position(receiver),
                           "the association ended within a message");
        if (receiver->context_id != context_id || (receiver->control & DL_FRAGMENT_COMMAND) != kind)
            return dl_fail(error, DL_ERR_CORRUPT, position(receiver),
                           "a fragment of another message before the last one of context %u",
                           context_id);
    }
}
