/* bench_plan.c - what a plan costs from its text to a verified extension, on a compiler that is there already; beside it, reading the same text as JSON alone, and
 * taking the extension from its bytes (decoding and verifying), as a replay does.
 *
 * Usage: bench_plan AGENTS.flow [FOLDER]. Prints "plan STEPS BYTES COMPILE_US JSON_US DECODE_US", best of many; with a folder writes STEPS.json there, for others.
 */
#include "base/json.h"
#include "compiler/plan/plan.h"
#include "compiler/typed.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 200 };

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* What models write: calls with literals, with references, with texts, and a condition now and then. */
static void put_step(Buf *out, int i)
{
    switch (i % 5) {
    case 0:  buf_printf(out, "{\"agent\":\"finance\",\"action\":\"check_budget\",\"id\":\"budget%d\",\"params\":{\"category\":\"TRAVEL\"}}", i); break;
    case 1:  buf_put_text(out, "{\"agent\":\"travel\",\"action\":\"search_flights\",\"params\":{\"city\":\"Tokyo\",\"depart\":\"2025-11-10\",\"cabin\":\"BUSINESS\"}}"); break;
    case 2:  buf_printf(out, "{\"condition\":\"budget%d.available >= 200 && budget%d.currency === 'EUR'\",\"then\":[{\"action\":\"notify_user\",\"message\":\"Enough\"}]}", i - 2, i - 2); break;
    case 3:  buf_printf(out, "{\"agent\":\"travel\",\"action\":\"book_hotel\",\"id\":\"hotel%d\",\"params\":{\"city\":\"Tokyo\",\"nights\":3,\"guests\":[{\"name\":\"Anna\",\"age\":31}]}}", i); break;
    default: buf_printf(out, "{\"agent\":\"calendar\",\"action\":\"create_appointment\",\"params\":{\"title\":{\"$text\":\"Hotel ${hotel%d.booking_id}\"},\"start\":\"2025-11-10T14:00:00Z\","
                             "\"extra\":{\"$ref\":\"hotel%d.rooms\"}}}", i - 1, i - 1); break;
    }
}

static void put_plan(Buf *out, int steps)
{
    buf_put_text(out, "{\"strategy\":\"CONDITIONAL\",\"flow\":[");
    for (int i = 0; i < steps; i++) {
        if (i) buf_put_char(out, ',');
        put_step(out, i);
    }
    buf_put_text(out, "],\"message\":\"Done\"}");
}

static Image *load(const char *path)
{
    Program *program = program_load(path, NULL, 0);
    Image *image = compile_program(program, false);
    Buf bytes = { 0 };
    if (!image) exit(2);
    image_encode(image, &bytes);
    buf_free(&bytes);
    program_free(program);
    return image;
}

typedef struct Times { double compile, json, decode; } Times;

static void least(double *best, double start)
{
    double took = now_us() - start;
    if (!*best || took < *best) *best = took;
}

static void measure(PlanCompiler *compiler, Image *base, Str text, Arena *arena, Times *best)
{
    static const Str tools[] = { { "finance.*", 9 }, { "travel.*", 8 }, { "calendar.*", 10 } };
    PlanGrant grant = { .tools = tools, .tool_count = 3, .any_scope = true, .over_budget = true };
    PlanResult result;
    double start = now_us();
    plan_compile(compiler, text, &grant, arena, &result);
    least(&best->compile, start);
    if (!result.image) {
        fprintf(stderr, "bench_plan: %.*s\n", STR_ARG(result.diags[0].message));
        exit(2);
    }
    Buf bytes = { 0 };
    image_encode_extension(result.image, &bytes);
    Image *again = NULL;
    Error error;
    start = now_us();
    if (image_decode_extension(base, buf_str(&bytes), &again, &error) != ERR_OK) exit(2);
    least(&best->decode, start);
    arena_reuse(arena);
    Json *json;
    start = now_us();
    if (json_parse(arena, text, PLAN_BYTES_MAX, &json, &error) != ERR_OK) exit(2);
    least(&best->json, start);
    image_free(again);
    image_free(result.image);
    buf_free(&bytes);
    arena_reuse(arena);
}

int main(int argc, char **argv)
{
    static const int sizes[] = { 5, 20, 100 };
    if (argc < 2) return 2;
    Image *base = load(argv[1]);
    PlanCompiler *compiler = plan_compiler_new(base);
    Arena *arena = arena_new();             /* one for all, as the engine has it */
    for (int i = 0; i < 3; i++) {
        Buf text = { 0 };
        Times best = { 0 };
        put_plan(&text, sizes[i]);
        if (argc > 2) {
            char path[512];
            snprintf(path, sizeof path, "%s/%d.json", argv[2], sizes[i]);
            if (file_write(path, buf_str(&text), NULL) != ERR_OK) return 2;
        }
        for (int n = 0; n < ROUNDS; n++) measure(compiler, base, buf_str(&text), arena, &best);
        printf("plan %d %zu %.1f %.1f %.1f\n", sizes[i], text.len, best.compile, best.json, best.decode);
        buf_free(&text);
    }
    arena_free(arena);
    plan_compiler_free(compiler);
    image_free(base);
    return 0;
}
