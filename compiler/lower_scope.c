/* lower_scope.c - regions of code: try, finally, transactions, deadlines; and what waits: ask, await, sleep.
 *
 * Each region is entered by ctx_push_try and left in one of three ways: at its end, by a jump or return (ctx_leave, whose way runs emit_cleanup
 * of every region it passes), or by a failure, which the machine brings to the handler. All three must do the same to the outside.
 */
#include "compiler/lower_internal.h"

/* ---- on the way out ---- */

static void run_finally(Func *f, Ast *block)
{
    emit(f, OP_SHIELD_ENTER, 0, 0, 0);
    if (block->kind == AST_COORDINATE_STMT) emit_context_close(f, block);
    else lower_block(f, block);
    emit(f, OP_SHIELD_EXIT, 0, 0, 0);
}

void emit_cleanup(Func *f, Ctx *ctx)
{
    switch (ctx->kind) {
    case CTX_LOOP: case CTX_TRY: break;
    case CTX_FINALLY: run_finally(f, ctx->finally_block); break;
    case CTX_SCOPE: emit(f, OP_SCOPE_EXIT, 0, 0, 0); break;
    case CTX_SAGA: emit(f, OP_SAGA_COMMIT, 0, 0, 0); break;
    case CTX_TXN: emit_note(f, EFFECT_TXN_COMMIT, NO_INDEX, STR("commit"), NULL, 0); break;
    }
}

/* ---- try ---- */

static int kind_ordinal(Str word)
{
    for (int i = 0; i < ERROR_KIND_COUNT; i++)
        if (str_is(word, error_kind_name((ErrorKind)i))) return i;
    return ERROR_KIND_internal;
}

static Str word_of(Ast *node)
{
    return node->kind == AST_NAME_REF ? as_name_ref(node)->name.text : as_name_expr(node)->name.text;
}

static void lower_catch(Func *f, Ast_catch_clause *clause, uint16_t error, uint16_t kind, Label done)
{
    Label hit = label_new(f), next = label_new(f);
    if (clause->kinds.count == 0) emit_jump(f, OP_JEQI_INT, kind, ERROR_KIND_cancelled, next);
    else {
        for (uint32_t i = 0; i < clause->kinds.count; i++) emit_jump(f, OP_JEQI_INT, kind, (uint16_t)kind_ordinal(word_of(clause->kinds.items[i])), hit);
        emit_jump(f, OP_JUMP, 0, 0, next);
    }
    label_place(f, hit);
    if (clause->head.symbol) clause->head.symbol->image_index = error;
    lower_block(f, clause->body);
    emit_jump(f, OP_JUMP, 0, 0, done);
    label_place(f, next);
}

static void lower_catches(Func *f, Ast_try_stmt *node)
{
    Ctx ctx;
    Label done = label_new(f);
    ctx_push_try(f, &ctx, CTX_TRY, TRY_CATCH);
    lower_block(f, node->body);
    ctx_pop(f, &ctx);
    emit_jump(f, OP_JUMP, 0, 0, done);
    if (handler_begin(f, &ctx)) {
        Val kind = val_temp(f, TYPE_INDEX_ERROR_KIND);
        emit(f, OP_GET_FIELD, kind.reg, ctx.error_reg, ERROR_FIELD_KIND);
        for (uint32_t i = 0; i < node->catches.count; i++) lower_catch(f, as_catch_clause(node->catches.items[i]), ctx.error_reg, kind.reg, done);
        emit(f, OP_RAISE, ctx.error_reg, 0, 0);
        val_free(f, kind);
    }
    reg_free(f, ctx.error_reg);
    label_place(f, done);
}

static void lower_guarded(Func *f, Ast *body)
{
    if (body->kind == AST_TRY_STMT && as_try_stmt(body)->catches.count) lower_catches(f, as_try_stmt(body));
    else lower_block(f, body->kind == AST_TRY_STMT ? as_try_stmt(body)->body : body);
}

void lower_finally(Func *f, Ast *body, Ast *last)
{
    Ctx ctx;
    Label done = label_new(f);
    ctx_push_try(f, &ctx, CTX_FINALLY, TRY_FINALLY);
    ctx.finally_block = last;
    lower_guarded(f, body);
    ctx_pop(f, &ctx);
    if (!f->dead) run_finally(f, last);
    emit_jump(f, OP_JUMP, 0, 0, done);
    if (handler_begin(f, &ctx)) {
        run_finally(f, last);
        emit(f, OP_RAISE, ctx.error_reg, 0, 0);
    }
    ctx_exits(f, &ctx);
    reg_free(f, ctx.error_reg);
    label_place(f, done);
}

void lower_try(Func *f, Ast_try_stmt *node)
{
    if (node->finally_block) lower_finally(f, &node->head, node->finally_block);
    else lower_guarded(f, &node->head);
}

/* ---- transactions: a commit that fails has rolled back already, so it stands outside of the region ---- */

void lower_transaction(Func *f, Ast_transaction_stmt *node)
{
    Ctx ctx;
    Label done = label_new(f);
    emit_note(f, EFFECT_TXN_BEGIN, NO_INDEX, STR("transaction"), NULL, 0);
    ctx_push_try(f, &ctx, CTX_TXN, TRY_FINALLY);
    lower_block(f, node->body);
    ctx_pop(f, &ctx);
    at(f, &node->head);
    emit_cleanup(f, &ctx);
    emit_jump(f, OP_JUMP, 0, 0, done);
    if (handler_begin(f, &ctx)) {
        emit(f, OP_SHIELD_ENTER, 0, 0, 0);
        emit_note(f, EFFECT_TXN_ROLLBACK, NO_INDEX, STR("rollback"), NULL, 0);
        emit(f, OP_SHIELD_EXIT, 0, 0, 0);
        emit(f, OP_RAISE, ctx.error_reg, 0, 0);
    }
    ctx_exits(f, &ctx);
    reg_free(f, ctx.error_reg);
    label_place(f, done);
}

/* ---- deadlines ---- */

void emit_now(Func *f, uint16_t reg)
{
    emit_effect(f, EFFECT_NOW, NO_INDEX, STR("now"), TYPE_INDEX_TIMESTAMP, NULL, 0, (Want){ TYPE_INDEX_TIMESTAMP, reg });
}

void scope_begin_us(Func *f, Ctx *ctx, Val duration)
{
    Val until = val_temp(f, TYPE_INDEX_TIMESTAMP);
    emit_now(f, until.reg);
    emit(f, OP_ADD_INT, until.reg, until.reg, duration.reg);
    val_free(f, duration);
    emit(f, OP_SCOPE_ENTER, until.reg, 0, 0);
    val_free(f, until);
    ctx_push_try(f, ctx, CTX_SCOPE, TRY_SCOPE);
}

void scope_begin(Func *f, Ctx *ctx, Ast *duration)
{
    scope_begin_us(f, ctx, lower_as(f, duration, TYPE_INDEX_DURATION));
}

void scope_end(Func *f, Ctx *ctx)
{
    ctx_pop(f, ctx);
    emit(f, OP_SCOPE_EXIT, 0, 0, 0);
}

void scope_reraise(Func *f, Ctx *ctx)
{
    Label done = label_new(f);
    emit_jump(f, OP_JUMP, 0, 0, done);
    if (handler_begin(f, ctx)) emit(f, OP_RAISE, ctx->error_reg, 0, 0);
    ctx_exits(f, ctx);
    reg_free(f, ctx->error_reg);
    label_place(f, done);
}

Val lower_within(Func *f, Ast_within_expr *node, Want want)
{
    Ctx ctx;
    uint16_t type = want.type != NO_INDEX ? want.type : row_of(f->lw, node->head.type);
    Val out = type == TYPE_INDEX_VOID ? (Val){ 0, type, false } : val_out(f, type, want);
    scope_begin(f, &ctx, node->duration);
    if (type == TYPE_INDEX_VOID) val_free(f, lower_any(f, node->value));
    else lower_expr(f, node->value, (Want){ type, out.reg });
    scope_end(f, &ctx);
    scope_reraise(f, &ctx);
    return out;
}

/* ---- what waits ---- */

Val lower_ask(Func *f, Ast_ask_expr *node, Want want)
{
    Arg args[2] = { arg_node(node->question, TYPE_INDEX_STRING) };
    uint16_t count = 1;
    if (node->choices) args[count++] = arg_node(node->choices, TYPE_INDEX_LIST_STRING);
    return emit_effect(f, EFFECT_ASK, NO_INDEX, STR("ask"), row_of(f->lw, node->head.type), args, count, want);
}

/* The condition as a function of what it captures and of the record; the engine calls it with each event that comes. */
static uint16_t await_condition(Func *f, Ast *where, const AwaitInfo *info, uint16_t type)
{
    Captures captures = { info->where->symbols, info->where->count, NULL };
    Func *inner;
    uint16_t func = func_nested(f, FUNC_KEY, TYPE_INDEX_BOOL, 0, where->span, &inner);
    captures_enter(inner, &captures);
    info->item->image_index = func_param(inner, type);
    Val v = lower_as(inner, where, TYPE_INDEX_BOOL);
    emit(inner, OP_RETURN, v.reg, 0, 0);
    captures_leave(&captures);
    func_end(inner);
    return func;
}

/* ---- the key of a wait: `event.field == value`, alone or beside others, where the value is known before any event comes ---- */

/* Does the tree not name the symbol? */
static bool leaves_out(Ast *node, void *arg)
{
    if ((node->kind == AST_NAME_EXPR || node->kind == AST_NAME_REF) && node->symbol == arg) return false;
    return ast_each_child(node, leaves_out, arg);
}

static bool is_field_of(Ast *node, const Symbol *item)
{
    return node->kind == AST_FIELD_EXPR && as_field_expr(node)->object->kind == AST_NAME_EXPR && as_field_expr(node)->object->symbol == item;
}

/* Texts, whole numbers and enums are written in one way only, in the program's text and in the event's. */
static bool may_be_key(Lower *lw, Ast *field, Ast *value, Symbol *item)
{
    uint16_t type = final_type(lw, field);
    TypeKind kind = lower_kind(lw, type);
    return (kind == KIND_STRING || kind == KIND_INT || kind == KIND_ENUM) && !field->want && final_type(lw, value) == type && leaves_out(value, item);
}

static bool find_key(Lower *lw, Ast *where, Symbol *item, Ast **field, Ast **value)
{
    if (where->kind != AST_BINARY_EXPR) return false;
    Ast_binary_expr *node = as_binary_expr(where);
    if (node->op == BINARY_AND) return find_key(lw, node->left, item, field, value) || find_key(lw, node->right, item, field, value);
    if (node->op != BINARY_EQ) return false;
    bool left = is_field_of(node->left, item);
    *field = left ? node->left : node->right;
    *value = left ? node->right : node->left;
    return is_field_of(*field, item) && may_be_key(lw, *field, *value, item);
}

/* A function of what the condition captures: the name of the field, `=`, the value as text. */
static uint16_t await_key(Func *f, Ast *field, Ast *value, const AwaitInfo *info)
{
    Captures captures = { info->where->symbols, info->where->count, NULL };
    Func *inner;
    uint16_t func = func_nested(f, FUNC_KEY, TYPE_INDEX_STRING, 0, value->span, &inner);
    captures_enter(inner, &captures);
    Val text = val_text(inner, lower_printf(f->lw, "%.*s=", STR_ARG(as_field_expr(field)->name.text)));
    Val v = lower_any(inner, value), out = val_temp(inner, TYPE_INDEX_STRING);
    TypeKind kind = lower_kind(f->lw, v.type);
    if (kind == KIND_STRING) emit(inner, OP_CONCAT, out.reg, text.reg, v.reg);
    else {
        emit(inner, kind == KIND_ENUM ? OP_ENUM_NAME : OP_TO_STR, out.reg, v.reg, 0);
        emit(inner, OP_CONCAT, out.reg, text.reg, out.reg);
    }
    emit(inner, OP_RETURN, out.reg, 0, 0);
    captures_leave(&captures);
    func_end(inner);
    return func;
}

/* With a condition the arguments are the number of its function and what that captures; before it that of the key, if an event has one. */
Val lower_await(Func *f, Ast_await_expr *node, Want want)
{
    Symbol *source = node->head.symbol;
    const AwaitInfo *info = node->head.info;
    EffectKind kind = source->kind == SYMBOL_SIGNAL ? EFFECT_AWAIT_SIGNAL : EFFECT_AWAIT_EVENT;
    uint16_t type = row_of(f->lw, source->type), count = 0;
    Arg args[FUNC_PARAMS_MAX + 2];
    Ast *field, *value;
    if (info) {
        if (kind == EFFECT_AWAIT_EVENT && info->where->count + 2 < FUNC_PARAMS_MAX && find_key(f->lw, node->where, info->item, &field, &value))
            args[count++] = arg_int(TYPE_INDEX_INT, await_key(f, field, value, info));
        args[count++] = arg_int(TYPE_INDEX_INT, await_condition(f, node->where, info, type));
        for (uint32_t i = 0; i < info->where->count && count < FUNC_PARAMS_MAX; i++) args[count++] = arg_val(val_reg(f, info->where->symbols[i]->image_index));
    }
    return emit_effect(f, kind, source->image_index, source->name, type, args, count, want);
}

void lower_sleep(Func *f, Ast *duration, Ast *until)
{
    Val when;
    if (until) when = lower_as(f, until, TYPE_INDEX_TIMESTAMP);
    else {
        Val us = lower_as(f, duration, TYPE_INDEX_DURATION);
        when = val_temp(f, TYPE_INDEX_TIMESTAMP);
        emit_now(f, when.reg);
        emit(f, OP_ADD_INT, when.reg, when.reg, us.reg);
        val_free(f, us);
    }
    Arg arg = arg_val(when);
    emit_note(f, EFFECT_SLEEP_UNTIL, NO_INDEX, STR("sleep"), &arg, 1);
}
