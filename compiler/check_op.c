/* check_op.c - operators. operator_type() holds the table of arithmetic; assignments with an operator use it too.
 *
 * int becomes decimal or float beside one; decimal and float do not mix (money and measurements), except that a literal such as 0.5 is a
 * float where one stands beside it. Comparisons give an unlabelled bool; everything else joins the labels of its operands.
 */
#include "compiler/check_internal.h"
#include "base/time.h"

static const char *const op_text[] = {
    [BINARY_OR] = "or", [BINARY_AND] = "and", [BINARY_EQ] = "==", [BINARY_NE] = "!=", [BINARY_LT] = "<", [BINARY_LE] = "<=", [BINARY_GT] = ">",
    [BINARY_GE] = ">=", [BINARY_IN] = "in", [BINARY_MATCH] = "=~", [BINARY_NOT_MATCH] = "!~", [BINARY_COALESCE] = "??", [BINARY_ADD] = "+",
    [BINARY_SUB] = "-", [BINARY_MUL] = "*", [BINARY_DIV] = "/", [BINARY_MOD] = "%",
};

Type *check_unary(Checker *c, Ast *node, Type *hint)
{
    Ast_unary_expr *unary = as_unary_expr(node);
    if (unary->op == UNARY_NOT) {
        check_condition(c, unary->operand);
        return c->basic[TYPE_BOOL];
    }
    Type *type = check_some(c, unary->operand, hint);
    if (type == c->never || type->tag == TYPE_POISON || type_is_number(type) || type->tag == TYPE_DURATION)
        return type == c->never ? poison(c) : type;
    if (type->tag == TYPE_OPT)
        report_optional(c, unary->operand, type, "a number");
    else
        diag_operator_type(c->diags, node->span, "-", text_of(c, type));
    return poison(c);
}

/* ---- arithmetic ----------------------------------------------------------------------------------------- */

static bool is_literal(Ast *node)
{
    if (node->kind == AST_UNARY_EXPR)
        node = as_unary_expr(node)->operand;
    return node->kind == AST_DECIMAL_EXPR;
}

/* int, decimal, float: the wider of two, or NULL. */
static Type *number_type(Checker *c, Ast *left, Ast *right)
{
    TypeTag a = left->type->tag, b = right->type->tag;
    if (!type_is_number(left->type) || !type_is_number(right->type))
        return NULL;
    if (a == b)
        return c->basic[a];
    if (a == TYPE_FLOAT || b == TYPE_FLOAT) {
        Ast *other = a == TYPE_FLOAT ? right : left;
        return other->type->tag == TYPE_INT || is_literal(other) ? c->basic[TYPE_FLOAT] : NULL;
    }
    return c->basic[TYPE_DECIMAL];
}

static bool is_text(const Type *type)
{
    return type->tag == TYPE_STRING || type->tag == TYPE_ID;
}

static void check_whole_days(Checker *c, Ast *date, Ast *duration)
{
    if (date->type->tag != TYPE_DATE || duration->kind != AST_DURATION_EXPR || as_duration_expr(duration)->us % TIME_DAY == 0)
        return;
    Diag *diag = diag_constant_expected(c->diags, duration->span, "found a duration with a part of a day", "whole days beside a date");
    diag_help(c->diags, diag, "`.at(0s)` makes a timestamp of a date");
}

/* Operators on times; NULL when there is none. */
static Type *time_type(Checker *c, BinaryOp op, Ast *left, Ast *right)
{
    TypeTag a = left->type->tag, b = right->type->tag;
    Type **basic = c->basic;
    bool moment = a == TYPE_TIMESTAMP || a == TYPE_DATE;
    switch (op) {
    case BINARY_ADD:
        if ((moment || a == TYPE_DURATION) && b == TYPE_DURATION) {
            check_whole_days(c, left, right);
            return basic[a];
        }
        return NULL;
    case BINARY_SUB:
        if (moment && b == a)
            return basic[TYPE_DURATION];
        if ((moment || a == TYPE_DURATION) && b == TYPE_DURATION) {
            check_whole_days(c, left, right);
            return basic[a];
        }
        return NULL;
    case BINARY_MUL:
        return (a == TYPE_DURATION && b == TYPE_INT) || (a == TYPE_INT && b == TYPE_DURATION) ? basic[TYPE_DURATION] : NULL;
    case BINARY_DIV:
        if (a == TYPE_DURATION && b == TYPE_DURATION)
            return basic[TYPE_INT];
        return a == TYPE_DURATION && b == TYPE_INT ? basic[TYPE_DURATION] : NULL;
    default:
        return NULL;
    }
}

static Type *report_operator(Checker *c, Ast *node, BinaryOp op, Ast *left, Ast *right)
{
    if (left->type->tag == TYPE_POISON || right->type->tag == TYPE_POISON)
        return poison(c);
    if (left->type->tag == TYPE_OPT || right->type->tag == TYPE_OPT) {
        Ast *optional = left->type->tag == TYPE_OPT ? left : right;
        report_optional(c, optional, optional->type, arena_printf(c->arena, "a value for `%s`", op_text[op]));
        return poison(c);
    }
    Diag *diag = diag_operator_types(c->diags, node->span, op_text[op], text_of(c, left->type), text_of(c, right->type));
    TypeTag a = left->type->tag, b = right->type->tag;
    if (op == BINARY_ADD && (is_text(left->type) || is_text(right->type)))
        diag_help(c->diags, diag, "write values into strings: \"… ${value}\"");
    else if ((a == TYPE_DECIMAL && b == TYPE_FLOAT) || (a == TYPE_FLOAT && b == TYPE_DECIMAL))
        diag_help(c->diags, diag, "choose one: `.to_decimal()` or `.to_float()`");
    else if (op == BINARY_ADD && a == TYPE_LIST)
        diag_help(c->diags, diag, "lists are joined by `.concat(…)` and extended by `.append(…)`");
    else if ((a == TYPE_DATE && b == TYPE_TIMESTAMP) || (a == TYPE_TIMESTAMP && b == TYPE_DATE))
        diag_help(c->diags, diag, "`.date()` takes the day of a timestamp, `.at(0s)` makes a timestamp of a date");
    else if (a == TYPE_JSON || b == TYPE_JSON)
        diag_help(c->diags, diag, "narrow json with `as` first");
    else if (op == BINARY_IN && is_text(right->type))
        diag_help(c->diags, diag, "a part of a string is found by `.contains(…)`");
    return poison(c);
}

Type *operator_type(Checker *c, Ast *node, BinaryOp op, Ast *left, Ast *right, Type **operands)
{
    Type *result = time_type(c, op, left, right);
    *operands = left->type;
    if (!result && op == BINARY_ADD && is_text(left->type) && is_text(right->type))
        result = *operands = c->basic[TYPE_STRING];
    if (!result) {
        Type *number = number_type(c, left, right);
        if (number && (op != BINARY_MOD || number->tag != TYPE_FLOAT)) {
            result = *operands = number;
            convert(left, number);
            convert(right, number);
        }
    }
    if (!result)
        return report_operator(c, node, op, left, right);
    return type_labeled(c->program, result, left->type->labels | right->type->labels);
}

/* ---- comparisons ------------------------------------------------------------------------------------------ */

static bool is_null(Ast *node)
{
    return node->type->tag == TYPE_NULL;
}

static Type *check_null_test(Checker *c, Ast *node, BinaryOp op, Ast *value)
{
    Type *type = value->type;
    if (type->tag != TYPE_OPT && type->tag != TYPE_JSON && type->tag != TYPE_NULL && type->tag != TYPE_POISON) {
        Diag *diag = diag_never_null(c->diags, node->span, text_of(c, type), op == BINARY_EQ ? "== null" : "!= null");
        diag_label(c->diags, diag, "this is always %s", op == BINARY_EQ ? "false" : "true");
    }
    node->info = type;
    return c->basic[TYPE_BOOL];
}

static bool comparable(const Type *type)
{
    return type->tag != TYPE_ERROR && type->tag != TYPE_VOID;
}

static Type *check_equality(Checker *c, Ast *node, BinaryOp op, Ast *left, Ast *right)
{
    if (is_null(left) || is_null(right))
        return check_null_test(c, node, op, is_null(right) ? left : right);
    Type *number = number_type(c, left, right);
    Type *both = number ? number : type_unify(c->program, left->type, right->type);
    if (!both || !comparable(both)) {
        Type *expected = type_strip(left->type);
        if (expected->tag == TYPE_ENUM && right->kind == AST_STRING_EXPR)
            report_mismatch(c, right, right->type, expected);
        else if (!(left->type->tag == TYPE_OPT || right->type->tag == TYPE_OPT))
            report_operator(c, node, op, left, right);
        else
            diag_operator_types(c->diags, node->span, op_text[op], text_of(c, left->type), text_of(c, right->type));
        return c->basic[TYPE_BOOL];
    }
    convert(left, both);
    convert(right, both);
    node->info = both;
    return c->basic[TYPE_BOOL];
}

static Type *check_order(Checker *c, Ast *node, BinaryOp op, Ast *left, Ast *right)
{
    Type *number = number_type(c, left, right);
    Type *both = number ? number : type_assign(left->type, right->type) == ASSIGN_SAME ? left->type : NULL;
    if (!both || !type_is_ordered(both)) {
        report_operator(c, node, op, left, right);
        return c->basic[TYPE_BOOL];
    }
    convert(left, both);
    convert(right, both);
    node->info = both;
    return c->basic[TYPE_BOOL];
}

static Type *check_in(Checker *c, Ast *node)
{
    Ast_binary_expr *binary = as_binary_expr(node);
    bool member = could_be_member(c, binary->left);
    if (!member)
        check_some(c, binary->left, NULL);
    Type *hint = member || binary->left->type->tag == TYPE_POISON ? NULL : type_list(c->program, type_strip(binary->left->type));
    Type *list = check_some(c, binary->right, hint);
    if (member)
        check_some(c, binary->left, list->tag == TYPE_LIST ? list->element : NULL);
    if (list->tag == TYPE_LIST) {
        node->info = list->element;
        coerce(c, binary->left, list->element);
    } else if (list->tag == TYPE_MAP) {
        node->info = c->basic[TYPE_STRING];
        coerce(c, binary->left, c->basic[TYPE_STRING]);
    } else {
        report_operator(c, node, BINARY_IN, binary->left, binary->right);
    }
    return c->basic[TYPE_BOOL];
}

static Type *check_match_operator(Checker *c, Ast *node)
{
    Ast_binary_expr *binary = as_binary_expr(node);
    check_value(c, binary->left, c->basic[TYPE_STRING]);
    node->info = c->basic[TYPE_STRING];
    if (binary->right->kind == AST_REGEX_EXPR) {
        check_regex(c, binary->right);
        binary->right->type = c->basic[TYPE_STRING];
    } else if (binary->right->kind != AST_ERROR) {
        Type *found = check_some(c, binary->right, NULL);
        diag_help(c->diags, diag_type_mismatch(c->diags, binary->right->span, text_of(c, found), "a regular expression such as `/flight|airport/i`"),
                  "patterns are written in the program, never made while it runs");
    }
    return c->basic[TYPE_BOOL];
}

static Type *check_logic(Checker *c, Ast *node)
{
    Ast_binary_expr *binary = as_binary_expr(node);
    uint32_t facts = c->fact_count;
    check_condition(c, binary->left);
    facts_of(c, binary->left, binary->op == BINARY_AND);
    check_condition(c, binary->right);
    c->fact_count = facts;
    node->info = c->basic[TYPE_BOOL];
    return c->basic[TYPE_BOOL];
}

static Type *check_coalesce(Checker *c, Ast *node, Type *hint)
{
    Ast_binary_expr *binary = as_binary_expr(node);
    Type *left = check_some(c, binary->left, hint && hint->tag != TYPE_JSON ? type_optional(c->program, hint) : hint);
    Type *value = left == c->never ? poison(c) : type_strip(left);
    Type *right = check_some(c, binary->right, value->tag == TYPE_POISON || value->tag == TYPE_NULL ? hint : value);
    if (right == c->never || value->tag == TYPE_POISON || right->tag == TYPE_POISON)
        return value;
    if (left->tag != TYPE_OPT && left->tag != TYPE_JSON) {
        Diag *diag = diag_never_null(c->diags, binary->left->span, text_of(c, left), "??");
        diag_label(c->diags, diag, "the right side is never used");
        return left;
    }
    Type *result = right->tag == TYPE_OPT || right->tag == TYPE_NULL ? left : value;
    node->info = result;
    if (!coerce(c, binary->right, result))
        return poison(c);
    return type_labeled(c->program, result, left->labels | right->labels);
}

Type *check_binary(Checker *c, Ast *node, Type *hint)
{
    Ast_binary_expr *binary = as_binary_expr(node);
    BinaryOp op = (BinaryOp)binary->op;
    switch (op) {
    case BINARY_AND: case BINARY_OR: return check_logic(c, node);
    case BINARY_IN: return check_in(c, node);
    case BINARY_MATCH: case BINARY_NOT_MATCH: return check_match_operator(c, node);
    case BINARY_COALESCE: return check_coalesce(c, node, hint);
    default: break;
    }
    bool comparison = op >= BINARY_EQ && op <= BINARY_GE;
    if (comparison && could_be_member(c, binary->left)) {   /* CONFIRMED == status: the right side knows the enum */
        Type *right = check_some(c, binary->right, NULL);
        check_some(c, binary->left, right);
    } else {
        Type *left = check_some(c, binary->left, comparison ? NULL : hint);
        check_some(c, binary->right, comparison ? left : hint);
    }
    if (binary->left->type->tag == TYPE_POISON || binary->right->type->tag == TYPE_POISON || binary->left->type->tag == TYPE_VOID || binary->right->type->tag == TYPE_VOID)
        return comparison ? c->basic[TYPE_BOOL] : poison(c);
    if (op == BINARY_EQ || op == BINARY_NE)
        return check_equality(c, node, op, binary->left, binary->right);
    if (comparison)
        return check_order(c, node, op, binary->left, binary->right);
    Type *operands;
    Type *result = operator_type(c, node, op, binary->left, binary->right, &operands);
    node->info = operands;
    return result;
}
