/* hot.c - hot state before its homes: arguments, order, delivery. */
#include "interpreter/store/hot_internal.h"

#include <assert.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { HOT_SPARE_CALLS = 64, HOT_SPARE_BYTES = 64 << 10 };          /* calls that are kept for the next ones, unless they held more than this */

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
    hot_deliver(arg);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

Err hot_open(const char *url, Store *store, struct event_base *loop, Hot **out, Error *error)
{
    Hot *hot = mem_alloc(sizeof *hot);
    hot->ops = url && *url ? &HOT_REDIS : &HOT_ROWS;
    hot->store = store;
    hot->loop = loop;
    hot->idle = evtimer_new(loop, on_idle, hot);
    Err err = hot->idle ? hot->ops->open(url, hot, &hot->home, error) : err_set(error, ERR_IO, "could not make the event of the hot state");
    if (err) {
        hot_close(hot);
        return err;
    }
    *out = hot;
    return ERR_OK;
}

static void free_call(HotCall *call)
{
    arena_free(call->arena);
    free(call);
}

/* Their home finishes them later, when nobody waits any more. */
static void abandon(HotCall *list)
{
    HotResult closed = { .err = ERR_IO };
    err_set(&closed.error, ERR_IO, "could not reach the hot state: it was closed");
    for (HotCall *call = list, *next; call; call = next) {
        next = call->next;
        call->hot = NULL;
        if (call->done)
            call->done(&closed, call->arg);
    }
}

void hot_close(Hot *hot)
{
    if (!hot)
        return;
    if (hot->home)
        hot->ops->close(hot->home);
    hot_deliver(hot);
    abandon(hot->first);
    abandon(hot->slow);
    for (HotCall *call = hot->spare, *next; call; call = next) {
        next = call->next;
        free_call(call);
    }
    if (hot->idle)
        event_free(hot->idle);
    free(hot);
}

const char *hot_kind(const Hot *hot) { return hot->ops->kind; }
bool hot_is_up(const Hot *hot) { return hot->ops->is_up(hot->home); }
const char *hot_trouble(const Hot *hot) { return hot->ops->trouble(hot->home); }
bool hot_busy(const Hot *hot) { return hot->first || hot->slow; }

void hot_wait(Hot *hot)
{
    assert(!hot->delivering);
    const HotCall *slow = hot->slow;
    bool ready = hot->first && hot->first->finished;
    for (; slow && !ready; slow = slow->next)
        ready = slow->finished;
    if (!ready && hot_busy(hot))
        hot->ops->wait(hot->home, HOT_TIMEOUT_MS);
    hot_deliver(hot);
}

/* ---- calls --------------------------------------------------------------------------------------------- */

static void give_call(Hot *hot, HotCall *call)
{
    if (hot->spare_count == HOT_SPARE_CALLS || arena_size(call->arena) > HOT_SPARE_BYTES) {
        free_call(call);
        return;
    }
    Arena *arena = call->arena;
    arena_reset(arena);
    *call = (HotCall){ .arena = arena, .next = hot->spare };
    hot->spare = call;
    hot->spare_count++;
}

static HotCall *take_call(Hot *hot)
{
    HotCall *call = hot->spare;
    if (call) {
        hot->spare = call->next;
        hot->spare_count--;
        call->next = NULL;
    } else {
        call = mem_alloc(sizeof *call);
        call->arena = arena_new();
    }
    call->hot = hot;
    return call;
}

void hot_keep(HotCall *call)
{
    HotField *fields = ARENA_ARRAY(call->arena, HotField, call->count);
    for (uint32_t i = 0; i < call->count; i++)
        fields[i] = (HotField){ arena_str(call->arena, call->fields[i].name), arena_str(call->arena, call->fields[i].value) };
    call->fields = fields;
    call->tenant = arena_str(call->arena, call->tenant);
    call->key = arena_str(call->arena, call->key);
    call->field = arena_str(call->arena, call->field);
    call->expected = arena_str(call->arena, call->expected);
}

void hot_finish(HotCall *call)
{
    Hot *hot = call->hot;
    call->finished = true;
    call->result.error.code = call->result.err;
    if (!hot)
        free_call(call);
    else if (!event_pending(hot->idle, EV_TIMEOUT, NULL))
        event_add(hot->idle, &(struct timeval){ 0, 0 });
}

void hot_fail(HotCall *call, Err err, const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    call->result = (HotResult){ .err = err };
    err_set(&call->result.error, err, "%s", text);
    hot_finish(call);
}

static void hand_over(Hot *hot, HotCall *call)
{
    if (call->done)
        call->done(&call->result, call->arg);
    give_call(hot, call);
}

void hot_deliver(Hot *hot)
{
    if (hot->delivering)
        return;
    hot->delivering = true;
    while (hot->first && hot->first->finished) {
        HotCall *call = hot->first;
        hot->first = call->next;
        if (!hot->first)
            hot->last = NULL;
        hand_over(hot, call);
    }
    for (HotCall **at = &hot->slow; *at;) {
        HotCall *call = *at;
        if (!call->finished) {
            at = &call->next;
            continue;
        }
        *at = call->next;
        hand_over(hot, call);
        at = &hot->slow;                                    /* `done` may have changed the list */
    }
    hot->delivering = false;
}

/* ---- arguments ------------------------------------------------------------------------------------------ */

static Err check_name(const char *what, Str name, Error *error)
{
    if (name.len > HOT_KEY_MAX)
        return err_set(error, ERR_LIMIT, "cannot use a %s of %zu bytes: more than %d (HOT_KEY_MAX)", what, name.len, HOT_KEY_MAX);
    if (!utf8_valid(name) || (name.len && memchr(name.ptr, 0, name.len)))
        return err_set(error, ERR_INVALID, "cannot use a %s that is not UTF-8 or holds a NUL", what);
    return ERR_OK;
}

static Err check(const HotCall *call, Error *error)
{
    if (call->kind == HOT_PRUNE)
        return ERR_OK;
    size_t bytes = 0;
    Err err = check_name("tenant", call->tenant, error);
    if (!err)
        err = check_name("key", call->key, error);
    if (!err)
        err = check_name("field name", call->field, error);
    if (!err && (call->tenant.len == 0 || (call->key.len == 0 && call->kind != HOT_ERASE_PREFIX)))
        err = err_set(error, ERR_INVALID, "cannot use an entry without a %s", call->tenant.len ? "key" : "tenant");
    if (!err && call->count > HOT_FIELDS_MAX)
        err = err_set(error, ERR_LIMIT, "cannot keep %u fields in an entry: more than %d (HOT_FIELDS_MAX)", call->count, HOT_FIELDS_MAX);
    for (uint32_t i = 0; i < call->count && !err; i++) {
        bytes += call->fields[i].value.len;
        err = check_name("field name", call->fields[i].name, error);
        if (!err && str_starts(call->fields[i].name, STR("$")))
            err = err_set(error, ERR_INVALID, "cannot use the field `%.*s`: names that begin with $ are reserved", STR_ARG(call->fields[i].name));
    }
    if (!err && bytes > HOT_VALUE_MAX)
        err = err_set(error, ERR_LIMIT, "cannot keep %zu bytes in an entry: more than %d (HOT_VALUE_MAX)", bytes, HOT_VALUE_MAX);
    return err;
}

/* The end of the time to live; one beyond all time is none. */
static int64_t end_of(int64_t now_us, int64_t ttl_us)
{
    int64_t end;
    return ttl_us <= 0 || __builtin_add_overflow(now_us, ttl_us, &end) ? INT64_MAX : end;
}

static void begin(Hot *hot, const HotCall *template)
{
    HotCall *call = take_call(hot);
    Arena *arena = call->arena;
    *call = *template;
    call->hot = hot;
    call->arena = arena;
    if (call->kind == HOT_ERASE_PREFIX || call->kind == HOT_PRUNE) {
        call->next = hot->slow;
        hot->slow = call;
    } else {
        if (hot->last)
            hot->last->next = call;
        else
            hot->first = call;
        hot->last = call;
    }
    Error error;
    Err err = check(call, &error);
    if (err)
        hot_fail(call, err, "%s", error.text);
    else
        hot->ops->begin(hot->home, call);
}

void hot_read(Hot *hot, Str tenant, Str key, int64_t now_us, HotDone done, void *arg)
{
    begin(hot, &(HotCall){ .kind = HOT_READ, .tenant = tenant, .key = key, .now_us = now_us, .done = done, .arg = arg });
}

void hot_put(Hot *hot, Str tenant, Str key, const HotField *fields, uint32_t count, int64_t now_us, int64_t ttl_us, HotDone done, void *arg)
{
    begin(hot, &(HotCall){ .kind = HOT_PUT, .tenant = tenant, .key = key, .fields = fields, .count = count, .now_us = now_us, .ends_us = end_of(now_us, ttl_us), .done = done, .arg = arg });
}

void hot_put_new(Hot *hot, Str tenant, Str key, Str value, int64_t now_us, int64_t ttl_us, HotDone done, void *arg)
{
    const HotField field = { .value = value };
    begin(hot, &(HotCall){ .kind = HOT_PUT_NEW, .tenant = tenant, .key = key, .fields = &field, .count = 1, .now_us = now_us, .ends_us = end_of(now_us, ttl_us), .done = done, .arg = arg });
}

void hot_change(Hot *hot, Str tenant, Str key, Str field, Str expected, const HotField *fields, uint32_t count, int64_t now_us, int64_t ttl_us, HotDone done, void *arg)
{
    begin(hot, &(HotCall){ .kind = HOT_CHANGE, .tenant = tenant, .key = key, .field = field, .expected = expected, .fields = fields, .count = count, .now_us = now_us,
                           .ends_us = end_of(now_us, ttl_us), .done = done, .arg = arg });
}

void hot_add(Hot *hot, Str tenant, Str key, int64_t by, int64_t now_us, int64_t ttl_us, HotDone done, void *arg)
{
    begin(hot, &(HotCall){ .kind = HOT_ADD, .tenant = tenant, .key = key, .by = by, .now_us = now_us, .ends_us = end_of(now_us, ttl_us), .done = done, .arg = arg });
}

void hot_erase(Hot *hot, Str tenant, Str key, HotDone done, void *arg)
{
    begin(hot, &(HotCall){ .kind = HOT_ERASE, .tenant = tenant, .key = key, .done = done, .arg = arg });
}

void hot_erase_prefix(Hot *hot, Str tenant, Str prefix, HotDone done, void *arg)
{
    begin(hot, &(HotCall){ .kind = HOT_ERASE_PREFIX, .tenant = tenant, .key = prefix, .done = done, .arg = arg });
}

void hot_prune(Hot *hot, int64_t now_us, uint32_t limit, HotDone done, void *arg)
{
    begin(hot, &(HotCall){ .kind = HOT_PRUNE, .now_us = now_us, .by = limit ? limit : INT64_MAX, .done = done, .arg = arg });
}
