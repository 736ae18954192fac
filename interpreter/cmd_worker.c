/* cmd_worker.c - flowd worker: a process that stays and takes on what wants a worker. */
#include "interpreter/cmd.h"

#include <stdlib.h>

enum { WORKER_CONCURRENCY_MAX = 100000 };

/* One line, whole, however many processes share the stream. */
void cmd_log_line(Str line, void *arg) {
    fprintf(stderr, "%.*s\n", STR_ARG(line));
    fflush(stderr);
}

bool cmd_read_concurrency(const char *text, uint32_t *out) {
    if (!text) return true;
    char *end;
    unsigned long count = strtoul(text, &end, 10);
    if (*end || text[0] == '-' || count == 0 || count > WORKER_CONCURRENCY_MAX) {
        cli_usage("--concurrency wants a number from 1 to %d, not `%s`", WORKER_CONCURRENCY_MAX, text);
        return false;
    }
    *out = (uint32_t)count;
    return true;
}

bool cmd_read_lease(const char *text, int64_t *out) {
    if (!text) return true;
    if (duration_parse(str_of(text), out) == ERR_OK && *out >= 100000 && *out <= 3600 * TIME_SECOND) return true;
    cli_usage("--lease wants a duration from 100ms to 1h, not `%s`", text);
    return false;
}

int cmd_worker(int argc, char **argv) {
    CmdCommon common = { 0 };
    CmdSession session = { .quiet = true, .patience_us = 60 * TIME_SECOND };            /* it may be started together with its database */
    const char *concurrency = NULL, *lease = NULL;
    const CliOption options[] = { CMD_COMMON_OPTIONS(common), { .name = "--concurrency", .value = &concurrency }, { .name = "--lease", .value = &lease }, { 0 } };
    int count = cli_options(argc, argv, options);
    if (count < 0) return EXIT_USAGE;
    if (count > 0) return cli_usage("takes options only");
    EngineOptions engine = { .stop_on_signals = true, .on_log = cmd_log_line };
    if (!cmd_read_concurrency(concurrency, &engine.concurrency) || !cmd_read_lease(lease, &engine.lease_us)) return EXIT_USAGE;
    if (!cmd_open_with(&session, &common, &engine)) return EXIT_USAGE;
    Error error = { 0 };
    Err err = engine_serve(session.engine, &error);
    cmd_close(&session);
    return err ? cmd_failed(&error) : EXIT_DONE;
}
