/* cmd.c - what the commands of flowc share. */
#include "compiler/cmd.h"

#include <stdlib.h>
#include <unistd.h>

bool cmd_read_stdin(Buf *out) {
    char chunk[65536];
    ssize_t got;
    while ((got = read(STDIN_FILENO, chunk, sizeof chunk)) > 0) {
        if (out->len + (size_t)got > SOURCE_SIZE_MAX) return false;
        buf_put(out, chunk, (size_t)got);
    }
    return got == 0;
}

Program *cmd_load(const char *path, const CmdSearch *search) {
    Program *program = NULL;
    if (strcmp(path, "-") == 0) {
        Buf text = { 0 };
        if (cmd_read_stdin(&text)) program = program_of_text("-", buf_str(&text), search->items, (uint32_t)search->count);
        else fprintf(stderr, "flowc: could not read standard input (at most %d bytes)\n", SOURCE_SIZE_MAX);
        buf_free(&text);
        return program;
    }
    if (access(path, R_OK) != 0) {
        fprintf(stderr, "flowc: could not read %s: no such file, or no permission\n", path);
        return NULL;
    }
    return program_load(path, search->items, (uint32_t)search->count);
}

int cmd_report(Program *program, DiagFormat format) {
    Diags *diags = program->diags;
    diags_sort(diags);
    FILE *stream = format == DIAG_FORMAT_TEXT ? stderr : stdout;
    Buf out = { 0 };
    diags_render(diags, program->sources, format, format == DIAG_FORMAT_TEXT && cli_color(stream), &out);
    cli_write(stream, &out);
    if (format == DIAG_FORMAT_TEXT && diags->count)
        fprintf(stderr, "%u error%s, %u warning%s\n", diags->error_count, diags->error_count == 1 ? "" : "s", diags->count - diags->error_count,
                diags->count - diags->error_count == 1 ? "" : "s");
    buf_free(&out);
    return diags->count ? EXIT_FINDINGS : EXIT_DONE;
}

static Image *decode_file(const char *path, int *exit_code) {
    Buf bytes = { 0 };
    Error error = { 0 };
    Image *image = NULL;
    if (file_read(path, IMAGE_SIZE_MAX, &bytes, &error) != ERR_OK || image_decode(buf_str(&bytes), &image, &error) != ERR_OK) {
        fprintf(stderr, "flowc: %s: %s\n", path, error.text);
        *exit_code = error.code == ERR_CORRUPT ? EXIT_FINDINGS : EXIT_USAGE;
    }
    buf_free(&bytes);
    return image;
}

Image *cmd_image(const char *path, const CmdSearch *search, bool with_tests, int *exit_code) {
    *exit_code = EXIT_DONE;
    if (str_ends(str_of(path), STR(".flowb"))) return decode_file(path, exit_code);
    Program *program = cmd_load(path, search);
    if (!program) {
        *exit_code = EXIT_USAGE;
        return NULL;
    }
    Image *image = compile_program(program, with_tests);
    if (!image) *exit_code = cmd_report(program, DIAG_FORMAT_TEXT);
    program_free(program);
    return image;
}

bool cmd_format(const char *word, DiagFormat *format) {
    static const char *const words[] = { "text", "json", "sarif" };
    for (int i = 0; i < 3; i++)
        if (strcmp(word, words[i]) == 0) return *format = (DiagFormat)i, true;
    return false;
}
