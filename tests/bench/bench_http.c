/* bench_http.c - the servers and the idle clients that scripts/bench_http.sh measures. Each server prints its port and serves until it is killed.
 *
 *   bench_http bare               evhttp alone: what libevent itself does with a request
 *   bench_http ours               our server (guard, limits, headers) with a handler that answers at once
 *   bench_http streams            our server; every request becomes a stream that stays open; SIGUSR1 sends one event to all of them
 *   bench_http idle PORT COUNT    COUNT clients of `streams`, from source addresses 127.0.0.2 on; prints "open" when each has its answer's head, then
 *                                 "event SECONDS" when each has one more event; ends when its standard input ends
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/arena.h"
#include "base/time.h"
#include "interpreter/net/http_server.h"

static struct event_base *loop;

static void fail(const char *what) {
    fprintf(stderr, "bench_http: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int serve(unsigned port) {
    printf("%u\n", port);
    fflush(stdout);
    return event_base_dispatch(loop) < 0;
}

/* ---- evhttp alone ------------------------------------------------------------------------------------------------ */

static void answer_bare(struct evhttp_request *request, void *arg) {
    struct evbuffer *body = arg;
    evbuffer_add(body, "{}", 2);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/json");
    evhttp_send_reply(request, 200, "OK", body);
}

static int serve_bare(void) {
    struct evhttp *http = evhttp_new(loop);
    evhttp_set_gencb(http, answer_bare, evbuffer_new());
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(http, "127.0.0.1", 0);
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    if (!bound || getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len) != 0) fail("could not listen");
    return serve(ntohs(address.sin_port));
}

/* ---- ours ---------------------------------------------------------------------------------------------------------- */

static void answer(HttpExchange *exchange, const HttpServerRequest *request, void *arg) {
    http_answer(exchange, 200, STR("application/json"), STR("{}"), NULL, 0);
}

typedef struct Stream { struct Stream *next, **at; HttpExchange *exchange; } Stream;
static Stream *streams;

static void on_gone(HttpExchange *exchange, void *arg) {
    Stream *stream = arg;
    *stream->at = stream->next;
    if (stream->next) stream->next->at = stream->at;
    free(stream);
}

static void begin_stream(HttpExchange *exchange, const HttpServerRequest *request, void *arg) {
    Stream *stream = mem_alloc(sizeof *stream);
    *stream = (Stream){ streams, &streams, exchange };
    if (streams) streams->at = &stream->next;
    streams = stream;
    http_exchange_on_gone(exchange, on_gone, stream);
    http_stream_begin(exchange, NULL, 0);
}

static void on_signal(evutil_socket_t signal, short what, void *arg) {
    for (Stream *stream = streams; stream; stream = stream->next) http_stream_send(stream->exchange, STR("1"), STR("progress"), STR("{\"type\":\"progress\",\"percent\":20}"));
}

static int serve_ours(HttpHandler handler) {
    HttpServer *server;
    Error error = { 0 };
    if (http_server_open(loop, &(HttpServerOptions){ .connections_max = 20000, .server_name = "flow" }, handler, NULL, &server, &error)) {
        fprintf(stderr, "bench_http: %s\n", error.text);
        return 1;
    }
    event_add(evsignal_new(loop, SIGUSR1, on_signal, NULL), NULL);
    return serve(http_server_port(server));
}

/* ---- idle clients ---------------------------------------------------------------------------------------------------- */

enum { CLIENTS_PER_ADDRESS = 4000, OPENING_MAX = 200 };

static int connect_one(unsigned port, int index) {
    static const char request[] = "GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nAuthorization: Bearer eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl\r\n\r\n";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (unsigned)(index / CLIENTS_PER_ADDRESS)) };
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof from) || connect(fd, (struct sockaddr *)&to, sizeof to)) fail("could not connect");
    if (send(fd, request, sizeof request - 1, 0) != (ssize_t)sizeof request - 1) fail("could not send");
    return fd;
}

/* Reads what comes until `wanted` times `text` was seen (it never comes in two pieces: each event is one write). */
static void read_until(int poll, const char *text, int wanted) {
    struct epoll_event events[256];
    char bytes[4096];
    while (wanted > 0) {
        int count = epoll_wait(poll, events, 256, 30000);
        if (count <= 0) fail("the server fell silent");
        for (int i = 0; i < count; i++) {
            ssize_t got = recv(events[i].data.fd, bytes, sizeof bytes - 1, MSG_DONTWAIT);
            if (got <= 0) { errno = ECONNRESET; fail("a client lost its connection"); }
            bytes[got] = 0;
            if (strstr(bytes, text)) wanted--;
        }
    }
}

static int run_idle(unsigned port, int count) {
    int poll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < count; i++) {
        int fd = connect_one(port, i);
        if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = EPOLLIN, .data.fd = fd })) fail("could not watch");
        if ((i + 1) % OPENING_MAX == 0) read_until(poll, "text/event-stream", OPENING_MAX);
    }
    read_until(poll, "text/event-stream", count % OPENING_MAX);
    printf("open\n");
    fflush(stdout);
    int64_t start = 0;
    struct epoll_event event;
    if (epoll_wait(poll, &event, 1, 60000) == 1) start = clock_monotonic();
    read_until(poll, "progress", count);
    printf("event %.3f\n", (double)(clock_monotonic() - start) / 1e6);
    fflush(stdout);
    while (getchar() != EOF) {}
    return 0;
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) limit.rlim_cur = limit.rlim_max, setrlimit(RLIMIT_NOFILE, &limit);
    if (strcmp(mode, "idle") == 0 && argc == 4) return run_idle((unsigned)atoi(argv[2]), atoi(argv[3]));
    loop = event_base_new();
    if (strcmp(mode, "bare") == 0) return serve_bare();
    if (strcmp(mode, "ours") == 0) return serve_ours(answer);
    if (strcmp(mode, "streams") == 0) return serve_ours(begin_stream);
    fprintf(stderr, "usage: bench_http bare|ours|streams|idle PORT COUNT\n");
    return 2;
}
