/* cmd.h - the commands of flowc, one file each, and what they share: loading a program and showing its diagnostics. */
#ifndef COMPILER_CMD_H
#define COMPILER_CMD_H
#include "base/cli.h"
#include "compiler/typed.h"

int cmd_check(int argc, char **argv);
int cmd_lint(int argc, char **argv);
int cmd_fmt(int argc, char **argv);
int cmd_build(int argc, char **argv);
int cmd_test(int argc, char **argv);
int cmd_graph(int argc, char **argv);
int cmd_openapi(int argc, char **argv);
int cmd_disasm(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_plan(int argc, char **argv);

typedef struct CmdSearch { const char *items[CLI_REPEAT_MAX]; const char **list; int count; } CmdSearch;   /* --path DIR … */
#define CMD_SEARCH_OPTION(search) { .name = "--path", .values = &(search).list, .value_count = &(search).count }

bool cmd_read_stdin(Buf *out);           /* at most SOURCE_SIZE_MAX bytes; false when there are more, or it cannot be read */
/* Loads FILE (or "-": standard input). NULL after printing why. */
Program *cmd_load(const char *path, const CmdSearch *search);
/* Prints the diagnostics to standard error (text) or output (json, sarif); the exit code they mean. */
int cmd_report(Program *program, DiagFormat format);
/* Compiles or, for *.flowb, decodes. NULL after printing why; *exit_code is set. */
Image *cmd_image(const char *path, const CmdSearch *search, bool with_tests, int *exit_code);
bool cmd_format(const char *word, DiagFormat *format);
#endif
