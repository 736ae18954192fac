/* lower_query.c - table expressions to queries: conditions and outputs as postfix, everything else as parameters.
 *
 * What touches a row is rendered; what does not has been found by check (QueryInfo.hoisted) and becomes a parameter, evaluated before the
 * query in the order in which the parameters appear. A Draft collects the query while its expressions are walked, so that the order of the
 * parameters follows from the walk.
 */
#include "compiler/lower_internal.h"
#include <stdlib.h>

typedef struct Draft {
    Func *f;
    QueryInfo *info;
    Query query;
    Rows items;                          /* QueryItem of the expression under construction */
    Rows args;                           /* Arg of each parameter */
    uint32_t total;                      /* items of all expressions */
} Draft;

/* ---- parameters ---- */

static uint16_t param_add(Draft *d, Arg arg)
{
    *(Arg *)rows_push(&d->args, sizeof(Arg)) = arg;
    return (uint16_t)(d->args.count - 1);
}

static void item_add(Draft *d, QueryOp op, uint8_t source, uint16_t arg)
{
    *(QueryItem *)rows_push(&d->items, sizeof(QueryItem)) = (QueryItem){ (uint8_t)op, source, arg };
}

static void item_param(Draft *d, Ast *node, uint16_t type)
{
    item_add(d, QX_PARAM, 0, param_add(d, arg_node(node, type)));
}

static bool is_hoisted(const Draft *d, const Ast *node)
{
    for (uint32_t i = 0; i < d->info->hoisted_count; i++)
        if (d->info->hoisted[i] == node) return true;
    return false;
}

/* ---- what is rendered ---- */

static uint8_t source_of_row(const Draft *d, const Symbol *row)
{
    for (uint32_t i = 0; i < d->info->join_count; i++)
        if (row && d->info->join_rows[i] == row) return (uint8_t)(i + 1);
    return 0;
}

static uint8_t source_of_table(const Draft *d, const Symbol *table)
{
    if (table == d->info->table) return 0;
    for (uint32_t i = 0; i < d->info->join_count; i++)
        if (d->info->join_tables[i] == table) return (uint8_t)(i + 1);
    return 0;
}

static QueryOp op_of(BinaryOp op)
{
    switch (op) {
    case BINARY_OR: return QX_OR;
    case BINARY_AND: return QX_AND;
    case BINARY_EQ: return QX_EQ;
    case BINARY_NE: return QX_NE;
    case BINARY_LT: return QX_LT;
    case BINARY_LE: return QX_LE;
    case BINARY_GT: return QX_GT;
    case BINARY_GE: return QX_GE;
    case BINARY_IN: return QX_IN;
    case BINARY_COALESCE: return QX_COALESCE;
    case BINARY_SUB: return QX_SUB;
    case BINARY_MUL: return QX_MUL;
    default: return QX_ADD;
    }
}

static void render(Draft *d, Ast *node);

static void render_binary(Draft *d, Ast_binary_expr *node)
{
    bool equality = node->op == BINARY_EQ || node->op == BINARY_NE;
    Ast *tested = equality && node->right->kind == AST_NULL_EXPR ? node->left : equality && node->left->kind == AST_NULL_EXPR ? node->right : NULL;
    if (tested) {
        render(d, tested);
        item_add(d, QX_IS_NULL, 0, 0);
        if (node->op == BINARY_NE) item_add(d, QX_NOT, 0, 0);
        return;
    }
    render(d, node->left);
    render(d, node->right);
    QueryOp op = op_of((BinaryOp)node->op);
    if (op == QX_ADD && row_bare(d->f->lw, final_type(d->f->lw, node->left)) == TYPE_INDEX_STRING) op = QX_CONCAT;
    item_add(d, op, 0, 0);
}

static void render_unary(Draft *d, Ast_unary_expr *node)
{
    Lower *lw = d->f->lw;
    if (node->op == UNARY_NOT) {
        render(d, node->operand);
        item_add(d, QX_NOT, 0, 0);
        return;
    }
    uint16_t type = row_bare(lw, final_type(lw, node->operand));      /* -x is 0 - x */
    Val zero = lower_kind(lw, type) == KIND_DECIMAL || lower_kind(lw, type) == KIND_FLOAT ? convert_to(d->f, val_int(d->f, TYPE_INDEX_INT, 0), type, NO_REG) : val_int(d->f, type, 0);
    item_add(d, QX_PARAM, 0, param_add(d, arg_val(zero)));
    render(d, node->operand);
    item_add(d, QX_SUB, 0, 0);
}

static void render_method(Draft *d, CallInfo *call)
{
    static const struct { Builtin builtin; QueryOp op; } methods[] = {
        { BUILTIN_STR_CONTAINS, QX_CONTAINS }, { BUILTIN_STR_STARTS, QX_STARTS }, { BUILTIN_STR_ENDS, QX_ENDS }, { BUILTIN_STR_LOWER, QX_LOWER }, { BUILTIN_STR_UPPER, QX_UPPER }
    };
    if (call->builtin == BUILTIN_LIST_CONTAINS) {        /* xs.contains(column) is column in xs */
        render(d, call->args[1]);
        render(d, call->args[0]);
        item_add(d, QX_IN, 0, 0);
        return;
    }
    for (uint32_t i = 0; i < call->arg_count; i++) render(d, call->args[i]);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (methods[i].builtin == call->builtin) item_add(d, methods[i].op, 0, 0);
}

/* An aggregate is written like a call; only with `where` it is a node of its own. */
static Ast *aggregate_source(Ast *node)
{
    if (node->kind == AST_AGGREGATE_EXPR) return as_aggregate_expr(node)->source;
    Ast *arg = as_call_expr(node)->args.items[0];
    return arg->kind == AST_ARG ? as_arg(arg)->value : arg;
}

static Str aggregate_function(Ast *node)
{
    if (node->kind == AST_AGGREGATE_EXPR) return as_aggregate_expr(node)->function.text;
    return as_name_expr(as_call_expr(node)->callee)->name.text;
}

static void render_aggregate(Draft *d, Ast *source, Str function)
{
    bool of_row = source->kind == AST_NAME_EXPR && (!source->symbol || source->symbol->kind != SYMBOL_COLUMN);
    if (str_is(function, "count") && of_row) {
        item_add(d, QX_COUNT_ALL, 0, 0);
        return;
    }
    render(d, source);
    item_add(d, str_is(function, "count") ? QX_COUNT : str_is(function, "sum") ? QX_SUM : str_is(function, "min") ? QX_MIN : str_is(function, "max") ? QX_MAX : QX_AVG, 0, 0);
}

/* A column that may be null, where check knows it is not, is taken as what it holds. */
static void item_column(Draft *d, const Ast *node, uint8_t source, const Symbol *column)
{
    Lower *lw = d->f->lw;
    item_add(d, QX_COLUMN, source, (uint16_t)column->ordinal);
    bool optional = lower_kind(lw, row_of(lw, column->type)) == KIND_OPT;
    if (optional && node->type && lower_kind(lw, row_of(lw, node->type)) != KIND_OPT) item_add(d, QX_KNOWN, 0, 0);
}

static void render_field(Draft *d, Ast_field_expr *node)
{
    FieldInfo *info = node->head.info;
    Symbol *column = info && info->symbol ? info->symbol : node->head.symbol;
    Symbol *object = node->object->symbol;
    uint8_t source = object && object->kind == SYMBOL_TABLE ? source_of_table(d, object) : source_of_row(d, object);
    item_column(d, &node->head, source, column);
}

static bool is_column(const Ast *node)
{
    const FieldInfo *info = node->kind == AST_FIELD_EXPR ? node->info : NULL;
    return (info && info->kind == FIELD_COLUMN) || (node->kind == AST_FIELD_EXPR && node->symbol && node->symbol->kind == SYMBOL_COLUMN);
}

/* What touches a row, in its own type. */
static void render_node(Draft *d, Ast *node)
{
    switch (node->kind) {
    case AST_NAME_EXPR:
        if (!node->symbol || node->symbol->kind != SYMBOL_COLUMN) break;
        item_column(d, node, source_of_table(d, node->symbol->owner), node->symbol);
        return;
    case AST_FIELD_EXPR:
        if (!is_column(node)) break;
        render_field(d, as_field_expr(node));
        return;
    case AST_NULL_EXPR: item_add(d, QX_NULL, 0, 0); return;
    case AST_BINARY_EXPR: render_binary(d, as_binary_expr(node)); return;
    case AST_UNARY_EXPR: render_unary(d, as_unary_expr(node)); return;
    case AST_CALL_EXPR:
        if (!node->info) {               /* count(row), written like a call */
            render_aggregate(d, aggregate_source(node), aggregate_function(node));
            return;
        }
        if (((CallInfo *)node->info)->kind != CALL_BUILTIN) break;
        render_method(d, node->info);
        return;
    case AST_AGGREGATE_EXPR: render_aggregate(d, as_aggregate_expr(node)->source, as_aggregate_expr(node)->function.text); return;
    default: break;
    }
    item_param(d, node, final_type(d->f->lw, node));
}

/* And widened where check asks for it: int columns beside decimals and floats. */
static void render(Draft *d, Ast *node)
{
    Lower *lw = d->f->lw;
    if (is_hoisted(d, node)) {
        item_param(d, node, final_type(lw, node));
        return;
    }
    render_node(d, node);
    if (!node->want || row_bare(lw, row_of(lw, node->type)) != TYPE_INDEX_INT) return;
    uint16_t wanted = row_bare(lw, row_of(lw, node->want));
    if (wanted == TYPE_INDEX_DECIMAL) item_add(d, QX_TO_DECIMAL, 0, 0);
    if (wanted == TYPE_INDEX_FLOAT) item_add(d, QX_TO_FLOAT, 0, 0);
}

/* ---- the pieces of a query ---- */

static QueryExpr take_items(Draft *d)
{
    QueryExpr expr = { ARENA_ARRAY(d->f->lw->image->arena, QueryItem, d->items.count + 1), (uint16_t)d->items.count };
    if (d->items.count) memcpy(expr.items, d->items.items, d->items.count * sizeof(QueryItem));
    d->total += d->items.count;
    if (d->total > QUERY_ITEMS_MAX) lower_limit(d->f->lw, d->f->span, "a query", d->total, "operators and operands", QUERY_ITEMS_MAX);
    d->items.count = 0;
    return expr;
}

static QueryExpr render_whole(Draft *d, Ast *node)
{
    if (!node) return (QueryExpr){ 0 };
    render(d, node);
    return take_items(d);
}

static Draft draft_begin(Func *f, QueryInfo *info, QueryKind kind)
{
    Draft d = { .f = f, .info = info };
    d.query.kind = (uint8_t)kind;
    d.query.table = info->table->image_index;
    d.query.limit_param = NO_INDEX;
    d.query.cached_us = info->cached_us;
    d.query.row_type = f->lw->image->tables[d.query.table].row_type;
    return d;
}

/* Adds the query to the image and asks for it. */
static Val draft_end(Draft *d, uint16_t result, const char *verb, Want want)
{
    Lower *lw = d->f->lw;
    uint16_t count = (uint16_t)d->args.count;
    Val out = { 0, result, false };
    if (count > FUNC_PARAMS_MAX) lower_limit(lw, d->f->span, "a query", count, "parameters", FUNC_PARAMS_MAX);
    else {
        d->query.params = ARENA_ARRAY(lw->image->arena, uint16_t, count + 1);
        for (uint16_t i = 0; i < count; i++) d->query.params[i] = ROW(d->args, Arg, i).type;
        d->query.param_count = count;
        d->query.result = result;
        uint16_t index = lower_row(lw, IMAGE_ADD_QUERY(lw->image), "queries");
        lw->image->queries[index] = d->query;
        Str name = str_of(arena_printf(lw->arena, "%s %.*s", verb, STR_ARG(lw->image->tables[d->query.table].name)));
        out = emit_effect(d->f, d->query.kind >= QUERY_INSERT ? EFFECT_QUERY_WRITE : EFFECT_QUERY_READ, index, name, result, d->args.items, count, want);
    }
    free(d->items.items);
    free(d->args.items);
    return out;
}

/* ---- from ---- */

static void draft_joins(Draft *d, Ast_from_expr *node)
{
    for (uint32_t i = 0; i < node->joins.count && i < QUERY_JOINS_MAX; i++) {
        d->query.joins[i].table = d->info->join_tables[i]->image_index;
        d->query.joins[i].on = render_whole(d, as_join_clause(node->joins.items[i])->condition);
        d->query.join_count++;
    }
}

static void draft_orders(Draft *d, Ast_from_expr *node)
{
    d->query.orders = ARENA_ARRAY(d->f->lw->image->arena, QueryOrder, node->order.count + 1);
    for (uint32_t i = 0; i < node->order.count; i++) {
        Ast_order_key *key = as_order_key(node->order.items[i]);
        d->query.orders[i] = (QueryOrder){ render_whole(d, key->value), key->descending != 0 };
    }
    d->query.order_count = (uint16_t)node->order.count;
}

static Ast *select_field(Ast_record_expr *select, Str name)
{
    for (uint32_t i = 0; i < select->fields.count; i++)
        if (str_eq(as_field_value(select->fields.items[i])->name.text, name)) return field_value_of(select->fields.items[i]);
    return NULL;
}

static void all_columns(Draft *d, uint8_t source, uint16_t table)
{
    uint16_t count = d->f->lw->image->tables[table].column_count;
    d->query.outputs = ARENA_ARRAY(d->f->lw->image->arena, QueryExpr, count + 1);
    for (uint16_t i = 0; i < count; i++) {
        item_add(d, QX_COLUMN, source, i);
        d->query.outputs[i] = take_items(d);
    }
    d->query.output_count = count;
}

/* A record of expressions, one row variable as it is, or one value (a row of one field). */
static void draft_select(Draft *d, Ast *select)
{
    Lower *lw = d->f->lw;
    if (!select) return;
    Symbol *row = select->kind == AST_NAME_EXPR ? select->symbol : NULL;
    if (row && row->kind != SYMBOL_COLUMN && !is_hoisted(d, select)) {
        uint8_t source = source_of_row(d, row);
        if (source) all_columns(d, source, d->query.joins[source - 1].table);
        d->query.row_type = row_of(lw, d->info->row_type);
        return;
    }
    d->query.row_type = row_of(lw, d->info->row_type);
    uint16_t count = select->kind == AST_RECORD_EXPR ? lw->image->types[d->query.row_type].field_count : 1;
    d->query.outputs = ARENA_ARRAY(lw->image->arena, QueryExpr, count + 1);
    for (uint16_t i = 0; i < count; i++) {
        Ast *value = select->kind == AST_RECORD_EXPR ? select_field(as_record_expr(select), lw->image->types[d->query.row_type].fields[i].name) : select;
        if (!value) item_add(d, QX_NULL, 0, 0);
        else render(d, value);
        d->query.outputs[i] = take_items(d);
    }
    d->query.output_count = count;
}

/* select of one value: rows of one field to a list of it */
static Val take_values(Func *f, Val rows, uint16_t type, Want want)
{
    Val out = val_temp(f, type), row = val_temp(f, row_element(f->lw, rows.type)), value = val_temp(f, row_element(f->lw, type));
    Iter it;
    emit(f, OP_NEW_LIST, out.reg, 0, 0);
    iter_list(f, &it, rows, row.reg);
    emit(f, OP_GET_FIELD, value.reg, row.reg, 0);
    emit(f, OP_LIST_PUSH, out.reg, value.reg, 0);
    iter_end(f, &it);
    val_free(f, value);
    val_free(f, row);
    return settle(f, out, (Want){ type, want.type == type ? want.reg : NO_REG });
}

Val lower_from(Func *f, Ast_from_expr *node, Want want)
{
    Lower *lw = f->lw;
    QueryInfo *info = node->head.info;
    if (info->over_list) return lower_from_list(f, node, info, want);
    Draft d = draft_begin(f, info, QUERY_SELECT);
    draft_joins(&d, node);
    d.query.where = render_whole(&d, node->where);
    if (node->group) {
        d.query.groups = ARENA_ARRAY(lw->image->arena, QueryExpr, 1);
        d.query.groups[0] = render_whole(&d, node->group);
        d.query.group_count = 1;
    }
    draft_select(&d, node->select);
    draft_orders(&d, node);
    if (node->limit) d.query.limit_param = param_add(&d, arg_node(node->limit, TYPE_INDEX_INT));
    uint16_t result = row_of(lw, node->head.type), rows = row_list(lw, d.query.row_type);
    at(f, &node->head);
    Val out = draft_end(&d, rows, "select", result == rows ? want : (Want){ NO_INDEX, NO_REG });
    return result == rows || f->dead ? out : take_values(f, out, result, want);
}

/* ---- one number about rows ---- */

Val lower_table_aggregate(Func *f, Ast *node, Want want)
{
    Lower *lw = f->lw;
    QueryInfo *info = node->info;
    Str function = aggregate_function(node);
    bool exists = info->kind == QUERY_EXISTS;
    Draft d = draft_begin(f, info, info->kind);
    if (node->kind == AST_AGGREGATE_EXPR) d.query.where = render_whole(&d, as_aggregate_expr(node)->where);
    if (!exists) {
        render_aggregate(&d, aggregate_source(node), function);
        d.query.outputs = ARENA_ARRAY(lw->image->arena, QueryExpr, 1);
        d.query.outputs[0] = take_items(&d);
        d.query.output_count = 1;
    }
    at(f, node);
    return draft_end(&d, row_of(lw, node->type), arena_printf(lw->arena, "%.*s", STR_ARG(function)), want);
}

Val lower_aggregate(Func *f, Ast_aggregate_expr *node, Want want)
{
    if (node->head.symbol) return lower_table_aggregate(f, &node->head, want);
    return lower_call_of(f, &node->head, node->head.info, want);         /* of a list: its method */
}

/* ---- table[id] ---- */

static uint16_t key_column(const Lower *lw, uint16_t table)
{
    const ImageTable *row = &lw->image->tables[table];
    if (row->id_column != NO_INDEX) return row->id_column;
    for (uint16_t i = 0; i < row->column_count; i++)
        if (str_is(row->columns[i].name, "id")) return i;
    return 0;
}

Val lower_table_index(Func *f, Ast_index_expr *node, QueryInfo *info, Want want)
{
    Lower *lw = f->lw;
    Draft d = draft_begin(f, info, QUERY_SELECT_ONE);
    uint16_t column = key_column(lw, d.query.table);
    item_add(&d, QX_COLUMN, 0, column);
    item_param(&d, node->index, row_bare(lw, lw->image->tables[d.query.table].columns[column].type));
    item_add(&d, QX_EQ, 0, 0);
    d.query.where = take_items(&d);
    at(f, &node->head);
    return draft_end(&d, row_opt(lw, d.query.row_type), "get", want);
}

/* ---- insert ---- */

static void set_add(Draft *d, uint16_t column, Arg arg)
{
    item_add(d, QX_PARAM, 0, param_add(d, arg));
    d->query.sets[d->query.set_count++] = (QuerySet){ column, take_items(d) };
}

static Ast *column_default(const Symbol *table, uint16_t column)
{
    TableInfo *info = table->info;
    Ast *decl = column < info->column_count ? info->columns[column]->decl : NULL;
    return decl && decl->kind == AST_COLUMN ? as_column(decl)->value : NULL;
}

/* A column that is not given: a fresh id, a default that is not a constant; the store knows the rest. */
static void set_missing(Draft *d, Symbol *table, uint16_t column)
{
    Lower *lw = d->f->lw;
    const ImageTable *row = &lw->image->tables[d->query.table];
    if (row->id_column == column) {
        Val id = emit_effect(d->f, EFFECT_NEW_ID, d->query.table, row->name, TYPE_INDEX_STRING, NULL, 0, (Want){ NO_INDEX, NO_REG });
        set_add(d, column, arg_val(id));
        return;
    }
    Ast *value = row->columns[column].has_default ? NULL : column_default(table, column);
    if (value && value->kind != AST_NULL_EXPR) set_add(d, column, arg_node(value, row->columns[column].type));
}

static bool is_version(const ImageTable *row, uint16_t column) { return row->versioned && str_is(row->columns[column].name, "version"); }

/* insert of a record that is not a literal: the fields that are columns, the version left to the store */
static void sets_of_record(Draft *d, Symbol *table, Val record)
{
    Lower *lw = d->f->lw;
    for (uint16_t i = 0; i < lw->image->tables[d->query.table].column_count; i++) {
        ImageColumn column = lw->image->tables[d->query.table].columns[i];
        int field = -1;
        for (uint16_t j = 0; j < lw->image->types[record.type].field_count; j++)
            if (str_eq(lw->image->types[record.type].fields[j].name, column.name)) field = j;
        if (is_version(&lw->image->tables[d->query.table], i)) continue;
        if (field < 0) {
            set_missing(d, table, i);
            continue;
        }
        Val part = val_temp(d->f, lw->image->types[record.type].fields[field].type);
        emit(d->f, OP_GET_FIELD, part.reg, record.reg, (uint16_t)field);
        set_add(d, i, (Arg){ .kind = ARG_VAL, .val = part, .type = column.type });
    }
    val_free(d->f, record);
}

static void sets_of_literal(Draft *d, Symbol *table, Ast_record_expr *literal)
{
    Lower *lw = d->f->lw;
    bool given[RECORD_FIELDS_MAX] = { false };
    for (uint32_t i = 0; i < literal->fields.count; i++) {
        Symbol *column = literal->fields.items[i]->symbol;
        if (!column || column->ordinal >= RECORD_FIELDS_MAX) continue;
        given[column->ordinal] = true;
        set_add(d, (uint16_t)column->ordinal, arg_node(field_value_of(literal->fields.items[i]), lw->image->tables[d->query.table].columns[column->ordinal].type));
    }
    for (uint16_t i = 0; i < lw->image->tables[d->query.table].column_count; i++)
        if (!given[i] && !is_version(&lw->image->tables[d->query.table], i)) set_missing(d, table, i);
}

Val lower_insert_row(Func *f, Symbol *table, Ast *value, Want want)
{
    Lower *lw = f->lw;
    QueryInfo info = { .kind = QUERY_INSERT, .table = table };
    Draft d = draft_begin(f, &info, QUERY_INSERT);
    d.query.sets = ARENA_ARRAY(lw->image->arena, QuerySet, lw->image->tables[d.query.table].column_count + 1);
    if (value->kind == AST_RECORD_EXPR) sets_of_literal(&d, table, as_record_expr(value));
    else sets_of_record(&d, table, lower_any(f, value));
    return draft_end(&d, d.query.row_type, "insert", want);
}

Val lower_insert(Func *f, Ast_insert_expr *node, Want want)
{
    return lower_insert_row(f, node->head.symbol, node->value, want);
}

/* ---- update, delete ---- */

Val lower_update(Func *f, Ast_update_expr *node, Want want)
{
    Lower *lw = f->lw;
    QueryInfo *info = node->head.info;
    Draft d = draft_begin(f, info, QUERY_UPDATE);
    d.query.sets = ARENA_ARRAY(lw->image->arena, QuerySet, node->sets.count + 1);
    for (uint32_t i = 0; i < node->sets.count; i++) {
        Ast_set_clause *set = as_set_clause(node->sets.items[i]);
        uint16_t column = (uint16_t)((Symbol *)map_find(&info->table->members, set->column.text))->ordinal;
        if (is_hoisted(&d, set->value)) item_param(&d, set->value, lw->image->tables[d.query.table].columns[column].type);
        else render(&d, set->value);
        d.query.sets[d.query.set_count++] = (QuerySet){ column, take_items(&d) };
    }
    d.query.where = render_whole(&d, node->where);
    at(f, &node->head);
    return draft_end(&d, TYPE_INDEX_INT, "update", want);
}

Val lower_delete(Func *f, Ast_delete_expr *node, Want want)
{
    Draft d = draft_begin(f, node->head.info, QUERY_DELETE);
    d.query.where = render_whole(&d, node->where);
    at(f, &node->head);
    return draft_end(&d, TYPE_INDEX_INT, "delete", want);
}
