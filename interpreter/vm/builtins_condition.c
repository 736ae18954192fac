/* builtins_condition.c - the numbers and strings of a plan's conditions, with JavaScript's meaning.
 *
 * Numbers are doubles and nothing raises. Positions and lengths of strings are UTF-16 units, which JavaScript counts; a string here is UTF-8 and has no halves of
 * characters, so slice() raises `invalid` where JavaScript would give one. Upper and lower case raise for the characters whose mapping depends on what
 * stands around them, is longer than a character (but ß), or may be given one by a later version of Unicode.
 */
#include "interpreter/vm/builtins_condition.h"

#include <math.h>
#include <stdio.h>
#include <utf8proc.h>
#include "base/float.h"

enum { BYTES_PER_FUEL = 16 };

static Str text_of(const Call *call, int arg) { return value_str(call->args[arg]); }
static double number_of(const Call *call, int arg) { return call->args[arg].f; }
static bool charge_texts(Call *call, int count)
{
    uint64_t bytes = 0;
    for (int i = 0; i < count; i++) bytes += text_of(call, i).len;
    return vm_charge(call->run, bytes / BYTES_PER_FUEL);
}

/* ---- numbers ---- */

bool builtin_JS_DIV(Call *call) { return give_float(call, number_of(call, 0) / number_of(call, 1)); }
bool builtin_JS_REST(Call *call) { return give_float(call, fmod(number_of(call, 0), number_of(call, 1))); }
bool builtin_JS_FLOOR(Call *call) { return give_float(call, floor(number_of(call, 0))); }
bool builtin_JS_CEIL(Call *call) { return give_float(call, ceil(number_of(call, 0))); }

/* To the nearest, a half up; what comes out of a negative number is not above -0. */
bool builtin_JS_ROUND(Call *call)
{
    double x = number_of(call, 0), below = floor(x);
    return give_float(call, isfinite(x) ? copysign(x - below >= 0.5 ? below + 1 : below, x) : x);
}

static double less_of(double a, double b)
{
    if (isnan(a) || isnan(b)) return NAN;
    if (a == b) return signbit(a) ? a : b;
    return a < b ? a : b;
}

bool builtin_JS_MIN(Call *call) { return give_float(call, less_of(number_of(call, 0), number_of(call, 1))); }
bool builtin_JS_MAX(Call *call) { return give_float(call, -less_of(-number_of(call, 0), -number_of(call, 1))); }

/* ECMAScript's Number::toString: the shortest digits; plain from 1e-6 up to below 1e21. */
size_t js_number_text(double value, char text[JS_NUMBER_MAX])
{
    char shortest[FLOAT_TEXT_MAX], digits[FLOAT_TEXT_MAX];
    if (isnan(value)) return (size_t)snprintf(text, JS_NUMBER_MAX, "NaN");
    if (isinf(value)) return (size_t)snprintf(text, JS_NUMBER_MAX, value < 0 ? "-Infinity" : "Infinity");
    if (value == 0) return (size_t)snprintf(text, JS_NUMBER_MAX, "0");
    size_t len = float_print(fabs(value), shortest);
    int count = 0, point = -1, exponent = 0;
    for (size_t i = 0; i < len && shortest[i] != 'e'; i++)
        if (shortest[i] == '.') point = count;
        else digits[count++] = shortest[i];
    char *e = memchr(shortest, 'e', len);
    if (e) exponent = atoi(e + 1);
    int n = (point < 0 ? count : point) + exponent, first = 0;                  /* value = 0.digits * 10^n */
    for (; first < count - 1 && digits[first] == '0'; first++) n--;
    for (; count > first + 1 && digits[count - 1] == '0'; count--) {}
    const char *d = digits + first, *minus = value < 0 ? "-" : "";
    int k = count - first;
    if (n > 21 || n < -5) return (size_t)snprintf(text, JS_NUMBER_MAX, "%s%c%s%.*se%+d", minus, d[0], k > 1 ? "." : "", k - 1, d + 1, n - 1);
    if (n <= 0) return (size_t)snprintf(text, JS_NUMBER_MAX, "%s0.%.*s%.*s", minus, -n, "00000", k, d);
    if (n >= k) return (size_t)snprintf(text, JS_NUMBER_MAX, "%s%.*s%.*s", minus, k, d, n - k, "000000000000000000000");
    return (size_t)snprintf(text, JS_NUMBER_MAX, "%s%.*s.%.*s", minus, n, d, k - n, d + n);
}

bool builtin_JS_TEXT(Call *call)
{
    char text[JS_NUMBER_MAX];
    size_t len = js_number_text(number_of(call, 0), text);
    return give(call, value_string((Str){ text, len }));
}

/* ---- UTF-16 ---- */

static size_t char_size(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

uint64_t js_length(Str text)
{
    uint64_t units = 0;
    for (size_t at = 0; at < text.len; at++) {
        unsigned char c = (unsigned char)text.ptr[at];
        units += ((c & 0xC0) != 0x80) + (c >= 0xF0);
    }
    return units;
}

/* Byte of unit `unit`, at most the length; *middle: it is the second half of a character, whose end is given. */
static size_t byte_of(Str text, uint64_t unit, bool *middle)
{
    size_t at = 0;
    *middle = false;
    while (unit > 0 && at < text.len) {
        size_t size = char_size((unsigned char)text.ptr[at]);
        at += size;
        if (size == 4 && unit == 1) {
            *middle = true;
            break;
        }
        unit -= size == 4 ? 2 : 1;
    }
    return at;
}

/* What JavaScript makes of a position: whole, not below 0, not above the length. */
static uint64_t clamp(double position, uint64_t length)
{
    if (!(position >= 1)) return 0;
    return position >= (double)length ? length : (uint64_t)position;
}

bool builtin_JS_LENGTH(Call *call) { return charge_texts(call, 1) && give_float(call, (double)js_length(text_of(call, 0))); }

/* By units: a character above U+FFFF comes before U+E000 … U+FFFF. */
int js_compare(Str a, Str b)
{
    size_t common = a.len < b.len ? a.len : b.len, at = 0;
    while (at < common && a.ptr[at] == b.ptr[at]) at++;
    if (at == common) return a.len < b.len ? -1 : a.len > b.len;
    unsigned char left = (unsigned char)a.ptr[at], right = (unsigned char)b.ptr[at];
    if ((left >= 0xF0) != (right >= 0xF0)) {
        if (left >= 0xEE && right >= 0xEE) return left >= 0xF0 ? -1 : 1;
    }
    return left < right ? -1 : 1;
}

bool builtin_JS_LESS(Call *call) { return charge_texts(call, 2) && give_int(call, js_compare(text_of(call, 0), text_of(call, 1)) < 0); }

bool builtin_JS_INDEX_OF(Call *call)
{
    Str text = text_of(call, 0), part = text_of(call, 1);
    if (!charge_texts(call, 2)) return false;
    bool middle;
    uint64_t from = clamp(number_of(call, 2), js_length(text));
    if (!part.len) return give_float(call, (double)from);
    size_t start = byte_of(text, from, &middle);
    const char *at = memmem(text.ptr + start, text.len - start, part.ptr, part.len);
    return give_float(call, at ? (double)js_length((Str){ text.ptr, (size_t)(at - text.ptr) }) : -1);
}

bool builtin_JS_STARTS(Call *call)
{
    Str text = text_of(call, 0), part = text_of(call, 1);
    if (!charge_texts(call, 2)) return false;
    bool middle;
    size_t start = byte_of(text, clamp(number_of(call, 2), js_length(text)), &middle);
    return give_int(call, !part.len || (!middle && str_starts((Str){ text.ptr + start, text.len - start }, part)));
}

bool builtin_JS_ENDS(Call *call)
{
    Str text = text_of(call, 0), part = text_of(call, 1);
    if (!charge_texts(call, 2)) return false;
    bool middle;
    size_t end = byte_of(text, clamp(number_of(call, 2), js_length(text)), &middle);
    return give_int(call, !part.len || (!middle && str_ends((Str){ text.ptr, end }, part)));
}

static uint64_t from_either_end(double position, uint64_t length)
{
    if (position <= -1) {
        double back = -position;
        return back >= (double)length ? 0 : length - (uint64_t)back;
    }
    return clamp(position, length);
}

bool builtin_JS_SLICE(Call *call)
{
    Str text = text_of(call, 0);
    if (!charge_texts(call, 1)) return false;
    uint64_t length = js_length(text), from = from_either_end(number_of(call, 1), length), to = from_either_end(number_of(call, 2), length);
    if (from >= to) return give(call, value_string(STR("")));
    bool cuts_first, cuts_last;
    size_t start = byte_of(text, from, &cuts_first), end = byte_of(text, to, &cuts_last);
    if (cuts_first || cuts_last) return vm_fail(call->run, ERROR_KIND_invalid, "slice(%llu, %llu) cuts a character in two", (unsigned long long)from, (unsigned long long)to);
    return give(call, value_string((Str){ text.ptr + start, end - start }));
}

static bool is_space(utf8proc_int32_t c)
{
    return (c >= 9 && c <= 13) || c == 32 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F
        || c == 0x3000 || c == 0xFEFF;
}

static size_t decode(Str text, size_t at, utf8proc_int32_t *c)
{
    utf8proc_ssize_t size = utf8proc_iterate((const utf8proc_uint8_t *)text.ptr + at, (utf8proc_ssize_t)(text.len - at), c);
    return size > 0 ? (size_t)size : 1;                             /* strings are UTF-8 */
}

bool builtin_JS_TRIM(Call *call)
{
    Str text = text_of(call, 0);
    utf8proc_int32_t c = 0;
    size_t start = 0, end = text.len;
    if (!charge_texts(call, 1)) return false;
    for (size_t size; start < end && (size = decode(text, start, &c), is_space(c)); start += size) {}
    while (end > start) {
        size_t last = end - 1;
        while (last > start && (text.ptr[last] & 0xC0) == 0x80) last--;
        decode(text, last, &c);
        if (!is_space(c)) break;
        end = last;
    }
    return give(call, value_string((Str){ text.ptr + start, end - start }));
}

/* ---- case ---- */

typedef struct CharRange { utf8proc_int32_t first, last; } CharRange;
/* SpecialCasing.txt: more than one character, or by context. */
static const CharRange special_upper[] = { { 0x149, 0x149 }, { 0x1F0, 0x1F0 }, { 0x390, 0x390 }, { 0x3B0, 0x3B0 }, { 0x587, 0x587 }, { 0x1E96, 0x1E9A }, { 0x1F50, 0x1F56 },
                                           { 0x1F80, 0x1FFC }, { 0xFB00, 0xFB17 } };
static const CharRange special_lower[] = { { 0x130, 0x130 }, { 0x3A3, 0x3A3 } };

static bool in_ranges(const CharRange *ranges, size_t count, utf8proc_int32_t c)
{
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i].first && c <= ranges[i].last) return true;
    return false;
}

/* The one character it becomes; -1 when that is not for sure. */
static utf8proc_int32_t map_char(utf8proc_int32_t c, bool upper)
{
    if (upper ? in_ranges(special_upper, sizeof special_upper / sizeof *special_upper, c) : in_ranges(special_lower, sizeof special_lower / sizeof *special_lower, c)) return -1;
    utf8proc_int32_t mapped = upper ? utf8proc_toupper(c) : utf8proc_tolower(c);
    utf8proc_category_t category = utf8proc_category(c);
    if (category == UTF8PROC_CATEGORY_CN) return -1;
    return mapped == c && category == (upper ? UTF8PROC_CATEGORY_LL : UTF8PROC_CATEGORY_LU) ? -1 : mapped;
}

static bool map_case(Call *call, bool upper)
{
    Str text = text_of(call, 0);
    Buf out = { 0 };
    if (!charge_texts(call, 1)) return false;
    for (size_t at = 0; at < text.len;) {
        utf8proc_int32_t c;
        utf8proc_uint8_t bytes[4];
        at += decode(text, at, &c);
        if (upper && c == 0xDF) {                                   /* ß */
            buf_put_text(&out, "SS");
            continue;
        }
        utf8proc_int32_t mapped = map_char(c, upper);
        if (mapped < 0) {
            buf_free(&out);
            return vm_fail(call->run, ERROR_KIND_invalid, "%s has no sure answer for U+%04X", upper ? "toUpperCase()" : "toLowerCase()", (unsigned)c);
        }
        buf_put(&out, bytes, (size_t)utf8proc_encode_char(mapped, bytes));
    }
    return give_text(call, &out);
}

bool builtin_JS_LOWER(Call *call) { return map_case(call, false); }
bool builtin_JS_UPPER(Call *call) { return map_case(call, true); }
