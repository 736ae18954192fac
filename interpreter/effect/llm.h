/* llm.h - what a language model is asked, whoever answers.
 *
 * A provider gets the kind of question, its text and the type that is due, and answers with a value of that type or an error of the run.
 * The one here follows rules (llm_rules.c): deterministic, bounded, without a network; it is the fallback when no model is configured or none answers.
 */
#ifndef EFFECT_LLM_H
#define EFFECT_LLM_H
#include "interpreter/effect/plan.h"

enum { LLM_TEXT_MAX = 64 << 10, LLM_PLAN_REPAIRS_MAX = 3 /* of a plan that was refused, by one provider */ };

typedef struct LlmQuestion {
    Image *image;
    EffectKind kind;                                     /* EFFECT_LLM_*, EFFECT_PLAN_FILL */
    uint16_t result;                                     /* type that is due */
    Str text;
    const Str *agents; uint32_t agent_count;             /* LLM_PLAN: those it may use; none: all */
    int64_t now_us;                                      /* what "tomorrow" counts from */
    Planner *planner;                                    /* LLM_PLAN: who checks a plan */
    Str plan; const PlanBlanks *blanks;                  /* PLAN_FILL: what is to be filled; borrowed until it is answered */
} LlmQuestion;

/* True: *out is a value of question->result. False: *out is an error value. Either is a new reference.
   classify: the members whose `like` pattern (or name) occurs, in order of first mention; one when an enum is due, else all. None: not_found.
   extract: each field by its pattern (group 1, else the whole match) or, without one, by its type; a missing one is null if it may be, else invalid.
   complete: the prompt's last paragraph. plan: one sequential step per tool whose words occur in the request (not those of which a better fitting one says all), its parameters open; checked like a model's.
   fill: the plan with the blanks that the rules of llm_fill.c find something for; never an error. */
bool llm_rules_answer(const LlmQuestion *question, Value *out);

/* A pattern "flags/pattern" in text; *group is group 1 when it took part, else the whole match. */
bool llm_match(Str pattern, Str text, Str *whole, Str *group);
/* A value of a type in text. pattern: a pattern has pointed at `place`, so that a string may be all of it. */
bool llm_find_value(const LlmQuestion *question, uint16_t type, Str place, bool pattern, Value *out);
/* PLAN_FILL: an object of what the request says about the blanks, by name. */
void llm_fill_by_rules(const LlmQuestion *question, Buf *answers);
/* PLAN_FILL: the plan with the members of that object written in, as a value of type json. */
Value llm_filled(const LlmQuestion *question, Str answers);

/* A date, a time of day in text as people write them; relative ones count from today. */
bool llm_find_date(Str text, int64_t today, int64_t *days);
bool llm_find_time(Str text, int64_t *us_of_day);
#endif
