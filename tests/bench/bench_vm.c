/* bench_vm.c - the interpreter alone: calls, loops, records, texts, lists, conditions. tests/bench/bench_vm.lua does the same in Lua 5.4.
 *
 *     build/tests/bench/bench_vm [repeats]            prints milliseconds, best of the repeats
 */
#include "base/time.h"
#include "tests/unit/vm_asm.h"

enum { INT = TYPE_INDEX_INT, BOOL = TYPE_INDEX_BOOL, TEXT = TYPE_INDEX_STRING, DEC = TYPE_INDEX_DECIMAL };

static Image *bench_fib(void)
{
    Asm *m = asm_new();
    uint16_t f = asm_func(m, "fib", FUNC_FN, INT, 1, (uint16_t[]){ INT });
    uint16_t a = asm_reg(m, INT), b = asm_reg(m, INT), arg = asm_reg(m, INT);
    uint32_t jump = EMIT(m, JGEI_INT, 0, 2, 0);
    EMIT(m, RETURN, 0, 0, 0);
    asm_here(m, jump);
    EMIT(m, ADDI_INT, arg, 0, (uint16_t)-1);
    EMIT(m, CALL, a, f, arg);
    EMIT(m, ADDI_INT, arg, 0, (uint16_t)-2);
    EMIT(m, CALL, b, f, arg);
    EMIT(m, ADD_INT, a, a, b);
    EMIT(m, RETURN, a, 0, 0);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t n = asm_reg(m, INT);
    EMIT32(m, LOADI, n, 30);
    EMIT(m, CALL, n, f, n);
    EMIT(m, RETURN, n, 0, 0);
    return asm_done(m);
}

/* for i in 0..n: body */
typedef struct Loop { uint16_t i, n; uint32_t head; } Loop;
static Loop loop_begin(Asm *m, int32_t n)
{
    Loop l = { asm_reg(m, INT), asm_reg(m, INT), 0 };
    EMIT32(m, LOADI, l.i, 0);
    EMIT32(m, LOADI, l.n, n);
    l.head = asm_pc(m);
    return l;
}
static void loop_end(Asm *m, Loop l) { EMIT(m, FORLOOP, l.i, l.n, (uint16_t)(l.head - asm_pc(m) - 1)); }

static Image *bench_loop(void)
{
    Asm *m = asm_new();
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t sum = asm_reg(m, INT), seven = asm_reg(m, INT), rest = asm_reg(m, INT);
    EMIT32(m, LOADI, sum, 0);
    EMIT32(m, LOADI, seven, 7);
    Loop l = loop_begin(m, 10000000);
    EMIT(m, MOD_INT, rest, l.i, seven);
    EMIT(m, ADD_INT, sum, sum, rest);
    loop_end(m, l);
    EMIT(m, RETURN, sum, 0, 0);
    return asm_done(m);
}

static Image *bench_while(void)
{
    Asm *m = asm_new();
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t i = asm_reg(m, INT), n = asm_reg(m, INT);
    EMIT32(m, LOADI, i, 0);
    EMIT32(m, LOADI, n, 10000000);
    uint32_t head = asm_pc(m), out = EMIT(m, JLE_INT, n, i, 0);
    EMIT(m, ADDI_INT, i, i, 1);
    EMIT32(m, LOOP, 0, head);
    asm_here(m, out);
    EMIT(m, RETURN, i, 0, 0);
    return asm_done(m);
}

static Image *bench_record(void)
{
    Asm *m = asm_new();
    uint16_t point = asm_record(m, "Point", 3, (const char *[]){ "x", "y", "name" }, (uint16_t[]){ INT, INT, TEXT });
    uint16_t origin = asm_text(m, TEXT, "origin");
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t p = asm_reg(m, point), x = asm_reg(m, INT), y = asm_reg(m, INT), name = asm_reg(m, TEXT);
    EMIT32(m, LOADI, x, 0);
    EMIT32(m, LOADI, y, 0);
    EMIT(m, LOADREF, name, origin, 0);
    EMIT(m, NEW_RECORD, p, x, point);
    Loop l = loop_begin(m, 5000000);
    EMIT(m, GET_FIELD, x, p, 0);
    EMIT(m, ADDI_INT, x, x, 1);
    EMIT(m, SET_FIELD, p, 0, x);
    EMIT(m, GET_FIELD, y, p, 1);
    EMIT(m, ADD_INT, y, y, x);
    EMIT(m, SET_FIELD, p, 1, y);
    loop_end(m, l);
    EMIT(m, GET_FIELD, y, p, 1);
    EMIT(m, RETURN, y, 0, 0);
    return asm_done(m);
}

/* A new record with two fields each time round. */
static Image *bench_alloc(void)
{
    Asm *m = asm_new();
    uint16_t point = asm_record(m, "Point", 2, (const char *[]){ "x", "y" }, (uint16_t[]){ INT, INT });
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t p = asm_reg(m, point), x = asm_reg(m, INT), y = asm_reg(m, INT), sum = asm_reg(m, INT);
    EMIT32(m, LOADI, sum, 0);
    Loop l = loop_begin(m, 3000000);
    EMIT(m, MOVE, x, l.i, 0);
    EMIT(m, MOVE, y, sum, 0);
    EMIT(m, NEW_RECORD, p, x, point);
    EMIT(m, GET_FIELD, x, p, 0);
    EMIT(m, ADD_INT, sum, sum, x);
    loop_end(m, l);
    EMIT(m, RETURN, sum, 0, 0);
    return asm_done(m);
}

static Image *bench_text(void)
{
    Asm *m = asm_new();
    uint16_t piece = asm_text(m, TEXT, "x");
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t s = asm_reg(m, TEXT), part = asm_reg(m, TEXT), len = asm_reg(m, INT);
    EMIT(m, LOADREF, s, piece, 0);
    EMIT(m, LOADREF, part, piece, 0);
    Loop l = loop_begin(m, 1000000);
    EMIT(m, CONCAT, s, s, part);
    loop_end(m, l);
    EMIT(m, BUILTIN, len, BUILTIN_STR_LENGTH, s);
    EMIT(m, RETURN, len, 0, 0);
    return asm_done(m);
}

static Image *bench_list(void)
{
    Asm *m = asm_new();
    uint16_t ints = asm_type(m, KIND_LIST, INT);
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t list = asm_reg(m, ints), x = asm_reg(m, INT), sum = asm_reg(m, INT), k = asm_reg(m, INT), n = asm_reg(m, INT);
    EMIT(m, NEW_LIST, list, 0, 0);
    EMIT32(m, LOADI, sum, 0);
    Loop l = loop_begin(m, 1000000);
    EMIT(m, LIST_PUSH, list, l.i, 0);
    loop_end(m, l);
    EMIT32(m, LOADI, k, 0);
    EMIT(m, LIST_LEN, n, list, 0);
    uint32_t head = asm_pc(m);
    EMIT(m, LIST_GET, x, list, k);
    EMIT(m, ADD_INT, sum, sum, x);
    EMIT(m, FORLOOP, k, n, (uint16_t)(head - asm_pc(m) - 1));
    EMIT(m, RETURN, sum, 0, 0);
    return asm_done(m);
}

/* The condition of a plan: a decimal price under a budget, an enum, an int. */
static Image *bench_condition(void)
{
    Asm *m = asm_new();
    uint16_t color = asm_enum(m, "Color", 3, (const char *[]){ "RED", "GREEN", "BLUE" });
    uint16_t budget_const = asm_text(m, DEC, "500.00"), step_const = asm_text(m, DEC, "0.01"), zero_const = asm_text(m, DEC, "0.00");
    asm_func(m, "main", FUNC_FN, INT, 0, NULL);
    uint16_t price = asm_reg(m, DEC), budget = asm_reg(m, DEC), step = asm_reg(m, DEC), c = asm_reg(m, color), yes = asm_reg(m, BOOL), hits = asm_reg(m, INT);
    EMIT(m, LOADREF, price, zero_const, 0);
    EMIT(m, LOADREF, budget, budget_const, 0);
    EMIT(m, LOADREF, step, step_const, 0);
    EMIT32(m, LOADI, c, 1);
    EMIT32(m, LOADI, hits, 0);
    Loop l = loop_begin(m, 3000000);
    EMIT(m, ADD_DEC, price, price, step);
    EMIT(m, LT_DEC, yes, price, budget);
    uint32_t no = EMIT32(m, JF, yes, 0), other = EMIT(m, JNEI_INT, c, 1, 0), small = EMIT(m, JLTI_INT, l.i, 10, 0);
    EMIT(m, ADDI_INT, hits, hits, 1);
    asm_here(m, no);
    asm_here(m, other);
    asm_here(m, small);
    loop_end(m, l);
    EMIT(m, RETURN, hits, 0, 0);
    return asm_done(m);
}

static const struct { const char *name; Image *(*make)(void); int64_t expect; } benches[] = {
    { "fib(30)", bench_fib, 832040 },
    { "loop 10M, sum of i % 7", bench_loop, 29999994 },
    { "while 10M", bench_while, 10000000 },
    { "record update 5M", bench_record, 12500002500000 },
    { "record new 3M", bench_alloc, 4499998500000 },
    { "text append 1M", bench_text, 1000001 },
    { "list push and read 1M", bench_list, 499999500000 },
    { "conditions 3M", bench_condition, 49989 },
};

int main(int argc, char **argv)
{
    int repeats = argc > 1 ? atoi(argv[1]) : 5;
    for (size_t b = 0; b < sizeof benches / sizeof *benches; b++) {
        Image *image = benches[b].make();
        int64_t best = INT64_MAX, result = 0;
        for (int r = 0; r < repeats; r++) {
            VmRun *run = vm_new(image, (uint16_t)(image->func_count - 1), NULL, &asm_info, &(VmLimits){ .memory_bytes = (size_t)256 << 20 });
            int64_t start = clock_monotonic();
            VmStatus status;
            while ((status = vm_run(run)) == VM_SLICE_ENDED) continue;
            int64_t took = clock_monotonic() - start;
            if (took < best) best = took;
            result = status == VM_DONE ? vm_result(run).i : -1;
            if (status == VM_FAILED) {
                Buf text = { 0 };
                value_to_json(image, TYPE_INDEX_ERROR, vm_error(run), &text);
                printf("%s\n", buf_cstr(&text));
                buf_free(&text);
            }
            vm_free(run);
        }
        printf("%-26s %8.1f ms%s\n", benches[b].name, (double)best / 1000, result == benches[b].expect ? "" : "  WRONG RESULT");
        if (result != benches[b].expect) printf("  found %lld\n", (long long)result);
        image_free(image);
    }
    return 0;
}
