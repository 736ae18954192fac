/* saga.c - compensations: what undoes the steps that were done.
 *
 * A fiber has one stack of compensations and a stack of sagas that are marks on it. Every compensation has a number in the order of
 * pushing over the whole run; where those of several fibers come together they are put in that order, so that undoing goes backwards
 * through what really happened.
 */
#include "interpreter/vm/vm_internal.h"
#include <stdlib.h>

enum { SAGA_ROWS_MIN = 4 };

void comp_add(Comps *comps, Comp comp)
{
    if (comps->count == comps->cap) {
        comps->cap = (uint32_t)room_of((size_t)comps->count + 1, SAGA_ROWS_MIN);
        comps->items = mem_realloc(comps->items, comps->cap * sizeof(Comp));
    }
    comps->items[comps->count++] = comp;
}

static size_t comp_charge(uint16_t arg_count) { return sizeof(Comp) + arg_count * sizeof(Value); }

/* Arguments of a compensation are counted where its function's parameters are, which the note of it in `args` cannot know: the run does. */
Comp comp_make(const LiveFunc *func, uint64_t seq, const Value *args)
{
    Comp comp = { .seq = seq, .func = func->index, .arg_count = func->param_count, .args = mem_alloc((func->param_count + 1u) * sizeof(Value)) };
    memcpy(comp.args, args, func->param_count * sizeof(Value));
    for (uint16_t k = 0; k < func->counted_params; k++) value_retain(comp.args[func->counted[k]]);
    heap_charge(comp_charge(comp.arg_count));
    return comp;
}

static void comp_free(const VmRun *run, Comp *comp)
{
    const LiveFunc *func = &run->live->funcs[comp->func];
    for (uint16_t k = 0; k < func->counted_params; k++) value_release(comp->args[func->counted[k]]);
    heap_discharge(comp_charge(comp->arg_count));
    free(comp->args);
}

static void comps_cut(const VmRun *run, Comps *comps, uint32_t count)
{
    while (comps->count > count) comp_free(run, &comps->items[--comps->count]);
}

void comps_free(const VmRun *run, Comps *comps)
{
    comps_cut(run, comps, 0);
    free(comps->items);
    *comps = (Comps){ 0 };
}

static uint32_t saga_mark(const Fiber *fiber) { return fiber->saga_count ? fiber->sagas[fiber->saga_count - 1].mark : 0; }

/* Entries are kept when a saga of this fiber or of one that waits for it may undo them. */
static bool comps_wanted(const Fiber *fiber)
{
    return fiber->saga_count || fiber->group;
}

void comps_join(const VmRun *run, Fiber *fiber, Comps *from)
{
    uint32_t low = saga_mark(fiber);
    for (uint32_t k = 0; k < from->count && comps_wanted(fiber); k++) {
        comp_add(&fiber->comps, from->items[k]);
        for (uint32_t at = fiber->comps.count - 1; at > low && fiber->comps.items[at - 1].seq > fiber->comps.items[at].seq; at--) {
            Comp swap = fiber->comps.items[at];
            fiber->comps.items[at] = fiber->comps.items[at - 1];
            fiber->comps.items[at - 1] = swap;
        }
    }
    if (comps_wanted(fiber)) from->count = 0;
    comps_free(run, from);
}

void saga_push(Fiber *fiber, Saga saga)
{
    if (fiber->saga_count == fiber->saga_cap) {
        fiber->saga_cap = (uint32_t)room_of((size_t)fiber->saga_count + 1, SAGA_ROWS_MIN);
        fiber->sagas = mem_realloc(fiber->sagas, fiber->saga_cap * sizeof(Saga));
    }
    heap_charge(sizeof(Saga));
    fiber->sagas[fiber->saga_count++] = saga;
}

void saga_close(Fiber *fiber)
{
    Saga *saga = &fiber->sagas[--fiber->saga_count];
    value_release(saga->undone);
    value_release(saga->not_undone);
    heap_discharge(sizeof(Saga));
}

void sagas_leave(Fiber *fiber, uint32_t frame)
{
    while (fiber->saga_count && fiber->sagas[fiber->saga_count - 1].frame >= frame) saga_close(fiber);
}

Flow op_saga_enter(VmRun *run, Fiber *fiber)
{
    fiber->frame->flags |= FRAME_OWNS;
    saga_push(fiber, (Saga){ .mark = fiber->comps.count, .frame = frame_index(fiber, fiber->frame) });
    return FLOW_NEXT;
}

Flow op_comp_push(VmRun *run, Fiber *fiber, Insn i, Value *regs)
{
    if (comps_wanted(fiber)) comp_add(&fiber->comps, comp_make(&run->live->funcs[INSN_B(i)], ++run->comp_seq, regs + INSN_C(i)));
    return FLOW_NEXT;
}

/* The sagas of who called a plan are not the plan's to end. */
static bool saga_there(const VmRun *run, const Fiber *fiber) { return fiber->saga_count && !meter_hides_saga(run, fiber); }

void op_saga_commit(const VmRun *run, Fiber *fiber)
{
    if (!saga_there(run, fiber)) return;
    uint32_t mark = saga_mark(fiber);
    saga_close(fiber);
    if (!comps_wanted(fiber)) comps_cut(run, &fiber->comps, mark);
}

Flow op_comp_next(VmRun *run, Fiber *fiber, Insn i, Value *regs)
{
    regs[INSN_A(i)].i = saga_there(run, fiber) && fiber->comps.count > saga_mark(fiber);
    if (!regs[INSN_A(i)].i) return FLOW_NEXT;
    Comp comp = fiber->comps.items[--fiber->comps.count];
    Flow flow = vm_call(run, fiber, &run->live->funcs[comp.func], comp.args, 0);
    comp_free(run, &comp);
    return flow;
}

static bool list_extend(Value *list, Value more)
{
    for (uint32_t k = 0; k < list_count(more); k++) {
        Value item = list_item(more, k);
        value_retain(item);
        if (list_append(list, item, true)) return false;
    }
    return true;
}

/* Lists too long to extend keep what fits: the saga's own record in the journal has them all. */
static Value error_field_extend(VmRun *run, Value error, int field, Value more)
{
    if (!list_count(more)) return error;
    Value list = record_field(error, (uint32_t)field);
    value_retain(list);
    list_extend(&list, more);
    record_set(run->image, TYPE_INDEX_ERROR, &error, (uint32_t)field, list);
    return error;
}

Flow op_saga_abort(VmRun *run, Fiber *fiber, Insn i, Value *regs)
{
    if (!saga_there(run, fiber)) return FLOW_NEXT;
    Saga *saga = &fiber->sagas[fiber->saga_count - 1];
    uint32_t mark = saga->mark;
    Value error = regs[INSN_A(i)];
    error = error_field_extend(run, error, ERROR_FIELD_UNDONE, saga->undone);
    error = error_field_extend(run, error, ERROR_FIELD_NOT_UNDONE, saga->not_undone);
    regs[INSN_A(i)] = error;
    saga_close(fiber);
    comps_cut(run, &fiber->comps, mark);
    return FLOW_NEXT;
}

Flow op_comp_report(VmRun *run, Fiber *fiber, Insn i, Value *regs)
{
    if (!saga_there(run, fiber)) return FLOW_NEXT;
    Saga *saga = &fiber->sagas[fiber->saga_count - 1];
    Value step = regs[INSN_A(i)];
    value_retain(step);
    const char *over = list_append(regs[INSN_B(i)].i ? &saga->undone : &saga->not_undone, step, true);
    if (!over) return FLOW_NEXT;
    vm_fail_limit(run, over);
    return FLOW_RAISE;
}
