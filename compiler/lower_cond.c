/* lower_cond.c - operators of two operands, and conditions as jumps.
 *
 * A condition is lowered for its effect on control: `a and b` jumps past b without making a bool, and a comparison of ints is one fused
 * instruction. Only where a bool is asked for as a value is one made.
 */
#include "compiler/lower_internal.h"

/* ---- arithmetic ---- */

typedef struct Arith { Opcode of_int, of_float, of_decimal; } Arith;

static Arith arith_of(BinaryOp op)
{
    switch (op) {
    case BINARY_ADD: return (Arith){ OP_ADD_INT, OP_ADD_FLOAT, OP_ADD_DEC };
    case BINARY_SUB: return (Arith){ OP_SUB_INT, OP_SUB_FLOAT, OP_SUB_DEC };
    case BINARY_MUL: return (Arith){ OP_MUL_INT, OP_MUL_FLOAT, OP_MUL_DEC };
    case BINARY_DIV: return (Arith){ OP_DIV_INT, OP_DIV_FLOAT, OP_DIV_DEC };
    default: return (Arith){ OP_MOD_INT, OP_MOD_INT, OP_MOD_DEC };
    }
}

static Val date_values(Func *f, BinaryOp op, Val a, Val b, Want want)
{
    bool both = a.type == TYPE_INDEX_DATE && b.type == TYPE_INDEX_DATE;
    if (!both && op == BINARY_SUB) {
        Val negated = val_temp(f, b.type);
        emit(f, OP_NEG_INT, negated.reg, b.reg, 0);
        val_free(f, b);
        b = negated;
    }
    bool swapped = a.type != TYPE_INDEX_DATE;            /* duration + date */
    Arg args[2] = { arg_val(swapped ? b : a), arg_val(swapped ? a : b) };
    return emit_builtin(f, both ? BUILTIN_DATE_SUB : BUILTIN_DATE_ADD, both ? TYPE_INDEX_DURATION : TYPE_INDEX_DATE, args, 2, want);
}

static Val emit_three(Func *f, Opcode op, Val a, Val b, uint16_t result, Want want)
{
    Val out = val_out(f, result, want);
    emit(f, op, out.reg, a.reg, b.reg);
    val_free(f, b);
    val_free(f, a);
    return out;
}

Val binary_values(Func *f, BinaryOp op, Val a, Val b, uint16_t result, Want want)
{
    Lower *lw = f->lw;
    TypeKind left = lower_kind(lw, a.type), right = lower_kind(lw, b.type);
    if (left == KIND_STRING) return emit_three(f, OP_CONCAT, a, b, TYPE_INDEX_STRING, want);
    if (left == KIND_LIST || left == KIND_MAP) {
        Arg args[2] = { arg_val(a), arg_val(b) };
        return emit_builtin(f, left == KIND_LIST ? BUILTIN_LIST_CONCAT : BUILTIN_MAP_MERGE, a.type, args, 2, want);
    }
    if ((left == KIND_DATE || right == KIND_DATE) && (op == BINARY_ADD || op == BINARY_SUB)) return date_values(f, op, a, b, want);
    Arith arith = arith_of(op);
    if (left == KIND_DECIMAL || right == KIND_DECIMAL)
        return emit_three(f, arith.of_decimal, convert_to(f, a, TYPE_INDEX_DECIMAL, NO_REG), convert_to(f, b, TYPE_INDEX_DECIMAL, NO_REG), TYPE_INDEX_DECIMAL, want);
    if (left == KIND_FLOAT || right == KIND_FLOAT)
        return emit_three(f, arith.of_float, convert_to(f, a, TYPE_INDEX_FLOAT, NO_REG), convert_to(f, b, TYPE_INDEX_FLOAT, NO_REG), TYPE_INDEX_FLOAT, want);
    return emit_three(f, arith.of_int, a, b, result, want);
}

/* x + 1, x - 1, x * 2 with the number in the instruction. */
static bool immediate_of(const Ast_binary_expr *node, int64_t *imm)
{
    if (node->op != BINARY_ADD && node->op != BINARY_SUB && node->op != BINARY_MUL) return false;
    if (!fold_int(node->right, imm)) return false;
    if (node->op == BINARY_SUB) *imm = -*imm;
    return *imm >= INT16_MIN && *imm <= INT16_MAX;
}

static Val lower_arith(Func *f, Ast_binary_expr *node, Want want)
{
    Lower *lw = f->lw;
    int64_t folded, imm;
    uint16_t result = row_of(lw, node->head.type), left = final_type(lw, node->left);
    if (lower_is_intlike(lw, result) && fold_int(&node->head, &folded)) {
        Val out = val_out(f, result, want);
        load_int(f, out.reg, folded);
        return out;
    }
    if (left == TYPE_INDEX_STRING && node->op == BINARY_ADD) return lower_concat(f, &node->head, want);
    Val a = lower_any(f, node->left);
    if (lower_is_intlike(lw, left) && left != TYPE_INDEX_DATE && lower_is_intlike(lw, result) && immediate_of(node, &imm)) {
        Val out = val_out(f, result, want);
        emit(f, node->op == BINARY_MUL ? OP_MULI_INT : OP_ADDI_INT, out.reg, a.reg, (uint16_t)(int16_t)imm);
        val_free(f, a);
        return out;
    }
    a = pin(f, a, node->left, node->right);
    Val b = lower_any(f, node->right);
    return binary_values(f, (BinaryOp)node->op, a, b, result, want);
}

/* ---- comparison ---- */

Val emit_equal(Func *f, Val a, Val b, Want want)
{
    Lower *lw = f->lw;
    if (a.type != b.type && !f->dead && !(lower_is_intlike(lw, a.type) && lower_is_intlike(lw, b.type))) {
        if (lower_kind(lw, b.type) == KIND_OPT || lower_kind(lw, b.type) == KIND_JSON) a = convert_to(f, a, b.type, NO_REG);
        else b = convert_to(f, b, a.type, NO_REG);
    }
    TypeKind kind = lower_kind(lw, a.type);
    Opcode op = kind_is_intlike(kind) ? OP_EQ_INT : kind == KIND_FLOAT ? OP_EQ_FLOAT : kind == KIND_DECIMAL ? OP_EQ_DEC : kind == KIND_STRING ? OP_EQ_STR : OP_EQ_VAL;
    return emit_three(f, op, a, b, TYPE_INDEX_BOOL, want);
}

/* Orders what has an order: int-like, float, decimal, string. */
static Val emit_order(Func *f, bool or_equal, Val a, Val b, Want want)
{
    TypeKind kind = lower_kind(f->lw, a.type);
    Opcode op = or_equal ? OP_LE_INT : OP_LT_INT;
    if (kind == KIND_FLOAT) op = or_equal ? OP_LE_FLOAT : OP_LT_FLOAT;
    else if (kind == KIND_DECIMAL) op = or_equal ? OP_LE_DEC : OP_LT_DEC;
    else if (kind == KIND_STRING) op = or_equal ? OP_LE_STR : OP_LT_STR;
    return emit_three(f, op, a, b, TYPE_INDEX_BOOL, want);
}

void emit_less(Func *f, uint16_t out, Val a, Val b)
{
    emit_order(f, false, a, b, (Want){ TYPE_INDEX_BOOL, out });
}

static Val lower_order(Func *f, Ast_binary_expr *node, Want want)
{
    Val a = pin(f, lower_any(f, node->left), node->left, node->right), b = lower_any(f, node->right);
    bool or_equal = node->op == BINARY_LE || node->op == BINARY_GE, swap = node->op == BINARY_GT || node->op == BINARY_GE;
    return swap ? emit_order(f, or_equal, b, a, want) : emit_order(f, or_equal, a, b, want);
}

static Val negate(Func *f, Val v, Want want)
{
    Val out = val_out(f, TYPE_INDEX_BOOL, want);
    emit(f, OP_NOT, out.reg, v.reg, 0);
    val_free(f, v);
    return out;
}

static Ast *null_side(Ast_binary_expr *node)
{
    if (node->op != BINARY_EQ && node->op != BINARY_NE) return NULL;
    if (node->right->kind == AST_NULL_EXPR) return node->left;
    return node->left->kind == AST_NULL_EXPR ? node->right : NULL;
}

static Val lower_equal(Func *f, Ast_binary_expr *node, Want want)
{
    bool negated = node->op == BINARY_NE;
    Want plain = negated ? (Want){ TYPE_INDEX_BOOL, NO_REG } : want;
    Ast *tested = null_side(node);
    Val out;
    if (tested) {
        Val v = lower_any(f, tested);
        out = val_out(f, TYPE_INDEX_BOOL, plain);
        emit(f, OP_IS_NULL, out.reg, v.reg, 0);
        val_free(f, v);
    } else {
        Val a = pin(f, lower_any(f, node->left), node->left, node->right);
        out = emit_equal(f, a, lower_any(f, node->right), plain);
    }
    return negated ? negate(f, out, want) : out;
}

static Val lower_in(Func *f, Ast_binary_expr *node, Want want)
{
    Lower *lw = f->lw;
    uint16_t set = final_type(lw, node->right);
    TypeKind kind = lower_kind(lw, set);
    uint16_t item = kind == KIND_LIST ? row_element(lw, set) : TYPE_INDEX_STRING;
    Builtin builtin = kind == KIND_LIST ? BUILTIN_LIST_CONTAINS : kind == KIND_MAP ? BUILTIN_MAP_HAS : BUILTIN_STR_CONTAINS;
    Val value = pin(f, lower_as(f, node->left, item), node->left, node->right), container = lower_as(f, node->right, set);
    Arg args[2] = { arg_val(container), arg_val(value) };
    return emit_builtin(f, builtin, TYPE_INDEX_BOOL, args, 2, want);
}

static Val lower_regex_match(Func *f, Ast_binary_expr *node, Want want)
{
    bool negated = node->op == BINARY_NOT_MATCH;
    Val text = lower_as(f, node->left, TYPE_INDEX_STRING), out = val_out(f, TYPE_INDEX_BOOL, negated ? (Want){ NO_INDEX, NO_REG } : want);
    if (!f->dead) emit(f, OP_MATCH, out.reg, text.reg, regex_index(f->lw, as_regex_expr(node->right)));
    val_free(f, text);
    return negated ? negate(f, out, want) : out;
}

static Val bool_by_jumps(Func *f, Ast *node, Want want)
{
    Label is_false = label_new(f), done = label_new(f);
    Val out = val_out(f, TYPE_INDEX_BOOL, want);
    lower_cond(f, node, is_false, false);
    load_int(f, out.reg, 1);
    emit_jump(f, OP_JUMP, 0, 0, done);
    label_place(f, is_false);
    load_int(f, out.reg, 0);
    label_place(f, done);
    return out;
}

Val lower_binary(Func *f, Ast_binary_expr *node, Want want)
{
    switch (node->op) {
    case BINARY_AND: case BINARY_OR: return bool_by_jumps(f, &node->head, want);
    case BINARY_EQ: case BINARY_NE: return lower_equal(f, node, want);
    case BINARY_LT: case BINARY_LE: case BINARY_GT: case BINARY_GE: return lower_order(f, node, want);
    case BINARY_IN: return lower_in(f, node, want);
    case BINARY_MATCH: case BINARY_NOT_MATCH: return lower_regex_match(f, node, want);
    case BINARY_COALESCE: return lower_coalesce(f, node->left, node->right, row_of(f->lw, node->head.type), want);
    default: return lower_arith(f, node, want);
    }
}

/* ---- conditions as jumps ---- */

static BinaryOp inverse(BinaryOp op)
{
    switch (op) {
    case BINARY_EQ: return BINARY_NE;
    case BINARY_NE: return BINARY_EQ;
    case BINARY_LT: return BINARY_GE;
    case BINARY_LE: return BINARY_GT;
    case BINARY_GT: return BINARY_LE;
    default: return BINARY_LT;
    }
}

static BinaryOp mirrored(BinaryOp op)
{
    switch (op) {
    case BINARY_LT: return BINARY_GT;
    case BINARY_LE: return BINARY_GE;
    case BINARY_GT: return BINARY_LT;
    case BINARY_GE: return BINARY_LE;
    default: return op;
    }
}

static void jump_compare_imm(Func *f, BinaryOp op, Val a, int64_t imm, Label target)
{
    static const Opcode ops[] = { [BINARY_EQ] = OP_JEQI_INT, [BINARY_NE] = OP_JNEI_INT, [BINARY_LT] = OP_JLTI_INT, [BINARY_LE] = OP_JLEI_INT,
                                  [BINARY_GT] = OP_JGTI_INT, [BINARY_GE] = OP_JGEI_INT };
    emit_jump(f, ops[op], a.reg, (uint16_t)(int16_t)imm, target);
    val_free(f, a);
}

static void jump_compare(Func *f, BinaryOp op, Val a, Val b, Label target)
{
    bool swap = op == BINARY_GT || op == BINARY_GE;
    Opcode code = op == BINARY_EQ ? OP_JEQ_INT : op == BINARY_NE ? OP_JNE_INT : op == BINARY_LT || op == BINARY_GT ? OP_JLT_INT : OP_JLE_INT;
    emit_jump(f, code, swap ? b.reg : a.reg, swap ? a.reg : b.reg, target);
    val_free(f, b);
    val_free(f, a);
}

/* A small number known now: a literal, a member of an enum, true or false. */
static bool small_constant(const Ast *node, int64_t *imm)
{
    if (node->want) return false;
    if (node->kind == AST_BOOL_EXPR) *imm = ((const Ast_bool_expr *)node)->value;
    else if ((node->kind == AST_NAME_EXPR || node->kind == AST_FIELD_EXPR) && node->symbol && node->symbol->kind == SYMBOL_MEMBER) *imm = node->symbol->ordinal;
    else if (!fold_int(node, imm)) return false;
    return *imm >= INT16_MIN && *imm <= INT16_MAX;
}

static bool cond_compare_ints(Func *f, Ast_binary_expr *node, Label target, bool jump_if)
{
    Lower *lw = f->lw;
    if (node->op < BINARY_EQ || node->op > BINARY_GE) return false;
    if (!lower_is_intlike(lw, final_type(lw, node->left)) || !lower_is_intlike(lw, final_type(lw, node->right))) return false;
    BinaryOp op = jump_if ? (BinaryOp)node->op : inverse((BinaryOp)node->op);
    int64_t imm;
    if (small_constant(node->right, &imm)) jump_compare_imm(f, op, lower_any(f, node->left), imm, target);
    else if (small_constant(node->left, &imm)) jump_compare_imm(f, mirrored(op), lower_any(f, node->right), imm, target);
    else {
        Val a = pin(f, lower_any(f, node->left), node->left, node->right);
        jump_compare(f, op, a, lower_any(f, node->right), target);
    }
    return true;
}

static void jump_decimal_const(Func *f, BinaryOp op, Val a, Str digits, Label target)
{
    static const Opcode ops[] = { [BINARY_EQ] = OP_JEQK_DEC, [BINARY_NE] = OP_JNEK_DEC, [BINARY_LT] = OP_JLTK_DEC, [BINARY_LE] = OP_JLEK_DEC,
                                  [BINARY_GT] = OP_JGTK_DEC, [BINARY_GE] = OP_JGEK_DEC };
    if (!f->dead) emit_jump(f, ops[op], a.reg, const_bytes(f->lw, TYPE_INDEX_DECIMAL, digits), target);
    val_free(f, a);
}

static bool cond_compare_decimals(Func *f, Ast_binary_expr *node, Label target, bool jump_if)
{
    static const Opcode ops[] = { [BINARY_EQ] = OP_JEQ_DEC, [BINARY_NE] = OP_JNE_DEC, [BINARY_LT] = OP_JLT_DEC, [BINARY_LE] = OP_JLE_DEC, [BINARY_GT] = OP_JLT_DEC, [BINARY_GE] = OP_JLE_DEC };
    Lower *lw = f->lw;
    if (node->op < BINARY_EQ || node->op > BINARY_GE) return false;
    if (final_type(lw, node->left) != TYPE_INDEX_DECIMAL || final_type(lw, node->right) != TYPE_INDEX_DECIMAL) return false;
    BinaryOp op = jump_if ? (BinaryOp)node->op : inverse((BinaryOp)node->op);
    Str digits;
    if (decimal_digits(lw, node->right, &digits)) {
        jump_decimal_const(f, op, lower_any(f, node->left), digits, target);
        return true;
    }
    if (decimal_digits(lw, node->left, &digits)) {
        jump_decimal_const(f, mirrored(op), lower_any(f, node->right), digits, target);
        return true;
    }
    Val a = pin(f, lower_any(f, node->left), node->left, node->right), b = lower_any(f, node->right);
    bool swap = op == BINARY_GT || op == BINARY_GE;
    emit_jump(f, ops[op], swap ? b.reg : a.reg, swap ? a.reg : b.reg, target);
    val_free(f, b);
    val_free(f, a);
    return true;
}

static void cond_both(Func *f, Ast_binary_expr *node, Label target, bool jump_if)
{
    bool decided_by_left = (node->op == BINARY_AND) != jump_if;      /* `and` when false is asked for, `or` when true is */
    if (decided_by_left) {
        lower_cond(f, node->left, target, jump_if);
        lower_cond(f, node->right, target, jump_if);
        return;
    }
    Label skip = label_new(f);
    lower_cond(f, node->left, skip, !jump_if);
    lower_cond(f, node->right, target, jump_if);
    label_place(f, skip);
}

static bool cond_binary(Func *f, Ast_binary_expr *node, Label target, bool jump_if)
{
    if (node->op == BINARY_AND || node->op == BINARY_OR) {
        cond_both(f, node, target, jump_if);
        return true;
    }
    Ast *tested = null_side(node);
    if (tested) {
        Val v = lower_any(f, tested);
        emit_jump(f, (node->op == BINARY_EQ) == jump_if ? OP_JNULL : OP_JNOTNULL, v.reg, 0, target);
        val_free(f, v);
        return true;
    }
    if (cond_compare_ints(f, node, target, jump_if) || cond_compare_decimals(f, node, target, jump_if)) return true;
    if (node->op != BINARY_NE && node->op != BINARY_NOT_MATCH) return false;
    Ast_binary_expr positive = *node;    /* the jump says no, instead of a NOT before it */
    positive.op = node->op == BINARY_NE ? BINARY_EQ : BINARY_MATCH;
    Val v = lower_binary(f, &positive, (Want){ TYPE_INDEX_BOOL, NO_REG });
    emit_jump(f, jump_if ? OP_JF : OP_JT, v.reg, 0, target);
    val_free(f, v);
    return true;
}

void lower_cond(Func *f, Ast *node, Label target, bool jump_if)
{
    if (f->dead) return;
    if (node->kind == AST_UNARY_EXPR && as_unary_expr(node)->op == UNARY_NOT) {
        lower_cond(f, as_unary_expr(node)->operand, target, !jump_if);
        return;
    }
    if (node->kind == AST_BOOL_EXPR) {
        if ((as_bool_expr(node)->value != 0) == jump_if) emit_jump(f, OP_JUMP, 0, 0, target);
        return;
    }
    if (node->kind == AST_CONDITION_EXPR && !node->want) {
        lower_condition_jump(f, as_condition_expr(node), target, jump_if);
        return;
    }
    if (node->kind == AST_BINARY_EXPR && cond_binary(f, as_binary_expr(node), target, jump_if)) return;
    Val v = lower_as(f, node, TYPE_INDEX_BOOL);
    emit_jump(f, jump_if ? OP_JT : OP_JF, v.reg, 0, target);
    val_free(f, v);
}
