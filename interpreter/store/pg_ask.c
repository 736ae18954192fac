/* pg_ask.c - a batch that asks for many things, all of them sent before the first is answered.
 *
 * The operations themselves are as they are for one statement after the other (sql_ops.c). They are gone through three times: each statement is made known to
 * the server, then each is sent, then each takes its answer; twice their results are of no rows and are forgotten. So it does only for operations that
 * say the same whatever was answered before. */
#include "interpreter/store/pg.h"

bool pg_asks_at_once(const StoreBatch *batch)
{
    uint32_t count = 0;
    for (const StoreOp *op = batch->first; op; op = op->next, count++)
        switch (op->kind) {
        case DO_GET_WAITS: case DO_GET_SUBSCRIPTIONS: case DO_GET_MODULE: case DO_GET_BLOB: break;
        default: return false;
        }
    return count > 1 && count <= PG_ASK_MAX && batch->epoch == 0;
}

Err pg_ask_at_once(PgConn *c, StoreBatch *batch, Error *error)
{
    Err err = pg_make_room(c, PG_ASK_MAX, error);
    c->asked = 0;
    for (int turn = ASK_MAKE_KNOWN; turn <= ASK_TAKE && !err; turn++) {
        c->asks = turn;
        store_batch_reset(batch);
        err = sql_apply_ops(&c->db, batch, error);
        if (!err && turn == ASK_SEND)
            err = pg_want_answers(c, error);
    }
    c->asks = ASK_AND_WAIT;
    return err;
}
