#include "system_windows.h"

#include <errno.h>
#include <limits.h>

/* How long one wait is, at most: what a Ctrl-C or a stop takes to be heeded. */
#define STEP_SECONDS 0.2

static dl_status fail(dl_error *error, int code) {
    return dl_fail_os(error, dl_windows_errno((DWORD)code), NULL);
}

/* What is done between two steps of a wait; `left` is what the next one may take. */
static dl_status go_on(dl_socket *socket, double deadline, double *left, dl_error *error) {
    if (socket->waiting) {
        dl_status status = socket->waiting(socket->context, error);
        if (status != DL_OK) return status;
    }
    *left = deadline - dl_monotonic_seconds();
    return DL_OK;
}

static DWORD milliseconds(double left) {
    return (DWORD)((left < STEP_SECONDS ? left : STEP_SECONDS) * 1000) + 1;
}

/* Asks first and receives then: there is no call that leaves a blocking socket as it is and does
 * not wait. */
dl_status dl_socket_receive(void *context, void *into, size_t room, double deadline, size_t *count,
                            dl_error *error) {
    dl_socket *socket = context;
    WSAPOLLFD poll_for = {.fd = (SOCKET)socket->descriptor, .events = POLLRDNORM};
    DWORD wait = 0;
    *count = 0;
    for (;;) {
        int ready = WSAPoll(&poll_for, 1, (int)wait);
        if (ready == SOCKET_ERROR) return fail(error, WSAGetLastError());
        if (ready > 0 && (poll_for.revents & POLLNVAL)) return dl_fail_os(error, EBADF, NULL);
        if (ready > 0) {
            int n = recv((SOCKET)socket->descriptor, into, room < INT_MAX ? (int)room : INT_MAX, 0);
            if (n >= 0) {
                *count = (size_t)n;
                return DL_OK;
            }
            int reason = WSAGetLastError();
            if (reason != WSAEWOULDBLOCK) return fail(error, reason);
        }
        double left = deadline - dl_monotonic_seconds();
        if (left <= 0) return dl_fail_os(error, ETIMEDOUT, NULL);
        if (wait) {
            dl_status status = go_on(socket, deadline, &left, error);
            if (status != DL_OK) return status;
            if (left <= 0) return dl_fail_os(error, ETIMEDOUT, NULL);
        }
        wait = milliseconds(left);
    }
}

/* Waits for a send that was begun. When it is to end, what has not gone is called back, and *count
 * says what has. */
static dl_status await(dl_socket *socket, WSAOVERLAPPED *begun, double deadline, DWORD *count,
                       dl_error *error) {
    SOCKET descriptor = (SOCKET)socket->descriptor;
    DWORD flags = 0;
    double left = deadline - dl_monotonic_seconds();
    dl_status status = DL_OK;
    while (status == DL_OK && left > 0) {
        if (WaitForSingleObject(begun->hEvent, milliseconds(left)) == WAIT_OBJECT_0) break;
        status = go_on(socket, deadline, &left, error);
    }
    bool late = status == DL_OK && left <= 0;
    if (status != DL_OK || late) (void)CancelIoEx((HANDLE)descriptor, begun);
    /* The system writes to `begun` until it says that it has ended. */
    bool ended = WSAGetOverlappedResult(descriptor, begun, count, TRUE, &flags);
    int reason = WSAGetLastError();
    if (status != DL_OK) return status; /* who asked for the end hears of it only now */
    if (ended && *count) return DL_OK;
    return late ? dl_fail_os(error, ETIMEDOUT, NULL) : fail(error, reason);
}

/* An overlapped send: a blocking socket would wait for room for all of the data, and one that is
 * switched to not blocking would surprise whoever owns it. */
dl_status dl_socket_send(void *context, const void *data, size_t size, double deadline,
                         size_t *count, dl_error *error) {
    dl_socket *socket = context;
    WSABUF buffer = {.len = size < 1u << 20 ? (ULONG)size : 1u << 20,
                     .buf = (char *)(uintptr_t)data};
    WSAOVERLAPPED begun = {.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    DWORD sent = 0;
    dl_status status = DL_OK;
    *count = 0;
    if (!begun.hEvent) return fail(error, (int)GetLastError());
    if (WSASend((SOCKET)socket->descriptor, &buffer, 1, &sent, 0, &begun, NULL) != 0) {
        int reason = WSAGetLastError();
        status = reason == WSA_IO_PENDING ? await(socket, &begun, deadline, &sent, error)
                                          : fail(error, reason);
    }
    (void)CloseHandle(begun.hEvent);
    *count = sent;
    return status;
}
