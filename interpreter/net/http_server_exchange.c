/* http_server_exchange.c - from evhttp's request to ours, and from an answer back to evhttp.
 *
 * An exchange is one block of memory with all strings of its request behind it. evhttp's request stays with the connection; it is ours to free only
 * when evhttp has taken it off the connection because the client went away before the answer.
 */
#include "interpreter/net/http_server_internal.h"
#include <assert.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "base/arena.h"
#include "base/time.h"
#include "interpreter/net/http_stream.h"
#include "interpreter/net/http_target.h"

static const struct { int status; const char *reason; } reasons[] = {
    { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" }, { 301, "Moved Permanently" }, { 302, "Found" }, { 303, "See Other" },
    { 304, "Not Modified" }, { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" }, { 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" },
    { 404, "Not Found" }, { 405, "Method Not Allowed" }, { 406, "Not Acceptable" }, { 408, "Request Timeout" }, { 409, "Conflict" }, { 410, "Gone" },
    { 412, "Precondition Failed" }, { 413, "Content Too Large" }, { 414, "URI Too Long" }, { 415, "Unsupported Media Type" }, { 417, "Expectation Failed" },
    { 422, "Unprocessable Content" }, { 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
    { 501, "Not Implemented" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" }, { 505, "HTTP Version Not Supported" },
};

const char *http_reason(int status) {
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status) return reasons[i].reason;
    return "Status";
}

/* ---- the request --------------------------------------------------------------------------------------------------- */

static const char *method_name(struct evhttp_request *req) {
    switch (evhttp_request_get_command(req)) {
    case EVHTTP_REQ_POST:    return "POST";
    case EVHTTP_REQ_PUT:     return "PUT";
    case EVHTTP_REQ_PATCH:   return "PATCH";
    case EVHTTP_REQ_DELETE:  return "DELETE";
    case EVHTTP_REQ_OPTIONS: return "OPTIONS";
    default:                 return "GET";                /* and HEAD */
    }
}

static Str keep(char **at, Str text) {
    Str kept = { *at, text.len };
    memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return kept;
}

static void fill_queries(HttpServerRequest *request, HttpQuery *queries, char **at) {
    Str rest = http_target_query(request->target), name, value;
    request->query = queries;
    while (http_query_next(&rest, *at, &name, &value)) {
        queries[request->query_count++] = (HttpQuery){ name, value };
        *at += name.len + value.len;
    }
}

static HttpExchange *exchange_new(HttpServer *server, struct evhttp_request *req) {
    struct evkeyvalq *in = evhttp_request_get_input_headers(req);
    struct evbuffer *body = evhttp_request_get_input_buffer(req);
    Str target = str_of(evhttp_request_get_uri(req)), remote = { "", 0 };
    size_t body_len = evbuffer_get_length(body), header_count = 0, strings = 0, query_count = http_query_count(http_target_query(target));
    struct evkeyval *field;
    if (!server->unix_path) {
        char *address;
        ev_uint16_t port;
        evhttp_connection_get_peer(evhttp_request_get_connection(req), &address, &port);
        remote = str_of(address);
    }
    for (field = in->tqh_first; field; field = field->next.tqe_next) header_count++, strings += strlen(field->key) + strlen(field->value);
    strings += 2 * target.len + remote.len + target.len + body_len;
    HttpExchange *exchange = mem_alloc(sizeof *exchange + header_count * sizeof(HttpHeader) + query_count * sizeof(HttpQuery) + strings);
    HttpServerRequest *request = &exchange->request;
    HttpHeader *headers = (HttpHeader *)(exchange + 1);
    HttpQuery *queries = (HttpQuery *)(headers + header_count);
    char *at = (char *)(queries + query_count);
    request->headers = headers;
    for (field = in->tqh_first; field; field = field->next.tqe_next) {
        HttpHeader *header = &headers[request->header_count++];
        header->name = keep(&at, str_of(field->key)), header->value = keep(&at, str_of(field->value));
    }
    request->target = keep(&at, target);
    request->remote = keep(&at, remote);
    request->path = http_target_path(request->target, at);
    at += request->path.len;
    fill_queries(request, queries, &at);
    evbuffer_remove(body, at, body_len);
    request->body = (Str){ at, body_len };
    request->method = method_name(req);
    request->head = evhttp_request_get_command(req) == EVHTTP_REQ_HEAD;
    snprintf(request->request_id, sizeof request->request_id, "%s-%llx", server->id_start, (unsigned long long)server->id_next++);
    return exchange;
}

static void on_answer_written(struct evhttp_request *req, void *arg) { conn_next_request(arg); }

/* evhttp reads nothing while a request is handled. We want to hear of the client's end; but evhttp's reader must not be called in this state. */
static void watch_for_end(HttpConn *conn) {
    bufferevent_data_cb on_write;
    bufferevent_event_cb on_event;
    void *arg;
    bufferevent_getcb(conn->bev, NULL, &on_write, &on_event, &arg);
    bufferevent_setcb(conn->bev, NULL, on_write, on_event, arg);
    bufferevent_enable(conn->bev, EV_READ);
}

void exchange_begin(HttpServer *server, HttpConn *conn, struct evhttp_request *req) {
    HttpExchange *exchange = exchange_new(server, req);
    exchange->server = server, exchange->conn = conn, exchange->req = req, exchange->old = conn->guard.old;
    exchange->next = server->exchanges;
    if (server->exchanges) server->exchanges->previous = exchange;
    server->exchanges = exchange;
    server->open_count++;
    conn->exchange = exchange;
    evhttp_request_set_on_complete_cb(req, on_answer_written, conn);
    if (exchange->old) evhttp_remove_header(evhttp_request_get_input_headers(req), "Connection");      /* an HTTP/1.0 connection ends with its answer */
    server->handler(exchange, &exchange->request, server->arg);
    if (conn->exchange && !conn->exchange->streaming) watch_for_end(conn);
}

const HttpServerRequest *http_exchange_request(const HttpExchange *exchange) { return &exchange->request; }

Str http_header(const HttpServerRequest *request, const char *name) {
    size_t len = strlen(name);
    for (size_t i = 0; i < request->header_count; i++)
        if (request->headers[i].name.len == len && strncasecmp(request->headers[i].name.ptr, name, len) == 0) return request->headers[i].value;
    return (Str){ "", 0 };
}

/* ---- its end --------------------------------------------------------------------------------------------------------- */

void exchange_free(HttpExchange *exchange) {
    HttpServer *server = exchange->server;
    if (exchange->in_gone) return;                       /* whoever called on_gone frees it */
    if (exchange->conn) exchange->conn->exchange = NULL;
    if (server) {
        if (exchange->queued) {
            HttpExchange **at = &server->lost;
            while (*at != exchange) at = &(*at)->lost_next;
            *at = exchange->lost_next;
            if (!*at) server->lost_end = at;
        }
        if (exchange->previous) exchange->previous->next = exchange->next; else server->exchanges = exchange->next;
        if (exchange->next) exchange->next->previous = exchange->previous;
        server->open_count--;
    }
    free(exchange);
}

static void queue_gone(HttpExchange *exchange) {
    HttpServer *server = exchange->server;
    if (!server || !exchange->gone || exchange->queued || exchange->in_gone) return;
    exchange->queued = true;
    exchange->lost_next = NULL;
    *server->lost_end = exchange;
    server->lost_end = &exchange->lost_next;
    event_active(server->work, EV_TIMEOUT, 0);
}

void exchange_lose(HttpExchange *exchange) {
    struct evhttp_request *req = exchange->req;
    if (req && !evhttp_request_get_connection(req)) evhttp_request_free(req);
    if (exchange->conn) exchange->conn->exchange = NULL;
    exchange->conn = NULL;
    exchange->req = NULL;
    exchange->lost = true;
    queue_gone(exchange);
}

void exchanges_call_gone(HttpServer *server) {
    HttpExchange *exchange;
    while ((exchange = server->lost)) {
        server->lost = exchange->lost_next;
        if (!server->lost) server->lost_end = &server->lost;
        exchange->queued = false;
        if (!exchange->gone) continue;
        exchange->in_gone = true;
        exchange->gone(exchange, exchange->gone_arg);
        exchange->in_gone = false;
        exchange_free(exchange);
    }
}

void http_exchange_on_gone(HttpExchange *exchange, void (*gone)(HttpExchange *exchange, void *arg), void *arg) {
    exchange->gone = gone;
    exchange->gone_arg = arg;
    if (exchange->lost) queue_gone(exchange);
}

/* ---- answers ----------------------------------------------------------------------------------------------------------- */

static bool is_ours(Str name) {
    static const char *const ours[] = { "Content-Type", "Content-Length", "Transfer-Encoding", "Connection", "Date" };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strlen(ours[i]) == name.len && strncasecmp(ours[i], name.ptr, name.len) == 0) return true;
    return false;
}

static void add(struct evkeyvalq *out, const char *name, const char *value) { evhttp_add_header(out, name, value); }

static bool add_given(HttpServer *server, struct evkeyvalq *out, const HttpHeader *headers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!http_is_token(headers[i].name) || !http_is_field_value(headers[i].value) || is_ours(headers[i].name)) return false;
        buf_clear(&server->text);
        buf_put_str(&server->text, headers[i].name);
        buf_put_char(&server->text, 0);
        buf_put_str(&server->text, headers[i].value);
        const char *text = buf_cstr(&server->text);
        if (evhttp_add_header(out, text, text + headers[i].name.len + 1) != 0) return false;
    }
    return true;
}

/* evhttp makes the date anew for each answer; it changes once a second. */
static const char *date_now(HttpServer *server) {
    int64_t second = clock_now() / TIME_SECOND;
    if (second != server->date_second) evutil_date_rfc1123(server->date, sizeof server->date, NULL);
    server->date_second = second;
    return server->date;
}

static bool add_headers(HttpExchange *exchange, Str content_type, const HttpHeader *headers, size_t count) {
    HttpServer *server = exchange->server;
    struct evkeyvalq *out = evhttp_request_get_output_headers(exchange->req);
    if (content_type.len && !http_is_field_value(content_type)) return false;
    if (!add_given(server, out, headers, count)) return false;
    if (content_type.len) {
        buf_clear(&server->text);
        buf_put_str(&server->text, content_type);
        add(out, "Content-Type", buf_cstr(&server->text));
    }
    add(out, "Date", date_now(server));
    if (server->server_name) add(out, "Server", server->server_name);
    add(out, "X-Request-Id", exchange->request.request_id);
    add(out, "X-Content-Type-Options", "nosniff");
    if (!evhttp_find_header(out, "Cache-Control")) add(out, "Cache-Control", "no-store");
    if (server->draining || exchange->old) add(out, "Connection", "close");
    return true;
}

static bool has_body(int status) { return status != 204 && status != 304; }

void http_answer(HttpExchange *exchange, int status, Str content_type, Str body, const HttpHeader *headers, size_t header_count) {
    assert(!exchange->streaming && status >= 200 && status <= 599);
    HttpServer *server = exchange->server;
    HttpConn *conn = exchange->conn;
    if (!conn) { exchange_free(exchange); return; }
    struct evkeyvalq *out = evhttp_request_get_output_headers(exchange->req);
    if (!add_headers(exchange, content_type, headers, header_count)) {
        evhttp_clear_headers(out);
        status = 500;
        body = STR("{\"type\":\"about:blank\",\"title\":\"Internal Server Error\",\"status\":500}");
        add_headers(exchange, STR("application/problem+json"), NULL, 0);
    }
    if (has_body(status)) {
        char length[24];
        snprintf(length, sizeof length, "%zu", body.len);
        add(out, "Content-Length", length);
        if (!exchange->request.head) evbuffer_add(server->scratch, body.ptr, body.len);
    }
    struct evhttp_request *req = exchange->req;
    exchange_free(exchange);
    conn->unwritten = true;
    server->unwritten_count++;
    conn_set_phase(conn, PHASE_ANSWER);
    evhttp_send_reply(req, status, http_reason(status), server->scratch);
}

/* ---- streams ----------------------------------------------------------------------------------------------------------- */

/* The answer to a HEAD is complete with its head; for the caller the client is gone. */
static void begin_head_only(HttpExchange *exchange) {
    HttpConn *conn = exchange->conn;
    struct evhttp_request *req = exchange->req;
    exchange->conn = NULL, exchange->req = NULL, conn->exchange = NULL;
    conn->unwritten = true;
    exchange->server->unwritten_count++;
    conn_set_phase(conn, PHASE_ANSWER);
    exchange->lost = true;
    queue_gone(exchange);
    evhttp_send_reply(req, 200, http_reason(200), NULL);
}

void http_stream_begin(HttpExchange *exchange, const HttpHeader *headers, size_t header_count) {
    assert(!exchange->streaming);
    HttpConn *conn = exchange->conn;
    struct timeval stall = { HTTP_BODY_TIME / 1000000, 0 };
    exchange->streaming = true;
    if (!conn) return;
    struct evkeyvalq *out = evhttp_request_get_output_headers(exchange->req);
    bool fine = add_headers(exchange, STR("text/event-stream"), headers, header_count);
    if (!fine) {
        evhttp_clear_headers(out);
        add_headers(exchange, STR("text/event-stream"), NULL, 0);
    }
    if (!evhttp_find_header(out, "X-Accel-Buffering")) add(out, "X-Accel-Buffering", "no");      /* nginx passes each event on at once */
    if (exchange->request.head) { begin_head_only(exchange); return; }
    bufferevent_set_timeouts(conn->bev, NULL, &stall);   /* a client that takes nothing of what waits for it */
    evhttp_send_reply_start(exchange->req, fine ? 200 : 500, http_reason(fine ? 200 : 500));
}

/* Many events from one callback are no fault of the client: before it counts as slow, what waits is offered to its socket. */
static bool has_room(HttpConn *conn, size_t more) {
    struct evbuffer *out = bufferevent_get_output(conn->bev);
    if (evbuffer_get_length(out) + more <= HTTP_STREAM_BUFFER_MAX) return true;
    evbuffer_unfreeze(out, 1);
    evbuffer_write(out, bufferevent_getfd(conn->bev));   /* an error shows again when the loop writes */
    evbuffer_freeze(out, 1);
    return evbuffer_get_length(out) + (evbuffer_get_length(out) ? more : 0) <= HTTP_STREAM_BUFFER_MAX;
}

static bool send_text(HttpExchange *exchange) {
    HttpServer *server = exchange->server;
    HttpConn *conn = exchange->conn;
    if (!has_room(conn, server->text.len)) {
        exchange->lost = true;
        conn_queue(conn, DUE_DROP);
        return false;
    }
    evbuffer_add(server->scratch, server->text.ptr, server->text.len);
    evhttp_send_reply_chunk(exchange->req, server->scratch);
    return true;
}

bool http_stream_send(HttpExchange *exchange, Str id, Str event, Str data) {
    assert(exchange->streaming);
    if (exchange->lost || !exchange->server) return false;
    buf_clear(&exchange->server->text);
    bool put = http_stream_put(&exchange->server->text, id, event, data);
    assert(put);
    return put && send_text(exchange);
}

bool http_stream_beat(HttpExchange *exchange) {
    assert(exchange->streaming);
    if (exchange->lost || !exchange->server) return false;
    buf_clear(&exchange->server->text);
    buf_put_text(&exchange->server->text, ":\n\n");
    return send_text(exchange);
}

/* In HTTP/1.0 the end of the connection is the end of the stream; evhttp would free it right here when nothing is left to write. */
void http_stream_end(HttpExchange *exchange) {
    assert(exchange->streaming);
    HttpServer *server = exchange->server;
    HttpConn *conn = exchange->conn;
    struct evhttp_request *req = exchange->req;
    bool lost = exchange->lost, old = exchange->old;
    exchange_free(exchange);
    if (!conn || lost) return;
    conn->unwritten = true;
    server->unwritten_count++;
    conn_set_phase(conn, PHASE_ANSWER);
    if (old && !evbuffer_get_length(bufferevent_get_output(conn->bev))) conn_queue(conn, DUE_DROP);
    else evhttp_send_reply_end(req);
}
