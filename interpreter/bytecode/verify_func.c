/* verify_func.c - functions: their heads, try ranges and lines, and one pass over their code.
 *
 * An instruction is checked in three steps: what stands in its operands by the sorts of opcodes.def (here), what the sorts cannot
 * say (verify_insn.c), and whether the registers it reads hold a value on every way there (verify_flow.c).
 */
#include "interpreter/bytecode/verify_internal.h"
#include <stdlib.h>

/* ---- heads ---- */

static Err verify_owner(Verifier *v, uint32_t index, const ImageFunc *func)
{
    const Image *m = v->image;
    uint16_t owner = func->owner;
    bool none = owner == NO_INDEX, fits = none;
    switch ((FuncKind)func->kind) {
    case FUNC_TOOL: fits = owner < m->tool_count && m->tools[owner].func == index; break;
    case FUNC_FLOW: fits = owner < m->flow_count && m->flows[owner].func == index; break;
    case FUNC_HANDLER: fits = owner < m->handler_count && m->handlers[owner].func == index; break;
    case FUNC_TEST: fits = none || (owner < m->test_count && m->tests[owner].func == index); break;      /* none: a fixture */
    default: break;
    }
    return fits ? ERR_OK : verify_fail(v, "owner %u does not name this function", owner);
}

static Err verify_registers(Verifier *v, const ImageFunc *func)
{
    if (func->reg_count > FUNC_REGS_MAX) return verify_limit(v, "registers", func->reg_count, "FUNC_REGS_MAX", FUNC_REGS_MAX);
    if (func->param_count > FUNC_PARAMS_MAX) return verify_limit(v, "parameters", func->param_count, "FUNC_PARAMS_MAX", FUNC_PARAMS_MAX);
    if (func->param_count > func->reg_count) return verify_fail(v, "%u parameters do not fit into %u registers", func->param_count, func->reg_count);
    for (int i = 0; i < func->reg_count; i++) {
        bool is_group = func->reg_types[i] == TYPE_INDEX_GROUP && i >= func->param_count;
        if (!is_group && !type_is_value(v, func->reg_types[i])) return verify_fail(v, "register r%d has type %u, which it cannot have", i, func->reg_types[i]);
    }
    return ERR_OK;
}

static Err verify_lines(Verifier *v, const ImageFunc *func)
{
    for (uint32_t i = 0; i < func->line_count; i++) {
        const ImageLine *line = &func->lines[i];
        if (line->pc >= func->code_count || (i && line->pc <= func->lines[i - 1].pc)) return verify_fail(v, "line row %u is out of order", i);
        if (line->file >= v->image->file_count) return verify_fail(v, "line row %u has no such file %u", i, line->file);
    }
    return ERR_OK;
}

static Err verify_head(Verifier *v, uint32_t index, const ImageFunc *func)
{
    enum { FUNC_FLAGS = FUNC_FLAG_CRITICAL | FUNC_FLAG_SECRET_RESULT | FUNC_FLAG_PII_RESULT };
    if (func->kind > FUNC_PLAN) return verify_fail(v, "unknown kind %u", func->kind);
    if (func->flags & ~FUNC_FLAGS) return verify_fail(v, "unknown flags 0x%x", func->flags);
    if (func->agent != NO_INDEX && func->agent >= v->image->agent_count) return verify_fail(v, "agent %u does not exist", func->agent);
    if (!func->code_count) return verify_fail(v, "has no code");
    if (func->code_count > FUNC_CODE_MAX) return verify_limit(v, "instructions", func->code_count, "FUNC_CODE_MAX", FUNC_CODE_MAX);
    Err err = verify_owner(v, index, func);
    if (!err) err = verify_registers(v, func);
    if (!err) err = verify_result_type(v, func->result);
    if (!err) err = verify_lines(v, func);
    return err;
}

Err verify_func_heads(Verifier *v)
{
    Err err = ERR_OK;
    for (uint32_t i = v->first.func; i < v->image->func_count && !err; i++) {
        verify_at(v, "function", i, v->image->funcs[i].name);
        err = verify_head(v, i, &v->image->funcs[i]);
    }
    return err;
}

/* ---- try ranges ---- */

/* Ranges may overlap as they like: the machine takes the first row that covers a pc. Here they are only looked up as they begin. */
static int try_order(const void *a, const void *b)
{
    const ImageTry *x = *(const ImageTry *const *)a, *y = *(const ImageTry *const *)b;
    if (x->from != y->from) return x->from < y->from ? -1 : 1;
    return x < y ? -1 : x > y;
}

static Err verify_try(FuncCheck *f, const ImageTry *t)
{
    const ImageFunc *func = f->func;
    unsigned row = (unsigned)(t - func->tries);
    if (t->kind > TRY_SCOPE) return verify_fail(f->v, "try row %u is of unknown kind %u", row, t->kind);
    if (t->from >= t->to || t->to > func->code_count) return verify_fail(f->v, "try row %u covers no range of the code", row);
    if (t->handler < t->to || t->handler >= func->code_count) return verify_fail(f->v, "handler of try row %u does not stand behind its range", row);
    if (t->error_reg >= func->reg_count || func->reg_types[t->error_reg] != TYPE_INDEX_ERROR) return verify_fail(f->v, "register r%u of try row %u cannot hold an error", t->error_reg, row);
    if (t->kind == TRY_SCOPE && (t->from == 0 || INSN_OP(func->code[t->from - 1]) != OP_SCOPE_ENTER))
        return verify_fail(f->v, "try row %u of kind scope does not begin behind SCOPE_ENTER", row);
    return ERR_OK;
}

static Err verify_tries(FuncCheck *f)
{
    uint16_t count = f->func->try_count;
    f->tries = ARENA_ARRAY(f->v->scratch, const ImageTry *, count + 1);
    for (int i = 0; i < count; i++) {
        Err err = verify_try(f, &f->func->tries[i]);
        if (err) return err;
        f->tries[i] = &f->func->tries[i];
    }
    if (count) qsort(f->tries, count, sizeof *f->tries, try_order);
    return ERR_OK;
}

/* ---- operands ---- */

static const uint32_t class_kinds[SORT_CLASS_COUNT] = {
#define BIT(kind) (1u << KIND_##kind)
    [CLASS_I] = BIT(BOOL) | BIT(INT) | BIT(DATE) | BIT(TIMESTAMP) | BIT(DURATION) | BIT(ENUM),
    [CLASS_B] = BIT(BOOL), [CLASS_F] = BIT(FLOAT), [CLASS_D] = BIT(DECIMAL), [CLASS_S] = BIT(STRING), [CLASS_L] = BIT(LIST), [CLASS_M] = BIT(MAP),
    [CLASS_R] = BIT(RECORD) | BIT(ERROR), [CLASS_O] = BIT(OPT), [CLASS_J] = BIT(JSON), [CLASS_E] = BIT(ERROR),
    [CLASS_X] = ~(BIT(VOID) | BIT(GROUP))
#undef BIT
};
static const char *const class_words[SORT_CLASS_COUNT] = {
    [CLASS_I] = "an int-like word", [CLASS_B] = "a bool", [CLASS_F] = "a float", [CLASS_D] = "a decimal", [CLASS_S] = "a string", [CLASS_L] = "a list",
    [CLASS_M] = "a map", [CLASS_R] = "a record", [CLASS_O] = "an optional", [CLASS_J] = "json", [CLASS_E] = "an error", [CLASS_X] = "a value"
};

static Err verify_register(FuncCheck *f, int operand, OpSort sort)
{
    uint16_t r = insn_operand(f->insn, operand);
    if (r >= f->func->reg_count) return verify_fail(f->v, "register r%u is not there; the function has %u", r, f->func->reg_count);
    TypeKind kind = type_kind(f->v, f->func->reg_types[r]);
    bool group = insn_group_operand(INSN_OP(f->insn)) == operand;      /* a handle lives only in the operands made for it */
    if (group) return kind == KIND_GROUP ? ERR_OK : verify_fail(f->v, "register r%u is %s, expected a group", r, verify_type_text(f->v, f->func->reg_types[r]));
    if (class_kinds[sort_class(sort)] >> kind & 1) return ERR_OK;
    return verify_fail(f->v, "register r%u is %s, expected %s", r, verify_type_text(f->v, f->func->reg_types[r]), class_words[sort_class(sort)]);
}

static Err verify_table_operand(FuncCheck *f, OpSort sort, uint16_t index)
{
    const Image *m = f->v->image;
    struct { const char *what; uint32_t count; } table = { 0 };
    switch (sort) {
    case SORT_CONST: case SORT_REFC: table.what = "constant", table.count = m->const_count; break;
    case SORT_TYPE: table.what = "type", table.count = m->type_count; break;
    case SORT_FUNC: table.what = "function", table.count = m->func_count; break;
    case SORT_EFFECT: table.what = "effect", table.count = m->effect_count; break;
    case SORT_REGEX: table.what = "regex", table.count = m->regex_count; break;
    case SORT_BUILTIN: return builtininfo_find(index) ? ERR_OK : verify_fail(f->v, "built-in 0x%03x is not there", index);
    default: return ERR_OK;
    }
    return index < table.count ? ERR_OK : verify_fail(f->v, "%s %u is not there; the image has %u", table.what, index, table.count);
}

/* A target outside of the code is far away in the direction it may not go, or fails here. */
static Err verify_target(FuncCheck *f, uint32_t target)
{
    uint16_t op = INSN_OP(f->insn);
    bool backward = op == OP_LOOP || op == OP_FORLOOP;
    if (target >= f->func->code_count) return verify_fail(f->v, "target %u is outside of the code", target);
    if (backward && target > f->pc) return verify_fail(f->v, "target %u is not backward", target);
    if (!backward && target <= f->pc) return verify_fail(f->v, "target %u is not forward", target);
    return ERR_OK;
}

static Err verify_plain_operand(FuncCheck *f, int operand)
{
    OpSort sort = (OpSort)f->info->sort[operand];
    uint16_t value = insn_operand(f->insn, operand);
    switch (sort) {
    case SORT_NONE: return value ? verify_fail(f->v, "operand %c is not used and not 0", 'A' + operand) : ERR_OK;
    case SORT_TARGET: return operand == 1 ? verify_target(f, INSN_BC(f->insn)) : ERR_OK;
    case SORT_REL: return verify_target(f, insn_rel_target(f->insn, f->pc));
    default: return verify_table_operand(f, sort, value);
    }
}

/* Arguments, elements and fields are runs of registers: which operand begins one and how long it is. Indexes into tables are checked already. */
static void run_find(FuncCheck *f)
{
    const Image *m = f->v->image;
    Insn insn = f->insn;
    f->run_operand = -1;
    f->run_count = 0;
    f->result_void = false;
    switch (INSN_OP(insn)) {
    case OP_CALL:
        f->result_void = m->funcs[INSN_B(insn)].result == TYPE_INDEX_VOID;    /* fall through */
    case OP_SPAWN: case OP_COMP_PUSH:
        f->run_operand = 2, f->run_count = m->funcs[INSN_B(insn)].param_count;
        break;
    case OP_EFFECT:
        f->result_void = m->effects[INSN_B(insn)].result == TYPE_INDEX_VOID;
        f->run_operand = 2, f->run_count = m->effects[INSN_B(insn)].param_count;
        break;
    case OP_BUILTIN: {
        const BuiltinInfo *info = builtininfo_find(INSN_B(insn));
        Str rest = str_of(info->params), one;
        f->run_operand = 2, f->run_count = info->receiver[0] ? 1 : 0;
        while (signature_next(&rest, &one)) f->run_count++;
        break;
    }
    case OP_NEW_RECORD: f->run_operand = 1, f->run_count = m->types[INSN_C(insn)].field_count; break;
    case OP_NEW_LIST: case OP_CONCATN: f->run_operand = 1, f->run_count = INSN_C(insn); break;
    default: break;
    }
}

static Err verify_register_operands(FuncCheck *f)
{
    Err err = ERR_OK;
    run_find(f);
    for (int i = 0; i < 3 && !err; i++) {
        OpSort sort = (OpSort)f->info->sort[i];
        uint16_t r = insn_operand(f->insn, i);
        if (!sort_is_register(sort)) continue;
        if (i == f->run_operand && f->run_count == 0) continue;
        if (i == 0 && f->result_void) {
            if (r) err = verify_fail(f->v, "operand A is not 0 and there is no result");
        } else if (i == f->run_operand && r + f->run_count > f->func->reg_count)
            err = verify_fail(f->v, "registers r%u to r%u are not there; the function has %u", r, r + f->run_count - 1, f->func->reg_count);
        else err = verify_register(f, i, sort);
    }
    return err;
}

static Err verify_insn(FuncCheck *f)
{
    Verifier *v = f->v;
    f->insn = f->func->code[f->pc];
    f->info = opinfo_find(INSN_OP(f->insn));
    v->place.pc = f->pc;
    v->place.op = f->info ? f->info->name : "?";
    if (!f->info) return verify_fail(v, "unknown instruction 0x%02x", INSN_OP(f->insn));
    Err err = ERR_OK;
    for (int i = 0; i < 3 && !err; i++)
        if (!sort_is_register((OpSort)f->info->sort[i])) err = verify_plain_operand(f, i);
    if (!err) err = verify_register_operands(f);
    if (!err) err = verify_insn_rule(f);
    return err;
}

/* ---- the code ---- */

static Err verify_flow(FuncCheck *f)
{
    Err err = ERR_OK;
    for (f->pc = 0; f->pc < f->func->code_count && !err; f->pc++) {
        f->insn = f->func->code[f->pc];
        f->info = opinfo_find(INSN_OP(f->insn));
        f->v->place.pc = f->pc;
        f->v->place.op = f->info->name;
        err = flow_at(f);
        if (!err) run_find(f);
        if (!err) err = flow_step(f);
    }
    return err;
}

/* Instructions first, since labels are read from jumps whose targets must be good; then the flow of values over the same code. */
static Err verify_code(FuncCheck *f)
{
    Err err = ERR_OK;
    for (f->pc = 0; f->pc < f->func->code_count && !err; f->pc++) {
        while (f->try_next < f->func->try_count && f->tries[f->try_next]->from <= f->pc) f->try_next++;
        err = verify_insn(f);
    }
    if (err) return err;
    if (!(f->info->flags & OPFLAG_ENDS)) return verify_fail(f->v, "the code ends here and control would fall off");
    f->v->place.op = NULL;
    err = flow_begin(f);
    while (!err && flow_round(f)) err = verify_flow(f);
    return err ? err : flow_end(f);
}

static Err verify_body(Verifier *v, const ImageFunc *func)
{
    FuncCheck f = { .v = v, .func = func };
    arena_reuse(v->scratch);
    Err err = verify_tries(&f);
    return err ? err : verify_code(&f);
}

Err verify_func_bodies(Verifier *v)
{
    Err err = ERR_OK;
    for (uint32_t i = v->first.func; i < v->image->func_count && !err; i++) {
        verify_at(v, "function", i, v->image->funcs[i].name);
        err = verify_body(v, &v->image->funcs[i]);
    }
    return err;
}
