/* vm.c - the machine as the engine sees it: a run is made, driven, asked and answered.
 *
 * vm_run takes ready fibers in the order they became ready and runs each until it waits or ends. Nothing but deliveries (resume, raise,
 * expire, cancel) makes a fiber ready from outside, so the same deliveries in the same order give the same run.
 */
#include "interpreter/vm/vm.h"
#include "interpreter/vm/vm_internal.h"
#include <stddef.h>
#include <stdlib.h>

/* ---- making and freeing ---- */

static void limits_set(VmRun *run, const VmLimits *limits)
{
    if (limits) run->limits = *limits;
    if (!run->limits.fuel) run->limits.fuel = VM_FUEL_DEFAULT;
    if (run->limits.fuel > INT64_MAX / 2) run->limits.fuel = INT64_MAX / 2;
    if (!run->limits.memory_bytes) run->limits.memory_bytes = VM_MEMORY_DEFAULT;
    if (!run->limits.depth) run->limits.depth = VM_DEPTH_DEFAULT;
    if (!run->limits.fibers) run->limits.fibers = VM_FIBERS_DEFAULT;
    if (!run->limits.output_bytes) run->limits.output_bytes = VM_OUTPUT_DEFAULT;
    run->heap.limit_bytes = run->limits.memory_bytes;
}

VmRun *run_new(Image *image, const VmInfo *info, const VmLimits *limits)
{
    VmRun *run = mem_alloc(sizeof *run);
    const Str texts[VM_INFO_COUNT] = { info->run_id, info->tenant, info->user, info->flow, info->correlation, info->user_name, info->causation };
    vm_prepare(image);
    run->image = image_retain(image);
    run->root = image_retain(image);
    run->live = image->live;
    run->status = VM_BLOCKED;
    limits_set(run, limits);
    Heap *before = heap_enter(NULL);                     /* as constants: not the program's doing */
    for (int k = 0; k < VM_INFO_COUNT; k++) run->info[k] = value_string(texts[k]);
    heap_enter(before);
    run->intercepts = mem_alloc(image->tool_count + 1u);
    run->meter.plan = NO_INDEX;
    return run;
}

static void args_adopt(VmRun *run, const LiveFunc *func, Value *args)
{
    for (uint16_t k = 0; k < func->counted_params; k++) {
        Value *arg = &args[func->counted[k]];
        value_retain(*arg);                              /* now it has two holders, so it is copied */
        const char *over = value_adopt(arg);
        if (!over) continue;
        value_release(*arg);
        arg->w = 0;
        if (!run->raised.o) vm_fail_limit(run, over);
    }
}

VmRun *vm_new(Image *image, uint16_t func, const Value *args, const VmInfo *info, const VmLimits *limits)
{
    VmRun *run = run_new(image, info, limits);
    const LiveFunc *main = &run->live->funcs[func];
    Value own[FUNC_PARAMS_MAX];
    HEAP_ENTER(run);
    run->func = func;
    run->main = fiber_new(run);
    if (main->param_count) memcpy(own, args, main->param_count * sizeof(Value));
    args_adopt(run, main, own);
    fiber_stack_set(run, run->main, main->reg_count, 1);
    frame_push(run, run->main, main, own, 0);
    meter_begin(run, run->main);
    for (uint16_t k = 0; k < main->counted_params; k++) value_release(own[main->counted[k]]);
    if (run->raised.o) {                                 /* an argument over a limit fails the run where it would begin */
        run->main->raising = run->raised;
        run->main->raising_set = true;
        run->raised.w = 0;
    }
    ready_push(run, run->main);
    HEAP_LEAVE();
    return run;
}

static void fetched_drop(VmRun *run)
{
    if (!run->fetched.args) return;
    HEAP_ENTER(run);
    out_args_free(&run->fetched, out_types(run, &run->fetched), run->image);
    HEAP_LEAVE();
}

static void result_release(VmRun *run)
{
    if (run->status == VM_DONE && run->live->funcs[run->func].result_counted) value_release(run->result);
    value_release(run->error);
    value_release(run->raised);
}

void vm_free(VmRun *run)
{
    if (!run) return;
    fetched_drop(run);
    HEAP_ENTER(run);
    run->ready_first = run->ready_last = NULL;
    for (uint32_t k = 0; k < run->fiber_count; k++) run->fibers[k]->queued = false;
    while (run->fiber_count) fiber_free(run, run->fibers[run->fiber_count - 1]);
    while (run->group_count) group_drop(run, run->groups[run->group_count - 1]);
    for (uint32_t k = 0; k < run->out_count; k++) {
        Out *out = &run->outs[run->out_first + k];
        if (out->is_note) out_args_free(out, out_types(run, out), run->image);
    }
    result_release(run);
    for (int k = 0; k < VM_INFO_COUNT; k++) value_release(run->info[k]);
    HEAP_LEAVE();
    free(run->fibers);
    free(run->groups);
    free(run->outs);
    free(run->pendings);
    free(run->intercepts);
    meter_drop(run);
    image_free(run->image);
    image_free(run->root);
    free(run);
}

/* ---- running ---- */

static uint64_t fuel_limit(const VmRun *run) { return run->limits.fuel + (run->fuel_reserve ? VM_FUEL_RESERVE : 0); }

void slice_begin(VmRun *run)
{
    uint64_t limit = fuel_limit(run), left = limit > run->fuel_used ? limit - run->fuel_used : 0;
    uint64_t most = run->turn < VM_SLICE ? (uint64_t)(VM_SLICE - run->turn) : 0;
    if (left > most) left = most;
    if (run->metered && left > meter_fuel_left(run)) left = meter_fuel_left(run);
    run->slice = run->fuel = (int64_t)left;
}

void slice_end(VmRun *run)
{
    uint64_t used = (uint64_t)(run->slice - run->fuel);
    run->fuel_used += used;
    run->turn += (int64_t)used;
    if (run->metered) run->meter.fuel_used += used;
    run->slice = run->fuel = 0;
}

static Fiber *ready_pop(VmRun *run)
{
    Fiber *fiber = run->ready_first;
    if (!fiber) return NULL;
    run->ready_first = fiber->next_ready;
    if (!run->ready_first) run->ready_last = NULL;
    fiber->queued = false;
    return fiber;
}

static void ready_push_front(VmRun *run, Fiber *fiber)
{
    fiber->queued = true;
    fiber->next_ready = run->ready_first;
    run->ready_first = fiber;
    if (!run->ready_last) run->ready_last = fiber;
}

/* What a woken fiber does before it executes instructions: go on raising, look again, or notice that it was interrupted. */
static Flow fiber_begin(VmRun *run, Fiber *fiber)
{
    if (meter_open(run)) meter_turn(run, fiber);
    if (fiber->raising_set) return vm_unwind(run, fiber);
    if (run->metered && run->meter.ending) {
        meter_ended(run);
        fiber->wait = WAIT_NONE;
        return vm_raise_now(run, fiber);
    }
    if (fiber->wait == WAIT_AGAIN) {
        fiber->wait = WAIT_NONE;
        fiber->frame->pc--;
        return FLOW_RELOAD;
    }
    if (!fiber->interrupt || !vm_interrupted(run, fiber)) return FLOW_RELOAD;
    fiber->frame->pc++;                                  /* the next instruction is the one that raises */
    return vm_raise_now(run, fiber);
}

/* Out of its slice: false when the caller should let others have their turn. At the limit the program may still clean up, once. */
static bool slice_spent(VmRun *run, Fiber *fiber, Flow *flow)
{
    slice_end(run);
    bool run_spent = run->fuel_used >= fuel_limit(run), plan_spent = run->metered && !meter_fuel_left(run);
    if (!run_spent && !plan_spent) {
        ready_push_front(run, fiber);
        return false;
    }
    if (run_spent) vm_fail_limit(run, "VM_FUEL_LIMIT");
    else meter_fuel_over(run);
    if (run_spent && run->fuel_reserve) {
        Value error = error_at(run, run->raised, fiber->frame);
        run->raised.w = 0;
        run_end(run, VM_FAILED, error);
        return true;
    }
    if (run_spent) run->fuel_reserve = true;
    slice_begin(run);
    fiber->frame->pc++;
    *flow = vm_raise_now(run, fiber);
    return true;
}

static bool run_ended(const VmRun *run) { return run->status == VM_DONE || run->status == VM_FAILED; }

/* False: the slice is used up. */
static bool fiber_run(VmRun *run, Fiber *fiber)
{
    Flow flow = fiber_begin(run, fiber);
    while (flow == FLOW_RELOAD) {
        ExecEnd end = vm_exec(fiber);
        if (end != EXEC_SLICE) return true;
        if (!slice_spent(run, fiber, &flow)) return false;
        if (run_ended(run)) return true;
    }
    return true;
}

VmStatus vm_run(VmRun *run)
{
    fetched_drop(run);
    if (run_ended(run)) return run->status;
    HEAP_ENTER(run);
    run->turn = 0;
    slice_begin(run);
    VmStatus status = VM_BLOCKED;
    for (Fiber *fiber; !run_ended(run) && (fiber = ready_pop(run));)
        if (!fiber_run(run, fiber)) {
            status = VM_SLICE_ENDED;
            break;
        }
    slice_end(run);
    if (run->metered) meter_rest(run);
    HEAP_LEAVE();
    return run_ended(run) ? run->status : status;
}

/* ---- requests ---- */

/* The earliest deadline that would end this wait: of the fiber and of those that wait for it, up to one that is shielded. */
static int64_t fiber_deadline(const Fiber *fiber)
{
    int64_t earliest = INT64_MAX;
    for (; fiber && !fiber->shield; fiber = fiber->group ? fiber->group->owner : NULL)
        for (uint32_t k = 0; k < fiber->mark_count; k++)
            if (!fiber->marks[k].shield && !fiber->marks[k].expired && fiber->marks[k].deadline_us < earliest) earliest = fiber->marks[k].deadline_us;
    return earliest;
}

static VmRequest request_of(const VmRun *run, const Fiber *fiber)
{
    const Frame *frame = fiber->frame;
    bool intercepted = fiber->wait == WAIT_INTERCEPT;
    VmRequest request = { .id = fiber->request, .fiber = fiber->id, .effect = fiber_effect(run, fiber), .span = fiber->span, .scripted = intercepted,
                          .span_func = NO_INDEX, .shielded = fiber->shield > 0, .deadline_us = fiber_deadline(fiber) };
    request.args = frame->regs + (intercepted ? 0 : INSN_C(frame->pc[-1]));
    request.arg_count = request.effect->param_count;
    if (intercepted && frame > fiber->frames) frame--;   /* the call, not the tool that was not entered */
    request.func = frame->func->index;
    request.pc = frame_pc(frame) ? frame_pc(frame) - 1 : 0;
    return request;
}

static VmRequest request_of_note(const VmRun *run, const Out *out)
{
    bool span = out->source == OUT_SPAN_BEGIN || out->source == OUT_SPAN_END;
    return (VmRequest){ .id = out->id, .fiber = out->fiber, .effect = out_effect(run, out), .args = out->args, .arg_count = out->arg_count, .func = out->func, .pc = out->pc,
                        .span = out->span, .parent_span = out->parent_span, .span_func = span ? out->span_func : NO_INDEX, .is_note = true,
                        .span_failed = out->span_failed, .deadline_us = INT64_MAX };
}

static bool out_pop(VmRun *run, Out *out)
{
    if (!run->out_count) return false;
    *out = run->outs[run->out_first++];
    if (!--run->out_count) run->out_first = 0;
    HEAP_ENTER(run);
    heap_discharge(sizeof(Out));
    HEAP_LEAVE();
    return true;
}

bool vm_next_request(VmRun *run, VmRequest *out)
{
    Out next;
    fetched_drop(run);
    while (out_pop(run, &next)) {
        if (next.is_note) {
            run->fetched = next;
            *out = request_of_note(run, &run->fetched);
            return true;
        }
        Pending *pending = pending_find(run, next.id);
        if (!pending) continue;                          /* interrupted before anybody saw it */
        pending->fetched = true;
        *out = request_of(run, pending->fiber);
        return true;
    }
    return false;
}

bool vm_pending_find(const VmRun *run, uint64_t id, VmRequest *out)
{
    const Pending *pending = pending_find(run, id);
    if (!pending || !pending->fetched) return false;
    if (out) *out = request_of(run, pending->fiber);
    return true;
}

bool vm_pending_each(VmRun *run, bool (*visit)(const VmRequest *request, void *arg), void *arg)
{
    for (uint32_t k = 0; k < run->pending_count; k++) {
        if (!run->pendings[k].fetched) continue;
        VmRequest request = request_of(run, run->pendings[k].fiber);
        if (!visit(&request, arg)) return false;
    }
    return true;
}

/* ---- deliveries ---- */

static void txn_watch(Fiber *fiber, const ImageEffect *effect, bool ok)
{
    if (effect->kind == EFFECT_TXN_BEGIN) fiber->in_txn = ok;
    if (effect->kind == EFFECT_TXN_COMMIT || effect->kind == EFFECT_TXN_ROLLBACK) fiber->in_txn = false;
}

static void raise_later(VmRun *run, Fiber *fiber, Value error)
{
    fiber->raising = error_at(run, error, fiber->frame);
    fiber->raising_set = true;
    ready_push(run, fiber);
}

static void answer_intercepted(VmRun *run, Fiber *fiber, Value result)
{
    fiber->frame->flags &= (uint16_t)~FRAME_INTERCEPTED;
    if (vm_return(run, fiber, result) == FLOW_RELOAD) ready_push(run, fiber);
}

static void answer_effect(VmRun *run, Fiber *fiber, const ImageEffect *effect, Value result)
{
    Value *reg = &fiber->frame->regs[INSN_A(fiber->frame->pc[-1])];
    if (type_counted(run->image, effect->result)) {
        value_release(*reg);
        *reg = result;
    } else if (run->image->types[effect->result].kind != KIND_VOID) *reg = result;
    ready_push(run, fiber);
}

static Fiber *awaited(VmRun *run, uint64_t request_id)
{
    fetched_drop(run);
    Pending *pending = run_ended(run) ? NULL : pending_find(run, request_id);
    return pending ? pending->fiber : NULL;
}

bool vm_resume(VmRun *run, uint64_t request_id, Value result)
{
    Fiber *fiber = awaited(run, request_id);
    const ImageEffect *effect = fiber ? fiber_effect(run, fiber) : NULL;
    if (!fiber) return false;                            /* its type is not known any more, so the caller keeps it */
    HEAP_ENTER(run);
    run->metered = meter_holds(run, fiber);
    heap_limit_set(run);                                 /* whose it is */
    const char *over = type_counted(run->image, effect->result) ? value_adopt(&result) : NULL;
    bool intercepted = fiber->wait == WAIT_INTERCEPT;
    request_forget(run, fiber);
    fiber->wait = WAIT_NONE;
    txn_watch(fiber, effect, true);
    if (over) {
        value_release(result);
        vm_fail_limit(run, over);
        Value error = run->raised;
        run->raised.w = 0;
        raise_later(run, fiber, error);
    } else if (intercepted) answer_intercepted(run, fiber, result);
    else answer_effect(run, fiber, effect, result);
    meter_rest(run);
    HEAP_LEAVE();
    return true;
}

bool vm_raise(VmRun *run, uint64_t request_id, Value error)
{
    Fiber *fiber = awaited(run, request_id);
    if (!fiber) {
        value_release(error);
        return false;
    }
    HEAP_ENTER(run);
    const ImageEffect *effect = fiber_effect(run, fiber);
    request_forget(run, fiber);
    fiber->wait = WAIT_NONE;
    txn_watch(fiber, effect, false);
    const char *over = error.o ? value_adopt(&error) : "VALUE_WEIGHT_MAX";
    if (over) {
        value_release(error);
        vm_fail_limit(run, over);
        error = run->raised;
        run->raised.w = 0;
    }
    raise_later(run, fiber, error);
    HEAP_LEAVE();
    return true;
}

bool vm_decline(VmRun *run, uint64_t request_id)
{
    Fiber *fiber = awaited(run, request_id);
    if (!fiber || fiber->wait != WAIT_INTERCEPT) return false;
    HEAP_ENTER(run);
    request_forget(run, fiber);
    fiber->wait = WAIT_NONE;
    fiber->frame->flags &= (uint16_t)~FRAME_INTERCEPTED;
    ready_push(run, fiber);
    HEAP_LEAVE();
    return true;
}

int64_t vm_next_deadline(const VmRun *run, uint32_t *scope)
{
    int64_t earliest = INT64_MAX;
    if (run->mark_count == 0 || run_ended(run)) return earliest;       /* most have none, and their fibers need not be looked at */
    for (uint32_t f = 0; f < run->fiber_count; f++)
        for (uint32_t k = 0; k < run->fibers[f]->mark_count; k++) {
            const Mark *mark = &run->fibers[f]->marks[k];
            if (mark->shield || mark->expired || mark->deadline_us >= earliest) continue;
            earliest = mark->deadline_us;
            if (scope) *scope = mark->id;
        }
    return earliest;
}

bool vm_expire(VmRun *run, uint32_t scope)
{
    fetched_drop(run);
    for (uint32_t f = 0; f < run->fiber_count && !run_ended(run); f++)
        for (uint32_t k = 0; k < run->fibers[f]->mark_count; k++) {
            Fiber *fiber = run->fibers[f];
            if (fiber->marks[k].shield || fiber->marks[k].id != scope || fiber->marks[k].expired) continue;
            HEAP_ENTER(run);
            fiber->marks[k].expired = true;
            fiber_interrupt_update(fiber);
            if (!fiber->shield) fiber_wake(run, fiber);
            HEAP_LEAVE();
            return true;
        }
    return false;
}

void vm_cancel(VmRun *run, Str reason)
{
    char text[256];
    size_t len = reason.len < sizeof text ? reason.len : sizeof text - 1;
    while (len && len < reason.len && ((unsigned char)reason.ptr[len] & 0xC0) == 0x80) len--;      /* not inside a character */
    memcpy(text, len ? reason.ptr : "", len);
    text[len] = '\0';
    fetched_drop(run);
    if (!run->main || run_ended(run)) return;
    HEAP_ENTER(run);
    fiber_cancel(run, run->main, text);
    HEAP_LEAVE();
}

bool vm_cancelled(const VmRun *run)
{
    return run->main && run->main->cancel_pending;
}

void vm_intercept_tool(VmRun *run, uint16_t tool)
{
    if (tool >= run->image->tool_count) return;
    run->intercepts[tool] = 1;
    run->intercepts_any = true;
}

/* ---- looking at it ---- */

Value vm_result(const VmRun *run) { return run->result; }
Value vm_error(const VmRun *run) { return run->error; }
Image *vm_image(const VmRun *run) { return run->image; }
const Heap *vm_heap(const VmRun *run) { return &run->heap; }

void vm_fetch(const VmRun *run, int stage)
{
    const char *first = (const char *)run, *fiber = stage == 1 ? (const char *)run->main : NULL;
    switch (stage) {
    case 0:
        for (size_t k = 0; k < offsetof(VmRun, meter); k += 64) __builtin_prefetch(first + k);
        break;
    case 1:
        for (size_t k = 0; fiber && k < sizeof *run->main; k += 64) __builtin_prefetch(fiber + k);
        __builtin_prefetch(run->pendings);
        __builtin_prefetch(run->outs);
        break;
    default:
        if (!run->main || !run->main->frame) break;
        __builtin_prefetch(run->main->frame);
        __builtin_prefetch(run->main->stack);
        break;
    }
}
uint64_t vm_fuel_used(const VmRun *run) { return run->fuel_used; }
uint64_t vm_last_request(const VmRun *run) { return run->last_request; }
uint16_t vm_func(const VmRun *run) { return run->func; }

bool vm_in_transaction(const VmRun *run)
{
    for (uint32_t k = 0; k < run->fiber_count; k++)
        if (run->fibers[k]->in_txn) return true;
    return false;
}

static void explain_fiber(const VmRun *run, const Fiber *fiber, Buf *out)
{
    const Frame *frame = fiber->frame;
    const ImageLine *line = image_line(frame->func->func, frame_pc(frame) ? frame_pc(frame) - 1 : 0);
    buf_printf(out, "fiber %u in %.*s", fiber->id, STR_ARG(frame->func->func->name));
    if (line && line->file < run->image->file_count) buf_printf(out, " at %.*s:%u", STR_ARG(run->image->files[line->file]), line->line);
    if (fiber->wait == WAIT_EFFECT || fiber->wait == WAIT_INTERCEPT) {
        const ImageEffect *effect = fiber_effect(run, fiber);
        const char *word = effect_name(effect->kind);
        buf_printf(out, " waits for %s", word ? word : "an effect");
        if (effect->name.len) buf_printf(out, " %.*s", STR_ARG(effect->name));
        buf_printf(out, ", request %llu", (unsigned long long)fiber->request);
    } else if (fiber->wait == WAIT_AGAIN || fiber->wait == WAIT_UNWIND) buf_put_text(out, " waits for its branches");
    else buf_put_text(out, " is ready");
    if (fiber->raising_set) buf_put_text(out, ", failing");
    if (fiber->shield) buf_put_text(out, ", shielded");
    int64_t deadline = fiber_deadline(fiber);
    if (deadline != INT64_MAX) {
        buf_put_text(out, ", until ");
        timestamp_print(deadline, out);
    }
    buf_put_char(out, '\n');
}

void vm_explain(const VmRun *run, Buf *out)
{
    for (uint32_t k = 0; k < run->fiber_count; k++) explain_fiber(run, run->fibers[k], out);
}
