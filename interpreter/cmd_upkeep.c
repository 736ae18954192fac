/* cmd_upkeep.c - flowd migrate and flowd gc: what an operator does to a store as a whole. */
#include "interpreter/cmd.h"

#include <inttypes.h>
#include <stdlib.h>

#define GC_OLDER_DEFAULT (30 * 24 * 3600 * TIME_SECOND)

static int print_schema(const CmdCommon *common, const StoreSchema *schema, bool show, const char *kind) {
    bool current = schema->found == schema->known;
    if (common->json)
        printf("{\"store\":\"%s\",\"found\":%" PRId64 ",\"known\":%" PRId64 ",\"migrated\":%s}\n", kind, schema->found, schema->known, !show && !current ? "true" : "false");
    else if (current) printf("%s: schema version %" PRId64 ", up to date\n", kind, schema->known);
    else if (show) printf("%s: schema version %" PRId64 ", this program wants %" PRId64 "; `flowd migrate` brings it up to date\n", kind, schema->found, schema->known);
    else if (schema->found == 0) printf("%s: a new schema, version %" PRId64 "\n", kind, schema->known);
    else printf("%s: schema version %" PRId64 " -> %" PRId64 "\n", kind, schema->found, schema->known);
    return show && !current ? EXIT_FINDINGS : EXIT_DONE;
}

int cmd_migrate(int argc, char **argv) {
    CmdCommon common = { 0 };
    bool show = false;
    char url[CMD_URL_MAX];
    const CliOption options[] = { CMD_COMMON_OPTIONS(common), { .name = "--show", .flag = &show }, { 0 } };
    if (cli_options(argc, argv, options) != 0) return cli_usage("takes options only");
    if (!cmd_store_url(&common, url, sizeof url)) return EXIT_USAGE;
    StoreSchema schema = { 0 };
    Store *store = NULL;
    Error error = { 0 };
    Err err = store_open(url, &(StoreOptions){ .read_only = show, .migrate = !show, .schema = &schema }, &store, &error);
    int code = EXIT_USAGE;
    if (!err) code = print_schema(&common, &schema, show, store_kind(store));
    else if (show && schema.known && schema.found < schema.known) code = print_schema(&common, &schema, show, "store");
    else fprintf(stderr, "flowd: %s\n", error.text);
    store_close(store);
    return code;
}

static void show_progress(const GcReport *so_far, void *arg) {
    if (!*(bool *)arg) return;
    fprintf(stderr, "\r%" PRIu64 " runs, %" PRIu64 " events …", so_far->runs, so_far->events);
    fflush(stderr);
}

static void on_pruned(const HotResult *result, void *arg) { *(HotResult *)arg = (HotResult){ .err = result->err, .error = result->error, .number = result->number }; }

/* Pages, as everywhere here; Redis clears up by itself. */
static Err prune_hot(CmdSession *session, int64_t *total, Error *error) {
    HotResult result;
    do {
        hot_prune(engine_hot(session->engine), engine_now(session->engine), GC_PAGE, on_pruned, &result);
        while (hot_busy(engine_hot(session->engine))) hot_wait(engine_hot(session->engine));
        *total += result.err ? 0 : result.number;
    } while (!result.err && result.number == GC_PAGE);
    if (result.err) *error = result.error;
    return result.err;
}

int cmd_gc(int argc, char **argv) {
    CmdCommon common = { 0 };
    CmdSession session = { .quiet = true };
    const char *older = NULL;
    int64_t age = GC_OLDER_DEFAULT;
    const CliOption options[] = { CMD_COMMON_OPTIONS(common), { .name = "--older", .value = &older }, { 0 } };
    if (cli_options(argc, argv, options) != 0) return cli_usage("takes options only");
    if (older && (duration_parse(str_of(older), &age) != ERR_OK || age < 0)) return cli_usage("--older wants a duration such as 30d or 12h, not `%s`", older);
    if (!cmd_open(&session, &common)) return EXIT_USAGE;
    GcReport report;
    Error error = { 0 };
    int64_t hot = 0;
    bool tell = cli_color(stderr) && !session.json;
    Err err = store_gc(engine_store(session.engine), engine_now(session.engine) - age, &report, show_progress, &tell, &error);
    if (!err) err = prune_hot(&session, &hot, &error);
    if (tell) fprintf(stderr, "\r\033[K");
    const char *form = session.json ? "{\"runs\":%" PRIu64 ",\"journal\":%" PRIu64 ",\"events\":%" PRIu64 ",\"dead\":%" PRIu64 ",\"hot\":%" PRIu64 "}\n"
                                    : "removed %" PRIu64 " runs with %" PRIu64 " journal entries, %" PRIu64 " events, %" PRIu64 " dead letters, %" PRIu64 " hot entries\n";
    printf(form, report.runs, report.journal_rows, report.events, report.dead, hot);
    int code = err ? cmd_failed(&error) : EXIT_DONE;
    cmd_close(&session);
    return code;
}
