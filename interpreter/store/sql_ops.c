/* sql_ops.c - the operations of a batch as statements on the engine's own tables (flow_*); runs and claims are in sql_runs.c, events in sql_events.c. */
#include "interpreter/store/sql_gc.h"

typedef Err (*Apply)(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error);

int64_t sql_limit_of(const StoreOp *op)
{
    return op->limit ? op->limit : INT64_MAX;
}

/* A batch of one tenant writes rows of that tenant only. One without a tenant is the engine's own. */
Err sql_check_tenant(const StoreBatch *batch, Str tenant, Error *error)
{
    if (batch->tenant.len && !str_eq(batch->tenant, tenant))
        return err_set(error, ERR_INVALID, "cannot write a row of tenant `%.*s` in a batch of `%.*s`", STR_ARG(tenant), STR_ARG(batch->tenant));
    return ERR_OK;
}

/* Gives a conflict its sentence. */
Err sql_conflict(Err err, Error *error, const char *what, Str name)
{
    return err == ERR_CONFLICT ? err_set(error, err, "%s `%.*s` exists already", what, STR_ARG(name)) : err;
}

/* ---- modules, blobs, snapshots -------------------------------------------------------------------------- */

static Err put_module(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const Cell args[] = { cell_text(op->text), cell_blob(op->bytes) };
    return SQL_RUN(db, "INSERT INTO flow_modules (hash, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING", args, batch->arena, NULL, error);
}

static Err put_blob(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const Cell args[] = { cell_text(batch->tenant), cell_text(op->text), cell_blob(op->bytes) };
    return SQL_RUN(db, "INSERT INTO flow_blobs (tenant, hash, bytes) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING", args, batch->arena, NULL, error);
}

static Err put_snapshot(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const Cell args[] = { cell_text(batch->tenant), cell_text(batch->run_id), cell_u64(op->number), cell_blob(op->bytes) };
    return SQL_RUN(db, "INSERT INTO flow_snapshots (tenant, run_id, seq, bytes) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (tenant, run_id) DO UPDATE SET seq = excluded.seq, bytes = excluded.bytes",
                   args, batch->arena, NULL, error);
}

/* Results of (seq, bytes). */
void sql_take_bytes(StoreBatch *batch, const StoreOp *op, const SqlRows *rows)
{
    StoreSlot *slot = store_slot(batch, op);
    slot->found = rows->set.rows > 0;
    if (slot->found) {
        slot->seq = (uint64_t)rows->set.cells[0].i;
        slot->bytes = rows->set.cells[1].text;
    }
}

static Err get_module(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_text(op->text) };
    Err err = SQL_RUN(db, "SELECT 0, bytes FROM flow_modules WHERE hash = ?1", args, batch->arena, &rows, error);
    if (!err)
        sql_take_bytes(batch, op, &rows);
    return err;
}

static Err get_blob(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_text(batch->tenant), cell_text(op->text) };
    Err err = SQL_RUN(db, "SELECT 0, bytes FROM flow_blobs WHERE tenant = ?1 AND hash = ?2", args, batch->arena, &rows, error);
    if (!err)
        sql_take_bytes(batch, op, &rows);
    return err;
}

static Err get_snapshot(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_text(batch->tenant), cell_text(batch->run_id) };
    Err err = SQL_RUN(db, "SELECT " SQL_SNAPSHOT " FROM flow_snapshots WHERE tenant = ?1 AND run_id = ?2", args, batch->arena, &rows, error);
    if (!err)
        sql_take_bytes(batch, op, &rows);
    return err;
}

/* ---- timers and waits ----------------------------------------------------------------------------------- */

static Err set_timer(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const TimerRow *r = op->row;
    const Cell args[] = { cell_text(r->tenant), cell_text(r->run_id), cell_u64(r->request), cell_int(r->due_us) };
    Err err = sql_check_tenant(batch, r->tenant, error);
    return err ? err : SQL_RUN(db, "INSERT INTO flow_timers (tenant, run_id, request, due_us) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (tenant, run_id, request) DO UPDATE SET due_us = excluded.due_us",
                               args, batch->arena, NULL, error);
}

static Err clear_timer(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const Cell args[] = { cell_text(batch->tenant), cell_text(batch->run_id), cell_u64(op->number) };
    return SQL_RUN(db, "DELETE FROM flow_timers WHERE tenant = ?1 AND run_id = ?2 AND request = ?3", args, batch->arena, NULL, error);
}

static Err next_due(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    Err err = db->run(db, STR("SELECT due_us FROM flow_timers ORDER BY due_us LIMIT 1"), NULL, 0, batch->arena, &rows, error);
    if (!err)
        store_slot(batch, op)->time = rows.set.rows ? rows.set.cells[0].i : INT64_MAX;
    return err;
}

/* ---- mail ----------------------------------------------------------------------------------------------- */

/* `fresh` mail makes a parked run claimable; a claim clears the mark, so mail that the program does not want yet wakes nobody twice.
   `taken` mail stays, so that the same mail_id is refused for ever. */
static Err no_mail_now(const MailRow *r, bool there, Error *error)
{
    if (!there)
        return err_set(error, ERR_NOT_FOUND, "no run `%.*s`", STR_ARG(r->run_id));
    return err_set(error, ERR_CONFLICT, "run `%.*s` has ended", STR_ARG(r->run_id));
}

/* Makes a parked run ready. The row of one that works is left alone, unless it is cancelled: its worker has it locked at every commit, and fresh
   mail wakes it anyway when it parks. *status: what it was when nothing had to change. */
static Err wake_for_mail(SqlDb *db, StoreBatch *batch, const MailRow *r, int64_t *status, Error *error)
{
    SqlRows rows;
    const Cell run[] = { cell_text(r->tenant), cell_text(r->run_id), cell_int(r->kind == MAIL_CANCEL), cell_int(r->created_us) };
    for (int tries = 0; tries < STORE_BUSY_TRIES; tries++) {     /* it may park between the two statements */
        Err err = SQL_RUN(db, "UPDATE flow_runs SET status = CASE status WHEN 2 THEN 0 ELSE status END, cancel_requested = CASE WHEN ?3 = 1 THEN 1 ELSE cancel_requested END, updated_us = ?4 "
                              "WHERE tenant = ?1 AND run_id = ?2 AND (status = 2 OR (?3 = 1 AND status < 3))", run, batch->arena, &rows, error);
        *status = RUN_READY;
        if (err || rows.changes)
            return err;
        const Cell key[] = { run[0], run[1] };
        if ((err = SQL_RUN(db, "SELECT status FROM flow_runs WHERE tenant = ?1 AND run_id = ?2", key, batch->arena, &rows, error)))
            return err;
        *status = rows.set.rows ? rows.set.cells[0].i : -1;
        if (*status != RUN_PARKED && !(r->kind == MAIL_CANCEL && *status >= 0 && *status < RUN_PARKED))
            return ERR_OK;
    }
    return err_set(error, ERR_BUSY, "run `%.*s` changes its state too often to take mail", STR_ARG(r->run_id));
}

/* Who watches wants to know what happens, and lets it happen: a parked run stays as it is. It is touched, so that nobody claims it before the mail is
   there; whoever works on a run is called for fresh mail. */
static Err status_for_watch(SqlDb *db, StoreBatch *batch, const MailRow *r, int64_t *status, Error *error)
{
    SqlRows rows;
    const Cell key[] = { cell_text(r->tenant), cell_text(r->run_id) };
    for (int tries = 0; tries < STORE_BUSY_TRIES; tries++) {     /* it may park between the two statements */
        Err err = SQL_RUN(db, "UPDATE flow_runs SET status = status WHERE tenant = ?1 AND run_id = ?2 AND status = 2", key, batch->arena, &rows, error);
        *status = RUN_PARKED;
        if (err || rows.changes)
            return err;
        if ((err = SQL_RUN(db, "SELECT status FROM flow_runs WHERE tenant = ?1 AND run_id = ?2", key, batch->arena, &rows, error)))
            return err;
        *status = rows.set.rows ? rows.set.cells[0].i : -1;
        if (*status != RUN_PARKED)
            return ERR_OK;
    }
    return err_set(error, ERR_BUSY, "run `%.*s` changes its state too often to be watched", STR_ARG(r->run_id));
}

static Err put_mail(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const MailRow *r = op->row;
    int64_t status;
    Err err = sql_check_tenant(batch, r->tenant, error);
    if (!err)
        err = r->kind == MAIL_WATCH ? status_for_watch(db, batch, r, &status, error) : wake_for_mail(db, batch, r, &status, error);
    if (err)
        return err;
    if (status < 0 || run_status_ended((RunStatus)status))
        return status >= 0 && r->kind == MAIL_EVENT ? ERR_OK : no_mail_now(r, status >= 0, error);      /* nobody waits for the event any more */
    const Cell args[] = {
        cell_text(r->tenant), cell_text(r->run_id), cell_text(r->mail_id), cell_int(r->kind), cell_u64(r->request), cell_text(r->name), cell_text(r->payload), cell_int(r->created_us), cell_int(r->kind != MAIL_WATCH || status == RUN_RUNNING),
    };
    err = SQL_RUN(db, "INSERT INTO flow_mail (tenant, run_id, mail_id, kind, request, name, payload, created_us, taken, fresh) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9)",
                  args, batch->arena, NULL, error);
    return sql_conflict(err, error, "mail", r->mail_id);
}

static Err take_mail(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_text(batch->tenant), cell_text(batch->run_id), cell_text(op->text) };
    Err err = SQL_RUN(db, "UPDATE flow_mail SET taken = 1, fresh = 0 WHERE tenant = ?1 AND run_id = ?2 AND mail_id = ?3 AND taken = 0", args, batch->arena, &rows, error);
    if (!err && rows.changes == 0)
        err = err_set(error, ERR_NOT_FOUND, "no mail `%.*s` waits for run `%.*s`", STR_ARG(op->text), STR_ARG(batch->run_id));
    return err;
}

static Err drop_mail(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const Cell args[] = { cell_text(batch->tenant), cell_text(batch->run_id), cell_text(op->text) };
    return SQL_RUN(db, "DELETE FROM flow_mail WHERE tenant = ?1 AND run_id = ?2 AND mail_id = ?3 AND taken = 0", args, batch->arena, NULL, error);
}

void sql_take_mail(StoreBatch *batch, const StoreOp *op, const SqlRows *rows)
{
    StoreSlot *slot = store_slot(batch, op);
    MailRow *out = ARENA_ARRAY(batch->arena, MailRow, rows->set.rows);
    for (uint32_t i = 0; i < rows->set.rows; i++) {
        const Cell *c = &rows->set.cells[i * rows->set.columns];
        out[i] = (MailRow){ .tenant = batch->tenant, .run_id = batch->run_id, .mail_id = c[0].text, .kind = (MailKind)c[1].i, .request = (uint64_t)c[2].i, .name = c[3].text, .payload = c[4].text, .created_us = c[5].i };
    }
    slot->rows = out;
    slot->count = rows->set.rows;
}

static Err get_mail(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_text(batch->tenant), cell_text(batch->run_id), cell_int(sql_limit_of(op)) };
    Err err = SQL_RUN(db, "SELECT " SQL_MAIL " FROM flow_mail WHERE tenant = ?1 AND run_id = ?2 AND taken = 0 ORDER BY position LIMIT ?3", args, batch->arena, &rows, error);
    if (!err)
        sql_take_mail(batch, op, &rows);
    return err;
}

/* What a store keeps aside is settled before any batch that says so (SqlDb.settle). */
static Err settled(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    return ERR_OK;
}

/* ---- all of them ---------------------------------------------------------------------------------------- */

static const Apply APPLY[DO_COUNT] = {
    [DO_PUT_MODULE] = put_module, [DO_PUT_RUN] = sql_apply_run_op, [DO_UPDATE_RUN] = sql_apply_run_op, [DO_APPEND_JOURNAL] = sql_apply_journal_op,
    [DO_PUT_SNAPSHOT] = put_snapshot, [DO_SET_TIMER] = set_timer, [DO_CLEAR_TIMER] = clear_timer, [DO_PUT_WAIT] = sql_apply_wait_op, [DO_PASS_WAITS] = sql_apply_wait_op, [DO_CLEAR_WAIT] = sql_apply_wait_op,
    [DO_PUT_EVENT] = sql_apply_event_op, [DO_EVENT_DISPATCHED] = sql_apply_event_op, [DO_EVENT_REDELIVER] = sql_apply_event_op, [DO_PUT_DEAD] = sql_apply_event_op,
    [DO_PUT_MAIL] = put_mail, [DO_TAKE_MAIL] = take_mail, [DO_DROP_MAIL] = drop_mail,
    [DO_TAKE_RATE] = sql_take_rate, [DO_PUT_BLOB] = put_blob, [DO_RELEASE] = sql_apply_run_op, [DO_RENEW] = sql_apply_run_op, [DO_SETTLE] = settled, [DO_CLAIM] = sql_apply_run_op, [DO_FORK] = sql_apply_run_op,
    [DO_QUERY] = sql_apply_query, [DO_ENSURE_TABLES] = sql_ensure_tables, [DO_GC] = sql_gc, [DO_GET_MODULE] = get_module, [DO_GET_RUN] = sql_apply_run_op,
    [DO_LIST_RUNS] = sql_apply_run_op, [DO_GET_SNAPSHOT] = get_snapshot, [DO_GET_JOURNAL] = sql_apply_journal_op, [DO_GET_MAIL] = get_mail,
    [DO_GET_OUTBOX] = sql_apply_event_op, [DO_LIST_EVENTS] = sql_apply_event_op, [DO_GET_WAITS] = sql_apply_wait_op, [DO_GET_BLOB] = get_blob, [DO_LIST_DEAD] = sql_apply_event_op,
    [DO_NEXT_DUE] = next_due, [DO_NEXT_CLAIM] = sql_apply_run_op, [DO_HOT_WRITE] = sql_apply_hot, [DO_HOT_READ] = sql_apply_hot,
    [DO_CLAIM_OUTBOX] = sql_apply_event_op, [DO_REPUBLISH] = sql_apply_event_op, [DO_DELIVER] = sql_apply_event_op, [DO_SETTLE_EVENT] = sql_apply_event_op,
    [DO_PUT_SUBSCRIPTION] = sql_apply_event_op, [DO_DROP_SUBSCRIPTIONS] = sql_apply_event_op, [DO_TAKE_DEAD] = sql_apply_event_op, [DO_DEAD_PUBLISHED] = sql_apply_event_op,
    [DO_PUT_AUTH_LOGIN] = sql_apply_auth_op, [DO_TAKE_AUTH_LOGIN] = sql_apply_auth_op, [DO_PUT_AUTH_SESSION] = sql_apply_auth_op, [DO_REVOKE_AUTH_SESSION] = sql_apply_auth_op,
    [DO_GET_AUTH_SESSION] = sql_apply_auth_op, [DO_GET_EVENT] = sql_apply_event_op, [DO_GET_SUBSCRIPTIONS] = sql_apply_event_op, [DO_GET_UNPUBLISHED_DEAD] = sql_apply_event_op,
};

SqlRows sql_copy_rows(const SqlRows *rows, uint32_t first, uint32_t count, Arena *arena)
{
    uint32_t columns = rows->set.columns;
    SqlRows own = { .set = { .cells = ARENA_ARRAY(arena, Cell, (size_t)count * columns), .rows = count, .columns = columns }, .changes = count };
    for (uint32_t i = 0; i < count * columns; i++) {
        own.set.cells[i] = rows->set.cells[first * columns + i];
        if (own.set.cells[i].text.len)
            own.set.cells[i].text = arena_str(arena, own.set.cells[i].text);
    }
    return own;
}

Err sql_judge_fence(const StoreBatch *batch, const SqlRows *rows, Error *error)
{
    if (rows->set.rows == 0)
        return err_set(error, ERR_FENCED, "run `%.*s` is not there", STR_ARG(batch->run_id));
    if ((uint64_t)rows->set.cells[0].i != batch->epoch)
        return err_set(error, ERR_FENCED, "run `%.*s` is at epoch %lld, not %llu", STR_ARG(batch->run_id), (long long)rows->set.cells[0].i, (unsigned long long)batch->epoch);
    return ERR_OK;
}

Err sql_check_fence(SqlDb *db, StoreBatch *batch, Error *error)
{
    if (batch->epoch == 0 || batch->run_id.len == 0)
        return ERR_OK;
    if (db->check_fence)
        return db->check_fence(db, batch, error);
    SqlRows rows;
    const Cell args[] = { cell_text(batch->tenant), cell_text(batch->run_id) };
    Err err = SQL_RUN(db, "SELECT epoch FROM flow_runs WHERE tenant = ?1 AND run_id = ?2", args, batch->arena, &rows, error);
    return err ? err : sql_judge_fence(batch, &rows, error);
}

Err sql_apply_ops(SqlDb *db, StoreBatch *batch, Error *error)
{
    Err err = sql_check_fence(db, batch, error);
    if (!err && db->settle && batch->writes)
        err = db->settle(db, batch, error);
    for (StoreOp *op = batch->first; op && !err; op = op->next)
        err = APPLY[op->kind](db, batch, op, error);
    return err;
}

Err sql_snapshot_key(SqlDb *db, uint32_t *id, uint8_t bytes[32], Error *error)
{
    SqlRows rows;
    Arena *arena = arena_new();
    const Cell args[] = { cell_text(STR("snapshot_key")) };
    Err err = SQL_RUN(db, "SELECT value FROM flow_meta WHERE name = ?1", args, arena, &rows, error);
    if (!err && (rows.set.rows != 1 || rows.set.cells[0].text.len != 32))
        err = err_set(error, ERR_CORRUPT, "cannot open the store: its snapshot key is missing");
    if (!err)
        memcpy(bytes, rows.set.cells[0].text.ptr, 32);
    *id = 1;
    arena_free(arena);
    return err;
}

void sql_db_deinit(SqlDb *db)
{
    buf_free(&db->constraint);
    buf_free(&db->claimed_tenant);
    map_free(&db->queries);
    if (db->queries_arena)
        arena_free(db->queries_arena);
}
