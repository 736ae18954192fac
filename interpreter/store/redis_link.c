/* redis_link.c - hiredis in libevent, with the patience that hiredis lacks. Its own adapter keeps no hold of a lost connection and cannot be driven without the loop. */
#include "interpreter/store/redis_link.h"

#include "base/arena.h"
#include "interpreter/store/redis_pipe.h"

#include <event2/event.h>
#include <hiredis/async.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINK_TROUBLE_MAX = 160 };

struct RedisLink {
    struct event_base *loop;
    const RedisAddress *address;
    RedisLinkEvents events;
    redisAsyncContext *context;          /* NULL between two connections */
    struct event *readable, *writable;   /* of the context's descriptor */
    bool wants_write;
    struct event *late, *retry;
    int64_t connecting_ms;               /* since when the greeting lasts; 0: it is done */
    int64_t retry_at_ms; int backoff_ms;
    bool up, closing;
    char trouble[LINK_TROUBLE_MAX];
};

int64_t redis_link_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* ---- what the library wants of the loop -------------------------------------------------------------------- */

static void turned(RedisLink *link)
{
    if (link->events.on_turn)
        link->events.on_turn(link->events.arg);
}

static void write_out(RedisLink *link)
{
    PipeGuard guard = pipe_guard();
    redisAsyncHandleWrite(link->context);
    pipe_unguard(&guard);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    RedisLink *link = arg;
    redisAsyncHandleRead(link->context);
    turned(link);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    RedisLink *link = arg;
    write_out(link);
    turned(link);
}

static void add_read(void *arg)  { event_add(((RedisLink *)arg)->readable, NULL); }
static void del_read(void *arg)  { event_del(((RedisLink *)arg)->readable); }
static void add_write(void *arg) { ((RedisLink *)arg)->wants_write = true; event_add(((RedisLink *)arg)->writable, NULL); }
static void del_write(void *arg) { ((RedisLink *)arg)->wants_write = false; event_del(((RedisLink *)arg)->writable); }

/* The library is about to close the descriptor, for whatever reason; every callback was called. */
static void on_lost(void *arg)
{
    RedisLink *link = arg;
    event_free(link->readable);
    event_free(link->writable);
    link->readable = link->writable = NULL;
    if (!link->trouble[0])
        snprintf(link->trouble, sizeof link->trouble, "%s", link->context->errstr && link->context->errstr[0] ? link->context->errstr : "the connection was closed");
    link->context = NULL;
    link->wants_write = link->up = false;
    link->connecting_ms = 0;
    event_del(link->late);
    if (link->events.on_down)
        link->events.on_down(link->events.arg);
    if (link->closing)
        return;
    link->retry_at_ms = redis_link_now_ms() + link->backoff_ms;
    event_add(link->retry, &(struct timeval){ link->backoff_ms / 1000, link->backoff_ms % 1000 * 1000 });
    link->backoff_ms = link->backoff_ms * 2 < LINK_RETRY_MAX_MS ? link->backoff_ms * 2 : LINK_RETRY_MAX_MS;
}

void redis_link_lose(RedisLink *link, const char *why)
{
    if (!link->context)
        return;
    link->up = false;
    snprintf(link->trouble, sizeof link->trouble, "%s", why);
    redisAsyncFree(link->context);
}

/* ---- the greeting --------------------------------------------------------------------------------------------- */

/* Each step must be answered well; the last one opens the way. */
static void on_greeting(redisAsyncContext *context, void *answer, void *arg)
{
    RedisLink *link = context->data;
    const redisReply *reply = answer;
    if (!reply || !link->connecting_ms)
        return;
    if (reply->type == REDIS_REPLY_ERROR) {
        char why[LINK_TROUBLE_MAX];
        snprintf(why, sizeof why, "it refuses us: %.100s", reply->str);
        link->connecting_ms = 0;
        redis_link_lose(link, why);
    } else if (arg) {
        link->connecting_ms = 0;
        link->up = true;
        link->trouble[0] = '\0';
        link->backoff_ms = LINK_RETRY_MIN_MS;
        event_del(link->late);
        if (link->events.on_up)
            link->events.on_up(link->events.arg);
    }
}

static void greet(RedisLink *link)
{
    const RedisAddress *a = link->address;
    if (a->password && a->user)
        redisAsyncCommand(link->context, on_greeting, NULL, "AUTH %s %s", a->user, a->password);
    else if (a->password)
        redisAsyncCommand(link->context, on_greeting, NULL, "AUTH %s", a->password);
    if (a->db)
        redisAsyncCommand(link->context, on_greeting, NULL, "SELECT %d", a->db);
    redisAsyncCommand(link->context, on_greeting, link, "PING");
}

static void open_connection(RedisLink *link)
{
    const RedisAddress *a = link->address;
    redisAsyncContext *context = a->path ? redisAsyncConnectUnix(a->path) : redisAsyncConnect(a->host, a->port);
    event_del(link->retry);
    link->trouble[0] = '\0';
    link->context = context;
    link->connecting_ms = redis_link_now_ms();
    context->data = link;
    link->readable = event_new(link->loop, context->c.fd, EV_READ | EV_PERSIST, on_readable, link);
    link->writable = event_new(link->loop, context->c.fd, EV_WRITE | EV_PERSIST, on_writable, link);
    context->ev.data = link;
    context->ev.addRead = add_read;
    context->ev.delRead = del_read;
    context->ev.addWrite = add_write;
    context->ev.delWrite = del_write;
    context->ev.cleanup = on_lost;
    if (context->err) {
        redisAsyncFree(context);
        return;
    }
    add_write(link);                                        /* it is connected when it may write */
    greet(link);
    event_add(link->late, &(struct timeval){ LINK_GREETING_MS / 1000, LINK_GREETING_MS % 1000 * 1000 });
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    RedisLink *link = arg;
    if (!link->context)
        open_connection(link);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    RedisLink *link = arg;
    if (!link->connecting_ms || redis_link_now_ms() < link->connecting_ms + LINK_GREETING_MS)
        return;
    redis_link_lose(link, "it does not answer");
    turned(link);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

RedisLink *redis_link_new(struct event_base *loop, const RedisAddress *address, const RedisLinkEvents *events)
{
    RedisLink *link = mem_alloc(sizeof *link);
    link->loop = loop;
    link->address = address;
    link->events = *events;
    link->backoff_ms = LINK_RETRY_MIN_MS;
    link->late = evtimer_new(loop, on_late, link);
    link->retry = evtimer_new(loop, on_retry, link);
    open_connection(link);
    return link;
}

void redis_link_free(RedisLink *link)
{
    if (!link)
        return;
    link->closing = true;
    redis_link_lose(link, "it was closed");
    event_free(link->late);
    event_free(link->retry);
    free(link);
}

bool redis_link_up(const RedisLink *link) { return link->up; }
bool redis_link_trying(const RedisLink *link) { return link->context != NULL; }
struct redisAsyncContext *redis_link_context(RedisLink *link) { return link->context; }

const char *redis_link_trouble(const RedisLink *link)
{
    const char *said = link->context && link->context->err ? link->context->errstr : "";
    return link->up && !said[0] ? "" : link->trouble[0] ? link->trouble : said[0] ? said : "it does not answer yet";
}

void redis_link_wait(RedisLink *link, int timeout_ms)
{
    if (!link->context) {
        if (redis_link_now_ms() >= link->retry_at_ms)
            open_connection(link);
        return;
    }
    struct pollfd fd = { .fd = link->context->c.fd, .events = (short)(POLLIN | (link->wants_write ? POLLOUT : 0)) };
    int ready = poll(&fd, 1, timeout_ms);
    if (ready > 0 && (fd.revents & POLLOUT))
        write_out(link);
    if (ready > 0 && (fd.revents & (POLLIN | POLLERR | POLLHUP)) && link->context)
        redisAsyncHandleRead(link->context);
    if (ready == 0)
        on_late(-1, 0, link);
}
