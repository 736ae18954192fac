/* check_parallel.c - bodies that become functions of their own: branches, parallel for, compensations; and the saga around them.
 *
 * What they use from around is captured by value when they start; for a compensation that is when its step has succeeded, so it may use
 * the result of the step.
 */
#include "compiler/check_internal.h"

static void note_parallel(Checker *c, Ast *node, const char *what)
{
    if (c->pure_where)
        note_effect(c, node, 0, what);
    else if (c->body->transaction_depth)
        diag_label(c->diags, diag_in_transaction(c->diags, node->span, what), "a transaction is one thing after the other, on one connection");
}

/* Checks a branch as a body of its own and leaves its captures in `info`; the result is filled in later. */
static Type *check_branch(Checker *c, Ast_branch *branch, BlockMode mode, Type *hint)
{
    Body body;
    uint32_t facts = c->fact_count;
    body_enter(c, &body, "parallel branch", NULL);
    body.parallel_depth++;
    Type *type = check_end(c, branch->value, mode, hint);
    body_leave(c);
    c->fact_count = facts;
    branch->head.info = body_captures(c, &body, type == c->never ? c->basic[TYPE_VOID] : type, branch->critical != 0);
    return type;
}

static Type *check_race(Checker *c, Ast_parallel_stmt *stmt, BlockMode mode, Type *hint)
{
    Ast **ends = ARENA_ARRAY(c->arena, Ast *, stmt->branches.count + 1);
    Type **types = ARENA_ARRAY(c->arena, Type *, stmt->branches.count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < stmt->branches.count; i++) {
        if (stmt->branches.items[i]->kind != AST_BRANCH)
            continue;
        Ast_branch *branch = as_branch(stmt->branches.items[i]);
        ends[count] = branch->value;
        types[count++] = check_branch(c, branch, mode == BLOCK_STATEMENT ? BLOCK_MAYBE : mode, hint);
    }
    Type *common = join_ends(c, ends, types, count, mode);
    for (uint32_t i = 0; i < stmt->branches.count; i++)
        if (stmt->branches.items[i]->kind == AST_BRANCH && common != c->never && common->tag != TYPE_VOID)
            ((CaptureInfo *)stmt->branches.items[i]->info)->result = common;
    return common == c->never ? c->basic[TYPE_VOID] : common;
}

static Type *result_type(Checker *c, Type *type, bool critical)
{
    if (type == c->never || type->tag == TYPE_VOID)
        return c->basic[TYPE_VOID];
    return critical ? type : type_labeled(c->program, type_optional(c->program, type), type->labels);
}

static Type *check_all(Checker *c, Ast_parallel_stmt *stmt)
{
    Type **types = ARENA_ARRAY(c->arena, Type *, stmt->branches.count + 1);
    for (uint32_t i = 0; i < stmt->branches.count; i++)
        if (stmt->branches.items[i]->kind == AST_BRANCH) {
            Ast_branch *branch = as_branch(stmt->branches.items[i]);
            types[i] = check_branch(c, branch, BLOCK_MAYBE, NULL);
        }
    for (uint32_t i = 0; i < stmt->branches.count; i++)
        if (stmt->branches.items[i]->kind == AST_BRANCH) {
            Ast_branch *branch = as_branch(stmt->branches.items[i]);
            branch->head.symbol = scope_declare(c, branch->name, result_type(c, types[i], branch->critical != 0), &branch->head);
        }
    return c->basic[TYPE_VOID];
}

Type *check_parallel(Checker *c, Ast *node, BlockMode mode, Type *hint)
{
    Ast_parallel_stmt *stmt = as_parallel_stmt(node);
    note_parallel(c, node, "`parallel`");
    if (stmt->within)
        check_duration(c, stmt->within);
    if (stmt->limit)
        check_value(c, stmt->limit, c->basic[TYPE_INT]);
    if (stmt->race)
        return check_race(c, stmt, mode, hint);
    if (mode == BLOCK_VALUE) {
        Diag *diag = diag_misplaced(c->diags, node->span, "`parallel` without `race`", "a statement of its own");
        diag_help(c->diags, diag, "its branches bind their names: use those afterwards");
        check_all(c, stmt);
        return poison(c);
    }
    return check_all(c, stmt);
}

Type *check_parallel_for(Checker *c, Ast *node, BlockMode mode, Type *hint)
{
    Ast_parallel_for *loop = as_parallel_for(node);
    note_parallel(c, node, "`parallel`");
    Type *source = check_some(c, loop->source, NULL), *item = poison(c);
    if (source->tag == TYPE_LIST)
        item = type_element(c->program, source);
    else if (source->tag == TYPE_OPT)
        report_optional(c, loop->source, source, "a list");
    else if (source->tag != TYPE_POISON && source != c->never)
        diag_not_iterable(c->diags, loop->source->span, text_of(c, source));
    if (loop->limit)
        check_value(c, loop->limit, c->basic[TYPE_INT]);
    if (loop->within)
        check_duration(c, loop->within);
    Type *element = hint && hint->tag == TYPE_LIST ? hint->element : NULL;
    uint32_t facts = c->fact_count;
    Body body;
    body_enter(c, &body, "parallel branch", NULL);
    body.parallel_depth++;
    scope_enter(c);
    node->symbol = scope_declare(c, loop->name, item, node);
    Type *type = check_block(c, loop->body, mode, element);
    if (element && type != c->never && type->tag != TYPE_VOID && type_assign(type, element) != ASSIGN_NO) {
        coerce_end(c, loop->body, element);
        type = element;
    }
    scope_leave(c);
    body_leave(c);
    c->fact_count = facts;
    Type *result = type == c->never ? c->basic[TYPE_VOID] : type;
    node->info = body_captures(c, &body, result, true);
    return result->tag == TYPE_VOID ? result : type_list(c->program, result);
}

/* ---- saga ---------------------------------------------------------------------------------------------------- */

/* The names of its steps live on behind a saga. */
static void publish_steps(Checker *c, Ast *block)
{
    if (block->kind != AST_BLOCK)
        return;
    AstList items = as_block(block)->items;
    for (uint32_t i = 0; i < items.count; i++) {
        if (items.items[i]->kind == AST_STEP_STMT && items.items[i]->symbol)
            scope_bind(c, items.items[i]->symbol, as_step_stmt(items.items[i])->name.span);
        else if (items.items[i]->kind == AST_SAGA_STMT)
            publish_steps(c, as_saga_stmt(items.items[i])->body);
    }
}

Type *check_saga(Checker *c, Ast *node)
{
    note_parallel(c, node, "a saga");
    c->body->saga_depth++;
    Type *type = check_closed(c, as_saga_stmt(node)->body, "saga");
    c->body->saga_depth--;
    publish_steps(c, as_saga_stmt(node)->body);
    return type;
}

static void check_compensate(Checker *c, Ast *node, Ast *compensate)
{
    Body body;
    uint32_t facts = c->fact_count;
    body_enter(c, &body, "compensation", NULL);
    body.undoing = true;
    Type *type = check_end(c, compensate, BLOCK_STATEMENT, NULL);
    body_leave(c);
    c->fact_count = facts;
    node->info = body_captures(c, &body, type == c->never ? c->basic[TYPE_VOID] : type, false);
}

void check_step(Checker *c, Ast *node)
{
    Ast_step_stmt *step = as_step_stmt(node);
    if (!c->body->saga_depth && !node->made)                /* a made one may be that of a saga around its branch */
        diag_misplaced(c->diags, node->span, "a `step`", "a saga");
    bool named = step->name.text.len != 0;
    Type *type = named ? check_some(c, step->value, NULL) : check_end(c, step->value, BLOCK_MAYBE, NULL);
    if (named)
        node->symbol = scope_declare(c, step->name, type == c->never ? poison(c) : type, node);
    if (step->compensate)
        check_compensate(c, node, step->compensate);
}
