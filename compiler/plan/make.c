/* make.c - nodes, one function for each kind that plans are made of. */
#include "compiler/plan/make.h"

#include <stdarg.h>
#include <stdio.h>

#define MADE(m, node_kind, node_name) ((Ast_##node_name *)made((m), AST_##node_kind, sizeof(Ast_##node_name)))

static Ast *made(Maker *m, AstKind kind, size_t size)
{
    Ast *node = arena_alloc(m->arena, size);
    node->kind = kind;
    node->span = m->span;
    node->made = true;
    return node;
}

static Ident ident(Maker *m, Str text) { return (Ident){ text, m->span }; }

void nodes_add(Maker *m, Nodes *nodes, Ast *node)
{
    if (nodes->count == nodes->cap) {
        nodes->cap = nodes->cap ? nodes->cap * 2 : 8;
        Ast **grown = ARENA_ARRAY(m->arena, Ast *, nodes->cap);
        if (nodes->count)
            memcpy(grown, nodes->items, nodes->count * sizeof *grown);
        nodes->items = grown;
    }
    nodes->items[nodes->count++] = node;
}

/* Lists of nodes that are finished have no room: those that grow are grown by doubling at each power of two. */
static void list_add(Maker *m, AstList *list, Ast *node)
{
    if (!(list->count & (list->count - 1))) {
        Ast **grown = ARENA_ARRAY(m->arena, Ast *, list->count ? list->count * 2 : 1);
        if (list->count)
            memcpy(grown, list->items, list->count * sizeof *grown);
        list->items = grown;
    }
    list->items[list->count++] = node;
}

Str make_text(Maker *m, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length < 0)
        length = 0;
    return arena_str(m->arena, (Str){ text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1 });
}

/* ---- expressions ----------------------------------------------------------------------------------------- */

Ast *make_null(Maker *m) { return &MADE(m, NULL_EXPR, null_expr)->head; }

Ast *make_bool(Maker *m, bool value)
{
    Ast_bool_expr *node = MADE(m, BOOL_EXPR, bool_expr);
    node->value = value;
    return &node->head;
}

/* Literals of the parser are not negative; nothing minds one that is. */
Ast *make_int(Maker *m, int64_t value)
{
    Ast_int_expr *node = MADE(m, INT_EXPR, int_expr);
    node->value = value;
    return &node->head;
}

Ast *make_decimal(Maker *m, Str digits)
{
    Ast_decimal_expr *node = MADE(m, DECIMAL_EXPR, decimal_expr);
    node->digits = digits;
    return &node->head;
}

Ast *make_string(Maker *m, Str text)
{
    Ast_string_expr *node = MADE(m, STRING_EXPR, string_expr);
    if (text.len) {
        Ast_text_part *part = MADE(m, TEXT_PART, text_part);
        part->text = text;
        list_add(m, &node->parts, &part->head);
    }
    return &node->head;
}

Ast *make_date(Maker *m, int64_t days)
{
    Ast_date_expr *node = MADE(m, DATE_EXPR, date_expr);
    node->days = days;
    return &node->head;
}

Ast *make_timestamp(Maker *m, int64_t us)
{
    Ast_timestamp_expr *node = MADE(m, TIMESTAMP_EXPR, timestamp_expr);
    node->us = us;
    return &node->head;
}

Ast *make_duration(Maker *m, int64_t us)
{
    Ast_duration_expr *node = MADE(m, DURATION_EXPR, duration_expr);
    node->us = us;
    return &node->head;
}

Ast *make_json(Maker *m, Str text)
{
    Ast_json_expr *node = MADE(m, JSON_EXPR, json_expr);
    node->text = text;
    return &node->head;
}

Ast *make_name(Maker *m, Str name)
{
    Ast_name_expr *node = MADE(m, NAME_EXPR, name_expr);
    node->name = ident(m, name);
    return &node->head;
}

Ast *make_field(Maker *m, Ast *object, Str name, bool optional)
{
    Ast_field_expr *node = MADE(m, FIELD_EXPR, field_expr);
    node->object = object;
    node->name = ident(m, name);
    node->optional = optional;
    return &node->head;
}

Ast *make_index(Maker *m, Ast *object, int64_t index)
{
    Ast_index_expr *node = MADE(m, INDEX_EXPR, index_expr);
    node->object = object;
    node->index = make_int(m, index);
    return &node->head;
}

Ast *make_list(Maker *m, Nodes *items)
{
    Ast_list_expr *node = MADE(m, LIST_EXPR, list_expr);
    node->items = nodes_list(items);
    return &node->head;
}

Ast *make_object(Maker *m) { return &MADE(m, RECORD_EXPR, record_expr)->head; }

void make_object_put(Maker *m, Ast *object, Str key, Ast *value)
{
    Ast_field_value *field = MADE(m, FIELD_VALUE, field_value);
    field->name = ident(m, key);
    field->value = value;
    list_add(m, &as_record_expr(object)->fields, &field->head);
}

/* A type that is there already: resolve_type() takes it as it is. */
static Ast *type_node(Maker *m, Type *type)
{
    Ast_name_type *node = MADE(m, NAME_TYPE, name_type);
    node->head.type = type;
    return &node->head;
}

Ast *make_as(Maker *m, Ast *value, Type *type)
{
    Ast_as_expr *node = MADE(m, AS_EXPR, as_expr);
    node->value = value;
    node->type = type_node(m, type);
    return &node->head;
}

Ast *make_call(Maker *m, Str agent, Str tool)
{
    Ast_call_expr *node = MADE(m, CALL_EXPR, call_expr);
    node->callee = make_field(m, make_name(m, agent), tool, false);
    return &node->head;
}

void make_call_put(Maker *m, Ast *call, Str param, Ast *value)
{
    Ast_arg *arg = MADE(m, ARG, arg);
    if (param.len)
        arg->name = ident(m, param);
    arg->value = value;
    list_add(m, &as_call_expr(call)->args, &arg->head);
}

Ast *make_effect(Maker *m, EffectKind effect, Ast *first, Ast *second)
{
    Ast_effect_expr *node = MADE(m, EFFECT_EXPR, effect_expr);
    node->effect = effect;
    list_add(m, &node->args, first);
    if (second)
        list_add(m, &node->args, second);
    return &node->head;
}

Ast *make_not(Maker *m, Ast *value)
{
    Ast_unary_expr *node = MADE(m, UNARY_EXPR, unary_expr);
    node->op = UNARY_NOT;
    node->operand = value;
    return &node->head;
}

Ast *make_is_not_null(Maker *m, Ast *value)
{
    Ast_binary_expr *node = MADE(m, BINARY_EXPR, binary_expr);
    node->op = BINARY_NE;
    node->left = value;
    node->right = make_null(m);
    return &node->head;
}

Ast *make_within(Maker *m, Ast *value, int64_t us)
{
    Ast_within_expr *node = MADE(m, WITHIN_EXPR, within_expr);
    node->value = value;
    node->duration = make_duration(m, us);
    return &node->head;
}

Ast *make_retry(Maker *m, Ast *value, Str policy)
{
    Ast_retry_expr *node = MADE(m, RETRY_EXPR, retry_expr);
    node->value = value;
    node->policy = ident(m, policy);
    return &node->head;
}

Ast *make_else(Maker *m, Ast *value, Ast *otherwise)
{
    Ast_else_expr *node = MADE(m, ELSE_EXPR, else_expr);
    node->value = value;
    node->otherwise = otherwise;
    return &node->head;
}

Ast *make_append(Maker *m, Ast *list, Ast *item)
{
    Ast_call_expr *node = MADE(m, CALL_EXPR, call_expr);
    node->callee = make_field(m, list, STR("append"), false);
    make_call_put(m, &node->head, STR(""), item);
    return &node->head;
}

/* ---- statements ------------------------------------------------------------------------------------------- */

Ast *make_block(Maker *m) { return &MADE(m, BLOCK, block)->head; }

Ast *make_let(Maker *m, bool mutable, Str name, Type *type, Ast *value)
{
    Ast_let_stmt *node = MADE(m, LET_STMT, let_stmt);
    node->mutable = mutable;
    node->name = ident(m, name);
    node->type = type ? type_node(m, type) : NULL;
    node->value = value;
    return &node->head;
}

Ast *make_assign(Maker *m, Ast *target, Ast *value)
{
    Ast_assign_stmt *node = MADE(m, ASSIGN_STMT, assign_stmt);
    node->target = target;
    node->value = value;
    return &node->head;
}

Ast *make_do(Maker *m, Ast *value)
{
    Ast_expr_stmt *node = MADE(m, EXPR_STMT, expr_stmt);
    node->value = value;
    return &node->head;
}

Ast *make_if(Maker *m, Ast *condition, Ast *then_block, Ast *else_block)
{
    Ast_if_stmt *node = MADE(m, IF_STMT, if_stmt);
    node->condition = condition;
    node->then_block = then_block;
    node->else_block = else_block;
    return &node->head;
}

Ast *make_try(Maker *m, Ast *body, Str error, Ast *handler)
{
    Ast_try_stmt *node = MADE(m, TRY_STMT, try_stmt);
    Ast_catch_clause *clause = MADE(m, CATCH_CLAUSE, catch_clause);
    clause->name = ident(m, error);
    clause->body = handler;
    node->body = body;
    list_add(m, &node->catches, &clause->head);
    return &node->head;
}

Ast *make_fail(Maker *m, ErrorKind kind, Str message, Str code)
{
    Ast_fail_stmt *node = MADE(m, FAIL_STMT, fail_stmt);
    node->kind = ident(m, str_of(error_kind_name(kind)));
    node->message = make_string(m, message);
    if (code.len) {
        node->details = make_object(m);
        make_object_put(m, node->details, STR("code"), make_string(m, code));
    }
    return &node->head;
}

Ast *make_return(Maker *m, Ast *value)
{
    Ast_return_stmt *node = MADE(m, RETURN_STMT, return_stmt);
    node->value = value;
    return &node->head;
}

Ast *make_saga(Maker *m, Ast *body)
{
    Ast_saga_stmt *node = MADE(m, SAGA_STMT, saga_stmt);
    node->body = body;
    return &node->head;
}

Ast *make_step(Maker *m, Str name, Ast *value)
{
    Ast_step_stmt *node = MADE(m, STEP_STMT, step_stmt);
    if (name.len)
        node->name = ident(m, name);
    node->value = value;
    return &node->head;
}

Ast *make_parallel(Maker *m, Nodes *branches)
{
    Ast_parallel_stmt *node = MADE(m, PARALLEL_STMT, parallel_stmt);
    node->branches = nodes_list(branches);
    return &node->head;
}

Ast *make_branch(Maker *m, Str name, Ast *value)
{
    Ast_branch *node = MADE(m, BRANCH, branch);
    node->critical = true;
    node->name = ident(m, name);
    node->value = value;
    return &node->head;
}
