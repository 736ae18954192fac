/* cookie.c - credentials of a request, and cookies. */
#include "interpreter/identity/identity_internal.h"

#include <inttypes.h>
#include <strings.h>
#include "base/base64.h"
#include "base/hash.h"

/* How many cookies of that name there are; *value is the first one's. */
static int find_cookie(Str header, const char *name, Str *value) {
    int found = 0;
    size_t name_len = strlen(name);
    while (header.len) {
        const char *end = memchr(header.ptr, ';', header.len);
        Str pair = { header.ptr, end ? (size_t)(end - header.ptr) : header.len };
        header.ptr += pair.len + (end != NULL), header.len -= pair.len + (end != NULL);
        while (pair.len && (*pair.ptr == ' ' || *pair.ptr == '\t')) pair.ptr++, pair.len--;
        if (pair.len <= name_len || memcmp(pair.ptr, name, name_len) || pair.ptr[name_len] != '=') continue;
        if (!found++) *value = (Str){ pair.ptr + name_len + 1, pair.len - name_len - 1 };
    }
    return found;
}

AuthOutcome identity_credential(Str authorization, Str cookie_header, Str *token, bool *by_cookie) {
    static const char scheme[] = "Bearer ";
    *token = (Str){ "", 0 };
    *by_cookie = false;
    if (authorization.len) {
        if (authorization.len < sizeof scheme - 1 || strncasecmp(authorization.ptr, scheme, sizeof scheme - 1)) return AUTH_BAD;
        *token = (Str){ authorization.ptr + sizeof scheme - 1, authorization.len - (sizeof scheme - 1) };
        return token->len ? AUTH_OK : AUTH_BAD;
    }
    int found = find_cookie(cookie_header, IDENTITY_COOKIE, token);
    if (!found || (found == 1 && !token->len)) return AUTH_NONE;
    *by_cookie = true;
    return found == 1 ? AUTH_OK : AUTH_BAD;                   /* a second one was put there by somebody else */
}

bool identity_same_origin(const char *method, Str origin, Str sec_fetch_site, Str host) {
    if (!strcmp(method, "GET") || !strcmp(method, "HEAD") || !strcmp(method, "OPTIONS")) return true;
    if (sec_fetch_site.len) return str_is(sec_fetch_site, "same-origin");
    Str rest = origin;
    if (str_starts(origin, STR("https://"))) rest.ptr += 8, rest.len -= 8;
    else if (str_starts(origin, STR("http://"))) rest.ptr += 7, rest.len -= 7;
    else return false;
    return host.len && rest.len == host.len && strncasecmp(rest.ptr, host.ptr, host.len) == 0;
}

static void put_cookie(const Identity *identity, const char *name, Str value, int64_t life_us, bool for_a_while, Buf *out) {
    buf_printf(out, "%s=%.*s; Path=/; HttpOnly; SameSite=Lax", name, STR_ARG(value));
    if (!identity->insecure_cookies) buf_put_text(out, "; Secure");
    if (for_a_while) buf_printf(out, "; Max-Age=%" PRId64, life_us / TIME_SECOND);
}

void identity_put_cookie(const Identity *identity, Str token, int64_t life_us, Buf *out) {
    put_cookie(identity, IDENTITY_COOKIE, life_us > 0 ? token : STR(""), life_us > 0 ? life_us : 0, true, out);
}

static bool visitor_ok(Str value) {
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_') return false;
    }
    return value.len == VISITOR_CHARS;
}

Str identity_visitor(const Identity *identity, Str cookie_header, Arena *arena, Str *set_cookie) {
    Str value = { "", 0 };
    char name[SHA256_HEX + 1];
    *set_cookie = (Str){ "", 0 };
    const char *cookie_name = &IDENTITY_VISITOR_COOKIE[identity->insecure_cookies ? sizeof "__Host-" - 1 : 0];
    if (find_cookie(cookie_header, cookie_name, &value) != 1 || !visitor_ok(value)) {
        uint8_t bytes[VISITOR_CHARS / 4 * 3];
        Buf text = { 0 }, cookie = { 0 };
        random_bytes(bytes, sizeof bytes);
        base64url_encode((Str){ (const char *)bytes, sizeof bytes }, &text);
        value = arena_str(arena, buf_str(&text));
        put_cookie(identity, cookie_name, value, 0, false, &cookie);
        *set_cookie = arena_str(arena, buf_str(&cookie));
        buf_free(&text), buf_free(&cookie);
    }
    Sha256 digest = sha256(value);                            /* the cookie itself is in no row and no log */
    hex_encode(digest.bytes, SHA256_BYTES / 2, name);
    return str_of(arena_printf(arena, "visitor-%s", name));
}
