/* test_jws.c - signatures: the examples of RFC 7515, what is made is verified by the pinned algorithm and a fitting key only, and what a hostile token may try. */
#include "interpreter/identity/jws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include "base/base64.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define RFC_PAYLOAD "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
static const struct { const char *key, *token; JwsAlg alg; } rfc7515[] = {
    { "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}",
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC_PAYLOAD ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", JWS_HS256 },
    { "{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9w"
      "Gzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW"
      "yuXpoQ\",\"e\":\"AQAB\"}",
      "eyJhbGciOiJSUzI1NiJ9." RFC_PAYLOAD ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWz"
      "O75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw", JWS_RS256 },
    { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
      "eyJhbGciOiJFUzI1NiJ9." RFC_PAYLOAD ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q", JWS_ES256 },
};

static JwsKeys keys_of(const char *json) {
    JwsKeys keys;
    Error error = { 0 };
    if (jws_keys_read(str_of(json), JWS_KEYS_OWN, &keys, NULL, &error)) fail_msg("%s: %s", json, error.text);
    return keys;
}

static bool verifies(const char *token, const JwsKey *key, JwsAlg alg) {
    Arena *arena = arena_new();
    JwsToken read;
    bool good = !jws_read(str_of(token), arena, &read) && jws_verify(&read, key, alg);
    arena_free(arena);
    return good;
}

static void test_rfc_7515(void **state) {
    for (size_t i = 0; i < COUNT(rfc7515); i++) {
        JwsKeys keys = keys_of(rfc7515[i].key);
        for (int alg = 0; alg < JWS_ALG_COUNT; alg++) assert_int_equal(verifies(rfc7515[i].token, keys.items[0], (JwsAlg)alg), alg == (int)rfc7515[i].alg);
        for (size_t other = 0; other < COUNT(rfc7515); other++) assert_int_equal(verifies(rfc7515[other].token, keys.items[0], rfc7515[other].alg), other == i);
        jws_keys_free(&keys);
    }
}

/* Each bit of a signature counts, and so does each character of a token: no second text of it is accepted. */
static void test_every_character_counts(void **state) {
    static const char characters[] = "AZaz09-_+/=. \n";
    for (size_t i = 0; i < COUNT(rfc7515); i++) {
        JwsKeys keys = keys_of(rfc7515[i].key);
        char *text = strdup(rfc7515[i].token);
        size_t len = strlen(text), step = rfc7515[i].alg == JWS_HS256 ? 1 : 7;
        for (size_t at = 0; at <= len; at += at + step > len && at < len ? len - at : step) {
            char was = text[at];
            for (const char *c = characters; *c && at < len; c++) {
                text[at] = *c;
                if (*c != was && verifies(text, keys.items[0], rfc7515[i].alg)) fail_msg("character %zu as `%c` is accepted", at, *c);
            }
            text[at] = 0;                                     /* cut short */
            if (at < len && verifies(text, keys.items[0], rfc7515[i].alg)) fail_msg("%zu characters are accepted", at);
            text[at] = was;
        }
        free(text);
        jws_keys_free(&keys);
    }
}

static void test_made_and_verified(void **state) {
    for (int alg = JWS_ALG_NONE + 1; alg < JWS_ALG_COUNT; alg++) {
        Buf set = { 0 }, token = { 0 }, public = { 0 };
        Error error = { 0 };
        jws_keys_generate((JwsAlg)alg, &set);
        JwsKeys keys = keys_of(buf_cstr(&set)), published;
        assert_int_equal(keys.count, 1);
        assert_int_equal(jws_key_alg(keys.items[0]), alg);
        assert_true(jws_key_kid(keys.items[0]).len > 20);
            if (jws_sign(keys.items[0], (JwsAlg)alg, STR("at+jwt"), STR("{\"sub\":\"anna\"}"), &token, &error)) fail_msg("%s", error.text);
        for (int other = 0; other < JWS_ALG_COUNT; other++) assert_int_equal(verifies(buf_cstr(&token), keys.items[0], (JwsAlg)other), other == alg);
        jws_keys_print_public(&keys, &public);
        assert_null(strstr(buf_cstr(&public), "\"d\""));
        assert_null(strstr(buf_cstr(&public), "\"k\""));
        Err err = jws_keys_read(buf_str(&public), JWS_KEYS_PUBLIC, &published, NULL, &error);
        assert_int_equal(err, alg <= JWS_HS512 ? ERR_INVALID : ERR_OK);
        if (!err) {
            assert_true(verifies(buf_cstr(&token), published.items[0], (JwsAlg)alg));
            assert_false(jws_key_signs(published.items[0]));
            Buf none = { 0 };
            assert_int_equal(jws_sign(published.items[0], (JwsAlg)alg, STR(""), STR("{}"), &none, &error), ERR_INVALID);
            assert_int_equal(none.len, 0);
            jws_keys_free(&published);
        }
        jws_keys_free(&keys);
        buf_free(&set), buf_free(&token), buf_free(&public);
    }
}

static Buf token_of(const char *header, const char *payload, const char *signature) {
    Buf out = { 0 };
    base64url_encode(str_of(header), &out);
    buf_put_char(&out, '.');
    base64url_encode(str_of(payload), &out);
    buf_printf(&out, ".%s", signature);
    return out;
}

static void test_refused_before_any_key(void **state) {
    static const struct { const char *header, *payload; bool fine; } cases[] = {
        { "{\"alg\":\"HS256\"}", "{}", true },
        { "{\"alg\":\"HS256\",\"kid\":\"../../dev/null\",\"typ\":\"JWT\",\"x5t\":\"AA\"}", "{\"a\":1}", true },         /* a kid is compared, never opened */
        { "{\"alg\":\"none\"}", "{}", false }, { "{\"alg\":\"None\"}", "{}", false }, { "{\"alg\":\"\"}", "{}", false }, { "{\"alg\":\"hs256\"}", "{}", false },
        { "{\"alg\":null}", "{}", false }, { "{\"alg\":[\"HS256\"]}", "{}", false }, { "{}", "{}", false }, { "{\"alg\":\"ES521\"}", "{}", false }, { "{\"alg\":\"HS256\\u0000\"}", "{}", false },
        { "{\"alg\":\"HS256\",\"alg\":\"HS256\"}", "{}", false }, { "{\"alg\":\"none\",\"alg\":\"HS256\"}", "{}", false },
        { "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", "{}", false },
        { "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", "{}", false }, { "{\"alg\":\"HS256\",\"crit\":[]}", "{}", false }, { "{\"alg\":\"HS256\",\"jku\":\"https://evil.example/\"}", "{}", false },
        { "{\"alg\":\"HS256\",\"x5u\":\"https://evil.example/\"}", "{}", false }, { "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"}}", "{}", false },
        { "{\"alg\":\"HS256\",\"x5c\":[]}", "{}", false }, { "{\"alg\":\"HS256\",\"b64\":false}", "{}", false }, { "{\"alg\":\"HS256\",\"zip\":\"DEF\"}", "{}", false },
        { "{\"alg\":\"dir\",\"enc\":\"A256GCM\"}", "{}", false }, { "{\"alg\":\"HS256\",\"kid\":7}", "{}", false }, { "{\"alg\":\"HS256\",\"typ\":{}}", "{}", false },
        { "[\"HS256\"]", "{}", false }, { "\"HS256\"", "{}", false }, { "{\"alg\":\"HS256\"} x", "{}", false }, { "", "{}", false },
        { "{\"alg\":\"HS256\"}", "[]", false }, { "{\"alg\":\"HS256\"}", "\"x\"", false }, { "{\"alg\":\"HS256\"}", "", false }, { "{\"alg\":\"HS256\"}", "{\"sub\":\"a\",\"sub\":\"b\"}", false },
        { "{\"alg\":\"HS256\"}", "{\"sub\":\"\xff\"}", false }, { "{\"alg\":\"HS256\"}", "{\"exp\":1e999}", false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Arena *arena = arena_new();
        JwsToken token;
        Buf text = token_of(cases[i].header, cases[i].payload, "AAAA");
        if ((jws_read(buf_str(&text), arena, &token) == NULL) != cases[i].fine) fail_msg("%s . %s", cases[i].header, cases[i].payload);
        buf_free(&text);
        arena_free(arena);
    }
}

static void test_form(void **state) {
    static const char *const bad[] = { "", ".", "..", "...", "a", "a.b", "e30.e30.", ".e30.AAAA", "e30..AAAA", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA.", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA.AAAA",
                                       "eyJhbGciOiJIUzI1NiJ9.e30.AAA=", "eyJhbGciOiJIUzI1NiJ9.e30=.AAAA", "eyJhbGciOiJIUzI1NiJ9.e30.AAB", "eyJhbGciOiJIUzI1NiJ9.e30.AB", "eyJhbGciOiJIUzI1NiJ9.e30.A",
                                       " eyJhbGciOiJIUzI1NiJ9.e30.AAAA", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA\n", "eyJhbGciOiJIUzI1NiJ9.e3 0.AAAA", "eyJhbGciOiJIUzI1NiJ9.e31.AAAA" };
    Arena *arena = arena_new();
    JwsToken token;
    for (size_t i = 0; i < COUNT(bad); i++)
        if (!jws_read(str_of(bad[i]), arena, &token)) fail_msg("`%s` is read", bad[i]);
    assert_null(jws_read(STR("eyJhbGciOiJIUzI1NiJ9.e30.AAAA"), arena, &token));
    char *large = mem_alloc(JWS_TOKEN_MAX + 2);
    memset(large, 'A', JWS_TOKEN_MAX + 1);
    memcpy(large, "eyJhbGciOiJIUzI1NiJ9.e30.", 25);
    assert_non_null(strstr(jws_read((Str){ large, JWS_TOKEN_MAX + 1 }, arena, &token), "JWS_TOKEN_MAX"));
    assert_null(jws_read((Str){ large, 25 + 12000 }, arena, &token));
    Buf deep = { 0 }, text;
    for (int i = 0; i < 4000; i++) buf_put_text(&deep, "[");
    text = token_of("{\"alg\":\"HS256\"}", buf_cstr(&deep), "AAAA");
    assert_non_null(jws_read(buf_str(&text), arena, &token));
    free(large), buf_free(&deep), buf_free(&text);
    arena_free(arena);
}

#define EC_XY "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define SECRET "\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\""

static void test_keys_that_are_none(void **state) {
    static const struct { const char *jwk; Err own, public; } cases[] = {
        { "{" EC_XY "}", ERR_OK, ERR_OK }, { "{" EC_XY ",\"use\":\"sig\",\"alg\":\"ES256\",\"key_ops\":[\"verify\"]}", ERR_OK, ERR_OK }, { "{" SECRET "}", ERR_OK, ERR_INVALID },
        { "{" EC_XY ",\"use\":\"enc\"}", ERR_INVALID, ERR_INVALID }, { "{" EC_XY ",\"key_ops\":[\"encrypt\"]}", ERR_INVALID, ERR_INVALID }, { "{" EC_XY ",\"key_ops\":\"verify\"}", ERR_INVALID, ERR_INVALID },
        { "{" EC_XY ",\"alg\":\"RS256\"}", ERR_INVALID, ERR_INVALID }, { "{" EC_XY ",\"alg\":\"ES384\"}", ERR_INVALID, ERR_INVALID }, { "{" EC_XY ",\"alg\":\"none\"}", ERR_INVALID, ERR_INVALID },
        { "{" EC_XY ",\"alg\":7}", ERR_INVALID, ERR_INVALID }, { "{" EC_XY ",\"kid\":7}", ERR_INVALID, ERR_INVALID }, { "{" EC_XY ",\"kty\":\"EC\"}", ERR_INVALID, ERR_INVALID },
        { "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"}", ERR_INVALID, ERR_INVALID }, { "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}", ERR_INVALID, ERR_INVALID },
        { "{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}", ERR_INVALID, ERR_INVALID }, { "{" SECRET ",\"alg\":\"HS256\",\"k\":\"AA\"}", ERR_INVALID, ERR_INVALID },
        { "{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp\",\"e\":\"AQAB\"}", ERR_INVALID, ERR_INVALID }, { "{}", ERR_INVALID, ERR_INVALID },
        { "{\"keys\":[]}", ERR_INVALID, ERR_INVALID }, { "{\"keys\":{}}", ERR_INVALID, ERR_INVALID }, { "[]", ERR_INVALID, ERR_INVALID }, { "", ERR_INVALID, ERR_INVALID }, { "x", ERR_INVALID, ERR_INVALID },
        { "{\"keys\":[7,null,{\"kty\":\"OKP\"},{" EC_XY "}]}", ERR_OK, ERR_OK },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        JwsKeys keys;
        uint32_t skipped = 0;
        Error error = { 0 };
        if (jws_keys_read(str_of(cases[i].jwk), JWS_KEYS_OWN, &keys, &skipped, &error) != cases[i].own) fail_msg("%s: %s", cases[i].jwk, error.text);
        if (cases[i].own == ERR_OK && i == COUNT(cases) - 1) assert_int_equal(skipped, 3);
        jws_keys_free(&keys);
        if (jws_keys_read(str_of(cases[i].jwk), JWS_KEYS_PUBLIC, &keys, NULL, &error) != cases[i].public) fail_msg("published: %s: %s", cases[i].jwk, error.text);
        jws_keys_free(&keys);
    }
    Buf many = { 0 };
    JwsKeys keys;
    Error error = { 0 };
    buf_put_text(&many, "{\"keys\":[0");
    for (int i = 0; i < JWS_KEYS_MAX; i++) buf_put_text(&many, ",0");
    buf_put_text(&many, "]}");
    assert_int_equal(jws_keys_read(buf_str(&many), JWS_KEYS_PUBLIC, &keys, NULL, &error), ERR_LIMIT);
    assert_non_null(strstr(error.text, "JWS_KEYS_MAX"));
    buf_free(&many);
}

/* The public key of RSA, as anybody can read it, used as a secret of HMAC; and a secret where a public key should be. */
static void test_confusion(void **state) {
    JwsKeys rsa = keys_of(rfc7515[1].key);
    Buf secret = { 0 }, token = { 0 };
    Error error = { 0 };
    buf_put_text(&secret, "{\"kty\":\"oct\",\"k\":\"");
    base64url_encode(str_of(rfc7515[1].key), &secret);
    buf_put_text(&secret, "\"}");
    JwsKeys hmac = keys_of(buf_cstr(&secret));
    assert_int_equal(jws_sign(hmac.items[0], JWS_HS256, STR("JWT"), STR("{}"), &token, &error), ERR_OK);
    assert_true(verifies(buf_cstr(&token), hmac.items[0], JWS_HS256));
    for (int alg = 0; alg < JWS_ALG_COUNT; alg++) assert_false(verifies(buf_cstr(&token), rsa.items[0], (JwsAlg)alg));
    assert_false(jws_key_fits(rsa.items[0], JWS_HS256));
    assert_false(jws_key_fits(hmac.items[0], JWS_RS256));
    jws_keys_free(&rsa), jws_keys_free(&hmac);
    buf_free(&secret), buf_free(&token);
}

/* A point that is not on its curve makes no key that verifies anything. */
static void test_point_off_the_curve(void **state) {
    JwsKeys keys = keys_of("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}");
    assert_false(verifies(rfc7515[2].token, keys.items[0], JWS_ES256));
    jws_keys_free(&keys);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_7515), cmocka_unit_test(test_every_character_counts), cmocka_unit_test(test_made_and_verified), cmocka_unit_test(test_refused_before_any_key),
        cmocka_unit_test(test_form), cmocka_unit_test(test_keys_that_are_none), cmocka_unit_test(test_confusion), cmocka_unit_test(test_point_off_the_curve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
