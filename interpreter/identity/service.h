/* service.h - the tools of `agent … at engine("identity")`: what a program may ask of the identity that the engine has.
 *
 * They are called as a service behind HTTP would be, with a JSON object of their parameters, and answer with a status and JSON; the types stand in
 * stdlib/agents/identity.flow.
 *
 *   begin_login()                     where the browser goes. State, nonce and verifier are durable before anybody hears of it.
 *   exchange(code, state, issuer?)    whom the provider says it is. The state is taken from the store before the provider is asked: whoever comes second, or
 *                                     from another browser, or after OIDC_LOGIN_US, is denied.
 *   open_session(…)                   a session in the store; its token is made by the gateway when it sets the cookie, and is in no journal.
 *   close_session(tenant_id, session_id)
 */
#ifndef IDENTITY_SERVICE_H
#define IDENTITY_SERVICE_H
#include "interpreter/bytecode/image.h"
#include "interpreter/identity/identity.h"
#include "interpreter/net/http_client.h"

typedef struct ServiceCall {
    const Image *image;                  /* whose roles grant scopes */
    Str tool, body;                      /* JSON object of its parameters */
    Str run_id, user, key;               /* who asks: the run, its user; what stays the same when the run asks again */
} ServiceCall;

typedef struct ServiceTask ServiceTask;
/* The callback may come before this returns, and then it returns NULL. The call's texts are copied. A cancelled task calls nobody; what it began in the store stays. It is
   cancelled or has answered, one of the two, also when the identity was closed before. */
ServiceTask *service_call(Identity *identity, const ServiceCall *call, HttpDone done, void *arg);
void service_cancel(ServiceTask *task);

/* The token of a session that open_session of this very run gave; once asked, while it is young (SERVICE_MINT_US). ERR_NOT_FOUND: there is none. */
#define SERVICE_MINT_US (60 * TIME_SECOND)
typedef void (*ServiceToken)(Err err, const Error *error, Str token, int64_t life_us, void *arg);
void service_mint(Identity *identity, Str session, Str run_id, ServiceToken done, void *arg);
#endif
