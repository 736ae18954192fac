/* plan.c - plans: the image of a run grows while it runs, a function of it is called by its number, and a meter says when it had enough.
 */
#include "interpreter/vm/vm_internal.h"

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

/* ---- instructions ---- */

static const ImagePlan *plan_find(const Image *image, int64_t func)
{
    for (uint32_t k = image->plan_count; k--;)
        if (image->plans[k].func == func) return &image->plans[k];
    return NULL;
}

Flow op_call_plan(VmRun *run, Fiber *fiber, Insn i, Value *regs)
{
    const ImagePlan *plan = plan_find(run->image, regs[INSN_B(i)].i);
    if (!plan) return vm_fail(run, ERROR_KIND_invalid, "no plan has the number %lld", (long long)regs[INSN_B(i)].i), FLOW_RAISE;
    if (fiber->in_txn) return vm_fail(run, ERROR_KIND_invalid, "a plan cannot run in a transaction"), FLOW_RAISE;
    return vm_call(run, fiber, &run->live->funcs[plan->func], regs, INSN_A(i));
}

Flow op_meter(VmRun *run, Fiber *fiber, Insn i)
{
    return FLOW_NEXT;
}

bool vm_meter_tokens(VmRun *run, uint64_t tokens)
{
    return true;
}
