/* expand.h - aggregates, projections, replay and audit as what they are made of: tools, functions, tables and queries.
 *
 * Runs on the trees of all modules, before names are resolved. Every command becomes a tool of its agent; what the author wrote goes into
 * it node by node and keeps its place, what the compiler adds is marked `made` and stands where the command, invariant or expression does.
 * So nothing behind this file knows of aggregates but the lints and the traces (TOOL_COMMAND).
 *
 * Names that begin with `__` are the compiler's. What is added to a command (see expand_root.c and expand_sourced.c):
 *   __id the id of the root; __now its newest state, a record; __root the state that was loaded; __tries.
 * Limits: AGGREGATE_TRIES_MAX attempts of a command whose aggregate was changed by others meanwhile, then `conflict`. A sourced aggregate leaves its state
 * in table event_snapshots every AGGREGATE_SNAPSHOT_EVERY events, so a command loads at most that many.
 */
#ifndef COMPILER_EXPAND_H
#define COMPILER_EXPAND_H
#include "compiler/typed.h"

enum { AGGREGATE_TRIES_MAX = 20, AGGREGATE_SNAPSHOT_EVERY = 100, AGGREGATE_CHILDREN_MAX = 16, AGGREGATE_INVARIANTS_MAX = 64, AGGREGATE_SITES_MAX = 256 };

typedef struct AggregateChild { Ast_table_decl *table; Str key; } AggregateChild;      /* key: the column that holds the root's id */

typedef struct Aggregate {
    struct Aggregate *next;
    Ast_aggregate_decl *decl;
    Ast_agent_decl *agent;                       /* NULL: none, or diagnosed */
    Ast_table_decl *root;                        /* NULL: sourced by events */
    AggregateChild children[AGGREGATE_CHILDREN_MAX]; uint32_t child_count;
    Ast_state_clause *state;                     /* sourced only */
    Ast_invariant_clause *invariants[AGGREGATE_INVARIANTS_MAX]; uint32_t invariant_count;
    bool broken;                                 /* diagnosed: nothing is made of it */
} Aggregate;

static inline bool aggregate_is_sourced(const Aggregate *a) { return a->decl->sources.count > 0; }
/* The aggregate whose root or child the table is; NULL for others. */
const Aggregate *aggregate_of_table(const Program *program, Str table);
#endif
