/* test_vm_plan.c - plans in the machine: calls by number, the meter and each of its limits, sagas around and inside, snapshots in between. */
#include "interpreter/vm/snapshot.h"
#include "interpreter/vm/snapshot_internal.h"
#include "tests/unit/plan_asm.h"

static const SnapshotKey key = { .id = 1, .bytes = "0123456789abcdef0123456789abcde" };

static VmRun *run_of(Image *base, const VmLimits *limits) { return vm_new(base, PLAN_FUNC_MAIN, NULL, &asm_info, limits); }

static void assert_json(VmRun *run, const char *expected)
{
    Buf text = { 0 };
    if (vm_run(run) != VM_DONE) {
        if (vm_run(run) == VM_FAILED) value_to_json(vm_image(run), ERR, vm_error(run), &text);
        fail_msg("not done: %s", buf_cstr(&text));
    }
    value_to_json(vm_image(run), JSON, vm_result(run), &text);
    assert_string_equal(buf_cstr(&text), expected);
    buf_free(&text);
}

/* Answers each remote call, except the one with the number `fails` (0 none), which is refused; what was asked, in order. */
static VmStatus answer_all(VmRun *run, int64_t fails, Buf *calls)
{
    VmStatus status;
    int64_t asked_last = 0;
    while ((status = run_all(run)) == VM_BLOCKED) {
        VmRequest r;
        FindRequest find = { .kind = EFFECT_REMOTE_CALL };
        while (vm_next_request(run, &r)) {
            if (r.is_note || r.effect->kind != EFFECT_REMOTE_CALL) continue;
            asked_last = r.args[0].i;
            buf_printf(calls, "%s%lld", calls->len ? " " : "", (long long)asked_last);
        }
        vm_pending_each(run, find_request, &find);
        if (!find.id) break;
        if (fails && asked_last == fails) vm_raise(run, find.id, error_value(run, ERROR_KIND_rejected, "no"));
        else vm_resume(run, find.id, int_value((int64_t)find.id));
    }
    return status;
}

/* A run of one plan to its end; the error's code and the limit's value when it is to fail, "" when not. Takes the images. */
static void outcome(Image *base, Image *plan, const char *code, uint64_t value)
{
    VmRun *run = run_of(base, NULL);
    VmStatus status = plan_start(run, plan);
    assert_int_equal(status, code[0] ? VM_FAILED : VM_DONE);
    if (code[0]) {
        char message[80];
        snprintf(message, sizeof message, "the limit %s of the plan (%llu) is reached", code, (unsigned long long)value);
        assert_text(error_text(run, ERROR_FIELD_MESSAGE), message);
        assert_text(error_text(run, ERROR_FIELD_CODE), code);
        assert_int_equal(error_kind(run), ERROR_KIND_rejected);
    }
    assert_int_equal(run->meter.plan, NO_INDEX);
    assert_false(run->metered);
    vm_free(run);
    image_free(plan);
    image_free(base);
}

static void a_plan_is_called_by_its_number(void **state)
{
    (void)state;
    Image *base = plan_base(0), *plan = plan_of_calls(base, PLAN_TOOL_ADD, 3, 5, NULL);
    VmRun *run = run_of(base, NULL);
    assert_int_equal(vm_extensions(run), 0);
    assert_int_equal(plan_start(run, plan), VM_DONE);
    assert_int_equal(vm_extensions(run), 1);
    assert_ptr_equal(vm_image(run), plan);
    assert_json(run, "8");
    image_free(plan);                                    /* the run holds it */
    image_free(base);
    vm_free(run);
}

static void plans_extend_one_another(void **state)
{
    (void)state;
    Image *base = plan_base(PLAN_TWICE), *first = plan_of_calls(base, PLAN_TOOL_ADD, 1, 5, NULL), *second = plan_of_calls(first, PLAN_TOOL_FREE, 2, 50, NULL);
    VmRun *run = run_of(base, NULL);
    assert_int_equal(plan_start(run, first), VM_BLOCKED);
    assert_false(vm_extend(run, first));                 /* extends what the run no longer is */
    assert_int_equal(plan_start(run, second), VM_DONE);
    assert_int_equal(vm_extensions(run), 2);
    assert_json(run, "52");
    image_free(first);
    image_free(second);
    image_free(base);
    vm_free(run);
}

static void a_number_that_is_no_plan_is_refused(void **state)
{
    (void)state;
    const int64_t numbers[] = { -1, 0, PLAN_FUNC_MAIN, 100000, INT64_MAX };
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
        Image *base = plan_base(0);
        VmRun *run = run_of(base, NULL);
        run_all(run);
        vm_resume(run, waiting_for(run, EFFECT_PLAN_LOAD), int_value(numbers[k]));
        char message[80];
        snprintf(message, sizeof message, "no plan has the number %lld", (long long)numbers[k]);
        assert_fails(run, ERROR_KIND_invalid, message);
        image_free(base);
    }
}

static VmRun *swap(VmRun *run, uint64_t seq)
{
    Buf first = { 0 }, second = { 0 };
    VmRun *again = NULL;
    Error error = { 0 };
    snapshot_encode(run, seq, &key, &first);
    if (snapshot_decode(run->root, buf_str(&first), &asm_info, seq, &key, NULL, &again, &error)) fail_msg("%s", error.text);
    snapshot_encode(again, seq, &key, &second);
    assert_true(str_eq(buf_str(&first), buf_str(&second)));
    buf_free(&first);
    buf_free(&second);
    vm_free(run);
    return again;
}

/* ---- limits ---- */

static ImagePlan bound_with(uint64_t fuel, uint64_t memory, uint32_t calls, uint32_t per_tool, uint64_t tokens, int64_t money)
{
    ImagePlan bound = plan_bound;
    if (fuel) bound.fuel = fuel;
    if (memory) bound.memory_bytes = memory;
    if (calls) bound.calls = calls;
    if (per_tool) bound.calls_per_tool = per_tool;
    if (tokens) bound.tokens = tokens;
    if (money) bound.micro_usd = money;
    return bound;
}

static void each_limit_has_its_name(void **state)
{
    (void)state;
    static const struct { int tool, count, n; uint64_t fuel, memory; uint32_t calls, per_tool; uint64_t tokens; int64_t money; const char *code; } cases[] = {
        { PLAN_TOOL_ADD, 1, 700, 1000, 0, 0, 0, 0, 0, "" },                          /* the body of the tool counts: 700 rounds, a call, the plan's call */
        { PLAN_TOOL_ADD, 1, 800, 1000, 0, 0, 0, 0, 0, "PLAN_FUEL_MAX" },
        { PLAN_TOOL_ADD, 2, 400, 1000, 0, 0, 0, 0, 0, "PLAN_FUEL_MAX" },
        { PLAN_TOOL_GROW, 1, 30, 0, 1 << 16, 0, 0, 0, 0, "" },
        { PLAN_TOOL_GROW, 1, 90, 0, 1 << 16, 0, 0, 0, 0, "PLAN_MEMORY_MAX" },
        { PLAN_TOOL_FREE, 3, 1, 0, 0, 3, 0, 0, 0, "" },
        { PLAN_TOOL_FREE, 4, 1, 0, 0, 3, 0, 0, 0, "PLAN_CALLS_MAX" },
        { PLAN_TOOL_FREE, 3, 1, 0, 0, 9, 3, 0, 0, "" },
        { PLAN_TOOL_FREE, 4, 1, 0, 0, 9, 3, 0, 0, "PLAN_TOOL_CALLS_MAX" },
        { PLAN_TOOL_ADD, 3, 1, 0, 0, 0, 0, 300, 0, "" },
        { PLAN_TOOL_ADD, 3, 1, 0, 0, 0, 0, 299, 0, "PLAN_TOKENS_MAX" },
        { PLAN_TOOL_ADD, 3, 1, 0, 0, 0, 0, 0, 30000, "" },
        { PLAN_TOOL_ADD, 3, 1, 0, 0, 0, 0, 0, 29999, "PLAN_MONEY_MAX" },
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        Image *base = plan_base(0);
        ImagePlan bound = bound_with(cases[k].fuel, cases[k].memory, cases[k].calls, cases[k].per_tool, cases[k].tokens, cases[k].money);
        const char *code = cases[k].code;
        uint64_t value = strstr(code, "FUEL") ? bound.fuel : strstr(code, "MEMORY") ? bound.memory_bytes : strstr(code, "TOOL") ? bound.calls_per_tool : strstr(code, "CALLS") ? bound.calls
                       : strstr(code, "TOKENS") ? bound.tokens : (uint64_t)bound.micro_usd;
        outcome(base, plan_of_calls(base, cases[k].tool, cases[k].count, cases[k].n, &bound), code, value);
    }
}

/* Without a call and without a loop: what is charged by its size is charged before it is done. */
static void straight_code_is_bounded_too(void **state)
{
    (void)state;
    Image *base = plan_base(PLAN_CATCHES);
    Asm *m = plan_asm(base);
    uint16_t s = asm_reg(m, TEXT), sum = asm_reg(m, TEXT), text = asm_text(m, TEXT, "0123456789abcdef");
    plan_row(m)->fuel = 20000;
    plan_row(m)->memory_bytes = 16 << 20;
    EMIT(m, LOADREF, s, text, 0);
    for (int k = 0; k < 15; k++) EMIT(m, CONCAT, s, s, s);
    for (int k = 0; k < 400; k++) EMIT(m, CONCAT, sum, s, s);     /* a megabyte each */
    plan_returns(m, s);
    Image *plan = plan_done(m);
    VmRun *run = run_of(base, NULL);
    assert_int_equal(plan_start(run, plan), VM_DONE);
    assert_json(run, "\"PLAN_FUEL_MAX\"");
    assert_true(vm_fuel_used(run) <= 20000 + 100);       /* the program around it */
    vm_free(run);
    image_free(plan);
    image_free(base);
}

/* What is too large is not made at all. */
static void a_value_beyond_the_limit_is_not_made(void **state)
{
    (void)state;
    Image *base = plan_base(PLAN_CATCHES);
    Asm *m = plan_asm(base);
    uint16_t s = asm_reg(m, TEXT), text = asm_text(m, TEXT, "0123456789abcdef");
    plan_row(m)->memory_bytes = 400000;
    EMIT(m, LOADREF, s, text, 0);
    for (int k = 0; k < 16; k++) EMIT(m, CONCAT, s, s, s);       /* 1 MiB in the end */
    plan_returns(m, s);
    Image *plan = plan_done(m);
    VmRun *run = run_of(base, NULL);
    size_t before = vm_heap(run)->live_bytes;
    assert_int_equal(plan_start(run, plan), VM_DONE);
    assert_json(run, "\"PLAN_MEMORY_MAX\"");
    assert_true(vm_heap(run)->peak_bytes <= before + 400000);
    vm_free(run);
    image_free(plan);
    image_free(base);
}

/* What the run used before its plan, and uses behind it, is not the plan's. */
static void the_meter_begins_and_ends_with_the_plan(void **state)
{
    (void)state;
    Image *base = plan_base(PLAN_TWICE | PLAN_ASKS_AFTER);
    ImagePlan bound = bound_with(900, 0, 1, 1, 100, 10000);
    Image *first = plan_of_calls(base, PLAN_TOOL_ADD, 1, 600, &bound), *second = plan_of_calls(first, PLAN_TOOL_ADD, 1, 600, &bound);
    VmRun *run = run_of(base, NULL);
    assert_int_equal(plan_start(run, first), VM_BLOCKED);
    assert_int_equal(plan_start(run, second), VM_BLOCKED);
    assert_true(vm_meter_tokens(run, 1000000));          /* nobody's */
    vm_resume(run, waiting_for(run, EFFECT_REMOTE_CALL), int_value(1));
    assert_int_equal(run_all(run), VM_DONE);
    assert_true(vm_fuel_used(run) > 1200);
    assert_int_equal(vm_heap(run)->limit_bytes, VM_MEMORY_DEFAULT);
    vm_free(run);
    image_free(second);
    image_free(first);
    image_free(base);
}

static void the_runs_own_limits_stay(void **state)
{
    (void)state;
    Image *base = plan_base(0), *plan = plan_of_calls(base, PLAN_TOOL_ADD, 1, 90000, NULL);
    VmRun *run = run_of(base, &(VmLimits){ .fuel = 5000 });
    assert_int_equal(plan_start(run, plan), VM_FAILED);
    assert_text(error_text(run, ERROR_FIELD_CODE), "VM_FUEL_LIMIT");
    vm_free(run);
    image_free(plan);
    plan = plan_of_calls(base, PLAN_TOOL_GROW, 1, 900, NULL);
    run = run_of(base, &(VmLimits){ .memory_bytes = 1 << 17 });
    assert_int_equal(plan_start(run, plan), VM_FAILED);
    assert_text(error_text(run, ERROR_FIELD_CODE), "VM_MEMORY_LIMIT");
    vm_free(run);
    image_free(plan);
    image_free(base);
}

static void an_overrun_undoes_what_was_done(void **state)
{
    (void)state;
    static const struct { int last, n; ImagePlan bound; const char *code; } cases[] = {
        { PLAN_TOOL_ADD, 90000, { .fuel = 1000, .memory_bytes = 1 << 20, .calls = 9, .calls_per_tool = 9, .tokens = 1000, .micro_usd = 100000 }, "PLAN_FUEL_MAX" },
        { PLAN_TOOL_GROW, 500, { .fuel = 100000, .memory_bytes = 1 << 17, .calls = 9, .calls_per_tool = 9, .tokens = 1000, .micro_usd = 100000 }, "PLAN_MEMORY_MAX" },
        { PLAN_TOOL_ADD, 1, { .fuel = 100000, .memory_bytes = 1 << 20, .calls = 2, .calls_per_tool = 9, .tokens = 1000, .micro_usd = 100000 }, "PLAN_CALLS_MAX" },
        { PLAN_TOOL_ASK, 1, { .fuel = 100000, .memory_bytes = 1 << 20, .calls = 9, .calls_per_tool = 2, .tokens = 1000, .micro_usd = 100000 }, "PLAN_TOOL_CALLS_MAX" },
        { PLAN_TOOL_ADD, 1, { .fuel = 100000, .memory_bytes = 1 << 20, .calls = 9, .calls_per_tool = 9, .tokens = 99, .micro_usd = 100000 }, "PLAN_TOKENS_MAX" },
        { PLAN_TOOL_ADD, 1, { .fuel = 100000, .memory_bytes = 1 << 20, .calls = 9, .calls_per_tool = 9, .tokens = 1000, .micro_usd = 9999 }, "PLAN_MONEY_MAX" },
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        Image *base = plan_base(PLAN_IN_SAGA), *plan = plan_of_saga(base, 2, cases[k].last, cases[k].n, &cases[k].bound);
        VmRun *run = run_of(base, NULL);
        Buf calls = { 0 };
        plan_start(run, plan);
        vm_resume(run, waiting_for(run, EFFECT_REMOTE_CALL), int_value(0));      /* ask(1) */
        assert_int_equal(answer_all(run, 0, &calls), VM_FAILED);
        assert_text(error_text(run, ERROR_FIELD_CODE), cases[k].code);
        assert_string_equal(buf_cstr(&calls), "2 102 101 900");                  /* what the plan did, then what its caller did */
        Record *error = (Record *)vm_error(run).o;
        assert_int_equal(list_count(error->fields[ERROR_FIELD_UNDONE]), 3);
        assert_int_equal(list_count(error->fields[ERROR_FIELD_NOT_UNDONE]), 0);
        buf_free(&calls);
        vm_free(run);
        image_free(plan);
        image_free(base);
    }
}

static void a_saga_that_succeeds_is_undone_with_its_callers(void **state)
{
    (void)state;
    Image *base = plan_base(PLAN_IN_SAGA | PLAN_ASKS_AFTER), *plan = plan_of_saga(base, 2, PLAN_TOOL_FREE, 1, NULL);
    VmRun *run = run_of(base, NULL);
    Buf calls = { 0 };
    plan_start(run, plan);
    vm_resume(run, waiting_for(run, EFFECT_REMOTE_CALL), int_value(0));
    assert_int_equal(answer_all(run, 77, &calls), VM_FAILED);
    assert_string_equal(buf_cstr(&calls), "2 77 102 101 900");
    assert_text(error_text(run, ERROR_FIELD_MESSAGE), "no");
    buf_free(&calls);
    vm_free(run);
    image_free(plan);
    image_free(base);
}

/* The caller's saga is not the plan's to run, close or report to. */
static void a_plan_cannot_touch_the_saga_of_its_caller(void **state)
{
    (void)state;
    Image *base = plan_base(PLAN_IN_SAGA | PLAN_ASKS_AFTER);
    Asm *m = plan_asm(base);
    uint16_t step = asm_text(m, TEXT, "forged"), more = asm_reg(m, BOOL), s = asm_reg(m, TEXT);
    EMIT(m, COMP_NEXT, more, 0, 0);
    EMIT(m, LOADREF, s, step, 0);
    EMIT(m, COMP_REPORT, s, more, 0);
    EMIT(m, SAGA_COMMIT, 0, 0, 0);
    plan_returns(m, more);
    Image *plan = plan_done(m);
    VmRun *run = run_of(base, NULL);
    assert_int_equal(plan_start(run, plan), VM_BLOCKED);
    vm_raise(run, waiting_for(run, EFFECT_REMOTE_CALL), error_value(run, ERROR_KIND_rejected, "no"));
    Buf calls = { 0 };
    assert_int_equal(answer_all(run, 0, &calls), VM_FAILED);
    assert_string_equal(buf_cstr(&calls), "900");
    Record *error = (Record *)vm_error(run).o;
    assert_int_equal(list_count(error->fields[ERROR_FIELD_UNDONE]), 1);
    assert_int_equal(list_count(error->fields[ERROR_FIELD_NOT_UNDONE]), 0);
    buf_free(&calls);
    vm_free(run);
    image_free(plan);
    image_free(base);
}

/* A program of its caller may catch what the plan failed with, and goes on with its own fuel. */
static void the_caller_catches_an_overrun(void **state)
{
    (void)state;
    Image *base = plan_base(PLAN_CATCHES);
    ImagePlan bound = bound_with(1000, 0, 0, 0, 0, 0);
    Image *plan = plan_of_calls(base, PLAN_TOOL_ADD, 1, 5000, &bound);
    VmRun *run = run_of(base, NULL);
    assert_int_equal(plan_start(run, plan), VM_DONE);
    assert_json(run, "\"PLAN_FUEL_MAX\"");
    vm_free(run);
    image_free(plan);
    image_free(base);
}

/* Its handlers would go on for ever. */
static void an_overrun_is_not_caught_by_the_plan(void **state)
{
    (void)state;
    static const struct { int tool; ImagePlan bound; const char *json; } cases[] = {
        { PLAN_TOOL_FREE, { .fuel = 10000000, .memory_bytes = 1 << 20, .calls = 0, .calls_per_tool = 9 }, "\"PLAN_CALLS_MAX\"" },
        { PLAN_TOOL_ADD, { .fuel = 10000000, .memory_bytes = 1 << 20, .calls = 9, .calls_per_tool = 9, .tokens = 10 }, "\"PLAN_TOKENS_MAX\"" },
        { PLAN_TOOL_FREE, { .fuel = 100, .memory_bytes = 1 << 20, .calls = 0, .calls_per_tool = 9 }, "\"PLAN_CALLS_MAX\"" },
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        Image *base = plan_base(PLAN_CATCHES), *plan = plan_of_retries(base, cases[k].tool, &cases[k].bound);
        VmRun *run = run_of(base, NULL);
        assert_int_equal(plan_start(run, plan), VM_DONE);
        assert_json(run, cases[k].json);
        assert_true(vm_fuel_used(run) < 100);            /* no handler of the plan took it */
        vm_free(run);
        image_free(plan);
        image_free(base);
    }
}

/* A retry whose tool always fails asks as often as its calls allow, and no more. */
static void retries_are_bounded_by_calls(void **state)
{
    (void)state;
    Image *base = plan_base(PLAN_CATCHES), *plan = plan_of_retries(base, PLAN_TOOL_ASK, NULL);
    VmRun *run = run_of(base, NULL);
    plan_start(run, plan);
    int asked_times = 0;
    for (uint64_t id; run_all(run) == VM_BLOCKED && (id = waiting_for(run, EFFECT_REMOTE_CALL)); asked_times++)
        vm_raise(run, id, error_value(run, ERROR_KIND_unavailable, "not now"));
    assert_json(run, "\"PLAN_TOOL_CALLS_MAX\"");
    assert_int_equal(asked_times, plan_bound.calls_per_tool);
    vm_free(run);
    image_free(plan);
    image_free(base);
}

static void branches_of_a_plan_are_metered(void **state)
{
    (void)state;
    Image *base = plan_base(PLAN_CATCHES), *plan = plan_of_branches(base, 4);
    VmRun *run = run_of(base, NULL);
    Buf calls = { 0 };
    assert_int_equal(plan_start(run, plan), VM_BLOCKED);
    assert_int_equal(run->meter.calls, 4);
    assert_int_equal(run->meter.tool_calls[PLAN_TOOL_ASK], 4);
    assert_int_equal(answer_all(run, 0, &calls), VM_DONE);
    assert_string_equal(buf_cstr(&calls), "1 2 3 4");
    buf_free(&calls);
    vm_free(run);
    image_free(plan);
    plan = plan_of_branches(base, 12);                   /* more than calls_per_tool */
    run = run_of(base, NULL);
    plan_start(run, plan);
    assert_int_equal(answer_all(run, 0, &calls), VM_DONE);
    assert_json(run, "\"PLAN_TOOL_CALLS_MAX\"");
    buf_free(&calls);
    vm_free(run);
    image_free(plan);
    image_free(base);
}

static void tokens_that_a_model_used_are_charged(void **state)
{
    (void)state;
    Image *base = plan_base(PLAN_CATCHES), *plan = plan_of_calls(base, PLAN_TOOL_ASK, 2, 1, NULL);
    VmRun *run = run_of(base, NULL);
    assert_int_equal(plan_start(run, plan), VM_BLOCKED);
    assert_true(vm_meter_tokens(run, plan_bound.tokens));
    assert_false(vm_meter_tokens(run, 1));
    assert_false(vm_meter_tokens(run, UINT64_MAX));      /* and does not wrap */
    run = swap(run, 1);
    assert_int_equal(run->meter.tokens_used, PLAN_AMOUNT_MAX);
    assert_false(vm_meter_tokens(run, 0));
    vm_resume(run, waiting_for(run, EFFECT_REMOTE_CALL), int_value(1));
    assert_int_equal(run_all(run), VM_DONE);
    assert_json(run, "\"PLAN_TOKENS_MAX\"");
    vm_free(run);
    image_free(plan);
    image_free(base);
}

/* A tool that asks a model again and again is stopped before it asks once more. */
static void a_model_is_not_asked_without_tokens(void **state)
{
    (void)state;
    Image *base = plan_base(PLAN_CATCHES), *plan = plan_of_calls(base, PLAN_TOOL_THINK, 1, 5, NULL);
    VmRun *run = run_of(base, NULL);
    int times = 0;
    plan_start(run, plan);
    for (uint64_t id; run_all(run) == VM_BLOCKED && (id = waiting_for(run, EFFECT_LLM_COMPLETE)); times++) {
        vm_meter_tokens(run, plan_bound.tokens / 2 + 1);
        vm_resume(run, id, text_value("more"));
    }
    assert_int_equal(times, 2);
    assert_json(run, "\"PLAN_TOKENS_MAX\"");
    vm_free(run);
    image_free(plan);
    image_free(base);
}

/* ---- one at a time, and not too many ---- */

/* A base whose tool add runs a plan itself. */
static Image *base_whose_tool_loads(void)
{
    Asm *m = asm_new();
    uint16_t near = IMAGE_ADD(m->image, agent);
    m->image->agents[near] = (ImageAgent){ .name = STR("near"), .title = STR("Near") };
    uint16_t ints = asm_type(m, KIND_LIST, INT);
    uint16_t load = asm_effect(m, EFFECT_PLAN_LOAD, "load", NO_INDEX, INT, 5, (uint16_t[]){ JSON, TYPE_INDEX_LIST_STRING, ints, BOOL, BOOL });
    uint16_t f = asm_func(m, "near.add", FUNC_TOOL, INT, 1, (uint16_t[]){ INT });
    uint16_t first = asm_reg(m, JSON), names = asm_reg(m, TYPE_INDEX_LIST_STRING), limits = asm_reg(m, ints);
    asm_reg(m, BOOL), asm_reg(m, BOOL);
    uint16_t number = asm_reg(m, INT), out = asm_reg(m, JSON);
    uint32_t go = EMIT(m, JGTI_INT, 0, 1, 0);
    EMIT(m, NEW_LIST, names, 0, 0);
    EMIT(m, NEW_LIST, limits, 0, 0);
    EMIT(m, EFFECT, number, load, first);
    asm_here(m, go);
    EMIT(m, MOVE, number, 0, 0);
    EMIT(m, CALL_PLAN, out, number, 0);
    EMIT(m, RETURN, number, 0, 0);
    plan_tool(m, "add", near, f);
    asm_func(m, "main", FUNC_FN, JSON, 0, NULL);
    first = asm_reg(m, JSON), names = asm_reg(m, TYPE_INDEX_LIST_STRING), limits = asm_reg(m, ints);
    asm_reg(m, BOOL), asm_reg(m, BOOL);
    number = asm_reg(m, INT), out = asm_reg(m, JSON);
    EMIT(m, NEW_LIST, names, 0, 0);
    EMIT(m, NEW_LIST, limits, 0, 0);
    EMIT(m, EFFECT, number, load, first);
    EMIT(m, CALL_PLAN, out, number, 0);
    EMIT(m, RETURN, out, 0, 0);
    return asm_done(m);
}

static void a_plan_inside_of_a_plan_is_refused(void **state)
{
    (void)state;
    for (int n = 1; n <= 2; n++) {                       /* 1: it loads one; 2: it calls function 2, which is the plan that runs */
        Image *base = base_whose_tool_loads();
        Asm *m = plan_asm(base);
        uint16_t r = asm_reg(m, INT);
        EMIT32(m, LOADI, r, n);
        EMIT(m, METER, 0, 0, 0);
        EMIT(m, CALL, r, 0, r);
        plan_returns(m, r);
        Image *plan = plan_done(m);
        assert_int_equal(plan->plans[0].func, 2);
        VmRun *run = vm_new(base, 1, NULL, &asm_info, NULL);
        assert_int_equal(plan_start(run, plan), VM_FAILED);
        assert_text(error_text(run, ERROR_FIELD_CODE), "PLAN_NESTED");
        vm_free(run);
        image_free(plan);
        image_free(base);
    }
}

static Image *base_that_loads_for_ever(void)
{
    Asm *m = asm_new();
    uint16_t ints = asm_type(m, KIND_LIST, INT);
    uint16_t load = asm_effect(m, EFFECT_PLAN_LOAD, "load", NO_INDEX, INT, 5, (uint16_t[]){ JSON, TYPE_INDEX_LIST_STRING, ints, BOOL, BOOL });
    asm_func(m, "main", FUNC_FN, JSON, 0, NULL);
    uint16_t first = asm_reg(m, JSON), names = asm_reg(m, TYPE_INDEX_LIST_STRING), limits = asm_reg(m, ints);
    asm_reg(m, BOOL), asm_reg(m, BOOL);
    uint16_t number = asm_reg(m, INT), out = asm_reg(m, JSON);
    EMIT(m, NEW_LIST, names, 0, 0);
    EMIT(m, NEW_LIST, limits, 0, 0);
    uint32_t head = EMIT(m, EFFECT, number, load, first);
    EMIT(m, CALL_PLAN, out, number, 0);
    EMIT32(m, LOOP, 0, head);
    return asm_done(m);
}

static Image *plan_of_nothing(Image *base)
{
    Asm *m = plan_asm(base);
    plan_returns(m, asm_reg(m, BOOL));
    return plan_done(m);
}

static void a_run_has_VM_PLANS_MAX_plans(void **state)
{
    (void)state;
    Image *base = base_that_loads_for_ever();
    VmRun *run = vm_new(base, 0, NULL, &asm_info, NULL);
    for (int k = 0; k < VM_PLANS_MAX; k++) {
        Image *plan = plan_of_nothing(vm_image(run));
        VmStatus status = plan_start(run, plan);
        assert_int_equal(status, k + 1 < VM_PLANS_MAX ? VM_BLOCKED : VM_FAILED);
        image_free(plan);
    }
    assert_text(error_text(run, ERROR_FIELD_CODE), "VM_PLANS_MAX");
    assert_int_equal(vm_extensions(run), VM_PLANS_MAX);
    Image *more = plan_of_nothing(vm_image(run));
    assert_false(vm_extend(run, more));
    image_free(more);
    vm_free(run);
    image_free(base);
}

/* ---- snapshots ---- */

static void what_the_meter_counted_survives_a_snapshot(void **state)
{
    (void)state;
    Image *base = plan_base(PLAN_CATCHES), *plan = plan_of_calls(base, PLAN_TOOL_ASK, 11, 1, NULL);
    VmRun *run = run_of(base, NULL);
    assert_int_equal(plan_start(run, plan), VM_BLOCKED);
    image_free(plan);
    for (uint32_t k = 1; k <= 10; k++) {
        run = swap(run, k);
        assert_int_equal(run->meter.calls, k);
        assert_int_equal(vm_extensions(run), 1);
        assert_true(vm_resume(run, waiting_for(run, EFFECT_REMOTE_CALL), int_value(1)));
        run_all(run);
    }
    assert_json(run, "\"PLAN_TOOL_CALLS_MAX\"");
    vm_free(run);
    image_free(base);
}

static void a_reserve_survives_a_snapshot(void **state)
{
    (void)state;
    Image *base = plan_base(0);
    ImagePlan bound = bound_with(1000, 0, 0, 0, 0, 0);
    Image *plan = plan_of_saga(base, 1, PLAN_TOOL_ADD, 5000, &bound);
    VmRun *run = run_of(base, NULL);
    plan_start(run, plan);
    vm_resume(run, waiting_for(run, EFFECT_REMOTE_CALL), int_value(0));
    assert_int_equal(run_all(run), VM_BLOCKED);          /* it undoes */
    run = swap(run, 1);
    assert_true(run->meter.fuel_reserve);
    vm_resume(run, waiting_for(run, EFFECT_REMOTE_CALL), int_value(0));
    assert_int_equal(run_all(run), VM_FAILED);
    assert_text(error_text(run, ERROR_FIELD_CODE), "PLAN_FUEL_MAX");
    run = swap(run, 2);
    vm_free(run);
    image_free(plan);
    image_free(base);
}

static VmRun *read_state(Image *root, Str state, Error *error)
{
    VmRun *run = run_new(root, &asm_info, NULL);
    HEAP_ENTER(run);
    Err err = state_decode(run, state, error);
    HEAP_LEAVE();
    if (!err) return run;
    assert_true(error->text[0] != '\0');
    vm_free(run);
    return NULL;
}

/* Every single changed byte is refused or is a state that runs on within its limits. */
static void hostile_states_are_refused_or_harmless(void **state)
{
    (void)state;
    Image *base = plan_base(PLAN_IN_SAGA | PLAN_CATCHES), *plan = plan_of_saga(base, 2, PLAN_TOOL_ADD, 50, NULL);
    VmRun *run = run_of(base, NULL);
    Buf bytes = { 0 }, calls = { 0 };
    plan_start(run, plan);
    state_encode(run, &bytes);
    int refused = 0, taken = 0;
    for (size_t at = 0; at < bytes.len; at++)
        for (int bit = 0; bit < 8; bit += 3) {
            Error error = { 0 };
            bytes.ptr[at] ^= (char)(1 << bit);
            VmRun *other = read_state(base, buf_str(&bytes), &error);
            bytes.ptr[at] ^= (char)(1 << bit);
            if (!other) {
                refused++;
                continue;
            }
            taken++;
            buf_clear(&calls);
            for (int step = 0; step < 20 && run_all(other) == VM_BLOCKED; step++) {
                uint64_t id = waiting_for(other, EFFECT_REMOTE_CALL);
                if (!id) break;
                vm_resume(other, id, int_value(step));
            }
            vm_free(other);
        }
    assert_true(refused > (int)bytes.len);
    assert_true(taken > 0);
    buf_free(&bytes);
    buf_free(&calls);
    vm_free(run);
    image_free(plan);
    image_free(base);
}

static void a_meter_that_lies_is_refused(void **state)
{
    (void)state;
    static const struct { const char *why; uint16_t plan; uint32_t fiber, frame, calls; uint64_t fuel; } cases[] = {
        { "a plan without a meter", NO_INDEX, 1, 1, 1, 0 },
        { "a plan that cannot be", 1, 1, 1, 1, 0 },
        { "a meter without its plan", 0, 2, 1, 1, 0 },
        { "a meter without its plan", 0, 1, 0, 1, 0 },
        { "a meter without its plan", 0, 1, 2, 1, 0 },
        { "a meter that cannot be", 0, 1, 1, 2, 0 },
        { "a meter that cannot be", 0, 1, 1, 1, 1000000 },
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        Image *base = plan_base(0), *plan = plan_of_calls(base, PLAN_TOOL_ASK, 1, 1, NULL);
        VmRun *run = run_of(base, NULL);
        Buf bytes = { 0 };
        Error error = { 0 };
        plan_start(run, plan);
        assert_int_equal(run->meter.frame, 1);
        assert_int_equal(run->meter.fiber, 1);
        Meter meter = run->meter;
        run->meter.plan = cases[k].plan;
        run->meter.fiber = cases[k].fiber;
        run->meter.frame = cases[k].frame;
        run->meter.calls = cases[k].calls;
        if (cases[k].fuel) run->meter.fuel_used = cases[k].fuel;
        state_encode(run, &bytes);
        run->meter = meter;
        assert_null(read_state(base, buf_str(&bytes), &error));
        if (!strstr(error.text, cases[k].why)) fail_msg("case %zu: %s", k, error.text);
        buf_free(&bytes);
        vm_free(run);
        image_free(plan);
        image_free(base);
    }
}

static void an_extension_of_another_image_is_refused_in_a_state(void **state)
{
    (void)state;
    Image *base = plan_base(0), *other = plan_base(PLAN_CATCHES), *plan = plan_of_calls(base, PLAN_TOOL_ASK, 1, 1, NULL);
    VmRun *run = run_of(base, NULL);
    Buf bytes = { 0 };
    Error error = { 0 };
    plan_start(run, plan);
    state_encode(run, &bytes);
    assert_null(read_state(other, buf_str(&bytes), &error));
    assert_non_null(strstr(error.text, "it extends another image"));
    buf_free(&bytes);
    vm_free(run);
    image_free(plan);
    image_free(other);
    image_free(base);
}

/* ---- determinism ---- */

static void put_requests(VmRun *run, Buf *out)
{
    VmRequest r;
    while (vm_next_request(run, &r)) {
        buf_printf(out, "%llu f%u %.*s note%d %u:%u (", (unsigned long long)r.id, r.fiber, STR_ARG(r.effect->name), r.is_note, r.func, r.pc);
        for (int k = 0; k < r.arg_count; k++) value_to_json(vm_image(run), r.effect->kind == EFFECT_NOTE_SPAN_END && r.span_failed ? ERR : r.effect->params[k], r.args[k], out);
        buf_put_text(out, ")\n");
    }
}

/* Two runs, each with a plan of its own making, see the same deliveries: the same is asked and noted, and every snapshot has the same bytes. */
static void two_runs_of_one_plan_are_the_same(void **state)
{
    (void)state;
    Buf said[2] = { { 0 } };
    for (int k = 0; k < 2; k++) {
        Image *base = plan_base(PLAN_TWICE | PLAN_IN_SAGA), *first = plan_of_branches(base, 5), *second = plan_of_saga(first, 3, PLAN_TOOL_GROW, 500, NULL);
        VmRun *run = run_of(base, NULL);
        for (int step = 0; step < 40; step++) {
            VmStatus status = run_all(run);
            put_requests(run, &said[k]);
            snapshot_encode(run, (uint64_t)step, &key, &said[k]);
            if (status != VM_BLOCKED) break;
            uint64_t load = waiting_for(run, EFFECT_PLAN_LOAD);
            Image *plan = vm_extensions(run) ? second : first;
            if (load) assert_true(vm_extend(run, plan));
            if (load) vm_resume(run, load, int_value(plan->plans[plan->plan_count - 1].func));
            else vm_resume(run, waiting_for(run, EFFECT_REMOTE_CALL), int_value(step));
        }
        assert_int_equal(vm_extensions(run), 2);
        assert_int_not_equal(vm_run(run), VM_BLOCKED);
        vm_free(run);
        image_free(second);
        image_free(first);
        image_free(base);
    }
    assert_true(said[0].len > 1000);
    assert_true(str_eq(buf_str(&said[0]), buf_str(&said[1])));
    buf_free(&said[0]);
    buf_free(&said[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_is_called_by_its_number), cmocka_unit_test(plans_extend_one_another), cmocka_unit_test(a_number_that_is_no_plan_is_refused),
        cmocka_unit_test(each_limit_has_its_name), cmocka_unit_test(straight_code_is_bounded_too), cmocka_unit_test(the_meter_begins_and_ends_with_the_plan), cmocka_unit_test(the_runs_own_limits_stay),
        cmocka_unit_test(a_value_beyond_the_limit_is_not_made), cmocka_unit_test(an_overrun_undoes_what_was_done), cmocka_unit_test(a_saga_that_succeeds_is_undone_with_its_callers), cmocka_unit_test(a_plan_cannot_touch_the_saga_of_its_caller),
        cmocka_unit_test(the_caller_catches_an_overrun), cmocka_unit_test(an_overrun_is_not_caught_by_the_plan), cmocka_unit_test(retries_are_bounded_by_calls),
        cmocka_unit_test(branches_of_a_plan_are_metered), cmocka_unit_test(tokens_that_a_model_used_are_charged), cmocka_unit_test(a_model_is_not_asked_without_tokens), cmocka_unit_test(a_plan_inside_of_a_plan_is_refused),
        cmocka_unit_test(a_run_has_VM_PLANS_MAX_plans), cmocka_unit_test(what_the_meter_counted_survives_a_snapshot), cmocka_unit_test(a_reserve_survives_a_snapshot),
        cmocka_unit_test(hostile_states_are_refused_or_harmless), cmocka_unit_test(a_meter_that_lies_is_refused), cmocka_unit_test(an_extension_of_another_image_is_refused_in_a_state),
        cmocka_unit_test(two_runs_of_one_plan_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
