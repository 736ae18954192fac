/* reply.c - answers and problems: see reply.h. */
#include "interpreter/gateway/reply.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/time.h"

static const struct { const char *code, *title; int status; } problems[] = {
#define P(code, status, title) { #code, title, status },
    PROBLEMS(P)
#undef P
};

/* The kinds of errors come first, and in their order. */
#define K(name) _Static_assert((int)PROBLEM_##name == (int)ERROR_KIND_##name, "a problem for every kind of error, in their order");
ERROR_KINDS(K)
#undef K

int problem_status(Problem problem) { return problems[problem].status; }
const char *problem_code(Problem problem) { return problems[problem].code; }
const char *problem_title(Problem problem) { return problems[problem].title; }
Problem problem_of_kind(ErrorKind kind) { return kind < ERROR_KIND_COUNT ? (Problem)kind : PROBLEM_internal; }

bool problem_of_name(Str kind, Problem *out) {
    for (int i = 0; i < ERROR_KIND_COUNT; i++)
        if (str_is(kind, problems[i].code)) return *out = (Problem)i, true;
    return false;
}

void reply_header(Reply *reply, Str name, Str value) {
    if (reply->header_count < REPLY_HEADERS_MAX) reply->headers[reply->header_count++] = (HttpHeader){ name, value };
}

void reply_json(Reply *reply, int status, Str json) {
    reply->status = status;
    reply->content_type = STR("application/json");
    reply->body = json;
}

static void put_text(Buf *out, const char *name, Str text) {
    if (!text.len) return;
    buf_printf(out, ",\"%s\":", name);
    json_put_string(out, text);
}

void problem_put(Problem problem, Str request_id, Str detail, const ProblemMore *more, Buf *out) {
    static const ProblemMore none;
    if (!more) more = &none;
    buf_printf(out, "\"type\":\"urn:flow:problem:%s\",\"title\":\"%s\",\"status\":%d", problems[problem].code, problems[problem].title, problems[problem].status);
    put_text(out, "detail", detail);
    put_text(out, "instance", request_id);
    put_text(out, "code", more->code.len ? more->code : str_of(problems[problem].code));
    put_text(out, "run", more->run);
    if (!more->detail.len) return;
    buf_put_text(out, ",\"errors\":[{\"pointer\":");
    json_put_string(out, more->pointer);
    buf_put_text(out, ",\"detail\":");
    json_put_string(out, more->detail);
    buf_put_text(out, "}]");
}

void problem_reply(Problem problem, Str request_id, Str detail, const ProblemMore *more, Arena *arena, Reply *reply) {
    Buf body = { 0 };
    buf_put_char(&body, '{');
    problem_put(problem, request_id, detail, more, &body);
    buf_put_char(&body, '}');
    reply->status = problems[problem].status;
    reply->content_type = STR("application/problem+json");
    reply->body = arena_str(arena, buf_str(&body));
    buf_free(&body);
    if (more && more->retry_after_us > 0)
        reply_header(reply, STR("Retry-After"), str_of(arena_printf(arena, "%" PRId64, (more->retry_after_us + TIME_SECOND - 1) / TIME_SECOND)));
}

/* "/items/3/price: expected decimal" */
static void split_pointer(Str text, ProblemMore *more) {
    const char *colon = text.len && text.ptr[0] == '/' ? memmem(text.ptr, text.len, ": ", 2) : NULL;
    more->detail = text;
    if (!colon) return;
    more->pointer = (Str){ text.ptr, (size_t)(colon - text.ptr) };
    more->detail = (Str){ colon + 2, text.len - more->pointer.len - 2 };
    if (more->pointer.len > 1 && colon[-1] == '/') more->pointer.len--;            /* the value itself, which has no name of its own */
}

static void invalid_reply(Str text, Str request_id, Arena *arena, Reply *reply) {
    ProblemMore more = { 0 };
    split_pointer(arena_str(arena, text), &more);
    problem_reply(PROBLEM_invalid, request_id, arena_str(arena, text), &more, arena, reply);
}

/* "rate_limited: … retry after 7 s" */
static void limit_reply(Str text, Str request_id, Arena *arena, Reply *reply) {
    static const char prefix[] = "rate_limited: ", after[] = "retry after ";
    if (!str_starts(text, str_of(prefix))) { problem_reply(PROBLEM_rejected, request_id, arena_str(arena, text), NULL, arena, reply); return; }
    ProblemMore more = { 0 };
    const char *wait = memmem(text.ptr, text.len, after, sizeof after - 1);
    if (wait) more.retry_after_us = strtoll(wait + sizeof after - 1, NULL, 10) * TIME_SECOND;
    Str detail = { text.ptr + sizeof prefix - 1, text.len - (sizeof prefix - 1) };
    problem_reply(PROBLEM_rate_limited, request_id, arena_str(arena, detail), &more, arena, reply);
}

void problem_of_error(Err err, const Error *error, Str request_id, Arena *arena, Reply *reply) {
    Str text = str_of(error->text);
    switch (err) {
    case ERR_INVALID:   invalid_reply(text, request_id, arena, reply); break;
    case ERR_LIMIT:     limit_reply(text, request_id, arena, reply); break;
    case ERR_NOT_FOUND: problem_reply(PROBLEM_not_found, request_id, arena_str(arena, text), NULL, arena, reply); break;
    case ERR_CONFLICT:  problem_reply(PROBLEM_conflict, request_id, arena_str(arena, text), NULL, arena, reply); break;
    case ERR_IO: case ERR_BUSY:
        problem_reply(PROBLEM_unavailable, request_id, STR("the store cannot be reached; nothing that was acknowledged is lost"), &(ProblemMore){ .retry_after_us = TIME_SECOND }, arena, reply);
        break;
    default: problem_reply(PROBLEM_internal, request_id, (Str){ 0 }, NULL, arena, reply); break;
    }
}
