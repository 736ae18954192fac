/* gateway.h - HTTP requests become runs, and runs become answers.
 *
 * It stands on a server, an engine and an identity, all on the engine's loop and thread. What may be asked is in the images: routes start flows,
 * webhooks start flows for signed requests of others; /runs shows the runs of who asks. A request is matched, its sender found out and allowed, its
 * input read against the flow's parameters; then its run is made durable, and only then anything is answered. The run may be worked on by any process.
 *
 * Promises. Nothing starts for a request that was answered 4xx. An answer 2xx means that the run is durable. Whoever asks again with the same
 * Idempotency-Key, or delivers a webhook again, gets the same run. A run that does not end in time is not lost: 202 says where it is.
 * Nobody sees a run of another tenant, or of another user unless he has admin:all. Errors are problems (RFC 9457); a 500 tells no internals.
 * docs/gateway.md says all this for its users.
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H
#include "interpreter/identity/identity.h"
#include "interpreter/net/http_server.h"
#include "interpreter/sched/engine.h"
#include "interpreter/sched/testrun.h"

typedef struct Gateway Gateway;

enum {
    GATEWAY_ROUTES_MAX = 10000,                          /* of all images */
    GATEWAY_CALLS_MAX = 20000,                           /* requests and streams at once; more are answered 503 */
    IDEMPOTENCY_KEY_MAX = 255,
    RUNS_PAGE = 50, RUNS_PAGE_MAX = 200, RUNS_SCAN_MAX = 2000,       /* runs of one answer; looked at for one answer */
    JOURNAL_PAGE = 200, JOURNAL_PAGE_MAX = 1000
};
#define GATEWAY_WAIT        (10 * INT64_C(1000000))      /* how long an answer waits for its run */
#define GATEWAY_WAIT_MAX    (60 * INT64_C(1000000))      /* `Prefer: wait=N`, and a flow's `within`, up to this */
#define GATEWAY_DRAIN       (5 * INT64_C(1000000))
#define GATEWAY_COME_BACK   (3 * INT64_C(1000000))       /* how long a run waits for a client that went away, when it is to be cancelled then */
#define GATEWAY_BEAT        (15 * INT64_C(1000000))      /* a silent stream says so */
#define IDEMPOTENCY_TTL     (24 * 3600 * INT64_C(1000000))

typedef struct GatewayOptions {
    Engine *engine;                                      /* its on_note, on_settled and on_call must come here, see below */
    Identity *identity;
    HttpServerOptions http;
    int64_t drain_us;                                    /* how long requests under way are waited for at the end; 0: GATEWAY_DRAIN */
    const char *title, *server_url;                      /* of /openapi.json; NULL: "Fidus Flow", none */
    void (*on_log)(Str line, void *arg); void *log_arg;  /* one JSON object a request, without personal data. May be NULL */
} GatewayOptions;

/* Listens at once; what is asked before an image is added is not found. The options are copied, their texts borrowed. */
Err      gateway_open(const GatewayOptions *options, Gateway **out, Error *error);
/* The routes and webhooks of a deployed image, which the engine keeps. ERR_CONFLICT: another image has one of that method and shape. */
Err      gateway_add_image(Gateway *gateway, Image *image, Error *error);
uint16_t gateway_port(const Gateway *gateway);
/* No new connections, /readyz says 503. Requests under way have drain_us for their answers; then they are answered 202, and streams end: both can go
   on elsewhere. `done` comes when nothing is under way any more. Called once. */
void     gateway_drain(Gateway *gateway, void (*done)(void *arg), void *arg);
void     gateway_close(Gateway *gateway);                /* NULL is fine. Before the engine and the identity are closed */

/* The engine's hooks of the same names. */
void gateway_on_note(Gateway *gateway, const RunRow *run, const JournalRow *row);
void gateway_on_settled(Gateway *gateway, const RunRow *run);
void gateway_on_call(Gateway *gateway);

/* The same without a socket, a server or an identity, for `request` in tests of the language: see TestGateway. */
extern const TestGateway GATEWAY_FOR_TESTS;

/* OpenAPI 3.1 of all routes and webhooks of the images, whose routes have different shapes; their hashes must be set. server_url may be empty. */
void openapi_put(Image *const *images, uint32_t count, Str title, Str server_url, Buf *out);
#endif
