/* lower_convert.c - from one type to another, where check put a `want`, and where a value only has to be moved.
 *
 * Conversions are decided on rows of the image: numbers widen, a value is wrapped into an optional or taken out of one that is known not to be
 * null, anything goes into json and comes out checked. Lists and records are converted part by part.
 */
#include "compiler/lower_internal.h"

static Val into_opt(Func *f, Val v, uint16_t to, Want want)
{
    Lower *lw = f->lw;
    uint16_t element = row_element(lw, to);
    if (lower_kind(lw, v.type) != KIND_OPT) {
        Val inner = convert_to(f, v, element, NO_REG);
        Val out = val_out(f, to, want);
        emit(f, OP_WRAP, out.reg, inner.reg, 0);
        val_free(f, inner);
        return out;
    }
    Label is_null = label_new(f), done = label_new(f);
    Val out = val_temp(f, to), bare = val_temp(f, row_element(lw, v.type));
    emit_jump(f, OP_JNULL, v.reg, 0, is_null);
    emit(f, OP_UNWRAP, bare.reg, v.reg, 0);
    Val inner = convert_to(f, bare, element, NO_REG);
    emit(f, OP_WRAP, out.reg, inner.reg, 0);
    val_free(f, inner);
    emit_jump(f, OP_JUMP, 0, 0, done);
    label_place(f, is_null);
    emit(f, OP_LOADNULL, out.reg, 0, 0);
    label_place(f, done);
    val_free(f, v);
    return settle(f, out, want);
}

static Val list_parts(Func *f, Val v, uint16_t to, Want want)
{
    Val out = val_temp(f, to);
    emit(f, OP_NEW_LIST, out.reg, 0, 0);
    Val item = val_temp(f, row_element(f->lw, v.type));
    Iter it;
    iter_list(f, &it, v, item.reg);
    Val part = convert_to(f, (Val){ item.reg, item.type, false }, row_element(f->lw, to), NO_REG);
    emit(f, OP_LIST_PUSH, out.reg, part.reg, 0);
    val_free(f, part);
    iter_end(f, &it);
    val_free(f, item);
    return settle(f, out, want);
}

static int field_find(const ImageType *type, Str name)
{
    for (int i = 0; i < type->field_count; i++)
        if (str_eq(type->fields[i].name, name)) return i;
    return -1;
}

static Val record_parts(Func *f, Val v, uint16_t to, Want want)
{
    Lower *lw = f->lw;
    uint16_t count = lw->image->types[to].field_count;
    Arg args[RECORD_FIELDS_MAX];
    Val parts[RECORD_FIELDS_MAX];
    for (uint16_t i = 0; i < count; i++) {
        ImageField field = lw->image->types[to].fields[i];
        int from = field_find(&lw->image->types[v.type], field.name);
        if (from < 0) {
            args[i] = arg_null(field.type);
            continue;
        }
        parts[i] = val_temp(f, lw->image->types[v.type].fields[from].type);
        emit(f, OP_GET_FIELD, parts[i].reg, v.reg, (uint16_t)from);
        args[i] = (Arg){ .kind = ARG_VAL, .val = parts[i], .type = field.type };
    }
    val_free(f, v);
    return emit_record(f, to, args, count, want);
}

static Val one_op(Func *f, Opcode op, Val v, uint16_t to, Want want)
{
    val_free(f, v);                      /* the operand is read before the result is written: it may be the same register */
    Val out = val_out(f, to, want);
    emit(f, op, out.reg, v.reg, 0);
    return out;
}

static Val through_builtin(Func *f, Builtin builtin, Val v, uint16_t to, Want want)
{
    Arg arg = arg_val(v);
    return emit_builtin(f, builtin, to, &arg, 1, want);
}

Val convert_to(Func *f, Val v, uint16_t to, int reg)
{
    Lower *lw = f->lw;
    Want want = { to, reg };
    if (v.type == to || f->dead) return settle(f, v, want);
    TypeKind from = lower_kind(lw, v.type), kind = lower_kind(lw, to);
    if (from == KIND_JSON && kind == KIND_OPT && lower_kind(lw, row_element(lw, to)) != KIND_JSON) return through_builtin(f, BUILTIN_JSON_AS, v, to, want);
    if (kind == KIND_OPT) return into_opt(f, v, to, want);
    if (kind == KIND_JSON) return through_builtin(f, BUILTIN_JSON_OF, v, to, want);
    if (from == KIND_OPT) {
        uint16_t element = row_element(lw, v.type);
        Val bare = one_op(f, OP_UNWRAP, v, element, element == to ? want : (Want){ NO_INDEX, NO_REG });
        return convert_to(f, bare, to, reg);
    }
    if (from == KIND_JSON) return through_builtin(f, BUILTIN_JSON_AS, v, to, want);
    if (kind == KIND_DECIMAL && from == KIND_INT) return one_op(f, OP_INT_TO_DEC, v, to, want);
    if (kind == KIND_DECIMAL && from == KIND_FLOAT) return one_op(f, OP_FLOAT_TO_DEC, v, to, want);
    if (kind == KIND_FLOAT && from == KIND_INT) return one_op(f, OP_INT_TO_FLOAT, v, to, want);
    if (kind == KIND_FLOAT && from == KIND_DECIMAL) return one_op(f, OP_DEC_TO_FLOAT, v, to, want);
    if (kind_is_intlike(kind) && kind_is_intlike(from)) return one_op(f, OP_RECAST, v, to, want);
    if (kind == KIND_STRING) return one_op(f, from == KIND_ENUM ? OP_ENUM_NAME : OP_TO_STR, v, to, want);
    if (kind == KIND_LIST && from == KIND_LIST) return list_parts(f, v, to, want);
    if (kind == KIND_RECORD && from == KIND_RECORD) return record_parts(f, v, to, want);
    Val json = through_builtin(f, BUILTIN_JSON_OF, v, TYPE_INDEX_JSON, (Want){ NO_INDEX, NO_REG });
    return through_builtin(f, BUILTIN_JSON_AS, json, to, want);
}

/* After control left, nothing is emitted: any register will do. */
static Val nowhere(Want want)
{
    return (Val){ want.reg >= 0 ? (uint16_t)want.reg : 0, want.type, false };
}

Val settle(Func *f, Val v, Want want)
{
    if (f->dead) {
        val_free(f, v);
        return want.type == NO_INDEX ? (Val){ 0, v.type, false } : nowhere(want);
    }
    if (want.type != NO_INDEX && v.type != want.type) return convert_to(f, v, want.type, want.reg);
    if (want.reg < 0 || v.reg == want.reg) return v;
    val_move(f, (uint16_t)want.reg, v);
    return (Val){ (uint16_t)want.reg, v.type, false };
}
