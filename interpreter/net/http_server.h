/* http_server.h - HTTP/1.1 requests come in, answers and event-streams go out, on the caller's event loop.
 *
 * libevent's evhttp does the framing and the writing; before it stands a guard that sees every byte first (http_guard.h) and refuses what evhttp would
 * let through. So a handler gets requests that can be read in one way only: one Host, one length, a path that is decoded, valid UTF-8 and without dot
 * segments, a body that is there completely and no longer than body_max. Requests of one connection are handled one after the other, in their order.
 *
 * Who owns. The request (and all its strings) lives as long as its exchange. An exchange ends with exactly one of: http_answer(), http_stream_end(), the
 * return of its on_gone callback; after that its pointer is dead. A client that goes away ends nothing while no on_gone is set: the answer is then
 * accepted and dropped. Callbacks come from the loop, never from inside a function of this header, except on_gone from http_server_close().
 *
 * A process that opens a server ignores SIGPIPE from then on, unless it handles it.
 *
 * Times are microseconds. A text for a header that holds a control character, and a name that is no token, make the answer a 500 without it: a value
 * from outside cannot start a header of its own.
 */
#ifndef NET_HTTP_SERVER_H
#define NET_HTTP_SERVER_H
#include "interpreter/net/http_client.h"

struct event_base;
typedef struct HttpServer HttpServer;
typedef struct HttpExchange HttpExchange;                /* one request and its answer */

enum {
    HTTP_CONNECTIONS_MAX = 10240,                        /* more are answered 503 with Retry-After, HTTP_OVERFLOW_MAX at a time; beyond them none is accepted */
    HTTP_OVERFLOW_MAX = 64,
    HTTP_SERVER_BODY_MAX = 1 << 20,                      /* 413 */
    HTTP_SERVER_HEADERS_MAX = 16 << 10,                  /* bytes of the whole head; 431 */
    HTTP_STREAM_BUFFER_MAX = 256 << 10                   /* bytes that wait for one slow client of a stream; it is dropped then. One event may be larger. */
};
#define HTTP_IDLE_TIME   INT64_C(75000000)               /* between two requests of a connection; then it is closed */
#define HTTP_HEADER_TIME INT64_C(10000000)               /* from the first byte of a head (or the connection) to its end; 408 */
#define HTTP_BODY_TIME   INT64_C(30000000)               /* from the end of a head to the end of the body, 408; and for an answer to be taken */

typedef struct HttpServerOptions {
    const char *host;                                    /* "127.0.0.1", "::1", "[::1]", "localhost", "unix:/path"; NULL: 127.0.0.1 */
    uint16_t port;                                       /* 0: the system chooses, see http_server_port() */
    bool reuse_port;                                     /* several processes may listen on it, the kernel spreads the connections */
    uint32_t connections_max, body_max, headers_max;     /* 0: the constants above */
    int64_t idle_us, header_us, body_us;                 /* 0: the constants above */
    const char *server_name;                             /* the Server header; NULL: none */
} HttpServerOptions;

typedef struct HttpQuery { Str name, value; } HttpQuery; /* decoded: `+` is a space; valid UTF-8 without NUL */

typedef struct HttpServerRequest {
    const char *method;                                  /* GET POST PUT PATCH DELETE OPTIONS; a HEAD comes as GET, its answer goes without the body */
    Str path;                                            /* decoded and checked, starts with "/" */
    Str target;                                          /* as sent, with the query */
    Str body;
    const HttpHeader *headers; size_t header_count;      /* in their order */
    const HttpQuery *query; size_t query_count;          /* in their order */
    char request_id[40];                                 /* also in the answer's X-Request-Id */
    Str remote;                                          /* the peer's address without its port: personal data, not for logs; empty for a unix socket */
    bool head;
} HttpServerRequest;
typedef void (*HttpHandler)(HttpExchange *exchange, const HttpServerRequest *request, void *arg);

/* ERR_INVALID: a host that is none. ERR_IO: the address is taken or not ours. */
Err      http_server_open(struct event_base *loop, const HttpServerOptions *options, HttpHandler handler, void *arg, HttpServer **out, Error *error);
uint16_t http_server_port(const HttpServer *server);     /* 0 for a unix socket */
/* "8080", ":8080", "127.0.0.1:8080", "[::1]:8080", "unix:/run/flow.sock" as host and port. ERR_INVALID says what is wrong. */
Err      http_listen_parse(const char *text, char *host, size_t host_size, uint16_t *port, Error *error);
/* No new connections, idle ones are closed, what is under way may finish and is told `Connection: close`. Streams are the caller's to end. */
void     http_server_drain(HttpServer *server);
bool     http_server_idle(const HttpServer *server);     /* no exchange is open, and every answer has left the process */
uint32_t http_server_connections(const HttpServer *server);
void     http_server_close(HttpServer *server);          /* NULL is fine; whoever is still there is gone (on_gone is called) */

Str      http_header(const HttpServerRequest *request, const char *name);      /* the first of that name in any case, or empty */
const HttpServerRequest *http_exchange_request(const HttpExchange *exchange);

/* Every answer gets Date, Content-Length, X-Request-Id, `X-Content-Type-Options: nosniff`, and `Cache-Control: no-store` unless `headers` has its own.
 * `headers` may not name Content-Type, Content-Length, Transfer-Encoding, Connection, Date. */
void http_answer(HttpExchange *exchange, int status, Str content_type, Str body, const HttpHeader *headers, size_t header_count);

/* An event-stream (200): begin, events, end. Data of several lines stays one event; id and event are one line each. False: the client is gone, on_gone follows from the loop (or the
 * caller ends the exchange, if it has set none). */
void http_stream_begin(HttpExchange *exchange, const HttpHeader *headers, size_t header_count);
bool http_stream_send(HttpExchange *exchange, Str id, Str event, Str data);     /* empty id, event: left out */
bool http_stream_beat(HttpExchange *exchange);                                  /* a comment, which keeps what is between from giving up */
void http_stream_end(HttpExchange *exchange);
/* The client went away or was too slow, also while nothing is sent. Called once, also when that happened before it was set. NULL takes it back. */
void http_exchange_on_gone(HttpExchange *exchange, void (*gone)(HttpExchange *exchange, void *arg), void *arg);
#endif
