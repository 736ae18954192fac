/* check_clause.c - what stands behind a call (`retry`, `within`, `else`) and what waits (`ask`, `await`, `start`). */
#include "compiler/check_internal.h"

Ast *called_node(Ast *node)
{
    for (;;) {
        switch (node->kind) {
        case AST_RETRY_EXPR: node = as_retry_expr(node)->value; break;
        case AST_WITHIN_EXPR: node = as_within_expr(node)->value; break;
        case AST_CACHED_EXPR: node = as_cached_expr(node)->value; break;
        case AST_ELSE_EXPR: node = as_else_expr(node)->value; break;
        default: return node;
        }
    }
}

static Type *check_retry(Checker *c, Ast *node, Type *hint)
{
    Ast_retry_expr *retry = as_retry_expr(node);
    Type *type = check_expr(c, retry->value, hint);
    node->symbol = find_global(c, SYMBOL_POLICY, retry->policy.text);
    if (node->symbol) {
        node->symbol->is_used = true;
    } else {
        Diag *diag = diag_unknown_policy(c->diags, retry->policy.span, retry->policy.text);
        suggest_globals(c, diag, retry->policy.text, SYMBOL_POLICY);
    }
    Ast *called = called_node(retry->value);
    CallInfo *info = called->kind == AST_CALL_EXPR ? called->info : NULL;
    if (type->tag == TYPE_POISON)
        return type;
    if (info && (info->kind == CALL_TOOL || info->kind == CALL_REMOTE || info->kind == CALL_FLOW))
        defer(c, DEFERRED_RETRY, node, info->target);
    else if ((!info || info->kind != CALL_LLM) && !node->made)
        diag_label(c->diags, diag_retry_without_call(c->diags, node->span), "only calls of tools, flows and `llm` can fail and be tried again");
    return type;
}

static bool waits(Ast *node)
{
    node = called_node(node);
    switch (node->kind) {
    case AST_CALL_EXPR: {
        CallInfo *info = node->info;
        return !info || info->kind == CALL_TOOL || info->kind == CALL_REMOTE || info->kind == CALL_FLOW || info->kind == CALL_LLM;
    }
    case AST_ASK_EXPR: case AST_AWAIT_EXPR: case AST_PLAN_EXPR: case AST_PARALLEL_STMT: case AST_PARALLEL_FOR: case AST_BLOCK: case AST_IF_STMT: case AST_MATCH_STMT: case AST_ERROR:
        return true;
    default:
        return node->type && node->type->tag == TYPE_POISON;
    }
}

static Type *check_within(Checker *c, Ast *node, Type *hint)
{
    Ast_within_expr *within = as_within_expr(node);
    Type *type = check_expr(c, within->value, hint);
    check_duration(c, within->duration);
    if (!waits(within->value))
        diag_label(c->diags, diag_nothing_waits(c->diags, node->span, "within"), "there is nothing here that takes time");
    return type;
}

static bool times_out(Ast *node)
{
    for (;; node = as_retry_expr(node)->value) {
        if (node->kind == AST_WITHIN_EXPR || node->kind == AST_ASK_EXPR || node->kind == AST_AWAIT_EXPR)
            return true;
        if (node->kind != AST_RETRY_EXPR)
            return false;
    }
}

/* The value of `value else otherwise`, when both can be one type. */
static Type *else_result(Checker *c, Ast_else_expr *node, bool timeout, Type *value, Type *otherwise)
{
    if (otherwise == c->never)
        return type_strip(value) == value || value->tag != TYPE_OPT ? value : type_element(c->program, value);
    Type *plain = value->tag == TYPE_OPT ? type_element(c->program, value) : value;
    Type *result = type_assign(otherwise, plain) != ASSIGN_NO ? plain : type_assign(otherwise, value) != ASSIGN_NO ? value : NULL;
    if (!result && timeout && value->tag != TYPE_OPT)
        result = type_unify(c->program, value, otherwise);
    if (!result) {
        report_mismatch(c, node->otherwise, otherwise, plain);
        return poison(c);
    }
    if (value->tag != TYPE_OPT)
        convert(node->value, result);
    coerce(c, node->otherwise, result);
    return type_labeled(c->program, result, value->labels | otherwise->labels);
}

static Type *check_else(Checker *c, Ast *node, Type *hint)
{
    Ast_else_expr *otherwise = as_else_expr(node);
    bool timeout = times_out(otherwise->value);
    ElseInfo *info = ARENA_NEW(c->arena, ElseInfo);
    info->kind = timeout ? ELSE_TIMEOUT : ELSE_NULL;
    node->info = info;
    Type *value_hint = hint && !timeout && hint->tag != TYPE_JSON ? type_optional(c->program, hint) : hint;
    Type *value = check_expr(c, otherwise->value, value_hint);
    bool is_void = value == c->never || value->tag == TYPE_VOID;
    if (!timeout && is_void) {
        diag_label(c->diags, diag_no_value(c->diags, otherwise->value->span, "this"), "`else` replaces a value that is null");
        value = poison(c);
    } else if (!timeout && value->tag != TYPE_OPT && value->tag != TYPE_JSON && value->tag != TYPE_POISON) {
        diag_label(c->diags, diag_never_null(c->diags, otherwise->value->span, text_of(c, value), "else"), "`else` replaces null, or stands behind `within`");
    }
    uint32_t facts = c->fact_count;
    Type *plain = is_void ? NULL : type_strip(value);
    Type *other = check_end(c, otherwise->otherwise, is_void ? BLOCK_STATEMENT : BLOCK_VALUE, plain && plain->tag != TYPE_POISON ? plain : hint);
    c->fact_count = facts;
    if (is_void && timeout)
        return c->basic[TYPE_VOID];
    if (value->tag == TYPE_POISON || other->tag == TYPE_POISON)
        return poison(c);
    return else_result(c, otherwise, timeout, value, other);
}

static bool can_be_asked(const Type *type)
{
    switch (type->tag) {
    case TYPE_BOOL: case TYPE_INT: case TYPE_DECIMAL: case TYPE_STRING: case TYPE_DATE: case TYPE_TIMESTAMP: case TYPE_ENUM: case TYPE_POISON:
        return true;
    default:
        return false;
    }
}

static Type *check_ask(Checker *c, Ast *node)
{
    Ast_ask_expr *ask = as_ask_expr(node);
    note_effect(c, node, FUNC_EFFECT_PARK, "a question to the user");
    check_value(c, ask->question, c->basic[TYPE_STRING]);
    if (ask->choices)
        check_value(c, ask->choices, type_list(c->program, c->basic[TYPE_STRING]));
    if (!ask->type)
        return c->basic[TYPE_STRING];
    Type *type = resolve_type(c, ask->type);
    if (can_be_asked(type))
        return type;
    diag_type_mismatch(c->diags, ask->type->span, text_of(c, type), "bool, int, decimal, string, date, timestamp or an enum");
    return poison(c);
}

static Symbol *awaited(Checker *c, Ident name)
{
    Symbol *symbol = map_find(&c->program->globals, name.text);
    if (symbol && (symbol->kind == SYMBOL_EVENT || symbol->kind == SYMBOL_SIGNAL)) {
        symbol->is_used = true;
        return symbol;
    }
    return require_event(c, name);
}

/* The engine asks the condition of every event that comes, while the flow sleeps: it is a function of its own. */
static AwaitInfo *check_await_where(Checker *c, Ast *node, Ast_await_expr *await, Type *type)
{
    AwaitInfo *info = ARENA_NEW(c->arena, AwaitInfo);
    Body body;
    uint32_t facts = c->fact_count;
    const char *outer = c->pure_where;
    body_enter(c, &body, "condition", NULL);
    scope_enter(c);
    info->item = scope_declare(c, await->name, type, node);
    c->pure_where = "the condition of an `await`";
    check_condition(c, await->where);
    c->pure_where = outer;
    scope_leave(c);
    body_leave(c);
    c->fact_count = facts;
    info->where = body_captures(c, &body, c->basic[TYPE_BOOL], false);
    return info;
}

static Type *check_await(Checker *c, Ast *node)
{
    Ast_await_expr *await = as_await_expr(node);
    note_effect(c, node, FUNC_EFFECT_PARK, arena_printf(c->arena, "waiting for `%.*s`", STR_ARG(await->event.text)));
    Symbol *event = node->symbol = awaited(c, await->event);
    Type *type = event ? event->type : poison(c);
    if (await->where)
        node->info = check_await_where(c, node, await, type);
    return type;
}

static Type *check_start(Checker *c, Ast *node)
{
    Ast *call = as_start_expr(node)->call;
    note_effect(c, node, FUNC_EFFECT_WRITE, "the start of a flow");
    Ast *outer = c->detached;
    c->detached = call;
    check_expr(c, call, NULL);
    c->detached = outer;
    CallInfo *info = call->kind == AST_CALL_EXPR ? call->info : NULL;
    bool unknown = call->type->tag == TYPE_POISON && !info;
    if (!unknown && (!info || info->kind != CALL_FLOW)) {
        Str name = info && info->target ? info->target->name : span_text(c->program->sources, call->span);
        diag_wrong_kind(c->diags, call->span, name, info && info->target ? symbol_kind_text(info->target->kind) : "no flow", "a call of a flow");
    }
    return c->basic[TYPE_STRING];
}

Type *check_clause_expr(Checker *c, Ast *node, Type *hint)
{
    switch (node->kind) {
    case AST_RETRY_EXPR: return check_retry(c, node, hint);
    case AST_WITHIN_EXPR: return check_within(c, node, hint);
    case AST_ELSE_EXPR: return check_else(c, node, hint);
    case AST_ASK_EXPR: return check_ask(c, node);
    case AST_AWAIT_EXPR: return check_await(c, node);
    default: return check_start(c, node);
    }
}
