/* cmd_runs.c - looking at runs: ps, show, trace, plans, fsck. */
#include "interpreter/cmd.h"
#include "interpreter/sched/plan_log.h"
#include "interpreter/sched/trace.h"

static void print_table(const RunRow *runs, uint32_t count, bool head) {
    if (head) printf("%-28s %-10s %-28s %-16s %s\n", "RUN", "STATUS", "FLOW", "USER", "CREATED");
    for (uint32_t i = 0; i < count; i++) {
        Buf when = { 0 };
        timestamp_print(runs[i].created_us - runs[i].created_us % TIME_SECOND, &when);
        printf("%-28.*s %-10s %-28.*s %-16.*s %s\n", STR_ARG(runs[i].run_id), run_status_name(runs[i].status), STR_ARG(runs[i].func_name), STR_ARG(runs[i].user), buf_cstr(&when));
        buf_free(&when);
    }
}

static void print_json_lines(Engine *engine, const RunRow *runs, uint32_t count) {
    Buf out = { 0 };
    for (uint32_t i = 0; i < count; i++) {
        cmd_print_run_json(engine, &runs[i], &out);
        buf_put_char(&out, '\n');
    }
    cli_write(stdout, &out);
    buf_free(&out);
}

/* The runs of one store; false after printing why not. */
static bool print_runs_of(CmdSession *session, Store *store, const RunFilter *filter, uint32_t *shown) {
    StoreBatch *batch = store_batch(store, session->who.tenant, STR(""), 0);
    int index = store_list_runs(batch, filter);
    Error error = { 0 };
    Err err = store_run_batch(batch, &error);
    if (!err) {
        uint32_t count;
        const RunRow *runs = store_runs(batch, index, &count);
        if (session->json) print_json_lines(session->engine, runs, count);
        else if (count) print_table(runs, count, *shown == 0);
        *shown += count;
    } else cmd_failed(&error);
    store_batch_free(batch);
    return err == ERR_OK;
}

int cmd_ps(int argc, char **argv) {
    CmdCommon common = { 0 };
    CmdSession session = { 0 };
    bool all = false, tenants = false;
    const CliOption options[] = { CMD_COMMON_OPTIONS(common), { .name = "--all", .flag = &all }, { .name = "--tenants", .flag = &tenants }, { 0 } };
    if (cli_options(argc, argv, options) != 0) return cli_usage("takes options only");
    if (!cmd_open(&session, &common)) return EXIT_USAGE;
    const RunFilter filter = { .any_tenant = tenants, .status = -1, .unended = !all, .limit = 1000 };
    Store *main = engine_store(session.engine), *sessions = engine_home(session.engine, &(RunRow){ .durability = DURABILITY_SESSION });
    uint32_t shown = 0;
    bool ok = print_runs_of(&session, main, &filter, &shown);
    if (ok && sessions != main) ok = print_runs_of(&session, sessions, &filter, &shown);
    if (ok && !shown && !session.json) printf("no %sruns of tenant %.*s\n", all ? "" : "waiting or working ", STR_ARG(session.who.tenant));
    cmd_close(&session);
    return ok ? EXIT_DONE : EXIT_USAGE;
}

static void print_line(const char *name, Str text) {
    if (text.len) printf("%-12s %.*s\n", name, STR_ARG(text));
}

static void print_time(const char *name, int64_t us) {
    if (!us) return;
    Buf out = { 0 };
    timestamp_print(us, &out);
    print_line(name, buf_str(&out));
    buf_free(&out);
}

static int show_run(CmdSession *session, const RunRow *run, const void *unused) {
    (void)unused;
    if (session->json) return print_json_lines(session->engine, run, 1), EXIT_DONE;
    print_line("run", run->run_id);
    print_line("flow", run->func_name);
    print_line("status", str_of(run_status_name(run->status)));
    print_line("tenant", run->tenant);
    print_line("user", run->user);
    print_line("input", run->input_json);
    if (run->status == RUN_PARKED) print_line("waits for", run->waits_json);
    Buf shown = { 0 };
    Error error = { 0 };
    if (run_status_ended(run->status) && engine_shown_result(session->engine, run, &shown, &error) == ERR_OK)
        print_line(run->status == RUN_COMPLETED ? "result" : "error", buf_str(&shown));
    buf_free(&shown);
    Buf steps = { 0 };
    if (plan_steps(session->engine, run, &steps, &error) == ERR_OK) cli_write(stdout, &steps);
    buf_free(&steps);
    print_line("correlation", run->correlation);
    print_line("caused by", run->causation);
    print_line("module", run->module_hash);
    printf("%-12s %llu (snapshot at %llu)\n", "entries", (unsigned long long)run->last_seq, (unsigned long long)run->snapshot_seq);
    print_time("created", run->created_us);
    print_time("ended", run->ended_us);
    return EXIT_DONE;
}

/* The options, and one run's name behind them. */
static int read_run_name(int argc, char **argv, const CliOption *options) {
    int count = cli_options(argc, argv, options);
    if (count < 0) return EXIT_USAGE;
    return count == 1 ? EXIT_DONE : cli_usage("which run?");
}

static int tell_run(const CmdCommon *common, const char *name, int (*tell)(CmdSession *session, const RunRow *run, const void *arg), const void *arg) {
    CmdSession session = { 0 };
    if (!cmd_open(&session, common)) return EXIT_USAGE;
    RunRow run;
    int code = cmd_find_run(&session, name, &run) ? tell(&session, &run, arg) : EXIT_FINDINGS;
    cmd_close(&session);
    return code;
}

/* What was written before a failure is shown, too. */
static int print_told(Err err, const Error *error, Buf *out) {
    int code = err == ERR_OK ? EXIT_DONE : cmd_failed(error);
    cli_write(stdout, out);
    buf_free(out);
    return code;
}

int cmd_show(int argc, char **argv) {
    CmdCommon common = { 0 };
    const CliOption options[] = { CMD_COMMON_OPTIONS(common), { 0 } };
    int code = read_run_name(argc, argv, options);
    return code == EXIT_DONE ? tell_run(&common, argv[1], show_run, NULL) : code;
}

static int trace_run(CmdSession *session, const RunRow *run, const void *format) {
    Buf out = { 0 };
    Error error = { 0 };
    return print_told(trace_render(session->engine, run->tenant, &run->run_id, 1, *(const TraceFormat *)format, &out, &error), &error, &out);
}

int cmd_trace(int argc, char **argv) {
    CmdCommon common = { 0 };
    const char *format = "text";
    const CliOption options[] = { CMD_COMMON_OPTIONS(common), { .name = "--format", .value = &format }, { 0 } };
    int code = read_run_name(argc, argv, options);
    if (code != EXIT_DONE) return code;
    const TraceFormat wanted = strcmp(format, "mermaid") == 0 ? TRACE_MERMAID : TRACE_TEXT;
    if (wanted == TRACE_TEXT && strcmp(format, "text") != 0) return cli_usage("--format is text or mermaid, not `%s`", format);
    return tell_run(&common, argv[1], trace_run, &wanted);
}

static int plans_of_run(CmdSession *session, const RunRow *run, const void *unused) {
    (void)unused;
    Buf out = { 0 };
    Error error = { 0 };
    return print_told(plan_log(session->engine, run, &out, &error), &error, &out);
}

int cmd_plans(int argc, char **argv) {
    CmdCommon common = { 0 };
    const CliOption options[] = { CMD_COMMON_OPTIONS(common), { 0 } };
    int code = read_run_name(argc, argv, options);
    return code == EXIT_DONE ? tell_run(&common, argv[1], plans_of_run, NULL) : code;
}

int cmd_fsck(int argc, char **argv) {
    CmdCommon common = { 0 };
    CmdSession session = { 0 };
    const CliOption options[] = { CMD_COMMON_OPTIONS(common), { 0 } };
    if (cli_options(argc, argv, options) != 0) return cli_usage("takes options only");
    if (!cmd_open(&session, &common)) return EXIT_USAGE;
    FsckReport report = { 0 };
    Buf problems = { 0 };
    Error error = { 0 };
    int code = EXIT_DONE;
    if (store_fsck(engine_store(session.engine), &report, &problems, &error) != ERR_OK) {
        code = cmd_failed(&error);
    } else {
        cli_write(stderr, &problems);
        const char *form = session.json ? "{\"runs\":%llu,\"journal\":%llu,\"snapshots\":%llu,\"problems\":%llu}\n" : "%llu runs, %llu journal entries, %llu snapshots, %llu problems\n";
        printf(form, (unsigned long long)report.runs, (unsigned long long)report.journal_rows, (unsigned long long)report.snapshots, (unsigned long long)report.problems);
        if (report.problems) code = EXIT_FINDINGS;
    }
    buf_free(&problems);
    cmd_close(&session);
    return code;
}
