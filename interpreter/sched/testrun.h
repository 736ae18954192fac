/* testrun.h - runs the test blocks of an image: each on a fresh store, with virtual time and a script for the outside.
 *
 * A test is itself a function of the image; what it asks for (given, run, advance, expect …) are effects that are answered here.
 * The flow it runs is an ordinary run of an engine. With `crash` every test is repeated with a crash before and after each durable
 * operation, 1, 2, 3 … until none is hit: reopened by a new engine each time; the expectations must hold every time.
 *
 * The store is a file in memory, or the one of store_url: everything it holds is lost before each test and at the end, and so is the database
 * of redis_url. So a store that has runs and a database that has keys when the tests begin are refused (testrun_check).
 */
#ifndef SCHED_TESTRUN_H
#define SCHED_TESTRUN_H
#include "interpreter/sched/engine.h"
#include "interpreter/sched/trace.h"

enum { TESTRUN_CRASH_POINTS_MAX = 10000 };

/* A request of a test, and its answer. Texts and lists are the caller's until the test ends. */
typedef struct TestHeader { Str name, value; } TestHeader;                     /* names of answers: lower case */
typedef struct TestRequest {
    Str method, target;                  /* path?query, as a client would send it */
    bool has_user;                       /* else nobody: without a token */
    Str user, tenant;
    const Str *scopes; uint32_t scope_count;             /* all that the token has: those named and those of its roles; neither named: those of the default roles */
    const Str *roles; uint32_t role_count;
    const TestHeader *headers; uint32_t header_count;
    Str body_json; bool has_body;
    bool is_signed;                      /* with the secret, the time and the scheme of the webhook that the path names */
} TestRequest;
typedef struct TestResponse {
    int status;
    const TestHeader *headers; uint32_t header_count;
    Str body;                            /* bytes; of a stream empty */
    const Str *events; uint32_t event_count;             /* of a stream: the data of each event, an object with its `type` */
    Str run_id;                          /* the run that the request started; empty: none */
    Str tenant, user;                    /* whom the test sees as from here: of a public route a visitor; empty: no change */
} TestResponse;
/* The gateway of the program, in this process and without a socket (interpreter/gateway). Both are called for each request, `answer` only when a run was started. */
typedef struct TestGateway {
    /* Takes the request as a server would, up to where its run begins; its id is to be `run_id`. Without a run the answer is complete. After ERR_CRASH the
       caller opens a new engine and asks again, unless the run is there. */
    Err (*accept)(Engine *engine, Image *image, const TestRequest *request, Str run_id, Arena *arena, TestResponse *out, Error *error);
    /* What the client gets once run `run_id` ended or parked. */
    Err (*answer)(Engine *engine, Image *image, const TestRequest *request, Str run_id, Arena *arena, TestResponse *out, Error *error);
} TestGateway;

typedef struct TestOptions {
    const char *store_url;               /* NULL: a file of its own for each test */
    const char *redis_url;               /* NULL: hot state is rows of the store */
    const char *only;                    /* part of the title, or "documented"; NULL: all */
    bool crash;
    uint32_t crash_every;                /* only every so many durable operations, another first one in each test; 0 and 1: all */
    uint64_t fuel;                       /* of each run; 0: VM_FUEL_DEFAULT */
    const TestGateway *gateway;          /* answers `request` statements; NULL: they fail */
    bool trace; TraceFormat trace_format;
    bool color;
} TestOptions;
typedef struct TestSummary { uint32_t passed, failed, skipped; } TestSummary;

/* ERR_CONFLICT: the store holds runs, or the Redis database keys, so they are not for tests. */
Err testrun_check(const TestOptions *options, Error *error);
/* Runs all tests that match; a line per test (and why it failed) goes to `out` as they end. */
Err testrun_image(Image *image, const char *path, const TestOptions *options, TestSummary *summary, void (*print)(Str text), Error *error);
#endif
