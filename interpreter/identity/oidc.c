/* oidc.c - see oidc.h.
 *
 * A task goes: discovery document (kept) -> authorize: done. Exchange: -> token endpoint -> keys of the provider -> ID token. Whichever step fails ends it. */
#include "interpreter/identity/oidc.h"

#include <stdlib.h>
#include "base/base64.h"

typedef enum { WANTS_URL, WANTS_USER } Wants;

struct OidcTask {
    Oidc *oidc;
    OidcTask *next, **place;
    bool *gone;                          /* told when it is freed while start() still looks at it */
    Wants wants;
    bool waits;                          /* for the discovery document */
    bool in_keys, cancelled;             /* the keyring has it: it is freed when that calls back */
    HttpCall *call;
    Arena *arena;
    Str code, issuer, nonce, verifier, state;
    JwsToken token;
    OidcDone done; void *arg;
};

struct Oidc {
    Identity *identity;
    Arena *arena;
    Str issuer, client_id, client_secret, redirect, scope, discovery_url;
    JwsAlg alg;
    /* from the discovery document */
    Arena *document;
    int64_t read_us, failed_us;          /* INT64_MIN: never */
    Str authorize_url, token_url, jwks_url;
    bool secret_in_body, says_issuer;
    Keyring *keys;
    HttpCall *call;
    OidcTask *tasks;
    uint32_t task_count;
};

/* ---- configuration ------------------------------------------------------------------------------------------ */

Err oidc_open(Identity *identity, const IdentityOptions *o, Oidc **out, Error *error) {
    *out = NULL;
    if (!o->oidc_issuer) return ERR_OK;
    if (!o->oidc_client_id || !o->oidc_redirect) return err_set(error, ERR_INVALID, "FLOW_OIDC_ISSUER wants FLOW_OIDC_CLIENT_ID and FLOW_OIDC_REDIRECT, too");
    if (!keyring_url_ok(str_of(o->oidc_issuer)) || !keyring_url_ok(str_of(o->oidc_redirect))) return err_set(error, ERR_INVALID, "FLOW_OIDC_ISSUER and FLOW_OIDC_REDIRECT are https, or http on loopback");
    JwsAlg alg = jws_alg_of(str_of(o->oidc_alg ? o->oidc_alg : "RS256"));
    if (alg < JWS_RS256) return err_set(error, ERR_INVALID, "FLOW_OIDC_ALG: `%s` is not one of RS256 to ES512", o->oidc_alg);
    Oidc *oidc = mem_alloc(sizeof *oidc);
    *oidc = (Oidc){ .identity = identity, .arena = arena_new(), .alg = alg, .read_us = INT64_MIN, .failed_us = INT64_MIN };
    oidc->issuer = arena_str(oidc->arena, str_of(o->oidc_issuer));
    oidc->client_id = arena_str(oidc->arena, str_of(o->oidc_client_id));
    oidc->client_secret = arena_str(oidc->arena, str_of(o->oidc_client_secret ? o->oidc_client_secret : ""));
    oidc->redirect = arena_str(oidc->arena, str_of(o->oidc_redirect));
    oidc->scope = arena_str(oidc->arena, str_of(o->oidc_scope ? o->oidc_scope : "openid email profile"));
    size_t len = oidc->issuer.len - (oidc->issuer.ptr[oidc->issuer.len - 1] == '/');
    oidc->discovery_url = str_of(arena_printf(oidc->arena, "%.*s/.well-known/openid-configuration", (int)len, oidc->issuer.ptr));
    *out = oidc;
    return ERR_OK;
}

static void unlist(OidcTask *task) {
    if (task->next) task->next->place = task->place;
    *task->place = task->next;
    task->oidc->task_count--;
}

static void task_free(OidcTask *task) {
    unlist(task);
    if (task->gone) *task->gone = true;
    if (task->call) http_cancel(task->call);
    arena_free(task->arena);
    free(task);
}

void oidc_cancel(OidcTask *task) {
    if (!task) return;
    if (task->in_keys) task->cancelled = true;
    else task_free(task);
}

void oidc_close(Oidc *oidc) {
    if (!oidc) return;
    if (oidc->call) http_cancel(oidc->call);
    keyring_free(oidc->keys);
    while (oidc->tasks) task_free(oidc->tasks);
    if (oidc->document) arena_free(oidc->document);
    arena_free(oidc->arena);
    free(oidc);
}

static void finish(OidcTask *task, OidcOutcome outcome, const char *why, Str url, const OidcUser *user) {
    if (!task->cancelled) task->done(outcome, why, url, user, task->arg);
    task_free(task);
}

static void refuse(OidcTask *task, OidcOutcome outcome, const char *why) { finish(task, outcome, why, (Str){ "", 0 }, NULL); }

/* ---- discovery ------------------------------------------------------------------------------------------------- */

static void go_on(OidcTask *task);

/* The first task in that state. Whoever is called may end others, so nobody walks along the list while he calls. */
static OidcTask *first(const Oidc *oidc, const OidcTask *like) {
    OidcTask *task = oidc->tasks;
    while (task && !(like->waits && task->waits) && !(like->in_keys && task->in_keys)) task = task->next;
    return task;
}

static void replace_keys(Oidc *oidc, Keyring *keys) {
    keyring_free(oidc->keys);                                 /* calls nobody any more */
    oidc->keys = keys;
    for (OidcTask *task; (task = first(oidc, &(OidcTask){ .in_keys = true }));) {
        task->in_keys = false;
        refuse(task, OIDC_UNAVAILABLE, "the provider's keys have moved");
    }
}

static bool lists(const Json *document, const char *name, const char *wanted) {
    const Json *list = json_get(document, name);
    for (size_t i = 0; list && list->kind == JSON_ARRAY && i < list->count; i++)
        if (list->items[i]->kind == JSON_STRING && str_is(list->items[i]->text, wanted)) return true;
    return false;
}

static bool read_document(Oidc *oidc, Str body) {
    Arena *arena = arena_new();
    Json *json = NULL;
    Keyring *keys = NULL;
    bool good = json_parse(arena, body, OIDC_DOCUMENT_MAX, &json, NULL) == ERR_OK && str_eq(json_get_text(json, "issuer"), oidc->issuer);
    Str authorize = good ? json_get_text(json, "authorization_endpoint") : (Str){ 0 }, token = good ? json_get_text(json, "token_endpoint") : (Str){ 0 }, jwks = good ? json_get_text(json, "jwks_uri") : (Str){ 0 };
    good = good && keyring_url_ok(authorize) && keyring_url_ok(token) && keyring_url_ok(jwks) && !memchr(authorize.ptr, '#', authorize.len);
    bool same_keys = good && oidc->keys && str_eq(jwks, oidc->jwks_url);
    if (good && !same_keys) good = keyring_open(oidc->identity->http, arena_printf(arena, "%.*s", STR_ARG(jwks)), identity_clock, oidc->identity, &keys, NULL) == ERR_OK;
    if (!good) { arena_free(arena); return false; }
    if (!same_keys) replace_keys(oidc, keys);
    if (oidc->document) arena_free(oidc->document);
    oidc->document = arena;
    oidc->authorize_url = authorize, oidc->token_url = token, oidc->jwks_url = jwks;
    oidc->secret_in_body = lists(json, "token_endpoint_auth_methods_supported", "client_secret_post") && !lists(json, "token_endpoint_auth_methods_supported", "client_secret_basic");
    const Json *says = json_get(json, "authorization_response_iss_parameter_supported");
    oidc->says_issuer = says && says->kind == JSON_BOOL && says->boolean;
    return true;
}

static void discovered(const HttpResponse *response, void *arg) {
    Oidc *oidc = arg;
    oidc->call = NULL;
    bool good = response->outcome == HTTP_ANSWERED && response->status == 200 && read_document(oidc, response->body);
    *(good ? &oidc->read_us : &oidc->failed_us) = identity_now(oidc->identity);
    for (OidcTask *task; (task = first(oidc, &(OidcTask){ .waits = true }));) {
        task->waits = false;
        if (good) go_on(task);
        else refuse(task, OIDC_UNAVAILABLE, "the provider's discovery document cannot be had");
    }
}

static bool since(const Oidc *oidc, int64_t then, int64_t span) { return then != INT64_MIN && identity_now(oidc->identity) - then < span; }

static bool send(Oidc *oidc, const HttpRequest *request, HttpDone done, void *arg, HttpCall **call) {
    return (*call = http_send(oidc->identity->http, request, done, arg, NULL)) != NULL;
}

/* True when it can go on at once; else it waits, or was refused and is gone. While a new document is fetched nobody goes on with an old one. */
static bool discover(OidcTask *task) {
    Oidc *oidc = task->oidc;
    if (since(oidc, oidc->read_us, OIDC_DISCOVERY_US)) return true;
    HttpRequest request = { .method = "GET", .url = oidc->discovery_url, .timeout_us = OIDC_TIMEOUT_US };
    bool asked = oidc->call || (!since(oidc, oidc->failed_us, OIDC_RETRY_US) && send(oidc, &request, discovered, oidc, &oidc->call));
    if (asked) task->waits = true;
    else refuse(task, OIDC_UNAVAILABLE, "the provider's discovery document cannot be had");
    return false;
}

/* ---- the way there ------------------------------------------------------------------------------------------------ */

static void random_text(char out[OIDC_SECRET_CHARS + 1]) {
    uint8_t bytes[32];
    Buf text = { 0 };
    random_bytes(bytes, sizeof bytes);
    base64url_encode((Str){ (const char *)bytes, sizeof bytes }, &text);
    memcpy(out, text.ptr, OIDC_SECRET_CHARS);
    out[OIDC_SECRET_CHARS] = '\0';
    explicit_bzero(text.ptr, text.len);
    buf_free(&text);
}

void oidc_login_new(OidcLogin *out) { random_text(out->state), random_text(out->nonce), random_text(out->verifier); }

void oidc_state_hash(Str state, char out[SHA256_HEX + 1]) {
    Sha256 digest = sha256(state);
    hex_encode(digest.bytes, SHA256_BYTES, out);
}

static void put_parameter(Buf *out, const char *name, Str value) {
    buf_printf(out, "&%s=", name);
    http_put_escaped(out, value);
}

static void put_challenge(Buf *out, Str verifier) {
    Sha256 digest = sha256(verifier);
    Buf text = { 0 };
    base64url_encode((Str){ (const char *)digest.bytes, SHA256_BYTES }, &text);
    put_parameter(out, "code_challenge", buf_str(&text));
    buf_free(&text);
}

static void make_url(OidcTask *task) {
    const Oidc *oidc = task->oidc;
    Buf url = { 0 };
    buf_put_str(&url, oidc->authorize_url);
    buf_put_text(&url, memchr(url.ptr, '?', url.len) ? "&response_type=code" : "?response_type=code");
    put_parameter(&url, "client_id", oidc->client_id);
    put_parameter(&url, "redirect_uri", oidc->redirect);
    put_parameter(&url, "scope", oidc->scope);
    put_parameter(&url, "state", task->state);
    put_parameter(&url, "nonce", task->nonce);
    put_challenge(&url, task->verifier);
    put_parameter(&url, "code_challenge_method", STR("S256"));
    Str text = arena_str(task->arena, buf_str(&url));
    buf_free(&url);
    finish(task, OIDC_OK, "", text, NULL);
}

/* ---- and back --------------------------------------------------------------------------------------------------------- */

static bool text_claim(const Json *payload, const char *name, size_t max, Str *out) {
    *out = json_get_text(payload, name);
    return out->len && out->len <= max && claims_text_ok(*out);
}

static const char *read_user(OidcTask *task, OidcUser *user) {
    const Oidc *oidc = task->oidc;
    const Json *payload = task->token.payload, *verified = json_get(payload, "email_verified");
    ClaimRules rules = { .issuer = oidc->issuer, .audience = oidc->client_id, .sole_audience = true, .now_us = identity_now(oidc->identity), .skew_us = IDENTITY_SKEW_US };
    int64_t expires;
    const char *why;
    if (claims_check(&task->token, &rules, &expires, &why)) return why;
    Str nonce = json_get_text(payload, "nonce");
    if (nonce.len != task->nonce.len || !digest_equal((const uint8_t *)nonce.ptr, (const uint8_t *)task->nonce.ptr, nonce.len)) return "the nonce is not that of this login";
    *user = (OidcUser){ .issuer = oidc->issuer };
    if (!text_claim(payload, "sub", PRINCIPAL_TEXT_MAX, &user->subject)) return "sub is no text that can name a user";
    if (json_get(payload, "email") && !text_claim(payload, "email", PRINCIPAL_TEXT_MAX, &user->email)) return "email is no text";
    if (!text_claim(payload, "name", PRINCIPAL_TEXT_MAX, &user->name)) user->name = (Str){ "", 0 };
    user->email_verified = verified && verified->kind == JSON_BOOL && verified->boolean;
    return NULL;
}

static void keys_ready(bool available, void *arg) {
    OidcTask *task = arg;
    OidcUser user;
    task->in_keys = false;
    if (task->cancelled) { task_free(task); return; }
    if (!available) { refuse(task, OIDC_UNAVAILABLE, "the provider's keys cannot be had"); return; }
    if (!keyring_verify(task->oidc->keys, &task->token, task->oidc->alg)) { refuse(task, OIDC_DENIED, "no key of the provider made the signature of the ID token"); return; }
    const char *why = read_user(task, &user);
    if (why) refuse(task, OIDC_DENIED, why);
    else finish(task, OIDC_OK, "", (Str){ "", 0 }, &user);
}

static void exchanged(const HttpResponse *response, void *arg) {
    OidcTask *task = arg;
    Json *json = NULL;
    task->call = NULL;
    if (response->outcome == HTTP_TOO_LARGE) { refuse(task, OIDC_DENIED, "the provider's answer is too large"); return; }
    if (response->outcome != HTTP_ANSWERED || response->status >= 500 || response->status == 429) { refuse(task, OIDC_UNAVAILABLE, "the provider's token endpoint does not answer"); return; }
    if (response->status != 200) { refuse(task, OIDC_DENIED, "the provider does not take the code"); return; }
    if (json_parse(task->arena, response->body, OIDC_DOCUMENT_MAX, &json, NULL) != ERR_OK || json->kind != JSON_OBJECT) { refuse(task, OIDC_DENIED, "the provider's answer is not JSON"); return; }
    Str token = json_get_text(json, "id_token");
    const char *why = token.len ? jws_read(token, task->arena, &task->token) : "the provider's answer holds no ID token";
    if (!why && task->token.alg != task->oidc->alg) why = "the ID token has another algorithm than the configured one";
    if (why) { refuse(task, OIDC_DENIED, why); return; }
    task->in_keys = true;
    keyring_ask(task->oidc->keys, task->token.kid, task->oidc->alg, keys_ready, task);
}

static void ask_token(OidcTask *task) {
    Oidc *oidc = task->oidc;
    bool basic = oidc->client_secret.len && !oidc->secret_in_body;
    HttpHeader headers[3] = { { STR("Content-Type"), STR("application/x-www-form-urlencoded") }, { STR("Accept"), STR("application/json") } };
    Buf body = { 0 }, pair = { 0 }, header = { 0 };
    buf_put_text(&body, "grant_type=authorization_code");
    put_parameter(&body, "code", task->code);
    put_parameter(&body, "redirect_uri", oidc->redirect);
    put_parameter(&body, "code_verifier", task->verifier);
    if (basic) {                                              /* RFC 6749, 2.3.1: both are form-encoded first */
        http_put_escaped(&pair, oidc->client_id);
        buf_put_char(&pair, ':');
        http_put_escaped(&pair, oidc->client_secret);
        buf_put_text(&header, "Basic ");
        base64_encode(buf_str(&pair), &header);
        headers[2] = (HttpHeader){ STR("Authorization"), buf_str(&header) };
    } else {
        put_parameter(&body, "client_id", oidc->client_id);
        if (oidc->client_secret.len) put_parameter(&body, "client_secret", oidc->client_secret);
    }
    HttpRequest request = { .method = "POST", .url = oidc->token_url, .body = buf_str(&body), .headers = headers, .header_count = basic ? 3 : 2, .timeout_us = OIDC_TIMEOUT_US };
    bool sent = send(oidc, &request, exchanged, task, &task->call);
    explicit_bzero(body.ptr, body.len);
    if (pair.ptr) explicit_bzero(pair.ptr, pair.len);
    if (header.ptr) explicit_bzero(header.ptr, header.len);
    buf_free(&body), buf_free(&pair), buf_free(&header);
    if (!sent) refuse(task, OIDC_UNAVAILABLE, "the provider cannot be asked");
}

static void go_on(OidcTask *task) {
    const Oidc *oidc = task->oidc;
    if (task->wants == WANTS_URL) { make_url(task); return; }
    if (task->issuer.len ? !str_eq(task->issuer, oidc->issuer) : oidc->says_issuer) { refuse(task, OIDC_DENIED, "the answer is another provider's"); return; }
    ask_token(task);
}

/* NULL when it was over before this returned. */
static OidcTask *start(Oidc *oidc, Wants wants, OidcDone done, void *arg, const OidcTask *texts) {
    OidcTask *task = mem_alloc(sizeof *task);
    Arena *arena = arena_new();
    bool gone = false;
    *task = (OidcTask){ .oidc = oidc, .next = oidc->tasks, .place = &oidc->tasks, .gone = &gone, .wants = wants, .arena = arena, .code = arena_str(arena, texts->code), .issuer = arena_str(arena, texts->issuer),
                        .nonce = arena_str(arena, texts->nonce), .verifier = arena_str(arena, texts->verifier), .state = arena_str(arena, texts->state), .done = done, .arg = arg };
    if (task->next) task->next->place = &task->next;
    oidc->tasks = task;
    if (++oidc->task_count > OIDC_WAITING_MAX) refuse(task, OIDC_UNAVAILABLE, "more logins at once than OIDC_WAITING_MAX (1000)");
    else if (discover(task)) go_on(task);
    if (gone) return NULL;
    task->gone = NULL;
    return task;
}

OidcTask *oidc_authorize(Oidc *oidc, const OidcLogin *login, OidcDone done, void *arg) {
    return start(oidc, WANTS_URL, done, arg, &(OidcTask){ .state = str_of(login->state), .nonce = str_of(login->nonce), .verifier = str_of(login->verifier) });
}

OidcTask *oidc_exchange(Oidc *oidc, Str code, Str issuer, Str nonce, Str verifier, OidcDone done, void *arg) {
    return start(oidc, WANTS_USER, done, arg, &(OidcTask){ .code = code, .issuer = issuer, .nonce = nonce, .verifier = verifier });
}
