/* snapshot_state.c - the state of a run written down, in this order: extensions of its image, the run, its meter, its fibers, its groups, the ready queue, what was asked.
 *
 * Every field of vm_internal.h that cannot be had from the image or from other fields stands here once. Registers are written by their
 * types, frame by frame; capacities of stacks are state, because they are charged.
 */
#include "interpreter/vm/snapshot_internal.h"

static void put_flags(Buf *out, const bool *flags, int count)
{
    uint8_t bits = 0;
    for (int k = 0; k < count; k++) bits |= (uint8_t)(flags[k] << k);
    buf_put_u8(out, bits);
}

static void put_run(const VmRun *run, Buf *out)
{
    buf_put_varint(out, run->func);
    put_flags(out, (bool[]){ run->fuel_reserve, run->memory_reserve, run->heap.over, run->intercepts_any }, 4);
    buf_put_varint(out, run->fuel_used);
    buf_put_varint(out, run->output_used);
    buf_put_varint(out, run->heap.peak_bytes);
    buf_put_varint(out, run->last_request);
    buf_put_varint(out, run->comp_seq);
    buf_put_varint(out, run->last_fiber);
    buf_put_varint(out, run->last_group);
    buf_put_varint(out, run->last_span);
    buf_put_varint(out, run->last_scope);
    for (uint16_t k = 0; run->intercepts_any && k < run->image->tool_count; k++) buf_put_u8(out, run->intercepts[k]);
}

/* The oldest first: each says what it extends. */
static void put_extensions(const VmRun *run, Buf *out)
{
    Image *chain[VM_PLANS_MAX];
    uint32_t count = 0;
    for (Image *image = run->image; image != run->root; image = image->base) chain[count++] = image;
    buf_put_varint(out, count);
    while (count--) {
        Buf bytes = { 0 };
        image_encode_extension(chain[count], &bytes);
        buf_put_bytes(out, buf_str(&bytes));
        buf_free(&bytes);
    }
}

/* The plan as a number above 0, so that none is a byte. */
static void put_meter(const VmRun *run, Buf *out)
{
    const Meter *meter = &run->meter;
    buf_put_varint(out, (uint16_t)(meter->plan + 1));
    if (!meter_open(run)) return;
    put_flags(out, (bool[]){ meter->fuel_reserve, meter->memory_reserve, meter->ending }, 3);
    buf_put_u8(out, meter->over);
    buf_put_varint(out, meter->fiber);
    buf_put_varint(out, meter->frame);
    buf_put_varint(out, meter->fuel_used);
    buf_put_varint(out, meter->memory_end);
    buf_put_varint(out, meter->calls);
    buf_put_varint(out, meter->undo_calls);
    buf_put_varint(out, meter->overruns);
    for (uint16_t k = 0; k < run->image->tool_count; k++) buf_put_varint(out, meter->tool_calls[k]);
    buf_put_varint(out, meter->tokens);
    buf_put_varint(out, meter->tokens_used);
    buf_put_zigzag(out, meter->micro_usd);
}

static void put_frame(ValueWriter *w, const Fiber *fiber, const Frame *frame)
{
    const ImageFunc *func = frame->func->func;
    const Value *regs = frame->regs;
    buf_put_varint(w->out, frame->func->index);
    buf_put_varint(w->out, frame_pc(frame));
    buf_put_varint(w->out, frame->result);
    buf_put_u8(w->out, frame->flags & (FRAME_SPAN | FRAME_OWNS | FRAME_INTERCEPTED));
    buf_put_varint(w->out, frame->span);
    buf_put_varint(w->out, frame->span_outside);
    for (uint16_t r = 0; r < func->reg_count; r++) state_put_value(w, func->reg_types[r], regs[r]);
}

static void put_mark(Buf *out, const Mark *mark)
{
    put_flags(out, (bool[]){ mark->shield, mark->expired, mark->spent }, 3);
    buf_put_varint(out, mark->frame);
    buf_put_varint(out, mark->pc);
    buf_put_varint(out, mark->id);
    buf_put_zigzag(out, mark->deadline_us);
}

static void put_comps(ValueWriter *w, const Comps *comps)
{
    buf_put_varint(w->out, comps->count);
    for (uint32_t k = 0; k < comps->count; k++) {
        const Comp *comp = &comps->items[k];
        buf_put_varint(w->out, comp->seq);
        buf_put_varint(w->out, comp->func);
        for (uint16_t a = 0; a < comp->arg_count; a++) state_put_value(w, w->image->funcs[comp->func].reg_types[a], comp->args[a]);
    }
}

static unsigned log2_of(size_t power) { return power ? (unsigned)__builtin_ctzll(power) : 0; }

static void put_fiber(ValueWriter *w, const Fiber *fiber)
{
    uint32_t frame_count = frame_index(fiber, fiber->frame) + 1;
    buf_put_varint(w->out, fiber->id);
    buf_put_u8(w->out, fiber->wait);
    put_flags(w->out, (bool[]){ fiber->queued, fiber->raising_set, fiber->cancel_pending, fiber->cancel_raised, fiber->in_txn }, 5);
    buf_put_varint(w->out, fiber->group ? fiber->group->id : 0);
    buf_put_varint(w->out, fiber->slot);
    buf_put_varint(w->out, fiber->span);
    buf_put_varint(w->out, fiber->request);
    buf_put_u8(w->out, (uint8_t)log2_of((size_t)(fiber->stack_end - fiber->stack)));
    buf_put_u8(w->out, (uint8_t)log2_of(fiber->frame_cap));
    buf_put_varint(w->out, frame_count);
    for (uint32_t k = 0; k < frame_count; k++) put_frame(w, fiber, &fiber->frames[k]);
    buf_put_varint(w->out, fiber->mark_count);
    for (uint32_t k = 0; k < fiber->mark_count; k++) put_mark(w->out, &fiber->marks[k]);
    put_comps(w, &fiber->comps);
    buf_put_varint(w->out, fiber->saga_count);
    for (uint32_t k = 0; k < fiber->saga_count; k++) {
        buf_put_varint(w->out, fiber->sagas[k].mark);
        buf_put_varint(w->out, fiber->sagas[k].frame);
        state_put_value(w, TYPE_INDEX_LIST_STRING, fiber->sagas[k].undone);
        state_put_value(w, TYPE_INDEX_LIST_STRING, fiber->sagas[k].not_undone);
    }
    if (fiber->raising_set) state_put_value(w, TYPE_INDEX_ERROR, fiber->raising);
    if (fiber->cancel_pending) state_put_value(w, TYPE_INDEX_STRING, fiber->cancel_reason);
}

static void put_group(ValueWriter *w, const Group *group)
{
    buf_put_varint(w->out, group->id);
    buf_put_varint(w->out, group->owner->id);
    buf_put_varint(w->out, group->frame);
    buf_put_varint(w->out, group->pc);
    buf_put_u8(w->out, group->mode);
    put_flags(w->out, (bool[]){ group->cancelling, group->freed, group->joined }, 3);
    buf_put_zigzag(w->out, group->limit);
    buf_put_varint(w->out, (uint32_t)(group->winner + 1));
    buf_put_varint(w->out, (uint32_t)(group->failed + 1));
    buf_put_varint(w->out, group->count);
    for (uint32_t k = 0; k < group->count; k++) {
        const Slot *slot = &group->slots[k];
        buf_put_u8(w->out, slot->state);
        buf_put_varint(w->out, slot->func);
        if (slot->state != SLOT_RUNS) state_put_value(w, slot->state == SLOT_OK ? w->image->funcs[slot->func].result : TYPE_INDEX_ERROR, slot->value);
        put_comps(w, &slot->comps);
    }
}

static void put_out(ValueWriter *w, const VmRun *run, const Out *out)
{
    buf_put_varint(w->out, out->id);
    buf_put_varint(w->out, out->fiber);
    put_flags(w->out, (bool[]){ out->is_note, out->span_failed }, 2);
    if (!out->is_note) return;
    buf_put_u8(w->out, out->source);
    buf_put_varint(w->out, out->source_index);
    buf_put_varint(w->out, out->func);
    buf_put_varint(w->out, out->pc);
    buf_put_varint(w->out, out->span);
    buf_put_varint(w->out, out->parent_span);
    for (uint16_t k = 0; k < out->arg_count; k++) state_put_value(w, out_types(run, out)[k], out->args[k]);
}

/* A run that ended has one value and perhaps notes nobody fetched. */
static void put_end(ValueWriter *w, const VmRun *run)
{
    buf_put_u8(w->out, run->status == VM_DONE ? 1 : run->status == VM_FAILED ? 2 : 0);
    if (run->status == VM_DONE) state_put_value(w, run->image->funcs[run->func].result, run->result);
    if (run->status == VM_FAILED) state_put_value(w, TYPE_INDEX_ERROR, run->error);
}

void state_encode(const VmRun *run, Buf *out)
{
    ValueWriter w;
    uint32_t ready = 0;
    value_writer_init(&w, run, out);
    put_extensions(run, out);
    put_run(run, out);
    put_meter(run, out);
    put_end(&w, run);
    buf_put_varint(out, run->fiber_count);
    for (uint32_t k = 0; k < run->fiber_count; k++) put_fiber(&w, run->fibers[k]);
    buf_put_varint(out, run->group_count);
    for (uint32_t k = 0; k < run->group_count; k++) put_group(&w, run->groups[k]);
    for (const Fiber *fiber = run->ready_first; fiber; fiber = fiber->next_ready) ready++;
    buf_put_varint(out, ready);
    for (const Fiber *fiber = run->ready_first; fiber; fiber = fiber->next_ready) buf_put_varint(out, fiber->id);
    buf_put_varint(out, run->out_count);
    for (uint32_t k = 0; k < run->out_count; k++) put_out(&w, run, &run->outs[run->out_first + k]);
    value_writer_deinit(&w);
}
