/* literal.c - numbers, durations, times and string texts out of their spelling. */
#include "dsl/syntax/literal.h"

#include <stdlib.h>

#include "base/time.h"
#include "dsl/grammar/flow.tab.h"

static Str slice(const Tokens *tokens, uint32_t start, uint32_t end)
{
    return (Str){ tokens->source->text.ptr + start, end - start };
}

static Span span_of(const Tokens *tokens, uint32_t start, uint32_t end)
{
    return (Span){ start, end, tokens->source->index };
}

int64_t literal_int(Tokens *tokens, uint32_t start, uint32_t end)
{
    Str text = slice(tokens, start, end);
    int64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '_')
            continue;
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text.ptr[i] - '0', &value)) {
            diag_number_range(tokens->diags, span_of(tokens, start, end));
            return 0;
        }
    }
    return value;
}

Str literal_digits(Tokens *tokens, uint32_t start, uint32_t end)
{
    Str text = slice(tokens, start, end);
    if (!memchr(text.ptr, '_', text.len))
        return text;
    char *digits = arena_alloc(tokens->arena, text.len);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '_')
            digits[len++] = text.ptr[i];
    return (Str){ digits, len };
}

int64_t literal_duration(Tokens *tokens, uint32_t start, uint32_t end)
{
    static const struct { const char *word; int64_t us; } units[] = {
        { "y", 365 * TIME_DAY }, { "w", 7 * TIME_DAY }, { "d", TIME_DAY }, { "h", 3600 * TIME_SECOND }, { "m", 60 * TIME_SECOND },
        { "s", TIME_SECOND }, { "ms", 1000 }, { "us", 1 },
    };
    enum { UNIT_COUNT = sizeof units / sizeof *units };
    Str text = slice(tokens, start, end);
    int64_t total = 0;
    size_t unit = 0;

    for (size_t at = 0; at < text.len; unit++) {
        int64_t count = 0;
        bool fits = true;
        for (; text.ptr[at] >= '0' && text.ptr[at] <= '9'; at++)
            fits &= !__builtin_mul_overflow(count, 10, &count) && !__builtin_add_overflow(count, text.ptr[at] - '0', &count);
        size_t len = 1 + (at + 1 < text.len && text.ptr[at + 1] == 's');
        while (unit < UNIT_COUNT && !(strlen(units[unit].word) == len && memcmp(units[unit].word, text.ptr + at, len) == 0))
            unit++;                                             /* forward only: the largest unit comes first, each once */
        if (unit == UNIT_COUNT || !fits || __builtin_mul_overflow(count, units[unit].us, &count) || __builtin_add_overflow(total, count, &total)) {
            Diag *diag = diag_bad_duration(tokens->diags, span_of(tokens, start, end), text);
            diag_help(tokens->diags, diag, "units are y w d h m s ms us, the largest first, each once: 1h30m");
            return 0;
        }
        at += len;
    }
    return total;
}

void literal_time(Tokens *tokens, uint32_t start, uint32_t end)
{
    Str text = slice(tokens, start + 1, end);
    bool date = text.len == 10;
    int64_t value = 0;
    if (date ? date_parse(text, &value) : timestamp_parse(text, &value)) {
        Diag *diag = diag_bad_time(tokens->diags, span_of(tokens, start, end), slice(tokens, start, end));
        diag_help(tokens->diags, diag, "a date is @2025-11-10, a timestamp @2025-11-10T10:00:00Z");
        value = 0;
    }
    token_add(tokens, date ? T_DATE : T_TIMESTAMP, start, end)->integer = value;
}

/* ---- strings ------------------------------------------------------------------------------------------ */

static size_t utf8_put(char *out, uint32_t code)
{
    if (code < 0x80)
        return out[0] = (char)code, 1;
    if (code < 0x800)
        return out[0] = (char)(0xC0 | code >> 6), out[1] = (char)(0x80 | (code & 63)), 2;
    if (code < 0x10000)
        return out[0] = (char)(0xE0 | code >> 12), out[1] = (char)(0x80 | (code >> 6 & 63)), out[2] = (char)(0x80 | (code & 63)), 3;
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 63));
    out[2] = (char)(0x80 | (code >> 6 & 63));
    out[3] = (char)(0x80 | (code & 63));
    return 4;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* \u{1F600} with its braces; `raw` starts at the backslash. Returns its length, 0 when it is not one. */
static size_t unicode_escape(Str raw, uint32_t *code)
{
    size_t at = 3;
    *code = 0;
    if (raw.len < 5 || raw.ptr[1] != 'u' || raw.ptr[2] != '{')
        return 0;
    for (; at < raw.len && at < 9 && hex_digit(raw.ptr[at]) >= 0; at++)
        *code = *code * 16 + (uint32_t)hex_digit(raw.ptr[at]);
    bool scalar = *code > 0 && *code <= 0x10FFFF && (*code < 0xD800 || *code > 0xDFFF);
    return at > 3 && at < raw.len && raw.ptr[at] == '}' && scalar ? at + 1 : 0;
}

static size_t escape_decode(Tokens *tokens, Str raw, uint32_t start, char *out, size_t *written)
{
    static const char letters[] = "ntr\"\\$", values[] = "\n\t\r\"\\$";
    const char *letter = raw.len > 1 && raw.ptr[1] ? strchr(letters, raw.ptr[1]) : NULL;
    uint32_t code;
    size_t len;
    if (letter) {
        out[0] = values[letter - letters];
        *written = 1;
        return 2;
    }
    if ((len = unicode_escape(raw, &code))) {
        *written = utf8_put(out, code);
        return len;
    }
    len = 1;
    do
        len++;
    while (len < raw.len && ((unsigned char)raw.ptr[len] & 0xC0) == 0x80);
    if (len > raw.len)
        len = raw.len;
    Diag *diag = diag_unknown_escape(tokens->diags, span_of(tokens, start, start + (uint32_t)len), (Str){ raw.ptr, len });
    diag_help(tokens->diags, diag, "escapes are \\n \\t \\r \\\" \\\\ \\$ and \\u{1F600}");
    *written = 0;
    return len;
}

Str literal_unescape(Tokens *tokens, Str raw, uint32_t start)
{
    if (!memchr(raw.ptr, '\\', raw.len))
        return raw;
    char *out = arena_alloc(tokens->arena, raw.len);
    size_t len = 0;
    for (size_t at = 0; at < raw.len;) {
        if (raw.ptr[at] != '\\') {
            out[len++] = raw.ptr[at++];
            continue;
        }
        size_t written;
        at += escape_decode(tokens, (Str){ raw.ptr + at, raw.len - at }, start + (uint32_t)at, out + len, &written);
        len += written;
    }
    return (Str){ out, len };
}

/* ---- """ … """ ------------------------------------------------------------------------------------------
 * What follows the opening quotes on their line is the first line unless it is empty. If only space stands before the
 * closing quotes, that line is not part of the text, but its indent counts, as does that of every line that is not blank. */

static bool blank_to_end(Str text, size_t at)
{
    while (at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == '\t' || text.ptr[at] == '\r'))
        at++;
    return at == text.len;
}

static size_t indent_at(Str text, size_t at)
{
    size_t from = at;
    while (at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == '\t'))
        at++;
    return at - from;
}

/* Smallest indent of the lines that start in this part; a blank line does not count unless the part ends in it. */
static size_t part_indent(Str text, size_t smallest)
{
    for (size_t at = 0; at < text.len; at++) {
        if (text.ptr[at] != '\n')
            continue;
        size_t indent = indent_at(text, at + 1), after = at + 1 + indent;
        bool blank = after < text.len && (text.ptr[after] == '\n' || (text.ptr[after] == '\r' && after + 1 < text.len && text.ptr[after + 1] == '\n'));
        if (!blank && indent < smallest)
            smallest = indent;
    }
    return smallest;
}

static Str part_dedent(Tokens *tokens, Str text, size_t indent, bool first, bool last)
{
    char *out = arena_alloc(tokens->arena, text.len + 1);
    size_t len = 0, at = 0;
    if (first && text.len) {
        const char *line_end = memchr(text.ptr, '\n', text.len);
        size_t stop = line_end ? (size_t)(line_end - text.ptr) : text.len;
        if (line_end && blank_to_end((Str){ text.ptr, stop }, 0)) {
            size_t cut = indent_at(text, stop + 1);
            at = stop + 1 + (cut < indent ? cut : indent);
        }
    }
    while (at < text.len) {
        char c = text.ptr[at];
        if (c == '\r' && at + 1 < text.len && text.ptr[at + 1] == '\n') {
            at++;
            continue;
        }
        if (c != '\n') {
            out[len++] = text.ptr[at++];
            continue;
        }
        if (last && blank_to_end(text, at + 1))                 /* the line of the closing quotes */
            break;
        size_t cut = indent_at(text, at + 1);
        out[len++] = '\n';
        at += 1 + (cut < indent ? cut : indent);
    }
    return (Str){ out, len };
}

/* Escapes come last, so that \u{20} keeps an indent and \n is no line; their places are found again in the raw text. */
static void part_finish(Tokens *tokens, Token *token, Str text)
{
    token->text = literal_unescape(tokens, text, token->start);
}

void literal_dedent(Tokens *tokens, uint32_t newest)
{
    size_t indent = SIZE_MAX;
    for (uint32_t at = newest; at; at = tokens->items[at - 1].doc)
        indent = part_indent(tokens->items[at - 1].text, indent);
    for (uint32_t at = newest; at;) {
        Token *token = &tokens->items[at - 1];
        uint32_t before = token->doc;
        Str text = part_dedent(tokens, token->text, indent, before == 0, at == newest);
        part_finish(tokens, token, text);
        token->doc = 0;
        at = before;
    }
}

Str literal_percent(Tokens *tokens, const Token *number)
{
    Str text = literal_digits(tokens, number->start, number->end);
    const char *point = memchr(text.ptr, '.', text.len);
    size_t whole = point ? (size_t)(point - text.ptr) : text.len, rest = point ? text.len - whole - 1 : 0;
    char *out = arena_alloc(tokens->arena, whole + rest + 4);
    size_t len = 0;
    if (whole > 2)
        memcpy(out, text.ptr, len = whole - 2);
    else
        out[len++] = '0';
    out[len++] = '.';
    for (size_t i = whole; i < 2; i++)
        out[len++] = '0';
    size_t tail = whole < 2 ? whole : 2;
    memcpy(out + len, text.ptr + whole - tail, tail);
    len += tail;
    if (rest)
        memcpy(out + len, point + 1, rest);
    return (Str){ out, len + rest };
}
