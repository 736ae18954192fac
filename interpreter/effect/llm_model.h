/* llm_model.h - a question to a language model that may not answer: the rules stand behind it.
 *
 * classify and extract send the JSON Schema of the type that is due, and what comes back must be a value of it: one repair with the complaint of the
 * reader, then the next provider, then the rules of llm_rules.c, if the settings leave them. A model may say that nothing fits: that is an answer.
 * plan is checked for what the rules promise of it (a strategy, steps of tools that there are and that may be used); complete and stream are any text.
 * The text of the question is data for the model, and what it says is data for the program: nothing of it is evaluated.
 */
#ifndef EFFECT_LLM_MODEL_H
#define EFFECT_LLM_MODEL_H
#include "interpreter/effect/llm.h"
#include "interpreter/net/llm_client.h"

typedef struct LlmWork LlmWork;
typedef struct LlmListener {
    void (*on_text)(uint64_t offset, Str piece, void *arg);        /* LLM_STREAM; see llm_client.h for what the offset means */
    /* ok: value is of the question's type, else an error value; a new reference. report: JSON, who answered for what price. */
    void (*done)(bool ok, Value value, Str report, void *arg);
    void *arg;
} LlmListener;

/* The question is copied, but its image must live on. time_us: what is left until the caller's deadline, 0: no end. Callbacks come from the loop. */
LlmWork *llm_model_ask(LlmClient *client, const LlmQuestion *question, int64_t time_us, const LlmListener *listener);
void     llm_model_cancel(LlmWork *work);                /* NULL is fine; calls nobody */
Str      llm_model_text(const LlmWork *work);            /* what listeners have been told so far */

/* For tests, too: what a model is sent, and whether its answer is one. */
void llm_prompt(const LlmQuestion *question, Arena *arena, LlmAsk *ask /* messages, schema, strict, stream */);
/* False: *complaint says what is wrong. True: *ok and *out are what the program gets. */
bool llm_read_answer(const LlmQuestion *question, Str text, bool *ok, Value *out, Buf *complaint);
/* False: the schema says more than the strict modes of providers can do. */
bool llm_put_schema(const Image *image, uint16_t type, Buf *out);
#endif
