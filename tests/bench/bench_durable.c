/* bench_durable.c - what a durable step costs on a store: runs of steps in sequence with few and many of them in flight, fan-out, parked runs,
 * resumes, events. Prints lines "NAME VALUE"; scripts/bench_durable.sh sets them beside the limits of the same server. Each part checks the
 * results of its runs and what the store holds afterwards, and ends with 1 when something is wrong; no time decides that.
 *
 * Usage: bench_durable STORE-URL FILE.flow PART [NUMBER …]
 *   steps  FLOW STEPS IN-FLIGHT RUNS     runs of FLOW (steps, writes) with STEPS steps, IN-FLIGHT at a time
 *   fan    BRANCHES IN-FLIGHT RUNS
 *   park   RUNS                          park them until one instant, then wake them all
 *   resume STEPS                         a run with a past of that length goes on in a fresh engine
 *   events EVENTS IN-FLIGHT              from emit to the end of the handler
 * A launch is part of every run that is measured, its end too: what a client would wait for. */
#include <libpq-fe.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/map.h"
#include "base/time.h"
#include "compiler/typed.h"
#include "interpreter/sched/engine.h"

enum { RESUMES = 5, FAN_MAX = 1000 };
static const EnginePrincipal WHO = { .tenant = { "bench", 5 }, .user = { "ben", 3 }, .user_name = { "Ben", 3 } };
static const Str NOBODY = { "", 0 }, TENANT = { "bench", 5 };
static const char *url;

static double clock_s(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
static double wall_s(void) { return clock_s(CLOCK_MONOTONIC); }
static double cpu_s(void) { return clock_s(CLOCK_PROCESS_CPUTIME_ID); }

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_durable: %s: %s\n", what, why);
    exit(1);
}

static void need(Err err, const Error *error, const char *what)
{
    if (err) die(what, error->text);
}

/* From malloc: large pieces, such as slabs of arenas, are mapped one by one. */
static size_t bytes_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* ---- a stream of runs: as soon as one has settled the next is launched ---------------------------------------------- */

typedef struct Stream {
    Engine *engine;
    Image *image;
    const char *flow, *input, *wanted;   /* wanted: result_json of each; NULL: they park */
    const char *also;                    /* a flow whose runs are counted, not launched */
    uint32_t runs, launched, settled, others;
    double *begun, *took;                /* s, by the order of launching; took by the order of settling */
    double first, last;
    size_t heap;                         /* in use when a tenth had settled */
    struct Slot { char run_id[64]; uint32_t nth; } *slots; uint32_t slot_count;
    Map by_run;                          /* run id -> slot, so that the measured time is not spent on looking through all of them */
} Stream;

static void launch(Stream *s, struct Slot *slot);

static void on_settled(const RunRow *run, void *arg)
{
    Stream *s = arg;
    if (!s->flow) return;
    if (s->also && str_is(run->func_name, s->also)) {
        s->others++;
        s->last = wall_s();
        return;
    }
    if (s->wanted && (run->status != RUN_COMPLETED || !str_is(run->result_json, s->wanted))) die(s->flow, run->result_json.len ? run->result_json.ptr : run_status_name(run->status));
    if (!s->wanted && run->status != RUN_PARKED) die(s->flow, "did not park");
    struct Slot *slot = map_remove(&s->by_run, run->run_id);
    if (!slot) return;                                   /* woken: not of this stream any more */
    s->last = wall_s();
    if (s->settled == s->runs / 10) s->heap = bytes_in_use();
    s->took[s->settled++] = s->last - s->begun[slot->nth];
    if (s->launched < s->runs) launch(s, slot);
}

static void on_started(Err err, const Error *error, Str run_id, void *arg)
{
    need(err, error, "start");
}

static void launch(Stream *s, struct Slot *slot)
{
    Error error = { 0 };
    slot->run_id[0] = '\0';
    slot->nth = s->launched++;
    s->begun[slot->nth] = wall_s();
    need(engine_launch(s->engine, s->image, str_of(s->flow), str_of(s->input), &WHO, slot->run_id, on_started, NULL, &error), &error, "launch");
    map_put(&s->by_run, str_of(slot->run_id), slot);
}

static void open_engine(Stream *s)
{
    Error error = { 0 };
    EngineOptions options = { .store_url = url, .worker = "bench", .on_settled = on_settled, .arg = s };
    need(engine_open(&options, &s->engine, &error), &error, "open");
    need(engine_deploy(s->engine, s->image, &error), &error, "deploy");
}

static void stream(Stream *s, uint32_t in_flight)
{
    Error error = { 0 };
    s->slot_count = in_flight < s->runs ? in_flight : s->runs;
    s->slots = mem_alloc(s->slot_count * sizeof *s->slots);
    s->begun = mem_alloc(s->runs * sizeof *s->begun);
    s->took = mem_alloc(s->runs * sizeof *s->took);
    s->first = wall_s();
    for (uint32_t i = 0; i < s->slot_count; i++) launch(s, &s->slots[i]);
    need(engine_work(s->engine, NOBODY, NOBODY, &error), &error, "work");
    if (s->settled != s->runs) die(s->flow, "not every run has settled");
}

static void stream_deinit(Stream *s)
{
    free(s->slots), free(s->begun), free(s->took);
    map_free(&s->by_run);
    engine_close(s->engine);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void print_times(Stream *s)
{
    qsort(s->took, s->settled, sizeof *s->took, by_size);
    printf("run_ms_p50 %.3f\nrun_ms_p99 %.3f\n", s->took[s->settled / 2] * 1e3, s->took[(uint64_t)s->settled * 99 / 100] * 1e3);
}

static void check_store(Engine *engine, uint64_t runs, uint64_t journal_rows)
{
    FsckReport report = { 0 };
    Buf text = { 0 };
    Error error = { 0 };
    need(store_fsck(engine_store(engine), &report, &text, &error), &error, "fsck");
    buf_put_char(&text, 0);
    if (report.problems) die("fsck", text.ptr);
    if (report.runs < runs || report.journal_rows < journal_rows) die("fsck", "rows are missing");
    buf_free(&text);
}

/* ---- parts ------------------------------------------------------------------------------------------------------------ */

static void bench_steps(Image *image, const char *flow, uint32_t steps, uint32_t in_flight, uint32_t runs)
{
    char input[32], wanted[32];
    uint64_t result = strcmp(flow, "steps") == 0 ? 4 * (uint64_t)steps : (uint64_t)steps * (steps - 1) / 2;
    snprintf(input, sizeof input, "{\"n\":%u}", steps);
    snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)result);
    Stream s = { .image = image, .flow = flow, .input = input, .wanted = wanted, .runs = runs };
    open_engine(&s);
    uint64_t commits = store_commits(engine_store(s.engine));
    double cpu = cpu_s();
    stream(&s, in_flight);
    cpu = cpu_s() - cpu;
    double took = s.last - s.first, all = (double)runs * steps;
    printf("steps_per_s %.0f\nruns_per_s %.0f\nengine_us_per_step %.2f\nsteps_per_commit %.1f\n", all / took, runs / took, cpu / all * 1e6, all / (double)(store_commits(engine_store(s.engine)) - commits));
    print_times(&s);
    check_store(s.engine, runs, (uint64_t)runs * steps);
    stream_deinit(&s);
}

static void bench_fan(Image *image, uint32_t branches, uint32_t in_flight, uint32_t runs)
{
    char wanted[32];
    Buf input = { 0 };
    if (branches > FAN_MAX) die("fan", "at most 1000 branches (FAN_MAX)");
    buf_put_text(&input, "{\"numbers\":[");
    for (uint32_t i = 0; i < branches; i++) buf_printf(&input, "%s%u", i ? "," : "", i);
    buf_put(&input, "]}", 3);
    snprintf(wanted, sizeof wanted, "%u", branches * (branches - 1) / 2);
    Stream s = { .image = image, .flow = "fan", .input = input.ptr, .wanted = wanted, .runs = runs };
    open_engine(&s);
    stream(&s, in_flight);
    double took = s.last - s.first;
    printf("steps_per_s %.0f\nruns_per_s %.0f\n", (double)runs * branches / took, runs / took);
    print_times(&s);
    check_store(s.engine, runs, (uint64_t)runs * branches);
    stream_deinit(&s);
    buf_free(&input);
}

/* Bytes of all tables of the store and their indexes, from the server itself. The URL may hold `schema=NAME`, which libpq does not know. */
static int64_t store_bytes_on_disk(void)
{
    char *text = mem_strdup(url), schema[64] = "flow";
    char *at = strstr(text, "schema=");
    if (at) {
        size_t len = strcspn(at + 7, "&");
        snprintf(schema, sizeof schema, "%.*s", (int)len, at + 7);
        memmove(at, at + 7 + len + (at[7 + len] == '&'), strlen(at + 7 + len + (at[7 + len] == '&')) + 1);
        if (at[0] == '\0' && (at[-1] == '&' || at[-1] == '?')) at[-1] = '\0';
    }
    PGconn *connection = PQconnectdb(text);
    const char *params[] = { schema };
    PGresult *result = PQexecParams(connection, "SELECT coalesce(sum(pg_table_size(c.oid) + pg_indexes_size(c.oid)), 0)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                                                "WHERE n.nspname = $1 AND c.relkind = 'r'", 1, NULL, params, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) die("size of the store", PQerrorMessage(connection));
    int64_t bytes = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    PQfinish(connection);
    free(text);
    return bytes;
}

/* Some first, to learn how long the rest will take: the instant must lie behind the last park. */
static void bench_park(Image *image, uint32_t runs)
{
    char input[80];
    Buf due = { 0 };
    int64_t far = clock_now() + INT64_C(3600) * 1000000;
    timestamp_print(far, &due);
    snprintf(input, sizeof input, "{\"due\":\"%.*s\"}", (int)due.len, due.ptr);
    uint32_t few = runs / 20 + 1;
    Stream warm = { .image = image, .flow = "sleeps", .input = input, .runs = few };
    open_engine(&warm);
    stream(&warm, 1000);
    double each = (warm.last - warm.first) / few;
    stream_deinit(&warm);

    bool server = strncmp(url, "postgres", 8) == 0;
    int64_t bytes = server ? store_bytes_on_disk() : 0, wake = clock_now() + (int64_t)(each * runs * 2e6) + INT64_C(3000000);
    buf_clear(&due);
    timestamp_print(wake, &due);
    snprintf(input, sizeof input, "{\"due\":\"%.*s\"}", (int)due.len, due.ptr);
    Stream s = { .image = image, .flow = "sleeps", .input = input, .runs = runs };
    open_engine(&s);
    stream(&s, 1000);
    double took = s.last - s.first;
    printf("parked_per_s %.0f\n", runs / took);
    size_t now = bytes_in_use();                            /* beside what it had when a tenth were parked: what is kept for those under way is not theirs */
    printf("process_bytes_per_parked_run %.1f\n", now > s.heap ? (double)(now - s.heap) / (runs - runs / 10) : 0);
    if (server) printf("stored_bytes_per_parked_run %.0f\n", (double)(store_bytes_on_disk() - bytes) / runs);
    if (clock_now() > wake) die("park", "parking took longer than was foreseen; nothing is measured");

    uint32_t before = s.others;
    s.also = "sleeps";
    Error error = { 0 };
    struct timespec rest = { 0 };
    int64_t left = wake - clock_now();
    rest.tv_sec = left / 1000000, rest.tv_nsec = left % 1000000 * 1000;
    nanosleep(&rest, NULL);
    double from = wall_s();
    while (s.others - before < runs) {
        uint32_t had = s.others;
        need(engine_work(s.engine, NOBODY, NOBODY, &error), &error, "work");
        if (s.others == had) die("wake", "some runs do not wake");
    }
    printf("woken_per_s %.0f\n", runs / (s.last - from));
    buf_free(&due);
    check_store(s.engine, runs, runs);
    stream_deinit(&s);
}

static void bench_resume(Image *image, uint32_t steps)
{
    char input[32], run_ids[RESUMES][64];
    double best = 1e9, best_cpu = 1e9;
    Error error = { 0 };
    snprintf(input, sizeof input, "{\"n\":%u}", steps);
    Stream s = { .image = image };
    open_engine(&s);
    for (int i = 0; i < RESUMES; i++) {
        run_ids[i][0] = '\0';
        need(engine_start(s.engine, image, STR("past"), str_of(input), &WHO, run_ids[i], &error), &error, "start");
        need(engine_work(s.engine, TENANT, str_of(run_ids[i]), &error), &error, "work");
        need(engine_answer(s.engine, TENANT, str_of(run_ids[i]), STR("\"long\""), &error), &error, "answer");
    }
    engine_close(s.engine);
    for (int i = 0; i < RESUMES; i++) {
        Arena *arena = arena_new();
        RunRow row = { 0 };
        open_engine(&s);
        double from = wall_s(), cpu = cpu_s();
        need(engine_work(s.engine, TENANT, str_of(run_ids[i]), &error), &error, "work");
        double took = wall_s() - from;
        cpu = cpu_s() - cpu;
        best = took < best ? took : best;
        best_cpu = cpu < best_cpu ? cpu : best_cpu;
        need(engine_find_run(s.engine, TENANT, str_of(run_ids[i]), arena, &row, &error), &error, "find");
        if (row.status != RUN_COMPLETED || !str_is(row.result_json, "\"long\"")) die("resume", "the run did not complete");
        arena_free(arena);
        engine_close(s.engine);
    }
    printf("resume_ms %.3f\nresume_cpu_ms %.3f\n", best * 1e3, best_cpu * 1e3);
}

/* Each run emits ten; every event has one handler, whose row is its step. */
static void bench_events(Image *image, uint32_t events, uint32_t in_flight)
{
    Error error = { 0 };
    uint32_t runs = events / 10;
    Stream s = { .image = image, .flow = "emits", .input = "{\"n\":10}", .wanted = "10", .also = "hears.on_Happened", .runs = runs };
    open_engine(&s);
    stream(&s, in_flight);
    while (s.others < runs * 10) {
        uint32_t had = s.others;
        need(engine_work(s.engine, NOBODY, NOBODY, &error), &error, "work");
        if (s.others == had) die("events", "some were not handled");
    }
    if (s.others != runs * 10) die("events", "handled more than once");
    printf("events_per_s %.0f\n", runs * 10 / (s.last - s.first));
    check_store(s.engine, runs * 11, runs * 20);
    stream_deinit(&s);
}

static uint32_t number(int argc, char **argv, int at)
{
    if (at >= argc || strtoul(argv[at], NULL, 10) == 0) die("usage", "bench_durable STORE-URL FILE.flow steps|fan|park|resume|events NUMBER …");
    return (uint32_t)strtoul(argv[at], NULL, 10);
}

int main(int argc, char **argv)
{
    if (argc < 5) die("usage", "bench_durable STORE-URL FILE.flow steps|fan|park|resume|events NUMBER …");
    url = argv[1];
    const char *part = argv[3];
    Program *program = program_load(argv[2], NULL, 0);
    Image *image = program ? compile_program(program, false) : NULL;
    if (!image) die("cannot compile", argv[2]);
    if (strcmp(part, "steps") == 0) bench_steps(image, argv[4], number(argc, argv, 5), number(argc, argv, 6), number(argc, argv, 7));
    else if (strcmp(part, "fan") == 0) bench_fan(image, number(argc, argv, 4), number(argc, argv, 5), number(argc, argv, 6));
    else if (strcmp(part, "park") == 0) bench_park(image, number(argc, argv, 4));
    else if (strcmp(part, "resume") == 0) bench_resume(image, number(argc, argv, 4));
    else if (strcmp(part, "events") == 0) bench_events(image, number(argc, argv, 4), number(argc, argv, 5));
    else die("no such part", part);
    image_free(image);
    program_free(program);
    return 0;
}
