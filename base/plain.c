/* plain.c - see plain.h. */
#include "base/plain.h"

enum { NO_LETTER = 0xfffd };                             /* as is what stands for it */

static bool deceives(uint32_t c) {
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x61c || c == 0x180e || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e)
        || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= NO_LETTER) || (c >= 0xe0000 && c <= 0xe007f);
}

static uint32_t letter_at(Str text, size_t at, size_t *length) {
    unsigned char first = (unsigned char)text.ptr[at];
    size_t n = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? first : first & (0xffu >> (n + 1));
    *length = 1;
    if (n == 0 || n > text.len - at) return NO_LETTER;
    for (size_t i = 1; i < n; i++) {
        unsigned char next = (unsigned char)text.ptr[at + i];
        if ((next & 0xc0) != 0x80) return NO_LETTER;
        c = c << 6 | (next & 0x3f);
    }
    *length = n;
    return c;
}

void plain_put(Buf *out, Str text) {
    for (size_t at = 0, length; at < text.len; at += length) {
        uint32_t c = letter_at(text, at, &length);
        if (!deceives(c)) buf_put(out, text.ptr + at, length);
        else if (c > 0xffff) buf_printf(out, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10), 0xdc00 | (c & 0x3ff));
        else buf_printf(out, "\\u%04x", c);
    }
}
