/* redis_streams.c - see streams.h.
 *
 * A group's connection goes round: what has stalled at other consumers (XAUTOCLAIM, every half of stall_ms), then what is new (XREADGROUP, which
 * waits as long), hand it over, acknowledge, again. An answer that says that stream or group are not there makes both again, from the first
 * entry: what was handled before is known to whoever handles. One more connection publishes.
 */
#include "interpreter/store/streams.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/map.h"
#include "interpreter/store/redis_link.h"

#include <event2/event.h>
#include <hiredis/async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A connection, and until when it owes an answer. */
typedef struct Line { RedisLink *link; struct event *late; } Line;

enum { KEY_MAX = 300, WORDS_MAX = 2 * STREAM_READ_MAX + 2 * STREAM_PARTITIONS + 16 };

struct StreamGroup {
    Streams *streams;
    Line line;
    char *event, *subscriber, *name;     /* name: both, the key in the map */
    char *keys[STREAM_PARTITIONS];
    uint32_t mark;
    bool made;                           /* its groups were there once */
    int awaited;                         /* answers to come before the next step */
    bool fresh, handling;                /* fresh: an answer said that a group is new */
    int64_t reclaim_ms;
    Arena *arena;                        /* what was handed over */
    StreamEntry entries[STREAM_READ_MAX * (STREAM_PARTITIONS + 1)];
    Str ids[STREAM_READ_MAX * (STREAM_PARTITIONS + 1)];
    uint8_t partitions[STREAM_READ_MAX * (STREAM_PARTITIONS + 1)];
    uint32_t count;
};

typedef struct Publication { Streams *streams; uint32_t awaited; bool failed; StreamsDone done; void *arg; } Publication;

struct Streams {
    StreamsOptions options;
    RedisAddress address;
    char *store, *consumer;
    Line line;                           /* publishes */
    Map groups;                          /* name -> StreamGroup */
    uint32_t mark;
    uint32_t outstanding;                /* answers to publications */
    bool closing;
};

typedef struct Words { int count; const char *argv[WORDS_MAX]; size_t len[WORDS_MAX]; char numbers[8][24]; int number_count; } Words;

static void group_step(StreamGroup *group);

static bool is_up(const Line *line) { return line->link && redis_link_up(line->link); }

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    redis_link_lose(((Line *)arg)->link, "it does not answer");
}

static void line_open(Line *line, const Streams *s, void (*up)(void *), void (*down)(void *), void *owner)
{
    line->late = evtimer_new(s->options.loop, on_late, line);
    line->link = redis_link_new(s->options.loop, &s->address, &(RedisLinkEvents){ .on_up = up, .on_down = down, .arg = owner });
}

static void line_close(Line *line)
{
    redis_link_free(line->link);
    event_free(line->late);
}

/* An answer is due within so many milliseconds; 0: none is. */
static void expect(Line *line, int within_ms)
{
    if (within_ms)
        event_add(line->late, &(struct timeval){ within_ms / 1000, within_ms % 1000 * 1000 });
    else
        event_del(line->late);
}

/* ---- words ---------------------------------------------------------------------------------------------------- */

static void put(Words *w, Str text)
{
    w->argv[w->count] = text.ptr ? text.ptr : "";
    w->len[w->count++] = text.len;
}

static void put_number(Words *w, int64_t number)
{
    char *text = w->numbers[w->number_count++];
    snprintf(text, sizeof w->numbers[0], "%lld", (long long)number);
    put(w, str_of(text));
}

static void send_words(Line *line, redisCallbackFn *fn, void *arg, const Words *w)
{
    redisAsyncCommandArgv(redis_link_context(line->link), fn, arg, w->count, (const char **)w->argv, w->len);
}

static uint32_t partition_of(Str tenant)
{
    return (uint32_t)(hash64(tenant, 0) % STREAM_PARTITIONS);
}

static void print_key(const Streams *s, uint32_t partition, Str event, char key[KEY_MAX])
{
    snprintf(key, KEY_MAX, "flow:{%s.%u}:%.*s", s->store, partition, STR_ARG(event));
}

static bool says(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, word, strlen(word)) == 0;
}

/* ---- what was read ----------------------------------------------------------------------------------------------- */

static Str text_of(StreamGroup *g, const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? arena_str(g->arena, (Str){ reply->str, (size_t)reply->len }) : (Str){ "", 0 };
}

static void take_fields(StreamGroup *g, const redisReply *fields, StreamEntry *e)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        const redisReply *name = fields->element[i];
        Str value = text_of(g, fields->element[i + 1]);
        if (name->type != REDIS_REPLY_STRING || name->len != 1)
            continue;
        switch (name->str[0]) {
        case 't': e->tenant = value; break;
        case 'e': e->event_id = value; break;
        case 'n': e->name = value; break;
        case 'c': e->correlation = value; break;
        case 'k': e->causation = value; break;
        case 'h': e->hops = (uint32_t)strtoul(value.ptr, NULL, 10); break;
        default: break;
        }
    }
}

/* [[id, [field, value, …]], …]. Whoever wrote it, it is only a name to look up. */
static void take_entries(StreamGroup *g, uint32_t partition, const redisReply *list)
{
    for (size_t i = 0; list->type == REDIS_REPLY_ARRAY && i < list->elements && g->count < sizeof g->entries / sizeof *g->entries; i++) {
        const redisReply *pair = list->element[i];
        if (pair->type != REDIS_REPLY_ARRAY || pair->elements != 2 || pair->element[0]->type != REDIS_REPLY_STRING)
            continue;
        StreamEntry *e = &g->entries[g->count];
        *e = (StreamEntry){ .tenant = { "", 0 }, .event_id = { "", 0 }, .name = { "", 0 }, .correlation = { "", 0 }, .causation = { "", 0 } };
        g->ids[g->count] = text_of(g, pair->element[0]);
        g->partitions[g->count++] = (uint8_t)partition;
        if (pair->element[1]->type == REDIS_REPLY_ARRAY)
            take_fields(g, pair->element[1], e);
    }
}

static void hand_over(StreamGroup *g)
{
    Streams *s = g->streams;
    g->handling = true;
    expect(&g->line, 0);
    s->options.deliver(g, str_of(g->event), str_of(g->subscriber), g->entries, g->count, s->options.arg);
}

static void on_ack(redisAsyncContext *context, void *answer, void *arg) { }        /* what is not acknowledged comes again */

static void acknowledge(StreamGroup *g)
{
    for (uint32_t p = 0; p < STREAM_PARTITIONS; p++) {
        uint32_t i = 0;
        while (i < g->count) {
            Words w;
            w.count = w.number_count = 0;
            put(&w, STR("XACK")), put(&w, str_of(g->keys[p])), put(&w, str_of(g->subscriber));
            int head = w.count;
            for (; i < g->count && w.count < WORDS_MAX; i++)
                if (g->partitions[i] == p)
                    put(&w, g->ids[i]);
            if (w.count > head)
                send_words(&g->line, on_ack, g, &w);
        }
    }
}

static void forget_entries(StreamGroup *g)
{
    g->handling = false;
    g->count = 0;
    arena_reset(g->arena);
}

void streams_done(StreamGroup *group, bool handled)
{
    if (is_up(&group->line) && handled)
        acknowledge(group);
    else if (!handled)
        group->reclaim_ms = redis_link_now_ms() + group->streams->options.stall_ms;
    forget_entries(group);
    if (is_up(&group->line))
        group_step(group);
}

/* ---- a group's round ------------------------------------------------------------------------------------------------ */

static void tell_lost(Streams *s)
{
    if (!s->closing)
        s->options.lost(s->options.arg);
}

static void on_made(redisAsyncContext *context, void *answer, void *arg)
{
    StreamGroup *g = arg;
    const redisReply *reply = answer;
    if (!reply)
        return;
    g->awaited--;
    if (reply->type == REDIS_REPLY_STATUS)
        g->fresh = true;
    if (reply->type == REDIS_REPLY_ERROR && !says(reply, "BUSYGROUP")) {
        redis_link_lose(g->line.link, "it refuses us");    /* out of memory, read only …: tried again with a new connection */
        return;
    }
    if (g->awaited)
        return;
    if (g->fresh && g->made)
        tell_lost(g->streams);
    g->made = true;
    g->fresh = false;
    group_step(g);
}

static void make_groups(StreamGroup *g)
{
    g->awaited = STREAM_PARTITIONS;
    g->fresh = false;
    expect(&g->line, STREAM_TIMEOUT_MS);
    for (uint32_t p = 0; p < STREAM_PARTITIONS; p++) {
        Words w;
        w.count = w.number_count = 0;
        put(&w, STR("XGROUP")), put(&w, STR("CREATE")), put(&w, str_of(g->keys[p])), put(&w, str_of(g->subscriber)), put(&w, STR("0")), put(&w, STR("MKSTREAM"));
        send_words(&g->line, on_made, g, &w);
    }
}

typedef struct Asked { StreamGroup *group; uint32_t partition; } Asked;

static bool is_gone(const redisReply *reply) { return says(reply, "NOGROUP") || says(reply, "UNBLOCKED"); }

static void on_claimed(redisAsyncContext *context, void *answer, void *arg)
{
    Asked *asked = arg;
    StreamGroup *g = asked->group;
    const redisReply *reply = answer;
    uint32_t partition = asked->partition;
    free(asked);
    if (!reply)
        return;
    g->awaited--;
    if (is_gone(reply))
        g->fresh = true;
    else if (reply->type == REDIS_REPLY_ARRAY && reply->elements >= 2)
        take_entries(g, partition, reply->element[1]);
    if (g->awaited)
        return;
    if (g->fresh)
        g->reclaim_ms = 0, forget_entries(g), make_groups(g);
    else if (g->count)
        g->reclaim_ms = 0, hand_over(g);                    /* there may be more of it */
    else
        group_step(g);
}

static void claim_stalled(StreamGroup *g)
{
    g->reclaim_ms = redis_link_now_ms() + g->streams->options.stall_ms / 2 + 1;
    g->awaited = STREAM_PARTITIONS;
    expect(&g->line, STREAM_TIMEOUT_MS);
    for (uint32_t p = 0; p < STREAM_PARTITIONS; p++) {
        Asked *asked = mem_alloc(sizeof *asked);
        *asked = (Asked){ g, p };
        Words w;
        w.count = w.number_count = 0;
        put(&w, STR("XAUTOCLAIM")), put(&w, str_of(g->keys[p])), put(&w, str_of(g->subscriber)), put(&w, str_of(g->streams->consumer));
        put_number(&w, g->streams->options.stall_ms), put(&w, STR("0-0")), put(&w, STR("COUNT")), put_number(&w, STREAM_READ_MAX);
        send_words(&g->line, on_claimed, asked, &w);
    }
}

static void on_read(redisAsyncContext *context, void *answer, void *arg)
{
    StreamGroup *g = arg;
    const redisReply *reply = answer;
    if (!reply)
        return;
    if (is_gone(reply)) {
        make_groups(g);
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        redis_link_lose(g->line.link, "it refuses us");
        return;
    }
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        const redisReply *stream = reply->element[i];
        for (uint32_t p = 0; stream->elements == 2 && p < STREAM_PARTITIONS; p++)
            if (strcmp(stream->element[0]->str, g->keys[p]) == 0)
                take_entries(g, p, stream->element[1]);
    }
    if (g->count)
        hand_over(g);
    else
        group_step(g);
}

static void read_new(StreamGroup *g)
{
    int64_t wait = g->reclaim_ms - redis_link_now_ms();
    Words w;
    w.count = w.number_count = 0;
    wait = wait > 1 ? wait : 1;
    put(&w, STR("XREADGROUP")), put(&w, STR("GROUP")), put(&w, str_of(g->subscriber)), put(&w, str_of(g->streams->consumer));
    put(&w, STR("COUNT")), put_number(&w, STREAM_READ_MAX), put(&w, STR("BLOCK")), put_number(&w, wait), put(&w, STR("STREAMS"));
    for (uint32_t p = 0; p < STREAM_PARTITIONS; p++)
        put(&w, str_of(g->keys[p]));
    for (uint32_t p = 0; p < STREAM_PARTITIONS; p++)
        put(&w, STR(">"));
    expect(&g->line, (int)wait + STREAM_TIMEOUT_MS);
    send_words(&g->line, on_read, g, &w);
}

static void group_step(StreamGroup *g)
{
    if (redis_link_now_ms() >= g->reclaim_ms)
        claim_stalled(g);
    else
        read_new(g);
}

/* What was handed over before the connection was lost is still being handled. */
static void group_up(void *owner)
{
    StreamGroup *g = owner;
    g->reclaim_ms = redis_link_now_ms() + g->streams->options.stall_ms / 2 + 1;
    if (!g->handling)
        make_groups(g);
}

static void group_down(void *owner)
{
    StreamGroup *g = owner;
    expect(&g->line, 0);
    if (!g->handling)
        forget_entries(g);
}

/* ---- groups ------------------------------------------------------------------------------------------------------------ */

void streams_begin(Streams *s) { s->mark++; }

void streams_subscribe(Streams *s, Str event, Str subscriber)
{
    Buf name = { 0 };
    buf_printf(&name, "%.*s %.*s", STR_ARG(event), STR_ARG(subscriber));
    StreamGroup *g = map_find(&s->groups, buf_str(&name));
    if (!g) {
        g = mem_alloc(sizeof *g);
        g->streams = s;
        g->event = strndup(event.ptr, event.len);
        g->subscriber = strndup(subscriber.ptr, subscriber.len);
        g->name = mem_strdup(buf_cstr(&name));
        g->arena = arena_new();
        for (uint32_t p = 0; p < STREAM_PARTITIONS; p++) {
            char key[KEY_MAX];
            print_key(s, p, event, key);
            g->keys[p] = mem_strdup(key);
        }
        map_put(&s->groups, str_of(g->name), g);
        line_open(&g->line, s, group_up, group_down, g);
    }
    g->mark = s->mark;
    buf_free(&name);
}

static void group_free(StreamGroup *g)
{
    line_close(&g->line);
    for (uint32_t p = 0; p < STREAM_PARTITIONS; p++)
        free(g->keys[p]);
    free(g->event), free(g->subscriber), free(g->name);
    arena_free(g->arena);
    free(g);
}

/* Nobody reads for a subscriber that is gone: its group would keep what it was given for ever. */
static void destroy_group(Streams *s, const StreamGroup *g)
{
    for (uint32_t p = 0; is_up(&s->line) && p < STREAM_PARTITIONS; p++) {
        Words w;
        w.count = w.number_count = 0;
        put(&w, STR("XGROUP")), put(&w, STR("DESTROY")), put(&w, str_of(g->keys[p])), put(&w, str_of(g->subscriber));
        send_words(&s->line, on_ack, s, &w);
    }
}

void streams_end(Streams *s)
{
    MAP_EACH(&s->groups, entry) {
        StreamGroup *g = entry->value;
        if (g->mark == s->mark || g->handling)
            continue;
        destroy_group(s, g);
        map_remove(&s->groups, entry->key);
        group_free(g);
    }
}

/* ---- publishing ---------------------------------------------------------------------------------------------------------- */

static void publication_step(Publication *p)
{
    if (--p->awaited)
        return;
    p->done(!p->failed, p->arg);
    free(p);
}

static void on_published(redisAsyncContext *context, void *answer, void *arg)
{
    Publication *p = arg;
    const redisReply *reply = answer;
    Streams *s = p->streams;
    s->outstanding--;
    if (reply)
        expect(&s->line, s->outstanding ? STREAM_TIMEOUT_MS : 0);
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        p->failed = true;
    publication_step(p);
}

static Publication *publication_new(Streams *s, StreamsDone done, void *arg)
{
    Publication *p = mem_alloc(sizeof *p);
    *p = (Publication){ .streams = s, .awaited = 1, .failed = !is_up(&s->line), .done = done, .arg = arg };
    return p;
}

static void publish_words(Streams *s, Publication *p, const Words *w)
{
    if (!is_up(&s->line)) {
        p->failed = true;
        return;
    }
    p->awaited++;
    s->outstanding++;
    expect(&s->line, STREAM_TIMEOUT_MS);
    send_words(&s->line, on_published, p, w);
}

static void put_add(Words *w, const char *key)
{
    w->count = w->number_count = 0;
    put(w, STR("XADD")), put(w, str_of(key)), put(w, STR("MAXLEN")), put(w, STR("~")), put_number(w, STREAM_LENGTH_MAX), put(w, STR("*"));
}

void streams_publish(Streams *s, const StreamEntry *entries, uint32_t count, StreamsDone done, void *arg)
{
    Publication *p = publication_new(s, done, arg);
    for (uint32_t i = 0; i < count; i++) {
        const StreamEntry *e = &entries[i];
        char key[KEY_MAX];
        Words w;
        print_key(s, partition_of(e->tenant), e->name, key);
        put_add(&w, key);
        put(&w, STR("t")), put(&w, e->tenant), put(&w, STR("e")), put(&w, e->event_id), put(&w, STR("n")), put(&w, e->name);
        put(&w, STR("c")), put(&w, e->correlation), put(&w, STR("k")), put(&w, e->causation), put(&w, STR("h")), put_number(&w, e->hops);
        publish_words(s, p, &w);
    }
    publication_step(p);
}

void streams_publish_dead(Streams *s, const StreamDead *entries, uint32_t count, StreamsDone done, void *arg)
{
    Publication *p = publication_new(s, done, arg);
    for (uint32_t i = 0; i < count; i++) {
        const StreamDead *e = &entries[i];
        char key[KEY_MAX];
        Words w;
        print_key(s, partition_of(e->tenant), STR("dead"), key);
        put_add(&w, key);
        put(&w, STR("t")), put(&w, e->tenant), put(&w, STR("e")), put(&w, e->event_id), put(&w, STR("s")), put(&w, e->subscriber), put(&w, STR("a")), put_number(&w, e->attempts);
        publish_words(s, p, &w);
    }
    publication_step(p);
}

static void on_up(void *owner) { tell_lost(owner); }
static void on_down(void *owner) { expect(&((Streams *)owner)->line, 0); }

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

Err streams_open(const StreamsOptions *options, Streams **out, Error *error)
{
    RedisAddress address;
    Err err = redis_address_parse(options->url, &address, error);
    if (err)
        return err;
    Streams *s = mem_alloc(sizeof *s);
    s->options = *options;
    s->address = address;
    s->store = strndup(options->store.ptr, options->store.len);
    s->consumer = strndup(options->consumer.ptr, options->consumer.len);
    line_open(&s->line, s, on_up, on_down, s);
    *out = s;
    return ERR_OK;
}

static void on_left(redisAsyncContext *context, void *answer, void *arg) { --*(int *)arg; }

/* A worker that ends well takes its consumers along; those of one that died stay, empty, once others have taken over what they held. */
static void leave_groups(Streams *s)
{
    int awaited = 0;
    MAP_EACH(&s->groups, entry) {
        const StreamGroup *g = entry->value;
        for (uint32_t p = 0; is_up(&s->line) && !g->handling && p < STREAM_PARTITIONS; p++) {
            Words w;
            w.count = w.number_count = 0;
            put(&w, STR("XGROUP")), put(&w, STR("DELCONSUMER")), put(&w, str_of(g->keys[p])), put(&w, str_of(g->subscriber)), put(&w, str_of(s->consumer));
            awaited++;
            send_words(&s->line, on_left, &awaited, &w);
        }
    }
    int64_t end = redis_link_now_ms() + STREAM_LEAVE_MS;
    while (awaited && is_up(&s->line) && redis_link_now_ms() < end)
        redis_link_wait(s->line.link, STREAM_LEAVE_MS);
    if (awaited)
        redis_link_lose(s->line.link, "it was closed");     /* the answers still to come count in here */
}

void streams_close(Streams *s)
{
    if (!s)
        return;
    s->closing = true;
    leave_groups(s);
    MAP_EACH(&s->groups, entry) group_free(entry->value);
    map_free(&s->groups);
    line_close(&s->line);
    redis_address_free(&s->address);
    free(s->store), free(s->consumer);
    free(s);
}

bool streams_up(const Streams *s) { return s && is_up(&s->line); }
