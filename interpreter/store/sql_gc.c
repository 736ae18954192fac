/* sql_gc.c - what nobody needs any more: ended runs and all that is theirs, events that were dispatched.
 *
 * One page of the primary key a batch, so that no pass holds a lock for long or grows with the store; where it stopped is in the result.
 * Events stay as long as a run that has not ended may still want to hear them (a new `await` hears what was emitted since its run began).
 * Modules stay: a run may be about to be started of one. Tables of programs and the event store of aggregates are never touched.
 */
#include "interpreter/store/sql_gc.h"

static const char *const RUN_TABLES[] = { "flow_journal", "flow_snapshots", "flow_timers", "flow_waits", "flow_mail", "flow_runs" };

static Err delete_run(SqlDb *db, StoreBatch *batch, const Cell *key, GcPage *page, Error *error)
{
    SqlRows held;
    Err err = db->run(db, STR("SELECT CAST(COALESCE(SUM(" SQL_ROWS_OF("") "), 0) AS BIGINT) FROM flow_journal WHERE tenant = ?1 AND run_id = ?2"), key, 2, batch->arena, &held, error);
    page->journal_rows += err ? 0 : (uint64_t)held.set.cells[0].i;
    for (size_t t = 0; t < sizeof RUN_TABLES / sizeof *RUN_TABLES && !err; t++) {
        err = db->run(db, str_of(arena_printf(batch->arena, "DELETE FROM %s WHERE tenant = ?1 AND run_id = ?2", RUN_TABLES[t])), key, 2, batch->arena, NULL, error);
    }
    page->runs += !err;
    return err;
}

/* What session runs left here so that their changes happen once: of no use two days later, when the session that could ask is long over. */
#define SESSION_ROWS_KEPT (INT64_C(2) * 86400 * 1000000)

static Err gc_session_rows(SqlDb *db, StoreBatch *batch, StoreOp *op, GcPage *page, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_int(op->now_us - SESSION_ROWS_KEPT), cell_int(op->limit) };
    Err err = SQL_RUN(db, "DELETE FROM flow_journal WHERE (tenant, run_id, seq) IN (SELECT tenant, run_id, seq FROM flow_journal WHERE run_id >= 'session:' AND run_id < 'session;' AND ended_us < ?1 LIMIT ?2)",
                      args, batch->arena, &rows, error);
    page->journal_rows += err ? 0 : (uint64_t)rows.changes;
    return err;
}

/* A session that lives in rows and is over: what it waits for cannot reach it any more. */
#define SESSION_ROW_TTL (INT64_C(86400) * 1000000)

static Err gc_runs(SqlDb *db, StoreBatch *batch, StoreOp *op, GcPage *page, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_text(op->text), cell_text(op->more), cell_int(op->limit) };
    Err err = SQL_RUN(db, "SELECT tenant, run_id, status, ended_us, durability, updated_us FROM flow_runs WHERE (tenant, run_id) > (?1, ?2) ORDER BY tenant, run_id LIMIT ?3", args, batch->arena, &rows, error);
    for (uint32_t i = 0; i < rows.set.rows && !err; i++) {
        const Cell *c = &rows.set.cells[i * rows.set.columns];
        bool over = run_status_ended((RunStatus)c[2].i) ? c[3].i < op->now_us : c[4].i == RUN_SESSION_IN_ROWS && c[2].i == RUN_PARKED && c[5].i < op->now_us - SESSION_ROW_TTL;
        if (over)
            err = delete_run(db, batch, c, page, error);
        page->tenant = c[0].text;
        page->run_id = c[1].text;
    }
    page->more = !err && rows.set.rows == op->limit;
    if (!err && !page->more)
        err = gc_session_rows(db, batch, op, page, error);
    return !err && !page->more && db->gc_log ? db->gc_log(db, batch, error) : err;
}

/* All of one age at once: in the order of their positions, `limit` a page. */
static Err gc_events(SqlDb *db, StoreBatch *batch, StoreOp *op, GcPage *page, Error *error)
{
    SqlRows rows;
    const Cell args[] = { cell_int(op->now_us), cell_int(op->limit) };
    Err err = SQL_RUN(db, "DELETE FROM flow_events WHERE (tenant, position) IN (SELECT tenant, position FROM flow_events WHERE dispatched = 1 AND created_us < ?1 AND "
                          "created_us < COALESCE((SELECT MIN(created_us) FROM flow_runs WHERE status < 3), ?1) LIMIT ?2)", args, batch->arena, &rows, error);
    if (err)
        return err;
    page->events = (uint64_t)rows.changes;
    page->more = rows.changes == op->limit;
    err = SQL_RUN(db, "DELETE FROM flow_dead WHERE created_us < ?1 AND ?2 = ?2 AND NOT EXISTS (SELECT 1 FROM flow_events e WHERE e.tenant = flow_dead.tenant AND e.event_id = flow_dead.event_id)",
                  args, batch->arena, &rows, error);
    page->dead = err ? 0 : (uint64_t)rows.changes;
    return err;
}

Err sql_gc(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    static Err (*const PARTS[GC_PART_COUNT])(SqlDb *, StoreBatch *, StoreOp *, GcPage *, Error *) = { gc_runs, gc_events, sql_gc_rates };
    GcPage *page = ARENA_NEW(batch->arena, GcPage);
    StoreSlot *slot = store_slot(batch, op);
    slot->rows = page;
    slot->count = 1;
    return PARTS[op->number](db, batch, op, page, error);
}
