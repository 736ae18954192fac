/* condition.h - the conditions, references and texts of a plan, made into expressions of the flow language.
 *
 * Each function reads a text (dsl/syntax/condition.h), finds its names through the scope, checks every type, and gives an Ast that the
 * compiler checks and lowers as any other: condition_check() and condition_check_text() a condition_expr (of type bool, of type string),
 * condition_check_path() the field_exprs and index_exprs of the flow language around the value of its first name, so that a reference keeps the
 * exact type. What they give has type and place (`span`, of the whole node: issues are placed by offset instead) but is not checked: that is
 * check_program's or check_expr's, where the values of the names are in scope.
 *
 * NULL, and at least one issue (in order of offset, at most CONDITION_ISSUES_MAX of them), when there is a mistake. Pure. All memory is the arena's
 * of the program.
 *
 * Codes: E0721 limit, E0730 syntax, E0731 JavaScript outside of the subset, E0732 types, E0733 unknown name, E0734 may be null, E0735 no such field.
 *
 * Types. A value of the flow language is in a condition what its JSON form is: bool boolean; int, float, decimal number (an IEEE double, converted as
 * JSON.parse does); string, enum, id, date, timestamp string; record, map and list as they are; json whatever it is at run time, checked there.
 * docs/plans.md has the whole subset.
 */
#ifndef COMPILER_CONDITION_H
#define COMPILER_CONDITION_H
#include "compiler/typed.h"
#include "dsl/syntax/condition.h"

enum { CONDITION_ISSUES_MAX = 8 };

typedef ConditionError ConditionIssue;           /* code, offset, length, message, expected, actual, suggestion */
typedef struct ConditionIssues { ConditionIssue items[CONDITION_ISSUES_MAX]; uint32_t count; } ConditionIssues;

/* What a name stands for. `value` is an expression of the flow language in the scope where the condition will stand (a name_expr of a local), not used
   anywhere else. `type` is its type there: an optional when it may be null, and then `why_null` says why in words that complete "`x` may be null: …"
   ("its step may be skipped"); empty: the tool says so. */
typedef struct ConditionRoot { Ast *value; Type *type; Str why_null; } ConditionRoot;

/* Asked once for each different name of a text, in order. `step` is -1, or the i of `steps[i]` (name is "steps" then). False: there is no such value
   here; the issue's code (E0733; E0734 of a step that comes later or runs beside), message, expected and suggestion are then the resolver's, the place is not. */
typedef struct ConditionScope {
    Program *program;
    bool (*resolve)(void *arg, Str name, int64_t step, ConditionRoot *root, ConditionIssue *issue);
    void *arg;
} ConditionScope;

Ast *condition_check(const ConditionScope *scope, Str text, Span span, ConditionIssues *issues);
Ast *condition_check_text(const ConditionScope *scope, Str text, Span span, ConditionIssues *issues);
Ast *condition_check_path(const ConditionScope *scope, Str text, Span span, Type **type, ConditionIssues *issues);
#endif
