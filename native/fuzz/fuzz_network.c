/* Any bytes as what a connection brings: however they are cut, the fragments are those that PS3.8
 * 9.3.5 and E.2 say, no more of a part is kept than is allowed, and what is too much can be thrown
 * away. The same bytes as a message: what is sent is what is received.
 *
 * Four bytes choose how bytes are cut, how large a PDU may be, how large a part, and how a message
 * is divided; the rest is what comes. */
#include "fuzz.h"

#include "../tests/wires.h"

enum { CHOICES = 4, CAPACITY = DL_RECEIVER_LEAST };

static uint8_t incoming[CAPACITY], outgoing[CAPACITY];
static meaning m;

/* Below 64 as it is; else some tens of thousands. */
static uint32_t size_of(uint8_t choice) { return choice < 64 ? choice : (uint32_t)choice << 8; }

static bringing cut_by(const uint8_t *choices, const uint8_t *data, size_t size) {
    return (bringing){.data = data, .size = size, .step = choices[0] / 2, .random = choices[0] % 2};
}

static void open_receiver(dl_receiver *receiver, dl_wire *wire, bringing *b, uint32_t most) {
    *wire = (dl_wire){.context = b, .receive = bring};
    dl_receiver_open(receiver, wire, incoming, CAPACITY, most, 10);
}

static void fragments(const uint8_t *choices, const uint8_t *data, size_t size) {
    uint32_t most = size_of(choices[1]);
    understand(&m, data, size, most);
    bringing b = cut_by(choices, data, size);
    dl_receiver receiver;
    dl_wire wire;
    open_receiver(&receiver, &wire, &b, most);
    check_received(&m, data, &receiver);
}

/* Parts above the limit cost themselves, not what comes after them. */
static void limits(const uint8_t *choices, const uint8_t *data, size_t size) {
    uint64_t limit = size_of(choices[2]);
    bringing b = cut_by(choices, data, size);
    dl_receiver receiver;
    dl_wire wire;
    dl_error error;
    dl_status status;
    size_t next = 0;
    open_receiver(&receiver, &wire, &b, size_of(choices[1]));
    do {
        dl_arrival arrival;
        status = dl_receive_fragment(&receiver, 0, &arrival, &error);
        if (status != DL_OK || arrival != DL_ARRIVED_FRAGMENT) break;
        CHECK(next < m.count);
        dl_bytes part = {0};
        dl_sink sink = {.memory = &part, .descriptor = -1, .most = limit};
        dl_sink nowhere = {.descriptor = -1, .most = UINT64_MAX};
        status = dl_receive_part(&receiver, &sink, &error);
        CHECK(part.length <= limit);
        if (status == DL_ERR_LIMIT && sink.size > limit) {
            status = dl_receive_part(&receiver, &nowhere, &error);
            sink.size += nowhere.size;
        }
        uint64_t whole = 0;
        bool last = false;
        for (size_t first = next; next < m.count && !last; next++) {
            if (!same_part(&m.fragments[first], &m.fragments[next])) break;
            whole += m.fragments[next].size;
            last = m.fragments[next].control & DL_FRAGMENT_LAST && !m.fragments[next].cut;
        }
        CHECK(sink.size == whole && (status == DL_OK) == last);
        dl_bytes_free(&part);
    } while (status == DL_OK);
}

static void receive_part(dl_receiver *receiver, int kind, const uint8_t *data, size_t size) {
    dl_arrival arrival;
    dl_error error;
    dl_bytes part = {0};
    dl_sink sink = {.memory = &part, .descriptor = -1, .most = UINT64_MAX};
    CHECK(dl_receive_fragment(receiver, 0, &arrival, &error) == DL_OK);
    CHECK(arrival == DL_ARRIVED_FRAGMENT && (receiver->control & DL_FRAGMENT_COMMAND) == kind);
    CHECK(dl_receive_part(receiver, &sink, &error) == DL_OK);
    CHECK(part.length == size + size % 2 && (size % 2 == 0 || part.data[size] == 0));
    CHECK(size == 0 || memcmp(part.data, data, size) == 0);
    dl_bytes_free(&part);
}

static void round_trip(const uint8_t *choices, const uint8_t *data, size_t size) {
    size_t command_size = choices[3] < size ? choices[3] : size;
    /* A PDU a byte is slow. */
    uint32_t most = 7 + size_of(choices[1]) + (size > 4096 ? 256 : 0);
    taking t = {.step = choices[0], .random = choices[0] % 2};
    dl_wire out = {.context = &t, .send = take};
    dl_error error;
    dl_message message = {.command = data,
                          .command_size = command_size,
                          .data = data + command_size,
                          .descriptor = -1,
                          .size = size - command_size,
                          .most = most,
                          .context_id = choices[2]};
    CHECK(dl_send_message(&out, &message, outgoing, CAPACITY, 10, &error) == DL_OK);
    bringing b = cut_by(choices, t.taken.data, t.taken.length);
    dl_receiver receiver;
    dl_wire in;
    open_receiver(&receiver, &in, &b, most);
    receive_part(&receiver, DL_FRAGMENT_COMMAND, data, command_size);
    CHECK(receiver.context_id == choices[2]);
    receive_part(&receiver, 0, data + command_size, size - command_size);
    CHECK(b.at == b.size && receiver.at == receiver.length);
    dl_bytes_free(&t.taken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    /* What the model holds, at a fragment in six bytes. */
    if (size < CHOICES || size - CHOICES > 6 * MOST_FRAGMENTS) return 0;
    const uint8_t *choices = data;
    data += CHOICES;
    size -= CHOICES;
    fragments(choices, data, size);
    limits(choices, data, size);
    round_trip(choices, data, size);
    return 0;
}
