/* sql_tables.c - the tables of programs: made, extended, asked.
 *
 * Several versions of a program live on the same tables, so a table only grows: columns stay nullable and carry their default in the
 * schema too, and a run of an older version goes on inserting. flow_tables, flow_columns and flow_indexes say what was made for
 * whom; statements that change the schema run only when these have no row, so a second deployment writes nothing.
 */
#include "interpreter/store/sql.h"

#include "base/decimal.h"
#include "base/json.h"

#include <math.h>

/* ---- values --------------------------------------------------------------------------------------------- */

static Err canonical(Arena *arena, const Cell *in, Cell *out, Error *error)
{
    Decimal d;
    if (in->kind == CELL_INT)
        d = decimal_from_int(in->i);
    else if (decimal_from_text(in->text, &d))
        return err_set(error, ERR_INVALID, "`%.*s` is no decimal", (int)(in->text.len < 40 ? in->text.len : 40), in->text.ptr);
    Buf text = { 0 };
    decimal_print_canonical(d, &text);
    *out = cell_text(arena_str(arena, buf_str(&text)));
    buf_free(&text);
    decimal_release(d);
    return ERR_OK;
}

static Err list_json(const Image *image, uint16_t element, const Cell *list, Arena *arena, Cell *out, Error *error);

/* A value in the form in which it is stored; ERR_INVALID when it is none of its type. */
static Err fit(const Image *image, uint16_t type, const Cell *in, Arena *arena, Cell *out, Error *error)
{
    bool optional;
    const ImageType *plain = sql_plain_type(image, type, &optional);
    *out = *in;
    if (in->kind == CELL_NULL)
        return optional || plain->kind == KIND_JSON ? ERR_OK : err_set(error, ERR_INVALID, "null where the type has none");
    bool fits = false;
    switch (plain->kind) {
    case KIND_BOOL: case KIND_INT: case KIND_DATE: case KIND_TIMESTAMP: case KIND_DURATION:
        fits = in->kind == CELL_INT;
        break;
    case KIND_FLOAT:
        fits = in->kind == CELL_INT || (in->kind == CELL_FLOAT && !isnan(in->f));
        break;
    case KIND_DECIMAL:
        return in->kind == CELL_INT || in->kind == CELL_TEXT || in->kind == CELL_DECIMAL ? canonical(arena, in, out, error) : err_set(error, ERR_INVALID, "a decimal was expected");
    case KIND_ENUM:
        fits = in->kind == CELL_TEXT || (in->kind == CELL_INT && in->i >= 0 && in->i < plain->member_count);
        if (fits && in->kind == CELL_INT)
            *out = cell_text(plain->members[in->i]);
        break;
    case KIND_BYTES:
        fits = in->kind == CELL_BLOB;
        break;
    case KIND_LIST:
        if (in->kind == CELL_LIST)
            return list_json(image, plain->element, in, arena, out, error);
        fits = in->kind == CELL_TEXT;
        break;
    case KIND_STRING: case KIND_JSON: case KIND_MAP: case KIND_RECORD: case KIND_ERROR:
        fits = in->kind == CELL_TEXT;
        break;
    default:
        break;
    }
    return fits ? ERR_OK : err_set(error, ERR_INVALID, "a value of another type (kind %d of cell, kind %d of type)", (int)in->kind, (int)plain->kind);
}

static void put_json(Buf *out, const Cell *cell)
{
    char hex[3];
    switch (cell->kind) {
    case CELL_INT:   buf_printf(out, "%lld", (long long)cell->i); return;
    case CELL_FLOAT: json_put_double(out, cell->f); return;
    case CELL_BLOB:
        buf_put_char(out, '"');
        for (size_t i = 0; i < cell->text.len; i++) {
            hex_encode((const uint8_t *)cell->text.ptr + i, 1, hex);
            for (int k = 0; k < 2; k++)
                buf_put_char(out, hex[k] >= 'a' ? (char)(hex[k] - 'a' + 'A') : hex[k]);
        }
        buf_put_char(out, '"');
        return;
    case CELL_TEXT: case CELL_DECIMAL: json_put_string(out, cell->text); return;
    default:         buf_put_text(out, "null"); return;
    }
}

static Err list_json(const Image *image, uint16_t element, const Cell *list, Arena *arena, Cell *out, Error *error)
{
    Buf text = { 0 };
    Err err = ERR_OK;
    buf_put_char(&text, '[');
    for (uint32_t i = 0; i < list->count && !err; i++) {
        Cell item;
        if ((err = fit(image, element, &list->items[i], arena, &item, error)))
            break;
        if (i)
            buf_put_char(&text, ',');
        put_json(&text, &item);
    }
    buf_put_char(&text, ']');
    *out = cell_text(arena_str(arena, buf_str(&text)));
    buf_free(&text);
    return err;
}

/* What came back, in the form that store.h promises. */
static void unfit(const Image *image, const uint16_t *types, uint32_t count, const SqlRows *rows)
{
    for (uint32_t c = 0; c < count && c < rows->set.columns; c++) {
        bool optional;
        TypeKind kind = sql_plain_type(image, types[c], &optional)->kind;
        for (uint32_t r = 0; r < rows->set.rows; r++) {
            Cell *cell = &rows->set.cells[r * rows->set.columns + c];
            if (kind == KIND_DECIMAL && cell->kind == CELL_TEXT)
                cell->kind = CELL_DECIMAL;
            else if (kind == KIND_DECIMAL && cell->kind == CELL_INT)
                *cell = (Cell){ .kind = CELL_DECIMAL, .text = STR("0") };       /* the sum of nothing */
            else if (kind == KIND_FLOAT && cell->kind == CELL_INT)
                *cell = (Cell){ .kind = CELL_FLOAT, .f = (double)cell->i };
        }
    }
}

/* ---- queries -------------------------------------------------------------------------------------------- */

/* Rendered text depends on the image alone, whose hash names it. */
static Err rendered(SqlDb *db, StoreBatch *batch, const StoreOp *op, const SqlText **out, Error *error)
{
    static const Sha256 NONE;
    char bytes[SHA256_BYTES + 2];
    bool known = memcmp(&op->image->hash, &NONE, sizeof NONE) != 0;      /* an image under construction has none */
    memcpy(bytes, op->image->hash.bytes, SHA256_BYTES);
    memcpy(bytes + SHA256_BYTES, &op->query, 2);
    Str key = { bytes, sizeof bytes };
    if (known && (*out = map_find(&db->queries, key)))
        return ERR_OK;
    if (known && db->queries.count >= SQL_QUERIES_KEPT_MAX) {
        map_free(&db->queries);
        arena_reset(db->queries_arena);
    }
    if (known && !db->queries_arena)
        db->queries_arena = arena_new();
    Arena *arena = known ? db->queries_arena : batch->arena;
    SqlText *text = ARENA_NEW(arena, SqlText);
    Err err = sql_render(arena, db->dialect, op->image, op->query, text, error);
    if (!err && known)
        map_put(&db->queries, arena_str(arena, key), text);
    *out = text;
    return err;
}

static Err bind_one(const SqlBind *bind, StoreBatch *batch, const StoreOp *op, Cell *out, Error *error)
{
    const Query *q = &op->image->queries[op->query];
    bool optional;
    Err err;
    switch (bind->kind) {
    case BIND_TENANT: *out = cell_text(batch->tenant); return ERR_OK;
    case BIND_OWNER:  *out = cell_text(op->text); return ERR_OK;
    case BIND_CONST:  *out = bind->value; return ERR_OK;
    case BIND_PARAM:
        err = fit(op->image, q->params[bind->param], &op->params[bind->param], batch->arena, out, error);
        break;
    default:
        if (op->params[bind->param].kind != CELL_LIST)
            return err_set(error, ERR_INVALID, "parameter %u of query %u: a list was expected", bind->param, op->query);
        err = list_json(op->image, sql_plain_type(op->image, q->params[bind->param], &optional)->element, &op->params[bind->param], batch->arena, out, error);
    }
    if (err && error) {
        Error inner = *error;
        err_set(error, err, "parameter %u of query %u: %.300s", bind->param, op->query, inner.text);
    }
    return err;
}

static Err bind_all(const SqlBind *binds, uint32_t count, StoreBatch *batch, const StoreOp *op, Cell **out, Error *error)
{
    Cell *args = ARENA_ARRAY(batch->arena, Cell, count);
    Err err = ERR_OK;
    for (uint32_t i = 0; i < count && !err; i++)
        err = bind_one(&binds[i], batch, op, &args[i], error);
    *out = args;
    return err;
}

static int member_of(const ImageType *type, Str name)
{
    for (int i = 0; i < type->member_count; i++)
        if (str_eq(type->members[i], name))
            return i;
    return -1;
}

/* Staying in a state is no transition; from null any state may be the first. */
static bool transition_allowed(const Image *image, const ImageMachine *machine, const Cell *from, const Cell *to)
{
    if (from->kind == CELL_NULL || (from->kind == CELL_TEXT && to->kind == CELL_TEXT && str_eq(from->text, to->text)))
        return true;
    int f = member_of(&image->types[machine->type], from->text), t = to->kind == CELL_TEXT ? member_of(&image->types[machine->type], to->text) : -1;
    return f >= 0 && t >= 0 && t < 64 && machine->targets[f] >> t & 1;
}

/* Every row that an update is about to touch must be in a state that may go where it is sent. */
static Err check_transitions(SqlDb *db, StoreBatch *batch, const StoreOp *op, const SqlText *text, Error *error)
{
    const Image *image = op->image;
    const ImageTable *table = &image->tables[image->queries[op->query].table];
    for (uint32_t i = 0; i < text->transition_count; i++) {
        const SqlTransition *t = &text->transitions[i];
        Cell *args;
        SqlRows rows;
        Err err = bind_all(t->binds, t->bind_count, batch, op, &args, error);
        if (!err)
            err = db->run(db, t->sql, args, t->bind_count, batch->arena, &rows, error);
        for (uint32_t r = 0; !err && r < rows.set.rows; r++) {
            const Cell *from = &rows.set.cells[2 * r], *to = from + 1;
            if (transition_allowed(image, &image->machines[t->machine], from, to))
                continue;
            Str target = to->kind == CELL_TEXT ? to->text : STR("null");
            err = err_set(error, ERR_INVALID, "%.*s.%.*s: no transition %.*s -> %.*s", STR_ARG(table->name), STR_ARG(table->columns[t->column].name), STR_ARG(from->text), STR_ARG(target));
        }
        if (err)
            return err;
    }
    return ERR_OK;
}

static void put_key_columns(const ImageTable *table, const uint16_t *columns, uint32_t count, const char *prefix, Buf *out)
{
    for (uint32_t i = 0; i < count; i++) {
        buf_put_text(out, i ? ", " : "");
        buf_put_text(out, prefix);
        buf_put_str(out, sql_column_name(table, columns[i]));
    }
}

/* Is `columns` of the table what the database says was violated, by the name of its index or by its columns? */
static bool is_violated(SqlDb *db, const ImageTable *table, Str index_name, const uint16_t *columns, uint32_t count)
{
    Buf text = { 0 }, stored = { 0 };
    buf_put_text(&text, table->shared ? "tenant_id, " : "tenant_id, owner_id, ");
    put_key_columns(table, columns, count, "c_", &text);
    sql_put_short(db->dialect, &stored, index_name);
    Str violated = buf_str(&db->constraint);
    bool its = str_eq(violated, buf_str(&text)) || str_eq(violated, buf_str(&stored));
    buf_free(&text);
    buf_free(&stored);
    return its;
}

static void put_index_name(const Image *image, const ImageTable *table, const ImageIndex *index, Buf *out)
{
    buf_put_text(out, index->unique ? "u_" : table->visibility.declared ? "v_" : "i_");
    sql_table_name(image, table, out, NULL);
    for (uint32_t i = 0; i < index->column_count; i++) {
        buf_put_char(out, '.');                             /* in no identifier: names stay distinct */
        buf_put_str(out, sql_column_name(table, index->columns[i]));
    }
}

static void put_key_name(const Image *image, const ImageTable *table, Buf *out)
{
    buf_put_text(out, "k_");
    sql_table_name(image, table, out, NULL);
}

static Err name_conflict(SqlDb *db, const Image *image, const ImageTable *table, Error *error)
{
    Buf name = { 0 }, columns = { 0 };
    put_key_name(image, table, &name);
    if (table->id_column != NO_INDEX && is_violated(db, table, buf_str(&name), &table->id_column, 1))
        put_key_columns(table, &table->id_column, 1, "", &columns);
    for (uint32_t i = 0; i < table->index_count && !columns.len; i++) {
        buf_clear(&name);
        put_index_name(image, table, &table->indexes[i], &name);
        if (is_violated(db, table, buf_str(&name), table->indexes[i].columns, table->indexes[i].column_count))
            put_key_columns(table, table->indexes[i].columns, table->indexes[i].column_count, "", &columns);
    }
    if (!columns.len)
        buf_put_str(&columns, buf_str(&db->constraint));
    Err err = err_set(error, ERR_CONFLICT, "table `%.*s`: a row with this (%.*s) exists already", STR_ARG(table->name), STR_ARG(buf_str(&columns)));
    buf_free(&name);
    buf_free(&columns);
    return err;
}

static Err check_query(const StoreBatch *batch, const StoreOp *op, Error *error)
{
    if (op->query >= op->image->query_count)
        return err_set(error, ERR_INVALID, "no query %u", op->query);
    const Query *q = &op->image->queries[op->query];
    if (batch->tenant.len == 0)
        return err_set(error, ERR_INVALID, "cannot query a table without a tenant");
    if (op->param_count != q->param_count)
        return err_set(error, ERR_INVALID, "query %u takes %u parameters, %u were given", op->query, q->param_count, op->param_count);
    if (q->limit_param != NO_INDEX && q->limit_param < q->param_count && op->params[q->limit_param].kind == CELL_INT && op->params[q->limit_param].i < 0)
        return err_set(error, ERR_INVALID, "a limit below zero");
    return ERR_OK;
}

Err sql_bind_query(SqlDb *db, StoreBatch *batch, const StoreOp *op, const SqlText **text, Cell **args, Error *error)
{
    Err err = check_query(batch, op, error);
    if (!err)
        err = rendered(db, batch, op, text, error);
    return err ? err : bind_all((*text)->binds, (*text)->bind_count, batch, op, args, error);
}

void sql_answer_query(StoreBatch *batch, const StoreOp *op, const SqlText *text, SqlRows *rows)
{
    const Query *q = &op->image->queries[op->query];
    if (q->kind == QUERY_UPDATE || q->kind == QUERY_DELETE) {
        rows->set = (RowSet){ .cells = ARENA_NEW(batch->arena, Cell), .rows = 1, .columns = 1 };
        rows->set.cells[0] = cell_int(rows->changes);
    }
    unfit(op->image, text->out_types, text->out_count, rows);
    store_slot(batch, op)->set = rows->set;
}

bool sql_by_user(const StoreOp *op)
{
    const Query *q = &op->image->queries[op->query];
    bool by_user = op->image->tables[q->table].visibility.declared;
    for (uint32_t i = 0; i < q->join_count; i++)
        by_user |= op->image->tables[q->joins[i].table].visibility.declared;
    return by_user;
}

Err sql_apply_query(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    const SqlText *text;
    Cell *args;
    SqlRows rows;
    Err err = sql_bind_query(db, batch, op, &text, &args, error);
    if (!err && db->use_scope)
        err = db->use_scope(db, batch->tenant, op->text, sql_by_user(op), error);
    if (!err)
        err = check_transitions(db, batch, op, text, error);
    if (err)
        return err;
    err = db->run(db, text->sql, args, text->bind_count, batch->arena, &rows, error);
    if (err)
        return err == ERR_CONFLICT ? name_conflict(db, op->image, &op->image->tables[op->image->queries[op->query].table], error) : err;
    sql_answer_query(batch, op, text, &rows);
    return ERR_OK;
}

/* ---- schema --------------------------------------------------------------------------------------------- */

typedef struct Ensure {
    SqlDb *db;
    Arena *arena;
    const Image *image;
    const ImageTable *table;
    Str name;                            /* t_agent_table */
    bool made;                           /* just now */
    Error *error;
} Ensure;

static const char *kind_word(TypeKind kind)
{
    switch (kind) {
    case KIND_BOOL:      return "bool";
    case KIND_INT:       return "int";
    case KIND_DATE:      return "date";
    case KIND_TIMESTAMP: return "timestamp";
    case KIND_DURATION:  return "duration";
    case KIND_FLOAT:     return "float";
    case KIND_DECIMAL:   return "decimal";
    case KIND_STRING:    return "string";
    case KIND_ENUM:      return "enum";
    case KIND_JSON:      return "json";
    case KIND_LIST:      return "list";
    case KIND_MAP:       return "map";
    case KIND_RECORD:    return "record";
    case KIND_ERROR:     return "error";
    case KIND_BYTES:     return "bytes";
    default:             return "";
    }
}

/* What a column's type is, as far as its stored form and its order depend on it. */
static Err type_words(const Ensure *e, uint16_t type, const char **word, const char **stored, bool *optional)
{
    const SqlDialect *d = e->db->dialect;
    if (type >= e->image->type_count)
        return err_set(e->error, ERR_INVALID, "table `%.*s`: a column without a type", STR_ARG(e->table->name));
    TypeKind kind = sql_plain_type(e->image, type, optional)->kind;
    *word = kind_word(kind);
    *stored = sql_type_name(d, kind);
    return *stored ? ERR_OK : err_set(e->error, ERR_INVALID, "table `%.*s`: a column of a type that cannot be stored", STR_ARG(e->table->name));
}

static Err run_text(const Ensure *e, Buf *sql, const Cell *args, uint32_t count, SqlRows *rows)
{
    Err err = e->db->run(e->db, buf_str(sql), args, count, e->arena, rows, e->error);
    buf_free(sql);
    return err;
}

/* The default as a literal: schema statements take no parameters, so the database itself quotes it. */
static Err put_default(const Ensure *e, uint32_t column, Buf *sql)
{
    Cell value = cell_null(), stored;
    if (column >= e->table->column_count)
        value = cell_int(1);
    else {
        const ImageColumn *c = &e->table->columns[column];
        if (!c->has_default || c->default_const >= e->image->const_count)
            return ERR_OK;
        const ImageConst *k = &e->image->consts[c->default_const];
        bool optional;
        TypeKind kind = sql_plain_type(e->image, k->type, &optional)->kind;
        if (kind == KIND_FLOAT) {
            value.kind = CELL_FLOAT;
            memcpy(&value.f, &k->word, sizeof value.f);
        } else if (kind != KIND_VOID)
            value = kind_is_intlike(kind) ? cell_u64(k->word) : kind == KIND_BYTES ? cell_blob(k->bytes) : cell_text(k->bytes);
        Err err = value.kind == CELL_NULL ? ERR_OK : fit(e->image, c->type, &value, e->arena, &stored, e->error);
        if (err || value.kind == CELL_NULL)
            return err;
        value = stored;
    }
    SqlRows rows;
    const SqlDialect *d = e->db->dialect;
    Err err = e->db->run(e->db, str_of(value.kind == CELL_BLOB ? d->quote_blob : d->quote), &value, 1, e->arena, &rows, e->error);
    if (!err && rows.set.rows == 1) {
        buf_put_text(sql, " DEFAULT ");
        buf_put_str(sql, rows.set.cells[0].text);
    }
    return err;
}

static Err put_column(const Ensure *e, uint32_t column, Buf *sql)
{
    const char *word, *stored;
    bool optional;
    Err err = type_words(e, sql_column_type(e->table, column), &word, &stored, &optional);
    if (!err)
        err = sql_put_identifier(e->db->dialect, sql, "c_", sql_column_name(e->table, column), e->error);
    if (err)
        return err;
    buf_printf(sql, " %s", stored);
    return put_default(e, column, sql);
}

/* What begins a key: whose rows may not be alike. */
static const char *scope_columns(const ImageTable *table)
{
    return table->shared ? "tenant_id" : "tenant_id, owner_id";
}

/* What begins an index that only finds: rows of others are looked for, too, where they may be visible. */
static const char *search_columns(const ImageTable *table)
{
    return table->visibility.declared ? "tenant_id" : scope_columns(table);
}

static Err secure_table(const Ensure *e)
{
    Err err = ERR_OK;
    for (const char *p = e->db->dialect->secure_table; p && *p && !err;) {
        Buf sql = { 0 };
        for (; *p && *p != ';' && !err; p++) {
            if (p[0] == '@' && p[1] == 'a') {
                err = sql_put_identifier(e->db->dialect, &sql, "", e->name, e->error);
                p++;
            } else
                buf_put_char(&sql, *p);
        }
        p += *p == ';';
        if (!err)
            err = run_text(e, &sql, NULL, 0, NULL);
        else
            buf_free(&sql);
    }
    return err;
}

static Err create_table(const Ensure *e)
{
    Buf sql = { 0 };
    buf_put_text(&sql, "CREATE TABLE ");
    Err err = sql_put_identifier(e->db->dialect, &sql, "", e->name, e->error);
    buf_printf(&sql, " (row_no %s, tenant_id %s NOT NULL, owner_id %s NOT NULL", e->db->dialect->row_no, e->db->dialect->type_text, e->db->dialect->type_text);
    for (uint32_t i = 0; i < sql_column_count(e->table) && !err; i++) {
        buf_put_text(&sql, ", ");
        err = put_column(e, i, &sql);
    }
    if (!err && e->table->id_column != NO_INDEX) {
        Buf key = { 0 };
        put_key_name(e->image, e->table, &key);
        buf_put_text(&sql, ", CONSTRAINT ");
        err = sql_put_identifier(e->db->dialect, &sql, "", buf_str(&key), e->error);
        buf_free(&key);
        buf_printf(&sql, " UNIQUE (%s, ", scope_columns(e->table));
        if (!err)
            err = sql_put_identifier(e->db->dialect, &sql, "c_", sql_column_name(e->table, e->table->id_column), e->error);
        buf_put_char(&sql, ')');
    }
    buf_put_char(&sql, ')');
    if (!err) {
        err = run_text(e, &sql, NULL, 0, NULL);
        return err ? err : secure_table(e);
    }
    buf_free(&sql);
    return err;
}

static Err ensure_table(Ensure *e)
{
    SqlRows rows;
    Str agent = e->table->agent == NO_INDEX ? STR("") : e->image->agents[e->table->agent].name;
    const Cell args[] = { cell_text(e->name), cell_text(agent), cell_text(e->table->name), cell_int(e->table->shared) };
    Err err = e->db->run(e->db, STR("SELECT agent, table_name, shared FROM flow_tables WHERE lower(name) = lower(?1)"), args, 1, e->arena, &rows, e->error);
    if (err)
        return err;
    if (rows.set.rows == 0) {
        e->made = true;
        err = SQL_RUN(e->db, "INSERT INTO flow_tables (name, agent, table_name, shared) VALUES (?1, ?2, ?3, ?4)", args, e->arena, NULL, e->error);
        return err ? err : create_table(e);
    }
    const Cell *c = rows.set.cells;
    if (!str_eq(c[0].text, agent) || !str_eq(c[1].text, e->table->name))
        return err_set(e->error, ERR_CONFLICT, "table `%.*s` of `%.*s` has the name of table `%.*s` of `%.*s` in the store (`%.*s`)", STR_ARG(e->table->name), STR_ARG(agent), STR_ARG(c[1].text), STR_ARG(c[0].text), STR_ARG(e->name));
    if ((c[2].i != 0) != e->table->shared)
        return err_set(e->error, ERR_CONFLICT, "table `%.*s` is %s in the store", STR_ARG(e->table->name), e->table->shared ? "not shared" : "shared");
    return ERR_OK;
}

static Err add_column(Ensure *e, uint32_t column, bool optional)
{
    Str name = sql_column_name(e->table, column);
    if (!optional && column < e->table->column_count && !e->table->columns[column].has_default && !str_is(name, "version"))
        return err_set(e->error, ERR_CONFLICT, "table `%.*s` exists: its new column `%.*s` must be optional or have a default", STR_ARG(e->table->name), STR_ARG(name));
    Buf sql = { 0 };
    buf_put_text(&sql, "ALTER TABLE ");
    Err err = sql_put_identifier(e->db->dialect, &sql, "", e->name, e->error);
    buf_put_text(&sql, " ADD COLUMN ");
    if (!err)
        err = put_column(e, column, &sql);
    if (!err)
        return run_text(e, &sql, NULL, 0, NULL);
    buf_free(&sql);
    return err;
}

static Err ensure_column(Ensure *e, uint32_t column)
{
    const char *word, *stored;
    bool optional;
    SqlRows rows;
    Str name = sql_column_name(e->table, column);
    Err err = type_words(e, sql_column_type(e->table, column), &word, &stored, &optional);
    if (err)
        return err;
    Str type = str_of(arena_printf(e->arena, "%s%s", word, optional ? "?" : ""));
    const Cell args[] = { cell_text(e->name), cell_text(name), cell_text(type) };
    if ((err = e->db->run(e->db, STR("SELECT type FROM flow_columns WHERE table_name = ?1 AND column_name = ?2"), args, 2, e->arena, &rows, e->error)))
        return err;
    if (rows.set.rows == 0) {
        if (!e->made && (err = add_column(e, column, optional)))
            return err;
        return SQL_RUN(e->db, "INSERT INTO flow_columns (table_name, column_name, type) VALUES (?1, ?2, ?3)", args, e->arena, NULL, e->error);
    }
    Str old = rows.set.cells[0].text;
    if (str_eq(old, type))
        return ERR_OK;
    if (optional && str_eq(old, str_of(word)))              /* may be null from now on */
        return SQL_RUN(e->db, "UPDATE flow_columns SET type = ?3 WHERE table_name = ?1 AND column_name = ?2", args, e->arena, NULL, e->error);
    return err_set(e->error, ERR_CONFLICT, "table `%.*s`: column `%.*s` is %.*s in the store and cannot become %.*s", STR_ARG(e->table->name), STR_ARG(name), STR_ARG(old), STR_ARG(type));
}

static Err ensure_index(Ensure *e, Str name, bool unique, const uint16_t *columns, uint32_t count)
{
    SqlRows rows;
    const Cell args[] = { cell_text(e->name), cell_text(name) };
    Err err = SQL_RUN(e->db, "INSERT INTO flow_indexes (table_name, index_name) VALUES (?1, ?2) ON CONFLICT DO NOTHING", args, e->arena, &rows, e->error);
    if (err || rows.changes == 0)
        return err;
    Buf sql = { 0 };
    buf_put_text(&sql, unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ");
    err = sql_put_identifier(e->db->dialect, &sql, "", name, e->error);
    buf_put_text(&sql, " ON ");
    if (!err)
        err = sql_put_identifier(e->db->dialect, &sql, "", e->name, e->error);
    buf_printf(&sql, " (%s", unique ? scope_columns(e->table) : search_columns(e->table));
    for (uint32_t i = 0; i < count && !err; i++) {
        buf_put_text(&sql, ", ");
        err = sql_put_identifier(e->db->dialect, &sql, "c_", sql_column_name(e->table, columns[i]), e->error);
    }
    buf_put_char(&sql, ')');
    if (!err)
        err = run_text(e, &sql, NULL, 0, NULL);
    else
        buf_free(&sql);
    if (err == ERR_CONFLICT)
        return err_set(e->error, err, "table `%.*s`: rows in the store contradict unique index `%.*s`", STR_ARG(e->table->name), STR_ARG(name));
    return err;
}

static Err ensure_indexes(Ensure *e)
{
    Err err = ERR_OK;
    for (uint32_t i = 0; i < e->table->index_count && !err; i++) {
        const ImageIndex *index = &e->table->indexes[i];
        for (uint32_t k = 0; k < index->column_count; k++)
            if (index->columns[k] >= sql_column_count(e->table))
                return err_set(e->error, ERR_INVALID, "table `%.*s`: an index on a column that is not there", STR_ARG(e->table->name));
        Buf name = { 0 };
        put_index_name(e->image, e->table, index, &name);
        err = ensure_index(e, buf_str(&name), index->unique, index->columns, index->column_count);
        buf_free(&name);
    }
    bool visible = e->table->visibility.declared, has_id = e->table->id_column != NO_INDEX;
    if (err || (has_id && !visible))
        return err;
    Buf name = { 0 };                                       /* the rows of one owner, where no id leads to them; the rows of all by their id, where others see them */
    buf_put_text(&name, visible ? "v_" : "i_");
    buf_put_str(&name, e->name);
    err = ensure_index(e, buf_str(&name), false, &e->table->id_column, has_id);
    buf_free(&name);
    return err;
}

/* Two processes that deploy at once would both find nothing and both make it. */
static Err lock_tables(SqlDb *db, StoreBatch *batch, Error *error)
{
    const Cell name = cell_text(STR("flow_tables"));
    return db->dialect->lock_name ? db->run(db, str_of(db->dialect->lock_name), &name, 1, batch->arena, NULL, error) : ERR_OK;
}

static Err guard_statement(const Ensure *e, const char *template)
{
    Buf sql = { 0 };
    Err err = ERR_OK;
    for (const char *p = template; *p && !err; p++) {
        const char *prefix = p[0] != '@' ? NULL : p[1] == 't' ? "" : p[1] == 'u' ? "append_u_" : p[1] == 'd' ? "append_d_" : NULL;
        if (!prefix) {
            buf_put_char(&sql, *p);
            continue;
        }
        err = sql_put_identifier(e->db->dialect, &sql, prefix, e->name, e->error);
        p++;
    }
    if (!err)
        return run_text(e, &sql, NULL, 0, NULL);
    buf_free(&sql);
    return err;
}

/* The database refuses what the compiler refuses, also from others. Told from the indexes by its name. */
static Err ensure_append_only(const Ensure *e)
{
    SqlRows rows;
    const Cell args[] = { cell_text(e->name), cell_text(STR("append only")) };
    if (!e->table->append_only)
        return ERR_OK;
    Err err = SQL_RUN(e->db, "INSERT INTO flow_indexes (table_name, index_name) VALUES (?1, ?2) ON CONFLICT DO NOTHING", args, e->arena, &rows, e->error);
    if (err || rows.changes == 0)
        return err;
    for (const char *const *statement = e->db->dialect->append_only; *statement && !err; statement++)
        err = guard_statement(e, *statement);
    return err;
}

/* They name each other's tables, so all of these must be there. */
static Err ensure_visibilities(SqlDb *db, StoreBatch *batch, const StoreOp *op, Error *error)
{
    Err err = ERR_OK;
    for (uint32_t t = 0; t < op->image->table_count && !err; t++)
        if (op->image->tables[t].visibility.declared)
            err = sql_ensure_visibility(db, batch, op->image, &op->image->tables[t], error);
    return err;
}

Err sql_ensure_tables(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error)
{
    Err err = lock_tables(db, batch, error);
    for (uint32_t t = 0; t < op->image->table_count && !err; t++) {
        Buf name = { 0 };
        Ensure e = { .db = db, .arena = batch->arena, .image = op->image, .table = &op->image->tables[t], .error = error };
        if (e.table->id_column != NO_INDEX && e.table->id_column >= e.table->column_count)
            return err_set(error, ERR_INVALID, "table `%.*s`: an id column that is not there", STR_ARG(e.table->name));
        err = sql_table_name(op->image, e.table, &name, error);
        e.name = arena_str(batch->arena, buf_str(&name));
        buf_free(&name);
        if (!err)
            err = ensure_table(&e);
        for (uint32_t i = 0; i < sql_column_count(e.table) && !err; i++)
            err = ensure_column(&e, i);
        if (!err)
            err = ensure_indexes(&e);
        if (!err)
            err = ensure_append_only(&e);
    }
    return err ? err : ensure_visibilities(db, batch, op, error);
}
