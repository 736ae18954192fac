/* report.c - collects what is wrong with a plan.
 */
#include "compiler/plan/report.h"

#include "base/json.h"
#include "dsl/syntax/columns.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static const struct { const char *code; Severity severity; } rows[] = {
#define D(...)
#define D0(...)
#define L(...)
#define L0(...)
#define J(code, severity, name, title) [PLAN_DIAG_##name] = { #code, SEVERITY_##severity },
#include "dsl/syntax/diag.def"
#undef D
#undef D0
#undef L
#undef L0
#undef J
};

/* ---- the collector --------------------------------------------------------------------------------------- */

void plan_diags_init(PlanDiags *diags, Arena *arena)
{
    diags->arena = arena;
    diags->count = diags->error_count = 0;
}

static bool is_known(const PlanDiags *d, const PlanDiag *diag)
{
    for (uint32_t i = 0; i < d->count; i++) {
        const PlanDiag *other = &d->items[i];
        if (other->offset == diag->offset && !strcmp(other->code, diag->code) && str_eq(other->pointer, diag->pointer) && str_eq(other->message, diag->message))
            return true;
    }
    return false;
}

/* One that is not kept is real all the same, so that the caller can go on decorating it. */
static PlanDiag *add(PlanDiags *d, const char *code, Severity severity, const PlanPlace *place, int32_t offset, Str message)
{
    PlanDiag made = { .code = code, .severity = severity, .pointer = plan_place_pointer(d->arena, place), .offset = offset, .message = message };
    bool known = is_known(d, &made);
    if (!known && severity == SEVERITY_ERROR)
        d->error_count++;
    PlanDiag *diag = known || d->count == PLAN_DIAG_MAX ? ARENA_NEW(d->arena, PlanDiag) : &d->items[d->count++];
    *diag = made;
    return diag;
}

PlanDiag *plan_diag(PlanDiags *d, PlanDiagRow row, const PlanPlace *place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    Str message = str_of(arena_vprintf(d->arena, format, args));
    va_end(args);
    return add(d, rows[row].code, rows[row].severity, place, -1, message);
}

PlanDiag *plan_diag_at(PlanDiags *d, PlanDiagRow row, const PlanPlace *place, int32_t offset, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    Str message = str_of(arena_vprintf(d->arena, format, args));
    va_end(args);
    return add(d, rows[row].code, rows[row].severity, place, offset, message);
}

PlanDiag *plan_warn(PlanDiags *d, PlanDiagRow row, const PlanPlace *place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    Str message = str_of(arena_vprintf(d->arena, format, args));
    va_end(args);
    return add(d, rows[row].code, SEVERITY_WARNING, place, -1, message);
}

PlanDiag *plan_diag_code(PlanDiags *d, const char *code, const PlanPlace *place, int32_t offset, Str message)
{
    uint32_t row = 0;
    while (row < PLAN_DIAG_ROW_COUNT && strcmp(rows[row].code, code) != 0)
        row++;
    assert(row < PLAN_DIAG_ROW_COUNT);
    return add(d, rows[row].code, rows[row].severity, place, offset, arena_str(d->arena, message));
}

PlanDiag *plan_diag_expected(PlanDiags *d, PlanDiag *diag, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diag->expected = str_of(arena_vprintf(d->arena, format, args));
    va_end(args);
    return diag;
}

PlanDiag *plan_diag_actual(PlanDiags *d, PlanDiag *diag, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diag->actual = str_of(arena_vprintf(d->arena, format, args));
    va_end(args);
    return diag;
}

PlanDiag *plan_diag_allowed(PlanDiags *d, PlanDiag *diag, const Str *words, uint32_t count)
{
    if (count > PLAN_ALLOWED_MAX)
        count = PLAN_ALLOWED_MAX;
    Str *copy = ARENA_ARRAY(d->arena, Str, count);
    for (uint32_t i = 0; i < count; i++)
        copy[i] = arena_str(d->arena, words[i]);
    diag->allowed = copy;
    diag->allowed_count = count;
    return diag;
}

PlanDiag *plan_diag_suggest(PlanDiags *d, PlanDiag *diag, const char *op, Str json)
{
    if (diag->widens_authority)
        return diag;
    diag->suggestion_op = arena_str(d->arena, str_of(op));
    diag->suggestion_json = arena_str(d->arena, json);
    return diag;
}

PlanDiag *plan_diag_suggest_text(PlanDiags *d, PlanDiag *diag, const char *op, Str text)
{
    Buf json = { 0 };
    json_put_string(&json, text);
    plan_diag_suggest(d, diag, op, buf_str(&json));
    buf_free(&json);
    return diag;
}

PlanDiag *plan_diag_did_you_mean(PlanDiags *d, PlanDiag *diag, const char *op, Str wrong, const Str *words, uint32_t count)
{
    Str near = str_nearest(wrong, words, count);
    plan_diag_allowed(d, diag, words, count);
    return near.len ? plan_diag_suggest_text(d, diag, op, near) : diag;
}

PlanDiag *plan_diag_widens(PlanDiag *diag)
{
    diag->widens_authority = true;
    diag->suggestion_op = diag->suggestion_json = (Str){ 0 };
    return diag;
}

static bool comes_later(size_t start, const PlanDiag *diag, size_t other_start, const PlanDiag *other)
{
    return start != other_start ? start > other_start : strcmp(diag->code, other->code) > 0;
}

void plan_diags_sort(PlanDiags *d, Str json)
{
    size_t starts[PLAN_DIAG_MAX], end;
    for (uint32_t i = 0; i < d->count; i++) {
        PlanDiag moved = d->items[i];
        size_t start;
        uint32_t at = i;
        plan_place_bytes(json, moved.pointer, moved.offset, &start, &end);
        for (; at > 0 && comes_later(starts[at - 1], &d->items[at - 1], start, &moved); at--) {
            d->items[at] = d->items[at - 1];
            starts[at] = starts[at - 1];
        }
        d->items[at] = moved;
        starts[at] = start;
    }
}

/* ---- texts ----------------------------------------------------------------------------------------------- */

static const char *clean(Arena *arena, Str text, size_t most)
{
    Buf out = { 0 };
    size_t at = 0;
    while (at < text.len && out.len < most) {
        size_t from = at;
        uint32_t codepoint = codepoint_next(text, &at);
        if (codepoint_deceives(codepoint) || codepoint == '\n' || codepoint == '\t')
            buf_printf(&out, "\\u{%04X}", codepoint);
        else
            buf_put(&out, text.ptr + from, at - from);
    }
    if (at < text.len)
        buf_put_text(&out, "…");
    const char *quoted = arena_str(arena, buf_str(&out)).ptr;
    buf_free(&out);
    return quoted;
}

const char *plan_quote(Arena *arena, Str text) { return clean(arena, text, PLAN_QUOTE_MAX); }
const char *plan_sentence(Arena *arena, Str text) { return clean(arena, text, PLAN_SENTENCE_MAX); }

void plan_put_tool_name(const Image *base, uint16_t tool, Buf *out)
{
    const ImageTool *row = &base->tools[tool];
    if (row->agent != NO_INDEX)
        buf_printf(out, "%.*s.", STR_ARG(base->agents[row->agent].name));
    buf_put_str(out, row->name);
}
