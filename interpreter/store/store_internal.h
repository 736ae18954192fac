/* store_internal.h - what the stores share beneath store.h.
 *
 * A batch is a list of typed operations in an arena; a store is a StoreOps over its own state. store.c owns the queue, the group
 * commit, the interactive transactions and the crash points, so a new store only answers for begin, apply, commit and rollback.
 * SQL stores go one step further: everything they do is a statement with parameters through SqlDb.run (see sql.h), so PostgreSQL
 * brings a dialect, a connection and migrations, and no second copy of the operations.
 */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H
#include "interpreter/store/store.h"

enum {
    STORE_GROUP_MAX = 512,               /* batches in one commit */
    STORE_BUSY_TRIES = 4,                /* a batch that lost a race in its group is tried alone this often before ERR_BUSY */
};

typedef enum {
    DO_PUT_MODULE, DO_PUT_RUN, DO_UPDATE_RUN, DO_APPEND_JOURNAL, DO_PUT_SNAPSHOT, DO_SET_TIMER, DO_CLEAR_TIMER, DO_PUT_WAIT, DO_CLEAR_WAIT,
    DO_PUT_EVENT, DO_EVENT_DISPATCHED, DO_EVENT_REDELIVER, DO_PUT_DEAD, DO_PUT_MAIL, DO_TAKE_MAIL, DO_DROP_MAIL, DO_TAKE_RATE, DO_PUT_BLOB, DO_RELEASE, DO_RENEW, DO_SETTLE, DO_CLAIM, DO_FORK,
    DO_HOT_WRITE, DO_PUT_AUTH_LOGIN, DO_TAKE_AUTH_LOGIN, DO_PUT_AUTH_SESSION, DO_REVOKE_AUTH_SESSION, DO_QUERY, DO_ENSURE_TABLES, DO_GC,
    DO_CLAIM_OUTBOX, DO_REPUBLISH, DO_DELIVER, DO_SETTLE_EVENT, DO_PUT_SUBSCRIPTION, DO_DROP_SUBSCRIPTIONS, DO_TAKE_DEAD, DO_DEAD_PUBLISHED,
    DO_GET_MODULE, DO_GET_RUN, DO_LIST_RUNS, DO_GET_SNAPSHOT, DO_GET_JOURNAL, DO_GET_MAIL, DO_GET_OUTBOX, DO_LIST_EVENTS, DO_GET_WAITS,
    DO_GET_BLOB, DO_LIST_DEAD, DO_NEXT_DUE, DO_NEXT_CLAIM, DO_HOT_READ, DO_GET_EVENT, DO_PASS_WAITS, DO_GET_SUBSCRIPTIONS, DO_GET_UNPUBLISHED_DEAD, DO_GET_AUTH_SESSION,
    DO_COUNT
} StoreDo;

typedef struct StoreOp {
    struct StoreOp *next;
    StoreDo kind;
    int result;                          /* slot of its result, or -1 */
    bool or_ignore;                      /* PUT_RUN */
    Str text, more, bytes;               /* a hash, run id, mail id, name, worker; a second one; bytes */
    uint64_t number;                     /* seq, request, position, status, slot */
    int64_t now_us, lease_us;
    uint32_t limit;
    const void *row;                     /* the typed row of a put or update, RunFilter of LIST_RUNS, HotCall of HOT_* */
    Image *image; uint16_t query;        /* QUERY, ENSURE_TABLES: one reference */
    const Cell *params; uint32_t param_count;
    StoreEncode encode; void *encode_arg;                  /* APPEND_JOURNAL: fills in what the result of slot `number` says */
} StoreOp;

/* The answer to one reading operation; which fields count follows from the kind. */
typedef struct StoreSlot {
    StoreDo kind;
    void *rows; uint32_t count;
    Str bytes; uint64_t seq; bool found;
    RowSet set;
    int64_t time;
} StoreSlot;

struct StoreBatch {
    Store *store;
    Arena *arena;
    Str tenant, run_id;
    uint64_t epoch, run_hash;            /* run_hash: of tenant and run */
    StoreOp *first, *last;
    StoreSlot *slots; int slot_count, slot_cap;
    bool writes;                         /* has an operation that may change something */
    bool announces;                      /* somebody watches what it changes */
    bool keep;                           /* store_run_batch: the caller frees */
    bool finished;
    Err err; Error *error;               /* error: NULL without err */
};

/* What a connection is for. An embedded store has one for everything; a server has lanes, each with a connection of its own. */
typedef enum { CONN_WRITES, CONN_READS, CONN_TXN } ConnRole;

/* `state` is the store, `conn` one of its connections. With lanes (read_lanes > 0) the calls that take a `conn` run on a lane and may wait for
   the server; without, they run where they are called and there is one connection. */
typedef struct StoreOps {
    const char *kind;                    /* the scheme of its URLs; what follows the colon is the place */
    const char *also;                    /* another scheme, or NULL; such a store gets the whole URL as its place */
    uint32_t read_lanes, txn_lanes;      /* 0: everything inline, in one order */
    uint32_t more_write_lanes;           /* beside the first */
    Err  (*open)(const char *place, const StoreOptions *options, void **state, Error *error);
    void (*close)(void *state);
    Err  (*key)(void *state, uint32_t *id, uint8_t bytes[32], Error *error);
    void *(*conn)(void *state, ConnRole role, uint32_t number);                            /* it lives as long as the store */
    Err  (*begin)(void *conn, bool writes, Error *error);
    Err  (*commit)(void *conn, Error *error);
    void (*rollback)(void *conn);
    bool (*in_transaction)(void *conn);                                                    /* false once the store ended it by itself */
    Err  (*check_fence)(void *conn, StoreBatch *fence, Error *error);                      /* ERR_FENCED */
    /* All or nothing inside the open transaction, fence included; *changed: it left something to commit. */
    Err  (*apply)(void *conn, StoreBatch *batch, bool *changed, Error *error);
    Err  (*fsck)(void *conn, FsckReport *report, Buf *out, Error *error);
    Err  (*drop)(const char *place, Error *error);                                         /* store_drop */
    /* The rest is optional. A whole group at once, when nothing is likely to fail: all or nothing, inside the open transaction, errors without their exact words;
       what fails is rolled back and done again batch by batch. `apply_group` may refuse with ERR_UNSUPPORTED before it did anything. */
    Err  (*begin_at_once)(void *conn, Error *error);                                       /* NULL: begin. A transaction for apply_group and apply_ahead only */
    Err  (*apply_group)(void *conn, StoreBatch **batches, uint32_t count, bool *changed, Error *error);
    /* The same, for any batch, in order: statements whose answers nobody looks at are sent ahead. */
    Err  (*apply_ahead)(void *conn, StoreBatch *batch, Error *error);
    Err  (*settle)(void *conn, bool *changed, Error *error);                               /* waits for what was sent ahead */
    /* Where a batch stands as soon as it was applied: a group, each batch with an outcome of its own. Nothing is rolled back; a crash point counts it as one. */
    void (*apply_each)(void *conn, StoreBatch **batches, uint32_t count, Err *errs, Error *errors, bool *changed);
    Err  (*read)(void *conn, StoreBatch *batch, Error *error);                             /* a batch that only reads, outside of any transaction */
    /* Several at once that store_batch_loads(), each with an outcome of its own. An error: none of them was read; they are then read one by one. */
    Err  (*read_loads)(void *conn, StoreBatch **batches, uint32_t count, Err *errs, Error *errors, Error *error);
    Err  (*clear)(void *conn, Error *error);                                               /* store_clear, inside the open transaction */
    void (*announce)(void *conn);                                                          /* with the next commit: others have work to do */
    void (*on_wake)(void *state, void (*wake)(void *arg), void *arg);
    bool (*calls)(const void *state);                                                      /* NULL: it always does once on_wake is set */
    bool (*is_up)(const void *state);
} StoreOps;

extern const StoreOps STORE_SQLITE, STORE_POSTGRES, STORE_REDIS;

bool store_do_reads(StoreDo kind);                                 /* changes nothing whatever its arguments are */
StoreOp *store_add_op(StoreBatch *batch, StoreDo kind, bool result);
StoreSlot *store_slot(StoreBatch *batch, const StoreOp *op);
void store_batch_release(StoreBatch *batch);                       /* drops what the operations hold; the arena stays */
void store_batch_reset(StoreBatch *batch);                         /* forgets its results, to be applied again */
bool store_batch_wakes(const StoreBatch *batch);                   /* leaves work that another worker could do */
bool store_batch_loads(const StoreBatch *batch);                   /* only reads what one run needs to go on: its journal, its mail, its snapshot */
#endif
