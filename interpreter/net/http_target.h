/* http_target.h - the target of a request, "/path?query", taken apart: strict, so that two readers of one URL cannot disagree. */
#ifndef NET_HTTP_TARGET_H
#define NET_HTTP_TARGET_H
#include "base/str.h"

enum { HTTP_QUERY_COUNT_MAX = 100 };

/* NULL, or what is wrong with it: not "/…", characters that must be encoded, %XX that is none, encoded slashes, backslashes or control characters,
 * dot segments (encoded or not), empty segments, text that is not UTF-8, more than HTTP_QUERY_COUNT_MAX parameters. */
const char *http_target_check(Str target);

/* For a target that passed the check. Each writes at most its input's length and returns what it wrote. */
Str    http_target_path(Str target, char *out);          /* decoded */
Str    http_target_query(Str target);                    /* as sent, without the `?` */
size_t http_query_count(Str query);
/* Takes the next name and value off the front of *query, decoded, `+` as a space; false at its end. `out` has room for what was taken. */
bool   http_query_next(Str *query, char *out, Str *name, Str *value);
#endif
