/* route.c - taking the path of a route apart. */
#include "interpreter/bytecode/route.h"

static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };
static const char *const reserved[] = { "/runs", "/healthz", "/readyz", "/openapi.json", "/metrics", "/ui", "/mcp" };

static bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_plain(char c) { return is_name_start(c) || is_digit(c) || c == '-' || c == '.' || c == '~'; }

static const char *segment_read(Str text, RouteSegment *out)
{
    *out = (RouteSegment){ .text = text };
    if (!text.len) return "it has an empty segment";
    if (text.ptr[0] == '{') {
        if (text.len < 3 || text.ptr[text.len - 1] != '}') return "a parameter stands in braces, alone between two `/`";
        *out = (RouteSegment){ .text = { text.ptr + 1, text.len - 2 }, .is_param = true };
        for (size_t i = 0; i < out->text.len; i++)
            if (!is_name_start(out->text.ptr[i]) && !(i && is_digit(out->text.ptr[i]))) return "a parameter in braces has the name of a parameter of the flow";
        return NULL;
    }
    if (str_is(text, ".") || str_is(text, "..")) return "`.` and `..` are no segments: clients take them away";
    for (size_t i = 0; i < text.len; i++)
        if (!is_plain(text.ptr[i])) return "a segment has only letters, digits, `-`, `.`, `_` and `~`, or is one parameter in braces";
    return NULL;
}

int route_split(Str path, RouteSegment *segments, const char **why)
{
    int count = 0;
    *why = NULL;
    if (!path.len || path.ptr[0] != '/') *why = "it does not begin with `/`";
    else if (path.len > ROUTE_PATH_MAX) *why = "it is longer than ROUTE_PATH_MAX (512 bytes)";
    for (size_t at = 1; !*why && path.len > 1 && at <= path.len;) {
        size_t end = at;
        while (end < path.len && path.ptr[end] != '/') end++;
        if (count == ROUTE_SEGMENTS_MAX) *why = "it has more segments than ROUTE_SEGMENTS_MAX (32)";
        else *why = segment_read((Str){ path.ptr + at, end - at }, &segments[count++]);
        at = end + 1;
    }
    return *why ? -1 : count;
}

bool route_same_shape(Str a, Str b)
{
    RouteSegment left[ROUTE_SEGMENTS_MAX], right[ROUTE_SEGMENTS_MAX];
    const char *why;
    int count = route_split(a, left, &why);
    if (count < 0 || route_split(b, right, &why) != count) return false;
    for (int i = 0; i < count; i++)
        if (left[i].is_param != right[i].is_param || (!left[i].is_param && !str_eq(left[i].text, right[i].text))) return false;
    return true;
}

bool route_method_known(Str method)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (str_is(method, methods[i])) return true;
    return false;
}

bool route_has_body(Str method) { return !str_is(method, "GET") && !str_is(method, "DELETE"); }

Str route_reserved(Str path)
{
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        Str one = str_of(reserved[i]);
        if (str_starts(path, one) && (path.len == one.len || path.ptr[one.len] == '/')) return one;
    }
    return (Str){ 0 };
}
