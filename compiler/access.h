/* access.h - who may what: the scopes and roles of a program, and the scopes that a run of a flow asks for. */
#ifndef COMPILER_ACCESS_H
#define COMPILER_ACCESS_H
#include "compiler/typed.h"

#define ACCESS_ALL "admin:all"           /* allows everything, and need not be declared */

typedef struct ScopeList { Str *items; uint32_t count, cap; } ScopeList;
bool scopes_has(const ScopeList *list, Str scope);
void scopes_add(Arena *arena, ScopeList *list, Str scope);                    /* once */
/* Those of the `requires` clauses. */
void scopes_of_clauses(Arena *arena, AstList clauses, ScopeList *out);
/* In ascending order: what the flow requires, and what every tool and flow requires that its body can reach: by calls, by flows it starts, and by
   the compensation of its sagas. Only after a check without errors. */
void scopes_reached(Program *program, const Symbol *flow, ScopeList *out);
const Ast_scope_decl *scope_declared(const Program *program, Str name);       /* NULL: none */
bool scope_granted(const Program *program, Str name);                         /* by a role */
#endif
