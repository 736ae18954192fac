/* credential.c - see credential.h. */
#include "interpreter/effect/credential.h"
#include <ctype.h>
#include <stdlib.h>
#include "base/json.h"
#include "base/map.h"

typedef struct Credential { char *name, *access_token, *refresh_token, *token_url; } Credential;
struct Credentials { Map by_name; };

Credentials *credentials_new(void) { return mem_alloc(sizeof(Credentials)); }

/* Secrets do not linger in freed memory. */
static void wipe(char *text) {
    if (!text) return;
    explicit_bzero(text, strlen(text));
    free(text);
}

void credentials_free(Credentials *credentials) {
    if (!credentials) return;
    MAP_EACH(&credentials->by_name, entry) {
        Credential *c = entry->value;
        wipe(c->access_token), wipe(c->refresh_token), free(c->token_url), free(c->name), free(c);
    }
    map_free(&credentials->by_name);
    free(credentials);
}

static char *copy(Str text) {
    char *out = mem_alloc(text.len + 1);
    if (text.len) memcpy(out, text.ptr, text.len);
    return out;
}

static const char *from_environment(Str name, Arena *arena) {
    Buf variable = { 0 };
    buf_put_text(&variable, "FLOW_CREDENTIAL_");
    for (size_t i = 0; i < name.len; i++) buf_put_char(&variable, isalnum((unsigned char)name.ptr[i]) ? (char)toupper((unsigned char)name.ptr[i]) : '_');
    const char *text = getenv(arena_printf(arena, "%s", buf_cstr(&variable)));
    buf_free(&variable);
    return text && *text && strlen(text) <= CREDENTIAL_MAX ? text : NULL;
}

static Credential *find(Credentials *credentials, Str name) {
    Credential *c = map_find(&credentials->by_name, name);
    if (c) return c;
    Arena *arena = arena_new();
    const char *text = from_environment(name, arena);
    if (text) {
        Json *json = NULL;
        c = mem_alloc(sizeof *c);
        c->name = copy(name);
        if (json_parse(arena, str_of(text), CREDENTIAL_MAX, &json, NULL) == ERR_OK && json->kind == JSON_OBJECT) {
            c->access_token = copy(json_get_text(json, "access_token"));
            c->refresh_token = copy(json_get_text(json, "refresh_token"));
            c->token_url = copy(json_get_text(json, "token_url"));
        } else c->access_token = copy(str_of(text));
        map_put(&credentials->by_name, (Str){ c->name, name.len }, c);
    }
    arena_free(arena);
    return c;
}

Str credentials_token(Credentials *credentials, Str name) {
    Credential *c = name.len ? find(credentials, name) : NULL;
    return c ? str_of(c->access_token) : (Str){ "", 0 };
}

Err credentials_refresh_request(Credentials *credentials, Str name, Arena *arena, HttpRequest *out, Error *error) {
    Credential *c = find(credentials, name);
    if (!c) return err_set(error, ERR_NOT_FOUND, "no credential `%.*s`: set FLOW_CREDENTIAL_… for it", STR_ARG(name));
    if (!c->refresh_token || !*c->refresh_token || !c->token_url || !*c->token_url)
        return err_set(error, ERR_INVALID, "credential `%.*s` cannot be renewed: it has no refresh_token and token_url", STR_ARG(name));
    Buf body = { 0 };
    buf_put_text(&body, "grant_type=refresh_token&refresh_token=");
    http_put_escaped(&body, str_of(c->refresh_token));
    HttpHeader *headers = ARENA_ARRAY(arena, HttpHeader, 2);
    headers[0] = (HttpHeader){ STR("Content-Type"), STR("application/x-www-form-urlencoded") };
    headers[1] = (HttpHeader){ STR("Accept"), STR("application/json") };
    *out = (HttpRequest){ .method = "POST", .url = arena_str(arena, str_of(c->token_url)), .body = arena_str(arena, buf_str(&body)), .headers = headers, .header_count = 2 };
    buf_free(&body);
    return ERR_OK;
}

Err credentials_refreshed(Credentials *credentials, Str name, const HttpResponse *response, Error *error) {
    Credential *c = find(credentials, name);
    if (!c) return err_set(error, ERR_NOT_FOUND, "no credential `%.*s`", STR_ARG(name));
    Arena *arena = arena_new();
    Json *json = NULL;
    Err err = response->status == 200 ? json_parse(arena, response->body, CREDENTIAL_MAX, &json, error) : err_set(error, ERR_INVALID, "the token endpoint answered with status %d", response->status);
    Str token = err ? (Str){ 0 } : json_get_text(json, "access_token"), refresh = err ? (Str){ 0 } : json_get_text(json, "refresh_token");
    if (!err && token.len == 0) err = err_set(error, ERR_INVALID, "the token endpoint's answer holds no access_token");
    if (!err) wipe(c->access_token), c->access_token = copy(token);
    if (!err && refresh.len) wipe(c->refresh_token), c->refresh_token = copy(refresh);      /* a rotated one replaces the old */
    arena_free(arena);
    return err;
}
