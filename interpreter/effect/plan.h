/* plan.h - plans of language models, as the engine sees them: the one place of the interpreter that asks the compiler (compiler/plan).
 *
 * A Planner keeps the compilers of the programs that were asked about last (PLANNER_IMAGES_MAX); it belongs to one thread. `image` is that of the run: its
 * base, or the last extension that a plan of the run has made. Plans are JSON text; who wrote them does not matter here, and nothing of them is trusted.
 * All of this is pure but for the fill, whose asking of a model is perform_llm.c's: no clock, no store, no network.
 */
#ifndef EFFECT_PLAN_H
#define EFFECT_PLAN_H
#include "interpreter/vm/value.h"

enum { PLANNER_IMAGES_MAX = 8, PLAN_LIMIT_COUNT = 10 };

typedef struct Planner Planner;
Planner *planner_new(void);
void planner_free(Planner *planner);                     /* NULL is fine */

/* What a plan may do. Nothing that is not named here. */
typedef struct PlanRights {
    const Str *tools; uint32_t tool_count;               /* "finance.check_budget", "travel.*" */
    const int64_t *limits; uint32_t limit_count;         /* in the order of PlanLimits: steps, depth, fanout, calls, calls_per_tool, fuel, memory_bytes, wall_us, tokens, micro_usd; 0: the default */
    const Str *scopes; uint32_t scope_count;             /* of the run's caller */
    bool any_scope;                                      /* there is no caller whose scopes count */
    bool may_ask, over_budget;                           /* see PlanGrant */
} PlanRights;

/* PLAN_CHECK: the report, JSON: {"version", "ok", "diagnostics", "open", "cost"}. With may_ask a budget that does not do is a warning, and cost.over says it.
   What is open is E0729 here, too: nobody is asked about a plan that cannot start. */
void planner_check(Planner *planner, Image *image, Str plan, const PlanRights *rights, Buf *report);

/* PLAN_LOAD: true: the bytes of an extension of `image` (image_decode_extension checks and loads them, now and at a replay) and its function. False: an error
   of the run, a new reference: invalid, denied or rejected by the first diagnostic, whose code it has; its message is the report. What is open is E0729. */
bool planner_load(Planner *planner, Image *image, Str plan, const PlanRights *rights, Buf *extension, uint16_t *func, Value *error);

/* LLM_PLAN: is it a plan that these agents (none: all) could run, with whatever scopes, budget and approvals? What is open may be open. The report either way. */
bool planner_accepts(Planner *planner, Image *image, Str plan, const Str *agents, uint32_t agent_count, Buf *report);
/* The JSON Schema of such plans, and of the answer that there is none: an empty flow. */
void planner_put_schema(Image *image, const Str *agents, uint32_t agent_count, Buf *out);

/* PLAN_FILL: what a plan leaves out. Parameters of the same name, type and pattern have the same PlanOpen.name, and are one blank: they are asked for once. */
typedef struct PlanBlank { Str name /* unique */, param, tool, pointer, doc, pattern /* "flags/pattern", or empty */; uint16_t type; } PlanBlank;
typedef struct PlanBlanks { PlanBlank *rows; uint32_t count; void *open; uint32_t open_count; } PlanBlanks;
/* False: the plan has other faults, and *error is one of the run. Texts are in the arena. */
bool planner_find_blanks(Planner *planner, Image *image, Str plan, const PlanRights *rights, Arena *arena, PlanBlanks *out, Value *error);
/* The plan with the members of `answers` (an object by PlanBlank.name; null and absent ones stay open) written in, in the arena. */
Str planner_fill(Arena *arena, Str plan, const PlanBlanks *blanks, const Json *answers);
#endif
