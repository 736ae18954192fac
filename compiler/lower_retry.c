/* lower_retry.c - `retry policy`: a loop around an expression.
 *
 *     attempt := 1
 *     again:  try { body } done
 *     on e:   refresh, once, when the policy says so for this status: again, not counted
 *             attempt < attempts and e may be retried?  else raise e
 *             wait backoff(attempt); attempt += 1; again
 *
 * CATCH lets deadlines of enclosing scopes and cancellation pass, so neither is retried.
 */
#include "compiler/lower_internal.h"

static Val number_list(Func *f, const int64_t *items, uint32_t count)
{
    Val out = val_temp(f, row_list(f->lw, TYPE_INDEX_INT));
    emit(f, OP_NEW_LIST, out.reg, 0, 0);
    for (uint32_t i = 0; i < count; i++) {
        Val item = val_int(f, TYPE_INDEX_INT, items[i]);
        emit(f, OP_LIST_PUSH, out.reg, item.reg, 0);
        val_free(f, item);
    }
    return out;
}

static Val text_list(Func *f, const Str *items, uint32_t count)
{
    Val out = val_temp(f, TYPE_INDEX_LIST_STRING);
    emit(f, OP_NEW_LIST, out.reg, 0, 0);
    for (uint32_t i = 0; i < count; i++) {
        Val item = val_text(f, items[i]);
        emit(f, OP_LIST_PUSH, out.reg, item.reg, 0);
        val_free(f, item);
    }
    return out;
}

/* Jumps to `no` unless the error has one of these statuses or codes. */
static void unless_retryable(Func *f, uint16_t error, const int64_t *statuses, uint32_t status_count, const Str *codes, uint32_t code_count, Label no)
{
    Arg args[3] = { arg_val(val_reg(f, error)), arg_val(number_list(f, statuses, status_count)), arg_val(text_list(f, codes, code_count)) };
    Val yes = emit_builtin(f, BUILTIN_RETRYABLE, TYPE_INDEX_BOOL, args, 3, (Want){ NO_INDEX, NO_REG });
    emit_jump(f, OP_JF, yes.reg, 0, no);
    val_free(f, yes);
}

/* Jumps to `no` unless trying again may help. */
static void unless_worth(Func *f, const Retry *retry, uint16_t error, Label no)
{
    static const ErrorKind passing[] = { ERROR_KIND_timeout, ERROR_KIND_unavailable, ERROR_KIND_rate_limited };
    Label yes = label_new(f);
    if (retry->transient) {
        Val kind = val_temp(f, TYPE_INDEX_ERROR_KIND);
        emit(f, OP_GET_FIELD, kind.reg, error, ERROR_FIELD_KIND);
        for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) emit_jump(f, OP_JEQI_INT, kind.reg, (uint16_t)passing[i], yes);
        val_free(f, kind);
    }
    unless_retryable(f, error, retry->statuses, retry->status_count, retry->codes, retry->code_count, no);
    label_place(f, yes);
}

static Val decimal_const(Func *f, const char *digits)
{
    Val out = val_temp(f, TYPE_INDEX_DECIMAL);
    if (!f->dead) emit(f, OP_LOADREF, out.reg, const_bytes(f->lw, TYPE_INDEX_DECIMAL, str_of(digits)), 0);
    return out;
}

static Val next_delay(Func *f, const Retry *retry, uint16_t attempt, uint16_t error)
{
    Val random = emit_effect(f, EFFECT_RANDOM, NO_INDEX, STR("random"), TYPE_INDEX_FLOAT, NULL, 0, (Want){ NO_INDEX, NO_REG });
    Val after = val_temp(f, TYPE_INDEX_OPT_DURATION);
    emit(f, OP_GET_FIELD, after.reg, error, ERROR_FIELD_RETRY_AFTER);
    Arg args[7] = { arg_val(val_reg(f, attempt)), arg_int(TYPE_INDEX_DURATION, retry->backoff_us), arg_int(TYPE_INDEX_DURATION, retry->backoff_max_us),
                    arg_val(decimal_const(f, retry->factor)), arg_val(decimal_const(f, retry->jitter)), arg_val(random), arg_val(after) };
    return emit_builtin(f, BUILTIN_BACKOFF, TYPE_INDEX_DURATION, args, 7, (Want){ NO_INDEX, NO_REG });
}

static void wait_for(Func *f, const Retry *retry, uint16_t attempt, uint16_t error)
{
    Val delay = next_delay(f, retry, attempt, error), until = val_temp(f, TYPE_INDEX_TIMESTAMP);
    Arg notes[3] = { arg_val(val_reg(f, attempt)), arg_val(val_reg(f, delay.reg)), arg_val(val_reg(f, error)) };
    emit_note(f, EFFECT_NOTE_RETRY, NO_INDEX, retry->name, notes, 3);
    emit_now(f, until.reg);
    emit(f, OP_ADD_INT, until.reg, until.reg, delay.reg);
    val_free(f, delay);
    Arg when = arg_val(until);
    emit_note(f, EFFECT_SLEEP_UNTIL, NO_INDEX, STR("backoff"), &when, 1);
}

static void refresh_once(Func *f, const Retry *retry, uint16_t error, uint16_t refreshed, uint32_t again)
{
    Label no = label_new(f);
    emit_jump(f, OP_JT, refreshed, 0, no);
    unless_retryable(f, error, retry->refresh, retry->refresh_count, NULL, 0, no);
    load_int(f, refreshed, 1);
    emit_note(f, EFFECT_REFRESH, retry->refresh_agent, STR("refresh"), NULL, 0);
    emit_loop(f, again);
    label_place(f, no);
}

void retry_around(Func *f, const Retry *retry, void (*body)(Func *f, void *arg), void *arg)
{
    Ctx ctx;
    bool refreshes = retry->refresh_count && retry->refresh_agent != NO_INDEX;
    Label done = label_new(f), give_up = label_new(f);
    Span span = f->span;
    Val attempt = val_int(f, TYPE_INDEX_INT, 1), refreshed = { 0, 0, false };
    if (refreshes) refreshed = val_int(f, TYPE_INDEX_BOOL, 0);
    uint32_t again = func_pc(f);
    ctx_push_try(f, &ctx, CTX_TRY, TRY_CATCH);
    body(f, arg);
    ctx_pop(f, &ctx);
    emit_jump(f, OP_JUMP, 0, 0, done);
    f->span = span;
    if (handler_begin(f, &ctx)) {
        if (refreshes) refresh_once(f, retry, ctx.error_reg, refreshed.reg, again);
        Val limit = val_int(f, TYPE_INDEX_INT, retry->attempts);
        emit_jump(f, OP_JLE_INT, limit.reg, attempt.reg, give_up);
        val_free(f, limit);
        unless_worth(f, retry, ctx.error_reg, give_up);
        wait_for(f, retry, attempt.reg, ctx.error_reg);
        emit(f, OP_ADDI_INT, attempt.reg, attempt.reg, 1);
        emit_loop(f, again);
        label_place(f, give_up);
        emit(f, OP_RAISE, ctx.error_reg, 0, 0);
    }
    reg_free(f, ctx.error_reg);
    val_free(f, refreshed);
    val_free(f, attempt);
    label_place(f, done);
}

/* ---- retry policy ---- */

/* Whose credential a 401 is about: the agent of the tool that is called. */
static uint16_t agent_called(Ast *node)
{
    for (;;) {
        switch (node->kind) {
        case AST_CALL_EXPR: {
            CallInfo *call = node->info;
            bool is_tool = call && (call->kind == CALL_TOOL || call->kind == CALL_REMOTE);
            return is_tool ? agent_index(call->target->owner) : NO_INDEX;
        }
        case AST_WITHIN_EXPR: node = as_within_expr(node)->value; break;
        case AST_RETRY_EXPR: node = as_retry_expr(node)->value; break;
        case AST_ELSE_EXPR: node = as_else_expr(node)->value; break;
        case AST_AS_EXPR: node = as_as_expr(node)->value; break;
        default: return NO_INDEX;
        }
    }
}

static Retry retry_of_policy(const Symbol *policy, Ast *value)
{
    const PolicyInfo *info = policy->info;
    return (Retry){ .name = policy->name, .attempts = info->attempts, .backoff_us = info->backoff_us, .backoff_max_us = info->backoff_max_us,
                    .factor = info->factor ? info->factor : "1", .jitter = info->jitter ? info->jitter : "0", .statuses = info->statuses, .status_count = info->status_count,
                    .codes = info->codes, .code_count = info->code_count, .refresh = info->refresh, .refresh_count = info->refresh_count, .refresh_agent = agent_called(value), .transient = info->transient };
}

/* Undoing is worth a few tries when the tool allows it. */
Retry retry_of_compensation(void)
{
    static const int64_t statuses[] = { 408, 429, 500, 502, 503, 504 };
    static const Str codes[] = { { "ECONNRESET", 10 }, { "ETIMEDOUT", 9 }, { "ENOTFOUND", 8 } };
    return (Retry){ .name = STR("compensation"), .attempts = 3, .backoff_us = 1000000, .backoff_max_us = 10000000, .factor = "2", .jitter = "0", .statuses = statuses,
                    .status_count = sizeof statuses / sizeof *statuses, .codes = codes, .code_count = sizeof codes / sizeof *codes, .refresh_agent = NO_INDEX };
}

typedef struct Attempt { Ast *value; Val out; } Attempt;

static void attempt_value(Func *f, void *arg)
{
    Attempt *attempt = arg;
    if (attempt->out.type == TYPE_INDEX_VOID) val_free(f, lower_any(f, attempt->value));
    else lower_expr(f, attempt->value, (Want){ attempt->out.type, attempt->out.reg });
}

Val lower_retry(Func *f, Ast_retry_expr *node, Want want)
{
    uint16_t type = want.type != NO_INDEX ? want.type : row_of(f->lw, node->head.type);
    Attempt attempt = { node->value, type == TYPE_INDEX_VOID ? (Val){ 0, type, false } : val_out(f, type, want) };
    Retry retry = retry_of_policy(node->head.symbol, node->value);
    retry_around(f, &retry, attempt_value, &attempt);
    return attempt.out;
}
