/* store_commit.c - what a seat does: a group as one commit, an interactive transaction step by step, a read; and crash points.
 *
 * The batches of a group are one transaction of the store beneath; one commit makes them all durable and then the callbacks run, in order.
 * A failing batch is undone alone.
 */
#include "interpreter/store/store_queue.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>

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

Err store_refuse(const Store *store, const StoreBatch *batch, Error *error)
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
    Err err = store_refuse(store, batch, error);
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
        queue_finish(seat->store, work, own ? work->err : err, own ? &work->error : error);
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
        err = store_refuse(seat->store, batches[i], error);
    }
    *final = false;
    if (!err)
        err = ops->begin_at_once ? ops->begin_at_once(seat->conn, error) : ops->begin(seat->conn, true, error);
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
        if (!(work->err = store_refuse(seat->store, work->batch, &work->error)))
            batches[count++] = work->batch;
    }
    if (count)
        seat->store->ops->apply_each(seat->conn, batches, count, errs, errors, &changed);
    for (uint32_t i = 0, at = 0; i < (uint32_t)seat->count; i++) {
        Work *work = seat->work[i];
        if (work->err)
            continue;
        if ((work->err = errs[at]))
            work->error = errors[at];
        at++;
        wakes |= !work->err && store_batch_wakes(work->batch);
    }
    free(errors);
    announce(seat, wakes);
    return commit(seat, changed, &decided, error);
}

void seat_commit_group(Seat *seat)
{
    Store *store = seat->store;
    bool writes = false, final = false;
    for (int i = 0; i < seat->count; i++)
        writes |= seat->work[i]->batch->writes;
    Error error = { 0 };
    Err err = store_refuse(store, NULL, &error);
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

/* ---- interactive transactions, reads ------------------------------------------------------------------- */

void seat_begin_txn(Seat *seat, Work *work)
{
    Store *store = seat->store;
    Error error;
    StoreBatch probe = { .writes = true };
    Err err = store_refuse(store, &probe, &error);
    if (!err)
        err = store->ops->begin(seat->conn, true, &error);
    if (!err && (err = store->ops->check_fence(seat->conn, work->txn->fence, &error)))
        store->ops->rollback(seat->conn);
    if (err)
        queue_free_seat(seat);
    queue_finish(store, work, err, &error);
}

void seat_undo_txn(Seat *seat)
{
    StoreTxn *txn = seat->txn;
    queue_free_seat(seat);
    seat->store->ops->rollback(seat->conn);
    queue_let_go(txn);
}

void seat_work_in_txn(Seat *seat, StoreTxn *txn, Work *work)
{
    Store *store = seat->store;
    Error error = { 0 };
    bool lost = false, decided;
    Err err = store_refuse(store, work->batch, &error);
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
        queue_free_seat(seat);
        assert(!txn->queue.first);
        queue_let_go(txn);
    }
    queue_finish(store, work, err, &error);
}

static void read_one(Seat *seat, Work *work)
{
    Error error = { 0 };
    Err err = store_refuse(seat->store, work->batch, &error);
    if (!err)
        err = seat->store->ops->read(seat->conn, work->batch, &error);
    queue_finish(seat->store, work, err, &error);
}

static Err read_loads(Seat *seat)
{
    uint32_t count = (uint32_t)seat->count;
    StoreBatch *batches[STORE_LOADS_MAX];
    Err errs[STORE_LOADS_MAX] = { ERR_OK };
    Error error, *errors = mem_alloc(count * sizeof *errors);           /* a lane's stack is short */
    for (uint32_t i = 0; i < count; i++)
        batches[i] = seat->work[i]->batch;
    Err err = store_refuse(seat->store, NULL, &error);
    if (!err)
        err = seat->store->ops->read_loads(seat->conn, batches, count, errs, errors, &error);
    for (uint32_t i = 0; i < count; i++)
        if (err)
            store_batch_reset(batches[i]);
        else
            queue_finish(seat->store, seat->work[i], errs[i], &errors[i]);
    free(errors);
    return err;
}

void seat_read(Seat *seat)
{
    if (seat->count > 1 && read_loads(seat) == ERR_OK)
        return;
    for (int i = 0; i < seat->count; i++)
        read_one(seat, seat->work[i]);
}
