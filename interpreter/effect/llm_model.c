/* llm_model.c - see llm_model.h. */
#include "interpreter/effect/llm_model.h"
#include <stdio.h>
#include <stdlib.h>

struct LlmWork {
    Arena *arena;
    LlmClient *client;
    LlmCall *call;
    LlmQuestion question;
    LlmListener listener;
    Str by_rules;                                        /* of a stream, once the model's call is over */
    Str refused;                                         /* the report on the last plan that was refused */
    bool read, ok; Value value;                          /* what the answer that was accepted means */
};

/* What is wrong with a plan is a report for machines; the model is told what to do about it. */
static void refuse_plan(LlmWork *work, Str answer, Buf *complaint) {
    work->refused = arena_str(work->arena, buf_str(complaint));
    if (work->listener.on_refused) work->listener.on_refused(answer, work->refused, work->listener.arg);
    buf_clear(complaint);
    buf_put_text(complaint, "The plan was refused. The report says where in it, by JSON pointers, and why. Answer with the whole plan again, corrected, as JSON only.\n");
    buf_put_str(complaint, work->refused);
}

static bool accept(Str text, Buf *complaint, void *arg) {
    LlmWork *work = arg;
    work->read = llm_read_answer(&work->question, text, &work->ok, &work->value, complaint);
    if (!work->read && work->question.kind == EFFECT_LLM_PLAN) refuse_plan(work, text, complaint);
    return work->read;
}

static void on_text(uint64_t offset, Str piece, void *arg) {
    LlmWork *work = arg;
    work->listener.on_text(offset, piece, work->listener.arg);
}

/* Its keys, addresses and words stay out of what a program is told. */
static Value nobody_answers(const LlmWork *work, const LlmAnswer *answer) {
    char text[160];
    if (work->refused.len && !answer->status && !answer->code) return llm_plan_refused(&work->question, work->refused);       /* the last thing that went wrong was a plan */
    bool late = answer->code && strcmp(answer->code, "ETIMEDOUT") == 0;
    ErrorKind kind = late ? ERROR_KIND_timeout : answer->status == 429 ? ERROR_KIND_rate_limited : ERROR_KIND_unavailable;
    if (answer->status) snprintf(text, sizeof text, "no language model has answered; the last one refused with status %d", answer->status);
    else snprintf(text, sizeof text, "no language model has answered%s%s", answer->code ? "; the last failure was " : "", answer->code ? answer->code : "");
    return error_with(value_error(work->question.image, kind, str_of(text)), answer->status, answer->code ? str_of(answer->code) : (Str){ "", 0 }, answer->retry_after_us);
}

static void ask_rules(LlmWork *work, bool *ok, Value *value) {
    *ok = llm_rules_answer(&work->question, value);
    if (!*ok || work->question.kind != EFFECT_LLM_STREAM) return;
    work->by_rules = value_str(*value);
    on_text(0, work->by_rules, work);
}

static void free_work(LlmWork *work) {
    if (work->read && (!work->ok || kind_is_counted(work->question.image->types[work->question.result].kind))) value_release(work->value);
    arena_free(work->arena);
    free(work);
}

static void done(const LlmAnswer *answer, void *arg) {
    LlmWork *work = arg;
    bool ok = answer->ok;
    Value value = { 0 };
    work->call = NULL;                                   /* it ends with this */
    if (!answer->ok && llm_client_has_rules(work->client)) ask_rules(work, &ok, &value);
    else if (!answer->ok) value = nobody_answers(work, answer);
    else if (work->read) ok = work->ok, value = work->value, work->read = false;
    else value = value_string(answer->text);
    LlmListener listener = work->listener;
    free_work(work);
    listener.done(ok, value, answer->report, listener.arg);
}

LlmWork *llm_model_ask(LlmClient *client, const LlmQuestion *question, int64_t time_us, const LlmListener *listener) {
    LlmWork *work = mem_alloc(sizeof *work);
    *work = (LlmWork){ .arena = arena_new(), .client = client, .question = *question, .listener = *listener };
    Str *agents = ARENA_ARRAY(work->arena, Str, question->agent_count + 1u);
    for (uint32_t i = 0; i < question->agent_count; i++) agents[i] = arena_str(work->arena, question->agents[i]);
    work->question.agents = agents;
    work->question.text = arena_str(work->arena, question->text);
    LlmAsk ask = { .time_us = time_us, .done = done, .arg = work };
    llm_prompt(&work->question, work->arena, &ask);
    if (ask.schema.len) ask.accept = accept;
    if (ask.stream) ask.on_text = on_text;
    work->call = llm_ask(client, &ask);
    return work;
}

void llm_model_cancel(LlmWork *work) {
    if (!work) return;
    llm_cancel(work->call);
    free_work(work);
}

Str llm_model_text(const LlmWork *work) { return work->call ? llm_text_so_far(work->call) : work->by_rules; }
