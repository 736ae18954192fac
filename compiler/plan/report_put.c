/* report_put.c - the report of a plan: as JSON for machines, as text for people.
 *
 * The JSON is versioned and says everything that the text says; members without content are left out of a diagnostic. The text is the house's own rendering of
 * diagnostics, with the plan as the file and the bytes of the pointer as the span: what a plan holds reaches a terminal only through its cleaning.
 */
#include "compiler/plan/report.h"

#include "base/json.h"

#include <stdio.h>

enum { REPORT_VERSION = 1, TEXT_ALLOWED_MAX = 12 /* words in a sentence */ };

/* ---- JSON ------------------------------------------------------------------------------------------------- */

typedef struct Members { Buf *out; bool any; } Members;

static Members object_open(Buf *out)
{
    buf_put_char(out, '{');
    return (Members){ out, false };
}

static Buf *member(Members *m, const char *name)
{
    buf_printf(m->out, "%s\"%s\":", m->any ? "," : "", name);
    m->any = true;
    return m->out;
}

static void put_text(Members *m, const char *name, Str text)
{
    if (text.len)
        json_put_string(member(m, name), text);
}

static void put_number(Members *m, const char *name, int64_t value)
{
    buf_printf(member(m, name), "%lld", (long long)value);
}

static void put_bool(Members *m, const char *name, bool value)
{
    buf_put_text(member(m, name), value ? "true" : "false");
}

static void put_words(Members *m, const char *name, const Str *words, uint32_t count)
{
    Buf *out = member(m, name);
    buf_put_char(out, '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            buf_put_char(out, ',');
        json_put_string(out, words[i]);
    }
    buf_put_char(out, ']');
}

static void put_diag(Buf *out, const PlanDiag *diag)
{
    Members m = object_open(out);
    put_text(&m, "code", str_of(diag->code));
    put_text(&m, "severity", diag->severity == SEVERITY_ERROR ? STR("error") : STR("warning"));
    json_put_string(member(&m, "pointer"), diag->pointer);
    if (diag->offset >= 0)
        put_number(&m, "offset", diag->offset);
    put_text(&m, "message", diag->message);
    put_text(&m, "expected", diag->expected);
    put_text(&m, "actual", diag->actual);
    if (diag->allowed_count)
        put_words(&m, "allowed", diag->allowed, diag->allowed_count);
    if (diag->suggestion_op.len) {
        Members s = object_open(member(&m, "suggestion"));
        put_text(&s, "op", diag->suggestion_op);
        if (diag->suggestion_json.len)
            buf_put_str(member(&s, "value"), diag->suggestion_json);
        buf_put_char(out, '}');
    }
    put_bool(&m, "widens_authority", diag->widens_authority);
    buf_put_char(out, '}');
}

static void put_open(Buf *out, const Image *base, const PlanOpen *open)
{
    Buf type = { 0 };
    image_type_print(base, open->type, &type);
    Members m = object_open(out);
    put_text(&m, "pointer", open->pointer);
    put_text(&m, "name", open->name);
    put_text(&m, "tool", open->tool);
    put_text(&m, "param", open->param);
    put_text(&m, "type", buf_str(&type));
    put_text(&m, "doc", open->doc);
    put_text(&m, "pattern", open->pattern);
    buf_put_char(out, '}');
    buf_free(&type);
}

static void put_tool_name(Buf *out, const Image *base, uint16_t tool)
{
    Buf name = { 0 };
    plan_put_tool_name(base, tool, &name);
    json_put_string(out, buf_str(&name));
    buf_free(&name);
}

static void put_tools(Members *m, const char *name, const Image *base, const uint16_t *tools, uint32_t count)
{
    Buf *out = member(m, name);
    buf_put_char(out, '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            buf_put_char(out, ',');
        put_tool_name(out, base, tools[i]);
    }
    buf_put_char(out, ']');
}

static void put_calls(Members *m, const Image *base, const PlanCost *cost)
{
    Buf *out = member(m, "tools");
    buf_put_char(out, '[');
    for (uint32_t i = 0; i < cost->tool_count; i++) {
        if (i)
            buf_put_char(out, ',');
        Members t = object_open(out);
        put_tool_name(member(&t, "tool"), base, cost->tools[i].tool);
        put_number(&t, "calls", cost->tools[i].calls);
        buf_put_char(out, '}');
    }
    buf_put_char(out, ']');
}

/* One sentence of all that is above its budget: the question to the user of `run plan … ask` has it. */
static void put_exceeds(Members *m, const PlanResult *result)
{
    Buf text = { 0 };
    for (uint32_t i = 0; i < result->diag_count; i++)
        if (!strcmp(result->diags[i].code, "E0738"))
            buf_printf(&text, "%s%.*s", text.len ? "; " : "", STR_ARG(result->diags[i].message));
    put_text(m, "exceeds", buf_str(&text));
    buf_free(&text);
}

static void put_cost(Buf *out, const PlanResult *result)
{
    const Image *base = result->base;
    const PlanCost *cost = &result->cost;
    const PlanLimits *worst = &cost->worst;
    Members m = object_open(out);
    put_bool(&m, "over", cost->over);
    if (cost->over)
        put_exceeds(&m, result);
    put_number(&m, "steps", worst->steps);
    put_number(&m, "depth", worst->depth);
    put_number(&m, "fanout", worst->fanout);
    put_number(&m, "calls", worst->calls);
    put_number(&m, "calls_per_tool", worst->calls_per_tool);
    put_number(&m, "fuel", (int64_t)worst->fuel);
    put_number(&m, "memory_bytes", (int64_t)worst->memory_bytes);
    put_number(&m, "wall_ms", worst->wall_us / 1000);
    put_number(&m, "tokens", (int64_t)worst->tokens);
    put_number(&m, "micro_usd", worst->micro_usd);
    put_calls(&m, base, cost);
    put_tools(&m, "irreversible", base, cost->irreversible, cost->irreversible_count);
    put_tools(&m, "compensated", base, cost->compensated, cost->compensated_count);
    put_tools(&m, "uncompensated", base, cost->uncompensated, cost->uncompensated_count);
    put_words(&m, "scopes", cost->scopes, cost->scope_count);
    buf_put_char(out, '}');
}

void plan_put_report(const PlanResult *result, Buf *out)
{
    Members m = object_open(out);
    put_number(&m, "version", REPORT_VERSION);
    put_bool(&m, "ok", result->ok);
    buf_put_char(member(&m, "diagnostics"), '[');
    for (uint32_t i = 0; i < result->diag_count; i++) {
        if (i)
            buf_put_char(out, ',');
        put_diag(out, &result->diags[i]);
    }
    buf_put_char(out, ']');
    buf_put_char(member(&m, "open"), '[');
    for (uint32_t i = 0; i < result->open_count; i++) {
        if (i)
            buf_put_char(out, ',');
        put_open(out, result->base, &result->open[i]);
    }
    buf_put_char(out, ']');
    put_cost(member(&m, "cost"), result);
    buf_put_char(out, '}');
}

/* ---- text ------------------------------------------------------------------------------------------------- */

static Span span_of(const Source *source, Str json, const PlanDiag *diag)
{
    size_t start, end;
    if (!source)                                            /* a text that is no UTF-8 has no lines to show */
        return (Span){ .file = UINT16_MAX };
    plan_place_bytes(json, diag->pointer, diag->offset, &start, &end);
    if (!diag->pointer.len && end > start + 1)              /* of the plan as a whole its beginning is enough */
        end = start + 1;
    return (Span){ (uint32_t)start, (uint32_t)end, source->index };
}

static const char *allowed_text(Arena *arena, const PlanDiag *diag)
{
    Buf out = { 0 };
    for (uint32_t i = 0; i < diag->allowed_count && i < TEXT_ALLOWED_MAX; i++)
        buf_printf(&out, "%s`%s`", i ? ", " : "", plan_quote(arena, diag->allowed[i]));
    if (diag->allowed_count > TEXT_ALLOWED_MAX)
        buf_printf(&out, " and %u more", diag->allowed_count - TEXT_ALLOWED_MAX);
    const char *text = arena_str(arena, buf_str(&out)).ptr;
    buf_free(&out);
    return text;
}

static const char *help_text(Diags *d, const PlanDiag *diag)
{
    const char *value = plan_sentence(d->arena, diag->suggestion_json);
    if (diag->widens_authority)
        return "it would take more rights: only the program that runs the plan can give them";
    if (str_is(diag->suggestion_op, "replace"))
        return arena_printf(d->arena, "did you mean %s?", value);
    if (str_is(diag->suggestion_op, "rename"))
        return arena_printf(d->arena, "did you mean the member %s?", value);
    if (str_is(diag->suggestion_op, "add"))
        return arena_printf(d->arena, "add %s", value);
    return str_is(diag->suggestion_op, "remove") ? "leave it out" : NULL;
}

static void put_diag_text(Diags *d, const Source *source, const SourceSet *sources, Str json, const PlanDiag *from, bool color, Buf *out)
{
    Diag diag = { .code = from->code, .severity = from->severity, .span = span_of(source, json, from), .message = plan_sentence(d->arena, from->message) };
    Diag *items[] = { &diag };
    diag_note(d, &diag, (Span){ 0 }, "at %s", from->pointer.len ? plan_sentence(d->arena, from->pointer) : "the plan as a whole");
    if (from->expected.len)
        diag_note(d, &diag, (Span){ 0 }, "expected %s", plan_sentence(d->arena, from->expected));
    if (from->actual.len)
        diag_note(d, &diag, (Span){ 0 }, "found %s", plan_sentence(d->arena, from->actual));
    if (from->allowed_count)
        diag_note(d, &diag, (Span){ 0 }, "possible: %s", allowed_text(d->arena, from));
    diag.help = help_text(d, from);
    const Diags one = { .arena = d->arena, .items = items, .count = 1, .error_count = 0 };
    diags_render(&one, sources, DIAG_FORMAT_TEXT, color, out);
}

static void put_open_text(Diags *d, const PlanResult *result, Buf *out)
{
    if (!result->open_count)
        return;
    buf_printf(out, "%s%u open, to be filled in from the request before the start:\n", result->diag_count ? "\n" : "", result->open_count);
    for (uint32_t i = 0; i < result->open_count; i++) {
        const PlanOpen *open = &result->open[i];
        Buf type = { 0 };
        image_type_print(result->base, open->type, &type);
        buf_printf(out, "  %s: %.*s of %.*s", plan_sentence(d->arena, open->pointer), STR_ARG(buf_str(&type)), STR_ARG(open->tool));
        if (open->doc.len)
            buf_printf(out, ", %s", plan_sentence(d->arena, open->doc));
        buf_put_char(out, '\n');
        buf_free(&type);
    }
}

void plan_put_text(const PlanResult *result, Str json, const char *path, bool color, Buf *out)
{
    SourceSet *sources = source_set_new();
    Source *source = NULL;
    Diags d;
    diags_init(&d);
    if (source_add(sources, path, json, &source, NULL) != ERR_OK)
        source = NULL;
    for (uint32_t i = 0; i < result->diag_count; i++) {
        if (i)
            buf_put_char(out, '\n');
        put_diag_text(&d, source, sources, json, &result->diags[i], color, out);
    }
    put_open_text(&d, result, out);
    diags_deinit(&d);
    source_set_free(sources);
}
