/* check_route.c - what comes from outside: routes and webhooks of flows, scopes and roles.
 *
 * A parameter of a route comes from the path where the path names it, else from the query of GET and DELETE, else from the JSON body. What stands
 * in a path or a query is text, so only what text can say fits there.
 */
#include "compiler/access.h"
#include "compiler/check_internal.h"
#include "interpreter/bytecode/route.h"

/* ---- scopes and roles ------------------------------------------------------------------------------------ */

static void check_action(Checker *c, Ident action)
{
    if (!str_is(action.text, "read") && !str_is(action.text, "write") && !str_is(action.text, "delete") && !str_is(action.text, "admin"))
        diag_unknown_word(c->diags, action.span, "action", action.text, "`read`, `write`, `delete` or `admin`");
}

void resolve_scope(Checker *c, Ast *node)
{
    Program *program = c->program;
    Ast_scope_decl *decl = as_scope_decl(node);
    const Ast_scope_decl *first = scope_declared(program, decl->name.text);
    check_action(c, decl->action);
    if (first) {
        diag_note(c->diags, diag_given_twice(c->diags, decl->name.span, "scope", decl->name.text), first->name.span, "declared here");
        return;
    }
    Ast_scope_decl **grown = ARENA_ARRAY(c->arena, Ast_scope_decl *, program->scope_count + 1);
    if (program->scope_count)
        memcpy(grown, program->scopes, program->scope_count * sizeof *grown);
    grown[program->scope_count++] = decl;
    program->scopes = grown;
}

void resolve_role(Checker *c, Ast *node)
{
    Program *program = c->program;
    Ast_role_decl *decl = as_role_decl(node);
    for (uint32_t i = 0; i < program->role_count; i++)
        if (str_eq(program->roles[i]->name.text, decl->name.text)) {
            diag_note(c->diags, diag_given_twice(c->diags, decl->name.span, "role", decl->name.text), program->roles[i]->name.span, "declared here");
            return;
        }
    Ast_role_decl **grown = ARENA_ARRAY(c->arena, Ast_role_decl *, program->role_count + 1);
    if (program->role_count)
        memcpy(grown, program->roles, program->role_count * sizeof *grown);
    grown[program->role_count++] = decl;
    program->roles = grown;
}

void check_scopes(Checker *c, AstList scopes)
{
    for (uint32_t i = 0; i < scopes.count; i++) {
        Ast *scope = scopes.items[i];
        scope->type = c->basic[TYPE_STRING];
        AstList parts = scope->kind == AST_STRING_EXPR ? as_string_expr(scope)->parts : (AstList){ 0 };
        if (parts.count != 1 || parts.items[0]->kind != AST_TEXT_PART) {
            if (scope->kind != AST_ERROR)
                diag_constant_expected(c->diags, scope->span, "found a computed value", "a scope such as \"travel:write\"");
            continue;
        }
        Str name = as_text_part(parts.items[0])->text;
        if (!c->program->scope_count || scope_declared(c->program, name) || str_is(name, ACCESS_ALL))
            continue;
        Str *near = ARENA_ARRAY(c->arena, Str, c->program->scope_count);
        for (uint32_t k = 0; k < c->program->scope_count; k++)
            near[k] = c->program->scopes[k]->name.text;
        Diag *diag = diag_unknown_scope(c->diags, scope->span, name);
        diag_did_you_mean(c->diags, diag, name, near, c->program->scope_count);
    }
}

void check_role(Checker *c, Ast *node)
{
    check_scopes(c, as_role_decl(node)->scopes);
}

/* ---- paths --------------------------------------------------------------------------------------------------- */

static Symbol *param_of(const FuncInfo *func, Str name)
{
    for (uint32_t i = 0; i < func->param_count; i++)
        if (str_eq(func->params[i]->name, name))
            return func->params[i];
    return NULL;
}

static bool text_can_say(const Type *type)
{
    switch (type->tag) {
    case TYPE_BOOL: case TYPE_INT: case TYPE_FLOAT: case TYPE_DECIMAL: case TYPE_STRING: case TYPE_DATE: case TYPE_TIMESTAMP: case TYPE_DURATION:
    case TYPE_ENUM: case TYPE_ID: case TYPE_POISON:
        return true;
    default:
        return false;
    }
}

static bool query_can_say(const Type *type)
{
    if (type->tag == TYPE_OPT)
        type = type->element;
    return text_can_say(type) || (type->tag == TYPE_LIST && text_can_say(type->element));
}

static void check_method_word(Checker *c, Ident method)
{
    if (!route_method_known(method.text))
        diag_unknown_word(c->diags, method.span, "method", method.text, "`GET`, `POST`, `PUT`, `PATCH` or `DELETE`");
}

/* Splits the path; -1 after a report. */
static int split_path(Checker *c, Ident path, RouteSegment *segments)
{
    const char *why;
    int count = route_split(path.text, segments, &why);
    if (count < 0) {
        diag_label(c->diags, diag_route_path(c->diags, path.span, path.text), "%s", why);
        return -1;
    }
    Str reserved = route_reserved(path.text);
    if (reserved.len) {
        Diag *diag = diag_route_reserved(c->diags, path.span, path.text);
        diag_label(c->diags, diag, "the server answers `%.*s` itself", STR_ARG(reserved));
    }
    return count;
}

static void check_path_params(Checker *c, Symbol *flow, Ident path, const RouteSegment *segments, int count)
{
    for (int i = 0; i < count; i++) {
        if (!segments[i].is_param)
            continue;
        Str name = segments[i].text;
        for (int k = 0; k < i; k++)
            if (segments[k].is_param && str_eq(segments[k].text, name))
                diag_given_twice(c->diags, path.span, "segment", name);
        Symbol *param = param_of(flow->info, name);
        if (!param) {
            diag_unknown_parameter(c->diags, path.span, flow->name, name);
        } else if (!text_can_say(param->type)) {
            Diag *diag = diag_route_parameter(c->diags, path.span, name, "path", text_of(c, param->type));
            diag_note(c->diags, diag, param->decl->span, "the parameter");
            diag_help(c->diags, diag, "a segment is always there and is one text: string, int, id, enum, date and their like");
        }
    }
}

static bool in_path(const RouteSegment *segments, int count, Str name)
{
    for (int i = 0; i < count; i++)
        if (segments[i].is_param && str_eq(segments[i].text, name))
            return true;
    return false;
}

static void check_query_params(Checker *c, Symbol *flow, Ast_route_clause *route, const RouteSegment *segments, int count)
{
    const FuncInfo *func = flow->info;
    if (route_has_body(route->method.text))
        return;
    for (uint32_t i = 0; i < func->param_count; i++) {
        Symbol *param = func->params[i];
        if (in_path(segments, count, param->name) || query_can_say(param->type))
            continue;
        Diag *diag = diag_route_parameter(c->diags, route->path.span, param->name, "query", text_of(c, param->type));
        diag_note(c->diags, diag, param->decl->span, "the parameter");
        diag_help(c->diags, diag, "`%.*s` has no body: take scalars and lists of scalars, or use POST", STR_ARG(route->method.text));
    }
}

/* ---- two of one shape ------------------------------------------------------------------------------------------ */

static bool address_of(const Ast *clause, Ident *method, Ident *path)
{
    if (clause->kind == AST_ROUTE_CLAUSE) {
        *method = ((const Ast_route_clause *)clause)->method;
        *path = ((const Ast_route_clause *)clause)->path;
    } else if (clause->kind == AST_WEBHOOK_CLAUSE) {
        *method = ((const Ast_webhook_clause *)clause)->method;
        *path = ((const Ast_webhook_clause *)clause)->path;
    }
    return clause->kind == AST_ROUTE_CLAUSE || clause->kind == AST_WEBHOOK_CLAUSE;
}

/* Reported at the second of them, wherever in the program the first stands. */
static void check_taken(Checker *c, const Ast *clause, Ident method, Ident path)
{
    for (uint32_t i = 0; i < c->program->symbol_count; i++) {
        const Symbol *flow = c->program->symbols[i];
        if (flow->kind != SYMBOL_FLOW)
            continue;
        AstList clauses = as_flow_decl(flow->decl)->clauses;
        for (uint32_t k = 0; k < clauses.count; k++) {
            Ident other_method, other_path;
            if (clauses.items[k] == clause)
                return;
            if (!address_of(clauses.items[k], &other_method, &other_path) || !str_eq(method.text, other_method.text) || !route_same_shape(path.text, other_path.text))
                continue;
            Diag *diag = diag_route_taken(c->diags, path.span, method.text, path.text);
            diag_note(c->diags, diag, other_path.span, "this one answers it");
            return;
        }
    }
}

void check_route(Checker *c, Symbol *flow, Ast *node)
{
    Ast_route_clause *route = as_route_clause(node);
    RouteSegment segments[ROUTE_SEGMENTS_MAX];
    AstList clauses = as_flow_decl(flow->decl)->clauses;
    check_method_word(c, route->method);
    int count = split_path(c, route->path, segments);
    if (count >= 0) {
        check_path_params(c, flow, route->path, segments, count);
        check_query_params(c, flow, route, segments, count);
        check_taken(c, node, route->method, route->path);
    }
    for (uint32_t i = 0; i < clauses.count && route->flags & ROUTE_CLAUSE_PUBLIC; i++)
        if (clauses.items[i]->kind == AST_REQUIRES_CLAUSE)
            diag_note(c->diags, diag_clauses_contradict(c->diags, node->span, "public", "requires"), clauses.items[i]->span, "`requires` stands here");
}

/* ---- webhooks ----------------------------------------------------------------------------------------------------- */

static bool is_env_field(const Ast *node)
{
    const Ast_field_expr *field = (const Ast_field_expr *)node;
    return node->kind == AST_FIELD_EXPR && field->object->kind == AST_NAME_EXPR && str_is(as_name_expr(field->object)->name.text, "env");
}

/* stripe(env.SECRET), standard(env.SECRET): a secret has no place in the program's text. */
static void check_verify(Checker *c, Ast *scheme)
{
    bool is_call = scheme->kind == AST_CALL_EXPR && as_call_expr(scheme)->callee->kind == AST_NAME_EXPR;
    Ident name = is_call ? as_name_expr(as_call_expr(scheme)->callee)->name : (Ident){ span_text(c->program->sources, scheme->span), scheme->span };
    if (!is_call || (!str_is(name.text, "stripe") && !str_is(name.text, "standard"))) {
        diag_unknown_word(c->diags, name.span, "scheme", name.text, "`stripe(env.SECRET)` or `standard(env.SECRET)`");
        return;
    }
    AstList args = as_call_expr(scheme)->args;
    Ast *secret = args.count == 1 && args.items[0]->kind == AST_ARG ? as_arg(args.items[0])->value : NULL;
    if (!secret || !is_env_field(secret))
        diag_constant_expected(c->diags, secret ? secret->span : scheme->span, "found another argument", "`env.NAME`: the secret is the server's, not the program's");
}

static void check_period(Checker *c, Ast *duration, const char *word, int64_t least_us, int64_t most_us, const char *least, const char *most)
{
    int64_t us = duration->kind == AST_DURATION_EXPR ? as_duration_expr(duration)->us : 0;
    duration->type = c->basic[TYPE_DURATION];
    if (us < least_us || us > most_us)
        diag_ttl_range(c->diags, duration->span, word, least, most);
}

/* A part of the body, or what is made of it, as text; null where the body says nothing. */
static void check_body_text(Checker *c, Ast *value)
{
    Type *type = check_some(c, value, c->basic[TYPE_STRING]);
    if (type->tag != TYPE_JSON && type->tag != TYPE_POISON && type_assign(type, type_optional(c->program, c->basic[TYPE_STRING])) == ASSIGN_NO)
        report_mismatch(c, value, type, c->basic[TYPE_STRING]);
}

void check_webhook_clause(Checker *c, Ast *node)
{
    const int64_t second = 1000000, day = 86400 * second;
    switch (node->kind) {
    case AST_VERIFY_CLAUSE: check_verify(c, as_verify_clause(node)->scheme); break;
    case AST_TOLERANCE_CLAUSE: check_period(c, as_tolerance_clause(node)->duration, "tolerance", second, day, "1s", "1d"); break;
    case AST_DEDUPE_CLAUSE:
        check_body_text(c, as_dedupe_clause(node)->key);
        check_period(c, as_dedupe_clause(node)->ttl, "ttl", second, 365 * day, "1s", "365d");
        break;
    case AST_TENANT_CLAUSE: check_body_text(c, as_tenant_clause(node)->tenant); break;
    case AST_WEBHOOK_CLAUSE: {
        RouteSegment segments[ROUTE_SEGMENTS_MAX];
        Ast_webhook_clause *webhook = as_webhook_clause(node);
        check_method_word(c, webhook->method);
        int count = split_path(c, webhook->path, segments);
        for (int i = 0; i < count; i++)
            if (segments[i].is_param)
                diag_label(c->diags, diag_route_path(c->diags, webhook->path.span, webhook->path.text), "a webhook takes its body only: its path has no parameters");
        if (count >= 0)
            check_taken(c, node, webhook->method, webhook->path);
        break;
    }
    default: break;
    }
}

/* What a webhook cannot be without. */
void check_webhook(Checker *c, Symbol *flow)
{
    AstList clauses = as_flow_decl(flow->decl)->clauses;
    for (uint32_t i = 0; i < clauses.count; i++)
        if (clauses.items[i]->kind == AST_VERIFY_CLAUSE)
            return;
    Ident name = as_flow_decl(flow->decl)->name;
    Diag *diag = diag_webhook_unverified(c->diags, name.span, name.text);
    diag_help(c->diags, diag, "say how its requests are signed: `verify stripe(env.SECRET)` or `verify standard(env.SECRET)`");
}
