/* start.c - the run of a request: made durable, at most once for a key, and waited for.
 *
 * With a key the run's id follows from it, so that the store refuses a second run by itself, whichever process was asked. See OnceIds. */
#include "interpreter/gateway/gateway_internal.h"

#include <stdio.h>

#include "base/time.h"
#include "interpreter/identity/service.h"

static const ImageFlow *flow_of(const Call *call) { return &call->plan.image->flows[call->plan.flow]; }

/* ---- waiting ------------------------------------------------------------------------------------------------------ */

static void minted(Err err, const Error *error, Str token, int64_t life_us, void *arg) {
    Call *call = arg;
    if (!call_release(call)) return;
    if (err) { call->reply.header_count = 0; call_error(call, err, error); return; }
    Buf cookie = { 0 };
    identity_put_cookie(call->gateway->options.identity, token, life_us, &cookie);
    reply_header(&call->reply, STR("Set-Cookie"), arena_str(call->arena, buf_str(&cookie)));
    explicit_bzero(cookie.ptr, cookie.len);
    buf_free(&cookie);
    call_answer(call);
}

static void answer_ended(Call *call, const RunRow *run) {
    Str session = { "", 0 };
    outcome_ended(run, call_request_id(call), call->arena, &call->reply);
    if (call->plan.image) outcome_browser(call->plan.image, call->plan.flow, run, call->arena, &call->reply, &session);
    if (!session.len || !call->gateway->options.identity) { call_answer(call); return; }
    watch_end(call);
    call->moved = NULL;
    call_patience_ends(call);
    call_hold(call);
    service_mint(call->gateway->options.identity, session, str_of(call->run_id), minted, call);
}

static void wait_moved(Call *call, const RunRow *run) {
    if (!run) call_problem(call, PROBLEM_not_found, "the run is gone");
    else if (run_status_ended(run->status)) answer_ended(call, run);
    else if (outcome_asks(run)) outcome_waits(run, call->arena, &call->reply), call_answer(call);
}

static void late_read(const StoreResult *result, void *arg) {
    Call *call = arg;
    uint32_t count = 0;
    const RunRow *run = result->err ? NULL : store_runs(result->batch, 0, &count);
    if (!call_release(call)) return;
    RunRow unknown = { .run_id = str_of(call->run_id), .tenant = call->run_tenant, .status = RUN_RUNNING };
    if (count == 0) run = &unknown;
    if (run_status_ended(run->status)) { answer_ended(call, run); return; }
    outcome_waits(run, call->arena, &call->reply);
    call_answer(call);
}

/* Its patience is over: how does it stand? */
static void wait_late(Call *call) {
    Engine *engine = call->gateway->options.engine;
    RunRow where = { .durability = call->plan.image ? flow_of(call)->durability : call->run.durability };
    StoreBatch *batch = store_batch(engine_home(engine, &where), call->run_tenant, str_of(call->run_id), 0);
    store_get_run(batch, str_of(call->run_id));
    call_hold(call);
    call->moved = NULL;
    store_submit(batch, late_read, call);
}

void start_wait(Call *call, Str tenant, Str run_id) {
    call->moved = wait_moved;
    watch_run(call, tenant, run_id);
    call_later(call, wait_late, call->plan.wait_us);
}

/* ---- the run is there ------------------------------------------------------------------------------------------------ */

static void answer_webhook(Call *call, bool known) {
    reply_json(&call->reply, 200, known ? STR("{\"received\":true,\"duplicate\":true}") : STR("{\"received\":true}"));
    call_answer(call);
}

static void go_on(Call *call, const RunRow *known) {
    Str run_id = str_of(call->run_id);
    call->run_tenant = call->plan.who.tenant;
    if (call->plan.webhook) answer_webhook(call, known != NULL);
    else if (call->plan.stream) stream_begin(call, call->run_tenant, run_id);
    else if (known && (run_status_ended(known->status) || outcome_asks(known))) wait_moved(call, known);
    else if (call->plan.wait_us == 0 || call->gateway->draining) {
        outcome_waits(known ? known : &(RunRow){ .run_id = run_id, .status = RUN_RUNNING }, call->arena, &call->reply);
        call_answer(call);
    } else start_wait(call, call->run_tenant, run_id);
}

static void launch(Call *call, const char *run_id);

static void use_known(Call *call, const RunRow *run) {
    Engine *engine = call->gateway->options.engine;
    if (call->plan.compares && !engine_same_input(engine, call->plan.image, flow_of(call)->name, call->plan.input_json, run)) {
        call_problem(call, PROBLEM_rejected, "this Idempotency-Key was used for another input");
        return;
    }
    snprintf(call->run_id, sizeof call->run_id, "%.*s", STR_ARG(run->run_id));
    go_on(call, run);
}

static void found(const StoreResult *result, void *arg) {
    Call *call = arg;
    uint32_t count = 0;
    const RunRow *run = result->err ? NULL : store_runs(result->batch, 0, &count);
    if (!call_release(call)) return;
    if (result->err && result->err != ERR_NOT_FOUND) { call_error(call, result->err, &result->error); return; }
    bool there = count > 0 && str_eq(run->run_id, str_of(call->on_before ? call->once.before : call->once.now));
    if (there && (!call->on_before || once_counts(&call->plan, run, engine_now(call->gateway->options.engine)))) use_known(call, run);
    else if (call->on_before) call->on_before = false, launch(call, call->once.now);
    else call_problem(call, PROBLEM_conflict, "a run of this key was there a moment ago and is not there any more");
}

/* Is there a run of that id, and is it the one of this key? */
static void find(Call *call, const char *run_id) {
    StoreBatch *batch = store_batch(engine_home(call->gateway->options.engine, &(RunRow){ .durability = flow_of(call)->durability }), call->plan.who.tenant, str_of(run_id), 0);
    store_get_run(batch, str_of(run_id));
    call_hold(call);
    store_submit(batch, found, call);
}

static void launched(Err err, const Error *error, Str run_id, void *arg) {
    Call *call = arg;
    if (!call_release(call)) return;
    if (err == ERR_CONFLICT && call->plan.once_key.len) find(call, call->on_before ? call->once.before : call->once.now);
    else if (err) call->run_id[0] = '\0', call_error(call, err, error);
    else go_on(call, NULL);
}

static void launch(Call *call, const char *run_id) {
    Error error = { 0 };
    snprintf(call->run_id, sizeof call->run_id, "%s", run_id);
    call_hold(call);
    Err err = engine_launch(call->gateway->options.engine, call->plan.image, flow_of(call)->name, call->plan.input_json, &call->plan.who, call->run_id, launched, call, &error);
    if (!err) return;
    call->run_id[0] = '\0';
    if (call_release(call)) call_error(call, err, &error);
}

void start_plan(Call *call) {
    if (!call->plan.once_key.len) { launch(call, ""); return; }
    once_ids(&call->plan, engine_now(call->gateway->options.engine), &call->once);
    call->on_before = true;
    if (call->once.first_before) launch(call, call->once.before);
    else find(call, call->once.before);
}
