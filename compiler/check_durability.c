/* check_durability.c - what a flow cannot do because of how its run is kept.
 *
 * A run of `durability none` is in the memory of its process and nowhere else. Nobody could find it to answer it or to give it an event, nobody would undo
 * what it did, a transaction that lost a race could not be taken again from the journal, and no other worker would respect its key. All of that is refused
 * in whatever the flow calls, too; and nothing durable may promise such a run.
 */
#include <stdlib.h>
#include "compiler/check_internal.h"

/* ---- a flow and all it calls in its own run ------------------------------------------------------------ */

typedef struct Reach { bool (*visit)(Ast *node, void *arg); void *arg; Symbol **callees; uint32_t count, cap; } Reach;

static void reach_callee(Reach *r, Symbol *callee)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (r->callees[i] == callee)
            return;
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 16;
        r->callees = mem_realloc(r->callees, r->cap * sizeof *r->callees);
    }
    r->callees[r->count++] = callee;
}

static Ast *body_of(const Symbol *callee)
{
    if (!callee->decl)
        return NULL;
    return callee->decl->kind == AST_TOOL_DECL ? as_tool_decl(callee->decl)->body : callee->decl->kind == AST_FLOW_DECL ? as_flow_decl(callee->decl)->body : NULL;
}

static bool reach(Ast *node, void *arg)
{
    Reach *r = arg;
    if (!r->visit(node, r->arg))
        return true;
    const CallInfo *call = node->kind == AST_CALL_EXPR ? node->info : NULL;
    if (call && (call->kind == CALL_TOOL || call->kind == CALL_FLOW))
        reach_callee(r, call->target);
    if (node->kind == AST_START_EXPR) {                     /* a run of its own; the arguments are ours */
        AstList args = as_start_expr(node)->call->kind == AST_CALL_EXPR ? as_call_expr(as_start_expr(node)->call)->args : (AstList){ 0 };
        for (uint32_t i = 0; i < args.count; i++)
            reach(args.items[i], r);
        return true;
    }
    ast_each_child(node, reach, r);
    return true;
}

void ast_reach(Ast *root, bool (*visit)(Ast *node, void *arg), void *arg)
{
    Reach r = { .visit = visit, .arg = arg };
    if (root)
        reach(root, &r);
    for (uint32_t i = 0; i < r.count; i++)
        if (body_of(r.callees[i]))
            reach(body_of(r.callees[i]), &r);
    free(r.callees);
}

Ast *durability_of(const Ast *flow, const char *level)
{
    AstList clauses = flow->kind == AST_FLOW_DECL ? as_flow_decl((Ast *)flow)->clauses : (AstList){ 0 };
    for (uint32_t i = 0; i < clauses.count; i++)
        if (clauses.items[i]->kind == AST_DURABILITY_CLAUSE && str_is(as_durability_clause(clauses.items[i])->level.text, level))
            return clauses.items[i];
    return NULL;
}

/* ---- none ---------------------------------------------------------------------------------------------- */

static const struct { AstKind kind; const char *what, *why; } REFUSED[] = {
    { AST_ASK_EXPR, "`ask` in", "nobody who answers would find the run" },
    { AST_AWAIT_EXPR, "`await` in", "what comes would not find the run" },
    { AST_SAGA_STMT, "`saga` in", "when the process ends, nobody undoes what was done" },
    { AST_PLAN_EXPR, "`run plan` in", "when the process ends, nobody undoes what was done" },
    { AST_TRANSACTION_STMT, "`transaction` in", "one that loses a race is taken again from the journal" },
    { AST_TRIGGER_CLAUSE, "`on` of", "an event is done with when the run that handles it is durable" },
    { AST_WEBHOOK_CLAUSE, "`webhook` of", "whoever sends it is told that it is safe here" },
    { AST_ONE_PER_CLAUSE, "`one per` of", "workers agree on keys through runs that all can see" },
    { AST_LIMIT_CLAUSE, "`limit` of", "workers count runs that all can see" },
};

typedef struct Refusal { Diags *diags; Str flow; Ast *clause; } Refusal;

static void refuse(const Refusal *r, Ast *node, const char *what, const char *why)
{
    Diag *diag = diag_not_durable(r->diags, node->span, what, r->flow);
    diag_label(r->diags, diag, "%s", why);
    diag_note(r->diags, diag, r->clause->span, "its run is in the memory of one process");
    diag_help(r->diags, diag, "leave the clause out: `strict` is the default");
}

static bool refuse_node(Ast *node, void *arg)
{
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++)
        if (node->kind == REFUSED[i].kind)
            refuse(arg, node, REFUSED[i].what, REFUSED[i].why);
    return true;
}

static bool refuse_start(Ast *node, void *arg)
{
    Ast *call = node->kind == AST_START_EXPR ? as_start_expr(node)->call : NULL;
    const CallInfo *info = call && call->kind == AST_CALL_EXPR ? call->info : NULL;
    if (info && info->kind == CALL_FLOW && info->target->decl) {
        Ast *clause = durability_of(info->target->decl, "none");
        const Refusal r = { arg, info->target->name, clause };
        if (clause)
            refuse(&r, node, "`start` of", "the id would stay, and the run be lost with its process");
    }
    ast_each_child(node, refuse_start, arg);
    return true;
}

void check_durability(Checker *c)
{
    for (uint32_t m = 0; m < c->program->module_count; m++) {
        AstList items = c->program->modules[m]->root->items;
        for (uint32_t i = 0; i < items.count; i++) {
            Ast *clause = durability_of(items.items[i], "none");
            refuse_start(items.items[i], c->diags);
            if (!clause)
                continue;
            Refusal r = { c->diags, as_flow_decl(items.items[i])->name.text, clause };
            AstList clauses = as_flow_decl(items.items[i])->clauses;
            for (uint32_t k = 0; k < clauses.count; k++)
                refuse_node(clauses.items[k], &r);
            ast_reach(as_flow_decl(items.items[i])->body, refuse_node, &r);
        }
    }
}
