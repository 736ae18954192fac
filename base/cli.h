/* cli.h - what both programs share: a table of commands, options, terminals, exit codes.
 *
 * Exit codes: 0 done, 1 findings or a failed run, 2 usage or internal, 3 parked (flowd run).
 * Options may stand anywhere after the command; `--` ends them; `--name VALUE` and `--name=VALUE` are the same.
 */
#ifndef BASE_CLI_H
#define BASE_CLI_H
#include <stdio.h>
#include "base/buf.h"

enum { EXIT_DONE = 0, EXIT_FINDINGS = 1, EXIT_USAGE = 2, EXIT_PARKED = 3 };

typedef struct CliOption {
    const char *name;                    /* "--format" */
    const char **value;                  /* takes a value; NULL for a flag */
    bool *flag;
    const char ***values; int *value_count;      /* may be given several times (up to CLI_REPEAT_MAX) */
} CliOption;
enum { CLI_REPEAT_MAX = 64 };

typedef struct Command {
    const char *name, *usage, *summary, *help;
    int (*run)(int argc, char **argv);   /* argv[0] is the command's name */
} Command;

/* Finds the command and runs it; --help, --version, unknown commands with a suggestion. */
int cli_main(const char *program, const char *about, const Command *commands, int argc, char **argv);
/* Takes options out of argv (up to `end`, a row of zeros); the rest stays as positional arguments, their count is returned; -1 after an error was printed. */
int cli_options(int argc, char **argv, const CliOption *options);
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));         /* prints to stderr, returns EXIT_USAGE */
bool cli_color(FILE *stream);            /* a terminal, and NO_COLOR not set */
bool cli_interactive(void);              /* standard input and error are terminals */
void cli_write(FILE *stream, const Buf *buf);
#endif
