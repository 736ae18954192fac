/* fmt_internal.h - what the files of the formatter share.
 *
 * A node is printed into a Doc: text with places where a line may end. doc_print() then decides, group by group and outermost
 * first, whether the group stays on one line. Groups that the author broke are born broken, so what was printed once is
 * printed the same again. See fmt.c for the rules and fmt_doc.c for the decision.
 *
 * Everything lives in the arena of the Printer.
 */
#ifndef SYNTAX_FMT_INTERNAL_H
#define SYNTAX_FMT_INTERNAL_H
#include "dsl/syntax/fmt.h"

enum { FMT_COLUMNS_MAX = 120, FMT_INDENT = 4 };

typedef enum { DOC_TEXT, DOC_CAT, DOC_GROUP, DOC_INDENT, DOC_LINE, DOC_SUFFIX } DocKind;

typedef struct Doc Doc;
struct Doc {
    DocKind kind;
    bool broken;                 /* GROUP: decided; LINE: ends a line in any group */
    bool blank;                  /* LINE: an empty line follows when it ends one */
    Str text;                    /* TEXT, SUFFIX (printed behind the line); LINE: what stands there when it does not end one */
    Doc **items;                 /* CAT; GROUP and INDENT have one */
    uint32_t count, cap;
};

typedef struct Printer {
    Arena *arena;
    const Module *module;
    Str text;                    /* of the source */
    bool *used;                  /* per comment: printed already */
    uint32_t first_unused;
} Printer;

Doc *doc_text(Printer *p, const char *text);
Doc *doc_str(Printer *p, Str text);
Doc *doc_line(Printer *p, const char *flat, bool blank);
Doc *doc_hard(Printer *p, bool blank);
Doc *doc_suffix(Printer *p, Str comment);
Doc *doc_group(Printer *p, Doc *content, bool broken);
Doc *doc_indent(Printer *p, Doc *content);
Doc *doc_list(Printer *p);                                     /* an empty CAT to push to */
void doc_push(Printer *p, Doc *list, Doc *item);               /* NULL adds nothing */
Doc *doc_cat(Printer *p, Doc *const *parts, size_t count);     /* NULL parts are skipped */
#define CAT(p, ...) doc_cat((p), (Doc *[]){ __VA_ARGS__ }, sizeof((Doc *[]){ __VA_ARGS__ }) / sizeof(Doc *))

bool   doc_breaks(const Doc *doc);                             /* holds something that ends a line whatever the width */
size_t doc_flat_columns(const Doc *doc);                       /* SIZE_MAX when it breaks */
void   doc_print_flat(const Doc *doc, Buf *out);
void   doc_print(const Doc *doc, Buf *out);

/* A thing on a line of its own, or between commas: where it stands in the source, and how to print it. */
typedef struct Item {
    uint32_t start, end;
    Str doc;
    const Ast *node;
    Doc *(*print)(Printer *p, const Ast *node);
} Item;

typedef struct Items {
    Item *items;
    uint32_t count, cap;
} Items;

void items_add(Printer *p, Items *items, uint32_t start, uint32_t end, const Ast *node, Doc *(*print)(Printer *, const Ast *));
void items_add_list(Printer *p, Items *items, AstList list);
void items_sort(Items *items);                                 /* by place */

/* What stands between two brackets, comments woven in. `open` and `close` are offsets: behind the opening bracket, and of the
 * closing one. */
typedef struct Inside {
    Doc *opening;                /* comment behind the opening bracket, or NULL */
    Doc *content;                /* NULL: nothing at all */
    bool broken;                 /* a comment, or a break of the author's, keeps it from one line */
} Inside;
Inside inside(Printer *p, const Items *items, const char *separator, bool declarations, uint32_t open, uint32_t close);

/* Bracketed: `[a, b]`, one a line when the author broke behind the bracket or it does not fit. Braces are padded when flat. */
Doc *bracketed(Printer *p, const char *open, AstList list, const char *close, uint32_t open_at, uint32_t end);
Doc *bracketed_bare(Printer *p, const char *open, AstList list, const char *close, uint32_t open_at, uint32_t end, bool *broken);   /* no group of its own */
Doc *braced_lines(Printer *p, const Items *items, uint32_t open_at, uint32_t end);        /* one a line, always */

/* A block: one line when the author wrote one and it holds one statement. The second form leaves the group to the caller. */
Doc *block_doc(Printer *p, const Ast *block);
Doc *block_bare(Printer *p, const Ast *block, bool *broken);

/* head clause clause…: clauses each on an indented line when broken. Comments before the next clause, or before `limit` (0: none), stand
 * where they stood: behind the clause, or on a line of their own. */
typedef struct Chain {
    Doc *head, *clauses, *last;
    uint32_t last_end;
    bool broken;                 /* by the author, or by a comment */
} Chain;
Chain chain_of(Printer *p, Doc *head, uint32_t head_end, uint32_t first_clause_at);
void  chain_add(Printer *p, Chain *chain, uint32_t start, uint32_t end, Doc *clause);
Doc  *chain_doc(Printer *p, Chain *chain, uint32_t limit);

/* How tightly an expression holds together, loosest first, as in flow.y: a place that asks for a level puts what is looser
 * between parentheses. LEVEL_ANY is a whole value, LEVEL_QUERY one without clauses behind it, LEVEL_OR any operators. */
typedef enum {
    LEVEL_ANY, LEVEL_QUERY, LEVEL_OR, LEVEL_AND, LEVEL_NOT, LEVEL_COMPARE, LEVEL_COALESCE, LEVEL_ADD, LEVEL_MUL, LEVEL_UNARY, LEVEL_AS, LEVEL_POSTFIX
} Level;

Doc *fmt_node(Printer *p, const Ast *node);
Doc *fmt_operand(Printer *p, const Ast *node, Level level);
Doc *fmt_expr(Printer *p, const char *before, const Ast *node, Level level);    /* NULL for NULL */
Doc *fmt_at_start(Printer *p, const Ast *node);                        /* where a statement starts: some first words need parentheses */
Doc *fmt_before_block(Printer *p, const Ast *node);                    /* a condition, a subject */
Doc *fmt_before_comma(Printer *p, const Ast *node);                    /* an item of a list that is not the last */
Doc *fmt_behind_arrow(Printer *p, const Ast *node);                    /* where `{` opens a block unless a record is plain to see */
Doc *fmt_opt(Printer *p, const char *before, const Ast *node);         /* NULL for NULL */
Doc *fmt_ident(Printer *p, Ident ident);
Doc *fmt_comma_list(Printer *p, AstList list);                         /* a, b, c: never broken by width */
Doc *fmt_quoted(Printer *p, Str text);                                 /* decoded text as a literal */
Doc *fmt_source(Printer *p, Span span);                                /* as the author wrote it */

void fmt_comments_skip(Printer *p, Span span);                         /* they are in text that is kept as written */

/* Looking at the source. All take and give offsets. */
uint32_t source_find(const Printer *p, uint32_t from, uint32_t end, char c);   /* first c outside comments; `end` when none */
uint32_t source_behind_string(const Printer *p, uint32_t from);                /* behind the plain string that comes next */
bool source_newline_after(const Printer *p, uint32_t at);                      /* nothing but space or a comment up to the line's end */
bool source_newline_before_word(const Printer *p, uint32_t from, uint32_t to); /* a line ends behind `from`, and behind the brackets closing there */
bool source_blank_line(const Printer *p, uint32_t from, uint32_t to);

/* One printer for each kind of node, node_NAME; the table in fmt.c does not link without all of them. */
#define AST(KIND, name) Doc *node_##name(Printer *p, const Ast *node);
#include "dsl/syntax/ast.def"
#undef AST

/* The typed view of a node, as as_NAME() but for a constant one. */
#define NODE(name) const Ast_##name *n = (const Ast_##name *)(const void *)node
#endif
