/* test_script.c - scripts: order of rules, counts, and the same answer for the same key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "interpreter/sched/script_internal.h"

static void rules_are_used_up_in_the_order_they_were_given(void **state)
{
    EngineScript *script = script_new();
    ScriptAnswer a;
    script_tool_fails(script, STR("travel.book"), ERROR_KIND_unavailable, STR("down"), 503, STR("E503"), 2000000, 2);
    script_tool_returns(script, STR("travel.book"), STR("\"B-1\""), 5);
    assert_true(script_names_tool(script, STR("travel.book")));
    assert_false(script_names_tool(script, STR("travel.cancel")));
    assert_true(script_call(script, STR("travel.book"), STR("r:1"), 100, &a));
    assert_true(a.fails);
    assert_int_equal(a.kind, ERROR_KIND_unavailable);
    assert_int_equal(a.status, 503);
    assert_int_equal(a.retry_after_us, 2000000);
    assert_true(script_call(script, STR("travel.book"), STR("r:2"), 100, &a));
    assert_true(a.fails);
    assert_true(script_call(script, STR("travel.book"), STR("r:3"), 100, &a));
    assert_false(a.fails);
    assert_int_equal(a.due_us, 105);
    assert_false(script_call(script, STR("travel.cancel"), STR("r:4"), 100, &a));
    script_free(script);
}

static void a_key_gets_what_it_got_before_and_when(void **state)
{
    EngineScript *script = script_new();
    ScriptAnswer a;
    script_tool_fails(script, STR("t.x"), ERROR_KIND_timeout, STR("slow"), 0, STR(""), -1, 1);
    script_tool_returns(script, STR("t.x"), STR("1"), 50);
    assert_true(script_call(script, STR("t.x"), STR("r:1"), 0, &a) && a.fails);
    assert_true(script_call(script, STR("t.x"), STR("r:1"), 9, &a) && a.fails);
    assert_true(script_call(script, STR("t.x"), STR("r:2"), 10, &a) && !a.fails);
    assert_true(script_call(script, STR("t.x"), STR("r:2"), 40, &a));
    assert_int_equal(a.due_us, 60);
    script_free(script);
}

static void a_rule_that_is_used_up_leaves_the_tool_alone(void **state)
{
    EngineScript *script = script_new();
    ScriptAnswer a;
    script_tool_fails(script, STR("t.x"), ERROR_KIND_timeout, STR("slow"), 0, STR(""), -1, 1);
    assert_true(script_call(script, STR("t.x"), STR("r:1"), 0, &a));
    assert_false(script_call(script, STR("t.x"), STR("r:2"), 0, &a));
    script_free(script);
}

static void answers_and_ids_come_in_order_and_once_a_key(void **state)
{
    EngineScript *script = script_new();
    Str out;
    script_answers(script, (Str[]){ STR("true"), STR("\"b\"") }, 2);
    assert_true(script_answer(script, STR("r:1"), &out) && str_is(out, "true"));
    assert_true(script_answer(script, STR("r:1"), &out) && str_is(out, "true"));
    script_answers(script, (Str[]){ STR("7") }, 1);
    assert_true(script_answer(script, STR("r:2"), &out) && str_is(out, "\"b\""));
    assert_true(script_answer(script, STR("r:3"), &out) && str_is(out, "7"));
    assert_false(script_answer(script, STR("r:4"), &out));
    script_ids(script, STR("flights"), (Str[]){ STR("LH123") }, 1);
    script_ids(script, STR("flights"), (Str[]){ STR("LH124") }, 1);
    assert_false(script_id(script, STR("hotels"), STR("r:1"), &out));
    assert_true(script_id(script, STR("flights"), STR("r:1"), &out) && str_is(out, "LH123"));
    assert_true(script_id(script, STR("flights"), STR("r:2"), &out) && str_is(out, "LH124"));
    assert_false(script_id(script, STR("flights"), STR("r:3"), &out));
    script_free(script);
}

static void plans_come_in_order_and_once_a_round(void **state)
{
    EngineScript *script = script_new();
    Str out;
    assert_false(script_has_plans(script) || script_plan(script, STR("r:1"), 0, &out));
    script_plan_says(script, STR("1"));
    script_plan_says(script, STR("2"));
    assert_true(script_plan(script, STR("r:1"), 0, &out) && str_is(out, "1"));
    assert_true(script_plan(script, STR("r:1"), 1, &out) && str_is(out, "2"));
    assert_true(script_plan(script, STR("r:1"), 0, &out) && str_is(out, "1"));      /* asked again after a crash */
    assert_false(script_plan(script, STR("r:2"), 0, &out));
    script_plan_says(script, STR("3"));
    assert_true(script_plan(script, STR("r:2"), 0, &out) && str_is(out, "3"));
    script_free(script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_used_up_in_the_order_they_were_given),
        cmocka_unit_test(a_key_gets_what_it_got_before_and_when),
        cmocka_unit_test(a_rule_that_is_used_up_leaves_the_tool_alone),
        cmocka_unit_test(answers_and_ids_come_in_order_and_once_a_key),
        cmocka_unit_test(plans_come_in_order_and_once_a_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
