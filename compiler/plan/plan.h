/* plan.h - a plan that a language model wrote, checked as a program and compiled as one.
 *
 * A plan is JSON: steps that call tools, conditions in the small JavaScript that models write, groups one after the other or side by side. It is compiled
 * against the image of a program (the base): its agents and tools, their types, scopes, labels, compensations. What comes out is an extension of that image:
 * the rows of the base at the same indexes, and behind them one function `() -> json` of kind FUNC_PLAN with what it needs, and its bound (ImagePlan). All of
 * the language's own checking and lowering is used, so a plan can do nothing that a flow could not, and much less: it calls the tools that were granted.
 *
 * Promise: pure. No clock, no I/O, no randomness: the same base, plan and grant give the same bytes. A plan with a diagnostic of severity ERROR gives no image.
 * An extension that is handed out has passed image_verify_extension. Nothing of a plan's text is ever evaluated as anything but data.
 *
 * Ownership: a PlanCompiler belongs to one thread at a time and keeps a reference to its base; it is prepared once and used for any number of plans. What a
 * PlanResult points to is in the arena that was given to plan_compile (and in the text of the plan); `image` is a reference of its own: image_free() it.
 *
 * Units: microseconds, bytes, tokens, millionths of a dollar. Fuel as in vm.h.
 */
#ifndef COMPILER_PLAN_PLAN_H
#define COMPILER_PLAN_PLAN_H
#include "dsl/syntax/diag.h"
#include "interpreter/bytecode/image.h"

/* What a plan may use at most when its grant says nothing else; the names stand in diagnostics and in errors of a run. */
enum {
    PLAN_BYTES_MAX = 256 << 10,          /* of the JSON text */
    PLAN_TEXT_MAX = 64 << 10,            /* of one string in it */
    PLAN_STEPS_MAX = 200, PLAN_DEPTH_MAX = 16, PLAN_FANOUT_MAX = 32 /* steps of one PARALLEL */,
    PLAN_CALLS_MAX = 100, PLAN_TOOL_CALLS_MAX = 50,
    PLAN_FUEL_MAX = 1000000, PLAN_MEMORY_MAX = 16 << 20, PLAN_WALL_MAX = 60000000, PLAN_TOKENS_MAX = 20000, PLAN_MONEY_MAX = 1000000,
    PLAN_RETRIES_MAX = 10, PLAN_RETRIES_DEFAULT = 3, PLAN_DIAG_MAX = 100
};

typedef struct PlanLimits {
    uint32_t steps, depth, fanout, calls, calls_per_tool;
    uint64_t fuel, memory_bytes;
    int64_t wall_us;
    uint64_t tokens;
    int64_t micro_usd;
} PlanLimits;
#define PLAN_LIMITS_DEFAULT ((PlanLimits){ PLAN_STEPS_MAX, PLAN_DEPTH_MAX, PLAN_FANOUT_MAX, PLAN_CALLS_MAX, PLAN_TOOL_CALLS_MAX, PLAN_FUEL_MAX, \
                                           PLAN_MEMORY_MAX, PLAN_WALL_MAX, PLAN_TOKENS_MAX, PLAN_MONEY_MAX })

/* What a plan is given. Nothing is granted that is not named: default deny. */
typedef struct PlanGrant {
    const Str *tools; uint32_t tool_count;               /* "finance.check_budget", or "travel.*": every tool of that agent */
    const Str *scopes; uint32_t scope_count;             /* of the caller, as in a token: "travel:write", "travel:*" */
    bool any_scope;                      /* there is no caller whose scopes count */
    bool may_ask;                        /* somebody can approve: irreversible tools are possible */
    bool over_budget;                    /* a plan over its limits is compiled all the same; the bound of its ImagePlan is then its own */
    PlanLimits limits;                   /* 0: the default of that limit */
} PlanGrant;

typedef struct PlanDiag {
    const char *code;                    /* "E0725" */
    Severity severity;
    Str pointer;                         /* RFC 6901, into the plan: "/flow/2/params/date"; "": the whole */
    int32_t offset;                      /* bytes into the string at `pointer` (into the text when that is empty); -1: the value as a whole */
    Str message, expected, actual;       /* the latter two may be empty */
    const Str *allowed; uint32_t allowed_count;          /* what could stand there */
    Str suggestion_op;                   /* "add" "replace" "remove" at `pointer`, as in JSON Patch; empty: no suggestion */
    Str suggestion_json;                 /* the value to write there */
    bool widens_authority;               /* what would help gives the plan more rights: never with a suggestion, never applied by a machine */
} PlanDiag;

/* A parameter that is required and that the plan leaves out: filled in from the request before the start, with plan_fill(). */
typedef struct PlanOpen {
    Str pointer;                         /* where the value belongs: "/flow/0/params/date" */
    Str tool, param, doc;
    Str name;                            /* of its field in the record `open_type`: unique in the plan */
    uint16_t type;                       /* type row of the base */
    Str pattern;                         /* `like` of the parameter, "flags/pattern", or empty */
} PlanOpen;

typedef struct PlanToolCalls { uint16_t tool; uint32_t calls; } PlanToolCalls;      /* at most so many attempts */
/* The worst that can happen, known before anything runs. In `worst`, steps, depth and fanout are what the plan has. Invariant: a run of it uses no more. */
typedef struct PlanCost {
    PlanLimits worst;
    PlanToolCalls *tools; uint32_t tool_count;           /* in ascending order of tool */
    uint16_t *irreversible; uint32_t irreversible_count; /* tools that ask for an approval */
    uint16_t *compensated, *uncompensated;               /* tools with writes: whose calls are undone when the plan fails, and whose are not */
    uint32_t compensated_count, uncompensated_count;
    Str *scopes; uint32_t scope_count;                   /* all that the tools ask for, in ascending order */
    bool over;                           /* above the grant */
} PlanCost;

typedef struct PlanResult {
    bool ok;                             /* no ERROR among the diagnostics */
    const Image *base;                   /* of the compiler; rows of tools and types above refer to it */
    Image *image;                        /* the extension, verified; NULL unless ok */
    uint16_t func;                       /* of kind FUNC_PLAN, in `image`; NO_INDEX while something is open: `image` has no more than `open_type` then */
    PlanOpen *open; uint32_t open_count;
    uint16_t open_type;                  /* row of `image`: a record of all that is open, by PlanOpen.name, every field optional; NO_INDEX: nothing is open */
    PlanCost cost;
    PlanDiag *diags; uint32_t diag_count;                /* in the order of the plan's text; at most PLAN_DIAG_MAX */
} PlanResult;

typedef struct PlanCompiler PlanCompiler;
PlanCompiler *plan_compiler_new(Image *base);            /* base: verified. Imports its agents, tools and types once. Never NULL. */
void plan_compiler_free(PlanCompiler *compiler);         /* NULL is fine */
const Image *plan_compiler_base(const PlanCompiler *compiler);
void plan_compile(PlanCompiler *compiler, Str json, const PlanGrant *grant, Arena *arena, PlanResult *out);

/* {"version":1,"ok":…,"diagnostics":[…],"open":[…],"cost":{…}} */
void plan_put_report(const PlanResult *result, Buf *json_out);
/* The plan with the fields of `record_json` (an object, keys: PlanOpen.name; absent or null ones stay open) written where the open parameters belong. Values are
   not checked here: plan_compile() of the result does. */
Str plan_fill(Arena *arena, Str json, const PlanOpen *open, uint32_t count, Str record_json);
/* A closed JSON Schema of the plans that the grant allows, discriminated by agent and action. may_be_empty: no step at all is an answer, too ("nothing fits"),
   if not a plan. */
void plan_put_schema(const Image *base, const PlanGrant *grant, bool may_be_empty, Buf *out);
/* Does a word of a grant ("travel.*") name any tool of the image? */
bool plan_grant_matches(const Image *base, Str pattern);
#endif
