/* lower_match.c - values that control chooses: if, match, blocks, `else` and `??`.
 *
 * Each branch puts its value into one register, last thing; a branch that leaves (fail, return) puts nothing there.
 */
#include "compiler/lower_internal.h"

/* The register that all branches fill; a temporary unless the wanted one has the type. */
static Val branch_target(Func *f, uint16_t type, Want want) { return type == TYPE_INDEX_VOID ? (Val){ 0, type, false } : val_out(f, type, want); }

static uint16_t value_type(Func *f, Ast *node, Want want)
{
    return want.type != NO_INDEX ? want.type : row_of(f->lw, node->type);
}

/* node into the branch's register, or only done when there is no value. */
static void branch_into(Func *f, Ast *node, Val out)
{
    if (f->dead) return;
    if (out.type != TYPE_INDEX_VOID) lower_value_or_stmt(f, node, (Want){ out.type, out.reg });
    else if (node->kind == AST_BLOCK) lower_block(f, node);
    else lower_stmt(f, node);
}

static bool is_statement(AstKind kind)
{
    return kind == AST_FAIL_STMT || kind == AST_RETURN_STMT || kind == AST_BREAK_STMT || kind == AST_CONTINUE_STMT || kind == AST_LET_STMT || kind == AST_ASSIGN_STMT;
}

Val lower_value_or_stmt(Func *f, Ast *node, Want want)
{
    if (is_statement(node->kind)) {
        lower_stmt(f, node);
        return (Val){ want.reg >= 0 ? (uint16_t)want.reg : 0, want.type, false };
    }
    if (node->kind == AST_EXPR_STMT) return lower_expr(f, as_expr_stmt(node)->value, want);
    return lower_expr(f, node, want);
}

/* The value outlives the block's variables, so it is always put into a register from outside. */
Val lower_block_value(Func *f, Ast_block *block, Want want)
{
    uint16_t type = value_type(f, &block->head, want);
    Val out = branch_target(f, type, want);
    uint32_t mark = locals_mark(f);
    for (uint32_t i = 0; i < block->items.count && !f->dead; i++) {
        Ast *item = block->items.items[i];
        if (i + 1 < block->items.count) lower_stmt(f, item);
        else branch_into(f, item, out);
    }
    locals_free(f, mark);
    return out;
}

Val lower_if_value(Func *f, Ast_if_stmt *node, Want want)
{
    uint16_t type = value_type(f, &node->head, want);
    Val out = branch_target(f, type, want);
    Label otherwise = label_new(f), done = label_new(f);
    lower_cond(f, node->condition, otherwise, false);
    branch_into(f, node->then_block, out);
    if (node->else_block) emit_jump(f, OP_JUMP, 0, 0, done);
    label_place(f, otherwise);
    if (node->else_block) branch_into(f, node->else_block, out);
    label_place(f, done);
    return out;
}

/* ---- match ---- */

typedef struct Match { Val subject; uint16_t bare_type; Label done; } Match;

static bool covers_all(Ast *pattern) { return pattern->kind == AST_WILDCARD_PATTERN; }

/* Jumps to `to` when the pattern fits (or, with `fits` false, when it does not); falls through otherwise. */
static void test_value(Func *f, const Match *m, Val value, Ast *pattern, Label to, bool fits)
{
    Lower *lw = f->lw;
    int64_t imm;
    bool member = (pattern->kind == AST_NAME_EXPR || pattern->kind == AST_FIELD_EXPR) && pattern->symbol && pattern->symbol->kind == SYMBOL_MEMBER;
    if (lower_is_intlike(lw, m->bare_type)) {
        if (member) imm = pattern->symbol->ordinal;
        if (pattern->kind == AST_BOOL_EXPR) imm = as_bool_expr(pattern)->value;
        bool known = member || pattern->kind == AST_BOOL_EXPR || fold_int(pattern, &imm);
        if (known && imm >= INT16_MIN && imm <= INT16_MAX) {
            emit_jump(f, fits ? OP_JEQI_INT : OP_JNEI_INT, value.reg, (uint16_t)(int16_t)imm, to);
            return;
        }
        Val literal = lower_as(f, pattern, m->bare_type);
        emit_jump(f, fits ? OP_JEQ_INT : OP_JNE_INT, value.reg, literal.reg, to);
        val_free(f, literal);
        return;
    }
    Val same = val_temp(f, TYPE_INDEX_BOOL);
    if (pattern->kind == AST_REGEX_EXPR) {
        if (!f->dead) emit(f, OP_MATCH, same.reg, value.reg, regex_index(lw, as_regex_expr(pattern)));
    } else emit_equal(f, (Val){ value.reg, value.type, false }, lower_as(f, pattern, m->bare_type), (Want){ TYPE_INDEX_BOOL, same.reg });
    emit_jump(f, fits ? OP_JT : OP_JF, same.reg, 0, to);
    val_free(f, same);
}

static void test_pattern(Func *f, const Match *m, Ast *pattern, Label to, bool fits)
{
    bool optional = m->subject.type != m->bare_type, nullable = optional || lower_kind(f->lw, m->subject.type) == KIND_JSON;
    bool binds = pattern->kind == AST_BIND_PATTERN;
    if (covers_all(pattern) || (binds && !nullable)) {
        if (fits) emit_jump(f, OP_JUMP, 0, 0, to);
        return;
    }
    if (binds || pattern->kind == AST_NULL_EXPR) {
        emit_jump(f, binds == fits ? OP_JNOTNULL : OP_JNULL, m->subject.reg, 0, to);
        return;
    }
    if (!optional) {
        test_value(f, m, m->subject, pattern, to, fits);
        return;
    }
    Label null = fits ? label_new(f) : to;
    emit_jump(f, OP_JNULL, m->subject.reg, 0, null);
    Val value = val_temp(f, m->bare_type);
    emit(f, OP_UNWRAP, value.reg, m->subject.reg, 0);
    test_value(f, m, value, pattern, to, fits);
    val_free(f, value);
    if (fits) label_place(f, null);
}

static void bind(Func *f, const Match *m, AstList patterns)
{
    for (uint32_t i = 0; i < patterns.count; i++) {
        if (patterns.items[i]->kind != AST_BIND_PATTERN || !patterns.items[i]->symbol) continue;
        uint16_t reg = local_new(f, patterns.items[i]->symbol);
        settle(f, (Val){ m->subject.reg, m->subject.type, false }, (Want){ reg_type(f, reg), reg });
    }
}

/* check has shown that the arms cover everything, so the last one without a guard needs no test. */
static bool is_last_resort(const Func *f, const Match *m, const Ast_match_stmt *node, uint32_t i, bool is_value)
{
    const Ast_match_arm *arm = as_match_arm(node->arms.items[i]);
    if (arm->guard || i + 1 < node->arms.count) return false;
    if (is_value) return true;
    for (uint32_t p = 0; p < arm->patterns.count; p++)
        if (covers_all(arm->patterns.items[p])) return true;
    TypeKind kind = lower_kind(f->lw, m->bare_type);
    return kind == KIND_ENUM || kind == KIND_BOOL || (m->subject.type != m->bare_type && arm->patterns.items[0]->kind == AST_BIND_PATTERN);
}

/* The arm of last resort is not tested, and what follows it is the end of the match. */
static void lower_arm(Func *f, const Match *m, Ast_match_arm *arm, bool last_resort, Val out)
{
    Label hit = label_new(f), next = label_new(f);
    uint32_t mark = locals_mark(f);
    if (!last_resort) {
        for (uint32_t i = 0; i < arm->patterns.count; i++) {
            bool last = i + 1 == arm->patterns.count;
            test_pattern(f, m, arm->patterns.items[i], last ? next : hit, !last);
        }
        label_place(f, hit);
    }
    bind(f, m, arm->patterns);
    if (arm->guard) lower_cond(f, arm->guard, next, false);
    if (!f->dead) {
        at(f, &arm->head);
        branch_into(f, arm->body, out);
        if (!last_resort) emit_jump(f, OP_JUMP, 0, 0, m->done);
    }
    locals_free(f, mark);
    label_place(f, next);
}

Val lower_match_value(Func *f, Ast_match_stmt *node, Want want)
{
    Lower *lw = f->lw;
    uint16_t type = value_type(f, &node->head, want);
    Match m = { .subject = lower_any(f, node->subject), .done = label_new(f) };
    if (!m.subject.temp && node->subject->kind == AST_NAME_EXPR && node->subject->symbol && node->subject->symbol->is_mutable) m.subject = val_copy(f, m.subject);
    m.bare_type = row_bare(lw, m.subject.type);
    Val out = branch_target(f, type, want);
    bool is_value = type != TYPE_INDEX_VOID;
    bool last_resort = false;
    for (uint32_t i = 0; i < node->arms.count && !f->dead; i++) {
        last_resort = is_last_resort(f, &m, node, i, is_value);
        lower_arm(f, &m, as_match_arm(node->arms.items[i]), last_resort, out);
    }
    if (is_value && !last_resort && !f->dead) emit_fail(f, ERROR_KIND_internal, STR("no arm of a match fits"));
    label_place(f, m.done);
    val_free(f, m.subject);
    return out;
}

/* ---- a ?? b, value else … ---- */

/* The value of an optional or json register into `out`, or a jump when it is null. */
static void take_value(Func *f, Val v, Label is_null, Val out)
{
    bool nullable = lower_kind(f->lw, v.type) == KIND_OPT || lower_kind(f->lw, v.type) == KIND_JSON;
    if (nullable) emit_jump(f, OP_JNULL, v.reg, 0, is_null);
    if (out.type == TYPE_INDEX_VOID) val_free(f, v);
    else settle(f, v, (Want){ out.type, out.reg });
}

Val lower_coalesce(Func *f, Ast *left, Ast *right, uint16_t type, Want want)
{
    if (want.type != NO_INDEX) type = want.type;
    Label is_null = label_new(f), done = label_new(f);
    Val v = lower_any(f, left), out = branch_target(f, type, want);
    take_value(f, v, is_null, out);
    emit_jump(f, OP_JUMP, 0, 0, done);
    label_place(f, is_null);
    branch_into(f, right, out);
    label_place(f, done);
    return out;
}

/* Out of time: the deadline of the scope itself, or a timeout that came from deeper inside. */
static Val else_timeout(Func *f, Ast_else_expr *node, uint16_t type, Want want)
{
    Lower *lw = f->lw;
    Ctx ctx;
    bool scoped = node->value->kind == AST_WITHIN_EXPR;
    Ast *inner = scoped ? as_within_expr(node->value)->value : node->value;
    Label otherwise = label_new(f), done = label_new(f);
    Val out = branch_target(f, type, want);
    if (scoped) scope_begin(f, &ctx, as_within_expr(node->value)->duration);
    else ctx_push_try(f, &ctx, CTX_TRY, TRY_CATCH);
    uint16_t own = final_type(lw, inner);
    Val v = own == TYPE_INDEX_VOID ? lower_any(f, inner) : val_temp(f, own);
    if (own != TYPE_INDEX_VOID) lower_expr(f, inner, (Want){ own, v.reg });
    if (scoped) scope_end(f, &ctx);
    else ctx_pop(f, &ctx);
    if (!f->dead) {
        bool null_too = own != TYPE_INDEX_VOID && lower_kind(lw, own) == KIND_OPT && type != TYPE_INDEX_VOID && lower_kind(lw, type) != KIND_OPT;
        if (null_too) take_value(f, v, otherwise, out);
        else if (type == TYPE_INDEX_VOID) val_free(f, v);
        else settle(f, v, (Want){ type, out.reg });
        emit_jump(f, OP_JUMP, 0, 0, done);
    }
    ctx_exits(f, &ctx);
    if (handler_begin(f, &ctx) && !scoped) {
        Val kind = val_temp(f, TYPE_INDEX_ERROR_KIND);
        emit(f, OP_GET_FIELD, kind.reg, ctx.error_reg, ERROR_FIELD_KIND);
        emit_jump(f, OP_JEQI_INT, kind.reg, ERROR_KIND_timeout, otherwise);
        val_free(f, kind);
        emit(f, OP_RAISE, ctx.error_reg, 0, 0);
    }
    reg_free(f, ctx.error_reg);
    label_place(f, otherwise);
    branch_into(f, node->otherwise, out);
    label_place(f, done);
    return out;
}

Val lower_else(Func *f, Ast_else_expr *node, Want want)
{
    ElseInfo *info = node->head.info;
    uint16_t type = value_type(f, &node->head, want);
    if (info->kind == ELSE_TIMEOUT) return else_timeout(f, node, type, want);
    return lower_coalesce(f, node->value, node->otherwise, type, (Want){ type, want.type == type ? want.reg : NO_REG });
}
