/* fuzz_plan.c - any text is a plan that is refused with a reason, or one that is compiled, verified, and ends within its bound.
 *
 * The first byte is what was granted and how the outside answers. The text goes through everything that a plan goes through: reading, names, types, conditions, the
 * bound, the verifier, the reports, and, with little fuel, the machine.
 */
#include "tests/unit/plan_sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Image *base;
static uint16_t caller;
static PlanCompiler *compiler;

static void prepare(void)
{
    if (base) return;
    setenv("FLOW_STDLIB", "stdlib", 0);
    base = sim_base("tests/plans/agents.flow", &caller);
    compiler = plan_compiler_new(base);
}

static void must(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "fuzz_plan: %s\n", what);
    abort();
}

static void check_refusal(const PlanResult *result)
{
    uint32_t errors = 0;
    for (uint32_t i = 0; i < result->diag_count; i++) {
        const PlanDiag *diag = &result->diags[i];
        errors += diag->severity == SEVERITY_ERROR;
        must(diag_pattern(diag->code) && diag->message.len, "a diagnostic without a code or a message");
        must(!diag->pointer.len || diag->pointer.ptr[0] == '/', "a pointer that is none");
    }
    must(errors && !result->image, "refused without a reason");
}

static void check_reports(const PlanResult *result, Str text, Arena *arena)
{
    Buf out = { 0 };
    Json *json;
    plan_put_report(result, &out);
    must(json_parse(arena, buf_str(&out), 64 << 20, &json, NULL) == ERR_OK, "a report that is no JSON");
    buf_clear(&out);
    plan_put_text(result, text, "plan.json", true, &out);
    buf_free(&out);
}

static void check_run(const PlanResult *result, uint64_t seed)
{
    Sim s;
    sim_run(&s, seed, result->image, caller, result->func, false, false);
    must(s.status == VM_DONE || s.status == VM_FAILED, "a plan that does not end");
    must(s.all_calls <= result->cost.worst.calls, "more calls than the bound");
    sim_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const Str tools[] = { { "finance.*", 9 }, { "travel.*", 8 }, { "calendar.*", 10 }, { "communication.*", 15 }, { "web.*", 5 }, { "worker.*", 8 } };
    prepare();
    if (!size) return 0;
    PlanGrant grant = { .tools = tools, .tool_count = 6, .any_scope = data[0] & 1, .may_ask = data[0] & 2, .over_budget = data[0] & 4,
                        .limits = { .fuel = 20000, .memory_bytes = 1 << 20, .calls = data[0] & 8 ? 4 : 100 } };
    Str text = { (const char *)data + 1, size - 1 };
    Arena *arena = arena_new();
    PlanResult result;
    plan_compile(compiler, text, &grant, arena, &result);
    if (!result.ok) check_refusal(&result);
    else if (!result.open_count) check_run(&result, data[0]);
    check_reports(&result, text, arena);
    image_free(result.image);
    arena_free(arena);
    return 0;
}
