/* lint.h - what is legal and asks for trouble. One file a family, a row of `passes` each; a pass only reads the checked tree and adds warnings.
 *
 * A finding is silenced by a comment `// allow: NAME because REASON` at the end of its line or on the line before; the reason is required.
 * Findings are reported for the module the author named, not for those it uses; what is looked at is the whole program.
 */
#ifndef LINT_LINT_H
#define LINT_LINT_H
#include "compiler/typed.h"

void lint_saga(Program *program);        /* compensation */
void lint_wait(Program *program);        /* deadlines and bounds */
void lint_names(Program *program);       /* unused, shadowed, unreachable */
void lint_events(Program *program);
void lint_tables(Program *program);      /* privacy clauses, indexes, queries in loops */
void lint_machines(Program *program);
void lint_durability(Program *program);  /* waits of runs that nobody finds */
void lint_state(Program *program);       /* cached for too long, fields of contexts written by two branches */
void lint_routes(Program *program);      /* routes, scopes, webhooks */
void lint_plans(Program *program);        /* budgets and requests of plans */
void lint_text(Program *program);        /* regular expressions */

/* Shared by the passes: visits every node of every module, parents first; false from the visitor skips the children. */
typedef bool (*LintVisit)(Ast *node, void *arg);
void lint_walk(Ast *root, LintVisit visit, void *arg);
void lint_walk_program(Program *program, LintVisit visit, void *arg);
/* The tool a call reaches, NULL for everything else. */
Symbol *lint_called_tool(const Ast *call);
uint16_t lint_tool_flags(const Symbol *tool);
bool lint_tool_repeats_safely(const Symbol *tool);       /* reads, idempotent or keyed */
bool lint_changes_things(const Symbol *tool);
#endif
