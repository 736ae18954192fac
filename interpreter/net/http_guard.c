/* http_guard.c - a head is scanned as it comes: each byte once, each line when it ends, so that a wrong one is refused at once and not when the client
 * deigns to send the empty line. A head passes as a whole, a body as it comes. What is counted here (lengths, chunks) is what evhttp counts again;
 * tests/fuzz/fuzz_http_guard.c holds the two against each other.
 *
 * A new field of which there may be only one, or whose value matters here, is a row in `fields`.
 */
#include "interpreter/net/http_guard.h"
#include <assert.h>
#include <strings.h>
#include "interpreter/net/http_target.h"

static const struct { const char *name; bool has_body; } methods[] = {
    { "GET", false }, { "HEAD", false }, { "POST", true }, { "PUT", true }, { "PATCH", true }, { "DELETE", false }, { "OPTIONS", false },
};

static bool refuse(HttpGuard *guard, int status, const char *why) {
    guard->state = GUARD_REFUSED;
    guard->status = status;
    guard->why = why;
    return false;
}

static bool is_token_char(unsigned char c) {
    static const char others[] = "!#$%&'*+-.^_`|~";
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && memchr(others, c, sizeof others - 1));
}

bool http_is_token(Str text) {
    for (size_t i = 0; i < text.len; i++)
        if (!is_token_char((unsigned char)text.ptr[i])) return false;
    return text.len > 0;
}

bool http_is_field_value(Str text) {
    bool ascii = true;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == 0x7F) return false;
        if (c >= 0x80) ascii = false;
    }
    return ascii || utf8_valid(text);
}

/* ---- values of fields -------------------------------------------------------------------------------------------- */

/* name, name:port, [address], [address]:port */
static bool check_host(HttpGuard *guard, Str value) {
    size_t at = 0, name;
    bool bracket = value.len && value.ptr[0] == '[';
    if (bracket) {
        for (at = 1; at < value.len && strchr("0123456789abcdefABCDEF:.", value.ptr[at]); at++) {}
        if (at < 3 || at == value.len || value.ptr[at] != ']') return refuse(guard, 400, "Host is not `name`, `name:port` or `[address]:port`");
        name = ++at;
    } else {
        while (at < value.len && is_token_char((unsigned char)value.ptr[at]) && !strchr("#^`|", value.ptr[at])) at++;
        name = at;
    }
    bool port = at < value.len && value.ptr[at] == ':';
    size_t digits = port ? ++at : at;
    while (port && at < value.len && value.ptr[at] >= '0' && value.ptr[at] <= '9') at++;
    if (!name || at < value.len || (port && (at == digits || at - digits > 5))) return refuse(guard, 400, "Host is not `name`, `name:port` or `[address]:port`");
    return true;
}

static bool check_length(HttpGuard *guard, Str value) {
    uint64_t length = 0;
    if (!value.len) return refuse(guard, 400, "Content-Length is no number");
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9') return refuse(guard, 400, "Content-Length is not digits alone");
        length = length * 10 + (uint64_t)(value.ptr[i] - '0');
        if (length > UINT32_MAX) length = UINT32_MAX;                  /* too long whatever follows */
    }
    guard->left = length;
    return true;
}

static bool check_coding(HttpGuard *guard, Str value) {
    if (!str_is(value, "chunked")) return refuse(guard, 400, "Transfer-Encoding is not `chunked`");
    guard->chunked = true;
    return true;
}

static bool check_expect(HttpGuard *guard, Str value) {
    return value.len == 12 && strncasecmp(value.ptr, "100-continue", 12) == 0 ? true : refuse(guard, 417, "Expect is not `100-continue`");
}

enum { FIELD_HOST, FIELD_LENGTH, FIELD_CODING };
static const struct { const char *name, *twice; bool (*check)(HttpGuard *guard, Str value); } fields[] = {
    [FIELD_HOST]   = { "Host", "there are two Host fields", check_host },
    [FIELD_LENGTH] = { "Content-Length", "there are two Content-Length fields", check_length },
    [FIELD_CODING] = { "Transfer-Encoding", "there are two Transfer-Encoding fields", check_coding },
    { "Expect", "there are two Expect fields", check_expect },
    { "Authorization", "there are two Authorization fields", NULL },
    { "Content-Type", "there are two Content-Type fields", NULL },
    { "Cookie", "there are two Cookie fields", NULL },
    { "Idempotency-Key", "there are two Idempotency-Key fields", NULL },
    { "Last-Event-ID", "there are two Last-Event-ID fields", NULL },
    { "Origin", "there are two Origin fields", NULL },
};

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static bool check_request_line(HttpGuard *guard, Str line) {
    const char *space = memchr(line.ptr, ' ', line.len);
    Str method = { line.ptr, space ? (size_t)(space - line.ptr) : line.len };
    if (!space || !http_is_token(method)) return refuse(guard, 400, "the request line is not `METHOD /path HTTP/1.1`");
    Str rest = { space + 1, line.len - method.len - 1 };
    space = memchr(rest.ptr, ' ', rest.len);
    Str target = { rest.ptr, space ? (size_t)(space - rest.ptr) : rest.len };
    Str version = { target.ptr + target.len + 1, space ? rest.len - target.len - 1 : 0 };
    if (version.len != 8 || memcmp(version.ptr, "HTTP/", 5) != 0 || version.ptr[6] != '.' || version.ptr[5] < '0' || version.ptr[5] > '9' || version.ptr[7] < '0' || version.ptr[7] > '9')
        return refuse(guard, 400, "the request line is not `METHOD /path HTTP/1.1`");
    if (version.ptr[5] != '1' || version.ptr[7] > '1') return refuse(guard, 505, "the version is neither HTTP/1.1 nor HTTP/1.0");
    guard->old = version.ptr[7] == '0';
    const size_t count = sizeof methods / sizeof *methods;
    for (guard->method = 0; guard->method < count && !str_is(method, methods[guard->method].name); guard->method++) {}
    if (guard->method == count) return refuse(guard, 501, "the method is not known here");
    const char *fault = http_target_check(target);
    return fault ? refuse(guard, 400, fault) : true;
}

static bool check_field(HttpGuard *guard, Str line) {
    if (line.ptr[0] == ' ') return refuse(guard, 400, "a field is folded over two lines");
    const char *colon = memchr(line.ptr, ':', line.len);
    Str name = { line.ptr, colon ? (size_t)(colon - line.ptr) : line.len };
    if (!colon || !http_is_token(name)) return refuse(guard, 400, "a field is not `name: value`");
    Str value = { colon + 1, line.len - name.len - 1 };
    while (value.len && value.ptr[0] == ' ') value.ptr++, value.len--;
    while (value.len && value.ptr[value.len - 1] == ' ') value.len--;
    if (!http_is_field_value(value)) return refuse(guard, 400, "the value of a field is not valid UTF-8");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (strlen(fields[i].name) != name.len || strncasecmp(fields[i].name, name.ptr, name.len) != 0) continue;
        if (guard->seen & 1u << i) return refuse(guard, 400, fields[i].twice);
        guard->seen |= 1u << i;
        return fields[i].check ? fields[i].check(guard, value) : true;
    }
    return true;
}

static bool check_head(HttpGuard *guard) {
    bool has_length = guard->seen & 1u << FIELD_LENGTH;
    if (!(guard->seen & 1u << FIELD_HOST)) return refuse(guard, 400, "there is no Host field");
    if (has_length && guard->chunked) return refuse(guard, 400, "there are both Content-Length and Transfer-Encoding");
    if (guard->old && guard->chunked) return refuse(guard, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (!methods[guard->method].has_body && (guard->left || guard->chunked)) return refuse(guard, 400, "a request of this method has no body");
    if (guard->left > guard->body_max) return refuse(guard, 413, "the body is too large");
    guard->state = guard->chunked ? GUARD_CHUNK_LINE : guard->left ? GUARD_BODY : GUARD_DONE;
    return true;
}

/* A line ended before `end` (its CR LF); true when it was the empty one and the head is fine. */
static bool end_line(HttpGuard *guard, const char *head, size_t end) {
    Str line = { head + guard->line_start, end - 2 - guard->line_start };
    guard->line_start = (uint32_t)end;
    if (!line.len) return guard->lines ? check_head(guard) : refuse(guard, 400, "the request begins with an empty line");
    if (guard->lines++ == 0) check_request_line(guard, line);
    else if (guard->lines > HTTP_HEADER_COUNT_MAX + 1) refuse(guard, 431, "there are more than HTTP_HEADER_COUNT_MAX (100) fields");
    else check_field(guard, line);
    return false;
}

static size_t pass_head(HttpGuard *guard, Str front) {
    while (guard->scanned < front.len) {
        uint32_t at = guard->scanned;
        unsigned char c = (unsigned char)front.ptr[at], before = at ? (unsigned char)front.ptr[at - 1] : 0;
        if (guard->lines == 0 && at >= HTTP_REQUEST_LINE_MAX) return refuse(guard, 414, "the request line is longer than HTTP_REQUEST_LINE_MAX (8192) bytes");
        if (at >= guard->headers_max) return refuse(guard, 431, "the head is too long");
        if ((c == '\n') != (before == '\r')) return refuse(guard, 400, "a line does not end with CR LF");
        if ((c < 0x20 && c != '\r' && c != '\n') || c == 0x7F) return refuse(guard, 400, "the head holds a control character");
        guard->scanned++;
        if (c == '\n' && end_line(guard, front.ptr, guard->scanned)) return guard->scanned;
        if (guard->state == GUARD_REFUSED) return 0;
    }
    return 0;
}

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static size_t pass_chunk_line(HttpGuard *guard, Str front) {
    size_t at = 0;
    uint64_t size = 0;
    while (at < front.len && at < HTTP_CHUNK_LINE_MAX - 2 && hex_value(front.ptr[at]) >= 0) size = size << 4 | (uint64_t)hex_value(front.ptr[at++]);
    if (at < front.len && (!at || front.ptr[at] != '\r')) return refuse(guard, 400, "the size of a chunk is not one to eight hexadecimal digits");
    if (at + 1 < front.len && front.ptr[at + 1] != '\n') return refuse(guard, 400, "the size of a chunk is not one to eight hexadecimal digits");
    if (at + 2 > front.len) return 0;
    if (guard->body + size > guard->body_max) return refuse(guard, 413, "the body is too large");
    guard->body += size;
    guard->left = size;
    guard->state = size ? GUARD_CHUNK_DATA : GUARD_LAST_END;
    return at + 2;
}

static size_t pass_end(HttpGuard *guard, Str front, HttpGuardState next, const char *why) {
    if ((front.len > 0 && front.ptr[0] != '\r') || (front.len > 1 && front.ptr[1] != '\n')) return refuse(guard, 400, why);
    if (front.len < 2) return 0;
    guard->state = next;
    return 2;
}

static size_t pass_data(HttpGuard *guard, size_t available, HttpGuardState next) {
    size_t some = available < guard->left ? available : (size_t)guard->left;
    guard->left -= some;
    if (!guard->left) guard->state = next;
    return some;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

void http_guard_init(HttpGuard *guard, uint32_t headers_max, uint32_t body_max) {
    *guard = (HttpGuard){ .headers_max = headers_max, .body_max = body_max };
}

void http_guard_next(HttpGuard *guard) {
    assert(guard->state == GUARD_DONE);
    http_guard_init(guard, guard->headers_max, guard->body_max);
}

size_t http_guard_window(const HttpGuard *guard) {
    switch (guard->state) {
    case GUARD_HEAD:                            return (size_t)guard->headers_max + 1;
    case GUARD_CHUNK_LINE:                      return HTTP_CHUNK_LINE_MAX;
    case GUARD_CHUNK_END: case GUARD_LAST_END:  return 2;
    default:                                    return 0;
    }
}

size_t http_guard_pass(HttpGuard *guard, Str front, size_t available) {
    switch (guard->state) {
    case GUARD_HEAD:       return pass_head(guard, front);
    case GUARD_BODY:       return pass_data(guard, available, GUARD_DONE);
    case GUARD_CHUNK_LINE: return pass_chunk_line(guard, front);
    case GUARD_CHUNK_DATA: return pass_data(guard, available, GUARD_CHUNK_END);
    case GUARD_CHUNK_END:  return pass_end(guard, front, GUARD_CHUNK_LINE, "a chunk is longer than its size");
    case GUARD_LAST_END:   return pass_end(guard, front, GUARD_DONE, "trailers are not taken");
    case GUARD_DONE: case GUARD_REFUSED: break;
    }
    return 0;
}
