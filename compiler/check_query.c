/* check_query.c - from, aggregates, insert, update, delete.
 *
 * In `from r in t` and `update r in t` columns are fields of the row r; in `update t`, `delete from t` and `sum(t.x where …)` they are bare
 * names. What is checked here as an expression is then looked at by render(): what touches a row goes into the store, the rest is hoisted.
 */
#include "compiler/check_internal.h"

QueryInfo *query_new(Checker *c, QueryKind kind, Symbol *table)
{
    QueryInfo *info = ARENA_NEW(c->arena, QueryInfo);
    info->kind = kind;
    info->table = table;
    if (table)
        info->row_type = table->type;
    return info;
}

typedef struct Outside { Symbol *bare_table; QueryScope *query; uint32_t facts; } Outside;

static Outside query_enter(Checker *c, QueryScope *query, Symbol *bare_table)
{
    Outside outside = { c->bare_table, c->query, c->fact_count };
    c->bare_table = bare_table;
    c->query = query;
    scope_enter(c);
    return outside;
}

static void query_leave(Checker *c, Outside outside)
{
    scope_leave(c);
    c->bare_table = outside.bare_table;
    c->query = outside.query;
    c->fact_count = outside.facts;
}

static Symbol *declare_row(Checker *c, Ident name, Type *type, Ast *decl, QueryInfo *info)
{
    Symbol *row = scope_declare(c, name, type, decl);
    row->info = info;
    row->is_used = true;
    return row;
}

static void note_read(Checker *c, Ast *node, Symbol *table)
{
    note_effect(c, node, FUNC_EFFECT_READ, arena_printf(c->arena, "a read of table `%.*s`", STR_ARG(table->name)));
}

static void note_write(Checker *c, Ast *node, Symbol *table)
{
    note_effect(c, node, FUNC_EFFECT_WRITE, arena_printf(c->arena, "a write to table `%.*s`", STR_ARG(table->name)));
}

static void refuse_append_only(Checker *c, Ast *node, const Symbol *table, const char *what)
{
    if (!((const TableInfo *)table->info)->append_only)
        return;
    Diag *diag = diag_append_only(c->diags, node->span, what, table->name);
    diag_note(c->diags, diag, decl_name(table->decl).span, "rows of this table are added and never changed");
}

static void check_where(Checker *c, QueryScope *query, Ast *where)
{
    if (!where)
        return;
    check_condition(c, where);
    facts_of(c, where, true);
    if (query)
        render(c, query, where);
}

/* ---- from ------------------------------------------------------------------------------------------------ */

static void check_join(Checker *c, QueryScope *query, Ast_join_clause *join)
{
    QueryInfo *info = query->info;
    Symbol *table = global_named(c, join->source, SYMBOL_TABLE);
    if (!table && join->source->kind == AST_NAME_EXPR && !scope_find(c, as_name_expr(join->source)->name.text))
        table = require_table(c, as_name_expr(join->source)->name);
    else if (!table)
        diag_misplaced(c->diags, join->head.span, "`join`", "a query over tables");
    Symbol *row = declare_row(c, join->name, table ? table->type : poison(c), &join->head, table ? info : NULL);
    if (table && info->join_count < QUERY_JOINS_MAX) {
        info->join_tables[info->join_count] = table;
        info->join_rows[info->join_count++] = row;
    } else if (table) {
        diag_too_many(c->diags, join->head.span, "this query", info->join_count + 1, "joins", QUERY_JOINS_MAX);
    }
    check_condition(c, join->condition);
    facts_of(c, join->condition, true);
    render(c, query, join->condition);
}

static void check_order_keys(Checker *c, QueryScope *query, AstList order, bool over_list)
{
    for (uint32_t i = 0; i < order.count; i++) {
        if (order.items[i]->kind != AST_ORDER_KEY)
            continue;
        Ast *value = as_order_key(order.items[i])->value;
        Type *type = check_some(c, value, NULL), *plain = over_list ? type : type_strip(type);
        if (type == c->never || type->tag == TYPE_POISON)
            continue;
        if (type->tag == TYPE_OPT && over_list)
            report_optional(c, value, type, "a value to order by");
        else if (!type_is_ordered(plain) && plain->tag != TYPE_BOOL && plain->tag != TYPE_ENUM)
            diag_not_ordered(c->diags, value->span, text_of(c, type));
        if (query)
            render(c, query, value);
    }
}

static bool is_whole_row(const QueryInfo *info, const Ast *node)
{
    return node->kind == AST_NAME_EXPR && node->symbol == info->row;
}

/* The outputs of a query over tables; the type of one element of its result. */
static Type *check_select(Checker *c, QueryScope *query, Ast *select)
{
    QueryInfo *info = query->info;
    Type *type = check_some(c, select, NULL);
    if (type == c->never || type->tag == TYPE_POISON)
        return poison(c);
    if (is_whole_row(info, select) && !query->group)
        return info->row_type;
    if (select->kind == AST_RECORD_EXPR) {
        AstList fields = as_record_expr(select)->fields;
        for (uint32_t i = 0; i < fields.count; i++) {
            Ast_field_value *field = as_field_value(fields.items[i]);
            render(c, query, field->value ? field->value : field->head.info);
        }
        if (fields.count > QUERY_OUTPUTS_MAX)
            diag_too_many(c->diags, select->span, "this query", fields.count, "outputs", QUERY_OUTPUTS_MAX);
        return info->row_type = type;
    }
    render(c, query, select);
    TypeField *field = ARENA_NEW(c->arena, TypeField);
    *field = (TypeField){ .name = STR("value"), .type = type };
    info->row_type = type_record(c->program, (Str){ 0 }, field, 1);
    return type;
}

static Type *check_table_query(Checker *c, Ast *node, Symbol *table)
{
    Ast_from_expr *from = as_from_expr(node);
    QueryInfo *info = query_new(c, QUERY_SELECT, table);
    QueryScope query = { .info = info, .group = from->group };
    node->info = info;
    node->symbol = table;
    note_read(c, node, table);
    Outside outside = query_enter(c, &query, NULL);
    info->row = declare_row(c, from->name, table->type, node, info);
    for (uint32_t i = 0; i < from->joins.count; i++)
        if (from->joins.items[i]->kind == AST_JOIN_CLAUSE)
            check_join(c, &query, as_join_clause(from->joins.items[i]));
    check_where(c, &query, from->where);
    if (from->group) {
        Type *group = check_some(c, from->group, NULL), *plain = type_strip(group);
        if (group != c->never && !type_is_ordered(plain) && plain->tag != TYPE_BOOL && plain->tag != TYPE_ENUM)
            diag_not_ordered(c->diags, from->group->span, text_of(c, group));
        render(c, &query, from->group);
        if (!from->select)
            diag_label(c->diags, diag_misplaced(c->diags, from->group->span, "`group by`", "a query with `select`"), "what is the row of a group?");
    }
    query.in_outputs = true;
    Type *element = from->select ? check_select(c, &query, from->select) : table->type;
    check_order_keys(c, &query, from->order, false);
    query.in_outputs = false;
    query_leave(c, outside);
    if (from->limit) {
        check_value(c, from->limit, c->basic[TYPE_INT]);
        hoist(c, info, from->limit);
    }
    return info->result = type_list(c->program, element);
}

static Type *check_list_query(Checker *c, Ast *node)
{
    Ast_from_expr *from = as_from_expr(node);
    QueryInfo *info = query_new(c, QUERY_SELECT, NULL);
    info->over_list = true;
    node->info = info;
    Type *source = check_some(c, from->source, NULL);
    Type *item = source->tag == TYPE_LIST ? type_element(c->program, source) : poison(c);
    if (source->tag == TYPE_OPT)
        report_optional(c, from->source, source, "a list");
    else if (source->tag != TYPE_LIST && source->tag != TYPE_POISON && source != c->never)
        diag_not_iterable(c->diags, from->source->span, text_of(c, source));
    Outside outside = query_enter(c, NULL, c->bare_table);
    info->row = declare_row(c, from->name, item, node, NULL);
    info->row_type = item;
    for (uint32_t i = 0; i < from->joins.count; i++)
        diag_misplaced(c->diags, from->joins.items[i]->span, "`join`", "a query over tables");
    if (from->group)
        diag_help(c->diags, diag_misplaced(c->diags, from->group->span, "`group by`", "a query over a table"), "lists have `.group_by(x => …)`");
    check_where(c, NULL, from->where);
    check_order_keys(c, NULL, from->order, true);
    Type *element = from->select ? check_some(c, from->select, NULL) : item;
    query_leave(c, outside);
    if (from->limit)
        check_value(c, from->limit, c->basic[TYPE_INT]);
    if (element == c->never)
        element = poison(c);
    return info->result = type_list(c->program, element);
}

static Type *check_from(Checker *c, Ast *node)
{
    Ast *source = as_from_expr(node)->source;
    Symbol *table = global_named(c, source, SYMBOL_TABLE);
    if (table)
        return check_table_query(c, node, table);
    bool unknown = source->kind == AST_NAME_EXPR && could_be_member(c, source);
    if (unknown) {
        require_table(c, as_name_expr(source)->name);
        return poison(c);
    }
    return check_list_query(c, node);
}

/* ---- aggregates --------------------------------------------------------------------------------------------- */

static Type *aggregate_type(Checker *c, Ast *node, Ident function, Type *column)
{
    Type *plain = column ? type_strip(column) : NULL;
    if (str_is(function.text, "count"))
        return c->basic[TYPE_INT];
    if (str_is(function.text, "exists"))
        return c->basic[TYPE_BOOL];
    if (!plain) {
        Diag *diag = diag_aggregate_type(c->diags, node->span, function.text, "a table");
        diag_help(c->diags, diag, "name the column: `%.*s(table.column)`", STR_ARG(function.text));
        return poison(c);
    }
    if (plain->tag == TYPE_POISON)
        return plain;
    bool is_sum = str_is(function.text, "sum"), is_avg = str_is(function.text, "avg");
    bool fits = is_sum ? type_is_number(plain) || plain->tag == TYPE_DURATION : is_avg ? type_is_number(plain) : type_is_ordered(plain);
    if (!fits) {
        diag_aggregate_type(c->diags, node->span, function.text, text_of(c, column));
        return poison(c);
    }
    if (is_sum)
        return plain;
    if (is_avg)
        plain = c->basic[plain->tag == TYPE_FLOAT ? TYPE_FLOAT : TYPE_DECIMAL];
    return type_labeled(c->program, type_optional(c->program, plain), column->labels);
}

static bool is_query_row(Checker *c, Ast *node)
{
    if (node->kind != AST_NAME_EXPR || !c->query || !c->query->group)
        return false;
    Symbol *symbol = scope_find(c, as_name_expr(node)->name.text);
    return symbol && symbol->kind == SYMBOL_LOCAL && symbol->info == c->query->info;
}

/* count(b), sum(b.amount) behind a grouping: computed with the query around it. */
static Type *group_aggregate(Checker *c, Ast *node, Ident function, Ast *source, Ast *where)
{
    Type *column = NULL;
    if (where)
        diag_misplaced(c->diags, where->span, "`where`", "an aggregate over a table, not over a group");
    Type *type = check_some(c, source, NULL);
    if (source->kind == AST_FIELD_EXPR)
        column = type;
    if (str_is(function.text, "exists"))
        diag_aggregate_type(c->diags, node->span, function.text, "a group");
    node->info = NULL;
    return aggregate_type(c, node, function, column);
}

static Type *table_aggregate(Checker *c, Ast *node, Ident function, Symbol *table, Ast *source, Ast *where)
{
    bool exists = str_is(function.text, "exists");
    QueryInfo *info = query_new(c, exists ? QUERY_EXISTS : QUERY_AGGREGATE, table);
    QueryScope query = { .info = info };
    node->info = info;
    node->symbol = table;
    note_read(c, node, table);
    Type *column = NULL;
    if (source->kind == AST_FIELD_EXPR) {
        Ident name = as_field_expr(source)->name;
        Symbol *symbol = map_find(&table->members, name.text);
        source->symbol = symbol;
        column = symbol ? symbol->type : poison(c);
        source->type = column;
        if (!symbol)
            suggest_members(c, diag_unknown_column(c->diags, name.span, table->name, name.text), name.text, &table->members);
    }
    Outside outside = query_enter(c, &query, table);
    check_where(c, &query, where);
    query_leave(c, outside);
    return info->result = aggregate_type(c, node, function, column);
}

/* The same words over a list are its methods. */
static Type *list_aggregate(Checker *c, Ast *node, Ident function, Ast *source)
{
    Ast_arg *arg = ARENA_NEW(c->arena, Ast_arg);
    arg->head.kind = AST_ARG;
    arg->value = source;
    Ast_call_expr *call = ARENA_NEW(c->arena, Ast_call_expr);
    call->head.kind = AST_CALL_EXPR;
    call->head.span = node->span;
    call->args.items = ARENA_NEW(c->arena, Ast *);
    call->args.items[0] = &arg->head;
    call->args.count = 1;
    Str name = str_is(function.text, "count") ? STR("length") : function.text;
    Type *type = check_method(c, &call->head, name, function.span, source, NULL);
    node->info = call->head.info;
    node->symbol = NULL;
    return type;
}

Type *check_aggregate(Checker *c, Ast *node, Ident function, Ast *source, Ast *where)
{
    Ast *object = source->kind == AST_FIELD_EXPR ? as_field_expr(source)->object : source;
    if (is_query_row(c, object))
        return group_aggregate(c, node, function, source, where);
    Symbol *table = global_named(c, object, SYMBOL_TABLE);
    if (table)
        return table_aggregate(c, node, function, table, source, where);
    bool unknown = object->kind == AST_NAME_EXPR && could_be_member(c, object);
    if (!where && !unknown && (node->kind == AST_AGGREGATE_EXPR || str_is(function.text, "count")))
        return list_aggregate(c, node, function, source);
    if (node->kind == AST_CALL_EXPR)
        return NULL;
    if (object->kind == AST_NAME_EXPR)
        require_table(c, as_name_expr(object)->name);
    else
        diag_misplaced(c->diags, node->span, "an aggregate with `where`", "a table");
    return poison(c);
}

/* ---- insert, update, delete ------------------------------------------------------------------------------------ */

static Type *check_insert(Checker *c, Ast *node)
{
    Ast_insert_expr *insert = as_insert_expr(node);
    Symbol *table = node->symbol = require_table(c, insert->table);
    if (!table) {
        check_some(c, insert->value, NULL);
        return poison(c);
    }
    note_write(c, node, table);
    check_row(c, insert->value, table);
    QueryInfo *info = query_new(c, QUERY_INSERT, table);
    node->info = info;
    return info->result = table->type;
}

typedef struct Transition { Symbol *machine; unsigned to; Ast_set_clause *set; } Transition;

static void check_source_state(Checker *c, const Transition *transition, Ast *state)
{
    if (!state->symbol || state->symbol->kind != SYMBOL_MEMBER || state->symbol->owner != transition->machine)
        return;
    MachineInfo *info = transition->machine->info;
    if (info->targets[state->symbol->ordinal] >> transition->to & 1)
        return;
    Str to = transition->machine->type->members[transition->to];
    Diag *diag = diag_transition_illegal(c->diags, transition->set->value->span, transition->machine->name, state->symbol->name, to);
    diag_note(c->diags, diag, state->span, "the rows are in this state");
}

/* Looks for `column == STATE` and `column in [STATES]` among the conditions that must hold. */
static void check_source_states(Checker *c, const Transition *transition, Ast *where)
{
    if (!where || where->kind != AST_BINARY_EXPR)
        return;
    Ast_binary_expr *binary = as_binary_expr(where);
    if (binary->op == BINARY_AND) {
        check_source_states(c, transition, binary->left);
        check_source_states(c, transition, binary->right);
    }
    Symbol *column = binary->left->symbol;
    if (!column || column->kind != SYMBOL_COLUMN || !str_eq(column->name, transition->set->column.text))
        return;
    if (binary->op == BINARY_EQ) {
        check_source_state(c, transition, binary->right);
    } else if (binary->op == BINARY_IN && binary->right->kind == AST_LIST_EXPR) {
        AstList states = as_list_expr(binary->right)->items;
        for (uint32_t i = 0; i < states.count; i++)
            check_source_state(c, transition, states.items[i]);
    }
}

static void check_transition(Checker *c, Ast_set_clause *set, Symbol *column, Ast *where)
{
    Type *type = type_strip(column->type);
    Symbol *to = set->value->symbol;
    if (type->tag != TYPE_ENUM || !type->decl || type->decl->kind != SYMBOL_MACHINE || !to || to->kind != SYMBOL_MEMBER || to->owner != type->decl)
        return;
    if (type->member_count > MACHINE_STATES_MAX)
        return;                                             /* reported where it is declared */
    MachineInfo *info = type->decl->info;
    bool reachable = false;
    for (uint32_t i = 0; i < type->member_count; i++)
        reachable |= info->targets[i] >> to->ordinal & 1;
    if (!reachable) {
        diag_state_unreachable(c->diags, set->value->span, type->decl->name, to->name);
        return;
    }
    Transition transition = { type->decl, to->ordinal, set };
    check_source_states(c, &transition, where);
}

static void check_set(Checker *c, QueryScope *query, Ast_set_clause *set, Symbol *table)
{
    Symbol *column = set->head.symbol = map_find(&table->members, set->column.text);
    if (!column) {
        suggest_members(c, diag_unknown_column(c->diags, set->column.span, table->name, set->column.text), set->column.text, &table->members);
        check_some(c, set->value, NULL);
        return;
    }
    if (column->decl->kind == AST_VERSION_CLAUSE)
        diag_version_column(c->diags, set->column.span);
    check_value(c, set->value, column->type);
    render(c, query, set->value);
}

static Type *check_update(Checker *c, Ast *node)
{
    Ast_update_expr *update = as_update_expr(node);
    Symbol *table = node->symbol = require_table(c, update->table);
    if (!table)
        return poison(c);
    note_write(c, node, table);
    refuse_append_only(c, node, table, "an update");
    QueryInfo *info = query_new(c, QUERY_UPDATE, table);
    QueryScope query = { .info = info };
    node->info = info;
    bool bare = !update->name.text.len;
    Outside outside = query_enter(c, &query, bare ? table : NULL);
    if (!bare)
        info->row = declare_row(c, update->name, table->type, node, info);
    uint32_t facts = c->fact_count;
    check_where(c, &query, update->where);
    for (uint32_t i = 0; i < update->sets.count; i++) {
        if (update->sets.items[i]->kind != AST_SET_CLAUSE)
            continue;
        Ast_set_clause *set = as_set_clause(update->sets.items[i]);
        for (uint32_t k = 0; k < i; k++)
            if (update->sets.items[k]->kind == AST_SET_CLAUSE && str_eq(as_set_clause(update->sets.items[k])->column.text, set->column.text)) {
                diag_given_twice(c->diags, set->column.span, "column", set->column.text);
                break;
            }
        check_set(c, &query, set, table);
        if (set->head.symbol)
            check_transition(c, set, set->head.symbol, update->where);
    }
    c->fact_count = facts;
    query_leave(c, outside);
    return info->result = c->basic[TYPE_INT];
}

static Type *check_delete(Checker *c, Ast *node)
{
    Ast_delete_expr *delete = as_delete_expr(node);
    Symbol *table = node->symbol = require_table(c, delete->table);
    if (!table)
        return poison(c);
    note_write(c, node, table);
    refuse_append_only(c, node, table, "a deletion");
    QueryInfo *info = query_new(c, QUERY_DELETE, table);
    QueryScope query = { .info = info };
    node->info = info;
    bool bare = !delete->name.text.len;
    Outside outside = query_enter(c, &query, bare ? table : NULL);
    if (!bare)
        info->row = declare_row(c, delete->name, table->type, node, info);
    check_where(c, &query, delete->where);
    query_leave(c, outside);
    return info->result = c->basic[TYPE_INT];
}

Type *check_query(Checker *c, Ast *node, Type *hint)
{
    (void)hint;
    switch (node->kind) {
    case AST_FROM_EXPR: return check_from(c, node);
    case AST_AGGREGATE_EXPR: {
        Ast_aggregate_expr *aggregate = as_aggregate_expr(node);
        return check_aggregate(c, node, aggregate->function, aggregate->source, aggregate->where);
    }
    case AST_INSERT_EXPR: return check_insert(c, node);
    case AST_UPDATE_EXPR: return check_update(c, node);
    default: return check_delete(c, node);
    }
}
