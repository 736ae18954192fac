/* place.c - where something stands in a plan: as a list of keys up to the root, as a JSON Pointer, as bytes of the text.
 *
 * Places are lists from the value up; a pointer is written only for a diagnostic, so that a plan without mistakes pays for none. From a pointer back to
 * the text and from the text to a pointer there is no tree to ask, and of a text that is no JSON there never was one: both walk over the text once, up to the
 * place. The walk trusts nothing: it stops at the end of the text and at JSON_DEPTH_MAX.
 */
#include "compiler/plan/report.h"

#include "base/json.h"

#include <assert.h>
#include <stdio.h>

const PlanPlace *plan_place_key(Arena *arena, const PlanPlace *up, Str key)
{
    PlanPlace *place = ARENA_NEW(arena, PlanPlace);
    *place = (PlanPlace){ .up = up, .key = { key.ptr ? key.ptr : "", key.len } };
    return place;
}

const PlanPlace *plan_place_item(Arena *arena, const PlanPlace *up, uint32_t index)
{
    PlanPlace *place = ARENA_NEW(arena, PlanPlace);
    *place = (PlanPlace){ .up = up, .index = index };
    return place;
}

static void put_token(Buf *out, const PlanPlace *place)
{
    buf_put_char(out, '/');
    if (!place->key.ptr) {
        buf_printf(out, "%u", place->index);
        return;
    }
    for (size_t i = 0; i < place->key.len; i++) {
        char c = place->key.ptr[i];
        if (c == '~') buf_put_text(out, "~0");
        else if (c == '/') buf_put_text(out, "~1");
        else buf_put_char(out, c);
    }
}

Str plan_place_pointer(Arena *arena, const PlanPlace *place)
{
    const PlanPlace *chain[JSON_DEPTH_MAX + 8];             /* no value of a plan lies deeper: json_parse() has seen to it; a few more for what is missing */
    uint32_t count = 0;
    Buf out = { 0 };
    for (; place; place = place->up) {
        assert(count < sizeof chain / sizeof *chain);
        chain[count++] = place;
    }
    while (count)
        put_token(&out, chain[--count]);
    Str pointer = arena_str(arena, buf_str(&out));
    buf_free(&out);
    return pointer;
}

/* ---- a walk over text that may be broken ----------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_blanks(Str text, size_t at)
{
    while (at < text.len && is_blank(text.ptr[at]))
        at++;
    return at;
}

/* Behind the string that starts at `at`. */
static size_t skip_string(Str text, size_t at)
{
    for (at++; at < text.len && text.ptr[at] != '"'; at++)
        if (text.ptr[at] == '\\')
            at++;
    return at < text.len ? at + 1 : text.len;
}

/* Behind the value that starts at `at`: brackets are counted, not matched. */
static size_t skip_value(Str text, size_t at)
{
    uint32_t depth = 0;
    while (at < text.len) {
        char c = text.ptr[at];
        bool opens = c == '{' || c == '[', closes = c == '}' || c == ']';
        if (!depth && (c == ',' || closes || is_blank(c)))
            return at;
        at = c == '"' ? skip_string(text, at) : at + 1;
        depth += opens;
        depth -= closes;
        if (!depth && (c == '"' || closes))
            return at;
    }
    return at;
}

/* The text between the quotes of a key, escapes resolved. */
static Str key_text(Arena *arena, Str token)
{
    Json *json;
    Str inside = token.len >= 2 ? (Str){ token.ptr + 1, token.len - 2 } : STR("");
    if (!memchr(inside.ptr, '\\', inside.len))
        return inside;
    return json_parse(arena, token, token.len, &json, NULL) == ERR_OK && json->kind == JSON_STRING ? json->text : inside;
}

typedef struct Level { bool is_object, wants_key; Str key; uint32_t index; } Level;

const PlanPlace *plan_place_of_offset(Arena *arena, Str text, size_t offset)
{
    Level levels[JSON_DEPTH_MAX];
    uint32_t depth = 0;
    for (size_t at = 0; at < text.len && at < offset;) {
        char c = text.ptr[at];
        Level *level = depth ? &levels[depth - 1] : NULL;
        if (c == '"') {
            size_t end = skip_string(text, at);
            if (level && level->is_object && level->wants_key) {
                level->key = (Str){ text.ptr + at, end - at };
                level->wants_key = false;
            }
            at = end;
            continue;
        }
        at++;
        if ((c == '{' || c == '[') && depth < JSON_DEPTH_MAX)
            levels[depth++] = (Level){ .is_object = c == '{', .wants_key = c == '{' };
        else if ((c == '}' || c == ']') && depth)
            depth--;
        else if (c == ',' && level) {
            level->index++;
            level->wants_key = level->is_object;
        }
    }
    const PlanPlace *place = NULL;
    for (uint32_t i = 0; i < depth; i++) {
        if (!levels[i].is_object)
            place = plan_place_item(arena, place, levels[i].index);
        else if (levels[i].key.len)
            place = plan_place_key(arena, place, arena_str(arena, key_text(arena, levels[i].key)));
    }
    return place;
}

/* The next token of a pointer, ~0 and ~1 resolved; `pointer` moves behind it. */
static Str next_token(Arena *arena, Str *pointer)
{
    size_t end = 1, len = 0;
    while (end < pointer->len && pointer->ptr[end] != '/')
        end++;
    char *token = arena_alloc(arena, end);
    for (size_t i = 1; i < end; i++) {
        bool escaped = pointer->ptr[i] == '~' && i + 1 < end;
        token[len++] = escaped ? (pointer->ptr[++i] == '1' ? '/' : '~') : pointer->ptr[i];
    }
    *pointer = (Str){ pointer->ptr + end, pointer->len - end };
    return (Str){ token, len };
}

static bool is_index(Str token, uint32_t index)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%u", index);
    return str_eq(token, (Str){ text, (size_t)len });
}

/* The start of the member or item `token` of the container at `at`; false when there is none. */
static bool find_child(Arena *arena, Str text, size_t at, Str token, size_t *start)
{
    bool is_object = at < text.len && text.ptr[at] == '{';
    if (!is_object && (at >= text.len || text.ptr[at] != '['))
        return false;
    at++;
    for (uint32_t index = 0;; index++) {
        bool found;
        at = skip_blanks(text, at);
        if (at >= text.len || text.ptr[at] == '}' || text.ptr[at] == ']')
            return false;
        if (is_object) {
            size_t end = text.ptr[at] == '"' ? skip_string(text, at) : at;
            found = str_eq(key_text(arena, (Str){ text.ptr + at, end - at }), token);
            at = skip_blanks(text, end);
            if (at >= text.len || text.ptr[at] != ':')
                return false;
            at = skip_blanks(text, at + 1);
        } else {
            found = is_index(token, index);
        }
        if (found) {
            *start = at;
            return true;
        }
        at = skip_blanks(text, skip_value(text, at));
        if (at >= text.len || text.ptr[at] != ',')
            return false;
        at++;
    }
}

static uint32_t hex_value(Str text, size_t at)
{
    uint32_t value = 0;
    for (size_t i = at; i < at + 4 && i < text.len; i++) {
        char c = text.ptr[i];
        value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

/* Where byte `offset` of the decoded string is written, whose text begins with the quote at `at`. */
static size_t string_byte(Str text, size_t at, size_t offset)
{
    size_t decoded = 0;
    at++;
    while (at < text.len && text.ptr[at] != '"' && decoded < offset) {
        if (text.ptr[at] != '\\') {
            at++;
            decoded++;
        } else if (at + 1 < text.len && text.ptr[at + 1] == 'u') {
            uint32_t unit = hex_value(text, at + 2);
            bool surrogate = unit >= 0xd800 && unit < 0xe000;
            decoded += unit < 0x80 ? 1 : unit < 0x800 || surrogate ? 2 : 3;        /* a pair is four bytes, two for each half */
            at += 6;
        } else {
            at += 2;
            decoded++;
        }
    }
    return at < text.len ? at : text.len;
}

void plan_place_bytes(Str text, Str pointer, int32_t offset, size_t *start, size_t *end)
{
    Arena *arena = arena_new();
    size_t at = skip_blanks(text, 0);
    bool found = true, whole = !pointer.len;
    while (pointer.len && found) {
        Str token = next_token(arena, &pointer);
        found = find_child(arena, text, at, token, &at);
    }
    *start = at;
    *end = skip_value(text, at);
    if (found && offset >= 0 && at < text.len && text.ptr[at] == '"') {
        *start = string_byte(text, at, (size_t)offset);
        *end = *start < text.len ? *start + 1 : text.len;
    } else if (whole && offset >= 0) {
        *start = (size_t)offset < text.len ? (size_t)offset : text.len;            /* of the text itself: of JSON that is none */
        *end = *start < text.len ? *start + 1 : text.len;
    }
    arena_free(arena);
}
