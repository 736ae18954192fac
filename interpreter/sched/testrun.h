/* testrun.h - runs the test blocks of an image: each on a fresh store in memory, with virtual time and a script for the outside.
 *
 * A test is itself a function of the image; what it asks for (given, run, advance, expect …) are effects that are answered here.
 * The flow it runs is an ordinary run of an engine. With `crash` every test is repeated with a crash before and after each durable
 * operation, 1, 2, 3 … until none is hit: on a file, reopened by a new engine each time; the expectations must hold every time.
 */
#ifndef SCHED_TESTRUN_H
#define SCHED_TESTRUN_H
#include "interpreter/sched/engine.h"
#include "interpreter/sched/trace.h"

enum { TESTRUN_CRASH_POINTS_MAX = 10000 };

typedef struct TestOptions {
    const char *only;                    /* part of the title, or "documented"; NULL: all */
    bool crash;
    bool trace; TraceFormat trace_format;
    bool color;
} TestOptions;
typedef struct TestSummary { uint32_t passed, failed, skipped; } TestSummary;

/* Runs all tests that match; a line per test (and why it failed) goes to `out` as they end. */
Err testrun_image(Image *image, const char *path, const TestOptions *options, TestSummary *summary, void (*print)(Str text), Error *error);
#endif
