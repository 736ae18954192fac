/* perform_state.c - sessions and shared contexts: reads and writes of hot state.
 *
 * A read is answered like one of a table: its row rides in the next commit, a resume without it reads again. A write makes what was read
 * before durable first, so that a crash repeats it with the same values: it is idempotent, and its row rides, too. Closing a context never
 * fails: what is left behind ends by itself.
 */
#include <inttypes.h>
#include <stdlib.h>
#include "interpreter/sched/engine_internal.h"
#include "interpreter/sched/state.h"

static const Value nothing;

typedef struct StateCall { LiveRun *run; uint64_t id; const ImageState *state; EffectKind kind; Arena *arena; Str key; } StateCall;

static Str coordination_id(const LiveRun *run) { return run->row.correlation.len ? run->row.correlation : run->row.run_id; }

/* ---- from a call to its answer ---------------------------------------------------------------------------- */

static void send_off(StateCall *call) {
    call->run->busy = true;
    call->run->callbacks++;
}

/* The run, when it still waits for the answer; else NULL, and the call is over. */
static LiveRun *came_back(StateCall *call) {
    LiveRun *run = call->run;
    run->busy = false;
    return run->dead || !live_act(run, call->id) ? NULL : run;
}

static void finish(StateCall *call) {
    LiveRun *run = call->run;
    arena_free(call->arena);
    free(call);
    engine_ready(run);
    live_callback_done(run);
}

static Value unreachable(LiveRun *run, const Error *error) {
    return live_error(run, ERROR_KIND_unavailable, "sessions and contexts cannot be reached: %s", error->text);
}

/* When hot state lives in rows and the store is gone, the run is gone with it. */
static bool failed(LiveRun *run, StateCall *call, const HotResult *result) {
    if (result->err == ERR_OK) return false;
    bool rows = strcmp(hot_kind(run->engine->hot), "rows") == 0;
    if (rows && (result->err == ERR_IO || result->err == ERR_CRASH || result->err == ERR_CORRUPT)) live_failed(run, result->err, &result->error);
    else if (call->kind == EFFECT_CONTEXT_CLOSE) perform_deliver(run, call->id, true, nothing);
    else if (result->err == ERR_LIMIT) perform_raise(run, call->id, live_error_of(run, result->err, result->error.text));
    else perform_raise(run, call->id, unreachable(run, &result->error));
    return true;
}

/* ---- reads ---------------------------------------------------------------------------------------------------- */

static void on_read(const HotResult *result, void *arg) {
    StateCall *call = arg;
    LiveRun *run = came_back(call);
    if (run && !failed(run, call, result)) {
        Value value = nothing;
        Error error;
        bool there = result->found || call->kind == EFFECT_CONTEXT_READ;
        Err err = there ? state_record(run->image, call->state, result->fields, result->found ? result->count : 0, &value, &error) : ERR_OK;
        if (err) perform_raise(run, call->id, live_error_of(run, err, error.text));
        else perform_deliver(run, call->id, true, there && call->kind == EFFECT_SESSION_READ ? value_some(run->image, live_act(run, call->id)->effect->result, value) : value);
    }
    finish(call);
}

/* ---- writes --------------------------------------------------------------------------------------------------- */

static void on_written(const HotResult *result, void *arg) {
    StateCall *call = arg;
    LiveRun *run = came_back(call);
    if (run && !failed(run, call, result)) perform_deliver(run, call->id, true, nothing);
    finish(call);
}

static void put(StateCall *call, Value record, int64_t mask) {
    LiveRun *run = call->run;
    uint32_t count;
    HotField *fields = state_fields(run->image, call->state, record, (uint64_t)mask, call->arena, &count);
    send_off(call);
    if (count == 0 && call->kind == EFFECT_SESSION_SAVE) fields[count++] = (HotField){ STR(""), STR("") };      /* `save chat[id] { }`: it is there from now on */
    hot_put(run->engine->hot, run->row.tenant, call->key, fields, count, engine_now(run->engine), call->state->ttl_us, on_written, call);
}

/* Compare and set by the field `version`, which a projection counts on in. A crash behind it finds its own version there, and the program looks again. */

static void on_changed(const HotResult *result, void *arg) {
    StateCall *call = arg;
    LiveRun *run = came_back(call);
    if (run && !failed(run, call, result)) perform_deliver(run, call->id, true, (Value){ .i = result->found });
    finish(call);
}

static void change(StateCall *call, int64_t version, Value record) {
    LiveRun *run = call->run;
    uint32_t count;
    HotField *fields = state_fields(run->image, call->state, record, UINT64_MAX, call->arena, &count);
    Str expected = version ? str_of(arena_printf(call->arena, "%" PRId64, version)) : STR("");
    send_off(call);
    hot_change(run->engine->hot, run->row.tenant, call->key, STR("version"), expected, fields, count, engine_now(run->engine), call->state->ttl_us, on_changed, call);
}

/* ---- a coordination begins ----------------------------------------------------------------------------------------

   The entry says which request opened it, so that a crash behind the write finds its own work. Fields that somebody left there without a
   coordination are taken away first. */

static Str json_text(Arena *arena, Str text) {
    Buf json = { 0 };
    json_put_string(&json, text);
    Str copy = arena_str(arena, buf_str(&json));
    buf_free(&json);
    return copy;
}

static Str opener(const StateCall *call) {
    return json_text(call->arena, str_of(arena_printf(call->arena, "%.*s:%" PRIu64, STR_ARG(call->run->row.run_id), call->id)));
}

static void on_opened(const HotResult *result, void *arg) {
    StateCall *call = arg;
    LiveRun *run = came_back(call);
    if (run && !failed(run, call, result)) {
        if (result->found) perform_deliver(run, call->id, true, nothing);
        else perform_raise(run, call->id, live_error(run, ERROR_KIND_conflict, "a coordination of `%.*s` is open in this run", STR_ARG(call->state->name)));
    }
    finish(call);
}

static void create(StateCall *call) {
    LiveRun *run = call->run;
    Str id = { call->key.ptr + sizeof "coordination:" - 1, call->key.len - (sizeof "coordination:" - 1) };
    HotField fields[] = { { STR("coordination_id"), json_text(call->arena, id) }, { STR("tenant_id"), json_text(call->arena, run->row.tenant) },
                          { STR("user_id"), json_text(call->arena, run->row.user) }, { STR("opened_by"), opener(call) } };
    hot_change(run->engine->hot, run->row.tenant, call->key, STR("opened_by"), STR(""), fields, sizeof fields / sizeof *fields, engine_now(run->engine), call->state->ttl_us, on_opened, call);
}

static void on_swept(const HotResult *result, void *arg) {
    StateCall *call = arg;
    if (result->err == ERR_OK && !call->run->dead) { create(call); return; }
    on_written(result, call);
}

static void on_looked(const HotResult *result, void *arg) {
    StateCall *call = arg;
    Str by = { 0 };
    if (result->err || call->run->dead) { on_written(result, call); return; }
    for (uint32_t i = 0; i < result->count; i++)
        if (str_is(result->fields[i].name, "opened_by")) by = result->fields[i].value;
    if (!result->found) create(call);
    else if (!by.len) hot_erase(call->run->engine->hot, call->run->row.tenant, call->key, on_swept, call);
    else on_opened(&(HotResult){ .found = str_eq(by, opener(call)) }, call);
}

/* ---- the effects ------------------------------------------------------------------------------------------------ */

static StateCall *new_call(LiveRun *run, const VmRequest *request) {
    const ImageState *state = &run->image->states[request->effect->target];
    StateCall *call = mem_alloc(sizeof *call);
    *call = (StateCall){ .run = run, .id = request->id, .state = state, .kind = (EffectKind)request->effect->kind, .arena = arena_new() };
    Error error;
    Err err = state_key(state, state->kind == STATE_SESSION ? value_str(request->args[0]) : coordination_id(run), call->arena, &call->key, &error);
    if (!err) return call;
    arena_free(call->arena);
    free(call);
    perform_raise(run, request->id, live_error_of(run, err, error.text));
    return NULL;
}

/* Hot state knows no epochs: a worker that was stopped beyond its lease must notice by itself, before it writes over what its successor wrote. */
static bool lease_is_over(LiveRun *run) {
    if (run->engine->options.virtual_time || engine_now(run->engine) < run->row.lease_until_us) return false;
    Error error;
    err_set(&error, ERR_FENCED, "the lease of run %.*s is over", STR_ARG(run->row.run_id));
    return live_failed(run, error.code, &error);
}

void perform_state(LiveRun *run, Act *act, const VmRequest *request) {
    EffectKind kind = (EffectKind)act->effect->kind;
    bool reads = kind == EFFECT_SESSION_READ || kind == EFFECT_CONTEXT_READ;
    if (run->txn) { perform_raise(run, act->id, live_error(run, ERROR_KIND_rejected, "%s inside of a transaction", effect_name(kind))); return; }
    if (!reads && run->row_count) { commit_flush(run); return; }         /* comes back with an empty buffer */
    if (!reads && lease_is_over(run)) return;
    StateCall *call = new_call(run, request);
    if (!call) return;
    Hot *hot = run->engine->hot;
    int64_t now = engine_now(run->engine);
    switch (kind) {
    case EFFECT_SESSION_READ: case EFFECT_CONTEXT_READ:
        send_off(call);
        hot_read(hot, run->row.tenant, call->key, now, on_read, call);
        break;
    case EFFECT_SESSION_CHANGE: change(call, request->args[1].i, request->args[2]); break;
    case EFFECT_SESSION_SAVE: put(call, request->args[2], request->args[1].i); break;
    case EFFECT_CONTEXT_WRITE: put(call, request->args[1], request->args[0].i); break;
    case EFFECT_CONTEXT_OPEN:
        send_off(call);
        hot_read(hot, run->row.tenant, call->key, now, on_looked, call);
        break;
    default:
        send_off(call);
        hot_erase(hot, run->row.tenant, call->key, on_written, call);
        break;
    }
}
