/* events_handler.c - the runs that handle events: how they are named, made, tried again and given up.
 *
 * The id of a run follows from event and subscriber, so that delivering twice starts nothing twice. One that fails is followed by another
 * attempt: a new run whose id ends in the attempt's number, made in the very commit in which the failed one ends, due after a growing while.
 * After HANDLER_ATTEMPTS_MAX of them the event is dead for that subscriber. A replay takes the dead letter away in the commit that makes the
 * next attempt: whoever replays at the same time finds no letter. It runs the code that is deployed now, and has as many attempts again. */
#include <inttypes.h>
#include <stdlib.h>
#include "interpreter/effect/ids.h"
#include "interpreter/sched/events_internal.h"

/* "flows/05_events.flow" -> "05_events" */
static Str unit_of(const Image *image) {
    if (image->file_count == 0) return STR("main");
    Str name = image->files[0];
    const char *slash = memrchr(name.ptr, '/', name.len);
    if (slash) name = (Str){ slash + 1, (size_t)(name.ptr + name.len - slash - 1) };
    const char *dot = memchr(name.ptr, '.', name.len);
    return dot ? (Str){ name.ptr, (size_t)(dot - name.ptr) } : name;
}

Str events_owner(const Image *image, const ImageHandler *handler, Arena *arena) {
    if (handler->agent < image->agent_count) return image->agents[handler->agent].name;
    return str_of(arena_printf(arena, "%.*s:", STR_ARG(unit_of(image))));
}

Str events_subscriber(const Image *image, const ImageHandler *handler, Arena *arena) {
    if (handler->agent < image->agent_count) return handler->name;
    return str_of(arena_printf(arena, "%.*s:%.*s", STR_ARG(unit_of(image)), STR_ARG(handler->name)));
}

const ImageHandler *events_find_handler(const Image *image, Str subscriber) {
    Str unit = unit_of(image);
    for (uint16_t i = 0; i < image->handler_count; i++) {
        const ImageHandler *handler = &image->handlers[i];
        Str rest = subscriber;
        if (handler->agent >= image->agent_count) {
            if (!str_starts(rest, unit) || rest.len == unit.len || rest.ptr[unit.len] != ':') continue;
            rest = (Str){ rest.ptr + unit.len + 1, rest.len - unit.len - 1 };
        }
        if (str_eq(handler->name, rest)) return handler;
    }
    return NULL;
}

EventRow events_copy(Arena *arena, const EventRow *row) {
    EventRow e = *row;
    Str *texts[] = { &e.tenant, &e.event_id, &e.name, &e.payload, &e.module_hash, &e.user, &e.correlation, &e.causation, &e.run_id };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) *texts[i] = arena_str(arena, *texts[i]);
    return e;
}

void events_put_dead(StoreBatch *batch, Engine *engine, const EventRow *event, Str subscriber, uint32_t attempts, Str why) {
    store_put_dead(batch, &(DeadRow){ .tenant = event->tenant, .event_id = event->event_id, .subscriber = subscriber, .error = why, .attempts = attempts, .created_us = engine_now(engine) });
    events_expected(engine);                             /* a stream wants it, too */
}

Err events_handler_row(Engine *engine, Image *image, const EventRow *event, const ImageHandler *handler, Arena *arena, RunRow *row, bool *wanted, Error *error) {
    uint16_t type = image->events[handler->event].type;
    Value record, answer;
    char id[IDS_TEXT_MAX], hash[SHA256_HEX + 1];
    Buf input = { 0 };
    ids_derived("H", event->event_id, events_subscriber(image, handler, arena), id);
    hex_encode(image->hash.bytes, SHA256_BYTES, hash);
    *row = (RunRow){ .tenant = event->tenant, .run_id = arena_str(arena, str_of(id)), .module_hash = arena_str(arena, str_of(hash)), .func_name = handler->name, .func = handler->func, .status = RUN_READY,
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
    buf_clear(&input);
    value_to_json_redacted(image, type, record, &input);
    row->input_json = record_bounded(arena, &input);
    buf_free(&input);
    value_release(record);
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

static const ImageHandler *handler_of(const LiveRun *run) {
    if (!run->image || run->row.func >= run->image->func_count || run->image->funcs[run->row.func].kind != FUNC_HANDLER) return NULL;
    for (uint16_t i = 0; i < run->image->handler_count; i++)
        if (run->image->handlers[i].func == run->row.func) return &run->image->handlers[i];
    return NULL;
}

void events_retry_handler(LiveRun *run, StoreBatch *batch, Str error_json) {
    const ImageHandler *handler = handler_of(run);
    if (!handler) return;
    size_t base_len;
    Engine *engine = run->engine;
    uint32_t attempt = attempt_of(run->row.run_id, &base_len);
    if (attempt % HANDLER_ATTEMPTS_MAX == 0) {
        EventRow event = { .tenant = run->row.tenant, .event_id = run->row.causation };
        events_put_dead(batch, engine, &event, events_subscriber(run->image, handler, run->arena), attempt, error_json);
        engine->outbox_dirty = true;                     /* the dead-letter stream wants to know */
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
    int64_t due = engine_now(engine) + (HANDLER_BACKOFF << (attempt % HANDLER_ATTEMPTS_MAX - 1));
    store_put_run_or_ignore(batch, &next);
    serve_timer(engine, due);
    store_set_timer(batch, &(TimerRow){ .tenant = next.tenant, .run_id = next.run_id, .request = 0, .due_us = due });
    LiveRun shown = { .row = next };
    engine_note_park(engine, &shown, false, due);
}

/* ---- replay ------------------------------------------------------------------------------------------------------- */

typedef struct Letter { Engine *engine; Arena *arena; EventRow event; DeadRow dead; Str module_hash; } Letter;

/* The event, and which module handles it now. */
static Err read_letter(Letter *letter, Error *error) {
    Engine *engine = letter->engine;
    const DeadRow *dead = &letter->dead;
    StoreBatch *batch = store_batch(engine->store, dead->tenant, (Str){ "", 0 }, 0);
    int event = store_get_event(batch, dead->tenant, dead->event_id), subs = store_get_subscriptions(batch, (Str){ "", 0 });
    Err err = engine_sync(engine, batch, error);
    uint32_t count = 0, sub_count = 0;
    const EventRow *rows = err ? NULL : store_events(batch, event, &count);
    const SubscriptionRow *sub = err ? NULL : store_subscriptions(batch, subs, &sub_count);
    if (!err && count == 0) err = err_set(error, ERR_NOT_FOUND, "event `%.*s` is not in the store any more", STR_ARG(dead->event_id));
    if (!err) {
        letter->event = events_copy(letter->arena, &rows[0]);
        letter->module_hash = letter->event.module_hash;
    }
    for (uint32_t i = 0; i < sub_count; i++)
        if (str_eq(sub[i].subscriber, dead->subscriber)) letter->module_hash = arena_str(letter->arena, sub[i].module_hash);
    store_batch_free(batch);
    return err;
}

static Err put_attempt(Letter *letter, StoreBatch *batch, Error *error) {
    Image *image;
    RunRow row;
    bool wanted;
    const DeadRow *dead = &letter->dead;
    Err err = engine_image(letter->engine, letter->module_hash, &image, error);
    const ImageHandler *handler = err ? NULL : events_find_handler(image, dead->subscriber);
    if (!err && !handler) err = err_set(error, ERR_NOT_FOUND, "nobody is `%.*s` any more: deploy a module that has this handler", STR_ARG(dead->subscriber));
    if (!err) err = events_handler_row(letter->engine, image, &letter->event, handler, letter->arena, &row, &wanted, error);
    if (err) return err;
    uint32_t next = dead->attempts - dead->attempts % HANDLER_ATTEMPTS_MAX + 1;
    if (next > 1) row.run_id = str_of(arena_printf(letter->arena, "%.*s.%u", STR_ARG(row.run_id), next));
    store_put_run_or_ignore(batch, &row);
    return ERR_OK;
}

/* `*` is dead for everybody: it was never dispatched. */
static Err replay_one(Engine *engine, const DeadRow *dead, Error *error) {
    Letter letter = { .engine = engine, .arena = arena_new(), .dead = *dead };
    Err err = read_letter(&letter, error);
    if (!err) {
        StoreBatch *batch = store_batch(engine->store, dead->tenant, (Str){ "", 0 }, 0);
        store_take_dead(batch, dead->event_id, dead->subscriber);
        if (str_is(dead->subscriber, "*")) store_event_redeliver(batch, letter.event.position);
        else err = put_attempt(&letter, batch, error);
        if (!err) err = engine_sync(engine, batch, error);
        store_batch_free(batch);
    }
    arena_free(letter.arena);
    if (!err) engine->outbox_dirty = true;
    return err;
}

static bool is_meant(const DeadRow *dead, Str event_id, Str subscriber) {
    return (!event_id.len || str_eq(dead->event_id, event_id)) && (!subscriber.len || str_eq(dead->subscriber, subscriber));
}

Err engine_replay_dead(Engine *engine, Str tenant, Str event_id, Str subscriber, uint32_t *replayed, uint32_t *refused, Error *error) {
    StoreBatch *batch = store_batch(engine->store, tenant, (Str){ "", 0 }, 0);
    int index = store_list_dead(batch, 0);
    Err err = engine_sync(engine, batch, error);
    uint32_t count = 0;
    const DeadRow *rows = err ? NULL : store_dead(batch, index, &count);
    *replayed = *refused = 0;
    for (uint32_t i = 0; i < count && !err; i++) {
        Error why;
        if (!is_meant(&rows[i], event_id, subscriber)) continue;
        Err one = replay_one(engine, &rows[i], &why);
        if (!one) ++*replayed;
        else if (one == ERR_NOT_FOUND || one == ERR_INVALID) { if (++*refused == 1 && error) *error = why; }
        else { err = one; if (error) *error = why; }
    }
    store_batch_free(batch);
    if (!err && event_id.len && *replayed + *refused == 0) err = err_set(error, ERR_NOT_FOUND, "event `%.*s` is not among the dead", STR_ARG(event_id));
    return err;
}
