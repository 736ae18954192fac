/* scopes.c - what the caller of a run may do, as far as the run may have to know it.
 *
 * A route checks the scopes of its caller once, against all that its flow can reach. A plan is written while the flow runs, so what it reaches is known only
 * then: a run that can come to load one keeps the scopes of whoever began it, in its row, and so do the runs that it starts. Nobody else's are kept. A run
 * that no caller began (a handler of an event, a webhook) has none, and its plans are granted nothing that asks for a scope. */
#include <stdlib.h>
#include <string.h>

#include "interpreter/bytecode/opinfo.h"
#include "interpreter/sched/engine_internal.h"

/* Functions of one module from which PLAN_LOAD can be reached, also through flows that they start. */
typedef struct Reach { uint8_t hash[SHA256_BYTES]; bool funcs[]; } Reach;

static bool loads_plans(const Image *image) {
    for (uint16_t i = 0; i < image->effect_count; i++)
        if (image->effects[i].kind == EFFECT_PLAN_LOAD) return true;
    return false;
}

static bool effect_reaches(const Image *image, const Reach *reach, uint16_t index) {
    const ImageEffect *effect = &image->effects[index];
    return effect->kind == EFFECT_PLAN_LOAD || (effect->kind == EFFECT_START_FLOW && reach->funcs[image->flows[effect->target].func]);
}

static bool code_reaches(const Image *image, const Reach *reach, const ImageFunc *func) {
    for (uint32_t pc = 0; pc < func->code_count; pc++) {
        const OpInfo *info = opinfo_find(INSN_OP(func->code[pc]));
        const uint16_t operands[3] = { INSN_A(func->code[pc]), INSN_B(func->code[pc]), INSN_C(func->code[pc]) };
        for (int i = 0; i < 3; i++) {
            if (info->sort[i] == SORT_FUNC && reach->funcs[operands[i]]) return true;
            if (info->sort[i] == SORT_EFFECT && effect_reaches(image, reach, operands[i])) return true;
        }
    }
    return false;
}

/* Callers mostly stand behind what they call, so a few rounds over all functions are enough. */
static void find_reach(const Image *image, Reach *reach) {
    for (bool more = true; more;) {
        more = false;
        for (uint16_t i = 0; i < image->func_count; i++) {
            if (reach->funcs[i] || !code_reaches(image, reach, &image->funcs[i])) continue;
            reach->funcs[i] = more = true;
        }
    }
}

bool scopes_wanted(Engine *engine, const Image *image, uint16_t func) {
    if (!loads_plans(image)) return false;
    Reach *reach = map_find(&engine->reaches, (Str){ (const char *)image->hash.bytes, SHA256_BYTES });
    if (!reach) {
        reach = mem_alloc(sizeof *reach + image->func_count * sizeof *reach->funcs);
        memset(reach, 0, sizeof *reach + image->func_count * sizeof *reach->funcs);
        memcpy(reach->hash, image->hash.bytes, SHA256_BYTES);
        find_reach(image, reach);
        map_put(&engine->reaches, (Str){ (const char *)reach->hash, SHA256_BYTES }, reach);
    }
    return reach->funcs[func];
}

void scopes_free(Engine *engine) {
    MAP_EACH(&engine->reaches, entry) free(entry->value);
    map_free(&engine->reaches);
}

const Str *scopes_of(const RunRow *run, Arena *arena, uint32_t *count, bool *any) {
    Str text = run->scopes, *out = ARENA_ARRAY(arena, Str, text.len / 2 + 1);
    *count = 0;
    *any = false;
    for (size_t at = 0; at < text.len;) {
        const char *space = memchr(text.ptr + at, ' ', text.len - at);
        size_t end = space ? (size_t)(space - text.ptr) : text.len;
        if (end > at) out[(*count)++] = (Str){ text.ptr + at, end - at };
        if (end > at) *any |= str_is(out[*count - 1], ENGINE_SCOPES_ALL);
        at = end + 1;
    }
    return out;
}
