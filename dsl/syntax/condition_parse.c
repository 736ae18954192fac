/* condition_parse.c - reading a condition: the driver, the nodes, the literals. What is said of a mistake is in condition_error.c. */
#include "dsl/syntax/condition_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- nodes ---- */

Cond *cond_new(CondParser *parser, CondKind kind, CondPlace place)
{
    if (++parser->nodes > CONDITION_NODES_MAX) cond_error(parser, "E0721", place, "more than CONDITION_NODES_MAX (%d) names, values and operators", CONDITION_NODES_MAX);
    Cond *node = ARENA_NEW(parser->arena, Cond);
    node->kind = kind;
    node->offset = place.start;
    node->length = place.end - place.start;
    node->depth = 1;
    return node;
}

static void adopt(CondParser *parser, Cond *node, uint32_t count, Cond *const *items)
{
    node->items = ARENA_ARRAY(parser->arena, Cond *, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        node->items[i] = items[i];
        if (items[i]->depth >= node->depth) node->depth = (uint8_t)(items[i]->depth + 1);
    }
    node->count = count;
    if (node->depth > CONDITION_DEPTH_MAX) cond_too_deep(parser, (CondPlace){ node->offset, node->offset + node->length });
}

Cond *cond_unary(CondParser *parser, CondPlace place, CondOp op, Cond *operand)
{
    Cond *node = cond_new(parser, COND_UNARY, place);
    node->op = op;
    adopt(parser, node, 1, &operand);
    return node;
}

Cond *cond_binary(CondParser *parser, CondPlace place, CondPlace sign, CondOp op, Cond *left, Cond *right)
{
    Cond *node = cond_new(parser, COND_BINARY, place);
    node->op = op;
    node->op_offset = sign.start;
    adopt(parser, node, 2, (Cond *[]){ left, right });
    return node;
}

Cond *cond_choice(CondParser *parser, CondPlace place, Cond *condition, Cond *yes, Cond *no)
{
    Cond *node = cond_new(parser, COND_CHOICE, place);
    adopt(parser, node, 3, (Cond *[]){ condition, yes, no });
    return node;
}

Cond *cond_member(CondParser *parser, CondPlace place, Cond *object, Str name, bool optional)
{
    Cond *node = cond_new(parser, COND_MEMBER, place);
    node->text = arena_str(parser->arena, name);
    node->optional = optional;
    adopt(parser, node, 1, &object);
    return node;
}

static bool is_step(const Cond *object, const Cond *index)
{
    return object->kind == COND_NAME && !object->grouped && str_is(object->text, "steps") && index->kind == COND_NUMBER && index->number >= 0
        && index->number <= 1e9 && index->number == floor(index->number);
}

Cond *cond_index(CondParser *parser, CondPlace place, Cond *object, Cond *index, bool optional)
{
    if (index->kind == COND_STRING && !index->grouped) return cond_member(parser, place, object, index->text, optional);
    bool step = is_step(object, index) && !optional;
    Cond *node = cond_new(parser, step ? COND_STEP : COND_INDEX, place);
    node->optional = optional;
    if (step) {
        node->text = object->text;
        node->number = index->number;
    } else {
        adopt(parser, node, 2, (Cond *[]){ object, index });
    }
    return node;
}

uint32_t cond_push(CondParser *parser, Cond *item)
{
    if (parser->stack_count == parser->stack_cap) {
        uint32_t cap = parser->stack_cap ? parser->stack_cap * 2 : 16;
        Cond **grown = ARENA_ARRAY(parser->arena, Cond *, cap);
        if (parser->stack_count) memcpy(grown, parser->stack, parser->stack_count * sizeof *grown);
        parser->stack = grown;
        parser->stack_cap = cap;
    }
    parser->stack[parser->stack_count++] = item;
    return parser->stack_count - 1;
}

static void take_items(CondParser *parser, Cond *node, Cond *first, uint32_t from)
{
    uint32_t count = parser->stack_count - from;
    Cond **items = ARENA_ARRAY(parser->arena, Cond *, count + 1);
    if (first) items[0] = first;
    if (count) memcpy(items + (first != NULL), parser->stack + from, count * sizeof *items);
    parser->stack_count = from;
    adopt(parser, node, count + (first != NULL), items);
}

Cond *cond_template(CondParser *parser, CondPlace place, uint32_t parts)
{
    Cond *node = cond_new(parser, COND_TEMPLATE, place);
    take_items(parser, node, NULL, parts);
    return node;
}

Cond *cond_list(CondParser *parser, CondPlace place, uint32_t items)
{
    Cond *node = cond_new(parser, COND_LIST, place);
    take_items(parser, node, NULL, items);
    return node;
}

Cond *cond_call(CondParser *parser, CondPlace place, Cond *callee, uint32_t args)
{
    CondPlace name = { callee->offset, callee->offset + callee->length };
    bool member = callee->kind == COND_MEMBER && !callee->grouped && parser->text[name.end - 1] != ']';
    bool math = member && callee->items[0]->kind == COND_NAME && str_is(callee->items[0]->text, "Math");
    const char *receivers[] = { "string", "list" };
    bool known = false;
    for (int i = 0; member && !math && i < 2; i++) known = known || cond_method_find(receivers[i], callee->text);
    if (math) known = cond_method_find("Math", callee->text) != COND_METHOD_NONE && !callee->optional;
    if (!known) {
        if (member) name.start = name.end - (uint32_t)callee->text.len;
        cond_bad_call(parser, name, member, math, member ? callee->text : STR(""));
        return callee;
    }
    Cond *node = cond_new(parser, math ? COND_MATH : COND_CALL, place);
    node->text = callee->text;
    node->optional = callee->optional;
    take_items(parser, node, math ? NULL : callee->items[0], args);
    return node;
}

/* ---- numbers ---- */

static bool all_in(Str text, const char *set)
{
    for (size_t i = 0; i < text.len; i++)
        if (!strchr(set, text.ptr[i]) || !text.ptr[i]) return false;
    return text.len > 0;
}

static bool is_hex(Str text)
{
    return text.len > 2 && text.ptr[0] == '0' && (text.ptr[1] | 32) == 'x' && all_in((Str){ text.ptr + 2, text.len - 2 }, "0123456789abcdefABCDEF");
}

/* digits [. digits] [e [sign] digits], or . digits …; no leading zero before another digit */
static bool is_decimal(Str text)
{
    size_t at = 0, digits = 0;
    for (; at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9'; at++) digits++;
    if (digits > 1 && text.ptr[0] == '0') return false;
    if (at < text.len && text.ptr[at] == '.')
        for (at++; at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9'; at++) digits++;
    if (!digits) return false;
    if (at == text.len) return true;
    if ((text.ptr[at] | 32) != 'e') return false;
    if (++at < text.len && (text.ptr[at] == '+' || text.ptr[at] == '-')) at++;
    return all_in((Str){ text.ptr + at, text.len - at }, "0123456789");
}

bool cond_number(CondParser *parser, CondPlace place, double *out)
{
    Str text = cond_source(parser, place);
    if (is_hex(text) || is_decimal(text)) {
        *out = strtod(arena_str(parser->arena, text).ptr, NULL);      /* of the literal alone: what follows it is no part of the number */
        return true;
    }
    cond_bad_number(parser, place, text);
    return false;
}

/* ---- strings ---- */

typedef struct Decoder {
    CondParser *parser;
    const char *at, *end;
    char *out;                  /* room for the source: no escape is shorter than what it stands for */
    size_t len;
    uint32_t high;              /* a high surrogate that waits for its other half */
    const char *high_at;
    bool failed;
} Decoder;

static uint32_t offset_in(const Decoder *d, const char *at) { return (uint32_t)(at - d->parser->text); }

static void fail_at(Decoder *d, const char *from, const char *what)
{
    const char *to = d->at > from ? d->at : from + 1;
    cond_error(d->parser, "E0730", (CondPlace){ offset_in(d, from), offset_in(d, to) }, "%s", what);
    d->failed = true;
}

static void put_utf8(Decoder *d, uint32_t c)
{
    char *to = d->out + d->len;
    if (c < 0x80) {
        to[0] = (char)c;
        d->len += 1;
    } else if (c < 0x800) {
        to[0] = (char)(0xC0 | c >> 6);
        to[1] = (char)(0x80 | (c & 63));
        d->len += 2;
    } else if (c < 0x10000) {
        to[0] = (char)(0xE0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 63));
        to[2] = (char)(0x80 | (c & 63));
        d->len += 3;
    } else {
        to[0] = (char)(0xF0 | c >> 18);
        to[1] = (char)(0x80 | (c >> 12 & 63));
        to[2] = (char)(0x80 | (c >> 6 & 63));
        to[3] = (char)(0x80 | (c & 63));
        d->len += 4;
    }
}

/* JavaScript puts UTF-16 units next to each other: two escapes may be one character. */
static void put_unit(Decoder *d, uint32_t c, const char *from)
{
    bool low = c >= 0xDC00 && c <= 0xDFFF;
    if (d->high && !low) return fail_at(d, d->high_at, "half of a surrogate pair: no character");
    if (!d->high && low) return fail_at(d, from, "half of a surrogate pair: no character");
    if (low) {
        put_utf8(d, 0x10000 + ((d->high - 0xD800) << 10) + (c - 0xDC00));
        d->high = 0;
    } else if (c >= 0xD800 && c <= 0xDBFF) {
        d->high = c;
        d->high_at = from;
    } else if (c == 0) {
        fail_at(d, from, "a text has no NUL character");
    } else {
        put_utf8(d, c);
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `count` digits, or with 0 what stands in braces. */
static void put_hex(Decoder *d, int count, const char *from)
{
    uint32_t c = 0;
    int digits = 0;
    bool braces = !count;
    if (braces) d->at++;
    for (; d->at < d->end && hex_digit(*d->at) >= 0 && (braces ? c <= 0x10FFFF : digits < count); d->at++, digits++) c = c * 16 + (uint32_t)hex_digit(*d->at);
    bool whole = braces ? digits > 0 && d->at < d->end && *d->at == '}' && c <= 0x10FFFF : digits == count;
    if (!whole) return fail_at(d, from, "an escape that names no character");
    if (braces) d->at++;
    put_unit(d, c, from);
}

static void put_escape(Decoder *d)
{
    static const char from[] = "nrtbfv'\"`\\$", to[] = "\n\r\t\b\f\v'\"`\\$";
    const char *start = d->at++;
    char c = d->at < d->end ? *d->at++ : '\0';
    const char *known = c ? strchr(from, c) : NULL;
    if (known) return put_unit(d, (unsigned char)to[known - from], start);
    if (c == 'x') return put_hex(d, 2, start);
    if (c == 'u') return put_hex(d, d->at < d->end && *d->at == '{' ? 0 : 4, start);
    if (c == '0' && !(d->at < d->end && *d->at >= '0' && *d->at <= '9')) return put_unit(d, 0, start);
    if (c >= '0' && c <= '9') {
        cond_refuse_what(d->parser, (CondPlace){ offset_in(d, start), offset_in(d, d->at) }, "an octal escape", "");
        d->failed = true;
    } else if (c == '\n' || c == '\r') {
        cond_refuse_what(d->parser, (CondPlace){ offset_in(d, start), offset_in(d, start) + 1 }, "a line continued by `\\`", "");
        d->failed = true;
    } else if ((unsigned char)c < 0x80 && c > ' ') {
        put_unit(d, (unsigned char)c, start);                   /* `\q` is q */
    } else {
        fail_at(d, start, "an escape that names no character");
    }
}

/* A template keeps its line ends, as \n. */
static void put_plain(Decoder *d, bool is_template)
{
    unsigned char c = (unsigned char)*d->at;
    if (d->high) return fail_at(d, d->high_at, "half of a surrogate pair: no character");
    if (is_template && c == '\r') {
        d->at += d->at + 1 < d->end && d->at[1] == '\n' ? 2 : 1;
        d->out[d->len++] = '\n';
    } else if (cond_must_be_escaped(d->parser, offset_in(d, d->at), is_template)) {
        d->failed = true;
    } else {
        d->out[d->len++] = *d->at++;
    }
}

/* Outside of a condition: only `\${` is an escape. */
static void put_outside(Decoder *d)
{
    if (d->end - d->at >= 3 && !memcmp(d->at, "\\${", 3)) d->at++;
    d->out[d->len++] = *d->at++;
}

bool cond_string(CondParser *parser, CondPlace body, bool is_template, Str *out)
{
    Decoder d = { .parser = parser, .at = parser->text + body.start, .end = parser->text + body.end };
    d.out = arena_alloc(parser->arena, body.end - body.start + 1);
    bool outside = parser->mode == COND_MODE_TEXT && !parser->nesting;
    while (d.at < d.end && !d.failed)
        if (outside) put_outside(&d);
        else if (*d.at == '\\') put_escape(&d);
        else put_plain(&d, is_template);
    if (d.high && !d.failed) fail_at(&d, d.high_at, "half of a surrogate pair: no character");
    *out = (Str){ d.out, d.len };
    return !d.failed;
}

/* ---- the driver ---- */

Str cond_source(const CondParser *parser, CondPlace place) { return (Str){ parser->text + place.start, place.end - place.start }; }

static Cond *parse(Arena *arena, Str text, CondMode mode, ConditionError *error)
{
    *error = (ConditionError){ .code = NULL };
    CondParser parser = { .arena = arena, .mode = mode, .error = error, .size = text.len > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)text.len };
    CondPlace all = { 0, parser.size };
    if (mode != COND_MODE_TEXT && text.len > CONDITION_BYTES_MAX) {
        cond_error(&parser, "E0721", all, "%zu bytes, more than CONDITION_BYTES_MAX (%d)", text.len, CONDITION_BYTES_MAX);
        return NULL;
    }
    if (text.len > parser.size || !utf8_valid(text)) {
        cond_error(&parser, "E0730", all, "not UTF-8");
        return NULL;
    }
    parser.text = arena_str(arena, text).ptr;
    void *scanner = cond_scan_begin(&parser);
    if (!scanner) abort();                                      /* no memory: as arena_alloc */
    bool ok = cond_grammar(&parser, scanner);
    cond_scan_end(scanner);
    return ok ? parser.root : NULL;
}

Cond *condition_parse(Arena *arena, Str text, ConditionError *error) { return parse(arena, text, COND_MODE_EXPR, error); }
Cond *condition_parse_path(Arena *arena, Str text, ConditionError *error) { return parse(arena, text, COND_MODE_PATH, error); }
Cond *condition_parse_text(Arena *arena, Str text, ConditionError *error) { return parse(arena, text, COND_MODE_TEXT, error); }
