/* store_queue.c - what is submitted waits in lists, in order, until a seat takes it.
 *
 * When the loop is idle (a zero timer) or somebody flushes, the batches at the head become one group. An embedded store has one seat:
 * everything stands in one list, and while an interactive transaction is open what is behind it waits. A store with a server has several,
 * each a connection and a lane on which the same code waits without holding up the loop: two for writes, some for reads, some for
 * transactions, each with a list of its own. A read begins when the writes are done that were submitted before it and may concern it.
 * Callbacks never run on a lane; they may submit, flush and run batches again: every list is popped before one is called.
 */
#include "interpreter/store/store_queue.h"

#include <assert.h>
#include <event2/event.h>
#include <stddef.h>

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
    return &store->last_write[batch->run_hash % STORE_RUN_BUCKETS];
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
    Work *work = arena_take(arena, sizeof *work);
    memset(work, 0, offsetof(Work, error));                 /* the error is written when there is one: it is longer than all else */
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
void queue_finish(Store *store, Work *work, Err err, const Error *error)
{
    work->err = err;
    if (err && error != &work->error)
        work->error = error ? *error : (Error){ 0 };
    work->error.code = err;
    if (work->batch) {
        work->batch->err = err;
        work->batch->error = err ? &work->error : NULL;     /* both are in the batch's arena */
        work->batch->finished = true;
        store_batch_release(work->batch);
    }
    push(&store->finished, work);
}

void queue_let_go(StoreTxn *txn)
{
    if (--txn->holds == 0)
        arena_free(txn->arena);
}

static void deliver_begin(Work *work)
{
    StoreTxn *txn = work->txn;
    Err err = work->err;
    txn->ready(err, err ? NULL : txn, txn->arg);
    if (err)
        queue_let_go(txn);
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
            StoreResult result;
            result.err = work->err;
            result.batch = batch;
            if (work->err)
                result.error = work->error;
            else
                result.error.code = ERR_OK, result.error.text[0] = '\0';
            work->done(&result, work->arg);
        }
        if (batch && !keep)
            store_batch_free(batch);
        if (ended)
            queue_let_go(ended);
    }
}

/* ---- interactive transactions -------------------------------------------------------------------------- */

void store_txn_begin(Store *store, Str tenant, Str run_id, uint64_t epoch, void (*ready)(Err err, StoreTxn *txn, void *arg), void *arg)
{
    Arena *arena = arena_new();
    StoreTxn *txn = ARENA_NEW(arena, StoreTxn);
    txn->store = store;
    txn->arena = arena;
    txn->fence = store_batch_in(arena, store, tenant, run_id, epoch);
    txn->ready = ready;
    txn->arg = arg;
    txn->holds = 1;
    submit(store, store->lanes ? &store->begins : &store->writes, new_work(store, WORK_TXN_BEGIN, arena, NULL, txn, NULL, NULL));
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

/* ---- seats --------------------------------------------------------------------------------------------- */

static bool seat_busy(const Seat *seat)
{
    return seat->lane && lane_busy(seat->lane);
}

static void seat_txn(Seat *seat, StoreTxn *txn)
{
    seat->txn = txn;
    txn->seat = seat;
    seat->store->open_txns++;
}

void queue_free_seat(Seat *seat)
{
    seat->txn = NULL;
    seat->store->open_txns--;
}

static uint32_t held_bit(const StoreBatch *batch) { return batch->run_hash % STORE_HELD_BITS; }

static void hold(Seat *seat, const StoreBatch *batch)
{
    uint32_t bit = held_bit(batch);
    if (batch->run_id.len == 0)
        seat->holds_all = true;
    seat->held[bit / 64] |= UINT64_C(1) << bit % 64;
}

/* Another seat writes something now that this one must come behind. */
static bool held_elsewhere(const Seat *seat, const StoreBatch *batch)
{
    const Store *store = seat->store;
    uint32_t bit = held_bit(batch);
    for (uint32_t i = 0; i < store->write_seats; i++) {
        const Seat *other = &store->seats[i];
        if (other != seat && seat_busy(other) && (batch->run_id.len == 0 || other->holds_all || other->held[bit / 64] >> bit % 64 & 1))
            return true;
    }
    return false;
}

/* A seat that finds all others idle leaves them half of much work: then the server works on one half while the callbacks make more of the other. Work on few
   runs, or with a batch of none in it, is not much: the other half could not begin beside it. */
static int most_for(const Seat *seat)
{
    const Store *store = seat->store;
    int waiting = 0, runs = 0;
    if (store->write_seats == 1)
        return STORE_GROUP_MAX;
    for (uint32_t i = 0; i < store->write_seats; i++)
        if (seat_busy(&store->seats[i]))
            return STORE_GROUP_MAX;
    for (const Work *work = store->writes.first; work && waiting < STORE_GROUP_MAX; work = work->next, waiting++)
        if (work->kind != WORK_BATCH || work->batch->run_id.len == 0)
            return STORE_GROUP_MAX;
    if (waiting < 2 * STORE_SPLIT_MIN)
        return STORE_GROUP_MAX;
    uint64_t seen[STORE_HELD_BITS / 64] = { 0 };
    const Work *work = store->writes.first;
    for (int i = 0; i < waiting; i++, work = work->next) {
        uint32_t bit = held_bit(work->batch);
        runs += !(seen[bit / 64] >> bit % 64 & 1);
        seen[bit / 64] |= UINT64_C(1) << bit % 64;
    }
    return runs < 2 * STORE_SPLIT_MIN ? STORE_GROUP_MAX : waiting / 2;
}

/* The batches at the head of the queue, up to the next transaction. What must come behind the group of another seat is passed over, and so is what follows it of
   the same run, since the same group holds it up; a batch of no run comes behind all that was submitted before it. */
static void take_group(Seat *seat, WorkList *list)
{
    WorkList passed = { 0 };
    seat->count = 0;
    if (!list->first)
        return;
    int most = most_for(seat);
    seat->holds_all = false;
    memset(seat->held, 0, sizeof seat->held);
    while (seat->count < most && list->first && list->first->kind == WORK_BATCH) {
        Work *work = list->first;
        bool wait = held_elsewhere(seat, work->batch) || (passed.first && work->batch->run_id.len == 0);
        if (wait && work->batch->run_id.len == 0)
            break;
        pop(list);
        if (wait)
            push(&passed, work);
        else {
            hold(seat, work->batch);
            seat->work[seat->count++] = work;
        }
    }
    if (passed.first) {
        passed.last->next = list->first;
        list->last = list->first ? list->last : passed.last;
        list->first = passed.first;
    }
}

/* On the seat's lane: what it was given, to its end. */
static void work_on_seat(void *arg)
{
    Seat *seat = arg;
    Work *work = seat->count ? seat->work[0] : NULL;
    if (seat->role == CONN_WRITES)
        seat_commit_group(seat);
    else if (seat->role == CONN_READS)
        seat_read(seat);
    else if (work && work->kind == WORK_TXN_BEGIN)
        seat_begin_txn(seat, work);
    else if (work)
        seat_work_in_txn(seat, seat->txn, work);
    if (seat->txn && seat->txn->rolled_back)
        seat_undo_txn(seat);
    seat->count = 0;
    wake_loop(seat->store);
}

static void give(Seat *seat, Work *work)
{
    seat->work[0] = work;
    seat->count = work != NULL;
    lane_start(seat->lane, work_on_seat, seat);
}

/* Is every write done that it comes behind? */
static bool may_begin(const Store *store, const Work *work)
{
    if (store->writes.first && store->writes.first->ticket <= work->after)
        return false;
    for (uint32_t i = 0; i < store->write_seats; i++)
        if (seat_busy(&store->seats[i]) && store->seats[i].work[0]->ticket <= work->after)
            return false;
    return true;
}

/* The oldest that may begin: one whose run is being written holds up nobody else. `loads`: of those that store_batch_loads(). */
static Work *pop_ready(Store *store, WorkList *list, bool loads)
{
    Work *before = NULL;
    for (Work *work = list->first; work; before = work, work = work->next) {
        if ((loads && !store_batch_loads(work->batch)) || !may_begin(store, work))
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

/* One read, or many loads: for one run as for many the server is asked once. */
static void take_reads(Seat *seat)
{
    Store *store = seat->store;
    Work *work = pop_ready(store, &store->reads, false);
    seat->count = 0;
    if (work)
        seat->work[seat->count++] = work;
    if (!work || !store->ops->read_loads || !store_batch_loads(work->batch))
        return;
    while (seat->count < STORE_LOADS_MAX && (work = pop_ready(store, &store->reads, true)))
        seat->work[seat->count++] = work;
}

static Work *next_for(Store *store, Seat *seat)
{
    if (seat->txn) {
        Work *work = pop(&seat->txn->queue);
        seat->txn->ending = work && work->kind == WORK_TXN_COMMIT;
        return work;
    }
    Work *work = pop_ready(store, &store->begins, false);
    if (work) {
        seat_txn(seat, work->txn);
    }
    return work;
}

/* Nothing waits that a seat which is free could begin: with one run under way that is nearly always so, and there are a dozen seats. */
static bool nothing_waits(const Store *store)
{
    return !store->writes.first && !store->reads.first && !store->begins.first && !store->open_txns;
}

/* Gives every free seat what it may do now. */
static bool start_seats(Store *store)
{
    bool any = false;
    for (uint32_t i = 0; i < store->seat_count && !nothing_waits(store); i++) {
        Seat *seat = &store->seats[i];
        if (seat_busy(seat))
            continue;
        if (seat->role != CONN_TXN) {
            if (seat->role == CONN_WRITES)
                take_group(seat, &store->writes);
            else
                take_reads(seat);
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
        queue_finish(store, work, ERR_INVALID, &error);
    txn->rolled_back = true;
    if (!seat->lane)
        seat_undo_txn(seat);
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
            seat_work_in_txn(seat, seat->txn, work);
        return work != NULL;
    }
    const Work *head = store->writes.first;
    if (!head)
        return false;
    if (head->kind == WORK_TXN_BEGIN) {
        seat_txn(seat, head->txn);
        seat_begin_txn(seat, pop(&store->writes));
        return true;
    }
    take_group(seat, &store->writes);
    seat_commit_group(seat);
    return true;
}

/* Begins what can be done now; false when that is nothing. */
static bool turn(Store *store)
{
    return store->lanes ? start_seats(store) : turn_inline(store);
}

/* One turn only: what the callbacks submit shares the next commit with what else came meanwhile. Seats that are free begin with what
   waits already, so that the server works while the callbacks do. */
void queue_on_idle(int fd, short what, void *arg)
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
        if (store->idle)
            event_del(store->idle);                         /* what it was to begin has begun; what the callbacks submit asks for it again */
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

void store_call_back(Store *store)
{
    deliver(store);
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
void queue_finish_all(Store *store)
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
        batch->error = ARENA_NEW(batch->arena, Error);
        batch->err = err_set(batch->error, ERR_IO, "could not run the batch: a transaction is open and waits");
    }
    deliver(store);
    arm(store);
    if (batch->err && error)
        *error = *batch->error;
    return batch->err;
}
