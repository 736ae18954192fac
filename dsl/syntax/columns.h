/* columns.h - how wide text stands on a screen: the measure of the formatter's margin and of a diagnostic's carets.
 *
 * A code point takes 0 columns (combining marks, joiners), 2 (East Asian wide, emoji) or 1. Bytes that are not UTF-8 and
 * control characters count as one column each: that is how they are shown, as U+FFFD.
 */
#ifndef SYNTAX_COLUMNS_H
#define SYNTAX_COLUMNS_H
#include "base/str.h"

enum { CODEPOINT_REPLACEMENT = 0xfffd };

/* The code point at *at, which moves behind it. A byte that starts none gives CODEPOINT_REPLACEMENT and moves by one. */
uint32_t codepoint_next(Str text, size_t *at);
int      codepoint_columns(uint32_t codepoint);
size_t   columns_of(Str text);
/* Shows something else than it is, or nothing: controls but line end and tab, what turns the direction of a line or ends it, blanks without a width, tags,
   noncharacters. Joiners of scripts and emoji, and marks of direction that turn nothing, are not among them. */
bool     codepoint_deceives(uint32_t codepoint);
#endif
