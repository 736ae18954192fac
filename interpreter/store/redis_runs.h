/* redis_runs.h - a batch as words for the script of the session store, and the script's answer as the batch's results.
 *
 * The script is redis_runs.lua; what it keeps where is written there. ERR_UNSUPPORTED, before anything is sent, for what is no part of a run.
 */
#ifndef STORE_REDIS_RUNS_H
#define STORE_REDIS_RUNS_H
#include "interpreter/store/redis_conn.h"
#include "interpreter/store/store_internal.h"

enum { SESSION_TTL_MS = 24 * 60 * 60 * 1000 };                         /* a run lives this long after its last write */

Str  redis_runs_script(void);
Err  redis_batch_put(StoreBatch *batch, RedisWords *words, Error *error);             /* everything behind the script's name; texts in the batch's arena */
Err  redis_batch_take(StoreBatch *batch, const struct redisReply *reply, bool *changed, Error *error);
#endif
