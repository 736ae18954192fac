/* lower_stmt.c - statements, blocks and loops.
 *
 * A list loop counts an index from 0 with FORLOOP, one instruction per round; the length is read once. Both the list and a variable bound are
 * held in temporaries when they could change inside: a loop goes over what was there when it began.
 */
#include "compiler/lower_internal.h"

/* ---- loops ---- */

static void iter_open(Func *f, Iter *it)
{
    it->end = label_new(f);
    f->loop_depth++;
    ctx_push(f, &it->ctx, CTX_LOOP);
    it->ctx.break_label = it->end;
    it->ctx.continue_label = label_new(f);
    it->ctx.continue_pc = PC_NONE;
}

/* counter from its value to limit (exclusive) */
static void iter_count(Func *f, Iter *it)
{
    emit_jump(f, OP_JLE_INT, it->limit.reg, it->counter.reg, it->end);
    it->body = func_pc(f);
}

void iter_list(Func *f, Iter *it, Val list, int item_reg)
{
    *it = (Iter){ .source = list, .index = NO_REG };
    iter_open(f, it);
    it->limit = val_temp(f, TYPE_INDEX_INT);
    it->counter = val_int(f, TYPE_INDEX_INT, 0);
    emit(f, OP_LIST_LEN, it->limit.reg, list.reg, 0);
    emit_jump(f, OP_JLEI_INT, it->limit.reg, 0, it->end);
    it->body = func_pc(f);
    if (item_reg < 0) return;
    it->item = (uint16_t)item_reg;
    emit(f, OP_LIST_GET, it->item, list.reg, it->counter.reg);
}

/* A register for a loop variable: the symbol's, or one that nobody names. */
static uint16_t loop_reg(Func *f, Symbol *symbol, uint16_t type)
{
    if (symbol) return local_new(f, symbol);
    uint16_t reg = reg_new(f, type);
    *(uint16_t *)rows_push(&f->locals, sizeof(uint16_t)) = reg;
    return reg;
}

static void iter_range(Func *f, Iter *it, Ast_range_expr *range, Symbol *item, Symbol *index)
{
    *it = (Iter){ .index = NO_REG };
    uint16_t counter = loop_reg(f, item, TYPE_INDEX_INT);
    lower_into(f, range->from, counter);
    it->limit = lower_as(f, range->to, TYPE_INDEX_INT);
    if (!it->limit.temp && range->to->kind == AST_NAME_EXPR && range->to->symbol && range->to->symbol->is_mutable) it->limit = val_copy(f, it->limit);
    it->counter = (Val){ counter, TYPE_INDEX_INT, false };
    it->item = counter;
    if (index) {
        it->index = local_new(f, index);
        load_int(f, (uint16_t)it->index, 0);
    }
    iter_open(f, it);
    iter_count(f, it);
}

static void iter_map(Func *f, Iter *it, Val map, Symbol *first, Symbol *second)
{
    Arg arg = { .kind = ARG_VAL, .val = { map.reg, map.type, false }, .type = map.type };
    Val keys = emit_builtin(f, BUILTIN_MAP_KEYS, TYPE_INDEX_LIST_STRING, &arg, 1, (Want){ NO_INDEX, NO_REG });
    uint16_t element = row_element(f->lw, map.type), key = loop_reg(f, second ? first : NULL, TYPE_INDEX_STRING), value = loop_reg(f, second ? second : first, element);
    iter_list(f, it, keys, key);
    it->is_map = true;
    it->keys = val_reg(f, key);
    it->item = value;
    Val found = val_temp(f, row_opt(f->lw, element));
    emit(f, OP_MAP_GET, found.reg, map.reg, key);
    settle(f, found, (Want){ element, value });
}

void iter_begin(Func *f, Iter *it, Ast *source, Symbol *item, Symbol *index)
{
    if (source->kind == AST_RANGE_EXPR) {
        iter_range(f, it, as_range_expr(source), item, index);
        return;
    }
    Val list = lower_any(f, source);
    if (!list.temp && source->kind == AST_NAME_EXPR && source->symbol && source->symbol->is_mutable) list = val_copy(f, list);
    if (lower_kind(f->lw, list.type) == KIND_MAP) {
        uint16_t held = list.reg;
        if (list.temp) *(uint16_t *)rows_push(&f->locals, sizeof(uint16_t)) = held;     /* lives as long as the loop's variables */
        iter_map(f, it, (Val){ held, list.type, false }, item, index);
        return;
    }
    uint16_t reg = loop_reg(f, item, row_element(f->lw, list.type));
    iter_list(f, it, list, reg);
    if (index) index->image_index = it->counter.reg;
}

void iter_end(Func *f, Iter *it)
{
    label_place(f, it->ctx.continue_label);
    if (it->index >= 0) emit(f, OP_ADDI_INT, (uint16_t)it->index, (uint16_t)it->index, 1);
    emit_forloop(f, it->counter.reg, it->limit.reg, it->body);
    ctx_pop(f, &it->ctx);
    f->loop_depth--;
    label_place(f, it->end);
    val_free(f, it->counter);
    val_free(f, it->limit);
    val_free(f, it->source);
}

static void lower_for(Func *f, Ast_for_stmt *node)
{
    Iter it;
    uint32_t mark = locals_mark(f);
    iter_begin(f, &it, node->source, node->head.symbol, node->head.info);
    lower_block(f, node->body);
    at(f, &node->head);
    iter_end(f, &it);
    locals_free(f, mark);
}

/* At most N rounds: then the loop ends as if its condition had become false. */
static void lower_while(Func *f, Ast_while_stmt *node)
{
    Ctx ctx;
    Val rounds = { 0, 0, false }, bound = { 0, 0, false };
    if (node->bound) {
        bound = val_copy(f, lower_as(f, node->bound, TYPE_INDEX_INT));
        rounds = val_int(f, TYPE_INDEX_INT, 0);
    }
    Label end = label_new(f);
    f->loop_depth++;
    ctx_push(f, &ctx, CTX_LOOP);
    ctx.break_label = end;
    ctx.continue_label = LABEL_NONE;
    ctx.continue_pc = func_pc(f);
    lower_cond(f, node->condition, end, false);
    if (node->bound) {
        emit_jump(f, OP_JLE_INT, bound.reg, rounds.reg, end);
        emit(f, OP_ADDI_INT, rounds.reg, rounds.reg, 1);
    }
    lower_block(f, node->body);
    emit_loop(f, ctx.continue_pc);
    ctx_pop(f, &ctx);
    f->loop_depth--;
    label_place(f, end);
    if (!node->bound) return;
    val_free(f, rounds);
    val_free(f, bound);
}

static Ctx *loop_of(Func *f)
{
    Ctx *ctx = f->ctx;
    while (ctx && ctx->kind != CTX_LOOP) ctx = ctx->outer;
    return ctx;
}

static void lower_leave_loop(Func *f, ExitKind kind)
{
    Ctx *loop = loop_of(f);
    if (loop) ctx_leave(f, kind, loop, 0);
}

/* ---- return, fail ---- */

void lower_return(Func *f, Ast *value)
{
    Val v = { 0, TYPE_INDEX_VOID, false };
    bool cleans = ctx_passes_cleanup(f, NULL);
    if (!value || f->result == TYPE_INDEX_VOID) {
        if (value) val_free(f, lower_any(f, value));
    } else if (!cleans) v = lower_as(f, value, f->result);
    else {                               /* carried past the cleanups in a register that nothing else uses */
        if (f->return_reg < 0) f->return_reg = reg_new(f, f->result);
        v = lower_expr(f, value, (Want){ f->result, f->return_reg });
    }
    ctx_leave(f, EXIT_RETURN, NULL, v.reg);
    val_free(f, v);
}

static ErrorKind error_kind_of(Str word)
{
    for (int i = 0; i < ERROR_KIND_COUNT; i++)
        if (str_is(word, error_kind_name((ErrorKind)i))) return (ErrorKind)i;
    return ERROR_KIND_internal;
}

static Ast *detail(Ast *details, const char *name)
{
    AstList fields = details && details->kind == AST_RECORD_EXPR ? as_record_expr(details)->fields : (AstList){ 0 };
    for (uint32_t i = 0; i < fields.count; i++)
        if (str_is(as_field_value(fields.items[i])->name.text, name)) return field_value_of(fields.items[i]);
    return NULL;
}

static Val with_details(Func *f, Val error, Ast *details)
{
    Ast *status = detail(details, "status"), *code = detail(details, "code"), *after = detail(details, "retry_after");
    Arg args[4] = { arg_val(error), status ? arg_node(status, TYPE_INDEX_INT) : arg_int(TYPE_INDEX_INT, 0),
                    code ? arg_node(code, TYPE_INDEX_STRING) : arg_text(STR("")), after ? arg_node(after, TYPE_INDEX_OPT_DURATION) : arg_null(TYPE_INDEX_OPT_DURATION) };
    return emit_builtin(f, BUILTIN_ERROR_WITH, TYPE_INDEX_ERROR, args, 4, (Want){ NO_INDEX, NO_REG });
}

static void lower_fail(Func *f, Ast_fail_stmt *node)
{
    Val error;
    if (!node->kind.text.len) error = lower_as(f, node->message, TYPE_INDEX_ERROR);
    else {
        Val message = lower_as(f, node->message, TYPE_INDEX_STRING), kind = val_int(f, TYPE_INDEX_ERROR_KIND, error_kind_of(node->kind.text));
        error = val_temp(f, TYPE_INDEX_ERROR);
        at(f, &node->head);
        emit(f, OP_NEW_ERROR, error.reg, kind.reg, message.reg);
        val_free(f, kind);
        val_free(f, message);
        if (node->details) error = with_details(f, error, node->details);
    }
    emit(f, OP_RAISE, error.reg, 0, 0);
    val_free(f, error);
}

/* ---- effects as statements ---- */

static void lower_emit(Func *f, Ast_emit_stmt *node)
{
    Symbol *event = node->head.symbol;
    Arg arg = arg_node(node->value, row_of(f->lw, event->type));
    val_free(f, emit_effect(f, EFFECT_EMIT, event->image_index, event->name, TYPE_INDEX_STRING, &arg, 1, (Want){ NO_INDEX, NO_REG }));
}

static void lower_checked(Func *f, Ast_checked_stmt *node)
{
    Arg arg = arg_text(node->aggregate);
    emit_note(f, EFFECT_NOTE_CHECKED, NO_INDEX, STR("invariants"), &arg, 1);
}

static void lower_progress(Func *f, Ast_progress_stmt *node)
{
    Arg args[2] = { arg_node(node->percent, TYPE_INDEX_INT), node->message ? arg_node(node->message, TYPE_INDEX_STRING) : arg_text(STR("")) };
    emit_note(f, EFFECT_NOTE_PROGRESS, NO_INDEX, STR("progress"), args, 2);
}

static void lower_signal(Func *f, Ast_signal_stmt *node)
{
    Symbol *signal = node->head.symbol;
    Arg args[2] = { arg_node(node->run, TYPE_INDEX_STRING), arg_node(node->value, row_of(f->lw, signal->type)) };
    if (f->is_test) emit_note(f, EFFECT_TEST_SIGNAL, signal->image_index, signal->name, args + 1, 1);
    else emit_note(f, EFFECT_SEND_SIGNAL, signal->image_index, signal->name, args, 2);
}

/* ---- the rest ---- */

static void lower_let(Func *f, Ast_let_stmt *node)
{
    uint16_t reg = local_new(f, node->head.symbol);
    lower_expr(f, node->value, (Want){ reg_type(f, reg), reg });
}

static void lower_if(Func *f, Ast_if_stmt *node)
{
    Label otherwise = label_new(f), done = label_new(f);
    lower_cond(f, node->condition, otherwise, false);
    lower_block(f, node->then_block);
    if (node->else_block) emit_jump(f, OP_JUMP, 0, 0, done);
    label_place(f, otherwise);
    if (node->else_block) lower_stmt(f, node->else_block);
    label_place(f, done);
}

void lower_block(Func *f, Ast *node)
{
    uint32_t mark = locals_mark(f);
    AstList items = as_block(node)->items;
    for (uint32_t i = 0; i < items.count && !f->dead; i++) lower_stmt(f, items.items[i]);
    locals_free(f, mark);
}

void lower_stmt(Func *f, Ast *node)
{
    if (f->dead) return;
    if (node->kind != AST_BLOCK) at(f, node);
    switch (node->kind) {
    case AST_BLOCK: lower_block(f, node); break;
    case AST_LET_STMT: lower_let(f, as_let_stmt(node)); break;
    case AST_ASSIGN_STMT: lower_assign(f, as_assign_stmt(node)); break;
    case AST_EXPR_STMT: val_free(f, lower_any(f, as_expr_stmt(node)->value)); break;
    case AST_RETURN_STMT: lower_return(f, as_return_stmt(node)->value); break;
    case AST_IF_STMT: lower_if(f, as_if_stmt(node)); break;
    case AST_MATCH_STMT: lower_match_value(f, as_match_stmt(node), (Want){ TYPE_INDEX_VOID, NO_REG }); break;
    case AST_FOR_STMT: lower_for(f, as_for_stmt(node)); break;
    case AST_WHILE_STMT: lower_while(f, as_while_stmt(node)); break;
    case AST_BREAK_STMT: lower_leave_loop(f, EXIT_BREAK); break;
    case AST_CONTINUE_STMT: lower_leave_loop(f, EXIT_CONTINUE); break;
    case AST_TRY_STMT: lower_try(f, as_try_stmt(node)); break;
    case AST_FAIL_STMT: lower_fail(f, as_fail_stmt(node)); break;
    case AST_TRANSACTION_STMT: lower_transaction(f, as_transaction_stmt(node)); break;
    case AST_SAVE_STMT: lower_save(f, as_save_stmt(node)); break;
    case AST_FORGET_STMT: lower_forget(f, as_forget_stmt(node)); break;
    case AST_COORDINATE_STMT: lower_coordinate(f, as_coordinate_stmt(node)); break;
    case AST_EMIT_STMT: lower_emit(f, as_emit_stmt(node)); break;
    case AST_SAGA_STMT: lower_saga(f, as_saga_stmt(node)); break;
    case AST_STEP_STMT: lower_step(f, as_step_stmt(node)); break;
    case AST_SLEEP_STMT: lower_sleep(f, as_sleep_stmt(node)->duration, NULL); break;
    case AST_WAIT_STMT: lower_sleep(f, NULL, as_wait_stmt(node)->until); break;
    case AST_CHECKED_STMT: lower_checked(f, as_checked_stmt(node)); break;
    case AST_PROGRESS_STMT: lower_progress(f, as_progress_stmt(node)); break;
    case AST_SIGNAL_STMT: lower_signal(f, as_signal_stmt(node)); break;
    case AST_PARALLEL_STMT: lower_parallel(f, as_parallel_stmt(node)); break;
    default:
        if (!lower_test_stmt(f, node)) val_free(f, lower_any(f, node));
    }
}
