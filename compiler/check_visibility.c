/* check_visibility.c - `visible by column to members [write (ROLE, …)]` of a table: who but the owner sees a row.
 *
 * The clause only names a column, a table and roles; that they are of the form which the store's filter relies on is checked here. What the
 * filter then does is in interpreter/store/sql_scope.c and, beneath it, in the row-level security of the database.
 */
#include "compiler/check_internal.h"

/* A Visibility is the same enum whatever its name: the rows of an older program must mean the same to the filter. */
static bool is_visibility(const Type *type)
{
    static const char *const words[] = VISIBILITY_WORDS;
    if (type->tag != TYPE_ENUM || type->member_count != VISIBILITY_COUNT || type->labels)
        return false;
    for (uint32_t i = 0; i < type->member_count; i++)
        if (!str_is(type->members[i], words[i]))
            return false;
    return true;
}

static Symbol *column_named(Checker *c, Symbol *table, Ident name)
{
    Symbol *column = map_find(&table->members, name.text);
    if (!column)
        suggest_members(c, diag_unknown_column(c->diags, name.span, table->name, name.text), name.text, &table->members);
    return column;
}

static Symbol *visibility_column(Checker *c, Symbol *table, Ident name)
{
    Symbol *column = column_named(c, table, name);
    if (!column || column->type->tag == TYPE_POISON)
        return NULL;
    if (is_visibility(column->type))
        return column;
    Diag *diag = diag_visibility_shape(c->diags, name.span, table->name, arena_printf(c->arena, "column `%.*s` is a %s", STR_ARG(name.text), text_of(c, column->type)));
    diag_help(c->diags, diag, "declare `enum Visibility { PRIVATE, FAMILY, PUBLIC }` and the column as `%.*s: Visibility = PRIVATE`", STR_ARG(name.text));
    return NULL;
}

/* One row a user, or he could have the role of one row and be seen with that of another. */
static bool is_unique(const Symbol *members, Str column)
{
    AstList clauses = ((const TableInfo *)members->info)->decl->clauses;
    for (uint32_t i = 0; i < clauses.count; i++) {
        if (clauses.items[i]->kind != AST_INDEX_CLAUSE || !as_index_clause(clauses.items[i])->unique)
            continue;
        AstList names = as_index_clause(clauses.items[i])->columns;
        if (names.count == 1 && names.items[0]->kind == AST_NAME_REF && str_eq(as_name_ref(names.items[0])->name.text, column))
            return true;
    }
    return false;
}

static void refuse_members(Checker *c, const Symbol *table, Ident name, const char *what, const char *help)
{
    diag_help(c->diags, diag_visibility_shape(c->diags, name.span, table->name, arena_printf(c->arena, "`%.*s` %s", STR_ARG(name.text), what)), "%s", help);
}

static Symbol *members_table(Checker *c, const Symbol *table, Ident name, Visibility *out)
{
    Symbol *members = require_table(c, name);
    if (!members)
        return NULL;
    const TableInfo *info = members->info;
    out->user = map_find(&members->members, STR("user_id"));
    if (!info->shared)
        refuse_members(c, table, name, "is not shared, so nobody would see who else is a member", "declare it `shared`");
    else if (!out->user || out->user->type->tag != TYPE_STRING || out->user->type->labels)
        refuse_members(c, table, name, "has no column that says who is a member", "add `user_id: string`");
    else if (!is_unique(members, STR("user_id")))
        refuse_members(c, table, name, "may hold one user twice, with two roles", "add `unique (user_id)`");
    else
        return members;
    return NULL;
}

static void writing_roles(Checker *c, Symbol *table, Ast_visible_clause *clause, Visibility *out)
{
    if (!str_is(clause->word.text, "write"))
        diag_unknown_word(c->diags, clause->word.span, "word", clause->word.text, "`write (ROLE)`");
    Symbol *role = map_find(&out->members->members, STR("role"));
    const Type *type = role ? role->type : NULL;
    if (!type || type->tag != TYPE_ENUM || type->labels) {
        refuse_members(c, table, clause->members, "has no column that says the role of a member", "add `role: Role`, where `Role` is an enum");
        return;
    }
    for (uint32_t i = 0; i < clause->roles.count; i++) {
        if (clause->roles.items[i]->kind != AST_NAME_REF)
            continue;
        Ident name = as_name_ref(clause->roles.items[i])->name;
        uint32_t k = 0;
        while (k < type->member_count && k < 64 && !str_eq(type->members[k], name.text))
            k++;
        if (k == type->member_count || k == 64)
            diag_visibility_shape(c->diags, name.span, table->name, arena_printf(c->arena, "`%.*s` is no role of `%.*s`", STR_ARG(name.text), STR_ARG(clause->members.text)));
        else
            out->writers |= UINT64_C(1) << k;
    }
    out->role = role;
}

static Ast_visible_clause *clause_of(const Ast_table_decl *decl)
{
    for (uint32_t i = 0; i < decl->clauses.count; i++)
        if (decl->clauses.items[i]->kind == AST_VISIBLE_CLAUSE)
            return as_visible_clause(decl->clauses.items[i]);
    return NULL;
}

void check_visibility(Checker *c, Symbol *table)
{
    TableInfo *info = table->info;
    Ast_visible_clause *clause = clause_of(info->decl);
    if (!clause)
        return;
    if (info->shared) {
        Diag *diag = diag_visibility_shape(c->diags, clause->head.span, table->name, "the table is shared, so everybody in the tenant sees all of its rows");
        diag_help(c->diags, diag, "leave out `shared`");
        return;
    }
    Visibility *visibility = ARENA_NEW(c->arena, Visibility);
    visibility->column = visibility_column(c, table, clause->column);
    visibility->members = members_table(c, table, clause->members, visibility);
    if (visibility->members && clause->roles.count)
        writing_roles(c, table, clause, visibility);
    if (visibility->column && visibility->members)
        info->visibility = visibility;
}
