/* lint_tables.c - tables without their privacy clauses, conditions without an index, queries that are asked again and again, writes past an aggregate. */
#include "compiler/expand.h"
#include "compiler/lint/lint.h"

typedef struct Tables { Program *program; uint32_t loops; bool in_test, in_command; } Tables;

static bool has_clause(const Ast_table_decl *table, AstKind kind) {
    for (uint32_t i = 0; i < table->clauses.count; i++)
        if (table->clauses.items[i]->kind == kind) return true;
    return false;
}

static void check_table(Tables *t, Ast_table_decl *table) {
    Diags *diags = t->program->diags;
    if (!has_clause(table, AST_ERASE_CLAUSE)) {
        Diag *diag = diag_table_without_erase(diags, table->name.span, table->name.text);
        diag_help(diags, diag, "add `on erase delete`, `on erase anonymize (columns)` or `on erase retain 7y \"why\"`");
    }
    if (!table->shared && !has_clause(table, AST_EXPORT_CLAUSE)) {
        Diag *diag = diag_table_without_export(diags, table->name.span, table->name.text);
        diag_help(diags, diag, "add `export as \"%.*s\"`", STR_ARG(table->name.text));
    }
}

typedef struct Columns { Symbol *table; Str names[64]; uint32_t count; } Columns;

static bool collect_column(Ast *node, void *arg) {
    Columns *columns = arg;
    const Symbol *symbol = NULL;
    if (node->kind == AST_NAME_EXPR && node->symbol && node->symbol->kind == SYMBOL_COLUMN) symbol = node->symbol;
    if (node->kind == AST_FIELD_EXPR && node->info && ((FieldInfo *)node->info)->kind == FIELD_COLUMN) symbol = ((FieldInfo *)node->info)->symbol;
    if (symbol && symbol->owner == columns->table && columns->count < 64) columns->names[columns->count++] = symbol->name;
    return ast_each_child(node, collect_column, arg);           /* also what the compiler made: the key of a child narrows a query, too */
}

static bool is_indexed(const Ast_table_decl *table, Str column) {
    if (str_is(column, "id")) return true;
    for (uint32_t i = 0; i < table->clauses.count; i++) {
        if (table->clauses.items[i]->kind != AST_INDEX_CLAUSE) continue;
        AstList columns = as_index_clause(table->clauses.items[i])->columns;
        if (columns.count && str_eq(as_name_ref(columns.items[0])->name.text, column)) return true;
    }
    return false;
}

static void check_where(Tables *t, Symbol *table, Ast *where) {
    if (!table || !table->decl || table->decl->kind != AST_TABLE_DECL || !where || t->in_test) return;
    Columns columns = { .table = table };
    collect_column(where, &columns);
    if (!columns.count) return;
    for (uint32_t i = 0; i < columns.count; i++)
        if (is_indexed(as_table_decl(table->decl), columns.names[i])) return;
    Diag *diag = diag_query_without_index(t->program->diags, where->span, table->name);
    diag_help(t->program->diags, diag, "add `index (%.*s)` to the table", STR_ARG(columns.names[0]));
}

static bool visit(Ast *node, void *arg);

static bool visit_child(Ast *child, void *arg) {
    lint_walk(child, visit, arg);
    return true;
}

static void query(Tables *t, Ast *node, Symbol *table, Ast *where) {
    if (t->loops && !t->in_test && table) {
        Diag *diag = diag_query_in_loop(t->program->diags, node->span);
        diag_help(t->program->diags, diag, "ask once before the loop (`where x.id in ids`), or join the tables");
    }
    check_where(t, table, where);
}

static void check_write(Tables *t, const Ast *node, const char *what) {
    const Aggregate *a = node->symbol && !t->in_command && !t->in_test ? aggregate_of_table(t->program, node->symbol->name) : NULL;
    if (!a) return;
    Diag *diag = diag_aggregate_bypassed(t->program->diags, node->span, what, node->symbol->name, a->decl->name.text);
    diag_note(t->program->diags, diag, a->decl->name.span, "declared here");
    diag_help(t->program->diags, diag, "make it a command of the aggregate");
}

static bool visit(Ast *node, void *arg) {
    Tables *t = arg;
    const QueryInfo *info = node->info;
    switch (node->kind) {
    case AST_TABLE_DECL: check_table(t, as_table_decl(node)); return true;
    case AST_TEST_DECL: case AST_FIXTURE_DECL:
        t->in_test = true;
        ast_each_child(node, visit_child, t);
        t->in_test = false;
        return false;
    case AST_FOR_STMT:
        lint_walk(as_for_stmt(node)->source, visit, t);
        t->loops++;
        lint_walk(as_for_stmt(node)->body, visit, t);
        t->loops--;
        return false;
    case AST_WHILE_STMT:
        t->loops++;
        ast_each_child(node, visit_child, t);
        t->loops--;
        return false;
    case AST_FROM_EXPR:
        if (info && !info->over_list) query(t, node, info->table, as_from_expr(node)->where);
        return true;
    case AST_AGGREGATE_EXPR:
        if (info && node->symbol && node->symbol->kind == SYMBOL_TABLE) query(t, node, node->symbol, as_aggregate_expr(node)->where);
        return true;
    case AST_TOOL_DECL:
        t->in_command = as_tool_decl(node)->command;
        ast_each_child(node, visit_child, t);
        t->in_command = false;
        return false;
    case AST_INSERT_EXPR: check_write(t, node, "an insert"); return true;
    case AST_UPDATE_EXPR:
        check_write(t, node, "an update");
        check_where(t, node->symbol, as_update_expr(node)->where);
        return true;
    case AST_DELETE_EXPR:
        check_write(t, node, "a deletion");
        check_where(t, node->symbol, as_delete_expr(node)->where);
        return true;
    default: return true;
    }
}

void lint_tables(Program *program) {
    Tables tables = { .program = program };
    lint_walk_program(program, visit, &tables);
}
