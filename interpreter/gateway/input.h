/* input.h - a request as the input of a flow: one JSON object of its parameters.
 *
 * {segments} of the path, else the query (GET, DELETE), else the fields of the JSON body. What is text in a URL becomes what its parameter's type wants where
 * that is plain (numbers, bools, lists of them); whether it fits is the engine's check, which refuses with a JSON pointer.
 */
#ifndef GATEWAY_INPUT_H
#define GATEWAY_INPUT_H
#include "base/json.h"
#include "interpreter/gateway/match.h"
#include "interpreter/gateway/reply.h"

/* False: *reply refuses. *json lives in the arena. */
bool input_read(const Target *target, const HttpServerRequest *request, Arena *arena, Str *json, Reply *reply);
/* The body as JSON; an empty one is NULL. False: *reply refuses (another media type, no JSON). */
bool input_body(const HttpServerRequest *request, Arena *arena, Json **out, Reply *reply);
#endif
