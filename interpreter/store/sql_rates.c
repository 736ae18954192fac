/* sql_rates.c - at most so many starts of a key within a time, exactly, at the cost of two rows whatever the number is.
 *
 * A key counts its starts in flow_rates, whose row is the lock of all who start at the same time. The last `limit` of them lie in a ring of as many slots
 * in flow_rate_starts: start number n is written over number n - limit, if that one was made a whole unit ago or earlier. So no unit of time, wherever it
 * begins, holds more than `limit` starts; a counter that begins anew each minute, or a bucket that is full, would let up to twice as many through.
 * The caller's key names limit and unit, so a rule that changed begins with an empty ring.
 */
#include "interpreter/store/sql_gc.h"

Err sql_take_rate(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    SqlRows rows;
    const Cell count[] = { cell_text(batch->tenant), cell_text(op->text), cell_int(op->now_us + op->lease_us) };
    Err err = SQL_RUN(db, "INSERT INTO flow_rates (tenant, rate_key, starts, ends_us) VALUES (?1, ?2, 1, ?3) ON CONFLICT (tenant, rate_key) DO UPDATE SET starts = flow_rates.starts + 1, "
                          "ends_us = CASE WHEN excluded.ends_us > flow_rates.ends_us THEN excluded.ends_us ELSE flow_rates.ends_us END RETURNING starts", count, batch->arena, &rows, error);
    if (err)
        return err;
    const Cell start[] = { count[0], count[1], cell_int((rows.set.cells[0].i - 1) % op->limit), cell_int(op->now_us), cell_int(op->now_us - op->lease_us) };
    err = SQL_RUN(db, "INSERT INTO flow_rate_starts (tenant, rate_key, slot, at_us) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (tenant, rate_key, slot) DO UPDATE SET at_us = excluded.at_us "
                      "WHERE flow_rate_starts.at_us <= ?5", start, batch->arena, &rows, error);
    if (err || rows.changes)
        return err;
    const Cell slot[] = { start[0], start[1], start[2] };
    if ((err = SQL_RUN(db, "SELECT at_us FROM flow_rate_starts WHERE tenant = ?1 AND rate_key = ?2 AND slot = ?3", slot, batch->arena, &rows, error)))
        return err;
    int64_t wait_us = (rows.set.rows ? rows.set.cells[0].i : op->now_us) + op->lease_us - op->now_us;
    return err_set(error, ERR_LIMIT, "rate_limited: `%.*s` was started %u times already; retry after %lld s", STR_ARG(op->more), op->limit, (long long)((wait_us + 999999) / 1000000));
}

/* Keys whose last start is older than their unit. The counter's row goes first: whoever starts just now waits for it, and finds no slot that is about to go. */
Err sql_gc_rates(SqlDb *db, StoreBatch *batch, StoreOp *op, GcPage *page, Error *error)
{
    SqlRows rows, gone;
    const Cell args[] = { cell_text(op->text), cell_text(op->more), cell_int(op->limit) };
    Err err = SQL_RUN(db, "SELECT tenant, rate_key, ends_us FROM flow_rates WHERE (tenant, rate_key) > (?1, ?2) ORDER BY tenant, rate_key LIMIT ?3", args, batch->arena, &rows, error);
    for (uint32_t i = 0; i < rows.set.rows && !err; i++) {
        const Cell *c = &rows.set.cells[i * rows.set.columns], key[] = { c[0], c[1], cell_int(op->now_us) };
        page->tenant = c[0].text;
        page->run_id = c[1].text;
        if (c[2].i >= op->now_us)
            continue;
        err = SQL_RUN(db, "DELETE FROM flow_rates WHERE tenant = ?1 AND rate_key = ?2 AND ends_us < ?3", key, batch->arena, &gone, error);
        if (!err && gone.changes)
            err = db->run(db, STR("DELETE FROM flow_rate_starts WHERE tenant = ?1 AND rate_key = ?2"), key, 2, batch->arena, NULL, error);
    }
    page->more = !err && rows.set.rows == op->limit;
    return err;
}
