/* fuzz_parse.c - any bytes: the parser returns, every span lies in the text; what is right survives fmt: parse(fmt(x)) equals x, and fmt is idempotent. */
#include <stdlib.h>

#include "dsl/syntax/fmt.h"
#include "dsl/syntax/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool span_check(Ast *node, void *arg)
{
    const Source *source = arg;
    if (node->span.start > node->span.end || node->span.end > source->text.len)
        abort();
    return ast_each_child(node, span_check, arg);
}

/* Parses `text` as another file of the set; NULL when it has errors. */
static Module *parse_text(SourceSet *set, Arena *arena, const char *path, Str text)
{
    Source *source;
    if (source_add(set, path, text, &source, NULL))
        return NULL;
    Diags diags;
    diags_init(&diags);
    Module *module = parse_module(arena, source, &diags);
    span_check(&module->root->head, source);
    bool clean = diags.error_count == 0;
    diags_deinit(&diags);
    return clean ? module : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SourceSet *set = source_set_new();
    Arena *arena = arena_new();
    Module *module = parse_text(set, arena, "first.flow", (Str){ (const char *)data, size });
    if (module) {
        Buf once = { 0 }, twice = { 0 };
        fmt_module(module, &once);
        Module *again = parse_text(set, arena, "second.flow", buf_str(&once));
        if (!again || !ast_equal(&module->root->head, &again->root->head))
            abort();
        fmt_module(again, &twice);
        if (!str_eq(buf_str(&once), buf_str(&twice)))
            abort();
        buf_free(&once);
        buf_free(&twice);
    }
    arena_free(arena);
    source_set_free(set);
    return 0;
}
