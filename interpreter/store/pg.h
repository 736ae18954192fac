/* pg.h - what the files of the PostgreSQL store share. libpq itself is included here alone.
 *
 * A PgConn is one connection with its prepared statements. Everything on it may wait (lane_wait_fd), so a call belongs on the lane of the
 * connection's seat or outside of all lanes. The connection is always in pipeline mode: statements go out without waiting for each other;
 * `unread` counts those whose answers were not read yet, in order. An error in one makes the server skip all up to the next Sync.
 * Errors: ERR_IO when the server is lost (the transaction with it), ERR_BUSY for a lost race, else what the statement did wrong.
 */
#ifndef STORE_PG_H
#define STORE_PG_H
#include <libpq-fe.h>

#include "interpreter/store/sql.h"

enum {
    PG_WRITE_LANES = 2, PG_READ_LANES = 2, PG_TXN_LANES = 8,
    PG_WAIT_MS = 10000, PG_WAIT_MAX_MS = 3600000,            /* new work waits that long for a server that is lost; `wait_ms` of the URL */
    PG_CONNECT_MS = 10000,               /* one try to connect */
    PG_BACKOFF_MS = 50, PG_BACKOFF_MAX_MS = 1000,            /* between two tries to connect */
    PG_STATEMENT_MS = 60000,             /* statement_timeout */
    PG_LOCK_MS = 2000,                   /* lock_timeout: whoever waits longer for another transaction's row has lost the race */
    PG_GROUP_LOCK_MS = 250,              /* the same for a group, behind which all others wait */
    PG_QUIET_US = 2000,                  /* a connection that answered so shortly ago need not be looked at before it is used */
    PG_IDLE_TXN_MS = 15000,              /* a process that stopped inside a transaction gives its locks back */
    PG_STATEMENTS_MAX = 512,             /* prepared on one connection */
    PG_RECENT = 32,
    PG_PARAMS_MAX = 1024,                /* of one statement */
    PG_UNREAD_MAX = 256,                 /* statements sent ahead before answers are read */
    PG_ASK_MAX = 128,                    /* operations of a batch that is asked at once */
    PG_SCHEMA_MAX = 63,                  /* bytes of the schema's name */
    PG_RUNS_KNOWN_MAX = 200000,          /* runs of which is known that they are ours; with more, all of that is forgotten and learned again */
    PG_LOG_SHARE_MIN = 4,                /* journal rows of one tenant in a group that are worth a row of the log */
    PG_LOG_ENTRY_MAX = 1024,             /* bytes of a journal row that is written twice, first into the log */
    PG_TAIL_BYTES_MAX = 1900,            /* of a run's tail, about as much as the server keeps in a row as it is */
    PG_LOG_ROWS_MAX = 256, PG_LOG_BYTES_MAX = 4 << 20,       /* of this process in the log; with more, the oldest tails are folded */
    PG_LOG_TRIM_MIN = 16,                /* rows of the log that are worth a statement to delete them */
    PG_LOG_FOLD_MAX = 64,                /* oldest tails that one group folds */
    PG_ROW_COLUMNS_MAX = 35, PG_ROW_MORE_MAX = 2,            /* pg_rows.c: columns, and arguments behind them */
};

#define PG_NOBODY "\001"                /* in flow.user: a run without a user; empty is: nobody was told */
#define PG_UNTOLD "FL001"                /* the state in which flow_user() fails when nobody was told */
#define PG_WORKER_LOCK(name) "hashtextextended(current_schema() || '/' || " name ", 0)"          /* the advisory lock of a worker's name */

typedef struct PgStore PgStore;
typedef struct PgStatement PgStatement;

/* A run as this process knows it (pg_runs.c). Freed when nothing is known of it any more. */
typedef struct PgRun {
    uint64_t epoch; int64_t taken; bool owned;               /* found to be ours at that epoch when the count was `taken` */
    bool bare;                                               /* while owned: it began here, and has had neither timer nor wait */
    uint32_t pins;                                           /* what is under way and holds it */
    uint32_t batches;                                        /* of the group that is gathered */
    uint64_t last_seq;                                       /* its newest journal row, if known */
    struct PgPiece *folding;                                 /* the one that puts its tail into the journal */
    bool asked;                                              /* to be folded, since the log is long */
    /* Its tail: the newest of its journal rows, which are durable in the log alone. `log_id` is that of the log's oldest row with any of them. */
    Buf tail; uint32_t tail_rows; uint64_t tail_first; int64_t tail_ended_us, log_id;
    struct PgRun *older, *newer;                             /* of those with a tail, by log_id */
    uint32_t tenant_len, key_len; char key[];                /* tenant NUL run id */
} PgRun;

/* Journal rows of one run in a group that is under way, or its tail alone (`rows` is 0). In the group's arena. */
typedef struct PgPiece {
    struct PgPiece *next, *of_share;
    PgRun *run;
    struct PgConn *by;
    Str tenant, run_id;
    uint64_t first; uint32_t rows; int64_t ended_us;
    size_t at, len;                                          /* its entries, in PgConn.entries */
    bool direct;                                             /* into the journal, not into the log */
    bool folds;                                              /* and so does the tail */
    bool drops;                                              /* the tail is in the journal by other means */
    int64_t log_id;
} PgPiece;

typedef struct PgFenced { struct PgFenced *next; PgRun *run; uint64_t epoch; int64_t taken; bool bare; } PgFenced;

/* A row of the log that this process wrote. */
typedef struct PgLogRow { struct PgLogRow *next; int64_t id; size_t bytes; enum { LOG_ROW_SENT, LOG_ROW_STANDS, LOG_ROW_GOES, LOG_ROW_GONE } state; struct PgConn *by; Str tenant, worker; char text[]; } PgLogRow;

typedef struct PgConn {
    SqlDb db;                            /* first: the operations see only this */
    PgStore *store;
    ConnRole role;
    PGconn *pg;                          /* NULL: not connected */
    Map statements; uint32_t serial;     /* text → PgStatement */
    Map texts;                           /* pg_rows.c: template and arrays → PgText */
    PgStatement *recent[PG_RECENT];      /* of them, by where the text stood: what is said again and again need not be hashed */
    uint32_t unread;                     /* answers under way */
    bool unsynced;                       /* something was sent since the last Sync */
    uint32_t syncs;                      /* of them, answers to a Sync */
    bool in_txn, lost, ahead, announce;
    enum { ASK_AND_WAIT, ASK_MAKE_KNOWN, ASK_SEND, ASK_TAKE } asks; uint32_t asked;          /* pg_ask.c: what pg_run does with a statement that reads; how many were sent */
    bool implicit;                       /* the transaction began with its first statement and ends with the Sync */
    Err failed; Error failure;           /* the first error among answers nobody waited for */
    uint64_t begun;                      /* transactions and single reads */
    Buf tenant, user; bool tenant_set, user_told;            /* what row security was told in this transaction, or on this connection */
    bool appends;                        /* pg_group.c: the group is one statement, which left everything out if the fence did not hold */
    int64_t heard_us;                    /* monotonic: when an answer came last */
    PgFenced *fenced;                    /* runs of the group that is under way, ours once it stands; in its arena */
    PgPiece *pieces, **pieces_end, *gathered;                /* pg_log.c: what the transaction that is under way does to tails; the one that takes the next row */
    Buf entries;                         /* pg_log.c: their journal rows */
    int64_t log_id;                      /* pg_log.c: the first of the rows that it puts into the log; 0: none */
    Arena *group;                        /* pg_group.c: rows of the group that is sent */
} PgConn;

struct PgStore {
    char *url, *schema;                  /* the URL without our own parameter; the schema's name unquoted */
    bool read_only, down;
    bool tells_users;                    /* some table is `visible by`: row security asks for the user, too */
    int wait_ms;
    int64_t down_since_ms;               /* monotonic */
    Buf worker; int64_t worker_lock;     /* pg_group.c: as whom it writes, and the lock of that name */
    int64_t taken; bool count_doubted;   /* how often runs were taken from workers; to be read again */
    Map runs;                            /* pg_runs.c: tenant NUL run → PgRun */
    PgRun *oldest, *newest; uint32_t tails;                  /* those with a tail */
    PgLogRow *log, **log_end; uint32_t log_rows; size_t log_bytes; int64_t log_id;          /* pg_log.c: what lies in the log, oldest first; the newest id */
    PgConn *conns[PG_WRITE_LANES + PG_READ_LANES + PG_TXN_LANES]; uint32_t conn_count;
    struct PgWake *wake;                 /* NULL until somebody listens */
    struct event_base *loop;
};

/* pg_conn.c */
PgConn *pg_conn_new(PgStore *store, ConnRole role);
void pg_conn_free(PgConn *c);
Err  pg_ready(PgConn *c, int wait_ms, Error *error);         /* connected, else tries for that long */
void pg_drop(PgConn *c);                                     /* closes the connection; nothing of it is known any more */
bool pg_alive(PgConn *c);                                    /* takes in what came, without waiting; false: the server closed it */
/* Sends a statement (?N or $N). Its answer is read by whoever waits next; an error of it is then in c->failed. */
Err  pg_send(PgConn *c, Str sql, const Cell *args, uint32_t count, Arena *arena, Error *error);
/* Sends it, waits for it and everything before it. */
Err  pg_query(PgConn *c, Str sql, const Cell *args, uint32_t count, Arena *arena, SqlRows *rows, Error *error);
Err  pg_make_room(PgConn *c, uint32_t statements, Error *error);                             /* so many may be made known now, and none of them is forgotten for another */
Err  pg_want_answers(PgConn *c, Error *error);               /* inside of a transaction: the server answers what was sent so far */
Err  pg_settle(PgConn *c, Error *error);                     /* waits for all that was sent; the first error among it */
Err  pg_send_sync(PgConn *c, Error *error);                 /* what was sent so far ends there; its answer is read by pg_sync */
Err  pg_sync(PgConn *c, Error *error);                       /* the same with a Sync: after an error statements run again */
Err  pg_run(SqlDb *db, Str sql, const Cell *args, uint32_t count, Arena *arena, SqlRows *rows, Error *error);        /* SqlDb.run */
Err  pg_execute(PgConn *c, const char *sql, Error *error);   /* a script, outside of the pipeline */
Err  pg_wait_fd(PgConn *c, bool write, Error *error);
int64_t pg_now_us(void);                                     /* monotonic */
int64_t pg_now_ms(void);

/* pg.c */
Err  pg_apply_ahead(void *conn, StoreBatch *batch, Error *error);                    /* StoreOps.apply_ahead */

/* pg_runs.c: what is known of the runs that this process works on */
Str    pg_run_key(Str tenant, Str run_id, Buf *key);         /* in `key` */
PgRun *pg_run_find(const PgStore *store, Str key);           /* NULL: nothing is known */
PgRun *pg_run_know(PgStore *store, Str tenant, Str key);
void   pg_run_let_go(PgStore *store, PgRun *run);            /* frees it if nothing is known of it any more */
bool   pg_run_is_ours(const PgStore *store, const PgRun *run, uint64_t epoch);                /* run may be NULL */
void   pg_run_disown(PgStore *store, PgRun *run);
void   pg_run_clothe(PgStore *store, const StoreBatch *batch);                        /* it may have timers and waits from now on */
void   pg_runs_forget(PgStore *store);                       /* whose they are; tails stay */
void   pg_runs_drop(PgStore *store);                         /* everything */
void   pg_own_fenced(PgConn *c);                             /* its commit stands */
void   pg_unfence(PgConn *c);                                /* it does not */
void   pg_tail_clear(PgStore *store, PgRun *run);            /* its rows are in the journal */
void   pg_tail_extend(PgStore *store, PgRun *run, const PgPiece *piece, Str entries);

/* pg_log.c: the log, and what goes from it into the journal */
typedef struct PgShare { struct PgShare *next; Str tenant; PgPiece *first, **end; uint32_t rows; int64_t id; Str body; } PgShare;         /* of a tenant in the row of the log */
typedef struct PgChunk { uint64_t first; uint32_t rows; int64_t ended_us; Str body; } PgChunk;
void pg_log_begin(PgConn *c);                                /* a group begins; its arena is empty */
void pg_log_add(PgConn *c, PgRun *run, const StoreBatch *batch, const JournalRow *row);
/* All rows of a batch were added. `settles`: the run's tail has to be in the journal behind this batch; `direct`: nothing of it goes into the log. ERR_BUSY. */
Err  pg_log_end(PgConn *c, PgRun *run, const StoreBatch *batch, bool settles, bool direct, Error *error);
PgShare *pg_log_share_out(PgConn *c);                        /* what goes into the log; all that is left is direct */
uint32_t pg_log_chunks(PgConn *c, const PgPiece *piece, PgChunk out[2]);               /* what goes into the journal */
uint32_t pg_log_trim(PgConn *c, Cell *tenants, Cell *workers, Cell *ids);              /* rows of the log (PG_LOG_ROWS_MAX at most) of which nothing is left in a tail once this group stands */
void pg_log_relieve(PgConn *c, Store *store);                /* too much lies in the log: the oldest tails are folded soon */
void pg_log_drop(PgConn *c, PgRun *run, const StoreBatch *batch);                           /* the transaction that is under way puts its tail into the journal by other means */
PgPiece **pg_log_mark(PgConn *c);
void pg_log_undo(PgConn *c, PgPiece **mark);                 /* what was noted since is undone */
void pg_log_settled(PgConn *c, bool stands);                 /* the transaction stands, or does not */
void pg_log_lost(PgStore *store, const StoreBatch *batch);   /* the run of this batch is not ours any more */
void pg_log_free(PgStore *store);                            /* what is known of the log, not the log */
Err  pg_log_sweep(PgConn *c);                                /* after a commit: an idle process leaves nothing in the log */
Err  pg_log_recheck(PgConn *c, Error *error);                /* tails of runs that were taken from us are dropped */
Err  pg_log_settle(SqlDb *db, StoreBatch *batch, Error *error);                              /* SqlDb.settle */
Err  pg_log_read(SqlDb *db, StoreBatch *batch, Str run_id, JournalRow **rows, uint32_t *count, Error *error);         /* SqlDb.read_log */
/* What a row of the log holds, piece by piece. The reader's `failed` says that it is damaged. */
typedef struct PgLogged { Str run_id; uint64_t first; uint32_t rows; Str entries; } PgLogged;
Reader pg_logged_open(Str body);
bool   pg_logged_next(Reader *r, PgLogged *out);
#define PG_LOG_TRIM "DELETE FROM flow_log AS l USING unnest(?1::text[], ?2::text[], ?3::bigint[]) AS u (tenant, worker, id) WHERE l.tenant = u.tenant AND l.worker = u.worker AND l.id = u.id"

/* pg_log_take.c: the log of a worker that is gone */
Err  pg_log_take_over(SqlDb *db, StoreBatch *batch, const SqlTaken *taken, uint32_t count, Error *error);             /* SqlDb.take_over */
Err  pg_log_gc(SqlDb *db, StoreBatch *batch, Error *error);                                  /* SqlDb.gc_log */

/* pg_rows.c: rows of one kind as the parameters of one statement. */
enum { PG_EACH = 'a' - 1 };              /* its own value in each row: an array as soon as there are two */
typedef struct PgColumn { const char *name; char type /* t text, i bigint, b bytea */, bundle /* PG_EACH, or 'a' to 'z': those of a bundle are arrays together */; } PgColumn;
typedef struct PgRows { Cell *column[PG_ROW_COLUMNS_MAX]; uint32_t count, cap; uint64_t varies; /* bit for each column */ } PgRows;
void pg_rows_add(PgRows *rows, const PgColumn *columns, uint32_t count, const Cell *cells);            /* below its cap */
/* The template is a literal, in which `@name` is the value of a column in the row and `@rows` what stands in FROM; ?N beyond `count` are those of `more`. */
Err  pg_rows_send(PgConn *c, Str template, const PgColumn *columns, uint32_t count, const PgRows *rows, const Cell *more, uint32_t more_count, Error *error);
void pg_rows_forget(PgConn *c);          /* the texts */

/* pg_insert.c: inserts of programs in a group; in its arena */
typedef struct PgInsert { StoreBatch *batch; const StoreOp *op; const SqlText *text; Cell *args; bool done; } PgInsert;
uint32_t pg_note_inserts(StoreBatch *batch, PgInsert *out);  /* how many; `out` has room for all statements of the batch */
Err  pg_run_inserts(PgConn *c, PgInsert *inserts, uint32_t count, Error *error);     /* answers each. ERR_BUSY: batch by batch, please */

/* pg_ask.c */
bool pg_asks_at_once(const StoreBatch *batch);               /* what it asks does not depend on what is answered */
Err  pg_ask_batch_at_once(PgConn *c, StoreBatch *batch, Error *error);                       /* inside a transaction */
/* The same for any questions: `ask` runs the same statements, `most` at most, each of the three times. They have rows when c->asks is ASK_TAKE. */
Err  pg_ask_at_once(PgConn *c, uint32_t most, Err (*ask)(void *arg, Error *error), void *arg, Error *error);

/* pg_load.c */
Err  pg_load(PgConn *c, StoreBatch **batches, uint32_t count, Err *errs, Error *errors, Error *error);   /* StoreOps.read_loads, inside a transaction */

/* pg_group.c */
Err  pg_apply_group(void *conn, StoreBatch **batches, uint32_t count, bool *changed, Error *error);      /* StoreOps.apply_group */

/* pg_schema.c */
extern const SqlDialect PG_DIALECT;
Err  pg_migrate(PgConn *c, const StoreOptions *options, Error *error);
void pg_put_migrations(Buf *sql, int64_t from, int64_t to);  /* the script from one version to another */
Err  pg_clear(void *conn, Error *error);                     /* StoreOps.clear */
void pg_quote(Buf *out, const char *name);                   /* "name" */

/* pg_wake.c */
void pg_wake_start(PgStore *store, void (*wake)(void *arg), void *arg);
void pg_wake_stop(PgStore *store);
void pg_wake_soon(PgStore *store);                           /* something may have changed while nobody listened */
#endif
