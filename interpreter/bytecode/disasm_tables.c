/* disasm_tables.c - the tables of an image, and queries, as readable text.
 *
 * A query's postfix expressions are written as infix with parentheses around every operation: what is applied to what is seen
 * without knowing the precedence of anything. Each item is used once, so the text is as long as the expression.
 */
#include "interpreter/bytecode/disasm_internal.h"

enum { TEXT_SHOWN = 80 };

static const char *const location_words[] = { "local", "http", "mcp", "engine" };
static const char *const key_words[] = { "none", "user", "tenant", "function" };
static const char *const durability_words[] = { "strict", "session", "none" };
static const char *const erase_words[] = { "none", "delete", "anonymize", "retain" };
static const char *const query_words[] = { "select", "select one", "aggregate", "exists", "insert", "update", "delete" };
static const char *word_of(const char *const *words, size_t count, unsigned index) { return index < count ? words[index] : "?"; }
#define WORD(words, index) word_of((words), sizeof(words) / sizeof *(words), (index))

static Str agent_name(const Image *m, uint32_t i) { return m->agents[i].name; }
static Str event_name(const Image *m, uint32_t i) { return m->events[i].name; }
static Str signal_name(const Image *m, uint32_t i) { return m->signals[i].name; }
static Str table_name(const Image *m, uint32_t i) { return m->tables[i].name; }
static Str func_name(const Image *m, uint32_t i) { return m->funcs[i].name; }
static Str flow_name(const Image *m, uint32_t i) { return m->flows[i].name; }
static Str state_name(const Image *m, uint32_t i) { return m->states[i].name; }
static Str tool_name(const Image *m, uint32_t i) { return m->tools[i].name; }

/* ---- queries ---- */

typedef struct QueryPrinter { const Image *image; const Query *query; Arena *arena; const char *stack[QUERY_STACK_MAX]; int depth; } QueryPrinter;

static const char *pop(QueryPrinter *p) { return p->depth ? p->stack[--p->depth] : "?"; }
static void push(QueryPrinter *p, const char *text)
{
    if (p->depth < QUERY_STACK_MAX) p->stack[p->depth++] = text;
}

static const char *column_text(QueryPrinter *p, QueryItem item)
{
    uint16_t table = item.source == 0 ? p->query->table : item.source <= p->query->join_count && item.source <= QUERY_JOINS_MAX ? p->query->joins[item.source - 1].table : NO_INDEX;
    if (table >= p->image->table_count || item.arg >= p->image->tables[table].column_count) return "?";
    Str name = p->image->tables[table].columns[item.arg].name;
    return p->query->join_count ? arena_printf(p->arena, "s%u.%.*s", item.source, STR_ARG(name)) : arena_printf(p->arena, "%.*s", STR_ARG(name));
}

static const char *const infix_words[] = {
    [QX_EQ] = "==", [QX_NE] = "!=", [QX_LT] = "<", [QX_LE] = "<=", [QX_GT] = ">", [QX_GE] = ">=", [QX_AND] = "and", [QX_OR] = "or", [QX_ADD] = "+",
    [QX_SUB] = "-", [QX_MUL] = "*", [QX_IN] = "in", [QX_CONTAINS] = "contains", [QX_STARTS] = "starts_with", [QX_ENDS] = "ends_with",
    [QX_CONCAT] = "++", [QX_COALESCE] = "??", [QX_KNOWN] = NULL
};
static const char *const prefix_words[] = {
    [QX_NOT] = "not", [QX_IS_NULL] = "is_null", [QX_LOWER] = "lower", [QX_UPPER] = "upper", [QX_COUNT] = "count", [QX_SUM] = "sum", [QX_MIN] = "min",
    [QX_MAX] = "max", [QX_AVG] = "avg", [QX_TO_DECIMAL] = "to_decimal", [QX_TO_FLOAT] = "to_float", [QX_KNOWN] = "known"
};

static void item_print(QueryPrinter *p, QueryItem item)
{
    if (item.op == QX_COLUMN) push(p, column_text(p, item));
    else if (item.op == QX_PARAM) push(p, arena_printf(p->arena, "$%u", item.arg));
    else if (item.op == QX_NULL) push(p, "null");
    else if (item.op == QX_COUNT_ALL) push(p, "count(*)");
    else if (item.op <= QX_KNOWN && infix_words[item.op]) {
        const char *right = pop(p), *left = pop(p);
        push(p, arena_printf(p->arena, "(%s %s %s)", left, infix_words[item.op], right));
    } else if (item.op <= QX_KNOWN && prefix_words[item.op]) push(p, arena_printf(p->arena, "%s(%s)", prefix_words[item.op], pop(p)));
    else push(p, "?");
}

static void expr_print(const Image *image, const Query *query, const QueryExpr *expr, Buf *out)
{
    QueryPrinter printer = { .image = image, .query = query, .arena = arena_new() };
    for (int i = 0; i < expr->count && i < QUERY_ITEMS_MAX; i++) item_print(&printer, expr->items[i]);
    buf_put_text(out, pop(&printer));
    arena_free(printer.arena);
}

static void sets_print(const Image *image, const Query *query, Buf *out)
{
    const ImageTable *table = query->table < image->table_count ? &image->tables[query->table] : NULL;
    for (int i = 0; i < query->set_count; i++) {
        uint16_t column = query->sets[i].column;
        Str name = table && column < table->column_count ? table->columns[column].name : STR("?");
        buf_printf(out, "%s%.*s = ", i ? ", " : " set ", STR_ARG(name));
        expr_print(image, query, &query->sets[i].value, out);
    }
}

static void exprs_print(const Image *image, const Query *query, const char *word, const QueryExpr *exprs, uint16_t count, Buf *out)
{
    for (int i = 0; i < count; i++) {
        buf_put_text(out, i ? ", " : word);
        expr_print(image, query, &exprs[i], out);
    }
}

void disasm_query(const Image *image, const Query *query, Buf *out)
{
    buf_printf(out, "%s ", WORD(query_words, query->kind));
    disasm_name(table_name, image, query->table, image->table_count, out);
    for (int i = 0; i < query->join_count && i < QUERY_JOINS_MAX; i++) {
        buf_put_text(out, " join ");
        disasm_name(table_name, image, query->joins[i].table, image->table_count, out);
        buf_printf(out, " as s%d on ", i + 1);
        expr_print(image, query, &query->joins[i].on, out);
    }
    sets_print(image, query, out);
    if (query->where.count) exprs_print(image, query, " where ", &query->where, 1, out);
    exprs_print(image, query, " group by ", query->groups, query->group_count, out);
    exprs_print(image, query, " give ", query->outputs, query->output_count, out);
    for (int i = 0; i < query->order_count; i++) {
        buf_put_text(out, i ? ", " : " order by ");
        expr_print(image, query, &query->orders[i].value, out);
        if (query->orders[i].descending) buf_put_text(out, " desc");
    }
    if (query->limit_param != NO_INDEX) buf_printf(out, " limit $%u", query->limit_param);
    if (query->cached_us) buf_printf(out, " kept %lld us", (long long)query->cached_us);
}

/* ---- types and constants ---- */

static void labels_print(uint8_t labels, Buf *out)
{
    if (labels & LABEL_PII) buf_put_text(out, "pii ");
    if (labels & LABEL_SECRET) buf_put_text(out, "secret ");
    if (labels & LABEL_UNTRUSTED) buf_put_text(out, "untrusted ");
    if (labels & LABEL_TRUSTED) buf_put_text(out, "trusted ");
}

static void fields_print(const Image *image, const ImageField *fields, uint16_t count, bool of_type, Buf *out)
{
    for (int i = 0; i < count; i++) {
        buf_printf(out, "%s%.*s: ", i ? ", " : "", STR_ARG(fields[i].name));
        labels_print(fields[i].labels, out);
        image_type_print(image, fields[i].type, out);
        if (!fields[i].has_default) continue;
        buf_put_text(out, " = ");
        if (of_type || fields[i].default_const) disasm_const(image, fields[i].default_const, out);
        else buf_put_text(out, "...");
    }
}

static void type_print(const Image *image, uint32_t index, Buf *out)
{
    const ImageType *type = &image->types[index];
    buf_printf(out, "  t%u ", index);
    image_type_print(image, (uint16_t)index, out);
    if (type->kind == KIND_RECORD && type->name.len) {
        buf_put_text(out, " { ");
        fields_print(image, type->fields, type->field_count, true, out);
        buf_put_text(out, " }");
    }
    for (int i = 0; type->kind == KIND_ENUM && type->name.len && i < type->member_count; i++)
        buf_printf(out, "%s%.*s%s", i ? ", " : " { ", STR_ARG(type->members[i]), i + 1 == type->member_count ? " }" : "");
    buf_put_char(out, '\n');
}

static void types_print(const Image *image, Buf *out)
{
    if (image->type_count > TYPE_INDEX_FIXED_COUNT) buf_put_text(out, "\ntypes\n");
    for (uint32_t i = TYPE_INDEX_FIXED_COUNT; i < image->type_count; i++) type_print(image, i, out);
}

static void consts_print(const Image *image, Buf *out)
{
    if (image->const_count) buf_put_text(out, "\nconstants\n");
    for (uint32_t i = 0; i < image->const_count; i++) {
        buf_printf(out, "  k%u ", i);
        image_type_print(image, image->consts[i].type, out);
        buf_put_char(out, ' ');
        disasm_const(image, (uint16_t)i, out);
        buf_put_char(out, '\n');
    }
    if (image->regex_count) buf_put_text(out, "\nregexes\n");
    for (uint32_t i = 0; i < image->regex_count; i++) {
        buf_printf(out, "  x%u ", i);
        disasm_quoted(image->regexes[i], TEXT_SHOWN, out);
        buf_put_char(out, '\n');
    }
}

/* ---- declarations ---- */

/* Also of an image that was not verified. */
static void visibility_print(const Image *image, const ImageTable *table, Buf *out)
{
    const ImageVisibility *v = &table->visibility;
    if (!v->declared) return;
    const ImageTable *members = v->members < image->table_count ? &image->tables[v->members] : NULL;
    Str column = v->column < table->column_count ? table->columns[v->column].name : STR("?");
    buf_printf(out, "    visible by %.*s to ", STR_ARG(column));
    disasm_name(table_name, image, v->members, image->table_count, out);
    const ImageType *role = members && v->role_column < members->column_count && members->columns[v->role_column].type < image->type_count ? &image->types[members->columns[v->role_column].type] : NULL;
    const char *comma = " write (";
    for (int i = 0; role && i < role->member_count && i < 64; i++) {
        if (!(v->writers >> i & 1)) continue;
        buf_printf(out, "%s%.*s", comma, STR_ARG(role->members[i]));
        comma = ", ";
    }
    buf_put_text(out, role ? ")\n" : "\n");
}

static void table_print(const Image *image, const ImageTable *table, Buf *out)
{
    buf_printf(out, "  %.*s", STR_ARG(table->name));
    if (table->agent != NO_INDEX) {
        buf_put_text(out, " of ");
        disasm_name(agent_name, image, table->agent, image->agent_count, out);
    }
    buf_printf(out, "%s%s%s%s, on erase %s\n", table->shared ? " shared" : "", table->versioned ? " versioned" : "", table->cached ? " cached" : "",
               table->append_only ? " append only" : "", WORD(erase_words, table->erase));
    for (int i = 0; i < table->column_count; i++) {
        const ImageColumn *column = &table->columns[i];
        buf_printf(out, "    %.*s: ", STR_ARG(column->name));
        labels_print(column->labels, out);
        image_type_print(image, column->type, out);
        if (i == table->id_column) buf_printf(out, " id \"%.*s\"", STR_ARG(table->id_prefix));
        if (column->has_default) {
            buf_put_text(out, " = ");
            disasm_const(image, column->default_const, out);
        }
        buf_put_char(out, '\n');
    }
    for (int i = 0; i < table->index_count; i++) {
        buf_printf(out, "    %s (", table->indexes[i].unique ? "unique" : "index");
        for (int j = 0; j < table->indexes[i].column_count && j < 8; j++) {
            uint16_t column = table->indexes[i].columns[j];
            Str name = column < table->column_count ? table->columns[column].name : STR("?");
            buf_printf(out, "%s%.*s", j ? ", " : "", STR_ARG(name));
        }
        buf_put_text(out, ")\n");
    }
    visibility_print(image, table, out);
}

static void tables_print(const Image *image, Buf *out)
{
    if (image->table_count) buf_put_text(out, "\ntables\n");
    for (uint32_t i = 0; i < image->table_count; i++) table_print(image, &image->tables[i], out);
    if (image->query_count) buf_put_text(out, "\nqueries\n");
    for (uint32_t i = 0; i < image->query_count; i++) {
        buf_printf(out, "  q%u ", i);
        disasm_query(image, &image->queries[i], out);
        buf_put_char(out, '\n');
    }
}

static void target_print(const Image *image, const ImageEffect *effect, Buf *out)
{
    switch (effect->kind) {
    case EFFECT_QUERY_READ: case EFFECT_QUERY_WRITE: buf_printf(out, "q%u", effect->target); break;
    case EFFECT_NEW_ID: case EFFECT_TEST_GIVEN_IDS: disasm_name(table_name, image, effect->target, image->table_count, out); break;
    case EFFECT_REFRESH: disasm_name(agent_name, image, effect->target, image->agent_count, out); break;
    case EFFECT_START_FLOW: case EFFECT_TEST_RUN: disasm_name(flow_name, image, effect->target, image->flow_count, out); break;
    case EFFECT_EMIT: case EFFECT_AWAIT_EVENT: case EFFECT_TEST_DELIVER: disasm_name(event_name, image, effect->target, image->event_count, out); break;
    case EFFECT_AWAIT_SIGNAL: case EFFECT_SEND_SIGNAL: case EFFECT_TEST_SIGNAL: disasm_name(signal_name, image, effect->target, image->signal_count, out); break;
    case EFFECT_SESSION_READ: case EFFECT_SESSION_SAVE: case EFFECT_SESSION_DELETE:
    case EFFECT_CONTEXT_OPEN: case EFFECT_CONTEXT_READ: case EFFECT_CONTEXT_WRITE: case EFFECT_CONTEXT_CLOSE:
        disasm_name(state_name, image, effect->target, image->state_count, out);
        break;
    default: disasm_name(tool_name, image, effect->target, image->tool_count, out);
    }
}

static void effects_print(const Image *image, Buf *out)
{
    if (image->effect_count) buf_put_text(out, "\neffects\n");
    for (uint32_t i = 0; i < image->effect_count; i++) {
        const ImageEffect *effect = &image->effects[i];
        const char *word = effect_name(effect->kind);
        buf_printf(out, "  e%u %s%s%.*s", i, word ? word : "?", effect->name.len ? " " : "", STR_ARG(effect->name));
        if (effect->target != NO_INDEX) {
            buf_put_text(out, " of ");
            target_print(image, effect, out);
        }
        buf_put_text(out, " (");
        for (int j = 0; j < effect->param_count; j++) {
            if (j) buf_put_text(out, ", ");
            image_type_print(image, effect->params[j], out);
        }
        buf_put_text(out, ") -> ");
        image_type_print(image, effect->result, out);
        buf_put_char(out, '\n');
    }
}

static void tool_flags_print(uint16_t flags, Buf *out)
{
    static const struct { uint16_t flag; const char *word; } words[] = {
        { TOOL_READS, "reads" }, { TOOL_IDEMPOTENT, "idempotent" }, { TOOL_KEYED, "keyed" }, { TOOL_IRREVERSIBLE, "irreversible" }, { TOOL_REMOTE, "remote" }, { TOOL_COMMAND, "command" }
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (flags & words[i].flag) buf_printf(out, " %s", words[i].word);
}

static void scopes_print(const Str *scopes, uint16_t count, Buf *out)
{
    for (int i = 0; i < count; i++) {
        buf_put_text(out, i ? ", " : " requires ");
        disasm_quoted(scopes[i], TEXT_SHOWN, out);
    }
}

static void agents_print(const Image *image, Buf *out)
{
    if (image->agent_count) buf_put_text(out, "\nagents\n");
    for (uint32_t i = 0; i < image->agent_count; i++) {
        const ImageAgent *agent = &image->agents[i];
        buf_printf(out, "  %.*s ", STR_ARG(agent->name));
        disasm_quoted(agent->title, TEXT_SHOWN, out);
        buf_printf(out, " %s %.*s%.*s\n", WORD(location_words, agent->location), STR_ARG(agent->location_env), STR_ARG(agent->location_text));
    }
    if (image->tool_count) buf_put_text(out, "\ntools\n");
    for (uint32_t i = 0; i < image->tool_count; i++) {
        const ImageTool *tool = &image->tools[i];
        buf_put_text(out, "  ");
        disasm_name(agent_name, image, tool->agent, image->agent_count, out);
        buf_printf(out, ".%.*s(", STR_ARG(tool->name));
        fields_print(image, tool->params, tool->param_count, false, out);
        buf_put_text(out, ") -> ");
        image_type_print(image, tool->result, out);
        tool_flags_print(tool->flags, out);
        if (tool->compensated_by != NO_INDEX) {
            buf_put_text(out, " compensated by ");
            disasm_name(tool_name, image, tool->compensated_by, image->tool_count, out);
        }
        scopes_print(tool->scopes, tool->scope_count, out);
        if (tool->cost_tokens) buf_printf(out, " costs %llu tokens", (unsigned long long)tool->cost_tokens);
        if (tool->cost_micro_usd) buf_printf(out, " costs %lld micro-usd", (long long)tool->cost_micro_usd);
        buf_put_char(out, '\n');
        for (int k = 0; tool->param_patterns && k < tool->param_count; k++) {
            if (!tool->param_patterns[k].len) continue;
            buf_printf(out, "    %.*s like ", STR_ARG(tool->params[k].name));
            disasm_quoted(tool->param_patterns[k], TEXT_SHOWN, out);
            buf_put_char(out, '\n');
        }
    }
}

static void plans_print(const Image *image, Buf *out)
{
    if (image->plan_count) buf_put_text(out, "\nplans\n");
    for (uint32_t i = 0; i < image->plan_count; i++) {
        const ImagePlan *plan = &image->plans[i];
        buf_put_text(out, "  ");
        disasm_name(func_name, image, plan->func, image->func_count, out);
        buf_printf(out, " fuel %llu memory %llu calls %u calls per tool %u wall %lld us tokens %llu micro-usd %lld\n", (unsigned long long)plan->fuel,
                   (unsigned long long)plan->memory_bytes, plan->calls, plan->calls_per_tool, (long long)plan->wall_us, (unsigned long long)plan->tokens, (long long)plan->micro_usd);
    }
}

static void resources_print(const Image *image, Buf *out)
{
    if (image->resource_count) buf_put_text(out, "\nresources\n");
    for (uint32_t i = 0; i < image->resource_count; i++) {
        const ImageResource *resource = &image->resources[i];
        buf_put_text(out, "  ");
        disasm_name(agent_name, image, resource->agent, image->agent_count, out);
        buf_put_char(out, ' ');
        disasm_quoted(resource->uri, TEXT_SHOWN, out);
        buf_put_text(out, " -> ");
        image_type_print(image, resource->result, out);
        if (resource->func != NO_INDEX) buf_printf(out, " f%u", resource->func);
        buf_put_char(out, '\n');
    }
}

static void flows_print(const Image *image, Buf *out)
{
    if (image->flow_count) buf_put_text(out, "\nflows\n");
    for (uint32_t i = 0; i < image->flow_count; i++) {
        const ImageFlow *flow = &image->flows[i];
        buf_printf(out, "  %.*s(", STR_ARG(flow->name));
        fields_print(image, flow->params, flow->param_count, false, out);
        buf_put_text(out, ") -> ");
        image_type_print(image, flow->result, out);
        buf_printf(out, " f%u durability %s", flow->func, WORD(durability_words, flow->durability));
        scopes_print(flow->scopes, flow->scope_count, out);
        if (flow->init_func != NO_INDEX) buf_printf(out, " init f%u", flow->init_func);
        if (flow->priority) buf_printf(out, " priority %u", flow->priority);
        if (flow->one_per) buf_printf(out, " one per %s", WORD(key_words, flow->one_per));
        if (flow->limit_count) buf_printf(out, " limit %u per %s", flow->limit_count, WORD(key_words, flow->limit_per));
        if (flow->rate_count) buf_printf(out, " rate %u per %s", flow->rate_count, WORD(key_words, flow->rate_per));
        buf_put_char(out, '\n');
    }
}

static void records_print(const Image *image, const char *heading, const ImageEvent *events, uint16_t count, Buf *out)
{
    if (count) buf_printf(out, "\n%s\n", heading);
    for (uint32_t i = 0; i < count; i++) {
        buf_printf(out, "  %.*s: ", STR_ARG(events[i].name));
        image_type_print(image, events[i].type, out);
        buf_put_char(out, '\n');
    }
}

static void handlers_print(const Image *image, Buf *out)
{
    if (image->handler_count) buf_put_text(out, "\nhandlers\n");
    for (uint32_t i = 0; i < image->handler_count; i++) {
        const ImageHandler *handler = &image->handlers[i];
        buf_printf(out, "  %.*s on ", STR_ARG(handler->name));
        disasm_name(event_name, image, handler->event, image->event_count, out);
        buf_put_text(out, " do ");
        disasm_name(func_name, image, handler->func, image->func_count, out);
        if (handler->where_func != NO_INDEX) buf_printf(out, " where f%u", handler->where_func);
        buf_put_char(out, '\n');
    }
}

static void machine_print(const Image *image, const ImageMachine *machine, Buf *out)
{
    if (machine->type >= image->type_count) return;
    const ImageType *type = &image->types[machine->type];
    buf_printf(out, "  %.*s\n", STR_ARG(type->name));
    for (int from = 0; from < type->member_count && from < 64; from++) {
        bool final = machine->finals >> from & 1;
        const char *separator = " -> ";
        buf_printf(out, "    %s%.*s", final ? "final " : "", STR_ARG(type->members[from]));
        for (int to = 0; to < type->member_count && to < 64; to++)
            if (machine->targets[from] >> to & 1) {
                buf_printf(out, "%s%.*s", separator, STR_ARG(type->members[to]));
                separator = ", ";
            }
        buf_put_char(out, '\n');
    }
}

static void states_print(const Image *image, Buf *out)
{
    if (image->state_count) buf_put_text(out, "\nsessions and contexts\n");
    for (uint32_t i = 0; i < image->state_count; i++) {
        const ImageState *state = &image->states[i];
        buf_printf(out, "  %s %.*s ttl %lld us ", state->kind == STATE_SESSION ? "session" : "context", STR_ARG(state->name), (long long)state->ttl_us);
        image_type_print(image, state->type, out);
        for (uint16_t k = 0; k < state->writer_count; k++) {
            buf_put_text(out, k ? ", " : " by ");
            if (state->writers[k] == NO_INDEX) buf_put_text(out, "flow");
            else disasm_name(agent_name, image, state->writers[k], image->agent_count, out);
        }
        buf_put_char(out, '\n');
    }
}

static void rest_print(const Image *image, Buf *out)
{
    if (image->machine_count) buf_put_text(out, "\nmachines\n");
    for (uint32_t i = 0; i < image->machine_count; i++) machine_print(image, &image->machines[i], out);
    if (image->test_count) buf_put_text(out, "\ntests\n");
    for (uint32_t i = 0; i < image->test_count; i++) {
        buf_put_text(out, "  ");
        disasm_quoted(image->tests[i].title, TEXT_SHOWN, out);
        buf_printf(out, " f%u%s\n", image->tests[i].func, image->tests[i].documented ? " documented" : "");
    }
    if (image->fixture_count) buf_put_text(out, "\nfixtures\n");
    for (uint32_t i = 0; i < image->fixture_count; i++) buf_printf(out, "  %.*s f%u\n", STR_ARG(image->fixtures[i].name), image->fixtures[i].func);
}

void disasm_tables(const Image *image, Buf *out)
{
    buf_printf(out, "image version %d\n", IMAGE_VERSION);
    types_print(image, out);
    consts_print(image, out);
    tables_print(image, out);
    effects_print(image, out);
    agents_print(image, out);
    resources_print(image, out);
    plans_print(image, out);
    flows_print(image, out);
    records_print(image, "events", image->events, image->event_count, out);
    records_print(image, "signals", image->signals, image->signal_count, out);
    handlers_print(image, out);
    states_print(image, out);
    rest_print(image, out);
    disasm_routes(image, out);
}
