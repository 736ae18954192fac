/* sample_image.h - an image with a row in every table, made by hand, and the few words to write code into one. Tests change it. */
#ifndef TESTS_SAMPLE_IMAGE_H
#define TESTS_SAMPLE_IMAGE_H
#include "interpreter/bytecode/image.h"

/* Types behind the fixed ones. */
enum {
    T_LIST_INT = TYPE_INDEX_FIXED_COUNT, T_OPT_INT, T_STATUS, T_OPT_STRING, T_TRIP, T_LIST_TRIP, T_OPT_TRIP, T_MAP_INT, T_BOOKED, T_BOTH, T_SUMMARY,
    T_LIST_SUMMARY, T_SMALL_STATUS
};
enum { K_FORTY, K_TEXT, K_PRICE, K_JSON, K_HALF, K_DAY, K_DONE };
enum { F_SEARCH, F_BOOK, F_INIT, F_KEY, F_BRANCH, F_BRANCH_SOFT, F_UNDO, F_HANDLER, F_WHERE, F_TEST, F_FIXTURE, F_WORK, F_LOOP, F_PARALLEL, F_GUARD, F_SCOPE, FUNC_TOTAL };
enum { E_NOW, E_READ, E_INSERT, E_EMIT, E_REMOTE, E_ASK, E_PROGRESS, E_START, E_CLASSIFY, E_AWAIT, E_SIGNAL };
enum { Q_OPEN, Q_INSERT, Q_SUM, Q_GROUPED, Q_UPDATE, Q_ONE };
enum { TOOL_SEARCH, TOOL_WEATHER };

/* A fresh row. In two steps, because adding moves the table. */
#define NEW_ROW(image, table) ({ uint16_t row_ = IMAGE_ADD((image), table); &(image)->table##s[row_]; })
#define PUT(image, ...) sample_code((image), (Insn[]){ __VA_ARGS__ }, sizeof (Insn[]){ __VA_ARGS__ } / sizeof(Insn))
#define REGS(image, ...) sample_regs((image), (uint16_t[]){ __VA_ARGS__ }, sizeof (uint16_t[]){ __VA_ARGS__ } / sizeof(uint16_t))
#define I(op, a, b, c) INSN(OP_##op, (a), (b), (c))
#define WIDE(op, a, value) INSN(OP_##op, (a), (uint16_t)(uint32_t)(value), (uint16_t)((uint32_t)(value) >> 16))

static inline ImageFunc *sample_last(Image *m) { return &m->funcs[m->func_count - 1]; }

static inline void sample_code(Image *m, const Insn *code, uint32_t count)
{
    ImageFunc *func = sample_last(m);
    func->code = ARENA_ARRAY(m->arena, Insn, count);
    memcpy(func->code, code, count * sizeof *code);
    func->code_count = count;
}

static inline void sample_regs(Image *m, const uint16_t *types, uint16_t count)
{
    ImageFunc *func = sample_last(m);
    func->reg_types = ARENA_ARRAY(m->arena, uint16_t, count);
    memcpy(func->reg_types, types, count * sizeof *types);
    func->reg_count = count;
}

static inline ImageFunc *sample_func(Image *m, const char *name, FuncKind kind, uint16_t owner, uint16_t param_count, uint16_t result)
{
    ImageFunc *func = NEW_ROW(m, func);
    func->name = str_of(name);
    func->kind = (uint8_t)kind;
    func->owner = owner;
    func->agent = NO_INDEX;
    func->param_count = param_count;
    func->result = result;
    return func;
}

static inline ImageField *sample_fields(Image *m, int count, const char *const *names, const uint16_t *types)
{
    ImageField *fields = ARENA_ARRAY(m->arena, ImageField, count);
    for (int i = 0; i < count; i++) fields[i] = (ImageField){ .name = str_of(names[i]), .type = types[i] };
    return fields;
}

static inline void sample_type(Image *m, ImageType type) { *NEW_ROW(m, type) = type; }

static inline void sample_record(Image *m, const char *name, int count, const char *const *names, const uint16_t *types)
{
    ImageField *fields = sample_fields(m, count, names, types);
    sample_type(m, (ImageType){ .kind = KIND_RECORD, .name = str_of(name), .fields = fields, .field_count = (uint16_t)count });
}

static inline void sample_types(Image *m)
{
    static Str states[] = { { "OPEN", 4 }, { "DONE", 4 } }, one_state[] = { { "ONLY", 4 } }, patterns[] = { { "i/open|offen", 12 }, { "", 0 } };
    sample_type(m, (ImageType){ .kind = KIND_LIST, .element = TYPE_INDEX_INT });
    sample_type(m, (ImageType){ .kind = KIND_OPT, .element = TYPE_INDEX_INT });
    sample_type(m, (ImageType){ .kind = KIND_ENUM, .name = STR("Status"), .members = states, .member_count = 2, .member_patterns = patterns });
    sample_type(m, (ImageType){ .kind = KIND_OPT, .element = TYPE_INDEX_STRING });
    sample_record(m, "Trip", 5, (const char *const[]){ "id", "price", "status", "note", "version" },
                  (const uint16_t[]){ TYPE_INDEX_STRING, TYPE_INDEX_DECIMAL, T_STATUS, T_OPT_STRING, TYPE_INDEX_INT });
    sample_type(m, (ImageType){ .kind = KIND_LIST, .element = T_TRIP });
    sample_type(m, (ImageType){ .kind = KIND_OPT, .element = T_TRIP });
    sample_type(m, (ImageType){ .kind = KIND_MAP, .element = TYPE_INDEX_INT });
    sample_record(m, "Booked", 2, (const char *const[]){ "id", "price" }, (const uint16_t[]){ TYPE_INDEX_STRING, TYPE_INDEX_DECIMAL });
    sample_record(m, "", 2, (const char *const[]){ "city", "nights" }, (const uint16_t[]){ TYPE_INDEX_STRING, TYPE_INDEX_INT });
    sample_record(m, "", 2, (const char *const[]){ "status", "number" }, (const uint16_t[]){ T_STATUS, TYPE_INDEX_INT });
    m->types[T_SUMMARY].fields[1].has_default = true;
    m->types[T_SUMMARY].fields[1].default_const = K_JSON;
    sample_type(m, (ImageType){ .kind = KIND_LIST, .element = T_SUMMARY });
    sample_type(m, (ImageType){ .kind = KIND_ENUM, .name = STR("Small"), .members = one_state, .member_count = 1 });
}

static inline void sample_const(Image *m, uint16_t type, uint64_t word, const char *text)
{
    *NEW_ROW(m, const) = (ImageConst){ .type = type, .word = word, .bytes = str_of(text) };
}

static inline void sample_consts(Image *m)
{
    double half = 0.5;
    uint64_t half_word;
    memcpy(&half_word, &half, sizeof half_word);
    sample_const(m, TYPE_INDEX_INT, 40, "");
    sample_const(m, TYPE_INDEX_STRING, 0, "Grüße");
    sample_const(m, TYPE_INDEX_DECIMAL, 0, "49.90");
    sample_const(m, TYPE_INDEX_JSON, 0, "{\"a\":[1,2]}");
    sample_const(m, TYPE_INDEX_FLOAT, half_word, "");
    sample_const(m, TYPE_INDEX_DATE, 20000, "");
    sample_const(m, T_STATUS, 1, "");
    uint16_t regex = IMAGE_ADD_REGEX(m);
    m->regexes[regex] = STR("i/flight|airport");
    *NEW_ROW(m, file) = STR("trip.flow");
}

static inline QueryExpr sample_expr(Image *m, const QueryItem *items, uint16_t count)
{
    QueryItem *copy = ARENA_ARRAY(m->arena, QueryItem, count);
    memcpy(copy, items, count * sizeof *items);
    return (QueryExpr){ copy, count };
}
#define EXPR(m, ...) sample_expr((m), (QueryItem[]){ __VA_ARGS__ }, sizeof (QueryItem[]){ __VA_ARGS__ } / sizeof(QueryItem))

static inline Query *sample_query(Image *m, QueryKind kind, uint16_t result, uint16_t row_type, int param_count, const uint16_t *params)
{
    uint16_t row = IMAGE_ADD_QUERY(m);
    Query *query = &m->queries[row];
    query->kind = (uint8_t)kind;
    query->limit_param = NO_INDEX;
    query->result = result;
    query->row_type = row_type;
    query->param_count = (uint16_t)param_count;
    query->params = ARENA_ARRAY(m->arena, uint16_t, param_count + 1);
    for (int i = 0; i < param_count; i++) query->params[i] = params[i];
    return query;
}

static inline void sample_tables(Image *m)
{
    ImageTable *table = NEW_ROW(m, table);
    const ImageType *trip = &m->types[T_TRIP];
    *table = (ImageTable){ .name = STR("trips"), .versioned = true, .id_prefix = STR("TRP"), .row_type = T_TRIP, .column_count = trip->field_count };
    table->columns = ARENA_ARRAY(m->arena, ImageColumn, trip->field_count);
    for (int i = 0; i < trip->field_count; i++)
        table->columns[i] = (ImageColumn){ .name = trip->fields[i].name, .type = trip->fields[i].type, .default_const = NO_INDEX };
    table->columns[2].has_default = true;
    table->columns[2].default_const = K_DONE;
    table->columns[3].labels = LABEL_PII;
    table->indexes = ARENA_ARRAY(m->arena, ImageIndex, 1);
    table->indexes[0] = (ImageIndex){ .unique = true, .columns = { 2, 0 }, .column_count = 2 };
    table->index_count = 1;
    table->erase = ERASE_ANONYMIZE;
    table->erase_columns = ARENA_ARRAY(m->arena, uint16_t, 1);
    table->erase_columns[0] = 3;
    table->erase_column_count = 1;
}

static inline void sample_queries(Image *m)
{
    Query *q = sample_query(m, QUERY_SELECT, T_LIST_TRIP, T_TRIP, 3, (uint16_t[]){ T_STATUS, T_LIST_INT, TYPE_INDEX_INT });
    q->where = EXPR(m, { QX_COLUMN, 0, 2 }, { QX_PARAM, 0, 0 }, { QX_EQ, 0, 0 }, { QX_COLUMN, 0, 4 }, { QX_PARAM, 0, 1 }, { QX_IN, 0, 0 }, { QX_AND, 0, 0 });
    q->orders = ARENA_ARRAY(m->arena, QueryOrder, 1);
    q->orders[0] = (QueryOrder){ EXPR(m, { QX_COLUMN, 0, 1 }), true };
    q->order_count = 1;
    q->limit_param = 2;

    q = sample_query(m, QUERY_INSERT, T_TRIP, T_TRIP, 2, (uint16_t[]){ TYPE_INDEX_STRING, TYPE_INDEX_DECIMAL });
    q->sets = ARENA_ARRAY(m->arena, QuerySet, 2);
    q->sets[0] = (QuerySet){ 0, EXPR(m, { QX_PARAM, 0, 0 }) };
    q->sets[1] = (QuerySet){ 1, EXPR(m, { QX_PARAM, 0, 1 }) };
    q->set_count = 2;

    q = sample_query(m, QUERY_AGGREGATE, TYPE_INDEX_DECIMAL, NO_INDEX, 0, NULL);
    q->outputs = ARENA_ARRAY(m->arena, QueryExpr, 1);
    q->outputs[0] = EXPR(m, { QX_COLUMN, 0, 1 }, { QX_SUM, 0, 0 });
    q->output_count = 1;

    q = sample_query(m, QUERY_SELECT, T_LIST_SUMMARY, T_SUMMARY, 0, NULL);
    q->groups = ARENA_ARRAY(m->arena, QueryExpr, 1);
    q->groups[0] = EXPR(m, { QX_COLUMN, 0, 2 });
    q->group_count = 1;
    q->outputs = ARENA_ARRAY(m->arena, QueryExpr, 2);
    q->outputs[0] = EXPR(m, { QX_COLUMN, 0, 2 });
    q->outputs[1] = EXPR(m, { QX_COUNT_ALL, 0, 0 });
    q->output_count = 2;

    q = sample_query(m, QUERY_UPDATE, TYPE_INDEX_INT, NO_INDEX, 1, (uint16_t[]){ TYPE_INDEX_STRING });
    q->where = EXPR(m, { QX_COLUMN, 0, 0 }, { QX_PARAM, 0, 0 }, { QX_EQ, 0, 0 });
    q->sets = ARENA_ARRAY(m->arena, QuerySet, 1);
    q->sets[0] = (QuerySet){ 3, EXPR(m, { QX_NULL, 0, 0 }) };
    q->set_count = 1;

    q = sample_query(m, QUERY_SELECT_ONE, T_OPT_TRIP, T_TRIP, 0, NULL);
    q->joins[0] = (QueryJoin){ 0, EXPR(m, { QX_COLUMN, 0, 0 }, { QX_COLUMN, 1, 0 }, { QX_EQ, 0, 0 }) };
    q->join_count = 1;
    q->where = EXPR(m, { QX_COLUMN, 1, 3 }, { QX_IS_NULL, 0, 0 }, { QX_NOT, 0, 0 });
}

static inline void sample_effect(Image *m, EffectKind kind, uint16_t target, uint16_t result, int count, const uint16_t *params)
{
    ImageEffect *effect = NEW_ROW(m, effect);
    *effect = (ImageEffect){ .kind = (uint8_t)kind, .target = target, .result = result, .param_count = (uint16_t)count };
    effect->params = ARENA_ARRAY(m->arena, uint16_t, count + 1);
    memcpy(effect->params, params, (size_t)count * sizeof *params);
}
#define EFFECT_ROW(m, kind, target, result, ...) sample_effect((m), EFFECT_##kind, (target), (result), (int)(sizeof (uint16_t[]){ 0, ##__VA_ARGS__ } / sizeof(uint16_t)) - 1, (uint16_t[]){ 0, ##__VA_ARGS__ } + 1)

static inline void sample_effects(Image *m)
{
    EFFECT_ROW(m, NOW, NO_INDEX, TYPE_INDEX_TIMESTAMP);
    EFFECT_ROW(m, QUERY_READ, Q_OPEN, T_LIST_TRIP, T_STATUS, T_LIST_INT, TYPE_INDEX_INT);
    EFFECT_ROW(m, QUERY_WRITE, Q_INSERT, T_TRIP, TYPE_INDEX_STRING, TYPE_INDEX_DECIMAL);
    EFFECT_ROW(m, EMIT, 0, TYPE_INDEX_STRING, T_BOOKED);
    EFFECT_ROW(m, REMOTE_CALL, TOOL_WEATHER, T_OPT_STRING, TYPE_INDEX_STRING);
    EFFECT_ROW(m, ASK, NO_INDEX, TYPE_INDEX_BOOL, TYPE_INDEX_STRING);
    EFFECT_ROW(m, NOTE_PROGRESS, NO_INDEX, TYPE_INDEX_VOID, TYPE_INDEX_INT, TYPE_INDEX_STRING);
    EFFECT_ROW(m, START_FLOW, 0, TYPE_INDEX_STRING, TYPE_INDEX_STRING, TYPE_INDEX_INT);
    EFFECT_ROW(m, LLM_CLASSIFY, NO_INDEX, T_STATUS, TYPE_INDEX_STRING);
    EFFECT_ROW(m, AWAIT_EVENT, 0, T_BOOKED);
    EFFECT_ROW(m, SEND_SIGNAL, 0, TYPE_INDEX_VOID, TYPE_INDEX_STRING, T_BOOKED);
}

static inline void sample_declarations(Image *m)
{
    static Str scopes[] = { { "travel:read", 11 } };
    *NEW_ROW(m, agent) = (ImageAgent){ .name = STR("travel"), .title = STR("Travel Agent") };
    *NEW_ROW(m, agent) = (ImageAgent){ .name = STR("weather"), .title = STR("Weather"), .location = AGENT_HTTP, .location_env = STR("WEATHER_URL") };
    ImageTool *tool = NEW_ROW(m, tool);
    *tool = (ImageTool){ .name = STR("search"), .func = F_SEARCH, .flags = TOOL_READS, .compensated_by = NO_INDEX, .key_param = NO_INDEX, .result = T_LIST_TRIP };
    tool->params = sample_fields(m, 1, (const char *const[]){ "status" }, (const uint16_t[]){ T_STATUS });
    tool->param_count = 1;
    tool->scopes = scopes;
    tool->scope_count = 1;
    tool = NEW_ROW(m, tool);
    *tool = (ImageTool){ .name = STR("forecast"), .agent = 1, .func = NO_INDEX, .flags = TOOL_REMOTE | TOOL_KEYED, .compensated_by = NO_INDEX, .key_param = 0, .result = T_OPT_STRING };
    tool->params = sample_fields(m, 1, (const char *const[]){ "city" }, (const uint16_t[]){ TYPE_INDEX_STRING });
    tool->param_count = 1;
    tool->method = STR("GET");
    tool->path = STR("/v1/forecast");
    *NEW_ROW(m, resource) = (ImageResource){ .uri = STR("weather://today"), .agent = 1, .func = NO_INDEX, .result = T_OPT_STRING };
    ImageFlow *flow = NEW_ROW(m, flow);
    *flow = (ImageFlow){ .name = STR("book"), .func = F_BOOK, .result = TYPE_INDEX_STRING, .init_func = F_INIT, .one_per = KEY_FUNC, .one_per_func = F_KEY,
                         .limit_func = NO_INDEX, .rate_func = NO_INDEX, .rate_count = 5, .rate_unit_us = 60000000, .within_us = 600000000 };
    flow->params = sample_fields(m, 2, (const char *const[]){ "city", "nights" }, (const uint16_t[]){ TYPE_INDEX_STRING, TYPE_INDEX_INT });
    flow->params[1].has_default = true;
    flow->param_count = 2;
    *NEW_ROW(m, event) = (ImageEvent){ STR("TripBooked"), T_BOOKED };
    *NEW_ROW(m, signal) = (ImageEvent){ STR("change"), T_BOOKED };
    *NEW_ROW(m, handler) = (ImageHandler){ .name = STR("on_booked"), .agent = 0, .func = F_HANDLER, .where_func = F_WHERE };
    ImageMachine *machine = NEW_ROW(m, machine);
    *machine = (ImageMachine){ .type = T_STATUS, .targets = ARENA_ARRAY(m->arena, uint64_t, 2), .finals = 2 };
    machine->targets[0] = 2;
    *NEW_ROW(m, test) = (ImageTest){ STR("it books"), F_TEST, true };
    *NEW_ROW(m, fixture) = (ImageFixture){ STR("trips"), F_FIXTURE };
    static Str city_scopes[] = { { "travel:read", 11 }, { "travel:write", 12 } };
    *NEW_ROW(m, route) = (ImageRoute){ .method = STR("POST"), .path = STR("/api/v1/trips/{city}"), .flags = ROUTE_STREAM, .scopes = city_scopes, .scope_count = 2 };
    *NEW_ROW(m, route) = (ImageRoute){ .method = STR("GET"), .path = STR("/api/v1/trips"), .flags = ROUTE_PUBLIC };
    *NEW_ROW(m, scope) = (ImageScope){ STR("travel:read"), STR("trips"), STR("read"), STR("Read trips") };
    *NEW_ROW(m, scope) = (ImageScope){ STR("travel:write"), STR("trips"), STR("write"), STR("Book trips") };
    *NEW_ROW(m, role) = (ImageRole){ .name = STR("USER"), .is_default = true, .scopes = city_scopes, .scope_count = 2 };
    *NEW_ROW(m, participant) = (ImageParticipant){ STR("user"), STR("User") };
}

static inline void sample_tries_of(Image *m, uint16_t index, const ImageTry *tries, uint16_t count)
{
    ImageFunc *func = &m->funcs[index];
    func->tries = ARENA_ARRAY(m->arena, ImageTry, count);
    memcpy(func->tries, tries, count * sizeof *tries);
    func->try_count = count;
}

static inline void sample_tries(Image *m, const ImageTry *tries, uint16_t count) { sample_tries_of(m, (uint16_t)(m->func_count - 1), tries, count); }

/* Declared functions: small ones behind tool, flow, handler, test. */
static inline void sample_small_funcs(Image *m)
{
    enum { S = TYPE_INDEX_STRING, INT = TYPE_INDEX_INT };
    sample_func(m, "travel.search", FUNC_TOOL, TOOL_SEARCH, 1, T_LIST_TRIP)->agent = 0;
    REGS(m, T_STATUS, T_LIST_TRIP, T_STATUS, T_LIST_INT, INT);
    PUT(m, I(MOVE, 2, 0, 0), I(NEW_LIST, 3, 0, 0), WIDE(LOADI, 4, 10), I(EFFECT, 1, E_READ, 2), I(RETURN, 1, 0, 0));
    ImageLine *lines = ARENA_ARRAY(m->arena, ImageLine, 2);
    lines[0] = (ImageLine){ 0, 0, 12, 5 };
    lines[1] = (ImageLine){ 3, 0, 11, 9 };
    sample_last(m)->lines = lines;
    sample_last(m)->line_count = 2;

    sample_func(m, "book", FUNC_FLOW, 0, 2, S);
    REGS(m, S, INT, T_OPT_STRING, S);
    PUT(m, I(EFFECT, 2, E_REMOTE, 0), I(JNULL, 2, 4, 0), I(UNWRAP, 3, 2, 0), I(RETURN, 3, 0, 0), I(RETURN, 0, 0, 0));

    sample_func(m, "book#init", FUNC_INIT, NO_INDEX, 2, T_BOTH);
    REGS(m, S, T_OPT_INT, S, INT, T_BOTH);
    PUT(m, I(MOVE_REF, 2, 0, 0), WIDE(LOADI, 3, 3), I(JNULL, 1, 4, 0), I(UNWRAP, 3, 1, 0), I(NEW_RECORD, 4, 2, T_BOTH), I(RETURN, 4, 0, 0));

    sample_func(m, "book#key", FUNC_KEY, NO_INDEX, 2, S);
    REGS(m, S, INT);
    PUT(m, I(RETURN, 0, 0, 0));

    sample_func(m, "work#1", FUNC_BRANCH, NO_INDEX, 1, S)->flags = FUNC_FLAG_CRITICAL;
    REGS(m, S);
    PUT(m, I(RETURN, 0, 0, 0));

    sample_func(m, "work#2", FUNC_BRANCH, NO_INDEX, 1, INT);
    REGS(m, S, INT);
    PUT(m, I(BUILTIN, 1, BUILTIN_STR_LENGTH, 0), I(RETURN, 1, 0, 0));

    sample_func(m, "work#undo", FUNC_COMPENSATION, NO_INDEX, 1, TYPE_INDEX_VOID);
    REGS(m, S, TYPE_INDEX_BOOL);
    PUT(m, WIDE(LOADI, 1, 1), I(COMP_REPORT, 0, 1, 0), I(RETURN_VOID, 0, 0, 0));

    sample_func(m, "on_booked", FUNC_HANDLER, 0, 1, TYPE_INDEX_VOID)->agent = 0;
    REGS(m, T_BOOKED);
    PUT(m, I(RETURN_VOID, 0, 0, 0));

    sample_func(m, "on_booked#where", FUNC_KEY, NO_INDEX, 1, TYPE_INDEX_BOOL);
    REGS(m, T_BOOKED, S, TYPE_INDEX_BOOL);
    PUT(m, I(GET_FIELD, 1, 0, 0), I(MATCH, 2, 1, 0), I(RETURN, 2, 0, 0));

    sample_func(m, "it books", FUNC_TEST, 0, 0, TYPE_INDEX_VOID);
    PUT(m, I(RETURN_VOID, 0, 0, 0));

    sample_func(m, "trips", FUNC_TEST, NO_INDEX, 0, TYPE_INDEX_VOID);
    REGS(m, S, TYPE_INDEX_DECIMAL, T_TRIP);
    PUT(m, I(LOADREF, 0, K_TEXT, 0), I(LOADREF, 1, K_PRICE, 0), I(EFFECT, 2, E_INSERT, 0), I(RETURN_VOID, 0, 0, 0));
}

/* Code of every sort: F_WORK reckons, F_LOOP counts, F_PARALLEL has fibers and a saga, F_GUARD nested handlers, F_SCOPE a deadline. */
static inline void sample_work_funcs(Image *m)
{
    enum { S = TYPE_INDEX_STRING, INT = TYPE_INDEX_INT, ERR = TYPE_INDEX_ERROR, BOOL = TYPE_INDEX_BOOL };
    sample_func(m, "work", FUNC_FN, NO_INDEX, 1, T_LIST_INT);
    /*      0 S, 1       2       3           4                   5         6       7          8                    9    10         11 */
    REGS(m, S, INT, T_STATUS, T_LIST_INT, TYPE_INDEX_DECIMAL, T_MAP_INT, T_OPT_INT, BOOL, TYPE_INDEX_ERROR_KIND, ERR, T_BOOKED, TYPE_INDEX_FLOAT);
    PUT(m, I(LOADK, 1, K_FORTY, 0), I(ADDI_INT, 1, 1, 2), WIDE(LOADI, 2, 1), I(NEW_LIST, 3, 1, 1), I(LIST_PUSH, 3, 1, 0), I(LOADREF, 4, K_PRICE, 0), I(ADD_DEC, 4, 4, 4),
        I(NEW_MAP, 5, 0, 0), I(MAP_SET, 5, 0, 1), I(MAP_GET, 6, 5, 0), I(IS_NULL, 7, 6, 0), WIDE(JT, 7, 14), I(NEW_ERROR, 9, 8, 0), I(RAISE, 9, 0, 0),
        I(CONCAT, 0, 0, 0), I(ENUM_NAME, 0, 2, 0), I(LOADK, 11, K_HALF, 0), I(FLOAT_TO_INT, 1, 11, 0), I(BUILTIN, 3, BUILTIN_LIST_SORT, 3), I(EQ_VAL, 7, 3, 3), I(RETURN, 3, 0, 0));

    sample_func(m, "loop", FUNC_FN, NO_INDEX, 2, S);
    REGS(m, S, INT, INT, S);
    PUT(m, I(MOVE_REF, 3, 0, 0), WIDE(LOADI, 2, 0), I(JLE_INT, 1, 2, 2), I(CONCAT, 3, 3, 0), I(FORLOOP, 2, 1, -2), I(RETURN, 3, 0, 0));

    sample_func(m, "parallel", FUNC_FN, NO_INDEX, 1, S);
    REGS(m, S, TYPE_INDEX_GROUP, INT, S, T_OPT_INT, BOOL, ERR);
    PUT(m, I(SAGA_ENTER, 0, 0, 0), I(COMP_PUSH, 0, F_UNDO, 0), I(GROUP_NEW, 1, 0, 2), I(SPAWN, 1, F_BRANCH, 0), I(SPAWN, 1, F_BRANCH_SOFT, 0), I(JOIN, 1, 0, 0),
        I(FIBER_RESULT, 3, 1, 0), I(FIBER_RESULT, 4, 1, 1), I(GROUP_FREE, 1, 0, 0), I(SAGA_COMMIT, 0, 0, 0), I(RETURN, 3, 0, 0),
        I(COMP_NEXT, 5, 0, 0), WIDE(JF, 5, 14), WIDE(LOOP, 0, 11), I(SAGA_ABORT, 6, 0, 0), I(RAISE, 6, 0, 0));
    sample_tries(m, &(ImageTry){ 1, 10, 11, 6, TRY_CATCH }, 1);

    sample_func(m, "guard", FUNC_FN, NO_INDEX, 1, S);
    REGS(m, S, S, ERR, ERR);
    PUT(m, I(CONCAT, 1, 0, 0), I(CONCAT, 1, 1, 0), I(TAKE_REF, 0, 1, 0), I(RETURN, 0, 0, 0), I(GET_FIELD, 1, 2, ERROR_FIELD_MESSAGE), I(RETURN, 1, 0, 0), I(RAISE, 3, 0, 0));
    sample_tries(m, (ImageTry[]){ { 1, 3, 4, 2, TRY_CATCH }, { 0, 6, 6, 3, TRY_FINALLY } }, 2);

    sample_func(m, "scope", FUNC_FN, NO_INDEX, 1, BOOL);
    REGS(m, S, TYPE_INDEX_TIMESTAMP, BOOL, ERR);
    PUT(m, I(EFFECT, 1, E_NOW, 0), I(SCOPE_ENTER, 1, 0, 0), I(EFFECT, 2, E_ASK, 0), I(SCOPE_EXIT, 0, 0, 0), I(RETURN, 2, 0, 0), I(RAISE, 3, 0, 0));
    sample_tries(m, &(ImageTry){ 2, 3, 5, 3, TRY_SCOPE }, 1);
}

static inline Image *sample_image(void)
{
    Image *m = image_new();
    sample_types(m);
    sample_consts(m);
    sample_tables(m);
    sample_queries(m);
    sample_effects(m);
    sample_declarations(m);
    sample_small_funcs(m);
    sample_work_funcs(m);
    return m;
}
#endif
