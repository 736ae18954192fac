/* lint_routes.c - what comes from outside: routes for everybody, scopes nobody has or a flow needs without saying so, secrets in addresses, deliveries
 * that count twice. */
#include "compiler/access.h"
#include "compiler/lint/lint.h"
#include "interpreter/bytecode/route.h"

static const Ast *clause_of(AstList clauses, AstKind kind) {
    for (uint32_t i = 0; i < clauses.count; i++)
        if (clauses.items[i]->kind == kind) return clauses.items[i];
    return NULL;
}

static void without_requires(Program *program, const Ast_flow_decl *flow) {
    if (clause_of(flow->clauses, AST_REQUIRES_CLAUSE)) return;
    for (uint32_t i = 0; i < flow->clauses.count; i++) {
        Ast *clause = flow->clauses.items[i];
        if (clause->kind != AST_ROUTE_CLAUSE || as_route_clause(clause)->flags & ROUTE_CLAUSE_PUBLIC) continue;
        Diag *diag = diag_route_without_requires(program->diags, clause->span, flow->name.text);
        diag_help(program->diags, diag, "name the scopes (`requires \"trips:read\"`), or say `public` when no token is needed");
    }
}

/* What can be reached, less what is named. */
static void not_named(Program *program, Symbol *symbol, const Ast_flow_decl *flow) {
    if (!clause_of(flow->clauses, AST_ROUTE_CLAUSE)) return;
    ScopeList named = { 0 }, reached = { 0 };
    Buf missing = { 0 };
    scopes_of_clauses(program->arena, flow->clauses, &named);
    scopes_reached(program, symbol, &reached);
    for (uint32_t i = 0; i < reached.count; i++)
        if (!scopes_has(&named, reached.items[i])) buf_printf(&missing, "%s`%.*s`", missing.len ? ", " : "", STR_ARG(reached.items[i]));
    if (missing.len) {
        Diag *diag = diag_scope_not_named(program->diags, flow->name.span, flow->name.text, buf_cstr(&missing));
        diag_help(program->diags, diag, "its tools ask for it; who calls the route needs all of them");
    }
    buf_free(&missing);
}

static bool in_path(Str path, Str name) {
    RouteSegment segments[ROUTE_SEGMENTS_MAX];
    const char *why;
    int count = route_split(path, segments, &why);
    for (int i = 0; i < count; i++)
        if (segments[i].is_param && str_eq(segments[i].text, name)) return true;
    return false;
}

static void secret_in_address(Program *program, const Ast_flow_decl *flow) {
    const FuncInfo *func = flow->head.info;
    for (uint32_t i = 0; i < flow->clauses.count; i++) {
        if (flow->clauses.items[i]->kind != AST_ROUTE_CLAUSE) continue;
        const Ast_route_clause *route = as_route_clause(flow->clauses.items[i]);
        for (uint32_t k = 0; func && k < func->param_count; k++) {
            const Symbol *param = func->params[k];
            bool path = in_path(route->path.text, param->name);
            if (!(param->type->labels & LABEL_SECRET) || (!path && route_has_body(route->method.text))) continue;
            Diag *diag = diag_secret_in_address(program->diags, route->head.span, param->name, path ? "path" : "query");
            diag_help(program->diags, diag, "take it from the body of a POST");
        }
    }
}

/* Standard Webhooks give each message an id, which counts as the key when the clause names none. */
static void without_dedupe(Program *program, const Ast_flow_decl *flow) {
    const Ast *verify = clause_of(flow->clauses, AST_VERIFY_CLAUSE);
    if (!clause_of(flow->clauses, AST_WEBHOOK_CLAUSE) || !verify || clause_of(flow->clauses, AST_DEDUPE_CLAUSE)) return;
    const Ast *scheme = ((const Ast_verify_clause *)verify)->scheme;
    const Ast *callee = scheme->kind == AST_CALL_EXPR ? ((const Ast_call_expr *)scheme)->callee : NULL;
    if (!callee || callee->kind != AST_NAME_EXPR || !str_is(((const Ast_name_expr *)callee)->name.text, "stripe")) return;
    Diag *diag = diag_webhook_without_dedupe(program->diags, flow->name.span, flow->name.text);
    diag_help(program->diags, diag, "name what tells two deliveries of one event: `dedupe body.id ttl 24h`");
}

static bool visit_requires(Ast *node, void *arg) {
    Program *program = arg;
    if (node->kind != AST_REQUIRES_CLAUSE) return true;
    ScopeList scopes = { 0 };
    AstList texts = as_requires_clause(node)->scopes;
    scopes_of_clauses(program->arena, (AstList){ &node, 1 }, &scopes);
    for (uint32_t i = 0; i < scopes.count; i++) {
        if (scope_granted(program, scopes.items[i])) continue;
        Diag *diag = diag_scope_not_granted(program->diags, i < texts.count ? texts.items[i]->span : node->span, scopes.items[i]);
        diag_help(program->diags, diag, "grant it: `role USER grants \"%.*s\"`", STR_ARG(scopes.items[i]));
    }
    return false;
}

void lint_routes(Program *program) {
    for (uint32_t i = 0; i < program->symbol_count; i++) {
        Symbol *symbol = program->symbols[i];
        if (symbol->kind != SYMBOL_FLOW || !symbol->decl || symbol->decl->kind != AST_FLOW_DECL) continue;
        without_requires(program, as_flow_decl(symbol->decl));
        not_named(program, symbol, as_flow_decl(symbol->decl));
        secret_in_address(program, as_flow_decl(symbol->decl));
        without_dedupe(program, as_flow_decl(symbol->decl));
    }
    if (program->role_count) lint_walk_program(program, visit_requires, program);
}
