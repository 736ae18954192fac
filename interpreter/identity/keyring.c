/* keyring.c - see keyring.h. */
#include "interpreter/identity/keyring.h"

#include <stdlib.h>

typedef struct Waiter { struct Waiter *next; KeyringDone done; void *arg; } Waiter;

struct Keyring {
    HttpClient *http;
    char *place;
    bool is_url, is_fixed;
    KeyringClock now; void *now_arg;
    JwsKeys keys;
    uint64_t generation;
    int64_t fetched_us, asked_us;        /* when the set came, when it was last asked for; INT64_MIN: never */
    HttpCall *call;
    Waiter *waiters;
    uint32_t waiting;
};

static bool loopback(Str rest) {
    static const char *const hosts[] = { "127.0.0.1", "localhost", "[::1]" };
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        size_t len = strlen(hosts[i]);
        if (str_starts(rest, str_of(hosts[i])) && (rest.len == len || rest.ptr[len] == ':' || rest.ptr[len] == '/')) return true;
    }
    return false;
}

bool keyring_url_ok(Str url) {
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.ptr[i] <= 0x20 || url.ptr[i] == 0x7f || url.ptr[i] == '@') return false;
    if (str_starts(url, STR("https://"))) return url.len > 8;
    return str_starts(url, STR("http://")) && loopback((Str){ url.ptr + 7, url.len - 7 });
}

static void take(Keyring *ring, JwsKeys keys) {
    jws_keys_free(&ring->keys);
    ring->keys = keys;
    ring->generation++;
    ring->fetched_us = ring->now(ring->now_arg);
}

static Err read_file(Keyring *ring, Error *error) {
    Buf text = { 0 };
    JwsKeys keys;
    ring->asked_us = ring->now(ring->now_arg);
    Err err = file_read(ring->place, JWS_KEYS_TEXT_MAX, &text, error);
    if (!err) err = jws_keys_read(buf_str(&text), JWS_KEYS_OWN, &keys, NULL, error);
    if (!err) take(ring, keys);
    if (text.ptr) explicit_bzero(text.ptr, text.len);
    buf_free(&text);
    return err;
}

Err keyring_open(HttpClient *http, const char *place, KeyringClock now, void *now_arg, Keyring **out, Error *error) {
    Keyring *ring = mem_alloc(sizeof *ring);
    *ring = (Keyring){ .http = http, .place = mem_strdup(place), .now = now, .now_arg = now_arg, .fetched_us = INT64_MIN, .asked_us = INT64_MIN };
    ring->is_url = strstr(place, "://") != NULL;
    Err err = ERR_OK;
    if (ring->is_url && (!keyring_url_ok(str_of(place)) || !http)) err = err_set(error, ERR_INVALID, "cannot take keys from `%s`: only from https, or from http on loopback", place);
    else if (!ring->is_url) err = read_file(ring, error);
    if (err) keyring_free(ring), ring = NULL;
    *out = ring;
    return err;
}

Err keyring_open_text(Str jwks, KeyringClock now, void *now_arg, Keyring **out, Error *error) {
    JwsKeys keys;
    Err err = jws_keys_read(jwks, JWS_KEYS_OWN, &keys, NULL, error);
    *out = NULL;
    if (err) return err;
    *out = mem_alloc(sizeof **out);
    **out = (Keyring){ .place = mem_strdup(""), .is_fixed = true, .now = now, .now_arg = now_arg, .keys = keys };
    return ERR_OK;
}

void keyring_free(Keyring *ring) {
    if (!ring) return;
    if (ring->call) http_cancel(ring->call);
    while (ring->waiters) {
        Waiter *next = ring->waiters->next;
        free(ring->waiters);
        ring->waiters = next;
    }
    jws_keys_free(&ring->keys);
    free(ring->place), free(ring);
}

static bool since(const Keyring *ring, int64_t then, int64_t span) { return then != INT64_MIN && ring->now(ring->now_arg) - then < span; }
static bool usable(const Keyring *ring) { return ring->is_fixed || (ring->keys.count && since(ring, ring->fetched_us, KEYRING_STALE_US)); }

uint64_t keyring_generation(const Keyring *ring) { return ring->generation; }
bool keyring_is_fresh(const Keyring *ring) { return ring->is_fixed || since(ring, ring->fetched_us, KEYRING_FRESH_US); }

static bool known(const Keyring *ring, Str kid, JwsAlg alg) {
    for (uint32_t i = 0; i < ring->keys.count; i++)
        if ((!kid.len || str_eq(jws_key_kid(ring->keys.items[i]), kid)) && (alg == JWS_ALG_NONE || jws_key_fits(ring->keys.items[i], alg))) return true;
    return false;
}

static void fetched(const HttpResponse *response, void *arg) {
    Keyring *ring = arg;
    JwsKeys keys;
    ring->call = NULL;
    if (response->outcome == HTTP_ANSWERED && response->status == 200 && jws_keys_read(response->body, JWS_KEYS_PUBLIC, &keys, NULL, NULL) == ERR_OK) take(ring, keys);
    bool available = usable(ring);
    Waiter *waiters = ring->waiters;
    ring->waiters = NULL;
    ring->waiting = 0;
    while (waiters) {                                         /* whoever is called may ask again: the ring's own list is a new one */
        Waiter *next = waiters->next;
        waiters->done(available, waiters->arg);
        free(waiters);
        waiters = next;
    }
}

static bool fetch(Keyring *ring) {
    static const HttpHeader accept = { STR("Accept"), STR("application/json, application/jwk-set+json") };
    HttpRequest request = { .method = "GET", .url = str_of(ring->place), .headers = &accept, .header_count = 1, .timeout_us = KEYRING_TIMEOUT_US };
    ring->asked_us = ring->now(ring->now_arg);
    ring->call = http_send(ring->http, &request, fetched, ring, NULL);
    return ring->call != NULL;
}

void keyring_ask(Keyring *ring, Str kid, JwsAlg alg, KeyringDone done, void *arg) {
    bool wanted = !since(ring, ring->fetched_us, KEYRING_FRESH_US) || !known(ring, kid, alg);
    bool may = !ring->is_fixed && !since(ring, ring->asked_us, usable(ring) ? KEYRING_REFETCH_US : KEYRING_RETRY_US);
    if (wanted && may && !ring->is_url) read_file(ring, NULL);
    if (wanted && may && ring->is_url && !ring->call) fetch(ring);
    bool waits = ring->call && (!usable(ring) || !known(ring, kid, alg));      /* who has the key need not wait for a newer set */
    if (!waits || ring->waiting >= KEYRING_WAITING_MAX) {
        done(usable(ring) && !waits, arg);
        return;
    }
    Waiter *waiter = mem_alloc(sizeof *waiter);
    *waiter = (Waiter){ ring->waiters, done, arg };
    ring->waiters = waiter;
    ring->waiting++;
}

bool keyring_verify(const Keyring *ring, const JwsToken *token, JwsAlg pinned) {
    const JwsKey *only = NULL;
    uint32_t fitting = 0;
    for (uint32_t i = 0; i < ring->keys.count; i++) {
        const JwsKey *key = ring->keys.items[i];
        JwsAlg alg = pinned ? pinned : jws_key_alg(key);
        if (!jws_key_fits(key, alg)) continue;
        if (token->kid.len && str_eq(jws_key_kid(key), token->kid) && jws_verify(token, key, alg)) return true;
        only = key, fitting++;
    }
    return !token->kid.len && fitting == 1 && jws_verify(token, only, pinned ? pinned : jws_key_alg(only));
}

const JwsKey *keyring_signer(const Keyring *ring) {
    const JwsKey *first = ring->keys.count ? ring->keys.items[0] : NULL;
    return first && jws_key_signs(first) && jws_key_alg(first) ? first : NULL;
}

void keyring_print_public(const Keyring *ring, Buf *out) { jws_keys_print_public(&ring->keys, out); }
