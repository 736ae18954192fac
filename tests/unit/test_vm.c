/* test_vm.c - programs by hand: instructions, errors, fibers, scopes, sagas, requests, limits. */
#include "tests/unit/vm_asm.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { INT = TYPE_INDEX_INT, BOOL = TYPE_INDEX_BOOL, TEXT = TYPE_INDEX_STRING, DEC = TYPE_INDEX_DECIMAL, FLOAT = TYPE_INDEX_FLOAT, TIME = TYPE_INDEX_TIMESTAMP,
       ERR = TYPE_INDEX_ERROR, GROUP = TYPE_INDEX_GROUP, VOID = TYPE_INDEX_VOID, JSON = TYPE_INDEX_JSON };

/* ---- helpers ---- */

static VmStatus run_all(VmRun *run)
{
    VmStatus status;
    while ((status = vm_run(run)) == VM_SLICE_ENDED) continue;
    return status;
}

/* The last function, which has no parameters. */
static VmRun *start_with(Image *image, const VmLimits *limits)
{
    VmRun *run = vm_new(image, (uint16_t)(image->func_count - 1), NULL, &asm_info, limits);
    image_free(image);
    return run;
}
static VmRun *start(Asm *m) { return start_with(asm_done(m), NULL); }

static int64_t int_result(Asm *m)
{
    VmRun *run = start(m);
    VmStatus status = run_all(run);
    assert_int_equal(status, VM_DONE);
    int64_t result = vm_result(run).i;
    vm_free(run);
    return result;
}

static Str error_text(const VmRun *run, int field) { return value_str(((Record *)vm_error(run).o)->fields[field]); }
static int64_t error_kind(const VmRun *run) { return ((Record *)vm_error(run).o)->fields[ERROR_FIELD_KIND].i; }
static void assert_text(Str found, const char *expected)
{
    char text[512];
    snprintf(text, sizeof text, "%.*s", (int)found.len, found.ptr);
    assert_string_equal(text, expected);
}

/* Runs to the end and expects the failure. */
static void assert_fails(VmRun *run, ErrorKind kind, const char *message)
{
    assert_int_equal(run_all(run), VM_FAILED);
    assert_text(error_text(run, ERROR_FIELD_MESSAGE), message);
    assert_int_equal(error_kind(run), kind);
    vm_free(run);
}
static void assert_limit(VmRun *run, const char *code)
{
    assert_int_equal(run_all(run), VM_FAILED);
    assert_text(error_text(run, ERROR_FIELD_CODE), code);
    assert_int_equal(error_kind(run), ERROR_KIND_rejected);
    vm_free(run);
}

/* What was asked since the last look, as "name(first int argument)" words; the newest request's id. */
static uint64_t asked(VmRun *run, char *out, size_t size)
{
    VmRequest r;
    uint64_t id = 0;
    size_t len = 0;
    out[0] = '\0';
    while (vm_next_request(run, &r)) {
        const char *mark = r.effect->kind == EFFECT_NOTE_SPAN_BEGIN ? "+" : r.effect->kind == EFFECT_NOTE_SPAN_END ? (r.span_failed ? "!" : "-") : r.is_note ? "~" : "";
        len += (size_t)snprintf(out + len, size - len, "%s%s%.*s", len ? " " : "", mark, (int)r.effect->name.len, r.effect->name.ptr);
        if (r.effect->kind == EFFECT_REMOTE_CALL && r.arg_count) len += (size_t)snprintf(out + len, size - len, "(%lld)", (long long)r.args[0].i);
        if (!r.is_note) id = r.id;
    }
    return id;
}
#define ASSERT_ASKED(run, words) do { char text_[1024]; vm_run(run); uint64_t id_ = asked(run, text_, sizeof text_); if (id_) last = id_; (void)last; assert_string_equal(text_, words); } while (0)

static Value text_value(const char *text) { return value_string(str_of(text)); }
static Value int_value(int64_t i) { return (Value){ .i = i }; }
static Value error_value(VmRun *run, ErrorKind kind, const char *message) { return value_error(vm_image(run), kind, str_of(message)); }

/* Tool calls of an agent elsewhere: effect "ask" (int) -> int. */
static uint16_t remote(Asm *m)
{
    uint16_t agent = IMAGE_ADD(m->image, agent), tool = IMAGE_ADD(m->image, tool);
    m->image->agents[agent] = (ImageAgent){ .name = STR("far"), .title = STR("Far"), .location = AGENT_HTTP, .location_text = STR("http://localhost") };
    ImageField *params = ARENA_ARRAY(m->image->arena, ImageField, 1);
    params[0] = (ImageField){ .name = STR("n"), .type = INT };
    m->image->tools[tool] = (ImageTool){ .name = STR("ask"), .agent = agent, .func = NO_INDEX, .flags = TOOL_REMOTE, .compensated_by = NO_INDEX, .key_param = NO_INDEX,
                                         .params = params, .param_count = 1, .result = INT };
    return asm_effect(m, EFFECT_REMOTE_CALL, "far.ask", tool, INT, 1, (uint16_t[]){ INT });
}

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

/* ---- requests ---- */

static void an_effect_waits_for_its_answer(void **state)
{
    Asm *m = asm_new();
    uint16_t ask = remote(m);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t a = asm_reg(m, INT), b = asm_reg(m, INT);
    EMIT32(m, LOADI, b, 5);
    EMIT(m, EFFECT, a, ask, b);
    EMIT(m, ADD_INT, a, a, b);
    EMIT(m, RETURN, a, 0, 0);
    VmRun *run = start(m);
    uint64_t last = 0;
    ASSERT_ASKED(run, "far.ask(5)");
    assert_int_equal(last, 1);
    assert_false(vm_resume(run, 99, int_value(1)));
    assert_true(vm_resume(run, last, int_value(100)));
    assert_false(vm_resume(run, last, int_value(100)));
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 105);
    vm_free(run);
}

static void an_effect_can_raise(void **state)
{
    Asm *m = asm_new();
    uint16_t ask = remote(m);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t a = asm_reg(m, INT), e = asm_reg(m, ERR);
    EMIT32(m, LOADI, a, 5);
    EMIT(m, EFFECT, a, ask, a);
    EMIT(m, RETURN, a, 0, 0);
    asm_try(m, TRY_CATCH, 1, 2, asm_pc(m), e);
    EMIT32(m, LOADI, a, -1);
    EMIT(m, RETURN, a, 0, 0);
    VmRun *run = start(m);
    uint64_t last = 0;
    ASSERT_ASKED(run, "far.ask(5)");
    assert_true(vm_raise(run, last, error_value(run, ERROR_KIND_unavailable, "down")));
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, -1);
    vm_free(run);
}

/* A local tool "near.add" (int) -> int that returns its argument + 1, called by main with 5. */
static Asm *local_tool(void)
{
    Asm *m = asm_new();
    uint16_t agent = IMAGE_ADD(m->image, agent), tool = IMAGE_ADD(m->image, tool);
    m->image->agents[agent] = (ImageAgent){ .name = STR("near"), .title = STR("Near") };
    ImageField *params = ARENA_ARRAY(m->image->arena, ImageField, 1);
    params[0] = (ImageField){ .name = STR("n"), .type = INT };
    uint16_t f = asm_func(m, "near.add", FUNC_TOOL, INT, 1, (uint16_t[]){ INT });
    asm_now(m)->owner = tool;
    asm_now(m)->agent = agent;
    uint16_t r = asm_reg(m, INT);
    EMIT(m, ADDI_INT, r, 0, 1);
    EMIT(m, RETURN, r, 0, 0);
    m->image->tools[tool] = (ImageTool){ .name = STR("add"), .agent = agent, .func = f, .compensated_by = NO_INDEX, .key_param = NO_INDEX, .params = params, .param_count = 1, .result = INT };
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t a = asm_reg(m, INT), e = asm_reg(m, ERR);
    EMIT32(m, LOADI, a, 5);
    EMIT(m, CALL, a, f, a);
    EMIT(m, RETURN, a, 0, 0);
    asm_try(m, TRY_CATCH, 1, 2, asm_pc(m), e);
    EMIT32(m, LOADI, a, -1);
    EMIT(m, RETURN, a, 0, 0);
    return m;
}

static void a_tool_call_is_a_span(void **state)
{
    VmRun *run = start(local_tool());
    VmRequest r;
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 6);
    assert_true(vm_next_request(run, &r));
    assert_true(r.is_note);
    assert_int_equal(r.effect->kind, EFFECT_NOTE_SPAN_BEGIN);
    assert_int_equal(r.args[0].i, 5);
    assert_int_equal(r.span, 1);
    assert_int_equal(r.span_func, 0);
    assert_int_equal(r.func, 1);
    assert_true(vm_next_request(run, &r));
    assert_int_equal(r.effect->kind, EFFECT_NOTE_SPAN_END);
    assert_int_equal(r.args[0].i, 6);
    assert_false(r.span_failed);
    assert_false(vm_next_request(run, &r));
    vm_free(run);
}

static void an_intercepted_tool_becomes_a_request(void **state)
{
    for (int fails = 0; fails < 2; fails++) {
        VmRun *run = start(local_tool());
        uint64_t last = 0;
        vm_intercept_tool(run, 0);
        ASSERT_ASKED(run, "+near.add near.add(5)");
        if (fails) vm_raise(run, last, error_value(run, ERROR_KIND_rejected, "scripted"));
        else vm_resume(run, last, int_value(77));
        ASSERT_ASKED(run, fails ? "!near.add" : "-near.add");
        assert_int_equal(run_all(run), VM_DONE);
        assert_int_equal(vm_result(run).i, fails ? -1 : 77);
        vm_free(run);
    }
}

/* ---- scopes and cancellation ---- */

/* within (deadline 1000): try { ask 1 } finally { shield; ask 2; unshield; rethrow }; the scope's own handler returns -7. */
static Asm *scoped(void)
{
    Asm *m = asm_new();
    uint16_t ask = remote(m);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t a = asm_reg(m, INT), t = asm_reg(m, TIME), e = asm_reg(m, ERR), e2 = asm_reg(m, ERR);
    EMIT32(m, LOADI, t, 1000);
    EMIT(m, SCOPE_ENTER, t, 0, 0);
    uint32_t from = EMIT32(m, LOADI, a, 1);
    EMIT(m, EFFECT, a, ask, a);
    uint32_t to = EMIT(m, SCOPE_EXIT, 0, 0, 0);
    EMIT(m, RETURN, a, 0, 0);
    uint32_t finally = EMIT(m, SHIELD_ENTER, 0, 0, 0);
    EMIT32(m, LOADI, a, 2);
    EMIT(m, EFFECT, a, ask, a);
    EMIT(m, SHIELD_EXIT, 0, 0, 0);
    EMIT(m, RAISE, e, 0, 0);
    uint32_t finally_end = asm_pc(m);
    uint32_t timeout = EMIT32(m, LOADI, a, -7);
    EMIT(m, RETURN, a, 0, 0);
    asm_try(m, TRY_FINALLY, from + 1, to, finally, e);
    asm_try(m, TRY_SCOPE, from, finally_end, timeout, e2);
    return m;
}

static void a_deadline_passes_finally_and_ends_at_its_scope(void **state)
{
    VmRun *run = start(scoped());
    uint64_t last = 0;
    uint32_t scope = 0;
    ASSERT_ASKED(run, "far.ask(1)");
    uint64_t first = last;
    assert_int_equal(vm_next_deadline(run, &scope), 1000);
    assert_true(vm_expire(run, scope));
    assert_false(vm_expire(run, scope));
    ASSERT_ASKED(run, "far.ask(2)");
    assert_false(vm_resume(run, first, int_value(1)));
    assert_int_equal(vm_next_deadline(run, &scope), INT64_MAX);
    vm_resume(run, last, int_value(3));
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, -7);
    vm_free(run);
}

static void a_request_knows_its_deadline(void **state)
{
    VmRun *run = start(scoped());
    VmRequest r;
    vm_run(run);
    assert_true(vm_next_request(run, &r));
    assert_int_equal(r.deadline_us, 1000);
    assert_false(r.shielded);
    vm_cancel(run, STR("stop"));
    vm_run(run);
    assert_true(vm_next_request(run, &r));
    assert_true(r.shielded);
    assert_int_equal(r.deadline_us, INT64_MAX);
    vm_free(run);
}

static void cancellation_is_seen_by_finally_only(void **state)
{
    VmRun *run = start(scoped());
    uint64_t last = 0;
    ASSERT_ASKED(run, "far.ask(1)");
    vm_cancel(run, STR("by user"));
    ASSERT_ASKED(run, "far.ask(2)");
    vm_resume(run, last, int_value(0));
    assert_fails(run, ERROR_KIND_cancelled, "by user");
}

static void a_shield_defers_an_interrupt(void **state)
{
    VmRun *run = start(scoped());
    uint64_t last = 0;
    uint32_t scope = 0;
    ASSERT_ASKED(run, "far.ask(1)");
    vm_raise(run, last, error_value(run, ERROR_KIND_denied, "no"));
    ASSERT_ASKED(run, "far.ask(2)");
    vm_next_deadline(run, &scope);
    assert_true(vm_expire(run, scope));
    ASSERT_ASKED(run, "");
    vm_resume(run, last, int_value(0));          /* unshielded: the deadline is raised instead of `denied` */
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, -7);
    vm_free(run);
}

/* ---- groups ---- */

enum { CRITICAL = 1, RACE = 2, SOFT = 4, LIMIT = 8 };

/* main: `count` branches that ask their number and return the answer; returns the sum (race: the winner's). Flags as above;
   SOFT: within deadline 500 around the join, results that are missing count 1000. */
static Asm *branches(int count, int flags)
{
    Asm *m = asm_new();
    uint16_t ask = remote(m), ints = asm_type(m, KIND_LIST, INT), opt = asm_type(m, KIND_OPT, INT);
    uint16_t branch = asm_func(m, "branch", FUNC_BRANCH, INT, 1, (uint16_t[]){ INT });
    asm_now(m)->flags = flags & CRITICAL ? FUNC_FLAG_CRITICAL : 0;
    uint16_t r = asm_reg(m, INT);
    EMIT(m, EFFECT, r, ask, 0);
    EMIT(m, RETURN, r, 0, 0);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t g = asm_reg(m, GROUP), n = asm_reg(m, INT), sum = asm_reg(m, INT), x = asm_reg(m, INT), o = asm_reg(m, opt), t = asm_reg(m, TIME), e = asm_reg(m, ERR), list = asm_reg(m, ints);
    (void)list;
    EMIT32(m, LOADI, n, flags & LIMIT ? 2 : 0);
    EMIT32(m, LOADI, t, 500);
    EMIT(m, SCOPE_ENTER, t, 0, 0);
    uint32_t from = EMIT(m, GROUP_NEW, g, (flags & RACE ? 1 : 0) | (flags & SOFT ? 2 : 0), n);
    for (int k = 1; k <= count; k++) {
        EMIT32(m, LOADI, n, k);
        EMIT(m, SPAWN, g, branch, n);
    }
    EMIT(m, JOIN, g, 0, 0);
    uint32_t to = EMIT(m, SCOPE_EXIT, 0, 0, 0);
    EMIT32(m, LOADI, sum, 0);
    if (flags & RACE) EMIT(m, RACE_RESULT, sum, g, 0);
    for (int k = 0; k < count && !(flags & RACE); k++) {
        if (flags & CRITICAL) EMIT(m, FIBER_RESULT, x, g, k);
        else {
            EMIT(m, FIBER_RESULT, o, g, k);
            EMIT32(m, LOADI, x, 1000);
            uint32_t null = EMIT32(m, JNULL, o, 0);
            EMIT(m, UNWRAP, x, o, 0);
            asm_here(m, null);
        }
        EMIT(m, ADD_INT, sum, sum, x);
    }
    EMIT(m, GROUP_FREE, g, 0, 0);
    EMIT(m, RETURN, sum, 0, 0);
    uint32_t late = EMIT32(m, LOADI, sum, -5);
    EMIT(m, RETURN, sum, 0, 0);
    asm_try(m, TRY_SCOPE, from, to, late, e);
    return m;
}

static void branches_run_at_once_and_results_keep_their_place(void **state)
{
    VmRun *run = start(branches(3, CRITICAL));
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2) far.ask(3)");
    vm_resume(run, last, int_value(300));
    vm_run(run);
    vm_resume(run, last - 2, int_value(1));
    vm_run(run);
    vm_resume(run, last - 1, int_value(20));
    ASSERT_ASKED(run, "~parallel");
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 321);
    vm_free(run);
}

static void a_limit_starts_the_next_when_one_ends(void **state)
{
    VmRun *run = start(branches(3, CRITICAL | LIMIT));
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2)");
    vm_resume(run, last, int_value(2));
    ASSERT_ASKED(run, "far.ask(3)");
    vm_resume(run, last, int_value(3));
    vm_run(run);
    vm_resume(run, last - 2, int_value(1));
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 6);
    vm_free(run);
}

static void a_critical_failure_cancels_the_rest(void **state)
{
    VmRun *run = start(branches(3, CRITICAL));
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2) far.ask(3)");
    vm_raise(run, last - 1, error_value(run, ERROR_KIND_not_found, "gone"));
    vm_run(run);
    assert_false(vm_resume(run, last, int_value(1)));
    assert_fails(run, ERROR_KIND_not_found, "gone");
}

static void a_failure_that_is_not_critical_is_null(void **state)
{
    VmRun *run = start(branches(2, 0));
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2)");
    vm_raise(run, last, error_value(run, ERROR_KIND_not_found, "gone"));
    vm_run(run);
    vm_resume(run, last - 1, int_value(7));
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 1007);
    vm_free(run);
}

static void the_first_of_a_race_wins(void **state)
{
    VmRun *run = start(branches(3, RACE));
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2) far.ask(3)");
    vm_raise(run, last - 2, error_value(run, ERROR_KIND_timeout, "slow"));
    vm_run(run);
    vm_resume(run, last - 1, int_value(22));
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 22);
    assert_false(vm_resume(run, last, int_value(1)));
    vm_free(run);
}

static void a_race_that_all_lose_raises_the_last_error(void **state)
{
    VmRun *run = start(branches(2, RACE));
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2)");
    vm_raise(run, last, error_value(run, ERROR_KIND_timeout, "first to fail"));
    vm_run(run);
    vm_raise(run, last - 1, error_value(run, ERROR_KIND_denied, "last to fail"));
    assert_fails(run, ERROR_KIND_denied, "last to fail");
}

static void a_soft_deadline_keeps_what_is_there(void **state)
{
    VmRun *run = start(branches(2, SOFT));
    uint64_t last = 0;
    uint32_t scope = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2)");
    vm_resume(run, last, int_value(5));
    vm_run(run);
    assert_int_equal(vm_next_deadline(run, &scope), 500);
    vm_expire(run, scope);
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 1005);
    vm_free(run);
}

static void a_hard_deadline_cancels_and_is_raised(void **state)
{
    VmRun *run = start(branches(2, 0));
    uint64_t last = 0;
    uint32_t scope = 0;
    VmRequest r = { 0 };
    vm_run(run);
    while (vm_next_request(run, &r) && r.is_note) continue;
    assert_int_equal(r.deadline_us, 500);        /* of the fiber that waits for this one */
    last = r.id;
    vm_next_deadline(run, &scope);
    vm_expire(run, scope);
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, -5);
    assert_false(vm_resume(run, last, int_value(1)));
    vm_free(run);
}

static void a_cancelled_run_ends_its_branches_first(void **state)
{
    VmRun *run = start(branches(3, CRITICAL));
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2) far.ask(3)");
    vm_cancel(run, STR("enough"));
    assert_fails(run, ERROR_KIND_cancelled, "enough");
}

static void fibers_are_limited(void **state)
{
    assert_limit(start_with(asm_done(branches(6, CRITICAL)), &(VmLimits){ .fibers = 4 }), "VM_FIBERS_LIMIT");
}

/* ---- sagas ---- */

/* comp(n): asks 100+n, reports "undo" done. step branch(n): pushes comp(n), asks n. */
typedef struct SagaParts { uint16_t ask, comp, name; } SagaParts;
static SagaParts saga_parts(Asm *m)
{
    SagaParts p = { .ask = remote(m), .name = asm_text(m, TEXT, "undo") };
    p.comp = asm_func(m, "comp", FUNC_COMPENSATION, VOID, 1, (uint16_t[]){ INT });
    uint16_t n = asm_reg(m, INT), s = asm_reg(m, TEXT), ok = asm_reg(m, BOOL), e = asm_reg(m, ERR);
    EMIT(m, LOADREF, s, p.name, 0);
    EMIT(m, ADDI_INT, n, 0, 100);
    uint32_t from = EMIT(m, EFFECT, n, p.ask, n);
    EMIT32(m, LOADI, ok, 1);
    EMIT(m, COMP_REPORT, s, ok, 0);
    EMIT(m, RETURN_VOID, 0, 0, 0);
    uint32_t failed = EMIT32(m, LOADI, ok, 0);
    EMIT(m, COMP_REPORT, s, ok, 0);
    EMIT(m, RETURN_VOID, 0, 0, 0);
    asm_try(m, TRY_CATCH, from, from + 1, failed, e);
    return p;
}

/* The undoing half of a saga whose body is [from, now): handler, compensations, abort, rethrow. */
static void saga_end(Asm *m, uint32_t from, uint16_t ok, uint16_t e)
{
    uint32_t to = asm_pc(m);
    EMIT(m, SAGA_COMMIT, 0, 0, 0);
    uint32_t over = EMIT32(m, JUMP, 0, 0);
    asm_try(m, TRY_FINALLY, from, to, asm_pc(m), e);
    EMIT(m, SHIELD_ENTER, 0, 0, 0);
    uint32_t head = EMIT(m, COMP_NEXT, ok, 0, 0);
    uint32_t none = EMIT32(m, JF, ok, 0);
    EMIT32(m, LOOP, 0, head);
    asm_here(m, none);
    EMIT(m, SAGA_ABORT, e, 0, 0);
    EMIT(m, SHIELD_EXIT, 0, 0, 0);
    EMIT(m, RAISE, e, 0, 0);
    asm_here(m, over);
}

static Asm *saga_of(int steps)
{
    Asm *m = asm_new();
    SagaParts p = saga_parts(m);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t n = asm_reg(m, INT), a = asm_reg(m, INT), ok = asm_reg(m, BOOL), e = asm_reg(m, ERR);
    EMIT(m, SAGA_ENTER, 0, 0, 0);
    uint32_t from = asm_pc(m);
    for (int k = 1; k <= steps; k++) {
        EMIT32(m, LOADI, n, k);
        EMIT(m, EFFECT, a, p.ask, n);
        EMIT(m, COMP_PUSH, 0, p.comp, n);
    }
    saga_end(m, from, ok, e);
    EMIT32(m, LOADI, n, 9);
    EMIT(m, RETURN, n, 0, 0);
    return m;
}

static void a_saga_that_succeeds_undoes_nothing(void **state)
{
    VmRun *run = start(saga_of(2));
    uint64_t last = 0;
    ASSERT_ASKED(run, "far.ask(1)");
    vm_resume(run, last, int_value(0));
    ASSERT_ASKED(run, "far.ask(2)");
    vm_resume(run, last, int_value(0));
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 9);
    vm_free(run);
}

static void a_saga_that_fails_undoes_backwards_and_says_so(void **state)
{
    VmRun *run = start(saga_of(3));
    uint64_t last = 0;
    ASSERT_ASKED(run, "far.ask(1)");
    vm_resume(run, last, int_value(0));
    ASSERT_ASKED(run, "far.ask(2)");
    vm_resume(run, last, int_value(0));
    ASSERT_ASKED(run, "far.ask(3)");
    vm_raise(run, last, error_value(run, ERROR_KIND_rejected, "full"));
    ASSERT_ASKED(run, "far.ask(102)");
    vm_raise(run, last, error_value(run, ERROR_KIND_unavailable, "cannot undo"));
    ASSERT_ASKED(run, "far.ask(101)");
    vm_resume(run, last, int_value(0));
    assert_int_equal(run_all(run), VM_FAILED);
    assert_text(error_text(run, ERROR_FIELD_MESSAGE), "full");
    Buf json = { 0 };
    value_to_json(vm_image(run), TYPE_INDEX_LIST_STRING, ((Record *)vm_error(run).o)->fields[ERROR_FIELD_UNDONE], &json);
    value_to_json(vm_image(run), TYPE_INDEX_LIST_STRING, ((Record *)vm_error(run).o)->fields[ERROR_FIELD_NOT_UNDONE], &json);
    assert_string_equal(buf_cstr(&json), "[\"undo\"][\"undo\"]");
    buf_free(&json);
    vm_free(run);
}

static void a_cancelled_saga_is_undone_too(void **state)
{
    VmRun *run = start(saga_of(2));
    uint64_t last = 0;
    ASSERT_ASKED(run, "far.ask(1)");
    vm_resume(run, last, int_value(0));
    ASSERT_ASKED(run, "far.ask(2)");
    vm_cancel(run, STR("stop"));
    ASSERT_ASKED(run, "far.ask(101)");
    vm_cancel(run, STR("again"));
    ASSERT_ASKED(run, "");
    vm_resume(run, last, int_value(0));
    assert_fails(run, ERROR_KIND_cancelled, "stop");
}

/* saga { parallel { step 1; step 2; step 3 }; then ask 9 }: each branch asks its number and then pushes its compensation. */
static Asm *saga_of_branches(void)
{
    Asm *m = asm_new();
    SagaParts p = saga_parts(m);
    uint16_t branch = asm_func(m, "branch", FUNC_BRANCH, INT, 1, (uint16_t[]){ INT });
    asm_now(m)->flags = FUNC_FLAG_CRITICAL;
    uint16_t a = asm_reg(m, INT);
    EMIT(m, EFFECT, a, p.ask, 0);
    EMIT(m, COMP_PUSH, 0, p.comp, 0);
    EMIT(m, RETURN, a, 0, 0);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t g = asm_reg(m, GROUP), n = asm_reg(m, INT), ok = asm_reg(m, BOOL), e = asm_reg(m, ERR);
    EMIT(m, SAGA_ENTER, 0, 0, 0);
    uint32_t from = EMIT32(m, LOADI, n, 0);
    EMIT(m, GROUP_NEW, g, 0, n);
    for (int k = 1; k <= 3; k++) {
        EMIT32(m, LOADI, n, k);
        EMIT(m, SPAWN, g, branch, n);
    }
    EMIT(m, JOIN, g, 0, 0);
    EMIT32(m, LOADI, n, 9);
    EMIT(m, EFFECT, n, p.ask, n);
    saga_end(m, from, ok, e);
    EMIT(m, RETURN, n, 0, 0);
    return m;
}

static void steps_of_branches_are_undone_in_the_order_they_were_done(void **state)
{
    VmRun *run = start(saga_of_branches());
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2) far.ask(3)");
    uint64_t one = last - 2;
    vm_resume(run, one + 1, int_value(0));
    vm_run(run);
    vm_resume(run, one + 2, int_value(0));
    vm_run(run);
    vm_resume(run, one, int_value(0));
    ASSERT_ASKED(run, "~parallel far.ask(9)");
    vm_raise(run, last, error_value(run, ERROR_KIND_conflict, "x"));
    ASSERT_ASKED(run, "far.ask(101)");
    vm_resume(run, last, int_value(0));
    ASSERT_ASKED(run, "far.ask(103)");
    vm_resume(run, last, int_value(0));
    ASSERT_ASKED(run, "far.ask(102)");
    vm_resume(run, last, int_value(0));
    assert_fails(run, ERROR_KIND_conflict, "x");
}

static void a_failed_branch_leaves_the_others_steps_to_the_saga(void **state)
{
    VmRun *run = start(saga_of_branches());
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(1) far.ask(2) far.ask(3)");
    vm_resume(run, last - 2, int_value(0));
    vm_run(run);
    vm_raise(run, last, error_value(run, ERROR_KIND_rejected, "full"));
    ASSERT_ASKED(run, "~parallel far.ask(101)");
    vm_resume(run, last, int_value(0));
    assert_fails(run, ERROR_KIND_rejected, "full");
}

/* parallel { branches } inside try/catch: the block raises between SPAWN and JOIN, so its fibers are left. */
static void a_block_that_is_left_ends_its_branches_before_the_handler(void **state)
{
    Asm *m = asm_new();
    uint16_t ask = remote(m);
    uint16_t branch = asm_func(m, "branch", FUNC_BRANCH, INT, 1, (uint16_t[]){ INT });
    uint16_t a = asm_reg(m, INT), e = asm_reg(m, ERR);
    uint32_t from = EMIT(m, EFFECT, a, ask, 0);
    EMIT(m, RETURN, a, 0, 0);
    asm_try(m, TRY_FINALLY, from, from + 1, asm_pc(m), e);
    EMIT(m, SHIELD_ENTER, 0, 0, 0);
    EMIT32(m, LOADI, a, 50);
    EMIT(m, EFFECT, a, ask, a);
    EMIT(m, SHIELD_EXIT, 0, 0, 0);
    EMIT(m, RAISE, e, 0, 0);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t g = asm_reg(m, GROUP), n = asm_reg(m, INT);
    e = asm_reg(m, ERR);
    from = EMIT32(m, LOADI, n, 0);
    EMIT(m, GROUP_NEW, g, 0, n);
    EMIT32(m, LOADI, n, 1);
    EMIT(m, SPAWN, g, branch, n);
    EMIT32(m, LOADI, n, 2);
    EMIT(m, EFFECT, n, ask, n);              /* raises */
    EMIT(m, JOIN, g, 0, 0);
    EMIT(m, RETURN, n, 0, 0);
    asm_try(m, TRY_CATCH, from, asm_pc(m), asm_pc(m), e);
    EMIT32(m, LOADI, n, 3);
    EMIT(m, EFFECT, n, ask, n);
    EMIT(m, RETURN, n, 0, 0);
    VmRun *run = start(m);
    uint64_t last = 0;
    ASSERT_ASKED(run, "~parallel far.ask(2) far.ask(1)");
    vm_raise(run, last - 1, error_value(run, ERROR_KIND_invalid, "broken"));
    ASSERT_ASKED(run, "far.ask(50)");            /* the branch cleans up, main still waits */
    vm_resume(run, last, int_value(0));
    ASSERT_ASKED(run, "~parallel far.ask(3)");
    vm_resume(run, last, int_value(33));
    assert_int_equal(run_all(run), VM_DONE);
    assert_int_equal(vm_result(run).i, 33);
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
        cmocka_unit_test(arithmetic_is_checked), cmocka_unit_test(loops_count), cmocka_unit_test(calls_nest_to_the_depth_limit),
        cmocka_unit_test(decimals_are_exact), cmocka_unit_test(a_shared_record_is_copied_before_it_changes), cmocka_unit_test(lists_and_maps_are_values),
        cmocka_unit_test(an_index_outside_names_itself), cmocka_unit_test(optionals_hold_every_scalar),
        cmocka_unit_test(errors_are_caught_by_the_nearest_handler), cmocka_unit_test(an_uncaught_error_says_where),
        cmocka_unit_test(an_effect_waits_for_its_answer), cmocka_unit_test(an_effect_can_raise), cmocka_unit_test(a_tool_call_is_a_span),
        cmocka_unit_test(an_intercepted_tool_becomes_a_request), cmocka_unit_test(a_deadline_passes_finally_and_ends_at_its_scope),
        cmocka_unit_test(a_request_knows_its_deadline), cmocka_unit_test(cancellation_is_seen_by_finally_only), cmocka_unit_test(a_shield_defers_an_interrupt),
        cmocka_unit_test(branches_run_at_once_and_results_keep_their_place), cmocka_unit_test(a_limit_starts_the_next_when_one_ends),
        cmocka_unit_test(a_critical_failure_cancels_the_rest), cmocka_unit_test(a_failure_that_is_not_critical_is_null),
        cmocka_unit_test(the_first_of_a_race_wins), cmocka_unit_test(a_race_that_all_lose_raises_the_last_error),
        cmocka_unit_test(a_soft_deadline_keeps_what_is_there), cmocka_unit_test(a_hard_deadline_cancels_and_is_raised),
        cmocka_unit_test(a_cancelled_run_ends_its_branches_first), cmocka_unit_test(fibers_are_limited),
        cmocka_unit_test(a_saga_that_succeeds_undoes_nothing), cmocka_unit_test(a_saga_that_fails_undoes_backwards_and_says_so),
        cmocka_unit_test(a_cancelled_saga_is_undone_too), cmocka_unit_test(steps_of_branches_are_undone_in_the_order_they_were_done),
        cmocka_unit_test(a_failed_branch_leaves_the_others_steps_to_the_saga), cmocka_unit_test(a_block_that_is_left_ends_its_branches_before_the_handler),
        cmocka_unit_test(fuel_ends_even_a_loop_that_catches), cmocka_unit_test(a_long_turn_comes_back_in_slices), cmocka_unit_test(memory_is_limited),
        cmocka_unit_test(a_text_is_limited), cmocka_unit_test(a_value_that_shares_itself_is_weighed_as_a_tree), cmocka_unit_test(nothing_is_left_charged),
        cmocka_unit_test(arguments_and_results_are_adopted), cmocka_unit_test(a_run_explains_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
