/* hash.c - the only file that sees OpenSSL's digests and xxHash. */
#include "base/hash.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <sys/random.h>
#include <xxhash.h>

Sha256 sha256(Str data)
{
    Sha256 digest;
    unsigned len = 0;
    if (!EVP_Digest(data.len ? data.ptr : "", data.len, digest.bytes, &len, EVP_sha256(), NULL) || len != SHA256_BYTES)
        abort();                                            /* only without memory or without a provider */
    return digest;
}

Sha256 hmac_sha256(Str key, Str data)
{
    Sha256 digest;
    unsigned len = 0;
    Sha256 short_key;
    if (key.len > INT_MAX) {                                /* HMAC's own rule for keys longer than a block */
        short_key = sha256(key);
        key = (Str){ (const char *)short_key.bytes, SHA256_BYTES };
    }
    if (!HMAC(EVP_sha256(), key.len ? key.ptr : "", (int)key.len,
              (const unsigned char *)(data.len ? data.ptr : ""), data.len, digest.bytes, &len) || len != SHA256_BYTES)
        abort();
    return digest;
}

bool digest_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void hex_encode(const uint8_t *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(Str text, uint8_t *out, size_t len)
{
    if (text.len % 2 || text.len / 2 != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(text.ptr[2 * i]), low = hex_digit(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

uint64_t hash64(Str data, uint64_t seed)
{
    return XXH3_64bits_withSeed(data.len ? data.ptr : "", data.len, seed);
}

/* The kernel's generator rather than OpenSSL's: no state that a fork could copy, no failure to pass on. */
void random_bytes(void *out, size_t len)
{
    char *at = out;
    while (len) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        at += got;
        len -= (size_t)got;
    }
}
