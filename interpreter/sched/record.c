/* record.c - journal rows: given their seq, buffered until a commit takes them along, and told in words for people.
 *
 * Order is everything: seq is given out in the order in which the run learned (deliveries) or said (notes) things, rows become durable in
 * that order and without holes, so whatever prefix of the journal a crash leaves is a state the run really was in.
 *
 * Texts for people are redacted by the labels of the types and cut to JOURNAL_ARGS_MAX, as JSON still. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include "base/time.h"
#include "interpreter/sched/engine_internal.h"

enum { ROW_TEXT_ROOM = 256 /* most texts of a row are shorter */, ROWS_FEW = 2 /* most commits carry no more */ };

Str record_bounded(Arena *arena, Buf *json) {
    if (json->len > JOURNAL_ARGS_MAX) {
        size_t len = json->len;
        buf_clear(json);
        buf_printf(json, "{\"too_long\":%zu}", len);
    }
    return arena_str(arena, buf_str(json));
}

/* Names and labels of the arguments, where something declares them. */
static const ImageField *declared_params(const Image *image, const ImageEffect *effect, uint16_t *count) {
    if (effect->kind == EFFECT_REMOTE_CALL || effect->kind == EFFECT_NOTE_SPAN_BEGIN) {
        const ImageTool *tool = effect->target < image->tool_count ? &image->tools[effect->target] : NULL;
        if (tool && tool->param_count == effect->param_count && str_ends(effect->name, tool->name)) { *count = tool->param_count; return tool->params; }
    }
    if (effect->kind == EFFECT_START_FLOW || effect->kind == EFFECT_NOTE_SPAN_BEGIN) {
        const ImageFlow *flow = effect->target < image->flow_count ? &image->flows[effect->target] : NULL;
        if (flow && flow->param_count == effect->param_count && str_eq(effect->name, flow->name)) { *count = flow->param_count; return flow->params; }
    }
    *count = 0;
    return NULL;
}

static void put_value(const Image *image, uint16_t type, uint8_t labels, Value value, Buf *out) {
    if (labels & (LABEL_PII | LABEL_SECRET)) buf_put_text(out, "\"***\"");
    else value_to_json_redacted(image, type, value, out);
}

/* What is asked of a model, and what it makes of it, is as personal or secret as the text. */
static bool is_prompt(const ImageEffect *effect) { return (effect->kind >= EFFECT_LLM_CLASSIFY && effect->kind <= EFFECT_LLM_STREAM) || effect->kind == EFFECT_PLAN_FILL; }
static bool gives_plan(const ImageEffect *effect) { return effect->kind == EFFECT_LLM_PLAN || effect->kind == EFFECT_PLAN_FILL; }
static bool is_hidden(const ImageEffect *effect) { return is_prompt(effect) && effect->target != NO_INDEX; }

enum { SHOWN_PROMPT_MAX = 1000 };                        /* a prompt may hold a whole document; its beginning says what it was about */

static void put_prompt(Str text, Buf *out) {
    size_t len = text.len < SHOWN_PROMPT_MAX ? text.len : SHOWN_PROMPT_MAX;
    if (len == text.len) { json_put_string(out, text); return; }
    while (len < text.len && len && ((unsigned char)text.ptr[len] & 0xC0) == 0x80) len--;
    Buf shown = { 0 };
    buf_put(&shown, text.ptr, len);
    buf_put_text(&shown, "…");
    json_put_string(out, buf_str(&shown));
    buf_free(&shown);
}

/* [question, arguments, hash]: what was asked to be allowed, as its trace tells it. */
static void put_approval_args(LiveRun *run, const VmRequest *request, Buf *out) {
    Arena *arena = arena_new();
    Approval approval;
    Str tool = value_str(request->args[0]);
    bool fits = approval_read(run->image, request, arena, &approval, NULL) == ERR_OK;
    buf_put_char(out, '[');
    json_put_string(out, approval_text(tool, arena));
    if (fits) {
        buf_put_char(out, ',');
        approval_put_arguments(run->image, &approval, LABEL_PII | LABEL_SECRET, arena, out);
        buf_printf(out, ",\"%s\"", approval.hash);
    }
    buf_put_char(out, ']');
    arena_free(arena);
}

static void put_plan(const Image *image, Value plan, Buf *out) {
    Buf text = { 0 };
    value_to_json(image, TYPE_INDEX_JSON, plan, &text);
    plan_put_shown(image, buf_str(&text), out);
    buf_free(&text);
}

static void args_json(LiveRun *run, const VmRequest *request, Buf *out) {
    const ImageEffect *effect = request->effect;
    bool prompt = is_prompt(effect), hidden = is_hidden(effect);
    uint16_t declared;
    const ImageField *params = declared_params(run->image, effect, &declared);
    uint16_t count = request->arg_count < effect->param_count ? request->arg_count : effect->param_count;
    if (effect->kind == EFFECT_NOTE_SPAN_END) return;
    if (effect->kind == EFFECT_APPROVE) { put_approval_args(run, request, out); return; }
    if (effect->kind == EFFECT_PLAN_LOAD || effect->kind == EFFECT_PLAN_CHECK) { plan_put_audit(run, request, out); return; }
    buf_put_char(out, params ? '{' : '[');
    for (uint16_t i = 0; i < count; i++) {
        if (i) buf_put_char(out, ',');
        if (params) json_put_string(out, params[i].name), buf_put_char(out, ':');
        bool text = prompt && !hidden && i == (effect->kind == EFFECT_PLAN_FILL);
        if (text) put_prompt(value_str(request->args[i]), out);
        else if (effect->kind == EFFECT_PLAN_FILL && i == 0 && !hidden) put_plan(run->image, request->args[i], out);
        else put_value(run->image, effect->params[i], params ? params[i].labels : hidden ? LABEL_PII : 0, request->args[i], out);
    }
    buf_put_char(out, params ? '}' : ']');
}

static void span_result_json(LiveRun *run, const VmRequest *request, Buf *out) {
    if (request->arg_count == 0) return;
    if (request->span_failed) { value_to_json_redacted(run->image, TYPE_INDEX_ERROR, request->args[0], out); return; }
    if (request->effect->param_count) value_to_json_redacted(run->image, request->effect->params[0], request->args[0], out);
}

void record_tell(const Image *image, uint16_t type, Value value, Arena *arena, JournalRow *row) {
    char room[ROW_TEXT_ROOM];
    Buf bytes = buf_on(room, sizeof room);
    value_encode(image, type, value, &bytes);
    row->payload = arena_str(arena, buf_str(&bytes));
    buf_clear(&bytes);
    if (image->types[type].kind != KIND_VOID) value_to_json_redacted(image, type, value, &bytes);
    row->detail_json = record_bounded(arena, &bytes);
    buf_free(&bytes);
}

Arena *record_arena(LiveRun *run) {
    if (run->row_arena) return run->row_arena;
    assert(run->row_count == 0);                         /* rows that are on their way get no company */
    run->row_cap = 0;
    return run->row_arena = arena_new();
}

#define NO_TEXT { "", 0 }                                /* stores take rows as they are, and no store takes a NULL */

static JournalRow *add_row(LiveRun *run, uint8_t entry) {
    Arena *arena = record_arena(run);
    if (run->row_count == run->row_cap) {
        JournalRow *before = run->rows;
        run->row_cap = run->row_cap ? run->row_cap * 2 : ROWS_FEW;
        run->rows = arena_take(arena, run->row_cap * sizeof *run->rows);
        if (run->row_count) memcpy(run->rows, before, run->row_count * sizeof *run->rows);
    }
    JournalRow *row = &run->rows[run->row_count++];
    int64_t now = engine_now(run->engine);
    *row = (JournalRow){ .seq = ++run->seq, .entry = entry, .target = NO_INDEX, .agent = NO_INDEX, .started_us = now, .ended_us = now,
                          .name = NO_TEXT, .args_json = NO_TEXT, .payload = NO_TEXT, .detail_json = NO_TEXT };
    return row;
}

JournalRow *record_row(LiveRun *run, uint8_t entry, const VmRequest *request) {
    JournalRow *row = add_row(run, entry);
    if (!request) return row;
    char room[ROW_TEXT_ROOM];
    Buf text = buf_on(room, sizeof room);
    row->request = request->id;
    row->fiber = request->fiber;
    row->span = request->span;
    row->parent_span = request->parent_span;
    row->effect = request->effect->kind;
    row->target = request->effect->target;
    row->agent = request->func < run->image->func_count ? run->image->funcs[request->func].agent : NO_INDEX;
    row->name = request->effect->name.len ? request->effect->name : str_of(effect_name(request->effect->kind));      /* the image's, which the run holds */
    args_json(run, request, &text);
    row->args_json = record_bounded(run->row_arena, &text);
    buf_clear(&text);
    if (row->effect == EFFECT_NOTE_SPAN_END) span_result_json(run, request, &text);
    row->detail_json = record_bounded(run->row_arena, &text);
    buf_free(&text);
    return row;
}

void record_park(LiveRun *run) {
    JournalRow *row = add_row(run, JOURNAL_PARKED);
    row->started_us = row->ended_us = run->untold_park_us;
    run->untold_park_us = 0;
}

void record_resumed(LiveRun *run) {
    if (run->untold_park_us) record_park(run);
    if (run->resumed) add_row(run, JOURNAL_RESUMED);
    run->resumed = false;
}

JournalRow *record_answer(LiveRun *run, const VmRequest *request, bool ok) {
    record_resumed(run);
    JournalRow *row = record_row(run, ok ? JOURNAL_RESULT : JOURNAL_ERROR, request);
    const Act *act = live_act(run, request->id);
    if (act) row->started_us = act->started_us;
    return row;
}

JournalRow *record_result(LiveRun *run, uint64_t id, bool ok, Value value) {
    VmRequest request;
    if (!live_request(run, id, &request)) return NULL;
    JournalRow *row = record_answer(run, &request, ok);
    record_tell(run->image, ok ? live_result_type(run->image, request.effect) : TYPE_INDEX_ERROR, value, run->row_arena, row);
    if (ok && is_hidden(request.effect)) row->detail_json = STR("\"***\"");
    else if (ok && gives_plan(request.effect)) {
        Buf shown = { 0 };
        put_plan(run->image, value, &shown);
        row->detail_json = record_bounded(run->row_arena, &shown);
        buf_free(&shown);
    }
    return row;
}

/* How it began, with values of labelled parameters hidden where it is JSON. */
static void put_answer(const Image *image, Str answer, Arena *arena, Buf *out) {
    Json *plan = NULL;
    Buf shown = { 0 };
    bool object = json_parse(arena, answer, SIZE_MAX, &plan, NULL) == ERR_OK && plan->kind == JSON_OBJECT;
    if (object) plan_put_shown(image, answer, &shown);
    put_prompt(object ? buf_str(&shown) : answer, out);
    buf_free(&shown);
}

/* The code, place and words of the first thing that was wrong, and how the answer began; what a personal request made a model say is not for people. */
static void put_refused(const Image *image, const ImageEffect *effect, Str line, Buf *out) {
    Arena *arena = arena_new();
    Json *root = NULL;
    json_parse(arena, line, SIZE_MAX, &root, NULL);
    const Json *report = root ? json_get(root, "report") : NULL, *all = report ? json_get(report, "diagnostics") : NULL, *first = all && all->count ? all->items[0] : NULL;
    buf_put_text(out, "{\"refused\":");
    json_put_string(out, first ? json_get_text(first, "code") : STR("?"));
    buf_put_text(out, ",\"pointer\":");
    json_put_string(out, first ? json_get_text(first, "pointer") : (Str){ "", 0 });
    buf_printf(out, ",\"diagnostics\":%zu", all ? all->count : 0);
    if (!is_hidden(effect)) {
        buf_put_text(out, ",\"message\":");
        put_prompt(first ? json_get_text(first, "message") : (Str){ "", 0 }, out);
        buf_put_text(out, ",\"answer\":");
        put_answer(image, root ? json_get_text(root, "answer") : (Str){ "", 0 }, arena, out);
    }
    buf_put_char(out, '}');
    arena_free(arena);
}

static void record_refused(LiveRun *run, Act *act, const VmRequest *request) {
    Str lines = buf_str(&act->refused);
    while (lines.len) {
        const char *end = memchr(lines.ptr, '\n', lines.len);
        Str line = { lines.ptr, (size_t)(end - lines.ptr) };
        JournalRow *row = record_row(run, JOURNAL_MODEL, request);
        Buf text = { 0 };
        put_refused(run->image, request->effect, line, &text);
        row->started_us = act->started_us;
        row->args_json = (Str){ "", 0 };
        row->detail_json = record_bounded(run->row_arena, &text);
        row->payload = arena_str(run->row_arena, line);
        buf_free(&text);
        lines = (Str){ end + 1, lines.len - line.len - 1 };
    }
    buf_clear(&act->refused);
}

void record_model(LiveRun *run, Act *act) {
    VmRequest request;
    if ((!act->report && !act->refused.len) || !live_request(run, act->id, &request)) return;
    record_resumed(run);
    record_refused(run, act, &request);
    if (!act->report) return;
    JournalRow *row = record_row(run, JOURNAL_MODEL, &request);
    Buf report = { 0 };
    buf_put_text(&report, act->report);
    row->started_us = act->started_us;
    row->args_json = (Str){ "", 0 };
    row->detail_json = record_bounded(run->row_arena, &report);
    buf_free(&report);
    record_meter(run, row);
}

/* What a model took is the plan's whose tool asked it. Told by the row, so that a run that is taken on charges the same, at the same place. */
void record_meter(LiveRun *run, const JournalRow *row) {
    if (row->payload.len) return;                        /* an answer that was refused: its tokens are in the report behind it */
    Arena *arena = arena_new();
    Json *report = NULL;
    if (json_parse(arena, row->detail_json, JOURNAL_ARGS_MAX, &report, NULL) == ERR_OK) {
        const Json *prompt = json_get(report, "prompt_tokens"), *completion = json_get(report, "completion_tokens");
        uint64_t tokens = (prompt && prompt->integer > 0 ? (uint64_t)prompt->integer : 0) + (completion && completion->integer > 0 ? (uint64_t)completion->integer : 0);
        if (tokens) vm_meter_tokens(run->vm, tokens);
    }
    arena_free(arena);
}

void record_take_back(LiveRun *run) {
    run->row_count--;
    run->seq--;
}

void record_durable(LiveRun *run) {
    const EngineOptions *options = &run->engine->options;
    run->row.last_seq = run->seq;
    if (options->on_note)
        for (uint32_t i = 0; i < run->row_count; i++) options->on_note(&run->row, &run->rows[i], options->arg);
    run->row_count = 0;
    run->reloads = 0;
    arena_free(run->row_arena);                          /* NULL when the batch had it */
    run->row_arena = NULL;
}

/* The batch that had them goes, and they are not durable. */
void record_keep(LiveRun *run) {
    if (run->row_count == 0 || run->row_arena) return;
    Arena *arena = arena_new();
    JournalRow *rows = ARENA_ARRAY(arena, JournalRow, run->row_count);
    for (uint32_t i = 0; i < run->row_count; i++) {
        rows[i] = run->rows[i];
        Str *texts[] = { &rows[i].name, &rows[i].args_json, &rows[i].payload, &rows[i].detail_json };
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) *texts[k] = arena_str(arena, *texts[k]);
    }
    run->rows = rows;
    run->row_cap = run->row_count;
    run->row_arena = arena;
}

/* ---- what a parked run waits for ------------------------------------------------------------------ */

typedef struct WaitsOut { LiveRun *run; Buf *out; bool any; } WaitsOut;

static void put_time(Buf *out, int64_t us) {
    buf_put_char(out, '"');
    timestamp_print(us, out);
    buf_put_char(out, '"');
}

static void put_question(LiveRun *run, const VmRequest *request, Buf *out) {
    const ImageEffect *effect = request->effect;
    buf_put_text(out, ",\"text\":");
    json_put_string(out, request->arg_count > 0 ? value_str(request->args[0]) : (Str){ "", 0 });
    if (request->arg_count > 1) {
        buf_put_text(out, ",\"choices\":");
        value_to_json(run->image, effect->params[1], request->args[1], out);
    }
    Buf type = { 0 };
    image_type_print(run->image, effect->result, &type);
    buf_put_text(out, ",\"type\":");
    json_put_string(out, buf_str(&type));
    buf_printf(out, ",\"type_index\":%u", effect->result);
    buf_free(&type);
}

/* The arguments are those of the call: whoever allows it has to see them. Secrets alone are nobody's to see. */
static void put_approval(LiveRun *run, const VmRequest *request, Buf *out) {
    Arena *arena = arena_new();
    Approval approval;
    buf_put_text(out, ",\"text\":");
    json_put_string(out, approval_text(value_str(request->args[0]), arena));
    if (approval_read(run->image, request, arena, &approval, NULL) == ERR_OK) {
        buf_put_text(out, ",\"tool\":");
        json_put_string(out, approval.tool);
        buf_put_text(out, ",\"arguments\":");
        approval_put_arguments(run->image, &approval, LABEL_SECRET, arena, out);
        buf_printf(out, ",\"hash\":\"%s\"", approval.hash);
    }
    buf_printf(out, ",\"type\":\"bool\",\"type_index\":%u", request->effect->result);
    arena_free(arena);
}

static bool put_wait(const VmRequest *request, void *arg) {
    WaitsOut *w = arg;
    const Act *act = live_act(w->run, request->id);
    if (request->is_note || !act || act->state != ACT_PARKED || act->id == w->run->current) return true;
    buf_put_char(w->out, w->any ? ',' : '[');
    w->any = true;
    buf_printf(w->out, "{\"request\":%" PRIu64 ",\"kind\":", request->id);
    json_put_string(w->out, str_of(effect_name(request->effect->kind)));
    if (request->effect->kind == EFFECT_ASK) put_question(w->run, request, w->out);
    else if (request->effect->kind == EFFECT_APPROVE) put_approval(w->run, request, w->out);
    else {
        buf_put_text(w->out, ",\"text\":");
        json_put_string(w->out, request->effect->name);
    }
    int64_t due = act->due_us < request->deadline_us ? act->due_us : request->deadline_us;
    if (due != TIME_NEVER) buf_put_text(w->out, ",\"due\":"), put_time(w->out, due);
    if (!w->run->birth || w->run->row.status != RUN_PARKED) {        /* else it has waited since it started */
        buf_put_text(w->out, WAITS_SINCE);
        put_time(w->out, act->started_us);
    }
    buf_put_char(w->out, '}');
    return true;
}

void record_waits(LiveRun *run, Buf *out) {
    WaitsOut waits = { run, out, false };
    vm_pending_each(run->vm, put_wait, &waits);
    if (waits.any) buf_put_char(out, ']');
    else buf_put_text(out, "[]");
}
