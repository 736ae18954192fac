/* check_scope.c - which name means what here, which body it belongs to, and what a body may do.
 *
 * Locals are found through one hash table from name to innermost Binding; leaving a scope puts back what was hidden. A name that belongs
 * to another body than the current one is captured by every body in between.
 */
#include "compiler/check_internal.h"

void scope_enter(Checker *c)
{
    c->scope_depth++;
}

void scope_leave(Checker *c)
{
    while (c->scope_count && c->scope[c->scope_count - 1]->depth == c->scope_depth) {
        Binding *binding = c->scope[--c->scope_count];
        map_put(&c->locals, binding->symbol->name, binding->hidden);
    }
    c->scope_depth--;
}

void scope_bind(Checker *c, Symbol *symbol, Span span)
{
    if (!symbol->name.len)
        return;
    Binding *binding = ARENA_NEW(c->arena, Binding);
    binding->symbol = symbol;
    binding->depth = c->scope_depth;
    binding->hidden = map_put(&c->locals, symbol->name, binding);
    if (binding->hidden && binding->hidden->depth == c->scope_depth)
        check_duplicate(c, "name", (Ident){ symbol->name, span }, binding->hidden->symbol);
    GROW(c, c->scope, c->scope_count, c->scope_cap);
    c->scope[c->scope_count++] = binding;
}

Symbol *scope_declare(Checker *c, Ident name, Type *type, Ast *decl)
{
    Symbol *symbol = symbol_new(c, SYMBOL_LOCAL, name, decl);
    symbol->type = type;
    symbol->func_id = c->body ? c->body->id : 0;
    scope_bind(c, symbol, name.span);
    return symbol;
}

Symbol *scope_find(Checker *c, Str name)
{
    Binding *binding = map_find(&c->locals, name);
    return binding ? binding->symbol : NULL;
}

/* ---- bodies ------------------------------------------------------------------------------------------ */

void body_enter(Checker *c, Body *body, const char *what, Type *result)
{
    *body = (Body){ .outer = c->body, .what = what, .result = result, .id = c->program->func_count++ };
    if (c->body) {
        body->transaction_depth = c->body->transaction_depth;
        body->parallel_depth = c->body->parallel_depth;
        body->undoing = c->body->undoing;
    }
    c->body = body;
}

void body_leave(Checker *c)
{
    c->body = c->body->outer;
}

CaptureInfo *body_captures(Checker *c, Body *body, Type *result, bool critical)
{
    CaptureInfo *info = ARENA_NEW(c->arena, CaptureInfo);
    info->symbols = body->captures;
    info->count = body->capture_count;
    info->result = result;
    info->critical = critical;
    info->func_id = body->id;
    return info;
}

void note_capture(Checker *c, Symbol *symbol)
{
    if (symbol->kind != SYMBOL_LOCAL && symbol->kind != SYMBOL_PARAM)
        return;
    for (Body *body = c->body; body && body->id != symbol->func_id; body = body->outer) {
        if (!body->outer)
            return;                                         /* declared by nobody around: `result` of tests and the like */
        bool known = false;
        for (uint32_t i = 0; i < body->capture_count && !known; i++)
            known = body->captures[i] == symbol;
        if (known)
            continue;
        GROW(c, body->captures, body->capture_count, body->capture_cap);
        body->captures[body->capture_count++] = symbol;
    }
}

/* ---- effects ------------------------------------------------------------------------------------------- */

void note_effect(Checker *c, Ast *node, unsigned effect, const char *what)
{
    if (c->pure_where) {
        Diag *diag = diag_not_pure(c->diags, node->span, c->pure_where, what);
        diag_label(c->diags, diag, "this reaches outside of the computation");
        return;
    }
    if (c->func)
        c->func->effects |= effect;
    if (c->body && c->body->transaction_depth && effect & (FUNC_EFFECT_OUTSIDE | FUNC_EFFECT_PARK | FUNC_EFFECT_STATE)) {
        Diag *diag = diag_in_transaction(c->diags, node->span, what);
        diag_label(c->diags, diag, "a transaction commits rows and events only; what happens outside cannot be rolled back");
    }
}

void defer(Checker *c, int kind, Ast *node, Symbol *target)
{
    GROW(c, c->deferred, c->deferred_count, c->deferred_cap);
    Deferred *item = &c->deferred[c->deferred_count++];
    item->kind = kind;
    item->node = node;
    item->target = target;
}

static const char *callee_text(Checker *c, Symbol *callee)
{
    if (callee->kind == SYMBOL_TOOL)
        return arena_printf(c->arena, "%.*s.%.*s", STR_ARG(callee->owner->name), STR_ARG(callee->name));
    return arena_printf(c->arena, "%.*s", STR_ARG(callee->name));
}

void note_call(Checker *c, Ast *node, Symbol *callee)
{
    if (callee->kind == SYMBOL_FN)
        return;
    bool outside = callee->kind == SYMBOL_TOOL && is_remote(callee->owner);
    if (c->pure_where || outside) {
        const char *what = arena_printf(c->arena, "a call of %s `%s`", callee->kind == SYMBOL_TOOL ? "tool" : "flow", callee_text(c, callee));
        note_effect(c, node, c->pure_where ? 0 : FUNC_EFFECT_OUTSIDE, what);
        return;
    }
    GROW(c, c->edges, c->edge_count, c->edge_cap);
    c->edges[c->edge_count++] = (CallEdge){ c->func, callee->info };
    if (c->body && c->body->transaction_depth)
        defer(c, DEFERRED_TRANSACTION, node, callee);
    if (plan_place(c) != PLAN_HERE)
        defer(c, DEFERRED_PLAN + plan_place(c), node, callee);
}

/* Effects flow from callee to caller until nothing changes. Walking the edges in alternating order settles chains in one or two passes. */
static void propagate(Checker *c)
{
    bool changed = true;
    for (bool backward = true; changed; backward = !backward) {
        changed = false;
        for (uint32_t i = 0; i < c->edge_count; i++) {
            CallEdge *edge = &c->edges[backward ? c->edge_count - 1 - i : i];
            if (!edge->caller || (edge->caller->effects | edge->callee->effects) == edge->caller->effects)
                continue;
            edge->caller->effects |= edge->callee->effects;
            changed = true;
        }
    }
}

static const char *effect_text(unsigned effects)
{
    if (effects & FUNC_EFFECT_PLAN)
        return "runs a plan";
    if (effects & FUNC_EFFECT_OUTSIDE)
        return "calls something outside";
    if (effects & FUNC_EFFECT_PARK)
        return "waits";
    if (effects & FUNC_EFFECT_STATE)
        return "uses a session or a context";
    return "writes to the store";
}

static void check_transaction_call(Checker *c, Deferred *item)
{
    FuncInfo *callee = item->target->info;
    if (callee->effects & (FUNC_EFFECT_OUTSIDE | FUNC_EFFECT_PARK | FUNC_EFFECT_STATE)) {
        const char *what = arena_printf(c->arena, "a call of `%s`, which %s,", callee_text(c, item->target), effect_text(callee->effects));
        diag_label(c->diags, diag_in_transaction(c->diags, item->node->span, what), "a transaction commits rows and events only");
    } else if (callee->effects & FUNC_EFFECT_TRANSACTION) {
        diag_label(c->diags, diag_transaction_nested(c->diags, item->node->span), "`%s` opens one of its own", callee_text(c, item->target));
    }
}

static void check_retry_call(Checker *c, Deferred *item)
{
    FuncInfo *callee = item->target->info;
    unsigned writes = FUNC_EFFECT_WRITE | FUNC_EFFECT_OUTSIDE | FUNC_EFFECT_PARK;
    bool remote = callee->tool_flags & TOOL_REMOTE;
    if (callee->tool_flags & (TOOL_READS | TOOL_IDEMPOTENT | TOOL_KEYED) || (!remote && !(callee->effects & writes)))
        return;
    Diag *diag = diag_retry_not_idempotent(c->diags, item->node->span, callee_text(c, item->target));
    if (remote)
        diag_label(c->diags, diag, "a second call may do it twice");
    else
        diag_label(c->diags, diag, "a second call may do it twice: it %s", effect_text(callee->effects));
    if (item->target->decl)
        diag_note(c->diags, diag, decl_name(item->target->decl).span, "declared here");
    if (item->target->kind == SYMBOL_TOOL)
        diag_help(c->diags, diag, "declare the tool `idempotent` or give it a `key`, if it is so");
}

static void settle_tools(Checker *c)
{
    unsigned writes = FUNC_EFFECT_WRITE | FUNC_EFFECT_OUTSIDE | FUNC_EFFECT_PARK;
    for (uint32_t i = 0; i < c->program->symbol_count; i++) {
        Symbol *symbol = c->program->symbols[i];
        FuncInfo *info = symbol->info;
        if (symbol->kind != SYMBOL_TOOL || info->tool_flags & TOOL_REMOTE)
            continue;
        if (info->tool_flags & TOOL_READS && info->effects & writes)
            diag_reads_but_writes(c->diags, decl_name(symbol->decl).span, symbol->name, effect_text(info->effects));
        if (!(info->effects & writes))
            info->tool_flags |= TOOL_READS;
    }
}

void effects_settle(Checker *c)
{
    propagate(c);
    for (uint32_t i = 0; i < c->deferred_count; i++) {
        Deferred *item = &c->deferred[i];
        switch (item->kind) {
        case DEFERRED_TRANSACTION: check_transaction_call(c, item); break;
        case DEFERRED_RETRY: check_retry_call(c, item); break;
        default: check_plan_call(c, item->node, item->target->info, callee_text(c, item->target), item->kind - DEFERRED_PLAN);
        }
    }
    settle_tools(c);
}
