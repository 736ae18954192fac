/* check_narrow.c - what is known not to be null.
 *
 * A fact is a path (`x`, `x.note`) whose value is not null from here to the end of the scope that added it; checkers cut the list back to
 * its length at entry. An assignment forgets the facts about its variable for good, and a loop those about every `var`, because its body
 * may come after its end.
 */
#include "compiler/check_internal.h"

static Symbol *path_root(Ast *path)
{
    while (path->kind == AST_FIELD_EXPR)
        path = as_field_expr(path)->object;
    if (path->kind != AST_NAME_EXPR || !path->symbol)
        return NULL;
    return path->symbol->kind == SYMBOL_LOCAL || path->symbol->kind == SYMBOL_PARAM || path->symbol->kind == SYMBOL_COLUMN ? path->symbol : NULL;
}

static bool same_path(Ast *a, Ast *b)
{
    while (a->kind == AST_FIELD_EXPR && b->kind == AST_FIELD_EXPR) {
        if (!str_eq(as_field_expr(a)->name.text, as_field_expr(b)->name.text))
            return false;
        a = as_field_expr(a)->object;
        b = as_field_expr(b)->object;
    }
    return a->kind == AST_NAME_EXPR && b->kind == AST_NAME_EXPR && a->symbol == b->symbol;
}

void facts_add(Checker *c, Ast *path)
{
    Symbol *root = path_root(path);
    if (!root)
        return;
    GROW(c, c->facts, c->fact_count, c->fact_cap);
    c->facts[c->fact_count++] = (Fact){ path, root };
    for (Ast *at = path; at->kind == AST_FIELD_EXPR; at = as_field_expr(at)->object)
        if (as_field_expr(at)->optional)                    /* x?.f is not null: then x is not either */
            facts_add(c, as_field_expr(at)->object);
}

bool facts_know(Checker *c, Ast *path)
{
    if (!c->fact_count)
        return false;
    Symbol *root = path_root(path);
    for (uint32_t i = c->fact_count; root && i-- > 0;)
        if (c->facts[i].root == root && c->facts[i].path && same_path(c->facts[i].path, path))
            return true;
    return false;
}

void facts_forget(Checker *c, Symbol *root)
{
    for (uint32_t i = 0; i < c->fact_count; i++)
        if (c->facts[i].root == root)
            c->facts[i].path = NULL;
}

void facts_forget_mutable(Checker *c)
{
    for (uint32_t i = 0; i < c->fact_count; i++)
        if (c->facts[i].root->is_mutable)
            c->facts[i].path = NULL;
}

static bool is_never_null(Ast *node)
{
    return node->type && node->type->tag != TYPE_OPT && node->type->tag != TYPE_NULL && node->type->tag != TYPE_JSON && node->type->tag != TYPE_POISON;
}

void facts_of(Checker *c, Ast *condition, bool truth)
{
    if (condition->kind == AST_UNARY_EXPR && as_unary_expr(condition)->op == UNARY_NOT) {
        facts_of(c, as_unary_expr(condition)->operand, !truth);
        return;
    }
    if (condition->kind != AST_BINARY_EXPR)
        return;
    Ast_binary_expr *binary = as_binary_expr(condition);
    switch (binary->op) {
    case BINARY_AND: case BINARY_OR:
        if ((binary->op == BINARY_AND) == truth) {
            facts_of(c, binary->left, truth);
            facts_of(c, binary->right, truth);
        }
        break;
    case BINARY_NE: case BINARY_EQ: {
        bool equal = (binary->op == BINARY_EQ) == truth;
        if (!equal && binary->right->kind == AST_NULL_EXPR)
            facts_add(c, binary->left);
        else if (!equal && binary->left->kind == AST_NULL_EXPR)
            facts_add(c, binary->right);
        else if (equal && is_never_null(binary->right))
            facts_add(c, binary->left);
        else if (equal && is_never_null(binary->left))
            facts_add(c, binary->right);
        break;
    }
    default:
        break;
    }
}
