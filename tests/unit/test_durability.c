/* test_durability.c - runs that are kept for a day (`durability session` in rows), runs that are not kept (`durability none`), and, when FLOW_TEST_REDIS
 * names a server, runs in the session store: crashes between its operations, signals from strict runs; and the hot copy of strict ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>
#include "base/time.h"
#include "compiler/typed.h"
#include "interpreter/sched/engine_internal.h"

static const EnginePrincipal WHO = { .tenant = { "family", 6 }, .user = { "anna", 4 }, .user_name = { "Anna", 4 } };
static const Str TENANT = { "family", 6 }, NOBODY = { "", 0 };
#define START INT64_C(1762768800000000)
#define HOUR  (3600 * TIME_SECOND)

static const char *const PROGRAM =
    "table marks of book {\n    id: id \"MRK\"\n    n: int\n    on erase delete\n    export as \"marks\"\n}\n"
    "event Marked { n: int }\n"
    "agent book \"Book\" {\n"
    "    tool mark(n: int) -> int idempotent {\n        insert marks { n }\n        return n\n    }\n"
    "    on Marked as e { insert marks { n: e.n + 100 } }\n"
    "}\n"
    "flow fast(n: int) -> int\n    durability none\n{\n"
    "    book.mark(n)\n    progress 50\n    sleep 10m\n    book.mark(n)\n    emit Marked { n }\n    var ids = 0\n    for i in 0..300 {\n        let id = uuid()\n        if id != \"\" { ids = ids + 1 }\n    }\n    return count(marks)\n}\n"
    "flow fails(n: int) -> int\n    durability none\n{\n    book.mark(n)\n    fail rejected \"no\"\n}\n"
    "flow asks(n: int) -> int\n    durability session\n{\n    insert marks { n }\n    let yes = ask \"Go on?\" as bool within 90d else false\n    insert marks { n }\n    return if yes { n } else { 0 - n }\n}\n"
    "flow naps(n: int) -> int\n    durability session\n{\n    sleep 26h\n    insert marks { n }\n    return n\n}\n"
    "signal Go { n: int }\n"
    "flow told(n: int) -> int\n    durability session\n{\n    let go = await Go within 1h\n    insert marks { n: go.n }\n    return go.n\n}\n"
    "flow tells(n: int, target: string) -> int {\n    signal target Go { n }\n    return n\n}\n"
    "flow story(n: int) -> int\n    durability session\n{\n"
    "    book.mark(n)\n    transaction {\n        insert marks { n }\n        insert marks { n }\n    }\n    emit Marked { n }\n    let yes = ask \"Go on?\" as bool within 1h else false\n"
    "    sleep 1m\n    book.mark(n)\n    return if yes { count(marks) } else { 0 - 1 }\n}\n"
    "flow strict_asks(n: int) -> int {\n    insert marks { n }\n    let yes = ask \"Go on?\" as bool within 1h else false\n    insert marks { n }\n    return if yes { n } else { 0 - n }\n}\n"
    "flow counted() -> int { return count(marks) }\n";

static bool on_postgres;
static char url[512];
static Program *program;
static Image *image;

static int setup(void **state)
{
    static int serial;
    const char *server = getenv("FLOW_TEST_POSTGRES");
    if (on_postgres) snprintf(url, sizeof url, "%s%cschema=durability_%d_%d", server, strchr(server, '?') ? '&' : '?', (int)getpid(), ++serial);
    else snprintf(url, sizeof url, "sqlite:/tmp/flow_durability_%d_%d.db", (int)getpid(), ++serial);
    program = program_of_text("durability.flow", str_of(PROGRAM), NULL, 0);
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

static Engine *open_at(int64_t now_us)
{
    EngineOptions options = { .store_url = url, .virtual_time = true, .virtual_start_us = now_us };
    Engine *engine;
    Error error = { 0 };
    if (engine_open(&options, &engine, &error) || engine_deploy(engine, image, &error)) fail_msg("%s", error.text);
    return engine;
}

static void start(Engine *engine, const char *flow, int n, char id[64])
{
    char input[32];
    Error error = { 0 };
    snprintf(input, sizeof input, "{\"n\":%d}", n);
    id[0] = '\0';
    if (engine_start(engine, image, str_of(flow), n ? str_of(input) : STR("{}"), &WHO, id, &error)) fail_msg("%s", error.text);
}

static void work(Engine *engine)
{
    Error error = { 0 };
    if (engine_work(engine, NOBODY, NOBODY, &error)) fail_msg("%s", error.text);
}

static void advance(Engine *engine, int64_t us)
{
    Error error = { 0 };
    if (engine_advance(engine, us, &error)) fail_msg("%s", error.text);
}

static void expect_run(Engine *engine, const char *id, RunStatus status, const char *part)
{
    Arena *arena = arena_new();
    RunRow row;
    Error error = { 0 };
    if (engine_find_run(engine, TENANT, str_of(id), arena, &row, &error)) fail_msg("%s", error.text);
    if (row.status != status || !memmem(row.result_json.ptr, row.result_json.len, part, strlen(part))) fail_msg("%s is %s: %.*s, expected %s", id, run_status_name(row.status), STR_ARG(row.result_json), part);
    arena_free(arena);
}

static void expect_nowhere(Engine *engine, const char *id)
{
    Arena *arena = arena_new();
    RunRow row;
    assert_int_equal(engine_find_run(engine, TENANT, str_of(id), arena, &row, NULL), ERR_NOT_FOUND);
    arena_free(arena);
}

static int marks(Engine *engine)
{
    char id[64];
    Arena *arena = arena_new();
    RunRow row;
    Error error = { 0 };
    start(engine, "counted", 0, id);
    work(engine);
    if (engine_find_run(engine, TENANT, str_of(id), arena, &row, &error)) fail_msg("%s", error.text);
    int count = atoi(arena_printf(arena, "%.*s", STR_ARG(row.result_json)));
    arena_free(arena);
    return count;
}

/* Runs of the flow, and journal rows of the run or under its id in the store that all can see. */
static void expect_no_trace(Engine *engine, const char *flow, const char *id)
{
    char told[96];
    uint32_t runs, rows, told_rows;
    Error error = { 0 };
    snprintf(told, sizeof told, "session:%s", id);
    StoreBatch *batch = store_batch(engine->store, TENANT, NOBODY, 0);
    int list = store_list_runs(batch, &(RunFilter){ .func_name = str_of(flow), .status = -1 });
    int own = store_get_journal(batch, str_of(id), 0, 0), there = store_get_journal(batch, str_of(told), 0, 0);
    if (store_run_batch(batch, &error)) fail_msg("%s", error.text);
    store_runs(batch, list, &runs), store_journal(batch, own, &rows), store_journal(batch, there, &told_rows);
    store_batch_free(batch);
    assert_int_equal(runs + rows + told_rows, 0);
}

/* ---- none ---- */

static void a_run_without_durability_leaves_nothing_but_what_it_did(void **state)
{
    char id[64], other[64];
    Engine *engine = open_at(START);
    start(engine, "fast", 7, id);
    work(engine);
    expect_run(engine, id, RUN_RUNNING, "");                 /* it sleeps in memory: nobody else could wake it */
    assert_int_equal(marks(engine), 1);
    advance(engine, HOUR);
    expect_run(engine, id, RUN_COMPLETED, "2");
    expect_no_trace(engine, "fast", id);
    work(engine);
    assert_int_equal(marks(engine), 3);                      /* the handler's as well */
    start(engine, "fails", 8, other);
    work(engine);
    expect_run(engine, other, RUN_FAILED, "no");
    expect_no_trace(engine, "fails", other);
    engine_close(engine);
}

static void it_is_lost_with_its_process_and_not_begun_again(void **state)
{
    char id[64];
    Engine *engine = open_at(START);
    start(engine, "fast", 7, id);
    work(engine);
    engine_close(engine);
    engine = open_at(START + 24 * HOUR);
    work(engine);
    expect_nowhere(engine, id);
    assert_int_equal(marks(engine), 1);
    engine_close(engine);
}

static void it_is_never_taken_over_however_long_it_takes(void **state)
{
    char id[64];
    Engine *engine = open_at(START);
    engine->options.lease_us = TIME_SECOND;
    start(engine, "fast", 7, id);
    work(engine);
    engine->virtual_now += 5 * 60 * TIME_SECOND;             /* many leases, half of its sleep */
    work(engine);
    expect_run(engine, id, RUN_RUNNING, "");
    assert_int_equal(marks(engine), 1);
    advance(engine, HOUR);
    expect_run(engine, id, RUN_COMPLETED, "2");
    engine_close(engine);
}

static void launched(Err err, const Error *error, Str run_id, void *arg)
{
    if (err) fail_msg("%s", error->text);
    ++*(int *)arg;
}

/* What ended is forgotten after a while, or memory would grow for ever. */
static void many_of_them_are_forgotten_when_they_have_ended(void **state)
{
    enum { MANY = 3 * UNJOURNALLED_SWEEP + 10 };
    char first[64] = "", last[64] = "";
    int begun = 0;
    Engine *engine = open_at(START);
    Error error = { 0 };
    for (int i = 0; i < MANY; i++) {
        char id[64] = "";
        if (engine_launch(engine, image, STR("fails"), STR("{\"n\":1}"), &WHO, id, launched, &begun, &error)) fail_msg("%s", error.text);
        if (i == 0) snprintf(first, sizeof first, "%s", id);
        snprintf(last, sizeof last, "%s", id);
        if (i % 500 == 499) engine->virtual_now += UNJOURNALLED_KEPT, work(engine);
    }
    work(engine);
    assert_int_equal(begun, MANY);
    expect_nowhere(engine, first);
    expect_run(engine, last, RUN_FAILED, "no");
    engine_close(engine);
}

/* ---- sessions in rows ---- */

static void a_session_in_rows_is_over_a_day_after_its_last_write(void **state)
{
    char id[64], late[64];
    Engine *engine = open_at(START);
    Error error = { 0 };
    start(engine, "asks", 1, id), start(engine, "asks", 2, late);
    work(engine);
    advance(engine, 23 * HOUR);
    assert_int_equal(engine_answer(engine, TENANT, str_of(id), STR("true"), &error), ERR_OK);
    work(engine);
    expect_run(engine, id, RUN_COMPLETED, "1");
    advance(engine, 2 * HOUR);
    assert_int_equal(engine_answer(engine, TENANT, str_of(late), STR("true"), &error), ERR_NOT_FOUND);
    assert_non_null(strstr(error.text, "session expired or not found"));
    assert_int_equal(engine_signal(engine, TENANT, str_of(late), STR("Go"), STR("{}"), &error), ERR_NOT_FOUND);
    assert_int_equal(engine_cancel(engine, TENANT, str_of(late), &error), ERR_NOT_FOUND);
    assert_int_equal(marks(engine), 3);
    engine_close(engine);
}

static void a_session_that_wakes_too_late_fails(void **state)
{
    char id[64];
    Engine *engine = open_at(START);
    start(engine, "naps", 1, id);
    work(engine);
    advance(engine, 27 * HOUR);
    expect_run(engine, id, RUN_FAILED, "session expired or not found");
    assert_int_equal(marks(engine), 0);
    engine_close(engine);
}

static void upkeep_removes_sessions_that_are_over(void **state)
{
    char id[64];
    GcReport report;
    Error error = { 0 };
    Engine *engine = open_at(START);
    start(engine, "asks", 1, id);
    work(engine);
    if (store_gc(engine->store, START + 23 * HOUR, &report, NULL, NULL, &error)) fail_msg("%s", error.text);
    assert_int_equal(report.runs, 0);
    if (store_gc(engine->store, START + 25 * HOUR, &report, NULL, NULL, &error)) fail_msg("%s", error.text);
    assert_int_equal(report.runs, 1);
    expect_nowhere(engine, id);
    engine_close(engine);
}

/* ---- the session store ---- */

/* A database of its own in the server, empty. */
static const char *redis_url(void)
{
    static char text[300];
    const char *server = getenv("FLOW_TEST_REDIS");
    snprintf(text, sizeof text, "%s%cdb=%d", server, strchr(server, '?') ? '&' : '?', (int)getpid() % 1000 + 1);
    return text;
}

static Engine *open_with_redis(int64_t now_us)
{
    EngineOptions options = { .store_url = url, .redis_url = redis_url(), .virtual_time = true, .virtual_start_us = now_us };
    Engine *engine;
    Error error = { 0 };
    if (engine_open(&options, &engine, &error) || engine_deploy(engine, image, &error)) fail_msg("%s", error.text);
    return engine;
}

static bool no_redis(void)
{
    if (!getenv("FLOW_TEST_REDIS")) return true;
    Error error = { 0 };
    if (store_drop(redis_url(), &error)) fail_msg("%s", error.text);
    return false;
}

static RunStatus status_of(Engine *engine, Str tenant, const char *id, char result[64])
{
    Arena *arena = arena_new();
    RunRow row;
    Error error = { 0 };
    if (engine_find_run(engine, tenant, str_of(id), arena, &row, &error)) fail_msg("%s", error.text);
    snprintf(result, 64, "%.*s", STR_ARG(row.result_json));
    arena_free(arena);
    return row.status;
}

/* The store of the runs crashes at one of its operations; another engine goes on. True while there was such an operation. */
static bool tell_story(uint64_t nth, CrashSide side)
{
    char id[64] = "", tenant[32], result[64] = "";
    snprintf(tenant, sizeof tenant, "t%d-%d", (int)nth, (int)side);
    const EnginePrincipal who = { .tenant = str_of(tenant), .user = { "anna", 4 }, .user_name = { "Anna", 4 } };
    Engine *engine = open_with_redis(START);
    Error error = { 0 };
    bool crashed = false, answered = false;
    if (engine_start(engine, image, STR("story"), STR("{\"n\":1}"), &who, id, &error)) fail_msg("%s", error.text);
    store_crash_at(engine->sessions, nth, side, false);
    for (int turns = 0; turns < 20; turns++) {
        Arena *arena = arena_new();
        RunRow row = { .status = RUN_READY };
        Err err = engine_work(engine, str_of(tenant), NOBODY, &error);
        if (!err && !answered) {
            err = engine_answer(engine, str_of(tenant), str_of(id), STR("true"), &error);
            answered = err == ERR_OK || err == ERR_CONFLICT;
            if (err == ERR_CONFLICT) err = ERR_OK;           /* it was durable before the crash */
        } else if (!err) err = engine_advance(engine, 61 * TIME_SECOND, &error);
        if (!err) err = engine_find_run(engine, str_of(tenant), str_of(id), arena, &row, &error);        /* a worker goes on without its sessions: here it shows */
        bool over = !err && run_status_ended(row.status);
        arena_free(arena);
        if (over) break;
        if (!err) continue;
        if (err != ERR_CRASH) fail_msg("%llu %d: %s: %s", (unsigned long long)nth, (int)side, err_name(err), error.text);
        assert_false(crashed);
        crashed = true;
        int64_t now = engine->virtual_now;
        engine_close(engine);
        engine = open_with_redis(now);
    }
    if (status_of(engine, str_of(tenant), id, result) != RUN_COMPLETED || !str_is(str_of(result), "5")) fail_msg("crash %s operation %llu: %s", side == CRASH_BEFORE ? "before" : "after", (unsigned long long)nth, result);
    engine_close(engine);
    return crashed;
}

/* Each step once, whichever operation the process dies at: four rows of its own, one of the handler. */
static void a_session_run_survives_a_crash_at_each_operation_of_its_store(void **state)
{
    if (no_redis()) skip();
    uint64_t crashes = 0;
    for (int side = CRASH_BEFORE; side <= CRASH_AFTER; side++) {
        uint64_t nth = 1, step = on_postgres ? 3 : 1;       /* the store of the sessions is the same one */
        for (; nth < 100 && tell_story(nth, (CrashSide)side); nth += step) crashes++;
    }
    if (crashes < (on_postgres ? 4 : 10)) fail_msg("only %d operations were hit", (int)crashes);
}

static void a_strict_run_signals_a_session_run(void **state)
{
    if (no_redis()) skip();
    char id[64], teller[64] = "", input[128];
    Engine *engine = open_with_redis(START);
    Error error = { 0 };
    start(engine, "told", 1, id);
    work(engine);
    for (int round = 0; round < 2; round++) {                /* the second finds it ended, which is no failure */
        teller[0] = '\0';
        snprintf(input, sizeof input, "{\"n\":%d,\"target\":\"%s\"}", 7 + round, id);
        if (engine_start(engine, image, STR("tells"), str_of(input), &WHO, teller, &error)) fail_msg("%s", error.text);
        work(engine);
        expect_run(engine, teller, RUN_COMPLETED, round ? "8" : "7");
        expect_run(engine, id, RUN_COMPLETED, "7");
    }
    teller[0] = '\0';
    if (engine_start(engine, image, STR("tells"), STR("{\"n\":1,\"target\":\"R-nobody\"}"), &WHO, teller, &error)) fail_msg("%s", error.text);
    work(engine);
    expect_run(engine, teller, RUN_FAILED, "not_found");
    assert_int_equal(marks(engine), 1);
    engine_close(engine);
}

static void what_is_kept_for_itself_alone_cannot_be_forked(void **state)
{
    if (no_redis()) skip();
    char session[64], none[64], out[64];
    Engine *engine = open_with_redis(START);
    Error error = { 0 };
    start(engine, "asks", 1, session), start(engine, "fast", 1, none);
    work(engine);
    assert_int_equal(engine_fork(engine, TENANT, str_of(session), 1, out, &error), ERR_UNSUPPORTED);
    assert_non_null(strstr(error.text, "durability session"));
    assert_int_equal(engine_fork(engine, TENANT, str_of(none), 1, out, &error), ERR_UNSUPPORTED);
    assert_non_null(strstr(error.text, "durability none"));
    engine_close(engine);
}

/* ---- the hot copy of a strict run ---- */

typedef enum { COPY_KEPT, COPY_FLUSHED, COPY_DAMAGED, COPY_OLD } Copy;

static void read_copy(const HotResult *result, void *arg)
{
    *(bool *)arg = !result->err && result->found;
}

static void settle_hot(Engine *engine)
{
    while (hot_busy(engine->hot)) hot_wait(engine->hot);
}

/* A strict run parks; its copy is treated as said; without_snapshot: the store's own is taken away. Returns how it ended. */
static RunStatus resume_with(Copy copy, bool without_snapshot)
{
    char id[64], key[128], result[64] = "";
    bool there = false;
    Engine *engine = open_with_redis(START);
    Error error = { 0 };
    start(engine, "strict_asks", 1, id);
    work(engine);
    snprintf(key, sizeof key, "session:%s:state", id);
    settle_hot(engine);
    hot_read(engine->hot, TENANT, str_of(key), START, read_copy, &there);
    settle_hot(engine);
    assert_true(there);
    const HotField damaged[] = { { STR("bytes"), STR("no snapshot at all") } }, old[] = { { STR("seq"), STR("1") } };
    if (copy == COPY_FLUSHED) hot_erase(engine->hot, TENANT, str_of(key), NULL, NULL);
    if (copy == COPY_DAMAGED) hot_put(engine->hot, TENANT, str_of(key), damaged, 1, START, 3600 * TIME_SECOND, NULL, NULL);
    if (copy == COPY_OLD) hot_put(engine->hot, TENANT, str_of(key), old, 1, START, 3600 * TIME_SECOND, NULL, NULL);
    settle_hot(engine);
    engine_close(engine);
    if (without_snapshot) {
        sqlite3 *db;
        assert_int_equal(sqlite3_open(url + strlen("sqlite:"), &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "UPDATE flow_snapshots SET seq = seq + 1000", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
    }
    engine = open_with_redis(START);
    if (engine_answer(engine, TENANT, str_of(id), STR("true"), &error)) fail_msg("%s", error.text);
    work(engine);
    RunStatus status = status_of(engine, TENANT, id, result);
    if (status == RUN_COMPLETED) {
        assert_string_equal(result, "1");
        settle_hot(engine);
        hot_read(engine->hot, TENANT, str_of(key), START, read_copy, &there);
        settle_hot(engine);
        assert_false(there);                                 /* it went with the run */
    }
    engine_close(engine);
    return status;
}

static void the_hot_copy_is_used_and_missed_by_nobody(void **state)
{
    if (no_redis()) skip();
    for (Copy copy = COPY_KEPT; copy <= COPY_OLD; copy++) assert_int_equal(resume_with(copy, false), RUN_COMPLETED);
    if (on_postgres) return;
    assert_int_equal(resume_with(COPY_KEPT, true), RUN_COMPLETED);           /* nothing but the copy has it */
    assert_int_equal(resume_with(COPY_FLUSHED, true), RUN_FAILED);
    assert_int_equal(resume_with(COPY_DAMAGED, true), RUN_FAILED);
}

#define DURABILITY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    if (getenv("FLOW_TEST_ONLY")) cmocka_set_test_filter(getenv("FLOW_TEST_ONLY"));
    const struct CMUnitTest tests[] = {
        DURABILITY_TEST(a_run_without_durability_leaves_nothing_but_what_it_did), DURABILITY_TEST(it_is_lost_with_its_process_and_not_begun_again),
        DURABILITY_TEST(it_is_never_taken_over_however_long_it_takes), DURABILITY_TEST(many_of_them_are_forgotten_when_they_have_ended),
        DURABILITY_TEST(a_session_in_rows_is_over_a_day_after_its_last_write), DURABILITY_TEST(a_session_that_wakes_too_late_fails),
        DURABILITY_TEST(upkeep_removes_sessions_that_are_over),
        DURABILITY_TEST(a_session_run_survives_a_crash_at_each_operation_of_its_store), DURABILITY_TEST(a_strict_run_signals_a_session_run),
        DURABILITY_TEST(what_is_kept_for_itself_alone_cannot_be_forked), DURABILITY_TEST(the_hot_copy_is_used_and_missed_by_nobody),
    };
    int failed = cmocka_run_group_tests_name("durability on sqlite", tests, NULL, NULL);
    if (!getenv("FLOW_TEST_POSTGRES")) {
        puts("test_durability: PostgreSQL skipped, FLOW_TEST_POSTGRES names no server (scripts/test.sh starts one)");
        return failed;
    }
    on_postgres = true;
    return failed + cmocka_run_group_tests_name("durability on postgresql", tests, NULL, NULL);
}
