/* verified.c - tokens whose signature was found good a moment ago, by the SHA-256 of their text: to verify it again costs more than all the rest of a request.
 *
 * Remembered is only what never changes for this text under these keys: who it names, and until when. A new set of keys, VERIFIED_KEPT_US or the end of its life
 * make a token unknown again; whether its session was revoked is asked each time. */
#include "interpreter/identity/identity_internal.h"

#include <stdlib.h>

typedef struct Verified {
    Sha256 digest;
    const Issuer *issuer;
    uint64_t generation;                 /* of the issuer's keys */
    int64_t checked_us;
    Arena *arena;
    Principal principal;
} Verified;

static Str copy(Arena *arena, Str text) { return text.len ? arena_str(arena, text) : (Str){ "", 0 }; }

static Str *copy_list(Arena *arena, const Str *items, uint32_t count) {
    Str *out = ARENA_ARRAY(arena, Str, count + 1);
    for (uint32_t i = 0; i < count; i++) out[i] = copy(arena, items[i]);
    return out;
}

static Principal copy_principal(Arena *arena, const Principal *p) {
    Principal out = *p;
    out.tenant = copy(arena, p->tenant), out.user = copy(arena, p->user), out.email = copy(arena, p->email);
    out.session_id = copy(arena, p->session_id), out.device_id = copy(arena, p->device_id);
    out.roles = copy_list(arena, p->roles, p->role_count), out.scopes = copy_list(arena, p->scopes, p->scope_count);
    return out;
}

static Str key_of(const Sha256 *digest) { return (Str){ (const char *)digest->bytes, SHA256_BYTES }; }

bool verified_find(const Identity *identity, Str token, Arena *arena, Principal *out) {
    Sha256 digest = sha256(token);
    const Verified *found = map_find(&identity->verified, key_of(&digest));
    int64_t now = identity_now(identity);
    if (!found || now < found->checked_us || now - found->checked_us >= VERIFIED_KEPT_US || now >= found->principal.expires_us) return false;
    if (keyring_generation(found->issuer->keys) != found->generation || !keyring_is_fresh(found->issuer->keys)) return false;
    *out = copy_principal(arena, &found->principal);
    return true;
}

static void verified_free(Verified *verified) {
    arena_free(verified->arena);
    free(verified);
}

void verified_forget(Identity *identity) {
    MAP_EACH(&identity->verified, entry) verified_free(entry->value);
    map_free(&identity->verified);
    identity->verified = (Map){ 0 };
}

void verified_learn(Identity *identity, Str token, const Issuer *issuer, const Principal *principal) {
    if (identity->verified.count >= VERIFIED_MAX) verified_forget(identity);
    Verified *verified = mem_alloc(sizeof *verified);
    *verified = (Verified){ .digest = sha256(token), .issuer = issuer, .generation = keyring_generation(issuer->keys), .checked_us = identity_now(identity), .arena = arena_new() };
    verified->principal = copy_principal(verified->arena, principal);
    Verified *before = map_remove(&identity->verified, key_of(&verified->digest));
    if (before) verified_free(before);
    map_put(&identity->verified, key_of(&verified->digest), verified);
}
