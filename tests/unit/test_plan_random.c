/* test_plan_random.c - random plans are refused with a reason, or finish within what was computed for them, and never use more.
 *
 * 100,000 plans of agents.flow (FLOW_PLANS: another number; FLOW_SEED: another walk, it is printed; FLOW_FIRST: from there), most of them sound, some wrong
 * in one place. Refused: a code and a pointer. Accepted: the extension is verified and run, every second one twice, with the same answers and failures from
 * outside, in any order, with deadlines that expire. Each run ends within the bound of its fuel, its memory at its peak,
 * its calls and those of each tool. Two runs of a plan ask the same, note the same and have the same states.
 */
#include "tests/unit/plan_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { PLANS = 100000, PLANS_QUICK = 4000, CALLER_FUEL = 1 /* the instruction that calls the plan */,
       SLACK_BYTES = 64 << 10 /* VM_MEMORY_SLACK: what is small is noticed when it is there */ };

typedef struct Totals { uint32_t refused, open, done, failed, limits; uint64_t calls, asked; } Totals;

static Image *base;
static uint16_t caller;
static PlanCompiler *compiler;
static Arena *kept;

static void fail_plan(uint64_t seed, Str text, const char *why)
{
    print_error("%.*s\n", STR_ARG(text));
    fail_msg("number %llu: %s", (unsigned long long)(seed % 1000000007), why);
}

static PlanGrant random_grant(Chance *c)
{
    static const Str tools[] = { { "finance.*", 9 }, { "travel.*", 8 }, { "calendar.*", 10 }, { "communication.*", 15 }, { "web.*", 5 }, { "worker.*", 8 }, { "vault.*", 7 } };
    PlanGrant grant = { .tools = tools, .tool_count = chance_percent(c, 90) ? 7 : 6, .any_scope = true, .may_ask = chance_percent(c, 90), .over_budget = chance_percent(c, 10) };
    if (chance_percent(c, 20))
        grant.limits = (PlanLimits){ .fuel = 1 + chance_below(c, 4000), .memory_bytes = 1000 + chance_below(c, 100000), .calls = 1 + chance_below(c, 40), .calls_per_tool = 1 + chance_below(c, 10) };
    else if (chance_percent(c, 5))
        grant.limits = (PlanLimits){ .tokens = 1 + chance_below(c, 3000), .micro_usd = 1 + chance_below(c, 60000), .wall_us = 1 + chance_below(c, 1000000) };
    return grant;
}

static void check_refusal(uint64_t seed, Str text, const PlanResult *result)
{
    bool error = false;
    for (uint32_t i = 0; i < result->diag_count; i++) {
        const PlanDiag *diag = &result->diags[i];
        size_t start, end;
        error |= diag->severity == SEVERITY_ERROR;
        if (!diag->message.len || !diag_pattern(diag->code))
            fail_plan(seed, text, "a diagnostic without a code or a message");
        if (diag->pointer.len && diag->pointer.ptr[0] != '/')
            fail_plan(seed, text, "a pointer that is none");
        plan_place_bytes(text, diag->pointer, diag->offset, &start, &end);
        if (start > end || end > text.len || (diag->pointer.len && end == start))
            fail_plan(seed, text, "a pointer to nothing");
    }
    if (!error || result->image)
        fail_plan(seed, text, "refused without a reason");
}

static bool ended_by_limit(const Sim *s)
{
    if (s->status != VM_FAILED)
        return false;
    Str code = value_str(((Record *)vm_error(s->run).o)->fields[ERROR_FIELD_CODE]);
    return str_starts(code, STR("PLAN_"));
}

static void check_bound(uint64_t seed, Str text, const PlanResult *result, const Sim *s)
{
    const PlanLimits *worst = &result->cost.worst;
    if (s->status != VM_DONE && s->status != VM_FAILED)
        fail_plan(seed, text, "did not end");
    if (vm_fuel_used(s->run) > worst->fuel + CALLER_FUEL)
        fail_plan(seed, text, "more fuel than its bound");
    if (s->peak_bytes > s->first_bytes + worst->memory_bytes + SLACK_BYTES)
        fail_plan(seed, text, arena_printf(kept, "%zu bytes held, %zu at the peak, %zu before; %llu are its bound", s->rest_bytes, s->peak_bytes, s->first_bytes, (unsigned long long)worst->memory_bytes));
    if (s->all_calls > worst->calls)
        fail_plan(seed, text, "more calls than its bound");
    for (uint32_t i = 0; i < base->tool_count; i++) {
        uint32_t most = 0;
        for (uint32_t k = 0; k < result->cost.tool_count; k++)
            if (result->cost.tools[k].tool == i)
                most = result->cost.tools[k].calls;
        if (s->calls[i] > most)
            fail_plan(seed, text, "more calls of a tool than its bound");
    }
}

static void check_twin(uint64_t seed, Str text, const PlanResult *result, const Sim *first)
{
    Sim second;
    sim_run(&second, seed, result->image, caller, result->func, false, true);
    if (!str_eq(buf_str(&first->log), buf_str(&second.log)) || !str_eq(buf_str(&first->states), buf_str(&second.states)) || vm_fuel_used(first->run) != vm_fuel_used(second.run))
        fail_plan(seed, text, "two runs with the same answers differ");
    sim_free(&second);
}

static void run_plan(uint64_t seed, Str text, const PlanResult *result, Totals *totals)
{
    Sim s;
    sim_run(&s, seed, result->image, caller, result->func, false, true);
    check_bound(seed, text, result, &s);
    if (seed % 2)
        check_twin(seed, text, result, &s);
    totals->limits += ended_by_limit(&s);
    *(s.status == VM_DONE ? &totals->done : &totals->failed) += 1;
    totals->calls += s.all_calls;
    totals->asked += s.turns;
    sim_free(&s);
}

static void one_plan(uint64_t seed, Arena *arena, Buf *text, Totals *totals)
{
    Chance chance = { seed };
    uint32_t wrong = chance_percent(&chance, 50) ? 0 : 1 + chance_below(&chance, 10);
    PlanGrant grant = random_grant(&chance);
    PlanResult result;
    buf_clear(text);
    arena_reset(arena);
    sim_put_plan(chance_next(&chance), base, wrong, text);
    plan_compile(compiler, buf_str(text), &grant, arena, &result);
    if (!result.ok) {
        check_refusal(seed, buf_str(text), &result);
        totals->refused++;
    } else if (result.open_count) {
        totals->open++;
    } else {
        run_plan(seed, buf_str(text), &result, totals);
    }
    image_free(result.image);
}

static uint64_t number_of(const char *name, uint64_t usual)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : usual;
}

static void random_plans_are_refused_or_stay_within_their_bound(void **state)
{
    uint64_t count = number_of("FLOW_PLANS", getenv("FLOW_TEST_QUICK") ? PLANS_QUICK : PLANS), seed = number_of("FLOW_SEED", 1), first = number_of("FLOW_FIRST", 0);
    Arena *arena = arena_new();
    Buf text = { 0 };
    Totals t = { 0 };
    print_message("%llu plans, FLOW_SEED=%llu\n", (unsigned long long)count, (unsigned long long)seed);
    for (uint64_t i = first; i < count; i++)
        one_plan(seed * 1000000007 + i, arena, &text, &t);
    print_message("%u refused, %u open, %u done, %u failed (%u by a limit of the plan), %llu calls in %llu turns\n", t.refused, t.open, t.done, t.failed, t.limits, (unsigned long long)t.calls,
                  (unsigned long long)t.asked);
    count -= first;
    assert_true(t.done > count / 10 && t.failed > count / 100 && t.refused > count / 10);
    buf_free(&text);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(random_plans_are_refused_or_stay_within_their_bound) };
    setenv("FLOW_STDLIB", "stdlib", 0);                     /* tests run in the root of the project */
    base = sim_base("tests/plans/agents.flow", &caller);
    compiler = plan_compiler_new(base);
    kept = arena_new();
    int failed = cmocka_run_group_tests_name("random plans", tests, NULL, NULL);
    plan_compiler_free(compiler);
    image_free(base);
    arena_free(kept);
    return failed;
}
