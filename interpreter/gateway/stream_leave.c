/* stream_leave.c - clients that went away in the middle of a stream whose run ends with them (`cancel on disconnect`).
 *
 * A connection that breaks and one that is closed look the same from here. So the run has GATEWAY_COME_BACK: a client that comes back within it, with
 * Last-Event-ID, to this process, goes on and takes the run over as if it had never been away; else the run is cancelled. */
#include "interpreter/gateway/gateway_internal.h"

#include <stdlib.h>

#include "base/time.h"

struct Leaving {
    Leaving *next;
    Arena *arena;
    RunRow run;                                          /* tenant, id and durability */
    int64_t until_us;
};

void leave_begin(Call *call) {
    Gateway *gateway = call->gateway;
    Leaving *leaving = mem_alloc(sizeof *leaving);
    *leaving = (Leaving){ .next = gateway->leaving, .arena = arena_new(), .until_us = clock_monotonic() + GATEWAY_COME_BACK };
    leaving->run = (RunRow){ .tenant = arena_str(leaving->arena, call->run.tenant), .run_id = arena_str(leaving->arena, call->run.run_id), .durability = call->run.durability };
    gateway->leaving = leaving;
}

static void forget(Leaving **at) {
    Leaving *leaving = *at;
    *at = leaving->next;
    arena_free(leaving->arena);
    free(leaving);
}

bool leave_came_back(Call *call) {
    bool found = false;
    for (Leaving **at = &call->gateway->leaving; *at;)
        if (str_eq((*at)->run.tenant, call->run.tenant) && str_eq((*at)->run.run_id, call->run.run_id)) forget(at), found = true;
        else at = &(*at)->next;
    return found;
}

void leave_look(Gateway *gateway, bool all) {
    int64_t now = clock_monotonic();
    for (Leaving **at = &gateway->leaving; *at;) {
        if (!all && now < (*at)->until_us) { at = &(*at)->next; continue; }
        engine_cancel_soon(gateway->options.engine, &(*at)->run);
        forget(at);
    }
}
