/* test_events_redis.c - events between workers over a real Redis that is killed, emptied and robbed of its groups. The store is one file that all share,
 * and once more a schema of PostgreSQL, when FLOW_TEST_POSTGRES names a server.
 *
 * Every worker is a process. A test starts runs that emit, does what it does to workers and server, and waits, up to a deadline, until nothing is left
 * to do; then every subscriber must have handled every event exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <cmocka.h>
#include "tests/unit/redis_server.h"
#include "compiler/typed.h"
#include "interpreter/sched/engine.h"
#include "interpreter/store/streams.h"

static const EnginePrincipal WHO = { .tenant = { "family", 6 }, .user = { "anna", 4 }, .user_name = { "Anna", 4 } };
static const Str TENANT = { "family", 6 }, NOBODY = { "", 0 };
enum { WORKERS_MAX = 2, DEADLINE_MS = 90000, EVENTS_EACH = 4 };

static const char PROGRAM[] =
    "event Told { n: int }\n"
    "event Echoed { n: int }\n"
    "table facts of ear { id: id \"F\"\n n: int }\n"
    "table marks of eye { id: id \"M\"\n n: int }\n"
    "agent ear \"Ear\" { on Told as e { transaction { insert facts { n: e.n }\n emit Echoed { n: e.n } } } }\n"
    "agent eye \"Eye\" {\n"
    "    on Told as e { insert marks { n: e.n } }\n"
    "    on Told as e where e.n > 1000000 { insert marks { n: -1 } }\n"
    "    on Echoed as e { insert marks { n: 0 } }\n"
    "}\n"
    "flow tell(n: int) {\n"
    "    for i in [0, 1, 2, 3] { emit Told { n: n * 4 + i } }\n"
    "}\n"
    "flow wait_for(n: int) -> int {\n"
    "    let e = await Echoed as e where e.n == n within 1h else fail timeout \"it did not come\"\n"
    "    return e.n\n"
    "}\n"
    "flow facts_count() -> int { return count(facts) }\n"
    "flow marks_count() -> int { return count(marks) }\n";

static bool on_server;
typedef struct World { char path[64], url[400]; Image *image; Engine *engine; pid_t workers[WORKERS_MAX]; int told; } World;

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* Serves until it is told to stop; short spans, so that what takes over does so soon. */
static _Noreturn void serve(const World *w, int number)
{
    Error error = { 0 };
    Engine *engine;
    char name[32];
    snprintf(name, sizeof name, "w%d-%d", number, (int)getpid());
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    EngineOptions options = { .store_url = w->url, .redis_url = redis_url, .worker = name, .lease_us = 3000000, .stop_on_signals = true, .event_republish_us = 300000, .event_stall_us = 400000 };
    Err err = engine_open(&options, &engine, &error);
    if (!err) err = engine_serve(engine, &error);
    if (err) fprintf(stderr, "worker %d: %s\n", number, error.text);
    else engine_close(engine);
    _exit(err != ERR_OK);
}

static void worker_start(World *w, int number)
{
    fflush(NULL);
    w->workers[number] = fork();
    if (w->workers[number] == 0) serve(w, number);
}

static void worker_end(World *w, int number, int signal)
{
    int status;
    if (!w->workers[number]) return;
    kill(w->workers[number], signal);
    waitpid(w->workers[number], &status, 0);
    w->workers[number] = 0;
    if (signal == SIGTERM) assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The test's own engine starts runs and looks; it works on none and dispatches nothing. */
static void world_init(World *w)
{
    static int serial;
    Error error = { 0 };
    *w = (World){ 0 };
    const char *server = getenv("FLOW_TEST_POSTGRES");
    snprintf(w->path, sizeof w->path, "/tmp/flow_events_redis_%d_%d.db", (int)getpid(), ++serial);
    if (on_server) snprintf(w->url, sizeof w->url, "%s%cschema=events_%d_%d", server, strchr(server, '?') ? '&' : '?', (int)getpid(), serial);
    else snprintf(w->url, sizeof w->url, "sqlite:%s", w->path);
    Program *program = program_of_text("told.flow", str_of(PROGRAM), NULL, 0);
    w->image = compile_program(program, false);
    if (!w->image) {
        Buf out = { 0 };
        diags_render(program->diags, program->sources, DIAG_FORMAT_TEXT, false, &out);
        fail_msg("%s", buf_cstr(&out));
    }
    program_free(program);
    EngineOptions options = { .store_url = w->url, .worker = "looker" };
    if (engine_open(&options, &w->engine, &error) || engine_deploy(w->engine, w->image, &error)) fail_msg("%s", error.text);
}

static void world_deinit(World *w)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    for (int i = 0; i < WORKERS_MAX; i++) worker_end(w, i, SIGTERM);
    engine_close(w->engine);
    image_free(w->image);
    if (on_server) assert_int_equal(store_drop(w->url, NULL), ERR_OK);
    for (int i = 0; i < 3 && !on_server; i++) {
        char path[80];
        snprintf(path, sizeof path, "%s%s", w->path, ends[i]);
        unlink(path);
    }
    redis_say("FLUSHALL");
}

static void start(World *w, const char *flow, const char *input, char id[64])
{
    Error error = { 0 };
    id[0] = '\0';
    if (engine_start(w->engine, w->image, str_of(flow), str_of(input), &WHO, id, &error)) fail_msg("%s", error.text);
}

static void tell(World *w, int runs)
{
    for (int i = 0; i < runs; i++) {
        char input[32], id[64];
        snprintf(input, sizeof input, "{\"n\":%d}", w->told++);
        start(w, "tell", input, id);
    }
}

/* Runs that have not ended and events that are not dispatched. */
static uint32_t left(World *w, Str func)
{
    uint32_t runs, events;
    StoreBatch *batch = store_batch(engine_store(w->engine), TENANT, NOBODY, 0);
    int run = store_list_runs(batch, &(RunFilter){ .func_name = func, .status = -1, .unended = true }), event = store_get_outbox(batch, 0);
    assert_int_equal(store_run_batch(batch, NULL), ERR_OK);
    store_runs(batch, run, &runs), store_events(batch, event, &events);
    store_batch_free(batch);
    return runs + events;
}

static void until_quiet(World *w)
{
    int64_t end = clock_ms() + DEADLINE_MS;
    uint32_t still;
    while ((still = left(w, NOBODY)) != 0) {
        if (clock_ms() > end) fail_msg("%u runs and events are still not done", still);
        nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
    }
}

static int asked(World *w, const char *flow)
{
    char id[64];
    Error error;
    RunRow row;
    Arena *arena = arena_new();
    start(w, flow, "{}", id);
    until_quiet(w);
    assert_int_equal(engine_find_run(w->engine, TENANT, str_of(id), arena, &row, &error), ERR_OK);
    assert_int_equal(row.status, RUN_COMPLETED);
    int number = atoi(row.result_json.ptr);
    arena_free(arena);
    return number;
}

/* Each subscriber, each event, once; every handler's run ended well; nothing is dead. */
static void all_is_handled_once(World *w)
{
    until_quiet(w);
    uint32_t failed, dead;
    StoreBatch *batch = store_batch(engine_store(w->engine), TENANT, NOBODY, 0);
    int run = store_list_runs(batch, &(RunFilter){ .status = RUN_FAILED }), letter = store_list_dead(batch, 0);
    assert_int_equal(store_run_batch(batch, NULL), ERR_OK);
    store_runs(batch, run, &failed), store_dead(batch, letter, &dead);
    store_batch_free(batch);
    assert_int_equal(failed + dead, 0);
    assert_int_equal(asked(w, "facts_count"), w->told * EVENTS_EACH);
    assert_int_equal(asked(w, "marks_count"), 2 * w->told * EVENTS_EACH);
}

/* The sum over all partitions of a number that a command answers for the stream of an event. */
static int over_partitions(const char *command, const char *event)
{
    static char key[200];
    int sum = 0;
    const char *keys = redis_say("KEYS flow:*");
    const char *brace = strstr(keys, "flow:{");
    if (!brace) return 0;
    snprintf(key, sizeof key, "%.*s", 22, brace);                         /* flow:{ and 16 digits */
    for (int p = 0; p < STREAM_PARTITIONS; p++) {
        char text[300];
        snprintf(text, sizeof text, command, key, p, event);
        const char *answer = redis_say(text);
        const char *number = strchr(answer, ':');
        if (number) sum += atoi(number + 1);
    }
    return sum;
}

static int published(const char *event) { return over_partitions("XLEN %s.%d}:%s", event); }
static int pending(const char *event) { return over_partitions("XPENDING %s.%d}:%s eye.on_Told", event); }

/* The worker has made its groups, and the connection that publishes was there before. */
static void until_streams(void)
{
    int64_t end = clock_ms() + DEADLINE_MS;
    while (!strstr(redis_say("KEYS flow:*"), "Echoed") && clock_ms() < end) nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
}

static void an_event_goes_over_its_stream_to_each_subscriber(void **state)
{
    World w;
    world_init(&w);
    worker_start(&w, 0);
    until_streams();
    char id[64];
    start(&w, "wait_for", "{\"n\":3}", id);                                /* one that awaits is served by the relay */
    tell(&w, 5);
    all_is_handled_once(&w);
    assert_true(published("Told") >= 20 && published("Echoed") >= 20);
    int64_t end = clock_ms() + DEADLINE_MS;
    while (pending("Told") && clock_ms() < end) nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
    assert_int_equal(pending("Told"), 0);
    world_deinit(&w);
}

/* Entries that name an event again start nothing; neither do those that name none, or one of another name. */
static void what_is_put_into_a_stream_by_others_does_nothing(void **state)
{
    World w;
    world_init(&w);
    worker_start(&w, 0);
    until_streams();
    tell(&w, 2);
    all_is_handled_once(&w);
    char event[80], key[64];
    StoreBatch *batch = store_batch(engine_store(w.engine), TENANT, NOBODY, 0);
    int index = store_list_events(batch, STR("Told"), NOBODY, 1);
    uint32_t count;
    assert_int_equal(store_run_batch(batch, NULL), ERR_OK);
    snprintf(event, sizeof event, "%.*s", STR_ARG(store_events(batch, index, &count)->event_id));
    store_batch_free(batch);
    snprintf(key, sizeof key, "%.22s", strstr(redis_say("KEYS flow:*"), "flow:{"));
    int before = published("Told") + published("Echoed");
    for (int p = 0; p < 3; p++) {
        char command[300];
        snprintf(command, sizeof command, "XADD %s.%d}:Told * t family e %s n Told", key, p, event), redis_say(command);
        snprintf(command, sizeof command, "XADD %s.%d}:Told * t family e E-forged n Told", key, p), redis_say(command);
        snprintf(command, sizeof command, "XADD %s.%d}:Echoed * t family e %s n Echoed", key, p, event), redis_say(command);
        snprintf(command, sizeof command, "XADD %s.%d}:Told * x y", key, p), redis_say(command);
    }
    assert_int_equal(published("Told") + published("Echoed"), before + 12);
    tell(&w, 1);
    all_is_handled_once(&w);
    int64_t end = clock_ms() + DEADLINE_MS;
    while (pending("Told") && clock_ms() < end) nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
    assert_int_equal(pending("Told"), 0);
    world_deinit(&w);
}

static void two_workers_share_and_one_is_killed(void **state)
{
    World w;
    world_init(&w);
    worker_start(&w, 0), worker_start(&w, 1);
    for (int i = 0; i < 4; i++) {
        tell(&w, 5);
        worker_end(&w, i % 2, SIGKILL);
        worker_start(&w, i % 2);
    }
    all_is_handled_once(&w);
    world_deinit(&w);
}

static uint32_t ended(World *w)
{
    uint32_t count;
    StoreBatch *batch = store_batch(engine_store(w->engine), TENANT, NOBODY, 0);
    int index = store_list_runs(batch, &(RunFilter){ .status = RUN_COMPLETED });
    assert_int_equal(store_run_batch(batch, NULL), ERR_OK);
    store_runs(batch, index, &count);
    store_batch_free(batch);
    return count;
}

/* What it read and did not finish goes to the other one; when it wakes, it finds everything done. A server keeps what a transaction has locked for as long
   as its session lives, so there the other one does what it can, until nothing has moved for a while, and the rest after the first has gone on. */
static void a_worker_that_is_stopped_holds_up_nothing(void **state)
{
    World w;
    world_init(&w);
    worker_start(&w, 0);
    tell(&w, 3);
    until_quiet(&w);
    tell(&w, 10);
    kill(w.workers[0], SIGSTOP);
    worker_start(&w, 1);
    int64_t moved_ms = clock_ms();
    for (uint32_t before = 0; on_server && clock_ms() < moved_ms + 4000 && left(&w, NOBODY);) {
        uint32_t now = ended(&w);
        if (now > before) before = now, moved_ms = clock_ms();
        nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
    }
    if (!on_server) all_is_handled_once(&w);
    kill(w.workers[0], SIGCONT);
    tell(&w, 2);
    all_is_handled_once(&w);
    world_deinit(&w);
}

static void the_server_is_killed_and_comes_back_empty(void **state)
{
    World w;
    world_init(&w);
    worker_start(&w, 0), worker_start(&w, 1);
    for (int i = 0; i < 3; i++) {
        tell(&w, 4);
        redis_kill();
        tell(&w, 4);                                       /* without a server events go by the store */
        redis_start(NULL, NULL);
    }
    all_is_handled_once(&w);
    tell(&w, 2);
    all_is_handled_once(&w);
    world_deinit(&w);
}

static void the_server_forgets_everything(void **state)
{
    World w;
    world_init(&w);
    worker_start(&w, 0), worker_start(&w, 1);
    for (int i = 0; i < 6; i++) {
        tell(&w, 4);
        redis_say("FLUSHALL");
    }
    all_is_handled_once(&w);
    world_deinit(&w);
}

static void groups_are_destroyed(void **state)
{
    World w;
    world_init(&w);
    worker_start(&w, 0);
    tell(&w, 2);
    until_quiet(&w);
    for (int i = 0; i < 5; i++) {
        tell(&w, 4);
        over_partitions("XGROUP DESTROY %s.%d}:%s eye.on_Told", "Told");
        over_partitions("XGROUP DESTROY %s.%d}:%s eye.on_Echoed", "Echoed");
    }
    all_is_handled_once(&w);
    world_deinit(&w);
}

static void dead_letters_are_told_of(void **state)
{
    World w;
    world_init(&w);
    StoreBatch *batch = store_batch(engine_store(w.engine), TENANT, NOBODY, 0);
    store_put_dead(batch, &(DeadRow){ .tenant = TENANT, .event_id = STR("E-1"), .subscriber = STR("eye.on_Told"), .error = STR("{}"), .attempts = 5 });
    assert_int_equal(store_run_batch(batch, NULL), ERR_OK);
    store_batch_free(batch);
    worker_start(&w, 0);
    int64_t end = clock_ms() + DEADLINE_MS;
    while (published("dead") == 0 && clock_ms() < end) nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
    assert_int_equal(published("dead"), 1);
    world_deinit(&w);
}

int main(void)
{
    if (!redis_available("test_events_redis")) return 0;
    redis_start(NULL, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_goes_over_its_stream_to_each_subscriber), cmocka_unit_test(what_is_put_into_a_stream_by_others_does_nothing), cmocka_unit_test(two_workers_share_and_one_is_killed),
        cmocka_unit_test(a_worker_that_is_stopped_holds_up_nothing), cmocka_unit_test(the_server_is_killed_and_comes_back_empty), cmocka_unit_test(the_server_forgets_everything),
        cmocka_unit_test(groups_are_destroyed), cmocka_unit_test(dead_letters_are_told_of),
    };
    int failed = cmocka_run_group_tests_name("events over Redis, SQLite", tests, NULL, NULL);
    if ((on_server = getenv("FLOW_TEST_POSTGRES") != NULL)) failed += cmocka_run_group_tests_name("events over Redis, PostgreSQL", tests, NULL, NULL);
    else puts("test_events_redis: PostgreSQL skipped, FLOW_TEST_POSTGRES names no server (scripts/test.sh starts one)");
    return redis_remove() || failed;
}
