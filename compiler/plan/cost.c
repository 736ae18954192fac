/* cost.c - what a plan costs at most, as a table for people: the bound beside its budget, every tool with its calls, and what somebody should know first. */
#include "compiler/plan/bound.h"

#include <stdio.h>

enum { LABEL_COLUMNS = 22, NUMBER_COLUMNS = 16 };

/* 1,000,000 */
static void put_grouped(int64_t value, char *out, size_t size)
{
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)value), at = 0;
    for (int i = 0; i < len && at + 2 < (int)size; i++) {
        if (i && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = 0;
}

static void put_row(Buf *out, const char *label, const char *worst, const char *budget, bool over, const char *note)
{
    buf_printf(out, "%-*s%*s%*s%s%s%s\n", LABEL_COLUMNS, label, NUMBER_COLUMNS, worst, NUMBER_COLUMNS, budget, over ? "  OVER" : "", *note ? "  " : "", note);
}

static void put_count(Buf *out, const char *label, int64_t worst, int64_t budget, const char *note)
{
    char a[48], b[48];
    put_grouped(worst, a, sizeof a);
    put_grouped(budget, b, sizeof b);
    put_row(out, label, a, b, worst > budget, note);
}

static void put_seconds(Buf *out, const char *label, int64_t worst_us, int64_t budget_us)
{
    char a[48], b[48];
    snprintf(a, sizeof a, "%lld.%03lld s", (long long)(worst_us / 1000000), (long long)(worst_us / 1000 % 1000));
    snprintf(b, sizeof b, "%lld.%03lld s", (long long)(budget_us / 1000000), (long long)(budget_us / 1000 % 1000));
    put_row(out, label, a, b, worst_us > budget_us, "");
}

static void put_money(Buf *out, const char *label, int64_t worst, int64_t budget)
{
    char a[48], b[48];
    snprintf(a, sizeof a, "%lld.%06lld $", (long long)(worst / 1000000), (long long)(worst % 1000000));
    snprintf(b, sizeof b, "%lld.%06lld $", (long long)(budget / 1000000), (long long)(budget % 1000000));
    put_row(out, label, a, b, worst > budget, "");
}

static bool holds(const uint16_t *tools, uint32_t count, uint16_t tool)
{
    for (uint32_t i = 0; i < count; i++)
        if (tools[i] == tool)
            return true;
    return false;
}

static void put_tools(const PlanResult *result, Buf *out)
{
    const PlanCost *cost = &result->cost;
    buf_printf(out, "\n%-*s%*s\n", LABEL_COLUMNS + NUMBER_COLUMNS - 6, "tool", 6, "calls");
    for (uint32_t i = 0; i < cost->tool_count; i++) {
        uint16_t tool = cost->tools[i].tool;
        Buf name = { 0 };
        plan_put_tool_name(result->base, tool, &name);
        buf_printf(out, "%-*s%*u", LABEL_COLUMNS + NUMBER_COLUMNS - 6, buf_cstr(&name), 6, cost->tools[i].calls);
        if (holds(cost->irreversible, cost->irreversible_count, tool))
            buf_put_text(out, "  cannot be undone: asks for an approval");
        else if (holds(cost->compensated, cost->compensated_count, tool))
            buf_put_text(out, "  undone when the plan fails");
        else if (holds(cost->uncompensated, cost->uncompensated_count, tool))
            buf_put_text(out, "  changes things, and nothing undoes it");
        buf_put_char(out, '\n');
        buf_free(&name);
    }
}

void plan_put_cost_text(const PlanResult *result, const PlanGrant *grant, Buf *out)
{
    const PlanLimits limits = plan_limits(grant), *worst = &result->cost.worst;
    put_row(out, "", "worst case", "budget", false, "");
    put_count(out, "steps", worst->steps, limits.steps, "");
    put_count(out, "flows in one another", worst->depth, limits.depth, "");
    put_count(out, "steps side by side", worst->fanout, limits.fanout, "");
    put_count(out, "calls of tools", worst->calls, limits.calls, "");
    put_count(out, "calls of one tool", worst->calls_per_tool, limits.calls_per_tool, "");
    put_count(out, "fuel", (int64_t)worst->fuel, (int64_t)limits.fuel, "metered");
    put_count(out, "memory, bytes", (int64_t)worst->memory_bytes, (int64_t)limits.memory_bytes, "metered");
    put_seconds(out, "wall time", worst->wall_us, limits.wall_us);
    put_count(out, "tokens", (int64_t)worst->tokens, (int64_t)limits.tokens, "");
    put_money(out, "money", worst->micro_usd, limits.micro_usd);
    if (result->cost.tool_count)
        put_tools(result, out);
    for (uint32_t i = 0; i < result->cost.scope_count; i++)
        buf_printf(out, "%s%.*s%s", i ? ", " : "\nscopes: ", STR_ARG(result->cost.scopes[i]), i + 1 == result->cost.scope_count ? "\n" : "");
}
