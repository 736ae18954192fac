/* test_engine.c - the engine on a real store: flows to their end, parks, answers, events, and a crash at every durable operation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "interpreter/sched/engine.h"
#include "interpreter/sched/script.h"
#include "tests/unit/engine_image.h"

static const EnginePrincipal ANNA = { .tenant = { "family", 6 }, .user = { "anna", 4 }, .user_name = { "Anna", 4 } };
static const Str TENANT = { "family", 6 }, NOBODY = { "", 0 };

typedef struct World {
    char path[64], url[96];
    Image *image;
    Engine *engine;
    EngineScript *script;
    int64_t now_us;
    uint32_t snapshot_every, reopened;
    Arena *arena;
} World;

static void open_world(World *w)
{
    EngineOptions options = { .store_url = w->url, .worker = "test", .virtual_time = true, .virtual_start_us = w->now_us, .auto_advance = true, .script = w->script, .snapshot_every = w->snapshot_every };
    Error error = { 0 };
    if (engine_open(&options, &w->engine, &error) || engine_deploy(w->engine, w->image, &error)) fail_msg("%s", error.text);
}

static World *world_new(uint32_t snapshot_every)
{
    static int serial;
    World *w = mem_alloc(sizeof *w);
    snprintf(w->path, sizeof w->path, "/tmp/flow_engine_%d_%d.db", (int)getpid(), ++serial);
    snprintf(w->url, sizeof w->url, "sqlite:%s", w->path);
    unlink(w->path);
    w->image = engine_image_make();
    w->script = script_new();
    w->arena = arena_new();
    w->now_us = INT64_C(1762768800000000);
    w->snapshot_every = snapshot_every;
    open_world(w);
    return w;
}

static void reopen(World *w)
{
    w->now_us = engine_now(w->engine);
    w->reopened++;
    engine_close(w->engine);
    open_world(w);
}

static void world_free(World *w)
{
    char path[80];
    engine_close(w->engine);
    script_free(w->script);
    image_free(w->image);
    arena_free(w->arena);
    static const char *const suffixes[] = { "", "-wal", "-shm" };
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", w->path, suffixes[i]);
        unlink(path);
    }
    free(w);
}

/* Starts and works; after an asked-for crash on a fresh engine, as another process would. */
static Err start(World *w, const char *flow, const char *input, char run_id[64])
{
    Error error = { 0 };
    run_id[0] = '\0';
    Err err = engine_start(w->engine, w->image, str_of(flow), str_of(input), &ANNA, run_id, &error);
    if (err && err != ERR_CRASH) print_message("%s\n", error.text);
    return err;
}

static void work(World *w, const char *run_id)
{
    for (int tries = 0; tries < 3; tries++) {
        Error error = { 0 };
        Err err = engine_work(w->engine, TENANT, str_of(run_id), &error);
        if (!err) err = engine_work(w->engine, TENANT, NOBODY, &error);
        if (!err) return;
        if (err != ERR_CRASH) fail_msg("%s", error.text);
        reopen(w);
    }
    fail_msg("crashed more than once");
}

static RunRow find(World *w, const char *run_id)
{
    RunRow row = { 0 };
    Error error = { 0 };
    if (engine_find_run(w->engine, TENANT, str_of(run_id), w->arena, &row, &error)) fail_msg("%s", error.text);
    return row;
}

static void assert_text(Str found, const char *wanted)
{
    if (!str_is(found, wanted)) fail_msg("expected `%s`, found `%.*s`", wanted, STR_ARG(found));
}

static RunRow ended(World *w, const char *run_id, RunStatus status)
{
    RunRow row = find(w, run_id);
    if (row.status != status) fail_msg("run is %s, not %s: %.*s %.*s", run_status_name(row.status), run_status_name(status), STR_ARG(row.result_json), STR_ARG(row.waits_json));
    return row;
}

static void completes(World *w, const char *flow, const char *result)
{
    char id[64];
    assert_int_equal(start(w, flow, "{\"city\":\"Paris\"}", id), ERR_OK);
    work(w, id);
    assert_text(ended(w, id, RUN_COMPLETED).result_json, result);
}

static int64_t count_rows(World *w, uint16_t query)
{
    StoreBatch *batch = store_batch(engine_store(w->engine), TENANT, NOBODY, 0);
    int index = store_query(batch, w->image, query, ANNA.user, NULL, 0);
    Error error = { 0 };
    if (store_run_batch(batch, &error)) fail_msg("%s", error.text);
    int64_t count = store_rows(batch, index)->cells[0].i;
    store_batch_free(batch);
    return count;
}

/* No problem in the store, and nothing left in memory. */
static void assert_sound(World *w)
{
    FsckReport report;
    Buf problems = { 0 };
    Error error = { 0 };
    assert_int_equal(store_fsck(engine_store(w->engine), &report, &problems, &error), ERR_OK);
    if (report.problems) fail_msg("fsck: %s", buf_cstr(&problems));
    buf_free(&problems);
}

static uint32_t count_entries(World *w, const char *run_id, uint8_t entry, const char *name)
{
    StoreBatch *batch = store_batch(engine_store(w->engine), TENANT, str_of(run_id), 0);
    int index = store_get_journal(batch, str_of(run_id), 0, 100000);
    uint32_t count, found = 0;
    if (store_run_batch(batch, NULL)) fail_msg("no journal");
    const JournalRow *rows = store_journal(batch, index, &count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(rows[i].seq, i + 1);
        if (rows[i].entry == entry && (!name || str_is(rows[i].name, name))) found++;
    }
    store_batch_free(batch);
    return found;
}

/* ---- simple runs ----------------------------------------------------------------------------------------- */

static void a_flow_runs_to_its_end(void **state)
{
    World *w = world_new(0);
    completes(w, "book", "\"1\"");
    completes(w, "book", "\"2\"");
    assert_int_equal(count_rows(w, EI_Q_COUNT), 2);
    assert_sound(w);
    world_free(w);
}

static void wrong_input_names_its_place(void **state)
{
    World *w = world_new(0);
    char id[64] = "";
    Error error = { 0 };
    assert_int_equal(engine_start(w->engine, w->image, STR("book"), STR("{\"town\":\"Paris\"}"), &ANNA, id, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "/town"));
    assert_int_equal(engine_start(w->engine, w->image, STR("book"), STR("{}"), &ANNA, id, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "/city"));
    assert_int_equal(engine_start(w->engine, w->image, STR("book"), STR("{\"city\":7}"), &ANNA, id, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "/city"));
    assert_int_equal(engine_start(w->engine, w->image, STR("book"), STR("[1]"), &ANNA, id, &error), ERR_INVALID);
    assert_int_equal(engine_start(w->engine, w->image, STR("cook"), STR("{}"), &ANNA, id, &error), ERR_NOT_FOUND);
    world_free(w);
}

static void what_is_rolled_back_is_gone_and_what_follows_stays(void **state)
{
    World *w = world_new(0);
    completes(w, "rollback", "\"1\"");
    assert_sound(w);
    world_free(w);
}

static void a_started_flow_runs_detached(void **state)
{
    World *w = world_new(0);
    char id[64];
    assert_int_equal(start(w, "parent", "{\"city\":\"Rome\"}", id), ERR_OK);
    work(w, id);
    Str child = ended(w, id, RUN_COMPLETED).result_json;
    char child_id[64];
    snprintf(child_id, sizeof child_id, "%.*s", (int)child.len - 2, child.ptr + 1);
    RunRow row = ended(w, child_id, RUN_COMPLETED);
    assert_text(row.causation, id);
    assert_text(row.correlation, id);
    assert_int_equal(row.hops, 1);
    world_free(w);
}

/* ---- questions --------------------------------------------------------------------------------------------- */

static void a_question_parks_until_it_is_answered(void **state)
{
    World *w = world_new(0);
    char id[64];
    Error error = { 0 };
    script_tool_returns(w->script, STR("hotels.charge"), STR("\"paid\""), 0);
    assert_int_equal(start(w, "trip", "{\"city\":\"Paris\"}", id), ERR_OK);
    work(w, id);
    RunRow row = ended(w, id, RUN_PARKED);
    assert_non_null(memmem(row.waits_json.ptr, row.waits_json.len, "Book it?", 8));
    reopen(w);
    uint32_t live;
    size_t bytes;
    engine_stats(w->engine, &live, &bytes);
    assert_int_equal(live, 0);
    assert_int_equal(engine_answer(w->engine, TENANT, str_of(id), STR("\"maybe\""), &error), ERR_INVALID);
    assert_int_equal(engine_answer(w->engine, TENANT, str_of(id), STR("\"ja\""), &error), ERR_OK);
    assert_int_equal(engine_answer(w->engine, TENANT, str_of(id), STR("false"), &error), ERR_CONFLICT);
    work(w, id);
    assert_text(ended(w, id, RUN_COMPLETED).result_json, "\"paid\"");
    assert_int_equal(engine_answer(w->engine, TENANT, str_of(id), STR("true"), &error), ERR_CONFLICT);
    assert_int_equal(count_entries(w, id, JOURNAL_RESULT, "ask"), 1);
    assert_int_equal(count_rows(w, EI_Q_ENTRIES), 2);            /* the transaction's and the handler's */
    assert_sound(w);
    world_free(w);
}

static void a_no_fails_the_flow_with_its_own_error(void **state)
{
    World *w = world_new(0);
    char id[64];
    script_answers(w->script, (Str[]){ STR("false") }, 1);
    assert_int_equal(start(w, "trip", "{\"city\":\"Paris\"}", id), ERR_OK);
    work(w, id);
    Str result = ended(w, id, RUN_FAILED).result_json;
    assert_non_null(memmem(result.ptr, result.len, "\"rejected\"", 10));
    assert_non_null(memmem(result.ptr, result.len, "not wanted", 10));
    assert_int_equal(count_rows(w, EI_Q_ENTRIES), 0);
    world_free(w);
}

static void a_parked_run_can_be_cancelled(void **state)
{
    World *w = world_new(0);
    char id[64];
    Error error = { 0 };
    assert_int_equal(start(w, "trip", "{\"city\":\"Paris\"}", id), ERR_OK);
    work(w, id);
    assert_int_equal(engine_cancel(w->engine, TENANT, str_of(id), &error), ERR_OK);
    work(w, id);
    ended(w, id, RUN_CANCELLED);
    assert_int_equal(engine_cancel(w->engine, TENANT, str_of(id), &error), ERR_CONFLICT);
    assert_int_equal(count_entries(w, id, JOURNAL_CANCEL, NULL), 1);
    assert_sound(w);
    world_free(w);
}

/* ---- events and signals -------------------------------------------------------------------------------------- */

static void an_event_starts_its_handler_once(void **state)
{
    World *w = world_new(0);
    Error error = { 0 };
    completes(w, "announce", "\"Paris\"");
    assert_int_equal(count_rows(w, EI_Q_ENTRIES), 1);
    assert_int_equal(engine_redeliver(w->engine, TENANT, STR("Booked"), &error), ERR_OK);
    work(w, "");
    assert_int_equal(count_rows(w, EI_Q_ENTRIES), 1);
    world_free(w);
}

static void a_waiting_run_gets_the_next_event(void **state)
{
    World *w = world_new(0);
    char id[64];
    completes(w, "announce", "\"Paris\"");                       /* before the wait began: not for it */
    assert_int_equal(start(w, "wait_event", "{\"city\":\"x\"}", id), ERR_OK);
    work(w, id);
    ended(w, id, RUN_PARKED);
    completes(w, "announce", "\"Paris\"");
    work(w, id);
    assert_text(ended(w, id, RUN_COMPLETED).result_json, "\"Paris\"");
    assert_sound(w);
    world_free(w);
}

static void a_signal_reaches_a_run_from_outside_and_from_a_flow(void **state)
{
    World *w = world_new(0);
    char id[64], other[64], input[160];
    Error error = { 0 };
    assert_int_equal(start(w, "wait_note", "{\"city\":\"x\"}", id), ERR_OK);
    work(w, id);
    assert_int_equal(engine_signal(w->engine, TENANT, str_of(id), STR("Nota"), STR("{}"), &error), ERR_NOT_FOUND);
    assert_int_equal(engine_signal(w->engine, TENANT, str_of(id), STR("Note"), STR("{\"txt\":1}"), &error), ERR_INVALID);
    assert_int_equal(engine_signal(w->engine, TENANT, str_of(id), STR("Note"), STR("{\"text\":\"hi\"}"), &error), ERR_OK);
    work(w, id);
    assert_text(ended(w, id, RUN_COMPLETED).result_json, "\"hi\"");
    assert_int_equal(start(w, "wait_note", "{\"city\":\"x\"}", id), ERR_OK);
    snprintf(input, sizeof input, "{\"city\":\"%s\",\"second\":\"from a flow\"}", id);
    assert_int_equal(start(w, "tell", input, other), ERR_OK);
    work(w, other);
    ended(w, other, RUN_COMPLETED);
    work(w, id);
    assert_text(ended(w, id, RUN_COMPLETED).result_json, "\"from a flow\"");
    assert_int_equal(start(w, "tell", "{\"city\":\"nobody\",\"second\":\"x\"}", other), ERR_OK);
    work(w, other);
    Str result = ended(w, other, RUN_FAILED).result_json;
    assert_non_null(memmem(result.ptr, result.len, "\"not_found\"", 11));
    assert_sound(w);
    world_free(w);
}

static void a_handler_that_always_fails_is_dead_after_five_attempts(void **state)
{
    World *w = world_new(0);
    completes(w, "doom", "\"Paris\"");
    StoreBatch *batch = store_batch(engine_store(w->engine), TENANT, NOBODY, 0);
    int dead = store_list_dead(batch, 10), runs = store_list_runs(batch, &(RunFilter){ .func_name = STR("desk.on_doomed"), .status = -1, .limit = 100 });
    assert_int_equal(store_run_batch(batch, NULL), ERR_OK);
    uint32_t count;
    const DeadRow *rows = store_dead(batch, dead, &count);
    assert_int_equal(count, 1);
    assert_int_equal(rows[0].attempts, 5);
    assert_text(rows[0].subscriber, "main:desk.on_doomed");
    store_runs(batch, runs, &count);
    assert_int_equal(count, 5);
    store_batch_free(batch);
    assert_sound(w);
    world_free(w);
}

/* ---- outside ---------------------------------------------------------------------------------------------------- */

static void a_call_that_is_too_slow_meets_its_deadline(void **state)
{
    World *w = world_new(0);
    int64_t before = engine_now(w->engine);
    script_tool_returns(w->script, STR("hotels.quote"), STR("\"90 EUR\""), 10 * TIME_SECOND);
    completes(w, "hurry", "\"too late\"");
    assert_int_equal(engine_now(w->engine) - before, 5 * TIME_SECOND);
    world_free(w);
    w = world_new(0);
    script_tool_returns(w->script, STR("hotels.quote"), STR("\"90 EUR\""), 3 * TIME_SECOND);
    completes(w, "hurry", "\"90 EUR\"");
    world_free(w);
}

static void the_intent_of_an_unrepeatable_call_is_durable_first(void **state)
{
    World *w = world_new(0);
    char id[64];
    script_tool_returns(w->script, STR("hotels.reserve"), STR("\"R-1\""), 0);
    assert_int_equal(start(w, "reserve", "{\"city\":\"Paris\"}", id), ERR_OK);
    work(w, id);
    assert_text(ended(w, id, RUN_COMPLETED).result_json, "\"R-1\"");
    assert_int_equal(count_entries(w, id, JOURNAL_INTENT, "hotels.reserve"), 1);
    assert_int_equal(start(w, "quote", "{\"city\":\"Paris\"}", id), ERR_OK);
    work(w, id);
    ended(w, id, RUN_FAILED);                                    /* no script and no address */
    assert_int_equal(count_entries(w, id, JOURNAL_INTENT, NULL), 0);
    world_free(w);
}

/* The crash between intent and result leaves the outcome open, and the run says so. */
static void an_unrepeatable_call_cut_off_is_in_doubt(void **state)
{
    World *w = world_new(0);
    char id[64];
    Error error = { 0 };
    script_tool_returns(w->script, STR("hotels.reserve"), STR("\"R-1\""), 0);
    assert_int_equal(start(w, "reserve", "{\"city\":\"Paris\"}", id), ERR_OK);
    store_crash_at(engine_store(w->engine), 2, CRASH_AFTER, false);      /* 1: the claim, 2: the intent */
    assert_int_equal(engine_work(w->engine, TENANT, str_of(id), &error), ERR_CRASH);
    reopen(w);
    work(w, id);
    Str result = ended(w, id, RUN_FAILED).result_json;
    assert_non_null(memmem(result.ptr, result.len, "\"in_doubt\"", 10));
    world_free(w);
}

/* ---- crashes --------------------------------------------------------------------------------------------------------- */

typedef struct Outcome { char result[256]; int64_t bookings, entries; RunStatus status; } Outcome;

static Outcome whole_life(const char *flow, uint32_t snapshot_every, uint64_t nth, CrashSide side, bool *hit)
{
    World *w = world_new(snapshot_every);
    char id[64];
    Outcome out = { 0 };
    script_tool_returns(w->script, STR("hotels.charge"), STR("\"paid\""), TIME_SECOND);
    script_tool_returns(w->script, STR("hotels.quote"), STR("\"90 EUR\""), 0);
    script_answers(w->script, (Str[]){ STR("true") }, 1);
    store_crash_at(engine_store(w->engine), nth, side, false);
    Err err = start(w, flow, "{\"city\":\"Paris\"}", id);
    if (err == ERR_CRASH) {                                      /* not acknowledged: perhaps there, perhaps not */
        reopen(w);
        RunRow row;
        if (engine_find_run(w->engine, TENANT, str_of(id), w->arena, &row, NULL)) assert_int_equal(start(w, flow, "{\"city\":\"Paris\"}", id), ERR_OK);
    } else assert_int_equal(err, ERR_OK);
    work(w, id);
    *hit = w->reopened > 0;
    RunRow row = find(w, id);
    out.status = row.status;
    snprintf(out.result, sizeof out.result, "%.*s", STR_ARG(row.result_json));
    out.bookings = count_rows(w, EI_Q_COUNT);
    out.entries = count_rows(w, EI_Q_ENTRIES);
    assert_sound(w);
    world_free(w);
    return out;
}

static void survives_every_crash(const char *flow, uint32_t snapshot_every, uint64_t points_least)
{
    bool hit = false;
    Outcome calm = whole_life(flow, snapshot_every, 0, CRASH_BEFORE, &hit);
    assert_false(hit);
    uint64_t points = 0;
    for (uint64_t nth = 1; nth < 1000; nth++) {
        bool any = false;
        for (int side = CRASH_BEFORE; side <= CRASH_AFTER; side++) {
            hit = false;
            Outcome crashed = whole_life(flow, snapshot_every, nth, (CrashSide)side, &hit);
            any |= hit;
            if (calm.status != crashed.status || strcmp(calm.result, crashed.result) != 0 || calm.bookings != crashed.bookings || calm.entries != crashed.entries)
                fail_msg("%s, crash %s operation %d: %s %s %d %d, undisturbed %s %s %d %d", flow, side ? "after" : "before", (int)nth, run_status_name(crashed.status), crashed.result, (int)crashed.bookings,
                         (int)crashed.entries, run_status_name(calm.status), calm.result, (int)calm.bookings, (int)calm.entries);
        }
        if (!any) break;
        points = nth;
    }
    assert_true(points >= points_least);
}

static void a_trip_survives_a_crash_at_every_operation(void **state) { survives_every_crash("trip", 0, 8); }
static void a_trip_with_many_snapshots_survives_too(void **state) { survives_every_crash("trip", 1, 8); }
static void events_survive_a_crash_at_every_operation(void **state) { survives_every_crash("announce", 0, 4); }
static void a_rolled_back_transaction_survives_a_crash(void **state) { survives_every_crash("rollback", 2, 3); }
static void a_loop_resumes_from_its_snapshots(void **state) { survives_every_crash("many", 7, 40); }
static void a_local_tool_survives_a_crash(void **state) { survives_every_crash("local", 0, 3); }
static void a_deadline_survives_a_crash(void **state) { survives_every_crash("hurry", 0, 3); }
static void failing_handlers_survive_a_crash(void **state) { survives_every_crash("doom", 0, 12); }

static void the_intent_and_what_follows_never_repeats(void **state)
{
    for (uint64_t nth = 1; nth < 8; nth++)
        for (int side = CRASH_BEFORE; side <= CRASH_AFTER; side++) {
            bool hit = false;
            Outcome out = whole_life("reserve", 0, nth, (CrashSide)side, &hit);
            assert_true(out.status == RUN_FAILED);               /* unreachable, or in doubt: never called twice */
        }
}

/* ---- keys, limits, defaults ------------------------------------------------------------------------------------------------ */

static void a_default_fills_what_the_input_leaves_out(void **state)
{
    World *w = world_new(0);
    char id[64];
    assert_int_equal(start(w, "default", "{}", id), ERR_OK);
    work(w, id);
    assert_text(ended(w, id, RUN_COMPLETED).result_json, "\"Paris\"");
    assert_int_equal(start(w, "default", "{\"city\":\"Rome\"}", id), ERR_OK);
    work(w, id);
    assert_text(ended(w, id, RUN_COMPLETED).result_json, "\"Rome\"");
    world_free(w);
}

static void one_key_runs_once_at_a_time_and_a_rate_is_kept(void **state)
{
    World *w = world_new(0);
    char first[64], second[64], other[64], id[64] = "";
    Error error = { 0 };
    assert_int_equal(start(w, "keyed", "{\"city\":\"Rome\"}", first), ERR_OK);
    assert_int_equal(start(w, "keyed", "{\"city\":\"Rome\"}", second), ERR_OK);
    assert_int_equal(start(w, "keyed", "{\"city\":\"Oslo\"}", other), ERR_OK);
    work(w, "");
    ended(w, first, RUN_PARKED);
    ended(w, second, RUN_READY);
    ended(w, other, RUN_PARKED);
    assert_int_equal(engine_start(w->engine, w->image, STR("keyed"), STR("{\"city\":\"Bern\"}"), &ANNA, id, &error), ERR_LIMIT);
    assert_non_null(strstr(error.text, "retry after 60 s"));
    assert_int_equal(engine_answer(w->engine, TENANT, str_of(first), STR("true"), &error), ERR_OK);
    work(w, "");
    ended(w, first, RUN_COMPLETED);
    ended(w, second, RUN_PARKED);
    assert_int_equal(engine_advance(w->engine, 61 * TIME_SECOND, &error), ERR_OK);
    assert_int_equal(start(w, "keyed", "{\"city\":\"Bern\"}", id), ERR_OK);
    world_free(w);
}

static void a_chain_of_events_ends_at_its_limit(void **state)
{
    World *w = world_new(0);
    completes(w, "chain", "\"Paris\"");
    StoreBatch *batch = store_batch(engine_store(w->engine), TENANT, NOBODY, 0);
    int dead = store_list_dead(batch, 10), runs = store_list_runs(batch, &(RunFilter){ .func_name = STR("desk.on_again"), .status = RUN_COMPLETED, .limit = 100 });
    assert_int_equal(store_run_batch(batch, NULL), ERR_OK);
    uint32_t count;
    const DeadRow *rows = store_dead(batch, dead, &count);
    assert_int_equal(count, 1);
    assert_non_null(memmem(rows[0].error.ptr, rows[0].error.len, "EVENT_HOPS_MAX", 14));
    store_runs(batch, runs, &count);
    assert_int_equal(count, 32);
    store_batch_free(batch);
    world_free(w);
}

static void a_statement_that_fails_is_the_programs_error(void **state)
{
    World *w = world_new(0);
    completes(w, "twice", "\"conflict\"");
    assert_int_equal(count_rows(w, EI_Q_COUNT), 0);
    assert_sound(w);
    world_free(w);
}

static void a_scripted_local_tool_fails_once_and_then_does_its_work(void **state)
{
    World *w = world_new(0);
    char id[64];
    script_tool_fails(w->script, STR("desk.note"), ERROR_KIND_unavailable, STR("closed"), 503, STR("ECONNRESET"), -1, 1);
    assert_int_equal(start(w, "local", "{\"city\":\"Paris\"}", id), ERR_OK);
    work(w, id);
    Str result = ended(w, id, RUN_FAILED).result_json;
    assert_non_null(memmem(result.ptr, result.len, "closed", 6));
    assert_int_equal(count_rows(w, EI_Q_ENTRIES), 0);
    completes(w, "local", "\"Paris\"");
    assert_int_equal(count_rows(w, EI_Q_ENTRIES), 1);
    world_free(w);
}

static void sleeping_runs_wake_in_the_order_of_their_time(void **state)
{
    World *w = world_new(0);
    char id[64];
    Error error = { 0 };
    EngineOptions options = { .store_url = w->url, .worker = "test", .virtual_time = true, .virtual_start_us = w->now_us, .script = w->script };
    engine_close(w->engine);
    assert_int_equal(engine_open(&options, &w->engine, &error), ERR_OK);
    script_tool_returns(w->script, STR("hotels.charge"), STR("\"paid\""), 0);
    script_answers(w->script, (Str[]){ STR("true") }, 1);
    assert_int_equal(start(w, "trip", "{\"city\":\"Paris\"}", id), ERR_OK);
    work(w, id);
    ended(w, id, RUN_PARKED);
    assert_int_equal(engine_advance(w->engine, 3599 * TIME_SECOND, &error), ERR_OK);
    ended(w, id, RUN_PARKED);
    assert_int_equal(engine_advance(w->engine, TIME_SECOND, &error), ERR_OK);
    assert_int_equal(ended(w, id, RUN_COMPLETED).ended_us, w->now_us + 3600 * TIME_SECOND);
    world_free(w);
}

/* ---- another process ------------------------------------------------------------------------------------------------------- */

/* Dies by SIGKILL at the nth durable operation; in real time, on its own worker name. */
static void run_and_die(const World *w, const char *id, uint64_t nth)
{
    EngineOptions options = { .store_url = w->url };
    Engine *engine;
    Error error = { 0 };
    if (engine_open(&options, &engine, &error)) _exit(3);
    store_crash_at(engine_store(engine), nth, CRASH_AFTER, true);
    engine_work(engine, TENANT, str_of(id), &error);
    _exit(2);                                                    /* it was to die */
}

static void a_killed_process_is_taken_over_at_once(void **state)
{
    World *w = world_new(0);
    char id[64];
    Error error = { 0 };
    assert_int_equal(start(w, "many", "{\"city\":\"Paris\"}", id), ERR_OK);
    engine_close(w->engine);
    for (uint64_t nth = 5; nth < 12; nth += 3) {
        pid_t child = fork();
        if (child == 0) run_and_die(w, id, nth);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    EngineOptions options = { .store_url = w->url };
    assert_int_equal(engine_open(&options, &w->engine, &error), ERR_OK);
    int64_t before = clock_monotonic();
    work(w, id);
    assert_true(clock_monotonic() - before < 5 * TIME_SECOND);   /* far below the lease of the dead */
    assert_text(ended(w, id, RUN_COMPLETED).result_json, "\"40\"");
    assert_sound(w);
    world_free(w);
}

/* A worker that was paused beyond its lease finds that its run is no longer its own, and writes nothing. */
static void a_revived_worker_is_fenced(void **state)
{
    World *w = world_new(0);
    char id[64];
    Error error = { 0 };
    assert_int_equal(start(w, "book", "{\"city\":\"Paris\"}", id), ERR_OK);
    StoreBatch *claim = store_batch(engine_store(w->engine), TENANT, NOBODY, 0);
    int index = store_claim(claim, STR("paused"), engine_now(w->engine), TIME_SECOND, 1, str_of(id));
    assert_int_equal(store_run_batch(claim, &error), ERR_OK);
    uint32_t count;
    uint64_t epoch = store_runs(claim, index, &count)->epoch;
    assert_int_equal(count, 1);
    store_batch_free(claim);
    assert_int_equal(engine_advance(w->engine, 2 * TIME_SECOND, &error), ERR_OK);
    work(w, id);
    ended(w, id, RUN_COMPLETED);
    StoreBatch *late = store_batch(engine_store(w->engine), TENANT, str_of(id), epoch);
    store_append_journal(late, &(JournalRow){ .seq = 99, .entry = JOURNAL_NOTE });
    assert_int_equal(store_run_batch(late, &error), ERR_FENCED);
    store_batch_free(late);
    world_free(w);
}

static pid_t serve_in_child(const World *w)
{
    pid_t child = fork();
    if (child) return child;
    EngineOptions options = { .store_url = w->url, .stop_on_signals = true };
    Engine *engine;
    Error error = { 0 };
    if (engine_open(&options, &engine, &error)) _exit(3);
    Err err = engine_serve(engine, &error);
    engine_close(engine);
    _exit(err ? 4 : 0);
}

static RunRow wait_for(World *w, const char *id, RunStatus status)
{
    RunRow row = { 0 };
    for (int i = 0; i < 500; i++) {
        row = find(w, id);
        if (row.status == status) return row;
        usleep(20000);
    }
    fail_msg("run is still %s: %.*s", run_status_name(row.status), STR_ARG(row.result_json));
    return row;
}

static void a_worker_serves_what_other_processes_start_answer_and_signal(void **state)
{
    World *w = world_new(0);
    char id[64], note[64];
    Error error = { 0 };
    EngineOptions options = { .store_url = w->url };
    engine_close(w->engine);
    pid_t child = serve_in_child(w);
    assert_int_equal(engine_open(&options, &w->engine, &error), ERR_OK);
    assert_int_equal(start(w, "keyed", "{\"city\":\"Rome\"}", id), ERR_OK);
    assert_int_equal(start(w, "wait_note", "{\"city\":\"Rome\"}", note), ERR_OK);
    wait_for(w, id, RUN_PARKED);
    assert_int_equal(engine_answer(w->engine, TENANT, str_of(id), STR("true"), &error), ERR_OK);
    assert_text(wait_for(w, id, RUN_COMPLETED).result_json, "\"Rome\"");
    wait_for(w, note, RUN_PARKED);
    assert_int_equal(engine_signal(w->engine, TENANT, str_of(note), STR("Note"), STR("{\"text\":\"hi\"}"), &error), ERR_OK);
    assert_text(wait_for(w, note, RUN_COMPLETED).result_json, "\"hi\"");
    kill(child, SIGTERM);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_sound(w);
    world_free(w);
}

/* ---- real calls ------------------------------------------------------------------------------------------------------------- */

/* A service that writes down the key of each call; the first `silent` calls get no answer. */
static void serve_calls(int fd, int log, int silent)
{
    for (int n = 0;; n++) {
        int peer = accept(fd, NULL, NULL);
        char text[4096] = "";
        size_t len = 0;
        while (len < sizeof text - 1 && !strstr(text, "}")) {
            ssize_t got = read(peer, text + len, sizeof text - 1 - len);
            if (got <= 0) break;
            text[len += (size_t)got] = '\0';
        }
        char *key = strstr(text, "Idempotency-Key: ");
        if (key && write(log, key + 17, strcspn(key + 17, "\r")) >= 0 && write(log, "\n", 1) < 0) _exit(1);
        static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n\"paid\"";
        if (n < silent) { pause(); _exit(0); }
        if (write(peer, answer, sizeof answer - 1) < 0) _exit(1);
        close(peer);
    }
}

typedef struct Service { int fd, log[2]; pid_t pid; } Service;

static void service_run(Service *s, int silent)
{
    s->pid = fork();
    if (s->pid == 0) serve_calls(s->fd, s->log[1], silent);
}

static void service_end(Service *s)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
}

static void service_open(Service *s)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    char url[64];
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(s->fd, 8), 0);
    getsockname(s->fd, (struct sockaddr *)&address, &len);
    assert_int_equal(pipe(s->log), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    setenv("TEST_HOTELS_URL", url, 1);
}

static void read_line(const Service *s, char *out, size_t size)
{
    size_t n = 0;
    while (n < size - 1 && read(s->log[0], out + n, 1) == 1 && out[n] != '\n') n++;
    out[n] = '\0';
}

/* The process dies while its call is under way; what the next one does depends on what the tool promises. */
static RunRow life_with_a_kill_during_the_call(World *w, const char *flow, char first[128], char second[128])
{
    char id[64];
    Error error = { 0 };
    Service service;
    service_open(&service);
    service_run(&service, 1);
    assert_int_equal(start(w, flow, "{\"city\":\"Paris\"}", id), ERR_OK);
    engine_close(w->engine);
    pid_t child = fork();
    if (child == 0) run_and_die(w, id, 1000);
    read_line(&service, first, 128);                             /* the service has it, and says nothing */
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    service_end(&service);
    service_run(&service, 0);
    EngineOptions options = { .store_url = w->url };
    assert_int_equal(engine_open(&options, &w->engine, &error), ERR_OK);
    work(w, id);
    RunRow row = find(w, id);
    service_end(&service);
    close(service.log[1]);
    read_line(&service, second, 128);
    close(service.fd), close(service.log[0]);
    return row;
}

static void an_idempotent_call_cut_off_is_repeated_with_its_key(void **state)
{
    World *w = world_new(0);
    char first[128], second[128];
    RunRow row = life_with_a_kill_during_the_call(w, "charge", first, second);
    assert_int_equal(row.status, RUN_COMPLETED);
    assert_text(row.result_json, "\"paid\"");
    assert_string_equal(first, second);
    assert_true(strncmp(first, row.run_id.ptr, row.run_id.len) == 0 && first[row.run_id.len] == ':');
    world_free(w);
}

static void another_call_cut_off_is_not_repeated_and_in_doubt(void **state)
{
    World *w = world_new(0);
    char first[128], second[128];
    RunRow row = life_with_a_kill_during_the_call(w, "reserve", first, second);
    assert_int_equal(row.status, RUN_FAILED);
    assert_non_null(memmem(row.result_json.ptr, row.result_json.len, "\"in_doubt\"", 10));
    assert_true(first[0] != '\0');
    assert_string_equal(second, "");
    world_free(w);
}

/* ---- forks ------------------------------------------------------------------------------------------------------------ */

static void a_fork_goes_on_from_where_it_was_cut(void **state)
{
    World *w = world_new(0);
    char id[64], copy[64];
    Error error = { 0 };
    script_tool_returns(w->script, STR("hotels.charge"), STR("\"paid\""), 0);
    assert_int_equal(start(w, "trip", "{\"city\":\"Paris\"}", id), ERR_OK);
    work(w, id);
    uint64_t seq = ended(w, id, RUN_PARKED).last_seq;
    assert_int_equal(engine_answer(w->engine, TENANT, str_of(id), STR("false"), &error), ERR_OK);
    work(w, id);
    ended(w, id, RUN_FAILED);
    assert_int_equal(engine_fork(w->engine, TENANT, str_of(id), seq, copy, &error), ERR_OK);
    work(w, copy);
    ended(w, copy, RUN_PARKED);
    assert_int_equal(engine_answer(w->engine, TENANT, str_of(copy), STR("true"), &error), ERR_OK);
    work(w, copy);
    assert_text(ended(w, copy, RUN_COMPLETED).result_json, "\"paid\"");
    assert_int_equal(count_rows(w, EI_Q_COUNT), 1);              /* what was before the cut did not happen again */
    assert_int_equal(engine_fork(w->engine, TENANT, str_of(id), 9999, copy, &error), ERR_NOT_FOUND);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flow_runs_to_its_end),
        cmocka_unit_test(wrong_input_names_its_place),
        cmocka_unit_test(what_is_rolled_back_is_gone_and_what_follows_stays),
        cmocka_unit_test(a_started_flow_runs_detached),
        cmocka_unit_test(a_question_parks_until_it_is_answered),
        cmocka_unit_test(a_no_fails_the_flow_with_its_own_error),
        cmocka_unit_test(a_parked_run_can_be_cancelled),
        cmocka_unit_test(an_event_starts_its_handler_once),
        cmocka_unit_test(a_waiting_run_gets_the_next_event),
        cmocka_unit_test(a_signal_reaches_a_run_from_outside_and_from_a_flow),
        cmocka_unit_test(a_handler_that_always_fails_is_dead_after_five_attempts),
        cmocka_unit_test(a_call_that_is_too_slow_meets_its_deadline),
        cmocka_unit_test(the_intent_of_an_unrepeatable_call_is_durable_first),
        cmocka_unit_test(an_unrepeatable_call_cut_off_is_in_doubt),
        cmocka_unit_test(a_trip_survives_a_crash_at_every_operation),
        cmocka_unit_test(a_trip_with_many_snapshots_survives_too),
        cmocka_unit_test(events_survive_a_crash_at_every_operation),
        cmocka_unit_test(a_rolled_back_transaction_survives_a_crash),
        cmocka_unit_test(a_loop_resumes_from_its_snapshots),
        cmocka_unit_test(a_local_tool_survives_a_crash),
        cmocka_unit_test(a_deadline_survives_a_crash),
        cmocka_unit_test(failing_handlers_survive_a_crash),
        cmocka_unit_test(the_intent_and_what_follows_never_repeats),
        cmocka_unit_test(a_default_fills_what_the_input_leaves_out),
        cmocka_unit_test(one_key_runs_once_at_a_time_and_a_rate_is_kept),
        cmocka_unit_test(a_chain_of_events_ends_at_its_limit),
        cmocka_unit_test(a_statement_that_fails_is_the_programs_error),
        cmocka_unit_test(a_scripted_local_tool_fails_once_and_then_does_its_work),
        cmocka_unit_test(sleeping_runs_wake_in_the_order_of_their_time),
        cmocka_unit_test(a_killed_process_is_taken_over_at_once),
        cmocka_unit_test(a_revived_worker_is_fenced),
        cmocka_unit_test(a_worker_serves_what_other_processes_start_answer_and_signal),
        cmocka_unit_test(an_idempotent_call_cut_off_is_repeated_with_its_key),
        cmocka_unit_test(another_call_cut_off_is_not_repeated_and_in_doubt),
        cmocka_unit_test(a_fork_goes_on_from_where_it_was_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
