/* rights.c - may this plan call this tool? Default deny: what was not granted by name does not exist for it.
 *
 * Suggestions never widen: where more rights would help, a diagnostic says so and proposes nothing.
 */
#include "compiler/plan/plan_internal.h"

#include <stdlib.h>

/* "travel.book_hotel", or "travel.*" for every tool of that agent. */
bool tool_granted(const PlanGrant *grant, Str tool)
{
    for (uint32_t i = 0; i < grant->tool_count; i++) {
        Str pattern = grant->tools[i];
        if (str_eq(pattern, tool))
            return true;
        if (str_ends(pattern, STR(".*")) && str_starts(tool, (Str){ pattern.ptr, pattern.len - 1 }))
            return true;
    }
    return false;
}

bool tool_may_repeat(const PlanTool *tool)
{
    return tool->row->flags & (TOOL_READS | TOOL_IDEMPOTENT | TOOL_KEYED);
}

/* ---- unknown, not granted ----------------------------------------------------------------------------------- */

/* The granted tools of an agent (or all of them), by the name that a step gives them. */
static uint32_t granted_actions(Build *b, const Symbol *agent, Str *out)
{
    const PlanCompiler *p = b->compiler;
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->base->tool_count; i++)
        if (tool_granted(b->grant, p->tools[i].name) && (!agent || p->tools[i].symbol->owner == agent))
            out[count++] = agent ? p->tools[i].symbol->name : p->tools[i].name;
    return count;
}

static uint32_t granted_agents(Build *b, Str *out)
{
    const PlanCompiler *p = b->compiler;
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->base->agent_count; i++) {
        bool any = false;
        for (uint32_t k = 0; k < p->base->tool_count && !any; k++)
            any = p->base->tools[k].agent == i && tool_granted(b->grant, p->tools[k].name);
        if (any)
            out[count++] = p->agent_names[i];
    }
    return count;
}

static const PlanPlace *member(Build *b, const PlanNode *node, const char *name)
{
    return plan_place_key(b->arena, node->place, str_of(name));
}

static void report_agent(Build *b, const PlanNode *node)
{
    Str *names = ARENA_ARRAY(b->arena, Str, b->compiler->base->agent_count + 1);
    uint32_t count = granted_agents(b, names);
    PlanDiag *diag = plan_diag(b->diags, PLAN_DIAG_unknown_tool, member(b, node, "agent"), "there is no agent `%s`", build_quote(b, node->agent));
    plan_diag_did_you_mean(b->diags, diag, "replace", node->agent, names, count);
}

/* An action that only other agents have is the agent's mistake. */
static const Symbol *only_other_agent(Build *b, Str action)
{
    const PlanCompiler *p = b->compiler;
    const Symbol *found = NULL;
    for (uint32_t i = 0; i < p->base->tool_count; i++) {
        if (!str_eq(p->tools[i].symbol->name, action) || !tool_granted(b->grant, p->tools[i].name))
            continue;
        if (found)
            return NULL;
        found = p->tools[i].symbol->owner;
    }
    return found;
}

static void report_tool(Build *b, const PlanNode *node, const Symbol *agent)
{
    const Symbol *other = only_other_agent(b, node->action);
    if (other) {
        PlanDiag *diag = plan_diag(b->diags, PLAN_DIAG_unknown_tool, member(b, node, "agent"), "agent `%s` has no tool `%s`: it belongs to `%.*s`",
                                   build_quote(b, node->agent), build_quote(b, node->action), STR_ARG(other->name));
        plan_diag_suggest_text(b->diags, diag, "replace", other->name);
        return;
    }
    Str *names = ARENA_ARRAY(b->arena, Str, b->compiler->base->tool_count + 1);
    uint32_t count = granted_actions(b, agent, names);
    PlanDiag *diag = plan_diag(b->diags, PLAN_DIAG_unknown_tool, member(b, node, "action"), "agent `%s` has no tool `%s`",
                               build_quote(b, node->agent), build_quote(b, node->action));
    plan_diag_did_you_mean(b->diags, diag, "replace", node->action, names, count);
}

static void report_not_granted(Build *b, const PlanNode *node, const PlanTool *tool)
{
    Str *names = ARENA_ARRAY(b->arena, Str, b->compiler->base->tool_count + 1);
    uint32_t count = granted_actions(b, NULL, names);
    PlanDiag *diag = plan_diag(b->diags, PLAN_DIAG_tool_not_granted, member(b, node, "action"), "tool `%.*s` was not granted to this plan",
                               STR_ARG(tool->name));
    plan_diag_allowed(b->diags, diag, names, count);
    plan_diag_widens(diag);
}

/* ---- what a tool asks for ------------------------------------------------------------------------------------- */

static bool has_scope(const PlanGrant *grant, Str scope)
{
    for (uint32_t i = 0; i < grant->scope_count; i++)
        if (str_eq(grant->scopes[i], scope) || str_is(grant->scopes[i], PLAN_SCOPE_ALL))
            return true;
    return false;
}

static void check_scopes(Build *b, const PlanNode *node, const PlanTool *tool)
{
    for (uint32_t i = 0; i < tool->scope_count && !b->grant->any_scope; i++) {
        if (has_scope(b->grant, tool->scopes[i]))
            continue;
        PlanDiag *diag = plan_diag(b->diags, PLAN_DIAG_scope_missing, member(b, node, "action"),
                                   "tool `%.*s` asks for scope `%.*s`, which the caller does not have", STR_ARG(tool->name), STR_ARG(tool->scopes[i]));
        plan_diag_expected(b->diags, diag, "%.*s", STR_ARG(tool->scopes[i]));
        plan_diag_widens(diag);
        return;
    }
}

static void check_irreversible(Build *b, const PlanNode *node, const PlanTool *tool)
{
    if (!(tool->row->flags & TOOL_IRREVERSIBLE) || b->grant->may_ask)
        return;
    PlanDiag *diag = plan_diag(b->diags, PLAN_DIAG_nobody_approves, member(b, node, "action"),
                               "tool `%.*s` cannot be undone, and here is nobody who could approve its call", STR_ARG(tool->name));
    plan_diag_widens(diag);
}

static void check_retry(Build *b, const PlanNode *node, const PlanTool *tool)
{
    if (node->on_error != PLAN_RETRY || tool_may_repeat(tool))
        return;
    PlanDiag *diag = plan_diag(b->diags, PLAN_DIAG_not_repeatable, member(b, node, "on_error"),
                               "tool `%.*s` may not be called again: a second call may do it twice", STR_ARG(tool->name));
    const Str words[] = { STR("ABORT"), STR("CONTINUE") };
    plan_diag_allowed(b->diags, diag, words, 2);
    plan_diag_suggest_text(b->diags, diag, "replace", STR("ABORT"));
}

static void note_used(Build *b, uint16_t tool)
{
    for (uint32_t i = 0; i < b->used_count; i++)
        if (b->used[i] == tool)
            return;
    if (b->used_count == b->used_cap) {
        b->used_cap = b->used_cap ? b->used_cap * 2 : 16;
        uint16_t *grown = ARENA_ARRAY(b->arena, uint16_t, b->used_cap);
        if (b->used_count)
            memcpy(grown, b->used, b->used_count * sizeof *grown);
        b->used = grown;
    }
    b->used[b->used_count++] = tool;
}

const PlanTool *build_tool(Build *b, const PlanNode *node)
{
    if (!node->agent.len || !node->action.len)
        return NULL;                     /* told by plan_read() */
    const Symbol *agent = map_find(&b->program->globals, node->agent);
    if (!agent || agent->kind != SYMBOL_AGENT) {
        report_agent(b, node);
        return NULL;
    }
    const Symbol *symbol = map_find(&agent->members, node->action);
    if (!symbol) {
        report_tool(b, node, agent);
        return NULL;
    }
    const PlanTool *tool = &b->compiler->tools[symbol->image_index];
    if (!tool_granted(b->grant, tool->name)) {
        report_not_granted(b, node, tool);
        return tool;                     /* what else is wrong with the step is said too */
    }
    check_scopes(b, node, tool);
    check_irreversible(b, node, tool);
    check_retry(b, node, tool);
    note_used(b, symbol->image_index);
    return tool;
}
