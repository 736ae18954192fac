/* match.h - which route or webhook a request is for.
 *
 * The table keeps the most specific path first: a text before a parameter, from left to right, so the first that fits is the one. Images are borrowed.
 */
#ifndef GATEWAY_MATCH_H
#define GATEWAY_MATCH_H
#include "base/arena.h"
#include "interpreter/bytecode/image.h"
#include "interpreter/bytecode/route.h"

typedef struct Target {
    Image *image;
    const ImageRoute *route;             /* one of these two, the other NULL */
    const ImageWebhook *webhook;
    RouteSegment segments[ROUTE_SEGMENTS_MAX]; int segment_count;
} Target;
typedef struct Targets { Target **items; uint32_t count, cap; } Targets;      /* starts as zeros */

Str  target_method(const Target *target);
Str  target_path(const Target *target);
/* ERR_CONFLICT: there is one of that method and shape. */
Err  targets_add(Targets *targets, Image *image, const ImageRoute *route, const ImageWebhook *webhook, Error *error);
void targets_free(Targets *targets);
/* NULL: none. *allow: the methods that the path has, "GET, POST", in the arena; empty: it is no path of ours. */
const Target *targets_find(const Targets *targets, Str method, Str path, Arena *arena, Str *allow);
/* The text of path parameter number i of the target, a part of `path`, which it matched. */
Str  target_param(const Target *target, Str path, int segment);
#endif
