/* live.c - one run in memory: loaded from what is durable, stepped until it waits for nothing that this process can do, dropped.
 *
 * A step runs the machine to quiescence, takes what it asks for, and then does the first thing that can be done, in this order: what a
 * transaction of its own still asks; cancellation; a deadline that has passed; the oldest request not yet begun; the oldest answer that
 * has come from outside; a sleep that is over; mail. One delivery, and the machine runs again. When nothing is left it parks, or waits for
 * what is under way.
 *
 * Loading is the same in fast motion: deliveries come from the journal instead, each checked against what the machine asks for now. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/time.h"
#include "interpreter/effect/ids.h"
#include "interpreter/sched/engine_internal.h"
#include "interpreter/sched/script_internal.h"

/* ---- small things ------------------------------------------------------------------------------------- */

static uint32_t act_index(const LiveRun *run, uint64_t id) {
    uint32_t low = 0, high = run->act_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (run->acts[middle]->id < id) low = middle + 1; else high = middle;
    }
    return low;
}

Act *live_act(LiveRun *run, uint64_t id) {
    uint32_t i = act_index(run, id);
    return i < run->act_count && run->acts[i]->id == id ? run->acts[i] : NULL;
}

bool live_request(LiveRun *run, uint64_t id, VmRequest *out) { return vm_pending_find(run->vm, id, out); }

uint16_t live_result_type(const Image *image, const ImageEffect *effect) {
    switch (effect->kind) {
    case EFFECT_REMOTE_CALL: return effect->target < image->tool_count ? image->tools[effect->target].result : effect->result;
    case EFFECT_QUERY_READ: case EFFECT_QUERY_WRITE: return effect->target < image->query_count ? image->queries[effect->target].result : effect->result;
    default: return effect->result;
    }
}

Value live_error(LiveRun *run, ErrorKind kind, const char *format, ...) {
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return value_error(run->image, kind, str_of(text));
}

Value live_error_of(LiveRun *run, Err err, const char *text) {
    ErrorKind kind = err == ERR_CONFLICT ? ERROR_KIND_conflict : err == ERR_NOT_FOUND ? ERROR_KIND_not_found : err == ERR_INVALID ? ERROR_KIND_invalid
                   : err == ERR_LIMIT ? ERROR_KIND_rejected : err == ERR_UNSUPPORTED ? ERROR_KIND_rejected : ERROR_KIND_internal;
    return value_error(run->image, kind, str_of(text));
}

/* ---- the requests it waits for -------------------------------------------------------------------------- */

static void remove_act(LiveRun *run, uint32_t i) {
    Act *act = run->acts[i];
    if (act->waits_durably && live_asks(act)) run->waits_stale = run->row.status == RUN_RUNNING;
    if (act->waits_durably && act->effect->kind == EFFECT_AWAIT_EVENT) {
        if (run->old_wait_count == run->old_wait_cap) {
            run->old_wait_cap = run->old_wait_cap ? run->old_wait_cap * 2 : 8;
            run->old_waits = mem_realloc(run->old_waits, run->old_wait_cap * sizeof *run->old_waits);
        }
        run->old_waits[run->old_wait_count++] = act->id;
    }
    perform_cancel(act);
    if (run->spare_act) free(act);
    else run->spare_act = act;
    run->act_count--;
    memmove(&run->acts[i], &run->acts[i + 1], (run->act_count - i) * sizeof *run->acts);
}

static Act *add_act(LiveRun *run, const VmRequest *request) {
    if (run->act_count == run->act_cap) {
        run->act_cap = run->act_cap ? run->act_cap * 2 : 8;
        run->acts = mem_realloc(run->acts, run->act_cap * sizeof *run->acts);
    }
    Act *act = run->spare_act ? run->spare_act : mem_alloc(sizeof *act);
    run->spare_act = NULL;
    *act = (Act){ .run = run, .id = request->id, .fiber = request->fiber, .effect = request->effect, .pending = true, .due_us = TIME_NEVER, .started_us = engine_now(run->engine), .scripted = request->scripted };
    uint32_t i = act_index(run, request->id);
    memmove(&run->acts[i + 1], &run->acts[i], (run->act_count - i) * sizeof *run->acts);
    run->acts[i] = act;
    run->act_count++;
    return act;
}

/* A fiber that was cancelled or whose deadline passed waits no more: what was under way for it is let go. */
static void prune(LiveRun *run) {
    for (uint32_t i = 0; i < run->act_count; i++) run->acts[i]->pending = vm_pending_find(run->vm, run->acts[i]->id, NULL);
    for (uint32_t i = run->act_count; i-- > 0;)
        if (!run->acts[i]->pending) remove_act(run, i);
}

void live_deliver(LiveRun *run, uint64_t id, bool ok, Value value) {
    Act *act = live_act(run, id);
    bool counted = act && kind_is_counted(run->image->types[live_result_type(run->image, act->effect)].kind);
    bool writes = act && !run->txn && (act->effect->kind == EFFECT_QUERY_WRITE || act->effect->kind == EFFECT_TXN_COMMIT);
    if (writes && cache_holds_back(run, id, ok, value, counted)) return;
    if (act) remove_act(run, act_index(run, id));
    if (!ok) vm_raise(run->vm, id, value);
    else if (!vm_resume(run->vm, id, value) && counted) value_release(value);
    run->parked_before = false;
    run->needs_run = true;
    run->engine->progress++;
    engine_ready(run);
}

void live_decline(LiveRun *run, uint64_t id) {
    remove_act(run, act_index(run, id));
    vm_decline(run->vm, id);
    run->parked_before = false;
    run->needs_run = true;
    run->engine->progress++;
    engine_ready(run);
}

/* ---- loading -------------------------------------------------------------------------------------------- */

/* Since when it waited, for the trace: the VM does not know. And which waits stand in the store already. */
static void restore_waits(LiveRun *run) {
    Arena *arena = arena_new();
    const Json *waits = engine_waits(&run->row, arena);
    for (size_t i = 0; waits && i < waits->count; i++) {
        const Json *request = json_get(waits->items[i], "request");
        Act *act = request && request->kind == JSON_INT ? live_act(run, (uint64_t)request->integer) : NULL;
        if (!act) continue;
        if (timestamp_parse(json_get_text(waits->items[i], "since"), &act->started_us)) act->started_us = run->row.started_us;
        act->waits_durably = true;
    }
    arena_free(arena);
}

/* Timer rows that may be there: one for each pending sleep, and one for the deadline. */
static void restore_timers(LiveRun *run) {
    commit_note_timer(run, 0);
    for (uint32_t i = 0; i < run->act_count; i++)
        if (run->acts[i]->effect->kind == EFFECT_SLEEP_UNTIL) commit_note_timer(run, run->acts[i]->id);
}

/* What the store holds for the waits of now, where a park left it. */
static void restore_waiting(LiveRun *run) {
    restore_timers(run);
    restore_waits(run);
}

/* One that parked in its very first commit has neither a snapshot nor a row that says so, and its waits do not say since when (commit_park). */
static bool parked_at_birth(const LiveRun *run, const JournalRow *rows, uint32_t count) {
    Str waits = run->row.waits_json;
    if (run->row.snapshot_seq || waits.len <= 2 || memmem(waits.ptr, waits.len, WAITS_SINCE, sizeof WAITS_SINCE - 1)) return false;
    for (uint32_t i = 0; i < count; i++)
        if (rows[i].entry == JOURNAL_PARKED) return false;
    return true;
}

/* The notes that the journal already holds: what the machine says again must be the same, in the same order. */
typedef struct Replay { LiveRun *run; const JournalRow *rows; uint32_t count, note; bool deviates; } Replay;

static void take_note(LiveRun *run, const VmRequest *request, Replay *replay) {
    if (!replay) { record_row(run, JOURNAL_NOTE, request); return; }
    while (replay->note < replay->count && replay->rows[replay->note].entry != JOURNAL_NOTE) replay->note++;
    if (replay->note == replay->count) record_row(run, JOURNAL_NOTE, request);       /* said, but not durable before the crash */
    else if (replay->rows[replay->note++].request != request->id) replay->deviates = true;
}

static void take_requests(LiveRun *run, Replay *replay) {
    VmRequest request;
    while (vm_next_request(run->vm, &request)) {
        if (request.is_note) take_note(run, &request, replay);
        else if (!live_act(run, request.id)) add_act(run, &request);
    }
}

static void to_quiescence(LiveRun *run, Replay *replay) {
    do {
        run->status = vm_run(run->vm);
        take_requests(run, replay);
    } while (run->status == VM_SLICE_ENDED);
    prune(run);
}

static Err replay_result(LiveRun *run, const JournalRow *row, Error *error) {
    Act *act = live_act(run, row->request);
    if (!act || act->effect->kind != row->effect)
        return err_set(error, ERR_CORRUPT, "cannot resume: journal row %" PRIu64 " answers request %" PRIu64 " (%.*s), which the program does not make", row->seq, row->request, STR_ARG(row->name));
    bool ok = row->entry == JOURNAL_RESULT;
    Reader in = reader_of(row->payload);
    Value value = { 0 };
    Err err = ok && row->effect == EFFECT_PLAN_LOAD ? plan_replay(run, row, &value, error)
            : value_decode(run->image, ok ? live_result_type(run->image, act->effect) : TYPE_INDEX_ERROR, &in, &value, error);
    if (err) return err;
    remove_act(run, act_index(run, row->request));
    if (ok) vm_resume(run->vm, row->request, value); else vm_raise(run->vm, row->request, value);
    return ERR_OK;
}

static Err replay_row(LiveRun *run, const JournalRow *row, bool *delivered, Error *error) {
    Reader in = reader_of(row->payload);
    Act *act;
    *delivered = true;
    switch (row->entry) {
    case JOURNAL_RESULT: case JOURNAL_ERROR: return replay_result(run, row, error);
    case JOURNAL_EXPIRED: vm_expire(run->vm, (uint32_t)read_varint(&in)); return ERR_OK;
    case JOURNAL_LOCAL:
        if ((act = live_act(run, row->request))) remove_act(run, act_index(run, row->request));
        return vm_decline(run->vm, row->request) ? ERR_OK : err_set(error, ERR_CORRUPT, "cannot resume: journal row %" PRIu64 " is of a call that the program does not make", row->seq);
    case JOURNAL_CANCEL: vm_cancel(run->vm, row->payload); run->cancelled = true; return ERR_OK;
    default: break;
    }
    *delivered = false;
    if (row->entry == JOURNAL_PARKED || row->entry == JOURNAL_RESUMED) {
        run->resumed = run->parked_before = row->entry == JOURNAL_PARKED;
        if (run->parked_before && !run->row.snapshot_seq) restore_waiting(run);
    } else if (row->entry == JOURNAL_INTENT) {
        if ((act = live_act(run, row->request))) act->intent = act->in_doubt = true;
    } else if (row->entry == JOURNAL_MODEL) record_meter(run, row);
    else if (row->entry != JOURNAL_NOTE) return err_set(error, ERR_CORRUPT, "cannot resume: journal row %" PRIu64 " is of unknown kind %u", row->seq, row->entry);
    return ERR_OK;
}

static Err replay_rows(LiveRun *run, Replay *replay, Error *error) {
    Err err = ERR_OK;
    for (uint32_t i = 0; i < replay->count && !err; i++) {
        const JournalRow *row = &replay->rows[i];
        bool delivered = false;
        if (row->seq != run->snapshot_at + i + 1) return err_set(error, ERR_CORRUPT, "cannot resume: journal row %" PRIu64 " is missing", run->snapshot_at + i + 1);
        err = replay_row(run, row, &delivered, error);
        if (err || !delivered) continue;
        run->parked_before = run->resumed = false;
        to_quiescence(run, replay);
        if (replay->note < i && replay->rows[replay->note].entry == JOURNAL_NOTE) replay->deviates = true;
        if (replay->deviates) return err_set(error, ERR_CORRUPT, "cannot resume: after journal row %" PRIu64 " the program does not say what it said before", row->seq);
    }
    return err;
}

static void intercept_tools(LiveRun *run) {
    EngineScript *script = run->engine->options.script;
    Arena *arena = script ? arena_new() : NULL;
    for (uint16_t i = 0; script && i < run->image->tool_count; i++) {
        const ImageTool *tool = &run->image->tools[i];
        if (tool->func != NO_INDEX && script_names_tool(script, live_tool_name(run->image, i, arena))) vm_intercept_tool(run->vm, i);
    }
    arena_free(arena);
}

Str live_tool_name(const Image *image, uint16_t tool, Arena *arena) {
    const ImageTool *row = &image->tools[tool];
    if (row->agent == NO_INDEX || memchr(row->name.ptr, '.', row->name.len)) return row->name;
    return str_of(arena_printf(arena, "%.*s.%.*s", STR_ARG(image->agents[row->agent].name), STR_ARG(row->name)));
}

static bool adopt_pending(const VmRequest *request, void *arg) {
    if (!request->is_note && !live_act(arg, request->id)) add_act(arg, request);
    return true;
}

static Err make_vm(LiveRun *run, Str snapshot, uint64_t snapshot_seq, bool found, Error *error) {
    run->base = run->image;
    VmInfo info = { run->row.run_id, run->row.tenant, run->row.user, run->row.func_name, run->row.correlation, run->row.user_name,
                    run->row.causation.len ? run->row.causation : run->row.run_id };
    const VmLimits *limits = &run->engine->options.limits;
    if (run->row.snapshot_seq) {
        if (!found || snapshot_seq != run->row.snapshot_seq) return err_set(error, ERR_CORRUPT, "cannot resume: the snapshot at %" PRIu64 " is missing", run->row.snapshot_seq);
        run->snapshot_at = snapshot_seq;
        Err err = snapshot_decode(run->image, snapshot, &info, snapshot_seq, &run->engine->key, limits, &run->vm, error);
        run->cancelled = !err && vm_cancelled(run->vm);
        if (!err) run->image = vm_image(run->vm);
        return err;
    }
    if (run->row.func >= run->image->func_count) return err_set(error, ERR_CORRUPT, "cannot start: the module has no function %u", run->row.func);
    Value args[FUNC_PARAMS_MAX];
    uint16_t count;
    Err err = start_decode_input(run->image, run->row.func, run->row.input, args, &count, error);
    if (err) return err;
    run->vm = vm_new(run->image, run->row.func, args, &info, limits);
    start_release_args(run->image, run->row.func, args, count);
    return ERR_OK;
}

static Err load(LiveRun *run, const JournalRow *rows, uint32_t count, Str snapshot, uint64_t snapshot_seq, bool found, Error *error) {
    Replay replay = { run, rows, count, 0, false };
    Err err = make_vm(run, snapshot, snapshot_seq, found, error);
    if (err) return err;
    intercept_tools(run);
    run->seq = run->snapshot_at + count;
    if (run->row.snapshot_seq) {
        run->needs_run = true;
        to_quiescence(run, &replay);                     /* nothing moves, but the status is known again */
        vm_pending_each(run->vm, adopt_pending, run);
    } else to_quiescence(run, &replay);
    restore_waiting(run);
    run->needs_run = false;
    err = replay_rows(run, &replay, error);
    if (err || !parked_at_birth(run, rows, count)) return err;
    run->untold_park_us = run->row.started_us;
    run->resumed = run->parked_before = true;
    restore_waiting(run);
    return ERR_OK;
}

/* The claim has changed the row: when it parked, the journal says. */
static bool session_over(const LiveRun *run, const JournalRow *rows, uint32_t count) {
    return run->row.durability == RUN_SESSION_IN_ROWS && run->parked_before && count && rows[count - 1].started_us + SESSION_TTL <= engine_now(run->engine);
}

typedef struct Loading { LiveRun *run; int row, module, snapshot, journal, mail; } Loading;      /* -1: not asked for */

static void on_loaded(const StoreResult *result, void *arg) {
    Loading *l = arg;
    LiveRun *run = l->run;
    Engine *engine = run->engine;
    Error error = { 0 };
    run->busy = false;
    if (run->dead || live_failed(run, result->err, &result->error)) { free(l); live_callback_done(run); return; }
    Err err = ERR_OK;
    if (!run->image && l->module >= 0) {
        bool found;
        Str bytes = store_bytes(result->batch, l->module, NULL, &found);
        err = found ? engine_image_keep(engine, run->row.module_hash, bytes, &run->image, &error)
                    : err_set(&error, ERR_CORRUPT, "cannot resume: module %.*s is missing", STR_ARG(run->row.module_hash));
    }
    uint32_t count, mail_count;
    const JournalRow *rows = store_journal(result->batch, l->journal, &count);
    uint64_t snapshot_seq = 0;
    bool found = false;
    Str snapshot = { 0 };
    if (l->snapshot >= 0) snapshot = store_bytes(result->batch, l->snapshot, &snapshot_seq, &found);
    else if (run->hot_bytes.len) snapshot = run->hot_bytes, snapshot_seq = run->row.snapshot_seq, found = true;
    if (!err && l->row >= 0) run->row.waits_json = arena_str(run->arena, store_runs(result->batch, l->row, &(uint32_t){ 0 })->waits_json);
    if (!err) err = load(run, rows, count, snapshot, snapshot_seq, found, &error);
    if (err && run->hot_bytes.len && !run->vm) {         /* the copy is damaged: the store has the snapshot itself */
        run->hot_bytes = (Str){ 0 };
        run->snapshot_at = 0;
        free(l);
        live_load(run);
        live_callback_done(run);
        return;
    }
    const MailRow *mail = store_mail(result->batch, l->mail, &mail_count);
    if (l->row >= 0) run->row.cancel_requested = store_runs(result->batch, l->row, &(uint32_t){ 0 })->cancel_requested;
    mail_take_in(run, mail, mail_count);
    free(l);
    bool waited = run->row.waits_json.len > 2;           /* a park leaves nothing behind its snapshot */
    if (!err && !run->parked_before && (count || (run->row.snapshot_seq && !waited))) cache_taken_over(run);
    run->row.waits_json = (Str){ "", 0 };
    run->row.last_seq = run->row.snapshot_seq + count;
    if (!err && session_over(run, rows, count)) err = err_set(&error, ERR_NOT_FOUND, "session expired or not found: its last write is a day old");
    if (err) commit_fail(run, &error);
    else {
        run->loaded = true;
        engine_ready(run);
    }
    live_callback_done(run);
}

static void copy_row(LiveRun *run, const RunRow *row) {
    run->row = *row;
    Str *texts[] = { &run->row.tenant, &run->row.run_id, &run->row.module_hash, &run->row.func_name, &run->row.user, &run->row.user_name, &run->row.scopes, &run->row.correlation, &run->row.causation,
                     &run->row.input, &run->row.input_json, &run->row.result_json, &run->row.waits_json, &run->row.concurrency_key, &run->row.limit_key, &run->row.worker };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) *texts[i] = arena_str(run->arena, *texts[i]);
}

static void tell_birth(LiveRun *run, Err err, const Error *error) {
    Birth *birth = run->birth;
    run->birth = NULL;
    birth->done(err, error, run->row.run_id, birth->arg);
}

/* Its lease had ended, and this very worker took the run over; or it was launched twice, and the other start reached the store before this one was on its way. */
static void drop_older(LiveRun *older) {
    Error error;
    if (older->birth && older->callbacks == 0) tell_birth(older, err_set(&error, ERR_CONFLICT, "run `%.*s` exists already", STR_ARG(older->row.run_id)), &error);
    live_drop(older);
}

static LiveRun *new_live(Engine *engine, Store *store, const RunRow *row) {
    LiveRun *older = engine_live_find(engine, row->tenant, row->run_id), *run = mem_alloc(sizeof *run);
    if (older) drop_older(older);
    run->engine = engine;
    run->store = store;
    run->arena = arena_new();
    copy_row(run, row);
    run->row.status = RUN_RUNNING;
    run->row.lease_until_us = engine_lease_until(engine);
    if (run->row.started_us == 0) run->row.started_us = engine_now(engine);
    run->wake_us = TIME_NEVER;
    run->key_len = row->tenant.len + 1 + row->run_id.len;
    run->key = arena_printf(run->arena, "%.*s%c%.*s", STR_ARG(row->tenant), 0, STR_ARG(row->run_id));
    map_put(&engine->live, (Str){ run->key, run->key_len }, run);
    return run;
}

/* There is nothing to read: it begins with its input, and goes as far as it can without anybody outside. Only then its row is put, as it stands by then and with
   all rows so far: what it did until there is as if it had not been, should that commit fail. */
void live_begin(Engine *engine, const RunRow *row, Image *image, const Birth *birth) {
    LiveRun *run = new_live(engine, engine_home(engine, row), row);
    run->image = image;
    run->birth = ARENA_NEW(run->arena, Birth);
    *run->birth = *birth;
    run->birth->rate_key = arena_str(run->arena, birth->rate_key);
    engine_ready(run);
}

static bool begin(LiveRun *run) {
    Error error = { 0 };
    if (make_vm(run, (Str){ 0 }, 0, false, &error)) { commit_fail(run, &error); return false; }
    intercept_tools(run);
    run->loaded = run->needs_run = true;
    if (session_is(run)) commit_flush(run);              /* its store is another one, and may be away */
    return !session_is(run);
}

bool live_born(LiveRun *run, Err err, const Error *error) {
    tell_birth(run, err, error);
    if (!err) return true;
    if (session_is(run) && err == ERR_IO) serve_session_lost(run->engine);
    else if (err == ERR_IO || err == ERR_CRASH) engine_break(run->engine, err, error);
    live_drop(run);
    return false;
}

static void module_came(LiveRun *run, const StoreResult *result) {
    Error error = { 0 };
    bool found;
    if (live_failed(run, result->err, &result->error)) return;
    Str bytes = store_bytes(result->batch, 0, NULL, &found);
    Err err = found ? engine_image_keep(run->engine, run->row.module_hash, bytes, &run->image, &error)
                    : err_set(&error, ERR_CORRUPT, "cannot resume: module %.*s is missing", STR_ARG(run->row.module_hash));
    if (err) commit_fail(run, &error);
    else live_load(run);
}

/* Modules are in the SQL store only. */
static void load_module(LiveRun *run) {
    StoreBatch *batch = store_batch(run->engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    store_get_module(batch, run->row.module_hash);
    commit_read(run, batch, module_came);
}

void live_load(LiveRun *run) {
    Engine *engine = run->engine;
    Image *image = engine_image_cached(engine, run->row.module_hash);
    if (!image && session_is(run)) { load_module(run); return; }
    if (hot_copy_ask(run)) return;
    StoreBatch *batch = store_batch(run->store, run->row.tenant, run->row.run_id, run->row.epoch);
    Loading *l = mem_alloc(sizeof *l);
    *l = (Loading){ run, -1, -1, -1, 0, 0 };
    if (run->reloads) l->row = store_get_run(batch, run->row.run_id);
    if (image) run->image = image;
    else l->module = store_get_module(batch, run->row.module_hash);
    if (run->row.snapshot_seq && !run->hot_bytes.len) l->snapshot = store_get_snapshot(batch);
    l->journal = store_get_journal(batch, run->row.run_id, run->row.snapshot_seq, UINT32_MAX);
    l->mail = store_get_mail(batch, ENGINE_MAIL_MAX);
    run->busy = true;
    run->callbacks++;
    store_submit(batch, on_loaded, l);
}

void live_open(Engine *engine, Store *store, const RunRow *row) { live_load(new_live(engine, store, row)); }

/* A transaction lost against another writer and was rolled back: the run is as its last commit left it. It is loaded from there, after a while
   that grows, so that two who meet again and again part. */
static void reload(LiveRun *run) {
    Engine *engine = run->engine;
    uint32_t reloads = run->reloads + 1;
    if (reloads > ENGINE_RELOADS_MAX) {
        Error error;
        err_set(&error, ERR_LIMIT, "a transaction lost against other writers %d times in a row (ENGINE_RELOADS_MAX)", ENGINE_RELOADS_MAX);
        commit_fail(run, &error);
        return;
    }
    live_drop(run);
    LiveRun *again = new_live(engine, run->store, &run->row);        /* what was dropped stays until the pump frees it */
    int64_t most = reloads < 9 ? ENGINE_RELOAD_AFTER << reloads : ENGINE_RELOAD_MOST;
    again->reloads = reloads;
    again->reload_us = engine->options.virtual_time ? 0 : engine_now(engine) + most / 2 + (int64_t)((double)(most / 2) * ids_random());
    again->wake_us = again->reload_us;
    engine_wake_at(engine, again->wake_us);
    engine_ready(again);
}

/* ---- leaving -------------------------------------------------------------------------------------------- */

static void live_free(LiveRun *run) {
    while (run->act_count) remove_act(run, run->act_count - 1);
    vm_free(run->vm);
    buf_free(&run->parked_bytes);
    free(run->acts), free(run->spare_act), free(run->timers), free(run->old_waits), free(run->written);
    arena_free(run->row_arena);
    arena_free(run->arena);
    free(run);
}

void live_drop(LiveRun *run) {
    if (run->dead) return;
    run->dead = true;
    map_remove(&run->engine->live, (Str){ run->key, run->key_len });
    live_roll_back(run);
    for (uint32_t i = 0; i < run->act_count; i++) perform_cancel(run->acts[i]);
    if (run->birth && run->callbacks == 0) {             /* its row was never on the way */
        Error error = { 0 };
        Err err = engine_broken(run->engine, &error);
        tell_birth(run, err ? err : err_set(&error, ERR_IO, "the engine ended before the run was stored"), &error);
    }
    if (run->callbacks == 0) engine_ready(run);          /* the pump frees it: whoever called may still look at it */
}

void live_roll_back(LiveRun *run) {
    if (!run->txn) return;
    store_txn_rollback(run->txn);
    run->txn = NULL;
    run->engine->open_txns--;
}

void live_callback_done(LiveRun *run) {
    run->callbacks--;
    if (run->dead && run->callbacks == 0) engine_ready(run);
}

/* Fenced: somebody else has the run, which is as it should be. A store that is gone stops the engine; what it had is taken over like after a
   crash. Anything else is this run's own trouble, which must not come again at every resume: it fails, and the others go on. */
bool live_failed(LiveRun *run, Err err, const Error *error) {
    if (err == ERR_OK) return false;
    bool lone = session_is_unjournalled(run);            /* there is nothing to load it from */
    if (err == ERR_BUSY && !run->failing && !lone) { reload(run); return true; }
    bool ours = err != ERR_FENCED && (err != ERR_IO || lone) && err != ERR_CRASH && !run->failing;
    if (session_is(run) && !lone && err == ERR_IO) serve_session_lost(run->engine);
    else if (err == ERR_IO || err == ERR_CRASH) engine_break(run->engine, err, error);
    if (ours) commit_fail(run, error);
    else live_drop(run);
    return true;
}

static void renewed(const StoreResult *result, void *arg) {
    LiveRun *run = arg;
    if (!run->dead && (result->err == ERR_FENCED || result->err == ERR_IO || result->err == ERR_CRASH)) live_failed(run, result->err, &result->error);
    live_callback_done(run);
}

void live_renew(LiveRun *run, int64_t until_us) {
    if (session_is_unjournalled(run) || run->birth) return;
    StoreBatch *batch = store_batch(run->store, run->row.tenant, run->row.run_id, run->row.epoch);
    run->row.lease_until_us = until_us;
    store_renew(batch, until_us);
    run->callbacks++;
    store_submit(batch, renewed, run);
}

/* ---- a step --------------------------------------------------------------------------------------------- */

static void expired(LiveRun *run, const StoreResult *result) {
    if (live_failed(run, result->err, &result->error)) return;
    vm_expire(run->vm, run->scope);
    run->parked_before = false;
    run->needs_run = true;
    run->engine->progress++;
    engine_ready(run);
}

static void expire(LiveRun *run, uint32_t scope) {
    record_resumed(run);
    JournalRow *row = record_row(run, JOURNAL_EXPIRED, NULL);
    char *bytes = arena_alloc(run->row_arena, 16);
    Buf text = { 0 };
    buf_put_varint(&text, scope);
    memcpy(bytes, text.ptr, text.len);
    row->payload = (Str){ bytes, text.len };
    buf_free(&text);
    run->scope = scope;
    run->undelivered = true;
    commit_submit(run, commit_batch(run), expired);
}

static Act *first_in(const LiveRun *run, ActState state) {
    for (uint32_t i = 0; i < run->act_count; i++)
        if (run->acts[i]->state == state) return run->acts[i];
    return NULL;
}

/* In a transaction only its own fiber goes on: what others ask waits for its end. */
static bool step_in_txn(LiveRun *run) {
    for (uint32_t i = 0; i < run->act_count; i++)
        if (run->acts[i]->state == ACT_QUEUED && run->acts[i]->fiber == run->txn_fiber) { perform(run, run->acts[i]); return true; }
    Error error;
    err_set(&error, ERR_CORRUPT, "a transaction waits for something else than its tables");
    commit_fail(run, &error);
    return true;
}

static bool step_sleeper(LiveRun *run, int64_t now) {
    for (uint32_t i = 0; i < run->act_count; i++) {
        Act *act = run->acts[i];
        if (act->due_us > now) continue;
        if (act->state == ACT_PARKED) {
            record_result(run, act->id, true, (Value){ 0 });             /* rides: a sleep that is over stays over */
            live_deliver(run, act->id, true, (Value){ 0 });
            return true;
        }
        if (act->state == ACT_STARTED) { act->state = ACT_ANSWERED; act->due_us = TIME_NEVER; engine_ready(run); return true; }
    }
    return false;
}

static void step_answer(LiveRun *run, Act *act) {
    Value value = act->answer;
    act->answer.w = 0;
    act->answer_counted = false;
    act->state = ACT_STARTED;                            /* the value is the commit's now */
    act->due_us = TIME_NEVER;
    bool heard = act->report || act->effect->kind == EFFECT_LLM_STREAM;  /* it has cost money, or somebody has heard it */
    record_model(run, act);
    if (!act->intent && !heard) {                        /* a call with a key: its row rides until something could follow from it outside */
        uint64_t id = act->id;
        bool ok = act->ok;
        record_result(run, id, ok, value);
        live_deliver(run, id, ok, value);
        return;
    }
    StoreBatch *batch = commit_result(run, act->id, act->ok, value);
    if (batch) commit_result_submit(run, batch, false);
}

static int64_t next_wake(LiveRun *run) {
    int64_t wake = vm_next_deadline(run->vm, NULL);
    for (uint32_t i = 0; i < run->act_count; i++)
        if (run->acts[i]->due_us < wake) wake = run->acts[i]->due_us;
    return wake;
}

static void step_idle(LiveRun *run, int64_t now) {
    run->wake_us = next_wake(run);
    engine_wake_at(run->engine, run->wake_us);
    bool short_sleep = session_is_unjournalled(run) || (!run->engine->options.virtual_time && run->wake_us < now + ENGINE_SHORT_SLEEP);
    if (!first_in(run, ACT_STARTED) && !short_sleep) { commit_park(run); return; }
    if (run->birth || run->row_count || commit_waits_changed(run)) commit_flush(run);      /* what waits is durable: a crash while it waits changes nothing */
}

static void decide(LiveRun *run) {
    int64_t now = engine_now(run->engine);
    uint32_t scope;
    Act *act;
    if (run->txn || run->told_count) { step_in_txn(run); return; }
    if (mail_step(run, true)) return;
    if (vm_next_deadline(run->vm, &scope) <= now) { expire(run, scope); return; }
    if (run->row_count >= ENGINE_ROWS_MAX) { commit_flush(run); return; }        /* one that only reads and asks the time must not grow with its age */
    if ((act = first_in(run, ACT_QUEUED))) { perform(run, act); return; }
    if ((act = first_in(run, ACT_ANSWERED))) { step_answer(run, act); return; }
    if (step_sleeper(run, now) || mail_step(run, false)) return;
    step_idle(run, now);
}

static void mail_came(LiveRun *run, const StoreResult *result) {
    if (live_failed(run, result->err, &result->error)) return;
    uint32_t count;
    const MailRow *rows = store_mail(result->batch, 0, &count);
    mail_take_in(run, rows, count);
    engine_ready(run);
}

void live_step(LiveRun *run) {
    if (run->dead && run->callbacks == 0) { live_free(run); return; }
    if (run->dead || run->busy || run->failing) return;
    if (!run->loaded && run->birth) {
        if (!begin(run)) return;
    } else if (!run->loaded) {
        if (run->reloads && engine_now(run->engine) >= run->reload_us) run->wake_us = TIME_NEVER, live_load(run);
        return;
    }
    run->wake_us = TIME_NEVER;
    if (run->needs_run) {
        run->status = vm_run(run->vm);
        engine_tick(run->engine);                        /* that may have been a long computation */
        take_requests(run, NULL);
        if (run->status == VM_SLICE_ENDED) {             /* what it has learned should not wait for the end of a long computation */
            if ((run->birth || run->row_count) && !run->txn) commit_flush(run); else engine_ready(run);
            return;
        }
        run->needs_run = false;
        prune(run);
    }
    if (run->status == VM_DONE || run->status == VM_FAILED) {
        live_roll_back(run);
        commit_end(run, run->status);
    } else if (run->mail_wanted && !run->birth && !run->txn && !run->told_count) {
        run->mail_wanted = false;
        StoreBatch *batch = store_batch(run->store, run->row.tenant, run->row.run_id, run->row.epoch);
        store_get_mail(batch, ENGINE_MAIL_MAX);
        commit_read(run, batch, mail_came);
    } else decide(run);
}
