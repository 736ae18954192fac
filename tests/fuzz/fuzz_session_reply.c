/* fuzz_session_reply.c - whatever a Redis answers for a batch of the session store is taken as its results or refused with a reason. The bytes grow a tree of
 * replies, so that shapes are tried and not only the library's parser. */
#include <hiredis/hiredis.h>

#include "interpreter/store/redis_runs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TREE_DEPTH = 5, TREE_WIDTH = 40 };

typedef struct Seed { const uint8_t *at, *end; Arena *arena; } Seed;

static uint8_t next(Seed *seed) { return seed->at < seed->end ? *seed->at++ : 0; }

static redisReply *grow(Seed *seed, int depth)
{
    static const int TYPES[] = { REDIS_REPLY_ARRAY, REDIS_REPLY_INTEGER, REDIS_REPLY_STRING, REDIS_REPLY_NIL, REDIS_REPLY_STATUS, REDIS_REPLY_ERROR, REDIS_REPLY_ARRAY, REDIS_REPLY_STRING };
    redisReply *reply = ARENA_NEW(seed->arena, redisReply);
    reply->type = TYPES[next(seed) % 8];
    if (reply->type == REDIS_REPLY_ARRAY) {
        reply->elements = depth < TREE_DEPTH ? next(seed) % TREE_WIDTH : 0;
        reply->element = ARENA_ARRAY(seed->arena, redisReply *, reply->elements + 1);
        for (size_t i = 0; i < reply->elements; i++) reply->element[i] = grow(seed, depth + 1);
    } else if (reply->type == REDIS_REPLY_INTEGER)
        reply->integer = (int8_t)next(seed);
    else if (reply->type != REDIS_REPLY_NIL) {
        size_t len = next(seed), left = (size_t)(seed->end - seed->at);
        if (len > left) len = left;
        char *text = arena_alloc(seed->arena, len + 1);
        memcpy(text, seed->at, len);
        text[len] = 0;
        seed->at += len;
        reply->str = text;
        reply->len = len;
    }
    return reply;
}

static StoreBatch *ask_everything(Arena *arena)
{
    StoreBatch *batch = store_batch_in(arena, NULL, STR("acme"), STR("r1"), 1);
    store_get_run(batch, STR("r1"));
    store_list_runs(batch, &(RunFilter){ .status = -1 });
    store_get_snapshot(batch);
    store_get_journal(batch, STR("r1"), 0, 10);
    store_get_mail(batch, 10);
    store_claim(batch, STR("w"), 1, 2, 10, (Str){ "", 0 });
    store_next_due(batch);
    return batch;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena *arena = arena_new();
    Seed seed = { data, data + size, arena };
    Error error = { 0 };
    bool changed;
    StoreBatch *batch = ask_everything(arena);
    redisReply *inner = grow(&seed, 1), *outer = ARENA_NEW(arena, redisReply);
    if (inner->type == REDIS_REPLY_ARRAY && inner->elements >= 2) inner->element[0]->type = next(&seed) % 4 ? REDIS_REPLY_INTEGER : inner->element[0]->type;
    *outer = (redisReply){ .type = REDIS_REPLY_ARRAY, .elements = 1, .element = &inner };
    if (redis_batch_take(batch, outer, 0, &changed, &error) && !error.text[0]) abort();
    arena_free(arena);
    return 0;
}
