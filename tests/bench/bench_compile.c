/* bench_compile.c - lines per second of the whole compiler (parse, resolve, check, lower) over a program made of N copies of a small module. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "compiler/typed.h"

static double wall_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put_copy(Buf *out, int n) {
    buf_printf(out,
               "type Item%d { name: string, price: decimal, count: int }\n\n"
               "fn total%d(items: list<Item%d>) -> decimal {\n"
               "    var sum = 0.00\n"
               "    for item in items {\n"
               "        if item.count > 0 and item.price >= 1.50 {\n"
               "            sum = sum + item.price * item.count\n"
               "        } else {\n"
               "            sum = sum + 1\n"
               "        }\n"
               "    }\n"
               "    return sum\n"
               "}\n\n"
               "fn label%d(item: Item%d, vip: bool) -> string {\n"
               "    let text = \"${item.name}: ${item.price}\"\n"
               "    if vip { return \"${text} (vip)\" }\n"
               "    return text.upper()\n"
               "}\n\n", n, n, n, n, n);
}

int main(int argc, char **argv) {
    int copies = argc > 1 ? atoi(argv[1]) : 2000;
    Buf text = { 0 };
    for (int i = 0; i < copies; i++) put_copy(&text, i);
    int lines = 0;
    for (size_t i = 0; i < text.len; i++) lines += text.ptr[i] == '\n';
    if (argc > 2) {                                      /* the text for luac's side is made elsewhere */
        fwrite(text.ptr, 1, text.len, stdout);
        return 0;
    }
    double best = 1e9;
    for (int n = 0; n < 5; n++) {
        double start = wall_s();
        Program *program = program_of_text("bench.flow", buf_str(&text), NULL, 0);
        Image *image = compile_program(program, false);
        double took = wall_s() - start;
        if (!image) return fprintf(stderr, "bench_compile: %u errors\n", program->diags->error_count), 1;
        if (took < best) best = took;
        image_free(image);
        program_free(program);
    }
    printf("%d %.6f\n", lines, best);
    buf_free(&text);
    return 0;
}
