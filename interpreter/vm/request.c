/* request.c - what a run asks for: effects that wait for an answer, and notes that do not.
 *
 * One queue holds both in the order of their asking until the engine fetches them. A request is only a number: its arguments stay in
 * the registers of the fiber that waits. A note keeps its arguments, because its fiber goes on.
 */
#include "interpreter/vm/vm_internal.h"
#include <stdlib.h>

enum { QUEUE_ROWS_MIN = 8 };

static ImageEffect parallel_effect = { .kind = EFFECT_NOTE_PARALLEL, .target = NO_INDEX, .name = { "parallel", 8 } };
static uint16_t parallel_types[] = { TYPE_INDEX_BOOL, TYPE_INDEX_INT, TYPE_INDEX_BOOL };

/* ---- the queue ---- */

Out *out_add(VmRun *run)
{
    if (run->out_first + run->out_count == run->out_cap) {
        if (run->out_first > run->out_count) {           /* mostly fetched: move to the front instead of growing */
            memmove(run->outs, run->outs + run->out_first, run->out_count * sizeof(Out));
            run->out_first = 0;
        } else {
            run->out_cap = (uint32_t)room_of((size_t)run->out_cap + 1, QUEUE_ROWS_MIN);
            run->outs = mem_realloc(run->outs, run->out_cap * sizeof(Out));
        }
    }
    heap_charge(sizeof(Out));
    Out *out = &run->outs[run->out_first + run->out_count++];
    *out = (Out){ 0 };
    return out;
}

void out_args_free(Out *out, const uint16_t *types, const Image *image)
{
    for (uint16_t k = 0; k < out->arg_count; k++)
        if (type_counted(image, types[k])) value_release(out->args[k]);
    heap_discharge(out->arg_count * sizeof(Value));
    free(out->args);
    out->args = NULL;
    out->arg_count = 0;
}

static bool out_fails(const Out *out) { return out->source == OUT_SPAN_END && out->span_failed; }

const uint16_t *out_types(const VmRun *run, const Out *out)
{
    static const uint16_t error_type[] = { TYPE_INDEX_ERROR };
    if (out_fails(out)) return error_type;
    return out_effect(run, out)->params;
}

const ImageEffect *out_effect(const VmRun *run, const Out *out)
{
    switch (out->source) {
    case OUT_SPAN_BEGIN: return &run->live->funcs[out->source_index].effects->span_begin;
    case OUT_SPAN_END: return &run->live->funcs[out->source_index].effects->span_end;
    case OUT_PARALLEL:
        parallel_effect.params = parallel_types;
        parallel_effect.param_count = 3;
        return &parallel_effect;
    default: return &run->image->effects[out->source_index];
    }
}

void note_put(VmRun *run, Out note, const Value *args, const uint16_t *types)
{
    Out *out = out_add(run);
    note.id = ++run->last_request;
    note.args = mem_alloc((note.arg_count + 1u) * sizeof(Value));
    heap_charge(note.arg_count * sizeof(Value));
    for (uint16_t k = 0; k < note.arg_count; k++) {
        note.args[k] = args[k];
        if (type_counted(run->image, types[k])) value_retain(args[k]);
    }
    *out = note;
    if (run->out_count >= VM_NOTES_SLICE && run->fuel > 0) {     /* the slice ends here, so that they are fetched */
        run->slice -= run->fuel;
        run->fuel = 0;
    }
}

/* ---- pending requests, by ascending id ---- */

static uint32_t pending_place(const VmRun *run, uint64_t id)
{
    uint32_t low = 0, high = run->pending_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (run->pendings[middle].id < id) low = middle + 1;
        else high = middle;
    }
    return low;
}

Pending *pending_find(const VmRun *run, uint64_t id)
{
    uint32_t at = pending_place(run, id);
    return at < run->pending_count && run->pendings[at].id == id ? &run->pendings[at] : NULL;
}

void pending_add(VmRun *run, Pending pending)
{
    if (run->pending_count == run->pending_cap) {
        run->pending_cap = (uint32_t)room_of((size_t)run->pending_count + 1, QUEUE_ROWS_MIN);
        run->pendings = mem_realloc(run->pendings, run->pending_cap * sizeof(Pending));
    }
    run->pendings[run->pending_count++] = pending;
}

void request_forget(VmRun *run, Fiber *fiber)
{
    uint32_t at = pending_place(run, fiber->request);
    fiber->request = 0;
    if (at >= run->pending_count || run->pendings[at].fiber != fiber) return;
    memmove(&run->pendings[at], &run->pendings[at + 1], (run->pending_count - at - 1) * sizeof(Pending));
    run->pending_count--;
}

void request_ask(VmRun *run, Fiber *fiber, FiberWait wait)
{
    Out *out = out_add(run);
    out->id = fiber->request = ++run->last_request;
    out->fiber = fiber->id;
    fiber->wait = (uint8_t)wait;
    pending_add(run, (Pending){ .id = fiber->request, .fiber = fiber });
}

const ImageEffect *fiber_effect(const VmRun *run, const Fiber *fiber)
{
    if (fiber->wait == WAIT_INTERCEPT) return &fiber->frame->func->effects->intercepted;
    return &run->image->effects[INSN_B(fiber->frame->pc[-1])];
}

/* ---- the instruction ---- */

/* What leaves the run is counted before it does; a run that undoes what it did may always say so. */
static bool output_charge(VmRun *run, const Fiber *fiber, const ImageEffect *effect, const Value *args)
{
    enum { OUTPUT_ARG_BYTES = 16 };
    uint64_t weight = 1;
    for (uint16_t k = 0; k < effect->param_count; k++) weight += 1 + (type_counted(run->image, effect->params[k]) ? value_weight(args[k]) : 0);
    uint64_t bytes = weight * OUTPUT_ARG_BYTES;
    if (fiber->shield) return true;
    if (run->output_used + bytes > run->limits.output_bytes) return vm_fail_limit(run, "VM_OUTPUT_LIMIT");
    run->output_used += bytes;
    return true;
}

static Flow effect_note(VmRun *run, Fiber *fiber, uint16_t index, const Value *args)
{
    const ImageEffect *effect = &run->image->effects[index];
    if (run->out_count >= VM_NOTES_MAX) return vm_fail_limit(run, "VM_NOTES_MAX"), FLOW_RAISE;
    Out note = { .fiber = fiber->id, .is_note = true, .source = OUT_EFFECT, .source_index = index, .func = fiber->frame->func->index,
                 .pc = frame_pc(fiber->frame) - 1, .span = fiber->span, .arg_count = effect->param_count };
    note_put(run, note, args, effect->params);
    return FLOW_NEXT;
}

Flow op_effect(VmRun *run, Fiber *fiber, Insn i, Value *regs)
{
    const ImageEffect *effect = &run->image->effects[INSN_B(i)];
    if (!output_charge(run, fiber, effect, regs + INSN_C(i))) return FLOW_RAISE;
    if (run->metered && !meter_effect(run, effect)) return FLOW_RAISE;
    if (effect->kind == EFFECT_PLAN_LOAD && !plan_load_allowed(run)) return FLOW_RAISE;
    if (effect_class((EffectKind)effect->kind) == EFFECT_CLASS_NOTE) return effect_note(run, fiber, INSN_B(i), regs + INSN_C(i));
    if (fiber->interrupt && vm_interrupted(run, fiber)) return FLOW_RAISE;
    request_ask(run, fiber, WAIT_EFFECT);
    return FLOW_WAIT;
}
