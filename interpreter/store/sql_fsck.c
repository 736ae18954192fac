/* sql_fsck.c - what must hold between the engine's tables, each rule as one statement that finds what breaks it. */
#include "interpreter/store/journal_row.h"
#include "interpreter/store/sql.h"

/* Of chunk j of a journal (sql_journal.c). The 64 below is JOURNAL_CHUNK_ROWS. */
#define LAST_OF_J "COALESCE(j.last_seq, j.seq)"
#define ROWS_OF_J SQL_ROWS_OF("j.")

_Static_assert(JOURNAL_CHUNK_ROWS == 64, "a rule says so");

/* Columns: tenant, run id, a number; `text` goes behind them. @m: the hash of the run's module; @l: its worker keeps journal rows of it aside (SqlDb.read_log). A number that is nothing may be null. */
static const struct { const char *sql, *text; } RULES[] = {
    { "SELECT r.tenant, r.run_id, 0 FROM flow_runs r WHERE NOT EXISTS (SELECT 1 FROM flow_modules m WHERE m.hash = @m)", "its module is not in the store" },
    { "SELECT r.tenant, r.run_id, MIN(j.seq) FROM flow_runs r JOIN flow_journal j ON j.tenant = r.tenant AND j.run_id = r.run_id AND " LAST_OF_J " > COALESCE(r.snapshot_seq, 0) "
      "GROUP BY r.tenant, r.run_id, r.snapshot_seq HAVING SUM(" LAST_OF_J " - CASE WHEN j.seq > r.snapshot_seq THEN j.seq - 1 ELSE COALESCE(r.snapshot_seq, j.seq - 1) END) <> MAX(" LAST_OF_J ") - COALESCE(r.snapshot_seq, 0)", "its journal has a hole behind its snapshot; the first row there is" },
    { "SELECT r.tenant, r.run_id, r.last_seq FROM flow_runs r WHERE r.last_seq > COALESCE(r.snapshot_seq, 0) AND "
      "NOT EXISTS (SELECT 1 FROM flow_journal j WHERE j.tenant = r.tenant AND j.run_id = r.run_id AND j.seq > r.last_seq - 64 AND j.seq <= r.last_seq AND " LAST_OF_J " >= r.last_seq) AND NOT (r.status = 1 AND @l)", "its journal lacks its last row" },
    { "SELECT r.tenant, r.run_id, r.snapshot_seq FROM flow_runs r WHERE r.snapshot_seq > 0 AND "
      "NOT EXISTS (SELECT 1 FROM flow_snapshots s WHERE s.tenant = r.tenant AND s.run_id = r.run_id AND s.seq = r.snapshot_seq)", "it has no snapshot at" },
    { "SELECT DISTINCT r.tenant, r.run_id, t.request FROM flow_runs r JOIN flow_timers t ON t.tenant = r.tenant AND t.run_id = r.run_id WHERE r.status >= 3", "it has ended and holds a timer for request" },
    { "SELECT DISTINCT r.tenant, r.run_id, w.request FROM flow_runs r JOIN flow_waits w ON w.tenant = r.tenant AND w.run_id = r.run_id WHERE r.status >= 3", "it has ended and waits for an event, request" },
    { "SELECT r.tenant, r.run_id, r.lease_until_us FROM flow_runs r WHERE r.status <> 1 AND (r.lease_until_us <> 0 OR r.worker <> '')", "it does not run and holds a lease until" },
    { "SELECT j.tenant, j.run_id, CAST(SUM(" ROWS_OF_J ") AS BIGINT) FROM flow_journal j WHERE NOT EXISTS (SELECT 1 FROM flow_runs r WHERE r.tenant = j.tenant AND r.run_id = j.run_id) AND j.run_id NOT LIKE 'session:%' GROUP BY j.tenant, j.run_id",
      "there is no such run; journal rows" },
    { "SELECT s.tenant, s.run_id, s.seq FROM flow_snapshots s WHERE NOT EXISTS (SELECT 1 FROM flow_runs r WHERE r.tenant = s.tenant AND r.run_id = s.run_id)", "there is no such run; a snapshot at" },
    { "SELECT t.tenant, t.run_id, t.request FROM flow_timers t WHERE NOT EXISTS (SELECT 1 FROM flow_runs r WHERE r.tenant = t.tenant AND r.run_id = t.run_id)", "there is no such run; a timer for request" },
    { "SELECT w.tenant, w.run_id, w.request FROM flow_waits w WHERE NOT EXISTS (SELECT 1 FROM flow_runs r WHERE r.tenant = w.tenant AND r.run_id = w.run_id)", "there is no such run; a wait of request" },
    { "SELECT m.tenant, m.run_id, COUNT(*) FROM flow_mail m WHERE NOT EXISTS (SELECT 1 FROM flow_runs r WHERE r.tenant = m.tenant AND r.run_id = m.run_id) GROUP BY m.tenant, m.run_id",
      "there is no such run; mail" },
};

static Err check_integrity(SqlDb *db, Arena *arena, FsckReport *report, Buf *out, Error *error)
{
    SqlRows rows;
    Err err = db->dialect->integrity ? db->run(db, str_of(db->dialect->integrity), NULL, 0, arena, &rows, error) : ERR_OK;
    for (uint32_t i = 0; db->dialect->integrity && !err && i < rows.set.rows; i++) {
        Str text = rows.set.cells[i * rows.set.columns].text;
        if (str_is(text, "ok"))
            continue;
        report->problems++;
        buf_printf(out, "database: %.*s\n", STR_ARG(text));
    }
    return err;
}

static Str rule_text(const SqlDialect *dialect, const char *sql, Arena *arena)
{
    const char *at = strchr(sql, '@');
    return at ? str_of(arena_printf(arena, "%.*s%s%s", (int)(at - sql), sql, at[1] == 'm' ? dialect->module_of_run : dialect->log_of_run, at + 2)) : str_of(sql);
}

Err sql_fsck(SqlDb *db, FsckReport *report, Buf *out, Error *error)
{
    Arena *arena = arena_new();
    SqlRows rows;
    Err err = db->run(db, STR("SELECT (SELECT COUNT(*) FROM flow_runs), (SELECT CAST(COALESCE(SUM(" ROWS_OF_J "), 0) AS BIGINT) FROM flow_journal j), (SELECT COUNT(*) FROM flow_snapshots)"), NULL, 0, arena, &rows, error);
    if (!err) {
        report->runs = (uint64_t)rows.set.cells[0].i;
        report->journal_rows = (uint64_t)rows.set.cells[1].i;
        report->snapshots = (uint64_t)rows.set.cells[2].i;
        err = check_integrity(db, arena, report, out, error);
    }
    for (size_t r = 0; r < sizeof RULES / sizeof *RULES && !err; r++) {
        err = db->run(db, rule_text(db->dialect, RULES[r].sql, arena), NULL, 0, arena, &rows, error);
        for (uint32_t i = 0; !err && i < rows.set.rows; i++) {
            const Cell *c = &rows.set.cells[i * 3];
            report->problems++;
            buf_printf(out, "run %.*s/%.*s: %s", STR_ARG(c[0].text), STR_ARG(c[1].text), RULES[r].text);
            if (r)
                buf_printf(out, " %lld", (long long)c[2].i);
            buf_put_char(out, '\n');
        }
    }
    arena_free(arena);
    return err;
}
