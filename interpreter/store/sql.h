/* sql.h - what the SQL stores share: statements with parameters, the operations of a batch, the rendering of queries.
 *
 * SqlDb is a connection as the operations see it; a store fills in `run` and a dialect. Values travel as parameters only; the text of
 * a statement holds nothing but fixed words and quoted identifiers. Placeholders are written ?1, ?2 … in fixed statements (a store
 * with another form rewrites them when it prepares) and in the dialect's form in rendered ones.
 *
 * Tables of programs are named "t_<agent>_<table>", their columns "c_<column>"; the engine's own are flow_*.
 */
#ifndef STORE_SQL_H
#define STORE_SQL_H
#include "base/map.h"
#include "interpreter/store/store_internal.h"

enum { SQL_NAME_MAX = 200, SQL_QUERIES_KEPT_MAX = 4096 };           /* bytes of an identifier; rendered queries in memory */

/* Where databases differ. In a template @a and @b stand for the operands, @c for a type. */
typedef struct SqlDialect {
    const char *name;
    char placeholder;                    /* '?' or '$', the number follows */
    const char *type_bool, *type_int, *type_float, *type_decimal, *type_text, *type_blob, *row_no;
    const char *same, *differs;          /* comparison in which null equals null */
    const char *decimal_order;           /* template: a decimal as an operand of < = in order by min max */
    const char *decimal_of_int, *decimal_add, *decimal_sub, *decimal_mul, *decimal_sum, *decimal_avg;
    const char *int_add, *int_sub, *int_mul, *int_sum, *int_of_float, *float_of_int;          /* raise on overflow */
    const char *avg;                     /* of integers or floats, as a float */
    const char *date_shift;              /* @a days moved by @b microseconds */
    const char *contains, *starts, *ends, *lower, *upper;
    const char *in_list, *in_text_list, *in_blob_list;       /* @a the value, @b one parameter holding a JSON array (blobs: of upper-case hex), @c the type of an item */
    const char *cast, *cast_text;        /* a parameter of a program: @a of type @c, and a text; NULL: the database needs no types there */
    const char *quote, *quote_blob;      /* statement: ?1 as a literal for DDL */
    const char *lock_rows;               /* behind a select whose rows, from the source s0, are about to change, or "" */
    const char *share_name, *pass_name;  /* statement: ?1 a name that many may hold until the end of their transaction; wait until all who hold it now are done. NULL: writers exclude each other */
    const char *skip_locked;             /* behind a select of rows to claim: those that somebody else claims right now are left out. NULL: there is nobody else */
    const char *lock_name;               /* statement: holds the name ?1 until the transaction ends, against other processes; NULL: they cannot write now anyway */
    const char *lone_worker;             /* condition on run r: its worker has no transaction under way (and begins none until this one ends); NULL: nobody writes but us */
    const char *secure_table;            /* statements, separated by `;`, that bind the rows of the new table @a to their tenant; NULL: none */
    const char *const *secure_visible;   /* statements that bind table @t to its visibility: @o own rows, @r readable, @w writable ones; NULL ends. NULL: none */
    const char *scope_tenant, *scope_user;                   /* in those statements: who asks */
    uint32_t name_max;                   /* bytes of a name that the database tells apart; longer ones are shortened with a hash */
    const char *const *append_only;      /* statements that make table @t refuse to change rows and to lose them; @u and @d name what refuses; NULL ends */
    bool packs_hashes;                   /* a run's module_hash is bytes: sql_hash_cell, sql_hash_of */
    bool running_apart;                  /* runs that work are in no index by their beginning: a list looks for them by themselves */
    const char *module_of_run;           /* the hash of run r as flow_modules has it */
    const char *log_of_run;              /* condition: the worker of run r keeps journal rows of it aside */
    const char *integrity;               /* statement for fsck whose rows other than `ok` are problems, or NULL */
} SqlDialect;

typedef struct SqlRows {
    RowSet set;                          /* in the arena of the call */
    int64_t changes;                     /* rows changed */
} SqlRows;

typedef struct SqlTaken { Str tenant, run_id, worker; } SqlTaken;          /* a run that was RUNNING, and whose it was */

typedef struct SqlDb SqlDb;
struct SqlDb {
    const SqlDialect *dialect;
    /* Runs one statement to its end. `rows` NULL: the result is not asked for. On ERR_CONFLICT `constraint` names what was violated:
       an index, or the columns joined by ", ". */
    Err (*run)(SqlDb *db, Str sql, const Cell *args, uint32_t count, Arena *arena, SqlRows *rows, Error *error);
    Err (*check_fence)(SqlDb *db, StoreBatch *batch, Error *error);                    /* NULL: a plain read of the epoch is enough */
    /* Before statements on tables of programs; NULL: nothing to do. by_user: the user counts, too, because a table is `visible by`. */
    Err (*use_scope)(SqlDb *db, Str tenant, Str user, bool by_user, Error *error);
    /* Rows of a run's journal that are durable elsewhere than in flow_journal, by seq, in the batch's arena; some may be in both. NULL: there are none. */
    Err (*read_log)(SqlDb *db, StoreBatch *batch, Str run_id, JournalRow **rows, uint32_t *count, Error *error);
    /* For stores that have such rows, else NULL: behind the fence of a batch that writes, before what it does; when runs were taken from workers; what nobody comes for. */
    Err (*settle)(SqlDb *db, StoreBatch *batch, Error *error);
    Err (*take_over)(SqlDb *db, StoreBatch *batch, const SqlTaken *taken, uint32_t count, Error *error);
    Err (*gc_log)(SqlDb *db, StoreBatch *batch, Error *error);
    Buf claimed_tenant; size_t claims;   /* where the next claim goes on in turn */
    bool changed;                        /* some statement changed something since it was cleared */
    Buf constraint;
    Map queries; Arena *queries_arena;   /* rendered: image hash and number → SqlText */
};

static inline Cell cell_int(int64_t v)   { return (Cell){ .kind = CELL_INT, .i = v }; }
static inline Cell cell_u64(uint64_t v)  { return (Cell){ .kind = CELL_INT, .i = (int64_t)v }; }
static inline Cell cell_text(Str s)      { return (Cell){ .kind = CELL_TEXT, .text = s }; }
static inline Cell cell_blob(Str s)      { return (Cell){ .kind = CELL_BLOB, .text = s }; }
static inline Cell cell_null(void)       { return (Cell){ .kind = CELL_NULL }; }
#define SQL_RUN(db, literal, args, arena, rows, error) \
    (db)->run((db), STR(literal), (args), sizeof(args) / sizeof *(args), (arena), (rows), (error))

#define SQL_ROWS_OF(chunk) "COALESCE(" chunk "last_seq, " chunk "seq) - " chunk "seq + 1"          /* how many journal rows a row of flow_journal holds */

/* ---- operations ---------------------------------------------------------------------------------------- */
Err sql_apply_ops(SqlDb *db, StoreBatch *batch, Error *error);                       /* fence and all operations; the caller has the savepoint */
Err sql_check_fence(SqlDb *db, StoreBatch *batch, Error *error);
Err sql_apply_run_op(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error);       /* sql_runs.c: PUT_RUN UPDATE_RUN RELEASE RENEW CLAIM NEXT_CLAIM FORK GET_RUN LIST_RUNS */
Err sql_apply_event_op(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error);     /* sql_events.c: the outbox, subscriptions, deliveries, the dead */
Err sql_apply_wait_op(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error);      /* sql_waits.c: PUT_WAIT PASS_WAITS CLEAR_WAIT GET_WAITS */
Err sql_judge_fence(const StoreBatch *batch, const SqlRows *rows, Error *error);     /* rows: the run's epoch, or none */
Err sql_apply_journal_op(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error);   /* sql_journal.c: APPEND_JOURNAL GET_JOURNAL */
/* Rows of a run's journal behind `after`, at most `limit`, in the batch's arena. */
Err sql_read_journal(SqlDb *db, StoreBatch *batch, Str run_id, uint64_t after, int64_t limit, JournalRow **rows, uint32_t *count, Error *error);
/* What a statement answered, as the result of the operation; texts are borrowed. Its columns begin with SQL_…; `log` is of read_log. */
#define SQL_CHUNK "seq, last_seq, ended_us, body"
#define SQL_MAIL "mail_id, kind, request, name, payload, created_us"
#define SQL_SNAPSHOT "seq, bytes"
Err  sql_take_journal(const SqlRows *chunks, const JournalRow *log, uint32_t log_count, uint64_t after, int64_t limit, Arena *arena, JournalRow **rows, uint32_t *count, Error *error);
void sql_take_mail(StoreBatch *batch, const StoreOp *op, const SqlRows *rows);
void sql_take_bytes(StoreBatch *batch, const StoreOp *op, const SqlRows *rows);      /* SQL_SNAPSHOT */
/* Some rows of an answer, with texts of their own. */
SqlRows sql_copy_rows(const SqlRows *rows, uint32_t first, uint32_t count, Arena *arena);
Err sql_copy_journal(SqlDb *db, StoreBatch *batch, Str run_id, uint64_t upto, Str copy_id, Error *error);        /* its rows 1 to `upto`, for another run; ERR_NOT_FOUND when they are not all there */
typedef struct JournalChunk { Str tenant, run_id; uint64_t first; uint32_t count; int64_t ended_us /* of the last one */; Str entries /* journal_row.h */; } JournalChunk;
Err sql_put_chunk(SqlDb *db, const JournalChunk *chunk, Arena *arena, Error *error);
Err sql_apply_query(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error);        /* sql_tables.c */
Err sql_take_rate(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error);          /* sql_rates.c */
Err sql_apply_auth_op(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error);      /* sql_auth.c */
Err sql_apply_hot(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error);          /* sql_hot.c: HOT_WRITE HOT_READ */
Err sql_ensure_tables(SqlDb *db, StoreBatch *batch, StoreOp *op, Error *error);
Err sql_fsck(SqlDb *db, FsckReport *report, Buf *out, Error *error);
Err sql_snapshot_key(SqlDb *db, uint32_t *id, uint8_t bytes[32], Error *error);     /* what flow_meta keeps; ERR_CORRUPT */
void sql_db_deinit(SqlDb *db);
Cell sql_hash_cell(const SqlDialect *dialect, Str hash, Arena *arena);                 /* of a run's module, as the database has it */
Str  sql_hash_of(const Cell *cell, Arena *arena);                                      /* and back */
int64_t sql_limit_of(const StoreOp *op);                                               /* 0 is all */
Err sql_check_tenant(const StoreBatch *batch, Str tenant, Error *error);               /* may this batch write a row of that tenant? */
Err sql_conflict(Err err, Error *error, const char *what, Str name);                   /* gives a conflict its sentence */

/* ---- whose rows: sql_scope.c --------------------------------------------------------------------------- */
/* The pieces of the conditions on a table that is `visible by`: names are quoted, values are placeholders, literals or expressions. */
typedef struct SqlScope {
    const char *row;                     /* "s0." in a query, "" in a policy */
    const char *tenant, *user;           /* who asks */
    const char *column;                  /* of the visibility */
    const char *members, *user_column, *role_column;
    const char **roles; uint32_t role_count;                /* who may write the rows of others */
} SqlScope;
/* Binds the rows of a table to its visibility, once, in databases that can. ERR_CONFLICT: they are bound to another one. The tables are there. */
Err  sql_ensure_visibility(SqlDb *db, StoreBatch *batch, const Image *image, const ImageTable *table, Error *error);
void sql_put_own(const SqlScope *scope, Buf *out);
void sql_put_readable(const SqlScope *scope, Buf *out);
void sql_put_writable(const SqlScope *scope, Buf *out);

/* ---- rendering ----------------------------------------------------------------------------------------- */
typedef enum { BIND_TENANT, BIND_OWNER, BIND_PARAM, BIND_LIST, BIND_CONST } SqlBindKind;
typedef struct SqlBind { SqlBindKind kind; uint16_t param; Cell value; TypeKind type; } SqlBind;    /* placeholder number = index + 1; type: of a constant, where it matters */
typedef struct SqlTransition { uint16_t column, machine; Str sql; SqlBind *binds; uint32_t bind_count; } SqlTransition;
typedef struct SqlText {
    Str sql;
    SqlBind *binds; uint32_t bind_count;
    uint16_t *out_types; uint32_t out_count;                                          /* type of each result column */
    SqlTransition *transitions; uint32_t transition_count;                            /* UPDATE: selects (old, new) of the rows about to change */
} SqlText;
/* ERR_INVALID for what no verified image holds, ERR_UNSUPPORTED for what SQL cannot say. */
Err sql_render(Arena *arena, const SqlDialect *dialect, const Image *image, uint16_t query, SqlText *out, Error *error);

/* A query of a batch in its two halves, for whoever runs several as one statement: checked, rendered (kept by the image's hash) and bound; its answer. */
Err  sql_bind_query(SqlDb *db, StoreBatch *batch, const StoreOp *op, const SqlText **text, Cell **args, Error *error);
bool sql_by_user(const StoreOp *op);                                                   /* does the query, already bound once, touch a table that is `visible by`? */
void sql_answer_query(StoreBatch *batch, const StoreOp *op, const SqlText *text, SqlRows *rows);

Err  sql_put_identifier(const SqlDialect *dialect, Buf *out, const char *prefix, Str name, Error *error);        /* quoted, shortened where it must be */
void sql_put_short(const SqlDialect *dialect, Buf *out, Str name);                    /* the name as the database has it, unquoted */
const char *sql_type_name(const SqlDialect *dialect, TypeKind kind);                  /* of a column; NULL: cannot be stored */
Err  sql_table_name(const Image *image, const ImageTable *table, Buf *out, Error *error);        /* unquoted t_agent_table */
bool sql_has_hidden_version(const ImageTable *table);                                 /* versioned, but `version` is not among its columns */
uint32_t sql_column_count(const ImageTable *table);                                   /* a hidden version included, as the last */
Str  sql_column_name(const ImageTable *table, uint32_t column);
uint16_t sql_column_type(const ImageTable *table, uint32_t column);
const ImageType *sql_plain_type(const Image *image, uint16_t type, bool *optional);   /* without the `?` */
#endif
