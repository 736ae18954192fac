/* condition_eval.c - conditions from standard input, their results to standard output: the side of the machine in condition_diff.mjs.
 *
 * A line in: {"declarations": "type Env { … }", "conditions": [{"text": "…", "print": false} …], "envs": [{…} …]}; `print`: a text that is printed.
 * A line out: for each condition the list of its results by environment, or what refused it as text.
 */
#include "tests/plans/condition_program.h"

#include <stdlib.h>

enum { LINE_MAX_BYTES = 1 << 24 };

static void put_refusal(Buf *out, const ConditionCase *c)
{
    const ConditionIssue *issue = &c->issues.items[0];
    Buf text = { 0 };
    buf_printf(&text, "refused %s at %u: %.*s", issue->code, issue->offset, STR_ARG(issue->message));
    json_put_string(out, buf_str(&text));
    buf_free(&text);
}

static bool answer(Str line, Buf *out)
{
    Arena *arena = arena_new();
    Json *json = NULL;
    Error error = { 0 };
    if (json_parse(arena, line, LINE_MAX_BYTES, &json, &error)) {
        fprintf(stderr, "condition_eval: %s\n", error.text);
        arena_free(arena);
        return false;
    }
    const Json *list = json_get(json, "conditions"), *envs = json_get(json, "envs");
    ConditionCase *cases = ARENA_ARRAY(arena, ConditionCase, list->count + 1);
    for (size_t i = 0; i < list->count; i++) {
        const Json *print = json_get(list->items[i], "print");
        cases[i] = (ConditionCase){ .text = json_get_text(list->items[i], "text"), .is_text = print && print->boolean };
    }
    ConditionProgram program = { 0 };
    bool ok = condition_program(&program, json_get_text(json, "declarations"), cases, (uint32_t)list->count);
    Value *values = ARENA_ARRAY(arena, Value, envs->count + 1);
    for (size_t k = 0; ok && k < envs->count; k++)
        if (condition_env(&program, envs->items[k], &values[k], &error)) {
            fprintf(stderr, "condition_eval: environment %zu: %s\n", k, error.text);
            ok = false;
        }
    buf_put_char(out, '[');
    for (size_t i = 0; ok && i < list->count; i++) {
        if (i) buf_put_char(out, ',');
        if (!cases[i].accepted) {
            put_refusal(out, &cases[i]);
            continue;
        }
        buf_put_char(out, '[');
        for (size_t k = 0; k < envs->count; k++) {
            if (k) buf_put_char(out, ',');
            condition_put_result(&program, &cases[i], (uint32_t)i, values[k], out);
        }
        buf_put_char(out, ']');
    }
    buf_put_text(out, "]\n");
    for (size_t k = 0; k < envs->count; k++) value_release(values[k]);
    condition_program_free(&program);
    arena_free(arena);
    return ok;
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    Buf out = { 0 };
    bool ok = true;
    while (ok && (len = getline(&line, &cap, stdin)) > 0) {
        buf_clear(&out);
        ok = answer((Str){ line, (size_t)len - (line[len - 1] == '\n') }, &out);
        fwrite(out.ptr, 1, out.len, stdout);
        fflush(stdout);
    }
    free(line);
    buf_free(&out);
    return ok ? 0 : 1;
}
