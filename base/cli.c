/* cli.c - one loop over argv for every command; commands print their own help from their row of the table. */
#include "base/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

static const Command *current;
static const char *current_program;

static void print_help(const char *program, const char *about, const Command *commands) {
    printf("%s - %s\n\nUsage: %s COMMAND [OPTION…] [ARGUMENT…]\n\nCommands:\n", program, about, program);
    for (const Command *c = commands; c->name; c++) printf("  %-9s %s\n", c->name, c->summary);
    printf("\n`%s help COMMAND` tells more. Exit codes: 0 done, 1 findings or failed, 2 usage or internal, 3 parked.\n", program);
}

static void print_command_help(const char *program, const Command *command) {
    printf("%s %s - %s\n\nUsage: %s %s %s\n", program, command->name, command->summary, program, command->name, command->usage);
    if (command->help) printf("\n%s", command->help);
}

static const Command *find_command(const Command *commands, const char *name) {
    for (const Command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0) return c;
    return NULL;
}

static int unknown_command(const char *program, const Command *commands, const char *name) {
    Str names[64];
    size_t count = 0;
    for (const Command *c = commands; c->name && count < 64; c++) names[count++] = str_of(c->name);
    Str near = str_nearest(str_of(name), names, count);
    fprintf(stderr, "%s: unknown command `%s`", program, name);
    if (near.len) fprintf(stderr, "; did you mean `%.*s`?", STR_ARG(near));
    fprintf(stderr, "\n`%s --help` lists the commands.\n", program);
    return EXIT_USAGE;
}

int cli_main(const char *program, const char *about, const Command *commands, int argc, char **argv) {
    current_program = program;
    if (argc < 2) {
        print_help(program, about, commands);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    bool help = strcmp(name, "help") == 0;
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || (help && argc == 2)) {
        print_help(program, about, commands);
        return EXIT_DONE;
    }
    if (strcmp(name, "--version") == 0) {
        printf("%s 0.1.0\n", program);
        return EXIT_DONE;
    }
    const Command *command = find_command(commands, help ? argv[2] : name);
    if (!command) return unknown_command(program, commands, help ? argv[2] : name);
    for (int i = 2; i < argc && !help; i++) {
        if (strcmp(argv[i], "--") == 0) break;
        help = strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
    }
    if (help) {
        print_command_help(program, command);
        return EXIT_DONE;
    }
    current = command;
    return command->run(argc - 1, argv + 1);
}

static const CliOption *find_option(const CliOption *options, const char *arg, size_t len) {
    for (const CliOption *o = options; o->name; o++)
        if (strlen(o->name) == len && memcmp(o->name, arg, len) == 0) return o;
    return NULL;
}

static int unknown_option(const CliOption *options, const char *arg) {
    Str names[64];
    size_t count = 0;
    for (const CliOption *o = options; o->name && count < 64; o++) names[count++] = str_of(o->name);
    Str near = str_nearest(str_of(arg), names, count);
    if (near.len) cli_usage("unknown option %s; did you mean %.*s?", arg, STR_ARG(near));
    else cli_usage("unknown option %s", arg);
    return -1;
}

static bool store_value(const CliOption *option, const char *value) {
    if (option->values) {
        if (*option->value_count == CLI_REPEAT_MAX) return false;
        (*option->values)[(*option->value_count)++] = value;
    } else {
        *option->value = value;
    }
    return true;
}

int cli_options(int argc, char **argv, const CliOption *options) {
    int kept = 1;
    bool ended = false;
    for (int i = 1; i < argc; i++) {
        char *arg = argv[i];
        if (ended || arg[0] != '-' || arg[1] == '\0') {
            argv[kept++] = arg;
            continue;
        }
        if (strcmp(arg, "--") == 0) {
            ended = true;
            continue;
        }
        const char *equals = strchr(arg, '=');
        size_t len = equals ? (size_t)(equals - arg) : strlen(arg);
        const CliOption *option = find_option(options, arg, len);
        if (!option) return unknown_option(options, arg);
        if (option->flag) {
            if (equals) return cli_usage("%s takes no value", option->name), -1;
            *option->flag = true;
            continue;
        }
        const char *value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
        if (!value) return cli_usage("%s wants a value", option->name), -1;
        if (!store_value(option, value)) return cli_usage("%s is given more than %d times", option->name, CLI_REPEAT_MAX), -1;
    }
    argv[kept] = NULL;
    return kept - 1;
}

int cli_usage(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s %s: ", current_program ? current_program : "flow", current ? current->name : "");
    vfprintf(stderr, format, args);
    va_end(args);
    if (current) fprintf(stderr, "\nUsage: %s %s %s\n", current_program, current->name, current->usage);
    return EXIT_USAGE;
}

bool cli_color(FILE *stream) {
    const char *no_color = getenv("NO_COLOR");
    return isatty(fileno(stream)) && !(no_color && no_color[0]);
}

bool cli_interactive(void) { return isatty(STDIN_FILENO) && isatty(STDERR_FILENO); }

void cli_write(FILE *stream, const Buf *buf) {
    if (buf->len) fwrite(buf->ptr, 1, buf->len, stream);
}
