/* sql_runs.c - runs: rows, leases, copies. Claims are in sql_claims.c.
 */
#include "interpreter/store/sql_runs.h"

enum { RUN_COLUMN_COUNT = 31 };

void sql_take_runs(StoreBatch *batch, StoreSlot *slot, const SqlRows *rows)
{
    RunRow *out = ARENA_ARRAY(batch->arena, RunRow, slot->count + rows->set.rows);
    if (slot->count)
        memcpy(out, slot->rows, sizeof *out * slot->count);
    for (uint32_t i = 0; i < rows->set.rows; i++) {
        const Cell *c = &rows->set.cells[i * rows->set.columns];
        out[slot->count++] = (RunRow){
            .tenant = c[0].text, .run_id = c[1].text, .module_hash = sql_hash_of(&c[2], batch->arena), .func_name = c[3].text, .func = (uint16_t)c[4].i, .status = (RunStatus)c[5].i,
            .user = c[6].text, .user_name = c[7].text, .correlation = c[8].kind == CELL_NULL ? c[1].text : c[8].text, .causation = c[9].text, .hops = (uint32_t)c[10].i, .input = c[11].text,
            .input_json = c[12].text, .result_json = c[13].text, .waits_json = c[14].text, .concurrency_key = c[15].text, .limit_key = c[16].text,
            .limit_count = (uint32_t)c[17].i, .priority = (int)c[18].i, .epoch = (uint64_t)c[19].i, .worker = c[20].text, .lease_until_us = c[21].i,
            .last_seq = (uint64_t)c[22].i, .snapshot_seq = (uint64_t)c[23].i, .created_us = c[24].i, .updated_us = c[25].i, .started_us = c[26].i,
            .ended_us = c[27].i, .durability = (uint8_t)c[28].i, .cancel_requested = c[29].i != 0, .scopes = c[30].text,
        };
    }
    slot->rows = out;
}

/* ---- modules: 64 digits of a hash are half as many bytes; what is no hash stays as it is ------------------ */

Cell sql_hash_cell(const SqlDialect *dialect, Str hash, Arena *arena)
{
    if (!dialect->packs_hashes)
        return cell_text(hash);
    char *bytes = arena_alloc(arena, SHA256_BYTES);
    bool packs = hash.len == SHA256_HEX && hex_decode(hash, (uint8_t *)bytes, SHA256_BYTES);
    return cell_blob(packs ? (Str){ bytes, SHA256_BYTES } : hash);
}

Str sql_hash_of(const Cell *cell, Arena *arena)
{
    if (cell->kind != CELL_BLOB || cell->text.len != SHA256_BYTES)
        return cell->text;
    char *hex = arena_alloc(arena, SHA256_HEX + 1);
    hex_encode((const uint8_t *)cell->text.ptr, SHA256_BYTES, hex);
    return (Str){ hex, SHA256_HEX };
}

/* ---- rows ----------------------------------------------------------------------------------------------- */

static Err insert_run(SqlDb *db, StoreBatch *batch, const RunRow *r, bool or_ignore, Error *error)
{
    const Cell args[RUN_COLUMN_COUNT] = {
        cell_text(r->tenant), cell_text(r->run_id), sql_hash_cell(db->dialect, r->module_hash, batch->arena), cell_text(r->func_name), cell_int(r->func), cell_int(r->status), cell_text(r->user),
        cell_text(r->user_name), cell_text(r->correlation), cell_text(r->causation), cell_int(r->hops), cell_blob(r->input), cell_text(r->input_json),
        cell_text(r->result_json), cell_text(r->waits_json), cell_text(r->concurrency_key), cell_text(r->limit_key), cell_int(r->limit_count), cell_int(r->priority),
        cell_u64(r->epoch), cell_text(r->worker), cell_int(r->lease_until_us), cell_u64(r->last_seq), cell_u64(r->snapshot_seq), cell_int(r->created_us),
        cell_int(r->updated_us), cell_int(r->started_us), cell_int(r->ended_us), cell_int(r->durability), cell_int(r->cancel_requested), cell_text(r->scopes),
    };
#define INSERT_RUN "INSERT INTO flow_runs (" SQL_RUN_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31)"
    Err err = or_ignore ? SQL_RUN(db, INSERT_RUN " ON CONFLICT DO NOTHING", args, batch->arena, NULL, error) : SQL_RUN(db, INSERT_RUN, args, batch->arena, NULL, error);
    return err == ERR_CONFLICT ? err_set(error, err, "run `%.*s` exists already", STR_ARG(r->run_id)) : err;
}

static Err put_run(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const RunRow *r = op->row;
    if (r->tenant.len == 0 || r->run_id.len == 0)
        return err_set(error, ERR_INVALID, "cannot store a run without a tenant and an id");
    if (batch->tenant.len && !str_eq(batch->tenant, r->tenant))
        return err_set(error, ERR_INVALID, "cannot write a run of tenant `%.*s` in a batch of `%.*s`", STR_ARG(r->tenant), STR_ARG(batch->tenant));
    return insert_run(db, batch, r, op->or_ignore, error);
}

static Err no_run(const StoreBatch *batch, Error *error)
{
    return err_set(error, ERR_NOT_FOUND, "no run `%.*s`", STR_ARG(batch->run_id));
}

/* A run that has ended waits for nothing, and nobody waits for it. */
static Err forget_waits(SqlDb *db, StoreBatch *batch, const SqlRows *keys, Error *error)
{
    const Cell key[] = { cell_text(batch->tenant), cell_text(batch->run_id) };
    Err err = SQL_RUN(db, "DELETE FROM flow_timers WHERE tenant = ?1 AND run_id = ?2", key, batch->arena, NULL, error);
    if (!err)
        err = SQL_RUN(db, "DELETE FROM flow_waits WHERE tenant = ?1 AND run_id = ?2", key, batch->arena, NULL, error);
    if (!err)
        err = SQL_RUN(db, "UPDATE flow_mail SET taken = 1, fresh = 0 WHERE tenant = ?1 AND run_id = ?2 AND taken = 0", key, batch->arena, NULL, error);
    return err ? err : sql_free_keys(db, batch, keys->set.cells[0].text, keys->set.cells[1].text, error);
}

/* Only a running run has a worker and a lease. */
static Err update_run(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const RunRow *r = op->row;
    SqlRows rows;
    const Cell args[] = {
        cell_text(batch->tenant), cell_text(batch->run_id), cell_int(r->status), cell_text(r->result_json), cell_text(r->waits_json), cell_u64(r->last_seq),
        cell_u64(r->snapshot_seq), cell_int(r->updated_us), cell_int(r->started_us), cell_int(r->ended_us), cell_int(r->status == RUN_RUNNING ? r->lease_until_us : 0),
    };
    Err err = SQL_RUN(db, "UPDATE flow_runs SET status = ?3, result_json = ?4, waits_json = ?5, last_seq = ?6, snapshot_seq = ?7, updated_us = ?8, started_us = ?9, ended_us = ?10, "
                          "lease_until_us = ?11, worker = CASE WHEN ?3 = 1 THEN worker ELSE '' END WHERE tenant = ?1 AND run_id = ?2 RETURNING concurrency_key, limit_key", args, batch->arena, &rows, error);
    if (!err && rows.set.rows == 0)
        err = no_run(batch, error);
    return !err && run_status_ended(r->status) ? forget_waits(db, batch, &rows, error) : err;
}

static Err release(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_text(batch->tenant), cell_text(batch->run_id), cell_u64(op->number) };
    Err err = SQL_RUN(db, "UPDATE flow_runs SET status = ?3, worker = '', lease_until_us = 0 WHERE tenant = ?1 AND run_id = ?2 RETURNING concurrency_key, limit_key", args, batch->arena, &rows, error);
    if (!err && rows.set.rows == 0)
        err = no_run(batch, error);
    return !err && run_status_ended((RunStatus)op->number) ? forget_waits(db, batch, &rows, error) : err;
}

/* A run that parked or ended meanwhile has no lease to prolong. */
static Err renew(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const Cell args[] = { cell_text(batch->tenant), cell_text(batch->run_id), cell_int(op->lease_us) };
    if (!db->dialect->skip_locked)
        return SQL_RUN(db, "UPDATE flow_runs SET lease_until_us = ?3 WHERE tenant = ?1 AND run_id = ?2 AND status = 1", args, batch->arena, NULL, error);
    Buf sql = { 0 };                                        /* a row that the run's own transaction holds is safe from others until that ends */
    buf_printf(&sql, "UPDATE flow_runs SET lease_until_us = ?3 WHERE tenant = ?1 AND run_id = ?2 AND run_id IN "
                     "(SELECT run_id FROM flow_runs WHERE tenant = ?1 AND run_id = ?2 AND status = 1%s)", db->dialect->skip_locked);
    Err err = db->run(db, buf_str(&sql), args, 3, batch->arena, NULL, error);
    buf_free(&sql);
    return err;
}

/* ---- reads ---------------------------------------------------------------------------------------------- */

static Err get_run(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell exact[] = { cell_text(batch->tenant), cell_text(op->text) };
    Err err = SQL_RUN(db, "SELECT " SQL_RUN_COLUMNS " FROM flow_runs WHERE tenant = ?1 AND run_id = ?2", exact, batch->arena, &rows, error);
    if (!err && rows.set.rows == 0 && op->text.len) {
        Buf last = { 0 };                                   /* sorts behind everything that begins with the prefix */
        buf_put_str(&last, op->text);
        buf_put_text(&last, "\xF4\x8F\xBF\xBF");
        const Cell range[] = { cell_text(batch->tenant), cell_text(op->text), cell_text(buf_str(&last)) };
        err = SQL_RUN(db, "SELECT " SQL_RUN_COLUMNS " FROM flow_runs WHERE tenant = ?1 AND run_id >= ?2 AND run_id < ?3 LIMIT 2", range, batch->arena, &rows, error);
        buf_free(&last);
    }
    if (err)
        return err;
    if (rows.set.rows == 0)
        return err_set(error, ERR_NOT_FOUND, "no run `%.*s`", STR_ARG(op->text));
    if (rows.set.rows > 1)
        return err_set(error, ERR_CONFLICT, "run `%.*s` is ambiguous", STR_ARG(op->text));
    sql_take_runs(batch, store_slot(batch, op), &rows);
    return ERR_OK;
}

/* The text depends on which filters are set, so that each has its index. */
static void put_filters(const RunFilter *f, Buf *sql)
{
    if (!f->any_tenant)
        buf_put_text(sql, " AND tenant = ?1");
    if (f->correlation.len)
        buf_put_text(sql, " AND ((correlation = ?2 AND correlation <> run_id) OR (run_id = ?2 AND COALESCE(correlation, run_id) = ?2))");           /* most runs are their own root, and in no index for that */
    if (f->func_name.len)
        buf_put_text(sql, " AND func_name = ?3");
    if (f->status >= 0)
        buf_put_text(sql, " AND status = ?4");
    if (f->unended)
        buf_put_text(sql, " AND status < 3");
    if (f->worker.len)
        buf_put_text(sql, " AND worker = ?6");
    if (f->called)
        buf_put_text(sql, " AND (tenant, run_id) IN (SELECT m.tenant, m.run_id FROM flow_mail m WHERE m.fresh = 1)");
    if (f->user.len)
        buf_put_text(sql, " AND user_id = ?7");
    if (f->until_us)
        buf_put_text(sql, " AND created_us <= ?8");
}

/* Only a run that works has a worker. */
static void put_list(const SqlDialect *dialect, const RunFilter *f, Buf *sql)
{
    static const char NEWEST[] = " ORDER BY created_us DESC, row_no DESC LIMIT ?5";
    const char *one = f->worker.len || f->status == RUN_RUNNING ? "status = 1" : !dialect->running_apart ? "1 = 1" : f->status >= 0 ? "status <> 1" : NULL;
    static const char *const PARTS[] = { "(SELECT * FROM (SELECT " SQL_RUN_COLUMNS ", row_no FROM flow_runs WHERE status <> 1", " UNION ALL SELECT * FROM (SELECT " SQL_RUN_COLUMNS ", row_no FROM flow_runs WHERE status = 1" };
    buf_put_text(sql, "SELECT " SQL_RUN_COLUMNS " FROM ");
    if (one) {
        buf_printf(sql, "flow_runs WHERE %s", one);
        put_filters(f, sql);
    } else {
        for (int i = 0; i < 2; i++) {
            buf_put_text(sql, PARTS[i]);
            put_filters(f, sql);
            buf_printf(sql, "%s) AS part%d", NEWEST, i);
        }
        buf_put_text(sql, ") AS runs");
    }
    buf_put_text(sql, NEWEST);
}

static Err list_runs(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const RunFilter *f = op->row;
    Buf sql = { 0 };
    put_list(db->dialect, f, &sql);
    const Cell args[] = { cell_text(batch->tenant), cell_text(f->correlation), cell_text(f->func_name), cell_int(f->status), cell_int(f->limit ? f->limit : INT64_MAX), cell_text(f->worker),
                          cell_text(f->user), cell_int(f->until_us) };
    SqlRows rows;
    Err err = db->run(db, buf_str(&sql), args, 8, batch->arena, &rows, error);
    if (!err)
        sql_take_runs(batch, store_slot(batch, op), &rows);
    buf_free(&sql);
    return err;
}

/* ---- a copy --------------------------------------------------------------------------------------------- */

/* Snapshots are bound to their run's id, so a copy starts from its input and the history, which is never cut. */
static Err fork_run(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell key[] = { cell_text(batch->tenant), cell_text(batch->run_id) };
    Err err = SQL_RUN(db, "SELECT " SQL_RUN_COLUMNS " FROM flow_runs WHERE tenant = ?1 AND run_id = ?2", key, batch->arena, &rows, error);
    if (err || rows.set.rows == 0)
        return err ? err : no_run(batch, error);
    StoreSlot found = { 0 };
    sql_take_runs(batch, &found, &rows);
    RunRow run = *(const RunRow *)found.rows;
    run.causation = run.run_id;
    run.run_id = op->text;
    run.status = RUN_READY;
    run.epoch = run.snapshot_seq = 0;
    run.last_seq = op->number;
    run.worker = run.result_json = run.waits_json = run.concurrency_key = run.limit_key = (Str){ 0 };       /* the original may hold the key */
    run.limit_count = 0;
    run.lease_until_us = run.started_us = run.ended_us = 0;
    run.created_us = run.updated_us = op->now_us;
    run.cancel_requested = false;
    if ((err = insert_run(db, batch, &run, false, error)))
        return err;
    return sql_copy_journal(db, batch, batch->run_id, op->number, op->text, error);
}

Err sql_apply_run_op(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    switch (op->kind) {
    case DO_PUT_RUN:    return put_run(db, batch, op, error);
    case DO_UPDATE_RUN: return update_run(db, batch, op, error);
    case DO_RELEASE:    return release(db, batch, op, error);
    case DO_RENEW:      return renew(db, batch, op, error);
    case DO_CLAIM:      return sql_claim(db, batch, op, error);
    case DO_NEXT_CLAIM: return sql_next_claim(db, batch, op, error);
    case DO_FORK:       return fork_run(db, batch, op, error);
    case DO_GET_RUN:    return get_run(db, batch, op, error);
    default:            return list_runs(db, batch, op, error);
    }
}
