/* snapshot.h - the whole state of a run as bytes, and back.
 *
 * Canonical (same state, same bytes), versioned, bound to run id, tenant, sequence and module hash, authenticated by HMAC-SHA-256
 * under a key of the store (key id inside), zstd above SNAPSHOT_COMPRESS_MIN bytes with a bounded decoded size. It is input when it
 * comes back: every count, index, pc, register and value is checked against the (verified) image; ERR_CORRUPT says what.
 */
#ifndef VM_SNAPSHOT_H
#define VM_SNAPSHOT_H
#include "interpreter/vm/vm.h"

enum { SNAPSHOT_VERSION = 3, SNAPSHOT_COMPRESS_MIN = 4096, SNAPSHOT_SIZE_MAX = 64 << 20 };
typedef struct SnapshotKey { uint32_t id; uint8_t bytes[32]; } SnapshotKey;

void snapshot_encode(const VmRun *run, uint64_t seq, const SnapshotKey *key, Buf *out);
/* `seq` must be what was bound in; run id, tenant come from `info`. */
Err  snapshot_decode(Image *image, Str bytes, const VmInfo *info, uint64_t seq, const SnapshotKey *key, const VmLimits *limits, VmRun **out, Error *error);
#endif
