/* raise.c - errors: made, raised, caught; and what interrupts a fiber from outside.
 *
 * An error object has one of three natures, kept on the object itself so that a `finally` may hold it in a register, be parked for a
 * month and raise it again as what it was:
 *   ordinary       every handler sees it
 *   OBJ_DEADLINE   scope number in the word behind the fields; only `finally` sees it until the try entry of its own scope makes it
 *                  an ordinary timeout. When that scope is left without such an entry it becomes ordinary there
 *   OBJ_CANCEL     only `finally` sees it
 * Unwinding goes frame by frame, entry by entry. Before a handler is entered or a frame left, groups made inside are cancelled and
 * their fibers waited for (WAIT_UNWIND); then the same search is made again. So it is a loop over state in the fiber and nothing of it
 * lies on the C stack while it waits.
 * Interrupts are flags (a mark that expired, cancel_pending); they become errors when the fiber is scheduled, at instructions that
 * would suspend, and at SHIELD_EXIT, never while the fiber is shielded.
 */
#include "interpreter/vm/vm_internal.h"
#include <stdarg.h>
#include <stdio.h>

enum { MESSAGE_MAX = 256, ERROR_SCOPE_WORD = ERROR_FIELD_COUNT };

/* ---- making errors ---- */

static void raised_set(VmRun *run, Value error)
{
    value_release(run->raised);
    run->raised = error;
}

bool vm_fail(VmRun *run, ErrorKind kind, const char *format, ...)
{
    char text[MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    raised_set(run, value_error(run->image, kind, (Str){ text, len < MESSAGE_MAX ? (size_t)len : MESSAGE_MAX - 1 }));
    return false;
}

bool vm_fail_limit(VmRun *run, const char *limit)
{
    if (limit == VALUE_NO_ROOM) return vm_memory_over(run);
    vm_fail(run, ERROR_KIND_rejected, "the limit %s is reached", limit);
    run->raised = error_with(run->raised, 0, str_of(limit), -1);
    return false;
}

/* The first time a run crosses its limit it gets an eighth more, to undo what it did. */
bool vm_memory_over(VmRun *run)
{
    run->heap.over = false;
    if (run->metered && run->meter.memory_end < run_memory_limit(run) && run->heap.live_bytes <= run_memory_limit(run)) return meter_memory_over(run);
    if (!run->memory_reserve) {
        run->memory_reserve = true;
        heap_limit_set(run);
    }
    vm_fail_limit(run, "VM_MEMORY_LIMIT");
    run->heap.over = false;                              /* the error itself does not raise another */
    return false;
}

bool vm_room(VmRun *run, size_t bytes) { return heap_room(bytes) ? true : vm_memory_over(run); }

bool vm_charge(VmRun *run, uint64_t fuel)
{
    uint64_t slice_used = (uint64_t)(run->slice - run->fuel), used = run->fuel_used + slice_used, limit = run->limits.fuel + (run->fuel_reserve ? VM_FUEL_RESERVE : 0);
    if (LIKELY(used + fuel <= limit)) {
        if (run->metered && slice_used + fuel > meter_fuel_left(run)) return meter_fuel_over(run);
        run->fuel -= (int64_t)fuel;
        return true;
    }
    run->fuel_reserve = true;
    return vm_fail_limit(run, "VM_FUEL_LIMIT");
}

static void at_print(const Image *image, const Frame *frame, Buf *out)
{
    uint32_t pc = frame_pc(frame);
    const ImageLine *line = image_line(frame->func->func, pc ? pc - 1 : 0);
    if (line && line->file < image->file_count) buf_printf(out, "%.*s:%u:%u", STR_ARG(image->files[line->file]), line->line, line->column);
    else buf_put_str(out, frame->func->func->name);
}

Value error_at(VmRun *run, Value error, const Frame *frame)
{
    if (!frame || value_str(record_field(error, ERROR_FIELD_AT)).len) return error;
    Buf text = { 0 };
    at_print(run->image, frame, &text);
    error = record_unshare(run->image, TYPE_INDEX_ERROR, error);
    Record *r = (Record *)error.o;
    value_release(r->fields[ERROR_FIELD_AT]);
    r->fields[ERROR_FIELD_AT] = value_string(buf_str(&text));
    record_seal(r);
    buf_free(&text);
    return error;
}

static uint32_t error_scope(Value error) { return (uint32_t)((Record *)error.o)->fields[ERROR_SCOPE_WORD].i; }

static Value error_natured(VmRun *run, ErrorKind kind, Str message, uint8_t nature, uint32_t scope)
{
    Value error = value_error(run->image, kind, message);
    error.o->flags |= nature;
    ((Record *)error.o)->fields[ERROR_SCOPE_WORD].i = scope;
    return error;
}

static Value error_ordinary(VmRun *run, Value error)
{
    error = record_unshare(run->image, TYPE_INDEX_ERROR, error);
    error.o->flags &= (uint8_t)~(OBJ_DEADLINE | OBJ_CANCEL);
    ((Record *)error.o)->fields[ERROR_SCOPE_WORD].i = 0;
    return error;
}

/* ---- unwinding ---- */

static const Mark *scope_mark(const Fiber *fiber, uint32_t id)
{
    for (uint32_t k = fiber->mark_count; k--;)
        if (!fiber->marks[k].shield && fiber->marks[k].id == id) return &fiber->marks[k];
    return NULL;
}

static bool try_takes(const VmRun *run, const Fiber *fiber, const Frame *frame, const ImageTry *t, Value error)
{
    if (t->kind == TRY_FINALLY) return true;
    if (t->kind == TRY_CATCH) return !(error.o->flags & (OBJ_DEADLINE | OBJ_CANCEL)) && !meter_uncaught(run, fiber, frame, error);
    const Mark *mark = error.o->flags & OBJ_DEADLINE ? scope_mark(fiber, error_scope(error)) : NULL;
    return mark && mark->frame == frame_index(fiber, frame) && mark->pc + 1 == t->from;
}

static const ImageTry *try_find(const VmRun *run, const Fiber *fiber, const Frame *frame, Value error)
{
    const ImageFunc *func = frame->func->func;
    uint32_t pc = frame_pc(frame) ? frame_pc(frame) - 1 : 0;
    if (frame->flags & FRAME_INTERCEPTED || (run->meter.ending && meter_ends(run, fiber, frame))) return NULL;
    for (uint16_t k = 0; k < func->try_count; k++)
        if (pc >= func->tries[k].from && pc < func->tries[k].to && try_takes(run, fiber, frame, &func->tries[k], error)) return &func->tries[k];
    return NULL;
}

/* A scope that is gone can no longer turn its deadline into an ordinary timeout, so that happens here. */
static void nature_check(VmRun *run, Fiber *fiber)
{
    if (fiber->raising.o->flags & OBJ_DEADLINE && !scope_mark(fiber, error_scope(fiber->raising))) fiber->raising = error_ordinary(run, fiber->raising);
}

static Flow handler_enter(VmRun *run, Fiber *fiber, const ImageTry *t)
{
    Frame *frame = fiber->frame;
    uint32_t index = frame_index(fiber, frame);
    if (t->kind == TRY_SCOPE) {
        uint32_t own = t->from ? t->from - 1 : 0;
        fiber->raising = error_ordinary(run, fiber->raising);
        marks_close(fiber, index, own, own + 1);
    }
    marks_close(fiber, index, t->from, t->to);
    nature_check(run, fiber);
    Value *reg = &frame->regs[t->error_reg];
    value_release(*reg);
    *reg = fiber->raising;
    fiber->raising.w = 0;
    fiber->raising_set = false;
    fiber->wait = WAIT_NONE;
    frame->pc = frame->func->code + t->handler;
    return FLOW_RELOAD;
}

Flow vm_unwind(VmRun *run, Fiber *fiber)
{
    for (;;) {
        Frame *frame = fiber->frame;
        nature_check(run, fiber);
        const ImageTry *t = try_find(run, fiber, frame, fiber->raising);
        if (frame->flags & FRAME_OWNS && groups_left_run(run, fiber, frame_index(fiber, frame), t ? t->from : 0, t ? t->to : UINT32_MAX)) {
            fiber->wait = WAIT_UNWIND;
            return FLOW_WAIT;
        }
        if (t) return handler_enter(run, fiber, t);
        frame_leave(run, fiber, true, fiber->raising);
        if (fiber->frame) continue;
        nature_check(run, fiber);
        Value error = fiber->raising;
        fiber->raising.w = 0;
        fiber->raising_set = false;
        fiber_finish(run, fiber, false, error);
        return FLOW_ENDED;
    }
}

static void raising_set(VmRun *run, Fiber *fiber)
{
    value_release(fiber->raising);
    fiber->raising = error_at(run, run->raised, fiber->frame);
    fiber->raising_set = true;
    run->raised.w = 0;
}

Flow vm_raise_now(VmRun *run, Fiber *fiber)
{
    raising_set(run, fiber);
    return vm_unwind(run, fiber);
}

/* ---- interrupts ---- */

static bool mark_due(const Mark *mark) { return !mark->shield && mark->expired && !mark->spent; }

void fiber_interrupt_update(Fiber *fiber)
{
    fiber->interrupt = fiber->cancel_pending && !fiber->cancel_raised;
    for (uint32_t k = 0; k < fiber->mark_count && !fiber->interrupt; k++) fiber->interrupt = mark_due(&fiber->marks[k]);
}

bool fiber_deadline_due(const Fiber *fiber)
{
    if (fiber->shield || (fiber->cancel_pending && !fiber->cancel_raised)) return false;
    for (uint32_t k = 0; k < fiber->mark_count; k++)
        if (mark_due(&fiber->marks[k])) return true;
    return false;
}

void fiber_deadline_pass(Fiber *fiber)
{
    for (uint32_t k = 0; k < fiber->mark_count; k++)
        if (mark_due(&fiber->marks[k])) fiber->marks[k].spent = true;
    fiber_interrupt_update(fiber);
}

/* Cancellation before deadlines, and of those the outermost: it leaves the most. */
bool vm_interrupted(VmRun *run, Fiber *fiber)
{
    if (fiber->shield || !fiber->interrupt) return false;
    if (fiber->cancel_pending && !fiber->cancel_raised) {
        fiber->cancel_raised = true;
        raised_set(run, error_natured(run, ERROR_KIND_cancelled, value_str(fiber->cancel_reason), OBJ_CANCEL, 0));
        fiber_interrupt_update(fiber);
        return true;
    }
    for (uint32_t k = 0; k < fiber->mark_count; k++) {
        if (!mark_due(&fiber->marks[k])) continue;
        fiber->marks[k].spent = true;
        raised_set(run, error_natured(run, ERROR_KIND_timeout, STR("the deadline has passed"), OBJ_DEADLINE, fiber->marks[k].id));
        fiber_interrupt_update(fiber);
        return true;
    }
    return false;
}

void fiber_wake(VmRun *run, Fiber *fiber)
{
    if (fiber->wait == WAIT_AGAIN) ready_push(run, fiber);
    if ((fiber->wait != WAIT_EFFECT && fiber->wait != WAIT_INTERCEPT) || !vm_interrupted(run, fiber)) return;
    request_forget(run, fiber);
    fiber->wait = WAIT_NONE;
    raising_set(run, fiber);
    ready_push(run, fiber);
}

void fiber_cancel(VmRun *run, Fiber *fiber, const char *reason)
{
    if (fiber->cancel_pending) return;
    fiber->cancel_pending = true;
    fiber->cancel_reason = value_string(str_of(reason));
    fiber_interrupt_update(fiber);
    if (!fiber->shield) fiber_wake(run, fiber);
}
