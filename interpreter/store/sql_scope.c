/* sql_scope.c - whose rows a statement may touch, in words of SQL.
 *
 * The condition of a query and the policy of the database are written by the same functions, so the two walls say the same. What is looked up among the
 * members depends on the statement alone and not on the row: a database finds it out once.
 */
#include "interpreter/store/sql.h"

static void put_members(const SqlScope *s, Buf *out)
{
    buf_printf(out, "EXISTS (SELECT 1 FROM %s AS m WHERE m.tenant_id = %s AND m.%s = %s", s->members, s->tenant, s->user_column, s->user);
}

void sql_put_own(const SqlScope *s, Buf *out)
{
    buf_printf(out, "%sowner_id = %s", s->row, s->user);
}

void sql_put_readable(const SqlScope *s, Buf *out)
{
    buf_put_char(out, '(');
    sql_put_own(s, out);
    buf_printf(out, " OR %s%s = 'PUBLIC' OR (%s%s = 'FAMILY' AND ", s->row, s->column, s->row, s->column);
    put_members(s, out);
    buf_put_text(out, ")))");
}

/* Rows of others only where they can be read, too: FAMILY and PUBLIC, and who writes is a member. */
void sql_put_writable(const SqlScope *s, Buf *out)
{
    buf_put_char(out, '(');
    sql_put_own(s, out);
    if (s->role_count) {
        buf_printf(out, " OR (%s%s IN ('FAMILY', 'PUBLIC') AND ", s->row, s->column);
        put_members(s, out);
        buf_printf(out, " AND m.%s IN (", s->role_column);
        for (uint32_t i = 0; i < s->role_count; i++)
            buf_printf(out, "%s%s", i ? ", " : "", s->roles[i]);
        buf_put_text(out, ")))");
    }
    buf_put_char(out, ')');
}

/* ---- the wall of the database ------------------------------------------------------------------------- */

typedef struct Wall {
    SqlDb *db;
    StoreBatch *batch;
    const Image *image;
    const ImageTable *table, *members;
    Str name;                            /* t_agent_table, unquoted */
    Error *error;
} Wall;

static Err put_name(const Wall *w, const char *prefix, Str name, const char **out)
{
    Buf text = { 0 };
    Err err = sql_put_identifier(w->db->dialect, &text, prefix, name, w->error);
    *out = arena_str(w->batch->arena, buf_str(&text)).ptr;
    buf_free(&text);
    return err;
}

static Err table_name(const Wall *w, const ImageTable *table, Str *out)
{
    Buf text = { 0 };
    Err err = sql_table_name(w->image, table, &text, w->error);
    *out = arena_str(w->batch->arena, buf_str(&text));
    buf_free(&text);
    return err;
}

/* A policy takes no parameters, so the database itself quotes the roles. */
static Err put_roles(const Wall *w, SqlScope *scope)
{
    const ImageVisibility *v = &w->table->visibility;
    bool optional;
    const ImageType *role = sql_plain_type(w->image, w->members->columns[v->role_column].type, &optional);
    Err err = put_name(w, "c_", w->members->columns[v->role_column].name, &scope->role_column);
    scope->roles = ARENA_ARRAY(w->batch->arena, const char *, role->member_count + 1);
    for (uint32_t i = 0; i < role->member_count && i < 64 && !err; i++) {
        SqlRows rows;
        const Cell member = cell_text(role->members[i]);
        if (!(v->writers >> i & 1))
            continue;
        err = w->db->run(w->db, str_of(w->db->dialect->quote), &member, 1, w->batch->arena, &rows, w->error);
        if (!err)
            scope->roles[scope->role_count++] = arena_str(w->batch->arena, rows.set.cells[0].text).ptr;
    }
    return err;
}

static Err wall_scope(const Wall *w, SqlScope *out)
{
    const ImageVisibility *v = &w->table->visibility;
    Str members;
    *out = (SqlScope){ .row = "", .tenant = w->db->dialect->scope_tenant, .user = w->db->dialect->scope_user };
    Err err = table_name(w, w->members, &members);
    if (!err)
        err = put_name(w, "", members, &out->members);
    if (!err)
        err = put_name(w, "c_", w->table->columns[v->column].name, &out->column);
    if (!err)
        err = put_name(w, "c_", w->members->columns[v->user_column].name, &out->user_column);
    return err || v->role_column == NO_INDEX ? err : put_roles(w, out);
}

static Err run_template(const Wall *w, const SqlScope *scope, const char *template)
{
    Buf sql = { 0 };
    Err err = ERR_OK;
    for (const char *p = template; *p && !err; p++) {
        if (p[0] != '@') {
            buf_put_char(&sql, *p);
            continue;
        }
        switch (*++p) {
        case 't': err = sql_put_identifier(w->db->dialect, &sql, "", w->name, w->error); break;
        case 'o': sql_put_own(scope, &sql); break;
        case 'r': sql_put_readable(scope, &sql); break;
        default:  sql_put_writable(scope, &sql); break;
        }
    }
    if (!err)
        err = w->db->run(w->db, buf_str(&sql), NULL, 0, w->batch->arena, NULL, w->error);
    buf_free(&sql);
    return err;
}

/* The rule in words: that of the author, with the names of the store. */
static Err rule_text(const Wall *w, Buf *out)
{
    const ImageVisibility *v = &w->table->visibility;
    bool optional;
    buf_printf(out, "visible by %.*s to ", STR_ARG(w->table->columns[v->column].name));
    Err err = sql_table_name(w->image, w->members, out, w->error);
    if (v->role_column == NO_INDEX)
        return err;
    const ImageType *role = sql_plain_type(w->image, w->members->columns[v->role_column].type, &optional);
    const char *comma = " write (";
    for (uint32_t i = 0; i < role->member_count && i < 64; i++) {
        if (!(v->writers >> i & 1))
            continue;
        buf_printf(out, "%s%.*s", comma, STR_ARG(role->members[i]));
        comma = ", ";
    }
    buf_put_char(out, ')');
    return err;
}

/* Told from the indexes by its name. Two programs that mean different rules would each see what the other hides. */
static Err ensure_rule(const Wall *w, Str rule, bool *is_new)
{
    SqlRows rows;
    const Cell args[] = { cell_text(w->name), cell_text(rule) };
    *is_new = false;
    Err err = w->db->run(w->db, STR("SELECT index_name FROM flow_indexes WHERE table_name = ?1 AND index_name LIKE 'visible by %'"), args, 1, w->batch->arena, &rows, w->error);
    if (err)
        return err;
    if (rows.set.rows == 0) {
        *is_new = true;
        return SQL_RUN(w->db, "INSERT INTO flow_indexes (table_name, index_name) VALUES (?1, ?2)", args, w->batch->arena, NULL, w->error);
    }
    Str old = rows.set.cells[0].text;
    return str_eq(old, rule) ? ERR_OK : err_set(w->error, ERR_CONFLICT, "table `%.*s` is `%.*s` in the store, not `%.*s`", STR_ARG(w->table->name), STR_ARG(old), STR_ARG(rule));
}

Err sql_ensure_visibility(SqlDb *db, StoreBatch *batch, const Image *image, const ImageTable *table, Error *error)
{
    const ImageVisibility *v = &table->visibility;
    if (v->members >= image->table_count || v->column >= table->column_count)
        return err_set(error, ERR_INVALID, "table `%.*s`: a visibility that is not there", STR_ARG(table->name));
    Wall w = { .db = db, .batch = batch, .image = image, .table = table, .members = &image->tables[v->members], .error = error };
    if (v->user_column >= w.members->column_count || (v->role_column != NO_INDEX && v->role_column >= w.members->column_count))
        return err_set(error, ERR_INVALID, "table `%.*s`: members without their columns", STR_ARG(table->name));
    Buf rule = { 0 };
    bool is_new;
    Err err = table_name(&w, table, &w.name);
    if (!err)
        err = rule_text(&w, &rule);
    if (!err)
        err = ensure_rule(&w, arena_str(batch->arena, buf_str(&rule)), &is_new);
    buf_free(&rule);
    SqlScope scope;
    if (err || !is_new || !db->dialect->secure_visible || (err = wall_scope(&w, &scope)))
        return err;
    for (const char *const *statement = db->dialect->secure_visible; *statement && !err; statement++)
        err = run_template(&w, &scope, *statement);
    return err;
}
