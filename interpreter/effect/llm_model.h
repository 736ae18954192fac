/* llm_model.h - a question to a language model that may not answer: the rules stand behind it.
 *
 * classify and extract send the JSON Schema of the type that is due, and what comes back must be a value of it: one repair with the complaint of the
 * reader, then the next provider, then the rules of llm_rules.c, if the settings leave them. A model may say that nothing fits: that is an answer.
 * plan must be one that the compiler of plans accepts, with what is open left open; what is refused goes back with the report, LLM_PLAN_REPAIRS_MAX times.
 * fill asks for the blanks of a plan as extract does; what stays null stays open. complete and stream are any text.
 * The text of the question is data for the model, and what it says is data for the program: nothing of it is evaluated.
 */
#ifndef EFFECT_LLM_MODEL_H
#define EFFECT_LLM_MODEL_H
#include "interpreter/effect/llm.h"
#include "interpreter/net/llm_client.h"

typedef struct LlmWork LlmWork;
typedef struct LlmListener {
    void (*on_text)(uint64_t offset, Str piece, void *arg);        /* LLM_STREAM; see llm_client.h for what the offset means */
    /* LLM_PLAN, may be NULL: an answer that was no plan, and the report that says why. */
    void (*on_refused)(Str answer, Str report, void *arg);
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
/* False: *complaint says what is wrong; of a plan it is the report. True: *ok and *out are what the program gets. */
bool llm_read_answer(const LlmQuestion *question, Str text, bool *ok, Value *out, Buf *complaint);
/* False: the schema says more than the strict modes of providers can do. */
bool llm_put_schema(const Image *image, uint16_t type, Buf *out);

/* llm_plan.c: the parts of the above that are about plans. */
void llm_put_plan_prompt(const LlmQuestion *question, Buf *schema, Buf *words);
bool llm_put_fill_prompt(const LlmQuestion *question, Buf *schema, Buf *words);
bool llm_read_plan(const LlmQuestion *question, Str text, bool *ok, Value *out, Buf *report);
bool llm_read_fill(const LlmQuestion *question, const Json *root, bool *ok, Value *out, Buf *complaint);
/* The error of a question whose last answer was refused with this report: invalid, with the code of the first diagnostic. */
Value llm_plan_refused(const LlmQuestion *question, Str report);
#endif
