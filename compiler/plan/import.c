/* import.c - an image as a Program: its types, agents and tools as the checker knows them.
 *
 * Everything is made once, from rows that have been verified, and gets the index of its row, so that the lowering finds it there. Records keep the labels of
 * their fields; parameters those of their own. Nothing else of an image is imported: a plan has no name for it.
 */
#include "compiler/plan/plan_internal.h"

#include "compiler/types.h"

/* ---- types ------------------------------------------------------------------------------------------------ */

static Type *type_of(PlanCompiler *p, uint16_t row);

static Type *import_enum(PlanCompiler *p, const ImageType *row)
{
    Type *type = type_new(p->program, TYPE_ENUM);
    Symbol *symbol = ARENA_NEW(p->arena, Symbol);
    *symbol = (Symbol){ .kind = SYMBOL_ENUM, .name = row->name, .type = type, .image_index = NO_INDEX };
    type->name = row->name;
    type->decl = symbol;
    type->members = row->members;
    type->member_count = row->member_count;
    Symbol *members = ARENA_ARRAY(p->arena, Symbol, row->member_count + 1);
    for (uint32_t i = 0; i < row->member_count; i++) {
        members[i] = (Symbol){ .kind = SYMBOL_MEMBER, .name = row->members[i], .type = type, .owner = symbol, .ordinal = i, .image_index = NO_INDEX };
        map_put(&symbol->members, row->members[i], &members[i]);
    }
    p->program->symbols[p->program->symbol_count++] = symbol;               /* whose map is freed with the Program */
    return type;
}

static Type *import_record(PlanCompiler *p, const ImageType *row)
{
    TypeField *fields = ARENA_ARRAY(p->arena, TypeField, row->field_count + 1);
    for (uint32_t i = 0; i < row->field_count; i++)
        fields[i] = (TypeField){ .name = row->fields[i].name, .type = type_labeled(p->program, type_of(p, row->fields[i].type), row->fields[i].labels),
                                 .has_default = row->fields[i].has_default };
    return type_record(p->program, row->name, fields, row->field_count);
}

static Type *import_type(PlanCompiler *p, uint16_t index)
{
    static const TypeTag scalars[] = {
        [KIND_VOID] = TYPE_VOID, [KIND_BOOL] = TYPE_BOOL, [KIND_INT] = TYPE_INT, [KIND_FLOAT] = TYPE_FLOAT, [KIND_DECIMAL] = TYPE_DECIMAL,
        [KIND_STRING] = TYPE_STRING, [KIND_DATE] = TYPE_DATE, [KIND_TIMESTAMP] = TYPE_TIMESTAMP, [KIND_DURATION] = TYPE_DURATION, [KIND_BYTES] = TYPE_BYTES,
        [KIND_JSON] = TYPE_JSON, [KIND_ERROR] = TYPE_ERROR,
    };
    const ImageType *row = &p->base->types[index];
    switch (row->kind) {
    case KIND_OPT: return type_optional(p->program, type_of(p, row->element));
    case KIND_LIST: return type_list(p->program, type_of(p, row->element));
    case KIND_MAP: return type_map(p->program, type_of(p, row->element));
    case KIND_RECORD: return import_record(p, row);
    case KIND_ENUM: return index == TYPE_INDEX_ERROR_KIND ? p->program->error_kind : import_enum(p, row);
    case KIND_GROUP: return p->program->basic[TYPE_INT];                    /* no value that a tool could have */
    default: return p->program->basic[scalars[row->kind]];
    }
}

/* Rows refer to others of any index, never in a circle: the verifier has seen to both. */
static Type *type_of(PlanCompiler *p, uint16_t row)
{
    if (p->types[row])
        return p->types[row];
    Type *type = import_type(p, row);
    if (type->image_index == NO_INDEX)
        type->image_index = row;
    return p->types[row] = type;
}

/* ---- tools ------------------------------------------------------------------------------------------------ */

/* A parameter's default is a value of its type when it is a literal; one that is more is worked out in the tool's own program, so a plan has to say it. */
static Ast *import_default(PlanCompiler *p, const ImageField *field, Type *type, Json **json)
{
    if (!field->has_default || !field->default_const)
        return NULL;
    const ImageConst *constant = &p->base->consts[field->default_const];
    if (constant->type != TYPE_INDEX_JSON || json_parse(p->arena, constant->bytes, CONST_BYTES_MAX, json, NULL))
        return NULL;
    Maker maker = { .arena = p->arena };
    PlanDiags *diags = ARENA_NEW(p->arena, PlanDiags);
    plan_diags_init(diags, p->arena);
    Ast *value = build_literal(&maker, diags, NULL, *json, type);
    if (value && embed_check_value(&p->embed, value, type))
        return value;
    *json = NULL;
    return NULL;
}

static Symbol *import_param(PlanCompiler *p, const ImageField *field, Json **json)
{
    Symbol *symbol = ARENA_NEW(p->arena, Symbol);
    Ast_param *decl = ARENA_NEW(p->arena, Ast_param);
    Type *type = type_labeled(p->program, type_of(p, field->type), field->labels);
    decl->head.kind = AST_PARAM;
    decl->name.text = field->name;
    decl->value = import_default(p, field, type, json);
    *symbol = (Symbol){ .kind = SYMBOL_PARAM, .name = field->name, .decl = &decl->head, .type = type, .image_index = NO_INDEX };
    return symbol;
}

static Symbol *import_tool(PlanCompiler *p, uint16_t index, Symbol *agent, Json **defaults)
{
    const ImageTool *row = &p->base->tools[index];
    Symbol *symbol = ARENA_NEW(p->arena, Symbol);
    FuncInfo *info = ARENA_NEW(p->arena, FuncInfo);
    /* The labels of a result are flags of its function; a remote tool's answer has those of its fields. */
    uint8_t flags = row->func != NO_INDEX ? p->base->funcs[row->func].flags : 0;
    unsigned labels = (flags & FUNC_FLAG_SECRET_RESULT ? LABEL_SECRET : 0) | (flags & FUNC_FLAG_PII_RESULT ? LABEL_PII : 0);
    *info = (FuncInfo){ .symbol = symbol, .result = type_labeled(p->program, type_of(p, row->result), labels), .tool_flags = row->flags };
    info->params = ARENA_ARRAY(p->arena, Symbol *, row->param_count + 1);
    for (uint32_t i = 0; i < row->param_count; i++)
        info->params[info->param_count++] = import_param(p, &row->params[i], &defaults[i]);
    *symbol = (Symbol){ .kind = SYMBOL_TOOL, .name = row->name, .type = info->result, .owner = agent, .image_index = index, .info = info };
    map_put(&agent->members, row->name, symbol);
    return symbol;
}

/* A remote agent's tools are known by its declaration (is_remote looks there). */
static Symbol *import_agent(PlanCompiler *p, uint16_t index)
{
    const ImageAgent *row = &p->base->agents[index];
    Symbol *symbol = ARENA_NEW(p->arena, Symbol);
    Ast_agent_decl *decl = ARENA_NEW(p->arena, Ast_agent_decl);
    decl->head.kind = AST_AGENT_DECL;
    decl->name.text = row->name;
    if (row->location != AGENT_LOCAL)
        decl->location = make_json(&(Maker){ .arena = p->arena }, STR("null"));
    *symbol = (Symbol){ .kind = SYMBOL_AGENT, .name = row->name, .decl = &decl->head, .image_index = index };
    map_put(&p->program->globals, row->name, symbol);
    p->program->symbols[p->program->symbol_count++] = symbol;
    return symbol;
}

/* ---- compensation: can every parameter of the undoing tool be filled from the result, the arguments or a default? ------ */

static bool can_fill(const Symbol *param, const FuncInfo *tool, bool is_first)
{
    const TypeField *field = tool->result->tag == TYPE_RECORD ? type_field(tool->result, param->name, NULL) : NULL;
    if (field)
        return type_assign(field->type, param->type) != ASSIGN_NO;
    for (uint32_t i = 0; i < tool->param_count; i++)
        if (str_eq(tool->params[i]->name, param->name))
            return type_assign(tool->params[i]->type, param->type) != ASSIGN_NO;
    return (is_first && type_equal(tool->result, param->type)) || as_param(param->decl)->value;
}

static void link_compensation(PlanCompiler *p, PlanTool *tool)
{
    uint16_t undo = tool->row->compensated_by;
    if (undo == NO_INDEX)
        return;
    const FuncInfo *info = p->tools[undo].symbol->info;
    tool->compensated = true;
    for (uint32_t i = 0; i < info->param_count; i++)
        tool->compensated &= can_fill(info->params[i], tool->symbol->info, i == 0);
    if (tool->compensated)
        ((FuncInfo *)tool->symbol->info)->compensated_by = p->tools[undo].symbol;
}

/* ---- policies of retries, one for each number of them ------------------------------------------------------- */

Str retry_policy(Maker *m, uint32_t retries) { return make_text(m, "#retry%u", retries); }      /* no name of the language: nobody else can mean it */

static void import_policies(PlanCompiler *p)
{
    static int64_t statuses[] = { 408, 425, 429, 500, 502, 503, 504 };
    static Str codes[] = { { "ECONNRESET", 10 }, { "ETIMEDOUT", 9 }, { "ENOTFOUND", 8 } };
    for (uint32_t retries = 1; retries <= PLAN_RETRIES_MAX; retries++) {
        PolicyInfo *info = ARENA_NEW(p->arena, PolicyInfo);
        *info = (PolicyInfo){ .attempts = retries + 1, .backoff_us = 1000000, .backoff_max_us = 30000000, .factor = "2", .jitter = "0.2", .transient = true,
                              .statuses = statuses, .status_count = sizeof statuses / sizeof *statuses, .codes = codes,
                              .code_count = sizeof codes / sizeof *codes };
        Symbol *symbol = ARENA_NEW(p->arena, Symbol);
        *symbol = (Symbol){ .kind = SYMBOL_POLICY, .name = STR("RETRY"), .info = info, .image_index = NO_INDEX };
        map_put(&p->program->globals, retry_policy(&(Maker){ .arena = p->arena }, retries), symbol);
    }
}

/* ---- all -------------------------------------------------------------------------------------------------- */

/* Code has places in files by index: those of the base come first, and the steps of a plan are lines of one behind them. */
static void import_files(PlanCompiler *p)
{
    p->file = embed_file(p->base, STR(PLAN_FILE));
    for (uint16_t i = 0; i <= p->file; i++) {
        char lines[PLAN_LINES];
        Source *source;
        memset(lines, '\n', sizeof lines);
        Str text = i == p->file ? (Str){ lines, sizeof lines } : STR("");
        if (source_add(p->program->sources, arena_printf(p->arena, "%u", i), text, &source, NULL) != ERR_OK)
            break;                       /* beyond SOURCE_FILES_MAX: code without places */
    }
}

/* { index, agent, action, status, result } */
static Type *done_type(PlanCompiler *p, bool of_agent, bool with_result)
{
    Type **basic = p->program->basic;
    TypeField *fields = ARENA_ARRAY(p->arena, TypeField, 5);
    uint32_t count = 0;
    fields[count++] = (TypeField){ .name = STR("index"), .type = basic[TYPE_INT] };
    if (of_agent)
        fields[count++] = (TypeField){ .name = STR("agent"), .type = basic[TYPE_STRING] };
    fields[count++] = (TypeField){ .name = STR("action"), .type = basic[TYPE_STRING] };
    fields[count++] = (TypeField){ .name = STR("status"), .type = basic[TYPE_STRING] };
    if (with_result)
        fields[count++] = (TypeField){ .name = STR("result"), .type = basic[TYPE_JSON] };
    return type_record(p->program, STR(""), fields, count);
}

void import_image(PlanCompiler *p)
{
    const Image *base = p->base;
    Program *program = p->program;
    p->types = ARENA_ARRAY(p->arena, Type *, base->type_count);
    program->symbols = ARENA_ARRAY(p->arena, Symbol *, base->type_count + base->agent_count + 1u);
    Type **basic = program->basic;
    basic[TYPE_ERROR]->image_index = TYPE_INDEX_ERROR;
    for (uint32_t i = 0; i < base->type_count; i++)
        type_of(p, (uint16_t)i);
    p->json_list = type_list(program, basic[TYPE_JSON]);
    for (int i = 0; i < 4; i++)
        p->done[i / 2][i % 2] = done_type(p, i / 2, i % 2);
    embed_init(&p->embed, program, p->base);
    Symbol **agents = ARENA_ARRAY(p->arena, Symbol *, base->agent_count + 1);
    p->agent_names = ARENA_ARRAY(p->arena, Str, base->agent_count + 1);
    for (uint32_t i = 0; i < base->agent_count; i++) {
        agents[i] = import_agent(p, (uint16_t)i);
        p->agent_names[i] = base->agents[i].name;
    }
    p->tools = ARENA_ARRAY(p->arena, PlanTool, base->tool_count + 1);
    p->tool_names = ARENA_ARRAY(p->arena, Str, base->tool_count + 1);
    for (uint16_t i = 0; i < base->tool_count; i++) {
        const ImageTool *row = &base->tools[i];
        Str name = str_of(arena_printf(p->arena, "%.*s.%.*s", STR_ARG(base->agents[row->agent].name), STR_ARG(row->name)));
        Json **defaults = ARENA_ARRAY(p->arena, Json *, row->param_count + 1);
        p->tools[i] = (PlanTool){ .symbol = import_tool(p, i, agents[row->agent], defaults), .row = row, .name = name, .defaults = defaults };
        p->tool_names[i] = name;
    }
    for (uint16_t i = 0; i < base->tool_count; i++) {
        link_compensation(p, &p->tools[i]);
        p->tools[i].scopes = reachable_scopes(p, i, &p->tools[i].scope_count);
    }
    import_policies(p);
    import_files(p);
    embed_reset(&p->embed);
}
