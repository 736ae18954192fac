/* lower.c - a checked program to an image.
 *
 * First the rows that code refers to by index (lower_decl.c), then the functions, one after the other. Nothing is decided here that check has not
 * decided: what may fail are limits of the image, each with its diagnostic; then the result is NULL.
 *
 * To add a statement or expression: a case in lower_stmt or lower_node, and a lower_NAME in the file of its family.
 */
#include "compiler/lower_internal.h"
#include <stdlib.h>

static void lower_files(Lower *lw)
{
    SourceSet *sources = lw->program->sources;
    lw->image->files = ARENA_ARRAY(lw->image->arena, Str, sources->count + 1);
    lw->image->file_count = (uint16_t)sources->count;
    for (uint32_t i = 0; i < sources->count; i++) lw->image->files[i] = lower_str(lw, sources->files[i]->path);
}

static void lower_participants(Lower *lw)
{
    for (uint32_t m = 0; m < lw->program->module_count; m++) {
        AstList items = lw->program->modules[m]->root->items;
        for (uint32_t i = 0; i < items.count; i++) {
            if (items.items[i]->kind != AST_PARTICIPANTS_DECL) continue;
            AstList entries = as_participants_decl(items.items[i])->entries;
            for (uint32_t k = 0; k < entries.count; k++) {
                Ast_participant *entry = as_participant(entries.items[k]);
                uint16_t row = lower_row(lw, IMAGE_ADD(lw->image, participant), "participants");
                if (!lw->failed) lw->image->participants[row] = (ImageParticipant){ lower_str(lw, entry->part.text), lower_str(lw, entry->title) };
            }
        }
    }
}

/* ---- functions ---- */

static uint8_t result_flags(const Type *result)
{
    return (uint8_t)((result->labels & LABEL_SECRET ? FUNC_FLAG_SECRET_RESULT : 0) | (result->labels & LABEL_PII ? FUNC_FLAG_PII_RESULT : 0));
}

static void lower_fn(Lower *lw, Symbol *fn)
{
    FuncInfo *info = fn->info;
    Func *f = body_begin(lw, fn->image_index, FUNC_FN, fn->name, NO_INDEX, NO_INDEX, row_of(lw, info->result), info, fn->decl);
    lw->image->funcs[fn->image_index].flags = result_flags(info->result);
    lower_block(f, as_fn_decl(fn->decl)->body);
    func_end(f);
}

static void lower_tool_body(Lower *lw, Symbol *tool)
{
    FuncInfo *info = tool->info;
    uint16_t func = lw->image->tools[tool->image_index].func;
    Ast *body = as_tool_decl(tool->decl)->body;
    if (func == NO_INDEX || !body) return;
    Func *f = body_begin(lw, func, FUNC_TOOL, tool_name(lw, tool), tool->image_index, agent_index(tool->owner), row_of(lw, info->result), info, tool->decl);
    lw->image->funcs[func].flags = result_flags(info->result);
    lower_block(f, body);
    func_end(f);
}

/* Who handles, what, and the how-manieth of them: a run's id is made from it, so it may not change with its place in the file. */
static Str handler_name(Lower *lw, const Symbol *handler, Str event)
{
    Str owner = handler->owner ? handler->owner->name : STR("main");
    uint32_t same = 1;
    Str name = lower_printf(lw, "%.*s.on_%.*s", STR_ARG(owner), STR_ARG(event));
    for (uint16_t i = 0; i < lw->image->handler_count; i++) {
        if (!str_eq(lw->image->handlers[i].name, name)) continue;
        name = lower_printf(lw, "%.*s.on_%.*s#%u", STR_ARG(owner), STR_ARG(event), ++same);
        i = UINT16_MAX;                  /* once more from the start with the new name */
    }
    return name;
}

static uint16_t handler_condition(Lower *lw, Symbol *handler, Str name, Ast *where)
{
    if (!where) return NO_INDEX;
    uint16_t func = lower_row(lw, IMAGE_ADD(lw->image, func), "functions");
    Func *f = body_begin(lw, func, FUNC_KEY, lower_printf(lw, "%.*s.where", STR_ARG(name)), NO_INDEX, agent_index(handler->owner), TYPE_INDEX_BOOL, handler->info, where);
    Val v = lower_as(f, where, TYPE_INDEX_BOOL);
    emit(f, OP_RETURN, v.reg, 0, 0);
    func_end(f);
    return func;
}

static void lower_handler(Lower *lw, Symbol *handler)
{
    Ast_handler_decl *decl = as_handler_decl(handler->decl);
    FuncInfo *info = handler->info;
    Symbol *event = lower_global(lw, decl->event.text);
    Str name = handler_name(lw, handler, event->name);
    uint16_t func = lower_row(lw, IMAGE_ADD(lw->image, func), "functions"), row = lower_row(lw, IMAGE_ADD(lw->image, handler), "handlers");
    if (lw->failed) return;
    handler->image_index = row;
    lw->image->handlers[row] = (ImageHandler){ .name = name, .event = event->image_index, .agent = agent_index(handler->owner), .func = func, .where_func = NO_INDEX };
    Func *f = body_begin(lw, func, FUNC_HANDLER, name, row, agent_index(handler->owner), TYPE_INDEX_VOID, info, handler->decl);
    lower_block(f, decl->body);
    func_end(f);
    lw->image->handlers[row].where_func = handler_condition(lw, handler, name, decl->where);
}

static void lower_fixture(Lower *lw, Symbol *fixture)
{
    Ast_fixture_decl *decl = as_fixture_decl(fixture->decl);
    uint16_t row = lower_row(lw, IMAGE_ADD(lw->image, fixture), "fixtures");
    if (lw->failed) return;
    lw->image->fixtures[row] = (ImageFixture){ lower_str(lw, fixture->name), fixture->image_index };
    Func *f = func_begin(lw, fixture->image_index, FUNC_TEST, lower_printf(lw, "fixture %.*s", STR_ARG(fixture->name)), NO_INDEX, NO_INDEX, TYPE_INDEX_VOID, fixture->decl->span);
    for (uint32_t i = 0; i < decl->entries.count; i++) lower_stmt(f, decl->entries.items[i]);
    func_end(f);
}

static void lower_test(Lower *lw, Symbol *test)
{
    Ast_test_decl *decl = as_test_decl(test->decl);
    uint16_t func = lower_row(lw, IMAGE_ADD(lw->image, func), "functions"), row = lower_row(lw, IMAGE_ADD(lw->image, test), "tests");
    if (lw->failed) return;
    bool documented = decl->documented;
    lw->image->tests[row] = (ImageTest){ lower_str(lw, decl->title), func, documented };
    Func *f = func_begin(lw, func, FUNC_TEST, lower_printf(lw, "test %.*s", STR_ARG(decl->title)), row, NO_INDEX, TYPE_INDEX_VOID, test->decl->span);
    lower_block(f, decl->body);
    func_end(f);
}

/* ---- resources: an agent's named reads; nobody in the program refers to one ---- */

static void lower_resource(Lower *lw, Symbol *agent, Ast_resource_decl *decl)
{
    FuncInfo *info = decl->head.info;
    uint16_t row = lower_row(lw, IMAGE_ADD(lw->image, resource), "resources"), func = decl->body ? lower_row(lw, IMAGE_ADD(lw->image, func), "functions") : NO_INDEX;
    if (lw->failed) return;
    lw->image->resources[row] = (ImageResource){ lower_str(lw, decl->uri), agent->image_index, func, row_of(lw, info->result) };
    if (!decl->body) return;
    Str name = lower_printf(lw, "%.*s %.*s", STR_ARG(agent->name), STR_ARG(decl->uri));
    Func *f = body_begin(lw, func, FUNC_FN, name, NO_INDEX, agent->image_index, row_of(lw, info->result), info, &decl->head);
    lw->image->funcs[func].flags = result_flags(info->result);
    lower_block(f, decl->body);
    func_end(f);
}

static void lower_resources(Lower *lw, Symbol *agent)
{
    AstList members = as_agent_decl(agent->decl)->members;
    for (uint32_t i = 0; i < members.count && !lw->failed; i++)
        if (members.items[i]->kind == AST_RESOURCE_DECL) lower_resource(lw, agent, as_resource_decl(members.items[i]));
}

static void lower_symbol(Lower *lw, Symbol *symbol)
{
    switch (symbol->kind) {
    case SYMBOL_AGENT: lower_resources(lw, symbol); break;
    case SYMBOL_FN: lower_fn(lw, symbol); break;
    case SYMBOL_TOOL: lower_tool_body(lw, symbol); break;
    case SYMBOL_FLOW:
        lower_flow_bodies(lw, symbol);
        lower_routes(lw, symbol);
        break;
    case SYMBOL_HANDLER: lower_handler(lw, symbol); break;
    case SYMBOL_FIXTURE: lower_fixture(lw, symbol); break;
    case SYMBOL_TEST:
        if (lw->with_tests) lower_test(lw, symbol);
        break;
    default: break;
    }
}

/* ---- the whole ---- */

void lower_pool_free(Lower *lw)
{
    for (Func *f = lw->pool, *next; f; f = next) {
        next = f->next_free;
        Rows *rows[] = { &f->code, &f->reg_types, &f->reg_next, &f->free_lists, &f->runs, &f->labels, &f->patches, &f->tries, &f->lines, &f->locals, &f->prologue };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) free(rows[i]->items);
        free(f);
    }
}

Image *lower_program(Program *program, bool with_tests)
{
    Lower lw = { .program = program, .image = image_new(), .arena = arena_new(), .with_tests = with_tests };
    lower_types_init(&lw);
    lower_files(&lw);
    lower_participants(&lw);
    lower_tables(&lw);
    lower_access(&lw);
    for (uint32_t i = 0; i < program->symbol_count && !lw.failed; i++) lower_symbol(&lw, program->symbols[i]);
    lower_types_deinit(&lw);
    lower_pool_free(&lw);
    buf_free(&lw.key);
    arena_free(lw.arena);
    if (!lw.failed) return lw.image;
    image_free(lw.image);
    return NULL;
}
