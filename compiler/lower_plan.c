/* lower_plan.c - `run plan`: fill in what the plan leaves open, put to the user what costs more, load it, call it, and what it says as a record.
 *
 *     p := PLAN_FILL p, request, allow          with `for`
 *     r := PLAN_CHECK p, allow, limits, true    with `ask`
 *     if r.ok and r.cost.over: ASK, or fail rejected
 *     o := CALL_PLAN (PLAN_LOAD p, allow, limits, ask, over)
 *
 * What it may call and use is written down in the program: only the plan and the request are evaluated.
 */
#include "compiler/lower_internal.h"

enum { LIMIT_STEPS, LIMIT_DEPTH, LIMIT_FANOUT, LIMIT_CALLS, LIMIT_TOOL_CALLS, LIMIT_FUEL, LIMIT_MEMORY, LIMIT_WALL, LIMIT_TOKENS, LIMIT_MONEY, LIMITS };     /* as PlanLimits */

/* The same value for one more use. */
static Val lent(Val v)
{
    v.temp = false;
    return v;
}

static Val allowed_tools(Func *f, const Ast_plan_expr *node)
{
    Val out = val_temp(f, TYPE_INDEX_LIST_STRING);
    emit(f, OP_NEW_LIST, out.reg, 0, 0);
    for (uint32_t i = 0; i < node->allow.count; i++) {
        const Ast_plan_tool *item = as_plan_tool(node->allow.items[i]);
        Val name = val_text(f, lower_printf(f->lw, "%.*s.%.*s", STR_ARG(item->agent.text), STR_ARG(item->tool.text)));
        emit(f, OP_LIST_PUSH, out.reg, name.reg, 0);
        val_free(f, name);
    }
    return out;
}

static int64_t literal(const Ast *number)
{
    int64_t micro = 0;
    if (!number) return 0;
    if (number->kind == AST_DURATION_EXPR) return ((const Ast_duration_expr *)(const void *)number)->us;
    return number->kind == AST_INT_EXPR ? ((const Ast_int_expr *)(const void *)number)->value : money_micro(number, &micro) ? micro : 0;
}

static Val limit_list(Func *f, const Ast_plan_expr *node)
{
    int64_t limits[LIMITS] = { [LIMIT_STEPS] = literal(node->steps), [LIMIT_CALLS] = literal(node->calls), [LIMIT_FUEL] = literal(node->fuel),
                               [LIMIT_MEMORY] = literal(node->memory), [LIMIT_WALL] = literal(node->within), [LIMIT_TOKENS] = literal(node->tokens) };
    if (node->usd) money_micro(node->usd, &limits[LIMIT_MONEY]);
    uint16_t type = row_list(f->lw, TYPE_INDEX_INT);
    Val out = val_temp(f, type);
    emit(f, OP_NEW_LIST, out.reg, 0, 0);
    for (int i = 0; i < LIMITS; i++) {
        Val limit = val_int(f, TYPE_INDEX_INT, limits[i]);
        emit(f, OP_LIST_PUSH, out.reg, limit.reg, 0);
        val_free(f, limit);
    }
    return out;
}

/* What is behind a key of an object; takes `from` when it is a temporary. */
static Val member(Func *f, Val from, const char *key, uint16_t type)
{
    Arg args[2] = { arg_val(from), arg_text(str_of(key)) };
    return convert_to(f, emit_builtin(f, BUILTIN_JSON_GET, TYPE_INDEX_JSON, args, 2, (Want){ TYPE_INDEX_JSON, NO_REG }), type, NO_REG);
}

static Val question(Func *f, Val cost)
{
    Val before = val_text(f, STR("The plan may use more than it was given: ")), exceeds = member(f, lent(cost), "exceeds", TYPE_INDEX_STRING);
    Val after = val_text(f, STR(". Run it all the same?")), out = val_temp(f, TYPE_INDEX_STRING);
    emit(f, OP_CONCAT, out.reg, before.reg, exceeds.reg);
    emit(f, OP_CONCAT, out.reg, out.reg, after.reg);
    val_free(f, after);
    val_free(f, exceeds);
    val_free(f, before);
    return out;
}

/* A plan that is right but for its budget is put to the user. True behind it when they agreed. */
static Val over_budget(Func *f, Val plan, Val allow, Val limits, Val may_ask)
{
    Label end = label_new(f);
    Val over = val_temp(f, TYPE_INDEX_BOOL);
    load_int(f, over.reg, 0);
    Arg args[4] = { arg_val(lent(plan)), arg_val(lent(allow)), arg_val(lent(limits)), arg_val(lent(may_ask)) };
    Val report = emit_effect(f, EFFECT_PLAN_CHECK, NO_INDEX, STR("plan"), TYPE_INDEX_JSON, args, 4, (Want){ TYPE_INDEX_JSON, NO_REG });
    Val ok = member(f, lent(report), "ok", TYPE_INDEX_BOOL);
    emit_jump(f, OP_JF, ok.reg, 0, end);
    val_free(f, ok);
    Val cost = member(f, report, "cost", TYPE_INDEX_JSON), above = member(f, lent(cost), "over", TYPE_INDEX_BOOL);
    emit_jump(f, OP_JF, above.reg, 0, end);
    val_free(f, above);
    Arg asked = arg_val(question(f, cost));
    Val yes = emit_effect(f, EFFECT_ASK, NO_INDEX, STR("ask"), TYPE_INDEX_BOOL, &asked, 1, (Want){ TYPE_INDEX_BOOL, NO_REG });
    Label agreed = label_new(f);
    emit_jump(f, OP_JT, yes.reg, 0, agreed);
    val_free(f, yes);
    emit_fail(f, ERROR_KIND_rejected, STR("the plan may use more than it was given"));
    label_place(f, agreed);
    load_int(f, over.reg, 1);
    label_place(f, end);
    val_free(f, cost);
    return over;
}

static Val filled(Func *f, const Ast_plan_expr *node, Val plan, Val request, Val allow)
{
    uint16_t labels = node->request->type->labels & (LABEL_PII | LABEL_SECRET);
    Arg args[3] = { arg_val(plan), arg_val(request), arg_val(lent(allow)) };
    return emit_effect(f, EFFECT_PLAN_FILL, labels ? labels : NO_INDEX, STR("plan"), TYPE_INDEX_JSON, args, 3, (Want){ TYPE_INDEX_JSON, NO_REG });
}

Val lower_run_plan(Func *f, Ast_plan_expr *node, Want want)
{
    bool asks = node->ask.text.len != 0;
    Val plan = lower_as(f, node->plan, TYPE_INDEX_JSON), request = { 0 };
    if (node->request) {
        plan = pin(f, plan, node->plan, node->request);
        request = lower_as(f, node->request, TYPE_INDEX_STRING);
    }
    at(f, &node->head);
    Val allow = allowed_tools(f, node);
    if (node->request) plan = filled(f, node, plan, request, allow);
    Val limits = limit_list(f, node), may_ask = val_int(f, TYPE_INDEX_BOOL, asks);
    Val over = asks ? over_budget(f, plan, allow, limits, may_ask) : val_int(f, TYPE_INDEX_BOOL, 0);
    Arg args[5] = { arg_val(plan), arg_val(allow), arg_val(limits), arg_val(may_ask), arg_val(over) };
    Val func = emit_effect(f, EFFECT_PLAN_LOAD, NO_INDEX, STR("plan"), TYPE_INDEX_INT, args, 5, (Want){ TYPE_INDEX_INT, NO_REG });
    Val out = val_temp(f, TYPE_INDEX_JSON);
    emit(f, OP_CALL_PLAN, out.reg, func.reg, 0);
    val_free(f, func);
    uint16_t type = row_of(f->lw, node->head.type);
    return convert_to(f, out, type, want.type == type ? want.reg : NO_REG);
}
