/* call.c - one request from its arrival to its line in the log.
 *
 * Whatever calls back later (the store, a timer, the identity) holds the call; the last one that lets go frees it when it is over. */
#include "interpreter/gateway/gateway_internal.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"

Call *call_new(Gateway *gateway, HttpExchange *http, const HttpServerRequest *request) {
    Arena *arena = arena_new();
    Call *call = ARENA_NEW(arena, Call);
    *call = (Call){ .gateway = gateway, .arena = arena, .http = http, .request = request, .began_us = clock_monotonic(), .method = arena_str(arena, str_of(request->method)),
                    .id = arena_str(arena, str_of(request->request_id)) };
    call->next = gateway->calls;
    call->link = &gateway->calls;
    if (call->next) call->next->link = &call->next;
    gateway->calls = call;
    gateway->call_count++;
    gateway_hold(gateway);
    return call;
}

static void free_call(Call *call) {
    Gateway *gateway = call->gateway;
    *call->link = call->next;
    if (call->next) call->next->link = call->link;
    gateway->call_count--;
    arena_free(call->arena);
    gateway_release(gateway);
}

void call_hold(Call *call) { call->owed++; }

bool call_release(Call *call) {
    bool wants = call->http != NULL;
    if (--call->owed == 0 && !wants) free_call(call);
    return wants;
}

Str call_request_id(const Call *call) { return call->id; }

/* Neither paths nor queries, which may hold anything, nor who asked and from where. */
static void write_log(Call *call, int status) {
    const GatewayOptions *options = &call->gateway->options;
    if (!options->on_log || call->logged) return;
    call->logged = true;
    Buf line = { 0 };
    buf_put_text(&line, "{\"time\":\"");
    timestamp_print(clock_now(), &line);
    buf_put_text(&line, "\",\"event\":\"request\",\"id\":");
    json_put_string(&line, call_request_id(call));
    buf_put_text(&line, ",\"method\":");
    json_put_string(&line, call->method);
    if (call->route.len) buf_put_text(&line, ",\"route\":"), json_put_string(&line, call->route);
    buf_printf(&line, ",\"status\":%d,\"ms\":%.3f", status, (double)(clock_monotonic() - call->began_us) / 1e3);
    if (call->streaming) buf_printf(&line, ",\"events\":%" PRIu32, call->events);
    if (call->run_id[0]) buf_put_text(&line, ",\"run\":"), json_put_string(&line, str_of(call->run_id));
    buf_put_char(&line, '}');
    options->on_log(buf_str(&line), options->log_arg);
    buf_free(&line);
}

/* The exchange has ended; what the call began may still owe it a callback. */
static void end(Call *call) {
    call->http = NULL;
    call->request = NULL;
    watch_end(call);
    if (call->timer) event_free(call->timer);
    call->timer = NULL;
    if (call->owed == 0) free_call(call);
}

void call_finish(Call *call) {
    write_log(call, 200);
    end(call);
}

void call_answer(Call *call) {
    Reply *reply = &call->reply;
    if (call->run_id[0]) reply_header(reply, STR("Flow-Run"), str_of(call->run_id));
    write_log(call, reply->status);
    http_answer(call->http, reply->status, reply->content_type, reply->body, reply->headers, reply->header_count);
    end(call);
}

void call_problem(Call *call, Problem problem, const char *format, ...) {
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    problem_reply(problem, call_request_id(call), arena_str(call->arena, str_of(text)), NULL, call->arena, &call->reply);
    call_answer(call);
}

void call_error(Call *call, Err err, const Error *error) {
    problem_of_error(err, error, call_request_id(call), call->arena, &call->reply);
    call_answer(call);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    Call *call = arg;
    call->late(call);
}

void call_patience_ends(Call *call) {
    if (call->timer) event_del(call->timer);
}

void call_later(Call *call, void (*late)(Call *call), int64_t after_us) {
    if (!call->timer) call->timer = evtimer_new(engine_loop(call->gateway->options.engine), on_timer, call);
    call->late = late;
    event_add(call->timer, &(struct timeval){ after_us / TIME_SECOND, after_us % TIME_SECOND });
}
