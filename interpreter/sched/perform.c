/* perform.c - requests, by effect class. What each may rely on when power fails between any two lines is docs/durability.md.
 *
 * own      answered at once; the row rides in the next commit, a resume that does not find it asks again
 * read     the same, after a read of the store
 * write    the change, the buffered rows and the result's row in one commit, then delivery
 * outside  buffered rows first (so that the idempotency key run:request means the same after a crash); for a tool that cannot be repeated
 *          also its intent; then the call; its result's row; then delivery
 * park     waits in memory until nothing else is left to do, then in the store */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/time.h"
#include "interpreter/effect/ids.h"
#include "interpreter/effect/llm_model.h"
#include "interpreter/effect/remote.h"
#include "interpreter/effect/rows.h"
#include "interpreter/sched/engine_internal.h"
#include "interpreter/sched/script_internal.h"

static const Value nothing;

/* Buffered row, then delivery: for what is cheap or harmless to do again. */
static void answer_now(LiveRun *run, uint64_t id, bool ok, Value value) {
    record_result(run, id, ok, value);
    live_deliver(run, id, ok, value);
}

void perform_deliver(LiveRun *run, uint64_t id, bool ok, Value value) { answer_now(run, id, ok, value); }

void perform_raise(LiveRun *run, uint64_t id, Value error) { answer_now(run, id, false, error); }

static void fail_with(LiveRun *run, Act *act, Err err, const Error *error) { perform_raise(run, act->id, live_error_of(run, err, error->text)); }

static Str request_key(const LiveRun *run, uint64_t id, Arena *arena) { return str_of(arena_printf(arena, "%.*s:%" PRIu64, STR_ARG(run->row.run_id), id)); }

/* ---- own ------------------------------------------------------------------------------------------------- */

bool perform_own(Engine *engine, const Image *image, const VmRequest *request, Str run_id, Value *out) {
    char text[IDS_TEXT_MAX];
    Str id;
    switch (request->effect->kind) {
    case EFFECT_NOW:    out->i = engine_now(engine); return true;
    case EFFECT_RANDOM: out->f = ids_random(); return true;
    case EFFECT_UUID:   ids_uuid7(engine_now(engine), text); break;
    case EFFECT_NEW_ID: {
        if (request->effect->target >= image->table_count) return false;
        const ImageTable *table = &image->tables[request->effect->target];
        Arena *arena = arena_new();
        Str key = str_of(arena_printf(arena, "%.*s:%" PRIu64, STR_ARG(run_id), request->id));
        bool scripted = engine->options.script && script_id(engine->options.script, table->name, key, &id);
        if (scripted) *out = value_string(id);
        arena_free(arena);
        if (scripted) return true;
        ids_new(table->id_prefix, text);
        break;
    }
    default: return false;
    }
    *out = value_string(str_of(text));
    return true;
}

typedef struct TxnWait { LiveRun *run; uint64_t id; } TxnWait;

static void txn_ready(Err err, StoreTxn *txn, void *arg) {
    TxnWait *wait = arg;
    LiveRun *run = wait->run;
    uint64_t id = wait->id;
    free(wait);
    run->busy = false;
    Error error;
    if (err) err_set(&error, err, "could not begin a transaction");
    if (run->dead) { if (!err) store_txn_rollback(txn); }
    else if (!live_failed(run, err, &error)) {
        Act *act = live_act(run, id);
        run->txn = txn;
        run->txn_fiber = act ? act->fiber : 0;
        run->engine->open_txns++;
        answer_now(run, id, true, nothing);
    }
    live_callback_done(run);
}

void perform_open_txn(LiveRun *run, Act *act) {
    TxnWait *wait = mem_alloc(sizeof *wait);
    *wait = (TxnWait){ run, act->id };
    run->busy = true;
    run->callbacks++;
    bool fenced = !session_is(run);                      /* the run's row is elsewhere: the rows that the commit leaves are unique instead */
    store_txn_begin(run->engine->store, run->row.tenant, fenced ? run->row.run_id : (Str){ "", 0 }, fenced ? run->row.epoch : 0, txn_ready, wait);
}

static void own(LiveRun *run, Act *act, const VmRequest *request) {
    Value value;
    switch (request->effect->kind) {
    case EFFECT_TXN_BEGIN:
        if (session_is(run)) session_begin(run, act);
        else perform_open_txn(run, act);
        return;
    case EFFECT_PLAN_CHECK: perform_plan_check(run, act, request); return;
    case EFFECT_TXN_ROLLBACK: live_roll_back(run); answer_now(run, act->id, true, nothing); return;
    default: break;
    }
    if (perform_own(run->engine, run->image, request, run->row.run_id, &value)) answer_now(run, act->id, true, value);
    else perform_raise(run, act->id, live_error(run, ERROR_KIND_internal, "effect `%s` belongs to tests", effect_name(request->effect->kind)));
}

/* ---- tables ------------------------------------------------------------------------------------------------ */

static Err add_query(LiveRun *run, const VmRequest *request, StoreBatch *batch, int *result, Error *error) {
    Arena *arena = store_batch_arena(batch);
    const Query *query = &run->image->queries[request->effect->target];
    Cell *cells = ARENA_ARRAY(arena, Cell, query->param_count + 1u);
    for (uint16_t i = 0; i < query->param_count && i < request->arg_count; i++) {
        Err err = rows_cell_of(run->base, request->effect->params[i], request->args[i], arena, &cells[i], error);
        if (err) return err;
    }
    *result = store_query(batch, run->base, request->effect->target, run->row.user, cells, query->param_count);
    return ERR_OK;
}

static Err query_value(LiveRun *run, const Act *act, const StoreResult *result, Value *out, Error *error) {
    return rows_result(run->image, &run->image->queries[act->effect->target], store_rows(result->batch, run->current_result), out, error);
}

/* The statement said no: the program hears it. Anything else is the store's own trouble. */
static bool statement_failed(LiveRun *run, uint64_t id, const StoreResult *result) {
    Err err = result->err;
    if (err == ERR_OK) return false;
    if (err == ERR_FENCED || err == ERR_CRASH || err == ERR_IO || err == ERR_CORRUPT || err == ERR_BUSY) live_failed(run, err, &result->error);
    else perform_raise(run, id, live_error_of(run, err, result->error.text));
    return true;
}

static void query_answered(LiveRun *run, const StoreResult *result) {
    uint64_t id = run->current;
    Act *act = live_act(run, id);
    run->current = 0;
    if (!act || statement_failed(run, id, result)) return;
    Error error;
    Value value;
    Err err = query_value(run, act, result, &value, &error);
    if (err) fail_with(run, act, err, &error);
    else answer_now(run, id, true, value);
}

static StoreBatch *query_batch(LiveRun *run, Act *act, const VmRequest *request) {
    StoreBatch *batch = session_sql_batch(run);
    Error error;
    Err err = add_query(run, request, batch, &run->current_result, &error);
    if (!err) { run->current = act->id; return batch; }
    store_batch_free(batch);
    fail_with(run, act, err, &error);
    return NULL;
}

/* What the journal says of a statement, told inside its commit, when the live run may be gone. The image lives as long as the batch's query. */
typedef struct Telling { const Engine *engine; const Image *image; uint16_t query; } Telling;

static Err tell_statement(StoreBatch *batch, int result, JournalRow *row, void *arg, Error *error) {
    const Telling *telling = arg;
    const Query *query = &telling->image->queries[telling->query];
    Value value = { 0 };
    Err err = rows_result(telling->image, query, store_rows(batch, result), &value, error);
    if (err) return err;
    record_tell(telling->image, query->result, value, store_batch_arena(batch), row);
    row->ended_us = engine_now(telling->engine);
    if (kind_is_counted(telling->image->types[query->result].kind)) value_release(value);
    return ERR_OK;
}

static void lone_write_done(LiveRun *run, const StoreResult *result) {
    uint64_t id = run->current;
    Act *act = live_act(run, id);
    Value value;
    Error error;
    run->current = 0;
    if (result->err) record_take_back(run);
    if (!act || statement_failed(run, id, result)) return;
    Err err = query_value(run, act, result, &value, &error);
    if (err) live_failed(run, err, &error);              /* the same was read inside the commit: cannot be */
    else live_deliver(run, id, true, value);
}

/* A statement by itself, with its journal row: one batch like any other, so that statements of many runs share a commit. It may fail alone. */
static void lone_write(LiveRun *run, Act *act, const VmRequest *request) {
    if (session_is(run) ? !session_flushed(run) : commit_state_changed(run)) {
        if (!run->busy) commit_flush(run);
        return;
    }
    StoreBatch *batch = query_batch(run, act, request);
    if (!batch) return;
    Telling *telling = ARENA_NEW(store_batch_arena(batch), Telling);
    *telling = (Telling){ run->engine, run->base, act->effect->target };
    if (session_is(run)) { session_change_query(run, act, batch, run->current_result, tell_statement, telling); return; }
    record_answer(run, request, true);
    commit_statement(run, batch, run->current_result, tell_statement, telling, lone_write_done);
}

static void query(LiveRun *run, Act *act, const VmRequest *request) {
    const Query *query = &run->image->queries[request->effect->target];
    if (request->effect->kind == EFFECT_QUERY_WRITE) cache_note_write(run, query->table);
    else if (query->cached_us && !run->txn) { perform_cached(run, act, request); return; }
    if (request->effect->kind == EFFECT_QUERY_WRITE && !run->txn) { lone_write(run, act, request); return; }
    StoreBatch *batch = query_batch(run, act, request);
    if (!batch) return;
    if (run->txn) commit_in_txn(run, batch, query_answered);
    else commit_read(run, batch, query_answered);
}

/* ---- other writes --------------------------------------------------------------------------------------------- */

static void txn_commit(LiveRun *run, Act *act) {
    if (!run->txn) { perform_raise(run, act->id, live_error(run, ERROR_KIND_internal, "no transaction is open")); return; }
    if (session_is(run)) { session_commit(run, act); return; }
    StoreBatch *batch = commit_result(run, act->id, true, nothing);
    run->emits = true;
    if (batch) commit_result_submit(run, batch, false);
}

static void emitted_in_txn(LiveRun *run, const StoreResult *result) {
    uint64_t id = run->current;
    Value value = run->current_value;
    run->current = 0;
    if (result->err) value_release(value);
    if (!statement_failed(run, id, result)) answer_now(run, id, true, value);
}

static void emit(LiveRun *run, Act *act, const VmRequest *request) {
    if (session_is(run) && !run->txn && !session_flushed(run)) return;
    const ImageEvent *event = &run->image->events[request->effect->target];
    char id[IDS_TEXT_MAX], number[24], hash[SHA256_HEX + 1];
    Buf payload = { 0 };
    snprintf(number, sizeof number, "%" PRIu64, act->id);
    ids_derived("EV", run->row.run_id, str_of(number), id);
    hex_encode(run->base->hash.bytes, SHA256_BYTES, hash);
    value_to_json(run->image, event->type, request->args[0], &payload);
    EventRow row = { .tenant = run->row.tenant, .event_id = str_of(id), .name = event->name, .payload = buf_str(&payload), .module_hash = str_of(hash), .user = run->row.user,
                     .correlation = run->row.correlation, .causation = run->row.run_id, .hops = run->row.hops, .run_id = run->row.run_id, .created_us = engine_now(run->engine) };
    Value value = value_string(str_of(id));
    if (run->txn) {
        StoreBatch *batch = session_sql_batch(run);
        row.seq = run->seq + 1;
        store_put_event(batch, &row);
        run->current = act->id;
        run->current_value = value;
        commit_in_txn(run, batch, emitted_in_txn);
    } else if (session_is(run)) {
        StoreBatch *batch = session_sql_batch(run);
        row.seq = act->id;
        store_put_event(batch, &row);
        run->emits = true;
        session_change(run, act, batch, value);
    } else {
        StoreBatch *batch = commit_result(run, act->id, true, value);
        row.seq = run->seq;
        store_put_event(batch, &row);
        run->emits = true;
        commit_result_submit(run, batch, false);
    }
    buf_free(&payload);
}

static void started_elsewhere(LiveRun *run, const StoreResult *result) {
    uint64_t id = run->current;
    Value value = run->current_value;
    run->current = 0;
    if (result->err) value_release(value);
    if (result->err && result->err != ERR_IO) perform_raise(run, id, live_error_of(run, result->err, result->error.text));
    else if (result->err) perform_raise(run, id, live_error(run, ERROR_KIND_unavailable, "the session store cannot be reached: %s", result->error.text));
    else answer_now(run, id, true, value);
}

static void start_flow(LiveRun *run, Act *act, const VmRequest *request) {
    Engine *engine = run->engine;
    if (run->row.hops >= EVENT_HOPS_MAX) {
        perform_raise(run, act->id, live_error(run, ERROR_KIND_rejected, "a chain of starts and events is longer than EVENT_HOPS_MAX (%d)", EVENT_HOPS_MAX));
        return;
    }
    if (commit_state_changed(run) || (session_is(run) && run->row_count)) { commit_flush(run); return; }
    char id[IDS_TEXT_MAX], number[24];
    Arena *arena = arena_new();
    Error error;
    snprintf(number, sizeof number, "%" PRIu64, act->id);
    ids_derived("R", run->row.run_id, str_of(number), id);
    RunRow row = { .tenant = run->row.tenant, .run_id = str_of(id), .module_hash = run->row.module_hash, .user = run->row.user, .user_name = run->row.user_name, .scopes = run->row.scopes,
                   .correlation = run->row.correlation, .causation = run->row.run_id, .hops = run->row.hops + 1, .created_us = engine_now(engine), .updated_us = engine_now(engine) };
    Err err = start_fill_row(engine, run->base, request->effect->target, request->args, arena, &row, &error);
    Store *home = engine_home(engine, &row);
    engine->claim_wanted = true;
    if (err) fail_with(run, act, err, &error);
    else if (home != run->store) {                       /* the two stores have no commit in common: first the child, whose id is always the same */
        StoreBatch *batch = store_batch(home, row.tenant, row.run_id, 0);
        store_put_run_or_ignore(batch, &row);
        run->current = act->id;
        run->current_value = value_string(str_of(id));
        commit_read(run, batch, started_elsewhere);
    } else {
        StoreBatch *batch = commit_result(run, act->id, true, value_string(str_of(id)));
        store_put_run_or_ignore(batch, &row);
        commit_result_submit(run, batch, true);
    }
    arena_free(arena);
}

static void signal_in_store(LiveRun *run, Act *act, const VmRequest *request) {
    const ImageEvent *signal = &run->image->signals[request->effect->target];
    Arena *arena = arena_new();
    Buf payload = { 0 };
    value_to_json(run->image, signal->type, request->args[1], &payload);
    Str target = arena_str(arena, value_str(request->args[0])), key = request_key(run, act->id, arena);
    StoreBatch *batch = session_is(run) ? session_sql_batch(run) : commit_result(run, act->id, true, nothing);
    store_put_mail(batch, &(MailRow){ .tenant = run->row.tenant, .run_id = target, .mail_id = key, .kind = MAIL_SIGNAL, .name = signal->name, .payload = buf_str(&payload), .created_us = engine_now(run->engine) });
    LiveRun *there = engine_live_find(run->engine, run->row.tenant, target);
    if (there) there->mail_wanted = true;
    else run->engine->claim_wanted = true;
    if (session_is(run)) session_change(run, act, batch, nothing);
    else commit_result_submit(run, batch, true);
    buf_free(&payload);
    arena_free(arena);
}

/* Twice is once: the mail's id is that of the request. */
static void session_signalled(LiveRun *run, const StoreResult *result) {
    uint64_t id = run->current;
    Err err = result->err == ERR_CONFLICT ? ERR_OK : result->err;
    run->current = 0;
    run->engine->claim_wanted = true;
    if (err == ERR_IO) perform_raise(run, id, live_error(run, ERROR_KIND_unavailable, "the session store cannot be reached: %s", result->error.text));
    else if (err) perform_raise(run, id, live_error_of(run, err, result->error.text));
    else answer_now(run, id, true, nothing);
}

static void signal_session(LiveRun *run, Act *act, const VmRequest *request) {
    const ImageEvent *signal = &run->image->signals[request->effect->target];
    Str target = value_str(request->args[0]);
    Arena *arena = arena_new();
    Buf payload = { 0 };
    value_to_json(run->image, signal->type, request->args[1], &payload);
    StoreBatch *batch = store_batch(run->engine->sessions, run->row.tenant, (Str){ "", 0 }, 0);
    store_put_mail(batch, &(MailRow){ .tenant = run->row.tenant, .run_id = target, .mail_id = request_key(run, act->id, arena), .kind = MAIL_SIGNAL, .name = signal->name, .payload = buf_str(&payload),
                                      .created_us = engine_now(run->engine) });
    LiveRun *there = engine_live_find(run->engine, run->row.tenant, target);
    if (there) there->mail_wanted = true, engine_ready(there);
    run->current = act->id;
    commit_read(run, batch, session_signalled);
    buf_free(&payload);
    arena_free(arena);
}

/* Nobody but the two stores knows where the run is. One that the session store does not know, or does not tell of, is looked for in the other. */
static void session_looked_up(LiveRun *run, const StoreResult *result) {
    uint64_t id = run->current;
    uint32_t count = 0;
    VmRequest request;
    Act *act = live_act(run, id);
    run->current = 0;
    if (!act || !live_request(run, id, &request)) return;
    const RunRow *found = result->err ? NULL : store_runs(result->batch, 0, &count);
    if (count == 0 || !str_eq(found->run_id, value_str(request.args[0]))) signal_in_store(run, act, &request);
    else if (run_status_ended(found->status)) answer_now(run, id, true, nothing);        /* maybe by this very signal, before a crash of ours */
    else signal_session(run, act, &request);
}

static void send_signal(LiveRun *run, Act *act, const VmRequest *request) {
    if (commit_state_changed(run) || (session_is(run) && run->row_count && !session_is_unjournalled(run))) { commit_flush(run); return; }
    if (!run->engine->sessions || run->txn) { signal_in_store(run, act, request); return; }
    StoreBatch *batch = store_batch(run->engine->sessions, run->row.tenant, (Str){ "", 0 }, 0);
    store_get_run(batch, value_str(request->args[0]));
    run->current = act->id;
    commit_read(run, batch, session_looked_up);
}

/* ---- outside ----------------------------------------------------------------------------------------------------- */

void perform_answer(Act *act, bool ok, Value value) {
    act->ok = ok;
    act->answer = value;
    act->answer_counted = !ok || kind_is_counted(act->run->image->types[live_result_type(act->run->image, act->effect)].kind);
    act->state = ACT_ANSWERED;
    act->due_us = TIME_NEVER;
    engine_ready(act->run);
}

void perform_cancel(Act *act) {
    http_cancel(act->http);
    llm_model_cancel(act->llm);
    service_cancel(act->service);
    free(act->report);
    arena_free(act->asked);
    buf_free(&act->refused);
    act->http = NULL, act->llm = NULL, act->service = NULL, act->report = NULL, act->asked = NULL;
    if (act->answer_counted) value_release(act->answer);
    act->answer.w = 0;
    act->answer_counted = false;
}

static const ImageTool *tool_of(const Act *act) { return &act->run->image->tools[act->effect->target]; }

/* A scripted local tool stands for code whose effects are exact; only a real one elsewhere can leave us in doubt. */
static bool needs_intent(const Act *act) {
    if (act->effect->kind != EFFECT_REMOTE_CALL || act->scripted) return false;
    return !(tool_of(act)->flags & (TOOL_READS | TOOL_IDEMPOTENT | TOOL_KEYED));
}

static void remote_done(const HttpResponse *response, void *arg) {
    Act *act = arg;
    Value value;
    act->http = NULL;
    act->service = NULL;
    bool ok = remote_result(act->run->image, tool_of(act), response, engine_now(act->run->engine), &value);
    perform_answer(act, ok, value);
}

static void refresh_done(const HttpResponse *response, void *arg) {
    Act *act = arg;
    LiveRun *run = act->run;
    const ImageAgent *agent = &run->image->agents[act->effect->target];
    Error error;
    act->http = NULL;
    if (response->outcome != HTTP_ANSWERED)
        perform_answer(act, false, error_with(live_error(run, ERROR_KIND_unavailable, "could not renew credential `%.*s`: %s", STR_ARG(agent->credential), response->detail), 0, str_of(http_outcome_code(response->outcome)), -1));
    else if (credentials_refreshed(run->engine->credentials, agent->credential, response, &error))
        perform_answer(act, false, error_with(live_error(run, ERROR_KIND_denied, "%s", error.text), response->status, (Str){ "", 0 }, -1));
    else perform_answer(act, true, nothing);
}

static void send(Act *act, const HttpRequest *request, HttpDone done) {
    Error error;
    act->http = http_send(act->run->engine->http, request, done, act, &error);
    if (!act->http) perform_answer(act, false, live_error_of(act->run, error.code, error.text));
}

static int64_t time_left(const LiveRun *run, const VmRequest *request) {
    if (request->deadline_us == TIME_NEVER) return 0;
    int64_t left = request->deadline_us - engine_now(run->engine);
    return left < HTTP_TIMEOUT_DEFAULT ? (left < 1000 ? 1000 : left) : HTTP_TIMEOUT_DEFAULT;
}

/* A service that is part of the engine: asked as one behind HTTP would be, and answering so. */
static void start_service(LiveRun *run, Act *act, const VmRequest *request) {
    const ImageTool *tool = tool_of(act);
    const ImageAgent *agent = &run->image->agents[tool->agent];
    bool known = str_is(agent->location_text, "identity") && run->engine->find_identity;
    Identity *identity = known ? run->engine->find_identity(run->engine->find_identity_arg) : NULL;
    if (!identity) {
        perform_answer(act, false, live_error(run, ERROR_KIND_unavailable, "this engine has no service `%.*s` for agent `%.*s`", STR_ARG(agent->location_text), STR_ARG(agent->name)));
        return;
    }
    Arena *arena = arena_new();
    ServiceCall call = { .image = run->image, .tool = remote_tool_name(tool), .body = remote_body(run->image, tool, request->args, arena), .run_id = run->row.run_id, .user = run->row.user,
                         .key = request_key(run, act->id, arena) };
    ServiceTask *task = service_call(identity, &call, remote_done, act);
    if (task) act->service = task;                           /* else it was answered before it returned, and the act is done with */
    arena_free(arena);
}

static void start_remote(LiveRun *run, Act *act, const VmRequest *request) {
    const ImageTool *tool = tool_of(act);
    if (run->image->agents[tool->agent].location == AGENT_ENGINE) { start_service(run, act, request); return; }
    Arena *arena = arena_new();
    HttpRequest http;
    Error error;
    RemoteCall call = { .timeout_us = time_left(run, request), .args = request->args, .bearer = credentials_token(run->engine->credentials, run->image->agents[tool->agent].credential) };
    if (!(tool->flags & TOOL_READS)) call.idempotency_key = request_key(run, act->id, arena);
    if (tool->flags & TOOL_KEYED && tool->key_param < tool->param_count && run->image->types[tool->params[tool->key_param].type].kind == KIND_STRING)
        call.idempotency_key = value_str(request->args[tool->key_param]);
    Err err = remote_request(run->image, tool, &call, arena, &http, &error);
    if (err) perform_answer(act, false, live_error_of(run, err, error.text));
    else send(act, &http, remote_done);
    arena_free(arena);
}

static void start_refresh(LiveRun *run, Act *act) {
    Arena *arena = arena_new();
    HttpRequest http;
    Error error;
    Err err = credentials_refresh_request(run->engine->credentials, run->image->agents[act->effect->target].credential, arena, &http, &error);
    if (err) perform_answer(act, false, live_error(run, ERROR_KIND_denied, "%s", error.text));
    else send(act, &http, refresh_done);
    arena_free(arena);
}

/* What the script says; the answer may take its time. When it says nothing more about a local tool, the tool's own code runs. */
static bool start_scripted(LiveRun *run, Act *act, const VmRequest *request) {
    EngineScript *script = run->engine->options.script;
    if (script && act->effect->kind == EFFECT_REFRESH) return perform_answer(act, true, nothing), true;      /* a test has no logins to renew */
    if (!script || act->effect->kind != EFFECT_REMOTE_CALL) return false;
    Arena *arena = arena_new();
    ScriptAnswer answer;
    Str name = live_tool_name(run->image, act->effect->target, arena);
    bool found = script_call(script, name, request_key(run, act->id, arena), engine_now(run->engine), &answer);
    if (found) {
        Value value = nothing;
        Error error;
        bool ok = !answer.fails;
        if (answer.fails) value = error_with(value_error(run->image, answer.kind, answer.message), answer.status, answer.code, answer.retry_after_us);
        else if (run->image->types[tool_of(act)->result].kind != KIND_VOID && mail_value(run->image, tool_of(act)->result, answer.value_json, &value, &error)) {
            ok = false;
            value = live_error(run, ERROR_KIND_internal, "the scripted result of %.*s does not fit its type: %s", STR_ARG(name), error.text);
        }
        perform_answer(act, ok, value);
        if (answer.due_us > engine_now(run->engine)) act->state = ACT_STARTED, act->due_us = answer.due_us;
    } else if (act->scripted) {
        found = true;
        record_resumed(run);
        record_row(run, JOURNAL_LOCAL, request);
        live_decline(run, act->id);
    }
    arena_free(arena);
    return found;
}

static void outside(LiveRun *run, Act *act, const VmRequest *request) {
    if (act->in_doubt) {
        act->intent = false;
        perform_answer(act, false, live_error(run, ERROR_KIND_in_doubt, "%.*s was begun before a crash; whether it took effect is not known", STR_ARG(act->effect->name)));
        return;
    }
    if (needs_intent(act) && !act->intent) {
        JournalRow *row = record_row(run, JOURNAL_INTENT, request);
        row->payload = request_key(run, act->id, run->row_arena);
        act->intent = true;
    }
    if (run->row_count) { commit_flush(run); return; }                   /* comes back here with an empty buffer */
    act->state = ACT_STARTED;
    act->started_us = engine_now(run->engine);
    engine_ready(run);
    if (start_scripted(run, act, request)) return;
    switch (act->effect->kind) {
    case EFFECT_REMOTE_CALL: start_remote(run, act, request); break;
    case EFFECT_REFRESH:     start_refresh(run, act); break;
    default:                 perform_llm(run, act, request); break;
    }
}

/* ---- park -------------------------------------------------------------------------------------------------------- */

static bool can_be_shown(LiveRun *run, const Act *act, const VmRequest *request) {
    Arena *arena = arena_new();
    Approval approval;
    Error error;
    Err err = approval_read(run->image, request, arena, &approval, &error);
    arena_free(arena);
    if (err) perform_raise(run, act->id, error_with(live_error(run, ERROR_KIND_rejected, "%s", error.text), 0, STR("APPROVAL_BYTES_MAX"), -1));
    return err == ERR_OK;
}

static void park(LiveRun *run, Act *act, const VmRequest *request) {
    switch (request->effect->kind) {
    case EFFECT_SLEEP_UNTIL: act->due_us = request->args[0].i; break;
    case EFFECT_AWAIT_EVENT:
        if (!session_is(run)) break;
        perform_raise(run, act->id, live_error(run, ERROR_KIND_rejected, "a flow of `durability %s` cannot await an event: its run is in no table that events could find", session_is_unjournalled(run) ? "none" : "session"));
        return;
    case EFFECT_ASK: case EFFECT_APPROVE: case EFFECT_AWAIT_SIGNAL:
        if (!session_is_unjournalled(run)) {
            if (request->effect->kind == EFFECT_APPROVE && !can_be_shown(run, act, request)) return;
            break;
        }
        perform_raise(run, act->id, live_error(run, ERROR_KIND_rejected, "a flow of `durability none` cannot wait for people: nobody would find it"));
        return;
    default:
        perform_raise(run, act->id, live_error(run, ERROR_KIND_internal, "effect `%s` belongs to tests", effect_name(request->effect->kind)));
        return;
    }
    act->state = ACT_PARKED;
    engine_ready(run);
}

/* Can it be done before the run's row is durable: nothing outside of this process learns of it, no store is asked, and it takes no time. */
static bool is_inside(const LiveRun *run, const Act *act) {
    const Engine *engine = run->engine;
    switch ((EffectKind)act->effect->kind) {
    case EFFECT_NOW: case EFFECT_RANDOM: case EFFECT_UUID: case EFFECT_NEW_ID: return true;
    case EFFECT_LLM_STREAM: return false;                /* others hear it */
    default: break;
    }
    if (effect_class((EffectKind)act->effect->kind) == EFFECT_CLASS_PARK) return true;
    return act->effect->kind >= EFFECT_LLM_CLASSIFY && act->effect->kind < EFFECT_LLM_STREAM && !engine->llm && !engine->options.script;      /* the rules of this process */
}

void perform(LiveRun *run, Act *act) {
    VmRequest request;
    if (!live_request(run, act->id, &request)) { engine_ready(run); act->state = ACT_STARTED; return; }
    if (run->birth && !is_inside(run, act)) { commit_flush(run); return; }
    if (run->told_count) { session_tell(run, act); return; }
    switch (effect_class((EffectKind)act->effect->kind)) {
    case EFFECT_CLASS_OWN: own(run, act, &request); return;
    case EFFECT_CLASS_READ:
        if (act->effect->kind == EFFECT_QUERY_READ) query(run, act, &request);
        else if (act->effect->kind == EFFECT_PLAN_LOAD) perform_plan_load(run, act, &request);
        else perform_state(run, act, &request);
        return;
    case EFFECT_CLASS_OUTSIDE: outside(run, act, &request); return;
    case EFFECT_CLASS_PARK: park(run, act, &request); return;
    case EFFECT_CLASS_NOTE: return;
    case EFFECT_CLASS_WRITE: break;
    }
    switch (act->effect->kind) {
    case EFFECT_QUERY_WRITE: query(run, act, &request); break;
    case EFFECT_TXN_COMMIT:  txn_commit(run, act); break;
    case EFFECT_EMIT:        emit(run, act, &request); break;
    case EFFECT_START_FLOW:  start_flow(run, act, &request); break;
    case EFFECT_SEND_SIGNAL: send_signal(run, act, &request); break;
    default: perform_raise(run, act->id, live_error(run, ERROR_KIND_internal, "effect `%s` is not one of this engine", effect_name(act->effect->kind))); break;
    }
}
