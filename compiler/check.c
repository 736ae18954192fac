/* check.c - every body of the program, one after the other, then the rules about what calls what.
 *
 * One Checker for the whole program; nothing of it survives but what it left in the tree. Reading order: check_decl (bodies), check_stmt,
 * check_expr, and from there by kind.
 */
#include "compiler/check_internal.h"

/* Ids and indexes of an image are 16 bits wide. */
static void check_func_count(Checker *c)
{
    Program *program = c->program;
    if (program->func_count <= IMAGE_INDEX_MAX || !program->module_count)
        return;
    Span span = program->modules[program->main_module]->root->head.span;
    diag_too_many(c->diags, (Span){ span.start, span.start, span.file }, "the program", program->func_count, "functions and branches", IMAGE_INDEX_MAX);
}

bool check_program(Program *program)
{
    if (!is_complete(program))
        return false;
    Type never = { .tag = TYPE_VOID, .image_index = NO_INDEX };
    Checker c = { .program = program, .arena = program->arena, .diags = program->diags, .basic = program->basic, .never = &never };
    c.signatures = signatures_new(program);
    for (uint32_t m = 0; m < program->module_count; m++) {
        AstList items = program->modules[m]->root->items;
        for (uint32_t i = 0; i < items.count; i++)
            check_declaration(&c, items.items[i]);
    }
    effects_settle(&c);
    check_durability(&c);
    check_func_count(&c);
    map_free(&c.locals);
    signatures_free(c.signatures);
    return program->diags->error_count == 0;
}
