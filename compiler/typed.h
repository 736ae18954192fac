/* typed.h - what check leaves for lower: types, symbols, and notes on nodes.
 *
 * resolve_program() makes a Symbol for every declaration of every module; check_program() gives every expression a Type (or issued a
 * diagnostic), every name a Symbol, and to the nodes listed below an `info`. After a check without errors lower needs no lookup and no
 * decision: it may assert. Everything lives in the Program's arena.
 *
 * Notes on nodes (`head.info` unless said otherwise):
 *   call_expr       CallInfo           field_expr      FieldInfo (or symbol: enum member, column, agent…)
 *   index_expr      IndexInfo          from_expr, aggregate_expr, insert/update/delete_expr, index_expr on a table: QueryInfo
 *   lambda_expr     its params are Symbols on the name_ref nodes; head.type is the type of the body; inlined: same func_id as around it
 *   binary_expr     Type * of the operands after `want` (when they differ, as in timestamp + duration: of the left one); assign_stmt with op: the same
 *   plan_tool: head.symbol is the TOOL, or the AGENT for all of its tools. plan_expr: numbers are literals in range.
 *   given_returns of llm.plan: no symbol, the value is json.
 *   else_expr       ElseInfo           retry_expr      head.symbol: the policy
 *   branch, parallel_for, saga step compensate (on step_stmt)   CaptureInfo (they become functions of their own)
 *   flow/tool/fn/handler/resource/test/fixture decl   FuncInfo
 * Symbols that nodes declare (`head.symbol`):
 *   let_stmt, catch_clause, step_stmt, branch, parallel_for (the item, first parameter of its function, before the captures), param,
 *   bind_pattern, trigger_clause (the event is the flow's FIRST parameter, before the written ones, named as the clause says),
 *   for_stmt (the item; the index Symbol is in head.info), run_stmt (`result`, a LOCAL whose decl is the run_stmt; NULL when the flow has none).
 *   handler_decl: HANDLER; FuncInfo.params[0] is the event (its type's decl is the EVENT), also in scope of `where`.
 *   await_expr: head.symbol the EVENT or SIGNAL, head.info an AwaitInfo (NULL without `where`). emit, signal, deliver, given_rows, given_ids,
 *   given_fails/returns, fixture_rows, insert/update/delete, compensated_clause: head.symbol is what they name. name_ref in expect_calls items: field_expr with symbol TOOL.
 * Types of statements used as values: if_stmt, match_stmt, parallel_stmt (race), block, parallel_for carry head.type; VOID when not a value or when control never
 *   gets there (`fail`, `return` in an else_expr or match arm). A block's value is its last item: expr_stmt (its value carries `want`), if_stmt, match_stmt or a race.
 * Names in narrowed places (`if x != null`): the node's type is the element, its symbol's (or field's) declared type the OPT: unwrap.
 * `want`: int->decimal/float, decimal->float, T->T? (after any of these), null->T?, T or T?->json. id<t> and string need no conversion and get none.
 * Record literals: head.type is the record (or map) to build; a field_value written as shorthand has a typed name_expr in head.info (use it as its value); fields that are
 *   missing have a default (TypeField.decl->value, checked, constant) or are optional (null). In insert, fixture_rows and given_rows the literal's fields carry the
 *   COLUMN as head.symbol, the literal's type is the row record; missing columns: id is generated, default, null, version.
 * `x?.f`: head.type is OPT of the field (or the field's own type when that is OPT); xs as elements of `in`: binary info is the element type.
 * ask_expr: `choices` is a list<string>. as_expr: value is json after `want`.
 * llm.classify(text, Enum | [Enum]), llm.extract(text, Record): CallInfo.args[0] only, the type in llm_type. llm.plan(request, agents: [a, b]): args[1] is a list_expr of
 *   name_exprs whose symbol is the AGENT (or NULL: all).
 * catch kinds, fail kind, given_fails kind, expect_outcome kind: checked words; compare the text. `fail e`: kind is empty and message has type ERROR.
 */
#ifndef COMPILER_TYPED_H
#define COMPILER_TYPED_H
#include "base/map.h"
#include "dsl/syntax/ast.h"
#include "dsl/syntax/diag.h"
#include "interpreter/bytecode/image.h"

typedef enum {
    TYPE_POISON,        /* a diagnostic was issued: silences follow-ups */
    TYPE_VOID, TYPE_NULL /* of the literal */, TYPE_BOOL, TYPE_INT, TYPE_FLOAT, TYPE_DECIMAL, TYPE_STRING, TYPE_DATE, TYPE_TIMESTAMP, TYPE_DURATION,
    TYPE_BYTES, TYPE_JSON, TYPE_ERROR, TYPE_OPT, TYPE_LIST, TYPE_MAP, TYPE_RECORD, TYPE_ENUM, TYPE_ID /* of a table: a string at run time */,
    TYPE_VAR            /* type variable of a built-in's signature */
} TypeTag;

typedef struct Symbol Symbol;
typedef struct Type Type;
typedef struct TypeField { Str name; Type *type; Ast *decl; bool has_default; } TypeField;
struct Type {
    TypeTag tag;
    uint8_t depth;              /* nesting: 0 for scalars; at most TYPE_DEPTH_MAX (E0444) */
    uint8_t labels;             /* LABEL_PII | LABEL_SECRET: of this value; propagates through expressions */
    Type *element;              /* OPT, LIST, MAP */
    Symbol *decl;               /* RECORD declared by type/event/signal/table row; ENUM by enum/machine; ID its table */
    Str name;                   /* RECORD, ENUM: declared name, or empty */
    TypeField *fields; uint32_t field_count;             /* RECORD, ERROR */
    Str *members; uint32_t member_count;                 /* ENUM */
    uint16_t image_index;       /* lower's: NO_INDEX until placed */
    Type *optional, *list, *map; /* T?, list<T>, map<T>, made once (types.c) */
};
/* Equality ignores labels. Records are equal when fields (names, types, order) are: structural; enums by declaration. */
bool  type_equal(const Type *a, const Type *b);
void  type_print(const Type *type, Buf *out);                  /* "list<Flight>", "pii string?" */
bool  type_is_counted(const Type *type);
static inline bool type_is(const Type *t, TypeTag tag) { return t->tag == tag; }

typedef enum {
    SYMBOL_LOCAL, SYMBOL_PARAM, SYMBOL_FN, SYMBOL_FLOW, SYMBOL_AGENT, SYMBOL_TOOL, SYMBOL_EVENT, SYMBOL_SIGNAL, SYMBOL_RECORD, SYMBOL_ENUM,
    SYMBOL_MEMBER, SYMBOL_MACHINE, SYMBOL_TABLE, SYMBOL_COLUMN, SYMBOL_POLICY, SYMBOL_FIXTURE, SYMBOL_HANDLER, SYMBOL_TEST, SYMBOL_SESSION, SYMBOL_CONTEXT,
    SYMBOL_NAMESPACE /* env, user, run, llm */
} SymbolKind;

struct Symbol {
    SymbolKind kind;
    Str name;
    Ast *decl;                  /* NULL for built-in ones */
    Type *type;                 /* LOCAL PARAM: its type; RECORD EVENT SIGNAL ENUM MACHINE SESSION CONTEXT: the type; TABLE: row record; MEMBER: the enum; COLUMN: its type; FN FLOW TOOL: result (VOID when none) */
    Symbol *owner;              /* TOOL HANDLER: agent or NULL; TABLE: agent or NULL; COLUMN: table; MEMBER: enum */
    uint32_t ordinal;           /* MEMBER, COLUMN: position */
    bool is_mutable, is_used, is_public;
    uint16_t func_id;           /* LOCAL PARAM: number of the function-like body (FuncInfo.id) that declares it */
    Map members;                /* AGENT: tools by name; ENUM MACHINE: members; TABLE: columns */
    uint16_t image_index;       /* lower's: agent, tool, flow, event, table, func … index, or register of a local */
    void *info;                 /* MEMBER: the next Symbol of that name in another enum; FN FLOW TOOL HANDLER TEST FIXTURE: FuncInfo; POLICY: PolicyInfo; TABLE: TableInfo; MACHINE: MachineInfo; SESSION CONTEXT: StateInfo */
};

/* A call with its arguments put in the order of the parameters; NULL where the default is taken (param decl's value expression, checked in the callee's scope: constants and pure expressions only). */
typedef enum {
    CALL_FN, CALL_TOOL /* local */, CALL_REMOTE, CALL_FLOW, CALL_BUILTIN, CALL_INLINE /* list/map method with lambdas */,
    CALL_EFFECT /* now() uuid() random() */, CALL_LLM, CALL_RECORD /* Type(…)  */
} CallKind;
typedef enum { INLINE_MAP, INLINE_FILTER, INLINE_FIND, INLINE_ANY, INLINE_ALL, INLINE_COUNT, INLINE_SUM_BY, INLINE_SORT_BY, INLINE_MIN_BY, INLINE_MAX_BY, INLINE_GROUP_BY, INLINE_FLAT_MAP, INLINE_REDUCE } InlineKind;
typedef struct CallInfo {
    CallKind kind;
    Symbol *target;             /* FN TOOL REMOTE FLOW RECORD */
    Builtin builtin;            /* BUILTIN */
    InlineKind method;          /* INLINE */
    EffectKind effect;          /* EFFECT LLM */
    Ast **args; uint32_t arg_count;      /* receiver first for BUILTIN and INLINE */
    Type **param_types;         /* what each argument is converted to (= arg's want or type) */
    Type *llm_type;             /* LLM classify, extract: the enum or record asked for (in list<> when a list) */
} CallInfo;

typedef enum { FIELD_RECORD, FIELD_JSON, FIELD_ERROR, FIELD_COLUMN, FIELD_MEMBER, FIELD_INFO /* user.id … */, FIELD_ENV, FIELD_MODULE, FIELD_CONTEXT /* written */ } FieldKind;
typedef struct FieldInfo { FieldKind kind; uint32_t index; Symbol *symbol; } FieldInfo;   /* RECORD ERROR: field index; INFO: operand of OP_INFO */
typedef enum { INDEX_LIST, INDEX_MAP, INDEX_TABLE, INDEX_JSON, INDEX_SESSION /* head.symbol */ } IndexKind;
typedef struct IndexInfo { IndexKind kind; struct QueryInfo *query; } IndexInfo;
typedef enum { ELSE_NULL, ELSE_TIMEOUT } ElseKind;           /* TIMEOUT: value is (within/ask/await …): otherwise on timeout; also on null when value is optional and result is not */
typedef struct ElseInfo { ElseKind kind; } ElseInfo;

/* Free variables of a body that becomes a function: captured by value, passed as parameters in this order. */
typedef struct CaptureInfo { Symbol **symbols; uint32_t count; Type *result; bool critical; uint16_t func_id; } CaptureInfo;

/* The condition of an await: a function of what it captures and, last, of the record. `item` is the record's name in it. */
typedef struct AwaitInfo { Symbol *item; CaptureInfo *where; } AwaitInfo;

/* A table expression. Sub-expressions of where/set/order/select are either rendered into the query (they touch a row variable or column) or
   hoisted: evaluated before and passed as a parameter. `hoisted` lists those, in the order of evaluation; lower renders the rest. */
typedef struct QueryInfo {
    QueryKind kind;
    bool over_list;             /* from over a list: lowered to loops, nothing else here is set */
    Symbol *table;
    Symbol *row;                /* the row variable (SYMBOL_LOCAL with type = row record), or NULL for bare columns */
    Symbol *join_tables[QUERY_JOINS_MAX]; Symbol *join_rows[QUERY_JOINS_MAX]; uint32_t join_count;
    Ast **hoisted; uint32_t hoisted_count;
    int64_t cached_us;          /* `cached`: how long the result may be kept; 0: not at all */
    Type *row_type, *result;    /* row_type: record of the outputs; a select of one value has one field `value`, and result is the list of it */
} QueryInfo;
/* Aggregates in the select, order or having of a grouped query have info NULL: rendered (count(row) is COUNT_ALL). An aggregate_expr over a list instead of a table
   has a CallInfo and its head.symbol is NULL; over a table head.symbol is the TABLE and info the QueryInfo. `limit` is hoisted, last. In insert all values are parameters. */
/* In rendered expressions: name_expr with SYMBOL_COLUMN (bare), field_expr with FIELD_COLUMN (symbol = column, its object's symbol = row). */

typedef struct PolicyInfo { int64_t attempts, backoff_us, backoff_max_us; const char *factor, *jitter /* decimal text, 20% -> "0.2" */; int64_t *statuses; uint32_t status_count; Str *codes; uint32_t code_count; int64_t *refresh; uint32_t refresh_count; bool transient; /* of a plan: also what may pass by itself */ } PolicyInfo;
typedef struct StateInfo { int64_t ttl_us; Symbol **writers /* of a context: agent of each field, NULL: the flows */; } StateInfo;
typedef struct Visibility { Symbol *column, *members, *user, *role /* NULL: the owner alone writes */; uint64_t writers; } Visibility;        /* visible by … to … write (…) */
typedef struct TableInfo { bool shared, versioned, append_only, cached /* a cached read looks at it, or it says how long one may */; Ast_cache_clause *cache; Visibility *visibility /* NULL: none, or not checked yet */; Str id_prefix; Symbol **columns; uint32_t column_count; Ast_table_decl *decl; } TableInfo;
typedef struct MachineInfo { uint64_t *targets; uint64_t finals; } MachineInfo;
typedef struct FuncInfo {
    uint16_t id;
    Symbol *symbol;
    Symbol **params; uint32_t param_count;
    Type *result;
    uint32_t effects;           /* FUNC_EFFECT_* it may have, transitively */
    uint16_t tool_flags;        /* TOOL_* of the image */
    Symbol *compensated_by;
} FuncInfo;
enum { FUNC_EFFECT_READ = 1, FUNC_EFFECT_WRITE = 2, FUNC_EFFECT_OUTSIDE = 4, FUNC_EFFECT_PARK = 8, FUNC_EFFECT_OWN = 16, FUNC_EFFECT_TRANSACTION = 32 /* opens one */, FUNC_EFFECT_STATE = 64 /* sessions, contexts */, FUNC_EFFECT_PLAN = 128 /* runs one */ };

/* The most that `run plan` and `costs` can say. */
enum { PLAN_EXPR_CALLS_MAX = 10000, PLAN_EXPR_FUEL_MAX = 1000000000, PLAN_EXPR_MEMORY_MAX = 1 << 30, PLAN_EXPR_TOKENS_MAX = 1000000000 };
#define PLAN_EXPR_WALL_MAX      INT64_C(2592000000000)         /* 30 days: somebody may have to approve */
#define PLAN_EXPR_MICRO_USD_MAX INT64_C(1000000000000)         /* a million dollars */
bool money_micro(const Ast *number, int64_t *micro);           /* an int_expr or decimal_expr in dollars; false: too large, or finer than millionths */
bool is_trusted_param(const Symbol *param);
/* The call of a model (or of a tool) that the checked value is, or is a part of, or holds: through clauses, fields, texts, and names that are given once. Or NULL. */
const Ast *find_untrusted(const Ast *value, bool tools_too);

/* Where composite types were remembered on the types that they are made of (types.c), so that it can be forgotten again. */
typedef struct TypeCaches { Type ***slots; uint32_t count, cap; } TypeCaches;

typedef struct Program {
    Arena *arena;
    TypeCaches *caches;                                        /* notes of what is remembered from now on; NULL: for as long as the program lives */
    SourceSet *sources;
    Diags *diags;
    Module **modules; uint32_t module_count;                   /* in order of use: a module after those it uses; modules[main_module] was named by the author */
    uint32_t main_module;
    Ast_scope_decl **scopes; uint32_t scope_count;             /* in the order of the modules; made by resolve_program() */
    Ast_role_decl **roles; uint32_t role_count;
    struct Aggregate *aggregates;                              /* expand.h: a chain */
    Map enum_members;                                          /* member name -> Symbol; those of one name are chained by info */
    Map globals;                                               /* every top-level name -> Symbol; agents' tools are in members */
    Symbol **symbols; uint32_t symbol_count;                   /* all top-level symbols and tools and handlers, in order */
    Type *basic[TYPE_VAR];                                     /* VOID … JSON and ERROR by tag, without labels */
    Type *error_kind;                                          /* ENUM of the error kinds */
    uint32_t func_count;                                       /* ids of FuncInfo and CaptureInfo are below it; more than IMAGE_INDEX_MAX is E0434 */
} Program;

/* Loads FILE and what it uses. Search: beside the using file, then each of `paths`, then the standard library folder. Dots are slashes: use agents.travel → agents/travel.flow. E0301 missing, E0302 cycle (allowed: modules may use each other; loaded once). */
Program *program_load(const char *path, const char *const *paths, uint32_t path_count);
/* Several files as one program: at least one; the last is the one that the author named. */
Program *program_load_files(const char *const *files, uint32_t file_count, const char *const *paths, uint32_t path_count);
Program *program_of_text(const char *path, Str text, const char *const *paths, uint32_t path_count);
void program_free(Program *program);
Program *program_new(void);                                    /* without modules */
void expand_program(Program *program);                         /* expand.h; resolve_program() begins with it */
bool resolve_program(Program *program);                        /* false: errors */
bool check_program(Program *program);                          /* false: errors */
/* Only after a check without errors. with_tests: test blocks and their effects go in. */
Image *lower_program(Program *program, bool with_tests);
/* check_durability.c: visits a body and the bodies of all tools and flows it calls in its own run, each once; false from the visitor skips the children. */
void ast_reach(Ast *root, bool (*visit)(Ast *node, void *arg), void *arg);
Ast *durability_of(const Ast *flow, const char *level);        /* the clause of a flow_decl that says so, or NULL */
/* Warnings; never changes the tree. */
void lint_program(Program *program);
/* All of it: NULL when diags hold errors. */
Image *compile_program(Program *program, bool with_tests);
const char *stdlib_path(void);                                 /* FLOW_STDLIB, or ../stdlib and stdlib beside the program's folder */
#endif
