/* bound.c - what a plan costs at most.
 *
 * The steps are counted bottom up: a Tally for a flow, multiplied on the way by the attempts of the groups around it. Of the two sides of a condition the larger
 * number is taken, separately for each thing counted, so that every one of them is a bound.
 */
#include "compiler/plan/bound.h"

#include "compiler/lower_internal.h"
#include "interpreter/bytecode/opinfo.h"

enum { BACKOFF_FIRST_US = 1000000, BACKOFF_MOST_US = 30000000, SLOTS_MAX = 2 * PLAN_STEPS_MAX };

typedef struct Tally {
    int64_t calls, tokens, micro_usd, wall_us;
    int64_t *of_tool;                    /* by slot */
} Tally;

typedef struct Count {
    const Image *base;
    const PlanStepTools *steps;
    Arena *arena;
    uint16_t tools[SLOTS_MAX]; uint32_t slot_count;      /* the tools that the plan calls, in ascending order */
    uint32_t undo_attempts;
} Count;

PlanLimits plan_limits(const PlanGrant *grant)
{
    PlanLimits limits = grant->limits, usual = PLAN_LIMITS_DEFAULT;
#define USUAL(field) if (!limits.field) limits.field = usual.field
    USUAL(steps);
    USUAL(depth);
    USUAL(fanout);
    USUAL(calls);
    USUAL(calls_per_tool);
    USUAL(fuel);
    USUAL(memory_bytes);
    USUAL(wall_us);
    USUAL(tokens);
    USUAL(micro_usd);
#undef USUAL
    return limits;
}

/* ---- numbers that stay bounded ----------------------------------------------------------------------------- */

static int64_t plus(int64_t a, int64_t b)
{
    return a > PLAN_BOUND_MAX - b ? PLAN_BOUND_MAX : a + b;
}

static int64_t times(int64_t a, int64_t b)
{
    return a && b > PLAN_BOUND_MAX / a ? PLAN_BOUND_MAX : a * b;
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t bounded(uint64_t a) { return a > (uint64_t)PLAN_BOUND_MAX ? PLAN_BOUND_MAX : (int64_t)a; }

/* ---- tools ------------------------------------------------------------------------------------------------- */

static uint32_t slot_of(const Count *count, uint16_t tool)
{
    uint32_t low = 0, high = count->slot_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (count->tools[middle] < tool)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void slot_add(Count *count, uint16_t tool)
{
    uint32_t at = tool == NO_INDEX ? count->slot_count : slot_of(count, tool);
    if (tool == NO_INDEX || (at < count->slot_count && count->tools[at] == tool))
        return;
    memmove(&count->tools[at + 1], &count->tools[at], (count->slot_count - at) * sizeof *count->tools);
    count->tools[at] = tool;
    count->slot_count++;
}

static void add_calls(const Count *count, Tally *into, uint16_t tool, int64_t calls)
{
    if (tool == NO_INDEX)
        return;
    const ImageTool *row = &count->base->tools[tool];
    uint32_t slot = slot_of(count, tool);
    into->of_tool[slot] = plus(into->of_tool[slot], calls);
    into->calls = plus(into->calls, calls);
    into->tokens = plus(into->tokens, times(calls, bounded(row->cost_tokens)));
    into->micro_usd = plus(into->micro_usd, times(calls, smaller(row->cost_micro_usd, PLAN_BOUND_MAX)));
}

/* ---- steps ------------------------------------------------------------------------------------------------- */

static Tally tally_new(const Count *count)
{
    return (Tally){ .of_tool = ARENA_ARRAY(count->arena, int64_t, count->slot_count + 1) };
}

static void tally_add(const Count *count, Tally *into, const Tally *other)
{
    for (uint32_t i = 0; i < count->slot_count; i++)
        into->of_tool[i] = plus(into->of_tool[i], other->of_tool[i]);
    into->calls = plus(into->calls, other->calls);
    into->tokens = plus(into->tokens, other->tokens);
    into->micro_usd = plus(into->micro_usd, other->micro_usd);
}

static void tally_most(const Count *count, Tally *into, const Tally *other)
{
    for (uint32_t i = 0; i < count->slot_count; i++)
        into->of_tool[i] = larger(into->of_tool[i], other->of_tool[i]);
    into->calls = larger(into->calls, other->calls);
    into->tokens = larger(into->tokens, other->tokens);
    into->micro_usd = larger(into->micro_usd, other->micro_usd);
    into->wall_us = larger(into->wall_us, other->wall_us);
}

/* What waiting takes between `retries` further attempts. */
static int64_t backoff_us(uint32_t retries)
{
    int64_t sum = 0, wait = BACKOFF_FIRST_US;
    for (uint32_t i = 0; i < retries; i++) {
        sum += wait;
        wait = smaller(2 * wait, BACKOFF_MOST_US);
    }
    return sum;
}

static int64_t wall_of(const PlanNode *node, int64_t once_us)
{
    if (node->timeout_us)
        once_us = smaller(once_us, node->timeout_us);
    return plus(times(once_us, 1 + (int64_t)node->retry_count), backoff_us(node->retry_count));
}

static void count_flow(const Count *count, PlanNode *const *nodes, uint32_t node_count, bool side_by_side, int64_t attempts, Tally *into);

static void count_action(const Count *count, const PlanNode *node, int64_t attempts, Tally *into)
{
    PlanStepTools step = count->steps[node->index];
    add_calls(count, into, step.tool, times(attempts, 1 + (int64_t)node->retry_count));
    if (step.undo != NO_INDEX) {
        bool again = count->base->tools[step.undo].flags & (TOOL_READS | TOOL_IDEMPOTENT | TOOL_KEYED);
        add_calls(count, into, step.undo, times(attempts, again ? count->undo_attempts : 1));
    }
    into->wall_us = wall_of(node, step.tool == NO_INDEX ? 0 : PLAN_BOUND_MAX);
}

static void count_condition(const Count *count, const PlanNode *node, int64_t attempts, Tally *into)
{
    Tally otherwise = tally_new(count), then = tally_new(count);
    count_flow(count, node->steps, node->step_count, false, attempts, &then);
    count_flow(count, node->otherwise, node->otherwise_count, false, attempts, &otherwise);
    tally_most(count, &then, &otherwise);
    tally_add(count, into, &then);
    into->wall_us = then.wall_us;
}

static void count_group(const Count *count, const PlanNode *node, int64_t attempts, Tally *into)
{
    count_flow(count, node->steps, node->step_count, node->strategy == PLAN_PARALLEL, times(attempts, 1 + (int64_t)node->retry_count), into);
    into->wall_us = wall_of(node, into->wall_us);
}

/* Adds the steps to `into`, whose wall time becomes that of the flow alone. As deep as PLAN_DEPTH_MAX. */
static void count_flow(const Count *count, PlanNode *const *nodes, uint32_t node_count, bool side_by_side, int64_t attempts, Tally *into)
{
    int64_t wall_us = 0;
    for (uint32_t i = 0; i < node_count; i++) {
        into->wall_us = 0;
        switch (nodes[i]->kind) {
        case PLAN_NODE_ACTION:    count_action(count, nodes[i], attempts, into); break;
        case PLAN_NODE_NOTIFY:    break;
        case PLAN_NODE_CONDITION: count_condition(count, nodes[i], attempts, into); break;
        case PLAN_NODE_GROUP:     count_group(count, nodes[i], attempts, into); break;
        }
        wall_us = side_by_side ? larger(wall_us, into->wall_us) : plus(wall_us, into->wall_us);
    }
    into->wall_us = wall_us;
}

/* ---- the whole --------------------------------------------------------------------------------------------- */

static uint32_t narrow(int64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static void list_tools(const Count *count, const PlanTree *tree, const Tally *tally, PlanCost *out)
{
    uint32_t n = count->slot_count;
    bool *undone = ARENA_ARRAY(count->arena, bool, n + 1), *left = ARENA_ARRAY(count->arena, bool, n + 1);
    for (uint32_t i = 0; i < tree->index_count; i++) {
        PlanStepTools step = count->steps[i];
        if (step.tool != NO_INDEX && !(count->base->tools[step.tool].flags & TOOL_READS))
            (step.undo == NO_INDEX ? left : undone)[slot_of(count, step.tool)] = true;
    }
    out->tools = ARENA_ARRAY(count->arena, PlanToolCalls, n);
    out->irreversible = ARENA_ARRAY(count->arena, uint16_t, n);
    out->compensated = ARENA_ARRAY(count->arena, uint16_t, n);
    out->uncompensated = ARENA_ARRAY(count->arena, uint16_t, n);
    for (uint32_t i = 0; i < n; i++) {
        uint16_t tool = count->tools[i];
        out->tools[out->tool_count++] = (PlanToolCalls){ tool, narrow(tally->of_tool[i]) };
        out->worst.calls_per_tool = (uint32_t)larger(out->worst.calls_per_tool, narrow(tally->of_tool[i]));
        if (count->base->tools[tool].flags & TOOL_IRREVERSIBLE)
            out->irreversible[out->irreversible_count++] = tool;
        if (undone[i] && !left[i])
            out->compensated[out->compensated_count++] = tool;
        if (left[i])
            out->uncompensated[out->uncompensated_count++] = tool;
    }
}

void plan_bound_steps(const Image *base, const PlanTree *tree, const PlanStepTools *steps, const PlanGrant *grant, Arena *arena, PlanCost *out)
{
    Count count = { .base = base, .steps = steps, .arena = arena, .undo_attempts = (uint32_t)retry_of_compensation().attempts };
    for (uint32_t i = 0; i < tree->index_count; i++) {
        slot_add(&count, steps[i].tool);
        slot_add(&count, steps[i].undo);
    }
    *out = (PlanCost){ .worst = { .steps = tree->step_count, .depth = tree->depth, .fanout = tree->fanout } };
    Tally tally = tally_new(&count);
    if (tree->root)
        count_group(&count, tree->root, 1, &tally);
    out->worst.calls = narrow(tally.calls);
    out->worst.tokens = (uint64_t)tally.tokens;
    out->worst.micro_usd = tally.micro_usd;
    out->worst.wall_us = smaller(tally.wall_us, plan_limits(grant).wall_us);
    list_tools(&count, tree, &tally, out);
}

static int64_t local_calls(const Image *base, const PlanCost *cost)
{
    int64_t calls = 0;
    for (uint32_t i = 0; i < cost->tool_count; i++)
        if (base->tools[cost->tools[i].tool].func != NO_INDEX)
            calls = plus(calls, cost->tools[i].calls);
    return calls;
}

/* Every instruction that charges, once. */
static int64_t own_fuel(const Image *extension)
{
    int64_t charging = 0;
    for (uint32_t i = extension->base->func_count; i < extension->func_count; i++) {
        const ImageFunc *func = &extension->funcs[i];
        for (uint32_t pc = 0; pc < func->code_count; pc++)
            charging += (opinfo_find(INSN_OP(func->code[pc]))->flags & OPFLAG_FUEL) != 0;
    }
    return charging * PLAN_CODE_FUEL;
}

static int64_t own_memory(const Image *extension)
{
    int64_t bytes = 0;
    for (uint32_t i = extension->base->func_count; i < extension->func_count; i++)
        bytes += (int64_t)extension->funcs[i].reg_count * 8;
    for (uint32_t i = extension->base->const_count; i < extension->const_count; i++)
        bytes += (int64_t)extension->consts[i].bytes.len;
    return bytes;
}

void plan_bound_code(const Image *extension, const PlanGrant *grant, PlanCost *cost)
{
    PlanLimits limits = plan_limits(grant);
    int64_t fuel = plus(own_fuel(extension), times(local_calls(extension->base, cost), PLAN_TOOL_FUEL)), memory = own_memory(extension);
    fuel = plus(fuel, (fuel + PLAN_FUEL_RESERVE - 2) / (PLAN_FUEL_RESERVE - 1));          /* and the reserves */
    memory = plus(memory, (memory + PLAN_MEMORY_RESERVE - 2) / (PLAN_MEMORY_RESERVE - 1));
    cost->worst.fuel = (uint64_t)larger(fuel, bounded(limits.fuel));
    cost->worst.memory_bytes = (uint64_t)larger(memory, bounded(limits.memory_bytes));
}

/* A number as people read it; with a unit it is in millionths of that. */
static const char *amount(Arena *arena, int64_t value, const char *unit)
{
    if (!unit)
        return arena_printf(arena, "%lld", (long long)value);
    int decimals = 6;
    int64_t fraction = value % 1000000;
    for (; decimals > 0 && fraction % 10 == 0; decimals--)
        fraction /= 10;
    return decimals ? arena_printf(arena, "%lld.%0*lld %s", (long long)(value / 1000000), decimals, (long long)fraction, unit)
                    : arena_printf(arena, "%lld %s", (long long)(value / 1000000), unit);
}

static void check_number(PlanDiags *diags, const PlanGrant *grant, PlanCost *cost, const char *what, const char *limit, const char *unit, int64_t bound, int64_t budget)
{
    if (bound <= budget)
        return;
    static const char format[] = "%s: %s in the worst case, over the budget %s (%s)";
    const char *worst = amount(diags->arena, bound, unit), *most = amount(diags->arena, budget, unit);
    PlanDiag *diag = grant->over_budget ? plan_warn(diags, PLAN_DIAG_over_budget, NULL, format, what, worst, limit, most)
                                        : plan_diag(diags, PLAN_DIAG_over_budget, NULL, format, what, worst, limit, most);
    plan_diag_expected(diags, diag, "at most %s", most);
    plan_diag_actual(diags, diag, "%s", worst);
    cost->over = true;
}

void plan_bound_check(const PlanGrant *grant, PlanDiags *diags, PlanCost *cost)
{
    PlanLimits limits = plan_limits(grant);
    const PlanLimits *worst = &cost->worst;
#define CHECK(what, limit, unit, field) check_number(diags, grant, cost, what, limit, unit, bounded((uint64_t)worst->field), bounded((uint64_t)limits.field))
    CHECK("steps", "PLAN_STEPS_MAX", NULL, steps);
    CHECK("flows in one another", "PLAN_DEPTH_MAX", NULL, depth);
    CHECK("steps side by side", "PLAN_FANOUT_MAX", NULL, fanout);
    CHECK("calls of tools", "PLAN_CALLS_MAX", NULL, calls);
    CHECK("calls of one tool", "PLAN_TOOL_CALLS_MAX", NULL, calls_per_tool);
    CHECK("fuel", "PLAN_FUEL_MAX", NULL, fuel);
    CHECK("bytes of memory", "PLAN_MEMORY_MAX", NULL, memory_bytes);
    CHECK("time", "PLAN_WALL_MAX", "s", wall_us);
    CHECK("tokens", "PLAN_TOKENS_MAX", NULL, tokens);
    CHECK("money", "PLAN_MONEY_MAX", "usd", micro_usd);
#undef CHECK
}
