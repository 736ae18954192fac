/* lower_decl.c - declarations to rows of the image: agents, events, tables, machines, tools; parameters of functions. */
#include "compiler/lower_internal.h"

uint16_t agent_index(const Symbol *agent) { return agent ? agent->image_index : NO_INDEX; }

Symbol *lower_global(Lower *lw, Str name) { return map_find(&lw->program->globals, name); }

/* A plain string literal, or empty. */
static Str literal_text(const Ast *node)
{
    if (!node || node->kind != AST_STRING_EXPR) return STR("");
    AstList parts = ((const Ast_string_expr *)node)->parts;
    return parts.count == 1 && parts.items[0]->kind == AST_TEXT_PART ? as_text_part(parts.items[0])->text : STR("");
}

static void scopes_of(Lower *lw, AstList clauses, Str **scopes, uint16_t *count)
{
    for (uint32_t i = 0; i < clauses.count; i++) {
        if (clauses.items[i]->kind != AST_REQUIRES_CLAUSE) continue;
        AstList texts = as_requires_clause(clauses.items[i])->scopes;
        *scopes = ARENA_ARRAY(lw->image->arena, Str, texts.count + 1);
        for (uint32_t k = 0; k < texts.count; k++) (*scopes)[(*count)++] = lower_str(lw, literal_text(texts.items[k]));
    }
}

ImageField *params_rows(Lower *lw, FuncInfo *info)
{
    ImageField *rows = ARENA_ARRAY(lw->image->arena, ImageField, info->param_count + 1);
    for (uint32_t i = 0; i < info->param_count; i++) {
        Symbol *param = info->params[i];
        bool has_default = param->decl && param->decl->kind == AST_PARAM && as_param(param->decl)->value;
        uint8_t labels = (uint8_t)(param->type->labels | (is_trusted_param(param) ? LABEL_TRUSTED : 0));
        rows[i] = (ImageField){ .name = lower_str(lw, param->name), .type = row_of(lw, param->type), .labels = labels, .has_default = has_default };
    }
    return rows;
}

/* ---- agents: http(env.X), mcp("https://…"), auth credential("x") ---- */

static Ast *call_arg(Ast *node)
{
    if (!node || node->kind != AST_CALL_EXPR || !as_call_expr(node)->args.count) return NULL;
    Ast *arg = as_call_expr(node)->args.items[0];
    return arg->kind == AST_ARG ? as_arg(arg)->value : arg;
}

static void agent_location(Lower *lw, ImageAgent *row, Ast *location)
{
    if (!location || location->kind != AST_CALL_EXPR) return;
    Ast *callee = as_call_expr(location)->callee, *where = call_arg(location);
    Str word = callee->kind == AST_NAME_EXPR ? as_name_expr(callee)->name.text : STR("http");
    row->location = str_is(word, "mcp") ? AGENT_MCP : str_is(word, "engine") ? AGENT_ENGINE : AGENT_HTTP;
    if (where && where->kind == AST_FIELD_EXPR) row->location_env = lower_str(lw, as_field_expr(where)->name.text);
    else row->location_text = lower_str(lw, literal_text(where));
}

static void lower_agent(Lower *lw, Symbol *agent)
{
    Ast_agent_decl *decl = as_agent_decl(agent->decl);
    agent->image_index = lower_row(lw, IMAGE_ADD(lw->image, agent), "agents");
    ImageAgent row = { .name = lower_str(lw, agent->name), .title = lower_str(lw, decl->title), .location_env = STR(""), .location_text = STR(""), .credential = STR("") };
    agent_location(lw, &row, decl->location);
    if (decl->auth) row.credential = lower_str(lw, literal_text(call_arg(decl->auth)));
    lw->image->agents[agent->image_index] = row;
}

/* ---- events and signals ---- */

static void lower_event_row(Lower *lw, Symbol *event)
{
    uint16_t type = row_of(lw, event->type);
    if (event->kind == SYMBOL_EVENT) {
        event->image_index = lower_row(lw, IMAGE_ADD(lw->image, event), "events");
        lw->image->events[event->image_index] = (ImageEvent){ lower_str(lw, event->name), type };
    } else {
        event->image_index = lower_row(lw, IMAGE_ADD(lw->image, signal), "signals");
        lw->image->signals[event->image_index] = (ImageEvent){ lower_str(lw, event->name), type };
    }
}

/* ---- tables ---- */

/* A default that the store can put in by itself: a literal or a member of an enum. */
static bool default_const(Lower *lw, Ast *value, uint16_t column, uint16_t *index)
{
    uint16_t type = row_bare(lw, column);
    TypeKind kind = lower_kind(lw, type);
    int64_t number;
    bool negative = value->kind == AST_UNARY_EXPR && as_unary_expr(value)->op == UNARY_NEG;
    Ast *bare = negative ? as_unary_expr(value)->operand : value;
    Str digits = bare->kind == AST_DECIMAL_EXPR && !memchr(as_decimal_expr(bare)->digits.ptr, '_', as_decimal_expr(bare)->digits.len) ? as_decimal_expr(bare)->digits : STR("");
    if (kind == KIND_DECIMAL && (digits.len || bare->kind == AST_INT_EXPR)) {
        const char *text = digits.len ? arena_printf(lw->arena, "%s%.*s", negative ? "-" : "", STR_ARG(digits))
                                      : arena_printf(lw->arena, "%s%lld", negative ? "-" : "", (long long)as_int_expr(bare)->value);
        *index = const_bytes(lw, type, str_of(text));
        return true;
    }
    if (kind == KIND_STRING && value->kind == AST_STRING_EXPR && (literal_text(value).len || !as_string_expr(value)->parts.count)) {
        *index = const_bytes(lw, type, literal_text(value));
        return true;
    }
    if (value->kind == AST_BOOL_EXPR && kind == KIND_BOOL) number = as_bool_expr(value)->value;
    else if ((value->kind == AST_NAME_EXPR || value->kind == AST_FIELD_EXPR) && kind == KIND_ENUM && value->symbol && value->symbol->kind == SYMBOL_MEMBER) number = value->symbol->ordinal;
    else if (value->kind == AST_DATE_EXPR && kind == KIND_DATE) number = as_date_expr(value)->days;
    else if (value->kind == AST_TIMESTAMP_EXPR && kind == KIND_TIMESTAMP) number = as_timestamp_expr(value)->us;
    else if ((kind == KIND_INT && bare->kind == AST_INT_EXPR) || (kind == KIND_DURATION && bare->kind == AST_DURATION_EXPR)) {
        number = kind == KIND_INT ? as_int_expr(bare)->value : as_duration_expr(bare)->us;
        if (negative) number = -number;
    } else return false;
    *index = const_scalar(lw, type, (uint64_t)number);
    return true;
}

static ImageColumn column_row(Lower *lw, const Symbol *column)
{
    ImageColumn row = { .name = lower_str(lw, column->name), .type = row_of(lw, column->type), .labels = column->type->labels, .default_const = NO_INDEX };
    Ast *value = column->decl && column->decl->kind == AST_COLUMN ? as_column(column->decl)->value : NULL;
    if (value) row.has_default = default_const(lw, value, row.type, &row.default_const);
    if (!row.has_default) row.default_const = 0;
    return row;
}

static uint16_t column_of_name(const Symbol *table, Ast *name)
{
    Symbol *column = map_find(&table->members, name->kind == AST_NAME_REF ? as_name_ref(name)->name.text : as_name_expr(name)->name.text);
    return column ? (uint16_t)column->ordinal : 0;
}

static void table_erase(Lower *lw, const Symbol *table, ImageTable *row, Ast_erase_clause *clause)
{
    row->erase = str_is(clause->action.text, "anonymize") ? ERASE_ANONYMIZE : str_is(clause->action.text, "retain") ? ERASE_RETAIN : ERASE_DELETE;
    row->erase_columns = ARENA_ARRAY(lw->image->arena, uint16_t, clause->columns.count + 1);
    for (uint32_t i = 0; i < clause->columns.count; i++) row->erase_columns[row->erase_column_count++] = column_of_name(table, clause->columns.items[i]);
    if (clause->period && clause->period->kind == AST_DURATION_EXPR) row->retain_us = as_duration_expr(clause->period)->us;
    row->retain_reason = lower_str(lw, clause->reason);
}

static void table_clauses(Lower *lw, const Symbol *table, ImageTable *row, AstList clauses)
{
    enum { COLUMNS_MAX = sizeof row->indexes->columns / sizeof *row->indexes->columns };
    row->indexes = ARENA_ARRAY(lw->image->arena, ImageIndex, clauses.count + 1);
    for (uint32_t i = 0; i < clauses.count; i++) {
        Ast *clause = clauses.items[i];
        if (clause->kind == AST_ERASE_CLAUSE) table_erase(lw, table, row, as_erase_clause(clause));
        if (clause->kind == AST_EXPORT_CLAUSE) row->export_name = lower_str(lw, as_export_clause(clause)->name);
        if (clause->kind != AST_INDEX_CLAUSE) continue;
        AstList columns = as_index_clause(clause)->columns;
        if (columns.count > COLUMNS_MAX) lower_limit(lw, clause->span, "an index", columns.count, "columns", COLUMNS_MAX);
        ImageIndex *index = &row->indexes[row->index_count++];
        index->unique = as_index_clause(clause)->unique != 0;
        for (uint32_t k = 0; k < columns.count && k < COLUMNS_MAX; k++) index->columns[index->column_count++] = column_of_name(table, columns.items[k]);
    }
}

static void lower_table(Lower *lw, Symbol *table)
{
    TableInfo *info = table->info;
    ImageTable row = { .name = lower_str(lw, table->name), .agent = agent_index(table->owner), .shared = info->shared, .versioned = info->versioned, .cached = info->cached, .append_only = info->append_only,
                       .id_prefix = lower_str(lw, info->id_prefix), .id_column = NO_INDEX, .retain_reason = STR(""), .export_name = STR("") };
    row.row_type = row_of(lw, table->type);
    row.columns = ARENA_ARRAY(lw->image->arena, ImageColumn, info->column_count + 1);
    row.column_count = (uint16_t)info->column_count;
    for (uint16_t i = 0; i < row.column_count; i++) {
        row.columns[i] = column_row(lw, info->columns[i]);
        Type *type = info->columns[i]->type;
        bool generated = type->tag == TYPE_ID && type->decl == table && info->columns[i]->decl->kind == AST_COLUMN
            && as_column(info->columns[i]->decl)->type->kind == AST_ID_TYPE && !as_id_type(as_column(info->columns[i]->decl)->type)->table.text.len;
        bool named_id = str_is(row.columns[i].name, "id") && row.columns[i].type == TYPE_INDEX_STRING;      /* the key, though its author names the rows */
        if (generated || named_id) row.id_column = i;
    }
    table_clauses(lw, table, &row, info->decl->clauses);
    table->image_index = lower_row(lw, IMAGE_ADD(lw->image, table), "tables");
    lw->image->tables[table->image_index] = row;
}

static void lower_machine(Lower *lw, Symbol *machine)
{
    MachineInfo *info = machine->info;
    ImageMachine row = { .type = row_of(lw, machine->type), .finals = info->finals, .targets = ARENA_ARRAY(lw->image->arena, uint64_t, machine->type->member_count + 1) };
    for (uint32_t i = 0; i < machine->type->member_count; i++) row.targets[i] = info->targets[i];
    machine->image_index = lower_row(lw, IMAGE_ADD(lw->image, machine), "machines");
    lw->image->machines[machine->image_index] = row;
}

/* ---- tools ---- */

static void tool_clauses(Lower *lw, ImageTool *row, const FuncInfo *info, AstList clauses)
{
    for (uint32_t i = 0; i < clauses.count; i++) {
        Ast *clause = clauses.items[i];
        if (clause->kind == AST_VIA_CLAUSE) {
            row->method = lower_str(lw, as_via_clause(clause)->method.text);
            row->path = lower_str(lw, as_via_clause(clause)->path);
        } else if (clause->kind == AST_KEY_CLAUSE) {
            Symbol *key = as_key_clause(clause)->key->symbol;
            for (uint32_t k = 0; k < info->param_count; k++)
                if (info->params[k] == key) row->key_param = (uint16_t)k;
        } else if (clause->kind == AST_COSTS_CLAUSE) {
            Ast_costs_clause *costs = as_costs_clause(clause);
            if (costs->tokens) row->cost_tokens = (uint64_t)as_int_expr(costs->tokens)->value;
            if (costs->usd) money_micro(costs->usd, &row->cost_micro_usd);
        }
    }
}

/* What a plan needs to know of the parameters: what they look like, and what they are when it leaves them out. */
static void tool_params(Lower *lw, ImageTool *row, const FuncInfo *info)
{
    for (uint32_t i = 0; i < info->param_count; i++) {
        if (info->params[i]->decl->kind != AST_PARAM) continue;
        const Ast_param *param = as_param(info->params[i]->decl);
        if (param->pattern && !row->param_patterns) row->param_patterns = ARENA_ARRAY(lw->image->arena, Str, info->param_count);
        if (param->pattern) row->param_patterns[i] = regex_text(lw, param->pattern);
        if (!param->value) continue;
        if (!lw->image->const_count) const_bytes(lw, TYPE_INDEX_STRING, STR(""));      /* constant 0 means that there is none */
        default_json(lw, param->value, &row->params[i].default_const);
    }
}

static void lower_tool(Lower *lw, Symbol *tool)
{
    FuncInfo *info = tool->info;
    Ast_tool_decl *decl = as_tool_decl(tool->decl);
    ImageTool row = { .name = lower_str(lw, tool->name), .doc = lower_str(lw, tool->decl->doc), .agent = agent_index(tool->owner), .func = NO_INDEX, .flags = info->tool_flags,
                      .compensated_by = NO_INDEX, .method = STR(""), .path = STR(""), .key_param = NO_INDEX };
    row.params = params_rows(lw, info);
    row.param_count = (uint16_t)info->param_count;
    row.result = row_of(lw, info->result);
    scopes_of(lw, decl->clauses, &row.scopes, &row.scope_count);
    tool_params(lw, &row, info);
    tool_clauses(lw, &row, info, decl->clauses);
    if (!(row.flags & TOOL_REMOTE)) row.func = lower_row(lw, IMAGE_ADD(lw->image, func), "functions");
    tool->image_index = lower_row(lw, IMAGE_ADD(lw->image, tool), "tools");
    lw->image->tools[tool->image_index] = row;
}

/* ---- flows ---- */

static bool is_word(const Ast *key, const char *word)
{
    return key->kind == AST_NAME_EXPR && str_is(((const Ast_name_expr *)key)->name.text, word) && !(key->symbol && (key->symbol->kind == SYMBOL_PARAM || key->symbol->kind == SYMBOL_LOCAL));
}

static uint8_t key_kind(const Ast *key)
{
    if (!key) return KEY_NONE;
    return is_word(key, "user") ? KEY_USER : is_word(key, "tenant") ? KEY_TENANT : KEY_FUNC;
}

static int64_t rate_unit(Str unit)
{
    switch (unit.len ? unit.ptr[0] : 's') {
    case 'm': return INT64_C(60000000);
    case 'h': return INT64_C(3600000000);
    case 'd': return INT64_C(86400000000);
    default: return INT64_C(1000000);
    }
}

static uint32_t literal_count(const Ast *node)
{
    int64_t count;
    return fold_int(node, &count) && count > 0 && count <= UINT32_MAX ? (uint32_t)count : 0;
}

static uint16_t key_func(Lower *lw, uint8_t kind)
{
    return kind == KEY_FUNC ? lower_row(lw, IMAGE_ADD(lw->image, func), "functions") : NO_INDEX;
}

static void flow_clause(Lower *lw, ImageFlow *row, Ast *clause)
{
    switch (clause->kind) {
    case AST_WITHIN_CLAUSE: {
        int64_t us;
        if (fold_int(as_within_clause(clause)->duration, &us) && us > 0) row->within_us = us;
        break;
    }
    case AST_DURABILITY_CLAUSE: {
        Str level = as_durability_clause(clause)->level.text;
        row->durability = str_is(level, "session") ? DURABILITY_SESSION : str_is(level, "none") ? DURABILITY_NONE : DURABILITY_STRICT;
        break;
    }
    case AST_ONE_PER_CLAUSE:
        row->one_per = key_kind(as_one_per_clause(clause)->key);
        row->one_per_func = key_func(lw, row->one_per);
        break;
    case AST_LIMIT_CLAUSE:
        row->limit_per = key_kind(as_limit_clause(clause)->key);
        row->limit_func = key_func(lw, row->limit_per);
        row->limit_count = literal_count(as_limit_clause(clause)->count);
        break;
    case AST_PRIORITY_CLAUSE: row->priority = literal_count(as_priority_clause(clause)->value); break;
    case AST_RATE_CLAUSE:
        row->rate_per = key_kind(as_rate_clause(clause)->key);
        row->rate_func = key_func(lw, row->rate_per);
        row->rate_count = literal_count(as_rate_clause(clause)->count);
        row->rate_unit_us = rate_unit(as_rate_clause(clause)->unit.text);
        break;
    default: break;
    }
}

static void lower_flow_row(Lower *lw, Symbol *flow)
{
    FuncInfo *info = flow->info;
    Ast_flow_decl *decl = as_flow_decl(flow->decl);
    ImageFlow row = { .name = lower_str(lw, flow->name), .doc = lower_str(lw, flow->decl->doc), .init_func = NO_INDEX, .one_per_func = NO_INDEX, .limit_func = NO_INDEX, .rate_func = NO_INDEX };
    row.params = params_rows(lw, info);
    row.param_count = (uint16_t)info->param_count;
    row.result = row_of(lw, info->result);
    row.func = lower_row(lw, IMAGE_ADD(lw->image, func), "functions");
    scopes_of(lw, decl->clauses, &row.scopes, &row.scope_count);
    for (uint32_t i = 0; i < decl->clauses.count; i++) flow_clause(lw, &row, decl->clauses.items[i]);
    for (uint16_t i = 0; i < row.param_count; i++)
        if (row.params[i].has_default && row.init_func == NO_INDEX) row.init_func = lower_row(lw, IMAGE_ADD(lw->image, func), "functions");
    flow->image_index = lower_row(lw, IMAGE_ADD(lw->image, flow), "flows");
    lw->image->flows[flow->image_index] = row;
}

/* ---- all of them, in an order in which each finds what it names ---- */

static void each_symbol(Lower *lw, SymbolKind kind, void (*lower)(Lower *lw, Symbol *symbol))
{
    for (uint32_t i = 0; i < lw->program->symbol_count && !lw->failed; i++)
        if (lw->program->symbols[i]->kind == kind) lower(lw, lw->program->symbols[i]);
}

static void lower_fn_row(Lower *lw, Symbol *fn)
{
    fn->image_index = lower_row(lw, IMAGE_ADD(lw->image, func), "functions");
}

static void compensations(Lower *lw, Symbol *tool)
{
    Symbol *by = ((FuncInfo *)tool->info)->compensated_by;
    if (by) lw->image->tools[tool->image_index].compensated_by = by->image_index;
}

void lower_tables(Lower *lw)
{
    each_symbol(lw, SYMBOL_AGENT, lower_agent);
    each_symbol(lw, SYMBOL_EVENT, lower_event_row);
    each_symbol(lw, SYMBOL_SIGNAL, lower_event_row);
    each_symbol(lw, SYMBOL_TABLE, lower_table);
    each_symbol(lw, SYMBOL_TABLE, lower_visibility);
    each_symbol(lw, SYMBOL_MACHINE, lower_machine);
    each_symbol(lw, SYMBOL_SESSION, lower_state_row);
    each_symbol(lw, SYMBOL_CONTEXT, lower_state_row);
    each_symbol(lw, SYMBOL_TOOL, lower_tool);
    each_symbol(lw, SYMBOL_TOOL, compensations);
    each_symbol(lw, SYMBOL_FLOW, lower_flow_row);
    each_symbol(lw, SYMBOL_FN, lower_fn_row);
    each_symbol(lw, SYMBOL_FIXTURE, lower_fn_row);
}
