/* lower_inline.c - methods of lists and maps that take a lambda: each is a loop in place, the lambda's body its inside.
 *
 * The result grows in a temporary, not where it is wanted: the body may still read the variable that gets it.
 */
#include "compiler/lower_internal.h"

typedef struct Inline {
    Iter it;
    Ast_lambda_expr *lambda;
    uint16_t item;                       /* register of the element */
    uint32_t mark;
} Inline;

static Symbol *lambda_param(const Ast_lambda_expr *lambda, uint32_t i)
{
    return i < lambda->params.count ? lambda->params.items[i]->symbol : NULL;
}

/* Opens the loop over the receiver: (x), (x, index) of a list, (value), (key, value) of a map. */
static void inline_begin(Func *f, Inline *in, Ast *receiver, Ast *lambda, uint32_t first_param)
{
    in->lambda = as_lambda_expr(lambda);
    in->mark = locals_mark(f);
    Symbol *first = lambda_param(in->lambda, first_param), *second = lambda_param(in->lambda, first_param + 1);
    bool is_map = lower_kind(f->lw, final_type(f->lw, receiver)) == KIND_MAP;
    iter_begin(f, &in->it, receiver, first, second);
    in->item = is_map && second ? second->image_index : in->it.item;
}

static void inline_end(Func *f, Inline *in)
{
    iter_end(f, &in->it);
    locals_free(f, in->mark);
}

static Val empty_list(Func *f, uint16_t type)
{
    Val out = val_temp(f, type);
    emit(f, OP_NEW_LIST, out.reg, 0, 0);
    return out;
}

static void push(Func *f, Val list, Val item)
{
    emit(f, OP_LIST_PUSH, list.reg, item.reg, 0);
    val_free(f, item);
}

static Val inline_map(Func *f, CallInfo *call, uint16_t type)
{
    Inline in;
    Val out = empty_list(f, type);
    inline_begin(f, &in, call->args[0], call->args[1], 0);
    push(f, out, lower_as(f, in.lambda->body, row_element(f->lw, type)));
    inline_end(f, &in);
    return out;
}

/* A map keeps its shape: keys as they are, values changed. */
static Val inline_map_map(Func *f, CallInfo *call, uint16_t type)
{
    Inline in;
    Val out = val_temp(f, type);
    emit(f, OP_NEW_MAP, out.reg, 0, 0);
    inline_begin(f, &in, call->args[0], call->args[1], 0);
    Val value = lower_as(f, in.lambda->body, row_element(f->lw, type));
    emit(f, OP_MAP_SET, out.reg, in.it.keys.reg, value.reg);
    val_free(f, value);
    inline_end(f, &in);
    return out;
}

static Val inline_filter(Func *f, CallInfo *call, uint16_t type)
{
    Inline in;
    bool is_map = lower_kind(f->lw, type) == KIND_MAP;
    Val out = val_temp(f, type);
    emit(f, is_map ? OP_NEW_MAP : OP_NEW_LIST, out.reg, 0, 0);
    inline_begin(f, &in, call->args[0], call->args[1], 0);
    lower_cond(f, in.lambda->body, in.it.ctx.continue_label, false);
    if (is_map) emit(f, OP_MAP_SET, out.reg, in.it.keys.reg, in.item);
    else emit(f, OP_LIST_PUSH, out.reg, in.item, 0);
    inline_end(f, &in);
    return out;
}

static Val inline_find(Func *f, CallInfo *call, uint16_t type)
{
    Inline in;
    Val out = val_temp(f, type);
    emit(f, OP_LOADNULL, out.reg, 0, 0);
    inline_begin(f, &in, call->args[0], call->args[1], 0);
    lower_cond(f, in.lambda->body, in.it.ctx.continue_label, false);
    settle(f, val_reg(f, in.item), (Want){ type, out.reg });
    emit_jump(f, OP_JUMP, 0, 0, in.it.end);
    inline_end(f, &in);
    return out;
}

/* any: one that is true decides; all: one that is false. */
static Val inline_decide(Func *f, CallInfo *call, bool decides)
{
    Inline in;
    Val out = val_int(f, TYPE_INDEX_BOOL, !decides);
    inline_begin(f, &in, call->args[0], call->args[1], 0);
    lower_cond(f, in.lambda->body, in.it.ctx.continue_label, !decides);
    load_int(f, out.reg, decides);
    emit_jump(f, OP_JUMP, 0, 0, in.it.end);
    inline_end(f, &in);
    return out;
}

static Val inline_count(Func *f, CallInfo *call)
{
    Inline in;
    Val out = val_int(f, TYPE_INDEX_INT, 0);
    inline_begin(f, &in, call->args[0], call->args[1], 0);
    lower_cond(f, in.lambda->body, in.it.ctx.continue_label, false);
    emit(f, OP_ADDI_INT, out.reg, out.reg, 1);
    inline_end(f, &in);
    return out;
}

static Val zero_of(Func *f, uint16_t type)
{
    Lower *lw = f->lw;
    if (lower_is_intlike(lw, type)) return val_int(f, type, 0);
    Val out = val_temp(f, type);
    if (f->dead) return out;
    if (type == TYPE_INDEX_FLOAT) emit(f, OP_LOADK, out.reg, const_scalar(lw, type, 0), 0);
    else emit(f, OP_LOADREF, out.reg, const_bytes(lw, type, STR("0")), 0);
    return out;
}

static Val inline_sum(Func *f, CallInfo *call, uint16_t type)
{
    Inline in;
    Val out = zero_of(f, type);
    inline_begin(f, &in, call->args[0], call->args[1], 0);
    Val more = lower_as(f, in.lambda->body, type);
    binary_values(f, BINARY_ADD, (Val){ out.reg, type, false }, more, type, (Want){ type, out.reg });
    inline_end(f, &in);
    return out;
}

/* min_by, max_by: the first element whose key is the smallest or largest. */
static Val inline_extreme(Func *f, CallInfo *call, uint16_t type, bool largest)
{
    Inline in;
    Lower *lw = f->lw;
    Ast *body = as_lambda_expr(call->args[1])->body;
    Val best = val_temp(f, type), best_key = val_temp(f, final_type(lw, body));
    emit(f, OP_LOADNULL, best.reg, 0, 0);
    if (lower_kind(lw, best_key.type) == KIND_STRING) load_text(f, best_key.reg, STR(""));
    inline_begin(f, &in, call->args[0], call->args[1], 0);
    Label first = label_new(f);
    Val key = val_copy(f, lower_as(f, body, best_key.type)), less = val_temp(f, TYPE_INDEX_BOOL);
    emit_jump(f, OP_JNULL, best.reg, 0, first);
    Val a = { key.reg, key.type, false }, b = { best_key.reg, key.type, false };
    emit_less(f, less.reg, largest ? b : a, largest ? a : b);
    emit_jump(f, OP_JF, less.reg, 0, in.it.ctx.continue_label);
    label_place(f, first);
    val_move(f, best_key.reg, key);
    settle(f, val_reg(f, in.item), (Want){ type, best.reg });
    val_free(f, less);
    inline_end(f, &in);
    val_free(f, best_key);
    return best;
}

static Val inline_sort(Func *f, CallInfo *call, uint16_t type)
{
    Ast_lambda_expr *lambda = as_lambda_expr(call->args[1]);
    uint32_t mark = locals_mark(f);
    Val rows = val_copy(f, lower_as(f, call->args[0], type));
    uint16_t row = local_new(f, lambda_param(lambda, 0));
    Val out = sort_by(f, rows, row, lambda->body, false);
    locals_free(f, mark);
    return out;
}

/* A map from key to the list of what has it. */
static Val inline_group(Func *f, CallInfo *call, uint16_t type)
{
    Inline in;
    Lower *lw = f->lw;
    Val out = val_temp(f, type), found = val_temp(f, row_opt(lw, row_element(lw, type))), group = val_temp(f, row_element(lw, type));
    emit(f, OP_NEW_MAP, out.reg, 0, 0);
    inline_begin(f, &in, call->args[0], call->args[1], 0);
    Label fresh = label_new(f), add = label_new(f);
    Val key = lower_as(f, in.lambda->body, TYPE_INDEX_STRING);
    emit(f, OP_MAP_GET, found.reg, out.reg, key.reg);
    emit_jump(f, OP_JNULL, found.reg, 0, fresh);
    emit(f, OP_UNWRAP, group.reg, found.reg, 0);
    emit_jump(f, OP_JUMP, 0, 0, add);
    label_place(f, fresh);
    emit(f, OP_NEW_LIST, group.reg, 0, 0);
    label_place(f, add);
    emit(f, OP_LIST_PUSH, group.reg, in.item, 0);
    emit(f, OP_MAP_SET, out.reg, key.reg, group.reg);
    val_free(f, key);
    inline_end(f, &in);
    val_free(f, group);
    val_free(f, found);
    return out;
}

static Val inline_flat_map(Func *f, CallInfo *call, uint16_t type)
{
    Inline in;
    Iter inner;
    Val out = empty_list(f, type), item = val_temp(f, row_element(f->lw, type));
    inline_begin(f, &in, call->args[0], call->args[1], 0);
    iter_list(f, &inner, lower_as(f, in.lambda->body, type), item.reg);
    emit(f, OP_LIST_PUSH, out.reg, item.reg, 0);
    iter_end(f, &inner);
    inline_end(f, &in);
    val_free(f, item);
    return out;
}

/* reduce(first, (so_far, x) => …): the arguments are receiver, first, lambda in whichever order the last two were written. */
static Val inline_reduce(Func *f, CallInfo *call, uint16_t type)
{
    Inline in;
    bool lambda_last = call->args[2]->kind == AST_LAMBDA_EXPR;
    Ast *first = call->args[lambda_last ? 1 : 2], *lambda = call->args[lambda_last ? 2 : 1];
    uint32_t mark = locals_mark(f);
    Symbol *so_far = lambda_param(as_lambda_expr(lambda), 0);
    uint16_t reg = local_new(f, so_far);
    lower_expr(f, first, (Want){ reg_type(f, reg), reg });
    inline_begin(f, &in, call->args[0], lambda, 1);
    lower_expr(f, in.lambda->body, (Want){ reg_type(f, reg), reg });
    inline_end(f, &in);
    Val out = val_temp(f, type);
    settle(f, val_reg(f, reg), (Want){ type, out.reg });
    locals_free(f, mark);
    return out;
}

static Val inline_value(Func *f, CallInfo *call, uint16_t type)
{
    switch (call->method) {
    case INLINE_MAP: return lower_kind(f->lw, type) == KIND_MAP ? inline_map_map(f, call, type) : inline_map(f, call, type);
    case INLINE_FILTER: return inline_filter(f, call, type);
    case INLINE_FIND: return inline_find(f, call, type);
    case INLINE_ANY: return inline_decide(f, call, true);
    case INLINE_ALL: return inline_decide(f, call, false);
    case INLINE_COUNT: return inline_count(f, call);
    case INLINE_SUM_BY: return inline_sum(f, call, type);
    case INLINE_SORT_BY: return inline_sort(f, call, type);
    case INLINE_MIN_BY: return inline_extreme(f, call, type, false);
    case INLINE_MAX_BY: return inline_extreme(f, call, type, true);
    case INLINE_GROUP_BY: return inline_group(f, call, type);
    case INLINE_FLAT_MAP: return inline_flat_map(f, call, type);
    case INLINE_REDUCE: return inline_reduce(f, call, type);
    }
    return (Val){ 0, type, false };
}

Val lower_inline(Func *f, Ast *node, CallInfo *call, Want want)
{
    uint16_t type = row_of(f->lw, node->type);
    Val out = inline_value(f, call, type);
    return settle(f, out, (Want){ type, want.type == type ? want.reg : NO_REG });
}
