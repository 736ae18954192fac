/* plan.c - plans: the image of a run grows while it runs, a function of it is called by its number, and a meter says when it had enough.
 *
 * The meter is open from CALL_PLAN until the frame of the plan's function is left, however it is left. While it is open each fiber that starts to run is
 * looked at: what the plan's own fiber and the fibers below it use up is the plan's (also in the bodies of tools), what others use is not. The slice of
 * fuel and the limit of the heap are set for whoever runs (meter_turn), so the loop of exec.c counts nothing twice.
 *
 * An overrun ends the plan: it is an error that no `catch` of the plan or of its tools takes, so what was done is undone (sagas, `finally`, and whatever
 * compensations catch), and the caller gets it. For that a fifth of the fuel and an eighth of the memory are kept back, and calls that undo are counted apart.
 * What goes on overrunning is not even undone: all handlers are passed over until the plan's frame is gone.
 */
#include "interpreter/vm/vm_internal.h"
#include <stdlib.h>

enum { METER_OVERRUNS_MAX = 1000, METER_UNDO_TRIES = 16 /* calls that undo, for each that did */ };

/* ---- the image grows ---- */

uint32_t vm_extensions(const VmRun *run)
{
    return image_depth(run->image) - image_depth(run->root);
}

bool vm_extend(VmRun *run, Image *extension)
{
    if (extension->base != run->image || vm_extensions(run) >= VM_PLANS_MAX) return false;
    vm_prepare(extension);
    Image *before = run->image;                          /* lives on below the extension, and with it what frames point to */
    run->image = image_retain(extension);
    run->live = extension->live;
    image_free(before);
    return true;
}

/* ---- whose is what ---- */

static const ImagePlan *meter_plan(const VmRun *run) { return &run->image->plans[run->meter.plan]; }

bool meter_open(const VmRun *run) { return run->meter.plan != NO_INDEX; }

bool meter_holds(const VmRun *run, const Fiber *fiber)
{
    if (!meter_open(run)) return false;
    for (; fiber->id != run->meter.fiber; fiber = fiber->group->owner) {
        if (!fiber->group) return false;
        if (fiber->group->owner->id == run->meter.fiber && fiber->group->frame < run->meter.frame) return false;      /* started before the plan was */
    }
    return true;
}

bool meter_ends(const VmRun *run, const Fiber *fiber, const Frame *frame)
{
    if (!run->meter.ending || !meter_holds(run, fiber)) return false;
    return fiber->id != run->meter.fiber || frame_index(fiber, frame) >= run->meter.frame;
}

bool meter_hides_saga(const VmRun *run, const Fiber *fiber)
{
    return meter_open(run) && fiber->id == run->meter.fiber && fiber->saga_count && fiber->sagas[fiber->saga_count - 1].frame < run->meter.frame;
}

/* ---- turns ---- */

uint64_t meter_fuel_left(const VmRun *run)
{
    const ImagePlan *plan = meter_plan(run);
    uint64_t limit = plan->fuel - (run->meter.fuel_reserve ? 0 : plan->fuel / PLAN_FUEL_RESERVE);
    return limit > run->meter.fuel_used ? limit - run->meter.fuel_used : 0;
}

size_t run_memory_limit(const VmRun *run) { return run->limits.memory_bytes + (run->memory_reserve ? run->limits.memory_bytes / 8 : 0); }

/* What the heap holds may have grown while nobody of the plan ran: a result that was delivered. */
void heap_limit_set(VmRun *run)
{
    size_t limit = run_memory_limit(run);
    bool plan = run->metered && run->meter.memory_end < limit;
    run->heap.limit_bytes = plan ? run->meter.memory_end : limit;
    run->heap.over = (plan || run->heap.over) && run->heap.live_bytes > run->heap.limit_bytes;
}

static void metered_set(VmRun *run, bool metered)
{
    if (metered == run->metered) return;
    slice_end(run);
    run->metered = metered;
    heap_limit_set(run);
    slice_begin(run);
}

void meter_turn(VmRun *run, const Fiber *fiber) { metered_set(run, meter_holds(run, fiber)); }

void meter_rest(VmRun *run)
{
    run->metered = false;
    heap_limit_set(run);
}

/* ---- opening and closing ---- */

static int plan_find(const Image *image, int64_t func)
{
    for (int k = image->plan_count; k-- > 0;)
        if (image->plans[k].func == func) return k;
    return -1;
}

void meter_begin(VmRun *run, Fiber *fiber)
{
    int plan = plan_find(run->image, fiber->frame->func->index);
    if (plan < 0 || meter_open(run)) return;
    uint64_t memory = run->image->plans[plan].memory_bytes;
    run->meter = (Meter){ .plan = (uint16_t)plan, .fiber = fiber->id, .frame = frame_index(fiber, fiber->frame) };
    run->meter.memory_end = run->heap.live_bytes + (size_t)(memory - memory / PLAN_MEMORY_RESERVE);
    run->meter.tool_calls = mem_alloc((run->image->tool_count + 1u) * sizeof *run->meter.tool_calls);
    fiber->frame->flags |= FRAME_PLAN;
}

void meter_drop(VmRun *run)
{
    free(run->meter.tool_calls);
    run->meter = (Meter){ .plan = NO_INDEX };
}

void meter_end(VmRun *run)
{
    metered_set(run, false);
    meter_drop(run);
}

/* ---- overruns ---- */

static uint64_t meter_bound(const VmRun *run, MeterLimit limit)
{
    const ImagePlan *plan = meter_plan(run);
    switch (limit) {
    case METER_FUEL: return plan->fuel;
    case METER_MEMORY: return plan->memory_bytes;
    case METER_CALLS: return plan->calls;
    case METER_TOOL_CALLS: return plan->calls_per_tool;
    case METER_TOKENS: return plan->tokens;
    default: return (uint64_t)plan->micro_usd;
    }
}

static const char *const limit_names[METER_LIMIT_COUNT] = {
    [METER_FUEL] = "PLAN_FUEL_MAX", [METER_MEMORY] = "PLAN_MEMORY_MAX", [METER_CALLS] = "PLAN_CALLS_MAX", [METER_TOOL_CALLS] = "PLAN_TOOL_CALLS_MAX",
    [METER_TOKENS] = "PLAN_TOKENS_MAX", [METER_MONEY] = "PLAN_MONEY_MAX"
};

bool meter_ended(VmRun *run)
{
    MeterLimit over = (MeterLimit)run->meter.over;
    vm_fail(run, ERROR_KIND_rejected, "the limit %s of the plan (%llu) is reached", limit_names[over], (unsigned long long)meter_bound(run, over));
    run->raised = error_with(run->raised, 0, str_of(limit_names[over]), -1);
    return false;
}

/* Only below a function that undoes something. */
static bool undoes(const VmRun *run, const Fiber *fiber, const Frame *top)
{
    uint32_t first = fiber->id == run->meter.fiber ? run->meter.frame : 0;
    for (const Frame *frame = fiber->frames + first; frame <= top; frame++)
        if (frame->func->func->kind == FUNC_COMPENSATION) return true;
    return false;
}

static bool is_overrun(Str code)
{
    for (int k = 0; k < METER_LIMIT_COUNT; k++)
        if (str_is(code, limit_names[k])) return true;
    return false;
}

bool meter_uncaught(const VmRun *run, const Fiber *fiber, const Frame *frame, Value error)
{
    if (!run->meter.overruns || !is_overrun(value_str(record_field(error, ERROR_FIELD_CODE))) || !meter_holds(run, fiber)) return false;
    if (fiber->id == run->meter.fiber && frame_index(fiber, frame) < run->meter.frame) return false;
    return !undoes(run, fiber, frame);
}

static bool meter_fail(VmRun *run, MeterLimit limit)
{
    run->meter.over = (uint8_t)limit;
    if (++run->meter.overruns > METER_OVERRUNS_MAX) run->meter.ending = true;
    return meter_ended(run);
}

bool meter_fuel_over(VmRun *run)
{
    if (run->meter.fuel_reserve) run->meter.ending = true;
    run->meter.fuel_reserve = true;
    return meter_fail(run, METER_FUEL);
}

/* The reserve lies above what is there now: a large result is not gone before its frame is. */
bool meter_memory_over(VmRun *run)
{
    Meter *meter = &run->meter;
    if (!meter->memory_reserve) {
        if (meter->memory_end < run->heap.live_bytes) meter->memory_end = run->heap.live_bytes;
        meter->memory_end += (size_t)meter_plan(run)->memory_bytes / PLAN_MEMORY_RESERVE;
        meter->memory_reserve = true;
    }
    meter_fail(run, METER_MEMORY);
    heap_limit_set(run);
    run->heap.over = false;                              /* the error itself does not raise another */
    return false;
}

/* ---- charging ---- */

static bool charge_undo(VmRun *run)
{
    Meter *meter = &run->meter;
    if (meter->undo_calls >= (uint64_t)meter->calls * METER_UNDO_TRIES) return meter_fail(run, METER_CALLS);
    meter->undo_calls++;
    return true;
}

static bool charge_call(VmRun *run, uint16_t index)
{
    Meter *meter = &run->meter;
    const ImagePlan *plan = meter_plan(run);
    const ImageTool *tool = &run->image->tools[index];
    if (meter->overruns) return meter_ended(run);        /* a branch beside the one that overran */
    if (meter->calls >= plan->calls) return meter_fail(run, METER_CALLS);
    if (meter->tool_calls[index] >= plan->calls_per_tool) return meter_fail(run, METER_TOOL_CALLS);
    if (meter->tokens + tool->cost_tokens > plan->tokens || meter->tokens_used > plan->tokens) return meter_fail(run, METER_TOKENS);
    if (meter->micro_usd + tool->cost_micro_usd > plan->micro_usd) return meter_fail(run, METER_MONEY);
    meter->calls++;
    meter->tool_calls[index]++;
    meter->tokens += tool->cost_tokens;
    meter->micro_usd += tool->cost_micro_usd;
    return true;
}

Flow op_meter(VmRun *run, Fiber *fiber, Insn i)
{
    if (!meter_holds(run, fiber)) return FLOW_NEXT;
    return (undoes(run, fiber, fiber->frame) ? charge_undo(run) : charge_call(run, INSN_B(i))) ? FLOW_NEXT : FLOW_RAISE;
}

bool vm_meter_tokens(VmRun *run, uint64_t tokens)
{
    if (!meter_open(run)) return true;
    Meter *meter = &run->meter;
    meter->tokens_used = tokens < PLAN_AMOUNT_MAX - meter->tokens_used ? meter->tokens_used + tokens : PLAN_AMOUNT_MAX;
    return meter->tokens_used <= meter_plan(run)->tokens;
}

/* An effect costs fuel while a plan runs, so that a loop cannot ask without end. A model is not asked when its tokens are used up. */
bool meter_effect(VmRun *run, const ImageEffect *effect)
{
    enum { METER_EFFECT_FUEL = 10 };
    bool model = effect->kind >= EFFECT_LLM_CLASSIFY && effect->kind <= EFFECT_LLM_STREAM;
    if (model && run->meter.tokens_used > meter_plan(run)->tokens) return meter_fail(run, METER_TOKENS);
    return vm_charge(run, METER_EFFECT_FUEL);
}

bool plan_load_allowed(VmRun *run)
{
    if (meter_open(run)) return vm_fail_limit(run, "PLAN_NESTED");
    return vm_extensions(run) < VM_PLANS_MAX ? true : vm_fail_limit(run, "VM_PLANS_MAX");
}

/* ---- the instruction ---- */

Flow op_call_plan(VmRun *run, Fiber *fiber, Insn i, Value *regs)
{
    int64_t func = regs[INSN_B(i)].i;
    if (plan_find(run->image, func) < 0) return vm_fail(run, ERROR_KIND_invalid, "no plan has the number %lld", (long long)func), FLOW_RAISE;
    if (meter_open(run)) return vm_fail_limit(run, "PLAN_NESTED"), FLOW_RAISE;
    if (fiber->in_txn) return vm_fail(run, ERROR_KIND_invalid, "a plan cannot run in a transaction"), FLOW_RAISE;
    Flow flow = vm_call(run, fiber, &run->live->funcs[func], regs, INSN_A(i));
    if (flow != FLOW_RELOAD) return flow;
    meter_begin(run, fiber);
    meter_turn(run, fiber);
    return FLOW_RELOAD;
}
