/* http_client.c - curl's multi interface on libevent: curl says which sockets and which one timer it waits for (on_socket, on_timer), the loop
 * says what happened, and finished transfers are collected after each call into curl. A transfer whose callback is running is already out of
 * the multi handle, so a callback may send or cancel freely. Pieces of a body are collected the same way: curl's write callback only keeps them. */
#include "interpreter/net/http_client.h"
#include <ctype.h>
#include <curl/curl.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/time.h"

struct HttpClient {
    struct event_base *loop;
    CURLM *multi;
    struct event *timer;
    HttpCall *calls;
    size_t call_count;
    bool has_pieces;                                     /* a call has some that wait for curl to return */
};

struct HttpCall {
    HttpClient *client;
    HttpCall *next, *previous;
    CURL *easy;
    struct curl_slist *headers;
    Buf body, request_body;
    size_t header_bytes;
    char content_type_text[128], retry_after_text[64];
    char curl_error[CURL_ERROR_SIZE];
    bool too_large;
    HttpPiece on_piece;
    struct event *silence;                               /* with on_piece: runs down while nothing comes */
    struct timeval idle;
    size_t piece_bytes;
    HttpDone done;
    void *arg;
};

static void collect(HttpClient *client);

static void on_loop_event(evutil_socket_t fd, short what, void *arg) {
    HttpClient *client = arg;
    int mask = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0), running;
    curl_multi_socket_action(client->multi, fd, mask, &running);
    collect(client);
}

static void on_loop_timer(evutil_socket_t fd, short what, void *arg) {
    HttpClient *client = arg;
    int running;
    (void)fd, (void)what;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(client);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *client_arg, void *socket_arg) {
    HttpClient *client = client_arg;
    struct event *watch = socket_arg;
    (void)easy;
    if (watch) event_free(watch);
    watch = NULL;
    if (what != CURL_POLL_REMOVE) {
        short mask = (short)((what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);
        watch = event_new(client->loop, fd, mask, on_loop_event, client);
        event_add(watch, NULL);
    }
    curl_multi_assign(client->multi, fd, watch);
    return 0;
}

static int on_timer(CURLM *multi, long wait_ms, void *client_arg) {
    HttpClient *client = client_arg;
    (void)multi;
    if (wait_ms < 0) { event_del(client->timer); return 0; }
    struct timeval wait = { wait_ms / 1000, (wait_ms % 1000) * 1000 };
    event_add(client->timer, &wait);
    return 0;
}

HttpClient *http_client_new(struct event_base *loop) {
    static bool started;
    if (!started) curl_global_init(CURL_GLOBAL_DEFAULT), started = true;
    HttpClient *client = mem_alloc(sizeof *client);
    client->loop = loop;
    client->multi = curl_multi_init();
    client->timer = event_new(loop, -1, 0, on_loop_timer, client);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    return client;
}

static void call_free(HttpCall *call) {
    HttpClient *client = call->client;
    if (call->previous) call->previous->next = call->next; else client->calls = call->next;
    if (call->next) call->next->previous = call->previous;
    client->call_count--;
    curl_multi_remove_handle(client->multi, call->easy);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    if (call->silence) event_free(call->silence);
    buf_free(&call->body);
    buf_free(&call->request_body);
    free(call);
}

void http_client_free(HttpClient *client) {
    if (!client) return;
    while (client->calls) call_free(client->calls);
    event_free(client->timer);
    curl_multi_cleanup(client->multi);
    free(client);
}

void http_cancel(HttpCall *call) { if (call) call_free(call); }

const char *http_outcome_code(HttpOutcome outcome) {
    switch (outcome) {
    case HTTP_ANSWERED:                 return NULL;
    case HTTP_TIMEOUT:            return "ETIMEDOUT";
    case HTTP_CONNECTION_RESET:   return "ECONNRESET";
    case HTTP_CONNECTION_REFUSED: return "ECONNREFUSED";
    case HTTP_NAME_NOT_FOUND:     return "ENOTFOUND";
    case HTTP_TLS_FAILED:         return "ETLS";
    case HTTP_TOO_LARGE:          return "EMSGSIZE";
    case HTTP_BAD_REQUEST:        return "EINVAL";
    case HTTP_FAILED:             return "EIO";
    }
    return "EIO";
}

static HttpOutcome outcome_of(const HttpCall *call, CURLcode code) {
    if (call->too_large) return HTTP_TOO_LARGE;
    switch (code) {
    case CURLE_OK:                        return HTTP_ANSWERED;
    case CURLE_OPERATION_TIMEDOUT:        return HTTP_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:      return HTTP_NAME_NOT_FOUND;
    case CURLE_COULDNT_CONNECT:           return HTTP_CONNECTION_REFUSED;
    case CURLE_RECV_ERROR: case CURLE_SEND_ERROR: case CURLE_GOT_NOTHING: case CURLE_PARTIAL_FILE: case CURLE_HTTP2: case CURLE_HTTP2_STREAM:
                                          return HTTP_CONNECTION_RESET;
    case CURLE_SSL_CONNECT_ERROR: case CURLE_PEER_FAILED_VERIFICATION: case CURLE_SSL_CERTPROBLEM: case CURLE_SSL_CIPHER: case CURLE_SSL_CACERT_BADFILE:
                                          return HTTP_TLS_FAILED;
    case CURLE_UNSUPPORTED_PROTOCOL: case CURLE_URL_MALFORMAT:
                                          return HTTP_BAD_REQUEST;
    default:                              return HTTP_FAILED;
    }
}

static long status_of(const HttpCall *call) {
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static bool in_pieces(const HttpCall *call) {
    long status = call->on_piece ? status_of(call) : 0;
    return status >= 200 && status < 300;
}

/* The call ends; `detail` may be NULL when it was answered. Headers and body outlive it for the callback's sake. */
static void finish(HttpCall *call, HttpOutcome outcome, const char *detail) {
    HttpResponse response = { .outcome = outcome, .status = outcome == HTTP_ANSWERED ? (int)status_of(call) : 0 };
    char content_type[sizeof call->content_type_text], retry_after[sizeof call->retry_after_text];
    Buf body = call->body;
    HttpDone done = call->done;
    void *arg = call->arg;
    if (outcome == HTTP_TOO_LARGE && in_pieces(call)) snprintf(response.detail, sizeof response.detail, "the answer is larger than HTTP_STREAM_MAX (%d bytes)", HTTP_STREAM_MAX);
    else if (outcome == HTTP_TOO_LARGE) snprintf(response.detail, sizeof response.detail, "the answer is larger than HTTP_BODY_MAX (%d bytes)", HTTP_BODY_MAX);
    else if (outcome != HTTP_ANSWERED) snprintf(response.detail, sizeof response.detail, "%s", call->curl_error[0] ? call->curl_error : detail);
    memcpy(content_type, call->content_type_text, sizeof content_type);
    memcpy(retry_after, call->retry_after_text, sizeof retry_after);
    response.content_type = str_of(content_type), response.retry_after = str_of(retry_after), response.body = buf_str(&body);
    call->body = (Buf){ 0 };
    call_free(call);
    done(&response, arg);
    buf_free(&body);
}

/* What came while curl ran; a callback may change the set of calls, so the search starts anew. */
static void hand_out_pieces(HttpClient *client) {
    while (client->has_pieces) {
        HttpCall *call = client->calls;
        while (call && !(call->body.len && in_pieces(call))) call = call->next;
        if (!call) { client->has_pieces = false; return; }
        Buf piece = call->body;
        char content_type[sizeof call->content_type_text];
        memcpy(content_type, call->content_type_text, sizeof content_type);
        HttpResponse head = { .outcome = HTTP_ANSWERED, .status = (int)status_of(call), .content_type = str_of(content_type) };
        call->body = (Buf){ 0 };
        call->on_piece(&head, buf_str(&piece), call->arg);
        buf_free(&piece);
    }
}

/* Takes the finished transfers out one by one; each callback may change the set, so the search starts anew. */
static void collect(HttpClient *client) {
    CURLMsg *message;
    int left;
    hand_out_pieces(client);
    while ((message = curl_multi_info_read(client->multi, &left))) {
        if (message->msg != CURLMSG_DONE) continue;
        HttpCall *call = NULL;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        finish(call, outcome_of(call, code), curl_easy_strerror(code));
    }
}

static void on_silence(evutil_socket_t fd, short what, void *arg) {
    HttpCall *call = arg;
    char detail[64];
    (void)fd, (void)what;
    call->curl_error[0] = 0;
    snprintf(detail, sizeof detail, "nothing came for %.1f seconds", (double)call->idle.tv_sec + (double)call->idle.tv_usec / 1e6);
    finish(call, HTTP_TIMEOUT, detail);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg) {
    HttpCall *call = arg;
    size_t len = size * count;
    if (call->silence) event_add(call->silence, &call->idle);
    if (in_pieces(call)) {
        call->piece_bytes += len;
        if (call->piece_bytes > HTTP_STREAM_MAX) { call->too_large = true; return 0; }
        call->client->has_pieces = true;
    } else if (call->body.len + len > HTTP_BODY_MAX) { call->too_large = true; return 0; }
    buf_put(&call->body, bytes, len);
    return len;
}

static void keep_header(Str line, const char *name, char *out, size_t out_size) {
    size_t name_len = strlen(name);
    if (line.len <= name_len || line.ptr[name_len] != ':' || strncasecmp(line.ptr, name, name_len) != 0) return;
    Str value = { line.ptr + name_len + 1, line.len - name_len - 1 };
    while (value.len && isspace((unsigned char)*value.ptr)) value.ptr++, value.len--;
    while (value.len && isspace((unsigned char)value.ptr[value.len - 1])) value.len--;
    snprintf(out, out_size, "%.*s", STR_ARG(value));
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg) {
    HttpCall *call = arg;
    size_t len = size * count;
    call->header_bytes += len;
    if (call->header_bytes > HTTP_HEADERS_MAX) { call->too_large = true; return 0; }
    if (call->silence) event_add(call->silence, &call->idle);
    keep_header((Str){ bytes, len }, "content-type", call->content_type_text, sizeof call->content_type_text);
    keep_header((Str){ bytes, len }, "retry-after", call->retry_after_text, sizeof call->retry_after_text);
    return len;
}

static bool has_control(Str text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7F) return true;
    return false;
}

static Err add_headers(HttpCall *call, const HttpRequest *request, Error *error) {
    Buf line = { 0 };
    Err err = ERR_OK;
    for (size_t i = 0; i < request->header_count && !err; i++) {
        const HttpHeader *header = &request->headers[i];
        if (has_control(header->name) || has_control(header->value)) { err = err_set(error, ERR_INVALID, "a header cannot hold control characters"); break; }
        buf_clear(&line);
        buf_printf(&line, "%.*s: %.*s", STR_ARG(header->name), STR_ARG(header->value));
        call->headers = curl_slist_append(call->headers, buf_cstr(&line));
    }
    call->headers = curl_slist_append(call->headers, "Expect:");       /* no 100-continue: one round trip less */
    buf_free(&line);
    return err;
}

static bool known_method(const char *method) {
    static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(methods[i], method) == 0) return true;
    return false;
}

static void set_options(HttpCall *call, const HttpRequest *request, const char *url) {
    CURL *easy = call->easy;
    int64_t timeout_us = request->timeout_us > 0 ? request->timeout_us : request->on_piece ? HTTP_STREAM_TIMEOUT : HTTP_TIMEOUT_DEFAULT;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(HTTP_CONNECT_TIMEOUT / 1000));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)((timeout_us + 999) / 1000));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->curl_error);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "fidus-flow/1");
    if (strcmp(request->method, "GET") == 0) return;
    if (request->body.len || strcmp(request->method, "DELETE") != 0) {
        buf_put_str(&call->request_body, request->body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->request_body.len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, buf_cstr(&call->request_body));
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static void watch_silence(HttpCall *call, int64_t idle_us) {
    if (idle_us <= 0) idle_us = HTTP_TIMEOUT_DEFAULT;
    call->idle = (struct timeval){ idle_us / 1000000, idle_us % 1000000 };
    call->silence = event_new(call->client->loop, -1, 0, on_silence, call);
    event_add(call->silence, &call->idle);
}

HttpCall *http_send(HttpClient *client, const HttpRequest *request, HttpDone done, void *arg, Error *error) {
    if (client->call_count >= HTTP_IN_FLIGHT_MAX) {
        err_set(error, ERR_LIMIT, "could not send: HTTP_IN_FLIGHT_MAX (%d) requests are under way", HTTP_IN_FLIGHT_MAX);
        return NULL;
    }
    if (!known_method(request->method) || has_control(request->url) || request->url.len == 0) {
        err_set(error, ERR_INVALID, "cannot send a %s request to `%.*s`", request->method, (int)(request->url.len < 200 ? request->url.len : 200), request->url.ptr);
        return NULL;
    }
    HttpCall *call = mem_alloc(sizeof *call);
    *call = (HttpCall){ .client = client, .easy = curl_easy_init(), .on_piece = request->on_piece, .done = done, .arg = arg, .next = client->calls };
    if (client->calls) client->calls->previous = call;
    client->calls = call;
    client->call_count++;
    if (add_headers(call, request, error)) { call_free(call); return NULL; }
    Buf url = { 0 };
    buf_put_str(&url, request->url);
    set_options(call, request, buf_cstr(&url));                        /* curl copies the URL */
    buf_free(&url);
    if (call->on_piece) watch_silence(call, request->idle_us);
    curl_multi_add_handle(client->multi, call->easy);                  /* starts by way of the timer */
    return call;
}

void http_put_escaped(Buf *out, Str text) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~') buf_put_char(out, (char)c);
        else buf_printf(out, "%%%02X", c);
    }
}

bool http_parse_date(Str text, int64_t *us) {
    char copy[64];
    if (text.len >= sizeof copy) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    time_t seconds = curl_getdate(copy, NULL);
    if (seconds < 0) return false;
    *us = (int64_t)seconds * 1000000;
    return true;
}

int64_t http_retry_after(Str header, int64_t now_us) {
    if (header.len == 0) return -1;
    int64_t seconds = 0, at;
    size_t i = 0;
    while (i < header.len && header.ptr[i] >= '0' && header.ptr[i] <= '9' && seconds <= 86400) seconds = seconds * 10 + (header.ptr[i++] - '0');
    if (i > 0 && (i == header.len || seconds > 86400)) return (seconds > 86400 ? 86400 : seconds) * TIME_SECOND;
    if (!http_parse_date(header, &at)) return -1;
    int64_t wait = at - now_us;
    return wait < 0 ? 0 : wait > TIME_DAY ? TIME_DAY : wait;
}
