/* lower_embed.c - a body that is no part of any module, lowered behind the rows of an image that is there (embed.h). */
#include "compiler/lower_internal.h"
#include "compiler/embed.h"

void embed_read_rows(Embedder *e)
{
    Lower lw = { .program = e->program, .image = e->base, .arena = e->program->arena };
    lower_types_read(&lw);
    e->rows = lw.types;
    buf_free(&lw.key);
}

uint16_t embed_file(const Image *base, Str file)
{
    for (uint16_t i = 0; i < base->file_count; i++)
        if (str_eq(base->files[i], file)) return i;
    return base->file_count;
}

static bool lower_open(Embedder *e, Lower *lw)
{
    *lw = (Lower){ .program = e->program, .image = image_extend(e->base), .arena = e->program->arena, .metered = true, .known = &e->rows };
    if (lw->image) return true;
    lower_limit(lw, (Span){ 0 }, "the run", EXTENSION_DEPTH_MAX + 1, "plans", EXTENSION_DEPTH_MAX);
    return false;
}

static Image *lower_close(Lower *lw)
{
    lower_types_deinit(lw);
    map_free(&lw->undos);
    lower_pool_free(lw);
    buf_free(&lw->key);
    if (!lw->failed) return lw->image;
    image_free(lw->image);
    return NULL;
}

static void add_file(Lower *lw, const Image *base, Str file)
{
    if (embed_file(base, file) < base->file_count) return;
    uint16_t row = lower_row(lw, IMAGE_ADD(lw->image, file), "files");
    if (!lw->failed) lw->image->files[row] = lower_str(lw, file);
}

Image *embed_lower(Embedder *e, Ast *body, Str name, Str file, uint16_t *func)
{
    Lower lw;
    if (!lower_open(e, &lw)) return NULL;
    add_file(&lw, e->base, file);
    *func = lower_row(&lw, IMAGE_ADD(lw.image, func), "functions");
    if (!lw.failed) {
        Func *f = func_begin(&lw, *func, FUNC_PLAN, name, NO_INDEX, NO_INDEX, TYPE_INDEX_JSON, body->span);
        lower_block(f, body);
        func_end(f);
    }
    return lower_close(&lw);
}

Image *embed_lower_type(Embedder *e, Type *type, uint16_t *row)
{
    Lower lw;
    if (!lower_open(e, &lw)) return NULL;
    *row = row_of(&lw, type);
    return lower_close(&lw);
}
