/* fuzz_snapshot.c - any bytes behind the seal are the state of a run or are refused with a reason; what is accepted runs on without harm,
 * and what is written of it reads back as the same. The first byte chooses the program.
 */
#include "interpreter/vm/snapshot_internal.h"
#include "tests/unit/plan_asm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Asm *race(void) { return branches(3, RACE); }
static Asm *soft(void) { return branches(3, SOFT | LIMIT); }
static Asm *(*const programs[])(void) = { saga_of_branches, scoped, race, soft, left_block, local_tool };
enum { PROGRAM_COUNT = sizeof programs / sizeof *programs, STEPS_MAX = 12 };

/* Behind those, one that runs plans. */
static Image *program(int which) { return which < PROGRAM_COUNT ? asm_done(programs[which]()) : plan_base(PLAN_IN_SAGA | PLAN_CATCHES); }

static bool answer_first(const VmRequest *request, void *arg)
{
    *(uint64_t *)arg = request->id;
    return false;
}

static void run_on(VmRun *run)
{
    for (int step = 0; step < STEPS_MAX; step++) {
        VmRequest request;
        uint32_t scope;
        uint64_t id = 0;
        VmStatus status = vm_run(run);
        while (vm_next_request(run, &request)) continue;
        if (status == VM_DONE || status == VM_FAILED) return;
        vm_pending_each(run, answer_first, &id);
        if (step % 4 == 3 && vm_next_deadline(run, &scope) != INT64_MAX) vm_expire(run, scope);
        else if (step % 3 == 2) vm_raise(run, id, value_error(vm_image(run), ERROR_KIND_rejected, STR("no")));
        else vm_resume(run, id, (Value){ .i = step });
    }
    vm_cancel(run, STR("enough"));
    vm_run(run);
}

static VmRun *read_state(Image *image, Str state, Error *error)
{
    VmRun *run = run_new(image, &asm_info, &(VmLimits){ .fuel = 20000, .memory_bytes = 1 << 20 });
    HEAP_ENTER(run);
    Err err = state_decode(run, state, error);
    HEAP_LEAVE();
    if (!err) return run;
    if (!error->text[0]) abort();
    vm_free(run);
    return NULL;
}

static void check_round(VmRun *run)
{
    Buf first = { 0 }, second = { 0 };
    Error error = { 0 };
    state_encode(run, &first);
    VmRun *again = read_state(run->root, buf_str(&first), &error);
    if (!again) abort();
    state_encode(again, &second);
    if (!str_eq(buf_str(&first), buf_str(&second))) abort();
    vm_free(again);
    buf_free(&first);
    buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Image *images[PROGRAM_COUNT + 1];
    if (!size) return 0;
    int which = data[0] % (PROGRAM_COUNT + 1);
    if (!images[which]) images[which] = program(which);
    Error error = { 0 };
    VmRun *run = read_state(images[which], (Str){ (const char *)data + 1, size - 1 }, &error);
    if (!run) return 0;
    check_round(run);
    run_on(run);
    vm_free(run);
    return 0;
}

/* Real states to start from: each argument names a directory that gets one file for every pause of every program. */
#ifdef FUZZ_MAIN
int main(int argc, char **argv)
{
    for (int p = 0; p <= PROGRAM_COUNT; p++) {
        Image *image = program(p);
        VmRun *run = start_with(image_retain(image), NULL);
        for (int step = 0; step < STEPS_MAX; step++) {
            char path[4096];
            Buf file = { 0 };
            VmStatus status = vm_run(run);
            buf_put_u8(&file, (uint8_t)p);
            state_encode(run, &file);
            LLVMFuzzerTestOneInput((const uint8_t *)file.ptr, file.len);
            snprintf(path, sizeof path, "%s/state-%d-%d", argc > 1 ? argv[1] : ".", p, step);
            if (argc > 1) file_write(path, buf_str(&file), NULL);
            buf_free(&file);
            VmRequest request;
            uint64_t id = 0;
            while (vm_next_request(run, &request)) continue;
            if (status == VM_DONE || status == VM_FAILED) break;
            vm_pending_each(run, answer_first, &id);
            int64_t number = step;
            if (p == PROGRAM_COUNT && step == 0) {       /* it waits for its plan */
                Image *plan = plan_of_saga(image, 2, PLAN_TOOL_ASK, 9, NULL);
                vm_extend(run, plan);
                number = plan->plans[0].func;
                image_free(plan);
            }
            vm_resume(run, id, (Value){ .i = number });
        }
        vm_free(run);
        image_free(image);
    }
    return 0;
}
#endif
