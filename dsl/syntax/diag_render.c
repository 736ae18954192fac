/* diag_render.c - diagnostics for people: the line, carets under the span, what to do.
 *
 * All counting below the header line is in display columns, because a caret must stand under what it means: a tab goes to the
 * next multiple of TAB_COLUMNS, wide characters take two. The header gives the column in code points, as editors do.
 *
 * The text of a program is not trusted to leave the terminal alone: characters that deceive and broken UTF-8 come out as U+FFFD,
 * in the line shown and in every sentence that quotes it. A line is shown LINE_COLUMNS_MAX wide at most, round its span.
 */
#include "dsl/syntax/diag.h"
#include "dsl/syntax/diag_internal.h"
#include "dsl/syntax/columns.h"

#include <stdio.h>

enum { TAB_COLUMNS = 4, LINE_COLUMNS_MAX = 200, LINE_COLUMNS_BEFORE = 60 };

typedef struct Frame {
    Buf *out;
    const SourceSet *sources;
    int gutter;                  /* columns of the widest line number */
    bool color;
    const char *mark_style;
    char mark;
} Frame;

static const char style_none[] = "\033[0m", style_error[] = "\033[1;31m", style_warning[] = "\033[1;33m", style_frame[] = "\033[34m",
                  style_bold[] = "\033[1m", style_note[] = "\033[36m";

const char *severity_name(Severity severity)
{
    return severity == SEVERITY_ERROR ? "error" : "warning";
}

const Source *diag_source(const SourceSet *sources, Span span)
{
    return sources && span.file < sources->count ? sources->files[span.file] : NULL;
}

void diags_render(const Diags *diags, const SourceSet *sources, DiagFormat format, bool color, Buf *out)
{
    if (format == DIAG_FORMAT_SARIF) {
        diags_render_sarif(diags, sources, out);
        return;
    }
    uint32_t errors = 0;
    for (uint32_t i = 0; i < diags->count; i++) {
        errors += diags->items[i]->severity == SEVERITY_ERROR;
        if (format == DIAG_FORMAT_JSON) {
            diag_render_json(diags->items[i], sources, out);
            continue;
        }
        if (i) buf_put_char(out, '\n');
        diag_render_text(diags->items[i], sources, color, out);
    }
    if (format == DIAG_FORMAT_TEXT && diags->error_count > errors)
        buf_printf(out, "\n… and %u more\n", diags->error_count - errors);
}

static void style(const Frame *f, const char *code)
{
    if (f->color) buf_put_text(f->out, code);
}

static void put_codepoint(Buf *out, Str text, size_t from, size_t to, uint32_t codepoint)
{
    if (codepoint == '\n' || codepoint == '\t' || codepoint == CODEPOINT_REPLACEMENT || codepoint_deceives(codepoint))
        buf_put_text(out, "\xef\xbf\xbd");
    else buf_put(out, text.ptr + from, to - from);
}

static void put_clean(Buf *out, Str text)
{
    for (size_t at = 0; at < text.len;) {
        size_t from = at;
        uint32_t codepoint = codepoint_next(text, &at);
        put_codepoint(out, text, from, at, codepoint);
    }
}

static void put_spaces(Buf *out, size_t count)
{
    for (size_t i = 0; i < count; i++) buf_put_char(out, ' ');
}

static int digits_of(uint32_t number)
{
    int digits = 1;
    for (; number >= 10; number /= 10) digits++;
    return digits;
}

static size_t advance(size_t column, uint32_t codepoint)
{
    if (codepoint == '\t') return (column / TAB_COLUMNS + 1) * TAB_COLUMNS;
    return column + (codepoint_deceives(codepoint) ? 1 : (size_t)codepoint_columns(codepoint));
}

/* Display column, from 0, of the byte `offset` of a line. */
static size_t column_at(Str line, size_t offset)
{
    size_t column = 0;
    for (size_t at = 0; at < offset && at < line.len;) column = advance(column, codepoint_next(line, &at));
    return column;
}

/* The columns [from, to) of a line, tabs spread out. */
static void put_window(Buf *out, Str line, size_t from, size_t to)
{
    size_t column = 0;
    for (size_t at = 0; at < line.len && column < to;) {
        size_t start = at, here = column;
        uint32_t codepoint = codepoint_next(line, &at);
        column = advance(column, codepoint);
        if (here < from || column > to) continue;
        if (codepoint == '\t') put_spaces(out, column - here);
        else put_codepoint(out, line, start, at, codepoint);
    }
}

static void put_gutter(const Frame *f, uint32_t line_number)
{
    style(f, style_frame);
    if (line_number) buf_printf(f->out, "%*u│", f->gutter, line_number);
    else buf_printf(f->out, "%*s│", f->gutter, "");
    style(f, style_none);
}

/* One line of source and the marks under its bytes [start, end). */
static void put_marked_line(const Frame *f, Str line, uint32_t number, size_t start, size_t end, const char *label)
{
    size_t width = column_at(line, line.len), first = column_at(line, start), last = column_at(line, end), from = 0;
    if (width > LINE_COLUMNS_MAX && first > LINE_COLUMNS_BEFORE) from = first - LINE_COLUMNS_BEFORE;
    size_t to = from + LINE_COLUMNS_MAX;
    if (last <= first) last = first + 1;
    if (last > to) last = to;

    put_gutter(f, number);
    if (line.len) buf_put_char(f->out, ' ');
    if (from) buf_put_text(f->out, "…");
    put_window(f->out, line, from, to);
    if (width > to) buf_put_text(f->out, "…");
    buf_put_char(f->out, '\n');

    put_gutter(f, 0);
    put_spaces(f->out, 1 + (from ? 1 : 0) + first - from);
    style(f, f->mark_style);
    for (size_t i = first; i < last; i++) buf_put_char(f->out, f->mark);
    if (label) {
        buf_put_char(f->out, ' ');
        put_clean(f->out, str_of(label));
    }
    style(f, style_none);
    buf_put_char(f->out, '\n');
}

static size_t first_text(Str line)
{
    size_t at = 0;
    while (at < line.len && (line.ptr[at] == ' ' || line.ptr[at] == '\t')) at++;
    return at;
}

static Span clamped(const Source *source, Span span)
{
    uint32_t size = (uint32_t)source->text.len;
    if (span.start > size) span.start = size;
    if (span.end > size) span.end = size;
    if (span.end < span.start) span.end = span.start;
    return span;
}

static uint32_t line_of(const Source *source, uint32_t offset)
{
    uint32_t line, column;
    source_position(source, offset, &line, &column);
    return line;
}

/* A span that ends with a newline ends on the line it closes, not on the next. */
static uint32_t last_line_of(const Source *source, Span span)
{
    uint32_t end = span.end;
    while (end > span.start && (source->text.ptr[end - 1] == '\n' || source->text.ptr[end - 1] == '\r')) end--;
    return line_of(source, end);
}

static void put_place(const Frame *f, const Source *source, Span span)
{
    uint32_t line, column;
    source_position(source, span.start, &line, &column);
    put_spaces(f->out, (size_t)f->gutter);
    style(f, style_frame);
    buf_put_text(f->out, "┌─ ");
    style(f, style_none);
    put_clean(f->out, source->path);
    buf_printf(f->out, ":%u:%u\n", line, column);
}

/* Where it is: one line, or the first and the last of several with a break between them. */
static void put_frame(const Frame *f, Span span, const char *label)
{
    const Source *source = diag_source(f->sources, span);
    if (!source) return;
    span = clamped(source, span);
    put_place(f, source, span);
    uint32_t first = line_of(source, span.start), last = last_line_of(source, span);
    Str text = source_line(source, first);
    size_t start = span.start - source->line_starts[first - 1];
    if (first == last) {
        size_t end = span.end - source->line_starts[first - 1];
        put_marked_line(f, text, first, start, end < text.len ? end : start > text.len ? start : text.len, label);
        return;
    }
    put_marked_line(f, text, first, start, text.len, NULL);
    if (last > first + 1) {
        put_spaces(f->out, (size_t)f->gutter);
        style(f, style_frame);
        buf_put_text(f->out, "⋮");
        style(f, style_none);
        buf_put_char(f->out, '\n');
    }
    text = source_line(source, last);
    size_t end = span.end - source->line_starts[last - 1];
    put_marked_line(f, text, last, first_text(text), end < text.len ? end : text.len, label);
}

static void put_remark(const Frame *f, const char *kind, const char *text)
{
    put_spaces(f->out, (size_t)f->gutter + 1);
    style(f, style_note);
    buf_printf(f->out, "= %s:", kind);
    style(f, style_none);
    buf_put_char(f->out, ' ');
    put_clean(f->out, str_of(text));
    buf_put_char(f->out, '\n');
}

static int gutter_for(const SourceSet *sources, Span span)
{
    const Source *source = diag_source(sources, span);
    return source ? digits_of(last_line_of(source, clamped(source, span))) : 1;
}

void diag_render_text(const Diag *diag, const SourceSet *sources, bool color, Buf *out)
{
    const char *strong = diag->severity == SEVERITY_ERROR ? style_error : style_warning;
    Frame f = { .out = out, .sources = sources, .gutter = 2, .color = color, .mark = '^', .mark_style = strong };
    int wide = gutter_for(sources, diag->span);
    if (wide > f.gutter) f.gutter = wide;
    for (int i = 0; i < diag->note_count; i++) {
        wide = diag->notes[i].has_span ? gutter_for(sources, diag->notes[i].span) : 1;
        if (wide > f.gutter) f.gutter = wide;
    }

    style(&f, strong);
    buf_printf(out, "%s[%s]", severity_name(diag->severity), diag->code);
    style(&f, style_none);
    style(&f, style_bold);
    buf_put_text(out, ": ");
    put_clean(out, str_of(diag->message));
    style(&f, style_none);
    buf_put_char(out, '\n');
    put_frame(&f, diag->span, diag->label);

    f.mark = '-';
    f.mark_style = style_frame;
    for (int i = 0; i < diag->note_count; i++) {
        put_remark(&f, "note", diag->notes[i].text);
        if (diag->notes[i].has_span) put_frame(&f, diag->notes[i].span, NULL);
    }
    if (diag->help) put_remark(&f, "help", diag->help);
    char more[128];
    snprintf(more, sizeof more, "flowc explain %s", diag->code);
    put_remark(&f, "more", more);
}
