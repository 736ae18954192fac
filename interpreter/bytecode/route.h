/* route.h - paths of routes: "/api/v1/trips/{trip_id}".
 *
 * A path is '/' alone or segments with a '/' before each. A segment is text of the characters that stand in a path as they are (letters, digits, - . _ ~),
 * not "." or "..", or a parameter in braces with the name of an identifier. Two paths have one shape when they have as many segments, with the
 * same text where both have text and a parameter in the same places: of two such routes with one method nobody could say which is meant.
 */
#ifndef BYTECODE_ROUTE_H
#define BYTECODE_ROUTE_H
#include "base/str.h"

enum { ROUTE_PATH_MAX = 512, ROUTE_SEGMENTS_MAX = 32 };
typedef struct RouteSegment { Str text /* without braces */; bool is_param; } RouteSegment;

/* Its segments (views into `path`) and how many; -1 and why (static text) when it is none or beyond a limit. `segments` has room for ROUTE_SEGMENTS_MAX. */
int  route_split(Str path, RouteSegment *segments, const char **why);
bool route_same_shape(Str a, Str b);     /* false when one of them is no path */
bool route_method_known(Str method);     /* GET POST PUT PATCH DELETE */
bool route_has_body(Str method);         /* parameters that stand in no segment come from the body, else from the query */
/* The part of all paths it lies in that the server keeps for itself, "/runs" of "/runs/7"; an empty string when it is free. */
Str  route_reserved(Str path);
#endif
