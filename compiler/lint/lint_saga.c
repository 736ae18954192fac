/* lint_saga.c - a saga is only as good as its undoing. */
#include "compiler/lint/lint.h"

typedef struct Steps { Program *program; Symbol *irreversible; Span irreversible_span; } Steps;

typedef struct Calls { Symbol *items[64]; uint32_t count; } Calls;

static bool collect_call(Ast *node, void *arg) {
    Calls *calls = arg;
    Symbol *tool = lint_called_tool(node);
    if (tool && calls->count < 64) calls->items[calls->count++] = tool;
    return true;
}

static void check_compensation(Program *program, Ast *compensate) {
    Calls calls = { 0 };
    lint_walk(compensate, collect_call, &calls);
    for (uint32_t i = 0; i < calls.count; i++) {
        if (lint_tool_repeats_safely(calls.items[i])) continue;
        Diag *diag = diag_compensation_not_retryable(program->diags, compensate->span, calls.items[i]->name);
        diag_help(program->diags, diag, "declare the tool `idempotent`, or give it a `key`, so that a failed compensation is tried again");
    }
}

static void check_step(Steps *steps, Ast_step_stmt *step) {
    Diags *diags = steps->program->diags;
    Calls calls = { 0 };
    lint_walk(step->value, collect_call, &calls);
    if (step->compensate) check_compensation(steps->program, step->compensate);
    for (uint32_t i = 0; i < calls.count; i++) {
        Symbol *tool = calls.items[i];
        const FuncInfo *info = tool->info;
        if (steps->irreversible && !lint_tool_repeats_safely(tool)) {
            Diag *diag = diag_irreversible_before_failure(diags, steps->irreversible_span, steps->irreversible->name);
            diag_note(diags, diag, step->head.span, "this step can fail after it");
            diag_help(diags, diag, "put the step that cannot be undone last");
            steps->irreversible = NULL;
        }
        if (lint_tool_flags(tool) & TOOL_IRREVERSIBLE) {
            steps->irreversible = tool;
            steps->irreversible_span = step->head.span;
            continue;
        }
        if (step->compensate || !lint_changes_things(tool) || (info && info->compensated_by)) continue;
        Diag *diag = diag_saga_step_uncompensated(diags, step->head.span, tool->name);
        diag_help(diags, diag, "add `compensate …` behind the call, or `compensated by …` to the tool");
    }
}

static bool visit_saga(Ast *node, void *arg) {
    if (node->kind != AST_SAGA_STMT) return true;
    Steps steps = { .program = arg };
    AstList items = as_block(as_saga_stmt(node)->body)->items;
    for (uint32_t i = 0; i < items.count; i++)
        if (items.items[i]->kind == AST_STEP_STMT) check_step(&steps, as_step_stmt(items.items[i]));
    return true;
}

void lint_saga(Program *program) { lint_walk_program(program, visit_saga, program); }
