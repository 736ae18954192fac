/* check_embed.c - a body that is no part of any module, checked against a Program that was imported (embed.h). */
#include "compiler/check_internal.h"
#include "compiler/embed.h"

#include <stdlib.h>

void embed_init(Embedder *e, Program *program, Image *base)
{
    *e = (Embedder){ .program = program, .base = base, .signatures = signatures_new(program) };
    embed_read_rows(e);
    e->func_count = program->func_count;
    program->caches = &e->caches;
}

void embed_deinit(Embedder *e)
{
    signatures_free(e->signatures);
    map_free(&e->rows);
    e->program->caches = NULL;
    free(e->caches.slots);
}

void embed_reset(Embedder *e)
{
    Program *program = e->program;
    type_caches_forget(&e->caches);
    program->func_count = e->func_count;
    if (!program->diags->count)
        return;
    diags_deinit(program->diags);
    diags_init(program->diags);
}

typedef struct Bench { Checker checker; Type never; Body body; FuncInfo func; } Bench;

static void bench_open(Embedder *e, Bench *bench, Type *result)
{
    Program *program = e->program;
    *bench = (Bench){ .never = { .tag = TYPE_VOID, .image_index = NO_INDEX }, .func = { .result = result } };
    bench->checker = (Checker){ .program = program, .arena = program->arena, .diags = program->diags, .basic = program->basic, .never = &bench->never,
                                .signatures = e->signatures, .func = &bench->func };
    body_enter(&bench->checker, &bench->body, "plan", result);
    scope_enter(&bench->checker);
}

static bool bench_close(Bench *bench)
{
    Checker *c = &bench->checker;
    scope_leave(c);
    body_leave(c);
    map_free(&c->locals);
    return c->diags->error_count == 0;
}

bool embed_check_value(Embedder *e, Ast *value, Type *type)
{
    Bench bench;
    bench_open(e, &bench, type);
    check_value(&bench.checker, value, type);
    return bench_close(&bench);
}

bool embed_check(Embedder *e, Ast *body)
{
    Bench bench;
    bench_open(e, &bench, e->program->basic[TYPE_JSON]);
    check_block(&bench.checker, body, BLOCK_STATEMENT, NULL);
    if (e->program->func_count > IMAGE_INDEX_MAX)           /* ids are 16 bits wide */
        diag_too_many(e->program->diags, body->span, "the plan", e->program->func_count, "functions and branches", IMAGE_INDEX_MAX);
    return bench_close(&bench);
}
