/* test_workers.c - several workers on one store: one owner at a time whatever the order of pause, expiry, takeover and revival; races, timers, silence.
 * Every test runs on SQLite, and on PostgreSQL when FLOW_TEST_POSTGRES names a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <event2/event.h>
#include "base/time.h"
#include "compiler/typed.h"
#include "interpreter/sched/engine_internal.h"

static const EnginePrincipal WHO = { .tenant = { "family", 6 }, .user = { "anna", 4 }, .user_name = { "Anna", 4 } };
static const Str TENANT = { "family", 6 }, NOBODY = { "", 0 };
enum { STEPS = 5, RACES = 1000, TIMERS = 1000, PARKED = 300 };
#define START INT64_C(1762768800000000)
#define LEASE (30 * TIME_SECOND)

static const char *const PROGRAM =
    "table entries of ledger {\n    id: id \"ENT\"\n    n: int\n    step: int\n}\n"
    "agent ledger \"Ledger\" {}\n"
    "flow steps(n: int) -> int {\n"
    "    insert entries { n, step: 1 }\n"
    "    insert entries { n, step: 2 }\n"
    "    transaction {\n        insert entries { n, step: 3 }\n        insert entries { n, step: 4 }\n    }\n"
    "    insert entries { n, step: 5 }\n"
    "    return n\n"
    "}\n"
    "table counters of ledger {\n    id: id \"CNT\"\n    name: string\n    n: int\n    unique (name)\n}\n"
    "flow make() -> int {\n    insert counters { name: \"all\", n: 0 }\n    return 0\n}\n"
    "flow add_one(n: int) -> int {\n"
    "    transaction {\n"
    "        let rows = from x in counters where x.name == \"all\" select { n: x.n }\n"
    "        let next = (rows.first()?.n ?? 0) + 1\n"
    "        update c in counters set n = next where c.name == \"all\"\n"
    "    }\n"
    "    return n\n"
    "}\n"
    "flow counted() -> int {\n    return sum(counters.n)\n}\n"
    "table naps of ledger {\n    id: id \"NAP\"\n    n: int\n    unique (n)\n}\n"
    "flow nap(n: int) -> int {\n    sleep 1m\n    insert naps { n }\n    return n\n}\n"
    "flow total() -> int {\n    return count(naps)\n}\n"
    "flow of_one(which: int) -> int {\n    return count(entries where n == which)\n}\n";

static bool on_postgres;
static char url[512];
static Program *program;
static Image *image;

static int setup(void **state)
{
    static int serial;
    const char *server = getenv("FLOW_TEST_POSTGRES");
    if (on_postgres) snprintf(url, sizeof url, "%s%cschema=workers_%d_%d", server, strchr(server, '?') ? '&' : '?', (int)getpid(), ++serial);
    else snprintf(url, sizeof url, "sqlite:/tmp/flow_workers_%d_%d.db", (int)getpid(), ++serial);
    program = program_of_text("workers.flow", str_of(PROGRAM), NULL, 0);
    image = compile_program(program, false);
    return image ? 0 : -1;
}

static int teardown(void **state)
{
    Error error = { 0 };
    image_free(image);
    program_free(program);
    if (store_drop(url, &error)) print_error("%s\n", error.text);
    return 0;
}

static Engine *open_worker(const char *name, int64_t now_us)
{
    EngineOptions options = { .store_url = url, .worker = name, .virtual_time = true, .virtual_start_us = now_us, .lease_us = LEASE };
    Engine *engine;
    Error error = { 0 };
    if (engine_open(&options, &engine, &error) || engine_deploy(engine, image, &error)) fail_msg("%s", error.text);
    return engine;
}

static void start(Engine *engine, const char *flow, int n, char run_id[64])
{
    char input[48];
    Error error = { 0 };
    snprintf(input, sizeof input, "{\"n\":%d}", n);
    run_id[0] = '\0';
    if (engine_start(engine, image, str_of(flow), str_of(input), &WHO, run_id, &error)) fail_msg("%s", error.text);
}

static void work(Engine *engine, const char *run_id)
{
    Error error = { 0 };
    if (engine_work(engine, TENANT, str_of(run_id), &error)) fail_msg("%s", error.text);
}

static RunStatus status_of(Engine *engine, const char *run_id, Buf *result)
{
    Arena *arena = arena_new();
    RunRow row;
    Error error = { 0 };
    if (engine_find_run(engine, TENANT, str_of(run_id), arena, &row, &error)) fail_msg("%s", error.text);
    if (result) buf_put_str(result, row.result_json);
    arena_free(arena);
    return row.status;
}

static int64_t answer_of(Engine *engine, const char *flow, const char *input)
{
    char id[64] = "";
    Buf result = { 0 };
    Error error = { 0 };
    if (engine_start(engine, image, str_of(flow), str_of(input), &WHO, id, &error)) fail_msg("%s", error.text);
    work(engine, id);
    assert_int_equal(status_of(engine, id, &result), RUN_COMPLETED);
    int64_t number = atoll(buf_cstr(&result));
    buf_free(&result);
    return number;
}

static void assert_sound(Engine *engine)
{
    FsckReport report = { 0 };
    Buf text = { 0 };
    Error error = { 0 };
    if (store_fsck(engine_store(engine), &report, &text, &error)) fail_msg("%s", error.text);
    if (report.problems) fail_msg("%s", buf_cstr(&text));
    buf_free(&text);
}

/* ---- one lease, two workers ------------------------------------------------------------------------------------------ */

/* A worker takes the run and does `steps` rounds of its work; then its process stands still. */
static void begin(Engine *engine, const char *run_id, int steps)
{
    StoreBatch *batch = store_batch(engine->store, TENANT, NOBODY, 0);
    int index = store_claim(batch, str_of(engine->worker), engine_now(engine), engine_lease(engine), 1, str_of(run_id));
    Error error = { 0 };
    if (store_run_batch(batch, &error)) fail_msg("%s", error.text);
    uint32_t count;
    const RunRow *rows = store_runs(batch, index, &count);
    assert_int_equal(count, 1);
    live_open(engine, engine->store, rows);
    store_batch_free(batch);
    for (int i = 0; i < steps; i++) {
        engine_step(engine);
        while (store_busy(engine->store) && !engine->open_txns) store_wait(engine->store);
    }
}

typedef enum { EXPIRE, TAKEOVER, REVIVE, MOVES } Move;

static void make_moves(const Move *moves, int paused_after, int n)
{
    char id[64], input[32];
    Engine *a = open_worker("a", START), *b = open_worker("b", START);
    Buf result = { 0 };
    Error error = { 0 };
    start(a, "steps", n, id);
    begin(a, id, paused_after);
    for (int i = 0; i < MOVES; i++) {
        if (moves[i] == EXPIRE) b->virtual_now += LEASE + 1;
        else if (moves[i] == TAKEOVER) work(b, id);
        else engine_settle(a);
    }
    engine_settle(a);
    if (!run_status_ended(status_of(b, id, NULL))) {
        b->virtual_now += LEASE + 1;
        work(b, id);
    }
    engine_settle(a);
    assert_int_equal(status_of(b, id, &result), RUN_COMPLETED);
    assert_int_equal(atoi(buf_cstr(&result)), n);
    snprintf(input, sizeof input, "{\"which\":%d}", n);
    assert_int_equal(answer_of(b, "of_one", input), STEPS);          /* each step once, whoever did it */
    assert_int_equal(a->live.count + b->live.count, 0);
    assert_false(a->broken || b->broken);
    StoreBatch *late = store_batch(a->store, TENANT, str_of(id), 1);
    store_append_journal(late, &(JournalRow){ .seq = 999, .entry = JOURNAL_NOTE });
    Err err = store_run_batch(late, &error);
    store_batch_free(late);
    assert_true(err == ERR_FENCED || err == ERR_OK);                 /* ERR_OK: nobody took it over, epoch 1 is its last */
    if (moves[0] == EXPIRE && moves[1] == TAKEOVER && paused_after < 3) assert_int_equal(err, ERR_FENCED);
    buf_free(&result);
    engine_close(a);
    engine_close(b);
}

static void every_order_of_expiry_takeover_and_revival_ends_with_one_owner(void **state)
{
    static const Move ORDERS[6][MOVES] = { { EXPIRE, TAKEOVER, REVIVE }, { EXPIRE, REVIVE, TAKEOVER }, { TAKEOVER, EXPIRE, REVIVE },
                                           { TAKEOVER, REVIVE, EXPIRE }, { REVIVE, EXPIRE, TAKEOVER }, { REVIVE, TAKEOVER, EXPIRE } };
    enum { ROUNDS = 4 };                                 /* one more, and its transaction is open: nobody else writes until it ends */
    int n = 0;
    for (int paused_after = 0; paused_after <= ROUNDS; paused_after++)
        for (int order = 0; order < 6; order++) make_moves(ORDERS[order], paused_after, ++n);
}

/* ---- races --------------------------------------------------------------------------------------------------------------- */

static StoreBatch *race(Store *store, const char *worker, int64_t now, int *index)
{
    StoreBatch *batch = store_batch(store, NOBODY, NOBODY, 0);
    *index = store_claim(batch, str_of(worker), now, 1000, 1, NOBODY);
    return batch;
}

typedef struct Racer { int index; uint32_t won; } Racer;

static void raced(const StoreResult *result, void *arg)
{
    Racer *racer = arg;
    uint32_t count = 0;
    if (!result->err) store_runs(result->batch, racer->index, &count);
    else if (result->err != ERR_BUSY) fail_msg("%s", result->error.text);
    racer->won += count;
}

/* Both are told to go before either is waited for; on a server they run at the same time. Nobody wins twice, and somebody always does. */
static void of_two_who_recover_one_run_one_wins(void **state)
{
    char id[64];
    Engine *a = open_worker("a", START), *b = open_worker("b", START);
    start(a, "steps", 1, id);
    int64_t now = START;
    for (int i = 0; i < (on_postgres ? RACES : RACES / 20); i++, now += 2000) {         /* one process on SQLite: only the order differs */
        Racer ra = { 0 }, rb = { 0 };
        StoreBatch *first = race(a->store, "a", now, &ra.index), *second = race(b->store, "b", now, &rb.index);
        store_submit(i % 2 ? first : second, raced, i % 2 ? &ra : &rb);
        store_flush((i % 2 ? a : b)->store);
        store_submit(i % 2 ? second : first, raced, i % 2 ? &rb : &ra);
        store_flush((i % 2 ? b : a)->store);
        while (store_busy(a->store)) store_wait(a->store);
        while (store_busy(b->store)) store_wait(b->store);
        assert_int_equal(ra.won + rb.won, 1);
    }
    engine_close(a);
    engine_close(b);
}

static void launched(Err err, const Error *error, Str run_id, void *arg)
{
    if (err) fail_msg("%s", error->text);
    ++*(int *)arg;
}

/* Read, then write what was read plus one: on a server the transactions of one worker run side by side, all but one lose and are taken again. */
static void transactions_that_lose_a_race_are_taken_again(void **state)
{
    enum { ADDS = 24 };
    Error error = { 0 };
    Engine *a = open_worker("a", START);
    int begun = 0;
    answer_of(a, "make", "{}");
    for (int i = 0; i < ADDS; i++) {
        char id[64] = "", input[32];
        snprintf(input, sizeof input, "{\"n\":%d}", i);
        if (engine_launch(a, image, STR("add_one"), str_of(input), &WHO, id, launched, &begun, &error)) fail_msg("%s", error.text);
    }
    engine_settle(a);
    work(a, "");
    assert_int_equal(a->live.count, 0);
    assert_int_equal(begun, ADDS);
    assert_int_equal(answer_of(a, "counted", "{}"), ADDS);
    assert_sound(a);
    engine_close(a);
}

/* ---- timers ---------------------------------------------------------------------------------------------------------------- */

/* FLOW_TEST_TIMERS=100000 for the whole number. */
static int timer_count(void)
{
    const char *text = getenv("FLOW_TEST_TIMERS");
    return text && atoi(text) > 0 ? atoi(text) : TIMERS;
}

static void park_naps(Engine *engine, int count)
{
    int begun = 0;
    for (int i = 0; i < count; i++) {
        char id[64] = "", input[32];
        Error error = { 0 };
        snprintf(input, sizeof input, "{\"n\":%d}", i);
        if (engine_launch(engine, image, STR("nap"), str_of(input), &WHO, id, launched, &begun, &error)) fail_msg("%s", error.text);
        if (i % 1000 == 999) engine_settle(engine);
    }
    engine_settle(engine);
    work(engine, "");
    assert_int_equal(begun, count);
}

static void note_ended(const RunRow *run, void *arg)
{
    assert_int_equal(run->status, RUN_COMPLETED);
    ++*(uint32_t *)arg;
}

/* A worker in a process of its own, until nothing is left for it. */
static pid_t fork_worker(const char *name, int64_t now_us)
{
    pid_t child = fork();
    if (child) return child;
    uint32_t ended = 0;
    EngineOptions options = { .store_url = url, .worker = name, .virtual_time = true, .virtual_start_us = now_us, .lease_us = LEASE, .on_settled = note_ended, .arg = &ended };
    Engine *engine;
    Error error = { 0 };
    if (engine_open(&options, &engine, &error) || engine_work(engine, NOBODY, NOBODY, &error)) {
        fprintf(stderr, "worker %s: %s\n", name, error.text);
        _exit(2);
    }
    engine_close(engine);
    if (timer_count() > TIMERS) fprintf(stderr, "worker %s ended %u runs\n", name, ended);
    _exit(0);
}

static void await_worker(pid_t child)
{
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Due in one minute, two workers side by side: each fires once. A second row of one number is refused by the table, and its run would fail. */
static void timers_of_one_minute_fire_once_each(void **state)
{
    int count = timer_count();
    Engine *a = open_worker("a", START);
    int64_t before = clock_now();
    park_naps(a, count);
    int64_t parked = clock_now();
    engine_close(a);
    pid_t first = fork_worker("b", START + 61 * TIME_SECOND), second = fork_worker("c", START + 61 * TIME_SECOND);
    await_worker(first);
    await_worker(second);
    int64_t woken = clock_now();
    if (count > TIMERS) fprintf(stderr, "%d timers: parked in %.1f s, fired and ended in %.1f s\n", count, (parked - before) / 1e6, (woken - parked) / 1e6);
    a = open_worker("a", START + 61 * TIME_SECOND);
    assert_int_equal(answer_of(a, "total", "{}"), count);
    assert_sound(a);
    engine_close(a);
}

/* Nobody was there when they were due: they fire once, late. */
static void timers_that_passed_while_nobody_worked_fire_once(void **state)
{
    int count = timer_count() / 10;
    Engine *a = open_worker("a", START);
    park_naps(a, count);
    engine_close(a);
    Engine *b = open_worker("b", START + 86400 * TIME_SECOND);
    work(b, "");
    assert_int_equal(answer_of(b, "total", "{}"), count);
    engine_close(b);
}

/* ---- silence ------------------------------------------------------------------------------------------------------------------ */

typedef struct Silence { Engine *engine; struct event *timer; uint64_t last; int same, samples; } Silence;

/* A tenth of a second apart; ends when nothing was handed to the store ten times in a row, or far too late. */
static void sample(evutil_socket_t fd, short what, void *arg)
{
    Silence *s = arg;
    uint64_t now = store_submitted(s->engine->store);
    s->same = now == s->last ? s->same + 1 : 0;
    s->last = now;
    if (s->same < 10 && ++s->samples < 200) event_add(s->timer, &(struct timeval){ 0, 100000 });
    else engine_stop(s->engine);
}

static void assert_silent(const EngineOptions *options)
{
    Engine *a = open_worker("a", clock_now() + 3600 * TIME_SECOND);
    park_naps(a, PARKED);
    engine_close(a);
    Engine *engine;
    Error error = { 0 };
    assert_int_equal(engine_open(options, &engine, &error), ERR_OK);
    Silence silence = { .engine = engine, .timer = NULL };
    silence.timer = evtimer_new(engine->loop, sample, &silence);
    event_add(silence.timer, &(struct timeval){ 0, 100000 });
    assert_int_equal(engine_serve(engine, &error), ERR_OK);
    assert_int_equal(silence.same, 10);
    assert_int_equal(engine->live.count, 0);
    event_free(silence.timer);
    engine_close(engine);
}

/* Parked runs whose timers lie ahead cost an idle worker no statement: it asks once when they will be due. */
static void an_idle_worker_says_nothing_to_the_store(void **state)
{
    assert_silent(&(EngineOptions){ .store_url = url, .worker = "idle" });
}

/* With streams neither, although it would look at them every tenth of a second if there were something. */
static void an_idle_worker_with_streams_says_nothing_to_the_store(void **state)
{
    if (!getenv("FLOW_TEST_REDIS")) skip();
    assert_silent(&(EngineOptions){ .store_url = url, .worker = "idle", .redis_url = getenv("FLOW_TEST_REDIS"), .event_republish_us = 100000 });
}

#define WORKER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORKER_TEST(every_order_of_expiry_takeover_and_revival_ends_with_one_owner), WORKER_TEST(of_two_who_recover_one_run_one_wins),
        WORKER_TEST(transactions_that_lose_a_race_are_taken_again),
        WORKER_TEST(timers_of_one_minute_fire_once_each), WORKER_TEST(timers_that_passed_while_nobody_worked_fire_once),
        WORKER_TEST(an_idle_worker_says_nothing_to_the_store), WORKER_TEST(an_idle_worker_with_streams_says_nothing_to_the_store),
    };
    if (getenv("FLOW_TEST_ONLY")) cmocka_set_test_filter(getenv("FLOW_TEST_ONLY"));      /* a pattern: timers* */
    int failed = cmocka_run_group_tests_name("workers on sqlite", tests, NULL, NULL);
    if (!getenv("FLOW_TEST_POSTGRES")) {
        puts("test_workers: PostgreSQL skipped, FLOW_TEST_POSTGRES names no server (scripts/test.sh starts one)");
        return failed;
    }
    on_postgres = true;
    return failed + cmocka_run_group_tests_name("workers on postgresql", tests, NULL, NULL);
}
