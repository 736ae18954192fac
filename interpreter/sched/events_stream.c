/* events_stream.c - events over streams, between workers that serve.
 *
 * The outbox is the truth, the stream a messenger. A worker claims events of the outbox for a while, puts the mail of runs that await them and what
 * nobody subscribed to in order, and publishes the rest. A subscriber's worker reads an entry, looks the event up in the outbox, and makes the
 * handler's run in the commit that holds the row of the delivery; then it acknowledges. When every subscriber has it, the event is settled. An entry
 * that names no event, or one that is settled, or one of another name than its stream's, is acknowledged and does nothing.
 *
 * Whatever is not settled when the claim ends is claimed and published again, at once when streams or connection were lost. So it is when a
 * worker dies at any point of this. When the server does not take an event, it goes to its subscribers in the store, as without streams.
 *
 * `flowd run` and its like dispatch in the store always: they do not stay long enough to read what they publish. */
#include <event2/event.h>
#include <stdlib.h>
#include "interpreter/sched/events_internal.h"
#include "interpreter/store/streams.h"

struct EventStream {
    Engine *engine;
    Streams *streams;                                    /* NULL: no Redis */
    struct event *timer;
    bool republishing, subscribing, burying, closing;    /* store operations of these kinds under way */
    uint32_t outstanding;                                /* callbacks to come that name this */
};

int64_t events_republish_us(const Engine *engine) { return engine->options.event_republish_us ? engine->options.event_republish_us : EVENT_REPUBLISH; }

bool events_stream_up(const Engine *engine) { return engine->stream && streams_up(engine->stream->streams); }

/* In a store without a server, dispatching twice costs less than a claim; streams are made for many. */
bool events_claims(const Engine *engine) { return engine->stream && (engine_has_server(engine) || engine->stream->streams); }

/* ---- publishing ---------------------------------------------------------------------------------------------------- */

static void round_free(Round *round) {
    arena_free(round->arena);
    free(round);
}

static void published(bool ok, void *arg) {
    Round *round = arg;
    Engine *engine = round->engine;
    if (ok || engine->broken || !engine->stream || engine->stream->closing) round_free(round);
    else events_direct(round);
}

void events_stream_publish(Round *round) {
    Streams *streams = round->engine->stream ? round->engine->stream->streams : NULL;
    StreamEntry *entries = ARENA_ARRAY(round->arena, StreamEntry, round->count);
    uint32_t count = 0;
    if (!streams) { round_free(round); return; }
    for (uint32_t i = 0; i < round->count; i++) {
        const EventRow *event = &round->events[i];
        if (round->sub_counts[i] == 0) continue;
        for (uint32_t k = 0; k < round->sub_counts[i]; k++) streams_subscribe(streams, event->name, round->subs[i][k].subscriber);
        entries[count++] = (StreamEntry){ event->tenant, event->event_id, event->name, event->correlation, event->causation, event->hops };
    }
    streams_publish(streams, entries, count, published, round);
}

/* ---- delivering ---------------------------------------------------------------------------------------------------- */

typedef struct Delivery {
    Engine *engine;
    StreamGroup *group;
    Arena *arena;
    Str event, subscriber, module_hash;
    Str *tenants, *ids; uint32_t entry_count;
    EventRow *events; uint32_t count;                    /* those that are to be handled */
    int *reads, subscription;
    Str *hashes; int *modules; uint32_t hash_count;
    uint32_t outstanding;
    bool failed;
} Delivery;

static void delivery_end(Delivery *d) {
    Engine *engine = d->engine;
    EventStream *stream = engine->stream;
    stream->outstanding--;
    engine->progress += d->count;
    engine->claim_wanted |= d->count > 0;
    if (!stream->closing) streams_done(d->group, !d->failed);
    arena_free(d->arena);
    free(d);
}

/* The batch's error is no reason to stop the engine: the entries come again. A store that is gone says so to everybody. */
static void delivery_failed(Delivery *d, const StoreResult *result) {
    d->failed = true;
    if (result->err == ERR_IO || result->err == ERR_CRASH) engine_break(d->engine, result->err, &result->error);
}

static void settled(const StoreResult *result, void *arg) {
    Delivery *d = arg;
    if (result->err) delivery_failed(d, result);
    delivery_end(d);
}

static int by_position(const void *a, const void *b) {
    const EventRow *x = a, *y = b;
    return x->position < y->position ? -1 : x->position > y->position;
}

/* In a commit behind those of the deliveries, so that of two subscribers that finish at the same time the later one sees both; in the order of
   positions, so that two that settle at the same time do not wait for each other. */
static void settle(Delivery *d) {
    StoreBatch *batch = store_batch(d->engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    qsort(d->events, d->count, sizeof *d->events, by_position);
    for (uint32_t i = 0; i < d->count; i++) store_settle_event(batch, d->events[i].tenant, d->events[i].position);
    store_submit(batch, settled, d);
}

static void delivered(const StoreResult *result, void *arg) {
    Delivery *d = arg;
    if (result->err) delivery_failed(d, result);
    if (--d->outstanding) return;
    if (d->failed || d->engine->broken) delivery_end(d);
    else settle(d);
}

static void deliver_one(Delivery *d, const EventRow *event) {
    Engine *engine = d->engine;
    Image *image = engine_image_cached(engine, d->module_hash), *own = engine_image_cached(engine, event->module_hash);
    const ImageHandler *handler = image ? events_find_handler(image, d->subscriber) : NULL;
    StoreBatch *batch = store_batch(engine->store, event->tenant, (Str){ "", 0 }, 0);
    RunRow row;
    Error error;
    bool wanted = false;
    Err err = handler ? events_handler_row(engine, image, event, handler, d->arena, &row, &wanted, &error)
                      : err_set(&error, ERR_NOT_FOUND, "module %.*s, which subscribed, is missing or damaged", STR_ARG(d->module_hash));
    const ImageHandler *other = err && own && own != image ? events_find_handler(own, d->subscriber) : NULL;
    if (other && str_eq(own->events[other->event].name, event->name)) err = events_handler_row(engine, own, event, other, d->arena, &row, &wanted, &error);
    if (err) events_put_dead(batch, engine, event, d->subscriber, 0, str_of(error.text));
    store_deliver(batch, event->tenant, event->event_id, d->subscriber, !err && wanted ? &row : NULL);
    d->outstanding++;
    store_submit(batch, delivered, d);
}

static void deliver_all(Delivery *d) {
    d->outstanding = 1;
    for (uint32_t i = 0; i < d->count; i++) deliver_one(d, &d->events[i]);
    if (--d->outstanding == 0) { if (d->count) settle(d); else delivery_end(d); }
}

static void modules_read(const StoreResult *result, void *arg) {
    Delivery *d = arg;
    if (result->err) { delivery_failed(d, result); delivery_end(d); return; }
    for (uint32_t i = 0; i < d->hash_count; i++) {
        bool found;
        Image *image;
        Str bytes = store_bytes(result->batch, d->modules[i], NULL, &found);
        if (found && !engine_image_cached(d->engine, d->hashes[i])) engine_image_keep(d->engine, d->hashes[i], bytes, &image, NULL);
    }
    deliver_all(d);
}

static void want_module(Delivery *d, Str hash) {
    if (engine_image_cached(d->engine, hash)) return;
    for (uint32_t i = 0; i < d->hash_count; i++)
        if (str_eq(d->hashes[i], hash)) return;
    d->hashes[d->hash_count++] = hash;
}

static void load_modules(Delivery *d) {
    d->hashes = ARENA_ARRAY(d->arena, Str, d->count + 1);
    d->modules = ARENA_ARRAY(d->arena, int, d->count + 1);
    if (d->count) want_module(d, d->module_hash);
    for (uint32_t i = 0; i < d->count; i++) want_module(d, d->events[i].module_hash);
    if (d->hash_count == 0) { deliver_all(d); return; }
    StoreBatch *batch = store_batch(d->engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    for (uint32_t i = 0; i < d->hash_count; i++) d->modules[i] = store_get_module(batch, d->hashes[i]);
    store_submit(batch, modules_read, d);
}

static bool is_known(const Delivery *d, const EventRow *event) {
    for (uint32_t i = 0; i < d->count; i++)
        if (d->events[i].position == event->position) return true;
    return false;
}

/* What the entries name, as the outbox has it. */
static void entries_read(const StoreResult *result, void *arg) {
    Delivery *d = arg;
    if (result->err) { delivery_failed(d, result); delivery_end(d); return; }
    uint32_t count;
    const SubscriptionRow *subs = store_subscriptions(result->batch, d->subscription, &count);
    for (uint32_t i = 0; i < count; i++)
        if (str_eq(subs[i].subscriber, d->subscriber)) d->module_hash = arena_str(d->arena, subs[i].module_hash);
    d->events = ARENA_ARRAY(d->arena, EventRow, d->entry_count);
    for (uint32_t i = 0; i < d->entry_count && d->module_hash.len; i++) {
        uint32_t found;
        const EventRow *event = store_events(result->batch, d->reads[i], &found);
        if (found && !event->dispatched && !events_too_far(event) && str_eq(event->name, d->event) && !is_known(d, event)) d->events[d->count++] = events_copy(d->arena, event);
    }
    load_modules(d);
}

static void on_entries(StreamGroup *group, Str event, Str subscriber, const StreamEntry *entries, uint32_t count, void *arg) {
    EventStream *stream = arg;
    Delivery *d = mem_alloc(sizeof *d);
    *d = (Delivery){ .engine = stream->engine, .group = group, .arena = arena_new(), .entry_count = count };
    d->event = arena_str(d->arena, event);
    d->subscriber = arena_str(d->arena, subscriber);
    d->reads = ARENA_ARRAY(d->arena, int, count);
    StoreBatch *batch = store_batch(stream->engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    d->subscription = store_get_subscriptions(batch, event);
    for (uint32_t i = 0; i < count; i++) d->reads[i] = store_get_event(batch, entries[i].tenant, entries[i].event_id);
    stream->outstanding++;
    store_submit(batch, entries_read, d);
}

/* ---- what is done now and then ------------------------------------------------------------------------------------ */

static void republished(const StoreResult *result, void *arg) {
    EventStream *stream = arg;
    stream->outstanding--;
    stream->republishing = false;
    if (result->err == ERR_IO || result->err == ERR_CRASH) engine_break(stream->engine, result->err, &result->error);
    stream->engine->outbox_dirty = true;
}

/* Everything that is not settled may be published again: claims end now. */
static void on_lost(void *arg) {
    EventStream *stream = arg;
    if (stream->republishing || stream->closing) return;
    stream->republishing = true;
    stream->outstanding++;
    StoreBatch *batch = store_batch(stream->engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    store_republish(batch);
    store_submit(batch, republished, stream);
}

static void subscriptions_read(const StoreResult *result, void *arg) {
    EventStream *stream = arg;
    uint32_t count = 0;
    stream->outstanding--;
    stream->subscribing = false;
    if (stream->closing) return;
    if (result->err) { engine_break(stream->engine, result->err, &result->error); return; }
    const SubscriptionRow *subs = store_subscriptions(result->batch, 0, &count);
    streams_begin(stream->streams);
    for (uint32_t i = 0; i < count; i++) streams_subscribe(stream->streams, subs[i].event, subs[i].subscriber);
    streams_end(stream->streams);
}

static void read_subscriptions(EventStream *stream) {
    if (stream->subscribing) return;
    stream->subscribing = true;
    stream->outstanding++;
    StoreBatch *batch = store_batch(stream->engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    store_get_subscriptions(batch, (Str){ "", 0 });
    store_submit(batch, subscriptions_read, stream);
}

typedef struct Burial { EventStream *stream; Arena *arena; DeadRow *rows; uint32_t count; } Burial;

static void burial_end(Burial *burial) {
    burial->stream->outstanding--;
    burial->stream->burying = false;
    arena_free(burial->arena);
    free(burial);
}

static void buried(const StoreResult *result, void *arg) {
    Burial *burial = arg;
    if (result->err == ERR_IO || result->err == ERR_CRASH) engine_break(burial->stream->engine, result->err, &result->error);
    burial_end(burial);
}

static void dead_published(bool ok, void *arg) {
    Burial *burial = arg;
    if (!ok || burial->stream->closing) { burial_end(burial); return; }
    StoreBatch *batch = store_batch(burial->stream->engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    for (uint32_t i = 0; i < burial->count; i++) store_dead_published(batch, &burial->rows[i]);
    store_submit(batch, buried, burial);
}

static void dead_read(const StoreResult *result, void *arg) {
    Burial *burial = arg;
    uint32_t count = 0;
    const DeadRow *rows = result->err ? NULL : store_dead(result->batch, 0, &count);
    if (result->err || count == 0 || burial->stream->closing) { buried(result, burial); return; }
    StreamDead *entries = ARENA_ARRAY(burial->arena, StreamDead, count);
    burial->rows = ARENA_ARRAY(burial->arena, DeadRow, count);
    burial->count = count;
    for (uint32_t i = 0; i < count; i++) {
        DeadRow *row = &burial->rows[i];
        *row = (DeadRow){ .tenant = arena_str(burial->arena, rows[i].tenant), .event_id = arena_str(burial->arena, rows[i].event_id),
                          .subscriber = arena_str(burial->arena, rows[i].subscriber), .attempts = rows[i].attempts };
        entries[i] = (StreamDead){ row->tenant, row->event_id, row->subscriber, row->attempts };
    }
    streams_publish_dead(burial->stream->streams, entries, count, dead_published, burial);
}

static void publish_dead(EventStream *stream) {
    if (stream->burying || !streams_up(stream->streams)) return;
    Burial *burial = mem_alloc(sizeof *burial);
    *burial = (Burial){ .stream = stream, .arena = arena_new() };
    stream->burying = true;
    stream->outstanding++;
    StoreBatch *batch = store_batch(stream->engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    store_get_unpublished_dead(batch, EVENT_BATCH);
    store_submit(batch, dead_read, burial);
}

/* Claims that have ended, modules that others deployed, letters that came. */
static void on_timer(evutil_socket_t fd, short what, void *arg) {
    EventStream *stream = arg;
    Engine *engine = stream->engine;
    if (engine->broken || stream->closing) return;
    if (engine_now(engine) > engine->outbox_until_us) return;            /* nobody emitted, deployed or buried of late: an idle worker asks nothing */
    engine->outbox_dirty = true;
    if (!stream->streams) return;
    read_subscriptions(stream);
    publish_dead(stream);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static Err open_streams(EventStream *stream, Error *error) {
    Engine *engine = stream->engine;
    char name[SHA256_HEX + 1];
    Sha256 digest = hmac_sha256((Str){ (const char *)engine->key.bytes, sizeof engine->key.bytes }, STR("streams"));
    hex_encode(digest.bytes, 8, name);
    int64_t stall_us = engine->options.event_stall_us ? engine->options.event_stall_us : EVENT_STALL;
    StreamsOptions options = { .url = engine->options.redis_url, .loop = engine->loop, .store = str_of(name), .consumer = str_of(engine->worker), .stall_ms = stall_us / 1000,
                               .deliver = on_entries, .lost = on_lost, .arg = stream };
    return streams_open(&options, &stream->streams, error);
}

Err events_serve(Engine *engine, Error *error) {
    EventStream *stream = mem_alloc(sizeof *stream);
    *stream = (EventStream){ .engine = engine };
    engine->stream = stream;
    events_expected(engine);
    Err err = engine->options.redis_url && engine->options.redis_url[0] ? open_streams(stream, error) : ERR_OK;
    int64_t every = events_republish_us(engine);
    stream->timer = event_new(engine->loop, -1, EV_PERSIST, on_timer, stream);
    event_add(stream->timer, &(struct timeval){ every / 1000000, every % 1000000 });
    if (!err && stream->streams) read_subscriptions(stream);
    if (err) events_rest(engine);
    return err;
}

/* What is published is published; what is being handed to subscribers is finished or comes again. */
void events_rest(Engine *engine) {
    EventStream *stream = engine->stream;
    if (!stream) return;
    stream->closing = true;
    streams_close(stream->streams);
    stream->streams = NULL;                              /* a round that is under way has nowhere to publish any more: its claim ends by itself */
    while (stream->outstanding && store_busy(engine->store)) store_wait(engine->store);
    event_free(stream->timer);
    engine->stream = NULL;
    free(stream);
}
