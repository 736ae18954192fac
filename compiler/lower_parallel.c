/* lower_parallel.c - branches that run beside each other: blocks, races, and `parallel for`.
 *
 * A branch is a function of its own whose parameters are what it reads from around it. The group gathers the fibers; after the join their
 * results are taken out and the group is forgotten. A deadline on a plain block makes the group soft: it ends branches that are not
 * critical, whose names are then null.
 */
#include "compiler/lower_internal.h"

enum { GROUP_RACE = 1, GROUP_SOFT = 2 };

/* ---- the function of a branch ---- */

static uint16_t branch_func(Func *f, Ast *value, CaptureInfo *info, Symbol *item, uint16_t result, uint8_t flags)
{
    Func *inner;
    Captures captures = { info->symbols, info->count, NULL }, first = { &item, item ? 1 : 0, NULL };
    uint16_t func = func_nested(f, FUNC_BRANCH, result, flags, value->span, &inner);
    captures_enter(inner, &first);
    captures_enter(inner, &captures);
    if (result == TYPE_INDEX_VOID) {
        if (value->kind == AST_BLOCK) lower_block(inner, value);
        else val_free(inner, lower_any(inner, value));
    } else {
        Val v = lower_value_or_stmt(inner, value, (Want){ result, NO_REG });
        emit(inner, OP_RETURN, v.reg, 0, 0);
    }
    captures_leave(&captures);
    captures_leave(&first);
    func_end(inner);
    return func;
}

static void spawn(Func *f, uint16_t group, uint16_t func, const Arg *args, uint16_t count)
{
    Args given = args_eval(f, args, count);
    emit(f, OP_SPAWN, group, func, given.base);
    args_free(f, &given);
}

static uint16_t capture_args(Func *f, const CaptureInfo *info, Arg *args)
{
    uint16_t count = (uint16_t)(info->count < FUNC_PARAMS_MAX ? info->count : FUNC_PARAMS_MAX);
    for (uint16_t i = 0; i < count; i++) args[i] = arg_val(val_reg(f, info->symbols[i]->image_index));
    return count;
}

static Val group_new(Func *f, uint16_t flags, Ast *limit)
{
    Val bound = limit ? lower_as(f, limit, TYPE_INDEX_INT) : val_int(f, TYPE_INDEX_INT, 0), group = val_temp(f, TYPE_INDEX_GROUP);
    emit(f, OP_GROUP_NEW, group.reg, flags, bound.reg);
    val_free(f, bound);
    return group;
}

/* ---- a block of branches ---- */

static uint16_t branch_result(Func *f, const CaptureInfo *info, uint16_t common)
{
    return common != NO_INDEX ? common : row_of(f->lw, info->result);
}

static void spawn_branches(Func *f, Ast_parallel_stmt *node, Val group, uint16_t common)
{
    for (uint32_t i = 0; i < node->branches.count; i++) {
        Ast_branch *branch = as_branch(node->branches.items[i]);
        CaptureInfo *info = branch->head.info;
        Arg args[FUNC_PARAMS_MAX];
        uint8_t flags = branch->critical ? FUNC_FLAG_CRITICAL : 0;
        at(f, &branch->head);
        uint16_t func = branch_func(f, branch->value, info, NULL, branch_result(f, info, common), flags);
        spawn(f, group.reg, func, args, capture_args(f, info, args));
    }
}

static void take_results(Func *f, Ast_parallel_stmt *node, Val group)
{
    Lower *lw = f->lw;
    for (uint32_t i = 0; i < node->branches.count; i++) {
        Ast_branch *branch = as_branch(node->branches.items[i]);
        uint16_t type = branch_result(f, branch->head.info, NO_INDEX);
        if (!branch->head.symbol || type == TYPE_INDEX_VOID) continue;
        if (!branch->critical) type = row_opt(lw, type);
        uint16_t reg = local_new(f, branch->head.symbol);
        Val out = val_out(f, type, (Want){ reg_type(f, reg), reg });
        emit(f, OP_FIBER_RESULT, out.reg, group.reg, (uint16_t)i);
        settle(f, out, (Want){ reg_type(f, reg), reg });
    }
}

void lower_parallel(Func *f, Ast_parallel_stmt *node)
{
    Ctx ctx;
    if (node->race) {
        val_free(f, lower_race(f, node, (Want){ TYPE_INDEX_VOID, NO_REG }));
        return;
    }
    if (node->within) scope_begin(f, &ctx, node->within);
    Val group = group_new(f, node->within ? GROUP_SOFT : 0, node->limit);
    spawn_branches(f, node, group, NO_INDEX);
    at(f, &node->head);
    emit(f, OP_JOIN, group.reg, 0, 0);
    if (node->within) {
        scope_end(f, &ctx);
        scope_reraise(f, &ctx);
    }
    take_results(f, node, group);
    emit(f, OP_GROUP_FREE, group.reg, 0, 0);
    val_free(f, group);
}

/* ---- race ---- */

Val lower_race(Func *f, Ast_parallel_stmt *node, Want want)
{
    Ctx ctx;
    uint16_t type = want.type != NO_INDEX && want.type != TYPE_INDEX_VOID ? want.type : row_of(f->lw, node->head.type);
    Val out = type == TYPE_INDEX_VOID ? (Val){ 0, type, false } : val_out(f, type, want);
    if (node->within) scope_begin(f, &ctx, node->within);
    Val group = group_new(f, GROUP_RACE, node->limit);
    spawn_branches(f, node, group, type);
    at(f, &node->head);
    emit(f, OP_JOIN, group.reg, 0, 0);
    if (node->within) {
        scope_end(f, &ctx);
        scope_reraise(f, &ctx);
    }
    if (type != TYPE_INDEX_VOID) emit(f, OP_RACE_RESULT, out.reg, group.reg, 0);
    emit(f, OP_GROUP_FREE, group.reg, 0, 0);
    val_free(f, group);
    return out;
}

/* ---- parallel for ---- */

/* The captured values are the same for every element: they are put into the arguments once, before the loop. */
static void spawn_each(Func *f, Ast_parallel_for *node, CaptureInfo *info, Val group, uint16_t func, Symbol *item)
{
    Iter it;
    Arg captured[FUNC_PARAMS_MAX];
    uint16_t types[FUNC_PARAMS_MAX + 1], count = capture_args(f, info, captured), item_type = row_of(f->lw, item->type);
    int run;
    types[0] = item_type;
    for (uint16_t i = 0; i < count; i++) types[i + 1] = captured[i].type;
    uint32_t mark = locals_mark(f);
    uint16_t base = registers_new(f, types, (uint16_t)(count + 1), &run);
    for (uint16_t i = 0; i < count; i++) settle(f, captured[i].val, (Want){ captured[i].type, base + 1 + i });
    iter_begin(f, &it, node->source, NULL, NULL);
    settle(f, val_reg(f, it.item), (Want){ item_type, base });
    emit(f, OP_SPAWN, group.reg, func, base);
    iter_end(f, &it);
    locals_free(f, mark);
    run_free(f, run);
}

Val lower_parallel_for(Func *f, Ast_parallel_for *node, Want want)
{
    Ctx ctx;
    Lower *lw = f->lw;
    CaptureInfo *info = node->head.info;
    uint16_t type = row_of(lw, node->head.type), element = lower_kind(lw, type) == KIND_LIST ? row_element(lw, type) : TYPE_INDEX_VOID;
    Val out = type == TYPE_INDEX_VOID ? (Val){ 0, type, false } : val_out(f, type, want);
    uint16_t func = branch_func(f, node->body, info, node->head.symbol, element, FUNC_FLAG_CRITICAL);
    if (node->within) scope_begin(f, &ctx, node->within);
    Val group = group_new(f, 0, node->limit);
    spawn_each(f, node, info, group, func, node->head.symbol);
    at(f, &node->head);
    emit(f, OP_JOIN, group.reg, 0, 0);
    if (node->within) {
        scope_end(f, &ctx);
        scope_reraise(f, &ctx);
    }
    if (type != TYPE_INDEX_VOID) emit(f, OP_GROUP_RESULTS, out.reg, group.reg, 0);
    emit(f, OP_GROUP_FREE, group.reg, 0, 0);
    val_free(f, group);
    return out;
}
