/* redis_runs.h - batches as words for the script of the session store, and the script's answer as their results.
 *
 * The script is redis_runs.lua; what it keeps where is written there. ERR_UNSUPPORTED, before anything is sent, for what is no part of a run.
 */
#ifndef STORE_REDIS_RUNS_H
#define STORE_REDIS_RUNS_H
#include "interpreter/store/redis_conn.h"
#include "interpreter/store/store_internal.h"

enum { SESSION_TTL_MS = 24 * 60 * 60 * 1000 };                         /* a run lives this long after its last write, or up to a minute less */

Str  redis_runs_script(void);
void redis_batches_begin(RedisWords *words, Str script_sha);                         /* the command, ready for batches */
Err  redis_batch_put(StoreBatch *batch, RedisWords *words, Error *error);             /* texts in the batch's arena; on an error nothing of it is there */
/* The answer to the n-th batch that was put. ERR_IO also for what the server refused to write (memory). */
Err  redis_batch_take(StoreBatch *batch, const struct redisReply *reply, uint32_t n, bool *changed, Error *error);
#endif
