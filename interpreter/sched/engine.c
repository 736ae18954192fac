/* engine.c - the engine's life and its loops.
 *
 * One thread, one libevent loop. Live runs that can go on stand in the ready list; the pump steps them and flushes the store until nothing
 * moves, so that all runs that commit at the same time share one commit. Everything else (HTTP, timers) comes from the loop between pumps.
 *
 * With virtual time nothing ever waits: time stands still while there is work, and moves, when it is told to, straight to what is due next. */
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/time.h"
#include "interpreter/effect/ids.h"
#include "interpreter/effect/plan.h"
#include "interpreter/sched/engine_internal.h"

static void on_timer(evutil_socket_t fd, short what, void *arg) { (void)fd, (void)what, (void)arg; }      /* it only wakes the loop */

/* A step is over in microseconds, and what it records is told as one moment. */
int64_t engine_now(const Engine *engine) { return engine->options.virtual_time ? engine->virtual_now : engine->stepping ? engine->step_us : clock_now(); }
void engine_tick(Engine *engine) { engine->step_us = clock_now(); }
struct event_base *engine_loop(Engine *engine) { return engine->loop; }
HttpClient *engine_http(Engine *engine) { return engine->http; }
Store *engine_store(Engine *engine) { return engine->store; }
Hot *engine_hot(Engine *engine) { return engine->hot; }

void engine_set_identity(Engine *engine, Identity *(*find)(void *arg), void *arg) {
    engine->find_identity = find;
    engine->find_identity_arg = arg;
}

/* Virtual time jumps by months: leases that count in it would end under the feet of runs that are well. They are given back at open instead. */
int64_t engine_lease(const Engine *engine) {
    if (engine->options.virtual_time && !engine->options.lease_us) return INT64_MAX / 4;
    return engine->options.lease_us ? engine->options.lease_us : ENGINE_LEASE;
}
int64_t engine_lease_until(const Engine *engine) { return engine_now(engine) + engine_lease(engine); }

uint32_t engine_live_max(const Engine *engine) { return engine->options.concurrency ? engine->options.concurrency : ENGINE_LIVE_MAX; }
bool engine_has_server(const Engine *engine) { return strcmp(store_kind(engine->store), "sqlite") != 0; }

/* A server comes back: what it was asked when it went has an unknown outcome, and is found out then. Any other store that fails is gone. */
void engine_break(Engine *engine, Err err, const Error *error) {
    if (engine->broken) return;
    if (err == ERR_BUSY) { engine->outbox_dirty = engine->claim_wanted = true; return; }         /* a race was lost: the same again */
    if (err == ERR_IO && engine_has_server(engine)) {
        engine->outbox_dirty = true;
        if (!engine->orphans) serve_log(engine, "degraded", ",\"live\":%u", engine->live.count);
        engine->orphans = true;
        return;
    }
    engine->broken = err;
    if (error) engine->broken_error = *error;
    engine->broken_error.code = err;
}

Err engine_broken(const Engine *engine, Error *error) {
    if (engine->broken && error) *error = engine->broken_error;
    return engine->broken;
}

/* ---- life --------------------------------------------------------------------------------------------------- */

/* "host-pid.N": a later process on this host sees whether it still lives; two engines of one process are two workers. */
static void name_worker(Engine *engine) {
    static unsigned engines;
    char host[64] = "";
    if (gethostname(host, sizeof host - 1)) snprintf(host, sizeof host, "localhost");
    if (engine->options.worker) snprintf(engine->worker, sizeof engine->worker, "%s", engine->options.worker);
    else snprintf(engine->worker, sizeof engine->worker, "%s-%ld.%u", host, (long)getpid(), ++engines);
}

/* A worker of this host whose process is gone needs no lease any more. Where pids lie (other pid namespaces), the epoch still fences. */
static bool is_gone(const Engine *engine, Str worker) {
    if (engine->options.virtual_time) return engine->options.lease_us == 0;      /* nobody else works on a store of virtual time, unless leases count there */
    const char *dash = memrchr(worker.ptr, '-', worker.len);
    char host[64] = "";
    if (!dash || gethostname(host, sizeof host - 1)) return false;
    if ((size_t)(dash - worker.ptr) != strlen(host) || memcmp(worker.ptr, host, strlen(host)) != 0) return false;
    long pid = strtol(dash + 1, NULL, 10);
    return pid > 0 && pid != (long)getpid() && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* A connection that is waited for, answers, and is waited for again, step by step: the kernel need not hear of each change between two sleeps. */
static struct event_base *new_loop(void) {
    struct event_config *config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    struct event_base *loop = event_base_new_with_config(config);
    event_config_free(config);
    return loop ? loop : event_base_new();
}

typedef struct TakeOver { Err err; Error error; } TakeOver;

static void lease_ended(const StoreResult *result, void *arg) {
    TakeOver *all = arg;
    if (!result->err || result->err == ERR_FENCED || all->err) return;       /* fenced: somebody else took it first */
    all->err = result->err;
    all->error = result->error;
}

/* The leases end in as few commits as the store makes of them: thousands of runs may have been under way. */
static Err take_over(Engine *engine, Store *store, Error *error) {
    StoreBatch *batch = store_batch(store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    int index = store_list_runs(batch, &(RunFilter){ .any_tenant = true, .status = RUN_RUNNING });
    Err err = engine_sync(engine, batch, error);
    uint32_t count = 0;
    const RunRow *rows = err ? NULL : store_runs(batch, index, &count);
    TakeOver all = { 0 };
    for (uint32_t i = 0; i < count; i++) {
        if (!is_gone(engine, rows[i].worker)) continue;
        StoreBatch *release = store_batch(store, rows[i].tenant, rows[i].run_id, rows[i].epoch);
        store_renew(release, 0);                         /* its lease ends now; a claim takes it, and waits for what its worker may have under way still */
        store_submit(release, lease_ended, &all);
    }
    while (store_busy(store)) store_wait(store);
    if (all.err && error) *error = all.error;
    store_batch_free(batch);
    return err ? err : all.err;
}

Err engine_open(const EngineOptions *options, Engine **out, Error *error) {
    Engine *engine = mem_alloc(sizeof *engine);
    engine->options = *options;
    engine->virtual_now = options->virtual_start_us;
    engine->park_arena = arena_new();
    engine->outbox_dirty = engine->claim_wanted = true;
    engine->wake_us = engine->due_us = TIME_NEVER;
    name_worker(engine);
    engine->loop = new_loop();
    engine->timer = event_new(engine->loop, -1, 0, on_timer, engine);
    engine->http = http_client_new(engine->loop);
    engine->credentials = credentials_new();
    llm_open(engine);
    StoreOptions store_options = { .loop = engine->loop };
    Err err = store_open(options->store_url, &store_options, &engine->store, error);
    if (!err && options->redis_url && options->redis_url[0]) err = store_open(options->redis_url, &store_options, &engine->sessions, error);
    if (!err) err = hot_open(options->redis_url, engine->store, engine->loop, &engine->hot, error);
    if (!err) {
        store_snapshot_key(engine->store, &engine->key.id, engine->key.bytes);
        err = take_over(engine, engine->store, error);
        if (!err && engine->sessions && take_over(engine, engine->sessions, NULL)) serve_session_lost(engine);
    }
    if (err) { engine_close(engine); return err; }
    *out = engine;
    return ERR_OK;
}

void engine_close(Engine *engine) {
    if (!engine) return;
    if (engine->store && !engine->broken) {
        engine_settle(engine);
        MAP_EACH(&engine->live, entry) serve_give_back(entry->value);
        engine_settle(engine);
    }
    MAP_EACH(&engine->live, entry) live_drop(entry->value);
    if (engine->store) engine_settle(engine);            /* callbacks that are due, and then the runs themselves */
    hot_close(engine->hot);
    engine->hot = NULL;
    cache_close(engine);
    store_close(engine->sessions);
    store_close(engine->memory);
    store_close(engine->store);
    while (engine->ready_first) {
        LiveRun *run = engine->ready_first;
        engine->ready_first = run->ready_next;
        live_step(run);
    }
    llm_client_free(engine->llm);
    http_client_free(engine->http);
    credentials_free(engine->credentials);
    MAP_EACH(&engine->images, entry) {
        free((char *)entry->key.ptr);
        image_free(entry->value);
    }
    cache_free(engine);
    map_free(&engine->images);
    scopes_free(engine);
    planner_free(engine->planner);
    map_free(&engine->live);
    arena_free(engine->park_arena);
    event_free(engine->timer);
    event_base_free(engine->loop);
    free(engine);
}

/* ---- modules ------------------------------------------------------------------------------------------------- */

Image *engine_image_cached(Engine *engine, Str hash_hex) { return map_find(&engine->images, hash_hex); }

Err engine_image_keep(Engine *engine, Str hash_hex, Str bytes, Image **out, Error *error) {
    char hash[SHA256_HEX + 1];
    if ((*out = engine_image_cached(engine, hash_hex))) return ERR_OK;   /* several runs asked for it at the same time */
    Err err = image_decode(bytes, out, error);
    if (err) return err;
    hex_encode((*out)->hash.bytes, SHA256_BYTES, hash);
    if (!str_eq(str_of(hash), hash_hex)) {
        image_free(*out);
        return err_set(error, ERR_CORRUPT, "module %.*s holds other bytes than its name says", STR_ARG(hash_hex));
    }
    char *key = mem_strdup(hash);
    map_put(&engine->images, str_of(key), *out);
    return ERR_OK;
}

Err engine_image(Engine *engine, Str hash_hex, Image **out, Error *error) {
    if ((*out = engine_image_cached(engine, hash_hex))) return ERR_OK;
    StoreBatch *batch = store_batch(engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    int index = store_get_module(batch, hash_hex);
    Err err = engine_sync(engine, batch, error);
    bool found = false;
    Str bytes = err ? (Str){ 0 } : store_bytes(batch, index, NULL, &found);
    if (!err && !found) err = err_set(error, ERR_NOT_FOUND, "no module %.*s: it was not deployed", STR_ARG(hash_hex));
    if (!err) err = engine_image_keep(engine, hash_hex, bytes, out, error);
    store_batch_free(batch);
    return err;
}

/* ---- live runs --------------------------------------------------------------------------------------------------- */

LiveRun *engine_live_find(Engine *engine, Str tenant, Str run_id) {
    Buf key = { 0 };
    buf_put_str(&key, tenant);
    buf_put_char(&key, 0);
    buf_put_str(&key, run_id);
    LiveRun *run = map_find(&engine->live, buf_str(&key));
    buf_free(&key);
    return run;
}

bool engine_is_live(Engine *engine, Str tenant, Str run_id) { return engine_live_find(engine, tenant, run_id) != NULL; }

void engine_ready(LiveRun *run) {
    if (run == run->engine->stepping) { run->engine->steps_again = true; return; }
    if (run->ready) return;
    run->ready = true;
    run->ready_next = NULL;
    if (run->engine->ready_last) run->engine->ready_last->ready_next = run; else run->engine->ready_first = run;
    run->engine->ready_last = run;
}

void engine_note_park(Engine *engine, const LiveRun *run, bool asks, int64_t jump_us) {
    if (!asks && jump_us == TIME_NEVER) return;
    if (!engine->options.virtual_time && !engine->options.on_question) return;
    ParkNote *note = ARENA_NEW(engine->park_arena, ParkNote);
    *note = (ParkNote){ engine->parks, arena_str(engine->park_arena, run->row.tenant), arena_str(engine->park_arena, run->row.run_id), asks, jump_us };
    engine->parks = note;
}

/* What can go on does so at once, for a few steps: its memory is in the processor's caches now, and would not be after a thousand others. */
static void step_run(Engine *engine, LiveRun *run) {
    int steps = 0;
    assert(!engine->stepping);                           /* no step lies below another */
    engine->stepping = run;
    do {
        engine->steps_again = false;
        engine_tick(engine);
        if (engine->broken && !run->dead) live_drop(run);                /* is stepped again, to be freed */
        else live_step(run);
    } while (engine->steps_again && ++steps < ENGINE_STEPS_AT_ONCE);
    engine->stepping = NULL;
    if (engine->steps_again) engine_ready(run);
}

static void fetch_lines(const void *at, size_t size) {
    enum { CACHE_LINE = 64 };
    for (size_t k = 0; k < size; k += CACHE_LINE) __builtin_prefetch((const char *)at + k);
}

/* With a thousand runs a step begins on memory that no cache has, and each thing in it says where the next one lies. So while a run is stepped those behind it
   are fetched: of the fourth the run, of the third its machine, of the second its main fiber, of the first that fiber's registers. */
static void fetch_ahead(const LiveRun *first) {
    const LiveRun *second = first ? first->ready_next : NULL, *third = second ? second->ready_next : NULL;
    if (!third) return;
    if (third->ready_next) fetch_lines(third->ready_next, offsetof(LiveRun, arena));
    if (third->vm) vm_fetch(third->vm, 0);
    if (second->vm) vm_fetch(second->vm, 1);
    if (first->vm) vm_fetch(first->vm, 2);
}

/* The callbacks of what came in come before the runs, so that an answer and what follows from it are one turn. */
static bool pump_once(Engine *engine) {
    bool moved = false;
    store_call_back(engine->store);
    if (engine->sessions) store_call_back(engine->sessions);
    if (engine->memory) store_call_back(engine->memory);
    LiveRun *last = engine->ready_last;                  /* those that become ready meanwhile have their turn after the flush */
    while (engine->ready_first) {
        LiveRun *run = engine->ready_first;
        engine->ready_first = run->ready_next;
        if (!engine->ready_first) engine->ready_last = NULL;
        run->ready = false;
        moved = true;
        bool at_end = run == last;
        fetch_ahead(engine->ready_first);
        step_run(engine, run);
        if (at_end) break;
    }
    if (!engine->broken) events_dispatch(engine);
    store_flush(engine->store);
    if (engine->sessions) store_flush(engine->sessions);
    if (engine->memory) store_flush(engine->memory);
    return moved || engine->ready_first;
}

void engine_pump(Engine *engine) {
    while (pump_once(engine)) continue;
}

static bool owed(const Engine *engine) { return store_busy(engine->store) || (engine->sessions && store_busy(engine->sessions)) || (engine->memory && store_busy(engine->memory)) || (engine->hot && hot_busy(engine->hot)); }

void engine_settle(Engine *engine) {
    for (engine_pump(engine); owed(engine); engine_pump(engine)) {
        if (store_busy(engine->store)) store_wait(engine->store);
        else if (engine->sessions && store_busy(engine->sessions)) store_wait(engine->sessions);
        else if (engine->memory && store_busy(engine->memory)) store_wait(engine->memory);
        else hot_wait(engine->hot);
    }
}

bool engine_step(Engine *engine) { return pump_once(engine); }

/* On a store that does one thing at a time a batch waits for the end of an open transaction. */
Err engine_sync(Engine *engine, StoreBatch *batch, Error *error) {
    while (engine->open_txns && !engine->broken && !engine_has_server(engine)) pump_once(engine);
    return store_run_batch(batch, error);
}

/* A scan of all that live, but only when the earliest of them may be due: wake_us is never later than that. */
void engine_wake_due(Engine *engine) {
    int64_t now = engine_now(engine);
    if (now < engine->wake_us) return;
    engine->wake_us = TIME_NEVER;
    MAP_EACH(&engine->live, entry) {
        LiveRun *run = entry->value;
        if (run->wake_us <= now) engine_ready(run);
        else engine_wake_at(engine, run->wake_us);
    }
}

void engine_wake_at(Engine *engine, int64_t at_us) {
    if (at_us < engine->wake_us) engine->wake_us = at_us;
}

static int64_t earliest_wake(const Engine *engine) {
    int64_t wake = TIME_NEVER;
    MAP_EACH(&engine->live, entry) {
        const LiveRun *run = entry->value;
        if (run->wake_us < wake) wake = run->wake_us;
    }
    return wake;
}

/* ---- work ----------------------------------------------------------------------------------------------------------- */

static Err claim_from(Engine *engine, Store *store, Str tenant, Str only_run, uint32_t *claimed, Error *error) {
    uint32_t live = engine->live.count, count = 0;
    if (live >= engine_live_max(engine)) return ERR_OK;
    uint32_t room = engine_live_max(engine) - live;
    StoreBatch *batch = store_batch(store, tenant, (Str){ "", 0 }, 0);
    int index = store_claim(batch, str_of(engine->worker), engine_now(engine), store == engine->memory ? UNJOURNALLED_LEASE : engine_lease(engine), room < ENGINE_CLAIM_MAX ? room : ENGINE_CLAIM_MAX, only_run);
    Err err = engine_sync(engine, batch, error);
    const RunRow *rows = err ? NULL : store_runs(batch, index, &count);
    for (uint32_t i = 0; i < count; i++) live_open(engine, store, &rows[i]);
    *claimed += count;
    store_batch_free(batch);
    return err;
}

/* Runs of `durability none` that were started here; those that ended a while ago are forgotten. */
void engine_claim_memory(Engine *engine, Str tenant, Str only_run, uint32_t *claimed) {
    GcReport report;
    if (!engine->memory) return;
    claim_from(engine, engine->memory, tenant, only_run, claimed, NULL);
    if (engine->memory_ended < UNJOURNALLED_SWEEP) return;
    store_gc(engine->memory, engine_now(engine) - UNJOURNALLED_KEPT, &report, NULL, NULL, NULL);
    engine->memory_ended = 0;
}

/* Without the session store its runs wait; the others go on. */
static Err claim(Engine *engine, Str tenant, Str only_run, uint32_t *claimed, Error *error) {
    *claimed = 0;
    Err err = claim_from(engine, engine->store, tenant, only_run, claimed, error);
    if (!err && engine->sessions && claim_from(engine, engine->sessions, tenant, only_run, claimed, NULL)) serve_session_lost(engine);
    if (!err) engine_claim_memory(engine, tenant, only_run, claimed);
    return err;
}

/* Until HTTP, the store or a signal has something, or that time comes. */
void engine_wait(Engine *engine, int64_t until_us) {
    int64_t wait = until_us - engine_now(engine);
    if (until_us == TIME_NEVER || wait > ENGINE_WAIT_MAX) wait = ENGINE_WAIT_MAX;
    if (wait < 0) wait = 0;
    struct timeval timeout = { wait / 1000000, wait % 1000000 };
    event_add(engine->timer, &timeout);
    event_base_loop(engine->loop, EVLOOP_ONCE);
    event_del(engine->timer);
}

static bool is_live(Engine *engine, Str tenant, Str run_id) { return run_id.len ? engine_live_find(engine, tenant, run_id) != NULL : engine->live.count > 0; }

/* HTTP under way: real time passes even when time is virtual. */
static bool waits_for_network(const Engine *engine) {
    MAP_EACH(&engine->live, entry) {
        const LiveRun *run = entry->value;
        for (uint32_t i = 0; i < run->act_count; i++)
            if (run->acts[i]->http) return true;
    }
    return false;
}

/* How far automatic time may go: to a scripted answer that is under way or a deadline over it, to the end of a sleep; never past a question. */
static int64_t jump_target(Engine *engine) {
    int64_t target = TIME_NEVER;
    for (ParkNote *note = engine->parks; note; note = note->next)
        if (note->jump_us < target) target = note->jump_us;
    int64_t wake = earliest_wake(engine);
    return wake < target ? wake : target;
}

static void forget_jumps(Engine *engine) {
    for (ParkNote *note = engine->parks; note; note = note->next)
        if (note->jump_us <= engine->virtual_now) note->jump_us = TIME_NEVER;
    for (ParkNote *note = engine->parks; note; note = note->next)
        if (note->asks || note->jump_us != TIME_NEVER) return;
    engine->parks = NULL;
    arena_reset(engine->park_arena);
}

static bool jump(Engine *engine) {
    if (!engine->options.virtual_time || !engine->options.auto_advance) return false;
    int64_t target = jump_target(engine);
    if (target == TIME_NEVER) return false;
    if (target > engine->virtual_now) engine->virtual_now = target;
    forget_jumps(engine);
    return true;
}

static void drain(Engine *engine) {
    engine_wake_due(engine);
    engine_settle(engine);
    event_base_loop(engine->loop, EVLOOP_NONBLOCK);
    engine_settle(engine);
}

/* One round of everything that can be done now. *more: look again. */
static Err work_round(Engine *engine, Str tenant, Str run_id, bool *more, Error *error) {
    uint64_t before = engine->progress;
    uint32_t claimed;
    bool answered = false;
    *more = false;
    drain(engine);
    if (engine->broken) return engine_broken(engine, error);
    if (engine->orphans) { *more = true; return serve_reclaim(engine, error); }
    Err err = claim(engine, tenant, run_id, &claimed, error);
    if (err) return err;
    if (claimed) { *more = true; return ERR_OK; }
    if ((err = mail_offer_answers(engine, &answered, error))) return err;
    if (answered || engine->ready_first || engine->progress != before) *more = true;
    if (!*more && engine->fetches.count) {               /* another worker holds the lock of a cached read: real time, also when ours is virtual */
        engine_wait(engine, TIME_NEVER);
        *more = true;
    }
    return ERR_OK;
}

const Json *engine_waits(const RunRow *run, Arena *arena) {
    Json *waits = NULL;
    if (!run->waits_json.len || json_parse(arena, run->waits_json, INPUT_JSON_MAX, &waits, NULL) || waits->kind != JSON_ARRAY) return NULL;
    return waits;
}

/* How far automatic time may go for a parked run: when it only sleeps, to the first end of a sleep. One that waits for nothing in particular
   (the next attempt of a handler) has a timer only. */
static int64_t jump_of(const RunRow *run, int64_t next_due_us, bool *asks) {
    Arena *arena = arena_new();
    const Json *waits = engine_waits(run, arena);
    int64_t jump_us = TIME_NEVER, due;
    bool sleeps_only = true;
    if (waits && waits->count == 0) jump_us = next_due_us;
    for (size_t i = 0; waits && i < waits->count; i++) {
        *asks |= engine_wait_asks(waits->items[i]);
        sleeps_only &= str_is(json_get_text(waits->items[i], "kind"), "sleep_until");
        if (timestamp_parse(json_get_text(waits->items[i], "due"), &due) == ERR_OK && due < jump_us) jump_us = due;
    }
    arena_free(arena);
    return sleeps_only ? jump_us : TIME_NEVER;
}

/* Runs that parked under another engine: this one can answer their questions and wake them too. */
static void note_parked(Engine *engine, Str tenant, Str run_id) {
    const EngineOptions *options = &engine->options;
    bool any = options->script || options->auto_advance;                 /* a terminal answers for the run it is asked to work on, not for all */
    if (!any && (!options->on_question || run_id.len == 0)) return;
    StoreBatch *batch = store_batch(engine->store, tenant, (Str){ "", 0 }, 0);
    int index = run_id.len ? store_get_run(batch, run_id) : store_list_runs(batch, &(RunFilter){ .any_tenant = tenant.len == 0, .status = RUN_PARKED, .limit = 1000 });
    int due = store_next_due(batch);
    Err err = engine_sync(engine, batch, NULL);
    uint32_t count = 0;
    const RunRow *rows = err ? NULL : store_runs(batch, index, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].status != RUN_PARKED) continue;
        bool asks = false;
        int64_t jump_us = jump_of(&rows[i], store_time(batch, due), &asks);
        LiveRun shown = { .row = rows[i] };
        engine_note_park(engine, &shown, asks, jump_us);
    }
    store_batch_free(batch);
}

Err engine_work(Engine *engine, Str tenant, Str run_id, Error *error) {
    bool more;
    engine->outbox_dirty = true;                         /* others emit and redeliver too */
    note_parked(engine, tenant, run_id);
    for (;;) {
        Err err = work_round(engine, tenant, run_id, &more, error);
        if (err) return err;
        if (more) continue;
        bool live = is_live(engine, tenant, run_id);
        if (live && (!engine->options.virtual_time || waits_for_network(engine))) {
            int64_t wake = earliest_wake(engine), renew = serve_renew(engine);
            engine_wait(engine, engine->options.virtual_time ? TIME_NEVER : wake < renew ? wake : renew);
            continue;
        }
        if (!jump(engine)) return ERR_OK;
    }
}

/* ---- virtual time ------------------------------------------------------------------------------------------------------ */

static Err next_due(Engine *engine, int64_t *due, Error *error) {
    StoreBatch *batch = store_batch(engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    int index = store_next_due(batch);
    Err err = engine_sync(engine, batch, error);
    *due = err ? TIME_NEVER : store_time(batch, index);
    store_batch_free(batch);
    int64_t wake = earliest_wake(engine);
    if (wake < *due) *due = wake;
    return err;
}

static Err work_until_quiet(Engine *engine, Error *error) {
    bool more;
    do {
        Err err = work_round(engine, (Str){ "", 0 }, (Str){ "", 0 }, &more, error);
        if (err) return err;
    } while (more);
    return ERR_OK;
}

Err engine_advance(Engine *engine, int64_t us, Error *error) {
    if (!engine->options.virtual_time) return err_set(error, ERR_UNSUPPORTED, "time is not virtual here");
    int64_t target = engine->virtual_now + us, due;
    for (;;) {
        uint64_t before = engine->progress;
        Err err = work_until_quiet(engine, error);
        if (!err) err = next_due(engine, &due, error);
        if (err) return err;
        bool stands = due <= engine->virtual_now && engine->progress == before;      /* due, but nobody can be woken by it */
        if (due > target || stands) break;
        if (due > engine->virtual_now) engine->virtual_now = due;
        forget_jumps(engine);
    }
    engine->virtual_now = target;
    forget_jumps(engine);
    return work_until_quiet(engine, error);
}

void engine_stats(const Engine *engine, uint32_t *live_runs, size_t *live_bytes) {
    *live_runs = 0, *live_bytes = 0;
    MAP_EACH(&engine->live, entry) {
        const LiveRun *run = entry->value;
        ++*live_runs;
        *live_bytes += sizeof *run + arena_size(run->arena) + (run->row_arena ? arena_size(run->row_arena) : 0) + (run->vm ? vm_heap(run->vm)->live_bytes : 0);
    }
}
