/* jws.c - the only file that sees libjose. It speaks jansson's types, so this file does too; neither leaves it. */
#include "interpreter/identity/jws.h"

#include <stdlib.h>
#include "base/base64.h"

/* Four of jansson's enumerators have the names of ours. So its json_is_string() and the like, which are macros, compare with the wrong ones: not to be used. */
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY  JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_NULL   JANSSON_NULL
#include <jose/jose.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_NULL

typedef enum { FAMILY_SECRET, FAMILY_RSA, FAMILY_EC } Family;

static const struct { const char *name; Family family; const char *curve; uint32_t secret_min; } algs[JWS_ALG_COUNT] = {
    [JWS_HS256] = { "HS256", FAMILY_SECRET, NULL, 32 }, [JWS_HS384] = { "HS384", FAMILY_SECRET, NULL, 48 }, [JWS_HS512] = { "HS512", FAMILY_SECRET, NULL, 64 },
    [JWS_RS256] = { "RS256", FAMILY_RSA, NULL, 0 },     [JWS_RS384] = { "RS384", FAMILY_RSA, NULL, 0 },     [JWS_RS512] = { "RS512", FAMILY_RSA, NULL, 0 },
    [JWS_PS256] = { "PS256", FAMILY_RSA, NULL, 0 },     [JWS_PS384] = { "PS384", FAMILY_RSA, NULL, 0 },     [JWS_PS512] = { "PS512", FAMILY_RSA, NULL, 0 },
    [JWS_ES256] = { "ES256", FAMILY_EC, "P-256", 0 },   [JWS_ES384] = { "ES384", FAMILY_EC, "P-384", 0 },   [JWS_ES512] = { "ES512", FAMILY_EC, "P-521", 0 },
};

struct JwsKey {
    json_t *jwk;
    char *kid, *curve;                   /* curve: NULL unless EC */
    Family family;
    uint32_t bits;                       /* of an RSA modulus or a secret */
    JwsAlg alg;
    bool is_private, may_sign, may_verify;
};

JwsAlg jws_alg_of(Str name) {
    for (int alg = JWS_ALG_NONE + 1; alg < JWS_ALG_COUNT; alg++)
        if (str_is(name, algs[alg].name)) return (JwsAlg)alg;
    return JWS_ALG_NONE;
}

const char *jws_alg_name(JwsAlg alg) { return algs[alg].name ? algs[alg].name : "none"; }

/* libjose prints what goes wrong to standard error; a bad token is nothing to print. */
static void be_silent(void *misc, const char *file, int line, uint64_t err, const char *format, va_list args) { (void)misc, (void)file, (void)line, (void)err, (void)format, (void)args; }

static jose_cfg_t *config(void) {
    jose_cfg_t *cfg = jose_cfg();
    if (!cfg) abort();                   /* without memory */
    jose_cfg_set_err_func(cfg, be_silent, NULL);
    return cfg;
}

static json_t *checked(json_t *json) {
    if (!json) abort();                  /* without memory: what it is made of was checked */
    return json;
}

static json_t *text_of(Str text) { return checked(json_stringn(text.len ? text.ptr : "", text.len)); }

static void put(json_t *object, const char *key, json_t *value) {
    if (json_object_set_new(object, key, value)) abort();
}

/* ---- keys ------------------------------------------------------------------------------------------------ */

static void key_free(JwsKey *key) {
    json_t *d = key->jwk ? json_object_get(key->jwk, key->family == FAMILY_SECRET ? "k" : "d") : NULL;
    if (json_string_value(d)) explicit_bzero((char *)json_string_value(d), json_string_length(d));       /* secrets do not linger in freed memory */
    json_decref(key->jwk);
    free(key->kid), free(key->curve), free(key);
}

void jws_keys_free(JwsKeys *keys) {
    for (uint32_t i = 0; i < keys->count; i++) key_free(keys->items[i]);
    free(keys->items);
    *keys = (JwsKeys){ 0 };
}

static bool lists(const Json *array, const char *word) {
    for (size_t i = 0; i < array->count; i++)
        if (array->items[i]->kind == JSON_STRING && str_is(array->items[i]->text, word)) return true;
    return false;
}

/* `use` and `key_ops`, where they stand, must speak of signatures. */
static const char *read_purpose(const Json *jwk, JwsKey *key) {
    const Json *use = json_get(jwk, "use"), *ops = json_get(jwk, "key_ops");
    if (use && !(use->kind == JSON_STRING && str_is(use->text, "sig"))) return "its `use` is not sig";
    if (ops && ops->kind != JSON_ARRAY) return "its `key_ops` is no list";
    key->may_verify = !ops || lists(ops, "verify");
    key->may_sign = key->is_private && (!ops || lists(ops, "sign"));
    return key->may_verify || key->may_sign ? NULL : "its `key_ops` name neither sign nor verify";
}

static uint32_t bits_of(Str bytes) {
    while (bytes.len && !bytes.ptr[0]) bytes.ptr++, bytes.len--;
    return bytes.len > JWS_RSA_BITS_MAX ? UINT32_MAX : (uint32_t)bytes.len * 8 - (bytes.len ? (uint32_t)__builtin_clz((uint32_t)(uint8_t)bytes.ptr[0]) - 24 : 0);
}

static const char *read_rsa(const Json *jwk, Arena *arena, JwsKey *key) {
    Str n, e;
    if (!base64url_decode(json_get_text(jwk, "n"), arena, &n) || !base64url_decode(json_get_text(jwk, "e"), arena, &e)) return "its n or e is not base64url";
    key->family = FAMILY_RSA;
    key->bits = bits_of(n);
    key->is_private = json_get(jwk, "d") != NULL;
    if (key->bits < JWS_RSA_BITS_MIN || key->bits > JWS_RSA_BITS_MAX) return "its modulus has fewer bits than JWS_RSA_BITS_MIN (2048) or more than JWS_RSA_BITS_MAX (8192)";
    if (!e.len || e.len > 8 || !(e.ptr[e.len - 1] & 1) || bits_of(e) < 2) return "its exponent is not an odd number above 1 of at most 64 bits";
    return NULL;
}

static const char *read_secret(const Json *jwk, Arena *arena, JwsKey *key) {
    Str k;
    if (!base64url_decode(json_get_text(jwk, "k"), arena, &k)) return "its k is not base64url";
    key->family = FAMILY_SECRET;
    key->bits = (uint32_t)k.len * 8;
    key->is_private = true;
    return k.len < algs[JWS_HS256].secret_min ? "its secret is shorter than 32 bytes" : NULL;
}

static const char *read_curve(const Json *jwk, Arena *arena, JwsKey *key) {
    Str curve = json_get_text(jwk, "crv"), point;
    if (!str_is(curve, "P-256") && !str_is(curve, "P-384") && !str_is(curve, "P-521")) return "its curve is none of P-256, P-384, P-521";
    if (!base64url_decode(json_get_text(jwk, "x"), arena, &point) || !base64url_decode(json_get_text(jwk, "y"), arena, &point)) return "its x or y is not base64url";
    key->family = FAMILY_EC;
    key->curve = strndup(curve.ptr, curve.len);
    key->is_private = json_get(jwk, "d") != NULL;
    return NULL;
}

/* NULL, or why this JWK is no key for us. What it fills in is freed by key_free either way. */
static const char *read_key(const Json *jwk, JwsKeyRule rule, Arena *arena, JwsKey *key) {
    Str kty = json_get_text(jwk, "kty"), kid = json_get_text(jwk, "kid");
    const Json *alg = json_get(jwk, "alg"), *kid_json = json_get(jwk, "kid");
    bool secret = str_is(kty, "oct");
    const char *why = str_is(kty, "RSA") ? read_rsa(jwk, arena, key) : str_is(kty, "EC") ? read_curve(jwk, arena, key) : secret ? read_secret(jwk, arena, key) : "its kty is none of RSA, EC, oct";
    if (!why) why = read_purpose(jwk, key);
    if (why) return why;
    if (secret && rule == JWS_KEYS_PUBLIC) return "a symmetric key that is published is no secret";
    if (kid_json && (kid_json->kind != JSON_STRING || kid.len > JWS_KID_MAX || memchr(kid.ptr, 0, kid.len))) return "its kid is not a text of at most JWS_KID_MAX (256) bytes";
    key->kid = strndup(kid.len ? kid.ptr : "", kid.len);
    key->alg = alg && alg->kind == JSON_STRING ? jws_alg_of(alg->text) : JWS_ALG_NONE;
    if (alg && (key->alg == JWS_ALG_NONE || !jws_key_fits(key, key->alg))) return "its alg is not known or not one of its type and size";
    Buf text = { 0 };
    json_print(&text, jwk);
    key->jwk = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    explicit_bzero(text.ptr, text.len);
    buf_free(&text);
    return key->jwk ? NULL : "it is not JSON that can be kept";
}

bool jws_key_fits(const JwsKey *key, JwsAlg alg) {
    if (alg == JWS_ALG_NONE || algs[alg].family != key->family || (key->alg != JWS_ALG_NONE && key->alg != alg)) return false;
    if (key->family == FAMILY_EC) return strcmp(key->curve, algs[alg].curve) == 0;
    return key->bits >= algs[alg].secret_min * 8;
}

Str jws_key_kid(const JwsKey *key) { return str_of(key->kid); }
JwsAlg jws_key_alg(const JwsKey *key) { return key->alg; }
bool jws_key_signs(const JwsKey *key) { return key->may_sign; }

Err jws_keys_read(Str text, JwsKeyRule rule, JwsKeys *out, uint32_t *skipped, Error *error) {
    Arena *arena = arena_new();
    Json *json = NULL;
    *out = (JwsKeys){ 0 };
    Err err = json_parse(arena, text, JWS_KEYS_TEXT_MAX, &json, error);
    const Json *set = err ? NULL : json_get(json, "keys");
    Json *one[1] = { json }, **items = set ? set->items : one;
    size_t count = set ? set->count : 1;
    const char *why = NULL;
    if (!err && (json->kind != JSON_OBJECT || (set && set->kind != JSON_ARRAY))) err = err_set(error, ERR_INVALID, "cannot read keys: neither a JWK nor a set of them");
    if (!err && count > JWS_KEYS_MAX) err = err_set(error, ERR_LIMIT, "cannot read keys: more than JWS_KEYS_MAX (%d) in a set", JWS_KEYS_MAX);
    for (size_t i = 0; !err && i < count; i++) {
        JwsKey *key = mem_alloc(sizeof *key);
        const char *refused = items[i]->kind == JSON_OBJECT ? read_key(items[i], rule, arena, key) : "it is no object";
        if (refused) { why = refused; key_free(key); continue; }
        out->items = mem_realloc(out->items, (out->count + 1) * sizeof *out->items);
        out->items[out->count++] = key;
    }
    if (skipped) *skipped = err ? 0 : (uint32_t)(count - out->count);
    if (!err && !set && !out->count) err = err_set(error, ERR_INVALID, "cannot use the key: %s", why);
    if (!err && !out->count) err = err_set(error, ERR_INVALID, "cannot use the keys: %s", why ? why : "the set is empty");
    arena_free(arena);
    return err;
}

static void print_json(json_t *json, Buf *out) {
    char *text = json_dumps(json, JSON_COMPACT);
    if (!text) abort();
    buf_put_text(out, text);
    explicit_bzero(text, strlen(text));
    free(text);
}

void jws_keys_generate(JwsAlg alg, Buf *out) {
    jose_cfg_t *cfg = config();
    json_t *jwk = checked(json_object());
    put(jwk, "alg", checked(json_string(algs[alg].name)));
    if (!jose_jwk_gen(cfg, jwk)) abort();                     /* without memory or randomness */
    put(jwk, "kid", checked(jose_jwk_thp(cfg, jwk, "S256")));
    put(jwk, "use", checked(json_string("sig")));
    json_object_del(jwk, "key_ops");                          /* `use` says it */
    buf_put_text(out, "{\"keys\":[");
    print_json(jwk, out);
    buf_put_text(out, "]}");
    json_decref(jwk);
    jose_cfg_decref(cfg);
}

void jws_keys_print_public(const JwsKeys *keys, Buf *out) {
    bool first = true;
    buf_put_text(out, "{\"keys\":[");
    for (uint32_t i = 0; i < keys->count; i++) {
        const JwsKey *key = keys->items[i];
        json_t *jwk = key->family == FAMILY_SECRET ? NULL : checked(json_object());
        static const char *const shown[] = { "kty", "use", "alg", "kid", "n", "e", "crv", "x", "y" };           /* named one by one: what is not known here is not shown */
        for (size_t f = 0; jwk && f < sizeof shown / sizeof *shown; f++) {
            json_t *value = json_object_get(key->jwk, shown[f]);
            if (value && json_object_set(jwk, shown[f], value)) abort();
        }
        if (!jwk) continue;
        buf_put_text(out, first ? "" : ",");
        print_json(jwk, out);
        json_decref(jwk);
        first = false;
    }
    buf_put_text(out, "]}");
}

/* ---- tokens ---------------------------------------------------------------------------------------------- */

static bool split(Str text, Str parts[3]) {
    for (int i = 0; i < 3; i++) {
        const char *dot = memchr(text.ptr, '.', text.len);
        if (!dot != (i == 2)) return false;
        size_t len = dot ? (size_t)(dot - text.ptr) : text.len;
        parts[i] = (Str){ text.ptr, len };
        if (!len) return false;
        if (dot) text.ptr += len + 1, text.len -= len + 1;
    }
    return true;
}

static const char *read_object(Str part, Arena *arena, const Json **out) {
    Str bytes;
    Json *json = NULL;
    if (!base64url_decode(part, arena, &bytes)) return "a part is not base64url as it would be written";
    if (json_parse(arena, bytes, JWS_TOKEN_MAX, &json, NULL) != ERR_OK || json->kind != JSON_OBJECT) return "header or payload is not a JSON object without duplicate keys";
    *out = json;
    return NULL;
}

static bool text_or_absent(const Json *object, const char *key, Str *out) {
    const Json *value = json_get(object, key);
    *out = json_get_text(object, key);
    return !value || value->kind == JSON_STRING;
}

const char *jws_read(Str text, Arena *arena, JwsToken *out) {
    *out = (JwsToken){ 0 };
    if (text.len > JWS_TOKEN_MAX) return "the token is longer than JWS_TOKEN_MAX (16384 bytes)";
    if (!text.len || !split(text, out->parts)) return "a token has three parts";
    Str alg, signature;
    const char *why = read_object(out->parts[0], arena, &out->header);
    if (!why) why = read_object(out->parts[1], arena, &out->payload);
    if (why) return why;
    if (!base64url_decode(out->parts[2], arena, &signature)) return "a part is not base64url as it would be written";
    static const char *const refused[] = { "crit", "jku", "x5u", "jwk", "x5c", "b64", "zip", "enc" };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (json_get(out->header, refused[i])) return "the header brings a key, or asks for rules that are not known here";
    if (!json_get(out->header, "alg") || !text_or_absent(out->header, "alg", &alg) || !text_or_absent(out->header, "kid", &out->kid) || !text_or_absent(out->header, "typ", &out->typ))
        return "alg, kid and typ of a header are texts";
    out->alg = jws_alg_of(alg);
    if (out->alg == JWS_ALG_NONE) return "its algorithm is not one of ours";
    return out->kid.len > JWS_KID_MAX ? "its kid is longer than JWS_KID_MAX (256 bytes)" : NULL;
}

bool jws_verify(const JwsToken *token, const JwsKey *key, JwsAlg pinned) {
    if (pinned == JWS_ALG_NONE || token->alg != pinned || !key->may_verify || !jws_key_fits(key, pinned)) return false;
    jose_cfg_t *cfg = config();
    json_t *jws = checked(json_object());
    put(jws, "protected", text_of(token->parts[0]));
    put(jws, "payload", text_of(token->parts[1]));
    put(jws, "signature", text_of(token->parts[2]));
    bool good = jose_jws_ver(cfg, jws, NULL, key->jwk, false);
    json_decref(jws);
    jose_cfg_decref(cfg);
    return good;
}

static bool put_part(json_t *jws, const char *name, Buf *out) {
    const json_t *part = json_object_get(jws, name);
    if (!json_string_value(part)) return false;
    buf_put(out, json_string_value(part), json_string_length(part));
    return true;
}

Err jws_sign(const JwsKey *key, JwsAlg alg, Str typ, Str payload_json, Buf *out, Error *error) {
    if (!key->may_sign || !jws_key_fits(key, alg)) return err_set(error, ERR_INVALID, "cannot sign with %s: the key is not made for it", jws_alg_name(alg));
    jose_cfg_t *cfg = config();
    json_t *jws = checked(json_object()), *sig = checked(json_object()), *header = checked(json_object());
    Buf payload = { 0 };
    base64url_encode(payload_json, &payload);
    put(header, "alg", checked(json_string(algs[alg].name)));
    if (key->kid[0]) put(header, "kid", checked(json_string(key->kid)));
    if (typ.len) put(header, "typ", text_of(typ));
    put(sig, "protected", header);
    put(jws, "payload", text_of(buf_str(&payload)));
    size_t start = out->len;
    bool good = jose_jws_sig(cfg, jws, sig, key->jwk) && put_part(jws, "protected", out);
    if (good) buf_put_char(out, '.'), buf_put_str(out, buf_str(&payload)), buf_put_char(out, '.');
    good = good && put_part(jws, "signature", out);
    if (!good) out->len = start;
    buf_free(&payload);
    json_decref(jws), json_decref(sig);
    jose_cfg_decref(cfg);
    return good ? ERR_OK : err_set(error, ERR_INVALID, "cannot sign with %s: the key is broken", jws_alg_name(alg));
}
