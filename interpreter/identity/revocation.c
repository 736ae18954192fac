/* revocation.c - which sessions are over before their time: a row in the store, remembered here for IDENTITY_REVOCATION_US. */
#include "interpreter/identity/identity_internal.h"

#include <stdlib.h>

static Str key_of(Str tenant, Str session_id, Buf *buf) {
    buf_put_str(buf, tenant);
    buf_put_char(buf, '\0');
    buf_put_str(buf, session_id);
    return buf_str(buf);
}

AuthOutcome revocation_known(const Identity *identity, Str tenant, Str session_id) {
    if (!identity->store || !session_id.len) return AUTH_OK;
    Buf buf = { 0 };
    const Seen *seen = map_find(&identity->seen, key_of(tenant, session_id, &buf));
    buf_free(&buf);
    if (!seen) return AUTH_UNAVAILABLE;
    if (seen->revoked) return AUTH_REVOKED;
    int64_t age = identity_now(identity) - seen->checked_us;
    return age >= 0 && age < IDENTITY_REVOCATION_US ? AUTH_OK : AUTH_UNAVAILABLE;
}

void revocation_learn(Identity *identity, Str tenant, Str session_id, bool revoked) {
    if (identity->seen.count >= REVOCATION_CACHE_MAX) revocation_forget(identity);
    Buf buf = { 0 };
    Str key = key_of(tenant, session_id, &buf);
    Seen *seen = map_find(&identity->seen, key);
    if (!seen) {
        seen = mem_alloc(sizeof *seen + key.len);
        memcpy(seen->key, key.ptr, key.len);
        map_put(&identity->seen, (Str){ seen->key, key.len }, seen);
    }
    seen->checked_us = identity_now(identity);
    seen->revoked |= revoked;            /* what was revoked stays so, whatever an older read says */
    buf_free(&buf);
}

void revocation_forget(Identity *identity) {
    MAP_EACH(&identity->seen, entry) free(entry->value);
    map_free(&identity->seen);
    identity->seen = (Map){ 0 };
}

typedef struct Revocation { Identity *identity; IdentityRevoked done; void *arg; Str tenant, session_id; Arena *arena; } Revocation;

static void revoked(const StoreResult *result, void *arg) {
    Revocation *r = arg;
    if (r->done) r->done(result->err, &result->error, r->arg);
    arena_free(r->arena);
}

void identity_revoke(Identity *identity, Str tenant, Str session_id, IdentityRevoked done, void *arg) {
    Error error;
    if (!identity->store || !claims_text_ok(tenant) || !claims_text_ok(session_id)) {
        err_set(&error, ERR_INVALID, "cannot revoke the session: it has no name, or there is no store");
        if (done) done(ERR_INVALID, &error, arg);
        return;
    }
    int64_t now = identity_now(identity);
    Arena *arena = arena_new();
    Revocation *r = ARENA_NEW(arena, Revocation);
    *r = (Revocation){ identity, done, arg, arena_str(arena, tenant), arena_str(arena, session_id), arena };
    StoreBatch *batch = store_batch(identity->store, tenant, STR(""), 0);
    store_revoke_auth_session(batch, &(AuthSessionRow){ .session_id = session_id, .issued_us = now, .expires_us = now + REVOCATION_KEPT_US, .revoked_us = now });
    revocation_learn(identity, tenant, session_id, true);     /* here it is over whether or not the store can be reached */
    store_submit(batch, revoked, r);
}
