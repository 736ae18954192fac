/* http_server.c - listening, connections and their limits.
 *
 * The guard's place is a callback on the input of each connection's bufferevent. It runs when bytes were read and before evhttp is told of them. What
 * may not pass yet is moved to `held`; what passes stays where it is, so an ordinary request is neither copied nor moved. Only one request is let
 * through at a time: the next one passes when the answer has left (evhttp then looks at its input by itself). While a request is handled, evhttp must
 * not be called for input at all (it ends the process, "illegal connection state"); but reading goes on, because that is how one learns that the
 * client is gone.
 *
 * A client that closes its side of the connection while it waits is gone: libevent cannot tell the half from the whole.
 *
 * Deadlines are numbers in the connections, looked at by one timer; that costs a request nothing. A refused connection gets its answer, then what it
 * still sends is thrown away for a while: closing at once would reset it and could destroy the answer on its way.
 */
#include "interpreter/net/http_server_internal.h"
#include <arpa/inet.h>
#include <assert.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/arena.h"
#include "base/hash.h"
#include "base/time.h"

enum {
    HELD_MAX = 64 << 10,                                 /* bytes that a client may send ahead while it waits; then its socket is not read */
    REFUSED_DRAIN_MAX = 1 << 20,                         /* bytes thrown away after a refusal */
    BACKLOG = 1024,
    KEEPALIVE_SECONDS = 60,                              /* of silence before the kernel asks whether the client is still there */
};
#define REFUSED_TIME INT64_C(2000000)
#define SWEEP_TIME_MAX INT64_C(1000000)

/* ---- connections ------------------------------------------------------------------------------------------------- */

void conn_set_phase(HttpConn *conn, HttpPhase phase) {
    const HttpServer *server = conn->server;
    const int64_t times[] = { [PHASE_HEAD] = server->header_us, [PHASE_BODY] = server->body_us, [PHASE_ANSWER] = server->body_us, [PHASE_IDLE] = server->idle_us, [PHASE_REFUSED] = REFUSED_TIME };
    conn->phase = phase;
    conn->deadline_us = phase == PHASE_HANDLED ? 0 : clock_monotonic() + times[phase];
}

void conn_queue(HttpConn *conn, uint8_t due) {
    HttpServer *server = conn->server;
    conn->due |= due;
    if (conn->queued) return;
    conn->queued = true;
    *server->due_end = conn;
    server->due_end = &conn->due_next;
    event_active(server->work, EV_TIMEOUT, 0);
}

static void unqueue(HttpConn *conn) {
    HttpServer *server = conn->server;
    HttpConn **at = &server->due;
    if (!conn->queued) return;
    while (*at != conn) at = &(*at)->due_next;
    *at = conn->due_next;
    if (!*at) server->due_end = at;
    conn->queued = false;
    conn->due_next = NULL;
}

static void accept_more(HttpServer *server) {
    if (!server->accept_paused || !server->bound || server->conn_count >= server->connections_max + HTTP_OVERFLOW_MAX) return;
    server->accept_paused = false;
    evconnlistener_enable(evhttp_bound_socket_get_listener(server->bound));
}

static void pause_accepting(HttpServer *server) {
    if (!server->bound) return;
    server->accept_paused = true;
    evconnlistener_disable(evhttp_bound_socket_get_listener(server->bound));
}

static void conn_free(HttpConn *conn) {
    HttpServer *server = conn->server;
    unqueue(conn);
    if (conn->watch) evbuffer_remove_cb_entry(bufferevent_get_input(conn->bev), conn->watch);
    if (conn->previous) conn->previous->next = conn->next; else server->conns = conn->next;
    if (conn->next) conn->next->previous = conn->previous;
    server->conn_count--;
    if (conn->unwritten) server->unwritten_count--;
    if (conn->held) evbuffer_free(conn->held);
    free(conn);
    accept_more(server);
}

static void on_closed(struct evhttp_connection *evcon, void *arg) {
    HttpConn *conn = arg;
    int fd = bufferevent_getfd(conn->bev);
    if (fd >= 0 && (size_t)fd < conn->server->fd_count && conn->server->by_fd[fd] == conn) conn->server->by_fd[fd] = NULL;
    if (conn->exchange) exchange_lose(conn->exchange);
    conn_free(conn);
}

HttpConn *conn_of(HttpServer *server, struct evhttp_connection *evcon) {
    int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(evcon));
    assert(fd >= 0 && (size_t)fd < server->fd_count && server->by_fd[fd] && server->by_fd[fd]->evcon == evcon);
    return server->by_fd[fd];
}

static void remember_fd(HttpServer *server, HttpConn *conn, int fd) {
    if ((size_t)fd >= server->fd_count) {
        size_t count = (size_t)fd + 64 + server->fd_count;
        server->by_fd = mem_realloc(server->by_fd, count * sizeof *server->by_fd);
        memset(server->by_fd + server->fd_count, 0, (count - server->fd_count) * sizeof *server->by_fd);
        server->fd_count = count;
    }
    server->by_fd[fd] = conn;
}

/* ---- refusing ---------------------------------------------------------------------------------------------------- */

static void on_refused_event(struct bufferevent *bev, short what, void *arg) { conn_queue(arg, DUE_DROP); }

static void on_refusal_written(struct bufferevent *bev, void *arg) { shutdown(bufferevent_getfd(bev), SHUT_WR); }

/* From here on evhttp hears nothing of this connection but its end. */
static void conn_refuse(HttpConn *conn, int status, const char *why) {
    struct evbuffer *out = bufferevent_get_output(conn->bev), *in = bufferevent_get_input(conn->bev);
    HttpServer *server = conn->server;
    conn_set_phase(conn, PHASE_REFUSED);
    if (conn->held) evbuffer_drain(conn->held, evbuffer_get_length(conn->held));
    evbuffer_drain(in, evbuffer_get_length(in));
    bufferevent_setcb(conn->bev, NULL, on_refusal_written, on_refused_event, conn);
    buf_clear(&server->text);
    buf_printf(&server->text, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":\"%s\"}", http_reason(status), status, why);
    evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: %zu\r\nConnection: close\r\nCache-Control: no-store\r\n"
                             "X-Content-Type-Options: nosniff\r\n%s\r\n", status, http_reason(status), server->text.len, status == 503 ? "Retry-After: 1\r\n" : "");
    evbuffer_add(out, server->text.ptr, server->text.len);
    bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
}

/* ---- bytes come in ----------------------------------------------------------------------------------------------- */

static void after_pass(HttpConn *conn) {
    const HttpGuard *guard = &conn->guard;
    if (guard->state == GUARD_REFUSED) conn_queue(conn, DUE_REFUSE);
    else if (guard->state == GUARD_DONE) conn_set_phase(conn, PHASE_HANDLED);
    else if (guard->state == GUARD_HEAD) { if (guard->scanned && conn->phase == PHASE_IDLE) conn_set_phase(conn, PHASE_HEAD); }
    else if (conn->phase == PHASE_HEAD || conn->phase == PHASE_IDLE) conn_set_phase(conn, PHASE_BODY);
}

static void pump(HttpConn *conn) {
    struct evbuffer *input = bufferevent_get_input(conn->bev);
    size_t len, passed;
    while ((len = evbuffer_get_length(conn->held))) {
        size_t window = http_guard_window(&conn->guard), front = window < len ? window : len;
        Str bytes = { front ? (const char *)evbuffer_pullup(conn->held, (ev_ssize_t)front) : NULL, front };
        if (!(passed = http_guard_pass(&conn->guard, bytes, len))) break;
        evbuffer_remove_buffer(conn->held, input, passed);
    }
    after_pass(conn);
}

/* The last bytes of the input, from `keep` on, go to what is held. */
static void hold(HttpConn *conn, struct evbuffer *input, size_t keep) {
    struct evbuffer *scratch = conn->server->scratch;
    if (!conn->held) conn->held = evbuffer_new();
    if (keep) evbuffer_remove_buffer(input, scratch, keep);
    evbuffer_add_buffer(conn->held, input);
    if (keep) evbuffer_add_buffer(input, scratch);
}

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg) {
    HttpConn *conn = arg;
    if (!info->n_added || conn->moving) return;
    size_t len = evbuffer_get_length(input), keep = len - info->n_added, passed;
    bool holds = conn->held && evbuffer_get_length(conn->held);
    conn->moving = true;
    if (conn->phase == PHASE_REFUSED) {
        conn->drained += (uint32_t)len;
        evbuffer_drain(input, len);
        if (conn->drained > REFUSED_DRAIN_MAX) conn_queue(conn, DUE_DROP);
    } else if (!holds && (keep == 0 || conn->guard.state == GUARD_BODY) && conn->guard.state != GUARD_DONE && conn->guard.state != GUARD_REFUSED) {
        size_t window = http_guard_window(&conn->guard), front = window < len ? window : len;
        Str bytes = { front ? (const char *)evbuffer_pullup(input, (ev_ssize_t)front) : NULL, front };
        passed = http_guard_pass(&conn->guard, bytes, info->n_added);
        if (passed == info->n_added) after_pass(conn);
        else { hold(conn, input, keep + passed); pump(conn); }
    } else {
        hold(conn, input, keep);
        pump(conn);
    }
    conn->moving = false;
    if (conn->guard.state == GUARD_DONE && conn->held && evbuffer_get_length(conn->held) > HELD_MAX) {
        if (evbuffer_get_length(conn->held) > 4 * HELD_MAX) conn_queue(conn, DUE_DROP);
        bufferevent_disable(conn->bev, EV_READ);
    }
}

void conn_next_request(HttpConn *conn) {
    if (conn->unwritten) conn->unwritten = false, conn->server->unwritten_count--;
    conn_set_phase(conn, PHASE_IDLE);
    if (conn->server->draining) { conn_queue(conn, DUE_DROP); return; }
    http_guard_next(&conn->guard);
    if (!conn->held || !evbuffer_get_length(conn->held)) return;
    struct evbuffer *input = bufferevent_get_input(conn->bev);
    conn->moving = true;
    evbuffer_unfreeze(input, 0);                         /* a bufferevent keeps the end of its input for itself */
    pump(conn);
    evbuffer_freeze(input, 0);
    conn->moving = false;
}

/* ---- connections come ---------------------------------------------------------------------------------------------- */

static struct bufferevent *on_accept(struct event_base *loop, void *arg) {
    HttpServer *server = arg;
    HttpConn *conn = mem_alloc(sizeof *conn);
    *conn = (HttpConn){ .server = server, .next = server->conns, .bev = bufferevent_socket_new(loop, -1, 0) };
    if (!conn->bev) abort();                             /* out of memory; evhttp would go on with a connection that nobody guards */
    bufferevent_incref(conn->bev);                       /* until it is set up: evhttp may give it up before that */
    http_guard_init(&conn->guard, server->headers_max, server->body_max);
    conn->watch = evbuffer_add_cb(bufferevent_get_input(conn->bev), on_input, conn);
    if (server->conns) server->conns->previous = conn;
    server->conns = conn;
    conn->overflow = ++server->conn_count > server->connections_max;
    conn_set_phase(conn, PHASE_HEAD);
    conn_queue(conn, DUE_SET_UP);
    if (server->conn_count >= server->connections_max + HTTP_OVERFLOW_MAX) pause_accepting(server);
    return conn->bev;
}

/* evhttp's connection is the argument of the callbacks that it has set on the bufferevent; without them it has given up already. */
static void conn_set_up(HttpConn *conn) {
    HttpServer *server = conn->server;
    bufferevent_event_cb on_event = NULL;
    void *arg = NULL;
    bufferevent_getcb(conn->bev, NULL, NULL, &on_event, &arg);
    if (!on_event) {
        struct bufferevent *bev = conn->bev;
        conn_free(conn);
        bufferevent_decref(bev);
        return;
    }
    conn->evcon = arg;
    assert(evhttp_connection_get_bufferevent(conn->evcon) == conn->bev && evhttp_connection_get_server(conn->evcon) == server->http);
    bufferevent_decref(conn->bev);
    evhttp_connection_set_closecb(conn->evcon, on_closed, conn);
    remember_fd(server, conn, bufferevent_getfd(conn->bev));
    if (conn->overflow) conn_refuse(conn, 503, "there are too many connections");
}

static void on_work(evutil_socket_t fd, short what, void *arg) {
    HttpServer *server = arg;
    HttpConn *conn;
    while ((conn = server->due)) {
        uint8_t due = conn->due;
        unqueue(conn);
        conn->due = 0;
        if (due & DUE_SET_UP) conn_set_up(conn);
        else if (due & DUE_DROP) evhttp_connection_free(conn->evcon);
        else if (due & DUE_REFUSE && conn->phase != PHASE_REFUSED) conn_refuse(conn, conn->guard.status, conn->guard.why);
    }
    exchanges_call_gone(server);
}

/* ---- deadlines --------------------------------------------------------------------------------------------------- */

static void on_late(HttpConn *conn) {
    conn->deadline_us = 0;
    bool began = conn->guard.scanned > 0;
    if (conn->phase == PHASE_HEAD && began) conn_refuse(conn, 408, "the head did not come in time");
    else if (conn->phase == PHASE_BODY) conn_refuse(conn, 408, "the body did not come in time");
    else evhttp_connection_free(conn->evcon);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg) {
    HttpServer *server = arg;
    int64_t now = clock_monotonic();
    for (HttpConn *conn = server->conns, *next; conn; conn = next) {
        next = conn->next;
        if (conn->deadline_us && conn->deadline_us <= now && conn->evcon) on_late(conn);
    }
    if (server->accept_paused) accept_more(server);
}

/* ---- listening ----------------------------------------------------------------------------------------------------- */

Err http_listen_parse(const char *text, char *host, size_t host_size, uint16_t *port, Error *error) {
    const char *colon = strrchr(text, ':'), *digits = colon ? colon + 1 : text;
    if (strncmp(text, "unix:", 5) == 0) {
        if (!text[5] || strlen(text) >= host_size) return err_set(error, ERR_INVALID, "cannot listen on `%s`: unix: is followed by a path", text);
        snprintf(host, host_size, "%s", text);
        *port = 0;
        return ERR_OK;
    }
    size_t host_len = colon ? (size_t)(colon - text) : 0;
    bool bracket = host_len && text[0] == '[';
    char *end;
    long number = strtol(digits, &end, 10);
    if (*digits < '0' || *digits > '9' || *end || number > 65535) return err_set(error, ERR_INVALID, "cannot listen on `%s`: it is not PORT, HOST:PORT, [ADDRESS]:PORT or unix:PATH", text);
    if (bracket != (host_len && text[host_len - 1] == ']') || (!bracket && memchr(text, ':', host_len)))
        return err_set(error, ERR_INVALID, "cannot listen on `%s`: an IPv6 address stands in brackets", text);
    if (bracket) text++, host_len -= 2;
    if (host_len >= host_size) return err_set(error, ERR_INVALID, "cannot listen on a host whose name is %zu bytes long", host_len);
    snprintf(host, host_size, "%.*s", host_len ? (int)host_len : 9, host_len ? text : "127.0.0.1");
    *port = (uint16_t)number;
    return ERR_OK;
}

/* No descriptors left: the sweep tries again. The argument is evhttp's own, so the server is looked up. */
static HttpServer *servers;

static void on_accept_error(struct evconnlistener *listener, void *arg) {
    HttpServer *server = servers;
    while (server && (!server->bound || evhttp_bound_socket_get_listener(server->bound) != listener)) server = server->next;
    if (server) pause_accepting(server);
}

static struct evconnlistener *listen_on(HttpServer *server, const HttpServerOptions *options, const struct sockaddr *address, socklen_t len) {
    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
    if (address->sa_family != AF_UNIX) flags |= LEV_OPT_REUSEABLE | (options->reuse_port ? LEV_OPT_REUSEABLE_PORT : 0);
    return evconnlistener_new_bind(server->loop, NULL, NULL, flags, BACKLOG, address, (int)len);
}

/* A path where nobody listens any more is what a killed process left; it is taken over. */
static struct evconnlistener *listen_unix(HttpServer *server, const HttpServerOptions *options, Error *error) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *path = options->host + 5;
    if (!*path || strlen(path) >= sizeof address.sun_path) { err_set(error, ERR_INVALID, "cannot listen on `%s`: the path is empty or too long", options->host); return NULL; }
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe >= 0 && connect(probe, (struct sockaddr *)&address, sizeof address) != 0 && errno == ECONNREFUSED) unlink(path);
    if (probe >= 0) close(probe);
    struct evconnlistener *listener = listen_on(server, options, (struct sockaddr *)&address, sizeof address);
    if (!listener) err_set(error, ERR_IO, "could not listen on `%s`: %s", options->host, strerror(errno));
    else server->unix_path = mem_strdup(path);
    return listener;
}

static struct evconnlistener *listen_tcp(HttpServer *server, const HttpServerOptions *options, Error *error) {
    char host[256], port[8];
    const char *given = options->host && *options->host ? options->host : "127.0.0.1";
    size_t len = strlen(given);
    bool bracket = given[0] == '[' && given[len - 1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(bracket ? len - 2 : len), given + bracket);
    snprintf(port, sizeof port, "%u", options->port);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *found = NULL;
    int fault = getaddrinfo(host, port, &hints, &found);
    if (fault) { err_set(error, ERR_INVALID, "cannot listen on `%s`: %s", given, gai_strerror(fault)); return NULL; }
    struct evconnlistener *listener = listen_on(server, options, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    if (!listener) { err_set(error, ERR_IO, "could not listen on `%s`, port %u: %s", given, options->port, strerror(errno)); return NULL; }
    int fd = evconnlistener_get_fd(listener), on = 1, quiet = KEEPALIVE_SECONDS, again = KEEPALIVE_SECONDS / 3;
    struct sockaddr_storage bound;
    socklen_t bound_len = sizeof bound;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);          /* the connections inherit it: an event of a stream does not wait for the next */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);          /* a client that vanished is found out though nothing is sent */
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &quiet, sizeof quiet);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &again, sizeof again);
    if (getsockname(fd, (struct sockaddr *)&bound, &bound_len) == 0)
        server->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port : ((struct sockaddr_in *)&bound)->sin_port);
    return listener;
}

static void on_request(struct evhttp_request *req, void *arg) {
    HttpServer *server = arg;
    exchange_begin(server, conn_of(server, evhttp_request_get_connection(req)), req);
}

static void start_http(HttpServer *server, struct evconnlistener *listener) {
    server->http = evhttp_new(server->loop);
    evhttp_set_max_headers_size(server->http, server->headers_max);
    evhttp_set_max_body_size(server->http, server->body_max);
    evhttp_set_default_content_type(server->http, NULL);
    evhttp_set_allowed_methods(server->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_PATCH | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS);
    evhttp_set_bevcb(server->http, on_accept, server);
    evhttp_set_gencb(server->http, on_request, server);
    server->bound = evhttp_bind_listener(server->http, listener);
    evconnlistener_set_error_cb(listener, on_accept_error);
}

/* libevent writes with writev, which has no flag against SIGPIPE: without this any client could end the process by closing at the right moment. */
static void ignore_sigpipe(void) {
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
}

static int64_t or_default(int64_t given, int64_t otherwise) { return given > 0 ? given : otherwise; }

/* Often enough that the shortest deadline is missed by a fourth of it. */
static struct timeval sweep_time(const HttpServer *server) {
    int64_t shortest = server->header_us < server->idle_us ? server->header_us : server->idle_us;
    if (server->body_us < shortest) shortest = server->body_us;
    int64_t us = shortest / 4 < SWEEP_TIME_MAX ? shortest / 4 + 1000 : SWEEP_TIME_MAX;
    return (struct timeval){ us / 1000000, us % 1000000 };
}

Err http_server_open(struct event_base *loop, const HttpServerOptions *options, HttpHandler handler, void *arg, HttpServer **out, Error *error) {
    HttpServer *server = mem_alloc(sizeof *server);
    *server = (HttpServer){ .loop = loop, .handler = handler, .arg = arg,
        .connections_max = (uint32_t)or_default(options->connections_max, HTTP_CONNECTIONS_MAX), .body_max = (uint32_t)or_default(options->body_max, HTTP_SERVER_BODY_MAX),
        .headers_max = (uint32_t)or_default(options->headers_max, HTTP_SERVER_HEADERS_MAX), .idle_us = or_default(options->idle_us, HTTP_IDLE_TIME),
        .header_us = or_default(options->header_us, HTTP_HEADER_TIME), .body_us = or_default(options->body_us, HTTP_BODY_TIME) };
    struct evconnlistener *listener = options->host && strncmp(options->host, "unix:", 5) == 0 ? listen_unix(server, options, error) : listen_tcp(server, options, error);
    if (!listener) {
        free(server);
        return error ? error->code : ERR_IO;
    }
    if (options->server_name) server->server_name = mem_strdup(options->server_name);
    ignore_sigpipe();
    uint8_t start[8];
    random_bytes(start, sizeof start);
    hex_encode(start, sizeof start, server->id_start);
    server->due_end = &server->due, server->lost_end = &server->lost;
    server->scratch = evbuffer_new();
    server->work = event_new(loop, -1, 0, on_work, server);
    server->sweep = event_new(loop, -1, EV_PERSIST, on_sweep, server);
    struct timeval period = sweep_time(server);
    event_add(server->sweep, &period);
    start_http(server, listener);
    server->next = servers;
    servers = server;
    *out = server;
    return ERR_OK;
}

uint16_t http_server_port(const HttpServer *server) { return server->port; }
uint32_t http_server_connections(const HttpServer *server) { return server->conn_count; }
bool http_server_idle(const HttpServer *server) { return server->open_count == 0 && server->unwritten_count == 0; }

static void stop_listening(HttpServer *server) {
    if (server->bound) evhttp_del_accept_socket(server->http, server->bound);
    server->bound = NULL;
    if (server->unix_path) unlink(server->unix_path);
    free(server->unix_path);
    server->unix_path = NULL;
}

void http_server_drain(HttpServer *server) {
    stop_listening(server);
    server->draining = true;
    for (HttpConn *conn = server->conns; conn; conn = conn->next)
        if (conn->evcon && !conn->guard.scanned && (conn->phase == PHASE_IDLE || conn->phase == PHASE_HEAD)) conn_queue(conn, DUE_DROP);
}

void http_server_close(HttpServer *server) {
    if (!server) return;
    HttpServer **at = &servers;
    while (*at != server) at = &(*at)->next;
    *at = server->next;
    stop_listening(server);
    on_work(-1, 0, server);                              /* so that every connection is set up, and tells us of its end */
    server->closing = true;
    evhttp_free(server->http);
    exchanges_call_gone(server);
    for (HttpExchange *exchange = server->exchanges; exchange; exchange = exchange->next) exchange->server = NULL;
    event_free(server->work);
    event_free(server->sweep);
    evbuffer_free(server->scratch);
    buf_free(&server->text);
    free(server->server_name);
    free(server->by_fd);
    free(server);
}
