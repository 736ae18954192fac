/* lint_wait.c - everything that waits has an end: questions, events, remote calls, loops. A deadline counts from anywhere around. */
#include "compiler/lint/lint.h"

typedef struct Waits { Program *program; uint32_t deadlines; } Waits;

static bool visit(Ast *node, void *arg);

static bool visit_child(Ast *child, void *arg) {
    lint_walk(child, visit, arg);
    return true;
}

static void within(Waits *waits, Ast *node) {
    waits->deadlines++;
    ast_each_child(node, visit_child, waits);
    waits->deadlines--;
}

static bool has_within_clause(AstList clauses) {
    for (uint32_t i = 0; i < clauses.count; i++)
        if (clauses.items[i]->kind == AST_WITHIN_CLAUSE) return true;
    return false;
}

static void remote_call(Waits *waits, Ast *node) {
    Symbol *tool = lint_called_tool(node);
    if (!tool || waits->deadlines || !(lint_tool_flags(tool) & TOOL_REMOTE)) return;
    Diag *diag = diag_remote_without_deadline(waits->program->diags, node->span, tool->name);
    diag_help(waits->program->diags, diag, "say how long it may take: `… within 10s`, or `within` on the flow");
}

static void wait(Waits *waits, Ast *node, const char *what) {
    if (waits->deadlines) return;
    Diag *diag = diag_wait_without_deadline(waits->program->diags, node->span, what);
    diag_help(waits->program->diags, diag, "say how long: `… within 24h else …`");
}

static bool visit(Ast *node, void *arg) {
    Waits *waits = arg;
    switch (node->kind) {
    case AST_TEST_DECL: return false;
    case AST_WITHIN_EXPR: return within(waits, node), false;
    case AST_PARALLEL_STMT:
        if (as_parallel_stmt(node)->within) return within(waits, node), false;
        return true;
    case AST_PARALLEL_FOR:
        if (as_parallel_for(node)->within) return within(waits, node), false;
        return true;
    case AST_FLOW_DECL:
        if (has_within_clause(as_flow_decl(node)->clauses)) return within(waits, node), false;
        return true;
    case AST_ASK_EXPR: wait(waits, node, "ask"); return true;
    case AST_AWAIT_EXPR: wait(waits, node, "await"); return true;
    case AST_CALL_EXPR: remote_call(waits, node); return true;
    case AST_WHILE_STMT:
        if (!as_while_stmt(node)->bound) {
            Diag *diag = diag_loop_unbounded(waits->program->diags, as_while_stmt(node)->condition->span);
            diag_help(waits->program->diags, diag, "bound it: `while … at most 1000 times { … }`");
        }
        return true;
    default: return true;
    }
}

void lint_wait(Program *program) {
    Waits waits = { .program = program };
    lint_walk_program(program, visit, &waits);
}
