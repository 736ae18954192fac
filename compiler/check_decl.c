/* check_decl.c - the bodies, clauses and default values of declarations. */
#include "compiler/check_internal.h"

static Body *enter_declaration(Checker *c, Body *body, FuncInfo *func, const char *what)
{
    *body = (Body){ .id = func->id, .what = what, .result = func->result };
    c->body = body;
    c->func = func;
    scope_enter(c);
    return body;
}

static void leave_declaration(Checker *c)
{
    scope_leave(c);
    c->body = NULL;
    c->func = NULL;
    c->fact_count = 0;
}

static void bind_params(Checker *c, FuncInfo *func)
{
    for (uint32_t i = 0; i < func->param_count; i++)
        scope_bind(c, func->params[i], decl_name(func->params[i]->decl).span);
}

static void check_body(Checker *c, FuncInfo *func, Ast *body)
{
    Type *type = check_block(c, body, BLOCK_STATEMENT, NULL);
    if (type == c->never || func->result->tag == TYPE_VOID || func->result->tag == TYPE_POISON)
        return;
    Span span = body->span;
    span = (Span){ span.end > span.start ? span.end - 1 : span.start, span.end, span.file };
    diag_label(c->diags, diag_missing_return(c->diags, span, text_of(c, func->result)), "control gets here without a `return`");
}

/* ---- default values ---------------------------------------------------------------------------------------- */

static bool is_literal(Ast *node)
{
    switch (node->kind) {
    case AST_NULL_EXPR: case AST_BOOL_EXPR: case AST_INT_EXPR: case AST_DECIMAL_EXPR: case AST_DURATION_EXPR: case AST_DATE_EXPR: case AST_TIMESTAMP_EXPR:
    case AST_ERROR:
        return true;
    case AST_STRING_EXPR: {
        AstList parts = as_string_expr(node)->parts;
        return parts.count == 0 || (parts.count == 1 && parts.items[0]->kind == AST_TEXT_PART);
    }
    case AST_UNARY_EXPR: return as_unary_expr(node)->op == UNARY_NEG && is_literal(as_unary_expr(node)->operand);
    case AST_NAME_EXPR: case AST_FIELD_EXPR: return node->symbol && node->symbol->kind == SYMBOL_MEMBER;
    default: return false;
    }
}

static void check_default(Checker *c, Ast *value, Type *type)
{
    const char *outer = c->pure_where;
    bool in_default = c->in_default;
    Body body = { .what = "default value" }, *around = c->body;
    c->body = &body;
    c->pure_where = "a default value";
    c->in_default = true;
    check_value(c, value, type);
    c->in_default = in_default;
    c->pure_where = outer;
    c->body = around;
}

static void check_param_defaults(Checker *c, FuncInfo *func)
{
    for (uint32_t i = 0; i < func->param_count; i++) {
        Ast *decl = func->params[i]->decl;
        if (decl->kind == AST_PARAM && as_param(decl)->value)
            check_default(c, as_param(decl)->value, func->params[i]->type);
    }
}

static void check_field_defaults(Checker *c, AstList fields)
{
    for (uint32_t i = 0; i < fields.count; i++)
        if (fields.items[i]->kind == AST_FIELD && as_field(fields.items[i])->value && as_field(fields.items[i])->type->type)
            check_default(c, as_field(fields.items[i])->value, as_field(fields.items[i])->type->type);
}

static void check_table(Checker *c, Symbol *table)
{
    Ast_table_decl *decl = as_table_decl(table->decl);
    for (uint32_t i = 0; i < decl->columns.count; i++) {
        if (decl->columns.items[i]->kind != AST_COLUMN)
            continue;
        Ast_column *column = as_column(decl->columns.items[i]);
        if (!column->value || !column->head.symbol)
            continue;
        check_default(c, column->value, column->head.symbol->type);
        if (column->value->type->tag != TYPE_POISON && !is_literal(column->value))
            diag_constant_expected(c->diags, column->value->span, "found a computed value", "a literal or a member of an enum: the store keeps the default of a column");
    }
    check_visibility(c, table);
}

/* ---- clauses of flows ----------------------------------------------------------------------------------------- */

/* `user`, `tenant`, or a string made of the parameters. */
static void check_key(Checker *c, Ast *key)
{
    if (key->kind == AST_NAME_EXPR) {
        Str name = as_name_expr(key)->name.text;
        if ((str_is(name, "user") || str_is(name, "tenant")) && !scope_find(c, name)) {
            key->type = c->basic[TYPE_STRING];
            return;
        }
    }
    check_value(c, key, c->basic[TYPE_STRING]);
}

static void check_count(Checker *c, Ast *count, const char *expected)
{
    count->type = c->basic[TYPE_INT];
    if (count->kind != AST_INT_EXPR || as_int_expr(count)->value < 1 || as_int_expr(count)->value > UINT32_MAX) {
        Str found = span_text(c->program->sources, count->span);
        diag_constant_expected(c->diags, count->span, arena_printf(c->arena, "found `%.*s`", (int)(found.len > 40 ? 40 : found.len), found.ptr), expected);
    }
}

static void check_priority(Checker *c, Ast *value)
{
    value->type = c->basic[TYPE_INT];
    if (as_int_expr(value)->value < 0 || as_int_expr(value)->value > FLOW_PRIORITY_MAX)
        diag_constant_expected(c->diags, value->span, arena_printf(c->arena, "found `%lld`", (long long)as_int_expr(value)->value), "a number from 0 to 1000 (FLOW_PRIORITY_MAX)");
}

static void check_rate(Checker *c, Ast_rate_clause *rate)
{
    check_count(c, rate->count, "a number such as `100`");
    Str unit = rate->unit.text;
    if (!str_is(unit, "s") && !str_is(unit, "m") && !str_is(unit, "h") && !str_is(unit, "d"))
        diag_unknown_word(c->diags, rate->unit.span, "unit", unit, "`s`, `m`, `h` or `d`");
    if (rate->key)
        check_key(c, rate->key);
}

static void check_flow_clause(Checker *c, Symbol *flow, Ast *clause)
{
    switch (clause->kind) {
    case AST_ROUTE_CLAUSE: check_route(c, flow, clause); break;
    case AST_WEBHOOK_CLAUSE: case AST_VERIFY_CLAUSE: case AST_TOLERANCE_CLAUSE: case AST_DEDUPE_CLAUSE: case AST_TENANT_CLAUSE: check_webhook_clause(c, clause); break;
    case AST_REQUIRES_CLAUSE: check_scopes(c, as_requires_clause(clause)->scopes); break;
    case AST_WITHIN_CLAUSE: check_duration(c, as_within_clause(clause)->duration); break;
    case AST_ONE_PER_CLAUSE: check_key(c, as_one_per_clause(clause)->key); break;
    case AST_LIMIT_CLAUSE:
        check_count(c, as_limit_clause(clause)->count, "a number such as `10`");
        check_key(c, as_limit_clause(clause)->key);
        break;
    case AST_PRIORITY_CLAUSE: check_priority(c, as_priority_clause(clause)->value); break;
    case AST_RATE_CLAUSE: check_rate(c, as_rate_clause(clause)); break;
    default: break;
    }
}

/* ---- functions --------------------------------------------------------------------------------------------------- */

static void check_fn(Checker *c, Symbol *symbol)
{
    Ast_fn_decl *decl = as_fn_decl(symbol->decl);
    Body body;
    check_param_defaults(c, symbol->info);
    enter_declaration(c, &body, symbol->info, "function");
    bind_params(c, symbol->info);
    c->pure_where = str_starts(symbol->name, STR("__")) ? "what an event changes"    /* made of a `when` or of a projection's `on` */
                                                      : arena_printf(c->arena, "function `%.*s`", STR_ARG(symbol->name));
    check_body(c, symbol->info, decl->body);
    c->pure_where = NULL;
    leave_declaration(c);
}

/* An event starts the flow, and brings itself only. */
static void check_trigger(Checker *c, Symbol *flow)
{
    FuncInfo *func = flow->info;
    if (!func->param_count || func->params[0]->decl->kind != AST_TRIGGER_CLAUSE)
        return;
    for (uint32_t i = 1; i < func->param_count; i++) {
        Symbol *param = func->params[i];
        if (param->decl->kind != AST_PARAM || as_param(param->decl)->value)
            continue;
        Diag *diag = diag_missing_argument(c->diags, param->decl->span, param->name, flow->name);
        diag_label(c->diags, diag, "an event starts this flow, and brings no value for it");
        diag_note(c->diags, diag, func->params[0]->decl->span, "started here");
        diag_help(c->diags, diag, "give the parameter a default");
    }
}

static void check_flow(Checker *c, Symbol *symbol)
{
    Ast_flow_decl *decl = as_flow_decl(symbol->decl);
    Body body;
    check_param_defaults(c, symbol->info);
    enter_declaration(c, &body, symbol->info, "flow");
    bind_params(c, symbol->info);
    check_trigger(c, symbol);
    c->pure_where = "a clause of a flow";
    for (uint32_t i = 0; i < decl->clauses.count; i++)
        check_flow_clause(c, symbol, decl->clauses.items[i]);
    c->pure_where = NULL;
    if (decl->clauses.count && decl->clauses.items[0]->kind == AST_WEBHOOK_CLAUSE)
        check_webhook(c, symbol);
    check_body(c, symbol->info, decl->body);
    leave_declaration(c);
}

static void check_tool(Checker *c, Symbol *symbol)
{
    Ast_tool_decl *decl = as_tool_decl(symbol->decl);
    Body body;
    check_param_defaults(c, symbol->info);
    for (uint32_t i = 0; i < decl->clauses.count; i++)
        if (decl->clauses.items[i]->kind == AST_REQUIRES_CLAUSE)
            check_scopes(c, as_requires_clause(decl->clauses.items[i])->scopes);
    if (!decl->body)
        return;
    enter_declaration(c, &body, symbol->info, "tool");
    bind_params(c, symbol->info);
    check_body(c, symbol->info, decl->body);
    leave_declaration(c);
}

static void check_handler(Checker *c, Symbol *symbol)
{
    Ast_handler_decl *decl = as_handler_decl(symbol->decl);
    Body body;
    enter_declaration(c, &body, symbol->info, "handler");
    scope_bind(c, ((FuncInfo *)symbol->info)->params[0], decl->name.span);
    if (decl->where) {
        c->pure_where = "the condition of a handler";
        check_condition(c, decl->where);
        facts_of(c, decl->where, true);
        c->pure_where = NULL;
    }
    check_body(c, symbol->info, decl->body);
    leave_declaration(c);
}

static void check_uri(Checker *c, Symbol *agent, Ast *node)
{
    AstList members = as_agent_decl(agent->decl)->members;
    for (uint32_t i = 0; i < members.count && members.items[i] != node; i++)
        if (members.items[i]->kind == AST_RESOURCE_DECL && str_eq(as_resource_decl(members.items[i])->uri, as_resource_decl(node)->uri)) {
            diag_given_twice(c->diags, node->span, "resource", as_resource_decl(node)->uri);
            return;
        }
}

static void check_resource(Checker *c, Symbol *agent, Ast *node)
{
    Ast_resource_decl *decl = as_resource_decl(node);
    check_uri(c, agent, node);
    FuncInfo *func = func_new(c, agent);
    func->result = resolve_type(c, decl->result);
    node->info = func;
    if (!decl->body)
        return;
    Body body;
    enter_declaration(c, &body, func, "resource");
    check_body(c, func, decl->body);
    leave_declaration(c);
}

/* ---- agents ------------------------------------------------------------------------------------------------------- */

static bool is_env(Ast *node)
{
    return node->kind == AST_FIELD_EXPR && as_field_expr(node)->object->kind == AST_NAME_EXPR &&
           str_is(as_name_expr(as_field_expr(node)->object)->name.text, "env");
}

/* http(env.URL), mcp("https://…"), credential("name"): a word and one argument. */
static void check_agent_call(Checker *c, Ast *node, const char *what, const char *const *words, const char *expected)
{
    bool is_call = node->kind == AST_CALL_EXPR && as_call_expr(node)->callee->kind == AST_NAME_EXPR;
    Ident name = is_call ? as_name_expr(as_call_expr(node)->callee)->name : (Ident){ span_text(c->program->sources, node->span), node->span };
    bool known = false;
    for (; *words && is_call; words++)
        known |= str_is(name.text, *words);
    if (!known) {
        diag_unknown_word(c->diags, name.span, what, name.text, expected);
        return;
    }
    AstList args = as_call_expr(node)->args;
    Ast *value = args.count == 1 && args.items[0]->kind == AST_ARG ? as_arg(args.items[0])->value : NULL;
    if (value && is_env(value)) {
        FieldInfo *info = ARENA_NEW(c->arena, FieldInfo);
        info->kind = FIELD_ENV;
        value->info = info;
        value->type = c->basic[TYPE_STRING];
    } else if (value && value->kind == AST_STRING_EXPR && is_literal(value)) {
        value->type = c->basic[TYPE_STRING];
    } else {
        diag_constant_expected(c->diags, value ? value->span : node->span, "found another argument", "a string literal or `env.NAME`");
    }
}

static void check_agent(Checker *c, Symbol *agent)
{
    static const char *const locations[] = { "http", "mcp", "engine", NULL }, *const auths[] = { "credential", NULL };
    Ast_agent_decl *decl = as_agent_decl(agent->decl);
    if (decl->location)
        check_agent_call(c, decl->location, "location", locations, "`http(…)`, `mcp(…)` or `engine(…)`");
    if (decl->auth)
        check_agent_call(c, decl->auth, "authentication", auths, "`credential(…)`");
    for (uint32_t i = 0; i < decl->members.count; i++) {
        Ast *member = decl->members.items[i];
        if (member->kind == AST_TOOL_DECL)
            check_tool(c, member->symbol);
        else if (member->kind == AST_HANDLER_DECL)
            check_handler(c, member->symbol);
        else if (member->kind == AST_RESOURCE_DECL)
            check_resource(c, agent, member);
    }
}

/* ---- tests ----------------------------------------------------------------------------------------------------------- */

static void check_test(Checker *c, Symbol *test)
{
    Body body;
    c->in_test = true;
    enter_declaration(c, &body, test->info, "test");
    check_body(c, test->info, as_test_decl(test->decl)->body);
    leave_declaration(c);
    c->in_test = false;
}

static void check_fixture(Checker *c, Symbol *fixture)
{
    Ast_fixture_decl *decl = as_fixture_decl(fixture->decl);
    Body body;
    c->in_test = true;
    enter_declaration(c, &body, fixture->info, "fixture");
    for (uint32_t i = 0; i < decl->entries.count; i++)
        if (decl->entries.items[i]->kind == AST_FIXTURE_ROWS)
            check_test_statement(c, decl->entries.items[i]);
    leave_declaration(c);
    c->in_test = false;
}

void check_declaration(Checker *c, Ast *decl)
{
    switch (decl->kind) {
    case AST_AGENT_DECL: check_agent(c, decl->symbol); break;
    case AST_FN_DECL: check_fn(c, decl->symbol); break;
    case AST_FLOW_DECL: check_flow(c, decl->symbol); break;
    case AST_HANDLER_DECL: check_handler(c, decl->symbol); break;
    case AST_TABLE_DECL: check_table(c, decl->symbol); break;
    case AST_RECORD_DECL: check_field_defaults(c, as_record_decl(decl)->fields); break;
    case AST_SESSION_DECL: check_field_defaults(c, as_session_decl(decl)->fields); break;
    case AST_EVENT_DECL: check_field_defaults(c, as_event_decl(decl)->fields); break;
    case AST_SIGNAL_DECL: check_field_defaults(c, as_signal_decl(decl)->fields); break;
    case AST_ROLE_DECL: check_role(c, decl); break;
    case AST_TEST_DECL: check_test(c, decl->symbol); break;
    case AST_FIXTURE_DECL: check_fixture(c, decl->symbol); break;
    case AST_TOOL_DECL: case AST_RESOURCE_DECL:
        diag_misplaced(c->diags, decl->span, decl->kind == AST_TOOL_DECL ? "a tool" : "a resource", "an agent");
        break;
    default: break;
    }
}
