/* plan_sim.h - plans on the bare machine: a base that calls them, random plans for it, an outside that answers by chance. What the property test, the fuzzer and the
 * benchmark of plans share. Everything follows from a seed.
 */
#ifndef TESTS_PLAN_SIM_H
#define TESTS_PLAN_SIM_H
#include "compiler/plan/report.h"
#include "compiler/typed.h"
#include "interpreter/vm/snapshot.h"
#include "interpreter/vm/vm.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- chance ------------------------------------------------------------------------------------------------- */

typedef struct Chance { uint64_t state; } Chance;
static inline uint64_t chance_next(Chance *c)            /* splitmix64 */
{
    uint64_t z = (c->state += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}
static inline uint32_t chance_below(Chance *c, uint32_t count) { return (uint32_t)(chance_next(c) % count); }
static inline bool chance_percent(Chance *c, uint32_t percent) { return chance_below(c, 100) < percent; }

/* ---- the base: agents, and a function that runs the plan whose number it is given ------------------------------- */

static inline Image *sim_base(const char *path, uint16_t *caller)
{
    Program *program = program_load(path, NULL, 0);
    Image *image = compile_program(program, false);
    if (!image) {
        Buf out = { 0 };
        diags_render(program->diags, program->sources, DIAG_FORMAT_TEXT, false, &out);
        fprintf(stderr, "%s", buf_cstr(&out));
        abort();
    }
    program_free(program);
    *caller = IMAGE_ADD(image, func);
    ImageFunc *func = &image->funcs[*caller];
    *func = (ImageFunc){ .name = STR("caller"), .kind = FUNC_FN, .owner = NO_INDEX, .agent = NO_INDEX, .param_count = 1, .reg_count = 2, .result = TYPE_INDEX_JSON, .code_count = 2 };
    func->reg_types = ARENA_ARRAY(image->arena, uint16_t, 2);
    func->reg_types[0] = TYPE_INDEX_INT;
    func->reg_types[1] = TYPE_INDEX_JSON;
    func->code = ARENA_ARRAY(image->arena, Insn, 2);
    func->code[0] = INSN(OP_CALL_PLAN, 1, 0, 0);
    func->code[1] = INSN(OP_RETURN, 1, 0, 0);
    Buf bytes = { 0 };
    Image *base = NULL;
    Error error;
    image_encode(image, &bytes);
    if (image_decode(buf_str(&bytes), &base, &error) != ERR_OK) {
        fprintf(stderr, "%s\n", error.text);
        abort();
    }
    buf_free(&bytes);
    image_free(image);
    return base;
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

static inline void sim_put_value(Chance *c, const Image *image, uint16_t index, int depth, Buf *out)
{
    const ImageType *type = &image->types[index];
    static const char *const words[] = { "Tokyo", "EUR", "", "a longer text with ünïcode", "x", "2025-11-10", "HTL-999", "0" };
    static const char *const jsons[] = { "null", "1", "\"t\"", "[1,2,3]", "{\"a\":{\"b\":[true]}}", "1.5", "false", "[]" };
    switch (type->kind) {
    case KIND_BOOL:      buf_put_text(out, chance_percent(c, 50) ? "true" : "false"); break;
    case KIND_INT:       buf_printf(out, "%d", (int)chance_below(c, 2000) - 500); break;
    case KIND_FLOAT:     buf_printf(out, "%d.5", (int)chance_below(c, 100)); break;
    case KIND_DECIMAL:   buf_printf(out, "%u.%02u", chance_below(c, 1000), chance_below(c, 100)); break;
    case KIND_STRING:    json_put_string(out, str_of(words[chance_below(c, 8)])); break;
    case KIND_DATE:      buf_printf(out, "\"2025-%02u-%02u\"", 1 + chance_below(c, 12), 1 + chance_below(c, 28)); break;
    case KIND_TIMESTAMP: buf_printf(out, "\"2025-11-%02uT10:00:00Z\"", 1 + chance_below(c, 28)); break;
    case KIND_DURATION:  buf_printf(out, "\"%um\"", 1 + chance_below(c, 59)); break;
    case KIND_ENUM:      json_put_string(out, type->members[chance_below(c, type->member_count)]); break;
    case KIND_OPT:
        if (chance_percent(c, 40)) buf_put_text(out, "null");
        else sim_put_value(c, image, type->element, depth + 1, out);
        break;
    case KIND_LIST:
        buf_put_char(out, '[');
        for (uint32_t i = 0, n = depth > 3 ? 0 : chance_below(c, 4); i < n; i++) {
            if (i) buf_put_char(out, ',');
            sim_put_value(c, image, type->element, depth + 1, out);
        }
        buf_put_char(out, ']');
        break;
    case KIND_MAP:
        buf_put_text(out, "{\"k\":");
        sim_put_value(c, image, type->element, depth + 1, out);
        buf_put_char(out, '}');
        break;
    case KIND_RECORD:
        buf_put_char(out, '{');
        for (uint32_t i = 0; i < type->field_count; i++) {
            if (i) buf_put_char(out, ',');
            json_put_string(out, type->fields[i].name);
            buf_put_char(out, ':');
            sim_put_value(c, image, type->fields[i].type, depth + 1, out);
        }
        buf_put_char(out, '}');
        break;
    default: buf_put_text(out, jsons[chance_below(c, 8)]); break;
    }
}

/* ---- plans ------------------------------------------------------------------------------------------------------- */

enum { SIM_STEPS_MAX = 24, SIM_DEPTH_MAX = 4 };
typedef struct SimPlan {
    Chance chance;
    const Image *image;
    Buf *out;
    uint32_t wrong_percent;              /* how often something is not what it should be */
    uint16_t tools[SIM_STEPS_MAX];       /* of the steps so far; NO_INDEX: notify_user */
    uint32_t count, most;
    uint32_t visible[SIM_STEPS_MAX], visible_count;      /* steps whose results are there for sure where the next one stands */
} SimPlan;

static inline bool sim_wrong(SimPlan *p) { return chance_below(&p->chance, 1000) < p->wrong_percent * 10; }
static inline void sim_put(SimPlan *p, const char *text) { buf_put_text(p->out, text); }

/* steps[i].field with a field of that kind; false, and nothing, when there is none. Where something may be wrong, of any step and any kind. */
static inline bool sim_put_path(SimPlan *p, TypeKind kind)
{
    for (int tries = 0; tries < 12 && p->count; tries++) {
        bool wrong = sim_wrong(p);
        if (!wrong && !p->visible_count) continue;
        uint32_t i = wrong ? chance_below(&p->chance, p->count) : p->visible[chance_below(&p->chance, p->visible_count)];
        if (p->tools[i] == NO_INDEX) continue;
        const ImageType *result = &p->image->types[p->image->tools[p->tools[i]].result];
        if (result->kind != KIND_RECORD || !result->field_count) continue;
        const ImageField *field = &result->fields[chance_below(&p->chance, result->field_count)];
        if (p->image->types[field->type].kind != kind && !wrong) continue;
        buf_printf(p->out, "steps[%u].%.*s", i, STR_ARG(field->name));
        return true;
    }
    if (!sim_wrong(p)) return false;
    buf_printf(p->out, "steps[%u].available", p->count + chance_below(&p->chance, 3));
    return true;
}

static inline void sim_step_done(SimPlan *p, uint16_t tool, bool certain)
{
    if (p->count == SIM_STEPS_MAX) return;
    if (certain) p->visible[p->visible_count++] = p->count;
    p->tools[p->count++] = tool;
}

static inline void sim_put_comparison(SimPlan *p)
{
    static const char *const compares[] = { "===", "!==", "<", "<=", ">", ">=" };
    uint32_t which = chance_below(&p->chance, 10);
    if (which < 6 && sim_put_path(p, KIND_INT)) buf_printf(p->out, " %s %d", compares[chance_below(&p->chance, 6)], (int)chance_below(&p->chance, 800) - 200);
    else if (which == 6 && sim_put_path(p, KIND_STRING)) sim_put(p, ".includes('E')");
    else if (which == 7 && sim_put_path(p, KIND_STRING)) sim_put(p, ".length * 2 > 5");
    else if (which > 8 || !sim_put_path(p, KIND_BOOL)) sim_put(p, chance_percent(&p->chance, 50) ? "true" : "1 + 1 === 2");
}

static inline void sim_put_condition(SimPlan *p)
{
    static const char *const joins[] = { " && ", " || " };
    sim_put(p, "\"");
    if (chance_percent(&p->chance, 10)) sim_put(p, "!(");
    else sim_put(p, "(");
    sim_put_comparison(p);
    sim_put(p, ")");
    if (chance_percent(&p->chance, 30)) {
        sim_put(p, joins[chance_below(&p->chance, 2)]);
        sim_put_comparison(p);
    }
    if (sim_wrong(p)) sim_put(p, chance_percent(&p->chance, 50) ? " &&" : "; eval(1)");
    sim_put(p, "\"");
}

static inline void sim_put_param(SimPlan *p, uint16_t type)
{
    TypeKind kind = p->image->types[type].kind;
    size_t start = p->out->len;
    bool refers = chance_percent(&p->chance, 40), text = kind == KIND_STRING && chance_percent(&p->chance, 40);
    if (kind == KIND_OPT) kind = p->image->types[p->image->types[type].element].kind;
    sim_put(p, text ? "{\"$text\":\"got ${" : "{\"$ref\":\"");
    if (refers && sim_put_path(p, text && chance_percent(&p->chance, 50) ? KIND_INT : kind)) {
        sim_put(p, text ? "}\"}" : "\"}");
        return;
    }
    p->out->len = start;
    if (sim_wrong(p)) sim_put(p, "{\"x\":[1]}");
    else sim_put_value(&p->chance, p->image, type, 0, p->out);
}

static inline void sim_put_message(SimPlan *p)
{
    size_t start = p->out->len;
    sim_put(p, "{\"$text\":\"so far ${");
    if (sim_put_path(p, KIND_INT)) {
        sim_put(p, "} \"}");
        return;
    }
    p->out->len = start;
    sim_put(p, "\"words\"");
}

/* False: its result may be null afterwards. */
static inline bool sim_put_on_error(SimPlan *p, bool repeatable)
{
    uint32_t which = chance_below(&p->chance, 100);
    if (which < 15) sim_put(p, ",\"on_error\":\"CONTINUE\"");
    else if (which < 35 && (repeatable || sim_wrong(p))) buf_printf(p->out, ",\"on_error\":\"RETRY\",\"retry_count\":%u", 1 + chance_below(&p->chance, 4));
    if (chance_percent(&p->chance, 10)) buf_printf(p->out, ",\"timeout_ms\":%u", 1 + chance_below(&p->chance, 30000));
    return which >= 15;
}

static inline void sim_put_action(SimPlan *p)
{
    uint16_t index = (uint16_t)chance_below(&p->chance, p->image->tool_count);
    const ImageTool *tool = &p->image->tools[index];
    buf_printf(p->out, "{\"agent\":\"%.*s\",\"action\":\"%.*s%s\",\"params\":{", STR_ARG(p->image->agents[tool->agent].name), STR_ARG(tool->name), sim_wrong(p) ? "s" : "");
    bool any = false;
    for (uint32_t i = 0; i < tool->param_count; i++) {
        if (tool->params[i].has_default ? chance_percent(&p->chance, 60) : sim_wrong(p)) continue;
        buf_printf(p->out, "%s\"%.*s\":", any ? "," : "", STR_ARG(tool->params[i].name));
        if (tool->params[i].labels & LABEL_TRUSTED && !sim_wrong(p)) sim_put_value(&p->chance, p->image, tool->params[i].type, 0, p->out);
        else sim_put_param(p, tool->params[i].type);
        any = true;
    }
    sim_put(p, "}");
    bool certain = !chance_percent(&p->chance, 12);
    if (!certain) {
        sim_put(p, ",\"condition\":");
        sim_put_condition(p);
    }
    if (chance_percent(&p->chance, 10)) buf_printf(p->out, ",\"id\":\"n%u\"", p->count);
    certain &= sim_put_on_error(p, tool->flags & (TOOL_READS | TOOL_IDEMPOTENT | TOOL_KEYED));
    sim_put(p, "}");
    sim_step_done(p, index, certain);
}

static inline void sim_put_flow(SimPlan *p, int depth, bool side_by_side);

/* Steps whose results nobody outside sees. */
static inline void sim_put_inner(SimPlan *p, int depth, bool side_by_side)
{
    uint32_t before = p->visible_count;
    sim_put_flow(p, depth, side_by_side);
    p->visible_count = before;
}

static inline void sim_put_step(SimPlan *p, int depth)
{
    static const char *const strategies[] = { "SEQUENTIAL", "PARALLEL", "CONDITIONAL" };
    uint32_t which = chance_below(&p->chance, 100);
    if (depth >= SIM_DEPTH_MAX || which < 65) {
        sim_put_action(p);
    } else if (which < 72) {
        sim_put(p, "{\"action\":\"notify_user\",\"message\":");
        sim_put_message(p);
        sim_put(p, "}");
        sim_step_done(p, NO_INDEX, true);
    } else if (which < 86) {
        sim_put(p, "{\"condition\":");
        sim_put_condition(p);
        sim_put(p, ",\"then\":");
        sim_put_inner(p, depth + 1, false);
        if (chance_percent(&p->chance, 50)) {
            sim_put(p, ",\"else\":");
            sim_put_inner(p, depth + 1, false);
        }
        sim_put(p, "}");
    } else {
        uint32_t strategy = chance_below(&p->chance, 3);
        buf_printf(p->out, "{\"strategy\":\"%s\",\"flow\":", strategies[strategy]);
        sim_put_inner(p, depth + 1, strategy == 1);
        if (chance_percent(&p->chance, 30)) sim_put_on_error(p, chance_percent(&p->chance, 20));
        sim_put(p, "}");
    }
}

static inline void sim_put_flow(SimPlan *p, int depth, bool side_by_side)
{
    uint32_t count = 1 + chance_below(&p->chance, depth ? 3 : 6), before = p->visible_count;
    sim_put(p, "[");
    for (uint32_t i = 0; i < count; i++) {
        if (i && p->count >= p->most) break;
        if (i) sim_put(p, ",");
        if (side_by_side) p->visible_count = before;
        sim_put_step(p, depth);
    }
    sim_put(p, "]");
}

static inline void sim_put_plan(uint64_t seed, const Image *image, uint32_t wrong_percent, Buf *out)
{
    static const char *const strategies[] = { "SEQUENTIAL", "CONDITIONAL", "PARALLEL" };
    SimPlan p = { .chance = { seed }, .image = image, .out = out, .wrong_percent = wrong_percent, .most = SIM_STEPS_MAX - 8 };
    uint32_t strategy = chance_percent(&p.chance, 80) ? chance_below(&p.chance, 2) : 2;
    buf_printf(out, "{\"strategy\":\"%s\",\"flow\":", strategies[strategy]);
    sim_put_flow(&p, 0, strategy == 2);
    if (chance_percent(&p.chance, 20)) buf_printf(out, ",\"timeout_ms\":%u", 100 + chance_below(&p.chance, 60000));
    if (strategy == 2) p.visible_count = 0;
    if (chance_percent(&p.chance, 30)) {
        sim_put(&p, ",\"message\":");
        sim_put_message(&p);
    }
    if (sim_wrong(&p)) sim_put(&p, ",\"loop\":true");
    sim_put(&p, "}");
}

/* ---- a run --------------------------------------------------------------------------------------------------------- */

enum { SIM_WAITING_MAX = 512, SIM_TURNS_MAX = 20000 };
typedef struct SimWaiting { uint64_t id; uint8_t kind; uint16_t result; int64_t until_us; } SimWaiting;
typedef struct Sim {
    Chance chance;
    Image *image;
    VmRun *run;
    SimWaiting waiting[SIM_WAITING_MAX]; uint32_t count;
    uint32_t *calls;                     /* of each tool, by what was asked and which spans began */
    uint32_t all_calls, turns;
    int64_t now_us;
    size_t first_bytes, peak_bytes, rest_bytes /* the most that was held between turns */;
    Buf log;                             /* every request and note with its arguments, and how it ended */
    Buf states;                          /* snapshots on the way */
    VmStatus status;
    bool keeps;                          /* log and states */
} Sim;

static inline void sim_note_call(Sim *s, uint16_t tool)
{
    s->calls[tool]++;
    s->all_calls++;
}

static inline void sim_take(Sim *s)
{
    VmRequest r;
    while (vm_next_request(s->run, &r)) {
        if (r.effect->kind == EFFECT_REMOTE_CALL && !r.scripted) sim_note_call(s, r.effect->target);
        else if (r.effect->kind == EFFECT_NOTE_SPAN_BEGIN && r.span_func != NO_INDEX && s->image->funcs[r.span_func].kind == FUNC_TOOL) sim_note_call(s, s->image->funcs[r.span_func].owner);
        if (s->keeps) {
            buf_printf(&s->log, "%llu %u %.*s", (unsigned long long)r.id, r.effect->kind, STR_ARG(r.effect->name));
            bool span = r.effect->kind == EFFECT_NOTE_SPAN_BEGIN || r.effect->kind == EFFECT_NOTE_SPAN_END;       /* a row of the machine's own: what it holds is in other notes */
            for (int i = 0; i < r.arg_count && !span; i++) {
                buf_put_char(&s->log, ' ');
                if (r.effect->params && i < r.effect->param_count && r.effect->params[i] != TYPE_INDEX_ERROR && r.effect->params[i] != TYPE_INDEX_OPT_ERROR) value_to_json(s->image, r.effect->params[i], r.args[i], &s->log);
            }
            buf_put_char(&s->log, '\n');
        }
        if (r.is_note) continue;
        if (s->count == SIM_WAITING_MAX) abort();
        s->waiting[s->count++] = (SimWaiting){ r.id, r.effect->kind, r.effect->result, r.effect->kind == EFFECT_SLEEP_UNTIL ? r.args[0].i : 0 };
    }
}

static inline void sim_fail(Sim *s, uint64_t id)
{
    static const ErrorKind kinds[] = { ERROR_KIND_rejected, ERROR_KIND_unavailable, ERROR_KIND_timeout, ERROR_KIND_not_found, ERROR_KIND_rate_limited };
    Value error = value_error(s->image, kinds[chance_below(&s->chance, 5)], STR("no"));
    vm_raise(s->run, id, error_with(error, chance_percent(&s->chance, 50) ? 503 : 0, STR(""), -1));
}

static inline void sim_resume(Sim *s, const SimWaiting *one)
{
    Value value = { .i = 0 };
    switch (one->kind) {
    case EFFECT_NOW:    value.i = s->now_us; break;
    case EFFECT_RANDOM: value.f = 0.5; break;
    case EFFECT_APPROVE: value.i = chance_percent(&s->chance, 80); break;
    case EFFECT_SLEEP_UNTIL: if (one->until_us > s->now_us) s->now_us = one->until_us; break;
    default: {
        Buf text = { 0 };
        Arena *arena = arena_new();
        Json *json;
        Error error;
        sim_put_value(&s->chance, s->image, one->result, 0, &text);
        if (json_parse(arena, buf_str(&text), 1 << 20, &json, &error) != ERR_OK || value_from_json(s->image, one->result, json, &value, &error) != ERR_OK) abort();
        arena_free(arena);
        buf_free(&text);
        break;
    }
    }
    if (!vm_resume(s->run, one->id, value) && kind_is_counted(s->image->types[one->result].kind)) value_release(value);      /* cancelled meanwhile: nobody awaits it */
}

/* One thing happens outside: an answer to a request in any order, a failure, a deadline. False: nothing is waited for. */
static inline bool sim_happen(Sim *s)
{
    uint32_t scope;
    int64_t deadline = vm_next_deadline(s->run, &scope);
    if (deadline != INT64_MAX && (!s->count || chance_percent(&s->chance, 2))) {
        if (deadline > s->now_us) s->now_us = deadline;
        vm_expire(s->run, scope);
        return true;
    }
    if (!s->count) return false;
    uint32_t which = chance_below(&s->chance, s->count);
    SimWaiting one = s->waiting[which];
    s->waiting[which] = s->waiting[--s->count];
    s->now_us += 1000;
    if (one.kind == EFFECT_REMOTE_CALL && chance_percent(&s->chance, 15)) sim_fail(s, one.id);
    else sim_resume(s, &one);
    return true;
}

static inline void sim_keep_state(Sim *s)
{
    static const SnapshotKey key = { .id = 1 };
    if (s->keeps && (s->status == VM_BLOCKED) && s->turns % 8 == 3) snapshot_encode(s->run, s->turns, &key, &s->states);
}

/* Until the end, or for SIM_TURNS_MAX turns: then the status is what it was. */
static inline void sim_run(Sim *s, uint64_t seed, Image *image, uint16_t caller, uint16_t func, bool intercept, bool keeps)
{
    static const VmInfo info = { .run_id = { "run", 3 }, .tenant = { "family", 6 }, .user = { "anna", 4 }, .flow = { "plan", 4 }, .correlation = { "c", 1 }, .user_name = { "Anna", 4 }, .causation = { "", 0 } };
    Value number = { .i = func };
    *s = (Sim){ .chance = { seed }, .image = image, .now_us = INT64_C(1762768800000000), .keeps = keeps };
    s->calls = mem_alloc((image->tool_count + 1u) * sizeof *s->calls);
    s->run = vm_new(image, caller, &number, &info, NULL);
    for (uint16_t i = 0; i < image->tool_count; i++)
        if (image->tools[i].func != NO_INDEX && (intercept || !str_is(image->agents[image->tools[i].agent].name, "worker"))) vm_intercept_tool(s->run, i);
    s->first_bytes = vm_heap(s->run)->live_bytes;
    for (s->status = VM_BLOCKED; s->turns < SIM_TURNS_MAX; s->turns++) {
        s->status = vm_run(s->run);
        if (vm_heap(s->run)->live_bytes > s->rest_bytes) s->rest_bytes = vm_heap(s->run)->live_bytes;
        sim_take(s);
        if (s->status == VM_DONE || s->status == VM_FAILED) break;
        sim_keep_state(s);
        if (s->status == VM_BLOCKED && !sim_happen(s)) break;
    }
    s->peak_bytes = vm_heap(s->run)->peak_bytes;
    if (keeps && s->status == VM_DONE) value_to_json(image, TYPE_INDEX_JSON, vm_result(s->run), &s->log);
    if (keeps && s->status == VM_FAILED) buf_put_str(&s->log, value_str(((Record *)vm_error(s->run).o)->fields[ERROR_FIELD_MESSAGE]));
}

static inline void sim_free(Sim *s)
{
    vm_free(s->run);
    free(s->calls);
    buf_free(&s->log);
    buf_free(&s->states);
}
#endif
