/* identity_internal.h - what the files of identity share. */
#ifndef IDENTITY_IDENTITY_INTERNAL_H
#define IDENTITY_IDENTITY_INTERNAL_H
#include "base/hash.h"
#include "base/map.h"
#include "interpreter/identity/claims.h"
#include "interpreter/identity/identity.h"
#include "interpreter/identity/keyring.h"
#include "interpreter/store/store.h"

#define REVOCATION_KEPT_US (IDENTITY_TOKEN_LIFE_MAX_US + 2 * IDENTITY_SKEW_US)
#define VERIFIED_KEPT_US   (60 * TIME_SECOND)                  /* how long a good signature is remembered */
enum {
    REVOCATION_CACHE_MAX = 65536,        /* sessions whose state is remembered; one more, and all are asked again */
    VERIFIED_MAX = 8192,                 /* tokens that are remembered; one more, and all are verified again */
};

typedef struct Check Check;
typedef struct Oidc Oidc;

/* Who signs: a pinned issuer, audience, algorithm and typ, and its keys. */
typedef struct Issuer {
    Str issuer, audience, typ;
    JwsAlg alg;                          /* JWS_ALG_NONE: each key's own `alg` */
    Keyring *keys;
} Issuer;

struct Identity {
    struct event_base *loop;
    HttpClient *http;
    Store *store;                        /* NULL: nothing is ever revoked */
    Arena *arena;                        /* the configuration's texts */
    int64_t (*now)(void *arg); void *now_arg;
    Issuer own, trusted;                 /* trusted.keys NULL: there is none */
    Oidc *oidc;                          /* NULL: there is none */
    bool insecure_cookies, closed;
    uint32_t holds;                      /* callbacks of the store that still look at it: it is freed after the last one */
    Map seen;                            /* tenant NUL session -> Seen */
    Map verified;                        /* SHA-256 of a token -> Verified */
    Check *checks;                       /* under way */
    struct ServiceTask *services;
};

int64_t identity_now(const Identity *identity);
bool    identity_release(Identity *identity);                 /* false: it was closed meanwhile, and may be gone now */
Err     identity_mint_at(Identity *identity, const Principal *principal, int64_t issued_us, Buf *out, Error *error);          /* identity_mint with another iat */
int64_t identity_clock(void *identity);

void service_close(Identity *identity);  /* service.c */

/* verified.c: True: the token was good a moment ago, and is still in its time; *out lives in the arena. */
bool verified_find(const Identity *identity, Str token, Arena *arena, Principal *out);
void verified_learn(Identity *identity, Str token, const Issuer *issuer, const Principal *principal);
void verified_forget(Identity *identity);

/* revocation.c */
typedef struct Seen { int64_t checked_us; bool revoked; char key[]; } Seen;
/* AUTH_OK, AUTH_REVOKED, or AUTH_UNAVAILABLE: not known well enough, the store has to be asked. */
AuthOutcome revocation_known(const Identity *identity, Str tenant, Str session_id);
void revocation_learn(Identity *identity, Str tenant, Str session_id, bool revoked);
void revocation_forget(Identity *identity);
#endif
