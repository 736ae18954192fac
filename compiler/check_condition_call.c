/* check_condition_call.c - methods and functions of a condition: those of condition.def, with the arguments that they have there. */
#include "compiler/condition_internal.h"

static bool check_count(CondCheck *c, const Cond *node, const CondMethodInfo *method, uint32_t count)
{
    if (count >= method->least && count <= method->most) return true;
    const char *range = method->least == method->most ? arena_printf(c->arena, "%u", method->least) : arena_printf(c->arena, "%u to %u", method->least, method->most);
    ConditionIssue *issue = cond_issue(c, node, "E0732", "`%s` takes %s argument%s, found %u", method->name, range, method->most == 1 ? "" : "s", count);
    issue_expected(c, issue, "%s argument%s", range, method->most == 1 ? "" : "s");
    issue_actual(c, issue, "%u", count);
    return false;
}

static void check_numbers(CondCheck *c, const Cond *node, uint32_t from, const char *what)
{
    for (uint32_t i = from; i < node->count; i++) require(c, node->items[i], SORT_NUMBER, what);
}

/* What is looked for in a list: of the type of its elements. */
static void check_sought(CondCheck *c, const Cond *node, const CondNote *list)
{
    CondSort element = cond_sort_of(list->type->element), sought = node->items[1]->note->sort;
    if (sort_is_object(element) || element == SORT_POISON) {
        ConditionIssue *issue = cond_issue(c, node, "E0732", "`%.*s` of a list of %s compares whether it is one and the same object", STR_ARG(node->text),
                                           element == SORT_RECORD ? "records" : element == SORT_MAP ? "maps" : "lists");
        issue_expected(c, issue, "a list of strings, numbers or booleans");
        return;
    }
    if (element != SORT_JSON) {
        require(c, node->items[1], element, "this list");
        return;
    }
    if (sought == SORT_BOOL || sought == SORT_NUMBER || sought == SORT_STRING) {
        require(c, node->items[1], sought, "this list");
    } else if (sought != SORT_POISON) {
        ConditionIssue *issue = cond_issue(c, node->items[1], "E0732", "neither side says what is looked for");
        issue_expected(c, issue, "a boolean, number or string");
        issue_actual(c, issue, "%s", sort_text(sought));
    }
}

static void check_joined(CondCheck *c, const Cond *node, const CondNote *list)
{
    CondSort element = cond_sort_of(list->type->element);
    if (node->count > 1) require(c, node->items[1], SORT_STRING, "`join`");
    if (!sort_is_object(element) && element != SORT_POISON) return;
    ConditionIssue *issue = cond_issue(c, node, "E0732", "the elements of this list have no text");
    issue_expected(c, issue, "a list of strings, numbers or booleans");
}

static CondSort result_of(CondMethod method)
{
    switch (method) {
    case COND_METHOD_STR_INCLUDES: case COND_METHOD_STR_STARTS: case COND_METHOD_STR_ENDS: case COND_METHOD_LIST_INCLUDES: return SORT_BOOL;
    case COND_METHOD_STR_LOWER: case COND_METHOD_STR_UPPER: case COND_METHOD_STR_TRIM: case COND_METHOD_STR_SLICE: case COND_METHOD_LIST_JOIN: return SORT_STRING;
    default: return SORT_NUMBER;
    }
}

/* Of json, what strings alone have may be called: the string is checked at run time. */
static CondMethod find_method(CondCheck *c, const Cond *node, const CondNote *object)
{
    CondMethod of_string = cond_method_find("string", node->text), of_list = cond_method_find("list", node->text);
    CondMethod found = object->sort == SORT_STRING ? of_string : object->sort == SORT_LIST ? of_list : object->sort == SORT_JSON && !of_list ? of_string : COND_METHOD_NONE;
    if (found) return found;
    ConditionIssue *issue;
    if (object->sort == SORT_JSON) issue = cond_issue(c, node, "E0732", "nothing says whether this json is a string or a list, which both have `%.*s`", STR_ARG(node->text));
    else issue = cond_issue(c, node, "E0732", "%s has no method `%.*s`", sort_text(object->sort), STR_ARG(node->text));
    issue_expected(c, issue, "%s", object->sort == SORT_JSON ? "a string: in a template, such as `${x}`" : of_string && of_list ? "a string or a list" : of_string ? "a string" : "a list");
    issue_actual(c, issue, "%.*s", STR_ARG(sort_full(c, object)));
    return COND_METHOD_NONE;
}

void check_cond_call(CondCheck *c, Cond *node, CondNote *note, const CondNote *object)
{
    note->method = find_method(c, node, object);
    if (!note->method) return;
    const CondMethodInfo *info = cond_method(note->method);
    note->access = ACCESS_METHOD;
    note->sort = result_of(note->method);
    if (!check_count(c, node, info, node->count - 1)) return;
    switch (note->method) {
    case COND_METHOD_LIST_INCLUDES: case COND_METHOD_LIST_INDEX_OF:
        check_sought(c, node, object);
        return check_numbers(c, node, 2, "a position");
    case COND_METHOD_LIST_JOIN: return check_joined(c, node, object);
    case COND_METHOD_STR_SLICE: return check_numbers(c, node, 1, "a position");
    default:
        if (node->count > 1) require(c, node->items[1], SORT_STRING, info->name);
        check_numbers(c, node, 2, "a position");
    }
}

void check_cond_math(CondCheck *c, Cond *node, CondNote *note)
{
    note->method = cond_method_find("Math", node->text);
    note->sort = SORT_NUMBER;
    if (check_count(c, node, cond_method(note->method), node->count)) check_numbers(c, node, 0, "`Math`");
}
