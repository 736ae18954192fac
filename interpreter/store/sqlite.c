/* sqlite.c - the embedded store: one file, WAL, every commit on disk before it is acknowledged.
 *
 * Several processes may have the file open: writers begin IMMEDIATE and wait up to SQLITE_BUSY_MS for each other, readers see the
 * last commit. Statements are prepared once and kept by their text. The engine's tables are made by numbered migrations; the file
 * says how far it is, and one from a newer program is refused. Decimals are canonical text under the collation `decimal`; sums,
 * products and averages of them are functions of the connection, so no value ever passes through a double.
 *
 * To change the schema: append to MIGRATIONS, never edit a row that was released.
 */
#include "interpreter/store/sql.h"

#include "base/decimal.h"
#include "interpreter/store/file_watch.h"
#include "interpreter/store/journal_row.h"
#include "interpreter/store/text_case.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SQLITE_BUSY_MS = 10000, SQLITE_STATEMENTS_MAX = 512, SQLITE_WAL_RETRY_MS = 10 };

typedef struct Statement { sqlite3_stmt *stmt; char text[]; } Statement;
typedef struct Sqlite {
    SqlDb db;                            /* first: the operations see only this */
    sqlite3 *handle;
    Map statements;
    struct event_base *loop;             /* NULL: nobody is told of what others write */
    FileWatch *watch;
    int64_t version;                     /* moves with every commit of another connection */
    void (*wake)(void *arg); void *wake_arg;
} Sqlite;

static const char *const MIGRATIONS[] = {
    /* 1 */
    "CREATE TABLE flow_meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE flow_modules (hash TEXT PRIMARY KEY, bytes BLOB NOT NULL);"
    "CREATE TABLE flow_blobs (tenant TEXT NOT NULL, hash TEXT NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (tenant, hash));"
    "CREATE TABLE flow_runs (row_no INTEGER PRIMARY KEY, tenant TEXT NOT NULL, run_id TEXT NOT NULL, module_hash TEXT NOT NULL, func_name TEXT NOT NULL, func INTEGER NOT NULL,"
    " status INTEGER NOT NULL, user_id TEXT NOT NULL, user_name TEXT NOT NULL, correlation TEXT NOT NULL, causation TEXT NOT NULL, hops INTEGER NOT NULL, input BLOB NOT NULL,"
    " input_json TEXT NOT NULL, result_json TEXT NOT NULL, waits_json TEXT NOT NULL, concurrency_key TEXT NOT NULL, limit_key TEXT NOT NULL, limit_count INTEGER NOT NULL,"
    " priority INTEGER NOT NULL, epoch INTEGER NOT NULL, worker TEXT NOT NULL, lease_until_us INTEGER NOT NULL, last_seq INTEGER NOT NULL, snapshot_seq INTEGER NOT NULL,"
    " created_us INTEGER NOT NULL, updated_us INTEGER NOT NULL, started_us INTEGER NOT NULL, ended_us INTEGER NOT NULL, durability INTEGER NOT NULL, cancel_requested INTEGER NOT NULL,"
    " UNIQUE (tenant, run_id));"
    "CREATE INDEX flow_runs_ready ON flow_runs (priority DESC, created_us, row_no) WHERE status = 0;"
    "CREATE INDEX flow_runs_lease ON flow_runs (lease_until_us) WHERE status = 1;"
    "CREATE INDEX flow_runs_unended ON flow_runs (created_us) WHERE status < 3;"
    "CREATE INDEX flow_runs_key ON flow_runs (tenant, concurrency_key) WHERE concurrency_key <> '' AND status < 3 AND epoch > 0;"
    "CREATE INDEX flow_runs_limit ON flow_runs (tenant, limit_key) WHERE limit_key <> '' AND status < 3 AND epoch > 0;"
    "CREATE INDEX flow_runs_created ON flow_runs (tenant, created_us);"
    "CREATE INDEX flow_runs_correlation ON flow_runs (tenant, correlation, created_us);"
    "CREATE TABLE flow_journal (tenant TEXT NOT NULL, run_id TEXT NOT NULL, seq INTEGER NOT NULL, request INTEGER NOT NULL, fiber INTEGER NOT NULL, span INTEGER NOT NULL,"
    " parent_span INTEGER NOT NULL, entry INTEGER NOT NULL, effect INTEGER NOT NULL, target INTEGER NOT NULL, agent INTEGER NOT NULL, name TEXT NOT NULL, args_json TEXT NOT NULL,"
    " payload BLOB NOT NULL, detail_json TEXT NOT NULL, started_us INTEGER NOT NULL, ended_us INTEGER NOT NULL, PRIMARY KEY (tenant, run_id, seq)) WITHOUT ROWID;"
    "CREATE TABLE flow_snapshots (tenant TEXT NOT NULL, run_id TEXT NOT NULL, seq INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (tenant, run_id),"
    " FOREIGN KEY (tenant, run_id) REFERENCES flow_runs (tenant, run_id));"
    "CREATE TABLE flow_timers (tenant TEXT NOT NULL, run_id TEXT NOT NULL, request INTEGER NOT NULL, due_us INTEGER NOT NULL, PRIMARY KEY (tenant, run_id, request),"
    " FOREIGN KEY (tenant, run_id) REFERENCES flow_runs (tenant, run_id)) WITHOUT ROWID;"
    "CREATE INDEX flow_timers_due ON flow_timers (due_us);"
    "CREATE TABLE flow_waits (tenant TEXT NOT NULL, event TEXT NOT NULL, run_id TEXT NOT NULL, request INTEGER NOT NULL, PRIMARY KEY (tenant, event, run_id, request),"
    " FOREIGN KEY (tenant, run_id) REFERENCES flow_runs (tenant, run_id)) WITHOUT ROWID;"
    "CREATE INDEX flow_waits_run ON flow_waits (tenant, run_id, request);"
    "CREATE TABLE flow_events (position INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, event_id TEXT NOT NULL, name TEXT NOT NULL, payload TEXT NOT NULL, module_hash TEXT NOT NULL,"
    " user_id TEXT NOT NULL, correlation TEXT NOT NULL, causation TEXT NOT NULL, hops INTEGER NOT NULL, run_id TEXT NOT NULL, seq INTEGER NOT NULL, created_us INTEGER NOT NULL,"
    " dispatched INTEGER NOT NULL, UNIQUE (tenant, event_id));"
    "CREATE INDEX flow_events_outbox ON flow_events (position) WHERE dispatched = 0;"
    "CREATE INDEX flow_events_name ON flow_events (tenant, name, position);"
    "CREATE INDEX flow_events_correlation ON flow_events (tenant, correlation, position);"
    "CREATE TABLE flow_dead (tenant TEXT NOT NULL, event_id TEXT NOT NULL, subscriber TEXT NOT NULL, error TEXT NOT NULL, attempts INTEGER NOT NULL, created_us INTEGER NOT NULL,"
    " PRIMARY KEY (tenant, event_id, subscriber)) WITHOUT ROWID;"
    "CREATE TABLE flow_mail (position INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, run_id TEXT NOT NULL, mail_id TEXT NOT NULL, kind INTEGER NOT NULL, request INTEGER NOT NULL,"
    " name TEXT NOT NULL, payload TEXT NOT NULL, created_us INTEGER NOT NULL, taken INTEGER NOT NULL, fresh INTEGER NOT NULL, UNIQUE (tenant, run_id, mail_id),"
    " FOREIGN KEY (tenant, run_id) REFERENCES flow_runs (tenant, run_id));"
    "CREATE INDEX flow_mail_fresh ON flow_mail (position) WHERE fresh = 1;"
    "CREATE TABLE flow_tables (name TEXT PRIMARY KEY, agent TEXT NOT NULL, table_name TEXT NOT NULL, shared INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE flow_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL, type TEXT NOT NULL, PRIMARY KEY (table_name, column_name)) WITHOUT ROWID;"
    "CREATE TABLE flow_indexes (table_name TEXT NOT NULL, index_name TEXT NOT NULL, PRIMARY KEY (table_name, index_name)) WITHOUT ROWID;",
    /* 2 */
    "CREATE TABLE flow_hot (tenant TEXT NOT NULL, hot_key TEXT NOT NULL, ends_us INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (tenant, hot_key));"
    "CREATE INDEX flow_hot_ends ON flow_hot (ends_us);",
    /* 3: events over streams: leases on the outbox, who subscribes, who has had what */
    "ALTER TABLE flow_events ADD COLUMN leased_until_us INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE flow_dead ADD COLUMN published INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX flow_dead_unpublished ON flow_dead (created_us) WHERE published = 0;"
    "CREATE INDEX flow_events_since ON flow_events (tenant, name, created_us);"
    "CREATE TABLE flow_deliveries (tenant TEXT NOT NULL, event_id TEXT NOT NULL, subscriber TEXT NOT NULL, PRIMARY KEY (tenant, event_id, subscriber)) WITHOUT ROWID;"
    "CREATE TABLE flow_subscriptions (subscriber TEXT PRIMARY KEY, owner TEXT NOT NULL, event TEXT NOT NULL, module_hash TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX flow_subscriptions_event ON flow_subscriptions (event);"
    "CREATE INDEX flow_subscriptions_owner ON flow_subscriptions (owner);",
    /* 4: ready runs by tenant; those that wait for a key leave the index */
    "ALTER TABLE flow_runs ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;"
    "DROP INDEX flow_runs_ready;"
    "CREATE INDEX flow_runs_ready ON flow_runs (tenant, priority DESC, created_us, row_no) WHERE status = 0 AND blocked = 0;"
    "CREATE INDEX flow_runs_blocked_key ON flow_runs (tenant, concurrency_key, priority DESC, created_us, row_no) WHERE blocked = 1;"
    "CREATE INDEX flow_runs_blocked_limit ON flow_runs (tenant, limit_key, priority DESC, created_us, row_no) WHERE blocked = 1;",
    /* 5: a mailbox is read without what was taken from it */
    "CREATE INDEX flow_mail_untaken ON flow_mail (tenant, run_id, position) WHERE taken = 0;",
    /* 6: starts of flows with a rate */
    "CREATE TABLE flow_rates (tenant TEXT NOT NULL, rate_key TEXT NOT NULL, starts INTEGER NOT NULL, ends_us INTEGER NOT NULL, PRIMARY KEY (tenant, rate_key)) WITHOUT ROWID;"
    "CREATE TABLE flow_rate_starts (tenant TEXT NOT NULL, rate_key TEXT NOT NULL, slot INTEGER NOT NULL, at_us INTEGER NOT NULL, PRIMARY KEY (tenant, rate_key, slot)) WITHOUT ROWID;",
    /* 7: logins that were begun, sessions that were given or revoked */
    "CREATE TABLE flow_auth_logins (state_hash TEXT PRIMARY KEY, visitor TEXT NOT NULL, nonce TEXT NOT NULL, verifier TEXT NOT NULL, created_us INTEGER NOT NULL, expires_us INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX flow_auth_logins_ends ON flow_auth_logins (expires_us);"
    "CREATE TABLE flow_auth_sessions (tenant TEXT NOT NULL, session_id TEXT NOT NULL, user_id TEXT NOT NULL, run_id TEXT NOT NULL, claims_json TEXT NOT NULL, issued_us INTEGER NOT NULL,"
    " expires_us INTEGER NOT NULL, revoked_us INTEGER NOT NULL, PRIMARY KEY (tenant, session_id)) WITHOUT ROWID;"
    "CREATE INDEX flow_auth_sessions_ends ON flow_auth_sessions (expires_us);",
    /* 8: waits that compare a field of their event */
    "CREATE TABLE flow_waits_keyed (tenant TEXT NOT NULL, event TEXT NOT NULL, wait_key TEXT NOT NULL, run_id TEXT NOT NULL, request INTEGER NOT NULL, PRIMARY KEY (tenant, event, wait_key, run_id, request),"
    " FOREIGN KEY (tenant, run_id) REFERENCES flow_runs (tenant, run_id)) WITHOUT ROWID;"
    "INSERT INTO flow_waits_keyed SELECT tenant, event, '', run_id, request FROM flow_waits;"
    "DROP TABLE flow_waits; ALTER TABLE flow_waits_keyed RENAME TO flow_waits;"
    "CREATE INDEX flow_waits_run ON flow_waits (tenant, run_id, request);",
    /* 9: a narrow journal (journal_row.h) */
    "ALTER TABLE flow_journal RENAME TO flow_journal_wide;"
    "CREATE TABLE flow_journal (tenant TEXT NOT NULL, run_id TEXT NOT NULL, seq INTEGER NOT NULL, ended_us INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (tenant, run_id, seq)) WITHOUT ROWID;"
    "INSERT INTO flow_journal SELECT tenant, run_id, seq, ended_us, flow_journal_body(request, fiber, span, parent_span, entry, effect, target, agent, name, args_json, payload, detail_json,"
    " started_us, ended_us) FROM flow_journal_wide;"
    "DROP TABLE flow_journal_wide;",
    /* 10: what the caller of a run may do, for plans */
    "ALTER TABLE flow_runs ADD COLUMN scopes TEXT NOT NULL DEFAULT '';",
    /* 11: a row of the journal may hold several, up to last_seq (sql_journal.c) */
    "ALTER TABLE flow_journal ADD COLUMN last_seq INTEGER;",
};
enum { SCHEMA_VERSION = sizeof MIGRATIONS / sizeof *MIGRATIONS };

static const char *const append_only[] = {
    "CREATE TRIGGER @u BEFORE UPDATE ON @t BEGIN SELECT RAISE(ABORT, 'the table is append only'); END",
    "CREATE TRIGGER @d BEFORE DELETE ON @t BEGIN SELECT RAISE(ABORT, 'the table is append only'); END",
    NULL,
};

static const SqlDialect DIALECT = {
    .name = "sqlite", .module_of_run = "r.module_hash", .log_of_run = "0", .placeholder = '?',
    .type_bool = "INTEGER", .type_int = "INTEGER", .type_float = "REAL", .type_decimal = "TEXT COLLATE decimal", .type_text = "TEXT", .type_blob = "BLOB",
    .row_no = "INTEGER PRIMARY KEY",
    .same = "IS", .differs = "IS NOT",
    .decimal_order = "@a COLLATE decimal", .decimal_of_int = "CAST(@a AS TEXT)",
    .decimal_add = "flow_decimal_add(@a, @b)", .decimal_sub = "flow_decimal_sub(@a, @b)", .decimal_mul = "flow_decimal_mul(@a, @b)",
    .decimal_sum = "flow_decimal_sum(@a)", .decimal_avg = "flow_decimal_avg(@a)",
    .int_add = "flow_int_add(@a, @b)", .int_sub = "flow_int_sub(@a, @b)", .int_mul = "flow_int_mul(@a, @b)", .int_sum = "COALESCE(SUM(@a), 0)", .avg = "AVG(@a)", .int_of_float = "CAST(@a AS INTEGER)", .float_of_int = "CAST(@a AS REAL)",
    .date_shift = "flow_date_shift(@a, @b)",
    .contains = "(instr(@a, @b) > 0)", .starts = "flow_starts(@a, @b)", .ends = "flow_ends(@a, @b)", .lower = "flow_lower(@a)", .upper = "flow_upper(@a)",
    .in_list = "(@a IN (SELECT value FROM json_each(@b)))", .in_text_list = "(@a IN (SELECT value FROM json_each(@b)))", .in_blob_list = "(hex(@a) IN (SELECT value FROM json_each(@b)))",
    .quote = "SELECT quote(?1)", .quote_blob = "SELECT quote(?1)", .append_only = append_only, .lock_rows = "", .integrity = "PRAGMA integrity_check",
};

/* ---- functions in SQL ------------------------------------------------------------------------------------ */

static Str value_text(sqlite3_value *value)
{
    const char *text = (const char *)sqlite3_value_text(value);
    return (Str){ text ? text : "", (size_t)sqlite3_value_bytes(value) };
}

static bool any_null(int argc, sqlite3_value **argv)
{
    for (int i = 0; i < argc; i++)
        if (sqlite3_value_type(argv[i]) == SQLITE_NULL)
            return true;
    return false;
}

static int order_decimals(void *unused, int a_len, const void *a, int b_len, const void *b)
{
    Str left = { a, (size_t)a_len }, right = { b, (size_t)b_len };
    Decimal x, y;
    if (decimal_from_text(left, &x))
        return str_cmp(left, right);                        /* a foreign hand in the file; any total order will do */
    int order;
    if (decimal_from_text(right, &y))
        order = str_cmp(left, right);
    else {
        order = decimal_cmp(x, y);
        decimal_release(y);
    }
    decimal_release(x);
    return order;
}

static void return_decimal(sqlite3_context *context, Decimal d)
{
    Buf text = { 0 };
    decimal_print_canonical(d, &text);
    sqlite3_result_text(context, text.ptr, (int)text.len, SQLITE_TRANSIENT);
    buf_free(&text);
}

typedef Err (*DecimalOp)(Decimal a, Decimal b, Decimal *out);

static void decimal_call(sqlite3_context *context, sqlite3_value **argv, DecimalOp op)
{
    Decimal a, b, out;
    if (any_null(2, argv))
        return;
    if (decimal_from_text(value_text(argv[0]), &a)) {
        sqlite3_result_error(context, "not a decimal", -1);
        return;
    }
    if (decimal_from_text(value_text(argv[1]), &b))
        sqlite3_result_error(context, "not a decimal", -1);
    else {
        if (op(a, b, &out))
            sqlite3_result_error(context, "decimal overflow", -1);
        else {
            return_decimal(context, out);
            decimal_release(out);
        }
        decimal_release(b);
    }
    decimal_release(a);
}

static void f_decimal_add(sqlite3_context *context, int argc, sqlite3_value **argv) { decimal_call(context, argv, decimal_add); }
static void f_decimal_sub(sqlite3_context *context, int argc, sqlite3_value **argv) { decimal_call(context, argv, decimal_sub); }
static void f_decimal_mul(sqlite3_context *context, int argc, sqlite3_value **argv) { decimal_call(context, argv, decimal_mul); }

typedef struct DecimalSum { Decimal sum; int64_t count; bool failed; } DecimalSum;      /* zeroed by SQLite; 0 reads as 0 */

static void decimal_sum_step(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    DecimalSum *s = sqlite3_aggregate_context(context, sizeof *s);
    Decimal item, sum;
    if (!s || any_null(1, argv))
        return;
    if (s->count++ == 0)
        s->sum = DECIMAL_ZERO;
    if (decimal_from_text(value_text(argv[0]), &item)) {
        s->failed = true;
        return;
    }
    if (decimal_add(s->sum, item, &sum))
        s->failed = true;
    else {
        decimal_release(s->sum);
        s->sum = sum;
    }
    decimal_release(item);
}

static void finish_sum(sqlite3_context *context, bool average)
{
    DecimalSum *s = sqlite3_aggregate_context(context, 0);
    if (!s || s->count == 0) {
        if (!average)
            sqlite3_result_text(context, "0", 1, SQLITE_STATIC);
        return;
    }
    Decimal out = decimal_retain(s->sum);
    if (average && !s->failed) {
        Decimal count = decimal_from_int(s->count), quotient;
        if (decimal_div(s->sum, count, &quotient))
            s->failed = true;
        else {
            decimal_release(out);
            out = quotient;
        }
        decimal_release(count);
    }
    if (s->failed)
        sqlite3_result_error(context, "decimal overflow", -1);
    else
        return_decimal(context, out);
    decimal_release(out);
    decimal_release(s->sum);
}

static void decimal_sum_final(sqlite3_context *context) { finish_sum(context, false); }
static void decimal_avg_final(sqlite3_context *context) { finish_sum(context, true); }

static void int_result(sqlite3_context *context, bool overflow, int64_t value)
{
    if (overflow)
        sqlite3_result_error(context, "integer overflow", -1);
    else
        sqlite3_result_int64(context, value);
}

#define INT_FUNCTION(name, builtin)                                                                                        \
    static void name(sqlite3_context *context, int argc, sqlite3_value **argv)                                             \
    {                                                                                                                      \
        int64_t out;                                                                                                       \
        if (any_null(argc, argv))                                                                                          \
            return;                                                                                                        \
        bool overflow = builtin(sqlite3_value_int64(argv[0]), sqlite3_value_int64(argv[1]), &out);                         \
        int_result(context, overflow, out);                                                                                \
    }
INT_FUNCTION(f_int_add, __builtin_add_overflow)
INT_FUNCTION(f_int_sub, __builtin_sub_overflow)
INT_FUNCTION(f_int_mul, __builtin_mul_overflow)

/* The day on which midnight of a date, moved by a duration, falls. */
static void f_date_shift(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    const int64_t day_us = INT64_C(86400000000);
    if (any_null(argc, argv))
        return;
    int64_t by = sqlite3_value_int64(argv[1]), days = by / day_us - (by % day_us < 0), out;
    bool overflow = __builtin_add_overflow(sqlite3_value_int64(argv[0]), days, &out);
    int_result(context, overflow, out);
}

static void f_starts(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    if (!any_null(argc, argv))
        sqlite3_result_int(context, str_starts(value_text(argv[0]), value_text(argv[1])));
}

static void f_ends(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    if (!any_null(argc, argv))
        sqlite3_result_int(context, str_ends(value_text(argv[0]), value_text(argv[1])));
}

static void change_case(sqlite3_context *context, sqlite3_value **argv, void (*change)(Str text, Buf *out))
{
    Buf out = { 0 };
    if (any_null(1, argv))
        return;
    change(value_text(argv[0]), &out);
    sqlite3_result_text(context, out.ptr ? out.ptr : "", (int)out.len, SQLITE_TRANSIENT);
    buf_free(&out);
}

static void f_lower(sqlite3_context *context, int argc, sqlite3_value **argv) { change_case(context, argv, text_lower); }
static void f_upper(sqlite3_context *context, int argc, sqlite3_value **argv) { change_case(context, argv, text_upper); }

static Str value_blob(sqlite3_value *value)
{
    const char *bytes = sqlite3_value_blob(value);
    return (Str){ bytes ? bytes : "", (size_t)sqlite3_value_bytes(value) };
}

/* A row of the journal as it was before migration 9. */
static void f_journal_body(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    uint64_t n[8];
    Buf out = { 0 };
    for (int i = 0; i < 8; i++)
        n[i] = (uint64_t)sqlite3_value_int64(argv[i]);
    const JournalRow row = { .request = n[0], .fiber = (uint32_t)n[1], .span = (uint32_t)n[2], .parent_span = (uint32_t)n[3], .entry = (uint8_t)n[4], .effect = (uint8_t)n[5], .target = (uint16_t)n[6],
                             .agent = (uint16_t)n[7], .name = value_text(argv[8]), .args_json = value_text(argv[9]), .payload = value_blob(argv[10]), .detail_json = value_text(argv[11]),
                             .started_us = sqlite3_value_int64(argv[12]), .ended_us = sqlite3_value_int64(argv[13]) };
    journal_row_put(&row, &out);
    sqlite3_result_blob(context, out.ptr, (int)out.len, SQLITE_TRANSIENT);
    buf_free(&out);
}

static int add_functions(sqlite3 *handle)
{
    static const struct { const char *name; int argc; void (*call)(sqlite3_context *, int, sqlite3_value **); void (*step)(sqlite3_context *, int, sqlite3_value **); void (*final)(sqlite3_context *); } FUNCTIONS[] = {
        { "flow_decimal_add", 2, f_decimal_add, NULL, NULL }, { "flow_decimal_sub", 2, f_decimal_sub, NULL, NULL }, { "flow_decimal_mul", 2, f_decimal_mul, NULL, NULL },
        { "flow_decimal_sum", 1, NULL, decimal_sum_step, decimal_sum_final }, { "flow_decimal_avg", 1, NULL, decimal_sum_step, decimal_avg_final },
        { "flow_int_add", 2, f_int_add, NULL, NULL }, { "flow_int_sub", 2, f_int_sub, NULL, NULL }, { "flow_int_mul", 2, f_int_mul, NULL, NULL },
        { "flow_date_shift", 2, f_date_shift, NULL, NULL }, { "flow_starts", 2, f_starts, NULL, NULL }, { "flow_ends", 2, f_ends, NULL, NULL },
        { "flow_lower", 1, f_lower, NULL, NULL }, { "flow_upper", 1, f_upper, NULL, NULL },
        { "flow_journal_body", 14, f_journal_body, NULL, NULL },
    };
    int rc = sqlite3_create_collation(handle, "decimal", SQLITE_UTF8, NULL, order_decimals);
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS && rc == SQLITE_OK; i++)
        rc = sqlite3_create_function(handle, FUNCTIONS[i].name, FUNCTIONS[i].argc, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, FUNCTIONS[i].call, FUNCTIONS[i].step, FUNCTIONS[i].final);
    return rc;
}

/* ---- statements ------------------------------------------------------------------------------------------ */

/* "UNIQUE constraint failed: t.tenant_id, t.c_id" → "tenant_id, c_id" */
static void name_constraint(Buf *out, const char *message)
{
    buf_clear(out);
    const char *p = strstr(message, ": ");
    for (p = p ? p + 2 : message; *p;) {
        const char *end = strstr(p, ", ");
        size_t len = end ? (size_t)(end - p) : strlen(p);
        const char *dot = memrchr(p, '.', len);
        size_t skip = dot ? (size_t)(dot + 1 - p) : 0;
        if (out->len)
            buf_put_text(out, ", ");
        buf_put(out, p + skip, len - skip);
        p += len + (end ? 2 : 0);
    }
}

static Err sqlite_error(Sqlite *s, int rc, const char *doing, Error *error)
{
    const char *message = s->handle ? sqlite3_errmsg(s->handle) : sqlite3_errstr(rc);
    int extended = s->handle ? sqlite3_extended_errcode(s->handle) : rc;
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT:
        if (extended == SQLITE_CONSTRAINT_FOREIGNKEY)
            return err_set(error, ERR_NOT_FOUND, "the run it belongs to is not there");
        if (extended != SQLITE_CONSTRAINT_UNIQUE && extended != SQLITE_CONSTRAINT_PRIMARYKEY && extended != SQLITE_CONSTRAINT_ROWID)
            return err_set(error, ERR_INVALID, "cannot %s: %s", doing, message);
        name_constraint(&s->db.constraint, message);
        return err_set(error, ERR_CONFLICT, "%s", message);
    case SQLITE_CORRUPT: case SQLITE_NOTADB: return err_set(error, ERR_CORRUPT, "cannot %s: %s", doing, message);
    case SQLITE_TOOBIG:  return err_set(error, ERR_LIMIT, "cannot %s: %s", doing, message);
    case SQLITE_ERROR:   return err_set(error, ERR_INVALID, "cannot %s: %s", doing, message);
    default:             return err_set(error, ERR_IO, "could not %s: %s", doing, message);
    }
}

static void drop_statements(Sqlite *s)
{
    MAP_EACH(&s->statements, e) {
        Statement *statement = e->value;
        sqlite3_finalize(statement->stmt);
        free(statement);
    }
    map_free(&s->statements);
}

static Err find_statement(Sqlite *s, Str sql, sqlite3_stmt **out, Error *error)
{
    Statement *known = map_find(&s->statements, sql);
    if (known) {
        *out = known->stmt;
        return ERR_OK;
    }
    if (s->statements.count >= SQLITE_STATEMENTS_MAX)
        drop_statements(s);
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v3(s->handle, sql.ptr, (int)sql.len, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
    if (rc != SQLITE_OK)
        return sqlite_error(s, rc, "prepare a statement", error);
    Statement *fresh = mem_alloc(sizeof *fresh + sql.len + 1);
    memcpy(fresh->text, sql.ptr, sql.len);
    fresh->stmt = stmt;
    map_put(&s->statements, (Str){ fresh->text, sql.len }, fresh);
    *out = stmt;
    return ERR_OK;
}

static int bind_cell(sqlite3_stmt *stmt, int at, const Cell *cell)
{
    const char *bytes = cell->text.ptr ? cell->text.ptr : "";
    switch (cell->kind) {
    case CELL_INT:   return sqlite3_bind_int64(stmt, at, cell->i);
    case CELL_FLOAT: return sqlite3_bind_double(stmt, at, cell->f);
    case CELL_TEXT: case CELL_DECIMAL: return sqlite3_bind_text64(stmt, at, bytes, cell->text.len, SQLITE_STATIC, SQLITE_UTF8);
    case CELL_BLOB:  return sqlite3_bind_blob64(stmt, at, bytes, cell->text.len, SQLITE_STATIC);
    default:         return sqlite3_bind_null(stmt, at);
    }
}

static Cell read_cell(sqlite3_stmt *stmt, int column, Arena *arena)
{
    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_INTEGER: return cell_int(sqlite3_column_int64(stmt, column));
    case SQLITE_FLOAT:   return (Cell){ .kind = CELL_FLOAT, .f = sqlite3_column_double(stmt, column) };
    case SQLITE_TEXT: {
        const char *text = (const char *)sqlite3_column_text(stmt, column);
        return cell_text(arena_str(arena, (Str){ text, (size_t)sqlite3_column_bytes(stmt, column) }));
    }
    case SQLITE_BLOB: {
        const void *bytes = sqlite3_column_blob(stmt, column);
        return cell_blob(arena_str(arena, (Str){ bytes ? bytes : "", (size_t)sqlite3_column_bytes(stmt, column) }));
    }
    default: return cell_null();
    }
}

static void read_row(sqlite3_stmt *stmt, Arena *arena, RowSet *set, uint32_t *cap)
{
    set->columns = (uint32_t)sqlite3_column_count(stmt);
    if (set->rows == *cap) {
        *cap = *cap ? *cap * 2 : 4;
        Cell *cells = ARENA_ARRAY(arena, Cell, (size_t)*cap * set->columns);
        if (set->rows)
            memcpy(cells, set->cells, sizeof *cells * set->rows * set->columns);
        set->cells = cells;
    }
    for (uint32_t c = 0; c < set->columns; c++)
        set->cells[set->rows * set->columns + c] = read_cell(stmt, (int)c, arena);
    set->rows++;
}

static Err run(SqlDb *db, Str sql, const Cell *args, uint32_t count, Arena *arena, SqlRows *rows, Error *error)
{
    Sqlite *s = (Sqlite *)db;
    sqlite3_stmt *stmt = NULL;
    Err err = find_statement(s, sql, &stmt, error);
    if (err)
        return err;
    int takes = sqlite3_bind_parameter_count(stmt), rc = SQLITE_OK;
    for (int i = 0; i < takes && i < (int)count && rc == SQLITE_OK; i++)
        rc = bind_cell(stmt, i + 1, &args[i]);
    if (rows)
        *rows = (SqlRows){ 0 };
    int64_t before = sqlite3_total_changes64(s->handle);
    uint32_t cap = 0;
    if (rc == SQLITE_OK)
        while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
            if (rows)
                read_row(stmt, arena, &rows->set, &cap);
    if (rc != SQLITE_DONE)
        err = sqlite_error(s, rc, "run a statement", error);
    int64_t changes = sqlite3_total_changes64(s->handle) - before;
    if (rows)
        rows->changes = changes;
    db->changed |= changes > 0;
    sqlite3_reset(stmt);
    return err;
}

/* ---- opening --------------------------------------------------------------------------------------------- */

static Err execute(Sqlite *s, const char *sql, const char *doing, Error *error)
{
    int rc = sqlite3_exec(s->handle, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : sqlite_error(s, rc, doing, error);
}

static Err read_int(Sqlite *s, const char *sql, int64_t *out, Error *error)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(s->handle, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
        *out = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
        rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
    }
    Err err = rc == SQLITE_OK ? ERR_OK : sqlite_error(s, rc, "read the store's version", error);
    sqlite3_finalize(stmt);
    return err;
}

/* The change to WAL does not wait for others by itself. */
static Err use_wal(Sqlite *s, Error *error)
{
    int rc = SQLITE_OK;
    for (int waited_ms = 0; waited_ms < SQLITE_BUSY_MS; waited_ms += SQLITE_WAL_RETRY_MS) {
        rc = sqlite3_exec(s->handle, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if ((rc & 0xff) != SQLITE_BUSY && (rc & 0xff) != SQLITE_LOCKED)
            break;
        sqlite3_sleep(SQLITE_WAL_RETRY_MS);
    }
    return rc == SQLITE_OK ? ERR_OK : sqlite_error(s, rc, "switch the store to WAL", error);
}

static Err schema_version(Sqlite *s, int64_t *version, Error *error)
{
    int64_t there = 0;
    *version = 0;
    Err err = read_int(s, "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'flow_schema'", &there, error);
    if (!err && there)
        err = read_int(s, "SELECT version FROM flow_schema", version, error);
    if (!err && *version > SCHEMA_VERSION)
        err = err_set(error, ERR_UNSUPPORTED, "cannot open the store: its schema is version %lld, this program knows %d", (long long)*version, SCHEMA_VERSION);
    return err;
}

static Err make_key(Sqlite *s, Error *error)
{
    uint8_t key[32];
    random_bytes(key, sizeof key);
    const Cell args[] = { cell_text(STR("snapshot_key")), cell_blob((Str){ (const char *)key, sizeof key }) };
    Err err = SQL_RUN(&s->db, "INSERT INTO flow_meta (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING", args, NULL, NULL, error);
    explicit_bzero(key, sizeof key);
    return err;
}

/* Under the write lock, so that of two processes that make the same file one does it. */
static Err migrate(Sqlite *s, Error *error)
{
    int64_t version;
    char text[80];
    Err err = schema_version(s, &version, error);
    if (err || version == SCHEMA_VERSION)
        return err;
    if ((err = execute(s, "BEGIN IMMEDIATE", "lock the store", error)))
        return err;
    err = schema_version(s, &version, error);
    if (!err)
        err = execute(s, "CREATE TABLE IF NOT EXISTS flow_schema (version INTEGER NOT NULL)", "make the store", error);
    for (int64_t v = version; v < SCHEMA_VERSION && !err; v++)
        err = execute(s, MIGRATIONS[v], "migrate the store", error);
    snprintf(text, sizeof text, "DELETE FROM flow_schema; INSERT INTO flow_schema VALUES (%d)", SCHEMA_VERSION);
    if (!err)
        err = execute(s, text, "migrate the store", error);
    if (!err)
        err = make_key(s, error);
    if (!err)
        err = execute(s, "COMMIT", "migrate the store", error);
    if (err)
        sqlite3_exec(s->handle, "ROLLBACK", NULL, NULL, NULL);
    return err;
}

/* Rows are personal: the file is its owner's alone. SQLite gives its WAL the same mode. */
static Err make_file(const char *place, Error *error)
{
    int fd = open(place, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(error, ERR_IO, "could not open `%.200s`: %s", place, strerror(errno));
    close(fd);
    return ERR_OK;
}

static void sqlite_close(void *state)
{
    Sqlite *s = state;
    file_watch_free(s->watch);
    drop_statements(s);
    sqlite3_close(s->handle);
    sql_db_deinit(&s->db);
    free(s);
}

static Err check_readable(Sqlite *s, Error *error)
{
    int64_t version;
    Err err = schema_version(s, &version, error);
    if (!err && version < SCHEMA_VERSION)
        err = err_set(error, ERR_UNSUPPORTED, "cannot read the store: its schema is version %lld, expected %d; open it for writing once", (long long)version, SCHEMA_VERSION);
    return err;
}

static Err sqlite_open(const char *place, const StoreOptions *options, void **state, Error *error)
{
    bool read_only = options->read_only;
    bool in_memory = strcmp(place, ":memory:") == 0;
    if (!*place)
        return err_set(error, ERR_INVALID, "cannot open store `sqlite:`: expected a path or :memory:");
    Err err = in_memory || read_only ? ERR_OK : make_file(place, error);
    if (err)
        return err;
    Sqlite *s = mem_alloc(sizeof *s);
    s->loop = options->loop;
    s->db.dialect = &DIALECT;
    s->db.run = run;
    int rc = sqlite3_open_v2(place, &s->handle, (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_extended_result_codes(s->handle, 0);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(s->handle, SQLITE_BUSY_MS);
    if (rc == SQLITE_OK)
        rc = add_functions(s->handle);
    if (rc != SQLITE_OK)
        err = sqlite_error(s, rc, "open the store", error);
    if (!err && !in_memory && !read_only)
        err = use_wal(s, error);
    if (!err)
        err = execute(s, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON", "set up the store", error);
    if (!err && options->schema) {
        options->schema->known = SCHEMA_VERSION;
        err = schema_version(s, &options->schema->found, error);
    }
    if (!err)
        err = read_only ? check_readable(s, error) : migrate(s, error);
    if (err)
        sqlite_close(s);
    else
        *state = s;
    return err;
}

static Err sqlite_key(void *state, uint32_t *id, uint8_t bytes[32], Error *error)
{
    Sqlite *s = state;
    return sql_snapshot_key(&s->db, id, bytes, error);
}

static void *sqlite_conn(void *state, ConnRole role, uint32_t number)
{
    return state;
}

/* ---- transactions ---------------------------------------------------------------------------------------- */

static Err simple(Sqlite *s, Str sql, Error *error)
{
    return s->db.run(&s->db, sql, NULL, 0, NULL, NULL, error);
}

static Err sqlite_begin(void *state, bool writes, Error *error)
{
    return simple(state, writes ? STR("BEGIN IMMEDIATE") : STR("BEGIN"), error);
}

static Err sqlite_commit(void *state, Error *error)
{
    return simple(state, STR("COMMIT"), error);
}

static bool sqlite_in_transaction(void *state)
{
    return !sqlite3_get_autocommit(((Sqlite *)state)->handle);
}

static void sqlite_rollback(void *state)
{
    if (sqlite_in_transaction(state))
        simple(state, STR("ROLLBACK"), NULL);
}

static Err sqlite_check_fence(void *state, StoreBatch *fence, Error *error)
{
    return sql_check_fence(&((Sqlite *)state)->db, fence, error);
}

static Err sqlite_apply(void *state, StoreBatch *batch, bool *changed, Error *error)
{
    Sqlite *s = state;
    Err err = simple(s, STR("SAVEPOINT batch"), error);
    if (err)
        return err;
    s->db.changed = false;
    err = sql_apply_ops(&s->db, batch, error);
    *changed = !err && s->db.changed;
    if (err && sqlite_in_transaction(s))
        simple(s, STR("ROLLBACK TO batch"), NULL);
    if (sqlite_in_transaction(s) && simple(s, STR("RELEASE batch"), err ? NULL : error) && !err)
        err = ERR_IO;
    return err;
}

/* ---- what others write ------------------------------------------------------------------------------------- */

/* Inside a transaction the version stands still: later, then. */
static bool look_for_others(void *arg)
{
    Sqlite *s = arg;
    int64_t version;
    if (sqlite_in_transaction(s) || read_int(s, "PRAGMA data_version", &version, NULL) || version == s->version)
        return false;
    s->version = version;
    if (s->wake)
        s->wake(s->wake_arg);
    return true;
}

static void sqlite_on_wake(void *state, void (*wake)(void *arg), void *arg)
{
    Sqlite *s = state;
    s->wake = wake;
    s->wake_arg = arg;
    const char *file = sqlite3_db_filename(s->handle, "main");
    if (!wake || s->watch || !s->loop || !file || !*file || read_int(s, "PRAGMA data_version", &s->version, NULL))
        return;
    Buf wal = { 0 };
    buf_printf(&wal, "%s-wal", file);
    s->watch = file_watch_new(s->loop, buf_cstr(&wal), look_for_others, s);
    buf_free(&wal);
}

static bool sqlite_calls(const void *state)
{
    return ((const Sqlite *)state)->watch != NULL;
}

static Err sqlite_fsck(void *state, FsckReport *report, Buf *out, Error *error)
{
    return sql_fsck(&((Sqlite *)state)->db, report, out, error);
}

static Err sqlite_drop(const char *place, Error *error)
{
    static const char *const SUFFIXES[] = { "", "-wal", "-shm" };
    for (size_t i = 0; i < sizeof SUFFIXES / sizeof *SUFFIXES; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s%s", place, SUFFIXES[i]);
        if (unlink(path) != 0 && errno != ENOENT)
            return err_set(error, ERR_IO, "could not remove %s: %s", path, strerror(errno));
    }
    return ERR_OK;
}

const StoreOps STORE_SQLITE = {
    .kind = "sqlite", .open = sqlite_open, .close = sqlite_close, .key = sqlite_key, .conn = sqlite_conn, .begin = sqlite_begin, .commit = sqlite_commit, .rollback = sqlite_rollback,
    .in_transaction = sqlite_in_transaction, .check_fence = sqlite_check_fence, .apply = sqlite_apply, .fsck = sqlite_fsck, .drop = sqlite_drop,
    .on_wake = sqlite_on_wake, .calls = sqlite_calls,
};
