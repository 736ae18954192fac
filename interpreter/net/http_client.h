/* http_client.h - requests to other services, without waiting for them.
 *
 * libcurl's multi interface on the caller's event loop; the callback comes from the loop, never from inside http_send. Only http and https,
 * no redirects (a redirect is an answer like any other), certificates are checked, an answer above HTTP_BODY_MAX ends the request with
 * HTTP_TOO_LARGE. Times are microseconds. The response lives until the callback returns. A cancelled request calls nobody.
 *
 * An answer that comes slowly is read in pieces: with on_piece, what a status of 200 to 299 brings goes there as it comes (from the loop, never from
 * inside curl: the callback may send or cancel, also its own call), at most HTTP_STREAM_MAX bytes in all, and `done` gets an empty body. The time
 * that counts is then the silence between two pieces, idle_us; timeout_us still bounds the whole. Other statuses have a body as always.
 */
#ifndef NET_HTTP_CLIENT_H
#define NET_HTTP_CLIENT_H
#include "base/err.h"
#include "base/buf.h"

struct event_base;
typedef struct HttpClient HttpClient;
typedef struct HttpCall HttpCall;

enum { HTTP_BODY_MAX = 1 << 20, HTTP_STREAM_MAX = 16 << 20, HTTP_HEADERS_MAX = 64 << 10, HTTP_IN_FLIGHT_MAX = 1000 };
#define HTTP_TIMEOUT_DEFAULT INT64_C(30000000)
#define HTTP_CONNECT_TIMEOUT INT64_C(10000000)
#define HTTP_STREAM_TIMEOUT  INT64_C(600000000)                       /* of the whole, when it is read in pieces */

typedef enum { HTTP_ANSWERED, HTTP_TIMEOUT, HTTP_CONNECTION_RESET, HTTP_CONNECTION_REFUSED, HTTP_NAME_NOT_FOUND, HTTP_TLS_FAILED, HTTP_TOO_LARGE, HTTP_BAD_REQUEST, HTTP_FAILED } HttpOutcome;

typedef struct HttpHeader { Str name, value; } HttpHeader;             /* a CR, LF or NUL in either refuses the request */
typedef struct HttpResponse {
    HttpOutcome outcome;
    int status;                                                        /* 0 unless HTTP_ANSWERED */
    Str body, content_type, retry_after;                               /* the header's text, or empty */
    char detail[256];                                                  /* why it failed, for people */
} HttpResponse;
typedef void (*HttpPiece)(const HttpResponse *head /* status, content_type */, Str piece, void *arg);
typedef struct HttpRequest {
    const char *method;                                                /* GET POST PUT PATCH DELETE */
    Str url, body;
    const HttpHeader *headers; size_t header_count;
    int64_t timeout_us;                                                /* 0: HTTP_TIMEOUT_DEFAULT, with on_piece HTTP_STREAM_TIMEOUT */
    HttpPiece on_piece; int64_t idle_us;                               /* 0: HTTP_TIMEOUT_DEFAULT */
} HttpRequest;
typedef void (*HttpDone)(const HttpResponse *response, void *arg);

HttpClient *http_client_new(struct event_base *loop);
void        http_client_free(HttpClient *client);                      /* cancels what is in flight */
/* NULL: the request cannot be sent at all, *error says why (ERR_INVALID, ERR_LIMIT). The strings are copied. */
HttpCall   *http_send(HttpClient *client, const HttpRequest *request, HttpDone done, void *arg, Error *error);
void        http_cancel(HttpCall *call);
/* "ECONNRESET" and its kin, as a policy's `on` clause names them; NULL for HTTP_ANSWERED. */
const char *http_outcome_code(HttpOutcome outcome);
/* Percent-encodes everything but unreserved characters. */
void        http_put_escaped(Buf *out, Str text);
/* An HTTP date in any of its three forms, as microseconds since 1970. */
bool        http_parse_date(Str text, int64_t *us);
/* What a Retry-After header asks for: microseconds to wait, -1 when it says nothing usable. Bounded by a day. */
int64_t     http_retry_after(Str header, int64_t now_us);
#endif
