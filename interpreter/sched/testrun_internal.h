/* testrun_internal.h - the state of one life of one test. */
#ifndef SCHED_TESTRUN_INTERNAL_H
#define SCHED_TESTRUN_INTERNAL_H
#include <stdarg.h>

#include "base/json.h"
#include "interpreter/sched/script.h"
#include "interpreter/sched/testrun.h"

enum { TEST_RUNS_SHOWN_MAX = 16 };

typedef struct TestRun {
    Image *image;
    Engine *engine;
    EngineScript *script;
    VmRun *vm;                           /* of the test itself */
    Arena *arena;
    const char *redis_url;
    uint64_t fuel;                       /* of each run; 0: the default */
    const char *url; char own_url[180];  /* own: of the file that this life alone has */
    EnginePrincipal who;
    int64_t now_us;                      /* virtual time across engines */
    Str runs[TEST_RUNS_SHOWN_MAX]; uint32_t run_count;   /* those of the test so far, for its trace */
    char run_id[64]; uint16_t flow;      /* the run under test; empty: none yet */
    uint64_t crash_nth; CrashSide crash_side;
    uint32_t crashes;
    bool hit, wants_crash, failed;
    Buf why;
    const VmRequest *request;            /* the statement that is done now */
    const TestGateway *gateway;
    bool has_response; TestResponse response;            /* of the newest `request` */
} TestRun;

/* Answers one request of the test's own code. */
void test_effect(TestRun *t, const VmRequest *request, Value *result, bool *raised);
/* The same for requests and what is expected of their answers (test_request.c). */
void test_request(TestRun *t, const VmRequest *request);
void test_expect_status(TestRun *t, int64_t status);
void test_expect_stream(TestRun *t, const VmRequest *request);
void test_response_body(TestRun *t, Value *result);
void test_response_headers(TestRun *t, Value *result);
bool test_work(TestRun *t);              /* until nothing is left to do; after a crash on a fresh engine. false: the test has failed */
bool test_run_exists(TestRun *t, const char *run_id);
void test_run_begun(TestRun *t, Str run_id);             /* it is the run under test from here */
void testrun_fail(TestRun *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
Err  testrun_reopen(TestRun *t, Error *error);           /* after a crash: a new engine on the same store */
int64_t testrun_start(void);
uint32_t testrun_serial(void);
#endif
