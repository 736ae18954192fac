/* engine.h - drives runs: loads, claims, journals, resumes, delivers; one event loop, one thread.
 *
 * The engine owns the store, the loop, the loaded images and the live runs. A run in memory is a cache of what the store can rebuild: when
 * its lease is lost it is dropped; when the store itself fails (ERR_IO) every further call says so, and the next engine that opens the
 * store takes over. A run that cannot go on by its own fault (a corrupt journal) fails alone.
 * The protocol (what is durable when) is docs/durability.md.
 *
 * Time comes through EngineClock so that tests have virtual time: with a virtual clock nothing waits; engine_advance moves it and
 * fires what is due, in order.
 */
#ifndef SCHED_ENGINE_H
#define SCHED_ENGINE_H
#include "interpreter/store/hot.h"
#include "interpreter/store/store.h"
#include "interpreter/vm/vm.h"

typedef struct Engine Engine;
struct Identity;
struct Json;

typedef struct EngineScript EngineScript;        /* scripted answers of tools and user, virtual ids: sched/script.h; only in tests */

typedef struct EngineOptions {
    const char *store_url;
    const char *redis_url;                       /* where hot state lives (see store/hot.h); NULL or empty: as rows of the store */
    const char *worker;                          /* NULL: host-pid */
    bool virtual_time; int64_t virtual_start_us;
    bool auto_advance;                           /* virtual time: engine_work jumps to the next timer when a run waits only for sleeps, scripted delays and deadlines, never past a question or await */
    EngineScript *script;                        /* NULL outside tests */
    int64_t lease_us;                            /* 0: 30 s */
    uint32_t concurrency;                        /* runs in memory at once; 0: ENGINE_LIVE_MAX */
    bool stop_on_signals;                        /* engine_serve: SIGTERM and SIGINT end it, the second one at once */
    void (*on_log)(Str line, void *arg);         /* one JSON object of a worker's life; without personal data. May be NULL */
    uint32_t snapshot_every;                     /* effects between snapshots, 0: 64 */
    int64_t event_republish_us;                  /* how long a worker's claim on events of the outbox holds; 0: 5 s */
    int64_t event_stall_us;                      /* after so long another worker takes what one has read from a stream and not finished; 0: 30 s */
    VmLimits limits;
    const struct LlmSettings *llm;               /* net/llm_client.h; copied; NULL or without providers, and in virtual time: the rules answer */
    /* Watches what happens, for progress and terminals; may be NULL. Called after the journal row is durable. Also called for what is in no journal, pieces of
       streamed answers: notes of NOTE_TEXT with the newest durable seq, the request that asked, and args_json [byte offset in the answer, "piece"]; what a
       listener has of that request from the offset on is replaced. The answer's own row follows. */
    void (*on_note)(const RunRow *run, const JournalRow *row, void *arg);
    /* A provider is given up for a while, or answers again; once with an empty name when the rules answer because none is configured. May be NULL. */
    void (*on_model)(Str provider, bool down, const char *why, void *arg);
    void (*on_settled)(const RunRow *run, void *arg);      /* a run ended or parked here, durably: status and result_json are those of now; may be NULL */
    /* A question was asked and the run is about to park: return true with *answer_json filled (arena of the call) to answer at once. */
    bool (*on_question)(const RunRow *run, Str question, const Str *choices, uint32_t choice_count, Str type, int64_t due_us, Buf *answer_json, void *arg);
    /* The same for a call that wants somebody's leave: the tool's name and its arguments. NULL: it stays parked. */
    bool (*on_approval)(const RunRow *run, Str tool, const struct Json *arguments, int64_t due_us, Buf *answer_json, void *arg);
    /* An answer of on_question did not fit; it is asked again, QUESTION_TRIES_MAX times in all, then the run stays parked. May be NULL. */
    void (*on_refused)(const char *why, void *arg);
    /* Another process may have changed something in the store: runs that it works on may have moved. Many changes may come as one call, and one for nothing. May be NULL. */
    void (*on_call)(void *arg);
    void *arg;
} EngineOptions;
enum { QUESTION_TRIES_MAX = 5 };

Err  engine_open(const EngineOptions *options, Engine **out, Error *error);
void engine_close(Engine *engine);
Store *engine_store(Engine *engine);
Hot *engine_hot(Engine *engine);
/* For whatever else works on this loop: a server, its clients. */
struct event_base *engine_loop(Engine *engine);
struct HttpClient *engine_http(Engine *engine);
/* Whom the tools of `at engine("identity")` ask: `find` is called when one first does, and may open it then. Borrowed until the engine is closed. NULL, or none: they
   fail with `unavailable`. */
void engine_set_identity(Engine *engine, struct Identity *(*find)(void *arg), void *arg);
int64_t engine_now(const Engine *engine);

/* `cause`: what began the run from outside, as traces tell it ("POST /api/v1/chat"); empty: nothing that has a name. `scopes`: what he may do, as in a token
   ("travel:read travel:write"; ENGINE_SCOPES_ALL: everything); kept by runs that may come to load a plan. */
#define ENGINE_SCOPES_ALL "admin:all"
typedef struct EnginePrincipal { Str tenant, user, user_name, cause, scopes; } EnginePrincipal;

/* Puts the module into the store, makes its tables. The image is retained. */
Err engine_deploy(Engine *engine, Image *image, Error *error);
/* Creates the run durably (acknowledged when this returns ERR_OK). Input: JSON object of the flow's parameters; unknown, missing and ill-typed ones are ERR_INVALID with a JSON pointer.
   run_id empty: a fresh one, copied to out_run_id (at least 40 bytes). */
Err engine_start(Engine *engine, const Image *image, Str flow, Str input_json, const EnginePrincipal *who, char out_run_id[64], Error *error);
/* The same without waiting, so that many starts share a commit: when this returns ERR_OK, `done` follows once the run is durable or could not be.
   A run without a concurrency key and limit is this worker's from that very commit while it has room (ENGINE_LIVE_MAX), which saves the claim. */
typedef void (*EngineStarted)(Err err, const Error *error, Str run_id, void *arg);
Err engine_launch(Engine *engine, const Image *image, Str flow, Str input_json, const EnginePrincipal *who, char out_run_id[64], EngineStarted done, void *arg, Error *error);
Err engine_load_fixture(Engine *engine, Image *image, Str fixture, const EnginePrincipal *who, Error *error);      /* rows that exist already (same id) stay */
/* Whether that input would be the very input which `run` was started with. An input that does not fit is not; a run of another version of the module is not compared: true. */
bool engine_same_input(Engine *engine, const Image *image, Str flow, Str input_json, const RunRow *run);
/* A pure function of the image (a key, a condition) to its end. A new reference; ERR_INVALID: it failed, *error says how. */
Err engine_evaluate(Engine *engine, Image *image, uint16_t func, const Value *args, const EnginePrincipal *who, Value *out, Error *error);
/* Works until: the run ended or parked (run_id given), or nothing is left to do now (run_id empty: all runs, handlers, events). */
Err engine_work(Engine *engine, Str tenant, Str run_id, Error *error);
/* A worker: claims what wants one, sleeps in the loop while nothing does, until engine_stop (from the loop) or a signal. Then it claims no more, gives back what
   it can, and waits ENGINE_STOP_WAIT for calls that are under way. A store with a server may be gone for a while: that is logged, and the work goes on when it is back. */
Err engine_serve(Engine *engine, Error *error);
void engine_stop(Engine *engine);
/* Virtual time only. */
Err engine_advance(Engine *engine, int64_t us, Error *error);

/* From outside, any process: durable when they return. ERR_NOT_FOUND, ERR_CONFLICT (already answered, already ended), ERR_INVALID (does not fit the question's type). */
Err engine_answer(Engine *engine, Str tenant, Str run_id, Str value_json, Error *error);
/* The same, to one of several questions. request: its number (`request` in engine_waits), 0: the oldest. hash: of an approval, as its wait shows it, and of nothing else;
   it chooses too. ERR_CONFLICT: an approval without it, or with another; the text says how. */
typedef struct EngineAnswer { Str value_json; uint64_t request; Str hash; } EngineAnswer;
Err engine_answer_to(Engine *engine, Str tenant, Str run_id, const EngineAnswer *answer, Error *error);
Err engine_signal(Engine *engine, Str tenant, Str run_id, Str name, Str payload_json, Error *error);
Err engine_cancel(Engine *engine, Str tenant, Str run_id, Error *error);
void engine_cancel_soon(Engine *engine, const RunRow *run);    /* the same without waiting for the store, and without hearing of it; tenant, run_id and durability count */
/* Whoever works on the run, in whatever process, calls the others (on_call) with each of its commits from soon on until it ends; it need not be known where. Returns at
   once. A run that lives in this process is told of by on_note and on_settled anyway. `done`: ERR_CONFLICT when it has ended, or is watched already. */
void engine_watch(Engine *engine, const RunRow *run, void (*done)(Err err, void *arg), void *arg);
bool engine_is_live(Engine *engine, Str tenant, Str run_id);
/* A copy of the run as it was after that journal row; 0: with its input alone. */
Err engine_fork(Engine *engine, Str tenant, Str run_id, uint64_t at_seq, char out_run_id[64], Error *error);

/* The newest event of that name is delivered once more: starts nothing that its first delivery started. */
Err engine_redeliver(Engine *engine, Str tenant, Str event_name, Error *error);
/* Dead letters of the tenant (of one event, of one subscriber; empty: all) become a fresh attempt each, once: the letter goes in the commit that makes the attempt.
   ERR_NOT_FOUND when the event has none. *refused: letters that nobody can take now; *error says why for the first. */
Err engine_replay_dead(Engine *engine, Str tenant, Str event_id, Str subscriber, uint32_t *replayed, uint32_t *refused, Error *error);
/* The run's row, texts in the arena; an unambiguous prefix of the id is enough. */
Err engine_find_run(Engine *engine, Str tenant, Str run_id, Arena *arena, RunRow *out, Error *error);

/* What the run waits for: an array of {request, kind, text, choices, type, due, since}, of an approval also {tool, arguments, hash} (sched/approval.h), in the arena;
   NULL when its row says nothing of it. */
const struct Json *engine_waits(const RunRow *run, Arena *arena);
bool engine_wait_asks(const struct Json *wait);          /* a person: a question or an approval */
bool engine_wait_approves(const struct Json *wait);
/* The store that a run lives in: the engine's; for `durability session` that of the sessions, when there is one (redis_url); for `durability none` this process's memory. */
Store *engine_home(Engine *engine, const RunRow *run);
/* Where to look for a run of which nothing but the id is known: 0 the engine's store, 1 and 2 the others that there are; NULL behind the last. */
Store *engine_place(const Engine *engine, uint32_t nth);
/* What a journal row says of a plan that was loaded: {"plan", "allow", "limits", "ask", "over_budget", "scopes"}, values of labelled parameters hidden; borrowed from the row.
   False: it is of something else. */
bool engine_plan_of(const JournalRow *row, Str *audit_json);
/* A loaded module by hash, from memory or the store; borrowed, lives as long as the engine. */
Err engine_image(Engine *engine, Str hash_hex, Image **out, Error *error);
/* Appends what an operator may see of an ended run's result_json: pii and secret fields are "***". The full text is for whoever started it. */
Err engine_shown_result(Engine *engine, const RunRow *run, Buf *out, Error *error);
/* What the streamed answers that the run is just getting here have come to, for a listener who comes late: pieces that follow go on behind it. */
void engine_texts(Engine *engine, Str tenant, Str run_id, void (*each)(uint64_t request, Str text, void *arg), void *arg);
/* How many runs are live in memory, and their bytes (for benches and tests). */
void engine_stats(const Engine *engine, uint32_t *live_runs, size_t *live_bytes);
#endif
