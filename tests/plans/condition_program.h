/* condition_program.h - conditions in a program of their own: what the tests, the fuzzer and the measurement of conditions share.
 *
 * The declarations have a record `Env`; its fields are the names of the conditions, `s0`, `s1` … the steps. Each condition or text becomes the body of a function
 * (Env) -> bool or string, compiled as the compiler does it.
 */
#ifndef TESTS_CONDITION_PROGRAM_H
#define TESTS_CONDITION_PROGRAM_H
#include <stdio.h>
#include "compiler/condition.h"
#include "compiler/typed.h"
#include "compiler/types.h"
#include "interpreter/vm/vm.h"

typedef struct ConditionCase { Str text; bool is_text; bool accepted; ConditionIssues issues; } ConditionCase;
typedef struct ConditionProgram { Program *program; Image *image; Type *env; uint16_t *funcs; uint32_t count; Buf source; } ConditionProgram;

static inline Ast *env_field(Program *program, Str name, Span span)
{
    Ast_name_expr *env = ARENA_NEW(program->arena, Ast_name_expr);
    Ast_field_expr *field = ARENA_NEW(program->arena, Ast_field_expr);
    *env = (Ast_name_expr){ .head = { .kind = AST_NAME_EXPR, .span = span, .made = true }, .name = { STR("env"), span } };
    *field = (Ast_field_expr){ .head = { .kind = AST_FIELD_EXPR, .span = span, .made = true }, .object = &env->head, .name = { name, span } };
    return &field->head;
}

static inline bool env_resolve(void *arg, Str name, int64_t step, ConditionRoot *root, ConditionIssue *issue)
{
    ConditionProgram *p = arg;
    uint32_t index;
    if (step >= 0) name = str_of(arena_printf(p->program->arena, "s%lld", (long long)step));
    const TypeField *field = type_field(p->env, name, &index);
    if (!field) return false;
    *root = (ConditionRoot){ env_field(p->program, field->name, (Span){ 0, 0, 0 }), field->type, STR("") };
    return true;
}

static inline Ast **body_of(Symbol *fn)
{
    Ast_block *block = as_block(as_fn_decl(fn->decl)->body);
    return &as_return_stmt(block->items.items[0])->value;
}

/* False: the program itself is wrong, what says so is printed. Refused conditions keep their issues and have no function. */
static inline bool condition_program(ConditionProgram *p, Str declarations, ConditionCase *cases, uint32_t count)
{
    char name[32];
    buf_put_str(&p->source, declarations);
    for (uint32_t i = 0; i < count; i++) buf_printf(&p->source, "\nfn c%u(env: Env) -> %s { return %s }", i, cases[i].is_text ? "string" : "bool", cases[i].is_text ? "\"\"" : "true");
    buf_put_char(&p->source, '\n');
    p->program = program_of_text("conditions.flow", buf_str(&p->source), NULL, 0);
    Program *program = p->program;
    if (!program->diags->error_count) resolve_program(program);
    if (!program->diags->error_count) {
        p->env = ((Symbol *)map_find(&program->globals, STR("Env")))->type;
        ConditionScope scope = { program, env_resolve, p };
        for (uint32_t i = 0; i < count; i++) {
            snprintf(name, sizeof name, "c%u", i);
            Symbol *fn = map_find(&program->globals, str_of(name));
            Ast *made = cases[i].is_text ? condition_check_text(&scope, cases[i].text, fn->decl->span, &cases[i].issues)
                                         : condition_check(&scope, cases[i].text, fn->decl->span, &cases[i].issues);
            cases[i].accepted = made != NULL;
            if (made) *body_of(fn) = made;
        }
        check_program(program);
    }
    if (!program->diags->error_count) p->image = lower_program(program, false);
    Error error = { 0 };
    if (p->image && !program->diags->error_count && image_verify(p->image, &error) == ERR_OK) {
        p->count = count;
        p->funcs = ARENA_ARRAY(program->arena, uint16_t, count + 1);
        for (uint32_t i = 0; i < count; i++) {
            snprintf(name, sizeof name, "c%u", i);
            p->funcs[i] = NO_INDEX;
            for (uint16_t f = 0; f < p->image->func_count && cases[i].accepted; f++)
                if (str_is(p->image->funcs[f].name, name)) p->funcs[i] = f;
        }
        return true;
    }
    Buf out = { 0 };
    diags_render(program->diags, program->sources, DIAG_FORMAT_TEXT, false, &out);
    fprintf(stderr, "%s%s\n", buf_cstr(&out), error.text);
    buf_free(&out);
    return false;
}

static inline void condition_program_free(ConditionProgram *p)
{
    image_free(p->image);
    program_free(p->program);
    buf_free(&p->source);
    *p = (ConditionProgram){ 0 };
}

/* The environment from JSON, as a tool's result would be read. */
static inline Err condition_env(const ConditionProgram *p, const Json *json, Value *env, Error *error)
{
    for (uint32_t i = 0; i < p->count; i++)
        if (p->funcs[i] != NO_INDEX) return value_from_json(p->image, p->image->funcs[p->funcs[i]].reg_types[0], json, env, error);
    return err_set(error, ERR_INVALID, "no condition was accepted");
}

/* The result (borrowed from the run, which the caller frees), or NULL in *run->… when it raised. */
static inline VmRun *condition_run(const ConditionProgram *p, uint32_t i, Value env, uint64_t fuel, bool *done)
{
    VmInfo info = { STR("run"), STR("t"), STR("u"), STR("f"), STR("c"), STR("n"), STR("") };
    VmLimits limits = { .fuel = fuel };
    VmRun *run = vm_new(p->image, p->funcs[i], &env, &info, &limits);
    VmStatus status;
    while ((status = vm_run(run)) == VM_SLICE_ENDED) {}
    *done = status == VM_DONE;
    return run;
}

/* JSON of what came out: true, "text", {"raise": "…"}. */
static inline void condition_put_result(const ConditionProgram *p, const ConditionCase *c, uint32_t i, Value env, Buf *out)
{
    bool done;
    VmRun *run = condition_run(p, i, env, 10000000, &done);
    if (done && c->is_text) json_put_string(out, value_str(vm_result(run)));
    else if (done) buf_put_text(out, vm_result(run).i ? "true" : "false");
    else {
        Value error = vm_error(run);
        buf_put_text(out, "{\"raise\":");
        json_put_string(out, value_str(((Record *)error.o)->fields[ERROR_FIELD_MESSAGE]));
        buf_printf(out, ",\"kind\":\"%s\"}", error_kind_name((ErrorKind)((Record *)error.o)->fields[ERROR_FIELD_KIND].i));
    }
    vm_free(run);
}
#endif
