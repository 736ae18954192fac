/* script.c - see script.h. Rules are tried in the order they were given; what a key got is remembered (`uses`), so that a call which is
 * repeated after a crash meets the rule it met before, and its delay still counts from the first time. */
#include "interpreter/sched/script_internal.h"
#include <stdlib.h>
#include "base/map.h"

typedef struct Rule {
    struct Rule *next;
    Str tool;
    ScriptAnswer answer;
    int64_t delay_us;
    uint32_t times, used;                                /* times 0: always */
} Rule;
typedef struct Use { const Rule *rule; int64_t due_us; } Use;
typedef struct IdList { struct IdList *next; Str table; Str *ids; uint32_t count, used; } IdList;

struct EngineScript {
    Arena *arena;
    Rule *first, *last;
    Map uses;                                            /* idempotency key -> Use */
    Str *answers; uint32_t answer_count, answer_used;
    Map answered;                                        /* key -> Str */
    Str *plans; uint32_t plan_count, plan_used;
    Map planned;                                         /* "key#round" -> Str */
    IdList *id_lists;
    Map named;                                           /* key -> Str */
};

EngineScript *script_new(void) {
    EngineScript *script = mem_alloc(sizeof *script);
    script->arena = arena_new();
    return script;
}

void script_free(EngineScript *script) {
    if (!script) return;
    map_free(&script->uses), map_free(&script->answered), map_free(&script->planned), map_free(&script->named);
    arena_free(script->arena);
    free(script);
}

static Rule *add_rule(EngineScript *script, Str tool) {
    Rule *rule = ARENA_NEW(script->arena, Rule);
    rule->tool = arena_str(script->arena, tool);
    if (script->last) script->last->next = rule; else script->first = rule;
    return script->last = rule;
}

void script_tool_fails(EngineScript *script, Str tool, ErrorKind kind, Str message, int status, Str code, int64_t retry_after_us, uint32_t times) {
    Rule *rule = add_rule(script, tool);
    rule->answer = (ScriptAnswer){ .fails = true, .kind = kind, .message = arena_str(script->arena, message), .status = status, .code = arena_str(script->arena, code), .retry_after_us = retry_after_us };
    rule->times = times;
}

void script_tool_returns(EngineScript *script, Str tool, Str value_json, int64_t delay_us) {
    Rule *rule = add_rule(script, tool);
    rule->answer = (ScriptAnswer){ .value_json = arena_str(script->arena, value_json) };
    rule->delay_us = delay_us;
}

static Str *copy_all(EngineScript *script, const Str *from, uint32_t count) {
    Str *to = ARENA_ARRAY(script->arena, Str, count ? count : 1);
    for (uint32_t i = 0; i < count; i++) to[i] = arena_str(script->arena, from[i]);
    return to;
}

/* Appends to those that are left. */
void script_answers(EngineScript *script, const Str *json, uint32_t count) {
    uint32_t left = script->answer_count - script->answer_used;
    Str *all = ARENA_ARRAY(script->arena, Str, left + count + 1);
    for (uint32_t i = 0; i < left; i++) all[i] = script->answers[script->answer_used + i];
    Str *added = copy_all(script, json, count);
    for (uint32_t i = 0; i < count; i++) all[left + i] = added[i];
    script->answers = all, script->answer_count = left + count, script->answer_used = 0;
}

void script_plan_says(EngineScript *script, Str json) {
    Str *all = ARENA_ARRAY(script->arena, Str, script->plan_count + 1u);
    for (uint32_t i = 0; i < script->plan_count; i++) all[i] = script->plans[i];
    all[script->plan_count++] = arena_str(script->arena, json);
    script->plans = all;
}

void script_ids(EngineScript *script, Str table, const Str *ids, uint32_t count) {
    IdList *list = ARENA_NEW(script->arena, IdList);
    *list = (IdList){ .table = arena_str(script->arena, table), .ids = copy_all(script, ids, count), .count = count };
    IdList **tail = &script->id_lists;                   /* lists of one table follow each other */
    while (*tail) tail = &(*tail)->next;
    *tail = list;
}

bool script_names_tool(const EngineScript *script, Str tool) {
    for (const Rule *rule = script->first; rule; rule = rule->next)
        if (str_eq(rule->tool, tool)) return true;
    return false;
}

bool script_call(EngineScript *script, Str tool, Str key, int64_t now_us, ScriptAnswer *out) {
    Use *use = map_find(&script->uses, key);
    for (Rule *rule = use ? NULL : script->first; rule; rule = rule->next) {
        if (!str_eq(rule->tool, tool) || (rule->times && rule->used >= rule->times)) continue;
        rule->used++;
        use = ARENA_NEW(script->arena, Use);
        *use = (Use){ rule, now_us + rule->delay_us };
        map_put(&script->uses, arena_str(script->arena, key), use);
        break;
    }
    if (!use) return false;
    *out = use->rule->answer;
    out->due_us = use->due_us;
    return true;
}

/* What a key got before, else the next of a list. */
static bool next_for(EngineScript *script, Map *map, Str key, const Str *list, uint32_t count, uint32_t *used, Str *out) {
    const Str *known = map_find(map, key);
    if (!known) {
        if (*used >= count) return false;
        known = &list[(*used)++];
        map_put(map, arena_str(script->arena, key), (void *)known);
    }
    *out = *known;
    return true;
}

bool script_answer(EngineScript *script, Str key, Str *json) {
    return next_for(script, &script->answered, key, script->answers, script->answer_count, &script->answer_used, json);
}

bool script_has_plans(const EngineScript *script) { return script->plan_count > 0; }

bool script_plan(EngineScript *script, Str key, uint32_t round, Str *json) {
    Str of_round = str_of(arena_printf(script->arena, "%.*s#%u", STR_ARG(key), round));
    return next_for(script, &script->planned, of_round, script->plans, script->plan_count, &script->plan_used, json);
}

bool script_id(EngineScript *script, Str table, Str key, Str *id) {
    const Str *known = map_find(&script->named, key);
    if (known) { *id = *known; return true; }
    for (IdList *list = script->id_lists; list; list = list->next)
        if (str_eq(list->table, table) && next_for(script, &script->named, key, list->ids, list->count, &list->used, id)) return true;
    return false;
}
