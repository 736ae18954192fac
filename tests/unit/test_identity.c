/* test_identity.c - who a token lets in: every defect of a token by itself, revocation over two processes' worth of state, rotation of keys in a file and at
 * a URL, scopes, cookies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <arpa/inet.h>
#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/base64.h"
#include "interpreter/identity/identity.h"
#include "interpreter/identity/jws.h"
#include "interpreter/identity/keyring.h"
#include "interpreter/identity/oidc.h"
#include "interpreter/identity/service.h"
#include "interpreter/store/store.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW_S INT64_C(1800000000)

static char folder[] = "/tmp/flow_identity_XXXXXX";
static struct event_base *loop;
static HttpClient *http;
static Store *store;
static Identity *identity;
static int64_t now_us;
static JwsKeys own, foreign, other;      /* of the deployment; of the trusted issuer (RS256); of nobody */
static Buf own_text, foreign_text;

static int64_t test_now(void *arg) { return now_us; }

static char *in_folder(const char *name) {
    static char path[4][160];
    static int at;
    at = (at + 1) % 4;
    snprintf(path[at], sizeof path[at], "%s/%s", folder, name);
    return path[at];
}

static void write_file(const char *path, Str text, mode_t mode) {
    Error error = { 0 };
    if (file_write(path, text, &error)) fail_msg("%s", error.text);
    chmod(path, mode);
}

static void keys_of(JwsAlg alg, Buf *text, JwsKeys *keys) {
    jws_keys_generate(alg, text);
    assert_int_equal(jws_keys_read(buf_str(text), JWS_KEYS_OWN, keys, NULL, NULL), ERR_OK);
}

static IdentityOptions options(void) {
    return (IdentityOptions){ .keys_file = in_folder("own.json"), .trust_issuer = "https://issuer.example/", .trust_audience = "flow", .trust_keys = in_folder("foreign.json"), .now = test_now };
}

static int open_all(void **state) {
    char url[200];
    Error error = { 0 };
    Buf nobody = { 0 }, public = { 0 };
    loop = event_base_new();
    http = http_client_new(loop);
    now_us = NOW_S * TIME_SECOND;
    assert_non_null(mkdtemp(folder));
    keys_of(JWS_ES256, &own_text, &own);
    keys_of(JWS_RS256, &foreign_text, &foreign);
    keys_of(JWS_ES256, &nobody, &other);
    jws_keys_print_public(&foreign, &public);
    write_file(in_folder("own.json"), buf_str(&own_text), 0600);
    write_file(in_folder("foreign.json"), buf_str(&public), 0644);
    snprintf(url, sizeof url, "sqlite:%s", in_folder("store.db"));
    assert_int_equal(store_open(url, &(StoreOptions){ .loop = loop }, &store, &error), ERR_OK);
    IdentityOptions how = options();
    if (identity_open(&how, loop, http, store, &identity, &error)) fail_msg("%s", error.text);
    buf_free(&nobody), buf_free(&public);
    return 0;
}

static int close_all(void **state) {
    identity_close(identity);
    http_client_free(http);
    store_close(store);
    event_base_free(loop);
    jws_keys_free(&own), jws_keys_free(&foreign), jws_keys_free(&other);
    buf_free(&own_text), buf_free(&foreign_text);
    return 0;
}

/* ---- asking ------------------------------------------------------------------------------------------------ */

typedef struct Answer { bool there; AuthOutcome outcome; char why[200], tenant[64], user[64], scopes[200]; int64_t expires_us; } Answer;

static void answered(AuthOutcome outcome, const Principal *p, const char *why, void *arg) {
    Answer *answer = arg;
    *answer = (Answer){ .there = true, .outcome = outcome };
    snprintf(answer->why, sizeof answer->why, "%s", why);
    assert_int_equal(p != NULL, outcome == AUTH_OK);
    if (!p) return;
    snprintf(answer->tenant, sizeof answer->tenant, "%.*s", STR_ARG(p->tenant));
    snprintf(answer->user, sizeof answer->user, "%.*s", STR_ARG(p->user));
    for (uint32_t i = 0; i < p->scope_count; i++) snprintf(answer->scopes + strlen(answer->scopes), sizeof answer->scopes - strlen(answer->scopes), "%s%.*s", i ? " " : "", STR_ARG(p->scopes[i]));
    answer->expires_us = p->expires_us;
}

static Answer ask(Identity *whom, Str token) {
    Answer answer = { 0 };
    Arena *arena = arena_new();
    identity_authenticate(whom, token, arena, answered, &answer);
    for (int i = 0; i < 2000 && !answer.there; i++) event_base_loop(loop, EVLOOP_ONCE);
    assert_true(answer.there);
    arena_free(arena);
    return answer;
}

static AuthOutcome outcome_of(const char *token) { return ask(identity, str_of(token)).outcome; }

static Buf signed_by(const JwsKeys *keys, const char *typ, const char *payload) {
    Buf out = { 0 };
    Error error = { 0 };
    if (jws_sign(keys->items[0], jws_key_alg(keys->items[0]), str_of(typ), str_of(payload), &out, &error)) fail_msg("%s", error.text);
    return out;
}

/* ---- tokens ------------------------------------------------------------------------------------------------ */

#define GOOD "\"iss\":\"https://fidus.ai\",\"sub\":\"anna\",\"aud\":\"fidus-api\",\"exp\":1800003600,\"iat\":1800000000,\"tenant_id\":\"family-1\",\"user_id\":\"anna\",\"session_id\":\"S-1\""
#define LISTS ",\"roles\":[\"USER\"],\"scopes\":[\"calendar:read\",\"finance:write\"]"

static void test_claims_one_by_one(void **state) {
    static const struct { const char *payload; AuthOutcome outcome; } cases[] = {
        { "{" GOOD LISTS ",\"email\":\"anna@example.com\"}", AUTH_OK },
        { "{" GOOD ",\"scopes\":[]}", AUTH_OK }, { "{" GOOD "}", AUTH_OK }, { "{" GOOD ",\"device_id\":\"d1\",\"nbf\":1800000000,\"unknown\":{\"a\":[]}}", AUTH_OK },
        /* issuer and audience */
        { "{\"sub\":\"anna\"}", AUTH_BAD }, { "{}", AUTH_BAD },
        { "{\"iss\":\"https://fidus.ai/\",\"sub\":\"a\",\"aud\":\"fidus-api\",\"exp\":1800003600,\"iat\":1800000000,\"tenant_id\":\"t\",\"session_id\":\"S\"}", AUTH_BAD },
        { "{\"iss\":[\"https://fidus.ai\"],\"sub\":\"a\",\"aud\":\"fidus-api\",\"exp\":1800003600,\"iat\":1800000000,\"tenant_id\":\"t\",\"session_id\":\"S\"}", AUTH_BAD },
        { "{\"iss\":\"https://issuer.example/\",\"sub\":\"a\",\"aud\":\"flow\",\"exp\":1800003600,\"iat\":1800000000,\"tenant_id\":\"t\",\"session_id\":\"S\"}", AUTH_BAD },
        { "{\"iss\":\"https://fidus.ai\",\"sub\":\"a\",\"exp\":1800003600,\"iat\":1800000000,\"tenant_id\":\"t\",\"session_id\":\"S\"}", AUTH_BAD },
        { "{\"iss\":\"https://fidus.ai\",\"sub\":\"a\",\"aud\":\"other\",\"exp\":1800003600,\"iat\":1800000000,\"tenant_id\":\"t\",\"session_id\":\"S\"}", AUTH_WRONG_AUDIENCE },
        { "{\"iss\":\"https://fidus.ai\",\"sub\":\"a\",\"aud\":\"fidus-api2\",\"exp\":1800003600,\"iat\":1800000000,\"tenant_id\":\"t\",\"session_id\":\"S\"}", AUTH_WRONG_AUDIENCE },
        { "{\"iss\":\"https://fidus.ai\",\"sub\":\"a\",\"aud\":[\"other\"],\"exp\":1800003600,\"iat\":1800000000,\"tenant_id\":\"t\",\"session_id\":\"S\"}", AUTH_WRONG_AUDIENCE },
        { "{\"iss\":\"https://fidus.ai\",\"sub\":\"a\",\"aud\":[\"other\",\"fidus-api\"],\"exp\":1800003600,\"iat\":1800000000,\"tenant_id\":\"t\",\"session_id\":\"S\"}", AUTH_OK },
        { "{\"iss\":\"https://fidus.ai\",\"sub\":\"a\",\"aud\":[\"fidus-api\",7],\"exp\":1800003600,\"iat\":1800000000,\"tenant_id\":\"t\",\"session_id\":\"S\"}", AUTH_BAD },
        { "{\"iss\":\"https://fidus.ai\",\"sub\":\"a\",\"aud\":[],\"exp\":1800003600,\"iat\":1800000000,\"tenant_id\":\"t\",\"session_id\":\"S\"}", AUTH_BAD },
        { "{\"iss\":\"https://fidus.ai\",\"sub\":\"a\",\"aud\":{\"fidus-api\":1},\"exp\":1800003600,\"iat\":1800000000,\"tenant_id\":\"t\",\"session_id\":\"S\"}", AUTH_BAD },
#define TIMES(times) "{\"iss\":\"https://fidus.ai\",\"sub\":\"a\",\"aud\":\"fidus-api\",\"tenant_id\":\"t\",\"session_id\":\"S\"" times "}"
        { TIMES(",\"iat\":1800000000"), AUTH_BAD }, { TIMES(",\"exp\":1800003600"), AUTH_BAD }, { TIMES(",\"exp\":\"1800003600\",\"iat\":1800000000"), AUTH_BAD },
        { TIMES(",\"exp\":true,\"iat\":1800000000"), AUTH_BAD }, { TIMES(",\"exp\":null,\"iat\":1800000000"), AUTH_BAD }, { TIMES(",\"exp\":-1,\"iat\":1800000000"), AUTH_BAD },
        { TIMES(",\"exp\":9223372036854775807,\"iat\":1800000000"), AUTH_BAD }, { TIMES(",\"exp\":1e300,\"iat\":1800000000"), AUTH_BAD }, { TIMES(",\"exp\":1800003600.5,\"iat\":1799999999.9"), AUTH_OK },
        { TIMES(",\"exp\":1799999999,\"iat\":1799990000"), AUTH_OK } /* within the skew */, { TIMES(",\"exp\":1799999971,\"iat\":1799990000"), AUTH_OK }, { TIMES(",\"exp\":1799999970,\"iat\":1799990000"), AUTH_EXPIRED },
        { TIMES(",\"exp\":0,\"iat\":0"), AUTH_EXPIRED }, { TIMES(",\"exp\":1800003600,\"iat\":1800000030"), AUTH_OK }, { TIMES(",\"exp\":1800003600,\"iat\":1800000031"), AUTH_BAD },
        { TIMES(",\"exp\":1800003600,\"iat\":1800000000,\"nbf\":1800000030"), AUTH_OK }, { TIMES(",\"exp\":1800003600,\"iat\":1800000000,\"nbf\":1800000031"), AUTH_BAD },
        { TIMES(",\"exp\":1800003600,\"iat\":1800000000,\"nbf\":\"0\""), AUTH_BAD },
        /* who: nothing that could mean two */
#define WHO(who) "{\"iss\":\"https://fidus.ai\",\"aud\":\"fidus-api\",\"exp\":1800003600,\"iat\":1800000000" who "}"
        { WHO(",\"sub\":\"a\",\"session_id\":\"S\""), AUTH_BAD }, { WHO(",\"sub\":\"a\",\"tenant_id\":\"t\""), AUTH_BAD }, { WHO(",\"tenant_id\":\"t\",\"session_id\":\"S\""), AUTH_BAD },
        { WHO(",\"sub\":\"a\",\"user_id\":\"b\",\"tenant_id\":\"t\",\"session_id\":\"S\""), AUTH_BAD }, { WHO(",\"sub\":\"a\",\"tenant_id\":\"\",\"session_id\":\"S\""), AUTH_BAD },
        { WHO(",\"sub\":\"\",\"tenant_id\":\"t\",\"session_id\":\"S\""), AUTH_BAD }, { WHO(",\"sub\":7,\"tenant_id\":\"t\",\"session_id\":\"S\""), AUTH_BAD },
        { WHO(",\"sub\":\"a\",\"tenant_id\":[\"t\"],\"session_id\":\"S\""), AUTH_BAD }, { WHO(",\"sub\":\"a\",\"tenant_id\":\"t\\nu\",\"session_id\":\"S\""), AUTH_BAD },
        { WHO(",\"sub\":\"a\",\"tenant_id\":\"public\",\"session_id\":\"S\""), AUTH_BAD }, { WHO(",\"sub\":\"a\",\"tenant_id\":\"t\",\"session_id\":\"S\",\"tenant_id\":\"u\""), AUTH_BAD },
        { WHO(",\"sub\":\"a\",\"tenant_id\":\"t\",\"session_id\":\"S\",\"scopes\":\"admin:all\""), AUTH_BAD }, { WHO(",\"sub\":\"a\",\"tenant_id\":\"t\",\"session_id\":\"S\",\"scopes\":[1]"), AUTH_BAD },
        { WHO(",\"sub\":\"a\",\"tenant_id\":\"t\",\"session_id\":\"S\",\"scopes\":[[\"admin:all\"]]"), AUTH_BAD }, { WHO(",\"sub\":\"a\",\"tenant_id\":\"t\",\"session_id\":\"S\",\"roles\":{}"), AUTH_BAD },
        { WHO(",\"sub\":\"a\",\"tenant_id\":\"t\",\"session_id\":\"S\",\"scope\":\"a:read  b:read\""), AUTH_BAD }, { WHO(",\"sub\":\"a\",\"tenant_id\":\"t\",\"session_id\":\"S\",\"email\":1"), AUTH_BAD },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Buf token = signed_by(&own, "at+jwt", cases[i].payload);
        Answer answer = ask(identity, buf_str(&token));
        if (answer.outcome != cases[i].outcome) fail_msg("%s: %s (%s)", cases[i].payload, auth_outcome_name(answer.outcome), answer.why);
        buf_free(&token);
    }
}

static void test_typ_is_pinned(void **state) {
    static const struct { const char *typ; AuthOutcome outcome; } cases[] = {
        { "at+jwt", AUTH_OK }, { "application/at+jwt", AUTH_OK }, { "AT+JWT", AUTH_OK }, { "JWT", AUTH_BAD }, { "", AUTH_BAD }, { "id+jwt", AUTH_BAD }, { "logout+jwt", AUTH_BAD }, { "at+jwt ", AUTH_BAD },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Buf token = signed_by(&own, cases[i].typ, "{" GOOD "}");
        if (outcome_of(buf_cstr(&token)) != cases[i].outcome) fail_msg("typ `%s`", cases[i].typ);
        buf_free(&token);
    }
}

static void test_who_it_is(void **state) {
    Buf token = signed_by(&own, "at+jwt", "{" GOOD LISTS "}");
    Answer answer = ask(identity, buf_str(&token));
    assert_int_equal(answer.outcome, AUTH_OK);
    assert_string_equal(answer.tenant, "family-1");
    assert_string_equal(answer.user, "anna");
    assert_string_equal(answer.scopes, "calendar:read finance:write");
    assert_int_equal(answer.expires_us, 1800003600 * TIME_SECOND);
    buf_free(&token);
}

static void test_other_keys(void **state) {
    assert_int_equal(outcome_of(""), AUTH_NONE);
    assert_int_equal(outcome_of("x"), AUTH_BAD);
    Buf by_nobody = signed_by(&other, "at+jwt", "{" GOOD "}"), by_foreign = signed_by(&foreign, "at+jwt", "{" GOOD "}");
    assert_int_equal(outcome_of(buf_cstr(&by_nobody)), AUTH_BAD);
    assert_int_equal(outcome_of(buf_cstr(&by_foreign)), AUTH_BAD);          /* a good key of another issuer */
    buf_free(&by_nobody), buf_free(&by_foreign);
    /* the foreign issuer: its own audience, its own algorithm, no session needed, sub is enough, scope is enough */
#define FOREIGN "\"iss\":\"https://issuer.example/\",\"sub\":\"bob\",\"aud\":\"flow\",\"exp\":1800003600,\"iat\":1800000000,\"tenant_id\":\"acme\",\"scope\":\"a:read b:write\""
    Buf token = signed_by(&foreign, "at+jwt", "{" FOREIGN "}");
    Answer answer = ask(identity, buf_str(&token));
    assert_int_equal(answer.outcome, AUTH_OK);
    assert_string_equal(answer.scopes, "a:read b:write");
    buf_free(&token);
    token = signed_by(&own, "at+jwt", "{" FOREIGN "}");       /* our key, but in the name of somebody else */
    assert_int_equal(outcome_of(buf_cstr(&token)), AUTH_BAD);
    buf_free(&token);
    for (int alg = JWS_RS384; alg <= JWS_PS512; alg++) {      /* the issuer's own modulus under another algorithm */
        Buf set = { 0 }, signature = { 0 };
        JwsKeys keys;
        Str key = buf_str(&foreign_text);
        const char *at = memmem(key.ptr, key.len, "\"RS256\"", 7);
        buf_put(&set, key.ptr, (size_t)(at - key.ptr));
        buf_printf(&set, "\"%s\"%.*s", jws_alg_name((JwsAlg)alg), (int)(key.len - (size_t)(at - key.ptr) - 7), at + 7);
        assert_int_equal(jws_keys_read(buf_str(&set), JWS_KEYS_OWN, &keys, NULL, NULL), ERR_OK);
        signature = signed_by(&keys, "at+jwt", "{" FOREIGN "}");
        assert_int_equal(outcome_of(buf_cstr(&signature)), AUTH_BAD);
        jws_keys_free(&keys);
        buf_free(&set), buf_free(&signature);
    }
}

static void test_mint(void **state) {
    Str roles[] = { STR("USER") }, scopes[] = { STR("calendar:read"), STR("x\"y") };
    Principal anna = { .tenant = STR("t"), .user = STR("anna"), .email = STR("a@b"), .session_id = STR("S-9"), .device_id = STR("d"), .roles = roles, .role_count = 1, .scopes = scopes, .scope_count = 2,
                       .expires_us = now_us + IDENTITY_SESSION_US };
    Buf token = { 0 };
    Error error = { 0 };
    JwsToken read;
    Arena *arena = arena_new();
    assert_int_equal(identity_mint(identity, &anna, &token, &error), ERR_OK);
    assert_int_equal(outcome_of(buf_cstr(&token)), AUTH_OK);
    assert_null(jws_read(buf_str(&token), arena, &read));
    Buf payload = { 0 };
    json_print(&payload, read.payload);
    assert_string_equal(buf_cstr(&payload), "{\"iss\":\"https://fidus.ai\",\"sub\":\"anna\",\"aud\":\"fidus-api\",\"exp\":1800086400,\"iat\":1800000000,\"tenant_id\":\"t\",\"user_id\":\"anna\",\"email\":\"a@b\","
                        "\"roles\":[\"USER\"],\"scopes\":[\"calendar:read\",\"x\\\"y\"],\"session_id\":\"S-9\",\"device_id\":\"d\"}");
    buf_free(&payload), arena_free(arena);
    buf_clear(&token);
    anna.expires_us = now_us + IDENTITY_TOKEN_LIFE_MAX_US + TIME_SECOND;
    assert_int_equal(identity_mint(identity, &anna, &token, &error), ERR_INVALID);
    anna.expires_us = now_us;
    assert_int_equal(identity_mint(identity, &anna, &token, &error), ERR_INVALID);
    anna.expires_us = now_us + TIME_SECOND;
    anna.tenant = STR(IDENTITY_PUBLIC_TENANT);
    assert_int_equal(identity_mint(identity, &anna, &token, &error), ERR_INVALID);
    anna.tenant = STR("t\n");
    assert_int_equal(identity_mint(identity, &anna, &token, &error), ERR_INVALID);
    anna.tenant = STR("t");
    Str many[PRINCIPAL_LIST_MAX + 1];
    for (size_t i = 0; i < COUNT(many); i++) many[i] = STR("s");
    anna.scopes = many, anna.scope_count = COUNT(many);
    assert_int_equal(identity_mint(identity, &anna, &token, &error), ERR_LIMIT);
    assert_non_null(strstr(error.text, "PRINCIPAL_LIST_MAX"));
    assert_int_equal(token.len, 0);
    buf_free(&token);
}

/* ---- revocation ---------------------------------------------------------------------------------------------- */

static void note_revoked(Err err, const Error *error, void *arg) { *(int *)arg = err ? 100 + (int)err : 1; }

static void test_revocation_is_seen_by_all(void **state) {
    Identity *elsewhere;
    IdentityOptions how = options();
    int done = 0;
    Buf token = signed_by(&own, "at+jwt", "{" GOOD "}"), sibling = signed_by(&own, "at+jwt", WHO(",\"sub\":\"anna\",\"tenant_id\":\"family-1\",\"session_id\":\"S-2\"")),
        namesake = signed_by(&own, "at+jwt", WHO(",\"sub\":\"anna\",\"tenant_id\":\"family-2\",\"session_id\":\"S-1\""));
    assert_int_equal(identity_open(&how, loop, http, store, &elsewhere, NULL), ERR_OK);
    assert_int_equal(outcome_of(buf_cstr(&token)), AUTH_OK);
    assert_int_equal(ask(elsewhere, buf_str(&token)).outcome, AUTH_OK);
    identity_revoke(identity, STR("family-1"), STR("S-1"), note_revoked, &done);
    assert_int_equal(outcome_of(buf_cstr(&token)), AUTH_REVOKED);           /* here at once */
    while (!done) event_base_loop(loop, EVLOOP_ONCE);
    assert_int_equal(done, 1);
    now_us += IDENTITY_REVOCATION_US - 1;
    assert_int_equal(ask(elsewhere, buf_str(&token)).outcome, AUTH_OK);     /* remembered for that long */
    now_us += 1;
    assert_int_equal(ask(elsewhere, buf_str(&token)).outcome, AUTH_REVOKED);
    assert_int_equal(ask(elsewhere, buf_str(&sibling)).outcome, AUTH_OK);
    assert_int_equal(ask(elsewhere, buf_str(&namesake)).outcome, AUTH_OK);  /* a session belongs to a tenant */
    identity_close(elsewhere);
    assert_int_equal(identity_open(&how, loop, http, store, &elsewhere, NULL), ERR_OK);
    assert_int_equal(ask(elsewhere, buf_str(&token)).outcome, AUTH_REVOKED);        /* and after a restart */
    identity_revoke(elsewhere, STR("family-1"), STR(""), note_revoked, &done);
    assert_int_equal(done, 100 + ERR_INVALID);
    identity_close(elsewhere);
    buf_free(&token), buf_free(&sibling), buf_free(&namesake);
    now_us = NOW_S * TIME_SECOND;
}

static void test_a_store_that_is_gone_denies(void **state) {
    Store *gone;
    char url[200];
    IdentityOptions how = options();
    Identity *there;
    Buf token = signed_by(&own, "at+jwt", "{" GOOD "}");
    snprintf(url, sizeof url, "sqlite:%s", in_folder("gone.db"));
    assert_int_equal(store_open(url, &(StoreOptions){ .loop = loop }, &gone, NULL), ERR_OK);
    assert_int_equal(identity_open(&how, loop, http, gone, &there, NULL), ERR_OK);
    store_crash_at(gone, 1, CRASH_BEFORE, false);
    StoreBatch *batch = store_batch(gone, STR("t"), STR(""), 0);
    store_put_blob(batch, STR("h"), STR("b"));
    assert_int_not_equal(store_run_batch(batch, NULL), ERR_OK);             /* from here on nothing is answered */
    store_batch_free(batch);
    assert_int_equal(ask(there, buf_str(&token)).outcome, AUTH_UNAVAILABLE);
    identity_close(there);
    store_close(gone);
    buf_free(&token);
}

/* ---- keys ------------------------------------------------------------------------------------------------------ */

static void test_keys_are_made_once_and_kept(void **state) {
    IdentityOptions how = { .keys_file = in_folder("made/here/keys.json"), .now = test_now };
    Identity *first, *second;
    Error error = { 0 };
    struct stat info;
    Principal anna = { .tenant = STR("t"), .user = STR("anna"), .session_id = STR("S"), .expires_us = now_us + TIME_DAY };
    Buf token = { 0 }, jwks = { 0 };
    if (identity_open(&how, loop, http, store, &first, &error)) fail_msg("%s", error.text);
    assert_int_equal(stat(how.keys_file, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(identity_open(&how, loop, http, store, &second, &error), ERR_OK);
    assert_int_equal(identity_mint(first, &anna, &token, &error), ERR_OK);
    assert_int_equal(ask(second, buf_str(&token)).outcome, AUTH_OK);
    assert_int_equal(outcome_of(buf_cstr(&token)), AUTH_BAD);               /* another deployment */
    identity_put_jwks(first, &jwks);
    assert_non_null(strstr(buf_cstr(&jwks), "\"kid\""));
    assert_null(strstr(buf_cstr(&jwks), "\"d\""));
    identity_close(first), identity_close(second);
    chmod(how.keys_file, 0644);
    assert_int_equal(identity_open(&how, loop, http, store, &first, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "chmod 600"));
    write_file(how.keys_file, STR("{\"keys\":[]}"), 0600);
    assert_int_equal(identity_open(&how, loop, http, store, &first, &error), ERR_INVALID);
    buf_clear(&jwks);
    jws_keys_print_public(&own, &jwks);
    write_file(how.keys_file, buf_str(&jwks), 0600);
    assert_int_equal(identity_open(&how, loop, http, store, &first, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "cannot sign"));
    how = (IdentityOptions){ .keys_json = buf_cstr(&own_text), .now = test_now };
    assert_int_equal(identity_open(&how, loop, http, store, &first, &error), ERR_OK);
    buf_clear(&token);
    assert_int_equal(identity_mint(first, &anna, &token, &error), ERR_OK);
    assert_int_equal(outcome_of(buf_cstr(&token)), AUTH_OK);
    identity_close(first);
    buf_free(&token), buf_free(&jwks);
}

/* A new first key signs, the old one still verifies; then it is gone. Nobody restarts. */
static void test_rotation_of_our_own(void **state) {
    Buf set = { 0 }, next_text = { 0 }, token = { 0 };
    JwsKeys next;
    Error error = { 0 };
    Identity *there;
    Principal anna = { .tenant = STR("t"), .user = STR("anna"), .session_id = STR("S"), .expires_us = now_us + TIME_DAY };
    keys_of(JWS_RS256, &next_text, &next);
    write_file(in_folder("rotated.json"), buf_str(&own_text), 0600);
    IdentityOptions how = { .keys_file = in_folder("rotated.json"), .now = test_now };
    assert_int_equal(identity_open(&how, loop, http, store, &there, &error), ERR_OK);
    Buf old = { 0 };
    assert_int_equal(identity_mint(there, &anna, &old, &error), ERR_OK);
    buf_put_str(&set, (Str){ next_text.ptr, next_text.len - 2 });
    buf_printf(&set, ",%.*s", (int)own_text.len - 9, own_text.ptr + 9);
    write_file(in_folder("rotated.json"), buf_str(&set), 0600);
    assert_int_equal(jws_sign(next.items[0], JWS_RS256, STR("at+jwt"), STR("{" GOOD "}"), &token, &error), ERR_OK);
    assert_int_equal(ask(there, buf_str(&token)).outcome, AUTH_BAD);        /* asked for a moment ago */
    now_us += KEYRING_REFETCH_US;
    assert_int_equal(ask(there, buf_str(&token)).outcome, AUTH_REVOKED);    /* verified: S-1 was revoked above */
    assert_int_equal(ask(there, buf_str(&old)).outcome, AUTH_OK);
    buf_clear(&token);
    assert_int_equal(identity_mint(there, &anna, &token, &error), ERR_OK);
    Arena *arena = arena_new();
    JwsToken read;
    assert_null(jws_read(buf_str(&token), arena, &read));
    assert_int_equal(read.alg, JWS_RS256);
    arena_free(arena);
    write_file(in_folder("rotated.json"), buf_str(&next_text), 0600);
    now_us += KEYRING_FRESH_US;
    assert_int_equal(ask(there, buf_str(&old)).outcome, AUTH_BAD);
    assert_int_equal(ask(there, buf_str(&token)).outcome, AUTH_OK);
    identity_close(there);
    jws_keys_free(&next);
    buf_free(&set), buf_free(&next_text), buf_free(&token), buf_free(&old);
    now_us = NOW_S * TIME_SECOND;
}

static struct { Buf body; int status, asked; bool hang; } served;

static void serve(struct evhttp_request *request, void *arg) {
    served.asked++;
    if (served.hang) return;
    struct evbuffer *out = evbuffer_new();
    evbuffer_add(out, served.body.ptr, served.body.len);
    evhttp_send_reply(request, served.status, "x", out);
    evbuffer_free(out);
}

static void test_rotation_at_a_url(void **state) {
    struct evhttp *server = evhttp_new(loop);
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(server, "127.0.0.1", 0);
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    char url[80];
    evhttp_set_gencb(server, serve, NULL);
    getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/jwks", ntohs(address.sin_port));
    IdentityOptions how = options();
    Identity *there;
    Buf next_text = { 0 }, next_public = { 0 };
    JwsKeys next;
    keys_of(JWS_RS256, &next_text, &next);
    jws_keys_print_public(&next, &next_public);
    Buf old = signed_by(&foreign, "at+jwt", "{" FOREIGN "}"), young = signed_by(&next, "at+jwt", "{" FOREIGN "}");
    how.trust_keys = url;
    assert_int_equal(identity_open(&how, loop, http, store, &there, NULL), ERR_OK);
    assert_int_equal(served.asked, 0);
    static const struct { int status; const char *body; } broken[] = {
        { 500, "{\"keys\":[]}" }, { 200, "" }, { 200, "{\"keys\":[]}" }, { 200, "[]" }, { 200, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}" },
        { 200, "{\"keys\":[],\"keys\":[]}" }, { 302, "" }, { 404, "" } };
    for (size_t i = 0; i < COUNT(broken); i++) {
        served.status = broken[i].status;
        buf_clear(&served.body);
        buf_put_text(&served.body, broken[i].body);
        assert_int_equal(ask(there, buf_str(&old)).outcome, AUTH_UNAVAILABLE);
        assert_int_equal(served.asked, (int)i + 1);
        assert_int_equal(ask(there, buf_str(&old)).outcome, AUTH_UNAVAILABLE);        /* and nobody is asked again at once */
        assert_int_equal(served.asked, (int)i + 1);
        now_us += KEYRING_REFETCH_US;
    }
    served.asked = 0, served.status = 200;
    buf_clear(&served.body);
    Buf public = { 0 };
    jws_keys_print_public(&foreign, &public);
    buf_put_str(&served.body, buf_str(&public));
    assert_int_equal(ask(there, buf_str(&old)).outcome, AUTH_OK);
    assert_int_equal(ask(there, buf_str(&old)).outcome, AUTH_OK);
    assert_int_equal(served.asked, 1);
    for (int i = 0; i < 5; i++) assert_int_equal(ask(there, buf_str(&young)).outcome, AUTH_BAD);      /* a flood of unknown keys asks nobody */
    assert_int_equal(served.asked, 1);
    buf_clear(&served.body);
    buf_put_str(&served.body, buf_str(&next_public));
    now_us += KEYRING_REFETCH_US;
    assert_int_equal(ask(there, buf_str(&young)).outcome, AUTH_OK);         /* an unknown key: asked once more */
    assert_int_equal(served.asked, 2);
    assert_int_equal(ask(there, buf_str(&old)).outcome, AUTH_BAD);          /* the old one is gone */
    served.status = 500;
    now_us += KEYRING_FRESH_US;
    assert_int_equal(ask(there, buf_str(&young)).outcome, AUTH_OK);         /* while nothing newer can be had */
    now_us += KEYRING_STALE_US;
    assert_int_equal(ask(there, buf_str(&young)).outcome, AUTH_UNAVAILABLE);
    served.hang = true;                                                     /* closed while it waits for keys: nobody is called */
    now_us += KEYRING_REFETCH_US;
    Answer never = { 0 };
    Arena *arena = arena_new();
    identity_authenticate(there, buf_str(&young), arena, answered, &never);
    while (served.asked < 4) event_base_loop(loop, EVLOOP_ONCE);
    identity_close(there);
    assert_false(never.there);
    arena_free(arena);
    static const char *const refused[] = { "http://issuer.example/jwks", "ftp://127.0.0.1/x", "http://127.0.0.1.evil.example/", "http://localhost@evil.example/", "https://", "file:///etc/passwd" };
    for (size_t i = 0; i < COUNT(refused); i++) {
        how.trust_keys = refused[i];
        assert_int_equal(identity_open(&how, loop, http, store, &there, NULL), ERR_INVALID);
    }
    evhttp_free(server);
    jws_keys_free(&next);
    buf_free(&next_text), buf_free(&next_public), buf_free(&public), buf_free(&old), buf_free(&young), buf_free(&served.body);
    now_us = NOW_S * TIME_SECOND;
}

/* ---- the tools of programs --------------------------------------------------------------------------------- */

typedef struct Served { bool there; int status; char body[1000]; } Served;

static void tool_answered(const HttpResponse *response, void *arg) {
    Served *answer = arg;
    *answer = (Served){ .there = true, .status = response->status };
    snprintf(answer->body, sizeof answer->body, "%.*s", STR_ARG(response->body));
}

static Served use_tool(Identity *whom, const Image *image, const char *tool, const char *body, const char *run, const char *user) {
    Served answer = { 0 };
    service_call(whom, &(ServiceCall){ .image = image, .tool = str_of(tool), .body = str_of(body), .run_id = str_of(run), .user = str_of(user), .key = str_of(run) }, tool_answered, &answer);
    for (int i = 0; i < 2000 && !answer.there; i++) event_base_loop(loop, EVLOOP_ONCE);
    assert_true(answer.there);
    return answer;
}

typedef struct Minted { bool there; Err err; char token[2000]; int64_t life_us; } Minted;

static void token_made(Err err, const Error *error, Str token, int64_t life_us, void *arg) {
    Minted *made = arg;
    *made = (Minted){ .there = true, .err = err, .life_us = life_us };
    snprintf(made->token, sizeof made->token, "%.*s", STR_ARG(token));
}

static Minted mint(const char *session, const char *run) {
    Minted made = { 0 };
    service_mint(identity, str_of(session), str_of(run), token_made, &made);
    for (int i = 0; i < 2000 && !made.there; i++) event_base_loop(loop, EVLOOP_ONCE);
    assert_true(made.there);
    return made;
}

/* The token of a session is made for the run that gave it, a moment after, and for nobody else: its name is no secret. */
static void test_a_session_is_for_its_run_alone(void **state) {
    Str granted[] = { STR("calendar:read"), STR("calendar:write") }, all[] = { STR("admin:all") };
    ImageRole roles[] = { { STR("USER"), true, granted, 2 }, { STR("ADMIN"), false, all, 1 } };
    Image image = { .roles = roles, .role_count = 2 };
    Served given = use_tool(identity, &image, "open_session", "{\"user_id\":\"anna\",\"tenant_id\":\"family/1\",\"email\":\"a@b.c\",\"roles\":[],\"scopes\":[\"x:y\"],\"device_id\":null}", "R-1", "visitor-1");
    assert_int_equal(given.status, 200);
    assert_null(strstr(given.body, "eyJ"));
    Arena *arena = arena_new();
    Json *json;
    assert_int_equal(json_parse(arena, str_of(given.body), sizeof given.body, &json, NULL), ERR_OK);
    char session[200];
    snprintf(session, sizeof session, "%.*s", STR_ARG(json_get_text(json, "session")));
    Served again = use_tool(identity, &image, "open_session", "{\"user_id\":\"anna\",\"tenant_id\":\"family/1\",\"roles\":[],\"scopes\":[]}", "R-1", "visitor-1");
    assert_non_null(strstr(again.body, session));            /* asked again after a crash: the same session */
    assert_int_equal(mint(session, "R-2").err, ERR_NOT_FOUND);
    assert_int_equal(mint(session, "").err, ERR_NOT_FOUND);
    assert_int_equal(mint("family/1/S-NOBODY", "R-1").err, ERR_NOT_FOUND);
    assert_int_equal(mint(strrchr(session, '/'), "R-1").err, ERR_NOT_FOUND);
    assert_int_equal(mint("S-1", "R-1").err, ERR_NOT_FOUND);
    Minted made = mint(session, "R-1");
    assert_int_equal(made.err, ERR_OK);
    assert_int_equal(made.life_us, IDENTITY_SESSION_US);
    Answer answer = ask(identity, str_of(made.token));
    assert_int_equal(answer.outcome, AUTH_OK);
    assert_string_equal(answer.tenant, "family/1");
    assert_string_equal(answer.scopes, "x:y calendar:read calendar:write");        /* given by name, and of the default role; not of ADMIN */
    now_us += SERVICE_MINT_US - TIME_SECOND;
    assert_int_equal(mint(session, "R-1").err, ERR_OK);
    now_us += TIME_SECOND;
    assert_int_equal(mint(session, "R-1").err, ERR_NOT_FOUND);
    now_us -= SERVICE_MINT_US;
    char body[400];
    snprintf(body, sizeof body, "{\"tenant_id\":\"family/1\",\"session_id\":\"%s\"}", strrchr(session, '/') + 1);
    assert_int_equal(use_tool(identity, &image, "close_session", body, "R-3", "anna").status, 200);
    assert_int_equal(mint(session, "R-1").err, ERR_NOT_FOUND);
    assert_int_equal(ask(identity, str_of(made.token)).outcome, AUTH_REVOKED);
    static const struct { const char *tool, *body; int status; } refused[] = {
        { "open_session", "{\"user_id\":\"anna\",\"tenant_id\":\"public\"}", 400 }, { "open_session", "{\"user_id\":\"\",\"tenant_id\":\"t\"}", 400 }, { "open_session", "{\"user_id\":\"a\",\"tenant_id\":\"t\",\"roles\":[\"KING\"]}", 400 },
        { "open_session", "{\"user_id\":\"a\",\"tenant_id\":\"t\",\"scopes\":\"admin:all\"}", 400 }, { "open_session", "[]", 400 }, { "close_session", "{\"tenant_id\":\"t\"}", 400 }, { "nothing", "{}", 404 },
        { "begin_login", "{}", 503 }, { "exchange", "{\"code\":\"c\",\"state\":\"s\"}", 503 },
    };
    for (size_t i = 0; i < COUNT(refused); i++) assert_int_equal(use_tool(identity, &image, refused[i].tool, refused[i].body, "R-4", "visitor-1").status, refused[i].status);
    Served admin = use_tool(identity, &image, "open_session", "{\"user_id\":\"root\",\"tenant_id\":\"t\",\"roles\":[\"ADMIN\"]}", "R-5", "visitor-1");
    assert_non_null(strstr(admin.body, "\"scopes\":[\"admin:all\"]"));
    arena_free(arena);
}

/* Too late, another browser, a second time: denied before the provider hears of it (nobody listens where it should be). */
static void test_a_state_has_its_time_its_browser_and_one_use(void **state) {
    static const struct { const char *state, *user; int64_t later_us; int status; } cases[] = {
        { "s-late", "visitor-1", OIDC_LOGIN_US, 401 }, { "s-late", "visitor-1", 0, 401 }, { "s-other", "visitor-2", 0, 401 }, { "s-other", "visitor-1", 0, 401 }, { "s-never", "visitor-1", 0, 401 },
        { "s-none", "", 0, 401 }, { "s-good", "visitor-1", OIDC_LOGIN_US - 1, 503 }, { "s-good", "visitor-1", 0, 401 },
    };
    IdentityOptions how = options();
    Identity *there;
    Image image = { 0 };
    how.oidc_issuer = "http://127.0.0.1:9", how.oidc_client_id = "flow", how.oidc_redirect = "http://127.0.0.1:9/back";
    assert_int_equal(identity_open(&how, loop, http, store, &there, NULL), ERR_OK);
    for (size_t i = 0; i < COUNT(cases); i++) {
        char hash[SHA256_HEX + 1], body[200];
        oidc_state_hash(str_of(cases[i].state), hash);
        bool first = strcmp(cases[i].state, "s-never") != 0 && (i == 0 || strcmp(cases[i].state, cases[i - 1].state) != 0);
        StoreBatch *batch = store_batch(store, STR(""), STR(""), 0);
        if (first) store_put_auth_login(batch, &(AuthLoginRow){ str_of(hash), STR("visitor-1"), STR("n"), STR("v"), now_us, now_us + OIDC_LOGIN_US });
        assert_int_equal(store_run_batch(batch, NULL), ERR_OK);
        store_batch_free(batch);
        snprintf(body, sizeof body, "{\"code\":\"c\",\"state\":\"%s\",\"issuer\":null}", cases[i].state);
        now_us += cases[i].later_us;
        Served answer = use_tool(there, &image, "exchange", body, "R-9", cases[i].user);
        if (answer.status != cases[i].status) fail_msg("case %zu: %d %s", i, answer.status, answer.body);
        now_us -= cases[i].later_us;
    }
    identity_close(there);
    static const char *const incomplete[] = { "http://issuer.example", "https://", "issuer" };
    for (size_t i = 0; i < COUNT(incomplete); i++) {
        how.oidc_issuer = incomplete[i];
        assert_int_equal(identity_open(&how, loop, http, store, &there, NULL), ERR_INVALID);
    }
    how.oidc_issuer = "https://issuer.example", how.oidc_client_id = NULL;
    assert_int_equal(identity_open(&how, loop, http, store, &there, NULL), ERR_INVALID);
    how.oidc_client_id = "flow", how.oidc_alg = "HS256";     /* an ID token is signed with a key that is published */
    assert_int_equal(identity_open(&how, loop, http, store, &there, NULL), ERR_INVALID);
}

/* ---- scopes, cookies ----------------------------------------------------------------------------------------- */

static void test_scopes(void **state) {
    Str mine[] = { STR("calendar:read"), STR("finance:write") }, all[] = { STR("admin:all") }, missing = { 0 };
    Principal user = { .scopes = mine, .scope_count = 2 }, admin = { .scopes = all, .scope_count = 1 }, none = { 0 };
    static const struct { const char *required[3]; bool user, admin, none; } cases[] = {
        { { NULL }, true, true, true }, { { "calendar:read" }, true, true, false }, { { "calendar:write" }, false, true, false }, { { "calendar:read", "finance:write" }, true, true, false },
        { { "calendar:read", "finance:read" }, false, true, false }, { { "calendar" }, false, true, false }, { { "calendar:rea" }, false, true, false }, { { "calendar:read2" }, false, true, false },
        { { "Calendar:read" }, false, true, false }, { { "calendar:*" }, false, true, false }, { { "*" }, false, true, false }, { { "" }, false, false, false }, { { "admin:all" }, false, true, false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Str required[3];
        uint32_t count = 0;
        while (count < 3 && cases[i].required[count]) required[count] = str_of(cases[i].required[count]), count++;
        assert_int_equal(scope_allows(&user, required, count, &missing), cases[i].user);
        assert_int_equal(scope_allows(&admin, required, count, NULL), cases[i].admin);
        assert_int_equal(scope_allows(&none, required, count, NULL), cases[i].none);
        assert_false(scope_allows(NULL, required, count, NULL));
    }
    Str wanted[] = { STR("calendar:read"), STR("finance:read") };
    assert_false(scope_allows(&user, wanted, 2, &missing));
    assert_true(str_is(missing, "finance:read"));
}

static void test_credentials_of_a_request(void **state) {
    static const struct { const char *authorization, *cookie; AuthOutcome outcome; const char *token; bool by_cookie; } cases[] = {
        { "", "", AUTH_NONE, "", false }, { "Bearer abc", "", AUTH_OK, "abc", false }, { "bearer abc", "", AUTH_OK, "abc", false }, { "Bearer ", "", AUTH_BAD, "", false }, { "Bearer", "", AUTH_BAD, "", false },
        { "Basic abc", "", AUTH_BAD, "", false }, { "Basic abc", "fidus_session=abc", AUTH_BAD, "", false }, { "Bearer abc", "fidus_session=xyz", AUTH_OK, "abc", false },
        { "", "fidus_session=abc", AUTH_OK, "abc", true }, { "", "a=b; fidus_session=abc; c=d", AUTH_OK, "abc", true }, { "", "xfidus_session=abc", AUTH_NONE, "", false },
        { "", "fidus_session2=abc", AUTH_NONE, "", false }, { "", "a=fidus_session=abc", AUTH_NONE, "", false }, { "", "fidus_session=", AUTH_NONE, "", false },
        { "", "fidus_session=a; fidus_session=b", AUTH_BAD, "a", true }, { "", ";;; =; fidus_session=abc;", AUTH_OK, "abc", true }, { "", "fidus_session", AUTH_NONE, "", false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Str token;
        bool by_cookie;
        if (identity_credential(str_of(cases[i].authorization), str_of(cases[i].cookie), &token, &by_cookie) != cases[i].outcome) fail_msg("`%s` `%s`", cases[i].authorization, cases[i].cookie);
        assert_int_equal(by_cookie, cases[i].by_cookie);
        if (cases[i].outcome == AUTH_OK) assert_true(str_is(token, cases[i].token));
    }
}

static void test_same_origin(void **state) {
    static const struct { const char *method, *origin, *site, *host; bool fine; } cases[] = {
        { "GET", "https://evil.example", "cross-site", "fidus.example", true }, { "HEAD", "", "", "fidus.example", true },
        { "POST", "https://fidus.example", "", "fidus.example", true }, { "POST", "http://localhost:8080", "", "localhost:8080", true }, { "POST", "https://FIDUS.example", "", "fidus.example", true },
        { "POST", "", "same-origin", "fidus.example", true }, { "POST", "", "", "fidus.example", false }, { "POST", "null", "", "fidus.example", false }, { "POST", "https://", "", "", false },
        { "POST", "https://evil.example", "", "fidus.example", false }, { "POST", "https://fidus.example.evil.example", "", "fidus.example", false }, { "POST", "https://fidus.example:444", "", "fidus.example", false },
        { "POST", "https://fidus.example", "cross-site", "fidus.example", false }, { "POST", "https://fidus.example", "same-site", "fidus.example", false }, { "POST", "https://fidus.example", "none", "fidus.example", false },
        { "DELETE", "https://evil.example", "", "fidus.example", false }, { "PUT", "fidus.example", "", "fidus.example", false }, { "PATCH", "", "", "fidus.example", false }, { "get", "", "", "h", false },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (identity_same_origin(cases[i].method, str_of(cases[i].origin), str_of(cases[i].site), str_of(cases[i].host)) != cases[i].fine) fail_msg("%zu: %s %s", i, cases[i].method, cases[i].origin);
}

static void test_cookies(void **state) {
    Buf out = { 0 };
    identity_put_cookie(identity, STR("a.b.c"), TIME_DAY, &out);
    assert_string_equal(buf_cstr(&out), "fidus_session=a.b.c; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=86400");
    buf_clear(&out);
    identity_put_cookie(identity, STR("a.b.c"), 0, &out);
    assert_string_equal(buf_cstr(&out), "fidus_session=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0");
    Arena *arena = arena_new();
    Str set, again, first = identity_visitor(identity, STR(""), arena, &set);
    assert_true(str_starts(set, STR("__Host-fidus_visitor=")) && str_starts(first, STR("visitor-")) && first.len == 40);
    Str pair = { set.ptr, (size_t)((const char *)memchr(set.ptr, ';', set.len) - set.ptr) };
    assert_true(str_eq(identity_visitor(identity, pair, arena, &again), first));
    assert_int_equal(again.len, 0);
    assert_null(memmem(first.ptr, first.len, pair.ptr + 21, 8));            /* the name does not tell the cookie */
    assert_false(str_eq(identity_visitor(identity, STR("__Host-fidus_visitor=short"), arena, &again), first));
    assert_true(again.len > 0);
    Buf renamed = { 0 };
    buf_put_str(&renamed, (Str){ pair.ptr + 7, pair.len - 7 });               /* the same value under a name that anybody can set */
    assert_false(str_eq(identity_visitor(identity, buf_str(&renamed), arena, &again), first));
    IdentityOptions how = options();
    Identity *plain;
    how.insecure_cookies = true;
    assert_int_equal(identity_open(&how, loop, http, store, &plain, NULL), ERR_OK);
    assert_true(str_eq(identity_visitor(plain, buf_str(&renamed), arena, &again), first));
    buf_clear(&out);
    identity_put_cookie(plain, STR("a.b.c"), TIME_DAY, &out);
    assert_null(strstr(buf_cstr(&out), "Secure"));
    identity_close(plain);
    buf_free(&renamed);
    arena_free(arena);
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims_one_by_one), cmocka_unit_test(test_typ_is_pinned), cmocka_unit_test(test_who_it_is), cmocka_unit_test(test_other_keys), cmocka_unit_test(test_mint),
        cmocka_unit_test(test_revocation_is_seen_by_all), cmocka_unit_test(test_a_store_that_is_gone_denies), cmocka_unit_test(test_keys_are_made_once_and_kept),
        cmocka_unit_test(test_rotation_of_our_own), cmocka_unit_test(test_rotation_at_a_url), cmocka_unit_test(test_a_session_is_for_its_run_alone), cmocka_unit_test(test_a_state_has_its_time_its_browser_and_one_use), cmocka_unit_test(test_scopes), cmocka_unit_test(test_credentials_of_a_request),
        cmocka_unit_test(test_same_origin), cmocka_unit_test(test_cookies),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
