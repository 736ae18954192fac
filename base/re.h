/* re.h - PCRE2 behind limits (match 100,000, depth 1,000, heap 1,024 KiB): a pattern either answers or says that it hit one. */
#ifndef BASE_RE_H
#define BASE_RE_H
#include "base/err.h"
#include "base/str.h"

typedef struct Re Re;
enum {
    RE_PATTERN_MAX = 4096,                                     /* bytes */
    RE_SUBJECT_MAX = 1 << 20,                                  /* bytes: PCRE2 counts its match limit anew at every start */
    RE_MATCH_LIMIT = 100000, RE_DEPTH_LIMIT = 1000, RE_HEAP_KIB = 1024
};

/* `flags`: letters of i m s x. ERR_INVALID carries PCRE2's message and `*offset` (may be NULL) its place. Callouts and (*VERBS) are refused, and so are their openings `(*` and `(?C` in a class: write `\(` there. */
Err  re_compile(Str pattern, Str flags, Re **out, size_t *offset, Error *error);
void re_free(Re *re);
/* *matched says whether it matches anywhere. `groups` (may be NULL) gets the whole match and up to group_max-1 groups, borrowed. ERR_LIMIT when a limit stopped it. */
Err  re_match(const Re *re, Str subject, bool *matched, Str *groups, int group_max, Error *error);
#endif
