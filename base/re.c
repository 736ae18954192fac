/* re.c - the only file that sees PCRE2.
 *
 * Matching runs on the JIT where there is one. The JIT knows neither the depth
 * nor the heap limit but works on a small fixed stack; when that is used up the
 * interpreter repeats the match under the full limits, so the answer does not
 * depend on which of the two was fast enough.
 *
 * A Re may be shared between threads: the compiled code is read only, all
 * working memory belongs to one call of re_match().
 */
#include "base/re.h"

#include "base/arena.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

struct Re {
    pcre2_code *code;
    pcre2_match_context *limits;
};

static bool flags_to_options(Str flags, uint32_t *options)
{
    for (size_t i = 0; i < flags.len; i++) {
        switch (flags.ptr[i]) {
        case 'i': *options |= PCRE2_CASELESS; break;
        case 'm': *options |= PCRE2_MULTILINE; break;
        case 's': *options |= PCRE2_DOTALL; break;
        case 'x': *options |= PCRE2_EXTENDED; break;
        default: return false;
        }
    }
    return true;
}

/* Where `(*` or `(?C` stands behind no backslash. Classes and comments are not
 * understood on purpose: a scanner that follows them can be led astray, this one cannot. */
static bool find_refused(Str pattern, size_t *offset)
{
    bool escaped = false;
    for (size_t i = 0; i + 1 < pattern.len; i++) {
        const char *at = pattern.ptr + i;
        bool callout = i + 2 < pattern.len && at[1] == '?' && at[2] == 'C';
        if (!escaped && at[0] == '(' && (at[1] == '*' || callout)) {
            *offset = i;
            return true;
        }
        escaped = !escaped && at[0] == '\\';
    }
    return false;
}

/* Out of memory while compiling or matching ends the process, as everywhere. */
static void *need(void *ptr)
{
    if (!ptr)
        abort();
    return ptr;
}

static pcre2_match_context *limits_new(void)
{
    pcre2_match_context *limits = need(pcre2_match_context_create(NULL));
    pcre2_set_match_limit(limits, RE_MATCH_LIMIT);
    pcre2_set_depth_limit(limits, RE_DEPTH_LIMIT);
    pcre2_set_heap_limit(limits, RE_HEAP_KIB);
    return limits;
}

Err re_compile(Str pattern, Str flags, Re **out, size_t *offset, Error *error)
{
    size_t unused, *place = offset ? offset : &unused;
    uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C;
    int code_error = 0;
    PCRE2_SIZE code_offset = 0;

    *place = 0;
    if (!flags_to_options(flags, &options))
        return err_set(error, ERR_INVALID, "unknown flag in `%.*s`; expected letters of i m s x", STR_ARG(flags));
    if (pattern.len > RE_PATTERN_MAX)
        return err_set(error, ERR_LIMIT, "pattern of %zu bytes is longer than %d", pattern.len, RE_PATTERN_MAX);
    if (find_refused(pattern, place))
        return err_set(error, ERR_INVALID, "verbs `(*` and callouts `(?C` are not supported in a pattern; write `\\(` for the character");

    pcre2_compile_context *context = need(pcre2_compile_context_create(NULL));
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_bsr(context, PCRE2_BSR_UNICODE);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)(pattern.len ? pattern.ptr : ""), pattern.len, options,
                                     &code_error, &code_offset, context);
    pcre2_compile_context_free(context);
    if (!code) {
        char text[256];
        pcre2_get_error_message(code_error, (PCRE2_UCHAR *)text, sizeof text);
        *place = code_offset;
        return err_set(error, ERR_INVALID, "%s at offset %zu", text, (size_t)code_offset);
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);            /* without a JIT pcre2_match() interprets */

    Re *re = mem_alloc(sizeof *re);
    re->code = code;
    re->limits = limits_new();
    *out = re;
    return ERR_OK;
}

void re_free(Re *re)
{
    if (!re)
        return;
    pcre2_code_free(re->code);
    pcre2_match_context_free(re->limits);
    free(re);
}

static Err match_error(int code, Error *error)
{
    char text[256];
    switch (code) {
    case PCRE2_ERROR_MATCHLIMIT:
        return err_set(error, ERR_LIMIT, "pattern needs more than %d match steps (match limit)", RE_MATCH_LIMIT);
    case PCRE2_ERROR_DEPTHLIMIT:
        return err_set(error, ERR_LIMIT, "pattern nests deeper than %d while matching (depth limit)", RE_DEPTH_LIMIT);
    case PCRE2_ERROR_HEAPLIMIT:
        return err_set(error, ERR_LIMIT, "pattern needs more than %d KiB while matching (heap limit)", RE_HEAP_KIB);
    case PCRE2_ERROR_NOMEMORY:
        abort();
    default:                                                /* text that is not UTF-8, or a recursion loop */
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        return err_set(error, ERR_INVALID, "cannot match the text: %s", text);
    }
}

static void copy_groups(Str subject, pcre2_match_data *data, int found, Str *groups, int group_max)
{
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(data);
    for (int i = 0; i < group_max; i++) {
        bool set = i < found && ends[2 * i] != PCRE2_UNSET && ends[2 * i] <= ends[2 * i + 1];
        groups[i] = set ? (Str){ subject.ptr + ends[2 * i], ends[2 * i + 1] - ends[2 * i] } : (Str){ "", 0 };
    }
}

Err re_match(const Re *re, Str subject, bool *matched, Str *groups, int group_max, Error *error)
{
    if (subject.len > RE_SUBJECT_MAX)
        return err_set(error, ERR_LIMIT, "text of %zu bytes is too long to match; the limit is %d", subject.len, RE_SUBJECT_MAX);
    if (subject.len == 0)
        subject.ptr = "";

    pcre2_match_data *data = need(pcre2_match_data_create_from_pattern(re->code, NULL));
    PCRE2_SPTR text = (PCRE2_SPTR)subject.ptr;
    int found = pcre2_match(re->code, text, subject.len, 0, 0, data, re->limits);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
        found = pcre2_match(re->code, text, subject.len, 0, PCRE2_NO_JIT, data, re->limits);

    Err err = ERR_OK;
    if (found < 0 && found != PCRE2_ERROR_NOMATCH) {
        err = match_error(found, error);
    } else {
        *matched = found > 0;
        if (groups)
            copy_groups(subject, data, found, groups, group_max);
    }
    pcre2_match_data_free(data);
    return err;
}
