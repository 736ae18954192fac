/* check_render.c - which part of a query expression runs in the store.
 *
 * The largest sub-expressions that touch no row are hoisted: evaluated before the query and passed as parameters. What touches a row must
 * be something the store can do on every back end: the operators of bytecode/query.h, and nothing else.
 */
#include "compiler/check_internal.h"

typedef struct Touch { const QueryInfo *info; bool nested, found; } Touch;

static bool is_row_symbol(const QueryInfo *info, const Symbol *symbol)
{
    return symbol && symbol->kind == SYMBOL_LOCAL && symbol->info == info;
}

static bool is_nested_query(const Ast *node)
{
    switch (node->kind) {
    case AST_FROM_EXPR: case AST_UPDATE_EXPR: case AST_DELETE_EXPR: return true;
    case AST_AGGREGATE_EXPR: case AST_CALL_EXPR: return node->symbol && node->symbol->kind == SYMBOL_TABLE;
    default: return false;
    }
}

static bool visit_touch(Ast *node, void *arg)
{
    Touch *touch = arg;
    if (node->kind == AST_NAME_EXPR) {
        bool column = node->symbol && node->symbol->kind == SYMBOL_COLUMN && !touch->nested;
        touch->found |= column || is_row_symbol(touch->info, node->symbol);
    } else if (node->kind == AST_FIELD_VALUE && !as_field_value(node)->value && node->info) {
        visit_touch(node->info, touch);
    } else {
        bool outer = touch->nested;
        touch->nested |= is_nested_query(node);
        ast_each_child(node, visit_touch, touch);
        touch->nested = outer;
    }
    return !touch->found;
}

static bool touches(const QueryInfo *info, Ast *node)
{
    Touch touch = { .info = info };
    visit_touch(node, &touch);
    return touch.found;
}

void hoist(Checker *c, QueryInfo *info, Ast *node)
{
    uint32_t count = info->hoisted_count;
    if ((count & (count - 1)) == 0) {                       /* full at every power of two */
        Ast **grown = ARENA_ARRAY(c->arena, Ast *, count ? count * 2 : 1);
        if (count)
            memcpy(grown, info->hoisted, sizeof *grown * count);
        info->hoisted = grown;
    }
    info->hoisted[info->hoisted_count++] = node;
}

static void refuse(Checker *c, Ast *node, const char *what)
{
    Diag *diag = diag_not_in_store(c->diags, node->span, what);
    diag_label(c->diags, diag, "it depends on a row");
    diag_help(c->diags, diag, "read the rows first and compute it over the list");
}

static const char *operator_name(BinaryOp op)
{
    switch (op) {
    case BINARY_DIV: return "division";
    case BINARY_MOD: return "`%`";
    case BINARY_MATCH: case BINARY_NOT_MATCH: return "a regular expression";
    default: return "this operator";
    }
}

static bool renders_arithmetic(const Type *left, const Type *right, BinaryOp op)
{
    if (type_is_number(left) && type_is_number(right))
        return true;
    if (op == BINARY_MUL)
        return left->tag == TYPE_DURATION || right->tag == TYPE_DURATION;
    if (op == BINARY_ADD && left->tag != TYPE_DATE && type_is_ordered(left) && type_is_ordered(right))
        return left->tag == TYPE_STRING || left->tag == TYPE_ID || right->tag == TYPE_DURATION;
    return op == BINARY_SUB && left->tag == TYPE_TIMESTAMP && (right->tag == TYPE_DURATION || right->tag == TYPE_TIMESTAMP);
}

/* The store compares what has one representation everywhere. */
static bool renders_comparison(const Type *type)
{
    type = type_strip((Type *)type);
    return type_is_ordered(type) || type->tag == TYPE_BOOL || type->tag == TYPE_ENUM || type->tag == TYPE_BYTES;
}

/* It widens ints, and converts nothing else: nothing becomes json there. An id is a string. */
static bool check_conversion(Checker *c, Ast *node)
{
    if (!node->want)
        return true;
    TypeTag from = type_strip(node->type)->tag, to = type_strip(node->want)->tag;
    bool widens = from == TYPE_INT && (to == TYPE_DECIMAL || to == TYPE_FLOAT), texts = from == TYPE_ID && to == TYPE_STRING;
    if (from == to || widens || texts)
        return true;
    refuse(c, node, arena_printf(c->arena, "a conversion from %s to %s", text_of(c, node->type), text_of(c, node->want)));
    return false;
}

static void render_binary(Checker *c, QueryScope *query, Ast *node)
{
    Ast_binary_expr *binary = as_binary_expr(node);
    switch ((BinaryOp)binary->op) {
    case BINARY_EQ: case BINARY_NE:
        if (node->info && binary->left->kind != AST_NULL_EXPR && binary->right->kind != AST_NULL_EXPR && !renders_comparison(node->info)) {
            refuse(c, node, arena_printf(c->arena, "a comparison of %s", text_of(c, node->info)));
            return;
        }
        if (binary->left->kind != AST_NULL_EXPR)
            render(c, query, binary->left);
        if (binary->right->kind != AST_NULL_EXPR)
            render(c, query, binary->right);
        return;
    case BINARY_OR: case BINARY_AND: case BINARY_LT: case BINARY_LE: case BINARY_GT: case BINARY_GE: case BINARY_COALESCE:
        break;
    case BINARY_IN:
        if (touches(query->info, binary->right)) {
            refuse(c, binary->right, "a list made of columns");
            return;
        }
        break;
    case BINARY_ADD: case BINARY_SUB: case BINARY_MUL:
        if (binary->left->type->tag != TYPE_POISON && binary->right->type->tag != TYPE_POISON &&
            !renders_arithmetic(binary->left->type, binary->right->type, (BinaryOp)binary->op)) {
            refuse(c, node, "arithmetic of dates and durations");
            return;
        }
        break;
    default:
        refuse(c, node, operator_name((BinaryOp)binary->op));
        return;
    }
    render(c, query, binary->left);
    render(c, query, binary->right);
}

static bool renders_builtin(Builtin builtin)
{
    return builtin == BUILTIN_STR_CONTAINS || builtin == BUILTIN_STR_STARTS || builtin == BUILTIN_STR_ENDS || builtin == BUILTIN_STR_LOWER ||
           builtin == BUILTIN_STR_UPPER;
}

static void render_call(Checker *c, QueryScope *query, Ast *node)
{
    CallInfo *info = node->info;
    if (!info || (node->symbol && node->symbol->kind == SYMBOL_TABLE)) {
        if (info)
            refuse(c, node, "a query about every row of another");
        return;                                             /* an aggregate of the group; its column was checked */
    }
    if (info->kind == CALL_BUILTIN && renders_builtin(info->builtin)) {
        for (uint32_t i = 0; i < info->arg_count; i++)
            render(c, query, info->args[i]);
        return;
    }
    Ast *callee = as_call_expr(node)->callee;
    Str name = callee->kind == AST_NAME_EXPR ? as_name_expr(callee)->name.text : callee->kind == AST_FIELD_EXPR ? as_field_expr(callee)->name.text : STR("this");
    refuse(c, node, arena_printf(c->arena, "a call of `%.*s`", STR_ARG(name)));
}

/* Behind a grouping a column is known only if it is what the groups have in common. */
static void check_grouped(Checker *c, QueryScope *query, Ast *node)
{
    if (!query->group || !query->in_outputs || ast_equal(node, query->group))
        return;
    Diag *diag = diag_not_in_store(c->diags, node->span, "a column outside of the group");
    diag_label(c->diags, diag, "the rows of a group differ in it");
    diag_note(c->diags, diag, query->group->span, "grouped by this");
    diag_help(c->diags, diag, "take `min`, `max`, `sum`, `avg` or `count` of it");
}

void render(Checker *c, QueryScope *query, Ast *node)
{
    if (!node || !node->type || node->type->tag == TYPE_POISON)
        return;
    if (!touches(query->info, node)) {
        hoist(c, query->info, node);
        return;
    }
    if (!check_conversion(c, node))
        return;
    switch (node->kind) {
    case AST_NAME_EXPR:
        if (is_row_symbol(query->info, node->symbol))
            refuse(c, node, "a whole row");
        else
            check_grouped(c, query, node);
        return;
    case AST_FIELD_EXPR: {
        FieldInfo *info = node->info;
        if (!info || info->kind != FIELD_COLUMN)
            refuse(c, node, "a field of a value in a column");
        else
            check_grouped(c, query, node);
        return;
    }
    case AST_BINARY_EXPR: render_binary(c, query, node); return;
    case AST_UNARY_EXPR:
        if (as_unary_expr(node)->op == UNARY_NOT)
            render(c, query, as_unary_expr(node)->operand);
        else
            refuse(c, node, "a change of sign");
        return;
    case AST_CALL_EXPR: render_call(c, query, node); return;
    case AST_AGGREGATE_EXPR:
        if (node->info)
            refuse(c, node, "a query about every row of another");
        return;
    case AST_STRING_EXPR: refuse(c, node, "a string made of columns"); return;
    case AST_FROM_EXPR: refuse(c, node, "a query about every row of another"); return;
    case AST_RECORD_EXPR: case AST_LIST_EXPR: refuse(c, node, "a value made of columns inside of another"); return;
    default: refuse(c, node, "this expression"); return;
    }
}
