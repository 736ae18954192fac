/* verify_decl.c - tables, machines and what a program declares to the engine: agents, tools, flows, events, handlers, tests.
 *
 * A declaration and the function behind it state the same parameters twice; here they are held to agree, in both directions:
 * the declaration's function names its owner, and verify_func_heads sees to it that an owner names its function.
 */
#include "interpreter/bytecode/verify_internal.h"

/* ---- tables ---- */

static Err verify_default(Verifier *v, const ImageColumn *column)
{
    if (!column->has_default) return ERR_OK;
    if (column->default_const >= v->image->const_count) return verify_fail(v, "column `%.*s` has no such default constant", STR_ARG(column->name));
    const ImageType *type = type_row(v, column->type);
    uint16_t found = v->image->consts[column->default_const].type;
    bool fits = found == column->type || (type->kind == KIND_OPT && found == type->element);
    return fits ? ERR_OK : verify_fail(v, "default of column `%.*s` is not of its type", STR_ARG(column->name));
}

/* The row is a record of exactly the columns, so that a record's field and a column share their index. */
static Err verify_columns(Verifier *v, const ImageTable *table)
{
    if (table->row_type >= v->image->type_count || type_kind(v, table->row_type) != KIND_RECORD) return verify_fail(v, "row type %u is not a record", table->row_type);
    const ImageType *row = type_row(v, table->row_type);
    if (table->column_count != row->field_count) return verify_fail(v, "has %u columns, its row type %u fields", table->column_count, row->field_count);
    bool version_found = false;
    for (int i = 0; i < table->column_count; i++) {
        const ImageColumn *column = &table->columns[i];
        if (!str_eq(column->name, row->fields[i].name) || column->type != row->fields[i].type)
            return verify_fail(v, "column `%.*s` is not field %d of its row type", STR_ARG(column->name), i);
        if (type_kind(v, column->type) == KIND_ERROR) return verify_fail(v, "column `%.*s` has a type that cannot be stored", STR_ARG(column->name));
        if (column->labels & ~(LABEL_PII | LABEL_SECRET | LABEL_UNTRUSTED)) return verify_fail(v, "column `%.*s` has unknown labels", STR_ARG(column->name));
        Err err = verify_default(v, column);
        if (err) return err;
        if (str_is(column->name, "version") && column->type == TYPE_INDEX_INT) version_found = true;
    }
    return table->versioned && !version_found ? verify_fail(v, "is versioned and has no int column `version`") : ERR_OK;
}

static Err verify_table_indexes(Verifier *v, const ImageTable *table)
{
    enum { COLUMNS_MAX = sizeof table->indexes->columns / sizeof *table->indexes->columns };
    for (int i = 0; i < table->index_count; i++) {
        const ImageIndex *index = &table->indexes[i];
        if (index->column_count < 1 || index->column_count > COLUMNS_MAX) return verify_fail(v, "index %d has %u columns", i, index->column_count);
        for (int j = 0; j < index->column_count; j++)
            if (index->columns[j] >= table->column_count) return verify_fail(v, "index %d has no such column %u", i, index->columns[j]);
    }
    return ERR_OK;
}

static bool has_members(const ImageType *type, const char *const *words, int count)
{
    if (type->kind != KIND_ENUM || type->member_count != count) return false;
    for (int i = 0; i < count; i++)
        if (!str_is(type->members[i], words[i])) return false;
    return true;
}

static bool is_unique(const ImageTable *table, uint16_t column)
{
    for (int i = 0; i < table->index_count; i++)
        if (table->indexes[i].unique && table->indexes[i].column_count == 1 && table->indexes[i].columns[0] == column) return true;
    return false;
}

static Err verify_writers(Verifier *v, const ImageVisibility *visibility, const ImageTable *members)
{
    if (visibility->role_column == NO_INDEX) return visibility->writers ? verify_fail(v, "names writers without a column of roles") : ERR_OK;
    const ImageType *role = visibility->role_column < members->column_count ? type_row(v, members->columns[visibility->role_column].type) : NULL;
    if (!role || role->kind != KIND_ENUM) return verify_fail(v, "role column %u is not an enum", visibility->role_column);
    if (!visibility->writers || (role->member_count < 64 && visibility->writers >> role->member_count)) return verify_fail(v, "names writers that are no roles");
    return ERR_OK;
}

/* What the filter of its queries looks at must be what the filter takes it for. */
static Err verify_visibility(Verifier *v, const ImageTable *table)
{
    static const char *const words[] = VISIBILITY_WORDS;
    const ImageVisibility *visibility = &table->visibility;
    const Image *m = v->image;
    if (!visibility->declared) return ERR_OK;
    if (table->shared) return verify_fail(v, "is shared and has a visibility");
    if (visibility->column >= table->column_count || !has_members(type_row(v, table->columns[visibility->column].type), words, VISIBILITY_COUNT))
        return verify_fail(v, "visibility column %u is not an enum of PRIVATE, FAMILY, PUBLIC", visibility->column);
    if (visibility->members >= m->table_count || !m->tables[visibility->members].shared) return verify_fail(v, "members are not a shared table");
    const ImageTable *members = &m->tables[visibility->members];
    if (visibility->user_column >= members->column_count || members->columns[visibility->user_column].type != TYPE_INDEX_STRING)
        return verify_fail(v, "column %u of its members is not a string", visibility->user_column);
    if (!is_unique(members, visibility->user_column) && members->id_column != visibility->user_column) return verify_fail(v, "a user may be among its members twice");
    return verify_writers(v, visibility, members);
}

static Err verify_table(Verifier *v, const ImageTable *table)
{
    if (table->agent != NO_INDEX && table->agent >= v->image->agent_count) return verify_fail(v, "agent %u does not exist", table->agent);
    Err err = verify_columns(v, table);
    if (!err) err = verify_table_indexes(v, table);
    if (err) return err;
    if (table->id_column != NO_INDEX && (table->id_column >= table->column_count || table->columns[table->id_column].type != TYPE_INDEX_STRING))
        return verify_fail(v, "id column %u is not a string column", table->id_column);
    if (table->erase > ERASE_RETAIN) return verify_fail(v, "unknown way %u to erase", table->erase);
    if (table->retain_us < 0) return verify_fail(v, "retains for less than no time");
    for (int i = 0; i < table->erase_column_count; i++)
        if (table->erase_columns[i] >= table->column_count) return verify_fail(v, "erases column %u, which does not exist", table->erase_columns[i]);
    return ERR_OK;
}

static Str table_name(const Image *m, uint32_t i) { return m->tables[i].name; }

Err verify_tables(Verifier *v)
{
    Err err = verify_unique(v, "table", table_name, v->image->table_count);
    for (uint32_t i = 0; i < v->image->table_count && !err; i++) {
        verify_at(v, "table", i, v->image->tables[i].name);
        err = verify_table(v, &v->image->tables[i]);
    }
    for (uint32_t i = 0; i < v->image->table_count && !err; i++) {                       /* they name columns of each other */
        verify_at(v, "table", i, v->image->tables[i].name);
        err = verify_visibility(v, &v->image->tables[i]);
    }
    return err;
}

/* ---- sessions and contexts ---- */

static Err verify_state(Verifier *v, const ImageState *state)
{
    if (!state->name.len) return verify_fail(v, "has no name");
    if (state->kind > STATE_CONTEXT) return verify_fail(v, "kind %u is unknown", state->kind);
    if (state->ttl_us < STATE_TTL_MIN || state->ttl_us > STATE_TTL_MAX) return verify_fail(v, "its time to live is out of range");
    if (state->type >= v->image->type_count || type_kind(v, state->type) != KIND_RECORD) return verify_fail(v, "type %u is not a record", state->type);
    const ImageType *record = type_row(v, state->type);
    if (state->kind == STATE_SESSION) return state->writer_count ? verify_fail(v, "a session has no writers") : ERR_OK;
    if (state->writer_count != record->field_count) return verify_fail(v, "%u writers for %u fields", state->writer_count, record->field_count);
    for (uint16_t i = 0; i < state->writer_count; i++) {
        if (state->writers[i] != NO_INDEX && state->writers[i] >= v->image->agent_count) return verify_fail(v, "agent %u does not exist", state->writers[i]);
        if (type_kind(v, record->fields[i].type) != KIND_OPT) return verify_fail(v, "field %u is not optional", i);
    }
    return ERR_OK;
}

static Str state_name(const Image *m, uint32_t i) { return m->states[i].name; }

Err verify_states(Verifier *v)
{
    Err err = verify_unique(v, "state", state_name, v->image->state_count);
    for (uint32_t i = 0; i < v->image->state_count && !err; i++) {
        verify_at(v, "state", i, v->image->states[i].name);
        err = verify_state(v, &v->image->states[i]);
    }
    return err;
}

/* ---- machines ---- */

enum { MACHINE_STATES_MAX = 64 };        /* one bit each in a word */

static Err verify_machine(Verifier *v, const ImageMachine *machine)
{
    if (machine->type >= v->image->type_count || type_kind(v, machine->type) != KIND_ENUM) return verify_fail(v, "type %u is not an enum", machine->type);
    uint16_t states = type_row(v, machine->type)->member_count;
    if (states > MACHINE_STATES_MAX) return verify_limit(v, "states", states, "MACHINE_STATES_MAX", MACHINE_STATES_MAX);
    uint64_t all = states == MACHINE_STATES_MAX ? UINT64_MAX : (UINT64_C(1) << states) - 1;
    if (machine->finals & ~all) return verify_fail(v, "a final state is not a member");
    for (int i = 0; i < states; i++)
        if (machine->targets[i] & ~all) return verify_fail(v, "a transition from state %d leads to no member", i);
    return ERR_OK;
}

Err verify_machines(Verifier *v)
{
    Err err = ERR_OK;
    bool *taken = ARENA_ARRAY(v->arena, bool, v->image->type_count);
    for (uint32_t i = 0; i < v->image->machine_count && !err; i++) {
        verify_at(v, "machine", i, STR(""));
        err = verify_machine(v, &v->image->machines[i]);
        if (err) return err;
        if (taken[v->image->machines[i].type]) return verify_fail(v, "its type has a machine already");
        taken[v->image->machines[i].type] = true;
    }
    return err;
}

/* ---- functions behind declarations ---- */

static const ImageFunc *func_find(const Verifier *v, uint16_t index)
{
    return index < v->image->func_count ? &v->image->funcs[index] : NULL;
}

/* The function takes exactly these parameters. */
static bool func_takes(const ImageFunc *func, const ImageField *params, uint16_t count)
{
    if (func->param_count != count) return false;
    for (int i = 0; i < count; i++)
        if (func->reg_types[i] != params[i].type) return false;
    return true;
}

static Err verify_owned(Verifier *v, uint16_t index, FuncKind kind, uint32_t owner, const ImageField *params, uint16_t param_count, uint16_t result)
{
    const ImageFunc *func = func_find(v, index);
    if (!func) return verify_fail(v, "function %u does not exist", index);
    if (func->kind != kind || func->owner != owner) return verify_fail(v, "function %u is not its own", index);
    if (!func_takes(func, params, param_count)) return verify_fail(v, "its function %u takes other parameters", index);
    if (func->result != result) return verify_fail(v, "its function %u has another result", index);
    return ERR_OK;
}

/* ---- agents and tools ---- */

static Err verify_agents(Verifier *v)
{
    for (uint32_t i = 0; i < v->image->agent_count; i++) {
        const ImageAgent *agent = &v->image->agents[i];
        verify_at(v, "agent", i, agent->name);
        if (agent->location > AGENT_ENGINE) return verify_fail(v, "unknown location %u", agent->location);
    }
    return ERR_OK;
}

/* What the default of a parameter is, where that can be said. */
static Err verify_param_defaults(Verifier *v, const ImageTool *tool)
{
    for (int i = 0; i < tool->param_count; i++) {
        const ImageField *param = &tool->params[i];
        if (!param->default_const) continue;
        bool fits = param->has_default && param->default_const < v->image->const_count && v->image->consts[param->default_const].type == TYPE_INDEX_JSON;
        if (!fits) return verify_fail(v, "default of parameter `%.*s` is not a json constant", STR_ARG(param->name));
    }
    return ERR_OK;
}

static Err verify_tool(Verifier *v, uint32_t index, const ImageTool *tool)
{
    enum { TOOL_FLAGS = TOOL_READS | TOOL_IDEMPOTENT | TOOL_KEYED | TOOL_IRREVERSIBLE | TOOL_REMOTE | TOOL_COMMAND };
    const Image *m = v->image;
    if (!tool->name.len) return verify_fail(v, "has no name");
    if (tool->agent >= m->agent_count) return verify_fail(v, "agent %u does not exist", tool->agent);
    if (tool->flags & ~TOOL_FLAGS) return verify_fail(v, "unknown flags 0x%x", tool->flags);
    if (tool->compensated_by != NO_INDEX && tool->compensated_by >= m->tool_count) return verify_fail(v, "compensating tool %u does not exist", tool->compensated_by);
    if (tool->key_param != NO_INDEX && (tool->key_param >= tool->param_count || !(tool->flags & TOOL_KEYED))) return verify_fail(v, "key parameter %u does not fit", tool->key_param);
    Err err = verify_fields(v, tool->params, tool->param_count, FUNC_PARAMS_MAX, "FUNC_PARAMS_MAX");
    if (!err) err = verify_param_defaults(v, tool);
    if (!err) err = verify_patterns(v, tool->param_patterns, tool->param_count);
    if (!err) err = verify_result_type(v, tool->result);
    if (err) return err;
    if (tool->cost_tokens > PLAN_AMOUNT_MAX || tool->cost_micro_usd < 0 || tool->cost_micro_usd > (int64_t)PLAN_AMOUNT_MAX) return verify_fail(v, "what it costs is out of range");
    if ((tool->func == NO_INDEX) != ((tool->flags & TOOL_REMOTE) != 0)) return verify_fail(v, "a tool has a function or is remote, one of the two");
    return tool->func == NO_INDEX ? ERR_OK : verify_owned(v, tool->func, FUNC_TOOL, index, tool->params, tool->param_count, tool->result);
}

static Err verify_tools(Verifier *v)
{
    Err err = ERR_OK;
    for (uint32_t i = 0; i < v->image->tool_count && !err; i++) {
        verify_at(v, "tool", i, v->image->tools[i].name);
        err = verify_tool(v, i, &v->image->tools[i]);
    }
    return err;
}

/* ---- flows ---- */

/* The init function takes each parameter with a default as an optional (one that is optional already as it is; null asks for
 * the default) and gives a record of all parameters, by name and in order. */
static Err verify_init(Verifier *v, const ImageFlow *flow)
{
    int defaults = 0;
    for (int i = 0; i < flow->param_count; i++) defaults += flow->params[i].has_default;
    if ((flow->init_func == NO_INDEX) != (defaults == 0)) return verify_fail(v, "an init function is there when, and only when, a parameter has a default");
    if (!defaults) return ERR_OK;
    const ImageFunc *func = func_find(v, flow->init_func);
    if (!func || func->kind != FUNC_INIT) return verify_fail(v, "function %u is not an init function", flow->init_func);
    if (func->param_count != flow->param_count) return verify_fail(v, "init function %u takes %u parameters, expected %u", flow->init_func, func->param_count, flow->param_count);
    if (type_kind(v, func->result) != KIND_RECORD || type_row(v, func->result)->field_count != flow->param_count)
        return verify_fail(v, "init function %u does not give a record of all parameters", flow->init_func);
    const ImageType *all = type_row(v, func->result);
    for (int i = 0; i < flow->param_count; i++) {
        const ImageField *param = &flow->params[i];
        const ImageType *taken = type_row(v, func->reg_types[i]);
        bool wrapped = param->has_default && type_kind(v, param->type) != KIND_OPT;
        bool takes = wrapped ? taken->kind == KIND_OPT && taken->element == param->type : func->reg_types[i] == param->type;
        if (!takes) return verify_fail(v, "init function takes `%.*s` as another type", STR_ARG(param->name));
        if (!str_eq(all->fields[i].name, param->name) || all->fields[i].type != param->type)
            return verify_fail(v, "init function gives no `%.*s` at its place", STR_ARG(param->name));
    }
    return ERR_OK;
}

static Err verify_key(Verifier *v, const ImageFlow *flow, uint8_t per, uint16_t index, const char *clause)
{
    if (per > KEY_FUNC) return verify_fail(v, "unknown key %u of `%s`", per, clause);
    if ((per == KEY_FUNC) != (index != NO_INDEX)) return verify_fail(v, "`%s` has a function when, and only when, its key is one", clause);
    if (index == NO_INDEX) return ERR_OK;
    const ImageFunc *func = func_find(v, index);
    if (!func || func->kind != FUNC_KEY) return verify_fail(v, "function %u of `%s` is not a key function", index, clause);
    if (!func_takes(func, flow->params, flow->param_count)) return verify_fail(v, "the key function of `%s` takes other parameters", clause);
    return func->result == TYPE_INDEX_STRING ? ERR_OK : verify_fail(v, "the key function of `%s` does not give a string", clause);
}

static Err verify_flow_row(Verifier *v, uint32_t index, const ImageFlow *flow)
{
    if (flow->durability > DURABILITY_NONE) return verify_fail(v, "unknown durability %u", flow->durability);
    if (flow->priority > FLOW_PRIORITY_MAX) return verify_fail(v, "priority %u is above FLOW_PRIORITY_MAX (%d)", flow->priority, FLOW_PRIORITY_MAX);
    if (flow->within_us < 0 || flow->rate_unit_us < 0) return verify_fail(v, "a time of it is negative");
    if (flow->rate_count && !flow->rate_unit_us) return verify_fail(v, "its rate has no unit of time");
    Err err = verify_fields(v, flow->params, flow->param_count, FUNC_PARAMS_MAX, "FUNC_PARAMS_MAX");
    if (!err) err = verify_result_type(v, flow->result);
    if (!err) err = verify_owned(v, flow->func, FUNC_FLOW, index, flow->params, flow->param_count, flow->result);
    if (!err) err = verify_init(v, flow);
    if (!err) err = verify_key(v, flow, flow->one_per, flow->one_per_func, "one per");
    if (!err) err = verify_key(v, flow, flow->limit_per, flow->limit_func, "limit");
    if (!err) err = verify_key(v, flow, flow->rate_per, flow->rate_func, "rate");
    return err;
}

static Err verify_flows(Verifier *v)
{
    Err err = ERR_OK;
    for (uint32_t i = 0; i < v->image->flow_count && !err; i++) {
        verify_at(v, "flow", i, v->image->flows[i].name);
        err = verify_flow_row(v, i, &v->image->flows[i]);
    }
    return err;
}

/* ---- events, signals, handlers ---- */

static Err verify_event_rows(Verifier *v, const char *what, const ImageEvent *events, uint16_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        verify_at(v, what, i, events[i].name);
        if (events[i].type >= v->image->type_count || type_kind(v, events[i].type) != KIND_RECORD) return verify_fail(v, "type %u is not a record", events[i].type);
    }
    return ERR_OK;
}

static Err verify_handler(Verifier *v, uint32_t index, const ImageHandler *handler)
{
    const Image *m = v->image;
    if (handler->event >= m->event_count) return verify_fail(v, "event %u does not exist", handler->event);
    if (handler->agent != NO_INDEX && handler->agent >= m->agent_count) return verify_fail(v, "agent %u does not exist", handler->agent);
    ImageField record = { .type = m->events[handler->event].type };
    const ImageFunc *func = func_find(v, handler->func), *where = func_find(v, handler->where_func);
    Err err = verify_owned(v, handler->func, FUNC_HANDLER, index, &record, 1, func ? func->result : NO_INDEX);
    if (err || handler->where_func == NO_INDEX) return err;
    if (!where || (where->kind != FUNC_KEY && where->kind != FUNC_FN)) return verify_fail(v, "condition %u is not a plain function", handler->where_func);
    return func_takes(where, &record, 1) && where->result == TYPE_INDEX_BOOL ? ERR_OK : verify_fail(v, "condition %u does not go from the record to a bool", handler->where_func);
}

static Err verify_handlers(Verifier *v)
{
    Err err = verify_event_rows(v, "event", v->image->events, v->image->event_count);
    if (!err) err = verify_event_rows(v, "signal", v->image->signals, v->image->signal_count);
    for (uint32_t i = 0; i < v->image->handler_count && !err; i++) {
        verify_at(v, "handler", i, v->image->handlers[i].name);
        err = verify_handler(v, i, &v->image->handlers[i]);
    }
    return err;
}

/* ---- tests and fixtures ---- */

static Err verify_tests(Verifier *v)
{
    Err err = ERR_OK;
    for (uint32_t i = 0; i < v->image->test_count && !err; i++) {
        verify_at(v, "test", i, v->image->tests[i].title);
        err = verify_owned(v, v->image->tests[i].func, FUNC_TEST, i, NULL, 0, TYPE_INDEX_VOID);
    }
    for (uint32_t i = 0; i < v->image->fixture_count && !err; i++) {
        verify_at(v, "fixture", i, v->image->fixtures[i].name);
        const ImageFunc *func = func_find(v, v->image->fixtures[i].func);
        bool fits = func && (func->kind == FUNC_TEST || func->kind == FUNC_FN) && func->param_count == 0 && func->result == TYPE_INDEX_VOID;
        if (!fits) err = verify_fail(v, "function %u does not go from nothing to nothing", v->image->fixtures[i].func);
    }
    return err;
}

/* ---- resources ---- */

static Err verify_resource(Verifier *v, const ImageResource *resource)
{
    if (!resource->uri.len) return verify_fail(v, "has no name");
    if (resource->agent >= v->image->agent_count) return verify_fail(v, "agent %u does not exist", resource->agent);
    if (!type_is_value(v, resource->result)) return verify_fail(v, "result type %u is not a type of values", resource->result);
    if (resource->func == NO_INDEX) return ERR_OK;
    const ImageFunc *func = func_find(v, resource->func);
    bool fits = func && func->kind == FUNC_FN && func->param_count == 0 && func->result == resource->result;
    return fits ? ERR_OK : verify_fail(v, "function %u does not go from nothing to its result", resource->func);
}

static Err verify_resources(Verifier *v)
{
    Err err = ERR_OK;
    for (uint32_t i = 0; i < v->image->resource_count && !err; i++) {
        verify_at(v, "resource", i, v->image->resources[i].uri);
        err = verify_resource(v, &v->image->resources[i]);
    }
    return err;
}

static Str agent_name(const Image *m, uint32_t i) { return m->agents[i].name; }
static Str flow_name(const Image *m, uint32_t i) { return m->flows[i].name; }
static Str event_name(const Image *m, uint32_t i) { return m->events[i].name; }
static Str signal_name(const Image *m, uint32_t i) { return m->signals[i].name; }

Err verify_declarations(Verifier *v)
{
    const Image *m = v->image;
    Err err = verify_unique(v, "agent", agent_name, m->agent_count);
    if (!err) err = verify_unique(v, "flow", flow_name, m->flow_count);
    if (!err) err = verify_unique(v, "event", event_name, m->event_count);
    if (!err) err = verify_unique(v, "signal", signal_name, m->signal_count);
    if (!err) err = verify_agents(v);
    if (!err) err = verify_tools(v);
    if (!err) err = verify_flows(v);
    if (!err) err = verify_handlers(v);
    if (!err) err = verify_tests(v);
    if (!err) err = verify_resources(v);
    return err;
}
