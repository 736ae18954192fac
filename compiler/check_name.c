/* check_name.c - names, fields and elements.
 *
 * A name is, in this order: a member of the enum that the place expects; a column of the table whose columns are bare here; a local; a
 * global; a member of the only enum that has it. Fields of `env`, `user` and `run` are names of the language, unless a local hides them.
 */
#include "compiler/check_internal.h"

static Symbol *expected_member(Type *hint, Str name)
{
    if (!hint)
        return NULL;
    hint = type_strip(hint);
    return hint->tag == TYPE_ENUM ? map_find(&hint->decl->members, name) : NULL;
}

static Symbol *bare_column(Checker *c, Str name)
{
    return c->bare_table ? map_find(&c->bare_table->members, name) : NULL;
}

bool could_be_member(Checker *c, Ast *node)
{
    if (node->kind != AST_NAME_EXPR)
        return false;
    Str name = as_name_expr(node)->name.text;
    return !bare_column(c, name) && !scope_find(c, name) && !map_find(&c->program->globals, name);
}

static Type *use_symbol(Checker *c, Ast *node, Symbol *symbol)
{
    node->symbol = symbol;
    symbol->is_used = true;
    if (symbol->kind == SYMBOL_MEMBER || symbol->kind == SYMBOL_COLUMN) {
        Type *type = symbol->type;
        return type->tag == TYPE_OPT && facts_know(c, node) ? type_element(c->program, type) : type;
    }
    if (symbol->func_id != c->body->id)
        note_capture(c, symbol);
    Type *type = symbol->type;
    if (type->tag == TYPE_OPT && facts_know(c, node))
        return type_element(c->program, type);
    return type;
}

static Type *use_column(Checker *c, Ast *node, Ident name, Symbol *column)
{
    Symbol *local = node->made ? NULL : scope_find(c, name.text);           /* an invariant of an aggregate knows no locals of a command */
    if (local) {
        Diag *diag = diag_column_or_local(c->diags, name.span, name.text, c->bare_table->name);
        diag_label(c->diags, diag, "which of the two is meant?");
        if (local->decl)
            diag_note(c->diags, diag, decl_name(local->decl).span, "%s of that name", symbol_kind_text(local->kind));
        diag_help(c->diags, diag, "name the row: `%.1s in %.*s`, then `%.1s.%.*s` is the column", c->bare_table->name.ptr, STR_ARG(c->bare_table->name),
                  c->bare_table->name.ptr, STR_ARG(name.text));
        local->is_used = true;
    }
    return use_symbol(c, node, column);
}

static Type *use_global(Checker *c, Ast *node, Ident name, Symbol *symbol)
{
    symbol->is_used = true;
    Diag *diag = diag_wrong_kind(c->diags, name.span, name.text, symbol_kind_text(symbol->kind), "a value");
    switch (symbol->kind) {
    case SYMBOL_TABLE: diag_help(c->diags, diag, "its rows are `from row in %.*s`", STR_ARG(name.text)); break;
    case SYMBOL_SESSION: diag_help(c->diags, diag, "name which one: `%.*s[session_id]`", STR_ARG(name.text)); break;
    case SYMBOL_FN: case SYMBOL_FLOW: diag_help(c->diags, diag, "call it: `%.*s(…)`", STR_ARG(name.text)); break;
    case SYMBOL_AGENT: diag_help(c->diags, diag, "call one of its tools: `%.*s.tool(…)`", STR_ARG(name.text)); break;
    default: break;
    }
    return poison(c);
}

static Type *use_member(Checker *c, Ast *node, Ident name, Symbol *member)
{
    Symbol *other = member->info;
    if (other) {
        Diag *diag = diag_ambiguous_member(c->diags, name.span, name.text, other->owner->name, member->owner->name);
        diag_help(c->diags, diag, "name the enum: `%.*s.%.*s`", STR_ARG(member->owner->name), STR_ARG(name.text));
        return poison(c);
    }
    member->owner->is_used = true;
    return use_symbol(c, node, member);
}

static bool is_namespace(Str name)
{
    return str_is(name, "env") || str_is(name, "user") || str_is(name, "run") || str_is(name, "llm");
}

Type *check_name(Checker *c, Ast *node, Type *hint)
{
    Ident name = as_name_expr(node)->name;
    if (!name.text.len)
        return poison(c);
    Symbol *symbol = expected_member(hint, name.text);
    if (symbol) {
        symbol->owner->is_used = true;
        return use_symbol(c, node, symbol);
    }
    if ((symbol = bare_column(c, name.text)))
        return use_column(c, node, name, symbol);
    if ((symbol = scope_find(c, name.text)))
        return use_symbol(c, node, symbol);
    if ((symbol = map_find(&c->program->globals, name.text)) && symbol->kind == SYMBOL_CONTEXT)
        return check_context_read(c, node, symbol);
    if (symbol)
        return use_global(c, node, name, symbol);
    if ((symbol = map_find(&c->program->enum_members, name.text)))
        return use_member(c, node, name, symbol);
    if (is_namespace(name.text)) {
        diag_wrong_kind(c->diags, name.span, name.text, "a name of the language", "a value");
        return poison(c);
    }
    if (hint && type_strip(hint)->tag == TYPE_ENUM && name.text.ptr[0] >= 'A' && name.text.ptr[0] <= 'Z') {
        Type *expected = type_strip(hint);
        Diag *diag = diag_unknown_member(c->diags, name.span, text_of(c, expected), name.text);
        suggest_members(c, diag, name.text, &expected->decl->members);
        return poison(c);
    }
    Diag *diag = diag_unknown_name(c->diags, name.span, name.text);
    diag_label(c->diags, diag, c->in_default ? "a default value sees no parameters and no local names" : "nothing of this name is declared here");
    suggest_names(c, diag, name.text);
    return poison(c);
}

/* ---- fields ------------------------------------------------------------------------------------------ */

static FieldInfo *field_info(Checker *c, Ast *node, FieldKind kind, uint32_t index, Symbol *symbol)
{
    FieldInfo *info = ARENA_NEW(c->arena, FieldInfo);
    *info = (FieldInfo){ kind, index, symbol };
    node->info = info;
    if (symbol)
        node->symbol = symbol;
    return info;
}

static Type *enum_member(Checker *c, Ast *node, Symbol *enumeration)
{
    Ident name = as_field_expr(node)->name;
    enumeration->is_used = true;
    Symbol *member = map_find(&enumeration->members, name.text);
    if (!member) {
        Diag *diag = diag_unknown_member(c->diags, name.span, text_of(c, enumeration->type), name.text);
        suggest_members(c, diag, name.text, &enumeration->members);
        return poison(c);
    }
    field_info(c, node, FIELD_MEMBER, member->ordinal, member);
    return member->type;
}

static Type *run_info(Checker *c, Ast *node, Str space)
{
    static const struct { const char *space, *name; uint32_t operand; } known[] = {
        { "run", "id", 0 }, { "run", "tenant", 1 }, { "run", "flow", 3 }, { "run", "correlation_id", 4 }, { "run", "causation_id", 6 },
        { "user", "id", 2 }, { "user", "name", 5 }, { "user", "tenant", 1 },
    };
    Ident name = as_field_expr(node)->name;
    Str near[sizeof known / sizeof known[0]];
    size_t count = 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!str_is(space, known[i].space))
            continue;
        near[count++] = str_of(known[i].name);
        if (str_is(name.text, known[i].name)) {
            note_effect(c, node, FUNC_EFFECT_OWN, arena_printf(c->arena, "`%.*s.%.*s`", STR_ARG(space), STR_ARG(name.text)));
            field_info(c, node, FIELD_INFO, known[i].operand, NULL);
            return c->basic[TYPE_STRING];
        }
    }
    Diag *diag = diag_unknown_field(c->diags, name.span, arena_printf(c->arena, "`%.*s`", STR_ARG(space)), name.text);
    diag_did_you_mean(c->diags, diag, name.text, near, count);
    return poison(c);
}

/* A field of something that is no value: an enum, an agent, a table, a name of the language. NULL: the object is a value after all. */
static Type *field_of_name(Checker *c, Ast *node)
{
    Ast_field_expr *field = as_field_expr(node);
    if (field->object->kind != AST_NAME_EXPR)
        return NULL;
    Str name = as_name_expr(field->object)->name.text;
    if (bare_column(c, name) || scope_find(c, name))
        return NULL;
    Symbol *symbol = map_find(&c->program->globals, name);
    if (symbol && (symbol->kind == SYMBOL_ENUM || symbol->kind == SYMBOL_MACHINE))
        return enum_member(c, node, symbol);
    if (symbol && symbol->kind == SYMBOL_AGENT) {
        symbol->is_used = true;
        Symbol *tool = map_find(&symbol->members, field->name.text);
        if (!tool) {
            Diag *diag = diag_unknown_tool(c->diags, field->name.span, name, field->name.text);
            suggest_members(c, diag, field->name.text, &symbol->members);
        } else {
            Diag *diag = diag_wrong_kind(c->diags, node->span, field->name.text, "a tool", "a value");
            diag_help(c->diags, diag, "call it: `%.*s.%.*s(…)`", STR_ARG(name), STR_ARG(field->name.text));
        }
        return poison(c);
    }
    if (symbol && symbol->kind == SYMBOL_TABLE) {
        symbol->is_used = true;
        Diag *diag = diag_wrong_kind(c->diags, field->object->span, name, "a table", "a value");
        diag_help(c->diags, diag, "a column of many rows stands in `sum(%.*s.%.*s)`, `min`, `max`, `avg`, or behind the row of a `from`", STR_ARG(name),
                  STR_ARG(field->name.text));
        return poison(c);
    }
    if (symbol)
        return NULL;
    if (str_is(name, "user") || str_is(name, "run"))
        return run_info(c, node, name);
    if (str_is(name, "env")) {
        diag_env_misplaced(c->diags, node->span);
        return poison(c);
    }
    return NULL;
}

static bool is_row(const Ast *object)
{
    return object->kind == AST_NAME_EXPR && object->symbol && object->symbol->kind == SYMBOL_LOCAL && object->symbol->info;
}

static Type *known_field(Checker *c, Ast *node, Type *object)
{
    Ast_field_expr *field = as_field_expr(node);
    if (object->tag == TYPE_JSON) {
        field_info(c, node, FIELD_JSON, 0, NULL);
        return c->basic[TYPE_JSON];
    }
    uint32_t index = 0;
    const TypeField *found = object->tag == TYPE_RECORD || object->tag == TYPE_ERROR ? type_field(object, field->name.text, &index) : NULL;
    if (!found) {
        Diag *diag = diag_unknown_field(c->diags, field->name.span, text_of(c, object), field->name.text);
        if (object->tag == TYPE_RECORD || object->tag == TYPE_ERROR)
            suggest_fields(c, diag, field->name.text, object);
        if (method_exists(c, field->name.text))
            diag_help(c->diags, diag, "a method is called: `.%.*s(…)`", STR_ARG(field->name.text));
        return poison(c);
    }
    if (is_row(field->object)) {
        Symbol *column = map_find(&object->decl->members, field->name.text);
        field_info(c, node, FIELD_COLUMN, index, column);
        column->is_used = true;
    } else {
        field_info(c, node, object->tag == TYPE_ERROR ? FIELD_ERROR : FIELD_RECORD, index, NULL);
    }
    return type_labeled(c->program, found->type, object->labels);
}

Type *check_field(Checker *c, Ast *node, Type *hint)
{
    (void)hint;
    Type *special = field_of_name(c, node);
    if (special)
        return special;
    Ast_field_expr *field = as_field_expr(node);
    Type *object = check_some(c, field->object, NULL);
    if (object == c->never || object->tag == TYPE_POISON)
        return poison(c);
    if (object->tag == TYPE_OPT && !field->optional) {
        Diag *diag = diag_optional_unhandled(c->diags, field->object->span, text_of(c, object), "a value with fields");
        diag_label(c->diags, diag, "null has no fields");
        diag_help(c->diags, diag, "`?.` gives null for null; or test `!= null` before");
        diag_fix(c->diags, diag, (Span){ field->object->span.end, field->name.span.start, node->span.file }, "?.");
        return poison(c);
    }
    if (field->optional && object->tag != TYPE_OPT && object->tag != TYPE_JSON) {
        Diag *diag = diag_never_null(c->diags, field->object->span, text_of(c, object), "?.");
        diag_help(c->diags, diag, "write `.`");
        diag_fix(c->diags, diag, (Span){ field->object->span.end, field->name.span.start, node->span.file }, ".");
    }
    bool chained = field->optional && object->tag == TYPE_OPT;
    Type *type = known_field(c, node, chained ? type_element(c->program, object) : object);
    if (chained && type->tag != TYPE_POISON)
        return type_labeled(c->program, type_optional(c->program, type), type->labels);
    return type->tag == TYPE_OPT && facts_know(c, node) ? type_element(c->program, type) : type;
}

/* ---- elements ------------------------------------------------------------------------------------------ */

Symbol *global_named(Checker *c, Ast *node, SymbolKind kind)
{
    if (node->kind != AST_NAME_EXPR)
        return NULL;
    Str name = as_name_expr(node)->name.text;
    Symbol *symbol = scope_find(c, name) ? NULL : find_global(c, kind, name);
    if (symbol) {
        symbol->is_used = true;
        node->symbol = symbol;
    }
    return symbol;
}

static Type *index_table(Checker *c, Ast *node, Symbol *table, IndexInfo *info)
{
    Ast_index_expr *index = as_index_expr(node);
    note_effect(c, node, FUNC_EFFECT_READ, arena_printf(c->arena, "a read of table `%.*s`", STR_ARG(table->name)));
    Symbol *id = map_find(&table->members, STR("id"));
    if (!id) {
        check_some(c, index->index, NULL);
        Diag *diag = diag_not_indexable(c->diags, index->object->span, arena_printf(c->arena, "table `%.*s`", STR_ARG(table->name)));
        diag_label(c->diags, diag, "it has no column `id`");
        return poison(c);
    }
    check_value(c, index->index, type_strip(id->type));
    info->kind = INDEX_TABLE;
    info->query = query_new(c, QUERY_SELECT_ONE, table);
    info->query->row_type = table->type;
    return info->query->result = type_optional(c->program, table->type);
}

Type *check_index(Checker *c, Ast *node)
{
    Ast_index_expr *index = as_index_expr(node);
    IndexInfo *info = ARENA_NEW(c->arena, IndexInfo);
    node->info = info;
    Symbol *table = global_named(c, index->object, SYMBOL_TABLE);
    if (table)
        return index_table(c, node, table, info);
    Type *session = check_session_read(c, node);
    if (session)
        return session;
    Type *object = check_some(c, index->object, NULL);
    switch (object->tag) {
    case TYPE_LIST:
        check_value(c, index->index, c->basic[TYPE_INT]);
        info->kind = INDEX_LIST;
        return type_element(c->program, object);
    case TYPE_MAP: {
        check_value(c, index->index, c->basic[TYPE_STRING]);
        info->kind = INDEX_MAP;
        Type *element = type_element(c->program, object);
        return type_labeled(c->program, type_optional(c->program, element), element->labels);
    }
    case TYPE_JSON: {
        info->kind = INDEX_JSON;
        Type *key = check_some(c, index->index, NULL);
        if (key->tag != TYPE_INT)
            coerce(c, index->index, c->basic[TYPE_STRING]);
        return object;
    }
    case TYPE_OPT:
        check_some(c, index->index, NULL);
        report_optional(c, index->object, object, "a list, a map or json");
        return poison(c);
    default:
        check_some(c, index->index, NULL);
        if (object != c->never && object->tag != TYPE_POISON)
            diag_not_indexable(c->diags, index->object->span, text_of(c, object));
        return poison(c);
    }
}
