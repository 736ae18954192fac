/* identity.h - who a request comes from, and what he may do.
 *
 * Tokens of two kinds are accepted: session tokens, signed by a key of this deployment, and, if one is configured, access tokens of one other issuer.
 * Each kind has its own pinned issuer, audience, algorithm, typ and keys; which kind a token claims to be is its `iss`, and then everything must fit.
 * Nothing is allowed by default: whatever cannot be decided (a key or the store cannot be reached) is AUTH_UNAVAILABLE, and denied.
 *
 * One event loop, one thread. Tokens, codes and keys appear in no log, no Error and no `why`.
 */
#ifndef IDENTITY_IDENTITY_H
#define IDENTITY_IDENTITY_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/time.h"

typedef struct Identity Identity;
typedef struct HttpClient HttpClient;
typedef struct Store Store;
struct event_base;

#define IDENTITY_ISSUER   "https://fidus.ai"
#define IDENTITY_AUDIENCE "fidus-api"
#define IDENTITY_COOKIE   "fidus_session"
#define IDENTITY_SESSION_US     (24 * 3600 * TIME_SECOND)     /* a session token's life */
#define IDENTITY_TOKEN_LIFE_MAX_US (30 * TIME_DAY)            /* the longest that can be made */
#define IDENTITY_SKEW_US        (30 * TIME_SECOND)            /* how far another clock may be off */
#define IDENTITY_REVOCATION_US  (1 * TIME_SECOND)             /* after this every process refuses a session that was revoked in any of them */
#define IDENTITY_PUBLIC_TENANT "public"                       /* whose runs and rows those of public routes are; no token can name it */
#define IDENTITY_SCOPE_ALL "admin:all"
enum { PRINCIPAL_LIST_MAX = 64, PRINCIPAL_TEXT_MAX = 256 };   /* roles, scopes; bytes of each claim's text */

typedef struct IdentityOptions {
    const char *keys_file;               /* FLOW_KEYS: a JWK set with this deployment's private keys, the first one signs; made with mode 0600 when there is none. NULL: keys.json in the state folder */
    const char *keys_json;               /* FLOW_KEYS_JSON: the set itself; before keys_file */
    const char *issuer, *audience;       /* FLOW_ISSUER, FLOW_AUDIENCE, of session tokens; NULL: IDENTITY_ISSUER, IDENTITY_AUDIENCE */
    /* Another issuer whose access tokens are taken as they are, with the same claims. NULL: none. */
    const char *trust_issuer;            /* FLOW_TRUST_ISSUER */
    const char *trust_audience;          /* FLOW_TRUST_AUDIENCE */
    const char *trust_alg;               /* FLOW_TRUST_ALG; NULL: RS256 */
    const char *trust_typ;               /* FLOW_TRUST_TYP; NULL: at+jwt */
    const char *trust_keys;              /* FLOW_TRUST_KEYS: the URL of its JWKS, or a file */
    /* Login at an OpenID provider (OAuth 2.0 code flow with PKCE). NULL: none. */
    const char *oidc_issuer;             /* FLOW_OIDC_ISSUER; its endpoints come from /.well-known/openid-configuration */
    const char *oidc_client_id, *oidc_client_secret;          /* FLOW_OIDC_CLIENT_ID, FLOW_OIDC_CLIENT_SECRET (none: a public client) */
    const char *oidc_redirect;           /* FLOW_OIDC_REDIRECT: where the provider sends the browser back to */
    const char *oidc_alg;                /* FLOW_OIDC_ALG, of ID tokens; NULL: RS256 */
    const char *oidc_scope;              /* FLOW_OIDC_SCOPE; NULL: openid email profile */
    bool insecure_cookies;               /* FLOW_INSECURE_COOKIES=1: cookies without Secure, for plain HTTP on loopback only */
    int64_t (*now)(void *arg); void *now_arg;                 /* NULL: the wall clock */
} IdentityOptions;
void identity_options_from_environment(IdentityOptions *out); /* FLOW_…; borrowed from the environment */

/* Reads or makes the keys. ERR_INVALID: the configuration cannot be used, the text says which word of it. `store` may be NULL: then nothing is ever revoked (tools that only mint). */
Err  identity_open(const IdentityOptions *options, struct event_base *loop, HttpClient *http, Store *store, Identity **out, Error *error);
void identity_close(Identity *identity);                      /* callbacks that are due do not come any more */

/* ---- who is it? --------------------------------------------------------------------------------------------- */
typedef struct Principal {
    Str tenant, user, email, session_id, device_id;           /* email, session_id, device_id may be empty */
    Str *roles; uint32_t role_count;
    Str *scopes; uint32_t scope_count;
    int64_t expires_us;
} Principal;

typedef enum {
    AUTH_OK,
    AUTH_NONE,                           /* no credential */
    AUTH_BAD,                            /* malformed, signature, algorithm, key, issuer, a claim that does not fit */
    AUTH_EXPIRED,
    AUTH_WRONG_AUDIENCE,
    AUTH_REVOKED,
    AUTH_UNAVAILABLE                     /* keys or the store could not be had: deny with 503 */
} AuthOutcome;
const char *auth_outcome_name(AuthOutcome outcome);           /* "ok", "none", "bad", … for metrics and tests */

/* The token of a request: of `Authorization: Bearer` if that header is there, else of the cookie. AUTH_OK: *token is borrowed from the header.
   AUTH_NONE, or AUTH_BAD: another scheme, or two cookies of that name. */
AuthOutcome identity_credential(Str authorization, Str cookie_header, Str *token, bool *by_cookie);

/* The principal lives in `arena`. `why` is a fixed text for logs, never part of the token. `done` may be called before it returns. */
typedef void (*IdentityDone)(AuthOutcome outcome, const Principal *principal, const char *why, void *arg);
void identity_authenticate(Identity *identity, Str token, Arena *arena, IdentityDone done, void *arg);

/* A browser sends cookies along whoever asks it to: with a cookie, a method that changes something needs proof that our own page asked. `Sec-Fetch-Site`
   must be same-origin where the browser sends it, else `Origin` must name this very host. Empty texts: the header is not there. */
bool identity_same_origin(const char *method, Str origin, Str sec_fetch_site, Str host);

/* Who asks without a token, on a public route: a name made from a cookie of his browser, so that a login ends where it began. *set_cookie is the value of
   a Set-Cookie when he had none yet, else empty. The name of the run's user; its tenant is IDENTITY_PUBLIC_TENANT. */
#define IDENTITY_VISITOR_COOKIE "__Host-fidus_visitor"         /* no neighbouring site can set one of that name; without Secure: the rest of it */
enum { VISITOR_CHARS = 24 };
Str identity_visitor(const Identity *identity, Str cookie_header, Arena *arena, Str *set_cookie);

/* ---- may he? -------------------------------------------------------------------------------------------------- */
/* True only if every one of `required` is among the scopes of the principal, or admin:all is. None required: true. *missing (may be NULL): the first that he has not. */
bool scope_allows(const Principal *principal, const Str *required, uint32_t count, Str *missing);

/* ---- sessions --------------------------------------------------------------------------------------------------- */
/* Appends a session token for the principal, valid until its expires_us. ERR_LIMIT, ERR_INVALID: it does not fit into one. */
Err  identity_mint(Identity *identity, const Principal *principal, Buf *out, Error *error);
/* Durable when `done` says ERR_OK; here at once, in other processes after IDENTITY_REVOCATION_US at the latest. */
typedef void (*IdentityRevoked)(Err err, const Error *error, void *arg);
void identity_revoke(Identity *identity, Str tenant, Str session_id, IdentityRevoked done, void *arg);
void identity_put_cookie(const Identity *identity, Str token, int64_t life_us, Buf *out);       /* the value of Set-Cookie; life 0: the cookie goes */
void identity_put_jwks(const Identity *identity, Buf *out);   /* the public keys of this deployment, as a JWK set */
#endif
