/* test_verify.c - a good image, every single fault in it by its reason, and random ones. What code may do: test_verify_code.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/unit/sample_image.h"

/* ---- one fault each in a good image ---- */

#define CODE(func, pc) m->funcs[func].code[pc]
#define COPY(rows, count) do { void *copy_ = arena_alloc_array(m->arena, (count), sizeof *(rows)); memcpy(copy_, (rows), (count) * sizeof *(rows)); (rows) = copy_; } while (0)

static uint16_t writers[] = { 9, NO_INDEX, NO_INDEX };
#define SESSION(m, ...) do { ImageState *row = NEW_ROW((m), state); *row = (ImageState){ .name = STR("chat"), .ttl_us = STATE_TTL_MIN, .type = T_BOOKED }; __VA_ARGS__; } while (0)

/* A diary that its owner opens to members; `diary` and `members` are what a fault is put into. */
static uint16_t add_table(Image *m, const char *name, bool shared, const char *column, uint16_t type)
{
    sample_record(m, name, 2, (const char *const[]){ "user_id", column }, (const uint16_t[]){ TYPE_INDEX_STRING, type });
    uint16_t row_type = (uint16_t)(m->type_count - 1), row = IMAGE_ADD(m, table);
    ImageTable *table = &m->tables[row];
    *table = (ImageTable){ .name = str_of(name), .agent = NO_INDEX, .shared = shared, .row_type = row_type, .id_column = NO_INDEX, .column_count = 2 };
    table->columns = ARENA_ARRAY(m->arena, ImageColumn, 2);
    for (int i = 0; i < 2; i++) table->columns[i] = (ImageColumn){ .name = m->types[row_type].fields[i].name, .type = m->types[row_type].fields[i].type, .default_const = NO_INDEX };
    table->indexes = ARENA_ARRAY(m->arena, ImageIndex, 1);
    table->indexes[table->index_count++] = (ImageIndex){ .unique = true, .column_count = 1 };
    return row;
}

static uint16_t add_diary(Image *m)
{
    static Str seen[] = { { "PRIVATE", 7 }, { "FAMILY", 6 }, { "PUBLIC", 6 } }, roles[] = { { "PARENT", 6 }, { "CHILD", 5 } };
    sample_type(m, (ImageType){ .kind = KIND_ENUM, .name = STR("Visibility"), .members = seen, .member_count = 3 });
    uint16_t diary = add_table(m, "diary", false, "seen", (uint16_t)(m->type_count - 1));
    sample_type(m, (ImageType){ .kind = KIND_ENUM, .name = STR("Role"), .members = roles, .member_count = 2 });
    uint16_t members = add_table(m, "members", true, "role", (uint16_t)(m->type_count - 1));
    m->tables[diary].visibility = (ImageVisibility){ .declared = true, .column = 1, .members = members, .user_column = 0, .role_column = 1, .writers = 1 };
    return diary;
}

#define DIARY(m, ...) do { uint16_t at_ = add_diary(m); ImageTable *diary = &(m)->tables[at_], *members = diary + 1; (void)members; __VA_ARGS__; } while (0)

/* F(name, what the reason must say, statements) */
#define FAULTS(F) \
    /* types and constants */ \
    F(fixed_type_of_another_kind, "is not the fixed type", m->types[TYPE_INDEX_OPT_ERROR].kind = KIND_LIST) \
    F(fixed_error_field_renamed, "is not the fixed type", m->types[TYPE_INDEX_ERROR].fields[1].name = STR("text")) \
    F(fixed_types_missing, "TYPE_INDEX_FIXED_COUNT", m->type_count = 3) \
    F(type_of_unknown_kind, "stands only among the fixed types", m->types[T_MAP_INT].kind = (TypeKind)99) \
    F(type_of_fixed_kind, "stands only among the fixed types", m->types[T_MAP_INT].kind = KIND_STRING) \
    F(type_of_itself, "is not an earlier row", m->types[T_LIST_INT].element = T_LIST_INT) \
    F(type_of_later, "is not an earlier row", m->types[T_LIST_INT].element = T_TRIP) \
    F(list_of_void, "is not a type of values", m->types[T_LIST_INT].element = TYPE_INDEX_VOID) \
    F(list_of_groups, "is not a type of values", m->types[T_LIST_INT].element = TYPE_INDEX_GROUP) \
    F(optional_of_optional, "optional of an optional", m->types[T_OPT_STRING].element = T_OPT_INT) \
    F(record_holding_itself, "is not an earlier row", m->types[T_TRIP].fields[0].type = T_TRIP) \
    F(record_with_one_name_twice, "are named `id`", m->types[T_TRIP].fields[1].name = STR("id")) \
    F(record_with_nameless_field, "has no name", m->types[T_TRIP].fields[1].name = STR("")) \
    F(record_with_unknown_label, "unknown labels", m->types[T_TRIP].fields[1].labels = 128) \
    F(enum_without_members, "no members", m->types[T_SMALL_STATUS].member_count = 0) \
    F(enum_with_one_name_twice, "two members", COPY(m->types[T_STATUS].members, 2); m->types[T_STATUS].members[1] = STR("OPEN")) \
    F(pattern_without_slash, "has no `/`", COPY(m->types[T_STATUS].member_patterns, 2); m->types[T_STATUS].member_patterns[0] = STR("open")) \
    F(pattern_that_does_not_compile, "cannot compile pattern", m->regexes[0] = STR("/(")) \
    F(pattern_with_unknown_flag, "cannot compile pattern", m->regexes[0] = STR("q/a")) \
    F(const_of_no_type, "not a type of values", m->consts[K_FORTY].type = 999) \
    F(const_of_void, "not a type of values", m->consts[K_FORTY].type = TYPE_INDEX_VOID) \
    F(const_of_list, "has no constants", m->consts[K_FORTY].type = T_LIST_INT) \
    F(const_scalar_with_bytes, "has bytes", m->consts[K_FORTY].bytes = STR("x")) \
    F(const_text_with_word, "has a word", m->consts[K_TEXT].word = 1) \
    F(const_string_not_utf8, "not valid UTF-8", m->consts[K_TEXT].bytes = STR("\xc3")) \
    F(const_decimal_that_is_none, "is not a decimal", m->consts[K_PRICE].bytes = STR("12,50")) \
    F(const_json_that_is_none, "json constant", m->consts[K_JSON].bytes = STR("{")) \
    F(const_bool_of_two, "not a value of bool", m->consts[K_FORTY].type = TYPE_INDEX_BOOL) \
    F(const_enum_beyond_members, "not a value of Status", m->consts[K_DONE].word = 2) \
    F(const_date_beyond_9999, "not a value of date", m->consts[K_DAY].word = 1u << 30) \
    F(const_float_not_finite, "not a value of float", m->consts[K_HALF].word = UINT64_C(0x7FF0000000000000)) \
    /* tables, machines */ \
    F(table_without_name, "has no name", m->tables[0].name = STR("")) \
    F(table_of_no_agent, "agent 9 does not exist", m->tables[0].agent = 9) \
    F(table_row_no_record, "is not a record", m->tables[0].row_type = T_LIST_INT) \
    F(table_row_of_other_fields, "has 5 columns, its row type 2 fields", m->tables[0].row_type = T_BOOKED) \
    F(table_column_of_other_type, "is not field 1", m->tables[0].columns[1].type = TYPE_INDEX_INT) \
    F(table_versioned_without_version, "no int column `version`", m->tables[0].columns[4].name = STR("v"); m->types[T_TRIP].fields[4].name = STR("v")) \
    F(table_default_of_other_type, "is not of its type", m->tables[0].columns[2].default_const = K_FORTY) \
    F(table_default_missing, "no such default", m->tables[0].columns[2].default_const = NO_INDEX) \
    F(table_index_of_no_column, "no such column 7", m->tables[0].indexes[0].columns[1] = 7) \
    F(table_index_of_nothing, "has 0 columns", m->tables[0].indexes[0].column_count = 0) \
    F(table_id_no_string, "is not a string column", m->tables[0].id_column = 1) \
    F(table_erases_no_column, "erases column 9", m->tables[0].erase_columns[0] = 9) \
    F(table_unknown_erase, "unknown way", m->tables[0].erase = 4) \
    F(visible_and_shared, "is shared and has a visibility", DIARY(m, diary->shared = true)) \
    F(visible_by_no_column, "is not an enum of PRIVATE, FAMILY, PUBLIC", DIARY(m, diary->visibility.column = 2)) \
    F(visible_by_other_column, "is not an enum of PRIVATE, FAMILY, PUBLIC", DIARY(m, diary->visibility.column = 0)) \
    F(visible_to_no_table, "members are not a shared table", DIARY(m, diary->visibility.members = 9)) \
    F(visible_to_own_rows, "members are not a shared table", DIARY(m, members->shared = false)) \
    F(visible_to_no_user, "of its members is not a string", DIARY(m, diary->visibility.user_column = 2)) \
    F(visible_to_roles, "of its members is not a string", DIARY(m, diary->visibility.user_column = 1)) \
    F(visible_to_one_twice, "among its members twice", DIARY(m, members->indexes[0].unique = false)) \
    F(visible_writers_of_no_role, "is not an enum", DIARY(m, diary->visibility.role_column = 0)) \
    F(visible_writers_of_no_column, "without a column of roles", DIARY(m, diary->visibility.role_column = NO_INDEX)) \
    F(visible_writers_none, "no roles", DIARY(m, diary->visibility.writers = 0)) \
    F(visible_writers_beyond_the_roles, "no roles", DIARY(m, diary->visibility.writers = 4)) \
    F(machine_of_no_enum, "is not an enum", m->machines[0].type = T_TRIP) \
    F(machine_to_no_state, "leads to no member", m->machines[0].targets[1] = 4) \
    F(machine_final_no_state, "is not a member", m->machines[0].finals = 8) \
    F(state_without_name, "has no name", SESSION(m, row->name = STR(""))) \
    F(state_of_unknown_kind, "kind 2 is unknown", SESSION(m, row->kind = 2)) \
    F(state_that_lives_for_ever, "time to live is out of range", SESSION(m, row->ttl_us = STATE_TTL_MAX + 1)) \
    F(state_of_no_record, "is not a record", SESSION(m, row->type = T_LIST_INT)) \
    F(session_with_writers, "has no writers", SESSION(m, row->writers = writers; row->writer_count = 1)) \
    F(context_without_writers, "0 writers for 2 fields", SESSION(m, row->kind = STATE_CONTEXT)) \
    F(context_of_no_agent, "agent 9 does not exist", SESSION(m, row->kind = STATE_CONTEXT; row->type = T_BOOKED; row->writers = writers; row->writer_count = 2)) \
    F(context_field_not_optional, "is not optional", SESSION(m, row->kind = STATE_CONTEXT; row->type = T_BOOKED; row->writers = writers + 1; row->writer_count = 2)) \
    F(state_named_twice, "is taken", SESSION(m, row->name = STR("chat")); SESSION(m, row->name = STR("chat"))) \
    /* queries */ \
    F(query_kept_though_it_writes, "cannot be kept", m->queries[Q_INSERT].cached_us = CACHE_TTL_MIN) \
    F(query_kept_too_long, "cannot be kept", m->queries[Q_OPEN].cached_us = CACHE_TTL_MAX + 1) \
    F(query_unknown_kind, "unknown kind 7", m->queries[Q_OPEN].kind = 7) \
    F(query_no_table, "table 1 does not exist", m->queries[Q_OPEN].table = 1) \
    F(query_no_column, "names column 9", m->queries[Q_OPEN].where.items[0].arg = 9) \
    F(query_no_source, "names source 1", m->queries[Q_OPEN].where.items[0].source = 1) \
    F(query_no_param, "names parameter 3", m->queries[Q_OPEN].where.items[1].arg = 3) \
    F(query_unknown_op, "unknown operator", m->queries[Q_OPEN].where.items[2].op = 60) \
    F(query_underflow, "takes a value that is not there", m->queries[Q_OPEN].where.items[1].op = QX_AND; m->queries[Q_OPEN].where.items[1].arg = 0) \
    F(query_leftover, "leaves 3 values", m->queries[Q_OPEN].where.count = 5; m->queries[Q_OPEN].where.items[3].op = QX_COLUMN; m->queries[Q_OPEN].where.items[4].arg = 0) \
    F(query_mistyped, "does not fit the types", m->queries[Q_OPEN].where.items[0].arg = 0) \
    F(query_widens_no_int, "a conversion does not fit", m->queries[Q_OPEN].where.items[2] = (QueryItem){ QX_TO_DECIMAL, 0, 0 }) \
    F(query_widens_a_string, "a conversion does not fit", m->queries[Q_SUM].outputs[0] = EXPR(m, { QX_COLUMN, 0, 0 }, { QX_TO_FLOAT, 0, 0 }, { QX_SUM, 0, 0 })) \
    F(query_known_null, "KNOWN does not fit", m->queries[Q_OPEN].where.items[1].op = QX_NULL; m->queries[Q_OPEN].where.items[1].arg = 0; \
        m->queries[Q_OPEN].where.items[2] = (QueryItem){ QX_KNOWN, 0, 0 }) \
    F(query_in_no_list, "IN does not fit", m->queries[Q_OPEN].where.items[4].arg = 2) \
    F(query_condition_no_bool, "is not a bool", m->queries[Q_OPEN].where.count = 1) \
    F(query_operator_with_argument, "has an argument", m->queries[Q_OPEN].where.items[2].arg = 1) \
    F(query_limit_no_int, "is not an int parameter", m->queries[Q_OPEN].limit_param = 0) \
    F(query_result_of_other_type, "cannot have result", m->queries[Q_OPEN].result = T_TRIP) \
    F(query_row_of_other_type, "is the table's", m->queries[Q_OPEN].row_type = T_SUMMARY; m->queries[Q_OPEN].result = T_LIST_SUMMARY) \
    F(query_aggregate_in_where, "stands where none can", m->queries[Q_ONE].where.items[1].op = QX_COUNT) \
    F(query_aggregate_without, "has no aggregate", m->queries[Q_SUM].outputs[0] = EXPR(m, { QX_PARAM, 0, 0 }); m->queries[Q_SUM].param_count = 1; \
        m->queries[Q_SUM].params[0] = TYPE_INDEX_DECIMAL) \
    F(query_aggregate_may_be_null, "is not of the type of the result", m->queries[Q_SUM].outputs[0].items[1].op = QX_MAX) \
    F(query_ungrouped_column, "outside of aggregates and groups", m->queries[Q_GROUPED].groups[0].items[0].arg = 0) \
    F(query_output_of_other_type, "is not of the type of field", m->queries[Q_GROUPED].outputs[1] = EXPR(m, { QX_COLUMN, 0, 1 }, { QX_SUM, 0, 0 })) \
    F(query_insert_misses_column, "inserts no value", m->queries[Q_INSERT].set_count = 1) \
    F(query_insert_names_column, "where there is no row", m->queries[Q_INSERT].sets[0].value.items[0] = (QueryItem){ QX_COLUMN, 0, 0 }) \
    F(query_sets_twice, "twice", m->queries[Q_INSERT].sets[1].column = 0) \
    F(query_sets_null_into_value, "is not of its type", m->queries[Q_UPDATE].sets[0].column = 0) \
    F(query_update_of_nothing, "sets nothing", m->queries[Q_UPDATE].set_count = 0) \
    F(query_insert_with_where, "has a condition", m->queries[Q_INSERT].where = m->queries[Q_UPDATE].where) \
    F(query_join_of_no_table, "no such table", m->queries[Q_ONE].joins[0].table = 4) \
    /* effects */ \
    F(effect_session_without_id, "parameters of session_delete", SESSION(m, row->name = STR("chat")); m->effects[E_PROGRESS].kind = EFFECT_SESSION_DELETE; m->effects[E_PROGRESS].target = 0) \
    F(effect_session_read_as_other, "cannot have result", SESSION(m, row->name = STR("chat")); \
        m->effects[E_ASK] = (ImageEffect){ .kind = EFFECT_SESSION_READ, .target = 0, .name = STR("read"), .params = m->effects[E_ASK].params, .param_count = 1, .result = T_OPT_STRING }) \
    F(effect_unknown, "unknown kind of effect", m->effects[E_NOW].kind = 0xF0) \
    F(effect_of_the_machine, "made by the machine", m->effects[E_NOW].kind = EFFECT_NOTE_SPAN_BEGIN) \
    F(effect_with_needless_target, "cannot have target", m->effects[E_NOW].target = 0) \
    F(effect_result_of_other_type, "cannot have result", m->effects[E_NOW].result = TYPE_INDEX_INT) \
    F(effect_no_query, "cannot have target", m->effects[E_READ].target = 77) \
    F(effect_read_of_a_write, "cannot have target", m->effects[E_READ].target = Q_INSERT) \
    F(effect_query_param, "parameters of query_read", m->effects[E_READ].params[0] = TYPE_INDEX_INT) \
    F(effect_query_param_missing, "parameters of query_read", m->effects[E_READ].param_count = 2) \
    F(effect_emit_other_record, "parameters of emit", m->effects[E_EMIT].params[0] = T_TRIP) \
    F(effect_remote_of_local, "cannot have target", m->effects[E_REMOTE].target = TOOL_SEARCH) \
    F(effect_ask_for_list, "cannot have result", m->effects[E_ASK].result = T_LIST_INT) \
    F(effect_classify_no_enum, "cannot have result", m->effects[E_CLASSIFY].result = TYPE_INDEX_INT) \
    F(effect_note_with_result, "cannot have result", m->effects[E_PROGRESS].result = TYPE_INDEX_INT) \
    F(effect_of_no_type, "not a type of values", m->effects[E_PROGRESS].params[0] = 500) \
    /* declarations */ \
    F(agent_named_twice, "is taken", m->agents[1].name = STR("travel")) \
    F(agent_nowhere, "unknown location", m->agents[1].location = AGENT_ENGINE + 1) \
    F(tool_of_no_agent, "agent 5 does not exist", m->tools[0].agent = 5) \
    F(tool_unknown_flags, "unknown flags", m->tools[0].flags = 64) \
    F(tool_neither_local_nor_remote, "one of the two", m->tools[1].flags = TOOL_KEYED) \
    F(tool_of_other_function, "is not its own", m->tools[0].func = F_BOOK; m->funcs[F_SEARCH].kind = FUNC_FN; m->funcs[F_SEARCH].owner = NO_INDEX) \
    F(tool_param_of_other_type, "takes other parameters", m->tools[0].params[0].type = TYPE_INDEX_INT) \
    F(tool_result_of_other_type, "another result", m->tools[0].result = T_LIST_INT) \
    F(tool_key_beyond_params, "key parameter 1", m->tools[1].key_param = 1) \
    F(tool_undone_by_nobody, "compensating tool 8", m->tools[1].compensated_by = 8) \
    F(field_default_of_no_constant, "default of field `number` is not a json constant", m->types[T_SUMMARY].fields[1].default_const = 70) \
    F(field_default_of_other_type, "is not a json constant", m->types[T_SUMMARY].fields[1].default_const = K_FORTY) \
    F(field_default_of_none, "is not a json constant", m->types[T_SUMMARY].fields[1].has_default = false) \
    F(resource_without_name, "has no name", m->resources[0].uri = STR("")) \
    F(resource_of_no_agent, "agent 5 does not exist", m->resources[0].agent = 5) \
    F(resource_of_nothing, "is not a type of values", m->resources[0].result = TYPE_INDEX_VOID) \
    F(resource_of_no_function, "from nothing to its result", m->resources[0].func = 99) \
    F(resource_takes_params, "from nothing to its result", m->resources[0].func = F_WORK) \
    F(flow_default_without_init, "init function is there when", m->flows[0].init_func = NO_INDEX) \
    F(flow_init_without_default, "init function is there when", m->flows[0].params[1].has_default = false) \
    F(flow_init_of_other_kind, "is not an init function", m->flows[0].init_func = F_KEY) \
    F(flow_init_takes_value, "takes `nights` as another type", m->funcs[F_INIT].reg_types[1] = TYPE_INDEX_INT) \
    F(flow_init_gives_other_record, "does not give a record", m->funcs[F_INIT].result = T_TRIP) \
    F(flow_init_gives_other_names, "gives no `city`", m->types[T_BOTH].fields[0].name = STR("town")) \
    F(flow_key_no_string, "does not give a string", m->funcs[F_KEY].result = TYPE_INDEX_INT) \
    F(flow_key_missing, "has a function when", m->flows[0].one_per_func = NO_INDEX) \
    F(flow_key_of_other_params, "takes other parameters", m->flows[0].one_per_func = F_WHERE) \
    F(flow_rate_without_time, "no unit of time", m->flows[0].rate_unit_us = 0) \
    F(flow_unknown_durability, "unknown durability", m->flows[0].durability = 3) \
    F(event_no_record, "is not a record", m->events[0].type = T_STATUS) \
    F(signal_no_record, "is not a record", m->signals[0].type = T_STATUS) \
    F(handler_of_no_event, "event 2 does not exist", m->handlers[0].event = 2) \
    F(handler_takes_other_record, "takes other parameters", m->funcs[F_HANDLER].reg_types[0] = T_TRIP) \
    F(handler_where_no_bool, "record to a bool", m->handlers[0].where_func = F_KEY) \
    F(handler_where_of_other_kind, "is not a plain function", m->handlers[0].where_func = F_TEST) \
    F(test_with_result, "another result", m->funcs[F_TEST].result = TYPE_INDEX_INT) \
    F(test_of_no_function, "does not exist", m->tests[0].func = 800; m->funcs[F_TEST].owner = NO_INDEX) \
    F(fixture_with_result, "from nothing to nothing", m->fixtures[0].func = F_WORK) \
    /* routes, webhooks, scopes, roles */ \
    F(route_of_no_flow, "flow 7 does not exist", m->routes[0].flow = 7) \
    F(route_unknown_flags, "unknown flags 0x8", m->routes[0].flags = 8) \
    F(route_unknown_method, "unknown method `BREW`", m->routes[0].method = STR("BREW")) \
    F(route_path_none, "does not begin with", m->routes[0].path = STR("trips")) \
    F(route_path_of_the_server, "the server's own", m->routes[0].path = STR("/runs/{city}")) \
    F(route_of_no_parameter, "`town` is no parameter", m->routes[0].path = STR("/api/v1/trips/{town}")) \
    F(route_parameter_twice, "two segments are `city`", m->routes[0].path = STR("/{city}/{city}")) \
    F(route_scope_twice, "names `travel:read` twice", COPY(m->routes[0].scopes, 2); m->routes[0].scopes[1] = STR("travel:read")) \
    F(route_scope_without_name, "scope 1 has no name", COPY(m->routes[0].scopes, 2); m->routes[0].scopes[1] = STR("")) \
    F(routes_of_one_shape, "is of the shape of route 0", m->routes[1].method = STR("POST"); m->routes[1].path = STR("/api/v1/trips/{nights}")) \
    F(webhook_of_no_flow, "flow 7 does not exist", *NEW_ROW(m, webhook) = (ImageWebhook){ .name = STR("hook"), .flow = 7 }) \
    F(webhook_of_flow_without_json, "does not take one json", *NEW_ROW(m, webhook) = (ImageWebhook){ .name = STR("hook") }) \
    F(webhook_without_name, "has no name", *NEW_ROW(m, webhook) = (ImageWebhook){ .flow = 7 }) \
    F(scope_of_unknown_action, "unknown action `eat`", m->scopes[0].action = STR("eat")) \
    F(scope_on_nothing, "is on nothing", m->scopes[0].resource = STR("")) \
    F(scope_named_twice, "is taken", m->scopes[1].name = STR("travel:read")) \
    F(role_without_name, "has no name", m->roles[0].name = STR("")) \
    F(role_scope_without_name, "scope 0 has no name", COPY(m->roles[0].scopes, 2); m->roles[0].scopes[0] = STR("")) \
    /* functions */ \
    F(func_unknown_kind, "unknown kind", m->funcs[F_WORK].kind = FUNC_PLAN + 1) \
    F(func_unknown_flags, "unknown flags", m->funcs[F_WORK].flags = 8) \
    F(func_of_no_agent, "agent 3 does not exist", m->funcs[F_WORK].agent = 3) \
    F(func_of_foreign_owner, "does not name this function", m->funcs[F_BOOK].owner = 1) \
    F(func_owned_without_need, "does not name this function", m->funcs[F_WORK].owner = 0) \
    F(func_without_code, "has no code", m->funcs[F_WORK].code_count = 0) \
    F(func_more_params_than_registers, "do not fit", m->funcs[F_HANDLER].param_count = 2) \
    F(func_register_of_void, "which it cannot have", m->funcs[F_WORK].reg_types[1] = TYPE_INDEX_VOID) \
    F(func_register_of_no_type, "which it cannot have", m->funcs[F_WORK].reg_types[1] = 4000) \
    F(func_group_as_param, "which it cannot have", m->funcs[F_WORK].reg_types[0] = TYPE_INDEX_GROUP) \
    F(func_result_group, "not a type of values", m->funcs[F_WORK].result = TYPE_INDEX_GROUP) \
    F(func_lines_backward, "out of order", m->funcs[F_SEARCH].lines[1].pc = 0) \
    F(func_line_of_no_file, "no such file", m->funcs[F_SEARCH].lines[0].file = 1) \
    F(func_line_behind_code, "out of order", m->funcs[F_SEARCH].lines[1].pc = 99) \
    /* tries */ \
    F(try_unknown_kind, "unknown kind 3", m->funcs[F_GUARD].tries[0].kind = 3) \
    F(try_empty, "covers no range", m->funcs[F_GUARD].tries[0].to = 1) \
    F(try_behind_code, "covers no range", m->funcs[F_GUARD].tries[1].to = 70) \
    F(try_handler_inside, "does not stand behind", m->funcs[F_GUARD].tries[0].handler = 2) \
    F(try_handler_behind_code, "does not stand behind", m->funcs[F_GUARD].tries[0].handler = 7) \
    F(try_error_in_string, "cannot hold an error", m->funcs[F_GUARD].tries[0].error_reg = 1) \
    F(try_error_in_nothing, "cannot hold an error", m->funcs[F_GUARD].tries[0].error_reg = 4) \
    F(try_scope_without_enter, "does not begin behind SCOPE_ENTER", m->funcs[F_GUARD].tries[0].kind = TRY_SCOPE) \
    F(scope_with_two_tries, "2 try rows of kind scope", ImageTry t = m->funcs[F_SCOPE].tries[0]; sample_tries_of(m, F_SCOPE, (ImageTry[]){ t, t }, 2)) \
    /* instructions */ \
    F(op_unknown, "unknown instruction 0x00", CODE(F_WORK, 0) = 0) \
    F(op_far_unknown, "unknown instruction 0x4000", CODE(F_WORK, 0) = INSN(0x4000, 0, 0, 0)) \
    F(op_unused_operand, "is not used and not 0", CODE(F_WORK, 0) = I(LOADK, 1, K_FORTY, 1)) \
    F(op_no_register, "register r12 is not there", CODE(F_WORK, 1) = I(ADDI_INT, 12, 1, 2)) \
    F(op_register_of_other_class, "expected a decimal", CODE(F_WORK, 6) = I(ADD_DEC, 4, 4, 1)) \
    F(op_no_constant, "constant 90 is not there", CODE(F_WORK, 0) = I(LOADK, 1, 90, 0)) \
    F(op_constant_of_other_type, "is int, expected decimal", CODE(F_WORK, 5) = I(LOADREF, 1, K_PRICE, 0)) \
    F(op_scalar_as_reference, "a scalar", CODE(F_WORK, 5) = I(LOADREF, 4, K_FORTY, 0)) \
    F(op_reference_as_scalar, "not a scalar", CODE(F_WORK, 0) = I(LOADK, 1, K_TEXT, 0)) \
    F(op_loads_enum_beyond, "2 is not a value of Status", CODE(F_WORK, 2) = WIDE(LOADI, 2, 2)) \
    F(op_loads_negative_enum, "-1 is not a value of Status", CODE(F_WORK, 2) = WIDE(LOADI, 2, -1)) \
    F(op_loads_bool_of_two, "2 is not a value of bool", CODE(F_UNDO, 0) = WIDE(LOADI, 1, 2)) \
    F(op_recasts_int_to_enum, "is int, expected an enum", CODE(F_WORK, 2) = I(RECAST, 2, 1, 0)) \
    F(op_recasts_larger_enum, "expected an enum of no more members", m->funcs[F_WORK].reg_types[8] = T_SMALL_STATUS; CODE(F_WORK, 12) = I(RECAST, 8, 2, 0)) \
    F(op_recasts_int_to_bool, "expected bool", CODE(F_WORK, 10) = I(RECAST, 7, 1, 0)) \
    F(op_adds_into_enum, "expected an int or a time", CODE(F_WORK, 1) = I(ADDI_INT, 2, 1, 2)) \
    F(op_adds_into_bool, "expected an int or a time", CODE(F_WORK, 1) = I(ADD_INT, 7, 1, 1)) \
    F(op_moves_counted_plainly, "expected a type that is not counted", CODE(F_LOOP, 0) = I(MOVE, 3, 0, 0)) \
    F(op_moves_scalar_counted, "expected a counted type", CODE(F_SEARCH, 0) = I(MOVE_REF, 2, 0, 0)) \
    F(op_moves_other_type, "expected int", CODE(F_LOOP, 1) = I(MOVE, 2, 1, 0); m->funcs[F_LOOP].reg_types[2] = TYPE_INDEX_DATE) \
    F(op_takes_from_itself, "from itself", CODE(F_GUARD, 2) = I(TAKE_REF, 1, 1, 0)) \
    F(op_no_run_information, "run information 7", CODE(F_LOOP, 0) = I(INFO, 3, 7, 0)) \
    F(op_list_of_other_elements, "is string, expected int", CODE(F_WORK, 3) = I(NEW_LIST, 3, 0, 1)) \
    F(op_list_beyond_registers, "are not there", CODE(F_WORK, 3) = I(NEW_LIST, 3, 11, 5)) \
    F(op_pushes_other_type, "is string, expected int", CODE(F_WORK, 4) = I(LIST_PUSH, 3, 0, 0)) \
    F(op_map_of_other_type, "is string, expected int", CODE(F_WORK, 8) = I(MAP_SET, 5, 0, 0)) \
    F(op_map_gives_value, "expected an optional", CODE(F_WORK, 9) = I(MAP_GET, 1, 5, 0)) \
    F(op_null_of_int, "expected an optional or json", CODE(F_WORK, 10) = I(IS_NULL, 7, 1, 0)) \
    F(op_wraps_other_type, "expected an optional of string", CODE(F_WORK, 9) = I(WRAP, 6, 0, 0)) \
    F(op_unwraps_other_type, "is int, expected string", CODE(F_BOOK, 2) = I(UNWRAP, 1, 2, 0)) \
    F(op_error_of_other_enum, "is Status, expected error_kind", CODE(F_WORK, 12) = I(NEW_ERROR, 9, 2, 0)) \
    F(op_name_of_int, "expected an enum", CODE(F_WORK, 15) = I(ENUM_NAME, 0, 1, 0)) \
    F(op_record_of_list, "is not a record", CODE(F_INIT, 4) = I(NEW_RECORD, 4, 2, T_LIST_INT)) \
    F(op_record_of_no_type, "type 99 is not there", CODE(F_INIT, 4) = I(NEW_RECORD, 4, 2, 99)) \
    F(op_record_of_other_fields, "is string?, expected string", m->funcs[F_INIT].reg_types[2] = T_OPT_STRING; CODE(F_INIT, 0) = I(LOADNULL, 2, 0, 0)) \
    F(op_no_field, "field 2 is not there", CODE(F_WHERE, 0) = I(GET_FIELD, 1, 0, 2)) \
    F(op_field_of_other_type, "is string, expected decimal", CODE(F_WHERE, 0) = I(GET_FIELD, 1, 0, 1)) \
    F(op_sets_no_field, "field 9 is not there", CODE(F_GUARD, 4) = I(SET_FIELD, 2, 9, 0)) \
    F(op_no_regex, "regex 1 is not there", CODE(F_WHERE, 1) = I(MATCH, 2, 1, 1)) \
    F(op_compares_other_types, "expected list<int>", CODE(F_WORK, 19) = I(EQ_VAL, 7, 3, 5)) \
    F(op_concatenates_nothing, "concatenates no strings", CODE(F_GUARD, 1) = I(CONCATN, 1, 0, 0)) \
    F(op_concatenates_others, "expected string", CODE(F_GUARD, 1) = I(CONCATN, 1, 1, 2)) \
    F(op_formats_string, "expected a number or a time", CODE(F_GUARD, 1) = I(FORMAT, 1, 0, K_TEXT)) \
    F(op_format_no_string, "is not a string", CODE(F_INIT, 0) = I(FORMAT, 2, 3, K_PRICE)) \
    F(op_jumps_backward, "is not forward", CODE(F_WORK, 11) = WIDE(JT, 7, 3)) \
    F(op_jumps_to_itself, "is not forward", CODE(F_WORK, 11) = WIDE(JT, 7, 11)) \
    F(op_jumps_behind_code, "outside of the code", CODE(F_WORK, 11) = WIDE(JT, 7, 21)) \
    F(op_jumps_before_code, "outside of the code", CODE(F_LOOP, 4) = I(FORLOOP, 2, 1, -9)) \
    F(op_loops_forward, "is not backward", CODE(F_PARALLEL, 13) = WIDE(LOOP, 0, 14)) \
    F(op_counts_enum, "is error_kind, expected int", m->funcs[F_LOOP].reg_types[2] = TYPE_INDEX_ERROR_KIND) \
    F(op_falls_off, "control would fall off", CODE(F_WORK, 20) = I(NEW_MAP, 5, 0, 0)) \
    F(op_returns_other_type, "is string, expected list<int>", CODE(F_WORK, 20) = I(RETURN, 0, 0, 0)) \
    F(op_returns_nothing, "the function has a result", CODE(F_WORK, 20) = I(RETURN_VOID, 0, 0, 0)) \
    F(op_returns_something, "the function has no result", CODE(F_HANDLER, 0) = I(RETURN, 0, 0, 0)) \
    F(op_no_function, "function 77 is not there", CODE(F_LOOP, 0) = I(CALL, 3, 77, 0)) \
    F(op_calls_with_other_type, "is string, expected Status", CODE(F_WORK, 4) = I(CALL, 3, F_SEARCH, 0)) \
    F(op_call_gives_other_type, "expected list<Trip>", CODE(F_WORK, 4) = I(CALL, 3, F_SEARCH, 2)) \
    F(op_call_beyond_registers, "are not there", CODE(F_WORK, 4) = I(CALL, 0, F_LOOP, 11)) \
    F(op_call_of_nothing_into_register, "there is no result", CODE(F_WORK, 4) = I(CALL, 1, F_UNDO, 0)) \
    F(op_calls_test, "is a test", CODE(F_WORK, 4) = I(CALL, 0, F_TEST, 0)) \
    F(op_no_builtin, "built-in 0x1ff is not there", CODE(F_WORK, 18) = I(BUILTIN, 3, 0x1FF, 3)) \
    F(op_builtin_of_other_receiver, "LIST_SORT: register r0 is string", CODE(F_WORK, 18) = I(BUILTIN, 3, BUILTIN_LIST_SORT, 0)) \
    F(op_builtin_gives_other_type, "LIST_FIRST: register r3 is list<int>, expected x?", CODE(F_WORK, 18) = I(BUILTIN, 3, BUILTIN_LIST_FIRST, 3)) \
    F(op_no_effect, "effect 50 is not there", CODE(F_SCOPE, 0) = I(EFFECT, 1, 50, 0)) \
    F(op_effect_with_other_type, "is timestamp, expected string", CODE(F_SCOPE, 2) = I(EFFECT, 2, E_ASK, 1)) \
    F(op_effect_gives_other_type, "is bool, expected timestamp", CODE(F_SCOPE, 2) = I(EFFECT, 2, E_NOW, 0)) \
    F(op_compensates_by_plain_function, "is not a compensation", CODE(F_PARALLEL, 1) = I(COMP_PUSH, 0, F_BRANCH, 0)) \
    F(op_group_in_int, "is int, expected a group", CODE(F_PARALLEL, 2) = I(GROUP_NEW, 2, 0, 2)) \
    F(op_int_from_group, "expected an int-like word", CODE(F_PARALLEL, 8) = I(MOVE, 2, 1, 0); CODE(F_PARALLEL, 8) = I(RECAST, 2, 1, 0)) \
    F(op_moves_group, "is group, expected a value", CODE(F_PARALLEL, 8) = I(MOVE, 1, 1, 0)) \
    F(op_group_of_unknown_kind, "unknown kind of group", CODE(F_PARALLEL, 2) = I(GROUP_NEW, 1, 4, 2)) \
    F(op_fiber_result_of_other_type, "not what the fibers give", CODE(F_PARALLEL, 7) = I(FIBER_RESULT, 4, 1, 0)) \
    F(op_soft_fiber_result_as_value, "not what the fibers give", CODE(F_PARALLEL, 7) = I(FIBER_RESULT, 2, 1, 1)) \
    F(op_no_fiber, "has no fiber 2", CODE(F_PARALLEL, 7) = I(FIBER_RESULT, 4, 1, 2)) \
    F(op_race_of_different_types, "results of different types", CODE(F_PARALLEL, 7) = I(RACE_RESULT, 3, 1, 0)) \
    /* values */ \
    F(value_read_too_early, "may hold no value", CODE(F_WORK, 4) = I(RAISE, 9, 0, 0)) \
    F(value_of_freed_group, "holds no group here", CODE(F_PARALLEL, 9) = I(JOIN, 1, 0, 0)) \
    F(value_taken_away, "may hold no value", CODE(F_GUARD, 3) = I(RETURN, 1, 0, 0)) \
    F(value_in_handler, "may hold no value", CODE(F_GUARD, 6) = I(RAISE, 2, 0, 0))

#define F(name, part, ...) static void fault_##name(Image *m) { __VA_ARGS__; }
FAULTS(F)
#undef F

typedef struct Fault { const char *name, *part; void (*make)(Image *m); } Fault;
static const Fault faults[] = {
#define F(name, part, ...) { #name, part, fault_##name },
    FAULTS(F)
#undef F
};

static void the_sample_is_a_good_image(void **state)
{
    (void)state;
    Image *m = sample_image();
    Error error = { 0 };
    if (image_verify(m, &error)) fail_msg("%s", error.text);
    image_free(m);
}

static void every_single_fault_is_refused_with_its_reason(void **state)
{
    (void)state;
    assert_true(sizeof faults / sizeof *faults >= 60);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        Image *m = sample_image();
        Error error = { 0 };
        faults[i].make(m);
        Err err = image_verify(m, &error);
        if (!err) fail_msg("%s: is let through", faults[i].name);
        if (!strstr(error.text, faults[i].part)) fail_msg("%s: `%s` does not say `%s`", faults[i].name, error.text, faults[i].part);
        image_free(m);
    }
}

/* Fixed types are not stored, so their faults cannot come from a file. */
static void every_single_fault_is_refused_from_its_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        if (!strncmp(faults[i].name, "fixed_", 6)) continue;
        Image *m = sample_image(), *again = NULL;
        Error error = { 0 };
        Buf bytes = { 0 };
        faults[i].make(m);
        image_encode(m, &bytes);
        if (!image_decode(buf_str(&bytes), &again, &error)) fail_msg("%s: is let through", faults[i].name);
        assert_true(error.text[0] != 0);
        buf_free(&bytes);
        image_free(m);
    }
}

/* ---- anything at all ---- */

static uint64_t random_state = 0x9E3779B97F4A7C15u;
static uint32_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32);
}

static void random_instructions_are_refused_or_fit(void **state)
{
    (void)state;
    int good = 0;
    Image *m = sample_image();
    for (int round = 0; round < 60000; round++) {
        ImageFunc *func = &m->funcs[random_next() % m->func_count];
        Insn *insn = &func->code[random_next() % func->code_count], before = *insn;
        uint32_t range = random_next() % 8 ? func->reg_count + 2u : 0x10000u;
        *insn = INSN(random_next() % 0xA3, random_next() % range, random_next() % range, random_next() % range);
        Error error = { 0 };
        if (!image_verify(m, &error)) good++;
        else assert_true(error.text[0] != 0);
        *insn = before;
    }
    assert_true(good > 100 && good < 40000);
    image_free(m);
}

static void what_is_made_on_load_is_there(void **state)
{
    (void)state;
    Image *m = sample_image();
    assert_int_equal(image_verify(m, NULL), ERR_OK);
    assert_int_equal(m->types[T_TRIP].counted_mask, 1 | 2 | 8);
    const ImageFunc *func = &m->funcs[F_SEARCH];
    assert_int_equal(func->counted_count, 2);
    assert_int_equal(func->counted_regs[0], 1);
    assert_int_equal(func->counted_regs[1], 3);
    image_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_is_a_good_image),
        cmocka_unit_test(every_single_fault_is_refused_with_its_reason),
        cmocka_unit_test(every_single_fault_is_refused_from_its_bytes),
        cmocka_unit_test(random_instructions_are_refused_or_fit),
        cmocka_unit_test(what_is_made_on_load_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
