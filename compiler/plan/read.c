/* read.c - JSON text to the steps of a plan.
 *
 * Each object is split by the table of members into what it may hold and what not; its form (action, notification, condition, group) decides which those are. A
 * wrong step is reported and read as far as it goes,
 * since a model that hears of all its mistakes at once repairs them at once.
 *
 * Time is linear: a member is looked up in a table of fixed size, and every byte of every string is looked at once.
 */
#include "compiler/plan/read_internal.h"

#include <ctype.h>
#include <strings.h>

/* ---- members ---------------------------------------------------------------------------------------------- */

enum { OF_PLAN = 1, OF_ACTION = 2, OF_NOTIFY = 4, OF_CONDITION = 8, OF_GROUP = 16 };
#define MEMBERS(M) \
    M(agent, OF_ACTION) M(action, OF_ACTION | OF_NOTIFY) M(params, OF_ACTION) M(id, OF_ACTION) M(message, OF_PLAN | OF_NOTIFY) \
    M(condition, OF_ACTION | OF_NOTIFY | OF_CONDITION) M(then, OF_CONDITION) M(else, OF_CONDITION) M(strategy, OF_PLAN | OF_GROUP) M(flow, OF_PLAN | OF_GROUP) \
    M(timeout_ms, OF_PLAN | OF_ACTION | OF_GROUP) M(on_error, OF_ACTION | OF_GROUP) M(retry_count, OF_ACTION | OF_GROUP) M(version, OF_PLAN)
typedef enum {
#define M(name, forms) MEMBER_##name,
    MEMBERS(M)
#undef M
    MEMBER_COUNT
} Member;
static const struct { Str name; uint32_t forms; } members[MEMBER_COUNT] = {
#define M(name, forms) { { #name, sizeof #name - 1 }, forms },
    MEMBERS(M)
#undef M
};

/* Words with which a plan would give itself something: they are never a slip of the pen that a machine may repair. */
static const char *const authority[] = {
    "allow", "allowed", "scopes", "scope", "limits", "budget", "grant", "grants", "approved", "approve", "approval", "fuel", "calls", "tokens", "usd", "ask",
    "tenant", "tenant_id", "user", "user_id", "role", "roles", "permissions", "capabilities", "trusted", "as",
};

typedef struct Object {
    const PlanPlace *place;
    const Json *json, *at[MEMBER_COUNT];
} Object;

static const PlanPlace *place_of(Reading *r, const PlanPlace *up, Member member)
{
    return plan_place_key(r->arena, up, members[member].name);
}

static uint32_t words_of(uint32_t form, Str *words)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < MEMBER_COUNT; i++)
        if (members[i].forms & form)
            words[count++] = members[i].name;
    return count;
}

/* ---- names, words, numbers -------------------------------------------------------------------------------- */

static Str read_name(Reading *r, const Object *object, Member member, const char *what)
{
    const Json *json = object->at[member];
    if (!json)
        return STR("");
    const PlanPlace *place = place_of(r, object->place, member);
    if (json->kind != JSON_STRING) {
        PlanDiag *diag = read_wrong_kind(r, place, what, "a string", json);
        if (json->kind == JSON_OBJECT)
            plan_diag_expected(r->diags, diag, "a string written in the plan: no value chooses an agent or a tool");
        return STR("");
    }
    if (!json->text.len)
        plan_diag(r->diags, PLAN_DIAG_wrong_shape, place, "%s is empty", what);
    else if (json->text.len > PLAN_NAME_MAX)
        read_too_large(r, place, "bytes of this name", "PLAN_NAME_MAX", (int64_t)json->text.len, PLAN_NAME_MAX);
    else if (read_check_name(r, place, what, json->text))
        return json->text;
    return STR("");
}

static int read_word(Reading *r, const Object *object, Member member, const char *what, const Str *words, uint32_t count)
{
    const Json *json = object->at[member];
    const PlanPlace *place = place_of(r, object->place, member);
    if (json->kind != JSON_STRING) {
        plan_diag_allowed(r->diags, read_wrong_kind(r, place, what, "a string", json), words, count);
        return -1;
    }
    for (uint32_t i = 0; i < count; i++)
        if (str_eq(json->text, words[i]))
            return (int)i;
    PlanDiag *diag = plan_diag(r->diags, PLAN_DIAG_wrong_shape, place, "unknown %s `%s`", what, plan_quote(r->arena, json->text));
    plan_diag_did_you_mean(r->diags, diag, "replace", json->text, words, count);
    for (uint32_t i = 0; i < count; i++)
        if (json->text.len == words[i].len && !strncasecmp(json->text.ptr, words[i].ptr, words[i].len))
            plan_diag_suggest_text(r->diags, diag, "replace", words[i]);
    return -1;
}

static PlanStrategy read_strategy(Reading *r, const Object *object)
{
    static const Str words[] = { { "SEQUENTIAL", 10 }, { "PARALLEL", 8 }, { "CONDITIONAL", 11 } };
    if (!object->at[MEMBER_strategy]) {
        PlanDiag *diag = plan_diag(r->diags, PLAN_DIAG_wrong_shape, place_of(r, object->place, MEMBER_strategy), "`strategy` is missing");
        plan_diag_allowed(r->diags, diag, words, 3);
        plan_diag_suggest_text(r->diags, diag, "add", words[PLAN_SEQUENTIAL]);
        return PLAN_SEQUENTIAL;
    }
    int word = read_word(r, object, MEMBER_strategy, "strategy", words, 3);
    return word < 0 ? PLAN_SEQUENTIAL : (PlanStrategy)word;
}

/* An integer in [1, most]; 0 when there is none or it is wrong. */
static int64_t read_count(Reading *r, const Object *object, Member member, const char *limit, int64_t most)
{
    const Json *json = object->at[member];
    if (!json)
        return 0;
    const PlanPlace *place = place_of(r, object->place, member);
    const char *what = arena_printf(r->arena, "`%s`", members[member].name.ptr);
    if (json->kind != JSON_INT)
        read_wrong_kind(r, place, what, "an integer", json);
    else if (json->integer > most)
        read_too_large(r, place, what, limit, json->integer, most);
    else if (json->integer >= 1)
        return json->integer;
    else
        plan_diag_expected(r->diags, plan_diag(r->diags, PLAN_DIAG_wrong_shape, place, "%s is %lld", what, (long long)json->integer), "1 to %lld", (long long)most);
    return 0;
}

static void read_timeout(Reading *r, const Object *object, PlanNode *node)
{
    node->timeout_us = read_count(r, object, MEMBER_timeout_ms, "PLAN_TIMEOUT_MAX", PLAN_TIMEOUT_MAX) * 1000;
}

static void read_on_error(Reading *r, const Object *object, PlanNode *node)
{
    static const Str words[] = { { "ABORT", 5 }, { "CONTINUE", 8 }, { "RETRY", 5 } };
    int word = object->at[MEMBER_on_error] ? read_word(r, object, MEMBER_on_error, "on_error", words, 3) : PLAN_ABORT;
    uint32_t count = (uint32_t)read_count(r, object, MEMBER_retry_count, "PLAN_RETRIES_MAX", PLAN_RETRIES_MAX);
    node->on_error = word < 0 ? PLAN_ABORT : (PlanOnError)word;
    if (node->on_error == PLAN_RETRY)
        node->retry_count = count ? count : PLAN_RETRIES_DEFAULT;
    else if (count && word >= 0)
        plan_diag_suggest(r->diags, plan_diag(r->diags, PLAN_DIAG_wrong_shape, place_of(r, object->place, MEMBER_retry_count),
                                              "`retry_count` without `on_error`: \"RETRY\""), "remove", STR(""));
}

/* ---- objects --------------------------------------------------------------------------------------------- */

static bool is_authority(Str word)
{
    for (size_t i = 0; i < sizeof authority / sizeof *authority; i++)
        if (str_is(word, authority[i]))
            return true;
    return false;
}

static void unknown_member(Reading *r, const PlanPlace *place, Str key, uint32_t form, const char *what)
{
    Str words[MEMBER_COUNT];
    uint32_t count = words_of(form, words);
    PlanDiag *diag = plan_diag(r->diags, PLAN_DIAG_unknown_member, place, "%s has no member `%s`", what, plan_quote(r->arena, key));
    if (is_authority(key)) {
        plan_diag_allowed(r->diags, diag, words, count);
        plan_diag_expected(r->diags, diag, "nothing: a plan cannot grant itself anything");
        plan_diag_widens(diag);
        return;
    }
    plan_diag_did_you_mean(r->diags, diag, "rename", key, words, count);
    if (!diag->suggestion_op.len)
        plan_diag_suggest(r->diags, diag, "remove", STR(""));
}

static int member_find(Str key)
{
    for (int i = 0; i < MEMBER_COUNT; i++)
        if (str_eq(key, members[i].name))
            return i;
    return -1;
}

static void object_split(const Json *json, const PlanPlace *place, Object *out)
{
    *out = (Object){ .place = place, .json = json };
    for (size_t i = 0; i < json->count; i++) {
        int member = member_find(json->keys[i]);
        if (member >= 0)
            out->at[member] = json->items[i];
    }
}

/* Every member that the form does not have. */
static void object_check(Reading *r, const Object *object, uint32_t form, const char *what)
{
    for (size_t i = 0; i < object->json->count; i++) {
        Str key = object->json->keys[i];
        int member = member_find(key);
        if (member >= 0 && members[member].forms & form)
            continue;
        unknown_member(r, plan_place_key(r->arena, object->place, key), key, form, what);
    }
}

/* A string, or {"$text": …}. */
static PlanValue *read_message(Reading *r, const Object *object)
{
    const Json *json = object->at[MEMBER_message];
    const PlanPlace *place = place_of(r, object->place, MEMBER_message);
    bool is_form = json->kind == JSON_OBJECT && json_get(json, "$text");
    if (json->kind != JSON_STRING && !is_form) {
        read_wrong_kind(r, place, "`message`", "a string or {\"$text\": …}", json);
        return NULL;
    }
    PlanValue *value = ARENA_NEW(r->arena, PlanValue);
    read_value(r, json, place, value);
    return value;
}

static void read_params(Reading *r, const Object *object, PlanNode *node)
{
    const Json *json = object->at[MEMBER_params];
    if (!json)
        return;
    const PlanPlace *place = place_of(r, object->place, MEMBER_params);
    if (json->kind != JSON_OBJECT) {
        PlanDiag *diag = read_wrong_kind(r, place, "`params`", "an object", json);
        if (json->kind == JSON_NULL)
            plan_diag_suggest(r->diags, diag, "remove", STR(""));
        return;
    }
    node->params = ARENA_ARRAY(r->arena, PlanParam, json->count);
    for (size_t i = 0; i < json->count; i++) {
        Str key = json->keys[i];
        const PlanPlace *inner = plan_place_key(r->arena, place, key);
        if (key.len && key.ptr[0] == '$') {
            PlanDiag *diag = plan_diag(r->diags, PLAN_DIAG_unknown_member, inner, "`params` as a whole cannot be a reference");
            plan_diag_expected(r->diags, diag, "one reference for each parameter");
            continue;
        }
        if (!read_check_name(r, inner, "the name of this parameter", key))
            continue;
        PlanParam *param = &node->params[node->param_count++];
        param->name = key;
        read_value(r, json->items[i], inner, &param->value);
    }
}

/* ---- steps ----------------------------------------------------------------------------------------------- */

static PlanNode **read_flow(Reading *r, const Json *json, const PlanPlace *place, uint32_t depth, uint32_t *count);

static void read_condition(Reading *r, const Object *object, PlanNode *node)
{
    const Json *json = object->at[MEMBER_condition];
    node->condition = STR("true");                          /* stands in for one that is told here, so that it is told once */
    if (!json)
        return;
    const PlanPlace *place = place_of(r, object->place, MEMBER_condition);
    if (json->kind == JSON_STRING) {
        if (!read_check_text(r, place, json->text))
            return;
        node->has_condition = true;
        node->condition = json->text;
        return;
    }
    PlanDiag *diag = read_wrong_kind(r, place, "`condition`", "an expression in a string", json);
    if (json->kind == JSON_BOOL)
        plan_diag_suggest_text(r->diags, diag, "replace", json->boolean ? STR("true") : STR("false"));
    else if (json->kind == JSON_NULL)
        plan_diag_suggest(r->diags, diag, "remove", STR(""));
}

static bool is_name(Str text)
{
    if (!text.len || isdigit((unsigned char)text.ptr[0]))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum((unsigned char)text.ptr[i]) && text.ptr[i] != '_')
            return false;
    return true;
}

static bool is_reserved(Str name)
{
    static const char *const words[] = { "steps", "true", "false", "null", "undefined", "this", "in", "typeof", "new", "delete", "void", "function", "return",
                                         "if", "else", "for", "while", "do", "var", "let", "const", "class", "NaN", "Infinity", "Math" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_is(name, words[i]))
            return true;
    return false;
}

static Str read_id(Reading *r, const Object *object)
{
    Str id = read_name(r, object, MEMBER_id, "`id`");
    if (!id.len)
        return id;
    const PlanPlace *place = place_of(r, object->place, MEMBER_id);
    if (!is_name(id) || is_reserved(id)) {
        PlanDiag *diag = plan_diag(r->diags, PLAN_DIAG_wrong_shape, place, "`%s` cannot be the name of a result", plan_quote(r->arena, id));
        plan_diag_expected(r->diags, diag, "letters, digits and _, not a word of the condition language");
        return STR("");
    }
    for (uint32_t i = 0; i < r->tree->index_count; i++) {
        if (!str_eq(r->indexed[i]->id, id))
            continue;
        plan_diag(r->diags, PLAN_DIAG_wrong_shape, place, "`%s` is the `id` of %s already", plan_quote(r->arena, id),
                  plan_place_pointer(r->arena, r->indexed[i]->place).ptr);
        return STR("");
    }
    return id;
}

static void number_step(Reading *r, PlanNode *node)
{
    node->index = (int32_t)r->tree->index_count;
    r->indexed[r->tree->index_count++] = node;
}

static void read_action(Reading *r, const Object *object, PlanNode *node)
{
    if (!object->at[MEMBER_agent]) {
        static const Str own[] = { { "notify_user", 11 } };
        PlanDiag *diag = plan_diag(r->diags, PLAN_DIAG_wrong_shape, place_of(r, object->place, MEMBER_agent), "the step names no `agent`");
        plan_diag_expected(r->diags, diag, "the agent of `%s`; only `notify_user` has none", plan_quote(r->arena, json_get_text(object->json, "action")));
        plan_diag_allowed(r->diags, diag, own, 1);
    }
    if (!object->at[MEMBER_action])
        plan_diag(r->diags, PLAN_DIAG_wrong_shape, place_of(r, object->place, MEMBER_action), "the step names no `action`");
    node->agent = read_name(r, object, MEMBER_agent, "`agent`");
    node->action = read_name(r, object, MEMBER_action, "`action`");
    node->id = read_id(r, object);
    read_params(r, object, node);
    read_condition(r, object, node);
    read_timeout(r, object, node);
    read_on_error(r, object, node);
    number_step(r, node);
}

static void read_notify(Reading *r, const Object *object, PlanNode *node)
{
    node->kind = PLAN_NODE_NOTIFY;
    node->action = STR("notify_user");
    if (object->at[MEMBER_message])
        node->message = read_message(r, object);
    else
        plan_diag(r->diags, PLAN_DIAG_wrong_shape, place_of(r, object->place, MEMBER_message), "`notify_user` without a `message`");
    if (!node->message) {
        node->message = ARENA_NEW(r->arena, PlanValue);
        *node->message = (PlanValue){ .kind = PLAN_VALUE_BROKEN, .place = object->place };
    }
    read_condition(r, object, node);
    number_step(r, node);
}

static void read_branches(Reading *r, const Object *object, PlanNode *node)
{
    node->kind = PLAN_NODE_CONDITION;
    read_condition(r, object, node);
    if (!object->at[MEMBER_condition])
        plan_diag(r->diags, PLAN_DIAG_wrong_shape, place_of(r, object->place, MEMBER_condition), "`then` and `else` without a `condition`");
    if (object->at[MEMBER_then])
        node->steps = read_flow(r, object->at[MEMBER_then], place_of(r, object->place, MEMBER_then), node->depth + 1, &node->step_count);
    else
        plan_diag_expected(r->diags, plan_diag(r->diags, PLAN_DIAG_wrong_shape, place_of(r, object->place, MEMBER_then), "a condition without `then`"),
                           "steps; where only `else` is meant, the opposite condition");
    if (object->at[MEMBER_else])
        node->otherwise = read_flow(r, object->at[MEMBER_else], place_of(r, object->place, MEMBER_else), node->depth + 1, &node->otherwise_count);
}

static void check_fanout(Reading *r, const PlanNode *node)
{
    if (node->strategy != PLAN_PARALLEL)
        return;
    if (node->step_count > PLAN_FANOUT_MAX)
        read_too_large(r, place_of(r, node->place, MEMBER_flow), "steps side by side", "PLAN_FANOUT_MAX", node->step_count, PLAN_FANOUT_MAX);
    if (node->step_count > r->tree->fanout)
        r->tree->fanout = node->step_count;
}

/* A group, or the plan itself, whose own members are checked by the caller. */
static void read_group(Reading *r, const Object *object, PlanNode *node)
{
    node->kind = PLAN_NODE_GROUP;
    node->strategy = read_strategy(r, object);
    read_timeout(r, object, node);
    if (object->at[MEMBER_flow])
        node->steps = read_flow(r, object->at[MEMBER_flow], place_of(r, object->place, MEMBER_flow), node->depth + 1, &node->step_count);
    else
        plan_diag(r->diags, PLAN_DIAG_wrong_shape, place_of(r, object->place, MEMBER_flow), "`flow` is missing");
    check_fanout(r, node);
}

/* What makes a step a group, a condition or an action; two of these are two steps. */
static uint32_t form_of(const Object *object)
{
    bool group = object->at[MEMBER_strategy] || object->at[MEMBER_flow];
    bool branches = object->at[MEMBER_then] || object->at[MEMBER_else];
    bool action = object->at[MEMBER_agent] || object->at[MEMBER_action] || object->at[MEMBER_params];
    return (group ? OF_GROUP : 0u) | (branches ? OF_CONDITION : 0u) | (action ? OF_ACTION : 0u);
}

static void tell_two_things(Reading *r, const PlanPlace *place, uint32_t form)
{
    PlanDiag *diag = plan_diag(r->diags, PLAN_DIAG_wrong_shape, place, "the step is two things at once: %s",
                               form == (OF_ACTION | OF_CONDITION) ? "an action and a condition with `then` or `else`" : form & OF_ACTION ? "an action and a group"
                                                                                                                      : "a condition and a group");
    plan_diag_expected(r->diags, diag, "an action, a condition with `then`, or a group with `strategy` and `flow`: as steps of their own");
}

static void read_action_or_notice(Reading *r, const Object *object, PlanNode *node, bool twofold)
{
    bool notice = str_is(json_get_text(object->json, "action"), "notify_user") && !object->at[MEMBER_agent];
    if (!twofold)
        object_check(r, object, notice ? OF_NOTIFY : OF_ACTION, notice ? "`notify_user`" : "an action");
    if (notice)
        read_notify(r, object, node);
    else
        read_action(r, object, node);
}

static void read_inner_group(Reading *r, const Object *object, PlanNode *node)
{
    object_check(r, object, OF_GROUP, "a group");
    read_on_error(r, object, node);
    read_group(r, object, node);
}

static void read_inner_branches(Reading *r, const Object *object, PlanNode *node, bool twofold)
{
    if (!twofold)
        object_check(r, object, OF_CONDITION, "a condition");
    read_branches(r, object, node);
}

static PlanNode *read_step(Reading *r, const Json *json, const PlanPlace *place, uint32_t depth)
{
    Object object;
    if (json->kind != JSON_OBJECT) {
        read_wrong_kind(r, place, "the step", "an object", json);
        return NULL;
    }
    PlanNode *node = ARENA_NEW(r->arena, PlanNode);
    *node = (PlanNode){ .place = place, .index = -1, .depth = depth };
    object_split(json, place, &object);
    uint32_t forms = form_of(&object);
    bool twofold = forms & (forms - 1);
    if (twofold)
        tell_two_things(r, place, forms);
    if (forms & OF_ACTION)                                  /* also of a step that is more: the numbers of the steps behind it stay what they are */
        read_action_or_notice(r, &object, node, twofold);
    else if (forms & OF_GROUP && !twofold)
        read_inner_group(r, &object, node);
    else if (forms & OF_CONDITION || object.at[MEMBER_condition])
        read_inner_branches(r, &object, node, twofold);
    else
        read_action_or_notice(r, &object, node, false);
    return node;
}

/* Counts a step; false when there are too many, which is said at the first of them. */
static bool count_step(Reading *r, const PlanPlace *place)
{
    if (r->full)
        return false;
    if (r->tree->step_count < PLAN_STEPS_MAX) {
        r->tree->step_count++;
        return true;
    }
    PlanDiag *diag = plan_diag(r->diags, PLAN_DIAG_too_large, place, "the plan has more than PLAN_STEPS_MAX (%d) steps", PLAN_STEPS_MAX);
    plan_diag_expected(r->diags, diag, "at most %d", PLAN_STEPS_MAX);
    r->full = true;
    return false;
}

static PlanNode **read_flow(Reading *r, const Json *json, const PlanPlace *place, uint32_t depth, uint32_t *count)
{
    *count = 0;
    if (json->kind != JSON_ARRAY) {
        PlanDiag *diag = read_wrong_kind(r, place, "this", "an array of steps", json);
        if (json->kind == JSON_NULL)
            plan_diag_suggest(r->diags, diag, "remove", STR(""));
        return NULL;
    }
    if (!json->count) {
        plan_diag_suggest(r->diags, plan_diag(r->diags, PLAN_DIAG_wrong_shape, place, "no steps: an empty flow does nothing"), "remove", STR(""));
        return NULL;
    }
    if (depth > PLAN_DEPTH_MAX) {
        PlanDiag *diag = plan_diag(r->diags, PLAN_DIAG_too_large, place, "flows nested deeper than PLAN_DEPTH_MAX (%d)", PLAN_DEPTH_MAX);
        plan_diag_expected(r->diags, diag, "at most %d", PLAN_DEPTH_MAX);
        return NULL;
    }
    if (depth > r->tree->depth)
        r->tree->depth = depth;
    PlanNode **nodes = ARENA_ARRAY(r->arena, PlanNode *, json->count);
    for (uint32_t i = 0; i < json->count; i++) {
        const PlanPlace *inner = plan_place_item(r->arena, place, i);
        if (!count_step(r, inner))
            break;
        PlanNode *node = read_step(r, json->items[i], inner, depth);
        if (node)
            nodes[(*count)++] = node;
    }
    return nodes;
}

/* ---- the plan -------------------------------------------------------------------------------------------- */

static void tell_fault(Reading *r, Str json, const JsonFault *fault, const Error *error)
{
    static const PlanDiagRow codes[] = {
        [JSON_FAULT_DUPLICATE] = PLAN_DIAG_unknown_member, [JSON_FAULT_CHARACTER] = PLAN_DIAG_deceiving_text, [JSON_FAULT_NUMBER] = PLAN_DIAG_too_large,
    };
    if (fault->kind == JSON_FAULT_SIZE) {
        read_too_large(r, NULL, "bytes of the plan", "PLAN_BYTES_MAX", (int64_t)json.len, PLAN_BYTES_MAX);
        return;
    }
    const char *said = error->text, *quoted = strstr(said, " near '");           /* a word of the plan, which may be personal */
    const char *text = plan_sentence(r->arena, (Str){ said, quoted ? (size_t)(quoted - said) : strlen(said) });
    if (fault->kind == JSON_FAULT_SYNTAX)
        plan_diag_expected(r->diags, plan_diag_at(r->diags, PLAN_DIAG_not_json, NULL, (int32_t)fault->offset, "%s", text), "one JSON object, and no text around it");
    else if (fault->kind == JSON_FAULT_DEPTH)               /* no pointer: it would be as deep */
        plan_diag_at(r->diags, PLAN_DIAG_too_large, NULL, (int32_t)fault->offset, "%s (JSON_DEPTH_MAX)", text);
    else
        plan_diag(r->diags, codes[fault->kind], plan_place_of_offset(r->arena, json, fault->offset), "%s", text);
}

static void read_version(Reading *r, const Object *object)
{
    const Json *json = object->at[MEMBER_version];
    if (!json || (json->kind == JSON_INT && json->integer == 1))
        return;
    PlanDiag *diag = plan_diag(r->diags, PLAN_DIAG_wrong_shape, place_of(r, object->place, MEMBER_version), "unknown version of the format");
    plan_diag_expected(r->diags, diag, "1");
    plan_diag_suggest(r->diags, diag, "replace", STR("1"));
}

static void read_plan(Reading *r, const Json *json)
{
    Object object;
    object_split(json, NULL, &object);
    object_check(r, &object, OF_PLAN, "a plan");
    read_version(r, &object);
    if (object.at[MEMBER_message])
        r->tree->message = read_message(r, &object);
    PlanNode *root = ARENA_NEW(r->arena, PlanNode);
    *root = (PlanNode){ .index = -1 };
    read_group(r, &object, root);
    if (root->step_count)
        r->tree->root = root;
}

bool plan_read(Arena *arena, Str text, PlanDiags *diags, PlanTree *out)
{
    Reading r = { .arena = arena, .diags = diags, .tree = out };
    Json *json;
    JsonFault fault;
    Error error;
    uint32_t before = diags->error_count;
    *out = (PlanTree){ .fanout = 1 };
    if (json_parse_located(arena, text, PLAN_BYTES_MAX, &json, &fault, &error) != ERR_OK)
        tell_fault(&r, text, &fault, &error);
    else if (json->kind != JSON_OBJECT)
        plan_diag_actual(diags, plan_diag(diags, PLAN_DIAG_not_json, NULL, "the plan is %s, expected an object", read_kind_name(json)), "%s", read_kind_name(json));
    else
        read_plan(&r, json);
    out->by_index = ARENA_ARRAY(arena, PlanNode *, out->index_count);
    memcpy(out->by_index, r.indexed, out->index_count * sizeof *out->by_index);
    return diags->error_count == before;
}
