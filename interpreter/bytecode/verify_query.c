/* verify_query.c - a query refers to what exists, its postfix expressions are well typed and leave one value, its result is what it says.
 *
 * Expressions run on a stack of types. An entry knows its type without the optional, whether it may be null, and where it came
 * from: `aggregate` when one is inside, `bare` when a column outside of every aggregate is. The rules of GROUP BY follow from these
 * two. The sum of all expressions of a query is bounded by QUERY_ITEMS_MAX, the stack by QUERY_STACK_MAX.
 */
#include "interpreter/bytecode/verify_internal.h"

typedef struct Slot { uint16_t type; bool null, aggregate, bare; } Slot;       /* type NO_INDEX: the literal null */
typedef struct QueryCheck {
    Verifier *v;
    const Query *query;
    uint16_t source_count;               /* sources that may be named: the table and the joins so far */
    bool columns_allowed, aggregates_allowed;
    uint32_t items;                      /* of all expressions */
    Slot stack[QUERY_STACK_MAX];
    int depth;
} QueryCheck;

/* ---- types ---- */

static Slot slot_of(const Verifier *v, uint16_t type)
{
    const ImageType *row = type_row(v, type);
    return row->kind == KIND_OPT ? (Slot){ .type = row->element, .null = true } : (Slot){ .type = type };
}

static bool is_ordered(const Verifier *v, uint16_t type)
{
    TypeKind kind = type_kind(v, type);
    return (kind_is_intlike(kind) && kind != KIND_BOOL) || kind == KIND_FLOAT || kind == KIND_DECIMAL || kind == KIND_STRING;
}
static bool is_comparable(const Verifier *v, uint16_t type)
{
    TypeKind kind = type_kind(v, type);
    return is_ordered(v, type) || kind == KIND_BOOL || kind == KIND_BYTES;
}
static bool is_number(uint16_t type) { return type == TYPE_INDEX_INT || type == TYPE_INDEX_FLOAT || type == TYPE_INDEX_DECIMAL; }

/* A value of this slot can stand where `type` is declared. */
static bool slot_fits(const Verifier *v, Slot slot, uint16_t type)
{
    Slot wanted = slot_of(v, type);
    if (slot.type == NO_INDEX) return wanted.null;
    return slot.type == wanted.type && (wanted.null || !slot.null);
}

/* Result type of arithmetic, NO_INDEX when there is none. */
static uint16_t arithmetic_type(QueryOp op, uint16_t a, uint16_t b)
{
    enum { DATE = TYPE_INDEX_DATE, INSTANT = TYPE_INDEX_TIMESTAMP, DURATION = TYPE_INDEX_DURATION };
    if (a == b && is_number(a)) return a;
    if (op == QX_MUL) return (a == DURATION && b == TYPE_INDEX_INT) || (a == TYPE_INDEX_INT && b == DURATION) ? DURATION : NO_INDEX;
    if (a == DURATION && b == DURATION) return DURATION;
    if ((a == DATE || a == INSTANT) && b == DURATION) return a;
    if (op == QX_ADD && a == DURATION && (b == DATE || b == INSTANT)) return b;
    if (op == QX_SUB && a == b && (a == DATE || a == INSTANT)) return DURATION;
    return NO_INDEX;
}

/* ---- one item ---- */

static Err mistyped(QueryCheck *q, const char *what) { return verify_fail(q->v, "%s does not fit the types of its operands", what); }

static Err push(QueryCheck *q, Slot slot)
{
    if (q->depth == QUERY_STACK_MAX) return verify_limit(q->v, "values on the stack of an expression", (size_t)q->depth + 1, "QUERY_STACK_MAX", QUERY_STACK_MAX);
    q->stack[q->depth++] = slot;
    return ERR_OK;
}

static Err push_column(QueryCheck *q, QueryItem item)
{
    if (!q->columns_allowed) return verify_fail(q->v, "an expression names a column where there is no row");
    if (item.source >= q->source_count) return verify_fail(q->v, "an expression names source %u, which is not there", item.source);
    uint16_t table_index = item.source ? q->query->joins[item.source - 1].table : q->query->table;
    const ImageTable *table = &q->v->image->tables[table_index];
    if (item.arg >= table->column_count) return verify_fail(q->v, "an expression names column %u of `%.*s`, which does not exist", item.arg, STR_ARG(table->name));
    Slot slot = slot_of(q->v, table->columns[item.arg].type);
    slot.bare = true;
    return push(q, slot);
}

static Err push_param(QueryCheck *q, QueryItem item)
{
    if (item.arg >= q->query->param_count) return verify_fail(q->v, "an expression names parameter %u, which does not exist", item.arg);
    return push(q, slot_of(q->v, q->query->params[item.arg]));
}

static Slot joined(Slot a, Slot b, uint16_t type, bool null)
{
    return (Slot){ type, null, a.aggregate || b.aggregate, a.bare || b.bare };
}

static Err binary(QueryCheck *q, QueryOp op, Slot a, Slot b)
{
    const Verifier *v = q->v;
    bool same = a.type == b.type && a.type != NO_INDEX, either_null = a.null || b.null;
    switch (op) {
    case QX_EQ: case QX_NE:
        if (a.type == NO_INDEX || b.type == NO_INDEX) break;       /* with null: to be written as IS_NULL */
        if (!same || !is_comparable(v, a.type)) break;
        return push(q, joined(a, b, TYPE_INDEX_BOOL, false));
    case QX_LT: case QX_LE: case QX_GT: case QX_GE:
        if (!same || !is_ordered(v, a.type)) break;
        return push(q, joined(a, b, TYPE_INDEX_BOOL, false));
    case QX_AND: case QX_OR:
        if (!same || a.type != TYPE_INDEX_BOOL) break;
        return push(q, joined(a, b, TYPE_INDEX_BOOL, either_null));
    case QX_ADD: case QX_SUB: case QX_MUL: {
        uint16_t type = a.type == NO_INDEX || b.type == NO_INDEX ? NO_INDEX : arithmetic_type(op, a.type, b.type);
        if (type == NO_INDEX) break;
        return push(q, joined(a, b, type, either_null));
    }
    case QX_CONTAINS: case QX_STARTS: case QX_ENDS:
        if (!same || a.type != TYPE_INDEX_STRING) break;
        return push(q, joined(a, b, TYPE_INDEX_BOOL, false));
    case QX_CONCAT:
        if (!same || a.type != TYPE_INDEX_STRING) break;
        return push(q, joined(a, b, TYPE_INDEX_STRING, either_null));
    case QX_COALESCE:
        if (!same) break;
        return push(q, joined(a, b, a.type, a.null && b.null));
    default: break;
    }
    return mistyped(q, "an operator");
}

/* value, list parameter -> bool: the list is the very item before, so that it can be spread into SQL. */
static Err in_list(QueryCheck *q, const QueryItem *before, Slot value, Slot list)
{
    if (before->op != QX_PARAM || list.null || type_kind(q->v, list.type) != KIND_LIST) return mistyped(q, "IN");
    if (type_row(q->v, list.type)->element != value.type || !is_comparable(q->v, value.type)) return mistyped(q, "IN");
    return push(q, (Slot){ TYPE_INDEX_BOOL, false, value.aggregate, value.bare });
}

static Err widened(QueryCheck *q, QueryOp op, Slot a)
{
    if (a.type != TYPE_INDEX_INT) return mistyped(q, "a conversion");
    a.type = op == QX_TO_DECIMAL ? TYPE_INDEX_DECIMAL : TYPE_INDEX_FLOAT;
    return push(q, a);
}

/* Whether null is ruled out is the compiler's word: the store gives an error, not a wrong value, when it is there after all. */
static Err known(QueryCheck *q, Slot a)
{
    if (a.type == NO_INDEX) return mistyped(q, "KNOWN");
    a.null = false;
    return push(q, a);
}

static Err unary(QueryCheck *q, QueryOp op, Slot a)
{
    if (op == QX_TO_DECIMAL || op == QX_TO_FLOAT) return widened(q, op, a);
    if (op == QX_KNOWN) return known(q, a);
    if (op == QX_IS_NULL) {
        a.type = TYPE_INDEX_BOOL, a.null = false;
        return push(q, a);
    }
    bool fits = op == QX_NOT ? a.type == TYPE_INDEX_BOOL : a.type == TYPE_INDEX_STRING;
    return fits ? push(q, a) : mistyped(q, op == QX_NOT ? "NOT" : "a function of strings");
}

/* Without groups there may be no row at all: then min, max and avg are null; the sum is 0. */
static Err aggregate(QueryCheck *q, QueryOp op, Slot a)
{
    if (!q->aggregates_allowed) return verify_fail(q->v, "an aggregate stands where none can");
    if (a.aggregate) return verify_fail(q->v, "an aggregate stands inside an aggregate");
    if (a.type == NO_INDEX) return mistyped(q, "an aggregate");
    bool null = op != QX_COUNT && op != QX_SUM && (a.null || !q->query->group_count);
    uint16_t type = a.type;
    if (op == QX_COUNT) type = TYPE_INDEX_INT;
    else if (op == QX_AVG) type = a.type == TYPE_INDEX_INT ? TYPE_INDEX_DECIMAL : a.type;
    bool fits = op == QX_COUNT || (op == QX_SUM || op == QX_AVG ? is_number(a.type) || a.type == TYPE_INDEX_DURATION : is_ordered(q->v, a.type));
    return fits ? push(q, (Slot){ type, null, true, false }) : mistyped(q, "an aggregate");
}

static int operand_count(QueryOp op)
{
    switch (op) {
    case QX_COLUMN: case QX_PARAM: case QX_NULL: case QX_COUNT_ALL: return 0;
    case QX_NOT: case QX_IS_NULL: case QX_LOWER: case QX_UPPER: case QX_COUNT: case QX_SUM: case QX_MIN: case QX_MAX: case QX_AVG:
    case QX_TO_DECIMAL: case QX_TO_FLOAT: case QX_KNOWN: return 1;
    case QX_EQ: case QX_NE: case QX_LT: case QX_LE: case QX_GT: case QX_GE: case QX_AND: case QX_OR: case QX_ADD: case QX_SUB: case QX_MUL:
    case QX_IN: case QX_CONTAINS: case QX_STARTS: case QX_ENDS: case QX_CONCAT: case QX_COALESCE: return 2;
    }
    return -1;
}

static Err verify_item(QueryCheck *q, const QueryItem *items, int i)
{
    QueryItem item = items[i];
    int operands = operand_count((QueryOp)item.op);
    if (operands < 0) return verify_fail(q->v, "unknown operator %u in an expression", item.op);
    if (q->depth < operands) return verify_fail(q->v, "an expression takes a value that is not there");
    if (item.source && item.op != QX_COLUMN) return verify_fail(q->v, "an operator has a source");
    if (item.arg && item.op != QX_COLUMN && item.op != QX_PARAM) return verify_fail(q->v, "an operator has an argument");
    Slot b = operands ? q->stack[q->depth - 1] : (Slot){ 0 }, a = operands == 2 ? q->stack[q->depth - 2] : b;
    q->depth -= operands;
    switch (item.op) {
    case QX_COLUMN: return push_column(q, item);
    case QX_PARAM: return push_param(q, item);
    case QX_NULL: return push(q, (Slot){ .type = NO_INDEX, .null = true });
    case QX_COUNT_ALL: return aggregate(q, QX_COUNT, (Slot){ .type = TYPE_INDEX_INT });
    case QX_IN: return in_list(q, &items[i - 1], a, b);
    case QX_NOT: case QX_IS_NULL: case QX_LOWER: case QX_UPPER: case QX_TO_DECIMAL: case QX_TO_FLOAT: case QX_KNOWN: return unary(q, (QueryOp)item.op, a);
    case QX_COUNT: case QX_SUM: case QX_MIN: case QX_MAX: case QX_AVG: return aggregate(q, (QueryOp)item.op, a);
    default: return binary(q, (QueryOp)item.op, a, b);
    }
}

static Err verify_expr(QueryCheck *q, const QueryExpr *expr, Slot *out)
{
    q->depth = 0;
    q->items += expr->count;
    if (q->items > QUERY_ITEMS_MAX) return verify_limit(q->v, "items in expressions", q->items, "QUERY_ITEMS_MAX", QUERY_ITEMS_MAX);
    for (int i = 0; i < expr->count; i++) {
        Err err = verify_item(q, expr->items, i);
        if (err) return err;
    }
    if (q->depth != 1) return verify_fail(q->v, "an expression leaves %d values, expected 1", q->depth);
    *out = q->stack[0];
    return ERR_OK;
}

/* ---- the clauses ---- */

static Err verify_condition(QueryCheck *q, const QueryExpr *expr)
{
    Slot slot;
    Err err = verify_expr(q, expr, &slot);
    if (err) return err;
    return slot.type == TYPE_INDEX_BOOL ? ERR_OK : verify_fail(q->v, "a condition is not a bool");
}

static Err verify_joins(QueryCheck *q)
{
    const Query *query = q->query;
    if (query->join_count > QUERY_JOINS_MAX) return verify_limit(q->v, "joins", query->join_count, "QUERY_JOINS_MAX", QUERY_JOINS_MAX);
    Err err = ERR_OK;
    for (int i = 0; i < query->join_count && !err; i++) {
        if (query->joins[i].table >= q->v->image->table_count) return verify_fail(q->v, "join %d has no such table", i);
        q->source_count = (uint16_t)(i + 2);
        err = verify_condition(q, &query->joins[i].on);
    }
    return err;
}

static Err verify_groups(QueryCheck *q)
{
    Err err = ERR_OK;
    if (q->query->group_count > QUERY_OUTPUTS_MAX) return verify_limit(q->v, "groups", q->query->group_count, "QUERY_OUTPUTS_MAX", QUERY_OUTPUTS_MAX);
    for (int i = 0; i < q->query->group_count && !err; i++) {
        Slot slot;
        err = verify_expr(q, &q->query->groups[i], &slot);
        if (!err && (slot.type == NO_INDEX || !is_comparable(q->v, slot.type))) err = verify_fail(q->v, "group %d is of a type that cannot be compared", i);
    }
    return err;
}

static bool same_expr(const QueryExpr *a, const QueryExpr *b)
{
    if (a->count != b->count) return false;
    for (int i = 0; i < a->count; i++)
        if (a->items[i].op != b->items[i].op || a->items[i].source != b->items[i].source || a->items[i].arg != b->items[i].arg) return false;
    return true;
}

/* One value per group: an aggregate, free of columns, or what is grouped by. */
static Err verify_grouped(QueryCheck *q, const QueryExpr *expr, Slot slot)
{
    if (!slot.bare || (!slot.aggregate && !q->query->group_count && q->query->kind != QUERY_AGGREGATE)) return ERR_OK;
    for (int i = 0; i < q->query->group_count; i++)
        if (same_expr(expr, &q->query->groups[i])) return ERR_OK;
    return verify_fail(q->v, "an expression uses a column outside of aggregates and groups");
}

static Err verify_value(QueryCheck *q, const QueryExpr *expr, Slot *slot)
{
    Err err = verify_expr(q, expr, slot);
    return err ? err : verify_grouped(q, expr, *slot);
}

static Err verify_orders(QueryCheck *q)
{
    Err err = ERR_OK;
    if (q->query->order_count > QUERY_OUTPUTS_MAX) return verify_limit(q->v, "orders", q->query->order_count, "QUERY_OUTPUTS_MAX", QUERY_OUTPUTS_MAX);
    for (int i = 0; i < q->query->order_count && !err; i++) {
        Slot slot;
        err = verify_value(q, &q->query->orders[i].value, &slot);
        if (!err && (slot.type == NO_INDEX || !is_comparable(q->v, slot.type))) err = verify_fail(q->v, "order %d is of a type that has none", i);
    }
    return err;
}

/* Outputs of a select are the fields of its row type; without outputs the row is the table's. */
static Err verify_select(QueryCheck *q)
{
    const Query *query = q->query;
    if (query->row_type >= q->v->image->type_count || type_kind(q->v, query->row_type) != KIND_RECORD) return verify_fail(q->v, "row type %u is not a record", query->row_type);
    q->aggregates_allowed = query->group_count > 0;
    Err err = verify_orders(q);
    if (err) return err;
    if (!query->output_count) {
        if (query->group_count) return verify_fail(q->v, "has groups and no outputs");
        return query->row_type == q->v->image->tables[query->table].row_type ? ERR_OK : verify_fail(q->v, "without outputs its row type is the table's");
    }
    const ImageType *row = type_row(q->v, query->row_type);
    if (query->output_count > QUERY_OUTPUTS_MAX) return verify_limit(q->v, "outputs", query->output_count, "QUERY_OUTPUTS_MAX", QUERY_OUTPUTS_MAX);
    if (query->output_count != row->field_count) return verify_fail(q->v, "has %u outputs, its row type %u fields", query->output_count, row->field_count);
    for (int i = 0; i < query->output_count && !err; i++) {
        Slot slot;
        err = verify_value(q, &query->outputs[i], &slot);
        if (!err && !slot_fits(q->v, slot, row->fields[i].type)) err = verify_fail(q->v, "output %d is not of the type of field `%.*s`", i, STR_ARG(row->fields[i].name));
    }
    return err;
}

static Err verify_aggregate(QueryCheck *q)
{
    Slot slot;
    if (q->query->output_count != 1 || q->query->group_count || q->query->order_count) return verify_fail(q->v, "an aggregate has one output, no groups and no order");
    q->aggregates_allowed = true;
    Err err = verify_value(q, &q->query->outputs[0], &slot);
    if (err) return err;
    if (!slot.aggregate) return verify_fail(q->v, "the output of an aggregate has no aggregate");
    return slot_fits(q->v, slot, q->query->result) ? ERR_OK : verify_fail(q->v, "the output is not of the type of the result");
}

/* A column that an insert leaves out gets its default, null, or (version) the store's own first value. */
static bool column_may_be_left_out(const Verifier *v, const ImageTable *table, const ImageColumn *column)
{
    return column->has_default || type_kind(v, column->type) == KIND_OPT || (table->versioned && str_is(column->name, "version"));
}

static Err verify_sets(QueryCheck *q)
{
    const Query *query = q->query;
    const ImageTable *table = &q->v->image->tables[query->table];
    bool given[RECORD_FIELDS_MAX] = { false };           /* a table's row is a record, so it has no more columns */
    q->columns_allowed = query->kind == QUERY_UPDATE;
    for (int i = 0; i < query->set_count; i++) {
        const QuerySet *set = &query->sets[i];
        Slot slot;
        if (set->column >= table->column_count) return verify_fail(q->v, "sets column %u, which does not exist", set->column);
        if (given[set->column]) return verify_fail(q->v, "sets column `%.*s` twice", STR_ARG(table->columns[set->column].name));
        given[set->column] = true;
        Err err = verify_expr(q, &set->value, &slot);
        if (err) return err;
        if (!slot_fits(q->v, slot, table->columns[set->column].type)) return verify_fail(q->v, "value of column `%.*s` is not of its type", STR_ARG(table->columns[set->column].name));
    }
    for (int i = 0; query->kind == QUERY_INSERT && i < table->column_count; i++)
        if (!given[i] && !column_may_be_left_out(q->v, table, &table->columns[i]))
            return verify_fail(q->v, "inserts no value for column `%.*s`", STR_ARG(table->columns[i].name));
    return query->kind == QUERY_UPDATE && !query->set_count ? verify_fail(q->v, "an update sets nothing") : ERR_OK;
}

/* ---- the query ---- */

static Err verify_result(QueryCheck *q)
{
    const Query *query = q->query;
    const ImageTable *table = &q->v->image->tables[query->table];
    Err err = verify_result_type(q->v, query->result);
    if (err) return err;
    const ImageType *result = type_row(q->v, query->result);
    bool fits = false;
    switch ((QueryKind)query->kind) {
    case QUERY_SELECT: fits = result->kind == KIND_LIST && result->element == query->row_type; break;
    case QUERY_SELECT_ONE: fits = result->kind == KIND_OPT && result->element == query->row_type; break;
    case QUERY_AGGREGATE: fits = query->result != TYPE_INDEX_VOID; break;          /* compared with its output */
    case QUERY_EXISTS: fits = query->result == TYPE_INDEX_BOOL; break;
    case QUERY_INSERT: fits = query->result == table->row_type; break;
    case QUERY_UPDATE: case QUERY_DELETE: fits = query->result == TYPE_INDEX_INT; break;
    }
    return fits ? ERR_OK : verify_fail(q->v, "a query of this kind cannot have result %s", verify_type_text(q->v, query->result));
}

/* Which clauses a kind of query has. */
static Err verify_clauses(QueryCheck *q)
{
    const Query *query = q->query;
    bool selects = query->kind == QUERY_SELECT || query->kind == QUERY_SELECT_ONE, reads = query->kind <= QUERY_EXISTS;
    if (query->join_count && !reads) return verify_fail(q->v, "a write has joins");
    if (query->set_count && query->kind != QUERY_INSERT && query->kind != QUERY_UPDATE) return verify_fail(q->v, "sets columns and is neither insert nor update");
    if (query->output_count && !selects && query->kind != QUERY_AGGREGATE) return verify_fail(q->v, "has outputs and selects nothing");
    if ((query->group_count || query->order_count || query->limit_param != NO_INDEX) && !selects) return verify_fail(q->v, "has groups, order or limit and selects nothing");
    if (query->where.count && query->kind == QUERY_INSERT) return verify_fail(q->v, "an insert has a condition");
    if (query->limit_param != NO_INDEX && (query->limit_param >= query->param_count || query->params[query->limit_param] != TYPE_INDEX_INT))
        return verify_fail(q->v, "limit %u is not an int parameter", query->limit_param);
    return ERR_OK;
}

static Err verify_query(Verifier *v, const Query *query)
{
    QueryCheck q = { .v = v, .query = query, .source_count = 1, .columns_allowed = true };
    if (query->kind > QUERY_DELETE) return verify_fail(v, "unknown kind %u", query->kind);
    if (query->table >= v->image->table_count) return verify_fail(v, "table %u does not exist", query->table);
    if (query->param_count > FUNC_PARAMS_MAX) return verify_limit(v, "parameters", query->param_count, "FUNC_PARAMS_MAX", FUNC_PARAMS_MAX);
    for (int i = 0; i < query->param_count; i++)
        if (!type_is_value(v, query->params[i])) return verify_fail(v, "parameter %d has type %u, which is not a type of values", i, query->params[i]);
    if (query->cached_us && (query->kind >= QUERY_INSERT || query->cached_us < CACHE_TTL_MIN || query->cached_us > CACHE_TTL_MAX))
        return verify_fail(v, "its result cannot be kept for %lld us", (long long)query->cached_us);
    if (v->image->tables[query->table].append_only && (query->kind == QUERY_UPDATE || query->kind == QUERY_DELETE))
        return verify_fail(v, "changes rows of table %u, which is append only", query->table);
    Err err = verify_clauses(&q);
    if (!err) err = verify_result(&q);
    if (!err) err = verify_joins(&q);
    if (!err && query->where.count) err = verify_condition(&q, &query->where);
    if (!err) err = verify_groups(&q);
    if (!err && (query->kind == QUERY_SELECT || query->kind == QUERY_SELECT_ONE)) err = verify_select(&q);
    if (!err && query->kind == QUERY_AGGREGATE) err = verify_aggregate(&q);
    if (!err && (query->kind == QUERY_INSERT || query->kind == QUERY_UPDATE)) err = verify_sets(&q);
    return err;
}

Err verify_queries(Verifier *v)
{
    Err err = ERR_OK;
    for (uint32_t i = 0; i < v->image->query_count && !err; i++) {
        verify_at(v, "query", i, STR(""));
        arena_reuse(v->scratch);
        err = verify_query(v, &v->image->queries[i]);
    }
    return err;
}
