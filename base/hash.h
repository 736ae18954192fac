/* hash.h - digests and random bytes from OpenSSL, and xxHash for tables. */
#ifndef BASE_HASH_H
#define BASE_HASH_H
#include "base/str.h"

enum { SHA256_BYTES = 32, SHA256_HEX = 64 };
typedef struct Sha256 { uint8_t bytes[SHA256_BYTES]; } Sha256;

Sha256   sha256(Str data);
Sha256   hmac_sha256(Str key, Str data);
bool     digest_equal(const uint8_t *a, const uint8_t *b, size_t len);    /* constant time */
void     hex_encode(const uint8_t *bytes, size_t len, char *out);         /* 2*len characters and a NUL */
bool     hex_decode(Str text, uint8_t *out, size_t len);
uint64_t hash64(Str data, uint64_t seed);
void     random_bytes(void *out, size_t len);                             /* the system's, never fails */
#endif
