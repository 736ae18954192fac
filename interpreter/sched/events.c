/* events.c - from the outbox to those who want to know.
 *
 * An event is in the outbox because the change it tells of committed. A round takes some of them and sees to it that each run that awaits one
 * has it as mail, and each subscriber as a run of its own (see events_handler.c). Without streams, or while they do not answer, one commit makes
 * the runs and marks the event as dispatched; with streams the event is published, and each subscriber's run is made when it is read there (see
 * events_stream.c). A crash before the mark means that it all is done again; nothing of it happens twice.
 *
 * Who subscribes is what was deployed last: a module that is deployed says what its agents and its own file hear from now on, also from
 * programs that do not know of it. A handler of the emitter's own module that is not deployed (any more) hears the event, too; and when the
 * deployed one cannot read it, because the event has another shape there, the emitter's own does. */
#include "interpreter/sched/events_internal.h"
#include <stdlib.h>

void events_expected(Engine *engine) { engine->outbox_until_us = engine_now(engine) + 3 * events_republish_us(engine); }

static void let_go(Round *round) {
    Engine *engine = round->engine;
    if (!round->detached) engine->dispatching = false;
    if (round->more) engine->outbox_dirty = true;
    engine->progress += round->count;
    if (round->count) events_expected(engine);
    engine->claim_wanted |= round->count > 0;            /* handlers and runs that awaited */
    round->more = false;
    round->detached = true;
}

static void round_end(Round *round) {
    let_go(round);
    arena_free(round->arena);
    free(round);
}

/* Everything that was submitted is done. What is published now waits for a server, and the engine not for it. */
static void round_done(Round *round) {
    if (--round->outstanding) return;
    if (!round->publish || round->failed || round->engine->broken) { round_end(round); return; }
    let_go(round);
    events_stream_publish(round);
}

static void round_failed(Round *round, const StoreResult *result) {
    round->failed = true;
    engine_break(round->engine, result->err, &result->error);
}

static void written(const StoreResult *result, void *arg) {
    Round *round = arg;
    if (result->err) round_failed(round, result);
    round_done(round);
}

static void load_and_dispatch(Round *round);
static void dispatch_all(Round *round);

/* Every mail is in its box, and only then may the events be marked: a mark beside a mail that failed would be an event that somebody never hears. */
static void mails_done(Round *round) {
    if (--round->mails) return;
    if (round->failed) round_done(round);
    else if (round->publish) dispatch_all(round);        /* subscribers' modules are loaded where their events are read */
    else load_and_dispatch(round);
}

/* Of one waiting run: it may be gone, or have this mail already; neither holds up the others. */
static void mailed(const StoreResult *result, void *arg) {
    Round *round = arg;
    if (result->err && result->err != ERR_CONFLICT && result->err != ERR_NOT_FOUND) round_failed(round, result);
    mails_done(round);
}

/* ---- one event ----------------------------------------------------------------------------------------------------- */

static void put_mails(Round *round, const EventRow *event, const WaitRow *waits, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        Engine *engine = round->engine;
        StoreBatch *batch = store_batch(engine->store, event->tenant, waits[i].run_id, 0);
        store_put_mail(batch, &(MailRow){ .tenant = event->tenant, .run_id = waits[i].run_id, .mail_id = event->event_id,
                                          .kind = MAIL_EVENT, .request = waits[i].request, .name = event->name, .payload = event->payload, .created_us = event->created_us });
        LiveRun *live = engine_live_find(engine, event->tenant, waits[i].run_id);
        if (live) live->mail_wanted = true, engine_ready(live);
        round->mails++;
        store_submit(batch, mailed, round);
    }
}

/* `own`: the emitter's module, if it may stand in. `delivery`: others may have it by a stream, so the row of its delivery counts. */
static void put_handler(Round *round, Image *image, const EventRow *event, const ImageHandler *handler, Str subscriber, Image *own, bool delivery, StoreBatch *batch) {
    RunRow row;
    Error error;
    bool wanted = false;
    Err err = events_handler_row(round->engine, image, event, handler, round->arena, &row, &wanted, &error);
    const ImageHandler *other = err && own && own != image ? events_find_handler(own, subscriber) : NULL;
    if (other && str_eq(own->events[other->event].name, event->name)) err = events_handler_row(round->engine, own, event, other, round->arena, &row, &wanted, &error);
    if (err) events_put_dead(batch, round->engine, event, subscriber, 0, str_of(error.text));
    wanted = wanted && !err;
    if (delivery) store_deliver(batch, event->tenant, event->event_id, subscriber, wanted ? &row : NULL);
    else if (wanted) store_put_run_or_ignore(batch, &row);
}

static bool is_subscribed(const Round *round, uint32_t i, Str subscriber) {
    for (uint32_t k = 0; k < round->sub_counts[i]; k++)
        if (str_eq(round->subs[i][k].subscriber, subscriber)) return true;
    return false;
}

/* The emitter's own handlers that are not deployed. */
static void put_own_handlers(Round *round, uint32_t i, Image *own, StoreBatch *batch) {
    const EventRow *event = &round->events[i];
    for (uint16_t h = 0; h < own->handler_count; h++) {
        const ImageHandler *handler = &own->handlers[h];
        if (!str_eq(own->events[handler->event].name, event->name)) continue;
        Str subscriber = events_subscriber(own, handler, round->arena);
        if (!is_subscribed(round, i, subscriber)) put_handler(round, own, event, handler, subscriber, NULL, false, batch);
    }
}

static void put_subscribers(Round *round, uint32_t i, Image *own, StoreBatch *batch) {
    const EventRow *event = &round->events[i];
    for (uint32_t k = 0; k < round->sub_counts[i]; k++) {
        const SubscriptionRow *sub = &round->subs[i][k];
        Image *image = engine_image_cached(round->engine, sub->module_hash);
        const ImageHandler *handler = image ? events_find_handler(image, sub->subscriber) : NULL;
        if (handler) put_handler(round, image, event, handler, sub->subscriber, own, round->detached, batch);
        else {
            events_put_dead(batch, round->engine, event, sub->subscriber, 0, str_of(arena_printf(round->arena, "module %.*s, which subscribed, is missing or damaged", STR_ARG(sub->module_hash))));
            if (round->detached) store_deliver(batch, event->tenant, event->event_id, sub->subscriber, NULL);
        }
    }
}

bool events_too_far(const EventRow *event) { return event->hops >= EVENT_HOPS_MAX; }

static void dispatch_one(Round *round, uint32_t i) {
    Engine *engine = round->engine;
    const EventRow *event = &round->events[i];
    Image *own = engine_image_cached(engine, event->module_hash);
    StoreBatch *batch = store_batch(engine->store, event->tenant, (Str){ "", 0 }, 0);
    bool dead = !own || events_too_far(event);
    if (!own) events_put_dead(batch, engine, event, STR("*"), 0, str_of(arena_printf(round->arena, "module %.*s is missing", STR_ARG(event->module_hash))));
    else if (events_too_far(event)) events_put_dead(batch, engine, event, STR("*"), 0, str_of(arena_printf(round->arena, "a chain of events is longer than EVENT_HOPS_MAX (%d)", EVENT_HOPS_MAX)));
    else {
        put_own_handlers(round, i, own, batch);
        if (!round->publish) put_subscribers(round, i, own, batch);
    }
    if (dead) round->sub_counts[i] = 0;                  /* nothing to publish either */
    if (dead || round->sub_counts[i] == 0 || (!round->publish && !round->detached)) store_event_dispatched(batch, event->position);
    else if (round->detached) store_settle_event(batch, event->tenant, event->position);
    round->outstanding++;
    store_submit(batch, written, round);
}

static void dispatch_all(Round *round) {
    for (uint32_t i = 0; i < round->count; i++) dispatch_one(round, i);
    round_done(round);
}

/* ---- what a round has to know --------------------------------------------------------------------------------------- */

static void keep_module(Engine *engine, Str hash, const StoreBatch *read, int index) {
    bool found;
    Image *image;
    Str bytes = store_bytes(read, index, NULL, &found);
    if (found && !engine_image_cached(engine, hash)) engine_image_keep(engine, hash, bytes, &image, NULL);       /* a damaged one is as good as missing: the event says so */
}

static void modules_read(const StoreResult *result, void *arg) {
    Round *round = arg;
    if (result->err) { round_failed(round, result); round_done(round); return; }
    for (uint32_t i = 0; i < round->hash_count; i++) keep_module(round->engine, round->hashes[i], result->batch, round->hash_reads[i]);
    dispatch_all(round);
}

static void want_module(Round *round, Str hash) {
    if (engine_image_cached(round->engine, hash)) return;
    for (uint32_t i = 0; i < round->hash_count; i++)
        if (str_eq(round->hashes[i], hash)) return;
    round->hashes[round->hash_count++] = hash;
}

/* The subscribers' modules, those that are not loaded; then everything can be written. */
static void load_and_dispatch(Round *round) {
    uint32_t most = 0;
    for (uint32_t i = 0; i < round->count; i++) most += round->sub_counts[i];
    round->hashes = ARENA_ARRAY(round->arena, Str, most);
    round->hash_reads = ARENA_ARRAY(round->arena, int, most);
    round->hash_count = 0;
    for (uint32_t i = 0; i < round->count; i++)
        for (uint32_t k = 0; k < round->sub_counts[i]; k++) want_module(round, round->subs[i][k].module_hash);
    if (round->hash_count == 0) { dispatch_all(round); return; }
    StoreBatch *batch = store_batch(round->engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    for (uint32_t i = 0; i < round->hash_count; i++) round->hash_reads[i] = store_get_module(batch, round->hashes[i]);
    store_submit(batch, modules_read, round);
}

static void copy_subscriptions(Round *round, uint32_t i, const StoreBatch *read) {
    uint32_t count;
    const SubscriptionRow *rows = store_subscriptions(read, round->subscriptions[i], &count);
    round->subs[i] = ARENA_ARRAY(round->arena, SubscriptionRow, count);
    round->sub_counts[i] = count;
    for (uint32_t k = 0; k < count; k++)
        round->subs[i][k] = (SubscriptionRow){ .subscriber = arena_str(round->arena, rows[k].subscriber), .module_hash = arena_str(round->arena, rows[k].module_hash) };
}

static void read_more(const StoreResult *result, void *arg) {
    Round *round = arg;
    Engine *engine = round->engine;
    if (result->err) { round_failed(round, result); round_done(round); return; }
    round->mails = 1;
    for (uint32_t i = 0; i < round->count; i++) {
        uint32_t wait_count;
        const WaitRow *waits = store_waits(result->batch, round->waits[i], &wait_count);
        copy_subscriptions(round, i, result->batch);
        if (round->modules[i] >= 0) keep_module(engine, round->events[i].module_hash, result->batch, round->modules[i]);
        put_mails(round, &round->events[i], waits, wait_count);
    }
    mails_done(round);
}

/* Who subscribes to a name is asked once for all events of it. */
static int ask_subscriptions(Round *round, uint32_t i, StoreBatch *batch) {
    for (uint32_t k = 0; k < i; k++)
        if (str_eq(round->events[k].name, round->events[i].name)) return round->subscriptions[k];
    return store_get_subscriptions(batch, round->events[i].name);
}

static void submit_second_read(Round *round) {
    Engine *engine = round->engine;
    StoreBatch *batch = store_batch(engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    round->waits = ARENA_ARRAY(round->arena, int, round->count);
    round->modules = ARENA_ARRAY(round->arena, int, round->count);
    round->subscriptions = ARENA_ARRAY(round->arena, int, round->count);
    round->subs = ARENA_ARRAY(round->arena, SubscriptionRow *, round->count);
    round->sub_counts = ARENA_ARRAY(round->arena, uint32_t, round->count);
    for (uint32_t i = 0; i < round->count; i++) {
        const EventRow *event = &round->events[i];
        round->waits[i] = store_get_waits_for(batch, event->tenant, event->name, event->payload);
        round->subscriptions[i] = ask_subscriptions(round, i, batch);
        round->modules[i] = engine_image_cached(engine, event->module_hash) ? -1 : store_get_module(batch, event->module_hash);
    }
    store_submit(batch, read_more, round);
}

static void waits_passed(const StoreResult *result, void *arg) {
    Round *round = arg;
    if (result->err) { round_failed(round, result); round_done(round); return; }
    submit_second_read(round);
}

static bool is_first_of_name(const Round *round, uint32_t i) {
    for (uint32_t k = 0; k < i; k++)
        if (str_eq(round->events[k].tenant, round->events[i].tenant) && str_eq(round->events[k].name, round->events[i].name)) return false;
    return true;
}

/* Where others write at the same time, waits for these events may be about to be durable. */
static void pass_waits(Round *round) {
    if (!engine_has_server(round->engine)) { submit_second_read(round); return; }
    StoreBatch *batch = store_batch(round->engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    for (uint32_t i = 0; i < round->count; i++)
        if (is_first_of_name(round, i)) store_pass_waits(batch, round->events[i].tenant, round->events[i].name);
    store_submit(batch, waits_passed, round);
}

void events_direct(Round *round) {
    round->publish = false;
    round->outstanding = 1;
    load_and_dispatch(round);
}

/* ---- rounds --------------------------------------------------------------------------------------------------------- */

static Round *round_new(Engine *engine) {
    Round *round = mem_alloc(sizeof *round);
    *round = (Round){ .engine = engine, .arena = arena_new(), .outstanding = 1 };
    engine->dispatching = true;
    return round;
}

static void copy_events(Round *round, const EventRow *rows, uint32_t count) {
    round->events = ARENA_ARRAY(round->arena, EventRow, count);
    for (uint32_t i = 0; i < count; i++) round->events[i] = events_copy(round->arena, &rows[i]);
    round->count = count;
}

static void outbox_read(const StoreResult *result, void *arg) {
    Round *round = arg;
    uint32_t count = 0;
    const EventRow *rows = NULL;
    if (result->err) round_failed(round, result);
    else rows = store_events(result->batch, 0, &count);
    if (count == 0) { round->publish = false; round_done(round); return; }
    round->more = count == EVENT_BATCH;
    copy_events(round, rows, count);
    pass_waits(round);
}

void events_dispatch(Engine *engine) {
    if (!engine->outbox_dirty || engine->dispatching || engine->broken) return;
    engine->outbox_dirty = false;
    Round *round = round_new(engine);
    round->publish = events_stream_up(engine);
    StoreBatch *batch = store_batch(engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    int64_t now = engine_now(engine);
    if (events_claims(engine)) store_claim_outbox(batch, now, now + events_republish_us(engine), EVENT_BATCH);
    else store_get_outbox(batch, EVENT_BATCH);
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
        Round *round = round_new(engine);
        copy_events(round, rows, 1);
        pass_waits(round);
        engine_pump(engine);
        if (engine->broken) { err = engine->broken; if (error) *error = engine->broken_error; }
    }
    store_batch_free(batch);
    return err;
}

/* ---- subscriptions ---------------------------------------------------------------------------------------------------- */

void events_subscribe(StoreBatch *batch, const Image *image) {
    char hash[SHA256_HEX + 1];
    hex_encode(image->hash.bytes, SHA256_BYTES, hash);
    Arena *arena = store_batch_arena(batch);
    const ImageHandler nobodys = { .agent = NO_INDEX };
    for (uint16_t i = 0; i < image->agent_count; i++) store_drop_subscriptions(batch, image->agents[i].name, str_of(hash));
    store_drop_subscriptions(batch, events_owner(image, &nobodys, arena), str_of(hash));
    for (uint16_t i = 0; i < image->handler_count; i++) {
        const ImageHandler *handler = &image->handlers[i];
        store_put_subscription(batch, &(SubscriptionRow){ .subscriber = events_subscriber(image, handler, arena), .owner = events_owner(image, handler, arena),
                                                          .event = image->events[handler->event].name, .module_hash = str_of(hash) });
    }
}
