/* redis_conn.c - a connection to a Redis over lane_wait_fd(). */
#include "interpreter/store/redis_conn.h"

#include "base/arena.h"
#include "interpreter/store/lane.h"
#include "interpreter/store/redis_pipe.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

struct RedisConn {
    const RedisAddress *address;
    redisContext *context;               /* NULL: not connected */
    int64_t again_ms;                    /* no attempt to connect before */
};

/* ---- words ------------------------------------------------------------------------------------------------ */

void redis_words_free(RedisWords *words)
{
    free(words->words);
    free(words->lengths);
    *words = (RedisWords){ 0 };
}

void redis_words_clear(RedisWords *words)
{
    words->count = 0;
}

void redis_put_word(RedisWords *words, Str text)
{
    if (words->count == words->cap) {
        words->cap = words->cap ? words->cap * 2 : 64;
        words->words = mem_realloc(words->words, (size_t)words->cap * sizeof *words->words);
        words->lengths = mem_realloc(words->lengths, (size_t)words->cap * sizeof *words->lengths);
    }
    words->words[words->count] = text.ptr ? text.ptr : "";
    words->lengths[words->count++] = text.len;
}

void redis_set_word(RedisWords *words, int index, Str text)
{
    words->words[index] = text.ptr;
    words->lengths[index] = text.len;
}

void redis_put_tenant(Buf *out, Str tenant)
{
    buf_put_char(out, '{');
    for (size_t i = 0; i < tenant.len; i++) {
        unsigned char c = (unsigned char)tenant.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        if (plain)
            buf_put_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
    buf_put_text(out, "}:");
}

/* ---- sending and waiting ----------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static Err lose(RedisConn *conn, Error *error, const char *why)
{
    Err err = err_set(error, ERR_IO, "could not reach Redis: %.200s", why);
    redisFree(conn->context);
    conn->context = NULL;
    conn->again_ms = now_ms() + REDIS_AGAIN_MS;
    return err;
}

static Err send_out(RedisConn *conn, int64_t until_ms, Error *error)
{
    for (int done = 0; !done;) {
        PipeGuard guard = pipe_guard();
        int rc = redisBufferWrite(conn->context, &done);
        pipe_unguard(&guard);
        if (rc != REDIS_OK)
            return lose(conn, error, conn->context->errstr);
        int64_t left = until_ms - now_ms();
        if (!done && (left <= 0 || !lane_wait_fd(conn->context->fd, LANE_WRITE, (int)left)))
            return lose(conn, error, "it does not read");
    }
    return ERR_OK;
}

static Err wait_for(RedisConn *conn, int64_t until_ms, redisReply **reply, Error *error)
{
    *reply = NULL;
    for (;;) {
        void *got = NULL;
        if (redisGetReplyFromReader(conn->context, &got) != REDIS_OK)
            return lose(conn, error, conn->context->errstr);
        if (got) {
            *reply = got;
            return ERR_OK;
        }
        int64_t left = until_ms - now_ms();
        if (left <= 0 || !lane_wait_fd(conn->context->fd, LANE_READ, (int)left))
            return lose(conn, error, "it does not answer");
        if (redisBufferRead(conn->context) != REDIS_OK)
            return lose(conn, error, conn->context->errstr);
    }
}

/* A server that is no primary any more, or not yet: whoever connects again may find another one. */
static bool is_away(const redisReply *reply)
{
    return strncmp(reply->str, "READONLY", 8) == 0 || strncmp(reply->str, "LOADING", 7) == 0 || strncmp(reply->str, "MASTERDOWN", 10) == 0;
}

static Err refusal(const redisReply *reply, Error *error)
{
    if (strncmp(reply->str, "NOSCRIPT", 8) == 0)
        return err_set(error, ERR_NOT_FOUND, "Redis does not know the script");
    return err_set(error, ERR_IO, "could not use Redis: it said %.200s", reply->str);
}

static Err exchange(RedisConn *conn, int count, const char **words, const size_t *lengths, int64_t until_ms, redisReply **out, Error *error)
{
    redisReply *reply;
    if (redisAppendCommandArgv(conn->context, count, words, lengths) != REDIS_OK)
        return lose(conn, error, conn->context->errstr);
    Err err = send_out(conn, until_ms, error);
    if (!err)
        err = wait_for(conn, until_ms, &reply, error);
    if (err)
        return err;
    if (reply->type == REDIS_REPLY_ERROR) {
        err = refusal(reply, error);
        if (is_away(reply))
            lose(conn, NULL, "");
        freeReplyObject(reply);
        return err;
    }
    *out = reply;
    return ERR_OK;
}

/* ---- connecting ---------------------------------------------------------------------------------------------- */

static Err say(RedisConn *conn, int64_t until_ms, int count, const char **words, Error *error)
{
    redisReply *reply = NULL;
    size_t lengths[3];
    for (int i = 0; i < count; i++)
        lengths[i] = strlen(words[i]);
    Err err = exchange(conn, count, words, lengths, until_ms, &reply, error);
    if (!err)
        freeReplyObject(reply);
    else if (conn->context)
        lose(conn, NULL, "");                               /* it said no: what follows must not be said to it */
    return err;
}

static Err greet(RedisConn *conn, int64_t until_ms, Error *error)
{
    const RedisAddress *a = conn->address;
    char number[16];
    Err err = ERR_OK;
    snprintf(number, sizeof number, "%d", a->db);
    if (a->password && a->user)
        err = say(conn, until_ms, 3, (const char *[]){ "AUTH", a->user, a->password }, error);
    else if (a->password)
        err = say(conn, until_ms, 2, (const char *[]){ "AUTH", a->password }, error);
    if (!err && a->db)
        err = say(conn, until_ms, 2, (const char *[]){ "SELECT", number }, error);
    return err ? err : say(conn, until_ms, 1, (const char *[]){ "PING" }, error);
}

static Err connect_now(RedisConn *conn, Error *error)
{
    const RedisAddress *a = conn->address;
    int64_t until_ms = now_ms() + REDIS_CONNECT_MS;
    if (now_ms() < conn->again_ms)
        return err_set(error, ERR_IO, "could not reach Redis: it was not there a moment ago");
    conn->context = a->path ? redisConnectUnixNonBlock(a->path) : redisConnectNonBlock(a->host, a->port);
    if (conn->context->err)
        return lose(conn, error, conn->context->errstr);
    if (!lane_wait_fd(conn->context->fd, LANE_WRITE, REDIS_CONNECT_MS))
        return lose(conn, error, "it does not answer");
    int problem = 0;
    socklen_t size = sizeof problem;
    if (getsockopt(conn->context->fd, SOL_SOCKET, SO_ERROR, &problem, &size) || problem)
        return lose(conn, error, strerror(problem ? problem : errno));
    return greet(conn, until_ms, error);
}

RedisConn *redis_conn_new(const RedisAddress *address)
{
    RedisConn *conn = mem_alloc(sizeof *conn);
    conn->address = address;
    return conn;
}

void redis_conn_free(RedisConn *conn)
{
    if (!conn)
        return;
    if (conn->context)
        redisFree(conn->context);
    free(conn);
}

void redis_conn_drop(RedisConn *conn)
{
    if (conn->context)
        lose(conn, NULL, "");
}

bool redis_conn_up(const RedisConn *conn)
{
    return conn->context != NULL;
}

/* Nothing is owed, so what there is to read is the end of a connection that the server gave up: better seen now than after sending. */
static void drop_stale(RedisConn *conn)
{
    struct pollfd fd = { .fd = conn->context ? conn->context->fd : -1, .events = POLLIN };
    if (!conn->context || poll(&fd, 1, 0) <= 0)
        return;
    lose(conn, NULL, "");
    conn->again_ms = 0;
}

Err redis_call(RedisConn *conn, const RedisWords *words, struct redisReply **out, Error *error)
{
    drop_stale(conn);
    Err err = conn->context ? ERR_OK : connect_now(conn, error);
    return err ? err : exchange(conn, words->count, words->words, words->lengths, now_ms() + REDIS_CALL_MS, out, error);
}

void redis_reply_free(struct redisReply *reply)
{
    if (reply)
        freeReplyObject(reply);
}
