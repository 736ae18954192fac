/* query.h - what a program asks of its tables, free of any SQL dialect.
 *
 * A Query names tables and columns by index; values come as parameters of the effect, in order. The store renders it
 * to parameterised SQL and always adds the tenant (and, unless the table is shared, the owner): an image cannot leave them out.
 * Expressions are postfix with a bounded stack (QUERY_STACK_MAX).
 */
#ifndef BYTECODE_QUERY_H
#define BYTECODE_QUERY_H

enum { QUERY_STACK_MAX = 64, QUERY_ITEMS_MAX = 2000, QUERY_JOINS_MAX = 4, QUERY_OUTPUTS_MAX = 64 };
#define CACHE_TTL_MIN INT64_C(1000000)                    /* 1 s */
#define CACHE_TTL_MAX (7 * 24 * 3600 * INT64_C(1000000))  /* 7 d: generations of tables are kept as long */
#define STATE_TTL_MIN INT64_C(1000000)
#define STATE_TTL_MAX (365 * 24 * 3600 * INT64_C(1000000))

typedef enum { QUERY_SELECT, QUERY_SELECT_ONE, QUERY_AGGREGATE, QUERY_EXISTS, QUERY_INSERT, QUERY_UPDATE, QUERY_DELETE } QueryKind;
/* SELECT -> list of row_type; SELECT_ONE -> row_type? (limit 1); AGGREGATE -> one output (sum of nothing 0, count int; min max avg optional);
   EXISTS -> bool; INSERT -> the row; UPDATE, DELETE -> int rows. */

typedef enum {
    QX_COLUMN = 1,      /* push column arg of source `source` (0 = the table, 1.. = joins) */
    QX_PARAM,           /* push parameter arg */
    QX_NULL, QX_EQ, QX_NE, QX_LT, QX_LE, QX_GT, QX_GE, QX_AND, QX_OR, QX_NOT, QX_ADD, QX_SUB, QX_MUL, QX_IS_NULL,
    QX_IN,              /* value, list parameter -> bool (the parameter is a list<…>) */
    QX_CONTAINS, QX_STARTS, QX_ENDS,                     /* string, string -> bool */
    QX_LOWER, QX_UPPER, QX_CONCAT, QX_COALESCE,
    QX_COUNT_ALL,       /* push count(*) */
    QX_COUNT, QX_SUM, QX_MIN, QX_MAX, QX_AVG,            /* aggregate of the top */
    QX_TO_DECIMAL, QX_TO_FLOAT,                          /* int -> the wider number */
    QX_KNOWN            /* T? -> T where a condition has ruled out null */
} QueryOp;
typedef struct QueryItem { uint8_t op, source; uint16_t arg; } QueryItem;
typedef struct QueryExpr { QueryItem *items; uint16_t count; } QueryExpr;       /* count 0: absent */
typedef struct QuerySet { uint16_t column; QueryExpr value; } QuerySet;
typedef struct QueryOrder { QueryExpr value; bool descending; } QueryOrder;
typedef struct QueryJoin { uint16_t table; QueryExpr on; } QueryJoin;

typedef struct Query {
    uint8_t kind;
    uint16_t table;
    QueryJoin joins[QUERY_JOINS_MAX]; uint16_t join_count;
    QueryExpr where;
    QuerySet *sets; uint16_t set_count;                  /* INSERT: every given column (the rest by default or null; id by NEW_ID as a parameter); UPDATE */
    QueryExpr *outputs; uint16_t output_count;           /* SELECT: fields of row_type in order, empty = all columns of the table; AGGREGATE: one */
    QueryExpr *groups; uint16_t group_count;
    QueryOrder *orders; uint16_t order_count;
    uint16_t limit_param;                                /* int parameter, or NO_INDEX */
    uint16_t *params; uint16_t param_count;              /* types */
    int64_t cached_us;                                   /* reads: the result may be kept for so long; 0: not at all */
    uint16_t result;                                     /* type of the effect's result */
    uint16_t row_type;                                   /* record of the outputs (or of the table) */
} Query;
#endif
