/* test_verify_code.c - code made for the case: values on every way, groups, limits, and the rows of the .def files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/unit/sample_image.h"
#include "interpreter/bytecode/verify_internal.h"

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

static void a_jump_compares_with_a_decimal_only(void **state)
{
    (void)state;
    Image *m = with_func(1, INT);
    REGS(m, TYPE_INDEX_DECIMAL, INT);
    PUT(m, I(JLTK_DEC, 0, K_TEXT, 0), I(RETURN, 1, 0, 0));
    expect(m, "is not a decimal");
    m = with_func(1, INT);
    REGS(m, TYPE_INDEX_DECIMAL, INT);
    PUT(m, I(JLTK_DEC, 0, 9999, 0), I(RETURN, 1, 0, 0));
    expect(m, "constant 9999 is not there");
    m = with_func(1, INT);
    REGS(m, INT, TYPE_INDEX_DECIMAL);
    PUT(m, I(JLE_DEC, 1, 0, 0), I(RETURN, 0, 0, 0));
    expect(m, "register r0 is int, expected a decimal");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_given_on_both_ways_can_be_read),
        cmocka_unit_test(a_value_given_on_one_way_cannot),
        cmocka_unit_test(words_optionals_and_decimals_need_no_value),
        cmocka_unit_test(a_jump_compares_with_a_decimal_only), cmocka_unit_test(a_value_made_in_a_loop_is_not_there_before_it),
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
