/* perform_cache.c - reads of tables that may come from the cache, and what makes them old.
 *
 * Cache-aside over hot state. A result is the entry cache:{table}:{what was asked}, with the marks that its tables had when it was read; the
 * mark of a table is the entry cachemark:{table}, a new one after every commit that wrote the table. A result counts while its marks are
 * those of now. The marks are read before the database is, so a result that a write overtook never counts.
 *
 * The writing run goes on, and may end, only when its marks are written or refused: one that dies before is taken over, and its tables get new marks.
 *
 * A Fetch is one such read under way, shared by all runs of this worker that ask the same meanwhile (single flight). Across workers the first
 * one takes a lock of short life; the others look again for a while, then ask the database themselves. Rows as home of the hot state need no
 * lock: there the database is asked either way.
 *
 * The cache can only make a read faster: whatever is wrong with it, the database answers. A mark that could not be written is kept in
 * `stale` and written as soon as the cache answers again; until then this worker does not use results over that table.
 */
#include <event2/event.h>
#include <stdlib.h>
#include "interpreter/effect/ids.h"
#include "interpreter/effect/rows.h"
#include "interpreter/sched/engine_internal.h"

enum { LOCK_TTL_US = 2000000, LOOK_AGAIN_US = 25000, LOOKS_MAX = 60, TABLES_MAX = 2 * (QUERY_JOINS_MAX + 1) /* and the members of each */ };

typedef enum { SOURCE_HIT, SOURCE_MISS, SOURCE_SHARED, SOURCE_DATABASE /* the cache could not be asked */ } Source;
typedef struct Waiter { struct Waiter *next; LiveRun *run; uint64_t id; } Waiter;

typedef struct Fetch {
    Engine *engine;
    Arena *arena;
    Image *image;
    const Query *query; uint16_t query_index;
    Str tenant, user, key, map_key;
    Cell *cells;
    Str tables[TABLES_MAX]; uint32_t table_count;
    Str marks[TABLES_MAX];
    bool found, down, locked, sure /* looked again under the lock */;
    Str kept_marks, kept;
    uint32_t outstanding, looks;
    int result;
    struct event *timer;
    Waiter *first, *last;
} Fetch;

/* ---- tables that were written ---------------------------------------------------------------------------------- */

static Str table_key(Arena *arena, Str tenant, Str table) {
    return (Str){ arena_printf(arena, "%.*s%c%.*s", STR_ARG(tenant), 0, STR_ARG(table)), tenant.len + 1 + table.len };
}

/* A run that waits for its marks, with the answer that it will get then; request 0: none. */
typedef struct Held { LiveRun *run; uint64_t request; bool ok, counted; Value value; uint32_t marks; } Held;
typedef struct Marking { Engine *engine; Str tenant, key; Arena *arena; Held *held; } Marking;

static void let_go(Held *held) {
    LiveRun *run = held->run;
    run->busy = false;
    if (run->dead) { if (held->counted) value_release(held->value); }
    else if (held->request) live_deliver(run, held->request, held->ok, held->value);
    else engine_ready(run);
    free(held);
    live_callback_done(run);
}

static void on_marked(const HotResult *result, void *arg) {
    Marking *marking = arg;
    Map *stale = &marking->engine->stale_tables;
    if (result->err && !map_find(stale, marking->key)) {
        Str key = { mem_alloc(marking->key.len), marking->key.len };
        memcpy((char *)key.ptr, marking->key.ptr, key.len);
        map_put(stale, key, marking->engine);
    } else if (!result->err) {
        MAP_EACH(stale, entry) {
            if (!str_eq(entry->key, marking->key)) continue;
            char *kept = (char *)entry->key.ptr;
            map_remove(stale, marking->key);
            free(kept);
            break;
        }
    }
    Held *held = marking->held;
    arena_free(marking->arena);
    free(marking);
    if (held && --held->marks == 0) let_go(held);
}

static void put_mark(Engine *engine, Str tenant, Str table, Held *held) {
    Marking *marking = mem_alloc(sizeof *marking);
    char mark[37];
    *marking = (Marking){ .engine = engine, .arena = arena_new(), .held = held };
    marking->tenant = arena_str(marking->arena, tenant);
    if (held) held->marks++;
    marking->key = table_key(marking->arena, tenant, table);
    ids_uuid7(engine_now(engine), mark);
    Str key = str_of(arena_printf(marking->arena, "cachemark:%.*s", STR_ARG(table)));
    hot_put(engine->hot, marking->tenant, key, &(HotField){ STR(""), str_of(mark) }, 1, engine_now(engine), CACHE_TTL_MAX, on_marked, marking);
}

/* Kept by the run until its commit is durable. Other programs' cached tables are known by name once this worker served one. */
void cache_note_write(LiveRun *run, uint16_t table) {
    const ImageTable *row = &run->image->tables[table];
    if (!row->cached && !map_find(&run->engine->cached_tables, row->name)) return;
    for (uint32_t i = 0; i < run->written_count; i++)
        if (run->written[i] == table) return;
    if (run->written_count == run->written_cap) {
        run->written_cap = run->written_cap ? run->written_cap * 2 : 4;
        run->written = mem_realloc(run->written, run->written_cap * sizeof *run->written);
    }
    run->written[run->written_count++] = table;
}

static Held *hold(LiveRun *run) {
    Held *held = mem_alloc(sizeof *held);
    *held = (Held){ .run = run };
    run->busy = true;
    run->callbacks++;
    return held;
}

bool cache_holds_back(LiveRun *run, uint64_t request, bool ok, Value value, bool counted) {
    uint32_t count = run->written_count;
    if (count == 0) return false;
    Held *held = hold(run);
    held->request = request;
    held->ok = ok;
    held->value = value;
    held->counted = counted || !ok;
    run->written_count = 0;
    for (uint32_t i = 0; i < count; i++) put_mark(run->engine, run->row.tenant, run->image->tables[run->written[i]].name, held);
    return true;
}

/* Whoever had the run before may have died between a commit and its marks. */
void cache_taken_over(LiveRun *run) {
    Held *held = NULL;
    for (uint16_t i = 0; i < run->image->table_count; i++) {
        if (!run->image->tables[i].cached) continue;
        if (!held) held = hold(run);
        put_mark(run->engine, run->row.tenant, run->image->tables[i].name, held);
    }
}

/* ---- what is asked ------------------------------------------------------------------------------------------------ */

static bool is_shared(const Image *image, const Query *query) {
    bool shared = image->tables[query->table].shared;
    for (uint16_t i = 0; i < query->join_count; i++) shared = shared && image->tables[query->joins[i].table].shared;
    return shared;
}

static bool reads_well(Str id) {
    for (size_t i = 0; i < id.len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", id.ptr[i])) return false;
    return id.len > 0 && id.len <= 64;
}

/* cache:budgets:bdg-123:… for a row by its id, else cache:budgets:…, ending in a digest of program, query, user and parameters. */
static Str entry_key(const LiveRun *run, const VmRequest *request, const Query *query, Arena *arena) {
    const Image *image = run->base;
    Buf asked = { 0 };
    char digest[SHA256_HEX + 1];
    buf_put(&asked, image->hash.bytes, SHA256_BYTES);
    buf_put_varint(&asked, request->effect->target);
    buf_put_bytes(&asked, is_shared(image, query) ? STR("") : run->row.user);
    for (uint16_t i = 0; i < request->arg_count; i++) value_encode(image, request->effect->params[i], request->args[i], &asked);
    hex_encode(sha256(buf_str(&asked)).bytes, SHA256_BYTES, digest);
    buf_free(&asked);
    bool by_id = query->kind == QUERY_SELECT_ONE && request->arg_count == 1 && image->types[request->effect->params[0]].kind == KIND_STRING && reads_well(value_str(request->args[0]));
    Str table = image->tables[query->table].name;
    return str_of(by_id ? arena_printf(arena, "cache:%.*s:%.*s:%.16s", STR_ARG(table), STR_ARG(value_str(request->args[0])), digest) : arena_printf(arena, "cache:%.*s:%.32s", STR_ARG(table), digest));
}

static void copy_cell(Arena *arena, Cell *cell) {
    cell->text = arena_str(arena, cell->text);
    for (uint32_t i = 0; i < cell->count; i++) copy_cell(arena, &cell->items[i]);
}

static Err copy_params(Fetch *fetch, const VmRequest *request, Error *error) {
    const Query *query = fetch->query;
    fetch->cells = ARENA_ARRAY(fetch->arena, Cell, query->param_count + 1u);
    for (uint16_t i = 0; i < query->param_count && i < request->arg_count; i++) {
        Err err = rows_cell_of(fetch->image, request->effect->params[i], request->args[i], fetch->arena, &fetch->cells[i], error);
        if (err) return err;
        copy_cell(fetch->arena, &fetch->cells[i]);
    }
    return ERR_OK;
}

/* ---- who waits for it ----------------------------------------------------------------------------------------------- */

static void add_waiter(Fetch *fetch, LiveRun *run, uint64_t id) {
    Waiter *waiter = ARENA_NEW(fetch->arena, Waiter);
    *waiter = (Waiter){ NULL, run, id };
    if (fetch->last) fetch->last->next = waiter; else fetch->first = waiter;
    fetch->last = waiter;
    run->busy = true;
    run->callbacks++;
}

static bool anybody_waits(const Fetch *fetch) {
    for (const Waiter *w = fetch->first; w; w = w->next)
        if (!w->run->dead && live_act(w->run, w->id)) return true;
    return false;
}

static void free_fetch(Fetch *fetch) {
    map_remove(&fetch->engine->fetches, fetch->map_key);
    if (fetch->timer) event_free(fetch->timer);
    Image *image = fetch->image;
    arena_free(fetch->arena);
    free(fetch);
    image_free(image);
}

/* The journal says where the value came from, beside the value. */
static void tell_source(JournalRow *row, LiveRun *run, const Fetch *fetch, Source source) {
    static const char *const words[] = { [SOURCE_HIT] = "hit", [SOURCE_MISS] = "miss", [SOURCE_SHARED] = "shared", [SOURCE_DATABASE] = "unreachable" };
    Buf json = { 0 };
    buf_printf(&json, "{\"cache\":\"%s\",\"ttl\":%lld,\"key\":", words[source], (long long)(fetch->query->cached_us / 1000000));
    json_put_string(&json, fetch->key);
    buf_put_text(&json, ",\"value\":");
    if (json.len + row->detail_json.len + 1 > JOURNAL_ARGS_MAX) buf_printf(&json, "{\"too_long\":%zu}", row->detail_json.len);
    else buf_put_str(&json, row->detail_json);
    buf_put_char(&json, '}');
    row->detail_json = arena_str(run->row_arena, buf_str(&json));
    buf_free(&json);
}

static void answer(const Fetch *fetch, Waiter *waiter, Str bytes, Source source) {
    LiveRun *run = waiter->run;
    Reader in = reader_of(bytes);
    Value value = { 0 };
    Error error;
    if (value_decode(run->image, fetch->query->result, &in, &value, &error) != ERR_OK) { perform_raise(run, waiter->id, live_error(run, ERROR_KIND_internal, "%s", error.text)); return; }
    JournalRow *row = record_result(run, waiter->id, true, value);
    if (row) tell_source(row, run, fetch, source);
    live_deliver(run, waiter->id, true, value);
}

/* Everybody gets the same bytes, or hears the same error, and goes on. */
static void settle(Fetch *fetch, Str bytes, Source source, const StoreResult *failed) {
    for (Waiter *w = fetch->first, *next; w; w = next) {
        LiveRun *run = w->run;
        next = w->next;
        run->busy = false;
        if (!run->dead && live_act(run, w->id)) {
            if (!failed) answer(fetch, w, bytes, source == SOURCE_MISS && w != fetch->first ? SOURCE_SHARED : source);
            else if (failed->err == ERR_IO || failed->err == ERR_CRASH || failed->err == ERR_CORRUPT) live_failed(run, failed->err, &failed->error);
            else perform_raise(run, w->id, live_error_of(run, failed->err, failed->error.text));
        }
        engine_ready(run);
        live_callback_done(run);
    }
    free_fetch(fetch);
}

/* ---- from the database ------------------------------------------------------------------------------------------------ */

static Str lock_key(const Fetch *fetch) { return str_of(arena_printf(fetch->arena, "%.*s:lock", STR_ARG(fetch->key))); }

static Str marks_text(const Fetch *fetch) {
    Buf text = { 0 };
    for (uint32_t i = 0; i < fetch->table_count; i++) buf_put_bytes(&text, fetch->marks[i]);
    Str copy = arena_str(fetch->arena, buf_str(&text));
    buf_free(&text);
    return copy;
}

static void keep(const Fetch *fetch, Str bytes) {
    Hot *hot = fetch->engine->hot;
    HotField fields[] = { { STR("marks"), marks_text(fetch) }, { STR("value"), bytes } };
    if (!fetch->down && bytes.len <= HOT_VALUE_MAX / 2) hot_put(hot, fetch->tenant, fetch->key, fields, 2, engine_now(fetch->engine), fetch->query->cached_us, NULL, NULL);
    if (fetch->locked) hot_erase(hot, fetch->tenant, lock_key(fetch), NULL, NULL);
}

static void on_rows(const StoreResult *result, void *arg) {
    Fetch *fetch = arg;
    StoreResult failed = *result;
    Value value = { 0 };
    if (!failed.err) failed.err = rows_result(fetch->image, fetch->query, store_rows(result->batch, fetch->result), &value, &failed.error);
    if (failed.err) { settle(fetch, STR(""), SOURCE_DATABASE, &failed); return; }
    Buf bytes = { 0 };
    value_encode(fetch->image, fetch->query->result, value, &bytes);
    if (kind_is_counted(fetch->image->types[fetch->query->result].kind)) value_release(value);
    if (fetch->engine->hot) keep(fetch, buf_str(&bytes));
    settle(fetch, buf_str(&bytes), fetch->down ? SOURCE_DATABASE : SOURCE_MISS, NULL);
    buf_free(&bytes);
}

static void ask_database(Fetch *fetch) {
    if (!anybody_waits(fetch)) { settle(fetch, STR(""), SOURCE_DATABASE, NULL); return; }
    StoreBatch *batch = store_batch(fetch->engine->store, fetch->tenant, (Str){ "", 0 }, 0);
    fetch->result = store_query(batch, fetch->image, fetch->query_index, fetch->user, fetch->cells, fetch->query->param_count);
    store_submit(batch, on_rows, fetch);
}

/* ---- from the cache ------------------------------------------------------------------------------------------------------- */

static void look(Fetch *fetch);

static void on_time(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    look(arg);
}

static void on_locked(const HotResult *result, void *arg) {
    Fetch *fetch = arg;
    fetch->locked = !result->err && result->found;
    if (result->err) fetch->down = true;
    if (fetch->locked && !fetch->sure) {                 /* the one before may have kept its result and given the lock back since we looked */
        fetch->sure = true;
        look(fetch);
        return;
    }
    if (result->err || fetch->locked || fetch->looks >= LOOKS_MAX) { ask_database(fetch); return; }
    if (!fetch->timer) fetch->timer = evtimer_new(fetch->engine->loop, on_time, fetch);
    struct timeval wait = { 0, LOOK_AGAIN_US };
    if (!fetch->timer || evtimer_add(fetch->timer, &wait) != 0) ask_database(fetch);
}

static bool decodes(const Fetch *fetch, Str bytes) {
    Reader in = reader_of(bytes);
    Value value = { 0 };
    Error error;
    if (value_decode(fetch->image, fetch->query->result, &in, &value, &error) != ERR_OK) return false;
    if (kind_is_counted(fetch->image->types[fetch->query->result].kind)) value_release(value);
    return reader_left(&in) == 0;
}

static void looked(Fetch *fetch) {
    if (fetch->down) { ask_database(fetch); return; }
    if (fetch->found && str_eq(fetch->kept_marks, marks_text(fetch)) && decodes(fetch, fetch->kept)) {
        if (fetch->locked) hot_erase(fetch->engine->hot, fetch->tenant, lock_key(fetch), NULL, NULL);
        settle(fetch, fetch->kept, SOURCE_HIT, NULL);
        return;
    }
    bool lock = strcmp(hot_kind(fetch->engine->hot), "rows") != 0;
    if (!lock || fetch->locked || !anybody_waits(fetch)) { ask_database(fetch); return; }
    fetch->looks++;
    hot_put_new(fetch->engine->hot, fetch->tenant, lock_key(fetch), STR("1"), engine_now(fetch->engine), LOCK_TTL_US, on_locked, fetch);
}

static void came_in(Fetch *fetch, const HotResult *result) {
    if (result->err) fetch->down = true;
    if (--fetch->outstanding == 0) looked(fetch);
}

typedef struct MarkRead { Fetch *fetch; uint32_t table; } MarkRead;

static void on_mark(const HotResult *result, void *arg) {
    MarkRead *read = arg;
    Fetch *fetch = read->fetch;
    fetch->marks[read->table] = result->found && result->count ? arena_str(fetch->arena, result->fields[0].value) : STR("");
    came_in(fetch, result);
}

static void on_entry(const HotResult *result, void *arg) {
    Fetch *fetch = arg;
    fetch->found = false;
    for (uint32_t i = 0; result->found && i < result->count; i++) {
        if (str_is(result->fields[i].name, "marks")) fetch->kept_marks = arena_str(fetch->arena, result->fields[i].value);
        else if (str_is(result->fields[i].name, "value")) fetch->kept = arena_str(fetch->arena, result->fields[i].value), fetch->found = true;
    }
    came_in(fetch, result);
}

static void look(Fetch *fetch) {
    Hot *hot = fetch->engine->hot;
    int64_t now = engine_now(fetch->engine);
    fetch->outstanding = fetch->table_count + 1;
    for (uint32_t i = 0; i < fetch->table_count; i++) {
        MarkRead *read = ARENA_NEW(fetch->arena, MarkRead);
        *read = (MarkRead){ fetch, i };
        hot_read(hot, fetch->tenant, str_of(arena_printf(fetch->arena, "cachemark:%.*s", STR_ARG(fetch->tables[i]))), now, on_mark, read);
    }
    hot_read(hot, fetch->tenant, fetch->key, now, on_entry, fetch);
}

/* A table whose last mark could not be written: once more, and meanwhile without the cache. */
static bool is_stale(Fetch *fetch) {
    bool stale = false;
    for (uint32_t i = 0; i < fetch->table_count && fetch->engine->stale_tables.count; i++) {
        if (!map_find(&fetch->engine->stale_tables, table_key(fetch->arena, fetch->tenant, fetch->tables[i]))) continue;
        put_mark(fetch->engine, fetch->tenant, fetch->tables[i], NULL);
        stale = true;
    }
    return stale;
}

static void add_table(Fetch *fetch, uint16_t table) {
    Engine *engine = fetch->engine;
    Str name = fetch->image->tables[table].name;
    for (uint32_t i = 0; i < fetch->table_count; i++)
        if (str_eq(fetch->tables[i], name)) return;
    fetch->tables[fetch->table_count++] = name;
    if (!map_find(&engine->cached_tables, name)) map_put(&engine->cached_tables, str_of(mem_strdup(arena_printf(fetch->arena, "%.*s", STR_ARG(name)))), engine);
}

/* What a result shows depends on who is a member, too. */
static void add_source(Fetch *fetch, uint16_t table) {
    const ImageVisibility *visibility = &fetch->image->tables[table].visibility;
    add_table(fetch, table);
    if (visibility->declared) add_table(fetch, visibility->members);
}

void perform_cached(LiveRun *run, Act *act, const VmRequest *request) {
    Engine *engine = run->engine;
    const Query *query = &run->image->queries[request->effect->target];
    Arena *arena = arena_new();
    Str key = entry_key(run, request, query, arena), map_key = table_key(arena, run->row.tenant, key);
    Fetch *fetch = map_find(&engine->fetches, map_key);
    if (fetch) {
        add_waiter(fetch, run, act->id);
        arena_free(arena);
        return;
    }
    fetch = mem_alloc(sizeof *fetch);
    *fetch = (Fetch){ .engine = engine, .arena = arena, .image = image_retain(run->base), .query = query, .query_index = request->effect->target, .key = key, .map_key = map_key };
    fetch->tenant = arena_str(arena, run->row.tenant);
    fetch->user = arena_str(arena, run->row.user);
    add_source(fetch, query->table);
    for (uint16_t i = 0; i < query->join_count; i++) add_source(fetch, query->joins[i].table);
    map_put(&engine->fetches, fetch->map_key, fetch);
    Error error;
    Err err = copy_params(fetch, request, &error);
    if (err) {
        free_fetch(fetch);
        perform_raise(run, act->id, live_error_of(run, err, error.text));
        return;
    }
    add_waiter(fetch, run, act->id);
    if ((fetch->down = is_stale(fetch))) ask_database(fetch);
    else look(fetch);
}

/* After the hot state is closed and before the store is: fetches that only wait for time are let go; the store's callbacks end the others. */
void cache_close(Engine *engine) {
    for (bool again = true; again;) {
        again = false;
        MAP_EACH(&engine->fetches, entry) {
            Fetch *fetch = entry->value;
            if (!fetch->timer || !evtimer_pending(fetch->timer, NULL)) continue;
            settle(fetch, STR(""), SOURCE_DATABASE, NULL);
            again = true;
            break;
        }
    }
}

void cache_free(Engine *engine) {
    MAP_EACH(&engine->stale_tables, entry) free((char *)entry->key.ptr);
    MAP_EACH(&engine->cached_tables, entry) free((char *)entry->key.ptr);
    map_free(&engine->stale_tables);
    map_free(&engine->cached_tables);
    map_free(&engine->fetches);
}
