/* script.h - what a test says about the outside: tools that fail or return, answers of the user, ids to come; and what was seen.
 *
 * The engine asks it before a tool (local ones are intercepted only when a rule names them), at a question, and for new ids. Rules of a tool are
 * tried in the order they were given; one that was used `times` often is passed over; after the last of them the tool does what it really does.
 * A script outlives engines: after a simulated crash the next engine goes on with the same rules, whose use is counted by idempotency key,
 * so that an effect repeated with the same key gets the same answer.
 */
#ifndef SCHED_SCRIPT_H
#define SCHED_SCRIPT_H
#include "interpreter/vm/value.h"

typedef struct EngineScript EngineScript;
EngineScript *script_new(void);
void script_free(EngineScript *script);
void script_tool_fails(EngineScript *script, Str tool, ErrorKind kind, Str message, int status, Str code, int64_t retry_after_us, uint32_t times /* 0 always */);
void script_tool_returns(EngineScript *script, Str tool, Str value_json, int64_t delay_us);
void script_answers(EngineScript *script, const Str *json, uint32_t count);     /* in order; none: no answer comes */
void script_plan_says(EngineScript *script, Str json);             /* a model's next answer to `llm.plan`, good or bad; more follow in order */
void script_ids(EngineScript *script, Str table, const Str *ids, uint32_t count);
#endif
