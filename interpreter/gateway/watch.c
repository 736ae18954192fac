/* watch.c - calls that wait for a run, and how they hear of it wherever it is worked on.
 *
 * A run that lives in this process is told of by the engine's hooks. Of any other its row is read: soon after it was left here, and whenever the store
 * calls; and so that it does, whoever has the run is asked, once, to call (engine_watch). Nothing is polled while the store can call. Runs that are parked
 * are read again with pauses that grow with their number, since many may wait for long. */
#include "interpreter/gateway/gateway_internal.h"

#include <event2/event.h>
#include <stdlib.h>

#include "base/time.h"

#define LOOK_SOON    INT64_C(25000)                      /* the worker of this process may be about to claim it */
#define LOOK_CALLED  INT64_C(2000)                       /* calls come in bursts */
#define LOOK_AGAIN   INT64_C(40000)                      /* and four times that … until its worker must have heard that it is watched */
#define QUIET        INT64_C(200000)
#define QUIET_EACH   INT64_C(1000)
enum { LOOKS_AGAIN = 4 };

struct Watched {
    Gateway *gateway;
    char *key;
    Str tenant, run_id;                                  /* parts of key */
    Call *calls;
    uint32_t visits;                                     /* it is being walked through, or read: not to be freed */
    bool asked, parked;                                  /* look at it next time; it was parked when last read */
    bool told;                                           /* whoever has it calls us */
    int64_t due_us; int looks;                           /* of the looks after it was told, which it may not have heard before its end; 0: none */
    bool reading, again;
    uint32_t place;                                      /* where it is, of engine_place: in those before it was not */
};

static Str key_of(Str tenant, Str run_id, Buf *out) {
    buf_put_str(out, tenant);
    buf_put_char(out, 0);
    buf_put_str(out, run_id);
    return buf_str(out);
}

static Watched *find(Gateway *gateway, Str tenant, Str run_id) {
    if (gateway->watched.count == 0) return NULL;
    Buf key = { 0 };
    Watched *w = map_find(&gateway->watched, key_of(tenant, run_id, &key));
    buf_free(&key);
    return w;
}

static void free_unless_wanted(Watched *w) {
    if (w->calls || w->visits) return;
    map_remove(&w->gateway->watched, (Str){ w->key, w->tenant.len + 1 + w->run_id.len });
    free(w->key);
    free(w);
}

/* While the store owes an answer. */
static void hold(Watched *w) {
    w->visits++;
    gateway_hold(w->gateway);
}

static void let_go(Watched *w) {
    Gateway *gateway = w->gateway;
    w->visits--;
    free_unless_wanted(w);
    gateway_release(gateway);
}

static void arm(Gateway *gateway, int64_t after_us) {
    struct timeval wait = { after_us / TIME_SECOND, after_us % TIME_SECOND }, due, now;
    if (event_pending(gateway->look_timer, EV_TIMEOUT, &due)) {
        event_base_gettimeofday_cached(engine_loop(gateway->options.engine), &now);
        int64_t left = (due.tv_sec - now.tv_sec) * TIME_SECOND + (due.tv_usec - now.tv_usec);
        if (left <= after_us) return;
    }
    event_add(gateway->look_timer, &wait);
}

void watch_run(Call *call, Str tenant, Str run_id) {
    Gateway *gateway = call->gateway;
    Watched *w = find(gateway, tenant, run_id);
    if (!w) {
        Buf key = { 0 };
        key_of(tenant, run_id, &key);
        w = mem_alloc(sizeof *w);
        w->gateway = gateway;
        w->key = mem_alloc(key.len + 1);
        memcpy(w->key, key.ptr, key.len);
        w->tenant = (Str){ w->key, tenant.len };
        w->run_id = (Str){ w->key + tenant.len + 1, run_id.len };
        map_put(&gateway->watched, (Str){ w->key, key.len }, w);
        buf_free(&key);
    }
    call->watched = w;
    call->watch_next = w->calls;
    w->calls = call;
    if (!engine_is_live(gateway->options.engine, tenant, run_id)) w->asked = true, arm(gateway, LOOK_SOON);
}

void watch_end(Call *call) {
    Watched *w = call->watched;
    if (!w) return;
    for (Call **at = &w->calls; *at; at = &(*at)->watch_next)
        if (*at == call) { *at = call->watch_next; break; }
    call->watched = NULL;
    free_unless_wanted(w);
}

/* A call that hears may end; no other one does by it. */
static void tell(Watched *w, const RunRow *run, const JournalRow *row) {
    w->visits++;
    for (Call *call = w->calls, *next; call; call = next) {
        next = call->watch_next;
        if (row) { if (call->noted) call->noted(call, run, row); }
        else if (call->moved) call->moved(call, run);
    }
    w->visits--;
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */

static void look(Watched *w);

static void watch_asked(Err err, void *arg) {
    Watched *w = arg;
    if (err != ERR_OK && err != ERR_CONFLICT) w->told = false;           /* the store was away; the next look asks again */
    else w->looks = 0, w->due_us = clock_monotonic() + LOOK_AGAIN, arm(w->gateway, LOOK_AGAIN);
    if (err == ERR_CONFLICT && w->calls) look(w);        /* it may have ended in between */
    let_go(w);
}

static void ask_to_call(Watched *w, const RunRow *run) {
    w->told = true;
    hold(w);
    engine_watch(w->gateway->options.engine, run, watch_asked, w);
}

static void looked(const StoreResult *result, void *arg) {
    Watched *w = arg;
    Gateway *gateway = w->gateway;
    uint32_t count = 0;
    const RunRow *run = result->err ? NULL : store_runs(result->batch, 0, &count);
    bool found = count > 0 && str_eq(run->run_id, w->run_id), gone = !found && (!result->err || result->err == ERR_NOT_FOUND);
    w->reading = false;
    if (gone && engine_place(gateway->options.engine, w->place + 1)) w->place++, w->again = true;
    else if (gone) tell(w, NULL, NULL);
    if (found) {
        w->parked = run->status == RUN_PARKED;
        bool live = engine_is_live(gateway->options.engine, w->tenant, w->run_id);
        if (!live || !run_status_ended(run->status)) tell(w, run, NULL);
        if (w->calls && !run_status_ended(run->status) && !live && !w->told) ask_to_call(w, run);
    }
    if (w->again && w->calls) w->again = false, look(w);
    let_go(w);
}

static void look(Watched *w) {
    Engine *engine = w->gateway->options.engine;
    if (w->reading) { w->again = true; return; }
    w->reading = true;
    w->asked = false;
    hold(w);
    StoreBatch *batch = store_batch(engine_place(engine, w->place), w->tenant, w->run_id, 0);
    store_get_run(batch, w->run_id);
    store_submit(batch, looked, w);
}

static bool is_due(Watched *w, int64_t now) {
    if (!w->due_us || w->due_us > now) return false;
    w->due_us = ++w->looks < LOOKS_AGAIN ? now + (LOOK_AGAIN << 2 * w->looks) : 0;
    return true;
}

/* The timer of gateway->look_timer. Without `called` only those that were asked for, and those that are due. */
void watch_look(Gateway *gateway) {
    Engine *engine = gateway->options.engine;
    int64_t now = clock_monotonic(), next = INT64_MAX;
    bool called = gateway->called, left = false;
    uint32_t parked = 0;
    gateway->called = false;
    MAP_EACH(&gateway->watched, entry) {
        Watched *w = entry->value;
        bool asked = is_due(w, now) || w->asked;
        if (w->due_us && w->due_us < next) next = w->due_us;
        if ((!called && !asked) || engine_is_live(engine, w->tenant, w->run_id)) continue;
        if (w->parked && !asked && now < gateway->quiet_us) { left = true; continue; }
        parked += w->parked;
        look(w);
    }
    if (parked) gateway->quiet_us = now + QUIET + (int64_t)parked * QUIET_EACH;
    if (left) {
        gateway->called = true;
        if (gateway->quiet_us < next) next = gateway->quiet_us;
    }
    if (next != INT64_MAX) arm(gateway, next > now ? next - now : 0);
}

void watch_look_soon(Gateway *gateway, Str tenant, Str run_id) {
    Watched *w = find(gateway, tenant, run_id);
    if (!w) return;
    w->asked = true;
    arm(gateway, LOOK_SOON);
}

void watch_close(Gateway *gateway) { map_free(&gateway->watched); }

/* ---- the engine's hooks --------------------------------------------------------------------------------------------- */

void gateway_on_note(Gateway *gateway, const RunRow *run, const JournalRow *row) {
    Watched *w = find(gateway, run->tenant, run->run_id);
    if (!w) return;
    tell(w, run, row);
    free_unless_wanted(w);
}

void gateway_on_settled(Gateway *gateway, const RunRow *run) {
    Watched *w = find(gateway, run->tenant, run->run_id);
    if (!w) return;
    if (!run_status_ended(run->status)) { look(w); return; }             /* what it waits for stands in its row */
    tell(w, run, NULL);
    free_unless_wanted(w);
}

void gateway_on_call(Gateway *gateway) {
    if (gateway->watched.count == 0) return;
    gateway->called = true;
    arm(gateway, LOOK_CALLED);
}
