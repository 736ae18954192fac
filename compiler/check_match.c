/* check_match.c - match: what its patterns cover, and what they leave open.
 *
 * Coverage counts arms without a guard. Enums, bool and the null of an optional are finite and must be covered whole; everything else
 * needs `_` or `let name`.
 */
#include "compiler/check_internal.h"

#include <stdlib.h>

typedef struct Coverage {
    Type *value;                /* of the subject without its null */
    bool optional, null, all;
    bool *members;              /* of ENUM, or false and true of BOOL */
    uint32_t member_count, members_left;
    Map literals;               /* text of those seen */
} Coverage;

static void coverage_init(Checker *c, Coverage *coverage, Type *subject)
{
    *coverage = (Coverage){ .value = type_strip(subject), .optional = subject->tag == TYPE_OPT || subject->tag == TYPE_JSON };
    Type *value = coverage->value;
    coverage->member_count = value->tag == TYPE_ENUM ? value->member_count : value->tag == TYPE_BOOL ? 2 : 0;
    coverage->members_left = coverage->member_count;
    coverage->members = ARENA_ARRAY(c->arena, bool, coverage->member_count + 1);
}

static bool values_covered(const Coverage *coverage)
{
    return coverage->all || (coverage->member_count && !coverage->members_left);
}

static bool is_plain_string(Ast *node)
{
    AstList parts = as_string_expr(node)->parts;
    return parts.count == 0 || (parts.count == 1 && parts.items[0]->kind == AST_TEXT_PART);
}

static bool is_constant(Ast *node)
{
    switch (node->kind) {
    case AST_BOOL_EXPR: case AST_INT_EXPR: case AST_DECIMAL_EXPR: case AST_DURATION_EXPR: case AST_DATE_EXPR: case AST_TIMESTAMP_EXPR: return true;
    case AST_STRING_EXPR: return is_plain_string(node);
    case AST_UNARY_EXPR: return as_unary_expr(node)->op == UNARY_NEG && is_constant(as_unary_expr(node)->operand);
    case AST_NAME_EXPR: case AST_FIELD_EXPR: return node->symbol && node->symbol->kind == SYMBOL_MEMBER;
    case AST_ERROR: return true;
    default: return false;
    }
}

/* Marks one of the finite values; true when it was covered. */
static bool cover_member(Coverage *coverage, uint32_t ordinal, bool guarded)
{
    if (ordinal >= coverage->member_count)
        return false;
    bool before = coverage->members[ordinal];
    if (!before && !guarded) {
        coverage->members[ordinal] = true;
        coverage->members_left--;
    }
    return before;
}

static bool cover_value(Checker *c, Coverage *coverage, Ast *pattern, bool guarded)
{
    if (pattern->symbol && pattern->symbol->kind == SYMBOL_MEMBER)
        return cover_member(coverage, pattern->symbol->ordinal, guarded);
    if (pattern->kind == AST_BOOL_EXPR)
        return cover_member(coverage, as_bool_expr(pattern)->value ? 1 : 0, guarded);
    Str text = span_text(c->program->sources, pattern->span);
    if (map_find(&coverage->literals, text))
        return true;
    if (!guarded)
        map_put(&coverage->literals, text, pattern);
    return false;
}

static void check_constant_pattern(Checker *c, Coverage *coverage, Ast *pattern, bool guarded)
{
    bool unknown = coverage->value->tag == TYPE_POISON;
    Type *type = check_some(c, pattern, unknown ? NULL : coverage->value);
    if (type->tag == TYPE_POISON)
        return;
    if (!is_constant(pattern)) {
        diag_label(c->diags, diag_pattern_not_constant(c->diags, pattern->span), "this is computed; compare it in a guard: `let x if x == …`");
        return;
    }
    if (!unknown && !coerce(c, pattern, coverage->value))
        return;
    bool covered = values_covered(coverage);
    if (cover_value(c, coverage, pattern, guarded) || covered)
        diag_pattern_covered(c->diags, pattern->span);
}

static void check_pattern(Checker *c, Coverage *coverage, Ast *pattern, Ast_match_arm *arm, Type *subject)
{
    bool guarded = arm->guard != NULL;
    switch (pattern->kind) {
    case AST_WILDCARD_PATTERN:
        if (values_covered(coverage) && (coverage->null || !coverage->optional))
            diag_pattern_covered(c->diags, pattern->span);
        if (!guarded)
            coverage->all = coverage->null = true;
        break;
    case AST_BIND_PATTERN: {
        Ast_bind_pattern *bind = as_bind_pattern(pattern);
        if (values_covered(coverage))
            diag_pattern_covered(c->diags, pattern->span);
        if (arm->patterns.count > 1)
            diag_misplaced(c->diags, pattern->span, "`let`", "an arm of its own");
        pattern->symbol = scope_declare(c, bind->name, subject->tag == TYPE_OPT ? type_element(c->program, subject) : subject, pattern);
        pattern->type = pattern->symbol->type;
        if (!guarded)
            coverage->all = true;
        break;
    }
    case AST_NULL_EXPR:
        pattern->type = c->basic[TYPE_NULL];
        if (!coverage->optional && coverage->value->tag != TYPE_POISON)
            diag_never_null(c->diags, pattern->span, text_of(c, subject), "null");
        else if (coverage->null)
            diag_pattern_covered(c->diags, pattern->span);
        if (!guarded)
            coverage->null = true;
        break;
    case AST_ERROR:
        coverage->all = coverage->null = true;
        break;
    default:
        check_constant_pattern(c, coverage, pattern, guarded);
    }
}

static void report_open(Checker *c, Ast *node, Coverage *coverage)
{
    Buf missing = { 0 };
    uint32_t shown = 0;
    bool null_open = coverage->optional && !coverage->null && coverage->value->tag != TYPE_JSON;
    if (!values_covered(coverage)) {
        for (uint32_t i = 0; i < coverage->member_count; i++) {
            if (coverage->members[i])
                continue;
            if (shown++ < 5)
                buf_printf(&missing, "%s`%.*s`", shown > 1 ? ", " : "",
                           STR_ARG(coverage->value->tag == TYPE_ENUM ? coverage->value->members[i] : i ? STR("true") : STR("false")));
        }
        if (shown > 5)
            buf_printf(&missing, " and %u more", shown - 5);
        if (!coverage->member_count)
            buf_printf(&missing, "every other %s", text_of(c, coverage->value));
    }
    if (null_open)
        buf_put_text(&missing, missing.len ? " and `null`" : "`null`");
    if (missing.len) {
        Span span = as_match_stmt(node)->subject->span;
        Diag *diag = diag_match_incomplete(c->diags, span, arena_printf(c->arena, "%s", buf_cstr(&missing)));
        diag_label(c->diags, diag, "this is %s", text_of(c, as_match_stmt(node)->subject->type));
        diag_help(c->diags, diag, "add the arms, or `_ => …` for all others");
    }
    buf_free(&missing);
}

static bool has_null_pattern(const Ast_match_arm *arm)
{
    for (uint32_t i = 0; i < arm->patterns.count; i++)
        if (arm->patterns.items[i]->kind == AST_NULL_EXPR || arm->patterns.items[i]->kind == AST_WILDCARD_PATTERN)
            return true;
    return false;
}

static Type *check_arm(Checker *c, Ast_match_arm *arm, Coverage *coverage, Ast *subject, Type *type, BlockMode mode, Type *hint)
{
    uint32_t facts = c->fact_count;
    scope_enter(c);
    bool null_before = coverage->null;
    for (uint32_t i = 0; i < arm->patterns.count; i++)
        check_pattern(c, coverage, arm->patterns.items[i], arm, type);
    if (type->tag == TYPE_OPT && (null_before || !has_null_pattern(arm)))
        facts_add(c, subject);
    if (arm->guard) {
        check_condition(c, arm->guard);
        facts_of(c, arm->guard, true);
    }
    Type *result = check_end(c, arm->body, mode, hint);
    scope_leave(c);
    c->fact_count = facts;
    return result;
}

Type *check_match(Checker *c, Ast *node, BlockMode mode, Type *hint)
{
    Ast_match_stmt *match = as_match_stmt(node);
    Type *subject = check_some(c, match->subject, NULL);
    if (subject == c->never)
        subject = poison(c);
    Coverage coverage;
    coverage_init(c, &coverage, subject);
    Ast **ends = ARENA_ARRAY(c->arena, Ast *, match->arms.count + 1);
    Type **types = ARENA_ARRAY(c->arena, Type *, match->arms.count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < match->arms.count; i++) {
        if (match->arms.items[i]->kind != AST_MATCH_ARM)
            continue;
        Ast_match_arm *arm = as_match_arm(match->arms.items[i]);
        ends[count] = arm->body;
        types[count++] = check_arm(c, arm, &coverage, match->subject, subject, mode, hint);
    }
    map_free(&coverage.literals);
    if (subject->tag != TYPE_POISON)
        report_open(c, node, &coverage);
    Type *type = count ? join_ends(c, ends, types, count, mode) : c->basic[TYPE_VOID];
    if (mode == BLOCK_VALUE && type->tag == TYPE_VOID && type != c->never)
        type = poison(c);
    node->type = type == c->never ? c->basic[TYPE_VOID] : type;
    return type;
}
