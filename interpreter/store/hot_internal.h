/* hot_internal.h - what the two homes of hot state share.
 *
 * hot.c checks the arguments, keeps the calls in their order and hands their results over; a home begins a call and says later,
 * through hot_finish(), what came of it. A call lives until it is finished, also when the Hot was closed meanwhile.
 */
#ifndef STORE_HOT_INTERNAL_H
#define STORE_HOT_INTERNAL_H
#include "interpreter/store/hot.h"

typedef enum { HOT_READ, HOT_PUT, HOT_PUT_NEW, HOT_CHANGE, HOT_ADD, HOT_ERASE, HOT_ERASE_PREFIX, HOT_PRUNE } HotDo;

typedef struct HotCall {
    struct HotCall *next;
    Hot *hot;                            /* NULL: it was closed, nobody waits for the result */
    Arena *arena;                        /* of the result, and of the arguments after hot_keep() */
    HotDo kind;
    Str tenant, key;                     /* ERASE_PREFIX: the prefix */
    Str field, expected;                 /* CHANGE */
    const HotField *fields; uint32_t count;
    int64_t now_us, ends_us;             /* ends_us INT64_MAX: until it is erased */
    int64_t by;                          /* ADD; PRUNE: the limit */
    HotDone done; void *arg;
    bool finished;
    HotResult result;
    struct HotCall *next_sent; int64_t sent_ms; void *step;             /* the home's own: what it sent, when, how far it is */
} HotCall;

typedef struct HotOps {
    const char *kind;
    Err  (*open)(const char *url, Hot *hot, void **home, Error *error);
    void (*close)(void *home);                             /* what is outstanding: hot_finish, now or later */
    bool (*is_up)(const void *home);
    const char *(*trouble)(const void *home);
    void (*begin)(void *home, HotCall *call);              /* the arguments are the caller's unless hot_keep() */
    void (*wait)(void *home, int timeout_ms);              /* until something came, or the time is over */
} HotOps;

struct Hot {
    const HotOps *ops;
    void *home;
    Store *store;
    struct event_base *loop;
    struct event *idle;
    HotCall *first, *last;               /* in the order of the calls */
    HotCall *slow;                       /* those that others may overtake */
    bool delivering;
    HotCall *spare; uint32_t spare_count;
};

extern const HotOps HOT_ROWS, HOT_REDIS;

void hot_keep(HotCall *call);                              /* copies the arguments into the call's arena */
void hot_finish(HotCall *call);                            /* call->result says how; its texts lie in the call's arena */
void hot_fail(HotCall *call, Err err, const char *format, ...) __attribute__((format(printf, 3, 4)));
void hot_deliver(Hot *hot);                                /* calls `done` for what is finished, in order; from the loop only */
#endif
