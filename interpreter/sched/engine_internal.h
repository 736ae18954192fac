/* engine_internal.h - what the files of the engine share. The protocol is docs/durability.md; each file says which part of it it keeps.
 *
 *   engine.c   open, close, the loops, virtual time          live.c     one live run: load, replay, turn by turn
 *   start.c    deploy, start, fixtures, keys and rates       perform.c  requests by effect class
 *   record.c   journal rows: made, buffered, for people      commit.c   what becomes durable together; park, end
 *   mail.c     answers, signals, cancellation, fork          events*.c  outbox to handlers and waiting runs
 *   serve.c    the worker: claims, leases, wake-ups, its end
 *   perform_state.c  sessions and contexts, by state.c    perform_cache.c  reads of tables from the cache
 *   perform_llm.c    questions to a language model                  scopes.c  what the caller of a run may do
 *   perform_plan.c   plans of language models
 *   approval.c       what a person is asked to allow
 *
 * A live run is touched by one step at a time: while `busy` a store operation that the next step depends on is under way, and only its
 * callback goes on. Callbacks never step a run; they mark it ready and the pump of engine.c steps it, so no step lies below another.
 */
#ifndef SCHED_ENGINE_INTERNAL_H
#define SCHED_ENGINE_INTERNAL_H
#include "base/json.h"
#include "base/map.h"
#include "interpreter/effect/credential.h"
#include "interpreter/identity/service.h"
#include "interpreter/net/http_client.h"
#include "interpreter/net/llm_client.h"
#include "interpreter/sched/approval.h"
#include "interpreter/sched/engine.h"
#include "interpreter/vm/snapshot.h"

struct event_base;
struct event;

enum {
    ENGINE_SNAPSHOT_EVERY = 64, ENGINE_CLAIM_MAX = 256, ENGINE_LIVE_MAX = 4000, ENGINE_MAIL_MAX = 1000, ENGINE_IMAGES_MAX = 1000,
    ENGINE_STEPS_AT_ONCE = 8,                            /* steps of a run before the others have their turn */
    ENGINE_RELOADS_MAX = 40,                             /* transactions in a row that lost against another writer */
    ENGINE_ROWS_MAX = 256,                               /* journal rows that wait for a commit to ride in */
    EVENT_HOPS_MAX = 32, EVENT_BATCH = 64, HANDLER_ATTEMPTS_MAX = 5,
    INPUT_JSON_MAX = 1 << 20
};
#define UNJOURNALLED_SWEEP  1000                         /* so many runs of `durability none` end between two sweeps */
#define ENGINE_LEASE        (30 * INT64_C(1000000))
#define ENGINE_SHORT_SLEEP  INT64_C(50000)               /* a run that sleeps no longer stays in memory */
#define ENGINE_POLL         INT64_C(500000)              /* how often a worker looks at a store that cannot call it */
#define ENGINE_WAIT_MAX     (60 * INT64_C(1000000))      /* one sleep of the loop; time may have been set meanwhile */
#define ENGINE_RELOAD_AFTER INT64_C(1000)                /* doubled each time up to ENGINE_RELOAD_MOST, and shaken */
#define ENGINE_RELOAD_MOST  INT64_C(500000)
#define ENGINE_RETRY        INT64_C(50000)               /* something is due, and another worker holds it just now */
#define ENGINE_STOP_WAIT    (10 * INT64_C(1000000))      /* a worker that is to stop gives calls that are under way so long */
#define EVENT_REPUBLISH     (5 * INT64_C(1000000))       /* a claim on events of the outbox holds so long: then somebody else may take them */
#define EVENT_STALL         (30 * INT64_C(1000000))      /* what a consumer of a stream took and has not finished after that is another one's */
#define HANDLER_BACKOFF     INT64_C(1000000)             /* doubled each time */
#define SESSION_TTL         (86400 * INT64_C(1000000))   /* a session that lives in rows is over so long after its last write */
#define UNJOURNALLED_LEASE  (INT64_MAX / 4)              /* nobody else could take them */
#define UNJOURNALLED_KEPT   (60 * INT64_C(1000000))      /* how long a run of `durability none` that ended can be asked for its result, at least */
#define TIME_NEVER          INT64_MAX

#define WAITS_SINCE         ",\"since\":"               /* in waits_json; a quote inside of a text has a backslash before it */

typedef struct LiveRun LiveRun;
typedef struct EventStream EventStream;

/* A request that is not a note, from its asking to its delivery. */
typedef enum { ACT_QUEUED, ACT_INTENDED, ACT_STARTED, ACT_PARKED, ACT_ANSWERED } ActState;
typedef struct Act {
    LiveRun *run;
    uint64_t id;
    uint32_t fiber;
    const ImageEffect *effect;
    ActState state;
    bool pending;                                        /* the VM still waits for it; refreshed after each turn */
    bool scripted;                                       /* a local tool that the script stands in for */
    bool in_doubt;                                       /* an intent without a result was found in the journal */
    bool intent;                                         /* its intent row is in the journal */
    bool waits_durably;                                  /* AWAIT_EVENT: its wait row is in the store; a question: it stands in the run's waits */
    int64_t started_us, due_us;                          /* due: SLEEP_UNTIL, scripted delay; else TIME_NEVER */
    HttpCall *http;
    struct LlmWork *llm; char *report;                   /* a question to a model; what its answer took, as JSON, until it is recorded */
    Arena *asked; Buf refused;                           /* what that question borrows; plans of the model that were refused, a line of JSON each, until they are recorded */
    ServiceTask *service;
    bool ok, answer_counted; Value answer;               /* ACT_ANSWERED */
} Act;

/* What the first commit of a run that was launched here has to do beside its row, and whom to tell. */
typedef struct Birth { EngineStarted done; void *arg; Str rate_key; uint32_t rate_limit; int64_t rate_unit_us; } Birth;

typedef struct Mail { struct Mail *next; MailRow row; } Mail;                      /* copied into the run's arena; in the order of arrival */

/* What every step looks at comes first: between two steps of a run thousands of others may have had theirs. */
struct LiveRun {
    Engine *engine;
    Store *store;                                        /* where it lives: the engine's, or that of the sessions */
    LiveRun *ready_next;
    bool ready, busy, dead, loaded, needs_run, failing;
    bool mail_wanted;                                    /* read the mailbox before the next decision */
    bool watched;                                        /* another process waits for what it does: its commits call others */
    bool cancelled;                                      /* a cancellation was delivered */
    bool resumed;                                        /* the next delivery is the first after a park: a row says so */
    bool parked_before;                                  /* the journal ends with a park */
    bool waits_stale;                                    /* waits_json in the store names a question that is answered */
    bool emits;                                          /* the commit under way puts an event into the outbox; nobody can read it there before */
    bool undelivered;                                    /* the newest row waits for its commit before the VM gets it */
    bool hot_asked;                                      /* hot_copy.c: Redis was asked for hot_bytes */
    bool current_ok, current_counted, may_fail;
    VmStatus status;                                     /* of the last vm_run */
    uint32_t callbacks;                                  /* store callbacks still to come; a dead run is freed at the last */
    uint32_t act_count, row_count, timer_count, old_wait_count, told_count, reloads;
    VmRun *vm;
    Image *image;                                        /* its module, or what the plans that it loaded have made of it (the machine's); same indexes, same rows */
    Birth *birth;                                        /* its row is not in the store yet; NULL afterwards */
    Act **acts;                                          /* ascending id */
    Act *spare_act;                                      /* the next one's memory, or NULL */
    JournalRow *rows;                                    /* not durable yet */
    Arena *row_arena;                                    /* theirs; NULL: there are none, or a batch that is under way has it */
    uint64_t seq;                                        /* newest given out */
    uint64_t snapshot_at;                                /* seq of the newest snapshot */
    StoreTxn *txn;
    Mail *mail;
    int64_t wake_us;                                     /* earliest thing it waits for in memory */
    int64_t untold_park_us;                              /* of a run that parked at its beginning: its journal does not say so yet; 0: it does */
    uint64_t current;                                    /* request whose store operation is under way */
    Value current_value;
    RunRow row;
    Arena *arena;                                        /* the row's texts, mail: as long as the live run */
    char *key;                                           /* tenant, NUL, run id: in engine->live */
    size_t key_len;
    Image *base;                                         /* its module */
    uint64_t *timers;                                    /* requests with a timer row in the store (0: a deadline) */
    uint64_t *old_waits;                                 /* wait rows whose request is gone */
    uint32_t act_cap, row_cap, timer_cap, old_wait_cap, written_cap;
    uint32_t txn_fiber;
    uint32_t scope;                                      /* whose deadline is being made durable */
    int current_result;                                  /* index of its query's rows in the batch */
    JournalRow *told;                                    /* session.c: a transaction that committed in an earlier try, told instead of executed */
    Str cancel_reason;
    Buf parked_bytes;                                    /* hot_copy.c: the snapshot of the park that is under way */
    Str hot_bytes;                                       /* hot_copy.c: the same from Redis, at a load; empty: none */
    int64_t reload_us;                                   /* reloads: how often in a row it lost a race; when it is loaded again */
    uint16_t *written; uint32_t written_count;           /* tables whose cached results are old once its commit is durable */
    Error refusal;                                       /* session.c: why a change was refused, while it is found out whether it was done before */
};

/* A run that parked while this engine watched: whom to ask, how far time may jump. */
typedef struct ParkNote { struct ParkNote *next; Str tenant, run_id; bool asks; int64_t jump_us; } ParkNote;

struct Engine {
    EngineOptions options;
    char worker[128];
    struct event_base *loop;
    struct event *timer;
    Store *store;
    Map fetches, cached_tables, stale_tables;            /* perform_cache.c: cached reads under way; names of tables; tenant NUL table */
    Store *memory; uint32_t memory_ended;                /* runs of `durability none`; NULL until the first one */
    Store *sessions; bool session_claiming, session_lost;              /* runs of `durability session`; NULL without Redis: they are strict then */
    Hot *hot;                                            /* sessions, caches: may lose what it holds at any moment */
    SnapshotKey key;
    HttpClient *http;
    LlmClient *llm; bool rules_told;                     /* NULL: the rules answer, which is said once */
    Credentials *credentials;
    Identity *(*find_identity)(void *arg); void *find_identity_arg;          /* NULL: there is none */
    int64_t virtual_now;
    Map live;
    LiveRun *ready_first, *ready_last;
    LiveRun *stepping; bool steps_again; int64_t step_us;              /* the run whose step is under way; it became ready again in it; the time of the step */
    uint32_t open_txns;
    Map images;                                          /* hash hex -> Image */
    Map reaches;                                         /* scopes.c */
    struct Planner *planner;                             /* perform_plan.c; NULL until the first plan */
    ParkNote *parks; Arena *park_arena;
    EventStream *stream;                                 /* while it serves: events for other workers, and from them */
    bool outbox_dirty, dispatching, stopping;
    int64_t wake_us;                                     /* no live run wants to be woken before */
    bool claim_wanted, claiming;                         /* something in the store may want a worker; a claim is under way */
    bool called, calls_read;                             /* mail may have come for live runs; the question which is under way */
    bool orphans;                                        /* the store may name this worker as owner of runs that do not live here */
    int64_t outbox_until_us;                             /* a claim on an event may have to be taken over until then */
    int64_t due_us, look_us, renew_us, stop_us;          /* next known thing in the store; a look without reason; the leases; the end of patience at the end */
    Err broken; Error broken_error;                      /* the store is gone: nothing more is done */
    uint64_t progress;                                   /* counts deliveries, ends, parks, dispatches */
};

/* engine.c */
Err  engine_broken(const Engine *engine, Error *error);
void engine_break(Engine *engine, Err err, const Error *error);
void engine_ready(LiveRun *run);
void engine_tick(Engine *engine);                        /* the clock is read again for the step that is under way */
bool engine_step(Engine *engine);                        /* every ready run once, and what they submitted is begun; false: nothing moved */
void engine_pump(Engine *engine);                        /* everything that can be done without waiting */
void engine_settle(Engine *engine);                      /* the same, and the store owes no answer any more */
void engine_wait(Engine *engine, int64_t until_us);
void engine_wake_at(Engine *engine, int64_t at_us);
void engine_wake_due(Engine *engine);
int64_t engine_lease(const Engine *engine);
uint32_t engine_live_max(const Engine *engine);
bool engine_has_server(const Engine *engine);            /* the store is a server: what is submitted is answered later, and it may be gone for a while */
Err  engine_sync(Engine *engine, StoreBatch *batch, Error *error);          /* one batch now, outside of all steps; the caller frees it */
int64_t engine_lease_until(const Engine *engine);
void engine_claim_memory(Engine *engine, Str tenant, Str only_run, uint32_t *claimed);       /* adds to *claimed */
Image *engine_image_cached(Engine *engine, Str hash_hex);
Err  engine_image_keep(Engine *engine, Str hash_hex, Str bytes, Image **out, Error *error);
LiveRun *engine_live_find(Engine *engine, Str tenant, Str run_id);
void engine_note_park(Engine *engine, const LiveRun *run, bool asks, int64_t jump_us);

/* serve.c */
int64_t serve_renew(Engine *engine);                     /* prolongs the leases when it is time; when it will be again */
void serve_timer(Engine *engine, int64_t due_us);        /* a timer goes into the store */
void serve_give_back(LiveRun *run);                      /* unless it is in the middle of something */
void serve_session_lost(Engine *engine);                 /* the session store does not answer; its runs come back when their leases end */
Err  serve_reclaim(Engine *engine, Error *error);        /* after an outage: what the store says this worker holds lives here again */
void serve_log(Engine *engine, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));       /* format: more members, each with its comma */

/* live.c */
void live_open(Engine *engine, Store *store, const RunRow *row);       /* claimed there just now */
void live_begin(Engine *engine, const RunRow *row, Image *image, const Birth *birth);      /* ours from its first commit, which it makes itself; image: borrowed */
bool live_born(LiveRun *run, Err err, const Error *error);             /* that commit is done, which is told; false: there is no such run */
void live_load(LiveRun *run);
void live_step(LiveRun *run);
void live_drop(LiveRun *run);                            /* forget it; the store has all that counts */
void live_renew(LiveRun *run, int64_t until_us);         /* also while it is busy */
bool live_failed(LiveRun *run, Err err, const Error *error);           /* a store operation failed: drop, fail the run, or stop the engine; false when err is ERR_OK */
Act *live_act(LiveRun *run, uint64_t id);
bool live_request(LiveRun *run, uint64_t id, VmRequest *out);          /* arguments of a pending request; borrowed until the next vm_* call */
void live_deliver(LiveRun *run, uint64_t id, bool ok, Value value);    /* takes value */
void live_decline(LiveRun *run, uint64_t id);            /* a scripted call that the script leaves to the tool itself */
void live_roll_back(LiveRun *run);                       /* its open transaction, if there is one */
void live_callback_done(LiveRun *run);                   /* every store callback ends with it */
uint16_t live_result_type(const Image *image, const ImageEffect *effect);
static inline bool live_asks(const Act *act) { return act->effect->kind == EFFECT_ASK || act->effect->kind == EFFECT_APPROVE; }     /* a person */
Str  live_tool_name(const Image *image, uint16_t tool, Arena *arena);  /* "travel.book_flight" */
Value live_error_of(LiveRun *run, Err err, const char *text);          /* what a program is told of it */
Value live_error(LiveRun *run, ErrorKind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* perform.c */
void perform_answer(Act *act, bool ok, Value value);     /* what came from outside; takes value */
void perform_deliver(LiveRun *run, uint64_t id, bool ok, Value value);  /* the same; takes value */
void perform_raise(LiveRun *run, uint64_t id, Value error);            /* buffered row, then delivery; takes error */
void perform(LiveRun *run, Act *act);
void perform_cancel(Act *act);                           /* nobody waits for it any more */
bool perform_own(Engine *engine, const Image *image, const VmRequest *request, Str run_id, Value *out);       /* false: not one that can be answered at once */

/* perform_llm.c */
void llm_open(Engine *engine);
void perform_llm(LiveRun *run, Act *act, const VmRequest *request);

/* perform_plan.c */
void perform_plan_load(LiveRun *run, Act *act, const VmRequest *request);
void perform_plan_check(LiveRun *run, Act *act, const VmRequest *request);
void plan_put_audit(const LiveRun *run, const VmRequest *request, Buf *out);         /* of PLAN_LOAD and PLAN_CHECK: the plan and its grant */
void plan_put_shown(const Image *image, Str plan, Buf *out);           /* values of labelled parameters hidden */
Err  plan_replay(LiveRun *run, const JournalRow *row, Value *out, Error *error);     /* the answer of PLAN_LOAD; the machine goes on extended */
Err  plan_copy_row(const Engine *engine, const RunRow *from, const RunRow *to, Arena *arena, JournalRow *row, Error *error);        /* any row: one that holds a plan becomes the other run's */

/* approval.c */
Err  approval_read(const Image *image, const VmRequest *request, Arena *arena, Approval *out, Error *error);  /* ERR_LIMIT: too long to be shown */
void approval_put_arguments(const Image *image, const Approval *approval, uint8_t hidden /* LABEL_*: "***" instead */, Arena *arena, Buf *out);

/* scopes.c */
bool scopes_wanted(Engine *engine, const Image *image, uint16_t func); /* a run of that function may load a plan */
const Str *scopes_of(const RunRow *run, Arena *arena, uint32_t *count, bool *any);      /* of its caller; any: there is nothing he may not */
void scopes_free(Engine *engine);

/* perform_cache.c */
void perform_cached(LiveRun *run, Act *act, const VmRequest *request);
void cache_note_write(LiveRun *run, uint16_t table);     /* a statement on it is about to be made */
/* Its commit is durable: true when the answer is held back until the cache knows, and delivered then; takes value in that case. */
bool cache_holds_back(LiveRun *run, uint64_t request, bool ok, Value value, bool counted);
void cache_taken_over(LiveRun *run);
void cache_close(Engine *engine);                        /* between hot_close and store_close */
void cache_free(Engine *engine);

/* perform_state.c */
void perform_state(LiveRun *run, Act *act, const VmRequest *request);  /* sessions, contexts */

void perform_open_txn(LiveRun *run, Act *act);

/* hot_copy.c */
bool hot_copy_wanted(const LiveRun *run);
void hot_copy_put(LiveRun *run);
void hot_copy_erase(LiveRun *run);
bool hot_copy_ask(LiveRun *run);                         /* live_load goes on when Redis answered; false: there is nothing to ask */

/* session.c */
#define SESSION_TOLD "session:"                          /* before the run's id in the SQL store's journal: what session runs did there */
bool session_is(const LiveRun *run);                     /* it lives in another store than the engine's: in Redis, or in memory */
bool session_is_unjournalled(const LiveRun *run);        /* `durability none`: what it learns is written nowhere, and nobody takes it on after its process */
Err  session_memory(Engine *engine, Error *error);       /* makes engine->memory */
bool session_has_expired(const Engine *engine, const RunRow *row);     /* RUN_SESSION_IN_ROWS, and over */
StoreBatch *session_sql_batch(LiveRun *run);             /* on the SQL store: fenced, or for a session run under the id of what it did */
bool session_flushed(LiveRun *run);                      /* nothing is buffered; else it begins to make that durable */
void session_change_query(LiveRun *run, Act *act, StoreBatch *batch, int result, StoreEncode encode, void *arg);
void session_change(LiveRun *run, Act *act, StoreBatch *batch, Value value);         /* takes value */
void session_begin(LiveRun *run, Act *act);
void session_tell(LiveRun *run, Act *act);
void session_commit(LiveRun *run, Act *act);

/* record.c */
Arena *record_arena(LiveRun *run);                       /* for texts of rows that are about to be recorded */
JournalRow *record_row(LiveRun *run, uint8_t entry, const VmRequest *request);      /* appended to the buffer with the next seq */
JournalRow *record_answer(LiveRun *run, const VmRequest *request, bool ok);         /* without what it says: record_tell fills that in */
void record_model(LiveRun *run, Act *act);               /* before the answer of a model: what it took */
void record_meter(LiveRun *run, const JournalRow *row);  /* charges what such a row says to the plan that is running, if any */
JournalRow *record_result(LiveRun *run, uint64_t id, bool ok, Value value);
void record_tell(const Image *image, uint16_t type, Value value, Arena *arena, JournalRow *row);
void record_resumed(LiveRun *run);                       /* before the first delivery after a park */
void record_park(LiveRun *run);                          /* the row that a park at the beginning left out */
void record_take_back(LiveRun *run);                     /* the newest row, which did not become durable */
void record_keep(LiveRun *run);                          /* the commit that had the buffer failed */
void record_durable(LiveRun *run);                       /* the buffer is in the store */
void record_waits(LiveRun *run, Buf *out);               /* waits_json */
Str  record_bounded(Arena *arena, Buf *json);

/* commit.c */
StoreBatch *commit_batch(LiveRun *run);                  /* fenced, with the buffered rows and changed waits in it */
typedef void (*CommitNext)(LiveRun *run, const StoreResult *result);
/* Submits and sets busy; `next` runs when it is durable, or with an error that is not the store's own. */
void commit_submit(LiveRun *run, StoreBatch *batch, CommitNext next);
void commit_read(LiveRun *run, StoreBatch *batch, CommitNext next);    /* reads only: the buffer stays */
void commit_in_txn(LiveRun *run, StoreBatch *batch, CommitNext next);
void commit_last(LiveRun *run, StoreBatch *batch, CommitNext next);    /* ends the open transaction */
void commit_flush(LiveRun *run);                         /* just the buffer */
/* Records the result and returns the batch that makes it durable, to add to; then it is delivered. Takes value. NULL: nobody waits for it any more. */
StoreBatch *commit_result(LiveRun *run, uint64_t id, bool ok, Value value);
void commit_result_submit(LiveRun *run, StoreBatch *batch, bool may_fail /* as the program's error, not the store's */);
/* A batch that holds the statement with that result, and the buffered rows; the newest of them is told inside the commit what the statement answered. */
void commit_statement(LiveRun *run, StoreBatch *batch, int result, StoreEncode tell, void *arg, CommitNext next);
bool commit_waits_changed(const LiveRun *run);
bool commit_state_changed(LiveRun *run);                 /* waits, or timers that are over */
void commit_note_timer(LiveRun *run, uint64_t request);  /* a timer row may stand in the store, to be cleared in time */
void commit_park(LiveRun *run);
void commit_end(LiveRun *run, VmStatus status);
void commit_fail(LiveRun *run, const Error *error);      /* it cannot go on: a corrupt journal, snapshot, module */

/* start.c */
Err  start_encode_input(const Image *image, uint16_t func, const Value *args, Buf *out);
Err  start_decode_input(const Image *image, uint16_t func, Str input, Value *args, uint16_t *count, Error *error);
void start_release_args(const Image *image, uint16_t func, Value *args, uint16_t count);
Err  start_fill_row(Engine *engine, Image *image, uint16_t flow, const Value *args, Arena *arena, RunRow *row, Error *error);
/* A pure function to its end, own values answered: key, where, init functions. A new reference. */
Err  start_call(Engine *engine, Image *image, uint16_t func, const Value *args, const RunRow *who, Value *out, Error *error);

/* mail.c */
void mail_take_in(LiveRun *run, const MailRow *rows, uint32_t count);
bool mail_step(LiveRun *run, bool cancel_only);          /* delivers one; true when it did (or began to) */
void mail_wait_key(LiveRun *run, const Act *act, Arena *arena, WaitRow *wait);       /* which field of its event it compares, and with what */
void mail_drop_stale(LiveRun *run, StoreBatch *batch);
Err  mail_offer_answers(Engine *engine, bool *answered, Error *error);   /* hooks and scripts answer questions of runs that parked */
Err  mail_value(const Image *image, uint16_t type, Str json, Value *out, Error *error);

/* events.c */
Err  events_serve(Engine *engine, Error *error);         /* from now on others dispatch, too; over streams, if there is a Redis */
void events_rest(Engine *engine);
void events_dispatch(Engine *engine);                    /* starts one round unless one is under way */
void events_subscribe(StoreBatch *batch, const Image *image);          /* what the handlers of a deployed module hear from now on */
void events_retry_handler(LiveRun *run, StoreBatch *batch, Str error_json);
#endif
