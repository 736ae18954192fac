/* test_engine_age.c - what a run costs does not grow with its age: rows that ride in later commits are not kept without end, and a crash between
 * two of these commits loses no more than what was not durable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "compiler/typed.h"
#include "interpreter/sched/engine_internal.h"

static const EnginePrincipal WHO = { .tenant = { "family", 6 }, .user = { "anna", 4 }, .user_name = { "Anna", 4 } };
static const Str TENANT = { "family", 6 };
enum { ASKED = 3000 };

typedef struct World { char path[64]; Image *image; Program *program; Engine *engine; Arena *arena; } World;

static void open_engine(World *w)
{
    char url[80];
    Error error = { 0 };
    snprintf(url, sizeof url, "sqlite:%s", w->path);
    EngineOptions options = { .store_url = url, .worker = "test", .virtual_time = true, .virtual_start_us = INT64_C(1762768800000000) };
    if (engine_open(&options, &w->engine, &error) || engine_deploy(w->engine, w->image, &error)) fail_msg("%s", error.text);
}

static void world_init(World *w, const char *text)
{
    static int serial;
    *w = (World){ .arena = arena_new() };
    snprintf(w->path, sizeof w->path, "/tmp/flow_age_%d_%d.db", (int)getpid(), ++serial);
    w->program = program_of_text("age.flow", str_of(text), NULL, 0);
    w->image = compile_program(w->program, false);
    assert_non_null(w->image);
    open_engine(w);
}

static void world_deinit(World *w)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    engine_close(w->engine);
    image_free(w->image);
    program_free(w->program);
    arena_free(w->arena);
    for (int i = 0; i < 3; i++) {
        char path[80];
        snprintf(path, sizeof path, "%s%s", w->path, ends[i]);
        unlink(path);
    }
}

static const char *const ASKS_THE_TIME =
    "flow ages(n: int) -> int {\n"
    "    var same = 0\n"
    "    let first = now()\n"
    "    for i in 0..n { if now() == first { same += 1 } }\n"
    "    return same\n"
    "}\n";

static Err run(World *w, char run_id[64])
{
    Error error = { 0 };
    Err err = ERR_OK;
    if (!run_id[0]) {
        char input[32];
        snprintf(input, sizeof input, "{\"n\":%d}", ASKED);
        err = engine_start(w->engine, w->image, STR("ages"), str_of(input), &WHO, run_id, &error);
    }
    return err ? err : engine_work(w->engine, TENANT, str_of(run_id), &error);
}

static void assert_whole(World *w, const char *run_id)
{
    RunRow row;
    Error error = { 0 };
    FsckReport report = { 0 };
    Buf text = { 0 };
    assert_int_equal(engine_find_run(w->engine, TENANT, str_of(run_id), w->arena, &row, &error), ERR_OK);
    assert_int_equal(row.status, RUN_COMPLETED);
    assert_int_equal(atoi(arena_printf(w->arena, "%.*s", STR_ARG(row.result_json))), ASKED);
    assert_int_equal(store_fsck(engine_store(w->engine), &report, &text, &error), ERR_OK);
    assert_int_equal(report.problems, 0);
    assert_true(report.journal_rows >= ASKED);
    buf_free(&text);
}

static void what_rides_does_not_ride_without_end(void **state)
{
    World w;
    char run_id[64] = "";
    world_init(&w, ASKS_THE_TIME);
    uint64_t before = store_commits(engine_store(w.engine));
    assert_int_equal(run(&w, run_id), ERR_OK);
    uint64_t commits = store_commits(engine_store(w.engine)) - before;
    assert_true(commits >= ASKED / ENGINE_ROWS_MAX);
    assert_true(commits < ASKED / ENGINE_ROWS_MAX + 10);
    assert_whole(&w, run_id);
    world_deinit(&w);
}

static void a_crash_between_two_of_its_commits_is_survived(void **state)
{
    static const CrashSide sides[] = { CRASH_BEFORE, CRASH_AFTER };
    for (uint64_t at = 3; at < 12; at += 4)
        for (int s = 0; s < 2; s++) {
            World w;
            char run_id[64] = "";
            world_init(&w, ASKS_THE_TIME);
            store_crash_at(engine_store(w.engine), at, sides[s], false);
            assert_int_equal(run(&w, run_id), ERR_CRASH);
            engine_close(w.engine);
            open_engine(&w);
            assert_int_equal(run(&w, run_id), ERR_OK);
            assert_whole(&w, run_id);
            world_deinit(&w);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_rides_does_not_ride_without_end), cmocka_unit_test(a_crash_between_two_of_its_commits_is_survived) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
