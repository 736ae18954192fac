/* condition_issue.c - what is said of a condition that cannot be. */
#include "compiler/condition_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include "base/json.h"

enum { TEXT_MAX = 400, FIELDS_SHOWN = 12 };

static Str printed(CondCheck *c, const char *format, va_list args)
{
    char text[TEXT_MAX];
    vsnprintf(text, sizeof text, format, args);
    return arena_str(c->arena, str_of(text));
}

/* Beyond CONDITION_ISSUES_MAX the last is overwritten: nobody repairs more at once. */
ConditionIssue *cond_issue(CondCheck *c, const Cond *node, const char *code, const char *format, ...)
{
    ConditionIssues *issues = c->issues;
    ConditionIssue *issue = &issues->items[issues->count < CONDITION_ISSUES_MAX ? issues->count++ : CONDITION_ISSUES_MAX - 1];
    va_list args;
    c->failed = true;
    va_start(args, format);
    *issue = (ConditionIssue){ .code = code, .offset = node ? node->offset : 0, .length = node ? node->length : 0, .message = printed(c, format, args),
                               .expected = STR(""), .actual = STR(""), .suggestion = STR("") };
    va_end(args);
    return issue;
}

#define SET(field)                              \
    va_list args;                               \
    va_start(args, format);                     \
    issue->field = printed(c, format, args);    \
    va_end(args)
void issue_expected(CondCheck *c, ConditionIssue *issue, const char *format, ...) { SET(expected); }
void issue_actual(CondCheck *c, ConditionIssue *issue, const char *format, ...) { SET(actual); }
void issue_suggest(CondCheck *c, ConditionIssue *issue, const char *format, ...) { SET(suggestion); }

static bool put_path(const Cond *node, Buf *out)
{
    switch (node->kind) {
    case COND_NAME: buf_put_str(out, node->text); return true;
    case COND_STEP: buf_printf(out, "steps[%.0f]", node->number); return true;
    case COND_MEMBER:
        if (!put_path(node->items[0], out)) return false;
        buf_printf(out, "%s%.*s", node->optional ? "?." : ".", STR_ARG(node->text));
        return true;
    case COND_INDEX:
        if (!put_path(node->items[0], out) || node->items[1]->kind != COND_NUMBER) return false;
        buf_printf(out, "[%.17g]", node->items[1]->number);
        return true;
    default: return false;
    }
}

Str cond_path_text(CondCheck *c, const Cond *node)
{
    enum { SHOWN_MAX = 80 };
    Buf out = { 0 };
    Str text = put_path(node, &out) && out.len <= SHOWN_MAX ? arena_str(c->arena, buf_str(&out)) : STR("this value");
    buf_free(&out);
    return text;
}

Str cond_source_text(CondCheck *c, const Cond *node)
{
    Buf out = { 0 };
    bool whole = true;
    if (node->kind == COND_STRING && node->text.len <= 80) json_put_string(&out, node->text);
    else if (node->kind == COND_NUMBER) buf_printf(&out, "%.17g", node->number);
    else whole = put_path(node, &out);
    Str text = whole ? arena_str(c->arena, buf_str(&out)) : STR("");
    buf_free(&out);
    return text;
}

const char *sort_text(CondSort sort)
{
    static const char *const words[] = { "nothing", "null", "a boolean", "a number", "a string", "a list", "a map", "a record", "json" };
    return words[sort];
}

Str sort_full(CondCheck *c, const CondNote *note)
{
    uint8_t nullish = note->sort == SORT_JSON || note->sort == SORT_NULL ? 0 : note_nullish(note);
    return str_of(arena_printf(c->arena, "%s%s%s", sort_text(note->sort), nullish & MAYBE_NULL ? " or null" : "", nullish & MAYBE_UNDEFINED ? " or undefined" : ""));
}

static const Cond *root_of(const Cond *node)
{
    while (cond_is_link(node)) node = node->items[0];
    return node;
}

static Str why_null(CondCheck *c, const Cond *node)
{
    const CondNote *note = node->note;
    if (note->cut && !note->own) return STR("its `?.` may find nothing");
    if (node->kind == COND_NAME || node->kind == COND_STEP) {
        Str why = c->roots[note->index].root.why_null;
        return why.len ? why : STR("the tool may leave it out");
    }
    if (node->kind == COND_MEMBER && note->access == ACCESS_FIELD) {
        const Cond *root = root_of(node);
        Str why = (root->kind == COND_NAME || root->kind == COND_STEP) && root->note->own ? c->roots[root->note->index].root.why_null : STR("");
        return why.len ? why : STR("the tool may leave it out");
    }
    if (note->access == ACCESS_MAP && node->kind == COND_MEMBER) return STR("the map may not have it");
    if (node->kind == COND_INDEX) return STR("nothing may be there");
    return STR("one of its sides may be");
}

void issue_may_be_null(CondCheck *c, const Cond *node)
{
    Str path = cond_path_text(c, node), why = why_null(c, node);
    bool undefined = note_nullish(node->note) & MAYBE_UNDEFINED;
    const char *quote = str_is(path, "this value") ? "" : "`";
    ConditionIssue *issue = cond_issue(c, node, "E0734", "%s%.*s%s may be %s: %.*s", quote, STR_ARG(path), quote, undefined ? "undefined" : "null", STR_ARG(why));
    Str source = cond_source_text(c, node);
    if (sort_is_object(node->note->sort) && source.len) issue_expected(c, issue, "a value that is there: `%.*s != null && …`, or `?.`", STR_ARG(source));
    else issue_expected(c, issue, "a value that is there");
    issue_actual(c, issue, "%.*s", STR_ARG(sort_full(c, node->note)));
    if (source.len) switch (node->note->sort) {
    case SORT_NUMBER: issue_suggest(c, issue, "(%.*s ?? 0)", STR_ARG(source)); break;
    case SORT_STRING: issue_suggest(c, issue, "(%.*s ?? \"\")", STR_ARG(source)); break;
    case SORT_BOOL: issue_suggest(c, issue, "(%.*s === true)", STR_ARG(source)); break;
    default: break;
    }
}

void issue_no_field(CondCheck *c, const Cond *node, Str field, const Type *record)
{
    Str path = cond_path_text(c, node->items[0]), names[RECORD_FIELDS_MAX];
    Buf known = { 0 };
    for (uint32_t i = 0; i < record->field_count && i < RECORD_FIELDS_MAX; i++) {
        names[i] = record->fields[i].name;
        if (i < FIELDS_SHOWN) buf_printf(&known, "%s%.*s", i ? ", " : "", STR_ARG(names[i]));
        else if (i == FIELDS_SHOWN) buf_put_text(&known, " …");
    }
    ConditionIssue *issue = cond_issue(c, node, "E0735", "`%.*s` has no field `%.*s`", STR_ARG(path), field.len > 60 ? 60 : (int)field.len, field.ptr);
    issue_expected(c, issue, "one of %.*s", (int)known.len, known.ptr ? known.ptr : "");
    issue_actual(c, issue, "%.*s", field.len > 60 ? 60 : (int)field.len, field.ptr);
    Str near = str_nearest(field, names, record->field_count < RECORD_FIELDS_MAX ? record->field_count : RECORD_FIELDS_MAX);
    if (near.len && cond_source_text(c, node->items[0]).len) issue_suggest(c, issue, "%.*s%s%.*s", STR_ARG(path), node->optional ? "?." : ".", STR_ARG(near));
    buf_free(&known);
}

void issues_sort(ConditionIssues *issues)
{
    for (uint32_t i = 1; i < issues->count; i++)
        for (uint32_t k = i; k > 0 && issues->items[k].offset < issues->items[k - 1].offset; k--) {
            ConditionIssue issue = issues->items[k];
            issues->items[k] = issues->items[k - 1];
            issues->items[k - 1] = issue;
        }
}
