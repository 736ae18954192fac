/* lower_route.c - routes, webhooks, scopes and roles to rows of the image.
 *
 * A route names all scopes that a run of its flow can ask for, so that a request is refused before anything is done. What a webhook takes out of
 * its body are key functions from the body to a text or null.
 */
#include "compiler/access.h"
#include "compiler/lower_internal.h"

enum { TOLERANCE_DEFAULT_US = 300 * 1000000 };

static Str *scope_rows(Lower *lw, const ScopeList *list, uint16_t *count)
{
    Str *rows = ARENA_ARRAY(lw->image->arena, Str, list->count + 1);
    for (uint32_t i = 0; i < list->count; i++) rows[i] = lower_str(lw, list->items[i]);
    *count = (uint16_t)list->count;
    return rows;
}

void lower_access(Lower *lw)
{
    const Program *program = lw->program;
    for (uint32_t i = 0; i < program->scope_count && !lw->failed; i++) {
        const Ast_scope_decl *decl = program->scopes[i];
        uint16_t row = lower_row(lw, IMAGE_ADD(lw->image, scope), "scopes");
        if (lw->failed) return;
        lw->image->scopes[row] = (ImageScope){ lower_str(lw, decl->name.text), lower_str(lw, decl->resource.text), lower_str(lw, decl->action.text), lower_str(lw, decl->description) };
    }
    for (uint32_t i = 0; i < program->role_count && !lw->failed; i++) {
        const Ast_role_decl *decl = program->roles[i];
        Ast_requires_clause granted = { .head = { .kind = AST_REQUIRES_CLAUSE }, .scopes = decl->scopes };
        Ast *clause = &granted.head;
        ScopeList scopes = { 0 };
        scopes_of_clauses(lw->arena, (AstList){ &clause, 1 }, &scopes);
        uint16_t row = lower_row(lw, IMAGE_ADD(lw->image, role), "roles");
        if (lw->failed) return;
        ImageRole role = { .name = lower_str(lw, decl->name.text), .is_default = decl->is_default != 0 };
        role.scopes = scope_rows(lw, &scopes, &role.scope_count);
        lw->image->roles[row] = role;
    }
}

static void lower_route(Lower *lw, Symbol *flow, const Ast_route_clause *clause)
{
    ScopeList scopes = { 0 };
    scopes_reached(lw->program, flow, &scopes);
    uint16_t row = lower_row(lw, IMAGE_ADD(lw->image, route), "routes");
    if (lw->failed) return;
    ImageRoute route = { .method = lower_str(lw, clause->method.text), .path = lower_str(lw, clause->path.text), .flow = flow->image_index };
    route.flags = (uint8_t)((clause->flags & ROUTE_CLAUSE_STREAM ? ROUTE_STREAM : 0) | (clause->flags & ROUTE_CLAUSE_CANCEL ? ROUTE_CANCEL_ON_DISCONNECT : 0)
                            | (clause->flags & ROUTE_CLAUSE_PUBLIC ? ROUTE_PUBLIC : 0));
    route.scopes = scope_rows(lw, &scopes, &route.scope_count);
    lw->image->routes[row] = route;
}

/* ---- webhooks ---- */

static uint16_t body_text_func(Lower *lw, Symbol *flow, const char *what, Ast *value)
{
    uint16_t func = lower_row(lw, IMAGE_ADD(lw->image, func), "functions"), result = row_opt(lw, TYPE_INDEX_STRING);
    if (lw->failed) return NO_INDEX;
    Func *f = body_begin(lw, func, FUNC_KEY, lower_printf(lw, "%.*s.%s", STR_ARG(flow->name), what), NO_INDEX, NO_INDEX, result, flow->info, value);
    Val text = lower_as(f, value, result);
    emit(f, OP_RETURN, text.reg, 0, 0);
    func_end(f);
    return func;
}

static void verify_clause(Lower *lw, ImageWebhook *webhook, Ast *scheme)
{
    Ast_call_expr *call = as_call_expr(scheme);
    webhook->scheme = str_is(as_name_expr(call->callee)->name.text, "stripe") ? VERIFY_STRIPE : VERIFY_STANDARD;
    webhook->secret_env = lower_str(lw, as_field_expr(as_arg(call->args.items[0])->value)->name.text);
}

static void lower_webhook(Lower *lw, Symbol *flow, AstList clauses)
{
    const Ast_webhook_clause *where = as_webhook_clause(clauses.items[0]);
    ImageWebhook webhook = { .name = lower_str(lw, flow->name), .method = lower_str(lw, where->method.text), .path = lower_str(lw, where->path.text), .flow = flow->image_index,
                             .tolerance_us = TOLERANCE_DEFAULT_US, .dedupe_func = NO_INDEX, .tenant_func = NO_INDEX };
    for (uint32_t i = 1; i < clauses.count && !lw->failed; i++) {
        Ast *clause = clauses.items[i];
        if (clause->kind == AST_VERIFY_CLAUSE) verify_clause(lw, &webhook, as_verify_clause(clause)->scheme);
        else if (clause->kind == AST_TOLERANCE_CLAUSE) webhook.tolerance_us = as_duration_expr(as_tolerance_clause(clause)->duration)->us;
        else if (clause->kind == AST_TENANT_CLAUSE) webhook.tenant_func = body_text_func(lw, flow, "tenant", as_tenant_clause(clause)->tenant);
        else if (clause->kind == AST_DEDUPE_CLAUSE) {
            webhook.dedupe_func = body_text_func(lw, flow, "dedupe", as_dedupe_clause(clause)->key);
            webhook.dedupe_ttl_us = as_duration_expr(as_dedupe_clause(clause)->ttl)->us;
        }
    }
    uint16_t row = lower_row(lw, IMAGE_ADD(lw->image, webhook), "webhooks");
    if (!lw->failed) lw->image->webhooks[row] = webhook;
}

void lower_routes(Lower *lw, Symbol *flow)
{
    AstList clauses = as_flow_decl(flow->decl)->clauses;
    if (clauses.count && clauses.items[0]->kind == AST_WEBHOOK_CLAUSE && !lw->failed) lower_webhook(lw, flow, clauses);
    for (uint32_t i = 0; i < clauses.count && !lw->failed; i++)
        if (clauses.items[i]->kind == AST_ROUTE_CLAUSE) lower_route(lw, flow, as_route_clause(clauses.items[i]));
}
