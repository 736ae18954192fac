/* hot.h - state with a time to live: sessions, shared contexts, cache entries, idempotency keys, mappings, read models.
 *
 * Two homes, one promise: Redis ("redis://…", "unix:PATH") or rows of the durable store (no URL). What lies here may be gone at any
 * moment, before its time too, and whoever reads must say what it does then; nothing that a strict run needs lies only here.
 *
 * Keys lead with the tenant: an entry (tenant, key) is Redis key "{tenant}:key", the braces being the hash tag of Redis Cluster, with
 * every byte of the tenant that is not a letter, digit, `-`, `_` or `.` percent-encoded, so no tenant can name another's key.
 * An entry is one value (field "") or a hash of fields; all its fields live and end together. Field names do not begin with `$` (Redis keeps the end in one that does). Times come from the caller (microseconds): an entry is gone
 * for a reader whose now_us lies behind its end. Redis counts the same span on its own clock and clears up.
 *
 * Calls return at once and copy their arguments; `done` (may be NULL) comes from the event loop or hot_wait(), never from within the call, once, in the
 * order of the calls (hot_erase_prefix takes many steps: others may overtake it). A read sees what was written before it, and maybe what was written after. With the server down it comes
 * at once with ERR_IO: no call waits for a connection. After ERR_IO a write may or may not have happened. Texts in the result live until `done` returns.
 * One thread. `done` may make further calls, but not close or wait.
 *
 * ERR_INVALID: no tenant, an empty key, a key or field name that is no UTF-8 or holds a NUL, a reserved field, adding to what is no number. ERR_LIMIT: see below.
 */
#ifndef STORE_HOT_H
#define STORE_HOT_H
#include "interpreter/store/store.h"

typedef struct Hot Hot;
struct event_base;

/* Bytes of a key or a field's name; bytes of all values of one call; fields of an entry: ERR_LIMIT. A command that takes longer ends with ERR_IO, and with it what
   was sent behind it: the connection is made again. */
enum { HOT_KEY_MAX = 512, HOT_VALUE_MAX = 16 << 20, HOT_FIELDS_MAX = 1024, HOT_TIMEOUT_MS = 1000 };

typedef struct HotField { Str name, value; } HotField;
typedef struct HotResult {
    Err err; Error error;
    bool found;                          /* READ: it is there. PUT_NEW: it was not there and is now. CHANGE: `expected` held */
    int64_t number;                      /* ADD: the new number; ERASE, PRUNE: how many entries went */
    const HotField *fields; uint32_t count;              /* READ: all fields, by name; one named "" when it is a plain value */
} HotResult;
typedef void (*HotDone)(const HotResult *result, void *arg);

/* url NULL or empty: rows of `store`, which is closed later. "redis://[[user]:password@]host[:port][/db]", "unix:PATH[?db=N&user=U&password=P]"; ERR_INVALID for another.
   Waits for the server at most HOT_TIMEOUT_MS. One that cannot be reached now is no error: it is tried again from a timer. */
Err  hot_open(const char *url, Store *store, struct event_base *loop, Hot **out, Error *error);
void hot_close(Hot *hot);                                              /* what is outstanding ends with ERR_IO */
const char *hot_kind(const Hot *hot);                                  /* "redis", "rows" */
bool hot_is_up(const Hot *hot);
const char *hot_trouble(const Hot *hot);                               /* why it is not up, for people; never holds the password */
bool hot_busy(const Hot *hot);                                         /* something is outstanding */
void hot_wait(Hot *hot);                                               /* waits for the next answer, at most HOT_TIMEOUT_MS; not from a callback */

void hot_read(Hot *hot, Str tenant, Str key, int64_t now_us, HotDone done, void *arg);
/* The one value, or the given fields (others of the entry stay); the whole entry lives for ttl_us from now_us. 0: until it is erased. */
void hot_put(Hot *hot, Str tenant, Str key, const HotField *fields, uint32_t count, int64_t now_us, int64_t ttl_us, HotDone done, void *arg);
void hot_put_new(Hot *hot, Str tenant, Str key, Str value, int64_t now_us, int64_t ttl_us, HotDone done, void *arg);      /* only when nothing is there */
/* Replaces the entry with `fields` when its field `field` is `expected` (empty: when there is no entry): compare and set, atomic. */
void hot_change(Hot *hot, Str tenant, Str key, Str field, Str expected, const HotField *fields, uint32_t count, int64_t now_us, int64_t ttl_us, HotDone done, void *arg);
/* A number, 0 when it was not there; as after hot_put the entry lives for ttl_us from now. Beyond int64: ERR_LIMIT. */
void hot_add(Hot *hot, Str tenant, Str key, int64_t by, int64_t now_us, int64_t ttl_us, HotDone done, void *arg);
void hot_erase(Hot *hot, Str tenant, Str key, HotDone done, void *arg);
void hot_erase_prefix(Hot *hot, Str tenant, Str prefix, HotDone done, void *arg);      /* all entries of the tenant that begin with it; for upkeep, not for hot paths */
/* Rows: removes at most `limit` (0: all) entries that ended before now_us. Redis does it by itself: 0. */
void hot_prune(Hot *hot, int64_t now_us, uint32_t limit, HotDone done, void *arg);
#endif
