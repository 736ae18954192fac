/* pg_rows.c - many rows as the parameters of one statement: a column that says the same in every row goes as that one value, the others as arrays.
 *
 * Most columns of the runs that begin or end together are equal (tenant, module, flow, user, status, all that is empty), and an array costs on both sides: its
 * items are written, sent, read and walked through one by one, and the server sets up a walk for each array in each statement. A group of one row has no
 * array at all, which makes it the plain statement that one would write by hand.
 *
 * Which columns are arrays is part of the statement's text. So that there are few texts, columns go by bundles: those of a bundle are arrays as soon as
 * one of them must be. The arrays are walked side by side in the target list of a subquery, which keeps nothing, where `FROM unnest(…)` first puts
 * each of them into a store of tuples by itself.
 */
#include "interpreter/store/pg.h"

#include <assert.h>
#include <stdlib.h>

struct PgText { struct { const char *template; uint64_t arrays; } key; size_t len; char sql[]; };

static bool same_value(const Cell *a, const Cell *b)
{
    return a->kind == b->kind && (a->kind == CELL_INT ? a->i == b->i : a->kind == CELL_NULL || str_eq(a->text, b->text));
}

void pg_rows_add(PgRows *rows, const PgColumn *columns, uint32_t count, const Cell *cells)
{
    for (uint32_t i = 0; i < count; i++) {
        rows->column[i][rows->count] = cells[i];
        if (rows->count && !(rows->varies >> i & 1) && (columns[i].bundle == PG_EACH || !same_value(&rows->column[i][0], &cells[i])))
            rows->varies |= UINT64_C(1) << i;
    }
    rows->count++;
}

/* A bundle varies as one. */
static uint64_t arrays_of(const PgRows *rows, const PgColumn *columns, uint32_t count)
{
    uint64_t bundles = 0, arrays = rows->varies;
    if (!arrays)
        return 0;
    for (uint32_t i = 0; i < count; i++)
        if (rows->varies >> i & 1)
            bundles |= UINT64_C(1) << (columns[i].bundle - PG_EACH);
    for (uint32_t i = 0; i < count; i++)
        arrays |= (bundles >> (columns[i].bundle - PG_EACH) & 1) << i;
    return arrays;
}

static const char *type_of(const PgColumn *column)
{
    return column->type == 't' ? "text" : column->type == 'i' ? "bigint" : "bytea";
}

static void put_rows(Buf *out, const PgColumn *columns, uint32_t count, uint64_t arrays)
{
    const char *joint = "";
    buf_put_text(out, arrays ? "(SELECT " : "(SELECT 1");
    for (uint32_t i = 0; i < count; i++)
        if (arrays >> i & 1) {
            buf_printf(out, "%sunnest(?%u::%s[]) AS %s", joint, i + 1, type_of(&columns[i]), columns[i].name);
            joint = ", ";
        }
    buf_put_text(out, ") AS u");
}

/* "@name" is the value of a column, "@rows" what it comes from. */
static void put_sql(Buf *out, Str template, const PgColumn *columns, uint32_t count, uint64_t arrays)
{
    const char *end = template.ptr + template.len;
    for (const char *p = template.ptr; p < end;) {
        size_t len = 0;
        if (*p != '@') {
            buf_put_char(out, *p++);
            continue;
        }
        for (p++; p + len < end && (p[len] == '_' || (p[len] >= 'a' && p[len] <= 'z')); len++)
            ;
        Str name = { p, len };
        uint32_t i = 0;
        while (i < count && !str_is(name, columns[i].name))
            i++;
        assert(i < count || str_is(name, "rows"));
        if (str_is(name, "rows"))
            put_rows(out, columns, count, arrays);
        else if (arrays >> i & 1)
            buf_printf(out, "u.%s", columns[i].name);
        else
            buf_printf(out, "?%u::%s", i + 1, type_of(&columns[i]));
        p += len;
    }
}

static Str text_of(PgConn *c, Str template, const PgColumn *columns, uint32_t count, uint64_t arrays)
{
    Buf sql = { 0 };
    struct PgText key = { .key = { template.ptr, arrays } }, *text = map_find(&c->texts, (Str){ (const char *)&key.key, sizeof key.key });
    if (!text) {
        put_sql(&sql, template, columns, count, arrays);
        text = mem_alloc(sizeof *text + sql.len);
        text->key = key.key;
        text->len = sql.len;
        memcpy(text->sql, sql.ptr, sql.len);
        map_put(&c->texts, (Str){ (const char *)&text->key, sizeof text->key }, text);
        buf_free(&sql);
    }
    return (Str){ text->sql, text->len };
}

void pg_rows_forget(PgConn *c)
{
    MAP_EACH(&c->texts, e)
        free(e->value);
    map_free(&c->texts);
}

Err pg_rows_send(PgConn *c, Str template, const PgColumn *columns, uint32_t count, const PgRows *rows, const Cell *more, uint32_t more_count, Error *error)
{
    Cell args[PG_ROW_COLUMNS_MAX + PG_ROW_MORE_MAX];
    uint64_t arrays = arrays_of(rows, columns, count);
    for (uint32_t i = 0; i < count; i++)
        args[i] = arrays >> i & 1 ? (Cell){ .kind = CELL_LIST, .items = rows->column[i], .count = rows->count } : rows->column[i][0];
    for (uint32_t i = 0; i < more_count; i++)
        args[count + i] = more[i];
    return pg_send(c, text_of(c, template, columns, count, arrays), args, count + more_count, c->group, error);
}
