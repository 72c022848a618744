/* native/network: P-DATA-TF PDUs (PS3.8 9.3.5 and E.2): files to fragments, fragments to files.
 *
 * What an association says apart from that is not for this room: where anything but P-DATA-TF
 * comes, it is left in the buffer for whoever understands it. */
#ifndef DICOMLOOM_NETWORK_H
#define DICOMLOOM_NETWORK_H

#include "dicomloom/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A connection: a socket, or whatever encrypts over one. A `deadline` is of dl_monotonic_seconds.
 * What takes longer is a DL_ERR_IO with os_error ETIMEDOUT. */
typedef struct dl_wire {
    void *context;
    /* Gives 1 to `room` bytes; 0 at the end of the connection. */
    dl_status (*receive)(void *context, void *into, size_t room, double deadline, size_t *count,
                         dl_error *error);
    /* Takes 1 to `size` bytes. */
    dl_status (*send)(void *context, const void *data, size_t size, double deadline, size_t *count,
                      dl_error *error);
} dl_wire;

#define DL_PDU_HEADER 6
#define DL_FRAGMENT_HEADER 6 /* length, context ID, message control header */
#define DL_FRAGMENT_COMMAND 1
#define DL_FRAGMENT_LAST 2
#define DL_PDU_P_DATA 4

/* --- receiving ---------------------------------------------------------------------------------
 */

typedef enum dl_arrival {
    DL_ARRIVED_FRAGMENT, /* the receiver stands at a fragment's first byte */
    DL_ARRIVED_OTHER,    /* a PDU of another type begins at dl_receiver.at of the buffer */
    DL_ARRIVED_END,      /* the connection has ended */
    DL_ARRIVED_NOTHING   /* nothing began within the time */
} dl_arrival;

/* Takes fragments out of what a connection brings. Holds one buffer. */
typedef struct dl_receiver {
    const dl_wire *wire;
    double patience;             /* seconds that a PDU may take from its first byte to its last */
    double deadline;             /* of the PDU at hand */
    double waited;               /* seconds for bytes; what their sink takes is not the peer's */
    uint32_t most;               /* bytes of the largest PDU that is taken, without its header */
    uint32_t pdu_left;           /* bytes of the PDU at hand that are not consumed */
    uint32_t left;               /* bytes of the fragment at hand that are not consumed */
    uint8_t context_id, control; /* of the fragment at hand */
    uint8_t *buffer;
    size_t capacity, at, length; /* consumed up to `at`, filled up to `length` */
    uint64_t received;           /* bytes since the beginning, for errors */
} dl_receiver;

/* `buffer` of `capacity` bytes, DL_RECEIVER_LEAST at least, stays the caller's. */
#define DL_RECEIVER_LEAST 4096
void dl_receiver_open(dl_receiver *receiver, const dl_wire *wire, uint8_t *buffer, size_t capacity,
                      uint32_t most, double patience);

/* Bytes that were received from the wire, or elsewhere before, and are not consumed: no more than
 * capacity. */
DL_NODISCARD dl_status dl_receiver_put(dl_receiver *receiver, const uint8_t *data, size_t size,
                                       dl_error *error);

/* Goes to the next fragment; what is left of the one at hand must be consumed. Waits until
 * `deadline` for a PDU to begin. DL_ERR_CORRUPT: lengths that contradict each other (PS3.8
 * 9.3.5.1); DL_ERR_LIMIT: a PDU larger than `most`; DL_ERR_TRUNCATED: the end within a PDU. */
DL_NODISCARD dl_status dl_receive_fragment(dl_receiver *receiver, double deadline,
                                           dl_arrival *arrival, dl_error *error);

/* Where the bytes of a message go. */
typedef struct dl_sink {
    dl_bytes *memory; /* appended to when not NULL, */
    int descriptor;   /* else written here when not -1, else thrown away */
    int os_error;     /* why writing failed: from then on bytes are thrown away; 0: it did not */
    uint64_t most;    /* DL_ERR_LIMIT as soon as there are more */
    uint64_t size;    /* bytes that came, written or not */
} dl_sink;

/* Brings the rest of a message's command set or data set, whichever the fragment at hand is of, to
 * a sink. After it the next fragment is of another part, or message. DL_ERR_CORRUPT where a
 * fragment of another part or context comes before the last one; DL_ERR_TRUNCATED at the end of
 * the connection, or at a PDU of another type; DL_ERR_IO: the wire, or (ETIMEDOUT) a PDU that takes
 * longer than `patience`, or a peer that needs that time for less than DL_RECEIVER_PACE bytes. */
#define DL_RECEIVER_PACE 1024
DL_NODISCARD dl_status dl_receive_part(dl_receiver *receiver, dl_sink *sink, dl_error *error);

/* --- sending -----------------------------------------------------------------------------------
 */

/* A message, or the rest of one. */
typedef struct dl_message {
    const uint8_t *command; /* the command set; NULL: none */
    size_t command_size;
    const uint8_t *data; /* the data set, in memory, */
    int descriptor;      /* or, where data is NULL, in a file from `start`; -1: none */
    uint64_t start, size;
    uint32_t most; /* bytes of the largest PDU the peer takes, without its header */
    uint8_t context_id;
} dl_message;

/* Sends a message in PDUs of one fragment each; a part of an odd size is padded by a NUL. Holds
 * `buffer` of `capacity` bytes, at least DL_SENDER_LEAST, which bounds the PDUs too. From the bytes
 * that the peer takes to the next it may take `patience` seconds. DL_ERR_TRUNCATED: the file ends
 * too soon, or cannot be read; as after any failure, the message is cut off and the association has
 * to be aborted. */
#define DL_SENDER_LEAST 4096
DL_NODISCARD dl_status dl_send_message(const dl_wire *wire, const dl_message *message,
                                       uint8_t *buffer, size_t capacity, double patience,
                                       dl_error *error);

#ifdef __cplusplus
}
#endif
#endif
