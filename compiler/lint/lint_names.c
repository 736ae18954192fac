/* lint_names.c - names that nobody reads, names that hide others, lines that nobody reaches. A name that begins with `_` may stay unused. */
#include "compiler/lint/lint.h"

enum { NAMES_DEPTH_MAX = 4096 };

typedef struct Names { Program *program; Ident stack[NAMES_DEPTH_MAX]; uint32_t depth; } Names;

static void unused(Names *names, const Symbol *symbol, Ident ident) {
    if (!symbol || symbol->is_used || !ident.text.len || ident.text.ptr[0] == '_') return;
    Diag *diag = diag_unused_name(names->program->diags, ident.span, ident.text);
    diag_help(names->program->diags, diag, "remove it, or begin it with `_` to say that it is meant");
}

static void declare(Names *names, const Symbol *symbol, Ident ident) {
    if (!ident.text.len) return;
    unused(names, symbol, ident);
    for (uint32_t i = 0; i < names->depth; i++) {
        if (!str_eq(names->stack[i].text, ident.text)) continue;
        Diag *diag = diag_shadowing(names->program->diags, ident.span, ident.text);
        diag_note(names->program->diags, diag, names->stack[i].span, "declared here");
        break;
    }
    if (names->depth < NAMES_DEPTH_MAX) names->stack[names->depth++] = ident;
}

static bool leaves(const Ast *node) {
    switch (node->kind) {
    case AST_RETURN_STMT: case AST_FAIL_STMT: case AST_BREAK_STMT: case AST_CONTINUE_STMT: return true;
    default: return false;
    }
}

static void check_block(Names *names, Ast_block *block) {
    for (uint32_t i = 0; i + 1 < block->items.count; i++) {
        if (!leaves(block->items.items[i])) continue;
        Diag *diag = diag_unreachable_code(names->program->diags, block->items.items[i + 1]->span);
        diag_note(names->program->diags, diag, block->items.items[i]->span, "control never gets past this");
        return;
    }
}

static bool visit(Ast *node, void *arg);

static bool visit_child(Ast *child, void *arg) {
    lint_walk(child, visit, arg);
    return true;
}

/* Names declared inside are forgotten at the end. */
static void scope(Names *names, Ast *node) {
    uint32_t depth = names->depth;
    ast_each_child(node, visit_child, names);
    names->depth = depth;
}

static bool visit(Ast *node, void *arg) {
    Names *names = arg;
    switch (node->kind) {
    case AST_BLOCK: check_block(names, as_block(node)); scope(names, node); return false;
    case AST_FN_DECL: case AST_FLOW_DECL: case AST_HANDLER_DECL: case AST_TEST_DECL: case AST_RESOURCE_DECL: case AST_CATCH_CLAUSE:
        scope(names, node);
        return false;
    case AST_FOR_STMT: {
        uint32_t depth = names->depth;
        lint_walk(as_for_stmt(node)->source, visit, names);
        declare(names, node->symbol, as_for_stmt(node)->name);
        lint_walk(as_for_stmt(node)->body, visit, names);
        names->depth = depth;
        return false;
    }
    case AST_LET_STMT:
        lint_walk(as_let_stmt(node)->value, visit, names);
        declare(names, node->symbol, as_let_stmt(node)->name);
        return false;
    case AST_TOOL_DECL:
        if (as_tool_decl(node)->body) scope(names, node);        /* a remote tool only declares its parameters */
        return false;
    case AST_PARAM: declare(names, node->symbol, as_param(node)->name); return false;
    default: return true;
    }
}

void lint_names(Program *program) {
    static Names names;                                  /* large; one lint at a time */
    names.program = program;
    names.depth = 0;
    lint_walk(&program->modules[program->main_module]->root->head, visit, &names);
}
