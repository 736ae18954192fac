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
    PG_SCHEMA_MAX = 63,                  /* bytes of the schema's name */
};

#define PG_NOBODY "\001"                /* in flow.user: a run without a user; empty is: nobody was told */
#define PG_UNTOLD "FL001"                /* the state in which flow_user() fails when nobody was told */

typedef struct PgStore PgStore;
typedef struct PgStatement PgStatement;

typedef struct PgOwned PgOwned;
typedef struct PgFenced { struct PgFenced *next; Str key; uint64_t epoch; int64_t taken; } PgFenced;

typedef struct PgConn {
    SqlDb db;                            /* first: the operations see only this */
    PgStore *store;
    ConnRole role;
    PGconn *pg;                          /* NULL: not connected */
    Map statements; uint32_t serial;     /* text → PgStatement */
    PgStatement *recent[PG_RECENT];      /* of them, by where the text stood: what is said again and again need not be hashed */
    uint32_t unread;                     /* answers under way */
    bool unsynced;                       /* something was sent since the last Sync */
    uint32_t syncs;                      /* of them, answers to a Sync */
    bool in_txn, lost, ahead, announce;
    bool implicit;                       /* the transaction began with its first statement and ends with the Sync */
    Err failed; Error failure;           /* the first error among answers nobody waited for */
    uint64_t begun;                      /* transactions and single reads */
    Buf tenant, user; bool tenant_set, user_told;            /* what row security was told in this transaction, or on this connection */
    bool appends;                        /* pg_group.c: the group is one insert, which left everything out if the fence did not hold */
    int64_t heard_us;                    /* monotonic: when an answer came last */
    struct PgFenced *fenced;             /* pg_group.c: runs of the group that is under way, ours once it stands; in its arena */
    Arena *group;                        /* pg_group.c: rows of the group that is sent */
} PgConn;

struct PgStore {
    char *url, *schema;                  /* the URL without our own parameter; the schema's name unquoted */
    bool read_only, down;
    bool tells_users;                    /* some table is `visible by`: row security asks for the user, too */
    int wait_ms;
    int64_t down_since_ms;               /* monotonic */
    Buf worker;                          /* pg_group.c: as whom it writes */
    int64_t taken; bool count_doubted;   /* how often runs were taken from workers; to be read again */
    Map owned;                           /* tenant NUL run → PgOwned: runs that need no comparison while the count stands */
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

/* pg_group.c */
void pg_own_fenced(PgConn *c);                               /* its commit stands */
void pg_forget_owned(PgStore *store);
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
