/* str.h - a borrowed run of bytes: pointer and length, never owned, never NUL-terminated by promise. */
#ifndef BASE_STR_H
#define BASE_STR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct Str {
    const char *ptr;
    size_t len;
} Str;

#define STR(literal) ((Str){ ("" literal), sizeof(literal) - 1 })
#define STR_ARG(s)   (int)(s).len, (s).ptr          /* for "%.*s" */

static inline Str str_of(const char *text) { return (Str){ text, text ? strlen(text) : 0 }; }
static inline bool str_eq(Str a, Str b) { return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0); }
static inline bool str_is(Str a, const char *text) { return str_eq(a, str_of(text)); }
int str_cmp(Str a, Str b);                           /* bytewise order */
bool str_starts(Str a, Str prefix);
bool str_ends(Str a, Str suffix);

/* Damerau-Levenshtein distance, bytes, at most `limit`+1 is returned. Both at most 64 bytes long; longer ones are "far". */
int str_distance(Str a, Str b, int limit);

/* The candidate nearest to `wrong`, or an empty Str when none is near enough to suggest ("did you mean"). */
Str str_nearest(Str wrong, const Str *candidates, size_t count);

/* Number of code points in valid UTF-8; utf8_valid says whether it is. */
size_t utf8_length(Str s);
bool utf8_valid(Str s);
#endif
