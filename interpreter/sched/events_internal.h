/* events_internal.h - what the files of events share.
 *
 *   events.c          the outbox to those who want to know, in the store; who subscribes
 *   events_handler.c  the runs of handlers: made, tried again, dead, replayed
 *   events_stream.c   the same over Redis Streams: publishing what was claimed, delivering what was read
 */
#ifndef SCHED_EVENTS_INTERNAL_H
#define SCHED_EVENTS_INTERNAL_H
#include "interpreter/sched/engine_internal.h"

/* Events that were read from the outbox, until everybody has them or they are in their streams. */
typedef struct Round {
    Engine *engine;
    Arena *arena;
    EventRow *events; uint32_t count;
    SubscriptionRow **subs; uint32_t *sub_counts;        /* of each event, by subscriber */
    int *waits, *subscriptions, *modules;                /* result indexes of the second read; modules -1: none */
    Str *hashes; int *hash_reads; uint32_t hash_count;   /* modules of subscribers that are not loaded yet */
    uint32_t outstanding, mails;                         /* batches under way: of the events; of runs that await, before them */
    bool more, publish;                                  /* publish: subscribers have it by stream */
    bool failed;                                         /* the store refused something: its claim runs out, and the events come again */
    bool detached;                                       /* the engine may begin the next one */
} Round;

void events_direct(Round *round);                        /* a round whose publishing failed: to its subscribers in the store; ends it */

/* events_handler.c. A subscriber is "agent.on_Event", or "file:flow.on_Event" for one that no agent has: other files may have the like. */
Str  events_subscriber(const Image *image, const ImageHandler *handler, Arena *arena);
Str  events_owner(const Image *image, const ImageHandler *handler, Arena *arena);
const ImageHandler *events_find_handler(const Image *image, Str subscriber);
/* The run that handles the event; *wanted: its condition holds. ERR_INVALID when the event is not of the shape that the handler knows. */
Err  events_handler_row(Engine *engine, Image *image, const EventRow *event, const ImageHandler *handler, Arena *arena, RunRow *row, bool *wanted, Error *error);
void events_put_dead(StoreBatch *batch, Engine *engine, const EventRow *event, Str subscriber, uint32_t attempts, Str why);
EventRow events_copy(Arena *arena, const EventRow *row);
bool events_too_far(const EventRow *event);              /* its chain is at EVENT_HOPS_MAX */

/* events_stream.c */
void events_expected(Engine *engine);                    /* something happened to the outbox: it is looked at for a while, until all claims on it have ended */
int64_t events_republish_us(const Engine *engine);       /* how long a claim on the outbox holds */
bool events_claims(const Engine *engine);                /* do others dispatch from this outbox, too, and we serve? */
bool events_stream_up(const Engine *engine);             /* are there streams, and do they answer? */
void events_stream_publish(Round *round);                /* takes the round: every event to its stream; if one could not be published, all go to events_direct */
#endif
