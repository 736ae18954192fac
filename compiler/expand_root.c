/* expand_root.c - an aggregate whose state is a row of its root table: each command loads it, works in one transaction and checks the invariants there.
 *
 * The load is outside of the transaction and the first write in it moves the version on from the one that was loaded. So of two commands at the
 * same time the second finds the version gone, and begins again with what the first one left.
 */
#include "compiler/expand_internal.h"

static Str column_to_touch(const Aggregate *a)
{
    for (uint32_t i = 0; i < a->root->columns.count; i++)
        if (a->root->columns.items[i]->kind == AST_COLUMN && !str_is(as_column(a->root->columns.items[i])->name.text, "id"))
            return as_column(a->root->columns.items[i])->name.text;
    return STR("id");
}

static bool deletes(Ast *node, void *arg)
{
    if (node->kind == AST_DELETE_EXPR && str_eq(as_delete_expr(node)->table.text, *(const Str *)arg))
        return false;
    return ast_each_child(node, deletes, arg);
}

/* Behind the body: the invariants, unless the root is gone, and the result. */
static void put_end(Expander *x, const Aggregate *a, const Ast_command_decl *command, bool has_result, Buf *text)
{
    Str root = a->root->name.text;
    if (deletes(command->body, &root))
        expand_put_invariants(x, a, text);
    if (has_result)
        buf_put_text(text, "return __result\n");
}

static bool is_visible(const Ast_table_decl *table)
{
    for (uint32_t i = 0; i < table->clauses.count; i++)
        if (table->clauses.items[i]->kind == AST_VISIBLE_CLAUSE)
            return true;
    return false;
}

static void put_command(Expander *x, const Aggregate *a, const Ast_command_decl *command, const Fields *named, bool has_result, Buf *text)
{
    Str name = a->decl->name.text, root = a->root->name.text, touched = column_to_touch(a);
    buf_printf(text, "agent %.*s {\ntool %.*s(id: id<%.*s>, expected_version: int? = null) {\n", STR_ARG(a->agent->name.text), STR_ARG(command->name.text), STR_ARG(root));
    buf_printf(text, "let __id = id\nvar __tries = 1\nwhile __tries <= %d at most %d times {\n", AGGREGATE_TRIES_MAX, AGGREGATE_TRIES_MAX);
    buf_printf(text, "let __root = %.*s[id] else fail not_found \"no %.*s ${id}\"\n", STR_ARG(root), STR_ARG(name));
    buf_printf(text, "if expected_version != null and expected_version != __root.version { fail conflict \"%.*s ${id} has version ${__root.version}, not ${expected_version}\" }\n",
               STR_ARG(name));
    buf_put_text(text, "try {\nvar __now = __root\n");
    expand_put_fields(named, text);
    buf_printf(text, "transaction {\nlet __moved = update __r in %.*s set %.*s = __r.%.*s where __r.id == __id and __r.version == __root.version\n",
               STR_ARG(root), STR_ARG(touched), STR_ARG(touched));
    if (is_visible(a->root))                                    /* seen, as it was, and not moved: not one's own */
        buf_printf(text, "if __moved == 0 and %.*s[__id]?.version == __root.version { fail denied \"%.*s ${id} is somebody else's\" }\n", STR_ARG(root), STR_ARG(name));
    buf_printf(text, "if __moved == 0 { fail conflict \"%.*s ${id} was changed at the same time\" with { code: \"VERSION_CONFLICT\" } }\n", STR_ARG(name));
    buf_put_text(text, "__body()\n");
    put_end(x, a, command, has_result, text);
    buf_printf(text, "}\n%s}\ncatch conflict as __c { if __c.code != \"VERSION_CONFLICT\" { fail __c } }\n__tries += 1\n}\n", has_result ? "" : "return\n");
    buf_printf(text, "fail conflict \"%.*s ${id} was changed by others %d times in a row\" with { code: \"AGGREGATE_TRIES_MAX\" }\n}\n}\n", STR_ARG(name), AGGREGATE_TRIES_MAX);
}

static void put_create(Expander *x, const Aggregate *a, const Ast_command_decl *command, bool has_result, Buf *text)
{
    buf_printf(text, "agent %.*s {\ntool %.*s() {\ntransaction {\n__body()\n", STR_ARG(a->agent->name.text), STR_ARG(command->name.text));
    put_end(x, a, command, has_result, text);
    buf_put_text(text, "}\n}\n}\n");
}

static Ast *inserted_root(const Aggregate *a, Ast *statement)
{
    Ast *value = statement->kind == AST_EXPR_STMT ? as_expr_stmt(statement)->value : statement->kind == AST_LET_STMT ? as_let_stmt(statement)->value : NULL;
    return value && value->kind == AST_INSERT_EXPR && str_eq(as_insert_expr(value)->table.text, a->root->name.text) ? value : NULL;
}

/* The new row is __now, and what the body names of it stands by its name from there on. */
static bool begin_with_insert(Expander *x, Aggregate *a, const Fields *named, Ast_command_decl *command, AstList *statements)
{
    AstList body = *statements;
    Ast *insert = body.count ? inserted_root(a, body.items[0]) : NULL;
    if (!insert) {
        Diag *diag = diag_aggregate_boundary(x->diags, body.count ? body.items[0]->span : command->name.span,
                                             arena_printf(x->arena, "create `%.*s` does not begin with the root", STR_ARG(command->name.text)));
        diag_help(x->diags, diag, "its first statement is `insert %.*s { … }`", STR_ARG(a->root->name.text));
        return false;
    }
    AstList out = { 0 };
    Span span = insert->span;
    if (body.items[0]->kind == AST_LET_STMT) {
        expand_append(x, &out, body.items[0]);
        Str name = as_let_stmt(body.items[0])->name.text;
        expand_append(x, &out, expand_let(x, span, true, "__now", NULL, expand_name(x, span, arena_printf(x->arena, "%.*s", STR_ARG(name)))));
    } else {
        expand_append(x, &out, expand_let(x, span, true, "__now", NULL, insert));
    }
    expand_append(x, &out, expand_let(x, span, false, "__id", NULL, expand_field(x, span, "__now", STR("id"))));
    for (uint32_t i = 0; i < named->count; i++)
        expand_append(x, &out, expand_let(x, span, true, arena_printf(x->arena, "%.*s", STR_ARG(named->names[i])), NULL, expand_field(x, span, "__now", named->names[i])));
    expand_append_all(x, &out, (AstList){ body.items + 1, body.count - 1 });
    *statements = out;
    return true;
}

static void expand_command(Expander *x, Aggregate *a, Ast_command_decl *command, const Fields *fields)
{
    Ast *result = NULL;
    Buf text = { 0 };
    Fields named = expand_fields_named(x, fields, command);
    AstList body = expand_body(x, a, command, fields, &result);
    if (command->creates && !begin_with_insert(x, a, &named, command, &body))
        return;
    if (result)
        expand_append(x, &body, expand_let(x, result->span, false, "__result", command->result, result));
    if (command->creates)
        put_create(x, a, command, result != NULL, &text);
    else
        put_command(x, a, command, &named, result != NULL, &text);
    expand_add_tool(x, a, command, fields, buf_str(&text), body);
    buf_free(&text);
}

void expand_root(Expander *x, Aggregate *a)
{
    Fields fields = expand_fields_of(x, a);
    for (uint32_t i = 0; i < a->decl->members.count; i++)
        if (a->decl->members.items[i]->kind == AST_COMMAND_DECL)
            expand_command(x, a, as_command_decl(a->decl->members.items[i]), &fields);
}
