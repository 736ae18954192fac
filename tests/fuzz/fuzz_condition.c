/* fuzz_condition.c - a condition, a text or a reference of a plan: read, checked, lowered, verified, run with little fuel. The first byte says which. */
#include <stdlib.h>
#include "tests/plans/condition_program.h"

enum { FUEL = 20000, INPUT_MAX = 8192 };

static const char declarations[] =
    "enum Status { CONFIRMED, CANCELLED }\n"
    "type Hotel {\n    id: string\n    cost: decimal\n    zip: string?\n    length: int\n}\n"
    "type Env {\n    a: int\n    b: decimal\n    c: float?\n    s: string\n    t: string?\n    p: bool\n    h: Hotel\n    o: Hotel?\n    l: list<string>\n    n: list<decimal?>\n    m: map<int>\n    j: json\n"
    "    e: Status\n    d: date\n    s0: Hotel\n    s1: Hotel?\n}\n";
static const char environment[] =
    "{\"a\":3,\"b\":350.50,\"c\":null,\"s\":\"Tokyo \\ud83d\\ude00\",\"t\":\"x\",\"p\":true,\"h\":{\"id\":\"H\",\"cost\":1,\"zip\":null,\"length\":7},\"o\":null,\"l\":[\"a\",\"b\"],\"n\":[1,null,2.5],"
    "\"m\":{\"k\":1},\"j\":{\"n\":5,\"l\":[1,\"x\",null],\"o\":{\"s\":\"t\"}},\"e\":\"CONFIRMED\",\"d\":\"2025-11-10\",\"s0\":{\"id\":\"H\",\"cost\":1,\"zip\":null,\"length\":7},\"s1\":null}";

static void check_reference(Str text)
{
    ConditionProgram program = { 0 };
    ConditionCase one = { .text = STR("p") };
    ConditionIssues issues;
    Type *type;
    if (!condition_program(&program, str_of(declarations), &one, 1)) abort();
    ConditionScope scope = { program.program, env_resolve, &program };
    Ast *made = condition_check_path(&scope, text, (Span){ 0, 0, 0 }, &type, &issues);
    if (made ? issues.count || !type : !issues.count) abort();
    condition_program_free(&program);
}

static void run_condition(Str text, bool is_text)
{
    ConditionProgram program = { 0 };
    ConditionCase one = { .text = text, .is_text = is_text };
    if (!condition_program(&program, str_of(declarations), &one, 1)) abort();              /* what was accepted must lower and verify */
    if (one.accepted == (one.issues.count > 0)) abort();
    for (uint32_t i = 0; i < one.issues.count; i++)
        if (!one.issues.items[i].message.len || one.issues.items[i].offset > text.len) abort();
    if (one.accepted) {
        Arena *arena = arena_new();
        Json *json;
        Error error = { 0 };
        Value env;
        bool done;
        if (json_parse(arena, str_of(environment), INPUT_MAX, &json, &error) || condition_env(&program, json, &env, &error)) abort();
        VmRun *run = condition_run(&program, 0, env, FUEL, &done);
        if (vm_fuel_used(run) > 2 * FUEL + 300000) abort();                                /* the reserve of vm.h */
        vm_free(run);
        value_release(env);
        arena_free(arena);
    }
    condition_program_free(&program);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > INPUT_MAX) return 0;
    Str text = { (const char *)data + 1, size - 1 };
    switch (data[0] % 3) {
    case 0: run_condition(text, false); break;
    case 1:
        if (utf8_valid(text)) run_condition(text, true);
        break;
    default: check_reference(text);
    }
    return 0;
}
