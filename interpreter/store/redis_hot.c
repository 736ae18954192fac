/* redis_hot.c - hot state in Redis: one asynchronous connection, pipelined.
 *
 * An entry is a hash under "{tenant}:key". Its field $end holds the caller's end time, so that virtual time works and a clock of the
 * server that is wrong by minutes changes nothing; PEXPIRE only clears up. What must be atomic is a small script. Scripts are sent in
 * full each time (EVAL): they are shorter than a kilobyte, and with EVALSHA a call whose script the server has lost would be sent again behind calls made later.
 *
 * A connection that owes an answer for HOT_TIMEOUT_MS is given up. Everything outstanding then ends with ERR_IO, new calls end so at once
 * until the link is up again. Nothing is ever sent a second time.
 */
#include "interpreter/store/hot_internal.h"
#include "interpreter/store/redis_conn.h"
#include "interpreter/store/redis_link.h"

#include <event2/event.h>
#include <hiredis/async.h>
#include <stdio.h>
#include <stdlib.h>

enum { REDIS_SCAN_COUNT = 1000 };

typedef struct Home {
    Hot *hot;
    RedisAddress address;
    RedisLink *link;
    struct event *late;
    HotCall *sent_first, *sent_last;     /* outstanding, oldest first */
} Home;

/* ---- scripts: KEYS[1] the entry; ARGV now, end (empty: none), milliseconds to live, then what is particular --------------------------- */

/* A run of the session store is no entry, whatever its key: it has a field $run. */
#define OURS \
    "local k = KEYS[1] if redis.call('HEXISTS', k, '$run') == 1 then return redis.error_reply('WRONGTYPE a run') end "
#define ENDED OURS \
    "local e = redis.call('HGET', k, '$end') " \
    "if e and tonumber(e) <= tonumber(ARGV[1]) then redis.call('UNLINK', k) end "
#define PROLONG \
    "if ARGV[2] == '' then redis.call('HDEL', k, '$end') redis.call('PERSIST', k) " \
    "else redis.call('HSET', k, '$end', ARGV[2]) redis.call('PEXPIRE', k, ARGV[3]) end "
/* $end is a field more than the entry has. */
#define SCRIPT_PUT ENDED \
    "local n = redis.call('HLEN', k) " \
    "if n + (#ARGV - 3) / 2 > " LIMIT " then " \
    "for i = 4, #ARGV, 2 do if redis.call('HEXISTS', k, ARGV[i]) == 0 then n = n + 1 end end " \
    "if n - redis.call('HEXISTS', k, '$end') > " LIMIT " then return -1 end end " \
    "redis.call('HSET', k, unpack(ARGV, 4)) " PROLONG "return 1"
#define SCRIPT_PUT_NEW ENDED \
    "if redis.call('EXISTS', k) == 1 then return 0 end " \
    "redis.call('HSET', k, unpack(ARGV, 4)) " PROLONG "return 1"
#define SCRIPT_CHANGE ENDED \
    "if ARGV[5] == '' then if redis.call('EXISTS', k) == 1 then return 0 end " \
    "elseif redis.call('HGET', k, ARGV[4]) ~= ARGV[5] then return 0 end " \
    "redis.call('UNLINK', k) " \
    "if #ARGV > 5 then redis.call('HSET', k, unpack(ARGV, 6)) " PROLONG "end return 1"
/* The number is read back as text: a script's numbers have 53 bits. */
#define SCRIPT_ADD ENDED \
    "local r = redis.pcall('HINCRBY', k, '', ARGV[4]) if type(r) == 'table' then return r end " PROLONG "return redis.call('HGET', k, '')"
#define SCRIPT_ERASE OURS "return redis.call('UNLINK', k)"
#define LIMIT "1024"
_Static_assert(HOT_FIELDS_MAX == 1024, "the script says it in words");

/* ---- sending ------------------------------------------------------------------------------------------------ */

enum { ARGS_MAX = 16 + 2 * HOT_FIELDS_MAX };
typedef struct Command { int count; const char *argv[ARGS_MAX]; size_t len[ARGS_MAX]; } Command;

static void on_reply(redisAsyncContext *context, void *reply, void *arg);
static void put_arg(Command *command, Str text)
{
    command->argv[command->count] = text.ptr ? text.ptr : "";
    command->len[command->count++] = text.len;
}

static void arm_late(Home *h)
{
    if (!h->sent_first || event_pending(h->late, EV_TIMEOUT, NULL))
        return;
    int64_t left = h->sent_first->sent_ms + HOT_TIMEOUT_MS - redis_link_now_ms();
    left = left > 0 ? left : 0;
    event_add(h->late, &(struct timeval){ left / 1000, left % 1000 * 1000 });
}

static void send_words(Home *h, HotCall *call, int count, const char *const *argv, const size_t *len)
{
    call->sent_ms = redis_link_now_ms();
    call->next_sent = NULL;
    if (h->sent_last)
        h->sent_last->next_sent = call;
    else
        h->sent_first = call;
    h->sent_last = call;
    redisAsyncCommandArgv(redis_link_context(h->link), on_reply, call, count, (const char **)argv, len);
    arm_late(h);
}

static void send_command(Home *h, HotCall *call, const Command *command)
{
    send_words(h, call, command->count, command->argv, command->len);
}

/* The end and the time to live of a call, as the scripts take them. */
static void put_times(Command *command, const HotCall *call, char text[3][24])
{
    int64_t span = 0;
    __builtin_sub_overflow(call->ends_us, call->now_us, &span);
    snprintf(text[0], 24, "%lld", (long long)call->now_us);
    text[1][0] = '\0';
    if (call->ends_us != INT64_MAX)
        snprintf(text[1], 24, "%lld", (long long)call->ends_us);
    snprintf(text[2], 24, "%lld", (long long)(span / 1000 + 1));
    for (int i = 0; i < 3; i++)
        put_arg(command, str_of(text[i]));
}

static void put_fields(Command *command, const HotCall *call)
{
    for (uint32_t i = 0; i < call->count; i++) {
        put_arg(command, call->fields[i].name);
        put_arg(command, call->fields[i].value);
    }
}

static void send_script(Home *h, HotCall *call, Str script, Str key)
{
    Command command;
    command.count = 0;
    char times[3][24], by[24];
    put_arg(&command, STR("EVAL"));
    put_arg(&command, script);
    put_arg(&command, STR("1"));
    put_arg(&command, key);
    put_times(&command, call, times);
    if (call->kind == HOT_ADD) {
        snprintf(by, sizeof by, "%lld", (long long)call->by);
        put_arg(&command, str_of(by));
    } else if (call->kind == HOT_CHANGE) {
        put_arg(&command, call->field);
        put_arg(&command, call->expected);
    }
    put_fields(&command, call);
    send_command(h, call, &command);
}

static void send_pair(Home *h, HotCall *call, Str word, Str key)
{
    Command command;
    command.count = 0;
    put_arg(&command, word);
    put_arg(&command, key);
    send_command(h, call, &command);
}

/* ---- erasing a prefix: SCAN a step, UNLINK what it found, until it is through ------------------------------------------------- */

typedef struct Sweep { Buf pattern; char cursor[24]; bool erasing; } Sweep;

static void send_scan(Home *h, HotCall *call)
{
    Sweep *sweep = call->step;
    Command command;
    command.count = 0;
    char count[16];
    snprintf(count, sizeof count, "%d", REDIS_SCAN_COUNT);
    sweep->erasing = false;
    put_arg(&command, STR("SCAN"));
    put_arg(&command, str_of(sweep->cursor));
    put_arg(&command, STR("MATCH"));
    put_arg(&command, buf_str(&sweep->pattern));
    put_arg(&command, STR("COUNT"));
    put_arg(&command, str_of(count));
    send_command(h, call, &command);
}

static void begin_sweep(Home *h, HotCall *call)
{
    Sweep *sweep = call->step = mem_alloc(sizeof *sweep);
    strcpy(sweep->cursor, "0");
    redis_put_tenant(&sweep->pattern, call->tenant);
    for (size_t i = 0; i < call->key.len; i++) {            /* * ? [ ] ^ and \ mean themselves */
        if (memchr("*?[]^\\-", call->key.ptr[i], 7))
            buf_put_char(&sweep->pattern, '\\');
        buf_put_char(&sweep->pattern, call->key.ptr[i]);
    }
    buf_put_char(&sweep->pattern, '*');
    send_scan(h, call);
}

static void end_sweep(HotCall *call)
{
    Sweep *sweep = call->step;
    if (sweep) {
        buf_free(&sweep->pattern);
        free(sweep);
    }
    call->step = NULL;
}

/* True: something is under way again. */
static bool on_sweep(Home *h, HotCall *call, const redisReply *reply)
{
    Sweep *sweep = call->step;
    if (sweep->erasing) {
        call->result.number += reply->integer;
    } else {
        const redisReply *keys = reply->elements == 2 ? reply->element[1] : NULL;
        if (!keys || reply->element[0]->type != REDIS_REPLY_STRING || keys->type != REDIS_REPLY_ARRAY)
            return false;
        snprintf(sweep->cursor, sizeof sweep->cursor, "%s", reply->element[0]->str);
        if (keys->elements) {
            const char **argv = mem_alloc((keys->elements + 1) * sizeof *argv);
            size_t *len = mem_alloc((keys->elements + 1) * sizeof *len);
            argv[0] = "UNLINK";
            len[0] = 6;
            for (size_t i = 0; i < keys->elements; i++) {
                argv[i + 1] = keys->element[i]->str;
                len[i + 1] = keys->element[i]->len;
            }
            sweep->erasing = true;
            send_words(h, call, (int)keys->elements + 1, argv, len);
            free(argv);
            free(len);
            return true;
        }
    }
    if (strcmp(sweep->cursor, "0") == 0)
        return false;
    send_scan(h, call);
    return true;
}

/* ---- answers -------------------------------------------------------------------------------------------------- */

/* A server that is no primary any more, or not yet: whoever connects again may find another one. */
static bool is_away(const redisReply *reply)
{
    return strncmp(reply->str, "READONLY", 8) == 0 || strncmp(reply->str, "LOADING", 7) == 0 || strncmp(reply->str, "MASTERDOWN", 10) == 0;
}

static Err error_of(const HotCall *call, const redisReply *reply, Error *error)
{
    if (strstr(reply->str, "would overflow"))
        return err_set(error, ERR_LIMIT, "cannot add to the entry: the number would leave 64 bits");
    if (strstr(reply->str, "not an integer"))
        return err_set(error, ERR_INVALID, "cannot add to the entry: its value is no number");
    if (strncmp(reply->str, "WRONGTYPE", 9) == 0)
        return err_set(error, ERR_INVALID, "cannot use the entry: another program keeps something else under this key");
    return err_set(error, ERR_IO, "could not use Redis: it said %.120s", reply->str);
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const HotField *)a)->name, ((const HotField *)b)->name);
}

static void take_fields(HotCall *call, const redisReply *reply)
{
    HotField *fields = ARENA_ARRAY(call->arena, HotField, reply->elements / 2);
    uint32_t count = 0;
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        Str name = { reply->element[i]->str, reply->element[i]->len }, value = { reply->element[i + 1]->str, reply->element[i + 1]->len };
        if (str_is(name, "$run")) {
            call->result.err = err_set(&call->result.error, ERR_INVALID, "cannot use the entry: a run of the session store lies under this key");
            return;
        }
        if (!str_is(name, "$end"))
            fields[count++] = (HotField){ arena_str(call->arena, name), arena_str(call->arena, value) };
        else if (strtoll(value.ptr, NULL, 10) <= call->now_us)
            return;
    }
    qsort(fields, count, sizeof *fields, by_name);
    call->result = (HotResult){ .found = count > 0, .fields = fields, .count = count };
}

static void take_answer(HotCall *call, const redisReply *reply)
{
    switch (call->kind) {
    case HOT_READ:
        if (reply->type == REDIS_REPLY_ARRAY)
            take_fields(call, reply);
        break;
    case HOT_ADD:
        call->result.number = reply->str ? strtoll(reply->str, NULL, 10) : 0;
        break;
    case HOT_ERASE:
        call->result.number = reply->integer;
        break;
    case HOT_PUT: case HOT_PUT_NEW: case HOT_CHANGE:
        call->result.found = reply->integer == 1;
        if (reply->integer < 0)
            call->result.err = err_set(&call->result.error, ERR_LIMIT, "cannot keep more than %d fields in an entry (HOT_FIELDS_MAX)", HOT_FIELDS_MAX);
        break;
    default:
        break;
    }
}

static void on_reply(redisAsyncContext *context, void *answer, void *arg)
{
    HotCall *call = arg;
    Home *h = call->hot->home;
    const redisReply *reply = answer;
    if (!reply) {                                           /* the connection ends; on_down clears the list */
        end_sweep(call);
        hot_fail(call, ERR_IO, "could not reach Redis: %s", redis_link_trouble(h->link));
        return;
    }
    bool sweeping = call->step && reply->type != REDIS_REPLY_ERROR;
    h->sent_first = call->next_sent;                        /* answers come in the order of the commands */
    if (!h->sent_first)
        h->sent_last = NULL;
    if (sweeping && on_sweep(h, call, reply))
        return;
    bool away = reply->type == REDIS_REPLY_ERROR && is_away(reply);
    if (reply->type == REDIS_REPLY_ERROR)
        call->result.err = error_of(call, reply, &call->result.error);
    else if (!sweeping)
        take_answer(call, reply);
    end_sweep(call);
    hot_finish(call);
    if (away)
        redis_link_lose(h->link, "it is no primary");
}

/* ---- the home -------------------------------------------------------------------------------------------------- */

static void on_down(void *arg)
{
    Home *h = arg;
    h->sent_first = h->sent_last = NULL;
    event_del(h->late);
}

static void on_turn(void *arg)
{
    hot_deliver(((Home *)arg)->hot);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    Home *h = arg;
    redis_link_wait(h->link, 0);                            /* the loop may have been held up: what has come by now is an answer in time */
    if (h->sent_first && redis_link_now_ms() >= h->sent_first->sent_ms + HOT_TIMEOUT_MS)
        redis_link_lose(h->link, "it does not answer");
    else
        arm_late(h);
    hot_deliver(h->hot);
}

static void redis_wait(void *home, int timeout_ms)
{
    Home *h = home;
    redis_link_wait(h->link, timeout_ms);
    if (h->sent_first && redis_link_now_ms() >= h->sent_first->sent_ms + HOT_TIMEOUT_MS)
        redis_link_lose(h->link, "it does not answer");
}

static void redis_close(void *home)
{
    Home *h = home;
    redis_link_free(h->link);
    event_free(h->late);
    redis_address_free(&h->address);
    free(h);
}

static Err redis_open(const char *url, Hot *hot, void **home, Error *error)
{
    RedisAddress address;
    Err err = redis_address_parse(url, &address, error);
    if (err)
        return err;
    Home *h = mem_alloc(sizeof *h);
    h->hot = hot;
    h->address = address;
    h->late = evtimer_new(hot->loop, on_late, h);
    h->link = redis_link_new(hot->loop, &h->address, &(RedisLinkEvents){ .on_down = on_down, .on_turn = on_turn, .arg = h });
    *home = h;
    int64_t until = redis_link_now_ms() + HOT_TIMEOUT_MS;
    for (int64_t left; redis_link_trying(h->link) && !redis_link_up(h->link) && (left = until - redis_link_now_ms()) > 0;)
        redis_link_wait(h->link, (int)left);
    return ERR_OK;
}

static bool redis_is_up(const void *home)
{
    return redis_link_up(((const Home *)home)->link);
}

static const char *redis_trouble(const void *home)
{
    return redis_link_trouble(((const Home *)home)->link);
}

static void redis_begin(void *home, HotCall *call)
{
    static const Str SCRIPTS[] = { [HOT_PUT] = STR(SCRIPT_PUT), [HOT_PUT_NEW] = STR(SCRIPT_PUT_NEW), [HOT_CHANGE] = STR(SCRIPT_CHANGE), [HOT_ADD] = STR(SCRIPT_ADD),
                                   [HOT_ERASE] = STR(SCRIPT_ERASE) };
    Home *h = home;
    Buf key = { 0 };
    redis_put_tenant(&key, call->tenant);
    buf_put_str(&key, call->key);
    if (call->kind == HOT_PRUNE)                            /* PEXPIRE has done it */
        hot_finish(call);
    else if (!redis_link_up(h->link))
        hot_fail(call, ERR_IO, "could not reach Redis: %s", redis_trouble(h));
    else if (call->kind == HOT_READ)
        send_pair(h, call, STR("HGETALL"), buf_str(&key));
    else if (call->kind == HOT_ERASE_PREFIX)
        begin_sweep(h, call);
    else
        send_script(h, call, SCRIPTS[call->kind], buf_str(&key));
    buf_free(&key);
}

const HotOps HOT_REDIS = {
    .kind = "redis", .open = redis_open, .close = redis_close, .is_up = redis_is_up, .trouble = redis_trouble, .begin = redis_begin, .wait = redis_wait,
};
