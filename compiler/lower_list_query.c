/* lower_list_query.c - `from x in list`: the same words as over a table, as loops; and sorting by a key.
 *
 * where and select are one loop when nothing orders; otherwise rows are gathered, sorted once per key from the last to the first (each sort is
 * stable, so the first key decides), cut, and mapped.
 */
#include "compiler/lower_internal.h"

static Val empty_list(Func *f, uint16_t type)
{
    Val out = val_temp(f, type);
    emit(f, OP_NEW_LIST, out.reg, 0, 0);
    return out;
}

static Val reversed(Func *f, Val list)
{
    Arg arg = arg_val(list);
    return emit_builtin(f, BUILTIN_LIST_REVERSE, list.type, &arg, 1, (Want){ NO_INDEX, NO_REG });
}

static Val keys_of(Func *f, Val rows, uint16_t row_reg, Ast *key)
{
    Iter it;
    uint16_t type = final_type(f->lw, key);
    Val keys = empty_list(f, row_list(f->lw, type));
    iter_list(f, &it, (Val){ rows.reg, rows.type, false }, row_reg);
    Val one = lower_as(f, key, type);
    emit(f, OP_LIST_PUSH, keys.reg, one.reg, 0);
    val_free(f, one);
    iter_end(f, &it);
    return keys;
}

/* Downward is upward on the reversed rows, reversed: equal rows keep their order. */
Val sort_by(Func *f, Val rows, uint16_t row_reg, Ast *key, bool descending)
{
    Iter it;
    if (descending) rows = reversed(f, rows);
    Arg keys = arg_val(keys_of(f, rows, row_reg, key));
    Val order = emit_builtin(f, BUILTIN_LIST_ARGSORT, row_list(f->lw, TYPE_INDEX_INT), &keys, 1, (Want){ NO_INDEX, NO_REG });
    Val sorted = empty_list(f, rows.type), index = val_temp(f, TYPE_INDEX_INT), item = val_temp(f, row_element(f->lw, rows.type));
    iter_list(f, &it, order, index.reg);
    emit(f, OP_LIST_GET, item.reg, rows.reg, index.reg);
    emit(f, OP_LIST_PUSH, sorted.reg, item.reg, 0);
    iter_end(f, &it);
    val_free(f, item);
    val_free(f, index);
    val_free(f, rows);
    return descending ? reversed(f, sorted) : sorted;
}

static void unless_room(Func *f, Val out, Val limit, Label end)
{
    Val length = val_temp(f, TYPE_INDEX_INT);
    emit(f, OP_LIST_LEN, length.reg, out.reg, 0);
    emit_jump(f, OP_JLE_INT, limit.reg, length.reg, end);
    val_free(f, length);
}

/* One pass: rows that pass the condition, or what is selected of them. */
static Val gather(Func *f, Val source, uint16_t row_reg, Ast *where, Ast *select, Val *limit, uint16_t type)
{
    Iter it;
    Val out = empty_list(f, type);
    iter_list(f, &it, source, row_reg);
    if (limit) unless_room(f, out, *limit, it.end);
    if (where) lower_cond(f, where, it.ctx.continue_label, false);
    Val item = select ? lower_as(f, select, row_element(f->lw, type)) : val_reg(f, row_reg);
    emit(f, OP_LIST_PUSH, out.reg, item.reg, 0);
    val_free(f, item);
    iter_end(f, &it);
    return out;
}

Val lower_from_list(Func *f, Ast_from_expr *node, QueryInfo *info, Want want)
{
    Lower *lw = f->lw;
    uint32_t mark = locals_mark(f);
    uint16_t result = row_of(lw, node->head.type);
    Val source = lower_any(f, node->source);
    if (!source.temp) source = val_copy(f, source);
    uint16_t row = local_new(f, info->row);
    Val out, limit = { 0, 0, false };
    if (node->limit) limit = val_copy(f, lower_as(f, node->limit, TYPE_INDEX_INT));
    if (!node->order.count) out = gather(f, source, row, node->where, node->select, node->limit ? &limit : NULL, result);
    else {
        uint16_t rows_type = source.type;
        out = gather(f, source, row, node->where, NULL, NULL, rows_type);
        for (uint32_t i = node->order.count; i-- > 0;)
            out = sort_by(f, out, row, as_order_key(node->order.items[i])->value, as_order_key(node->order.items[i])->descending != 0);
        if (node->select || node->limit) out = gather(f, out, row, NULL, node->select, node->limit ? &limit : NULL, node->select ? result : rows_type);
    }
    val_free(f, limit);
    locals_free(f, mark);
    return settle(f, out, (Want){ result, want.type == result ? want.reg : NO_REG });
}
