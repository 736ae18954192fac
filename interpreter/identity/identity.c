/* identity.c - opens the configured issuers, and judges tokens: form, issuer, signature, claims, revocation, in that order. */
#include "interpreter/identity/oidc.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int64_t identity_now(const Identity *identity) { return identity->now ? identity->now(identity->now_arg) : clock_now(); }
int64_t identity_clock(void *arg) { return identity_now(arg); }

const char *auth_outcome_name(AuthOutcome outcome) {
    static const char *const names[] = { "ok", "none", "bad", "expired", "wrong_audience", "revoked", "unavailable" };
    return names[outcome];
}

/* ---- configuration ------------------------------------------------------------------------------------------ */

static bool state_file(char *out, size_t size) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && state[0]) return snprintf(out, size, "%s/fidus/keys.json", state) < (int)size;
    return home && home[0] && snprintf(out, size, "%s/.local/state/fidus/keys.json", home) < (int)size;
}

static const char *word(const char *name) {
    const char *text = getenv(name);
    return text && text[0] ? text : NULL;
}

void identity_options_from_environment(IdentityOptions *out) {
    *out = (IdentityOptions){
        .keys_file = word("FLOW_KEYS"), .keys_json = word("FLOW_KEYS_JSON"), .issuer = word("FLOW_ISSUER"), .audience = word("FLOW_AUDIENCE"),
        .trust_issuer = word("FLOW_TRUST_ISSUER"), .trust_audience = word("FLOW_TRUST_AUDIENCE"), .trust_alg = word("FLOW_TRUST_ALG"),
        .trust_typ = word("FLOW_TRUST_TYP"), .trust_keys = word("FLOW_TRUST_KEYS"),
        .oidc_issuer = word("FLOW_OIDC_ISSUER"), .oidc_client_id = word("FLOW_OIDC_CLIENT_ID"), .oidc_client_secret = word("FLOW_OIDC_CLIENT_SECRET"),
        .oidc_redirect = word("FLOW_OIDC_REDIRECT"), .oidc_alg = word("FLOW_OIDC_ALG"), .oidc_scope = word("FLOW_OIDC_SCOPE"),
        .insecure_cookies = word("FLOW_INSECURE_COOKIES") && strcmp(word("FLOW_INSECURE_COOKIES"), "1") == 0,
    };
}

static void make_folders(char *path) {
    for (char *at = path + 1; *at; at++) {
        if (*at != '/') continue;
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
}

/* The file is complete before it has its name, and a name is given once: of several processes that start at the same time one makes the keys. */
static Err make_keys(const char *path, Error *error) {
    char temporary[1100];
    Buf text = { 0 };
    if (snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid()) >= (int)sizeof temporary) return err_set(error, ERR_INVALID, "the path of the keys is too long");
    char *folders = mem_strdup(path);
    make_folders(folders);
    free(folders);
    jws_keys_generate(JWS_ES256, &text);
    mode_t before = umask(0077);
    Err err = file_write(temporary, buf_str(&text), error);
    umask(before);
    explicit_bzero(text.ptr, text.len);
    buf_free(&text);
    if (!err && link(temporary, path) && access(path, R_OK)) err = err_set(error, ERR_IO, "could not make the keys of this deployment at %s", path);
    unlink(temporary);
    return err;
}

/* Others must not read the private keys; a group may, as containers have it. */
static Err check_mode(const char *path, Error *error) {
    struct stat info;
    if (stat(path, &info)) return err_set(error, ERR_IO, "could not read the keys at %s", path);
    return info.st_mode & 0007 ? err_set(error, ERR_INVALID, "cannot use the keys at %s: everybody on this machine can read them; `chmod 600` it", path) : ERR_OK;
}

static Err open_own(Identity *identity, const IdentityOptions *options, Error *error) {
    char path[1024];
    Err err = ERR_OK;
    identity->own.issuer = arena_str(identity->arena, str_of(options->issuer ? options->issuer : IDENTITY_ISSUER));
    identity->own.audience = arena_str(identity->arena, str_of(options->audience ? options->audience : IDENTITY_AUDIENCE));
    identity->own.typ = STR("at+jwt");
    if (options->keys_json) return keyring_open_text(str_of(options->keys_json), identity_clock, identity, &identity->own.keys, error);
    const char *file = options->keys_file;
    if (!file && !state_file(path, sizeof path)) return err_set(error, ERR_INVALID, "no place for the keys of this deployment: set FLOW_KEYS or HOME");
    if (!file) file = path;
    if (access(file, F_OK)) err = make_keys(file, error);
    if (!err) err = check_mode(file, error);
    return err ? err : keyring_open(NULL, file, identity_clock, identity, &identity->own.keys, error);
}

static Err open_trusted(Identity *identity, const IdentityOptions *o, Error *error) {
    if (!o->trust_issuer) return ERR_OK;
    if (!o->trust_audience || !o->trust_keys) return err_set(error, ERR_INVALID, "FLOW_TRUST_ISSUER wants FLOW_TRUST_AUDIENCE and FLOW_TRUST_KEYS, too");
    if (str_is(identity->own.issuer, o->trust_issuer)) return err_set(error, ERR_INVALID, "FLOW_TRUST_ISSUER is the issuer of this deployment itself");
    identity->trusted = (Issuer){ .issuer = arena_str(identity->arena, str_of(o->trust_issuer)), .audience = arena_str(identity->arena, str_of(o->trust_audience)),
                                  .typ = arena_str(identity->arena, str_of(o->trust_typ ? o->trust_typ : "at+jwt")), .alg = jws_alg_of(str_of(o->trust_alg ? o->trust_alg : "RS256")) };
    if (!identity->trusted.alg) return err_set(error, ERR_INVALID, "FLOW_TRUST_ALG: `%s` is no algorithm of ours: HS256 to ES512", o->trust_alg);
    return keyring_open(identity->http, o->trust_keys, identity_clock, identity, &identity->trusted.keys, error);
}

Err identity_open(const IdentityOptions *options, struct event_base *loop, HttpClient *http, Store *store, Identity **out, Error *error) {
    Identity *identity = mem_alloc(sizeof *identity);
    *identity = (Identity){ .loop = loop, .http = http, .store = store, .arena = arena_new(), .now = options->now, .now_arg = options->now_arg, .insecure_cookies = options->insecure_cookies };
    Err err = open_own(identity, options, error);
    if (!err) err = open_trusted(identity, options, error);
    if (!err) err = oidc_open(identity, options, &identity->oidc, error);
    if (!err && !keyring_signer(identity->own.keys)) err = err_set(error, ERR_INVALID, "the first key of this deployment cannot sign: it has to be a private key with an `alg`");
    if (err) identity_close(identity), identity = NULL;
    *out = identity;
    return err;
}

/* ---- a token -------------------------------------------------------------------------------------------------- */

struct Check {
    Identity *identity;                  /* NULL: it was closed while the store was asked */
    Check *next, **place;
    bool in_store;
    Arena *arena;
    const Issuer *issuer;
    Str text;
    JwsToken token;
    Principal principal;
    IdentityDone done; void *arg;
};

static void unlist(Check *check) {
    if (check->next) check->next->place = check->place;
    *check->place = check->next;
}

void identity_close(Identity *identity) {
    if (!identity) return;
    service_close(identity);
    oidc_close(identity->oidc);
    keyring_free(identity->own.keys);
    keyring_free(identity->trusted.keys);
    for (Check *check = identity->checks, *next; check; check = next) {
        next = check->next;
        if (check->in_store) check->identity = NULL;           /* its callback still comes, and frees it */
        else free(check);
    }
    revocation_forget(identity);
    verified_forget(identity);
    arena_free(identity->arena);
    identity->closed = true;
    if (!identity->holds) free(identity);
}

bool identity_release(Identity *identity) {
    bool closed = identity->closed;
    if (--identity->holds == 0 && closed) free(identity);
    return !closed;
}

static void finish(Check *check, AuthOutcome outcome, const char *why) {
    unlist(check);
    check->done(outcome, outcome == AUTH_OK ? &check->principal : NULL, why, check->arg);
    free(check);
}

static void session_read(const StoreResult *result, void *arg) {
    Check *check = arg;
    Identity *identity = check->identity;
    if (!identity) { free(check); return; }
    if (result->err) { finish(check, AUTH_UNAVAILABLE, "the store cannot be asked whether the session was revoked"); return; }
    const AuthSessionRow *row = store_auth_session(result->batch, 0);
    revocation_learn(identity, check->principal.tenant, check->principal.session_id, row && row->revoked_us);
    AuthOutcome outcome = revocation_known(identity, check->principal.tenant, check->principal.session_id);
    finish(check, outcome == AUTH_UNAVAILABLE ? AUTH_OK : outcome, outcome == AUTH_REVOKED ? "the session was revoked" : "");
}

static void check_revoked(Check *check) {
    Identity *identity = check->identity;
    AuthOutcome known = revocation_known(identity, check->principal.tenant, check->principal.session_id);
    if (known != AUTH_UNAVAILABLE) { finish(check, known, known == AUTH_REVOKED ? "the session was revoked" : ""); return; }
    StoreBatch *batch = store_batch(identity->store, check->principal.tenant, STR(""), 0);
    store_get_auth_session(batch, check->principal.session_id);
    check->in_store = true;
    store_submit(batch, session_read, check);
}

static void keys_ready(bool available, void *arg) {
    Check *check = arg;
    const Issuer *issuer = check->issuer;
    const char *why;
    if (!available) { finish(check, AUTH_UNAVAILABLE, "the keys of the issuer cannot be had"); return; }
    if (!keyring_verify(issuer->keys, &check->token, issuer->alg)) { finish(check, AUTH_BAD, "no key of the issuer made this signature"); return; }
    ClaimRules rules = { .issuer = issuer->issuer, .audience = issuer->audience, .typ = issuer->typ, .now_us = identity_now(check->identity), .skew_us = IDENTITY_SKEW_US };
    int64_t expires = 0;
    AuthOutcome outcome = claims_check(&check->token, &rules, &expires, &why);
    if (!outcome) outcome = claims_principal(check->token.payload, issuer == &check->identity->own, check->arena, &check->principal, &why);
    check->principal.expires_us = expires;
    if (outcome) { finish(check, outcome, why); return; }
    verified_learn(check->identity, check->text, issuer, &check->principal);
    check_revoked(check);
}

static Check *list(Identity *identity, const Check *with) {
    Check *check = mem_alloc(sizeof *check);
    *check = *with;
    check->identity = identity;
    check->next = identity->checks;
    check->place = &identity->checks;
    if (check->next) check->next->place = &check->next;
    return identity->checks = check;
}

void identity_authenticate(Identity *identity, Str token, Arena *arena, IdentityDone done, void *arg) {
    if (!token.len) { done(AUTH_NONE, NULL, "no token", arg); return; }
    Check check = { .arena = arena, .done = done, .arg = arg };
    if (verified_find(identity, token, arena, &check.principal)) { check_revoked(list(identity, &check)); return; }
    const char *why = "the token is longer than JWS_TOKEN_MAX (16384 bytes)";
    if (token.len <= JWS_TOKEN_MAX) check.text = arena_str(arena, token), why = jws_read(check.text, arena, &check.token);
    if (why) { done(AUTH_BAD, NULL, why, arg); return; }
    Str issuer = json_get_text(check.token.payload, "iss");
    if (str_eq(issuer, identity->own.issuer)) check.issuer = &identity->own;
    else if (identity->trusted.keys && str_eq(issuer, identity->trusted.issuer)) check.issuer = &identity->trusted;
    if (!check.issuer) { done(AUTH_BAD, NULL, "iss is another issuer", arg); return; }
    if (check.issuer->alg && check.issuer->alg != check.token.alg) { done(AUTH_BAD, NULL, "another algorithm than the issuer's", arg); return; }
    keyring_ask(check.issuer->keys, check.token.kid, check.issuer->alg, keys_ready, list(identity, &check));
}

/* ---- what it gives --------------------------------------------------------------------------------------------- */

static bool list_ok(const Str *items, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (!claims_text_ok(items[i])) return false;
    return count <= PRINCIPAL_LIST_MAX;
}

Err identity_mint_at(Identity *identity, const Principal *p, int64_t issued_us, Buf *out, Error *error) {
    int64_t now = identity_now(identity);
    const JwsKey *key = keyring_signer(identity->own.keys);
    if (!key) return err_set(error, ERR_INVALID, "this deployment has no key that signs");
    bool ok = claims_text_ok(p->tenant) && !str_is(p->tenant, IDENTITY_PUBLIC_TENANT) && claims_text_ok(p->user) && claims_text_ok(p->session_id);
    ok = ok && (!p->email.len || claims_text_ok(p->email)) && (!p->device_id.len || claims_text_ok(p->device_id));
    if (!ok) return err_set(error, ERR_INVALID, "tenant, user and session are texts of 1 to PRINCIPAL_TEXT_MAX (%d) bytes without control characters", PRINCIPAL_TEXT_MAX);
    if (!list_ok(p->roles, p->role_count) || !list_ok(p->scopes, p->scope_count)) return err_set(error, ERR_LIMIT, "at most PRINCIPAL_LIST_MAX (%d) roles and scopes of PRINCIPAL_TEXT_MAX (%d) bytes", PRINCIPAL_LIST_MAX, PRINCIPAL_TEXT_MAX);
    if (p->expires_us <= now || p->expires_us - now > IDENTITY_TOKEN_LIFE_MAX_US) return err_set(error, ERR_INVALID, "a token lives at most IDENTITY_TOKEN_LIFE_MAX_US (30 days), and not in the past");
    Buf payload = { 0 };
    size_t start = out->len;
    claims_print(p, identity->own.issuer, identity->own.audience, issued_us, &payload);
    Err err = jws_sign(key, jws_key_alg(key), identity->own.typ, buf_str(&payload), out, error);
    buf_free(&payload);
    if (!err && out->len - start > JWS_TOKEN_MAX) err = err_set(error, ERR_LIMIT, "the token would be longer than JWS_TOKEN_MAX (%d bytes)", JWS_TOKEN_MAX), out->len = start;
    return err;
}

Err identity_mint(Identity *identity, const Principal *principal, Buf *out, Error *error) { return identity_mint_at(identity, principal, identity_now(identity), out, error); }

void identity_put_jwks(const Identity *identity, Buf *out) { keyring_print_public(identity->own.keys, out); }
