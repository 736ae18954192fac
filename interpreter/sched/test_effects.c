/* test_effects.c - what the statements of a test do: one function an effect, found by a switch over effects.def.
 *
 * Everything that a test asks for is asked of the engine from outside, as a client would: start, answer, advance. What it expects is read
 * from the store: journals for calls and questions, the outbox for events, the tables for rows. */
#include "interpreter/effect/ids.h"
#include "interpreter/effect/rows.h"
#include "interpreter/sched/state.h"
#include "interpreter/sched/testrun_internal.h"

#include <stdio.h>

#include "base/time.h"

enum { TEST_ROWS_MAX = 100000 };

static Str text_arg(const VmRequest *q, int i) { return value_str(q->args[i]); }

/* ---- the store ------------------------------------------------------------------------------------------ */

static StoreBatch *read_batch(TestRun *t, Str run_id) { return store_batch(engine_store(t->engine), t->who.tenant, run_id, 0); }

/* Rows that a test gives are no operation of the program: they are there whenever it crashes. */
static bool run_query(TestRun *t, const VmRequest *q, Value *result) {
    uint64_t crash_in = store_crash_at(engine_store(t->engine), 0, t->crash_side, false);
    const Query *query = &t->image->queries[q->effect->target];
    Error error = { 0 };
    StoreBatch *batch = read_batch(t, STR(""));
    Arena *arena = store_batch_arena(batch);
    Cell *cells = ARENA_ARRAY(arena, Cell, q->arg_count ? q->arg_count : 1);
    Err err = ERR_OK;
    for (uint16_t i = 0; i < q->arg_count && !err; i++) err = rows_cell_of(t->image, query->params[i], q->args[i], arena, &cells[i], &error);
    int index = err ? -1 : store_query(batch, t->image, q->effect->target, t->who.user, cells, q->arg_count);
    if (!err) err = store_run_batch(batch, &error);
    if (!err) err = rows_result(t->image, query, store_rows(batch, index), result, &error);
    if (err) testrun_fail(t, "%s", error.text);
    store_batch_free(batch);
    store_crash_at(engine_store(t->engine), crash_in, t->crash_side, false);
    return !err;
}

static bool find_run(TestRun *t, RunRow *out) {
    Error error = { 0 };
    if (!t->run_id[0]) return testrun_fail(t, "no flow was run yet"), false;
    if (engine_find_run(t->engine, t->who.tenant, str_of(t->run_id), t->arena, out, &error) == ERR_OK) return true;
    return testrun_fail(t, "the run is not in the store: %s", error.text), false;
}

typedef bool (*VisitRow)(TestRun *t, const JournalRow *row, void *arg);
static void each_row(TestRun *t, VisitRow visit, void *arg) {
    RunRow run;
    if (!find_run(t, &run)) return;
    StoreBatch *batch = store_batch(engine_home(t->engine, &run), t->who.tenant, run.run_id, 0);
    int index = store_get_journal(batch, str_of(t->run_id), 0, TEST_ROWS_MAX);
    Error error = { 0 };
    uint32_t count = 0;
    const JournalRow *rows = store_run_batch(batch, &error) == ERR_OK ? store_journal(batch, index, &count) : NULL;
    if (!rows && error.code) testrun_fail(t, "%s", error.text);
    for (uint32_t i = 0; i < count && visit(t, &rows[i], arg); i++) {}
    store_batch_free(batch);
}

/* ---- sessions and contexts ------------------------------------------------------------------------------ */

typedef struct StateAnswer { TestRun *t; const VmRequest *request; Value *result; bool done; } StateAnswer;

static void state_answered(const HotResult *r, void *arg) {
    StateAnswer *a = arg;
    const ImageState *state = &a->t->image->states[a->request->effect->target];
    Error error = r->error;
    Err err = r->err;
    bool session = a->request->effect->kind == EFFECT_SESSION_READ, reads = session || a->request->effect->kind == EFFECT_CONTEXT_READ;
    if (!err && reads && (r->found || !session)) {
        err = state_record(a->t->image, state, r->fields, r->found ? r->count : 0, a->result, &error);
        if (!err && session) *a->result = value_some(a->t->image, a->request->effect->result, *a->result);
    }
    if (!err && a->request->effect->kind == EFFECT_SESSION_CHANGE) *a->result = (Value){ .i = r->found };
    if (err) testrun_fail(a->t, "%s", error.text);
    a->done = true;
}

/* A context is that of the newest run. */
static void use_state(TestRun *t, const VmRequest *q, Value *result) {
    const ImageState *state = &t->image->states[q->effect->target];
    RunRow run = { 0 };
    if (state->kind == STATE_CONTEXT && !find_run(t, &run)) return;
    StateAnswer answer = { t, q, result, false };
    Hot *hot = engine_hot(t->engine);
    Arena *arena = arena_new();
    Str key;
    Error error;
    uint32_t count = 0;
    if (state_key(state, state->kind == STATE_SESSION ? value_str(q->args[0]) : run.correlation, arena, &key, &error)) testrun_fail(t, "%s", error.text), answer.done = true;
    else if (q->effect->kind == EFFECT_SESSION_SAVE) {
        HotField *fields = state_fields(t->image, state, q->args[2], (uint64_t)q->args[1].i, arena, &count);
        hot_put(hot, t->who.tenant, key, fields, count, engine_now(t->engine), state->ttl_us, state_answered, &answer);
    } else if (q->effect->kind == EFFECT_SESSION_CHANGE) {
        HotField *fields = state_fields(t->image, state, q->args[2], UINT64_MAX, arena, &count);
        Str expected = q->args[1].i ? str_of(arena_printf(arena, "%lld", (long long)q->args[1].i)) : STR("");
        hot_change(hot, t->who.tenant, key, STR("version"), expected, fields, count, engine_now(t->engine), state->ttl_us, state_answered, &answer);
    } else if (q->effect->kind == EFFECT_SESSION_DELETE) hot_erase(hot, t->who.tenant, key, state_answered, &answer);
    else if (q->effect->kind == EFFECT_SESSION_READ || q->effect->kind == EFFECT_CONTEXT_READ) hot_read(hot, t->who.tenant, key, engine_now(t->engine), state_answered, &answer);
    else testrun_fail(t, "a test reads contexts and does not write them"), answer.done = true;
    while (!answer.done) hot_wait(hot);
    arena_free(arena);
}

/* ---- doing ------------------------------------------------------------------------------------------------ */

/* Works until nothing is left to do; after a crash on a fresh engine. */
bool test_work(TestRun *t) {
    for (int tries = 0; tries < 4; tries++) {
        Error error = { 0 };
        Err err = ERR_OK;
        if (t->run_id[0]) err = engine_work(t->engine, t->who.tenant, str_of(t->run_id), &error);
        if (!err) err = engine_work(t->engine, t->who.tenant, STR(""), &error);
        if (err != ERR_CRASH) {
            if (err) testrun_fail(t, "%s", error.text);
            return !err;
        }
        err = testrun_reopen(t, &error);
        if (err) return testrun_fail(t, "after the crash: %s", error.text), false;
    }
    return testrun_fail(t, "it crashed more often than once"), false;
}

static void put_args_json(TestRun *t, const VmRequest *q, const ImageFlow *flow, Buf *out) {
    buf_put_char(out, '{');
    for (uint16_t i = 0; i < q->arg_count && i < flow->param_count; i++) {
        if (i) buf_put_char(out, ',');
        json_put_string(out, flow->params[i].name);
        buf_put_char(out, ':');
        value_to_json(t->image, q->effect->params[i], q->args[i], out);
    }
    buf_put_char(out, '}');
}

bool test_run_exists(TestRun *t, const char *run_id) {
    StoreBatch *batch = read_batch(t, STR(""));
    int index = store_list_runs(batch, &(RunFilter){ .status = -1, .limit = 1000 });
    uint32_t count = 0;
    Error error = { 0 };
    const RunRow *rows = store_run_batch(batch, &error) == ERR_OK ? store_runs(batch, index, &count) : NULL;
    bool found = false;
    for (uint32_t i = 0; i < count; i++) found = found || str_is(rows[i].run_id, run_id);
    store_batch_free(batch);
    return found;
}

void test_run_begun(TestRun *t, Str run_id) {
    snprintf(t->run_id, sizeof t->run_id, "%.*s", STR_ARG(run_id));
    if (t->run_count < TEST_RUNS_SHOWN_MAX) t->runs[t->run_count++] = arena_str(t->arena, run_id);
}

/* A start that crashed before it was durable was not acknowledged: the client asks again. */
static void run_flow(TestRun *t, const VmRequest *q) {
    const ImageFlow *flow = &t->image->flows[q->effect->target];
    Buf input = { 0 };
    put_args_json(t, q, flow, &input);
    char run_id[64];
    snprintf(run_id, sizeof run_id, "run-test-%u", testrun_serial());
    t->flow = q->effect->target;
    if (t->crash_nth && !t->crashes) store_crash_at(engine_store(t->engine), t->crash_nth, t->crash_side, false);
    Error error = { 0 };
    Err err = engine_start(t->engine, t->image, flow->name, buf_str(&input), &t->who, run_id, &error);
    if (err == ERR_CRASH) {
        err = testrun_reopen(t, &error);
        if (!err && !test_run_exists(t, run_id)) err = engine_start(t->engine, t->image, flow->name, buf_str(&input), &t->who, run_id, &error);
    }
    buf_free(&input);
    if (err) {
        testrun_fail(t, "the run did not start: %s", error.text);
        return;
    }
    test_run_begun(t, str_of(run_id));
    test_work(t);
}

static void advance(TestRun *t, int64_t us) {
    Error error = { 0 };
    int64_t target = engine_now(t->engine) + us;
    Err err = engine_advance(t->engine, us, &error);
    if (err == ERR_CRASH) {
        err = testrun_reopen(t, &error);
        int64_t left = target - engine_now(t->engine);
        if (!err && left > 0) err = engine_advance(t->engine, left, &error);
    }
    if (err) testrun_fail(t, "%s", error.text);
    else test_work(t);
}

/* Whatever the engine says of a delivery that comes too late or twice is the client's business, not a failure of the test. */
static void deliver(TestRun *t, Err err, const Error *error) {
    if (err && err != ERR_CONFLICT && err != ERR_NOT_FOUND) {
        testrun_fail(t, "%s", error->text);
    }
    if (!t->failed) test_work(t);
}

/* A client that got no answer asks again, and here it knows whether it was heard: a crash before the operation means that it was not. */
static bool ask_again(TestRun *t, Err err) {
    Error error = { 0 };
    if (err != ERR_CRASH) return false;
    if (testrun_reopen(t, &error) != ERR_OK) return testrun_fail(t, "after the crash: %s", error.text), false;
    return t->crash_side == CRASH_BEFORE;
}

/* A user who is asked one thing answers that; of an approval he has read what it is for. */
static Str hash_asked(TestRun *t) {
    RunRow run;
    const Json *waits = find_run(t, &run) ? engine_waits(&run, t->arena) : NULL;
    for (size_t i = 0; waits && i < waits->count; i++)
        if (engine_wait_asks(waits->items[i])) return json_get_text(waits->items[i], "hash");
    return (Str){ "", 0 };
}

static void answer(TestRun *t, const VmRequest *q) {
    Buf json = { 0 };
    value_to_json(t->image, q->effect->params[0], q->args[0], &json);
    Error error = { 0 };
    const EngineAnswer given = { .value_json = buf_str(&json), .hash = hash_asked(t) };
    Err err = engine_answer_to(t->engine, t->who.tenant, str_of(t->run_id), &given, &error);
    if (ask_again(t, err)) err = engine_answer_to(t->engine, t->who.tenant, str_of(t->run_id), &given, &error);
    buf_free(&json);
    deliver(t, err == ERR_CRASH ? ERR_OK : err, &error);
}

static void send_signal(TestRun *t, const VmRequest *q) {
    Buf json = { 0 };
    value_to_json(t->image, q->effect->params[0], q->args[0], &json);
    Error error = { 0 };
    Str name = t->image->signals[q->effect->target].name;
    Err err = engine_signal(t->engine, t->who.tenant, str_of(t->run_id), name, buf_str(&json), &error);
    if (ask_again(t, err)) err = engine_signal(t->engine, t->who.tenant, str_of(t->run_id), name, buf_str(&json), &error);
    buf_free(&json);
    deliver(t, err == ERR_CRASH ? ERR_OK : err, &error);
}

static void cancel(TestRun *t) {
    Error error = { 0 };
    Err err = engine_cancel(t->engine, t->who.tenant, str_of(t->run_id), &error);
    if (ask_again(t, err)) err = engine_cancel(t->engine, t->who.tenant, str_of(t->run_id), &error);
    deliver(t, err == ERR_CRASH ? ERR_OK : err, &error);
}

static Err redeliver(TestRun *t, uint64_t position, Error *error) {
    StoreBatch *batch = read_batch(t, STR(""));
    store_event_redeliver(batch, position);
    Err err = store_run_batch(batch, error);
    store_batch_free(batch);
    return err;
}

static void deliver_again(TestRun *t, const VmRequest *q) {
    Str name = t->image->events[q->effect->target].name;
    Error error = { 0 };
    StoreBatch *batch = read_batch(t, STR(""));
    int index = store_list_events(batch, name, (Str){ 0 }, TEST_ROWS_MAX);
    uint32_t count = 0;
    const EventRow *events = store_run_batch(batch, &error) == ERR_OK ? store_events(batch, index, &count) : NULL;
    const EventRow *newest = NULL;
    uint64_t position = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!newest || events[i].position > newest->position) newest = &events[i];
    if (!newest) {
        testrun_fail(t, "no %.*s was emitted", STR_ARG(name));
    } else {
        position = newest->position;
    }
    store_batch_free(batch);                             /* before a crash closes its store */
    if (t->failed) return;
    Err err = redeliver(t, position, &error);
    if (ask_again(t, err)) err = redeliver(t, position, &error);
    deliver(t, err == ERR_CRASH ? ERR_OK : err, &error);
}

/* ---- given ------------------------------------------------------------------------------------------------- */

static Str tool_name(TestRun *t, uint16_t target) {
    const ImageTool *tool = &t->image->tools[target];
    Str agent = t->image->agents[tool->agent].name;
    return str_of(arena_printf(t->arena, "%.*s.%.*s", STR_ARG(agent), STR_ARG(tool->name)));
}

/* args: kind, message, details json, times */
static void given_fails(TestRun *t, const VmRequest *q) {
    Buf text = { 0 };
    value_to_json(t->image, q->effect->params[2], q->args[2], &text);
    Json *details = NULL;
    json_parse(t->arena, buf_str(&text), 1 << 16, &details, NULL);
    const Json *status = details ? json_get(details, "status") : NULL, *after = details ? json_get(details, "retry_after") : NULL;
    int64_t retry_after = -1;
    if (after && after->kind == JSON_STRING) duration_parse(after->text, &retry_after);
    else if (after && after->kind == JSON_INT) retry_after = after->integer;
    script_tool_fails(t->script, tool_name(t, q->effect->target), (ErrorKind)q->args[0].i, text_arg(q, 1), status && status->kind == JSON_INT ? (int)status->integer : 0,
                      details ? json_get_text(details, "code") : (Str){ 0 }, retry_after, q->args[3].i > 0 ? (uint32_t)q->args[3].i : 0);
    buf_free(&text);
}

static void given_returns(TestRun *t, const VmRequest *q) {
    Buf json = { 0 };
    value_to_json(t->image, q->effect->params[0], q->args[0], &json);
    script_tool_returns(t->script, tool_name(t, q->effect->target), buf_str(&json), q->args[1].i);
    buf_free(&json);
}

static void given_answers(TestRun *t, const VmRequest *q) {
    const List *list = (const List *)q->args[0].o;
    uint32_t count = list ? list->count : 0;
    Str *texts = ARENA_ARRAY(t->arena, Str, count ? count : 1);
    uint16_t element = t->image->types[q->effect->params[0]].element;
    for (uint32_t i = 0; i < count; i++) {
        Buf json = { 0 };
        value_to_json(t->image, element, list->items[i], &json);
        texts[i] = arena_str(t->arena, buf_str(&json));
        buf_free(&json);
    }
    script_answers(t->script, texts, count);
}

static void given_plan(TestRun *t, const VmRequest *q) {
    Buf json = { 0 };
    value_to_json(t->image, TYPE_INDEX_JSON, q->args[0], &json);
    script_plan_says(t->script, buf_str(&json));
    buf_free(&json);
}

static void given_ids(TestRun *t, const VmRequest *q) {
    const List *list = (const List *)q->args[0].o;
    uint32_t count = list ? list->count : 0;
    Str *texts = ARENA_ARRAY(t->arena, Str, count ? count : 1);
    for (uint32_t i = 0; i < count; i++) texts[i] = value_str(list->items[i]);
    script_ids(t->script, t->image->tables[q->effect->target].name, texts, count);
}

static void given_now(TestRun *t, int64_t us) {
    Error error = { 0 };
    int64_t step = us - engine_now(t->engine);
    if (step >= 0) {
        if (engine_advance(t->engine, step, &error) != ERR_OK) testrun_fail(t, "%s", error.text);
    } else if (t->run_id[0]) {
        testrun_fail(t, "time cannot go back once a flow was run");
    } else {
        engine_close(t->engine);
        t->engine = NULL;
        t->now_us = us;
        EngineOptions options = { .store_url = t->url, .redis_url = t->redis_url, .worker = "test", .virtual_time = true, .virtual_start_us = us, .script = t->script, .auto_advance = true, .limits = { .fuel = t->fuel } };
        if (engine_open(&options, &t->engine, &error) != ERR_OK || engine_deploy(t->engine, t->image, &error) != ERR_OK) testrun_fail(t, "%s", error.text);
    }
}

static void become(TestRun *t, const VmRequest *q) {
    t->who.user = arena_str(t->arena, text_arg(q, 0));
    t->who.user_name = t->who.user;
    Str tenant = text_arg(q, 1);
    t->who.tenant = tenant.len ? arena_str(t->arena, tenant) : STR("test");
}

/* ---- expect ------------------------------------------------------------------------------------------------- */

static void expect_true(TestRun *t, const VmRequest *q) {
    if (q->args[0].i) return;
    Str source = text_arg(q, 1), values = text_arg(q, 2);
    testrun_fail(t, "expected %.*s%s%.*s", STR_ARG(source), values.len ? "; found " : "", STR_ARG(values));
}

static Str error_text(TestRun *t, const RunRow *run, const char *field) {
    Json *error = NULL;
    if (json_parse(t->arena, run->result_json, 16 << 20, &error, NULL) != ERR_OK) return (Str){ 0 };
    return json_get_text(error, field);
}

static void expect_outcome(TestRun *t, const VmRequest *q) {
    static const RunStatus outcomes[] = { RUN_COMPLETED, RUN_PARKED, RUN_CANCELLED, RUN_FAILED };
    RunRow run;
    if (!find_run(t, &run)) return;
    RunStatus wanted = outcomes[q->args[0].i & 3];
    Str kind = run_status_ended(run.status) && run.status != RUN_COMPLETED ? error_text(t, &run, "kind") : (Str){ 0 };
    Str message = kind.len ? error_text(t, &run, "message") : (Str){ 0 };
    if (run.status != wanted) {
        testrun_fail(t, "expected %s; the run is %s%s%.*s%s%.*s", run_status_name(wanted), run_status_name(run.status), kind.len ? " with " : "", STR_ARG(kind), message.len ? ": " : "", STR_ARG(message));
        return;
    }
    int64_t wanted_kind = q->args[1].i;
    Str part = text_arg(q, 2);
    if (wanted_kind >= 0 && !str_is(kind, error_kind_name((ErrorKind)wanted_kind)))
        testrun_fail(t, "expected failed %s; it failed with %.*s: %.*s", error_kind_name((ErrorKind)wanted_kind), STR_ARG(kind), STR_ARG(message));
    else if (part.len && !memmem(message.ptr, message.len, part.ptr, part.len))
        testrun_fail(t, "expected a message with \"%.*s\"; found \"%.*s\"", STR_ARG(part), STR_ARG(message));
}

typedef struct Names { Str *items; uint32_t count, cap; } Names;

static void add_name(TestRun *t, Names *names, Str name) {
    if (names->count == names->cap) {
        names->cap = names->cap ? names->cap * 2 : 32;
        Str *items = ARENA_ARRAY(t->arena, Str, names->cap);
        if (names->count) memcpy(items, names->items, names->count * sizeof *items);
        names->items = items;
    }
    names->items[names->count++] = arena_str(t->arena, name);
}

/* A local tool's call is the beginning of its span; a remote one's is its result. */
static bool visit_call(TestRun *t, const JournalRow *row, void *arg) {
    if (row->target >= t->image->tool_count) return true;
    const ImageTool *tool = &t->image->tools[row->target];
    bool remote = tool->flags & TOOL_REMOTE;
    bool begin = row->entry == JOURNAL_NOTE && row->effect == EFFECT_NOTE_SPAN_BEGIN && !remote && str_eq(row->name, tool_name(t, row->target));
    bool result = (row->entry == JOURNAL_RESULT || row->entry == JOURNAL_ERROR) && row->effect == EFFECT_REMOTE_CALL && remote;
    if (begin || result) add_name(t, arg, tool_name(t, row->target));
    return true;
}

static void put_names(Buf *out, const Str *names, uint32_t count) {
    buf_put_char(out, '[');
    for (uint32_t i = 0; i < count; i++) buf_printf(out, "%s%.*s", i ? ", " : "", STR_ARG(names[i]));
    buf_put_char(out, ']');
}

static bool names_match(TestRun *t, const List *wanted, const Names *found, bool any_order) {
    uint32_t count = wanted ? wanted->count : 0;
    if (count != found->count) return false;
    bool *used = ARENA_ARRAY(t->arena, bool, count ? count : 1);
    for (uint32_t i = 0; i < count; i++) {
        Str name = value_str(wanted->items[i]);
        uint32_t at = i;
        if (any_order)
            for (at = 0; at < count && (used[at] || !str_eq(found->items[at], name)); at++) {}
        if (at == count || !str_eq(found->items[at], name)) return false;
        used[at] = true;
    }
    return true;
}

static void expect_names(TestRun *t, const char *what, const List *wanted, const Names *found, bool any_order) {
    if (names_match(t, wanted, found, any_order)) return;
    Buf text = { 0 };
    Str *names = ARENA_ARRAY(t->arena, Str, wanted && wanted->count ? wanted->count : 1);
    for (uint32_t i = 0; wanted && i < wanted->count; i++) names[i] = value_str(wanted->items[i]);
    put_names(&text, names, wanted ? wanted->count : 0);
    buf_put_text(&text, "; found ");
    put_names(&text, found->items, found->count);
    testrun_fail(t, "expected %s %s", what, buf_cstr(&text));
    buf_free(&text);
}

static void expect_calls(TestRun *t, const VmRequest *q) {
    Names found = { 0 };
    if (t->run_id[0]) each_row(t, visit_call, &found);
    expect_names(t, "calls", (const List *)q->args[0].o, &found, q->args[1].i != 0);
}

static void expect_emitted(TestRun *t, const VmRequest *q) {
    RunRow run;
    if (!find_run(t, &run)) return;
    StoreBatch *batch = read_batch(t, STR(""));
    int index = store_list_events(batch, (Str){ 0 }, run.correlation, TEST_ROWS_MAX);
    Error error = { 0 };
    uint32_t count = 0;
    const EventRow *events = store_run_batch(batch, &error) == ERR_OK ? store_events(batch, index, &count) : NULL;
    Names found = { 0 };
    for (uint32_t i = 0; i < count; i++) add_name(t, &found, events[i].name);
    store_batch_free(batch);
    expect_names(t, "emitted", (const List *)q->args[0].o, &found, true);
}

/* The newest question: of a row that is answered or given up, else of what the run waits for. */
static bool visit_question(TestRun *t, const JournalRow *row, void *arg) {
    if (row->effect != EFFECT_ASK && row->effect != EFFECT_APPROVE) return true;
    Json *args = NULL;
    if (json_parse(t->arena, row->args_json, 1 << 20, &args, NULL) == ERR_OK && args->kind == JSON_ARRAY && args->count && args->items[0]->kind == JSON_STRING)
        *(Str *)arg = args->items[0]->text;
    return true;
}

static void expect_asked(TestRun *t, const VmRequest *q) {
    RunRow run;
    if (!find_run(t, &run)) return;
    Str asked = { 0 };
    each_row(t, visit_question, &asked);
    const Json *waits = run.status == RUN_PARKED ? engine_waits(&run, t->arena) : NULL;
    for (size_t i = 0; waits && i < waits->count; i++)
        if (engine_wait_asks(waits->items[i])) asked = json_get_text(waits->items[i], "text");
    Str wanted = text_arg(q, 0);
    if (!str_eq(asked, wanted)) testrun_fail(t, "expected the question \"%.*s\"; found \"%.*s\"", STR_ARG(wanted), STR_ARG(asked));
}

static void give_result(TestRun *t, const VmRequest *q, Value *result) {
    RunRow run;
    if (!find_run(t, &run)) return;
    if (run.status != RUN_COMPLETED) {
        testrun_fail(t, "`result` wants a completed run; it is %s: %.*s", run_status_name(run.status), STR_ARG(run.result_json));
        return;
    }
    Json *json = NULL;
    Error error = { 0 };
    Err err = json_parse(t->arena, run.result_json, 16 << 20, &json, &error);
    if (!err) err = value_from_json(t->image, q->effect->result, json, result, &error);
    if (err) testrun_fail(t, "%s", error.text);
}

/* ---- dispatch --------------------------------------------------------------------------------------------------- */

static void own_value(TestRun *t, const VmRequest *q, Value *result) {
    char id[IDS_TEXT_MAX];
    switch (q->effect->kind) {
    case EFFECT_NOW: result->i = engine_now(t->engine); break;
    case EFFECT_RANDOM: result->f = ids_random(); break;
    case EFFECT_NEW_ID:
        ids_new(t->image->tables[q->effect->target].id_prefix, id);
        *result = value_string(str_of(id));
        break;
    case EFFECT_UUID:
        ids_uuid7(engine_now(t->engine), id);
        *result = value_string(str_of(id));
        break;
    default: testrun_fail(t, "a test cannot do this itself (%s); put it into a flow and run that", effect_name(q->effect->kind));
    }
}

void test_effect(TestRun *t, const VmRequest *q, Value *result, bool *raised) {
    switch (q->effect->kind) {
    case EFFECT_QUERY_READ: case EFFECT_QUERY_WRITE: run_query(t, q, result); break;
    case EFFECT_SESSION_READ: case EFFECT_SESSION_SAVE: case EFFECT_SESSION_DELETE: case EFFECT_SESSION_CHANGE: case EFFECT_CONTEXT_OPEN: case EFFECT_CONTEXT_READ: case EFFECT_CONTEXT_WRITE:
    case EFFECT_CONTEXT_CLOSE: use_state(t, q, result); break;
    case EFFECT_TEST_GIVEN_FAILS: given_fails(t, q); break;
    case EFFECT_TEST_GIVEN_RETURNS: given_returns(t, q); break;
    case EFFECT_TEST_GIVEN_ANSWERS: given_answers(t, q); break;
    case EFFECT_TEST_GIVEN_PLAN: given_plan(t, q); break;
    case EFFECT_TEST_GIVEN_NOW: given_now(t, q->args[0].i); break;
    case EFFECT_TEST_GIVEN_IDS: given_ids(t, q); break;
    case EFFECT_TEST_AS: become(t, q); break;
    case EFFECT_TEST_RUN: run_flow(t, q); break;
    case EFFECT_TEST_RESULT: give_result(t, q, result); break;
    case EFFECT_TEST_ADVANCE: advance(t, q->args[0].i); break;
    case EFFECT_TEST_ANSWER: answer(t, q); break;
    case EFFECT_TEST_SIGNAL: send_signal(t, q); break;
    case EFFECT_TEST_DELIVER: deliver_again(t, q); break;
    case EFFECT_TEST_CANCEL: cancel(t); break;
    case EFFECT_TEST_CRASH: t->wants_crash = true; break;
    case EFFECT_TEST_EXPECT: expect_true(t, q); break;
    case EFFECT_TEST_EXPECT_OUTCOME: expect_outcome(t, q); break;
    case EFFECT_TEST_EXPECT_CALLS: expect_calls(t, q); break;
    case EFFECT_TEST_EXPECT_ASKED: expect_asked(t, q); break;
    case EFFECT_TEST_EXPECT_EMITTED: expect_emitted(t, q); break;
    case EFFECT_TEST_REQUEST: test_request(t, q); break;
    case EFFECT_TEST_EXPECT_STATUS: test_expect_status(t, q->args[0].i); break;
    case EFFECT_TEST_EXPECT_STREAM: test_expect_stream(t, q); break;
    case EFFECT_TEST_RESPONSE_BODY: test_response_body(t, result); break;
    case EFFECT_TEST_RESPONSE_HEADERS: test_response_headers(t, result); break;
    default: own_value(t, q, result);
    }
}
