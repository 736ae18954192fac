/* json.c - the only file that sees jansson.
 *
 * jansson reads numbers into int64 and double and forgets their text. Its
 * objects keep their order and duplicates are refused, so a walk over its tree
 * meets the numbers in source order: json_parse() walks the tree and the source
 * side by side and takes each number's text from there.
 *
 * What jansson makes of a text lives no longer than the walk. While it reads, its
 * nodes come from an arena that is let go as a whole: no node is freed alone.
 *
 * Depth is counted on the source before jansson sees it, since its parser
 * recurses, and so does the walk.
 */
#include "base/json.h"

#include "base/float.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Four of jansson's enumerators have the names of ours. */
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY  JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_NULL   JANSSON_NULL
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_NULL

/* jansson has one allocator for the whole process, others read with it too: only in here, and only on this thread, it is the arena. */
static _Thread_local Arena *reading;

static void *node_alloc(size_t size_bytes) { return reading ? arena_take(reading, size_bytes) : malloc(size_bytes); }

static void node_free(void *node)
{
    if (!reading)
        free(node);
}

static __attribute__((constructor)) void nodes_in_arena(void) { json_set_alloc_funcs(node_alloc, node_free); }

typedef struct Walk {
    Arena *arena;
    Str source;
    size_t at;                      /* everything before it has been walked over */
} Walk;

static bool starts_number(char c)
{
    return c == '-' || (c >= '0' && c <= '9');
}

static bool in_number(char c)
{
    return starts_number(c) || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* The index behind the string that starts at `at`, or the end of the source. */
static size_t skip_string(Str source, size_t at)
{
    for (at++; at < source.len && source.ptr[at] != '"'; at++)
        if (source.ptr[at] == '\\')
            at++;
    return at < source.len ? at + 1 : source.len;
}

static Err refuse_at(Str source, size_t at, Err code, const char *why, Error *error)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at; i++) {
        column++;
        if (source.ptr[i] == '\n') {
            line++;
            column = 1;
        }
    }
    return err_set(error, code, "cannot read JSON, line %zu column %zu: %s", line, column, why);
}

/* What jansson lets pass: deep nesting, and a NUL behind the value. */
static Err source_check(Str source, JsonFault *fault, Error *error)
{
    int depth = 0;
    const char *nul = source.len ? memchr(source.ptr, 0, source.len) : NULL;
    if (nul) {
        *fault = (JsonFault){ JSON_FAULT_SYNTAX, (size_t)(nul - source.ptr) };
        return refuse_at(source, (size_t)(nul - source.ptr), ERR_INVALID, "a NUL character", error);
    }
    for (size_t at = 0; at < source.len;) {
        char c = source.ptr[at];
        if (c == '"') {
            at = skip_string(source, at);
            continue;
        }
        if (c == ']' || c == '}')
            depth--;
        else if ((c == '[' || c == '{') && ++depth > JSON_DEPTH_MAX) {
            char why[64];
            *fault = (JsonFault){ JSON_FAULT_DEPTH, at };
            snprintf(why, sizeof why, "nested deeper than %d", JSON_DEPTH_MAX);
            return refuse_at(source, at, ERR_LIMIT, why, error);
        }
        at++;
    }
    return ERR_OK;
}

/* The text of the next number in the source: only strings can hide one, as jansson has accepted the rest. */
static Str next_number(Walk *walk)
{
    Str source = walk->source;
    while (walk->at < source.len && !starts_number(source.ptr[walk->at]))
        walk->at = source.ptr[walk->at] == '"' ? skip_string(source, walk->at) : walk->at + 1;
    size_t start = walk->at;
    while (walk->at < source.len && in_number(source.ptr[walk->at]))
        walk->at++;
    return arena_str(walk->arena, (Str){ source.ptr + start, walk->at - start });
}

static Json *build(Walk *walk, const json_t *from);

static void build_array(Walk *walk, const json_t *from, Json *json)
{
    json->kind = JSON_ARRAY;
    json->count = json_array_size(from);
    json->items = ARENA_ARRAY(walk->arena, Json *, json->count);
    for (size_t i = 0; i < json->count; i++)
        json->items[i] = build(walk, json_array_get(from, i));
}

static void build_object(Walk *walk, json_t *from, Json *json)
{
    size_t i = 0;
    json->kind = JSON_OBJECT;
    json->count = json_object_size(from);
    json->items = ARENA_ARRAY(walk->arena, Json *, json->count);
    json->keys = ARENA_ARRAY(walk->arena, Str, json->count);
    for (void *at = json_object_iter(from); at; at = json_object_iter_next(from, at), i++) {
        const char *key = json_object_iter_key(at);
        json->keys[i] = arena_str(walk->arena, str_of(key));    /* jansson refuses NUL in a key */
        json->items[i] = build(walk, json_object_iter_value(at));
    }
}

static Json *build(Walk *walk, const json_t *from)
{
    Json *json = ARENA_NEW(walk->arena, Json);
    switch (json_typeof(from)) {
    case JANSSON_OBJECT:
        build_object(walk, (json_t *)from, json);           /* its iterator takes no const, and changes nothing */
        break;
    case JANSSON_ARRAY:
        build_array(walk, from, json);
        break;
    case JANSSON_STRING:
        json->kind = JSON_STRING;
        json->text = arena_str(walk->arena, (Str){ json_string_value(from), json_string_length(from) });
        break;
    case JSON_INTEGER:
        json->kind = JSON_INT;
        json->integer = json_integer_value(from);
        json->number = (double)json->integer;
        json->number_text = next_number(walk);
        break;
    case JSON_REAL:
        json->kind = JSON_NUMBER;
        json->number = json_real_value(from);
        json->number_text = next_number(walk);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        json->kind = JSON_BOOL;
        json->boolean = json_typeof(from) == JSON_TRUE;
        break;
    case JANSSON_NULL:
        json->kind = JSON_NULL;
        break;
    }
    return json;
}

static Err syntax_error(const json_error_t *why, JsonFault *fault, Error *error)
{
    const char *text = why->text;
    Err code = ERR_INVALID;
    *fault = (JsonFault){ JSON_FAULT_SYNTAX, why->position > 0 ? (size_t)why->position : 0 };
    switch (json_error_code(why)) {
    case json_error_invalid_utf8:              text = "bytes that are not UTF-8"; break;
    case json_error_null_character:
    case json_error_null_byte_in_key:
        text = "a NUL character in a string";
        fault->kind = JSON_FAULT_CHARACTER;
        break;
    case json_error_duplicate_key:             fault->kind = JSON_FAULT_DUPLICATE; break;
    case json_error_end_of_input_expected:     text = "more text behind the value"; break;
    case json_error_premature_end_of_input:    text = "the text ends before the value does"; break;
    case json_error_numeric_overflow:
        text = "number out of range; integers have 64 bits";
        code = ERR_LIMIT;
        fault->kind = JSON_FAULT_NUMBER;
        break;
    default:
        if (!strncmp(text, "invalid Unicode", 15))          /* jansson has no code of its own for it */
            fault->kind = JSON_FAULT_CHARACTER;
        break;
    }
    return err_set(error, code, "cannot read JSON, line %d column %d: %s", why->line, why->column, text);
}

Err json_parse_located(Arena *arena, Str text, size_t size_max, Json **out, JsonFault *fault, Error *error)
{
    json_error_t why;

    if (text.len > size_max) {
        *fault = (JsonFault){ JSON_FAULT_SIZE, size_max };
        return err_set(error, ERR_LIMIT, "cannot read JSON of %zu bytes: the limit is %zu", text.len, size_max);
    }
    Err err = source_check(text, fault, error);
    if (err)
        return err;
    Arena *nodes = reading = arena_new();
    json_t *tree = json_loadb(text.len ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    reading = NULL;
    Walk walk = { .arena = arena, .source = text };
    if (tree)
        *out = build(&walk, tree);
    else
        err = syntax_error(&why, fault, error);
    arena_free(nodes);
    return err;
}

Err json_parse(Arena *arena, Str text, size_t size_max, Json **out, Error *error)
{
    JsonFault fault;
    return json_parse_located(arena, text, size_max, out, &fault, error);
}

const Json *json_get(const Json *object, const char *key)
{
    if (!object || object->kind != JSON_OBJECT)
        return NULL;
    for (size_t i = 0; i < object->count; i++)
        if (str_is(object->keys[i], key))
            return object->items[i];
    return NULL;
}

Str json_get_text(const Json *object, const char *key)
{
    const Json *value = json_get(object, key);
    return value && value->kind == JSON_STRING ? value->text : (Str){ "", 0 };
}

static void put_escape(Buf *out, char c)
{
    switch (c) {
    case '"':  buf_put_text(out, "\\\""); break;
    case '\\': buf_put_text(out, "\\\\"); break;
    case '\b': buf_put_text(out, "\\b"); break;
    case '\f': buf_put_text(out, "\\f"); break;
    case '\n': buf_put_text(out, "\\n"); break;
    case '\r': buf_put_text(out, "\\r"); break;
    case '\t': buf_put_text(out, "\\t"); break;
    default:   buf_printf(out, "\\u%04x", (unsigned char)c); break;
    }
}

void json_put_string(Buf *out, Str text)
{
    size_t plain = 0;                                       /* start of what needs no escape */
    buf_put_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_put(out, text.ptr + plain, i - plain);
        put_escape(out, text.ptr[i]);
        plain = i + 1;
    }
    if (plain < text.len)
        buf_put(out, text.ptr + plain, text.len - plain);
    buf_put_char(out, '"');
}

void json_put_double(Buf *out, double value)
{
    char text[FLOAT_TEXT_MAX];
    if (!isfinite(value)) {
        buf_put_text(out, "null");
        return;
    }
    float_print(value, text);
    buf_put_text(out, text);
    if (!strpbrk(text, ".e"))                               /* or it would be read back as an integer */
        buf_put_text(out, ".0");
}

void json_print(Buf *out, const Json *json)
{
    switch (json->kind) {
    case JSON_NULL:
        buf_put_text(out, "null");
        break;
    case JSON_BOOL:
        buf_put_text(out, json->boolean ? "true" : "false");
        break;
    case JSON_INT:
        buf_printf(out, "%lld", (long long)json->integer);
        break;
    case JSON_NUMBER:
        if (json->number_text.len)
            buf_put_str(out, json->number_text);
        else
            json_put_double(out, json->number);
        break;
    case JSON_STRING:
        json_put_string(out, json->text);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        buf_put_char(out, json->kind == JSON_ARRAY ? '[' : '{');
        for (size_t i = 0; i < json->count; i++) {
            if (i)
                buf_put_char(out, ',');
            if (json->kind == JSON_OBJECT) {
                json_put_string(out, json->keys[i]);
                buf_put_char(out, ':');
            }
            json_print(out, json->items[i]);
        }
        buf_put_char(out, json->kind == JSON_ARRAY ? ']' : '}');
        break;
    }
}
