/* check_internal.h - the state of resolve and check, shared by resolve*.c and check*.c only.
 *
 * check_expr() gives a node its type and never fails: what is wrong is reported and poisoned. `hint` is the type that the place expects,
 * used to choose (enum members, record or map, element types), not enforced; check_value() enforces it and notes the conversion in `want`.
 * A diverging expression (`fail`, `return` …) has the type never(): VOID on the node, told apart by pointer while checking.
 */
#ifndef COMPILER_CHECK_INTERNAL_H
#define COMPILER_CHECK_INTERNAL_H
#include "compiler/signature.h"
#include "compiler/typed.h"
#include "compiler/types.h"

/* One function-like body. Branches and compensations have their own inside that of the declaration. */
typedef struct Body {
    struct Body *outer;
    uint16_t id;
    const char *what;           /* "flow", "parallel branch", for messages */
    Type *result;               /* what return gives; NULL where return may not leave (branches) */
    Symbol **captures; uint32_t capture_count, capture_cap;
    uint32_t loop_depth;
    uint32_t transaction_depth, finally_depth, lambda_depth, saga_depth;
    uint32_t parallel_depth;    /* in a branch of `parallel`, this body or one around it */
    bool undoing;               /* in a compensation, this body or one around it */
    const char *barrier;        /* what stands between here and the loop around: a transaction, a saga, a finally */
} Body;

typedef struct Binding {        /* a local name in scope */
    Symbol *symbol;
    struct Binding *hidden;     /* what the name meant around this scope */
    uint32_t depth;
} Binding;

typedef struct Fact {           /* `path` is not null here; NULL when no longer known */
    Ast *path;
    Symbol *root;
} Fact;

enum { DEFERRED_TRANSACTION, DEFERRED_RETRY, DEFERRED_PLAN /* + PLAN_IN_… */ };
typedef struct CallEdge { FuncInfo *caller, *callee; } CallEdge;
typedef struct Deferred {       /* rules that need the effects of the callee */
    int kind;
    Ast *node;
    Symbol *target;
} Deferred;

typedef struct Coordination { const struct Coordination *outer; const Symbol *context; } Coordination;     /* contexts that are open around the statement */

typedef struct Checker {
    Program *program;
    Arena *arena;
    Diags *diags;
    Type **basic;               /* program->basic */
    Type *never;
    Signatures *signatures;
    Map locals;                 /* name -> Binding */
    Binding **scope; uint32_t scope_count, scope_cap;   /* bindings in order of declaration */
    uint32_t scope_depth, symbol_cap;
    Fact *facts; uint32_t fact_count, fact_cap;
    Body *body;
    FuncInfo *func;             /* declaration being checked: collects effects */
    const char *pure_where;     /* not NULL: effects are errors here ("function `total`") */
    bool in_test, in_default;
    Ast *detached;              /* a call of a flow that runs on its own: start, run of a test */
    Symbol *bare_table;         /* its columns are names here */
    struct QueryScope *query;   /* the query being checked, for aggregates of groups */
    const Coordination *coordination;
    CallEdge *edges; uint32_t edge_count, edge_cap;
    Deferred *deferred; uint32_t deferred_count, deferred_cap;
} Checker;

/* ---- resolve.c ------------------------------------------------------------------------------------ */
bool  is_complete(const Program *program);                                  /* no syntax errors, no missing modules */
Type *resolve_type(Checker *c, Ast *node);
void  resolve_table(Checker *c, Symbol *table);
void  resolve_machine(Checker *c, Symbol *machine);
void  resolve_policy(Checker *c, Symbol *policy);
void  resolve_func(Checker *c, Symbol *func);
void  resolve_tool_clauses(Checker *c, Symbol *tool);
void  resolve_flow_clauses(Checker *c, Symbol *flow);
void  resolve_fields(Checker *c, Symbol *record, AstList fields);
FuncInfo *func_new(Checker *c, Symbol *symbol);
Symbol *require_event(Checker *c, Ident name);
bool  is_remote(const Symbol *agent);
Symbol *symbol_new(Checker *c, SymbolKind kind, Ident name, Ast *decl);
void  check_duplicate(Checker *c, const char *kind, Ident name, Symbol *first);
Symbol *find_global(Checker *c, SymbolKind kind, Str name);
void  suggest_globals(Checker *c, Diag *diag, Str wrong, SymbolKind kind);
void  suggest_members(Checker *c, Diag *diag, Str wrong, const Map *members);
void  suggest_fields(Checker *c, Diag *diag, Str wrong, const Type *record);
Ident decl_name(Ast *decl);
void *grow(Checker *c, void *items, uint32_t count, uint32_t *cap, size_t item_bytes);  /* room for one more */
#define GROW(c, items, count, cap) ((items) = grow((c), (items), (count), &(cap), sizeof *(items)))

/* ---- scopes and bodies: check_scope.c ----------------------------------------------------------------- */
void  scope_enter(Checker *c);
void  scope_leave(Checker *c);
Symbol *scope_declare(Checker *c, Ident name, Type *type, Ast *decl);       /* a LOCAL of the current body; NULL name: not visible */
void  scope_bind(Checker *c, Symbol *symbol, Span span);                    /* makes an existing symbol visible */
Symbol *scope_find(Checker *c, Str name);
void  suggest_names(Checker *c, Diag *diag, Str wrong);                     /* locals and globals */
void  body_enter(Checker *c, Body *body, const char *what, Type *result);
void  body_leave(Checker *c);
CaptureInfo *body_captures(Checker *c, Body *body, Type *result, bool critical);
void  note_capture(Checker *c, Symbol *symbol);
/* An effect happens here: collected, or reported where it may not be. `what` like "a call of tool `x`". */
void  check_durability(Checker *c);      /* check_durability.c, when every call is known */
void  note_effect(Checker *c, Ast *node, unsigned effect, const char *what);
void  note_call(Checker *c, Ast *node, Symbol *callee);
void  defer(Checker *c, int kind, Ast *node, Symbol *target);
void  effects_settle(Checker *c);

/* ---- narrowing: check_narrow.c -------------------------------------------------------------------------- */
void  facts_of(Checker *c, Ast *condition, bool truth);
void  facts_add(Checker *c, Ast *path);
bool  facts_know(Checker *c, Ast *path);
void  facts_forget(Checker *c, Symbol *root);
void  facts_forget_mutable(Checker *c);

/* ---- expressions ------------------------------------------------------------------------------------------ */
Type *check_expr(Checker *c, Ast *node, Type *hint);
Type *check_value(Checker *c, Ast *node, Type *target);
Type *check_some(Checker *c, Ast *node, Type *hint);                        /* a value there must be: not VOID */
bool  coerce(Checker *c, Ast *node, Type *target);
void  convert(Ast *node, Type *to);                                         /* notes `want` when it differs */
void  check_condition(Checker *c, Ast *node);
Type *poison(Checker *c);
const char *text_of(Checker *c, const Type *type);
void  report_mismatch(Checker *c, Ast *node, Type *found, Type *expected);
void  report_optional(Checker *c, Ast *node, Type *found, const char *expected);
Type *check_name(Checker *c, Ast *node, Type *hint);
bool  could_be_member(Checker *c, Ast *node);
Type *check_field(Checker *c, Ast *node, Type *hint);
Type *check_index(Checker *c, Ast *node);
Type *check_string(Checker *c, Ast *node);
void  check_regex(Checker *c, Ast *node);
Type *check_unary(Checker *c, Ast *node, Type *hint);
Type *check_binary(Checker *c, Ast *node, Type *hint);
Type *operator_type(Checker *c, Ast *node, BinaryOp op, Ast *left, Ast *right, Type **operands);
Type *check_list(Checker *c, Ast *node, Type *hint);
Type *check_record(Checker *c, Ast *node, Type *hint);
Type *check_with(Checker *c, Ast *node);
Type *check_as(Checker *c, Ast *node);
void  check_row(Checker *c, Ast *node, Symbol *table);                      /* record literal for insert, fixtures, given */
Type *check_call(Checker *c, Ast *node, Type *hint);
Type *check_method(Checker *c, Ast *node, Str name, Span name_span, Ast *receiver, Type *hint);
bool  method_exists(Checker *c, Str name);
typedef struct Param { Str name; Type *type; bool has_default; Ast *decl; } Param;
bool  match_arguments(Checker *c, AstList args, Str callee, Span callee_span, const Param *params, uint32_t count, CallInfo *info);
Type *check_effect(Checker *c, Ast *node);                                   /* of a made tree */
Type *check_clause_expr(Checker *c, Ast *node, Type *hint);                 /* retry, within, else, ask, await, start */
Ast  *called_node(Ast *node);                                               /* what stands below clauses */

/* ---- queries: check_query.c, check_render.c ---------------------------------------------------------------- */
typedef struct QueryScope { QueryInfo *info; Ast *group; bool in_outputs; /* select, order: behind the grouping */ } QueryScope;
Type *check_query(Checker *c, Ast *node, Type *hint);
QueryInfo *query_new(Checker *c, QueryKind kind, Symbol *table);
Type *check_aggregate(Checker *c, Ast *node, Ident function, Ast *source, Ast *where);
Symbol *global_named(Checker *c, Ast *node, SymbolKind kind);                                 /* a name_expr that is a table, session or context and no local */
void  render(Checker *c, QueryScope *query, Ast *node);                     /* hoists what it can, reports what cannot run in the store */
void  hoist(Checker *c, QueryInfo *info, Ast *node);
Symbol *require_table(Checker *c, Ident name);

void  check_visibility(Checker *c, Symbol *table);                          /* check_visibility.c: `visible by` of a table */

/* ---- sessions, contexts, cached reads: check_state.c ------------------------------------------------------------ */
void  resolve_session(Checker *c, Symbol *session);
void  resolve_context(Checker *c, Symbol *context);
void  resolve_cache_clause(Checker *c, Symbol *table, Ast_cache_clause *clause);
Type *check_change(Checker *c, Ast *node);
Type *check_condition_expr(Checker *c, Ast *node);                         /* condition.c */
Type *check_session_read(Checker *c, Ast *node);                            /* index_expr; NULL: not of a session */
void  check_save(Checker *c, Ast *node);
void  check_forget(Checker *c, Ast *node);
Type *check_context_read(Checker *c, Ast *node, Symbol *context);
bool  check_context_write(Checker *c, Ast *node);                           /* assign_stmt; false: not to a context */
Type *check_coordinate(Checker *c, Ast *node);
Type *check_cached(Checker *c, Ast *node, Type *hint);
void  check_some_fields(Checker *c, Ast *literal, Type *record);            /* a record literal with some of the fields */

/* ---- plans: check_plan.c -------------------------------------------------------------------------------------- */
Type *check_run_plan(Checker *c, Ast *node);
enum { PLAN_HERE, PLAN_IN_PARALLEL, PLAN_IN_UNDO, PLAN_IN_TOOL };
int   plan_place(const Checker *c);                                         /* what is called here may run no plan either, unless it is PLAN_HERE */
void  check_plan_call(Checker *c, Ast *node, const FuncInfo *callee, const char *callee_text, int place);
void  check_trusted_arguments(Checker *c, const CallInfo *call);
void  check_param_notes(Checker *c, Ast_param *param, bool of_tool);
void  check_costs(Checker *c, const Ast_costs_clause *costs);

/* ---- statements --------------------------------------------------------------------------------------------- */
typedef enum { BLOCK_STATEMENT, BLOCK_MAYBE, BLOCK_VALUE } BlockMode;       /* MAYBE: gives a value when its end is one */
/* The type of its value (VOID when none), or c->never when control does not come to its end. */
Type *check_block(Checker *c, Ast *node, BlockMode mode, Type *hint);
Type *check_statement(Checker *c, Ast *node);                               /* VOID or never */
Type *check_if(Checker *c, Ast *node, BlockMode mode, Type *hint);
void  check_loop_body(Checker *c, Ast *body);
Type *join_ends(Checker *c, Ast *const *ends, Type *const *types, uint32_t count, BlockMode mode);
Type *check_match(Checker *c, Ast *node, BlockMode mode, Type *hint);
Type *check_parallel(Checker *c, Ast *node, BlockMode mode, Type *hint);
Type *check_parallel_for(Checker *c, Ast *node, BlockMode mode, Type *hint);
Type *check_saga(Checker *c, Ast *node);
Type *check_closed(Checker *c, Ast *block, const char *what);               /* what may not be left by break and continue */
void  check_step(Checker *c, Ast *node);
bool  check_test_statement(Checker *c, Ast *node);                          /* false: not one of a test */
/* Converts the value at the end of a block, branch or arm that check_* gave `type` to `to`. */
void  coerce_end(Checker *c, Ast *node, Type *to);
Type *check_end(Checker *c, Ast *node, BlockMode mode, Type *hint);         /* expression or block or statement as a value */
void  check_error_details(Checker *c, Ast *details);
void  check_error_kind(Checker *c, Ident kind);
void  check_duration(Checker *c, Ast *node);

/* ---- declarations: check_decl.c ------------------------------------------------------------------------------- */
void  check_declaration(Checker *c, Ast *decl);

/* ---- routes, webhooks, scopes, roles: check_route.c ---------------------------------------------------------------- */
void  resolve_scope(Checker *c, Ast *node);
void  resolve_role(Checker *c, Ast *node);
void  check_role(Checker *c, Ast *node);
void  check_scopes(Checker *c, AstList scopes);                             /* of `requires`, `grants`: literals, declared when any is */
void  check_route(Checker *c, Symbol *flow, Ast *node);
void  check_webhook_clause(Checker *c, Ast *node);
void  check_webhook(Checker *c, Symbol *flow);
#endif
