/* cmd_test.c - flowc test: the one command of the compiler that knows the engine. */
#include "compiler/cmd.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "interpreter/gateway/gateway.h"

enum { TEST_DEPTH_MAX = 16 };

typedef struct TestWalk { const CmdSearch *search; TestOptions options; TestSummary summary; uint32_t files; int worst; } TestWalk;

static void print_now(Str text) {
    fwrite(text.ptr, 1, text.len, stdout);
    fflush(stdout);
}

static void test_file(TestWalk *walk, const char *path) {
    int code;
    Image *image = cmd_image(path, walk->search, true, &code);
    walk->files++;
    if (!image) {                        /* a file whose tests cannot be run is one that failed */
        walk->summary.failed++;
        if (code > walk->worst) walk->worst = code;
        return;
    }
    Error error = { 0 };
    if (image->test_count) printf("%s\n", path);
    if (testrun_image(image, path, &walk->options, &walk->summary, print_now, &error) != ERR_OK) {
        fprintf(stderr, "flowc test: %s: %s\n", path, error.text);
        walk->summary.failed++;
        walk->worst = EXIT_USAGE;
    }
    image_free(image);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void test_folder(TestWalk *walk, const char *path, int depth);

static void test_path(TestWalk *walk, const char *path, int depth) {
    struct stat info;
    if (stat(path, &info) != 0) {
        fprintf(stderr, "flowc test: could not read %s\n", path);
        walk->worst = EXIT_USAGE;
    } else if (S_ISDIR(info.st_mode)) {
        if (depth < TEST_DEPTH_MAX) test_folder(walk, path, depth);
    } else if (depth == 0 || str_ends(str_of(path), STR(".flow"))) {
        test_file(walk, path);
    }
}

static void test_folder(TestWalk *walk, const char *path, int depth) {
    DIR *folder = opendir(path);
    if (!folder) return;
    char *names[4096];
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(folder)) && count < 4096;)
        if (entry->d_name[0] != '.') names[count++] = mem_strdup(entry->d_name);
    closedir(folder);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        Buf child = { 0 };
        buf_printf(&child, "%s/%s", path, names[i]);
        test_path(walk, buf_cstr(&child), depth + 1);
        buf_free(&child);
        free(names[i]);
    }
}

static bool crash_step(const char *text, uint32_t *step) {
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '1' || *text > '9' || *end || value > TESTRUN_CRASH_POINTS_MAX) {
        cli_usage("--crash-every wants a number from 1 to %d, not `%s`", TESTRUN_CRASH_POINTS_MAX, text);
        return false;
    }
    *step = (uint32_t)value;
    return true;
}

static bool fuel_of(const char *text, uint64_t *fuel) {
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '1' || *text > '9' || *end || value > VM_FUEL_DEFAULT) {
        cli_usage("--fuel wants a number from 1 to %llu, not `%s`", (unsigned long long)VM_FUEL_DEFAULT, text);
        return false;
    }
    *fuel = value;
    return true;
}

int cmd_test(int argc, char **argv) {
    CmdSearch search = { .list = search.items };
    TestWalk walk = { .search = &search, .options = { .gateway = &GATEWAY_FOR_TESTS } };
    const char *trace = NULL, *every = NULL, *fuel = NULL;
    const CliOption options[] = { { .name = "--store", .value = &walk.options.store_url }, { .name = "--redis", .value = &walk.options.redis_url }, { .name = "--crash-every", .value = &every }, { .name = "--fuel", .value = &fuel },
                                  { .name = "--only", .value = &walk.options.only }, { .name = "--trace", .value = &trace },
                                  { .name = "--crash", .flag = &walk.options.crash }, CMD_SEARCH_OPTION(search), { 0 } };
    int count = cli_options(argc, argv, options);
    if (count < 0) return EXIT_USAGE;
    if (count == 0) return cli_usage("which file or folder?");
    if (trace && strcmp(trace, "mermaid") != 0 && strcmp(trace, "text") != 0) return cli_usage("--trace is mermaid or text, not `%s`", trace);
    if (every && !crash_step(every, &walk.options.crash_every)) return EXIT_USAGE;
    if (fuel && !fuel_of(fuel, &walk.options.fuel)) return EXIT_USAGE;
    Error error = { 0 };
    if (testrun_check(&walk.options, &error) != ERR_OK) {
        fprintf(stderr, "flowc test: %s\n", error.text);
        return EXIT_USAGE;
    }
    walk.options.gateway = &GATEWAY_FOR_TESTS;
    walk.options.trace = trace != NULL;
    walk.options.trace_format = trace && strcmp(trace, "text") == 0 ? TRACE_TEXT : TRACE_MERMAID;
    walk.options.color = cli_color(stdout);
    for (int i = 1; i <= count; i++) test_path(&walk, argv[i], 0);
    if (walk.summary.failed && walk.worst < EXIT_FINDINGS) walk.worst = EXIT_FINDINGS;
    if (!walk.summary.passed && !walk.summary.failed && !walk.worst) {
        fprintf(stderr, "flowc test: no test found%s%s\n", walk.options.only ? " whose title has " : "", walk.options.only ? walk.options.only : "");
        walk.worst = EXIT_USAGE;
    }
    printf("%u passed, %u failed\n", walk.summary.passed, walk.summary.failed);
    return walk.worst;
}
