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

/* ---- regions ------------------------------------------------------------------------------------------------ */

static Entry *entry_new(Build *b, Region *region)
{
    if (region->entry_count == region->entry_cap) {
        region->entry_cap = region->entry_cap ? region->entry_cap * 2 : 8;
        Entry *grown = ARENA_ARRAY(b->arena, Entry, region->entry_cap);
        if (region->entry_count)
            memcpy(grown, region->entries, region->entry_count * sizeof *grown);
        region->entries = grown;
    }
    return &region->entries[region->entry_count++];
}

void region_add(Build *b, Region *region, Ast *node) { *entry_new(b, region) = (Entry){ .node = node }; }

Slot *region_slot(Build *b, Region *region)
{
    Slot *slot = ARENA_NEW(b->arena, Slot);
    *entry_new(b, region) = (Entry){ .slot = slot };
    return slot;
}

static Region *region_new(Build *b, Region *up)
{
    Region *region = ARENA_NEW(b->arena, Region);
    *region = (Region){ .up = up, .func = up ? up->func : NULL, .number = b->region_count++, .next = b->regions, .block = make_block(&b->maker) };
    return b->regions = region;
}

static Region *region_guard(Build *b, Region *up, const char *why)
{
    Region *region = region_new(b, up);
    region->guard = true;
    region->why = why;
    return region;
}

/* The statement that holds the block of `inside`; what is taken out of it comes behind. */
static void region_hold(Build *b, Region *inside, Ast *statement)
{
    region_add(b, inside->up, statement);
    inside->after = region_slot(b, inside->up);
}

/* Puts the items into the blocks, when nothing more is asked for. */
static void regions_fill(Build *b)
{
    for (Region *region = b->regions; region; region = region->next) {
        Nodes items = { 0 };
        for (uint32_t i = 0; i < region->entry_count; i++) {
            const Entry *entry = &region->entries[i];
            if (entry->node)
                nodes_add(&b->maker, &items, entry->node);
            for (uint32_t k = 0; entry->slot && k < entry->slot->nodes.count; k++)
                nodes_add(&b->maker, &items, entry->slot->nodes.items[k]);
        }
        if (region->record)
            nodes_add(&b->maker, &items, make_do(&b->maker, region->record));
        as_block(region->block)->items = nodes_list(&items);
    }
}

/* ---- outcomes: what happened to each step, in the order of the plan ---------------------------------------------- */

static void put_string(Buf *out, const char *key, Str text)
{
    buf_printf(out, ",\"%s\":", key);
    json_put_string(out, text);
}

static void put_skipped(const PlanNode *node, Buf *out)
{
    buf_printf(out, "{\"index\":%d", node->index);
    if (node->agent.len)
        put_string(out, "agent", node->agent);
    put_string(out, "action", node->action);
    put_string(out, "status", STR("SKIPPED"));
    buf_put_char(out, '}');
}

static Ast *json_of(Build *b, Buf *text)
{
    Ast *node = make_json(&b->maker, arena_str(b->arena, buf_str(text)));
    buf_free(text);
    return node;
}

/* The function's list for steps `from` to `to`. What may be skipped has been until it is done; the others are done or the plan has failed. */
static void outcomes_begin(Build *b, Region *func, uint32_t from, uint32_t to)
{
    Maker *m = &b->maker;
    Buf text = { 0 };
    func->out = make_text(m, "#o%u", func->number);
    func->out_base = from;
    buf_put_char(&text, '[');
    for (uint32_t i = from; i < to; i++) {
        if (i > from)
            buf_put_char(&text, ',');
        if (b->results[i].conditional)
            put_skipped(b->tree->by_index[i], &text);
        else
            buf_put_text(&text, "null");
    }
    buf_put_char(&text, ']');
    Type *list = b->compiler->json_list;
    nodes_add(m, &func->prologue->nodes, make_let(m, true, func->out, list, make_as(m, json_of(b, &text), list)));
}

static Ast *outcome_place(Build *b, Region *region, uint32_t index)
{
    return make_index(&b->maker, make_name(&b->maker, region->func->out), index - region->func->out_base);
}

/* What is told of a step, but for how it ended. */
static Ast *outcome_new(Build *b, const PlanNode *node, const char *status)
{
    Maker *m = &b->maker;
    Ast *object = make_object(m);
    make_object_put(m, object, STR("index"), make_int(m, node->index));
    if (node->agent.len)
        make_object_put(m, object, STR("agent"), make_string(m, node->agent));
    make_object_put(m, object, STR("action"), make_string(m, node->action));
    make_object_put(m, object, STR("status"), make_string(m, str_of(status)));
    return object;
}

/* Results that are secret, as a whole or in a part, stay out of what the program gets to see. */
static bool is_secret(const Type *type)
{
    if (type->labels & LABEL_SECRET)
        return true;
    if (type->element)
        return is_secret(type->element);
    for (uint32_t i = 0; type->tag == TYPE_RECORD && i < type->field_count; i++)
        if (is_secret(type->fields[i].type))
            return true;
    return false;
}

/* { let #d: … = { index: 0, … } #o[0] = #d }: as a record it is half the code of a map. */
static void outcome_done(Build *b, Region *region, const PlanNode *node, Str name, const Type *type)
{
    Maker *m = &b->maker;
    bool told = name.len && !is_secret(type);
    Ast *object = outcome_new(b, node, "DONE");
    if (told)
        make_object_put(m, object, STR("result"), make_name(m, name));
    Region *inside = region_new(b, region);
    region_add(b, inside, make_let(m, false, STR("#d"), b->compiler->done[node->agent.len != 0][told], object));
    region_add(b, inside, make_assign(m, outcome_place(b, region, (uint32_t)node->index), make_name(m, STR("#d"))));
    region_add(b, region, inside->block);
}

static Ast *error_part(Build *b, Str error, const char *field) { return make_field(&b->maker, make_name(&b->maker, error), str_of(field), false); }

static Ast *outcome_failed(Build *b, Region *region, const PlanNode *node, Str error)
{
    Maker *m = &b->maker;
    Ast *object = outcome_new(b, node, "FAILED"), *what = make_object(m);
    static const char *const parts[] = { "kind", "message", "code" };
    for (int i = 0; i < 3; i++)
        make_object_put(m, what, str_of(parts[i]), error_part(b, error, parts[i]));
    make_object_put(m, object, STR("error"), what);
    return make_assign(m, outcome_place(b, region, (uint32_t)node->index), object);
}

/* ---- survived and tried again ------------------------------------------------------------------------------------- */

/* Steps are numbered in document order, so those of a subtree are in a row. A plan with mistakes may have subtrees without any: -1. */
static int32_t first_of(const PlanNode *node)
{
    int32_t found = node->index;
    for (uint32_t i = 0; i < node->step_count && found < 0; i++)
        found = first_of(node->steps[i]);
    for (uint32_t i = 0; i < node->otherwise_count && found < 0; i++)
        found = first_of(node->otherwise[i]);
    return found;
}

static int32_t last_of(const PlanNode *node)
{
    int32_t found = node->index;
    for (uint32_t i = node->otherwise_count; i-- > 0 && found < 0;)
        found = last_of(node->otherwise[i]);
    for (uint32_t i = node->step_count; i-- > 0 && found < 0;)
        found = last_of(node->steps[i]);
    return found;
}

static uint32_t first_index(const PlanNode *node) { return (uint32_t)(first_of(node) < 0 ? 0 : first_of(node)); }
static uint32_t end_index(const PlanNode *node) { return (uint32_t)(last_of(node) + 1); }

/* Code of a step stands in its line. */
static void stand_at(Build *b, uint32_t index) { b->maker.span.start = b->maker.span.end = index < PLAN_LINES ? index : PLAN_LINES - 1; }

static Ast *survive(Build *b, Region *inside, const PlanNode *node)
{
    Maker *m = &b->maker;
    Str error = make_text(m, "#e%u", inside->number);
    Region *handler = region_new(b, inside->up);
    for (uint32_t i = first_index(node); i < end_index(node); i++)
        region_add(b, handler, outcome_failed(b, inside, b->tree->by_index[i], error));
    inside->lost = region_slot(b, handler);
    return make_try(m, inside->block, error, handler->block);
}

/* What an earlier attempt has noted is not so any more. */
static void begin_again(Build *b, Region *region, const PlanNode *node)
{
    region->again = true;
    region->begin = region_slot(b, region);
    for (uint32_t i = first_index(node); i < end_index(node); i++) {
        Buf text = { 0 };
        put_skipped(b->tree->by_index[i], &text);
        region_add(b, region, make_assign(&b->maker, outcome_place(b, region, i), json_of(b, &text)));
    }
}

/* ---- an action ------------------------------------------------------------------------------------------------------ */

static const PlanParam *param_find(const PlanNode *node, Str name)
{
    for (uint32_t i = 0; i < node->param_count; i++)
        if (str_eq(node->params[i].name, name))
            return &node->params[i];
    return NULL;
}

static void check_unknown_params(Build *b, const PlanNode *node, const FuncInfo *info, const PlanPlace *params)
{
    Str names[FUNC_PARAMS_MAX];
    uint32_t count = info->param_count < FUNC_PARAMS_MAX ? info->param_count : FUNC_PARAMS_MAX;
    for (uint32_t i = 0; i < count; i++)
        names[i] = info->params[i]->name;
    for (uint32_t i = 0; i < node->param_count; i++) {
        bool known = false;
        for (uint32_t k = 0; k < count && !known; k++)
            known = str_eq(names[k], node->params[i].name);
        if (known)
            continue;
        PlanDiag *diag = plan_diag(b->diags, PLAN_DIAG_unknown_parameter, plan_place_key(b->arena, params, node->params[i].name), "tool `%s` has no parameter `%s`",
                                   build_quote(b, node->action), build_quote(b, node->params[i].name));
        if (count)
            plan_diag_did_you_mean(b->diags, diag, "rename", node->params[i].name, names, count);
        else
            plan_diag_suggest(b->diags, diag, "remove", STR("null"));
    }
}

/* Those of one name, type and pattern are one question. */
static Str open_name(Build *b, const PlanTool *tool, uint32_t param)
{
    const ImageField *field = &tool->row->params[param];
    Str pattern = tool->row->param_patterns ? tool->row->param_patterns[param] : STR("");
    uint32_t same = 0;
    for (uint32_t i = 0; i < b->open_count; i++) {
        const ImageTool *row = b->open[i].tool->row;
        const ImageField *other = &row->params[b->open[i].param];
        if (!str_eq(other->name, field->name))
            continue;
        if (other->type == field->type && str_eq(row->param_patterns ? row->param_patterns[b->open[i].param] : STR(""), pattern))
            return b->open[i].name;
        same++;
    }
    return same ? make_text(&b->maker, "%.*s_%u", STR_ARG(field->name), same + 1) : field->name;
}

static void note_open(Build *b, const PlanTool *tool, uint32_t param, const PlanPlace *place)
{
    if (b->open_count == b->open_cap) {
        b->open_cap = b->open_cap ? b->open_cap * 2 : 8;
        Open *grown = ARENA_ARRAY(b->arena, Open, b->open_cap);
        if (b->open_count)
            memcpy(grown, b->open, b->open_count * sizeof *grown);
        b->open = grown;
    }
    Str name = open_name(b, tool, param);
    b->open[b->open_count++] = (Open){ place, tool, param, name };
}

/* The argument for a parameter; of one that is open something of its type, so that all else can be checked and measured: it is never run. */
static Ast *argument(Build *b, Region *region, const PlanNode *node, const PlanTool *tool, uint32_t index, const PlanPlace *params)
{
    const FuncInfo *info = tool->symbol->info;
    const Symbol *param = info->params[index];
    const PlanParam *given = param_find(node, param->name);
    if (given)
        return build_value(b, region, &given->value, param->type);
    if (tool->defaults[index])
        return build_literal(&b->maker, b->diags, NULL, tool->defaults[index], param->type);
    if (param->type->tag == TYPE_OPT)
        return make_null(&b->maker);
    note_open(b, tool, index, plan_place_key(b->arena, params, param->name));
    return make_as(&b->maker, make_json(&b->maker, STR("null")), type_strip(param->type));
}

static Ast **arguments(Build *b, Region *region, const PlanNode *node, const PlanTool *tool)
{
    const FuncInfo *info = tool->symbol->info;
    const PlanPlace *params = plan_place_key(b->arena, node->place, STR("params"));
    Ast **args = ARENA_ARRAY(b->arena, Ast *, info->param_count + 1);
    check_unknown_params(b, node, info, params);
    for (uint32_t i = 0; i < info->param_count; i++)
        args[i] = argument(b, region, node, tool, i, params);
    return args;
}

/* if !approve("travel.book_hotel", { city: #a }) { fail denied … }: the values that are shown are those that are passed. */
static void add_approval(Build *b, Region *region, const PlanTool *tool, Ast **args)
{
    Maker *m = &b->maker;
    const FuncInfo *info = tool->symbol->info;
    Ast *shown = make_object(m);
    for (uint32_t i = 0; i < info->param_count; i++) {
        Str name = make_text(m, "#a%u", b->name_count++);
        region_add(b, region, make_let(m, false, name, info->params[i]->type, args[i]));
        args[i] = make_name(m, name);
        make_object_put(m, shown, info->params[i]->name, make_name(m, name));
    }
    Region *refused = region_new(b, region);
    region_add(b, refused, make_fail(m, ERROR_KIND_denied, make_text(m, "%.*s was not approved", STR_ARG(tool->name)), STR("APPROVAL_REFUSED")));
    region_add(b, region, make_if(m, make_not(m, make_effect(m, EFFECT_APPROVE, make_string(m, tool->name), shown)), refused->block, NULL));
}

static void result_is(Build *b, Region *region, const PlanNode *node, Str name, Type *type)
{
    Result *result = &b->results[node->index];
    result->type = type;
    result->level = (Level){ .home = region, .name = name, .slot = region_slot(b, region) };
}

static void add_call(Build *b, Region *region, const PlanNode *node, const PlanTool *tool)
{
    Maker *m = &b->maker;
    const FuncInfo *info = tool->symbol->info;
    bool silent = info->result->tag == TYPE_VOID;
    Str name = silent ? STR("") : make_text(m, "#s%d", node->index);
    Ast **args = arguments(b, region, node, tool), *value = make_call(m, node->agent, node->action);
    if (tool->row->flags & TOOL_IRREVERSIBLE)
        add_approval(b, region, tool, args);
    for (uint32_t i = 0; i < info->param_count; i++)
        if (args[i])
            make_call_put(m, value, info->params[i]->name, args[i]);
    if (node->timeout_us)
        value = make_within(m, value, node->timeout_us);    /* of each attempt: one that takes too long is tried again */
    if (node->on_error == PLAN_RETRY)
        value = make_retry(m, value, retry_policy(m, node->retry_count));
    region_add(b, region, make_step(m, name, value));
    result_is(b, region, node, name, silent ? NULL : info->result);
    outcome_done(b, region, node, name, info->result);
}

/* What a person will read is looked at once more when its labels are known. */
static void note_text(Build *b, Ast *text, const PlanPlace *owner)
{
    uint32_t room = b->texts.cap;
    nodes_add(&b->maker, &b->texts, text);
    if (room != b->texts.cap) {
        const PlanPlace **grown = ARENA_ARRAY(b->arena, const PlanPlace *, b->texts.cap);
        if (b->texts.count > 1)
            memcpy(grown, b->text_owners, (b->texts.count - 1) * sizeof *grown);
        b->text_owners = grown;
    }
    b->text_owners[b->texts.count - 1] = owner;
}

static void add_notice(Build *b, Region *region, const PlanNode *node)
{
    Maker *m = &b->maker;
    Str name = make_text(m, "#s%d", node->index);
    Type *string = b->program->basic[TYPE_STRING];
    Ast *text = build_text(b, region, node->message);
    if (text) {
        note_text(b, text, node->place);
        region_add(b, region, make_let(m, false, name, string, text));
        region_add(b, region, make_do(m, make_effect(m, EFFECT_NOTE_TEXT, make_name(m, name), NULL)));
    }
    result_is(b, region, node, name, string);
    outcome_done(b, region, node, name, string);
}

/* A step that cannot be called gives something all the same: what refers to it is no second mistake. */
static void add_unknown(Build *b, Region *region, const PlanNode *node)
{
    for (uint32_t i = 0; i < node->param_count; i++)
        if (node->params[i].value.kind != PLAN_VALUE_LITERAL)
            build_value(b, region, &node->params[i].value, b->program->basic[TYPE_JSON]);
    result_is(b, region, node, STR("#unknown"), b->program->basic[TYPE_JSON]);
}

/* For who wants to know why a plan went this way: how a condition came out is the first thing that happens behind it. */
static void note_condition(Build *b, Region *behind, const PlanNode *node, bool holds)
{
    Maker *m = &b->maker;
    region_add(b, behind, make_do(m, make_effect(m, EFFECT_NOTE_CONDITION, make_string(m, node->condition), make_bool(m, holds))));
}

/* What is done when a condition does not hold and nothing else is. */
static Ast *only_noted(Build *b, Region *region, const PlanNode *node)
{
    Region *other = region_new(b, region);
    note_condition(b, other, node, false);
    return other->block;
}

static void build_action(Build *b, Region *region, const PlanNode *node)
{
    Result *result = &b->results[node->index];
    Region *inside = region;
    Ast *condition = NULL;
    if (node->has_condition) {
        condition = build_condition(b, region, node->condition, node->place);
        inside = region_guard(b, region, "its step is only done on a condition");
        names_learn(b, region, condition, true, inside);
        note_condition(b, inside, node, true);
    }
    Region *tried = inside;
    if (node->on_error == PLAN_CONTINUE)
        tried = region_guard(b, inside, "its step may fail and is then passed over");
    result->tool = node->kind == PLAN_NODE_ACTION ? build_tool(b, node) : NULL;
    if (node->kind == PLAN_NODE_NOTIFY)
        add_notice(b, tried, node);
    else if (result->tool)
        add_call(b, tried, node, result->tool);
    else
        add_unknown(b, tried, node);
    b->built = (uint32_t)node->index + 1;
    if (tried != inside)
        region_hold(b, tried, survive(b, tried, node));
    if (inside != region)
        region_hold(b, inside, make_if(&b->maker, condition, inside->block, only_noted(b, region, node)));
}

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

static Ast *build_branch(Build *b, Region *region, const PlanNode *group, const PlanNode *node)
{
    Maker *m = &b->maker;
    stand_at(b, first_index(node));
    Region *branch = region_func(b, region, first_index(node), end_index(node));
    branch->rival = group;
    branch->side_by_side = true;
    branch->branch = make_text(m, "#b%u", branch->number);
    branch->record = make_object(m);
    branch->joined = ARENA_NEW(b->arena, Slot);
    build_node(b, branch, node);
    make_object_put(m, branch->record, STR("#out"), make_name(m, branch->out));
    return make_branch(m, branch->branch, branch->block);
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
        Region *newest = b->regions;
        nodes_add(&b->maker, &branches, build_branch(b, region, node, node->steps[i]));
        for (Region *r = b->regions; r != newest; r = r->next)
            regions[i] = r;              /* the first one that was made: the branch */
    }
    b->maker.span = span;
    region_add(b, region, make_parallel(&b->maker, &branches));
    for (uint32_t i = 0; i < node->step_count; i++)
        *entry_new(b, region) = (Entry){ .slot = regions[i]->joined };
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
    Region *body = b->root = region_func(b, NULL, 0, b->tree->index_count), *saga = region_new(b, body);
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
