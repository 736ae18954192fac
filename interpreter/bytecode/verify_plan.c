/* verify_plan.c - plans: their rows, which functions are code of plans, and that such code stays where it may be.
 *
 * A plan comes from a language model, so its code is not trusted to be what the compiler makes. Three things are proved here, each in one pass over it:
 *   - It only computes, notes, and calls tools: a whitelist of instructions and effects, nothing of the store, of sessions, of other flows.
 *   - Every call of a tool is charged: the METER of that tool stands before it on every way there, and charges one call only.
 *   - It has no other shape than the compiler's: its functions call and spawn one another without a circle, and it goes back only to call a tool
 *     again or to undo the next step. That it ends is not left to its shape: fuel bounds the rounds of a loop and what is asked for in them.
 * Of an extension all appended functions are code of its plan. Of a whole image it is what the plan's function reaches.
 */
#include "interpreter/bytecode/verify_internal.h"

static bool reaches(uint16_t op) { return op == OP_CALL || op == OP_SPAWN || op == OP_COMP_PUSH; }

/* The function that an instruction of a plan enters as code of the plan: not a tool; NO_INDEX none. Before the bodies are verified: the index may be anything. */
static uint16_t entered(const Image *m, Insn insn)
{
    uint16_t callee = INSN_B(insn);
    if (!reaches(INSN_OP(insn)) || callee >= m->func_count) return NO_INDEX;
    return m->funcs[callee].kind == FUNC_TOOL ? NO_INDEX : callee;
}

/* ---- rows, and whose code is whose ---- */

static Err verify_plan_row(Verifier *v, uint32_t index, uint16_t *row_of)
{
    const ImagePlan *plan = &v->image->plans[index];
    if (plan->func >= v->image->func_count || v->image->funcs[plan->func].kind != FUNC_PLAN) return verify_fail(v, "function %u is not a plan", plan->func);
    if (plan->func < v->first.func) return verify_fail(v, "function %u is one of the base", plan->func);
    if (row_of[plan->func - v->first.func] != NO_INDEX) return verify_fail(v, "function %u has a row already", plan->func);
    if (plan->fuel > PLAN_AMOUNT_MAX || plan->memory_bytes > PLAN_AMOUNT_MAX || plan->tokens > PLAN_AMOUNT_MAX) return verify_fail(v, "an amount is above PLAN_AMOUNT_MAX");
    if (plan->wall_us < 0 || plan->micro_usd < 0 || plan->micro_usd > (int64_t)PLAN_AMOUNT_MAX) return verify_fail(v, "an amount is out of range");
    row_of[plan->func - v->first.func] = (uint16_t)index;
    return ERR_OK;
}

static Err verify_plan_rows(Verifier *v, uint16_t *row_of)
{
    const Image *m = v->image;
    uint32_t first = m->base ? m->base->plan_count : 0;
    Err err = ERR_OK;
    for (uint32_t i = first; i < m->plan_count && !err; i++) {
        verify_at(v, "plan", i, STR(""));
        if (m->base && i > first) return verify_fail(v, "an extension has one plan at most");
        err = verify_plan_row(v, i, row_of);
    }
    for (uint32_t i = v->first.func; i < m->func_count && !err; i++) {
        const ImageFunc *func = &m->funcs[i];
        if (func->kind != FUNC_PLAN) continue;
        verify_at(v, "function", i, func->name);
        if (row_of[i - v->first.func] == NO_INDEX) err = verify_fail(v, "is a plan without a row that bounds it");
        else if (func->param_count || func->result != TYPE_INDEX_JSON) err = verify_fail(v, "a plan goes from nothing to json");
    }
    return err;
}

/* Marks what is reached from the functions on the list, which grows meanwhile. */
static void mark_reached(Verifier *v, uint16_t *list, uint32_t count)
{
    const Image *m = v->image;
    for (uint32_t at = 0; at < count; at++) {
        const ImageFunc *func = &m->funcs[list[at]];
        for (uint32_t pc = 0; pc < func->code_count; pc++) {
            uint16_t callee = entered(m, func->code[pc]);
            if (callee == NO_INDEX || callee < v->first.func || v->of_plan[callee - v->first.func]) continue;
            v->of_plan[callee - v->first.func] = true;
            list[count++] = callee;
        }
    }
}

Err verify_plans(Verifier *v)
{
    const Image *m = v->image;
    uint32_t own = (uint32_t)m->func_count - v->first.func, count = 0;
    if (!m->base && !m->plan_count) {                    /* most images: only that there is no plan without a row */
        for (uint32_t i = 0; i < m->func_count; i++) {
            verify_at(v, "function", i, m->funcs[i].name);
            if (m->funcs[i].kind == FUNC_PLAN) return verify_fail(v, "is a plan without a row that bounds it");
        }
        return ERR_OK;
    }
    uint16_t *row_of = ARENA_ARRAY(v->arena, uint16_t, own + 1), *list = ARENA_ARRAY(v->arena, uint16_t, own + 1);
    memset(row_of, 0xFF, own * sizeof *row_of);
    Err err = verify_plan_rows(v, row_of);
    if (err) return err;
    v->of_plan = ARENA_ARRAY(v->arena, bool, own + 1);
    if (m->base) memset(v->of_plan, true, own);
    for (uint32_t i = 0; i < own && !m->base; i++) {
        if (row_of[i] == NO_INDEX) continue;
        v->of_plan[i] = true;
        list[count++] = (uint16_t)i;
    }
    mark_reached(v, list, count);
    return ERR_OK;
}

/* ---- one function ---- */

typedef struct Confined {
    Verifier *v;
    const ImageFunc *func;
    bool *label;                         /* by pc: a jump or a handler leads here */
    uint16_t credit;                     /* tool whose METER was passed on the way here, NO_INDEX none */
    uint32_t *rounds;                    /* by pc: instructions before it that a loop may be for */
} Confined;

static uint32_t jump_target(const OpInfo *info, Insn insn, uint32_t pc)
{
    return info->sort[1] == SORT_TARGET ? INSN_BC(insn) : insn_rel_target(insn, pc);
}

static void places_find(Confined *c)
{
    const ImageFunc *func = c->func;
    uint32_t rounds = 0;
    c->label = ARENA_ARRAY(c->v->scratch, bool, func->code_count);
    c->rounds = ARENA_ARRAY(c->v->scratch, uint32_t, func->code_count);
    for (uint32_t pc = 0; pc < func->code_count; pc++) {
        c->rounds[pc] = rounds;
        rounds += INSN_OP(func->code[pc]) == OP_METER || INSN_OP(func->code[pc]) == OP_COMP_NEXT;
        const OpInfo *info = opinfo_find(INSN_OP(func->code[pc]));
        if (info->flags & OPFLAG_JUMPS) c->label[jump_target(info, func->code[pc], pc)] = true;
    }
    for (int i = 0; i < func->try_count; i++) c->label[func->tries[i].handler] = true;
}

static bool effect_allowed(uint8_t kind)
{
    switch (kind) {
    case EFFECT_NOW: case EFFECT_RANDOM: case EFFECT_REMOTE_CALL: case EFFECT_APPROVE: case EFFECT_SLEEP_UNTIL: return true;
    default: return effect_class((EffectKind)kind) == EFFECT_CLASS_NOTE;
    }
}

static Err spend_credit(Confined *c, uint16_t tool)
{
    if (c->credit != tool) return verify_fail(c->v, "calls tool %u of a plan without the METER of it right before", tool);
    c->credit = NO_INDEX;
    return ERR_OK;
}

static Err confine_effect(Confined *c, uint16_t index)
{
    const ImageEffect *effect = &c->v->image->effects[index];
    if (!effect_allowed(effect->kind)) return verify_fail(c->v, "code of a plan may not ask for %s", effect_name(effect->kind));
    return effect->kind == EFFECT_REMOTE_CALL ? spend_credit(c, effect->target) : ERR_OK;
}

static Err confine_call(Confined *c, uint16_t op, uint16_t callee)
{
    const ImageFunc *func = &c->v->image->funcs[callee];
    if (op == OP_CALL && func->kind == FUNC_TOOL) return spend_credit(c, func->owner);
    if (func_is_of_plan(c->v, callee)) return ERR_OK;
    return verify_fail(c->v, "code of a plan may not enter function %u `%.*s`", callee, STR_ARG(func->name));
}

/* A loop is there to call a tool again, or to undo one step after the other. */
static Err confine_loop(Confined *c, uint32_t loop)
{
    uint32_t target = INSN_BC(c->func->code[loop]);
    return c->rounds[loop] > c->rounds[target] ? ERR_OK : verify_fail(c->v, "a loop of a plan has neither METER nor COMP_NEXT in it");
}

static Err confine_insn(Confined *c, uint32_t pc)
{
    Insn insn = c->func->code[pc];
    uint16_t op = INSN_OP(insn), b = INSN_B(insn);
    if (c->label[pc]) c->credit = NO_INDEX;
    switch (op) {
    case OP_METER: c->credit = b; return ERR_OK;
    case OP_EFFECT: return confine_effect(c, b);
    case OP_CALL: case OP_SPAWN: case OP_COMP_PUSH: return confine_call(c, op, b);
    case OP_LOOP: return confine_loop(c, pc);
    case OP_FORLOOP: case OP_CALL_PLAN: return verify_fail(c->v, "%s does not stand in code of a plan", opcode_name(op));
    default: return ERR_OK;
    }
}

static Err confine_func(Confined *c, uint32_t index)
{
    Verifier *v = c->v;
    const ImageFunc *func = &v->image->funcs[index];
    c->func = func;
    c->credit = NO_INDEX;
    verify_at(v, "function", index, func->name);
    if (func->kind != FUNC_PLAN && func->kind != FUNC_FN && func->kind != FUNC_BRANCH && func->kind != FUNC_COMPENSATION)
        return verify_fail(v, "code of a plan is of kind fn, branch, compensation or plan alone");
    arena_reuse(v->scratch);
    places_find(c);
    Err err = ERR_OK;
    for (uint32_t pc = 0; pc < func->code_count && !err; pc++) {
        v->place.pc = pc;
        v->place.op = opcode_name(INSN_OP(func->code[pc]));
        err = confine_insn(c, pc);
    }
    v->place.op = NULL;
    return err;
}

/* ---- no circles ---- */

/* Takes away, again and again, functions that nobody enters any more; what stays is a circle. Instructions are the edges. */
static Err verify_no_circle(Verifier *v)
{
    const Image *m = v->image;
    uint32_t own = (uint32_t)m->func_count - v->first.func, count = 0, taken = 0, all = 0;
    uint32_t *entries = ARENA_ARRAY(v->arena, uint32_t, own + 1);
    uint16_t *list = ARENA_ARRAY(v->arena, uint16_t, own + 1);
    for (uint32_t i = 0; i < own; i++) {
        const ImageFunc *func = &m->funcs[v->first.func + i];
        all += v->of_plan[i];
        for (uint32_t pc = 0; v->of_plan[i] && pc < func->code_count; pc++) {
            uint16_t callee = entered(m, func->code[pc]);
            if (callee != NO_INDEX) entries[callee - v->first.func]++;
        }
    }
    for (uint32_t i = 0; i < own; i++)
        if (v->of_plan[i] && !entries[i]) list[count++] = (uint16_t)i;
    for (; taken < count; taken++) {
        const ImageFunc *func = &m->funcs[v->first.func + list[taken]];
        for (uint32_t pc = 0; pc < func->code_count; pc++) {
            uint16_t callee = entered(m, func->code[pc]);
            if (callee != NO_INDEX && !--entries[callee - v->first.func]) list[count++] = (uint16_t)(callee - v->first.func);
        }
    }
    for (uint32_t i = 0; i < own && taken < all; i++) {
        if (!v->of_plan[i] || !entries[i]) continue;
        verify_at(v, "function", v->first.func + i, m->funcs[v->first.func + i].name);
        return verify_fail(v, "code of a plan enters itself in a circle");
    }
    return ERR_OK;
}

Err verify_confinement(Verifier *v)
{
    Confined c = { .v = v };
    Err err = ERR_OK;
    if (!v->of_plan) return ERR_OK;
    for (uint32_t i = v->first.func; i < v->image->func_count && !err; i++)
        if (v->of_plan[i - v->first.func]) err = confine_func(&c, i);
    return err ? err : verify_no_circle(v);
}
