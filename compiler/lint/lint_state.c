/* lint_state.c - results kept for longer than their table allows, and fields of a context that parallel branches write at the same time. */
#include "compiler/lint/lint.h"

/* ---- cached for too long ---- */

static void check_most(Program *program, const Ast_cached_expr *cached, const Symbol *table) {
    const Ast_cache_clause *clause = table ? ((const TableInfo *)table->info)->cache : NULL;
    if (!clause) return;
    const Ast_duration_expr *ttl = as_duration_expr(cached->ttl), *most = clause->most ? as_duration_expr(clause->most) : NULL;
    if (most && ttl->us <= most->us) return;
    const char *says = most ? arena_printf(program->arena, "at most %.*s", STR_ARG(most->text)) : "never";
    Diag *diag = diag_cache_too_long(program->diags, cached->ttl->span, table->name, says);
    diag_note(program->diags, diag, clause->head.span, "the table says so here");
    if (most) diag_fix(program->diags, diag, cached->ttl->span, "%.*s", STR_ARG(most->text));
    else diag_help(program->diags, diag, "read it without `cached`");
}

static const QueryInfo *query_of(const Ast *node) {
    if (node->kind == AST_INDEX_EXPR) return node->info ? ((const IndexInfo *)node->info)->query : NULL;
    return node->kind == AST_FROM_EXPR || node->kind == AST_AGGREGATE_EXPR ? node->info : NULL;
}

static void check_cached(Program *program, Ast_cached_expr *cached) {
    const QueryInfo *query = query_of(cached->value);
    if (!query) return;
    check_most(program, cached, query->table);
    for (uint32_t i = 0; i < query->join_count; i++) check_most(program, cached, query->join_tables[i]);
}

/* ---- one field, two branches: also through the tools and flows that a branch calls ---- */

enum { WRITES_MAX = 256, CALLS_MAX = 64 };
typedef struct Write { const Symbol *context; uint32_t field; Span span; } Write;
typedef struct Writes { Write items[WRITES_MAX]; uint32_t count; const Symbol *called[CALLS_MAX]; uint32_t called_count; } Writes;

static bool collect(Ast *node, void *arg);

static void collect_callee(Writes *writes, const Symbol *callee) {
    for (uint32_t i = 0; i < writes->called_count; i++)
        if (writes->called[i] == callee) return;
    if (writes->called_count == CALLS_MAX || !callee->decl) return;
    writes->called[writes->called_count++] = callee;
    Ast *body = callee->decl->kind == AST_TOOL_DECL ? as_tool_decl(callee->decl)->body : callee->decl->kind == AST_FLOW_DECL ? as_flow_decl(callee->decl)->body : NULL;
    lint_walk(body, collect, writes);
}

static bool collect(Ast *node, void *arg) {
    Writes *writes = arg;
    if (node->kind == AST_ASSIGN_STMT) {
        const Ast *target = as_assign_stmt(node)->target;
        const FieldInfo *info = target->kind == AST_FIELD_EXPR ? target->info : NULL;
        if (info && info->kind == FIELD_CONTEXT && writes->count < WRITES_MAX) writes->items[writes->count++] = (Write){ target->symbol, info->index, target->span };
    } else if (node->kind == AST_CALL_EXPR && node->info) {
        const CallInfo *call = node->info;
        if (call->kind == CALL_TOOL || call->kind == CALL_FLOW) collect_callee(writes, call->target);
    }
    return node->kind != AST_START_EXPR;
}

static void report_race(Program *program, Ast *branch, const Write *write, const Write *other) {
    Str field = write->context->type->fields[write->field].name;
    Diag *diag = diag_context_field_raced(program->diags, branch->span, write->context->name, field);
    diag_note(program->diags, diag, other->span, "written here");
    diag_help(program->diags, diag, "give each branch a field of its own");
}

static void check_branches(Program *program, Ast_parallel_stmt *parallel) {
    Writes *before = ARENA_NEW(program->arena, Writes);
    for (uint32_t i = 0; i < parallel->branches.count; i++) {
        Writes *here = ARENA_NEW(program->arena, Writes);
        lint_walk(parallel->branches.items[i], collect, here);
        for (uint32_t k = 0; k < here->count; k++) {
            bool raced = false;
            for (uint32_t j = 0; j < before->count && !raced; j++) {
                raced = before->items[j].context == here->items[k].context && before->items[j].field == here->items[k].field;
                if (raced) report_race(program, parallel->branches.items[i], &here->items[k], &before->items[j]);
            }
        }
        for (uint32_t k = 0; k < here->count && before->count < WRITES_MAX; k++) before->items[before->count++] = here->items[k];
    }
}

/* Every turn of a `parallel for` is a branch of the same code. */
static void check_turns(Program *program, Ast_parallel_for *loop) {
    Writes *writes = ARENA_NEW(program->arena, Writes);
    lint_walk(loop->body, collect, writes);
    if (writes->count) report_race(program, &loop->head, &writes->items[0], &writes->items[0]);
}

static bool visit(Ast *node, void *arg) {
    Program *program = arg;
    switch (node->kind) {
    case AST_CACHED_EXPR: check_cached(program, as_cached_expr(node)); return true;
    case AST_PARALLEL_STMT: check_branches(program, as_parallel_stmt(node)); return true;
    case AST_PARALLEL_FOR: check_turns(program, as_parallel_for(node)); return true;
    default: return true;
    }
}

void lint_state(Program *program) {
    lint_walk_program(program, visit, program);
}
