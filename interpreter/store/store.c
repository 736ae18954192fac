/* store.c - the queues before a store: group commit, interactive transactions, crash points.
 *
 * What is submitted waits in lists, in order. When the loop is idle (a zero timer) or somebody flushes, the batches at the head become
 * one transaction of the store beneath; one commit makes them all durable and then the callbacks run, in order. An embedded store has
 * one seat: everything stands in one list, and while an interactive transaction is open what is behind it waits. A store with a server
 * has several, each a connection and a lane on which the same code waits without holding up the loop: one for writes, some for reads,
 * some for transactions, each with a list of its own. A read begins when the writes are done that were submitted before it and may
 * concern it. Callbacks never run on a lane; they may submit, flush and run batches again: every list is popped before one is called.
 *
 * To add a store: a StoreOps, and a row in STORES.
 */
#include "interpreter/store/store.h"

#include "interpreter/store/lane.h"
#include "interpreter/store/sql_gc.h"

#include <assert.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>

enum { STORE_SEATS_MAX = 32, STORE_RUN_BUCKETS = 1024 };

typedef enum { WORK_BATCH, WORK_TXN_BEGIN, WORK_TXN_COMMIT } WorkKind;
typedef struct Work {
    struct Work *next;
    WorkKind kind;
    uint64_t ticket, after;              /* after: the newest write that must be done before */
    StoreBatch *batch;                   /* COMMIT: may be NULL */
    StoreTxn *txn;
    Err err; Error error;
    StoreDone done; void *arg;
} Work;
typedef struct WorkList { Work *first, *last; } WorkList;

/* A connection and what it does now. */
typedef struct Seat {
    Store *store;
    ConnRole role;
    void *conn;
    Lane *lane;                          /* NULL: inline */
    StoreTxn *txn;                       /* the open one */
    Work *work[STORE_GROUP_MAX]; int count;
} Seat;

struct StoreTxn {
    Store *store;
    Seat *seat;
    Arena *arena;
    StoreBatch *fence;                   /* tenant, run and epoch; holds no operation */
    void (*ready)(Err err, StoreTxn *txn, void *arg);
    void *arg;
    WorkList queue;
    bool changed, wakes, ending, rolled_back;        /* ending: its commit is under way */
    int holds;                           /* the seat's, and that of a commit whose callback was not called */
};

struct Store {
    const StoreOps *ops;
    void *state;
    bool read_only, crashed, lanes;
    struct event *idle;                  /* NULL without a loop */
    Seat *seats; uint32_t seat_count;    /* the first is for writes, or for everything */
    WorkList writes, reads, begins, finished;            /* without lanes all stands in `writes` */
    uint64_t ticket, commits;
    uint64_t written;                    /* every write up to this ticket is done */
    uint64_t last_write[STORE_RUN_BUCKETS], last_common; /* newest write submitted, by its run, and of none */
    uint64_t crash_in; CrashSide crash_side; bool crash_kills;
    uint32_t key_id; uint8_t key[32];
    Arena *spare[STORE_SPARE_ARENAS]; int spare_count;
};

static const StoreOps *const STORES[] = { &STORE_SQLITE, &STORE_POSTGRES, &STORE_REDIS };

static void on_idle(evutil_socket_t fd, short what, void *arg);
static bool turn(Store *store);
static void deliver(Store *store);
static void finish_all(Store *store);

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
    uint32_t count = 1 + ops->read_lanes + ops->txn_lanes;
    assert(count <= STORE_SEATS_MAX);
    store->lanes = ops->read_lanes > 0;
    store->seats = mem_alloc(count * sizeof *store->seats);
    add_seat(store, CONN_WRITES, 0, loop);
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
        store->idle = evtimer_new(options->loop, on_idle, store);
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
    finish_all(store);
    if (store->idle)
        event_free(store->idle);
    for (uint32_t i = 0; i < store->seat_count; i++)
        lane_free(store->seats[i].lane);
    free(store->seats);
    if (store->state)
        store->ops->close(store->state);
    for (int i = 0; i < store->spare_count; i++)
        arena_free(store->spare[i]);
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

void store_crash_at(Store *store, uint64_t nth, CrashSide side, bool kill_process)
{
    store->crash_in = nth;
    store->crash_side = side;
    store->crash_kills = kill_process;
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

Arena *store_arena_take(Store *store)
{
    return store->spare_count ? store->spare[--store->spare_count] : arena_new();
}

void store_arena_give(Store *store, Arena *arena)
{
    if (store->spare_count == STORE_SPARE_ARENAS) {
        arena_free(arena);
        return;
    }
    arena_reset(arena);
    store->spare[store->spare_count++] = arena;
}

/* ---- lists --------------------------------------------------------------------------------------------- */

static void push(WorkList *list, Work *work)
{
    work->next = NULL;
    if (list->last)
        list->last->next = work;
    else
        list->first = work;
    list->last = work;
}

static Work *pop(WorkList *list)
{
    Work *work = list->first;
    if (!work)
        return NULL;
    list->first = work->next;
    if (!list->first)
        list->last = NULL;
    return work;
}

static void wake_loop(Store *store)
{
    if (store->idle && !event_pending(store->idle, EV_TIMEOUT, NULL))
        event_add(store->idle, &(struct timeval){ 0, 0 });
}

/* Something can be done now. With lanes every submission and every end of a seat's work asks for it itself. */
static void arm(Store *store)
{
    const StoreTxn *txn = store->seats[0].txn;
    if (store->finished.first || (!store->lanes && (txn ? txn->queue.first : store->writes.first)))
        wake_loop(store);
}

static uint64_t *last_write_of(Store *store, const StoreBatch *batch)
{
    if (batch->run_id.len == 0)
        return &store->last_common;
    return &store->last_write[(hash64(batch->run_id, hash64(batch->tenant, 0))) % STORE_RUN_BUCKETS];
}

/* What reads a run waits for its writes and for those that belong to no run; what belongs to none waits for all. */
static uint64_t newest_before(Store *store, const StoreBatch *batch)
{
    if (batch->run_id.len == 0)
        return store->ticket;
    uint64_t own = *last_write_of(store, batch);
    return own > store->last_common ? own : store->last_common;
}

static Work *new_work(Store *store, WorkKind kind, Arena *arena, StoreBatch *batch, StoreTxn *txn, StoreDone done, void *arg)
{
    Work *work = ARENA_NEW(arena, Work);
    work->kind = kind;
    work->batch = batch;
    work->txn = txn;
    work->done = done;
    work->arg = arg;
    const StoreBatch *about = batch ? batch : txn->fence;
    work->after = newest_before(store, about);
    work->ticket = ++store->ticket;
    if (batch && batch->writes && !txn)
        *last_write_of(store, batch) = work->ticket;
    return work;
}

static void submit(Store *store, WorkList *list, Work *work)
{
    push(list, work);
    wake_loop(store);
}

/* The outcome is fixed; the callback comes from deliver(). */
static void finish(Store *store, Work *work, Err err, const Error *error)
{
    work->err = err;
    if (err && error)
        work->error = *error;
    work->error.code = err;
    if (work->batch) {
        work->batch->err = err;
        work->batch->error = work->error;
        work->batch->finished = true;
        store_batch_release(work->batch);
    }
    push(&store->finished, work);
}

static void let_go(StoreTxn *txn)
{
    if (--txn->holds == 0)
        store_arena_give(txn->store, txn->arena);
}

static void deliver_begin(Work *work)
{
    StoreTxn *txn = work->txn;
    Err err = work->err;
    txn->ready(err, err ? NULL : txn, txn->arg);
    if (err)
        let_go(txn);
}

static void deliver(Store *store)
{
    for (Work *work; (work = pop(&store->finished));) {
        if (work->kind == WORK_TXN_BEGIN) {
            deliver_begin(work);
            continue;
        }
        StoreBatch *batch = work->batch;
        bool keep = batch && batch->keep;
        StoreTxn *ended = work->kind == WORK_TXN_COMMIT ? work->txn : NULL;
        if (work->done) {
            StoreResult result = { .err = work->err, .error = work->error, .batch = batch };
            work->done(&result, work->arg);
        }
        if (batch && !keep)
            store_batch_free(batch);
        if (ended)
            let_go(ended);
    }
}

/* ---- commits ------------------------------------------------------------------------------------------- */

static Err crash(Store *store, Error *error)
{
    if (store->crash_kills)
        raise(SIGKILL);
    store->crashed = true;
    return err_set(error, ERR_CRASH, "crashed %s durable operation %llu, as asked", store->crash_side == CRASH_BEFORE ? "before" : "after",
                   (unsigned long long)store->commits + (store->crash_side == CRASH_BEFORE));
}

/* Ends the open transaction. One that changed something is a durable operation and may be where a test wants the crash. *decided: the
   store said what became of it; else, after an error, nobody knows. */
static Err commit(Seat *seat, bool changed, bool *decided, Error *error)
{
    Store *store = seat->store;
    const StoreOps *ops = store->ops;
    *decided = true;
    Err err = store->crash_in && ops->settle ? ops->settle(seat->conn, &changed, error) : ERR_OK;       /* is it one? */
    bool hit = !err && changed && store->crash_in && --store->crash_in == 0;
    if (hit && store->crash_side == CRASH_BEFORE)
        err = crash(store, error);
    if (!err) {
        err = ops->commit(seat->conn, error);
        *decided = err != ERR_IO;
    }
    if (err) {
        ops->rollback(seat->conn);
        return err;
    }
    if (ops->settle)
        ops->settle(seat->conn, &changed, NULL);            /* nothing is under way any more: this only asks */
    if (changed)
        store->commits++;
    return hit ? crash(store, error) : ERR_OK;
}

static Err refuse(const Store *store, const StoreBatch *batch, Error *error)
{
    if (store->crashed)
        return err_set(error, ERR_CRASH, "the store crashed, as asked");
    if (batch && batch->writes && store->read_only)
        return err_set(error, ERR_UNSUPPORTED, "cannot write: the store is open for reading");
    return ERR_OK;
}

/* Applies one batch in the open transaction. *lost: the store ended the transaction, so nothing of it stands. */
static Err apply(Seat *seat, StoreBatch *batch, bool *changed, bool *lost, Error *error)
{
    Store *store = seat->store;
    Err err = refuse(store, batch, error);
    bool its = false;
    if (!err) {
        err = store->ops->apply(seat->conn, batch, &its, error);
        *lost = err && !store->ops->in_transaction(seat->conn);
    }
    if (!err)
        *changed |= its;
    return err;
}

static void finish_group(Seat *seat, Err err, const Error *error)
{
    for (int i = 0; i < seat->count; i++) {
        Work *work = seat->work[i];
        bool own = work->err && err != ERR_CRASH;
        Error text = own ? work->error : *error;
        finish(seat->store, work, own ? work->err : err, &text);
    }
}

static void announce(Seat *seat, bool wakes)
{
    if (wakes && seat->store->ops->announce)
        seat->store->ops->announce(seat->conn);
}

/* What lost a race gets a transaction of its own: it holds no locks of others that way, so two groups cannot wait for each other for ever. */
static void commit_alone(Seat *seat, Work *work)
{
    Store *store = seat->store;
    for (int tries = 0; tries < STORE_BUSY_TRIES && work->err == ERR_BUSY; tries++) {
        bool changed = false, lost = false, decided;
        store_batch_reset(work->batch);
        work->err = store->ops->begin(seat->conn, work->batch->writes, &work->error);
        if (!work->err)
            work->err = apply(seat, work->batch, &changed, &lost, &work->error);
        if (!work->err) {
            announce(seat, store_batch_wakes(work->batch));
            work->err = commit(seat, changed, &decided, &work->error);
        } else
            store->ops->rollback(seat->conn);
    }
}

/* The batches of a run take effect in their order: behind one that lost a race they wait with it. */
static bool behind_busy(const Seat *seat, int at)
{
    const StoreBatch *batch = seat->work[at]->batch;
    for (int i = 0; i < at && batch->run_id.len; i++) {
        const StoreBatch *before = seat->work[i]->batch;
        if (seat->work[i]->err == ERR_BUSY && str_eq(before->run_id, batch->run_id) && str_eq(before->tenant, batch->tenant))
            return true;
    }
    return false;
}

/* Batch by batch, each undone alone. */
static Err commit_one_by_one(Seat *seat, bool writes, Error *error)
{
    Store *store = seat->store;
    bool changed = false, lost = false, decided, wakes = false, busy = false;
    Err err = store->ops->begin(seat->conn, writes && !store->read_only, error);
    for (int i = 0; i < seat->count && !err && !lost; i++) {
        Work *work = seat->work[i];
        store_batch_reset(work->batch);
        if (busy && behind_busy(seat, i))
            work->err = err_set(&work->error, ERR_BUSY, "waits for a batch of its run that lost a race");
        else
            work->err = apply(seat, work->batch, &changed, &lost, &work->error);
        busy |= work->err == ERR_BUSY;
        wakes |= !work->err && store_batch_wakes(work->batch);
    }
    if (err)
        return err;
    if (lost) {
        store->ops->rollback(seat->conn);
        return err_set(error, ERR_IO, "could not commit: the store ended the transaction");
    }
    announce(seat, wakes);
    err = commit(seat, changed, &decided, error);
    for (int i = 0; i < seat->count && !err; i++)
        if (seat->work[i]->err == ERR_BUSY)
            commit_alone(seat, seat->work[i]);
    return err;
}

/* The whole group, as if nothing could fail. *final: it stands, or there is no use in doing it again. */
static Err commit_at_once(Seat *seat, bool *final, Error *error)
{
    const StoreOps *ops = seat->store->ops;
    StoreBatch *batches[STORE_GROUP_MAX];
    bool changed = false, wakes = false, decided = true;
    Err err = ERR_OK;
    for (int i = 0; i < seat->count && !err; i++) {
        batches[i] = seat->work[i]->batch;
        wakes |= store_batch_wakes(batches[i]);
        err = refuse(seat->store, batches[i], error);
    }
    *final = false;
    if (!err)
        err = ops->begin(seat->conn, true, error);
    if (err)
        return err;
    err = ops->apply_group ? ops->apply_group(seat->conn, batches, (uint32_t)seat->count, &changed, error) : ERR_UNSUPPORTED;
    if (err == ERR_UNSUPPORTED) {
        err = ERR_OK;
        for (int i = 0; i < seat->count && !err; i++)
            err = ops->apply_ahead(seat->conn, batches[i], error);
    }
    if (err) {
        ops->rollback(seat->conn);
        return err;
    }
    announce(seat, wakes);
    err = commit(seat, changed, &decided, error);
    *final = !err || !decided || err == ERR_CRASH;
    return err;
}

static Err commit_each(Seat *seat, Error *error)
{
    StoreBatch *batches[STORE_GROUP_MAX];
    Err errs[STORE_GROUP_MAX];
    Error *errors = mem_alloc((size_t)seat->count * sizeof *errors);    /* a lane's stack is short */
    uint32_t count = 0;
    bool changed = false, wakes = false, decided;
    for (int i = 0; i < seat->count; i++) {
        Work *work = seat->work[i];
        if (!(work->err = refuse(seat->store, work->batch, &work->error)))
            batches[count++] = work->batch;
    }
    if (count)
        seat->store->ops->apply_each(seat->conn, batches, count, errs, errors, &changed);
    for (uint32_t i = 0, at = 0; i < (uint32_t)seat->count; i++) {
        Work *work = seat->work[i];
        if (work->err)
            continue;
        work->err = errs[at];
        work->error = errors[at++];
        wakes |= !work->err && store_batch_wakes(work->batch);
    }
    free(errors);
    announce(seat, wakes);
    return commit(seat, changed, &decided, error);
}

static void commit_group(Seat *seat)
{
    Store *store = seat->store;
    bool writes = false, final = false;
    for (int i = 0; i < seat->count; i++)
        writes |= seat->work[i]->batch->writes;
    Error error = { 0 };
    Err err = refuse(store, NULL, &error);
    final = err != ERR_OK;
    if (!err && store->ops->apply_each) {
        err = commit_each(seat, &error);
        final = true;
    } else if (!err && store->ops->apply_ahead && !store->read_only)
        err = commit_at_once(seat, &final, &error);
    if (!final)
        err = commit_one_by_one(seat, writes, &error);
    finish_group(seat, err, &error);
}

/* The batches at the head of the queue, up to the next transaction. */
static void take_group(Seat *seat, WorkList *list)
{
    seat->count = 0;
    while (seat->count < STORE_GROUP_MAX && list->first && list->first->kind == WORK_BATCH)
        seat->work[seat->count++] = pop(list);
}

/* ---- interactive transactions -------------------------------------------------------------------------- */

void store_txn_begin(Store *store, Str tenant, Str run_id, uint64_t epoch, void (*ready)(Err err, StoreTxn *txn, void *arg), void *arg)
{
    Arena *arena = store_arena_take(store);
    StoreTxn *txn = ARENA_NEW(arena, StoreTxn);
    txn->store = store;
    txn->arena = arena;
    txn->fence = store_batch_in(arena, store, tenant, run_id, epoch);
    txn->ready = ready;
    txn->arg = arg;
    txn->holds = 1;
    submit(store, store->lanes ? &store->begins : &store->writes, new_work(store, WORK_TXN_BEGIN, arena, NULL, txn, NULL, NULL));
}

static void begin_txn(Seat *seat, Work *work)
{
    Store *store = seat->store;
    Error error;
    StoreBatch probe = { .writes = true };
    Err err = refuse(store, &probe, &error);
    if (!err)
        err = store->ops->begin(seat->conn, true, &error);
    if (!err && (err = store->ops->check_fence(seat->conn, work->txn->fence, &error)))
        store->ops->rollback(seat->conn);
    if (err)
        seat->txn = NULL;
    finish(store, work, err, &error);
}

void store_txn_run(StoreTxn *txn, StoreBatch *batch, StoreDone done, void *arg)
{
    assert(txn->seat && txn->seat->txn == txn);
    submit(txn->store, &txn->queue, new_work(txn->store, WORK_BATCH, batch->arena, batch, txn, done, arg));
}

void store_txn_commit(StoreTxn *txn, StoreBatch *last, StoreDone done, void *arg)
{
    assert(txn->seat && txn->seat->txn == txn);
    txn->holds++;
    submit(txn->store, &txn->queue, new_work(txn->store, WORK_TXN_COMMIT, last ? last->arena : txn->arena, last, txn, done, arg));
}

static void undo_txn(Seat *seat)
{
    StoreTxn *txn = seat->txn;
    seat->txn = NULL;
    seat->store->ops->rollback(seat->conn);
    let_go(txn);
}

static void work_in_txn(Seat *seat, StoreTxn *txn, Work *work)
{
    Store *store = seat->store;
    Error error = { 0 };
    bool lost = false, decided;
    Err err = refuse(store, work->batch, &error);
    if (!err && !store->ops->in_transaction(seat->conn))
        err = err_set(&error, ERR_IO, "could not go on: the store ended the transaction");
    if (!err && work->batch) {
        err = apply(seat, work->batch, &txn->changed, &lost, &error);
        txn->wakes |= !err && store_batch_wakes(work->batch);
    }
    if (work->kind == WORK_TXN_COMMIT) {
        if (err)
            store->ops->rollback(seat->conn);
        else {
            announce(seat, txn->wakes);
            err = commit(seat, txn->changed, &decided, &error);
        }
        seat->txn = NULL;
        assert(!txn->queue.first);
        let_go(txn);
    }
    finish(store, work, err, &error);
}

/* ---- seats --------------------------------------------------------------------------------------------- */

static bool seat_busy(const Seat *seat)
{
    return seat->lane && lane_busy(seat->lane);
}

static void read_alone(Seat *seat)
{
    Work *work = seat->work[0];
    Error error = { 0 };
    Err err = refuse(seat->store, work->batch, &error);
    if (!err)
        err = seat->store->ops->read(seat->conn, work->batch, &error);
    finish(seat->store, work, err, &error);
}

/* On the seat's lane: what it was given, to its end. */
static void work_on_seat(void *arg)
{
    Seat *seat = arg;
    Work *work = seat->count ? seat->work[0] : NULL;
    if (seat->role == CONN_WRITES) {
        uint64_t last = seat->work[seat->count - 1]->ticket;
        commit_group(seat);
        seat->store->written = last;
    } else if (seat->role == CONN_READS)
        read_alone(seat);
    else if (work && work->kind == WORK_TXN_BEGIN)
        begin_txn(seat, work);
    else if (work)
        work_in_txn(seat, seat->txn, work);
    if (seat->txn && seat->txn->rolled_back)
        undo_txn(seat);
    seat->count = 0;
    wake_loop(seat->store);
}

static void give(Seat *seat, Work *work)
{
    seat->work[0] = work;
    seat->count = work != NULL;
    lane_start(seat->lane, work_on_seat, seat);
}

/* The newest write that is not done yet, or 0 when all are. */
static bool may_begin(const Store *store, const Work *work)
{
    bool writing = seat_busy(&store->seats[0]) || store->writes.first;
    return !writing || work->after <= store->written;
}

/* The oldest that may begin: one whose run is being written holds up nobody else. */
static Work *pop_ready(Store *store, WorkList *list)
{
    Work *before = NULL;
    for (Work *work = list->first; work; before = work, work = work->next) {
        if (!may_begin(store, work))
            continue;
        if (!before)
            return pop(list);
        before->next = work->next;
        if (list->last == work)
            list->last = before;
        return work;
    }
    return NULL;
}

static Work *next_for(Store *store, Seat *seat)
{
    if (seat->role == CONN_READS)
        return pop_ready(store, &store->reads);
    if (seat->txn) {
        Work *work = pop(&seat->txn->queue);
        seat->txn->ending = work && work->kind == WORK_TXN_COMMIT;
        return work;
    }
    Work *work = pop_ready(store, &store->begins);
    if (work) {
        seat->txn = work->txn;
        work->txn->seat = seat;
    }
    return work;
}

/* Gives every free seat what it may do now. */
static bool start_seats(Store *store)
{
    bool any = false;
    for (uint32_t i = 0; i < store->seat_count; i++) {
        Seat *seat = &store->seats[i];
        if (seat_busy(seat))
            continue;
        if (seat->role == CONN_WRITES) {
            take_group(seat, &store->writes);
            if (seat->count)
                lane_start(seat->lane, work_on_seat, seat);
            any |= seat->count > 0;
            continue;
        }
        Work *work = next_for(store, seat);
        if (work)
            give(seat, work);
        any |= work != NULL;
    }
    return any;
}

/* Waits until a lane went on; false when none is under way. */
static bool drive(Store *store)
{
    Lane *lanes[STORE_SEATS_MAX];
    bool any = false;
    for (uint32_t i = 0; i < store->seat_count; i++) {
        lanes[i] = store->seats[i].lane;
        any |= seat_busy(&store->seats[i]);
    }
    if (any)
        lane_drive(lanes, store->seat_count, -1);
    return any;
}

/* What was submitted into it and not done yet ends with ERR_INVALID. */
void store_txn_rollback(StoreTxn *txn)
{
    Store *store = txn->store;
    Seat *seat = txn->seat;
    assert(seat->txn == txn);
    if (txn->ending)                                        /* too late: its commit says what became of it */
        return;
    Error error;
    err_set(&error, ERR_INVALID, "the transaction was rolled back");
    for (Work *work; (work = pop(&txn->queue));)
        finish(store, work, ERR_INVALID, &error);
    txn->rolled_back = true;
    if (!seat->lane)
        undo_txn(seat);
    else if (!seat_busy(seat))
        give(seat, NULL);
    arm(store);
}

/* ---- turns --------------------------------------------------------------------------------------------- */

void store_submit(StoreBatch *batch, StoreDone done, void *arg)
{
    Store *store = batch->store;
    submit(store, store->lanes && !batch->writes ? &store->reads : &store->writes, new_work(store, WORK_BATCH, batch->arena, batch, NULL, done, arg));
}

/* Inline: one commit, one start of a transaction or one step in the open one. False when nothing can be done now. */
static bool turn_inline(Store *store)
{
    Seat *seat = &store->seats[0];
    if (seat->txn) {
        Work *work = pop(&seat->txn->queue);
        if (work)
            work_in_txn(seat, seat->txn, work);
        return work != NULL;
    }
    const Work *head = store->writes.first;
    if (!head)
        return false;
    if (head->kind == WORK_TXN_BEGIN) {
        seat->txn = head->txn;
        head->txn->seat = seat;
        begin_txn(seat, pop(&store->writes));
        return true;
    }
    take_group(seat, &store->writes);
    commit_group(seat);
    return true;
}

/* Begins what can be done now; false when that is nothing. */
static bool turn(Store *store)
{
    return store->lanes ? start_seats(store) : turn_inline(store);
}

/* One turn only: what the callbacks submit shares the next commit with what else came meanwhile. Seats that are free begin with what
   waits already, so that the server works while the callbacks do. */
static void on_idle(evutil_socket_t fd, short what, void *arg)
{
    Store *store = arg;
    if (store->lanes)
        start_seats(store);
    deliver(store);
    turn(store);
    deliver(store);
    arm(store);
}

static bool list_holds(const WorkList *list, uint64_t until)
{
    return list->first && list->first->ticket <= until;
}

/* Is something under way or waiting that was submitted up to this ticket and can go on by itself? */
static bool pending(const Store *store, uint64_t until)
{
    if (list_holds(&store->finished, until))
        return true;
    for (uint32_t i = 0; i < store->seat_count; i++) {
        const Seat *seat = &store->seats[i];
        if (seat_busy(seat) && (!seat->count || seat->work[0]->ticket <= until))
            return true;
        if (seat->txn && list_holds(&seat->txn->queue, until))
            return true;
    }
    if (!store->lanes)
        return !store->seats[0].txn && list_holds(&store->writes, until);
    return list_holds(&store->writes, until) || list_holds(&store->reads, until) || list_holds(&store->begins, until);
}

void store_flush(Store *store)
{
    uint64_t until = store->ticket;                         /* not what the callbacks add */
    if (store->lanes) {
        start_seats(store);
        deliver(store);
        return;
    }
    for (;;) {
        deliver(store);
        if (!pending(store, until) || !turn(store))
            break;
    }
    deliver(store);
    arm(store);
}

void store_wait(Store *store)
{
    assert(!lane_current());
    if (!store->lanes) {
        store_flush(store);
        return;
    }
    uint64_t until = store->ticket;
    for (;;) {
        deliver(store);
        if (!pending(store, until))
            return;
        bool began = start_seats(store);
        if (!store->finished.first && !drive(store) && !began)
            return;                                         /* a transaction waits for a seat that an open one has */
    }
}

/* Closing does all that was submitted, then rolls back what nobody is left to end. */
static void finish_all(Store *store)
{
    for (uint32_t i = 0; i < store->seat_count;) {
        store_wait(store);
        if (store_busy(store) && (turn(store) || drive(store) || store->finished.first))
            continue;
        while (i < store->seat_count && !store->seats[i].txn)
            i++;
        if (i < store->seat_count)
            store_txn_rollback(store->seats[i].txn);
    }
    if (store->seats)
        store_wait(store);
}

bool store_busy(const Store *store)
{
    return pending(store, UINT64_MAX) || store->writes.first;
}

static void remove_from(WorkList *list, const StoreBatch *batch)
{
    WorkList rest = { 0 };
    for (Work *work; (work = pop(list));)
        if (work->batch != batch)
            push(&rest, work);
    *list = rest;
}

/* Takes a batch out of the queue again that cannot run now. */
static void withdraw(Store *store, const StoreBatch *batch)
{
    remove_from(&store->writes, batch);
    remove_from(&store->reads, batch);
}

Err store_run_batch(StoreBatch *batch, Error *error)
{
    Store *store = batch->store;
    assert(!lane_current());
    batch->keep = true;
    store_submit(batch, NULL, NULL);
    while (!batch->finished) {
        bool began = turn(store), finished = store->finished.first != NULL;
        deliver(store);
        if (!batch->finished && !began && !finished && !drive(store))
            break;
    }
    if (!batch->finished) {
        withdraw(store, batch);
        store_batch_release(batch);
        batch->finished = true;
        batch->err = err_set(&batch->error, ERR_IO, "could not run the batch: a transaction is open and waits");
    }
    deliver(store);
    arm(store);
    if (batch->err && error)
        *error = batch->error;
    return batch->err;
}

/* ---- upkeep -------------------------------------------------------------------------------------------- */

Err store_fsck(Store *store, FsckReport *report, Buf *out, Error *error)
{
    *report = (FsckReport){ 0 };
    Err err = refuse(store, NULL, error);
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
    Err err = refuse(store, NULL, error);
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
