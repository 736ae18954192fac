/* perform_llm.c - questions to a language model, and what listeners hear of an answer that is streamed.
 *
 * The answer is the journalled result, whole; the row before it, JOURNAL_MODEL, says who gave it and for how many tokens. Pieces of a streamed answer
 * are in no journal: they go to whoever listens in this process while they come, and each says at which byte of the answer it belongs, so that a
 * listener who puts them there has the answer at the end, whatever broke off and was begun again. After a crash before the result is durable
 * the model is asked again, and the pieces begin again at 0; after it nobody is asked, and the result is all there is to tell. */
#include <inttypes.h>
#include <stdlib.h>
#include "interpreter/effect/llm_model.h"
#include "interpreter/sched/engine_internal.h"

enum { PLAN_AGENTS_MAX = 64 };

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

void perform_llm(LiveRun *run, Act *act, const VmRequest *request) {
    Engine *engine = run->engine;
    Str agents[PLAN_AGENTS_MAX];
    LlmQuestion question = { .image = run->image, .kind = (EffectKind)act->effect->kind, .result = act->effect->result, .text = value_str(request->args[0]), .agents = agents, .now_us = engine_now(engine) };
    const List *list = request->arg_count > 1 ? (const List *)request->args[1].o : NULL;
    for (uint32_t i = 0; list && i < list->count && i < PLAN_AGENTS_MAX; i++) agents[question.agent_count++] = value_str(list->items[i]);
    if (!engine->llm || question.text.len > LLM_TEXT_MAX) { answer_by_rules(run, act, &question); return; }
    int64_t left = request->deadline_us == TIME_NEVER ? 0 : request->deadline_us - question.now_us;
    LlmListener listener = { .on_text = text_came, .done = model_answered, .arg = act };
    act->llm = llm_model_ask(engine->llm, &question, request->deadline_us != TIME_NEVER && left < 1000 ? 1000 : left, &listener);
}
