/* pg_log.c - the log: journal rows of many runs as one row, until each is in its own journal.
 *
 * What a step costs the server is a row and its place in an index, hardly the bytes. So the journal rows of a group are one row of flow_log for each tenant,
 * durable as ever before anybody hears of it, and a run's own rows go into flow_journal later, as one chunk (sql_journal.c): when it ends, parks, renews its
 * lease or makes a snapshot, or when they are many. Until then they are the run's tail: in memory here, on disk in the log.
 *
 * What must hold:
 *  - a row of the log stands until each journal row in it is in flow_journal, by a transaction that has committed, or in the one that deletes it;
 *  - only a RUNNING run has a tail, and its worker's log holds it. Whoever takes the run over puts the tail into the journal with the claim (pg_log_take.c);
 *  - tails are changed when the commit stands. If nobody knows whether it does, a claim asks the log;
 *  - a run is in one group at a time (store_queue.c), and an interactive transaction that meets a tail which is being folded has lost a race.
 *
 * Small groups and big rows go into the journal at once, tail and all: one row of ours is one of the server's either way. */
#include "interpreter/store/pg.h"

#include "base/hash.h"
#include "interpreter/store/journal_row.h"

#include <stdlib.h>

enum { LOG_BODY_VERSION = 1 };

/* ---- gathering ------------------------------------------------------------------------------------------ */

void pg_log_begin(PgConn *c)
{
    c->pieces = c->gathered = NULL;
    c->pieces_end = &c->pieces;
    buf_clear(&c->entries);
}

static Str entries_of(const PgConn *c, const PgPiece *piece)
{
    return piece->len ? (Str){ c->entries.ptr + piece->at, piece->len } : (Str){ 0 };
}

static PgPiece *new_piece(PgConn *c, PgRun *run, const StoreBatch *batch)
{
    PgPiece *piece = ARENA_NEW(c->group, PgPiece);
    *piece = (PgPiece){ .run = run, .by = c, .tenant = batch->tenant, .run_id = batch->run_id, .at = c->entries.len };
    run->pins++;
    *c->pieces_end = piece;
    c->pieces_end = &piece->next;
    return piece;
}

void pg_log_add(PgConn *c, PgRun *run, const StoreBatch *batch, const JournalRow *row)
{
    PgPiece *piece = c->gathered;
    if (!piece || piece->first + piece->rows != row->seq || piece->rows == JOURNAL_CHUNK_ROWS) {
        bool second = piece != NULL;
        piece = c->gathered = new_piece(c, run, batch);
        piece->first = row->seq;
        piece->direct = second;
    }
    journal_entry_put(row, &c->entries);
    piece->rows++;
    piece->ended_us = row->ended_us;
    piece->len = c->entries.len - piece->at;
}

/* Its tail goes into the journal with this piece. */
static void fold(PgPiece *piece)
{
    piece->folds = piece->run->tail_rows > 0;
    if (piece->folds)
        piece->run->folding = piece;
}

static bool follows_tail(const PgPiece *piece) { return !piece->run->tail_rows || piece->run->tail_first + piece->run->tail_rows == piece->first; }
static bool fits_tail(const PgPiece *piece) { return piece->run->tail_rows + piece->rows <= JOURNAL_CHUNK_ROWS && piece->run->tail.len + piece->len <= PG_TAIL_BYTES_MAX; }

Err pg_log_end(PgConn *c, PgRun *run, const StoreBatch *batch, bool settles, bool direct, Error *error)
{
    PgPiece *piece = c->gathered;
    c->gathered = NULL;
    if (run->folding)
        return err_set(error, ERR_BUSY, "the run's tail is being folded");
    if (!piece && settles && run->tail_rows)
        piece = new_piece(c, run, batch);
    if (!piece)
        return ERR_OK;
    piece->direct |= settles || direct || piece->len > PG_LOG_ENTRY_MAX || !follows_tail(piece);
    if (piece->direct || !fits_tail(piece))
        fold(piece);
    return ERR_OK;
}

static void put_in_share(PgPiece *piece, PgShare *share)
{
    *share->end = piece;
    share->end = &piece->of_share;
    share->rows += piece->rows;
}

static PgShare *share_of(PgConn *c, Map *by_tenant, PgShare ***end, Str tenant)
{
    PgShare *share = map_find(by_tenant, tenant);
    if (share)
        return share;
    share = ARENA_NEW(c->group, PgShare);
    share->tenant = tenant;
    share->end = &share->first;
    map_put(by_tenant, tenant, share);
    **end = share;
    *end = &share->next;
    return share;
}

static void note_log_row(PgConn *c, const PgShare *share)
{
    PgStore *store = c->store;
    Str worker = buf_str(&store->worker);
    PgLogRow *row = mem_alloc(sizeof *row + share->tenant.len + worker.len);
    *row = (PgLogRow){ .id = share->id, .bytes = share->body.len, .state = LOG_ROW_SENT, .by = c };
    memcpy(row->text, share->tenant.ptr, share->tenant.len);
    memcpy(row->text + share->tenant.len, worker.ptr, worker.len);
    row->tenant = (Str){ row->text, share->tenant.len };
    row->worker = (Str){ row->text + share->tenant.len, worker.len };
    if (!store->log)
        store->log_end = &store->log;
    *store->log_end = row;
    store->log_end = &row->next;
    store->log_rows++;
    store->log_bytes += row->bytes;
}

/* A process begins somewhere: another one of the same worker's name may have left rows. */
static int64_t next_log_id(PgStore *store)
{
    if (!store->log_id) {
        uint64_t any;
        random_bytes(&any, sizeof any);
        store->log_id = (int64_t)(any >> 2);
    }
    return ++store->log_id;
}

static void make_body(PgConn *c, PgShare *share)
{
    Buf body = { 0 };
    buf_put_u8(&body, LOG_BODY_VERSION);
    share->id = next_log_id(c->store);
    if (!c->log_id)
        c->log_id = share->id;
    for (PgPiece *piece = share->first; piece; piece = piece->of_share) {
        buf_put_bytes(&body, piece->run_id);
        buf_put_varint(&body, piece->first);
        buf_put_varint(&body, piece->rows);
        buf_put_str(&body, entries_of(c, piece));
        piece->log_id = share->id;
    }
    share->body = arena_str(c->group, buf_str(&body));
    buf_free(&body);
}

PgShare *pg_log_share_out(PgConn *c)
{
    Map by_tenant = { 0 };
    PgShare *shares = NULL, **end = &shares, *last = NULL;
    for (PgPiece *piece = c->pieces; piece; piece = piece->next)
        if (piece->rows && !piece->direct) {
            if (!last || !str_eq(last->tenant, piece->tenant))
                last = share_of(c, &by_tenant, &end, piece->tenant);
            put_in_share(piece, last);
        }
    map_free(&by_tenant);
    for (PgShare **at = &shares; *at;) {
        PgShare *share = *at;
        if (share->rows >= PG_LOG_SHARE_MIN) {
            make_body(c, share);
            note_log_row(c, share);
            at = &share->next;
            continue;
        }
        for (PgPiece *piece = share->first; piece; piece = piece->of_share) {
            piece->direct = true;
            fold(piece);
        }
        *at = share->next;
    }
    return shares;
}

/* The tail and the new rows as one, if that is not too much. */
uint32_t pg_log_chunks(PgConn *c, const PgPiece *piece, PgChunk out[2])
{
    const PgRun *run = piece->run;
    const Str tail = buf_str(&run->tail), entries = entries_of(c, piece), none = { 0 };
    uint32_t n = 0;
    if (piece->folds && piece->direct && piece->rows && follows_tail(piece) && fits_tail(piece)) {
        out[n++] = (PgChunk){ run->tail_first, run->tail_rows + piece->rows, piece->ended_us, journal_chunk(c->group, tail, entries, run->tail_rows + piece->rows) };
        return n;
    }
    if (piece->folds)
        out[n++] = (PgChunk){ run->tail_first, run->tail_rows, run->tail_ended_us, journal_chunk(c->group, tail, none, run->tail_rows) };
    if (piece->direct && piece->rows)
        out[n++] = (PgChunk){ piece->first, piece->rows, piece->ended_us, journal_chunk(c->group, none, entries, piece->rows) };
    return n;
}

/* ---- what may go ---------------------------------------------------------------------------------------- */

/* Below it lies no row of the log that some tail needs once this connection's transaction stands, and none that is under way. */
static int64_t needed_from(const PgConn *c)
{
    const PgStore *store = c->store;
    int64_t from = INT64_MAX;
    const PgRun *run = store->oldest;
    while (run && run->folding && run->folding->by == c)
        run = run->newer;
    if (run)
        from = run->log_id;
    for (uint32_t i = 0; i < store->conn_count; i++)
        if (store->conns[i] != c && store->conns[i]->log_id && store->conns[i]->log_id < from)
            from = store->conns[i]->log_id;
    return from;
}

uint32_t pg_log_trim(PgConn *c, Cell *tenants, Cell *workers, Cell *ids)
{
    int64_t from = c->store->log_rows ? needed_from(c) : 0;
    uint32_t n = 0;
    for (PgLogRow *row = c->store->log; row && row->id < from && n < PG_LOG_ROWS_MAX; row = row->next)
        n += row->state == LOG_ROW_STANDS;
    if (n == 0 || (n < PG_LOG_TRIM_MIN && from != INT64_MAX))
        return 0;
    uint32_t at = 0;
    for (PgLogRow *row = c->store->log; at < n; row = row->next)
        if (row->state == LOG_ROW_STANDS) {
            row->state = LOG_ROW_GOES;
            row->by = c;
            tenants[at] = cell_text(row->tenant), workers[at] = cell_text(row->worker), ids[at] = cell_int(row->id);
            at++;
        }
    return n;
}

static void on_asked(const StoreResult *result, void *arg)
{
    Buf key = { 0 };
    PgRun *run = pg_run_find(arg, pg_run_key(result->batch->tenant, result->batch->run_id, &key));
    buf_free(&key);
    if (run)
        run->asked = false;
}

/* A run that waits for something outside keeps all that was logged since from going. Each is asked as any other that writes, so a batch is in nobody's way. */
void pg_log_relieve(PgConn *c, Store *store)
{
    PgStore *pg = c->store;
    uint32_t asked = 0;
    if (pg->log_rows <= PG_LOG_ROWS_MAX && pg->log_bytes <= PG_LOG_BYTES_MAX)
        return;
    for (PgRun *run = pg->oldest; run && asked < PG_LOG_FOLD_MAX; run = run->newer) {
        if (run->asked || run->pins)
            continue;
        Str tenant = { run->key, run->tenant_len }, run_id = { run->key + run->tenant_len + 1, run->key_len - run->tenant_len - 1 };
        StoreBatch *batch = store_batch(store, tenant, run_id, run->epoch);
        store_settle(batch);
        store_submit(batch, on_asked, pg);
        run->asked = true;
        asked++;
    }
}

void pg_log_drop(PgConn *c, PgRun *run, const StoreBatch *batch)
{
    if (!c->group)
        c->group = arena_new();
    pg_log_mark(c);
    new_piece(c, run, batch)->drops = true;
}

/* ---- what became of it ---------------------------------------------------------------------------------- */

PgPiece **pg_log_mark(PgConn *c)
{
    if (!c->pieces)
        c->pieces_end = &c->pieces;
    return c->pieces_end;
}

static void end_piece(PgConn *c, PgPiece *piece, bool stands)
{
    PgRun *run = piece->run;
    if (run->folding == piece)
        run->folding = NULL;
    if (stands && (piece->folds || piece->drops))
        pg_tail_clear(c->store, run);
    if (stands && piece->rows && !piece->direct)
        pg_tail_extend(c->store, run, piece, entries_of(c, piece));
    if (stands && piece->rows)
        run->last_seq = piece->first + piece->rows - 1;
    run->pins--;
    pg_run_let_go(c->store, run);
}

void pg_log_undo(PgConn *c, PgPiece **mark)
{
    PgPiece *piece = *mark;
    *mark = NULL;
    c->pieces_end = mark;
    for (PgPiece *next; piece; piece = next) {
        next = piece->next;
        end_piece(c, piece, false);
    }
}

static void settle_log_rows(PgConn *c, bool stands)
{
    PgStore *store = c->store;
    PgLogRow **at = &store->log;
    while (*at) {
        PgLogRow *row = *at;
        bool gone = row->by == c && (row->state == LOG_ROW_SENT ? !stands : row->state == LOG_ROW_GOES && stands);
        if (gone) {
            *at = row->next;
            store->log_rows--;
            store->log_bytes -= row->bytes;
            free(row);
            continue;
        }
        if (row->by == c) {
            row->state = LOG_ROW_STANDS;
            row->by = NULL;
        }
        at = &row->next;
    }
    store->log_end = at;
}

void pg_log_settled(PgConn *c, bool stands)
{
    PgPiece *piece = c->pieces;
    c->pieces = c->gathered = NULL;
    c->pieces_end = &c->pieces;
    for (PgPiece *next; piece; piece = next) {
        next = piece->next;
        end_piece(c, piece, stands);
    }
    c->log_id = 0;
    if (c->store->log)
        settle_log_rows(c, stands);
}

void pg_log_lost(PgStore *store, const StoreBatch *batch)
{
    Buf key = { 0 };
    PgRun *run = pg_run_find(store, pg_run_key(batch->tenant, batch->run_id, &key));
    if (run && run->epoch == batch->epoch && !run->folding) {
        pg_tail_clear(store, run);
        pg_run_disown(store, run);
    }
    buf_free(&key);
}

void pg_log_free(PgStore *store)
{
    for (PgLogRow *row = store->log, *next; row; row = next) {
        next = row->next;
        free(row);
    }
    store->log = NULL;
    store->log_rows = 0;
    store->log_bytes = 0;
}

Err pg_log_sweep(PgConn *c)
{
    PgStore *store = c->store;
    if (!store->log || store->tails)
        return ERR_OK;
    for (uint32_t i = 0; i < store->conn_count; i++)
        if (store->conns[i]->pieces || store->conns[i]->log_id)
            return ERR_OK;
    Arena *arena = arena_new();
    Cell *tenants = ARENA_ARRAY(arena, Cell, PG_LOG_ROWS_MAX), *workers = ARENA_ARRAY(arena, Cell, PG_LOG_ROWS_MAX), *ids = ARENA_ARRAY(arena, Cell, PG_LOG_ROWS_MAX);
    uint32_t n = pg_log_trim(c, tenants, workers, ids);
    const Cell args[] = { { .kind = CELL_LIST, .items = tenants, .count = n }, { .kind = CELL_LIST, .items = workers, .count = n }, { .kind = CELL_LIST, .items = ids, .count = n } };
    Err err = n ? pg_send(c, STR("SELECT set_config('synchronous_commit', 'off', true)"), NULL, 0, NULL, NULL) : ERR_OK;
    if (n && !err)
        err = pg_send(c, STR(PG_LOG_TRIM), args, 3, arena, NULL);
    if (n && !err)
        err = pg_sync(c, NULL);
    settle_log_rows(c, !err);
    arena_free(arena);
    return err;
}

/* ---- runs that may not be ours any more ----------------------------------------------------------------- */

Err pg_log_recheck(PgConn *c, Error *error)
{
    PgStore *store = c->store;
    uint32_t n = 0, at = 0;
    SqlRows rows;
    if (!store->tails)
        return ERR_OK;
    Arena *arena = arena_new();
    PgRun **runs = ARENA_ARRAY(arena, PgRun *, store->tails);
    Cell *tenants = ARENA_ARRAY(arena, Cell, store->tails), *ids = ARENA_ARRAY(arena, Cell, store->tails), *epochs = ARENA_ARRAY(arena, Cell, store->tails);
    for (PgRun *run = store->oldest; run; run = run->newer) {
        if (run->pins)
            continue;                                       /* its group says */
        run->pins++;
        tenants[n] = cell_text((Str){ run->key, run->tenant_len });
        ids[n] = cell_text((Str){ run->key + run->tenant_len + 1, run->key_len - run->tenant_len - 1 });
        epochs[n] = cell_u64(run->epoch);
        runs[n++] = run;
    }
    const Cell args[] = { { .kind = CELL_LIST, .items = tenants, .count = n }, { .kind = CELL_LIST, .items = ids, .count = n }, { .kind = CELL_LIST, .items = epochs, .count = n },
                          cell_text(buf_str(&store->worker)) };
    Err err = n == 0 ? ERR_OK : pg_query(c, STR("SELECT u.n FROM unnest(?1::text[], ?2::text[], ?3::bigint[]) WITH ORDINALITY AS u (tenant, run_id, epoch, n) "
                                                "JOIN flow_runs AS r ON r.tenant = u.tenant AND r.run_id = u.run_id AND r.epoch = u.epoch AND r.worker = ?4 ORDER BY u.n"), args, 4, arena, &rows, error);
    for (uint32_t i = 0; i < n; i++) {
        bool ours = !err && at < rows.set.rows && rows.set.cells[at].i == (int64_t)i + 1;
        at += ours;
        runs[i]->pins--;
        if (ours)
            runs[i]->taken = store->taken;
        else if (!err) {
            pg_tail_clear(store, runs[i]);
            runs[i]->owned = false;
        }
        pg_run_let_go(store, runs[i]);
    }
    arena_free(arena);
    return err;
}

/* ---- batch by batch ------------------------------------------------------------------------------------- */

static bool settles(const StoreBatch *batch)
{
    for (const StoreOp *op = batch->first; op; op = op->next)
        if (op->kind == DO_UPDATE_RUN || op->kind == DO_RELEASE || op->kind == DO_PUT_SNAPSHOT || op->kind == DO_RENEW || op->kind == DO_SETTLE ||
            op->kind == DO_APPEND_JOURNAL)
            return true;
    return false;
}

Err pg_log_settle(SqlDb *db, StoreBatch *batch, Error *error)
{
    PgConn *c = (PgConn *)db;
    Buf key = { 0 };
    PgRun *run = batch->run_id.len && batch->epoch && settles(batch) ? pg_run_find(c->store, pg_run_key(batch->tenant, batch->run_id, &key)) : NULL;
    buf_free(&key);
    if (!run || !run->tail_rows)
        return ERR_OK;
    if (run->folding)
        return err_set(error, ERR_BUSY, "the run's tail is being folded");
    if (!c->group)
        c->group = arena_new();
    pg_log_mark(c);
    PgPiece *piece = new_piece(c, run, batch);
    fold(piece);
    return sql_put_chunk(db, &(JournalChunk){ batch->tenant, batch->run_id, run->tail_first, run->tail_rows, run->tail_ended_us, buf_str(&run->tail) }, batch->arena, error);
}

/* ---- reading -------------------------------------------------------------------------------------------- */

bool pg_logged_next(Reader *r, PgLogged *out)
{
    if (reader_left(r) == 0)
        return false;
    out->run_id = read_bytes(r, SIZE_MAX);
    out->first = read_varint(r);
    uint64_t rows = read_varint(r);
    r->failed |= rows == 0 || rows > JOURNAL_CHUNK_ROWS;
    out->rows = (uint32_t)rows;
    out->entries = journal_entries_read(r, rows);
    return !r->failed;
}

Reader pg_logged_open(Str body)
{
    Reader r = reader_of(body);
    r.failed |= read_u8(&r) != LOG_BODY_VERSION;
    return r;
}

/* The tail is what the log says, without asking it. */
static Err read_tail(const PgRun *run, Arena *arena, JournalRow **rows, uint32_t *count, Error *error)
{
    *rows = ARENA_ARRAY(arena, JournalRow, run->tail_rows);
    *count = run->tail_rows;
    return journal_entries_expand(arena_str(arena, buf_str(&run->tail)), run->tail_first, run->tail_rows, *rows, error);
}

static Err read_bodies(const SqlRows *found, Str run_id, Arena *arena, JournalRow **rows, uint32_t *count, Error *error)
{
    PgLogged logged;
    Err err = ERR_OK;
    for (int pass = 0; pass < 2 && !err; pass++) {
        if (pass)
            *rows = ARENA_ARRAY(arena, JournalRow, *count);
        *count = 0;
        for (uint32_t i = 0; i < found->set.rows && !err; i++) {
            Reader r = pg_logged_open(found->set.cells[i].text);
            while (!err && pg_logged_next(&r, &logged)) {
                if (!str_eq(logged.run_id, run_id))
                    continue;
                if (pass)
                    err = journal_entries_expand(logged.entries, logged.first, logged.rows, *rows + *count, error);
                *count += logged.rows;
            }
            if (r.failed)
                err = err_set(error, ERR_CORRUPT, "a row of the log is damaged");
        }
    }
    return err;
}

/* Whoever has the run knows its tail. Anybody else looks into the log of the worker that has it; what has been folded since is found in the journal. */
Err pg_log_read(SqlDb *db, StoreBatch *batch, Str run_id, JournalRow **rows, uint32_t *count, Error *error)
{
    PgConn *c = (PgConn *)db;
    SqlRows found;
    Buf key = { 0 };
    const PgRun *run = pg_run_find(c->store, pg_run_key(batch->tenant, run_id, &key));
    buf_free(&key);
    if (run && run->tail_rows)
        return read_tail(run, batch->arena, rows, count, error);
    if (batch->epoch || (run && run->owned))
        return ERR_OK;
    const Cell args[] = { cell_text(batch->tenant), cell_text(run_id) };
    Err err = SQL_RUN(db, "SELECT l.body FROM flow_runs AS r JOIN flow_log AS l ON l.tenant = r.tenant AND l.worker = r.worker WHERE r.tenant = ?1 AND r.run_id = ?2 AND r.status = 1 "
                          "AND position(convert_to(?2, 'UTF8') IN l.body) > 0 ORDER BY l.id", args, batch->arena, &found, error);
    return err ? err : read_bodies(&found, run_id, batch->arena, rows, count, error);
}
