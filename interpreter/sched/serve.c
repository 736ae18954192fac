/* serve.c - the worker's loop: it does what there is to do, and sleeps while there is nothing.
 *
 * Nothing is polled. The worker sleeps in the event loop until the store calls (another process left work), HTTP answers, or the earliest
 * known time comes: a timer of a parked run or the end of another worker's lease (one question to the store after each claim), a wake-up in
 * memory, the renewal of its own leases. Since a call may be lost with the process that was to make it, a worker also looks once in the
 * length of a lease without being told to.
 *
 * A store with a server may go away. What was under way has an unknown outcome then: the runs concerned are dropped from memory, and when
 * the server is back the worker asks which runs the store says it holds, and claims those that do not live here again, with a new epoch. */
#include <event2/event.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/time.h"
#include "interpreter/sched/engine_internal.h"
#include "interpreter/sched/events_internal.h"

/* ---- what is told of a worker -------------------------------------------------------------------------------- */

void serve_log(Engine *engine, const char *event, const char *format, ...) {
    if (!engine->options.on_log) return;
    Buf line = { 0 };
    char more[ERROR_TEXT_MAX + 64] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(more, sizeof more, format, args);
    va_end(args);
    buf_put_text(&line, "{\"time\":\"");
    timestamp_print(engine_now(engine), &line);
    buf_put_text(&line, "\",\"worker\":");
    json_put_string(&line, str_of(engine->worker));
    buf_printf(&line, ",\"event\":\"%s\"%s}", event, more);
    engine->options.on_log(buf_str(&line), engine->options.arg);
    buf_free(&line);
}

/* ---- times ----------------------------------------------------------------------------------------------------- */

void serve_timer(Engine *engine, int64_t due_us) {
    if (due_us < engine->due_us) engine->due_us = due_us;
}

int64_t serve_renew(Engine *engine) {
    int64_t now = engine_now(engine);
    if (now < engine->renew_us) return engine->renew_us;
    engine->renew_us = now + engine_lease(engine) / 3;
    MAP_EACH(&engine->live, entry) live_renew(entry->value, engine_lease_until(engine));
    return engine->renew_us;
}

static void on_call(void *arg) {
    Engine *engine = arg;
    engine->claim_wanted = engine->called = engine->outbox_dirty = true;
    engine->outbox_until_us = engine_now(engine) + 3 * events_republish_us(engine);
    if (engine->options.on_call) engine->options.on_call(engine->options.arg);
}

/* ---- claims ---------------------------------------------------------------------------------------------------- */

static void open_claimed(Engine *engine, Store *store, const StoreBatch *batch, int index) {
    uint32_t count, taken = store_taken_over(batch, index);
    const RunRow *rows = store_runs(batch, index, &count);
    for (uint32_t i = 0; i < count; i++) live_open(engine, store, &rows[i]);
    if (taken) serve_log(engine, "takeover", ",\"runs\":%u", taken);
    engine->progress += count;
}

typedef struct Claim { Engine *engine; int runs, next; uint32_t wanted; } Claim;

static void claimed(const StoreResult *result, void *arg) {
    Claim *claim = arg;
    Engine *engine = claim->engine;
    engine->claiming = false;
    if (result->err) {
        engine_break(engine, result->err, &result->error);
        engine->claim_wanted = true;
    } else {
        uint32_t count;
        store_runs(result->batch, claim->runs, &count);
        open_claimed(engine, engine->store, result->batch, claim->runs);
        serve_timer(engine, store_time(result->batch, claim->next));
        int64_t soonest = engine_now(engine) + ENGINE_RETRY;
        if (store_claim_more(result->batch, claim->runs)) {
            if (count) engine->claim_wanted = true;
            else serve_timer(engine, soonest);
        }
        if (count == 0 && engine->due_us < soonest) engine->due_us = soonest;    /* another worker is about to have it */
    }
    free(claim);
}

static void claim(Engine *engine) {
    uint32_t room = engine_live_max(engine) - engine->live.count;
    Claim *claim = mem_alloc(sizeof *claim);
    StoreBatch *batch = store_batch(engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    *claim = (Claim){ .engine = engine, .wanted = room < ENGINE_CLAIM_MAX ? room : ENGINE_CLAIM_MAX };
    claim->runs = store_claim(batch, str_of(engine->worker), engine_now(engine), engine_lease(engine), claim->wanted, (Str){ "", 0 });
    claim->next = store_next_claim(batch, str_of(engine->worker));
    engine->claim_wanted = false;
    engine->claiming = true;
    engine->due_us = TIME_NEVER;
    store_submit(batch, claimed, claim);
}

/* Session runs want workers too. Their leases are not asked about: those end within the next look. */
static void sessions_claimed(const StoreResult *result, void *arg) {
    Claim *claim = arg;
    Engine *engine = claim->engine;
    uint32_t count = 0;
    engine->session_claiming = false;
    if (result->err) serve_session_lost(engine);
    else {
        if (engine->session_lost) serve_log(engine, "recovered", ",\"what\":\"sessions\"");
        engine->session_lost = false;
        store_runs(result->batch, claim->runs, &count);
        open_claimed(engine, engine->sessions, result->batch, claim->runs);
        int64_t due = store_time(result->batch, claim->next), soonest = engine_now(engine) + ENGINE_RETRY;
        serve_timer(engine, count == 0 && due < soonest ? soonest : due);
        if (count == claim->wanted) engine->claim_wanted = true;
    }
    free(claim);
}

static void claim_sessions(Engine *engine) {
    if (!engine->sessions || engine->session_claiming) return;
    Claim *claim = mem_alloc(sizeof *claim);
    StoreBatch *batch = store_batch(engine->sessions, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    *claim = (Claim){ .engine = engine, .wanted = ENGINE_CLAIM_MAX };
    claim->runs = store_claim(batch, str_of(engine->worker), engine_now(engine), engine_lease(engine), claim->wanted, (Str){ "", 0 });
    claim->next = store_next_due(batch);
    engine->session_claiming = true;
    store_submit(batch, sessions_claimed, claim);
}

void serve_session_lost(Engine *engine) {
    if (!engine->session_lost) serve_log(engine, "degraded", ",\"what\":\"sessions\"");
    engine->session_lost = true;
}

static void claim_if_wanted(Engine *engine) {
    int64_t now = engine_now(engine);
    if (now >= engine->due_us || now >= engine->look_us) engine->claim_wanted = true;
    if (now >= engine->look_us) {
        engine->look_us = now + (store_calls(engine->store) ? engine_lease(engine) : ENGINE_POLL);
        engine->called = engine->outbox_dirty = true;
        int64_t round = now + events_republish_us(engine);       /* subscriptions and letters, too, once */
        if (engine->outbox_until_us < round) engine->outbox_until_us = round;
        if (engine->options.on_call) engine->options.on_call(engine->options.arg);
    }
    if (!engine->claim_wanted || engine->claiming || engine->live.count >= engine_live_max(engine)) return;
    claim(engine);
    claim_sessions(engine);
    engine_claim_memory(engine, (Str){ "", 0 }, (Str){ "", 0 }, &(uint32_t){ 0 });
}

/* ---- mail for runs that live here, from other processes ---------------------------------------------------------- */

static void calls_came(const StoreResult *result, void *arg) {
    Engine *engine = arg;
    uint32_t count = 0;
    engine->calls_read = false;
    if (result->err) { engine_break(engine, result->err, &result->error); engine->called = true; return; }
    const RunRow *rows = store_runs(result->batch, 0, &count);
    for (uint32_t i = 0; i < count; i++) {
        LiveRun *run = engine_live_find(engine, rows[i].tenant, rows[i].run_id);
        if (run) run->mail_wanted = true, engine_ready(run);
    }
}

static void read_calls(Engine *engine) {
    if (!engine->called || engine->calls_read) return;
    engine->called = false;
    if (engine->live.count == 0) return;
    MAP_EACH(&engine->live, entry) {
        LiveRun *run = entry->value;
        if (session_is(run) && run->loaded) run->mail_wanted = true, engine_ready(run);
    }
    StoreBatch *batch = store_batch(engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    store_list_runs(batch, &(RunFilter){ .any_tenant = true, .status = -1, .worker = str_of(engine->worker), .called = true });
    engine->calls_read = true;
    store_submit(batch, calls_came, engine);
}

/* ---- after an outage ----------------------------------------------------------------------------------------------- */

Err serve_reclaim(Engine *engine, Error *error) {
    StoreBatch *batch = store_batch(engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    int index = store_list_runs(batch, &(RunFilter){ .any_tenant = true, .status = -1, .worker = str_of(engine->worker) });
    Err err = store_run_batch(batch, error);
    uint32_t count = 0, taken = 0;
    const RunRow *rows = err ? NULL : store_runs(batch, index, &count);
    for (uint32_t i = 0; i < count && !err; i++) {
        if (engine_live_find(engine, rows[i].tenant, rows[i].run_id)) continue;
        StoreBatch *again = store_batch(engine->store, rows[i].tenant, (Str){ "", 0 }, 0);
        int claim = store_claim_again(again, str_of(engine->worker), engine_now(engine), engine_lease(engine), rows[i].run_id);
        err = store_run_batch(again, error);
        if (!err) open_claimed(engine, engine->store, again, claim), taken++;
        store_batch_free(again);
    }
    store_batch_free(batch);
    if (!err) {
        engine->orphans = false;
        engine->claim_wanted = engine->called = engine->outbox_dirty = true;
        serve_log(engine, "recovered", ",\"runs\":%u", taken);
    }
    return err;
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

static bool may_give_back(const LiveRun *run) {
    if (run->busy || run->dead || run->birth || run->txn || run->failing || session_is_unjournalled(run)) return false;       /* it has nobody to be given to: it may end by itself */
    for (uint32_t i = 0; i < run->act_count; i++)
        if (run->acts[i]->http) return false;
    return true;
}

static void given_back(const StoreResult *result, void *arg) {
    LiveRun *run = arg;
    run->busy = false;
    if (!run->dead) live_drop(run);
    live_callback_done(run);
}

/* Whoever comes next need not wait for the end of our leases. What was learned and is not durable goes along. */
void serve_give_back(LiveRun *run) {
    if (!may_give_back(run)) return;
    StoreBatch *batch = run->loaded ? commit_batch(run) : store_batch(run->store, run->row.tenant, run->row.run_id, run->row.epoch);
    store_release(batch, RUN_READY);
    run->busy = true;
    run->callbacks++;
    store_submit(batch, given_back, run);
}

static bool stopped(Engine *engine) {
    if (!engine->stopping) return false;
    if (!engine->stop_us) {
        engine->stop_us = engine_now(engine) + ENGINE_STOP_WAIT;
        serve_log(engine, "stopping", ",\"live\":%u", engine->live.count);
    }
    MAP_EACH(&engine->live, entry) serve_give_back(entry->value);
    return engine->live.count == 0 || engine_now(engine) >= engine->stop_us;
}

static void on_signal(evutil_socket_t number, short what, void *arg) {
    Engine *engine = arg;
    if (engine->stopping) _exit(128 + (int)number);      /* whoever asks twice does not want to wait; nothing acknowledged is lost */
    engine_stop(engine);
}

void engine_stop(Engine *engine) {
    engine->stopping = true;
    event_active(engine->timer, EV_TIMEOUT, 0);          /* the loop may sleep for long */
}

/* ---- the loop ---------------------------------------------------------------------------------------------------------- */

static int64_t next_time(Engine *engine) {
    int64_t times[] = { engine->wake_us, engine->due_us, engine->look_us, engine->live.count ? engine->renew_us : TIME_NEVER, engine->stop_us ? engine->stop_us : TIME_NEVER };
    int64_t next = TIME_NEVER;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (times[i] < next) next = times[i];
    return next;
}

static Err serve(Engine *engine, Error *error) {
    for (;;) {
        engine_wake_due(engine);
        bool moved = engine_step(engine);
        if (engine->broken) return engine_broken(engine, error);
        if (stopped(engine)) return ERR_OK;
        if (engine->orphans && store_is_up(engine->store)) serve_reclaim(engine, NULL);
        if (!engine->stopping) claim_if_wanted(engine);
        read_calls(engine);
        serve_renew(engine);
        store_flush(engine->store);
        if (engine->sessions) store_flush(engine->sessions);
        if (engine->memory) store_flush(engine->memory);
        if (moved && !engine->ready_first) continue;     /* nothing is left, most likely: one more look at what the callbacks wanted, then it sleeps */
        engine_wait(engine, engine->ready_first ? 0 : next_time(engine));
    }
}

Err engine_serve(Engine *engine, Error *error) {
    static const int SIGNALS[] = { SIGTERM, SIGINT };
    struct event *signals[2] = { NULL, NULL };
    for (size_t i = 0; i < 2 && engine->options.stop_on_signals; i++) {
        signals[i] = evsignal_new(engine->loop, SIGNALS[i], on_signal, engine);
        event_add(signals[i], NULL);
    }
    engine->stopping = false;
    engine->stop_us = engine->look_us = engine->renew_us = 0;
    store_on_wake(engine->store, on_call, engine);
    if (engine->sessions) store_on_wake(engine->sessions, on_call, engine);
    serve_log(engine, "start", ",\"store\":\"%s\",\"llm\":\"%s\",\"concurrency\":%u", store_kind(engine->store), engine->llm ? "main" : "rules", engine_live_max(engine));
    Err err = events_serve(engine, error);
    if (!err) err = serve(engine, error);
    events_rest(engine);
    store_on_wake(engine->store, NULL, NULL);
    if (engine->sessions) store_on_wake(engine->sessions, NULL, NULL);
    serve_log(engine, "stop", ",\"live\":%u", engine->live.count);
    for (size_t i = 0; i < 2; i++)
        if (signals[i]) event_free(signals[i]);
    return err;
}
