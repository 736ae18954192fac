/* sql_runs.h - what the statements about runs share: the columns of a row in their order, and who may start by its key. */
#ifndef STORE_SQL_RUNS_H
#define STORE_SQL_RUNS_H
#include "interpreter/store/sql.h"

#define SQL_RUN_COLUMNS "tenant, run_id, module_hash, func_name, func, status, user_id, user_name, correlation, causation, hops, input, input_json, result_json, " \
    "waits_json, concurrency_key, limit_key, limit_count, priority, epoch, worker, lease_until_us, last_seq, snapshot_seq, created_us, updated_us, started_us, " \
    "ended_us, durability, cancel_requested, scopes"

void sql_take_runs(StoreBatch *batch, StoreSlot *slot, const SqlRows *rows);         /* rows of SQL_RUN_COLUMNS, behind those that the slot has */
Err  sql_claim(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error);              /* sql_claims.c */
Err  sql_next_claim(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error);
Err  sql_free_keys(SqlDb *db, StoreBatch *batch, Str concurrency_key, Str limit_key, Error *error);     /* a run that held them has ended */
#endif
