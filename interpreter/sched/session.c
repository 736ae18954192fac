/* session.c - runs that live elsewhere than in the engine's store.
 *
 * Runs of `durability session`: they live in the session store alone, with their journal, snapshot, timers and mail. What they do
 * to tables, events and other runs is in the SQL store, exactly once.
 *
 * The two stores have no commit in common. So a session run makes its own rows durable first (the request's number then means the same after
 * a crash), and puts a journal row under that number beside the change in the SQL store, as the run "session:ID". A second try finds that
 * row taken (ERR_CONFLICT, and nothing is changed) and delivers what the row says. A transaction leaves such a row for everything it did: a
 * resume that finds the one of its beginning tells the block from them instead of executing it.
 *
 * What the session store forgets (a day without a write, a flush) is gone: "session expired or not found". What lies in tables stays. Without a session store
 * they are rows like strict runs, and over after the same time (RUN_SESSION_IN_ROWS).
 *
 * Runs of `durability none` have their row in this process's memory and no journal: nothing of them is told to any store but what they do there. Nobody can
 * take them on, so they never park, their leases never end, and what would load another run again ends them. */
#include "interpreter/effect/rows.h"
#include "interpreter/sched/engine_internal.h"

static const Value nothing;

Store *engine_home(Engine *engine, const RunRow *row) {
    if (row->durability == DURABILITY_NONE && engine->memory) return engine->memory;
    return row->durability == DURABILITY_SESSION && engine->sessions ? engine->sessions : engine->store;
}

Store *engine_place(const Engine *engine, uint32_t nth) {
    Store *const places[] = { engine->store, engine->sessions ? engine->sessions : engine->memory, engine->sessions ? engine->memory : NULL };
    return nth < sizeof places / sizeof *places ? places[nth] : NULL;
}

Err session_memory(Engine *engine, Error *error) {
    if (engine->memory) return ERR_OK;
    StoreOptions options = { .loop = engine->loop };
    return store_open("sqlite::memory:", &options, &engine->memory, error);
}

bool session_is_unjournalled(const LiveRun *run) { return run->engine->memory && run->store == run->engine->memory; }

bool session_has_expired(const Engine *engine, const RunRow *row) {
    return row->durability == RUN_SESSION_IN_ROWS && !run_status_ended(row->status) && row->status != RUN_RUNNING && row->updated_us + SESSION_TTL <= engine_now(engine);
}

bool session_is(const LiveRun *run) { return run->store != run->engine->store; }

StoreBatch *session_sql_batch(LiveRun *run) {
    if (!session_is(run)) return store_batch(run->engine->store, run->row.tenant, run->row.run_id, run->row.epoch);
    Buf id = { 0 };
    buf_printf(&id, SESSION_TOLD "%.*s", STR_ARG(run->row.run_id));
    StoreBatch *batch = store_batch(run->engine->store, run->row.tenant, buf_str(&id), 0);
    buf_free(&id);
    return batch;
}

bool session_flushed(LiveRun *run) {
    if (session_is_unjournalled(run) || (run->row_count == 0 && !commit_state_changed(run))) return true;
    commit_flush(run);
    return false;
}

static void lost(LiveRun *run, uint64_t id) {
    Error error;
    err_set(&error, ERR_CORRUPT, "session expired or not found: the session store forgot what request %llu was", (unsigned long long)id);
    commit_fail(run, &error);
}

/* ---- what was done already ------------------------------------------------------------------------------------- */

/* Delivers what the row of an earlier try says. */
static void tell(LiveRun *run, Act *act, const JournalRow *row) {
    Value value = { 0 };
    Error error;
    bool ok = row->entry == JOURNAL_RESULT;
    if (row->effect != act->effect->kind || row->target != act->effect->target) { lost(run, act->id); return; }
    Reader in = reader_of(row->payload);
    if (value_decode(run->image, ok ? live_result_type(run->image, act->effect) : TYPE_INDEX_ERROR, &in, &value, &error)) { commit_fail(run, &error); return; }
    record_result(run, act->id, ok, value);
    live_deliver(run, act->id, ok, value);
}

static void told_read(LiveRun *run, const StoreResult *result) {
    uint64_t id = run->current;
    Act *act = live_act(run, id);
    uint32_t count = 0;
    run->current = 0;
    if (!act || live_failed(run, result->err, &result->error)) return;
    const JournalRow *row = store_journal(result->batch, 0, &count);
    if (count == 1 && row->seq == id) tell(run, act, row);
    else perform_raise(run, id, live_error(run, ERROR_KIND_conflict, "%s", run->refusal.text));
}

static void read_told(LiveRun *run, uint64_t id, uint32_t limit, CommitNext next) {
    StoreBatch *batch = session_sql_batch(run);
    Buf told = { 0 };
    buf_printf(&told, SESSION_TOLD "%.*s", STR_ARG(run->row.run_id));
    store_get_journal(batch, buf_str(&told), id - 1, limit);
    buf_free(&told);
    run->current = id;
    commit_read(run, batch, next);
}

/* ---- one change -------------------------------------------------------------------------------------------------- */

static JournalRow told_row(LiveRun *run, const Act *act) {
    int64_t now = engine_now(run->engine);
    return (JournalRow){ .seq = act->id, .request = act->id, .fiber = act->fiber, .entry = JOURNAL_RESULT, .effect = (uint8_t)act->effect->kind, .target = act->effect->target,
                         .agent = NO_INDEX, .name = act->effect->name, .started_us = act->started_us, .ended_us = now };
}

static void changed(LiveRun *run, const StoreResult *result) {
    uint64_t id = run->current;
    Act *act = live_act(run, id);
    Value value = run->current_value;
    bool counted = run->current_counted;
    Error error;
    Err err = result->err;
    run->current = 0;
    run->current_counted = false;
    if (act && !err && run->current_result >= 0)
        err = rows_result(run->image, &run->image->queries[act->effect->target], store_rows(result->batch, run->current_result), &value, &error);
    else if (err) error = result->error;
    if (act && !err) {
        if (run->emits) run->engine->outbox_dirty = true;
        run->emits = false;
        record_result(run, id, true, value);
        live_deliver(run, id, true, value);
        return;
    }
    if (counted) value_release(value);
    if (!act) return;
    run->refusal = error;
    if (err == ERR_CONFLICT && !session_is_unjournalled(run)) read_told(run, id, 1, told_read);           /* done before, or a key that is taken */
    else if (err == ERR_FENCED || err == ERR_CRASH || err == ERR_IO || err == ERR_CORRUPT || err == ERR_BUSY) live_failed(run, err, &error);
    else perform_raise(run, id, live_error_of(run, err, error.text));
}

void session_change_query(LiveRun *run, Act *act, StoreBatch *batch, int result, StoreEncode encode, void *arg) {
    JournalRow row = told_row(run, act);
    if (!session_is_unjournalled(run)) store_append_journal_of(batch, &row, result, encode, arg);
    run->current = act->id;
    run->current_result = result;
    run->current_value = nothing;
    commit_read(run, batch, changed);
}

void session_change(LiveRun *run, Act *act, StoreBatch *batch, Value value) {
    JournalRow row = told_row(run, act);
    uint16_t type = live_result_type(run->image, act->effect);
    record_tell(run->image, type, value, store_batch_arena(batch), &row);
    if (!session_is_unjournalled(run)) store_append_journal(batch, &row);
    run->current = act->id;
    run->current_result = -1;
    run->current_value = value;
    run->current_counted = kind_is_counted(run->image->types[type].kind);
    commit_read(run, batch, changed);
}

/* ---- transactions -------------------------------------------------------------------------------------------------- */

static void begun_read(LiveRun *run, const StoreResult *result) {
    uint64_t id = run->current;
    Act *act = live_act(run, id);
    uint32_t count = 0;
    run->current = 0;
    if (!act || live_failed(run, result->err, &result->error)) return;
    const JournalRow *rows = store_journal(result->batch, 0, &count);
    if (count == 0 || rows[0].seq != id) { perform_open_txn(run, act); return; }
    run->told = ARENA_ARRAY(run->arena, JournalRow, count);
    run->told_count = count;
    run->txn_fiber = act->fiber;
    for (uint32_t i = 0; i < count; i++) {
        run->told[i] = rows[i];
        run->told[i].payload = arena_str(run->arena, rows[i].payload);
    }
    session_tell(run, act);
}

void session_begin(LiveRun *run, Act *act) {
    if (session_is_unjournalled(run)) { perform_open_txn(run, act); return; }
    if (session_flushed(run)) read_told(run, act->id, 0, begun_read);
}

void session_tell(LiveRun *run, Act *act) {
    const JournalRow *found = NULL;
    for (uint32_t i = 0; i < run->told_count && !found; i++)
        if (run->told[i].seq == act->id) found = &run->told[i];
    if (act->effect->kind == EFFECT_TXN_COMMIT) run->told_count = 0;
    if (found) tell(run, act, found);
    else lost(run, act->id);
}

static void committed(LiveRun *run, const StoreResult *result) {
    uint64_t id = run->current;
    run->current = 0;
    if (live_failed(run, result->err, &result->error)) return;
    run->engine->outbox_dirty = true;
    record_result(run, id, true, nothing);
    live_deliver(run, id, true, nothing);
}

/* The rows in the buffer are those of the block: it was empty when the block began. They stay there for the session store. */
void session_commit(LiveRun *run, Act *act) {
    StoreBatch *batch = session_sql_batch(run);
    bool told = !session_is_unjournalled(run);
    for (uint32_t i = 0; i < run->row_count && told; i++) {
        JournalRow row = run->rows[i];
        if (row.entry != JOURNAL_RESULT && row.entry != JOURNAL_ERROR) continue;
        row.seq = row.request;
        store_append_journal(batch, &row);
    }
    JournalRow row = told_row(run, act);
    if (told) store_append_journal(batch, &row);
    run->current = act->id;
    commit_last(run, batch, committed);
}
