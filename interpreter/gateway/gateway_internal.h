/* gateway_internal.h - what the files of the gateway share.
 *
 *   gateway.c   life, the first look at a request, the end        plan.c      what a request starts: matched, allowed, its input read
 *   call.c      one request: its answer, its line in the log      start.c     the run of a request: made once, waited for
 *   watch.c     whoever waits for a run is told when it moves     stream.c    a run as an event-stream, from its journal
 *   runs.c      /runs                                             outcome.c   a run's state as an answer
 *   webhook.c   signed requests                                   dispatch.c  the same for tests of the language
 *   match.c input.c reply.c signature.c                           know nothing of gateways
 *
 * A Call lives from its request until it was answered and nothing that it began owes it a callback. Functions that may answer say so; after that
 * the call is not touched. The gateway itself lives as long as one call does.
 */
#ifndef GATEWAY_GATEWAY_INTERNAL_H
#define GATEWAY_GATEWAY_INTERNAL_H
#include "base/json.h"
#include "base/map.h"
#include "interpreter/gateway/gateway.h"
#include "interpreter/gateway/input.h"

struct event;
typedef struct Call Call;
typedef struct Watched Watched;

typedef struct Leaving Leaving;

struct Gateway {
    GatewayOptions options;
    HttpServer *server;
    Targets targets;
    Image **images; uint32_t image_count;                /* borrowed from the engine */
    Call *calls; uint32_t call_count;                    /* all that live, in a list */
    uint32_t holds;
    bool draining, closed;
    void (*drained)(void *arg); void *drained_arg;
    struct event *drain_timer, *beat_timer;
    int64_t drain_us;                                    /* the end of patience, while it drains */
    Map watched;                                         /* tenant NUL run id -> Watched */
    struct event *look_timer;
    bool called;                                         /* the store called: runs elsewhere may have moved */
    int64_t quiet_us;                                    /* runs that are parked are looked at again from then on */
    Leaving *leaving;                                    /* stream_leave.c */
};

/* ---- what a request starts: plan.c ------------------------------------------------------------------------------- */

/* What a request starts, once it is matched, its sender known, allowed, and its input read. All texts live in the call's arena. */
typedef struct Plan {
    Image *image;
    uint16_t flow;
    Str input_json;
    EnginePrincipal who;
    int64_t wait_us;                     /* how long the answer waits for the run; 0: not at all */
    bool stream, cancel_on_gone;
    bool webhook;                        /* answered as soon as the run is durable */
    Str once_key; int64_t once_us;       /* one run for this key in that time; empty: a fresh one each time */
    bool compares;                       /* the same key with another input is a mistake */
} Plan;

/* False: *reply refuses (no scope, input that is none). */
bool plan_route(const Target *target, const HttpServerRequest *request, const Principal *principal, Arena *arena, Plan *out, Reply *reply);
/* The same for a webhook: its signature is the sender. */
bool plan_webhook(Engine *engine, const Target *target, const HttpServerRequest *request, Str secrets, Arena *arena, Plan *out, Reply *reply);
int64_t plan_wait(const HttpServerRequest *request, int64_t otherwise);  /* what `Prefer` says */
void plan_refuse_sender(AuthOutcome outcome, const HttpServerRequest *request, Arena *arena, Reply *reply);      /* 401 or 503 */

/* One run for a key: its id follows from the key and from a span of time that is longer than `ttl`, so the store itself refuses a second one. Near the beginning
   of a span the id of the one before is the first choice: whoever began a moment ago may just be about to take it. */
typedef struct OnceIds { char before[64], now[64]; bool first_before; } OnceIds;
void once_ids(const Plan *plan, int64_t now_us, OnceIds *out);
bool once_counts(const Plan *plan, const RunRow *found, int64_t now_us);        /* it is young enough to be the run of this key */

/* ---- one request: call.c ------------------------------------------------------------------------------------------- */

enum { STREAM_TEXTS_MAX = 8 };                           /* answers at once of which pieces are followed; of more, the oldest begins again */

typedef struct ToldText { uint64_t request, end, hash; } ToldText;    /* the client has that many bytes of this answer, and what they hash to */

struct Call {
    Gateway *gateway;
    Call *next, **link;
    Arena *arena;
    HttpExchange *http;                  /* NULL: answered, or its client is gone */
    const HttpServerRequest *request;    /* as long as http */
    Str id;                              /* of the request; outlives it */
    Reply reply;                         /* to fill in and to send */
    uint32_t owed;                       /* callbacks that will come */
    bool logged;
    int64_t began_us;
    Str route;                           /* as the program spells it, for the log; empty: none */
    Str method;
    const Target *target;
    const Principal *principal;
    void (*then)(Call *call);            /* when the principal, or the run, is known */
    AuthOutcome auth_outcome;
    Plan plan;
    OnceIds once; bool on_before;        /* which of the ids is tried */
    char run_id[64];
    Str run_tenant;
    RunRow run; uint32_t place;          /* of a command on a run: runs.c */
    uint64_t retry_seq;
    Watched *watched; Call *watch_next;  /* it waits for a run */
    void (*moved)(Call *call, const RunRow *run);        /* the run moved: `run` is as it is now */
    void (*noted)(Call *call, const RunRow *run, const JournalRow *row);
    struct event *timer;                 /* the end of its patience */
    void (*late)(Call *call);
    /* stream.c */
    bool streaming, reading, behind, over;
    bool unsure;                         /* the client may have texts of which nothing is known: from another connection, or of too many */
    uint64_t sent_seq, asked_seq;        /* newest row that was sent; the state whose questions were sent */
    uint32_t events;
    int64_t beat_us;
    ToldText texts[STREAM_TEXTS_MAX]; uint32_t text_count;                                 /* stream_text.c */
};

void  gateway_hold(Gateway *gateway);                    /* gateway.c: something will call back; every call is one, too */
void  gateway_release(Gateway *gateway);                 /* it may be the last that a closed gateway waited for, and free it */
Call *call_new(Gateway *gateway, HttpExchange *http, const HttpServerRequest *request);
void  call_answer(Call *call);                           /* sends call->reply, writes the log, ends the call */
void  call_problem(Call *call, Problem problem, const char *format, ...) __attribute__((format(printf, 3, 4)));     /* answers */
void  call_error(Call *call, Err err, const Error *error);                                                         /* answers */
void  call_finish(Call *call);                           /* its exchange has ended another way: a stream, a client that is gone */
/* Whatever calls back later holds the call meanwhile; true when the call still wants to hear. */
void  call_hold(Call *call);
bool  call_release(Call *call);                          /* false: it is over, and may be freed by now */
void  call_later(Call *call, void (*late)(Call *call), int64_t after_us);               /* once; instead of the one before */
void  call_patience_ends(Call *call);                    /* what call_later asked for does not come */
Str   call_request_id(const Call *call);

/* ---- who waits for a run: watch.c ------------------------------------------------------------------------------------ */

/* call->moved is called, from the loop, with what the run is whenever that may interest: when it has ended or parked, and now and then. */
void  watch_run(Call *call, Str tenant, Str run_id);
void  watch_end(Call *call);
void  watch_look_soon(Gateway *gateway, Str tenant, Str run_id);         /* it was just changed from here: see where it went */
void  watch_look(Gateway *gateway);                      /* the timer came */
void  watch_close(Gateway *gateway);

/* ---- the run of a request: start.c ------------------------------------------------------------------------------------- */

void  start_plan(Call *call);                            /* call->plan: may answer */
void  start_wait(Call *call, Str tenant, Str run_id);    /* answers when the run has ended, asks somebody, or call->plan.wait_us is over */

/* ---- a run as an answer: outcome.c -------------------------------------------------------------------------------------- */

bool  outcome_asks(const RunRow *run);                   /* it waits for somebody's answer */
void  outcome_ended(const RunRow *run, Str request_id, Arena *arena, Reply *reply);
void  outcome_waits(const RunRow *run, Arena *arena, Reply *reply);      /* 202 */
/* What a result says to a browser: `redirect` becomes 303, `set_session` (what open_session of stdlib/agents/identity.flow gave) a cookie, whose making is the
   caller's; neither is in the body then. Behind outcome_ended. *session: empty when there is none. */
void  outcome_browser(const Image *image, uint16_t flow, const RunRow *run, Arena *arena, Reply *reply, Str *session);
void  outcome_put_questions(const RunRow *run, Buf *out);                /* [{text, type, choices?, due?}, …] */
void  outcome_put_failure(const RunRow *run, Str request_id, Buf *out);  /* the problem, as an object */
/* `own`: the result in full; else as an operator may see it. */
void  outcome_put_run(Engine *engine, const RunRow *run, bool own, Buf *out);

/* ---- a run as an event-stream: stream.c ------------------------------------------------------------------------------------- */

/* What one row of the journal tells whoever follows a run; false: nothing. Texts live in the arena. */
typedef struct StreamEvent { Str name, data; char id[48]; } StreamEvent;
bool  stream_event_of(const JournalRow *row, Arena *arena, StreamEvent *out);
bool  stream_end_of(const RunRow *run, Str request_id, Arena *arena, StreamEvent *out);  /* complete, failed, question */
bool  stream_put(Call *call, const StreamEvent *event);
void  stream_begin(Call *call, Str tenant, Str run_id);
bool  stream_has_all(const Call *call, const RunRow *run);               /* its Last-Event-ID is that of the run's end */
void  stream_close(Call *call);                          /* the end, from this side */
void  stream_beats(Gateway *gateway);

/* ---- streamed answers of models: stream_text.c ------------------------------------------------------------------------------- */

bool  stream_text_of(const JournalRow *row, Str *text);  /* the whole of one, from its row in the journal; borrowed */
void  stream_text_event(uint64_t request, Str text, bool replace, uint64_t seq, uint64_t end, Arena *arena, StreamEvent *out);
bool  stream_text_row(Call *call, const JournalRow *row);              /* sends what the client lacks of it, which is not looked for any more; false: it is no such row */
void  stream_piece(Call *call, const JournalRow *row);   /* a note that is in no journal: EFFECT_NOTE_TEXT */
void  stream_texts(Call *call);                          /* the client has all rows: now what is under way here */

/* ---- clients that went away: stream_leave.c ------------------------------------------------------------------------------------ */

void  leave_begin(Call *call);
bool  leave_came_back(Call *call);                       /* the client of a run that was about to be cancelled */
void  leave_look(Gateway *gateway, bool all);            /* cancels what nobody came back for; all: whatever time there is left */

/* ---- /runs: runs.c ------------------------------------------------------------------------------------------------------------ */

bool  runs_is(Str path);                                 /* "/runs" or below */
void  runs_serve(Call *call);                            /* call->principal is known: may answer */

/* ---- webhooks: webhook.c -------------------------------------------------------------------------------------------------------- */
void  webhook_serve(Call *call);                         /* may answer */
const char *webhook_secrets(const ImageWebhook *webhook);                /* of the environment, now; NULL: not set */
#endif
