/* http_socket.h - a client made of a bare socket, on the same loop as the server that it talks to. Every wait has a deadline. */
#ifndef TESTS_HTTP_SOCKET_H
#define TESTS_HTTP_SOCKET_H
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/time.h"

typedef struct Client { int fd; Buf in; bool ended; } Client;
#define CLIENT_DEADLINE (60 * TIME_SECOND)

static struct event_base *loop;

static void turn(void)
{
    event_base_loop(loop, EVLOOP_NONBLOCK);
}

/* The loop turns until something is so. */
#define UNTIL(what) do { \
        int64_t until_deadline = clock_monotonic() + CLIENT_DEADLINE; \
        while (!(what)) { turn(); if (clock_monotonic() >= until_deadline) fail_msg("it never came: %s", #what); } \
    } while (0)

static inline Client client_open(uint16_t port)
{
    Client client = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_int_equal(connect(client.fd, (struct sockaddr *)&address, sizeof address), 0);
    return client;
}

static inline void client_close(Client *client)
{
    if (client->fd >= 0) close(client->fd);
    buf_free(&client->in);
    client->fd = -1;
}

/* Takes what has come; false when nothing had. */
static inline bool client_read(Client *client)
{
    char bytes[65536];
    ssize_t got = recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got > 0) buf_put(&client->in, bytes, (size_t)got);
    if (got == 0 || (got < 0 && errno != EAGAIN)) client->ended = true;
    return got > 0;
}

static inline void client_send(Client *client, Str bytes)
{
    int64_t deadline = clock_monotonic() + CLIENT_DEADLINE;
    while (bytes.len) {
        ssize_t sent = send(client->fd, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) { client->ended = true; return; }
        if (sent > 0) bytes.ptr += sent, bytes.len -= (size_t)sent;
        turn();
        assert_true(clock_monotonic() < deadline);
    }
}

/* Until `count` times `text` came (or the server closed). */
static inline size_t client_wait(Client *client, const char *text, size_t count)
{
    int64_t deadline = clock_monotonic() + CLIENT_DEADLINE;
    for (;;) {
        size_t found = 0;
        for (const char *at = buf_cstr(&client->in); (at = strstr(at, text)); at += strlen(text)) found++;
        if (found >= count || client->ended) return found;
        turn();
        client_read(client);
        if (clock_monotonic() >= deadline) fail_msg("no `%s` came; there is: %s", text, buf_cstr(&client->in));
    }
}

static inline void client_wait_end(Client *client)
{
    int64_t deadline = clock_monotonic() + CLIENT_DEADLINE;
    while (!client->ended) {
        turn();
        client_read(client);
        if (clock_monotonic() >= deadline) fail_msg("the server did not close; there is: %s", buf_cstr(&client->in));
    }
}

static inline int client_status(Client *client, size_t index)
{
    const char *at = buf_cstr(&client->in);
    for (size_t i = 0; (at = strstr(at, "HTTP/1.")); at += 7, i++)
        if (i == index) return atoi(at + 9);
    return 0;
}
#endif
