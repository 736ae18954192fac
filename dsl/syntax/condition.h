/* condition.h - the expressions of a plan: a strict subset of JavaScript's, as a tree.
 *
 * Three readers for three places of a plan. All are pure, bounded, and never recurse over the text:
 *   condition_parse       a whole expression: `budget_available >= 200 && city.startsWith("To")`
 *   condition_parse_path  member access only, what a `$ref` names: `book_hotel.booking_id`, `steps[0].items[2]["first name"]`
 *   condition_parse_text  the text of a `$text`: characters and `${path}`. `\${` stands for the two characters `${`; no other backslash means anything.
 * The tree lives in the arena and borrows nothing from the text. The first mistake ends the reading: NULL, and *error says what, where and, where
 * there is one, what to write instead. Codes: E0730 not the language's syntax, E0731 JavaScript that is not in the subset, E0721 a limit.
 *
 * Text is UTF-8 (a caller's JSON reader has seen to that; what is not is E0730). Characters that deceive (NUL, controls, bidi, what looks like a space
 * but is none) are refused outside of strings; in strings they must be escapes.
 */
#ifndef SYNTAX_CONDITION_H
#define SYNTAX_CONDITION_H
#include "base/arena.h"
#include "base/buf.h"

/* Bytes of one expression (of one path within a `$text`; the whole text is bounded by its caller), nested operators and parentheses, nodes of the tree. */
enum { CONDITION_BYTES_MAX = 4096, CONDITION_DEPTH_MAX = 64, CONDITION_NODES_MAX = 1000 };

typedef enum {
#define COND(KIND, name) COND_##KIND,
#include "dsl/syntax/condition.def"
#undef COND
    COND_KIND_COUNT
} CondKind;
typedef enum {
    COND_OP_NONE,
#define COND_OP(NAME, spelling) COND_OP_##NAME,
#include "dsl/syntax/condition.def"
#undef COND_OP
} CondOp;
typedef enum {
    COND_METHOD_NONE,
#define COND_METHOD(NAME, receiver, name, least, most) COND_METHOD_##NAME,
#include "dsl/syntax/condition.def"
#undef COND_METHOD
    COND_METHOD_COUNT
} CondMethod;

/* What a kind has in which field is said beside it in condition.def. */
typedef struct Cond Cond;
struct Cond {
    CondKind kind;
    CondOp op;
    bool optional;              /* `?.`: null or undefined ends the chain of members around it */
    bool grouped;               /* stands in parentheses, where such a chain ends */
    uint8_t depth;              /* nodes below it and itself, at most CONDITION_DEPTH_MAX */
    bool boolean;
    uint32_t offset, length;    /* bytes of the text that it stands for */
    uint32_t op_offset;         /* BINARY: of the operator */
    double number;
    Str text;
    Cond **items; uint32_t count;
    struct CondNote *note;      /* compiler/check_condition.c's: the type and what is to be done */
};

typedef struct ConditionError {
    const char *code;           /* "E0730" */
    uint32_t offset, length;    /* of what is wrong, in bytes from the start of the text */
    Str message, expected, actual;                       /* for people; each may be empty but the message */
    Str suggestion;             /* what to write in this very place instead, or empty */
} ConditionError;

Cond *condition_parse(Arena *arena, Str text, ConditionError *error);
Cond *condition_parse_path(Arena *arena, Str text, ConditionError *error);
Cond *condition_parse_text(Arena *arena, Str text, ConditionError *error);       /* a COND_TEMPLATE */

const char *cond_kind_name(CondKind kind);                    /* "member" */
const char *cond_op_text(CondOp op);                          /* "===" */
typedef struct CondMethodInfo { const char *receiver, *name; uint8_t least, most; } CondMethodInfo;
const CondMethodInfo *cond_method(CondMethod method);
CondMethod cond_method_find(const char *receiver, Str name);  /* NONE when there is none */
const char *cond_misspelt(Str word);                          /* "null" for `None`: what other languages write; NULL when it is none of them */
void cond_dump(const Cond *tree, Buf *out);                   /* s-expression, for tests */
#endif
