/* http_target.c - what characters may stand where is a table; what they decode to is checked again, because that is what a router compares. */
#include "interpreter/net/http_target.h"

enum { IN_PATH = 1, IN_QUERY = 2 };

/* RFC 3986's pchar and "/" in the path. In the query also what browsers leave as it is. */
static uint8_t char_class(unsigned char c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return IN_PATH | IN_QUERY;
    if (c > 0x20 && c < 0x7F && strchr("-._~!$&'()*+,;=:@/%", c)) return IN_PATH | IN_QUERY;
    if (c > 0x20 && c < 0x7F && c != '#' && c != '"' && c != '<' && c != '>') return IN_QUERY;
    return 0;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* The character at *at, which moves behind it; -1: a `%` without two digits. */
static int take_char(Str text, size_t *at) {
    unsigned char c = (unsigned char)text.ptr[(*at)++];
    if (c != '%') return c;
    if (text.len - *at < 2) return -1;
    int high = hex_digit(text.ptr[*at]), low = hex_digit(text.ptr[*at + 1]);
    *at += 2;
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static Str path_of(Str target) {
    const char *mark = memchr(target.ptr, '?', target.len);
    return (Str){ target.ptr, mark ? (size_t)(mark - target.ptr) : target.len };
}

Str http_target_query(Str target) {
    size_t path = path_of(target).len;
    return path == target.len ? (Str){ "", 0 } : (Str){ target.ptr + path + 1, target.len - path - 1 };
}

/* What is decoded is at most HTTP_REQUEST_LINE_MAX long, but UTF-8 is checked as it comes: no copy, only the bytes a character still wants. */
typedef struct Utf8Check { uint8_t wanted, low, high; } Utf8Check;

static bool utf8_step(Utf8Check *u, unsigned char c) {
    if (u->wanted) {
        if (c < u->low || c > u->high) return false;
        *u = (Utf8Check){ (uint8_t)(u->wanted - 1), 0x80, 0xBF };
        return true;
    }
    if (c < 0x80) return true;
    if (c >= 0xC2 && c <= 0xDF) *u = (Utf8Check){ 1, 0x80, 0xBF };
    else if (c >= 0xE0 && c <= 0xEF) *u = (Utf8Check){ 2, c == 0xE0 ? 0xA0 : 0x80, c == 0xED ? 0x9F : 0xBF };
    else if (c >= 0xF0 && c <= 0xF4) *u = (Utf8Check){ 3, c == 0xF0 ? 0x90 : 0x80, c == 0xF4 ? 0x8F : 0xBF };
    else return false;
    return true;
}

static const char *segment_fault(size_t len, size_t dots, bool last) {
    if (len == 0 && !last) return "the path has an empty segment";
    if (len == dots && (dots == 1 || dots == 2)) return "the path has a dot segment";
    return NULL;
}

static const char *check_path(Str path) {
    if (!path.len || path.ptr[0] != '/') return "the target does not begin with `/`";
    Utf8Check utf8 = { 0 };
    size_t len = 0, dots = 0;
    const char *fault;
    for (size_t i = 1; i < path.len;) {
        if (!(char_class((unsigned char)path.ptr[i]) & IN_PATH)) return "the path holds a character that must be percent-encoded";
        bool encoded = path.ptr[i] == '%';
        int c = take_char(path, &i);
        if (c < 0) return "the target has a `%` without two hexadecimal digits";
        if (c < 0x20 || c == 0x7F) return "the path has an encoded control character";
        if (encoded && (c == '/' || c == '\\')) return "the path has an encoded slash";
        if (!utf8_step(&utf8, (unsigned char)c)) return "the path is not valid UTF-8";
        if (c == '/') {
            if ((fault = segment_fault(len, dots, false))) return fault;
            len = dots = 0;
        } else len++, dots += c == '.';
    }
    return utf8.wanted ? "the path is not valid UTF-8" : segment_fault(len, dots, true);
}

static const char *check_query(Str query) {
    Utf8Check utf8 = { 0 };
    for (size_t i = 0; i < query.len;) {
        if (!(char_class((unsigned char)query.ptr[i]) & IN_QUERY)) return "the query holds a character that must be percent-encoded";
        int c = take_char(query, &i);
        if (c < 0) return "the target has a `%` without two hexadecimal digits";
        if (c == 0) return "the query has an encoded NUL";
        if (!utf8_step(&utf8, (unsigned char)c)) return "the query is not valid UTF-8";
    }
    if (utf8.wanted) return "the query is not valid UTF-8";
    return http_query_count(query) > HTTP_QUERY_COUNT_MAX ? "the query has more than HTTP_QUERY_COUNT_MAX (100) parameters" : NULL;
}

const char *http_target_check(Str target) {
    const char *fault = check_path(path_of(target));
    return fault ? fault : check_query(http_target_query(target));
}

Str http_target_path(Str target, char *out) {
    Str path = path_of(target);
    size_t len = 0;
    for (size_t i = 0; i < path.len;) out[len++] = (char)take_char(path, &i);
    return (Str){ out, len };
}

size_t http_query_count(Str query) {
    size_t count = 0;
    for (size_t i = 0; i < query.len; i++) count += query.ptr[i] != '&' && (i == 0 || query.ptr[i - 1] == '&');
    return count;
}

static Str decode_part(Str part, char *out) {
    size_t len = 0;
    for (size_t i = 0; i < part.len;) {
        bool plus = part.ptr[i] == '+';
        int c = take_char(part, &i);
        out[len++] = plus ? ' ' : (char)c;
    }
    return (Str){ out, len };
}

bool http_query_next(Str *query, char *out, Str *name, Str *value) {
    while (query->len && query->ptr[0] == '&') query->ptr++, query->len--;
    if (!query->len) return false;
    const char *amp = memchr(query->ptr, '&', query->len);
    Str part = { query->ptr, amp ? (size_t)(amp - query->ptr) : query->len };
    const char *equals = memchr(part.ptr, '=', part.len);
    size_t name_len = equals ? (size_t)(equals - part.ptr) : part.len;
    *name = decode_part((Str){ part.ptr, name_len }, out);
    *value = equals ? decode_part((Str){ equals + 1, part.len - name_len - 1 }, out + name->len) : (Str){ "", 0 };
    query->ptr += part.len, query->len -= part.len;
    return true;
}
