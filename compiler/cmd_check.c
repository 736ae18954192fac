/* cmd_check.c - flowc check and flowc lint: the same walk, lint adds the warnings. */
#include "compiler/cmd.h"

static int check_files(int argc, char **argv, bool with_lints) {
    const char *format_word = "text";
    CmdSearch search = { .list = search.items };
    const CliOption options[] = { { .name = "--format", .value = &format_word }, CMD_SEARCH_OPTION(search), { 0 } };
    int count = cli_options(argc, argv, options);
    if (count < 0) return EXIT_USAGE;
    DiagFormat format;
    if (!cmd_format(format_word, &format)) return cli_usage("--format is text, json or sarif, not `%s`", format_word);
    if (count == 0) return cli_usage("which file?");
    int worst = EXIT_DONE;
    for (int i = 1; i <= count; i++) {
        Program *program = cmd_load(argv[i], &search);
        if (!program) {
            worst = EXIT_USAGE;
            continue;
        }
        if (resolve_program(program) && check_program(program) && with_lints) lint_program(program);
        int code = cmd_report(program, format);
        if (code > worst) worst = code;
        program_free(program);
    }
    return worst;
}

int cmd_check(int argc, char **argv) { return check_files(argc, argv, false); }
int cmd_lint(int argc, char **argv) { return check_files(argc, argv, true); }
