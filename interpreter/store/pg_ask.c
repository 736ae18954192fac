/* pg_ask.c - many questions, all of them sent before the first is answered.
 *
 * Whoever asks does so three times, with the same statements through pg_run: each is made known to the server, then each is sent, then each takes its answer.
 * The first two times there are no rows, and what was made of them is forgotten. So it does only for questions that do not depend on answers. For a
 * batch its operations ask as they do one after the other (sql_ops.c). */
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

Err pg_ask_at_once(PgConn *c, uint32_t most, Err (*ask)(void *arg, Error *error), void *arg, Error *error)
{
    Err err = pg_make_room(c, most, error);
    c->asked = 0;
    for (int turn = ASK_MAKE_KNOWN; turn <= ASK_TAKE && !err; turn++) {
        c->asks = turn;
        err = ask(arg, error);
        if (!err && turn == ASK_SEND)
            err = pg_want_answers(c, error);
    }
    c->asks = ASK_AND_WAIT;
    return err;
}

typedef struct AskedBatch { PgConn *c; StoreBatch *batch; } AskedBatch;

static Err ask_batch(void *arg, Error *error)
{
    const AskedBatch *asked = arg;
    store_batch_reset(asked->batch);
    return sql_apply_ops(&asked->c->db, asked->batch, error);
}

Err pg_ask_batch_at_once(PgConn *c, StoreBatch *batch, Error *error) { return pg_ask_at_once(c, PG_ASK_MAX, ask_batch, &(AskedBatch){ c, batch }, error); }
