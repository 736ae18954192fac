/* http_guard.h - which bytes of a connection may reach the HTTP parser.
 *
 * evhttp takes much that can be read in two ways (two lengths, two hosts, folded lines, bare LF, NUL, `Transfer-Encoding: xchunked`), which is how
 * requests are smuggled past a proxy. The guard looks at every byte before it: it lets through what is unambiguous, one request at a time, and refuses
 * the rest. It is pure: bytes in, a verdict out, the same however the bytes are split. It owns nothing.
 *
 * Taken: origin-form targets; HTTP/1.1 and 1.0; the methods of the table in http_guard.c; exactly one Host; no body for GET, HEAD, DELETE, OPTIONS, else
 * Content-Length (digits) or `Transfer-Encoding: chunked` (these very letters, no extensions, no trailers) and never both; field values of visible
 * characters, spaces and UTF-8; the fields of one value (Host, Authorization, Cookie…) once.
 */
#ifndef NET_HTTP_GUARD_H
#define NET_HTTP_GUARD_H
#include "base/str.h"

enum {
    HTTP_REQUEST_LINE_MAX = 8192,                        /* 414 */
    HTTP_HEADER_COUNT_MAX = 100,                         /* 431 */
    HTTP_CHUNK_LINE_MAX = 8 + 2                          /* hexadecimal digits of a chunk's size, CR, LF; 400 */
};

typedef enum { GUARD_HEAD, GUARD_BODY, GUARD_CHUNK_LINE, GUARD_CHUNK_DATA, GUARD_CHUNK_END, GUARD_LAST_END, GUARD_DONE, GUARD_REFUSED } HttpGuardState;

typedef struct HttpGuard {
    uint32_t headers_max, body_max;
    HttpGuardState state;
    int status;                                          /* GUARD_REFUSED: the answer's status */
    const char *why;                                     /* and its reason, static */
    uint32_t scanned, line_start, lines;                 /* of the head: bytes looked at, where the current line began, lines that ended */
    uint32_t seen;                                       /* bit i: the field of row i of the table came */
    uint64_t left, body;                                 /* bytes of the body or chunk to come; bytes of the chunks so far */
    uint8_t method;                                      /* row of the table */
    bool old, chunked;                                   /* HTTP/1.0; Transfer-Encoding came */
} HttpGuard;

void   http_guard_init(HttpGuard *guard, uint32_t headers_max, uint32_t body_max);
/* How many bytes it must see in one piece, as far as they are there. */
size_t http_guard_window(const HttpGuard *guard);
/* `front` begins the bytes that did not pass yet, `available` is how many there are in all (front.len of them in one piece). Returns how many may pass
 * now; 0: more are needed, the request is complete (GUARD_DONE), or it is refused. Call it again until it says 0. */
size_t http_guard_pass(HttpGuard *guard, Str front, size_t available);
void   http_guard_next(HttpGuard *guard);                /* after GUARD_DONE: what follows is the next request */
bool   http_is_token(Str text);                          /* a name of a field, a method */
bool   http_is_field_value(Str text);                    /* visible characters, spaces and valid UTF-8, no control characters */
#endif
