/* check_literal.c - lists, records, maps, rows; `with` and `as`. A literal looks at what its place expects: the same braces are a record, a
 * map or json. */
#include "compiler/check_internal.h"

static Type *list_hint(Checker *c, Type *hint)
{
    if (!hint)
        return NULL;
    hint = type_strip(hint);
    if (hint->tag == TYPE_JSON)
        return hint;
    return hint->tag == TYPE_LIST && hint->element->tag != TYPE_POISON && hint->element->tag != TYPE_VAR ? hint->element : NULL;
}

/* The type that all items become, when nothing is expected of them. */
static Type *common_type(Checker *c, Ast *node, AstList items)
{
    Type *common = NULL;
    for (uint32_t i = 0; i < items.count; i++) {
        Type *type = check_some(c, items.items[i], common && common->tag != TYPE_NULL ? common : NULL);
        if (type == c->never || type->tag == TYPE_POISON)
            return poison(c);
        Type *both = common ? type_unify(c->program, common, type) : type;
        if (!both) {
            report_mismatch(c, items.items[i], type, common);
            return poison(c);
        }
        common = both;
    }
    if (!common || common->tag == TYPE_NULL) {
        Diag *diag = diag_type_unknown(c->diags, node->span, common ? "a list of nulls" : "an empty list");
        diag_help(c->diags, diag, "say it where the name is declared: `let xs: list<string> = []`");
        return poison(c);
    }
    return common;
}

Type *check_list(Checker *c, Ast *node, Type *hint)
{
    AstList items = as_list_expr(node)->items;
    Type *element = list_hint(c, hint);
    unsigned labels = 0;
    if (element) {
        for (uint32_t i = 0; i < items.count; i++) {
            check_value(c, items.items[i], element);
            labels |= items.items[i]->type->labels;
        }
    } else {
        element = common_type(c, node, items);
        if (element->tag == TYPE_POISON)
            return poison(c);
        for (uint32_t i = 0; i < items.count; i++)
            coerce(c, items.items[i], element);
    }
    return type_list(c->program, type_labeled(c->program, element, labels));
}

/* ---- records ------------------------------------------------------------------------------------------- */

/* The value of a field; a shorthand gets a name_expr of its own. */
static Ast *field_node(Checker *c, Ast_field_value *field)
{
    if (field->value)
        return field->value;
    if (!field->head.info) {
        Ast_name_expr *name = ARENA_NEW(c->arena, Ast_name_expr);
        name->head.kind = AST_NAME_EXPR;
        name->head.span = field->name.span;
        name->name = field->name;
        field->head.info = name;
    }
    return field->head.info;
}

static void report_twice(Checker *c, Ast_field_value *field)
{
    diag_given_twice(c->diags, field->name.span, "field", field->name.text);
}

static bool given_before(AstList fields, uint32_t count, Str name)
{
    for (uint32_t i = 0; i < count; i++)
        if (fields.items[i]->kind == AST_FIELD_VALUE && str_eq(as_field_value(fields.items[i])->name.text, name))
            return true;
    return false;
}

static Type *check_map(Checker *c, AstList fields, Type *element)
{
    Map seen = { 0 };
    unsigned labels = 0;
    for (uint32_t i = 0; i < fields.count; i++) {
        if (fields.items[i]->kind != AST_FIELD_VALUE)
            continue;
        Ast_field_value *field = as_field_value(fields.items[i]);
        if (map_put(&seen, field->name.text, field))
            report_twice(c, field);
        Ast *value = field_node(c, field);
        check_value(c, value, element);
        labels |= value->type->labels;
    }
    map_free(&seen);
    return type_map(c->program, type_labeled(c->program, element, labels));
}

/* "field `price` of `Flight` is missing", with those that are */
static void report_missing(Checker *c, Ast *node, Type *record, const bool *given)
{
    for (uint32_t i = 0; i < record->field_count; i++) {
        const TypeField *field = &record->fields[i];
        if (given[i] || field->has_default || field->type->tag == TYPE_OPT || field->type->tag == TYPE_JSON || field->type->tag == TYPE_POISON)
            continue;
        Diag *diag = diag_missing_field(c->diags, node->span, field->name, text_of(c, record));
        diag_label(c->diags, diag, "it is %s and has no default", text_of(c, field->type));
        if (field->decl)
            diag_note(c->diags, diag, field->decl->span, "declared here");
        return;                                             /* one mistake, one diagnostic */
    }
}

static Type *check_known_record(Checker *c, Ast *node, AstList fields, Type *record)
{
    bool given[RECORD_FIELDS_MAX] = { false };
    bool wrong = record->field_count > RECORD_FIELDS_MAX;
    for (uint32_t i = 0; i < fields.count; i++) {
        if (fields.items[i]->kind != AST_FIELD_VALUE) {
            wrong = true;
            continue;
        }
        Ast_field_value *field = as_field_value(fields.items[i]);
        uint32_t index;
        const TypeField *known = type_field(record, field->name.text, &index);
        if (!known) {
            Diag *diag = diag_unknown_field(c->diags, field->name.span, text_of(c, record), field->name.text);
            suggest_fields(c, diag, field->name.text, record);
            if (field->value)
                check_some(c, field->value, NULL);
            wrong = true;
            continue;
        }
        if (index < RECORD_FIELDS_MAX) {
            if (given[index])
                report_twice(c, field);
            given[index] = true;
        }
        check_value(c, field_node(c, field), known->type);
    }
    if (!wrong)
        report_missing(c, node, record, given);
    return record;
}

static Type *check_new_record(Checker *c, Ast *node, AstList literal)
{
    TypeField *fields = ARENA_ARRAY(c->arena, TypeField, literal.count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < literal.count; i++) {
        if (literal.items[i]->kind != AST_FIELD_VALUE)
            continue;
        Ast_field_value *field = as_field_value(literal.items[i]);
        if (i < RECORD_FIELDS_MAX && given_before(literal, i, field->name.text)) {
            report_twice(c, field);
            continue;
        }
        Ast *value = field_node(c, field);
        Type *type = check_some(c, value, NULL);
        if (type == c->never)
            type = poison(c);
        if (type->tag == TYPE_NULL) {
            diag_type_unknown(c->diags, value->span, "a field that is null");
            type = poison(c);
        }
        fields[count++] = (TypeField){ .name = field->name.text, .type = type, .decl = &field->head };
    }
    if (count > RECORD_FIELDS_MAX) {
        diag_too_many(c->diags, node->span, "this record", count, "fields", RECORD_FIELDS_MAX);
        return poison(c);
    }
    return type_record(c->program, (Str){ 0 }, fields, count);
}

static bool has_quoted(AstList fields)
{
    for (uint32_t i = 0; i < fields.count; i++)
        if (fields.items[i]->kind == AST_FIELD_VALUE && as_field_value(fields.items[i])->quoted)
            return true;
    return false;
}

/* A literal with a quoted key where nothing is expected: a map of what its values have in common. */
static Type *check_new_map(Checker *c, Ast *node, AstList fields)
{
    Type *common = NULL;
    for (uint32_t i = 0; i < fields.count; i++) {
        if (fields.items[i]->kind != AST_FIELD_VALUE)
            continue;
        Ast *value = field_node(c, as_field_value(fields.items[i]));
        Type *type = check_some(c, value, common);
        if (type == c->never || type->tag == TYPE_POISON)
            return poison(c);
        Type *both = common ? type_unify(c->program, common, type) : type;
        if (!both) {
            report_mismatch(c, value, type, common);
            return poison(c);
        }
        common = both;
    }
    if (!common || common->tag == TYPE_NULL) {
        diag_type_unknown(c->diags, node->span, "a map of nulls");
        return poison(c);
    }
    Map seen = { 0 };
    for (uint32_t i = 0; i < fields.count; i++) {
        if (fields.items[i]->kind != AST_FIELD_VALUE)
            continue;
        Ast_field_value *field = as_field_value(fields.items[i]);
        if (map_put(&seen, field->name.text, field))
            report_twice(c, field);
        coerce(c, field_node(c, field), common);
    }
    map_free(&seen);
    return type_map(c->program, common);
}

Type *check_record(Checker *c, Ast *node, Type *hint)
{
    AstList fields = as_record_expr(node)->fields;
    Type *expected = hint ? type_strip(hint) : NULL;
    if (expected && expected->tag == TYPE_MAP && expected->element->tag != TYPE_POISON)
        return check_map(c, fields, expected->element);
    if (expected && expected->tag == TYPE_JSON)
        return check_map(c, fields, expected);
    if (expected && expected->tag == TYPE_RECORD)
        return check_known_record(c, node, fields, expected);
    if (has_quoted(fields))
        return check_new_map(c, node, fields);
    return check_new_record(c, node, fields);
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

static void report_missing_column(Checker *c, Ast *node, Symbol *table, const bool *given)
{
    TableInfo *info = table->info;
    for (uint32_t i = 0; i < info->column_count && i < RECORD_FIELDS_MAX; i++) {
        Symbol *column = info->columns[i];
        const TypeField *field = &table->type->fields[i];
        if (given[i] || field->has_default || column->type->tag == TYPE_OPT || column->type->tag == TYPE_JSON || column->type->tag == TYPE_POISON)
            continue;
        Diag *diag = diag_missing_column(c->diags, node->span, column->name, table->name);
        diag_label(c->diags, diag, "it is %s and has no default", text_of(c, column->type));
        if (column->decl)
            diag_note(c->diags, diag, column->decl->span, "declared here");
        return;
    }
}

void check_row(Checker *c, Ast *node, Symbol *table)
{
    if (node->kind != AST_RECORD_EXPR) {                    /* a whole row, or a record with the columns */
        check_value(c, node, table->type);
        return;
    }
    bool given[RECORD_FIELDS_MAX] = { false }, wrong = false;
    AstList fields = as_record_expr(node)->fields;
    for (uint32_t i = 0; i < fields.count; i++) {
        if (fields.items[i]->kind != AST_FIELD_VALUE)
            continue;
        Ast_field_value *field = as_field_value(fields.items[i]);
        Symbol *column = map_find(&table->members, field->name.text);
        if (!column) {
            Diag *diag = diag_unknown_column(c->diags, field->name.span, table->name, field->name.text);
            suggest_members(c, diag, field->name.text, &table->members);
            if (field->value)
                check_some(c, field->value, NULL);
            wrong = true;
            continue;
        }
        field->head.symbol = column;
        if (column->decl->kind == AST_VERSION_CLAUSE)
            diag_version_column(c->diags, field->name.span);
        if (column->ordinal < RECORD_FIELDS_MAX) {
            if (given[column->ordinal])
                report_twice(c, field);
            given[column->ordinal] = true;
        }
        check_value(c, field_node(c, field), column->type);
    }
    node->type = table->type;
    if (!wrong)
        report_missing_column(c, node, table, given);
}

/* ---- with, as ---------------------------------------------------------------------------------------------- */

void check_some_fields(Checker *c, Ast *literal, Type *record)
{
    AstList fields = as_record_expr(literal)->fields;
    for (uint32_t i = 0; i < fields.count; i++) {
        if (fields.items[i]->kind != AST_FIELD_VALUE)
            continue;
        Ast_field_value *field = as_field_value(fields.items[i]);
        const TypeField *known = type_field(record, field->name.text, NULL);
        if (!known) {
            suggest_fields(c, diag_unknown_field(c->diags, field->name.span, text_of(c, record), field->name.text), field->name.text, record);
            continue;
        }
        if (given_before(fields, i, field->name.text))
            report_twice(c, field);
        check_value(c, field_node(c, field), known->type);
    }
    literal->type = record;
}

Type *check_with(Checker *c, Ast *node)
{
    Ast_with_expr *with = as_with_expr(node);
    Type *record = check_some(c, with->value, NULL);
    if (record->tag != TYPE_RECORD) {
        if (record->tag == TYPE_OPT)
            report_optional(c, with->value, record, "a record");
        else if (record != c->never && record->tag != TYPE_POISON)
            diag_type_mismatch(c->diags, with->value->span, text_of(c, record), "a record");
        return poison(c);
    }
    if (with->fields->kind != AST_RECORD_EXPR)
        return record;
    check_some_fields(c, with->fields, record);
    return record;
}

Type *check_as(Checker *c, Ast *node)
{
    Ast_as_expr *as = as_as_expr(node);
    Type *value = check_some(c, as->value, c->basic[TYPE_JSON]);
    Type *target = resolve_type(c, as->type);
    if (value == c->never || value->tag == TYPE_POISON || target->tag == TYPE_POISON)
        return target;
    bool is_member_name = value->tag == TYPE_STRING && target->tag == TYPE_ENUM;
    bool is_literal = as->value->kind == AST_RECORD_EXPR || as->value->kind == AST_LIST_EXPR;
    if (value->tag != TYPE_JSON && !is_member_name && !is_literal) {
        Diag *diag = diag_cast(c->diags, as->value->span, text_of(c, value));
        if (value->tag == TYPE_OPT)
            diag_help(c->diags, diag, "null is handled by `??`, `else` or a test `!= null`");
        else if (type_is_number(value))
            diag_help(c->diags, diag, "numbers are converted by `.to_int()`, `.to_decimal()` and `.to_float()`");
        return target;
    }
    coerce(c, as->value, c->basic[TYPE_JSON]);
    return type_labeled(c->program, target, value->labels);
}
