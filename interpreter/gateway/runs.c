/* runs.c - /runs: what became of requests, for whoever made them.
 *
 *   GET  /runs?status=&flow=&q=&after=&limit=      newest first        POST /runs/{id}/answer  {"value": …, "request": N, "hash": …}
 *   GET  /runs/{id}                                                    POST /runs/{id}/cancel
 *   GET  /runs/{id}/journal?after=&limit=                              POST /runs/{id}/fork    {"at": SEQ}
 *   GET  /runs/{id}/trace?format=mermaid|text                          POST /runs/{id}/retry
 *   GET  /runs/{id}/events                         an event-stream
 *
 * A user sees his own runs, who has admin:all those of his tenant; all others are not found, so that nobody learns which ids there are. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "interpreter/gateway/gateway_internal.h"
#include "interpreter/sched/trace.h"

static bool is_admin(const Call *call) {
    const Str all = STR(IDENTITY_SCOPE_ALL);
    return scope_allows(call->principal, &all, 1, NULL);
}

static bool is_own(const Call *call, const RunRow *run) { return str_eq(run->user, call->principal->user); }

static Str query_of(const Call *call, const char *name) {
    for (size_t i = 0; i < call->request->query_count; i++)
        if (str_is(call->request->query[i].name, name)) return call->request->query[i].value;
    return (Str){ "", 0 };
}

static uint32_t number_of(const Call *call, const char *name, uint32_t otherwise, uint32_t most) {
    Str text = query_of(call, name);
    uint32_t value = 0;
    if (!text.len) return otherwise;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return otherwise;
        value = value * 10 + (uint32_t)(text.ptr[i] - '0');
        if (value > most) return most;
    }
    return value ? value : otherwise;
}

static void answer_body(Call *call, int status, Buf *body) {
    reply_json(&call->reply, status, arena_str(call->arena, buf_str(body)));
    buf_free(body);
    call_answer(call);
}

/* ---- the list --------------------------------------------------------------------------------------------------------- */

/* Where a page ended: the moment of its last run, and how many of that very moment it held. */
typedef struct Cursor { int64_t at_us; uint32_t skip; } Cursor;
typedef struct Listing { Call *call; Cursor from; int status; Str flow, q; uint32_t limit, shown, scanned; Buf body; Cursor last; } Listing;

static bool read_status(Str text, int *out) {
    *out = -1;
    if (!text.len) return true;
    for (int i = RUN_READY; i <= RUN_CANCELLED; i++)
        if (str_is(text, run_status_name((RunStatus)i))) return *out = i, true;
    return false;
}

static bool contains(Str text, Str part) { return memmem(text.ptr, text.len, part.ptr, part.len) != NULL; }

/* Searched for in what the run's user sees anyway: id, flow and input, which is redacted. */
static bool wanted(const Listing *list, const RunRow *run) {
    return !list->q.len || contains(run->run_id, list->q) || contains(run->func_name, list->q) || contains(run->input_json, list->q);
}

static void advance(Listing *list, const RunRow *run) {
    if (run->created_us == list->last.at_us) list->last.skip++;
    else list->last = (Cursor){ run->created_us, 1 };
    list->scanned++;
}

static void end_list(Listing *list, bool more) {
    Call *call = list->call;
    buf_put_char(&list->body, ']');
    if (more) {
        Buf next = { 0 };
        buf_printf(&next, "/runs?after=%" PRId64 ".%u&limit=%u", list->last.at_us, list->last.skip, list->limit);
        if (list->status >= 0) buf_printf(&next, "&status=%s", run_status_name((RunStatus)list->status));
        if (list->flow.len) buf_put_text(&next, "&flow="), http_put_escaped(&next, list->flow);
        if (list->q.len) buf_put_text(&next, "&q="), http_put_escaped(&next, list->q);
        buf_put_text(&list->body, ",\"next\":");
        json_put_string(&list->body, buf_str(&next));
        buf_free(&next);
    }
    buf_put_char(&list->body, '}');
    answer_body(call, 200, &list->body);
}

static void read_page(Listing *list);

static void listed(const StoreResult *result, void *arg) {
    Listing *list = arg;
    Call *call = list->call;
    uint32_t count = 0, at = 0;
    if (!call_release(call)) { buf_free(&list->body); return; }
    if (result->err) { buf_free(&list->body); call_error(call, result->err, &result->error); return; }
    const RunRow *runs = store_runs(result->batch, 0, &count);
    for (uint32_t skip = list->from.skip; at < count && skip && runs[at].created_us == list->from.at_us; skip--) at++;
    bool moved = at < count;
    list->last = list->from;
    for (; at < count && list->shown < list->limit; at++) {
        advance(list, &runs[at]);
        if (!wanted(list, &runs[at])) continue;
        if (list->shown++) buf_put_char(&list->body, ',');
        outcome_put_run(call->gateway->options.engine, &runs[at], is_own(call, &runs[at]), &list->body);
    }
    bool more = at < count || (count == RUNS_PAGE_MAX && moved);
    list->from = list->last;
    if (list->shown == list->limit || !more || list->scanned >= RUNS_SCAN_MAX) end_list(list, more);
    else read_page(list);
}

static void read_page(Listing *list) {
    Call *call = list->call;
    RunFilter filter = { .status = list->status, .func_name = list->flow, .limit = RUNS_PAGE_MAX, .user = is_admin(call) ? (Str){ "", 0 } : call->principal->user, .until_us = list->from.at_us };
    StoreBatch *batch = store_batch(engine_store(call->gateway->options.engine), call->principal->tenant, (Str){ "", 0 }, 0);
    store_list_runs(batch, &filter);
    call_hold(call);
    store_submit(batch, listed, list);
}

static bool read_cursor(Str text, Cursor *out) {
    *out = (Cursor){ 0 };
    if (!text.len) return true;
    char copy[48], *end;
    if (text.len >= sizeof copy) return false;
    snprintf(copy, sizeof copy, "%.*s", STR_ARG(text));
    out->at_us = strtoll(copy, &end, 10);
    if (*end != '.' || out->at_us <= 0) return false;
    out->skip = (uint32_t)strtoul(end + 1, &end, 10);
    return *end == '\0';
}

static void list_runs(Call *call) {
    Listing *list = ARENA_NEW(call->arena, Listing);
    *list = (Listing){ .call = call, .flow = query_of(call, "flow"), .q = query_of(call, "q"), .limit = number_of(call, "limit", RUNS_PAGE, RUNS_PAGE_MAX) };
    if (!read_status(query_of(call, "status"), &list->status)) { call_problem(call, PROBLEM_invalid, "status is one of ready, running, parked, completed, failed, cancelled"); return; }
    if (!read_cursor(query_of(call, "after"), &list->from)) { call_problem(call, PROBLEM_invalid, "after comes from the `next` of another page"); return; }
    buf_put_text(&list->body, "{\"runs\":[");
    read_page(list);
}

/* ---- one run: journal, trace ----------------------------------------------------------------------------------------------- */

static const char *entry_name(uint8_t entry) {
    static const char *const names[] = { "?", "result", "error", "intent", "note", "expired", "cancel", "parked", "resumed", "local", "model" };
    return entry < sizeof names / sizeof *names ? names[entry] : names[0];
}

static void put_text(Buf *out, const char *name, Str text, bool is_json) {
    if (!text.len) return;
    buf_printf(out, ",\"%s\":", name);
    if (is_json) buf_put_str(out, text);
    else json_put_string(out, text);
}

static void put_row(const Image *image, const JournalRow *row, Buf *out) {
    buf_printf(out, "{\"seq\":%" PRIu64 ",\"entry\":\"%s\"", row->seq, entry_name(row->entry));
    if (row->effect) put_text(out, "effect", str_of(effect_name(row->effect)), false);
    put_text(out, "name", row->name, false);
    if (image && row->agent < image->agent_count) put_text(out, "agent", image->agents[row->agent].name, false);
    Str plan;
    put_text(out, "args", engine_plan_of(row, &plan) ? plan : row->args_json, true);           /* also one that is too long for the trace */
    put_text(out, "result", row->detail_json, true);
    buf_printf(out, ",\"fiber\":%u,\"span\":%u,\"parent_span\":%u,\"started\":\"", row->fiber, row->span, row->parent_span);
    timestamp_print(row->started_us, out);
    buf_put_text(out, "\",\"ended\":\"");
    timestamp_print(row->ended_us, out);
    buf_put_text(out, "\"}");
}

static void journal_read(const StoreResult *result, void *arg) {
    Call *call = arg;
    uint32_t count = 0, limit = 0;
    if (!call_release(call)) return;
    if (result->err) { call_error(call, result->err, &result->error); return; }
    const JournalRow *rows = store_journal(result->batch, 0, &count);
    Image *image = NULL;
    engine_image(call->gateway->options.engine, call->run.module_hash, &image, NULL);
    limit = number_of(call, "limit", JOURNAL_PAGE, JOURNAL_PAGE_MAX);
    Buf body = { 0 };
    buf_put_text(&body, "{\"entries\":[");
    for (uint32_t i = 0; i < count; i++) {
        if (i) buf_put_char(&body, ',');
        put_row(image, &rows[i], &body);
    }
    buf_put_char(&body, ']');
    if (count == limit) buf_printf(&body, ",\"next\":\"/runs/%s/journal?after=%" PRIu64 "&limit=%u\"", call->run_id, rows[count - 1].seq, limit);
    buf_put_char(&body, '}');
    answer_body(call, 200, &body);
}

static void show_journal(Call *call) {
    StoreBatch *batch = store_batch(engine_home(call->gateway->options.engine, &call->run), call->run.tenant, call->run.run_id, 0);
    store_get_journal(batch, call->run.run_id, number_of(call, "after", 0, UINT32_MAX / 10 - 1), number_of(call, "limit", JOURNAL_PAGE, JOURNAL_PAGE_MAX));
    call_hold(call);
    store_submit(batch, journal_read, call);
}

static void show_run(Call *call) {
    Buf body = { 0 };
    outcome_put_run(call->gateway->options.engine, &call->run, is_own(call, &call->run), &body);
    answer_body(call, 200, &body);
}

static void show_trace(Call *call) {
    Str format = query_of(call, "format");
    if (format.len && !str_is(format, "mermaid") && !str_is(format, "text")) { call_problem(call, PROBLEM_invalid, "format is mermaid or text"); return; }
    Buf text = { 0 };
    Error error = { 0 };
    Err err = trace_render(call->gateway->options.engine, call->run.tenant, &call->run.run_id, 1, str_is(format, "mermaid") ? TRACE_MERMAID : TRACE_TEXT, &text, &error);
    if (err) { buf_free(&text); call_error(call, err, &error); return; }
    call->reply.status = 200;
    call->reply.content_type = STR("text/plain; charset=utf-8");
    call->reply.body = arena_str(call->arena, buf_str(&text));
    buf_free(&text);
    call_answer(call);
}

static void follow_run(Call *call) {
    if (stream_has_all(call, &call->run)) {              /* 204 tells a browser to stop coming back */
        call->reply.status = 204;
        call_answer(call);
        return;
    }
    stream_begin(call, call->run.tenant, call->run.run_id);
}

/* ---- commands ----------------------------------------------------------------------------------------------------------------- */

/* They wait for the store: a moment, but only while it is there. */
static bool store_there(Call *call) {
    if (store_is_up(engine_store(call->gateway->options.engine))) return true;
    call_error(call, ERR_IO, &(Error){ .code = ERR_IO });
    return false;
}

static void refuse_member(Call *call, const char *name, Str detail) {
    char pointer[40];
    snprintf(pointer, sizeof pointer, "/%s", name);
    problem_reply(PROBLEM_invalid, call_request_id(call), detail, &(ProblemMore){ .pointer = str_of(pointer), .detail = detail }, call->arena, &call->reply);
    call_answer(call);
}

static bool member_of(Call *call, const char *name, Json **body, const Json **out) {
    if (!input_body(call->request, call->arena, body, &call->reply)) { call_answer(call); return false; }
    if ((*out = *body ? json_get(*body, name) : NULL)) return true;
    refuse_member(call, name, STR("missing"));
    return false;
}

/* Which question is meant, if that is said. */
static bool read_address(Call *call, const Json *body, EngineAnswer *out) {
    const Json *request = json_get(body, "request"), *hash = json_get(body, "hash");
    if (request && (request->kind != JSON_INT || request->integer <= 0)) return refuse_member(call, "request", STR("expected the number of a question, as `questions` has it")), false;
    if (hash && hash->kind != JSON_STRING) return refuse_member(call, "hash", STR("expected the hash of what is allowed, as `questions` has it")), false;
    if (request) out->request = (uint64_t)request->integer;
    out->hash = hash ? hash->text : (Str){ "", 0 };
    return true;
}

/* Answered like the request that began the run: with its end, its next question, or where it is. */
static void answer_run(Call *call) {
    Json *body;
    const Json *value;
    EngineAnswer answer = { 0 };
    Error error = { 0 };
    if (!store_there(call) || !member_of(call, "value", &body, &value) || !read_address(call, body, &answer)) return;
    Buf text = { 0 };
    json_print(&text, value);
    answer.value_json = buf_str(&text);
    Err err = engine_answer_to(call->gateway->options.engine, call->run.tenant, call->run.run_id, &answer, &error);
    buf_free(&text);
    if (err == ERR_INVALID) {
        problem_reply(PROBLEM_invalid, call_request_id(call), arena_str(call->arena, str_of(error.text)), &(ProblemMore){ .pointer = STR("/value"), .detail = arena_str(call->arena, str_of(error.text)) },
                      call->arena, &call->reply);
        call_answer(call);
    } else if (err) call_error(call, err, &error);
    else {
        watch_look_soon(call->gateway, call->run.tenant, call->run.run_id);
        call->plan.wait_us = plan_wait(call->request, GATEWAY_WAIT);
        start_wait(call, call->run.tenant, call->run.run_id);
    }
}

static void answer_changed(Call *call, int status, Str run_id) {
    Buf body = { 0 };
    Str url = str_of(arena_printf(call->arena, "/runs/%.*s", STR_ARG(run_id)));
    buf_printf(&body, "{\"run\":\"%.*s\",\"url\":\"%.*s\"}", STR_ARG(run_id), STR_ARG(url));
    reply_header(&call->reply, STR("Location"), url);
    answer_body(call, status, &body);
}

static void cancel_run(Call *call) {
    Error error = { 0 };
    if (!store_there(call)) return;
    Err err = engine_cancel(call->gateway->options.engine, call->run.tenant, call->run.run_id, &error);
    watch_look_soon(call->gateway, call->run.tenant, call->run.run_id);
    if (err) call_error(call, err, &error);
    else answer_changed(call, 202, call->run.run_id);
}

static void fork_at(Call *call, uint64_t seq) {
    char run_id[64];
    Error error = { 0 };
    Err err = engine_fork(call->gateway->options.engine, call->run.tenant, call->run.run_id, seq, run_id, &error);
    if (err) call_error(call, err, &error);
    else answer_changed(call, 201, arena_str(call->arena, str_of(run_id)));
}

static void fork_run(Call *call) {
    Json *body;
    const Json *at;
    if (!store_there(call) || !member_of(call, "at", &body, &at)) return;
    if (at->kind != JSON_INT || at->integer < 0) refuse_member(call, "at", STR("expected the number of a journal entry, 0 for the beginning"));
    else fork_at(call, (uint64_t)at->integer);
}

static void retry_now(Call *call) {
    if (call_release(call)) fork_at(call, call->retry_seq);
}

/* Before the step that failed last; from its input when none did, or when steps were undone: what was undone has to be done again. */
static void retry_read(const StoreResult *result, void *arg) {
    Call *call = arg;
    uint32_t count = 0;
    uint64_t seq = 0;
    if (!call_release(call)) return;
    if (result->err) { call_error(call, result->err, &result->error); return; }
    const JournalRow *rows = store_journal(result->batch, 0, &count);
    bool undone = false;
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].entry == JOURNAL_ERROR && rows[i].seq > 0) seq = rows[i].seq - 1;
        undone |= rows[i].entry == JOURNAL_NOTE && (rows[i].effect == EFFECT_NOTE_COMPENSATE || rows[i].effect == EFFECT_NOTE_SAGA_FAILED);
    }
    call->retry_seq = undone ? 0 : seq;
    call_hold(call);
    call_later(call, retry_now, 0);
}

static void retry_run(Call *call) {
    if (!store_there(call)) return;
    if (call->run.status != RUN_FAILED && call->run.status != RUN_CANCELLED) { call_problem(call, PROBLEM_conflict, "only a run that failed or was cancelled is tried again; this one is %s", run_status_name(call->run.status)); return; }
    StoreBatch *batch = store_batch(engine_home(call->gateway->options.engine, &call->run), call->run.tenant, call->run.run_id, 0);
    store_get_journal(batch, call->run.run_id, 0, UINT32_MAX);
    call_hold(call);
    store_submit(batch, retry_read, call);
}

/* ---- which one --------------------------------------------------------------------------------------------------------------------- */

static const struct { const char *method, *name, *route; void (*serve)(Call *call); } actions[] = {
    { "GET", "", "/runs/{id}", show_run },
    { "GET", "journal", "/runs/{id}/journal", show_journal },
    { "GET", "trace", "/runs/{id}/trace", show_trace },
    { "GET", "events", "/runs/{id}/events", follow_run },
    { "POST", "answer", "/runs/{id}/answer", answer_run },
    { "POST", "cancel", "/runs/{id}/cancel", cancel_run },
    { "POST", "fork", "/runs/{id}/fork", fork_run },
    { "POST", "retry", "/runs/{id}/retry", retry_run },
};

bool runs_is(Str path) { return str_is(path, "/runs") || str_starts(path, STR("/runs/")); }

static void copy_run(Call *call, const RunRow *run) {
    call->run = *run;
    Str *texts[] = { &call->run.tenant, &call->run.run_id, &call->run.module_hash, &call->run.func_name, &call->run.user, &call->run.user_name, &call->run.scopes, &call->run.correlation, &call->run.causation,
                     &call->run.input, &call->run.input_json, &call->run.result_json, &call->run.waits_json, &call->run.concurrency_key, &call->run.limit_key, &call->run.worker };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) *texts[i] = arena_str(call->arena, *texts[i]);
    snprintf(call->run_id, sizeof call->run_id, "%.*s", STR_ARG(run->run_id));
    call->run_tenant = call->run.tenant;
}

static void act(Call *call) {
    if (call_release(call)) call->then(call);
}

static void look_in(Call *call, Store *store);

static void found(const StoreResult *result, void *arg) {
    Call *call = arg;
    uint32_t count = 0;
    const RunRow *run = result->err ? NULL : store_runs(result->batch, 0, &count);
    if (!call_release(call)) return;
    bool there = count > 0 && str_is(run->run_id, call->run_id), visible = there && (is_own(call, run) || is_admin(call));
    Store *next = engine_place(call->gateway->options.engine, call->place + 1);
    if (result->err && result->err != ERR_NOT_FOUND && result->err != ERR_CONFLICT) call_error(call, result->err, &result->error);
    else if (!there && next) call->place++, look_in(call, next);
    else if (!visible) call->run_id[0] = '\0', call_problem(call, PROBLEM_not_found, "no such run");
    else {
        copy_run(call, run);
        call_hold(call);
        call_later(call, act, 0);                        /* commands wait for the store, which they cannot from in here */
    }
}

static void look_in(Call *call, Store *store) {
    StoreBatch *batch = store_batch(store, call->principal->tenant, str_of(call->run_id), 0);
    store_get_run(batch, str_of(call->run_id));
    call_hold(call);
    store_submit(batch, found, call);
}

void runs_serve(Call *call) {
    Str path = call->request->path, rest, name = { "", 0 };
    if (str_is(path, "/runs")) {
        if (strcmp(call->request->method, "GET") == 0) { list_runs(call); return; }
        reply_header(&call->reply, STR("Allow"), STR("GET"));
        call_problem(call, PROBLEM_no_method, "this is for GET");
        return;
    }
    rest = (Str){ path.ptr + 6, path.len - 6 };
    const char *slash = memchr(rest.ptr, '/', rest.len);
    if (slash) name = (Str){ slash + 1, rest.len - (size_t)(slash + 1 - rest.ptr) }, rest.len = (size_t)(slash - rest.ptr);
    const char *other = NULL;
    call->then = NULL;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (!str_is(name, actions[i].name)) continue;
        call->route = str_of(actions[i].route);
        if (strcmp(call->request->method, actions[i].method) == 0) call->then = actions[i].serve;
        other = actions[i].method;
    }
    if (!other || rest.len == 0 || rest.len >= sizeof call->run_id) { call_problem(call, PROBLEM_not_found, "nothing is served here"); return; }
    if (!call->then) { reply_header(&call->reply, STR("Allow"), str_of(other)); call_problem(call, PROBLEM_no_method, "this is for %s", other); return; }
    snprintf(call->run_id, sizeof call->run_id, "%.*s", STR_ARG(rest));
    look_in(call, engine_store(call->gateway->options.engine));
}
