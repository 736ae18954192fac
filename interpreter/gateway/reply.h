/* reply.h - an answer before it is sent, and the problems (RFC 9457) that most refusals are.
 *
 * PROBLEMS is the one table of codes: those of the language's error kinds, by their names, and the gateway's own. All texts live in the arena given.
 */
#ifndef GATEWAY_REPLY_H
#define GATEWAY_REPLY_H
#include "base/arena.h"
#include "interpreter/bytecode/image.h"
#include "interpreter/net/http_server.h"

enum { REPLY_HEADERS_MAX = 12 };

typedef struct Reply {
    int status;
    Str content_type, body;
    HttpHeader headers[REPLY_HEADERS_MAX]; size_t header_count;
} Reply;

void reply_header(Reply *reply, Str name, Str value);                  /* beyond REPLY_HEADERS_MAX: dropped */
void reply_json(Reply *reply, int status, Str json);

/* PROBLEM(code, status, title). The first are the kinds of ERROR_KINDS, in their order. */
#define PROBLEMS(P) \
    P(invalid,           400, "The request does not fit") \
    P(denied,            403, "Not allowed") \
    P(not_found,         404, "Not found") \
    P(conflict,          409, "In conflict with what is there") \
    P(timeout,           504, "The time was over") \
    P(unavailable,       503, "Not available at the moment") \
    P(rejected,          422, "Understood and refused") \
    P(rate_limited,      429, "Too often") \
    P(cancelled,         409, "The run was cancelled") \
    P(in_doubt,          500, "Nobody can know whether a step took effect") \
    P(internal,          500, "An error of this side") \
    P(unauthenticated,   401, "Who are you?") \
    P(no_method,         405, "Not with this method") \
    P(too_large,         413, "Too large") \
    P(unsupported_media, 415, "Not in this format")
typedef enum {
#define P(code, status, title) PROBLEM_##code,
    PROBLEMS(P)
#undef P
    PROBLEM_COUNT
} Problem;

int         problem_status(Problem problem);
const char *problem_code(Problem problem);
const char *problem_title(Problem problem);
Problem     problem_of_kind(ErrorKind kind);
bool        problem_of_name(Str kind, Problem *out);                   /* "not_found" */

/* What else a problem may say; empty texts are left out. */
typedef struct ProblemMore {
    Str pointer, detail;                                 /* one entry of `errors`: where in the input (a JSON pointer), and what */
    Str code;                                            /* a code of the program's own; else that of the problem */
    Str run;                                             /* whose failure it is */
    int64_t retry_after_us;                              /* 0: none */
} ProblemMore;
/* The problem's members without braces at the end, so that a caller can add some: for an SSE event. */
void problem_put(Problem problem, Str request_id, Str detail, const ProblemMore *more, Buf *out);
void problem_reply(Problem problem, Str request_id, Str detail, const ProblemMore *more /* may be NULL */, Arena *arena, Reply *reply);
/* An Err of the engine: its text is shown where it is the caller's own (ERR_INVALID with its pointer, ERR_NOT_FOUND, ERR_CONFLICT, rates). */
void problem_of_error(Err err, const Error *error, Str request_id, Arena *arena, Reply *reply);
#endif
