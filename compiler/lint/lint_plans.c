/* lint_plans.c - plans whose budget nobody thought about, and requests that nobody made. */
#include "compiler/lint/lint.h"

static void request(Program *program, Ast *text) {
    const Ast *origin = text ? find_untrusted(text, true) : NULL;
    if (!origin) return;
    Diag *diag = diag_plan_untrusted_request(program->diags, text->span);
    if (origin->span.start != text->span.start) diag_note(program->diags, diag, origin->span, "it comes from here");
    diag_help(program->diags, diag, "give it what the user said; what a plan needs to know of a result stands in its steps");
}

static bool visit(Ast *node, void *arg) {
    Program *program = arg;
    if (node->kind == AST_TEST_DECL) return false;
    if (node->kind == AST_CALL_EXPR) {
        const CallInfo *call = node->info;
        if (call && call->kind == CALL_LLM && call->effect == EFFECT_LLM_PLAN) request(program, call->args[0]);
    }
    if (node->kind != AST_PLAN_EXPR) return true;
    Ast_plan_expr *plan = as_plan_expr(node);
    request(program, plan->request);
    if (!plan->within && !plan->steps && !plan->fuel && !plan->calls && !plan->memory && !plan->tokens && !plan->usd)
        diag_help(program->diags, diag_plan_without_budget(program->diags, node->span), "say what it may use: `calls 10`, `usd 0.10`, `within 30s`");
    return true;
}

void lint_plans(Program *program) {
    lint_walk_program(program, visit, program);
}
