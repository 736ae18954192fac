/* test_launch.c - runs started without waiting: many share a commit, each is its worker's from that commit, and its end is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "compiler/typed.h"
#include "interpreter/sched/engine.h"

static const EnginePrincipal WHO = { .tenant = { "family", 6 }, .user = { "anna", 4 }, .user_name = { "Anna", 4 } };
static const Str TENANT = { "family", 6 }, NOBODY = { "", 0 };
enum { MANY = 40 };

static const char *const PROGRAM =
    "table entries of ledger {\n"
    "    id: id \"ENT\"\n"
    "    amount: int\n"
    "}\n"
    "agent ledger \"Ledger\" {}\n"
    "flow adds(n: int) -> int {\n"
    "    insert entries { amount: n }\n"
    "    return n + 1\n"
    "}\n"
    "flow single(n: int) -> int\n"
    "    one per user\n"
    "{\n"
    "    insert entries { amount: n }\n"
    "    return n\n"
    "}\n"
    "flow thinks(n: int) -> int {\n"
    "    return n + llm.complete(\"step\").length() + uuid().length()\n"
    "}\n"
    "flow naps(n: int) -> int {\n"
    "    let id = uuid()\n"
    "    sleep 1h\n"
    "    return n + id.length()\n"
    "}\n"
    "flow asks(n: int) -> int {\n"
    "    let more = ask \"How many more than ${n}?\" as int\n"
    "    return n + more\n"
    "}\n";

typedef struct World { char path[64]; Image *image; Program *program; Engine *engine; int started, refused, ended; uint64_t first, last /* commits, as the first and the last start were told */; int64_t sum; Err err; } World;

static void on_settled(const RunRow *run, void *arg)
{
    World *w = arg;
    if (run->status == RUN_PARKED) return;
    assert_int_equal(run->status, RUN_COMPLETED);
    w->ended++;
    char text[32];
    snprintf(text, sizeof text, "%.*s", STR_ARG(run->result_json));
    w->sum += atoll(text);
}

static void on_started(Err err, const Error *error, Str run_id, void *arg)
{
    World *w = arg;
    assert_true(run_id.len > 0);
    if (err) w->refused++, w->err = err;
    else w->started++;
    w->last = store_commits(engine_store(w->engine));
    if (w->started + w->refused == 1) w->first = w->last;
}

static void open_engine(World *w)
{
    char url[80];
    Error error = { 0 };
    snprintf(url, sizeof url, "sqlite:%s", w->path);
    EngineOptions options = { .store_url = url, .worker = "test", .virtual_time = true, .virtual_start_us = INT64_C(1762768800000000), .on_settled = on_settled, .arg = w };
    if (engine_open(&options, &w->engine, &error) || engine_deploy(w->engine, w->image, &error)) fail_msg("%s", error.text);
}

static void world_init(World *w)
{
    static int serial;
    *w = (World){ 0 };
    snprintf(w->path, sizeof w->path, "/tmp/flow_launch_%d_%d.db", (int)getpid(), ++serial);
    w->program = program_of_text("launch.flow", str_of(PROGRAM), NULL, 0);
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
    for (int i = 0; i < 3; i++) {
        char path[80];
        snprintf(path, sizeof path, "%s%s", w->path, ends[i]);
        unlink(path);
    }
}

static Err launch(World *w, const char *flow, int n, char run_id[64])
{
    char input[32];
    Error error = { 0 };
    snprintf(input, sizeof input, "{\"n\":%d}", n);
    return engine_launch(w->engine, w->image, str_of(flow), str_of(input), &WHO, run_id, on_started, w, &error);
}

static void work(World *w)
{
    Error error = { 0 };
    if (engine_work(w->engine, NOBODY, NOBODY, &error)) fail_msg("%s", error.text);
}

static void many_starts_share_a_commit(void **state)
{
    World w;
    world_init(&w);
    uint64_t before = store_commits(engine_store(w.engine));
    for (int i = 0; i < MANY; i++) {
        char run_id[64] = "";
        assert_int_equal(launch(&w, "adds", i, run_id), ERR_OK);
    }
    assert_int_equal(w.started, 0);
    work(&w);
    assert_int_equal(w.started, MANY);
    assert_true(w.first == before + 1 && w.last == before + 1);
    assert_int_equal(w.ended, MANY);
    assert_int_equal(w.sum, MANY * (MANY - 1) / 2 + MANY);
    FsckReport report = { 0 };
    Buf text = { 0 };
    Error error;
    assert_int_equal(store_fsck(engine_store(w.engine), &report, &text, &error), ERR_OK);
    assert_int_equal(report.runs, MANY);
    assert_int_equal(report.problems, 0);
    buf_free(&text);
    world_deinit(&w);
}

/* A key decides at the claim, so such a run is claimed like any other. */
static void a_key_still_counts(void **state)
{
    World w;
    world_init(&w);
    for (int i = 0; i < 3; i++) {
        char run_id[64] = "";
        assert_int_equal(launch(&w, "single", i, run_id), ERR_OK);
    }
    work(&w);
    assert_int_equal(w.started, 3);
    assert_int_equal(w.ended, 3);
    world_deinit(&w);
}

static void an_id_that_is_taken_is_refused(void **state)
{
    World w;
    world_init(&w);
    char run_id[64] = "R-same", again[64] = "R-same";
    assert_int_equal(launch(&w, "adds", 1, run_id), ERR_OK);
    work(&w);
    assert_int_equal(launch(&w, "adds", 5, again), ERR_OK);
    work(&w);
    assert_int_equal(w.refused, 1);
    assert_int_equal(w.err, ERR_CONFLICT);
    assert_int_equal(w.ended, 1);
    assert_int_equal(w.sum, 2);
    world_deinit(&w);
}

/* Two launches under one id before either is durable: one run, and the other is told that it is there. */
static void an_id_that_is_launched_twice_is_one_run(void **state)
{
    for (int first_is_stored = 0; first_is_stored < 2; first_is_stored++) {
        World w;
        world_init(&w);
        char run_id[64] = "R-same", again[64] = "R-same";
        assert_int_equal(launch(&w, "adds", 1, run_id), ERR_OK);
        assert_int_equal(launch(&w, "adds", 1, again), ERR_OK);
        if (first_is_stored) store_wait(engine_store(w.engine));
        work(&w);
        assert_true(w.started == 1 && w.refused == 1);
        assert_int_equal(w.err, ERR_CONFLICT);
        assert_int_equal(w.ended, 1);
        assert_int_equal(w.sum, 2);
        world_deinit(&w);
    }
}

/* Before its commit a crash leaves no run; after it, one that the next worker takes over and finishes. */
static void a_crash_at_the_start(void **state)
{
    for (int side = CRASH_BEFORE; side <= CRASH_AFTER; side++) {
        World w;
        world_init(&w);
        char run_id[64] = "R-crash";
        store_crash_at(engine_store(w.engine), 1, (CrashSide)side, false);
        assert_int_equal(launch(&w, "adds", 7, run_id), ERR_OK);
        Error error;
        assert_int_equal(engine_work(w.engine, NOBODY, NOBODY, &error), ERR_CRASH);
        assert_int_equal(w.refused, 1);
        assert_int_equal(w.err, ERR_CRASH);
        engine_close(w.engine);
        open_engine(&w);
        work(&w);
        assert_int_equal(w.ended, side == CRASH_AFTER);
        assert_int_equal(w.sum, side == CRASH_AFTER ? 8 : 0);
        Arena *arena = arena_new();
        RunRow row;
        assert_int_equal(engine_find_run(w.engine, TENANT, str_of(run_id), arena, &row, &error), side == CRASH_AFTER ? ERR_OK : ERR_NOT_FOUND);
        arena_free(arena);
        world_deinit(&w);
    }
}

static uint64_t commits(World *w) { return store_commits(engine_store(w->engine)); }

/* The entries of its journal as digits, oldest first. */
static const char *entries(World *w, const char *run_id)
{
    static char text[64];
    Error error;
    StoreBatch *batch = store_batch(engine_store(w->engine), TENANT, str_of(run_id), 0);
    int index = store_get_journal(batch, str_of(run_id), 0, 60);
    uint32_t count = 0;
    if (store_run_batch(batch, &error)) fail_msg("%s", error.text);
    const JournalRow *rows = store_journal(batch, index, &count);
    for (uint32_t i = 0; i < count; i++) text[i] = (char)('0' + rows[i].entry);
    text[count] = '\0';
    store_batch_free(batch);
    return text;
}

/* What asks nobody outside is one commit from its start to its end. */
static void a_run_that_asks_nobody_is_one_commit(void **state)
{
    World w;
    world_init(&w);
    char run_id[64] = "R-thinks";
    uint64_t before = commits(&w);
    assert_int_equal(launch(&w, "thinks", 1, run_id), ERR_OK);
    work(&w);
    assert_int_equal(commits(&w) - before, 1);
    assert_int_equal(w.ended, 1);
    assert_int_equal(w.sum, 1 + 4 + 36);
    assert_string_equal(entries(&w, run_id), "11");
    world_deinit(&w);
}

/* One that parks at its beginning is one commit, too, has no snapshot, and what it had learned by then still counts in the next process. */
static void a_run_that_parks_at_once_is_one_commit(void **state)
{
    for (int side = CRASH_BEFORE; side <= CRASH_AFTER + 1; side++) {
        World w;
        Error error;
        world_init(&w);
        char run_id[64] = "R-naps";
        uint64_t before = commits(&w);
        assert_int_equal(launch(&w, "naps", 1, run_id), ERR_OK);
        work(&w);
        assert_int_equal(commits(&w) - before, 1);
        assert_int_equal(w.started, 1);
        assert_string_equal(entries(&w, run_id), "11");
        engine_close(w.engine);
        open_engine(&w);
        if (side <= CRASH_AFTER) {                       /* the commit in which it goes on is lost, or the last one before the process is */
            store_crash_at(engine_store(w.engine), 2, (CrashSide)side, false);
            assert_int_equal(engine_advance(w.engine, INT64_C(3600000000), &error), ERR_CRASH);
            engine_close(w.engine);
            open_engine(&w);
        }
        if (engine_advance(w.engine, INT64_C(3600000000), &error)) fail_msg("%s", error.text);
        assert_int_equal(w.ended, side != CRASH_AFTER);                          /* it had ended then, and nobody was told */
        if (w.ended) assert_int_equal(w.sum, 37);
        assert_string_equal(entries(&w, run_id), "11781");
        FsckReport report = { 0 };
        Buf text = { 0 };
        assert_int_equal(store_fsck(engine_store(w.engine), &report, &text, &error), ERR_OK);
        assert_int_equal(report.problems, 0);
        assert_int_equal(report.snapshots, 0);
        buf_free(&text);
        world_deinit(&w);
    }
}

static void a_question_asked_at_once_is_answered_later(void **state)
{
    World w;
    Error error;
    world_init(&w);
    char run_id[64] = "R-asks";
    assert_int_equal(launch(&w, "asks", 3, run_id), ERR_OK);
    work(&w);
    Arena *arena = arena_new();
    RunRow row;
    assert_int_equal(engine_find_run(w.engine, TENANT, str_of(run_id), arena, &row, &error), ERR_OK);
    assert_int_equal(row.status, RUN_PARKED);
    assert_non_null(strstr(arena_printf(arena, "%.*s", STR_ARG(row.waits_json)), "How many more than 3?"));
    arena_free(arena);
    if (engine_answer(w.engine, TENANT, str_of(run_id), STR("4"), &error)) fail_msg("%s", error.text);
    work(&w);
    assert_int_equal(w.ended, 1);
    assert_int_equal(w.sum, 7);
    assert_string_equal(entries(&w, run_id), "781");
    world_deinit(&w);
}

static void a_wrong_input_is_told_at_once(void **state)
{
    World w;
    char run_id[64] = "";
    Error error;
    world_init(&w);
    assert_int_equal(engine_launch(w.engine, w.image, STR("adds"), STR("{\"m\":1}"), &WHO, run_id, on_started, &w, &error), ERR_INVALID);
    work(&w);
    assert_int_equal(w.started + w.refused, 0);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_starts_share_a_commit),
        cmocka_unit_test(a_key_still_counts),
        cmocka_unit_test(an_id_that_is_taken_is_refused),
        cmocka_unit_test(an_id_that_is_launched_twice_is_one_run),
        cmocka_unit_test(a_crash_at_the_start),
        cmocka_unit_test(a_run_that_asks_nobody_is_one_commit),
        cmocka_unit_test(a_run_that_parks_at_once_is_one_commit),
        cmocka_unit_test(a_question_asked_at_once_is_answered_later),
        cmocka_unit_test(a_wrong_input_is_told_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
