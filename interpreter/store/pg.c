/* pg.c - the store for many workers: PostgreSQL.
 *
 * Two connections write: the batches that wait are a READ COMMITTED transaction of one of them. Its statements go out without waiting for each other;
 * only when something fails is the group rolled back and done again with a savepoint for each batch. Two connections read, eight carry
 * interactive transactions (SERIALIZABLE). Everything of a store lies in one schema.
 *
 * The fence: a group locks the run's row before it compares the epoch, so a takeover comes before or after all of the batch. An interactive
 * transaction holds a share of that lock until it ends: nobody can take the run over meanwhile, and who claims skips rows that are locked.
 *
 * Row security binds the tables of programs to their tenant a second time, under the condition that every query has anyway; the role that
 * connects should be neither a superuser nor one that may bypass it.
 */
#include "interpreter/store/pg.h"

#include "interpreter/store/lane.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- fences and tenants -------------------------------------------------------------------------------- */

/* Ahead of others nobody waits for the answer: a division by zero says that the run is not at that epoch. */
static Err check_fence(SqlDb *db, StoreBatch *batch, Error *error)
{
    PgConn *c = (PgConn *)db;
    SqlRows rows;
    const Cell args[] = { cell_text(batch->tenant), cell_text(batch->run_id), cell_u64(batch->epoch) };
    if (c->ahead)
        return pg_send(c, STR("SELECT 1 / COUNT(*) FROM (SELECT 1 FROM flow_runs WHERE tenant = ?1 AND run_id = ?2 AND epoch = ?3 FOR NO KEY UPDATE) AS fence"), args, 3, batch->arena, error);
    static const Str BY_ROLE[] = {
        [CONN_WRITES] = STR("SELECT epoch FROM flow_runs WHERE tenant = ?1 AND run_id = ?2 FOR NO KEY UPDATE"),
        [CONN_READS] = STR("SELECT epoch FROM flow_runs WHERE tenant = ?1 AND run_id = ?2"),
        [CONN_TXN] = STR("SELECT epoch FROM flow_runs WHERE tenant = ?1 AND run_id = ?2 FOR SHARE"),
    };
    Err err = pg_query(c, BY_ROLE[c->role], args, 2, batch->arena, &rows, error);
    return err ? err : sql_judge_fence(batch, &rows, error);
}

/* The user is told as soon as one table is known to be `visible by`: from then on for all of them, since a program of an older version may not know of it. */
static Err use_scope(SqlDb *db, Str tenant, Str user, bool by_user, Error *error)
{
    PgConn *c = (PgConn *)db;
    bool tells = c->store->tells_users |= by_user;
    if (c->tenant_set && str_eq(buf_str(&c->tenant), tenant) && (!tells || (c->user_told && str_eq(buf_str(&c->user), user))))
        return ERR_OK;
    static const Str WORDS[2][2] = {
        { STR("SELECT set_config('flow.tenant', ?1, false)"), STR("SELECT set_config('flow.tenant', ?1, true)") },
        { STR("SELECT set_config('flow.tenant', ?1, false), set_config('flow.user', ?2, false)"), STR("SELECT set_config('flow.tenant', ?1, true), set_config('flow.user', ?2, true)") },
    };
    const Cell args[] = { cell_text(tenant), cell_text(user.len ? user : STR(PG_NOBODY)) };
    Err err = c->in_txn ? pg_send(c, WORDS[tells][true], args, 1 + tells, NULL, error) : pg_query(c, WORDS[tells][false], args, 1 + tells, NULL, NULL, error);
    if (err)
        return err;
    buf_clear(&c->tenant);
    buf_put_str(&c->tenant, tenant);
    buf_clear(&c->user);
    buf_put_str(&c->user, user);
    c->tenant_set = true;
    c->user_told = tells;
    return ERR_OK;
}

/* ---- transactions -------------------------------------------------------------------------------------- */

/* A statement is planned once, and a table that was empty then may have grown since: the wrong index would be kept. So all are planned anew from
   time to time, at the connection's first, second, fourth, eighth … transaction. */
static Err renew_plans(PgConn *c, Error *error)
{
    c->begun++;
    return c->begun & (c->begun - 1) ? ERR_OK : pg_send(c, STR("DISCARD PLANS"), NULL, 0, NULL, error);
}

/* Connected, and nothing is left of the transaction before. */
static Err start_clean(PgConn *c, bool implicit, Error *error)
{
    Err err = pg_ready(c, c->store->wait_ms, error);
    if (err)
        return err;
    c->db.changed = c->announce = c->tenant_set = c->appends = false;
    c->failed = ERR_OK;
    c->in_txn = true;
    c->implicit = implicit;
    return ERR_OK;
}

static Err pg_begin(void *conn, bool writes, Error *error)
{
    PgConn *c = conn;
    Err err = start_clean(c, false, error);
    if (err)
        return err;
    if (!writes)
        err = pg_send(c, STR("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"), NULL, 0, NULL, error);
    else if (c->role == CONN_TXN)
        err = pg_send(c, STR("BEGIN ISOLATION LEVEL SERIALIZABLE"), NULL, 0, NULL, error);
    else
        err = pg_send(c, STR("BEGIN ISOLATION LEVEL READ COMMITTED"), NULL, 0, NULL, error);
    return err ? err : renew_plans(c, error);
}

/* What goes out until the next Sync is one transaction by itself. */
static Err pg_begin_at_once(void *conn, Error *error)
{
    PgConn *c = conn;
    Err err = start_clean(c, true, error);
    return err ? err : renew_plans(c, error);
}

/* COMMIT goes out with what was sent before it: after an error there the server skips it, so the answer decides. The notification follows in a
   transaction of its own that waits for no disk: the server sends it even when this process is gone by then. */
static Err pg_commit(void *conn, Error *error)
{
    PgConn *c = conn;
    const Cell args[] = { cell_text(str_of(c->store->schema)) };
    Err err = !c->implicit ? pg_send(c, STR("COMMIT"), NULL, 0, NULL, error) : c->announce ? pg_send_sync(c, error) : ERR_OK;
    if (!err && c->announce)
        err = pg_send(c, STR("SELECT set_config('synchronous_commit', 'off', true), pg_notify('flow:' || ?1, '')"), args, 1, NULL, error);
    if (!err)
        err = pg_sync(c, error);
    if (!err && c->appends && !c->db.changed)
        err = err_set(error, ERR_BUSY, "runs were taken from a worker meanwhile");
    if (err)
        return err == ERR_IO && !c->lost ? ERR_BUSY : err;  /* a statement timed out: nothing was committed, so it is no unknown outcome */
    c->in_txn = c->implicit = c->announce = c->tenant_set = false;
    pg_own_fenced(c);
    pg_log_settled(c, true);
    if (c->role == CONN_WRITES)
        pg_log_sweep(c);                                    /* whether it stands is no matter: it is tried again */
    return ERR_OK;
}

static void pg_rollback(void *conn)
{
    PgConn *c = conn;
    c->ahead = c->announce = c->tenant_set = c->db.changed = false;
    c->store->count_doubted |= c->role == CONN_WRITES;
    pg_unfence(c);
    pg_log_settled(c, false);
    if (!c->pg || c->lost) {
        c->in_txn = c->implicit = false;
        return;
    }
    if (c->implicit)                                        /* else the Sync would commit what was done so far */
        pg_send(c, STR("ROLLBACK"), NULL, 0, NULL, NULL);
    c->implicit = false;
    pg_sync(c, NULL);
    if (!c->lost && PQtransactionStatus(c->pg) != PQTRANS_IDLE) {
        pg_send(c, STR("ROLLBACK"), NULL, 0, NULL, NULL);
        pg_sync(c, NULL);
    }
    if (!c->lost && PQtransactionStatus(c->pg) != PQTRANS_IDLE)
        pg_drop(c);                                         /* the server does that for us */
    c->in_txn = false;
}

static bool pg_in_transaction(void *conn)
{
    const PgConn *c = conn;
    return c->in_txn && !c->lost && c->pg;
}

static Err pg_check_fence(void *conn, StoreBatch *fence, Error *error)
{
    PgConn *c = conn;
    return sql_check_fence(&c->db, fence, error);
}

/* A failing batch is undone alone; its errors were waited for, so they are its own. */
static Err pg_apply(void *conn, StoreBatch *batch, bool *changed, Error *error)
{
    PgConn *c = conn;
    bool before = c->db.changed;
    PgPiece **mark = pg_log_mark(c);
    pg_run_clothe(c->store, batch);
    Err err = pg_send(c, STR("SAVEPOINT batch"), NULL, 0, NULL, error);
    if (err)
        return err;
    c->db.changed = false;
    err = sql_apply_ops(&c->db, batch, error);
    *changed = !err && c->db.changed;
    c->db.changed = before || *changed;
    if (err) {
        Error first = error ? *error : (Error){ 0 };
        c->tenant_set = false;
        pg_log_undo(c, mark);
        if (err == ERR_FENCED)
            pg_log_lost(c->store, batch);
        pg_sync(c, NULL);
        if (!c->lost && !pg_send(c, STR("ROLLBACK TO SAVEPOINT batch"), NULL, 0, NULL, NULL))
            pg_sync(c, NULL);
        if (!c->lost && PQtransactionStatus(c->pg) != PQTRANS_INTRANS)
            c->in_txn = false;                              /* the server ended the transaction */
        if (error)
            *error = first;
    }
    if (pg_in_transaction(c) && pg_send(c, STR("RELEASE SAVEPOINT batch"), NULL, 0, NULL, err ? NULL : error) && !err)
        err = ERR_IO;
    return err;
}

Err pg_apply_ahead(void *conn, StoreBatch *batch, Error *error)
{
    PgConn *c = conn;
    c->ahead = true;
    Err err = sql_apply_ops(&c->db, batch, error);
    c->ahead = false;
    return err;
}

static Err pg_settle_group(void *conn, bool *changed, Error *error)
{
    PgConn *c = conn;
    Err err = c->unread ? pg_settle(c, error) : ERR_OK;
    *changed |= !err && c->db.changed;
    return err;
}

/* One statement is its own snapshot; several get one in common. A read may be asked again. */
static Err read_once(PgConn *c, StoreBatch *batch, Error *error)
{
    bool fenced = batch->epoch && batch->run_id.len, single = batch->first && !batch->first->next && batch->first->kind != DO_GET_RUN && !fenced;
    Err err = single ? pg_ready(c, c->store->wait_ms, error) : pg_begin(c, false, error);
    if (!err && single)
        err = renew_plans(c, error);
    if (!err)
        err = !single && pg_asks_at_once(batch) ? pg_ask_batch_at_once(c, batch, error) : sql_apply_ops(&c->db, batch, error);
    if (single) {
        c->tenant_set &= !err;                              /* it was undone with the statement */
        return err;
    }
    if (err) {
        pg_rollback(c);
        return err;
    }
    return pg_commit(c, error);
}

static Err pg_read(void *conn, StoreBatch *batch, Error *error)
{
    PgConn *c = conn;
    bool tells = c->store->tells_users;
    Err err = read_once(c, batch, error);
    if ((err == ERR_IO && c->lost) || (err == ERR_BUSY && c->store->tells_users && !tells)) {
        store_batch_reset(batch);
        err = read_once(c, batch, error);
    }
    return err;
}

static Err pg_read_loads(void *conn, StoreBatch **batches, uint32_t count, Err *errs, Error *errors, Error *error)
{
    PgConn *c = conn;
    Err err = pg_begin(c, false, error);
    if (!err)
        err = pg_load(c, batches, count, errs, errors, error);
    if (!err)
        return pg_commit(c, error);
    pg_rollback(c);
    return err;
}

static void pg_announce(void *conn)
{
    PgConn *c = conn;
    c->announce = true;
}

static Err pg_fsck(void *conn, FsckReport *report, Buf *out, Error *error)
{
    PgConn *c = conn;
    return sql_fsck(&c->db, report, out, error);
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static int hex_value(char ch)
{
    return ch >= '0' && ch <= '9' ? ch - '0' : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : -1;
}

static void put_decoded(Buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '%' && i + 2 < len && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
            buf_put_char(out, (char)(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])));
            i += 2;
        } else
            buf_put_char(out, text[i]);
    }
}

static Err read_wait(const char *text, size_t len, int *wait_ms, Error *error)
{
    int64_t value = 0;
    bool number = len > 0 && len < 8;
    for (size_t i = 0; i < len && number; i++) {
        number = text[i] >= '0' && text[i] <= '9';
        value = value * 10 + (text[i] - '0');
    }
    if (!number || value > PG_WAIT_MAX_MS)
        return err_set(error, ERR_INVALID, "cannot read the store's URL: wait_ms is a number of milliseconds, at most %d (PG_WAIT_MAX_MS)", PG_WAIT_MAX_MS);
    *wait_ms = (int)value;
    return ERR_OK;
}

/* Takes our own parameters out of the URL: libpq refuses what it does not know. */
static Err split_url(PgStore *store, const char *place, Error *error)
{
    Buf url = { 0 }, schema = { 0 };
    buf_printf(&url, "postgresql:%.*s", (int)strcspn(place, "?"), place);
    const char *p = strchr(place, '?');
    char joint = '?';
    Err err = ERR_OK;
    store->wait_ms = PG_WAIT_MS;
    while (p && *p && !err) {
        size_t len = strcspn(++p, "&");
        if (len >= 7 && strncmp(p, "schema=", 7) == 0)
            put_decoded(&schema, p + 7, len - 7);
        else if (len >= 8 && strncmp(p, "wait_ms=", 8) == 0)
            err = read_wait(p + 8, len - 8, &store->wait_ms, error);
        else if (len) {
            buf_put_char(&url, joint);
            buf_put(&url, p, len);
            joint = '&';
        }
        p += len;
    }
    if (!schema.len)
        buf_put_text(&schema, "flow");
    if (!err && (schema.len > PG_SCHEMA_MAX || memchr(schema.ptr, 0, schema.len)))
        err = err_set(error, ERR_INVALID, "cannot use schema `%.40s…`: at most %d bytes (PG_SCHEMA_MAX), none of them NUL", buf_cstr(&schema), PG_SCHEMA_MAX);
    store->url = strdup(buf_cstr(&url));
    store->schema = strdup(buf_cstr(&schema));
    buf_free(&url);
    buf_free(&schema);
    char *message = NULL;
    PQconninfoOption *options = err ? NULL : PQconninfoParse(store->url, &message);
    if (!err && !options)                                   /* libpq's own words would quote the URL, password and all */
        err = err_set(error, ERR_INVALID, "cannot read the store's URL: expected postgresql://USER@HOST/DATABASE?schema=NAME with libpq's parameters, values percent-encoded");
    PQconninfoFree(options);
    PQfreemem(message);
    return err;
}

static void pg_close(void *state)
{
    PgStore *store = state;
    pg_wake_stop(store);
    buf_free(&store->worker);
    pg_log_free(store);
    pg_runs_drop(store);
    for (uint32_t i = 0; i < store->conn_count; i++)
        pg_conn_free(store->conns[i]);
    if (store->url)
        explicit_bzero(store->url, strlen(store->url));     /* it may hold a password */
    free(store->url);
    free(store->schema);
    free(store);
}

PgConn *pg_conn_new(PgStore *store, ConnRole role)
{
    PgConn *c = mem_alloc(sizeof *c);
    c->store = store;
    c->role = role;
    c->db = (SqlDb){ .dialect = &PG_DIALECT, .run = pg_run, .check_fence = check_fence, .use_scope = use_scope,
                       .read_log = pg_log_read, .settle = pg_log_settle, .take_over = pg_log_take_over, .gc_log = pg_log_gc };
    return c;
}

static void *pg_conn(void *state, ConnRole role, uint32_t number)
{
    PgStore *store = state;
    uint32_t at = role == CONN_WRITES ? number : role == CONN_READS ? PG_WRITE_LANES + number : PG_WRITE_LANES + PG_READ_LANES + number;
    return store->conns[at];
}

/* Who is not bound by row security is told so once: the second wall is not there then. */
static Err warn_of_power(PgConn *c, Error *error)
{
    static bool told;
    SqlRows rows;
    if (told)
        return ERR_OK;
    Arena *arena = arena_new();
    Err err = pg_query(c, STR("SELECT current_user::text, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"), NULL, 0, arena, &rows, error);
    told = !err && rows.set.rows == 1 && rows.set.cells[1].i;
    if (told)
        fprintf(stderr, "flowd: PostgreSQL role `%.*s` is not bound by row-level security (superuser or BYPASSRLS); use an ordinary role\n", STR_ARG(rows.set.cells[0].text));
    arena_free(arena);
    return err;
}

static Err pg_open(const char *place, const StoreOptions *options, void **state, Error *error)
{
    PgStore *store = mem_alloc(sizeof *store);
    store->read_only = options->read_only;
    store->count_doubted = true;
    store->loop = options->loop;
    Err err = split_url(store, place, error);
    for (uint32_t i = 0; i < PG_WRITE_LANES + PG_READ_LANES + PG_TXN_LANES; i++)
        store->conns[store->conn_count++] = pg_conn_new(store, i < PG_WRITE_LANES ? CONN_WRITES : i < PG_WRITE_LANES + PG_READ_LANES ? CONN_READS : CONN_TXN);
    if (!err)
        err = pg_ready(store->conns[0], 0, error);
    if (!err)
        err = pg_migrate(store->conns[0], options, error);
    if (!err)
        err = warn_of_power(store->conns[0], error);
    if (err)
        pg_close(store);
    else
        *state = store;
    return err;
}

static Err pg_drop_schema(const char *place, Error *error)
{
    PgStore *store = mem_alloc(sizeof *store);
    Err err = split_url(store, place, error);
    store->conns[store->conn_count++] = pg_conn_new(store, CONN_WRITES);
    if (!err)
        err = pg_ready(store->conns[0], 0, error);
    Buf sql = { 0 };
    buf_put_text(&sql, "DROP SCHEMA IF EXISTS ");
    pg_quote(&sql, store->schema ? store->schema : "");
    buf_put_text(&sql, " CASCADE");
    if (!err)
        err = pg_execute(store->conns[0], buf_cstr(&sql), error);
    buf_free(&sql);
    pg_close(store);
    return err;
}

static Err pg_key(void *state, uint32_t *id, uint8_t bytes[32], Error *error)
{
    PgStore *store = state;
    return sql_snapshot_key(&store->conns[0]->db, id, bytes, error);
}

static void pg_on_wake(void *state, void (*wake)(void *arg), void *arg)
{
    pg_wake_stop(state);
    if (wake)
        pg_wake_start(state, wake, arg);
}

static bool pg_is_up(const void *state)
{
    return !((const PgStore *)state)->down;
}

const StoreOps STORE_POSTGRES = {
    .kind = "postgresql", .more_write_lanes = PG_WRITE_LANES - 1, .read_lanes = PG_READ_LANES, .txn_lanes = PG_TXN_LANES,
    .open = pg_open, .close = pg_close, .key = pg_key, .conn = pg_conn, .begin = pg_begin, .begin_at_once = pg_begin_at_once, .commit = pg_commit, .rollback = pg_rollback,
    .in_transaction = pg_in_transaction, .check_fence = pg_check_fence, .apply = pg_apply, .fsck = pg_fsck, .drop = pg_drop_schema, .clear = pg_clear, .apply_group = pg_apply_group, .apply_ahead = pg_apply_ahead, .settle = pg_settle_group,
    .read = pg_read, .read_loads = pg_read_loads, .announce = pg_announce, .on_wake = pg_on_wake, .is_up = pg_is_up,
};
