/* store_queue.h - what stands before a store: work in lists, and the seats that do it.
 *
 * store.c opens and closes, store_queue.c takes work and hands it out, store_commit.c does it on a seat. A function with a Seat may wait
 * for the server: it runs on the seat's lane, or inline for an embedded store.
 */
#ifndef STORE_QUEUE_H
#define STORE_QUEUE_H
#include "interpreter/store/lane.h"
#include "interpreter/store/store_internal.h"

enum { STORE_SEATS_MAX = 32, STORE_RUN_BUCKETS = 1024, STORE_HELD_BITS = 4096, STORE_LOADS_MAX = 64 /* runs that are read at once */, STORE_SPLIT_MIN = 128 /* batches: a group that could be two is not split into less, since half of them cost the server more than half */ };

typedef enum { WORK_BATCH, WORK_TXN_BEGIN, WORK_TXN_COMMIT } WorkKind;
typedef struct Work {
    struct Work *next;
    WorkKind kind;
    uint64_t ticket, after;              /* after: the newest write that must be done before */
    StoreBatch *batch;                   /* COMMIT: may be NULL */
    StoreTxn *txn;
    StoreDone done; void *arg;
    Err err; Error error;                /* error: only with err; last, since it is not set before */
} Work;
typedef struct WorkList { Work *first, *last; } WorkList;

/* A connection and what it does now. */
typedef struct Seat {
    Store *store;
    ConnRole role;
    void *conn;
    Lane *lane;                          /* NULL: inline */
    StoreTxn *txn;                       /* the open one */
    Work *work[STORE_GROUP_MAX]; int count;
    uint64_t held[STORE_HELD_BITS / 64]; bool holds_all;     /* a seat for writes: the runs of its group, by hash; it has a batch of none */
} Seat;

struct StoreTxn {
    Store *store;
    Seat *seat;
    Arena *arena;
    StoreBatch *fence;                   /* tenant, run and epoch; holds no operation */
    void (*ready)(Err err, StoreTxn *txn, void *arg);
    void *arg;
    WorkList queue;
    bool changed, wakes, ending, rolled_back;        /* ending: its commit is under way */
    int holds;                           /* the seat's, and that of a commit whose callback was not called */
};

struct Store {
    const StoreOps *ops;
    void *state;
    bool read_only, crashed, lanes;
    struct event *idle;                  /* NULL without a loop */
    Seat *seats; uint32_t seat_count, write_seats;           /* the first ones are for writes, or for everything */
    uint32_t open_txns;                  /* seats that have one */
    WorkList writes, reads, begins, finished;            /* without lanes all stands in `writes` */
    uint64_t ticket, commits;
    uint64_t last_write[STORE_RUN_BUCKETS], last_common; /* newest write submitted, by its run, and of none */
    uint64_t crash_in; CrashSide crash_side; bool crash_kills;
    uint32_t key_id; uint8_t key[32];
};

/* store_queue.c */
void queue_on_idle(int fd, short what, void *arg);                           /* the loop has nothing else to do */
void queue_finish(Store *store, Work *work, Err err, const Error *error);    /* the outcome is fixed; its callback comes later, from the loop */
void queue_free_seat(Seat *seat);                                            /* its transaction has ended */
void queue_let_go(StoreTxn *txn);                                            /* one hold less */
void queue_finish_all(Store *store);                                         /* does what was submitted, rolls back what nobody is left to end */

/* store_commit.c */
Err  store_refuse(const Store *store, const StoreBatch *batch, Error *error);        /* after a crash; a write where only reads are allowed */
void seat_commit_group(Seat *seat);                                          /* seat->work is one group */
void seat_read(Seat *seat);                                                  /* seat->work[0] alone */
void seat_begin_txn(Seat *seat, Work *work);
void seat_work_in_txn(Seat *seat, StoreTxn *txn, Work *work);
void seat_undo_txn(Seat *seat);
#endif
