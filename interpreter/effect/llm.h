/* llm.h - what a language model is asked, whoever answers.
 *
 * A provider gets the kind of question, its text and the type that is due, and answers with a value of that type or an error of the run.
 * The one here follows rules (llm_rules.c): deterministic, bounded, without a network; it is the fallback when no model is configured or none answers.
 */
#ifndef EFFECT_LLM_H
#define EFFECT_LLM_H
#include "interpreter/vm/value.h"

enum { LLM_TEXT_MAX = 64 << 10, LLM_PLAN_STEPS_MAX = 20 };

typedef struct LlmQuestion {
    const Image *image;
    EffectKind kind;                                     /* EFFECT_LLM_* */
    uint16_t result;                                     /* type that is due */
    Str text;
    const Str *agents; uint32_t agent_count;             /* LLM_PLAN: those it may use; none: all */
    int64_t now_us;                                      /* what "tomorrow" counts from */
} LlmQuestion;

/* True: *out is a value of question->result. False: *out is an error value. Either is a new reference.
   classify: the members whose `like` pattern (or name) occurs, in order of first mention; one when an enum is due, else all. None: not_found.
   extract: each field by its pattern (group 1, else the whole match) or, without one, by its type; a missing one is null if it may be, else invalid.
   complete: the prompt's last paragraph. plan: one sequential step per tool whose words occur in the request. */
bool llm_rules_answer(const LlmQuestion *question, Value *out);

/* A date, a time of day in text as people write them; relative ones count from today. */
bool llm_find_date(Str text, int64_t today, int64_t *days);
bool llm_find_time(Str text, int64_t *us_of_day);
#endif
