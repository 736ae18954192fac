/* fuzz_extension.c - any bytes behind the head of an extension are a plan or are refused with a reason; a plan that is accepted runs within its bound, whatever
 * its calls are answered with, and the state of its run at each pause reads back as it was written.
 *
 * The first byte chooses the program around the plan and how large its bound may be.
 */
#include "interpreter/vm/snapshot_internal.h"
#include "tests/unit/plan_asm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FLAGS_COUNT = 16, STEPS_MAX = 40, SLICES_MAX = 100, UNDO_TRIES = 16, FUEL_MAX = 3000, MEMORY_MAX = 200000, CALLS_MAX = 6 };

static Image *base_of(int flags)
{
    static Image *bases[FLAGS_COUNT];
    if (!bases[flags]) bases[flags] = plan_base(flags);
    return bases[flags];
}

static void put_head(const Image *base, Buf *out)
{
    buf_put_text(out, "FLOWX");
    buf_put_varint(out, IMAGE_VERSION);
    buf_put(out, base->hash.bytes, SHA256_BYTES);
}

static void check_round(VmRun *run)
{
    Buf first = { 0 }, second = { 0 };
    Error error = { 0 };
    state_encode(run, &first);
    VmRun *again = run_new(run->root, &asm_info, &run->limits);
    HEAP_ENTER(again);
    Err err = state_decode(again, buf_str(&first), &error);
    HEAP_LEAVE();
    if (err) abort();
    state_encode(again, &second);
    if (!str_eq(buf_str(&first), buf_str(&second))) abort();
    vm_free(again);
    buf_free(&first);
    buf_free(&second);
}

static void check_bound(const VmRun *run, uint64_t remote_calls)
{
    const Meter *meter = &run->meter;
    if (!meter_open(run)) return;
    const ImagePlan *bound = &run->image->plans[meter->plan];
    if (meter->fuel_used > bound->fuel) abort();
    if (meter->calls > bound->calls || meter->undo_calls > UNDO_TRIES * (uint64_t)bound->calls) abort();
    if (remote_calls > meter->calls + (uint64_t)meter->undo_calls) abort();
    for (uint16_t k = 0; k < run->image->tool_count; k++)
        if (meter->tool_calls[k] > bound->calls_per_tool) abort();
    if (meter->tokens > bound->tokens || meter->micro_usd > bound->micro_usd) abort();
}

/* Runs until it waits or ends; the remote calls that the plan asked for are counted. */
static VmStatus run_on(VmRun *run, uint64_t *remote_calls)
{
    VmStatus status = VM_SLICE_ENDED;
    for (int k = 0; status == VM_SLICE_ENDED; k++) {
        VmRequest request;
        if (k > SLICES_MAX) abort();
        status = vm_run(run);
        while (vm_next_request(run, &request))
            *remote_calls += meter_open(run) && request.effect->kind == EFFECT_REMOTE_CALL && !request.is_note && run->image->funcs[request.func].kind != FUNC_FN;
    }
    return status;
}

static bool first_request(const VmRequest *request, void *arg)
{
    *(VmRequest *)arg = *request;
    return false;
}

static void answer(VmRun *run, Image *plan, int step)
{
    VmRequest request = { 0 };
    uint32_t scope;
    vm_pending_each(run, first_request, &request);
    if (!request.id) {
        vm_cancel(run, STR("nothing is awaited"));
        return;
    }
    uint16_t result = request.effect->result;
    if (request.effect->kind == EFFECT_PLAN_LOAD) {
        bool extended = vm_extend(run, plan);
        vm_resume(run, request.id, int_value(extended ? plan->plans[plan->plan_count - 1].func : -1));
    } else if (step % 5 == 4 && vm_next_deadline(run, &scope) != INT64_MAX) vm_expire(run, scope);
    else if (step % 7 == 6) vm_raise(run, request.id, error_value(run, ERROR_KIND_unavailable, "no"));
    else vm_resume(run, request.id, type_counted(run->image, result) ? (Value){ 0 } : int_value(run->image->types[result].kind == KIND_BOOL ? step & 1 : step));
}

static void run_plan(Image *base, Image *plan)
{
    VmRun *run = vm_new(base, PLAN_FUNC_MAIN, NULL, &asm_info, &(VmLimits){ .fuel = 100000, .memory_bytes = 1 << 20, .fibers = 100 });
    uint64_t remote_calls = 0;
    for (int step = 0; step < STEPS_MAX; step++) {
        VmStatus status = run_on(run, &remote_calls);
        check_bound(run, remote_calls);
        check_round(run);
        if (status == VM_DONE || status == VM_FAILED) break;
        answer(run, plan, step);
    }
    vm_cancel(run, STR("enough"));
    run_on(run, &remote_calls);
    vm_free(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    Image *base = base_of(data[0] % FLAGS_COUNT), *plan = NULL;
    Buf bytes = { 0 }, again = { 0 }, text = { 0 };
    Error error = { 0 };
    put_head(base, &bytes);
    buf_put(&bytes, data + 1, size - 1);
    if (image_decode_extension(base, buf_str(&bytes), &plan, &error)) {
        if (!error.text[0]) abort();
    } else {
        image_encode_extension(plan, &again);
        if (!str_eq(buf_str(&again), buf_str(&bytes))) abort();
        image_disasm(plan, &text);
        ImagePlan *bound = plan->plan_count ? &plan->plans[0] : NULL;
        if (bound && data[0] & FLAGS_COUNT) {            /* small enough to be reached */
            bound->fuel %= FUEL_MAX;
            bound->memory_bytes %= MEMORY_MAX;
            bound->calls %= CALLS_MAX;
        }
        if (bound) run_plan(base, plan);
        image_free(plan);
    }
    buf_free(&bytes);
    buf_free(&again);
    buf_free(&text);
    return 0;
}

/* Real plans to start from: an argument names a directory that gets one file for each. */
#ifdef FUZZ_MAIN
static Image *calls(Image *base) { return plan_of_calls(base, PLAN_TOOL_ADD, 3, 5, NULL); }
static Image *saga(Image *base) { return plan_of_saga(base, 2, PLAN_TOOL_GROW, 100, NULL); }
static Image *branches_of_plan(Image *base) { return plan_of_branches(base, 3); }
static Image *retries(Image *base) { return plan_of_retries(base, PLAN_TOOL_ASK, NULL); }

int main(int argc, char **argv)
{
    static Image *(*const plans[])(Image *) = { calls, saga, branches_of_plan, retries };
    for (int flags = 0; flags < 2 * FLAGS_COUNT; flags += 3)
        for (size_t p = 0; p < sizeof plans / sizeof *plans; p++) {
            Image *base = base_of(flags % FLAGS_COUNT), *plan = plans[p](base);
            Buf bytes = { 0 }, head = { 0 }, file = { 0 };
            char path[4096];
            put_head(base, &head);
            image_encode_extension(plan, &bytes);
            buf_put_u8(&file, (uint8_t)flags);
            buf_put(&file, bytes.ptr + head.len, bytes.len - head.len);
            LLVMFuzzerTestOneInput((const uint8_t *)file.ptr, file.len);
            snprintf(path, sizeof path, "%s/plan-%zu-%d", argc > 1 ? argv[1] : ".", p, flags);
            if (argc > 1) file_write(path, buf_str(&file), NULL);
            buf_free(&bytes);
            buf_free(&head);
            buf_free(&file);
            image_free(plan);
        }
    return 0;
}
#endif
