/* plan_log.c - see plan_log.h. Refused answers and plans are read from the payloads of their rows, all else from what the rows tell people. */
#include "interpreter/sched/plan_log.h"
#include <inttypes.h>
#include "base/time.h"
#include "interpreter/sched/engine_internal.h"
#include "interpreter/sched/trace.h"

static void begin(const JournalRow *row, const char *what, Buf *out) {
    buf_printf(out, "{\"seq\":%" PRIu64 ",\"at\":\"", row->seq);
    timestamp_print(row->ended_us, out);
    buf_printf(out, "\",\"what\":\"%s\"", what);
}

static void put_member(const char *name, Str json, Buf *out) {
    if (json.len) buf_printf(out, ",\"%s\":%.*s", name, STR_ARG(json));
}

/* The value of a row whose result is json: whole, unless its effect says that it is personal. */
static void put_plan(const Image *image, const JournalRow *row, Buf *out) {
    Reader in = reader_of(row->payload);
    Value value = { 0 };
    Error error;
    if (row->target != NO_INDEX || value_decode(image, TYPE_INDEX_JSON, &in, &value, &error)) { put_member("plan", row->detail_json, out); return; }
    Buf plan = { 0 };
    value_to_json(image, TYPE_INDEX_JSON, value, &plan);
    buf_put_text(out, ",\"plan\":");
    plan_put_shown(image, buf_str(&plan), out);
    buf_free(&plan);
    value_release(value);
}

/* What was no plan may be no JSON either: then it is text. */
static void put_refused(const Image *image, Str payload, Buf *out) {
    Arena *arena = arena_new();
    Json *root = NULL, *plan = NULL;
    if (json_parse(arena, payload, SIZE_MAX, &root, NULL) == ERR_OK) {
        Str answer = json_get_text(root, "answer");
        buf_put_text(out, ",\"answer\":");
        if (json_parse(arena, answer, SIZE_MAX, &plan, NULL) == ERR_OK && plan->kind == JSON_OBJECT) plan_put_shown(image, answer, out);
        else json_put_string(out, answer);
        buf_put_text(out, ",\"report\":");
        json_print(out, json_get(root, "report"));
    }
    arena_free(arena);
}

static void put_model(const Image *image, const JournalRow *row, Buf *out) {
    bool refused = row->payload.len > 0;
    begin(row, refused ? "refused" : "model", out);
    if (!refused) put_member("report", row->detail_json, out);
    else if (row->target != NO_INDEX) put_member("shown", row->detail_json, out);
    else put_refused(image, row->payload, out);
}

static void put_row(const Image *image, const JournalRow *row, Buf *out) {
    static const struct { uint8_t effect; const char *what; } effects[] = {
        { EFFECT_LLM_PLAN, "planned" }, { EFFECT_PLAN_FILL, "filled" }, { EFFECT_PLAN_CHECK, "checked" }, { EFFECT_PLAN_LOAD, "loaded" }, { EFFECT_APPROVE, "approval" },
    };
    const char *what = NULL;
    Str audit;
    for (size_t i = 0; i < sizeof effects / sizeof *effects; i++)
        if (row->effect == effects[i].effect) what = effects[i].what;
    bool plan = row->effect == EFFECT_LLM_PLAN || row->effect == EFFECT_PLAN_FILL;
    if (!what || (row->entry != JOURNAL_RESULT && row->entry != JOURNAL_ERROR && row->entry != JOURNAL_MODEL)) return;
    if (row->entry == JOURNAL_MODEL) put_model(image, row, out);
    else {
        begin(row, what, out);
        if (row->entry == JOURNAL_ERROR) put_member("error", row->detail_json, out);
        else if (plan) put_plan(image, row, out);
        else put_member("args", engine_plan_of(row, &audit) ? audit : row->args_json, out), put_member("result", row->detail_json, out);
    }
    buf_put_text(out, "}\n");
}

static Err each_row(Engine *engine, const RunRow *run, void (*put)(const Image *, const JournalRow *, Buf *), Buf *out, Error *error) {
    Image *image = NULL;
    Err err = engine_image(engine, run->module_hash, &image, error);
    if (err) return err;
    StoreBatch *batch = store_batch(engine_home(engine, run), run->tenant, run->run_id, 0);
    int index = store_get_journal(batch, run->run_id, 0, TRACE_ROWS_MAX);
    err = store_run_batch(batch, error);
    uint32_t count = 0;
    const JournalRow *rows = err ? NULL : store_journal(batch, index, &count);
    for (uint32_t i = 0; i < count; i++) put(image, &rows[i], out);
    store_batch_free(batch);
    return err;
}

Err plan_log(Engine *engine, const RunRow *run, Buf *out, Error *error) { return each_row(engine, run, put_row, out, error); }

/* ---- steps ------------------------------------------------------------------------------------------------------------ */

static void put_flow(const Json *flow, uint32_t depth, uint32_t *index, Buf *out);

static void put_line(uint32_t depth, Buf *out) { buf_printf(out, "\n%*s", (int)(13 + 2 * depth), ""); }

/* What a PlanNode is, which was read when the plan was loaded: an action or notification, a condition, a group. */
static void put_step(const Json *step, uint32_t depth, uint32_t *index, Buf *out) {
    Str agent = json_get_text(step, "agent"), action = json_get_text(step, "action"), condition = json_get_text(step, "condition");
    const Json *otherwise = json_get(step, "else");
    put_line(depth, out);
    if (action.len) buf_printf(out, "%u %.*s%s%.*s", (*index)++, STR_ARG(agent), agent.len ? "." : "", STR_ARG(action));
    else if (!condition.len) buf_put_str(out, json_get_text(step, "strategy"));
    if (condition.len) buf_put_text(out, action.len ? " if " : "if "), json_put_string(out, condition);
    if (action.len) return;
    put_flow(json_get(step, condition.len ? "then" : "flow"), depth + 1, index, out);
    if (!otherwise) return;
    put_line(depth, out);
    buf_put_text(out, "else");
    put_flow(otherwise, depth + 1, index, out);
}

static void put_flow(const Json *flow, uint32_t depth, uint32_t *index, Buf *out) {
    for (size_t i = 0; flow && flow->kind == JSON_ARRAY && i < flow->count; i++) put_step(flow->items[i], depth, index, out);
}

static void put_loaded(const Image *image, const JournalRow *row, Buf *out) {
    (void)image;
    Arena *arena = arena_new();
    Json *loaded = NULL;
    const Json *plan;
    Str audit;
    uint32_t index = 0;
    if (engine_plan_of(row, &audit) && json_parse(arena, audit, SIZE_MAX, &loaded, NULL) == ERR_OK && (plan = json_get(loaded, "plan"))) {
        buf_printf(out, "%-12s %.*s", "plan", STR_ARG(json_get_text(plan, "strategy")));
        put_flow(json_get(plan, "flow"), 0, &index, out);
        buf_put_char(out, '\n');
    }
    arena_free(arena);
}

Err plan_steps(Engine *engine, const RunRow *run, Buf *out, Error *error) { return each_row(engine, run, put_loaded, out, error); }
