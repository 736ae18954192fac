/* test_verify.c - what the verifier refuses, each by its reason, and what it must let through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/unit/sample_image.h"
#include "interpreter/bytecode/verify_internal.h"

/* ---- one fault each in a good image ---- */

#define CODE(func, pc) m->funcs[func].code[pc]
#define COPY(rows, count) do { void *copy_ = arena_alloc_array(m->arena, (count), sizeof *(rows)); memcpy(copy_, (rows), (count) * sizeof *(rows)); (rows) = copy_; } while (0)

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
    F(machine_of_no_enum, "is not an enum", m->machines[0].type = T_TRIP) \
    F(machine_to_no_state, "leads to no member", m->machines[0].targets[1] = 4) \
    F(machine_final_no_state, "is not a member", m->machines[0].finals = 8) \
    /* queries */ \
    F(query_unknown_kind, "unknown kind 7", m->queries[Q_OPEN].kind = 7) \
    F(query_no_table, "table 1 does not exist", m->queries[Q_OPEN].table = 1) \
    F(query_no_column, "names column 9", m->queries[Q_OPEN].where.items[0].arg = 9) \
    F(query_no_source, "names source 1", m->queries[Q_OPEN].where.items[0].source = 1) \
    F(query_no_param, "names parameter 3", m->queries[Q_OPEN].where.items[1].arg = 3) \
    F(query_unknown_op, "unknown operator", m->queries[Q_OPEN].where.items[2].op = 60) \
    F(query_underflow, "takes a value that is not there", m->queries[Q_OPEN].where.items[1].op = QX_AND; m->queries[Q_OPEN].where.items[1].arg = 0) \
    F(query_leftover, "leaves 3 values", m->queries[Q_OPEN].where.count = 5; m->queries[Q_OPEN].where.items[3].op = QX_COLUMN; m->queries[Q_OPEN].where.items[4].arg = 0) \
    F(query_mistyped, "does not fit the types", m->queries[Q_OPEN].where.items[0].arg = 0) \
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
    F(agent_nowhere, "unknown location", m->agents[1].location = 3) \
    F(tool_of_no_agent, "agent 5 does not exist", m->tools[0].agent = 5) \
    F(tool_unknown_flags, "unknown flags", m->tools[0].flags = 64) \
    F(tool_neither_local_nor_remote, "one of the two", m->tools[1].flags = TOOL_KEYED) \
    F(tool_of_other_function, "is not its own", m->tools[0].func = F_BOOK; m->funcs[F_SEARCH].kind = FUNC_FN; m->funcs[F_SEARCH].owner = NO_INDEX) \
    F(tool_param_of_other_type, "takes other parameters", m->tools[0].params[0].type = TYPE_INDEX_INT) \
    F(tool_result_of_other_type, "another result", m->tools[0].result = T_LIST_INT) \
    F(tool_key_beyond_params, "key parameter 1", m->tools[1].key_param = 1) \
    F(tool_undone_by_nobody, "compensating tool 8", m->tools[1].compensated_by = 8) \
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
    /* functions */ \
    F(func_unknown_kind, "unknown kind", m->funcs[F_WORK].kind = 9) \
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
    F(op_no_run_information, "run information 6", CODE(F_LOOP, 0) = I(INFO, 3, 6, 0)) \
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

/* ---- code that was made for the case ---- */

static void expect(Image *m, const char *part)
{
    Error error = { 0 };
    Err err = image_verify(m, &error);
    if (!part && err) fail_msg("refused: %s", error.text);
    if (part && !err) fail_msg("let through, expected `%s`", part);
    if (part && !strstr(error.text, part)) fail_msg("`%s` does not say `%s`", error.text, part);
    image_free(m);
}

static Image *with_func(uint16_t param_count, uint16_t result)
{
    Image *m = sample_image();
    sample_func(m, "case", FUNC_FN, NO_INDEX, param_count, result);
    return m;
}

enum { S = TYPE_INDEX_STRING, INT = TYPE_INDEX_INT, BOOL = TYPE_INDEX_BOOL, ERR = TYPE_INDEX_ERROR, GROUP = TYPE_INDEX_GROUP, VOID = TYPE_INDEX_VOID };

static void a_value_given_on_both_ways_can_be_read(void **state)
{
    (void)state;
    Image *m = with_func(2, S);
    REGS(m, BOOL, S, S);
    PUT(m, WIDE(JF, 0, 3), I(MOVE_REF, 2, 1, 0), WIDE(JUMP, 0, 4), I(CONCAT, 2, 1, 1), I(RETURN, 2, 0, 0));
    expect(m, NULL);
}

static void a_value_given_on_one_way_cannot(void **state)
{
    (void)state;
    Image *m = with_func(2, S);
    REGS(m, BOOL, S, S);
    PUT(m, WIDE(JF, 0, 3), I(MOVE_REF, 2, 1, 0), WIDE(JUMP, 0, 4), I(CONCAT, 1, 1, 1), I(RETURN, 2, 0, 0));
    expect(m, "pc 4 (RETURN): register r2 (string) is read");
}

static void words_optionals_and_decimals_need_no_value(void **state)
{
    (void)state;
    Image *m = with_func(0, S);
    REGS(m, INT, T_OPT_STRING, TYPE_INDEX_DECIMAL, TYPE_INDEX_JSON, S);
    PUT(m, I(TO_STR, 4, 0, 0), I(TO_STR, 4, 1, 0), I(TO_STR, 4, 2, 0), I(TO_STR, 4, 3, 0), I(RETURN, 4, 0, 0));
    expect(m, NULL);
}

static void a_value_made_in_a_loop_is_not_there_before_it(void **state)
{
    (void)state;
    Image *m = with_func(2, S);
    REGS(m, S, INT, INT, S);
    PUT(m, I(JEQI_INT, 2, 0, 1), I(CONCAT, 0, 0, 3), I(MOVE_REF, 3, 0, 0), I(FORLOOP, 2, 1, -4), I(RETURN, 0, 0, 0));
    expect(m, "register r3 (string) is read");
}

static void a_loop_may_not_lose_what_it_began_with(void **state)
{
    (void)state;
    Image *m = with_func(2, S);
    REGS(m, S, INT, INT, S);
    PUT(m, I(TAKE_REF, 3, 0, 0), I(FORLOOP, 2, 1, -2), I(RETURN, 3, 0, 0));
    expect(m, "register r0");
}

static void a_loop_forgets_temporaries_that_it_takes(void **state)
{
    (void)state;
    Image *m = with_func(2, S);
    REGS(m, S, INT, INT, S, S);
    PUT(m, I(CONCAT, 3, 0, 0), I(CONCAT, 3, 0, 0), I(TAKE_REF, 4, 3, 0), I(FORLOOP, 2, 1, -3), I(RETURN, 4, 0, 0));
    expect(m, NULL);
    m = with_func(2, S);                             /* and so may not read them before it gives them again */
    REGS(m, S, INT, INT, S, S);
    PUT(m, I(CONCAT, 3, 0, 0), I(CONCAT, 0, 3, 3), I(TAKE_REF, 4, 3, 0), I(FORLOOP, 2, 1, -3), I(RETURN, 4, 0, 0));
    expect(m, "register r3 (string) is read");
}

static void a_nest_of_loops_that_take_is_followed(void **state)
{
    (void)state;
    enum { DEPTH = 12 };                             /* more than there are passes with heads trusted one by one */
    Image *m = with_func(2, S);
    REGS(m, S, INT, INT, S, S);
    Insn code[3 + 2 * DEPTH];
    code[0] = I(CONCAT, 3, 0, 0);
    for (int i = 0; i < DEPTH; i++) code[1 + i] = I(ADDI_INT, 2, 2, 0);
    code[1 + DEPTH] = I(CONCAT, 3, 0, 0);
    code[2 + DEPTH] = I(TAKE_REF, 4, 3, 0);
    uint32_t pc = 3 + DEPTH;
    for (int i = 0; i + 1 < DEPTH; i++, pc++) code[pc] = I(FORLOOP, 2, 1, DEPTH - i - (int)pc - 1);
    code[pc++] = I(RETURN, 4, 0, 0);
    sample_code(m, code, pc);
    expect(m, NULL);
}

static void loops_that_cross_must_agree(void **state)
{
    (void)state;
    Image *m = with_func(2, VOID);
    REGS(m, S, BOOL, S);
    PUT(m, WIDE(JT, 1, 5), I(NOT, 1, 1, 0), WIDE(JT, 1, 4), WIDE(LOOP, 0, 0), I(RETURN_VOID, 0, 0, 0), I(TAKE_REF, 2, 0, 0), WIDE(LOOP, 0, 1));
    expect(m, "register r0 holds a value where the loop begins and none on the way back");
}

static void ranges_may_overlap(void **state)
{
    (void)state;
    for (int taken = 0; taken < 2; taken++) {
        Image *m = with_func(1, S);
        REGS(m, S, S, ERR, ERR);
        PUT(m, I(CONCAT, 0, 0, 0), I(CONCAT, 0, 0, 0), taken ? I(TAKE_REF, 1, 0, 0) : I(MOVE_REF, 1, 0, 0), I(CONCAT, 0, 1, 1), I(RETURN, 0, 0, 0), I(RAISE, 2, 0, 0), I(RETURN, 0, 0, 0));
        sample_tries(m, (ImageTry[]){ { 1, 5, 5, 2, TRY_CATCH }, { 0, 3, 6, 3, TRY_FINALLY }, { 3, 4, 6, 3, TRY_FINALLY } }, 3);
        expect(m, taken ? "pc 6 (RETURN): register r0" : NULL);
    }
}

static void a_loop_may_take_and_give_back(void **state)
{
    (void)state;
    Image *m = with_func(2, S);
    REGS(m, S, INT, INT, S);
    PUT(m, I(TAKE_REF, 3, 0, 0), I(CONCAT, 0, 3, 3), I(FORLOOP, 2, 1, -3), I(RETURN, 0, 0, 0));
    expect(m, NULL);
}

static void code_that_nothing_reaches_may_stand_there(void **state)
{
    (void)state;
    Image *m = with_func(1, S);
    REGS(m, S, S);
    PUT(m, I(RETURN, 0, 0, 0), I(CONCAT, 1, 1, 1), I(RETURN, 1, 0, 0));
    expect(m, NULL);
}

static void a_loop_into_code_that_nothing_else_reaches_is_refused(void **state)
{
    (void)state;
    Image *m = with_func(1, S);
    REGS(m, S, S);
    PUT(m, WIDE(JUMP, 0, 3), I(CONCAT, 1, 1, 1), I(RETURN, 1, 0, 0), WIDE(LOOP, 0, 1));
    expect(m, "nothing else reaches");
}

static void a_handler_has_only_what_its_range_began_with(void **state)
{
    (void)state;
    Image *m = with_func(1, S);
    REGS(m, S, S, ERR);
    PUT(m, I(CONCAT, 1, 0, 0), I(CONCAT, 1, 1, 0), I(RETURN, 1, 0, 0), I(RETURN, 1, 0, 0));
    sample_tries(m, &(ImageTry){ 0, 2, 3, 2, TRY_CATCH }, 1);
    expect(m, "pc 3 (RETURN): register r1");
    m = with_func(1, S);
    REGS(m, S, S, ERR);
    PUT(m, I(CONCAT, 1, 0, 0), I(CONCAT, 1, 1, 0), I(RETURN, 1, 0, 0), I(RETURN, 1, 0, 0));
    sample_tries(m, &(ImageTry){ 1, 2, 3, 2, TRY_CATCH }, 1);
    expect(m, NULL);
}

static void a_handler_lacks_what_was_taken_in_its_range(void **state)
{
    (void)state;
    Image *m = with_func(1, S);
    REGS(m, S, S, ERR);
    PUT(m, I(TAKE_REF, 1, 0, 0), I(CONCAT, 0, 1, 1), I(RETURN, 0, 0, 0), I(RETURN, 0, 0, 0));
    sample_tries(m, &(ImageTry){ 0, 2, 3, 2, TRY_CATCH }, 1);
    expect(m, "pc 3 (RETURN): register r0");
}

static void what_an_inner_range_lost_the_outer_handler_lacks_too(void **state)
{
    (void)state;
    Image *m = with_func(1, S);
    REGS(m, S, S, ERR, ERR);
    PUT(m, I(TAKE_REF, 1, 0, 0), I(CONCAT, 0, 1, 1), I(RETURN, 0, 0, 0), I(RAISE, 2, 0, 0), I(RETURN, 0, 0, 0));
    sample_tries(m, (ImageTry[]){ { 0, 2, 3, 2, TRY_CATCH }, { 0, 3, 4, 3, TRY_FINALLY } }, 2);
    expect(m, "pc 4 (RETURN): register r0");
}

static void a_jump_into_a_range_brings_its_own_set(void **state)
{
    (void)state;
    Image *m = with_func(2, S);
    REGS(m, BOOL, S, S, ERR);
    PUT(m, WIDE(JT, 0, 3), I(CONCAT, 2, 1, 1), I(CONCAT, 2, 2, 1), I(CONCAT, 1, 1, 1), I(RETURN, 1, 0, 0), I(RETURN, 2, 0, 0));
    sample_tries(m, &(ImageTry){ 2, 4, 5, 3, TRY_CATCH }, 1);
    expect(m, "pc 5 (RETURN): register r2");
}

static void a_handler_of_a_dead_range_is_dead(void **state)
{
    (void)state;
    Image *m = with_func(1, S);
    REGS(m, S, S, ERR);
    PUT(m, I(RETURN, 0, 0, 0), I(CONCAT, 0, 0, 0), I(RETURN, 0, 0, 0), I(RETURN, 1, 0, 0));
    sample_tries(m, &(ImageTry){ 1, 2, 3, 2, TRY_CATCH }, 1);
    expect(m, NULL);
}

static void more_registers_than_one_word_are_followed(void **state)
{
    (void)state;
    enum { COUNT = 130 };
    Image *m = with_func(1, S);
    uint16_t types[COUNT];
    Insn code[COUNT + 1];
    for (int i = 0; i < COUNT; i++) types[i] = S;
    for (int i = 1; i < COUNT; i++) code[i - 1] = I(CONCAT, i, i - 1, 0);
    code[COUNT - 1] = I(RETURN, COUNT - 1, 0, 0);
    sample_regs(m, types, COUNT);
    sample_code(m, code, COUNT);
    expect(m, NULL);
    m = with_func(1, S);
    code[65] = I(CONCAT, 66, 67, 0);
    sample_regs(m, types, COUNT);
    sample_code(m, code, COUNT);
    expect(m, "register r67");
}

static void what_is_optional_already_is_not_made_so_twice(void **state)
{
    (void)state;
    for (int wrong = 0; wrong < 2; wrong++) {
        Image *m = with_func(0, T_OPT_INT);
        sample_type(m, (ImageType){ .kind = KIND_MAP, .element = T_OPT_INT });
        sample_type(m, (ImageType){ .kind = KIND_LIST, .element = T_OPT_INT });
        uint16_t map = (uint16_t)(m->type_count - 2), list = (uint16_t)(m->type_count - 1);
        REGS(m, map, S, T_OPT_INT, list, T_OPT_STRING);
        PUT(m, I(NEW_MAP, 0, 0, 0), I(LOADREF, 1, K_TEXT, 0), I(MAP_GET, wrong ? 4 : 2, 0, 1), I(NEW_LIST, 3, 2, 1), I(BUILTIN, 2, BUILTIN_LIST_FIRST, 3), I(RETURN, 2, 0, 0));
        expect(m, wrong ? "register r4 is string?, expected int?" : NULL);
    }
}

/* ---- groups ---- */

static void a_register_may_hold_one_group_after_another(void **state)
{
    (void)state;
    Image *m = with_func(1, INT);
    REGS(m, S, GROUP, INT, S, T_OPT_INT);
    PUT(m, I(GROUP_NEW, 1, 0, 2), I(SPAWN, 1, F_BRANCH, 0), I(JOIN, 1, 0, 0), I(FIBER_RESULT, 3, 1, 0), I(GROUP_FREE, 1, 0, 0),
        I(GROUP_NEW, 1, 1, 2), I(SPAWN, 1, F_BRANCH_SOFT, 3), I(JOIN, 1, 0, 0), I(FIBER_RESULT, 4, 1, 0), I(RACE_RESULT, 2, 1, 0), I(RETURN, 2, 0, 0));
    expect(m, NULL);
}

static void a_group_from_two_places_is_refused(void **state)
{
    (void)state;
    Image *m = with_func(2, VOID);
    REGS(m, S, BOOL, GROUP, INT);
    PUT(m, I(GROUP_NEW, 2, 0, 3), WIDE(JF, 1, 3), I(GROUP_NEW, 2, 0, 3), I(SPAWN, 2, F_BRANCH, 0), I(RETURN_VOID, 0, 0, 0));
    expect(m, "holds no group here, or one of several");
}

static void a_fibers_result_by_place_needs_spawns_in_a_row(void **state)
{
    (void)state;
    Image *m = with_func(2, S);
    REGS(m, S, BOOL, GROUP, INT, S);
    PUT(m, I(GROUP_NEW, 2, 0, 3), WIDE(JF, 1, 3), I(SPAWN, 2, F_BRANCH_SOFT, 0), I(SPAWN, 2, F_BRANCH, 0), I(JOIN, 2, 0, 0), I(FIBER_RESULT, 4, 2, 1), I(RETURN, 4, 0, 0));
    expect(m, "results of different types");
}

static void fibers_spawned_in_a_loop_give_a_list(void **state)
{
    (void)state;
    Image *m = with_func(2, T_LIST_INT);
    REGS(m, S, INT, GROUP, INT, T_LIST_INT, T_OPT_INT);
    PUT(m, I(GROUP_NEW, 2, 0, 3), I(SPAWN, 2, F_BRANCH_SOFT, 0), I(FORLOOP, 3, 1, -2), I(JOIN, 2, 0, 0), I(FIBER_RESULT, 5, 2, 7), I(GROUP_RESULTS, 4, 2, 0), I(RETURN, 4, 0, 0));
    expect(m, NULL);
    m = with_func(2, TYPE_INDEX_LIST_STRING);
    REGS(m, S, INT, GROUP, INT, TYPE_INDEX_LIST_STRING);
    PUT(m, I(GROUP_NEW, 2, 0, 3), I(SPAWN, 2, F_BRANCH_SOFT, 0), I(FORLOOP, 3, 1, -2), I(JOIN, 2, 0, 0), I(GROUP_RESULTS, 4, 2, 0), I(RETURN, 4, 0, 0));
    expect(m, "not what the fibers give");
}

static void a_spawn_behind_its_use_counts_too(void **state)
{
    (void)state;
    Image *m = with_func(2, S);
    REGS(m, S, INT, GROUP, INT, S);
    PUT(m, I(GROUP_NEW, 2, 0, 3), I(SPAWN, 2, F_BRANCH, 0), I(JOIN, 2, 0, 0), I(FIBER_RESULT, 4, 2, 1), I(SPAWN, 2, F_BRANCH_SOFT, 0), I(FORLOOP, 3, 1, -4), I(RETURN, 4, 0, 0));
    expect(m, "results of different types");
}

static void a_group_without_fibers_has_no_results(void **state)
{
    (void)state;
    Image *m = with_func(0, T_LIST_INT);
    REGS(m, GROUP, INT, T_LIST_INT);
    PUT(m, I(GROUP_NEW, 0, 0, 1), I(JOIN, 0, 0, 0), I(GROUP_RESULTS, 2, 0, 0), I(RETURN, 2, 0, 0));
    expect(m, "no fiber is started");
}

/* ---- limits ---- */

static void expect_limit(Image *m, const char *name)
{
    Error error = { 0 };
    assert_int_equal(image_verify(m, &error), ERR_LIMIT);
    if (!strstr(error.text, name)) fail_msg("`%s` does not name %s", error.text, name);
    image_free(m);
}

static void limits_of_functions_are_kept(void **state)
{
    (void)state;
    Image *m = with_func(0, VOID);
    uint16_t *types = ARENA_ARRAY(m->arena, uint16_t, FUNC_REGS_MAX + 1);
    for (int i = 0; i <= FUNC_REGS_MAX; i++) types[i] = INT;
    PUT(m, I(RETURN_VOID, 0, 0, 0));
    sample_last(m)->reg_types = types;
    sample_last(m)->reg_count = FUNC_REGS_MAX + 1;
    expect_limit(m, "FUNC_REGS_MAX");

    m = with_func(FUNC_PARAMS_MAX + 1, VOID);
    types = ARENA_ARRAY(m->arena, uint16_t, FUNC_PARAMS_MAX + 1);
    for (int i = 0; i <= FUNC_PARAMS_MAX; i++) types[i] = INT;
    PUT(m, I(RETURN_VOID, 0, 0, 0));
    sample_last(m)->reg_types = types;
    sample_last(m)->reg_count = FUNC_PARAMS_MAX + 1;
    expect_limit(m, "FUNC_PARAMS_MAX");

    m = with_func(0, VOID);
    PUT(m, I(RETURN_VOID, 0, 0, 0));
    sample_last(m)->code_count = FUNC_CODE_MAX + 1;
    expect_limit(m, "FUNC_CODE_MAX");
}

static void limits_of_types_are_kept(void **state)
{
    (void)state;
    Image *m = sample_image();
    ImageField *fields = ARENA_ARRAY(m->arena, ImageField, RECORD_FIELDS_MAX + 1);
    for (int i = 0; i <= RECORD_FIELDS_MAX; i++) fields[i] = (ImageField){ .name = str_of(arena_printf(m->arena, "f%d", i)), .type = INT };
    sample_type(m, (ImageType){ .kind = KIND_RECORD, .fields = fields, .field_count = RECORD_FIELDS_MAX });
    expect(image_retain(m), NULL);
    sample_type(m, (ImageType){ .kind = KIND_RECORD, .fields = fields, .field_count = RECORD_FIELDS_MAX + 1 });
    expect_limit(m, "RECORD_FIELDS_MAX");

    m = sample_image();
    sample_type(m, (ImageType){ .kind = KIND_LIST, .element = INT });
    while (m->type_count < T_SMALL_STATUS + TYPE_DEPTH_MAX) sample_type(m, (ImageType){ .kind = KIND_LIST, .element = (uint16_t)(m->type_count - 1) });
    expect(image_retain(m), NULL);
    sample_type(m, (ImageType){ .kind = KIND_LIST, .element = (uint16_t)(m->type_count - 1) });
    expect_limit(m, "TYPE_DEPTH_MAX");

    m = sample_image();
    m->consts[K_TEXT].bytes = (Str){ arena_alloc(m->arena, CONST_BYTES_MAX + 1), CONST_BYTES_MAX + 1 };
    expect_limit(m, "CONST_BYTES_MAX");
}

static void limits_of_tables_are_kept(void **state)
{
    (void)state;
    Image *m = sample_image();
    Str *members = ARENA_ARRAY(m->arena, Str, 65);
    for (int i = 0; i < 65; i++) members[i] = str_of(arena_printf(m->arena, "M%d", i));
    sample_type(m, (ImageType){ .kind = KIND_ENUM, .members = members, .member_count = 65 });
    *NEW_ROW(m, machine) = (ImageMachine){ .type = (uint16_t)(m->type_count - 1), .targets = ARENA_ARRAY(m->arena, uint64_t, 65) };
    expect_limit(m, "MACHINE_STATES_MAX");

    m = sample_image();
    m->test_count = IMAGE_INDEX_MAX + 1;
    expect_limit(m, "IMAGE_INDEX_MAX");

    m = sample_image();
    m->tools[TOOL_WEATHER].params = ARENA_ARRAY(m->arena, ImageField, FUNC_PARAMS_MAX + 1);
    m->tools[TOOL_WEATHER].param_count = FUNC_PARAMS_MAX + 1;
    expect_limit(m, "FUNC_PARAMS_MAX");

    m = sample_image();
    m->effects[E_PROGRESS].params = ARENA_ARRAY(m->arena, uint16_t, FUNC_PARAMS_MAX + 1);
    m->effects[E_PROGRESS].param_count = FUNC_PARAMS_MAX + 1;
    expect_limit(m, "FUNC_PARAMS_MAX");
}

static void limits_of_queries_are_kept(void **state)
{
    (void)state;
    QueryItem items[2 * QUERY_ITEMS_MAX];
    Image *m = sample_image();
    for (int i = 0; i <= QUERY_STACK_MAX; i++) items[i] = (QueryItem){ QX_COLUMN, 0, 0 };
    m->queries[Q_UPDATE].where = sample_expr(m, items, QUERY_STACK_MAX + 1);
    expect_limit(m, "QUERY_STACK_MAX");

    m = sample_image();
    items[0] = (QueryItem){ QX_COLUMN, 0, 0 };
    for (int i = 1; i < QUERY_ITEMS_MAX; i++) items[i] = (QueryItem){ QX_LOWER, 0, 0 };
    items[QUERY_ITEMS_MAX - 1] = (QueryItem){ QX_IS_NULL, 0, 0 };
    m->queries[Q_ONE].where = sample_expr(m, items, QUERY_ITEMS_MAX);
    expect_limit(m, "QUERY_ITEMS_MAX");              /* together with its join */

    m = sample_image();
    m->queries[Q_ONE].join_count = QUERY_JOINS_MAX + 1;
    expect_limit(m, "QUERY_JOINS_MAX");

    m = sample_image();
    m->queries[Q_GROUPED].group_count = QUERY_OUTPUTS_MAX + 1;
    expect_limit(m, "QUERY_OUTPUTS_MAX");

    m = sample_image();
    m->queries[Q_OPEN].order_count = QUERY_OUTPUTS_MAX + 1;
    expect_limit(m, "QUERY_OUTPUTS_MAX");

    m = sample_image();
    m->queries[Q_GROUPED].output_count = QUERY_OUTPUTS_MAX + 1;
    expect_limit(m, "QUERY_OUTPUTS_MAX");

    m = sample_image();
    m->queries[Q_UPDATE].params = ARENA_ARRAY(m->arena, uint16_t, FUNC_PARAMS_MAX + 1);
    m->queries[Q_UPDATE].param_count = FUNC_PARAMS_MAX + 1;
    expect_limit(m, "FUNC_PARAMS_MAX");
}

static void the_work_of_the_verifier_is_bounded(void **state)
{
    (void)state;
    Image *m = with_func(0, VOID);
    REGS(m, GROUP, INT);
    Insn *code = ARENA_ARRAY(m->arena, Insn, VERIFY_GROUPS_MAX + 2);
    for (int i = 0; i <= VERIFY_GROUPS_MAX; i++) code[i] = I(GROUP_NEW, 0, 0, 1);
    code[VERIFY_GROUPS_MAX + 1] = I(RETURN_VOID, 0, 0, 0);
    sample_last(m)->code = code;
    sample_last(m)->code_count = VERIFY_GROUPS_MAX + 2;
    expect_limit(m, "VERIFY_GROUPS_MAX");

    enum { RANGES = VERIFY_TRIES_OPEN_MAX + 1 };
    m = with_func(0, VOID);
    REGS(m, ERR);
    PUT(m, I(RETURN_VOID, 0, 0, 0), I(RETURN_VOID, 0, 0, 0));
    ImageTry tries[RANGES];
    for (int i = 0; i < RANGES; i++) tries[i] = (ImageTry){ 0, 1, 1, 0, TRY_CATCH };
    sample_tries(m, tries, RANGES);
    expect_limit(m, "VERIFY_TRIES_OPEN_MAX");

    enum { LOOPS = 20000 };                          /* all of them crossing, with one that takes what they began with in the middle */
    m = with_func(2, VOID);
    REGS(m, S, BOOL, S);
    code = ARENA_ARRAY(m->arena, Insn, 3 * LOOPS + 2);
    for (int i = 0; i < LOOPS; i++) code[i] = I(NOT, 1, 1, 0);
    code[LOOPS] = I(TAKE_REF, 2, 0, 0);
    for (uint32_t i = 0; i < LOOPS; i++) {
        code[LOOPS + 1 + 2 * i] = WIDE(JF, 1, LOOPS + 3 + 2 * i);
        code[LOOPS + 2 + 2 * i] = WIDE(LOOP, 0, i);
    }
    code[3 * LOOPS + 1] = I(RETURN_VOID, 0, 0, 0);
    sample_last(m)->code = code;
    sample_last(m)->code_count = 3 * LOOPS + 2;
    expect_limit(m, "VERIFY_WORK_MAX");

    enum { JUMPS = 200000 };                         /* each to a label of its own, all open at once */
    m = with_func(0, VOID);
    uint16_t *types = ARENA_ARRAY(m->arena, uint16_t, FUNC_REGS_MAX);
    for (int i = 0; i < FUNC_REGS_MAX; i++) types[i] = S;
    types[0] = BOOL;
    code = ARENA_ARRAY(m->arena, Insn, 2 * JUMPS);
    for (int i = 0; i < JUMPS; i++) code[i] = WIDE(JT, 0, JUMPS + i);
    for (int i = 0; i < JUMPS; i++) code[JUMPS + i] = I(RETURN_VOID, 0, 0, 0);
    sample_last(m)->reg_types = types;
    sample_last(m)->reg_count = FUNC_REGS_MAX;
    sample_last(m)->code = code;
    sample_last(m)->code_count = 2 * JUMPS;
    expect_limit(m, "VERIFY_STATE_WORDS_MAX");
}

/* ---- the rows of the .def files ---- */

/* The type a signature means when every variable is int; rows are added as needed. */
static uint16_t type_of_text(Image *m, Str text)
{
    char last = text.ptr[text.len - 1];
    if (last == '?' || last == '>') {
        const char *open = last == '?' ? NULL : memchr(text.ptr, '<', text.len);
        Str inner = open ? (Str){ open + 1, text.len - (size_t)(open - text.ptr) - 2 } : (Str){ text.ptr, text.len - 1 };
        TypeKind kind = !open ? KIND_OPT : str_starts(text, STR("list")) ? KIND_LIST : KIND_MAP;
        uint16_t element = type_of_text(m, inner);
        for (uint16_t i = 0; i < m->type_count; i++)
            if (m->types[i].kind == kind && m->types[i].element == element) return i;
        sample_type(m, (ImageType){ .kind = kind, .element = element });
        return (uint16_t)(m->type_count - 1);
    }
    static const char *const words[] = { "void", "bool", "int", "float", "decimal", "string", "date", "timestamp", "duration", "bytes", "json", "error" };
    for (uint16_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_is(text, words[i])) return i;
    assert_int_equal(text.len, 1);
    return INT;
}

static Image *builtin_call(uint16_t number)
{
    const BuiltinInfo *info = builtininfo_find(number);
    Image *m = image_new();
    uint16_t types[16], count = 0;
    Insn code[3] = { I(BUILTIN, 0, number, 0), I(RETURN_VOID, 0, 0, 0) };
    if (info->receiver[0]) types[count++] = type_of_text(m, str_of(info->receiver));
    Str rest = str_of(info->params), one;
    while (signature_next(&rest, &one)) types[count++] = type_of_text(m, one);
    types[count] = type_of_text(m, str_of(info->result));
    types[count + 1] = GROUP;
    code[0] = I(BUILTIN, count, number, 0);
    sample_func(m, "call", FUNC_FN, NO_INDEX, count, VOID);
    sample_regs(m, types, (uint16_t)(count + 2));
    sample_code(m, code, 2);
    return m;
}

static void every_builtin_can_be_called_as_its_row_says_and_not_otherwise(void **state)
{
    (void)state;
    int seen = 0;
    for (uint16_t number = 0; number < BUILTIN_LIMIT; number++) {
        if (!builtininfo_find(number)) continue;
        seen++;
        expect(builtin_call(number), NULL);
        Image *m = builtin_call(number);
        ImageFunc *func = sample_last(m);
        bool free_result = number == BUILTIN_JSON_AS;
        func->reg_types[func->param_count] = TYPE_INDEX_OPT_ERROR;
        expect(m, free_result ? NULL : "expected");
        m = builtin_call(number);
        func = sample_last(m);
        func->reg_types[0] = func->reg_types[0] == TYPE_INDEX_ERROR ? INT : TYPE_INDEX_ERROR;
        expect(m, number == BUILTIN_JSON_OF ? NULL : "expected");
    }
    assert_true(seen > 50);
}

static void what_has_no_order_is_not_sorted(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        Image *m = image_new();
        sample_type(m, (ImageType){ .kind = KIND_LIST, .element = i ? S : TYPE_INDEX_JSON });
        sample_func(m, "sort", FUNC_FN, NO_INDEX, 1, VOID);
        REGS(m, TYPE_INDEX_FIXED_COUNT);
        PUT(m, I(BUILTIN, 0, BUILTIN_LIST_SORT, 0), I(RETURN_VOID, 0, 0, 0));
        expect(m, i ? NULL : "list<json> has no order");
    }
}

static void every_effect_has_a_rule_or_is_made_by_the_machine(void **state)
{
    (void)state;
    int by_machine = 0;
    for (int kind = 0; kind < 256; kind++) {
        if (!effect_name((uint16_t)kind)) continue;
        Image *m = image_new();
        Error error = { 0 };
        *NEW_ROW(m, effect) = (ImageEffect){ .kind = (uint8_t)kind, .target = NO_INDEX };
        if (image_verify(m, &error) && strstr(error.text, "made by the machine")) by_machine++;
        image_free(m);
    }
    assert_int_equal(by_machine, 3);                 /* span begin, span end, parallel */
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
        cmocka_unit_test(a_value_given_on_both_ways_can_be_read),
        cmocka_unit_test(a_value_given_on_one_way_cannot),
        cmocka_unit_test(words_optionals_and_decimals_need_no_value),
        cmocka_unit_test(a_value_made_in_a_loop_is_not_there_before_it),
        cmocka_unit_test(a_loop_may_not_lose_what_it_began_with),
        cmocka_unit_test(a_loop_forgets_temporaries_that_it_takes),
        cmocka_unit_test(a_nest_of_loops_that_take_is_followed),
        cmocka_unit_test(loops_that_cross_must_agree),
        cmocka_unit_test(ranges_may_overlap),
        cmocka_unit_test(a_loop_may_take_and_give_back),
        cmocka_unit_test(code_that_nothing_reaches_may_stand_there),
        cmocka_unit_test(a_loop_into_code_that_nothing_else_reaches_is_refused),
        cmocka_unit_test(a_handler_has_only_what_its_range_began_with),
        cmocka_unit_test(a_handler_lacks_what_was_taken_in_its_range),
        cmocka_unit_test(what_an_inner_range_lost_the_outer_handler_lacks_too),
        cmocka_unit_test(a_jump_into_a_range_brings_its_own_set),
        cmocka_unit_test(a_handler_of_a_dead_range_is_dead),
        cmocka_unit_test(more_registers_than_one_word_are_followed),
        cmocka_unit_test(what_is_optional_already_is_not_made_so_twice),
        cmocka_unit_test(a_register_may_hold_one_group_after_another),
        cmocka_unit_test(a_group_from_two_places_is_refused),
        cmocka_unit_test(a_fibers_result_by_place_needs_spawns_in_a_row),
        cmocka_unit_test(fibers_spawned_in_a_loop_give_a_list),
        cmocka_unit_test(a_spawn_behind_its_use_counts_too),
        cmocka_unit_test(a_group_without_fibers_has_no_results),
        cmocka_unit_test(limits_of_functions_are_kept),
        cmocka_unit_test(limits_of_types_are_kept),
        cmocka_unit_test(limits_of_tables_are_kept),
        cmocka_unit_test(limits_of_queries_are_kept),
        cmocka_unit_test(the_work_of_the_verifier_is_bounded),
        cmocka_unit_test(every_builtin_can_be_called_as_its_row_says_and_not_otherwise),
        cmocka_unit_test(what_has_no_order_is_not_sorted),
        cmocka_unit_test(every_effect_has_a_rule_or_is_made_by_the_machine),
        cmocka_unit_test(random_instructions_are_refused_or_fit),
        cmocka_unit_test(what_is_made_on_load_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
