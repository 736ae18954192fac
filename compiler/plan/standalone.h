/* standalone.h - a plan as a program of its own: the image of its agents with the plan in it, and a flow `plan() -> json` that runs it.
 *
 * For files (`flowc plan build`): what `flowd run` gets is one image like any other, which knows nothing of plans. The meter is the plan's own, scopes are
 * those that a caller of the flow needs. ERR_CONFLICT when the agents' program has a flow `plan` already.
 */
#ifndef COMPILER_PLAN_STANDALONE_H
#define COMPILER_PLAN_STANDALONE_H
#include "compiler/plan/plan.h"

/* `result`: ok, with nothing open. Appends the canonical bytes of the image, which have passed image_verify. */
Err plan_image(const PlanResult *result, Buf *out, Error *error);
#endif
