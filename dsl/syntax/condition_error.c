/* condition_error.c - what is said of a mistake in a condition: where it is, what stood there, what was expected, what to write instead. */
#include "dsl/syntax/condition_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include "dsl/grammar/condition.tab.h"

enum { SHOWN_MAX = 40 };

typedef struct Refused { const char *spelling, *what, *instead; } Refused;
static const Refused refused[] = {
#define COND_REFUSED(spelling, what, instead) { spelling, what, instead },
#include "dsl/syntax/condition.def"
#undef COND_REFUSED
};
static const Refused misspelt[] = {
#define COND_MISSPELT(word, right) { word, "", right },
#include "dsl/syntax/condition.def"
#undef COND_MISSPELT
};

static const Refused *find(const Refused *rows, size_t count, Str word)
{
    for (size_t i = 0; i < count; i++)
        if (str_is(word, rows[i].spelling)) return &rows[i];
    return NULL;
}
#define FIND(rows, word) find((rows), sizeof (rows) / sizeof *(rows), (word))

static Str printed(CondParser *parser, const char *format, va_list args)
{
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    return arena_str(parser->arena, str_of(text));
}

void cond_error(CondParser *parser, const char *code, CondPlace place, const char *format, ...)
{
    if (parser->failed) return;
    parser->failed = true;
    va_list args;
    va_start(args, format);
    *parser->error = (ConditionError){ .code = code, .offset = place.start, .length = place.end - place.start, .message = printed(parser, format, args),
                                       .expected = STR(""), .actual = STR(""), .suggestion = STR("") };
    va_end(args);
}

void cond_expect(CondParser *parser, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!parser->error->expected.len) parser->error->expected = printed(parser, format, args);
    va_end(args);
}

void cond_suggest(CondParser *parser, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!parser->error->suggestion.len) parser->error->suggestion = printed(parser, format, args);
    va_end(args);
}

void cond_too_deep(CondParser *parser, CondPlace place)
{
    cond_error(parser, "E0721", place, "nested deeper than CONDITION_DEPTH_MAX (%d)", CONDITION_DEPTH_MAX);
}

/* ---- JavaScript that is not in the subset ---- */

const char *cond_misspelt(Str word)
{
    const Refused *row = FIND(misspelt, word);
    return row ? row->instead : NULL;
}

bool cond_is_refused(Str word) { return FIND(refused, word) != NULL; }

void cond_refuse_what(CondParser *parser, CondPlace place, const char *what, const char *instead)
{
    if (parser->failed) return;
    cond_error(parser, "E0731", place, "%s cannot stand in a condition", what);
    parser->error->actual = arena_str(parser->arena, str_of(what));
    if (*instead) cond_suggest(parser, "%s", instead);
}

void cond_refuse(CondParser *parser, CondPlace place)
{
    const Refused *row = FIND(refused, cond_source(parser, place));
    if (row) cond_refuse_what(parser, place, row->what, row->instead);
    else cond_error(parser, "E0730", place, "`%.*s` is not expected here", STR_ARG(cond_source(parser, place)));
}

static void put_methods(Buf *out, const char *receiver, const char *before)
{
    for (int i = COND_METHOD_NONE + 1; i < COND_METHOD_COUNT; i++) {
        const CondMethodInfo *method = cond_method((CondMethod)i);
        if (!strcmp(method->receiver, receiver)) buf_printf(out, "%s%s%s", out->len ? ", " : "", before, method->name);
    }
}

static void suggest_method(CondParser *parser, bool math, Str name)
{
    Str names[COND_METHOD_COUNT];
    size_t count = 0;
    for (int i = COND_METHOD_NONE + 1; i < COND_METHOD_COUNT; i++)
        if (!strcmp(cond_method((CondMethod)i)->receiver, "Math") == math) names[count++] = str_of(cond_method((CondMethod)i)->name);
    Str near = str_nearest(name, names, count);
    if (near.len) cond_suggest(parser, "%.*s", STR_ARG(near));
}

void cond_bad_call(CondParser *parser, CondPlace place, bool member, bool math, Str name)
{
    Buf methods = { 0 };
    if (!member) cond_refuse_what(parser, place, "a function call", "");
    else if (parser->failed) return;
    else {
        cond_error(parser, "E0731", place, "%s`%.*s` cannot be called in a condition", math ? "`Math` has no such function here: " : "method ",
                   name.len > SHOWN_MAX ? SHOWN_MAX : (int)name.len, name.ptr);
        parser->error->actual = arena_str(parser->arena, name);
        suggest_method(parser, math, name);
    }
    if (math) put_methods(&methods, "Math", "Math.");
    else {
        put_methods(&methods, "string", "");
        buf_put_text(&methods, ", join");
        put_methods(&methods, "Math", "Math.");
    }
    cond_expect(parser, "one of %.*s", (int)methods.len, methods.ptr);
    buf_free(&methods);
}

void cond_bad_number(CondParser *parser, CondPlace place, Str text)
{
    char second = text.len > 1 ? (char)(text.ptr[1] | 32) : '\0', last = text.ptr[text.len - 1];
    bool zero = text.ptr[0] == '0' && text.len > 1;
    if (memchr(text.ptr, '_', text.len)) cond_refuse_what(parser, place, "a number with `_` in it", "");
    else if (last == 'n' && !(zero && second == 'x')) cond_refuse_what(parser, place, "a BigInt", "");
    else if (zero && (second == 'b' || second == 'o' || (second >= '0' && second <= '9'))) cond_refuse_what(parser, place, "a binary or octal number", "");
    else {
        cond_error(parser, "E0730", place, "`%.*s` is no number", text.len > SHOWN_MAX ? SHOWN_MAX : (int)text.len, text.ptr);
        cond_expect(parser, "a number such as 200, 0.5 or 1e3");
    }
}

/* ---- characters ---- */

typedef struct CharRange { uint32_t first, last; const char *what; } CharRange;
/* What is seen as something else, or not at all. */
static const CharRange deceiving[] = {
    { 0x00, 0x00, "NUL" }, { 0x01, 0x1F, "a control character" }, { 0x7F, 0x9F, "a control character" }, { 0x061C, 0x061C, "a character of writing direction" },
    { 0x200E, 0x200F, "a character of writing direction" }, { 0x202A, 0x202E, "a character of writing direction" }, { 0x2066, 0x2069, "a character of writing direction" },
    { 0xFEFF, 0xFEFF, "a byte order mark" }, { 0xFFF9, 0xFFFB, "an annotation character" },
};
static const CharRange elsewhere[] = {
    { 0xA0, 0xA0, "a space that is none" }, { 0x1680, 0x1680, "a space that is none" }, { 0x2000, 0x200A, "a space that is none" }, { 0x200B, 0x200D, "an invisible character" },
    { 0x2028, 0x2029, "a line end that is none" }, { 0x202F, 0x202F, "a space that is none" }, { 0x205F, 0x205F, "a space that is none" }, { 0x2060, 0x2064, "an invisible character" },
    { 0x3000, 0x3000, "a space that is none" },
};
static const struct { uint32_t c; const char *instead; } lookalikes[] = {
    { 0x2018, "'" }, { 0x2019, "'" }, { 0x201C, "\"" }, { 0x201D, "\"" }, { 0x201E, "\"" }, { 0x2260, "!==" }, { 0x2264, "<=" }, { 0x2265, ">=" }, { 0x2212, "-" }, { 0x2013, "-" },
    { 0xD7, "*" }, { 0xF7, "/" }, { 0x2227, "&&" }, { 0x2228, "||" }, { 0xAC, "!" },
};

static const char *range_of(const CharRange *ranges, size_t count, uint32_t c)
{
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i].first && c <= ranges[i].last) return ranges[i].what;
    return NULL;
}
#define RANGE_OF(ranges, c) range_of((ranges), sizeof (ranges) / sizeof *(ranges), (c))

/* The text is valid UTF-8. */
static uint32_t char_at(const CondParser *parser, uint32_t at, uint32_t *size)
{
    const unsigned char *p = (const unsigned char *)parser->text + at;
    *size = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    uint32_t c = *size == 1 ? p[0] : p[0] & (0xFFu >> (*size + 1));
    for (uint32_t i = 1; i < *size; i++) c = c << 6 | (p[i] & 63);
    return c;
}

/* A text in quotes of print: the place of all of it, and with ASCII's quotes what it should be. */
static bool is_printed_text(CondParser *parser, uint32_t at, CondPlace *place)
{
    uint32_t size, c = char_at(parser, at, &size);
    if (c < 0x2018 || c > 0x201E) return false;
    for (uint32_t end = at + size; end < parser->size; end += size) {
        c = char_at(parser, end, &size);
        if (c == '"' || c == '\\' || c < ' ') return false;
        if (c < 0x2018 || c > 0x201E) continue;
        *place = (CondPlace){ at, end + size };
        return true;
    }
    return false;
}

void cond_bad_character(CondParser *parser, uint32_t at)
{
    uint32_t size, c = char_at(parser, at, &size);
    CondPlace text;
    if (is_printed_text(parser, at, &text)) {
        cond_error(parser, "E0730", text, "a text stands in `\"` or `'`");
        cond_suggest(parser, "\"%.*s\"", (int)(text.end - text.start - 6), parser->text + text.start + 3);         /* each of those quotes has three bytes */
        return;
    }
    const char *what = RANGE_OF(deceiving, c);
    if (!what) what = RANGE_OF(elsewhere, c);
    CondPlace place = { at, at + size };
    if (what) cond_error(parser, "E0730", place, "U+%04X, %s, cannot stand outside of a text", c, what);
    else cond_error(parser, "E0730", place, "`%.*s` (U+%04X) cannot stand outside of a text", (int)size, parser->text + at, c);
    for (size_t i = 0; i < sizeof lookalikes / sizeof *lookalikes; i++)
        if (lookalikes[i].c == c) cond_suggest(parser, "%s", lookalikes[i].instead);
}

bool cond_must_be_escaped(CondParser *parser, uint32_t at, bool is_template)
{
    uint32_t size, c = char_at(parser, at, &size);
    const char *what = (c == '\n' && is_template) || c == '\t' ? NULL : RANGE_OF(deceiving, c);
    if ((parser->text[at] & 0xC0) == 0x80 || !what) return false;        /* inside a character: looked at already */
    cond_error(parser, "E0730", (CondPlace){ at, at + size }, "U+%04X, %s, must be written as an escape", c, what);
    cond_suggest(parser, "\\u%04x", c);
    return true;
}

/* ---- what the grammar did not expect ---- */

static bool has(const int *expected, int count, int token)
{
    for (int i = 0; i < count; i++)
        if (expected[i] == token) return true;
    return false;
}

static void say_expected(CondParser *parser, const int *expected, int count)
{
    static const struct { int token; const char *text; } words[] = {
        { COND_T_TRUE, "a value" }, { COND_T_NAME, "a name" }, { COND_T_NUMBER, "a number" }, { COND_T_STRING, "a text" }, { COND_T_AND, "an operator" }, { '.', "`.`" }, { '[', "`[`" }, { ')', "`)`" }, { ']', "`]`" }, { ':', "`:`" }, { ',', "`,`" },
        { COND_T_INTERPOLATION_END, "`}`" }, { COND_T_EOF, "the end" },
    };
    Buf text = { 0 };
    bool value = has(expected, count, COND_T_TRUE), op = has(expected, count, COND_T_AND) || has(expected, count, COND_T_COALESCE);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!has(expected, count, words[i].token) || (value && words[i].token == COND_T_NAME)) continue;
        if (op && (words[i].token == '.' || words[i].token == '[')) continue;
        if (value && (words[i].token == '[' || words[i].token == COND_T_NUMBER || words[i].token == COND_T_STRING)) continue;
        buf_printf(&text, "%s%s", text.len ? " or " : "", words[i].text);
    }
    if (text.len) cond_expect(parser, "%.*s", (int)text.len, text.ptr);
    buf_free(&text);
}

/* What cannot stand here because the subset has not what it would begin. */
static const char *construct_of(int token, const int *expected, int count)
{
    bool value = has(expected, count, COND_T_TRUE);
    if (token == ',') return "a comma operator";
    if (token == COND_T_TEMPLATE && !value && has(expected, count, '.')) return "a tagged template";
    return NULL;
}

static void say_mixed(CondParser *parser, CondPlace place)
{
    cond_error(parser, "E0730", place, "`??` does not stand beside `&&` or `||` without parentheses");
    cond_expect(parser, "parentheses around one of them");
}

void cond_unexpected(CondParser *parser, CondPlace place, int token, const int *expected, int count)
{
    if (parser->failed || token == COND_T_STOP) return;
    const char *construct = parser->mode == COND_MODE_EXPR ? construct_of(token, expected, count) : NULL;
    bool mixes = (token == COND_T_COALESCE && has(expected, count, '?')) || ((token == COND_T_AND || token == COND_T_OR) && has(expected, count, COND_T_COALESCE));
    if (construct) return cond_refuse_what(parser, place, construct, "");
    if (mixes) return say_mixed(parser, place);
    if (token == '>' && place.start && parser->text[place.start - 1] == '<') place.start--;                                   /* `<>` */
    bool adjacent = token == COND_T_NAME && parser->name_before.end + 1 == place.start && cond_misspelt(cond_source(parser, parser->name_before));
    if (adjacent) place = parser->name_before;                                                                                 /* `not x` */
    Str source = cond_source(parser, place);
    if (token == COND_T_EOF) cond_error(parser, "E0730", place, parser->size ? "it ends too early" : "there is nothing in it");
    else cond_error(parser, "E0730", place, "`%.*s` is not expected here", source.len > SHOWN_MAX ? SHOWN_MAX : (int)source.len, source.ptr);
    if (token != COND_T_EOF) parser->error->actual = arena_str(parser->arena, source);
    say_expected(parser, expected, count);
    if (cond_misspelt(source)) cond_suggest(parser, "%s", cond_misspelt(source));
    if (str_is(source, "<>")) cond_suggest(parser, "!==");
}
