/* cmd_fmt.c - flowc fmt: in place, from standard input, or only looking. A file that does not parse is left alone. */
#include "compiler/cmd.h"
#include "dsl/syntax/fmt.h"
#include "dsl/syntax/parse.h"

#include <stdlib.h>
#include <unistd.h>

typedef struct FmtMode { bool check, diff; } FmtMode;

/* Every line of `before` and `after` that the other lacks around the first difference, found from both ends. */
static void print_diff(const char *path, Str before, Str after) {
    size_t head = 0, line = 1;
    for (size_t i = 0; i < before.len && i < after.len && before.ptr[i] == after.ptr[i]; i++)
        if (before.ptr[i] == '\n') head = i + 1, line++;
    size_t tail = 0, tail_at_line = 0;
    while (tail < before.len - head && tail < after.len - head && before.ptr[before.len - 1 - tail] == after.ptr[after.len - 1 - tail]) {
        tail++;
        if (before.ptr[before.len - tail] == '\n') tail_at_line = tail - 1;
    }
    printf("--- %s\n+++ %s (formatted)\n@@ line %zu @@\n", path, path, line);
    const Str sides[2] = { { before.ptr + head, before.len - head - tail_at_line }, { after.ptr + head, after.len - head - tail_at_line } };
    for (int side = 0; side < 2; side++) {
        const char *at = sides[side].ptr, *end = at + sides[side].len;
        while (at < end) {
            const char *newline = memchr(at, '\n', (size_t)(end - at));
            const char *stop = newline ? newline : end;
            printf("%c%.*s\n", side ? '+' : '-', (int)(stop - at), at);
            at = stop + 1;
        }
    }
}

static int finish_file(const char *path, Str before, const Buf *after, FmtMode mode) {
    bool same = str_eq(before, buf_str(after));
    if (strcmp(path, "-") == 0 && !mode.check && !mode.diff) {
        cli_write(stdout, after);
        return EXIT_DONE;
    }
    if (same) return EXIT_DONE;
    if (mode.diff) print_diff(path, before, buf_str(after));
    else if (mode.check) printf("%s\n", path);
    if (mode.check || mode.diff) return EXIT_FINDINGS;
    Error error = { 0 };
    if (file_write(path, buf_str(after), &error) != ERR_OK) {
        fprintf(stderr, "flowc fmt: %s\n", error.text);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

static Err load_text(SourceSet *sources, const char *path, Source **source, Error *error) {
    if (strcmp(path, "-") != 0) return source_load(sources, path, source, error);
    Buf text = { 0 };
    Err err = cmd_read_stdin(&text) ? source_add(sources, "-", buf_str(&text), source, error) : err_set(error, ERR_IO, "could not read standard input (at most %d bytes)", SOURCE_SIZE_MAX);
    buf_free(&text);
    return err;
}

static int fmt_file(const char *path, FmtMode mode) {
    SourceSet *sources = source_set_new();
    Diags diags;
    diags_init(&diags);
    Error error = { 0 };
    Source *source = NULL;
    Buf after = { 0 };
    int code = EXIT_USAGE;
    if (load_text(sources, path, &source, &error) != ERR_OK) {
        fprintf(stderr, "flowc fmt: %s\n", error.text);
        goto out;
    }
    Arena *arena = arena_new();
    Module *module = parse_module(arena, source, &diags);
    if (diags.error_count) {
        diags_render(&diags, sources, DIAG_FORMAT_TEXT, cli_color(stderr), &after);
        cli_write(stderr, &after);
        code = EXIT_FINDINGS;
    } else {
        fmt_module(module, &after);
        code = finish_file(path, source->text, &after, mode);
    }
    arena_free(arena);
out:
    buf_free(&after);
    diags_deinit(&diags);
    source_set_free(sources);
    return code;
}

int cmd_fmt(int argc, char **argv) {
    FmtMode mode = { 0 };
    const CliOption options[] = { { .name = "--check", .flag = &mode.check }, { .name = "--diff", .flag = &mode.diff }, { 0 } };
    int count = cli_options(argc, argv, options);
    if (count < 0) return EXIT_USAGE;
    if (count == 0) return cli_usage("which file?");
    int worst = EXIT_DONE;
    for (int i = 1; i <= count; i++) {
        int code = fmt_file(argv[i], mode);
        if (code > worst) worst = code;
    }
    return worst;
}
