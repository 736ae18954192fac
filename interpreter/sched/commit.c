/* commit.c - what becomes durable together.
 *
 * Every commit of a run carries all rows that were buffered before it, so the journal is always a prefix of what happened. With them go
 * changes of the wait rows (so that no event slips by) and of timer rows that are over. Timers are only set when the run parks: while it
 * is in memory its lease brings it back.
 *
 * A snapshot rides in a commit only when it holds everything the journal holds up to its seq, no transaction is open, and no call that
 * cannot be repeated is under way: the intent row of such a call must stay behind the snapshot to be seen again. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include "interpreter/sched/engine_internal.h"

enum { COMMIT_REPLAY_MAX = 16 };                         /* rows of a run that parks at its beginning, up to which it needs no snapshot */

/* ---- waits and timers -------------------------------------------------------------------------------- */

static bool act_to_announce(const Act *act) {
    return (act->effect->kind == EFFECT_AWAIT_EVENT || live_asks(act)) && act->state == ACT_PARKED && !act->waits_durably;
}

bool commit_waits_changed(const LiveRun *run) {
    if (run->old_wait_count || run->waits_stale) return true;
    for (uint32_t i = 0; i < run->act_count; i++)
        if (act_to_announce(run->acts[i])) return true;
    return false;
}

/* The row as it stands now; of a run that begins with this batch, the first one. */
static void put_row(const LiveRun *run, StoreBatch *batch) {
    if (run->birth) store_amend_run(batch, &run->row);
    else store_update_run(batch, &run->row);
}

/* The run's own row says what it waits for, so that a question can be answered also while other fibers work. */
static void update_row(LiveRun *run, StoreBatch *batch) {
    Buf waits = { 0 };
    if (run->vm && !run->failing) record_waits(run, &waits);
    else buf_put_text(&waits, "[]");
    run->row.waits_json = buf_str(&waits);
    run->row.last_seq = run->seq;
    run->row.updated_us = engine_now(run->engine);
    put_row(run, batch);
    run->row.waits_json = (Str){ "", 0 };
    run->waits_stale = false;
    buf_free(&waits);
}

/* What is marked as durable here is so if the commit succeeds; if it fails, the live run goes with it (see commit_state_changed). */
static void put_waits(LiveRun *run, StoreBatch *batch) {
    bool update = run->waits_stale;
    for (uint32_t i = 0; i < run->old_wait_count; i++) store_clear_wait(batch, run->old_waits[i]);
    run->old_wait_count = 0;
    for (uint32_t i = 0; i < run->act_count; i++) {
        Act *act = run->acts[i];
        if (!act_to_announce(act)) continue;
        if (live_asks(act)) update = true;
        else if (run->txn) continue;                     /* a long transaction sees the events of its beginning: the next commit announces it */
        else {
            WaitRow wait = { .tenant = run->row.tenant, .event = run->image->events[act->effect->target].name, .run_id = run->row.run_id, .request = act->id };
            mail_wait_key(run, act, store_batch_arena(batch), &wait);
            store_put_wait(batch, &wait);
            run->mail_wanted = true;                     /* events from before the wait came with it */
        }
        act->waits_durably = true;
    }
    if (update) update_row(run, batch);
}

void commit_note_timer(LiveRun *run, uint64_t request) {
    for (uint32_t i = 0; i < run->timer_count; i++)
        if (run->timers[i] == request) return;
    if (run->timer_count == run->timer_cap) {
        run->timer_cap = run->timer_cap ? run->timer_cap * 2 : 8;
        run->timers = mem_realloc(run->timers, run->timer_cap * sizeof *run->timers);
    }
    run->timers[run->timer_count++] = request;
}

static void add_timer(LiveRun *run, StoreBatch *batch, uint64_t request, int64_t due_us) {
    store_set_timer(batch, &(TimerRow){ .tenant = run->row.tenant, .run_id = run->row.run_id, .request = request, .due_us = due_us });
    serve_timer(run->engine, due_us);
    commit_note_timer(run, request);
}

static bool timer_wanted(LiveRun *run, uint64_t request) {
    const Act *act = request ? live_act(run, request) : NULL;
    return act && act->pending;
}

static void clear_timers(LiveRun *run, StoreBatch *batch, bool all) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < run->timer_count; i++) {
        if (!all && timer_wanted(run, run->timers[i])) run->timers[kept++] = run->timers[i];
        else store_clear_timer(batch, run->timers[i]);
    }
    run->timer_count = kept;
}

/* A batch that may fail alone (an unknown run to signal) must not carry these: they count as done once they are in a batch. */
bool commit_state_changed(LiveRun *run) {
    for (uint32_t i = 0; i < run->timer_count; i++)
        if (!timer_wanted(run, run->timers[i])) return true;
    return commit_waits_changed(run);
}

/* ---- batches ------------------------------------------------------------------------------------------- */

/* The row goes first: whoever asks again after a lost answer is told before anything else that the run is there. */
static void put_birth(LiveRun *run, StoreBatch *batch) {
    const Birth *birth = run->birth;
    store_put_run(batch, &run->row);
    if (birth->rate_limit && run->store == run->engine->store) store_take_rate(batch, birth->rate_key, run->row.func_name, birth->rate_limit, birth->rate_unit_us, run->row.created_us);
}

/* The batch takes the rows over as they are, with their arena; should it fail, record_keep has them back. */
StoreBatch *commit_batch(LiveRun *run) {
    StoreBatch *batch = store_batch_in(record_arena(run), run->store, run->row.tenant, run->row.run_id, run->birth ? 0 : run->row.epoch);
    run->row_arena = NULL;
    if (run->birth) put_birth(run, batch);
    for (uint32_t i = 0; i < run->row_count && !session_is_unjournalled(run); i++) store_append_journal_here(batch, &run->rows[i]);
    put_waits(run, batch);
    clear_timers(run, batch, false);
    if (run->watched) store_announce(batch);
    return batch;
}

static bool may_snapshot(const LiveRun *run) {
    if (run->needs_run || run->txn || vm_in_transaction(run->vm)) return false;      /* needs_run: between two slices of a computation */
    for (uint32_t i = 0; i < run->act_count; i++)
        if (run->acts[i]->intent) return false;
    return true;
}

/* The state of now, which is that of `seq`. */
static void put_snapshot(LiveRun *run, StoreBatch *batch, uint64_t seq) {
    Buf bytes = { 0 };
    snapshot_encode(run->vm, seq, &run->engine->key, &bytes);
    store_put_snapshot(batch, seq, buf_str(&bytes));
    buf_free(&run->parked_bytes);
    if (hot_copy_wanted(run)) run->parked_bytes = bytes;
    else buf_free(&bytes);
    run->row.snapshot_seq = run->snapshot_at = seq;
}

static void maybe_snapshot(LiveRun *run, StoreBatch *batch) {
    if (session_is_unjournalled(run)) return;
    uint32_t every = run->engine->options.snapshot_every ? run->engine->options.snapshot_every : ENGINE_SNAPSHOT_EVERY;
    uint64_t seq = run->seq - run->undelivered;          /* the row that this very commit makes durable lies behind the state */
    if (seq <= run->snapshot_at || seq - run->snapshot_at < every || !may_snapshot(run)) return;
    put_snapshot(run, batch, seq);
    buf_free(&run->parked_bytes);                        /* it goes on: the copy would be old at once */
    update_row(run, batch);
}

typedef struct Submitted { LiveRun *run; CommitNext next; bool rows; uint64_t snapshot_at; } Submitted;

static void on_done(const StoreResult *result, void *arg) {
    Submitted *s = arg;
    LiveRun *run = s->run;
    CommitNext next = s->next;
    bool rows = s->rows;
    uint64_t snapshot_at = s->snapshot_at;               /* it lies in the batch, which goes after this */
    run->busy = run->undelivered = false;
    if (run->emits) run->engine->outbox_dirty = true;
    run->emits = false;
    if (run->birth && !live_born(run, result->err, &result->error)) { live_callback_done(run); return; }
    if (!run->dead) {
        if (result->err) record_keep(run);
        if (!result->err && rows) record_durable(run);
        if (result->err) run->row.snapshot_seq = run->snapshot_at = snapshot_at;         /* one that rode along is not there */
        next(run, result);
    }
    live_callback_done(run);
}

static Submitted *submitted(LiveRun *run, StoreBatch *batch, CommitNext next, bool rows) {
    Submitted *s = ARENA_NEW(store_batch_arena(batch), Submitted);
    *s = (Submitted){ run, next, rows, run->snapshot_at };
    run->busy = true;
    run->callbacks++;
    return s;
}

void commit_submit(LiveRun *run, StoreBatch *batch, CommitNext next) {
    Submitted *s = submitted(run, batch, next, true);
    maybe_snapshot(run, batch);
    store_submit(batch, on_done, s);
}

void commit_statement(LiveRun *run, StoreBatch *batch, int result, StoreEncode tell, void *arg, CommitNext next) {
    for (uint32_t i = 0; i + 1 < run->row_count; i++) store_append_journal(batch, &run->rows[i]);
    store_append_journal_of(batch, &run->rows[run->row_count - 1], result, tell, arg);
    run->undelivered = true;
    commit_submit(run, batch, next);
}

void commit_read(LiveRun *run, StoreBatch *batch, CommitNext next) { store_submit(batch, on_done, submitted(run, batch, next, false)); }

void commit_in_txn(LiveRun *run, StoreBatch *batch, CommitNext next) {
    store_txn_run(run->txn, batch, on_done, submitted(run, batch, next, false));
}

void commit_last(LiveRun *run, StoreBatch *batch, CommitNext next) {
    StoreTxn *txn = run->txn;
    run->txn = NULL;
    run->engine->open_txns--;
    store_txn_commit(txn, batch, on_done, submitted(run, batch, next, !session_is(run)));
}

static void flushed(LiveRun *run, const StoreResult *result) {
    if (!live_failed(run, result->err, &result->error)) engine_ready(run);
}

void commit_flush(LiveRun *run) { commit_submit(run, commit_batch(run), flushed); }

static bool is_programs_error(Err err) { return err == ERR_CONFLICT || err == ERR_NOT_FOUND || err == ERR_INVALID || err == ERR_LIMIT || err == ERR_UNSUPPORTED; }

static void result_durable(LiveRun *run, const StoreResult *result) {
    Value value = run->current_value;
    uint64_t id = run->current;
    run->current = 0;
    if (!result->err) { live_deliver(run, id, run->current_ok, value); return; }
    if (run->current_counted) value_release(value);
    if (run->may_fail && is_programs_error(result->err)) {
        record_take_back(run);
        perform_raise(run, id, live_error_of(run, result->err, result->error.text));
    } else live_failed(run, result->err, &result->error);
}

StoreBatch *commit_result(LiveRun *run, uint64_t id, bool ok, Value value) {
    VmRequest request;
    if (!live_request(run, id, &request)) return NULL;
    run->current_counted = !ok || kind_is_counted(run->image->types[live_result_type(run->image, request.effect)].kind);
    record_result(run, id, ok, value);
    run->current = id;
    run->current_ok = ok;
    run->current_value = value;
    return commit_batch(run);
}

void commit_result_submit(LiveRun *run, StoreBatch *batch, bool may_fail) {
    run->undelivered = true;
    run->may_fail = may_fail;
    if (run->txn) commit_last(run, batch, result_durable);
    else commit_submit(run, batch, result_durable);
}

/* ---- park ------------------------------------------------------------------------------------------------ */

typedef struct ParkView { bool asks, others; int64_t sleep_us; } ParkView;

static ParkView park_view(const LiveRun *run) {
    ParkView view = { .sleep_us = TIME_NEVER };
    for (uint32_t i = 0; i < run->act_count; i++) {
        const Act *act = run->acts[i];
        view.asks |= live_asks(act);
        view.others |= act->effect->kind != EFFECT_SLEEP_UNTIL;
        if (act->due_us < view.sleep_us) view.sleep_us = act->due_us;
    }
    return view;
}

static void settled(LiveRun *run) {
    const EngineOptions *options = &run->engine->options;
    run->engine->progress++;
    if (options->on_settled) options->on_settled(&run->row, options->arg);
    live_drop(run);
}

static void parked(LiveRun *run, const StoreResult *result) {
    if (live_failed(run, result->err, &result->error)) return;
    Engine *engine = run->engine;
    ParkView view = park_view(run);
    hot_copy_put(run);
    int64_t deadline = vm_next_deadline(run->vm, NULL), first = view.sleep_us < deadline ? view.sleep_us : deadline;
    engine_note_park(engine, run, view.asks, view.others ? TIME_NEVER : first);
    settled(run);
}

static void put_timers(LiveRun *run, StoreBatch *batch) {
    for (uint32_t i = 0; i < run->act_count; i++)
        if (run->acts[i]->due_us != TIME_NEVER) add_timer(run, batch, run->acts[i]->id, run->acts[i]->due_us);
    int64_t deadline = vm_next_deadline(run->vm, NULL);
    if (deadline != TIME_NEVER) add_timer(run, batch, 0, deadline);
}

void commit_park(LiveRun *run) {
    bool moved = !run->parked_before;                    /* else it was woken for nothing and lies down again as it was */
    bool replays = run->birth && run->row_count <= COMMIT_REPLAY_MAX;    /* from its input it comes to the same place, and has not far to go */
    uint64_t state_seq = run->seq;
    if (run->untold_park_us) record_park(run);
    else if (moved && !replays) record_row(run, JOURNAL_PARKED, NULL);       /* else its waits say so, without a word of when they began */
    StoreBatch *batch = commit_batch(run);
    Submitted *s = submitted(run, batch, parked, true);
    put_timers(run, batch);
    mail_drop_stale(run, batch);
    if (moved && !replays && may_snapshot(run)) put_snapshot(run, batch, state_seq);
    run->row.status = RUN_PARKED;
    update_row(run, batch);
    if (!run->birth) store_release(batch, RUN_PARKED);
    store_submit(batch, on_done, s);
}

/* ---- end ------------------------------------------------------------------------------------------------- */

static void ended(LiveRun *run, const StoreResult *result) {
    if (live_failed(run, result->err, &result->error)) return;
    hot_copy_erase(run);
    run->engine->memory_ended += session_is_unjournalled(run);
    if (run->row.concurrency_key.len || run->row.limit_key.len) run->engine->claim_wanted = true;        /* somebody may wait for its key */
    settled(run);
}

static void end_with(LiveRun *run, RunStatus status, Str result_json) {
    StoreBatch *batch = commit_batch(run);
    clear_timers(run, batch, true);
    for (uint32_t i = 0; i < run->act_count; i++)
        if (run->acts[i]->waits_durably) store_clear_wait(batch, run->acts[i]->id);
    for (Mail *mail = run->mail; mail; mail = mail->next) store_take_mail(batch, mail->row.mail_id);
    run->row.status = status;
    run->row.result_json = result_json;
    run->row.waits_json = (Str){ "[]", 2 };
    run->row.last_seq = run->seq;
    run->row.updated_us = run->row.ended_us = engine_now(run->engine);
    put_row(run, batch);
    if (status == RUN_FAILED) events_retry_handler(run, batch, result_json);
    if (!run->birth) store_release(batch, status);
    store_submit(batch, on_done, submitted(run, batch, ended, true));
}

/* A run that parked while it cleaned up knows of its cancellation only from its row. */
static bool is_cancelled(const LiveRun *run, Value error) {
    return (run->cancelled || run->row.cancel_requested) && error.o && ((Record *)error.o)->fields[ERROR_FIELD_KIND].i == ERROR_KIND_cancelled;
}

void commit_end(LiveRun *run, VmStatus status) {
    Buf text = { 0 };
    RunStatus end = RUN_COMPLETED;
    if (status == VM_DONE) {
        uint16_t type = run->image->funcs[vm_func(run->vm)].result;
        if (run->image->types[type].kind == KIND_VOID) buf_put_text(&text, "null");
        else value_to_json(run->image, type, vm_result(run->vm), &text);
    } else {
        end = is_cancelled(run, vm_error(run->vm)) ? RUN_CANCELLED : RUN_FAILED;
        value_to_json(run->image, TYPE_INDEX_ERROR, vm_error(run->vm), &text);
    }
    end_with(run, end, arena_str(run->arena, buf_str(&text)));
    buf_free(&text);
}

/* Nothing in memory can be trusted here, and the image may be missing: the error is written by hand, in the shape of the others. */
void commit_fail(LiveRun *run, const Error *error) {
    Buf text = { 0 };
    run->failing = true;
    live_roll_back(run);
    run->row_count = 0;
    run->seq = run->row.last_seq;
    buf_put_text(&text, "{\"kind\":\"internal\",\"message\":");
    json_put_string(&text, str_of(error->text));
    buf_put_text(&text, ",\"status\":0,\"code\":\"\",\"retry_after\":null,\"cause\":null,\"undone\":[],\"not_undone\":[],\"at\":\"\"}");
    end_with(run, RUN_FAILED, arena_str(run->arena, buf_str(&text)));
    buf_free(&text);
}
