/* check_state.c - state with a time to live: sessions, contexts of a coordination, and reads that may come from the cache.
 *
 * What they hold may be gone at any moment, so a session is read as an optional record, and the fields of a context are optional. A field of a
 * context has one writer: the agent behind `by`, or without it the flows. None of it belongs to a transaction, which could not take it back.
 */
#include "compiler/check_internal.h"

static Symbol *require_state(Checker *c, SymbolKind kind, Ident name)
{
    Symbol *symbol = find_global(c, kind, name.text);
    if (symbol) {
        symbol->is_used = true;
        return symbol;
    }
    Diag *diag = kind == SYMBOL_SESSION ? diag_unknown_session(c->diags, name.span, name.text) : diag_unknown_context(c->diags, name.span, name.text);
    suggest_globals(c, diag, name.text, kind);
    return NULL;
}

/* ---- declarations ------------------------------------------------------------------------------------------ */

static int64_t state_ttl(Checker *c, Ast *ttl)
{
    int64_t us = as_duration_expr(ttl)->us;
    if (us >= STATE_TTL_MIN && us <= STATE_TTL_MAX)
        return us;
    diag_ttl_range(c->diags, ttl->span, "ttl", "STATE_TTL_MIN (1s)", "STATE_TTL_MAX (365d)");
    return STATE_TTL_MIN;
}

void resolve_session(Checker *c, Symbol *session)
{
    Ast_session_decl *decl = as_session_decl(session->decl);
    StateInfo *info = ARENA_NEW(c->arena, StateInfo);
    session->info = info;
    info->ttl_us = state_ttl(c, decl->ttl);
    resolve_fields(c, session, decl->fields);
    for (uint32_t i = 0; i < session->type->field_count; i++) {
        const TypeField *field = &session->type->fields[i];
        if (field->type->tag == TYPE_OPT || field->type->tag == TYPE_POISON || field->has_default)
            continue;
        Diag *diag = diag_session_field(c->diags, field->decl->span, field->name, session->name);
        diag_help(c->diags, diag, field->type->tag == TYPE_JSON ? "give it a default: `= null`" : "put a `?` behind its type, or give it a default");
    }
}

static Symbol *context_writer(Checker *c, Ast_context_field *field)
{
    if (!field->agent.text.len)
        return NULL;
    Symbol *agent = find_global(c, SYMBOL_AGENT, field->agent.text);
    if (agent)
        agent->is_used = true;
    else
        suggest_globals(c, diag_unknown_agent(c->diags, field->agent.span, field->agent.text), field->agent.text, SYMBOL_AGENT);
    return agent;
}

/* What the engine keeps beside the fields. */
static bool is_own_field(Str name)
{
    static const char *const own[] = { "coordination_id", "tenant_id", "user_id", "opened_by" };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (str_is(name, own[i]))
            return true;
    return false;
}

void resolve_context(Checker *c, Symbol *context)
{
    Ast_context_decl *decl = as_context_decl(context->decl);
    StateInfo *info = ARENA_NEW(c->arena, StateInfo);
    Type *type = context->type;
    context->info = info;
    info->ttl_us = state_ttl(c, decl->ttl);
    info->writers = ARENA_ARRAY(c->arena, Symbol *, decl->fields.count + 1);
    type->fields = ARENA_ARRAY(c->arena, TypeField, decl->fields.count + 1);
    for (uint32_t i = 0; i < decl->fields.count; i++) {
        if (decl->fields.items[i]->kind != AST_CONTEXT_FIELD)
            continue;
        Ast_context_field *field = as_context_field(decl->fields.items[i]);
        if (type_field(type, field->name.text, NULL)) {
            diag_label(c->diags, diag_duplicate_name(c->diags, field->name.span, "field", field->name.text), "a second field of this name");
            continue;
        }
        if (is_own_field(field->name.text))
            diag_label(c->diags, diag_reserved_name(c->diags, field->name.span, field->name.text), "every context has it");
        Type *value = resolve_type(c, field->type);
        info->writers[type->field_count] = context_writer(c, field);
        type->fields[type->field_count++] = (TypeField){
            .name = field->name.text, .type = type_labeled(c->program, type_optional(c->program, value), value->labels), .decl = &field->head };
    }
    if (type->field_count > RECORD_FIELDS_MAX)
        diag_too_many(c->diags, context->decl->span, text_of(c, type), type->field_count, "fields", RECORD_FIELDS_MAX);
}

void resolve_cache_clause(Checker *c, Symbol *table, Ast_cache_clause *clause)
{
    TableInfo *info = table->info;
    info->cache = clause;
    if (!clause->most && !str_is(clause->word.text, "never"))
        diag_unknown_word(c->diags, clause->word.span, "word", clause->word.text, "`cache never` or `cache at most 5m`");
    int64_t most = clause->most && clause->most->kind == AST_DURATION_EXPR ? as_duration_expr(clause->most)->us : CACHE_TTL_MIN;
    if (most < CACHE_TTL_MIN || most > CACHE_TTL_MAX)
        diag_ttl_range(c->diags, clause->most->span, "cache at most", "CACHE_TTL_MIN (1s)", "CACHE_TTL_MAX (7d)");
    info->cached |= clause->most != NULL;
}

/* ---- sessions ------------------------------------------------------------------------------------------------- */

Type *check_session_read(Checker *c, Ast *node)
{
    Ast_index_expr *index = as_index_expr(node);
    Symbol *session = global_named(c, index->object, SYMBOL_SESSION);
    if (!session)
        return NULL;
    note_effect(c, node, FUNC_EFFECT_READ | FUNC_EFFECT_STATE, arena_printf(c->arena, "a read of session `%.*s`", STR_ARG(session->name)));
    check_value(c, index->index, c->basic[TYPE_STRING]);
    node->symbol = session;
    ((IndexInfo *)node->info)->kind = INDEX_SESSION;
    return type_optional(c->program, session->type);
}

static Symbol *session_changed(Checker *c, Ast *node, Ident name, Ast *key, const char *verb)
{
    Symbol *session = node->symbol = require_state(c, SYMBOL_SESSION, name);
    check_value(c, key, c->basic[TYPE_STRING]);
    if (session)
        note_effect(c, node, FUNC_EFFECT_WRITE | FUNC_EFFECT_STATE, arena_printf(c->arena, "a `%s` of session `%.*s`", verb, STR_ARG(name.text)));
    return session;
}

void check_save(Checker *c, Ast *node)
{
    Ast_save_stmt *save = as_save_stmt(node);
    Symbol *session = session_changed(c, node, save->session, save->key, "save");
    if (session && save->value->kind == AST_RECORD_EXPR)
        check_some_fields(c, save->value, session->type);
    else
        check_some(c, save->value, NULL);
}

Type *check_change(Checker *c, Ast *node)
{
    Ast_change_expr *change = as_change_expr(node);
    Symbol *session = session_changed(c, node, change->session, change->key, "change");
    check_value(c, change->version, c->basic[TYPE_INT]);
    if (session)
        check_value(c, change->value, session->type);
    else
        check_some(c, change->value, NULL);
    return c->basic[TYPE_BOOL];
}

void check_forget(Checker *c, Ast *node)
{
    Ast_forget_stmt *forget = as_forget_stmt(node);
    session_changed(c, node, forget->session, forget->key, "delete");
}

/* ---- contexts --------------------------------------------------------------------------------------------------- */

Type *check_context_read(Checker *c, Ast *node, Symbol *context)
{
    note_effect(c, node, FUNC_EFFECT_READ | FUNC_EFFECT_STATE, arena_printf(c->arena, "a read of context `%.*s`", STR_ARG(context->name)));
    node->symbol = context;
    context->is_used = true;
    return context->type;
}

static const char *writer_text(Checker *c, const Symbol *agent)
{
    return agent ? arena_printf(c->arena, "agent `%.*s`", STR_ARG(agent->name)) : "the flow";
}

/* Whose code this is: of a tool or handler its agent, else the flow's. */
static Symbol *code_owner(const Checker *c)
{
    const Symbol *symbol = c->func ? c->func->symbol : NULL;
    return symbol && (symbol->kind == SYMBOL_TOOL || symbol->kind == SYMBOL_HANDLER) ? symbol->owner : NULL;
}

bool check_context_write(Checker *c, Ast *node)
{
    Ast_assign_stmt *assign = as_assign_stmt(node);
    if (assign->target->kind != AST_FIELD_EXPR)
        return false;
    Ast_field_expr *target = as_field_expr(assign->target);
    Symbol *context = global_named(c, target->object, SYMBOL_CONTEXT);
    if (!context)
        return false;
    note_effect(c, node, FUNC_EFFECT_WRITE | FUNC_EFFECT_STATE, arena_printf(c->arena, "a write to context `%.*s`", STR_ARG(context->name)));
    uint32_t index = 0;
    const TypeField *field = type_field(context->type, target->name.text, &index);
    if (!field) {
        suggest_fields(c, diag_unknown_field(c->diags, target->name.span, text_of(c, context->type), target->name.text), target->name.text, context->type);
        check_some(c, assign->value, NULL);
        return true;
    }
    assign->target->type = field->type;
    assign->target->symbol = context;
    FieldInfo *info = ARENA_NEW(c->arena, FieldInfo);
    *info = (FieldInfo){ .kind = FIELD_CONTEXT, .index = index };
    assign->target->info = info;
    if (assign->op)
        diag_help(c->diags, diag_context_update(c->diags, node->span, target->name.text), "read it, compute, and assign the new value");
    check_value(c, assign->value, type_element(c->program, field->type));
    const Symbol *writer = ((StateInfo *)context->info)->writers[index], *owner = code_owner(c);
    if (writer != owner && field->type->tag != TYPE_POISON) {
        Diag *diag = diag_context_writer(c->diags, assign->target->span, context->name, field->name, writer_text(c, writer), writer_text(c, owner));
        diag_label(c->diags, diag, "this is the code of %s", writer_text(c, owner));
        diag_note(c->diags, diag, field->decl->span, "declared here");
    }
    return true;
}

Type *check_coordinate(Checker *c, Ast *node)
{
    Ast_coordinate_stmt *stmt = as_coordinate_stmt(node);
    Symbol *context = node->symbol = require_state(c, SYMBOL_CONTEXT, stmt->context);
    note_effect(c, node, FUNC_EFFECT_WRITE | FUNC_EFFECT_STATE, "a `coordinate`");
    for (const Coordination *around = c->coordination; around && context; around = around->outer)
        if (around->context == context)
            diag_label(c->diags, diag_coordinate_nested(c->diags, stmt->context.span, context->name), "it is open here already");
    Coordination coordination = { c->coordination, context };
    c->coordination = &coordination;
    Type *type = check_closed(c, stmt->body, "coordination");
    c->coordination = coordination.outer;
    return type;
}

/* ---- cached reads ------------------------------------------------------------------------------------------------ */

/* The query of a read of tables that stands right there. */
static QueryInfo *query_of(Ast *node)
{
    switch (node->kind) {
    case AST_FROM_EXPR: return node->info && !((QueryInfo *)node->info)->over_list ? node->info : NULL;
    case AST_INDEX_EXPR: return node->info && ((IndexInfo *)node->info)->kind == INDEX_TABLE ? ((IndexInfo *)node->info)->query : NULL;
    case AST_AGGREGATE_EXPR: return node->symbol && node->symbol->kind == SYMBOL_TABLE ? node->info : NULL;
    default: return NULL;
    }
}

Type *check_cached(Checker *c, Ast *node, Type *hint)
{
    Ast_cached_expr *cached = as_cached_expr(node);
    Type *type = check_some(c, cached->value, hint);
    int64_t ttl = as_duration_expr(cached->ttl)->us;
    if (ttl < CACHE_TTL_MIN || ttl > CACHE_TTL_MAX)
        diag_ttl_range(c->diags, cached->ttl->span, "cached", "CACHE_TTL_MIN (1s)", "CACHE_TTL_MAX (7d)");
    QueryInfo *query = query_of(cached->value);
    if (!query) {
        if (type->tag != TYPE_POISON && type != c->never)
            diag_label(c->diags, diag_cached_value(c->diags, cached->value->span), "only reads of tables can be kept and be known to be old");
        return type;
    }
    query->cached_us = ttl;
    ((TableInfo *)query->table->info)->cached = true;
    for (uint32_t i = 0; i < query->join_count; i++)
        ((TableInfo *)query->join_tables[i]->info)->cached = true;
    return type;
}
