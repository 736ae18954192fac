/* cmd_plan.c - flowc plan: what a plan of a language model would do, before anybody runs it. Pure: it reads its input and nothing else. */
#include "compiler/cmd.h"
#include "compiler/plan/bound.h"
#include "compiler/plan/standalone.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AGENT_FILES_MAX = 1000, FOLDER_DEPTH_MAX = 8, WORDS_MAX = 256 };

/* Paths, words of --allow and --scopes, limits. */
typedef struct PlanArgs {
    Arena *arena;
    CmdSearch agents, allow, scopes, search;
    const char *format, *out_path;
    bool json, ask;
    const char *files[AGENT_FILES_MAX]; uint32_t file_count;
    Str tools[WORDS_MAX], scope_words[WORDS_MAX];
    PlanGrant grant;
    const char *plan_path;               /* "-": standard input */
    Buf plan;
    Image *base;
} PlanArgs;

/* ---- limits ------------------------------------------------------------------------------------------------ */

#define LIMIT_OPTIONS(L) L(steps) L(depth) L(fanout) L(calls) L(calls_per_tool) L(fuel) L(memory) L(wall) L(tokens) L(usd)
typedef enum {
#define L(name) LIMIT_##name,
    LIMIT_OPTIONS(L)
#undef L
    LIMIT_COUNT
} Limit;
static const char *const limit_names[LIMIT_COUNT] = {
    "--steps", "--depth", "--fanout", "--calls", "--calls-per-tool", "--fuel", "--memory", "--wall", "--tokens", "--usd"
};

/* Digits with one point at most, scaled by 10^places; 0 when it is no positive number or does not fit. */
static int64_t read_scaled(const char *text, int places) {
    int64_t value = 0;
    int after = -1;
    for (const char *p = text; *p; p++) {
        if (*p == '.' && after < 0 && places) {
            after = 0;
            continue;
        }
        if (*p < '0' || *p > '9' || value > PLAN_BOUND_MAX || (after >= 0 && ++after > places)) return 0;
        value = value * 10 + (*p - '0');
    }
    for (int i = after < 0 ? 0 : after; i < places; i++) value *= 10;
    return value <= PLAN_BOUND_MAX ? value : 0;
}

/* "30s", "500ms", "2m" or seconds. */
static int64_t read_wall(const char *text, Arena *arena) {
    static const struct { const char *unit; int64_t us; } units[] = { { "ms", 1000 }, { "s", 1000000 }, { "m", 60000000 }, { "h", 3600000000 } };
    Str word = str_of(text);
    int64_t factor = 1000000;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (!str_ends(word, str_of(units[i].unit))) continue;
        word.len -= strlen(units[i].unit);
        factor = units[i].us;
        break;
    }
    int64_t count = read_scaled(arena_str(arena, word).ptr, 0);
    return count && count <= PLAN_BOUND_MAX / factor ? count * factor : 0;
}

static bool read_limit(PlanArgs *args, Limit which, const char *text) {
    PlanLimits *limits = &args->grant.limits;
    int64_t value = which == LIMIT_usd ? read_scaled(text, 6) : which == LIMIT_wall ? read_wall(text, args->arena) : read_scaled(text, 0);
    if (value <= 0 || (which <= LIMIT_calls_per_tool && value > UINT32_MAX)) {
        const char *kind = which == LIMIT_usd ? "an amount such as 0.50" : which == LIMIT_wall ? "a time such as 30s" : "a number above 0";
        cli_usage("%s wants %s, not `%s`", limit_names[which], kind, text);
        return false;
    }
    switch (which) {
    case LIMIT_steps:          limits->steps = (uint32_t)value; break;
    case LIMIT_depth:          limits->depth = (uint32_t)value; break;
    case LIMIT_fanout:         limits->fanout = (uint32_t)value; break;
    case LIMIT_calls:          limits->calls = (uint32_t)value; break;
    case LIMIT_calls_per_tool: limits->calls_per_tool = (uint32_t)value; break;
    case LIMIT_fuel:           limits->fuel = (uint64_t)value; break;
    case LIMIT_memory:         limits->memory_bytes = (uint64_t)value; break;
    case LIMIT_wall:           limits->wall_us = value; break;
    case LIMIT_tokens:         limits->tokens = (uint64_t)value; break;
    case LIMIT_usd:            limits->micro_usd = value; break;
    case LIMIT_COUNT:          break;
    }
    return true;
}

/* ---- agents ------------------------------------------------------------------------------------------------ */

static bool add_path(PlanArgs *args, const char *path, int depth);

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static bool add_folder(PlanArgs *args, const char *path, int depth) {
    const char *names[AGENT_FILES_MAX];
    size_t count = 0;
    DIR *folder = opendir(path);
    if (!folder) return cli_usage("could not read %s: %s", path, strerror(errno)), false;
    for (struct dirent *entry; (entry = readdir(folder)) && count < AGENT_FILES_MAX;) {
        struct stat info;
        const char *inner = arena_printf(args->arena, "%s/%s", path, entry->d_name);
        bool wanted = entry->d_name[0] != '.' && stat(inner, &info) == 0 && (S_ISDIR(info.st_mode) ? depth < FOLDER_DEPTH_MAX : str_ends(str_of(inner), STR(".flow")));
        if (wanted) names[count++] = inner;
    }
    closedir(folder);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++)
        if (!add_path(args, names[i], depth + 1)) return false;
    return true;
}

static bool add_path(PlanArgs *args, const char *path, int depth) {
    struct stat info;
    if (stat(path, &info) != 0) return cli_usage("could not read %s: %s", path, strerror(errno)), false;
    if (S_ISDIR(info.st_mode)) return add_folder(args, path, depth);
    if (args->file_count == AGENT_FILES_MAX) return cli_usage("more than %d files with agents", AGENT_FILES_MAX), false;
    args->files[args->file_count++] = path;
    return true;
}

static bool is_image(const char *path) { return str_ends(str_of(path), STR(".flowb")); }

/* The image that plans are compiled against. */
static int load_base(PlanArgs *args) {
    int code = EXIT_DONE;
    for (int i = 0; i < args->agents.count; i++)
        if (!add_path(args, args->agents.items[i], 0)) return EXIT_USAGE;
    if (args->file_count == 0) return cli_usage("no .flow file among the agents");
    if (args->file_count == 1 && is_image(args->files[0])) {
        args->base = cmd_image(args->files[0], &args->search, false, &code);
        return code;
    }
    Program *program = program_load_files(args->files, args->file_count, args->search.items, (uint32_t)args->search.count);
    args->base = compile_program(program, false);
    if (!args->base) code = cmd_report(program, DIAG_FORMAT_TEXT);
    program_free(program);
    if (!args->base) return code;
    Buf bytes = { 0 };
    image_encode(args->base, &bytes);                    /* an extension is bound to the hash of its base */
    buf_free(&bytes);
    return EXIT_DONE;
}

/* ---- the grant --------------------------------------------------------------------------------------------- */

static bool split_words(const CmdSearch *from, Str *words, uint32_t *count) {
    for (int i = 0; i < from->count; i++) {
        const char *at = from->items[i];
        while (*at) {
            size_t len = strcspn(at, ", ");
            if (len && *count == WORDS_MAX) return cli_usage("more than %d words", WORDS_MAX), false;
            if (len) words[(*count)++] = (Str){ at, len };
            at += len + strspn(at + len, ", ");
        }
    }
    return true;
}

/* Without --allow every tool of the agents; without --scopes none are asked for. A word of --allow that grants nothing is a mistake. */
static bool make_grant(PlanArgs *args) {
    PlanGrant *grant = &args->grant;
    if (!split_words(&args->allow, args->tools, &grant->tool_count) || !split_words(&args->scopes, args->scope_words, &grant->scope_count)) return false;
    if (!args->allow.count) {
        for (uint16_t i = 0; i < args->base->agent_count && grant->tool_count < WORDS_MAX; i++)
            args->tools[grant->tool_count++] = str_of(arena_printf(args->arena, "%.*s.*", STR_ARG(args->base->agents[i].name)));
    }
    grant->tools = args->tools;
    grant->scopes = args->scope_words;
    grant->any_scope = !args->scopes.count;
    grant->may_ask = args->ask;
    for (uint32_t i = 0; args->allow.count && i < grant->tool_count; i++)
        if (!plan_grant_matches(args->base, args->tools[i])) return cli_usage("--allow %.*s: the agents have no such tool", STR_ARG(args->tools[i])), false;
    return true;
}

/* ---- arguments --------------------------------------------------------------------------------------------- */

static int read_plan(PlanArgs *args) {
    Error error = { 0 };
    if (strcmp(args->plan_path, "-") == 0) {
        if (cmd_read_stdin(&args->plan)) return EXIT_DONE;
        fprintf(stderr, "flowc plan: could not read standard input (at most %d bytes)\n", SOURCE_SIZE_MAX);
        return EXIT_USAGE;
    }
    if (file_read(args->plan_path, SOURCE_SIZE_MAX, &args->plan, &error) == ERR_OK) return EXIT_DONE;
    fprintf(stderr, "flowc plan: %s\n", error.text);
    return EXIT_USAGE;
}

static int read_args(int argc, char **argv, bool wants_plan, PlanArgs *args) {
    const char *limits[LIMIT_COUNT] = { NULL };
    args->agents.list = args->agents.items;
    args->allow.list = args->allow.items;
    args->scopes.list = args->scopes.items;
    args->search.list = args->search.items;
    args->format = "text";
    CliOption options[9 + LIMIT_COUNT] = {
        { .name = "--agents", .values = &args->agents.list, .value_count = &args->agents.count },
        { .name = "--allow", .values = &args->allow.list, .value_count = &args->allow.count },
        { .name = "--scopes", .values = &args->scopes.list, .value_count = &args->scopes.count }, { .name = "--format", .value = &args->format },
        { .name = "--json", .flag = &args->json }, { .name = "--ask", .flag = &args->ask }, { .name = "-o", .value = &args->out_path }, CMD_SEARCH_OPTION(args->search),
    };
    for (int i = 0; i < LIMIT_COUNT; i++) options[8 + i] = (CliOption){ .name = limit_names[i], .value = &limits[i] };
    int count = cli_options(argc, argv, options);
    if (count < 0) return EXIT_USAGE;
    if (strcmp(args->format, "json") == 0) args->json = true;
    else if (strcmp(args->format, "text") != 0) return cli_usage("--format is text or json, not `%s`", args->format);
    for (int i = 0; i < LIMIT_COUNT; i++)
        if (limits[i] && !read_limit(args, (Limit)i, limits[i])) return EXIT_USAGE;
    if (!args->agents.count) return cli_usage("whose tools? --agents FILE.flow or a folder");
    if (count > (wants_plan ? 1 : 0)) return cli_usage(wants_plan ? "one plan at a time" : "no plan is read for its schema");
    args->plan_path = count ? argv[1] : "-";
    return EXIT_DONE;
}

static int load_all(int argc, char **argv, bool wants_plan, PlanArgs *args) {
    int code = read_args(argc, argv, wants_plan, args);
    if (code == EXIT_DONE) code = load_base(args);
    if (code == EXIT_DONE && !make_grant(args)) code = EXIT_USAGE;
    if (code == EXIT_DONE && wants_plan) code = read_plan(args);
    return code;
}

static int write_out(const Buf *text, const char *out_path) {
    Error error = { 0 };
    if (!out_path) return cli_write(stdout, text), EXIT_DONE;
    if (file_write(out_path, buf_str(text), &error) == ERR_OK) return EXIT_DONE;
    fprintf(stderr, "flowc plan: %s\n", error.text);
    return EXIT_USAGE;
}

/* ---- check, cost, schema, build ---------------------------------------------------------------------------- */

static void put_report(const PlanArgs *args, const PlanResult *result) {
    Buf out = { 0 };
    FILE *stream = args->json ? stdout : stderr;
    if (args->json) {
        plan_put_report(result, &out);
        buf_put_char(&out, '\n');
    } else {
        plan_put_text(result, buf_str(&args->plan), args->plan_path, cli_color(stream), &out);
    }
    cli_write(stream, &out);
    buf_free(&out);
}

static int check_plan(PlanArgs *args, const PlanResult *result) {
    put_report(args, result);
    if (result->ok && !args->json)
        printf("%s: %u steps, at most %u calls of %u tools%s\n", args->plan_path, result->cost.worst.steps, result->cost.worst.calls, result->cost.tool_count,
               result->open_count ? "; it can start when what is open is filled in" : "");
    return result->ok ? EXIT_DONE : EXIT_FINDINGS;
}

static int cost_plan(PlanArgs *args, const PlanResult *result) {
    put_report(args, result);
    if (result->ok && !args->json) {
        Buf out = { 0 };
        plan_put_cost_text(result, &args->grant, &out);
        cli_write(stdout, &out);
        buf_free(&out);
    }
    return result->ok && !result->cost.over ? EXIT_DONE : EXIT_FINDINGS;
}

static int build_plan_image(PlanArgs *args, const PlanResult *result) {
    if (!args->out_path) return cli_usage("where to? -o OUT.flowb");
    if (!result->ok || result->open_count) {
        put_report(args, result);
        if (result->ok) fprintf(stderr, "flowc plan: E0729: what is open has to be written into the plan before it is built\n");
        return EXIT_FINDINGS;
    }
    Buf bytes = { 0 };
    Error error = { 0 };
    int code = EXIT_FINDINGS;
    if (plan_image(result, &bytes, &error) != ERR_OK) fprintf(stderr, "flowc plan: %s\n", error.text);
    else code = write_out(&bytes, args->out_path);
    if (code == EXIT_DONE) printf("%s  %zu bytes  flow `plan`\n", args->out_path, bytes.len);
    buf_free(&bytes);
    return code;
}

static int with_plan(int argc, char **argv, bool over_budget, int (*done)(PlanArgs *args, const PlanResult *result)) {
    PlanArgs args = { .arena = arena_new() };
    int code = load_all(argc, argv, true, &args);
    if (code == EXIT_DONE) {
        PlanResult result;
        PlanCompiler *compiler = plan_compiler_new(args.base);
        args.grant.over_budget = over_budget;
        plan_compile(compiler, buf_str(&args.plan), &args.grant, args.arena, &result);
        code = done(&args, &result);
        image_free(result.image);
        plan_compiler_free(compiler);
    }
    buf_free(&args.plan);
    image_free(args.base);
    arena_free(args.arena);
    return code;
}

static int schema_of_plans(int argc, char **argv) {
    PlanArgs args = { .arena = arena_new() };
    int code = load_all(argc, argv, false, &args);
    if (code == EXIT_DONE) {
        Buf out = { 0 };
        plan_put_schema(args.base, &args.grant, false, &out);
        buf_put_char(&out, '\n');
        code = write_out(&out, args.out_path);
        buf_free(&out);
    }
    image_free(args.base);
    arena_free(args.arena);
    return code;
}

int cmd_plan(int argc, char **argv) {
    static const Str words[] = { { "check", 5 }, { "cost", 4 }, { "schema", 6 }, { "build", 5 } };
    if (argc < 2) return cli_usage("check, cost, schema or build?");
    const char *word = argv[1];
    argv++;
    argc--;
    if (strcmp(word, "check") == 0) return with_plan(argc, argv, false, check_plan);
    if (strcmp(word, "cost") == 0) return with_plan(argc, argv, true, cost_plan);
    if (strcmp(word, "schema") == 0) return schema_of_plans(argc, argv);
    if (strcmp(word, "build") == 0) return with_plan(argc, argv, false, build_plan_image);
    Str near = str_nearest(str_of(word), words, 4);
    return near.len ? cli_usage("unknown `%s`; did you mean %.*s?", word, STR_ARG(near)) : cli_usage("check, cost, schema or build, not `%s`", word);
}
