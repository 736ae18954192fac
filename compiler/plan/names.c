/* names.c - what a name in a condition, a reference or a text stands for, and how its value gets to where the name is.
 *
 * A result is a local of the block that its step stands in. Asked for from outside of that block it is put into a variable of the function as
 * well; if the block may be left out, the variable may be null there. Out of a branch it goes in the branch's record. Only what is asked for is carried around.
 */
#include "compiler/plan/plan_internal.h"

#include "compiler/condition_internal.h"

/* ---- values ------------------------------------------------------------------------------------------------- */

static bool is_inside(const Region *inner, const Region *outer)
{
    while (inner && inner != outer)
        inner = inner->up;
    return inner != NULL;
}

static Region *common(Region *a, const Region *b)
{
    while (!is_inside(b, a))
        a = a->up;
    return a;
}

/* The child of `outer` that `inner` is in; NULL when they are one. */
static const Region *child_towards(const Region *inner, const Region *outer)
{
    const Region *child = NULL;
    for (; inner != outer; inner = inner->up)
        child = inner;
    return child;
}

static Ast *direct(Build *b, const Level *level)
{
    Ast *name = make_name(&b->maker, level->name);
    return level->field.len ? make_field(&b->maker, name, level->field, false) : name;
}

static Type *variable_type(Build *b, const Result *result)
{
    return type_labeled(b->program, type_optional(b->program, result->type), result->type->labels);
}

/* A variable of the function, set where the value is made. What is tried again begins without it; what has failed was undone, and ends without it. */
static Str variable_of(Build *b, Result *result, Level *level)
{
    if (level->variable.len)
        return level->variable;
    Maker *m = &b->maker;
    level->variable = make_text(m, "#r%u", b->name_count++);
    nodes_add(m, &level->home->func->prologue->nodes, make_let(m, true, level->variable, variable_type(b, result), make_null(m)));
    nodes_add(m, &level->slot->nodes, make_assign(m, make_name(m, level->variable), direct(b, level)));
    for (Region *r = level->home; r != r->func; r = r->up) {
        if (r->again)
            nodes_add(m, &r->begin->nodes, make_assign(m, make_name(m, level->variable), make_null(m)));
        if (r->lost)
            nodes_add(m, &r->lost->nodes, make_assign(m, make_name(m, level->variable), make_null(m)));
    }
    return level->variable;
}

/* Behind a block that is always gone through the variable cannot be null: it is taken out once, exactly. */
static Str sure_of(Build *b, Result *result, Level *level, Region *inside)
{
    for (struct Sure *sure = level->sure; sure; sure = sure->next)
        if (sure->inside == inside)
            return sure->name;
    Maker *m = &b->maker;
    struct Sure *sure = ARENA_NEW(b->arena, struct Sure);
    *sure = (struct Sure){ inside, make_text(m, "#k%u", b->name_count++), level->sure };
    level->sure = sure;
    Ast *otherwise = make_fail(m, ERROR_KIND_internal, STR("a step of the plan left no result"), STR(""));
    nodes_add(m, &inside->after->nodes, make_let(m, false, sure->name, NULL, make_else(m, make_name(m, variable_of(b, result, level)), otherwise)));
    return sure->name;
}

static bool holds_null(const Type *type) { return type->tag == TYPE_OPT || type->tag == TYPE_JSON; }

/* The value in region `to`, which is `home` or around it in the same function. */
static Ast *value_in(Build *b, Result *result, Level *level, Region *to, bool *maybe, const char **why)
{
    Region *outermost = NULL;
    *maybe = level->maybe;
    *why = level->why;
    for (Region *r = level->home; r != to; r = r->up) {
        if (r->guard && !*maybe) {
            *maybe = true;
            *why = r->why;
        }
        outermost = r;
    }
    if (!outermost)
        return direct(b, level);
    if (*maybe || holds_null(result->type))
        return make_name(&b->maker, variable_of(b, result, level));
    return make_name(&b->maker, sure_of(b, result, level, outermost));
}

/* The same value in the function around: a field of the branch's record. */
static Level *level_outside(Build *b, Result *result, Level *level)
{
    if (level->outer)
        return level->outer;
    Region *branch = level->home->func;
    Level *outer = level->outer = ARENA_NEW(b->arena, Level);
    Str field = make_text(&b->maker, "#f%u", b->name_count++);
    Ast *value = value_in(b, result, level, branch, &outer->maybe, &outer->why);
    make_object_put(&b->maker, branch->record, field, value);
    outer->home = branch->up;
    outer->name = branch->branch;
    outer->field = field;
    outer->slot = branch->joined;
    return outer;
}

/* The value as it is known without looking at conditions. */
static Ast *plain_value(Build *b, Result *result, Region *from, Type **type, const char **why)
{
    Region *meeting = common(result->level.home, from);
    Level *level = &result->level;
    bool maybe;
    while (!is_inside(meeting, level->home->func))
        level = level_outside(b, result, level);
    Ast *value = value_in(b, result, level, is_inside(level->home, meeting) ? meeting : level->home, &maybe, why);
    *type = maybe ? variable_type(b, result) : result->type;
    if (!maybe)
        *why = NULL;
    return value;
}

/* ---- what conditions say ---------------------------------------------------------------------------------------- */

static struct Known *known_in(const Result *result, const Region *from, const Region **where)
{
    const Region *meeting = common(result->level.home, from);
    for (const Region *r = from; r != meeting; r = r->up)
        for (struct Known *known = r->known; known; known = known->next)
            if (known->result == result) {
                *where = r;
                return known;
            }
    return NULL;
}

Ast *result_value(Build *b, Result *result, Region *from, Type **type, const char **why)
{
    const Region *where;
    struct Known *known = known_in(result, from, &where);
    if (!known)
        return plain_value(b, result, from, type, why);
    Maker *m = &b->maker;
    Ast *value = plain_value(b, result, where->up, type, why);
    if ((*type)->tag != TYPE_OPT)
        return value;
    if (!known->name.len) {
        known->name = make_text(m, "#k%u", b->name_count++);
        Ast *otherwise = make_fail(m, ERROR_KIND_internal, STR("a step of the plan left no result"), STR(""));
        nodes_add(m, &where->begin->nodes, make_let(m, false, known->name, NULL, make_else(m, value, otherwise)));
    }
    *type = type_element(b->program, *type);
    *why = NULL;
    return make_name(m, known->name);
}

/* ---- which results are visible ---------------------------------------------------------------------------------- */

typedef enum { SEEN, NOT_YET, AT_THE_SAME_TIME, OTHER_BRANCH, NOTHING } Sight;

static Sight sight_of(const Names *names, const Result *result)
{
    const Build *b = names->build;
    if ((uint32_t)result->node->index >= b->built || !result->level.home)
        return NOT_YET;
    const Region *meeting = common(result->level.home, names->from);
    const Region *there = child_towards(result->level.home, meeting), *here = child_towards(names->from, meeting);
    if (there && here && there->rival && there->rival == here->rival)
        return there->side_by_side ? AT_THE_SAME_TIME : OTHER_BRANCH;
    return result->type ? SEEN : NOTHING;
}

/* Would its value be null in some runs? */
static bool is_uncertain(const Names *names, const Result *result)
{
    const Region *meeting = common(result->level.home, names->from), *where;
    if (known_in(result, names->from, &where))
        return false;
    for (const Region *r = result->level.home; r != meeting; r = r->up)
        if (r->guard)
            return true;
    return false;
}

/* ---- kinds of names ------------------------------------------------------------------------------------------------ */

typedef enum { BY_ID, BY_ACTION, BY_AGENT, BY_FIELD, NAME_KINDS } NameKind;

/* check_budget -> budget: what an action is about. */
static Str noun_of(Str action)
{
    const char *line = memchr(action.ptr, '_', action.len);
    return line ? (Str){ line + 1, action.len - (size_t)(line + 1 - action.ptr) } : (Str){ "", 0 };
}

/* budget_available of check_budget: available, when the result has such a field. */
static Str flat_field(const Result *result, Str name)
{
    Str noun = noun_of(result->node->action), none = { "", 0 };
    if (!noun.len || name.len <= noun.len + 1 || !str_starts(name, noun) || name.ptr[noun.len] != '_')
        return none;
    Str field = { name.ptr + noun.len + 1, name.len - noun.len - 1 };
    const Type *type = result->type ? result->type : result->tool ? result->tool->symbol->type : NULL;
    type = type ? type_strip((Type *)type) : NULL;
    if (!type || (type->tag != TYPE_JSON && (type->tag != TYPE_RECORD || !type_field(type, field, NULL))))
        return none;
    return field;
}

static bool answers(const Result *result, Str name, NameKind kind)
{
    switch (kind) {
    case BY_ID: return str_eq(result->node->id, name);
    case BY_ACTION: return str_eq(result->node->action, name);
    case BY_AGENT: return result->node->agent.len && str_eq(result->node->agent, name);
    default: return flat_field(result, name).len != 0;
    }
}

/* The latest before, of those that are there for certain; else the latest that may be there. `sight`: why there is none. */
static Result *find(Names *names, Str name, NameKind kind, Sight *sight)
{
    const Build *b = names->build;
    Result *uncertain = NULL;
    for (uint32_t i = b->tree->index_count; i-- > 0;) {
        Result *result = &b->results[i];
        if (!result->node || !answers(result, name, kind))
            continue;
        Sight seen = sight_of(names, result);
        if (seen == SEEN && !is_uncertain(names, result))
            return result;
        if (seen == SEEN && !uncertain)
            uncertain = result;
        if (*sight == NOTHING || *sight == NOT_YET)
            *sight = seen == SEEN ? *sight : seen;
    }
    return uncertain;
}

/* ---- what is not there ----------------------------------------------------------------------------------------------- */

static Str printed(Build *b, const char *text) { return arena_str(b->arena, str_of(text)); }

static bool refuse_sight(Build *b, Sight sight, const char *what, ConditionIssue *issue)
{
    static const char *const reasons[] = {
        [NOT_YET] = "%s belongs to a step that has not been done here", [AT_THE_SAME_TIME] = "%s belongs to a step that runs at the same time",
        [OTHER_BRANCH] = "%s belongs to a step that is only done when this one is not", [NOTHING] = "%s belongs to a step without a result",
    };
    issue->code = sight == NOTHING ? "E0733" : "E0734";
    issue->message = str_of(arena_printf(b->arena, reasons[sight], what));
    return false;
}

enum { VISIBLE_MAX = 64 };

static uint32_t visible_names(Names *names, Str *out)
{
    Build *b = names->build;
    uint32_t count = 0;
    for (uint32_t i = b->built; i-- > 0;) {
        const Result *result = &b->results[i];
        if (!result->node || sight_of(names, result) != SEEN)
            continue;
        if (result->node->id.len && count < VISIBLE_MAX)
            out[count++] = result->node->id;
        if (count < VISIBLE_MAX)
            out[count++] = result->node->action;
        const Type *type = type_strip(result->type);
        Str noun = noun_of(result->node->action);
        for (uint32_t k = 0; noun.len && type->tag == TYPE_RECORD && k < type->field_count && count < VISIBLE_MAX; k++)
            out[count++] = make_text(&b->maker, "%.*s_%.*s", STR_ARG(noun), STR_ARG(type->fields[k].name));
    }
    return count;
}

static bool refuse_name(Names *names, Str name, ConditionIssue *issue)
{
    Build *b = names->build;
    Str known[VISIBLE_MAX];
    issue->code = "E0733";
    issue->message = str_of(arena_printf(b->arena, "no step before gives `%s`", build_quote(b, name)));
    if (b->diags->error_count >= PLAN_DIAG_MAX)
        return false;                    /* nobody will read it: a plan full of wrong names costs no search for better ones */
    uint32_t count = visible_names(names, known);
    Buf list = { 0 };
    for (uint32_t i = 0; i < count && i < 12; i++)
        buf_printf(&list, "%s%.*s", i ? ", " : "", STR_ARG(known[i]));
    issue->expected = printed(b, count ? arena_printf(b->arena, "one of %.*s", STR_ARG(buf_str(&list))) : "a step before this one whose result it can use");
    buf_free(&list);
    issue->suggestion = str_nearest(name, known, count);
    return false;
}

/* ---- the resolver ------------------------------------------------------------------------------------------------------ */

static bool give(Names *names, Result *result, Str field, ConditionRoot *root)
{
    Build *b = names->build;
    Type *type;
    const char *why;
    Ast *value = result_value(b, result, names->from, &type, &why);
    if (field.len) {
        bool optional = type->tag == TYPE_OPT;
        const Type *object = type_strip(type);
        value = make_field(&b->maker, value, field, optional);
        Type *inner = object->tag == TYPE_JSON ? b->program->basic[TYPE_JSON] : type_labeled(b->program, type_field(object, field, NULL)->type, type->labels);
        type = optional ? type_labeled(b->program, type_optional(b->program, inner), inner->labels) : inner;
    }
    *root = (ConditionRoot){ .value = value, .type = type, .why_null = why ? str_of(why) : STR("") };
    return true;
}

static bool resolve_step(Names *names, int64_t step, ConditionRoot *root, ConditionIssue *issue)
{
    Build *b = names->build;
    if (step >= b->tree->index_count || !b->results[step].node) {
        issue->code = "E0733";
        issue->message = str_of(arena_printf(b->arena, "there is no steps[%lld]: this plan has %u", (long long)step, b->tree->index_count));
        return false;
    }
    Result *result = &b->results[step];
    Sight sight = sight_of(names, result);
    if (sight == SEEN)
        return give(names, result, STR(""), root);
    return refuse_sight(b, sight, arena_printf(b->arena, "steps[%lld]", (long long)step), issue);
}

static bool resolve(void *arg, Str name, int64_t step, ConditionRoot *root, ConditionIssue *issue)
{
    Names *names = arg;
    Build *b = names->build;
    if (step >= 0)
        return resolve_step(names, step, root, issue);
    Sight sight = NOTHING;
    bool known = false;
    for (int kind = 0; kind < NAME_KINDS; kind++) {
        Result *result = find(names, name, (NameKind)kind, &sight);
        if (result)
            return give(names, result, kind == BY_FIELD ? flat_field(result, name) : STR(""), root);
    }
    for (uint32_t i = 0; i < b->tree->index_count && !known; i++)
        for (int kind = 0; kind < NAME_KINDS; kind++)
            known |= b->results[i].node && answers(&b->results[i], name, (NameKind)kind);
    if (known)
        return refuse_sight(b, sight, arena_printf(b->arena, "`%s`", build_quote(b, name)), issue);
    return refuse_name(names, name, issue);
}

static Result *any_result(Names *names, const Cond *root)
{
    Sight sight = NOTHING;
    Result *found = root->kind == COND_STEP ? &names->build->results[(uint32_t)root->number] : NULL;
    for (int kind = 0; root->kind == COND_NAME && kind < NAME_KINDS && !found; kind++)
        found = find(names, root->text, (NameKind)kind, &sight);
    return found;
}

void names_learn(Build *b, Region *from, Ast *condition, bool truth, Region *inside)
{
    if (!condition)
        return;
    Names names = { b, from };
    CondCheck facts = { .arena = b->arena };
    cond_facts_of(&facts, ((const ConditionInfo *)condition->info)->tree, truth);
    for (uint32_t i = 0; i < facts.fact_count; i++) {
        Result *result = any_result(&names, facts.facts[i]);
        if (!result || !result->type)
            continue;
        struct Known *known = ARENA_NEW(b->arena, struct Known);
        *known = (struct Known){ .result = result, .next = inside->known };
        inside->known = known;
    }
    if (inside->known && !inside->begin)
        inside->begin = region_slot(b, inside);
}

ConditionScope names_scope(Names *names) { return (ConditionScope){ .program = names->build->program, .resolve = resolve, .arg = names }; }
