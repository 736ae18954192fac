/* redis_clear.h - for tests: empties one database of a Redis. Waits for the server, REDIS_CLEAR_TIMEOUT_MS at most.
 *
 * With `must_be_empty` nothing is removed, and a database that holds a key is ERR_CONFLICT: so tests find out before they begin that a
 * database is not theirs. No error text holds a password.
 */
#ifndef STORE_REDIS_CLEAR_H
#define STORE_REDIS_CLEAR_H
#include <stdbool.h>

#include "base/err.h"

enum { REDIS_CLEAR_TIMEOUT_MS = 5000 };

Err redis_clear(const char *url, bool must_be_empty, Error *error);
#endif
