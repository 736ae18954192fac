/* json.h - JSON text, read and written by jansson behind our own limits.
 *
 * Reading: duplicate keys, NaN, NUL in strings, invalid UTF-8, depth above
 * JSON_DEPTH_MAX and size above the caller's cap are refused with a place.
 * Numbers keep their text so that decimals stay exact; an integer outside int64
 * is refused. The tree is plain data in an arena and shares nothing with the
 * source; jansson's types do not leave json.c.
 *
 * Errors: ERR_INVALID for text that is not JSON, ERR_LIMIT for size, depth and
 * numbers out of range. Any value may stand at the top.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

typedef enum { JSON_NULL, JSON_BOOL, JSON_INT, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT } JsonKind;
enum { JSON_DEPTH_MAX = 64 };

typedef struct Json Json;
struct Json {
    JsonKind kind;
    bool boolean;
    int64_t integer;            /* JSON_INT */
    double number;              /* JSON_NUMBER, and JSON_INT as well */
    Str number_text;            /* JSON_INT, JSON_NUMBER: as written; empty in a tree made by hand */
    Str text;                   /* JSON_STRING, UTF-8 */
    size_t count;               /* JSON_ARRAY, JSON_OBJECT */
    Json **items;               /* JSON_ARRAY: values; JSON_OBJECT: values in source order */
    Str *keys;                  /* JSON_OBJECT */
};

Err json_parse(Arena *arena, Str text, size_t size_max, Json **out, Error *error);
/* The same for who points at the mistake: `fault` (filled in when it is not ERR_OK) says of what sort it is, and where it was noticed, in bytes. */
typedef enum { JSON_FAULT_SYNTAX, JSON_FAULT_DUPLICATE, JSON_FAULT_CHARACTER /* an escape for NUL or half a surrogate pair */, JSON_FAULT_NUMBER /* out of range */,
               JSON_FAULT_DEPTH, JSON_FAULT_SIZE } JsonFaultKind;
typedef struct JsonFault { JsonFaultKind kind; size_t offset; } JsonFault;
Err json_parse_located(Arena *arena, Str text, size_t size_max, Json **out, JsonFault *fault, Error *error);
const Json *json_get(const Json *object, const char *key);    /* NULL when absent or not an object */
Str json_get_text(const Json *object, const char *key);       /* empty when absent or not a string */

/* Writing goes straight to a Buf. */
void json_put_string(Buf *out, Str text);                     /* quoted and escaped */
void json_put_double(Buf *out, double value);                 /* shortest round trip, with a point or exponent; NaN and infinity are null */
void json_print(Buf *out, const Json *json);                  /* compact; a JSON_NUMBER prints its number_text when it has one */
#endif
