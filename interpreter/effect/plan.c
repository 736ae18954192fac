/* plan.c - see plan.h. */
#include "interpreter/effect/plan.h"
#include <assert.h>
#include <stdlib.h>
#include "compiler/plan/plan.h"

/* Found by the hash of the base, so that two loads of one program share a compiler; `used` says which was asked last. */
typedef struct Prepared { PlanCompiler *compiler; Sha256 hash; uint64_t used; } Prepared;
struct Planner { Prepared rows[PLANNER_IMAGES_MAX]; uint64_t clock; Arena *arena; };     /* arena: of one call, used again by the next */

Planner *planner_new(void) {
    Planner *planner = mem_alloc(sizeof *planner);
    planner->arena = arena_new();
    return planner;
}

void planner_free(Planner *planner) {
    if (!planner) return;
    for (int i = 0; i < PLANNER_IMAGES_MAX; i++) plan_compiler_free(planner->rows[i].compiler);
    arena_free(planner->arena);
    free(planner);
}

static PlanCompiler *compiler_of(Planner *planner, Image *image) {
    Prepared *oldest = &planner->rows[0];
    for (int i = 0; i < PLANNER_IMAGES_MAX; i++) {
        Prepared *row = &planner->rows[i];
        if (row->compiler && memcmp(&row->hash, &image->hash, sizeof image->hash) == 0) return row->used = ++planner->clock, row->compiler;
        if (row->used < oldest->used) oldest = row;
    }
    plan_compiler_free(oldest->compiler);
    *oldest = (Prepared){ plan_compiler_new(image), image->hash, ++planner->clock };
    return oldest->compiler;
}

/* ---- rights ---------------------------------------------------------------------------------------------------- */

static uint64_t limit_at(const PlanRights *rights, uint32_t i, uint64_t most) {
    int64_t limit = i < rights->limit_count ? rights->limits[i] : 0;
    return limit <= 0 ? 0 : (uint64_t)limit > most ? most : (uint64_t)limit;
}

static PlanGrant grant_of(const PlanRights *rights) {
    return (PlanGrant){
        .tools = rights->tools, .tool_count = rights->tool_count, .scopes = rights->scopes, .scope_count = rights->scope_count, .any_scope = rights->any_scope,
        .may_ask = rights->may_ask, .over_budget = rights->over_budget,
        .limits = { .steps = (uint32_t)limit_at(rights, 0, UINT32_MAX), .depth = (uint32_t)limit_at(rights, 1, UINT32_MAX), .fanout = (uint32_t)limit_at(rights, 2, UINT32_MAX),
                    .calls = (uint32_t)limit_at(rights, 3, UINT32_MAX), .calls_per_tool = (uint32_t)limit_at(rights, 4, UINT32_MAX), .fuel = limit_at(rights, 5, INT64_MAX),
                    .memory_bytes = limit_at(rights, 6, INT64_MAX), .wall_us = (int64_t)limit_at(rights, 7, INT64_MAX), .tokens = limit_at(rights, 8, INT64_MAX),
                    .micro_usd = (int64_t)limit_at(rights, 9, INT64_MAX) },
    };
}

/* For whom a plan is only written: every tool of the agents, whoever may run it in the end. */
static PlanGrant grant_of_agents(const Image *image, const Str *agents, uint32_t agent_count, Arena *arena) {
    uint32_t count = agent_count ? agent_count : image->agent_count;
    Str *tools = ARENA_ARRAY(arena, Str, count + 1u);
    for (uint32_t i = 0; i < count; i++) {
        Str agent = agent_count ? agents[i] : image->agents[i].name;
        tools[i] = str_of(arena_printf(arena, "%.*s.*", STR_ARG(agent)));
    }
    return (PlanGrant){ .tools = tools, .tool_count = count, .any_scope = true, .may_ask = true, .over_budget = true };
}

/* ---- check and load ---------------------------------------------------------------------------------------------- */

static const PlanDiag *first_error(const PlanResult *result) {
    for (uint32_t i = 0; i < result->diag_count; i++)
        if (result->diags[i].severity == SEVERITY_ERROR) return &result->diags[i];
    return NULL;
}

/* Missing rights are `denied`, a budget that does not do is `rejected`; all else is a wrong plan. */
static ErrorKind kind_of_code(const char *code) {
    static const struct { const char *code; ErrorKind kind; } kinds[] = {
        { "E0725", ERROR_KIND_denied }, { "E0726", ERROR_KIND_denied }, { "E0736", ERROR_KIND_denied }, { "E0737", ERROR_KIND_denied },
        { "E0721", ERROR_KIND_rejected }, { "E0738", ERROR_KIND_rejected }, { "E0741", ERROR_KIND_rejected },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(code, kinds[i].code) == 0) return kinds[i].kind;
    return ERROR_KIND_invalid;
}

static bool only_over_budget(const PlanResult *result) {
    for (uint32_t i = 0; i < result->diag_count; i++)
        if (result->diags[i].severity == SEVERITY_ERROR && strcmp(result->diags[i].code, "E0738")) return false;
    return true;
}

/* What is open is no fault of a plan until it is to start. It is said before what the plan costs: nobody needs to decide about one that cannot start. */
static void refuse_open(PlanResult *result, Arena *arena) {
    if (!result->open_count || !only_over_budget(result)) return;
    PlanDiag *diags = ARENA_ARRAY(arena, PlanDiag, result->diag_count + result->open_count + 1u);
    uint32_t count = 0;
    for (uint32_t i = 0; i < result->open_count && count < PLAN_DIAG_MAX; i++) {
        const PlanOpen *open = &result->open[i];
        diags[count++] = (PlanDiag){ .code = "E0729", .severity = SEVERITY_ERROR, .pointer = open->pointer, .offset = -1,
                                     .message = str_of(arena_printf(arena, "`%.*s` needs its parameter `%.*s`, which neither the plan nor the request says", STR_ARG(open->tool), STR_ARG(open->param))) };
    }
    for (uint32_t i = 0; i < result->diag_count && count < PLAN_DIAG_MAX; i++) diags[count++] = result->diags[i];
    result->diags = diags, result->diag_count = count;
    result->ok = false;
}

static Value refusal(const Image *image, const PlanResult *result) {
    const PlanDiag *diag = first_error(result);
    Buf report = { 0 };
    assert(diag);
    plan_put_report(result, &report);
    Value error = error_with(value_error(image, kind_of_code(diag->code), buf_str(&report)), 0, str_of(diag->code), -1);
    buf_free(&report);
    return error;
}

void planner_check(Planner *planner, Image *image, Str plan, const PlanRights *rights, Buf *report) {
    Arena *arena = planner->arena;
    PlanGrant grant = grant_of(rights);
    grant.over_budget |= grant.may_ask;
    PlanResult result = { 0 };
    plan_compile(compiler_of(planner, image), plan, &grant, arena, &result);
    refuse_open(&result, arena);
    plan_put_report(&result, report);
    image_free(result.image);
    arena_reuse(arena);
}

bool planner_load(Planner *planner, Image *image, Str plan, const PlanRights *rights, Buf *extension, uint16_t *func, Value *error) {
    Arena *arena = planner->arena;
    PlanGrant grant = grant_of(rights);
    PlanResult result = { 0 };
    plan_compile(compiler_of(planner, image), plan, &grant, arena, &result);
    refuse_open(&result, arena);
    bool ok = result.ok;
    if (ok) image_encode_extension(result.image, extension), *func = result.func;
    else *error = refusal(image, &result);
    image_free(result.image);
    arena_reuse(arena);
    return ok;
}

/* ---- what a model is asked for ------------------------------------------------------------------------------------- */

bool planner_accepts(Planner *planner, Image *image, Str plan, const Str *agents, uint32_t agent_count, Buf *report) {
    Arena *arena = planner->arena;
    PlanGrant grant = grant_of_agents(image, agents, agent_count, arena);
    PlanResult result = { 0 };
    plan_compile(compiler_of(planner, image), plan, &grant, arena, &result);
    plan_put_report(&result, report);
    bool ok = result.ok;
    image_free(result.image);
    arena_reuse(arena);
    return ok;
}

void planner_put_schema(Image *image, const Str *agents, uint32_t agent_count, Buf *out) {
    Arena *arena = arena_new();
    PlanGrant grant = grant_of_agents(image, agents, agent_count, arena);
    plan_put_schema(image, &grant, true, out);
    arena_free(arena);
}

/* ---- blanks ---------------------------------------------------------------------------------------------------------- */

bool planner_find_blanks(Planner *planner, Image *image, Str plan, const PlanRights *rights, Arena *arena, PlanBlanks *out, Value *error) {
    PlanGrant grant = grant_of(rights);
    PlanResult result = { 0 };
    plan_compile(compiler_of(planner, image), plan, &grant, arena, &result);
    *out = (PlanBlanks){ .rows = ARENA_ARRAY(arena, PlanBlank, result.open_count + 1u), .open = result.open, .open_count = result.open_count };
    for (uint32_t i = 0; i < result.open_count; i++) {
        const PlanOpen *open = &result.open[i];
        uint32_t first = 0;
        while (!str_eq(result.open[first].name, open->name)) first++;
        if (first == i) out->rows[out->count++] = (PlanBlank){ open->name, open->param, open->tool, open->pointer, open->doc, open->pattern, open->type };
    }
    if (!result.ok) *error = refusal(image, &result);
    image_free(result.image);
    return result.ok;
}

Str planner_fill(Arena *arena, Str plan, const PlanBlanks *blanks, const Json *answers) {
    Buf record = { 0 };
    json_print(&record, answers);
    Str filled = plan_fill(arena, plan, blanks->open, blanks->open_count, arena_str(arena, buf_str(&record)));
    buf_free(&record);
    return filled;
}
