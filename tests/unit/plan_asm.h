/* plan_asm.h - a program that runs plans, and plans for it, by hand: what tests of extensions share.
 *
 *     Image *base = plan_base(0);
 *     Asm *p = plan_asm(base);                         the function of the plan is begun: () -> json
 *     …EMIT(p, …)…
 *     Image *plan = plan_done(p);                      through its bytes, verified; its function is the last
 */
#ifndef TESTS_PLAN_ASM_H
#define TESTS_PLAN_ASM_H
#include "tests/unit/vm_run.h"

/* Tools of the base. ADD: local, goes round n times, gives n + 1; costs 100 tokens and 0.01 usd. GROW: local, gives the length of a text of n kB. ASK: remote. FREE: as ADD. THINK: local,
   asks a model n times. */
enum { PLAN_TOOL_ADD, PLAN_TOOL_GROW, PLAN_TOOL_ASK, PLAN_TOOL_FREE, PLAN_TOOL_THINK, PLAN_TOOL_COUNT };
enum { PLAN_EFFECT_ASK, PLAN_EFFECT_LOAD, PLAN_EFFECT_NOTE, PLAN_EFFECT_COMPLETE };
enum { PLAN_FUNC_ADD, PLAN_FUNC_GROW, PLAN_FUNC_FREE, PLAN_FUNC_THINK, PLAN_FUNC_UNDO, PLAN_FUNC_MAIN };
enum { PLAN_IN_SAGA = 1, PLAN_TWICE = 2, PLAN_CATCHES = 4, PLAN_ASKS_AFTER = 8 };

static inline void plan_tool(Asm *m, const char *name, uint16_t agent, uint16_t func)
{
    uint16_t tool = IMAGE_ADD(m->image, tool);
    ImageField *params = ARENA_ARRAY(m->image->arena, ImageField, 1);
    params[0] = (ImageField){ .name = STR("n"), .type = INT };
    m->image->tools[tool] = (ImageTool){ .name = str_of(name), .agent = agent, .func = func, .flags = func == NO_INDEX ? TOOL_REMOTE : 0, .compensated_by = NO_INDEX, .key_param = NO_INDEX,
                                         .params = params, .param_count = 1, .result = INT };
    if (func == NO_INDEX) return;
    m->image->funcs[func].owner = tool;
    m->image->funcs[func].agent = agent;
}

static inline uint16_t plan_add_func(Asm *m, const char *name)
{
    uint16_t f = asm_func(m, name, FUNC_TOOL, INT, 1, (uint16_t[]){ INT });
    uint16_t i = asm_reg(m, INT);
    EMIT32(m, LOADI, i, 0);
    uint32_t none = EMIT(m, JLEI_INT, 0, 0, 0);
    uint32_t head = asm_pc(m);
    EMIT(m, FORLOOP, i, 0, (uint16_t)(head - asm_pc(m) - 1));
    asm_here(m, none);
    EMIT(m, ADDI_INT, i, 0, 1);
    EMIT(m, RETURN, i, 0, 0);
    return f;
}

static inline uint16_t plan_grow_func(Asm *m, uint16_t kilobyte)
{
    uint16_t f = asm_func(m, "near.grow", FUNC_TOOL, INT, 1, (uint16_t[]){ INT });
    uint16_t i = asm_reg(m, INT), s = asm_reg(m, TEXT), k = asm_reg(m, TEXT);
    EMIT32(m, LOADI, i, 0);
    EMIT(m, LOADREF, s, kilobyte, 0);
    EMIT(m, LOADREF, k, kilobyte, 0);
    uint32_t head = asm_pc(m);
    EMIT(m, CONCAT, s, s, k);
    EMIT(m, FORLOOP, i, 0, (uint16_t)(head - asm_pc(m) - 1));
    EMIT(m, BUILTIN, i, BUILTIN_STR_LENGTH, s);
    EMIT(m, RETURN, i, 0, 0);
    return f;
}

static inline uint16_t plan_think_func(Asm *m, uint16_t text)
{
    uint16_t f = asm_func(m, "near.think", FUNC_TOOL, INT, 1, (uint16_t[]){ INT });
    uint16_t i = asm_reg(m, INT), s = asm_reg(m, TEXT);
    EMIT32(m, LOADI, i, 0);
    EMIT(m, LOADREF, s, text, 0);
    uint32_t head = asm_pc(m);
    EMIT(m, EFFECT, s, PLAN_EFFECT_COMPLETE, s);
    EMIT(m, FORLOOP, i, 0, (uint16_t)(head - asm_pc(m) - 1));
    EMIT(m, RETURN, i, 0, 0);
    return f;
}

/* out := what the plan that is loaded here gives. Registers from `first` are the arguments of PLAN_LOAD. */
static inline void plan_run(Asm *m, uint16_t first, uint16_t number, uint16_t out)
{
    EMIT(m, EFFECT, number, PLAN_EFFECT_LOAD, first);
    EMIT(m, CALL_PLAN, out, number, 0);
}

/* main: () -> json runs a plan; with flags inside of a saga of its own that undoes with ask(900), a second time, catching (gives the code of the error as a text),
   asking 77 behind it. */
static inline Image *plan_base(int flags)
{
    Asm *m = asm_new();
    uint16_t near = IMAGE_ADD(m->image, agent), far = IMAGE_ADD(m->image, agent);
    m->image->agents[near] = (ImageAgent){ .name = STR("near"), .title = STR("Near") };
    m->image->agents[far] = (ImageAgent){ .name = STR("far"), .title = STR("Far"), .location = AGENT_HTTP, .location_text = STR("http://localhost") };
    static char kilobyte[1024];
    memset(kilobyte, 'x', sizeof kilobyte - 1);
    uint16_t ints = asm_type(m, KIND_LIST, INT), text = asm_text(m, TEXT, kilobyte), undone = asm_text(m, TEXT, "outer");
    plan_tool(m, "add", near, plan_add_func(m, "near.add"));
    plan_tool(m, "grow", near, plan_grow_func(m, text));
    plan_tool(m, "ask", far, NO_INDEX);
    plan_tool(m, "free", near, plan_add_func(m, "near.free"));
    plan_tool(m, "think", near, plan_think_func(m, undone));
    m->image->tools[PLAN_TOOL_ADD].cost_tokens = 100;
    m->image->tools[PLAN_TOOL_ADD].cost_micro_usd = 10000;
    asm_effect(m, EFFECT_REMOTE_CALL, "far.ask", PLAN_TOOL_ASK, INT, 1, (uint16_t[]){ INT });
    asm_effect(m, EFFECT_PLAN_LOAD, "load", NO_INDEX, INT, 5, (uint16_t[]){ JSON, TYPE_INDEX_LIST_STRING, ints, BOOL, BOOL });
    asm_effect(m, EFFECT_NOTE_TEXT, "note", NO_INDEX, VOID, 1, (uint16_t[]){ TEXT });
    asm_effect(m, EFFECT_LLM_COMPLETE, "complete", NO_INDEX, TEXT, 1, (uint16_t[]){ TEXT });
    asm_func(m, "undo", FUNC_COMPENSATION, VOID, 1, (uint16_t[]){ INT });
    uint16_t a = asm_reg(m, INT), s = asm_reg(m, TEXT), ok = asm_reg(m, BOOL);
    EMIT(m, EFFECT, a, PLAN_EFFECT_ASK, 0);
    EMIT(m, LOADREF, s, undone, 0);
    EMIT32(m, LOADI, ok, 1);
    EMIT(m, COMP_REPORT, s, ok, 0);
    EMIT(m, RETURN_VOID, 0, 0, 0);
    asm_func(m, "main", FUNC_FN, JSON, 0, NULL);
    uint16_t first = asm_reg(m, JSON);
    uint16_t names = asm_reg(m, TYPE_INDEX_LIST_STRING), limits = asm_reg(m, ints);
    asm_reg(m, BOOL), asm_reg(m, BOOL);
    uint16_t number = asm_reg(m, INT), out = asm_reg(m, JSON), n = asm_reg(m, INT), e = asm_reg(m, ERR), e2 = asm_reg(m, ERR), code = asm_reg(m, TEXT), more = asm_reg(m, BOOL);
    EMIT(m, NEW_LIST, names, 0, 0);
    EMIT(m, NEW_LIST, limits, 0, 0);
    uint32_t from = asm_pc(m), saga = from + 3;
    if (flags & PLAN_IN_SAGA) {
        EMIT(m, SAGA_ENTER, 0, 0, 0);
        EMIT32(m, LOADI, n, 900);
        EMIT(m, COMP_PUSH, 0, PLAN_FUNC_UNDO, n);
    }
    plan_run(m, first, number, out);
    if (flags & PLAN_TWICE) plan_run(m, first, number, out);
    EMIT32(m, LOADI, n, 77);
    if (flags & PLAN_ASKS_AFTER) EMIT(m, EFFECT, n, PLAN_EFFECT_ASK, n);
    if (flags & PLAN_IN_SAGA) saga_end(m, saga, more, e);
    uint32_t to = asm_pc(m);
    EMIT(m, RETURN, out, 0, 0);
    if (flags & PLAN_CATCHES) {
        asm_try(m, TRY_CATCH, from, to, asm_pc(m), e2);
        EMIT(m, GET_FIELD, code, e2, ERROR_FIELD_CODE);
        EMIT(m, BUILTIN, out, BUILTIN_JSON_OF, code);
        EMIT(m, RETURN, out, 0, 0);
    }
    return asm_done(m);
}

static const ImagePlan plan_bound = { .fuel = 100000, .memory_bytes = 1 << 20, .calls = 20, .calls_per_tool = 10, .wall_us = 60000000, .tokens = 10000, .micro_usd = 1000000 };

static inline Asm *plan_asm_open(Image *base)
{
    Asm *m = mem_alloc(sizeof *m);
    m->image = image_extend(base);
    return m;
}

/* The function of the plan, with its row. */
static inline void plan_func(Asm *m)
{
    uint16_t f = asm_func(m, "plan", FUNC_PLAN, JSON, 0, NULL), row = IMAGE_ADD(m->image, plan);
    m->image->plans[row] = plan_bound;
    m->image->plans[row].func = f;
}

static inline ImagePlan *plan_row(Asm *m) { return &m->image->plans[m->image->plan_count - 1]; }

static inline Asm *plan_asm(Image *base)
{
    Asm *m = plan_asm_open(base);
    plan_func(m);
    return m;
}

/* r := tool(n), metered. */
static inline void plan_call(Asm *m, int tool, uint16_t r, uint16_t n)
{
    EMIT(m, METER, 0, tool, 0);
    if (tool == PLAN_TOOL_ASK) EMIT(m, EFFECT, r, PLAN_EFFECT_ASK, n);
    else EMIT(m, CALL, r, m->image->tools[tool].func, n);
}

static inline void plan_returns(Asm *m, uint16_t r)
{
    uint16_t out = asm_reg(m, JSON);
    EMIT(m, BUILTIN, out, BUILTIN_JSON_OF, r);
    EMIT(m, RETURN, out, 0, 0);
}

static inline Image *plan_done(Asm *m)
{
    Error error = { 0 };
    Buf bytes = { 0 };
    Image *image = NULL;
    image_encode_extension(m->image, &bytes);
    if (image_decode_extension(m->image->base, buf_str(&bytes), &image, &error)) {
        Buf text = { 0 };
        image_disasm(m->image, &text);
        fprintf(stderr, "%s\n%.*s\n", error.text, (int)text.len, text.ptr);
        abort();
    }
    buf_free(&bytes);
    image_free(m->image);
    free(m);
    return image;
}

/* ---- plans ---- */

/* add(n), and again with what it gives, `count` times; gives the last. */
static inline Image *plan_of_calls(Image *base, int tool, int count, int n, const ImagePlan *bound)
{
    Asm *m = plan_asm(base);
    if (bound) {
        uint16_t func = plan_row(m)->func;
        *plan_row(m) = *bound;
        plan_row(m)->func = func;
    }
    uint16_t r = asm_reg(m, INT);
    EMIT32(m, LOADI, r, n);
    for (int k = 0; k < count; k++) plan_call(m, tool, r, r);
    plan_returns(m, r);
    return plan_done(m);
}

/* A saga of `steps` steps ask(k), each undone by ask(k + 100), then `last` (a tool) with n. */
static inline Image *plan_of_saga(Image *base, int steps, int last, int n, const ImagePlan *bound)
{
    Asm *m = plan_asm_open(base);
    uint16_t name = asm_text(m, TEXT, "undo");
    uint16_t comp = asm_func(m, "plan.undo", FUNC_COMPENSATION, VOID, 1, (uint16_t[]){ INT });
    uint16_t a = asm_reg(m, INT), s = asm_reg(m, TEXT), ok = asm_reg(m, BOOL), e = asm_reg(m, ERR);
    EMIT(m, LOADREF, s, name, 0);
    EMIT(m, ADDI_INT, a, 0, 100);
    uint32_t from = asm_pc(m);
    plan_call(m, PLAN_TOOL_ASK, a, a);
    uint32_t to = EMIT32(m, LOADI, ok, 1);
    EMIT(m, COMP_REPORT, s, ok, 0);
    EMIT(m, RETURN_VOID, 0, 0, 0);
    asm_try(m, TRY_CATCH, from, to, asm_pc(m), e);
    EMIT32(m, LOADI, ok, 0);
    EMIT(m, COMP_REPORT, s, ok, 0);
    EMIT(m, RETURN_VOID, 0, 0, 0);
    plan_func(m);
    if (bound) {
        uint16_t func = plan_row(m)->func;
        *plan_row(m) = *bound;
        plan_row(m)->func = func;
    }
    uint16_t x = asm_reg(m, INT), more = asm_reg(m, BOOL);
    e = asm_reg(m, ERR);
    EMIT(m, SAGA_ENTER, 0, 0, 0);
    from = asm_pc(m);
    for (int k = 1; k <= steps; k++) {
        EMIT32(m, LOADI, x, k);
        plan_call(m, PLAN_TOOL_ASK, x, x);
        EMIT32(m, LOADI, x, k);
        EMIT(m, COMP_PUSH, 0, comp, x);
    }
    EMIT32(m, LOADI, x, n);
    plan_call(m, last, x, x);
    saga_end(m, from, more, e);
    plan_returns(m, x);
    return plan_done(m);
}

/* parallel { ask 1; … ask count }: their sum. */
static inline Image *plan_of_branches(Image *base, int count)
{
    Asm *m = plan_asm_open(base);
    uint16_t branch = asm_func(m, "plan.branch", FUNC_BRANCH, INT, 1, (uint16_t[]){ INT });
    asm_now(m)->flags = FUNC_FLAG_CRITICAL;
    uint16_t r = asm_reg(m, INT);
    plan_call(m, PLAN_TOOL_ASK, r, 0);
    EMIT(m, RETURN, r, 0, 0);
    plan_func(m);
    uint16_t g = asm_reg(m, GROUP), n = asm_reg(m, INT), sum = asm_reg(m, INT);
    EMIT32(m, LOADI, n, 0);
    EMIT(m, GROUP_NEW, g, 0, n);
    for (int k = 1; k <= count; k++) {
        EMIT32(m, LOADI, n, k);
        EMIT(m, SPAWN, g, branch, n);
    }
    EMIT(m, JOIN, g, 0, 0);
    EMIT32(m, LOADI, sum, 0);
    for (int k = 0; k < count; k++) {
        EMIT(m, FIBER_RESULT, n, g, k);
        EMIT(m, ADD_INT, sum, sum, n);
    }
    EMIT(m, GROUP_FREE, g, 0, 0);
    plan_returns(m, sum);
    return plan_done(m);
}

/* Calls tool(n) until it gives no error, for ever. */
static inline Image *plan_of_retries(Image *base, int tool, const ImagePlan *bound)
{
    Asm *m = plan_asm(base);
    if (bound) {
        uint16_t func = plan_row(m)->func;
        *plan_row(m) = *bound;
        plan_row(m)->func = func;
    }
    uint16_t r = asm_reg(m, INT), e = asm_reg(m, ERR), out = asm_reg(m, JSON);
    uint32_t head = EMIT32(m, LOADI, r, 1);
    plan_call(m, tool, r, r);
    uint32_t to = EMIT(m, BUILTIN, out, BUILTIN_JSON_OF, r);
    EMIT(m, RETURN, out, 0, 0);
    asm_try(m, TRY_CATCH, head, to, asm_pc(m), e);
    EMIT32(m, LOOP, 0, head);
    return plan_done(m);
}

/* ---- driving ---- */

typedef struct FindRequest { EffectKind kind; uint64_t id; } FindRequest;
static inline bool find_request(const VmRequest *r, void *arg)
{
    FindRequest *find = arg;
    if (r->effect->kind != find->kind) return true;
    find->id = r->id;
    return false;
}

/* The oldest request of that kind that waits; 0 none. What is new is fetched first. */
static inline uint64_t waiting_for(VmRun *run, EffectKind kind)
{
    VmRequest r;
    FindRequest find = { .kind = kind };
    while (vm_next_request(run, &r)) continue;
    vm_pending_each(run, find_request, &find);
    return find.id;
}

/* Runs to the PLAN_LOAD, extends, and runs on. `plan` stays the caller's. */
static inline VmStatus plan_start(VmRun *run, Image *plan)
{
    VmStatus status = run_all(run);
    assert_int_equal(status, VM_BLOCKED);
    uint64_t id = waiting_for(run, EFFECT_PLAN_LOAD);
    assert_true(id > 0);
    assert_true(vm_extend(run, plan));
    assert_true(vm_resume(run, id, (Value){ .i = plan->plans[plan->plan_count - 1].func }));
    return run_all(run);
}
#endif
