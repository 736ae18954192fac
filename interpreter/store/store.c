/* store.c - a store's life: found by its URL, opened, asked about, closed. Its work is in store_queue.c and store_commit.c.
 *
 * To add a store: a StoreOps, and a row in STORES.
 */
#include "interpreter/store/sql_gc.h"
#include "interpreter/store/store_queue.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>

static const StoreOps *const STORES[] = { &STORE_SQLITE, &STORE_POSTGRES, &STORE_REDIS };

/* ---- life ---------------------------------------------------------------------------------------------- */

static Err crash_from_environment(Store *store, Error *error)
{
    const char *text = getenv("FLOW_CRASH_AT");
    if (!text || !*text)
        return ERR_OK;
    char *end;
    unsigned long long nth = strtoull(text, &end, 10);
    bool before = strcmp(end, ":before") == 0, after = strcmp(end, ":after") == 0;
    if (end == text || *text == '-' || (!before && !after))
        return err_set(error, ERR_INVALID, "FLOW_CRASH_AT: expected N:before or N:after, found `%.40s`", text);
    store_crash_at(store, nth, before ? CRASH_BEFORE : CRASH_AFTER, true);
    return ERR_OK;
}

static const char *behind_scheme(const char *url, const char *scheme)
{
    size_t len = scheme ? strlen(scheme) : 0;
    return len && strncmp(url, scheme, len) == 0 && url[len] == ':' ? url + len + 1 : NULL;
}

static const StoreOps *find_ops(const char *url, const char **place)
{
    for (size_t i = 0; i < sizeof STORES / sizeof *STORES; i++) {
        const StoreOps *ops = STORES[i];
        const char *behind = behind_scheme(url, ops->kind);
        if (!behind && !behind_scheme(url, ops->also))
            continue;
        *place = ops->also ? url : behind;
        return ops;
    }
    return NULL;
}

/* The scheme alone: what follows it may hold a password. */
static int scheme_length(const char *url)
{
    const char *at = strstr(url, "://");
    return at && at - url < 60 ? (int)(at - url) + 3 : strchr(url, '@') ? 0 : (int)strnlen(url, 200);
}

static Err unknown_scheme(const char *url, Error *error)
{
    return err_set(error, ERR_UNSUPPORTED, "cannot open store `%.*s`: expected sqlite:PATH, postgresql://… or redis://…", scheme_length(url), url);
}

static void add_seat(Store *store, ConnRole role, uint32_t number, struct event_base *loop)
{
    Seat *seat = &store->seats[store->seat_count++];
    seat->store = store;
    seat->role = role;
    seat->conn = store->ops->conn(store->state, role, number);
    if (store->lanes)
        seat->lane = lane_new(loop);
}

static void add_seats(Store *store, struct event_base *loop)
{
    const StoreOps *ops = store->ops;
    uint32_t count = 1 + ops->more_write_lanes + ops->read_lanes + ops->txn_lanes;
    assert(count <= STORE_SEATS_MAX);
    store->lanes = ops->read_lanes > 0;
    store->seats = mem_alloc(count * sizeof *store->seats);
    store->write_seats = 1 + ops->more_write_lanes;
    for (uint32_t i = 0; i < store->write_seats; i++)
        add_seat(store, CONN_WRITES, i, loop);
    for (uint32_t i = 0; i < ops->read_lanes; i++)
        add_seat(store, CONN_READS, i, loop);
    for (uint32_t i = 0; i < ops->txn_lanes; i++)
        add_seat(store, CONN_TXN, i, loop);
}

Err store_open(const char *url, const StoreOptions *options, Store **out, Error *error)
{
    static const StoreOptions NONE;
    const char *place = NULL;
    const StoreOps *ops = find_ops(url, &place);
    if (!options)
        options = &NONE;
    if (!ops)
        return unknown_scheme(url, error);
    Store *store = mem_alloc(sizeof *store);
    store->ops = ops;
    store->read_only = options->read_only;
    Err err = crash_from_environment(store, error);
    if (!err)
        err = ops->open(place, options, &store->state, error);
    if (!err)
        err = ops->key(store->state, &store->key_id, store->key, error);
    if (!err && options->loop) {
        store->idle = evtimer_new(options->loop, queue_on_idle, store);
        if (!store->idle)
            err = err_set(error, ERR_IO, "could not make the store's event");
    }
    if (err) {
        store_close(store);
        return err;
    }
    add_seats(store, options->loop);
    *out = store;
    return ERR_OK;
}

void store_close(Store *store)
{
    if (!store)
        return;
    queue_finish_all(store);
    if (store->idle)
        event_free(store->idle);
    for (uint32_t i = 0; i < store->seat_count; i++)
        lane_free(store->seats[i].lane);
    free(store->seats);
    if (store->state)
        store->ops->close(store->state);
    explicit_bzero(store->key, sizeof store->key);
    free(store);
}

const char *store_kind(const Store *store)
{
    return store->ops->kind;
}

bool store_is_up(const Store *store)
{
    return !store->ops->is_up || store->ops->is_up(store->state);
}

void store_on_wake(Store *store, void (*wake)(void *arg), void *arg)
{
    if (store->ops->on_wake)
        store->ops->on_wake(store->state, wake, arg);
}

bool store_calls(const Store *store)
{
    return store->ops->on_wake && (!store->ops->calls || store->ops->calls(store->state));
}

uint64_t store_submitted(const Store *store)
{
    return store->ticket;
}

void store_snapshot_key(Store *store, uint32_t *id, uint8_t bytes[32])
{
    *id = store->key_id;
    memcpy(bytes, store->key, sizeof store->key);
}

uint64_t store_crash_at(Store *store, uint64_t nth, CrashSide side, bool kill_process)
{
    uint64_t left = store->crash_in;
    store->crash_in = nth;
    store->crash_side = side;
    store->crash_kills = kill_process;
    return left;
}

uint64_t store_commits(const Store *store)
{
    return store->commits;
}

const char *run_status_name(RunStatus status)
{
    static const char *const NAMES[] = { "ready", "running", "parked", "completed", "failed", "cancelled" };
    return (unsigned)status < sizeof NAMES / sizeof *NAMES ? NAMES[status] : "unknown";
}

/* ---- upkeep -------------------------------------------------------------------------------------------- */

Err store_fsck(Store *store, FsckReport *report, Buf *out, Error *error)
{
    *report = (FsckReport){ 0 };
    Err err = store_refuse(store, NULL, error);
    if (err)
        return err;
    store_wait(store);
    Seat *seat = &store->seats[0];
    if (seat->txn)
        return err_set(error, ERR_IO, "could not check the store: a transaction is open");
    if ((err = store->ops->begin(seat->conn, false, error)))
        return err;
    err = store->ops->fsck(seat->conn, report, out, error);
    store->ops->rollback(seat->conn);
    return err;
}

/* One page; where it ended is copied to where the next begins. */
static Err gc_page(Store *store, GcPart part, int64_t before_us, Arena *arena, GcPage *page, Error *error)
{
    StoreBatch *batch = store_batch(store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    StoreOp *op = store_add_op(batch, DO_GC, true);
    int slot = op->result;
    op->number = part;
    op->now_us = before_us;
    op->limit = GC_PAGE;
    op->text = arena_str(batch->arena, page->tenant);
    op->more = arena_str(batch->arena, page->run_id);
    Err err = store_run_batch(batch, error);
    if (!err) {
        *page = *(const GcPage *)batch->slots[slot].rows;
        arena_reset(arena);
        page->tenant = arena_str(arena, page->tenant);
        page->run_id = arena_str(arena, page->run_id);
    }
    store_batch_free(batch);
    return err;
}

Err store_gc(Store *store, int64_t before_us, GcReport *report, void (*told)(const GcReport *so_far, void *arg), void *arg, Error *error)
{
    Err err = ERR_OK;
    Arena *arena = arena_new();
    *report = (GcReport){ 0 };
    for (GcPart part = 0; part < GC_PART_COUNT && !err; part++) {
        GcPage page = { .tenant = { "", 0 }, .run_id = { "", 0 }, .more = true };
        while (page.more && !(err = gc_page(store, part, before_us, arena, &page, error))) {
            report->runs += page.runs;
            report->journal_rows += page.journal_rows;
            report->events += page.events;
            report->dead += page.dead;
            if (told)
                told(report, arg);
        }
    }
    arena_free(arena);
    return err;
}

Err store_fork(Store *store, Str tenant, Str run_id, uint64_t at_seq, Str new_run_id, int64_t now_us, Error *error)
{
    StoreBatch *batch = store_batch(store, tenant, run_id, 0);
    StoreOp *op = store_add_op(batch, DO_FORK, false);
    op->text = arena_str(batch->arena, new_run_id);
    op->number = at_seq;
    op->now_us = now_us;
    Err err = store_run_batch(batch, error);
    store_batch_free(batch);
    return err;
}

Err store_clear(Store *store, Error *error)
{
    Err err = store_refuse(store, NULL, error);
    if (err)
        return err;
    if (!store->ops->clear)
        return err_set(error, ERR_UNSUPPORTED, "cannot clear a %s store: drop it", store->ops->kind);
    store_wait(store);
    Seat *seat = &store->seats[0];
    if (seat->txn)
        return err_set(error, ERR_IO, "could not clear the store: a transaction is open");
    if ((err = store->ops->begin(seat->conn, true, error)))
        return err;
    err = store->ops->clear(seat->conn, error);
    if (!err)
        err = store->ops->commit(seat->conn, error);
    if (err)
        store->ops->rollback(seat->conn);
    return err;
}

Err store_drop(const char *url, Error *error)
{
    const char *place = NULL;
    const StoreOps *ops = find_ops(url, &place);
    if (!ops)
        return unknown_scheme(url, error);
    return ops->drop(place, error);
}
