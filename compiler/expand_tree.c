/* expand_tree.c - making trees: text of the compiler's own, parsed and put where the author's construct stands. */
#include "compiler/expand_internal.h"

#include "dsl/syntax/parse.h"

/* The text is no file of the program: it has the author's place, and no other is ever shown. */
AstList expand_parse(Expander *x, Str text, Span span)
{
    Source source = { .path = STR("-"), .index = span.file };
    char *copy = arena_alloc(x->arena, text.len + 2);
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = copy[text.len + 1] = 0;                    /* as flex wants */
    source.text = (Str){ copy, text.len };
    Diags diags;
    diags_init(&diags);
    Module *module = parse_module(x->arena, &source, &diags);
    const char *problem = diags.error_count ? arena_printf(x->arena, "%s", diags.items[0]->message) : NULL;
    diags_deinit(&diags);
    if (problem) {
        Diag *diag = diag_aggregate_boundary(x->diags, span, arena_printf(x->arena, "what this is made of cannot be written: %s", problem));
        diag_help(x->diags, diag, "a name in it is a word of the language where the compiler uses it: choose another one");
        return (AstList){ 0 };
    }
    ast_make_at(&module->root->head, span);
    return module->root->items;
}

Ast *expand_statement(Expander *x, Str text, Span span)
{
    Buf whole = { 0 };
    buf_printf(&whole, "fn __made() -> int {\n%.*s\n}\n", STR_ARG(text));
    AstList items = expand_parse(x, buf_str(&whole), span);
    buf_free(&whole);
    return items.count ? as_block(as_fn_decl(items.items[0])->body)->items.items[0] : expand_given_up(x, span);
}

/* What was diagnosed already: nothing follows from it. */
Ast *expand_given_up(Expander *x, Span span)
{
    Ast_error *node = ARENA_NEW(x->arena, Ast_error);
    *node = (Ast_error){ .head = { .kind = AST_ERROR, .span = span, .made = true } };
    return &node->head;
}

/* ---- nodes ------------------------------------------------------------------------------------------------ */

#define MADE(x, node_kind, node_name, at) made((x), AST_##node_kind, sizeof(Ast_##node_name), (at))
static Ast *made(Expander *x, AstKind kind, size_t size, Span span)
{
    Ast *node = arena_alloc(x->arena, size);
    memset(node, 0, size);
    node->kind = kind;
    node->span = span;
    node->made = true;
    return node;
}

Ast *expand_name(Expander *x, Span span, const char *text)
{
    Ast *node = MADE(x, NAME_EXPR, name_expr, span);
    as_name_expr(node)->name = (Ident){ arena_str(x->arena, str_of(text)), span };
    return node;
}

Ast *expand_field(Expander *x, Span span, const char *object, Str field)
{
    Ast *node = MADE(x, FIELD_EXPR, field_expr, span);
    as_field_expr(node)->object = expand_name(x, span, object);
    as_field_expr(node)->name = (Ident){ field, span };
    return node;
}

Ast *expand_let(Expander *x, Span span, bool mutable, const char *name, Ast *type, Ast *value)
{
    Ast *node = MADE(x, LET_STMT, let_stmt, span);
    as_let_stmt(node)->mutable = mutable;
    as_let_stmt(node)->name = (Ident){ str_of(name), span };
    as_let_stmt(node)->type = type;
    as_let_stmt(node)->value = value;
    return node;
}

static Ast *binary(Expander *x, BinaryOp op, Ast *left, Ast *right)
{
    Ast *node = MADE(x, BINARY_EXPR, binary_expr, left->span);
    as_binary_expr(node)->op = (int)op;
    as_binary_expr(node)->left = left;
    as_binary_expr(node)->right = right;
    return node;
}

Ast *expand_equal(Expander *x, Span span, Ast *left, Ast *right)
{
    Ast *node = binary(x, BINARY_EQ, left, right);
    node->span = span;
    return node;
}

Ast *expand_and(Expander *x, Ast *left, Ast *right)
{
    return right ? binary(x, BINARY_AND, left, right) : left;
}

/* ---- lists ------------------------------------------------------------------------------------------------- */

void expand_append_all(Expander *x, AstList *list, AstList items)
{
    if (!items.count)
        return;
    Ast **grown = ARENA_ARRAY(x->arena, Ast *, list->count + items.count);
    if (list->count)
        memcpy(grown, list->items, list->count * sizeof *grown);
    memcpy(grown + list->count, items.items, items.count * sizeof *grown);
    *list = (AstList){ grown, list->count + items.count };
}

void expand_append(Expander *x, AstList *list, Ast *item)
{
    expand_append_all(x, list, (AstList){ &item, 1 });
}

/* ---- looking ------------------------------------------------------------------------------------------------ */

Str expand_source(Expander *x, const Ast *node)
{
    return span_text(x->program->sources, node->span);
}

bool expand_is_name(const Ast *node, const char *name)
{
    return node->kind == AST_NAME_EXPR && str_is(((const Ast_name_expr *)(const void *)node)->name.text, name);
}

static bool mentions(Ast *node, void *arg)
{
    Str name = *(const Str *)arg;
    if (node->kind == AST_NAME_EXPR && str_eq(as_name_expr(node)->name.text, name))
        return false;
    if (node->kind == AST_FIELD_VALUE && !as_field_value(node)->value && str_eq(as_field_value(node)->name.text, name))
        return false;
    return ast_each_child(node, mentions, arg);
}

bool expand_mentions(Ast *root, Str name)
{
    return !mentions(root, &name);
}

typedef struct Hole { Ast_block *block; uint32_t index; } Hole;

static bool is_hole(const Ast *node)
{
    if (node->kind != AST_EXPR_STMT)
        return false;
    const Ast *value = ((const Ast_expr_stmt *)(const void *)node)->value;
    return value->kind == AST_CALL_EXPR && expand_is_name(((const Ast_call_expr *)(const void *)value)->callee, "__body");
}

static bool find_hole(Ast *node, void *arg)
{
    Hole *hole = arg;
    if (node->kind == AST_BLOCK)
        for (uint32_t i = 0; i < as_block(node)->items.count; i++)
            if (is_hole(as_block(node)->items.items[i])) {
                *hole = (Hole){ as_block(node), i };
                return false;
            }
    return ast_each_child(node, find_hole, arg);
}

Ast_block *expand_hole(Ast *root, uint32_t *index)
{
    Hole hole = { 0 };
    find_hole(root, &hole);
    *index = hole.index;
    return hole.block;
}

void expand_fill(Expander *x, Ast *root, AstList statements)
{
    uint32_t index;
    Ast_block *block = expand_hole(root, &index);
    assert(block);
    AstList filled = { 0 };
    expand_append_all(x, &filled, (AstList){ block->items.items, index });
    expand_append_all(x, &filled, statements);
    expand_append_all(x, &filled, (AstList){ block->items.items + index + 1, block->items.count - index - 1 });
    block->items = filled;
}
