/* fuzz_token.c - tokens, keys and cookies from anybody. The first byte says what the rest is.
 *
 * A text that is read as a token is one that its parts would be written as again, and none but the one that was signed here verifies. Claims under a good
 * signature let nobody in whom the rules do not name. What is read as a key of a published set is never a secret.
 */
#include <stdlib.h>
#include "base/base64.h"
#include "interpreter/identity/claims.h"
#include "interpreter/identity/identity.h"
#include "interpreter/identity/jws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}"
static const char good[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
                           ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
static JwsKeys keys;

static void try_text(Str text, Arena *arena) {
    JwsToken token;
    if (jws_read(text, arena, &token)) return;
    Buf again = { 0 };
    for (int i = 0; i < 3; i++) {
        Str bytes;
        if (!base64url_decode(token.parts[i], arena, &bytes)) abort();
        if (i) buf_put_char(&again, '.');
        base64url_encode(bytes, &again);
    }
    if (!str_eq(buf_str(&again), text)) abort();
    if (jws_verify(&token, keys.items[0], JWS_HS256) != str_is(text, good)) abort();
    if (jws_verify(&token, keys.items[0], JWS_RS256) || jws_verify(&token, keys.items[0], JWS_ALG_NONE)) abort();
    buf_free(&again);
}

static void try_claims(Str payload, Arena *arena) {
    static const ClaimRules rules = { .issuer = STR("i"), .audience = STR("a"), .typ = STR("at+jwt"), .now_us = 1000 * TIME_SECOND, .skew_us = IDENTITY_SKEW_US };
    Buf text = { 0 };
    JwsToken token;
    Principal who;
    const char *why = NULL;
    int64_t expires = 0;
    if (jws_sign(keys.items[0], JWS_HS256, STR("at+jwt"), payload, &text, NULL)) abort();
    if (!jws_read(buf_str(&text), arena, &token)) {
        if (!jws_verify(&token, keys.items[0], JWS_HS256)) abort();
        AuthOutcome times = claims_check(&token, &rules, &expires, &why), person = claims_principal(token.payload, true, arena, &who, &why);
        if (times == AUTH_OK && (expires + IDENTITY_SKEW_US <= rules.now_us || !str_is(json_get_text(token.payload, "iss"), "i"))) abort();
        if (person == AUTH_OK && (!claims_text_ok(who.tenant) || !claims_text_ok(who.user) || !claims_text_ok(who.session_id) || str_is(who.tenant, IDENTITY_PUBLIC_TENANT))) abort();
        if (person == AUTH_OK && (who.role_count > PRINCIPAL_LIST_MAX || who.scope_count > PRINCIPAL_LIST_MAX)) abort();
        for (uint32_t i = 0; person == AUTH_OK && i < who.scope_count; i++)
            if (!claims_text_ok(who.scopes[i])) abort();
    }
    buf_free(&text);
}

static void try_keys(Str text) {
    JwsKeys read;
    Buf public = { 0 };
    if (jws_keys_read(text, JWS_KEYS_PUBLIC, &read, NULL, NULL)) return;
    if (!read.count || read.count > JWS_KEYS_MAX) abort();
    for (uint32_t i = 0; i < read.count; i++)
        if (jws_key_fits(read.items[i], JWS_HS256) || jws_key_fits(read.items[i], JWS_HS512)) abort();
    jws_keys_print_public(&read, &public);
    jws_keys_free(&read);
    if (jws_keys_read(buf_str(&public), JWS_KEYS_PUBLIC, &read, NULL, NULL)) abort();       /* what is published can be read */
    jws_keys_free(&read);
    buf_free(&public);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!keys.count && jws_keys_read(STR(SECRET), JWS_KEYS_OWN, &keys, NULL, NULL)) abort();
    if (size < 1) return 0;
    Arena *arena = arena_new();
    Str rest = { (const char *)data + 1, size - 1 }, token;
    bool by_cookie;
    switch (data[0] % 4) {
    case 0: try_text(rest, arena); break;
    case 1: try_claims(rest, arena); break;
    case 2: try_keys(rest); break;
    default:
        if (identity_credential((Str){ "", 0 }, rest, &token, &by_cookie) == AUTH_OK && (token.ptr < rest.ptr || token.ptr + token.len > rest.ptr + rest.len)) abort();
        identity_credential(rest, (Str){ "", 0 }, &token, &by_cookie);
    }
    arena_free(arena);
    return 0;
}
