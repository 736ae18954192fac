/* cmd_explain.c - flowc explain: the pages of docs/errors, built into the program (pages.h is made by the Makefile). */
#include "compiler/cmd.h"
#include "compiler/pages.h"

static int list_codes(void) {
    for (const DiagInfo *info = diag_infos; info->code; info++) printf("%-34s %s\n", info->code, info->pattern);
    return EXIT_DONE;
}

static int unknown_code(const char *code) {
    Str names[512];
    size_t count = 0;
    for (const DiagInfo *info = diag_infos; info->code && count < 512; info++) names[count++] = str_of(info->code);
    Str near = str_nearest(str_of(code), names, count);
    if (near.len) return cli_usage("no diagnostic `%s`; did you mean %.*s?", code, STR_ARG(near));
    return cli_usage("no diagnostic `%s`; `flowc explain` lists them all", code);
}

int cmd_explain(int argc, char **argv) {
    const CliOption options[] = { { 0 } };
    int count = cli_options(argc, argv, options);
    if (count < 0) return EXIT_USAGE;
    if (count == 0) return list_codes();
    for (const Page *page = pages; page->name; page++) {
        if (strcmp(page->name, argv[1]) != 0) continue;
        fputs(page->text, stdout);
        return EXIT_DONE;
    }
    const char *pattern = diag_pattern(argv[1]);
    if (!pattern) return unknown_code(argv[1]);
    printf("%s: %s\n", argv[1], pattern);
    return EXIT_DONE;
}
