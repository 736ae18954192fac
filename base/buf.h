/* buf.h - a growable run of bytes, and a bounded reader of the same encodings.
 *
 * Writer: start from (Buf){0} or buf_on(); buf_free() when done. Integers are little-endian
 * or LEB128 ("varint"; signed ones zigzag). Reader: never reads past its end;
 * the first violation sets `failed` and every later read returns zero, so a
 * decoder checks once at a convenient place.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H
#include "base/str.h"

typedef struct Buf {
    char *ptr;
    size_t len, cap;
    bool borrowed;                                            /* ptr is somebody else's, until more room is needed */
} Buf;

/* Begins in memory of the caller, usually on his stack: most texts are short, and cost no allocation then. */
static inline Buf buf_on(char *room, size_t size) { return (Buf){ .ptr = room, .cap = size, .borrowed = true }; }
void buf_free(Buf *buf);
void buf_clear(Buf *buf);                                     /* keeps the memory */
char *buf_reserve(Buf *buf, size_t more_bytes);               /* where the next bytes go */
void buf_put(Buf *buf, const void *bytes, size_t len);
void buf_put_str(Buf *buf, Str s);
void buf_put_text(Buf *buf, const char *text);
void buf_put_char(Buf *buf, char c);
void buf_printf(Buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_put_u8(Buf *buf, uint8_t v);
void buf_put_u16(Buf *buf, uint16_t v);
void buf_put_u32(Buf *buf, uint32_t v);
void buf_put_u64(Buf *buf, uint64_t v);
void buf_put_varint(Buf *buf, uint64_t v);
void buf_put_zigzag(Buf *buf, int64_t v);
void buf_put_bytes(Buf *buf, Str s);                          /* varint length, then the bytes */
static inline Str buf_str(const Buf *buf) { return (Str){ buf->ptr ? buf->ptr : "", buf->len }; }
char *buf_cstr(Buf *buf);                                     /* NUL-terminated view, valid until the next write */

typedef struct Reader {
    const uint8_t *ptr, *end;
    bool failed;
} Reader;

static inline Reader reader_of(Str bytes) {
    const uint8_t *ptr = (const uint8_t *)(bytes.ptr ? bytes.ptr : "");
    return (Reader){ ptr, ptr + bytes.len, false };
}
static inline size_t reader_left(const Reader *r) { return (size_t)(r->end - r->ptr); }
uint8_t  read_u8(Reader *r);
uint16_t read_u16(Reader *r);
uint32_t read_u32(Reader *r);
uint64_t read_u64(Reader *r);
uint64_t read_varint(Reader *r);
int64_t  read_zigzag(Reader *r);
Str      read_bytes(Reader *r, size_t len_max);               /* borrowed from the input */
Str      read_raw(Reader *r, size_t len);

/* One file, whole. `size_max` bounds it: ERR_LIMIT. */
#include "base/err.h"
Err file_read(const char *path, size_t size_max, Buf *out, Error *error);
Err file_write(const char *path, Str bytes, Error *error);    /* to a temporary beside it, fsync, rename; to a device or pipe directly */
#endif
