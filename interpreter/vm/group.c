/* group.c - fibers that were started together: spawn, join, race, and what is left when the block is abandoned.
 *
 * A group belongs to the frame that made it. SPAWN and JOIN are executed again each time their fiber is woken (WAIT_AGAIN), so what
 * they wait for is never stored: it is looked at. A fiber that ended leaves its result or error and its compensations in its slot; the
 * compensations of every slot, however the fiber ended, go to the owner's saga when the group is joined or abandoned, because a step
 * that was done must be undone with the saga around it.
 */
#include "interpreter/vm/vm_internal.h"
#include <stdlib.h>

enum { GROUP_ROWS_MIN = 4 };

static uint32_t group_place(const VmRun *run, int64_t id)
{
    uint32_t low = 0, high = run->group_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (run->groups[middle]->id < id) low = middle + 1;
        else high = middle;
    }
    return low;
}

Group *group_find(const VmRun *run, int64_t id)
{
    uint32_t at = group_place(run, id);
    return at < run->group_count && run->groups[at]->id == id ? run->groups[at] : NULL;
}

Group *group_add(VmRun *run)
{
    Group *group = mem_alloc(sizeof *group);
    heap_charge(sizeof *group);
    group->id = ++run->last_group;
    group->winner = group->failed = UINT32_MAX;
    if (run->group_count == run->group_cap) {
        run->group_cap = (uint32_t)room_of((size_t)run->group_count + 1, GROUP_ROWS_MIN);
        run->groups = mem_realloc(run->groups, run->group_cap * sizeof *run->groups);
    }
    run->groups[run->group_count++] = group;
    return group;
}

uint32_t slot_add(Group *group, Slot slot)
{
    if (group->count == group->cap) {
        group->cap = (uint32_t)room_of((size_t)group->count + 1, GROUP_ROWS_MIN);
        group->slots = mem_realloc(group->slots, group->cap * sizeof(Slot));
    }
    heap_charge(sizeof(Slot));
    group->slots[group->count] = slot;
    group->running += slot.state == SLOT_RUNS;
    return group->count++;
}

bool slot_value_counted(const VmRun *run, const Slot *slot)
{
    return slot->state == SLOT_FAILED || slot->state == SLOT_CANCELLED || (slot->state == SLOT_OK && run->live->funcs[slot->func].result_counted);
}

void group_drop(VmRun *run, Group *group)
{
    for (uint32_t k = 0; k < group->count; k++) {
        if (slot_value_counted(run, &group->slots[k])) value_release(group->slots[k].value);
        comps_free(run, &group->slots[k].comps);
    }
    heap_discharge(sizeof *group + group->count * sizeof(Slot));
    uint32_t at = group_place(run, group->id);
    memmove(&run->groups[at], &run->groups[at + 1], (run->group_count - at - 1) * sizeof *run->groups);
    run->group_count--;
    free(group->slots);
    free(group);
}

static bool slot_critical(const VmRun *run, const Slot *slot) { return run->image->funcs[slot->func].flags & FUNC_FLAG_CRITICAL; }

void group_cancel(VmRun *run, Group *group, const char *reason)
{
    group->cancelling = true;
    for (uint32_t k = 0; k < group->count; k++)
        if (group->slots[k].state == SLOT_RUNS) fiber_cancel(run, group->slots[k].fiber, reason);
}

static void group_note(VmRun *run, const Group *group, bool begins)
{
    const uint16_t types[] = { TYPE_INDEX_BOOL, TYPE_INDEX_INT, TYPE_INDEX_BOOL };
    const Value args[] = { { .i = begins }, { .i = group->id }, { .i = group->mode & GROUP_RACE } };
    const Fiber *owner = group->owner;
    Out note = { .fiber = owner->id, .is_note = true, .source = OUT_PARALLEL, .arg_count = 3, .span = owner->span };
    if (owner->frame) {
        note.func = owner->frame->func->index;
        note.pc = frame_pc(owner->frame) ? frame_pc(owner->frame) - 1 : 0;
    }
    note_put(run, note, args, types);
}

/* Once, when the last fiber has ended and somebody looked. */
static void group_joined(VmRun *run, Group *group)
{
    for (uint32_t k = 0; k < group->count; k++) comps_join(run, group->owner, &group->slots[k].comps);
    if (!group->joined) group_note(run, group, false);
    group->joined = true;
}

/* SPAWN waits for room, everything else for the last fiber. */
static void owner_wake(VmRun *run, Group *group)
{
    Fiber *owner = group->owner;
    if (owner->wait == WAIT_UNWIND && group->running == 0) ready_push(run, owner);
    if (owner->wait == WAIT_AGAIN && (group->running == 0 || (uint8_t)owner->frame->pc[-1] == OP_SPAWN)) ready_push(run, owner);
}

void group_fiber_ended(VmRun *run, Fiber *fiber, bool ok, Value value)
{
    Group *group = fiber->group;
    Slot *slot = &group->slots[fiber->slot];
    bool race = group->mode & GROUP_RACE;
    slot->fiber = NULL;
    slot->comps = fiber->comps;
    fiber->comps = (Comps){ 0 };
    slot->state = ok ? SLOT_OK : value.o->flags & OBJ_CANCEL ? SLOT_CANCELLED : SLOT_FAILED;
    slot->value = value;
    group->running--;
    if (!group->cancelling) {
        if (race && ok) {
            group->winner = fiber->slot;
            group_cancel(run, group, "another branch was first");
        } else if (slot->state == SLOT_FAILED && (race || slot_critical(run, slot))) {
            group->failed = fiber->slot;
            if (!race) group_cancel(run, group, "a critical branch failed");
        }
    }
    owner_wake(run, group);
    if (group->freed && group->running == 0) {
        group_joined(run, group);
        group_drop(run, group);
    }
}

bool groups_left_run(VmRun *run, Fiber *fiber, uint32_t frame, uint32_t from, uint32_t to)
{
    bool runs = false;
    for (uint32_t pass = 0; pass < 2 && !runs; pass++)
        for (uint32_t k = run->group_count; k--;) {
            Group *group = run->groups[k];
            if (group->owner != fiber || group->frame < frame || (group->frame == frame && (group->pc < from || group->pc >= to))) continue;
            if (pass == 0 && group->running) {
                runs = true;
                group_cancel(run, group, "the block around it was left");
            } else if (pass == 1) {
                group_joined(run, group);
                group_drop(run, group);
            }
        }
    return runs;
}

/* ---- instructions ---- */

static Group *group_of(VmRun *run, Fiber *fiber, Value id)
{
    Group *group = group_find(run, id.i);
    if (group && group->owner == fiber && !group->freed) return group;
    vm_fail(run, ERROR_KIND_internal, "no such fiber group");
    return NULL;
}

Flow op_group_new(VmRun *run, Fiber *fiber, Insn i, Value *regs)
{
    if (run->group_count >= VM_GROUPS_MAX) return vm_fail_limit(run, "VM_GROUPS_MAX"), FLOW_RAISE;
    Group *group = group_add(run);
    group->owner = fiber;
    group->frame = frame_index(fiber, fiber->frame);
    group->pc = frame_pc(fiber->frame) - 1;
    group->mode = (uint8_t)(INSN_B(i) & (GROUP_RACE | GROUP_SOFT));
    group->limit = regs[INSN_C(i)].i;
    fiber->frame->flags |= FRAME_OWNS;
    regs[INSN_A(i)].i = group->id;
    group_note(run, group, true);
    return FLOW_NEXT;
}

static Flow spawn_now(VmRun *run, Group *group, Fiber *fiber, const LiveFunc *func, const Value *args)
{
    Fiber *child = fiber_new(run);
    child->group = group;
    child->span = fiber->span;
    child->slot = slot_add(group, (Slot){ .state = SLOT_RUNS, .func = func->index, .fiber = child });
    Flow flow = vm_call(run, child, func, args, 0);
    if (flow == FLOW_RELOAD) ready_push(run, child);
    if (flow != FLOW_RAISE) return FLOW_NEXT;
    group->count--;
    group->running--;
    heap_discharge(sizeof(Slot));
    fiber_free(run, child);
    return FLOW_RAISE;
}

Flow op_spawn(VmRun *run, Fiber *fiber, Insn i, Value *regs)
{
    Group *group = group_of(run, fiber, regs[INSN_A(i)]);
    if (!group) return FLOW_RAISE;
    if (fiber->interrupt && vm_interrupted(run, fiber)) return FLOW_RAISE;
    const LiveFunc *func = &run->live->funcs[INSN_B(i)];
    group->joined = false;
    if (group->cancelling) {                             /* failed or won already: no more are started */
        Value error = error_at(run, value_error(run->image, ERROR_KIND_cancelled, STR("the group had ended")), fiber->frame);
        error.o->flags |= OBJ_CANCEL;
        slot_add(group, (Slot){ .state = SLOT_CANCELLED, .func = func->index, .value = error });
        return FLOW_NEXT;
    }
    if (group->limit > 0 && group->running >= group->limit) {
        fiber->wait = WAIT_AGAIN;
        return FLOW_WAIT;
    }
    if (run->fiber_count >= run->limits.fibers) return vm_fail_limit(run, "VM_FIBERS_LIMIT"), FLOW_RAISE;
    return spawn_now(run, group, fiber, func, regs + INSN_C(i));
}

static bool critical_runs(const VmRun *run, const Group *group)
{
    for (uint32_t k = 0; k < group->count; k++)
        if (group->slots[k].state == SLOT_RUNS && slot_critical(run, &group->slots[k])) return true;
    return false;
}

/* A soft group gives its deadline up for what it has; any other interrupt cancels all, and is raised when they have ended. */
static void join_interrupted(VmRun *run, Fiber *fiber, Group *group)
{
    bool soft = group->mode & GROUP_SOFT && !(group->mode & GROUP_RACE) && fiber_deadline_due(fiber) && !critical_runs(run, group);
    if (soft) fiber_deadline_pass(fiber);
    group_cancel(run, group, soft ? "the deadline has passed" : "the fiber that waits was interrupted");
}

static Flow raise_slot(VmRun *run, const Group *group, uint32_t slot)
{
    value_retain(group->slots[slot].value);
    value_release(run->raised);
    run->raised = group->slots[slot].value;
    return FLOW_RAISE;
}

Flow op_join(VmRun *run, Fiber *fiber, Insn i, Value *regs)
{
    Group *group = group_of(run, fiber, regs[INSN_A(i)]);
    if (!group) return FLOW_RAISE;
    if (group->running && fiber->interrupt && !fiber->shield) join_interrupted(run, fiber, group);
    if (group->running) {
        fiber->wait = WAIT_AGAIN;
        return FLOW_WAIT;
    }
    group_joined(run, group);
    if (fiber->interrupt && vm_interrupted(run, fiber)) return FLOW_RAISE;
    if (group->winner == UINT32_MAX && group->failed != UINT32_MAX) return raise_slot(run, group, group->failed);
    if (group->mode & GROUP_RACE && group->winner == UINT32_MAX) {
        vm_fail(run, ERROR_KIND_invalid, "a race without branches has no winner");
        return FLOW_RAISE;
    }
    return FLOW_NEXT;
}

static Value slot_result(const VmRun *run, const Slot *slot)
{
    if (run->live->funcs[slot->func].result_counted) value_retain(slot->value);
    return slot->value;
}

static uint16_t reg_type(const Fiber *fiber, uint16_t reg) { return fiber->frame->func->func->reg_types[reg]; }

static void reg_set(const VmRun *run, const Fiber *fiber, Value *regs, uint16_t reg, Value v)
{
    if (type_counted(run->image, reg_type(fiber, reg))) value_release(regs[reg]);
    regs[reg] = v;
}

/* The verifier follows groups to the functions spawned; a snapshot could say otherwise, so it is looked at again. */
static bool slot_gives(const VmRun *run, const Slot *slot, uint16_t type) { return run->image->funcs[slot->func].result == type; }

static Flow no_result(VmRun *run)
{
    vm_fail(run, ERROR_KIND_internal, "the branch has no result");
    return FLOW_RAISE;
}

Flow op_fiber_result(VmRun *run, Fiber *fiber, Insn i, Value *regs)
{
    Group *group = group_of(run, fiber, regs[INSN_B(i)]);
    if (!group) return FLOW_RAISE;
    if (INSN_C(i) >= group->count) return no_result(run);
    const Slot *slot = &group->slots[INSN_C(i)];
    bool ok = slot->state == SLOT_OK, critical = slot_critical(run, slot);
    uint16_t type = reg_type(fiber, INSN_A(i)), result = run->image->funcs[slot->func].result;
    bool wrapped = !critical && run->image->types[result].kind != KIND_OPT;      /* T? stays T? */
    if (!slot_gives(run, slot, wrapped ? run->image->types[type].element : type)) return no_result(run);
    if (critical) {
        if (!ok) return no_result(run);
        reg_set(run, fiber, regs, INSN_A(i), slot_result(run, slot));
    } else reg_set(run, fiber, regs, INSN_A(i), ok ? opt_pack(run->image, result, slot_result(run, slot)) : (Value){ 0 });
    return FLOW_NEXT;
}

Flow op_group_results(VmRun *run, Fiber *fiber, Insn i, Value *regs)
{
    Group *group = group_of(run, fiber, regs[INSN_B(i)]);
    if (!group) return FLOW_RAISE;
    if (group->count > VALUE_ITEMS_MAX) return vm_fail_limit(run, "VALUE_ITEMS_MAX"), FLOW_RAISE;
    if (!vm_charge(run, group->count / 8)) return FLOW_RAISE;
    uint16_t element = run->image->types[reg_type(fiber, INSN_A(i))].element;
    for (uint32_t k = 0; k < group->count; k++)
        if (group->slots[k].state != SLOT_OK || !slot_gives(run, &group->slots[k], element)) return no_result(run);
    List *list = list_new(group->count, type_counted(run->image, element));
    for (uint32_t k = 0; k < group->count; k++) list->items[k] = slot_result(run, &group->slots[k]);
    list_seal(list);
    Value v = { .o = &list->head };
    const char *over = value_over(v);
    if (over) {
        value_release(v);
        return vm_fail_limit(run, over), FLOW_RAISE;
    }
    reg_set(run, fiber, regs, INSN_A(i), v);
    return FLOW_NEXT;
}

Flow op_race_result(VmRun *run, Fiber *fiber, Insn i, Value *regs)
{
    Group *group = group_of(run, fiber, regs[INSN_B(i)]);
    if (!group) return FLOW_RAISE;
    if (group->winner >= group->count || !slot_gives(run, &group->slots[group->winner], reg_type(fiber, INSN_A(i)))) return no_result(run);
    reg_set(run, fiber, regs, INSN_A(i), slot_result(run, &group->slots[group->winner]));
    return FLOW_NEXT;
}

/* A group that still runs is cancelled and forgotten when its last fiber has ended. */
void op_group_free(VmRun *run, Fiber *fiber, Value id)
{
    Group *group = group_find(run, id.i);
    if (!group || group->owner != fiber || group->freed) return;
    if (group->running) {
        group->freed = true;
        group_cancel(run, group, "the group was forgotten");
    } else {
        group_joined(run, group);
        group_drop(run, group);
    }
}
