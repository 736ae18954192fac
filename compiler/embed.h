/* embed.h - one function more for a program that has been compiled: checked against its symbols, lowered into an extension of its image.
 *
 * The Program was made of the image, not of source: every Type that has a row there knows it (Type.image_index), as do agents and tools. It is used for many
 * bodies, one after the other; what a body leaves behind is taken back by embed_reset(). The tree is made by hand; a mistake in it that check finds is in
 * program->diags, with the spans of its nodes.
 *
 * Memory: what check and lower make comes from program->arena, which the caller may exchange between bodies: nothing of the Program points into it after
 * embed_reset(). Belongs to one thread at a time.
 */
#ifndef COMPILER_EMBED_H
#define COMPILER_EMBED_H
#include "compiler/typed.h"

typedef struct Embedder {
    Program *program;
    Image *base;
    struct Signatures *signatures;
    Map rows;                            /* keys of the base's types, as lower_types.c has them */
    TypeCaches caches;
    uint32_t func_count;                 /* of the Program as it was made */
} Embedder;

/* `program` is complete; `base` has been verified. Both outlive the Embedder. */
void embed_init(Embedder *e, Program *program, Image *base);
void embed_deinit(Embedder *e);

/* A constant expression against a type. False: diagnostics. */
bool embed_check_value(Embedder *e, Ast *value, Type *type);
/* The body of a function `() -> json`. False: diagnostics. */
bool embed_check(Embedder *e, Ast *body);
/* After a check without errors: an extension of the base with that function (of kind FUNC_PLAN, called `name`), neither bound nor verified yet. `file` is what
   its places are in: the span.file of every node. NULL: a limit, in the diagnostics. */
Image *embed_lower(Embedder *e, Ast *body, Str name, Str file, uint16_t *func);
/* An extension with this type alone. NULL as above. */
Image *embed_lower_type(Embedder *e, Type *type, uint16_t *row);
void embed_reset(Embedder *e);
void embed_read_rows(Embedder *e);                        /* lower_embed.c, for embed_init */
uint16_t embed_file(const Image *base, Str file);        /* the index that `file` has in an extension: that of the base when it is there */
#endif
