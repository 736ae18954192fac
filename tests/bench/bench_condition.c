/* bench_condition.c - what a condition of a plan costs: to read, check and compile it, to evaluate it in the machine, and to start a run for it alone.
 *
 * Prints "NAME compile_ns evaluate_ns run_ns result" for each condition of condition.js, best of ROUNDS. The same conditions, the same values.
 */
#include <stdlib.h>
#include <time.h>
#include "tests/plans/condition_program.h"

enum { ROUNDS = 5, EVALUATIONS = 300000, RUNS = 30000, COMPILES = 300 };

static const char declarations[] =
    "type Hotel {\n    cost: decimal\n    status: string\n}\n"
    "type Env {\n    budget_available: decimal\n    city: string\n    tags: list<string>\n    hotel: Hotel\n}\n";
static const char loop[] =
    "fn many(env: Env, n: int) -> int {\n    var k = 0\n    for i in 0..n {\n        if true { k += 1 }\n    }\n    return k\n}\n"
    "fn one(env: Env) -> bool { return true }\n";
static const char environment[] =
    "{\"budget_available\": 350.50, \"city\": \"Tokyo\", \"tags\": [\"hotel\", \"travel\"], \"hotel\": {\"cost\": 250, \"status\": \"CONFIRMED\"}}";
static const struct { const char *name, *text; } conditions[] = {
    { "short", "budget_available >= 200" },
    { "long", "budget_available >= 200 && city.indexOf(\"To\") === 0 && hotel.status === \"CONFIRMED\" && (hotel.cost + 20) * 1.19 <= budget_available && tags.indexOf(\"travel\") >= 0" },
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void least(double *best, double ns) { if (*best == 0 || ns < *best) *best = ns; }

static Symbol *fn_named(ConditionProgram *p, const char *name) { return map_find(&p->program->globals, str_of(name)); }

static void compile(ConditionProgram *p, Str text)
{
    ConditionIssues issues;
    ConditionScope scope;
    *p = (ConditionProgram){ 0 };
    buf_put_text(&p->source, declarations);
    buf_put_text(&p->source, loop);
    p->program = program_of_text("bench.flow", buf_str(&p->source), NULL, 0);
    resolve_program(p->program);
    p->env = ((Symbol *)map_find(&p->program->globals, STR("Env")))->type;
    scope = (ConditionScope){ p->program, env_resolve, p };
    Symbol *many = fn_named(p, "many"), *one = fn_named(p, "one");
    Ast_for_stmt *each = as_for_stmt(as_block(as_fn_decl(many->decl)->body)->items.items[1]);
    Ast *in_loop = condition_check(&scope, text, many->decl->span, &issues), *alone = condition_check(&scope, text, one->decl->span, &issues);
    if (!in_loop || !alone) abort();
    as_if_stmt(as_block(each->body)->items.items[0])->condition = in_loop;
    *body_of(one) = alone;
    check_program(p->program);
    p->image = lower_program(p->program, false);
    Error error;
    if (!p->image || image_verify(p->image, &error)) abort();
}

static uint16_t func_of(const ConditionProgram *p, const char *name)
{
    for (uint16_t i = 0; i < p->image->func_count; i++)
        if (str_is(p->image->funcs[i].name, name)) return i;
    abort();
}

static Value env_value(const ConditionProgram *p)
{
    Arena *arena = arena_new();
    Json *json;
    Error error;
    Value env;
    if (json_parse(arena, str_of(environment), 1 << 16, &json, &error) || value_from_json(p->image, p->image->funcs[func_of(p, "one")].reg_types[0], json, &env, &error)) abort();
    arena_free(arena);
    return env;
}

static double run_ns(const ConditionProgram *p, const char *name, const Value *args, int64_t *result)
{
    VmInfo info = { STR("r"), STR("t"), STR("u"), STR("f"), STR("c"), STR("n"), STR("") };
    double began = now_ns();
    VmRun *run = vm_new(p->image, func_of(p, name), args, &info, NULL);
    VmStatus status;
    while ((status = vm_run(run)) == VM_SLICE_ENDED) {}
    if (status != VM_DONE) abort();
    *result = vm_result(run).i;
    vm_free(run);
    return now_ns() - began;
}

/* Reading, checking and building the tree alone: a plan's other steps are compiled beside it. */
static double check_ns(ConditionProgram *p, Str text)
{
    ConditionScope scope = { p->program, env_resolve, p };
    ConditionIssues issues;
    double began = now_ns();
    for (int i = 0; i < COMPILES; i++)
        if (!condition_check(&scope, text, (Span){ 0, 0, 0 }, &issues)) abort();
    return (now_ns() - began) / COMPILES;
}

int main(void)
{
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        ConditionProgram p;
        double checks = 0, evaluation = 0, alone = 0;
        int64_t k = 0, holds = 0;
        compile(&p, str_of(conditions[i].text));
        Value args[2] = { env_value(&p), { .i = EVALUATIONS } }, none[2] = { args[0], { .i = 0 } };
        for (int round = 0; round < ROUNDS; round++) {
            least(&checks, check_ns(&p, str_of(conditions[i].text)));
            double empty = run_ns(&p, "many", none, &k), ns = 0;
            least(&evaluation, (run_ns(&p, "many", args, &k) - empty) / EVALUATIONS);
            for (int n = 0; n < RUNS; n++) ns += run_ns(&p, "one", args, &holds);
            least(&alone, ns / RUNS);
        }
        printf("%s %.0f %.1f %.0f %s\n", conditions[i].name, checks, evaluation, alone, k == EVALUATIONS && holds ? "true" : "false");
        value_release(args[0]);
        condition_program_free(&p);
    }
    return 0;
}
