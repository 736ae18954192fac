/* ids.h - names for things: readable row ids, UUIDs, and ids that follow from what caused them.
 *
 * A derived id is the same each time it is made from the same cause, so that what is repeated after a crash meets the row that is already there.
 */
#ifndef EFFECT_IDS_H
#define EFFECT_IDS_H
#include "base/buf.h"

enum { IDS_TEXT_MAX = 64, IDS_RANDOM_CHARS = 10, IDS_DERIVED_CHARS = 20 };

void ids_new(Str prefix, char out[IDS_TEXT_MAX]);                      /* "BK-7Q3M…": prefix (cut to 40 bytes), 10 characters of Crockford's base 32 */
void ids_uuid7(int64_t now_us, char out[37]);
double ids_random(void);                                               /* [0, 1) */
/* `kind` "-" 20 characters of base 32 (100 bits) of SHA-256 over both causes. */
void ids_derived(const char *kind, Str cause, Str detail, char out[IDS_TEXT_MAX]);
void ids_request_key(Str run_id, uint64_t request, Buf *out);          /* "run:request", the idempotency key */
#endif
