/* cmd.c - what the commands of flowd share. */
#include "interpreter/cmd.h"

#include "base/json.h"
#include "base/plain.h"
#include "interpreter/identity/identity.h"
#include "interpreter/net/llm_client.h"
#include "interpreter/sched/approval.h"

#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *login_name(void) {
    const char *name = getenv("USER");
    if (name && name[0]) return name;
    const struct passwd *entry = getpwuid(getuid());
    return entry ? entry->pw_name : "me";
}

/* $XDG_STATE_HOME/fidus/flow.db, else ~/.local/state/fidus/flow.db; folders are made. */
static bool default_store(char *url, size_t size) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char folder[1024];
    if (state && state[0]) snprintf(folder, sizeof folder, "%s/fidus", state);
    else if (home && home[0]) snprintf(folder, sizeof folder, "%s/.local/state/fidus", home);
    else return false;
    for (char *at = folder + 1; *at; at++) {
        if (*at != '/') continue;
        *at = '\0';
        mkdir(folder, 0755);
        *at = '/';
    }
    mkdir(folder, 0700);
    return snprintf(url, size, "sqlite:%s/flow.db", folder) < (int)size;
}

static bool principal_of(CmdSession *session, const char *as) {
    if (as && as[0]) snprintf(session->text, sizeof session->text, "%s", as);
    else snprintf(session->text, sizeof session->text, "%s@local", login_name());
    char *at = strrchr(session->text, '@');
    if (!at || at == session->text || !at[1]) {
        cli_usage("--as wants USER@TENANT, not `%s`", session->text);
        return false;
    }
    session->who = (EnginePrincipal){ .tenant = str_of(at + 1), .user = { session->text, (size_t)(at - session->text) } };
    session->who.user_name = session->who.user;
    return true;
}

static void show_note(const RunRow *run, const JournalRow *row, void *arg) {
    CmdSession *session = arg;
    if (session->quiet || row->entry != JOURNAL_NOTE) return;
    const char *dim = session->color ? "\033[2m" : "", *off = session->color ? "\033[0m" : "";
    switch (row->effect) {
    case EFFECT_NOTE_SPAN_BEGIN: fprintf(stderr, "%s  -> %.*s%s\n", dim, STR_ARG(row->name), off); break;
    case EFFECT_NOTE_RETRY: fprintf(stderr, "%s  .. retry: %.*s%s\n", dim, STR_ARG(row->args_json), off); break;
    case EFFECT_NOTE_SAGA_FAILED: fprintf(stderr, "  !! a step failed; undoing what was done\n"); break;
    case EFFECT_NOTE_COMPENSATE: fprintf(stderr, "%s  <- undo %.*s%s\n", dim, STR_ARG(row->args_json), off); break;
    case EFFECT_NOTE_PROGRESS: case EFFECT_NOTE_NOTICE: fprintf(stderr, "  %.*s\n", STR_ARG(row->args_json)); break;
    default: break;
    }
}

/* Bare words are text; what reads as JSON is taken as it is unless the question wants text. */
static void put_answer(Str line, Str type, Buf *out) {
    Arena *arena = arena_new();
    Json *json = NULL;
    if (!str_is(type, "string") && json_parse(arena, line, JOURNAL_ARGS_MAX, &json, NULL) == ERR_OK) buf_put_str(out, line);
    else json_put_string(out, line);
    arena_free(arena);
}

static bool ask_terminal(const RunRow *run, Str question, const Str *choices, uint32_t choice_count, Str type, int64_t due_us, Buf *answer, void *arg) {
    if (!cli_interactive()) return false;
    Buf shown = { 0 };
    plain_put(&shown, question);
    if (choice_count) buf_put_char(&shown, '\n');
    for (uint32_t i = 0; i < choice_count; i++) buf_printf(&shown, "  %u) ", i + 1), plain_put(&shown, choices[i]), buf_put_char(&shown, '\n');
    cli_write(stderr, &shown);
    buf_free(&shown);
    fprintf(stderr, choice_count ? "> " : str_is(type, "bool") ? " [yes/no] " : " ");
    fflush(stderr);
    char *line = NULL;
    size_t cap = 0;
    ssize_t got = getline(&line, &cap, stdin);
    while (got > 0 && (line[got - 1] == '\n' || line[got - 1] == '\r' || line[got - 1] == ' ')) got--;
    if (got > 0) {
        Str text = { line, (size_t)got };
        long pick = choice_count && got <= 3 ? strtol(line, NULL, 10) : 0;
        if (pick >= 1 && pick <= (long)choice_count) text = choices[pick - 1];
        put_answer(text, choice_count ? STR("string") : type, answer);
    }
    free(line);
    return got > 0;
}

/* An empty line, or the end of the input, allows nothing and refuses nothing: the run stays parked. */
static bool approve_terminal(const RunRow *run, Str tool, const Json *arguments, int64_t due_us, Buf *answer, void *arg) {
    if (!cli_interactive()) return false;
    cmd_print_approval(stderr, tool, arguments);
    return ask_terminal(run, STR("Allow it?"), NULL, 0, STR("bool"), due_us, answer, arg);
}

static void say_refused(const char *why, void *arg) { fprintf(stderr, "That does not fit: %s\n", why); }

static void say_model(Str provider, bool down, const char *why, void *arg) {
    const CmdSession *session = arg;
    if (session->quiet) return;
    if (provider.len == 0) fprintf(stderr, "flowd: no language model is configured (FLOW_LLM_URL): answers follow the rules of the program\n");
    else if (down) fprintf(stderr, "flowd: the language model `%.*s` fails (%s) and is not asked for a while\n", STR_ARG(provider), why);
    else fprintf(stderr, "flowd: the language model `%.*s` answers again\n", STR_ARG(provider));
}

static const char *variable(const char *name) { return getenv(name); }

bool cmd_open(CmdSession *session, const CmdCommon *common) {
    return cmd_open_with(session, common, &(EngineOptions){ .on_note = show_note, .on_question = ask_terminal, .on_approval = approve_terminal, .on_refused = say_refused });
}

enum { OPEN_AGAIN_US = 200000 };

bool cmd_store_url(const CmdCommon *common, char *url, size_t size) {
    const char *store = common->store_url ? common->store_url : getenv("FLOW_STORE");
    if (store && store[0]) {
        if (snprintf(url, size, "%s", store) < (int)size) return true;
        return cli_usage("the store's URL is longer than %zu bytes", size - 1), false;
    }
    return default_store(url, size) || (cli_usage("no state folder: set HOME, or give --store"), false);
}

struct Identity *cmd_identity(void *arg) {
    CmdSession *session = arg;
    IdentityOptions options;
    Error error = { 0 };
    if (session->identity || session->without_identity) return session->identity;
    identity_options_from_environment(&options);
    if (identity_open(&options, engine_loop(session->engine), engine_http(session->engine), engine_store(session->engine), &session->identity, &error)) {
        session->without_identity = true;
        fprintf(stderr, "flowd: %s\n", error.text);
    }
    return session->identity;
}

bool cmd_open_with(CmdSession *session, const CmdCommon *common, const EngineOptions *how) {
    char store[CMD_URL_MAX];
    if (!cmd_store_url(common, store, sizeof store)) return false;
    if (!principal_of(session, common->as ? common->as : getenv("FLOW_AS"))) return false;
    session->json = common->json;
    session->quiet = session->quiet || common->json;
    session->color = cli_color(stderr);
    EngineOptions options = *how;
    LlmSettings llm;
    Error error = { 0 };
    Arena *arena = arena_new();
    if (llm_settings_read(variable, arena, &llm, &error) != ERR_OK) {
        fprintf(stderr, "flowd: %s\n", error.text);
        arena_free(arena);
        return false;
    }
    options.llm = &llm;
    if (!options.on_model) options.on_model = say_model;
    options.store_url = store;
    options.redis_url = common->redis_url ? common->redis_url : getenv("FLOW_REDIS");
    options.arg = session;
    int64_t until = clock_now() + session->patience_us;
    Err err;
    while ((err = engine_open(&options, &session->engine, &error)) == ERR_IO && clock_now() < until) usleep(OPEN_AGAIN_US);
    arena_free(arena);
    if (err == ERR_OK) {
        engine_set_identity(session->engine, cmd_identity, session);
        return true;
    }
    fprintf(stderr, "flowd: %s\n", error.text);
    return false;
}

void cmd_close(CmdSession *session) {
    identity_close(session->identity);
    session->identity = NULL;
    engine_close(session->engine);
    session->engine = NULL;
    arena_free(session->arena);
    session->arena = NULL;
}

int cmd_failed(const Error *error) {
    fprintf(stderr, "flowd: %s\n", error->text);
    return error->code == ERR_NOT_FOUND || error->code == ERR_CONFLICT || error->code == ERR_INVALID ? EXIT_FINDINGS : EXIT_USAGE;
}

bool cmd_patience(const char *text, int64_t *us) {
    *us = 60 * TIME_SECOND;
    if (!text || duration_parse(str_of(text), us) == ERR_OK) return true;
    cli_usage("--wait wants a duration such as 30s or 5m, not `%s`", text);
    return false;
}

/* When the earliest sleep of a parked run ends; INT64_MAX when it sleeps not at all, or waits for somebody as well. */
static int64_t sleep_end(const RunRow *run) {
    Arena *arena = arena_new();
    const Json *waits = run->status == RUN_PARKED ? engine_waits(run, arena) : NULL;
    int64_t earliest = INT64_MAX, due;
    for (size_t i = 0; waits && i < waits->count; i++) {
        if (!str_is(json_get_text(waits->items[i], "kind"), "sleep_until") || timestamp_parse(json_get_text(waits->items[i], "due"), &due) != ERR_OK) continue;
        if (due < earliest) earliest = due;
    }
    arena_free(arena);
    return earliest;
}

#define ELSEWHERE_LOOK (20 * INT64_C(1000))

static void note_end(const RunRow *run, bool named, int64_t *earliest) {
    bool elsewhere = named && (run->status == RUN_READY || run->status == RUN_RUNNING);       /* another worker has it, or is about to */
    int64_t end = elsewhere ? clock_now() + ELSEWHERE_LOOK : sleep_end(run);
    if (end < *earliest) *earliest = end;
}

static Err next_sleep_end(CmdSession *session, const char *run_id, int64_t *earliest, Error *error) {
    *earliest = INT64_MAX;
    if (run_id) {
        Arena *arena = arena_new();
        RunRow run;
        Err err = engine_find_run(session->engine, session->who.tenant, str_of(run_id), arena, &run, error);
        if (!err) note_end(&run, true, earliest);
        arena_free(arena);
        return err;
    }
    StoreBatch *batch = store_batch(engine_store(session->engine), session->who.tenant, STR(""), 0);
    int index = store_list_runs(batch, &(RunFilter){ .status = RUN_PARKED, .unended = true, .limit = 1000 });
    Err err = store_run_batch(batch, error);
    uint32_t count = 0;
    const RunRow *runs = err ? NULL : store_runs(batch, index, &count);
    for (uint32_t i = 0; i < count; i++) note_end(&runs[i], false, earliest);
    store_batch_free(batch);
    return err;
}

Err cmd_work(CmdSession *session, const char *run_id, int64_t patience_us, Error *error) {
    int64_t until = clock_now() + patience_us;
    for (;;) {
        Err err = run_id ? engine_work(session->engine, session->who.tenant, str_of(run_id), error) : ERR_OK;
        if (!err) err = engine_work(session->engine, session->who.tenant, STR(""), error);
        int64_t end = INT64_MAX;
        if (!err) err = next_sleep_end(session, run_id, &end, error);
        if (err || end > until) return err;
        int64_t pause = end - clock_now();
        if (pause > 0) usleep((useconds_t)(pause < TIME_SECOND ? pause : TIME_SECOND));
    }
}

bool cmd_find_run(CmdSession *session, const char *run, RunRow *out) {
    Error error = { 0 };
    if (!session->arena) session->arena = arena_new();
    Err err = engine_find_run(session->engine, session->who.tenant, str_of(run), session->arena, out, &error);
    if (err) fprintf(stderr, "flowd: %s%s\n", error.text, err == ERR_NOT_FOUND ? "; `flowd ps --all` lists those of the tenant" : "");
    return err == ERR_OK;
}

static void put_field(Buf *out, const char *name, Str text) {
    if (!text.len) return;
    buf_printf(out, ",\"%s\":", name);
    json_put_string(out, text);
}

static void put_json_field(Buf *out, const char *name, Str json) {
    if (json.len) buf_printf(out, ",\"%s\":%.*s", name, STR_ARG(json));
}

static void put_time_field(Buf *out, const char *name, int64_t us) {
    if (!us) return;
    buf_printf(out, ",\"%s\":\"", name);
    timestamp_print(us, out);
    buf_put_char(out, '"');
}

void cmd_print_run_json(Engine *engine, const RunRow *run, Buf *out) {
    Buf shown = { 0 };
    Error error = { 0 };
    if (!engine) buf_put_str(&shown, run->result_json);
    else if (engine_shown_result(engine, run, &shown, &error) != ERR_OK) buf_clear(&shown);
    buf_put_text(out, "{\"run\":");
    json_put_string(out, run->run_id);
    put_field(out, "flow", run->func_name);
    put_field(out, "status", str_of(run_status_name(run->status)));
    put_field(out, "tenant", run->tenant);
    put_field(out, "user", run->user);
    put_field(out, "correlation", run->correlation);
    put_field(out, "causation", run->causation);
    put_field(out, "module", run->module_hash);
    put_json_field(out, "input", run->input_json);
    if (run->status == RUN_PARKED) put_json_field(out, "waits", run->waits_json);
    if (run_status_ended(run->status)) put_json_field(out, run->status == RUN_COMPLETED ? "result" : "error", buf_str(&shown));
    buf_free(&shown);
    buf_printf(out, ",\"entries\":%llu", (unsigned long long)run->last_seq);
    put_time_field(out, "created", run->created_us);
    put_time_field(out, "ended", run->ended_us);
    buf_put_char(out, '}');
}

void cmd_print_approval(FILE *to, Str tool, const Json *arguments) {
    Buf shown = { 0 };
    buf_printf(&shown, "%.*s is about to be called, with\n", STR_ARG(tool));
    approval_put_shown(arguments, &shown);
    cli_write(to, &shown);
    buf_free(&shown);
}

void cmd_print_waits(const RunRow *run) {
    Arena *arena = arena_new();
    const Json *waits = engine_waits(run, arena);
    printf("parked %.*s\n", STR_ARG(run->run_id));
    for (size_t i = 0; waits && i < waits->count; i++) {
        Str kind = json_get_text(waits->items[i], "kind"), text = json_get_text(waits->items[i], "text"), due = json_get_text(waits->items[i], "due");
        printf("  waits for %.*s%s%.*s%s%.*s\n", STR_ARG(kind), text.len ? ": " : "", STR_ARG(text), due.len ? ", until " : "", STR_ARG(due));
        Str hash = json_get_text(waits->items[i], "hash");
        if (hash.len) cmd_print_approval(stdout, json_get_text(waits->items[i], "tool"), json_get(waits->items[i], "arguments"));
        if (hash.len) printf("  go on with: flowd answer %.*s yes --hash %.*s\n", STR_ARG(run->run_id), STR_ARG(hash));
        else if (engine_wait_asks(waits->items[i])) printf("  go on with: flowd answer %.*s VALUE\n", STR_ARG(run->run_id));
    }
    arena_free(arena);
}

/* A text result, or a record with a `text`, is shown as text; anything else as JSON. */
static void print_result(Str json) {
    Arena *arena = arena_new();
    Json *value = NULL;
    if (json_parse(arena, json, 16 << 20, &value, NULL) == ERR_OK && value->kind == JSON_OBJECT && json_get_text(value, "text").len) {
        Str text = json_get_text(value, "text");
        printf("%.*s\n", STR_ARG(text));
    } else if (value && value->kind == JSON_STRING) {
        printf("%.*s\n", STR_ARG(value->text));
    } else if (json.len) {
        printf("%.*s\n", STR_ARG(json));
    }
    arena_free(arena);
}

static void put_plan_fault(Buf *out, const Json *fault) {
    Str code = json_get_text(fault, "code"), pointer = json_get_text(fault, "pointer"), message = json_get_text(fault, "message");
    const Json *suggestion = json_get(fault, "suggestion"), *value = suggestion ? json_get(suggestion, "value") : NULL;
    buf_printf(out, "\n  %.*s at %.*s: %.*s", STR_ARG(code), STR_ARG(pointer.len ? pointer : STR("the plan as a whole")), STR_ARG(message));
    Str op = suggestion ? json_get_text(suggestion, "op") : (Str){ 0 };
    bool adds = str_is(op, "add");
    if (str_is(op, "remove")) buf_put_text(out, "; leave it out");
    if (!value || str_is(op, "remove")) return;
    buf_put_text(out, adds ? "; add " : "; did you mean ");
    json_print(out, value);
    if (!adds) buf_put_char(out, '?');
}

/* The error of a refused plan says what is wrong as a report for programs; a person reads the sentences of it. False: it is no report. */
static bool put_plan_report(Arena *arena, Str message, Buf *out) {
    enum { SHOWN = 20 };
    Json *report = NULL;
    const Json *faults = NULL;
    if (message.len && message.ptr[0] == '{' && json_parse(arena, message, 16 << 20, &report, NULL) == ERR_OK) faults = json_get(report, "diagnostics");
    if (!faults || faults->kind != JSON_ARRAY || !json_get(report, "version")) return false;
    buf_put_text(out, "the plan is refused");
    for (size_t i = 0; i < faults->count && i < SHOWN; i++) put_plan_fault(out, faults->items[i]);
    if (faults->count > SHOWN) buf_printf(out, "\n  and %zu more", faults->count - SHOWN);
    return true;
}

static void print_error(const RunRow *run) {
    Arena *arena = arena_new();
    Json *error = NULL;
    if (json_parse(arena, run->result_json, 16 << 20, &error, NULL) == ERR_OK && error->kind == JSON_OBJECT) {
        Str kind = json_get_text(error, "kind"), message = json_get_text(error, "message"), at = json_get_text(error, "at");
        Buf text = { 0 };
        if (!put_plan_report(arena, message, &text)) buf_put_str(&text, message);
        fprintf(stderr, "%s %.*s: %.*s: %s%s%.*s\n", run_status_name(run->status), STR_ARG(run->run_id), STR_ARG(kind), buf_cstr(&text), at.len ? "\n  at " : "", STR_ARG(at));
        buf_free(&text);
    } else {
        fprintf(stderr, "%s %.*s\n", run_status_name(run->status), STR_ARG(run->run_id));
    }
    arena_free(arena);
}

int cmd_print_outcome(CmdSession *session, const RunRow *run) {
    if (session->json) {
        Buf out = { 0 };
        cmd_print_run_json(NULL, run, &out);
        buf_put_char(&out, '\n');
        cli_write(stdout, &out);
        buf_free(&out);
    }
    switch (run->status) {
    case RUN_COMPLETED:
        if (!session->json) print_result(run->result_json);
        return EXIT_DONE;
    case RUN_FAILED: case RUN_CANCELLED:
        if (!session->json) print_error(run);
        return EXIT_FINDINGS;
    case RUN_READY: case RUN_RUNNING:
        if (!session->json) printf("%s %.*s\n", run_status_name(run->status), STR_ARG(run->run_id));
        return EXIT_PARKED;
    case RUN_PARKED:
        if (!session->json) cmd_print_waits(run);
        return EXIT_PARKED;
    }
    return EXIT_USAGE;
}
