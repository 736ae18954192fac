/* plan.c - what a request starts, decided without starting anything. Tests of the language come through here as requests do. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/time.h"
#include "interpreter/effect/ids.h"
#include "interpreter/gateway/gateway_internal.h"
#include "interpreter/gateway/signature.h"

#define ONCE_GRACE (60 * TIME_SECOND)                    /* a request that has begun is done after this, or has failed */

/* ---- who ----------------------------------------------------------------------------------------------------------- */

void plan_refuse_sender(AuthOutcome outcome, const HttpServerRequest *request, Arena *arena, Reply *reply) {
    Str id = str_of(request->request_id);
    if (outcome == AUTH_UNAVAILABLE) {
        problem_reply(PROBLEM_unavailable, id, STR("who you are cannot be found out just now"), &(ProblemMore){ .retry_after_us = TIME_SECOND }, arena, reply);
        return;
    }
    ProblemMore more = { .code = outcome == AUTH_NONE ? STR("token_missing") : outcome == AUTH_EXPIRED ? STR("token_expired") : outcome == AUTH_REVOKED ? STR("session_revoked") : STR("token_invalid") };
    Str detail = outcome == AUTH_NONE ? STR("this needs a token: `Authorization: Bearer …`") : outcome == AUTH_EXPIRED ? STR("the token has expired")
                 : outcome == AUTH_REVOKED ? STR("the session has ended") : STR("the token is not accepted");
    problem_reply(PROBLEM_unauthenticated, id, detail, &more, arena, reply);
    reply_header(reply, STR("WWW-Authenticate"), outcome == AUTH_NONE ? STR("Bearer") : STR("Bearer error=\"invalid_token\""));
}

static Str joined(const Str *scopes, uint32_t count, Arena *arena) {
    Buf text = { 0 };
    for (uint32_t i = 0; i < count; i++) buf_printf(&text, "%s%.*s", i ? " " : "", STR_ARG(scopes[i]));
    Str all = arena_str(arena, buf_str(&text));
    buf_free(&text);
    return all;
}

static bool refuse_scope(const ImageRoute *route, Str missing, const HttpServerRequest *request, Arena *arena, Reply *reply) {
    Str all = joined(route->scopes, route->scope_count, arena);
    problem_reply(PROBLEM_denied, str_of(request->request_id), str_of(arena_printf(arena, "this needs the scope `%.*s`", STR_ARG(missing))), &(ProblemMore){ .code = STR("insufficient_scope") }, arena, reply);
    reply_header(reply, STR("WWW-Authenticate"), str_of(arena_printf(arena, "Bearer error=\"insufficient_scope\", scope=\"%.*s\"", STR_ARG(all))));
    return false;
}

/* ---- how long ------------------------------------------------------------------------------------------------------- */

/* A flow that says how long it may take is waited for so long, and a moment more for the news that it took longer. */
static int64_t default_wait(const ImageFlow *flow) {
    return flow->within_us > 0 && flow->within_us <= GATEWAY_WAIT_MAX ? flow->within_us + TIME_SECOND : GATEWAY_WAIT;
}

/* RFC 7240: "respond-async", "wait=5", separated by commas. */
int64_t plan_wait(const HttpServerRequest *request, int64_t otherwise) {
    Str text = http_header(request, "Prefer");
    for (size_t at = 0; at < text.len;) {
        while (at < text.len && (text.ptr[at] == ',' || text.ptr[at] == ' ')) at++;
        size_t from = at;
        while (at < text.len && text.ptr[at] != ',') at++;
        Str word = { text.ptr + from, at - from };
        while (word.len && word.ptr[word.len - 1] == ' ') word.len--;
        if (word.len == 13 && strncasecmp(word.ptr, "respond-async", 13) == 0) return 0;
        if (word.len > 5 && word.len < 10 && strncasecmp(word.ptr, "wait=", 5) == 0) {
            int64_t seconds = 0;
            for (size_t i = 5; i < word.len && seconds >= 0; i++) seconds = word.ptr[i] >= '0' && word.ptr[i] <= '9' ? seconds * 10 + (word.ptr[i] - '0') : -1;
            if (seconds >= 0) return seconds * TIME_SECOND < GATEWAY_WAIT_MAX ? seconds * TIME_SECOND : GATEWAY_WAIT_MAX;
        }
    }
    return otherwise;
}

/* ---- once ----------------------------------------------------------------------------------------------------------------- */

static bool read_key(const Target *target, const HttpServerRequest *request, const EnginePrincipal *who, Arena *arena, Plan *out, Reply *reply) {
    Str key = http_header(request, "Idempotency-Key");
    if (!key.len || str_is(target->route->method, "GET")) return true;
    if (key.len > IDEMPOTENCY_KEY_MAX) {
        Str detail = STR("the Idempotency-Key is longer than IDEMPOTENCY_KEY_MAX (255 bytes)");
        return problem_reply(PROBLEM_invalid, str_of(request->request_id), detail, NULL, arena, reply), false;
    }
    Buf text = { 0 };
    const Str parts[] = { STR("request"), who->tenant, who->user, target->route->method, target->route->path, key };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) buf_put_bytes(&text, parts[i]);
    out->once_key = arena_str(arena, buf_str(&text));
    out->once_us = IDEMPOTENCY_TTL;
    out->compares = true;
    buf_free(&text);
    return true;
}

void once_ids(const Plan *plan, int64_t now_us, OnceIds *out) {
    int64_t span = plan->once_us + 2 * ONCE_GRACE, number = now_us / span;
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, number);
    ids_derived("R", plan->once_key, str_of(text), out->now);
    snprintf(text, sizeof text, "%" PRId64, number - 1);
    ids_derived("R", plan->once_key, str_of(text), out->before);
    out->first_before = now_us % span < ONCE_GRACE;
}

bool once_counts(const Plan *plan, const RunRow *found, int64_t now_us) { return now_us - found->created_us < plan->once_us; }

/* ---- routes ------------------------------------------------------------------------------------------------------------------ */

bool plan_route(const Target *target, const HttpServerRequest *request, const Principal *principal, Arena *arena, Plan *out, Reply *reply) {
    const ImageRoute *route = target->route;
    bool open = route->flags & ROUTE_PUBLIC;
    Str missing;
    *out = (Plan){ .image = target->image, .flow = route->flow };
    if (!open && !scope_allows(principal, route->scopes, route->scope_count, &missing)) return refuse_scope(route, missing, request, arena, reply);
    out->who.cause = str_of(arena_printf(arena, "%.*s %.*s%s", STR_ARG(route->method), STR_ARG(route->path), open ? " (public)" : ""));
    out->who.tenant = principal->tenant;
    out->who.user = principal->user;
    out->who.user_name = principal->email.len ? principal->email : principal->user;
    out->who.scopes = joined(principal->scopes, principal->scope_count, arena);
    out->stream = route->flags & ROUTE_STREAM;
    out->cancel_on_gone = route->flags & ROUTE_CANCEL_ON_DISCONNECT;
    out->wait_us = plan_wait(request, default_wait(&target->image->flows[route->flow]));
    if (!input_read(target, request, arena, &out->input_json, reply)) return false;
    return open || read_key(target, request, &out->who, arena, out, reply);          /* a visitor without a cookie is a new one each time */
}

/* ---- webhooks ------------------------------------------------------------------------------------------------------------------ */

/* A function of the body that gives text or null. Empty: null, or it failed, which is the sender's mistake as well. */
static Str ask_body(Engine *engine, Image *image, uint16_t func, const Json *body, Arena *arena) {
    Value value = value_json(body), out = { 0 };
    Error error;
    Str text = { "", 0 };
    if (engine_evaluate(engine, image, func, &value, &(EnginePrincipal){ .tenant = STR("") }, &out, &error) == ERR_OK) {
        if (out.w) {
            uint16_t type = image->funcs[func].result;
            Value inner = image->types[type].kind == KIND_OPT ? opt_value(image, type, out) : out;
            text = arena_str(arena, value_str(inner));
            if (image->types[type].kind == KIND_OPT) value_release(inner);
        }
        value_release(out);
    }
    value_release(value);
    return text;
}

static bool refuse_body(const HttpServerRequest *request, Str detail, Arena *arena, Reply *reply) {
    problem_reply(PROBLEM_invalid, str_of(request->request_id), detail, &(ProblemMore){ .detail = detail }, arena, reply);
    return false;
}

static void webhook_once(Engine *engine, const Target *target, const HttpServerRequest *request, const Json *body, Arena *arena, Plan *out) {
    const ImageWebhook *hook = target->webhook;
    Str key = http_header(request, "webhook-id");
    if (hook->dedupe_func == NO_INDEX && hook->scheme != VERIFY_STANDARD) return;
    if (hook->dedupe_func != NO_INDEX) key = ask_body(engine, target->image, hook->dedupe_func, body, arena);
    if (!key.len) return;                                /* null is no key */
    Buf text = { 0 };
    const Str parts[] = { STR("webhook"), hook->name, out->who.tenant, key };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) buf_put_bytes(&text, parts[i]);
    out->once_key = arena_str(arena, buf_str(&text));
    out->once_us = hook->dedupe_ttl_us > 0 ? hook->dedupe_ttl_us : IDEMPOTENCY_TTL;
    buf_free(&text);
}

bool plan_webhook(Engine *engine, const Target *target, const HttpServerRequest *request, Str secrets, Arena *arena, Plan *out, Reply *reply) {
    const ImageWebhook *hook = target->webhook;
    const char *why = signature_check(hook->scheme, secrets, request, engine_now(engine), hook->tolerance_us, arena);
    Json *body = NULL;
    *out = (Plan){ .image = target->image, .flow = hook->flow, .webhook = true };
    if (why) {
        problem_reply(PROBLEM_unauthenticated, str_of(request->request_id), str_of(why), &(ProblemMore){ .code = STR("signature_invalid") }, arena, reply);
        return false;
    }
    Error error;
    if (json_parse(arena, request->body, HTTP_SERVER_BODY_MAX, &body, &error) != ERR_OK) return refuse_body(request, arena_str(arena, str_of(error.text)), arena, reply);
    out->who.tenant = hook->tenant_func == NO_INDEX ? STR(IDENTITY_PUBLIC_TENANT) : ask_body(engine, target->image, hook->tenant_func, body, arena);
    if (!out->who.tenant.len) return refuse_body(request, STR("the body does not say whose event it is: no tenant"), arena, reply);
    out->who.user = out->who.user_name = hook->name;
    out->who.cause = str_of(arena_printf(arena, "%.*s %.*s (webhook)", STR_ARG(hook->method), STR_ARG(hook->path)));
    Buf input = { 0 };
    buf_put_char(&input, '{');
    json_put_string(&input, target->image->flows[hook->flow].params[0].name);
    buf_put_char(&input, ':');
    json_print(&input, body);
    buf_put_char(&input, '}');
    out->input_json = arena_str(arena, buf_str(&input));
    buf_free(&input);
    webhook_once(engine, target, request, body, arena, out);
    return true;
}

const char *webhook_secrets(const ImageWebhook *webhook) {
    char name[256];
    snprintf(name, sizeof name, "%.*s", STR_ARG(webhook->secret_env));
    const char *secrets = getenv(name);
    return secrets && secrets[0] ? secrets : NULL;
}
