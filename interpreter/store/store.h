/* store.h - where runs, journals, snapshots, timers, events and the agents' tables live.
 *
 * One interface for every store (embedded SQLite; PostgreSQL and Redis). Work is handed over in batches: a batch is one atomic,
 * durable change of one run (or of none) and the reads that belong to it. store_submit() returns at once; the callback comes from
 * the event loop after the batch is durable. Batches that wait at the same time share one commit (group commit): a failing one is
 * rolled back alone (savepoint) and the others stand.
 *
 * Fencing: a batch with a run id and epoch > 0 changes nothing and ends with ERR_FENCED unless the run's lease epoch is that epoch.
 * Every key leads with the tenant. Times are Timestamps (microseconds) and come from the caller: a store reads no clock.
 * Texts and rows in results live until the callback returns (arena of the batch).
 *
 * Crash tests: store_crash_at() makes the n-th durable operation (commit) from now die before or after it took effect,
 * by SIGKILL of the process or, for tests inside a process, by ERR_CRASH for it and everything after it.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H
#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "interpreter/bytecode/image.h"

typedef struct Store Store;
typedef struct StoreBatch StoreBatch;
typedef struct StoreTxn StoreTxn;
struct event_base;

typedef enum { RUN_READY = 0, RUN_RUNNING, RUN_PARKED, RUN_COMPLETED, RUN_FAILED, RUN_CANCELLED } RunStatus;   /* stored: never renumbered */
const char *run_status_name(RunStatus status);
static inline bool run_status_ended(RunStatus s) { return s >= RUN_COMPLETED; }

enum { RUN_SESSION_IN_ROWS = 3 };        /* `durability session` where there is no session store: like a strict run, for a day after its last write */
typedef struct RunRow {
    Str tenant, run_id;
    Str module_hash;                     /* hex */
    Str func_name;                       /* flow or handler name */
    uint16_t func;                       /* function index in the module */
    RunStatus status;
    Str user, user_name;
    Str scopes;                          /* of the caller, as in his token: "travel:read travel:write"; empty: none are kept. For plans alone (sched/perform_plan.c) */
    Str correlation, causation;          /* run or event that caused it; the root's correlation is its own id */
    uint32_t hops;                       /* events and starts between the root and it */
    Str input;                           /* value_encode'd arguments, a record in declaration order */
    Str input_json;                      /* redacted, for people */
    Str result_json;                     /* RUN_COMPLETED: result; RUN_FAILED: error; full */
    Str waits_json;                      /* RUN_PARKED: [{request, kind, text, choices, type, due}] */
    Str concurrency_key, limit_key; uint32_t limit_count;         /* empty: none */
    int priority;
    uint64_t epoch; Str worker; int64_t lease_until_us;
    uint64_t last_seq;                   /* newest journal seq */
    uint64_t snapshot_seq;               /* 0: none */
    int64_t created_us, updated_us, started_us, ended_us;
    uint8_t durability;                  /* DURABILITY_* of image.h, or RUN_SESSION_IN_ROWS */
    bool cancel_requested;
} RunRow;

/* One effect's result, a note, or a delivery. Small. */
typedef struct JournalRow {
    uint64_t seq;                        /* 1, 2, 3 … per run */
    uint64_t request;                    /* VmRequest.id; 0 for deliveries that are none (deadline, cancel) */
    uint32_t fiber, span, parent_span;
    uint8_t entry;                       /* JOURNAL_* */
    uint8_t effect;                      /* EffectKind */
    uint16_t target;                     /* effect target (tool, query, event …), NO_INDEX none */
    uint16_t agent;                      /* whose code asked: agent index or NO_INDEX */
    Str name;                            /* effect name for people */
    Str args_json;                       /* redacted, bounded (JOURNAL_ARGS_MAX), for the trace */
    Str payload;                         /* value_encode'd result or error; for INTENT the idempotency key; expired scope id */
    Str detail_json;                     /* redacted result for the trace, bounded */
    int64_t started_us, ended_us;
} JournalRow;
enum { JOURNAL_RESULT = 1, JOURNAL_ERROR, JOURNAL_INTENT, JOURNAL_NOTE, JOURNAL_EXPIRED, JOURNAL_CANCEL, JOURNAL_PARKED, JOURNAL_RESUMED, JOURNAL_LOCAL /* tests: a scripted tool ran its own code */, JOURNAL_MODEL /* who gave the answer of the next row, and for how many tokens */ };
enum { JOURNAL_ARGS_MAX = 4096, STORE_BLOB_MIN = 64 << 10 };
#define STORE_EVENT_LAG_US (600 * INT64_C(1000000))      /* an event that is durable later than this after its created_us, by the clocks of all workers, may escape a run that does not wait for it just then */

typedef struct TimerRow { Str tenant, run_id; uint64_t request; int64_t due_us; } TimerRow;        /* request 0: deadline of the run's earliest scope */
/* CURSOR is none: how far the run has had the events of a name. WATCH: another process wants to be called when the run moves; it wakes no parked run. */
typedef enum { MAIL_ANSWER, MAIL_SIGNAL, MAIL_EVENT, MAIL_CANCEL, MAIL_CURSOR, MAIL_WATCH } MailKind;      /* stored: never renumbered */
typedef struct MailRow {
    Str tenant, run_id, mail_id;         /* mail_id: unique in the run; a second one of the same id is ERR_CONFLICT */
    MailKind kind;
    uint64_t request;                    /* ANSWER: the question's request id; EVENT: the waiting request */
    Str name;                            /* signal or event name */
    Str payload;                         /* JSON */
    int64_t created_us;
} MailRow;
typedef struct EventRow {
    uint64_t position;                   /* of the outbox, ascending */
    Str tenant, event_id, name, payload; /* payload: JSON of the event record */
    Str module_hash; Str user;
    Str correlation, causation; uint32_t hops;
    Str run_id; uint64_t seq;            /* who emitted */
    int64_t created_us;
    bool dispatched;
} EventRow;
/* A run that awaits an event by name. It may say that it wants none but those whose `field` (a text, a whole number, an enum) has the text `value`: others
   need not wake it, though they may. A store gives both back empty. */
typedef struct WaitRow { Str tenant, event; Str run_id; uint64_t request; Str field, value; } WaitRow;
/* Who hears an event. An owner (an agent, or a file for handlers that no agent has) is deployed as a whole: what its newest module does not subscribe any more is dropped. */
typedef struct SubscriptionRow { Str subscriber, owner, event, module_hash; } SubscriptionRow;
typedef struct DeadRow { Str tenant, event_id, subscriber, error; uint32_t attempts; int64_t created_us; } DeadRow;

/* A login that was begun at a provider, until it comes back. In no tenant: nobody knows yet who it will be. */
typedef struct AuthLoginRow { Str state_hash, visitor /* whose browser began it */, nonce, verifier; int64_t created_us, expires_us; } AuthLoginRow;
/* A session that a token was made for, or that was revoked; of the batch's tenant. */
typedef struct AuthSessionRow { Str session_id, user, run_id /* which gave it */, claims_json; int64_t issued_us, expires_us, revoked_us /* 0: it was not */; } AuthSessionRow;

/* In and out: bool, int, date (days), timestamp and duration (microseconds) INT; enum TEXT, the member's name (an ordinal as INT is taken too);
   decimal DECIMAL; bytes BLOB; json, list, map and record TEXT holding JSON. Decimals come back without trailing zeros. */
typedef enum { CELL_NULL, CELL_INT, CELL_FLOAT, CELL_TEXT, CELL_BLOB, CELL_DECIMAL /* text */, CELL_LIST } CellKind;
typedef struct Cell { CellKind kind; int64_t i; double f; Str text; struct Cell *items; uint32_t count; } Cell;  /* LIST: parameter of QX_IN */
typedef struct RowSet { Cell *cells; uint32_t rows, columns; } RowSet;                                            /* row-major */

/* ---- life --------------------------------------------------------------------------------------- */
typedef struct StoreSchema { int64_t found, known; } StoreSchema;      /* versions: of the store when it was opened (0: new), of this program */
typedef struct StoreOptions {
    struct event_base *loop;
    bool read_only;
    bool migrate;                        /* bring an older schema up to date. A file's is brought up to date anyway; that of a server, which others use too, is refused without it */
    StoreSchema *schema;                 /* filled in, also when the open fails for its version; may be NULL */
} StoreOptions;
/* "sqlite:PATH", "sqlite::memory:", "postgresql://…" ; creates and migrates. The schema version is checked: a newer one is refused.
   "redis://…", "unix:PATH": runs of `durability session` only, each for a day after its last write: no tables, no interactive transactions, no modules, events,
   waits (ERR_UNSUPPORTED). It opens without its server too (ERR_IO from every batch); then, and after a flush, its snapshot key is of no use (id 0). */
Err  store_open(const char *url, const StoreOptions *options, Store **out, Error *error);
void store_close(Store *store);                                    /* flushes what was submitted, rolls an open transaction back; kept batches are freed before */
const char *store_kind(const Store *store);                        /* "sqlite" */
void store_snapshot_key(Store *store, uint32_t *id, uint8_t bytes[32]);     /* made at the first open, kept in the store */
typedef enum { CRASH_BEFORE, CRASH_AFTER } CrashSide;
uint64_t store_crash_at(Store *store, uint64_t nth, CrashSide side, bool kill_process);             /* nth 0: off; what was left of the one before. Also by FLOW_CRASH_AT=N:before|after */
uint64_t store_commits(const Store *store);                        /* durable operations so far */

/* Called from the loop when another process may have left work here: runs that are ready, mail, events. Many changes may come as one call, and one may come for
   nothing. Without it the store of another process would have to be looked at again and again. */
void store_on_wake(Store *store, void (*wake)(void *arg), void *arg);
bool store_calls(const Store *store);                              /* whether it can: a file that cannot be watched must be looked at */
uint64_t store_submitted(const Store *store);                      /* batches and transactions handed over so far, for tests that count */
bool store_is_up(const Store *store);                              /* false while its server cannot be reached; what is submitted then waits for a while and ends with ERR_IO */

/* ---- batches -------------------------------------------------------------------------------------- */
StoreBatch *store_batch(Store *store, Str tenant, Str run_id, uint64_t epoch);
StoreBatch *store_batch_in(Arena *arena, Store *store, Str tenant, Str run_id, uint64_t epoch);    /* on an arena that it takes over, with what lies there */
void store_announce(StoreBatch *batch);                             /* other processes are called (store_on_wake) when it is durable, whatever it does */
Arena *store_batch_arena(StoreBatch *batch);                        /* lives as long as the batch: put texts here */
/* Writes. Rows are copied. */
void store_put_module(StoreBatch *batch, Str hash_hex, Str bytes);
void store_put_run(StoreBatch *batch, const RunRow *row);           /* ERR_CONFLICT when the id exists; with `or_ignore` nothing happens */
void store_put_run_or_ignore(StoreBatch *batch, const RunRow *row);
void store_amend_run(StoreBatch *batch, const RunRow *row);         /* what the batch's store_put_run, its first operation, puts instead; gives no lease but to a RUNNING one */
void store_update_run(StoreBatch *batch, const RunRow *row);        /* any status but RUNNING gives the lease back, an ended one drops timers, waits and mail; status, result_json, waits_json, last_seq, snapshot_seq, updated_us, started_us, ended_us, lease_until_us of the batch's run */
void store_append_journal(StoreBatch *batch, const JournalRow *row);/* ERR_CONFLICT when seq exists */
void store_append_journal_here(StoreBatch *batch, const JournalRow *row);           /* not copied: it and its texts live as long as the batch */
/* The same, with the payload and detail_json of a row that is the answer of this batch's query `result`: `encode` is called when the query was done, inside the
   commit, and puts its texts into store_batch_arena(batch). What it returns is the batch's error. So a statement and its journal row share the group's commit.
   It may be called again when the group is tried again; it must not look at anything that may be gone by then but `arg`. */
typedef Err (*StoreEncode)(StoreBatch *batch, int result, JournalRow *row, void *arg, Error *error);
void store_append_journal_of(StoreBatch *batch, const JournalRow *row, int result, StoreEncode encode, void *arg);
void store_put_snapshot(StoreBatch *batch, uint64_t seq, Str bytes);/* replaces older ones of the run */
void store_set_timer(StoreBatch *batch, const TimerRow *row);       /* replaces the one of the same request */
void store_clear_timer(StoreBatch *batch, uint64_t request);
void store_put_wait(StoreBatch *batch, const WaitRow *row);         /* a new one also brings the run, as mail under the event's id, what was emitted since the run was made and it has not had */
void store_clear_wait(StoreBatch *batch, uint64_t request);
void store_put_event(StoreBatch *batch, const EventRow *row);       /* outbox */
void store_event_dispatched(StoreBatch *batch, uint64_t position);  /* of the batch's tenant, here and below; ERR_NOT_FOUND */
void store_event_redeliver(StoreBatch *batch, uint64_t position);   /* as if it had not been dispatched: handlers that ran are not run again */
/* The outbox over streams: a claim leases undispatched events that nobody else has under lease, oldest first; the lease ends by itself, or all of them at once. */
int  store_claim_outbox(StoreBatch *batch, int64_t now_us, int64_t until_us, uint32_t limit);
void store_republish(StoreBatch *batch);
void store_deliver(StoreBatch *batch, Str tenant, Str event_id, Str subscriber, const RunRow *run);      /* once for each subscriber, with the run that this makes (NULL: its condition did not hold) */
void store_settle_event(StoreBatch *batch, Str tenant, uint64_t position);          /* dispatched, if every subscription to its name has it */
void store_put_subscription(StoreBatch *batch, const SubscriptionRow *row);           /* replaces the subscriber's */
void store_drop_subscriptions(StoreBatch *batch, Str owner, Str module_hash);         /* of the owner, by other modules than this */
void store_put_dead(StoreBatch *batch, const DeadRow *row);
void store_take_dead(StoreBatch *batch, Str event_id, Str subscriber);                /* ERR_NOT_FOUND when it is not there any more */
void store_dead_published(StoreBatch *batch, const DeadRow *row);
void store_put_mail(StoreBatch *batch, const MailRow *row);         /* also makes a PARKED run READY, MAIL_CANCEL sets cancel_requested; to a run that has ended ERR_CONFLICT, but a MAIL_EVENT is dropped; ERR_NOT_FOUND */
void store_take_mail(StoreBatch *batch, Str mail_id);               /* consumed together with the journal row of its delivery; ERR_NOT_FOUND when it was already */
void store_drop_mail(StoreBatch *batch, Str mail_id);               /* as if it had never come: the same mail_id may come again */
/* One more start of `key`, whose name is `what` for people: ERR_LIMIT with when to try again if there were `limit` (above 0) within the `unit_us` before now_us. Exact: no unit
   of time holds more than `limit`, whoever counts at the same time. It stands or falls with its batch. A rule that changes needs another key. */
void store_take_rate(StoreBatch *batch, Str key, Str what, uint32_t limit, int64_t unit_us, int64_t now_us);
void store_put_blob(StoreBatch *batch, Str hash_hex, Str bytes);
void store_release(StoreBatch *batch, RunStatus status);            /* give the lease back */
/* Logins and sessions (interpreter/identity). A state is taken once: whoever comes second finds nothing. */
void store_put_auth_login(StoreBatch *batch, const AuthLoginRow *row);
int  store_take_auth_login(StoreBatch *batch, Str state_hash);
void store_put_auth_session(StoreBatch *batch, const AuthSessionRow *row);          /* of that id the first one stays */
void store_revoke_auth_session(StoreBatch *batch, const AuthSessionRow *row);       /* session_id, user, expires_us, revoked_us; also when there is none yet */
int  store_get_auth_session(StoreBatch *batch, Str session_id);
const AuthLoginRow   *store_auth_login(const StoreBatch *batch, int index);         /* NULL: there was none */
const AuthSessionRow *store_auth_session(const StoreBatch *batch, int index);
/* The agents' tables. Params in the order of the query. Result index for store_rows(): SELECTs the rows, INSERT the whole row, AGGREGATE and EXISTS one cell,
   UPDATE and DELETE one cell, the number of rows. ERR_CONFLICT for a taken unique key, ERR_INVALID "TABLE.column: no transition A -> B" against a machine. */
int  store_query(StoreBatch *batch, const Image *image, uint16_t query, Str owner, const Cell *params, uint32_t param_count);
void store_ensure_tables(StoreBatch *batch, const Image *image);    /* creates tables and indexes, adds columns; ERR_CONFLICT when a column changed its type */
/* Reads: result index for the getters below. */
int  store_get_module(StoreBatch *batch, Str hash_hex);
int  store_get_run(StoreBatch *batch, Str run_id);                  /* an unambiguous prefix is enough: ERR_NOT_FOUND, ERR_CONFLICT */
typedef struct RunFilter { bool any_tenant; Str correlation; Str func_name; int status /* -1 any */; bool unended; uint32_t limit;
                           Str worker /* who is said to hold it */; bool called /* mail came since its claim */;
                           Str user; int64_t until_us /* made then or before; 0: any */; } RunFilter;
int  store_list_runs(StoreBatch *batch, const RunFilter *filter);   /* newest first; limit 0 here and below: all */
int  store_get_snapshot(StoreBatch *batch);                         /* newest of the run: blob + seq */
int  store_get_journal(StoreBatch *batch, Str run_id, uint64_t after_seq, uint32_t limit);
int  store_get_mail(StoreBatch *batch, uint32_t limit);             /* of the run, oldest first */
int  store_get_outbox(StoreBatch *batch, uint32_t limit);           /* undispatched events of all tenants, oldest first */
int  store_list_events(StoreBatch *batch, Str name /* empty: all */, Str correlation, uint32_t limit);      /* of the batch's tenant: the newest `limit`, oldest of them first */
/* In a batch of its own: when it is done, waits that were being written are durable. Those that a later batch does not read find by themselves what was durable before. */
void store_pass_waits(StoreBatch *batch, Str tenant, Str event);
int  store_get_waits(StoreBatch *batch, Str tenant, Str event);     /* runs that await events of this name */
int  store_get_waits_for(StoreBatch *batch, Str tenant, Str event, Str payload);      /* of those the ones that this event may be for */
int  store_get_blob(StoreBatch *batch, Str hash_hex);
int  store_list_dead(StoreBatch *batch, uint32_t limit);
int  store_get_unpublished_dead(StoreBatch *batch, uint32_t limit);  /* of all tenants: those the dead-letter stream has not had */
int  store_get_event(StoreBatch *batch, Str tenant, Str event_id);   /* one or none */
int  store_get_subscriptions(StoreBatch *batch, Str event);          /* empty: all */
int  store_next_due(StoreBatch *batch);                             /* earliest timer of all: due_us or INT64_MAX */
/* Claims up to `max` runs that want a worker: READY, or RUNNING with an expired lease, or PARKED with a timer due or mail; sets RUNNING, epoch + 1,
   worker, lease. Respects concurrency_key (one) and limit_key. Only `only_run` when not empty.
   A batch without a tenant claims for all tenants. A run holds its key and its place under the limit from its first claim until it ends, also while parked.
   Mail wakes a parked run once: a claim marks what is there as seen. */
int  store_claim(StoreBatch *batch, Str worker, int64_t now_us, int64_t lease_us, uint32_t max, Str only_run);
/* Takes that run also when this very worker is said to hold it: after an outage nobody knows what of the last commits stands. */
int  store_claim_again(StoreBatch *batch, Str worker, int64_t now_us, int64_t lease_us, Str run_id);
bool store_claim_more(const StoreBatch *batch, int index);            /* the claim did not look at all that is there */
uint32_t store_taken_over(const StoreBatch *batch, int index);        /* so many of a claim's first runs came from workers whose lease had ended */
int  store_next_claim(StoreBatch *batch, Str worker);                 /* when a run wants a worker next: the first timer of a parked run, the first end of a lease of another worker; store_time() */
void store_settle(StoreBatch *batch);                                 /* what the store keeps aside for a running run is put where the rest of it is, as its end would do */
void store_renew(StoreBatch *batch, int64_t lease_until_us);          /* nothing happens when the run does not run any more */

typedef struct StoreResult {
    Err err; Error error;                /* of the whole batch */
    StoreBatch *batch;
} StoreResult;
typedef void (*StoreDone)(const StoreResult *result, void *arg);
void store_submit(StoreBatch *batch, StoreDone done, void *arg);    /* takes the batch; done may be NULL */
void store_flush(Store *store);                                     /* begins everything submitted now (the loop does it when idle); a store without a server has done it when this returns */
void store_call_back(Store *store);                                   /* calls back what is done; begins nothing */
bool store_busy(const Store *store);                                /* something submitted is not done, or its callback not called */
void store_wait(Store *store);                                      /* flushes, waits for a server to answer, calls what is done; not from a callback */
Err  store_run_batch(StoreBatch *batch, Error *error);              /* submit, flush, wait, and keep the batch for the getters; then store_batch_free. ERR_IO while an interactive transaction is open that does not end by flushing */
void store_batch_free(StoreBatch *batch);

/* getters, valid in `done` (or until store_batch_free) */
const RunRow     *store_runs(const StoreBatch *batch, int index, uint32_t *count);
const JournalRow *store_journal(const StoreBatch *batch, int index, uint32_t *count);
const MailRow    *store_mail(const StoreBatch *batch, int index, uint32_t *count);
const EventRow   *store_events(const StoreBatch *batch, int index, uint32_t *count);
const WaitRow    *store_waits(const StoreBatch *batch, int index, uint32_t *count);
const SubscriptionRow *store_subscriptions(const StoreBatch *batch, int index, uint32_t *count);
const DeadRow    *store_dead(const StoreBatch *batch, int index, uint32_t *count);
Str               store_bytes(const StoreBatch *batch, int index, uint64_t *seq, bool *found);
const RowSet     *store_rows(const StoreBatch *batch, int index);
int64_t           store_time(const StoreBatch *batch, int index);

/* ---- interactive transactions (`transaction { }`) --------------------------------------------------- */
/* While one is open on a store other batches wait. Fenced like a batch. The journal rows, events … are put into the batch given to commit. */
void store_txn_begin(Store *store, Str tenant, Str run_id, uint64_t epoch, void (*ready)(Err err, StoreTxn *txn, void *arg), void *arg);
void store_txn_run(StoreTxn *txn, StoreBatch *batch, StoreDone done, void *arg);        /* inside; a failing batch is rolled back alone, the transaction lives on */
void store_txn_commit(StoreTxn *txn, StoreBatch *last, StoreDone done, void *arg);      /* last may be NULL; ends the txn */
void store_txn_rollback(StoreTxn *txn);

/* ---- upkeep ------------------------------------------------------------------------------------------- */
typedef struct FsckReport { uint64_t runs, journal_rows, snapshots, problems; } FsckReport;
/* Checks: every run's module is there; journal seqs without holes from the snapshot on; ended runs hold no timers, waits, leases; foreign rows. Texts of problems into out. */
Err store_fsck(Store *store, FsckReport *report, Buf *out, Error *error);
/* Removes runs that ended before `before_us` with all that is theirs, dispatched events of that age that no unended run may want, and dead letters without an
   event; GC_PAGE rows a commit, `told` (may be NULL) after each. Modules, tables of programs and stored events of aggregates stay. */
enum { GC_PAGE = 500 };
typedef struct GcReport { uint64_t runs, journal_rows, events, dead; } GcReport;
Err store_gc(Store *store, int64_t before_us, GcReport *report, void (*told)(const GcReport *so_far, void *arg), void *arg, Error *error);
/* A copy of a run at journal seq `at_seq` (its input and history, so at_seq's whole past must be in the journal) under a new id, READY and free of its key. Journal rows 1..at_seq are copied. ERR_NOT_FOUND when no state leads there. */
Err store_fork(Store *store, Str tenant, Str run_id, uint64_t at_seq, Str new_run_id, int64_t now_us, Error *error);
/* For tests. As good as new: all rows are gone, tables and the key stay. Nothing may be under way. ERR_UNSUPPORTED where store_drop is as quick. */
Err store_clear(Store *store, Error *error);
/* The whole store is gone for ever, its file or its schema; also when there was none. Nobody may have it open. */
Err store_drop(const char *url, Error *error);
#endif
