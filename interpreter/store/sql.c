/* sql.c - turns a query of an image into one SQL statement with parameters.
 *
 * Postfix items become text on a stack of terms that know their type, because decimals, enums and optionals need other words than
 * integers do. Placeholders are numbered, so a parameter that is used twice is bound once. Every source of rows gets its condition
 * on the tenant and the owner in one place (put_scope), and nowhere else.
 */
#include "interpreter/store/sql.h"

#include "base/decimal.h"
#include "base/hash.h"

typedef struct Term {
    const char *sql;
    TypeKind kind;
    uint16_t type;                       /* without `?` */
    bool optional;
    bool unsure;                         /* a bool that SQL may leave null where the language says false */
    bool list; uint16_t param;           /* a list parameter, not bound yet */
} Term;

typedef struct Render {
    Arena *arena;
    const SqlDialect *dialect;
    const Image *image;
    const Query *query;
    SqlText *out;
    Error *error;
    Err err;
    uint32_t bind_cap;
    TypeKind avg_kind;                   /* of the output that is rendered */
    bool columns_allowed;
} Render;

static const char *fail(Render *r, Err err, const char *what)
{
    if (!r->err)
        r->err = err_set(r->error, err, "cannot render query: %s", what);
    return "NULL";
}

/* ---- names --------------------------------------------------------------------------------------------- */

/* A long name keeps its beginning, for people, and ends in a hash of all of it. */
void sql_put_short(const SqlDialect *dialect, Buf *out, Str name)
{
    enum { HASH_CHARS = 17 };
    if (!dialect->name_max || name.len <= dialect->name_max) {
        buf_put_str(out, name);
        return;
    }
    size_t keep = dialect->name_max - HASH_CHARS;
    while (keep && ((unsigned char)name.ptr[keep] & 0xc0) == 0x80)      /* not inside of a character */
        keep--;
    buf_put(out, name.ptr, keep);
    buf_printf(out, "_%016llx", (unsigned long long)hash64(name, 0));
}

Err sql_put_identifier(const SqlDialect *dialect, Buf *out, const char *prefix, Str name, Error *error)
{
    if (name.len > SQL_NAME_MAX)
        return err_set(error, ERR_LIMIT, "cannot use an identifier of more than %d bytes (SQL_NAME_MAX): `%.40s…`", SQL_NAME_MAX, name.ptr);
    if (name.len && memchr(name.ptr, 0, name.len))
        return err_set(error, ERR_INVALID, "cannot use an identifier with a NUL byte");
    Buf full = { 0 }, stored = { 0 };
    buf_put_text(&full, prefix);
    buf_put_str(&full, name);
    sql_put_short(dialect, &stored, buf_str(&full));
    buf_put_char(out, '"');
    for (size_t i = 0; i < stored.len; i++) {
        if (stored.ptr[i] == '"')
            buf_put_char(out, '"');
        buf_put_char(out, stored.ptr[i]);
    }
    buf_put_char(out, '"');
    buf_free(&full);
    buf_free(&stored);
    return ERR_OK;
}

const char *sql_type_name(const SqlDialect *d, TypeKind kind)
{
    switch (kind) {
    case KIND_BOOL:    return d->type_bool;
    case KIND_INT: case KIND_DATE: case KIND_TIMESTAMP: case KIND_DURATION: return d->type_int;
    case KIND_FLOAT:   return d->type_float;
    case KIND_DECIMAL: return d->type_decimal;
    case KIND_BYTES:   return d->type_blob;
    case KIND_STRING: case KIND_ENUM: case KIND_JSON: case KIND_LIST: case KIND_MAP: case KIND_RECORD: case KIND_ERROR: return d->type_text;
    default:           return NULL;
    }
}

Err sql_table_name(const Image *image, const ImageTable *table, Buf *out, Error *error)
{
    if (table->agent != NO_INDEX && table->agent >= image->agent_count)
        return err_set(error, ERR_INVALID, "cannot name table `%.*s`: no agent %u", STR_ARG(table->name), table->agent);
    buf_put_text(out, "t_");
    if (table->agent != NO_INDEX)
        buf_put_str(out, image->agents[table->agent].name);
    buf_put_char(out, '_');
    buf_put_str(out, table->name);
    return ERR_OK;
}

bool sql_has_hidden_version(const ImageTable *table)
{
    for (uint32_t i = 0; i < table->column_count; i++)
        if (str_is(table->columns[i].name, "version"))
            return false;
    return table->versioned;
}

uint32_t sql_column_count(const ImageTable *table)
{
    return table->column_count + (uint32_t)sql_has_hidden_version(table);
}

Str sql_column_name(const ImageTable *table, uint32_t column)
{
    return column < table->column_count ? table->columns[column].name : STR("version");
}

uint16_t sql_column_type(const ImageTable *table, uint32_t column)
{
    return column < table->column_count ? table->columns[column].type : TYPE_INDEX_INT;
}

const ImageType *sql_plain_type(const Image *image, uint16_t type, bool *optional)
{
    const ImageType *t = &image->types[type];
    *optional = t->kind == KIND_OPT;
    return *optional ? &image->types[t->element] : t;
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

static const char *bind(Render *r, SqlBind one)
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

static const char *bind_text(Render *r, Str text)
{
    return bind(r, (SqlBind){ .kind = BIND_CONST, .value = cell_text(text) });
}

static const ImageTable *source_table(Render *r, uint32_t source)
{
    uint16_t index = source == 0 ? r->query->table : source <= r->query->join_count ? r->query->joins[source - 1].table : NO_INDEX;
    if (index >= r->image->table_count) {
        fail(r, ERR_INVALID, "no such table");
        return NULL;
    }
    return &r->image->tables[index];
}

static const char *quoted(Render *r, const char *prefix, Str name)
{
    Buf buf = { 0 };
    Err err = sql_put_identifier(r->dialect, &buf, prefix, name, r->error);
    if (err && !r->err)
        r->err = err;
    return text_of(r, &buf);
}

static const char *quoted_table(Render *r, const ImageTable *table)
{
    Buf name = { 0 };
    Err err = sql_table_name(r->image, table, &name, r->error);
    if (err && !r->err)
        r->err = err;
    const char *text = quoted(r, "", buf_str(&name));
    buf_free(&name);
    return text;
}

static Term typed(Render *r, const char *sql, uint16_t type)
{
    Term term = { .sql = sql, .type = type };
    if (type >= r->image->type_count) {
        fail(r, ERR_INVALID, "no such type");
        return term;
    }
    const ImageType *plain = sql_plain_type(r->image, type, &term.optional);
    term.type = (uint16_t)(plain - r->image->types);
    term.kind = plain->kind;
    return term;
}

static Term column_term(Render *r, uint32_t source, uint32_t column)
{
    const ImageTable *table = source_table(r, source);
    if (!table || column >= sql_column_count(table) || !r->columns_allowed)
        return (Term){ .sql = fail(r, ERR_INVALID, "a column that is not there") };
    const char *name = quoted(r, "c_", sql_column_name(table, column));
    return typed(r, arena_printf(r->arena, "s%u.%s", source, name), sql_column_type(table, column));
}

/* A placeholder where the database would have to guess its type. */
static const char *cast(Render *r, const char *placeholder, TypeKind kind)
{
    const SqlDialect *d = r->dialect;
    const char *type = sql_type_name(d, kind);
    return d->cast && type ? expand_typed(r, type == d->type_text ? d->cast_text : d->cast, placeholder, "", type) : placeholder;
}

static Term param_term(Render *r, uint16_t param, bool of_in)
{
    if (param >= r->query->param_count)
        return (Term){ .sql = fail(r, ERR_INVALID, "a parameter that is not there") };
    Term term = typed(r, "", r->query->params[param]);
    term.param = param;
    term.list = of_in;
    if (!of_in)
        term.sql = cast(r, bind(r, (SqlBind){ .kind = BIND_PARAM, .param = param }), term.kind);
    else if (term.kind != KIND_LIST)
        fail(r, ERR_INVALID, "`in` without a list");
    return term;
}

/* ---- terms --------------------------------------------------------------------------------------------- */

static Term as_decimal(Render *r, Term t)
{
    if (t.kind == KIND_INT)
        t.sql = expand(r, r->dialect->decimal_of_int, t.sql, "");
    else if (t.kind != KIND_DECIMAL && t.kind != KIND_VOID)
        fail(r, ERR_INVALID, "a decimal beside something that is none");
    t.kind = KIND_DECIMAL;
    t.type = TYPE_INDEX_DECIMAL;
    return t;
}

static Term bool_term(const char *sql, bool unsure)
{
    return (Term){ .sql = sql, .kind = KIND_BOOL, .type = TYPE_INDEX_BOOL, .unsure = unsure };
}

/* A comparison with null is false in the language and null in SQL. In a condition the two are one, elsewhere they are not. */
static Term settle(Render *r, Term t)
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
        buf_printf(&out, " WHEN %s THEN %u", bind_text(r, type->members[i]), i);
    buf_put_text(&out, " END)");
    return text_of(r, &out);
}

static const char *enum_name(Render *r, uint16_t type, const char *rank)
{
    const ImageType *t = &r->image->types[type];
    Buf out = { 0 };
    buf_printf(&out, "(CASE %s", rank);
    for (uint32_t i = 0; i < t->member_count; i++)
        buf_printf(&out, " WHEN %u THEN %s", i, bind_text(r, t->members[i]));
    buf_put_text(&out, " END)");
    return text_of(r, &out);
}

/* How a term stands where order matters. */
static const char *ordered(Render *r, Term t)
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
        fail(r, ERR_INVALID, "an enum compared with something else");
    const char *left = a.kind == KIND_DECIMAL || rank ? ordered(r, a) : a.sql, *right = rank ? ordered(r, b) : b.sql;
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
            fail(r, ERR_INVALID, "arithmetic on something that is no number");
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
        return bool_term(fail(r, ERR_INVALID, "`in` without a list"), false);
    const char *param = bind(r, (SqlBind){ .kind = BIND_LIST, .param = list.param });
    Term item = typed(r, "", r->image->types[list.type].element);
    if (item.kind == KIND_DECIMAL || value.kind == KIND_DECIMAL)
        value = as_decimal(r, value);
    const char *left = value.kind == KIND_DECIMAL ? ordered(r, value) : value.sql;
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
        fail(r, ERR_INVALID, "the sum of something that is no number");
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
        fail(r, ERR_INVALID, "the average of something that is no number");
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
    case QX_COUNT: return typed(r, arena_printf(r->arena, "COUNT(%s)", t.sql), TYPE_INDEX_INT);
    case QX_SUM:   return sum(r, t);
    case QX_AVG:   return average(r, t);
    default:
        out.optional = true;
        out.sql = arena_printf(r->arena, "%s(%s)", op == QX_MIN ? "MIN" : "MAX", ordered(r, t));
        if (t.kind == KIND_ENUM)
            out.sql = enum_name(r, t.type, out.sql);
        return out;
    }
}

static Term unary(Render *r, QueryOp op, Term a)
{
    const SqlDialect *d = r->dialect;
    a = settle(r, a);
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
        return bool_term(fail(r, ERR_INVALID, "a list where a value is expected"), false);
    if (op != QX_AND && op != QX_OR)
        a = settle(r, a), b = settle(r, b);
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

static int operands(QueryOp op)
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
    case QX_COLUMN: return column_term(r, item->source, item->arg);
    case QX_PARAM:  return param_term(r, item->arg, of_in);
    case QX_NULL:   return (Term){ .sql = "NULL", .optional = true };
    default:        return typed(r, "COUNT(*)", TYPE_INDEX_INT);
    }
}

static Term expression(Render *r, const QueryExpr *expr)
{
    Term stack[QUERY_STACK_MAX];
    int depth = 0;
    for (uint32_t i = 0; i < expr->count && !r->err; i++) {
        const QueryItem *item = &expr->items[i];
        int takes = operands((QueryOp)item->op);
        if (takes < 0 || depth < takes || depth - takes >= QUERY_STACK_MAX) {
            fail(r, ERR_INVALID, "an expression that does not fit its stack");
            break;
        }
        depth -= takes;
        bool of_in = i + 1 < expr->count && expr->items[i + 1].op == QX_IN;
        stack[depth] = takes == 0 ? leaf(r, item, of_in) : takes == 1 ? unary(r, (QueryOp)item->op, stack[depth]) : binary(r, (QueryOp)item->op, stack[depth], stack[depth + 1]);
        depth++;
    }
    if (!r->err && depth != 1)
        fail(r, ERR_INVALID, "an expression that leaves no single value");
    if (r->err)
        return (Term){ .sql = "NULL" };
    if (stack[0].list)
        fail(r, ERR_INVALID, "a list where a value is expected");
    return stack[0];
}

/* A value on its way into a column. */
static Term value_for(Render *r, const QueryExpr *expr, uint16_t type)
{
    Term want = typed(r, "", type), term = settle(r, expression(r, expr));
    return want.kind == KIND_DECIMAL ? as_decimal(r, term) : term;
}

/* ---- statements ---------------------------------------------------------------------------------------- */

/* Roles are bound: nothing says that the members of an enum are words. */
static SqlScope scope_of(Render *r, const ImageTable *table, uint32_t source)
{
    const ImageVisibility *v = &table->visibility;
    SqlScope scope = { .row = arena_printf(r->arena, "s%u.", source), .column = quoted(r, "c_", sql_column_name(table, v->column)) };
    scope.tenant = bind(r, (SqlBind){ .kind = BIND_TENANT });
    scope.user = bind(r, (SqlBind){ .kind = BIND_OWNER });
    const ImageTable *members = v->members < r->image->table_count ? &r->image->tables[v->members] : NULL;
    if (!members) {
        fail(r, ERR_INVALID, "no such table of members");
        return scope;
    }
    scope.members = quoted_table(r, members);
    scope.user_column = quoted(r, "c_", sql_column_name(members, v->user_column));
    if (v->role_column == NO_INDEX)
        return scope;
    bool optional;
    const ImageType *role = sql_plain_type(r->image, sql_column_type(members, v->role_column), &optional);
    scope.role_column = quoted(r, "c_", sql_column_name(members, v->role_column));
    scope.roles = ARENA_ARRAY(r->arena, const char *, role->member_count + 1);
    for (uint32_t i = 0; i < role->member_count && i < 64; i++)
        if (v->writers >> i & 1)
            scope.roles[scope.role_count++] = bind_text(r, role->members[i]);
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
    const ImageTable *table = source_table(r, source);
    buf_printf(out, "s%u.tenant_id = %s", source, bind(r, (SqlBind){ .kind = BIND_TENANT }));
    if (!table || table->shared)
        return;
    if (!table->visibility.declared) {
        buf_printf(out, " AND s%u.owner_id = %s", source, bind(r, (SqlBind){ .kind = BIND_OWNER }));
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
        const ImageTable *table = source_table(r, i);
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
        wanted += operands((QueryOp)expr->items[--end].op) - 1;
    return end;
}

static void put_conjunct(Render *r, Buf *out, const QueryExpr *expr, Buf *guard)
{
    const char *sql = expression(r, expr).sql;
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
    const ImageTable *table = source_table(r, 0);
    if (!table)
        return;
    buf_printf(out, " FROM %s AS s0", quoted_table(r, table));
    for (uint32_t i = 0; i < r->query->join_count && !r->err; i++) {
        if (!(table = source_table(r, i + 1)))
            return;
        buf_printf(out, " JOIN %s AS s%u ON (", quoted_table(r, table), i + 1);
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
    const ImageTable *table = source_table(r, 0);
    for (uint32_t i = 0; table && i < sql_column_count(table); i++) {
        Term term = typed(r, qualified ? column_term(r, 0, i).sql : quoted(r, "c_", sql_column_name(table, i)), sql_column_type(table, i));
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
        r->avg_kind = typed(r, "", result_type(r, i)).kind;
        put_output(r, out, settle(r, expression(r, &r->query->outputs[i])));
    }
}

static void put_order(Render *r, Buf *out)
{
    const Query *q = r->query;
    const char *word = " ORDER BY ";
    if (q->kind == QUERY_SELECT_ONE && source_table(r, 0) && source_table(r, 0)->visibility.declared) {       /* ids are the owner's: the own row comes first */
        buf_printf(out, "%sCASE WHEN s0.owner_id = %s THEN 0 ELSE 1 END", word, bind(r, (SqlBind){ .kind = BIND_OWNER }));
        word = ", ";
    }
    for (uint32_t i = 0; i < q->order_count && !r->err; i++, word = ", ")
        buf_printf(out, "%s%s%s", word, ordered(r, expression(r, &q->orders[i].value)), q->orders[i].descending ? " DESC" : "");
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
        buf_printf(out, "%s%s", i ? ", " : " GROUP BY ", expression(r, &q->groups[i]).sql);
    if (q->kind == QUERY_AGGREGATE)
        return;
    put_order(r, out);
    if (q->kind == QUERY_SELECT_ONE)
        buf_put_text(out, " LIMIT 1");
    else if (q->limit_param != NO_INDEX)
        buf_printf(out, " LIMIT %s", param_term(r, q->limit_param, false).sql);
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
        fail(r, ERR_INVALID, "a default that is not there");
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
            fail(r, ERR_INVALID, "a default that is no member of its enum");
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
            return fail(r, ERR_INVALID, "a default that is no decimal");
        decimal_print_canonical(d, &text);
        b.value = (Cell){ .kind = CELL_TEXT, .text = arena_str(r->arena, buf_str(&text)) };
        buf_free(&text);
        decimal_release(d);
    }
    b.type = r->dialect->cast ? kind : KIND_VOID;          /* then one placeholder cannot stand for two types */
    return cast(r, bind(r, b), kind);
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
    const ImageTable *table = source_table(r, 0);
    if (!table)
        return;
    r->columns_allowed = false;
    Buf values = { 0 };
    buf_printf(out, "INSERT INTO %s (tenant_id, owner_id", quoted_table(r, table));
    buf_put_text(&values, bind(r, (SqlBind){ .kind = BIND_TENANT }));       /* one by one: the numbers must not depend on the compiler */
    buf_printf(&values, ", %s", bind(r, (SqlBind){ .kind = BIND_OWNER }));
    for (uint32_t i = 0; i < sql_column_count(table) && !r->err; i++) {
        const QuerySet *set = set_of(r->query, i);
        buf_printf(out, ", %s", quoted(r, "c_", sql_column_name(table, i)));
        const char *value = is_version(table, i) ? cast(r, bind(r, (SqlBind){ .kind = BIND_CONST, .value = cell_int(1), .type = r->dialect->cast ? KIND_INT : KIND_VOID }), KIND_INT)
                          : set ? value_for(r, &set->value, sql_column_type(table, i)).sql : bind_default(r, &table->columns[i]);
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
    const ImageTable *table = source_table(r, 0);
    const Query *q = r->query;
    if (!table)
        return;
    buf_printf(out, "UPDATE %s AS s0 SET ", quoted_table(r, table));
    const char *comma = "";
    for (uint32_t i = 0; i < q->set_count && !r->err; i++) {
        if (q->sets[i].column >= sql_column_count(table)) {
            fail(r, ERR_INVALID, "a column that is not there");
            return;
        }
        if (is_version(table, q->sets[i].column))
            continue;
        const char *value = value_for(r, &q->sets[i].value, sql_column_type(table, q->sets[i].column)).sql;
        buf_printf(out, "%s%s = %s", comma, quoted(r, "c_", sql_column_name(table, q->sets[i].column)), value);
        comma = ", ";
    }
    if (table->versioned)
        buf_printf(out, "%s\"c_version\" = s0.\"c_version\" + 1", comma);
    else if (!*comma)
        fail(r, ERR_INVALID, "an update that sets nothing");
    put_where(r, out);
}

static void render_delete(Render *r, Buf *out)
{
    const ImageTable *table = source_table(r, 0);
    if (!table)
        return;
    buf_printf(out, "DELETE FROM %s AS s0", quoted_table(r, table));
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
    Term old = column_term(r, 0, set->column);
    bool locks = *r->dialect->lock_rows;
    buf_printf(out, "SELECT %s%s, %s", locks ? "" : "DISTINCT ", old.sql, expression(r, &set->value).sql);
    put_from(r, out);
    put_where(r, out);
    buf_put_text(out, r->dialect->lock_rows);
}

static void render_transitions(Render *r, SqlText *text)
{
    const Query *q = r->query;
    const ImageTable *table = source_table(r, 0);
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
