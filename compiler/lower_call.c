/* lower_call.c - calls: functions, tools here and elsewhere, flows, built-ins, effects and the model. */
#include "compiler/lower_internal.h"

Str tool_name(Lower *lw, const Symbol *tool)
{
    if (!tool->owner) return tool->name;
    return str_of(arena_printf(lw->arena, "%.*s.%.*s", STR_ARG(tool->owner->name), STR_ARG(tool->name)));
}

uint16_t symbol_func(Lower *lw, const Symbol *symbol)
{
    if (symbol->kind == SYMBOL_TOOL) return lw->image->tools[symbol->image_index].func;
    if (symbol->kind == SYMBOL_FLOW) return lw->image->flows[symbol->image_index].func;
    return symbol->image_index;
}

/* The default of a parameter: checked where it is declared, evaluated where it is missing. */
static Ast *param_default(const Symbol *param)
{
    return param->decl && param->decl->kind == AST_PARAM ? as_param(param->decl)->value : NULL;
}

Arg *call_args(Func *f, CallInfo *call, uint16_t *count)
{
    FuncInfo *info = call->target->info;
    Arg *args = ARENA_ARRAY(f->lw->arena, Arg, info->param_count + 1);
    for (uint32_t i = 0; i < info->param_count; i++) {
        uint16_t type = row_of(f->lw, info->params[i]->type);
        Ast *value = i < call->arg_count ? call->args[i] : NULL;
        if (!value) value = param_default(info->params[i]);
        args[i] = value ? arg_node(value, type) : arg_null(type);
    }
    *count = (uint16_t)info->param_count;
    return args;
}

static Val call_target(Func *f, Ast *node, CallInfo *call, Want want)
{
    Lower *lw = f->lw;
    uint16_t count;
    Arg *args = call_args(f, call, &count);
    uint16_t result = row_of(lw, ((FuncInfo *)call->target->info)->result);
    at(f, node);
    if (call->kind == CALL_REMOTE || (call->kind == CALL_TOOL && lw->image->tools[call->target->image_index].func == NO_INDEX))
        return emit_effect(f, EFFECT_REMOTE_CALL, call->target->image_index, tool_name(lw, call->target), result, args, count, want);
    return emit_call(f, symbol_func(lw, call->target), result, args, count, want);
}

/* ---- built-ins, some of which have instructions of their own ---- */

static Val call_append(Func *f, CallInfo *call, Want want)
{
    Val list = pin(f, lower_any(f, call->args[0]), call->args[0], call->args[1]);
    Val item = lower_as(f, call->args[1], row_element(f->lw, list.type));
    Val out = val_copy(f, list);
    emit(f, OP_LIST_PUSH, out.reg, item.reg, 0);
    val_free(f, item);
    return settle(f, out, (Want){ out.type, want.type == out.type ? want.reg : NO_REG });
}

static bool direct_op(Builtin builtin, Opcode *op)
{
    switch (builtin) {
    case BUILTIN_LIST_LENGTH: *op = OP_LIST_LEN; return true;
    case BUILTIN_INT_TO_DECIMAL: *op = OP_INT_TO_DEC; return true;
    case BUILTIN_INT_TO_FLOAT: *op = OP_INT_TO_FLOAT; return true;
    case BUILTIN_DEC_TO_FLOAT: *op = OP_DEC_TO_FLOAT; return true;
    case BUILTIN_FLOAT_TO_DECIMAL: *op = OP_FLOAT_TO_DEC; return true;
    default: return false;
    }
}

static Val call_builtin(Func *f, Ast *node, CallInfo *call, Want want)
{
    Lower *lw = f->lw;
    uint16_t result = row_of(lw, node->type);
    Opcode op;
    if (call->builtin == BUILTIN_LIST_APPEND && lower_kind(lw, final_type(lw, call->args[0])) == KIND_LIST) return call_append(f, call, want);
    if (direct_op(call->builtin, &op)) {
        Val v = lower_any(f, call->args[0]), out = val_out(f, result, want);
        emit(f, op, out.reg, v.reg, 0);
        val_free(f, v);
        return out;
    }
    Arg *args = ARENA_ARRAY(lw->arena, Arg, call->arg_count + 1);
    for (uint32_t i = 0; i < call->arg_count; i++)
        args[i] = arg_node(call->args[i], call->param_types && call->param_types[i] ? row_of(lw, call->param_types[i]) : final_type(lw, call->args[i]));
    return emit_builtin(f, call->builtin, result, args, (uint16_t)call->arg_count, want);
}

/* ---- effects ---- */

static Val call_effect(Func *f, Ast *node, CallInfo *call, Want want)
{
    Lower *lw = f->lw;
    Arg args[FUNC_PARAMS_MAX];
    uint16_t count = (uint16_t)(call->arg_count < FUNC_PARAMS_MAX ? call->arg_count : FUNC_PARAMS_MAX);
    for (uint16_t i = 0; i < count; i++) args[i] = arg_node(call->args[i], final_type(lw, call->args[i]));
    return emit_effect(f, call->effect, NO_INDEX, str_of(effect_name((uint16_t)call->effect)), row_of(lw, node->type), args, count, want);
}

/* The names of the agents a plan may use: those given, or all. */
static Val agent_names(Func *f, Ast *list)
{
    Lower *lw = f->lw;
    Val out = val_temp(f, TYPE_INDEX_LIST_STRING);
    emit(f, OP_NEW_LIST, out.reg, 0, 0);
    uint32_t count = list ? as_list_expr(list)->items.count : lw->image->agent_count;
    for (uint32_t i = 0; i < count; i++) {
        Ast *item = list ? as_list_expr(list)->items.items[i] : NULL;
        Val name = val_text(f, item ? item->symbol->name : lw->image->agents[i].name);
        emit(f, OP_LIST_PUSH, out.reg, name.reg, 0);
        val_free(f, name);
    }
    return out;
}

static Val call_llm(Func *f, Ast *node, CallInfo *call, Want want)
{
    Lower *lw = f->lw;
    uint16_t result = call->llm_type ? row_of(lw, call->llm_type) : row_of(lw, node->type);
    Arg args[2] = { arg_node(call->args[0], TYPE_INDEX_STRING) };
    uint16_t count = 1;
    if (call->effect == EFFECT_LLM_PLAN) {
        Val prompt = lower_as(f, call->args[0], TYPE_INDEX_STRING);
        args[0] = arg_val(prompt);
        args[count++] = arg_val(agent_names(f, call->arg_count > 1 ? call->args[1] : NULL));
        result = TYPE_INDEX_JSON;
    }
    uint16_t labels = call->args[0]->type->labels & (LABEL_PII | LABEL_SECRET);         /* the journal and traces must know */
    return emit_effect(f, call->effect, labels ? labels : NO_INDEX, str_of(effect_name((uint16_t)call->effect)), result, args, count, want);
}

/* ---- Type(…): a record by position or name ---- */

static Val call_record(Func *f, Ast *node, CallInfo *call, Want want)
{
    Lower *lw = f->lw;
    Type *record = node->type;
    uint16_t type = row_of(lw, record), count = lw->image->types[type].field_count;
    Arg args[RECORD_FIELDS_MAX];
    for (uint16_t i = 0; i < count; i++) {
        uint16_t field = lw->image->types[type].fields[i].type;
        Ast *value = i < call->arg_count ? call->args[i] : NULL, *decl = record->fields[i].decl;
        if (!value && decl && decl->kind == AST_FIELD) value = as_field(decl)->value;
        args[i] = value ? arg_node(value, field) : arg_null(field);
    }
    return emit_record(f, type, args, count, want);
}

Val lower_call_of(Func *f, Ast *node, CallInfo *call, Want want)
{
    switch (call->kind) {
    case CALL_BUILTIN: return call_builtin(f, node, call, want);
    case CALL_INLINE: return lower_inline(f, node, call, want);
    case CALL_EFFECT: return call_effect(f, node, call, want);
    case CALL_LLM: return call_llm(f, node, call, want);
    case CALL_RECORD: return call_record(f, node, call, want);
    default: return call_target(f, node, call, want);
    }
}

Val lower_call(Func *f, Ast_call_expr *node, Want want)
{
    Symbol *table = node->head.symbol;
    if (table && table->kind == SYMBOL_TABLE) return lower_table_aggregate(f, &node->head, want);
    return lower_call_of(f, &node->head, node->head.info, want);
}

Val lower_start(Func *f, Ast_start_expr *node, Want want)
{
    CallInfo *call = node->call->info;
    uint16_t count;
    Arg *args = call_args(f, call, &count);
    return emit_effect(f, EFFECT_START_FLOW, call->target->image_index, call->target->name, TYPE_INDEX_STRING, args, count, want);
}
