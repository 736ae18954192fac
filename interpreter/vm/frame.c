/* frame.c - stacks of fibers: calls that note spans, returns that leave something open, and the life of a fiber.
 *
 * exec.c does plain calls and returns itself; here is every other case. Leaving a frame closes what was opened in it (marks, sagas,
 * groups). Fibers of a group that still run are cancelled and waited for, so nothing outlives the block that started it.
 */
#include "interpreter/vm/vm_internal.h"
#include <stdlib.h>

enum { STACK_VALUES_MIN = 64, STACK_FRAMES_MIN = 8, ROWS_MIN = 4 };

/* ---- room ---- */

static size_t stack_charge(size_t values, size_t frames) { return values * sizeof(Value) + frames * sizeof(Frame); }

/* frame_end stops plain calls at the depth limit as well as at the end of the room, so they look at one thing. */
void fiber_stack_set(const VmRun *run, Fiber *fiber, size_t values, size_t frames)
{
    size_t values_now = (size_t)(fiber->stack_end - fiber->stack), frames_now = fiber->frame_cap;
    size_t values_new = room_of(values, STACK_VALUES_MIN), frames_new = room_of(frames, STACK_FRAMES_MIN);
    if (values_new > values_now) {
        heap_charge(stack_charge(values_new - values_now, 0));
        const Value *before = fiber->stack;
        fiber->stack = mem_realloc(fiber->stack, (values_new + STACK_SLACK) * sizeof(Value));
        fiber->stack_end = fiber->stack + values_new;
        for (Frame *f = fiber->frames; fiber->frame && f <= fiber->frame; f++) f->regs = fiber->stack + (f->regs - before);
    }
    if (frames_new > frames_now) {
        size_t top = fiber->frame ? frame_index(fiber, fiber->frame) : 0;
        heap_charge(stack_charge(0, frames_new - frames_now));
        fiber->frames = mem_realloc(fiber->frames, frames_new * sizeof(Frame));
        fiber->frame_cap = (uint32_t)frames_new;
        fiber->frame_end = fiber->frames + (frames_new < run->limits.depth ? frames_new : run->limits.depth);
        if (fiber->frame) fiber->frame = fiber->frames + top;
    }
}

Value *stack_top(const Fiber *fiber) { return fiber->frame ? fiber->frame->regs + fiber->frame->func->reg_count : fiber->stack; }

bool fiber_room(VmRun *run, Fiber *fiber, const LiveFunc *callee)
{
    size_t depth = fiber->frame ? frame_index(fiber, fiber->frame) + 1 : 0;
    size_t used = (size_t)(stack_top(fiber) - fiber->stack);
    if (depth >= run->limits.depth) return vm_fail_limit(run, "VM_DEPTH_LIMIT");
    fiber_stack_set(run, fiber, used + callee->reg_count, depth + 1);
    return run->heap.over ? vm_memory_over(run) : true;
}

void frame_push(VmRun *run, Fiber *fiber, const LiveFunc *callee, const Value *args, uint16_t result)
{
    Value *regs = stack_top(fiber);
    uint16_t flags = fiber->frame ? 0 : FRAME_FIRST;
    fiber->frame = fiber->frame ? fiber->frame + 1 : fiber->frames;
    *fiber->frame = (Frame){ .func = callee, .pc = callee->code, .regs = regs, .result = result, .flags = flags };
    if (callee->param_count) memcpy(regs, args, callee->param_count * sizeof(Value));
    memset(regs + callee->param_count, 0, (size_t)(callee->reg_count - callee->param_count) * sizeof(Value));
    for (uint16_t k = 0; k < callee->counted_params; k++) value_retain(regs[callee->counted[k]]);
}

/* ---- marks ---- */

void mark_push(Fiber *fiber, Mark mark)
{
    if (fiber->mark_count == fiber->mark_cap) {
        fiber->mark_cap = (uint32_t)room_of((size_t)fiber->mark_count + 1, ROWS_MIN);
        fiber->marks = mem_realloc(fiber->marks, fiber->mark_cap * sizeof(Mark));
    }
    heap_charge(sizeof(Mark));
    fiber->marks[fiber->mark_count++] = mark;
    fiber->run->mark_count++;
    fiber->shield += mark.shield;
}

static void mark_remove(Fiber *fiber, uint32_t index)
{
    fiber->shield -= fiber->marks[index].shield;
    memmove(&fiber->marks[index], &fiber->marks[index + 1], (fiber->mark_count - index - 1) * sizeof(Mark));
    fiber->mark_count--;
    fiber->run->mark_count--;
    heap_discharge(sizeof(Mark));
}

void mark_pop(Fiber *fiber, bool shield)
{
    uint32_t frame = frame_index(fiber, fiber->frame);
    for (uint32_t k = fiber->mark_count; k-- && fiber->marks[k].frame == frame;)
        if (fiber->marks[k].shield == shield) {
            mark_remove(fiber, k);
            break;
        }
    fiber_interrupt_update(fiber);
}

void marks_close(Fiber *fiber, uint32_t frame, uint32_t from, uint32_t to)
{
    for (uint32_t k = fiber->mark_count; k-- && fiber->marks[k].frame >= frame;)
        if (fiber->marks[k].frame > frame || (fiber->marks[k].pc >= from && fiber->marks[k].pc < to)) mark_remove(fiber, k);
    fiber_interrupt_update(fiber);
}

/* ---- calls ---- */

/* Whose code asks when `fiber` calls: its innermost frame, or for its first frame the one that spawned it. */
static const Frame *asker(const Fiber *fiber)
{
    if (fiber->frame) return fiber->frame;
    return fiber->group ? fiber->group->owner->frame : NULL;
}

static Out span_note(const Fiber *fiber, uint8_t source, uint16_t callee, uint32_t span)
{
    const Frame *frame = asker(fiber);
    Out note = { .is_note = true, .source = source, .source_index = callee, .span_func = callee, .span = span };
    note.func = frame ? frame->func->index : callee;
    note.pc = frame && frame_pc(frame) ? frame_pc(frame) - 1 : 0;
    return note;
}

static Flow span_begin(VmRun *run, Fiber *fiber, const LiveFunc *callee, const Value *args)
{
    Out note = span_note(fiber, OUT_SPAN_BEGIN, callee->index, run->last_span + 1);
    note.parent_span = fiber->span;
    note.arg_count = callee->param_count;
    if (run->out_count >= VM_NOTES_MAX) return vm_fail_limit(run, "VM_NOTES_MAX"), FLOW_RAISE;
    note_put(run, note, args, callee->func->reg_types);
    run->last_span++;
    return FLOW_NEXT;
}

static void span_end(VmRun *run, Fiber *fiber, const Frame *frame, bool failed, Value value)
{
    uint16_t type = failed ? TYPE_INDEX_ERROR : frame->func->func->result;
    Frame *top = fiber->frame;
    bool first = top == fiber->frames;
    fiber->frame = first ? NULL : top - 1;               /* the note is the caller's */
    Out note = span_note(fiber, OUT_SPAN_END, frame->func->index, frame->span);
    fiber->frame = top;
    note.parent_span = frame->span_outside;
    note.span_failed = failed;
    note.arg_count = failed || run->image->types[type].kind != KIND_VOID;
    note_put(run, note, &value, &type);
}

static bool is_intercepted(const VmRun *run, const LiveFunc *callee)
{
    return run->intercepts_any && callee->func->kind == FUNC_TOOL && callee->func->owner < run->image->tool_count && run->intercepts[callee->func->owner];
}

Flow vm_call(VmRun *run, Fiber *fiber, const LiveFunc *callee, const Value *args, uint16_t result)
{
    bool inside = args >= fiber->stack && args < fiber->stack_end;
    size_t offset = inside ? (size_t)(args - fiber->stack) : 0;
    if (!fiber_room(run, fiber, callee)) return FLOW_RAISE;
    if (inside) args = fiber->stack + offset;
    bool intercepted = is_intercepted(run, callee);
    if (intercepted && fiber->interrupt && vm_interrupted(run, fiber)) return FLOW_RAISE;
    if (callee->spans && span_begin(run, fiber, callee, args) == FLOW_RAISE) return FLOW_RAISE;
    frame_push(run, fiber, callee, args, result);
    if (callee->spans) {
        fiber->frame->flags |= FRAME_SPAN;
        fiber->frame->span = run->last_span;
        fiber->frame->span_outside = fiber->span;
        fiber->span = run->last_span;
    }
    if (!intercepted) return FLOW_RELOAD;
    fiber->frame->flags |= FRAME_INTERCEPTED;
    request_ask(run, fiber, WAIT_INTERCEPT);
    return FLOW_WAIT;
}

void frame_pop(VmRun *run, Fiber *fiber)
{
    Frame *frame = fiber->frame;
    Value *regs = frame->regs;
    for (uint16_t k = 0; k < frame->func->counted_count; k++) value_release(regs[frame->func->counted[k]]);
    if (frame->flags & FRAME_SPAN) fiber->span = frame->span_outside;
    fiber->frame = frame == fiber->frames ? NULL : frame - 1;
}

/* Notes the end of the frame's span, closes what it opened (no group of it runs any more), and pops it. */
void frame_leave(VmRun *run, Fiber *fiber, bool failed, Value value)
{
    uint32_t index = frame_index(fiber, fiber->frame);
    if (fiber->frame->flags & FRAME_SPAN) span_end(run, fiber, fiber->frame, failed, value);
    if (fiber->frame->flags & FRAME_OWNS) {
        marks_close(fiber, index, 0, UINT32_MAX);
        sagas_leave(fiber, index);
    }
    bool plan = fiber->frame->flags & FRAME_PLAN;
    frame_pop(run, fiber);
    if (plan) meter_end(run);
}

/* `return` out of a block whose fibers still run: they are cancelled, and the instruction is executed again when they have ended. */
static Flow return_later(Fiber *fiber, Value value)
{
    Insn i = fiber->frame->pc[-1];
    if ((uint8_t)i != OP_RETURN_VOID) fiber->frame->regs[INSN_A(i)] = value;
    fiber->wait = WAIT_AGAIN;
    return FLOW_WAIT;
}

Flow vm_return(VmRun *run, Fiber *fiber, Value value)
{
    const LiveFunc *func = fiber->frame->func;
    uint16_t to = fiber->frame->result;
    if (fiber->frame->flags & FRAME_OWNS && groups_left_run(run, fiber, frame_index(fiber, fiber->frame), 0, UINT32_MAX))
        return return_later(fiber, value);
    frame_leave(run, fiber, false, value);
    if (!fiber->frame) {
        fiber_finish(run, fiber, true, value);
        return FLOW_ENDED;
    }
    Value *reg = &fiber->frame->regs[to];
    if (func->result_counted) {
        value_release(*reg);
        *reg = value;
    } else if (run->image->types[func->func->result].kind != KIND_VOID) *reg = value;
    return FLOW_RELOAD;
}

/* ---- fibers ---- */

Fiber *fiber_new(VmRun *run)
{
    Fiber *fiber = mem_alloc(sizeof *fiber);
    heap_charge(sizeof *fiber);
    fiber->run = run;
    fiber->id = ++run->last_fiber;
    if (run->fiber_count == run->fiber_cap) {
        run->fiber_cap = (uint32_t)room_of((size_t)run->fiber_count + 1, ROWS_MIN);
        run->fibers = mem_realloc(run->fibers, run->fiber_cap * sizeof *run->fibers);
    }
    run->fibers[run->fiber_count++] = fiber;
    return fiber;
}

static uint32_t fiber_place(const VmRun *run, uint32_t id)
{
    uint32_t low = 0, high = run->fiber_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (run->fibers[middle]->id < id) low = middle + 1;
        else high = middle;
    }
    return low;
}

Fiber *fiber_find(const VmRun *run, uint32_t id)
{
    uint32_t at = fiber_place(run, id);
    return at < run->fiber_count && run->fibers[at]->id == id ? run->fibers[at] : NULL;
}

static void ready_remove(VmRun *run, Fiber *fiber)
{
    Fiber *before = NULL;
    for (Fiber *f = run->ready_first; f; before = f, f = f->next_ready) {
        if (f != fiber) continue;
        if (before) before->next_ready = f->next_ready;
        else run->ready_first = f->next_ready;
        if (run->ready_last == f) run->ready_last = before;
        return;
    }
}

void fiber_free(VmRun *run, Fiber *fiber)
{
    while (fiber->frame) frame_pop(run, fiber);
    if (fiber->queued) ready_remove(run, fiber);
    if (fiber->request) request_forget(run, fiber);
    while (fiber->mark_count) mark_remove(fiber, fiber->mark_count - 1);
    while (fiber->saga_count) saga_close(fiber);
    comps_free(run, &fiber->comps);
    value_release(fiber->raising);
    value_release(fiber->cancel_reason);
    heap_discharge(stack_charge((size_t)(fiber->stack_end - fiber->stack), fiber->frame_cap) + sizeof *fiber);
    uint32_t at = fiber_place(run, fiber->id);
    memmove(&run->fibers[at], &run->fibers[at + 1], (run->fiber_count - at - 1) * sizeof *run->fibers);
    run->fiber_count--;
    free(fiber->stack);
    free(fiber->frames);
    free(fiber->marks);
    free(fiber->sagas);
    free(fiber);
}

void ready_push(VmRun *run, Fiber *fiber)
{
    if (fiber->queued) return;
    fiber->queued = true;
    fiber->next_ready = NULL;
    if (run->ready_last) run->ready_last->next_ready = fiber;
    else run->ready_first = fiber;
    run->ready_last = fiber;
}

void run_end(VmRun *run, VmStatus status, Value value)
{
    run->status = status;
    if (status == VM_DONE) run->result = value;
    else run->error = value;
}

void fiber_finish(VmRun *run, Fiber *fiber, bool ok, Value value)
{
    if (fiber->group) group_fiber_ended(run, fiber, ok, value);
    else {
        run->main = NULL;
        run_end(run, ok ? VM_DONE : VM_FAILED, value);
    }
    fiber_free(run, fiber);
}
