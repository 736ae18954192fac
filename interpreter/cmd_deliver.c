/* cmd_deliver.c - reaching a run from outside: answer, signal, cancel, fork. Each is durable when the engine says so; then the run goes on. */
#include "interpreter/cmd.h"

#include <stdlib.h>

typedef Err (*Delivery)(CmdSession *session, Str run_id, char **argv, const EngineAnswer *to, Error *error);

static int go_on(CmdSession *session, const char *run_id, bool park) {
    Error error = { 0 };
    int64_t patience_us;
    cmd_patience(NULL, &patience_us);
    if (!park && cmd_work(session, run_id, patience_us, &error) != ERR_OK) return cmd_failed(&error);
    RunRow run;
    int code = cmd_find_run(session, run_id, &run) ? cmd_print_outcome(session, &run) : EXIT_USAGE;
    return code;
}

static Err deliver_answer(CmdSession *session, Str run_id, char **argv, const EngineAnswer *to, Error *error) {
    Arena *arena = arena_new();
    Buf json = { 0 };
    Json *parsed = NULL;
    Str text = str_of(argv[2]);
    if (json_parse(arena, text, 1 << 20, &parsed, NULL) == ERR_OK) buf_put_str(&json, text);
    else json_put_string(&json, text);
    Err err = engine_answer_to(session->engine, session->who.tenant, run_id, &(EngineAnswer){ .value_json = buf_str(&json), .request = to->request, .hash = to->hash }, error);
    buf_free(&json);
    arena_free(arena);
    return err;
}

static Err deliver_signal(CmdSession *session, Str run_id, char **argv, const EngineAnswer *to, Error *error) {
    return engine_signal(session->engine, session->who.tenant, run_id, str_of(argv[2]), argv[3] ? str_of(argv[3]) : STR("{}"), error);
}

static Err deliver_cancel(CmdSession *session, Str run_id, char **argv, const EngineAnswer *to, Error *error) {
    return engine_cancel(session->engine, session->who.tenant, run_id, error);
}

static bool read_number(const char *text, uint64_t *out) {
    char *end;
    *out = strtoull(text, &end, 10);
    return *out && !*end && text[0] != '-';
}

static int deliver(int argc, char **argv, int least, int most, const char *want, Delivery delivery) {
    CmdCommon common = { 0 };
    CmdSession session = { 0 };
    bool park = false, answers = delivery == deliver_answer;
    const char *hash = NULL, *request = NULL;
    const CliOption for_answers[] = { { .name = "--hash", .value = &hash }, { .name = "--request", .value = &request } }, none = { 0 };
    const CliOption options[] = { CMD_COMMON_OPTIONS(common), { .name = "--park", .flag = &park }, { .name = "--quiet", .flag = &session.quiet },
                                  answers ? for_answers[0] : none, answers ? for_answers[1] : none, { 0 } };
    int count = cli_options(argc, argv, options);
    EngineAnswer to = { .hash = hash ? str_of(hash) : (Str){ "", 0 } };
    if (count < 0) return EXIT_USAGE;
    if (count < least || count > most) return cli_usage("%s", want);
    if (request && !read_number(request, &to.request)) return cli_usage("--request wants the number of a question, as `flowd show RUN` has it, not `%s`", request);
    if (!cmd_open(&session, &common)) return EXIT_USAGE;
    RunRow run;
    int code = EXIT_FINDINGS;
    if (cmd_find_run(&session, argv[1], &run)) {
        char run_id[64];
        snprintf(run_id, sizeof run_id, "%.*s", STR_ARG(run.run_id));
        Error error = { 0 };
        Err err = delivery(&session, str_of(run_id), argv, &to, &error);
        code = err == ERR_OK ? go_on(&session, run_id, park) : cmd_failed(&error);
        if (answers && err == ERR_CONFLICT && run.status == RUN_PARKED && !session.json) cmd_print_waits(&run);
    }
    cmd_close(&session);
    return code;
}

int cmd_answer(int argc, char **argv) { return deliver(argc, argv, 2, 2, "which run, and what is the answer?", deliver_answer); }
int cmd_signal(int argc, char **argv) { return deliver(argc, argv, 2, 3, "which run, and which signal?", deliver_signal); }

int cmd_cancel(int argc, char **argv) {
    int code = deliver(argc, argv, 1, 1, "which run?", deliver_cancel);
    return code == EXIT_FINDINGS ? EXIT_DONE : code;
}

int cmd_fork(int argc, char **argv) {
    CmdCommon common = { 0 };
    CmdSession session = { 0 };
    const char *at = NULL;
    const CliOption options[] = { CMD_COMMON_OPTIONS(common), { .name = "--at", .value = &at }, { 0 } };
    int count = cli_options(argc, argv, options);
    if (count < 0) return EXIT_USAGE;
    if (count != 1 || !at) return cli_usage("which run, and at which journal entry? `flowd trace RUN` numbers them");
    char *end;
    unsigned long long seq = strtoull(at, &end, 10);
    if (*end || !seq) return cli_usage("--at wants the number of a journal entry, not `%s`", at);
    if (!cmd_open(&session, &common)) return EXIT_USAGE;
    RunRow run;
    int code = EXIT_FINDINGS;
    if (cmd_find_run(&session, argv[1], &run)) {
        char forked[64];
        Error error = { 0 };
        Err err = engine_fork(session.engine, run.tenant, run.run_id, seq, forked, &error);
        if (err != ERR_OK) code = cmd_failed(&error);
        else {
            printf(session.json ? "{\"run\":\"%s\"}\n" : "%s\n", forked);
            code = EXIT_DONE;
        }
    }
    cmd_close(&session);
    return code;
}
