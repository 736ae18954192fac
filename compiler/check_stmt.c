/* check_stmt.c - statements and blocks.
 *
 * check_statement() answers VOID when control goes on and never when it does not; a block whose item never ends is checked to its end
 * all the same. Blocks, `if` and `match` are values where one is expected: then their ends are brought to one type.
 */
#include "compiler/check_internal.h"

/* ---- blocks and their ends ------------------------------------------------------------------------------ */

static bool is_compound(const Ast *node)
{
    return node->kind == AST_BLOCK || node->kind == AST_IF_STMT || node->kind == AST_MATCH_STMT || node->kind == AST_PARALLEL_STMT ||
           node->kind == AST_PARALLEL_FOR;
}

static Type *check_compound(Checker *c, Ast *node, BlockMode mode, Type *hint)
{
    Type *type;
    switch (node->kind) {
    case AST_BLOCK: type = check_block(c, node, mode, hint); break;
    case AST_IF_STMT: type = check_if(c, node, mode, hint); break;
    case AST_MATCH_STMT: type = check_match(c, node, mode, hint); break;
    case AST_PARALLEL_STMT: type = check_parallel(c, node, mode, hint); break;
    default: type = check_parallel_for(c, node, mode, hint); break;
    }
    node->type = type == c->never ? c->basic[TYPE_VOID] : type;
    return type;
}

static bool is_statement(const Ast *node)
{
    return (node->kind >= AST_LET_STMT && node->kind <= AST_SIGNAL_STMT) || (node->kind >= AST_GIVEN_FAILS && node->kind <= AST_EXPECT_EMITTED);
}

Type *check_end(Checker *c, Ast *node, BlockMode mode, Type *hint)
{
    if (is_compound(node))
        return check_compound(c, node, mode, hint);
    if (node->kind == AST_EXPR_STMT) {
        Type *type = check_end(c, as_expr_stmt(node)->value, mode, hint);
        node->type = as_expr_stmt(node)->value->type;
        return type;
    }
    if (is_statement(node)) {
        Type *type = check_statement(c, node);
        node->type = c->basic[TYPE_VOID];
        if (mode == BLOCK_VALUE && type != c->never) {
            diag_label(c->diags, diag_block_without_value(c->diags, node->span), "a value is expected here");
            return poison(c);
        }
        return type;
    }
    return mode == BLOCK_VALUE ? check_some(c, node, hint) : check_expr(c, node, hint);
}

static Span end_of(Ast *block)
{
    Span span = block->span;
    return (Span){ span.end > span.start ? span.end - 1 : span.start, span.end, span.file };
}

Type *check_block(Checker *c, Ast *node, BlockMode mode, Type *hint)
{
    if (node->kind != AST_BLOCK)
        return check_end(c, node, mode, hint);
    AstList items = as_block(node)->items;
    uint32_t facts = c->fact_count;
    bool ends = false;
    Type *value = c->basic[TYPE_VOID];
    scope_enter(c);
    for (uint32_t i = 0; i < items.count; i++) {
        Ast *item = items.items[i];
        bool is_value = i + 1 == items.count && mode != BLOCK_STATEMENT && (item->kind == AST_EXPR_STMT || is_compound(item));
        Type *type = is_value ? check_end(c, item, mode, hint) : check_statement(c, item);
        if (is_value)
            value = type;
        ends |= type == c->never;
    }
    scope_leave(c);
    c->fact_count = facts;
    if (ends) {
        node->type = c->basic[TYPE_VOID];
        return c->never;
    }
    if (mode == BLOCK_VALUE && value->tag == TYPE_VOID) {
        diag_label(c->diags, diag_block_without_value(c->diags, end_of(node)), "a value is expected of its last line");
        value = poison(c);
    }
    return node->type = value;
}

void coerce_end(Checker *c, Ast *node, Type *to)
{
    if (!node->type || node->type->tag == TYPE_VOID)
        return;
    if (node->kind == AST_BLOCK) {
        AstList items = as_block(node)->items;
        if (items.count)
            coerce_end(c, items.items[items.count - 1], to);
        node->type = to;
    } else if (node->kind == AST_EXPR_STMT) {
        coerce_end(c, as_expr_stmt(node)->value, to);
        node->type = to;
    } else {
        coerce(c, node, to);
    }
}

/* The node that a message about an end points to. */
static Ast *last_of(Ast *node)
{
    if (node->kind == AST_BLOCK && as_block(node)->items.count)
        return last_of(as_block(node)->items.items[as_block(node)->items.count - 1]);
    return node->kind == AST_EXPR_STMT ? as_expr_stmt(node)->value : node;
}

/* Brings the ends of an `if`, `match` or race to one type. */
Type *join_ends(Checker *c, Ast *const *ends, Type *const *types, uint32_t count, BlockMode mode)
{
    Type *common = c->never;
    for (uint32_t i = 0; i < count; i++) {
        if (types[i] == c->never)
            continue;
        if (types[i]->tag == TYPE_POISON)
            return poison(c);
        if (mode == BLOCK_STATEMENT || types[i]->tag == TYPE_VOID) {
            common = c->basic[TYPE_VOID];
            mode = BLOCK_STATEMENT;
            continue;
        }
        if (common == c->never) {
            common = types[i];
            continue;
        }
        Type *both = type_unify(c->program, common, types[i]);
        if (!both && mode == BLOCK_VALUE) {
            report_mismatch(c, last_of(ends[i]), types[i], common);
            return poison(c);
        }
        if (!both) {
            common = c->basic[TYPE_VOID];
            mode = BLOCK_STATEMENT;
        } else {
            common = both;
        }
    }
    if (common != c->never && common->tag != TYPE_VOID)
        for (uint32_t i = 0; i < count; i++)
            coerce_end(c, ends[i], common);
    return common;
}

Type *check_if(Checker *c, Ast *node, BlockMode mode, Type *hint)
{
    Ast_if_stmt *stmt = as_if_stmt(node);
    check_condition(c, stmt->condition);
    uint32_t facts = c->fact_count;
    facts_of(c, stmt->condition, true);
    Type *then_type = check_block(c, stmt->then_block, mode, hint);
    c->fact_count = facts;
    Type *else_type = c->basic[TYPE_VOID];
    if (stmt->else_block) {
        facts_of(c, stmt->condition, false);
        else_type = check_end(c, stmt->else_block, mode, hint);
        c->fact_count = facts;
    } else if (mode == BLOCK_VALUE) {
        diag_label(c->diags, diag_if_without_else(c->diags, node->span), "what is its value when the condition is false?");
        node->type = poison(c);
        return poison(c);
    }
    if (then_type == c->never)                              /* what comes after knows that the condition was false */
        facts_of(c, stmt->condition, false);
    else if (else_type == c->never)
        facts_of(c, stmt->condition, true);
    Ast *ends[] = { stmt->then_block, stmt->else_block };
    Type *types[] = { then_type, else_type };
    Type *type = stmt->else_block ? join_ends(c, ends, types, 2, mode) : c->basic[TYPE_VOID];
    node->type = type == c->never ? c->basic[TYPE_VOID] : type;
    return type;
}

/* ---- names and values ------------------------------------------------------------------------------------ */

static void check_let(Checker *c, Ast *node)
{
    Ast_let_stmt *let = as_let_stmt(node);
    Type *declared = let->type ? resolve_type(c, let->type) : NULL;
    Type *type = declared ? check_value(c, let->value, declared) : check_some(c, let->value, NULL);
    if (type == c->never) {
        type = declared ? declared : poison(c);
    } else if (declared) {
        type = type_labeled(c->program, declared, let->value->type->labels);
    } else if (type->tag == TYPE_NULL) {
        diag_help(c->diags, diag_type_unknown(c->diags, let->value->span, "a name that is null"), "say it: `let %.*s: string? = null`", STR_ARG(let->name.text));
        type = poison(c);
    }
    node->symbol = scope_declare(c, let->name, type, node);
    node->symbol->is_mutable = let->mutable != 0;
}

static Symbol *target_symbol(Checker *c, Ast *node)
{
    Ident name = as_name_expr(node)->name;
    Symbol *symbol = scope_find(c, name.text);
    if (!symbol) {
        check_some(c, node, NULL);
        if (node->type->tag != TYPE_POISON)
            diag_assign_target(c->diags, node->span);
        return NULL;
    }
    node->symbol = symbol;
    if (!symbol->is_mutable) {
        Diag *diag = diag_assign_immutable(c->diags, name.span, name.text);
        diag_label(c->diags, diag, "its value never changes");
        if (symbol->kind == SYMBOL_LOCAL && symbol->decl && symbol->decl->kind == AST_LET_STMT) {
            Span span = symbol->decl->span;
            diag_note(c->diags, diag, decl_name(symbol->decl).span, "declared here");
            diag_fix(c->diags, diag, (Span){ span.start, span.start + 3, span.file }, "var");
            diag_help(c->diags, diag, "declare it with `var`");
        }
        return NULL;
    }
    if (symbol->func_id != c->body->id) {
        Diag *diag = diag_assign_captured(c->diags, name.span, name.text, c->body->what);
        diag_label(c->diags, diag, "this body has a copy of it");
        diag_help(c->diags, diag, "make it the value of the %s", c->body->what);
        return NULL;
    }
    return symbol;
}

/* The declared type of what is assigned to; NULL after a report. */
static Type *check_target(Checker *c, Ast *node, Symbol **root)
{
    if (node->kind == AST_NAME_EXPR) {
        *root = target_symbol(c, node);
        return node->type = *root ? (*root)->type : poison(c);
    }
    Type *object;
    if (node->kind == AST_FIELD_EXPR) {
        Ast_field_expr *field = as_field_expr(node);
        object = check_target(c, field->object, root);
        uint32_t index;
        if (object->tag == TYPE_POISON)
            return node->type = object;
        if (object->tag == TYPE_OPT) {
            report_optional(c, field->object, object, "a record");
            return node->type = poison(c);
        }
        const TypeField *known = object->tag == TYPE_RECORD && !field->optional ? type_field(object, field->name.text, &index) : NULL;
        if (!known) {
            Diag *diag = diag_unknown_field(c->diags, field->name.span, text_of(c, object), field->name.text);
            if (object->tag == TYPE_RECORD)
                suggest_fields(c, diag, field->name.text, object);
            return node->type = poison(c);
        }
        FieldInfo *info = ARENA_NEW(c->arena, FieldInfo);
        *info = (FieldInfo){ .kind = FIELD_RECORD, .index = index };
        node->info = info;
        return node->type = known->type;
    }
    if (node->kind == AST_INDEX_EXPR) {
        Ast_index_expr *index = as_index_expr(node);
        object = check_target(c, index->object, root);
        IndexInfo *info = ARENA_NEW(c->arena, IndexInfo);
        info->kind = object->tag == TYPE_MAP ? INDEX_MAP : INDEX_LIST;
        node->info = info;
        if (object->tag == TYPE_LIST || object->tag == TYPE_MAP) {
            check_value(c, index->index, c->basic[object->tag == TYPE_LIST ? TYPE_INT : TYPE_STRING]);
            return node->type = object->element;
        }
        check_some(c, index->index, NULL);
        if (object->tag != TYPE_POISON)
            diag_not_indexable(c->diags, index->object->span, text_of(c, object));
        return node->type = poison(c);
    }
    if (node->kind != AST_ERROR)
        diag_assign_target(c->diags, node->span);
    *root = NULL;
    return node->type = poison(c);
}

static void check_assign(Checker *c, Ast *node)
{
    Ast_assign_stmt *assign = as_assign_stmt(node);
    if (check_context_write(c, node))
        return;
    Symbol *root = NULL;
    Type *target = check_target(c, assign->target, &root);
    Type *hint = target->tag == TYPE_POISON ? NULL : target;
    if (!assign->op) {
        if (hint)
            check_value(c, assign->value, hint);
        else
            check_some(c, assign->value, NULL);
    } else {
        Type *value = check_some(c, assign->value, hint);
        if (hint && value != c->never && value->tag != TYPE_POISON) {
            Type *operands;
            Type *result = operator_type(c, node, (BinaryOp)assign->op, assign->target, assign->value, &operands);
            assign->target->want = NULL;
            node->info = operands;
            if (result->tag != TYPE_POISON && type_assign(result, target) != ASSIGN_SAME)
                report_mismatch(c, assign->value, result, target);
        }
    }
    if (!root)
        return;
    facts_forget(c, root);
    Type *value = assign->value->type;
    if (assign->target->kind == AST_NAME_EXPR && target->tag == TYPE_OPT && value->tag != TYPE_OPT && value->tag != TYPE_NULL && value->tag != TYPE_POISON)
        facts_add(c, assign->target);
}

static void leaves(Checker *c, Ast *node, const char *word)
{
    const char *body = c->body->lambda_depth ? "lambda" : c->body->finally_depth ? "`finally`" : c->body->what;
    diag_label(c->diags, diag_leaves_body(c->diags, node->span, word, body), "it has a value of its own, or none");
}

static Type *check_return(Checker *c, Ast *node)
{
    Ast *value = as_return_stmt(node)->value;
    Type *result = c->body->result;
    if (!result || c->body->lambda_depth || c->body->finally_depth) {
        leaves(c, node, "return");
        if (value)
            check_expr(c, value, NULL);
        return c->never;
    }
    if (!value) {
        if (result->tag != TYPE_VOID && result->tag != TYPE_POISON)
            diag_return_missing_value(c->diags, node->span, text_of(c, result));
        return c->never;
    }
    if (result->tag == TYPE_VOID) {
        check_expr(c, value, NULL);
        Diag *diag = diag_return_value(c->diags, value->span, arena_printf(c->arena, "this %s", c->body->what));
        diag_help(c->diags, diag, "declare what it returns with `-> type`");
    } else {
        check_value(c, value, result);
    }
    return c->never;
}

/* ---- loops ------------------------------------------------------------------------------------------------- */

void check_loop_body(Checker *c, Ast *body)
{
    const char *barrier = c->body->barrier;
    c->body->barrier = NULL;
    c->body->loop_depth++;
    check_block(c, body, BLOCK_STATEMENT, NULL);
    c->body->loop_depth--;
    c->body->barrier = barrier;
}

static void check_for(Checker *c, Ast *node)
{
    Ast_for_stmt *loop = as_for_stmt(node);
    Type *item;
    if (loop->source->kind == AST_RANGE_EXPR) {
        check_value(c, as_range_expr(loop->source)->from, c->basic[TYPE_INT]);
        check_value(c, as_range_expr(loop->source)->to, c->basic[TYPE_INT]);
        item = c->basic[TYPE_INT];
        loop->source->type = type_list(c->program, item);
    } else {
        Type *source = check_some(c, loop->source, NULL);
        item = poison(c);
        if (source->tag == TYPE_LIST)
            item = type_element(c->program, source);
        else if (source->tag == TYPE_OPT)
            report_optional(c, loop->source, source, "a list");
        else if (source != c->never && source->tag != TYPE_POISON) {
            Diag *diag = diag_not_iterable(c->diags, loop->source->span, text_of(c, source));
            if (source->tag == TYPE_MAP)
                diag_help(c->diags, diag, "loop over `.keys()` or `.values()`");
            else if (source->tag == TYPE_INT)
                diag_help(c->diags, diag, "numbers below n are `0..n`");
        }
    }
    uint32_t facts = c->fact_count;
    facts_forget_mutable(c);
    scope_enter(c);
    node->symbol = scope_declare(c, loop->name, item, node);
    if (loop->index) {
        Ident name = loop->index->kind == AST_NAME_REF ? as_name_ref(loop->index)->name : as_name_expr(loop->index)->name;
        Symbol *index = scope_declare(c, name, c->basic[TYPE_INT], loop->index);
        loop->index->symbol = index;
        node->info = index;
    }
    check_loop_body(c, loop->body);
    scope_leave(c);
    c->fact_count = facts;
}

static void check_while(Checker *c, Ast *node)
{
    Ast_while_stmt *loop = as_while_stmt(node);
    facts_forget_mutable(c);
    check_condition(c, loop->condition);
    if (loop->bound)
        check_value(c, loop->bound, c->basic[TYPE_INT]);
    uint32_t facts = c->fact_count;
    facts_of(c, loop->condition, true);
    check_loop_body(c, loop->body);
    c->fact_count = facts;
}

static Type *check_jump(Checker *c, Ast *node, const char *word)
{
    if (c->body->barrier)
        diag_label(c->diags, diag_leaves_body(c->diags, node->span, word, c->body->barrier), "the loop is around it");
    else if (!c->body->loop_depth)
        diag_outside_loop(c->diags, node->span, word);
    return c->never;
}

Type *check_closed(Checker *c, Ast *block, const char *what)
{
    const char *barrier = c->body->barrier;
    uint32_t depth = c->body->loop_depth;
    if (depth || barrier)
        c->body->barrier = what;
    c->body->loop_depth = 0;
    Type *type = check_block(c, block, BLOCK_STATEMENT, NULL);
    c->body->loop_depth = depth;
    c->body->barrier = barrier;
    return type;
}

/* ---- failure ------------------------------------------------------------------------------------------------ */

void check_error_kind(Checker *c, Ident kind)
{
    Type *kinds = c->program->error_kind;
    if (type_member(kinds, kind.text) < 0)
        diag_did_you_mean(c->diags, diag_unknown_error_kind(c->diags, kind.span, kind.text), kind.text, kinds->members, kinds->member_count);
}

void check_error_details(Checker *c, Ast *details)
{
    if (details->kind != AST_RECORD_EXPR)
        return;
    AstList fields = as_record_expr(details)->fields;
    static const Str known[] = { STR("status"), STR("code"), STR("retry_after") };
    Type *types[] = { c->basic[TYPE_INT], c->basic[TYPE_STRING], c->basic[TYPE_DURATION] };
    for (uint32_t i = 0; i < fields.count; i++) {
        if (fields.items[i]->kind != AST_FIELD_VALUE)
            continue;
        Ast_field_value *field = as_field_value(fields.items[i]);
        int at = -1;
        for (int k = 0; k < 3; k++)
            if (str_eq(known[k], field->name.text))
                at = k;
        if (at < 0)
            diag_did_you_mean(c->diags, diag_unknown_field(c->diags, field->name.span, "an error", field->name.text), field->name.text, known, 3);
        else if (field->value)
            check_value(c, field->value, types[at]);
    }
}

static Type *check_fail(Checker *c, Ast *node)
{
    Ast_fail_stmt *fail = as_fail_stmt(node);
    if (!fail->kind.text.len) {
        check_value(c, fail->message, c->basic[TYPE_ERROR]);
    } else {
        check_error_kind(c, fail->kind);
        check_value(c, fail->message, c->basic[TYPE_STRING]);
    }
    if (fail->details)
        check_error_details(c, fail->details);
    return c->never;
}

static Type *check_catch(Checker *c, Ast *node)
{
    Ast_catch_clause *clause = as_catch_clause(node);
    for (uint32_t i = 0; i < clause->kinds.count; i++)
        if (clause->kinds.items[i]->kind == AST_NAME_REF)
            check_error_kind(c, as_name_ref(clause->kinds.items[i])->name);
    scope_enter(c);
    if (clause->name.text.len)
        node->symbol = scope_declare(c, clause->name, c->basic[TYPE_ERROR], node);
    Type *type = check_block(c, clause->body, BLOCK_STATEMENT, NULL);
    scope_leave(c);
    return type;
}

static Type *check_try(Checker *c, Ast *node)
{
    Ast_try_stmt *stmt = as_try_stmt(node);
    bool never = check_block(c, stmt->body, BLOCK_STATEMENT, NULL) == c->never;
    for (uint32_t i = 0; i < stmt->catches.count; i++)
        if (stmt->catches.items[i]->kind == AST_CATCH_CLAUSE)
            never &= check_catch(c, stmt->catches.items[i]) == c->never;
    if (stmt->finally_block) {
        c->body->finally_depth++;
        never |= check_closed(c, stmt->finally_block, "`finally`") == c->never;
        c->body->finally_depth--;
    }
    return never ? c->never : c->basic[TYPE_VOID];
}

/* ---- store, events, time -------------------------------------------------------------------------------------- */

static Type *check_transaction(Checker *c, Ast *node)
{
    if (c->body->transaction_depth)
        diag_label(c->diags, diag_transaction_nested(c->diags, node->span), "what it holds commits with the outer one anyway");
    note_effect(c, node, FUNC_EFFECT_WRITE | FUNC_EFFECT_TRANSACTION, "a transaction");
    c->body->transaction_depth++;
    Type *type = check_closed(c, as_transaction_stmt(node)->body, "transaction");
    c->body->transaction_depth--;
    return type;
}

static void check_emit(Checker *c, Ast *node)
{
    Ast_emit_stmt *emit = as_emit_stmt(node);
    note_effect(c, node, FUNC_EFFECT_WRITE, "an `emit`");
    node->symbol = require_event(c, emit->event);
    if (node->symbol)
        check_value(c, emit->value, node->symbol->type);
    else
        check_some(c, emit->value, NULL);
}

static void check_signal(Checker *c, Ast *node)
{
    Ast_signal_stmt *stmt = as_signal_stmt(node);
    note_effect(c, node, FUNC_EFFECT_WRITE, "a `signal`");
    if (stmt->run)
        check_value(c, stmt->run, c->basic[TYPE_STRING]);
    else if (!c->in_test)
        diag_help(c->diags, diag_misplaced(c->diags, node->span, "a `signal` without a run", "a test"), "say to whom: `signal run_id %.*s { … }`", STR_ARG(stmt->name.text));
    Symbol *symbol = node->symbol = find_global(c, SYMBOL_SIGNAL, stmt->name.text);
    if (symbol) {
        symbol->is_used = true;
        check_value(c, stmt->value, symbol->type);
        return;
    }
    Diag *diag = diag_unknown_signal(c->diags, stmt->name.span, stmt->name.text);
    suggest_globals(c, diag, stmt->name.text, SYMBOL_SIGNAL);
    check_some(c, stmt->value, NULL);
}

static void check_progress(Checker *c, Ast *node)
{
    note_effect(c, node, 0, "`progress`");
    check_value(c, as_progress_stmt(node)->percent, c->basic[TYPE_INT]);
    if (as_progress_stmt(node)->message)
        check_value(c, as_progress_stmt(node)->message, c->basic[TYPE_STRING]);
}

static Type *check_expression_statement(Checker *c, Ast *node)
{
    Ast *value = as_expr_stmt(node)->value;
    Type *type = check_end(c, value, BLOCK_STATEMENT, NULL);
    node->type = value->type;
    return type == c->never ? type : c->basic[TYPE_VOID];
}

Type *check_statement(Checker *c, Ast *node)
{
    switch (node->kind) {
    case AST_LET_STMT: check_let(c, node); break;
    case AST_ASSIGN_STMT: check_assign(c, node); break;
    case AST_EXPR_STMT: return check_expression_statement(c, node);
    case AST_RETURN_STMT: return check_return(c, node);
    case AST_BLOCK: case AST_IF_STMT: case AST_MATCH_STMT: case AST_PARALLEL_STMT: case AST_PARALLEL_FOR:
        return check_compound(c, node, BLOCK_STATEMENT, NULL) == c->never ? c->never : c->basic[TYPE_VOID];
    case AST_FOR_STMT: check_for(c, node); break;
    case AST_WHILE_STMT: check_while(c, node); break;
    case AST_BREAK_STMT: return check_jump(c, node, "break");
    case AST_CONTINUE_STMT: return check_jump(c, node, "continue");
    case AST_TRY_STMT: return check_try(c, node);
    case AST_FAIL_STMT: return check_fail(c, node);
    case AST_TRANSACTION_STMT: return check_transaction(c, node);
    case AST_SAVE_STMT: check_save(c, node); break;
    case AST_FORGET_STMT: check_forget(c, node); break;
    case AST_COORDINATE_STMT: return check_coordinate(c, node);
    case AST_EMIT_STMT: check_emit(c, node); break;
    case AST_SAGA_STMT: return check_saga(c, node);
    case AST_STEP_STMT: check_step(c, node); break;
    case AST_SLEEP_STMT:
        note_effect(c, node, FUNC_EFFECT_PARK, "`sleep`");
        check_duration(c, as_sleep_stmt(node)->duration);
        break;
    case AST_WAIT_STMT:
        note_effect(c, node, FUNC_EFFECT_PARK, "`wait until`");
        check_value(c, as_wait_stmt(node)->until, c->basic[TYPE_TIMESTAMP]);
        break;
    case AST_PROGRESS_STMT: check_progress(c, node); break;
    case AST_CHECKED_STMT: break;
    case AST_SIGNAL_STMT: check_signal(c, node); break;
    case AST_ERROR: break;
    default:
        if (is_statement(node))
            check_test_statement(c, node);
        else
            return check_expr(c, node, NULL) == c->never ? c->never : c->basic[TYPE_VOID];
    }
    return c->basic[TYPE_VOID];
}
