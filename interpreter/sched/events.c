/* events.c - from the outbox to those who want to know.
 *
 * An event is in the outbox because the change it tells of committed. The dispatcher makes one run per subscribed handler, whose id follows
 * from event and subscriber, so that delivering twice starts nothing twice, and a mail for each run that awaits the event; in the commit that
 * makes the handler runs, the event is marked as dispatched. A crash before it means that it is dispatched again.
 *
 * A handler run that fails is followed by another attempt: a new run whose id ends in the attempt's number, made in the very commit in which
 * the failed one ends, due after a growing while. After HANDLER_ATTEMPTS_MAX of them the event is dead for that subscriber. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "interpreter/effect/ids.h"
#include "interpreter/sched/engine_internal.h"

typedef struct Round {
    Engine *engine;
    Arena *arena;
    EventRow *events; uint32_t count;
    int *waits, *modules;                                /* result indexes of the second read; -1: none */
    uint32_t outstanding;
    bool more;
} Round;

static void round_end(Round *round) {
    Engine *engine = round->engine;
    engine->dispatching = false;
    if (round->more) engine->outbox_dirty = true;
    engine->progress += round->count;
    engine->claim_wanted |= round->count > 0;            /* handlers and runs that awaited */
    arena_free(round->arena);
    free(round);
}

static void written(const StoreResult *result, void *arg) {
    Round *round = arg;
    if (result->err) engine_break(round->engine, result->err, &result->error);
    if (--round->outstanding == 0) round_end(round);
}

/* Of one waiting run: it may be gone, or have this mail already; neither holds up the others. */
static void mailed(const StoreResult *result, void *arg) {
    Round *round = arg;
    if (result->err && result->err != ERR_CONFLICT && result->err != ERR_NOT_FOUND) engine_break(round->engine, result->err, &result->error);
    if (--round->outstanding == 0) round_end(round);
}

static void put_dead(StoreBatch *batch, Engine *engine, const EventRow *event, Str subscriber, uint32_t attempts, Str why) {
    store_put_dead(batch, &(DeadRow){ .tenant = event->tenant, .event_id = event->event_id, .subscriber = subscriber, .error = why, .attempts = attempts, .created_us = engine_now(engine) });
}

static Err handler_row(Engine *engine, Image *image, const EventRow *event, const ImageHandler *handler, Arena *arena, RunRow *row, bool *wanted, Error *error) {
    uint16_t type = image->events[handler->event].type;
    Value record, answer;
    char id[IDS_TEXT_MAX];
    Buf input = { 0 };
    ids_derived("H", event->event_id, handler->name, id);
    *row = (RunRow){ .tenant = event->tenant, .run_id = arena_str(arena, str_of(id)), .module_hash = event->module_hash, .func_name = handler->name, .func = handler->func, .status = RUN_READY,
                     .user = event->user, .correlation = event->correlation, .causation = event->event_id, .hops = event->hops + 1, .created_us = engine_now(engine), .updated_us = engine_now(engine) };
    Err err = mail_value(image, type, event->payload, &record, error);
    if (err) return err;
    *wanted = true;
    if (handler->where_func != NO_INDEX) {
        err = start_call(engine, image, handler->where_func, &record, row, &answer, error);
        if (!err) *wanted = answer.i != 0;
    }
    start_encode_input(image, handler->func, &record, &input);
    row->input = arena_str(arena, buf_str(&input));
    row->input_json = event->payload;
    buf_clear(&input);
    value_to_json_redacted(image, type, record, &input);
    row->input_json = record_bounded(arena, &input);
    buf_free(&input);
    value_release(record);
    return err;
}

static void put_handlers(Round *round, Image *image, const EventRow *event, StoreBatch *batch) {
    for (uint16_t i = 0; i < image->handler_count; i++) {
        const ImageHandler *handler = &image->handlers[i];
        RunRow row;
        Error error;
        bool wanted = false;
        if (!str_eq(image->events[handler->event].name, event->name)) continue;
        Err err = handler_row(round->engine, image, event, handler, round->arena, &row, &wanted, &error);
        if (err) put_dead(batch, round->engine, event, handler->name, 0, str_of(error.text));
        else if (wanted) store_put_run_or_ignore(batch, &row);
    }
}

static void put_mails(Round *round, const EventRow *event, const WaitRow *waits, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        Engine *engine = round->engine;
        StoreBatch *batch = store_batch(engine->store, event->tenant, waits[i].run_id, 0);
        store_put_mail(batch, &(MailRow){ .tenant = event->tenant, .run_id = waits[i].run_id, .mail_id = event->event_id,
                                          .kind = MAIL_EVENT, .request = waits[i].request, .name = event->name, .payload = event->payload, .created_us = event->created_us });
        LiveRun *live = engine_live_find(engine, event->tenant, waits[i].run_id);
        if (live) live->mail_wanted = true, engine_ready(live);
        round->outstanding++;
        store_submit(batch, mailed, round);
    }
}

static void dispatch_one(Round *round, uint32_t i, const StoreBatch *read) {
    Engine *engine = round->engine;
    const EventRow *event = &round->events[i];
    Image *image = engine_image_cached(engine, event->module_hash);
    Error error = { 0 };
    Err err = ERR_OK;
    if (!image && round->modules[i] >= 0) {
        bool found;
        Str bytes = store_bytes(read, round->modules[i], NULL, &found);
        err = found ? engine_image_keep(engine, event->module_hash, bytes, &image, &error) : err_set(&error, ERR_CORRUPT, "module %.*s is missing", STR_ARG(event->module_hash));
    }
    uint32_t wait_count;
    const WaitRow *waits = store_waits(read, round->waits[i], &wait_count);
    put_mails(round, event, waits, wait_count);
    StoreBatch *batch = store_batch(engine->store, event->tenant, (Str){ "", 0 }, 0);
    if (err) put_dead(batch, engine, event, STR("*"), 0, str_of(error.text));
    else if (event->hops >= EVENT_HOPS_MAX) put_dead(batch, engine, event, STR("*"), 0, str_of(arena_printf(round->arena, "a chain of events is longer than EVENT_HOPS_MAX (%d)", EVENT_HOPS_MAX)));
    else put_handlers(round, image, event, batch);
    store_event_dispatched(batch, event->position);
    round->outstanding++;
    store_submit(batch, written, round);
}

static void read_more(const StoreResult *result, void *arg) {
    Round *round = arg;
    if (result->err) { engine_break(round->engine, result->err, &result->error); round_end(round); return; }
    round->outstanding = 1;
    for (uint32_t i = 0; i < round->count; i++) dispatch_one(round, i, result->batch);
    if (--round->outstanding == 0) round_end(round);
}

static void copy_events(Round *round, const EventRow *rows, uint32_t count) {
    round->events = ARENA_ARRAY(round->arena, EventRow, count);
    for (uint32_t i = 0; i < count; i++) {
        EventRow *e = &round->events[i];
        *e = rows[i];
        Str *texts[] = { &e->tenant, &e->event_id, &e->name, &e->payload, &e->module_hash, &e->user, &e->correlation, &e->causation, &e->run_id };
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) *texts[t] = arena_str(round->arena, *texts[t]);
    }
    round->count = count;
}

static void submit_second_read(Round *round) {
    Engine *engine = round->engine;
    StoreBatch *batch = store_batch(engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    round->waits = ARENA_ARRAY(round->arena, int, round->count);
    round->modules = ARENA_ARRAY(round->arena, int, round->count);
    for (uint32_t i = 0; i < round->count; i++) {
        const EventRow *event = &round->events[i];
        round->waits[i] = store_get_waits(batch, event->tenant, event->name);
        round->modules[i] = engine_image_cached(engine, event->module_hash) ? -1 : store_get_module(batch, event->module_hash);
    }
    store_submit(batch, read_more, round);
}

static void outbox_read(const StoreResult *result, void *arg) {
    Round *round = arg;
    uint32_t count = 0;
    const EventRow *rows = NULL;
    if (result->err) engine_break(round->engine, result->err, &result->error);
    else rows = store_events(result->batch, 0, &count);
    if (count == 0) { round_end(round); return; }
    round->more = count == EVENT_BATCH;
    copy_events(round, rows, count);
    submit_second_read(round);
}

void events_dispatch(Engine *engine) {
    if (!engine->outbox_dirty || engine->dispatching || engine->broken) return;
    engine->outbox_dirty = false;
    engine->dispatching = true;
    Round *round = mem_alloc(sizeof *round);
    *round = (Round){ .engine = engine, .arena = arena_new() };
    StoreBatch *batch = store_batch(engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    store_get_outbox(batch, EVENT_BATCH);
    store_submit(batch, outbox_read, round);
}

Err engine_redeliver(Engine *engine, Str tenant, Str event_name, Error *error) {
    StoreBatch *batch = store_batch(engine->store, tenant, (Str){ "", 0 }, 0);
    int index = store_list_events(batch, event_name, (Str){ "", 0 }, 1);
    Err err = engine_sync(engine, batch, error);
    uint32_t count = 0;
    const EventRow *rows = err ? NULL : store_events(batch, index, &count);
    if (!err && count == 0) err = err_set(error, ERR_NOT_FOUND, "no event `%.*s` was emitted", STR_ARG(event_name));
    if (!err) {
        Round *round = mem_alloc(sizeof *round);
        *round = (Round){ .engine = engine, .arena = arena_new() };
        copy_events(round, rows, 1);
        engine->dispatching = true;
        submit_second_read(round);
        engine_pump(engine);
        if (engine->broken) { err = engine->broken; if (error) *error = engine->broken_error; }
    }
    store_batch_free(batch);
    return err;
}

/* ---- attempts ----------------------------------------------------------------------------------------------------- */

/* "H-…" is the first, "H-….2" the second. */
static uint32_t attempt_of(Str run_id, size_t *base_len) {
    const char *dot = memrchr(run_id.ptr, '.', run_id.len);
    *base_len = dot ? (size_t)(dot - run_id.ptr) : run_id.len;
    uint32_t attempt = dot ? (uint32_t)strtoul(dot + 1, NULL, 10) : 1;
    return attempt ? attempt : 1;
}

void events_retry_handler(LiveRun *run, StoreBatch *batch, Str error_json) {
    if (!run->image || run->row.func >= run->image->func_count || run->image->funcs[run->row.func].kind != FUNC_HANDLER) return;
    size_t base_len;
    Engine *engine = run->engine;
    uint32_t attempt = attempt_of(run->row.run_id, &base_len);
    if (attempt >= HANDLER_ATTEMPTS_MAX) {
        EventRow event = { .tenant = run->row.tenant, .event_id = run->row.causation };
        put_dead(batch, engine, &event, run->row.func_name, attempt, error_json);
        return;
    }
    RunRow next = run->row;
    next.run_id = str_of(arena_printf(run->arena, "%.*s.%u", (int)base_len, run->row.run_id.ptr, attempt + 1));
    next.status = RUN_PARKED;
    next.result_json = next.worker = (Str){ "", 0 };
    next.waits_json = STR("[]");
    next.epoch = next.last_seq = next.snapshot_seq = 0;
    next.lease_until_us = next.started_us = next.ended_us = 0;
    next.created_us = next.updated_us = engine_now(engine);
    int64_t due = engine_now(engine) + (HANDLER_BACKOFF << (attempt - 1));
    store_put_run_or_ignore(batch, &next);
    serve_timer(engine, due);
    store_set_timer(batch, &(TimerRow){ .tenant = next.tenant, .run_id = next.run_id, .request = 0, .due_us = due });
    LiveRun shown = { .row = next };
    engine_note_park(engine, &shown, false, due);
}
