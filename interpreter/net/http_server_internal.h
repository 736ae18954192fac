/* http_server_internal.h - what http_server.c (listening, connections, limits) and http_server_exchange.c (requests, answers, streams) share.
 *
 * A connection belongs to evhttp; our HttpConn lives from the moment evhttp asks for its bufferevent until evhttp says that it is closed. What must not
 * be done inside a callback of libevent (freeing the very connection, calling on_gone from a send) is put on one of two queues, and `work` does it.
 */
#ifndef NET_HTTP_SERVER_INTERNAL_H
#define NET_HTTP_SERVER_INTERNAL_H
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include "interpreter/net/http_guard.h"
#include "interpreter/net/http_server.h"

typedef struct HttpConn HttpConn;
/* What a connection waits for decides its deadline. */
typedef enum { PHASE_HEAD, PHASE_BODY, PHASE_HANDLED /* the handler has the request: no deadline */, PHASE_ANSWER, PHASE_IDLE, PHASE_REFUSED } HttpPhase;
enum { DUE_SET_UP = 1, DUE_REFUSE = 2, DUE_DROP = 4 };

struct HttpServer {
    HttpServer *next;                                    /* all of this process, which has one thread for them */
    struct event_base *loop;
    struct evhttp *http;
    struct evhttp_bound_socket *bound;                   /* NULL once draining */
    HttpHandler handler;
    void *arg;
    uint32_t connections_max, body_max, headers_max;
    int64_t idle_us, header_us, body_us;
    char *server_name, *unix_path;
    uint16_t port;

    HttpConn *conns, *due, **due_end;
    HttpConn **by_fd; size_t fd_count;                   /* evhttp hands out the connection, its descriptor finds ours */
    uint32_t conn_count;
    HttpExchange *exchanges, *lost, **lost_end;          /* all that are open; those whose on_gone is due */
    uint32_t open_count, unwritten_count;
    struct event *work, *sweep;
    bool draining, accept_paused, closing;

    struct evbuffer *scratch;                            /* empty between two uses */
    Buf text;
    char id_start[17];                                   /* random: the request ids of two processes differ */
    uint64_t id_next;
    char date[40]; int64_t date_second;
};

struct HttpConn {
    HttpServer *server;
    HttpConn *next, *previous, *due_next;
    struct bufferevent *bev;
    struct evhttp_connection *evcon;                     /* NULL until it is set up */
    struct evbuffer_cb_entry *watch;
    struct evbuffer *held;                               /* bytes that did not pass the guard yet; NULL until there are any */
    HttpExchange *exchange;                              /* the request that is handled */
    int64_t deadline_us;                                 /* monotonic; 0: none */
    HttpGuard guard;
    uint32_t drained;                                    /* PHASE_REFUSED: bytes thrown away */
    uint8_t phase, due;
    bool queued, moving, unwritten, overflow;
};

struct HttpExchange {
    HttpServer *server;                                  /* NULL: it was closed */
    HttpConn *conn;                                      /* NULL: the client is gone */
    struct evhttp_request *req;                          /* NULL with it */
    HttpExchange *next, *previous, *lost_next;
    void (*gone)(HttpExchange *exchange, void *arg);
    void *gone_arg;
    bool streaming, old, lost, queued, in_gone;
    HttpServerRequest request;
    /* its strings follow */
};

/* http_server.c */
void conn_queue(HttpConn *conn, uint8_t due);
void conn_set_phase(HttpConn *conn, HttpPhase phase);
HttpConn *conn_of(HttpServer *server, struct evhttp_connection *evcon);
void conn_next_request(HttpConn *conn);                  /* the answer is out */
/* http_server_exchange.c */
void exchange_begin(HttpServer *server, HttpConn *conn, struct evhttp_request *req);
void exchange_lose(HttpExchange *exchange);              /* the client went away */
void exchange_free(HttpExchange *exchange);
void exchanges_call_gone(HttpServer *server);
const char *http_reason(int status);
#endif
