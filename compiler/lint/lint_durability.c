/* lint_durability.c - runs of `durability session` lie where no event looks for them; without Redis they would be found, so it is no error. */
#include "compiler/lint/lint.h"

typedef struct Waits { Diags *diags; Str flow; Ast *clause; } Waits;

static bool visit(Ast *node, void *arg) {
    Waits *waits = arg;
    if (node->kind != AST_AWAIT_EXPR || !node->symbol || node->symbol->kind != SYMBOL_EVENT) return true;
    Diag *diag = diag_session_awaits_event(waits->diags, node->span, node->symbol->name, waits->flow);
    diag_note(waits->diags, diag, waits->clause->span, "with Redis its run lives there alone");
    diag_help(waits->diags, diag, "wait for a signal, or leave the flow `strict`");
    return true;
}

void lint_durability(Program *program) {
    for (uint32_t m = 0; m < program->module_count; m++) {
        AstList items = program->modules[m]->root->items;
        for (uint32_t i = 0; i < items.count; i++) {
            Waits waits = { .diags = program->diags, .clause = durability_of(items.items[i], "session") };
            if (!waits.clause) continue;
            waits.flow = as_flow_decl(items.items[i])->name.text;
            ast_reach(as_flow_decl(items.items[i])->body, visit, &waits);
        }
    }
}
