/* lower_saga.c - saga, step, and the functions that undo.
 *
 * What undoes a step is a function of its own, pushed with copies of the values it needs when the step has succeeded: it can run after a
 * crash, without the frame that pushed it. It records its outcome and does not raise. When the saga fails (also by cancellation or an outer
 * deadline) the handler runs them newest first under a shield, then raises on what it caught, extended by what was undone and what was not.
 */
#include "compiler/lower_internal.h"

void captures_enter(Func *inner, Captures *captures)
{
    captures->saved = ARENA_ARRAY(inner->lw->arena, uint16_t, captures->count + 1);
    for (uint32_t i = 0; i < captures->count; i++) {
        Symbol *symbol = captures->symbols[i];
        captures->saved[i] = symbol->image_index;
        symbol->image_index = func_param(inner, row_of(inner->lw, symbol->type));
    }
}

void captures_leave(Captures *captures)
{
    for (uint32_t i = captures->count; i-- > 0;) captures->symbols[i]->image_index = captures->saved[i];
}

/* ---- the call inside ---- */

static CallInfo *tool_call(Ast *node)
{
    for (;;) {
        switch (node->kind) {
        case AST_CALL_EXPR: {
            CallInfo *call = node->info;
            return call && (call->kind == CALL_TOOL || call->kind == CALL_REMOTE) ? call : NULL;
        }
        case AST_WITHIN_EXPR: node = as_within_expr(node)->value; break;
        case AST_RETRY_EXPR: node = as_retry_expr(node)->value; break;
        default: return NULL;
        }
    }
}

static bool has_retry(Ast *node)
{
    while (node->kind == AST_WITHIN_EXPR) node = as_within_expr(node)->value;
    return node->kind == AST_RETRY_EXPR;
}

static bool may_repeat(const Symbol *tool)
{
    return tool && (((FuncInfo *)tool->info)->tool_flags & (TOOL_READS | TOOL_IDEMPOTENT | TOOL_KEYED));
}

/* ---- the function that undoes ---- */

typedef struct Undo {
    Str step;
    Ast *expr;                           /* as written, or NULL: */
    Symbol *tool;                        /* called with the parameters of the function */
    bool retries;
} Undo;

static void undo_once(Func *f, void *arg)
{
    Undo *undo = arg;
    if (undo->expr) {
        val_free(f, lower_any(f, undo->expr));
        return;
    }
    Lower *lw = f->lw;
    FuncInfo *info = undo->tool->info;
    Arg args[FUNC_PARAMS_MAX];
    for (uint32_t i = 0; i < info->param_count; i++) args[i] = arg_val(val_reg(f, (uint16_t)i));
    uint16_t result = row_of(lw, info->result), count = (uint16_t)info->param_count, func = lw->image->tools[undo->tool->image_index].func;
    Val out;
    if (func == NO_INDEX) out = emit_effect(f, EFFECT_REMOTE_CALL, undo->tool->image_index, tool_name(lw, undo->tool), result, args, count, (Want){ NO_INDEX, NO_REG });
    else out = emit_call(f, func, result, args, count, (Want){ NO_INDEX, NO_REG });
    val_free(f, out);
}

static void report(Func *f, Str step, bool undone, Val why)
{
    Val name = val_text(f, step), ok = val_int(f, TYPE_INDEX_BOOL, undone);
    Arg args[3] = { arg_val(val_reg(f, name.reg)), arg_val(val_reg(f, ok.reg)), undone ? arg_null(TYPE_INDEX_OPT_ERROR) : arg_val(why) };
    emit_note(f, EFFECT_NOTE_COMPENSATED, NO_INDEX, step, args, 3);
    emit(f, OP_COMP_REPORT, name.reg, ok.reg, 0);
    val_free(f, ok);
    val_free(f, name);
    emit(f, OP_RETURN_VOID, 0, 0, 0);
}

static void undo_body(Func *f, Undo *undo)
{
    Ctx ctx;
    Arg step = arg_text(undo->step);
    emit_note(f, EFFECT_NOTE_COMPENSATE, NO_INDEX, undo->step, &step, 1);
    Retry retry = retry_of_compensation();
    ctx_push_try(f, &ctx, CTX_TRY, TRY_CATCH);
    if (undo->retries) retry_around(f, &retry, undo_once, undo);
    else undo_once(f, undo);
    ctx_pop(f, &ctx);
    report(f, undo->step, true, (Val){ 0, 0, false });
    if (!handler_begin(f, &ctx)) return;
    Val why = val_temp(f, TYPE_INDEX_OPT_ERROR);
    emit(f, OP_WRAP, why.reg, ctx.error_reg, 0);
    report(f, undo->step, false, why);
}

static void push_undo(Func *f, uint16_t func, const Arg *args, uint16_t count)
{
    Args given = args_eval(f, args, count);
    emit(f, OP_COMP_PUSH, 0, func, given.base);
    args_free(f, &given);
}

static void compensate_as_written(Func *f, Ast_step_stmt *node, Str step)
{
    CaptureInfo *info = node->head.info;
    Captures captures = { info->symbols, info->count, NULL };
    Func *inner;
    Arg args[FUNC_PARAMS_MAX];
    uint16_t count = (uint16_t)(info->count < FUNC_PARAMS_MAX ? info->count : FUNC_PARAMS_MAX);
    for (uint16_t i = 0; i < count; i++) args[i] = arg_val(val_reg(f, info->symbols[i]->image_index));
    CallInfo *call = tool_call(node->compensate);
    Undo undo = { .step = step, .expr = node->compensate, .retries = !has_retry(node->compensate) && call && may_repeat(call->target) };
    uint16_t func = func_nested(f, FUNC_COMPENSATION, TYPE_INDEX_VOID, 0, node->compensate->span, &inner);
    captures_enter(inner, &captures);
    undo_body(inner, &undo);
    captures_leave(&captures);
    func_end(inner);
    push_undo(f, func, args, count);
}

/* ---- derived from `compensated by` ---- */

/* May be evaluated a second time: gives the same and does nothing. */
static bool is_repeatable(const Ast *node)
{
    switch (node->kind) {
    case AST_NULL_EXPR: case AST_BOOL_EXPR: case AST_INT_EXPR: case AST_DECIMAL_EXPR: case AST_DURATION_EXPR: case AST_DATE_EXPR: case AST_TIMESTAMP_EXPR:
        return true;
    case AST_NAME_EXPR: return !node->symbol || node->symbol->kind == SYMBOL_LOCAL || node->symbol->kind == SYMBOL_PARAM || node->symbol->kind == SYMBOL_MEMBER;
    case AST_FIELD_EXPR: return node->symbol || is_repeatable(((const Ast_field_expr *)node)->object);
    case AST_STRING_EXPR: {
        AstList parts = ((const Ast_string_expr *)node)->parts;
        for (uint32_t i = 0; i < parts.count; i++)
            if (parts.items[i]->kind == AST_INTERP_PART && !is_repeatable(((const Ast_interp_part *)parts.items[i])->value)) return false;
        return true;
    }
    default: return false;
    }
}

static int result_field(const Lower *lw, uint16_t type, Str name)
{
    const ImageType *row = &lw->image->types[type];
    for (int i = 0; row->kind == KIND_RECORD && i < row->field_count; i++)
        if (str_eq(row->fields[i].name, name)) return i;
    return -1;
}

/* Where a parameter of the undoing tool comes from: a field of the result, an argument of the same name, the result as a whole. */
static bool find_source(Func *f, CallInfo *call, Val result, const Symbol *param, bool is_first, Arg *out)
{
    Lower *lw = f->lw;
    uint16_t type = row_of(lw, param->type);
    int field = result_field(lw, result.type, param->name);
    if (field >= 0) {
        Val part = val_temp(f, lw->image->types[result.type].fields[field].type);
        emit(f, OP_GET_FIELD, part.reg, result.reg, (uint16_t)field);
        *out = (Arg){ .kind = ARG_VAL, .val = part, .type = type };
        return true;
    }
    FuncInfo *info = call->target->info;
    for (uint32_t i = 0; i < info->param_count && i < call->arg_count; i++) {
        if (!str_eq(info->params[i]->name, param->name) || !call->args[i]) continue;
        *out = arg_node(call->args[i], type);
        return true;
    }
    if (is_first && result.type == type) {
        *out = arg_val(val_reg(f, result.reg));
        return true;
    }
    Ast *value = param->decl && param->decl->kind == AST_PARAM ? as_param(param->decl)->value : NULL;
    if (value) *out = arg_node(value, type);
    return value != NULL;
}

/* Arguments that the undoing tool will need and that may not be evaluated twice are evaluated now, and given to the call. */
static void give_arguments(Func *f, Ast_step_stmt *node)
{
    CallInfo *call = node->compensate ? NULL : tool_call(node->value);
    FuncInfo *info = call ? call->target->info : NULL;
    if (!info || !info->compensated_by) return;
    FuncInfo *undo = info->compensated_by->info;
    f->given = ARENA_ARRAY(f->lw->arena, Given, info->param_count + 1);
    for (uint32_t i = 0; i < info->param_count && i < call->arg_count; i++) {
        bool needed = false;
        for (uint32_t k = 0; k < undo->param_count; k++) needed |= str_eq(undo->params[k]->name, info->params[i]->name);
        if (!needed || !call->args[i] || is_repeatable(call->args[i])) continue;
        Val v = val_copy(f, lower_any(f, call->args[i]));
        f->given[f->given_count++] = (Given){ call->args[i], v };
    }
}

static void forget_arguments(Func *f)
{
    while (f->given_count) val_free(f, f->given[--f->given_count].val);
}

/* Steps of a plan are called by their tools, so all calls of one share what undoes them. */
static uint16_t undo_declared(Func *f, Ast_step_stmt *node, Str step, Symbol *tool)
{
    Lower *lw = f->lw;
    void *known = lw->metered ? map_find(&lw->undos, step) : NULL;
    if (known) return (uint16_t)((uintptr_t)known - 1);
    Func *inner;
    FuncInfo *info = tool->info;
    Undo undo = { .step = step, .tool = tool, .retries = may_repeat(tool) };
    uint16_t func = func_nested(f, FUNC_COMPENSATION, TYPE_INDEX_VOID, 0, node->head.span, &inner);
    for (uint32_t i = 0; i < info->param_count; i++) func_param(inner, row_of(lw, info->params[i]->type));
    undo_body(inner, &undo);
    func_end(inner);
    if (lw->metered) map_put(&lw->undos, step, (void *)((uintptr_t)func + 1));
    return func;
}

static void compensate_as_declared(Func *f, Ast_step_stmt *node, Str step, Val result)
{
    CallInfo *call = tool_call(node->value);
    Symbol *tool = call ? ((FuncInfo *)call->target->info)->compensated_by : NULL;
    if (!tool || f->dead) return;
    FuncInfo *info = tool->info;
    Arg args[FUNC_PARAMS_MAX];
    for (uint32_t i = 0; i < info->param_count; i++)
        if (!find_source(f, call, result, info->params[i], i == 0, &args[i])) return;
    push_undo(f, undo_declared(f, node, step, tool), args, (uint16_t)info->param_count);
}

/* ---- step and saga ---- */

static Str step_name(Lower *lw, Ast_step_stmt *node)
{
    if (node->name.text.len && !node->head.made) return node->name.text;       /* a made name says nothing to people */
    CallInfo *call = tool_call(node->value);
    return call ? tool_name(lw, call->target) : STR("step");
}

void lower_step(Func *f, Ast_step_stmt *node)
{
    Val result;
    Given *outer = f->given;             /* of a step around this one */
    uint32_t outer_count = f->given_count;
    f->given_count = 0;
    give_arguments(f, node);
    if (node->head.symbol) {
        uint16_t reg = local_new(f, node->head.symbol);
        lower_expr(f, node->value, (Want){ reg_type(f, reg), reg });
        result = val_reg(f, reg);
    } else result = lower_any(f, node->value);
    if (!f->dead) {
        Str step = step_name(f->lw, node);
        at(f, &node->head);
        if (node->compensate) compensate_as_written(f, node, step);
        else compensate_as_declared(f, node, step, result);
        val_free(f, result);
    }
    forget_arguments(f);
    f->given = outer;
    f->given_count = outer_count;
}

static void undo_all(Func *f, Ctx *ctx)
{
    Arg failure = arg_val(val_reg(f, ctx->error_reg));
    emit_note(f, EFFECT_NOTE_SAGA_FAILED, NO_INDEX, STR("saga"), &failure, 1);
    emit(f, OP_SHIELD_ENTER, 0, 0, 0);
    Val more = val_temp(f, TYPE_INDEX_BOOL);
    Label none = label_new(f);
    uint32_t again = func_pc(f);
    emit(f, OP_COMP_NEXT, more.reg, 0, 0);
    emit_jump(f, OP_JF, more.reg, 0, none);
    emit_loop(f, again);
    label_place(f, none);
    val_free(f, more);
    emit(f, OP_SAGA_ABORT, ctx->error_reg, 0, 0);
    emit(f, OP_SHIELD_EXIT, 0, 0, 0);
    emit(f, OP_RAISE, ctx->error_reg, 0, 0);
}

/* The names of steps stay visible after the saga, so its variables belong to the block around it. */
void lower_saga(Func *f, Ast_saga_stmt *node)
{
    Ctx ctx;
    Label done = label_new(f);
    AstList items = as_block(node->body)->items;
    emit(f, OP_SAGA_ENTER, 0, 0, 0);
    ctx_push_try(f, &ctx, CTX_SAGA, TRY_FINALLY);
    for (uint32_t i = 0; i < items.count && !f->dead; i++) lower_stmt(f, items.items[i]);
    ctx_pop(f, &ctx);
    at(f, &node->head);
    emit_cleanup(f, &ctx);
    emit_jump(f, OP_JUMP, 0, 0, done);
    if (handler_begin(f, &ctx)) undo_all(f, &ctx);
    ctx_exits(f, &ctx);
    reg_free(f, ctx.error_reg);
    label_place(f, done);
}
