/* signature.c - webhooks' signatures: see signature.h. */
#include "interpreter/gateway/signature.h"

#include "base/base64.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/time.h"

enum { SECRET_BYTES_MIN = 16, STANDARD_BYTES_MIN = 24, STANDARD_BYTES_MAX = 64, SECONDS_DIGITS_MAX = 12 };

typedef struct Secrets { Str keys[SECRETS_MAX]; uint32_t count; const char *why; } Secrets;
typedef struct Signatures { Sha256 items[SIGNATURES_MAX]; uint32_t count; } Signatures;

static bool next_word(Str text, const char *separators, size_t *at, Str *out) {
    while (*at < text.len && strchr(separators, text.ptr[*at])) ++*at;
    size_t from = *at;
    while (*at < text.len && !strchr(separators, text.ptr[*at])) ++*at;
    *out = (Str){ text.ptr + from, *at - from };
    return out->len > 0;
}

static const char *add_standard(Str word, Arena *arena, Secrets *out) {
    static const Str prefix = STR("whsec_");
    Str key;
    if (!str_starts(word, prefix)) return "a secret does not begin with `whsec_`";
    if (!base64_decode((Str){ word.ptr + prefix.len, word.len - prefix.len }, arena, &key)) return "a secret is not base64 behind `whsec_`";
    if (key.len < STANDARD_BYTES_MIN || key.len > STANDARD_BYTES_MAX) return "a secret does not have 24 to 64 bytes";
    out->keys[out->count++] = key;
    return NULL;
}

static Secrets read_secrets(uint8_t scheme, Str text, Arena *arena) {
    Secrets secrets = { 0 };
    Str word;
    for (size_t at = 0; !secrets.why && next_word(text, ", \t\r\n", &at, &word);) {
        if (secrets.count == SECRETS_MAX) secrets.why = "there are more secrets than SECRETS_MAX (8)";
        else if (scheme == VERIFY_STANDARD) secrets.why = add_standard(word, arena, &secrets);
        else if (word.len < SECRET_BYTES_MIN) secrets.why = "a secret is shorter than 16 bytes";
        else secrets.keys[secrets.count++] = word;
    }
    if (!secrets.why && !secrets.count) secrets.why = "no secret is set";
    return secrets;
}

const char *signature_secrets_bad(uint8_t scheme, Str secrets, Arena *arena) { return read_secrets(scheme, secrets, arena).why; }

static bool read_seconds(Str text, int64_t *out) {
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || i == SECONDS_DIGITS_MAX) return false;
        *out = *out * 10 + (text.ptr[i] - '0');
    }
    return text.len > 0;
}

static bool recent(int64_t seconds, int64_t now_us, int64_t tolerance_us) {
    int64_t away = now_us - seconds * TIME_SECOND;
    return away <= tolerance_us && away >= -tolerance_us;
}

/* All pairs are compared, whichever of them is equal. */
static bool any_equal(const Secrets *secrets, const Signatures *signatures, Str data) {
    bool equal = false;
    for (uint32_t k = 0; k < secrets->count; k++) {
        Sha256 mac = hmac_sha256(secrets->keys[k], data);
        for (uint32_t i = 0; i < signatures->count; i++) equal |= digest_equal(mac.bytes, signatures->items[i].bytes, SHA256_BYTES);
    }
    return equal;
}

static bool is_signed(const Secrets *secrets, const Signatures *signatures, Str id, Str timestamp, Str body) {
    Buf data = { 0 };
    if (id.len) buf_put_str(&data, id), buf_put_char(&data, '.');
    buf_put_str(&data, timestamp);
    buf_put_char(&data, '.');
    buf_put_str(&data, body);
    bool equal = any_equal(secrets, signatures, buf_str(&data));
    buf_free(&data);
    return equal;
}

static const char *check_stripe(const Secrets *secrets, const HttpServerRequest *request, int64_t now_us, int64_t tolerance_us) {
    Str header = http_header(request, "Stripe-Signature"), part, timestamp = { 0 };
    Signatures signatures = { .count = 0 };
    int64_t seconds = 0;
    if (!header.len) header = http_header(request, "X-Stripe-Signature");
    if (!header.len) return "there is no signature";
    for (size_t at = 0; next_word(header, ",", &at, &part);) {
        while (part.len && part.ptr[0] == ' ') part.ptr++, part.len--;
        if (part.len > 2 && part.ptr[0] == 't' && part.ptr[1] == '=') {
            if (timestamp.len) return "the signature has two timestamps";
            timestamp = (Str){ part.ptr + 2, part.len - 2 };
        } else if (part.len == 3 + SHA256_HEX && memcmp(part.ptr, "v1=", 3) == 0 && signatures.count < SIGNATURES_MAX) {
            signatures.count += hex_decode((Str){ part.ptr + 3, SHA256_HEX }, signatures.items[signatures.count].bytes, SHA256_BYTES);
        }
    }
    if (!read_seconds(timestamp, &seconds)) return "the signature has no timestamp";
    if (!signatures.count) return "the signature has no `v1`";
    if (!is_signed(secrets, &signatures, (Str){ 0 }, timestamp, request->body)) return "the signature does not fit";
    return recent(seconds, now_us, tolerance_us) ? NULL : "the signature is too old, or of another time";
}

static const char *check_standard(const Secrets *secrets, const HttpServerRequest *request, int64_t now_us, int64_t tolerance_us, Arena *arena) {
    Str id = http_header(request, "webhook-id"), timestamp = http_header(request, "webhook-timestamp"), header = http_header(request, "webhook-signature"), part, bytes;
    Signatures signatures = { .count = 0 };
    int64_t seconds = 0;
    if (!id.len || !header.len) return "there is no signature";
    if (memchr(id.ptr, '.', id.len)) return "the id has a dot";
    for (size_t at = 0; next_word(header, " ", &at, &part);) {
        if (part.len < 4 || memcmp(part.ptr, "v1,", 3) != 0 || signatures.count == SIGNATURES_MAX) continue;
        if (!base64_decode((Str){ part.ptr + 3, part.len - 3 }, arena, &bytes) || bytes.len != SHA256_BYTES) continue;
        memcpy(signatures.items[signatures.count++].bytes, bytes.ptr, SHA256_BYTES);
    }
    if (!read_seconds(timestamp, &seconds)) return "the signature has no timestamp";
    if (!signatures.count) return "the signature has no `v1`";
    if (!is_signed(secrets, &signatures, id, timestamp, request->body)) return "the signature does not fit";
    return recent(seconds, now_us, tolerance_us) ? NULL : "the signature is too old, or of another time";
}

const char *signature_check(uint8_t scheme, Str text, const HttpServerRequest *request, int64_t now_us, int64_t tolerance_us, Arena *arena) {
    Secrets secrets = read_secrets(scheme, text, arena);
    if (secrets.why) return secrets.why;
    return scheme == VERIFY_STANDARD ? check_standard(&secrets, request, now_us, tolerance_us, arena) : check_stripe(&secrets, request, now_us, tolerance_us);
}
