/* check_expr.c - the type of an expression: literals, conversions, strings; names and operators are next door.
 *
 * check_expr() is one switch over the kinds. What a value becomes at its place is written by convert() into `want`, once, so lower converts
 * where it is told to and nowhere else.
 */
#include "compiler/check_internal.h"
#include "base/re.h"
#include "base/time.h"

Type *poison(Checker *c)
{
    return c->basic[TYPE_POISON];
}

const char *text_of(Checker *c, const Type *type)
{
    return type_text(c->program, type);
}

static Type *check_kind(Checker *c, Ast *node, Type *hint)
{
    Type **basic = c->basic;
    switch (node->kind) {
    case AST_NULL_EXPR: return basic[TYPE_NULL];
    case AST_BOOL_EXPR: return basic[TYPE_BOOL];
    case AST_INT_EXPR: return basic[TYPE_INT];
    case AST_DECIMAL_EXPR: return basic[TYPE_DECIMAL];
    case AST_DURATION_EXPR: return basic[TYPE_DURATION];
    case AST_DATE_EXPR: return basic[TYPE_DATE];
    case AST_TIMESTAMP_EXPR: return basic[TYPE_TIMESTAMP];
    case AST_STRING_EXPR: return check_string(c, node);
    case AST_LIST_EXPR: return check_list(c, node, hint);
    case AST_RECORD_EXPR: return check_record(c, node, hint);
    case AST_NAME_EXPR: return check_name(c, node, hint);
    case AST_FIELD_EXPR: return check_field(c, node, hint);
    case AST_INDEX_EXPR: return check_index(c, node);
    case AST_CALL_EXPR: return check_call(c, node, hint);
    case AST_UNARY_EXPR: return check_unary(c, node, hint);
    case AST_BINARY_EXPR: return check_binary(c, node, hint);
    case AST_AS_EXPR: return check_as(c, node);
    case AST_WITH_EXPR: return check_with(c, node);
    case AST_RETRY_EXPR: case AST_WITHIN_EXPR: case AST_ELSE_EXPR: case AST_ASK_EXPR: case AST_AWAIT_EXPR: case AST_START_EXPR:
        return check_clause_expr(c, node, hint);
    case AST_PLAN_EXPR: return check_run_plan(c, node);
    case AST_CHANGE_EXPR: return check_change(c, node);
    case AST_JSON_EXPR: return basic[TYPE_JSON];
    case AST_EFFECT_EXPR: return check_effect(c, node);
    case AST_CONDITION_EXPR: return check_condition_expr(c, node);
    case AST_CACHED_EXPR: return check_cached(c, node, hint);
    case AST_FROM_EXPR: case AST_AGGREGATE_EXPR: case AST_INSERT_EXPR: case AST_UPDATE_EXPR: case AST_DELETE_EXPR:
        return check_query(c, node, hint);
    case AST_BLOCK: return check_block(c, node, BLOCK_VALUE, hint);
    case AST_IF_STMT: return check_if(c, node, BLOCK_VALUE, hint);
    case AST_MATCH_STMT: return check_match(c, node, BLOCK_VALUE, hint);
    case AST_PARALLEL_STMT: return check_parallel(c, node, BLOCK_VALUE, hint);
    case AST_PARALLEL_FOR: return check_parallel_for(c, node, BLOCK_VALUE, hint);
    case AST_REGEX_EXPR:
        check_regex(c, node);
        diag_regex_misplaced(c->diags, node->span);
        return poison(c);
    case AST_LAMBDA_EXPR:
        diag_lambda_misplaced(c->diags, node->span);
        return poison(c);
    case AST_RANGE_EXPR:                                    /* the grammar has it behind `for … in` only */
    case AST_ERROR: return poison(c);
    default: return check_statement(c, node);
    }
}

Type *check_expr(Checker *c, Ast *node, Type *hint)
{
    Type *type = check_kind(c, node, hint);
    if (type->depth > TYPE_DEPTH_MAX) {
        diag_type_too_deep(c->diags, node->span, TYPE_DEPTH_MAX);
        type = poison(c);
    }
    node->type = type == c->never ? c->basic[TYPE_VOID] : type;
    return type;
}

static const char *what_it_is(Checker *c, Ast *node)
{
    node = called_node(node);
    if (node->kind == AST_CALL_EXPR) {
        CallInfo *info = node->info;
        if (info && info->target)
            return arena_printf(c->arena, "`%.*s`", STR_ARG(info->target->name));
        return "this call";
    }
    return "this";
}

Type *check_some(Checker *c, Ast *node, Type *hint)
{
    Type *type = check_expr(c, node, hint);
    if (type != c->never && type->tag == TYPE_VOID) {
        diag_label(c->diags, diag_no_value(c->diags, node->span, what_it_is(c, node)), "a value is expected here");
        node->type = poison(c);
        return poison(c);
    }
    return type;
}

Type *check_value(Checker *c, Ast *node, Type *target)
{
    Type *type = check_some(c, node, target);
    if (type != c->never && !coerce(c, node, target))
        return poison(c);
    return type == c->never ? c->never : target;
}

/* ---- conversions ------------------------------------------------------------------------------------ */

void convert(Ast *node, Type *to)
{
    if (type_assign(node->type, to) != ASSIGN_SAME)
        node->want = to;
}

/* 0.5 where a float is expected. */
static bool is_decimal_literal(Ast *node)
{
    if (node->kind == AST_UNARY_EXPR && as_unary_expr(node)->op == UNARY_NEG)
        node = as_unary_expr(node)->operand;
    return node->kind == AST_DECIMAL_EXPR;
}

void report_optional(Checker *c, Ast *node, Type *found, const char *expected)
{
    Diag *diag = diag_optional_unhandled(c->diags, node->span, text_of(c, found), expected);
    diag_label(c->diags, diag, "null has to be handled first");
    diag_help(c->diags, diag, "give a value for null with `??` or `else`, or test `!= null` before");
}

/* "CONFIRMED" where a member is expected. */
static void suggest_member(Checker *c, Diag *diag, Ast *node, Type *expected)
{
    expected = type_strip(expected);
    if (node->kind != AST_STRING_EXPR || expected->tag != TYPE_ENUM)
        return;
    AstList parts = as_string_expr(node)->parts;
    if (parts.count != 1 || parts.items[0]->kind != AST_TEXT_PART)
        return;
    Str text = as_text_part(parts.items[0])->text;
    if (type_member(expected, text) >= 0) {
        diag_help(c->diags, diag, "a member of an enum stands without quotes: `%.*s`", STR_ARG(text));
        diag_fix(c->diags, diag, node->span, "%.*s", STR_ARG(text));
    }
}

static void note_difference(Checker *c, Diag *diag, Ast *node, Type *found, Type *expected)
{
    expected = type_strip(expected);
    if (found->tag != TYPE_RECORD || expected->tag != TYPE_RECORD)
        return;
    for (uint32_t i = 0; i < expected->field_count; i++) {
        const TypeField *field = type_field(found, expected->fields[i].name, NULL);
        if (!field) {
            diag_label(c->diags, diag, "it has no field `%.*s`", STR_ARG(expected->fields[i].name));
            return;
        }
        if (type_assign(field->type, expected->fields[i].type) != ASSIGN_SAME) {
            diag_label(c->diags, diag, "its field `%.*s` is %s instead of %s", STR_ARG(field->name), text_of(c, field->type), text_of(c, expected->fields[i].type));
            return;
        }
    }
    diag_label(c->diags, diag, "it has other fields, or in another order");
}

void report_mismatch(Checker *c, Ast *node, Type *found, Type *expected)
{
    if (found->tag == TYPE_POISON || expected->tag == TYPE_POISON)
        return;
    if (found->tag == TYPE_OPT && expected->tag != TYPE_OPT && type_assign(found->element, expected) != ASSIGN_NO) {
        report_optional(c, node, found, text_of(c, expected));
        return;
    }
    Diag *diag = diag_type_mismatch(c->diags, node->span, text_of(c, found), text_of(c, expected));
    note_difference(c, diag, node, found, expected);
    suggest_member(c, diag, node, expected);
    if (found->tag == TYPE_NULL)
        diag_help(c->diags, diag, "a place that may hold null has the type %s?", text_of(c, expected));
    else if (found->tag == TYPE_DECIMAL && expected->tag == TYPE_INT)
        diag_help(c->diags, diag, "drop the fraction with `.to_int()`");
    else if (found->tag == TYPE_TIMESTAMP && expected->tag == TYPE_DATE)
        diag_help(c->diags, diag, "take its day with `.date()`");
    else if (found->tag == TYPE_JSON)
        diag_help(c->diags, diag, "narrow it with `as`");
    else if (expected->tag == TYPE_STRING && type_is_ordered(found))
        diag_help(c->diags, diag, "write it into a string: \"${…}\"");
}

bool coerce(Checker *c, Ast *node, Type *target)
{
    Type *type = node->type;
    if (type_strip(target)->tag == TYPE_FLOAT && type->tag == TYPE_DECIMAL && is_decimal_literal(node)) {
        node->want = target;
        return true;
    }
    switch (type_assign(type, target)) {
    case ASSIGN_SAME: return true;
    case ASSIGN_CONVERT: node->want = target; return true;
    case ASSIGN_NO: break;
    }
    report_mismatch(c, node, type, target);
    return false;
}

void check_condition(Checker *c, Ast *node)
{
    Type *type = check_some(c, node, c->basic[TYPE_BOOL]);
    if (type != c->never)
        coerce(c, node, c->basic[TYPE_BOOL]);
}

void check_duration(Checker *c, Ast *node)
{
    check_value(c, node, c->basic[TYPE_DURATION]);
}

/* ---- strings and patterns ------------------------------------------------------------------------------ */

static bool is_number_format(Str format)
{
    if (!format.len || format.ptr[0] != '0')
        return false;
    if (format.len == 1)
        return true;
    if (format.ptr[1] != '.' || format.len < 3 || format.len > 2 + DECIMAL_DIV_SCALE)
        return false;
    for (size_t i = 2; i < format.len; i++)
        if (format.ptr[i] != '0')
            return false;
    return true;
}

static bool is_time_format(Str format, bool is_date)
{
    static const char *const words[] = { "date", "weekday", "long", "time", "datetime" };
    for (size_t i = 0; i < (is_date ? 3u : 5u); i++)
        if (str_is(format, words[i]))
            return true;
    return false;
}

static void check_format(Checker *c, Ast_interp_part *part, Type *type)
{
    bool fits = type_is_number(type) ? is_number_format(part->format) :
                type->tag == TYPE_DATE || type->tag == TYPE_TIMESTAMP ? is_time_format(part->format, type->tag == TYPE_DATE) : false;
    if (fits)
        return;
    Diag *diag = diag_unknown_format(c->diags, part->head.span, part->format, text_of(c, type));
    if (type_is_number(type))
        diag_help(c->diags, diag, "numbers take `0`, `0.0`, `0.00` …");
    else if (type->tag == TYPE_DATE)
        diag_help(c->diags, diag, "dates take `date`, `weekday` or `long`");
    else if (type->tag == TYPE_TIMESTAMP)
        diag_help(c->diags, diag, "timestamps take `date`, `time`, `datetime`, `weekday` or `long`");
    else
        diag_help(c->diags, diag, "only numbers, dates and timestamps take a format");
}

Type *check_string(Checker *c, Ast *node)
{
    AstList parts = as_string_expr(node)->parts;
    unsigned labels = 0;
    for (uint32_t i = 0; i < parts.count; i++) {
        if (parts.items[i]->kind != AST_INTERP_PART)
            continue;
        Ast_interp_part *part = as_interp_part(parts.items[i]);
        Type *type = check_some(c, part->value, NULL);
        if (type == c->never || type->tag == TYPE_POISON)
            continue;
        labels |= type->labels;
        if (type->tag == TYPE_OPT || type->tag == TYPE_NULL)
            report_optional(c, part->value, type, "a value to show");
        else if (part->format.len)
            check_format(c, part, type);
    }
    return type_labeled(c->program, c->basic[TYPE_STRING], labels);
}

void check_regex(Checker *c, Ast *node)
{
    if (node->kind != AST_REGEX_EXPR)
        return;
    Ast_regex_expr *regex = as_regex_expr(node);
    Re *re = NULL;
    size_t offset = 0;
    Error error = { 0 };
    if (re_compile(regex->pattern, regex->flags, &re, &offset, &error) == ERR_OK) {
        re_free(re);
        return;
    }
    Span span = node->span;
    uint32_t place = span.start + 1 + (uint32_t)(offset < regex->pattern.len ? offset : regex->pattern.len);
    if (place < span.end)
        span = (Span){ place, place + 1, span.file };
    diag_label(c->diags, diag_regex_invalid(c->diags, span, arena_printf(c->arena, "%s", error.text)), "from here");
}
