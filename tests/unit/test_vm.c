/* test_vm.c - programs by hand: instructions, errors, limits. */
#include "tests/unit/vm_run.h"

/* ---- plain code ---- */

static void arithmetic_is_checked(void **state)
{
    const struct { Opcode op; int64_t a, b, expect; const char *fails; } cases[] = {
        { OP_ADD_INT, 2, 3, 5, NULL }, { OP_ADD_INT, INT64_MAX, 1, 0, "integer overflow" }, { OP_SUB_INT, INT64_MIN, 1, 0, "integer overflow" },
        { OP_MUL_INT, 1 << 20, 1 << 20, INT64_C(1) << 40, NULL }, { OP_MUL_INT, INT64_MAX, 2, 0, "integer overflow" },
        { OP_DIV_INT, -7, 2, -3, NULL }, { OP_DIV_INT, 7, 0, 0, "division by zero" }, { OP_DIV_INT, INT64_MIN, -1, 0, "integer overflow" },
        { OP_MOD_INT, -7, 2, -1, NULL }, { OP_MOD_INT, INT64_MIN, -1, 0, NULL }, { OP_MOD_INT, 1, 0, 0, "division by zero" },
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        Asm *m = asm_new();
        uint16_t ca = asm_const(m, INT, (uint64_t)cases[k].a), cb = asm_const(m, INT, (uint64_t)cases[k].b);
        asm_func(m, "main", FUNC_FN, INT, 0, NULL);
        uint16_t a = asm_reg(m, INT), b = asm_reg(m, INT);
        EMIT(m, LOADK, a, ca, 0);
        EMIT(m, LOADK, b, cb, 0);
        asm_emit(m, INSN(cases[k].op, a, a, b));
        EMIT(m, RETURN, a, 0, 0);
        if (cases[k].fails) assert_fails(start(m), ERROR_KIND_invalid, cases[k].fails);
        else assert_int_equal(int_result(m), cases[k].expect);
    }
}

static void loops_count(void **state)
{
    Asm *m = asm_new();
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t sum = asm_reg(m, INT), i = asm_reg(m, INT), n = asm_reg(m, INT);
    EMIT32(m, LOADI, sum, 0);
    EMIT32(m, LOADI, i, 0);
    EMIT32(m, LOADI, n, 1000);
    uint32_t head = EMIT(m, ADD_INT, sum, sum, i);
    EMIT(m, FORLOOP, i, n, (uint16_t)(head - asm_pc(m) - 1));
    EMIT(m, RETURN, sum, 0, 0);
    assert_int_equal(int_result(m), 499500);
}

static Asm *recursion(int32_t depth)
{
    Asm *m = asm_new();
    uint16_t f = asm_func(m, "down", FUNC_FN, INT, 1, (uint16_t[]){ INT });
    uint16_t n = asm_reg(m, INT);
    uint32_t jump = EMIT(m, JGTI_INT, 0, 0, 0);
    EMIT(m, RETURN, 0, 0, 0);
    asm_here(m, jump);
    EMIT(m, ADDI_INT, n, 0, (uint16_t)-1);
    EMIT(m, CALL, n, f, n);
    EMIT(m, ADDI_INT, n, n, 1);
    EMIT(m, RETURN, n, 0, 0);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    n = asm_reg(m, INT);
    EMIT32(m, LOADI, n, depth);
    EMIT(m, CALL, n, f, n);
    EMIT(m, RETURN, n, 0, 0);
    return m;
}

static void calls_nest_to_the_depth_limit(void **state)
{
    assert_int_equal(int_result(recursion(900)), 900);
    assert_limit(start(recursion(1000)), "VM_DEPTH_LIMIT");
}

static void decimals_are_exact(void **state)
{
    Asm *m = asm_new();
    uint16_t a = asm_text(m, DEC, "0.1"), b = asm_text(m, DEC, "0.20"), big = asm_text(m, DEC, "123456789012345678901234567890.5");
    asm_func(m, "main", FUNC_FN, TEXT, 0, NULL);
    uint16_t x = asm_reg(m, DEC), y = asm_reg(m, DEC), s = asm_reg(m, TEXT);
    EMIT(m, LOADREF, x, a, 0);
    EMIT(m, LOADREF, y, b, 0);
    EMIT(m, ADD_DEC, x, x, y);
    EMIT(m, LOADREF, y, big, 0);
    EMIT(m, ADD_DEC, x, x, y);
    EMIT(m, SUB_DEC, x, x, y);
    EMIT(m, TO_STR, s, x, 0);
    EMIT(m, RETURN, s, 0, 0);
    VmRun *run = start(m);
    assert_int_equal(run_all(run), VM_DONE);
    assert_text(value_str(vm_result(run)), "0.30");
    vm_free(run);
}

static void a_shared_record_is_copied_before_it_changes(void **state)
{
    Asm *m = asm_new();
    uint16_t point = asm_record(m, "P", 2, (const char *[]){ "x", "s" }, (uint16_t[]){ INT, TEXT });
    uint16_t c = asm_text(m, TEXT, "new");
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t p = asm_reg(m, point), q = asm_reg(m, point), x = asm_reg(m, INT), s = asm_reg(m, TEXT), y = asm_reg(m, INT);
    EMIT32(m, LOADI, x, 1);
    EMIT(m, LOADREF, s, c, 0);
    EMIT(m, NEW_RECORD, p, x, point);
    EMIT(m, MOVE_REF, q, p, 0);
    EMIT32(m, LOADI, x, 5);
    EMIT(m, SET_FIELD, q, 0, x);
    EMIT(m, SET_FIELD, q, 1, s);
    EMIT(m, GET_FIELD, x, p, 0);
    EMIT(m, GET_FIELD, y, q, 0);
    EMIT(m, MULI_INT, x, x, 10);
    EMIT(m, ADD_INT, x, x, y);
    EMIT(m, RETURN, x, 0, 0);
    assert_int_equal(int_result(m), 15);
}

static void lists_and_maps_are_values(void **state)
{
    Asm *m = asm_new();
    uint16_t ints = asm_type(m, KIND_LIST, INT), map = asm_type(m, KIND_MAP, INT), opt = asm_type(m, KIND_OPT, INT);
    uint16_t key = asm_text(m, TEXT, "k");
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t a = asm_reg(m, ints), b = asm_reg(m, ints), i = asm_reg(m, INT), n = asm_reg(m, INT), mm = asm_reg(m, map), k = asm_reg(m, TEXT), o = asm_reg(m, opt);
    EMIT32(m, LOADI, i, 7);
    EMIT(m, NEW_LIST, a, i, 1);
    EMIT(m, MOVE_REF, b, a, 0);
    EMIT(m, LIST_PUSH, b, i, 0);
    EMIT32(m, LOADI, n, 0);
    EMIT(m, LIST_SET, b, n, n);
    EMIT(m, LIST_GET, n, a, n);              /* 7: a is as it was */
    EMIT(m, LIST_LEN, i, b, 0);              /* 2 */
    EMIT(m, MULI_INT, i, i, 10);
    EMIT(m, ADD_INT, n, n, i);               /* 27 */
    EMIT(m, NEW_MAP, mm, 0, 0);
    EMIT(m, LOADREF, k, key, 0);
    EMIT(m, MAP_SET, mm, k, n);
    EMIT(m, MAP_GET, o, mm, k);
    EMIT(m, UNWRAP, i, o, 0);
    EMIT(m, RETURN, i, 0, 0);
    assert_int_equal(int_result(m), 27);
}

static void an_index_outside_names_itself(void **state)
{
    Asm *m = asm_new();
    uint16_t ints = asm_type(m, KIND_LIST, INT);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t a = asm_reg(m, ints), i = asm_reg(m, INT);
    EMIT32(m, LOADI, i, 3);
    EMIT(m, NEW_LIST, a, i, 1);
    EMIT(m, LIST_GET, i, a, i);
    EMIT(m, RETURN, i, 0, 0);
    assert_fails(start(m), ERROR_KIND_invalid, "index 3 is outside a list of 1");
}

static void optionals_hold_every_scalar(void **state)
{
    const int64_t words[] = { 0, 1, -1, INT64_MAX, INT64_MIN, INT64_MAX / 2, INT64_MAX / 2 + 1 };
    for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
        Asm *m = asm_new();
        uint16_t opt = asm_type(m, KIND_OPT, INT), c = asm_const(m, INT, (uint64_t)words[k]);
        asm_func(m, "main", FUNC_FN, INT, 0, NULL);
        uint16_t i = asm_reg(m, INT), o = asm_reg(m, opt);
        EMIT(m, LOADK, i, c, 0);
        EMIT(m, WRAP, o, i, 0);
        uint32_t null = EMIT32(m, JNULL, o, 0);
        EMIT(m, UNWRAP, i, o, 0);
        EMIT(m, RETURN, i, 0, 0);
        asm_here(m, null);
        EMIT(m, RAISE, 0, 0, 0);
        asm_now(m)->code[asm_pc(m) - 1] = INSN(OP_RETURN, i, 0, 0);
        assert_int_equal(int_result(m), words[k]);
    }
}

/* ---- errors ---- */

/* main: try { down(); } catch e { return 40 + kind } with the raise two calls below. */
static void errors_are_caught_by_the_nearest_handler(void **state)
{
    Asm *m = asm_new();
    uint16_t text = asm_text(m, TEXT, "no room");
    uint16_t raiser = asm_func(m, "raiser", FUNC_FN, INT, 0, NULL);
    uint16_t kind = asm_reg(m, TYPE_INDEX_ERROR_KIND), s = asm_reg(m, TEXT), e = asm_reg(m, ERR);
    EMIT32(m, LOADI, kind, ERROR_KIND_rejected);
    EMIT(m, LOADREF, s, text, 0);
    EMIT(m, NEW_ERROR, e, kind, s);
    EMIT(m, RAISE, e, 0, 0);
    uint16_t middle = asm_func(m, "middle", FUNC_FN, INT, 0, NULL);
    uint16_t r = asm_reg(m, INT);
    EMIT(m, CALL, r, raiser, 0);
    EMIT(m, RETURN, r, 0, 0);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    r = asm_reg(m, INT);
    e = asm_reg(m, ERR);
    kind = asm_reg(m, TYPE_INDEX_ERROR_KIND);
    EMIT(m, CALL, r, middle, 0);
    EMIT(m, RETURN, r, 0, 0);
    asm_try(m, TRY_CATCH, 0, 1, asm_pc(m), e);
    EMIT(m, GET_FIELD, kind, e, ERROR_FIELD_KIND);
    EMIT(m, RECAST, r, kind, 0);
    EMIT(m, ADDI_INT, r, r, 40);
    EMIT(m, RETURN, r, 0, 0);
    assert_int_equal(int_result(m), 40 + ERROR_KIND_rejected);
}

static void an_uncaught_error_says_where(void **state)
{
    Asm *m = asm_new();
    m->image->files = ARENA_ARRAY(m->image->arena, Str, 1);
    m->image->files[0] = STR("a.flow");
    m->image->file_count = 1;
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t a = asm_reg(m, INT);
    EMIT32(m, LOADI, a, 0);
    EMIT(m, DIV_INT, a, a, a);
    EMIT(m, RETURN, a, 0, 0);
    ImageFunc *f = asm_now(m);
    f->lines = ARENA_ARRAY(m->image->arena, ImageLine, 2);
    f->lines[0] = (ImageLine){ .pc = 0, .line = 1, .column = 1 };
    f->lines[1] = (ImageLine){ .pc = 1, .line = 2, .column = 9 };
    f->line_count = 2;
    VmRun *run = start(m);
    assert_int_equal(run_all(run), VM_FAILED);
    assert_text(error_text(run, ERROR_FIELD_AT), "a.flow:2:9");
    vm_free(run);
}

/* ---- limits ---- */

static Asm *endless(bool caught)
{
    Asm *m = asm_new();
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t a = asm_reg(m, INT), e = asm_reg(m, ERR);
    uint32_t head = EMIT32(m, LOADI, a, 0);
    EMIT32(m, LOOP, 0, head);
    if (caught) {
        asm_try(m, TRY_CATCH, head, asm_pc(m), asm_pc(m), e);
        EMIT32(m, LOOP, 0, head);
    }
    return m;
}

static void fuel_ends_even_a_loop_that_catches(void **state)
{
    assert_limit(start_with(asm_done(endless(false)), &(VmLimits){ .fuel = 50000 }), "VM_FUEL_LIMIT");
    assert_limit(start_with(asm_done(endless(true)), &(VmLimits){ .fuel = 50000 }), "VM_FUEL_LIMIT");
}

static void a_long_turn_comes_back_in_slices(void **state)
{
    VmRun *run = start_with(asm_done(endless(false)), NULL);
    for (int k = 0; k < 3; k++) assert_int_equal(vm_run(run), VM_SLICE_ENDED);
    assert_true(vm_fuel_used(run) >= 3000000);
    vm_cancel(run, STR("too long"));
    assert_fails(run, ERROR_KIND_cancelled, "too long");
}

/* Calls the local tool 100,000 times: 200,000 notes. */
static Asm *talker(void)
{
    Asm *m = local_tool();
    asm_func(m, "talker", FUNC_FN, INT, 0, NULL);
    uint16_t i = asm_reg(m, INT), n = asm_reg(m, INT), r = asm_reg(m, INT);
    EMIT32(m, LOADI, i, 0);
    EMIT32(m, LOADI, n, 100000);
    uint32_t head = EMIT(m, CALL, r, 0, i);
    EMIT(m, FORLOOP, i, n, (uint16_t)(head - asm_pc(m) - 1));
    EMIT(m, RETURN, r, 0, 0);
    return m;
}

static void many_notes_end_the_slice(void **state)
{
    VmRun *run = start(talker());
    VmRequest request;
    uint32_t notes = 0;
    VmStatus status;
    do {
        uint32_t before = notes;
        status = vm_run(run);
        while (vm_next_request(run, &request)) notes++;
        assert_true(notes - before <= 1030);
    } while (status == VM_SLICE_ENDED);
    assert_int_equal(status, VM_DONE);
    assert_int_equal(notes, 200000);
    vm_free(run);
    assert_limit(start(talker()), "VM_NOTES_MAX");       /* who never fetches */
}

static void what_leaves_a_run_is_limited(void **state)
{
    Asm *m = asm_new();
    uint16_t text = asm_text(m, TEXT, "working");
    uint16_t progress = asm_effect(m, EFFECT_NOTE_PROGRESS, "progress", NO_INDEX, TYPE_INDEX_VOID, 2, (uint16_t[]){ INT, TEXT });
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t percent = asm_reg(m, INT), t = asm_reg(m, TEXT);
    EMIT32(m, LOADI, percent, 1);
    EMIT(m, LOADREF, t, text, 0);
    uint32_t head = EMIT(m, EFFECT, 0, progress, percent);
    EMIT32(m, LOOP, 0, head);
    Image *image = asm_done(m);
    assert_limit(start_with(image, &(VmLimits){ .output_bytes = 1000 }), "VM_OUTPUT_LIMIT");
}

static Asm *grower(void)
{
    Asm *m = asm_new();
    uint16_t texts = TYPE_INDEX_LIST_STRING, c = asm_text(m, TEXT, "0123456789abcdef0123456789abcdef");
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t list = asm_reg(m, texts), s = asm_reg(m, TEXT), t = asm_reg(m, TEXT);
    EMIT(m, NEW_LIST, list, 0, 0);
    EMIT(m, LOADREF, s, c, 0);
    uint32_t head = EMIT(m, MOVE_REF, t, s, 0);
    EMIT(m, CONCAT, t, t, s);
    EMIT(m, LIST_PUSH, list, t, 0);
    EMIT32(m, LOOP, 0, head);
    return m;
}

static void memory_is_limited(void **state)
{
    VmRun *run = start_with(asm_done(grower()), &(VmLimits){ .memory_bytes = 1 << 20 });
    assert_int_equal(run_all(run), VM_FAILED);
    assert_true(vm_heap(run)->peak_bytes > (1 << 20) && vm_heap(run)->peak_bytes < (1 << 20) + (1 << 18));
    assert_text(error_text(run, ERROR_FIELD_CODE), "VM_MEMORY_LIMIT");
    vm_free(run);
}

static void a_text_is_limited(void **state)
{
    Asm *m = asm_new();
    uint16_t c = asm_text(m, TEXT, "0123456789abcdef");
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t s = asm_reg(m, TEXT);
    EMIT(m, LOADREF, s, c, 0);
    uint32_t head = EMIT(m, CONCAT, s, s, s);
    EMIT32(m, LOOP, 0, head);
    assert_limit(start(m), "VALUE_SIZE_MAX");
}

/* j := to_json([j, j]): small in memory, endless as a tree. */
static void a_value_that_shares_itself_is_weighed_as_a_tree(void **state)
{
    Asm *m = asm_new();
    uint16_t jsons = asm_type(m, KIND_LIST, JSON);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t list = asm_reg(m, jsons), a = asm_reg(m, JSON), b = asm_reg(m, JSON);
    EMIT(m, LOADNULL, a, 0, 0);
    uint32_t head = EMIT(m, MOVE_REF, b, a, 0);
    EMIT(m, NEW_LIST, list, a, 2);
    EMIT(m, BUILTIN, a, BUILTIN_JSON_OF, list);
    EMIT32(m, LOOP, 0, head);
    VmRun *run = start(m);
    assert_int_equal(run_all(run), VM_FAILED);
    assert_int_equal(error_kind(run), ERROR_KIND_rejected);
    vm_free(run);
}

static void nothing_is_left_charged(void **state)
{
    VmRun *run = start(saga_of_branches());
    uint64_t last = 0;
    size_t before = vm_heap(run)->live_bytes;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2) far.ask(3)");
    assert_true(vm_heap(run)->live_bytes > before);
    vm_cancel(run, STR("stop"));
    assert_int_equal(run_all(run), VM_FAILED);
    char words[256];
    asked(run, words, sizeof words);
    vm_run(run);
    assert_true(vm_heap(run)->live_bytes < 1024);        /* the error that it ended with */
    vm_free(run);
}

static void arguments_and_results_are_adopted(void **state)
{
    Asm *m = asm_new();
    asm_func(m, "main", FUNC_FN, TEXT, 1, (uint16_t[]){ TEXT });
    EMIT(m, CONCAT, 0, 0, 0);
    EMIT(m, RETURN, 0, 0, 0);
    Image *image = asm_done(m);
    Value arg = text_value("ab");
    VmRun *run = vm_new(image, 0, &arg, &asm_info, NULL);
    assert_int_equal(run_all(run), VM_DONE);
    assert_text(value_str(vm_result(run)), "abab");
    assert_text(value_str(arg), "ab");
    assert_int_equal(arg.o->refs, 1);
    value_release(arg);
    vm_free(run);
    image_free(image);
}

static void a_run_explains_itself(void **state)
{
    VmRun *run = start(branches(2, CRITICAL));
    Buf text = { 0 };
    vm_run(run);
    vm_explain(run, &text);
    assert_string_equal(buf_cstr(&text), "fiber 1 in main waits for its branches, until 1970-01-01T00:00:00.0005Z\n"
                                         "fiber 2 in branch waits for remote_call far.ask, request 2, until 1970-01-01T00:00:00.0005Z\n"
                                         "fiber 3 in branch waits for remote_call far.ask, request 3, until 1970-01-01T00:00:00.0005Z\n");
    buf_free(&text);
    vm_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic_is_checked),
        cmocka_unit_test(loops_count),
        cmocka_unit_test(calls_nest_to_the_depth_limit),
        cmocka_unit_test(decimals_are_exact),
        cmocka_unit_test(a_shared_record_is_copied_before_it_changes),
        cmocka_unit_test(lists_and_maps_are_values),
        cmocka_unit_test(an_index_outside_names_itself),
        cmocka_unit_test(optionals_hold_every_scalar),
        cmocka_unit_test(errors_are_caught_by_the_nearest_handler),
        cmocka_unit_test(an_uncaught_error_says_where),
        cmocka_unit_test(fuel_ends_even_a_loop_that_catches),
        cmocka_unit_test(a_long_turn_comes_back_in_slices),
        cmocka_unit_test(many_notes_end_the_slice),
        cmocka_unit_test(what_leaves_a_run_is_limited),
        cmocka_unit_test(memory_is_limited),
        cmocka_unit_test(a_text_is_limited),
        cmocka_unit_test(a_value_that_shares_itself_is_weighed_as_a_tree),
        cmocka_unit_test(nothing_is_left_charged),
        cmocka_unit_test(arguments_and_results_are_adopted),
        cmocka_unit_test(a_run_explains_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
