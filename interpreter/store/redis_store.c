/* redis_store.c - the session store: runs of `durability session`, in Redis alone.
 *
 * A batch is atomic with its fence; those that wait are one call of one script (redis_runs.lua). Each stands as soon as it was applied: what Redis promises
 * about its disk is all that is promised here, so a group has no commit and none is rolled back. A run that was not written for
 * SESSION_TTL_MS, or a server that was flushed, leaves ERR_NOT_FOUND; a worker that still holds such a run is fenced.
 *
 * No tables, modules, events, waits, blobs and no interactive transactions: ERR_UNSUPPORTED. The server need not be there when the
 * store is opened; every batch then ends with ERR_IO until it is. What others should look at is said on a channel, with the name of who says it.
 */
#include "interpreter/store/redis_link.h"
#include "interpreter/store/redis_runs.h"

#include <hiredis/async.h>
#include <stdio.h>
#include <stdlib.h>

enum { SESSION_CONNS = 4, SESSION_READ_LANES = 1, SESSION_TXN_LANES = 1, SESSION_BATCHES_MAX = 64, SESSION_KEY_TRIES = 5 };
#define WAKE_CHANNEL "flow:session:wake"

typedef struct SessionStore SessionStore;
typedef struct SessionConn {
    SessionStore *store;
    RedisConn *conn;
    RedisWords words;
    bool transactions;                   /* the one that only says that there are none */
} SessionConn;

struct SessionStore {
    RedisAddress address;
    SessionConn conns[SESSION_CONNS]; uint32_t conn_count;
    char sha[41];                        /* of the script, as the server names it; of nothing before that */
    char name[33];                       /* whoever hears this on the channel hears himself */
    struct event_base *loop;
    RedisLink *link;                     /* listens; NULL until somebody wants to be woken */
    void (*wake)(void *arg); void *wake_arg;
};

/* ---- batches ---------------------------------------------------------------------------------------------------- */

static Err load_script(SessionConn *c, Error *error)
{
    struct redisReply *reply = NULL;
    redis_words_clear(&c->words);
    redis_put_word(&c->words, STR("SCRIPT"));
    redis_put_word(&c->words, STR("LOAD"));
    redis_put_word(&c->words, redis_runs_script());
    Err err = redis_call(c->conn, &c->words, &reply, error);
    if (err)
        return err;
    if (reply->type != REDIS_REPLY_STRING || reply->len != 40)
        err = err_set(error, ERR_IO, "could not use Redis: it does not name the script");
    else
        memcpy(c->store->sha, reply->str, 41);
    redis_reply_free(reply);
    return err;
}

/* Sends what redis_batch_put() wrote down; loads the script when the server does not know it, as after a restart: then nothing was done. */
static Err call_script(SessionConn *c, struct redisReply **reply, Error *error)
{
    Err err = redis_call(c->conn, &c->words, reply, error);
    if (err != ERR_NOT_FOUND)
        return err;
    RedisWords batches = c->words;
    c->words = (RedisWords){ 0 };
    err = load_script(c, error);
    redis_words_free(&c->words);
    c->words = batches;
    redis_set_word(&c->words, 1, (Str){ c->store->sha, 40 });
    return err ? err : redis_call(c->conn, &c->words, reply, error);
}

/* Some batches, each with an outcome of its own. */
static bool run_some(SessionConn *c, StoreBatch **batches, uint32_t count, Err *errs, Error *errors)
{
    struct redisReply *reply = NULL;
    Error error = { 0 };
    uint32_t sent = 0, at = 0;
    bool changed = false;
    redis_batches_begin(&c->words, (Str){ c->store->sha, 40 });
    for (uint32_t i = 0; i < count; i++)
        sent += (errs[i] = redis_batch_put(batches[i], &c->words, &errors[i])) == ERR_OK;
    Err err = sent ? call_script(c, &reply, &error) : ERR_OK;
    for (uint32_t i = 0; i < count; i++) {
        bool its = false;
        if (errs[i])
            continue;
        errs[i] = err;
        errors[i] = error;
        if (!err)
            errs[i] = redis_batch_take(batches[i], reply, at++, &its, &errors[i]);
        changed |= its;
        if (errs[i] == ERR_IO && strncmp(errors[i].text, "READONLY", 8) == 0)
            redis_conn_drop(c->conn);                       /* it is no primary any more; whoever connects again may find another one */
    }
    redis_reply_free(reply);
    return changed;
}

/* The server does nothing else while the script runs, so it is not given more than SESSION_BATCHES_MAX at once. */
static void session_apply_each(void *conn, StoreBatch **batches, uint32_t count, Err *errs, Error *errors, bool *changed)
{
    *changed = false;
    for (uint32_t i = 0; i < count; i += SESSION_BATCHES_MAX)
        *changed |= run_some(conn, batches + i, count - i < SESSION_BATCHES_MAX ? count - i : SESSION_BATCHES_MAX, errs + i, errors + i);
}

static Err session_apply(void *conn, StoreBatch *batch, bool *changed, Error *error)
{
    Err err;
    Error text;
    *changed = run_some(conn, &batch, 1, &err, &text);
    if (err && error)
        *error = text;
    return err;
}

static Err session_read(void *conn, StoreBatch *batch, Error *error)
{
    bool changed;
    return session_apply(conn, batch, &changed, error);
}

static Err session_begin(void *conn, bool writes, Error *error)
{
    if (((SessionConn *)conn)->transactions)
        return err_set(error, ERR_UNSUPPORTED, "cannot hold a transaction open in the session store: it keeps runs alone");
    return ERR_OK;
}

static Err session_commit(void *conn, Error *error)
{
    return ERR_OK;
}

static void session_rollback(void *conn)
{
}

static bool session_in_transaction(void *conn)
{
    return true;                                            /* what was applied stands; nothing takes it back */
}

static Err session_check_fence(void *conn, StoreBatch *fence, Error *error)
{
    return err_set(error, ERR_UNSUPPORTED, "cannot hold a transaction open in the session store");
}

static Err session_fsck(void *conn, FsckReport *report, Buf *out, Error *error)
{
    return err_set(error, ERR_UNSUPPORTED, "cannot check the session store: its runs end by themselves, a day after their last write");
}

/* ---- waking ------------------------------------------------------------------------------------------------------- */

static void session_announce(void *conn)
{
    SessionConn *c = conn;
    struct redisReply *reply = NULL;
    redis_words_clear(&c->words);
    redis_put_word(&c->words, STR("PUBLISH"));
    redis_put_word(&c->words, STR(WAKE_CHANNEL));
    redis_put_word(&c->words, str_of(c->store->name));
    redis_call(c->conn, &c->words, &reply, NULL);           /* when it fails the listeners lose their connection as well, and look when they have it again */
    redis_reply_free(reply);
}

static void on_message(redisAsyncContext *context, void *answer, void *arg)
{
    SessionStore *s = arg;
    const redisReply *reply = answer;
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || !s->wake)
        return;
    const redisReply *said = reply->element[2];
    if (said->type != REDIS_REPLY_STRING || strcmp(said->str, s->name) != 0)
        s->wake(s->wake_arg);                               /* a number says that we listen: now for whatever was said before */
}

static void on_up(void *arg)
{
    SessionStore *s = arg;
    redisAsyncCommand(redis_link_context(s->link), on_message, s, "SUBSCRIBE " WAKE_CHANNEL);
}

static void session_on_wake(void *state, void (*wake)(void *arg), void *arg)
{
    SessionStore *s = state;
    s->wake = wake;
    s->wake_arg = arg;
    if (wake && s->loop && !s->link)
        s->link = redis_link_new(s->loop, &s->address, &(RedisLinkEvents){ .on_up = on_up, .arg = s });
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static void *session_conn(void *state, ConnRole role, uint32_t number)
{
    SessionStore *s = state;
    SessionConn *c = &s->conns[s->conn_count++];
    c->store = s;
    c->transactions = role == CONN_TXN;
    c->conn = redis_conn_new(&s->address);
    return c;
}

static void session_close(void *state)
{
    SessionStore *s = state;
    redis_link_free(s->link);
    for (uint32_t i = 0; i < s->conn_count; i++) {
        redis_conn_free(s->conns[i].conn);
        redis_words_free(&s->conns[i].words);
    }
    redis_address_free(&s->address);
    free(s);
}

static Err session_open(const char *url, const StoreOptions *options, void **state, Error *error)
{
    uint8_t name[16];
    SessionStore *s = mem_alloc(sizeof *s);
    Err err = redis_address_parse(url, &s->address, error);
    if (err) {
        free(s);
        return err;
    }
    random_bytes(name, sizeof name);
    hex_encode(name, sizeof name, s->name);
    memset(s->sha, '0', 40);
    s->loop = options->loop;
    *state = s;
    return ERR_OK;
}

static Err ask_key(RedisConn *conn, const char *made, uint8_t bytes[32], Error *error)
{
    RedisWords set = { 0 }, get = { 0 };
    struct redisReply *reply = NULL;
    for (const char *const *word = (const char *const[]){ "SET", "flow:session:key", made, "NX", NULL }; *word; word++)
        redis_put_word(&set, str_of(*word));
    redis_put_word(&get, STR("GET"));
    redis_put_word(&get, STR("flow:session:key"));
    Err err = redis_call(conn, &set, &reply, error);
    redis_reply_free(reply);
    reply = NULL;
    if (!err)
        err = redis_call(conn, &get, &reply, error);
    if (!err && reply->type == REDIS_REPLY_NIL)
        err = ERR_NOT_FOUND;                                /* flushed between the two */
    else if (!err && (reply->type != REDIS_REPLY_STRING || !hex_decode((Str){ reply->str, reply->len }, bytes, 32)))
        err = err_set(error, ERR_CORRUPT, "cannot open the session store: its snapshot key is damaged");
    redis_reply_free(reply);
    redis_words_free(&set);
    redis_words_free(&get);
    return err;
}

/* Without a server there is no key yet: id 0. */
static Err session_key(void *state, uint32_t *id, uint8_t bytes[32], Error *error)
{
    SessionStore *s = state;
    RedisConn *conn = redis_conn_new(&s->address);
    char made[65];
    random_bytes(bytes, 32);
    hex_encode(bytes, 32, made);
    Err err = ERR_NOT_FOUND;
    for (int tries = 0; err == ERR_NOT_FOUND && tries < SESSION_KEY_TRIES; tries++)
        err = ask_key(conn, made, bytes, error);
    if (err == ERR_NOT_FOUND)
        err = err_set(error, ERR_IO, "the session store is flushed again and again");
    *id = err ? 0 : 1;
    explicit_bzero(made, sizeof made);
    redis_conn_free(conn);
    return err == ERR_IO ? ERR_OK : err;
}

/* The runs, then all that found them. */
static Err session_drop(const char *url, Error *error)
{
    static const char SCRIPT[] =
        "for _, p in ipairs(redis.call('ZRANGE', 'flow:session:runs', 0, -1)) do redis.call('UNLINK', p .. ':state', p .. ':journal', p .. ':mail') end "
        "local cursor = '0' repeat local page = redis.call('SCAN', cursor, 'MATCH', 'flow:session:*', 'COUNT', 1000) cursor = page[1] "
        "for _, key in ipairs(page[2]) do redis.call('UNLINK', key) end until cursor == '0' return 'OK'";
    RedisAddress address;
    RedisWords words = { 0 };
    struct redisReply *reply = NULL;
    Err err = redis_address_parse(url, &address, error);
    if (err)
        return err;
    RedisConn *conn = redis_conn_new(&address);
    redis_put_word(&words, STR("EVAL"));
    redis_put_word(&words, (Str){ SCRIPT, sizeof SCRIPT - 1 });
    redis_put_word(&words, STR("0"));
    err = redis_call(conn, &words, &reply, error);
    redis_reply_free(reply);
    redis_words_free(&words);
    redis_conn_free(conn);
    redis_address_free(&address);
    return err;
}

static bool session_is_up(const void *state)
{
    const SessionStore *s = state;
    return s->link ? redis_link_up(s->link) : redis_conn_up(s->conns[0].conn);
}

const StoreOps STORE_REDIS = {
    .kind = "redis", .also = "unix", .read_lanes = SESSION_READ_LANES, .txn_lanes = SESSION_TXN_LANES,
    .open = session_open, .close = session_close, .drop = session_drop, .key = session_key, .conn = session_conn, .begin = session_begin, .commit = session_commit,
    .rollback = session_rollback, .in_transaction = session_in_transaction, .check_fence = session_check_fence, .apply = session_apply, .apply_each = session_apply_each, .fsck = session_fsck,
    .read = session_read, .announce = session_announce, .on_wake = session_on_wake, .is_up = session_is_up,
};
