/* bound.h - the worst that a plan can cost, known before it starts.
 *
 * Counted from its steps: calls, all and of each tool, with every further attempt of RETRY (of groups as well) and every attempt to undo what was done; what the
 * tools declare to cost; of two branches of a condition the dearer one. Counted from its code: what it needs of fuel and memory for itself. How much the tools
 * give back, and what the code of local tools does with fuel, nobody knows before: a plan may use the fuel and the memory of its grant, the machine meters both,
 * and it is refused before the start when even its own code and PLAN_TOOL_FUEL for each call of a local tool do not fit into what the reserve for undoing leaves.
 *
 * Invariant: a run of the plan uses no more than PlanCost.worst of anything; the machine meters against the same numbers. Wall time is that of the plan itself:
 * what is undone after a failure is done under no deadline.
 * Pure; linear in the plan but for the distinct tools it calls. Numbers too large to matter stay at PLAN_BOUND_MAX.
 */
#ifndef COMPILER_PLAN_BOUND_H
#define COMPILER_PLAN_BOUND_H
#include "compiler/plan/tree.h"

enum { PLAN_TOOL_FUEL = 1000 /* at least, for each call of a local tool */, PLAN_CODE_FUEL = 16 /* for an instruction that charges, with small values */ };
#define PLAN_BOUND_MAX INT64_C(1000000000000000)

/* What a step calls, by rows of the base; NO_INDEX: nothing (notify_user), or nothing known. undo: what undoes it, when its parameters can be filled in. */
typedef struct PlanStepTools { uint16_t tool, undo; } PlanStepTools;

PlanLimits plan_limits(const PlanGrant *grant);          /* with the defaults for what it leaves at 0 */
/* All but `scopes`, fuel and memory. `steps`: by index of the step. Lists are in the arena. */
void plan_bound_steps(const Image *base, const PlanTree *tree, const PlanStepTools *steps, const PlanGrant *grant, Arena *arena, PlanCost *out);
/* Fuel and memory, from the functions that `extension` has beyond its base. */
void plan_bound_code(const Image *extension, const PlanGrant *grant, PlanCost *cost);
/* E0738 for each number over the grant's: `over` says whether there is one. With over_budget they are warnings. */
void plan_bound_check(const PlanGrant *grant, PlanDiags *diags, PlanCost *cost);
#endif
