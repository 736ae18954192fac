/* redis_hot.c - hot state in Redis: one asynchronous connection, pipelined, made again whenever it is lost.
 *
 * An entry is a hash under "{tenant}:key". Its field $end holds the caller's end time, so that virtual time works and a clock of the
 * server that is wrong by minutes changes nothing; PEXPIRE only clears up. What must be atomic is a small script. Scripts are sent in
 * full each time (EVAL): they are shorter than a kilobyte, and with EVALSHA a call whose script the server has lost would be sent again behind calls made later.
 *
 * Lost is a connection that broke or owes an answer for HOT_TIMEOUT_MS. Everything outstanding then ends with ERR_IO, new calls end so
 * at once, and a timer connects again, at first after REDIS_RETRY_MIN_MS, then after twice as long each time up to REDIS_RETRY_MAX_MS.
 * Nothing is ever sent a second time.
 */
#include "interpreter/store/hot_internal.h"
#include "interpreter/store/redis_url.h"

#include <event2/event.h>
#include <hiredis/async.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { REDIS_RETRY_MIN_MS = 50, REDIS_RETRY_MAX_MS = 1000, REDIS_SCAN_COUNT = 1000, REDIS_TROUBLE_MAX = 160 };

typedef struct Home {
    Hot *hot;
    RedisAddress address;
    redisAsyncContext *context;          /* NULL between two connections */
    struct event *readable, *writable;   /* of the context's descriptor */
    bool wants_write;
    struct event *late, *retry;
    HotCall *sent_first, *sent_last;     /* outstanding, oldest first */
    int64_t connecting_ms;               /* since when the handshake lasts; 0: it is done */
    int64_t retry_at_ms; int backoff_ms;
    bool up, closing;
    char trouble[REDIS_TROUBLE_MAX];
} Home;

/* ---- scripts: KEYS[1] the entry; ARGV now, end (empty: none), milliseconds to live, then what is particular --------------------------- */

#define ENDED \
    "local k = KEYS[1] local e = redis.call('HGET', k, '$end') " \
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
#define LIMIT "1024"
_Static_assert(HOT_FIELDS_MAX == 1024, "the script says it in words");

/* ---- sending ------------------------------------------------------------------------------------------------ */

enum { ARGS_MAX = 16 + 2 * HOT_FIELDS_MAX };
typedef struct Command { int count; const char *argv[ARGS_MAX]; size_t len[ARGS_MAX]; } Command;

static void on_reply(redisAsyncContext *context, void *reply, void *arg);
static void lose(Home *h, const char *why);

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static void put_arg(Command *command, Str text)
{
    command->argv[command->count] = text.ptr ? text.ptr : "";
    command->len[command->count++] = text.len;
}

static void put_tenant(Buf *out, Str tenant)
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

static void arm_late(Home *h)
{
    int64_t since = h->connecting_ms ? h->connecting_ms : h->sent_first ? h->sent_first->sent_ms : 0;
    if (!since || event_pending(h->late, EV_TIMEOUT, NULL))
        return;
    int64_t left = since + HOT_TIMEOUT_MS - now_ms();
    left = left > 0 ? left : 0;
    event_add(h->late, &(struct timeval){ left / 1000, left % 1000 * 1000 });
}

static void send_words(Home *h, HotCall *call, int count, const char *const *argv, const size_t *len)
{
    call->sent_ms = now_ms();
    call->next_sent = NULL;
    if (h->sent_last)
        h->sent_last->next_sent = call;
    else
        h->sent_first = call;
    h->sent_last = call;
    redisAsyncCommandArgv(h->context, on_reply, call, count, (const char **)argv, len);
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
    bool ends = call->ends_us != INT64_MAX;
    __builtin_sub_overflow(call->ends_us, call->now_us, &span);
    snprintf(text[0], 24, "%lld", (long long)call->now_us);
    text[1][0] = '\0';
    if (ends)
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
    put_tenant(&sweep->pattern, call->tenant);
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
    Home *h = context->data;
    HotCall *call = arg;
    const redisReply *reply = answer;
    if (!reply) {                                           /* the connection ends; `lost` clears the list */
        h->up = false;
        if (!h->trouble[0] && context->errstr)
            snprintf(h->trouble, sizeof h->trouble, "%s", context->errstr);
        end_sweep(call);
        hot_fail(call, ERR_IO, "could not reach Redis: %s", h->trouble[0] ? h->trouble : "the connection was closed");
        return;
    }
    bool sweeping = call->step && reply->type != REDIS_REPLY_ERROR;
    h->sent_first = call->next_sent;                        /* answers come in the order of the commands */
    if (!h->sent_first)
        h->sent_last = NULL;
    if (sweeping && on_sweep(h, call, reply))
        return;
    if (reply->type == REDIS_REPLY_ERROR)
        call->result.err = error_of(call, reply, &call->result.error);
    else if (!sweeping)
        take_answer(call, reply);
    end_sweep(call);
    hot_finish(call);
}

/* ---- the connection ------------------------------------------------------------------------------------------- */

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    Home *h = arg;
    redisAsyncHandleRead(h->context);
    hot_deliver(h->hot);
}

/* The library writes without MSG_NOSIGNAL: a server that is gone must not end this process. */
static void write_out(Home *h)
{
    sigset_t pipe, before, waiting;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    redisAsyncHandleWrite(h->context);
    if (!sigismember(&before, SIGPIPE) && sigpending(&waiting) == 0 && sigismember(&waiting, SIGPIPE))
        sigtimedwait(&pipe, NULL, &(struct timespec){ 0 });
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    Home *h = arg;
    write_out(h);
    hot_deliver(h->hot);
}

static void add_read(void *arg)  { event_add(((Home *)arg)->readable, NULL); }
static void del_read(void *arg)  { event_del(((Home *)arg)->readable); }
static void add_write(void *arg) { ((Home *)arg)->wants_write = true; event_add(((Home *)arg)->writable, NULL); }
static void del_write(void *arg) { ((Home *)arg)->wants_write = false; event_del(((Home *)arg)->writable); }

/* The library is about to close the descriptor, for whatever reason. */
static void lost(void *arg)
{
    Home *h = arg;
    event_free(h->readable);
    event_free(h->writable);
    h->readable = h->writable = NULL;
    if (!h->trouble[0])
        snprintf(h->trouble, sizeof h->trouble, "%s", h->context->errstr && h->context->errstr[0] ? h->context->errstr : "the connection was closed");
    h->context = NULL;
    h->wants_write = h->up = false;
    h->connecting_ms = 0;
    h->sent_first = h->sent_last = NULL;
    event_del(h->late);
    if (h->closing)
        return;
    h->retry_at_ms = now_ms() + h->backoff_ms;
    event_add(h->retry, &(struct timeval){ h->backoff_ms / 1000, h->backoff_ms % 1000 * 1000 });
    h->backoff_ms = h->backoff_ms * 2 < REDIS_RETRY_MAX_MS ? h->backoff_ms * 2 : REDIS_RETRY_MAX_MS;
}

static void lose(Home *h, const char *why)
{
    h->up = false;
    snprintf(h->trouble, sizeof h->trouble, "%s", why);
    redisAsyncFree(h->context);
}

/* Each step of the greeting must be answered well; the last one opens the way. */
static void on_greeting(redisAsyncContext *context, void *answer, void *arg)
{
    Home *h = context->data;
    const redisReply *reply = answer;
    if (!reply || !h->connecting_ms)
        return;
    if (reply->type == REDIS_REPLY_ERROR) {
        char why[REDIS_TROUBLE_MAX];
        snprintf(why, sizeof why, "it refuses us: %.100s", reply->str);
        h->connecting_ms = 0;
        lose(h, why);
    } else if (arg) {
        h->connecting_ms = 0;
        h->up = true;
        h->trouble[0] = '\0';
        h->backoff_ms = REDIS_RETRY_MIN_MS;
    }
}

static void greet(Home *h)
{
    const RedisAddress *a = &h->address;
    if (a->password && a->user)
        redisAsyncCommand(h->context, on_greeting, NULL, "AUTH %s %s", a->user, a->password);
    else if (a->password)
        redisAsyncCommand(h->context, on_greeting, NULL, "AUTH %s", a->password);
    if (a->db)
        redisAsyncCommand(h->context, on_greeting, NULL, "SELECT %d", a->db);
    redisAsyncCommand(h->context, on_greeting, h, "PING");
}

static void open_connection(Home *h)
{
    const RedisAddress *a = &h->address;
    redisAsyncContext *context = a->path ? redisAsyncConnectUnix(a->path) : redisAsyncConnect(a->host, a->port);
    event_del(h->retry);
    h->trouble[0] = '\0';
    h->context = context;
    h->connecting_ms = now_ms();
    context->data = h;
    h->readable = event_new(h->hot->loop, context->c.fd, EV_READ | EV_PERSIST, on_readable, h);
    h->writable = event_new(h->hot->loop, context->c.fd, EV_WRITE | EV_PERSIST, on_writable, h);
    context->ev.data = h;
    context->ev.addRead = add_read;
    context->ev.delRead = del_read;
    context->ev.addWrite = add_write;
    context->ev.delWrite = del_write;
    context->ev.cleanup = lost;
    if (context->err) {
        redisAsyncFree(context);
        return;
    }
    add_write(h);                                           /* it connects when it may write */
    greet(h);
    arm_late(h);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    Home *h = arg;
    if (!h->context)
        open_connection(h);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    Home *h = arg;
    int64_t since = h->connecting_ms ? h->connecting_ms : h->sent_first ? h->sent_first->sent_ms : 0;
    if (h->context && since && now_ms() >= since + HOT_TIMEOUT_MS)
        lose(h, "it does not answer");
    else
        arm_late(h);
    hot_deliver(h->hot);
}

/* ---- the home -------------------------------------------------------------------------------------------------- */

static void redis_wait(void *home, int timeout_ms)
{
    Home *h = home;
    if (!h->context) {
        if (now_ms() >= h->retry_at_ms)
            open_connection(h);
        return;
    }
    struct pollfd fd = { .fd = h->context->c.fd, .events = (short)(POLLIN | (h->wants_write ? POLLOUT : 0)) };
    int ready = poll(&fd, 1, timeout_ms);
    if (ready > 0 && (fd.revents & POLLOUT))
        write_out(h);
    if (ready > 0 && (fd.revents & (POLLIN | POLLERR | POLLHUP)) && h->context)
        redisAsyncHandleRead(h->context);
    if (ready == 0)
        on_late(-1, 0, h);
}

static void redis_close(void *home)
{
    Home *h = home;
    h->closing = true;
    if (h->context)
        lose(h, "it was closed");
    event_free(h->late);
    event_free(h->retry);
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
    h->backoff_ms = REDIS_RETRY_MIN_MS;
    h->late = evtimer_new(hot->loop, on_late, h);
    h->retry = evtimer_new(hot->loop, on_retry, h);
    *home = h;
    open_connection(h);
    int64_t until = now_ms() + HOT_TIMEOUT_MS;
    for (int64_t left; h->context && !h->up && (left = until - now_ms()) > 0;)
        redis_wait(h, (int)left);
    return ERR_OK;
}

static bool redis_is_up(const void *home)
{
    return ((const Home *)home)->up;
}

static const char *redis_trouble(const void *home)
{
    const Home *h = home;
    return h->up ? "" : h->trouble[0] ? h->trouble : "it does not answer yet";
}

static void redis_begin(void *home, HotCall *call)
{
    static const Str SCRIPTS[] = { [HOT_PUT] = STR(SCRIPT_PUT), [HOT_PUT_NEW] = STR(SCRIPT_PUT_NEW), [HOT_CHANGE] = STR(SCRIPT_CHANGE), [HOT_ADD] = STR(SCRIPT_ADD) };
    Home *h = home;
    Buf key = { 0 };
    put_tenant(&key, call->tenant);
    buf_put_str(&key, call->key);
    if (call->kind == HOT_PRUNE)                            /* PEXPIRE has done it */
        hot_finish(call);
    else if (!h->up)
        hot_fail(call, ERR_IO, "could not reach Redis: %s", redis_trouble(h));
    else if (call->kind == HOT_READ)
        send_pair(h, call, STR("HGETALL"), buf_str(&key));
    else if (call->kind == HOT_ERASE)
        send_pair(h, call, STR("UNLINK"), buf_str(&key));
    else if (call->kind == HOT_ERASE_PREFIX)
        begin_sweep(h, call);
    else
        send_script(h, call, SCRIPTS[call->kind], buf_str(&key));
    buf_free(&key);
}

const HotOps HOT_REDIS = {
    .kind = "redis", .open = redis_open, .close = redis_close, .is_up = redis_is_up, .trouble = redis_trouble, .begin = redis_begin, .wait = redis_wait,
};
