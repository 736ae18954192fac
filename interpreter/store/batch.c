/* batch.c - fills batches and reads their results. Rows are copied into the batch's arena when they are added, so the caller's may go. */
#include "interpreter/store/store_internal.h"

#include <assert.h>

bool store_do_reads(StoreDo kind)
{
    return kind >= DO_GET_MODULE && kind < DO_COUNT;
}

StoreBatch *store_batch_in(Arena *arena, Store *store, Str tenant, Str run_id, uint64_t epoch)
{
    StoreBatch *batch = ARENA_NEW(arena, StoreBatch);
    batch->store = store;
    batch->arena = arena;
    batch->tenant = arena_str(arena, tenant);
    batch->run_id = arena_str(arena, run_id);
    batch->epoch = epoch;
    batch->run_hash = hash64(run_id, hash64(tenant, 0));
    return batch;
}

StoreBatch *store_batch(Store *store, Str tenant, Str run_id, uint64_t epoch)
{
    return store_batch_in(arena_new(), store, tenant, run_id, epoch);
}

void store_announce(StoreBatch *batch)
{
    batch->announces = true;
}

Arena *store_batch_arena(StoreBatch *batch)
{
    return batch->arena;
}

void store_batch_release(StoreBatch *batch)
{
    for (StoreOp *op = batch->first; op; op = op->next)
        if (op->image)
            image_free(op->image);
    batch->first = batch->last = NULL;
}

void store_batch_reset(StoreBatch *batch)
{
    for (int i = 0; i < batch->slot_count; i++)
        batch->slots[i] = (StoreSlot){ .kind = batch->slots[i].kind };
}

bool store_batch_loads(const StoreBatch *batch)
{
    if (batch->epoch == 0 || batch->run_id.len == 0 || !batch->first)
        return false;
    for (const StoreOp *op = batch->first; op; op = op->next)
        if (op->kind == DO_GET_JOURNAL ? !str_eq(op->text, batch->run_id) : op->kind != DO_GET_MAIL && op->kind != DO_GET_SNAPSHOT)
            return false;
    return true;
}

/* A batch that claims goes on with what it leaves itself. */
bool store_batch_wakes(const StoreBatch *batch)
{
    bool wakes = batch->announces;
    for (const StoreOp *op = batch->first; op; op = op->next) {
        switch (op->kind) {
        case DO_CLAIM:      return false;
        case DO_PUT_RUN: case DO_UPDATE_RUN: {
            const RunRow *row = op->row;
            wakes |= row->status == RUN_READY || (run_status_ended(row->status) && (row->concurrency_key.len || row->limit_key.len));       /* somebody may wait for its key */
            break;
        }
        case DO_SET_TIMER:  wakes = true; break;            /* whoever set it may be gone when it is due */
        case DO_RELEASE:    wakes |= op->number == RUN_READY; break;
        case DO_PUT_EVENT: case DO_EVENT_REDELIVER: case DO_PUT_MAIL: case DO_FORK: wakes = true; break;
        case DO_PUT_SUBSCRIPTION: case DO_DROP_SUBSCRIPTIONS: case DO_PUT_DEAD: wakes = true; break;         /* workers read other streams then, and publish the letter */
        default:            break;
        }
    }
    return wakes;
}

void store_batch_free(StoreBatch *batch)
{
    if (!batch)
        return;
    store_batch_release(batch);
    arena_free(batch->arena);
}

StoreOp *store_add_op(StoreBatch *batch, StoreDo kind, bool result)
{
    assert(!batch->finished);
    StoreOp *op = ARENA_NEW(batch->arena, StoreOp);
    op->kind = kind;
    op->result = -1;
    if (batch->last)
        batch->last->next = op;
    else
        batch->first = op;
    batch->last = op;
    if (!store_do_reads(kind))
        batch->writes = true;
    if (!result)
        return op;
    if (batch->slot_count == batch->slot_cap) {
        int cap = batch->slot_cap ? batch->slot_cap * 2 : 8;
        StoreSlot *slots = ARENA_ARRAY(batch->arena, StoreSlot, cap);
        if (batch->slot_count)
            memcpy(slots, batch->slots, sizeof *slots * (size_t)batch->slot_count);
        batch->slots = slots;
        batch->slot_cap = cap;
    }
    op->result = batch->slot_count++;
    batch->slots[op->result].kind = kind;
    return op;
}

StoreSlot *store_slot(StoreBatch *batch, const StoreOp *op)
{
    assert(op->result >= 0 && op->result < batch->slot_count);
    return &batch->slots[op->result];
}

/* ---- copies: a row whose tenant or run is left out gets the batch's ---------------------------------- */

static Str copy(StoreBatch *batch, Str text)
{
    return arena_str(batch->arena, text);
}

static Str copy_or(StoreBatch *batch, Str text, Str otherwise)
{
    return text.len ? copy(batch, text) : otherwise;
}

static const RunRow *copy_run(StoreBatch *batch, const RunRow *row)
{
    RunRow *r = ARENA_NEW(batch->arena, RunRow);
    *r = *row;
    r->tenant = copy_or(batch, row->tenant, batch->tenant);
    r->run_id = copy_or(batch, row->run_id, batch->run_id);
    r->module_hash = copy(batch, row->module_hash);
    r->func_name = copy(batch, row->func_name);
    r->user = copy(batch, row->user);
    r->user_name = copy(batch, row->user_name);
    r->scopes = copy(batch, row->scopes);
    r->correlation = copy_or(batch, row->correlation, r->run_id);
    r->causation = copy(batch, row->causation);
    r->input = copy(batch, row->input);
    r->input_json = copy(batch, row->input_json);
    r->result_json = copy(batch, row->result_json);
    r->waits_json = copy(batch, row->waits_json);
    r->concurrency_key = copy(batch, row->concurrency_key);
    r->limit_key = copy(batch, row->limit_key);
    r->worker = copy(batch, row->worker);
    return r;
}

static const JournalRow *copy_journal(StoreBatch *batch, const JournalRow *row)
{
    JournalRow *r = ARENA_NEW(batch->arena, JournalRow);
    *r = *row;
    r->name = copy(batch, row->name);
    r->args_json = copy(batch, row->args_json);
    r->payload = copy(batch, row->payload);
    r->detail_json = copy(batch, row->detail_json);
    return r;
}

static const EventRow *copy_event(StoreBatch *batch, const EventRow *row)
{
    EventRow *r = ARENA_NEW(batch->arena, EventRow);
    *r = *row;
    r->tenant = copy_or(batch, row->tenant, batch->tenant);
    r->event_id = copy(batch, row->event_id);
    r->name = copy(batch, row->name);
    r->payload = copy(batch, row->payload);
    r->module_hash = copy(batch, row->module_hash);
    r->user = copy(batch, row->user);
    r->correlation = copy(batch, row->correlation);
    r->causation = copy(batch, row->causation);
    r->run_id = copy(batch, row->run_id);
    return r;
}

static Cell copy_cell(StoreBatch *batch, const Cell *cell)
{
    Cell c = *cell;
    c.text = copy(batch, cell->text);
    if (cell->kind == CELL_LIST) {
        c.items = ARENA_ARRAY(batch->arena, Cell, cell->count);
        for (uint32_t i = 0; i < cell->count; i++)
            c.items[i] = copy_cell(batch, &cell->items[i]);
    }
    return c;
}

/* ---- writes ------------------------------------------------------------------------------------------ */

void store_put_module(StoreBatch *batch, Str hash_hex, Str bytes)
{
    StoreOp *op = store_add_op(batch, DO_PUT_MODULE, false);
    op->text = copy(batch, hash_hex);
    op->bytes = copy(batch, bytes);
}

void store_put_run(StoreBatch *batch, const RunRow *row)
{
    store_add_op(batch, DO_PUT_RUN, false)->row = copy_run(batch, row);
}

void store_put_run_or_ignore(StoreBatch *batch, const RunRow *row)
{
    StoreOp *op = store_add_op(batch, DO_PUT_RUN, false);
    op->row = copy_run(batch, row);
    op->or_ignore = true;
}

void store_amend_run(StoreBatch *batch, const RunRow *row)
{
    assert(batch->first && batch->first->kind == DO_PUT_RUN);
    RunRow *r = ARENA_NEW(batch->arena, RunRow);
    const RunRow *put = batch->first->row;                   /* its texts are here already, but those that may have changed */
    *r = *row;
    r->tenant = put->tenant, r->run_id = put->run_id, r->module_hash = put->module_hash, r->func_name = put->func_name, r->user = put->user, r->user_name = put->user_name;
    r->correlation = put->correlation, r->causation = put->causation, r->input = put->input, r->input_json = put->input_json;
    r->concurrency_key = put->concurrency_key, r->limit_key = put->limit_key, r->worker = put->worker, r->scopes = put->scopes;
    r->result_json = copy(batch, row->result_json);
    r->waits_json = copy(batch, row->waits_json);
    if (r->status != RUN_RUNNING) {
        r->worker = (Str){ "", 0 };
        r->lease_until_us = 0;
    }
    batch->first->row = r;
}

void store_update_run(StoreBatch *batch, const RunRow *row)
{
    RunRow *r = ARENA_NEW(batch->arena, RunRow);             /* only what an update writes: the input may be large */
    *r = *row;
    r->result_json = copy(batch, row->result_json);
    r->waits_json = copy(batch, row->waits_json);
    store_add_op(batch, DO_UPDATE_RUN, false)->row = r;
}

void store_append_journal(StoreBatch *batch, const JournalRow *row)
{
    store_add_op(batch, DO_APPEND_JOURNAL, false)->row = copy_journal(batch, row);
}

void store_append_journal_here(StoreBatch *batch, const JournalRow *row)
{
    store_add_op(batch, DO_APPEND_JOURNAL, false)->row = row;
}

void store_append_journal_of(StoreBatch *batch, const JournalRow *row, int result, StoreEncode encode, void *arg)
{
    assert(result >= 0 && result < batch->slot_count);
    StoreOp *op = store_add_op(batch, DO_APPEND_JOURNAL, false);
    op->row = copy_journal(batch, row);
    op->number = (uint64_t)result;
    op->encode = encode;
    op->encode_arg = arg;
}

void store_put_snapshot(StoreBatch *batch, uint64_t seq, Str bytes)
{
    StoreOp *op = store_add_op(batch, DO_PUT_SNAPSHOT, false);
    op->number = seq;
    op->bytes = copy(batch, bytes);
}

void store_set_timer(StoreBatch *batch, const TimerRow *row)
{
    TimerRow *r = ARENA_NEW(batch->arena, TimerRow);
    *r = *row;
    r->tenant = copy_or(batch, row->tenant, batch->tenant);
    r->run_id = copy_or(batch, row->run_id, batch->run_id);
    store_add_op(batch, DO_SET_TIMER, false)->row = r;
}

void store_clear_timer(StoreBatch *batch, uint64_t request)
{
    store_add_op(batch, DO_CLEAR_TIMER, false)->number = request;
}

void store_put_wait(StoreBatch *batch, const WaitRow *row)
{
    WaitRow *r = ARENA_NEW(batch->arena, WaitRow);
    *r = *row;
    r->tenant = copy_or(batch, row->tenant, batch->tenant);
    r->run_id = copy_or(batch, row->run_id, batch->run_id);
    r->event = copy(batch, row->event);
    r->field = copy(batch, row->field);
    r->value = copy(batch, row->value);
    store_add_op(batch, DO_PUT_WAIT, false)->row = r;
}

void store_pass_waits(StoreBatch *batch, Str tenant, Str event)
{
    StoreOp *op = store_add_op(batch, DO_PASS_WAITS, false);
    op->text = copy(batch, event);
    op->more = copy(batch, tenant);
}

void store_clear_wait(StoreBatch *batch, uint64_t request)
{
    store_add_op(batch, DO_CLEAR_WAIT, false)->number = request;
}

void store_put_event(StoreBatch *batch, const EventRow *row)
{
    store_add_op(batch, DO_PUT_EVENT, false)->row = copy_event(batch, row);
}

void store_event_dispatched(StoreBatch *batch, uint64_t position)
{
    store_add_op(batch, DO_EVENT_DISPATCHED, false)->number = position;
}

void store_event_redeliver(StoreBatch *batch, uint64_t position)
{
    store_add_op(batch, DO_EVENT_REDELIVER, false)->number = position;
}

int store_claim_outbox(StoreBatch *batch, int64_t now_us, int64_t until_us, uint32_t limit)
{
    StoreOp *op = store_add_op(batch, DO_CLAIM_OUTBOX, true);
    op->now_us = now_us;
    op->lease_us = until_us;
    op->limit = limit;
    return op->result;
}

void store_republish(StoreBatch *batch)
{
    store_add_op(batch, DO_REPUBLISH, false);
}

void store_deliver(StoreBatch *batch, Str tenant, Str event_id, Str subscriber, const RunRow *run)
{
    StoreOp *op = store_add_op(batch, DO_DELIVER, false);
    op->text = copy(batch, event_id);
    op->more = copy(batch, subscriber);
    op->bytes = copy(batch, tenant);
    op->row = run ? copy_run(batch, run) : NULL;
    op->or_ignore = true;
}

void store_settle_event(StoreBatch *batch, Str tenant, uint64_t position)
{
    StoreOp *op = store_add_op(batch, DO_SETTLE_EVENT, false);
    op->text = copy(batch, tenant);
    op->number = position;
}

void store_put_subscription(StoreBatch *batch, const SubscriptionRow *row)
{
    SubscriptionRow *r = ARENA_NEW(batch->arena, SubscriptionRow);
    *r = (SubscriptionRow){ copy(batch, row->subscriber), copy(batch, row->owner), copy(batch, row->event), copy(batch, row->module_hash) };
    store_add_op(batch, DO_PUT_SUBSCRIPTION, false)->row = r;
}

void store_drop_subscriptions(StoreBatch *batch, Str owner, Str module_hash)
{
    StoreOp *op = store_add_op(batch, DO_DROP_SUBSCRIPTIONS, false);
    op->text = copy(batch, owner);
    op->more = copy(batch, module_hash);
}

static void put_dead(StoreBatch *batch, StoreDo kind, const DeadRow *row)
{
    DeadRow *r = ARENA_NEW(batch->arena, DeadRow);
    *r = *row;
    r->tenant = copy_or(batch, row->tenant, batch->tenant);
    r->event_id = copy(batch, row->event_id);
    r->subscriber = copy(batch, row->subscriber);
    r->error = copy(batch, row->error);
    store_add_op(batch, kind, false)->row = r;
}

void store_put_dead(StoreBatch *batch, const DeadRow *row)
{
    put_dead(batch, DO_PUT_DEAD, row);
}

void store_dead_published(StoreBatch *batch, const DeadRow *row)
{
    put_dead(batch, DO_DEAD_PUBLISHED, row);
}

void store_take_dead(StoreBatch *batch, Str event_id, Str subscriber)
{
    StoreOp *op = store_add_op(batch, DO_TAKE_DEAD, false);
    op->text = copy(batch, event_id);
    op->more = copy(batch, subscriber);
}

void store_put_mail(StoreBatch *batch, const MailRow *row)
{
    MailRow *r = ARENA_NEW(batch->arena, MailRow);
    *r = *row;
    r->tenant = copy_or(batch, row->tenant, batch->tenant);
    r->run_id = copy_or(batch, row->run_id, batch->run_id);
    r->mail_id = copy(batch, row->mail_id);
    r->name = copy(batch, row->name);
    r->payload = copy(batch, row->payload);
    store_add_op(batch, DO_PUT_MAIL, false)->row = r;
}

void store_take_mail(StoreBatch *batch, Str mail_id)
{
    store_add_op(batch, DO_TAKE_MAIL, false)->text = copy(batch, mail_id);
}

void store_drop_mail(StoreBatch *batch, Str mail_id)
{
    store_add_op(batch, DO_DROP_MAIL, false)->text = copy(batch, mail_id);
}

void store_take_rate(StoreBatch *batch, Str key, Str what, uint32_t limit, int64_t unit_us, int64_t now_us)
{
    assert(limit > 0 && unit_us > 0);
    StoreOp *op = store_add_op(batch, DO_TAKE_RATE, false);
    op->text = copy(batch, key);
    op->more = copy(batch, what);
    op->limit = limit;
    op->lease_us = unit_us;
    op->now_us = now_us;
}

void store_put_blob(StoreBatch *batch, Str hash_hex, Str bytes)
{
    StoreOp *op = store_add_op(batch, DO_PUT_BLOB, false);
    op->text = copy(batch, hash_hex);
    op->bytes = copy(batch, bytes);
}

void store_release(StoreBatch *batch, RunStatus status)
{
    store_add_op(batch, DO_RELEASE, false)->number = status;
}

void store_settle(StoreBatch *batch)
{
    store_add_op(batch, DO_SETTLE, false);
}

void store_renew(StoreBatch *batch, int64_t lease_until_us)
{
    store_add_op(batch, DO_RENEW, false)->lease_us = lease_until_us;
}

int store_claim(StoreBatch *batch, Str worker, int64_t now_us, int64_t lease_us, uint32_t max, Str only_run)
{
    StoreOp *op = store_add_op(batch, DO_CLAIM, true);
    op->text = copy(batch, worker);
    op->more = copy(batch, only_run);
    op->now_us = now_us;
    op->lease_us = lease_us;
    op->limit = max;
    return op->result;
}

int store_claim_again(StoreBatch *batch, Str worker, int64_t now_us, int64_t lease_us, Str run_id)
{
    int result = store_claim(batch, worker, now_us, lease_us, 1, run_id);
    batch->last->number = 1;
    return result;
}

int store_query(StoreBatch *batch, const Image *image, uint16_t query, Str owner, const Cell *params, uint32_t param_count)
{
    bool reads = query < image->query_count && image->queries[query].kind <= QUERY_EXISTS, writes = batch->writes;
    StoreOp *op = store_add_op(batch, DO_QUERY, true);
    batch->writes = writes || !reads;
    op->image = image_retain((Image *)image);
    op->query = query;
    op->text = copy(batch, owner);
    Cell *cells = ARENA_ARRAY(batch->arena, Cell, param_count);
    for (uint32_t i = 0; i < param_count; i++)
        cells[i] = copy_cell(batch, &params[i]);
    op->params = cells;
    op->param_count = param_count;
    return op->result;
}

void store_ensure_tables(StoreBatch *batch, const Image *image)
{
    store_add_op(batch, DO_ENSURE_TABLES, false)->image = image_retain((Image *)image);
}

/* ---- reads ------------------------------------------------------------------------------------------- */

static int read_op(StoreBatch *batch, StoreDo kind, Str text, Str more, uint64_t number, uint32_t limit)
{
    StoreOp *op = store_add_op(batch, kind, true);
    op->text = copy(batch, text);
    op->more = copy(batch, more);
    op->number = number;
    op->limit = limit;
    return op->result;
}

int store_get_module(StoreBatch *batch, Str hash_hex)
{
    return read_op(batch, DO_GET_MODULE, hash_hex, (Str){ 0 }, 0, 0);
}

int store_get_run(StoreBatch *batch, Str run_id)
{
    return read_op(batch, DO_GET_RUN, run_id, (Str){ 0 }, 0, 0);
}

int store_list_runs(StoreBatch *batch, const RunFilter *filter)
{
    RunFilter *f = ARENA_NEW(batch->arena, RunFilter);
    *f = *filter;
    f->correlation = copy(batch, filter->correlation);
    f->func_name = copy(batch, filter->func_name);
    f->worker = copy(batch, filter->worker);
    f->user = copy(batch, filter->user);
    StoreOp *op = store_add_op(batch, DO_LIST_RUNS, true);
    op->row = f;
    op->limit = filter->limit;
    return op->result;
}

int store_get_snapshot(StoreBatch *batch)
{
    return read_op(batch, DO_GET_SNAPSHOT, (Str){ 0 }, (Str){ 0 }, 0, 0);
}

int store_get_journal(StoreBatch *batch, Str run_id, uint64_t after_seq, uint32_t limit)
{
    return read_op(batch, DO_GET_JOURNAL, run_id.len ? run_id : batch->run_id, (Str){ 0 }, after_seq, limit);
}

int store_get_mail(StoreBatch *batch, uint32_t limit)
{
    return read_op(batch, DO_GET_MAIL, (Str){ 0 }, (Str){ 0 }, 0, limit);
}

int store_get_outbox(StoreBatch *batch, uint32_t limit)
{
    return read_op(batch, DO_GET_OUTBOX, (Str){ 0 }, (Str){ 0 }, 0, limit);
}

int store_list_events(StoreBatch *batch, Str name, Str correlation, uint32_t limit)
{
    return read_op(batch, DO_LIST_EVENTS, name, correlation, 0, limit);
}

int store_get_waits(StoreBatch *batch, Str tenant, Str event)
{
    return read_op(batch, DO_GET_WAITS, event, tenant.len ? tenant : batch->tenant, 0, 0);
}

int store_get_waits_for(StoreBatch *batch, Str tenant, Str event, Str payload)
{
    int result = store_get_waits(batch, tenant, event);
    batch->last->bytes = copy(batch, payload);
    return result;
}

int store_get_blob(StoreBatch *batch, Str hash_hex)
{
    return read_op(batch, DO_GET_BLOB, hash_hex, (Str){ 0 }, 0, 0);
}

int store_list_dead(StoreBatch *batch, uint32_t limit)
{
    return read_op(batch, DO_LIST_DEAD, (Str){ 0 }, (Str){ 0 }, 0, limit);
}

int store_get_unpublished_dead(StoreBatch *batch, uint32_t limit)
{
    return read_op(batch, DO_GET_UNPUBLISHED_DEAD, (Str){ 0 }, (Str){ 0 }, 0, limit);
}

int store_get_event(StoreBatch *batch, Str tenant, Str event_id)
{
    return read_op(batch, DO_GET_EVENT, event_id, tenant.len ? tenant : batch->tenant, 0, 0);
}

int store_get_subscriptions(StoreBatch *batch, Str event)
{
    return read_op(batch, DO_GET_SUBSCRIPTIONS, event, (Str){ 0 }, 0, 0);
}

int store_next_due(StoreBatch *batch)
{
    return read_op(batch, DO_NEXT_DUE, (Str){ 0 }, (Str){ 0 }, 0, 0);
}

int store_next_claim(StoreBatch *batch, Str worker)
{
    return read_op(batch, DO_NEXT_CLAIM, worker, (Str){ 0 }, 0, 0);
}

/* ---- results ----------------------------------------------------------------------------------------- */

static const StoreSlot *slot_at(const StoreBatch *batch, int index)
{
    assert(index >= 0 && index < batch->slot_count);
    return &batch->slots[index];
}

static const void *rows_at(const StoreBatch *batch, int index, uint32_t *count, bool right_kind)
{
    assert(right_kind);
    const StoreSlot *slot = slot_at(batch, index);
    *count = slot->count;
    return slot->rows;
}

static bool slot_is(const StoreBatch *batch, int index, StoreDo a, StoreDo b, StoreDo c)
{
    StoreDo kind = slot_at(batch, index)->kind;
    return kind == a || kind == b || kind == c;
}

const RunRow *store_runs(const StoreBatch *batch, int index, uint32_t *count)
{
    return rows_at(batch, index, count, slot_is(batch, index, DO_GET_RUN, DO_LIST_RUNS, DO_CLAIM));
}

const JournalRow *store_journal(const StoreBatch *batch, int index, uint32_t *count)
{
    return rows_at(batch, index, count, slot_is(batch, index, DO_GET_JOURNAL, DO_GET_JOURNAL, DO_GET_JOURNAL));
}

const MailRow *store_mail(const StoreBatch *batch, int index, uint32_t *count)
{
    return rows_at(batch, index, count, slot_is(batch, index, DO_GET_MAIL, DO_GET_MAIL, DO_GET_MAIL));
}

const EventRow *store_events(const StoreBatch *batch, int index, uint32_t *count)
{
    bool outbox = slot_is(batch, index, DO_GET_OUTBOX, DO_CLAIM_OUTBOX, DO_CLAIM_OUTBOX);
    return rows_at(batch, index, count, outbox || slot_is(batch, index, DO_LIST_EVENTS, DO_GET_EVENT, DO_GET_EVENT));
}

const WaitRow *store_waits(const StoreBatch *batch, int index, uint32_t *count)
{
    return rows_at(batch, index, count, slot_is(batch, index, DO_GET_WAITS, DO_GET_WAITS, DO_GET_WAITS));
}

const SubscriptionRow *store_subscriptions(const StoreBatch *batch, int index, uint32_t *count)
{
    return rows_at(batch, index, count, slot_is(batch, index, DO_GET_SUBSCRIPTIONS, DO_GET_SUBSCRIPTIONS, DO_GET_SUBSCRIPTIONS));
}

const DeadRow *store_dead(const StoreBatch *batch, int index, uint32_t *count)
{
    return rows_at(batch, index, count, slot_is(batch, index, DO_LIST_DEAD, DO_GET_UNPUBLISHED_DEAD, DO_GET_UNPUBLISHED_DEAD));
}

Str store_bytes(const StoreBatch *batch, int index, uint64_t *seq, bool *found)
{
    assert(slot_is(batch, index, DO_GET_MODULE, DO_GET_SNAPSHOT, DO_GET_BLOB));
    const StoreSlot *slot = slot_at(batch, index);
    if (seq)
        *seq = slot->seq;
    if (found)
        *found = slot->found;
    return slot->bytes;
}

const RowSet *store_rows(const StoreBatch *batch, int index)
{
    assert(slot_is(batch, index, DO_QUERY, DO_QUERY, DO_QUERY));
    return &slot_at(batch, index)->set;
}

int64_t store_time(const StoreBatch *batch, int index)
{
    assert(slot_is(batch, index, DO_NEXT_DUE, DO_NEXT_CLAIM, DO_NEXT_CLAIM));
    return slot_at(batch, index)->time;
}

bool store_claim_more(const StoreBatch *batch, int index)
{
    assert(slot_is(batch, index, DO_CLAIM, DO_CLAIM, DO_CLAIM));
    return slot_at(batch, index)->found;
}

uint32_t store_taken_over(const StoreBatch *batch, int index)
{
    assert(slot_is(batch, index, DO_CLAIM, DO_CLAIM, DO_CLAIM));
    return (uint32_t)slot_at(batch, index)->seq;
}
