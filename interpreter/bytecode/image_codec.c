/* image_codec.c - the canonical bytes of an image, both ways from one description.
 *
 * Every code_* function is run for writing and for reading: a Coder with `out` writes what the image holds, one without reads
 * into it. So the order of fields stands once and the two directions cannot drift apart.
 *
 * Form: "FLOWB", version, the tables in the order of image_code(). Numbers are varints (signed: zigzag), indexes are varints of
 * index + 1 with 0 for NO_INDEX, strings and tables carry their length before them. No padding, no optional order; what is made
 * on load is not stored, nor are the fixed types. Reading allocates for a count only when as many bytes are left, and an image
 * is accepted only when encoding it again gives the very same bytes, which leaves one byte form of each image.
 * An extension is "FLOWX", version, the hash of its base, and of each table that it may extend the rows behind the base's.
 */
#include "interpreter/bytecode/image.h"
#include "interpreter/bytecode/image_internal.h"

typedef struct Coder {
    Buf *out;                    /* writing when not NULL */
    Reader in;
    Arena *arena;
    size_t size;                 /* of the input */
    const char *fault;           /* the first one, and where in the input it was noticed */
    size_t fault_at;
} Coder;

static const char magic[5] = { 'F', 'L', 'O', 'W', 'B' }, extension_magic[5] = { 'F', 'L', 'O', 'W', 'X' };

static bool writing(const Coder *c) { return c->out != NULL; }

static void fault(Coder *c, const char *what)
{
    if (c->fault) return;
    c->fault = what;
    c->fault_at = c->size - reader_left(&c->in);
    c->in.failed = true;
}

/* ---- numbers and strings ---- */

static void code_u64(Coder *c, uint64_t *value)
{
    if (writing(c)) buf_put_varint(c->out, *value);
    else {
        *value = read_varint(&c->in);
        if (c->in.failed) fault(c, "truncated, or a number is too long");
    }
}

static uint64_t code_small(Coder *c, uint64_t value, uint64_t max)
{
    code_u64(c, &value);
    if (!writing(c) && value > max) fault(c, "a number is out of its range");
    return c->fault ? 0 : value;
}

static void code_u32(Coder *c, uint32_t *value) { *value = (uint32_t)code_small(c, *value, UINT32_MAX); }
static void code_u16(Coder *c, uint16_t *value) { *value = (uint16_t)code_small(c, *value, UINT16_MAX); }
static void code_u8(Coder *c, uint8_t *value) { *value = (uint8_t)code_small(c, *value, UINT8_MAX); }
static void code_bool(Coder *c, bool *value) { *value = code_small(c, *value, 1) != 0; }
static void code_index(Coder *c, uint16_t *value) { *value = (uint16_t)(code_small(c, (uint16_t)(*value + 1), UINT16_MAX) - 1); }

static void code_i64(Coder *c, int64_t *value)
{
    if (writing(c)) buf_put_zigzag(c->out, *value);
    else {
        *value = read_zigzag(&c->in);
        if (c->in.failed) fault(c, "truncated, or a number is too long");
    }
}

static void code_bytes(Coder *c, Str *value)
{
    if (writing(c)) {
        buf_put_bytes(c->out, *value);
        return;
    }
    Str raw = read_bytes(&c->in, IMAGE_SIZE_MAX);
    if (c->in.failed) fault(c, "truncated in a string");
    *value = c->fault ? STR("") : arena_str(c->arena, raw);
}

static void code_str(Coder *c, Str *value)
{
    code_bytes(c, value);
    if (!writing(c) && !utf8_valid(*value)) fault(c, "a string is not valid UTF-8");
}

/* ---- tables ---- */

/* The count of a table and, when reading, zeroed memory for it. Every row takes at least one byte, which bounds the memory by the input. */
static uint32_t code_rows(Coder *c, void **rows, uint32_t count, uint32_t count_max, size_t row_size)
{
    count = (uint32_t)code_small(c, count, UINT32_MAX);
    if (writing(c)) return count;
    if (count > count_max) fault(c, "a table has more rows than its limit");
    if (count > reader_left(&c->in)) fault(c, "truncated: a table has more rows than bytes are left");
    if (c->fault) return 0;
    *rows = count ? arena_alloc_array(c->arena, image_rows_room(count), row_size) : NULL;
    return count;
}
/* code_things(coder, &rows, &count) from code_thing(coder, &row). */
#define CODE_LIST(Type, name, code_row) \
    static void name(Coder *c, Type **rows, uint16_t *count) \
    { \
        uint32_t n = code_rows(c, (void **)rows, *count, IMAGE_INDEX_MAX, sizeof **rows); \
        *count = (uint16_t)n; \
        for (uint32_t i = 0; i < n && !c->fault; i++) code_row(c, &(*rows)[i]); \
    }

CODE_LIST(Str, code_strs, code_str)
CODE_LIST(uint16_t, code_indexes, code_index)

static void code_field(Coder *c, ImageField *field)
{
    code_str(c, &field->name);
    code_index(c, &field->type);
    code_u8(c, &field->labels);
    code_bool(c, &field->has_default);
    code_index(c, &field->default_const);
}
CODE_LIST(ImageField, code_fields, code_field)

/* Patterns are absent, or as many as there are rows; all empty is written as absent. */
static void code_patterns(Coder *c, Str **patterns, uint16_t count)
{
    bool present = false;
    for (uint16_t i = 0; writing(c) && *patterns && i < count; i++) present = present || (*patterns)[i].len > 0;
    code_bool(c, &present);
    if (!present || c->fault) return;
    if (!writing(c)) *patterns = ARENA_ARRAY(c->arena, Str, count ? count : 1);
    for (uint16_t i = 0; i < count && !c->fault; i++) code_str(c, &(*patterns)[i]);
}

static void code_type(Coder *c, ImageType *type)
{
    uint8_t kind = (uint8_t)type->kind;
    code_u8(c, &kind);
    type->kind = (TypeKind)kind;
    switch (type->kind) {
    case KIND_OPT: case KIND_LIST: case KIND_MAP:
        code_index(c, &type->element);
        break;
    case KIND_RECORD:
        code_str(c, &type->name);
        code_fields(c, &type->fields, &type->field_count);
        code_patterns(c, &type->field_patterns, type->field_count);
        break;
    case KIND_ENUM:
        code_str(c, &type->name);
        code_strs(c, &type->members, &type->member_count);
        code_patterns(c, &type->member_patterns, type->member_count);
        break;
    default:
        if (!writing(c)) fault(c, "a type row is of a kind that only the fixed types have");
    }
}

static void code_const(Coder *c, ImageConst *constant)
{
    int64_t word = (int64_t)constant->word;
    code_index(c, &constant->type);
    code_i64(c, &word);
    code_bytes(c, &constant->bytes);
    constant->word = (uint64_t)word;
}

/* ---- functions ---- */

static void code_insn(Coder *c, Insn *insn)
{
    uint16_t op = INSN_OP(*insn), a = INSN_A(*insn), b = INSN_B(*insn), d = INSN_C(*insn);
    code_u16(c, &op);
    code_u16(c, &a);
    code_u16(c, &b);
    code_u16(c, &d);
    *insn = INSN(op, a, b, d);
}

static void code_try(Coder *c, ImageTry *entry)
{
    code_u32(c, &entry->from);
    code_u32(c, &entry->to);
    code_u32(c, &entry->handler);
    code_u16(c, &entry->error_reg);
    code_u8(c, &entry->kind);
}
CODE_LIST(ImageTry, code_tries, code_try)

static void code_code(Coder *c, ImageFunc *func)
{
    func->code_count = code_rows(c, (void **)&func->code, func->code_count, FUNC_CODE_MAX, sizeof *func->code);
    for (uint32_t i = 0; i < func->code_count && !c->fault; i++) code_insn(c, &func->code[i]);
}

/* Lines are written as differences: pc always forward, line both ways. Wrong differences wrap around and are refused by the verifier. */
static void code_lines(Coder *c, ImageFunc *func)
{
    func->line_count = code_rows(c, (void **)&func->lines, func->line_count, FUNC_CODE_MAX, sizeof *func->lines);
    ImageLine last = { 0 };
    for (uint32_t i = 0; i < func->line_count && !c->fault; i++) {
        ImageLine *line = &func->lines[i];
        uint32_t pc = line->pc - last.pc;
        int64_t difference = (int64_t)line->line - last.line;
        code_u32(c, &pc);
        code_u16(c, &line->file);
        code_i64(c, &difference);
        code_u16(c, &line->column);
        line->pc = last.pc + pc;
        if (!writing(c) && (difference < -(int64_t)last.line || difference > (int64_t)UINT32_MAX - last.line)) fault(c, "a line number is out of its range");
        line->line = (uint32_t)(last.line + difference);
        last = *line;
    }
}

static void code_func(Coder *c, ImageFunc *func)
{
    code_str(c, &func->name);
    code_u8(c, &func->kind);
    code_u8(c, &func->flags);
    code_index(c, &func->owner);
    code_index(c, &func->agent);
    code_u16(c, &func->param_count);
    code_index(c, &func->result);
    code_indexes(c, &func->reg_types, &func->reg_count);
    code_code(c, func);
    code_tries(c, &func->tries, &func->try_count);
    code_lines(c, func);
}

static void code_effect(Coder *c, ImageEffect *effect)
{
    code_u8(c, &effect->kind);
    code_index(c, &effect->target);
    code_str(c, &effect->name);
    code_indexes(c, &effect->params, &effect->param_count);
    code_index(c, &effect->result);
}

/* ---- queries ---- */

static void code_item(Coder *c, QueryItem *item)
{
    code_u8(c, &item->op);
    code_u8(c, &item->source);
    code_u16(c, &item->arg);
}
CODE_LIST(QueryItem, code_items, code_item)

static void code_expr(Coder *c, QueryExpr *expr) { code_items(c, &expr->items, &expr->count); }
CODE_LIST(QueryExpr, code_exprs, code_expr)

static void code_set(Coder *c, QuerySet *set)
{
    code_index(c, &set->column);
    code_expr(c, &set->value);
}
CODE_LIST(QuerySet, code_sets, code_set)

static void code_order(Coder *c, QueryOrder *order)
{
    code_expr(c, &order->value);
    code_bool(c, &order->descending);
}
CODE_LIST(QueryOrder, code_orders, code_order)

static void code_query(Coder *c, Query *query)
{
    code_u8(c, &query->kind);
    code_index(c, &query->table);
    query->join_count = (uint16_t)code_small(c, query->join_count, QUERY_JOINS_MAX);
    for (int i = 0; i < query->join_count && !c->fault; i++) {
        code_index(c, &query->joins[i].table);
        code_expr(c, &query->joins[i].on);
    }
    code_expr(c, &query->where);
    code_sets(c, &query->sets, &query->set_count);
    code_exprs(c, &query->outputs, &query->output_count);
    code_exprs(c, &query->groups, &query->group_count);
    code_orders(c, &query->orders, &query->order_count);
    code_index(c, &query->limit_param);
    code_indexes(c, &query->params, &query->param_count);
    code_i64(c, &query->cached_us);
    code_index(c, &query->result);
    code_index(c, &query->row_type);
}

/* ---- agents, tools, flows and what else is declared ---- */

static void code_agent(Coder *c, ImageAgent *agent)
{
    code_str(c, &agent->name);
    code_str(c, &agent->title);
    code_u8(c, &agent->location);
    code_str(c, &agent->location_env);
    code_str(c, &agent->location_text);
    code_str(c, &agent->credential);
}

static void code_tool(Coder *c, ImageTool *tool)
{
    code_str(c, &tool->name);
    code_str(c, &tool->doc);
    code_index(c, &tool->agent);
    code_index(c, &tool->func);
    code_u16(c, &tool->flags);
    code_index(c, &tool->compensated_by);
    code_strs(c, &tool->scopes, &tool->scope_count);
    code_str(c, &tool->method);
    code_str(c, &tool->path);
    code_fields(c, &tool->params, &tool->param_count);
    code_index(c, &tool->result);
    code_index(c, &tool->key_param);
    code_patterns(c, &tool->param_patterns, tool->param_count);
    code_u64(c, &tool->cost_tokens);
    code_i64(c, &tool->cost_micro_usd);
}

static void code_flow(Coder *c, ImageFlow *flow)
{
    code_str(c, &flow->name);
    code_str(c, &flow->doc);
    code_index(c, &flow->func);
    code_fields(c, &flow->params, &flow->param_count);
    code_index(c, &flow->result);
    code_index(c, &flow->init_func);
    code_strs(c, &flow->scopes, &flow->scope_count);
    code_u8(c, &flow->durability);
    code_u8(c, &flow->one_per);
    code_index(c, &flow->one_per_func);
    code_u8(c, &flow->limit_per);
    code_index(c, &flow->limit_func);
    code_u32(c, &flow->limit_count);
    code_u32(c, &flow->priority);
    code_u8(c, &flow->rate_per);
    code_index(c, &flow->rate_func);
    code_u32(c, &flow->rate_count);
    code_i64(c, &flow->rate_unit_us);
    code_i64(c, &flow->within_us);
}

static void code_event(Coder *c, ImageEvent *event)
{
    code_str(c, &event->name);
    code_index(c, &event->type);
}

static void code_handler(Coder *c, ImageHandler *handler)
{
    code_str(c, &handler->name);
    code_index(c, &handler->event);
    code_index(c, &handler->agent);
    code_index(c, &handler->func);
    code_index(c, &handler->where_func);
    code_bool(c, &handler->starts_flow);
}

static void code_column(Coder *c, ImageColumn *column)
{
    code_str(c, &column->name);
    code_index(c, &column->type);
    code_u8(c, &column->labels);
    code_bool(c, &column->has_default);
    code_index(c, &column->default_const);
}
CODE_LIST(ImageColumn, code_columns, code_column)

static void code_table_index(Coder *c, ImageIndex *index)
{
    enum { COLUMNS_MAX = sizeof index->columns / sizeof *index->columns };
    code_bool(c, &index->unique);
    index->column_count = (uint16_t)code_small(c, index->column_count, COLUMNS_MAX);
    for (int i = 0; i < index->column_count && !c->fault; i++) code_index(c, &index->columns[i]);
}
CODE_LIST(ImageIndex, code_table_indexes, code_table_index)

static void code_visibility(Coder *c, ImageVisibility *visibility)
{
    code_bool(c, &visibility->declared);
    if (!visibility->declared) return;
    code_index(c, &visibility->column);
    code_index(c, &visibility->members);
    code_index(c, &visibility->user_column);
    code_index(c, &visibility->role_column);
    code_u64(c, &visibility->writers);
}

static void code_table(Coder *c, ImageTable *table)
{
    code_str(c, &table->name);
    code_index(c, &table->agent);
    code_bool(c, &table->shared);
    code_bool(c, &table->versioned);
    code_bool(c, &table->append_only);
    code_str(c, &table->id_prefix);
    code_index(c, &table->id_column);
    code_columns(c, &table->columns, &table->column_count);
    code_index(c, &table->row_type);
    code_table_indexes(c, &table->indexes, &table->index_count);
    code_bool(c, &table->cached);
    code_visibility(c, &table->visibility);
    code_u8(c, &table->erase);
    code_indexes(c, &table->erase_columns, &table->erase_column_count);
    code_i64(c, &table->retain_us);
    code_str(c, &table->retain_reason);
    code_str(c, &table->export_name);
}

/* Transitions are as many as the enum has members, so their number is not stored. */
static void code_machine(Coder *c, const Image *image, ImageMachine *machine)
{
    code_index(c, &machine->type);
    code_u64(c, &machine->finals);
    if (c->fault) return;
    if (machine->type >= image->type_count) {
        fault(c, "a machine has no such type");
        return;
    }
    uint16_t members = image->types[machine->type].member_count;
    if (!writing(c)) machine->targets = ARENA_ARRAY(c->arena, uint64_t, members ? members : 1);
    for (int i = 0; i < members && !c->fault; i++) code_u64(c, &machine->targets[i]);
}

static void code_machines(Coder *c, Image *image)
{
    image->machine_count = (uint16_t)code_rows(c, (void **)&image->machines, image->machine_count, IMAGE_INDEX_MAX, sizeof *image->machines);
    for (int i = 0; i < image->machine_count && !c->fault; i++) code_machine(c, image, &image->machines[i]);
}

static void code_state(Coder *c, ImageState *state)
{
    code_str(c, &state->name);
    code_u8(c, &state->kind);
    code_i64(c, &state->ttl_us);
    code_index(c, &state->type);
    code_indexes(c, &state->writers, &state->writer_count);
}

static void code_test(Coder *c, ImageTest *test)
{
    code_str(c, &test->title);
    code_index(c, &test->func);
    code_bool(c, &test->documented);
}

static void code_fixture(Coder *c, ImageFixture *fixture)
{
    code_str(c, &fixture->name);
    code_index(c, &fixture->func);
}

static void code_participant(Coder *c, ImageParticipant *participant)
{
    code_str(c, &participant->part);
    code_str(c, &participant->title);
}

static void code_resource(Coder *c, ImageResource *resource)
{
    code_str(c, &resource->uri);
    code_index(c, &resource->agent);
    code_index(c, &resource->func);
    code_index(c, &resource->result);
}

static void code_route(Coder *c, ImageRoute *route)
{
    code_str(c, &route->method);
    code_str(c, &route->path);
    code_index(c, &route->flow);
    code_u8(c, &route->flags);
    code_strs(c, &route->scopes, &route->scope_count);
}

static void code_webhook(Coder *c, ImageWebhook *webhook)
{
    code_str(c, &webhook->name);
    code_str(c, &webhook->method);
    code_str(c, &webhook->path);
    code_index(c, &webhook->flow);
    code_u8(c, &webhook->scheme);
    code_str(c, &webhook->secret_env);
    code_i64(c, &webhook->tolerance_us);
    code_i64(c, &webhook->dedupe_ttl_us);
    code_index(c, &webhook->dedupe_func);
    code_index(c, &webhook->tenant_func);
}

static void code_scope(Coder *c, ImageScope *scope)
{
    code_str(c, &scope->name);
    code_str(c, &scope->resource);
    code_str(c, &scope->action);
    code_str(c, &scope->description);
}

static void code_role(Coder *c, ImageRole *role)
{
    code_str(c, &role->name);
    code_bool(c, &role->is_default);
    code_strs(c, &role->scopes, &role->scope_count);
}

static void code_plan(Coder *c, ImagePlan *plan)
{
    code_index(c, &plan->func);
    code_u64(c, &plan->fuel);
    code_u64(c, &plan->memory_bytes);
    code_u32(c, &plan->calls);
    code_u32(c, &plan->calls_per_tool);
    code_i64(c, &plan->wall_us);
    code_u64(c, &plan->tokens);
    code_i64(c, &plan->micro_usd);
}

CODE_LIST(ImageConst, code_consts, code_const)
CODE_LIST(ImageFunc, code_funcs, code_func)
CODE_LIST(ImageEffect, code_effects, code_effect)
CODE_LIST(Query, code_queries, code_query)
CODE_LIST(ImageAgent, code_agents, code_agent)
CODE_LIST(ImageTool, code_tools, code_tool)
CODE_LIST(ImageFlow, code_flows, code_flow)
CODE_LIST(ImageEvent, code_events, code_event)
CODE_LIST(ImageHandler, code_handlers, code_handler)
CODE_LIST(ImageTable, code_tables, code_table)
CODE_LIST(ImageState, code_states, code_state)
CODE_LIST(ImageTest, code_tests, code_test)
CODE_LIST(ImageFixture, code_fixtures, code_fixture)
CODE_LIST(ImageParticipant, code_participants, code_participant)
CODE_LIST(ImageResource, code_resources, code_resource)
CODE_LIST(ImageRoute, code_routes, code_route)
CODE_LIST(ImageWebhook, code_webhooks, code_webhook)
CODE_LIST(ImageScope, code_scopes, code_scope)
CODE_LIST(ImageRole, code_roles, code_role)
CODE_LIST(ImagePlan, code_plans, code_plan)

/* The fixed types are already there; the others follow them. */
static void code_types(Coder *c, Image *image)
{
    uint32_t count = (uint32_t)code_small(c, image->type_count - (uint64_t)TYPE_INDEX_FIXED_COUNT, IMAGE_INDEX_MAX - TYPE_INDEX_FIXED_COUNT);
    for (uint32_t i = 0; i < count && !c->fault; i++) {
        uint16_t row = writing(c) ? (uint16_t)(TYPE_INDEX_FIXED_COUNT + i) : IMAGE_ADD(image, type);
        code_type(c, &image->types[row]);
    }
}

static void image_code(Coder *c, Image *image)
{
    code_strs(c, &image->files, &image->file_count);
    code_types(c, image);
    code_consts(c, &image->consts, &image->const_count);
    code_strs(c, &image->regexes, &image->regex_count);
    code_tables(c, &image->tables, &image->table_count);
    code_queries(c, &image->queries, &image->query_count);
    code_effects(c, &image->effects, &image->effect_count);
    code_funcs(c, &image->funcs, &image->func_count);
    code_agents(c, &image->agents, &image->agent_count);
    code_tools(c, &image->tools, &image->tool_count);
    code_resources(c, &image->resources, &image->resource_count);
    code_flows(c, &image->flows, &image->flow_count);
    code_events(c, &image->events, &image->event_count);
    code_events(c, &image->signals, &image->signal_count);
    code_handlers(c, &image->handlers, &image->handler_count);
    code_machines(c, image);
    code_states(c, &image->states, &image->state_count);
    code_tests(c, &image->tests, &image->test_count);
    code_fixtures(c, &image->fixtures, &image->fixture_count);
    code_participants(c, &image->participants, &image->participant_count);
    code_routes(c, &image->routes, &image->route_count);
    code_webhooks(c, &image->webhooks, &image->webhook_count);
    code_scopes(c, &image->scopes, &image->scope_count);
    code_roles(c, &image->roles, &image->role_count);
    code_plans(c, &image->plans, &image->plan_count);
}

void image_encode(Image *image, Buf *out)
{
    size_t start = out->len;
    buf_put(out, magic, sizeof magic);
    buf_put_varint(out, IMAGE_VERSION);
    Coder coder = { .out = out };
    image_code(&coder, image);
    image->hash = sha256((Str){ out->ptr + start, out->len - start });
}

static Err decode_into(Image *image, Str bytes, Error *error)
{
    if (bytes.len > IMAGE_SIZE_MAX) return err_set(error, ERR_LIMIT, "image has %zu bytes; IMAGE_SIZE_MAX is %d", bytes.len, IMAGE_SIZE_MAX);
    Coder coder = { .in = reader_of(bytes), .arena = image->arena, .size = bytes.len };
    Str start = read_raw(&coder.in, sizeof magic);
    if (coder.in.failed || memcmp(start.ptr, magic, sizeof magic)) return err_set(error, ERR_CORRUPT, "not an image: it does not begin with FLOWB");
    uint64_t version = read_varint(&coder.in);
    if (coder.in.failed) return err_set(error, ERR_CORRUPT, "cannot read image: truncated in its version");
    if (version != IMAGE_VERSION) return err_set(error, ERR_UNSUPPORTED, "image has version %llu; this program reads %d", (unsigned long long)version, IMAGE_VERSION);
    image_code(&coder, image);
    if (coder.fault) return err_set(error, ERR_CORRUPT, "cannot read image: %s, at byte %zu of %zu", coder.fault, coder.fault_at, bytes.len);
    if (reader_left(&coder.in)) return err_set(error, ERR_CORRUPT, "cannot read image: %zu bytes behind its end", reader_left(&coder.in));
    return ERR_OK;
}

static Err check_canonical(Image *image, Str bytes, Error *error)
{
    Buf again = { 0 };
    image_encode(image, &again);
    bool same = str_eq(buf_str(&again), bytes);
    buf_free(&again);
    return same ? ERR_OK : err_set(error, ERR_CORRUPT, "cannot read image: its bytes are not in canonical form");
}

Err image_decode(Str bytes, Image **out, Error *error)
{
    Image *image = image_new();
    Err err = decode_into(image, bytes, error);
    if (!err) err = check_canonical(image, bytes, error);
    if (!err) err = image_verify(image, error);
    if (err) image_free(image);
    else *out = image;
    return err;
}

/* ---- extensions ---- */

/* The rows of one table behind those of the base. Reading makes room once. */
static uint32_t code_appended(Coder *c, Image *image, void **rows, uint16_t *count, uint16_t base_count, size_t row_size)
{
    uint32_t more = (uint32_t)code_small(c, (uint64_t)*count - base_count, (uint64_t)IMAGE_INDEX_MAX - base_count);
    if (writing(c)) return more;
    if (more > reader_left(&c->in)) fault(c, "truncated: a table has more rows than bytes are left");
    if (c->fault) return 0;
    image_rows_add(image, rows, count, more, row_size);
    return more;
}
#define CODE_APPENDED(c, image, rows, count, code_row) \
    do { \
        uint16_t from_ = (image)->base->count; \
        uint32_t more_ = code_appended((c), (image), (void **)&(image)->rows, &(image)->count, from_, sizeof *(image)->rows); \
        for (uint32_t i_ = 0; i_ < more_ && !(c)->fault; i_++) code_row((c), &(image)->rows[from_ + i_]); \
    } while (0)

static void extension_code(Coder *c, Image *image)
{
    CODE_APPENDED(c, image, files, file_count, code_str);
    CODE_APPENDED(c, image, types, type_count, code_type);
    CODE_APPENDED(c, image, consts, const_count, code_const);
    CODE_APPENDED(c, image, regexes, regex_count, code_str);
    CODE_APPENDED(c, image, effects, effect_count, code_effect);
    CODE_APPENDED(c, image, funcs, func_count, code_func);
    CODE_APPENDED(c, image, plans, plan_count, code_plan);
}

void image_encode_extension(Image *image, Buf *out)
{
    size_t start = out->len;
    buf_put(out, extension_magic, sizeof extension_magic);
    buf_put_varint(out, IMAGE_VERSION);
    buf_put(out, image->base->hash.bytes, SHA256_BYTES);
    Coder coder = { .out = out };
    extension_code(&coder, image);
    image->hash = sha256((Str){ out->ptr + start, out->len - start });
}

static Err decode_extension_into(Image *image, Str bytes, Error *error)
{
    if (bytes.len > EXTENSION_SIZE_MAX) return err_set(error, ERR_LIMIT, "extension has %zu bytes; EXTENSION_SIZE_MAX is %d", bytes.len, EXTENSION_SIZE_MAX);
    Coder coder = { .in = reader_of(bytes), .arena = image->arena, .size = bytes.len };
    Str start = read_raw(&coder.in, sizeof extension_magic);
    if (coder.in.failed || memcmp(start.ptr, extension_magic, sizeof extension_magic)) return err_set(error, ERR_CORRUPT, "not an extension of an image: it does not begin with FLOWX");
    uint64_t version = read_varint(&coder.in);
    Str base = read_raw(&coder.in, SHA256_BYTES);
    if (coder.in.failed) return err_set(error, ERR_CORRUPT, "cannot read extension: truncated in its head");
    if (version != IMAGE_VERSION) return err_set(error, ERR_UNSUPPORTED, "extension has version %llu; this program reads %d", (unsigned long long)version, IMAGE_VERSION);
    if (memcmp(base.ptr, image->base->hash.bytes, SHA256_BYTES)) return err_set(error, ERR_CORRUPT, "cannot read extension: it extends another image than the one given");
    extension_code(&coder, image);
    if (coder.fault) return err_set(error, ERR_CORRUPT, "cannot read extension: %s, at byte %zu of %zu", coder.fault, coder.fault_at, bytes.len);
    if (reader_left(&coder.in)) return err_set(error, ERR_CORRUPT, "cannot read extension: %zu bytes behind its end", reader_left(&coder.in));
    return ERR_OK;
}

static Err check_extension_canonical(Image *image, Str bytes, Error *error)
{
    Buf again = { 0 };
    image_encode_extension(image, &again);
    bool same = str_eq(buf_str(&again), bytes);
    buf_free(&again);
    return same ? ERR_OK : err_set(error, ERR_CORRUPT, "cannot read extension: its bytes are not in canonical form");
}

Err image_decode_extension(Image *base, Str bytes, Image **out, Error *error)
{
    Image *image = image_extend(base);
    if (!image) return err_set(error, ERR_LIMIT, "cannot read extension: its base lies above EXTENSION_DEPTH_MAX (%d) others", EXTENSION_DEPTH_MAX);
    Err err = decode_extension_into(image, bytes, error);
    if (!err) err = check_extension_canonical(image, bytes, error);
    if (!err) err = image_verify_extension(image, error);
    if (err) image_free(image);
    else *out = image;
    return err;
}
