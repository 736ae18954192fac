/* fmt.c - the one layout of a program.
 *
 * Rules. Four spaces an indent, 120 columns. Lists, records, arguments and parameters stand on one line, or one element a line
 * when the author broke behind the opening bracket or they do not fit. A block with one statement stays on one line when it was
 * on one and fits. Clauses behind an expression (retry, within, else, where, order by …) follow it on the line or stand each on
 * an indented line. One empty line between declarations, and elsewhere where the author had one or more. Parentheses are those
 * that the tree needs. Text in quotes, numbers and patterns stay as written.
 *
 * Comments are woven in by place. A comment belongs before the next thing that stands on a line of its own, or behind the thing
 * whose line it shares; one inside something that has no lines of its own moves before it. None is lost: `used` is checked by
 * the test. Each printer asks for the comments of the range it prints, inner ones first.
 *
 * To add a node: a printer `node_NAME` in fmt_decl.c, fmt_clause.c, fmt_stmt.c, fmt_expr.c or fmt_test.c; without it this file does not link.
 */
#include "dsl/syntax/fmt.h"
#include "dsl/syntax/fmt_internal.h"

#include <stdlib.h>

typedef Doc *(*NodePrinter)(Printer *p, const Ast *node);

static const NodePrinter printers[] = {
#define AST(KIND, name) [AST_##KIND] = node_##name,
#include "dsl/syntax/ast.def"
#undef AST
};

Doc *fmt_node(Printer *p, const Ast *node)
{
    return printers[node->kind](p, node);
}

Doc *fmt_opt(Printer *p, const char *before, const Ast *node)
{
    return node ? CAT(p, doc_text(p, before), fmt_node(p, node)) : NULL;
}

Doc *fmt_ident(Printer *p, Ident ident)
{
    return doc_str(p, ident.text);
}

Doc *fmt_source(Printer *p, Span span)
{
    uint32_t size = (uint32_t)p->text.len, end = span.end < size ? span.end : size, start = span.start < end ? span.start : end;
    return doc_str(p, (Str){ p->text.ptr + start, end - start });
}

Doc *fmt_comma_list(Printer *p, AstList list)
{
    Doc *doc = doc_list(p);
    for (uint32_t i = 0; i < list.count; i++) {
        if (i) doc_push(p, doc, doc_text(p, ", "));
        doc_push(p, doc, i + 1 < list.count ? fmt_before_comma(p, list.items[i]) : fmt_node(p, list.items[i]));
    }
    return doc;
}

Doc *fmt_quoted(Printer *p, Str text)
{
    Buf out = { 0 };
    buf_put_char(&out, '"');
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '"' || c == '\\' || (c == '$' && i + 1 < text.len && text.ptr[i + 1] == '{')) buf_put_char(&out, '\\');
        if (c == '\n') buf_put_text(&out, "\\n");
        else if (c == '\t') buf_put_text(&out, "\\t");
        else if (c == '\r') buf_put_text(&out, "\\r");
        else buf_put_char(&out, c);
    }
    buf_put_char(&out, '"');
    Doc *doc = doc_str(p, arena_str(p->arena, buf_str(&out)));
    buf_free(&out);
    return doc;
}

/* ---- looking at the source ---- */

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static uint32_t skip_comment(const Printer *p, uint32_t at)
{
    while (at < p->text.len && p->text.ptr[at] != '\n') at++;
    return at;
}

static bool comment_at(const Printer *p, uint32_t at)
{
    return at + 1 < p->text.len && p->text.ptr[at] == '/' && p->text.ptr[at + 1] == '/';
}

uint32_t source_find(const Printer *p, uint32_t from, uint32_t end, char c)
{
    if (end > p->text.len) end = (uint32_t)p->text.len;
    for (uint32_t at = from; at < end; at++) {
        if (comment_at(p, at)) at = skip_comment(p, at);
        else if (p->text.ptr[at] == c) return at;
    }
    return end;
}

uint32_t source_behind_string(const Printer *p, uint32_t from)
{
    uint32_t at = from, size = (uint32_t)p->text.len;
    while (at < size && (is_space(p->text.ptr[at]) || p->text.ptr[at] == '\n')) at++;
    if (at == size || p->text.ptr[at] != '"') return from;
    for (at++; at < size && p->text.ptr[at] != '"'; at++)
        if (p->text.ptr[at] == '\\') at++;
    return at + 1;
}

bool source_newline_after(const Printer *p, uint32_t at)
{
    while (at < p->text.len && is_space(p->text.ptr[at])) at++;
    return at < p->text.len && (p->text.ptr[at] == '\n' || comment_at(p, at));
}

bool source_newline_before_word(const Printer *p, uint32_t from, uint32_t to)
{
    bool newline = false;
    for (uint32_t at = from; at < to && at < p->text.len; at++) {
        char c = p->text.ptr[at];
        if (comment_at(p, at)) at = skip_comment(p, at) - 1;
        else if (c == '\n') newline = true;
        else if (c == ')' || c == ']' || c == '}') newline = false;
        else if (!is_space(c)) break;
    }
    return newline;
}

bool source_blank_line(const Printer *p, uint32_t from, uint32_t to)
{
    bool line_empty = false;
    for (uint32_t at = from; at < to && at < p->text.len; at++) {
        char c = p->text.ptr[at];
        if (c == '\n') {
            if (line_empty) return true;
            line_empty = true;
        } else if (!is_space(c)) line_empty = false;
    }
    return false;
}

static bool same_line(const Printer *p, uint32_t from, uint32_t to)
{
    return from <= to && !memchr(p->text.ptr + from, '\n', to - from);
}

/* ---- comments ---- */

/* The next unused comment that starts in [from, to), or NULL. */
static const Comment *comment_next(Printer *p, uint32_t from, uint32_t to)
{
    const Module *m = p->module;
    while (p->first_unused < m->comment_count && p->used[p->first_unused]) p->first_unused++;
    uint32_t low = p->first_unused, high = m->comment_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (m->comments[middle].span.start < from) low = middle + 1;
        else high = middle;
    }
    for (; low < m->comment_count && m->comments[low].span.start < to; low++)
        if (!p->used[low]) return &m->comments[low];
    return NULL;
}

static Doc *comment_take(Printer *p, const Comment *comment, bool suffix)
{
    p->used[comment - p->module->comments] = true;
    Str text = comment->text;
    while (text.len && (is_space(text.ptr[text.len - 1]) || text.ptr[text.len - 1] == '\n')) text.len--;
    return suffix ? doc_suffix(p, text) : doc_str(p, text);
}

void fmt_comments_skip(Printer *p, Span span)
{
    const Comment *comment;
    while ((comment = comment_next(p, span.start, span.end))) p->used[comment - p->module->comments] = true;
}

static const Comment *comment_on_line(Printer *p, uint32_t from, uint32_t to)
{
    const Comment *comment = comment_next(p, from, to);
    return comment && !comment->own_line && same_line(p, from, comment->span.start) ? comment : NULL;
}

/* ---- things one below the other ---- */

void items_add(Printer *p, Items *items, uint32_t start, uint32_t end, const Ast *node, Doc *(*print)(Printer *, const Ast *))
{
    if (items->count == items->cap) {
        uint32_t cap = items->cap ? items->cap * 2 : 8;
        Item *grown = ARENA_ARRAY(p->arena, Item, cap);
        if (items->count) memcpy(grown, items->items, items->count * sizeof *grown);
        items->items = grown;
        items->cap = cap;
    }
    items->items[items->count++] = (Item){ start, end, print ? (Str){ "", 0 } : node->doc, node, print ? print : fmt_node };
}

void items_add_list(Printer *p, Items *items, AstList list)
{
    for (uint32_t i = 0; i < list.count; i++) items_add(p, items, list.items[i]->span.start, list.items[i]->span.end, list.items[i], NULL);
}

static int compare_items(const void *left, const void *right)
{
    const Item *a = left, *b = right;
    return (a->start > b->start) - (a->start < b->start);
}

void items_sort(Items *items)
{
    if (items->count) qsort(items->items, items->count, sizeof *items->items, compare_items);
}

/* The lines of documentation before a declaration are in its span's neighbourhood, not in it: go back over them. */
static uint32_t doc_start(const Printer *p, const Item *item)
{
    uint32_t start = item->start;
    if (!item->doc.len) return start;
    for (;;) {
        uint32_t line = start;
        while (line > 0 && p->text.ptr[line - 1] != '\n') line--;
        if (!line) return start;
        uint32_t above = line - 1;
        while (above > 0 && p->text.ptr[above - 1] != '\n') above--;
        while (is_space(p->text.ptr[above])) above++;
        if (!str_starts((Str){ p->text.ptr + above, p->text.len - above }, STR("///"))) return start;
        start = above;
    }
}

static Doc *doc_lines(Printer *p, Str text)
{
    Doc *doc = doc_list(p);
    for (size_t at = 0; at <= text.len;) {
        const char *end = memchr(text.ptr + at, '\n', text.len - at);
        size_t stop = end ? (size_t)(end - text.ptr) : text.len;
        Str line = { text.ptr + at, stop - at };
        doc_push(p, doc, CAT(p, doc_text(p, line.len ? "/// " : "///"), doc_str(p, line), doc_hard(p, false)));
        at = stop + 1;
    }
    return doc;
}

/* Declarations of one family may stand close together when each is one line. */
static int family(const Ast *node)
{
    switch (node->kind) {
    case AST_USE_DECL: return 1;
    case AST_EVENT_DECL:
    case AST_SIGNAL_DECL: return 2;
    case AST_ENUM_DECL: return 3;
    case AST_RECORD_DECL: return 4;
    case AST_FN_DECL: return 5;
    case AST_TOOL_DECL: return 6;
    case AST_SCOPE_DECL: return 7;
    case AST_ROLE_DECL: return 8;
    default: return 0;
    }
}

typedef struct Weaver {
    Printer *p;
    Doc *out;
    const char *separator;
    uint32_t place;              /* behind what was printed last */
    bool any, broken, last_is_comment;
} Weaver;

static void weave_line(Weaver *w, uint32_t next_start, bool hard, bool blank)
{
    if (!w->any) {
        w->any = true;
        return;
    }
    blank = blank || source_blank_line(w->p, w->place, next_start);
    doc_push(w->p, w->out, hard || w->last_is_comment ? doc_hard(w->p, blank) : doc_line(w->p, " ", blank));
}

/* Comments with a line of their own that start in [from, to). */
static void weave_comments(Weaver *w, uint32_t from, uint32_t to, bool blank)
{
    const Comment *comment;
    while ((comment = comment_next(w->p, from, to))) {
        weave_line(w, comment->span.start, true, blank);
        doc_push(w->p, w->out, comment_take(w->p, comment, false));
        w->place = comment->span.end;
        w->last_is_comment = w->broken = true;
        blank = false;
    }
}

static bool one_line(const Doc *doc, const Ast *node)
{
    return family(node) && doc_flat_columns(doc) <= FMT_COLUMNS_MAX - FMT_INDENT;
}

static void weave_item(Weaver *w, const Item *item, bool blank, Doc *doc, uint32_t next, bool last)
{
    uint32_t start = doc_start(w->p, item);
    if (blank && source_blank_line(w->p, w->place, start)) blank = false;          /* the author's own place for it */
    bool commented = comment_next(w->p, w->place, item->end) != NULL;
    weave_comments(w, w->place, item->end, blank);
    if (commented) blank = false;
    weave_line(w, start > w->place ? start : w->place, !w->separator, blank);
    w->last_is_comment = false;
    if (item->doc.len) {
        doc_push(w->p, w->out, doc_lines(w->p, item->doc));
        w->broken = true;
    }
    doc_push(w->p, w->out, doc);
    if (w->separator && !last) doc_push(w->p, w->out, doc_text(w->p, w->separator));
    w->place = item->end;
    const Comment *trailing = comment_on_line(w->p, item->end, next);
    if (!trailing) return;
    doc_push(w->p, w->out, comment_take(w->p, trailing, true));
    w->place = trailing->span.end;
    w->broken = true;
}

Inside inside(Printer *p, const Items *items, const char *separator, bool declarations, uint32_t open, uint32_t close)
{
    Weaver w = { .p = p, .out = doc_list(p), .separator = separator, .place = open };
    Inside result = { 0 };
    uint32_t first = items->count ? items->items[0].start : close;
    const Comment *comment = open ? comment_on_line(p, open, first) : NULL;
    if (comment) {
        result.opening = comment_take(p, comment, true);
        w.place = comment->span.end;
        w.broken = true;
    }
    bool was_one_line = false;
    for (uint32_t i = 0; i < items->count; i++) {
        const Item *item = &items->items[i];
        bool last = i + 1 == items->count;
        Doc *doc = separator && !last ? fmt_before_comma(p, item->node) : item->print(p, item->node);
        bool is_one_line = declarations && one_line(doc, item->node);
        bool close_together = is_one_line && was_one_line && i && family(item->node) == family(items->items[i - 1].node) && !item->doc.len;
        weave_item(&w, item, declarations && i && !close_together, doc, last ? close : items->items[i + 1].start, last);
        was_one_line = is_one_line;
    }
    weave_comments(&w, w.place, close, false);
    result.content = w.any ? w.out : NULL;
    result.broken = w.broken || (open && source_newline_after(p, open) && (w.any || w.broken));
    return result;
}

/* ---- brackets and blocks ---- */

static Doc *wrap(Printer *p, const char *open, const Inside *in, const char *close)
{
    if (!in->content && !in->opening) return CAT(p, doc_text(p, open), doc_text(p, close));
    const char *pad = *open == '{' ? " " : "";
    Doc *content = in->content ? doc_indent(p, CAT(p, doc_line(p, pad, false), in->content)) : NULL;
    return CAT(p, doc_text(p, open), in->opening, content, in->broken ? doc_hard(p, false) : doc_line(p, pad, false), doc_text(p, close));
}

Doc *bracketed_bare(Printer *p, const char *open, AstList list, const char *close, uint32_t open_at, uint32_t end, bool *broken)
{
    Items items = { 0 };
    items_add_list(p, &items, list);
    Inside in = inside(p, &items, ",", false, open_at + 1, end ? end - 1 : 0);
    *broken = in.broken || (in.content && doc_breaks(in.content));
    return wrap(p, open, &in, close);
}

Doc *bracketed(Printer *p, const char *open, AstList list, const char *close, uint32_t open_at, uint32_t end)
{
    bool broken;
    Doc *doc = bracketed_bare(p, open, list, close, open_at, end, &broken);
    return doc_group(p, doc, broken);
}

Doc *braced_lines(Printer *p, const Items *items, uint32_t open_at, uint32_t end)
{
    Inside in = inside(p, items, NULL, false, open_at + 1, end ? end - 1 : 0);
    in.broken = in.broken || in.content;
    return doc_group(p, wrap(p, "{", &in, "}"), in.broken);
}

Doc *block_bare(Printer *p, const Ast *node, bool *broken)
{
    if (node->kind != AST_BLOCK) {
        *broken = false;
        return fmt_node(p, node);
    }
    const Ast_block *block = (const Ast_block *)(const void *)node;
    Items items = { 0 };
    items_add_list(p, &items, block->items);
    Inside in = inside(p, &items, NULL, false, node->span.start + 1, node->span.end ? node->span.end - 1 : 0);
    in.broken = in.broken || block->items.count > 1 || (in.content && doc_breaks(in.content));
    *broken = in.broken;
    return wrap(p, "{", &in, "}");
}

Doc *block_doc(Printer *p, const Ast *block)
{
    bool broken;
    Doc *doc = block_bare(p, block, &broken);
    return doc_group(p, doc, broken);
}

/* ---- clauses ---- */

Chain chain_of(Printer *p, Doc *head, uint32_t head_end, uint32_t first_clause_at)
{
    head = CAT(p, head);
    return (Chain){ .head = head, .last = head, .last_end = head_end, .clauses = doc_list(p),
                    .broken = source_newline_before_word(p, head_end, first_clause_at) };
}

/* Up to the next clause: a comment on the line of the last one stays behind it, others get lines of their own. */
static void chain_comments(Printer *p, Chain *chain, uint32_t limit)
{
    const Comment *comment = comment_on_line(p, chain->last_end, limit);
    if (comment) {
        doc_push(p, chain->last, comment_take(p, comment, true));
        chain->broken = true;
    }
    while ((comment = comment_next(p, chain->last_end, limit))) {
        doc_push(p, chain->clauses, CAT(p, doc_line(p, " ", false), comment_take(p, comment, false)));
        chain->broken = true;
    }
}

void chain_add(Printer *p, Chain *chain, uint32_t start, uint32_t end, Doc *clause)
{
    chain_comments(p, chain, start);
    chain->last = CAT(p, doc_line(p, " ", false), clause);
    chain->last_end = end;
    doc_push(p, chain->clauses, chain->last);
}

Doc *chain_doc(Printer *p, Chain *chain, uint32_t limit)
{
    chain_comments(p, chain, limit);
    if (!chain->clauses->count) return chain->head;
    return doc_group(p, CAT(p, chain->head, doc_indent(p, chain->clauses)), chain->broken);
}

/* ---- the module ---- */

void fmt_module(const Module *module, Buf *out)
{
    Arena *arena = arena_new();
    Printer p = { .arena = arena, .module = module, .text = module->source->text };
    p.used = ARENA_ARRAY(arena, bool, module->comment_count + 1);
    doc_print(fmt_node(&p, &module->root->head), out);
    arena_free(arena);
}

Doc *node_module(Printer *p, const Ast *node)
{
    NODE(module);
    Items items = { 0 };
    items_add_list(p, &items, n->items);
    Inside in = inside(p, &items, NULL, true, 0, (uint32_t)p->text.len);
    return in.content ? CAT(p, in.content, doc_hard(p, false)) : doc_list(p);
}
