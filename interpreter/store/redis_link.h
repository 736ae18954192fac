/* redis_link.h - an asynchronous connection to a Redis in an event loop, made again whenever it is lost.
 *
 * First tried by redis_link_new(), which does not wait; then from a timer after LINK_RETRY_MIN_MS, and after twice as long each time up to
 * LINK_RETRY_MAX_MS. It is up when the server took the password and the database and answered a PING. When it is lost, the library calls every outstanding
 * callback with a reply of NULL, before `on_down`. The owner must not free the link from a callback.
 */
#ifndef STORE_REDIS_LINK_H
#define STORE_REDIS_LINK_H
#include <stdbool.h>
#include <stdint.h>

#include "interpreter/store/redis_url.h"

enum { LINK_RETRY_MIN_MS = 50, LINK_RETRY_MAX_MS = 1000, LINK_GREETING_MS = 1000 };

typedef struct RedisLink RedisLink;
struct redisAsyncContext;
struct event_base;

typedef struct RedisLinkEvents {
    void (*on_up)(void *arg);            /* may send */
    void (*on_down)(void *arg);          /* was up, or was trying */
    void (*on_turn)(void *arg);          /* something was read or written from the loop; outside of the library */
    void *arg;
} RedisLinkEvents;                       /* each may be NULL */

RedisLink *redis_link_new(struct event_base *loop, const RedisAddress *address /* borrowed */, const RedisLinkEvents *events);
void redis_link_free(RedisLink *link);
bool redis_link_up(const RedisLink *link);
bool redis_link_trying(const RedisLink *link);                         /* a connection is being made, or there */
const char *redis_link_trouble(const RedisLink *link);                 /* why it is not up, or empty; never holds the password */
struct redisAsyncContext *redis_link_context(RedisLink *link);         /* to send with, while it is up */
void redis_link_lose(RedisLink *link, const char *why);                /* gives the connection up; another is tried from the timer */
void redis_link_wait(RedisLink *link, int timeout_ms);                 /* without the loop: reads and writes once it can, or connects if that is due */
int64_t redis_link_now_ms(void);                                       /* a clock that only goes forward */
#endif
