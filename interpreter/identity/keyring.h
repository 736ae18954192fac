/* keyring.h - the keys that somebody signs with: a set at a URL or in a file, kept for a while.
 *
 * A set at a URL is fetched when it is first needed, again after KEYRING_FRESH_US, and once when a key is asked for that is not in it (a rotation), but not
 * more often than every KEYRING_REFETCH_US whatever is asked for. While it cannot be fetched the old one serves until KEYRING_STALE_US. Keys that are
 * in a new set no more are gone. A file is read when the ring is opened and under the same rules.
 */
#ifndef IDENTITY_KEYRING_H
#define IDENTITY_KEYRING_H
#include "interpreter/identity/jws.h"
#include "interpreter/net/http_client.h"

#define KEYRING_FRESH_US   (600 * INT64_C(1000000))
#define KEYRING_REFETCH_US (10 * INT64_C(1000000))
#define KEYRING_RETRY_US   (1 * INT64_C(1000000))             /* while there is no key at all */
#define KEYRING_STALE_US   (3600 * INT64_C(1000000))          /* since it was fetched */
#define KEYRING_TIMEOUT_US (10 * INT64_C(1000000))
enum { KEYRING_WAITING_MAX = 4096 };                          /* who may wait for a fetch at once */

typedef struct Keyring Keyring;
typedef int64_t (*KeyringClock)(void *arg);

/* `place`: https://…, http:// on loopback, or a file. ERR_INVALID: none of them, or the file has no key; a URL is not asked yet. */
Err  keyring_open(HttpClient *http, const char *place, KeyringClock now, void *now_arg, Keyring **out, Error *error);
Err  keyring_open_text(Str jwks, KeyringClock now, void *now_arg, Keyring **out, Error *error);       /* a set that never changes */
void keyring_free(Keyring *ring);                             /* who waits is not called any more */
/* `done(true)` when the ring has been brought up to date as far as the rules want for that key; `done(false)`: there are no keys to be had now. It may come before this returns. */
typedef void (*KeyringDone)(bool available, void *arg);
void keyring_ask(Keyring *ring, Str kid, JwsAlg alg, KeyringDone done, void *arg);
/* One of the ring's keys made this signature with `pinned` (JWS_ALG_NONE: with the key's own `alg`, which it must have): that of the token's kid; a token without one is verified only if a single key could be meant. Inside `done`. */
bool keyring_verify(const Keyring *ring, const JwsToken *token, JwsAlg pinned);
const JwsKey *keyring_signer(const Keyring *ring);            /* the first key, if it is private and has an `alg`; borrowed until the next keyring_ask */
uint64_t keyring_generation(const Keyring *ring);             /* another one with each new set */
bool keyring_is_fresh(const Keyring *ring);                   /* the set need not be asked for again yet */
void keyring_print_public(const Keyring *ring, Buf *out);
bool keyring_url_ok(Str url);                                 /* https, or http on loopback */
#endif
