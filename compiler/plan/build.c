/* build.c - the steps of a plan as the body of one function.
 *
 *     let #result: json = {                            a block within the deadline of the plan
 *         var #o: list<json> = [ …every step SKIPPED… ]
 *         saga {
 *             step #s0 = finance.check_budget(…)       compensated as the tool's declaration says
 *             #o[0] = { …DONE, result: #s0 }
 *             if budget_available >= 200 { … } else { … }
 *         }
 *         { message: …, notices: […], steps: #o }
 *     } within …
 *
 * CONTINUE is a `try` around the step; RETRY a policy behind the call; a group that is survived or tried again is a saga of its own. Steps of a PARALLEL are
 * branches, whose records carry out what is asked for later. Names of the code begin with #, so that no name of a plan or program is one of them.
 */
#include "compiler/plan/plan_internal.h"

#include "compiler/types.h"

/* ---- conditions and groups -------------------------------------------------------------------------------------------- */

static void build_node(Build *b, Region *region, const PlanNode *node);

static void build_nodes(Build *b, Region *region, PlanNode *const *nodes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        build_node(b, region, nodes[i]);
}

static void build_choice(Build *b, Region *region, const PlanNode *node)
{
    Ast *condition = build_condition(b, region, node->condition, node->place);
    Region *taken = region_guard(b, region, "its step is only done on a condition"), *other = NULL;
    taken->rival = node;
    names_learn(b, region, condition, true, taken);
    note_condition(b, taken, node, true);
    build_nodes(b, taken, node->steps, node->step_count);
    if (node->otherwise_count) {
        other = region_guard(b, region, "its step is only done when a condition does not hold");
        other->rival = node;
        names_learn(b, region, condition, false, other);
        note_condition(b, other, node, false);
        build_nodes(b, other, node->otherwise, node->otherwise_count);
    }
    region_hold(b, taken, make_if(&b->maker, condition, taken->block, other ? other->block : only_noted(b, region, node)));
    if (other)
        other->after = region_slot(b, region);
}

/* A function of its own, which begins with a list of outcomes. */
static Region *region_func(Build *b, Region *up, uint32_t from, uint32_t to)
{
    Region *region = region_new(b, up);
    region->func = region;
    region->prologue = region_slot(b, region);
    outcomes_begin(b, region, from, to);
    return region;
}

static Region *build_branch(Build *b, Region *region, const PlanNode *group, const PlanNode *node)
{
    Maker *m = &b->maker;
    stand_at(b, first_index(node));
    Region *branch = region_func(b, region, first_index(node), end_index(node));
    branch->rival = group;
    branch->side_by_side = true;
    branch->branch = make_text(m, "#b%u", branch->number);
    branch->record = make_object(m);
    build_node(b, branch, node);
    make_object_put(m, branch->record, STR("#out"), make_name(m, branch->out));
    return branch;
}

static void take_outcomes(Build *b, Region *region, const Region *branch, const PlanNode *node)
{
    Maker *m = &b->maker;
    for (uint32_t i = first_index(node); i < end_index(node); i++) {
        Ast *list = make_field(m, make_name(m, branch->branch), STR("#out"), false);
        region_add(b, region, make_assign(m, outcome_place(b, region, i), make_index(m, list, i - branch->out_base)));
    }
}

static void build_parallel(Build *b, Region *region, const PlanNode *node)
{
    Nodes branches = { 0 };
    Region **regions = ARENA_ARRAY(b->arena, Region *, node->step_count + 1);
    Span span = b->maker.span;
    for (uint32_t i = 0; i < node->step_count; i++) {
        regions[i] = build_branch(b, region, node, node->steps[i]);
        nodes_add(&b->maker, &branches, make_branch(&b->maker, regions[i]->branch, regions[i]->block));
    }
    b->maker.span = span;
    region_add(b, region, make_parallel(&b->maker, &branches));
    for (uint32_t i = 0; i < node->step_count; i++)
        regions[i]->joined = region_slot(b, region);
    for (uint32_t i = 0; i < node->step_count; i++)
        take_outcomes(b, region, regions[i], node->steps[i]);
}

static void build_flow(Build *b, Region *region, const PlanNode *node)
{
    if (node->strategy == PLAN_PARALLEL)
        build_parallel(b, region, node);
    else
        build_nodes(b, region, node->steps, node->step_count);
}

/* { …; true }: a block as an expression, for `within` and `retry`. */
static Ast *as_expression(Build *b, Region *inside)
{
    region_add(b, inside, make_do(&b->maker, make_bool(&b->maker, true)));
    return inside->block;
}

/* Everything that is called in it may be called again. */
static void check_group_retry(Build *b, const PlanNode *group)
{
    for (uint32_t i = first_index(group); i < end_index(group); i++) {
        const PlanTool *tool = b->results[i].tool;
        if (!tool || tool_may_repeat(tool))
            continue;
        PlanDiag *diag = plan_diag(b->diags, PLAN_DIAG_not_repeatable, plan_place_key(b->arena, group->place, STR("on_error")),
                                   "tool `%.*s` in this group may not be called again: a second call may do it twice", STR_ARG(tool->name));
        plan_diag_suggest_text(b->diags, diag, "replace", STR("ABORT"));
        return;
    }
}

/* From the outside in: survived, tried again, within its time, undone as one. */
static void build_group(Build *b, Region *region, const PlanNode *node)
{
    Maker *m = &b->maker;
    Span span = m->span;
    Region *survived = NULL, *again = NULL, *timed = NULL, *undone = NULL, *inner = region;
    if (node->on_error == PLAN_CONTINUE)
        inner = survived = region_guard(b, inner, "its group may fail and is then passed over");
    if (node->on_error == PLAN_RETRY) {
        inner = again = region_new(b, inner);
        begin_again(b, again, node);
    }
    if (node->timeout_us)
        inner = timed = region_new(b, inner);
    if (survived || again)
        inner = undone = region_new(b, inner);
    build_flow(b, inner, node);
    m->span = span;
    if (again)
        check_group_retry(b, node);
    if (undone)
        region_hold(b, undone, make_saga(m, undone->block));
    if (timed)
        region_hold(b, timed, make_do(m, make_within(m, as_expression(b, timed), node->timeout_us)));
    if (again)
        region_hold(b, again, make_do(m, make_retry(m, as_expression(b, again), retry_policy(m, node->retry_count))));
    if (survived)
        region_hold(b, survived, survive(b, survived, node));
}

static void build_node(Build *b, Region *region, const PlanNode *node)
{
    if (node->index >= 0)
        stand_at(b, (uint32_t)node->index);
    switch (node->kind) {
    case PLAN_NODE_ACTION: case PLAN_NODE_NOTIFY: build_action(b, region, node); break;
    case PLAN_NODE_CONDITION: build_choice(b, region, node); break;
    case PLAN_NODE_GROUP: build_group(b, region, node); break;
    }
}

/* ---- the whole ---------------------------------------------------------------------------------------------------------- */

/* if #r != null { #n = #n.append(#r) } for each notice that may have been left out. */
static void add_told(Build *b, Region *region, Str list, uint32_t index)
{
    Maker *m = &b->maker;
    Type *type;
    const char *why;
    Str name = make_text(m, "#t%u", b->name_count++);
    region_add(b, region, make_let(m, false, name, NULL, result_value(b, &b->results[index], region, &type, &why)));
    Ast *append = make_assign(m, make_name(m, list), make_append(m, make_name(m, list), make_name(m, name)));
    if (type->tag != TYPE_OPT) {
        region_add(b, region, append);
        return;
    }
    Region *there = region_new(b, region);
    region_add(b, there, append);
    region_add(b, region, make_if(m, make_is_not_null(m, make_name(m, name)), there->block, NULL));
}

static Ast *outcome_of_plan(Build *b, Region *region)
{
    Maker *m = &b->maker;
    Ast *object = make_object(m), *message = b->tree->message ? build_text(b, region, b->tree->message) : make_null(m);
    Str list = make_text(m, "#n%u", region->number);
    Nodes none = { 0 };
    if (b->tree->message && message)
        note_text(b, message, NULL);
    region_add(b, region, make_let(m, true, list, type_list(b->program, b->program->basic[TYPE_STRING]), make_list(m, &none)));
    for (uint32_t i = 0; i < b->tree->index_count; i++)
        if (b->results[i].node && b->results[i].node->kind == PLAN_NODE_NOTIFY)
            add_told(b, region, list, i);
    if (message)
        make_object_put(m, object, STR("message"), message);
    make_object_put(m, object, STR("notices"), make_name(m, list));
    make_object_put(m, object, STR("steps"), make_name(m, region->out));
    return object;
}

/* As deep as PLAN_DEPTH_MAX. */
static void mark_conditional(Build *b, const PlanNode *node, bool conditional)
{
    conditional |= node->has_condition;
    if (node->index >= 0)
        b->results[node->index].conditional = conditional;
    for (uint32_t i = 0; i < node->step_count; i++)
        mark_conditional(b, node->steps[i], conditional);
    for (uint32_t i = 0; i < node->otherwise_count; i++)
        mark_conditional(b, node->otherwise[i], conditional);
}

static void results_begin(Build *b)
{
    b->results = ARENA_ARRAY(b->arena, Result, b->tree->index_count + 1);
    for (uint32_t i = 0; i < b->tree->index_count; i++) {
        const PlanNode *node = b->tree->by_index[i];
        b->results[i].node = node;
        const Symbol *agent = node && node->agent.len ? map_find(&b->program->globals, node->agent) : NULL;
        const Symbol *tool = agent && agent->kind == SYMBOL_AGENT ? map_find(&agent->members, node->action) : NULL;
        if (tool)
            b->results[i].tool = &b->compiler->tools[tool->image_index];
    }
    mark_conditional(b, b->tree->root, false);
}

Ast *build_plan(Build *b)
{
    Maker *m = &b->maker;
    const PlanNode *root = b->tree->root;
    results_begin(b);
    Region *body = region_func(b, NULL, 0, b->tree->index_count), *saga = region_new(b, body);
    build_flow(b, saga, root);
    stand_at(b, 0);
    region_hold(b, saga, make_saga(m, saga->block));
    region_add(b, body, make_do(m, outcome_of_plan(b, body)));
    measure_steps(b);
    if (b->diags->error_count)
        return NULL;
    regions_fill(b);
    int64_t wall_us = b->cost.worst.wall_us > PLAN_WALL_MIN ? b->cost.worst.wall_us : PLAN_WALL_MIN;
    Ast *whole = make_block(m);
    Nodes items = { 0 };
    Type *json = b->program->basic[TYPE_JSON];
    nodes_add(m, &items, make_let(m, false, STR("#result"), json, make_within(m, body->block, wall_us)));
    nodes_add(m, &items, make_return(m, make_name(m, STR("#result"))));
    as_block(whole)->items = nodes_list(&items);
    return whole;
}
