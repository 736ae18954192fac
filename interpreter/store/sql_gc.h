/* sql_gc.h - one page of upkeep, as the operation DO_GC: `number` the part, `now_us` older than, `text` and `more` where the page before ended. */
#ifndef STORE_SQL_GC_H
#define STORE_SQL_GC_H
#include "interpreter/store/sql.h"

typedef enum { GC_RUNS, GC_EVENTS, GC_RATES, GC_PART_COUNT } GcPart;
typedef struct GcPage {
    uint64_t runs, journal_rows, events, dead;
    Str tenant, run_id;                  /* the last one that was looked at; of GC_RATES a key */
    bool more;
} GcPage;

Err sql_gc_rates(SqlDb *db, StoreBatch *batch, StoreOp *op, GcPage *page, Error *error);      /* sql_rates.c */
Err sql_gc(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error);
#endif
