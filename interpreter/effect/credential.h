/* credential.h - the bearer tokens of remote agents.
 *
 * Read once from FLOW_CREDENTIAL_<NAME> (upper case, other characters as _): a plain token, or JSON {"access_token", "refresh_token", "token_url"}.
 * A renewed access token lives in memory only: after a restart the one of the environment is used again, answered 401, and renewed once more by
 * the program's own `refresh`; nothing secret is written to a store.
 */
#ifndef EFFECT_CREDENTIAL_H
#define EFFECT_CREDENTIAL_H
#include "interpreter/net/http_client.h"
#include "base/arena.h"

typedef struct Credentials Credentials;
enum { CREDENTIAL_MAX = 16 << 10 };

Credentials *credentials_new(void);
void credentials_free(Credentials *credentials);
Str  credentials_token(Credentials *credentials, Str name);            /* empty: none known; borrowed until it is renewed */
/* The request that renews it. ERR_NOT_FOUND: no such credential; ERR_INVALID: it cannot be renewed. */
Err  credentials_refresh_request(Credentials *credentials, Str name, Arena *arena, HttpRequest *out, Error *error);
/* Takes the new token from the answer. ERR_INVALID with a text when there is none in it. */
Err  credentials_refreshed(Credentials *credentials, Str name, const HttpResponse *response, Error *error);
#endif
