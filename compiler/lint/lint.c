/* lint.c - runs the passes and takes out what the author allowed. */
#include "compiler/lint/lint.h"

static void (*const passes[])(Program *) = { lint_saga, lint_wait, lint_names, lint_events, lint_tables, lint_machines, lint_durability, lint_state, lint_routes, lint_plans, lint_text };

typedef struct Walk { LintVisit visit; void *arg; } Walk;

static bool walk_node(Ast *node, void *arg) {
    Walk *walk = arg;
    if (node->made || walk->visit(node, walk->arg)) ast_each_child(node, walk_node, walk);
    return true;
}

void lint_walk(Ast *root, LintVisit visit, void *arg) {
    Walk walk = { visit, arg };
    if (root) walk_node(root, &walk);
}

void lint_walk_program(Program *program, LintVisit visit, void *arg) {
    for (uint32_t i = 0; i < program->module_count; i++) lint_walk(&program->modules[i]->root->head, visit, arg);
}

Symbol *lint_called_tool(const Ast *call) {
    if (call->kind != AST_CALL_EXPR || !call->info) return NULL;
    const CallInfo *info = call->info;
    return info->kind == CALL_TOOL || info->kind == CALL_REMOTE ? info->target : NULL;
}

uint16_t lint_tool_flags(const Symbol *tool) {
    const FuncInfo *info = tool->info;
    return info ? info->tool_flags : 0;
}

bool lint_tool_repeats_safely(const Symbol *tool) {
    const FuncInfo *info = tool->info;
    if (lint_tool_flags(tool) & (TOOL_READS | TOOL_IDEMPOTENT | TOOL_KEYED)) return true;
    return info && !(info->effects & (FUNC_EFFECT_WRITE | FUNC_EFFECT_OUTSIDE));
}

bool lint_changes_things(const Symbol *tool) {
    const FuncInfo *info = tool->info;
    uint16_t flags = lint_tool_flags(tool);
    if (flags & TOOL_READS) return false;
    return (flags & TOOL_REMOTE) || (info && (info->effects & (FUNC_EFFECT_WRITE | FUNC_EFFECT_OUTSIDE)));
}

/* `// allow: NAME because REASON` */
static bool allows(Str comment, const char *lint) {
    static const char word[] = "allow:", because[] = " because ";
    const char *at = memmem(comment.ptr, comment.len, word, sizeof word - 1);
    if (!at) return false;
    at += sizeof word - 1;
    const char *end = comment.ptr + comment.len;
    while (at < end && *at == ' ') at++;
    size_t len = strlen(lint);
    if ((size_t)(end - at) < len || memcmp(at, lint, len) != 0) return false;
    const char *reason = memmem(at + len, (size_t)(end - at) - len, because, sizeof because - 1);
    return reason && reason + sizeof because - 1 < end;
}

static bool is_allowed(const Program *program, const Diag *diag) {
    for (uint32_t m = 0; m < program->module_count; m++) {
        const Module *module = program->modules[m];
        if (module->source->index != diag->span.file) continue;
        uint32_t line, column, comment_line;
        source_position(module->source, diag->span.start, &line, &column);
        for (uint32_t c = 0; c < module->comment_count; c++) {
            source_position(module->source, module->comments[c].span.start, &comment_line, &column);
            bool near = comment_line == line || (comment_line + 1 == line && module->comments[c].own_line);
            if (near && allows(module->comments[c].text, diag->code)) return true;
        }
    }
    return false;
}

void lint_program(Program *program) {
    Diags *diags = program->diags;
    uint32_t before = diags->count;
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) passes[i](program);
    uint16_t main_file = program->modules[program->main_module]->source->index;
    uint32_t kept = before;
    for (uint32_t i = before; i < diags->count; i++)
        if (diags->items[i]->span.file == main_file && !is_allowed(program, diags->items[i])) diags->items[kept++] = diags->items[i];
    diags->count = kept;
}
