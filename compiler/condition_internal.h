/* condition_internal.h - what check_condition*.c leave on the tree of a condition for lower_condition.c. */
#ifndef COMPILER_CONDITION_INTERNAL_H
#define COMPILER_CONDITION_INTERNAL_H
#include "compiler/condition.h"
#include "compiler/types.h"

typedef enum { SORT_POISON, SORT_NULL, SORT_BOOL, SORT_NUMBER, SORT_STRING, SORT_LIST, SORT_MAP, SORT_RECORD, SORT_JSON } CondSort;

/* JavaScript has two of them, and `===` tells them apart: what a tool left out of its answer's record is null, what lies outside of a list or map is undefined.
   Both are one null at run time; a `===` that would have to tell is refused. */
enum { MAYBE_NULL = 1, MAYBE_UNDEFINED = 2 };

typedef enum { ACCESS_FIELD, ACCESS_LENGTH, ACCESS_MAP, ACCESS_LIST, ACCESS_JSON_NAME, ACCESS_JSON_AT, ACCESS_METHOD } CondAccess;

typedef struct CondNote {
    CondSort sort;
    uint8_t own;                /* MAYBE_*: what the value itself may be, if the chain around it gets there */
    bool cut;                   /* MEMBER INDEX CALL: a `?.` at or below it may end the chain: undefined */
    Type *type;                 /* LIST MAP RECORD: of the flow language, without OPT */
    unsigned labels;            /* of the values it is made of */
    CondAccess access;          /* MEMBER INDEX CALL */
    CondMethod method;          /* CALL MATH */
    uint32_t index;             /* NAME STEP: which of the names; FIELD: which field */
    bool joins;                 /* `+` of texts */
} CondNote;

static inline uint8_t note_nullish(const CondNote *note) { return (uint8_t)(note->own | (note->cut ? MAYBE_UNDEFINED : 0)); }
static inline bool sort_is_object(CondSort sort) { return sort == SORT_LIST || sort == SORT_MAP || sort == SORT_RECORD; }
static inline bool cond_is_link(const Cond *node) { return node->kind == COND_MEMBER || node->kind == COND_INDEX || node->kind == COND_CALL; }
/* The object of a link, when it is a link of the same chain. */
static inline bool cond_continues(const Cond *node) { return cond_is_link(node) && !node->grouped; }

/* info of a condition_expr */
typedef struct ConditionInfo { Cond *tree; Type **types; /* of the names */ } ConditionInfo;

/* One check. */
typedef struct CondCheck {
    const ConditionScope *scope;
    Program *program;
    Arena *arena;
    ConditionIssues *issues;
    bool failed;
    struct CondRoot { Str name; int64_t step; ConditionRoot root; bool found; } *roots;
    uint32_t root_count, root_cap;
    const Cond **facts; uint32_t fact_count, fact_cap;    /* paths that are not null here */
} CondCheck;

/* condition_issue.c. `node` may be NULL: the whole text. */
ConditionIssue *cond_issue(CondCheck *c, const Cond *node, const char *code, const char *format, ...) __attribute__((format(printf, 4, 5)));
void issue_expected(CondCheck *c, ConditionIssue *issue, const char *format, ...) __attribute__((format(printf, 3, 4)));
void issue_actual(CondCheck *c, ConditionIssue *issue, const char *format, ...) __attribute__((format(printf, 3, 4)));
void issue_suggest(CondCheck *c, ConditionIssue *issue, const char *format, ...) __attribute__((format(printf, 3, 4)));
Str  cond_path_text(CondCheck *c, const Cond *node);          /* "book_hotel.cost"; "this value" for what is no path */
Str  cond_source_text(CondCheck *c, const Cond *node);        /* a path, number or string as it could be written; empty for what is more */
const char *sort_text(CondSort sort);                         /* "a number" */
Str  sort_full(CondCheck *c, const CondNote *note);           /* "a number or null" */
void issue_may_be_null(CondCheck *c, const Cond *node);       /* E0734 */
void issue_no_field(CondCheck *c, const Cond *node, Str field, const Type *record);   /* E0735 */
void issues_sort(ConditionIssues *issues);

/* check_condition.c */
const struct CondRoot *cond_root(CondCheck *c, const Cond *node, uint32_t *index);     /* of a NAME or STEP; NULL: an issue was given */
CondSort cond_sort_of(const Type *type);                      /* without OPT; POISON: no value of a condition */
CondNote *check_cond(CondCheck *c, Cond *node);               /* the value */
void check_truth(CondCheck *c, Cond *node);                   /* where true or false is asked */
bool require(CondCheck *c, const Cond *node, CondSort sort, const char *what);         /* not null, of that sort or json; else an issue */
/* check_condition_call.c */
void check_cond_call(CondCheck *c, Cond *node, CondNote *note, const CondNote *object);
void check_cond_math(CondCheck *c, Cond *node, CondNote *note);
/* check_condition_facts.c */
void cond_facts_of(CondCheck *c, const Cond *node, bool truth);
bool cond_facts_know(const CondCheck *c, const Cond *node);
#endif
