/* condition_internal.h - what the scanner, the grammar and the driver of the condition language share. Internal to dsl/.
 *
 * One CondParser is one reading. The first mistake is kept and ends it: the scanner answers COND_T_STOP from then on, which no rule has. Tokens are
 * places (offsets of the text); their values lie in the parser beside the newest token, since the grammar looks one token ahead at most.
 */
#ifndef SYNTAX_CONDITION_INTERNAL_H
#define SYNTAX_CONDITION_INTERNAL_H
#include "dsl/syntax/condition.h"

typedef struct CondPlace { uint32_t start, end; } CondPlace;
typedef struct CondToken { Str text; double number; } CondToken;

typedef enum { COND_MODE_EXPR, COND_MODE_PATH, COND_MODE_TEXT } CondMode;

typedef struct CondParser {
    Arena *arena;
    const char *text;
    uint32_t size;
    CondMode mode;
    bool started;               /* the token that says the mode has been given */
    int before;                 /* the token before this one */
    uint32_t nesting;           /* brackets and interpolations that are open */
    uint64_t quotes;            /* bit per open interpolation: of the template, or of the whole text */
    uint32_t opened;            /* where the newest quote or interpolation began */
    CondPlace name, name_before;         /* the newest name, and the one before */
    uint32_t nodes;
    Cond **stack; uint32_t stack_count, stack_cap;       /* items under construction */
    Cond *root;
    ConditionError *error;
    bool failed;
} CondParser;

/* condition_parse.c. Each of these keeps the first mistake only. */
void cond_error(CondParser *parser, const char *code, CondPlace place, const char *format, ...) __attribute__((format(printf, 4, 5)));
void cond_expect(CondParser *parser, const char *format, ...) __attribute__((format(printf, 2, 3)));      /* adds to the mistake just made */
void cond_suggest(CondParser *parser, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cond_refuse(CondParser *parser, CondPlace place);         /* a spelling of COND_REFUSED */
void cond_refuse_what(CondParser *parser, CondPlace place, const char *what, const char *instead);
bool cond_is_refused(Str word);
void cond_bad_character(CondParser *parser, uint32_t at);
void cond_too_deep(CondParser *parser, CondPlace place);
void cond_bad_call(CondParser *parser, CondPlace place, bool member, bool math, Str name);
void cond_bad_number(CondParser *parser, CondPlace place, Str text);
bool cond_must_be_escaped(CondParser *parser, uint32_t at, bool is_template);       /* a character that a text may have as an escape only; true: a mistake */
Str  cond_source(const CondParser *parser, CondPlace place);
bool cond_string(CondParser *parser, CondPlace body, bool is_template, Str *out);      /* escapes decoded; false: a mistake */
bool cond_number(CondParser *parser, CondPlace place, double *out);

Cond *cond_new(CondParser *parser, CondKind kind, CondPlace place);
Cond *cond_unary(CondParser *parser, CondPlace place, CondOp op, Cond *operand);
Cond *cond_binary(CondParser *parser, CondPlace place, CondPlace sign, CondOp op, Cond *left, Cond *right);
Cond *cond_choice(CondParser *parser, CondPlace place, Cond *condition, Cond *yes, Cond *no);
Cond *cond_member(CondParser *parser, CondPlace place, Cond *object, Str name, bool optional);
Cond *cond_index(CondParser *parser, CondPlace place, Cond *object, Cond *index, bool optional);
Cond *cond_list(CondParser *parser, CondPlace place, uint32_t items);
Cond *cond_call(CondParser *parser, CondPlace place, Cond *callee, uint32_t args);      /* takes the items from args on */
Cond *cond_template(CondParser *parser, CondPlace place, uint32_t parts);
uint32_t cond_push(CondParser *parser, Cond *item);            /* where it lies */

/* The grammar names tokens by number; sets of them say what was expected. */
void cond_unexpected(CondParser *parser, CondPlace place, int token, const int *expected, int count);

/* condition.l */
int  cond_scan(CondParser *parser, void *scanner, CondToken *token, CondPlace *place);
void *cond_scan_begin(CondParser *parser);                     /* NULL: no memory */
void cond_scan_end(void *scanner);
/* condition.y */
bool cond_grammar(CondParser *parser, void *scanner);          /* false: a mistake */
#endif
