/* verify_effect.c - an effect row asks for what its kind and its target allow.
 *
 * rules[] says for each kind of effects.def what the target is and which types go in and out: `*` stands for all parameters of
 * the target, `@` for its record or result, `|` between alternatives. To add an effect, add a row to effects.def and one here;
 * a kind without a rule is refused, and a test looks for such kinds.
 */
#include "interpreter/bytecode/verify_internal.h"

typedef enum {
    TARGET_NOBODY = 1, TARGET_TABLE, TARGET_READ_QUERY, TARGET_WRITE_QUERY, TARGET_EVENT, TARGET_SIGNAL, TARGET_TOOL, TARGET_REMOTE_TOOL, TARGET_AGENT, TARGET_FLOW, TARGET_SESSION, TARGET_CONTEXT, TARGET_LABELS
} TargetSort;
typedef struct EffectRule { TargetSort target; const char *params, *result; } EffectRule;

static const EffectRule rules[] = {
    [EFFECT_NOW] = { TARGET_NOBODY, "", "timestamp" },
    [EFFECT_UUID] = { TARGET_NOBODY, "", "string" },
    [EFFECT_RANDOM] = { TARGET_NOBODY, "", "float" },
    [EFFECT_NEW_ID] = { TARGET_TABLE, "", "string" },
    [EFFECT_QUERY_READ] = { TARGET_READ_QUERY, "*", "@" },
    [EFFECT_QUERY_WRITE] = { TARGET_WRITE_QUERY, "*", "@" },
    [EFFECT_TXN_BEGIN] = { TARGET_NOBODY, "", "void" },
    [EFFECT_TXN_COMMIT] = { TARGET_NOBODY, "", "void" },
    [EFFECT_TXN_ROLLBACK] = { TARGET_NOBODY, "", "void" },
    [EFFECT_EMIT] = { TARGET_EVENT, "@", "string" },
    [EFFECT_REMOTE_CALL] = { TARGET_REMOTE_TOOL, "*", "@" },
    [EFFECT_REFRESH] = { TARGET_AGENT, "", "void" },
    [EFFECT_LLM_CLASSIFY] = { TARGET_LABELS, "string", "x" },
    [EFFECT_LLM_EXTRACT] = { TARGET_LABELS, "string", "x" },
    [EFFECT_LLM_COMPLETE] = { TARGET_LABELS, "string", "string" },
    [EFFECT_LLM_PLAN] = { TARGET_LABELS, "string, list<string>", "json" },
    [EFFECT_LLM_STREAM] = { TARGET_LABELS, "string", "string" },
    [EFFECT_PLAN_CHECK] = { TARGET_NOBODY, "json, list<string>, list<int>, bool", "json" },
    [EFFECT_PLAN_FILL] = { TARGET_LABELS, "json, string, list<string>", "json" },
    [EFFECT_PLAN_LOAD] = { TARGET_NOBODY, "json, list<string>, list<int>, bool, bool", "int" },
    [EFFECT_APPROVE] = { TARGET_NOBODY, "string, json", "bool" },
    [EFFECT_ASK] = { TARGET_NOBODY, "string|string, list<string>", "x" },
    [EFFECT_AWAIT_EVENT] = { TARGET_EVENT, "|int, ...", "@" },
    [EFFECT_AWAIT_SIGNAL] = { TARGET_SIGNAL, "|int, ...", "@" },
    [EFFECT_SLEEP_UNTIL] = { TARGET_NOBODY, "timestamp", "void" },
    [EFFECT_START_FLOW] = { TARGET_FLOW, "*", "string" },
    [EFFECT_SEND_SIGNAL] = { TARGET_SIGNAL, "string, @", "void" },
    [EFFECT_SESSION_READ] = { TARGET_SESSION, "string", "x" },
    [EFFECT_SESSION_SAVE] = { TARGET_SESSION, "string, int, @", "void" },
    [EFFECT_SESSION_DELETE] = { TARGET_SESSION, "string", "void" },
    [EFFECT_SESSION_CHANGE] = { TARGET_SESSION, "string, int, @", "bool" },
    [EFFECT_CONTEXT_OPEN] = { TARGET_CONTEXT, "", "void" },
    [EFFECT_CONTEXT_READ] = { TARGET_CONTEXT, "", "@" },
    [EFFECT_CONTEXT_WRITE] = { TARGET_CONTEXT, "int, @", "void" },
    [EFFECT_CONTEXT_CLOSE] = { TARGET_CONTEXT, "", "void" },
    [EFFECT_NOTE_PROGRESS] = { TARGET_NOBODY, "int, string", "void" },
    [EFFECT_NOTE_RETRY] = { TARGET_NOBODY, "int, duration, error", "void" },
    [EFFECT_NOTE_SAGA_FAILED] = { TARGET_NOBODY, "error", "void" },
    [EFFECT_NOTE_COMPENSATE] = { TARGET_NOBODY, "string", "void" },
    [EFFECT_NOTE_COMPENSATED] = { TARGET_NOBODY, "string, bool, error?", "void" },
    [EFFECT_NOTE_CHECKED] = { TARGET_NOBODY, "string", "void" },
    [EFFECT_NOTE_TEXT] = { TARGET_NOBODY, "string", "void" },
    [EFFECT_NOTE_NOTICE] = { TARGET_NOBODY, "string", "void" },
    [EFFECT_NOTE_CONDITION] = { TARGET_NOBODY, "string, bool", "void" },
    [EFFECT_TEST_GIVEN_FAILS] = { TARGET_TOOL, "int, string, json, int", "void" },
    [EFFECT_TEST_GIVEN_RETURNS] = { TARGET_TOOL, "@, duration|duration", "void" },
    [EFFECT_TEST_GIVEN_ANSWERS] = { TARGET_NOBODY, "list<json>", "void" },
    [EFFECT_TEST_GIVEN_NOW] = { TARGET_NOBODY, "timestamp", "void" },
    [EFFECT_TEST_GIVEN_IDS] = { TARGET_TABLE, "list<string>", "void" },
    [EFFECT_TEST_AS] = { TARGET_NOBODY, "string, string", "void" },
    [EFFECT_TEST_RUN] = { TARGET_FLOW, "*", "void" },
    [EFFECT_TEST_RESULT] = { TARGET_NOBODY, "", "x" },
    [EFFECT_TEST_ADVANCE] = { TARGET_NOBODY, "duration", "void" },
    [EFFECT_TEST_ANSWER] = { TARGET_NOBODY, "json", "void" },
    [EFFECT_TEST_DELIVER] = { TARGET_EVENT, "", "void" },
    [EFFECT_TEST_CANCEL] = { TARGET_NOBODY, "", "void" },
    [EFFECT_TEST_CRASH] = { TARGET_NOBODY, "", "void" },
    [EFFECT_TEST_EXPECT] = { TARGET_NOBODY, "bool, string, string", "void" },
    [EFFECT_TEST_EXPECT_OUTCOME] = { TARGET_NOBODY, "int, int, string", "void" },
    [EFFECT_TEST_EXPECT_CALLS] = { TARGET_NOBODY, "list<string>, bool", "void" },
    [EFFECT_TEST_EXPECT_ASKED] = { TARGET_NOBODY, "string", "void" },
    [EFFECT_TEST_EXPECT_EMITTED] = { TARGET_NOBODY, "list<string>", "void" },
    [EFFECT_TEST_SIGNAL] = { TARGET_SIGNAL, "@", "void" },
    [EFFECT_TEST_REQUEST] = { TARGET_NOBODY, "string, string, list<string>, list<string>, list<string>, map<string>, json, bool", "void" },
    [EFFECT_TEST_EXPECT_STATUS] = { TARGET_NOBODY, "int", "void" },
    [EFFECT_TEST_RESPONSE_BODY] = { TARGET_NOBODY, "", "json" },
    [EFFECT_TEST_RESPONSE_HEADERS] = { TARGET_NOBODY, "", "map<string>" },
    [EFFECT_TEST_EXPECT_STREAM] = { TARGET_NOBODY, "list<json>", "void" },
    [EFFECT_TEST_GIVEN_PLAN] = { TARGET_NOBODY, "json", "void" },
};

/* What a target brings along: its parameters, and the type that `@` means. */
typedef struct Target { const ImageField *fields; const uint16_t *types; uint16_t count; uint16_t at; } Target;

static uint16_t target_param(const Target *target, uint16_t i)
{
    return target->fields ? target->fields[i].type : target->types[i];
}

static bool query_writes(const Query *query) { return query->kind >= QUERY_INSERT; }

static bool target_find(const Image *m, TargetSort sort, uint16_t index, Target *out)
{
    *out = (Target){ .at = NO_INDEX };
    switch (sort) {
    case TARGET_NOBODY: return index == NO_INDEX;
    case TARGET_LABELS: return index == NO_INDEX || (index && !(index & ~(LABEL_PII | LABEL_SECRET)));
    case TARGET_TABLE: return index < m->table_count;
    case TARGET_AGENT: return index < m->agent_count;
    case TARGET_READ_QUERY: case TARGET_WRITE_QUERY:
        if (index >= m->query_count || query_writes(&m->queries[index]) != (sort == TARGET_WRITE_QUERY)) return false;
        *out = (Target){ .types = m->queries[index].params, .count = m->queries[index].param_count, .at = m->queries[index].result };
        return true;
    case TARGET_EVENT:
        if (index < m->event_count) out->at = m->events[index].type;
        return index < m->event_count;
    case TARGET_SIGNAL:
        if (index < m->signal_count) out->at = m->signals[index].type;
        return index < m->signal_count;
    case TARGET_TOOL: case TARGET_REMOTE_TOOL:
        if (index >= m->tool_count || (sort == TARGET_REMOTE_TOOL && !(m->tools[index].flags & TOOL_REMOTE))) return false;
        *out = (Target){ .fields = m->tools[index].params, .count = m->tools[index].param_count, .at = m->tools[index].result };
        return true;
    case TARGET_SESSION: case TARGET_CONTEXT:
        if (index >= m->state_count || m->states[index].kind != (sort == TARGET_SESSION ? STATE_SESSION : STATE_CONTEXT)) return false;
        out->at = m->states[index].type;
        return true;
    case TARGET_FLOW:
        if (index >= m->flow_count) return false;
        *out = (Target){ .fields = m->flows[index].params, .count = m->flows[index].param_count, .at = m->flows[index].result };
        return true;
    }
    return false;
}

static bool params_match(const Verifier *v, const ImageEffect *effect, Str signature, const Target *target)
{
    uint16_t vars[SIGNATURE_VARS], i = 0;
    signature_vars_init(vars);
    vars[SIGNATURE_TARGET] = target->at;
    if (str_is(signature, "*")) {
        if (effect->param_count != target->count) return false;
        for (i = 0; i < target->count; i++)
            if (effect->params[i] != target_param(target, i)) return false;
        return true;
    }
    for (Str one; signature_next(&signature, &one); i++)
        if (str_is(one, "...")) return true;                  /* whatever a condition captures: checked where it is called */
        else if (i >= effect->param_count || !signature_match(v, one, effect->params[i], vars)) return false;
    return i == effect->param_count;
}

static bool any_params_match(const Verifier *v, const ImageEffect *effect, const char *alternatives, const Target *target)
{
    for (const char *text = alternatives;;) {
        const char *bar = strchr(text, '|');
        if (params_match(v, effect, (Str){ text, bar ? (size_t)(bar - text) : strlen(text) }, target)) return true;
        if (!bar) return false;
        text = bar + 1;
    }
}

/* Results that a signature leaves free. */
static bool result_kind_fits(const Verifier *v, const ImageEffect *effect)
{
    const ImageType *row = type_row(v, effect->result);
    switch (effect->kind) {
    case EFFECT_LLM_CLASSIFY: return row->kind == KIND_ENUM || (row->kind == KIND_LIST && type_kind(v, row->element) == KIND_ENUM);
    case EFFECT_LLM_EXTRACT: return row->kind == KIND_RECORD;
    case EFFECT_SESSION_READ: return row->kind == KIND_OPT && row->element == v->image->states[effect->target].type;
    case EFFECT_ASK:
        return row->kind == KIND_BOOL || row->kind == KIND_INT || row->kind == KIND_DECIMAL || row->kind == KIND_STRING || row->kind == KIND_DATE
            || row->kind == KIND_TIMESTAMP || row->kind == KIND_ENUM;
    default: return true;
    }
}

static bool result_matches(const Verifier *v, const ImageEffect *effect, const char *signature, const Target *target)
{
    uint16_t vars[SIGNATURE_VARS];
    signature_vars_init(vars);
    if (!strcmp(signature, "@")) return effect->result == target->at;              /* may be void */
    if (effect->kind == EFFECT_TEST_RESULT && effect->result == TYPE_INDEX_VOID) return true;   /* asked only for what it may raise */
    return signature_match(v, str_of(signature), effect->result, vars) && result_kind_fits(v, effect);
}

static Err verify_effect(Verifier *v, const ImageEffect *effect)
{
    if (!effect_name(effect->kind)) return verify_fail(v, "unknown kind of effect 0x%02x", effect->kind);
    const char *word = effect_name(effect->kind);
    const EffectRule *rule = effect->kind < sizeof rules / sizeof *rules ? &rules[effect->kind] : NULL;
    if (!rule || !rule->target) return verify_fail(v, "%s is made by the machine itself", word);
    if (effect->param_count > FUNC_PARAMS_MAX) return verify_limit(v, "parameters", effect->param_count, "FUNC_PARAMS_MAX", FUNC_PARAMS_MAX);
    for (int i = 0; i < effect->param_count; i++)
        if (!type_is_value(v, effect->params[i])) return verify_fail(v, "parameter %d has type %u, which is not a type of values", i, effect->params[i]);
    Err err = verify_result_type(v, effect->result);
    if (err) return err;
    Target target;
    if (!target_find(v->image, rule->target, effect->target, &target)) return verify_fail(v, "%s cannot have target %u", word, effect->target);
    if (!any_params_match(v, effect, rule->params, &target)) return verify_fail(v, "parameters of %s are not (%s)", word, rule->params);
    if (!result_matches(v, effect, rule->result, &target)) return verify_fail(v, "%s cannot have result %s", word, verify_type_text(v, effect->result));
    return ERR_OK;
}

Err verify_effects(Verifier *v)
{
    Err err = ERR_OK;
    for (uint32_t i = v->first.effect; i < v->image->effect_count && !err; i++) {
        verify_at(v, "effect", i, v->image->effects[i].name);
        arena_reuse(v->scratch);
        err = verify_effect(v, &v->image->effects[i]);
    }
    return err;
}
