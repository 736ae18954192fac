/* verify_internal.h - what the files of the verifier share.
 *
 * A Verifier belongs to one image_verify call, a FuncCheck to one function of it. The first violation ends everything: it is put
 * into `error` together with the place that was being looked at, so every check reads `return verify_fail(v, "…")`.
 */
#ifndef BYTECODE_VERIFY_INTERNAL_H
#define BYTECODE_VERIFY_INTERNAL_H
#include "interpreter/bytecode/opinfo.h"

typedef struct Place { const char *what; uint32_t index; Str name; const char *op; uint32_t pc; } Place;   /* op: in the code, at pc */

/* The rows of the base of an extension are verified already: the first row of each table that is not. */
typedef struct FirstRows { uint16_t type, constant, regex, func, effect; } FirstRows;

typedef struct Verifier {
    Image *image;
    FirstRows first;
    Error *error;
    Arena *arena;                        /* for the whole call */
    Arena *scratch;                      /* for one row: reset between */
    Place place;
    uint8_t *type_depth;
    bool *of_plan;                       /* by function, from first.func on: code of a plan; NULL when there is none */
    bool *type_orderable;                /* sort, min and max make sense: no map, json or error inside */
} Verifier;

void verify_at(Verifier *v, const char *what, uint32_t index, Str name);
Err  verify_fail(Verifier *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
Err  verify_limit(Verifier *v, const char *what, size_t found, const char *limit_name, size_t limit);
const char *verify_type_text(Verifier *v, uint16_t type);                      /* in the scratch arena */

static inline const ImageType *type_row(const Verifier *v, uint16_t type) { return &v->image->types[type]; }
static inline TypeKind type_kind(const Verifier *v, uint16_t type) { return v->image->types[type].kind; }
bool type_is_value(const Verifier *v, uint16_t type);                          /* in range, and not void or group */
Err  verify_result_type(Verifier *v, uint16_t type);                           /* void, or a value type */
Err  verify_fields(Verifier *v, const ImageField *fields, uint16_t count, uint16_t count_max, const char *limit_name);
Err  verify_patterns(Verifier *v, const Str *patterns, uint16_t count);        /* NULL: none; an empty one is none */
Err  verify_unique(Verifier *v, const char *what, Str (*name_of)(const Image *, uint32_t), uint32_t count);

/* verify_signature.c: types of builtins.def and of effects as text. `vars`: a..z, then SIGNATURE_TARGET for `@`; NO_INDEX: still free. */
enum { SIGNATURE_TARGET = 26, SIGNATURE_VARS };
void signature_vars_init(uint16_t vars[SIGNATURE_VARS]);
bool signature_match(const Verifier *v, Str signature, uint16_t type, uint16_t vars[SIGNATURE_VARS]);
bool signature_next(Str *rest, Str *first);                                    /* takes the first of a list "int, list<x>" off; false at the end */

/* One part of the image each. */
Err verify_tables(Verifier *v);
Err verify_machines(Verifier *v);
Err verify_states(Verifier *v);
Err verify_routes(Verifier *v);          /* routes, webhooks, scopes, roles; flows must be verified */
Err verify_declarations(Verifier *v);    /* agents, tools, flows, events, handlers, tests, fixtures; function heads must be verified */
Err verify_queries(Verifier *v);
Err verify_effects(Verifier *v);
Err verify_func_heads(Verifier *v);      /* everything of a function that others refer to */
Err verify_func_bodies(Verifier *v);
Err verify_plans(Verifier *v);           /* rows of plans, and which functions are code of plans; heads must be verified */
Err verify_confinement(Verifier *v);     /* what code of plans may do; bodies must be verified */
static inline bool func_is_of_plan(const Verifier *v, uint32_t func) { return v->of_plan && func >= v->first.func && v->of_plan[func - v->first.func]; }

/* ---- one function's code ---- */

/* Memory and time of the assignment check, GROUP_NEW instructions in one function, try ranges around one instruction. */
enum { VERIFY_STATE_WORDS_MAX = 1 << 22, VERIFY_WORK_MAX = 1 << 28, VERIFY_GROUPS_MAX = 1024, VERIFY_TRIES_OPEN_MAX = 256 };

typedef struct Flow Flow;                /* verify_flow.c: which registers hold a value */
typedef struct FuncCheck {
    Verifier *v;
    const ImageFunc *func;
    uint32_t pc;
    Insn insn;
    const OpInfo *info;
    int run_operand;                     /* the operand that begins a run of consecutive registers, or -1 */
    uint32_t run_count;
    bool result_void;                    /* operand A is no register here */
    const ImageTry **tries;              /* ascending `from` */
    uint32_t try_next;                   /* first that begins behind pc */
    Flow *flow;
} FuncCheck;

Err verify_insn_rule(FuncCheck *f);      /* verify_insn.c: the rules that operand sorts cannot say */
static inline int insn_group_operand(uint16_t op)        /* the operand that is a group handle, or -1 */
{
    switch (op) {
    case OP_GROUP_NEW: case OP_SPAWN: case OP_JOIN: case OP_GROUP_FREE: return 0;
    case OP_FIBER_RESULT: case OP_GROUP_RESULTS: case OP_RACE_RESULT: return 1;
    default: return -1;
    }
}

Err  flow_begin(FuncCheck *f);           /* looks for labels; jump targets must be checked already */
bool flow_round(FuncCheck *f);           /* begins a pass over the code; false when none is needed any more */
Err  flow_at(FuncCheck *f);              /* before the instruction at f->pc */
Err  flow_step(FuncCheck *f);            /* its reads, kills, writes and jumps */
Err  flow_end(FuncCheck *f);             /* what can be said only at the end: types of the results of groups */

static inline uint16_t insn_operand(Insn insn, int i) { return (uint16_t)(insn >> (16 * (i + 1))); }
static inline uint32_t insn_rel_target(Insn insn, uint32_t pc) { return (uint32_t)((int64_t)pc + 1 + (int16_t)INSN_C(insn)); }
#endif
