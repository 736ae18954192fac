/* snapshot_load.c - the state of a run read back. It is input: what the verifier proved of the code is proved here of the state.
 *
 * In particular: every frame but the innermost stands behind the call of the one above it; the innermost stands behind the instruction
 * it waits at; fibers, slots and groups name each other consistently and older fibers own younger ones, so there is no cycle; values
 * have the types of their registers. A pc may be anywhere else, since every register has its type everywhere and zero is a value of all.
 * Whatever was made before a violation hangs in the run, and vm_free releases it.
 */
#include "interpreter/vm/snapshot_internal.h"
#include <stdlib.h>

enum { STACK_LOG2_MAX = 26, SLACK_BYTES = 1 << 20 };
typedef ValueReader R;

static bool get_flags(R *r, bool *flags, int count)
{
    uint8_t bits = read_u8(&r->in);
    for (int k = 0; k < count; k++) flags[k] = bits >> k & 1;
    return bits >> count == 0;
}

static uint32_t get_u32(R *r)
{
    uint64_t v = read_varint(&r->in);
    if (v > UINT32_MAX) r->in.failed = true;
    return (uint32_t)v;
}

/* A count of things of which each takes a byte at least. */
static uint32_t get_rows(R *r)
{
    uint32_t n = get_u32(r);
    if (n > reader_left(&r->in)) r->in.failed = true;
    return r->in.failed ? 0 : n;
}

static bool below(R *r, uint64_t v, uint64_t limit)
{
    if (v >= limit) r->in.failed = true;
    return !r->in.failed;
}

static const LiveFunc *get_func(R *r)
{
    uint64_t index = read_varint(&r->in);
    return below(r, index, r->image->func_count) ? &r->run->live->funcs[index] : NULL;
}

/* Each is verified against the one below it, as when it was loaded. */
static Err load_extensions(R *r)
{
    uint32_t count = get_rows(r);
    if (r->in.failed || count > VM_PLANS_MAX) return state_corrupt(r, "the number of extensions");
    for (uint32_t k = 0; k < count; k++) {
        Image *image = NULL;
        Str bytes = read_bytes(&r->in, EXTENSION_SIZE_MAX);
        if (r->in.failed) return state_corrupt(r, "it is cut off");
        Err err = image_decode_extension(r->run->image, bytes, &image, r->error);
        if (err) return err;
        bool extended = vm_extend(r->run, image);
        image_free(image);
        if (!extended) return state_corrupt(r, "an extension that cannot be");
        r->image = r->run->image;
    }
    return ERR_OK;
}

static Err load_run(R *r)
{
    VmRun *run = r->run;
    bool flags[4];
    uint64_t func = read_varint(&r->in);
    if (!get_flags(r, flags, 4) || !below(r, func, r->image->func_count)) return state_corrupt(r, "the head of the run");
    run->func = (uint16_t)func;
    run->fuel_reserve = flags[0];
    run->memory_reserve = flags[1];
    run->heap.over = flags[2];
    run->intercepts_any = flags[3];
    run->fuel_used = read_varint(&r->in);
    run->output_used = read_varint(&r->in);
    run->heap.peak_bytes = read_varint(&r->in);
    run->last_request = read_varint(&r->in);
    run->comp_seq = read_varint(&r->in);
    run->last_fiber = get_u32(r);
    run->last_group = get_u32(r);
    run->last_span = get_u32(r);
    run->last_scope = get_u32(r);
    for (uint16_t k = 0; run->intercepts_any && k < r->image->tool_count; k++) {
        run->intercepts[k] = read_u8(&r->in);
        if (run->intercepts[k] > 1) r->in.failed = true;
    }
    run->heap.limit_bytes = run_memory_limit(run);
    if (run->fuel_used > INT64_MAX / 2 || run->output_used > INT64_MAX / 2) r->in.failed = true;
    return r->in.failed ? state_corrupt(r, "the head of the run") : ERR_OK;
}

/* Where it is open is looked at when the fibers are there. */
static Err load_meter(R *r)
{
    VmRun *run = r->run;
    uint64_t plan = read_varint(&r->in);
    if (r->in.failed || plan > r->image->plan_count) return state_corrupt(r, "a plan that cannot be");
    if (!plan) return ERR_OK;
    bool flags[3];
    bool fits = get_flags(r, flags, 3);
    Meter meter = { .plan = (uint16_t)(plan - 1), .fuel_reserve = flags[0], .memory_reserve = flags[1], .ending = flags[2] };
    meter.over = read_u8(&r->in);
    meter.fiber = get_u32(r);
    meter.frame = get_u32(r);
    meter.fuel_used = read_varint(&r->in);
    meter.memory_end = read_varint(&r->in);
    meter.calls = get_u32(r);
    meter.undo_calls = get_u32(r);
    meter.overruns = get_u32(r);
    meter.tool_calls = mem_alloc((r->image->tool_count + 1u) * sizeof *meter.tool_calls);
    uint64_t sum = 0;
    for (uint16_t k = 0; k < r->image->tool_count; k++) sum += meter.tool_calls[k] = get_u32(r);
    meter.tokens = read_varint(&r->in);
    meter.tokens_used = read_varint(&r->in);
    meter.micro_usd = read_zigzag(&r->in);
    run->meter = meter;
    const ImagePlan *bound = &r->image->plans[meter.plan];
    fits = fits && !r->in.failed && meter.over < METER_LIMIT_COUNT && sum == meter.calls && meter.calls <= bound->calls && meter.fuel_used <= run->fuel_used && meter.tokens <= bound->tokens && meter.tokens_used <= PLAN_AMOUNT_MAX
        && meter.micro_usd >= 0 && meter.micro_usd <= bound->micro_usd && meter.overruns < UINT32_MAX && meter.memory_end <= 4 * PLAN_AMOUNT_MAX;
    return fits ? ERR_OK : state_corrupt(r, "a meter that cannot be");
}

/* The one frame of a plan's function, if any, is where the meter is open; the frame it stands on called it, or it is the run's first. */
static Err tie_meter(R *r)
{
    VmRun *run = r->run;
    const Fiber *fiber = meter_open(run) ? fiber_find(run, run->meter.fiber) : NULL;
    uint32_t plans = 0;
    for (uint32_t k = 0; k < run->fiber_count; k++)
        for (const Frame *frame = run->fibers[k]->frames; frame <= run->fibers[k]->frame; frame++) plans += frame->func->func->kind == FUNC_PLAN;
    if (!meter_open(run)) return plans ? state_corrupt(r, "a plan without a meter") : ERR_OK;
    bool fits = plans == 1 && fiber && run->meter.frame <= frame_index(fiber, fiber->frame);
    fits = fits && fiber->frames[run->meter.frame].func->index == r->image->plans[run->meter.plan].func;
    if (!fits) return state_corrupt(r, "a meter without its plan");
    fiber->frames[run->meter.frame].flags |= FRAME_PLAN;
    return ERR_OK;
}

static Err load_end(R *r)
{
    uint8_t end = read_u8(&r->in);
    if (r->in.failed || end > 2) return state_corrupt(r, "how the run ended");
    Value v = { 0 };
    Err err = end ? state_get_value(r, end == 1 ? r->image->funcs[r->run->func].result : TYPE_INDEX_ERROR, &v) : ERR_OK;
    if (!err && end == 2 && !v.o) err = state_corrupt(r, "a failure without an error");
    if (!err && end) run_end(r->run, end == 1 ? VM_DONE : VM_FAILED, v);
    return err;
}

/* ---- fibers ---- */

static bool called_by(const Frame *frame, const Frame *above)
{
    uint32_t pc = frame_pc(frame);
    Insn i = pc ? frame->func->func->code[pc - 1] : 0;
    if (INSN_OP(i) == OP_CALL) return INSN_B(i) == above->func->index && INSN_A(i) == above->result;
    if (INSN_OP(i) == OP_CALL_PLAN) return above->func->func->kind == FUNC_PLAN && INSN_A(i) == above->result;
    return INSN_OP(i) == OP_COMP_NEXT && above->func->func->kind == FUNC_COMPENSATION && above->func->func->result == TYPE_INDEX_VOID;
}

static Err load_frame(R *r, Fiber *fiber)
{
    const LiveFunc *func = get_func(r);
    uint32_t pc = get_u32(r);
    uint64_t result = read_varint(&r->in);
    uint8_t flags = read_u8(&r->in);
    uint32_t span = get_u32(r), outside = get_u32(r);
    if (!func || r->in.failed || pc >= func->func->code_count || result >= FUNC_REGS_MAX || flags > (FRAME_SPAN | FRAME_OWNS | FRAME_INTERCEPTED))
        return state_corrupt(r, "a frame that cannot be");
    if (flags & FRAME_SPAN && !func->spans) return state_corrupt(r, "a span of a function that has none");
    const Frame *below_it = fiber->frame;
    uint32_t count = below_it ? frame_index(fiber, below_it) + 1 : 0;
    fiber_stack_set(r->run, fiber, (size_t)(stack_top(fiber) - fiber->stack) + func->reg_count, (size_t)count + 1);
    Value *regs = stack_top(fiber);
    fiber->frame = fiber->frames + count;
    *fiber->frame = (Frame){ .func = func, .pc = func->code + pc, .regs = regs, .result = (uint16_t)result, .flags = (uint16_t)(flags | (count ? 0 : FRAME_FIRST)), .span = span, .span_outside = outside };
    memset(regs, 0, func->reg_count * sizeof(Value));
    Err err = ERR_OK;
    for (uint16_t k = 0; k < func->reg_count && !err; k++) err = state_get_value(r, func->func->reg_types[k], &regs[k]);
    if (!err && count && !called_by(fiber->frame - 1, fiber->frame)) err = state_corrupt(r, "a frame that was not called by the one below");
    return err;
}

static Err load_stack(R *r, Fiber *fiber)
{
    uint8_t values_log2 = read_u8(&r->in), frames_log2 = read_u8(&r->in);
    uint32_t count = get_rows(r);
    if (r->in.failed || !count || values_log2 > STACK_LOG2_MAX || frames_log2 > STACK_LOG2_MAX) return state_corrupt(r, "a stack that cannot be");
    size_t values = (size_t)1 << values_log2, frames = (size_t)1 << frames_log2;
    if (values * sizeof(Value) + frames * sizeof(Frame) > r->bytes_max - r->run->heap.live_bytes) return err_set(r->error, ERR_LIMIT, "cannot read the snapshot: a stack larger than the run's memory");
    fiber_stack_set(r->run, fiber, values, frames);
    Err err = ERR_OK;
    for (uint32_t k = 0; k < count && !err; k++) err = load_frame(r, fiber);
    if (!err && ((size_t)(fiber->stack_end - fiber->stack) != values || fiber->frame_cap != frames)) err = state_corrupt(r, "a stack smaller than what is on it");
    if (!err && count > r->run->limits.depth) err = err_set(r->error, ERR_LIMIT, "cannot read the snapshot: deeper than VM_DEPTH_LIMIT");
    return err;
}

/* What belongs to a frame is written in the order of frames. */
static bool frame_holds(const Fiber *fiber, uint32_t frame, uint32_t *last)
{
    if (frame < *last || frame > frame_index(fiber, fiber->frame) || !(fiber->frames[frame].flags & FRAME_OWNS)) return false;
    *last = frame;
    return true;
}

static Err load_marks(R *r, Fiber *fiber)
{
    uint32_t count = get_rows(r), last = 0;
    for (uint32_t k = 0; k < count; k++) {
        bool flags[3];
        if (!get_flags(r, flags, 3)) return state_corrupt(r, "a scope that cannot be");
        Mark mark = { .shield = flags[0], .expired = flags[1], .spent = flags[2] };
        mark.frame = get_u32(r);
        mark.pc = get_u32(r);
        mark.id = get_u32(r);
        mark.deadline_us = read_zigzag(&r->in);
        if (r->in.failed || !frame_holds(fiber, mark.frame, &last) || mark.pc >= fiber->frames[mark.frame].func->func->code_count
            || INSN_OP(fiber->frames[mark.frame].func->func->code[mark.pc]) != (mark.shield ? OP_SHIELD_ENTER : OP_SCOPE_ENTER)
            || (mark.shield ? mark.id != 0 : mark.id == 0 || mark.id > r->run->last_scope))
            return state_corrupt(r, "a scope that cannot be");
        mark_push(fiber, mark);
    }
    return r->in.failed ? state_corrupt(r, "it is cut off") : ERR_OK;
}

static Err load_comp(R *r, Comps *comps)
{
    uint64_t seq = read_varint(&r->in);
    const LiveFunc *func = get_func(r);
    if (!func || func->func->kind != FUNC_COMPENSATION || func->func->result != TYPE_INDEX_VOID || seq == 0 || seq > r->run->comp_seq)
        return state_corrupt(r, "a compensation that cannot be");
    Value args[FUNC_PARAMS_MAX] = { 0 };
    Err err = ERR_OK;
    for (uint16_t k = 0; k < func->param_count && !err; k++) err = state_get_value(r, func->func->reg_types[k], &args[k]);
    if (!err) comp_add(comps, comp_make(func, seq, args));
    for (uint16_t k = 0; k < func->counted_params; k++) value_release(args[func->counted[k]]);
    return err;
}

static Err load_comps(R *r, Comps *comps)
{
    uint32_t count = get_rows(r);
    Err err = r->in.failed ? state_corrupt(r, "it is cut off") : ERR_OK;
    for (uint32_t k = 0; k < count && !err; k++) err = load_comp(r, comps);
    return err;
}

static Err load_sagas(R *r, Fiber *fiber)
{
    uint32_t count = get_rows(r), last = 0, mark = 0;
    Err err = r->in.failed ? state_corrupt(r, "it is cut off") : ERR_OK;
    for (uint32_t k = 0; k < count && !err; k++) {
        Saga saga = { .mark = get_u32(r), .frame = get_u32(r) };
        if (r->in.failed || saga.mark < mark || saga.mark > fiber->comps.count || !frame_holds(fiber, saga.frame, &last)) return state_corrupt(r, "a saga that cannot be");
        mark = saga.mark;
        saga_push(fiber, saga);
        Saga *top = &fiber->sagas[fiber->saga_count - 1];
        err = state_get_value(r, TYPE_INDEX_LIST_STRING, &top->undone);
        if (!err) err = state_get_value(r, TYPE_INDEX_LIST_STRING, &top->not_undone);
    }
    return err;
}

static Err load_interrupts(R *r, Fiber *fiber)
{
    Err err = fiber->raising_set ? state_get_value(r, TYPE_INDEX_ERROR, &fiber->raising) : ERR_OK;
    if (!err && fiber->raising_set && !fiber->raising.o) err = state_corrupt(r, "an error without content is raised");
    if (!err && fiber->cancel_pending) err = state_get_value(r, TYPE_INDEX_STRING, &fiber->cancel_reason);
    fiber_interrupt_update(fiber);
    return err;
}

/* The innermost frame stands behind what the fiber waits at. */
static bool wait_fits(const VmRun *run, const Fiber *fiber)
{
    const Frame *top = fiber->frame;
    uint32_t pc = frame_pc(top);
    Insn i = pc ? top->func->func->code[pc - 1] : 0;
    bool intercepted = top->flags & FRAME_INTERCEPTED;
    const ImageFunc *func = top->func->func;
    for (const Frame *f = fiber->frames; f < top; f++)
        if (f->flags & FRAME_INTERCEPTED) return false;
    if (intercepted && (pc != 0 || func->kind != FUNC_TOOL || func->owner >= run->image->tool_count || !run->intercepts[func->owner])) return false;
    if ((fiber->request != 0) != (fiber->wait == WAIT_EFFECT || fiber->wait == WAIT_INTERCEPT)) return false;
    switch (fiber->wait) {
    case WAIT_EFFECT: return !intercepted && !fiber->raising_set && INSN_OP(i) == OP_EFFECT && effect_class((EffectKind)run->image->effects[INSN_B(i)].kind) != EFFECT_CLASS_NOTE;
    case WAIT_INTERCEPT: return intercepted && !fiber->raising_set;
    case WAIT_AGAIN:
        return !intercepted && !fiber->raising_set && (INSN_OP(i) == OP_JOIN || INSN_OP(i) == OP_SPAWN || INSN_OP(i) == OP_RETURN || INSN_OP(i) == OP_RETURN_VOID);
    case WAIT_UNWIND: return fiber->raising_set;
    default: return !intercepted || fiber->raising_set;
    }
}

static Err load_fiber(R *r, uint32_t *group_id)
{
    bool flags[5];
    uint32_t id = get_u32(r), last = r->run->fiber_count ? r->run->fibers[r->run->fiber_count - 1]->id : 0;
    uint8_t wait = read_u8(&r->in);
    if (!get_flags(r, flags, 5) || r->in.failed || id <= last || id > r->run->last_fiber || wait > WAIT_UNWIND) return state_corrupt(r, "a fiber that cannot be");
    uint32_t newest = r->run->last_fiber;
    Fiber *fiber = fiber_new(r->run);
    r->run->last_fiber = newest;
    fiber->id = id;
    fiber->wait = wait;
    fiber->raising_set = flags[1];
    fiber->cancel_pending = flags[2];
    fiber->cancel_raised = flags[3];
    fiber->in_txn = flags[4];
    *group_id = get_u32(r);
    fiber->slot = get_u32(r);
    fiber->span = get_u32(r);
    fiber->request = read_varint(&r->in);
    if (r->in.failed || fiber->request > r->run->last_request || (fiber->cancel_raised && !fiber->cancel_pending)) return state_corrupt(r, "a fiber that cannot be");
    Err err = load_stack(r, fiber);
    if (!err) err = load_marks(r, fiber);
    if (!err) err = load_comps(r, &fiber->comps);
    if (!err) err = load_sagas(r, fiber);
    if (!err) err = load_interrupts(r, fiber);
    if (!err && !wait_fits(r->run, fiber)) err = state_corrupt(r, "a fiber that does not stand where it waits");
    return err;
}

static int by_request(const void *a, const void *b)
{
    uint64_t x = ((const Pending *)a)->id, y = ((const Pending *)b)->id;
    return (x > y) - (x < y);
}

static Err load_fibers(R *r, uint32_t **group_ids)
{
    uint32_t count = get_rows(r);
    if (r->in.failed || (count == 0) != (r->run->status == VM_DONE || r->run->status == VM_FAILED)) {
        if (r->in.failed || r->run->status != VM_FAILED) return state_corrupt(r, "the number of fibers");
    }
    *group_ids = mem_alloc((count + 1u) * sizeof **group_ids);
    Err err = ERR_OK;
    for (uint32_t k = 0; k < count && !err; k++) err = load_fiber(r, &(*group_ids)[k]);
    for (uint32_t k = 0; k < r->run->fiber_count && !err; k++)
        if (r->run->fibers[k]->request) pending_add(r->run, (Pending){ .id = r->run->fibers[k]->request, .fiber = r->run->fibers[k], .fetched = true });
    if (err) return err;
    if (r->run->pending_count) qsort(r->run->pendings, r->run->pending_count, sizeof(Pending), by_request);
    for (uint32_t k = 1; k < r->run->pending_count; k++)
        if (r->run->pendings[k - 1].id == r->run->pendings[k].id) return state_corrupt(r, "two fibers with one request");
    return ERR_OK;
}

/* ---- groups ---- */

static Err load_slot(R *r, Group *group)
{
    uint8_t state = read_u8(&r->in);
    const LiveFunc *func = get_func(r);
    if (!func || state > SLOT_CANCELLED) return state_corrupt(r, "a branch that cannot be");
    slot_add(group, (Slot){ .state = SLOT_RUNS, .func = func->index });
    Slot *slot = &group->slots[group->count - 1];
    Err err = ERR_OK;
    if (state != SLOT_RUNS) {
        err = state_get_value(r, state == SLOT_OK ? func->func->result : TYPE_INDEX_ERROR, &slot->value);
        group->running--;
        slot->state = err ? SLOT_RUNS : state;           /* a value that was not read is not released */
        if (!err && state != SLOT_OK && !slot->value.o) err = state_corrupt(r, "a failed branch without an error");
    }
    return err ? err : load_comps(r, &slot->comps);
}

static Err load_group(R *r)
{
    VmRun *run = r->run;
    uint32_t id = get_u32(r), last = run->group_count ? run->groups[run->group_count - 1]->id : 0, newest = run->last_group;
    if (r->in.failed || id <= last || id > newest) return state_corrupt(r, "a group that cannot be");
    Group *group = group_add(run);
    run->last_group = newest;
    group->id = id;
    group->owner = fiber_find(run, get_u32(r));
    group->frame = get_u32(r);
    group->pc = get_u32(r);
    group->mode = read_u8(&r->in);
    bool flags[3];
    bool fits = get_flags(r, flags, 3);
    group->cancelling = flags[0];
    group->freed = flags[1];
    group->joined = flags[2];
    group->limit = read_zigzag(&r->in);
    group->winner = get_u32(r) - 1;
    group->failed = get_u32(r) - 1;
    uint32_t count = get_rows(r), zero = 0;
    if (!fits || r->in.failed || !group->owner || group->mode > (GROUP_RACE | GROUP_SOFT) || !frame_holds(group->owner, group->frame, &zero)
        || group->pc >= group->owner->frames[group->frame].func->func->code_count)
        return state_corrupt(r, "a group that cannot be");
    Err err = ERR_OK;
    for (uint32_t k = 0; k < count && !err; k++) err = load_slot(r, group);
    if (err) return err;
    bool winner = group->winner == UINT32_MAX || (group->winner < count && group->mode & GROUP_RACE && group->slots[group->winner].state == SLOT_OK);
    bool failed = group->failed == UINT32_MAX || (group->failed < count && group->slots[group->failed].state == SLOT_FAILED);
    if (!winner || !failed || (group->freed && !group->running)) return state_corrupt(r, "a group that cannot be");
    return ERR_OK;
}

/* Slots that run and fibers that belong to a group are the same, one to one; an owner is older than what it started. */
static Err tie_fibers(R *r, const uint32_t *group_ids)
{
    VmRun *run = r->run;
    uint64_t running = 0;
    for (uint32_t k = 0; k < run->group_count; k++) running += run->groups[k]->running;
    for (uint32_t k = 0; k < run->fiber_count; k++) {
        Fiber *fiber = run->fibers[k];
        const LiveFunc *func = fiber->frames[0].func;
        if (!group_ids[k]) {
            if (run->main || func->index != run->func) return state_corrupt(r, "more than one main fiber");
            run->main = fiber;
            continue;
        }
        Group *group = group_find(run, group_ids[k]);
        Slot *slot = group && fiber->slot < group->count ? &group->slots[fiber->slot] : NULL;
        if (!slot || slot->state != SLOT_RUNS || slot->fiber || slot->func != func->index || group->owner->id >= fiber->id) return state_corrupt(r, "a fiber outside its group");
        slot->fiber = fiber;
        fiber->group = group;
        running--;
    }
    if (running) return state_corrupt(r, "a branch that runs without a fiber");
    if (run->fiber_count && !run->main) return state_corrupt(r, "no main fiber");
    return ERR_OK;
}

/* ---- the rest ---- */

static Err load_ready(R *r)
{
    uint32_t count = get_rows(r);
    for (uint32_t k = 0; k < count; k++) {
        Fiber *fiber = fiber_find(r->run, get_u32(r));
        if (r->in.failed || !fiber || fiber->queued || fiber->wait == WAIT_EFFECT || fiber->wait == WAIT_INTERCEPT) return state_corrupt(r, "the queue of ready fibers");
        ready_push(r->run, fiber);
    }
    for (uint32_t k = 0; k < r->run->fiber_count; k++)
        if (r->run->fibers[k]->wait == WAIT_NONE && !r->run->fibers[k]->queued && r->run->status != VM_FAILED) return state_corrupt(r, "a ready fiber outside the queue");
    return r->in.failed ? state_corrupt(r, "it is cut off") : ERR_OK;
}

static bool note_source_fits(R *r, Out *out)
{
    switch (out->source) {
    case OUT_EFFECT: return out->source_index < r->image->effect_count && effect_class((EffectKind)r->image->effects[out->source_index].kind) == EFFECT_CLASS_NOTE && !out->span_failed;
    case OUT_SPAN_BEGIN: case OUT_SPAN_END:
        out->span_func = out->source_index;
        return out->source_index < r->image->func_count && r->run->live->funcs[out->source_index].spans && (!out->span_failed || out->source == OUT_SPAN_END);
    case OUT_PARALLEL: return out->source_index == 0 && !out->span_failed;
    default: return false;
    }
}

static Err load_note(R *r, Out *out)
{
    VmRun *run = r->run;
    out->source = read_u8(&r->in);
    out->source_index = (uint16_t)read_varint(&r->in);
    const LiveFunc *func = get_func(r);
    out->pc = get_u32(r);
    out->span = get_u32(r);
    out->parent_span = get_u32(r);
    if (!func || r->in.failed || out->pc >= func->func->code_count || !note_source_fits(r, out)) return state_corrupt(r, "a note that cannot be");
    out->func = func->index;
    const uint16_t *types = out_types(run, out);
    uint16_t count = out->span_failed ? 1 : out_effect(run, out)->param_count;
    out->args = mem_alloc((count + 1u) * sizeof(Value));
    out->arg_count = count;
    heap_charge(count * sizeof(Value));
    Err err = ERR_OK;
    for (uint16_t k = 0; k < count && !err; k++) err = state_get_value(r, types[k], &out->args[k]);
    return err;
}

/* A request in the queue was not fetched; one that nobody waits for any more stays until it is skipped. */
static Err load_outs(R *r)
{
    uint32_t count = get_rows(r);
    uint64_t last = 0;
    for (uint32_t k = 0; k < count; k++) {
        bool flags[2];
        Out out = { .id = read_varint(&r->in), .fiber = get_u32(r) };
        if (!get_flags(r, flags, 2) || r->in.failed || out.id <= last || out.id > r->run->last_request || (flags[1] && !flags[0])) return state_corrupt(r, "the queue of requests");
        last = out.id;
        out.is_note = flags[0];
        out.span_failed = flags[1];
        Out *row = out_add(r->run);
        Err err = out.is_note ? load_note(r, &out) : ERR_OK;
        if (!out.args) out.is_note = false;              /* refused before it had arguments that vm_free could release */
        *row = out;
        if (err) return err;
        Pending *pending = out.is_note ? NULL : pending_find(r->run, out.id);
        if (pending) pending->fetched = false;
    }
    return r->in.failed ? state_corrupt(r, "it is cut off") : ERR_OK;
}

Err state_decode(VmRun *run, Str bytes, Error *error)
{
    R r = { .run = run, .image = run->image, .in = reader_of(bytes), .error = error };
    uint32_t *group_ids = NULL;
    r.bytes_max = 2 * run->limits.memory_bytes + SLACK_BYTES;
    Err err = load_extensions(&r);
    if (!err) err = load_run(&r);
    if (!err) err = load_meter(&r);
    size_t peak = run->heap.peak_bytes;
    bool over = run->heap.over;
    if (!err) err = load_end(&r);
    if (!err) err = load_fibers(&r, &group_ids);
    uint32_t groups = err ? 0 : get_rows(&r);
    for (uint32_t k = 0; k < groups && !err; k++) err = load_group(&r);
    if (!err) err = tie_fibers(&r, group_ids);
    if (!err) err = tie_meter(&r);
    if (!err) err = load_ready(&r);
    if (!err) err = load_outs(&r);
    if (!err && reader_left(&r.in)) err = state_corrupt(&r, "bytes behind its end");
    value_reader_deinit(&r);
    free(group_ids);
    run->heap.peak_bytes = peak;
    run->heap.over = over;
    return err;
}
