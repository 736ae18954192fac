/* resolve_decl.c - what stands behind the names of tables, machines, policies, functions, tools and flows. */
#include "compiler/check_internal.h"

Symbol *require_table(Checker *c, Ident name)
{
    Symbol *table = find_global(c, SYMBOL_TABLE, name.text);
    if (!table) {
        Diag *diag = diag_unknown_table(c->diags, name.span, name.text);
        diag_label(c->diags, diag, "no table of this name is declared or imported");
        suggest_globals(c, diag, name.text, SYMBOL_TABLE);
        return NULL;
    }
    table->is_used = true;
    return table;
}

Symbol *require_event(Checker *c, Ident name)
{
    Symbol *event = find_global(c, SYMBOL_EVENT, name.text);
    if (!event) {
        Diag *diag = diag_unknown_event(c->diags, name.span, name.text);
        diag_label(c->diags, diag, "no event of this name is declared or imported");
        suggest_globals(c, diag, name.text, SYMBOL_EVENT);
        return NULL;
    }
    event->is_used = true;
    return event;
}

bool is_remote(const Symbol *agent)
{
    return agent && as_agent_decl(agent->decl)->location != NULL;
}

/* ---- tables ------------------------------------------------------------------------------------------ */

static Symbol *add_column(Checker *c, Symbol *table, Ident name, Ast *decl, Type *type)
{
    Symbol *first = map_find(&table->members, name.text);
    if (first) {
        check_duplicate(c, "column", name, first);
        return NULL;
    }
    if (str_is(name.text, "tenant_id") || str_is(name.text, "owner_id"))
        diag_implicit_column(c->diags, name.span, name.text);
    TableInfo *info = table->info;
    Symbol *column = symbol_new(c, SYMBOL_COLUMN, name, decl);
    column->owner = table;
    column->type = type;
    column->ordinal = info->column_count;
    decl->symbol = column;
    map_put(&table->members, name.text, column);
    info->columns[info->column_count++] = column;
    bool generated = type->tag == TYPE_ID && type->decl == table;
    bool has_default = decl->kind == AST_VERSION_CLAUSE || generated || as_column(decl)->value != NULL;
    table->type->fields[table->type->field_count++] = (TypeField){ .name = name.text, .type = type, .decl = decl, .has_default = has_default };
    return column;
}

static Type *column_type(Checker *c, Symbol *table, Ast *node, TableInfo *info)
{
    if (node->kind == AST_ID_TYPE && !as_id_type(node)->table.text.len) {
        info->id_prefix = as_id_type(node)->prefix;
        return node->type = type_id(c->program, table);
    }
    return resolve_type(c, node);
}

static void check_column_names(Checker *c, Symbol *table, AstList names)
{
    for (uint32_t i = 0; i < names.count; i++) {
        if (names.items[i]->kind != AST_NAME_REF)
            continue;
        Ident name = as_name_ref(names.items[i])->name;
        Symbol *column = map_find(&table->members, name.text);
        names.items[i]->symbol = column;
        if (!column)
            suggest_members(c, diag_unknown_column(c->diags, name.span, table->name, name.text), name.text, &table->members);
    }
}

static void resolve_erase(Checker *c, Symbol *table, Ast_erase_clause *clause)
{
    Str action = clause->action.text;
    if (!str_is(action, "delete") && !str_is(action, "anonymize") && !str_is(action, "retain"))
        diag_unknown_word(c->diags, clause->action.span, "action", action, "`delete`, `anonymize` or `retain`");
    check_column_names(c, table, clause->columns);
}

static void resolve_table_clauses(Checker *c, Symbol *table, Ast_table_decl *decl)
{
    TableInfo *info = table->info;
    Ast *version = NULL, *erase = NULL, *export = NULL, *cache = NULL, *append = NULL, *visible = NULL;
    for (uint32_t i = 0; i < decl->clauses.count; i++) {
        Ast *clause = decl->clauses.items[i];
        Ast **seen = clause->kind == AST_VERSION_CLAUSE ? &version : clause->kind == AST_ERASE_CLAUSE ? &erase :
                     clause->kind == AST_EXPORT_CLAUSE ? &export : clause->kind == AST_CACHE_CLAUSE ? &cache :
                     clause->kind == AST_APPEND_CLAUSE ? &append : clause->kind == AST_VISIBLE_CLAUSE ? &visible : NULL;
        if (seen && *seen) {
            diag_clause_twice(c->diags, clause->span, seen == &version ? "version" : seen == &erase ? "on erase" : seen == &cache ? "cache" : seen == &append ? "append only" :
                             seen == &visible ? "visible by" : "export");
            continue;
        }
        if (seen)
            *seen = clause;
        info->append_only |= clause->kind == AST_APPEND_CLAUSE;
        if (clause->kind == AST_INDEX_CLAUSE)
            check_column_names(c, table, as_index_clause(clause)->columns);
        else if (clause->kind == AST_ERASE_CLAUSE)
            resolve_erase(c, table, as_erase_clause(clause));
        else if (clause->kind == AST_CACHE_CLAUSE)
            resolve_cache_clause(c, table, as_cache_clause(clause));
    }
    if (version) {
        info->versioned = true;
        add_column(c, table, (Ident){ STR("version"), version->span }, version, c->basic[TYPE_INT]);
    }
}

void resolve_table(Checker *c, Symbol *table)
{
    Ast_table_decl *decl = as_table_decl(table->decl);
    TableInfo *info = ARENA_NEW(c->arena, TableInfo);
    info->decl = decl;
    info->shared = decl->shared != 0;
    info->columns = ARENA_ARRAY(c->arena, Symbol *, decl->columns.count + 1);
    table->info = info;
    table->type->fields = ARENA_ARRAY(c->arena, TypeField, decl->columns.count + 1);
    if (decl->agent && decl->agent->kind == AST_NAME_REF) {
        Ident name = as_name_ref(decl->agent)->name;
        table->owner = find_global(c, SYMBOL_AGENT, name.text);
        decl->agent->symbol = table->owner;
        if (!table->owner)
            suggest_globals(c, diag_unknown_agent(c->diags, name.span, name.text), name.text, SYMBOL_AGENT);
    }
    for (uint32_t i = 0; i < decl->columns.count; i++) {
        if (decl->columns.items[i]->kind != AST_COLUMN)
            continue;
        Ast_column *column = as_column(decl->columns.items[i]);
        add_column(c, table, column->name, &column->head, column_type(c, table, column->type, info));
    }
    resolve_table_clauses(c, table, decl);
    if (info->column_count > RECORD_FIELDS_MAX)
        diag_too_many(c->diags, decl->name.span, "this table", info->column_count, "columns", RECORD_FIELDS_MAX);
    if (table->type->field_count > RECORD_FIELDS_MAX)
        table->type->field_count = RECORD_FIELDS_MAX;
}

/* ---- machines ------------------------------------------------------------------------------------------ */

static unsigned state_of(Symbol *machine, Ident name)
{
    Symbol *state = map_find(&machine->members, name.text);
    return state ? state->ordinal : 0;
}

void resolve_machine(Checker *c, Symbol *machine)
{
    Ast_machine_decl *decl = as_machine_decl(machine->decl);
    MachineInfo *info = ARENA_NEW(c->arena, MachineInfo);
    machine->info = info;
    info->targets = ARENA_ARRAY(c->arena, uint64_t, machine->type->member_count + 1);
    if (machine->type->member_count > MACHINE_STATES_MAX)
        return;
    for (uint32_t i = 0; i < decl->finals.count; i++)
        info->finals |= UINT64_C(1) << state_of(machine, as_name_ref(decl->finals.items[i])->name);
    for (uint32_t i = 0; i < decl->transitions.count; i++) {
        Ast_transition *transition = as_transition(decl->transitions.items[i]);
        unsigned from = state_of(machine, transition->from);
        if (info->finals >> from & 1) {
            Diag *diag = diag_final_leaves(c->diags, transition->from.span, transition->from.text);
            diag_label(c->diags, diag, "nothing may follow a final state");
        }
        for (uint32_t k = 0; k < transition->targets.count; k++)
            info->targets[from] |= UINT64_C(1) << state_of(machine, as_name_ref(transition->targets.items[k])->name);
    }
}

/* ---- policies ------------------------------------------------------------------------------------------- */

static const char *found_text(Checker *c, Ast *node)
{
    Str text = span_text(c->program->sources, node->span);
    return arena_printf(c->arena, "found `%.*s`", (int)(text.len > 40 ? 40 : text.len), text.ptr);
}

static void want_constant(Checker *c, Ast *node, const char *expected)
{
    if (node->kind != AST_ERROR)
        diag_constant_expected(c->diags, node->span, found_text(c, node), expected);
}

static int64_t int_constant(Checker *c, Ast *node, int64_t least, int64_t most, const char *expected)
{
    if (node->kind == AST_INT_EXPR && as_int_expr(node)->value >= least && as_int_expr(node)->value <= most)
        return as_int_expr(node)->value;
    want_constant(c, node, expected);
    return least;
}

static int64_t duration_constant(Checker *c, Ast *node)
{
    if (node->kind == AST_DURATION_EXPR && as_duration_expr(node)->us >= 0)
        return as_duration_expr(node)->us;
    want_constant(c, node, "a duration such as `30s`");
    return 0;
}

static const char *number_constant(Checker *c, Ast *node, const char *expected)
{
    if (node->kind == AST_INT_EXPR)
        return arena_printf(c->arena, "%lld", (long long)as_int_expr(node)->value);
    if (node->kind == AST_DECIMAL_EXPR)
        return arena_printf(c->arena, "%.*s", STR_ARG(as_decimal_expr(node)->digits));
    want_constant(c, node, expected);
    return "1";
}

static const Str *plain_text(Ast *node)
{
    if (node->kind != AST_STRING_EXPR)
        return NULL;
    AstList parts = as_string_expr(node)->parts;
    static const Str empty = { "", 0 };
    if (parts.count == 0)
        return &empty;
    return parts.count == 1 && parts.items[0]->kind == AST_TEXT_PART ? &as_text_part(parts.items[0])->text : NULL;
}

static void policy_retry_on(Checker *c, PolicyInfo *info, AstList entries)
{
    info->statuses = ARENA_ARRAY(c->arena, int64_t, entries.count + 1);
    info->codes = ARENA_ARRAY(c->arena, Str, entries.count + 1);
    for (uint32_t i = 0; i < entries.count; i++) {
        const Str *code = plain_text(entries.items[i]);
        if (code)
            info->codes[info->code_count++] = *code;
        else
            info->statuses[info->status_count++] = int_constant(c, entries.items[i], 100, 599, "a status from 100 to 599, or a code such as \"ECONNRESET\"");
    }
}

void resolve_policy(Checker *c, Symbol *policy)
{
    Ast_policy_decl *decl = as_policy_decl(policy->decl);
    PolicyInfo *info = ARENA_NEW(c->arena, PolicyInfo);
    policy->info = info;
    info->attempts = decl->attempts ? int_constant(c, decl->attempts, 1, 1000, "a number of attempts from 1 to 1000") : 3;
    info->backoff_us = decl->backoff ? duration_constant(c, decl->backoff) : 0;
    info->backoff_max_us = decl->backoff_max ? duration_constant(c, decl->backoff_max) : info->backoff_us;
    info->factor = decl->factor ? number_constant(c, decl->factor, "a factor such as `2` or `1.5`") : "1";
    info->jitter = decl->jitter ? number_constant(c, decl->jitter, "a part of one such as `20%`") : "0";
    policy_retry_on(c, info, decl->retry_on);
    info->refresh = ARENA_ARRAY(c->arena, int64_t, decl->refresh_on.count + 1);
    for (uint32_t i = 0; i < decl->refresh_on.count; i++)
        info->refresh[info->refresh_count++] = int_constant(c, decl->refresh_on.items[i], 100, 599, "a status from 100 to 599");
}

/* ---- functions, tools, flows ------------------------------------------------------------------------------ */

FuncInfo *func_new(Checker *c, Symbol *symbol)
{
    FuncInfo *info = ARENA_NEW(c->arena, FuncInfo);
    info->id = c->program->func_count++;
    info->symbol = symbol;
    info->result = c->basic[TYPE_VOID];
    return info;
}

static void add_param(Checker *c, FuncInfo *info, Ident name, Type *type, Ast *decl)
{
    Symbol *param = symbol_new(c, SYMBOL_PARAM, name, decl);
    param->type = type;
    param->func_id = info->id;
    param->ordinal = info->param_count;
    if (decl->kind != AST_HANDLER_DECL)
        decl->symbol = param;
    info->params[info->param_count++] = param;
}

static void add_params(Checker *c, FuncInfo *info, AstList params, bool of_tool)
{
    for (uint32_t i = 0; i < params.count; i++) {
        if (params.items[i]->kind != AST_PARAM)
            continue;
        Ast_param *param = as_param(params.items[i]);
        bool twice = false;
        for (uint32_t k = 0; k < info->param_count && !twice; k++)
            if (str_eq(info->params[k]->name, param->name.text)) {
                check_duplicate(c, "parameter", param->name, info->params[k]);
                twice = true;
            }
        check_param_notes(c, param, of_tool);
        Type *type = resolve_type(c, param->type);
        if (!twice && info->param_count <= FUNC_PARAMS_MAX)
            add_param(c, info, param->name, type, &param->head);
    }
    if (params.count > FUNC_PARAMS_MAX)
        diag_too_many(c->diags, params.items[FUNC_PARAMS_MAX]->span, "this declaration", params.count, "parameters", FUNC_PARAMS_MAX);
}

/* A flow started by an event has it as its first parameter. */
static void add_trigger(Checker *c, FuncInfo *info, AstList clauses)
{
    for (uint32_t i = 0; i < clauses.count; i++) {
        if (clauses.items[i]->kind != AST_TRIGGER_CLAUSE || info->param_count)
            continue;
        Ast_trigger_clause *trigger = as_trigger_clause(clauses.items[i]);
        Symbol *event = require_event(c, trigger->event);
        add_param(c, info, trigger->name, event ? event->type : poison(c), &trigger->head);
    }
}

static void resolve_signature(Checker *c, FuncInfo *info, AstList params, Ast *result, AstList clauses)
{
    info->params = ARENA_ARRAY(c->arena, Symbol *, params.count + 2);
    add_trigger(c, info, clauses);
    add_params(c, info, params, info->symbol->kind == SYMBOL_TOOL);
    if (result)
        info->result = resolve_type(c, result);
}

void resolve_func(Checker *c, Symbol *symbol)
{
    Ast *decl = symbol->decl;
    FuncInfo *info = func_new(c, symbol);
    symbol->info = info;
    decl->info = info;
    switch (decl->kind) {
    case AST_FN_DECL: resolve_signature(c, info, as_fn_decl(decl)->params, as_fn_decl(decl)->result, (AstList){ 0 }); break;
    case AST_FLOW_DECL: resolve_signature(c, info, as_flow_decl(decl)->params, as_flow_decl(decl)->result, as_flow_decl(decl)->clauses); break;
    case AST_TOOL_DECL: resolve_signature(c, info, as_tool_decl(decl)->params, as_tool_decl(decl)->result, (AstList){ 0 }); break;
    case AST_HANDLER_DECL: {
        Ast_handler_decl *handler = as_handler_decl(decl);
        Symbol *event = require_event(c, handler->event);
        info->params = ARENA_ARRAY(c->arena, Symbol *, 1);
        add_param(c, info, handler->name, event ? event->type : poison(c), decl);
        break;
    }
    default: break;
    }
    symbol->type = info->result;
}

/* ---- clauses of tools ---------------------------------------------------------------------------------------- */

typedef struct ToolClauses { Ast *reads, *irreversible, *idempotent, *compensated, *key, *via, *requires, *costs; } ToolClauses;

static void keep_clause(Checker *c, Ast **slot, Ast *clause, const char *word)
{
    if (*slot)
        diag_clause_twice(c->diags, clause->span, word);
    else
        *slot = clause;
}

static void effect_word(Checker *c, ToolClauses *seen, Ast *clause)
{
    Ident effect = as_effect_clause(clause)->effect;
    static const char *const words[] = { "reads", "irreversible", "idempotent" };
    Ast **slots[] = { &seen->reads, &seen->irreversible, &seen->idempotent };
    for (int i = 0; i < 3; i++)
        if (str_is(effect.text, words[i])) {
            keep_clause(c, slots[i], clause, words[i]);
            return;
        }
    diag_unknown_word(c->diags, effect.span, "effect", effect.text, "`reads`, `irreversible` or `idempotent`");
}

static ToolClauses collect_tool_clauses(Checker *c, AstList clauses)
{
    ToolClauses seen = { 0 };
    for (uint32_t i = 0; i < clauses.count; i++) {
        Ast *clause = clauses.items[i];
        switch (clause->kind) {
        case AST_EFFECT_CLAUSE: effect_word(c, &seen, clause); break;
        case AST_COMPENSATED_CLAUSE: keep_clause(c, &seen.compensated, clause, "compensated by"); break;
        case AST_KEY_CLAUSE: keep_clause(c, &seen.key, clause, "key"); break;
        case AST_VIA_CLAUSE: keep_clause(c, &seen.via, clause, "via"); break;
        case AST_REQUIRES_CLAUSE: keep_clause(c, &seen.requires, clause, "requires"); break;
        case AST_COSTS_CLAUSE: keep_clause(c, &seen.costs, clause, "costs"); break;
        case AST_ERROR: break;
        default: {
            Str text = span_text(c->program->sources, clause->span);
            size_t word = 0;
            while (word < text.len && text.ptr[word] != ' ' && text.ptr[word] != '\n')
                word++;
            diag_clause_misplaced(c->diags, clause->span, arena_printf(c->arena, "%.*s", (int)word, text.ptr), "a tool");
        }
        }
    }
    return seen;
}

static void contradiction(Checker *c, Ast *first, Ast *second, const char *first_word, const char *second_word)
{
    if (first && second)
        diag_note(c->diags, diag_clauses_contradict(c->diags, second->span, first_word, second_word), first->span, "`%s` stands here", first_word);
}

/* Each parameter of the compensation must come from somewhere: the tool's result or parameters by name, a default, or the result as a whole. */
static void check_compensation(Checker *c, Symbol *tool, Symbol *compensation, Ident name)
{
    FuncInfo *info = tool->info, *undo = compensation->info;
    for (uint32_t i = 0; i < undo->param_count; i++) {
        Symbol *param = undo->params[i];
        bool given = as_param(param->decl)->value != NULL || (i == 0 && type_assign(info->result, param->type) != ASSIGN_NO);
        const TypeField *field = info->result->tag == TYPE_RECORD ? type_field(info->result, param->name, NULL) : NULL;
        given |= field && type_assign(field->type, param->type) != ASSIGN_NO;
        for (uint32_t k = 0; k < info->param_count && !given; k++)
            given = str_eq(info->params[k]->name, param->name) && type_assign(info->params[k]->type, param->type) != ASSIGN_NO;
        if (!given) {
            Diag *diag = diag_compensation_parameter(c->diags, name.span, compensation->name, tool->name, param->name);
            diag_label(c->diags, diag, "neither the result nor the parameters of `%.*s` hold it", STR_ARG(tool->name));
            diag_note(c->diags, diag, param->decl->span, "the parameter");
        }
    }
}

static void resolve_compensated(Checker *c, Symbol *tool, Ast_compensated_clause *clause)
{
    Symbol *compensation = map_find(&tool->owner->members, clause->tool.text);
    if (!compensation) {
        Diag *diag = diag_unknown_tool(c->diags, clause->tool.span, tool->owner->name, clause->tool.text);
        suggest_members(c, diag, clause->tool.text, &tool->owner->members);
        return;
    }
    clause->head.symbol = compensation;
    ((FuncInfo *)tool->info)->compensated_by = compensation;
    check_compensation(c, tool, compensation, clause->tool);
}

static void resolve_key(Checker *c, Symbol *tool, Ast_key_clause *clause)
{
    FuncInfo *info = tool->info;
    Ident name = clause->key->kind == AST_NAME_EXPR ? as_name_expr(clause->key)->name : (Ident){ .span = clause->key->span };
    for (uint32_t i = 0; i < info->param_count; i++)
        if (str_eq(info->params[i]->name, name.text)) {
            clause->key->symbol = info->params[i];
            clause->key->type = info->params[i]->type;
            if (info->params[i]->type->tag != TYPE_STRING && info->params[i]->type->tag != TYPE_ID && info->params[i]->type->tag != TYPE_POISON)
                report_mismatch(c, clause->key, info->params[i]->type, c->basic[TYPE_STRING]);
            return;
        }
    Str shown = name.text.len ? name.text : span_text(c->program->sources, clause->key->span);
    diag_key_parameter(c->diags, name.span, shown, tool->name);
}

static bool via_is_needed(const Symbol *agent)
{
    Ast *location = as_agent_decl(agent->decl)->location;
    if (location->kind != AST_CALL_EXPR || as_call_expr(location)->callee->kind != AST_NAME_EXPR)
        return false;
    return str_is(as_name_expr(as_call_expr(location)->callee)->name.text, "http");
}

static void check_place(Checker *c, Symbol *tool, Ast_tool_decl *decl, Ast *via)
{
    if (!is_remote(tool->owner)) {
        if (via)
            diag_local_with_via(c->diags, via->span, decl->name.text);
        else if (!decl->body)
            diag_label(c->diags, diag_tool_without_body(c->diags, decl->name.span, decl->name.text), "its agent has no location, so the tool runs here");
        return;
    }
    if (decl->body)
        diag_remote_with_body(c->diags, decl->name.span, decl->name.text);
    else if (!via && via_is_needed(tool->owner))
        diag_help(c->diags, diag_remote_without_via(c->diags, decl->name.span, decl->name.text), "write `via GET \"/path\"`");
}

static void check_via(Checker *c, Ast_via_clause *via)
{
    static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (str_is(via->method.text, methods[i]))
            return;
    diag_unknown_word(c->diags, via->method.span, "method", via->method.text, "`GET`, `POST`, `PUT`, `PATCH` or `DELETE`");
}

void resolve_tool_clauses(Checker *c, Symbol *tool)
{
    Ast_tool_decl *decl = as_tool_decl(tool->decl);
    FuncInfo *info = tool->info;
    ToolClauses seen = collect_tool_clauses(c, decl->clauses);
    info->tool_flags = (uint16_t)((seen.reads ? TOOL_READS : 0) | (seen.idempotent ? TOOL_IDEMPOTENT : 0) | (seen.key ? TOOL_KEYED : 0) |
                                  (seen.irreversible ? TOOL_IRREVERSIBLE : 0) | (is_remote(tool->owner) ? TOOL_REMOTE : 0) | (decl->command ? TOOL_COMMAND : 0));
    contradiction(c, seen.reads, seen.irreversible, "reads", "irreversible");
    contradiction(c, seen.reads, seen.compensated, "reads", "compensated by");
    contradiction(c, seen.irreversible, seen.compensated, "irreversible", "compensated by");
    if (seen.compensated)
        resolve_compensated(c, tool, as_compensated_clause(seen.compensated));
    if (seen.key)
        resolve_key(c, tool, as_key_clause(seen.key));
    if (seen.via)
        check_via(c, as_via_clause(seen.via));
    if (seen.costs)
        check_costs(c, as_costs_clause(seen.costs));
    check_place(c, tool, decl, seen.via);
    if (is_remote(tool->owner))
        info->effects |= FUNC_EFFECT_OUTSIDE;
}

/* Which clauses a flow and a webhook have, and which only once. */
static const struct ClauseRule { AstKind kind; const char *word; bool of_flow, of_webhook, repeats; } clause_rules[] = {
    { AST_REQUIRES_CLAUSE, "requires", true, false, false }, { AST_WITHIN_CLAUSE, "within", true, true, false }, { AST_DURABILITY_CLAUSE, "durability", true, true, false },
    { AST_ONE_PER_CLAUSE, "one per", true, true, false }, { AST_LIMIT_CLAUSE, "limit", true, true, false }, { AST_RATE_CLAUSE, "rate", true, true, false },
    { AST_PRIORITY_CLAUSE, "priority", true, true, false }, { AST_TRIGGER_CLAUSE, "on", true, false, false }, { AST_ROUTE_CLAUSE, "on", true, false, true },
    { AST_WEBHOOK_CLAUSE, "webhook", false, true, false }, { AST_VERIFY_CLAUSE, "verify", false, true, false }, { AST_TOLERANCE_CLAUSE, "tolerance", false, true, false },
    { AST_DEDUPE_CLAUSE, "dedupe", false, true, false }, { AST_TENANT_CLAUSE, "tenant", false, true, false }, { AST_EFFECT_CLAUSE, "reads", false, false, false },
    { AST_COMPENSATED_CLAUSE, "compensated by", false, false, false }, { AST_KEY_CLAUSE, "key", false, false, false }, { AST_VIA_CLAUSE, "via", false, false, false }, { AST_COSTS_CLAUSE, "costs", false, false, false },
};

static const struct ClauseRule *clause_rule(AstKind kind)
{
    for (size_t i = 0; i < sizeof clause_rules / sizeof clause_rules[0]; i++)
        if (clause_rules[i].kind == kind)
            return &clause_rules[i];
    return NULL;
}

void resolve_flow_clauses(Checker *c, Symbol *flow)
{
    AstList clauses = as_flow_decl(flow->decl)->clauses;
    bool seen[AST_KIND_COUNT] = { false }, webhook = clauses.count && clauses.items[0]->kind == AST_WEBHOOK_CLAUSE;
    for (uint32_t i = 0; i < clauses.count; i++) {
        Ast *clause = clauses.items[i];
        const struct ClauseRule *rule = clause_rule(clause->kind);
        if (!rule)
            continue;                                       /* what the parser gave up on */
        if (!(webhook ? rule->of_webhook : rule->of_flow))
            diag_clause_misplaced(c->diags, clause->span, rule->word, webhook ? "a webhook" : "a flow");
        else if (seen[clause->kind] && !rule->repeats)
            diag_clause_twice(c->diags, clause->span, rule->word);
        seen[clause->kind] = true;
        if (clause->kind == AST_DURABILITY_CLAUSE) {
            Ident level = as_durability_clause(clause)->level;
            if (!str_is(level.text, "strict") && !str_is(level.text, "session") && !str_is(level.text, "none"))
                diag_unknown_word(c->diags, level.span, "durability", level.text, "`strict`, `session` or `none`");
        }
    }
}
