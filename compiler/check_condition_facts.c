/* check_condition_facts.c - what a condition says of null where it is true or false: `x != null && x.y > 3`, `x ? x.y : 0`.
 *
 * A fact is a path, told by its members; nothing in a condition changes a value, so a fact holds where it was learnt. Depth: that of the tree.
 */
#include "compiler/condition_internal.h"

static bool is_path(const Cond *node)
{
    if (node->kind == COND_NAME || node->kind == COND_STEP) return true;
    if (node->kind == COND_MEMBER) return is_path(node->items[0]);
    return node->kind == COND_INDEX && node->items[1]->kind == COND_NUMBER && is_path(node->items[0]);
}

static bool same_path(const Cond *a, const Cond *b)
{
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case COND_NAME: return str_eq(a->text, b->text);
    case COND_STEP: return a->number == b->number;
    case COND_MEMBER: return str_eq(a->text, b->text) && same_path(a->items[0], b->items[0]);
    default: return a->items[1]->kind == COND_NUMBER && b->items[1]->kind == COND_NUMBER && a->items[1]->number == b->items[1]->number
        && same_path(a->items[0], b->items[0]);
    }
}

static void add(CondCheck *c, const Cond *path)
{
    if (c->fact_count == c->fact_cap) {
        uint32_t cap = c->fact_cap ? c->fact_cap * 2 : 16;
        const Cond **grown = ARENA_ARRAY(c->arena, const Cond *, cap);
        if (c->fact_count) memcpy(grown, c->facts, c->fact_count * sizeof *grown);
        c->facts = grown;
        c->fact_cap = cap;
    }
    c->facts[c->fact_count++] = path;
}

/* A path that leads somewhere has led through all of its parts. */
static void add_path(CondCheck *c, const Cond *node)
{
    if (!is_path(node)) return;
    for (;; node = node->items[0]) {
        if (!cond_facts_know(c, node)) add(c, node);
        if (!cond_is_link(node)) return;
    }
}

bool cond_facts_know(const CondCheck *c, const Cond *node)
{
    if (!is_path(node)) return false;
    for (uint32_t i = 0; i < c->fact_count; i++)
        if (same_path(c->facts[i], node)) return true;
    return false;
}

static void of_equality(CondCheck *c, const Cond *node, bool equal)
{
    const Cond *a = node->items[0], *b = node->items[1];
    if (b->kind == COND_NULL && !equal) add_path(c, a);
    if (a->kind == COND_NULL && !equal) add_path(c, b);
    if (!equal || a->kind == COND_NULL || b->kind == COND_NULL) return;
    bool a_there = a->note->sort != SORT_JSON && !note_nullish(a->note), b_there = b->note->sort != SORT_JSON && !note_nullish(b->note);
    if (b_there) add_path(c, a);
    if (a_there) add_path(c, b);
}

void cond_facts_of(CondCheck *c, const Cond *node, bool truth)
{
    if (node->kind == COND_UNARY && node->op == COND_OP_NOT) {
        cond_facts_of(c, node->items[0], !truth);
    } else if (node->kind == COND_BINARY && node->op == (truth ? COND_OP_AND : COND_OP_OR)) {
        cond_facts_of(c, node->items[0], truth);
        cond_facts_of(c, node->items[1], truth);
    } else if (node->kind == COND_BINARY && (node->op == COND_OP_SAME || node->op == COND_OP_EQUAL)) {
        of_equality(c, node, truth);
    } else if (node->kind == COND_BINARY && (node->op == COND_OP_NOT_SAME || node->op == COND_OP_NOT_EQUAL)) {
        of_equality(c, node, !truth);
    } else if (truth && node->note && (sort_is_object(node->note->sort) || node->note->sort == SORT_BOOL)) {
        add_path(c, node);
    }
}
