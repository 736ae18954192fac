/* test_snapshot.c - a run that is written down and read back at every pause is the run that was not; bytes that lie are refused. */
#include "interpreter/vm/snapshot.h"
#include "interpreter/vm/snapshot_internal.h"
#include "tests/unit/plan_asm.h"

static const SnapshotKey key = { .id = 7, .bytes = "0123456789abcdef0123456789abcde" };

/* ---- programs besides those of vm_run.h ---- */

/* main asks at the bottom of 40 calls, each of which holds a text. */
static Asm *deep(void)
{
    Asm *m = asm_new();
    uint16_t ask = remote(m), c = asm_text(m, TEXT, "held");
    uint16_t f = asm_func(m, "down", FUNC_FN, INT, 1, (uint16_t[]){ INT });
    uint16_t n = asm_reg(m, INT), s = asm_reg(m, TEXT);
    EMIT(m, LOADREF, s, c, 0);
    uint32_t jump = EMIT(m, JGTI_INT, 0, 0, 0);
    EMIT(m, EFFECT, n, ask, 0);
    EMIT(m, RETURN, n, 0, 0);
    asm_here(m, jump);
    EMIT(m, CONCAT, s, s, s);
    EMIT(m, ADDI_INT, n, 0, (uint16_t)-1);
    EMIT(m, CALL, n, f, n);
    EMIT(m, BUILTIN, n, BUILTIN_STR_LENGTH, s);
    EMIT(m, RETURN, n, 0, 0);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    n = asm_reg(m, INT);
    EMIT32(m, LOADI, n, 40);
    EMIT(m, CALL, n, f, n);
    EMIT(m, RETURN, n, 0, 0);
    return m;
}

static const char everything_json[] =
    "{\"b\":true,\"i\":-5,\"f\":0.1,\"d\":1.50,\"big\":123456789012345678901234567890.123,\"s\":\"text \xC3\xA9\",\"date\":\"2025-11-10\",\"time\":\"2025-11-10T10:00:00Z\","
    "\"dur\":\"1h30m\",\"by\":\"AAEC\",\"j\":{\"a\":[1,2.5,null,true,\"x\",{}]},\"e\":\"GREEN\",\"oi\":9223372036854775807,\"of\":0.1,\"os\":\"\",\"on\":null,"
    "\"l\":[1,2,3],\"m\":{\"k\":[\"a\",\"b\"],\"z\":[]},\"od\":12.30}";

/* main asks for a record of every kind of field, keeps it twice in a list, shares its texts, asks again, and returns the list as json. */
static Asm *everything(void)
{
    Asm *m = asm_new();
    uint16_t color = asm_enum(m, "Color", 3, (const char *[]){ "RED", "GREEN", "BLUE" });
    uint16_t oi = asm_type(m, KIND_OPT, INT), of = asm_type(m, KIND_OPT, FLOAT), os = asm_type(m, KIND_OPT, TEXT), od = asm_type(m, KIND_OPT, DEC);
    uint16_t ints = asm_type(m, KIND_LIST, INT), map = asm_type(m, KIND_MAP, TYPE_INDEX_LIST_STRING);
    uint16_t all = asm_record(m, "All", 19, (const char *[]){ "b", "i", "f", "d", "big", "s", "date", "time", "dur", "by", "j", "e", "oi", "of", "os", "on", "l", "m", "od" },
        (uint16_t[]){ BOOL, INT, FLOAT, DEC, DEC, TEXT, TYPE_INDEX_DATE, TIME, TYPE_INDEX_DURATION, TYPE_INDEX_BYTES, JSON, color, oi, of, os, os, ints, map, od });
    uint16_t list = asm_type(m, KIND_LIST, all), c = asm_text(m, TEXT, "constant");
    uint16_t extract = asm_effect(m, EFFECT_LLM_EXTRACT, "extract", NO_INDEX, all, 1, (uint16_t[]){ TEXT });
    asm_func(m, "main", FUNC_FN, TEXT, 0, NULL);
    uint16_t r = asm_reg(m, all), r2 = asm_reg(m, all), l = asm_reg(m, list), s = asm_reg(m, TEXT), j = asm_reg(m, JSON), o = asm_reg(m, oi), i = asm_reg(m, INT), who = asm_reg(m, TEXT);
    EMIT(m, LOADREF, s, c, 0);
    EMIT(m, INFO, who, 3, 0);
    EMIT(m, EFFECT, r, extract, s);
    EMIT(m, MOVE_REF, r2, r, 0);
    EMIT(m, NEW_LIST, l, r, 2);
    EMIT(m, SET_FIELD, r2, 5, s);
    EMIT(m, LIST_PUSH, l, r2, 0);
    EMIT(m, GET_FIELD, o, r2, 12);
    EMIT(m, EFFECT, r2, extract, who);
    EMIT(m, LIST_PUSH, l, r2, 0);
    EMIT(m, UNWRAP, i, o, 0);
    EMIT(m, BUILTIN, j, BUILTIN_JSON_OF, l);
    EMIT(m, TO_STR, s, j, 0);
    EMIT(m, RETURN, s, 0, 0);
    return m;
}

/* ---- driving ---- */

/* plan: what a PLAN_LOAD of the program loads. */
typedef struct Driver { Buf trace; uint64_t waiting[64]; uint32_t waiting_count; uint64_t seed; uint64_t steps; Image *(*plan)(Image *base); } Driver;

static uint64_t dice(Driver *d)
{
    d->seed = d->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return d->seed >> 33;
}

static uint16_t arg_type(const VmRequest *r, int k)
{
    return r->effect->kind == EFFECT_NOTE_SPAN_END && r->span_failed ? TYPE_INDEX_ERROR : r->effect->params[k];
}

/* Everything the engine could see of a request goes into the trace. */
static void fetch(Driver *d, VmRun *run)
{
    VmRequest r;
    while (vm_next_request(run, &r)) {
        buf_printf(&d->trace, "%llu f%u %.*s note%d fail%d script%d shield%d due%lld span%u<%u %u:%u (", (unsigned long long)r.id, r.fiber, STR_ARG(r.effect->name), r.is_note, r.span_failed,
                   r.scripted, r.shielded, (long long)r.deadline_us, r.span, r.parent_span, r.func, r.pc);
        for (int k = 0; k < r.arg_count; k++) value_to_json(vm_image(run), arg_type(&r, k), r.args[k], &d->trace);
        buf_put_text(&d->trace, ")\n");
        if (!r.is_note) d->waiting[d->waiting_count++ % 64] = r.id;
    }
}

typedef struct Find { uint64_t id; const ImageEffect *effect; } Find;
static bool find_effect(const VmRequest *r, void *arg)
{
    Find *find = arg;
    if (r->id != find->id) return true;
    find->effect = r->effect;
    return false;
}

/* One delivery, chosen by dice; false when nothing is awaited. */
static bool deliver(Driver *d, VmRun *run)
{
    uint32_t scope = 0;
    uint64_t choice = dice(d) % 10;
    Find find = { 0 };
    for (uint32_t tries = 0; tries < 64 && !find.effect; tries++) {
        find.id = d->waiting_count ? d->waiting[(dice(d) + tries) % (d->waiting_count < 64 ? d->waiting_count : 64)] : 0;
        vm_pending_each(run, find_effect, &find);
    }
    if (choice == 0 && vm_next_deadline(run, &scope) != INT64_MAX) return vm_expire(run, scope);
    if (choice == 1 && d->steps > 2) vm_cancel(run, STR("by dice"));
    if (!find.effect) return choice == 1;
    if (choice == 2 || choice == 3) return vm_raise(run, find.id, value_error(vm_image(run), (ErrorKind)(dice(d) % ERROR_KIND_COUNT), STR("dice say no")));
    Value v = { .i = (int64_t)(dice(d) % 1000) };
    if (find.effect->kind == EFFECT_PLAN_LOAD) {
        Image *plan = d->plan(vm_image(run));
        assert_true(vm_extend(run, plan));
        v.i = plan->plans[plan->plan_count - 1].func;
        image_free(plan);
    }
    if (vm_image(run)->types[find.effect->result].kind == KIND_RECORD) {
        Arena *arena = arena_new();
        Json *json;
        Error error = { 0 };
        assert_int_equal(json_parse(arena, str_of(everything_json), 1 << 16, &json, &error), ERR_OK);
        if (value_from_json(vm_image(run), find.effect->result, json, &v, &error)) fail_msg("%s", error.text);
        arena_free(arena);
    }
    return vm_resume(run, find.id, v);
}

static VmRun *swap(VmRun *run, uint64_t seq, const VmLimits *limits)
{
    Buf first = { 0 }, second = { 0 };
    VmRun *again = NULL;
    Error error = { 0 };
    snapshot_encode(run, seq, &key, &first);
    if (snapshot_decode(run->root, buf_str(&first), &asm_info, seq, &key, limits, &again, &error)) fail_msg("%s", error.text);
    snapshot_encode(again, seq, &key, &second);
    if (!str_eq(buf_str(&first), buf_str(&second))) fail_msg("read back, it is written differently (%zu and %zu bytes)", first.len, second.len);
    assert_int_equal(vm_heap(run)->live_bytes, vm_heap(again)->live_bytes);
    assert_int_equal(vm_fuel_used(run), vm_fuel_used(again));
    buf_free(&first);
    buf_free(&second);
    vm_free(run);
    return again;
}

/* The whole story of a run under `seed`; with `swaps` it is another run after every step, before and after the fetching. */
static void drive_plans(Image *image, Image *(*plan)(Image *), uint64_t seed, bool swaps, bool intercept, const VmLimits *limits, Buf *story)
{
    Driver d = { .seed = seed, .plan = plan };
    VmRun *run = vm_new(image, (uint16_t)(image->func_count - 1), NULL, &asm_info, limits);
    if (intercept) vm_intercept_tool(run, 0);
    if (swaps) run = swap(run, 1000, limits);
    for (d.steps = 0; d.steps < 200; d.steps++) {
        VmStatus status = vm_run(run);
        if (swaps) run = swap(run, d.steps, limits);
        fetch(&d, run);
        if (status == VM_DONE || status == VM_FAILED) break;
        if (swaps) run = swap(run, d.steps, limits);
        if (status == VM_BLOCKED) deliver(&d, run);
        if (swaps) run = swap(run, d.steps, limits);
    }
    uint16_t type = image->funcs[vm_func(run)].result;
    VmStatus status = vm_run(run);
    buf_printf(&d.trace, "ended %d after %llu: ", status, (unsigned long long)d.steps);
    if (status == VM_DONE) value_to_json(image, type, vm_result(run), &d.trace);
    else if (status == VM_FAILED) value_to_json(image, ERR, vm_error(run), &d.trace);
    buf_printf(&d.trace, " fuel %llu heap %zu peak %zu", (unsigned long long)vm_fuel_used(run), vm_heap(run)->live_bytes, vm_heap(run)->peak_bytes);
    vm_free(run);
    image_free(image);
    *story = d.trace;
}

static void drive(Asm *(*make)(void), uint64_t seed, bool swaps, bool intercept, const VmLimits *limits, Buf *story)
{
    drive_plans(asm_done(make()), NULL, seed, swaps, intercept, limits, story);
}

static void assert_same_story(Asm *(*make)(void), int seeds, bool intercept, const VmLimits *limits)
{
    for (int seed = 1; seed <= seeds; seed++) {
        Buf plain, swapped;
        drive(make, (uint64_t)seed * 7919, false, intercept, limits, &plain);
        drive(make, (uint64_t)seed * 7919, true, intercept, limits, &swapped);
        assert_string_equal(buf_cstr(&plain), buf_cstr(&swapped));
        buf_free(&plain);
        buf_free(&swapped);
    }
}

static Asm *all_critical(void) { return branches(4, CRITICAL); }
static Asm *all_soft(void) { return branches(4, SOFT); }
static Asm *all_plain(void) { return branches(4, 0); }
static Asm *limited(void) { return branches(5, CRITICAL | LIMIT); }
static Asm *race(void) { return branches(4, RACE); }
static Asm *saga(void) { return saga_of(3); }

static void every_fiber_shape_survives(void **state)
{
    assert_same_story(scoped, 40, false, NULL);
    assert_same_story(all_critical, 40, false, NULL);
    assert_same_story(all_soft, 40, false, NULL);
    assert_same_story(all_plain, 40, false, NULL);
    assert_same_story(limited, 40, false, NULL);
    assert_same_story(race, 40, false, NULL);
    assert_same_story(saga, 60, false, NULL);
    assert_same_story(saga_of_branches, 80, false, NULL);
    assert_same_story(left_block, 40, false, NULL);
    assert_same_story(deep, 5, false, NULL);
    assert_same_story(local_tool, 5, false, NULL);
    assert_same_story(local_tool, 10, true, NULL);
}

static Image *small_saga(Image *base) { return plan_of_saga(base, 2, PLAN_TOOL_ASK, 9, &(ImagePlan){ .fuel = 5000, .memory_bytes = 1 << 16, .calls = 3, .calls_per_tool = 3 }); }
static Image *tight_saga(Image *base) { return plan_of_saga(base, 2, PLAN_TOOL_FREE, 5000, &(ImagePlan){ .fuel = 1000, .memory_bytes = 1 << 16, .calls = 3, .calls_per_tool = 3 }); }
static Image *large_saga(Image *base) { return plan_of_saga(base, 2, PLAN_TOOL_GROW, 500, &(ImagePlan){ .fuel = 50000, .memory_bytes = 1 << 16, .calls = 3, .calls_per_tool = 3 }); }
static Image *four_branches(Image *base) { return plan_of_branches(base, 4); }
static Image *retries(Image *base) { return plan_of_retries(base, PLAN_TOOL_ASK, NULL); }

/* With the extensions and the meter of a plan, open and closed, overrun and not. */
static void plans_survive(void **state)
{
    static Image *(*const plans[])(Image *) = { small_saga, tight_saga, large_saga, four_branches, retries };
    static const int flags[] = { 0, PLAN_IN_SAGA | PLAN_ASKS_AFTER, PLAN_TWICE | PLAN_CATCHES };
    for (size_t p = 0; p < sizeof plans / sizeof *plans; p++)
        for (int seed = 0; seed < 18; seed++) {
            Buf plain, swapped;
            drive_plans(plan_base(flags[seed % 3]), plans[p], (uint64_t)seed * 7919, false, seed & 1, NULL, &plain);
            drive_plans(plan_base(flags[seed % 3]), plans[p], (uint64_t)seed * 7919, true, seed & 1, NULL, &swapped);
            assert_string_equal(buf_cstr(&plain), buf_cstr(&swapped));
            buf_free(&plain);
            buf_free(&swapped);
        }
}

static void every_kind_of_value_survives(void **state)
{
    assert_same_story(everything, 10, false, NULL);
    Buf story;
    drive(everything, 3, true, false, NULL, &story);
    assert_non_null(strstr(buf_cstr(&story), "123456789012345678901234567890.123"));
    buf_free(&story);
}

static void limits_strike_at_the_same_instruction(void **state)
{
    assert_same_story(everything, 3, false, &(VmLimits){ .memory_bytes = 9000 });
    assert_same_story(saga_of_branches, 10, false, &(VmLimits){ .fuel = 30 });
    assert_same_story(deep, 3, false, &(VmLimits){ .depth = 41 });
}

static Asm *long_loop(void)
{
    Asm *m = asm_new();
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t i = asm_reg(m, INT), n = asm_reg(m, INT);
    EMIT32(m, LOADI, i, 0);
    EMIT32(m, LOADI, n, 5000000);
    EMIT(m, FORLOOP, i, n, (uint16_t)-1);
    EMIT(m, RETURN, i, 0, 0);
    return m;
}

static void a_slice_is_a_pause_like_any_other(void **state) { assert_same_story(long_loop, 1, false, NULL); }

/* ---- lies ---- */

static VmRun *paused(Asm *(*make)(void), Buf *bytes)
{
    VmRun *run = start(make());
    VmRequest r;
    vm_run(run);
    while (vm_next_request(run, &r)) continue;
    snapshot_encode(run, 5, &key, bytes);
    return run;
}

static Err decode_as(VmRun *run, Str bytes, const VmInfo *info, uint64_t seq, const SnapshotKey *with)
{
    VmRun *out = NULL;
    Error error = { 0 };
    Err err = snapshot_decode(vm_image(run), bytes, info, seq, with, NULL, &out, &error);
    if (err) assert_true(error.text[0] != '\0');
    vm_free(out);
    return err;
}

static void the_seal_binds_run_tenant_sequence_module_and_key(void **state)
{
    Buf bytes = { 0 }, other_bytes = { 0 };
    VmRun *run = paused(saga, &bytes), *other = paused(race, &other_bytes);
    VmInfo other_run = asm_info, other_tenant = asm_info;
    SnapshotKey wrong = key, renamed = key;
    other_run.run_id = STR("run-2");
    other_tenant.tenant = STR("family2");
    wrong.bytes[3] ^= 1;
    renamed.id = 8;
    assert_int_equal(decode_as(run, buf_str(&bytes), &asm_info, 5, &key), ERR_OK);
    assert_int_equal(decode_as(run, buf_str(&bytes), &asm_info, 6, &key), ERR_CORRUPT);
    assert_int_equal(decode_as(run, buf_str(&bytes), &other_run, 5, &key), ERR_CORRUPT);
    assert_int_equal(decode_as(run, buf_str(&bytes), &other_tenant, 5, &key), ERR_CORRUPT);
    assert_int_equal(decode_as(run, buf_str(&bytes), &asm_info, 5, &wrong), ERR_CORRUPT);
    assert_int_equal(decode_as(run, buf_str(&bytes), &asm_info, 5, &renamed), ERR_CORRUPT);
    assert_int_equal(decode_as(other, buf_str(&bytes), &asm_info, 5, &key), ERR_CORRUPT);
    for (size_t k = 0; k < bytes.len; k++) {
        bytes.ptr[k] ^= 0x10;
        assert_true(decode_as(run, buf_str(&bytes), &asm_info, 5, &key) != ERR_OK);
        bytes.ptr[k] ^= 0x10;
        assert_true(decode_as(run, (Str){ bytes.ptr, k }, &asm_info, 5, &key) != ERR_OK);
    }
    buf_free(&bytes);
    buf_free(&other_bytes);
    vm_free(run);
    vm_free(other);
}

/* Inside the seal: any byte may be any other. What is accepted must run to an end without harm. */
static void state_with_a_wrong_byte_is_refused_or_harmless(void **state)
{
    Asm *(*const programs[])(void) = { everything, saga_of_branches, scoped, limited, deep, local_tool };
    uint32_t refused = 0, taken = 0;
    for (size_t p = 0; p < sizeof programs / sizeof *programs; p++) {
        Buf envelope = { 0 }, bytes = { 0 };
        VmRun *run = paused(programs[p], &envelope);
        Driver d = { .seed = p + 1 };
        state_encode(run, &bytes);
        for (size_t k = 0; k < bytes.len * 6; k++) {
            char kept = bytes.ptr[k / 6];
            bytes.ptr[k / 6] = k % 6 < 4 ? (char)(kept ^ 1 << (k % 6 * 2)) : (char)dice(&d);
            VmRun *other = run_new(vm_image(run), &asm_info, &(VmLimits){ .fuel = 100000 });
            HEAP_ENTER(other);
            Error error = { 0 };
            Err err = state_decode(other, buf_str(&bytes), &error);
            HEAP_LEAVE();
            bytes.ptr[k / 6] = kept;
            if (err) refused++;
            else {
                taken++;
                d.waiting_count = 0;
                for (int step = 0; step < 20; step++) {
                    VmStatus status = vm_run(other);
                    fetch(&d, other);
                    if (status == VM_DONE || status == VM_FAILED) break;
                    if (status == VM_BLOCKED) deliver(&d, other);
                }
                buf_clear(&d.trace);
            }
            vm_free(other);
        }
        buf_free(&d.trace);
        buf_free(&bytes);
        buf_free(&envelope);
        vm_free(run);
    }
    assert_true(refused > 1000 && taken > 100);
}

static void a_large_state_is_compressed(void **state)
{
    Buf bytes = { 0 }, plain = { 0 };
    VmRun *run = paused(deep, &bytes);
    state_encode(run, &plain);
    if (plain.len >= SNAPSHOT_COMPRESS_MIN) assert_true(bytes.len < plain.len);
    assert_int_equal(decode_as(run, buf_str(&bytes), &asm_info, 5, &key), ERR_OK);
    buf_free(&bytes);
    buf_free(&plain);
    vm_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fiber_shape_survives),
        cmocka_unit_test(plans_survive),
        cmocka_unit_test(every_kind_of_value_survives),
        cmocka_unit_test(limits_strike_at_the_same_instruction),
        cmocka_unit_test(a_slice_is_a_pause_like_any_other),
        cmocka_unit_test(the_seal_binds_run_tenant_sequence_module_and_key),
        cmocka_unit_test(state_with_a_wrong_byte_is_refused_or_harmless),
        cmocka_unit_test(a_large_state_is_compressed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
