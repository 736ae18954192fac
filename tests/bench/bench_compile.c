/* bench_compile.c - lines per second of the whole compiler (parse, resolve, check, lower) over a program made of N copies of a small module.
 *
 * Usage: bench_compile COPIES [flow|lua]. Without a language: compiles and prints "LINES SECONDS", the best of five. With one: prints the program in it,
 * for the compilers as they are called. Both have the same number of lines and say the same, as far as Lua has words for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compiler/typed.h"

static double wall_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put_flow(Buf *out, int n)
{
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

static void put_lua(Buf *out, int n)
{
    buf_printf(out,
               "Item%d = { name = \"\", price = 0.00, count = 0 }\n\n"
               "function total%d(items)\n"
               "    local sum = 0.00\n"
               "    for _, item in ipairs(items) do\n"
               "        if item.count > 0 and item.price >= 1.50 then\n"
               "            sum = sum + item.price * item.count\n"
               "        else\n"
               "            sum = sum + 1\n"
               "        end\n"
               "    end\n"
               "    return sum\n"
               "end\n\n"
               "function label%d(item, vip)\n"
               "    local text = item.name .. \": \" .. item.price\n"
               "    if vip then return text .. \" (vip)\" end\n"
               "    return text:upper()\n"
               "end\n\n", n, n, n);
}

int main(int argc, char **argv)
{
    int copies = argc > 1 ? atoi(argv[1]) : 2000;
    bool lua = argc > 2 && strcmp(argv[2], "lua") == 0;
    Buf text = { 0 };
    for (int i = 0; i < copies; i++) (lua ? put_lua : put_flow)(&text, i);
    if (argc > 2) {
        bool written = fwrite(text.ptr, 1, text.len, stdout) == text.len;
        buf_free(&text);
        return written ? 0 : 1;
    }
    int lines = 0;
    for (size_t i = 0; i < text.len; i++) lines += text.ptr[i] == '\n';
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
