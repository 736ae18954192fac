/* sql.c - turns a query of an image into one SQL statement with parameters.
 *
 * Every source of rows gets its condition on the tenant and the owner in one place (put_scope), and nowhere else. Expressions are in sql_expr.c.
 */
#include "interpreter/store/sql_render.h"

/* Roles are bound: nothing says that the members of an enum are words. */
static SqlScope scope_of(Render *r, const ImageTable *table, uint32_t source)
{
    const ImageVisibility *v = &table->visibility;
    SqlScope scope = { .row = arena_printf(r->arena, "s%u.", source), .column = render_quoted(r, "c_", sql_column_name(table, v->column)) };
    scope.tenant = render_bind(r, (SqlBind){ .kind = BIND_TENANT });
    scope.user = render_bind(r, (SqlBind){ .kind = BIND_OWNER });
    const ImageTable *members = v->members < r->image->table_count ? &r->image->tables[v->members] : NULL;
    if (!members) {
        render_fail(r, ERR_INVALID, "no such table of members");
        return scope;
    }
    scope.members = render_quoted_table(r, members);
    scope.user_column = render_quoted(r, "c_", sql_column_name(members, v->user_column));
    if (v->role_column == NO_INDEX)
        return scope;
    bool optional;
    const ImageType *role = sql_plain_type(r->image, sql_column_type(members, v->role_column), &optional);
    scope.role_column = render_quoted(r, "c_", sql_column_name(members, v->role_column));
    scope.roles = ARENA_ARRAY(r->arena, const char *, role->member_count + 1);
    for (uint32_t i = 0; i < role->member_count && i < 64; i++)
        if (v->writers >> i & 1)
            scope.roles[scope.role_count++] = render_bind_text(r, role->members[i]);
    return scope;
}

/* A new value there would meet what only the owner may know: whether he has another such row; and who sees the row is his to say. */
static bool sets_what_only_the_owner_may(const Query *q, const ImageTable *table)
{
    for (uint32_t i = 0; i < q->set_count; i++) {
        uint16_t column = q->sets[i].column;
        if (column == table->visibility.column || column == table->id_column)
            return true;
        for (uint32_t k = 0; k < table->index_count; k++)
            for (uint32_t n = 0; table->indexes[k].unique && n < table->indexes[k].column_count; n++)
                if (table->indexes[k].columns[n] == column)
                    return true;
    }
    return false;
}

/* The one place where tenant, owner and visibility get into a condition. */
static void put_scope(Render *r, Buf *out, uint32_t source)
{
    const ImageTable *table = render_source_table(r, source);
    buf_printf(out, "s%u.tenant_id = %s", source, render_bind(r, (SqlBind){ .kind = BIND_TENANT }));
    if (!table || table->shared)
        return;
    if (!table->visibility.declared) {
        buf_printf(out, " AND s%u.owner_id = %s", source, render_bind(r, (SqlBind){ .kind = BIND_OWNER }));
        return;
    }
    SqlScope scope = scope_of(r, table, source);
    bool writes = source == 0 && r->query->kind >= QUERY_INSERT;
    buf_put_text(out, " AND ");
    (!writes ? sql_put_readable : sets_what_only_the_owner_may(r->query, table) ? sql_put_own : sql_put_writable)(&scope, out);
}

static bool may_raise(const QueryExpr *expr)
{
    for (uint32_t i = 0; i < expr->count; i++)
        if (expr->items[i].op == QX_ADD || expr->items[i].op == QX_SUB || expr->items[i].op == QX_MUL)
            return true;
    return false;
}

/* The scopes of the visible tables among the sources up to this one. */
static void put_guard(Render *r, Buf *out, uint32_t last_source)
{
    for (uint32_t i = 0; i <= last_source && !r->err; i++) {
        const ImageTable *table = render_source_table(r, i);
        if (!table || !table->visibility.declared)
            continue;
        buf_put_text(out, out->len ? " AND " : "");
        put_scope(r, out, i);
    }
}

/* Where the operand that ends before `end` begins. */
static uint16_t operand_begin(const QueryExpr *expr, uint16_t end)
{
    int wanted = 1;
    while (end && wanted)
        wanted += render_operands((QueryOp)expr->items[--end].op) - 1;
    return end;
}

static void put_conjunct(Render *r, Buf *out, const QueryExpr *expr, Buf *guard)
{
    const char *sql = render_expression(r, expr).sql;
    if (guard->len && may_raise(expr))
        buf_printf(out, " AND CASE WHEN %s THEN %s ELSE FALSE END", buf_cstr(guard), sql);
    else
        buf_printf(out, " AND %s", sql);
}

/* A database tests conditions in the order it likes, and arithmetic fails on some rows: on a row that must stay hidden, the failure would tell of it.
   So that part of a condition is only tried on rows that are known to be visible. */
static void put_condition(Render *r, Buf *out, const QueryExpr *expr, uint32_t last_source)
{
    Buf guard = { 0 };
    QueryExpr rest = *expr;
    if (may_raise(expr))
        put_guard(r, &guard, last_source);
    while (guard.len && rest.count && rest.items[rest.count - 1].op == QX_AND && !r->err) {
        uint16_t begin = operand_begin(expr, (uint16_t)(rest.count - 1));
        QueryExpr last = { rest.items + begin, (uint16_t)(rest.count - 1 - begin) };
        put_conjunct(r, out, &last, &guard);
        rest.count = begin;
    }
    if (rest.count)
        put_conjunct(r, out, &rest, &guard);
    buf_free(&guard);
}

static void put_where(Render *r, Buf *out)
{
    buf_put_text(out, " WHERE ");
    put_scope(r, out, 0);
    put_condition(r, out, &r->query->where, r->query->join_count);
}

static void put_from(Render *r, Buf *out)
{
    const ImageTable *table = render_source_table(r, 0);
    if (!table)
        return;
    buf_printf(out, " FROM %s AS s0", render_quoted_table(r, table));
    for (uint32_t i = 0; i < r->query->join_count && !r->err; i++) {
        if (!(table = render_source_table(r, i + 1)))
            return;
        buf_printf(out, " JOIN %s AS s%u ON (", render_quoted_table(r, table), i + 1);
        put_scope(r, out, i + 1);
        put_condition(r, out, &r->query->joins[i].on, i + 1);
        buf_put_char(out, ')');
    }
}

static void put_output(Render *r, Buf *out, Term term)
{
    if (r->out->out_count)
        buf_put_text(out, ", ");
    buf_put_text(out, term.sql);
    r->out->out_types[r->out->out_count++] = term.type;
}

static void put_columns(Render *r, Buf *out, bool qualified)
{
    const ImageTable *table = render_source_table(r, 0);
    for (uint32_t i = 0; table && i < sql_column_count(table); i++) {
        Term term = render_typed(r, qualified ? render_column(r, 0, i).sql : render_quoted(r, "c_", sql_column_name(table, i)), sql_column_type(table, i));
        put_output(r, out, term);
    }
}

static uint16_t result_type(Render *r, uint32_t output)
{
    const Query *q = r->query;
    bool optional;
    if (q->kind == QUERY_AGGREGATE || q->row_type >= r->image->type_count)
        return q->result;
    const ImageType *row = sql_plain_type(r->image, q->row_type, &optional);
    return row->kind == KIND_RECORD && output < row->field_count ? row->fields[output].type : q->result;
}

static void put_outputs(Render *r, Buf *out)
{
    if (r->query->output_count == 0) {
        put_columns(r, out, true);
        return;
    }
    for (uint32_t i = 0; i < r->query->output_count && !r->err; i++) {
        r->avg_kind = render_typed(r, "", result_type(r, i)).kind;
        put_output(r, out, render_settle(r, render_expression(r, &r->query->outputs[i])));
    }
}

static void put_order(Render *r, Buf *out)
{
    const Query *q = r->query;
    const char *word = " ORDER BY ";
    if (q->kind == QUERY_SELECT_ONE && render_source_table(r, 0) && render_source_table(r, 0)->visibility.declared) {       /* ids are the owner's: the own row comes first */
        buf_printf(out, "%sCASE WHEN s0.owner_id = %s THEN 0 ELSE 1 END", word, render_bind(r, (SqlBind){ .kind = BIND_OWNER }));
        word = ", ";
    }
    for (uint32_t i = 0; i < q->order_count && !r->err; i++, word = ", ")
        buf_printf(out, "%s%s%s", word, render_ordered(r, render_expression(r, &q->orders[i].value)), q->orders[i].descending ? " DESC" : "");
    if (q->group_count == 0)                               /* ties in the order of insertion, on every store */
        buf_printf(out, "%ss0.row_no", word);
}

static void render_select(Render *r, Buf *out)
{
    const Query *q = r->query;
    buf_put_text(out, "SELECT ");
    put_outputs(r, out);
    put_from(r, out);
    put_where(r, out);
    for (uint32_t i = 0; i < q->group_count && !r->err; i++)
        buf_printf(out, "%s%s", i ? ", " : " GROUP BY ", render_expression(r, &q->groups[i]).sql);
    if (q->kind == QUERY_AGGREGATE)
        return;
    put_order(r, out);
    if (q->kind == QUERY_SELECT_ONE)
        buf_put_text(out, " LIMIT 1");
    else if (q->limit_param != NO_INDEX)
        buf_printf(out, " LIMIT %s", render_param(r, q->limit_param, false).sql);
}

static void render_exists(Render *r, Buf *out)
{
    buf_put_text(out, "SELECT EXISTS (SELECT 1");
    put_from(r, out);
    put_where(r, out);
    buf_put_char(out, ')');
    r->out->out_types[r->out->out_count++] = TYPE_INDEX_BOOL;
}

static SqlBind default_bind(Render *r, const ImageColumn *column)
{
    SqlBind b = { .kind = BIND_CONST, .value = cell_null() };
    if (!column->has_default || column->default_const == NO_INDEX)
        return b;
    if (column->default_const >= r->image->const_count) {
        render_fail(r, ERR_INVALID, "a default that is not there");
        return b;
    }
    const ImageConst *c = &r->image->consts[column->default_const];
    bool optional;
    const ImageType *type = sql_plain_type(r->image, c->type, &optional);
    switch (type->kind) {
    case KIND_ENUM:
        if (c->word < type->member_count)
            b.value = cell_text(type->members[c->word]);
        else
            render_fail(r, ERR_INVALID, "a default that is no member of its enum");
        return b;
    case KIND_FLOAT:
        b.value.kind = CELL_FLOAT;
        memcpy(&b.value.f, &c->word, sizeof b.value.f);
        return b;
    case KIND_BYTES:
        b.value = cell_blob(c->bytes);
        return b;
    case KIND_VOID:
        return b;
    default:
        b.value = kind_is_intlike(type->kind) ? cell_u64(c->word) : cell_text(c->bytes);
        return b;
    }
}

/* Defaults are bound in the stored form: decimals canonical. */
static const char *bind_default(Render *r, const ImageColumn *column)
{
    SqlBind b = default_bind(r, column);
    Decimal d;
    bool optional;
    TypeKind kind = column->type < r->image->type_count ? sql_plain_type(r->image, column->type, &optional)->kind : KIND_VOID;
    if (kind == KIND_DECIMAL && b.value.kind != CELL_NULL) {
        Buf text = { 0 };
        if (b.value.kind == CELL_INT)
            d = decimal_from_int(b.value.i);
        else if (decimal_from_text(b.value.text, &d))
            return render_fail(r, ERR_INVALID, "a default that is no decimal");
        decimal_print_canonical(d, &text);
        b.value = (Cell){ .kind = CELL_TEXT, .text = arena_str(r->arena, buf_str(&text)) };
        buf_free(&text);
        decimal_release(d);
    }
    b.type = r->dialect->cast ? kind : KIND_VOID;          /* then one placeholder cannot stand for two types */
    return render_cast(r, render_bind(r, b), kind);
}

static const QuerySet *set_of(const Query *q, uint32_t column)
{
    for (uint32_t i = 0; i < q->set_count; i++)
        if (q->sets[i].column == column)
            return &q->sets[i];
    return NULL;
}

static bool is_version(const ImageTable *table, uint32_t column)
{
    return table->versioned && str_is(sql_column_name(table, column), "version");
}

static void render_insert(Render *r, Buf *out)
{
    const ImageTable *table = render_source_table(r, 0);
    if (!table)
        return;
    r->columns_allowed = false;
    Buf values = { 0 };
    buf_printf(out, "INSERT INTO %s (tenant_id, owner_id", render_quoted_table(r, table));
    buf_put_text(&values, render_bind(r, (SqlBind){ .kind = BIND_TENANT }));       /* one by one: the numbers must not depend on the compiler */
    buf_printf(&values, ", %s", render_bind(r, (SqlBind){ .kind = BIND_OWNER }));
    for (uint32_t i = 0; i < sql_column_count(table) && !r->err; i++) {
        const QuerySet *set = set_of(r->query, i);
        buf_printf(out, ", %s", render_quoted(r, "c_", sql_column_name(table, i)));
        const char *value = is_version(table, i) ? render_cast(r, render_bind(r, (SqlBind){ .kind = BIND_CONST, .value = cell_int(1), .type = r->dialect->cast ? KIND_INT : KIND_VOID }), KIND_INT)
                          : set ? render_value_for(r, &set->value, sql_column_type(table, i)).sql : bind_default(r, &table->columns[i]);
        buf_printf(&values, ", %s", value);
    }
    buf_printf(out, ") VALUES (%s) RETURNING ", buf_cstr(&values));
    buf_free(&values);
    put_columns(r, out, false);
}

static uint16_t machine_of(const Image *image, uint16_t type)
{
    bool optional;
    uint16_t plain = (uint16_t)(sql_plain_type(image, type, &optional) - image->types);
    for (uint32_t i = 0; i < image->machine_count; i++)
        if (image->machines[i].type == plain)
            return (uint16_t)i;
    return NO_INDEX;
}

static void render_update(Render *r, Buf *out)
{
    const ImageTable *table = render_source_table(r, 0);
    const Query *q = r->query;
    if (!table)
        return;
    buf_printf(out, "UPDATE %s AS s0 SET ", render_quoted_table(r, table));
    const char *comma = "";
    for (uint32_t i = 0; i < q->set_count && !r->err; i++) {
        if (q->sets[i].column >= sql_column_count(table)) {
            render_fail(r, ERR_INVALID, "a column that is not there");
            return;
        }
        if (is_version(table, q->sets[i].column))
            continue;
        const char *value = render_value_for(r, &q->sets[i].value, sql_column_type(table, q->sets[i].column)).sql;
        buf_printf(out, "%s%s = %s", comma, render_quoted(r, "c_", sql_column_name(table, q->sets[i].column)), value);
        comma = ", ";
    }
    if (table->versioned)
        buf_printf(out, "%s\"c_version\" = s0.\"c_version\" + 1", comma);
    else if (!*comma)
        render_fail(r, ERR_INVALID, "an update that sets nothing");
    put_where(r, out);
}

static void render_delete(Render *r, Buf *out)
{
    const ImageTable *table = render_source_table(r, 0);
    if (!table)
        return;
    buf_printf(out, "DELETE FROM %s AS s0", render_quoted_table(r, table));
    put_where(r, out);
}

static Str render_one(Render *r, SqlText *into, void (*render)(Render *r, Buf *out))
{
    r->out = into;
    r->bind_cap = 0;
    r->columns_allowed = true;
    Buf out = { 0 };
    render(r, &out);
    Str sql = arena_str(r->arena, buf_str(&out));
    buf_free(&out);
    return sql;
}

typedef struct Transition { Render base; const QuerySet *set; } Transition;

static void render_transition(Render *r, Buf *out)
{
    const QuerySet *set = ((Transition *)r)->set;
    Term old = render_column(r, 0, set->column);
    bool locks = *r->dialect->lock_rows;
    buf_printf(out, "SELECT %s%s, %s", locks ? "" : "DISTINCT ", old.sql, render_expression(r, &set->value).sql);
    put_from(r, out);
    put_where(r, out);
    buf_put_text(out, r->dialect->lock_rows);
}

static void render_transitions(Render *r, SqlText *text)
{
    const Query *q = r->query;
    const ImageTable *table = render_source_table(r, 0);
    text->transitions = ARENA_ARRAY(r->arena, SqlTransition, q->set_count);
    for (uint32_t i = 0; table && i < q->set_count && !r->err; i++) {
        uint16_t machine = q->sets[i].column < table->column_count ? machine_of(r->image, table->columns[q->sets[i].column].type) : NO_INDEX;
        if (machine == NO_INDEX)
            continue;
        SqlText one = { 0 };
        Transition t = { .base = *r, .set = &q->sets[i] };
        SqlTransition *transition = &text->transitions[text->transition_count++];
        transition->sql = render_one(&t.base, &one, render_transition);
        transition->column = q->sets[i].column;
        transition->machine = machine;
        transition->binds = one.binds;
        transition->bind_count = one.bind_count;
        r->err = t.base.err;
    }
}

Err sql_render(Arena *arena, const SqlDialect *dialect, const Image *image, uint16_t query, SqlText *out, Error *error)
{
    static void (*const RENDER[])(Render *, Buf *) = {
        [QUERY_SELECT] = render_select, [QUERY_SELECT_ONE] = render_select, [QUERY_AGGREGATE] = render_select, [QUERY_EXISTS] = render_exists,
        [QUERY_INSERT] = render_insert, [QUERY_UPDATE] = render_update, [QUERY_DELETE] = render_delete,
    };
    *out = (SqlText){ 0 };
    if (query >= image->query_count || image->queries[query].kind > QUERY_DELETE)
        return err_set(error, ERR_INVALID, "cannot render query: no query %u", query);
    const Query *q = &image->queries[query];
    if (q->join_count > QUERY_JOINS_MAX || q->output_count > QUERY_OUTPUTS_MAX)
        return err_set(error, ERR_LIMIT, "cannot render query: more than %d joins or %d outputs", QUERY_JOINS_MAX, QUERY_OUTPUTS_MAX);
    if (q->kind >= QUERY_INSERT && q->join_count)
        return err_set(error, ERR_UNSUPPORTED, "cannot render query: a write with a join");
    Render r = { .arena = arena, .dialect = dialect, .image = image, .query = q, .error = error };
    uint32_t columns = q->table < image->table_count ? sql_column_count(&image->tables[q->table]) : 0;
    out->out_types = ARENA_ARRAY(arena, uint16_t, columns + q->output_count + 1);
    out->sql = render_one(&r, out, RENDER[q->kind]);
    if (q->kind == QUERY_UPDATE && !r.err)
        render_transitions(&r, out);
    return r.err;
}
