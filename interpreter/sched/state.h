/* state.h - sessions and contexts between values and hot state: keys, fields, records. Used by runs and by tests.
 *
 * A session is the entry session:{id}:{name}, a context the entry coordination:{correlation id}.{name}, each of the tenant; every field is JSON
 * under its name. What stands there may be older than the program: a field that does not fit its type any more counts as never saved.
 * A context also holds coordination_id, tenant_id, user_id and opened_by: whose coordination it is.
 */
#ifndef SCHED_STATE_H
#define SCHED_STATE_H
#include "interpreter/store/hot.h"
#include "interpreter/vm/value.h"

enum { STATE_ID_MAX = 400 };                                           /* bytes of a session id: HOT_KEY_MAX less what is around it */

/* ERR_INVALID for an empty id, ERR_LIMIT for one beyond STATE_ID_MAX. `id`: the session id, or the correlation id of the run. */
Err state_key(const ImageState *state, Str id, Arena *arena, Str *key, Error *error);
/* The fields of `record` whose bits are set, as JSON; texts in the arena. */
HotField *state_fields(const Image *image, const ImageState *state, Value record, uint64_t mask, Arena *arena, uint32_t *count);
/* The record that the entry holds, a new reference: missing and unfitting fields have their default or are null. */
Err state_record(const Image *image, const ImageState *state, const HotField *fields, uint32_t count, Value *out, Error *error);
#endif
