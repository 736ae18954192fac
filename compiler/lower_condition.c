/* lower_condition.c - a checked condition as typed code.
 *
 * A value is carried as it comes (a decimal, an optional of an int …) and converted where it is used: to a float, a string, a bool, with what json is checked then.
 * Only what leaves a branch (`?:`, `??`, `x && y`) and a chain that `?.` may cut has one fixed type, that of row_out(). Conditions are jumps as far as they reach.
 * Depth: that of the tree, CONDITION_DEPTH_MAX.
 */
#include "compiler/condition_internal.h"
#include "compiler/lower_internal.h"

#include <float.h>
#include <math.h>

typedef struct Lowering { Func *f; const Ast_condition_expr *expr; } Lowering;

static const Want ANYWHERE = { NO_INDEX, NO_REG };

static Val value_of(Lowering *l, const Cond *node);
static void truth_of(Lowering *l, const Cond *node, Label target, bool jump_if);

/* ---- types of registers ---- */

static uint16_t row_plain(Lowering *l, const CondNote *note)
{
    switch (note->sort) {
    case SORT_BOOL: return TYPE_INDEX_BOOL;
    case SORT_NUMBER: return TYPE_INDEX_FLOAT;
    case SORT_STRING: return TYPE_INDEX_STRING;
    case SORT_LIST: case SORT_MAP: case SORT_RECORD: return row_of(l->f->lw, note->type);
    default: return TYPE_INDEX_JSON;
    }
}

static uint16_t row_maybe(Lowering *l, uint16_t row)
{
    return row == TYPE_INDEX_JSON ? row : row_opt(l->f->lw, row);
}

/* What a branch leaves behind. */
static uint16_t row_out(Lowering *l, const CondNote *note)
{
    uint16_t row = row_plain(l, note);
    return note_nullish(note) ? row_maybe(l, row) : row;
}

static bool is_opt(Lowering *l, Val v) { return lower_kind(l->f->lw, v.type) == KIND_OPT; }
static bool is_json(Val v) { return v.type == TYPE_INDEX_JSON; }

/* ---- conversions ---- */

static Val builtin1(Lowering *l, Builtin builtin, uint16_t result, Val a)
{
    Arg args[1] = { arg_val(a) };
    return emit_builtin(l->f, builtin, result, args, 1, ANYWHERE);
}

static Val builtin2(Lowering *l, Builtin builtin, uint16_t result, Val a, Val b)
{
    Arg args[2] = { arg_val(a), arg_val(b) };
    return emit_builtin(l->f, builtin, result, args, 2, ANYWHERE);
}

static Val from_json(Lowering *l, Val v, uint16_t row)
{
    bool maybe = lower_kind(l->f->lw, row) == KIND_OPT;
    switch (lower_kind(l->f->lw, row_bare(l->f->lw, row))) {
    case KIND_FLOAT: return builtin1(l, maybe ? BUILTIN_JS_MAYBE_NUMBER : BUILTIN_JS_NUMBER, row, v);
    case KIND_STRING: return builtin1(l, maybe ? BUILTIN_JS_MAYBE_STRING : BUILTIN_JS_STRING, row, v);
    default: return builtin1(l, maybe ? BUILTIN_JS_MAYBE_BOOL : BUILTIN_JS_BOOL, row, v);
    }
}

/* To row: one of row_plain() or row_maybe(). What may be null and goes to a plain row is known to be there. */
static Val become(Lowering *l, Val v, uint16_t row)
{
    if (v.type == row || l->f->dead) return v;
    return is_json(v) ? from_json(l, v, row) : convert_to(l->f, v, row, NO_REG);
}

static Val as_number(Lowering *l, const Cond *node) { return become(l, value_of(l, node), TYPE_INDEX_FLOAT); }
static Val as_string(Lowering *l, const Cond *node) { return become(l, value_of(l, node), TYPE_INDEX_STRING); }

static Val number(Lowering *l, double value);

/* A literal such as 1e999: constants are finite. */
static Val infinite(Lowering *l, bool negative)
{
    Val one = number(l, negative ? -1 : 1), zero = number(l, 0);
    return builtin2(l, BUILTIN_JS_DIV, TYPE_INDEX_FLOAT, one, zero);
}

static Val number(Lowering *l, double value)
{
    if (isinf(value)) return infinite(l, value < 0);
    union { double f; uint64_t w; } word = { .f = value };
    Val out = val_temp(l->f, TYPE_INDEX_FLOAT);
    emit(l->f, OP_LOADK, out.reg, const_scalar(l->f->lw, TYPE_INDEX_FLOAT, word.w), 0);
    return out;
}

/* As a template prints it. */
static Val as_text(Lowering *l, const Cond *node)
{
    Val v = value_of(l, node);
    switch (node->note->sort) {
    case SORT_NUMBER: return builtin1(l, BUILTIN_JS_TEXT, TYPE_INDEX_STRING, become(l, v, TYPE_INDEX_FLOAT));
    case SORT_JSON: return builtin1(l, BUILTIN_JS_JSON_TEXT, TYPE_INDEX_STRING, v);
    case SORT_BOOL: return convert_to(l->f, become(l, v, TYPE_INDEX_BOOL), TYPE_INDEX_STRING, NO_REG);
    default: return become(l, v, TYPE_INDEX_STRING);
    }
}

static void into(Lowering *l, const Cond *node, Val out)
{
    if (node->note->sort == SORT_NULL) emit(l->f, OP_LOADNULL, out.reg, 0, 0);
    else val_move(l->f, out.reg, become(l, value_of(l, node), out.type));
}

/* ---- members ---- */

/* The object of a link, there: null leaves by *cut when `?.` says so. */
static Val object_of(Lowering *l, const Cond *node, Label *cut);

static Val link_of(Lowering *l, const Cond *node, Label *cut);

static Val field_of(Lowering *l, const CondNote *note, const CondNote *object_note, Val object)
{
    Val out = val_temp(l->f, row_of(l->f->lw, object_note->type->fields[note->index].type));
    emit(l->f, OP_GET_FIELD, out.reg, object.reg, (uint16_t)note->index);
    val_free(l->f, object);
    return out;
}

static Val length_of(Lowering *l, const CondNote *object_note, Val object)
{
    if (object_note->sort == SORT_STRING) return builtin1(l, BUILTIN_JS_LENGTH, TYPE_INDEX_FLOAT, become(l, object, TYPE_INDEX_STRING));
    Val count = val_temp(l->f, TYPE_INDEX_INT), out = val_temp(l->f, TYPE_INDEX_FLOAT);
    emit(l->f, OP_LIST_LEN, count.reg, object.reg, 0);
    emit(l->f, OP_INT_TO_FLOAT, out.reg, count.reg, 0);
    val_free(l->f, count);
    val_free(l->f, object);
    return out;
}

static Val key_of(Lowering *l, const Cond *node)
{
    return node->kind == COND_MEMBER ? val_text(l->f, node->text) : as_string(l, node->items[1]);
}

static Val from_map(Lowering *l, const Cond *node, Val object)
{
    Val key = key_of(l, node), out = val_temp(l->f, row_maybe(l, row_element(l->f->lw, object.type)));
    emit(l->f, OP_MAP_GET, out.reg, object.reg, key.reg);
    val_free(l->f, key);
    val_free(l->f, object);
    return out;
}

/* ---- methods ---- */

static Val argument(Lowering *l, const Cond *node, uint32_t at, double otherwise)
{
    return at < node->count ? as_number(l, node->items[at]) : number(l, otherwise);
}

static Val builtin3(Lowering *l, Builtin builtin, uint16_t result, Val a, Val b, Val c)
{
    Arg args[3] = { arg_val(a), arg_val(b), arg_val(c) };
    return emit_builtin(l->f, builtin, result, args, 3, ANYWHERE);
}

static Val not_below_zero(Lowering *l, Val found)
{
    Val zero = number(l, 0), out = val_temp(l->f, TYPE_INDEX_BOOL);
    emit(l->f, OP_LE_FLOAT, out.reg, zero.reg, found.reg);
    val_free(l->f, zero);
    val_free(l->f, found);
    return out;
}

static Val list_search(Lowering *l, const Cond *node, Val list, bool includes)
{
    TypeKind element = lower_kind(l->f->lw, row_bare(l->f->lw, row_element(l->f->lw, list.type)));
    CondSort sort = element == KIND_JSON ? node->items[1]->note->sort : element == KIND_BOOL ? SORT_BOOL
                  : element == KIND_INT || element == KIND_FLOAT || element == KIND_DECIMAL ? SORT_NUMBER : SORT_STRING;
    uint16_t row = sort == SORT_NUMBER ? TYPE_INDEX_FLOAT : sort == SORT_BOOL ? TYPE_INDEX_BOOL : TYPE_INDEX_STRING;
    Val sought = become(l, value_of(l, node->items[1]), row), from = argument(l, node, 2, 0);
    if (sort == SORT_NUMBER && includes) return builtin3(l, BUILTIN_JS_LIST_HAS, TYPE_INDEX_BOOL, list, sought, from);
    Builtin builtin = sort == SORT_NUMBER ? BUILTIN_JS_LIST_NUMBER : sort == SORT_BOOL ? BUILTIN_JS_LIST_BOOL : BUILTIN_JS_LIST_STRING;
    Val found = builtin3(l, builtin, TYPE_INDEX_FLOAT, list, sought, from);
    return includes ? not_below_zero(l, found) : found;
}

static Val string_search(Lowering *l, const Cond *node, Val text)
{
    CondMethod method = node->note->method;
    bool ends = method == COND_METHOD_STR_ENDS, starts = method == COND_METHOD_STR_STARTS;
    Val part = as_string(l, node->items[1]), from = argument(l, node, 2, ends ? DBL_MAX : 0);
    Builtin builtin = ends ? BUILTIN_JS_ENDS : starts ? BUILTIN_JS_STARTS : BUILTIN_JS_INDEX_OF;
    Val found = builtin3(l, builtin, ends || starts ? TYPE_INDEX_BOOL : TYPE_INDEX_FLOAT, text, part, from);
    return method == COND_METHOD_STR_INCLUDES ? not_below_zero(l, found) : found;
}

static Val call_of(Lowering *l, const Cond *node, Val object)
{
    CondMethod method = node->note->method;
    switch (method) {
    case COND_METHOD_LIST_INCLUDES: case COND_METHOD_LIST_INDEX_OF: return list_search(l, node, object, method == COND_METHOD_LIST_INCLUDES);
    case COND_METHOD_LIST_JOIN:
        return builtin2(l, BUILTIN_JS_JOIN, TYPE_INDEX_STRING, object, node->count > 1 ? as_string(l, node->items[1]) : val_text(l->f, STR(",")));
    default: break;
    }
    Val text = become(l, object, TYPE_INDEX_STRING);
    switch (method) {
    case COND_METHOD_STR_LOWER: return builtin1(l, BUILTIN_JS_LOWER, TYPE_INDEX_STRING, text);
    case COND_METHOD_STR_UPPER: return builtin1(l, BUILTIN_JS_UPPER, TYPE_INDEX_STRING, text);
    case COND_METHOD_STR_TRIM: return builtin1(l, BUILTIN_JS_TRIM, TYPE_INDEX_STRING, text);
    case COND_METHOD_STR_SLICE: {
        Val from = argument(l, node, 1, 0), to = argument(l, node, 2, DBL_MAX);
        return builtin3(l, BUILTIN_JS_SLICE, TYPE_INDEX_STRING, text, from, to);
    }
    default: return string_search(l, node, text);
    }
}

/* ---- chains ---- */

static Val link_of(Lowering *l, const Cond *node, Label *cut)
{
    const CondNote *note = node->note;
    Val object = object_of(l, node, cut);
    switch (note->access) {
    case ACCESS_FIELD: return field_of(l, note, node->items[0]->note, object);
    case ACCESS_LENGTH: return length_of(l, node->items[0]->note, object);
    case ACCESS_MAP: return from_map(l, node, object);
    case ACCESS_LIST: {
        Val at = as_number(l, node->items[1]);
        return builtin2(l, BUILTIN_JS_AT, row_maybe(l, row_element(l->f->lw, object.type)), object, at);
    }
    case ACCESS_JSON_NAME: {
        Val key = key_of(l, node);
        return builtin2(l, BUILTIN_JS_JSON_MEMBER, TYPE_INDEX_JSON, object, key);
    }
    case ACCESS_JSON_AT: {
        Val at = as_number(l, node->items[1]);
        return builtin2(l, BUILTIN_JS_JSON_AT, TYPE_INDEX_JSON, object, at);
    }
    case ACCESS_METHOD: break;
    }
    return call_of(l, node, object);
}

static Val object_of(Lowering *l, const Cond *node, Label *cut)
{
    const Cond *object = node->items[0];
    const CondNote *of = object->note;
    Val v = cond_continues(object) ? link_of(l, object, cut) : value_of(l, object);
    uint8_t may_be = cond_continues(object) ? of->own : note_nullish(of);
    if (node->optional && (may_be || is_json(v)) && (is_opt(l, v) || is_json(v))) {
        if (*cut == LABEL_NONE) *cut = label_new(l->f);
        emit_jump(l->f, OP_JNULL, v.reg, 0, *cut);
    }
    if (!is_opt(l, v)) return v;
    return convert_to(l->f, v, row_bare(l->f->lw, v.type), NO_REG);
}

/* The whole chain: null where it was cut. */
static Val chain_of(Lowering *l, const Cond *node)
{
    Label cut = LABEL_NONE, done;
    Val v = link_of(l, node, &cut);
    if (cut == LABEL_NONE) return v;
    Val out = val_temp(l->f, row_maybe(l, is_json(v) ? TYPE_INDEX_JSON : row_plain(l, node->note)));
    done = label_new(l->f);
    val_move(l->f, out.reg, become(l, v, out.type));
    emit_jump(l->f, OP_JUMP, 0, 0, done);
    label_place(l->f, cut);
    emit(l->f, OP_LOADNULL, out.reg, 0, 0);
    label_place(l->f, done);
    return out;
}

/* ---- equality ---- */

static Val constant_bool(Lowering *l, bool value)
{
    Val out = val_temp(l->f, TYPE_INDEX_BOOL);
    load_int(l->f, out.reg, value);
    return out;
}

static Val is_null(Lowering *l, Val v)
{
    if (!is_opt(l, v) && !is_json(v)) {
        val_free(l->f, v);
        return constant_bool(l, false);
    }
    Val out = val_temp(l->f, TYPE_INDEX_BOOL);
    emit(l->f, OP_IS_NULL, out.reg, v.reg, 0);
    val_free(l->f, v);
    return out;
}

static Val equal_plain(Lowering *l, Val a, Val b, Val out)
{
    Opcode op = a.type == TYPE_INDEX_FLOAT ? OP_EQ_FLOAT : a.type == TYPE_INDEX_STRING ? OP_EQ_STR : OP_EQ_INT;
    emit(l->f, op, out.reg, a.reg, b.reg);
    val_free(l->f, b);
    val_free(l->f, a);
    return out;
}

/* Of optionals of one type: both null, or neither and equal. */
static Val equal_maybe(Lowering *l, Val a, Val b, uint16_t row)
{
    Func *f = l->f;
    Val out = val_temp(f, TYPE_INDEX_BOOL);
    Label a_null = label_new(f), done = label_new(f);
    load_int(f, out.reg, 0);
    emit_jump(f, OP_JNULL, a.reg, 0, a_null);
    emit_jump(f, OP_JNULL, b.reg, 0, done);
    Val left = val_temp(f, row), right = val_temp(f, row);
    emit(f, OP_UNWRAP, left.reg, a.reg, 0);
    emit(f, OP_UNWRAP, right.reg, b.reg, 0);
    equal_plain(l, left, right, out);
    emit_jump(f, OP_JUMP, 0, 0, done);
    label_place(f, a_null);
    emit(f, OP_IS_NULL, out.reg, b.reg, 0);
    label_place(f, done);
    val_free(f, b);
    val_free(f, a);
    return out;
}

static Val equal_one_maybe(Lowering *l, Val maybe, Val there, uint16_t row)
{
    Func *f = l->f;
    Val out = val_temp(f, TYPE_INDEX_BOOL), bare = val_temp(f, row);
    Label done = label_new(f);
    load_int(f, out.reg, 0);
    emit_jump(f, OP_JNULL, maybe.reg, 0, done);
    emit(f, OP_UNWRAP, bare.reg, maybe.reg, 0);
    equal_plain(l, bare, there, out);
    label_place(f, done);
    val_free(f, maybe);
    return out;
}

static Val equal_values(Lowering *l, const Cond *node)
{
    const CondNote *a = node->items[0]->note, *b = node->items[1]->note;
    if (a->sort == SORT_NULL && b->sort == SORT_NULL) return constant_bool(l, true);
    if (a->sort == SORT_NULL) return is_null(l, value_of(l, node->items[1]));
    if (b->sort == SORT_NULL) return is_null(l, value_of(l, node->items[0]));
    Val left = value_of(l, node->items[0]), right = value_of(l, node->items[1]);
    if (a->sort == SORT_JSON && b->sort == SORT_JSON) return builtin2(l, BUILTIN_JS_JSON_SAME, TYPE_INDEX_BOOL, left, right);
    const CondNote *plain = a->sort == SORT_JSON ? b : a;
    uint16_t row = row_plain(l, plain);
    bool a_maybe = a->sort == SORT_JSON || note_nullish(a), b_maybe = b->sort == SORT_JSON || note_nullish(b);
    left = become(l, left, a_maybe ? row_maybe(l, row) : row);
    right = become(l, right, b_maybe ? row_maybe(l, row) : row);
    if (a_maybe && b_maybe) return equal_maybe(l, left, right, row);
    if (a_maybe) return equal_one_maybe(l, left, right, row);
    if (b_maybe) return equal_one_maybe(l, right, left, row);
    return equal_plain(l, left, right, val_temp(l->f, TYPE_INDEX_BOOL));
}

static Val negated(Lowering *l, Val v)
{
    Val out = val_temp(l->f, TYPE_INDEX_BOOL);
    emit(l->f, OP_NOT, out.reg, v.reg, 0);
    val_free(l->f, v);
    return out;
}

/* ---- order ---- */

static Val ordered(Lowering *l, const Cond *node)
{
    const CondNote *a = node->items[0]->note, *b = node->items[1]->note;
    CondSort sort = a->sort == SORT_JSON ? b->sort : a->sort;
    bool swap = node->op == COND_OP_MORE || node->op == COND_OP_MORE_EQUAL, or_equal = node->op == COND_OP_LESS_EQUAL || node->op == COND_OP_MORE_EQUAL;
    Val left = value_of(l, node->items[0]), right = value_of(l, node->items[1]);
    if (sort != SORT_JSON) {
        uint16_t row = sort == SORT_NUMBER ? TYPE_INDEX_FLOAT : TYPE_INDEX_STRING;
        left = become(l, left, row);
        right = become(l, right, row);
    }
    Val first = swap ? right : left, second = swap ? left : right;
    if (sort == SORT_NUMBER) {                                      /* NaN is neither less nor not less */
        Val out = val_temp(l->f, TYPE_INDEX_BOOL);
        emit(l->f, or_equal ? OP_LE_FLOAT : OP_LT_FLOAT, out.reg, first.reg, second.reg);
        val_free(l->f, right);
        val_free(l->f, left);
        return out;
    }
    Builtin less = sort == SORT_STRING ? BUILTIN_JS_LESS : BUILTIN_JS_JSON_LESS;
    return or_equal ? negated(l, builtin2(l, less, TYPE_INDEX_BOOL, second, first)) : builtin2(l, less, TYPE_INDEX_BOOL, first, second);
}

/* ---- arithmetic and texts ---- */

static Val joined(Lowering *l, const Cond *node)
{
    Val a = as_text(l, node->items[0]), b = as_text(l, node->items[1]), out = val_temp(l->f, TYPE_INDEX_STRING);
    emit(l->f, OP_CONCAT, out.reg, a.reg, b.reg);
    val_free(l->f, b);
    val_free(l->f, a);
    return out;
}

static Val arithmetic(Lowering *l, const Cond *node)
{
    if (node->note->joins) return joined(l, node);
    Val a = as_number(l, node->items[0]), b = as_number(l, node->items[1]);
    if (node->op == COND_OP_DIV) return builtin2(l, BUILTIN_JS_DIV, TYPE_INDEX_FLOAT, a, b);
    if (node->op == COND_OP_REST) return builtin2(l, BUILTIN_JS_REST, TYPE_INDEX_FLOAT, a, b);
    Val out = val_temp(l->f, TYPE_INDEX_FLOAT);
    emit(l->f, node->op == COND_OP_ADD ? OP_ADD_FLOAT : node->op == COND_OP_SUB ? OP_SUB_FLOAT : OP_MUL_FLOAT, out.reg, a.reg, b.reg);
    val_free(l->f, b);
    val_free(l->f, a);
    return out;
}

static Val is_in(Lowering *l, const Cond *node)
{
    Val name = as_string(l, node->items[0]), object = value_of(l, node->items[1]);
    if (!is_json(object)) object = become(l, object, row_plain(l, node->items[1]->note));
    return builtin2(l, is_json(object) ? BUILTIN_JS_JSON_HAS : BUILTIN_MAP_HAS, TYPE_INDEX_BOOL, object, name);
}

static Val template_of(Lowering *l, const Cond *node)
{
    Func *f = l->f;
    Val out = node->count ? as_text(l, node->items[0]) : val_text(f, STR(""));
    for (uint32_t i = 1; i < node->count; i++) {
        Val part = as_text(l, node->items[i]), joint = out.temp ? out : val_temp(f, TYPE_INDEX_STRING);
        emit(f, OP_CONCAT, joint.reg, out.reg, part.reg);
        val_free(f, part);
        out = joint;
    }
    return out;
}

static Val math_of(Lowering *l, const Cond *node)
{
    Val out = as_number(l, node->items[0]);
    switch (node->note->method) {
    case COND_METHOD_MATH_ABS: return builtin1(l, BUILTIN_FLOAT_ABS, TYPE_INDEX_FLOAT, out);
    case COND_METHOD_MATH_FLOOR: return builtin1(l, BUILTIN_JS_FLOOR, TYPE_INDEX_FLOAT, out);
    case COND_METHOD_MATH_CEIL: return builtin1(l, BUILTIN_JS_CEIL, TYPE_INDEX_FLOAT, out);
    case COND_METHOD_MATH_ROUND: return builtin1(l, BUILTIN_JS_ROUND, TYPE_INDEX_FLOAT, out);
    default: break;
    }
    Builtin builtin = node->note->method == COND_METHOD_MATH_MIN ? BUILTIN_JS_MIN : BUILTIN_JS_MAX;
    for (uint32_t i = 1; i < node->count; i++) {
        Val next = as_number(l, node->items[i]);
        out = builtin2(l, builtin, TYPE_INDEX_FLOAT, out, next);
    }
    return out;
}

static Val list_of(Lowering *l, const Cond *node)
{
    Func *f = l->f;
    Val out = val_temp(f, row_of(f->lw, node->note->type));
    uint16_t element = row_element(f->lw, out.type);
    emit(f, OP_NEW_LIST, out.reg, 0, 0);
    for (uint32_t i = 0; i < node->count; i++) {
        Val item = become(l, value_of(l, node->items[i]), element);
        emit(f, OP_LIST_PUSH, out.reg, item.reg, 0);
        val_free(f, item);
    }
    return out;
}

/* ---- branches ---- */

static Val bool_of_jumps(Lowering *l, const Cond *node)
{
    Func *f = l->f;
    Val out = val_temp(f, TYPE_INDEX_BOOL);
    Label no = label_new(f), done = label_new(f);
    truth_of(l, node, no, false);
    load_int(f, out.reg, 1);
    emit_jump(f, OP_JUMP, 0, 0, done);
    label_place(f, no);
    load_int(f, out.reg, 0);
    label_place(f, done);
    return out;
}

static Val choice_of(Lowering *l, const Cond *node)
{
    Func *f = l->f;
    Val out = val_temp(f, row_out(l, node->note));
    Label otherwise = label_new(f), done = label_new(f);
    truth_of(l, node->items[0], otherwise, false);
    into(l, node->items[1], out);
    emit_jump(f, OP_JUMP, 0, 0, done);
    label_place(f, otherwise);
    into(l, node->items[2], out);
    label_place(f, done);
    return out;
}

static Val coalesce_of(Lowering *l, const Cond *node)
{
    Func *f = l->f;
    Val out = val_temp(f, row_out(l, node->note));
    if (node->items[0]->note->sort == SORT_NULL) {
        into(l, node->items[1], out);
        return out;
    }
    Val v = value_of(l, node->items[0]);
    Label is_nothing = label_new(f), done = label_new(f);
    bool maybe = is_opt(l, v) || is_json(v);
    if (maybe) emit_jump(f, OP_JNULL, v.reg, 0, is_nothing);
    val_move(f, out.reg, become(l, v, out.type));
    if (!maybe) return out;                                         /* never null: what stands beside it is never reached */
    emit_jump(f, OP_JUMP, 0, 0, done);
    label_place(f, is_nothing);
    into(l, node->items[1], out);
    label_place(f, done);
    return out;
}

/* `x && x.y` with an object that may be null: null, or what stands behind. */
static Val behind_object(Lowering *l, const Cond *node)
{
    Func *f = l->f;
    Val v = value_of(l, node->items[0]), out = val_temp(f, row_out(l, node->note));
    Label nothing = label_new(f), done = label_new(f);
    if (is_opt(l, v)) emit_jump(f, OP_JNULL, v.reg, 0, nothing);
    bool maybe = is_opt(l, v) && note_nullish(node->items[0]->note);
    into(l, node->items[1], out);
    emit_jump(f, OP_JUMP, 0, 0, done);
    label_place(f, nothing);
    if (maybe) emit(f, OP_LOADNULL, out.reg, 0, 0);
    label_place(f, done);
    val_free(f, v);
    return out;
}

static Val binary_of(Lowering *l, const Cond *node)
{
    switch (node->op) {
    case COND_OP_AND: return sort_is_object(node->items[0]->note->sort) && node->note->sort != SORT_BOOL ? behind_object(l, node) : bool_of_jumps(l, node);
    case COND_OP_OR: return bool_of_jumps(l, node);
    case COND_OP_COALESCE: return coalesce_of(l, node);
    case COND_OP_SAME: case COND_OP_EQUAL: return equal_values(l, node);
    case COND_OP_NOT_SAME: case COND_OP_NOT_EQUAL: return negated(l, equal_values(l, node));
    case COND_OP_LESS: case COND_OP_LESS_EQUAL: case COND_OP_MORE: case COND_OP_MORE_EQUAL: return ordered(l, node);
    case COND_OP_IN: return is_in(l, node);
    default: return arithmetic(l, node);
    }
}

static Val unary_of(Lowering *l, const Cond *node)
{
    if (node->op == COND_OP_NOT) return bool_of_jumps(l, node);
    if (node->op == COND_OP_MINUS && node->items[0]->kind == COND_NUMBER) return number(l, -node->items[0]->number);
    Val v = as_number(l, node->items[0]);
    if (node->op == COND_OP_PLUS) return v;
    Val out = val_temp(l->f, TYPE_INDEX_FLOAT);
    emit(l->f, OP_NEG_FLOAT, out.reg, v.reg, 0);
    val_free(l->f, v);
    return out;
}

static Val value_of(Lowering *l, const Cond *node)
{
    switch (node->kind) {
    case COND_BOOL: return constant_bool(l, node->boolean);
    case COND_NUMBER: return number(l, node->number);
    case COND_STRING: return val_text(l->f, node->text);
    case COND_TEMPLATE: return template_of(l, node);
    case COND_LIST: return list_of(l, node);
    case COND_NAME: case COND_STEP: return lower_any(l->f, l->expr->names.items[node->note->index]);
    case COND_MEMBER: case COND_INDEX: case COND_CALL: return chain_of(l, node);
    case COND_UNARY: return unary_of(l, node);
    case COND_BINARY: return binary_of(l, node);
    case COND_CHOICE: return choice_of(l, node);
    case COND_MATH: return math_of(l, node);
    default: {                                                      /* null by itself */
        Val out = val_temp(l->f, TYPE_INDEX_JSON);
        emit(l->f, OP_LOADNULL, out.reg, 0, 0);
        return out;
    }
    }
}

/* ---- truth ---- */

static void jump_by(Lowering *l, Val v, const CondNote *note, Label target, bool jump_if)
{
    Func *f = l->f;
    if (sort_is_object(note->sort)) {
        if (is_opt(l, v)) emit_jump(f, jump_if ? OP_JNOTNULL : OP_JNULL, v.reg, 0, target);
        else if (jump_if) emit_jump(f, OP_JUMP, 0, 0, target);
    } else {
        v = become(l, v, TYPE_INDEX_BOOL);
        emit_jump(f, jump_if ? OP_JT : OP_JF, v.reg, 0, target);
    }
    val_free(f, v);
}

/* `a && b` jumps when false at either; when true it has to see both. */
static void logic_truth(Lowering *l, const Cond *node, Label target, bool jump_if)
{
    bool either = node->op == COND_OP_OR;
    if (either == jump_if) {
        truth_of(l, node->items[0], target, jump_if);
        truth_of(l, node->items[1], target, jump_if);
        return;
    }
    Label through = label_new(l->f);
    truth_of(l, node->items[0], through, !jump_if);
    truth_of(l, node->items[1], target, jump_if);
    label_place(l->f, through);
}

static void truth_of(Lowering *l, const Cond *node, Label target, bool jump_if)
{
    if (node->kind == COND_UNARY && node->op == COND_OP_NOT) return truth_of(l, node->items[0], target, !jump_if);
    bool logic = node->kind == COND_BINARY && (node->op == COND_OP_AND || node->op == COND_OP_OR) && node->note->sort == SORT_BOOL;
    if (logic) return logic_truth(l, node, target, jump_if);
    if (node->kind == COND_BINARY && (node->op == COND_OP_NOT_SAME || node->op == COND_OP_NOT_EQUAL)) {
        Val v = equal_values(l, node);
        emit_jump(l->f, jump_if ? OP_JF : OP_JT, v.reg, 0, target);
        val_free(l->f, v);
        return;
    }
    jump_by(l, value_of(l, node), node->note, target, jump_if);
}

/* ---- the expression ---- */

Val lower_condition(Func *f, Ast_condition_expr *node, Want want)
{
    const ConditionInfo *info = node->head.info;
    Lowering l = { f, node };
    at(f, &node->head);
    Val v = node->head.type->tag == TYPE_BOOL ? bool_of_jumps(&l, info->tree) : value_of(&l, info->tree);
    return settle(f, v, want);
}

void lower_condition_jump(Func *f, Ast_condition_expr *node, Label target, bool jump_if)
{
    const ConditionInfo *info = node->head.info;
    Lowering l = { f, node };
    at(f, &node->head);
    truth_of(&l, info->tree, target, jump_if);
}
