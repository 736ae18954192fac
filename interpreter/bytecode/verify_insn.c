/* verify_insn.c - the rules of single instructions that operand sorts cannot say: which types go together.
 *
 * Registers are in range and of their classes when we come here, runs of registers are in range. Words that mean an index
 * (enum ordinals, bools) come only from constants and comparisons that keep them in range, group handles only from GROUP_NEW.
 */
#include "interpreter/bytecode/verify_internal.h"
#include "base/time.h"

static uint16_t reg_type(const FuncCheck *f, uint32_t r) { return f->func->reg_types[r]; }
static TypeKind reg_kind(const FuncCheck *f, uint32_t r) { return type_kind(f->v, reg_type(f, r)); }
static const ImageType *reg_row(const FuncCheck *f, uint32_t r) { return type_row(f->v, reg_type(f, r)); }

static Err expect_type(FuncCheck *f, uint32_t r, uint16_t type)
{
    if (reg_type(f, r) == type) return ERR_OK;
    const char *found = verify_type_text(f->v, reg_type(f, r));
    return verify_fail(f->v, "register r%u is %s, expected %s", r, found, verify_type_text(f->v, type));
}

static Err unless(FuncCheck *f, bool fits, uint32_t r, const char *expected)
{
    return fits ? ERR_OK : verify_fail(f->v, "register r%u is %s, expected %s", r, verify_type_text(f->v, reg_type(f, r)), expected);
}

/* ---- constants and moves ---- */

static Err rule_loadi(FuncCheck *f, uint16_t a)
{
    int32_t value = (int32_t)INSN_BC(f->insn);
    const ImageType *type = reg_row(f, a);
    bool fits = true;
    if (type->kind == KIND_BOOL) fits = value == 0 || value == 1;
    else if (type->kind == KIND_ENUM) fits = value >= 0 && value < type->member_count;
    else if (type->kind == KIND_DATE) fits = value >= DATE_MIN && value <= DATE_MAX;
    return fits ? ERR_OK : verify_fail(f->v, "%d is not a value of %s", value, verify_type_text(f->v, reg_type(f, a)));
}

static Err rule_load_const(FuncCheck *f, uint16_t a, uint16_t b, bool counted)
{
    uint16_t type = f->v->image->consts[b].type;
    if (kind_is_counted(type_kind(f->v, type)) != counted) return verify_fail(f->v, "constant %u is %s", b, counted ? "a scalar" : "not a scalar");
    return expect_type(f, a, type);
}

static Err rule_decimal_const(FuncCheck *f, uint16_t b)
{
    return f->v->image->consts[b].type == TYPE_INDEX_DECIMAL ? ERR_OK : verify_fail(f->v, "constant %u is not a decimal", b);
}

static Err rule_move(FuncCheck *f, uint16_t a, uint16_t b)
{
    uint16_t op = INSN_OP(f->insn);
    if (op != OP_TAKE_REF && kind_is_counted(reg_kind(f, b)) != (op == OP_MOVE_REF)) return unless(f, false, b, op == OP_MOVE ? "a type that is not counted" : "a counted type");
    if (op == OP_TAKE_REF && a == b) return verify_fail(f->v, "takes register r%u from itself", a);
    if (op == OP_TAKE_REF && !kind_is_counted(reg_kind(f, b))) return unless(f, false, b, "a counted type");
    return expect_type(f, a, reg_type(f, b));
}

/* Between words; into an enum only from one with as few members, since a member is looked up unchecked. */
static Err rule_recast(FuncCheck *f, uint16_t a, uint16_t b)
{
    const ImageType *to = reg_row(f, a), *from = reg_row(f, b);
    if (to->kind == KIND_BOOL && from->kind != KIND_BOOL) return unless(f, false, b, "bool");
    if (to->kind == KIND_ENUM && (from->kind != KIND_ENUM || from->member_count > to->member_count)) return unless(f, false, b, "an enum of no more members than the result's");
    return ERR_OK;
}

static bool is_reckoned(TypeKind kind) { return kind == KIND_INT || kind == KIND_DATE || kind == KIND_TIMESTAMP || kind == KIND_DURATION; }
static bool is_formatted(TypeKind kind) { return is_reckoned(kind) || kind == KIND_FLOAT || kind == KIND_DECIMAL; }

static Err rule_format(FuncCheck *f, uint16_t b, uint16_t c)
{
    if (f->v->image->consts[c].type != TYPE_INDEX_STRING) return verify_fail(f->v, "constant %u is not a string", c);
    return unless(f, is_formatted(reg_kind(f, b)), b, "a number or a time");
}

/* ---- values with parts ---- */

static Err expect_null(FuncCheck *f, uint16_t r)
{
    return unless(f, reg_kind(f, r) == KIND_OPT || reg_kind(f, r) == KIND_JSON, r, "an optional or json");
}

static Err expect_opt_of(FuncCheck *f, uint32_t r, uint16_t element)
{
    if (reg_kind(f, r) == KIND_OPT && reg_row(f, r)->element == element) return ERR_OK;
    const char *found = verify_type_text(f->v, reg_type(f, r));
    return verify_fail(f->v, "register r%u is %s, expected an optional of %s", r, found, verify_type_text(f->v, element));
}

/* An element that is optional stays as it is: there is no optional of an optional. */
static Err rule_map_get(FuncCheck *f, uint16_t a, uint16_t element)
{
    return type_kind(f->v, element) == KIND_OPT ? expect_type(f, a, element) : expect_opt_of(f, a, element);
}

static Err rule_new_record(FuncCheck *f, uint16_t a, uint16_t b, uint16_t c)
{
    if (type_kind(f->v, c) != KIND_RECORD) return verify_fail(f->v, "type %u is not a record", c);
    Err err = expect_type(f, a, c);
    const ImageType *type = type_row(f->v, c);
    for (uint32_t i = 0; i < type->field_count && !err; i++) err = expect_type(f, b + i, type->fields[i].type);
    return err;
}

static Err rule_field(FuncCheck *f, uint16_t record, uint16_t field, uint16_t value)
{
    const ImageType *type = reg_row(f, record);
    if (field >= type->field_count) return verify_fail(f->v, "field %u is not there; %s has %u", field, verify_type_text(f->v, reg_type(f, record)), type->field_count);
    return expect_type(f, value, type->fields[field].type);
}

static Err rule_same_run(FuncCheck *f, uint16_t first, uint32_t count, uint16_t type)
{
    Err err = ERR_OK;
    for (uint32_t i = 0; i < count && !err; i++) err = expect_type(f, first + i, type);
    return err;
}

static Err rule_concatn(FuncCheck *f, uint16_t b, uint16_t c)
{
    return c ? rule_same_run(f, b, c, TYPE_INDEX_STRING) : verify_fail(f->v, "concatenates no strings");
}

static Err rule_new_error(FuncCheck *f, uint16_t b)
{
    return expect_type(f, b, TYPE_INDEX_ERROR_KIND);
}

/* ---- calls ---- */

static Err rule_args(FuncCheck *f, uint16_t func_index, uint16_t first)
{
    const ImageFunc *callee = &f->v->image->funcs[func_index];
    Err err = callee->kind == FUNC_TEST && callee->owner != NO_INDEX ? verify_fail(f->v, "function %u is a test and cannot be called", func_index) : ERR_OK;
    if (!err && callee->kind == FUNC_PLAN) err = verify_fail(f->v, "function %u is a plan: CALL_PLAN alone calls it", func_index);
    for (uint32_t i = 0; i < callee->param_count && !err; i++) err = expect_type(f, first + i, callee->reg_types[i]);
    return err;
}

static Err rule_meter(FuncCheck *f, uint16_t tool)
{
    if (!func_is_of_plan(f->v, (uint32_t)(f->func - f->v->image->funcs))) return verify_fail(f->v, "METER stands in code of plans alone");
    return tool < f->v->image->tool_count ? ERR_OK : verify_fail(f->v, "tool %u is not there; the image has %u", tool, f->v->image->tool_count);
}

static Err rule_call(FuncCheck *f, uint16_t a, uint16_t b, uint16_t c)
{
    Err err = rule_args(f, b, c);
    return err || f->result_void ? err : expect_type(f, a, f->v->image->funcs[b].result);
}

static Err rule_effect(FuncCheck *f, uint16_t a, uint16_t b, uint16_t c)
{
    const ImageEffect *effect = &f->v->image->effects[b];
    Err err = ERR_OK;
    for (uint32_t i = 0; i < effect->param_count && !err; i++) err = expect_type(f, c + i, effect->params[i]);
    return err || f->result_void ? err : expect_type(f, a, effect->result);
}

static Err rule_return(FuncCheck *f, uint16_t a)
{
    if (f->func->result == TYPE_INDEX_VOID) return verify_fail(f->v, "returns a value and the function has no result");
    return expect_type(f, a, f->func->result);
}

static Err rule_comp_push(FuncCheck *f, uint16_t b, uint16_t c)
{
    const ImageFunc *callee = &f->v->image->funcs[b];
    if (callee->kind != FUNC_COMPENSATION || callee->result != TYPE_INDEX_VOID) return verify_fail(f->v, "function %u is not a compensation without result", b);
    return rule_args(f, b, c);
}

/* Order, unlike equality, is not there for every type. */
static bool builtin_orders(uint16_t number)
{
    return number == BUILTIN_LIST_SORT || number == BUILTIN_LIST_MIN || number == BUILTIN_LIST_MAX || number == BUILTIN_LIST_ARGSORT;
}

static Err rule_builtin(FuncCheck *f, uint16_t a, uint16_t b, uint16_t c)
{
    const BuiltinInfo *info = builtininfo_find(b);
    uint16_t vars[SIGNATURE_VARS];
    uint32_t r = c;
    signature_vars_init(vars);
    Str rest = str_of(info->params), one = str_of(info->receiver);
    bool more = one.len > 0 || signature_next(&rest, &one);
    for (; more; r++, more = signature_next(&rest, &one))
        if (!signature_match(f->v, one, reg_type(f, r), vars))
            return verify_fail(f->v, "%s: register r%u is %s, expected %.*s", info->id, r, verify_type_text(f->v, reg_type(f, r)), STR_ARG(one));
    if (builtin_orders(b) && !f->v->type_orderable[reg_type(f, c)]) return verify_fail(f->v, "%s: %s has no order", info->id, verify_type_text(f->v, reg_type(f, c)));
    if (signature_match(f->v, str_of(info->result), reg_type(f, a), vars)) return ERR_OK;
    return verify_fail(f->v, "%s: register r%u is %s, expected %s", info->id, a, verify_type_text(f->v, reg_type(f, a)), info->result);
}

/* ---- scopes and groups ---- */

/* One try of kind scope begins at the next pc, or none when the scope is empty. */
static Err rule_scope_enter(FuncCheck *f, uint16_t a)
{
    int found = 0;
    for (uint32_t i = f->try_next; i < f->func->try_count && f->tries[i]->from == f->pc + 1; i++) found += f->tries[i]->kind == TRY_SCOPE;
    if (found > 1) return verify_fail(f->v, "%d try rows of kind scope begin at the next pc", found);
    return expect_type(f, a, TYPE_INDEX_TIMESTAMP);
}

static Err rule_group_new(FuncCheck *f, uint16_t b, uint16_t c)
{
    enum { GROUP_RACE = 1, GROUP_SOFT = 2 };
    if (b & ~(GROUP_RACE | GROUP_SOFT)) return verify_fail(f->v, "unknown kind of group %u", b);
    return expect_type(f, c, TYPE_INDEX_INT);
}

enum { INFO_LAST = 6 };

Err verify_insn_rule(FuncCheck *f)
{
    uint16_t a = INSN_A(f->insn), b = INSN_B(f->insn), c = INSN_C(f->insn);
    Err err = ERR_OK;
    switch ((Opcode)INSN_OP(f->insn)) {
    case OP_LOADI: return rule_loadi(f, a);
    case OP_LOADK: return rule_load_const(f, a, b, false);
    case OP_LOADREF: return rule_load_const(f, a, b, true);
    case OP_LOADNULL: return expect_null(f, a);
    case OP_MOVE: case OP_MOVE_REF: case OP_TAKE_REF: return rule_move(f, a, b);
    case OP_INFO: return b <= INFO_LAST ? ERR_OK : verify_fail(f->v, "run information %u is not there", b);
    case OP_RECAST: return rule_recast(f, a, b);
    case OP_ADD_INT: case OP_SUB_INT: case OP_MUL_INT: case OP_DIV_INT: case OP_MOD_INT: case OP_NEG_INT: case OP_ADDI_INT: case OP_MULI_INT:
    case OP_FLOAT_TO_INT: return unless(f, is_reckoned(reg_kind(f, a)), a, "an int or a time");
    case OP_EQ_VAL:
        err = unless(f, kind_is_counted(reg_kind(f, b)), b, "a counted type");
        return err ? err : expect_type(f, c, reg_type(f, b));
    case OP_CONCATN: return rule_concatn(f, b, c);
    case OP_FORMAT: return rule_format(f, b, c);
    case OP_ENUM_NAME: return unless(f, reg_kind(f, b) == KIND_ENUM, b, "an enum");
    case OP_WRAP: return expect_opt_of(f, a, reg_type(f, b));
    case OP_UNWRAP: return expect_type(f, a, reg_row(f, b)->element);
    case OP_IS_NULL: return expect_null(f, b);
    case OP_NEW_RECORD: return rule_new_record(f, a, b, c);
    case OP_GET_FIELD: return rule_field(f, b, c, a);
    case OP_SET_FIELD: return rule_field(f, a, b, c);
    case OP_NEW_LIST: return rule_same_run(f, b, c, reg_row(f, a)->element);
    case OP_LIST_LEN: return expect_type(f, a, TYPE_INDEX_INT);
    case OP_LIST_GET:
        err = expect_type(f, c, TYPE_INDEX_INT);
        return err ? err : expect_type(f, a, reg_row(f, b)->element);
    case OP_LIST_PUSH: return expect_type(f, b, reg_row(f, a)->element);
    case OP_LIST_SET:
        err = expect_type(f, b, TYPE_INDEX_INT);
        return err ? err : expect_type(f, c, reg_row(f, a)->element);
    case OP_MAP_GET: return rule_map_get(f, a, reg_row(f, b)->element);
    case OP_MAP_SET: return expect_type(f, c, reg_row(f, a)->element);
    case OP_NEW_ERROR: return rule_new_error(f, b);
    case OP_JLTK_DEC: case OP_JLEK_DEC: case OP_JGTK_DEC: case OP_JGEK_DEC: case OP_JEQK_DEC: case OP_JNEK_DEC: return rule_decimal_const(f, b);
    case OP_JNULL: case OP_JNOTNULL: return expect_null(f, a);
    case OP_FORLOOP:
        err = expect_type(f, a, TYPE_INDEX_INT);
        return err ? err : expect_type(f, b, TYPE_INDEX_INT);
    case OP_CALL: return rule_call(f, a, b, c);
    case OP_RETURN: return rule_return(f, a);
    case OP_RETURN_VOID: return f->func->result == TYPE_INDEX_VOID ? ERR_OK : verify_fail(f->v, "returns nothing and the function has a result");
    case OP_BUILTIN: return rule_builtin(f, a, b, c);
    case OP_EFFECT: return rule_effect(f, a, b, c);
    case OP_SCOPE_ENTER: return rule_scope_enter(f, a);
    case OP_GROUP_NEW: return rule_group_new(f, b, c);
    case OP_SPAWN: return rule_args(f, b, c);
    case OP_COMP_PUSH: return rule_comp_push(f, b, c);
    case OP_CALL_PLAN: return expect_type(f, b, TYPE_INDEX_INT);
    case OP_METER: return rule_meter(f, b);
    default: return ERR_OK;              /* the sorts say it all; results of groups: see verify_flow.c */
    }
}
