/* snapshot.c - the envelope of a run's state: who may read it, and proof that it is what was written.
 *
 *     "FSNP"  version u16  flags u8 (1: zstd)  key id u32  length of the state u64  state  HMAC-SHA-256
 *
 * The HMAC covers everything before it and, without storing them, run id, tenant, sequence number and the hash of the module: bytes
 * moved to another run, tenant or place in a journal do not verify. It is checked before anything else is looked at.
 * To change the state's form: a new SNAPSHOT_VERSION, and a reader for the old one as long as runs of it are parked.
 */
#include "interpreter/vm/snapshot.h"
#include "interpreter/vm/snapshot_internal.h"
#include <assert.h>
#include <zstd.h>

enum { HEAD_BYTES = 4 + 2 + 1 + 4 + 8, FLAG_ZSTD = 1, ZSTD_LEVEL = 3 };
static const char magic[4] = { 'F', 'S', 'N', 'P' };

static Sha256 seal(const Image *image, Str bytes, Str run_id, Str tenant, uint64_t seq, const SnapshotKey *key)
{
    Buf bound = { 0 };
    buf_put_bytes(&bound, run_id);
    buf_put_bytes(&bound, tenant);
    buf_put_u64(&bound, seq);
    buf_put(&bound, image->hash.bytes, SHA256_BYTES);
    buf_put_bytes(&bound, bytes);
    Sha256 mac = hmac_sha256((Str){ (const char *)key->bytes, sizeof key->bytes }, buf_str(&bound));
    buf_free(&bound);
    return mac;
}

static void put_state(Buf *out, Str state, bool compress)
{
    if (!compress) {
        buf_put_str(out, state);
        return;
    }
    size_t room = ZSTD_compressBound(state.len);
    char *to = buf_reserve(out, room);
    size_t size = ZSTD_compress(to, room, state.ptr, state.len, ZSTD_LEVEL);
    assert(!ZSTD_isError(size));                         /* the room is enough for anything */
    out->len += size;
}

void snapshot_encode(const VmRun *run, uint64_t seq, const SnapshotKey *key, Buf *out)
{
    Buf state = { 0 };
    size_t start = out->len;
    state_encode(run, &state);
    bool compress = state.len >= SNAPSHOT_COMPRESS_MIN;
    buf_put(out, magic, sizeof magic);
    buf_put_u16(out, SNAPSHOT_VERSION);
    buf_put_u8(out, compress ? FLAG_ZSTD : 0);
    buf_put_u32(out, key->id);
    buf_put_u64(out, state.len);
    put_state(out, buf_str(&state), compress);
    buf_free(&state);
    Sha256 mac = seal(run->root, (Str){ out->ptr + start, out->len - start }, value_str(run->info[0]), value_str(run->info[1]), seq, key);
    buf_put(out, mac.bytes, SHA256_BYTES);
}

/* What memory a run may have bounds what its state may need. */
static size_t state_max(const VmLimits *limits)
{
    size_t memory = limits && limits->memory_bytes ? limits->memory_bytes : VM_MEMORY_DEFAULT;
    return memory > SNAPSHOT_SIZE_MAX / 2 ? 2 * memory : SNAPSHOT_SIZE_MAX;
}

static Err open_envelope(const Image *image, Str bytes, const VmInfo *info, uint64_t seq, const SnapshotKey *key, size_t size_max, Buf *state, Error *error)
{
    Reader in = reader_of(bytes);
    Str word = read_raw(&in, sizeof magic);
    uint16_t version = read_u16(&in);
    uint8_t flags = read_u8(&in);
    uint32_t key_id = read_u32(&in);
    uint64_t len = read_u64(&in);
    if (in.failed || reader_left(&in) < SHA256_BYTES || !str_eq(word, (Str){ magic, sizeof magic })) return err_set(error, ERR_CORRUPT, "cannot read the snapshot: it is not one");
    if (version != SNAPSHOT_VERSION) return err_set(error, ERR_UNSUPPORTED, "cannot read the snapshot: version %u, expected %u", version, SNAPSHOT_VERSION);
    if (key_id != key->id) return err_set(error, ERR_CORRUPT, "cannot read the snapshot: sealed with key %u, given %u", key_id, key->id);
    size_t body = bytes.len - SHA256_BYTES;
    Sha256 mac = seal(image, (Str){ bytes.ptr, body }, info->run_id, info->tenant, seq, key);
    if (!digest_equal(mac.bytes, (const uint8_t *)bytes.ptr + body, SHA256_BYTES)) return err_set(error, ERR_CORRUPT, "cannot read the snapshot: its seal does not fit this run, sequence and module");
    if (len > size_max) return err_set(error, ERR_LIMIT, "cannot read the snapshot: %llu bytes of state, more than SNAPSHOT_SIZE_MAX", (unsigned long long)len);
    Str packed = { bytes.ptr + HEAD_BYTES, body - HEAD_BYTES };
    if (flags == 0 && packed.len == len) {
        buf_put_str(state, packed);
        return ERR_OK;
    }
    if (flags != FLAG_ZSTD || ZSTD_getFrameContentSize(packed.ptr, packed.len) != len) return err_set(error, ERR_CORRUPT, "cannot read the snapshot: its length is wrong");
    size_t size = ZSTD_decompress(buf_reserve(state, len), len, packed.ptr, packed.len);
    if (ZSTD_isError(size) || size != len) return err_set(error, ERR_CORRUPT, "cannot read the snapshot: it does not decompress");
    state->len += size;
    return ERR_OK;
}

Err snapshot_decode(Image *image, Str bytes, const VmInfo *info, uint64_t seq, const SnapshotKey *key, const VmLimits *limits, VmRun **out, Error *error)
{
    Buf state = { 0 };
    *out = NULL;
    Err err = open_envelope(image, bytes, info, seq, key, state_max(limits), &state, error);
    if (!err) {
        VmRun *run = run_new(image, info, limits);
        HEAP_ENTER(run);
        err = state_decode(run, buf_str(&state), error);
        HEAP_LEAVE();
        if (err) vm_free(run);
        else *out = run;
    }
    buf_free(&state);
    return err;
}
