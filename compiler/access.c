/* access.c - the scopes and roles of a program: see access.h. */
#include "compiler/access.h"

#include <stdlib.h>

bool scopes_has(const ScopeList *list, Str scope)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (str_eq(list->items[i], scope))
            return true;
    return false;
}

void scopes_add(Arena *arena, ScopeList *list, Str scope)
{
    if (scopes_has(list, scope))
        return;
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 8;
        Str *items = ARENA_ARRAY(arena, Str, list->cap);
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
    }
    list->items[list->count++] = scope;
}

void scopes_of_clauses(Arena *arena, AstList clauses, ScopeList *out)
{
    for (uint32_t i = 0; i < clauses.count; i++) {
        if (clauses.items[i]->kind != AST_REQUIRES_CLAUSE)
            continue;
        AstList scopes = as_requires_clause(clauses.items[i])->scopes;
        for (uint32_t k = 0; k < scopes.count; k++) {
            if (scopes.items[k]->kind != AST_STRING_EXPR)
                continue;
            AstList parts = as_string_expr(scopes.items[k])->parts;
            if (parts.count == 1 && parts.items[0]->kind == AST_TEXT_PART)
                scopes_add(arena, out, as_text_part(parts.items[0])->text);
        }
    }
}

/* ---- what can be reached ------------------------------------------------------------------------------ */

typedef struct Reach {
    Arena *arena;
    ScopeList *scopes;
    const Symbol **seen; uint32_t seen_count, seen_cap;
    uint32_t steps;             /* of sagas around: what undoes a call may run too */
} Reach;

static void reach(Reach *r, const Symbol *symbol);

static bool reach_node(Ast *node, void *arg)
{
    Reach *r = arg;
    const CallInfo *call = node->kind == AST_CALL_EXPR ? node->info : NULL;
    if (call && (call->kind == CALL_TOOL || call->kind == CALL_REMOTE || call->kind == CALL_FLOW)) {
        const FuncInfo *func = call->target->info;
        reach(r, call->target);
        if (r->steps && func && func->compensated_by)
            reach(r, func->compensated_by);
    }
    r->steps += node->kind == AST_STEP_STMT;
    ast_each_child(node, reach_node, arg);
    r->steps -= node->kind == AST_STEP_STMT;
    return true;
}

static bool first_visit(Reach *r, const Symbol *symbol)
{
    for (uint32_t i = 0; i < r->seen_count; i++)
        if (r->seen[i] == symbol)
            return false;
    if (r->seen_count == r->seen_cap) {
        r->seen_cap = r->seen_cap ? r->seen_cap * 2 : 32;
        r->seen = mem_realloc(r->seen, r->seen_cap * sizeof *r->seen);
    }
    r->seen[r->seen_count++] = symbol;
    return true;
}

static void reach(Reach *r, const Symbol *symbol)
{
    if (!symbol || !symbol->decl || !first_visit(r, symbol))
        return;
    bool tool = symbol->decl->kind == AST_TOOL_DECL;
    scopes_of_clauses(r->arena, tool ? as_tool_decl(symbol->decl)->clauses : as_flow_decl(symbol->decl)->clauses, r->scopes);
    Ast *body = tool ? as_tool_decl(symbol->decl)->body : as_flow_decl(symbol->decl)->body;
    uint32_t steps = r->steps;
    r->steps = 0;
    if (body)
        reach_node(body, r);
    r->steps = steps;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(*(const Str *)a, *(const Str *)b);
}

void scopes_reached(Program *program, const Symbol *flow, ScopeList *out)
{
    Reach r = { .arena = program->arena, .scopes = out };
    reach(&r, flow);
    free(r.seen);
    if (out->count)
        qsort(out->items, out->count, sizeof *out->items, by_name);
}

/* ---- what is declared ----------------------------------------------------------------------------------- */

const Ast_scope_decl *scope_declared(const Program *program, Str name)
{
    for (uint32_t i = 0; i < program->scope_count; i++)
        if (str_eq(program->scopes[i]->name.text, name))
            return program->scopes[i];
    return NULL;
}

bool scope_granted(const Program *program, Str name)
{
    for (uint32_t i = 0; i < program->role_count; i++) {
        ScopeList granted = { 0 };
        Ast_requires_clause as_clause = { .head = { .kind = AST_REQUIRES_CLAUSE }, .scopes = program->roles[i]->scopes };
        Ast *clause = &as_clause.head;
        scopes_of_clauses(program->arena, (AstList){ &clause, 1 }, &granted);
        if (scopes_has(&granted, name) || scopes_has(&granted, STR(ACCESS_ALL)))
            return true;
    }
    return false;
}
