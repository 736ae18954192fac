/* test_streams.c - streams against a real Redis: groups, acknowledgement, what stalls, what is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <cmocka.h>
#include <event2/event.h>
#include "tests/unit/redis_server.h"
#include "interpreter/store/streams.h"

enum { DEADLINE_MS = 20000 };

/* One worker's end: what it was given, and whether it says that it is done. */
typedef struct Worker { Streams *streams; struct event_base *loop; bool holds; int got, lost; char last[64], subscriber[64]; StreamGroup *held; } Worker;

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static void on_deliver(StreamGroup *group, Str event, Str subscriber, const StreamEntry *entries, uint32_t count, void *arg)
{
    Worker *w = arg;
    assert_true(str_is(event, "Booked"));
    snprintf(w->subscriber, sizeof w->subscriber, "%.*s", STR_ARG(subscriber));
    snprintf(w->last, sizeof w->last, "%.*s/%.*s/%u", STR_ARG(entries[count - 1].tenant), STR_ARG(entries[count - 1].event_id), entries[count - 1].hops);
    w->got += (int)count;
    if (w->holds) w->held = group;
    else streams_done(group, true);
}

static void on_lost(void *arg) { ((Worker *)arg)->lost++; }

static void worker_open(Worker *w, struct event_base *loop, const char *store, const char *name, int64_t stall_ms)
{
    Error error = { 0 };
    *w = (Worker){ .loop = loop };
    StreamsOptions options = { .url = redis_url, .loop = loop, .store = str_of(store), .consumer = str_of(name), .stall_ms = stall_ms, .deliver = on_deliver, .lost = on_lost, .arg = w };
    if (streams_open(&options, &w->streams, &error)) fail_msg("%s", error.text);
}

static void turn(struct event_base *loop)
{
    event_base_loopexit(loop, &(struct timeval){ 0, 5000 });
    event_base_loop(loop, EVLOOP_ONCE);
}

/* Turns the loop until *value is at least `least`. */
static void until(struct event_base *loop, const int *value, int least)
{
    int64_t end = clock_ms() + DEADLINE_MS;
    while (*value < least) {
        if (clock_ms() > end) fail_msg("%d came, expected %d", *value, least);
        turn(loop);
    }
}

typedef struct Result { int ok, failed; } Result;
static void on_published(bool ok, void *arg) { if (ok) ((Result *)arg)->ok++; else ((Result *)arg)->failed++; }

static StreamEntry entry(const char *tenant, const char *id) { return (StreamEntry){ .tenant = str_of(tenant), .event_id = str_of(id), .name = STR("Booked"), .correlation = STR("c"), .causation = STR("k"), .hops = 3 }; }

static void publish(Worker *w, const char *tenant, const char *id)
{
    Result result = { 0 };
    StreamEntry e = entry(tenant, id);
    streams_publish(w->streams, &e, 1, on_published, &result);
    until(w->loop, &result.ok, 1);
}

static void each_group_has_every_entry_once(void **state)
{
    struct event_base *loop = event_base_new();
    Worker a, b;
    worker_open(&a, loop, "s1", "a", 60000);
    worker_open(&b, loop, "s1", "b", 60000);
    streams_subscribe(a.streams, STR("Booked"), STR("travel"));
    streams_subscribe(b.streams, STR("Booked"), STR("finance"));
    until(loop, &a.lost, 1);                                /* a new connection says so */
    until(loop, &b.lost, 1);
    char id[16];
    for (int i = 0; i < 100; i++) snprintf(id, sizeof id, "e%d", i), publish(&a, i % 2 ? "acme" : "x:{y} z", id);
    until(loop, &a.got, 100);
    until(loop, &b.got, 100);
    assert_int_equal(a.got + b.got, 200);
    assert_string_equal(a.subscriber, "travel");
    publish(&b, "acme", "last");
    until(loop, &a.got, 101);
    assert_string_equal(a.last, "acme/last/3");
    streams_close(a.streams), streams_close(b.streams);
    event_base_free(loop);
}

static void consumers_of_a_group_share_its_entries(void **state)
{
    struct event_base *loop = event_base_new();
    Worker a, b;
    int both = 0;
    worker_open(&a, loop, "s2", "a", 60000);
    worker_open(&b, loop, "s2", "b", 60000);
    streams_subscribe(a.streams, STR("Booked"), STR("travel"));
    streams_subscribe(b.streams, STR("Booked"), STR("travel"));
    until(loop, &a.lost, 1), until(loop, &b.lost, 1);
    for (int i = 0; i < 50; i++) {
        char id[16];
        snprintf(id, sizeof id, "e%d", i);
        publish(&a, "acme", id);
    }
    int64_t end = clock_ms() + DEADLINE_MS;
    while ((both = a.got + b.got) < 50 && clock_ms() < end) turn(loop);
    assert_int_equal(both, 50);
    publish(&a, "acme", "one more");
    for (end = clock_ms() + DEADLINE_MS; a.got + b.got < 51 && clock_ms() < end;) turn(loop);
    assert_int_equal(a.got + b.got, 51);
    streams_close(a.streams), streams_close(b.streams);
    event_base_free(loop);
}

static void what_a_consumer_holds_too_long_goes_to_another(void **state)
{
    struct event_base *loop = event_base_new();
    Worker a, b;
    worker_open(&a, loop, "s3", "a", 100);
    a.holds = true;
    streams_subscribe(a.streams, STR("Booked"), STR("travel"));
    until(loop, &a.lost, 1);
    publish(&a, "acme", "e1");
    until(loop, &a.got, 1);
    worker_open(&b, loop, "s3", "b", 100);
    streams_subscribe(b.streams, STR("Booked"), STR("travel"));
    until(loop, &b.got, 1);
    assert_string_equal(b.last, "acme/e1/3");
    assert_non_null(a.held);
    streams_done(a.held, true);                             /* late: it is acknowledged already, and nobody minds */
    publish(&b, "acme", "e2");
    int64_t end = clock_ms() + DEADLINE_MS;
    while (a.got + b.got < 3 && clock_ms() < end) turn(loop);
    assert_int_equal(a.got + b.got, 3);
    streams_close(a.streams), streams_close(b.streams);
    event_base_free(loop);
}

static void what_was_not_handled_comes_again(void **state)
{
    struct event_base *loop = event_base_new();
    Worker a;
    worker_open(&a, loop, "s4", "a", 50);
    a.holds = true;
    streams_subscribe(a.streams, STR("Booked"), STR("travel"));
    until(loop, &a.lost, 1);
    publish(&a, "acme", "e1");
    until(loop, &a.got, 1);
    streams_done(a.held, false);
    until(loop, &a.got, 2);
    streams_done(a.held, true);
    streams_close(a.streams);
    event_base_free(loop);
}

/* After each of them groups are made again, and what is published then is read. */
static void groups_that_are_gone_are_made_again(void **state)
{
    static const char *const LOSSES[] = { "FLUSHALL", "DESTROY", "KILL" };
    struct event_base *loop = event_base_new();
    Worker a;
    worker_open(&a, loop, "s5", "a", 200);
    streams_subscribe(a.streams, STR("Booked"), STR("travel"));
    until(loop, &a.lost, 1);
    publish(&a, "acme", "e0");
    until(loop, &a.got, 1);
    for (int i = 0; i < 3; i++) {
        int before = a.lost;
        if (i == 0) redis_say("FLUSHALL");
        else if (i == 1) {
            for (int p = 0; p < STREAM_PARTITIONS; p++) {
                char command[80];
                snprintf(command, sizeof command, "XGROUP DESTROY flow:{s5.%d}:Booked travel", p);
                assert_string_equal(redis_say(command), ":1\r\n");
            }
        } else {
            redis_kill();
            Result result = { 0 };
            StreamEntry e = entry("acme", "lost");
            int64_t end = clock_ms() + DEADLINE_MS;
            while (streams_up(a.streams) && clock_ms() < end) turn(loop);
            streams_publish(a.streams, &e, 1, on_published, &result);
            assert_int_equal(result.failed, 1);             /* at once, not after a while */
            redis_start(NULL, NULL);
        }
        until(loop, &a.lost, before + 1);
        int got = a.got;
        publish(&a, "acme", LOSSES[i]);
        until(loop, &a.got, got + 1);
    }
    streams_close(a.streams);
    event_base_free(loop);
}

static void a_server_that_does_not_answer_is_down(void **state)
{
    struct event_base *loop = event_base_new();
    Worker a;
    Result result = { 0 };
    StreamEntry e = entry("acme", "e1");
    worker_open(&a, loop, "s6", "a", 60000);
    until(loop, &a.lost, 1);
    kill(redis_pid, SIGSTOP);
    streams_publish(a.streams, &e, 1, on_published, &result);
    until(loop, &result.failed, 1);
    assert_false(streams_up(a.streams));
    kill(redis_pid, SIGCONT);
    until(loop, &a.lost, 2);
    assert_true(streams_up(a.streams));
    streams_close(a.streams);
    event_base_free(loop);
}

static void a_subscriber_that_is_gone_leaves_nothing(void **state)
{
    struct event_base *loop = event_base_new();
    Worker a;
    worker_open(&a, loop, "s7", "a", 60000);
    until(loop, &a.lost, 1);
    streams_begin(a.streams), streams_subscribe(a.streams, STR("Booked"), STR("travel")), streams_subscribe(a.streams, STR("Booked"), STR("finance")), streams_end(a.streams);
    publish(&a, "acme", "e1");
    until(loop, &a.got, 2);
    streams_begin(a.streams), streams_subscribe(a.streams, STR("Booked"), STR("travel")), streams_end(a.streams);
    publish(&a, "acme", "e2");
    until(loop, &a.got, 3);
    int64_t end = clock_ms() + DEADLINE_MS;
    bool gone = false;
    while (!gone && clock_ms() < end) {
        gone = true;
        for (int p = 0; p < STREAM_PARTITIONS; p++) {
            char command[80];
            snprintf(command, sizeof command, "XINFO GROUPS flow:{s7.%d}:Booked", p);
            gone = gone && !strstr(redis_say(command), "finance");
        }
        turn(loop);
    }
    assert_true(gone);
    streams_close(a.streams);
    event_base_free(loop);
}

static bool has_consumer(const char *store, const char *name)
{
    bool has = false;
    for (int p = 0; p < STREAM_PARTITIONS; p++) {
        char command[80];
        snprintf(command, sizeof command, "XINFO CONSUMERS flow:{%s.%d}:Booked travel", store, p);
        has = has || strstr(redis_say(command), name);
    }
    return has;
}

static void a_worker_that_ends_leaves_no_consumer(void **state)
{
    struct event_base *loop = event_base_new();
    Worker a;
    worker_open(&a, loop, "s9", "worker-a", 60000);
    streams_subscribe(a.streams, STR("Booked"), STR("travel"));
    until(loop, &a.lost, 1);
    publish(&a, "acme", "e1");
    until(loop, &a.got, 1);
    assert_true(has_consumer("s9", "worker-a"));
    streams_close(a.streams);
    assert_false(has_consumer("s9", "worker-a"));
    event_base_free(loop);
}

static void dead_letters_have_a_stream(void **state)
{
    struct event_base *loop = event_base_new();
    Worker a;
    Result result = { 0 };
    worker_open(&a, loop, "s8", "a", 60000);
    until(loop, &a.lost, 1);
    StreamDead dead = { STR("acme"), STR("e1"), STR("travel.on_Booked"), 5 };
    streams_publish_dead(a.streams, &dead, 1, on_published, &result);
    until(loop, &result.ok, 1);
    int found = 0;
    for (int p = 0; p < STREAM_PARTITIONS; p++) {
        char command[80];
        snprintf(command, sizeof command, "XRANGE flow:{s8.%d}:dead - +", p);
        const char *answer = redis_say(command);
        found += strstr(answer, "travel.on_Booked") != NULL && strstr(answer, "acme") != NULL;
    }
    assert_int_equal(found, 1);
    streams_close(a.streams);
    event_base_free(loop);
}

static void a_url_that_is_none_is_refused(void **state)
{
    Error error = { 0 };
    Streams *streams = NULL;
    StreamsOptions options = { .url = "http://x" };
    assert_int_equal(streams_open(&options, &streams, &error), ERR_INVALID);
    assert_null(streams);
}

int main(void)
{
    if (!redis_available("test_streams")) return 0;
    redis_start(NULL, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_group_has_every_entry_once), cmocka_unit_test(consumers_of_a_group_share_its_entries), cmocka_unit_test(what_a_consumer_holds_too_long_goes_to_another),
        cmocka_unit_test(what_was_not_handled_comes_again), cmocka_unit_test(groups_that_are_gone_are_made_again), cmocka_unit_test(a_server_that_does_not_answer_is_down),
        cmocka_unit_test(a_subscriber_that_is_gone_leaves_nothing), cmocka_unit_test(a_worker_that_ends_leaves_no_consumer), cmocka_unit_test(dead_letters_have_a_stream), cmocka_unit_test(a_url_that_is_none_is_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return redis_remove() || failed;
}
