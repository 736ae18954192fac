/* check_test.c - the statements of tests: what is given, what is run, what is expected. */
#include "compiler/check_internal.h"

/* agent.tool; NULL after a report. */
static Symbol *tool_path(Checker *c, Ast *node)
{
    if (node->kind != AST_FIELD_EXPR || as_field_expr(node)->object->kind != AST_NAME_EXPR) {
        if (node->kind != AST_ERROR) {
            Str found = span_text(c->program->sources, node->span);
            diag_constant_expected(c->diags, node->span, arena_printf(c->arena, "found `%.*s`", (int)(found.len > 40 ? 40 : found.len), found.ptr), "a tool: `agent.tool`");
        }
        return NULL;
    }
    Ast_field_expr *field = as_field_expr(node);
    Ident name = as_name_expr(field->object)->name;
    Symbol *agent = find_global(c, SYMBOL_AGENT, name.text);
    if (!agent) {
        suggest_globals(c, diag_unknown_agent(c->diags, name.span, name.text), name.text, SYMBOL_AGENT);
        return NULL;
    }
    agent->is_used = true;
    field->object->symbol = agent;
    Symbol *tool = node->symbol = map_find(&agent->members, field->name.text);
    if (tool)
        tool->is_used = true;
    else
        suggest_members(c, diag_unknown_tool(c->diags, field->name.span, agent->name, field->name.text), field->name.text, &agent->members);
    return tool;
}

static void check_given_fails(Checker *c, Ast *node)
{
    Ast_given_fails *given = as_given_fails(node);
    node->symbol = tool_path(c, given->tool);
    check_error_kind(c, given->kind);
    if (given->message)
        check_value(c, given->message, c->basic[TYPE_STRING]);
    if (given->details)
        check_error_details(c, given->details);
    if (given->times)
        check_value(c, given->times, c->basic[TYPE_INT]);
}

/* `given llm.plan returns { … }`: what a model answers; no symbol. */
static bool is_llm_plan(Checker *c, Ast *tool)
{
    if (tool->kind != AST_FIELD_EXPR || as_field_expr(tool)->object->kind != AST_NAME_EXPR || map_find(&c->program->globals, STR("llm")))
        return false;
    return str_is(as_name_expr(as_field_expr(tool)->object)->name.text, "llm") && str_is(as_field_expr(tool)->name.text, "plan");
}

static void check_given_returns(Checker *c, Ast *node)
{
    Ast_given_returns *given = as_given_returns(node);
    if (is_llm_plan(c, given->tool)) {
        check_value(c, given->value, c->basic[TYPE_JSON]);
        if (given->delay)
            diag_misplaced(c->diags, given->delay->span, "`after`", "what a tool returns");
        return;
    }
    Symbol *tool = node->symbol = tool_path(c, given->tool);
    if (!tool)
        check_some(c, given->value, NULL);
    else if (tool->type->tag != TYPE_VOID)
        check_value(c, given->value, tool->type);
    else if (check_some(c, given->value, NULL)->tag != TYPE_NULL)
        diag_return_value(c->diags, given->value->span, arena_printf(c->arena, "tool `%.*s`", STR_ARG(tool->name)));
    if (given->delay)
        check_duration(c, given->delay);
}

static void check_rows(Checker *c, Ast *node, Ident name, AstList rows)
{
    Symbol *table = node->symbol = require_table(c, name);
    for (uint32_t i = 0; i < rows.count; i++) {
        if (table)
            check_row(c, rows.items[i], table);
        else
            check_some(c, rows.items[i], NULL);
    }
}

static void check_fixture_rows(Checker *c, Ast *node)
{
    check_rows(c, node, as_fixture_rows(node)->table, as_fixture_rows(node)->rows);
}

static void check_given_fixture(Checker *c, Ast *node)
{
    Ident name = as_given_fixture(node)->name;
    node->symbol = find_global(c, SYMBOL_FIXTURE, name.text);
    if (node->symbol)
        node->symbol->is_used = true;
    else
        suggest_globals(c, diag_unknown_fixture(c->diags, name.span, name.text), name.text, SYMBOL_FIXTURE);
}

/* A name that a statement gives to the lines below: `result` is that of the last run above, `body` and `headers` those of the last request. */
static Symbol *bind_made(Checker *c, Ast *node, Str text, Type *type)
{
    Ident name = { text, node->span };
    Binding *binding = map_find(&c->locals, name.text);
    Symbol *symbol = symbol_new(c, SYMBOL_LOCAL, name, node);
    symbol->type = type;
    symbol->func_id = c->body->id;
    symbol->is_used = true;
    if (binding && binding->depth == c->scope_depth && binding->symbol->decl->kind == node->kind)
        binding->symbol = symbol;
    else
        scope_bind(c, symbol, node->span);
    return symbol;
}

static void bind_result(Checker *c, Ast *node, Type *type)
{
    Symbol *symbol = bind_made(c, node, STR("result"), type);
    node->symbol = type->tag == TYPE_VOID ? NULL : symbol;
}

static void check_run(Checker *c, Ast *node)
{
    Ast *call = as_run_stmt(node)->call;
    Ast *outer = c->detached;
    c->detached = call;
    check_expr(c, call, NULL);
    c->detached = outer;
    CallInfo *info = call->kind == AST_CALL_EXPR ? call->info : NULL;
    if (info && info->kind == CALL_FLOW) {
        bind_result(c, node, info->target->type);
        return;
    }
    bind_result(c, node, poison(c));
    if (call->type->tag == TYPE_POISON && !info)
        return;
    Str name = info && info->target ? info->target->name : span_text(c->program->sources, call->span);
    diag_wrong_kind(c->diags, call->span, name, info && info->target ? symbol_kind_text(info->target->kind) : "no flow", "a call of a flow");
}

/* A misspelt role grants nothing, and a test that expects a refusal would not notice. */
static void check_role_names(Checker *c, Ast *list)
{
    AstList items = list->kind == AST_LIST_EXPR ? as_list_expr(list)->items : (AstList){ 0 };
    Str *names = ARENA_ARRAY(c->arena, Str, c->program->role_count + 1);
    for (uint32_t i = 0; i < c->program->role_count; i++)
        names[i] = c->program->roles[i]->name.text;
    for (uint32_t i = 0; i < items.count; i++) {
        AstList parts = items.items[i]->kind == AST_STRING_EXPR ? as_string_expr(items.items[i])->parts : (AstList){ 0 };
        if (parts.count != 1 || parts.items[0]->kind != AST_TEXT_PART)
            continue;
        Str name = as_text_part(parts.items[0])->text;
        bool known = false;
        for (uint32_t k = 0; k < c->program->role_count; k++)
            known |= str_eq(names[k], name);
        if (!known)
            diag_did_you_mean(c->diags, diag_unknown_role(c->diags, items.items[i]->span, name), name, names, c->program->role_count);
    }
}

static void check_request(Checker *c, Ast *node)
{
    Ast_request_stmt *request = as_request_stmt(node);
    Type *texts = type_list(c->program, c->basic[TYPE_STRING]), *pairs = type_map(c->program, c->basic[TYPE_STRING]);
    check_value(c, request->target, c->basic[TYPE_STRING]);
    if (request->scopes)
        check_value(c, request->scopes, texts);
    if (request->roles) {
        check_value(c, request->roles, texts);
        check_role_names(c, request->roles);
    }
    if (!request->has_user && (request->scopes || request->roles))
        diag_misplaced(c->diags, (request->scopes ? request->scopes : request->roles)->span, "what a token grants", "a request `as user`");
    if (request->headers)
        check_value(c, request->headers, pairs);
    if (request->body)
        check_value(c, request->body, c->basic[TYPE_JSON]);
    bind_made(c, node, STR("body"), c->basic[TYPE_JSON]);
    bind_made(c, node, STR("headers"), pairs);
}

static void check_stream_events(Checker *c, AstList events)
{
    static const char *const words[] = { "progress", "text", "question", "complete", "failed" };
    for (uint32_t i = 0; i < events.count; i++) {
        if (events.items[i]->kind != AST_STREAM_EVENT)
            continue;
        Ast_stream_event *event = as_stream_event(events.items[i]);
        bool known = false;
        for (size_t k = 0; k < sizeof words / sizeof words[0]; k++)
            known |= str_is(event->type.text, words[k]);
        if (!known)
            diag_unknown_word(c->diags, event->type.span, "event", event->type.text, "`progress`, `text`, `question`, `complete` or `failed`");
        else if (event->percent && !str_is(event->type.text, "progress"))
            diag_misplaced(c->diags, event->percent->span, "a percentage", "a `progress`");
        if (event->percent)
            check_value(c, event->percent, c->basic[TYPE_INT]);
        if (event->text)
            check_value(c, event->text, c->basic[TYPE_STRING]);
    }
}

static void check_outcome(Checker *c, Ast *node)
{
    Ast_expect_outcome *expect = as_expect_outcome(node);
    static const char *const outcomes[] = { "completed", "parked", "cancelled", "failed" };
    bool known = false;
    for (size_t i = 0; i < 4; i++)
        known |= str_is(expect->outcome.text, outcomes[i]);
    if (!known)
        diag_unknown_word(c->diags, expect->outcome.span, "outcome", expect->outcome.text, "`completed`, `parked`, `cancelled` or `failed`");
    if (expect->kind.text.len)
        check_error_kind(c, expect->kind);
    if (expect->message)
        check_value(c, expect->message, c->basic[TYPE_STRING]);
}

static void check_emitted(Checker *c, AstList events)
{
    for (uint32_t i = 0; i < events.count; i++) {
        Ast *item = events.items[i];
        if (item->kind == AST_NAME_REF)
            item->symbol = require_event(c, as_name_ref(item)->name);
        else if (item->kind == AST_NAME_EXPR)
            item->symbol = require_event(c, as_name_expr(item)->name);
    }
}

static void check_json(Checker *c, Ast *node)
{
    check_value(c, node, c->basic[TYPE_JSON]);
}

bool check_test_statement(Checker *c, Ast *node)
{
    if (!c->in_test)
        diag_misplaced(c->diags, node->span, "this statement", "a test");
    switch (node->kind) {
    case AST_GIVEN_FAILS: check_given_fails(c, node); break;
    case AST_GIVEN_RETURNS: check_given_returns(c, node); break;
    case AST_GIVEN_ANSWERS:
        for (uint32_t i = 0; i < as_given_answers(node)->answers.count; i++)
            check_json(c, as_given_answers(node)->answers.items[i]);
        break;
    case AST_GIVEN_ROWS: check_rows(c, node, as_given_rows(node)->table, as_given_rows(node)->rows); break;
    case AST_FIXTURE_ROWS: check_fixture_rows(c, node); break;
    case AST_GIVEN_FIXTURE: check_given_fixture(c, node); break;
    case AST_GIVEN_NOW: check_value(c, as_given_now(node)->time, c->basic[TYPE_TIMESTAMP]); break;
    case AST_GIVEN_IDS:
        node->symbol = require_table(c, as_given_ids(node)->table);
        for (uint32_t i = 0; i < as_given_ids(node)->ids.count; i++)
            check_value(c, as_given_ids(node)->ids.items[i], c->basic[TYPE_STRING]);
        break;
    case AST_RUN_STMT: check_run(c, node); break;
    case AST_ADVANCE_STMT: check_duration(c, as_advance_stmt(node)->duration); break;
    case AST_ANSWER_STMT: check_json(c, as_answer_stmt(node)->value); break;
    case AST_DELIVER_STMT: node->symbol = require_event(c, as_deliver_stmt(node)->event); break;
    case AST_CANCEL_STMT: case AST_CRASH_STMT: break;
    case AST_EXPECT_STMT: check_condition(c, as_expect_stmt(node)->condition); break;
    case AST_EXPECT_OUTCOME: check_outcome(c, node); break;
    case AST_EXPECT_CALLS:
        for (uint32_t i = 0; i < as_expect_calls(node)->tools.count; i++)
            tool_path(c, as_expect_calls(node)->tools.items[i]);
        break;
    case AST_EXPECT_ASKED: check_value(c, as_expect_asked(node)->text, c->basic[TYPE_STRING]); break;
    case AST_REQUEST_STMT: check_request(c, node); break;
    case AST_EXPECT_STATUS: check_value(c, as_expect_status(node)->status, c->basic[TYPE_INT]); break;
    case AST_EXPECT_STREAM: check_stream_events(c, as_expect_stream(node)->events); break;
    case AST_EXPECT_EMITTED: check_emitted(c, as_expect_emitted(node)->events); break;
    default: return false;
    }
    return true;
}
