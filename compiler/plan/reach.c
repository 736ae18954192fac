/* reach.c - what a call of a tool asks for in the end: the scopes of the tool, of all that its code can call, and of what would undo it.
 *
 * As routes of a flow do, a plan counts them all before anything runs: a scope that is missing is not found out in the middle.
 */
#include "compiler/plan/plan_internal.h"

#include "interpreter/bytecode/opinfo.h"

#include <stdlib.h>

typedef struct Reach {
    const Image *image;
    bool *funcs, *tools;                 /* seen */
    uint16_t *list; uint32_t count;      /* functions to look at */
    Str *scopes; uint32_t scope_count;
} Reach;

static void reach_func(Reach *r, uint16_t func)
{
    if (func == NO_INDEX || r->funcs[func])
        return;
    r->funcs[func] = true;
    r->list[r->count++] = func;
}

static void reach_tool(Reach *r, uint16_t tool)
{
    while (tool != NO_INDEX && !r->tools[tool]) {
        const ImageTool *row = &r->image->tools[tool];
        r->tools[tool] = true;
        reach_func(r, row->func);
        r->scope_count += row->scope_count;
        tool = row->compensated_by;
    }
}

static void reach_code(Reach *r, const ImageFunc *func)
{
    if (func->kind == FUNC_TOOL)
        reach_tool(r, func->owner);
    for (uint32_t pc = 0; pc < func->code_count; pc++) {
        Insn insn = func->code[pc];
        const OpInfo *info = opinfo_find(INSN_OP(insn));
        const uint16_t operands[] = { INSN_A(insn), INSN_B(insn), INSN_C(insn) };
        for (int k = 0; k < 3; k++) {
            if (info->sort[k] == SORT_FUNC)
                reach_func(r, operands[k]);
            else if (info->sort[k] == SORT_EFFECT && r->image->effects[operands[k]].kind == EFFECT_REMOTE_CALL)
                reach_tool(r, r->image->effects[operands[k]].target);
        }
    }
}

static int by_text(const void *a, const void *b) { return str_cmp(*(const Str *)a, *(const Str *)b); }

const Str *reachable_scopes(PlanCompiler *compiler, uint16_t tool, uint32_t *count)
{
    const Image *image = compiler->base;
    Arena *scratch = arena_new();
    Reach r = { .image = image, .funcs = ARENA_ARRAY(scratch, bool, image->func_count + 1), .tools = ARENA_ARRAY(scratch, bool, image->tool_count + 1),
                .list = ARENA_ARRAY(scratch, uint16_t, image->func_count + 1) };
    reach_tool(&r, tool);
    for (uint32_t at = 0; at < r.count; at++)               /* the list grows meanwhile */
        reach_code(&r, &image->funcs[r.list[at]]);
    Str *scopes = ARENA_ARRAY(compiler->arena, Str, r.scope_count + 1);
    uint32_t all = 0, kept = 0;
    for (uint32_t i = 0; i < image->tool_count; i++)
        for (uint32_t k = 0; r.tools[i] && k < image->tools[i].scope_count; k++)
            scopes[all++] = image->tools[i].scopes[k];
    qsort(scopes, all, sizeof *scopes, by_text);
    for (uint32_t i = 0; i < all; i++)
        if (!kept || !str_eq(scopes[kept - 1], scopes[i]))
            scopes[kept++] = scopes[i];
    arena_free(scratch);
    *count = kept;
    return scopes;
}
