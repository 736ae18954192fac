/* action.c - one step that does something: its parameters, its leave, its call; or a text for the user. */
#include "compiler/plan/plan_internal.h"

#include "compiler/types.h"

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
        PlanDiag *diag = plan_diag(b->diags, PLAN_DIAG_unknown_parameter, plan_place_key(b->arena, params, node->params[i].name),
                                   "tool `%s` has no parameter `%s`", build_quote(b, node->action), build_quote(b, node->params[i].name));
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
void note_text(Build *b, Ast *text, const PlanPlace *owner)
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
        region_add(b, region, make_do(m, make_effect(m, EFFECT_NOTE_NOTICE, make_name(m, name), NULL)));
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
void note_condition(Build *b, Region *behind, const PlanNode *node, bool holds)
{
    Maker *m = &b->maker;
    region_add(b, behind, make_do(m, make_effect(m, EFFECT_NOTE_CONDITION, make_string(m, node->condition), make_bool(m, holds))));
}

/* What is done when a condition does not hold and nothing else is. */
Ast *only_noted(Build *b, Region *region, const PlanNode *node)
{
    Region *other = region_new(b, region);
    note_condition(b, other, node, false);
    return other->block;
}

void build_action(Build *b, Region *region, const PlanNode *node)
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
