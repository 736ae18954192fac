/* diag.c - collects diagnostics.
 *
 * Every row of diag.def becomes one function here, which formats the row's
 * pattern with the arguments the row declares; the compiler checks them against
 * the pattern because diag_add is a printf. All text goes to the arena of the
 * Diags, so a caller may pass anything short-lived.
 *
 * The functions never return NULL: a diagnostic that is not kept (the same code
 * at the same place, or one too many) is still a real Diag, in the arena but
 * not in the list, so the caller can go on decorating it. An error that is not
 * kept for want of room still counts in error_count: a program with more
 * mistakes than the list holds must not pass as one without.
 *
 * To add a diagnostic: a row in diag.def, a page in docs/errors, a test.
 */
#include "dsl/syntax/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const DiagInfo diag_infos[] = {
#define D(code, severity, name, pattern, params, args) { #code, SEVERITY_##severity, pattern },
#define D0(code, severity, name, pattern)              { #code, SEVERITY_##severity, pattern },
#define L(lint, name, pattern, params, args)           { lint, SEVERITY_WARNING, pattern },
#define L0(lint, name, pattern)                        { lint, SEVERITY_WARNING, pattern },
#define J(code, severity, name, title)                 { #code, SEVERITY_##severity, title },
#define P(...) __VA_ARGS__
#include "dsl/syntax/diag.def"
#undef D
#undef D0
#undef L
#undef L0
#undef P
#undef J
    { NULL, SEVERITY_ERROR, NULL },
};

const char *diag_pattern(const char *code)
{
    for (const DiagInfo *info = diag_infos; info->code; info++) {
        if (!strcmp(info->code, code)) return info->pattern;
    }
    return NULL;
}

void diags_init(Diags *diags)
{
    *diags = (Diags){ .arena = arena_new() };
}

void diags_deinit(Diags *diags)
{
    arena_free(diags->arena);
    free(diags->items);
    *diags = (Diags){ 0 };
}

static bool same_place(Span a, Span b)
{
    return a.file == b.file && a.start == b.start && a.end == b.end;
}

static Diag *find_same(const Diags *diags, const char *code, Span span)
{
    for (uint32_t i = 0; i < diags->count; i++) {
        if (same_place(diags->items[i]->span, span) && !strcmp(diags->items[i]->code, code)) return diags->items[i];
    }
    return NULL;
}

static void keep(Diags *diags, Diag *diag)
{
    if (diag->severity == SEVERITY_ERROR) diags->error_count++;
    if (diags->count >= DIAG_COUNT_MAX) return;
    if (diags->count == diags->cap) {
        diags->cap = diags->cap ? diags->cap * 2 : 16;
        diags->items = mem_realloc(diags->items, diags->cap * sizeof *diags->items);
    }
    diags->items[diags->count++] = diag;
}

static Diag *diag_add(Diags *diags, const char *code, Severity severity, Span span, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
static Diag *diag_add(Diags *diags, const char *code, Severity severity, Span span, const char *format, ...)
{
    Diag *diag = ARENA_NEW(diags->arena, Diag);
    diag->code = code;
    diag->severity = severity;
    diag->span = span;
    va_list args;
    va_start(args, format);
    diag->message = arena_vprintf(diags->arena, format, args);
    va_end(args);
    if (!find_same(diags, code, span)) keep(diags, diag);
    return diag;
}

#define D(code, severity, name, pattern, params, args) \
    Diag *diag_##name(Diags *d, Span span, params) { return diag_add(d, #code, SEVERITY_##severity, span, pattern, args); }
#define D0(code, severity, name, pattern) \
    Diag *diag_##name(Diags *d, Span span) { return diag_add(d, #code, SEVERITY_##severity, span, pattern); }
#define L(lint, name, pattern, params, args) \
    Diag *diag_##name(Diags *d, Span span, params) { return diag_add(d, lint, SEVERITY_WARNING, span, pattern, args); }
#define L0(lint, name, pattern) \
    Diag *diag_##name(Diags *d, Span span) { return diag_add(d, lint, SEVERITY_WARNING, span, pattern); }
#define J(code, severity, name, title)
#define P(...) __VA_ARGS__
#include "dsl/syntax/diag.def"
#undef D
#undef D0
#undef L
#undef L0
#undef P
#undef J

Diag *diag_label(Diags *d, Diag *diag, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diag->label = arena_vprintf(d->arena, format, args);
    va_end(args);
    return diag;
}

Diag *diag_help(Diags *d, Diag *diag, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diag->help = arena_vprintf(d->arena, format, args);
    va_end(args);
    return diag;
}

/* A note past DIAG_NOTES_MAX is dropped: six places that share the blame are enough to see the pattern. */
Diag *diag_note(Diags *d, Diag *diag, Span span, const char *format, ...)
{
    if (diag->note_count == DIAG_NOTES_MAX) return diag;
    DiagNote *note = &diag->notes[diag->note_count++];
    va_list args;
    va_start(args, format);
    note->text = arena_vprintf(d->arena, format, args);
    va_end(args);
    note->span = span;
    note->has_span = span.end > 0;
    return diag;
}

Diag *diag_fix(Diags *d, Diag *diag, Span span, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diag->fix.text = arena_vprintf(d->arena, format, args);
    va_end(args);
    diag->fix.span = span;
    diag->has_fix = true;
    return diag;
}

/* The edit replaces the diagnostic's whole span, so it is offered only when that span is the wrong word itself. */
Diag *diag_did_you_mean(Diags *d, Diag *diag, Str wrong, const Str *candidates, size_t count)
{
    Str near = str_nearest(wrong, candidates, count);
    if (!near.len) return diag;
    diag_help(d, diag, "did you mean `%.*s`?", STR_ARG(near));
    if (diag->span.end - diag->span.start == wrong.len) diag_fix(d, diag, diag->span, "%.*s", STR_ARG(near));
    return diag;
}

static int compare_numbers(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

static int compare_diags(const void *left, const void *right)
{
    const Diag *a = *(Diag *const *)left, *b = *(Diag *const *)right;
    int order = compare_numbers(a->span.file, b->span.file);
    if (!order) order = compare_numbers(a->span.start, b->span.start);
    if (!order) order = compare_numbers(a->span.end, b->span.end);
    return order ? order : strcmp(a->code, b->code);
}

void diags_sort(Diags *diags)
{
    if (diags->count) qsort(diags->items, diags->count, sizeof *diags->items, compare_diags);
}
