/* sql_render.h - what the renderer of statements (sql.c) has from the renderer of expressions (sql_expr.c).
 *
 * Texts are in the arena. What cannot be rendered is noted in `err`, the first of it, and rendering goes on with NULL, so only the end looks.
 */
#ifndef STORE_SQL_RENDER_H
#define STORE_SQL_RENDER_H
#include "interpreter/store/sql.h"

typedef struct Term {
    const char *sql;
    TypeKind kind;
    uint16_t type;                       /* without `?` */
    bool optional;
    bool unsure;                         /* a bool that SQL may leave null where the language says false */
    bool list; uint16_t param;           /* a list parameter, not bound yet */
} Term;

typedef struct Render {
    Arena *arena;
    const SqlDialect *dialect;
    const Image *image;
    const Query *query;
    SqlText *out;
    Error *error;
    Err err;
    uint32_t bind_cap;
    TypeKind avg_kind;                   /* of the output that is rendered */
    bool columns_allowed;
} Render;

const char *render_fail(Render *r, Err err, const char *what);              /* "NULL" */
const char *render_bind(Render *r, SqlBind one);                            /* its placeholder; the same one when it is bound already */
const char *render_bind_text(Render *r, Str text);
const ImageTable *render_source_table(Render *r, uint32_t source);
const char *render_quoted(Render *r, const char *prefix, Str name);         /* an identifier */
const char *render_quoted_table(Render *r, const ImageTable *table);
const char *render_cast(Render *r, const char *placeholder, TypeKind kind);
Term render_typed(Render *r, const char *sql, uint16_t type);               /* a value of that type */
Term render_column(Render *r, uint32_t source, uint32_t column);
Term render_param(Render *r, uint16_t param, bool of_in);
Term render_settle(Render *r, Term t);                                      /* a bool that says false where SQL would leave it null */
const char *render_ordered(Render *r, Term t);                              /* what it is compared and sorted by */
int render_operands(QueryOp op);                                            /* how many a query operation takes */
Term render_expression(Render *r, const QueryExpr *expr);
Term render_value_for(Render *r, const QueryExpr *expr, uint16_t type);     /* for a column of that type */
#endif
