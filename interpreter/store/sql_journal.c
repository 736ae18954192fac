/* sql_journal.c - the rows of runs' journals: appended, read, copied.
 *
 * A row of flow_journal is a chunk (journal_row.h): the rows `seq` to `last_seq` of a run, where no last_seq is `seq` itself. No two chunks of a run
 * hold the same row, and one that holds row n begins less than JOURNAL_CHUNK_ROWS before it, so what lies behind some row is found by the key.
 * Whoever appends one row at a time makes chunks of one. A store may keep what a running run has just done elsewhere (SqlDb.read_log): to whoever
 * reads it is part of the journal.
 */
#include "interpreter/store/journal_row.h"
#include "interpreter/store/sql.h"

/* ---- writing -------------------------------------------------------------------------------------------- */

/* A row that lies in a chunk is taken, too: then the insert is made to hit the chunk's own key. */
static Err append_journal(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    JournalRow row = *(const JournalRow *)op->row;
    Err err = op->encode ? op->encode(batch, (int)op->number, &row, op->encode_arg, error) : ERR_OK;
    if (!err)
        err = journal_row_check(&row, error);
    if (err)
        return err;
    Buf body = { 0 };
    journal_row_put(&row, &body);
    const Cell args[] = { cell_text(batch->tenant), cell_text(batch->run_id), cell_u64(row.seq), cell_int(row.ended_us), cell_blob(buf_str(&body)), cell_int(journal_chunk_behind(row.seq)) };
    err = SQL_RUN(db, "INSERT INTO flow_journal (tenant, run_id, seq, ended_us, body) VALUES (?1, ?2, "
                      "COALESCE((SELECT seq FROM flow_journal WHERE tenant = ?1 AND run_id = ?2 AND seq > ?6 AND seq < ?3 AND last_seq >= ?3), ?3), ?4, ?5)", args, batch->arena, NULL, error);
    buf_free(&body);
    if (err == ERR_CONFLICT)
        return err_set(error, err, "journal row %llu of run `%.*s` exists already", (unsigned long long)row.seq, STR_ARG(batch->run_id));
    return err;
}

Err sql_put_chunk(SqlDb *db, const JournalChunk *chunk, Arena *arena, Error *error)
{
    const Cell args[] = { cell_text(chunk->tenant), cell_text(chunk->run_id), cell_u64(chunk->first), chunk->count > 1 ? cell_u64(chunk->first + chunk->count - 1) : cell_null(),
                          cell_int(chunk->ended_us), cell_blob(journal_chunk(arena, chunk->entries, (Str){ 0 }, chunk->count)) };
    return SQL_RUN(db, "INSERT INTO flow_journal (tenant, run_id, seq, last_seq, ended_us, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", args, arena, NULL, error);
}

/* ---- reading -------------------------------------------------------------------------------------------- */

typedef struct Rows { JournalRow *rows; uint32_t count, cap; } Rows;

static JournalRow *more_rows(Rows *out, Arena *arena, uint64_t count)
{
    if (out->cap - out->count < count) {
        Rows wider = { .cap = out->cap * 2 > out->count + (uint32_t)count ? out->cap * 2 : out->count + (uint32_t)count, .count = out->count };
        wider.rows = ARENA_ARRAY(arena, JournalRow, wider.cap);
        if (out->count)
            memcpy(wider.rows, out->rows, out->count * sizeof *wider.rows);
        *out = wider;
    }
    return out->rows + out->count;
}

/* Those of the chunk that lie behind `after`, up to `limit` in all. */
static Err take_chunk(const Cell *chunk, uint64_t after, int64_t limit, Arena *arena, Rows *out, Error *error)
{
    uint64_t first = (uint64_t)chunk[0].i, last = chunk[1].kind == CELL_INT ? (uint64_t)chunk[1].i : first;
    if (last < first || last - first >= JOURNAL_CHUNK_ROWS)
        return err_set(error, ERR_CORRUPT, "a chunk of journal rows goes from %llu to %llu", (unsigned long long)first, (unsigned long long)last);
    JournalRow *rows = more_rows(out, arena, last - first + 1);
    Err err = journal_chunk_read(chunk[3].text, first, last - first + 1, chunk[2].i, rows, error);
    uint64_t skip = first > after ? 0 : after - first + 1, count = last - first + 1 - skip;
    if (skip)
        memmove(rows, rows + skip, count * sizeof *rows);
    out->count += (uint32_t)count;
    if (out->count > limit)
        out->count = (uint32_t)limit;
    return err;
}

/* Those that are in none of the chunks; both are in order. */
static void merge_log(const JournalRow *log, uint32_t count, uint64_t after, int64_t limit, Arena *arena, Rows *out)
{
    Rows chunks = *out, merged = { 0 };
    uint32_t at = 0;
    more_rows(&merged, arena, chunks.count + count);
    for (uint32_t i = 0; i < count; i++) {
        while (at < chunks.count && chunks.rows[at].seq < log[i].seq)
            merged.rows[merged.count++] = chunks.rows[at++];
        if (log[i].seq > after && (at == chunks.count || chunks.rows[at].seq != log[i].seq))
            merged.rows[merged.count++] = log[i];
    }
    while (at < chunks.count)
        merged.rows[merged.count++] = chunks.rows[at++];
    if (merged.count > limit)
        merged.count = (uint32_t)limit;
    *out = merged;
}

Err sql_take_journal(const SqlRows *chunks, const JournalRow *log, uint32_t log_count, uint64_t after, int64_t limit, Arena *arena, JournalRow **rows, uint32_t *count, Error *error)
{
    Rows out = { 0 };
    Err err = ERR_OK;
    for (uint32_t i = 0; !err && i < chunks->set.rows && out.count < limit; i++)
        err = take_chunk(&chunks->set.cells[i * chunks->set.columns], after, limit, arena, &out, error);
    if (!err && log_count)
        merge_log(log, log_count, after, limit, arena, &out);
    *rows = out.rows;
    *count = out.count;
    return err;
}

Err sql_read_journal(SqlDb *db, StoreBatch *batch, Str run_id, uint64_t after, int64_t limit, JournalRow **rows, uint32_t *count, Error *error)
{
    SqlRows found;
    JournalRow *log = NULL;
    uint32_t log_count = 0;
    const Cell args[] = { cell_text(batch->tenant), cell_text(run_id), cell_u64(after), cell_int(journal_chunk_behind(after + 1)), cell_int(limit) };
    Err err = db->read_log ? db->read_log(db, batch, run_id, &log, &log_count, error) : ERR_OK;           /* first: what moves into the journal meanwhile is found there */
    if (!err)
        err = SQL_RUN(db, "SELECT " SQL_CHUNK " FROM flow_journal WHERE tenant = ?1 AND run_id = ?2 AND seq > ?4 AND COALESCE(last_seq, seq) > ?3 ORDER BY seq LIMIT ?5",
                      args, batch->arena, &found, error);
    return err ? err : sql_take_journal(&found, log, log_count, after, limit, batch->arena, rows, count, error);
}

static Err get_journal(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    JournalRow *rows;
    StoreSlot *slot = store_slot(batch, op);
    Err err = sql_read_journal(db, batch, op->text, op->number, sql_limit_of(op), &rows, &slot->count, error);
    slot->rows = rows;
    return err;
}

Err sql_apply_journal_op(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    return op->kind == DO_APPEND_JOURNAL ? append_journal(db, batch, op, error) : get_journal(db, batch, op, error);
}

/* ---- a copy --------------------------------------------------------------------------------------------- */

Err sql_copy_journal(SqlDb *db, StoreBatch *batch, Str run_id, uint64_t upto, Str copy_id, Error *error)
{
    JournalRow *rows;
    uint32_t count;
    Buf entries = { 0 };
    Err err = sql_read_journal(db, batch, run_id, 0, (int64_t)upto, &rows, &count, error);
    if (!err && (count != upto || (count && rows[count - 1].seq != upto)))
        err = err_set(error, ERR_NOT_FOUND, "no state of run `%.*s` at %llu", STR_ARG(run_id), (unsigned long long)upto);
    for (uint32_t i = 0; i < count && !err; i++) {
        journal_entry_put(&rows[i], &entries);
        uint32_t of_chunk = i % JOURNAL_CHUNK_ROWS + 1;
        if (of_chunk < JOURNAL_CHUNK_ROWS && i + 1 < count)
            continue;
        err = sql_put_chunk(db, &(JournalChunk){ batch->tenant, copy_id, rows[i].seq - of_chunk + 1, of_chunk, rows[i].ended_us, buf_str(&entries) }, batch->arena, error);
        buf_clear(&entries);
    }
    buf_free(&entries);
    return err;
}
