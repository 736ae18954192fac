/* base64.c - see base64.h. */
#include "base/base64.h"

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(Str bytes, const char *alphabet, bool pad, Buf *out) {
    const uint8_t *in = (const uint8_t *)bytes.ptr;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
        for (size_t c = 0; c < 4; c++) {
            if (c <= left) buf_put_char(out, alphabet[group >> (18 - 6 * c) & 63]);
            else if (pad) buf_put_char(out, '=');
        }
    }
}

void base64_encode(Str bytes, Buf *out) { encode(bytes, plain, true, out); }
void base64url_encode(Str bytes, Buf *out) { encode(bytes, safe, false, out); }

static int digit(char c, const char *alphabet) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == alphabet[62] ? 62 : c == alphabet[63] ? 63 : -1;
}

static bool decode(Str text, const char *alphabet, Arena *arena, Str *out) {
    size_t rest = text.len % 4;
    if (rest == 1) return false;                              /* six bits are no byte */
    uint8_t *bytes = arena_alloc(arena, text.len / 4 * 3 + 3);
    size_t count = 0;
    uint32_t bits = 0, held = 0;
    for (size_t i = 0; i < text.len; i++) {
        int d = digit(text.ptr[i], alphabet);
        if (d < 0) return false;
        bits = bits << 6 | (uint32_t)d;
        held += 6;
        if (held >= 8) held -= 8, bytes[count++] = (uint8_t)(bits >> held & 255);
    }
    if (bits & ((1u << held) - 1)) return false;              /* bits behind the last byte */
    *out = (Str){ (const char *)bytes, count };
    return true;
}

bool base64url_decode(Str text, Arena *arena, Str *out) { return decode(text, safe, arena, out); }

bool base64_decode(Str text, Arena *arena, Str *out) {
    if (text.len % 4) return false;
    while (text.len && text.ptr[text.len - 1] == '=' && text.len % 4 != 2) text.len--;
    return decode(text, plain, arena, out);
}
