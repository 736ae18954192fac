/* buf.c - bytes out, bytes in, and whole files.
 *
 * Encodings are canonical: one value has one encoding, so the reader also
 * refuses a varint that is padded with a zero group.
 */
#include "base/buf.h"

#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUF_BYTES_MIN = 64, FILE_READ_BYTES = 64 * 1024 };

void buf_free(Buf *buf)
{
    if (!buf->borrowed)
        free(buf->ptr);
    *buf = (Buf){ 0 };
}

void buf_clear(Buf *buf)
{
    buf->len = 0;
}

char *buf_reserve(Buf *buf, size_t more_bytes)
{
    size_t need;
    if (__builtin_add_overflow(buf->len, more_bytes, &need))
        need = SIZE_MAX;                                    /* which no allocator has: ends the process */
    if (need > buf->cap || !buf->ptr) {
        size_t cap = buf->cap < BUF_BYTES_MIN ? BUF_BYTES_MIN : buf->cap;
        while (cap < need)
            cap = cap > SIZE_MAX / 2 ? need : cap * 2;
        char *room = mem_realloc(buf->borrowed ? NULL : buf->ptr, cap);
        if (buf->borrowed && buf->len)
            memcpy(room, buf->ptr, buf->len);
        buf->ptr = room;
        buf->cap = cap;
        buf->borrowed = false;
    }
    return buf->ptr + buf->len;
}

void buf_put(Buf *buf, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    memcpy(buf_reserve(buf, len), bytes, len);
    buf->len += len;
}

void buf_put_str(Buf *buf, Str s)
{
    buf_put(buf, s.ptr, s.len);
}

void buf_put_text(Buf *buf, const char *text)
{
    buf_put(buf, text, strlen(text));
}

void buf_put_char(Buf *buf, char c)
{
    *buf_reserve(buf, 1) = c;
    buf->len++;
}

void buf_printf(Buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char *at = buf_reserve(buf, BUF_BYTES_MIN);
    int len = vsnprintf(at, buf->cap - buf->len, format, args);
    va_end(args);
    if (len < 0)                                            /* a string of more than INT_MAX bytes */
        abort();
    if ((size_t)len >= buf->cap - buf->len)
        vsnprintf(buf_reserve(buf, (size_t)len + 1), (size_t)len + 1, format, again);
    va_end(again);
    buf->len += (size_t)len;
}

static void put_little_endian(Buf *buf, uint64_t v, size_t len)
{
    char *at = buf_reserve(buf, len);
    for (size_t i = 0; i < len; i++)
        at[i] = (char)(v >> (8 * i) & 0xFF);
    buf->len += len;
}

void buf_put_u8(Buf *buf, uint8_t v)
{
    put_little_endian(buf, v, 1);
}

void buf_put_u16(Buf *buf, uint16_t v)
{
    put_little_endian(buf, v, 2);
}

void buf_put_u32(Buf *buf, uint32_t v)
{
    put_little_endian(buf, v, 4);
}

void buf_put_u64(Buf *buf, uint64_t v)
{
    put_little_endian(buf, v, 8);
}

void buf_put_varint(Buf *buf, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_put_u8(buf, (uint8_t)(v | 0x80));
    buf_put_u8(buf, (uint8_t)v);
}

void buf_put_zigzag(Buf *buf, int64_t v)
{
    buf_put_varint(buf, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}

void buf_put_bytes(Buf *buf, Str s)
{
    buf_put_varint(buf, s.len);
    buf_put_str(buf, s);
}

char *buf_cstr(Buf *buf)
{
    *buf_reserve(buf, 1) = '\0';
    return buf->ptr;
}

static uint64_t read_little_endian(Reader *r, size_t len)
{
    uint64_t v = 0;
    Str raw = read_raw(r, len);
    for (size_t i = 0; i < raw.len; i++)
        v |= (uint64_t)(uint8_t)raw.ptr[i] << (8 * i);
    return v;
}

uint8_t read_u8(Reader *r)
{
    return (uint8_t)read_little_endian(r, 1);
}

uint16_t read_u16(Reader *r)
{
    return (uint16_t)read_little_endian(r, 2);
}

uint32_t read_u32(Reader *r)
{
    return (uint32_t)read_little_endian(r, 4);
}

uint64_t read_u64(Reader *r)
{
    return read_little_endian(r, 8);
}

uint64_t read_varint(Reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = read_u8(r);
        if (r->failed)
            return 0;
        if (shift == 63 && byte > 1)                        /* the tenth byte has room for one bit */
            break;
        v |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            if (byte == 0 && shift > 0)
                break;
            return v;
        }
    }
    r->failed = true;
    return 0;
}

int64_t read_zigzag(Reader *r)
{
    uint64_t v = read_varint(r);
    return (int64_t)(v >> 1 ^ (v & 1 ? UINT64_MAX : 0));
}

Str read_bytes(Reader *r, size_t len_max)
{
    uint64_t len = read_varint(r);
    if (len > len_max)
        r->failed = true;
    return read_raw(r, len <= len_max ? (size_t)len : 0);
}

Str read_raw(Reader *r, size_t len)
{
    if (r->failed || len > reader_left(r)) {
        r->failed = true;
        return (Str){ "", 0 };
    }
    if (len == 0)
        return (Str){ "", 0 };
    Str raw = { (const char *)r->ptr, len };
    r->ptr += len;
    return raw;
}

Err file_read(const char *path, size_t size_max, Buf *out, Error *error)
{
    size_t start = out->len;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(error, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "could not open %s: %s", path, strerror(errno));
    for (;;) {
        ssize_t got = read(fd, buf_reserve(out, FILE_READ_BYTES), FILE_READ_BYTES);
        if (got == 0)
            break;
        if (got < 0 && errno == EINTR)
            continue;
        Err err = ERR_OK;
        if (got < 0)
            err = err_set(error, ERR_IO, "could not read %s: %s", path, strerror(errno));
        else if ((size_t)got > size_max - (out->len - start))
            err = err_set(error, ERR_LIMIT, "cannot read %s: it is larger than %zu bytes", path, size_max);
        if (err) {
            out->len = start;
            close(fd);
            return err;
        }
        out->len += (size_t)got;
    }
    close(fd);
    return ERR_OK;
}

static bool write_all(int fd, Str bytes)
{
    while (bytes.len) {
        ssize_t put = write(fd, bytes.ptr, bytes.len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        bytes.ptr += put;
        bytes.len -= (size_t)put;
    }
    return true;
}

/* A rename is on disk only when its folder is. */
static bool sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    Buf folder = { 0 };
    buf_put(&folder, path, slash ? (size_t)(slash - path) + 1 : 0);
    int fd = open(slash ? buf_cstr(&folder) : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    buf_free(&folder);
    if (fd < 0)
        return false;
    bool done = fsync(fd) == 0;
    close(fd);
    return done;
}

/* A device, a pipe: what is there must stay there, and a rename would put a file in its place. */
static bool is_special(const char *path)
{
    struct stat there;
    return stat(path, &there) == 0 && !S_ISREG(there.st_mode) && !S_ISDIR(there.st_mode);
}

static Err write_special(const char *path, Str bytes, Error *error)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write_all(fd, bytes);
    int code = errno;
    if (fd >= 0) close(fd);
    return done ? ERR_OK : err_set(error, ERR_IO, "could not write %s: %s", path, strerror(code));
}

Err file_write(const char *path, Str bytes, Error *error)
{
    if (is_special(path)) return write_special(path, bytes, error);
    static atomic_uint serial;
    Err err = ERR_OK;
    Buf name = { 0 };
    buf_printf(&name, "%s.%ld.%u.tmp", path, (long)getpid(), atomic_fetch_add(&serial, 1));
    const char *temporary = buf_cstr(&name);

    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        err = err_set(error, ERR_IO, "could not create %s: %s", temporary, strerror(errno));
        goto out;
    }
    if (!write_all(fd, bytes) || fsync(fd) != 0) {
        err = err_set(error, ERR_IO, "could not write %s: %s", temporary, strerror(errno));
        close(fd);
        goto undo;
    }
    if (close(fd) != 0 || rename(temporary, path) != 0) {
        err = err_set(error, ERR_IO, "could not write %s: %s", path, strerror(errno));
        goto undo;
    }
    if (!sync_folder_of(path))
        err = err_set(error, ERR_IO, "could not sync the folder of %s: %s", path, strerror(errno));
    goto out;
undo:
    unlink(temporary);
out:
    buf_free(&name);
    return err;
}
