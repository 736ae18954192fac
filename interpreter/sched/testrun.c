/* testrun.c - the life of one test, and of all of an image: see testrun.h. What test effects do is in test_effects.c. */
#include "interpreter/sched/testrun_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/time.h"
#include "interpreter/store/redis_clear.h"

static const EnginePrincipal default_who = { .tenant = { "test", 4 }, .user = { "anna", 4 }, .user_name = { "anna", 4 }, .scopes = { ENGINE_SCOPES_ALL, sizeof ENGINE_SCOPES_ALL - 1 } };

/* ---- stores and crashes ----------------------------------------------------------------------------- */

static Err open_engine(TestRun *t, bool clear, Error *error) {
    EngineOptions options = { .store_url = t->url, .redis_url = t->redis_url, .worker = "test", .virtual_time = true, .virtual_start_us = t->now_us, .script = t->script, .auto_advance = true, .limits = { .fuel = t->fuel } };
    Err err = engine_open(&options, &t->engine, error);
    if (!err && clear) err = store_clear(engine_store(t->engine), error);
    if (!err) err = engine_deploy(t->engine, t->image, error);
    return err;
}

/* A file is the life's own and goes with it. A server's store stays for all tests of a program, and is cleared before each. */
static bool is_file(const char *url) { return strncmp(url, "sqlite:", 7) == 0; }

static Err open_first(TestRun *t, const TestOptions *options, Error *error) {
    const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(t->own_url, sizeof t->own_url, "sqlite:%s/flowc-test-%ld-%u.db", folder, (long)getpid(), testrun_serial());
    t->url = options->store_url ? options->store_url : t->own_url;
    t->redis_url = options->redis_url;
    t->fuel = options->fuel;
    Err err = t->redis_url ? redis_clear(t->redis_url, false, error) : ERR_OK;
    return err ? err : open_engine(t, !is_file(t->url), error);
}

Err testrun_reopen(TestRun *t, Error *error) {
    t->now_us = engine_now(t->engine);
    engine_close(t->engine);
    t->engine = NULL;
    t->crashes++;
    return open_engine(t, false, error);
}

/* ---- one test -------------------------------------------------------------------------------------------- */

void testrun_fail(TestRun *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    if (!t->failed) {
        char text[2048];
        vsnprintf(text, sizeof text, format, args);
        const ImageLine *line = t->request ? image_line(&t->image->funcs[t->request->func], t->request->pc) : NULL;
        if (line) buf_printf(&t->why, "    %.*s:%u: ", STR_ARG(t->image->files[line->file]), line->line);
        else buf_put_text(&t->why, "    ");
        buf_put_text(&t->why, text);
        buf_put_char(&t->why, '\n');
    }
    va_end(args);
    t->failed = true;
}

static void fail_with_error(TestRun *t, Value error) {
    const Record *record = (const Record *)error.o;
    int64_t kind = record->fields[ERROR_FIELD_KIND].i;
    Str message = value_str(record->fields[ERROR_FIELD_MESSAGE]), at = value_str(record->fields[ERROR_FIELD_AT]);
    testrun_fail(t, "the test itself failed: %s: %.*s (%.*s)", error_kind_name((ErrorKind)kind), STR_ARG(message), STR_ARG(at));
}

static void answer_requests(TestRun *t) {
    VmRequest request;
    while (!t->failed && vm_next_request(t->vm, &request)) {
        if (request.is_note) continue;
        t->request = &request;
        Value result = { 0 };
        bool raised = false;
        test_effect(t, &request, &result, &raised);
        t->request = NULL;
        if (t->failed) break;
        if (raised) vm_raise(t->vm, request.id, result);
        else vm_resume(t->vm, request.id, result);
    }
}

static void drive(TestRun *t, const ImageTest *test) {
    VmInfo info = { .run_id = STR("test"), .tenant = t->who.tenant, .user = t->who.user, .flow = test->title, .correlation = STR("test"), .causation = STR("test"), .user_name = t->who.user_name };
    VmLimits limits = { 0 };
    t->vm = vm_new(t->image, test->func, NULL, &info, &limits);
    while (!t->failed) {
        VmStatus status = vm_run(t->vm);
        if (status == VM_DONE) break;
        if (status == VM_FAILED) fail_with_error(t, vm_error(t->vm));
        else answer_requests(t);
    }
    vm_free(t->vm);
    t->vm = NULL;
}

static void print_trace(TestRun *t, const TestOptions *options, Buf *out) {
    if (!t->run_id[0]) return;
    Error error = { 0 };
    if (trace_render(t->engine, t->who.tenant, t->runs, t->run_count, options->trace_format, out, &error) != ERR_OK) buf_printf(out, "    no trace: %s\n", error.text);
}

/* One life of the test. crash_nth 0: undisturbed. */
static Err live_once(TestRun *t, const ImageTest *test, uint64_t crash_nth, CrashSide side, const TestOptions *options, Buf *trace, Error *error) {
    Image *image = t->image;
    bool wants_crash = t->wants_crash;
    Buf why = t->why;
    buf_clear(&why);
    *t = (TestRun){ .image = image, .why = why, .who = default_who, .now_us = testrun_start(), .crash_nth = crash_nth, .crash_side = side, .wants_crash = wants_crash, .script = script_new(), .arena = arena_new(), .gateway = options->gateway };
    Err err = open_first(t, options, error);
    if (!err) {
        drive(t, test);
        if (trace && t->engine) print_trace(t, options, trace);
        t->hit = t->crashes > 0;
    }
    if (t->engine) engine_close(t->engine);
    t->engine = NULL;
    if (is_file(t->url)) store_drop(t->url, NULL);
    script_free(t->script);
    arena_free(t->arena);
    return err;
}

int64_t testrun_start(void) { return INT64_C(1761984000) * TIME_SECOND; }     /* 2025-11-01T08:00:00Z */

uint32_t testrun_serial(void) {
    static uint32_t serial;
    return ++serial;
}

/* With a crash before and after durable operation 1, 2, 3 … until one is not reached any more. */
static Err live_all_crashes(TestRun *t, const ImageTest *test, const TestOptions *options, uint32_t *points, Error *error) {
    uint32_t step = options->crash_every ? options->crash_every : 1;
    for (uint64_t nth = 1 + testrun_serial() % step; nth <= TESTRUN_CRASH_POINTS_MAX; nth += step) {
        bool hit = false;
        for (int side = CRASH_BEFORE; side <= CRASH_AFTER; side++) {
            Err err = live_once(t, test, nth, (CrashSide)side, options, NULL, error);
            if (err) return err;
            if (t->failed) {
                buf_printf(&t->why, "    (with a crash %s durable operation %llu)\n", side == CRASH_BEFORE ? "before" : "after", (unsigned long long)nth);
                return ERR_OK;
            }
            hit = hit || t->hit;
            *points += t->hit;
        }
        if (!hit) return ERR_OK;
    }
    return err_set(error, ERR_LIMIT, "more than TESTRUN_CRASH_POINTS_MAX (%d) durable operations in one test", TESTRUN_CRASH_POINTS_MAX);
}

static bool wanted(const ImageTest *test, const char *only) {
    if (!only) return true;
    if (strcmp(only, "documented") == 0) return test->documented;
    return memmem(test->title.ptr, test->title.len, only, strlen(only)) != NULL;
}

static void print_line(const TestOptions *options, const TestRun *t, const ImageTest *test, uint32_t points, void (*print)(Str)) {
    Buf line = { 0 };
    const char *color = !options->color ? "" : t->failed ? "\033[31m" : "\033[32m", *off = options->color ? "\033[0m" : "";
    buf_printf(&line, "  %s%s%s %.*s", color, t->failed ? "FAIL" : "ok", off, STR_ARG(test->title));
    if (points) buf_printf(&line, " (%u crashes survived)", points);
    buf_put_char(&line, '\n');
    if (t->failed) buf_put_str(&line, buf_str(&t->why));
    print(buf_str(&line));
    buf_free(&line);
}

Err testrun_check(const TestOptions *options, Error *error) {
    Err err = options->redis_url ? redis_clear(options->redis_url, true, error) : ERR_OK;
    if (err || !options->store_url) return err;
    Store *store;
    err = store_open(options->store_url, NULL, &store, error);
    if (err) return err;
    StoreBatch *batch = store_batch(store, STR(""), STR(""), 0);
    int index = store_list_runs(batch, &(RunFilter){ .any_tenant = true, .status = -1, .limit = 1 });
    uint32_t count = 0;
    err = store_run_batch(batch, error);
    if (!err) store_runs(batch, index, &count);
    store_batch_free(batch);
    store_close(store);
    return count ? err_set(error, ERR_CONFLICT, "this store holds runs; tests would delete them: name an empty one") : err;
}

static Err run_tests(Image *image, const TestOptions *options, TestSummary *summary, void (*print)(Str text), Error *error) {
    for (uint16_t i = 0; i < image->test_count; i++) {
        const ImageTest *test = &image->tests[i];
        if (!wanted(test, options->only)) {
            summary->skipped++;
            continue;
        }
        TestRun t = { .image = image };
        Buf trace = { 0 };
        uint32_t points = 0;
        Err err = live_once(&t, test, 0, CRASH_BEFORE, options, options->trace ? &trace : NULL, error);
        if (!err && !t.failed && (options->crash || t.wants_crash)) err = live_all_crashes(&t, test, options, &points, error);
        if (err) {
            buf_free(&trace);
            buf_free(&t.why);
            return err;
        }
        print_line(options, &t, test, points, print);
        if (trace.len) print(buf_str(&trace));
        if (t.failed) summary->failed++;
        else summary->passed++;
        buf_free(&trace);
        buf_free(&t.why);
    }
    return ERR_OK;
}

/* Programs may use one name for different tables, so each has the store for itself. */
Err testrun_image(Image *image, const char *path, const TestOptions *options, TestSummary *summary, void (*print)(Str text), Error *error) {
    bool shared = options->store_url && image->test_count;
    Err err = shared ? store_drop(options->store_url, error) : ERR_OK;
    if (!err) err = run_tests(image, options, summary, print, error);
    if (options->redis_url) redis_clear(options->redis_url, false, NULL);
    if (shared) {
        Err last = store_drop(options->store_url, err ? NULL : error);
        if (!err) err = last;
    }
    return err;
}
