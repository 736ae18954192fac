/* signature.h - was this request signed by who shares the secret, and just now?
 *
 * Both schemes are HMAC-SHA256 over the body and a timestamp. Several secrets stand in one text, separated by commas or spaces, while one replaces
 * another; every signature is compared with every secret, in constant time. A timestamp further away from now than the tolerance, in either
 * direction, is no signature: it would be a request that somebody kept.
 *
 *   Stripe              `Stripe-Signature` or `X-Stripe-Signature`: t=SECONDS,v1=HEX,…   over "t.body"; other schemes in it are ignored
 *   Standard Webhooks   `webhook-id`, `webhook-timestamp`, `webhook-signature`: v1,BASE64 …   over "id.timestamp.body"; secrets as `whsec_BASE64`
 */
#ifndef GATEWAY_SIGNATURE_H
#define GATEWAY_SIGNATURE_H
#include "base/arena.h"
#include "interpreter/bytecode/image.h"
#include "interpreter/net/http_server.h"

enum { SIGNATURES_MAX = 16, SECRETS_MAX = 8 };           /* looked at, of one request; of one webhook */

/* NULL: it is. Else why not, a fixed text that tells nothing of the secret. */
const char *signature_check(uint8_t scheme /* VERIFY_* */, Str secrets, const HttpServerRequest *request, int64_t now_us, int64_t tolerance_us, Arena *arena);
/* NULL: `secrets` can be used for that scheme. Else what is wrong with it, without its text. */
const char *signature_secrets_bad(uint8_t scheme, Str secrets, Arena *arena);
#endif
