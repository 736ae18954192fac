/* cmd_graph.c - flowc graph. */
#include "compiler/cmd.h"
#include "compiler/graph.h"

int cmd_graph(int argc, char **argv) {
    CmdSearch search = { .list = search.items };
    const CliOption options[] = { CMD_SEARCH_OPTION(search), { 0 } };
    int count = cli_options(argc, argv, options);
    if (count < 0) return EXIT_USAGE;
    if (count < 1 || count > 2) return cli_usage("which file?");
    Program *program = cmd_load(argv[1], &search);
    if (!program) return EXIT_USAGE;
    int code = EXIT_DONE;
    Buf out = { 0 };
    if (!resolve_program(program) || !check_program(program)) code = cmd_report(program, DIAG_FORMAT_TEXT);
    else if (!graph_program(program, count == 2 ? str_of(argv[2]) : (Str){ 0 }, &out)) code = count == 2 ? cli_usage("no flow or machine `%s` in %s", argv[2], argv[1]) : cli_usage("no flow or machine in %s", argv[1]);
    cli_write(stdout, &out);
    buf_free(&out);
    program_free(program);
    return code;
}
