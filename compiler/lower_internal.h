/* lower_internal.h - what the files of the lowering share.
 *
 * A Lower is one lower_program call; a Func is one function under construction. Functions nest (a branch of a `parallel` is lowered in
 * the middle of the flow around it), so a Func never keeps a pointer into a table of the image: rows move when a table grows.
 *
 * Expressions give a Val: a register and whether it is a temporary of ours. A Want says where the value is to go: which type, and
 * (reg >= 0) into which register. A register that is wanted is written by the last instruction of an expression only, so `x = f(x) + x`
 * may be lowered straight into x.
 *
 * Code that control cannot reach is not emitted: after a jump, return or raise `dead` is set until a label with a jump to it is placed.
 */
#ifndef COMPILER_LOWER_INTERNAL_H
#define COMPILER_LOWER_INTERNAL_H
#include "compiler/typed.h"

enum { NO_REG = -1, LABEL_NONE = -1 };
#define PC_NONE UINT32_MAX

typedef struct Val { uint16_t reg, type; bool temp; } Val;
typedef struct Want { uint16_t type; int reg; } Want;       /* type NO_INDEX: whatever the expression is */
typedef int32_t Label;

typedef struct Lower Lower;
typedef struct Func Func;

/* ---- what control passes when it leaves a place ------------------------------------------------- */
typedef enum { CTX_LOOP, CTX_TRY, CTX_FINALLY, CTX_SCOPE, CTX_SAGA, CTX_TXN } CtxKind;
typedef enum { EXIT_RETURN, EXIT_BREAK, EXIT_CONTINUE } ExitKind;
typedef struct Ctx Ctx;
typedef struct Exit { struct Exit *next; ExitKind kind; Ctx *target; Label label; } Exit;
struct Ctx {
    CtxKind kind;
    Ctx *outer;
    Label break_label, continue_label;   /* LOOP; a continue_pc other than PC_NONE is jumped back to instead */
    uint32_t continue_pc;
    Ast *finally_block;                  /* FINALLY */
    uint32_t from;                       /* where the protected region begins, PC_NONE when nothing reaches it */
    Label handler;
    uint16_t error_reg;
    uint8_t try_kind;
    Exit *exits;                         /* ways out that are waiting for the region to end */
};

typedef struct Patch { uint32_t pc; Label label; } Patch;
typedef struct LabelRow { uint32_t pc, uses; } LabelRow;
typedef struct TryRow { uint32_t from, to; Label handler; uint16_t error_reg, depth; uint8_t kind; } TryRow;
typedef struct FreeList { uint16_t type; uint16_t head; } FreeList;
typedef struct RunRow { uint16_t base, count; uint32_t hash; bool busy; } RunRow;
typedef struct Given { const Ast *node; Val val; } Given;           /* an expression whose value is there already */
typedef struct Rows { void *items; uint32_t count, cap; } Rows;     /* growable, kept between functions */

struct Func {
    Lower *lw;
    Func *next_free;                     /* in the pool */
    uint16_t index;                      /* in image->funcs */
    Str name;
    uint16_t agent, result;              /* result: type index */
    uint32_t nested;                     /* functions made inside: name#1, name#2 … */
    bool dead, is_test;
    Span span;                           /* of what is lowered now */
    uint32_t line_start;                 /* offset of the last line row, to make few of them */
    uint32_t line_hint;
    Ctx *ctx;
    uint16_t depth;                      /* of ctx */
    Given *given; uint32_t given_count;  /* see lower_step */
    uint32_t loop_depth;                 /* loops around what is lowered now */
    int return_reg;                      /* what a return carries past cleanups; NO_REG until one does */
    Rows code, reg_types, reg_next, free_lists, runs, labels, patches, tries, lines, locals, prologue;
};

/* ---- one argument of a call, from whatever source ------------------------------------------------ */
typedef enum { ARG_NODE, ARG_VAL, ARG_NULL, ARG_INT, ARG_TEXT } ArgKind;
typedef struct Arg { ArgKind kind; uint16_t type; Ast *node; Val val; int64_t number; Str text; } Arg;
typedef struct Args { uint16_t base; int run; Val single; } Args;

struct Lower {
    Program *program;
    Image *image;
    Arena *arena;                        /* freed at the end of lower_program */
    bool with_tests, failed;
    bool metered;                        /* code of a plan: every call of a tool is charged */
    Map types, consts, regexes, effects;
    Map undos;                           /* of a plan: what undoes the steps of that name */
    const Map *known;                    /* types of the image that is extended: as `types`, or NULL */
    Buf key;
    Func *pool;
    Type **placed; uint32_t placed_count, placed_cap;       /* whose image_index is set: given back at the end */
};

void lower_pool_free(Lower *lw);             /* lower.c */

/* ---- lower_types.c: rows of the image that are shared -------------------------------------------- */
void     lower_types_init(Lower *lw);
void     lower_types_deinit(Lower *lw);
void     lower_types_read(Lower *lw);                   /* the rows that the image has, into `types` */
uint16_t row_of(Lower *lw, Type *type);                 /* NULL: void */
uint16_t row_opt(Lower *lw, uint16_t element);             /* of an optional: itself */
uint16_t row_list(Lower *lw, uint16_t element);
uint16_t row_map(Lower *lw, uint16_t element);
uint16_t row_record(Lower *lw, const ImageField *fields, uint16_t count);
TypeKind lower_kind(const Lower *lw, uint16_t type);
uint16_t row_element(const Lower *lw, uint16_t type);
uint16_t row_bare(const Lower *lw, uint16_t type);         /* without its optional */
bool     lower_is_counted(const Lower *lw, uint16_t type);
bool     lower_is_intlike(const Lower *lw, uint16_t type);
uint16_t const_scalar(Lower *lw, uint16_t type, uint64_t word);
uint16_t const_bytes(Lower *lw, uint16_t type, Str bytes);
bool     default_json(Lower *lw, Ast *value, uint16_t *index);       /* a literal as a json constant; false when it is more than a literal */
uint16_t regex_index(Lower *lw, Ast_regex_expr *regex);
Str      regex_text(Lower *lw, Ast *pattern);               /* "flags/pattern"; empty for NULL */
uint16_t effect_index(Lower *lw, EffectKind kind, uint16_t target, Str name, const uint16_t *params, uint16_t param_count, uint16_t result);
Str      lower_str(Lower *lw, Str text);                    /* a copy that lives with the image */
Str      lower_printf(Lower *lw, const char *format, ...) __attribute__((format(printf, 2, 3)));
void     lower_limit(Lower *lw, Span span, const char *what, unsigned count, const char *items, unsigned limit);
void     rows_grow(Rows *rows, size_t item_size);
static inline void *rows_push(Rows *rows, size_t item_size)   /* zeroed */
{
    if (rows->count == rows->cap) rows_grow(rows, item_size);
    return memset((char *)rows->items + (size_t)rows->count++ * item_size, 0, item_size);
}
#define ROW(rows, Type, i) (((Type *)(rows).items)[i])
/* A zero-based row of an image table; beyond the limit a diagnostic and row 0. */
uint16_t lower_row(Lower *lw, uint16_t index, const char *items);

/* ---- lower_func.c: registers, code, labels, regions ---------------------------------------------- */
Func *func_begin(Lower *lw, uint16_t index, FuncKind kind, Str name, uint16_t owner, uint16_t agent, uint16_t result, Span span);
void  func_end(Func *f);                                    /* closes the code and hands it to the image */
uint16_t func_nested(Func *f, FuncKind kind, uint16_t result, uint8_t flags, Span span, Func **out);   /* begins name#n */
uint16_t func_param(Func *f, uint16_t type);                /* before anything else */
uint16_t reg_new(Func *f, uint16_t type);
void     reg_free(Func *f, uint16_t reg);
uint16_t reg_type(const Func *f, uint16_t reg);
uint16_t local_new(Func *f, Symbol *symbol);                /* freed with the block; NULL symbol names are fine */
uint32_t locals_mark(const Func *f);
void     locals_free(Func *f, uint32_t mark);
Val  val_temp(Func *f, uint16_t type);
Val  val_out(Func *f, uint16_t type, Want want);            /* want.reg when it is of this type, else a temporary */
Val  val_reg(const Func *f, uint16_t reg);                  /* borrowed */
void val_free(Func *f, Val v);
Val  val_copy(Func *f, Val v);                              /* a temporary with its value; v itself when it is one */
void val_move(Func *f, uint16_t to, Val v);                 /* types equal; frees v */
uint16_t registers_new(Func *f, const uint16_t *types, uint16_t count, int *run);
void     run_free(Func *f, int run);

uint32_t emit(Func *f, Opcode op, uint16_t a, uint16_t b, uint16_t c);
uint32_t func_pc(const Func *f);
void  at(Func *f, Ast *node);                               /* what follows belongs to this place */
Label label_new(Func *f);
void  label_place(Func *f, Label label);
void  emit_jump(Func *f, Opcode op, uint16_t a, uint16_t b, Label label);     /* JUMP JT JF JNULL JNOTNULL and the fused ones */
void  emit_loop(Func *f, uint32_t pc);                      /* LOOP back */
void  emit_forloop(Func *f, uint16_t counter, uint16_t limit, uint32_t body_pc);

bool  const_in_loop(Func *f, uint16_t type, Opcode op, uint16_t b, uint16_t c, Want want, Val *out);     /* loaded once, before the code */
void  load_int(Func *f, uint16_t reg, int64_t value);       /* int-like register */
void  load_text(Func *f, uint16_t reg, Str text);
Val   val_int(Func *f, uint16_t type, int64_t value);
Val   val_text(Func *f, Str text);

void  ctx_push(Func *f, Ctx *ctx, CtxKind kind);
void  ctx_push_try(Func *f, Ctx *ctx, CtxKind kind, TryKind try_kind);         /* opens a region here; error register is made */
void  ctx_pop(Func *f, Ctx *ctx);                           /* closes the region */
bool  handler_begin(Func *f, Ctx *ctx);                     /* places the handler; false: nothing leads there (code is dead) */
bool  ctx_passes_cleanup(const Func *f, const Ctx *target); /* something has to be done on the way out to target (NULL: of the function) */
void  ctx_leave(Func *f, ExitKind kind, Ctx *target, uint16_t return_reg);
void  ctx_exits(Func *f, Ctx *ctx);                         /* after ctx_pop and the handler: the ways out through ctx */

/* ---- lower_args.c ---------------------------------------------------------------------------------- */
static inline Arg arg_node(Ast *node, uint16_t type) { return (Arg){ .kind = ARG_NODE, .node = node, .type = type }; }
static inline Arg arg_val(Val v) { return (Arg){ .kind = ARG_VAL, .val = v, .type = v.type }; }
static inline Arg arg_null(uint16_t type) { return (Arg){ .kind = ARG_NULL, .type = type }; }
static inline Arg arg_int(uint16_t type, int64_t n) { return (Arg){ .kind = ARG_INT, .type = type, .number = n }; }
static inline Arg arg_text(Str text) { return (Arg){ .kind = ARG_TEXT, .type = TYPE_INDEX_STRING, .text = text }; }
Args args_eval(Func *f, const Arg *args, uint16_t count);   /* in order, into consecutive registers */
void args_free(Func *f, Args *args);
Val  emit_builtin(Func *f, Builtin builtin, uint16_t result, const Arg *args, uint16_t count, Want want);
Val  emit_effect(Func *f, EffectKind kind, uint16_t target, Str name, uint16_t result, const Arg *args, uint16_t count, Want want);
void emit_note(Func *f, EffectKind kind, uint16_t target, Str name, const Arg *args, uint16_t count);     /* effects without a result */
Val  emit_call(Func *f, uint16_t func, uint16_t result, const Arg *args, uint16_t count, Want want);
Val  emit_record(Func *f, uint16_t type, const Arg *args, uint16_t count, Want want);
void emit_fail(Func *f, ErrorKind kind, Str message);

/* ---- lower_expr.c, lower_convert.c, lower_cond.c … -------------------------------------------------- */
Val  lower_expr(Func *f, Ast *node, Want want);
Val  lower_any(Func *f, Ast *node);                         /* in its own final type, anywhere */
Val  lower_as(Func *f, Ast *node, uint16_t type);           /* anywhere */
void lower_into(Func *f, Ast *node, uint16_t reg);          /* converted to the type of reg */
uint16_t final_type(Lower *lw, const Ast *node);            /* after `want` */
Val  settle(Func *f, Val v, Want want);                     /* converts and moves */
Val  convert_to(Func *f, Val v, uint16_t to, int reg);
void emit_less(Func *f, uint16_t out, Val a, Val b);        /* out := a < b */
Val  emit_equal(Func *f, Val a, Val b, Want want);
bool may_assign(Ast *node);                                 /* statements inside that could change a variable */
Val  pin(Func *f, Val v, Ast *node, Ast *later);            /* v of node, safe from assignments in `later` */
bool decimal_digits(Lower *lw, const Ast *node, Str *digits);      /* of a literal whose value here is a decimal */
bool fold_int(const Ast *node, int64_t *out);
void lower_cond(Func *f, Ast *node, Label target, bool jump_if);
Val  lower_binary(Func *f, Ast_binary_expr *node, Want want);
Val  binary_values(Func *f, BinaryOp op, Val a, Val b, uint16_t result, Want want);     /* arithmetic on evaluated operands; frees them */
Val  lower_concat(Func *f, Ast *node, Want want);
Val  lower_field(Func *f, Ast_field_expr *node, Want want);
Val  lower_index(Func *f, Ast_index_expr *node, Want want);
Val  lower_list(Func *f, Ast_list_expr *node, Want want);
Val  lower_record(Func *f, Ast_record_expr *node, Want want);
Val  lower_with(Func *f, Ast_with_expr *node, Want want);
Ast *field_value_of(Ast *field);                            /* the expression of a field_value, also of a shorthand */
void lower_assign(Func *f, Ast_assign_stmt *node);

/* ---- lower_condition.c: conditions and texts of plans ---- */
Val  lower_condition(Func *f, Ast_condition_expr *node, Want want);
void lower_condition_jump(Func *f, Ast_condition_expr *node, Label target, bool jump_if);

Val  lower_call(Func *f, Ast_call_expr *node, Want want);
Val  lower_start(Func *f, Ast_start_expr *node, Want want);
Arg *call_args(Func *f, CallInfo *call, uint16_t *count);   /* of FN TOOL FLOW REMOTE: defaults filled in */
Str  tool_name(Lower *lw, const Symbol *tool);              /* "travel.book_flight" */
uint16_t symbol_func(Lower *lw, const Symbol *symbol);      /* of FN FLOW TOOL */
Val  lower_call_of(Func *f, Ast *node, CallInfo *call, Want want);      /* of any node that carries a CallInfo */
Val  lower_inline(Func *f, Ast *node, CallInfo *call, Want want);

Val  lower_if_value(Func *f, Ast_if_stmt *node, Want want);
Val  lower_match_value(Func *f, Ast_match_stmt *node, Want want);     /* want.type void: as a statement */
Val  lower_else(Func *f, Ast_else_expr *node, Want want);
Val  lower_coalesce(Func *f, Ast *left, Ast *right, uint16_t type, Want want);
Val  lower_value_or_stmt(Func *f, Ast *node, Want want);    /* expr, block, or a statement that leaves */
Val  lower_block_value(Func *f, Ast_block *block, Want want);

void lower_stmt(Func *f, Ast *node);
void lower_block(Func *f, Ast *node);
void lower_return(Func *f, Ast *value);
void lower_try(Func *f, Ast_try_stmt *node);
void lower_finally(Func *f, Ast *body, Ast *last);           /* body: a block, or the try of it; last: its finally block, or the coordination whose context is closed */
void lower_transaction(Func *f, Ast_transaction_stmt *node);
void emit_cleanup(Func *f, Ctx *ctx);                       /* what leaving ctx in good order does */

typedef struct Iter { Val source, counter, limit; bool owns_limit; Label end; uint32_t body; Ctx ctx; uint16_t item; int index; bool is_map; Val keys; } Iter;
void iter_begin(Func *f, Iter *it, Ast *source, Symbol *item, Symbol *index);        /* the body follows; item is set */
void iter_list(Func *f, Iter *it, Val list, int item_reg);  /* the same over an evaluated list (taken); item_reg < 0: none is loaded */
void iter_end(Func *f, Iter *it);

/* ---- lower_plan.c ------------------------------------------------------------------------------------- */
Val  lower_run_plan(Func *f, Ast_plan_expr *node, Want want);

/* ---- lower_visibility.c ------------------------------------------------------------------------------- */
void lower_visibility(Lower *lw, Symbol *table);

/* ---- lower_scope.c: deadlines ------------------------------------------------------------------------- */
void scope_begin(Func *f, Ctx *ctx, Ast *duration);
void scope_begin_us(Func *f, Ctx *ctx, Val duration);
void scope_end(Func *f, Ctx *ctx);                          /* SCOPE_EXIT and end of the region; the handler is the caller's */
void scope_reraise(Func *f, Ctx *ctx);                      /* handler: raise what came */
Val  lower_within(Func *f, Ast_within_expr *node, Want want);
void emit_now(Func *f, uint16_t reg);
Val  lower_ask(Func *f, Ast_ask_expr *node, Want want);
Val  lower_await(Func *f, Ast_await_expr *node, Want want);
void lower_sleep(Func *f, Ast *duration, Ast *until);

/* ---- lower_retry.c ------------------------------------------------------------------------------------- */
typedef struct Retry {
    Str name;
    int64_t attempts, backoff_us, backoff_max_us;
    const char *factor, *jitter;
    const int64_t *statuses; uint32_t status_count;
    const Str *codes; uint32_t code_count;
    const int64_t *refresh; uint32_t refresh_count;
    uint16_t refresh_agent;              /* NO_INDEX: none */
    bool transient;                      /* also errors of a kind that may pass by itself */
} Retry;
Val  lower_retry(Func *f, Ast_retry_expr *node, Want want);
void retry_around(Func *f, const Retry *retry, void (*body)(Func *f, void *arg), void *arg);
Retry retry_of_compensation(void);

/* ---- lower_saga.c, lower_parallel.c ---------------------------------------------------------------------- */
void lower_saga(Func *f, Ast_saga_stmt *node);
void lower_step(Func *f, Ast_step_stmt *node);
void lower_parallel(Func *f, Ast_parallel_stmt *node);
Val  lower_race(Func *f, Ast_parallel_stmt *node, Want want);
Val  lower_parallel_for(Func *f, Ast_parallel_for *node, Want want);
typedef struct Captures { Symbol **symbols; uint32_t count; uint16_t *saved; } Captures;
void captures_enter(Func *inner, Captures *captures);       /* parameters of the inner function take the symbols over */
void captures_leave(Captures *captures);

/* ---- lower_state.c ----------------------------------------------------------------------------------------- */
void lower_state_row(Lower *lw, Symbol *symbol);            /* of SESSION and CONTEXT */
Val  lower_session_read(Func *f, Ast_index_expr *node, Want want);
Val  lower_change(Func *f, Ast_change_expr *node, Want want);
void lower_save(Func *f, Ast_save_stmt *node);
void lower_forget(Func *f, Ast_forget_stmt *node);
Val  lower_context_read(Func *f, Ast *node, Want want);
void lower_context_write(Func *f, Ast_assign_stmt *node);
void lower_coordinate(Func *f, Ast_coordinate_stmt *node);
void emit_context_close(Func *f, Ast *coordinate);

/* ---- lower_query.c, lower_list_query.c ----------------------------------------------------------------- */
Val  lower_from(Func *f, Ast_from_expr *node, Want want);
Val  lower_from_list(Func *f, Ast_from_expr *node, QueryInfo *info, Want want);
Val  lower_table_aggregate(Func *f, Ast *node, Want want);
Val  lower_aggregate(Func *f, Ast_aggregate_expr *node, Want want);
Val  lower_table_index(Func *f, Ast_index_expr *node, QueryInfo *info, Want want);
Val  lower_insert(Func *f, Ast_insert_expr *node, Want want);
Val  lower_insert_row(Func *f, Symbol *table, Ast *value, Want want);
Val  lower_update(Func *f, Ast_update_expr *node, Want want);
Val  lower_delete(Func *f, Ast_delete_expr *node, Want want);
Val  sort_by(Func *f, Val rows, uint16_t row_reg, Ast *key, bool descending);        /* takes rows; a sorted list; stable */

/* ---- lower_test.c, lower_flow.c, lower_decl.c -------------------------------------------------------------- */
bool lower_test_stmt(Func *f, Ast *node);                   /* false: not a statement of tests */
Val  lower_test_result(Func *f, Ast *node, Want want);
Val  lower_test_answer(Func *f, Ast *node, Want want);
void lower_access(Lower *lw);                               /* scopes and roles */
void lower_routes(Lower *lw, Symbol *flow);                 /* routes and webhook of a flow, with the functions of its clauses */
void lower_flow_rows(Lower *lw);
void lower_flow_bodies(Lower *lw, Symbol *flow);
ImageField *params_rows(Lower *lw, FuncInfo *info);
Func *body_begin(Lower *lw, uint16_t func, FuncKind kind, Str name, uint16_t owner, uint16_t agent, uint16_t result, FuncInfo *info, Ast *decl);
void lower_tables(Lower *lw);
uint16_t agent_index(const Symbol *agent);                  /* NO_INDEX for NULL */
Symbol *lower_global(Lower *lw, Str name);
#endif
