/* pg_runs.c - what a process knows of the runs that it works on: that they are its own, and their tails (pg_log.c).
 *
 * That a run is ours was found out by comparing, when the count of takeovers was some number, and holds while the count is that (pg_group.c).
 * A tail holds in memory what the log holds on disk. */
#include "interpreter/store/pg.h"

#include <stdlib.h>

Str pg_run_key(Str tenant, Str run_id, Buf *key)
{
    buf_clear(key);
    buf_put_str(key, tenant);
    buf_put_char(key, 0);
    buf_put_str(key, run_id);
    return buf_str(key);
}

PgRun *pg_run_find(const PgStore *store, Str key) { return map_find(&store->runs, key); }

PgRun *pg_run_know(PgStore *store, Str tenant, Str key)
{
    PgRun *run = map_find(&store->runs, key);
    if (run)
        return run;
    if (store->runs.count >= PG_RUNS_KNOWN_MAX)
        pg_runs_forget(store);                              /* those that were taken from us and never came back */
    run = mem_alloc(sizeof *run + key.len);
    run->tenant_len = (uint32_t)tenant.len;
    run->key_len = (uint32_t)key.len;
    memcpy(run->key, key.ptr, key.len);
    map_put(&store->runs, (Str){ run->key, key.len }, run);
    return run;
}

static void free_run(PgStore *store, PgRun *run)
{
    map_remove(&store->runs, (Str){ run->key, run->key_len });
    buf_free(&run->tail);
    free(run);
}

void pg_run_let_go(PgStore *store, PgRun *run)
{
    if (!run->owned && !run->pins && !run->tail_rows)
        free_run(store, run);
}

bool pg_run_is_ours(const PgStore *store, const PgRun *run, uint64_t epoch)
{
    return run && run->owned && run->epoch == epoch && run->taken == store->taken;
}

void pg_run_disown(PgStore *store, PgRun *run)
{
    if (run) {
        run->owned = false;
        pg_run_let_go(store, run);
    }
}

void pg_run_clothe(PgStore *store, const StoreBatch *batch)
{
    Buf key = { 0 };
    PgRun *run = batch->run_id.len ? pg_run_find(store, pg_run_key(batch->tenant, batch->run_id, &key)) : NULL;
    if (run)
        run->bare = false;
    buf_free(&key);
}

void pg_runs_forget(PgStore *store)
{
    MAP_EACH(&store->runs, e)
        pg_run_disown(store, e->value);
}

void pg_runs_drop(PgStore *store)
{
    MAP_EACH(&store->runs, e) {
        buf_free(&((PgRun *)e->value)->tail);
        free(e->value);
    }
    map_free(&store->runs);
    store->oldest = store->newest = NULL;
    store->tails = 0;
}

void pg_unfence(PgConn *c)
{
    for (PgFenced *f = c->fenced; f; f = f->next) {
        f->run->pins--;
        pg_run_let_go(c->store, f->run);
    }
    c->fenced = NULL;
}

/* Kept until the commit says that it stands. The count may have moved since: then it is not the one they were compared at. */
void pg_own_fenced(PgConn *c)
{
    for (PgFenced *f = c->fenced; f; f = f->next) {
        f->run->owned = true;
        f->run->epoch = f->epoch;
        f->run->taken = f->taken;
        f->run->bare = f->bare;
    }
    pg_unfence(c);
}

/* ---- tails ---------------------------------------------------------------------------------------------- */

void pg_tail_clear(PgStore *store, PgRun *run)
{
    if (!run->tail_rows)
        return;
    *(run->older ? &run->older->newer : &store->oldest) = run->newer;
    *(run->newer ? &run->newer->older : &store->newest) = run->older;
    run->older = run->newer = NULL;
    run->tail_rows = 0;
    store->tails--;
    buf_clear(&run->tail);
}

/* Two connections write, so a group may stand before one that was sent ahead of it. */
static void link_tail(PgStore *store, PgRun *run)
{
    PgRun *older = store->newest;
    while (older && older->log_id > run->log_id)
        older = older->older;
    run->older = older;
    run->newer = older ? older->newer : store->oldest;
    *(run->older ? &run->older->newer : &store->oldest) = run;
    *(run->newer ? &run->newer->older : &store->newest) = run;
}

void pg_tail_extend(PgStore *store, PgRun *run, const PgPiece *piece, Str entries)
{
    if (!run->tail_rows) {
        run->log_id = piece->log_id;
        run->tail_first = piece->first;
        link_tail(store, run);
        store->tails++;
    }
    run->tail_rows += piece->rows;
    run->tail_ended_us = piece->ended_us;
    buf_put_str(&run->tail, entries);
}
