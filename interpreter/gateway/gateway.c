/* gateway.c - the gateway's life, and the first look at every request. */
#include "interpreter/gateway/gateway_internal.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "interpreter/gateway/ui.h"

#define DRAIN_LOOK INT64_C(20000)                        /* between two looks whether everything is done, while it ends */

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void free_gateway(Gateway *gateway) {
    watch_close(gateway);
    targets_free(&gateway->targets);
    free(gateway->images);
    free(gateway);
}

void gateway_hold(Gateway *gateway) { gateway->holds++; }

void gateway_release(Gateway *gateway) {
    if (--gateway->holds == 0 && gateway->closed) free_gateway(gateway);
}

static void on_beat(evutil_socket_t fd, short what, void *arg) {
    stream_beats(arg);
    leave_look(arg, false);
}

static void on_look(evutil_socket_t fd, short what, void *arg) { watch_look(arg); }
static void on_request(HttpExchange *exchange, const HttpServerRequest *request, void *arg);
static void on_drain(evutil_socket_t fd, short what, void *arg);

Err gateway_open(const GatewayOptions *options, Gateway **out, Error *error) {
    struct event_base *loop = engine_loop(options->engine);
    Gateway *gateway = mem_alloc(sizeof *gateway);
    gateway->options = *options;
    gateway->holds = 1;
    Err err = http_server_open(loop, &options->http, on_request, gateway, &gateway->server, error);
    if (err) { free(gateway); return err; }
    gateway->look_timer = evtimer_new(loop, on_look, gateway);
    gateway->drain_timer = event_new(loop, -1, EV_PERSIST, on_drain, gateway);
    gateway->beat_timer = event_new(loop, -1, EV_PERSIST, on_beat, gateway);
    event_add(gateway->beat_timer, &(struct timeval){ 1, 0 });
    *out = gateway;
    return ERR_OK;
}

void gateway_close(Gateway *gateway) {
    if (!gateway) return;
    gateway->closed = true;
    leave_look(gateway, true);
    for (Call *call = gateway->calls, *next; call; call = next) {
        next = call->next;
        if (!call->http) continue;
        if (call->streaming) stream_close(call);
        else call_problem(call, PROBLEM_unavailable, "this process ends; what was acknowledged goes on elsewhere");
    }
    http_server_close(gateway->server);
    event_free(gateway->look_timer);
    event_free(gateway->drain_timer);
    event_free(gateway->beat_timer);
    gateway_release(gateway);
}

uint16_t gateway_port(const Gateway *gateway) { return http_server_port(gateway->server); }

static void warn(Gateway *gateway, const char *event, Str name, Str text) {
    if (!gateway->options.on_log) return;
    Buf line = { 0 };
    buf_put_text(&line, "{\"time\":\"");
    timestamp_print(clock_now(), &line);
    buf_printf(&line, "\",\"event\":\"%s\",\"name\":", event);
    json_put_string(&line, name);
    buf_put_text(&line, ",\"text\":");
    json_put_string(&line, text);
    buf_put_char(&line, '}');
    gateway->options.on_log(buf_str(&line), gateway->options.log_arg);
    buf_free(&line);
}

Err gateway_add_image(Gateway *gateway, Image *image, Error *error) {
    char hash[SHA256_HEX + 1];
    Image *kept;
    hex_encode(image->hash.bytes, SHA256_BYTES, hash);
    Err err = engine_image(gateway->options.engine, str_of(hash), &kept, error);
    if (!err && gateway->targets.count + kept->route_count + kept->webhook_count > GATEWAY_ROUTES_MAX)
        err = err_set(error, ERR_LIMIT, "more than GATEWAY_ROUTES_MAX (%d) routes and webhooks", GATEWAY_ROUTES_MAX);
    for (uint16_t i = 0; !err && i < kept->route_count; i++) err = targets_add(&gateway->targets, kept, &kept->routes[i], NULL, error);
    for (uint16_t i = 0; !err && i < kept->webhook_count; i++) {
        err = targets_add(&gateway->targets, kept, NULL, &kept->webhooks[i], error);
        if (!err && !webhook_secrets(&kept->webhooks[i])) warn(gateway, "webhook_without_secret", kept->webhooks[i].name, kept->webhooks[i].secret_env);
    }
    if (err) return err;
    gateway->images = mem_realloc(gateway->images, (gateway->image_count + 1) * sizeof *gateway->images);
    gateway->images[gateway->image_count++] = kept;
    return ERR_OK;
}

/* ---- the end -------------------------------------------------------------------------------------------------------- */

/* What still waits then is told where its run is; what streams goes on elsewhere. */
static void end_patience(Gateway *gateway) {
    for (Call *call = gateway->calls, *next; call; call = next) {
        next = call->next;
        if (!call->http) continue;
        if (call->streaming) stream_close(call);
        else if (call->moved && call->late) call->late(call);
    }
}

static bool only_streams(const Gateway *gateway) {
    for (const Call *call = gateway->calls; call; call = call->next)
        if (call->http && !call->streaming) return false;
    return true;
}

static void on_drain(evutil_socket_t fd, short what, void *arg) {
    Gateway *gateway = arg;
    if (only_streams(gateway) || clock_monotonic() >= gateway->drain_us) end_patience(gateway);
    if (!http_server_idle(gateway->server) && clock_monotonic() < gateway->drain_us + GATEWAY_DRAIN) return;
    event_del(gateway->drain_timer);
    gateway->drained(gateway->drained_arg);
}

void gateway_drain(Gateway *gateway, void (*done)(void *arg), void *arg) {
    gateway->draining = true;
    gateway->drained = done;
    gateway->drained_arg = arg;
    gateway->drain_us = clock_monotonic() + (gateway->options.drain_us ? gateway->options.drain_us : GATEWAY_DRAIN);
    http_server_drain(gateway->server);
    event_add(gateway->drain_timer, &(struct timeval){ DRAIN_LOOK / TIME_SECOND, DRAIN_LOOK % TIME_SECOND });
}

/* ---- who asks? -------------------------------------------------------------------------------------------------------- */

typedef struct Authentication { Call *call; bool inside, done; AuthOutcome outcome; } Authentication;

static void authenticated(Call *call, AuthOutcome outcome) {
    if (outcome == AUTH_OK) { call->then(call); return; }
    plan_refuse_sender(outcome, call->request, call->arena, &call->reply);
    call_answer(call);
}

/* From the loop: the identity may have called from inside the store, where the store cannot be waited for. */
static void go_on(Call *call) {
    AuthOutcome outcome = call->auth_outcome;
    if (call_release(call)) authenticated(call, outcome);
}

static void copy_principal(Call *call, const Principal *principal) {
    Principal *copy = ARENA_NEW(call->arena, Principal);
    *copy = *principal;
    call->principal = copy;
}

static void on_authenticated(AuthOutcome outcome, const Principal *principal, const char *why, void *arg) {
    Authentication *a = arg;
    Call *call = a->call;
    call->auth_outcome = outcome;
    if (outcome == AUTH_OK) copy_principal(call, principal);
    a->done = true;
    if (!a->inside) call_later(call, go_on, 0);
}

static void authenticate(Call *call, void (*then)(Call *call)) {
    const HttpServerRequest *request = call->request;
    bool by_cookie = false;
    Str token;
    AuthOutcome outcome = identity_credential(http_header(request, "Authorization"), http_header(request, "Cookie"), &token, &by_cookie);
    call->then = then;
    if (!call->gateway->options.identity) outcome = AUTH_UNAVAILABLE;
    if (outcome == AUTH_OK && by_cookie && !identity_same_origin(request->method, http_header(request, "Origin"), http_header(request, "Sec-Fetch-Site"), http_header(request, "Host"))) {
        call_problem(call, PROBLEM_denied, "a page of another origin may not do this with your cookie");
        return;
    }
    if (outcome != AUTH_OK) { authenticated(call, outcome); return; }
    Authentication *a = ARENA_NEW(call->arena, Authentication);
    *a = (Authentication){ .call = call, .inside = true };
    call_hold(call);
    identity_authenticate(call->gateway->options.identity, arena_str(call->arena, token), call->arena, on_authenticated, a);
    a->inside = false;
    if (a->done) go_on(call);
}

/* ---- what everybody may ask ------------------------------------------------------------------------------------------------ */

static void answer_json(Call *call, int status, const char *json) {
    reply_json(&call->reply, status, str_of(json));
    call_answer(call);
}

static void serve_ready(Call *call) {
    if (call->gateway->draining) answer_json(call, 503, "{\"ready\":false,\"why\":\"draining\"}");
    else if (!store_is_up(engine_store(call->gateway->options.engine))) answer_json(call, 503, "{\"ready\":false,\"why\":\"the store cannot be reached\"}");
    else answer_json(call, 200, "{\"ready\":true}");
}

static void serve_health(Call *call) { answer_json(call, 200, "{\"alive\":true}"); }

static void serve_keys(Call *call) {
    Buf text = { 0 };
    if (call->gateway->options.identity) identity_put_jwks(call->gateway->options.identity, &text);
    else buf_put_text(&text, "{\"keys\":[]}");
    reply_json(&call->reply, 200, arena_str(call->arena, buf_str(&text)));
    buf_free(&text);
    call_answer(call);
}

static void serve_openapi(Call *call) {
    const GatewayOptions *options = &call->gateway->options;
    Buf text = { 0 };
    openapi_put(call->gateway->images, call->gateway->image_count, str_of(options->title ? options->title : "Fidus Flow"), str_of(options->server_url), &text);
    reply_json(&call->reply, 200, arena_str(call->arena, buf_str(&text)));
    buf_free(&text);
    call_answer(call);
}

/* ---- the end of a session ----------------------------------------------------------------------------------------------------- */

static void logged_out(Err err, const Error *error, void *arg) {
    Call *call = arg;
    if (!call_release(call)) return;
    if (err) { call_error(call, err, error); return; }
    Buf cookie = { 0 };
    identity_put_cookie(call->gateway->options.identity, STR(""), 0, &cookie);
    reply_json(&call->reply, 200, STR("{\"ended\":true}"));
    reply_header(&call->reply, STR("Set-Cookie"), arena_str(call->arena, buf_str(&cookie)));
    buf_free(&cookie);
    call_answer(call);
}

static void log_out(Call *call) {
    if (!call->principal->session_id.len) { call_problem(call, PROBLEM_rejected, "this token belongs to no session"); return; }
    call_hold(call);
    identity_revoke(call->gateway->options.identity, call->principal->tenant, call->principal->session_id, logged_out, call);
}

static void serve_logout(Call *call) { authenticate(call, log_out); }

/* ---- requests ------------------------------------------------------------------------------------------------------------------- */

static const struct { const char *method, *path; void (*serve)(Call *call); } built_in[] = {
    { "GET", "/healthz", serve_health },
    { "GET", "/readyz", serve_ready },
    { "GET", "/.well-known/jwks.json", serve_keys },
    { "GET", "/openapi.json", serve_openapi },
    { "POST", "/auth/logout", serve_logout },
};

static void serve_route(Call *call) {
    if (!plan_route(call->target, call->request, call->principal, call->arena, &call->plan, &call->reply)) { call_answer(call); return; }
    if (call->plan.stream && http_header(call->request, "Last-Event-ID").len) {          /* a browser that reconnects by itself must not start the flow again */
        call_problem(call, PROBLEM_conflict, "the stream of a run goes on at /runs/RUN/events, which `Content-Location` named");
        return;
    }
    start_plan(call);
}

/* Who has no token is a visitor: a name that his browser keeps, so that a login ends where it began. */
static void serve_visitor(Call *call) {
    Principal *visitor = ARENA_NEW(call->arena, Principal);
    Str cookie = { 0 };
    *visitor = (Principal){ .tenant = STR(IDENTITY_PUBLIC_TENANT), .user = STR("visitor"), .expires_us = INT64_MAX };
    if (call->gateway->options.identity) visitor->user = identity_visitor(call->gateway->options.identity, http_header(call->request, "Cookie"), call->arena, &cookie);
    if (cookie.len) reply_header(&call->reply, STR("Set-Cookie"), cookie);
    call->principal = visitor;
    serve_route(call);
}

/* The page's files are for everybody: they hold no data. */
static void serve_ui(Call *call) {
    call->route = STR("/ui");
    if (strcmp(call->request->method, "GET") != 0) {
        reply_header(&call->reply, STR("Allow"), STR("GET"));
        call_problem(call, PROBLEM_no_method, "this is for GET");
    } else if (ui_reply(call->request->path, &call->reply)) call_answer(call);
    else call_problem(call, PROBLEM_not_found, "the page has no such file");
}

static bool serve_built_in(Call *call) {
    const HttpServerRequest *request = call->request;
    const char *other = NULL;
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++) {
        if (!str_is(request->path, built_in[i].path)) continue;
        call->route = str_of(built_in[i].path);
        if (strcmp(request->method, built_in[i].method) == 0) { built_in[i].serve(call); return true; }
        other = built_in[i].method;
    }
    if (!other) return false;
    reply_header(&call->reply, STR("Allow"), str_of(other));
    call_problem(call, PROBLEM_no_method, "%s is not for this", request->method);
    return true;
}

static void refuse_unknown(Call *call, Str allow) {
    if (!allow.len) { call_problem(call, PROBLEM_not_found, "nothing is served here"); return; }
    reply_header(&call->reply, STR("Allow"), allow);
    call_problem(call, PROBLEM_no_method, "this is for %.*s", STR_ARG(allow));
}

static void on_request(HttpExchange *exchange, const HttpServerRequest *request, void *arg) {
    Gateway *gateway = arg;
    Call *call = call_new(gateway, exchange, request);
    Str allow;
    call->target = targets_find(&gateway->targets, call->method, request->path, call->arena, &allow);
    if (call->target) call->route = target_path(call->target);
    bool health = str_is(request->path, "/healthz") || str_is(request->path, "/readyz");
    if ((gateway->draining || gateway->call_count > GATEWAY_CALLS_MAX) && !health) {
        ProblemMore more = { .retry_after_us = TIME_SECOND };
        problem_reply(PROBLEM_unavailable, call_request_id(call), gateway->draining ? STR("this process ends; ask again") : STR("too many requests at once"), &more, call->arena, &call->reply);
        call_answer(call);
    } else if (call->target && call->target->webhook) webhook_serve(call);
    else if (call->target && call->target->route->flags & ROUTE_PUBLIC) serve_visitor(call);
    else if (call->target) authenticate(call, serve_route);
    else if (runs_is(request->path)) call->route = STR("/runs"), authenticate(call, runs_serve);
    else if (ui_is(request->path)) serve_ui(call);
    else if (!serve_built_in(call)) refuse_unknown(call, allow);
}
