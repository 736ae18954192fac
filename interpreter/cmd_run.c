/* cmd_run.c - flowd run and flowd resume: from a file to an outcome, and on from where a run stands. */
#include "interpreter/cmd.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "compiler/typed.h"

/* Nothing needs to be cleaned up: whatever was acknowledged is durable, and the next process goes on from there. */
static void on_interrupt(int number) {
    static const char text[] = "\nflowd: interrupted; nothing is lost, `flowd resume` goes on\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    _exit(128 + number);
}

static Image *image_of_flowb(const char *path) {
    Buf bytes = { 0 };
    Error error = { 0 };
    Image *image = NULL;
    if (file_read(path, IMAGE_SIZE_MAX, &bytes, &error) != ERR_OK || image_decode(buf_str(&bytes), &image, &error) != ERR_OK)
        fprintf(stderr, "flowd: %s: %s\n", path, error.text);
    buf_free(&bytes);
    return image;
}

/* The main module's flows come last in the image: modules stand before those that use them. */
static Image *image_of_flow(const char *path, const char *const *search, int search_count, Str *only_flow) {
    Program *program = program_load(path, search, (uint32_t)search_count);
    if (!program) {
        fprintf(stderr, "flowd: could not read %s\n", path);
        return NULL;
    }
    Image *image = compile_program(program, false);
    if (!image || program->diags->error_count) {
        Buf out = { 0 };
        diags_sort(program->diags);
        diags_render(program->diags, program->sources, DIAG_FORMAT_TEXT, cli_color(stderr), &out);
        cli_write(stderr, &out);
        buf_free(&out);
    } else {
        uint32_t flows = 0;
        const Ast_module *root = program->modules[program->main_module]->root;
        for (uint32_t i = 0; i < root->items.count; i++) {
            if (root->items.items[i]->kind != AST_FLOW_DECL) continue;
            Str name = as_flow_decl(root->items.items[i])->name.text;
            int index = image_find_flow(image, name);
            if (index >= 0) *only_flow = image->flows[index].name;
            flows++;
        }
        if (flows != 1) *only_flow = (Str){ 0 };
    }
    program_free(program);
    return image;
}

Image *cmd_load_image(const char *path, const char *const *search, int search_count, Str *only_flow) {
    *only_flow = (Str){ 0 };
    return str_ends(str_of(path), STR(".flowb")) ? image_of_flowb(path) : image_of_flow(path, search, search_count, only_flow);
}

static bool read_input(const char *input, Buf *out) {
    if (!input) return buf_put_text(out, "{}"), true;
    if (input[0] != '@') return buf_put_text(out, input), true;
    Error error = { 0 };
    if (file_read(input + 1, 16 << 20, out, &error) == ERR_OK) return true;
    fprintf(stderr, "flowd: %s\n", error.text);
    return false;
}

static bool choose_flow(const Image *image, const char *name, Str only, Str *flow) {
    if (name) {
        *flow = str_of(name);
        if (image_find_flow(image, *flow) >= 0) return true;
        Str names[256];
        size_t count = 0;
        for (uint16_t i = 0; i < image->flow_count && count < 256; i++) names[count++] = image->flows[i].name;
        Str near = str_nearest(*flow, names, count);
        if (near.len) cli_usage("no flow `%s` in this file; did you mean `%.*s`?", name, STR_ARG(near));
        else cli_usage("no flow `%s` in this file", name);
        return false;
    }
    if (!only.len && image->flow_count == 1) only = image->flows[0].name;
    if (only.len) return *flow = only, true;
    cli_usage("which flow?");
    for (uint16_t i = 0; i < image->flow_count; i++) fprintf(stderr, "  %.*s\n", STR_ARG(image->flows[i].name));
    return false;
}

/* Waits until no handler or child is left to do, too: they belong to what the user sees. */
static int work_and_print(CmdSession *session, const char *run_id, bool park, int64_t patience_us) {
    Error error = { 0 };
    if (!park && cmd_work(session, run_id, patience_us, &error) != ERR_OK) return cmd_failed(&error);
    RunRow run;
    int code = cmd_find_run(session, run_id, &run) ? cmd_print_outcome(session, &run) : EXIT_USAGE;
    return code;
}

static int run_image(CmdSession *session, Image *image, Str flow, const char *input, const char *fixture, bool park, int64_t patience_us) {
    Buf json = { 0 };
    Error error = { 0 };
    char run_id[64] = "";
    int code = EXIT_USAGE;
    if (!read_input(input, &json)) goto out;
    if (engine_deploy(session->engine, image, &error) != ERR_OK) { code = cmd_failed(&error); goto out; }
    if (fixture && engine_load_fixture(session->engine, image, str_of(fixture), &session->who, &error) != ERR_OK) { code = cmd_failed(&error); goto out; }
    if (engine_start(session->engine, image, flow, buf_str(&json), &session->who, run_id, &error) != ERR_OK) { code = cmd_failed(&error); goto out; }
    if (!session->quiet) fprintf(stderr, "run %s\n", run_id);
    code = work_and_print(session, run_id, park, patience_us);
out:
    buf_free(&json);
    return code;
}

/* Between scopes there may be commas, as in `flowd token`. */
static Str with_spaces(const char *scopes, Arena *arena) {
    char *text = arena_printf(arena, "%s", scopes);
    for (char *at = text; (at = strchr(at, ','));) *at = ' ';
    return str_of(text);
}

int cmd_run(int argc, char **argv) {
    CmdCommon common = { 0 };
    const char *input = NULL, *fixture = NULL, *wait = NULL, *scopes = ENGINE_SCOPES_ALL;
    int64_t patience_us;
    bool park = false;
    const char *items[CLI_REPEAT_MAX], **search = items;
    int search_count = 0;
    CmdSession session = { 0 };
    const CliOption options[] = { CMD_COMMON_OPTIONS(common), { .name = "--input", .value = &input }, { .name = "--fixture", .value = &fixture }, { .name = "--wait", .value = &wait },
                                  { .name = "--scopes", .value = &scopes }, { .name = "--park", .flag = &park }, { .name = "--quiet", .flag = &session.quiet }, { .name = "--path", .values = &search, .value_count = &search_count }, { 0 } };
    int count = cli_options(argc, argv, options);
    if (count < 0) return EXIT_USAGE;
    if (count < 1 || count > 2) return cli_usage("which file?");
    if (!cmd_patience(wait, &patience_us)) return EXIT_USAGE;
    Str only = { 0 }, flow;
    Image *image = cmd_load_image(argv[1], search, search_count, &only);
    if (!image) return EXIT_USAGE;
    int code = EXIT_USAGE;
    if (choose_flow(image, argv[2], only, &flow) && cmd_open(&session, &common)) {
        signal(SIGINT, on_interrupt);
        signal(SIGTERM, on_interrupt);
        session.arena = arena_new();
        session.who.scopes = with_spaces(scopes, session.arena);
        code = run_image(&session, image, flow, input, fixture, park, patience_us);
        cmd_close(&session);
    }
    image_free(image);
    return code;
}

static int resume_all(CmdSession *session, int64_t patience_us) {
    Error error = { 0 };
    if (cmd_work(session, NULL, patience_us, &error) != ERR_OK) return cmd_failed(&error);
    StoreBatch *batch = store_batch(engine_store(session->engine), session->who.tenant, STR(""), 0);
    int index = store_list_runs(batch, &(RunFilter){ .status = -1, .unended = true, .limit = 1000 });
    int code = EXIT_DONE;
    if (store_run_batch(batch, &error) != ERR_OK) {
        code = cmd_failed(&error);
    } else {
        uint32_t left;
        store_runs(batch, index, &left);
        if (!session->json) printf("%u run%s still wait%s\n", left, left == 1 ? "" : "s", left == 1 ? "s" : "");
        else printf("{\"waiting\":%u}\n", left);
    }
    store_batch_free(batch);
    return code;
}

int cmd_resume(int argc, char **argv) {
    CmdCommon common = { 0 };
    CmdSession session = { 0 };
    const char *wait = NULL;
    int64_t patience_us;
    const CliOption options[] = { CMD_COMMON_OPTIONS(common), { .name = "--quiet", .flag = &session.quiet }, { .name = "--wait", .value = &wait }, { 0 } };
    int count = cli_options(argc, argv, options);
    if (count < 0) return EXIT_USAGE;
    if (!cmd_patience(wait, &patience_us)) return EXIT_USAGE;
    if (count > 1) return cli_usage("one run at a time, or none for all");
    if (!cmd_open(&session, &common)) return EXIT_USAGE;
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    int code = EXIT_FINDINGS;
    RunRow run;
    if (!count) {
        code = resume_all(&session, patience_us);
    } else if (cmd_find_run(&session, argv[1], &run)) {
        char run_id[64];
        snprintf(run_id, sizeof run_id, "%.*s", STR_ARG(run.run_id));
        code = work_and_print(&session, run_id, false, patience_us);
    }
    cmd_close(&session);
    return code;
}
