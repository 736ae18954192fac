/* vm_run.h - programs with requests, driven by hand: what tests of the machine share. */
#ifndef TESTS_VM_RUN_H
#define TESTS_VM_RUN_H
#include "tests/unit/vm_asm.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { INT = TYPE_INDEX_INT, BOOL = TYPE_INDEX_BOOL, TEXT = TYPE_INDEX_STRING, DEC = TYPE_INDEX_DECIMAL, FLOAT = TYPE_INDEX_FLOAT, TIME = TYPE_INDEX_TIMESTAMP,
       ERR = TYPE_INDEX_ERROR, GROUP = TYPE_INDEX_GROUP, VOID = TYPE_INDEX_VOID, JSON = TYPE_INDEX_JSON };

/* ---- helpers ---- */

static inline VmStatus run_all(VmRun *run)
{
    VmStatus status;
    while ((status = vm_run(run)) == VM_SLICE_ENDED) continue;
    return status;
}

/* The last function, which has no parameters. */
static inline VmRun *start_with(Image *image, const VmLimits *limits)
{
    VmRun *run = vm_new(image, (uint16_t)(image->func_count - 1), NULL, &asm_info, limits);
    image_free(image);
    return run;
}
static inline VmRun *start(Asm *m) { return start_with(asm_done(m), NULL); }

static inline int64_t int_result(Asm *m)
{
    VmRun *run = start(m);
    VmStatus status = run_all(run);
    assert_int_equal(status, VM_DONE);
    int64_t result = vm_result(run).i;
    vm_free(run);
    return result;
}

static inline Str error_text(const VmRun *run, int field) { return value_str(((Record *)vm_error(run).o)->fields[field]); }
static inline int64_t error_kind(const VmRun *run) { return ((Record *)vm_error(run).o)->fields[ERROR_FIELD_KIND].i; }
static inline void assert_text(Str found, const char *expected)
{
    char text[512];
    snprintf(text, sizeof text, "%.*s", (int)found.len, found.ptr);
    assert_string_equal(text, expected);
}

/* Runs to the end and expects the failure. */
static inline void assert_fails(VmRun *run, ErrorKind kind, const char *message)
{
    assert_int_equal(run_all(run), VM_FAILED);
    assert_text(error_text(run, ERROR_FIELD_MESSAGE), message);
    assert_int_equal(error_kind(run), kind);
    vm_free(run);
}
static inline void assert_limit(VmRun *run, const char *code)
{
    assert_int_equal(run_all(run), VM_FAILED);
    assert_text(error_text(run, ERROR_FIELD_CODE), code);
    assert_int_equal(error_kind(run), ERROR_KIND_rejected);
    vm_free(run);
}

/* What was asked since the last look, as "name(first int argument)" words; the newest request's id. */
static inline uint64_t asked(VmRun *run, char *out, size_t size)
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

static inline Value text_value(const char *text) { return value_string(str_of(text)); }
static inline Value int_value(int64_t i) { return (Value){ .i = i }; }
static inline Value error_value(VmRun *run, ErrorKind kind, const char *message) { return value_error(vm_image(run), kind, str_of(message)); }

/* Tool calls of an agent elsewhere: effect "ask" (int) -> int. */
static inline uint16_t remote(Asm *m)
{
    uint16_t agent = IMAGE_ADD(m->image, agent), tool = IMAGE_ADD(m->image, tool);
    m->image->agents[agent] = (ImageAgent){ .name = STR("far"), .title = STR("Far"), .location = AGENT_HTTP, .location_text = STR("http://localhost") };
    ImageField *params = ARENA_ARRAY(m->image->arena, ImageField, 1);
    params[0] = (ImageField){ .name = STR("n"), .type = INT };
    m->image->tools[tool] = (ImageTool){ .name = STR("ask"), .agent = agent, .func = NO_INDEX, .flags = TOOL_REMOTE, .compensated_by = NO_INDEX, .key_param = NO_INDEX,
                                         .params = params, .param_count = 1, .result = INT };
    return asm_effect(m, EFFECT_REMOTE_CALL, "far.ask", tool, INT, 1, (uint16_t[]){ INT });
}

/* ---- programs ---- */

/* A local tool "near.add" (int) -> int that returns its argument + 1, called by main with 5. */
static inline Asm *local_tool(void)
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

/* within (deadline 1000): try { ask 1 } finally { shield; ask 2; unshield; rethrow }; the scope's own handler returns -7. */
static inline Asm *scoped(void)
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

enum { CRITICAL = 1, RACE = 2, SOFT = 4, LIMIT = 8 };

/* main: `count` branches that ask their number and return the answer; returns the sum (race: the winner's). Flags as above;
   SOFT: within deadline 500 around the join, results that are missing count 1000. */
static inline Asm *branches(int count, int flags)
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

/* comp(n): asks 100+n, reports "undo" done. step branch(n): pushes comp(n), asks n. */
typedef struct SagaParts { uint16_t ask, comp, name; } SagaParts;
static inline SagaParts saga_parts(Asm *m)
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
static inline void saga_end(Asm *m, uint32_t from, uint16_t ok, uint16_t e)
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

static inline Asm *saga_of(int steps)
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

/* saga { parallel { step 1; step 2; step 3 }; then ask 9 }: each branch asks its number and then pushes its compensation. */
static inline Asm *saga_of_branches(void)
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

/* parallel { branches } inside try/catch: the block raises between SPAWN and JOIN, so its fibers are left. */
static inline Asm *left_block(void)
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
    return m;
}
#endif
