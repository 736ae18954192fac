/* literal.h - what a literal's text means. Internal to dsl/. Diagnostics go to the Tokens' Diags; the result is always usable. */
#ifndef SYNTAX_LITERAL_H
#define SYNTAX_LITERAL_H
#include "dsl/syntax/token.h"

int64_t literal_int(Tokens *tokens, uint32_t start, uint32_t end);                       /* E0106 outside 64 bits */
Str     literal_digits(Tokens *tokens, uint32_t start, uint32_t end);                    /* without its underscores */
int64_t literal_duration(Tokens *tokens, uint32_t start, uint32_t end);                  /* microseconds; a year is 365 days; E0109 */
void    literal_time(Tokens *tokens, uint32_t start, uint32_t end);                      /* adds T_DATE or T_TIMESTAMP; E0108 */
Str     literal_unescape(Tokens *tokens, Str raw, uint32_t start);                       /* `start`: offset of raw[0]; E0105 */
/* Text tokens of one """…""" string, oldest last in `link` (index + 1 of the one before, kept in Token.doc): takes the common indent away, then the escapes. */
void    literal_dedent(Tokens *tokens, uint32_t newest);
Str     literal_percent(Tokens *tokens, const Token *number);                            /* 20 -> 0.20 */
#endif
