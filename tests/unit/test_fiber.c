/* test_fiber.c - what programs ask, scopes, groups and sagas: the order of things, driven answer by answer. */
#include "tests/unit/vm_run.h"

/* ---- requests ---- */

static void an_effect_waits_for_its_answer(void **state)
{
    Asm *m = asm_new();
    uint16_t ask = remote(m);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t a = asm_reg(m, INT), b = asm_reg(m, INT);
    EMIT32(m, LOADI, b, 5);
    EMIT(m, EFFECT, a, ask, b);
    EMIT(m, ADD_INT, a, a, b);
    EMIT(m, RETURN, a, 0, 0);
    VmRun *run = start(m);
    uint64_t last = 0;
    ASSERT_ASKED(run, "far.ask(5)");
    assert_int_equal(last, 1);
    assert_false(vm_resume(run, 99, int_value(1)));
    assert_true(vm_resume(run, last, int_value(100)));
    assert_false(vm_resume(run, last, int_value(100)));
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 105);
    vm_free(run);
}

static void an_effect_can_raise(void **state)
{
    Asm *m = asm_new();
    uint16_t ask = remote(m);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t a = asm_reg(m, INT), e = asm_reg(m, ERR);
    EMIT32(m, LOADI, a, 5);
    EMIT(m, EFFECT, a, ask, a);
    EMIT(m, RETURN, a, 0, 0);
    asm_try(m, TRY_CATCH, 1, 2, asm_pc(m), e);
    EMIT32(m, LOADI, a, -1);
    EMIT(m, RETURN, a, 0, 0);
    VmRun *run = start(m);
    uint64_t last = 0;
    ASSERT_ASKED(run, "far.ask(5)");
    assert_true(vm_raise(run, last, error_value(run, ERROR_KIND_unavailable, "down")));
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, -1);
    vm_free(run);
}

static void a_tool_call_is_a_span(void **state)
{
    VmRun *run = start(local_tool());
    VmRequest r;
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 6);
    assert_true(vm_next_request(run, &r));
    assert_true(r.is_note);
    assert_int_equal(r.effect->kind, EFFECT_NOTE_SPAN_BEGIN);
    assert_int_equal(r.args[0].i, 5);
    assert_int_equal(r.span, 1);
    assert_int_equal(r.span_func, 0);
    assert_int_equal(r.func, 1);
    assert_true(vm_next_request(run, &r));
    assert_int_equal(r.effect->kind, EFFECT_NOTE_SPAN_END);
    assert_int_equal(r.args[0].i, 6);
    assert_false(r.span_failed);
    assert_false(vm_next_request(run, &r));
    vm_free(run);
}

static void an_intercepted_tool_becomes_a_request(void **state)
{
    for (int fails = 0; fails < 2; fails++) {
        VmRun *run = start(local_tool());
        uint64_t last = 0;
        vm_intercept_tool(run, 0);
        ASSERT_ASKED(run, "+near.add near.add(5)");
        if (fails) vm_raise(run, last, error_value(run, ERROR_KIND_rejected, "scripted"));
        else vm_resume(run, last, int_value(77));
        ASSERT_ASKED(run, fails ? "!near.add" : "-near.add");
        assert_int_equal(run_all(run), VM_DONE);
        assert_int_equal(vm_result(run).i, fails ? -1 : 77);
        vm_free(run);
    }
}

/* ---- scopes and cancellation ---- */

static void a_deadline_passes_finally_and_ends_at_its_scope(void **state)
{
    VmRun *run = start(scoped());
    uint64_t last = 0;
    uint32_t scope = 0;
    ASSERT_ASKED(run, "far.ask(1)");
    uint64_t first = last;
    assert_int_equal(vm_next_deadline(run, &scope), 1000);
    assert_true(vm_expire(run, scope));
    assert_false(vm_expire(run, scope));
    ASSERT_ASKED(run, "far.ask(2)");
    assert_false(vm_resume(run, first, int_value(1)));
    assert_int_equal(vm_next_deadline(run, &scope), INT64_MAX);
    vm_resume(run, last, int_value(3));
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, -7);
    vm_free(run);
}

static void a_request_knows_its_deadline(void **state)
{
    VmRun *run = start(scoped());
    VmRequest r;
    vm_run(run);
    assert_true(vm_next_request(run, &r));
    assert_int_equal(r.deadline_us, 1000);
    assert_false(r.shielded);
    vm_cancel(run, STR("stop"));
    vm_run(run);
    assert_true(vm_next_request(run, &r));
    assert_true(r.shielded);
    assert_int_equal(r.deadline_us, INT64_MAX);
    vm_free(run);
}

static void cancellation_is_seen_by_finally_only(void **state)
{
    VmRun *run = start(scoped());
    uint64_t last = 0;
    ASSERT_ASKED(run, "far.ask(1)");
    vm_cancel(run, STR("by user"));
    ASSERT_ASKED(run, "far.ask(2)");
    vm_resume(run, last, int_value(0));
    assert_fails(run, ERROR_KIND_cancelled, "by user");
}

static void a_shield_defers_an_interrupt(void **state)
{
    VmRun *run = start(scoped());
    uint64_t last = 0;
    uint32_t scope = 0;
    ASSERT_ASKED(run, "far.ask(1)");
    vm_raise(run, last, error_value(run, ERROR_KIND_denied, "no"));
    ASSERT_ASKED(run, "far.ask(2)");
    vm_next_deadline(run, &scope);
    assert_true(vm_expire(run, scope));
    ASSERT_ASKED(run, "");
    vm_resume(run, last, int_value(0));          /* unshielded: the deadline is raised instead of `denied` */
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, -7);
    vm_free(run);
}

/* ---- groups ---- */

static void branches_run_at_once_and_results_keep_their_place(void **state)
{
    VmRun *run = start(branches(3, CRITICAL));
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2) far.ask(3)");
    vm_resume(run, last, int_value(300));
    vm_run(run);
    vm_resume(run, last - 2, int_value(1));
    vm_run(run);
    vm_resume(run, last - 1, int_value(20));
    ASSERT_ASKED(run, "~parallel");
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 321);
    vm_free(run);
}

static void a_limit_starts_the_next_when_one_ends(void **state)
{
    VmRun *run = start(branches(3, CRITICAL | LIMIT));
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2)");
    vm_resume(run, last, int_value(2));
    ASSERT_ASKED(run, "far.ask(3)");
    vm_resume(run, last, int_value(3));
    vm_run(run);
    vm_resume(run, last - 2, int_value(1));
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 6);
    vm_free(run);
}

static void a_critical_failure_cancels_the_rest(void **state)
{
    VmRun *run = start(branches(3, CRITICAL));
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2) far.ask(3)");
    vm_raise(run, last - 1, error_value(run, ERROR_KIND_not_found, "gone"));
    vm_run(run);
    assert_false(vm_resume(run, last, int_value(1)));
    assert_fails(run, ERROR_KIND_not_found, "gone");
}

static void a_failure_that_is_not_critical_is_null(void **state)
{
    VmRun *run = start(branches(2, 0));
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2)");
    vm_raise(run, last, error_value(run, ERROR_KIND_not_found, "gone"));
    vm_run(run);
    vm_resume(run, last - 1, int_value(7));
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 1007);
    vm_free(run);
}

static void the_first_of_a_race_wins(void **state)
{
    VmRun *run = start(branches(3, RACE));
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2) far.ask(3)");
    vm_raise(run, last - 2, error_value(run, ERROR_KIND_timeout, "slow"));
    vm_run(run);
    vm_resume(run, last - 1, int_value(22));
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 22);
    assert_false(vm_resume(run, last, int_value(1)));
    vm_free(run);
}

static void a_race_that_all_lose_raises_the_last_error(void **state)
{
    VmRun *run = start(branches(2, RACE));
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2)");
    vm_raise(run, last, error_value(run, ERROR_KIND_timeout, "first to fail"));
    vm_run(run);
    vm_raise(run, last - 1, error_value(run, ERROR_KIND_denied, "last to fail"));
    assert_fails(run, ERROR_KIND_denied, "last to fail");
}

static void a_soft_deadline_keeps_what_is_there(void **state)
{
    VmRun *run = start(branches(2, SOFT));
    uint64_t last = 0;
    uint32_t scope = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2)");
    vm_resume(run, last, int_value(5));
    vm_run(run);
    assert_int_equal(vm_next_deadline(run, &scope), 500);
    vm_expire(run, scope);
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 1005);
    vm_free(run);
}

static void a_hard_deadline_cancels_and_is_raised(void **state)
{
    VmRun *run = start(branches(2, 0));
    uint64_t last = 0;
    uint32_t scope = 0;
    VmRequest r = { 0 };
    vm_run(run);
    while (vm_next_request(run, &r) && r.is_note) continue;
    assert_int_equal(r.deadline_us, 500);        /* of the fiber that waits for this one */
    last = r.id;
    vm_next_deadline(run, &scope);
    vm_expire(run, scope);
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, -5);
    assert_false(vm_resume(run, last, int_value(1)));
    vm_free(run);
}

static void a_cancelled_run_ends_its_branches_first(void **state)
{
    VmRun *run = start(branches(3, CRITICAL));
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2) far.ask(3)");
    vm_cancel(run, STR("enough"));
    assert_fails(run, ERROR_KIND_cancelled, "enough");
}

static void fibers_are_limited(void **state)
{
    assert_limit(start_with(asm_done(branches(6, CRITICAL)), &(VmLimits){ .fibers = 4 }), "VM_FIBERS_LIMIT");
}

/* ---- sagas ---- */

static void a_saga_that_succeeds_undoes_nothing(void **state)
{
    VmRun *run = start(saga_of(2));
    uint64_t last = 0;
    ASSERT_ASKED(run, "far.ask(1)");
    vm_resume(run, last, int_value(0));
    ASSERT_ASKED(run, "far.ask(2)");
    vm_resume(run, last, int_value(0));
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 9);
    vm_free(run);
}

static void a_saga_that_fails_undoes_backwards_and_says_so(void **state)
{
    VmRun *run = start(saga_of(3));
    uint64_t last = 0;
    ASSERT_ASKED(run, "far.ask(1)");
    vm_resume(run, last, int_value(0));
    ASSERT_ASKED(run, "far.ask(2)");
    vm_resume(run, last, int_value(0));
    ASSERT_ASKED(run, "far.ask(3)");
    vm_raise(run, last, error_value(run, ERROR_KIND_rejected, "full"));
    ASSERT_ASKED(run, "far.ask(102)");
    vm_raise(run, last, error_value(run, ERROR_KIND_unavailable, "cannot undo"));
    ASSERT_ASKED(run, "far.ask(101)");
    vm_resume(run, last, int_value(0));
    assert_int_equal(run_all(run), VM_FAILED);
    assert_text(error_text(run, ERROR_FIELD_MESSAGE), "full");
    Buf json = { 0 };
    value_to_json(vm_image(run), TYPE_INDEX_LIST_STRING, ((Record *)vm_error(run).o)->fields[ERROR_FIELD_UNDONE], &json);
    value_to_json(vm_image(run), TYPE_INDEX_LIST_STRING, ((Record *)vm_error(run).o)->fields[ERROR_FIELD_NOT_UNDONE], &json);
    assert_string_equal(buf_cstr(&json), "[\"undo\"][\"undo\"]");
    buf_free(&json);
    vm_free(run);
}

static void a_cancelled_saga_is_undone_too(void **state)
{
    VmRun *run = start(saga_of(2));
    uint64_t last = 0;
    ASSERT_ASKED(run, "far.ask(1)");
    vm_resume(run, last, int_value(0));
    ASSERT_ASKED(run, "far.ask(2)");
    vm_cancel(run, STR("stop"));
    ASSERT_ASKED(run, "far.ask(101)");
    vm_cancel(run, STR("again"));
    ASSERT_ASKED(run, "");
    vm_resume(run, last, int_value(0));
    assert_fails(run, ERROR_KIND_cancelled, "stop");
}

static void steps_of_branches_are_undone_in_the_order_they_were_done(void **state)
{
    VmRun *run = start(saga_of_branches());
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2) far.ask(3)");
    uint64_t one = last - 2;
    vm_resume(run, one + 1, int_value(0));
    vm_run(run);
    vm_resume(run, one + 2, int_value(0));
    vm_run(run);
    vm_resume(run, one, int_value(0));
    ASSERT_ASKED(run, "~parallel far.ask(9)");
    vm_raise(run, last, error_value(run, ERROR_KIND_conflict, "x"));
    ASSERT_ASKED(run, "far.ask(101)");
    vm_resume(run, last, int_value(0));
    ASSERT_ASKED(run, "far.ask(103)");
    vm_resume(run, last, int_value(0));
    ASSERT_ASKED(run, "far.ask(102)");
    vm_resume(run, last, int_value(0));
    assert_fails(run, ERROR_KIND_conflict, "x");
}

static void a_failed_branch_leaves_the_others_steps_to_the_saga(void **state)
{
    VmRun *run = start(saga_of_branches());
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2) far.ask(3)");
    vm_resume(run, last - 2, int_value(0));
    vm_run(run);
    vm_raise(run, last, error_value(run, ERROR_KIND_rejected, "full"));
    ASSERT_ASKED(run, "~parallel far.ask(101)");
    vm_resume(run, last, int_value(0));
    assert_fails(run, ERROR_KIND_rejected, "full");
}

static void a_block_that_is_left_ends_its_branches_before_the_handler(void **state)
{
    VmRun *run = start(left_block());
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(2) far.ask(1)");
    vm_raise(run, last - 1, error_value(run, ERROR_KIND_invalid, "broken"));
    ASSERT_ASKED(run, "far.ask(50)");            /* the branch cleans up, main still waits */
    vm_resume(run, last, int_value(0));
    ASSERT_ASKED(run, "~parallel far.ask(3)");
    vm_resume(run, last, int_value(33));
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 33);
    vm_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_effect_waits_for_its_answer),
        cmocka_unit_test(an_effect_can_raise),
        cmocka_unit_test(a_tool_call_is_a_span),
        cmocka_unit_test(an_intercepted_tool_becomes_a_request),
        cmocka_unit_test(a_deadline_passes_finally_and_ends_at_its_scope),
        cmocka_unit_test(a_request_knows_its_deadline),
        cmocka_unit_test(cancellation_is_seen_by_finally_only),
        cmocka_unit_test(a_shield_defers_an_interrupt),
        cmocka_unit_test(branches_run_at_once_and_results_keep_their_place),
        cmocka_unit_test(a_limit_starts_the_next_when_one_ends),
        cmocka_unit_test(a_critical_failure_cancels_the_rest),
        cmocka_unit_test(a_failure_that_is_not_critical_is_null),
        cmocka_unit_test(the_first_of_a_race_wins),
        cmocka_unit_test(a_race_that_all_lose_raises_the_last_error),
        cmocka_unit_test(a_soft_deadline_keeps_what_is_there),
        cmocka_unit_test(a_hard_deadline_cancels_and_is_raised),
        cmocka_unit_test(a_cancelled_run_ends_its_branches_first),
        cmocka_unit_test(fibers_are_limited),
        cmocka_unit_test(a_saga_that_succeeds_undoes_nothing),
        cmocka_unit_test(a_saga_that_fails_undoes_backwards_and_says_so),
        cmocka_unit_test(a_cancelled_saga_is_undone_too),
        cmocka_unit_test(steps_of_branches_are_undone_in_the_order_they_were_done),
        cmocka_unit_test(a_failed_branch_leaves_the_others_steps_to_the_saga),
        cmocka_unit_test(a_block_that_is_left_ends_its_branches_before_the_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
