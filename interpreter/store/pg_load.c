/* pg_load.c - what runs need to go on, for many of them at once: whose they are, and their journals, mail and snapshots, each one statement over arrays.
 *
 * A worker claims runs by the hundred, and a statement for each of them costs a turn over the socket. Here all that a group asks is sent before anything is
 * answered, in one snapshot. The lateral subqueries are those that one run alone asks, so they find their rows by the same keys; OFFSET 0 keeps the
 * planner from making a join of whole tables of them. A run's tail lies in memory here, if it has one (pg_log.c), and comes first: what leaves it meanwhile
 * is found in the journal. */
#include "interpreter/store/pg.h"

#include "interpreter/store/journal_row.h"

typedef enum { LOAD_FENCE, LOAD_JOURNAL, LOAD_MAIL, LOAD_SNAPSHOT, LOAD_COUNT } LoadPart;

enum { LOAD_COLUMNS = 5 };

#define OF_RUNS(columns) "WITH ORDINALITY AS u (tenant, run_id" columns ", n) CROSS JOIN LATERAL "
#define IN_ORDER " ORDER BY u.n"
static const struct { uint32_t columns; Str sql; } PARTS[LOAD_COUNT] = {
    [LOAD_FENCE] = { 2, STR("SELECT x.*, u.n FROM unnest(?1::text[], ?2::text[]) " OF_RUNS("") "(SELECT epoch FROM flow_runs WHERE tenant = u.tenant AND run_id = u.run_id OFFSET 0) AS x" IN_ORDER) },
    [LOAD_JOURNAL] = { 5, STR("SELECT x.*, u.n FROM unnest(?1::text[], ?2::text[], ?3::bigint[], ?4::bigint[], ?5::bigint[]) " OF_RUNS(", after, behind, most")
                              "(SELECT " SQL_CHUNK " FROM flow_journal WHERE tenant = u.tenant AND run_id = u.run_id AND seq > u.behind AND COALESCE(last_seq, seq) > u.after ORDER BY seq LIMIT u.most) AS x"
                              IN_ORDER ", x.seq") },
    [LOAD_MAIL] = { 3, STR("SELECT x.mail_id, x.kind, x.request, x.name, x.payload, x.created_us, u.n FROM unnest(?1::text[], ?2::text[], ?3::bigint[]) " OF_RUNS(", most")
                           "(SELECT " SQL_MAIL ", position FROM flow_mail WHERE tenant = u.tenant AND run_id = u.run_id AND taken = 0 ORDER BY position LIMIT u.most) AS x" IN_ORDER ", x.position") },
    [LOAD_SNAPSHOT] = { 2, STR("SELECT x.*, u.n FROM unnest(?1::text[], ?2::text[]) " OF_RUNS("") "(SELECT " SQL_SNAPSHOT " FROM flow_snapshots WHERE tenant = u.tenant AND run_id = u.run_id OFFSET 0) AS x" IN_ORDER) },
};

/* One statement: who asks it, with which operation, and the columns of its arrays. */
typedef struct Asked { uint32_t batch; const StoreOp *op; JournalRow *log; uint32_t log_count; } Asked;
typedef struct Question { Asked *asked; uint32_t count; Cell *column[LOAD_COLUMNS]; } Question;
typedef struct Loads { PgConn *c; Arena *arena; StoreBatch **batches; Err *errs; Error *errors; Question of[LOAD_COUNT]; } Loads;

/* ---- asking --------------------------------------------------------------------------------------------- */

static LoadPart part_of(const StoreOp *op) { return op->kind == DO_GET_JOURNAL ? LOAD_JOURNAL : op->kind == DO_GET_MAIL ? LOAD_MAIL : LOAD_SNAPSHOT; }

static void make_questions(Loads *l, uint32_t count)
{
    uint32_t most[LOAD_COUNT] = { [LOAD_FENCE] = count };
    for (uint32_t i = 0; i < count; i++)
        for (const StoreOp *op = l->batches[i]->first; op; op = op->next)
            most[part_of(op)]++;
    for (int p = 0; p < LOAD_COUNT; p++) {
        l->of[p].asked = ARENA_ARRAY(l->arena, Asked, most[p]);
        for (uint32_t k = 0; k < PARTS[p].columns; k++)
            l->of[p].column[k] = ARENA_ARRAY(l->arena, Cell, most[p]);
    }
}

static void ask(Loads *l, LoadPart part, Asked asked)
{
    Question *q = &l->of[part];
    const StoreBatch *batch = l->batches[asked.batch];
    uint32_t at = q->count++;
    q->asked[at] = asked;
    q->column[0][at] = cell_text(batch->tenant);
    q->column[1][at] = cell_text(batch->run_id);
    if (part == LOAD_JOURNAL) {
        q->column[2][at] = cell_u64(asked.op->number);
        q->column[3][at] = cell_int(journal_chunk_behind(asked.op->number + 1));
    }
    if (part == LOAD_JOURNAL || part == LOAD_MAIL)
        q->column[PARTS[part].columns - 1][at] = cell_int(sql_limit_of(asked.op));
}

static Err gather(Loads *l, uint32_t i, Error *error)
{
    StoreBatch *batch = l->batches[i];
    Err err = ERR_OK;
    ask(l, LOAD_FENCE, (Asked){ .batch = i });
    for (const StoreOp *op = batch->first; op && !err; op = op->next) {
        Asked asked = { .batch = i, .op = op };
        if (op->kind == DO_GET_JOURNAL)
            err = pg_log_read(&l->c->db, batch, batch->run_id, &asked.log, &asked.log_count, error);
        ask(l, part_of(op), asked);
    }
    return err;
}

/* ---- answers -------------------------------------------------------------------------------------------- */

static Err take(const Asked *asked, LoadPart part, StoreBatch *batch, const SqlRows *rows, Error *error)
{
    if (part == LOAD_FENCE)
        return sql_judge_fence(batch, rows, error);
    if (part == LOAD_MAIL)
        sql_take_mail(batch, asked->op, rows);
    else if (part == LOAD_SNAPSHOT)
        sql_take_bytes(batch, asked->op, rows);
    else {
        JournalRow *journal;
        StoreSlot *slot = store_slot(batch, asked->op);
        Err err = sql_take_journal(rows, asked->log, asked->log_count, asked->op->number, sql_limit_of(asked->op), batch->arena, &journal, &slot->count, error);
        slot->rows = journal;
        return err;
    }
    return ERR_OK;
}

/* The rows of each who asked stand together, in the order of asking; their last column says whose they are. */
static void share_out(Loads *l, LoadPart part, const SqlRows *rows)
{
    const Question *q = &l->of[part];
    uint32_t at = 0, columns = rows->set.columns;
    for (uint32_t i = 0; i < q->count; i++) {
        const Asked *asked = &q->asked[i];
        StoreBatch *batch = l->batches[asked->batch];
        uint32_t first = at;
        while (at < rows->set.rows && rows->set.cells[(at + 1) * columns - 1].i == (int64_t)i + 1)
            at++;
        if (l->errs[asked->batch])
            continue;
        const SqlRows own = sql_copy_rows(rows, first, at - first, batch->arena);
        l->errs[asked->batch] = take(asked, part, batch, &own, &l->errors[asked->batch]);
    }
}

static Err ask_part(Loads *l, LoadPart part, Error *error)
{
    const Question *q = &l->of[part];
    Cell args[LOAD_COLUMNS];
    SqlRows rows;
    for (uint32_t k = 0; k < PARTS[part].columns; k++)
        args[k] = (Cell){ .kind = CELL_LIST, .items = q->column[k], .count = q->count };
    Err err = q->count ? pg_run(&l->c->db, PARTS[part].sql, args, PARTS[part].columns, l->arena, &rows, error) : ERR_OK;
    if (!err && q->count && l->c->asks == ASK_TAKE)
        share_out(l, part, &rows);
    return err;
}

static Err ask_parts(void *arg, Error *error)
{
    Err err = ERR_OK;
    for (int p = 0; p < LOAD_COUNT && !err; p++)
        err = ask_part(arg, (LoadPart)p, error);
    return err;
}

Err pg_load(PgConn *c, StoreBatch **batches, uint32_t count, Err *errs, Error *errors, Error *error)
{
    Loads l = { .c = c, .arena = arena_new(), .batches = batches, .errs = errs, .errors = errors };
    Err err = ERR_OK;
    make_questions(&l, count);
    for (uint32_t i = 0; i < count && !err; i++)
        err = gather(&l, i, error);
    if (!err)
        err = pg_ask_at_once(c, LOAD_COUNT, ask_parts, &l, error);
    arena_free(l.arena);
    return err;
}
