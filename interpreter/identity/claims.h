/* claims.h - what a verified token says (RFC 7519, RFC 9068): whether it is meant for us now, and whom it names.
 *
 * Only for tokens whose signature was verified. Every claim has its type: a date that is a text, a list that is none, a text with control characters refuses
 * the token. `exp`, `iat` and `iss` must be there. Texts are borrowed from the token's arena.
 */
#ifndef IDENTITY_CLAIMS_H
#define IDENTITY_CLAIMS_H
#include "interpreter/identity/identity.h"
#include "interpreter/identity/jws.h"

typedef struct ClaimRules {
    Str issuer, audience;
    Str typ;                             /* as the header must say it, without "application/"; empty: any but at+jwt, or none (ID tokens) */
    bool sole_audience;                  /* an ID token: of several audiences `azp` must name ours, and `azp` is never anybody else */
    int64_t now_us, skew_us;
} ClaimRules;

/* AUTH_OK, AUTH_BAD, AUTH_EXPIRED, AUTH_WRONG_AUDIENCE; *why is a fixed text. */
AuthOutcome claims_check(const JwsToken *token, const ClaimRules *rules, int64_t *expires_us, const char **why);
/* tenant_id and user_id (or sub; both: the same) must be there, session_id if `session`; `scopes`, or the standard's `scope`. */
AuthOutcome claims_principal(const Json *payload, bool session, Arena *arena, Principal *out, const char **why);
bool claims_time(const Json *payload, const char *name, int64_t *us);          /* false: not there, or no date */
bool claims_text_ok(Str text);           /* 1 to PRINCIPAL_TEXT_MAX bytes of UTF-8 without control characters */
/* The payload of a session token. */
void claims_print(const Principal *principal, Str issuer, Str audience, int64_t now_us, Buf *out);
#endif
