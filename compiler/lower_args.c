/* lower_args.c - arguments into consecutive registers, and the instructions that take them so: calls, built-ins, effects, records. */
#include "compiler/lower_internal.h"

static void arg_into(Func *f, const Arg *arg, uint16_t reg)
{
    switch (arg->kind) {
    case ARG_NODE: lower_expr(f, arg->node, (Want){ arg->type, reg }); break;
    case ARG_VAL: settle(f, arg->val, (Want){ arg->type, reg }); break;
    case ARG_NULL: emit(f, OP_LOADNULL, reg, 0, 0); break;
    case ARG_INT: load_int(f, reg, arg->number); break;
    case ARG_TEXT: load_text(f, reg, arg->text); break;
    }
}

static Val arg_anywhere(Func *f, const Arg *arg)
{
    switch (arg->kind) {
    case ARG_NODE: return lower_as(f, arg->node, arg->type);
    case ARG_VAL: return settle(f, arg->val, (Want){ arg->type, NO_REG });
    default: {
        Val v = val_temp(f, arg->type);
        arg_into(f, arg, v.reg);
        return v;
    }
    }
}

Args args_eval(Func *f, const Arg *args, uint16_t count)
{
    if (count == 0) return (Args){ 0, -1, { 0, 0, false } };
    if (count == 1) {
        Val v = arg_anywhere(f, &args[0]);
        return (Args){ v.reg, -1, v };
    }
    uint16_t *types = ARENA_ARRAY(f->lw->arena, uint16_t, count);
    for (uint16_t i = 0; i < count; i++) types[i] = args[i].type;
    Args out = { 0, -1, { 0, 0, false } };
    out.base = registers_new(f, types, count, &out.run);
    for (uint16_t i = 0; i < count; i++) arg_into(f, &args[i], (uint16_t)(out.base + i));
    return out;
}

void args_free(Func *f, Args *args)
{
    run_free(f, args->run);
    val_free(f, args->single);
}

Val emit_builtin(Func *f, Builtin builtin, uint16_t result, const Arg *args, uint16_t count, Want want)
{
    Args given = args_eval(f, args, count);
    Val out = val_out(f, result, want);
    emit(f, OP_BUILTIN, out.reg, (uint16_t)builtin, given.base);
    args_free(f, &given);
    return out;
}

/* In code of a plan a call of a tool is charged right before it. */
static void emit_meter(Func *f, uint16_t tool)
{
    if (f->lw->metered && tool != NO_INDEX) emit(f, OP_METER, 0, tool, 0);
}

static uint16_t tool_of(const Lower *lw, uint16_t func)
{
    const ImageFunc *row = &lw->image->funcs[func];
    return row->kind == FUNC_TOOL ? row->owner : NO_INDEX;
}

Val emit_effect(Func *f, EffectKind kind, uint16_t target, Str name, uint16_t result, const Arg *args, uint16_t count, Want want)
{
    uint16_t types[FUNC_PARAMS_MAX];
    if (count > FUNC_PARAMS_MAX) {
        lower_limit(f->lw, f->span, "an effect", count, "parameters", FUNC_PARAMS_MAX);
        count = FUNC_PARAMS_MAX;
    }
    for (uint16_t i = 0; i < count; i++) types[i] = args[i].type;
    Args given = args_eval(f, args, count);
    Val out = result == TYPE_INDEX_VOID ? (Val){ 0, TYPE_INDEX_VOID, false } : val_out(f, result, want);
    if (kind == EFFECT_REMOTE_CALL) emit_meter(f, target);
    if (!f->dead) emit(f, OP_EFFECT, out.reg, effect_index(f->lw, kind, target, name, types, count, result), given.base);
    args_free(f, &given);
    return out;
}

void emit_note(Func *f, EffectKind kind, uint16_t target, Str name, const Arg *args, uint16_t count)
{
    emit_effect(f, kind, target, name, TYPE_INDEX_VOID, args, count, (Want){ NO_INDEX, NO_REG });
}

Val emit_call(Func *f, uint16_t func, uint16_t result, const Arg *args, uint16_t count, Want want)
{
    Args given = args_eval(f, args, count);
    Val out = result == TYPE_INDEX_VOID ? (Val){ 0, TYPE_INDEX_VOID, false } : val_out(f, result, want);
    emit_meter(f, tool_of(f->lw, func));
    emit(f, OP_CALL, out.reg, func, given.base);
    args_free(f, &given);
    return out;
}

Val emit_record(Func *f, uint16_t type, const Arg *args, uint16_t count, Want want)
{
    Args given = args_eval(f, args, count);
    Val out = val_out(f, type, want);
    emit(f, OP_NEW_RECORD, out.reg, given.base, type);
    args_free(f, &given);
    return out;
}

void emit_fail(Func *f, ErrorKind kind, Str message)
{
    Val ordinal = val_int(f, TYPE_INDEX_ERROR_KIND, kind), text = val_text(f, message), error = val_temp(f, TYPE_INDEX_ERROR);
    emit(f, OP_NEW_ERROR, error.reg, ordinal.reg, text.reg);
    emit(f, OP_RAISE, error.reg, 0, 0);
    val_free(f, error);
    val_free(f, text);
    val_free(f, ordinal);
}
