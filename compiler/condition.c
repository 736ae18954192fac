/* condition.c - from the texts of a plan to expressions of the flow language. */
#include "compiler/check_internal.h"
#include "compiler/condition_internal.h"

static void begin(CondCheck *c, const ConditionScope *scope, ConditionIssues *issues)
{
    issues->count = 0;
    *c = (CondCheck){ .scope = scope, .program = scope->program, .arena = scope->program->arena, .issues = issues };
}

static Ast *refuse(ConditionIssues *issues, const ConditionIssue *issue)
{
    issues->items[0] = *issue;
    issues->count = 1;
    return NULL;
}

static void *node_new(CondCheck *c, AstKind kind, size_t size, Span span)
{
    Ast *node = arena_alloc(c->arena, size);
    *node = (Ast){ .kind = kind, .span = span, .made = true };
    return node;
}
#define NODE_NEW(c, KIND, name, span) ((Ast_##name *)node_new((c), AST_##KIND, sizeof(Ast_##name), (span)))

static Ast *expr_of(CondCheck *c, Cond *tree, Str text, Span span, Type *type)
{
    Ast_condition_expr *expr = NODE_NEW(c, CONDITION_EXPR, condition_expr, span);
    ConditionInfo *info = ARENA_NEW(c->arena, ConditionInfo);
    info->tree = tree;
    info->types = ARENA_ARRAY(c->arena, Type *, c->root_count + 1);
    expr->text = arena_str(c->arena, text);
    expr->names.items = ARENA_ARRAY(c->arena, Ast *, c->root_count + 1);
    expr->names.count = c->root_count;
    for (uint32_t i = 0; i < c->root_count; i++) {
        expr->names.items[i] = c->roots[i].root.value;
        info->types[i] = c->roots[i].root.type;
    }
    expr->head.type = type;
    expr->head.info = info;
    return &expr->head;
}

Ast *condition_check(const ConditionScope *scope, Str text, Span span, ConditionIssues *issues)
{
    CondCheck c;
    ConditionError error;
    begin(&c, scope, issues);
    Cond *tree = condition_parse(c.arena, text, &error);
    if (!tree) return refuse(issues, &error);
    check_truth(&c, tree);
    issues_sort(issues);
    return c.failed ? NULL : expr_of(&c, tree, text, span, c.program->basic[TYPE_BOOL]);
}

/* ---- texts ---- */

static Ast *plain_text(CondCheck *c, const Cond *tree, Span span)
{
    Ast_string_expr *string = NODE_NEW(c, STRING_EXPR, string_expr, span);
    string->parts.items = ARENA_ARRAY(c->arena, Ast *, 1);
    string->parts.count = tree->count;
    if (tree->count) {
        Ast_text_part *part = NODE_NEW(c, TEXT_PART, text_part, span);
        part->text = tree->items[0]->text;
        string->parts.items[0] = &part->head;
    }
    return &string->head;
}

Ast *condition_check_text(const ConditionScope *scope, Str text, Span span, ConditionIssues *issues)
{
    CondCheck c;
    ConditionError error;
    begin(&c, scope, issues);
    Cond *tree = condition_parse_text(c.arena, text, &error);
    if (!tree) return refuse(issues, &error);
    if (!tree->count || (tree->count == 1 && tree->items[0]->kind == COND_STRING)) return plain_text(&c, tree, span);
    unsigned labels = check_cond(&c, tree)->labels;
    issues_sort(issues);
    return c.failed ? NULL : expr_of(&c, tree, text, span, type_labeled(c.program, c.program->basic[TYPE_STRING], labels));
}

/* ---- references: the flow language's own members, which keep the type ---- */

typedef struct Path { Ast *value; Type *type; } Path;

static Path path_of(CondCheck *c, Cond *node, Span span);

static Path no_path(void) { return (Path){ NULL, NULL }; }

static Path field_path(CondCheck *c, Cond *node, Path object, Span span)
{
    Type *record = type_strip(object.type);
    uint32_t index;
    const TypeField *field = record->tag == TYPE_RECORD ? type_field(record, node->text, &index) : NULL;
    if (record->tag == TYPE_RECORD && !field) {
        issue_no_field(c, node, node->text, record);
        return no_path();
    }
    Ast_field_expr *expr = NODE_NEW(c, FIELD_EXPR, field_expr, span);
    expr->object = object.value;
    expr->name = (Ident){ arena_str(c->arena, node->text), span };
    expr->optional = object.type->tag == TYPE_OPT;
    Type *type = field ? field->type : object.type;
    if (expr->optional) type = type_labeled(c->program, type_optional(c->program, type), type->labels);
    return (Path){ &expr->head, type };
}

static Path index_path(CondCheck *c, Path object, Ast *index, Span span, Type *type)
{
    Ast_index_expr *expr = NODE_NEW(c, INDEX_EXPR, index_expr, span);
    expr->object = object.value;
    expr->index = index;
    return (Path){ &expr->head, type };
}

static Path name_in_map(CondCheck *c, Cond *node, Path object, Span span)
{
    Ast_string_expr *key = NODE_NEW(c, STRING_EXPR, string_expr, span);
    Ast_text_part *part = NODE_NEW(c, TEXT_PART, text_part, span);
    part->text = arena_str(c->arena, node->text);
    key->parts.items = ARENA_ARRAY(c->arena, Ast *, 1);
    key->parts.items[key->parts.count++] = &part->head;
    Type *element = type_element(c->program, object.type);
    return index_path(c, object, &key->head, span, type_labeled(c->program, type_optional(c->program, element), element->labels));
}

static Path place_in_list(CondCheck *c, Cond *node, Path object, Span span)
{
    double number = node->items[1]->number;
    if (!(number >= 0 && number < INT32_MAX && number == (double)(int32_t)number)) {
        ConditionIssue *issue = cond_issue(c, node->items[1], "E0732", "a place in a list is a whole number from 0");
        issue_expected(c, issue, "[0], [1] …");
        return no_path();
    }
    Ast_int_expr *index = NODE_NEW(c, INT_EXPR, int_expr, span);
    index->value = (int64_t)number;
    return index_path(c, object, &index->head, span, object.type->tag == TYPE_LIST ? type_element(c->program, object.type) : object.type);
}

static Path bad_link(CondCheck *c, Cond *node, Type *type)
{
    CondSort sort = cond_sort_of(type);
    ConditionIssue *issue;
    if (type->tag == TYPE_OPT) issue = cond_issue(c, node, "E0732", "a reference reads nothing out of %s that may be null", sort_text(sort));
    else if (node->kind == COND_INDEX) issue = cond_issue(c, node, "E0732", "%s has no places to look at", sort_text(sort));
    else issue = cond_issue(c, node, "E0735", "`%.*s` is %s: it has no `%.*s`", STR_ARG(cond_path_text(c, node->items[0])), sort_text(sort), STR_ARG(node->text));
    issue_expected(c, issue, "a reference to the whole");
    issue_actual(c, issue, "%s", sort_text(sort));
    return no_path();
}

/* Null is settled by the `?.` of the reference or refused; what `?.` cut short stays null through the rest of the chain, as in JavaScript. */
static Path link_path(CondCheck *c, Cond *node, Span span)
{
    Path object = path_of(c, node->items[0], span);
    if (!object.value) return object;
    const CondNote *of = node->items[0]->note;
    CondNote *note = node->note = ARENA_NEW(c->arena, CondNote);
    note->cut = of->cut || (node->optional && of->own);
    if (of->own && !node->optional && of->sort != SORT_JSON) {
        issue_may_be_null(c, node->items[0]);
        return no_path();
    }
    Type *inner = type_strip(object.type);
    bool whole = object.type->tag != TYPE_OPT;
    Path path = no_path();
    note->access = inner->tag == TYPE_MAP ? ACCESS_MAP : ACCESS_FIELD;
    if (node->kind == COND_MEMBER && (inner->tag == TYPE_RECORD || (inner->tag == TYPE_JSON && whole))) path = field_path(c, node, object, span);
    else if (node->kind == COND_MEMBER && inner->tag == TYPE_MAP && whole) path = name_in_map(c, node, object, span);
    else if (node->kind == COND_INDEX && (inner->tag == TYPE_LIST || inner->tag == TYPE_JSON) && whole) path = place_in_list(c, node, object, span);
    else return bad_link(c, node, object.type);
    if (!path.value) return path;
    uint32_t index;
    const TypeField *field = inner->tag == TYPE_RECORD ? type_field(inner, node->text, &index) : NULL;
    bool may_be = field ? field->type->tag == TYPE_OPT : path.type->tag == TYPE_OPT;
    note->sort = cond_sort_of(path.type);
    note->own = may_be ? MAYBE_NULL : 0;
    return path;
}

static Path path_of(CondCheck *c, Cond *node, Span span)
{
    if (cond_is_link(node)) return link_path(c, node, span);
    CondNote *note = node->note = ARENA_NEW(c->arena, CondNote);
    const struct CondRoot *root = cond_root(c, node, &note->index);
    if (!root) return no_path();
    note->sort = cond_sort_of(root->root.type);
    note->own = root->root.type->tag == TYPE_OPT ? MAYBE_NULL : 0;
    return (Path){ root->root.value, root->root.type };
}

Ast *condition_check_path(const ConditionScope *scope, Str text, Span span, Type **type, ConditionIssues *issues)
{
    CondCheck c;
    ConditionError error;
    begin(&c, scope, issues);
    Cond *tree = condition_parse_path(c.arena, text, &error);
    if (!tree) return refuse(issues, &error);
    Path path = path_of(&c, tree, span);
    if (type) *type = path.type;
    return path.value;
}

/* ---- as a part of a flow ---- */

/* What was found for the names holds where the condition stands: each becomes what its check took it for. */
Type *check_condition_expr(Checker *c, Ast *node)
{
    Ast_condition_expr *expr = as_condition_expr(node);
    const ConditionInfo *info = node->info;
    for (uint32_t i = 0; i < expr->names.count; i++) check_value(c, expr->names.items[i], info->types[i]);
    return node->type;
}
