/* diag.h - what is wrong with a program: collected, never printed below the programs.
 *
 * One row of diag.def makes one typed function: D(E0312, ERROR, unknown_agent,
 * "unknown agent `%s`", (const char *name), (name)) gives
 *     Diag *diag_unknown_agent(Diags *d, Span span, const char *name);
 * The returned Diag (never NULL) takes more: diag_label, diag_note, diag_help, diag_fix.
 * Codes: E01 text, E02 syntax, E03 names, E04 types and optionals, E05 effects and
 * durability, E06 privacy and tenants, E07 plans, E08 run time and store, E09 artifacts.
 * Lints have names instead of numbers (L("saga-step-uncompensated", …)).
 * At most DIAG_COUNT_MAX are kept; the same code at the same span once.
 */
#ifndef SYNTAX_DIAG_H
#define SYNTAX_DIAG_H
#include "dsl/syntax/source.h"
#include "base/buf.h"

enum { DIAG_COUNT_MAX = 200, DIAG_NOTES_MAX = 6 };
typedef enum { SEVERITY_ERROR, SEVERITY_WARNING } Severity;

typedef struct DiagNote {
    bool has_span;
    Span span;
    const char *text;
} DiagNote;

typedef struct DiagFix {                 /* replace span by text */
    Span span;
    const char *text;
    bool widens_authority;               /* never applied by itself */
} DiagFix;

typedef struct Diag {
    const char *code;                    /* "E0312" or a lint's name */
    Severity severity;
    Span span;
    const char *message;                 /* lower case, no full stop, stands alone */
    const char *label;                   /* why here; may be NULL */
    DiagNote notes[DIAG_NOTES_MAX];
    int note_count;
    const char *help;                    /* the only place that proposes; may be NULL */
    DiagFix fix;
    bool has_fix;
} Diag;

typedef struct Diags {
    Arena *arena;                        /* owns every text */
    Diag **items;
    uint32_t count, cap;
    uint32_t error_count;
} Diags;

void diags_init(Diags *diags);
void diags_deinit(Diags *diags);
void diags_sort(Diags *diags);           /* by file, place, code */

Diag *diag_label(Diags *d, Diag *diag, const char *format, ...) __attribute__((format(printf, 3, 4)));
Diag *diag_help(Diags *d, Diag *diag, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A note about another place; the zero Span: about none. Past DIAG_NOTES_MAX it is dropped. */
Diag *diag_note(Diags *d, Diag *diag, Span span, const char *format, ...) __attribute__((format(printf, 4, 5)));
Diag *diag_fix(Diags *d, Diag *diag, Span span, const char *format, ...) __attribute__((format(printf, 4, 5)));
Diag *diag_did_you_mean(Diags *d, Diag *diag, Str wrong, const Str *candidates, size_t count);   /* help + fix, when one is near */

typedef enum { DIAG_FORMAT_TEXT, DIAG_FORMAT_JSON, DIAG_FORMAT_SARIF } DiagFormat;
/* TEXT as in the house style (frame with the line and carets), JSON lines (versioned), SARIF 2.1.0. */
void diags_render(const Diags *diags, const SourceSet *sources, DiagFormat format, bool color, Buf *out);

/* What `flowc explain` knows of a code without its page: severity and message pattern. NULL when unknown. */
const char *diag_pattern(const char *code);
typedef struct DiagInfo { const char *code; Severity severity; const char *pattern; } DiagInfo;
extern const DiagInfo diag_infos[];      /* every row, ends with code NULL */

#define D(code, severity, name, pattern, params, args) Diag *diag_##name(Diags *d, Span span, params);
#define D0(code, severity, name, pattern)              Diag *diag_##name(Diags *d, Span span);
#define L(lint, name, pattern, params, args)           Diag *diag_##name(Diags *d, Span span, params);
#define L0(lint, name, pattern)                        Diag *diag_##name(Diags *d, Span span);
#define J(code, severity, name, title)
#define P(...) __VA_ARGS__
#include "dsl/syntax/diag.def"
#undef J
#undef D
#undef D0
#undef L
#undef L0
#undef P
#endif
