/* redis_conn.h - one connection to a Redis, for code that is written as if it waited (see lane.h).
 *
 * Made at the first call, and again at the next one after it was lost; a server that is not there answers ERR_IO at once, and is not asked again before a moment has passed.
 * A call that takes longer than REDIS_CALL_MS ends with ERR_IO and the connection with it: whether it was done is unknown. Nothing is sent twice.
 * No text holds the password. One call at a time.
 */
#ifndef STORE_REDIS_CONN_H
#define STORE_REDIS_CONN_H
#include "base/buf.h"
#include "interpreter/store/redis_url.h"

enum { REDIS_CALL_MS = 5000, REDIS_CONNECT_MS = 1000, REDIS_AGAIN_MS = 50 };

typedef struct RedisConn RedisConn;
struct redisReply;

/* The words of a command. */
typedef struct RedisWords { const char **words; size_t *lengths; int count, cap; } RedisWords;
void redis_words_free(RedisWords *words);                              /* start from (RedisWords){0} */
void redis_words_clear(RedisWords *words);
void redis_put_word(RedisWords *words, Str text);                      /* borrowed until the call */
void redis_set_word(RedisWords *words, int index, Str text);

RedisConn *redis_conn_new(const RedisAddress *address);                /* the address is borrowed */
void redis_conn_free(RedisConn *conn);
void redis_conn_drop(RedisConn *conn);                                 /* the next call makes another connection */
bool redis_conn_up(const RedisConn *conn);                             /* the last call was answered */
/* The reply, never an error reply, freed by redis_reply_free(). ERR_NOT_FOUND: the server does not know the script; ERR_IO with its words for whatever else it refuses. */
Err  redis_call(RedisConn *conn, const RedisWords *words, struct redisReply **out, Error *error);
void redis_reply_free(struct redisReply *reply);

/* "{tenant}:", the tenant percent-encoded so that it can hold no brace and no colon. */
void redis_put_tenant(Buf *out, Str tenant);
#endif
