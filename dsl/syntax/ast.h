/* ast.h - the tree of a .flow module: made by the parser, annotated by the compiler, never changed in shape.
 *
 * Every node starts with an Ast head; ast.def gives the rest. `as_let_stmt(node)`
 * casts with a check. Only the expansion of aggregates (compiler/expand*.c) changes a tree. `type` and `symbol` are the compiler's notes (opaque here).
 * Comments are kept beside the tree in order of place; fmt weaves them in.
 * Limits: AST_DEPTH_MAX nested nodes (E0203).
 */
#ifndef SYNTAX_AST_H
#define SYNTAX_AST_H
#include <assert.h>
#include "dsl/syntax/source.h"
#include "base/buf.h"

enum { AST_DEPTH_MAX = 200 };

typedef enum {
#define AST(KIND, name) AST_##KIND,
#include "dsl/syntax/ast.def"
#undef AST
    AST_KIND_COUNT
} AstKind;

typedef enum { BINARY_NONE, BINARY_OR, BINARY_AND, BINARY_EQ, BINARY_NE, BINARY_LT, BINARY_LE, BINARY_GT, BINARY_GE, BINARY_IN, BINARY_MATCH,
               BINARY_NOT_MATCH, BINARY_COALESCE, BINARY_ADD, BINARY_SUB, BINARY_MUL, BINARY_DIV, BINARY_MOD } BinaryOp;
typedef enum { UNARY_NOT, UNARY_NEG } UnaryOp;
enum { ROUTE_CLAUSE_STREAM = 1, ROUTE_CLAUSE_CANCEL = 2, ROUTE_CLAUSE_PUBLIC = 4 };      /* route_clause.flags */

typedef struct Ast {
    AstKind kind;
    Span span;
    Str doc;                    /* text of the /// lines before a declaration, member or field */
    struct Type *type;          /* set by check, on expressions and type nodes */
    struct Type *want;          /* set by check, on expressions: the type after an implicit conversion; NULL: none */
    struct Symbol *symbol;      /* set by resolve/check, on names and declarations */
    void *info;                 /* set by check, by kind: see compiler/typed.h */
    bool made;                  /* by the compiler out of what the author wrote: no lint looks at it, only at what of his stands in it */
} Ast;

typedef struct AstList {
    Ast **items;
    uint32_t count;
} AstList;

typedef struct Ident {
    Str text;                   /* empty when an optional name is absent */
    Span span;
} Ident;

#define AST_FIELD_NODE(name)  Ast *name;
#define AST_FIELD_OPT(name)   Ast *name;
#define AST_FIELD_LIST(name)  AstList name;
#define AST_FIELD_IDENT(name) Ident name;
#define AST_FIELD_TEXT(name)  Str name;
#define AST_FIELD_FLAG(name)  int name;
#define AST_FIELD_INT(name)   int64_t name;
#define AST_FIELD(sort, name) AST_FIELD_##sort(name)
#define AST(KIND, name) typedef struct Ast_##name { Ast head; AST_FIELDS_##name(AST_FIELD) } Ast_##name; \
    static inline Ast_##name *as_##name(Ast *node) { assert(node->kind == AST_##KIND); return (Ast_##name *)node; }
#include "dsl/syntax/ast.def"
#undef AST

typedef struct Comment {
    Span span;
    Str text;                   /* with its slashes */
    bool own_line;              /* nothing but space before it on its line */
} Comment;

typedef struct Module {
    Source *source;
    Arena *arena;               /* owns the tree */
    Ast_module *root;
    Comment *comments;
    uint32_t comment_count;
} Module;

const char *ast_kind_name(AstKind kind);                      /* "let_stmt" */
/* Calls visit(child, arg) for every direct child in order; false stops. */
bool ast_each_child(const Ast *node, bool (*visit)(Ast *child, void *arg), void *arg);
/* The same with the place that holds the child, so that it can be replaced. Places of absent children are left out. */
bool ast_each_slot(Ast *node, bool (*visit)(Ast **slot, void *arg), void *arg);
/* The tree as one that the compiler made, all of it standing at `span`. */
void ast_make_at(Ast *node, Span span);
bool ast_equal(const Ast *a, const Ast *b);                   /* same tree, spans aside */
void ast_dump(const Ast *node, Buf *out);                     /* s-expression, for tests */
#endif
