/* compile.c - a plan from its text to a verified extension of the image it runs in.
 *
 * What is checked here once is not checked by the engine again, but for what it cannot know from bytes: the engine verifies the extension that it loads.
 */
#include "compiler/plan/bound.h"
#include "compiler/plan/plan_internal.h"

#include "compiler/types.h"

#include <stdlib.h>

PlanCompiler *plan_compiler_new(Image *base)
{
    Program *program = program_new();
    PlanCompiler *compiler = ARENA_NEW(program->arena, PlanCompiler);
    *compiler = (PlanCompiler){ .program = program, .arena = program->arena, .base = image_retain(base) };
    import_image(compiler);
    return compiler;
}

void plan_compiler_free(PlanCompiler *compiler)
{
    if (!compiler)
        return;
    Image *base = compiler->base;
    embed_deinit(&compiler->embed);
    program_free(compiler->program);
    image_free(base);
}

const Image *plan_compiler_base(const PlanCompiler *compiler) { return compiler->base; }

/* ---- the cost, as far as the steps say it ------------------------------------------------------------------- */

/* Who has to approve needs time: when nobody said how long the plan may take, that of a person comes on top of that of the machine. */
static void give_time(Build *b, uint32_t approvals)
{
    if (!b->limits.limits.wall_us && approvals)
        b->limits.limits.wall_us = PLAN_WALL_MAX + approvals * PLAN_APPROVAL_MAX;
}

static int by_text(const void *x, const void *y) { return str_cmp(*(const Str *)x, *(const Str *)y); }

static void cost_scopes(Build *b)
{
    PlanCost *cost = &b->cost;
    uint32_t all = 0, kept = 0;
    for (uint32_t i = 0; i < b->used_count; i++)
        all += b->compiler->tools[b->used[i]].scope_count;
    cost->scopes = ARENA_ARRAY(b->arena, Str, all + 1);
    all = 0;
    for (uint32_t i = 0; i < b->used_count; i++) {
        const PlanTool *tool = &b->compiler->tools[b->used[i]];
        for (uint32_t k = 0; k < tool->scope_count; k++)
            cost->scopes[all++] = tool->scopes[k];
    }
    qsort(cost->scopes, all, sizeof *cost->scopes, by_text);
    for (uint32_t i = 0; i < all; i++)
        if (!kept || !str_eq(cost->scopes[kept - 1], cost->scopes[i]))
            cost->scopes[kept++] = cost->scopes[i];
    cost->scope_count = kept;
}

void measure_steps(Build *b)
{
    PlanStepTools *steps = ARENA_ARRAY(b->arena, PlanStepTools, b->tree->index_count + 1);
    uint32_t approvals = 0;
    for (uint32_t i = 0; i < b->tree->index_count; i++) {
        const PlanTool *tool = b->results[i].tool;
        steps[i] = (PlanStepTools){ NO_INDEX, NO_INDEX };
        if (!tool)
            continue;
        steps[i].tool = tool->symbol->image_index;
        if (tool->compensated)
            steps[i].undo = tool->row->compensated_by;
        approvals += (tool->row->flags & TOOL_IRREVERSIBLE) != 0;
    }
    give_time(b, approvals);
    plan_bound_steps(b->compiler->base, b->tree, steps, &b->limits, b->arena, &b->cost);
    cost_scopes(b);
}

/* ---- what the compiler of the language says ------------------------------------------------------------------- */

static const PlanPlace *place_of(const Build *b, uint32_t line)
{
    return line < b->tree->index_count && b->tree->by_index[line] ? b->tree->by_index[line]->place : NULL;
}

/* A limit of images is a limit of plans. Anything else has been looked for before: then one of us is wrong, and the plan is refused all the same. */
static void report_language(Build *b)
{
    const Diags *diags = b->program->diags;
    for (uint32_t i = 0; i < diags->count; i++) {
        const Diag *diag = diags->items[i];
        if (diag->severity != SEVERITY_ERROR)
            continue;
        bool limit = !strcmp(diag->code, "E0434");
        plan_diag(b->diags, limit ? PLAN_DIAG_too_large : PLAN_DIAG_wrong_shape, place_of(b, diag->span.start), "%s%s",
                  limit ? "" : "the step cannot be compiled: ", plan_sentence(b->arena, str_of(diag->message)));
    }
}

static bool check_texts(Build *b)
{
    for (uint32_t i = 0; i < b->texts.count; i++) {
        const Ast *text = b->texts.items[i];
        if (text->type && text->type->labels & LABEL_SECRET)
            plan_diag(b->diags, PLAN_DIAG_untrusted_value, plan_place_key(b->arena, b->text_owners[i], STR("message")), "a secret may not be shown to anybody");
    }
    return !b->diags->error_count;
}

/* ---- from tree to image ------------------------------------------------------------------------------------------ */

/* What the tools declare that models use is a bound only where all of them say it; what was granted is one in any case. */
static void image_bound(Image *image, uint16_t func, const PlanLimits *worst, uint64_t tokens)
{
    if (tokens < worst->tokens)
        tokens = worst->tokens;
    uint16_t row = IMAGE_ADD(image, plan);
    if (row == NO_INDEX)
        return;                          /* 65000 plans above one another: the verifier finds one without its row */
    image->plans[row] = (ImagePlan){ .func = func, .fuel = worst->fuel, .memory_bytes = worst->memory_bytes, .calls = worst->calls,
                                     .calls_per_tool = worst->calls_per_tool, .wall_us = worst->wall_us, .tokens = tokens, .micro_usd = worst->micro_usd };
}

/* What is secret is not in the outcome; what is personal is. */
static uint8_t result_flags(const Build *b)
{
    unsigned labels = 0;
    for (uint32_t i = 0; i < b->used_count; i++)
        labels |= labels_within(b->compiler->tools[b->used[i]].symbol->type);
    return labels & LABEL_PII ? FUNC_FLAG_PII_RESULT : 0;
}

static bool image_verified(Build *b, Image *image)
{
    Error error = { 0 };
    if (image_verify_extension(image, &error) == ERR_OK)
        return true;
    plan_diag(b->diags, PLAN_DIAG_wrong_shape, NULL, "the compiled plan is refused by the verifier, which is a mistake of the compiler: %s",
              plan_sentence(b->arena, str_of(error.text)));
    return false;
}

/* NULL: diagnostics. */
static Image *compile_body(Build *b, Ast *body, uint16_t *func)
{
    Embedder *embed = &b->compiler->embed;
    Image *image = embed_check(embed, body) && check_texts(b) ? embed_lower(embed, body, STR("plan"), STR(PLAN_FILE), func) : NULL;
    report_language(b);
    if (!image)
        return NULL;
    image->funcs[*func].flags = result_flags(b);
    plan_bound_code(image, &b->limits, &b->cost);
    plan_bound_check(&b->limits, b->diags, &b->cost);
    image_bound(image, *func, &b->cost.worst, plan_limits(&b->limits).tokens);
    if (!b->diags->error_count && image_verified(b, image))
        return image;
    image_free(image);
    return NULL;
}

/* ---- what is open ---------------------------------------------------------------------------------------------------- */

static void list_open(Build *b, PlanResult *out)
{
    out->open = ARENA_ARRAY(b->arena, PlanOpen, b->open_count + 1);
    for (uint32_t i = 0; i < b->open_count; i++) {
        const Open *open = &b->open[i];
        const ImageTool *row = open->tool->row;
        out->open[out->open_count++] = (PlanOpen){
            .pointer = plan_place_pointer(b->arena, open->place), .tool = open->tool->name, .param = row->params[open->param].name, .doc = row->doc,
            .name = open->name, .type = row->params[open->param].type, .pattern = row->param_patterns ? row->param_patterns[open->param] : STR("") };
    }
}

/* A record of what is asked for, each name once. */
static Type *open_record(Build *b)
{
    TypeField *fields = ARENA_ARRAY(b->arena, TypeField, b->open_count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->open_count; i++) {
        bool known = false;
        for (uint32_t k = 0; k < count && !known; k++)
            known = str_eq(fields[k].name, b->open[i].name);
        if (known)
            continue;
        Type *type = ((FuncInfo *)b->open[i].tool->symbol->info)->params[b->open[i].param]->type;
        fields[count++] = (TypeField){ .name = b->open[i].name, .type = type_optional(b->program, type) };
    }
    if (count > RECORD_FIELDS_MAX) {
        plan_diag(b->diags, PLAN_DIAG_too_large, NULL, "the plan leaves %u different parameters open, more than RECORD_FIELDS_MAX (%d)", count,
                  RECORD_FIELDS_MAX);
        return NULL;
    }
    return type_record(b->program, STR(""), fields, count);
}

static Image *open_image(Build *b, uint16_t *row)
{
    Type *type = open_record(b);
    Image *image = type ? embed_lower_type(&b->compiler->embed, type, row) : NULL;
    if (!image)
        return NULL;
    if (image_verified(b, image))
        return image;
    image_free(image);
    return NULL;
}

/* ---- all -------------------------------------------------------------------------------------------------------------- */

static void compile_tree(Build *b, PlanResult *out)
{
    uint16_t func = NO_INDEX;
    Ast *body = build_plan(b);
    list_open(b, out);
    Image *image = body ? compile_body(b, body, &func) : NULL;
    if (image && b->open_count) {
        image_free(image);
        func = NO_INDEX;
        image = open_image(b, &out->open_type);
    }
    if (!image)
        return;
    out->image = image;
    out->func = func;
}

void plan_compile(PlanCompiler *compiler, Str json, const PlanGrant *grant, Arena *arena, PlanResult *out)
{
    PlanDiags *diags = ARENA_NEW(arena, PlanDiags);
    PlanTree tree = { 0 };
    Build b = { .compiler = compiler, .program = compiler->program, .arena = arena, .maker = { .arena = arena, .span.file = compiler->file },
                .diags = diags, .grant = grant, .limits = *grant, .tree = &tree };
    *out = (PlanResult){ .base = compiler->base, .func = NO_INDEX, .open_type = NO_INDEX };
    plan_diags_init(diags, arena);
    compiler->program->arena = arena;    /* whatever is made for this plan goes with it */
    plan_read(arena, json, diags, &tree);
    if (tree.root)
        compile_tree(&b, out);
    embed_reset(&compiler->embed);
    compiler->program->arena = compiler->arena;
    plan_diags_sort(diags, json);
    out->cost = b.cost;
    out->diags = diags->items;
    out->diag_count = diags->count;
    out->ok = !diags->error_count;
}
