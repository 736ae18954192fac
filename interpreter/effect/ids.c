/* ids.c - see ids.h. Base 32 by Crockford: no I, L, O, U, so that an id survives being read aloud. */
#include "interpreter/effect/ids.h"
#include <inttypes.h>
#include <stdio.h>
#include "base/hash.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
enum { PREFIX_MAX = 40 };

/* One character a byte: five bits of each are used, which random and hashed bytes have to spare. */
static void put_base32(const uint8_t *bytes, size_t count, char *out) {
    for (size_t i = 0; i < count; i++) out[i] = alphabet[bytes[i] & 31];
    out[count] = 0;
}

void ids_new(Str prefix, char out[IDS_TEXT_MAX]) {
    uint8_t bytes[IDS_RANDOM_CHARS];
    random_bytes(bytes, sizeof bytes);
    size_t len = prefix.len < PREFIX_MAX ? prefix.len : PREFIX_MAX;
    if (len) memcpy(out, prefix.ptr, len), out[len++] = '-';
    put_base32(bytes, sizeof bytes, out + len);
}

void ids_uuid7(int64_t now_us, char out[37]) {
    uint8_t b[16];
    random_bytes(b, sizeof b);
    uint64_t ms = now_us > 0 ? (uint64_t)(now_us / 1000) : 0;
    for (int i = 0; i < 6; i++) b[i] = (uint8_t)(ms >> (40 - 8 * i));
    b[6] = (uint8_t)(0x70 | (b[6] & 0x0F));
    b[8] = (uint8_t)(0x80 | (b[8] & 0x3F));
    char hex[33];
    hex_encode(b, sizeof b, hex);
    snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

double ids_random(void) {
    uint64_t bits;
    random_bytes(&bits, sizeof bits);
    return (double)(bits >> 11) * 0x1p-53;
}

void ids_derived(const char *kind, Str cause, Str detail, char out[IDS_TEXT_MAX]) {
    Buf text = { 0 };
    buf_put_text(&text, kind);
    buf_put_bytes(&text, cause);
    buf_put_bytes(&text, detail);
    Sha256 digest = sha256(buf_str(&text));
    buf_free(&text);
    int len = snprintf(out, IDS_TEXT_MAX - IDS_DERIVED_CHARS - 1, "%s-", kind);
    put_base32(digest.bytes, IDS_DERIVED_CHARS, out + len);
}

void ids_request_key(Str run_id, uint64_t request, Buf *out) {
    buf_put_str(out, run_id);
    buf_printf(out, ":%" PRIu64, request);
}
