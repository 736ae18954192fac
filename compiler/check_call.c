/* check_call.c - calls: which function is meant, and its arguments in the order of its parameters.
 *
 * Callees: agent.tool, llm.verb, a name (function, flow, type, effect, free built-in, or a method written as a function), value.method.
 * An argument without a name after one with a name is taken for the parameter of its own name: book(city: x, nights).
 */
#include "compiler/check_internal.h"

static CallInfo *call_info(Checker *c, Ast *node, CallKind kind, Symbol *target)
{
    CallInfo *info = ARENA_NEW(c->arena, CallInfo);
    info->kind = kind;
    info->target = target;
    node->info = info;
    return info;
}

/* Looks at arguments of a call that cannot be understood, so that what is wrong in them is said too. */
static Type *check_loose(Checker *c, AstList args)
{
    for (uint32_t i = 0; i < args.count; i++) {
        Ast *value = args.items[i]->kind == AST_ARG ? as_arg(args.items[i])->value : NULL;
        if (value && value->kind != AST_LAMBDA_EXPR && value->kind != AST_NAME_EXPR)
            check_some(c, value, NULL);
    }
    return poison(c);
}

/* ---- arguments ------------------------------------------------------------------------------------------ */

static int param_index(const Param *params, uint32_t count, Str name)
{
    for (uint32_t i = 0; i < count; i++)
        if (str_eq(params[i].name, name))
            return (int)i;
    return -1;
}

static void report_unknown_param(Checker *c, Str callee, Ident name, const Param *params, uint32_t count)
{
    Str names[FUNC_PARAMS_MAX];
    for (uint32_t i = 0; i < count && i < FUNC_PARAMS_MAX; i++)
        names[i] = params[i].name;
    Diag *diag = diag_unknown_parameter(c->diags, name.span, callee, name.text);
    diag_did_you_mean(c->diags, diag, name.text, names, count < FUNC_PARAMS_MAX ? count : FUNC_PARAMS_MAX);
}

/* The value of an argument `name` alone. */
static Ast *shorthand(Checker *c, Ast_arg *arg)
{
    if (arg->value)
        return arg->value;
    Ast_name_expr *name = ARENA_NEW(c->arena, Ast_name_expr);
    name->head.kind = AST_NAME_EXPR;
    name->head.span = arg->name.span;
    name->name = arg->name;
    arg->head.info = name;
    return &name->head;
}

/* The parameter this argument is for, or -1 after a report. */
static int place_argument(Checker *c, Ast_arg *arg, uint32_t position, bool after_named, Str callee, const Param *params, uint32_t count, uint32_t given)
{
    if (arg->name.text.len) {
        int index = param_index(params, count, arg->name.text);
        if (index < 0)
            report_unknown_param(c, callee, arg->name, params, count);
        return index;
    }
    if (after_named) {
        Ast *value = arg->value;
        int index = value && value->kind == AST_NAME_EXPR ? param_index(params, count, as_name_expr(value)->name.text) : -1;
        if (index < 0)
            diag_help(c->diags, diag_argument_order(c->diags, arg->head.span), "write `name: value`");
        return index;
    }
    if (position >= count) {
        if (position == count)
            diag_argument_count(c->diags, arg->head.span, callee, count, given);
        return -1;
    }
    return (int)position;
}

static void report_missing_argument(Checker *c, Span span, Str callee, const Param *param)
{
    Diag *diag = diag_missing_argument(c->diags, span, param->name, callee);
    diag_label(c->diags, diag, "it is %s and has no default", text_of(c, param->type));
    if (param->decl)
        diag_note(c->diags, diag, param->decl->span, "the parameter");
}

bool match_arguments(Checker *c, AstList args, Str callee, Span callee_span, const Param *params, uint32_t count, CallInfo *info)
{
    info->args = ARENA_ARRAY(c->arena, Ast *, count + 1);
    info->param_types = ARENA_ARRAY(c->arena, Type *, count + 1);
    info->arg_count = count;
    bool named = false, good = true;
    for (uint32_t i = 0; i < count; i++)
        info->param_types[i] = params[i].type;
    for (uint32_t i = 0; i < args.count; i++) {
        if (args.items[i]->kind != AST_ARG) {
            good = false;
            continue;
        }
        Ast_arg *arg = as_arg(args.items[i]);
        int index = place_argument(c, arg, i, named, callee, params, count, args.count);
        named |= arg->name.text.len != 0;
        Ast *value = shorthand(c, arg);
        if (index < 0) {
            check_expr(c, value, NULL);
            good = false;
            continue;
        }
        if (info->args[index])
            diag_given_twice(c->diags, arg->head.span, "argument", params[index].name);
        check_value(c, value, params[index].type);
        arg->head.type = value->type;
        info->args[index] = value;
    }
    for (uint32_t i = 0; good && i < count; i++)
        if (!info->args[i] && !params[i].has_default) {
            report_missing_argument(c, callee_span, callee, &params[i]);
            return false;
        }
    return good;
}

static bool match_func(Checker *c, Ast *node, Symbol *callee, CallInfo *info)
{
    FuncInfo *func = callee->info;
    Param params[FUNC_PARAMS_MAX + 1];
    uint32_t count = func->param_count;
    for (uint32_t i = 0; i < count; i++) {
        Symbol *param = func->params[i];
        bool has_default = param->decl->kind == AST_PARAM && as_param(param->decl)->value != NULL;
        params[i] = (Param){ param->name, param->type, has_default, param->decl };
    }
    return match_arguments(c, as_call_expr(node)->args, callee->name, as_call_expr(node)->callee->span, params, count, info);
}

/* ---- callees by name -------------------------------------------------------------------------------------- */

static unsigned argument_labels(const CallInfo *info)
{
    unsigned labels = 0;
    for (uint32_t i = 0; i < info->arg_count; i++)
        if (info->args[i] && info->args[i]->type)
            labels |= info->args[i]->type->labels;
    return labels;
}

static Type *call_fn(Checker *c, Ast *node, Symbol *fn)
{
    CallInfo *info = call_info(c, node, CALL_FN, fn);
    match_func(c, node, fn, info);
    return type_labeled(c->program, fn->type, argument_labels(info));
}

static Type *call_flow(Checker *c, Ast *node, Symbol *flow)
{
    CallInfo *info = call_info(c, node, CALL_FLOW, flow);
    match_func(c, node, flow, info);
    if (c->detached == node)
        return flow->type;
    note_call(c, node, flow);
    return flow->type;
}

static Type *call_record(Checker *c, Ast *node, Symbol *record)
{
    Type *type = record->type;
    CallInfo *info = call_info(c, node, CALL_RECORD, record);
    Param params[RECORD_FIELDS_MAX];
    uint32_t count = type->field_count < RECORD_FIELDS_MAX ? type->field_count : RECORD_FIELDS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const TypeField *field = &type->fields[i];
        bool optional = field->has_default || field->type->tag == TYPE_OPT || field->type->tag == TYPE_JSON;
        params[i] = (Param){ field->name, field->type, optional, field->decl };
    }
    match_arguments(c, as_call_expr(node)->args, record->name, as_call_expr(node)->callee->span, params, count, info);
    return type;
}

static const struct { const char *name; EffectKind effect; TypeTag result; } effects[] = {
    { "now", EFFECT_NOW, TYPE_TIMESTAMP }, { "uuid", EFFECT_UUID, TYPE_STRING }, { "random", EFFECT_RANDOM, TYPE_FLOAT },
};

Type *check_effect(Checker *c, Ast *node)
{
    static const struct { EffectKind kind; unsigned effect; TypeTag result; uint32_t count; TypeTag params[2]; } made[] = {
        { EFFECT_APPROVE, FUNC_EFFECT_PARK, TYPE_BOOL, 2, { TYPE_STRING, TYPE_JSON } }, { EFFECT_NOTE_NOTICE, 0, TYPE_VOID, 1, { TYPE_STRING } },
        { EFFECT_NOTE_CONDITION, 0, TYPE_VOID, 2, { TYPE_STRING, TYPE_BOOL } },
    };
    Ast_effect_expr *expr = as_effect_expr(node);
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        if (made[i].kind != (EffectKind)expr->effect || made[i].count != expr->args.count)
            continue;
        CallInfo *info = call_info(c, node, CALL_EFFECT, NULL);
        info->effect = made[i].kind;
        info->args = expr->args.items;
        info->arg_count = expr->args.count;
        for (uint32_t k = 0; k < expr->args.count; k++)
            check_value(c, expr->args.items[k], c->basic[made[i].params[k]]);
        note_effect(c, node, made[i].effect, effect_name((uint16_t)expr->effect));
        return c->basic[made[i].result];
    }
    assert(!"an effect that no tree is made with");
    return poison(c);
}

static Type *call_effect(Checker *c, Ast *node, Ident name)
{
    for (size_t i = 0; i < sizeof effects / sizeof effects[0]; i++) {
        if (!str_is(name.text, effects[i].name))
            continue;
        CallInfo *info = call_info(c, node, CALL_EFFECT, NULL);
        info->effect = effects[i].effect;
        match_arguments(c, as_call_expr(node)->args, name.text, name.span, NULL, 0, info);
        note_effect(c, node, FUNC_EFFECT_OWN, arena_printf(c->arena, "`%s()`", effects[i].name));
        return c->basic[effects[i].result];
    }
    return NULL;
}

static Type *call_free(Checker *c, Ast *node, Ident name)
{
    for (Signature *signature = map_find(&c->signatures->by_name, name.text); signature; signature = signature->next) {
        if (signature->receiver || str_starts(name.text, STR("__")))
            continue;
        CallInfo *info = call_info(c, node, CALL_BUILTIN, NULL);
        info->builtin = signature->builtin;
        Param params[SIGNATURE_PARAMS_MAX];
        for (uint32_t i = 0; i < signature->param_count; i++)
            params[i] = (Param){ STR(""), signature->params[i], false, NULL };
        AstList args = as_call_expr(node)->args;
        if (args.count < signature->param_count) {
            diag_argument_count(c->diags, name.span, name.text, signature->param_count, args.count);
            return check_loose(c, args);
        }
        match_arguments(c, args, name.text, name.span, params, signature->param_count, info);
        return type_labeled(c->program, signature->result, argument_labels(info));
    }
    return NULL;
}

static bool is_aggregate(Str name)
{
    return str_is(name, "count") || str_is(name, "sum") || str_is(name, "min") || str_is(name, "max") || str_is(name, "avg") || str_is(name, "exists");
}

/* first(xs) is xs.first() */
static Type *call_as_method(Checker *c, Ast *node, Ident name, Type *hint)
{
    AstList args = as_call_expr(node)->args;
    if (!args.count || args.items[0]->kind != AST_ARG || !as_arg(args.items[0])->value || as_arg(args.items[0])->name.text.len)
        return NULL;
    if (!method_exists(c, name.text))
        return NULL;
    return check_method(c, node, name.text, name.span, as_arg(args.items[0])->value, hint);
}

static Type *report_unknown_function(Checker *c, Ast *node, Ident name)
{
    Diag *diag = diag_unknown_function(c->diags, name.span, name.text);
    diag_label(c->diags, diag, "no function or flow of this name is declared or imported");
    suggest_names(c, diag, name.text);
    return check_loose(c, as_call_expr(node)->args);
}

static Type *call_name(Checker *c, Ast *node, Type *hint)
{
    Ident name = as_name_expr(as_call_expr(node)->callee)->name;
    Symbol *local = scope_find(c, name.text);
    Symbol *symbol = map_find(&c->program->globals, name.text);
    if (symbol && !local) {
        symbol->is_used = true;
        as_call_expr(node)->callee->symbol = symbol;
        switch (symbol->kind) {
        case SYMBOL_FN: return call_fn(c, node, symbol);
        case SYMBOL_FLOW: return call_flow(c, node, symbol);
        case SYMBOL_RECORD: return call_record(c, node, symbol);
        default:
            diag_not_callable(c->diags, name.span, arena_printf(c->arena, "%s `%.*s`", symbol_kind_text(symbol->kind), STR_ARG(name.text)));
            return check_loose(c, as_call_expr(node)->args);
        }
    }
    Type *type = call_effect(c, node, name);
    if (!type)
        type = call_free(c, node, name);
    if (!type && is_aggregate(name.text) && as_call_expr(node)->args.count == 1 && as_call_expr(node)->args.items[0]->kind == AST_ARG) {
        Ast *source = as_arg(as_call_expr(node)->args.items[0])->value;
        if (source && source->kind != AST_LAMBDA_EXPR)
            type = check_aggregate(c, node, name, source, NULL);
    }
    if (!type)
        type = call_as_method(c, node, name, hint);
    if (type)
        return type;
    if (local) {
        local->is_used = true;
        diag_not_callable(c->diags, name.span, arena_printf(c->arena, "%s `%.*s`", symbol_kind_text(local->kind), STR_ARG(name.text)));
        return check_loose(c, as_call_expr(node)->args);
    }
    return report_unknown_function(c, node, name);
}

/* ---- tools ---------------------------------------------------------------------------------------------------- */

static Type *call_tool(Checker *c, Ast *node, Symbol *agent)
{
    Ast *callee = as_call_expr(node)->callee;
    Ident name = as_field_expr(callee)->name;
    agent->is_used = true;
    Symbol *tool = map_find(&agent->members, name.text);
    if (!tool) {
        Diag *diag = diag_unknown_tool(c->diags, name.span, agent->name, name.text);
        suggest_members(c, diag, name.text, &agent->members);
        return check_loose(c, as_call_expr(node)->args);
    }
    tool->is_used = true;
    callee->symbol = tool;
    as_field_expr(callee)->object->symbol = agent;
    CallInfo *info = call_info(c, node, is_remote(agent) ? CALL_REMOTE : CALL_TOOL, tool);
    if (match_func(c, node, tool, info))
        check_trusted_arguments(c, info);
    note_call(c, node, tool);
    return tool->type;
}

/* ---- llm ------------------------------------------------------------------------------------------------------- */

/* `Intent`, or `[Intent]` for every one, as an argument. */
static Type *type_argument(Checker *c, Ast *value, bool *all)
{
    *all = value->kind == AST_LIST_EXPR && as_list_expr(value)->items.count == 1;
    if (*all)
        value = as_list_expr(value)->items.items[0];
    if (value->kind != AST_NAME_EXPR)
        return NULL;
    Symbol *symbol = map_find(&c->program->globals, as_name_expr(value)->name.text);
    if (!symbol || !symbol->type || (symbol->type->tag != TYPE_ENUM && symbol->type->tag != TYPE_RECORD))
        return NULL;
    symbol->is_used = true;
    value->symbol = symbol;
    return symbol->type;
}

/* classify(text, Enum), classify(text, [Enum]), extract(text, Record) */
static Type *llm_typed(Checker *c, Ast *node, CallInfo *info, TypeTag wanted_tag)
{
    AstList args = as_call_expr(node)->args;
    Ident name = as_field_expr(as_call_expr(node)->callee)->name;
    if (args.count != 2 || args.items[0]->kind != AST_ARG || args.items[1]->kind != AST_ARG || !as_arg(args.items[0])->value || !as_arg(args.items[1])->value) {
        diag_argument_count(c->diags, name.span, name.text, 2, args.count);
        return check_loose(c, args);
    }
    Ast *text = as_arg(args.items[0])->value, *wanted = as_arg(args.items[1])->value;
    check_value(c, text, c->basic[TYPE_STRING]);
    info->args = ARENA_ARRAY(c->arena, Ast *, 1);
    info->param_types = ARENA_ARRAY(c->arena, Type *, 1);
    info->args[0] = text;
    info->param_types[0] = c->basic[TYPE_STRING];
    info->arg_count = 1;
    bool all;
    Type *type = type_argument(c, wanted, &all);
    if (!type || type->tag != wanted_tag || (all && wanted_tag != TYPE_ENUM)) {
        Str found = span_text(c->program->sources, wanted->span);
        diag_constant_expected(c->diags, wanted->span, arena_printf(c->arena, "found `%.*s`", (int)(found.len > 40 ? 40 : found.len), found.ptr),
                               wanted_tag == TYPE_ENUM ? "the name of an enum, or a list of it such as `[Intent]`" : "the name of a record type");
        return poison(c);
    }
    wanted->type = type;
    info->llm_type = all ? type_list(c->program, type) : type;
    return type_labeled(c->program, info->llm_type, text->type->labels);
}

static void check_agent_list(Checker *c, Ast *list)
{
    list->type = type_list(c->program, c->basic[TYPE_STRING]);
    AstList items = list->kind == AST_LIST_EXPR ? as_list_expr(list)->items : (AstList){ 0 };
    if (list->kind != AST_LIST_EXPR)
        diag_constant_expected(c->diags, list->span, "found another value", "a list of agents such as `[travel, calendar]`");
    for (uint32_t i = 0; i < items.count; i++) {
        Ast *item = items.items[i];
        item->type = c->basic[TYPE_STRING];
        Str name = item->kind == AST_NAME_EXPR ? as_name_expr(item)->name.text : span_text(c->program->sources, item->span);
        item->symbol = find_global(c, SYMBOL_AGENT, name);
        if (item->symbol)
            item->symbol->is_used = true;
        else
            suggest_globals(c, diag_unknown_agent(c->diags, item->span, name), name, SYMBOL_AGENT);
    }
}

static Type *llm_plan(Checker *c, Ast *node, CallInfo *info)
{
    AstList args = as_call_expr(node)->args;
    info->args = ARENA_ARRAY(c->arena, Ast *, 2);
    info->param_types = ARENA_ARRAY(c->arena, Type *, 2);
    info->arg_count = 2;
    info->param_types[0] = c->basic[TYPE_STRING];
    info->param_types[1] = type_list(c->program, c->basic[TYPE_STRING]);
    Ident name = as_field_expr(as_call_expr(node)->callee)->name;
    for (uint32_t i = 0; i < args.count; i++) {
        if (args.items[i]->kind != AST_ARG || !as_arg(args.items[i])->value)
            continue;
        Ast_arg *arg = as_arg(args.items[i]);
        if (str_is(arg->name.text, "agents") || (!arg->name.text.len && i == 1)) {
            check_agent_list(c, arg->value);
            info->args[1] = arg->value;
        } else if (i == 0) {
            check_value(c, arg->value, c->basic[TYPE_STRING]);
            info->args[0] = arg->value;
        } else {
            static const Param params[] = { { STR("request"), NULL, false, NULL }, { STR("agents"), NULL, true, NULL } };
            report_unknown_param(c, name.text, arg->name.text.len ? arg->name : (Ident){ STR("?"), arg->head.span }, params, 2);
        }
    }
    if (!info->args[0]) {
        Param request = { STR("request"), c->basic[TYPE_STRING], false, NULL };
        report_missing_argument(c, name.span, name.text, &request);
    }
    return info->args[0] ? type_labeled(c->program, c->basic[TYPE_JSON], info->args[0]->type->labels) : c->basic[TYPE_JSON];
}

static Type *call_llm(Checker *c, Ast *node)
{
    enum { CLASSIFY, EXTRACT, COMPLETE, STREAM, PLAN, VERBS };
    static const char *const verbs[VERBS] = { "classify", "extract", "complete", "stream", "plan" };
    static const EffectKind kinds[VERBS] = { EFFECT_LLM_CLASSIFY, EFFECT_LLM_EXTRACT, EFFECT_LLM_COMPLETE, EFFECT_LLM_STREAM, EFFECT_LLM_PLAN };
    Ident name = as_field_expr(as_call_expr(node)->callee)->name;
    Str near[VERBS];
    for (int i = 0; i < VERBS; i++) {
        near[i] = str_of(verbs[i]);
        if (!str_eq(near[i], name.text))
            continue;
        CallInfo *info = call_info(c, node, CALL_LLM, NULL);
        info->effect = kinds[i];
        note_effect(c, node, FUNC_EFFECT_OUTSIDE, arena_printf(c->arena, "`llm.%s`", verbs[i]));
        if (i == EXTRACT)
            return llm_typed(c, node, info, TYPE_RECORD);
        if (i == CLASSIFY)
            return llm_typed(c, node, info, TYPE_ENUM);
        if (i == PLAN)
            return llm_plan(c, node, info);
        const Param prompt = { STR("prompt"), c->basic[TYPE_STRING], false, NULL };
        match_arguments(c, as_call_expr(node)->args, name.text, name.span, &prompt, 1, info);
        return type_labeled(c->program, c->basic[TYPE_STRING], argument_labels(info));
    }
    Diag *diag = diag_unknown_tool(c->diags, name.span, STR("llm"), name.text);
    diag_did_you_mean(c->diags, diag, name.text, near, VERBS);
    return check_loose(c, as_call_expr(node)->args);
}

/* ---- agent.tool, value.method ------------------------------------------------------------------------------------- */

static bool is_free_name(Checker *c, Str name)
{
    return !scope_find(c, name) && !(c->bare_table && map_find(&c->bare_table->members, name));
}

static Type *call_field(Checker *c, Ast *node, Type *hint)
{
    Ast_field_expr *callee = as_field_expr(as_call_expr(node)->callee);
    if (callee->object->kind == AST_NAME_EXPR) {
        Ident name = as_name_expr(callee->object)->name;
        if (is_free_name(c, name.text)) {
            Symbol *symbol = map_find(&c->program->globals, name.text);
            if (symbol && symbol->kind == SYMBOL_AGENT)
                return call_tool(c, node, symbol);
            if (!symbol && str_is(name.text, "llm"))
                return call_llm(c, node);
            if (!symbol && !map_find(&c->program->enum_members, name.text) && name.text.len) {
                Diag *diag = diag_unknown_agent(c->diags, name.span, name.text);
                diag_label(c->diags, diag, "no agent of this name is declared or imported");
                suggest_names(c, diag, name.text);
                return check_loose(c, as_call_expr(node)->args);
            }
        }
    }
    if (callee->optional) {
        diag_help(c->diags, diag_optional_call(c->diags, callee->head.span), "test `!= null` before, or give a value with `??`");
        check_some(c, callee->object, NULL);
        return check_loose(c, as_call_expr(node)->args);
    }
    return check_method(c, node, callee->name.text, callee->name.span, callee->object, hint);
}

Type *check_call(Checker *c, Ast *node, Type *hint)
{
    Ast *callee = as_call_expr(node)->callee;
    if (callee->kind == AST_NAME_EXPR)
        return call_name(c, node, hint);
    if (callee->kind == AST_FIELD_EXPR)
        return call_field(c, node, hint);
    Type *type = check_some(c, callee, NULL);
    if (type->tag != TYPE_POISON)
        diag_not_callable(c->diags, callee->span, text_of(c, type));
    return check_loose(c, as_call_expr(node)->args);
}
