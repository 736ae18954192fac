/* oidc.h - login at an OpenID provider: OAuth 2.0 code flow with PKCE (RFC 7636, RFC 9700), ID token verified by the provider's JWKS.
 *
 * The provider is one, named by configuration. Its endpoints come from its discovery document, whose `issuer` must be the configured one to the byte; all of
 * them must be https (or http on loopback). What it answers is untrusted: bounded, parsed strictly, and refused with a fixed text.
 * State, nonce, verifier, code and tokens are in no Error and no log.
 */
#ifndef IDENTITY_OIDC_H
#define IDENTITY_OIDC_H
#include "interpreter/identity/identity_internal.h"

#define OIDC_LOGIN_US     (600 * TIME_SECOND)                 /* so long a login may take */
#define OIDC_DISCOVERY_US (3600 * TIME_SECOND)                /* how long a discovery document is kept */
#define OIDC_RETRY_US     (5 * TIME_SECOND)                   /* after a discovery that failed */
#define OIDC_TIMEOUT_US   (10 * TIME_SECOND)                  /* of each request to the provider */
enum { OIDC_SECRET_CHARS = 43 /* 32 random bytes */, OIDC_DOCUMENT_MAX = 64 << 10, OIDC_CODE_MAX = 2048, OIDC_WAITING_MAX = 1000 };

/* ERR_INVALID: the configuration is incomplete; NULL in *out when there is none at all. */
Err  oidc_open(Identity *identity, const IdentityOptions *options, Oidc **out, Error *error);
void oidc_close(Oidc *oidc);                                  /* nobody who waits is called any more */

typedef struct OidcLogin { char state[OIDC_SECRET_CHARS + 1], nonce[OIDC_SECRET_CHARS + 1], verifier[OIDC_SECRET_CHARS + 1]; } OidcLogin;
void oidc_login_new(OidcLogin *out);
void oidc_state_hash(Str state, char out[SHA256_HEX + 1]);    /* what is stored of it */

/* Whom the provider says it is. */
typedef struct OidcUser { Str issuer, subject, email, name; bool email_verified; } OidcUser;
typedef enum { OIDC_OK, OIDC_DENIED /* the provider or what it sent was refused: never again the same */, OIDC_UNAVAILABLE } OidcOutcome;

typedef struct OidcTask OidcTask;
/* url: where the browser goes; user: of an exchange. Either lives until the callback returns. `why` is a fixed text. */
typedef void (*OidcDone)(OidcOutcome outcome, const char *why, Str url, const OidcUser *user, void *arg);
/* The callback may come before these return, and then they return NULL. A cancelled task calls nobody. */
OidcTask *oidc_authorize(Oidc *oidc, const OidcLogin *login, OidcDone done, void *arg);
OidcTask *oidc_exchange(Oidc *oidc, Str code, Str issuer /* of the answer, RFC 9207; empty: it had none */, Str nonce, Str verifier, OidcDone done, void *arg);
void oidc_cancel(OidcTask *task);
#endif
