/* test_durability.c - runs that are kept for a day (`durability session` in rows) and runs that are not kept (`durability none`). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
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

#define DURABILITY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DURABILITY_TEST(a_run_without_durability_leaves_nothing_but_what_it_did), DURABILITY_TEST(it_is_lost_with_its_process_and_not_begun_again),
        DURABILITY_TEST(it_is_never_taken_over_however_long_it_takes), DURABILITY_TEST(many_of_them_are_forgotten_when_they_have_ended),
        DURABILITY_TEST(a_session_in_rows_is_over_a_day_after_its_last_write), DURABILITY_TEST(a_session_that_wakes_too_late_fails),
        DURABILITY_TEST(upkeep_removes_sessions_that_are_over),
    };
    int failed = cmocka_run_group_tests_name("durability on sqlite", tests, NULL, NULL);
    if (!getenv("FLOW_TEST_POSTGRES")) {
        puts("test_durability: PostgreSQL skipped, FLOW_TEST_POSTGRES names no server (scripts/test.sh starts one)");
        return failed;
    }
    on_postgres = true;
    return failed + cmocka_run_group_tests_name("durability on postgresql", tests, NULL, NULL);
}
