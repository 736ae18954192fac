/* bench_vm.c - runs every function of a .flow file that takes nothing: the best of five, in milliseconds, and its value. */
#include <stdio.h>
#include <time.h>

#include "compiler/typed.h"
#include "interpreter/vm/vm.h"

static double cpu_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double run_once(Image *image, uint16_t func, int64_t *value) {
    VmInfo info = { STR("bench"), STR("t"), STR("u"), STR("bench"), STR("bench"), STR("u"), STR("bench") };
    VmLimits limits = { 0 };
    double start = cpu_ms();
    VmRun *run = vm_new(image, func, NULL, &info, &limits);
    VmStatus status;
    while ((status = vm_run(run)) == VM_SLICE_ENDED) {}
    double took = cpu_ms() - start;
    *value = status == VM_DONE ? vm_result(run).i : -1;
    vm_free(run);
    return took;
}

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: bench_vm FILE.flow\n"), 2;
    Program *program = program_load(argv[1], NULL, 0);
    Image *image = program ? compile_program(program, false) : NULL;
    if (!image) return fprintf(stderr, "bench_vm: cannot compile %s\n", argv[1]), 1;
    Error error = { 0 };
    Buf bytes = { 0 };
    image_encode(image, &bytes);
    Image *loaded = NULL;
    if (image_decode(buf_str(&bytes), &loaded, &error) != ERR_OK) return fprintf(stderr, "bench_vm: %s\n", error.text), 1;
    for (uint16_t i = 0; i < loaded->func_count; i++) {
        const ImageFunc *func = &loaded->funcs[i];
        if (func->kind != FUNC_FN || func->param_count) continue;
        double best = 1e9;
        int64_t value = 0;
        for (int n = 0; n < 5; n++) {
            double took = run_once(loaded, i, &value);
            if (took < best) best = took;
        }
        printf("%.*s %.2f %lld\n", STR_ARG(func->name), best, (long long)value);
    }
    buf_free(&bytes);
    image_free(loaded);
    image_free(image);
    program_free(program);
    return 0;
}
