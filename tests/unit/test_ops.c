/* test_ops.c - instructions one by one: operands and result as JSON; and that no instruction of opcodes.def is forgotten. */
#include "tests/unit/vm_run.h"
#include "interpreter/bytecode/opinfo.h"

enum { DATE = TYPE_INDEX_DATE, DUR = TYPE_INDEX_DURATION, TEXTS = TYPE_INDEX_LIST_STRING };
enum { COLOR = TYPE_INDEX_FIXED_COUNT, OPT_INT, OPT_TEXT, OPT_FLOAT, INTS, PAIR, PAIRS, OPT_PAIR, MAP_TEXT, OPT_OPT, NONE };

typedef struct Case { Opcode op; uint16_t result, b, c; const char *left, *right, *expect; } Case;      /* expect "!…": raises that */

static const Case cases[] = {
    { OP_ADD_INT, INT, INT, INT, "2", "3", "5" }, { OP_SUB_INT, INT, INT, INT, "2", "3", "-1" }, { OP_MUL_INT, INT, INT, INT, "-4", "3", "-12" },
    { OP_DIV_INT, INT, INT, INT, "-7", "2", "-3" }, { OP_MOD_INT, INT, INT, INT, "-7", "2", "-1" },
    { OP_NEG_INT, INT, INT, NONE, "5", NULL, "-5" }, { OP_NEG_INT, INT, INT, NONE, "-9223372036854775808", NULL, "!integer overflow" },
    { OP_LT_INT, BOOL, INT, INT, "1", "2", "true" }, { OP_LE_INT, BOOL, INT, INT, "2", "2", "true" }, { OP_EQ_INT, BOOL, INT, INT, "1", "2", "false" },
    { OP_NOT, BOOL, BOOL, NONE, "true", NULL, "false" }, { OP_MOVE, INT, INT, NONE, "7", NULL, "7" }, { OP_MOVE, FLOAT, FLOAT, NONE, "0.5", NULL, "0.5" },
    { OP_MOVE_REF, TEXT, TEXT, NONE, "\"a\"", NULL, "\"a\"" }, { OP_TAKE_REF, TEXT, TEXT, NONE, "\"a\"", NULL, "\"a\"" },
    { OP_RECAST, INT, DUR, NONE, "\"1s\"", NULL, "1000000" },
    { OP_ADD_FLOAT, FLOAT, FLOAT, FLOAT, "0.5", "0.25", "0.75" }, { OP_SUB_FLOAT, FLOAT, FLOAT, FLOAT, "0.5", "0.25", "0.25" },
    { OP_MUL_FLOAT, FLOAT, FLOAT, FLOAT, "0.5", "0.5", "0.25" }, { OP_DIV_FLOAT, FLOAT, FLOAT, FLOAT, "1.0", "4.0", "0.25" },
    { OP_DIV_FLOAT, FLOAT, FLOAT, FLOAT, "1.0", "0.0", "!division by zero" }, { OP_DIV_FLOAT, FLOAT, FLOAT, FLOAT, "1e308", "1e-308", "!the quotient is not a finite number" },
    { OP_NEG_FLOAT, FLOAT, FLOAT, NONE, "0.5", NULL, "-0.5" }, { OP_LT_FLOAT, BOOL, FLOAT, FLOAT, "0.5", "0.6", "true" },
    { OP_LE_FLOAT, BOOL, FLOAT, FLOAT, "0.7", "0.6", "false" }, { OP_EQ_FLOAT, BOOL, FLOAT, FLOAT, "0.5", "0.5", "true" },
    { OP_INT_TO_FLOAT, FLOAT, INT, NONE, "3", NULL, "3.0" }, { OP_FLOAT_TO_INT, INT, FLOAT, NONE, "-2.9", NULL, "-2" },
    { OP_FLOAT_TO_INT, INT, FLOAT, NONE, "1e300", NULL, "!the number does not fit an int" },
    { OP_ADD_DEC, DEC, DEC, DEC, "1.50", "1.5", "3.00" }, { OP_ADD_DEC, DEC, DEC, DEC, "1.50", "1.50", "3.00" }, { OP_SUB_DEC, DEC, DEC, DEC, "1.50", "0.25", "1.25" },
    { OP_ADD_DEC, DEC, DEC, DEC, "72057594037927935", "72057594037927935", "144115188075855870" },
    { OP_SUB_DEC, DEC, DEC, DEC, "-72057594037927936", "72057594037927935", "\"-144115188075855871\"" },
    { OP_MUL_DEC, DEC, DEC, DEC, "1.5", "1.5", "2.25" }, { OP_DIV_DEC, DEC, DEC, DEC, "1", "4", "0.25" }, { OP_DIV_DEC, DEC, DEC, DEC, "1", "0", "!division by zero" },
    { OP_MOD_DEC, DEC, DEC, DEC, "-7.5", "2", "-1.5" }, { OP_MOD_DEC, DEC, DEC, DEC, "7.5", "0.0", "!division by zero" }, { OP_NEG_DEC, DEC, DEC, NONE, "1.50", NULL, "-1.50" },
    { OP_LT_DEC, BOOL, DEC, DEC, "1.49", "1.5", "true" }, { OP_LT_DEC, BOOL, DEC, DEC, "-1.5", "1.5", "true" }, { OP_LE_DEC, BOOL, DEC, DEC, "1.50", "1.5", "true" },
    { OP_EQ_DEC, BOOL, DEC, DEC, "1.50", "1.5", "true" }, { OP_EQ_DEC, BOOL, DEC, DEC, "1.5", "2.5", "false" },
    { OP_INT_TO_DEC, DEC, INT, NONE, "42", NULL, "42" }, { OP_FLOAT_TO_DEC, DEC, FLOAT, NONE, "19.99", NULL, "19.99" }, { OP_DEC_TO_FLOAT, FLOAT, DEC, NONE, "0.1", NULL, "0.1" },
    { OP_LT_STR, BOOL, TEXT, TEXT, "\"a\"", "\"b\"", "true" }, { OP_LE_STR, BOOL, TEXT, TEXT, "\"b\"", "\"a\"", "false" }, { OP_EQ_STR, BOOL, TEXT, TEXT, "\"ab\"", "\"ab\"", "true" },
    { OP_EQ_VAL, BOOL, PAIRS, PAIRS, "[{\"k\":1,\"s\":\"x\"}]", "[{\"k\":1,\"s\":\"x\"}]", "true" }, { OP_EQ_VAL, BOOL, TEXTS, TEXTS, "[\"a\"]", "[\"b\"]", "false" },
    { OP_CONCAT, TEXT, TEXT, TEXT, "\"a\"", "\"b\"", "\"ab\"" },
    { OP_TO_STR, TEXT, DEC, NONE, "1.50", NULL, "\"1.50\"" }, { OP_TO_STR, TEXT, COLOR, NONE, "\"RED\"", NULL, "\"RED\"" }, { OP_TO_STR, TEXT, TEXT, NONE, "\"t\"", NULL, "\"t\"" },
    { OP_TO_STR, TEXT, PAIR, NONE, "{\"k\":1,\"s\":\"x\"}", NULL, "\"{\\\"k\\\":1,\\\"s\\\":\\\"x\\\"}\"" }, { OP_TO_STR, TEXT, DATE, NONE, "\"2025-11-10\"", NULL, "\"2025-11-10\"" },
    { OP_ENUM_NAME, TEXT, COLOR, NONE, "\"BLUE\"", NULL, "\"BLUE\"" },
    { OP_WRAP, OPT_INT, INT, NONE, "5", NULL, "5" }, { OP_WRAP, OPT_TEXT, TEXT, NONE, "\"\"", NULL, "\"\"" }, { OP_WRAP, OPT_FLOAT, FLOAT, NONE, "0.1", NULL, "0.1" },
    { OP_WRAP, OPT_PAIR, PAIR, NONE, "{\"k\":1,\"s\":\"x\"}", NULL, "{\"k\":1,\"s\":\"x\"}" },
    { OP_UNWRAP, INT, OPT_INT, NONE, "9223372036854775807", NULL, "9223372036854775807" }, { OP_UNWRAP, TEXT, OPT_TEXT, NONE, "\"x\"", NULL, "\"x\"" },
    { OP_UNWRAP, FLOAT, OPT_FLOAT, NONE, "0.1", NULL, "0.1" }, { OP_UNWRAP, INT, OPT_INT, NONE, "null", NULL, "!null has no value" }, { OP_UNWRAP, TEXT, OPT_TEXT, NONE, "null", NULL, "!null has no value" },
    { OP_IS_NULL, BOOL, OPT_TEXT, NONE, "null", NULL, "true" }, { OP_IS_NULL, BOOL, OPT_TEXT, NONE, "\"\"", NULL, "false" }, { OP_IS_NULL, BOOL, JSON, NONE, "null", NULL, "true" },
    { OP_LIST_LEN, INT, TEXTS, NONE, "[\"a\",\"b\"]", NULL, "2" }, { OP_LIST_GET, INT, INTS, INT, "[4,5]", "1", "5" }, { OP_LIST_GET, TEXT, TEXTS, INT, "[\"a\",\"b\"]", "1", "\"b\"" },
    { OP_LIST_GET, TEXT, TEXTS, INT, "[\"a\"]", "-1", "!index -1 is outside a list of 1" }, { OP_MAP_GET, OPT_TEXT, MAP_TEXT, TEXT, "{\"k\":\"v\"}", "\"k\"", "\"v\"" },
    { OP_MAP_GET, OPT_TEXT, MAP_TEXT, TEXT, "{\"k\":\"v\"}", "\"x\"", "null" },
};
enum { CASE_COUNT = sizeof cases / sizeof *cases };

static void types_make(Asm *m)
{
    assert_int_equal(asm_enum(m, "Color", 3, (const char *[]){ "RED", "GREEN", "BLUE" }), COLOR);
    asm_type(m, KIND_OPT, INT);
    asm_type(m, KIND_OPT, TEXT);
    asm_type(m, KIND_OPT, FLOAT);
    asm_type(m, KIND_LIST, INT);
    assert_int_equal(asm_record(m, "Pair", 2, (const char *[]){ "k", "s" }, (uint16_t[]){ INT, TEXT }), PAIR);
    asm_type(m, KIND_LIST, PAIR);
    asm_type(m, KIND_OPT, PAIR);
    assert_int_equal(asm_type(m, KIND_MAP, TEXT), MAP_TEXT);
}

static Value value_of(const Image *image, uint16_t type, const char *text)
{
    Arena *arena = arena_new();
    Json *json;
    Value v = { 0 };
    Error error = { 0 };
    if (json_parse(arena, str_of(text), 1 << 20, &json, &error) || value_from_json(image, type, json, &v, &error)) fail_msg("%s: %s", text, error.text);
    arena_free(arena);
    return v;
}

/* Runs the last function on the arguments; the result as JSON, or "!" and the message. */
static void run_on(Asm *m, uint16_t count, const uint16_t *types, const char *const *texts, Buf *out)
{
    Image *image = asm_done(m);
    Value args[4];
    uint16_t func = (uint16_t)(image->func_count - 1);
    for (int k = 0; k < count; k++) args[k] = value_of(image, types[k], texts[k]);
    VmRun *run = vm_new(image, func, args, &asm_info, NULL);
    for (int k = 0; k < count; k++)
        if (kind_is_counted(image->types[types[k]].kind)) value_release(args[k]);
    if (run_all(run) == VM_DONE) value_to_json(image, image->funcs[func].result, vm_result(run), out);
    else {
        buf_put_char(out, '!');
        buf_put_str(out, error_text(run, ERROR_FIELD_MESSAGE));
    }
    vm_free(run);
    image_free(image);
}

static void every_operator_gives_what_its_row_says(void **state)
{
    for (int k = 0; k < CASE_COUNT; k++) {
        const Case *c = &cases[k];
        Asm *m = asm_new();
        Buf out = { 0 };
        uint16_t types[] = { c->b, c->c }, count = c->c == NONE ? 1 : 2;
        types_make(m);
        asm_func(m, "main", FUNC_FN, c->result, count, types);
        uint16_t r = asm_reg(m, c->result);
        asm_emit(m, INSN(c->op, r, 0, c->c == NONE ? 0 : 1));
        EMIT(m, RETURN, r, 0, 0);
        run_on(m, count, types, (const char *[]){ c->left, c->right }, &out);
        if (!str_is(buf_str(&out), c->expect)) fail_msg("case %d, %s: found %s, expected %s", k, opcode_name((uint16_t)c->op), buf_cstr(&out), c->expect);
        buf_free(&out);
    }
}

/* Jumps: 1 when taken. The second is a register, a constant or an immediate. */
static const struct { Opcode op; uint16_t a, b; const char *left, *right; int imm; bool taken; } jumps[] = {
    { OP_JT, BOOL, NONE, "true", NULL, 0, true }, { OP_JT, BOOL, NONE, "false", NULL, 0, false }, { OP_JF, BOOL, NONE, "true", NULL, 0, false }, { OP_JF, BOOL, NONE, "false", NULL, 0, true },
    { OP_JNULL, OPT_TEXT, NONE, "null", NULL, 0, true }, { OP_JNULL, OPT_TEXT, NONE, "\"\"", NULL, 0, false },
    { OP_JNOTNULL, OPT_INT, NONE, "0", NULL, 0, true }, { OP_JNOTNULL, JSON, NONE, "null", NULL, 0, false },
    { OP_JLT_INT, INT, INT, "1", "2", 0, true }, { OP_JLT_INT, INT, INT, "2", "2", 0, false }, { OP_JLE_INT, INT, INT, "2", "2", 0, true }, { OP_JLE_INT, INT, INT, "3", "2", 0, false },
    { OP_JEQ_INT, INT, INT, "2", "2", 0, true }, { OP_JEQ_INT, INT, INT, "2", "3", 0, false }, { OP_JNE_INT, INT, INT, "2", "3", 0, true }, { OP_JNE_INT, INT, INT, "2", "2", 0, false },
    { OP_JLTI_INT, INT, NONE, "-6", NULL, -5, true }, { OP_JLTI_INT, INT, NONE, "-5", NULL, -5, false }, { OP_JLEI_INT, INT, NONE, "-5", NULL, -5, true }, { OP_JLEI_INT, INT, NONE, "-4", NULL, -5, false },
    { OP_JGTI_INT, INT, NONE, "-4", NULL, -5, true }, { OP_JGTI_INT, INT, NONE, "-5", NULL, -5, false }, { OP_JGEI_INT, INT, NONE, "-5", NULL, -5, true }, { OP_JGEI_INT, INT, NONE, "-6", NULL, -5, false },
    { OP_JEQI_INT, INT, NONE, "-5", NULL, -5, true }, { OP_JEQI_INT, INT, NONE, "5", NULL, -5, false }, { OP_JNEI_INT, INT, NONE, "5", NULL, -5, true }, { OP_JNEI_INT, INT, NONE, "-5", NULL, -5, false },
    { OP_JLT_DEC, DEC, DEC, "1.5", "1.51", 0, true }, { OP_JLT_DEC, DEC, DEC, "1.50", "1.5", 0, false }, { OP_JLE_DEC, DEC, DEC, "1.50", "1.5", 0, true }, { OP_JLE_DEC, DEC, DEC, "-1", "-1.1", 0, false },
    { OP_JEQ_DEC, DEC, DEC, "2", "2.00", 0, true }, { OP_JEQ_DEC, DEC, DEC, "2", "2.01", 0, false }, { OP_JNE_DEC, DEC, DEC, "2", "2.01", 0, true }, { OP_JNE_DEC, DEC, DEC, "2", "2.0", 0, false },
    { OP_JLTK_DEC, DEC, NONE, "499.99", "500", 0, true }, { OP_JLTK_DEC, DEC, NONE, "500.00", "500", 0, false }, { OP_JLEK_DEC, DEC, NONE, "500.0", "500", 0, true }, { OP_JLEK_DEC, DEC, NONE, "500.01", "500", 0, false },
    { OP_JGTK_DEC, DEC, NONE, "500.01", "500", 0, true }, { OP_JGTK_DEC, DEC, NONE, "500", "500", 0, false }, { OP_JGEK_DEC, DEC, NONE, "500", "500.0", 0, true }, { OP_JGEK_DEC, DEC, NONE, "499", "500", 0, false },
    { OP_JEQK_DEC, DEC, NONE, "123456789012345678901234567890.0", "123456789012345678901234567890", 0, true }, { OP_JEQK_DEC, DEC, NONE, "1", "2", 0, false },
    { OP_JNEK_DEC, DEC, NONE, "1", "2", 0, true }, { OP_JNEK_DEC, DEC, NONE, "1", "1.0", 0, false },
};
enum { JUMP_COUNT = sizeof jumps / sizeof *jumps };

static void jumps_go_where_they_should(void **state)
{
    for (int k = 0; k < JUMP_COUNT; k++) {
        Asm *m = asm_new();
        Buf out = { 0 };
        uint16_t types[] = { jumps[k].a, jumps[k].b }, count = jumps[k].b == NONE ? 1 : 2;
        types_make(m);
        bool constant = count == 1 && jumps[k].right;
        uint16_t second = constant ? asm_text(m, jumps[k].a, jumps[k].right) : count == 2 ? 1 : (uint16_t)jumps[k].imm;
        asm_func(m, "main", FUNC_FN, INT, count, types);
        uint16_t r = asm_reg(m, INT);
        uint32_t at = asm_emit(m, INSN(jumps[k].op, 0, second, 0));
        EMIT32(m, LOADI, r, 0);
        EMIT(m, RETURN, r, 0, 0);
        asm_here(m, at);
        EMIT32(m, LOADI, r, 1);
        EMIT(m, RETURN, r, 0, 0);
        run_on(m, count, types, (const char *[]){ jumps[k].left, jumps[k].right }, &out);
        if (!str_is(buf_str(&out), jumps[k].taken ? "1" : "0")) fail_msg("jump %d, %s", k, opcode_name((uint16_t)jumps[k].op));
        buf_free(&out);
    }
}

/* ---- what does not fit the tables ---- */

static void assert_run(Asm *m, const char *expect)
{
    Buf out = { 0 };
    run_on(m, 0, NULL, NULL, &out);
    assert_string_equal(buf_cstr(&out), expect);
    buf_free(&out);
}

static Asm *main_of(uint16_t result)
{
    Asm *m = asm_new();
    types_make(m);
    asm_func(m, "main", FUNC_FN, result, 0, NULL);
    return m;
}

static void immediates_and_constants_load(void **state)
{
    Asm *m = main_of(INT);
    uint16_t a = asm_reg(m, INT);
    EMIT32(m, LOADI, a, -100000);
    EMIT(m, ADDI_INT, a, a, (uint16_t)-3);
    EMIT(m, MULI_INT, a, a, (uint16_t)-2);
    EMIT(m, RETURN, a, 0, 0);
    assert_run(m, "200006");
    m = main_of(FLOAT);
    uint16_t c = asm_const(m, FLOAT, (Value){ .f = 2.5 }.w);
    a = asm_reg(m, FLOAT);
    EMIT(m, LOADK, a, c, 0);
    EMIT(m, RETURN, a, 0, 0);
    assert_run(m, "2.5");
    m = main_of(JSON);
    c = asm_text(m, JSON, "{\"a\":[1]}");
    a = asm_reg(m, JSON);
    EMIT(m, LOADNULL, a, 0, 0);
    EMIT(m, LOADREF, a, c, 0);
    EMIT(m, RETURN, a, 0, 0);
    assert_run(m, "{\"a\":[1]}");
}

static void information_of_the_run_is_readable(void **state)
{
    const char *const expect[] = { "\"run-1\"", "\"family\"", "\"anna\"", "\"main\"", "\"c-1\"", "\"Anna\"" };
    for (uint16_t k = 0; k < 6; k++) {
        Asm *m = main_of(TEXT);
        uint16_t a = asm_reg(m, TEXT);
        EMIT(m, INFO, a, k, 0);
        EMIT(m, RETURN, a, 0, 0);
        assert_run(m, expect[k]);
    }
}

static void texts_are_put_together_and_formatted(void **state)
{
    const struct { uint16_t type; const char *value, *format, *expect; } formats[] = {
        { DEC, "2.345", "0.00", "\"2.34\"" }, { INT, "5", "0.0", "\"5.0\"" }, { FLOAT, "2.5", "0", "\"2\"" }, { TIME, "\"2025-11-10T10:05:00Z\"", "time", "\"10:05\"" },
        { DATE, "\"2025-11-10\"", "long", "\"Monday, 10 November 2025\"" }, { DEC, "1", "0.x", "!no format \"0.x\" for this value" }, { TIME, "\"2025-11-10T10:05:00Z\"", "0.00", "!no format \"0.00\" for this value" },
    };
    for (size_t k = 0; k < sizeof formats / sizeof *formats; k++) {
        Asm *m = asm_new();
        Buf out = { 0 };
        types_make(m);
        uint16_t c = asm_text(m, TEXT, formats[k].format);
        asm_func(m, "main", FUNC_FN, TEXT, 1, &formats[k].type);
        uint16_t r = asm_reg(m, TEXT);
        EMIT(m, FORMAT, r, 0, c);
        EMIT(m, RETURN, r, 0, 0);
        run_on(m, 1, &formats[k].type, &formats[k].value, &out);
        assert_string_equal(buf_cstr(&out), formats[k].expect);
        buf_free(&out);
    }
    Asm *m = main_of(TEXT);
    uint16_t c = asm_text(m, TEXT, "ab"), a = asm_reg(m, TEXT), b = asm_reg(m, TEXT), d = asm_reg(m, TEXT);
    EMIT(m, LOADREF, a, c, 0);
    EMIT(m, CONCAT, b, a, a);
    EMIT(m, CONCAT, d, b, a);
    EMIT(m, CONCAT, d, d, d);
    EMIT(m, CONCATN, a, a, 3);
    EMIT(m, RETURN, a, 0, 0);
    assert_run(m, "\"ababababababababab\"");
}

static void patterns_match_or_hit_their_limit(void **state)
{
    const struct { const char *text, *expect; } tries[] = { { "a trip to Paris", "true" }, { "a Trip", "true" }, { "hotel", "false" } };
    for (size_t k = 0; k < sizeof tries / sizeof *tries; k++) {
        Asm *m = main_of(BOOL);
        uint16_t regex = IMAGE_ADD_REGEX(m->image), c = asm_text(m, TEXT, tries[k].text), s = asm_reg(m, TEXT), yes = asm_reg(m, BOOL);
        m->image->regexes[regex] = STR("i/flight|trip");
        EMIT(m, LOADREF, s, c, 0);
        EMIT(m, MATCH, yes, s, regex);
        EMIT(m, RETURN, yes, 0, 0);
        assert_run(m, tries[k].expect);
    }
    Asm *m = main_of(BOOL);
    uint16_t regex = IMAGE_ADD_REGEX(m->image), c = asm_text(m, TEXT, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), s = asm_reg(m, TEXT), yes = asm_reg(m, BOOL);
    m->image->regexes[regex] = STR("/(a+)+$x");
    EMIT(m, LOADREF, s, c, 0);
    EMIT(m, MATCH, yes, s, regex);
    EMIT(m, RETURN, yes, 0, 0);
    VmRun *run = start(m);
    VmStatus status = run_all(run);
    if (status == VM_FAILED) assert_text(error_text(run, ERROR_FIELD_CODE), "RE_MATCH_LIMIT");
    else assert_int_equal(vm_result(run).i, 0);          /* a matcher that sees through it */
    vm_free(run);
}

static void long_lists_grow_in_place_and_results_are_counted(void **state)
{
    Asm *m = asm_new();
    types_make(m);
    uint16_t c = asm_text(m, TEXT, "x");
    uint16_t give = asm_func(m, "give", FUNC_FN, TEXTS, 1, (uint16_t[]){ TEXTS });
    EMIT(m, RETURN, 0, 0, 0);
    uint16_t nothing = asm_func(m, "nothing", FUNC_FN, VOID, 1, (uint16_t[]){ TEXTS });
    EMIT(m, RETURN_VOID, 0, 0, 0);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t list = asm_reg(m, TEXTS), ints = asm_reg(m, INTS), s = asm_reg(m, TEXT), i = asm_reg(m, INT), n = asm_reg(m, INT);
    EMIT(m, LOADREF, s, c, 0);
    EMIT(m, NEW_LIST, list, 0, 0);
    EMIT(m, NEW_LIST, ints, 0, 0);
    EMIT32(m, LOADI, i, 0);
    EMIT32(m, LOADI, n, 1000);
    uint32_t head = EMIT(m, LIST_PUSH, list, s, 0);
    EMIT(m, LIST_PUSH, ints, i, 0);
    EMIT(m, FORLOOP, i, n, (uint16_t)(head - asm_pc(m) - 1));
    EMIT(m, CALL, list, give, list);
    EMIT(m, CALL, 0, nothing, list);
    EMIT32(m, LOADI, i, 999);
    EMIT(m, LIST_SET, list, i, s);
    EMIT(m, LIST_GET, n, ints, i);
    EMIT(m, LIST_LEN, i, list, 0);
    EMIT(m, ADD_INT, n, n, i);
    EMIT(m, RETURN, n, 0, 0);
    assert_run(m, "1999");
}

static void results_of_a_group_stand_in_spawn_order(void **state)
{
    Asm *m = asm_new();
    types_make(m);
    uint16_t branch = asm_func(m, "branch", FUNC_BRANCH, INT, 1, (uint16_t[]){ INT });
    asm_now(m)->flags = FUNC_FLAG_CRITICAL;
    EMIT(m, MULI_INT, 0, 0, 10);
    EMIT(m, RETURN, 0, 0, 0);
    asm_func(m, "main", FUNC_FN, INTS, 0, NULL);
    uint16_t g = asm_reg(m, GROUP), i = asm_reg(m, INT), n = asm_reg(m, INT), list = asm_reg(m, INTS);
    EMIT32(m, LOADI, i, 0);
    EMIT32(m, LOADI, n, 0);
    EMIT(m, GROUP_NEW, g, 0, n);
    EMIT32(m, LOADI, n, 4);
    uint32_t head = EMIT(m, SPAWN, g, branch, i);
    EMIT(m, FORLOOP, i, n, (uint16_t)(head - asm_pc(m) - 1));
    EMIT(m, JOIN, g, 0, 0);
    EMIT(m, GROUP_RESULTS, list, g, 0);
    EMIT(m, GROUP_FREE, g, 0, 0);
    EMIT(m, RETURN, list, 0, 0);
    assert_run(m, "[0,10,20,30]");
}

/* Those that wait, call or have no result are in test_vm.c, test_fiber.c, test_vm_plan.c and above. */
static const Opcode elsewhere[] = {
    OP_LOADI, OP_LOADK, OP_LOADREF, OP_LOADNULL, OP_INFO, OP_ADDI_INT, OP_MULI_INT, OP_CONCATN, OP_FORMAT, OP_MATCH, OP_NEW_RECORD, OP_GET_FIELD, OP_SET_FIELD, OP_NEW_LIST, OP_LIST_PUSH,
    OP_LIST_SET, OP_NEW_MAP, OP_MAP_SET, OP_NEW_ERROR, OP_JUMP, OP_LOOP, OP_FORLOOP, OP_CALL, OP_RETURN, OP_RETURN_VOID, OP_RAISE, OP_BUILTIN, OP_EFFECT, OP_SCOPE_ENTER, OP_SCOPE_EXIT,
    OP_SHIELD_ENTER, OP_SHIELD_EXIT, OP_GROUP_NEW, OP_SPAWN, OP_JOIN, OP_FIBER_RESULT, OP_GROUP_RESULTS, OP_RACE_RESULT, OP_GROUP_FREE, OP_SAGA_ENTER, OP_COMP_PUSH, OP_SAGA_COMMIT,
    OP_COMP_NEXT, OP_SAGA_ABORT, OP_COMP_REPORT, OP_CALL_PLAN, OP_METER,
};

static void no_instruction_is_forgotten(void **state)
{
    for (uint16_t op = 0; op < OPCODE_LIMIT; op++) {
        bool seen = !opinfo_find(op);
        for (int k = 0; k < CASE_COUNT; k++) seen |= cases[k].op == op;
        for (int k = 0; k < JUMP_COUNT; k++) seen |= jumps[k].op == op;
        for (size_t k = 0; k < sizeof elsewhere / sizeof *elsewhere; k++) seen |= elsewhere[k] == op;
        if (!seen) fail_msg("no test of %s", opcode_name(op));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operator_gives_what_its_row_says), cmocka_unit_test(jumps_go_where_they_should), cmocka_unit_test(immediates_and_constants_load),
        cmocka_unit_test(information_of_the_run_is_readable), cmocka_unit_test(texts_are_put_together_and_formatted), cmocka_unit_test(patterns_match_or_hit_their_limit),
        cmocka_unit_test(long_lists_grow_in_place_and_results_are_counted), cmocka_unit_test(results_of_a_group_stand_in_spawn_order), cmocka_unit_test(no_instruction_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
