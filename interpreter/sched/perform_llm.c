/* perform_llm.c - questions to a language model, and what listeners hear of an answer that is streamed.
 *
 * The answer is the journalled result, whole; the row before it, JOURNAL_MODEL, says who gave it and for how many tokens. Pieces of a streamed answer
 * are in no journal: they go to whoever listens in this process while they come, and each says at which byte of the answer it belongs, so that a
 * listener who puts them there has the answer at the end, whatever broke off and was begun again. After a crash before the result is durable
 * the model is asked again, and the pieces begin again at 0; after it nobody is asked, and the result is all there is to tell.
 *
 * A plan that a model wrote and that was refused leaves a row of its own before that one: the answer and the report, whole, in its payload. */
#include <inttypes.h>
#include <stdlib.h>
#include "interpreter/effect/llm_model.h"
#include "interpreter/sched/engine_internal.h"
#include "interpreter/sched/script_internal.h"

static void provider_changed(Str provider, bool down, const char *why, void *arg) {
    Engine *engine = arg;
    serve_log(engine, down ? "llm_down" : "llm_up", ",\"provider\":\"%.*s\",\"why\":\"%s\"", STR_ARG(provider), why);
    if (engine->options.on_model) engine->options.on_model(provider, down, why, engine->options.arg);
}

void llm_open(Engine *engine) {
    const LlmSettings *settings = engine->options.llm;
    engine->options.llm = NULL;                          /* the caller's, and only until the engine is open */
    if (!settings || settings->provider_count == 0 || engine->options.virtual_time) return;
    engine->llm = llm_client_new(engine->loop, engine->http, settings);
    llm_client_watch(engine->llm, provider_changed, engine);
}

/* ---- what listeners hear ------------------------------------------------------------------------------------- */

static void tell_text(Act *act, uint64_t offset, Str piece) {
    LiveRun *run = act->run;
    Engine *engine = run->engine;
    if (!engine->options.on_note) return;
    Buf args = { 0 };
    buf_printf(&args, "[%" PRIu64 ",", offset);
    json_put_string(&args, piece);
    buf_put_char(&args, ']');
    int64_t now = engine_now(engine);
    JournalRow row = { .seq = run->row.last_seq, .request = act->id, .fiber = act->fiber, .entry = JOURNAL_NOTE, .effect = EFFECT_NOTE_TEXT, .target = NO_INDEX, .agent = NO_INDEX,
                       .name = STR("text"), .args_json = buf_str(&args), .started_us = now, .ended_us = now };
    engine->options.on_note(&run->row, &row, engine->options.arg);
    buf_free(&args);
}

static void text_came(uint64_t offset, Str piece, void *arg) { tell_text(arg, offset, piece); }

void engine_texts(Engine *engine, Str tenant, Str run_id, void (*each)(uint64_t request, Str text, void *arg), void *arg) {
    LiveRun *run = engine_live_find(engine, tenant, run_id);
    for (uint32_t i = 0; run && i < run->act_count; i++)
        if (run->acts[i]->llm && run->acts[i]->effect->kind == EFFECT_LLM_STREAM) each(run->acts[i]->id, llm_model_text(run->acts[i]->llm), arg);
}

/* ---- asking ---------------------------------------------------------------------------------------------------- */

static void model_answered(bool ok, Value value, Str report, void *arg) {
    Act *act = arg;
    act->llm = NULL;
    act->report = mem_alloc(report.len + 1);
    memcpy(act->report, report.ptr, report.len);
    perform_answer(act, ok, value);
}

/* For who wants to know later how a plan came about. */
static void plan_refused(Str answer, Str report, void *arg) {
    Act *act = arg;
    buf_put_text(&act->refused, "{\"answer\":");
    json_put_string(&act->refused, answer);
    buf_printf(&act->refused, ",\"report\":%.*s}\n", STR_ARG(report));
}

/* Where no model is configured, which is said once. */
static void answer_by_rules(LiveRun *run, Act *act, const LlmQuestion *question) {
    Engine *engine = run->engine;
    Value value;
    if (!engine->rules_told && engine->options.on_model) engine->options.on_model((Str){ "", 0 }, true, "", engine->options.arg);
    engine->rules_told = true;
    bool ok = llm_rules_answer(question, &value);
    if (ok && act->effect->kind == EFFECT_LLM_STREAM) tell_text(act, 0, value_str(value));
    perform_answer(act, ok, value);
}

/* A test says what a model answers: it is checked like a model's, and what is refused is followed by the next. False: the test says nothing of plans. */
static bool answer_by_script(LiveRun *run, Act *act, const LlmQuestion *question) {
    EngineScript *script = run->engine->options.script;
    if (question->kind != EFFECT_LLM_PLAN || !script || !script_has_plans(script)) return false;
    Str key = str_of(arena_printf(act->asked, "%.*s:%" PRIu64, STR_ARG(run->row.run_id), act->id)), said;
    Buf report = { 0 };
    uint32_t round = 0;
    bool ok = false, good = false;
    Value value = { 0 };
    for (; round <= LLM_PLAN_REPAIRS_MAX && !good && script_plan(script, key, round, &said); round++) {
        buf_clear(&report);
        good = llm_read_answer(question, said, &ok, &value, &report);
        if (!good) plan_refused(said, buf_str(&report), act);
    }
    if (round) perform_answer(act, ok, good ? value : llm_plan_refused(question, buf_str(&report)));
    buf_free(&report);
    return round > 0;
}

static Str *texts_of(Value list, Arena *arena, uint32_t *count) {
    const List *from = (const List *)list.o;
    *count = from ? from->count : 0;
    Str *to = ARENA_ARRAY(arena, Str, *count + 1u);
    for (uint32_t i = 0; i < *count; i++) to[i] = value_str(from->items[i]);
    return to;
}

/* False: there is nothing to fill. A plan with other faults is handed on as it is: whoever loads it says what they are. */
static bool find_blanks(LiveRun *run, Act *act, const VmRequest *request, LlmQuestion *question) {
    PlanRights rights = { .any_scope = true, .may_ask = true, .over_budget = true };
    PlanBlanks *blanks = ARENA_NEW(act->asked, PlanBlanks);
    Buf plan = { 0 };
    Value error;
    rights.tools = texts_of(request->args[2], act->asked, &rights.tool_count);
    value_to_json(run->image, TYPE_INDEX_JSON, request->args[0], &plan);
    question->plan = arena_str(act->asked, buf_str(&plan));
    question->blanks = blanks;
    buf_free(&plan);
    bool good = planner_find_blanks(question->planner, run->image, question->plan, &rights, act->asked, blanks, &error);
    if (!good) value_release(error);
    return good && blanks->count;
}

void perform_llm(LiveRun *run, Act *act, const VmRequest *request) {
    Engine *engine = run->engine;
    bool fill = act->effect->kind == EFFECT_PLAN_FILL;
    if (!engine->planner) engine->planner = planner_new();
    if (fill || act->effect->kind == EFFECT_LLM_PLAN) act->asked = arena_new();
    LlmQuestion question = { .image = run->image, .kind = (EffectKind)act->effect->kind, .result = act->effect->result, .text = value_str(request->args[fill ? 1 : 0]), .now_us = engine_now(engine),
                             .planner = engine->planner };
    if (act->effect->kind == EFFECT_LLM_PLAN) question.agents = texts_of(request->args[1], act->asked, &question.agent_count);
    if (fill && !find_blanks(run, act, request, &question)) {
        value_retain(request->args[0]);
        perform_answer(act, true, request->args[0]);
        return;
    }
    if (answer_by_script(run, act, &question)) return;
    if (!engine->llm || question.text.len > LLM_TEXT_MAX) { answer_by_rules(run, act, &question); return; }
    int64_t left = request->deadline_us == TIME_NEVER ? 0 : request->deadline_us - question.now_us;
    LlmListener listener = { .on_text = text_came, .on_refused = plan_refused, .done = model_answered, .arg = act };
    act->llm = llm_model_ask(engine->llm, &question, request->deadline_us != TIME_NEVER && left < 1000 ? 1000 : left, &listener);
}
