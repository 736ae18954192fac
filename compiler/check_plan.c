/* check_plan.c - `run plan`, and what the parameters and tools of its steps say about themselves: `trusted`, `like`, `costs`.
 *
 * A plan is checked when it is there; here is only what the flow gives it. One plan runs at a time, so none may run where another could: in a branch of
 * `parallel`, in a tool (which a plan may call), in a `compensate`, or in what they call.
 */
#include "compiler/check_internal.h"
#include "compiler/plan/plan.h"

/* { message: string?, notices: list<string>, steps: list<json> } */
static Type *outcome_type(Checker *c)
{
    static const char *const names[] = { "message", "notices", "steps" };
    Type *types[] = { type_optional(c->program, c->basic[TYPE_STRING]), type_list(c->program, c->basic[TYPE_STRING]), type_list(c->program, c->basic[TYPE_JSON]) };
    TypeField *fields = ARENA_ARRAY(c->arena, TypeField, 3);
    for (int i = 0; i < 3; i++)
        fields[i] = (TypeField){ .name = str_of(names[i]), .type = types[i] };
    return type_record(c->program, STR(""), fields, 3);
}

/* ---- what it may call -------------------------------------------------------------------------------------------- */

static void check_plan_tool(Checker *c, Ast_plan_tool *item)
{
    Symbol *agent = find_global(c, SYMBOL_AGENT, item->agent.text);
    if (!agent) {
        suggest_globals(c, diag_unknown_agent(c->diags, item->agent.span, item->agent.text), item->agent.text, SYMBOL_AGENT);
        return;
    }
    agent->is_used = true;
    item->head.symbol = agent;
    if (str_is(item->tool.text, "*"))
        return;
    Symbol *tool = map_find(&agent->members, item->tool.text);
    if (!tool) {
        suggest_members(c, diag_unknown_tool(c->diags, item->tool.span, agent->name, item->tool.text), item->tool.text, &agent->members);
        return;
    }
    tool->is_used = true;
    item->head.symbol = tool;
}

static bool plan_tool_covers(const Ast_plan_tool *wide, const Ast_plan_tool *item)
{
    return str_eq(wide->agent.text, item->agent.text) && (str_is(wide->tool.text, "*") || str_eq(wide->tool.text, item->tool.text));
}

static void check_allow(Checker *c, Ast_plan_expr *plan)
{
    if (!plan->allow.count)
        diag_help(c->diags, diag_plan_without_allow(c->diags, plan->head.span), "name what it may call, such as `allow [travel.book_flight, calendar.*]`");
    for (uint32_t i = 0; i < plan->allow.count; i++) {
        Ast_plan_tool *item = as_plan_tool(plan->allow.items[i]);
        check_plan_tool(c, item);
        for (uint32_t k = 0; k < plan->allow.count; k++) {
            Ast_plan_tool *other = as_plan_tool(plan->allow.items[k]);
            if (k == i || !plan_tool_covers(other, item) || (k > i && plan_tool_covers(item, other)))
                continue;
            diag_note(c->diags, diag_given_twice(c->diags, item->head.span, "tool", item->tool.text), other->head.span, "it is allowed here");
            break;
        }
    }
}

/* ---- numbers -------------------------------------------------------------------------------------------------- */

enum { MICRO_PER_DOLLAR = 1000000 };

bool money_micro(const Ast *number, int64_t *micro)
{
    if (number->kind == AST_INT_EXPR)
        return !__builtin_mul_overflow(((const Ast_int_expr *)(const void *)number)->value, (int64_t)MICRO_PER_DOLLAR, micro);
    Str digits = ((const Ast_decimal_expr *)(const void *)number)->digits;
    int64_t value = 0;
    int decimals = -1;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] == '_')
            continue;
        if (digits.ptr[i] == '.') {
            decimals = 0;
            continue;
        }
        if (decimals == 6 && digits.ptr[i] != '0')
            return false;
        if (decimals == 6)
            continue;
        if (__builtin_mul_overflow(value, (int64_t)10, &value) || __builtin_add_overflow(value, (int64_t)(digits.ptr[i] - '0'), &value))
            return false;
        if (decimals >= 0)
            decimals++;
    }
    for (decimals = decimals < 0 ? 0 : decimals; decimals < 6; decimals++)
        if (__builtin_mul_overflow(value, (int64_t)10, &value))
            return false;
    *micro = value;
    return true;
}

static void check_limit(Checker *c, const Ast *number, const char *word, int64_t most)
{
    if (!number)
        return;
    int64_t value = 0;
    bool money = strcmp(word, "usd") == 0;
    bool good = money ? money_micro(number, &value) : (value = number->kind == AST_INT_EXPR ? ((const Ast_int_expr *)(const void *)number)->value
                                                                                            : ((const Ast_duration_expr *)(const void *)number)->us, true);
    if (good && value > 0 && value <= most)
        return;
    Diag *diag = diag_plan_number(c->diags, number->span, word);
    if (money)
        diag_label(c->diags, diag, "above 0, at most %lld, in millionths at the finest", (long long)(most / MICRO_PER_DOLLAR));
    else if (strcmp(word, "within") == 0)
        diag_label(c->diags, diag, "above 0s, at most 30d");
    else
        diag_label(c->diags, diag, "from 1 to %lld", (long long)most);
}

static void check_limits(Checker *c, const Ast_plan_expr *plan)
{
    check_limit(c, plan->within, "within", PLAN_EXPR_WALL_MAX);
    check_limit(c, plan->steps, "steps", PLAN_STEPS_MAX);
    check_limit(c, plan->calls, "calls", PLAN_EXPR_CALLS_MAX);
    check_limit(c, plan->fuel, "fuel", PLAN_EXPR_FUEL_MAX);
    check_limit(c, plan->memory, "memory", PLAN_EXPR_MEMORY_MAX);
    check_limit(c, plan->tokens, "tokens", PLAN_EXPR_TOKENS_MAX);
    check_limit(c, plan->usd, "usd", PLAN_EXPR_MICRO_USD_MAX);
}

/* ---- where it stands --------------------------------------------------------------------------------------------- */

static void report_place(Checker *c, Span span, const char *where, const char *why)
{
    diag_label(c->diags, diag_plan_misplaced(c->diags, span, where), "%s", why);
}

static const struct { const char *where, *why; } places[] = {
    [PLAN_IN_PARALLEL] = { "in a branch of `parallel`", "one plan runs at a time, and the branches run side by side" },
    [PLAN_IN_UNDO] = { "in a `compensate`", "what undoes a step is not undone itself, and a plan that fails is" },
    [PLAN_IN_TOOL] = { "in a tool", "plans call tools, and no plan runs inside of another" },
};

int plan_place(const Checker *c)
{
    if (!c->func || c->pure_where)
        return PLAN_HERE;
    if (c->body && c->body->parallel_depth)
        return PLAN_IN_PARALLEL;
    if (c->body && c->body->undoing)
        return PLAN_IN_UNDO;
    return c->func->symbol && c->func->symbol->kind == SYMBOL_TOOL ? PLAN_IN_TOOL : PLAN_HERE;
}

static void check_place(Checker *c, Ast *node)
{
    int place = plan_place(c);
    if (c->in_test)
        report_place(c, node->span, "in a test", "a test runs a flow that runs the plan");
    else if (place != PLAN_HERE)
        report_place(c, node->span, places[place].where, places[place].why);
}

void check_plan_call(Checker *c, Ast *node, const FuncInfo *callee, const char *callee_text, int place)
{
    if (!(callee->effects & FUNC_EFFECT_PLAN))
        return;
    Diag *diag = diag_plan_misplaced(c->diags, node->span, places[place].where);
    diag_label(c->diags, diag, "`%s` runs a plan, and %s", callee_text, places[place].why);
}

Type *check_run_plan(Checker *c, Ast *node)
{
    Ast_plan_expr *plan = as_plan_expr(node);
    check_value(c, plan->plan, c->basic[TYPE_JSON]);
    if (plan->request)
        check_value(c, plan->request, c->basic[TYPE_STRING]);
    check_allow(c, plan);
    check_limits(c, plan);
    check_place(c, node);
    note_effect(c, node, FUNC_EFFECT_PLAN | FUNC_EFFECT_OUTSIDE | FUNC_EFFECT_PARK, "`run plan`");
    unsigned labels = plan->plan->type->labels | (plan->request ? plan->request->type->labels : 0);
    return type_labeled(c->program, outcome_type(c), labels & (LABEL_PII | LABEL_SECRET));        /* what a plan says comes from both */
}

/* ---- trusted parameters ------------------------------------------------------------------------------------------- */

enum { ORIGINS_MAX = 1000 };            /* lets of lets of lets: what is behind so many is taken for a person's */

typedef struct Search { int budget; bool tools; } Search;

static const Ast *search(const Ast *node, Search *s);

static const Ast *search_any(AstList items, Search *s)
{
    const Ast *found = NULL;
    for (uint32_t i = 0; i < items.count && !found; i++)
        found = search(items.items[i], s);
    return found;
}

static bool says_something(const CallInfo *call, bool tools)
{
    if (!call)
        return false;
    return (call->kind == CALL_LLM && call->effect != EFFECT_LLM_CLASSIFY) || (tools && (call->kind == CALL_TOOL || call->kind == CALL_REMOTE));
}

static const Ast *search_binary(const Ast_binary_expr *binary, Search *s)
{
    if (binary->op != BINARY_ADD && binary->op != BINARY_COALESCE)
        return NULL;
    const Ast *left = search(binary->left, s);
    return left ? left : search(binary->right, s);
}

static const Ast *search(const Ast *node, Search *s)
{
    if (--s->budget < 0)
        return NULL;
    node = called_node((Ast *)node);
    switch (node->kind) {
    case AST_CALL_EXPR: return says_something(node->info, s->tools) ? node : NULL;
    case AST_NAME_EXPR: {
        const Symbol *symbol = node->symbol;
        bool once = symbol && symbol->kind == SYMBOL_LOCAL && !symbol->is_mutable && symbol->decl && symbol->decl->kind == AST_LET_STMT;
        return once ? search(as_let_stmt(symbol->decl)->value, s) : NULL;
    }
    case AST_FIELD_EXPR: return search(((const Ast_field_expr *)(const void *)node)->object, s);
    case AST_INDEX_EXPR: return search(((const Ast_index_expr *)(const void *)node)->object, s);
    case AST_AS_EXPR: return search(((const Ast_as_expr *)(const void *)node)->value, s);
    case AST_STRING_EXPR: return search_any(((const Ast_string_expr *)(const void *)node)->parts, s);
    case AST_INTERP_PART: return search(((const Ast_interp_part *)(const void *)node)->value, s);
    case AST_BINARY_EXPR: return search_binary((const Ast_binary_expr *)(const void *)node, s);
    default: return NULL;
    }
}

const Ast *find_untrusted(const Ast *value, bool tools_too)
{
    Search s = { ORIGINS_MAX, tools_too };
    return search(value, &s);
}

bool is_trusted_param(const Symbol *param)
{
    const Ast *type = param->decl && param->decl->kind == AST_PARAM ? as_param(param->decl)->type : NULL;
    for (; type && type->kind == AST_LABEL_TYPE; type = ((const Ast_label_type *)(const void *)type)->inner)
        if (str_is(((const Ast_label_type *)(const void *)type)->label.text, "trusted"))
            return true;
    return false;
}

void check_trusted_arguments(Checker *c, const CallInfo *call)
{
    const FuncInfo *callee = call->target->info;
    for (uint32_t i = 0; i < call->arg_count && i < callee->param_count; i++) {
        const Ast *origin = call->args[i] && is_trusted_param(callee->params[i]) ? find_untrusted(call->args[i], false) : NULL;
        if (!origin)
            continue;
        Diag *diag = diag_untrusted_argument(c->diags, call->args[i]->span, callee->params[i]->name, call->target->name);
        if (origin->span.start != call->args[i]->span.start)
            diag_note(c->diags, diag, origin->span, "a model says it here");
        diag_note(c->diags, diag, callee->params[i]->decl->span, "declared `trusted`");
        diag_help(c->diags, diag, "let a person see it first (`ask`), or look it up in what is known");
    }
}

/* `trusted` and `like` stand on the parameters of tools; marks the label, which resolve_type() refuses everywhere else. */
void check_param_notes(Checker *c, Ast_param *param, bool of_tool)
{
    for (Ast *type = param->type; of_tool && type->kind == AST_LABEL_TYPE; type = as_label_type(type)->inner)
        type->info = param;
    if (!param->pattern)
        return;
    if (!of_tool)
        diag_misplaced(c->diags, param->pattern->span, "`like` of a parameter", "a tool");
    check_regex(c, param->pattern);
}

void check_costs(Checker *c, const Ast_costs_clause *costs)
{
    int64_t micro;
    if (costs->tokens && as_int_expr(costs->tokens)->value > PLAN_EXPR_TOKENS_MAX)
        diag_label(c->diags, diag_plan_number(c->diags, costs->tokens->span, "tokens"), "at most %d", PLAN_EXPR_TOKENS_MAX);
    if (costs->usd && (!money_micro(costs->usd, &micro) || micro > PLAN_EXPR_MICRO_USD_MAX))
        diag_label(c->diags, diag_plan_number(c->diags, costs->usd->span, "usd"), "at most %lld, in millionths at the finest", (long long)(PLAN_EXPR_MICRO_USD_MAX / MICRO_PER_DOLLAR));
}
