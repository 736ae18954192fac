/* script_internal.h - what the engine asks a script. Texts are borrowed from the script. */
#ifndef SCHED_SCRIPT_INTERNAL_H
#define SCHED_SCRIPT_INTERNAL_H
#include "interpreter/sched/script.h"

typedef struct ScriptAnswer {
    bool fails;
    ErrorKind kind; Str message, code; int status; int64_t retry_after_us;
    Str value_json;
    int64_t due_us;                                      /* when it comes */
} ScriptAnswer;

bool script_names_tool(const EngineScript *script, Str tool);
/* False: no rule is left for this call. The same key gets the same answer again. */
bool script_call(EngineScript *script, Str tool, Str key, int64_t now_us, ScriptAnswer *out);
bool script_answer(EngineScript *script, Str key, Str *json);
/* The answer to try `round` (0, 1, …) of the question with this key. False: none is left. */
bool script_plan(EngineScript *script, Str key, uint32_t round, Str *json);
bool script_has_plans(const EngineScript *script);       /* was there ever one */
bool script_id(EngineScript *script, Str table, Str key, Str *id);
#endif
