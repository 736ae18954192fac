/* store.c - the queue before a store: group commit, interactive transactions, crash points.
 *
 * What is submitted waits in one list, in order. When the loop is idle (a zero timer) or somebody flushes, the batches at its head
 * become one transaction of the store beneath, each inside a savepoint; one commit makes them all durable and then the callbacks
 * run, in order. An interactive transaction stands in the same list: what is behind it waits until it ends, and its own batches
 * have a list of their own. Callbacks may submit, flush and run batches again: every list is popped before a callback is called.
 *
 * To add a store: a StoreOps, and a row in STORES.
 */
#include "interpreter/store/store.h"

#include "interpreter/store/store_internal.h"

#include <assert.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>

typedef enum { WORK_BATCH, WORK_TXN_BEGIN, WORK_TXN_COMMIT } WorkKind;
typedef struct Work {
    struct Work *next;
    WorkKind kind;
    uint64_t ticket;
    StoreBatch *batch;                   /* COMMIT: may be NULL */
    StoreTxn *txn;
    Err err; Error error;
    StoreDone done; void *arg;
} Work;
typedef struct WorkList { Work *first, *last; } WorkList;

struct StoreTxn {
    Store *store;
    Arena *arena;
    StoreBatch *fence;                   /* tenant, run and epoch; holds no operation */
    void (*ready)(Err err, StoreTxn *txn, void *arg);
    void *arg;
    WorkList queue;
    bool changed;
};

struct Store {
    const StoreOps *ops;
    void *state;
    bool read_only, crashed;
    struct event *idle;                  /* NULL without a loop */
    WorkList queue, finished;
    StoreTxn *txn;                       /* the open one */
    uint64_t ticket, commits;
    void (*wake)(void *arg); void *wake_arg;
    uint64_t crash_in; CrashSide crash_side; bool crash_kills;
    uint32_t key_id; uint8_t key[32];
    Arena *spare[STORE_SPARE_ARENAS]; int spare_count;
};

static const StoreOps *const STORES[] = { &STORE_SQLITE };

static void on_idle(evutil_socket_t fd, short what, void *arg);
static bool turn(Store *store);
static void deliver(Store *store);

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

static const StoreOps *find_ops(const char *url, const char **place)
{
    for (size_t i = 0; i < sizeof STORES / sizeof *STORES; i++) {
        size_t len = strlen(STORES[i]->kind);
        if (strncmp(url, STORES[i]->kind, len) == 0 && url[len] == ':') {
            *place = url + len + 1;
            return STORES[i];
        }
    }
    return NULL;
}

Err store_open(const char *url, const StoreOptions *options, Store **out, Error *error)
{
    const char *place = NULL;
    const StoreOps *ops = find_ops(url, &place);
    if (!ops)
        return err_set(error, ERR_UNSUPPORTED, "cannot open store `%.200s`: expected sqlite:PATH", url);
    Store *store = mem_alloc(sizeof *store);
    store->ops = ops;
    store->read_only = options && options->read_only;
    Err err = crash_from_environment(store, error);
    if (!err)
        err = ops->open(place, store->read_only, &store->state, error);
    if (!err)
        err = ops->key(store->state, &store->key_id, store->key, error);
    if (!err && options && options->loop) {
        store->idle = evtimer_new(options->loop, on_idle, store);
        if (!store->idle)
            err = err_set(error, ERR_IO, "could not make the store's event");
    }
    if (err) {
        store_close(store);
        return err;
    }
    *out = store;
    return ERR_OK;
}

void store_close(Store *store)
{
    if (!store)
        return;
    for (;;) {
        deliver(store);
        if (turn(store))
            continue;
        if (!store->txn)
            break;
        store_txn_rollback(store->txn);                     /* nobody is left to end it */
    }
    if (store->idle)
        event_free(store->idle);
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

static void arm(Store *store)
{
    bool waiting = store->finished.first || (store->txn ? store->txn->queue.first : store->queue.first);
    if (store->idle && waiting && !event_pending(store->idle, EV_TIMEOUT, NULL))
        event_add(store->idle, &(struct timeval){ 0, 0 });
}

static void submit(Store *store, WorkList *list, WorkKind kind, Arena *arena, StoreBatch *batch, StoreTxn *txn, StoreDone done, void *arg)
{
    Work *work = ARENA_NEW(arena, Work);
    work->kind = kind;
    work->ticket = ++store->ticket;
    work->batch = batch;
    work->txn = txn;
    work->done = done;
    work->arg = arg;
    push(list, work);
    arm(store);
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

static void deliver(Store *store)
{
    for (Work *work; (work = pop(&store->finished));) {
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
            store_arena_give(store, ended->arena);
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

/* Ends the open transaction. One that changed something is a durable operation and may be where a test wants the crash. */
static Err commit(Store *store, bool changed, Error *error)
{
    bool hit = changed && store->crash_in && --store->crash_in == 0;
    if (hit && store->crash_side == CRASH_BEFORE) {
        Err err = crash(store, error);
        store->ops->rollback(store->state);
        return err;
    }
    Err err = store->ops->commit(store->state, error);
    if (err) {
        store->ops->rollback(store->state);
        return err;
    }
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
static Err apply(Store *store, StoreBatch *batch, bool *changed, bool *lost, Error *error)
{
    Err err = refuse(store, batch, error);
    bool its = false;
    if (!err) {
        err = store->ops->apply(store->state, batch, &its, error);
        *lost = err && !store->ops->in_transaction(store->state);
    }
    if (!err)
        *changed |= its;
    return err;
}

/* The batches at the head of the queue, up to the next transaction, as one commit. */
static void commit_group(Store *store)
{
    Work *group[STORE_GROUP_MAX];
    int count = 0;
    bool writes = false, changed = false, lost = false;
    while (count < STORE_GROUP_MAX && store->queue.first && store->queue.first->kind == WORK_BATCH) {
        group[count] = pop(&store->queue);
        writes |= group[count++]->batch->writes;
    }
    Error error = { 0 };
    Err err = refuse(store, NULL, &error);
    if (!err)
        err = store->ops->begin(store->state, writes && !store->read_only, &error);
    if (!err) {
        for (int i = 0; i < count && !lost; i++)
            group[i]->err = apply(store, group[i]->batch, &changed, &lost, &group[i]->error);
        if (lost)
            err = err_set(&error, ERR_IO, "could not commit: the store ended the transaction");
        else
            err = commit(store, changed, &error);
    }
    for (int i = 0; i < count; i++) {
        bool own = group[i]->err && err != ERR_CRASH;
        Error text = own ? group[i]->error : error;
        finish(store, group[i], own ? group[i]->err : err, &text);
    }
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
    submit(store, &store->queue, WORK_TXN_BEGIN, arena, NULL, txn, NULL, NULL);
}

static void start_txn(Store *store, StoreTxn *txn)
{
    Error error;
    StoreBatch probe = { .writes = true };
    Err err = refuse(store, &probe, &error);
    if (!err)
        err = store->ops->begin(store->state, true, &error);
    if (!err && (err = store->ops->check_fence(store->state, txn->fence, &error)))
        store->ops->rollback(store->state);
    if (err) {
        txn->ready(err, NULL, txn->arg);
        store_arena_give(store, txn->arena);
        return;
    }
    store->txn = txn;
    txn->ready(ERR_OK, txn, txn->arg);
}

void store_txn_run(StoreTxn *txn, StoreBatch *batch, StoreDone done, void *arg)
{
    assert(txn->store->txn == txn);
    submit(txn->store, &txn->queue, WORK_BATCH, batch->arena, batch, txn, done, arg);
}

void store_txn_commit(StoreTxn *txn, StoreBatch *last, StoreDone done, void *arg)
{
    assert(txn->store->txn == txn);
    submit(txn->store, &txn->queue, WORK_TXN_COMMIT, last ? last->arena : txn->arena, last, txn, done, arg);
}

/* What was submitted into it and not done yet ends with ERR_INVALID. */
static void abandon(Store *store, StoreTxn *txn, Err err, const Error *error)
{
    for (Work *work; (work = pop(&txn->queue));)
        finish(store, work, err, error);
}

void store_txn_rollback(StoreTxn *txn)
{
    Store *store = txn->store;
    assert(store->txn == txn);
    store->txn = NULL;
    store->ops->rollback(store->state);
    bool commit_waits = txn->queue.last && txn->queue.last->kind == WORK_TXN_COMMIT;
    Error error;
    err_set(&error, ERR_INVALID, "the transaction was rolled back");
    abandon(store, txn, ERR_INVALID, &error);
    if (!commit_waits)                                      /* else deliver() returns the arena, with the commit's work in it */
        store_arena_give(store, txn->arena);
    arm(store);
}

static void work_in_txn(Store *store, StoreTxn *txn, Work *work)
{
    Error error = { 0 };
    bool lost = false;
    Err err = refuse(store, work->batch, &error);
    if (!err && !store->ops->in_transaction(store->state))
        err = err_set(&error, ERR_IO, "could not go on: the store ended the transaction");
    if (!err && work->batch)
        err = apply(store, work->batch, &txn->changed, &lost, &error);
    if (work->kind == WORK_TXN_COMMIT) {
        if (err)
            store->ops->rollback(store->state);
        else
            err = commit(store, txn->changed, &error);
        store->txn = NULL;
        assert(!txn->queue.first);
    }
    finish(store, work, err, &error);
}

/* ---- turns --------------------------------------------------------------------------------------------- */

void store_submit(StoreBatch *batch, StoreDone done, void *arg)
{
    submit(batch->store, &batch->store->queue, WORK_BATCH, batch->arena, batch, NULL, done, arg);
}

/* One commit, one start of a transaction or one step in the open one. False when nothing can be done now. */
static bool turn(Store *store)
{
    if (store->txn) {
        Work *work = pop(&store->txn->queue);
        if (work)
            work_in_txn(store, store->txn, work);
        return work != NULL;
    }
    Work *head = store->queue.first;
    if (!head)
        return false;
    if (head->kind == WORK_TXN_BEGIN)
        start_txn(store, pop(&store->queue)->txn);
    else
        commit_group(store);
    return true;
}

/* One turn only: what the callbacks submit shares the next commit with what else came meanwhile. */
static void on_idle(evutil_socket_t fd, short what, void *arg)
{
    Store *store = arg;
    deliver(store);
    turn(store);
    deliver(store);
    arm(store);
}

void store_flush(Store *store)
{
    uint64_t until = store->ticket;                         /* not what the callbacks add */
    for (;;) {
        deliver(store);
        const Work *head = store->txn ? store->txn->queue.first : store->queue.first;
        if (!head || head->ticket > until || !turn(store))
            break;
    }
    deliver(store);
    arm(store);
}

bool store_busy(const Store *store)
{
    return store->finished.first || store->queue.first || (store->txn && store->txn->queue.first);
}

void store_wait(Store *store)
{
    store_flush(store);
}

void store_on_wake(Store *store, void (*wake)(void *arg), void *arg)
{
    store->wake = wake;
    store->wake_arg = arg;
}

/* Takes a batch out of the queue again that cannot run now. */
static void withdraw(Store *store, const StoreBatch *batch)
{
    WorkList rest = { 0 };
    for (Work *work; (work = pop(&store->queue));)
        if (work->batch != batch)
            push(&rest, work);
    store->queue = rest;
}

Err store_run_batch(StoreBatch *batch, Error *error)
{
    Store *store = batch->store;
    batch->keep = true;
    store_submit(batch, NULL, NULL);
    while (!batch->finished && turn(store))
        deliver(store);
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
    if (store->txn)
        return err_set(error, ERR_IO, "could not check the store: a transaction is open");
    if ((err = store->ops->begin(store->state, false, error)))
        return err;
    err = store->ops->fsck(store->state, report, out, error);
    store->ops->rollback(store->state);
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
