/* Two sockets that are connected with each other. */
#ifndef DICOMLOOM_TESTS_SOCKET_PAIR_H
#define DICOMLOOM_TESTS_SOCKET_PAIR_H

#if defined(_WIN32)
#include <winsock2.h>
typedef SOCKET socket_end;
#else
#include <sys/socket.h>
#include <unistd.h>
typedef int socket_end;
#endif

#include "check.h"

static inline void close_socket(socket_end end) {
#if defined(_WIN32)
    CHECK(closesocket(end) == 0);
#else
    CHECK(close(end) == 0);
#endif
}

static inline void socket_pair(socket_end ends[2]) {
#if defined(_WIN32)
    WSADATA data;
    struct sockaddr_in address = {.sin_family = AF_INET};
    int size = sizeof address;
    CHECK(WSAStartup(MAKEWORD(2, 2), &data) == 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SOCKET listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(ends[0], (struct sockaddr *)&address, size) == 0);
    ends[1] = accept(listener, NULL, NULL);
    CHECK(ends[1] != INVALID_SOCKET);
    close_socket(listener);
#else
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
#endif
}

#endif
