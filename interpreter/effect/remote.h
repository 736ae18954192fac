/* remote.h - a tool that lives behind HTTP: its call as a request, the answer as a value or an error of the run.
 *
 * Parameters named in the tool's path ("/trips/{id}") go there; of the rest a GET or DELETE sends a query string without its nulls, the others a
 * JSON object. What comes back is input: bounded, parsed and checked against the tool's result type.
 *
 * Statuses become error kinds: 400 and 422 invalid, 401 and 403 denied, 404 and 410 not_found, 408 and 504 timeout, 409 and 412 conflict,
 * 429 rate_limited, other 4xx and 3xx rejected, other 5xx unavailable. Failures of the network have a code (ECONNRESET …) and status 0.
 */
#ifndef EFFECT_REMOTE_H
#define EFFECT_REMOTE_H
#include "interpreter/net/http_client.h"
#include "interpreter/vm/value.h"

enum { REMOTE_URL_MAX = 8192 };

typedef struct RemoteCall {
    Str idempotency_key, bearer;                         /* empty: none */
    int64_t timeout_us;
    const Value *args;                                   /* of tool->params */
} RemoteCall;

/* Fills *out from the arena. ERR_INVALID: no base URL, a null in the path. ERR_LIMIT: REMOTE_URL_MAX. ERR_UNSUPPORTED: an agent reached by another protocol. */
Err remote_request(const Image *image, const ImageTool *tool, const RemoteCall *call, Arena *arena, HttpRequest *out, Error *error);
/* For a service that is reached without HTTP: the tool's bare name, and all its parameters as a JSON object. */
Str  remote_tool_name(const ImageTool *tool);
Str  remote_body(const Image *image, const ImageTool *tool, const Value *args, Arena *arena);
/* True: *out is the result. False: *out is an error value. Either is a new reference. */
bool remote_result(const Image *image, const ImageTool *tool, const HttpResponse *response, int64_t now_us, Value *out);
ErrorKind remote_status_kind(int status);
#endif
