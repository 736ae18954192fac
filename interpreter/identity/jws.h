/* jws.h - signatures of tokens (RFC 7515, compact form), by libjose behind a strict reader.
 *
 * A token never chooses how it is verified: the algorithm is the one its verifier pinned, the key must be made for it, and the header has to say the same.
 * A header that brings or points to a key (jwk, jku, x5u, x5c), or asks for rules that we do not know (crit, b64), is refused. Every part is base64url as its
 * own encoder would write it; header and payload are JSON objects without duplicate keys. `none` is no algorithm here.
 *
 * Keys are JWKs (RFC 7517). Untrusted sets are bounded; what in a set is no key for signatures is skipped, as the RFC wants, and counted.
 */
#ifndef IDENTITY_JWS_H
#define IDENTITY_JWS_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

enum {
    JWS_TOKEN_MAX = 16 << 10,            /* bytes of a token, as text */
    JWS_KEYS_TEXT_MAX = 256 << 10,       /* bytes of a set of keys */
    JWS_KEYS_MAX = 64,                   /* keys of a set */
    JWS_KID_MAX = 256,
    JWS_RSA_BITS_MIN = 2048, JWS_RSA_BITS_MAX = 8192,
};

typedef enum {
    JWS_ALG_NONE, JWS_HS256, JWS_HS384, JWS_HS512, JWS_RS256, JWS_RS384, JWS_RS512, JWS_PS256, JWS_PS384, JWS_PS512, JWS_ES256, JWS_ES384, JWS_ES512, JWS_ALG_COUNT
} JwsAlg;
JwsAlg jws_alg_of(Str name);                                  /* JWS_ALG_NONE: not one of ours */
const char *jws_alg_name(JwsAlg alg);

typedef struct JwsKey JwsKey;
typedef struct JwsKeys { JwsKey **items; uint32_t count; } JwsKeys;      /* owns its keys */

typedef enum { JWS_KEYS_OWN /* symmetric and private ones too */, JWS_KEYS_PUBLIC /* published: a symmetric key in it is nobody's secret, and skipped */ } JwsKeyRule;
/* One JWK or a set. ERR_INVALID, ERR_LIMIT: nothing can be read. *skipped (may be NULL): keys of the set that are not for verification here. */
Err  jws_keys_read(Str json, JwsKeyRule rule, JwsKeys *out, uint32_t *skipped, Error *error);
void jws_keys_free(JwsKeys *keys);
/* A set with one new private key; its kid is the thumbprint (RFC 7638). Text to be kept secret. */
void jws_keys_generate(JwsAlg alg, Buf *out);
void jws_keys_print_public(const JwsKeys *keys, Buf *out);    /* what others verify with; without symmetric ones */
Str    jws_key_kid(const JwsKey *key);                        /* may be empty */
JwsAlg jws_key_alg(const JwsKey *key);                        /* of its `alg`; JWS_ALG_NONE: it says none */
bool   jws_key_fits(const JwsKey *key, JwsAlg alg);           /* its type, size and own `alg` allow it */
bool   jws_key_signs(const JwsKey *key);

typedef struct JwsToken {
    JwsAlg alg;                          /* what the header says: to be compared, never obeyed */
    Str kid, typ;                        /* empty: it says none */
    const Json *header, *payload;        /* objects */
    Str parts[3];                        /* borrowed from the text */
} JwsToken;
/* NULL: *out is what it claims to be, unverified. Else why it is no token, a fixed text. */
const char *jws_read(Str text, Arena *arena, JwsToken *out);
/* True: `key` made this signature with `pinned`. */
bool jws_verify(const JwsToken *token, const JwsKey *key, JwsAlg pinned);
/* Appends the compact token. ERR_INVALID: the key cannot sign with that. */
Err  jws_sign(const JwsKey *key, JwsAlg alg, Str typ, Str payload_json, Buf *out, Error *error);
#endif
