/* pg_group.c - a whole group of batches as a few statements over arrays, sent with its commit in one go.
 *
 * Hot batches (journal rows, ends, parks, starts, snapshots, timers, events) differ in values only. Their rows are gathered by kind, and each
 * kind is one statement that takes a column of values per parameter. The rest of the group follows statement by statement, in its order.
 * Inserts of programs go first (pg_insert.c), since journal rows tell what they answered; else nobody waits here: an answer that is not as it must be is a
 * division by zero, which ends the transaction, and the store does the group again batch by batch, where each error gets its words.
 *
 * Order: kinds are done in the order of KINDS, whatever the order in the batches. That is the same outcome, because a run has at most one
 * hot batch in a group (a second one follows with the rest), no kind reads what a later one writes, and a batch that does one thing twice is not hot.
 *
 * The fence takes no lock of the run's row, which would write that row at each step. Instead a transaction that writes as a worker shares
 * the lock of that worker's name until it ends, and whoever takes a run away from a worker must have that lock alone (sql_claims.c) and counts up how often
 * that was done (flow_takeovers, a sequence that a trigger moves: what it says is never older than the moment, whatever snapshot its reader has, so it may be read
 * by the very statement that takes the lock). So a takeover comes before the count is read, or after the commit. The epoch and the worker of a run are
 * compared in its first group; while the count stays what it was then, reading it fences the run again. Renewals are always compared, and an end
 * or a park looks at the run's row anyway.
 *
 * A group of nothing but journal rows is one insert and its own transaction; it inserts nothing at all when the count has moved. The start or the end of a run
 * alone, with its journal row, is one statement as well. Any other group begins with its first statement and ends with the Sync, so there is no BEGIN and no COMMIT to send.
 *
 * The end of a run that holds a key or a place under a limit is not hot: it lets the next one go, under a lock (sql_claims.c). */
#include "interpreter/store/pg.h"

#include "interpreter/store/journal_row.h"

typedef enum { V_FENCE, V_RUN, V_RUN_OR_IGNORE, V_JOURNAL, V_LOG, V_SNAPSHOT, V_CLEAR_TIMER, V_SET_TIMER, V_EVENT, V_DISPATCHED, V_TAKE_MAIL, V_UPDATE, V_RELEASE, V_RENEW, V_ENDED, V_TRIM, V_COUNT } Kind;

/* Whether no run was taken from anybody since ?2 was read, under the worker's lock ?1 until the transaction ends; never without the lock, so in this order. */
#define UNTAKEN "CASE WHEN pg_advisory_xact_lock_shared(?1::bigint) IS NULL THEN false ELSE pg_sequence_last_value('flow_takeovers') IS NOT DISTINCT FROM ?2::bigint END"

/* Behind the columns stand the number of rows and, for the fence, the worker. What must hit every row says so in EVERY. A kind with a list of columns is a
   template of pg_rows.c; the others take an array for each of their columns. */
#define EVERY(statement, also) "WITH done AS (" statement " RETURNING 1)" also " SELECT 1 / CAST((SELECT COUNT(*) FROM done) = ?"
/* Nobody takes the mail of a run that has ended. What else it may have left behind is in V_ENDED. */
#define DROP_MAIL(from) ", mail AS (UPDATE flow_mail AS m SET taken = 1, fresh = 0 FROM " from " WHERE @status >= 3 AND m.tenant = @tenant AND m.run_id = @run_id AND m.taken = 0)"
#define HAS_NO_KEY "(@status < 3 OR (r.concurrency_key = '' AND r.limit_key = ''))"
#define UPDATE_RUNS "UPDATE flow_runs AS r SET status = @status, result_json = @result_json, waits_json = @waits_json, last_seq = @last_seq, snapshot_seq = @snapshot_seq, " \
    "updated_us = @updated_us, started_us = @started_us, ended_us = @updated_us + @ended_after, lease_until_us = @lease_until_us, worker = CASE WHEN @status = 1 THEN worker ELSE '' END " \
    "FROM @rows WHERE r.tenant = @tenant AND r.run_id = @run_id AND r.epoch = @epoch AND " HAS_NO_KEY
#define INSERT_RUNS "INSERT INTO flow_runs (tenant, run_id, module_hash, func_name, func, priority, durability, user_id, user_name, scopes, status, result_json, waits_json, epoch, worker, last_seq, " \
    "snapshot_seq, ended_us, cancel_requested, correlation, causation, hops, concurrency_key, limit_key, limit_count, input, input_json, created_us, updated_us, started_us, lease_until_us) " \
    "SELECT @tenant, @run_id, @module_hash, @func_name, @func, @priority, @durability, @user_id, @user_name, @scopes, @status, @result_json, @waits_json, @epoch, @worker, @last_seq, " \
    "@snapshot_seq, @ended_us, @cancel_requested, @correlation, @causation, @hops, @concurrency_key, @limit_key, @limit_count, @input, @input_json, @created_us, @created_us + @updated_after, " \
    "@created_us + @started_after, @created_us + @lease_after FROM @rows"

#define INTO_JOURNAL "INSERT INTO flow_journal (tenant, run_id, seq, last_seq, ended_us, body) SELECT "
#define INSERT_ROW INTO_JOURNAL "@tenant, @run_id, @seq, @chunk_last_seq, @row_ended_us, @body "

/* Behind the columns of a start and of an end stand those of the journal row that may go with it (WITH_ROW). */
#define EACH PG_EACH
#define ROW_COLUMNS { "seq", 'i', 'b' }, { "chunk_last_seq", 'i', 'b' }, { "row_ended_us", 'i', EACH }, { "body", 'b', EACH }
static const PgColumn RUN[] = {
    { "tenant", 't', 'a' }, { "run_id", 't', EACH }, { "module_hash", 'b', 'b' }, { "func_name", 't', 'b' }, { "func", 'i', 'b' }, { "priority", 'i', 'b' }, { "durability", 'i', 'b' },
    { "user_id", 't', 'c' }, { "user_name", 't', 'c' }, { "scopes", 't', 'c' }, { "status", 'i', 'd' }, { "result_json", 't', 'd' }, { "waits_json", 't', 'd' }, { "epoch", 'i', 'd' },
    { "worker", 't', 'd' }, { "last_seq", 'i', 'd' }, { "snapshot_seq", 'i', 'd' }, { "ended_us", 'i', 'd' }, { "cancel_requested", 'i', 'd' }, { "correlation", 't', 'e' },
    { "causation", 't', 'e' }, { "hops", 'i', 'e' }, { "concurrency_key", 't', 'f' }, { "limit_key", 't', 'f' }, { "limit_count", 'i', 'f' }, { "input", 'b', EACH }, { "input_json", 't', EACH },
    { "created_us", 'i', EACH }, { "updated_after", 'i', 'g' }, { "started_after", 'i', 'h' }, { "lease_after", 'i', 'i' },
    ROW_COLUMNS,
};
static const PgColumn UPDATE[] = {
    { "tenant", 't', 'a' }, { "run_id", 't', EACH }, { "status", 'i', 'b' }, { "ended_after", 'i', 'b' }, { "waits_json", 't', 'c' }, { "snapshot_seq", 'i', 'c' }, { "result_json", 't', EACH },
    { "last_seq", 'i', EACH }, { "updated_us", 'i', EACH }, { "started_us", 'i', EACH }, { "lease_until_us", 'i', 'd' }, { "epoch", 'i', 'e' },
    ROW_COLUMNS,
};
static const PgColumn RELEASE[] = { { "tenant", 't', 'a' }, { "run_id", 't', EACH }, { "status", 'i', 'b' }, { "epoch", 'i', 'c' } };
static const PgColumn OF_RUN[] = { { "tenant", 't', 'a' }, { "run_id", 't', EACH }, { "epoch", 'i', 'b' } };           /* the fence; those that ended have the first two */
static const PgColumn CHUNK[] = { { "tenant", 't', 'a' }, { "run_id", 't', EACH }, ROW_COLUMNS };
static const PgColumn LOG[] = { { "tenant", 't', 'a' }, { "id", 'i', EACH }, { "body", 'b', EACH } };

static const struct { uint32_t columns; Str sql; const PgColumn *list; } KINDS[V_COUNT] = {
    [V_FENCE] = { 3, STR("SELECT 1 / CAST(COUNT(*) = ?4 AS int) FROM @rows JOIN flow_runs AS r ON r.tenant = @tenant AND r.run_id = @run_id AND r.epoch = @epoch AND r.worker = ?5"), OF_RUN },
    [V_RUN] = { 31, STR(INSERT_RUNS), RUN },
    [V_RUN_OR_IGNORE] = { 31, STR(INSERT_RUNS " ON CONFLICT DO NOTHING"), RUN },
    [V_JOURNAL] = { 6, STR(INSERT_ROW "FROM @rows"), CHUNK },
    [V_LOG] = { 3, STR("INSERT INTO flow_log (tenant, worker, id, body) SELECT @tenant, ?5, @id, @body FROM @rows"), LOG },
    [V_TRIM] = { 3, STR(PG_LOG_TRIM), NULL },
    [V_SNAPSHOT] = { 4, STR("INSERT INTO flow_snapshots (tenant, run_id, seq, bytes) SELECT * FROM unnest(?1::text[], ?2::text[], ?3::bigint[], ?4::bytea[]) "
                              "ON CONFLICT (tenant, run_id) DO UPDATE SET seq = excluded.seq, bytes = excluded.bytes"), NULL },
    [V_CLEAR_TIMER] = { 3, STR("DELETE FROM flow_timers AS t USING unnest(?1::text[], ?2::text[], ?3::bigint[]) AS u (tenant, run_id, request) "
                                 "WHERE t.tenant = u.tenant AND t.run_id = u.run_id AND t.request = u.request"), NULL },
    [V_SET_TIMER] = { 4, STR("INSERT INTO flow_timers (tenant, run_id, request, due_us) SELECT * FROM unnest(?1::text[], ?2::text[], ?3::bigint[], ?4::bigint[]) "
                               "ON CONFLICT (tenant, run_id, request) DO UPDATE SET due_us = excluded.due_us"), NULL },
    [V_EVENT] = { 13, STR("INSERT INTO flow_events (tenant, event_id, name, payload, module_hash, user_id, correlation, causation, hops, run_id, seq, created_us, dispatched) "
                            "SELECT * FROM unnest(?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::text[], ?6::text[], ?7::text[], ?8::text[], ?9::bigint[], ?10::text[], ?11::bigint[], ?12::bigint[], ?13::bigint[])"), NULL },
    [V_DISPATCHED] = { 2, STR(EVERY("UPDATE flow_events AS e SET dispatched = 1 FROM unnest(?1::text[], ?2::bigint[]) AS u (tenant, position) WHERE e.tenant = u.tenant AND e.position = u.position", "") "3 AS int)"), NULL },
    [V_TAKE_MAIL] = { 3, STR(EVERY("UPDATE flow_mail AS m SET taken = 1, fresh = 0 FROM unnest(?1::text[], ?2::text[], ?3::text[]) AS u (tenant, run_id, mail_id) "
                                     "WHERE m.tenant = u.tenant AND m.run_id = u.run_id AND m.mail_id = u.mail_id AND m.taken = 0", "") "4 AS int)"), NULL },
    [V_UPDATE] = { 12, STR(EVERY(UPDATE_RUNS, DROP_MAIL("@rows")) "13 AS int)"), UPDATE },
    [V_RELEASE] = { 4, STR(EVERY("UPDATE flow_runs AS r SET status = @status, worker = '', lease_until_us = NULL FROM @rows "
                                   "WHERE r.tenant = @tenant AND r.run_id = @run_id AND r.epoch = @epoch AND " HAS_NO_KEY, DROP_MAIL("@rows")) "5 AS int)"), RELEASE },
    [V_RENEW] = { 3, STR("UPDATE flow_runs AS r SET lease_until_us = u.lease_until_us FROM unnest(?1::text[], ?2::text[], ?3::bigint[]) AS u (tenant, run_id, lease_until_us) "
                           "WHERE r.tenant = u.tenant AND r.run_id = u.run_id AND r.status = 1"), NULL },
    [V_ENDED] = { 2, STR("WITH timers AS (DELETE FROM flow_timers AS t USING @rows WHERE t.tenant = @tenant AND t.run_id = @run_id) "
                         "DELETE FROM flow_waits AS w USING @rows WHERE w.tenant = @tenant AND w.run_id = @run_id"), OF_RUN },
};

typedef struct Group { PgConn *c; Arena *arena; PgRows rows[V_COUNT]; PgInsert *inserts; uint32_t insert_count, batches, rest /* those that follow statement by statement */; bool counted; } Group;

/* ---- what is ours --------------------------------------------------------------------------------------- */

enum { NEVER_TAKEN = -1 /* the sequence has not moved yet */ };

static Cell count_known(const PgStore *store) { return store->taken == NEVER_TAKEN ? cell_null() : cell_int(store->taken); }

/* A group failed since it was read, and that it has moved may be why; or the worker's name is another one. */
static Err read_count(PgConn *c, Error *error)
{
    SqlRows rows;
    PgStore *store = c->store;
    const Cell args[] = { cell_text(buf_str(&store->worker)) };
    if (!store->count_doubted)
        return ERR_OK;
    Err err = pg_query(c, STR("SELECT pg_sequence_last_value('flow_takeovers'), " PG_WORKER_LOCK("?1")), args, 1, c->group, &rows, error);
    store->taken = !err && rows.set.cells[0].kind == CELL_INT ? rows.set.cells[0].i : NEVER_TAKEN;
    store->worker_lock = err ? 0 : rows.set.cells[1].i;
    store->count_doubted = err != ERR_OK;
    return err ? err : pg_log_recheck(c, error);
}

/* ---- which batches are hot ------------------------------------------------------------------------------ */

typedef struct Census { uint32_t of[DO_COUNT]; } Census;

static bool fits(const StoreBatch *batch, const StoreOp *op)
{
    const JournalRow *j = op->row;
    switch (op->kind) {
    case DO_QUERY:          return op->query < op->image->query_count && op->image->queries[op->query].kind == QUERY_INSERT;
    case DO_APPEND_JOURNAL: return j->args_json.len <= JOURNAL_ARGS_MAX && j->detail_json.len <= JOURNAL_ARGS_MAX;
    case DO_PUT_RUN:        { const RunRow *r = op->row; return r->tenant.len && r->run_id.len && (!batch->tenant.len || str_eq(batch->tenant, r->tenant)); }
    case DO_SET_TIMER:      return str_eq(((const TimerRow *)op->row)->tenant, batch->tenant);
    case DO_PUT_EVENT:      return str_eq(((const EventRow *)op->row)->tenant, batch->tenant);
    case DO_UPDATE_RUN:     { const RunRow *r = op->row; return !run_status_ended(r->status) || (!r->concurrency_key.len && !r->limit_key.len); }
    case DO_EVENT_DISPATCHED: return batch->run_id.len == 0 && batch->tenant.len;
    case DO_PUT_SNAPSHOT: case DO_CLEAR_TIMER: case DO_TAKE_MAIL: case DO_RELEASE: case DO_RENEW: case DO_SETTLE: return true;
    default:                return false;
    }
}

/* A run that nobody has but who makes it: what else the batch writes of it needs no fence. */
static bool begins_run(const StoreBatch *batch)
{
    const StoreOp *op = batch->first;
    return op && op->kind == DO_PUT_RUN && !op->or_ignore && str_eq(((const RunRow *)op->row)->run_id, batch->run_id);
}

/* A timer that is cleared and set in one batch is set in the end, as in the order of the kinds; more than one snapshot, start or release is not hot. */
static bool is_hot(const StoreBatch *batch, Census *census)
{
    Census own = { 0 };
    bool begins = batch->epoch == 0 && begins_run(batch);
    if (!batch->writes || (batch->epoch > 0 && batch->run_id.len == 0))
        return false;
    for (const StoreOp *op = batch->first; op; op = op->next) {
        if (!fits(batch, op) || (batch->epoch == 0 && op->kind != DO_PUT_RUN && op->kind != DO_EVENT_DISPATCHED && (!begins || (op->kind != DO_APPEND_JOURNAL && op->kind != DO_PUT_SNAPSHOT && op->kind != DO_SET_TIMER))))
            return false;
        own.of[op->kind]++;
    }
    if (own.of[DO_PUT_SNAPSHOT] > 1 || (own.of[DO_PUT_RUN] > 1 && batch->run_id.len) || own.of[DO_RELEASE] > 1 || own.of[DO_QUERY] > 1)
        return false;
    for (int k = 0; k < DO_COUNT; k++)
        census->of[k] += own.of[k];
    return true;
}

static bool has_op(const StoreBatch *batch, StoreDo kind)
{
    for (const StoreOp *op = batch->first; op; op = op->next)
        if (op->kind == kind)
            return true;
    return false;
}

/* ---- gathering ------------------------------------------------------------------------------------------ */

static void make_rows(Group *g, Kind kind, uint32_t cap)
{
    PgRows *rows = &g->rows[kind];
    if (rows->cap || !cap)
        return;
    rows->cap = cap;
    for (uint32_t i = 0; i < KINDS[kind].columns; i++)
        rows->column[i] = ARENA_ARRAY(g->arena, Cell, cap);
}

static void add(Group *g, Kind kind, const Cell *cells)
{
    PgRows *rows = &g->rows[kind];
    if (KINDS[kind].list) {
        pg_rows_add(rows, KINDS[kind].list, KINDS[kind].columns, cells);
        return;
    }
    for (uint32_t i = 0; i < KINDS[kind].columns; i++)
        rows->column[i][rows->count] = cells[i];
    rows->count++;
}

/* Ours, once the group stands. */
static void note_fenced(Group *g, PgRun *run, uint64_t epoch, bool bare)
{
    PgFenced *fenced = ARENA_NEW(g->arena, PgFenced);
    *fenced = (PgFenced){ g->c->fenced, run, epoch, g->c->store->taken, bare };
    g->c->fenced = fenced;
    run->pins++;
}

/* Nobody can take it before the commit, and who takes it afterwards moves the count. */
static PgRun *own_new(Group *g, const StoreBatch *batch, const RunRow *r)
{
    Buf key = { 0 };
    if (!r->worker.len || r->status != RUN_RUNNING)
        return NULL;
    PgRun *run = pg_run_know(g->c->store, r->tenant, pg_run_key(r->tenant, r->run_id, &key));
    buf_free(&key);
    note_fenced(g, run, r->epoch, !has_op(batch, DO_SET_TIMER));
    return run;
}

static Cell cell_if(uint64_t number) { return number ? cell_u64(number) : cell_null(); }

static void add_run(Group *g, const StoreOp *op)
{
    const RunRow *r = op->row;
    add(g, op->or_ignore ? V_RUN_OR_IGNORE : V_RUN, (const Cell[]){
        cell_text(r->tenant), cell_text(r->run_id), sql_hash_cell(&PG_DIALECT, r->module_hash, g->arena), cell_text(r->func_name), cell_int(r->func), cell_int(r->priority), cell_if(r->durability),
        cell_text(r->user), cell_text(r->user_name), cell_text(r->scopes), cell_int(r->status), cell_text(r->result_json), cell_text(r->waits_json), cell_u64(r->epoch),
        cell_text(r->worker), cell_if(r->last_seq), cell_if(r->snapshot_seq), cell_if((uint64_t)r->ended_us), cell_if(r->cancel_requested), str_eq(r->correlation, r->run_id) ? cell_null() : cell_text(r->correlation),
        cell_text(r->causation), cell_if(r->hops), cell_text(r->concurrency_key), cell_text(r->limit_key), cell_if(r->limit_count), cell_blob(r->input), cell_text(r->input_json),
        cell_int(r->created_us), cell_int(r->updated_us - r->created_us), cell_int(r->started_us - r->created_us), r->lease_until_us ? cell_int(r->lease_until_us - r->created_us) : cell_null() });
}

static void add_event(Group *g, const EventRow *r)
{
    add(g, V_EVENT, (const Cell[]){
        cell_text(r->tenant), cell_text(r->event_id), cell_text(r->name), cell_text(r->payload), cell_text(r->module_hash), cell_text(r->user), cell_text(r->correlation),
        cell_text(r->causation), cell_int(r->hops), cell_text(r->run_id), cell_u64(r->seq), cell_int(r->created_us), cell_int(r->dispatched) });
}

/* The last update of a batch says all that those before it said; a release behind it only gives the lease back, which an update to that status did.
   Timers and waits are made by batches of the run itself, so of a bare one there are none. Whatever undoes that it is bare was seen before its end: a batch of
   a run waits for the answer to the one before, and one that this file does not do itself makes it no longer bare (pg_run_clothe). */
static void add_end(Group *g, const StoreBatch *batch, const PgRun *run, const RunRow *update, const StoreOp *release)
{
    bool bare = pg_run_is_ours(g->c->store, run, batch->epoch) && run->bare;
    RunStatus status = release ? (RunStatus)release->number : update->status;
    const Cell tenant = cell_text(batch->tenant), run_id = cell_text(batch->run_id);
    if (update)
        add(g, V_UPDATE, (const Cell[]){ tenant, run_id, cell_int(status), update->ended_us ? cell_int(update->ended_us - update->updated_us) : cell_null(), cell_text(update->waits_json),
                                         cell_if(update->snapshot_seq), cell_text(update->result_json), cell_if(update->last_seq), cell_int(update->updated_us), cell_int(update->started_us),
                                         status == RUN_RUNNING && !release ? cell_int(update->lease_until_us) : cell_null(), cell_u64(batch->epoch) });
    else
        add(g, V_RELEASE, (const Cell[]){ tenant, run_id, cell_int(status), cell_u64(batch->epoch) });
    if (run_status_ended(status) && !bare)
        add(g, V_ENDED, (const Cell[]){ tenant, run_id });
}

/* A row that tells what a statement answered is filled in now. */
static Err add_told(Group *g, StoreBatch *batch, PgRun *run, const StoreOp *op, Error *error)
{
    JournalRow row = *(const JournalRow *)op->row;
    Err err = op->encode ? op->encode(batch, (int)op->number, &row, op->encode_arg, error) : ERR_OK;
    if (!err)
        err = journal_row_check(&row, error);
    if (!err)
        pg_log_add(g->c, run, batch, &row);
    return err;
}

static Err gather(Group *g, StoreBatch *batch, PgRun *run, Error *error)
{
    const Cell tenant = cell_text(batch->tenant), run_id = cell_text(batch->run_id);
    const RunRow *update = NULL;
    const StoreOp *release = NULL;
    bool settles = false, owned = run && batch->epoch > 0;
    Err err = ERR_OK;
    for (const StoreOp *op = batch->first; op && !err; op = op->next)
        switch (op->kind) {
        case DO_PUT_RUN:        add_run(g, op); owned |= own_new(g, batch, op->row) == run; break;
        case DO_APPEND_JOURNAL: err = add_told(g, batch, run, op, error); break;
        case DO_QUERY:          break;
        case DO_PUT_SNAPSHOT:   settles = true, add(g, V_SNAPSHOT, (const Cell[]){ tenant, run_id, cell_u64(op->number), cell_blob(op->bytes) }); break;
        case DO_CLEAR_TIMER:    add(g, V_CLEAR_TIMER, (const Cell[]){ tenant, run_id, cell_u64(op->number) }); break;
        case DO_SET_TIMER:      { const TimerRow *r = op->row; add(g, V_SET_TIMER, (const Cell[]){ tenant, cell_text(r->run_id), cell_u64(r->request), cell_int(r->due_us) }); break; }
        case DO_PUT_EVENT:      add_event(g, op->row); break;
        case DO_EVENT_DISPATCHED: add(g, V_DISPATCHED, (const Cell[]){ tenant, cell_u64(op->number) }); break;
        case DO_TAKE_MAIL:      add(g, V_TAKE_MAIL, (const Cell[]){ tenant, run_id, cell_text(op->text) }); break;
        case DO_RENEW:          settles = true, add(g, V_RENEW, (const Cell[]){ tenant, run_id, cell_int(op->lease_us) }); break;
        case DO_SETTLE:         settles = true; break;
        case DO_UPDATE_RUN:     update = op->row; break;
        default:                release = op; break;
        }
    if (!err && (update || release))
        add_end(g, batch, run, update, release);
    if (!err && run)
        err = pg_log_end(g->c, run, batch, settles || update || release, !owned || run->batches > 1, error);
    if (run && (release || (update && update->status != RUN_RUNNING)))
        pg_run_disown(g->c->store, run);
    return err;
}

static void make_all_rows(Group *g, const Census *census, uint32_t batches)
{
    make_rows(g, V_FENCE, batches);
    make_rows(g, V_RUN, census->of[DO_PUT_RUN]);
    make_rows(g, V_RUN_OR_IGNORE, census->of[DO_PUT_RUN]);
    make_rows(g, V_SNAPSHOT, census->of[DO_PUT_SNAPSHOT]);
    make_rows(g, V_CLEAR_TIMER, census->of[DO_CLEAR_TIMER]);
    make_rows(g, V_SET_TIMER, census->of[DO_SET_TIMER]);
    make_rows(g, V_EVENT, census->of[DO_PUT_EVENT]);
    make_rows(g, V_DISPATCHED, census->of[DO_EVENT_DISPATCHED]);
    make_rows(g, V_TAKE_MAIL, census->of[DO_TAKE_MAIL]);
    make_rows(g, V_UPDATE, census->of[DO_UPDATE_RUN]);
    make_rows(g, V_RELEASE, census->of[DO_RELEASE]);
    make_rows(g, V_RENEW, census->of[DO_RENEW]);
    make_rows(g, V_ENDED, census->of[DO_UPDATE_RUN] + census->of[DO_RELEASE]);
}

/* ---- sending -------------------------------------------------------------------------------------------- */

static Err send_kind(Group *g, Kind kind, Error *error)
{
    const PgRows *rows = &g->rows[kind];
    Cell args[PG_ROW_COLUMNS_MAX + PG_ROW_MORE_MAX];
    uint32_t n = KINDS[kind].columns;
    const Cell more[PG_ROW_MORE_MAX] = { cell_int(rows->count), cell_text(buf_str(&g->c->store->worker)) };
    if (rows->count == 0)
        return ERR_OK;
    if (KINDS[kind].list)
        return pg_rows_send(g->c, KINDS[kind].sql, KINDS[kind].list, n, rows, more, PG_ROW_MORE_MAX, error);
    for (uint32_t i = 0; i < n; i++)
        args[i] = (Cell){ .kind = CELL_LIST, .items = rows->column[i], .count = rows->count };
    memcpy(&args[n], more, sizeof more);
    return pg_send(g->c, KINDS[kind].sql, args, n + PG_ROW_MORE_MAX, g->arena, error);
}

/* Where the journal rows go, and what may leave the log for it. */
static void add_journal(Group *g)
{
    uint32_t chunks = 0, count = 0;
    PgShare *shares = pg_log_share_out(g->c);
    for (const PgShare *share = shares; share; share = share->next)
        count++;
    make_rows(g, V_LOG, count);
    for (const PgShare *share = shares; share; share = share->next)
        add(g, V_LOG, (const Cell[]){ cell_text(share->tenant), cell_int(share->id), cell_blob(share->body) });
    for (const PgPiece *piece = g->c->pieces; piece; piece = piece->next)
        chunks += piece->folds + (piece->direct && piece->rows);
    make_rows(g, V_JOURNAL, chunks);
    for (const PgPiece *piece = g->c->pieces; piece; piece = piece->next) {
        PgChunk chunk[2];
        for (uint32_t i = 0, n = pg_log_chunks(g->c, piece, chunk); i < n; i++)
            add(g, V_JOURNAL, (const Cell[]){ cell_text(piece->tenant), cell_text(piece->run_id), cell_u64(chunk[i].first), chunk[i].rows > 1 ? cell_u64(chunk[i].first + chunk[i].rows - 1) : cell_null(),
                                              cell_int(chunk[i].ended_us), cell_blob(chunk[i].body) });
    }
    g->counted |= count > 0;
    make_rows(g, V_TRIM, g->c->store->log_rows < PG_LOG_ROWS_MAX ? g->c->store->log_rows : PG_LOG_ROWS_MAX);
    PgRows *trim = &g->rows[V_TRIM];
    if (trim->cap)
        trim->count = pg_log_trim(g->c, trim->column[0], trim->column[1], trim->column[2]);
}

static uint32_t kinds_from(const Group *g, Kind first)
{
    uint32_t kinds = 0;
    for (int kind = first; kind < V_COUNT; kind++)
        kinds += g->rows[kind].count != 0;
    return kinds;
}

/* Is it one insert that is fenced by the count? */
static bool is_append(const Group *g)
{
    return g->counted && g->insert_count == 0 && g->rest == 0 && kinds_from(g, V_FENCE) == 1 && (g->rows[V_JOURNAL].count || g->rows[V_LOG].count == 1);
}

/* That it inserted nothing is found out at the commit: see PgConn.appends. */
static Err send_append(Group *g, Error *error)
{
    bool log = g->rows[V_LOG].count > 0;
    const PgRows *rows = &g->rows[log ? V_LOG : V_JOURNAL];
    uint32_t columns = KINDS[log ? V_LOG : V_JOURNAL].columns;
    Cell args[2 + 6] = { cell_int(g->c->store->worker_lock), count_known(g->c->store) };
    for (uint32_t i = 0; i < columns; i++)
        args[2 + i] = rows->count == 1 ? rows->column[i][0] : (Cell){ .kind = CELL_LIST, .items = rows->column[i], .count = rows->count };
    g->c->appends = true;
    if (log) {
        args[2 + columns] = cell_text(buf_str(&g->c->store->worker));
        return pg_send(g->c, STR("INSERT INTO flow_log (tenant, worker, id, body) SELECT ?3::text, ?6::text, ?4::bigint, ?5::bytea WHERE " UNTAKEN), args, 3 + columns, g->arena, error);
    }
    return rows->count == 1
        ? pg_send(g->c, STR(INTO_JOURNAL "?3::text, ?4::text, ?5::bigint, ?6::bigint, ?7::bigint, ?8::bytea WHERE " UNTAKEN), args, 2 + columns, g->arena, error)
        : pg_send(g->c, STR(INTO_JOURNAL "* FROM unnest(?3::text[], ?4::text[], ?5::bigint[], ?6::bigint[], ?7::bigint[], ?8::bytea[]) WHERE (SELECT " UNTAKEN ")"), args, 2 + columns, g->arena, error);
}

/* A run's start or end with its journal row, when nothing else is in the group. An end looks at the run's row, so it needs no other fence, and what goes with it
   goes only if it hit; whether it did is found out at the commit (PgConn.appends). */
typedef struct WithRow { Kind kind; Str sql; } WithRow;
static const WithRow WITH_ROW[] = {
    { V_UPDATE, STR("WITH done AS (" UPDATE_RUNS " RETURNING 1)" DROP_MAIL("done") " " INSERT_ROW "FROM done") },
    { V_RUN, STR("WITH done AS (" INSERT_RUNS " RETURNING 1) " INSERT_ROW "FROM done") },
};
enum { ROW_AT = 2 /* of CHUNK; before it stands which run */, ROW_CELLS = 4 };

/* Which of those the group is, NULL: none. */
static const WithRow *row_goes_with(const Group *g)
{
    uint32_t kinds = kinds_from(g, V_FENCE + 1);
    for (size_t i = 0; i < sizeof WITH_ROW / sizeof *WITH_ROW; i++)
        if (g->batches == 1 && g->insert_count == 0 && kinds == 2 && g->rows[V_JOURNAL].count == 1 && g->rows[WITH_ROW[i].kind].count == 1)
            return &WITH_ROW[i];
    return NULL;
}

static Err send_with_row(Group *g, const WithRow *with, Error *error)
{
    uint32_t columns = KINDS[with->kind].columns;
    PgRows rows = g->rows[with->kind];
    for (uint32_t i = 0; i < ROW_CELLS; i++)
        rows.column[columns + i] = g->rows[V_JOURNAL].column[ROW_AT + i];
    g->c->appends = true;
    return pg_rows_send(g->c, with->sql, KINDS[with->kind].list, columns + ROW_CELLS, &rows, NULL, 0, error);
}

/* First of all: nobody takes these runs away until the transaction ends, and they are ours. */
static Err send_fence(Group *g, Error *error)
{
    const Cell args[] = { cell_int(g->c->store->worker_lock), count_known(g->c->store) };
    if (!g->counted)
        return ERR_OK;
    Err err = pg_send(g->c, STR("SELECT 1 / CAST(" UNTAKEN " AS int)"), args, 2, g->arena, error);
    return err ? err : send_kind(g, V_FENCE, error);
}

static Err send_all(Group *g, Error *error)
{
    Err err = ERR_OK;
    for (int kind = V_FENCE + 1; kind < V_COUNT && !err; kind++)
        err = send_kind(g, (Kind)kind, error);
    return err;
}

/* ---- a group -------------------------------------------------------------------------------------------- */

/* As whom this store writes: whoever claims or starts a run here. */
static void learn_worker(PgStore *store, const StoreBatch *batch)
{
    for (const StoreOp *op = batch->first; op; op = op->next) {
        Str name = op->kind == DO_CLAIM ? op->text : op->kind == DO_PUT_RUN ? ((const RunRow *)op->row)->worker : (Str){ 0 };
        if (!name.len || str_eq(name, buf_str(&store->worker)))
            continue;
        buf_clear(&store->worker);
        buf_put_str(&store->worker, name);
        pg_runs_forget(store);
        store->count_doubted = true;
    }
}

static void add_fence(Group *g, const StoreBatch *batch, PgRun *run)
{
    if (batch->epoch == 0)
        return;
    bool ours = pg_run_is_ours(g->c->store, run, batch->epoch);
    g->counted = true;
    if (ours && has_op(batch, DO_SET_TIMER))
        run->bare = false;
    if (ours && !has_op(batch, DO_RENEW))
        return;
    add(g, V_FENCE, (const Cell[]){ cell_text(batch->tenant), cell_text(batch->run_id), cell_u64(batch->epoch) });
    if (!has_op(batch, DO_RELEASE))                         /* it parks or ends with this very batch */
        note_fenced(g, run, batch->epoch, ours && run->bare);
}

/* A row that is there already is for the ordinary way to refuse. */
static bool appends_again(const StoreBatch *batch, const PgRun *run)
{
    for (const StoreOp *op = batch->first; op && run && run->last_seq; op = op->next)
        if (op->kind == DO_APPEND_JOURNAL && ((const JournalRow *)op->row)->seq <= run->last_seq)
            return true;
    return false;
}

/* Which of them are hot, and what is known of their runs, which stays there until the group was sent. A second batch of a run follows with the rest: their order is promised. */
static uint32_t look_at(Group *g, StoreBatch **batches, uint32_t count, bool *hot, PgRun **runs, Census *census)
{
    PgStore *store = g->c->store;
    Buf key = { 0 };
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        learn_worker(store, batches[i]);
        runs[i] = batches[i]->run_id.len ? pg_run_know(store, batches[i]->tenant, pg_run_key(batches[i]->tenant, batches[i]->run_id, &key)) : NULL;
        hot[i] = (!runs[i] || runs[i]->batches == 0) && !appends_again(batches[i], runs[i]) && is_hot(batches[i], census);
        n += hot[i];
        if (!runs[i])
            continue;
        runs[i]->batches++;
        runs[i]->pins++;
        if (!hot[i])
            pg_run_disown(store, runs[i]);                  /* it may end here */
    }
    buf_free(&key);
    return n;
}

static void let_go(Group *g, PgRun **runs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (runs[i]) {
            runs[i]->batches = 0;
            runs[i]->pins--;
            pg_run_let_go(g->c->store, runs[i]);
        }
}

static Err send_group(Group *g, StoreBatch **batches, uint32_t count, const bool *hot, PgRun **runs, Error *error)
{
    bool later = g->insert_count == 0;                      /* else journal rows tell what the inserts answered, so the fence goes first */
    Err err = later ? ERR_OK : send_fence(g, error);
    if (!err && !later)
        err = pg_run_inserts(g->c, g->inserts, g->insert_count, error);
    for (uint32_t i = 0; i < count && !err; i++)
        if (hot[i])
            err = gather(g, batches[i], runs[i], error);
    if (err)
        return err;
    add_journal(g);
    if (is_append(g))
        return send_append(g, error);
    const WithRow *with = row_goes_with(g);
    if (with)
        return send_with_row(g, with, error);
    if (later)
        err = send_fence(g, error);
    return err ? err : send_all(g, error);
}

Err pg_apply_group(void *conn, StoreBatch **batches, uint32_t count, bool *changed, Error *error)
{
    PgConn *c = conn;
    Group g = { .c = c, .arena = c->group, .batches = count };
    Census census = { 0 };
    bool hot[STORE_GROUP_MAX];
    PgRun *runs[STORE_GROUP_MAX];
    if (!g.arena)
        g.arena = c->group = arena_new();
    arena_reuse(g.arena);                                   /* a group of hundreds needs megabytes, and the next one again */
    pg_log_begin(c);
    g.rest = count - look_at(&g, batches, count, hot, runs, &census);
    Err err = g.rest == count ? ERR_UNSUPPORTED : read_count(c, error);
    make_all_rows(&g, &census, count - g.rest);
    g.inserts = ARENA_ARRAY(g.arena, PgInsert, census.of[DO_QUERY] + 1);
    for (uint32_t i = 0; i < count && !err; i++)
        if (hot[i]) {
            add_fence(&g, batches[i], runs[i]);
            g.insert_count += pg_note_inserts(batches[i], g.inserts + g.insert_count);
        }
    if (!err)
        err = send_group(&g, batches, count, hot, runs, error);
    let_go(&g, runs, count);
    *changed |= g.rows[V_UPDATE].count || g.rows[V_DISPATCHED].count || g.rows[V_RELEASE].count || g.rows[V_TAKE_MAIL].count;          /* the answers to the others say so */
    for (uint32_t i = 0; i < count && !err; i++)
        if (!hot[i])
            err = pg_apply_ahead(c, batches[i], error);
    if (!err)
        pg_log_relieve(c, batches[0]->store);
    return err;
}
