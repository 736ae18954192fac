/* redis_runs.c - the operations of a batch in the words of redis_runs.lua. */
#include "interpreter/store/redis_runs.h"

#include "interpreter/store/journal_row.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

/* The columns of a run, texts and numbers, in the order in which the script gives them. */
#define RUN_TEXTS(X) X(tenant) X(run_id) X(module_hash) X(func_name) X(user) X(user_name) X(correlation) X(causation) X(input) X(input_json) \
    X(result_json) X(waits_json) X(concurrency_key) X(limit_key) X(worker) X(scopes)
#define RUN_NUMBERS(X) X(func) X(status) X(hops) X(limit_count) X(priority) X(epoch) X(lease_until_us) X(last_seq) X(snapshot_seq) X(created_us) X(updated_us) \
    X(started_us) X(ended_us) X(durability) X(cancel_requested)
#define AS_LUA(name) "'" #name "',"
#define AS_ONE(name) + 1
#define AS_TEXT(x) AS_TEXT_(x)
#define AS_TEXT_(x) #x
#define TTL_IN_THE_SCRIPT 86400000
enum { RUN_FIELDS = 0 RUN_TEXTS(AS_ONE) RUN_NUMBERS(AS_ONE) };
_Static_assert((int)SESSION_TTL_MS == TTL_IN_THE_SCRIPT, "one number");

Str redis_runs_script(void)
{
    static const char SCRIPT[] =
        "local TTL_MS = " AS_TEXT(TTL_IN_THE_SCRIPT) "\n"
        "local FIELDS = {" RUN_TEXTS(AS_LUA) RUN_NUMBERS(AS_LUA) "}\n"
#include "interpreter/store/redis_runs.lua.h"
        ;
    return (Str){ SCRIPT, sizeof SCRIPT - 1 };
}

/* ---- words --------------------------------------------------------------------------------------------------- */

typedef struct Put { StoreBatch *batch; RedisWords *words; } Put;

static void put_number(const Put *put, int64_t number)
{
    redis_put_word(put->words, str_of(arena_printf(put->batch->arena, "%lld", (long long)number)));
}

static void put_limit(const Put *put, uint32_t limit)
{
    put_number(put, limit ? limit : INT64_C(1) << 40);
}

static Str prefix_of(StoreBatch *batch, Str tenant, Str run_id)
{
    Buf text = { 0 };
    redis_put_tenant(&text, tenant);
    buf_put_text(&text, "session:");
    buf_put_str(&text, run_id);
    Str kept = arena_str(batch->arena, buf_str(&text));
    buf_free(&text);
    return kept;
}

static Err check_tenant(const StoreBatch *batch, Str tenant, Error *error)
{
    if (batch->tenant.len && !str_eq(batch->tenant, tenant))
        return err_set(error, ERR_INVALID, "cannot write a row of tenant `%.*s` in a batch of `%.*s`", STR_ARG(tenant), STR_ARG(batch->tenant));
    return ERR_OK;
}

static Err put_run(const Put *put, const StoreOp *op, Error *error)
{
    const RunRow *r = op->row;
    if (r->tenant.len == 0 || r->run_id.len == 0)
        return err_set(error, ERR_INVALID, "cannot store a run without a tenant and an id");
    redis_put_word(put->words, STR("put_run"));
    put_number(put, op->or_ignore);
    redis_put_word(put->words, prefix_of(put->batch, r->tenant, r->run_id));
#define PUT_TEXT(name) redis_put_word(put->words, r->name);
#define PUT_NUMBER(name) put_number(put, (int64_t)r->name);
    RUN_TEXTS(PUT_TEXT)
    RUN_NUMBERS(PUT_NUMBER)
    return check_tenant(put->batch, r->tenant, error);
}

static Err update_run(const Put *put, const StoreOp *op, Error *error)
{
    const RunRow *r = op->row;
    redis_put_word(put->words, STR("update_run"));
    put_number(put, r->status);
    redis_put_word(put->words, r->result_json);
    redis_put_word(put->words, r->waits_json);
    const int64_t numbers[] = { (int64_t)r->last_seq, (int64_t)r->snapshot_seq, r->updated_us, r->started_us, r->ended_us, r->lease_until_us };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        put_number(put, numbers[i]);
    return ERR_OK;
}

static Err append_journal(const Put *put, const StoreOp *op, Error *error)
{
    JournalRow row = *(const JournalRow *)op->row;
    Buf bytes = { 0 };
    Err err = op->encode ? op->encode(put->batch, (int)op->number, &row, op->encode_arg, error) : ERR_OK;
    if (err)
        return err;
    if ((err = journal_row_check(&row, error)))
        return err;
    buf_put_varint(&bytes, row.seq);
    buf_put_zigzag(&bytes, row.ended_us);
    journal_row_put(&row, &bytes);
    redis_put_word(put->words, STR("append_journal"));
    put_number(put, (int64_t)row.seq);
    redis_put_word(put->words, arena_str(put->batch->arena, buf_str(&bytes)));
    buf_free(&bytes);
    return ERR_OK;
}

static Err set_timer(const Put *put, const StoreOp *op, Error *error)
{
    const TimerRow *r = op->row;
    redis_put_word(put->words, STR("set_timer"));
    redis_put_word(put->words, prefix_of(put->batch, r->tenant, r->run_id));
    put_number(put, (int64_t)r->request);
    put_number(put, r->due_us);
    return check_tenant(put->batch, r->tenant, error);
}

static Err put_mail(const Put *put, const StoreOp *op, Error *error)
{
    const MailRow *r = op->row;
    Buf bytes = { 0 };
    buf_put_u8(&bytes, (uint8_t)r->kind);
    buf_put_varint(&bytes, r->request);
    buf_put_zigzag(&bytes, r->created_us);
    buf_put_bytes(&bytes, r->mail_id);
    buf_put_bytes(&bytes, r->name);
    buf_put_bytes(&bytes, r->payload);
    redis_put_word(put->words, STR("put_mail"));
    redis_put_word(put->words, prefix_of(put->batch, r->tenant, r->run_id));
    redis_put_word(put->words, r->mail_id);
    redis_put_word(put->words, r->kind == MAIL_EVENT ? STR("event") : STR("other"));
    put_number(put, r->kind == MAIL_CANCEL);
    put_number(put, r->created_us);
    redis_put_word(put->words, arena_str(put->batch->arena, buf_str(&bytes)));
    buf_free(&bytes);
    return check_tenant(put->batch, r->tenant, error);
}

static Err put_claim(const Put *put, const StoreOp *op, Error *error)
{
    int64_t until;
    if (__builtin_add_overflow(op->now_us, op->lease_us, &until))
        return err_set(error, ERR_INVALID, "cannot claim for a time beyond all times");
    redis_put_word(put->words, STR("claim"));
    redis_put_word(put->words, op->text);
    put_number(put, op->now_us);
    put_number(put, until);
    put_number(put, op->limit);
    redis_put_word(put->words, op->more.len ? prefix_of(put->batch, put->batch->tenant, op->more) : (Str){ 0 });
    put_number(put, (int64_t)op->number);
    return ERR_OK;
}

static Err list_runs(const Put *put, const StoreOp *op, Error *error)
{
    const RunFilter *f = op->row;
    redis_put_word(put->words, STR("list_runs"));
    put_number(put, f->any_tenant);
    redis_put_word(put->words, f->correlation);
    redis_put_word(put->words, f->func_name);
    put_number(put, f->status);
    put_number(put, f->unended);
    redis_put_word(put->words, f->worker);
    put_number(put, f->called);
    redis_put_word(put->words, f->user);
    put_number(put, f->until_us);
    put_limit(put, f->limit);
    return ERR_OK;
}

/* An operation's name and one or two plain arguments. */
static Err put_plain(const Put *put, const char *name, const int64_t *number, const Str *text)
{
    redis_put_word(put->words, str_of(name));
    if (number)
        put_number(put, *number);
    if (text)
        redis_put_word(put->words, *text);
    return ERR_OK;
}

static Err get_journal(const Put *put, const StoreOp *op)
{
    Str prefix = prefix_of(put->batch, put->batch->tenant, op->text);
    put_plain(put, "get_journal", NULL, &prefix);
    put_number(put, (int64_t)op->number);
    put_limit(put, op->limit);
    return ERR_OK;
}

static Err put_op(const Put *put, const StoreOp *op, Error *error)
{
    int64_t number = (int64_t)op->number;
    switch (op->kind) {
    case DO_PUT_RUN:        return put_run(put, op, error);
    case DO_UPDATE_RUN:     return update_run(put, op, error);
    case DO_APPEND_JOURNAL: return append_journal(put, op, error);
    case DO_PUT_SNAPSHOT:   return put_plain(put, "put_snapshot", &number, &op->bytes);
    case DO_SET_TIMER:      return set_timer(put, op, error);
    case DO_CLEAR_TIMER:    return put_plain(put, "clear_timer", &number, NULL);
    case DO_SETTLE:         return ERR_OK;                  /* nothing is kept aside */
    case DO_CLEAR_WAIT:     return ERR_OK;                  /* no run here waits for an event */
    case DO_PUT_MAIL:       return put_mail(put, op, error);
    case DO_TAKE_MAIL:      return put_plain(put, "take_mail", NULL, &op->text);
    case DO_DROP_MAIL:      return put_plain(put, "drop_mail", NULL, &op->text);
    case DO_RELEASE:        return put_plain(put, "release", &number, NULL);
    case DO_RENEW:          return put_plain(put, "renew", &op->lease_us, NULL);
    case DO_CLAIM:          return put_claim(put, op, error);
    case DO_GET_RUN:        return put_plain(put, "get_run", NULL, &op->text);
    case DO_LIST_RUNS:      return list_runs(put, op, error);
    case DO_GET_SNAPSHOT:   return put_plain(put, "get_snapshot", NULL, NULL);
    case DO_GET_JOURNAL:    return get_journal(put, op);
    case DO_GET_MAIL:       put_plain(put, "get_mail", NULL, NULL), put_limit(put, op->limit); return ERR_OK;
    case DO_NEXT_DUE:       return put_plain(put, "next_due", NULL, NULL);
    case DO_NEXT_CLAIM:     return put_plain(put, "next_claim", NULL, &op->text);
    default:                return err_set(error, ERR_UNSUPPORTED, "cannot do this in the session store: it keeps runs alone, no tables, modules, events or blobs");
    }
}

void redis_batches_begin(RedisWords *words, Str script_sha)
{
    redis_words_clear(words);
    redis_put_word(words, STR("EVALSHA"));
    redis_put_word(words, script_sha);
    redis_put_word(words, STR("0"));                        /* keys */
}

Err redis_batch_put(StoreBatch *batch, RedisWords *words, Error *error)
{
    const Put put = { batch, words };
    int first = words->count;
    redis_put_word(words, (Str){ 0 });                      /* how many follow */
    redis_put_word(words, batch->run_id.len ? prefix_of(batch, batch->tenant, batch->run_id) : (Str){ 0 });
    redis_put_word(words, batch->tenant.len ? prefix_of(batch, batch->tenant, (Str){ 0 }) : (Str){ 0 });
    put_number(&put, (int64_t)batch->epoch);
    Err err = ERR_OK;
    for (const StoreOp *op = batch->first; op && !err; op = op->next)
        err = put_op(&put, op, error);
    if (err)
        words->count = first;
    else
        redis_set_word(words, first, str_of(arena_printf(batch->arena, "%d", words->count - first - 1)));
    return err;
}

/* ---- results --------------------------------------------------------------------------------------------------- */

static Str text_of(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? (Str){ reply->str, reply->len } : (Str){ 0 };
}

static int64_t number_of(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, NULL, 10) : 0;
}

static Err corrupt(Error *error)
{
    return err_set(error, ERR_CORRUPT, "cannot read the session store: a row is not what it should be");
}

static Err take_runs(StoreBatch *batch, StoreSlot *slot, const redisReply *rows, size_t first, Error *error)
{
    RunRow *out = ARENA_ARRAY(batch->arena, RunRow, rows->elements);
    for (size_t i = first; i < rows->elements; i++) {
        const redisReply *row = rows->element[i];
        if (row->type != REDIS_REPLY_ARRAY || row->elements != RUN_FIELDS)
            return corrupt(error);
        size_t at = 0;
        RunRow *r = &out[i - first];
#define TAKE_TEXT(name) r->name = arena_str(batch->arena, text_of(row->element[at++]));
#define TAKE_NUMBER(name) r->name = (__typeof__(r->name))number_of(row->element[at++]);
        RUN_TEXTS(TAKE_TEXT)
        RUN_NUMBERS(TAKE_NUMBER)
    }
    slot->rows = out;
    slot->count = (uint32_t)(rows->elements - first);
    return ERR_OK;
}

/* Whether there are more, how many of the first were taken over, the runs. */
static Err take_claimed(StoreBatch *batch, StoreSlot *slot, const redisReply *reply, Error *error)
{
    if (reply->elements < 2)
        return corrupt(error);
    slot->found = number_of(reply->element[0]) != 0;
    slot->seq = (uint64_t)number_of(reply->element[1]);
    return take_runs(batch, slot, reply, 2, error);
}

static Err take_journal(StoreBatch *batch, StoreSlot *slot, const redisReply *rows, Error *error)
{
    JournalRow *out = ARENA_ARRAY(batch->arena, JournalRow, rows->elements);
    for (size_t i = 0; i < rows->elements; i++) {
        Reader r = reader_of(arena_str(batch->arena, text_of(rows->element[i])));
        JournalRow *row = &out[i];
        row->seq = read_varint(&r);
        row->ended_us = read_zigzag(&r);
        if (r.failed || journal_row_read(read_raw(&r, reader_left(&r)), row, NULL))
            return corrupt(error);
    }
    slot->rows = out;
    slot->count = (uint32_t)rows->elements;
    return ERR_OK;
}

static Err take_mail(StoreBatch *batch, StoreSlot *slot, const redisReply *rows, Error *error)
{
    MailRow *out = ARENA_ARRAY(batch->arena, MailRow, rows->elements);
    for (size_t i = 0; i < rows->elements; i++) {
        Reader r = reader_of(arena_str(batch->arena, text_of(rows->element[i])));
        MailRow *row = &out[i];
        row->tenant = batch->tenant;
        row->run_id = batch->run_id;
        row->kind = (MailKind)read_u8(&r);
        row->request = read_varint(&r);
        row->created_us = read_zigzag(&r);
        row->mail_id = read_bytes(&r, SIZE_MAX);
        row->name = read_bytes(&r, SIZE_MAX);
        row->payload = read_bytes(&r, SIZE_MAX);
        if (r.failed || reader_left(&r))
            return corrupt(error);
    }
    slot->rows = out;
    slot->count = (uint32_t)rows->elements;
    return ERR_OK;
}

static Err take_result(StoreBatch *batch, const StoreOp *op, const redisReply *reply, Error *error)
{
    StoreSlot *slot = store_slot(batch, op);
    if (reply->type != REDIS_REPLY_ARRAY)
        return corrupt(error);
    switch (op->kind) {
    case DO_GET_JOURNAL: return take_journal(batch, slot, reply, error);
    case DO_GET_MAIL:    return take_mail(batch, slot, reply, error);
    case DO_CLAIM:       return take_claimed(batch, slot, reply, error);
    case DO_NEXT_DUE: case DO_NEXT_CLAIM:
        slot->time = reply->elements ? number_of(reply->element[0]) : INT64_MAX;
        return ERR_OK;
    case DO_GET_SNAPSHOT:
        slot->found = reply->elements == 2;
        slot->seq = slot->found ? (uint64_t)number_of(reply->element[0]) : 0;
        slot->bytes = slot->found ? arena_str(batch->arena, text_of(reply->element[1])) : (Str){ 0 };
        return ERR_OK;
    default:
        return take_runs(batch, slot, reply, 0, error);
    }
}

static Err failure(const redisReply *reply, Error *error)
{
    static const struct { const char *name; Err err; } CODES[] = { { "FENCED", ERR_FENCED }, { "NOT_FOUND", ERR_NOT_FOUND }, { "CONFLICT", ERR_CONFLICT }, { "IO", ERR_IO } };
    Str code = text_of(reply->element[0]), words = text_of(reply->element[1]);
    for (size_t i = 0; i < sizeof CODES / sizeof *CODES; i++)
        if (words.len && !memchr(words.ptr, 0, words.len) && str_is(code, CODES[i].name))
            return err_set(error, CODES[i].err, "%.*s", STR_ARG(words));
    return corrupt(error);
}

Err redis_batch_take(StoreBatch *batch, const struct redisReply *answers, uint32_t n, bool *changed, Error *error)
{
    if (answers->type != REDIS_REPLY_ARRAY || answers->elements <= n)
        return corrupt(error);
    const redisReply *reply = answers->element[n];
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2)
        return corrupt(error);
    if (reply->element[0]->type != REDIS_REPLY_INTEGER)
        return failure(reply, error);
    *changed = reply->element[1]->integer != 0;
    size_t at = 2;
    Err err = ERR_OK;
    for (const StoreOp *op = batch->first; op && !err; op = op->next) {
        if (op->result < 0)
            continue;
        err = at < reply->elements ? take_result(batch, op, reply->element[at++], error) : corrupt(error);
    }
    return err;
}
