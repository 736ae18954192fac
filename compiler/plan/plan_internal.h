/* plan_internal.h - what the files of the compiler of plans share.
 *
 * The way of a plan: read (tree.h) - build (AST of one function; names, rights, values, types) - check and lower (compiler/embed.h) - bound - verify.
 * A PlanCompiler is what is made once of an image: its types as Types, its agents and tools as Symbols. A Build is one plan.
 */
#ifndef COMPILER_PLAN_INTERNAL_H
#define COMPILER_PLAN_INTERNAL_H
#include "compiler/condition.h"
#include "compiler/embed.h"
#include "compiler/plan/make.h"
#include "compiler/plan/tree.h"

#define PLAN_FILE "plan"                 /* what places of a plan's code are in; its lines are the steps, by PlanNode.number */
#define PLAN_SCOPE_ALL "admin:all"        /* IDENTITY_SCOPE_ALL */
enum { PLAN_LINES = 4096 };              /* steps beyond share the last one */

typedef struct PlanTool {
    Symbol *symbol;
    const ImageTool *row;
    Str name;                            /* "travel.book_hotel" */
    const Str *scopes; uint32_t scope_count;             /* its own, and of all tools that it or its compensation calls; in ascending order */
    Json **defaults;                     /* by parameter: its default, when that is a literal; else NULL */
    bool compensated;                    /* `compensated by` a tool whose parameters can all be filled */
} PlanTool;

struct PlanCompiler {
    Program *program;
    Arena *arena;                        /* of what is made once */
    Image *base;
    Embedder embed;
    Type **types;                        /* by row of the base */
    PlanTool *tools;                     /* by row of the base */
    Str *tool_names, *agent_names;       /* for suggestions */
    uint16_t file;
    Type *json_list;
    Type *done[2][2];                    /* what is told of a step that was done: of an agent, with a result */
};

void import_image(PlanCompiler *compiler);               /* import.c */
const Str *reachable_scopes(PlanCompiler *compiler, uint16_t tool, uint32_t *count);           /* reach.c */
Str  retry_policy(Maker *m, uint32_t retries);           /* the name of the policy with so many further attempts */

/* ---- where code stands, and what a name can see from there: build.c, names.c ------------------------------- */

/* Items of a block, with places between them where something can be put later. */
typedef struct Slot { Nodes nodes; } Slot;
typedef struct Entry { Ast *node; Slot *slot; } Entry;   /* one of the two */

typedef struct Region Region;
struct Region {
    Region *up;
    Region *func;                        /* the function it is in: the plan's or a branch's; itself when it is one */
    Region *next;                        /* all of a Build */
    uint32_t number;
    bool guard;                          /* may be left out, or left early and survived: what is made in it may be null outside */
    const char *why;                     /* guard: completes "may be null: …" */
    const void *rival;                   /* equal in two regions of one parent: code of one does not see the other */
    bool side_by_side;                   /* … because they run at the same time; else only one of them runs */
    /* What the condition of this block says not to be null; name: once it was asked for. */
    struct Known { struct Result *result; Str name; struct Known *next; } *known;
    Slot *begin;                         /* of what knows something, or is tried again */
    bool again;                          /* tried again */
    Slot *lost;                          /* of what is survived: where it has failed */
    Ast *block;
    Entry *entries; uint32_t entry_count, entry_cap;
    Slot *after;                         /* in `up`, behind the statement that holds the block */
    Slot *prologue;                      /* functions: variables */
    Str out; uint32_t out_base;          /* functions: list of outcomes, index of its first step */
    Str branch; Ast *record;             /* branches: the name of the result; what is in it */
    Slot *joined;                        /* branches: in `up`, behind the join */
};

/* A result as one function knows it. */
typedef struct Level Level;
struct Level {
    Region *home;                        /* where `name` is in scope */
    Str name, field;                     /* name, or name.field of a branch's record */
    Slot *slot;                          /* right behind its making, in `home` */
    bool maybe; const char *why;         /* null is possible there already */
    Str variable;                        /* of the function, once it was asked for from outside of `home` */
    struct Sure { Region *inside; Str name; struct Sure *next; } *sure;      /* taken out of the variable behind that region, where it cannot be null */
    Level *outer;                        /* the same in the function around */
};

typedef struct Result Result;
struct Result {
    const PlanNode *node;
    const PlanTool *tool;                /* NULL: notify_user, or a tool that is unknown */
    bool conditional;                    /* stands below a condition, or has one: may be skipped */
    Type *type;                          /* NULL: not built yet, or nothing that a name could stand for */
    Level level;
};

typedef struct Open { const PlanPlace *place; const PlanTool *tool; uint32_t param; Str name; } Open;

typedef struct Build {
    PlanCompiler *compiler;
    Program *program;
    Arena *arena;
    Maker maker;
    PlanDiags *diags;
    const PlanGrant *grant;
    const PlanTree *tree;
    Result *results;                     /* by index */
    Region *regions;
    uint32_t region_count, name_count;
    uint32_t built;                      /* results below it are there */
    Open *open; uint32_t open_count, open_cap;
    uint16_t *used; uint32_t used_count, used_cap;       /* tools, each once */
    Nodes texts; const PlanPlace **text_owners;          /* what a person will read, and the steps that say it */
    PlanGrant limits;                    /* the grant, with the time for approvals in it */
    PlanCost cost;
} Build;

enum { PLAN_WALL_MIN = 1000000 /* a deadline for plans that nothing takes time in */ };
#define PLAN_APPROVAL_MAX INT64_C(86400000000)           /* microseconds that a person has for an answer, when nobody said how long a plan may take */

/* compile.c: cost, as far as the steps say it */
void measure_steps(Build *b);

/* build.c: the body of the function, or NULL with diagnostics. */
Ast *build_plan(Build *b);
const char *build_quote(Build *b, Str text);             /* plan_quote in the arena */

/* region.c: blocks under construction */
Region *region_new(Build *b, Region *up);
Region *region_guard(Build *b, Region *up, const char *why);
void region_add(Build *b, Region *region, Ast *node);
Slot *region_slot(Build *b, Region *region);
void region_hold(Build *b, Region *inside, Ast *statement);                /* what holds the block of `inside`; what is taken out comes behind it */
void regions_fill(Build *b);             /* when nothing more is asked for */
void stand_at(Build *b, uint32_t index); /* what is made from here on is code of that step */

/* region.c: what is told of steps */
uint32_t first_index(const PlanNode *node);              /* of the steps of a subtree, which are in a row */
uint32_t end_index(const PlanNode *node);
void outcomes_begin(Build *b, Region *func, uint32_t from, uint32_t to);
Ast *outcome_place(Build *b, Region *region, uint32_t index);
void outcome_done(Build *b, Region *region, const PlanNode *node, Str name, const Type *type);
Ast *survive(Build *b, Region *inside, const PlanNode *node);              /* try { the block } catch { its steps have failed } */
void begin_again(Build *b, Region *region, const PlanNode *node);          /* at the beginning of what is tried again */
unsigned labels_within(const Type *type);                /* of a value of that type and of all its parts */

/* action.c */
void build_action(Build *b, Region *region, const PlanNode *node);
void note_text(Build *b, Ast *text, const PlanPlace *owner);
void note_condition(Build *b, Region *behind, const PlanNode *node, bool holds);
Ast *only_noted(Build *b, Region *region, const PlanNode *node);

/* names.c */
/* The value of a visible result, with its type there; `why` it may be null, or NULL. */
Ast *result_value(Build *b, Result *result, Region *from, Type **type, const char **why);
/* `inside` is done when the condition, which stands in `from`, is true (or false). */
void names_learn(Build *b, Region *from, Ast *condition, bool truth, Region *inside);
typedef struct Names { Build *build; Region *from; } Names;
ConditionScope names_scope(Names *names);

/* value.c: a value of the plan as an expression of that type; NULL with diagnostics. */
Ast *build_value(Build *b, Region *from, const PlanValue *value, Type *type);
Ast *build_text(Build *b, Region *from, const PlanValue *value);           /* for a person */
Ast *build_literal(Maker *m, PlanDiags *diags, const PlanPlace *place, const Json *json, Type *type);
Ast *build_condition(Build *b, Region *from, Str text, const PlanPlace *node);
const char *build_type_text(Arena *arena, const Type *type);               /* "list<string>" */

/* rights.c: the tool of an action, when the plan may call it; else NULL with diagnostics. */
const PlanTool *build_tool(Build *b, const PlanNode *node);
bool tool_granted(const PlanGrant *grant, Str tool);
bool tool_may_repeat(const PlanTool *tool);
#endif
