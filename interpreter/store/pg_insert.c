/* pg_insert.c - inserts of programs, all of one statement in a group as one statement over arrays.
 *
 * They go before the rest of the group, since journal rows tell what they answered. What no array can say makes the store do the group batch by batch. */
#include "interpreter/store/pg.h"

#include <stdlib.h>

/* The type of an array for values that are cast to `type` in the statement; numbers without bounds go as text. NULL: not one of those. */
static const char *array_type(Str type)
{
    static const struct { const char *type, *array; } TYPES[] = {
        { "bigint", "bigint[]" }, { "boolean", "boolean[]" }, { "double precision", "double precision[]" }, { "bytea", "bytea[]" }, { "numeric", "text[]" }, { "text", "text[]" },
    };
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (str_is(type, TYPES[i].type))
            return TYPES[i].array;
    return NULL;
}

/* "INSERT … VALUES ($1, CAST($2 AS bigint)) RETURNING …" as "INSERT … SELECT u.a1, CAST(u.a2 AS bigint) FROM unnest($1::text[], $2::bigint[]) AS u (a1, a2) RETURNING …". */
static bool put_array_insert(Str sql, uint32_t count, const char **types, Buf *out)
{
    static const char VALUES[] = ") VALUES (", RETURNING[] = ") RETURNING ";
    const char *values = memmem(sql.ptr, sql.len, VALUES, sizeof VALUES - 1), *end = sql.ptr + sql.len;
    const char *p = values ? values + sizeof VALUES - 1 : end, *returning = memmem(p, (size_t)(end - p), RETURNING, sizeof RETURNING - 1);
    if (!values || !returning)
        return false;
    for (uint32_t i = 0; i < count; i++)
        types[i] = "text[]";
    buf_put(out, sql.ptr, (size_t)(values + 1 - sql.ptr));
    buf_put_text(out, " SELECT ");
    while (p < returning) {
        if (*p != '$') {
            buf_put_char(out, *p++);
            continue;
        }
        char *after;
        unsigned long number = strtoul(p + 1, &after, 10);
        if (number == 0 || number > count)
            return false;
        buf_printf(out, "u.a%lu", number);
        const char *close = memchr(after, ')', (size_t)(end - after));
        if (strncmp(after, " AS ", 4) == 0 && close && !(types[number - 1] = array_type((Str){ after + 4, (size_t)(close - after - 4) })))
            return false;
        p = after;
    }
    buf_put_text(out, " FROM unnest(");
    for (uint32_t i = 0; i < count; i++)
        buf_printf(out, "%s$%u::%s", i ? ", " : "", i + 1, types[i]);
    buf_put_text(out, ") AS u (");
    for (uint32_t i = 0; i < count; i++)
        buf_printf(out, "%sa%u", i ? ", " : "", i + 1);
    buf_put(out, returning, (size_t)(end - returning));
    return true;
}

/* Those from `first` on that are the same statement for the same tenant, and where row security asks for the user for the same user. */
static uint32_t alike(PgInsert *inserts, uint32_t total, uint32_t first, PgInsert **out)
{
    uint32_t count = 0;
    for (uint32_t i = first; i < total; i++) {
        PgInsert *one = &inserts[i], *like = &inserts[first];
        if (one->done || one->text != like->text || !str_eq(one->batch->tenant, like->batch->tenant))
            continue;
        if (!str_eq(one->op->text, like->op->text) && sql_by_user(one->op))
            continue;
        one->done = true;
        out[count++] = one;
    }
    return count;
}

/* Row by row to whose it is: the server answers in the order of the arrays. Copied, because a batch outlives its group. */
static Err answer(PgInsert **inserts, uint32_t count, const SqlRows *rows, Error *error)
{
    if (rows->set.rows != count)
        return err_set(error, ERR_BUSY, "not every row of a group was inserted");
    for (uint32_t i = 0; i < count; i++) {
        PgInsert *one = inserts[i];
        SqlRows own = sql_copy_rows(rows, i, 1, one->batch->arena);
        sql_answer_query(one->batch, one->op, one->text, &own);
    }
    return ERR_OK;
}

static Err insert_alike(PgConn *c, PgInsert **inserts, uint32_t count, Error *error)
{
    const SqlText *text = inserts[0]->text;
    uint32_t binds = text->bind_count;
    const char **types = ARENA_ARRAY(c->group, const char *, binds + 1);
    Cell *args = ARENA_ARRAY(c->group, Cell, binds + 1);
    Buf sql = { 0 };
    SqlRows rows;
    if (!put_array_insert(text->sql, binds, types, &sql)) {
        buf_free(&sql);
        return ERR_UNSUPPORTED;
    }
    for (uint32_t k = 0; k < binds; k++) {
        Cell *items = ARENA_ARRAY(c->group, Cell, count);
        for (uint32_t i = 0; i < count; i++) {
            items[i] = inserts[i]->args[k];
            if (items[i].kind == CELL_INT && strncmp(types[k], "double", 6) == 0)
                items[i] = (Cell){ .kind = CELL_FLOAT, .f = (double)items[i].i };
        }
        args[k] = (Cell){ .kind = CELL_LIST, .items = items, .count = count };
    }
    Err err = c->db.use_scope(&c->db, inserts[0]->batch->tenant, inserts[0]->op->text, sql_by_user(inserts[0]->op), error);
    if (!err)
        err = pg_query(c, buf_str(&sql), args, binds, c->group, &rows, error);
    buf_free(&sql);
    return err ? err : answer(inserts, count, &rows, error);
}

/* Rendered texts are kept, but not for ever: with too many of them the first might be gone before the last is rendered. */
Err pg_run_inserts(PgConn *c, PgInsert *inserts, uint32_t count, Error *error)
{
    PgInsert **like = ARENA_ARRAY(c->group, PgInsert *, count + 1);
    Err err = c->db.queries.count + count >= SQL_QUERIES_KEPT_MAX ? ERR_UNSUPPORTED : ERR_OK;
    for (uint32_t i = 0; i < count && !err; i++)
        err = sql_bind_query(&c->db, inserts[i].batch, inserts[i].op, &inserts[i].text, &inserts[i].args, error);
    for (uint32_t i = 0; i < count && !err; i++)
        if (!inserts[i].done)
            err = insert_alike(c, like, alike(inserts, count, i, like), error);
    return err == ERR_UNSUPPORTED ? err_set(error, ERR_BUSY, "an insert that no array can say") : err;
}

uint32_t pg_note_inserts(StoreBatch *batch, PgInsert *out)
{
    uint32_t n = 0;
    for (const StoreOp *op = batch->first; op; op = op->next)
        if (op->kind == DO_QUERY)
            out[n++] = (PgInsert){ .batch = batch, .op = op };
    return n;
}
