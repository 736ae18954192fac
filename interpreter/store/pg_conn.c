/* pg_conn.c - one connection to PostgreSQL: connecting, prepared statements, the pipeline, values in binary form. */
#include "interpreter/store/pg.h"

#include "base/decimal.h"
#include "interpreter/store/lane.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { OID_BOOL = 16, OID_BYTEA = 17, OID_NAME = 19, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_TEXT = 25, OID_FLOAT4 = 700, OID_FLOAT8 = 701, OID_UNKNOWN = 705,
       OID_BPCHAR = 1042, OID_VARCHAR = 1043, OID_NUMERIC = 1700,
       OID_BOOLS = 1000, OID_BYTEAS = 1001, OID_TEXTS = 1009, OID_INT8S = 1016, OID_FLOAT8S = 1022 };

struct PgStatement {
    char name[16];
    uint32_t param_count;
    uint16_t *args;                      /* which argument each parameter is */
    Oid *types;
    size_t len;
    char text[];
};

int64_t pg_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t pg_now_ms(void) { return pg_now_us() / 1000; }

/* ---- life ---------------------------------------------------------------------------------------------- */

static void drop_statements(PgConn *c)
{
    MAP_EACH(&c->statements, e) {
        PgStatement *statement = e->value;
        free(statement->args);
        free(statement->types);
        free(statement);
    }
    map_free(&c->statements);
    memset(c->recent, 0, sizeof c->recent);
}

void pg_drop(PgConn *c)
{
    if (c->pg)
        PQfinish(c->pg);
    c->pg = NULL;
    drop_statements(c);
    c->unread = c->syncs = 0;
    c->implicit = c->unsynced = c->in_txn = c->lost = c->ahead = c->announce = c->tenant_set = c->appends = false;
    c->heard_us = 0;
    c->failed = ERR_OK;
}

void pg_conn_free(PgConn *c)
{
    pg_drop(c);
    sql_db_deinit(&c->db);
    buf_free(&c->entries);
    buf_free(&c->tenant);
    buf_free(&c->user);
    pg_rows_forget(c);
    if (c->group)
        arena_free(c->group);
    free(c);
}

bool pg_alive(PgConn *c)
{
    return c->pg && !c->lost && PQstatus(c->pg) == CONNECTION_OK && PQconsumeInput(c->pg) && PQstatus(c->pg) == CONNECTION_OK;
}

/* ---- errors -------------------------------------------------------------------------------------------- */

static int first_line(const char *text)
{
    return (int)strcspn(text, "\n");
}

static Err lose(PgConn *c, Error *error)
{
    const char *message = c->pg ? PQerrorMessage(c->pg) : "";
    while (*message == '\n')
        message++;
    c->lost = true;
    c->in_txn = c->implicit = false;
    c->unread = c->syncs = 0;
    return err_set(error, ERR_IO, "PostgreSQL was lost: %.*s", *message ? first_line(message) : 21, *message ? message : "the connection closed");
}

/* What a conflict was about: the index or constraint, since details are in the server's language. */
static void name_constraint(PgConn *c, const PGresult *result)
{
    const char *name = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    buf_clear(&c->db.constraint);
    if (name)
        buf_put_text(&c->db.constraint, name);
}

static Err result_error(PgConn *c, const PGresult *result, Error *error)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE), *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (!state)
        return lose(c, error);
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0)) {        /* the server's last word */
        lose(c, NULL);
        return err_set(error, ERR_IO, "PostgreSQL was lost: %s", text ? text : state);
    }
    static const struct { const char *state; Err code; const char *format; } KINDS[] = {
        { "23505", ERR_CONFLICT, "%s" }, { "23503", ERR_NOT_FOUND, "the run it belongs to is not there" },
        { PG_UNTOLD, ERR_BUSY, "%s" }, { "40001", ERR_BUSY, "lost a race with another writer: %s" }, { "40P01", ERR_BUSY, "lost a race with another writer: %s" }, { "55P03", ERR_BUSY, "lost a race with another writer: %s" },
        { "22003", ERR_INVALID, "cannot run a statement: overflow: %s" },
        { "25006", ERR_UNSUPPORTED, "cannot write: %s" }, { "42501", ERR_UNSUPPORTED, "cannot run a statement: %s" },
        { "57014", ERR_IO, "could not run a statement in time: %s" },
        { "22", ERR_INVALID, "cannot run a statement: %s" }, { "23", ERR_INVALID, "cannot run a statement: %s" }, { "42", ERR_INVALID, "cannot run a statement: %s" },
        { "0A", ERR_INVALID, "cannot run a statement: %s" }, { "54", ERR_LIMIT, "cannot run a statement: %s" }, { "XX", ERR_CORRUPT, "cannot run a statement: %s" },
        { "", ERR_IO, "could not run a statement: %s" },
    };
    size_t i = 0;
    while (strncmp(state, KINDS[i].state, strlen(KINDS[i].state)) != 0)
        i++;
    if (KINDS[i].code == ERR_CONFLICT)
        name_constraint(c, result);
    c->store->tells_users |= strcmp(state, PG_UNTOLD) == 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return err_set(error, KINDS[i].code, KINDS[i].format, text ? text : state);
#pragma GCC diagnostic pop
}

/* ---- connecting ---------------------------------------------------------------------------------------- */

static Err wait_socket(PgConn *c, int what, int timeout_ms, Error *error)
{
    if (lane_wait_fd(PQsocket(c->pg), what, timeout_ms) == 0)
        return err_set(error, ERR_IO, "PostgreSQL does not answer");
    return ERR_OK;
}

/* libpq would print them; what matters comes as an error too. */
static void ignore_notice(void *arg, const char *message) { }

static Err connect_once(PgConn *c, int timeout_ms, Error *error)
{
    const char *const names[] = { "dbname", "fallback_application_name", "client_encoding", NULL }, *const values[] = { c->store->url, "flowd", "UTF8", NULL };
    int64_t until = pg_now_ms() + timeout_ms;
    c->pg = PQconnectStartParams(names, values, 1);
    if (!c->pg)
        return err_set(error, ERR_IO, "could not connect to PostgreSQL: no memory");
    PostgresPollingStatusType state = PQstatus(c->pg) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
    while (state == PGRES_POLLING_READING || state == PGRES_POLLING_WRITING) {
        int64_t left = until - pg_now_ms();
        Err err = wait_socket(c, state == PGRES_POLLING_READING ? LANE_READ : LANE_WRITE, left > 0 ? (int)left : 0, error);
        if (err)
            return err;
        state = PQconnectPoll(c->pg);
    }
    if (state != PGRES_POLLING_OK)
        return err_set(error, ERR_IO, "PostgreSQL cannot be reached: %.*s", first_line(PQerrorMessage(c->pg)), PQerrorMessage(c->pg));
    PQsetNoticeProcessor(c->pg, ignore_notice, NULL);
    return PQsetnonblocking(c->pg, 1) ? lose(c, error) : ERR_OK;
}

Err pg_wait_fd(PgConn *c, bool write, Error *error)
{
    return wait_socket(c, LANE_READ | (write ? LANE_WRITE : 0), 2 * PG_STATEMENT_MS, error);
}

/* Sends what is buffered and waits until an answer can be taken without blocking. */
static Err await(PgConn *c, Error *error)
{
    for (;;) {
        int more = PQflush(c->pg);
        if (more < 0)
            return lose(c, error);
        if (!PQisBusy(c->pg))
            return ERR_OK;
        if (pg_wait_fd(c, more > 0, error))
            return lose(c, NULL), ERR_IO;
        if (!PQconsumeInput(c->pg))
            return lose(c, error);
    }
}

Err pg_execute(PgConn *c, const char *sql, Error *error)
{
    Err err = ERR_OK;
    if (PQpipelineStatus(c->pg) != PQ_PIPELINE_OFF && !PQexitPipelineMode(c->pg))
        return lose(c, error);
    if (!PQsendQuery(c->pg, sql))
        return lose(c, error);
    for (;;) {
        Err waited = await(c, error);
        if (waited)
            return waited;
        PGresult *result = PQgetResult(c->pg);
        if (!result)
            break;
        ExecStatusType status = PQresultStatus(result);
        if (!err && status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
            err = result_error(c, result, error);
        PQclear(result);
        if (c->lost)
            return err;
    }
    if (!PQenterPipelineMode(c->pg))
        return lose(c, error);
    return err;
}

static Err set_up(PgConn *c, Error *error)
{
    Buf sql = { 0 };
    buf_put_text(&sql, "SET search_path = ");
    pg_quote(&sql, c->store->schema);
    buf_printf(&sql, "; SET statement_timeout = %d; SET lock_timeout = %d; SET idle_in_transaction_session_timeout = %d; SET client_min_messages = warning;"
                     " SET standard_conforming_strings = on; SET bytea_output = hex; SET row_security = on", PG_STATEMENT_MS, c->role == CONN_WRITES ? PG_GROUP_LOCK_MS : PG_LOCK_MS, PG_IDLE_TXN_MS);
    /* Statements over arrays are planned once, when the tables may be empty still: a scan of a whole table would be kept when it has grown. */
    if (c->role == CONN_WRITES)
        buf_put_text(&sql, "; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off; SET default_transaction_isolation = 'read committed'");
    Err err = pg_execute(c, buf_cstr(&sql), error);
    buf_free(&sql);
    return err;
}

static void note_down(PgStore *store)
{
    if (!store->down)
        store->down_since_ms = pg_now_ms();
    store->down = true;
}

static void note_up(PgStore *store)
{
    if (store->down)
        pg_wake_soon(store);
    store->down = false;
}

/* Between two pieces of work the server has nothing to say but that it goes away (or that a setting changed, which costs a new connection). While one follows
   the other closely that is not asked: what is sent then is lost as if the server had gone a moment later. */
static bool is_quiet(PgConn *c)
{
    struct pollfd fd = { .fd = PQsocket(c->pg), .events = POLLIN };
    if (c->lost || PQstatus(c->pg) != CONNECTION_OK || c->unread)
        return false;
    return (c->heard_us && pg_now_us() - c->heard_us < PG_QUIET_US) || poll(&fd, 1, 0) == 0;
}

/* The wait counts from when the server was lost, so that a queue of work does not wait once for each. */
Err pg_ready(PgConn *c, int wait_ms, Error *error)
{
    if (c->pg && is_quiet(c))
        return ERR_OK;
    PgStore *store = c->store;
    int64_t until = (store->down ? store->down_since_ms : pg_now_ms()) + wait_ms;
    for (int pause = PG_BACKOFF_MS;; pause = pause * 2 < PG_BACKOFF_MAX_MS ? pause * 2 : PG_BACKOFF_MAX_MS) {
        pg_drop(c);
        Err err = connect_once(c, PG_CONNECT_MS, error);
        if (!err)
            err = set_up(c, error);
        if (!err) {
            note_up(store);
            return ERR_OK;
        }
        pg_drop(c);
        note_down(store);
        int64_t left = until - pg_now_ms();
        if (left <= 0)
            return err;
        lane_wait_fd(-1, 0, pause < left ? pause : (int)left);
    }
}

/* ---- answers ------------------------------------------------------------------------------------------- */

static uint64_t big_endian(const char *bytes, int count)
{
    uint64_t out = 0;
    for (int i = 0; i < count; i++)
        out = out << 8 | (uint8_t)bytes[i];
    return out;
}

static void put_big_endian(char *out, uint64_t value, int count)
{
    for (int i = count - 1; i >= 0; i--, value >>= 8)
        out[i] = (char)value;
}

/* NUMERIC: digits to the base of 10000, the first worth 10000^weight; the canonical text has no zeros at its end. */
static Str numeric_text(const char *p, int len, Arena *arena)
{
    int digits = (int16_t)big_endian(p, 2), weight = (int16_t)big_endian(p + 2, 2), sign = (int)big_endian(p + 4, 2);
    if (len < 8 || sign & 0x8000)                            /* NaN and the infinities */
        return sign == 0xC000 ? STR("NaN") : sign == 0xF000 ? STR("-Infinity") : STR("Infinity");
    Buf out = { 0 };
    if (sign == 0x4000)
        buf_put_char(&out, '-');
    if (weight < 0)
        buf_put_char(&out, '0');
    for (int i = 0; i <= weight; i++)
        buf_printf(&out, i ? "%04d" : "%d", i < digits ? (int)big_endian(p + 8 + 2 * i, 2) : 0);
    if (digits > weight + 1) {
        buf_put_char(&out, '.');
        for (int i = weight + 1; i < digits; i++)
            buf_printf(&out, "%04d", i < 0 ? 0 : (int)big_endian(p + 8 + 2 * i, 2));
        while (out.ptr[out.len - 1] == '0')
            out.len--;
        if (out.ptr[out.len - 1] == '.')
            out.len--;
    }
    Str text = arena_str(arena, buf_str(&out));
    buf_free(&out);
    return text;
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static Cell read_cell(const PGresult *result, int row, int column, Arena *arena)
{
    if (PQgetisnull(result, row, column))
        return cell_null();
    const char *bytes = PQgetvalue(result, row, column);
    int len = PQgetlength(result, row, column);
    switch (PQftype(result, column)) {
    case OID_BOOL:    return cell_int(bytes[0] != 0);
    case OID_INT2:    return cell_int((int16_t)big_endian(bytes, 2));
    case OID_INT4:    return cell_int((int32_t)big_endian(bytes, 4));
    case OID_INT8:    return cell_int((int64_t)big_endian(bytes, 8));
    case OID_FLOAT8:  return (Cell){ .kind = CELL_FLOAT, .f = double_of(big_endian(bytes, 8)) };
    case OID_NUMERIC: return cell_text(numeric_text(bytes, len, arena));
    case OID_BYTEA:   return cell_blob(arena_str(arena, (Str){ bytes, (size_t)len }));
    default:          return cell_text(arena_str(arena, (Str){ bytes, (size_t)len }));
    }
}

static void read_rows(const PGresult *result, Arena *arena, RowSet *set)
{
    set->rows = (uint32_t)PQntuples(result);
    set->columns = (uint32_t)PQnfields(result);
    set->cells = ARENA_ARRAY(arena, Cell, (size_t)set->rows * set->columns);
    for (uint32_t r = 0; r < set->rows; r++)
        for (uint32_t k = 0; k < set->columns; k++)
            set->cells[r * set->columns + k] = read_cell(result, (int)r, (int)k, arena);
}

static int64_t changes_of(PGresult *result)
{
    const char *word = PQcmdStatus(result);
    bool counts = strncmp(word, "INSERT", 6) == 0 || strncmp(word, "UPDATE", 6) == 0 || strncmp(word, "DELETE", 6) == 0;
    return counts ? strtoll(PQcmdTuples(result), NULL, 10) : 0;
}

/* The answer to the oldest statement under way, or to a Sync. */
static Err next_result(PgConn *c, PGresult **out, Error *error)
{
    for (;;) {
        Err err = await(c, error);
        if (err)
            return err;
        *out = PQgetResult(c->pg);
        if (PQstatus(c->pg) != CONNECTION_OK) {
            if (*out && PQresultErrorField(*out, PG_DIAG_MESSAGE_PRIMARY)) {
                lose(c, NULL);
                err_set(error, ERR_IO, "PostgreSQL was lost: %s", PQresultErrorField(*out, PG_DIAG_MESSAGE_PRIMARY));
            } else
                lose(c, error);
            PQclear(*out);
            return ERR_IO;
        }
        if (*out)
            return ERR_OK;                                  /* NULL stands between the answers of two statements */
    }
}

/* Reads one answer. `rows` may be NULL. */
static Err take_result(PgConn *c, Arena *arena, SqlRows *rows, Error *error)
{
    PGresult *result;
    Err err = next_result(c, &result, error);
    if (err)
        return err;
    c->unread--;
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK: case PGRES_TUPLES_OK: {
        int64_t changes = changes_of(result);
        c->db.changed |= changes > 0;
        if (rows) {
            rows->changes = changes;
            if (PQnfields(result) > 0)
                read_rows(result, arena, &rows->set);
        }
        break;
    }
    case PGRES_PIPELINE_SYNC:
        c->syncs--;
        break;
    case PGRES_PIPELINE_ABORTED:
        err = c->failed ? c->failed : err_set(error, ERR_IO, "could not run a statement: one before it failed");
        if (c->failed && error)
            *error = c->failure;
        break;
    default:
        err = result_error(c, result, error);
    }
    PQclear(result);
    return err;
}

/* Reads until only `left` answers are under way. The first error is kept. */
static Err read_until(PgConn *c, uint32_t left, Error *error)
{
    while (c->unread > left && !c->lost) {
        Error text;                                         /* not cleared: half a kilobyte for each answer */
        Err err = take_result(c, NULL, NULL, &text);
        if (err && !c->failed) {
            c->failed = err;
            c->failure = text;
        }
    }
    if (c->failed && error)
        *error = c->failure;
    return c->failed ? c->failed : c->lost ? ERR_IO : ERR_OK;
}

static Err lost_before(PgConn *c, Error *error)
{
    return c->lost || !c->pg ? err_set(error, ERR_IO, "PostgreSQL was lost inside the transaction") : ERR_OK;
}

Err pg_settle(PgConn *c, Error *error)
{
    Err err = lost_before(c, error);
    if (err)
        return err;
    if (c->unread && (err = pg_want_answers(c, error)))
        return err;
    return read_until(c, 0, error);
}

Err pg_send_sync(PgConn *c, Error *error)
{
    Err err = lost_before(c, error);
    if (err)
        return err;
    if (!PQpipelineSync(c->pg))
        return lose(c, error);
    c->unread++;
    c->syncs++;
    c->unsynced = false;
    return ERR_OK;
}

/* An error that the server found at the commit itself is answered before the Sync: then what follows would be taken for an answer to something else. */
Err pg_sync(PgConn *c, Error *error)
{
    Err err = pg_send_sync(c, error);
    if (err)
        return err;
    err = read_until(c, 0, error);
    if (c->syncs && !c->lost)
        lose(c, NULL);
    c->failed = ERR_OK;
    c->heard_us = pg_now_us();
    return err;
}

/* ---- statements ---------------------------------------------------------------------------------------- */

/* ?N → $1, $2 …, numbered by what is really used: a statement need not look at every argument. */
static uint32_t number_params(Str sql, Buf *out, uint16_t args[PG_PARAMS_MAX])
{
    uint32_t count = 0;
    char quote = 0;
    for (size_t i = 0; i < sql.len; i++) {
        char ch = sql.ptr[i];
        if (quote || ch == '\'' || ch == '"') {
            quote = !quote ? ch : quote == ch ? 0 : quote;
            buf_put_char(out, ch);
            continue;
        }
        if ((ch != '?' && ch != '$') || i + 1 >= sql.len || sql.ptr[i + 1] < '0' || sql.ptr[i + 1] > '9') {
            buf_put_char(out, ch);
            continue;
        }
        uint32_t number = 0, at = 0;
        while (i + 1 < sql.len && sql.ptr[i + 1] >= '0' && sql.ptr[i + 1] <= '9' && number < PG_PARAMS_MAX)
            number = number * 10 + (uint32_t)(sql.ptr[++i] - '0');
        while (at < count && args[at] != number - 1)
            at++;
        if (at == count && count < PG_PARAMS_MAX)
            args[count++] = (uint16_t)(number - 1);
        buf_printf(out, "$%u", at + 1);
    }
    return count;
}

/* Waits for the description of what was prepared: the types of its parameters. */
static Err describe(PgConn *c, PgStatement *statement, Error *error)
{
    PGresult *result;
    Err err = next_result(c, &result, error);
    if (err)
        return err;
    c->unread--;
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        err = result_error(c, result, error);
    else
        for (uint32_t i = 0; i < statement->param_count && i < (uint32_t)PQnparams(result); i++)
            statement->types[i] = PQparamtype(result, (int)i);
    PQclear(result);
    return err;
}

/* In our own statements each argument has one kind, and the columns have its type. In those of programs types are written down. */
static Oid declared_type(Str sql, const Cell *arg)
{
    if (!memchr(sql.ptr, '?', sql.len))
        return 0;
    return arg->kind == CELL_INT ? OID_INT8 : arg->kind == CELL_FLOAT ? OID_FLOAT8 : arg->kind == CELL_BLOB ? OID_BYTEA : arg->kind == CELL_NULL || arg->kind == CELL_LIST ? 0 : OID_TEXT;
}

static Err prepare(PgConn *c, PgStatement *statement, const char *sql, Error *error)
{
    if (!PQsendPrepare(c->pg, statement->name, sql, (int)statement->param_count, statement->types))
        return lose(c, error);
    c->unread++;
    c->unsynced = true;
    if (!PQsendDescribePrepared(c->pg, statement->name))
        return lose(c, error);
    c->unread++;
    if (!PQsendFlushRequest(c->pg))
        return lose(c, error);
    Err err = read_until(c, 1, error);
    return err ? err : describe(c, statement, error);
}

static void forget(PgConn *c, Str sql, PgStatement *statement)
{
    map_remove(&c->statements, sql);
    memset(c->recent, 0, sizeof c->recent);
    free(statement->args);
    free(statement->types);
    free(statement);
}

/* Deallocates them all: rare, since the texts of a program are few. Before anything else of a transaction it is one of its own, since nothing may come before a BEGIN. */
static Err shrink(PgConn *c, Error *error)
{
    bool first = !c->unsynced;
    drop_statements(c);
    if (!PQsendQueryParams(c->pg, "DEALLOCATE ALL", 0, NULL, NULL, NULL, NULL, 1))
        return lose(c, error);
    c->unread++;
    c->unsynced = true;
    return first ? pg_sync(c, error) : ERR_OK;
}

static Err find_statement(PgConn *c, Str sql, const Cell *given, uint32_t count, PgStatement **out, Error *error)
{
    uint16_t args[PG_PARAMS_MAX];
    PgStatement **recent = &c->recent[(uintptr_t)sql.ptr / 16 % PG_RECENT];
    if (*recent && (*recent)->len == sql.len && memcmp((*recent)->text, sql.ptr, sql.len) == 0) {
        *out = *recent;
        return ERR_OK;
    }
    if ((*out = map_find(&c->statements, sql))) {
        *recent = *out;
        return ERR_OK;
    }
    Err err = c->statements.count >= PG_STATEMENTS_MAX ? shrink(c, error) : ERR_OK;
    if (err)
        return err;
    Buf text = { 0 };
    PgStatement *statement = mem_alloc(sizeof *statement + sql.len + 1);
    memcpy(statement->text, sql.ptr, statement->len = sql.len);
    snprintf(statement->name, sizeof statement->name, "f%u", ++c->serial);
    statement->param_count = number_params(sql, &text, args);
    statement->args = mem_alloc((statement->param_count + 1) * sizeof *args);
    memcpy(statement->args, args, statement->param_count * sizeof *args);
    statement->types = mem_alloc((statement->param_count + 1) * sizeof *statement->types);
    for (uint32_t i = 0; i < statement->param_count; i++)
        statement->types[i] = args[i] < count ? declared_type(sql, &given[args[i]]) : 0;
    map_put(&c->statements, (Str){ statement->text, sql.len }, statement);
    err = prepare(c, statement, buf_cstr(&text), error);
    buf_free(&text);
    if (err && c->pg && map_find(&c->statements, sql))
        forget(c, sql, statement);
    *out = statement;
    return err;
}

typedef struct Params { const char **values; int *lengths, *formats; } Params;

/* The type of the items of an array, 0 for any other type. */
static Oid item_type(Oid type)
{
    return type == OID_TEXTS ? OID_TEXT : type == OID_INT8S ? OID_INT8 : type == OID_BYTEAS ? OID_BYTEA : type == OID_BOOLS ? OID_BOOL : type == OID_FLOAT8S ? OID_FLOAT8 : 0;
}

static char *put_item(char *out, const Cell *cell, int size)
{
    uint64_t bits = (uint64_t)cell->i;
    if (cell->kind == CELL_FLOAT)
        memcpy(&bits, &cell->f, sizeof bits);
    put_big_endian(out, cell->kind == CELL_NULL ? UINT32_MAX : size ? (uint64_t)size : cell->text.len, 4);
    if (cell->kind == CELL_NULL)
        return out + 4;
    if (size)
        put_big_endian(out + 4, bits, size);
    else if (cell->text.len)
        memcpy(out + 4, cell->text.ptr, cell->text.len);
    return out + 4 + (size ? (size_t)size : cell->text.len);
}

/* An array of one dimension in the server's own form. Items are of the array's type: texts and blobs, or numbers. */
static Err put_array(const Cell *list, Oid item, Arena *arena, Params *p, uint32_t at, Error *error)
{
    int size = item == OID_INT8 || item == OID_FLOAT8 ? 8 : item == OID_BOOL ? 1 : 0;
    size_t total = 20;
    bool nulls = false;
    for (uint32_t i = 0; i < list->count; i++) {
        const Cell *cell = &list->items[i];
        bool number = cell->kind == CELL_INT || (cell->kind == CELL_FLOAT && item == OID_FLOAT8);
        if (cell->kind != CELL_NULL && (size ? !number || (cell->kind == CELL_INT && item == OID_FLOAT8) : cell->kind != CELL_TEXT && cell->kind != CELL_BLOB))
            return err_set(error, ERR_INVALID, "cannot run a statement: an array holds a value of another type");
        if (item == OID_TEXT && cell->kind == CELL_TEXT && cell->text.len && memchr(cell->text.ptr, 0, cell->text.len))
            return err_set(error, ERR_INVALID, "cannot store text with a NUL byte in PostgreSQL");
        nulls |= cell->kind == CELL_NULL;
        total += 4 + (cell->kind == CELL_NULL ? 0 : size ? (size_t)size : cell->text.len);
    }
    if (total > INT32_MAX)
        return err_set(error, ERR_LIMIT, "cannot run a statement: an array of more than 2 GiB");
    char *bytes = arena_alloc(arena, total), *out = bytes;
    const uint32_t head[] = { list->count ? 1 : 0, nulls, item, list->count, 1 };
    for (int i = 0; i < 5; i++, out += 4)
        put_big_endian(out, head[i], 4);
    for (uint32_t i = 0; i < list->count; i++)
        out = put_item(out, &list->items[i], size);
    p->values[at] = bytes;
    p->lengths[at] = (int)(list->count ? total : 12);
    return ERR_OK;
}

static Err put_param(const Cell *cell, Oid type, Arena *arena, Params *p, uint32_t at, Error *error)
{
    char *bytes;
    p->formats[at] = 1;
    p->values[at] = NULL;
    p->lengths[at] = 0;
    if (cell->kind == CELL_LIST && item_type(type))
        return put_array(cell, item_type(type), arena, p, at, error);
    if (cell->kind == CELL_NULL || cell->kind == CELL_LIST)
        return ERR_OK;
    int size = type == OID_INT8 || type == OID_FLOAT8 ? 8 : type == OID_INT4 ? 4 : type == OID_INT2 ? 2 : type == OID_BOOL ? 1 : 0;
    if (size && (cell->kind == CELL_INT || (cell->kind == CELL_FLOAT && type == OID_FLOAT8))) {
        int64_t whole = cell->i;
        uint64_t bits = (uint64_t)whole;
        double f = cell->kind == CELL_FLOAT ? cell->f : (double)cell->i;
        if (type == OID_FLOAT8)
            memcpy(&bits, &f, sizeof bits);
        if ((size == 4 && whole != (int32_t)whole) || (size == 2 && whole != (int16_t)whole))
            return err_set(error, ERR_INVALID, "cannot run a statement: a number overflows its type");
        bytes = arena_alloc(arena, 8);
        put_big_endian(bytes, bits, size);
        p->values[at] = bytes;
        p->lengths[at] = size;
        return ERR_OK;
    }
    if (cell->kind == CELL_INT || cell->kind == CELL_FLOAT) {
        p->formats[at] = 0;
        p->values[at] = cell->kind == CELL_INT ? arena_printf(arena, "%lld", (long long)cell->i) : arena_printf(arena, "%.17g", cell->f);
        return ERR_OK;
    }
    if (cell->kind != CELL_BLOB && cell->text.len && memchr(cell->text.ptr, 0, cell->text.len))
        return err_set(error, ERR_INVALID, "cannot store text with a NUL byte in PostgreSQL");
    bool raw = type == OID_TEXT || type == OID_VARCHAR || type == OID_BPCHAR || type == OID_NAME || type == OID_UNKNOWN || type == OID_BYTEA;
    p->formats[at] = raw;
    p->values[at] = raw && cell->text.ptr ? cell->text.ptr : arena_str(arena, cell->text).ptr;
    p->lengths[at] = (int)cell->text.len;
    if (!p->values[at])
        p->values[at] = "";
    return ERR_OK;
}

Err pg_send(PgConn *c, Str sql, const Cell *args, uint32_t count, Arena *arena, Error *error)
{
    static const Cell NONE;
    PgStatement *statement = NULL;
    Err err = lost_before(c, error);
    if (!err && c->unread >= PG_UNREAD_MAX)
        err = pg_settle(c, error);
    if (!err)
        err = find_statement(c, sql, args, count, &statement, error);
    if (err)
        return err;
    uint32_t n = statement->param_count;
    Arena *own = arena || n == 0 ? NULL : arena_new();
    Arena *a = arena ? arena : own;
    Params p = { 0 };
    if (n)
        p = (Params){ ARENA_ARRAY(a, const char *, n), ARENA_ARRAY(a, int, n), ARENA_ARRAY(a, int, n) };
    for (uint32_t i = 0; i < n && !err; i++)
        err = put_param(statement->args[i] < count ? &args[statement->args[i]] : &NONE, statement->types[i], a, &p, i, error);
    if (!err && !PQsendQueryPrepared(c->pg, statement->name, (int)n, p.values, p.lengths, p.formats, 1))
        err = lose(c, error);
    if (own)
        arena_free(own);
    if (err)
        return err;
    c->unread++;
    c->unsynced = true;
    return ERR_OK;
}

Err pg_make_room(PgConn *c, uint32_t statements, Error *error)
{
    Err err = lost_before(c, error);
    return err || c->statements.count + statements <= PG_STATEMENTS_MAX ? err : shrink(c, error);
}

static Err make_known(PgConn *c, Str sql, const Cell *args, uint32_t count, Error *error)
{
    PgStatement *statement;
    Err err = lost_before(c, error);
    return err ? err : find_statement(c, sql, args, count, &statement, error);
}

Err pg_want_answers(PgConn *c, Error *error)
{
    Err err = lost_before(c, error);
    return err ? err : PQsendFlushRequest(c->pg) ? ERR_OK : lose(c, error);
}

/* The next answer, behind which `behind` others are still to come. ERR_BUSY: it is gone, since a statement was not known before it was sent. */
static Err take_answer(PgConn *c, uint32_t behind, Arena *arena, SqlRows *rows, Error *error)
{
    Err err = read_until(c, behind + 1, error);
    if (!err && c->unread <= behind)
        err = err_set(error, ERR_BUSY, "an answer was read when a statement behind it was made known");
    return err ? err : take_result(c, arena, rows, error);
}

/* Outside of a transaction a Sync ends the statement's own; inside, a flush is enough. */
Err pg_query(PgConn *c, Str sql, const Cell *args, uint32_t count, Arena *arena, SqlRows *rows, Error *error)
{
    if (rows)
        *rows = (SqlRows){ 0 };
    Err err = pg_send(c, sql, args, count, arena, error);
    uint32_t behind = 0;
    if (!err && c->in_txn)
        err = pg_want_answers(c, error);
    else if (!err) {
        err = pg_send_sync(c, error);
        behind = !err;
    }
    if (!err)
        err = read_until(c, 1 + behind, error);
    if (!err)
        err = take_result(c, arena, rows, error);
    if (!c->in_txn && !c->lost && c->unread) {
        Err first = err;
        err = read_until(c, 0, err ? NULL : error);
        err = first ? first : err;
        c->failed = ERR_OK;
    } else if (err && !c->failed) {
        c->failed = err;                                    /* the server skips what comes until the next Sync */
        if (error)
            c->failure = *error;
    }
    return err;
}

Err pg_run(SqlDb *db, Str sql, const Cell *args, uint32_t count, Arena *arena, SqlRows *rows, Error *error)
{
    PgConn *c = (PgConn *)db;
    if (c->asks)
        *rows = (SqlRows){ 0 };
    switch (c->asks) {
    case ASK_MAKE_KNOWN: return make_known(c, sql, args, count, error);
    case ASK_SEND:       c->asked++; return pg_send(c, sql, args, count, arena, error);
    case ASK_TAKE:       return take_answer(c, --c->asked, arena, rows, error);
    default:             return c->ahead && !rows ? pg_send(c, sql, args, count, arena, error) : pg_query(c, sql, args, count, arena, rows, error);
    }
}
