/* report.h - what is wrong with a plan: collected with its place, told to machines as JSON and to people as text.
 *
 * A row J of diag.def gives an enumerator PLAN_DIAG_name here:
 *     PlanDiag *diag = plan_diag(d, PLAN_DIAG_unknown_tool, place, "agent `%s` has no tool `%s`", …);
 *     plan_diag_allowed(d, diag, names, count);
 * The returned PlanDiag (never NULL) takes more. At most PLAN_DIAG_MAX are kept, the same one at the same place once; what is not kept still counts.
 *
 * Texts: everything is copied into the arena of the PlanDiags. What a message quotes from a plan goes through plan_quote(), which cuts it and shows what
 * deceives: a report can be put on a terminal and into a log. `message` is lower case, no full stop, stands alone.
 *
 * Suggestions: op "add", "replace" and "remove" as in JSON Patch at the pointer of the diagnostic; "rename" gives the member at the pointer another name (a
 * JSON string). A diagnostic that says `widens_authority` has none: no machine may take more than was granted.
 */
#ifndef COMPILER_PLAN_REPORT_H
#define COMPILER_PLAN_REPORT_H
#include "compiler/plan/plan.h"

enum { PLAN_QUOTE_MAX = 80 /* bytes of a plan's text in a message */, PLAN_SENTENCE_MAX = 300, PLAN_ALLOWED_MAX = 64 };

typedef enum {
#define D(...)
#define D0(...)
#define L(...)
#define L0(...)
#define J(code, severity, name, title) PLAN_DIAG_##name,
#include "dsl/syntax/diag.def"
#undef D
#undef D0
#undef L
#undef L0
#undef J
    PLAN_DIAG_ROW_COUNT
} PlanDiagRow;

/* Where something stands in the plan. NULL is the plan itself. */
typedef struct PlanPlace PlanPlace;
struct PlanPlace {
    const PlanPlace *up;
    Str key;                             /* of an object; ptr NULL: item `index` of an array */
    uint32_t index;
};
const PlanPlace *plan_place_key(Arena *arena, const PlanPlace *up, Str key);
const PlanPlace *plan_place_item(Arena *arena, const PlanPlace *up, uint32_t index);
Str plan_place_pointer(Arena *arena, const PlanPlace *place);          /* RFC 6901 */
/* The member or item that byte `offset` of a text belongs to, which need not be JSON. */
const PlanPlace *plan_place_of_offset(Arena *arena, Str text, size_t offset);
/* The bytes of the value at a pointer, or of the nearest one around it that there is; with an offset: of that byte of the string there. */
void plan_place_bytes(Str text, Str pointer, int32_t offset, size_t *start, size_t *end);

typedef struct PlanDiags {
    Arena *arena;
    PlanDiag items[PLAN_DIAG_MAX]; uint32_t count;
    uint32_t error_count;                /* also of those that were not kept */
} PlanDiags;

void plan_diags_init(PlanDiags *diags, Arena *arena);
PlanDiag *plan_diag(PlanDiags *d, PlanDiagRow row, const PlanPlace *place, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* At byte `offset` of the string at the place. */
PlanDiag *plan_diag_at(PlanDiags *d, PlanDiagRow row, const PlanPlace *place, int32_t offset, const char *format, ...) __attribute__((format(printf, 5, 6)));
PlanDiag *plan_warn(PlanDiags *d, PlanDiagRow row, const PlanPlace *place, const char *format, ...) __attribute__((format(printf, 4, 5)));   /* a WARNING */
/* The same as plan_diag_at() for a code that another part has found ("E0732"); `message` is copied. An unknown code is our mistake. */
PlanDiag *plan_diag_code(PlanDiags *d, const char *code, const PlanPlace *place, int32_t offset, Str message);
PlanDiag *plan_diag_expected(PlanDiags *d, PlanDiag *diag, const char *format, ...) __attribute__((format(printf, 3, 4)));
PlanDiag *plan_diag_actual(PlanDiags *d, PlanDiag *diag, const char *format, ...) __attribute__((format(printf, 3, 4)));
PlanDiag *plan_diag_allowed(PlanDiags *d, PlanDiag *diag, const Str *words, uint32_t count);
PlanDiag *plan_diag_suggest(PlanDiags *d, PlanDiag *diag, const char *op, Str json);
PlanDiag *plan_diag_suggest_text(PlanDiags *d, PlanDiag *diag, const char *op, Str text);     /* a JSON string of the text */
/* allowed, and the nearest of them as suggestion `op`, when one is near. */
PlanDiag *plan_diag_did_you_mean(PlanDiags *d, PlanDiag *diag, const char *op, Str wrong, const Str *words, uint32_t count);
PlanDiag *plan_diag_widens(PlanDiag *diag);                            /* sets widens_authority, takes a suggestion away */
void plan_diags_sort(PlanDiags *diags, Str json);                      /* in the order of the text, whose plan this is about */

/* A plan's text for a message: at most PLAN_QUOTE_MAX bytes, "…" where it was cut, \u{202E} for what deceives. NUL-terminated. */
const char *plan_quote(Arena *arena, Str text);
const char *plan_sentence(Arena *arena, Str text);       /* the same for a sentence of another library, up to PLAN_SENTENCE_MAX */

void plan_put_tool_name(const Image *base, uint16_t tool, Buf *out);   /* "finance.check_budget" */
/* For people: code, message, the line of the plan with carets, what could stand there, how to repair it. `path`: the plan's name, for the frame. */
void plan_put_text(const PlanResult *result, Str json, const char *path, bool color, Buf *out);
/* The worst case beside the budget of the grant. */
void plan_put_cost_text(const PlanResult *result, const PlanGrant *grant, Buf *out);
#endif
