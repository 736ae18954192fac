/* test_lane.c - lanes: stacks of their own that wait without holding up the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <event2/event.h>
#include <string.h>
#include <unistd.h>
#include "interpreter/store/lane.h"

enum { LONG_MS = 60000 };                /* never reached: a test that waits so long has failed */

typedef struct Talk { int in[2], out[2]; char heard[64]; int count, rounds, timeout_ms, got; bool inside; } Talk;

static void open_talk(Talk *t)
{
    *t = (Talk){ .timeout_ms = -1 };
    assert_int_equal(pipe(t->in), 0);
    assert_int_equal(pipe(t->out), 0);
}

static void close_talk(Talk *t)
{
    for (int i = 0; i < 2; i++) close(t->in[i]), close(t->out[i]);
}

/* Uses its stack, so that a wrong one would be seen. */
static void listen_body(void *arg)
{
    Talk *t = arg;
    volatile char deep[16 << 10];
    memset((char *)deep, 7, sizeof deep);
    t->inside = lane_current();
    for (int i = 0; i < t->rounds; i++) {
        t->got = lane_wait_fd(t->in[0], LANE_READ, t->timeout_ms);
        if (!t->got) break;
        char c;
        assert_int_equal(read(t->in[0], &c, 1), 1);
        t->heard[t->count++] = c;
    }
    for (size_t i = 0; i < sizeof deep; i++) assert_int_equal(deep[i], 7);
}

static void say(Talk *t, const char *text) { assert_int_equal(write(t->in[1], text, strlen(text)), (ssize_t)strlen(text)); }

static void a_lane_runs_to_its_first_wait_and_goes_on_when_driven(void **state)
{
    Talk t;
    open_talk(&t);
    t.rounds = 3;
    Lane *lane = lane_new(NULL);
    assert_false(lane_busy(lane));
    lane_start(lane, listen_body, &t);
    assert_true(lane_busy(lane) && t.inside && t.count == 0 && !lane_current());
    say(&t, "ab");
    assert_true(lane_drive(&lane, 1, LONG_MS));
    assert_string_equal(t.heard, "a");
    assert_true(lane_drive(&lane, 1, LONG_MS));
    assert_string_equal(t.heard, "ab");
    assert_false(lane_drive(&lane, 1, 0));                  /* nothing to hear */
    assert_true(lane_busy(lane));
    say(&t, "c");
    assert_true(lane_drive(&lane, 1, LONG_MS));
    assert_string_equal(t.heard, "abc");
    assert_false(lane_busy(lane));
    assert_false(lane_drive(&lane, 1, LONG_MS));            /* none is busy: no wait */
    memset(t.heard, 0, sizeof t.heard), t.count = 0, t.rounds = 1;
    lane_start(lane, listen_body, &t);                      /* again on the same stack */
    say(&t, "d");
    assert_true(lane_drive(&lane, 1, LONG_MS));
    assert_string_equal(t.heard, "d");
    lane_free(lane);
    close_talk(&t);
}

static void the_loop_resumes_a_lane(void **state)
{
    Talk a, b;
    open_talk(&a), open_talk(&b);
    a.rounds = 2, b.rounds = 3;
    struct event_base *loop = event_base_new();
    Lane *first = lane_new(loop), *second = lane_new(loop);
    lane_start(first, listen_body, &a);
    lane_start(second, listen_body, &b);
    say(&b, "x"), say(&a, "12"), say(&b, "yz");
    event_base_dispatch(loop);                              /* ends when nobody waits any more */
    assert_string_equal(a.heard, "12");
    assert_string_equal(b.heard, "xyz");
    assert_false(lane_busy(first) || lane_busy(second));
    lane_free(first), lane_free(second);
    event_base_free(loop);
    close_talk(&a), close_talk(&b);
}

static void drive_does_what_the_loop_would_and_the_loop_does_not_do_it_again(void **state)
{
    Talk t;
    open_talk(&t);
    t.rounds = 2;
    struct event_base *loop = event_base_new();
    Lane *lane = lane_new(loop);
    lane_start(lane, listen_body, &t);
    say(&t, "a");
    assert_true(lane_drive(&lane, 1, LONG_MS));
    assert_string_equal(t.heard, "a");
    say(&t, "b");
    event_base_dispatch(loop);
    assert_string_equal(t.heard, "ab");
    lane_free(lane);
    event_base_free(loop);
    close_talk(&t);
}

static void a_wait_ends_with_its_time(void **state)
{
    for (int looped = 0; looped < 2; looped++) {
        Talk t;
        open_talk(&t);
        t.rounds = 1, t.timeout_ms = 1, t.got = 9;
        struct event_base *loop = event_base_new();
        Lane *lane = lane_new(looped ? loop : NULL);
        lane_start(lane, listen_body, &t);
        if (looped) event_base_dispatch(loop);
        while (lane_busy(lane)) lane_drive(&lane, 1, LONG_MS);
        assert_true(t.got == 0 && t.count == 0);
        lane_free(lane);
        event_base_free(loop);
        close_talk(&t);
    }
}

/* One lane that is always ready must not keep another from its time. */
static void a_busy_neighbour_does_not_stretch_a_wait(void **state)
{
    Talk talker, waiter;
    open_talk(&talker), open_talk(&waiter);
    talker.rounds = 1 << 30;
    waiter.rounds = 1, waiter.timeout_ms = 20, waiter.got = 9;
    Lane *lanes[] = { lane_new(NULL), lane_new(NULL) };
    lane_start(lanes[0], listen_body, &talker);
    lane_start(lanes[1], listen_body, &waiter);
    while (lane_busy(lanes[1])) {
        say(&talker, ".");
        assert_true(lane_drive(lanes, 2, LONG_MS));
        talker.count = 0;
    }
    assert_int_equal(waiter.got, 0);
    talker.rounds = 0;
    say(&talker, ".");
    assert_true(lane_drive(lanes, 1, LONG_MS));
    lane_free(lanes[0]), lane_free(lanes[1]);
    close_talk(&talker), close_talk(&waiter);
}

static void outside_of_lanes_a_wait_simply_waits(void **state)
{
    Talk t;
    open_talk(&t);
    assert_int_equal(lane_wait_fd(t.in[0], LANE_READ, 1), 0);
    say(&t, "a");
    assert_int_equal(lane_wait_fd(t.in[0], LANE_READ, LONG_MS), LANE_READ);
    assert_int_equal(lane_wait_fd(t.in[1], LANE_READ | LANE_WRITE, LONG_MS) & LANE_WRITE, LANE_WRITE);
    assert_int_equal(lane_wait_fd(-1, 0, 1), 0);            /* a pause */
    close_talk(&t);
}

static void a_closed_end_wakes_its_reader(void **state)
{
    Talk t;
    open_talk(&t);
    Lane *lane = lane_new(NULL);
    close(t.in[1]);
    assert_int_equal(lane_wait_fd(t.in[0], LANE_READ, LONG_MS), LANE_READ);
    t.in[1] = dup(t.in[0]);
    lane_free(lane);
    close_talk(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lane_runs_to_its_first_wait_and_goes_on_when_driven), cmocka_unit_test(the_loop_resumes_a_lane),
        cmocka_unit_test(drive_does_what_the_loop_would_and_the_loop_does_not_do_it_again), cmocka_unit_test(a_wait_ends_with_its_time),
        cmocka_unit_test(a_busy_neighbour_does_not_stretch_a_wait), cmocka_unit_test(outside_of_lanes_a_wait_simply_waits), cmocka_unit_test(a_closed_end_wakes_its_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
