/* test_events.c - who hears an event across modules, and what becomes of what nobody could handle. Virtual time, embedded store. */
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

#define EVENT  "event Told { n: int }\n"
#define FACTS(agent) "table facts of " agent " { id: id \"F\"\n n: int }\n"
static const char EMITTER[] = EVENT "flow tell(n: int) { emit Told { n } }\n";
static const char EMITTER_HEARS[] = EVENT FACTS("ear") "agent ear \"Ear\" { on Told as e { insert facts { n: e.n } } }\nflow tell(n: int) { emit Told { n } }\n";
static const char LISTENER[] = EVENT FACTS("ear") "agent ear \"Ear\" { on Told as e { insert facts { n: e.n } } }\nflow total() -> int { return sum(facts.n) }\n";
static const char LISTENER_TWICE[] = EVENT FACTS("ear") "agent ear \"Ear\" { on Told as e { insert facts { n: e.n * 2 } } }\nflow total() -> int { return sum(facts.n) }\n";
static const char LISTENER_DEAF[] = EVENT FACTS("ear") "agent ear \"Ear\" {}\nflow total() -> int { return sum(facts.n) }\n";
static const char LISTENER_OTHER[] = "event Told { text: string }\n" FACTS("ear") "agent ear \"Ear\" { on Told as e { insert facts { n: 1000 } } }\nflow total() -> int { return sum(facts.n) }\n";
static const char LISTENER_BROKEN[] = EVENT FACTS("ear") "agent ear \"Ear\" { on Told as e { insert facts { n: e.n }\n fail rejected \"never\" } }\nflow total() -> int { return sum(facts.n) }\n";
static const char FILE_LISTENER[] = EVENT "table marks { id: id \"M\"\n n: int }\non Told as e { insert marks { n: e.n } }\nflow marked() -> int { return count(marks) }\n";

typedef struct World { char path[64]; Engine *engine; } World;

static void open_engine(World *w)
{
    char url[80];
    Error error = { 0 };
    snprintf(url, sizeof url, "sqlite:%s", w->path);
    EngineOptions options = { .store_url = url, .worker = "test", .virtual_time = true, .virtual_start_us = INT64_C(1762768800000000), .auto_advance = true };
    if (engine_open(&options, &w->engine, &error)) fail_msg("%s", error.text);
}

static void world_init(World *w)
{
    static int serial;
    *w = (World){ 0 };
    snprintf(w->path, sizeof w->path, "/tmp/flow_events_%d_%d.db", (int)getpid(), ++serial);
    open_engine(w);
}

static void world_deinit(World *w)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    engine_close(w->engine);
    for (int i = 0; i < 3; i++) {
        char path[80];
        snprintf(path, sizeof path, "%s%s", w->path, ends[i]);
        unlink(path);
    }
}

static Image *deploy(World *w, const char *file, const char *text)
{
    Error error = { 0 };
    Program *program = program_of_text(file, str_of(text), NULL, 0);
    Image *image = compile_program(program, false);
    if (!image) {
        Buf out = { 0 };
        diags_render(program->diags, program->sources, DIAG_FORMAT_TEXT, false, &out);
        fail_msg("%s", buf_cstr(&out));
    }
    if (engine_deploy(w->engine, image, &error)) fail_msg("%s", error.text);
    program_free(program);
    return image;
}

/* Runs a flow and all that it causes; its result as JSON. */
static void run(World *w, Image *image, const char *flow, const char *input, char result[80])
{
    char id[64] = "";
    Error error = { 0 };
    RunRow row;
    Arena *arena = arena_new();
    if (engine_start(w->engine, image, str_of(flow), str_of(input), &WHO, id, &error) || engine_work(w->engine, NOBODY, NOBODY, &error)) fail_msg("%s", error.text);
    assert_int_equal(engine_find_run(w->engine, TENANT, str_of(id), arena, &row, &error), ERR_OK);
    assert_int_equal(row.status, RUN_COMPLETED);
    snprintf(result, 80, "%.*s", STR_ARG(row.result_json));
    arena_free(arena);
}

static void tell(World *w, Image *image, const char *input)
{
    char result[80];
    run(w, image, "tell", input, result);
}

static int asked(World *w, Image *image, const char *flow)
{
    char result[80];
    run(w, image, flow, "{}", result);
    return atoi(result);
}

static uint32_t dead_letters(World *w, char *first, char event_id[80])
{
    StoreBatch *batch = store_batch(engine_store(w->engine), TENANT, NOBODY, 0);
    int index = store_list_dead(batch, 0);
    uint32_t count;
    assert_int_equal(store_run_batch(batch, NULL), ERR_OK);
    const DeadRow *rows = store_dead(batch, index, &count);
    if (count) snprintf(first, 160, "%.*s after %u", STR_ARG(rows[0].subscriber), rows[0].attempts);
    if (count) snprintf(event_id, 80, "%.*s", STR_ARG(rows[0].event_id));
    store_batch_free(batch);
    return count;
}

static void a_handler_of_another_program_hears(void **state)
{
    World w;
    world_init(&w);
    Image *listener = deploy(&w, "listener.flow", LISTENER), *emitter = deploy(&w, "emitter.flow", EMITTER);
    tell(&w, emitter, "{\"n\":7}");
    assert_int_equal(asked(&w, listener, "total"), 7);
    image_free(listener), image_free(emitter);
    world_deinit(&w);
}

static void the_newest_module_handles_and_one_that_is_deaf_does_not(void **state)
{
    World w;
    world_init(&w);
    Image *emitter = deploy(&w, "emitter.flow", EMITTER), *one = deploy(&w, "listener.flow", LISTENER), *two = deploy(&w, "listener.flow", LISTENER_TWICE);
    tell(&w, emitter, "{\"n\":7}");
    assert_int_equal(asked(&w, one, "total"), 14);
    Image *deaf = deploy(&w, "listener.flow", LISTENER_DEAF);
    tell(&w, emitter, "{\"n\":7}");
    assert_int_equal(asked(&w, one, "total"), 14);
    engine_close(w.engine);
    open_engine(&w);
    Image *again = deploy(&w, "listener.flow", LISTENER);
    tell(&w, emitter, "{\"n\":1}");
    assert_int_equal(asked(&w, again, "total"), 15);
    image_free(emitter), image_free(one), image_free(two), image_free(deaf), image_free(again);
    world_deinit(&w);
}

/* Top-level handlers belong to their file: two files may have the like. */
static void handlers_without_an_agent_are_their_files(void **state)
{
    World w;
    world_init(&w);
    Image *emitter = deploy(&w, "emitter.flow", EMITTER), *one = deploy(&w, "one.flow", FILE_LISTENER), *two = deploy(&w, "two.flow", FILE_LISTENER);
    tell(&w, emitter, "{\"n\":1}");
    assert_int_equal(asked(&w, one, "marked"), 2);
    assert_int_equal(asked(&w, two, "marked"), 2);
    image_free(emitter), image_free(one), image_free(two);
    world_deinit(&w);
}

/* The deployed handler does not know the event's shape: the emitter's own does. Without one the event is dead for it. */
static void an_event_of_another_shape(void **state)
{
    World w;
    char first[160], id[80];
    world_init(&w);
    Image *emitter = deploy(&w, "emitter.flow", EMITTER_HEARS), *plain = deploy(&w, "plain.flow", EMITTER), *other = deploy(&w, "listener.flow", LISTENER_OTHER);
    tell(&w, emitter, "{\"n\":7}");
    assert_int_equal(asked(&w, other, "total"), 7);
    assert_int_equal(dead_letters(&w, first, id), 0);
    tell(&w, plain, "{\"n\":8}");
    assert_int_equal(asked(&w, other, "total"), 7);
    assert_int_equal(dead_letters(&w, first, id), 1);
    assert_string_equal(first, "ear.on_Told after 0");
    image_free(emitter), image_free(plain), image_free(other);
    world_deinit(&w);
}

static uint32_t replay(World *w, const char *event, const char *subscriber, Err expected)
{
    uint32_t replayed = 0, refused = 0;
    Error error = { 0 };
    assert_int_equal(engine_replay_dead(w->engine, TENANT, str_of(event), str_of(subscriber), &replayed, &refused, &error), expected);
    if (!expected && engine_work(w->engine, NOBODY, NOBODY, &error)) fail_msg("%s", error.text);
    return replayed * 100 + refused;
}

static void a_replay_is_a_fresh_attempt_by_what_is_deployed_now(void **state)
{
    World w;
    char first[160], id[80];
    world_init(&w);
    Image *emitter = deploy(&w, "emitter.flow", EMITTER), *broken = deploy(&w, "listener.flow", LISTENER_BROKEN);
    tell(&w, emitter, "{\"n\":7}");
    assert_int_equal(dead_letters(&w, first, id), 1);
    assert_string_equal(first, "ear.on_Told after 5");
    assert_int_equal(asked(&w, broken, "total"), 35);
    assert_int_equal(replay(&w, id, "other", ERR_NOT_FOUND), 0);
    assert_int_equal(replay(&w, "E-none", "", ERR_NOT_FOUND), 0);
    assert_int_equal(replay(&w, id, "ear.on_Told", ERR_OK), 100);
    assert_int_equal(asked(&w, broken, "total"), 70);                       /* five attempts again, and dead again */
    assert_int_equal(dead_letters(&w, first, id), 1);
    assert_string_equal(first, "ear.on_Told after 10");
    Image *repaired = deploy(&w, "listener.flow", LISTENER);
    assert_int_equal(replay(&w, "", "", ERR_OK), 100);
    assert_int_equal(asked(&w, repaired, "total"), 77);
    assert_int_equal(dead_letters(&w, first, id), 0);
    assert_int_equal(replay(&w, "", "", ERR_OK), 0);
    assert_int_equal(asked(&w, repaired, "total"), 77);
    image_free(emitter), image_free(broken), image_free(repaired);
    world_deinit(&w);
}

static void a_replay_that_nobody_can_take_keeps_the_letter(void **state)
{
    World w;
    char first[160], id[80];
    world_init(&w);
    Image *emitter = deploy(&w, "emitter.flow", EMITTER), *broken = deploy(&w, "listener.flow", LISTENER_BROKEN);
    tell(&w, emitter, "{\"n\":7}");
    Image *deaf = deploy(&w, "listener.flow", LISTENER_DEAF);
    assert_int_equal(replay(&w, "", "", ERR_OK), 1);
    assert_int_equal(dead_letters(&w, first, id), 1);
    image_free(emitter), image_free(broken), image_free(deaf);
    world_deinit(&w);
}

/* Whatever a crash leaves of a replay, the letter is there or its attempt is. */
static void a_replay_survives_a_crash(void **state)
{
    for (int side = CRASH_BEFORE; side <= CRASH_AFTER; side++) {
        World w;
        char first[160], id[80];
        Error error;
        uint32_t replayed, refused;
        world_init(&w);
        Image *emitter = deploy(&w, "emitter.flow", EMITTER), *broken = deploy(&w, "listener.flow", LISTENER_BROKEN);
        tell(&w, emitter, "{\"n\":7}");
        Image *repaired = deploy(&w, "listener.flow", LISTENER);
        assert_int_equal(dead_letters(&w, first, id), 1);
        store_crash_at(engine_store(w.engine), 1, (CrashSide)side, false);
        assert_int_equal(engine_replay_dead(w.engine, TENANT, str_of(id), NOBODY, &replayed, &refused, &error), ERR_CRASH);
        engine_close(w.engine);
        open_engine(&w);
        assert_int_equal(dead_letters(&w, first, id), side == CRASH_BEFORE);
        if (side == CRASH_BEFORE) replay(&w, id, "", ERR_OK);
        assert_int_equal(engine_work(w.engine, NOBODY, NOBODY, &error), ERR_OK);
        assert_int_equal(asked(&w, repaired, "total"), 42);
        image_free(emitter), image_free(broken), image_free(repaired);
        world_deinit(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handler_of_another_program_hears), cmocka_unit_test(the_newest_module_handles_and_one_that_is_deaf_does_not), cmocka_unit_test(handlers_without_an_agent_are_their_files),
        cmocka_unit_test(an_event_of_another_shape), cmocka_unit_test(a_replay_is_a_fresh_attempt_by_what_is_deployed_now), cmocka_unit_test(a_replay_that_nobody_can_take_keeps_the_letter),
        cmocka_unit_test(a_replay_survives_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
