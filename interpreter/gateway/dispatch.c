/* dispatch.c - `request` in tests of the language: the same plan as that of a request over HTTP, without a socket.
 *
 * Who asks is what the test says, and nobody checks a token; scopes, inputs, keys and signatures are checked as ever. A webhook's request that the test calls
 * `signed` is signed here, with a secret of the tests' own. The run is the test's to work on; its answer is made when nothing moves any more. */
#include "interpreter/gateway/gateway_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/base64.h"
#include "base/time.h"

enum { TEST_HEADERS_MAX = 32, TEST_QUERY_MAX = 64, TEST_EVENTS_MAX = 10000 };
static const char stripe_secret[] = "whsec_of_tests_only", standard_secret[] = "whsec_dGhpcyBzZWNyZXQgaXMgb2YgdGVzdHMgb25seQ==";

typedef struct Asked { HttpServerRequest request; HttpHeader headers[TEST_HEADERS_MAX]; HttpQuery query[TEST_QUERY_MAX]; Targets targets; const Target *target; Principal principal; Plan plan; Reply reply; } Asked;

/* ---- the request ------------------------------------------------------------------------------------------------------ */

static Str unescape(Str text, Arena *arena) {
    char *out = arena_alloc(arena, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte;
        if (text.ptr[i] == '%' && i + 2 < text.len && hex_decode((Str){ text.ptr + i + 1, 2 }, &byte, 1)) out[len++] = (char)byte, i += 2;
        else out[len++] = text.ptr[i] == '+' ? ' ' : text.ptr[i];
    }
    return (Str){ out, len };
}

static void read_target(Str target, Arena *arena, Asked *asked) {
    const char *mark = memchr(target.ptr, '?', target.len);
    Str query = mark ? (Str){ mark + 1, target.len - (size_t)(mark + 1 - target.ptr) } : (Str){ "", 0 };
    asked->request.path = mark ? (Str){ target.ptr, (size_t)(mark - target.ptr) } : target;
    asked->request.query = asked->query;
    for (size_t at = 0; at < query.len && asked->request.query_count < TEST_QUERY_MAX; at++) {
        size_t from = at;
        while (at < query.len && query.ptr[at] != '&') at++;
        Str pair = { query.ptr + from, at - from };
        const char *equals = memchr(pair.ptr, '=', pair.len);
        Str name = equals ? (Str){ pair.ptr, (size_t)(equals - pair.ptr) } : pair, value = equals ? (Str){ equals + 1, pair.len - name.len - 1 } : (Str){ "", 0 };
        asked->query[asked->request.query_count++] = (HttpQuery){ unescape(name, arena), unescape(value, arena) };
    }
}

static void add_header(Asked *asked, Str name, Str value) {
    if (asked->request.header_count < TEST_HEADERS_MAX) asked->headers[asked->request.header_count++] = (HttpHeader){ name, value };
}

static void sign(Engine *engine, Asked *asked, Arena *arena) {
    const ImageWebhook *hook = asked->target->webhook;
    char at[32], hex[SHA256_HEX + 1];
    snprintf(at, sizeof at, "%" PRId64, engine_now(engine) / TIME_SECOND);
    if (hook->scheme == VERIFY_STRIPE) {
        Sha256 mac = hmac_sha256(str_of(stripe_secret), str_of(arena_printf(arena, "%s.%.*s", at, STR_ARG(asked->request.body))));
        hex_encode(mac.bytes, SHA256_BYTES, hex);
        add_header(asked, STR("Stripe-Signature"), str_of(arena_printf(arena, "t=%s,v1=%s", at, hex)));
        return;
    }
    Str id = http_header(&asked->request, "webhook-id"), key;
    if (!id.len) id = STR("msg_of_test"), add_header(asked, STR("webhook-id"), id);
    base64_decode(str_of(standard_secret + 6), arena, &key);
    Sha256 mac = hmac_sha256(key, str_of(arena_printf(arena, "%.*s.%s.%.*s", STR_ARG(id), at, STR_ARG(asked->request.body))));
    Buf text = { 0 };
    buf_put_text(&text, "v1,");
    base64_encode((Str){ (const char *)mac.bytes, SHA256_BYTES }, &text);
    add_header(asked, STR("webhook-timestamp"), arena_str(arena, str_of(at)));
    add_header(asked, STR("webhook-signature"), arena_str(arena, buf_str(&text)));
    buf_free(&text);
}

static void read_request(const TestRequest *test, Arena *arena, Asked *asked) {
    asked->request = (HttpServerRequest){ .method = arena_str(arena, test->method).ptr, .target = test->target, .headers = asked->headers, .body = test->has_body ? test->body_json : (Str){ "", 0 } };
    snprintf(asked->request.request_id, sizeof asked->request.request_id, "test");
    read_target(test->target, arena, asked);
    for (uint32_t i = 0; i < test->header_count; i++) add_header(asked, test->headers[i].name, test->headers[i].value);
    if (test->has_body && !http_header(&asked->request, "Content-Type").len) add_header(asked, STR("Content-Type"), STR("application/json"));
    if (!test->has_user) asked->principal = (Principal){ .tenant = STR(IDENTITY_PUBLIC_TENANT), .user = STR("visitor"), .expires_us = INT64_MAX };
    else asked->principal = (Principal){ .tenant = test->tenant, .user = test->user, .session_id = STR("test"), .expires_us = INT64_MAX,
                                    .scopes = (Str *)test->scopes, .scope_count = test->scope_count, .roles = (Str *)test->roles, .role_count = test->role_count };
}

/* ---- what it starts ------------------------------------------------------------------------------------------------------ */

static bool refuse(Asked *asked, Arena *arena, Problem problem, Str detail) {
    problem_reply(problem, str_of(asked->request.request_id), detail, NULL, arena, &asked->reply);
    return false;
}

static bool plan(Engine *engine, const TestRequest *test, Arena *arena, Asked *asked) {
    if (!asked->target) return false;
    if (asked->target->webhook) {
        if (test->is_signed) sign(engine, asked, arena);
        return plan_webhook(engine, asked->target, &asked->request, str_of(asked->target->webhook->scheme == VERIFY_STRIPE ? stripe_secret : standard_secret), arena, &asked->plan, &asked->reply);
    }
    if (!test->has_user && !(asked->target->route->flags & ROUTE_PUBLIC)) return plan_refuse_sender(AUTH_NONE, &asked->request, arena, &asked->reply), false;
    return plan_route(asked->target, &asked->request, &asked->principal, arena, &asked->plan, &asked->reply);
}

/* Everything up to the start of a run; false: asked->reply is the answer. */
static bool read_and_plan(Engine *engine, Image *image, const TestRequest *test, Arena *arena, Asked *asked, Error *error, Err *err) {
    Str allow;
    *err = ERR_OK;
    for (uint16_t i = 0; i < image->route_count && !*err; i++) *err = targets_add(&asked->targets, image, &image->routes[i], NULL, error);
    for (uint16_t i = 0; i < image->webhook_count && !*err; i++) *err = targets_add(&asked->targets, image, NULL, &image->webhooks[i], error);
    if (*err) return false;
    read_request(test, arena, asked);
    asked->target = targets_find(&asked->targets, test->method, asked->request.path, arena, &allow);
    if (asked->target) return plan(engine, test, arena, asked);
    if (allow.len) reply_header(&asked->reply, STR("Allow"), allow);
    return refuse(asked, arena, allow.len ? PROBLEM_no_method : PROBLEM_not_found, allow.len ? STR("not with this method") : STR("nothing is served here"));
}

static Str lower_case(Str name, Arena *arena) {
    char *out = arena_alloc(arena, name.len + 1);
    for (size_t i = 0; i < name.len; i++) out[i] = (char)(name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? name.ptr[i] | 0x20 : name.ptr[i]);
    return (Str){ out, name.len };
}

static void copy_reply(const Reply *reply, Arena *arena, TestResponse *out) {
    TestHeader *headers = ARENA_ARRAY(arena, TestHeader, reply->header_count + 1);
    out->header_count = 0;
    for (size_t i = 0; i < reply->header_count; i++) headers[out->header_count++] = (TestHeader){ lower_case(reply->headers[i].name, arena), reply->headers[i].value };
    if (reply->content_type.len) headers[out->header_count++] = (TestHeader){ STR("content-type"), reply->content_type };
    out->status = reply->status;
    out->body = reply->body;
    out->headers = headers;
}

static bool find_young(Engine *engine, const Plan *p, const char *run_id, Arena *arena, RunRow *out) {
    return engine_find_run(engine, p->who.tenant, str_of(run_id), arena, out, NULL) == ERR_OK && str_is(out->run_id, run_id) && once_counts(p, out, engine_now(engine));
}

/* Nobody else starts anything here, so looking first is enough. */
static Err start(Engine *engine, Asked *asked, Str run_id, Arena *arena, TestResponse *out, Error *error) {
    char id[64];
    OnceIds once;
    RunRow known = { 0 };
    bool found = false;
    snprintf(id, sizeof id, "%.*s", STR_ARG(run_id));
    if (!asked->plan.webhook) out->tenant = asked->plan.who.tenant, out->user = asked->plan.who.user;
    if (asked->plan.once_key.len) {
        once_ids(&asked->plan, engine_now(engine), &once);
        snprintf(id, sizeof id, "%s", once.now);
        found = find_young(engine, &asked->plan, once.before, arena, &known) || find_young(engine, &asked->plan, once.now, arena, &known);
    }
    Str flow = asked->plan.image->flows[asked->plan.flow].name;
    if (found && asked->plan.compares && !engine_same_input(engine, asked->plan.image, flow, asked->plan.input_json, &known)) {
        refuse(asked, arena, PROBLEM_rejected, STR("this Idempotency-Key was used for another input"));
        return copy_reply(&asked->reply, arena, out), ERR_OK;
    }
    Err err = found ? ERR_OK : engine_start(engine, asked->plan.image, flow, asked->plan.input_json, &asked->plan.who, id, error);
    if (err == ERR_CRASH) return err;
    if (err) problem_of_error(err, error, str_of(asked->request.request_id), arena, &asked->reply);
    else if (asked->plan.webhook) reply_json(&asked->reply, 200, found ? STR("{\"received\":true,\"duplicate\":true}") : STR("{\"received\":true}"));
    if (!err) out->run_id = found ? known.run_id : arena_str(arena, str_of(id));
    copy_reply(&asked->reply, arena, out);
    return ERR_OK;
}

static Err test_accept(Engine *engine, Image *image, const TestRequest *test, Str run_id, Arena *arena, TestResponse *out, Error *error) {
    Asked *asked = ARENA_NEW(arena, Asked);
    Err err;
    bool planned = read_and_plan(engine, image, test, arena, asked, error, &err);
    if (planned) err = start(engine, asked, run_id, arena, out, error);
    else if (!err) copy_reply(&asked->reply, arena, out);
    targets_free(&asked->targets);
    return err;
}

/* ---- what comes back ---------------------------------------------------------------------------------------------------------- */

static Err read_events(Engine *engine, const RunRow *run, Arena *arena, TestResponse *out, Error *error) {
    StoreBatch *batch = store_batch(engine_home(engine, run), run->tenant, run->run_id, 0);
    int index = store_get_journal(batch, run->run_id, 0, UINT32_MAX);
    Err err = store_run_batch(batch, error);
    uint32_t count = 0, kept = 0;
    const JournalRow *rows = err ? NULL : store_journal(batch, index, &count);
    Str *events = ARENA_ARRAY(arena, Str, count + 2);
    StreamEvent event;
    for (uint32_t i = 0; i < count && kept < TEST_EVENTS_MAX; i++)
        if (stream_event_of(&rows[i], arena, &event)) events[kept++] = event.data;
    if (!err && stream_end_of(run, STR("test"), arena, &event)) events[kept++] = event.data;
    store_batch_free(batch);
    out->status = 200;
    out->body = (Str){ "", 0 };
    out->events = events;
    out->event_count = kept;
    return err;
}

static Err test_answer(Engine *engine, Image *image, const TestRequest *test, Str run_id, Arena *arena, TestResponse *out, Error *error) {
    Asked *asked = ARENA_NEW(arena, Asked);
    RunRow run;
    Err err;
    bool planned = read_and_plan(engine, image, test, arena, asked, error, &err);
    out->run_id = run_id;
    if (planned && asked->plan.webhook && out->status) {         /* answered before its run began; after a crash the sender asks again */
        targets_free(&asked->targets);
        return ERR_OK;
    }
    if (planned && asked->plan.webhook) reply_json(&asked->reply, 200, STR("{\"received\":true}"));
    else if (planned && (err = engine_find_run(engine, asked->plan.who.tenant, run_id, arena, &run, error)) == ERR_OK) {
        if (asked->plan.stream) err = read_events(engine, &run, arena, out, error);
        else if (run_status_ended(run.status)) {
            Str session;
            outcome_ended(&run, str_of(asked->request.request_id), arena, &asked->reply);
            outcome_browser(image, asked->plan.flow, &run, arena, &asked->reply, &session);
            if (session.len) reply_header(&asked->reply, STR("Set-Cookie"), str_of(arena_printf(arena, "%s=%.*s", IDENTITY_COOKIE, STR_ARG(session))));      /* no token is made here: its session stands for it */
        }
        else outcome_waits(&run, arena, &asked->reply);
    }
    reply_header(&asked->reply, STR("Flow-Run"), run_id);
    if (!err && !(planned && asked->plan.stream)) copy_reply(&asked->reply, arena, out);
    targets_free(&asked->targets);
    return err;
}

const TestGateway GATEWAY_FOR_TESTS = { .accept = test_accept, .answer = test_answer };
