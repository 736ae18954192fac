/* streams.h - events on their way to subscribers, over Redis Streams.
 *
 * A stream for each event name and partition; the partition follows from the tenant, whose events so stay in their order. Keys are
 * "flow:{STORE.PARTITION}:EVENT" and, for dead letters, "flow:{STORE.PARTITION}:dead"; STORE tells stores apart that share a server. Entries name an
 * event (tenant t, id e, name n, correlation c, causation k, hops h) and hold nothing of what it says: that is in the outbox, and only what stands there counts.
 * A consumer group for each subscriber, a consumer for each worker, a connection for each group of a worker, which waits in XREADGROUP.
 * Each stream keeps about STREAM_LENGTH_MAX entries. All partitions are read with one command: in a Redis Cluster they would lie apart.
 *
 * Delivery is at least once, as long as entries are there: the server may forget all of it at any moment. Then `lost` is called, and
 * whoever published does it again. What a consumer took and did not finish within stall_ms is handed to another one.
 * Calls return at once; callbacks come from the event loop. Down is a server that refuses, breaks or does not answer for STREAM_TIMEOUT_MS; it is tried again.
 */
#ifndef STORE_STREAMS_H
#define STORE_STREAMS_H
#include "base/arena.h"
#include "base/err.h"

typedef struct Streams Streams;
typedef struct StreamGroup StreamGroup;
struct event_base;

enum { STREAM_PARTITIONS = 8, STREAM_LENGTH_MAX = 10000, STREAM_READ_MAX = 64, STREAM_TIMEOUT_MS = 2000, STREAM_LEAVE_MS = 200 };

typedef struct StreamEntry { Str tenant, event_id, name, correlation, causation; uint32_t hops; } StreamEntry;
typedef struct StreamDead { Str tenant, event_id, subscriber; uint32_t attempts; } StreamDead;
typedef struct StreamsOptions {
    const char *url;                     /* as in redis_url.h */
    struct event_base *loop;
    Str store, consumer;                 /* copied */
    int64_t stall_ms;
    /* Entries for this subscriber, until streams_done(): nothing more is read for the group before. Texts live until then. */
    void (*deliver)(StreamGroup *group, Str event, Str subscriber, const StreamEntry *entries, uint32_t count, void *arg);
    void (*lost)(void *arg);             /* there is a new connection, or what was there is gone: what was published may not be there any more */
    void *arg;
} StreamsOptions;

Err  streams_open(const StreamsOptions *options, Streams **out, Error *error);         /* ERR_INVALID for a URL that is none; a server that is down is no error */
void streams_close(Streams *streams);                                                  /* waits STREAM_LEAVE_MS at most; what is outstanding ends with ok = false */
bool streams_up(const Streams *streams);
/* Who reads what: subscribe all that there are between begin and end; a group that was not named goes, on the server too. */
void streams_begin(Streams *streams);
void streams_subscribe(Streams *streams, Str event, Str subscriber);                   /* also alone, when one is new */
void streams_end(Streams *streams);
typedef void (*StreamsDone)(bool ok, void *arg);                                       /* all of it is there, or some may not be */
void streams_publish(Streams *streams, const StreamEntry *entries, uint32_t count, StreamsDone done, void *arg);
void streams_publish_dead(Streams *streams, const StreamDead *entries, uint32_t count, StreamsDone done, void *arg);
void streams_done(StreamGroup *group, bool handled);     /* handled: they are acknowledged; else they come again, here or elsewhere */
#endif
