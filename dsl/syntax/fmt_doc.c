/* fmt_doc.c - text with possible line ends, and the decision which of them become real.
 *
 * This is Wadler's pretty printer in the form that Prettier made popular: a stack of (indent, mode, doc); a group is printed
 * flat when its text, and what follows it up to the next possible line end, fits into the rest of the line. It is decided
 * outermost first, so the outer construct breaks before the inner one. Measuring stops at the margin, so the whole is linear.
 *
 * A broken group inside a flat one does not break the outer: `f(a, {` may stand on one line with the record's fields below.
 * The measure of the outer ends where the inner line ends, and an indent in what is flat indents nothing.
 */
#include "dsl/syntax/fmt.h"
#include "dsl/syntax/fmt_internal.h"
#include "dsl/syntax/columns.h"

#include <stdlib.h>

typedef struct Frame {
    const Doc *doc;
    uint32_t indent;
    bool flat;
} Frame;

typedef struct Stack {
    Frame *frames;
    size_t count, cap;
} Stack;

typedef struct Output {
    Buf *out;
    Stack stack, measure;
    size_t column;
    uint32_t indent;             /* owed before the next text */
    bool line_open;              /* something stands on the line */
    Buf suffix;
} Output;

static Doc *doc_new(Printer *p, DocKind kind)
{
    Doc *doc = ARENA_NEW(p->arena, Doc);
    doc->kind = kind;
    return doc;
}

Doc *doc_str(Printer *p, Str text)
{
    Doc *doc = doc_new(p, DOC_TEXT);
    doc->text = text;
    return doc;
}

Doc *doc_text(Printer *p, const char *text)
{
    return doc_str(p, str_of(text));
}

Doc *doc_line(Printer *p, const char *flat, bool blank)
{
    Doc *doc = doc_new(p, DOC_LINE);
    doc->text = str_of(flat);
    doc->blank = blank;
    return doc;
}

Doc *doc_hard(Printer *p, bool blank)
{
    Doc *doc = doc_line(p, "", blank);
    doc->broken = true;
    return doc;
}

Doc *doc_suffix(Printer *p, Str comment)
{
    Doc *doc = doc_new(p, DOC_SUFFIX);
    doc->text = comment;
    return doc;
}

Doc *doc_list(Printer *p)
{
    return doc_new(p, DOC_CAT);
}

void doc_push(Printer *p, Doc *list, Doc *item)
{
    if (!item) return;
    if (list->count == list->cap) {
        uint32_t cap = list->cap ? list->cap * 2 : 8;
        Doc **items = ARENA_ARRAY(p->arena, Doc *, cap);
        if (list->count) memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->cap = cap;
    }
    list->items[list->count++] = item;
}

Doc *doc_cat(Printer *p, Doc *const *parts, size_t count)
{
    Doc *list = doc_list(p);
    for (size_t i = 0; i < count; i++) doc_push(p, list, parts[i]);
    return list;
}

static Doc *doc_around(Printer *p, DocKind kind, Doc *content)
{
    Doc *doc = doc_new(p, kind);
    doc_push(p, doc, content);
    return doc;
}

Doc *doc_group(Printer *p, Doc *content, bool broken)
{
    Doc *doc = doc_around(p, DOC_GROUP, content);
    doc->broken = broken;
    return doc;
}

Doc *doc_indent(Printer *p, Doc *content)
{
    return doc_around(p, DOC_INDENT, content);
}

bool doc_breaks(const Doc *doc)
{
    if (doc->kind == DOC_SUFFIX || ((doc->kind == DOC_LINE || doc->kind == DOC_GROUP) && doc->broken)) return true;
    if (doc->kind == DOC_TEXT) return doc->text.len && memchr(doc->text.ptr, '\n', doc->text.len);
    for (uint32_t i = 0; i < doc->count; i++)
        if (doc_breaks(doc->items[i])) return true;
    return false;
}

static size_t flat_columns(const Doc *doc)
{
    size_t columns = doc->kind == DOC_SUFFIX ? 0 : columns_of(doc->text);
    for (uint32_t i = 0; i < doc->count; i++) columns += flat_columns(doc->items[i]);
    return columns;
}

size_t doc_flat_columns(const Doc *doc)
{
    return doc_breaks(doc) ? SIZE_MAX : flat_columns(doc);
}

void doc_print_flat(const Doc *doc, Buf *out)
{
    if (doc->kind != DOC_SUFFIX) buf_put_str(out, doc->text);
    for (uint32_t i = 0; i < doc->count; i++) doc_print_flat(doc->items[i], out);
}

static void push(Stack *stack, const Doc *doc, uint32_t indent, bool flat)
{
    if (stack->count == stack->cap) {
        stack->cap = stack->cap ? stack->cap * 2 : 64;
        stack->frames = mem_realloc(stack->frames, stack->cap * sizeof *stack->frames);
    }
    stack->frames[stack->count++] = (Frame){ doc, indent, flat };
}

/* Last first, so that the first comes off the stack first. */
static void push_children(Stack *stack, const Doc *doc, uint32_t indent, bool flat)
{
    for (uint32_t i = doc->count; i > 0; i--) push(stack, doc->items[i - 1], indent, flat);
}

/* Room for the text up to the next line end: the group flat, then what waits on the stack in its own mode. */
static bool fits(Output *o, const Doc *group, uint32_t indent)
{
    Stack *measure = &o->measure;
    size_t waiting = o->stack.count, column = o->column;
    measure->count = 0;
    push_children(measure, group, indent, true);
    while (column <= FMT_COLUMNS_MAX) {
        if (!measure->count) {
            if (!waiting) return true;
            const Frame *next = &o->stack.frames[--waiting];
            push(measure, next->doc, next->indent, next->flat);
        }
        Frame f = measure->frames[--measure->count];
        switch (f.doc->kind) {
        case DOC_TEXT: {
            const char *end = f.doc->text.len ? memchr(f.doc->text.ptr, '\n', f.doc->text.len) : NULL;
            column += columns_of((Str){ f.doc->text.ptr, end ? (size_t)(end - f.doc->text.ptr) : f.doc->text.len });
            if (end) return column <= FMT_COLUMNS_MAX;
            break;
        }
        case DOC_LINE:
            if (f.doc->broken || !f.flat) return true;
            column += columns_of(f.doc->text);
            break;
        case DOC_GROUP: push_children(measure, f.doc, f.indent, f.flat && !f.doc->broken); break;
        case DOC_CAT:
        case DOC_INDENT: push_children(measure, f.doc, f.indent, f.flat); break;
        case DOC_SUFFIX: break;
        }
    }
    return false;
}

static void put_text(Output *o, Str text)
{
    if (!text.len) return;
    if (!o->line_open) {
        for (uint32_t i = 0; i < o->indent; i++) buf_put_char(o->out, ' ');
        o->line_open = true;
    }
    buf_put_str(o->out, text);
    size_t last = text.len;
    while (last > 0 && text.ptr[last - 1] != '\n') last--;
    o->column = (last ? 0 : o->column) + columns_of((Str){ text.ptr + last, text.len - last });
}

static void trim_spaces(Buf *out)
{
    while (out->len && out->ptr[out->len - 1] == ' ') out->len--;
}

static void put_suffix(Output *o)
{
    if (!o->suffix.len) return;
    trim_spaces(o->out);
    Str comment = buf_str(&o->suffix);
    if (!o->line_open) comment = (Str){ comment.ptr + 1, comment.len - 1 };      /* its space stands behind something */
    put_text(o, comment);
    buf_clear(&o->suffix);
}

static void put_newline(Output *o, const Doc *line, uint32_t indent)
{
    put_suffix(o);
    trim_spaces(o->out);
    buf_put_text(o->out, line->blank ? "\n\n" : "\n");
    o->column = o->indent = indent;
    o->line_open = false;
}

void doc_print(const Doc *doc, Buf *out)
{
    Output o = { .out = out };
    push(&o.stack, doc, 0, false);
    while (o.stack.count) {
        Frame f = o.stack.frames[--o.stack.count];
        switch (f.doc->kind) {
        case DOC_TEXT: put_text(&o, f.doc->text); break;
        case DOC_CAT: push_children(&o.stack, f.doc, f.indent, f.flat); break;
        case DOC_INDENT: push_children(&o.stack, f.doc, f.flat ? f.indent : f.indent + FMT_INDENT, f.flat); break;
        case DOC_GROUP: push_children(&o.stack, f.doc, f.indent, !f.doc->broken && (f.flat || fits(&o, f.doc, f.indent))); break;
        case DOC_LINE:
            if (f.doc->broken || !f.flat) put_newline(&o, f.doc, f.indent);
            else put_text(&o, f.doc->text);
            break;
        case DOC_SUFFIX:
            buf_put_char(&o.suffix, ' ');
            buf_put_str(&o.suffix, f.doc->text);
            break;
        }
    }
    put_suffix(&o);
    free(o.stack.frames);
    free(o.measure.frames);
    buf_free(&o.suffix);
}
