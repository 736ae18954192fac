/* redis_clear.c - a connection of its own for a few commands that wait; see redis_clear.h. */
#include "interpreter/store/redis_clear.h"

#include "interpreter/store/redis_url.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

/* What the server answers: an integer, or 0 for OK; -1 when it refuses or is gone. */
static long long ask(redisContext *context, int count, const char **words, Error *error)
{
    redisReply *reply = redisCommandArgv(context, count, words, NULL);
    long long answer = -1;
    if (!reply)
        err_set(error, ERR_IO, "could not clear Redis: %s", context->errstr);
    else if (reply->type == REDIS_REPLY_ERROR)
        err_set(error, ERR_IO, "could not clear Redis: %s %.80s", words[0], reply->str);
    else
        answer = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    if (reply)
        freeReplyObject(reply);
    return answer;
}

static bool enter(redisContext *context, const RedisAddress *address, Error *error)
{
    char number[16];
    snprintf(number, sizeof number, "%d", address->db);
    if (address->password && address->user && ask(context, 3, (const char *[]){ "AUTH", address->user, address->password }, error) < 0)
        return false;
    if (address->password && !address->user && ask(context, 2, (const char *[]){ "AUTH", address->password }, error) < 0)
        return false;
    return ask(context, 2, (const char *[]){ "SELECT", number }, error) >= 0;
}

static Err clear(redisContext *context, const RedisAddress *address, bool must_be_empty, Error *error)
{
    if (!enter(context, address, error))
        return ERR_IO;
    if (!must_be_empty)
        return ask(context, 1, (const char *[]){ "FLUSHDB" }, error) < 0 ? ERR_IO : ERR_OK;
    long long keys = ask(context, 1, (const char *[]){ "DBSIZE" }, error);
    if (keys < 0)
        return ERR_IO;
    return keys ? err_set(error, ERR_CONFLICT, "this Redis database holds %lld keys; tests would delete them: name an empty one", keys) : ERR_OK;
}

Err redis_clear(const char *url, bool must_be_empty, Error *error)
{
    RedisAddress address = { 0 };
    Err err = redis_address_parse(url, &address, error);
    if (err)
        return err;
    struct timeval limit = { REDIS_CLEAR_TIMEOUT_MS / 1000, REDIS_CLEAR_TIMEOUT_MS % 1000 * 1000 };
    redisContext *context = address.path ? redisConnectUnixWithTimeout(address.path, limit) : redisConnectWithTimeout(address.host, address.port, limit);
    if (!context || context->err) {
        err = err_set(error, ERR_IO, "Redis cannot be reached: %s", context ? context->errstr : "out of memory");
    } else {
        redisSetTimeout(context, limit);
        err = clear(context, &address, must_be_empty, error);
    }
    if (context)
        redisFree(context);
    redis_address_free(&address);
    return err;
}
