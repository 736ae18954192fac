/* engine_image.h - a module by hand whose flows touch every effect class, for tests of the engine. */
#ifndef TESTS_ENGINE_IMAGE_H
#define TESTS_ENGINE_IMAGE_H
#include "base/time.h"
#include "tests/unit/vm_asm.h"

enum { EI_BOOKING = TYPE_INDEX_FIXED_COUNT, EI_BOOKED, EI_NOTE, EI_ENTRY, EI_INTENT, EI_OPT_STR, EI_TYPE_COUNT };
enum { EI_TOOL_QUOTE, EI_TOOL_RESERVE, EI_TOOL_CHARGE, EI_TOOL_NOTE };
enum { EI_EV_BOOKED, EI_EV_FAILING };
enum { EI_TABLE_BOOKINGS, EI_TABLE_LEDGER };
enum { EI_Q_BOOK, EI_Q_ENTER, EI_Q_COUNT, EI_Q_ENTRIES };
enum { EI_E_NOW, EI_E_NEW_ID, EI_E_BOOK, EI_E_ENTER, EI_E_COUNT, EI_E_ASK, EI_E_TXN, EI_E_COMMIT, EI_E_ROLLBACK, EI_E_EMIT, EI_E_SLEEP, EI_E_QUOTE, EI_E_RESERVE, EI_E_CHARGE,
       EI_E_AWAIT, EI_E_SIGNAL, EI_E_START, EI_E_SEND, EI_E_PROGRESS, EI_E_EMIT_FAILING, EI_E_CLASSIFY, EI_E_ENTRIES, EI_E_UUID };
#define EI_STR TYPE_INDEX_STRING

static inline void ei_handler(Asm *m, const char *name, uint16_t event, uint16_t func);

static inline uint16_t ei_table(Asm *m, const char *name, const char *prefix, uint16_t row_type) {
    uint16_t t = IMAGE_ADD(m->image, table);
    const ImageType *row = &m->image->types[row_type];
    ImageTable *table = &m->image->tables[t];
    *table = (ImageTable){ .name = str_of(name), .agent = NO_INDEX, .id_prefix = str_of(prefix), .id_column = 0, .row_type = row_type, .column_count = row->field_count };
    table->columns = ARENA_ARRAY(m->image->arena, ImageColumn, row->field_count);
    for (int i = 0; i < row->field_count; i++) table->columns[i] = (ImageColumn){ .name = row->fields[i].name, .type = row->fields[i].type, .default_const = NO_INDEX };
    return t;
}

static inline QueryExpr ei_param(Asm *m, uint16_t index) {
    QueryItem *item = ARENA_NEW(m->image->arena, QueryItem);
    *item = (QueryItem){ QX_PARAM, 0, index };
    return (QueryExpr){ item, 1 };
}

/* insert of a row whose columns are all parameters */
static inline void ei_insert(Asm *m, uint16_t table, uint16_t row_type) {
    uint16_t q = IMAGE_ADD_QUERY(m->image);
    const ImageType *row = &m->image->types[row_type];
    Query *query = &m->image->queries[q];
    *query = (Query){ .kind = QUERY_INSERT, .table = table, .set_count = row->field_count, .param_count = row->field_count, .result = row_type, .row_type = row_type, .limit_param = NO_INDEX };
    query->sets = ARENA_ARRAY(m->image->arena, QuerySet, row->field_count);
    query->params = ARENA_ARRAY(m->image->arena, uint16_t, row->field_count);
    for (uint16_t i = 0; i < row->field_count; i++) query->sets[i] = (QuerySet){ i, ei_param(m, i) }, query->params[i] = row->fields[i].type;
}

static inline void ei_count(Asm *m, uint16_t table) {
    uint16_t q = IMAGE_ADD_QUERY(m->image);
    Query *query = &m->image->queries[q];
    *query = (Query){ .kind = QUERY_AGGREGATE, .table = table, .result = TYPE_INDEX_INT, .row_type = NO_INDEX, .output_count = 1, .limit_param = NO_INDEX };
    query->outputs = ARENA_NEW(m->image->arena, QueryExpr);
    QueryItem *item = ARENA_NEW(m->image->arena, QueryItem);
    *item = (QueryItem){ QX_COUNT_ALL, 0, 0 };
    query->outputs[0] = (QueryExpr){ item, 1 };
}

static inline uint16_t ei_tool(Asm *m, const char *name, uint16_t agent, uint16_t flags, const char *method, const char *path) {
    uint16_t t = IMAGE_ADD(m->image, tool);
    ImageTool *tool = &m->image->tools[t];
    *tool = (ImageTool){ .name = str_of(name), .doc = STR("hotel room price"), .agent = agent, .func = NO_INDEX, .flags = flags, .compensated_by = NO_INDEX, .method = str_of(method), .path = str_of(path), .param_count = 1, .result = EI_STR, .key_param = NO_INDEX };
    tool->params = ARENA_NEW(m->image->arena, ImageField);
    tool->params[0] = (ImageField){ .name = STR("city"), .type = EI_STR };
    return t;
}

static inline ImageFlow *ei_flow(Asm *m, const char *name, uint16_t func, uint16_t param_count, uint16_t result) {
    uint16_t f = IMAGE_ADD(m->image, flow);
    ImageFlow *flow = &m->image->flows[f];
    m->image->funcs[func].owner = f;
    *flow = (ImageFlow){ .name = str_of(name), .func = func, .param_count = param_count, .result = result, .init_func = NO_INDEX, .one_per_func = NO_INDEX, .limit_func = NO_INDEX, .rate_func = NO_INDEX };
    flow->params = ARENA_ARRAY(m->image->arena, ImageField, param_count + 1);
    for (uint16_t i = 0; i < param_count; i++) flow->params[i] = (ImageField){ .name = i ? STR("second") : STR("city"), .type = m->image->funcs[func].reg_types[i] };
    return flow;
}

static inline void ei_declarations(Asm *m) {
    uint16_t s2[] = { EI_STR, EI_STR };
    asm_record(m, "Booking", 2, (const char *const[]){ "id", "city" }, s2);
    asm_record(m, "Booked", 1, (const char *const[]){ "city" }, s2);
    asm_record(m, "Note", 1, (const char *const[]){ "text" }, s2);
    asm_record(m, "Entry", 2, (const char *const[]){ "id", "city" }, s2);
    asm_enum(m, "Intent", 2, (const char *const[]){ "BOOK_TRIP", "CANCEL_TRIP" });
    asm_type(m, KIND_OPT, EI_STR);
    uint16_t a = IMAGE_ADD(m->image, agent);
    m->image->agents[a] = (ImageAgent){ .name = STR("hotels"), .title = STR("Hotels"), .location = AGENT_HTTP, .location_env = STR("TEST_HOTELS_URL"), .credential = STR("hotels") };
    a = IMAGE_ADD(m->image, agent);
    m->image->agents[a] = (ImageAgent){ .name = STR("desk"), .title = STR("Desk") };
    ei_tool(m, "quote", 0, TOOL_READS | TOOL_REMOTE, "GET", "/quote/{city}");
    ei_tool(m, "reserve", 0, TOOL_REMOTE, "POST", "/reserve");
    ei_tool(m, "charge", 0, TOOL_IDEMPOTENT | TOOL_REMOTE, "POST", "/charge");
    ei_table(m, "bookings", "BK", EI_BOOKING);
    ei_table(m, "ledger", "LE", EI_ENTRY);
    ei_insert(m, EI_TABLE_BOOKINGS, EI_BOOKING);
    ei_insert(m, EI_TABLE_LEDGER, EI_ENTRY);
    ei_count(m, EI_TABLE_BOOKINGS);
    ei_count(m, EI_TABLE_LEDGER);
    uint16_t e = IMAGE_ADD(m->image, event);
    m->image->events[e] = (ImageEvent){ STR("Booked"), EI_BOOKED };
    e = IMAGE_ADD(m->image, event);
    m->image->events[e] = (ImageEvent){ STR("Doomed"), EI_BOOKED };
    uint16_t s = IMAGE_ADD(m->image, signal);
    m->image->signals[s] = (ImageEvent){ STR("Note"), EI_NOTE };
}

static inline void ei_effects(Asm *m) {
    uint16_t s2[] = { EI_STR, EI_STR }, booked[] = { EI_BOOKED }, ts[] = { TYPE_INDEX_TIMESTAMP }, progress[] = { TYPE_INDEX_INT, EI_STR }, signal[] = { EI_STR, EI_NOTE };
    asm_effect(m, EFFECT_NOW, "now", NO_INDEX, TYPE_INDEX_TIMESTAMP, 0, NULL);
    asm_effect(m, EFFECT_NEW_ID, "bookings", EI_TABLE_BOOKINGS, EI_STR, 0, NULL);
    asm_effect(m, EFFECT_QUERY_WRITE, "bookings", EI_Q_BOOK, EI_BOOKING, 2, s2);
    asm_effect(m, EFFECT_QUERY_WRITE, "ledger", EI_Q_ENTER, EI_ENTRY, 2, s2);
    asm_effect(m, EFFECT_QUERY_READ, "bookings", EI_Q_COUNT, TYPE_INDEX_INT, 0, NULL);
    asm_effect(m, EFFECT_ASK, "ask", NO_INDEX, TYPE_INDEX_BOOL, 1, s2);
    asm_effect(m, EFFECT_TXN_BEGIN, "begin", NO_INDEX, TYPE_INDEX_VOID, 0, NULL);
    asm_effect(m, EFFECT_TXN_COMMIT, "commit", NO_INDEX, TYPE_INDEX_VOID, 0, NULL);
    asm_effect(m, EFFECT_TXN_ROLLBACK, "rollback", NO_INDEX, TYPE_INDEX_VOID, 0, NULL);
    asm_effect(m, EFFECT_EMIT, "Booked", EI_EV_BOOKED, EI_STR, 1, booked);
    asm_effect(m, EFFECT_SLEEP_UNTIL, "sleep", NO_INDEX, TYPE_INDEX_VOID, 1, ts);
    asm_effect(m, EFFECT_REMOTE_CALL, "hotels.quote", EI_TOOL_QUOTE, EI_STR, 1, s2);
    asm_effect(m, EFFECT_REMOTE_CALL, "hotels.reserve", EI_TOOL_RESERVE, EI_STR, 1, s2);
    asm_effect(m, EFFECT_REMOTE_CALL, "hotels.charge", EI_TOOL_CHARGE, EI_STR, 1, s2);
    asm_effect(m, EFFECT_AWAIT_EVENT, "Booked", EI_EV_BOOKED, EI_BOOKED, 0, NULL);
    asm_effect(m, EFFECT_AWAIT_SIGNAL, "Note", 0, EI_NOTE, 0, NULL);
    asm_effect(m, EFFECT_START_FLOW, "book", 0, EI_STR, 1, s2);
    asm_effect(m, EFFECT_SEND_SIGNAL, "Note", 0, TYPE_INDEX_VOID, 2, signal);
    asm_effect(m, EFFECT_NOTE_PROGRESS, "progress", NO_INDEX, TYPE_INDEX_VOID, 2, progress);
    asm_effect(m, EFFECT_EMIT, "Doomed", EI_EV_FAILING, EI_STR, 1, booked);
    asm_effect(m, EFFECT_LLM_CLASSIFY, "classify", NO_INDEX, EI_INTENT, 1, s2);
    asm_effect(m, EFFECT_QUERY_READ, "ledger", EI_Q_ENTRIES, TYPE_INDEX_INT, 0, NULL);
    asm_effect(m, EFFECT_UUID, "uuid", NO_INDEX, EI_STR, 0, NULL);
}

static inline void ei_text(Asm *m, uint16_t reg, const char *text) {
    uint16_t c = asm_text(m, EI_STR, text);
    EMIT(m, LOADREF, reg, c, 0);
}

/* An insert of (fresh id, city): two consecutive registers hold the arguments. */
static inline uint16_t ei_put(Asm *m, uint16_t effect, uint16_t row_type, uint16_t city) {
    uint16_t id = asm_reg(m, EI_STR), copy = asm_reg(m, EI_STR), row = asm_reg(m, row_type);
    EMIT(m, EFFECT, id, EI_E_NEW_ID, 0);
    EMIT(m, MOVE_REF, copy, city, 0);
    EMIT(m, EFFECT, row, effect, id);
    return row;
}

static inline void ei_emit(Asm *m, uint16_t effect, uint16_t city) {
    uint16_t copy = asm_reg(m, EI_STR), record = asm_reg(m, EI_BOOKED), id = asm_reg(m, EI_STR);
    EMIT(m, MOVE_REF, copy, city, 0);
    EMIT(m, NEW_RECORD, record, copy, EI_BOOKED);
    EMIT(m, EFFECT, id, effect, record);
}

static inline void ei_sleep(Asm *m, int64_t seconds) {
    uint16_t at = asm_reg(m, TYPE_INDEX_TIMESTAMP), n = asm_reg(m, TYPE_INDEX_INT), step = asm_reg(m, TYPE_INDEX_INT);
    uint16_t c = asm_const(m, TYPE_INDEX_INT, (uint64_t)(seconds * TIME_SECOND));
    EMIT(m, EFFECT, at, EI_E_NOW, 0);
    EMIT(m, RECAST, n, at, 0);
    EMIT(m, LOADK, step, c, 0);
    EMIT(m, ADD_INT, n, n, step);
    EMIT(m, RECAST, at, n, 0);
    EMIT(m, EFFECT, 0, EI_E_SLEEP, at);
}

static inline uint16_t ei_begin(Asm *m, const char *name, FuncKind kind, uint16_t params, uint16_t result) {
    uint16_t types[] = { EI_STR, EI_STR };
    return asm_func(m, name, kind, result, params, types);
}

/* book(city): one insert; the count of bookings after it as text */
static inline void ei_flow_book(Asm *m) {
    uint16_t f = ei_begin(m, "book", FUNC_FLOW, 1, EI_STR);
    ei_put(m, EI_E_BOOK, EI_BOOKING, 0);
    uint16_t n = asm_reg(m, TYPE_INDEX_INT), text = asm_reg(m, EI_STR);
    EMIT(m, EFFECT, n, EI_E_COUNT, 0);
    EMIT(m, TO_STR, text, n, 0);
    EMIT(m, RETURN, text, 0, 0);
    ei_flow(m, "book", f, 1, EI_STR);
}

/* trip(city): insert, question, transaction with event, sleep, remote call */
static inline void ei_flow_trip(Asm *m) {
    uint16_t f = ei_begin(m, "trip", FUNC_FLOW, 1, EI_STR);
    uint16_t pct = asm_reg(m, TYPE_INDEX_INT), words = asm_reg(m, EI_STR), question = asm_reg(m, EI_STR), yes = asm_reg(m, TYPE_INDEX_BOOL), kind = asm_reg(m, TYPE_INDEX_ERROR_KIND),
             message = asm_reg(m, EI_STR), error = asm_reg(m, TYPE_INDEX_ERROR), city = asm_reg(m, EI_STR), result = asm_reg(m, EI_STR);
    ei_put(m, EI_E_BOOK, EI_BOOKING, 0);
    EMIT32(m, LOADI, pct, 20);
    ei_text(m, words, "asking");
    EMIT(m, EFFECT, 0, EI_E_PROGRESS, pct);
    ei_text(m, question, "Book it?");
    EMIT(m, EFFECT, yes, EI_E_ASK, question);
    uint32_t jump = EMIT(m, JT, yes, 0, 0);
    EMIT32(m, LOADI, kind, ERROR_KIND_rejected);
    ei_text(m, message, "not wanted");
    EMIT(m, NEW_ERROR, error, kind, message);
    EMIT(m, RAISE, error, 0, 0);
    asm_here(m, jump);
    EMIT(m, EFFECT, 0, EI_E_TXN, 0);
    ei_put(m, EI_E_ENTER, EI_ENTRY, 0);
    ei_emit(m, EI_E_EMIT, 0);
    EMIT(m, EFFECT, 0, EI_E_COMMIT, 0);
    ei_sleep(m, 3600);
    EMIT(m, MOVE_REF, city, 0, 0);
    EMIT(m, EFFECT, result, EI_E_CHARGE, city);
    EMIT(m, RETURN, result, 0, 0);
    ei_flow(m, "trip", f, 1, EI_STR);
}

/* one effect on the city, its string result returned */
static inline void ei_flow_call(Asm *m, const char *name, uint16_t effect) {
    uint16_t f = ei_begin(m, name, FUNC_FLOW, 1, EI_STR);
    uint16_t city = asm_reg(m, EI_STR), result = asm_reg(m, EI_STR);
    EMIT(m, MOVE_REF, city, 0, 0);
    EMIT(m, EFFECT, result, effect, city);
    EMIT(m, RETURN, result, 0, 0);
    ei_flow(m, name, f, 1, EI_STR);
}

/* waits, then returns the record's only field */
static inline void ei_flow_wait(Asm *m, const char *name, uint16_t effect, uint16_t type) {
    uint16_t f = ei_begin(m, name, FUNC_FLOW, 1, EI_STR);
    uint16_t record = asm_reg(m, type), text = asm_reg(m, EI_STR);
    EMIT(m, EFFECT, record, effect, 0);
    EMIT(m, GET_FIELD, text, record, 0);
    EMIT(m, RETURN, text, 0, 0);
    ei_flow(m, name, f, 1, EI_STR);
}

/* emits for its city */
static inline void ei_flow_emit(Asm *m, const char *name, uint16_t effect) {
    uint16_t f = ei_begin(m, name, FUNC_FLOW, 1, EI_STR);
    ei_emit(m, effect, 0);
    EMIT(m, RETURN, 0, 0, 0);
    ei_flow(m, name, f, 1, EI_STR);
}

/* many(city): 40 inserts in a loop, for snapshots */
static inline void ei_flow_many(Asm *m) {
    uint16_t f = ei_begin(m, "many", FUNC_FLOW, 1, EI_STR);
    uint16_t i = asm_reg(m, TYPE_INDEX_INT), n = asm_reg(m, TYPE_INDEX_INT), count = asm_reg(m, TYPE_INDEX_INT), text = asm_reg(m, EI_STR);
    EMIT32(m, LOADI, i, 0);
    EMIT32(m, LOADI, n, 40);
    uint32_t top = asm_pc(m);
    ei_put(m, EI_E_BOOK, EI_BOOKING, 0);
    uint32_t at = asm_pc(m);
    EMIT(m, FORLOOP, i, n, (uint16_t)(int16_t)((int)top - (int)at - 1));
    EMIT(m, EFFECT, count, EI_E_COUNT, 0);
    EMIT(m, TO_STR, text, count, 0);
    EMIT(m, RETURN, text, 0, 0);
    ei_flow(m, "many", f, 1, EI_STR);
}

/* hurry(city): a quote within five seconds, else "too late" */
static inline void ei_flow_hurry(Asm *m) {
    uint16_t f = ei_begin(m, "hurry", FUNC_FLOW, 1, EI_STR);
    uint16_t at = asm_reg(m, TYPE_INDEX_TIMESTAMP), n = asm_reg(m, TYPE_INDEX_INT), step = asm_reg(m, TYPE_INDEX_INT), city = asm_reg(m, EI_STR), result = asm_reg(m, EI_STR), error = asm_reg(m, TYPE_INDEX_ERROR),
             inner = asm_reg(m, TYPE_INDEX_ERROR);
    EMIT(m, EFFECT, at, EI_E_NOW, 0);
    EMIT(m, RECAST, n, at, 0);
    EMIT32(m, LOADI, step, 5000000);
    EMIT(m, ADD_INT, n, n, step);
    EMIT(m, RECAST, at, n, 0);
    EMIT(m, SCOPE_ENTER, at, 0, 0);
    uint32_t from = asm_pc(m);
    EMIT(m, MOVE_REF, city, 0, 0);
    EMIT(m, EFFECT, result, EI_E_QUOTE, city);
    uint32_t to = asm_pc(m);
    EMIT(m, SCOPE_EXIT, 0, 0, 0);
    EMIT(m, RETURN, result, 0, 0);
    uint32_t scope_handler = asm_pc(m);
    EMIT(m, RAISE, inner, 0, 0);
    uint32_t catch_to = asm_pc(m);
    ei_text(m, result, "too late");
    EMIT(m, RETURN, result, 0, 0);
    asm_try(m, TRY_SCOPE, from, to, scope_handler, inner);
    asm_try(m, TRY_CATCH, from - 1, catch_to, catch_to, error);
    ei_flow(m, "hurry", f, 1, EI_STR);
}

/* rollback(city): a row that is taken back, then one that stays */
static inline void ei_flow_rollback(Asm *m) {
    uint16_t f = ei_begin(m, "rollback", FUNC_FLOW, 1, EI_STR);
    EMIT(m, EFFECT, 0, EI_E_TXN, 0);
    ei_put(m, EI_E_BOOK, EI_BOOKING, 0);
    EMIT(m, EFFECT, 0, EI_E_ROLLBACK, 0);
    ei_put(m, EI_E_BOOK, EI_BOOKING, 0);
    uint16_t n = asm_reg(m, TYPE_INDEX_INT), text = asm_reg(m, EI_STR);
    EMIT(m, EFFECT, n, EI_E_COUNT, 0);
    EMIT(m, TO_STR, text, n, 0);
    EMIT(m, RETURN, text, 0, 0);
    ei_flow(m, "rollback", f, 1, EI_STR);
}

/* parent(city): starts `book` detached; tell(run, text): sends it a note */
static inline void ei_flow_tell(Asm *m) {
    uint16_t f = ei_begin(m, "tell", FUNC_FLOW, 2, EI_STR);
    uint16_t target = asm_reg(m, EI_STR), record = asm_reg(m, EI_NOTE);
    EMIT(m, MOVE_REF, target, 0, 0);
    EMIT(m, NEW_RECORD, record, 1, EI_NOTE);
    EMIT(m, EFFECT, 0, EI_E_SEND, target);
    EMIT(m, RETURN, 1, 0, 0);
    ei_flow(m, "tell", f, 2, EI_STR);
}

/* desk.note(city): a local tool that writes into the ledger; local(city) calls it */
static inline void ei_flow_local(Asm *m) {
    uint16_t t = ei_tool(m, "note", 1, 0, "", ""), tool_func = ei_begin(m, "desk.note", FUNC_TOOL, 1, EI_STR);
    m->image->tools[t].func = tool_func;
    m->image->funcs[tool_func].owner = t;
    m->image->funcs[tool_func].agent = 1;
    ei_put(m, EI_E_ENTER, EI_ENTRY, 0);
    EMIT(m, RETURN, 0, 0, 0);
    uint16_t f = ei_begin(m, "local", FUNC_FLOW, 1, EI_STR);
    uint16_t city = asm_reg(m, EI_STR), result = asm_reg(m, EI_STR);
    EMIT(m, MOVE_REF, city, 0, 0);
    EMIT(m, CALL, result, tool_func, city);
    EMIT(m, RETURN, result, 0, 0);
    ei_flow(m, "local", f, 1, EI_STR);
}

/* key(city): the city; init(city?): Paris when none is given */
static inline void ei_flow_keyed(Asm *m) {
    uint16_t key = ei_begin(m, "key", FUNC_KEY, 1, EI_STR);
    EMIT(m, RETURN, 0, 0, 0);
    uint16_t f = ei_begin(m, "keyed", FUNC_FLOW, 1, EI_STR);
    uint16_t question = asm_reg(m, EI_STR), yes = asm_reg(m, TYPE_INDEX_BOOL);
    ei_text(m, question, "Go on?");
    EMIT(m, EFFECT, yes, EI_E_ASK, question);
    EMIT(m, RETURN, 0, 0, 0);
    ImageFlow *flow = ei_flow(m, "keyed", f, 1, EI_STR);
    flow->one_per = KEY_FUNC, flow->one_per_func = key;
    flow->rate_per = KEY_USER, flow->rate_count = 3, flow->rate_unit_us = 60 * TIME_SECOND;
}

static inline void ei_flow_default(Asm *m) {
    uint16_t opt[] = { EI_OPT_STR }, only[] = { EI_STR };
    uint16_t record = asm_record(m, "", 1, (const char *const[]){ "city" }, only);
    uint16_t init = asm_func(m, "default#init", FUNC_INIT, record, 1, opt);
    uint16_t city = asm_reg(m, EI_STR), out = asm_reg(m, record);
    ei_text(m, city, "Paris");
    uint32_t null = EMIT(m, JNULL, 0, 0, 0);
    EMIT(m, UNWRAP, city, 0, 0);
    asm_here(m, null);
    EMIT(m, NEW_RECORD, out, city, record);
    EMIT(m, RETURN, out, 0, 0);
    uint16_t f = ei_begin(m, "default", FUNC_FLOW, 1, EI_STR);
    EMIT(m, RETURN, 0, 0, 0);
    ImageFlow *flow = ei_flow(m, "default", f, 1, EI_STR);
    flow->init_func = init;
    flow->params[0].has_default = true;
}

/* chain: its handler emits the event again, for ever */
static inline void ei_flow_chain(Asm *m) {
    uint16_t booked[] = { EI_BOOKED };
    uint16_t e = IMAGE_ADD(m->image, event);
    m->image->events[e] = (ImageEvent){ STR("Again"), EI_BOOKED };
    uint16_t effect = asm_effect(m, EFFECT_EMIT, "Again", e, EI_STR, 1, booked);
    ei_flow_emit(m, "chain", effect);
    uint16_t f = asm_func(m, "desk.on_again", FUNC_HANDLER, TYPE_INDEX_VOID, 1, booked);
    uint16_t city = asm_reg(m, EI_STR);
    EMIT(m, GET_FIELD, city, 0, 0);
    ei_emit(m, effect, city);
    EMIT(m, RETURN_VOID, 0, 0, 0);
    ei_handler(m, "desk.on_again", e, f);
}

/* twice(city): the same booking twice in one transaction; the second one fails, the error is caught outside */
static inline void ei_flow_twice(Asm *m) {
    uint16_t f = ei_begin(m, "twice", FUNC_FLOW, 1, EI_STR);
    uint16_t id = asm_reg(m, EI_STR), city = asm_reg(m, EI_STR), row = asm_reg(m, EI_BOOKING), result = asm_reg(m, EI_STR), error = asm_reg(m, TYPE_INDEX_ERROR), kind = asm_reg(m, TYPE_INDEX_ERROR_KIND);
    EMIT(m, EFFECT, 0, EI_E_TXN, 0);
    uint32_t from = asm_pc(m);
    EMIT(m, EFFECT, id, EI_E_NEW_ID, 0);
    EMIT(m, MOVE_REF, city, 0, 0);
    EMIT(m, EFFECT, row, EI_E_BOOK, id);
    EMIT(m, EFFECT, row, EI_E_BOOK, id);
    EMIT(m, EFFECT, 0, EI_E_COMMIT, 0);
    EMIT(m, RETURN, 0, 0, 0);
    uint32_t to = asm_pc(m);
    EMIT(m, EFFECT, 0, EI_E_ROLLBACK, 0);
    EMIT(m, GET_FIELD, kind, error, ERROR_FIELD_KIND);
    EMIT(m, ENUM_NAME, result, kind, 0);
    EMIT(m, RETURN, result, 0, 0);
    asm_try(m, TRY_CATCH, from, to, to, error);
    ei_flow(m, "twice", f, 1, EI_STR);
}

static inline void ei_handler(Asm *m, const char *name, uint16_t event, uint16_t func) {
    uint16_t h = IMAGE_ADD(m->image, handler);
    m->image->funcs[func].owner = h;
    m->image->handlers[h] = (ImageHandler){ .name = str_of(name), .event = event, .agent = NO_INDEX, .func = func, .where_func = NO_INDEX };
}

static inline void ei_handlers(Asm *m) {
    uint16_t booked[] = { EI_BOOKED };
    uint16_t f = asm_func(m, "desk.on_booked", FUNC_HANDLER, TYPE_INDEX_VOID, 1, booked);
    uint16_t city = asm_reg(m, EI_STR);
    EMIT(m, GET_FIELD, city, 0, 0);
    ei_put(m, EI_E_ENTER, EI_ENTRY, city);
    EMIT(m, RETURN_VOID, 0, 0, 0);
    ei_handler(m, "desk.on_booked", EI_EV_BOOKED, f);
    f = asm_func(m, "desk.on_doomed", FUNC_HANDLER, TYPE_INDEX_VOID, 1, booked);
    uint16_t kind = asm_reg(m, TYPE_INDEX_ERROR_KIND), message = asm_reg(m, EI_STR), error = asm_reg(m, TYPE_INDEX_ERROR);
    EMIT32(m, LOADI, kind, ERROR_KIND_unavailable);
    ei_text(m, message, "never works");
    EMIT(m, NEW_ERROR, error, kind, message);
    EMIT(m, RAISE, error, 0, 0);
    ei_handler(m, "desk.on_doomed", EI_EV_FAILING, f);
}

static inline Image *engine_image_make(void) {
    Asm *m = asm_new();
    ei_declarations(m);
    ei_effects(m);
    ei_flow_book(m);                     /* flow 0: EI_E_START's target */
    ei_flow_trip(m);
    ei_flow_call(m, "quote", EI_E_QUOTE);
    ei_flow_call(m, "reserve", EI_E_RESERVE);
    ei_flow_call(m, "parent", EI_E_START);
    ei_flow_wait(m, "wait_event", EI_E_AWAIT, EI_BOOKED);
    ei_flow_wait(m, "wait_note", EI_E_SIGNAL, EI_NOTE);
    ei_flow_emit(m, "announce", EI_E_EMIT);
    ei_flow_emit(m, "doom", EI_E_EMIT_FAILING);
    ei_flow_many(m);
    ei_flow_hurry(m);
    ei_flow_rollback(m);
    ei_flow_tell(m);
    ei_flow_local(m);
    ei_flow_keyed(m);
    ei_flow_default(m);
    ei_flow_chain(m);
    ei_flow_twice(m);
    ei_flow_call(m, "charge", EI_E_CHARGE);
    ei_handlers(m);
    return asm_done(m);
}
#endif
