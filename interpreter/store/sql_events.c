/* sql_events.c - events as statements: the outbox, who subscribes to what, who has had which event, and what is dead.
 *
 * An event is dispatched when everybody it concerns has it. Without streams one commit sees to that. Over streams each subscriber has its event in a commit
 * of its own, with a row in flow_deliveries; the last one's commit is followed by a settlement, which marks the event and drops those rows.
 * Whoever claims from the outbox holds a lease on the event: what is not dispatched by its end is claimed again.
 */
#include "interpreter/store/sql.h"

/* ---- the outbox ------------------------------------------------------------------------------------------ */

#define EVENT_COLUMNS "position, tenant, event_id, name, payload, module_hash, user_id, correlation, causation, hops, run_id, seq, created_us, dispatched"

static Err put_event(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const EventRow *r = op->row;
    const Cell args[] = {
        cell_text(r->tenant), cell_text(r->event_id), cell_text(r->name), cell_text(r->payload), cell_text(r->module_hash), cell_text(r->user),
        cell_text(r->correlation), cell_text(r->causation), cell_int(r->hops), cell_text(r->run_id), cell_u64(r->seq), cell_int(r->created_us), cell_int(r->dispatched),
    };
    Err err = sql_check_tenant(batch, r->tenant, error);
    if (err)
        return err;
    err = SQL_RUN(db, "INSERT INTO flow_events (tenant, event_id, name, payload, module_hash, user_id, correlation, causation, hops, run_id, seq, created_us, dispatched) "
                      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)", args, batch->arena, NULL, error);
    return sql_conflict(err, error, "event", r->event_id);
}

/* The batch's tenant is the event's: every key leads with it, so that the tables can be partitioned. */
static Err mark_event(SqlDb *db, StoreBatch *batch, StoreOp *op, Str sql, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_u64(op->number), cell_text(batch->tenant) };
    Err err = db->run(db, sql, args, 2, batch->arena, &rows, error);
    if (!err && rows.changes == 0)
        err = err_set(error, ERR_NOT_FOUND, "no event at position %llu", (unsigned long long)op->number);
    return err;
}

static Err event_dispatched(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    return mark_event(db, batch, op, STR("UPDATE flow_events SET dispatched = 1 WHERE tenant = ?2 AND position = ?1"), error);
}

static Err event_redeliver(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    return mark_event(db, batch, op, STR("UPDATE flow_events SET dispatched = 0, leased_until_us = 0 WHERE tenant = ?2 AND position = ?1"), error);
}

static void take_events(StoreBatch *batch, const StoreOp *op, const SqlRows *rows, bool backwards)
{
    EventRow *out = ARENA_ARRAY(batch->arena, EventRow, rows->set.rows);
    for (uint32_t i = 0; i < rows->set.rows; i++) {
        const Cell *c = &rows->set.cells[i * rows->set.columns];
        out[backwards ? rows->set.rows - 1 - i : i] = (EventRow){
            .position = (uint64_t)c[0].i, .tenant = c[1].text, .event_id = c[2].text, .name = c[3].text, .payload = c[4].text, .module_hash = c[5].text,
            .user = c[6].text, .correlation = c[7].text, .causation = c[8].text, .hops = (uint32_t)c[9].i, .run_id = c[10].text, .seq = (uint64_t)c[11].i,
            .created_us = c[12].i, .dispatched = c[13].i != 0,
        };
    }
    StoreSlot *slot = store_slot(batch, op);
    slot->rows = out;
    slot->count = rows->set.rows;
}

static Err get_outbox(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_int(sql_limit_of(op)) };
    Err err = SQL_RUN(db, "SELECT " EVENT_COLUMNS " FROM flow_events WHERE dispatched = 0 ORDER BY position LIMIT ?1", args, batch->arena, &rows, error);
    if (!err)
        take_events(batch, op, &rows, false);
    return err;
}

/* The newest `limit`, oldest of them first. */
static Err list_events(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    static const Str SQL[] = {
        STR("SELECT " EVENT_COLUMNS " FROM flow_events WHERE tenant = ?1 AND ?2 = '' AND ?3 = '' ORDER BY position DESC LIMIT ?4"),
        STR("SELECT " EVENT_COLUMNS " FROM flow_events WHERE tenant = ?1 AND name = ?2 AND ?3 = '' ORDER BY position DESC LIMIT ?4"),
        STR("SELECT " EVENT_COLUMNS " FROM flow_events WHERE tenant = ?1 AND correlation = ?3 AND (?2 = '' OR name = ?2) ORDER BY position DESC LIMIT ?4"),
    };
    SqlRows rows;
    const Cell args[] = { cell_text(batch->tenant), cell_text(op->text), cell_text(op->more), cell_int(sql_limit_of(op)) };
    Err err = db->run(db, SQL[op->more.len ? 2 : op->text.len ? 1 : 0], args, 4, batch->arena, &rows, error);
    if (!err)
        take_events(batch, op, &rows, true);
    return err;
}

/* Oldest first. Of two that claim at once in a store with a server, each takes what the other has not locked. */
static Err claim_outbox(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    Buf sql = { 0 };
    const Cell args[] = { cell_int(op->now_us), cell_int(sql_limit_of(op)) };
    buf_printf(&sql, "SELECT " EVENT_COLUMNS " FROM flow_events WHERE dispatched = 0 AND leased_until_us <= ?1 ORDER BY position LIMIT ?2%s", db->dialect->skip_locked ? db->dialect->skip_locked : "");
    Err err = db->run(db, arena_str(batch->arena, buf_str(&sql)), args, 2, batch->arena, &rows, error);
    buf_free(&sql);
    if (err)
        return err;
    for (uint32_t i = 0; i < rows.set.rows && !err; i++) {
        const Cell lease[] = { rows.set.cells[i * rows.set.columns], cell_int(op->lease_us), rows.set.cells[i * rows.set.columns + 1] };
        err = SQL_RUN(db, "UPDATE flow_events SET leased_until_us = ?2 WHERE tenant = ?3 AND position = ?1", lease, batch->arena, NULL, error);
    }
    if (!err)
        take_events(batch, op, &rows, false);
    return err;
}

static Err republish(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    return db->run(db, STR("UPDATE flow_events SET leased_until_us = 0 WHERE dispatched = 0 AND leased_until_us > 0"), NULL, 0, batch->arena, NULL, error);
}

static Err get_event(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_text(op->more), cell_text(op->text) };
    Err err = SQL_RUN(db, "SELECT " EVENT_COLUMNS " FROM flow_events WHERE tenant = ?1 AND event_id = ?2", args, batch->arena, &rows, error);
    if (!err)
        take_events(batch, op, &rows, false);
    return err;
}

/* ---- subscriptions and deliveries ------------------------------------------------------------------------- */

static Err put_subscription(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const SubscriptionRow *r = op->row;
    const Cell args[] = { cell_text(r->subscriber), cell_text(r->owner), cell_text(r->event), cell_text(r->module_hash) };
    return SQL_RUN(db, "INSERT INTO flow_subscriptions (subscriber, owner, event, module_hash) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (subscriber) DO UPDATE SET owner = excluded.owner, "
                       "event = excluded.event, module_hash = excluded.module_hash WHERE flow_subscriptions.module_hash <> excluded.module_hash", args, batch->arena, NULL, error);
}

static Err drop_subscriptions(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const Cell args[] = { cell_text(op->text), cell_text(op->more) };
    return SQL_RUN(db, "DELETE FROM flow_subscriptions WHERE owner = ?1 AND module_hash <> ?2", args, batch->arena, NULL, error);
}

static Err get_subscriptions(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_text(op->text) };
    Err err = SQL_RUN(db, "SELECT subscriber, owner, event, module_hash FROM flow_subscriptions WHERE ?1 = '' OR event = ?1 ORDER BY subscriber", args, batch->arena, &rows, error);
    if (err)
        return err;
    SubscriptionRow *out = ARENA_ARRAY(batch->arena, SubscriptionRow, rows.set.rows);
    for (uint32_t i = 0; i < rows.set.rows; i++) {
        const Cell *c = &rows.set.cells[i * rows.set.columns];
        out[i] = (SubscriptionRow){ .subscriber = c[0].text, .owner = c[1].text, .event = c[2].text, .module_hash = c[3].text };
    }
    StoreSlot *slot = store_slot(batch, op);
    slot->rows = out;
    slot->count = rows.set.rows;
    return ERR_OK;
}

/* The row of the delivery decides, not that of the run: the run may have been cleared away meanwhile. */
static Err deliver(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_text(op->bytes), cell_text(op->text), cell_text(op->more) };
    Err err = sql_check_tenant(batch, op->bytes, error);
    if (!err)
        err = SQL_RUN(db, "INSERT INTO flow_deliveries (tenant, event_id, subscriber) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING", args, batch->arena, &rows, error);
    if (err || rows.changes == 0 || !op->row)
        return err;
    StoreOp put = *op;
    put.kind = DO_PUT_RUN;
    return sql_apply_run_op(db, batch, &put, error);
}

static Err settle_event(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_u64(op->number), cell_text(op->text) };
    Err err = SQL_RUN(db, "UPDATE flow_events SET dispatched = 1 WHERE tenant = ?2 AND position = ?1 AND dispatched = 0 AND NOT EXISTS (SELECT 1 FROM flow_subscriptions s WHERE s.event = flow_events.name "
                          "AND NOT EXISTS (SELECT 1 FROM flow_deliveries d WHERE d.tenant = flow_events.tenant AND d.event_id = flow_events.event_id AND d.subscriber = s.subscriber))",
                      args, batch->arena, &rows, error);
    if (err || rows.changes == 0)
        return err;
    return SQL_RUN(db, "DELETE FROM flow_deliveries WHERE (tenant, event_id) IN (SELECT tenant, event_id FROM flow_events WHERE tenant = ?2 AND position = ?1)", args, batch->arena, NULL, error);
}

/* ---- the dead --------------------------------------------------------------------------------------------- */

static Err put_dead(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const DeadRow *r = op->row;
    const Cell args[] = { cell_text(r->tenant), cell_text(r->event_id), cell_text(r->subscriber), cell_text(r->error), cell_int(r->attempts), cell_int(r->created_us) };
    Err err = sql_check_tenant(batch, r->tenant, error);
    return err ? err : SQL_RUN(db, "INSERT INTO flow_dead (tenant, event_id, subscriber, error, attempts, created_us, published) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0) "
                                   "ON CONFLICT (tenant, event_id, subscriber) DO UPDATE SET error = excluded.error, attempts = excluded.attempts, published = 0", args, batch->arena, NULL, error);
}

static Err take_dead(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_text(batch->tenant), cell_text(op->text), cell_text(op->more) };
    Err err = SQL_RUN(db, "DELETE FROM flow_dead WHERE tenant = ?1 AND event_id = ?2 AND subscriber = ?3", args, batch->arena, &rows, error);
    if (!err && rows.changes == 0)
        err = err_set(error, ERR_NOT_FOUND, "event `%.*s` is not dead for `%.*s`", STR_ARG(op->text), STR_ARG(op->more));
    return err;
}

static Err dead_published(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const DeadRow *r = op->row;
    const Cell args[] = { cell_text(r->tenant), cell_text(r->event_id), cell_text(r->subscriber), cell_int(r->attempts) };
    return SQL_RUN(db, "UPDATE flow_dead SET published = 1 WHERE tenant = ?1 AND event_id = ?2 AND subscriber = ?3 AND attempts = ?4", args, batch->arena, NULL, error);
}

static void take_dead_rows(StoreBatch *batch, const StoreOp *op, const SqlRows *rows)
{
    DeadRow *out = ARENA_ARRAY(batch->arena, DeadRow, rows->set.rows);
    for (uint32_t i = 0; i < rows->set.rows; i++) {
        const Cell *c = &rows->set.cells[i * rows->set.columns];
        out[i] = (DeadRow){ .tenant = c[0].text, .event_id = c[1].text, .subscriber = c[2].text, .error = c[3].text, .attempts = (uint32_t)c[4].i, .created_us = c[5].i };
    }
    StoreSlot *slot = store_slot(batch, op);
    slot->rows = out;
    slot->count = rows->set.rows;
}

static Err list_dead(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_text(batch->tenant), cell_int(sql_limit_of(op)) };
    Err err = SQL_RUN(db, "SELECT tenant, event_id, subscriber, error, attempts, created_us FROM flow_dead WHERE ?1 = '' OR tenant = ?1 ORDER BY created_us, event_id, subscriber LIMIT ?2",
                      args, batch->arena, &rows, error);
    if (!err)
        take_dead_rows(batch, op, &rows);
    return err;
}

static Err get_unpublished_dead(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_int(sql_limit_of(op)) };
    Err err = SQL_RUN(db, "SELECT tenant, event_id, subscriber, error, attempts, created_us FROM flow_dead WHERE published = 0 ORDER BY created_us LIMIT ?1", args, batch->arena, &rows, error);
    if (!err)
        take_dead_rows(batch, op, &rows);
    return err;
}

Err sql_apply_event_op(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    switch (op->kind) {
    case DO_PUT_EVENT:            return put_event(db, batch, op, error);
    case DO_EVENT_DISPATCHED:     return event_dispatched(db, batch, op, error);
    case DO_EVENT_REDELIVER:      return event_redeliver(db, batch, op, error);
    case DO_GET_OUTBOX:           return get_outbox(db, batch, op, error);
    case DO_LIST_EVENTS:          return list_events(db, batch, op, error);
    case DO_CLAIM_OUTBOX:         return claim_outbox(db, batch, op, error);
    case DO_REPUBLISH:            return republish(db, batch, op, error);
    case DO_GET_EVENT:            return get_event(db, batch, op, error);
    case DO_PUT_SUBSCRIPTION:     return put_subscription(db, batch, op, error);
    case DO_DROP_SUBSCRIPTIONS:   return drop_subscriptions(db, batch, op, error);
    case DO_GET_SUBSCRIPTIONS:    return get_subscriptions(db, batch, op, error);
    case DO_DELIVER:              return deliver(db, batch, op, error);
    case DO_SETTLE_EVENT:         return settle_event(db, batch, op, error);
    case DO_PUT_DEAD:             return put_dead(db, batch, op, error);
    case DO_TAKE_DEAD:            return take_dead(db, batch, op, error);
    case DO_DEAD_PUBLISHED:       return dead_published(db, batch, op, error);
    case DO_GET_UNPUBLISHED_DEAD: return get_unpublished_dead(db, batch, op, error);
    default:                      return list_dead(db, batch, op, error);
    }
}
