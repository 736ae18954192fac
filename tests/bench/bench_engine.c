/* bench_engine.c - the engine on the embedded store: durable steps per second beside the bare rate of SQLite's commits, the time to resume runs
 * with a short and a long past, bytes of journal per step, memory per live run. Prints lines "NAME VALUE".
 *
 * Usage: bench_engine FILE.flow FOLDER [LARGEST_PAST]. The stores are made in FOLDER, which decides what a commit costs, and removed. */
#include <malloc.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "compiler/typed.h"
#include "interpreter/sched/engine.h"
#include "interpreter/sched/script.h"

enum { STEPS = 2000, RESUMES = 3, LIVE_RUNS = 500, LIVE_RUNS_WARM = 50 };
static const EnginePrincipal WHO = { .tenant = { "bench", 5 }, .user = { "ben", 3 }, .user_name = { "Ben", 3 } };
static const Str TENANT = { "bench", 5 };
static const char *folder;

static double clock_s(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
static double wall_s(void) { return clock_s(CLOCK_MONOTONIC); }
static double cpu_s(void) { return clock_s(CLOCK_PROCESS_CPUTIME_ID); }

static void need(Err err, const Error *error, const char *what)
{
    if (!err) return;
    fprintf(stderr, "bench_engine: %s: %s\n", what, error->text);
    exit(1);
}

static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s.db", folder, name);
    return path;
}

static void store_remove(const char *name)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    for (int i = 0; i < 3; i++) {
        char path[520];
        snprintf(path, sizeof path, "%s%s", path_of(name), ends[i]);
        unlink(path);
    }
}

static Engine *open_engine(const char *name, EngineScript *script)
{
    char url[540];
    snprintf(url, sizeof url, "sqlite:%s", path_of(name));
    EngineOptions options = { .store_url = url, .worker = "bench", .virtual_time = script != NULL, .virtual_start_us = INT64_C(1762768800000000), .script = script };
    Engine *engine;
    Error error = { 0 };
    need(engine_open(&options, &engine, &error), &error, "open");
    return engine;
}

static void start(Engine *engine, Image *image, const char *flow, const char *input, char run_id[64])
{
    Error error = { 0 };
    run_id[0] = '\0';
    need(engine_start(engine, image, str_of(flow), str_of(input), &WHO, run_id, &error), &error, "start");
}

static void work(Engine *engine, const char *run_id)
{
    Error error = { 0 };
    need(engine_work(engine, TENANT, str_of(run_id), &error), &error, "work");
}

static void expect_status(Engine *engine, const char *run_id, RunStatus wanted)
{
    Arena *arena = arena_new();
    RunRow row = { 0 };
    Error error = { 0 };
    need(engine_find_run(engine, TENANT, str_of(run_id), arena, &row, &error), &error, "find");
    if (row.status != wanted) {
        fprintf(stderr, "bench_engine: the run is %s, not %s: %.*s\n", run_status_name(row.status), run_status_name(wanted), STR_ARG(row.result_json));
        exit(1);
    }
    arena_free(arena);
}

/* ---- SQLite alone ------------------------------------------------------------------------------------- */

static void sql(sqlite3 *db, const char *text)
{
    if (sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK) return;
    fprintf(stderr, "bench_engine: %s: %s\n", text, sqlite3_errmsg(db));
    exit(1);
}

/* One row a commit, with the pragmas of the store: what a durable step costs at least on this disk. */
static double bare_commits_per_s(void)
{
    store_remove("bare");
    sqlite3 *db;
    if (sqlite3_open(path_of("bare"), &db)) exit(1);
    sql(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (a TEXT, b INTEGER, c TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID");
    sqlite3_stmt *insert;
    sqlite3_prepare_v2(db, "INSERT INTO t VALUES ('bench', ?1, 'one small row of a journal, about as long as one of ours')", -1, &insert, NULL);
    double from = wall_s();
    for (int i = 0; i < STEPS; i++) {
        sqlite3_bind_int(insert, 1, i);
        if (sqlite3_step(insert) != SQLITE_DONE) exit(1);
        sqlite3_reset(insert);
    }
    double took = wall_s() - from;
    sqlite3_finalize(insert);
    sqlite3_close(db);
    store_remove("bare");
    return STEPS / took;
}

static int64_t sql_int(const char *name, const char *text)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    int64_t value = -1;
    if (sqlite3_open(path_of(name), &db) == SQLITE_OK && sqlite3_prepare_v2(db, text, -1, &stmt, NULL) == SQLITE_OK) {
        if (sqlite3_step(stmt) == SQLITE_ROW) value = sqlite3_column_int64(stmt, 0);
        sqlite3_finalize(stmt);
    }
    sqlite3_close(db);
    return value;
}

/* ---- steps ---------------------------------------------------------------------------------------------- */

static double steps_per_s(Image *image)
{
    char run_id[64], input[32];
    Error error = { 0 };
    Engine *engine = open_engine("steps", NULL);
    need(engine_deploy(engine, image, &error), &error, "deploy");
    snprintf(input, sizeof input, "{\"n\":%d}", STEPS);
    start(engine, image, "writes", input, run_id);
    double from = wall_s();
    work(engine, run_id);
    double took = wall_s() - from;
    expect_status(engine, run_id, RUN_COMPLETED);
    engine_close(engine);
    return STEPS / took;
}

static void bench_steps(Image *image)
{
    double bare = 0, steps = 0;
    for (int i = 0; i < 3; i++) {                        /* in turns: the disk has moods */
        double rate = bare_commits_per_s();
        bare = rate > bare ? rate : bare;
        store_remove("steps");
        rate = steps_per_s(image);
        steps = rate > steps ? rate : steps;
    }
    printf("bare_commits_per_s %.0f\nsteps_per_s %.0f\n", bare, steps);
    int64_t rows = sql_int("steps", "SELECT count(*) FROM flow_journal"), pages = sql_int("steps", "SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'flow_journal%' OR name LIKE 'sqlite_autoindex_flow_journal%'");
    int64_t content = sql_int("steps", "SELECT sum(length(body)) FROM flow_journal");
    if (rows > 0) printf("journal_content_bytes_per_step %.0f\n", (double)content / (double)rows);
    if (rows > 0 && pages > 0) printf("journal_disk_bytes_per_step %.0f\n", (double)pages / (double)rows);
    store_remove("steps");
}

/* ---- resume ----------------------------------------------------------------------------------------------- */

/* Runs with a past of n steps, left parked at their question. */
static double build_past(Image *image, uint32_t n, char run_ids[RESUMES][64])
{
    char input[32];
    Error error = { 0 };
    Engine *engine = open_engine("past", NULL);
    need(engine_deploy(engine, image, &error), &error, "deploy");
    snprintf(input, sizeof input, "{\"n\":%u}", n);
    double from = wall_s();
    for (int i = 0; i < RESUMES; i++) {
        start(engine, image, "past", input, run_ids[i]);
        work(engine, run_ids[i]);
        expect_status(engine, run_ids[i], RUN_PARKED);
    }
    double took = wall_s() - from;
    engine_close(engine);
    return took / RESUMES / n;
}

/* The answer is there before; measured is what a fresh engine does until the run has ended: module, snapshot, journal behind it, delivery. */
static double resume_s(const char *run_id, double *cpu)
{
    Error error = { 0 };
    Engine *engine = open_engine("past", NULL);
    need(engine_answer(engine, TENANT, str_of(run_id), STR("\"many\""), &error), &error, "answer");
    engine_close(engine);
    engine = open_engine("past", NULL);
    double from = wall_s(), cpu_from = cpu_s();
    work(engine, run_id);
    double took = wall_s() - from;
    *cpu = cpu_s() - cpu_from;
    expect_status(engine, run_id, RUN_COMPLETED);
    engine_close(engine);
    return took;
}

static void bench_resume(Image *image, uint32_t largest)
{
    store_remove("past");
    for (uint32_t n = 10; n <= largest; n *= 100) {
        char run_ids[RESUMES][64];
        double step = build_past(image, n, run_ids), best = 1e9, best_cpu = 1e9;
        for (int i = 0; i < RESUMES; i++) {
            double cpu, took = resume_s(run_ids[i], &cpu);
            best = took < best ? took : best;
            best_cpu = cpu < best_cpu ? cpu : best_cpu;
        }
        printf("resume_ms_%u %.3f\nresume_cpu_ms_%u %.3f\nbuild_us_per_step_%u %.2f\n", n, best * 1e3, n, best_cpu * 1e3, n, step * 1e6);
        fflush(stdout);
    }
    store_remove("past");
}

/* ---- memory ----------------------------------------------------------------------------------------------- */

static void start_many(Engine *engine, Image *image, int count)
{
    char run_id[64];
    for (int i = 0; i < count; i++) start(engine, image, "waits", "{\"text\":\"a request of some length\"}", run_id);
    work(engine, "");
}

/* From malloc: large pieces, such as slabs of arenas, are mapped one by one. */
static size_t bytes_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* Runs held in memory by a call under way. Counted is everything the process took from malloc for them. */
static void bench_memory(Image *image)
{
    Error error = { 0 };
    uint32_t warm, live;
    size_t bytes;
    store_remove("live");
    EngineScript *script = script_new();
    script_tool_returns(script, STR("remote.call"), STR("\"late\""), INT64_C(3600) * 1000000);
    Engine *engine = open_engine("live", script);
    need(engine_deploy(engine, image, &error), &error, "deploy");
    start_many(engine, image, LIVE_RUNS_WARM);
    engine_stats(engine, &warm, &bytes);
    size_t before = bytes_in_use();
    start_many(engine, image, LIVE_RUNS);
    size_t after = bytes_in_use();
    engine_stats(engine, &live, &bytes);
    if (live == warm) fprintf(stderr, "bench_engine: no run stayed in memory\n"), exit(1);
    printf("live_runs %u\nbytes_per_live_run %.0f\n", live - warm, (double)(after - before) / (live - warm));
    engine_close(engine);
    script_free(script);
    store_remove("live");
}

int main(int argc, char **argv)
{
    if (argc < 3) return fprintf(stderr, "usage: bench_engine FILE.flow FOLDER [LARGEST_PAST]\n"), 2;
    folder = argv[2];
    Program *program = program_load(argv[1], NULL, 0);
    Image *image = program ? compile_program(program, false) : NULL;
    if (!image) return fprintf(stderr, "bench_engine: cannot compile %s\n", argv[1]), 1;
    bench_steps(image);
    bench_memory(image);
    bench_resume(image, argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 100000);
    image_free(image);
    program_free(program);
    return 0;
}
