/* sql_claims.c - which runs a worker gets.
 *
 * A claim looks only at runs that have not ended, through partial indexes, in four classes: ended leases, due timers, fresh mail, ready ones.
 * Each class has its share of a claim, and the class that is asked first changes, so that a flood in one holds up no other. Ready runs are
 * shared out by tenant, in turn from where the last claim stopped; within a tenant the priority counts, then the age. Tenants are found by
 * skipping along the index, so a claim costs as much as it takes, not as much as waits.
 *
 * A run holds its concurrency key and its place under a limit from its first claim until it ends, also while it is parked. A ready run that
 * finds its key taken is marked as blocked and leaves the index; the end of a holder takes the mark from the next one (sql_free_keys). Both
 * happen under a lock of the key's name where writers are concurrent, so that no mark is made behind the back of the end that should take it.
 * A run with a key and a limit is looked at again at every end that concerns it.
 *
 * What is taken is checked again by the update that takes it, so two claims in one batch, or on a store with concurrent writers, cannot both win.
 */
#include "base/json.h"
#include "interpreter/store/sql_runs.h"

enum { CLAIM_TENANTS_MAX = 64, CLAIM_ROUNDS_MAX = 4 };      /* tenants of one claim; how often it looks behind blocked runs of one tenant */

/* `status + 0` is in no index: what is looked for by its id, its timer or its mail must not be looked for among all that have not ended, however few of
   them there were when the planner last counted. */
/* Why run r may be taken: ?4 now; ?6 is 1 when the very worker ?3 may take what it is said to hold. Between the two: the dialect's `lone_worker`. */
#define WANTS_A_WORKER "(r.status + 0 = 0 OR (r.status + 0 = 1 AND (r.lease_until_us <= ?4 OR (?6 = 1 AND r.worker = ?3))"
#define OR_IS_WOKEN ") OR (r.status + 0 = 2 AND (" \
    "EXISTS (SELECT 1 FROM flow_timers t WHERE t.tenant = r.tenant AND t.run_id = r.run_id AND t.due_us <= ?4) OR " \
    "EXISTS (SELECT 1 FROM flow_mail m WHERE m.tenant = r.tenant AND m.run_id = r.run_id AND m.fresh = 1))))"
/* May it start, by its key and its limit? */
#define FREE_TO_START "(r.epoch > 0 OR ((r.concurrency_key = '' OR NOT EXISTS (SELECT 1 FROM flow_runs k WHERE k.tenant = r.tenant AND k.concurrency_key = r.concurrency_key " \
    "AND k.concurrency_key <> '' AND k.status < 3 AND k.epoch > 0)) AND (r.limit_key = '' OR (SELECT COUNT(*) FROM flow_runs k WHERE k.tenant = r.tenant AND k.limit_key = r.limit_key " \
    "AND k.limit_key <> '' AND k.status < 3 AND k.epoch > 0) < r.limit_count)))"
#define TAKE "UPDATE flow_runs AS r SET status = 1, blocked = 0, epoch = epoch + 1, worker = ?3, lease_until_us = ?5, updated_us = ?4 WHERE r.tenant = ?1 AND "
#define CANDIDATE "r.tenant, r.run_id, r.concurrency_key, r.limit_key, r.epoch, r.worker"
enum { CANDIDATE_COLUMNS = 6 };

/* ?1 now, ?2 how many, ?3 the tenant or empty. */
static const char *const CANDIDATES[] = {
    "SELECT " CANDIDATE " FROM flow_runs r WHERE r.status = 1 AND r.lease_until_us <= ?1 AND (?3 = '' OR r.tenant = ?3) ORDER BY r.lease_until_us LIMIT ?2",
    "SELECT " CANDIDATE " FROM flow_timers t JOIN flow_runs r ON r.tenant = t.tenant AND r.run_id = t.run_id "
        "WHERE t.due_us <= ?1 AND r.status + 0 = 2 AND (?3 = '' OR t.tenant = ?3) ORDER BY t.due_us LIMIT ?2",
    "SELECT " CANDIDATE " FROM flow_mail m JOIN flow_runs r ON r.tenant = m.tenant AND r.run_id = m.run_id "
        "WHERE m.fresh = 1 AND r.status + 0 = 2 AND (?3 = '' OR m.tenant = ?3) ORDER BY m.position LIMIT ?2",
};
enum { CLASS_LEASES, CLASS_TIMERS, CLASS_MAIL, CLASS_READY, CLASS_COUNT };
/* ?1 the tenant, ?2 how many. */
#define READY_OF_TENANT "SELECT " CANDIDATE " FROM flow_runs r WHERE r.status = 0 AND r.blocked = 0 AND r.tenant = ?1 ORDER BY r.priority DESC, r.created_us, r.row_no LIMIT ?2"
/* Tenants with ready runs behind ?1, and not behind ?3 unless it is empty; at most ?2. */
static const Str TENANTS = STR(
    "WITH RECURSIVE found (tenant, n) AS (SELECT (SELECT r.tenant FROM flow_runs r WHERE r.status = 0 AND r.blocked = 0 AND r.tenant > ?1 ORDER BY r.tenant LIMIT 1), 1 "
    "UNION ALL SELECT (SELECT r.tenant FROM flow_runs r WHERE r.status = 0 AND r.blocked = 0 AND r.tenant > found.tenant ORDER BY r.tenant LIMIT 1), found.n + 1 "
    "FROM found WHERE found.tenant IS NOT NULL AND found.n < ?2) SELECT tenant FROM found WHERE tenant IS NOT NULL AND (?3 = '' OR tenant <= ?3)");

typedef struct Claim {
    SqlDb *db;
    StoreBatch *batch;
    StoreOp *op;
    StoreSlot *slot;
    Error *error;
} Claim;

/* ---- taking ------------------------------------------------------------------------------------------------ */

static Err run_sql(Claim *c, Buf *sql, const Cell *args, uint32_t count, SqlRows *rows)
{
    Err err = c->db->run(c->db, buf_str(sql), args, count, c->batch->arena, rows, c->error);
    buf_free(sql);
    return err;
}

/* The dialect's words for "is in the JSON array"; a database with types of its own takes the parameter for text. */
static void put_in_list(const Claim *c, const char *column, const char *list, Buf *sql)
{
    for (const char *at = c->db->dialect->in_text_list; *at; at++) {
        if (*at != '@') {
            buf_put_char(sql, *at);
            continue;
        }
        at++;
        buf_printf(sql, *at == 'b' && c->db->dialect->cast ? "CAST(%s AS jsonb)" : "%s", *at == 'a' ? column : *at == 'b' ? list : c->db->dialect->type_text);
    }
}

static void put_wants(const Claim *c, Buf *sql)
{
    buf_put_text(sql, " AND " WANTS_A_WORKER);
    if (c->db->dialect->lone_worker)
        buf_printf(sql, " AND %s", c->db->dialect->lone_worker);
    buf_put_text(sql, OR_IS_WOKEN);
}

static Err take_from(Claim *c, Buf *sql, const Cell *args, Buf *seen, uint32_t *taken)
{
    SqlRows rows;
    Err err = run_sql(c, sql, args, 6, &rows);
    *taken = err ? 0 : rows.set.rows;
    if (err || rows.set.rows == 0) {
        buf_free(seen);
        return err;
    }
    sql_take_runs(c->batch, c->slot, &rows);
    return run_sql(c, seen, args, 2, NULL);
}

/* Runs of one tenant that have no key to wait for. ids: a JSON array. */
static Err take_many(Claim *c, Str tenant, Str ids)
{
    Buf sql = { 0 }, seen = { 0 };
    uint32_t taken;
    const Cell args[] = { cell_text(tenant), cell_text(ids), cell_text(c->op->text), cell_int(c->op->now_us), cell_int(c->op->now_us + c->op->lease_us), cell_int(0) };
    buf_put_text(&sql, TAKE);
    put_in_list(c, "r.run_id", "?2", &sql);
    put_wants(c, &sql);
    buf_put_text(&sql, " AND (r.epoch > 0 OR (r.concurrency_key = '' AND r.limit_key = '')) RETURNING " SQL_RUN_COLUMNS);
    buf_put_text(&seen, "UPDATE flow_mail SET fresh = 0 WHERE tenant = ?1 AND fresh = 1 AND ");
    put_in_list(c, "run_id", "?2", &seen);
    return take_from(c, &sql, args, &seen, &taken);
}

static Err take_one(Claim *c, Str tenant, Str run_id, bool *taken)
{
    Buf sql = { 0 }, seen = { 0 };
    uint32_t count;
    const Cell args[] = { cell_text(tenant), cell_text(run_id), cell_text(c->op->text), cell_int(c->op->now_us), cell_int(c->op->now_us + c->op->lease_us), cell_u64(c->op->number) };
    buf_put_text(&sql, TAKE "r.run_id = ?2");
    put_wants(c, &sql);
    buf_put_text(&sql, " AND " FREE_TO_START " RETURNING " SQL_RUN_COLUMNS);
    buf_put_text(&seen, "UPDATE flow_mail SET fresh = 0 WHERE tenant = ?1 AND run_id = ?2 AND fresh = 1");
    Err err = take_from(c, &sql, args, &seen, &count);
    *taken = count > 0;
    return err;
}

/* ---- keys -------------------------------------------------------------------------------------------------- */

static Err lock_key(SqlDb *db, StoreBatch *batch, const char *kind, Str key, Error *error)
{
    if (!db->dialect->lock_name || key.len == 0)
        return ERR_OK;
    const Cell args[] = { cell_text(str_of(arena_printf(batch->arena, "%s:%.*s:%.*s", kind, STR_ARG(batch->tenant), STR_ARG(key)))) };
    return db->run(db, str_of(db->dialect->lock_name), args, 1, batch->arena, NULL, error);
}

static Err lock_keys(SqlDb *db, StoreBatch *batch, Str concurrency_key, Str limit_key, Error *error)
{
    Err err = lock_key(db, batch, "key", concurrency_key, error);
    return err ? err : lock_key(db, batch, "limit", limit_key, error);
}

static Err take_keyed(Claim *c, const Cell *candidate)
{
    bool taken;
    Err err = lock_keys(c->db, c->batch, candidate[2].text, candidate[3].text, c->error);
    if (!err)
        err = take_one(c, candidate[0].text, candidate[1].text, &taken);
    if (err || taken)
        return err;
    const Cell args[] = { candidate[0], candidate[1] };
    return SQL_RUN(c->db, "UPDATE flow_runs SET blocked = 1 WHERE tenant = ?1 AND run_id = ?2 AND status = 0 AND epoch = 0", args, c->batch->arena, NULL, c->error);
}

#define UNBLOCK_NEXT(column, other) "UPDATE flow_runs SET blocked = 0 WHERE tenant = ?1 AND blocked = 1 AND status = 0 AND " column " = ?2 AND (" other " <> '' OR row_no = (SELECT b.row_no FROM flow_runs b " \
    "WHERE b.tenant = ?1 AND b.blocked = 1 AND b.status = 0 AND b." column " = ?2 AND b." other " = '' ORDER BY b.priority DESC, b.created_us, b.row_no LIMIT 1))"

Err sql_free_keys(SqlDb *db, StoreBatch *batch, Str concurrency_key, Str limit_key, Error *error)
{
    Err err = lock_keys(db, batch, concurrency_key, limit_key, error);
    const Cell key[] = { cell_text(batch->tenant), cell_text(concurrency_key) }, limit[] = { cell_text(batch->tenant), cell_text(limit_key) };
    if (!err && concurrency_key.len)
        err = SQL_RUN(db, UNBLOCK_NEXT("concurrency_key", "limit_key"), key, batch->arena, NULL, error);
    if (!err && limit_key.len)
        err = SQL_RUN(db, UNBLOCK_NEXT("limit_key", "concurrency_key"), limit, batch->arena, NULL, error);
    return err;
}

/* ---- candidates -------------------------------------------------------------------------------------------- */

static Err take_gathered(Claim *c, Str tenant, Buf *ids)
{
    if (ids->len == 0)
        return ERR_OK;
    buf_put_char(ids, ']');
    Err err = take_many(c, tenant, buf_str(ids));
    buf_clear(ids);
    return err;
}

/* In their order; those of one tenant without a key to wait for by one statement. */
static Err take_candidates(Claim *c, const SqlRows *rows)
{
    Buf ids = { 0 };
    Err err = ERR_OK;
    Str tenant = { 0 };
    for (uint32_t i = 0; i < rows->set.rows && !err; i++) {
        const Cell *row = &rows->set.cells[i * CANDIDATE_COLUMNS];
        bool keyed = row[4].i == 0 && (row[2].text.len || row[3].text.len);
        if (ids.len && (keyed || !str_eq(row[0].text, tenant)))
            err = take_gathered(c, tenant, &ids);
        if (err)
            break;
        if (keyed) {
            err = take_keyed(c, row);
            continue;
        }
        tenant = row[0].text;
        buf_put_char(&ids, ids.len ? ',' : '[');
        json_put_string(&ids, row[1].text);
    }
    if (!err)
        err = take_gathered(c, tenant, &ids);
    buf_free(&ids);
    return err;
}

static Err candidates(Claim *c, const char *select, const Cell *args, uint32_t count, SqlRows *rows)
{
    Buf sql = { 0 };
    buf_put_text(&sql, select);
    if (c->db->dialect->skip_locked)
        buf_put_text(&sql, c->db->dialect->skip_locked);
    return run_sql(c, &sql, args, count, rows);
}

/* Of these candidates, whose leases had ended, those that were taken since the slot held `before` runs. What their workers keep aside of them comes along. */
static Err take_over(Claim *c, const SqlRows *rows, uint32_t before)
{
    uint32_t taken = c->slot->count - before, count = 0;
    if (!c->db->take_over || taken == 0)
        return ERR_OK;
    SqlTaken *from = ARENA_ARRAY(c->batch->arena, SqlTaken, taken);
    for (uint32_t i = before; i < c->slot->count; i++) {
        const RunRow *run = (const RunRow *)c->slot->rows + i;
        for (uint32_t k = 0; k < rows->set.rows; k++) {
            const Cell *row = &rows->set.cells[k * CANDIDATE_COLUMNS];
            if (str_eq(row[0].text, run->tenant) && str_eq(row[1].text, run->run_id))
                from[count++] = (SqlTaken){ run->tenant, run->run_id, row[5].text };
        }
    }
    return c->db->take_over(c->db, c->batch, from, count, c->error);
}

static Err claim_class(Claim *c, size_t class, uint32_t most, bool *drained)
{
    SqlRows rows;
    uint32_t before = c->slot->count;
    const Cell args[] = { cell_int(c->op->now_us), cell_int(most), cell_text(c->batch->tenant) };
    Err err = candidates(c, CANDIDATES[class], args, 3, &rows);
    *drained = err || rows.set.rows < most;
    if (!err)
        err = take_candidates(c, &rows);
    return !err && class == CLASS_LEASES ? take_over(c, &rows, before) : err;
}

/* Behind blocked runs there may be others. */
static Err claim_ready_of(Claim *c, Str tenant, uint32_t most, bool *drained)
{
    uint32_t until = c->slot->count + most;
    for (int round = 0; round < CLAIM_ROUNDS_MAX && c->slot->count < until; round++) {
        SqlRows rows;
        uint32_t wanted = until - c->slot->count;
        const Cell args[] = { cell_text(tenant), cell_int(wanted) };
        Err err = candidates(c, READY_OF_TENANT, args, 2, &rows);
        if (!err)
            err = take_candidates(c, &rows);
        if (err || (*drained = rows.set.rows < wanted))
            return err;
    }
    return ERR_OK;
}

/* From behind the tenant that was served last, once around. */
static Err list_tenants(Claim *c, uint32_t most, SqlRows *first, SqlRows *second)
{
    Str after = buf_str(&c->db->claimed_tenant);
    const Cell behind[] = { cell_text(after), cell_int(most), cell_text(STR("")) };
    Err err = c->db->run(c->db, TENANTS, behind, 3, c->batch->arena, first, c->error);
    *second = (SqlRows){ 0 };
    if (err || first->set.rows >= most || after.len == 0)
        return err;
    const Cell before[] = { cell_text(STR("")), cell_int(most - first->set.rows), cell_text(after) };
    return c->db->run(c->db, TENANTS, before, 3, c->batch->arena, second, c->error);
}

/* First to each an equal share, then what is left over. */
static Err claim_ready(Claim *c, uint32_t most, bool *drained)
{
    SqlRows first, second;
    if (c->batch->tenant.len)
        return claim_ready_of(c, c->batch->tenant, most, drained);
    Err err = list_tenants(c, most < CLAIM_TENANTS_MAX ? most : CLAIM_TENANTS_MAX, &first, &second);
    uint32_t count = err ? 0 : first.set.rows + second.set.rows, until = c->slot->count + most;
    Str last = { 0 };
    bool all = count < CLAIM_TENANTS_MAX && count < most, its[CLAIM_TENANTS_MAX] = { false };
    for (uint32_t i = 0; i < 2 * count && !err && c->slot->count < until; i++) {
        uint32_t n = i % count, left = until - c->slot->count, share = i < count ? (left + (count - n) - 1) / (count - n) : left;
        if (its[n])
            continue;
        Str tenant = (n < first.set.rows ? &first.set.cells[n] : &second.set.cells[n - first.set.rows])->text;
        err = claim_ready_of(c, tenant, share, &its[n]);
        if (i < count)
            last = tenant;
    }
    for (uint32_t i = 0; i < count; i++)
        all &= its[i];
    *drained = all;
    if (!err && last.len) {
        buf_clear(&c->db->claimed_tenant);
        buf_put_str(&c->db->claimed_tenant, last);
    }
    return err;
}

/* ---- the operations ---------------------------------------------------------------------------------------- */

/* Locked, so that it is still his when it is taken. */
static Err worker_of(Claim *c, SqlTaken *from)
{
    SqlRows rows;
    Buf sql = { 0 };
    const Cell args[] = { cell_text(c->batch->tenant), cell_text(c->op->more) };
    buf_printf(&sql, "SELECT s0.worker FROM flow_runs AS s0 WHERE s0.tenant = ?1 AND s0.run_id = ?2 AND s0.status = 1%s", c->db->dialect->lock_rows);
    Err err = run_sql(c, &sql, args, 2, &rows);
    *from = (SqlTaken){ c->batch->tenant, c->op->more, err || rows.set.rows == 0 ? (Str){ 0 } : rows.set.cells[0].text };
    return err;
}

static Err claim_named(Claim *c)
{
    SqlRows rows;
    SqlTaken from = { 0 };
    bool taken = false;
    const Cell args[] = { cell_text(c->batch->tenant), cell_text(c->op->more) };
    Err err = SQL_RUN(c->db, "SELECT concurrency_key, limit_key, status FROM flow_runs WHERE tenant = ?1 AND run_id = ?2 AND status < 3", args, c->batch->arena, &rows, c->error);
    if (err || rows.set.rows == 0)
        return err;
    err = lock_keys(c->db, c->batch, rows.set.cells[0].text, rows.set.cells[1].text, c->error);
    if (!err && c->db->take_over && rows.set.cells[2].i == RUN_RUNNING)
        err = worker_of(c, &from);
    if (!err)
        err = take_one(c, c->batch->tenant, c->op->more, &taken);
    return !err && taken && from.worker.len ? c->db->take_over(c->db, c->batch, &from, 1, c->error) : err;
}

/* The slot's `found`: there may be more; `seq`: so many of the first runs came from ended leases. */
Err sql_claim(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    Claim c = { .db = db, .batch = batch, .op = op, .slot = store_slot(batch, op), .error = error };
    Err err = ERR_OK;
    if (op->more.len)
        return claim_named(&c);
    size_t turn = db->claims++;
    bool drained[CLASS_COUNT] = { false };
    for (size_t i = 0; i < 2 * CLASS_COUNT && !err && c.slot->count < op->limit; i++) {
        size_t class = i == 0 || i == CLASS_COUNT ? CLASS_LEASES : CLASS_TIMERS + (turn + i) % (CLASS_COUNT - 1);
        uint32_t left = op->limit - c.slot->count, share = i < CLASS_COUNT ? (left + CLASS_COUNT - 1) / CLASS_COUNT : left;
        if (drained[class])
            continue;
        err = class == CLASS_READY ? claim_ready(&c, share, &drained[class]) : claim_class(&c, class, share, &drained[class]);
        if (i == 0)
            c.slot->seq = c.slot->count;
    }
    for (size_t class = 0; class < CLASS_COUNT; class++)
        c.slot->found |= !drained[class];
    return err;
}

/* Timers of runs that work are over or will be set again when they park. The leases of the worker that asks are its own concern. */
Err sql_next_claim(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows timers, leases;
    const Cell args[] = { cell_text(op->text) };
    Err err = db->run(db, STR("SELECT t.due_us FROM flow_timers t JOIN flow_runs r ON r.tenant = t.tenant AND r.run_id = t.run_id WHERE r.status + 0 = 2 ORDER BY t.due_us LIMIT 1"),
                      NULL, 0, batch->arena, &timers, error);
    if (!err)
        err = SQL_RUN(db, "SELECT lease_until_us FROM flow_runs WHERE status = 1 AND worker <> ?1 ORDER BY lease_until_us LIMIT 1", args, batch->arena, &leases, error);
    if (err)
        return err;
    int64_t timer = timers.set.rows ? timers.set.cells[0].i : INT64_MAX, lease = leases.set.rows ? leases.set.cells[0].i : INT64_MAX;
    store_slot(batch, op)->time = timer < lease ? timer : lease;
    return ERR_OK;
}
