#define _GNU_SOURCE /* MSG_NOSIGNAL, TCP_QUICKACK */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dicomloom/base.h"

/* How long one wait is, at most: what a Ctrl-C or a stop takes to be heeded. */
#define STEP_SECONDS 0.2

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* A peer that writes the parts of a message apart, with Nagle's algorithm on, holds the next part
 * back until the last is acknowledged, and Linux would take 40 ms for that. */
static void acknowledge(int descriptor) {
#ifdef TCP_QUICKACK
    int on = 1;
    /* It fails for sockets that are not TCP, which have no need of it. */
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
#else
    (void)descriptor;
#endif
}

static dl_status wait_for(dl_socket *socket, short events, double deadline, dl_error *error) {
    for (;;) {
        double left = deadline - dl_monotonic_seconds();
        if (left <= 0) return dl_fail_os(error, ETIMEDOUT, NULL);
        double step = left < STEP_SECONDS ? left : STEP_SECONDS;
        struct pollfd poll_for = {.fd = (int)socket->descriptor, .events = events};
        int ready = poll(&poll_for, 1, (int)(step * 1000) + 1);
        if (ready > 0) return DL_OK; /* errors and hang-ups, too: the call itself says what it is */
        if (ready < 0 && errno != EINTR) return dl_fail_os(error, errno, NULL);
        if (socket->waiting) {
            dl_status status = socket->waiting(socket->context, error);
            if (status != DL_OK) return status;
        }
    }
}

static bool is_to_wait(int reason) { return reason == EAGAIN || reason == EWOULDBLOCK; }

dl_status dl_socket_receive(void *context, void *into, size_t room, double deadline, size_t *count,
                            dl_error *error) {
    dl_socket *socket = context;
    *count = 0;
    for (;;) {
        ssize_t n = recv((int)socket->descriptor, into, room, MSG_DONTWAIT);
        if (n >= 0) {
            *count = (size_t)n;
            return DL_OK;
        }
        int reason = errno;
        if (reason == EINTR) continue;
        if (!is_to_wait(reason)) return dl_fail_os(error, reason, NULL);
        acknowledge((int)socket->descriptor);
        dl_status status = wait_for(socket, POLLIN, deadline, error);
        if (status != DL_OK) return status;
    }
}

dl_status dl_socket_send(void *context, const void *data, size_t size, double deadline,
                         size_t *count, dl_error *error) {
    dl_socket *socket = context;
    *count = 0;
    for (;;) {
        ssize_t n = send((int)socket->descriptor, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0) {
            *count = (size_t)n;
            return DL_OK;
        }
        int reason = errno;
        if (reason == EINTR) continue;
        if (!is_to_wait(reason)) return dl_fail_os(error, reason, NULL);
        dl_status status = wait_for(socket, POLLOUT, deadline, error);
        if (status != DL_OK) return status;
    }
}
