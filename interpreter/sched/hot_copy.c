/* hot_copy.c - the newest snapshot of a strict run that parked, in Redis too, under {tenant}:session:RUN:state for HOT_COPY_TTL.
 *
 * It is a copy and nothing else: it is put there after the commit that holds the same snapshot, counts only when its number is the one that the run's
 * row names, and is authenticated like any snapshot. Lost, flushed, late or damaged, the run is loaded from the store as if it had never been. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "interpreter/sched/engine_internal.h"

#define HOT_COPY_TTL (24 * 3600 * INT64_C(1000000))

static Str key_of(const LiveRun *run, Arena *arena) { return str_of(arena_printf(arena, "session:%.*s:state", STR_ARG(run->row.run_id))); }

bool hot_copy_wanted(const LiveRun *run) { return !session_is(run) && strcmp(hot_kind(run->engine->hot), "redis") == 0 && hot_is_up(run->engine->hot); }

void hot_copy_put(LiveRun *run) {
    if (run->parked_bytes.len && run->parked_bytes.len <= HOT_VALUE_MAX && hot_copy_wanted(run)) {
        char number[24];
        snprintf(number, sizeof number, "%" PRIu64, run->row.snapshot_seq);
        const HotField fields[] = { { STR("seq"), str_of(number) }, { STR("bytes"), buf_str(&run->parked_bytes) } };
        hot_put(run->engine->hot, run->row.tenant, key_of(run, run->arena), fields, 2, engine_now(run->engine), HOT_COPY_TTL, NULL, NULL);
    }
    buf_free(&run->parked_bytes);
}

void hot_copy_erase(LiveRun *run) {
    if (run->row.snapshot_seq && hot_copy_wanted(run)) hot_erase(run->engine->hot, run->row.tenant, key_of(run, run->arena), NULL, NULL);
}

static void came(const HotResult *result, void *arg) {
    LiveRun *run = arg;
    char number[24];
    bool same = false;
    snprintf(number, sizeof number, "%" PRIu64, run->row.snapshot_seq);
    run->busy = false;
    for (uint32_t i = 0; i < result->count && !result->err && result->found; i++)
        if (str_is(result->fields[i].name, "seq")) same = str_is(result->fields[i].value, number);
    for (uint32_t i = 0; i < result->count && same && !run->dead; i++)
        if (str_is(result->fields[i].name, "bytes")) run->hot_bytes = arena_str(run->arena, result->fields[i].value);
    if (!run->dead) live_load(run);
    live_callback_done(run);
}

bool hot_copy_ask(LiveRun *run) {
    if (run->hot_asked || !run->row.snapshot_seq || !hot_copy_wanted(run)) return false;
    run->hot_asked = run->busy = true;
    run->callbacks++;
    hot_read(run->engine->hot, run->row.tenant, key_of(run, run->arena), engine_now(run->engine), came, run);
    return true;
}
