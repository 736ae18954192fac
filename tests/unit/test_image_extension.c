/* test_image_extension.c - an image that grows: rows behind those of its base, their bytes, and what code of a plan may not do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/unit/plan_asm.h"

/* ---- rows and bytes ---- */

static Buf encoded(Image *image)
{
    Buf bytes = { 0 };
    image_encode_extension(image, &bytes);
    return bytes;
}

static Image *asm_image(Asm *m)
{
    Image *image = m->image;
    free(m);
    return image;
}

/* A plan with something in every table that it may extend. */
static Image *full_plan(Image *base)
{
    Asm *m = plan_asm(base);
    uint16_t type = asm_type(m, KIND_LIST, INT), text = asm_text(m, TEXT, "said"), file = IMAGE_ADD(m->image, file), regex = IMAGE_ADD_REGEX(m->image);
    m->image->files[file] = STR("plan");
    m->image->regexes[regex] = STR("i/^sa");
    uint16_t note = asm_effect(m, EFFECT_NOTE_PROGRESS, "progress", NO_INDEX, VOID, 2, (uint16_t[]){ INT, TEXT });
    uint16_t n = asm_reg(m, INT), s = asm_reg(m, TEXT), list = asm_reg(m, type), ok = asm_reg(m, BOOL);
    EMIT32(m, LOADI, n, 50);
    EMIT(m, LOADREF, s, text, 0);
    EMIT(m, EFFECT, 0, note, n);
    EMIT(m, MATCH, ok, s, regex);
    plan_call(m, PLAN_TOOL_ADD, n, n);
    EMIT(m, NEW_LIST, list, n, 1);
    plan_returns(m, list);
    asm_now(m)->lines = ARENA_ARRAY(m->image->arena, ImageLine, 1);
    asm_now(m)->lines[0] = (ImageLine){ .pc = 0, .file = file, .line = 1, .column = 1 };
    asm_now(m)->line_count = 1;
    return asm_image(m);
}

static void an_extension_begins_with_its_base_and_leaves_it_alone(void **state)
{
    (void)state;
    Image *base = plan_base(0);
    Buf before = { 0 }, after = { 0 };
    image_encode(base, &before);
    Image *image = image_extend(base);
    assert_ptr_equal(image->base, base);
    assert_int_equal(image_depth(image), 1);
    assert_ptr_equal(image->funcs, base->funcs);         /* nothing appended: still the base's memory */
    image_free(image);
    image = full_plan(base);
    assert_ptr_not_equal(image->funcs, base->funcs);
    assert_ptr_equal(image->tools, base->tools);
    assert_memory_equal(image->funcs, base->funcs, base->func_count * sizeof *base->funcs);
    assert_memory_equal(image->consts, base->consts, base->const_count * sizeof *base->consts);
    image_encode(base, &after);
    assert_true(str_eq(buf_str(&before), buf_str(&after)));
    buf_free(&before);
    buf_free(&after);
    image_free(base);                                    /* the extension holds it */
    image_free(image);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    Image *base = plan_base(0), *image = full_plan(base), *read = NULL;
    Error error = { 0 };
    Buf bytes = encoded(image), again = { 0 }, text = { 0 };
    if (image_decode_extension(base, buf_str(&bytes), &read, &error)) fail_msg("%s", error.text);
    assert_memory_equal(read->hash.bytes, image->hash.bytes, SHA256_BYTES);
    image_encode_extension(read, &again);
    assert_true(str_eq(buf_str(&bytes), buf_str(&again)));
    assert_int_equal(read->plan_count, 1);
    assert_int_equal(read->plans[0].calls_per_tool, plan_bound.calls_per_tool);
    assert_int_equal(read->plans[0].micro_usd, plan_bound.micro_usd);
    assert_true(str_eq(read->regexes[base->regex_count], STR("i/^sa")));
    image_disasm(read, &text);
    assert_non_null(strstr(buf_cstr(&text), "METER"));
    assert_non_null(strstr(buf_cstr(&text), "plan fuel 100000 memory 1048576 calls 20 calls per tool 10"));
    buf_free(&bytes);
    buf_free(&again);
    buf_free(&text);
    image_free(read);
    image_free(image);
    image_free(base);
}

static void decode_fails(Image *base, Str bytes, Err code, const char *part)
{
    Image *image = NULL;
    Error error = { 0 };
    assert_int_equal(image_decode_extension(base, bytes, &image, &error), code);
    assert_null(image);
    if (!strstr(error.text, part)) fail_msg("`%s` does not say `%s`", error.text, part);
}

static void bytes_belong_to_one_base(void **state)
{
    (void)state;
    Image *base = plan_base(0), *other = plan_base(PLAN_TWICE), *image = full_plan(base), *above = full_plan(image), *read = NULL;
    Error error = { 0 };
    Buf bytes = encoded(image), second = encoded(above);
    decode_fails(other, buf_str(&bytes), ERR_CORRUPT, "it extends another image");
    decode_fails(base, buf_str(&second), ERR_CORRUPT, "it extends another image");
    decode_fails(image, buf_str(&bytes), ERR_CORRUPT, "it extends another image");
    if (image_verify_extension(image, &error) || image_decode_extension(image, buf_str(&second), &read, &error)) fail_msg("%s", error.text);
    assert_int_equal(image_depth(read), 2);
    assert_int_equal(read->plan_count, 2);
    image_free(read);
    bytes.ptr[0] = 'X';
    decode_fails(base, buf_str(&bytes), ERR_CORRUPT, "not an extension");
    bytes.ptr[0] = 'F';
    bytes.ptr[5] = IMAGE_VERSION + 1;
    decode_fails(base, buf_str(&bytes), ERR_UNSUPPORTED, "this program reads");
    buf_free(&bytes);
    buf_free(&second);
    image_free(above);
    image_free(image);
    image_free(other);
    image_free(base);
}

static void cut_long_and_changed_bytes_are_refused(void **state)
{
    (void)state;
    Image *base = plan_base(0), *image = full_plan(base), *read;
    Buf bytes = encoded(image);
    int taken = 0;
    for (size_t len = 0; len < bytes.len; len++) decode_fails(base, (Str){ bytes.ptr, len }, ERR_CORRUPT, len < 5 ? "not an extension" : "cannot read extension: ");
    for (size_t at = 0; at < bytes.len; at++)
        for (int bit = 0; bit < 8; bit++) {
            Error error = { 0 };
            bytes.ptr[at] ^= (char)(1 << bit);
            read = NULL;
            if (image_decode_extension(base, buf_str(&bytes), &read, &error)) assert_true(error.text[0] != '\0');
            else taken++;                                /* another number, another name: another plan, with another hash */
            if (read) assert_memory_not_equal(read->hash.bytes, image->hash.bytes, SHA256_BYTES);
            image_free(read);
            bytes.ptr[at] ^= (char)(1 << bit);
        }
    assert_true(taken < (int)bytes.len * 4);
    buf_put_u8(&bytes, 0);
    decode_fails(base, buf_str(&bytes), ERR_CORRUPT, "1 bytes behind its end");
    bytes.len--;
    Buf large = { 0 };
    buf_put_str(&large, buf_str(&bytes));
    memset(buf_reserve(&large, EXTENSION_SIZE_MAX), 0, EXTENSION_SIZE_MAX);
    large.len += EXTENSION_SIZE_MAX;
    decode_fails(base, buf_str(&large), ERR_LIMIT, "EXTENSION_SIZE_MAX");
    buf_free(&large);
    buf_free(&bytes);
    image_free(image);
    image_free(base);
}

static void a_count_above_what_is_left_takes_no_memory(void **state)
{
    (void)state;
    Image *base = plan_base(0);
    Buf bytes = { 0 };
    buf_put_text(&bytes, "FLOWX");
    buf_put_varint(&bytes, IMAGE_VERSION);
    buf_put(&bytes, base->hash.bytes, SHA256_BYTES);
    buf_put_varint(&bytes, 0);
    buf_put_varint(&bytes, 60000);                       /* types */
    decode_fails(base, buf_str(&bytes), ERR_CORRUPT, "more rows than bytes are left");
    buf_free(&bytes);
    image_free(base);
}

static void extensions_lie_EXTENSION_DEPTH_MAX_deep(void **state)
{
    (void)state;
    Image *image = plan_base(0);
    for (int k = 0; k < EXTENSION_DEPTH_MAX; k++) {
        Image *next = image_extend(image);
        image_free(image);
        image = next;
    }
    assert_null(image_extend(image));
    decode_fails(image, STR("FLOWX"), ERR_LIMIT, "EXTENSION_DEPTH_MAX");
    image_free(image);
}

/* ---- confinement ---- */

typedef struct Case { const char *name, *part; void (*make)(Asm *m); } Case;

static void with(Asm *m, EffectKind kind, uint16_t target, uint16_t result, uint16_t count, const uint16_t *params)
{
    uint16_t effect = asm_effect(m, kind, "x", target, result, count, params), first = 0;
    for (int k = 0; k < count; k++) {
        uint16_t r = asm_reg(m, params[k]);
        if (!k) first = r;
        if (params[k] == TEXT) EMIT(m, LOADREF, r, asm_text(m, TEXT, "t"), 0);
    }
    uint16_t out = result == VOID ? 0 : asm_reg(m, result);
    EMIT(m, EFFECT, out, effect, first);
    plan_returns(m, asm_reg(m, BOOL));
}

static void nothing(Asm *m) { plan_returns(m, asm_reg(m, BOOL)); }
static void asks_now(Asm *m) { with(m, EFFECT_NOW, NO_INDEX, TIME, 0, NULL); }
static void asks_chance(Asm *m) { with(m, EFFECT_RANDOM, NO_INDEX, FLOAT, 0, NULL); }
static void asks_approval(Asm *m) { with(m, EFFECT_APPROVE, NO_INDEX, BOOL, 2, (uint16_t[]){ TEXT, JSON }); }
static void sleeps(Asm *m) { with(m, EFFECT_SLEEP_UNTIL, NO_INDEX, VOID, 1, (uint16_t[]){ TIME }); }
static void notes(Asm *m) { with(m, EFFECT_NOTE_TEXT, NO_INDEX, VOID, 1, (uint16_t[]){ TEXT }); }
static void asks_user(Asm *m) { with(m, EFFECT_ASK, NO_INDEX, BOOL, 1, (uint16_t[]){ TEXT }); }
static void asks_model(Asm *m) { with(m, EFFECT_LLM_COMPLETE, NO_INDEX, TEXT, 1, (uint16_t[]){ TEXT }); }
static void makes_uuid(Asm *m) { with(m, EFFECT_UUID, NO_INDEX, TEXT, 0, NULL); }
static void begins_transaction(Asm *m) { with(m, EFFECT_TXN_BEGIN, NO_INDEX, VOID, 0, NULL); }
static void renews_credential(Asm *m) { with(m, EFFECT_REFRESH, 1, VOID, 0, NULL); }
static void sets_up_a_test(Asm *m) { with(m, EFFECT_TEST_CRASH, NO_INDEX, VOID, 0, NULL); }

static void calls_a_tool(Asm *m)
{
    uint16_t n = asm_reg(m, INT);
    plan_call(m, PLAN_TOOL_ADD, n, n);
    plan_call(m, PLAN_TOOL_ASK, n, n);
    plan_returns(m, n);
}

static void calls_unmetered(Asm *m)
{
    uint16_t n = asm_reg(m, INT);
    EMIT(m, CALL, n, PLAN_FUNC_ADD, n);
    plan_returns(m, n);
}

static void calls_remote_unmetered(Asm *m)
{
    uint16_t n = asm_reg(m, INT);
    EMIT(m, EFFECT, n, PLAN_EFFECT_ASK, n);
    plan_returns(m, n);
}

static void calls_two_for_one(Asm *m)
{
    uint16_t n = asm_reg(m, INT);
    plan_call(m, PLAN_TOOL_ADD, n, n);
    EMIT(m, CALL, n, PLAN_FUNC_ADD, n);
    plan_returns(m, n);
}

static void meters_another(Asm *m)
{
    uint16_t n = asm_reg(m, INT);
    EMIT(m, METER, 0, PLAN_TOOL_FREE, 0);
    EMIT(m, CALL, n, PLAN_FUNC_ADD, n);
    plan_returns(m, n);
}

static void jumps_over_the_meter(Asm *m)
{
    uint16_t n = asm_reg(m, INT), b = asm_reg(m, BOOL);
    uint32_t over = EMIT32(m, JT, b, 0);
    EMIT(m, METER, 0, PLAN_TOOL_ADD, 0);
    asm_here(m, over);
    EMIT(m, CALL, n, PLAN_FUNC_ADD, n);
    plan_returns(m, n);
}

static void handler_over_the_meter(Asm *m)
{
    uint16_t n = asm_reg(m, INT), e = asm_reg(m, ERR);
    uint32_t from = EMIT(m, METER, 0, PLAN_TOOL_ADD, 0);
    asm_try(m, TRY_CATCH, from, from + 1, asm_pc(m), e);
    EMIT(m, CALL, n, PLAN_FUNC_ADD, n);
    plan_returns(m, n);
}

static void meters_no_tool(Asm *m)
{
    EMIT(m, METER, 0, PLAN_TOOL_COUNT, 0);
    nothing(m);
}

static void calls_main(Asm *m)
{
    uint16_t j = asm_reg(m, JSON);
    EMIT(m, CALL, j, PLAN_FUNC_MAIN, 0);
    EMIT(m, RETURN, j, 0, 0);
}

static void pushes_undo_of_the_base(Asm *m)
{
    uint16_t n = asm_reg(m, INT);
    EMIT(m, COMP_PUSH, 0, PLAN_FUNC_UNDO, n);
    plan_returns(m, n);
}

static void spawns_a_tool(Asm *m)
{
    uint16_t n = asm_reg(m, INT), g = asm_reg(m, GROUP);
    EMIT(m, GROUP_NEW, g, 0, n);
    EMIT(m, SPAWN, g, PLAN_FUNC_ADD, n);
    EMIT(m, JOIN, g, 0, 0);
    plan_returns(m, n);
}

static void runs_a_plan(Asm *m)
{
    uint16_t n = asm_reg(m, INT), j = asm_reg(m, JSON);
    EMIT(m, CALL_PLAN, j, n, 0);
    EMIT(m, RETURN, j, 0, 0);
}

static void calls_itself_as_a_function(Asm *m)
{
    uint16_t j = asm_reg(m, JSON);
    EMIT(m, CALL, j, (uint16_t)(m->image->func_count - 1), 0);
    EMIT(m, RETURN, j, 0, 0);
}

static void loops_without_a_call(Asm *m)
{
    uint16_t b = asm_reg(m, BOOL);
    uint32_t head = asm_pc(m), out = EMIT32(m, JT, b, 0);
    EMIT32(m, LOOP, 0, head);
    asm_here(m, out);
    plan_returns(m, b);
}

static void loops_over_a_call(Asm *m)
{
    uint16_t n = asm_reg(m, INT);
    uint32_t head = asm_pc(m);
    plan_call(m, PLAN_TOOL_ADD, n, n);
    uint32_t out = EMIT(m, JGTI_INT, n, 100, 0);
    EMIT32(m, LOOP, 0, head);
    asm_here(m, out);
    plan_returns(m, n);
}

static void counts_in_a_loop(Asm *m)
{
    uint16_t i = asm_reg(m, INT), n = asm_reg(m, INT);
    EMIT32(m, LOADI, n, 100);
    EMIT(m, FORLOOP, i, n, (uint16_t)-1);
    plan_returns(m, n);
}

/* helper(n): the function of the plan calls it `from` its own code; the helper calls whatever `self` says. */
static void helper(Asm *m, bool circle)
{
    uint16_t plan = m->func, second = (uint16_t)(m->image->func_count + 1);
    uint16_t n = asm_reg(m, INT);
    EMIT(m, CALL, n, (uint16_t)(plan + 1), n);
    plan_returns(m, n);
    asm_func(m, "first", FUNC_FN, INT, 1, (uint16_t[]){ INT });
    EMIT(m, CALL, 0, second, 0);
    EMIT(m, RETURN, 0, 0, 0);
    asm_func(m, "second", FUNC_FN, INT, 1, (uint16_t[]){ INT });
    if (circle) EMIT(m, CALL, 0, (uint16_t)(plan + 1), 0);
    EMIT(m, RETURN, 0, 0, 0);
}
static void calls_helpers(Asm *m) { helper(m, false); }
static void calls_in_a_circle(Asm *m) { helper(m, true); }

static void function_of_another_kind(Asm *m)
{
    nothing(m);
    asm_func(m, "other", FUNC_KEY, INT, 1, (uint16_t[]){ INT });
    EMIT(m, RETURN, 0, 0, 0);
}

static void tool_of_its_own(Asm *m)
{
    nothing(m);
    asm_func(m, "other", FUNC_TOOL, INT, 1, (uint16_t[]){ INT });
    EMIT(m, RETURN, 0, 0, 0);
}

static void plan_without_a_row(Asm *m)
{
    nothing(m);
    m->image->plan_count--;
}

static void row_of_no_plan(Asm *m)
{
    nothing(m);
    plan_row(m)->func = PLAN_FUNC_ADD;
}

static void two_rows(Asm *m)
{
    nothing(m);
    uint16_t func = plan_row(m)->func, row = IMAGE_ADD(m->image, plan);
    m->image->plans[row] = plan_bound;
    m->image->plans[row].func = func;
}

static void two_plans(Asm *m)
{
    nothing(m);
    plan_func(m);
    nothing(m);
}

static void amount_too_large(Asm *m)
{
    nothing(m);
    plan_row(m)->fuel = PLAN_AMOUNT_MAX + 1;
}

static void amount_below_zero(Asm *m)
{
    nothing(m);
    plan_row(m)->micro_usd = -1;
}

static void plan_with_a_parameter(Asm *m)
{
    asm_reg(m, INT);
    asm_now(m)->param_count = 1;
    nothing(m);
}

static void constant_of_no_type(Asm *m)
{
    nothing(m);
    asm_const(m, 5000, 0);
}

static void type_that_does_not_come_later(Asm *m)
{
    nothing(m);
    asm_type(m, KIND_LIST, (uint16_t)(m->image->type_count + 1));
}

static void register_of_a_wrong_type(Asm *m)
{
    uint16_t n = asm_reg(m, TEXT);
    plan_call(m, PLAN_TOOL_ADD, n, n);
    nothing(m);
}

static void pattern_that_does_not_compile(Asm *m)
{
    nothing(m);
    uint16_t regex = IMAGE_ADD_REGEX(m->image);
    m->image->regexes[regex] = STR("/(");
}

static const Case cases[] = {
#define CASE(make, part) { #make, part, make }
    CASE(nothing, NULL), CASE(asks_now, NULL), CASE(asks_chance, NULL), CASE(asks_approval, NULL), CASE(sleeps, NULL), CASE(notes, NULL), CASE(calls_a_tool, NULL),
    CASE(loops_over_a_call, NULL), CASE(calls_helpers, NULL),
    CASE(asks_user, "may not ask for ask"), CASE(asks_model, "may not ask for llm_complete"), CASE(makes_uuid, "may not ask for uuid"),
    CASE(begins_transaction, "may not ask for txn_begin"), CASE(renews_credential, "may not ask for refresh"), CASE(sets_up_a_test, "may not ask for test_crash"),
    CASE(calls_unmetered, "without the METER"), CASE(calls_remote_unmetered, "without the METER"), CASE(calls_two_for_one, "without the METER"),
    CASE(meters_another, "without the METER"), CASE(jumps_over_the_meter, "without the METER"), CASE(handler_over_the_meter, "without the METER"),
    CASE(meters_no_tool, "tool 5 is not there"), CASE(calls_main, "may not enter function 5 `main`"), CASE(pushes_undo_of_the_base, "may not enter function 4 `undo`"),
    CASE(spawns_a_tool, "may not enter function 0"), CASE(runs_a_plan, "CALL_PLAN does not stand in code of a plan"), CASE(calls_itself_as_a_function, "CALL_PLAN alone calls it"),
    CASE(loops_without_a_call, "neither METER nor COMP_NEXT"), CASE(counts_in_a_loop, "FORLOOP does not stand"), CASE(calls_in_a_circle, "enters itself in a circle"),
    CASE(function_of_another_kind, "of kind fn, branch, compensation or plan alone"), CASE(tool_of_its_own, "does not name this function"),
    CASE(plan_without_a_row, "without a row that bounds it"), CASE(row_of_no_plan, "is not a plan"), CASE(two_rows, "one plan at most"), CASE(two_plans, "one plan at most"),
    CASE(amount_too_large, "PLAN_AMOUNT_MAX"), CASE(amount_below_zero, "out of range"), CASE(plan_with_a_parameter, "from nothing to json"),
    CASE(constant_of_no_type, "not a type of values"), CASE(type_that_does_not_come_later, "not an earlier row"), CASE(register_of_a_wrong_type, "expected int"),
    CASE(pattern_that_does_not_compile, "cannot compile pattern"),
#undef CASE
};

static void code_of_a_plan_is_confined(void **state)
{
    (void)state;
    Image *base = plan_base(0);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        Asm *m = plan_asm(base);
        Error error = { 0 };
        cases[k].make(m);
        Err err = image_verify_extension(m->image, &error);
        if (!cases[k].part && err) fail_msg("%s: %s", cases[k].name, error.text);
        if (cases[k].part && !err) fail_msg("%s is let through", cases[k].name);
        if (cases[k].part && !strstr(error.text, cases[k].part)) fail_msg("%s: `%s` does not say `%s`", cases[k].name, error.text, cases[k].part);
        image_free(asm_image(m));
    }
    image_free(base);
}

/* Every effect that exists is decided: a new one is refused until it is named in verify_plan.c. */
static void every_other_effect_is_refused(void **state)
{
    (void)state;
    static const EffectKind allowed[] = { EFFECT_NOW, EFFECT_RANDOM, EFFECT_REMOTE_CALL, EFFECT_APPROVE, EFFECT_SLEEP_UNTIL };
    Image *base = plan_base(0);
    Asm *m = plan_asm(base);
    uint16_t effect = asm_effect(m, EFFECT_NOW, "x", NO_INDEX, VOID, 0, NULL);
    EMIT(m, EFFECT, 0, effect, 0);
    nothing(m);
    for (uint16_t kind = 1; kind < 256; kind++) {
        if (!effect_name(kind)) continue;
        bool may = effect_class((EffectKind)kind) == EFFECT_CLASS_NOTE;
        for (size_t k = 0; k < sizeof allowed / sizeof *allowed; k++) may |= allowed[k] == (EffectKind)kind;
        Error error = { 0 };
        m->image->effects[effect].kind = (uint8_t)kind;
        Err err = image_verify_extension(m->image, &error);
        if (!may && !err) fail_msg("%s is let through", effect_name(kind));
    }
    image_free(asm_image(m));
    image_free(base);
}

/* ---- whole images ---- */

/* A base and its plan as one image, as `flowc plan build` makes it, and a flow that runs it. */
static Image *whole(void (*make)(Asm *m))
{
    Image *base = plan_base(0);
    Asm *p = plan_asm(base);
    make(p);
    Image *plan = asm_image(p), *image = image_new();
    Arena *arena = image->arena;
    *image = *plan;
    image->arena = arena;
    image->base = NULL;
    image->refs = 1;
    Asm *m = mem_alloc(sizeof *m);
    m->image = image;
    image->funcs = ARENA_ARRAY(arena, ImageFunc, 64);
    memcpy(image->funcs, plan->funcs, plan->func_count * sizeof *plan->funcs);
    uint16_t row = plan->plans[0].func;
    asm_func(m, "run", FUNC_FLOW, JSON, 0, NULL);
    asm_now(m)->owner = 0;
    uint16_t n = asm_reg(m, INT), j = asm_reg(m, JSON);
    EMIT32(m, LOADI, n, row);
    EMIT(m, CALL_PLAN, j, n, 0);
    EMIT(m, RETURN, j, 0, 0);
    uint16_t flow = IMAGE_ADD(image, flow);
    image->flows[flow] = (ImageFlow){ .name = STR("run"), .func = m->func, .result = JSON, .init_func = NO_INDEX, .one_per_func = NO_INDEX, .limit_func = NO_INDEX, .rate_func = NO_INDEX };
    free(m);
    Buf bytes = { 0 };
    Image *read = NULL;
    Error error = { 0 };
    image_encode(image, &bytes);
    if (image_decode(buf_str(&bytes), &read, &error)) print_message("%s\n", error.text);
    buf_free(&bytes);
    arena_free(arena);
    image_free(plan);
    image_free(base);
    return read;
}

static void a_whole_image_may_hold_plans(void **state)
{
    (void)state;
    Image *image = whole(calls_helpers);
    assert_non_null(image);
    VmRun *run = vm_new(image, image->flows[0].func, NULL, &asm_info, NULL);
    assert_int_equal(run_all(run), VM_DONE);
    vm_free(run);
    image_free(image);
}

static void and_confines_them(void **state)
{
    (void)state;
    assert_null(whole(calls_unmetered));
    assert_null(whole(calls_in_a_circle));
    assert_null(whole(asks_user));
    assert_null(whole(plan_with_a_parameter));
    Asm *m = asm_new();                                  /* no row */
    asm_func(m, "plan", FUNC_PLAN, JSON, 0, NULL);
    nothing(m);
    Error error = { 0 };
    assert_int_equal(image_verify(m->image, &error), ERR_CORRUPT);
    assert_non_null(strstr(error.text, "without a row that bounds it"));
    image_free(asm_image(m));
    m = asm_new();                                       /* METER outside of a plan */
    asm_func(m, "main", FUNC_FN, JSON, 0, NULL);
    EMIT(m, METER, 0, 0, 0);
    nothing(m);
    assert_int_equal(image_verify(m->image, &error), ERR_CORRUPT);
    assert_non_null(strstr(error.text, "METER stands in code of plans alone"));
    image_free(asm_image(m));
}

/* ---- tools ---- */

static void what_tools_say_for_plans_is_kept_and_checked(void **state)
{
    (void)state;
    Image *base = plan_base(0), *read = NULL;
    Buf bytes = { 0 };
    Error error = { 0 };
    static Str patterns[] = { { "/[0-9]+", 7 } };
    Asm *m = mem_alloc(sizeof *m);
    m->image = base;
    uint16_t json = asm_text(m, JSON, "5"), text = asm_text(m, TEXT, "5");
    free(m);
    assert_true(json > 0);
    ImageTool *tool = &base->tools[PLAN_TOOL_ADD];
    tool->param_patterns = patterns;
    tool->params[0].labels = LABEL_TRUSTED;
    tool->params[0].has_default = true;
    tool->params[0].default_const = json;
    image_encode(base, &bytes);
    if (image_decode(buf_str(&bytes), &read, &error)) fail_msg("%s", error.text);
    const ImageTool *again = &read->tools[PLAN_TOOL_ADD];
    assert_true(str_eq(again->param_patterns[0], patterns[0]));
    assert_null(read->tools[PLAN_TOOL_GROW].param_patterns);
    assert_int_equal(again->cost_tokens, 100);
    assert_int_equal(again->cost_micro_usd, 10000);
    assert_int_equal(again->params[0].default_const, json);
    assert_int_equal(again->params[0].labels, LABEL_TRUSTED);
    Buf shown = { 0 };
    image_disasm(read, &shown);
    assert_non_null(strstr(buf_cstr(&shown), "near.add(n: trusted int = 5) -> int costs 100 tokens costs 10000 micro-usd\n    n like \"/[0-9]+\""));
    buf_free(&shown);
    tool->params[0].default_const = text;
    assert_int_equal(image_verify(base, &error), ERR_CORRUPT);
    assert_non_null(strstr(error.text, "default of parameter `n` is not a json constant"));
    tool->params[0].default_const = 0;                   /* there is a default, and it is no literal */
    assert_int_equal(image_verify(base, &error), ERR_OK);
    patterns[0] = STR("/(");
    assert_int_equal(image_verify(base, &error), ERR_CORRUPT);
    assert_non_null(strstr(error.text, "cannot compile pattern"));
    patterns[0] = STR("/[0-9]+");
    tool->cost_micro_usd = -1;
    assert_int_equal(image_verify(base, &error), ERR_CORRUPT);
    assert_non_null(strstr(error.text, "what it costs"));
    buf_free(&bytes);
    image_free(read);
    image_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_extension_begins_with_its_base_and_leaves_it_alone), cmocka_unit_test(what_is_written_is_read_back), cmocka_unit_test(bytes_belong_to_one_base),
        cmocka_unit_test(cut_long_and_changed_bytes_are_refused), cmocka_unit_test(a_count_above_what_is_left_takes_no_memory), cmocka_unit_test(extensions_lie_EXTENSION_DEPTH_MAX_deep),
        cmocka_unit_test(code_of_a_plan_is_confined), cmocka_unit_test(every_other_effect_is_refused), cmocka_unit_test(a_whole_image_may_hold_plans),
        cmocka_unit_test(and_confines_them), cmocka_unit_test(what_tools_say_for_plans_is_kept_and_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
