/* sql_expr.c - expressions of a query as SQL.
 *
 * Postfix items become text on a stack of terms that know their type, because decimals, enums and optionals need other words than
 * integers do. Placeholders are numbered, so a parameter that is used twice is bound once.
 */
#include "interpreter/store/sql_render.h"

#include "base/decimal.h"

const char *render_fail(Render *r, Err err, const char *what)
{
    if (!r->err)
        r->err = err_set(r->error, err, "cannot render query: %s", what);
    return "NULL";
}

/* ---- pieces -------------------------------------------------------------------------------------------- */

static const char *text_of(Render *r, Buf *buf)
{
    const char *text = arena_str(r->arena, buf_str(buf)).ptr;
    buf_free(buf);
    return text;
}

static const char *expand_typed(Render *r, const char *template, const char *a, const char *b, const char *c)
{
    Buf out = { 0 };
    for (const char *p = template; *p; p++) {
        if (p[0] == '@' && p[1] >= 'a' && p[1] <= 'c') {
            p++;
            buf_put_text(&out, *p == 'a' ? a : *p == 'b' ? b : c);
        } else
            buf_put_char(&out, *p);
    }
    return text_of(r, &out);
}

static const char *expand(Render *r, const char *template, const char *a, const char *b)
{
    return expand_typed(r, template, a, b, "");
}

static bool same_bind(const SqlBind *a, const SqlBind *b)
{
    if (a->kind != b->kind || a->param != b->param || a->type != b->type)
        return false;
    const Cell *x = &a->value, *y = &b->value;
    return a->kind != BIND_CONST || (x->kind == y->kind && x->i == y->i && x->f == y->f && str_eq(x->text, y->text));
}

const char *render_bind(Render *r, SqlBind one)
{
    SqlText *out = r->out;
    if (one.kind == BIND_CONST)
        one.value.text = arena_str(r->arena, one.value.text);       /* rendered text outlives the image */
    uint32_t at = 0;
    while (at < out->bind_count && !same_bind(&out->binds[at], &one))
        at++;
    if (at == out->bind_count) {
        if (out->bind_count == r->bind_cap) {
            r->bind_cap = r->bind_cap ? r->bind_cap * 2 : 16;
            SqlBind *binds = ARENA_ARRAY(r->arena, SqlBind, r->bind_cap);
            if (out->bind_count)
                memcpy(binds, out->binds, sizeof *binds * out->bind_count);
            out->binds = binds;
        }
        out->binds[out->bind_count++] = one;
    }
    return arena_printf(r->arena, "%c%u", r->dialect->placeholder, at + 1);
}

const char *render_bind_text(Render *r, Str text)
{
    return render_bind(r, (SqlBind){ .kind = BIND_CONST, .value = cell_text(text) });
}

const ImageTable *render_source_table(Render *r, uint32_t source)
{
    uint16_t index = source == 0 ? r->query->table : source <= r->query->join_count ? r->query->joins[source - 1].table : NO_INDEX;
    if (index >= r->image->table_count) {
        render_fail(r, ERR_INVALID, "no such table");
        return NULL;
    }
    return &r->image->tables[index];
}

const char *render_quoted(Render *r, const char *prefix, Str name)
{
    Buf buf = { 0 };
    Err err = sql_put_identifier(r->dialect, &buf, prefix, name, r->error);
    if (err && !r->err)
        r->err = err;
    return text_of(r, &buf);
}

const char *render_quoted_table(Render *r, const ImageTable *table)
{
    Buf name = { 0 };
    Err err = sql_table_name(r->image, table, &name, r->error);
    if (err && !r->err)
        r->err = err;
    const char *text = render_quoted(r, "", buf_str(&name));
    buf_free(&name);
    return text;
}

Term render_typed(Render *r, const char *sql, uint16_t type)
{
    Term term = { .sql = sql, .type = type };
    if (type >= r->image->type_count) {
        render_fail(r, ERR_INVALID, "no such type");
        return term;
    }
    const ImageType *plain = sql_plain_type(r->image, type, &term.optional);
    term.type = (uint16_t)(plain - r->image->types);
    term.kind = plain->kind;
    return term;
}

Term render_column(Render *r, uint32_t source, uint32_t column)
{
    const ImageTable *table = render_source_table(r, source);
    if (!table || column >= sql_column_count(table) || !r->columns_allowed)
        return (Term){ .sql = render_fail(r, ERR_INVALID, "a column that is not there") };
    const char *name = render_quoted(r, "c_", sql_column_name(table, column));
    return render_typed(r, arena_printf(r->arena, "s%u.%s", source, name), sql_column_type(table, column));
}

/* A placeholder where the database would have to guess its type. */
const char *render_cast(Render *r, const char *placeholder, TypeKind kind)
{
    const SqlDialect *d = r->dialect;
    const char *type = sql_type_name(d, kind);
    return d->cast && type ? expand_typed(r, type == d->type_text ? d->cast_text : d->cast, placeholder, "", type) : placeholder;
}

Term render_param(Render *r, uint16_t param, bool of_in)
{
    if (param >= r->query->param_count)
        return (Term){ .sql = render_fail(r, ERR_INVALID, "a parameter that is not there") };
    Term term = render_typed(r, "", r->query->params[param]);
    term.param = param;
    term.list = of_in;
    if (!of_in)
        term.sql = render_cast(r, render_bind(r, (SqlBind){ .kind = BIND_PARAM, .param = param }), term.kind);
    else if (term.kind != KIND_LIST)
        render_fail(r, ERR_INVALID, "`in` without a list");
    return term;
}

/* ---- terms --------------------------------------------------------------------------------------------- */

static Term as_decimal(Render *r, Term t)
{
    if (t.kind == KIND_INT)
        t.sql = expand(r, r->dialect->decimal_of_int, t.sql, "");
    else if (t.kind != KIND_DECIMAL && t.kind != KIND_VOID)
        render_fail(r, ERR_INVALID, "a decimal beside something that is none");
    t.kind = KIND_DECIMAL;
    t.type = TYPE_INDEX_DECIMAL;
    return t;
}

static Term bool_term(const char *sql, bool unsure)
{
    return (Term){ .sql = sql, .kind = KIND_BOOL, .type = TYPE_INDEX_BOOL, .unsure = unsure };
}

/* A comparison with null is false in the language and null in SQL. In a condition the two are one, elsewhere they are not. */
Term render_settle(Render *r, Term t)
{
    if (t.unsure)
        t.sql = arena_printf(r->arena, "COALESCE(%s, FALSE)", t.sql);
    t.unsure = false;
    return t;
}

/* Enums are stored by name and ordered as declared. */
static const char *enum_rank(Render *r, Term t)
{
    const ImageType *type = &r->image->types[t.type];
    Buf out = { 0 };
    buf_printf(&out, "(CASE %s", t.sql);
    for (uint32_t i = 0; i < type->member_count; i++)
        buf_printf(&out, " WHEN %s THEN %u", render_bind_text(r, type->members[i]), i);
    buf_put_text(&out, " END)");
    return text_of(r, &out);
}

static const char *enum_name(Render *r, uint16_t type, const char *rank)
{
    const ImageType *t = &r->image->types[type];
    Buf out = { 0 };
    buf_printf(&out, "(CASE %s", rank);
    for (uint32_t i = 0; i < t->member_count; i++)
        buf_printf(&out, " WHEN %u THEN %s", i, render_bind_text(r, t->members[i]));
    buf_put_text(&out, " END)");
    return text_of(r, &out);
}

/* How a term stands where order matters. */
const char *render_ordered(Render *r, Term t)
{
    return t.kind == KIND_DECIMAL ? expand(r, r->dialect->decimal_order, t.sql, "") : t.kind == KIND_ENUM ? enum_rank(r, t) : t.sql;
}

static Term compare(Render *r, QueryOp op, Term a, Term b)
{
    if (a.kind == KIND_DECIMAL || b.kind == KIND_DECIMAL) {
        a = as_decimal(r, a);
        b = as_decimal(r, b);
    }
    bool nulls = a.optional || b.optional;
    const char *word = op == QX_EQ ? (nulls ? r->dialect->same : "=") : op == QX_NE ? (nulls ? r->dialect->differs : "<>")
                     : op == QX_LT ? "<" : op == QX_LE ? "<=" : op == QX_GT ? ">" : ">=";
    bool rank = (a.kind == KIND_ENUM || b.kind == KIND_ENUM) && op != QX_EQ && op != QX_NE;
    if (rank && a.kind != b.kind)
        render_fail(r, ERR_INVALID, "an enum compared with something else");
    const char *left = a.kind == KIND_DECIMAL || rank ? render_ordered(r, a) : a.sql, *right = rank ? render_ordered(r, b) : b.sql;
    return bool_term(arena_printf(r->arena, "(%s %s %s)", left, word, right), nulls && op != QX_EQ && op != QX_NE);
}

/* The type of a sum of int-like operands; with text where dates, which count days, meet durations. */
static Term arith_time(Render *r, QueryOp op, Term a, Term b)
{
    const SqlDialect *d = r->dialect;
    Term out = a.kind == KIND_INT || (a.kind == KIND_DURATION && op == QX_ADD) ? b : a;       /* int * duration, duration + timestamp */
    out.sql = NULL;
    if (op == QX_SUB && a.kind == b.kind && (a.kind == KIND_TIMESTAMP || a.kind == KIND_DATE)) {
        out.kind = KIND_DURATION;
        out.type = TYPE_INDEX_DURATION;
        if (a.kind == KIND_DATE)
            out.sql = expand(r, d->int_mul, expand(r, d->int_sub, a.sql, b.sql), "86400000000");
    } else if (out.kind == KIND_DATE) {
        const char *by = a.kind == KIND_DATE ? b.sql : a.sql;
        out.sql = expand(r, d->date_shift, a.kind == KIND_DATE ? a.sql : b.sql, op == QX_SUB ? expand(r, d->int_sub, "0", by) : by);
    }
    return out;
}

static Term arith(Render *r, QueryOp op, Term a, Term b)
{
    const SqlDialect *d = r->dialect;
    bool optional = a.optional || b.optional;
    Term out;
    if (a.kind == KIND_DECIMAL || b.kind == KIND_DECIMAL) {
        out = as_decimal(r, a);
        out.sql = expand(r, op == QX_ADD ? d->decimal_add : op == QX_SUB ? d->decimal_sub : d->decimal_mul, out.sql, as_decimal(r, b).sql);
    } else if (a.kind == KIND_FLOAT || b.kind == KIND_FLOAT) {
        out = a;
        out.kind = KIND_FLOAT;
        out.type = TYPE_INDEX_FLOAT;
        out.sql = arena_printf(r->arena, "(%s %c %s)", a.sql, op == QX_ADD ? '+' : op == QX_SUB ? '-' : '*', b.sql);
    } else {
        if (!kind_is_intlike(a.kind) || !kind_is_intlike(b.kind) || a.kind == KIND_ENUM || b.kind == KIND_ENUM)
            render_fail(r, ERR_INVALID, "arithmetic on something that is no number");
        out = arith_time(r, op, a, b);
        if (!out.sql)
            out.sql = expand(r, op == QX_ADD ? d->int_add : op == QX_SUB ? d->int_sub : d->int_mul, a.sql, b.sql);
    }
    out.optional = optional;
    out.list = false;
    return out;
}

static Term in_list(Render *r, Term value, Term list)
{
    if (!list.list)
        return bool_term(render_fail(r, ERR_INVALID, "`in` without a list"), false);
    const char *param = render_bind(r, (SqlBind){ .kind = BIND_LIST, .param = list.param });
    Term item = render_typed(r, "", r->image->types[list.type].element);
    if (item.kind == KIND_DECIMAL || value.kind == KIND_DECIMAL)
        value = as_decimal(r, value);
    const char *left = value.kind == KIND_DECIMAL ? render_ordered(r, value) : value.sql;
    const SqlDialect *d = r->dialect;
    const char *type = sql_type_name(d, value.kind), *template = value.kind == KIND_BYTES ? d->in_blob_list : type == d->type_text ? d->in_text_list : d->in_list;
    return bool_term(expand_typed(r, template, left, param, type ? type : ""), value.optional);
}

static Term text_call(Render *r, const char *template, Term a, Term b, TypeKind kind)
{
    Term out = { .sql = expand(r, template, a.sql, b.sql), .kind = kind, .type = kind == KIND_BOOL ? TYPE_INDEX_BOOL : TYPE_INDEX_STRING };
    out.optional = kind != KIND_BOOL && (a.optional || b.optional);
    out.unsure = kind == KIND_BOOL && (a.optional || b.optional);
    return out;
}

static Term sum(Render *r, Term t)
{
    Term out = t;
    out.optional = false;
    if (t.kind == KIND_DECIMAL)
        out.sql = expand(r, r->dialect->decimal_sum, t.sql, "");
    else if (t.kind == KIND_FLOAT)
        out.sql = arena_printf(r->arena, "COALESCE(SUM(%s), 0.0)", t.sql);
    else if (kind_is_intlike(t.kind) && t.kind != KIND_ENUM)
        out.sql = expand(r, r->dialect->int_sum, t.sql, "");
    else
        render_fail(r, ERR_INVALID, "the sum of something that is no number");
    return out;
}

static Term average(Render *r, Term t)
{
    Term out = t;
    out.optional = true;
    if (t.kind == KIND_DECIMAL || r->avg_kind == KIND_DECIMAL) {
        out = as_decimal(r, t);
        out.optional = true;
        out.sql = expand(r, r->dialect->decimal_avg, out.sql, "");
        return out;
    }
    if (t.kind == KIND_ENUM || (!kind_is_intlike(t.kind) && t.kind != KIND_FLOAT))
        render_fail(r, ERR_INVALID, "the average of something that is no number");
    out.sql = expand(r, r->dialect->avg, t.sql, "");
    if (kind_is_intlike(r->avg_kind))
        out.sql = expand(r, r->dialect->int_of_float, out.sql, "");
    else
        out.kind = KIND_FLOAT, out.type = TYPE_INDEX_FLOAT;
    return out;
}

static Term aggregate(Render *r, QueryOp op, Term t)
{
    Term out = t;
    switch (op) {
    case QX_COUNT: return render_typed(r, arena_printf(r->arena, "COUNT(%s)", t.sql), TYPE_INDEX_INT);
    case QX_SUM:   return sum(r, t);
    case QX_AVG:   return average(r, t);
    default:
        out.optional = true;
        out.sql = arena_printf(r->arena, "%s(%s)", op == QX_MIN ? "MIN" : "MAX", render_ordered(r, t));
        if (t.kind == KIND_ENUM)
            out.sql = enum_name(r, t.type, out.sql);
        return out;
    }
}

static Term unary(Render *r, QueryOp op, Term a)
{
    const SqlDialect *d = r->dialect;
    a = render_settle(r, a);
    switch (op) {
    case QX_NOT:
        a.sql = arena_printf(r->arena, "(NOT %s)", a.sql);
        return a;
    case QX_IS_NULL: return bool_term(arena_printf(r->arena, "(%s IS NULL)", a.sql), false);
    case QX_LOWER:   return text_call(r, d->lower, a, a, KIND_STRING);
    case QX_UPPER:   return text_call(r, d->upper, a, a, KIND_STRING);
    case QX_TO_DECIMAL: return as_decimal(r, a);
    case QX_TO_FLOAT:
        a.sql = expand(r, d->float_of_int, a.sql, "");
        a.kind = KIND_FLOAT;
        a.type = TYPE_INDEX_FLOAT;
        return a;
    case QX_KNOWN:
        a.optional = false;
        return a;
    default:         return aggregate(r, op, a);
    }
}

static Term binary(Render *r, QueryOp op, Term a, Term b)
{
    const SqlDialect *d = r->dialect;
    if (b.list != (op == QX_IN) || a.list)
        return bool_term(render_fail(r, ERR_INVALID, "a list where a value is expected"), false);
    if (op != QX_AND && op != QX_OR)
        a = render_settle(r, a), b = render_settle(r, b);
    switch (op) {
    case QX_AND: case QX_OR:
        a.sql = arena_printf(r->arena, "(%s %s %s)", a.sql, op == QX_AND ? "AND" : "OR", b.sql);
        a.unsure |= b.unsure;
        a.optional |= b.optional;
        return a;
    case QX_ADD: case QX_SUB: case QX_MUL: return arith(r, op, a, b);
    case QX_IN:       return in_list(r, a, b);
    case QX_CONTAINS: return text_call(r, d->contains, a, b, KIND_BOOL);
    case QX_STARTS:   return text_call(r, d->starts, a, b, KIND_BOOL);
    case QX_ENDS:     return text_call(r, d->ends, a, b, KIND_BOOL);
    case QX_CONCAT:   return text_call(r, "(@a || @b)", a, b, KIND_STRING);
    case QX_COALESCE:
        if (a.kind == KIND_DECIMAL || b.kind == KIND_DECIMAL)
            a = as_decimal(r, a), b = as_decimal(r, b);
        if (a.kind == KIND_VOID)
            a.kind = b.kind, a.type = b.type;
        a.sql = arena_printf(r->arena, "COALESCE(%s, %s)", a.sql, b.sql);
        a.optional = b.optional;
        return a;
    default:          return compare(r, op, a, b);
    }
}

int render_operands(QueryOp op)
{
    switch (op) {
    case QX_COLUMN: case QX_PARAM: case QX_NULL: case QX_COUNT_ALL: return 0;
    case QX_NOT: case QX_IS_NULL: case QX_LOWER: case QX_UPPER: case QX_COUNT: case QX_SUM: case QX_MIN: case QX_MAX: case QX_AVG:
    case QX_TO_DECIMAL: case QX_TO_FLOAT: case QX_KNOWN: return 1;
    case QX_EQ: case QX_NE: case QX_LT: case QX_LE: case QX_GT: case QX_GE: case QX_AND: case QX_OR: case QX_ADD: case QX_SUB: case QX_MUL: case QX_IN:
    case QX_CONTAINS: case QX_STARTS: case QX_ENDS: case QX_CONCAT: case QX_COALESCE: return 2;
    }
    return -1;
}

static Term leaf(Render *r, const QueryItem *item, bool of_in)
{
    switch ((QueryOp)item->op) {
    case QX_COLUMN: return render_column(r, item->source, item->arg);
    case QX_PARAM:  return render_param(r, item->arg, of_in);
    case QX_NULL:   return (Term){ .sql = "NULL", .optional = true };
    default:        return render_typed(r, "COUNT(*)", TYPE_INDEX_INT);
    }
}

Term render_expression(Render *r, const QueryExpr *expr)
{
    Term stack[QUERY_STACK_MAX];
    int depth = 0;
    for (uint32_t i = 0; i < expr->count && !r->err; i++) {
        const QueryItem *item = &expr->items[i];
        int takes = render_operands((QueryOp)item->op);
        if (takes < 0 || depth < takes || depth - takes >= QUERY_STACK_MAX) {
            render_fail(r, ERR_INVALID, "an expression that does not fit its stack");
            break;
        }
        depth -= takes;
        bool of_in = i + 1 < expr->count && expr->items[i + 1].op == QX_IN;
        stack[depth] = takes == 0 ? leaf(r, item, of_in) : takes == 1 ? unary(r, (QueryOp)item->op, stack[depth]) : binary(r, (QueryOp)item->op, stack[depth], stack[depth + 1]);
        depth++;
    }
    if (!r->err && depth != 1)
        render_fail(r, ERR_INVALID, "an expression that leaves no single value");
    if (r->err)
        return (Term){ .sql = "NULL" };
    if (stack[0].list)
        render_fail(r, ERR_INVALID, "a list where a value is expected");
    return stack[0];
}

/* A value on its way into a column. */
Term render_value_for(Render *r, const QueryExpr *expr, uint16_t type)
{
    Term want = render_typed(r, "", type), term = render_settle(r, render_expression(r, expr));
    return want.kind == KIND_DECIMAL ? as_decimal(r, term) : term;
}
