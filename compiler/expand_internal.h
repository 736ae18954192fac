/* expand_internal.h - what the files of the expansion share.
 *
 * Code is written as text with holes and parsed: `__body()` stands for the statements of the author, `__invariant(n, condition)` for the
 * condition of an `if` that stands at invariant n. Everything lives in the program's arena.
 */
#ifndef COMPILER_EXPAND_INTERNAL_H
#define COMPILER_EXPAND_INTERNAL_H
#include "compiler/expand.h"

/* A function or type that the code of a `when` may use. Those of one name are a chain. */
typedef struct FoldHelper { struct FoldHelper *next; const Ast *decl; const Aggregate *used_by; } FoldHelper;

typedef struct Expander {
    Program *program;
    Arena *arena;
    Diags *diags;
    Map tables, agents, events;                  /* name -> declaration */
    Map helpers;                                 /* name -> FoldHelper */
    struct Projection *projections;              /* a chain */
    const Aggregate *fold_of; uint64_t fold;     /* the hash of the fold of that aggregate, once it was asked for */
} Expander;

typedef struct Projection {
    struct Projection *next;
    Ast_projection_decl *decl;
    Aggregate *aggregate;                        /* whose events it is made of; NULL: diagnosed */
} Projection;

/* ---- trees: expand_tree.c ---- */
AstList expand_parse(Expander *x, Str text, Span span);                        /* declarations, all of them made at `span`; none when it was diagnosed */
Ast  *expand_statement(Expander *x, Str text, Span span);                      /* one statement; AST_ERROR when it was diagnosed */
Ast  *expand_given_up(Expander *x, Span span);
Ast  *expand_name(Expander *x, Span span, const char *text);
Ast  *expand_field(Expander *x, Span span, const char *object, Str field);      /* object.field */
Ast  *expand_let(Expander *x, Span span, bool mutable, const char *name, Ast *type, Ast *value);       /* type may be NULL */
Ast  *expand_equal(Expander *x, Span span, Ast *left, Ast *right);
Ast  *expand_and(Expander *x, Ast *left, Ast *right);                          /* right may be NULL */
void  expand_append(Expander *x, AstList *list, Ast *item);
void  expand_append_all(Expander *x, AstList *list, AstList items);
Str   expand_source(Expander *x, const Ast *node);                             /* as the author wrote it */
bool  expand_mentions(Ast *root, Str name);                                    /* as a bare name, anywhere below */
bool  expand_is_name(const Ast *node, const char *name);
/* The block below `root` that holds the statement `__body()`, and where; NULL when there is none. */
Ast_block *expand_hole(Ast *root, uint32_t *index);
void  expand_fill(Expander *x, Ast *root, AstList statements);                 /* puts them into the hole */

/* ---- what stands in a body: expand_body.c ---- */
typedef struct Fields { Str *names; uint32_t count; } Fields;                  /* columns of the root, or fields of the state */
Fields expand_fields_of(Expander *x, const Aggregate *a);
bool   expand_has_field(const Fields *fields, Str name);
bool   expand_has_param(AstList params, Str name);
/* Bare fields become __now.field; queries of children are bound to __id. */
void   expand_qualify(Expander *x, Aggregate *a, const Fields *fields, Ast **slot);
/* Binds the queries and writes of a body to the aggregate and turns assignments and events into what they do. Gives the statements; `result`: the value of the
   `return` at its end, or NULL. */
AstList expand_body(Expander *x, Aggregate *a, Ast_command_decl *command, const Fields *fields, Ast **result);
/* The invariants as statements of a text. */
void   expand_put_invariants(Expander *x, const Aggregate *a, Buf *text);
void   expand_place_invariants(Expander *x, Aggregate *a, const Fields *fields, Ast *root);
/* Those that the body names and no parameter or local hides; before expand_body(), which takes the body apart. */
Fields expand_fields_named(Expander *x, const Fields *fields, const Ast_command_decl *command);
void   expand_put_fields(const Fields *named, Buf *text);                       /* var limit = __now.limit */
bool   expand_is_visible(const Fields *fields, const Ast_command_decl *command, Str name);
/* Makes the tool of a command out of the text of one and the statements for its hole, and puts it into the agent. */
void   expand_add_tool(Expander *x, Aggregate *a, Ast_command_decl *command, const Fields *fields, Str text, AstList statements);

/* ---- kinds of aggregates ---- */
void expand_root(Expander *x, Aggregate *a);                                   /* expand_root.c: a table and its children */
AstList expand_sourced(Expander *x, Aggregate *a);                             /* expand_sourced.c: a fold over events; gives declarations */
bool expand_is_source(const Aggregate *a, Str event);
Ast *expand_replay(Expander *x, const Aggregate *a, Ast *id, Ast *version, Ast *until, Span span);

/* ---- projections: expand_projection.c ---- */
void expand_read_projection(Expander *x, Ast_projection_decl *decl);
const Projection *expand_find_projection(const Expander *x, Str name);
AstList expand_projection(Expander *x, const Projection *p);                    /* gives declarations */
Ast *expand_view(Expander *x, const Projection *p, Ast_index_expr *index);      /* budget_view[id] */
Ast *expand_rebuild(Expander *x, const Projection *p, Span span);
#endif
