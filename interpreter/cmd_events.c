/* cmd_events.c - looking at events: what was emitted and why, which letters are dead, and their replay. What an event says is nobody's business here. */
#include "interpreter/cmd.h"

#include <stdlib.h>

enum { EVENTS_LISTED = 1000 };

static void put_text(Buf *out, const char *name, Str text) {
    buf_printf(out, ",\"%s\":", name);
    json_put_string(out, text);
}

static void put_time(Buf *out, int64_t us) {
    buf_put_text(out, ",\"created\":\"");
    timestamp_print(us, out);
    buf_put_text(out, "\"}\n");
}

/* ---- list ---------------------------------------------------------------------------------------------------------- */

static void put_event(Buf *out, const EventRow *e) {
    buf_put_text(out, "{\"event\":");
    json_put_string(out, e->event_id);
    put_text(out, "name", e->name);
    put_text(out, "correlation", e->correlation);
    put_text(out, "causation", e->causation);
    put_text(out, "run", e->run_id);
    put_text(out, "user", e->user);
    buf_printf(out, ",\"hops\":%u,\"dispatched\":%s", e->hops, e->dispatched ? "true" : "false");
    put_time(out, e->created_us);
}

static void print_events(const EventRow *rows, uint32_t count) {
    printf("%-24s %-24s %-24s %-24s %4s %-10s %s\n", "EVENT", "NAME", "CORRELATION", "CAUSED BY", "HOPS", "DISPATCHED", "CREATED");
    for (uint32_t i = 0; i < count; i++) {
        const EventRow *e = &rows[i];
        Buf when = { 0 };
        timestamp_print(e->created_us - e->created_us % TIME_SECOND, &when);
        printf("%-24.*s %-24.*s %-24.*s %-24.*s %4u %-10s %s\n", STR_ARG(e->event_id), STR_ARG(e->name), STR_ARG(e->correlation), STR_ARG(e->causation), e->hops, e->dispatched ? "yes" : "no", buf_cstr(&when));
        buf_free(&when);
    }
}

static int list(CmdSession *session, const char *name, const char *correlation, uint32_t limit) {
    Error error = { 0 };
    StoreBatch *batch = store_batch(engine_store(session->engine), session->who.tenant, STR(""), 0);
    int index = store_list_events(batch, str_of(name ? name : ""), str_of(correlation ? correlation : ""), limit), code = EXIT_DONE;
    if (store_run_batch(batch, &error) != ERR_OK) code = cmd_failed(&error);
    else {
        uint32_t count;
        const EventRow *rows = store_events(batch, index, &count);
        Buf out = { 0 };
        for (uint32_t i = 0; i < count && session->json; i++) put_event(&out, &rows[i]);
        if (session->json) cli_write(stdout, &out);
        else if (count) print_events(rows, count);
        else printf("no events of tenant %.*s\n", STR_ARG(session->who.tenant));
        buf_free(&out);
    }
    store_batch_free(batch);
    return code;
}

/* ---- the dead ------------------------------------------------------------------------------------------------------ */

/* The error of a run is an object; of its texts the kind and the message are for everybody. */
static Str reason(Arena *arena, Str error) {
    Json *json = NULL;
    if (json_parse(arena, error, 1 << 20, &json, NULL) != ERR_OK || json->kind != JSON_OBJECT) return error;
    Str kind = json_get_text(json, "kind"), message = json_get_text(json, "message");
    return str_of(arena_printf(arena, "%.*s: %.*s", STR_ARG(kind), STR_ARG(message)));
}

static void put_dead(Buf *out, const DeadRow *d, Str why) {
    buf_put_text(out, "{\"event\":");
    json_put_string(out, d->event_id);
    put_text(out, "subscriber", d->subscriber);
    put_text(out, "error", why);
    buf_printf(out, ",\"attempts\":%u", d->attempts);
    put_time(out, d->created_us);
}

static int dead(CmdSession *session) {
    Error error = { 0 };
    StoreBatch *batch = store_batch(engine_store(session->engine), session->who.tenant, STR(""), 0);
    int index = store_list_dead(batch, 0), code = EXIT_DONE;
    if (store_run_batch(batch, &error) != ERR_OK) code = cmd_failed(&error);
    else {
        uint32_t count;
        const DeadRow *rows = store_dead(batch, index, &count);
        Arena *arena = arena_new();
        Buf out = { 0 };
        if (!session->json && count == 0) buf_printf(&out, "no dead letters of tenant %.*s\n", STR_ARG(session->who.tenant));
        else if (!session->json) buf_printf(&out, "%-24s %-36s %8s %s\n", "EVENT", "SUBSCRIBER", "ATTEMPTS", "ERROR");
        for (uint32_t i = 0; i < count; i++) {
            Str why = reason(arena, rows[i].error);
            if (session->json) put_dead(&out, &rows[i], why);
            else buf_printf(&out, "%-24.*s %-36.*s %8u %.*s\n", STR_ARG(rows[i].event_id), STR_ARG(rows[i].subscriber), rows[i].attempts, STR_ARG(why));
        }
        cli_write(stdout, &out);
        buf_free(&out);
        arena_free(arena);
    }
    store_batch_free(batch);
    return code;
}

/* ---- replay -------------------------------------------------------------------------------------------------------- */

static int replay(CmdSession *session, const char *event, const char *subscriber, bool park) {
    Error error = { 0 };
    uint32_t replayed = 0, refused = 0;
    int64_t patience_us;
    Err err = engine_replay_dead(session->engine, session->who.tenant, str_of(event ? event : ""), str_of(subscriber ? subscriber : ""), &replayed, &refused, &error);
    if (err) return cmd_failed(&error);
    printf(session->json ? "{\"replayed\":%u,\"refused\":%u}\n" : "%u replayed, %u refused\n", replayed, refused);
    if (refused) fprintf(stderr, "flowd: %s\n", error.text);
    cmd_patience(NULL, &patience_us);
    if (replayed && !park && cmd_work(session, NULL, patience_us, &error) != ERR_OK) return cmd_failed(&error);
    return refused ? EXIT_FINDINGS : EXIT_DONE;
}

typedef struct Ask { const char *name, *correlation, *subscriber, *limit; bool dead, park; } Ask;

static bool limit_of(const char *text, uint32_t *limit) {
    char *end = NULL;
    unsigned long value = text ? strtoul(text, &end, 10) : EVENTS_LISTED;
    *limit = (uint32_t)value;
    if (!text || (*text && !*end && value > 0 && value <= UINT32_MAX)) return true;
    cli_usage("--limit wants a number from 1, not `%s`", text);
    return false;
}

static int run_asked(CmdSession *session, char **argv, const Ask *ask, uint32_t limit) {
    if (strcmp(argv[1], "list") == 0) return list(session, ask->name, ask->correlation, limit);
    if (strcmp(argv[1], "dead") == 0) return dead(session);
    return replay(session, argv[2], ask->subscriber, ask->park);
}

int cmd_events(int argc, char **argv) {
    CmdCommon common = { 0 };
    CmdSession session = { 0 };
    Ask ask = { 0 };
    uint32_t limit;
    const CliOption options[] = { CMD_COMMON_OPTIONS(common), { .name = "--name", .value = &ask.name }, { .name = "--correlation", .value = &ask.correlation }, { .name = "--limit", .value = &ask.limit },
                                  { .name = "--subscriber", .value = &ask.subscriber }, { .name = "--dead", .flag = &ask.dead }, { .name = "--park", .flag = &ask.park }, { .name = "--quiet", .flag = &session.quiet }, { 0 } };
    int count = cli_options(argc, argv, options);
    if (count < 0) return EXIT_USAGE;
    bool replays = count > 0 && strcmp(argv[1], "replay") == 0;
    if (count == 0 || (!replays && strcmp(argv[1], "list") != 0 && strcmp(argv[1], "dead") != 0)) return cli_usage("list, dead or replay?");
    if (count > (replays ? 2 : 1)) return cli_usage("`%s` is too much", argv[replays ? 3 : 2]);
    if (replays && (count == 2) == ask.dead) return cli_usage("which event? Or --dead for all dead letters");
    if (!limit_of(ask.limit, &limit) || !cmd_open(&session, &common)) return EXIT_USAGE;
    if (count == 1) argv[2] = NULL;
    int code = run_asked(&session, argv, &ask, limit);
    cmd_close(&session);
    return code;
}
