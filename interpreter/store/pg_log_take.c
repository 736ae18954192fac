/* pg_log_take.c - the log of a worker that is gone, or that lost some of its runs: what it holds of them goes into their journals.
 *
 * A claim that takes runs from a worker does it in the claim's own transaction, under the worker's name (sql_claims.c), so nothing is added to that log
 * meanwhile. What lies in the log may lie in the journal already: rows are compared by their numbers. When the worker has no running run left, nobody
 * will come for the rest of its log, so all of it is looked at and then deleted; a worker that still lives trims its own. */
#include "interpreter/store/pg.h"

#include "interpreter/store/journal_row.h"

#include <stdlib.h>

typedef struct Found { Str run_id; uint64_t seq; int64_t ended_us; Str entry; } Found;

typedef struct Take {
    SqlDb *db;
    StoreBatch *batch;
    Str tenant, worker;
    const SqlTaken *taken; uint32_t taken_count;             /* all: every run */
    bool all;
    Found *found; uint32_t count, cap;
    Error *error;
} Take;

static bool is_wanted(const Take *t, Str run_id)
{
    for (uint32_t i = 0; i < t->taken_count && !t->all; i++)
        if (str_eq(t->taken[i].run_id, run_id) && str_eq(t->taken[i].tenant, t->tenant))
            return true;
    return t->all;
}

static void add_found(Take *t, const Found *one)
{
    if (t->count == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->found = mem_realloc(t->found, t->cap * sizeof *t->found);
    }
    t->found[t->count++] = *one;
}

static Err look_into(Take *t, Str body)
{
    PgLogged logged;
    Reader r = pg_logged_open(body);
    while (pg_logged_next(&r, &logged)) {
        Reader entries = reader_of(logged.entries);
        for (uint32_t i = 0; i < logged.rows && is_wanted(t, logged.run_id); i++) {
            Reader one = entries;
            int64_t ended_us = read_zigzag(&one);
            add_found(t, &(Found){ logged.run_id, logged.first + i, ended_us, journal_entries_read(&entries, 1) });
        }
    }
    return r.failed ? err_set(t->error, ERR_CORRUPT, "a row of the log of worker `%.*s` is damaged", STR_ARG(t->worker)) : ERR_OK;
}

static int by_run_and_seq(const void *a, const void *b)
{
    const Found *x = a, *y = b;
    int order = str_cmp(x->run_id, y->run_id);
    return order ? order : x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* Is it in the journal? Columns: the run's status, seq, last_seq. */
static bool is_there(const SqlRows *chunks, uint64_t seq)
{
    for (uint32_t i = 0; i < chunks->set.rows; i++) {
        const Cell *c = &chunks->set.cells[i * chunks->set.columns];
        if (c[1].kind == CELL_INT && (uint64_t)c[1].i <= seq && seq <= (uint64_t)(c[2].kind == CELL_INT ? c[2].i : c[1].i))
            return true;
    }
    return false;
}

/* Those of one run, as few chunks. */
static Err put_missing(Take *t, const Found *rows, uint32_t count, const SqlRows *chunks)
{
    Buf entries = { 0 };
    uint32_t held = 0;
    Err err = ERR_OK;
    for (uint32_t i = 0; i < count && !err; i++) {
        if ((i && rows[i].seq == rows[i - 1].seq) || is_there(chunks, rows[i].seq))
            continue;
        buf_put_str(&entries, rows[i].entry);
        held++;
        bool last = i + 1 == count || rows[i + 1].seq != rows[i].seq + 1 || is_there(chunks, rows[i + 1].seq);
        if (!last && held < JOURNAL_CHUNK_ROWS)
            continue;
        err = sql_put_chunk(t->db, &(JournalChunk){ t->tenant, rows[i].run_id, rows[i].seq - held + 1, held, rows[i].ended_us, buf_str(&entries) }, t->batch->arena, t->error);
        buf_clear(&entries);
        held = 0;
    }
    buf_free(&entries);
    return err;
}

static Err put_found(Take *t)
{
    SqlRows chunks;
    Err err = ERR_OK;
    if (t->count)
        qsort(t->found, t->count, sizeof *t->found, by_run_and_seq);
    for (uint32_t i = 0, n; i < t->count && !err; i += n) {
        Found *rows = t->found + i;
        for (n = 1; i + n < t->count && str_eq(rows[n].run_id, rows[0].run_id);)
            n++;
        const Cell args[] = { cell_text(t->tenant), cell_text(rows[0].run_id), cell_int(journal_chunk_behind(rows[0].seq)) };
        err = SQL_RUN(t->db, "SELECT r.status, j.seq, j.last_seq FROM flow_runs AS r LEFT JOIN flow_journal AS j ON j.tenant = r.tenant AND j.run_id = r.run_id AND j.seq > ?3 "
                             "WHERE r.tenant = ?1 AND r.run_id = ?2", args, t->batch->arena, &chunks, t->error);
        if (!err && chunks.set.rows)                        /* else the run is gone */
            err = put_missing(t, rows, n, &chunks);
    }
    return err;
}

/* The log of one worker in one tenant, under the worker's name. */
static Err take_log(Take *t)
{
    SqlRows rows, left;
    const Cell args[] = { cell_text(t->tenant), cell_text(t->worker) };
    Err err = SQL_RUN(t->db, "SELECT id, body FROM flow_log WHERE tenant = ?1 AND worker = ?2 ORDER BY id", args, t->batch->arena, &rows, t->error);
    if (err || rows.set.rows == 0)
        return err;
    err = SQL_RUN(t->db, "SELECT EXISTS (SELECT 1 FROM flow_runs WHERE tenant = ?1 AND worker = ?2 AND status = 1)", args, t->batch->arena, &left, t->error);
    t->all = !err && !left.set.cells[0].i;
    for (uint32_t i = 0; i < rows.set.rows && !err; i++)
        err = look_into(t, rows.set.cells[2 * i + 1].text);
    if (!err)
        err = put_found(t);
    if (!err && t->all)
        err = SQL_RUN(t->db, "DELETE FROM flow_log WHERE tenant = ?1 AND worker = ?2", args, t->batch->arena, NULL, t->error);
    free(t->found);
    return err;
}

/* What this very process knows of their tails is in the journal when the claim stands. */
static void drop_tails(PgConn *c, StoreBatch *batch, const SqlTaken *taken, uint32_t count)
{
    Buf key = { 0 };
    for (uint32_t i = 0; i < count; i++) {
        PgRun *run = pg_run_find(c->store, pg_run_key(taken[i].tenant, taken[i].run_id, &key));
        if (run)
            pg_log_drop(c, run, batch);
    }
    buf_free(&key);
}

Err pg_log_take_over(SqlDb *db, StoreBatch *batch, const SqlTaken *taken, uint32_t count, Error *error)
{
    Err err = ERR_OK;
    for (uint32_t i = 0; i < count && !err; i++) {
        bool again = false;
        for (uint32_t k = 0; k < i && !again; k++)
            again = str_eq(taken[k].tenant, taken[i].tenant) && str_eq(taken[k].worker, taken[i].worker);
        Take take = { .db = db, .batch = batch, .tenant = taken[i].tenant, .worker = taken[i].worker, .taken = taken, .taken_count = count, .error = error };
        if (!again)
            err = take_log(&take);
    }
    if (!err)
        drop_tails((PgConn *)db, batch, taken, count);
    return err;
}

/* Logs whose worker has no run any more: it was killed behind its last commit. One that works just now is left alone. */
Err pg_log_gc(SqlDb *db, StoreBatch *batch, Error *error)
{
    SqlRows logs, locked;
    Err err = db->run(db, STR("SELECT DISTINCT l.tenant, l.worker FROM flow_log AS l WHERE NOT EXISTS (SELECT 1 FROM flow_runs AS r WHERE r.tenant = l.tenant AND r.worker = l.worker AND r.status = 1)"),
                      NULL, 0, batch->arena, &logs, error);
    for (uint32_t i = 0; i < logs.set.rows && !err; i++) {
        const Cell *c = &logs.set.cells[2 * i];
        Take take = { .db = db, .batch = batch, .tenant = c[0].text, .worker = c[1].text, .error = error };
        err = SQL_RUN(db, "SELECT pg_try_advisory_xact_lock(" PG_WORKER_LOCK("?1") ")", (const Cell[]){ c[1] }, batch->arena, &locked, error);
        if (!err && locked.set.cells[0].i)
            err = take_log(&take);
    }
    return err;
}
