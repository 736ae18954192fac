/* hot_rows.c - hot state in rows of the durable store: one batch a call. The row's operations are in sql_hot.c. */
#include "interpreter/store/hot_internal.h"
#include "interpreter/store/store_internal.h"

static Err rows_open(const char *url, Hot *hot, void **home, Error *error)
{
    *home = hot;
    return hot->store ? ERR_OK : err_set(error, ERR_INVALID, "cannot keep hot state: neither a Redis URL nor a store");
}

/* The store finishes what it has; hot_close() tells those who wait. */
static void rows_close(void *home)
{
}

static bool rows_is_up(const void *home)
{
    return true;
}

static const char *rows_trouble(const void *home)
{
    return "";
}

static void on_done(const StoreResult *result, void *arg)
{
    HotCall *call = arg;
    Hot *hot = call->hot;
    if (result->err) {
        call->result = (HotResult){ .err = result->err, .error = result->error };
    } else {
        const StoreSlot *slot = &result->batch->slots[0];
        HotField *fields = ARENA_ARRAY(call->arena, HotField, slot->count);
        const HotField *found = slot->rows;
        for (uint32_t i = 0; i < slot->count; i++)
            fields[i] = (HotField){ arena_str(call->arena, found[i].name), arena_str(call->arena, found[i].value) };
        call->result = (HotResult){ .found = slot->found, .number = slot->time, .fields = fields, .count = slot->count };
    }
    hot_finish(call);
    if (hot)
        hot_deliver(hot);
}

/* The key stands where a run's id does, so that calls for one entry take effect in their order also in a store that reads on a connection of its own. */
static void rows_begin(void *home, HotCall *call)
{
    Hot *hot = home;
    hot_keep(call);
    bool one = call->kind != HOT_ERASE_PREFIX && call->kind != HOT_PRUNE;
    StoreBatch *batch = store_batch(hot->store, call->tenant, one ? call->key : (Str){ 0 }, 0);
    store_add_op(batch, call->kind == HOT_READ ? DO_HOT_READ : DO_HOT_WRITE, true)->row = call;
    store_submit(batch, on_done, call);
}

static void rows_wait(void *home, int timeout_ms)
{
    store_wait(((Hot *)home)->store);
}

const HotOps HOT_ROWS = {
    .kind = "rows", .open = rows_open, .close = rows_close, .is_up = rows_is_up, .trouble = rows_trouble, .begin = rows_begin, .wait = rows_wait,
};
