/* test_gateway.c - the parts of the gateway that need no server: which route is meant, signatures, problems, ids of keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/hash.h"
#include "base/time.h"
#include "interpreter/gateway/gateway_internal.h"
#include "interpreter/gateway/signature.h"

static const int64_t NOW = INT64_C(1762768800) * TIME_SECOND;
enum { MINUTES_5 = 300 };

/* ---- routes -------------------------------------------------------------------------------------------------------- */

typedef struct Routes { Image *image; Targets targets; Arena *arena; ImageRoute rows[8]; } Routes;

static Err add(Routes *r, int row, const char *method, const char *path, Error *error)
{
    r->rows[row] = (ImageRoute){ .method = str_of(method), .path = str_of(path) };
    return targets_add(&r->targets, r->image, &r->rows[row], NULL, error);
}

static const char *found(Routes *r, const char *method, const char *path)
{
    Str allow;
    const Target *target = targets_find(&r->targets, str_of(method), str_of(path), r->arena, &allow);
    return target ? arena_str(r->arena, target_path(target)).ptr : arena_printf(r->arena, "none, allow %.*s", STR_ARG(allow));
}

static void text_goes_before_parameters(void **state)
{
    Routes r = { .image = image_new(), .arena = arena_new() };
    Error error;
    assert_int_equal(add(&r, 0, "GET", "/a/{x}", &error), ERR_OK);
    assert_int_equal(add(&r, 1, "GET", "/a/b", &error), ERR_OK);
    assert_int_equal(add(&r, 2, "POST", "/a/{x}", &error), ERR_OK);
    assert_int_equal(add(&r, 3, "GET", "/{y}/b/c", &error), ERR_OK);
    assert_int_equal(add(&r, 4, "GET", "/a/{x}/c", &error), ERR_OK);
    assert_int_equal(add(&r, 5, "GET", "/", &error), ERR_OK);
    assert_int_equal(add(&r, 6, "GET", "/a/{other}", &error), ERR_CONFLICT);
    assert_string_equal(found(&r, "GET", "/a/b"), "/a/b");
    assert_string_equal(found(&r, "GET", "/a/bb"), "/a/{x}");
    assert_string_equal(found(&r, "POST", "/a/b"), "/a/{x}");
    assert_string_equal(found(&r, "GET", "/a/b/c"), "/a/{x}/c");
    assert_string_equal(found(&r, "GET", "/z/b/c"), "/{y}/b/c");
    assert_string_equal(found(&r, "GET", "/"), "/");
    assert_string_equal(found(&r, "DELETE", "/a/b"), "none, allow GET, POST");
    assert_string_equal(found(&r, "GET", "/a/"), "none, allow ");
    assert_string_equal(found(&r, "GET", "/a/b/"), "none, allow ");
    assert_string_equal(found(&r, "GET", "/a"), "none, allow ");
    assert_string_equal(found(&r, "GET", "/z"), "none, allow ");
    Str allow;
    const Target *target = targets_find(&r.targets, STR("GET"), STR("/a/seven/c"), r.arena, &allow);
    assert_true(str_is(target_param(target, STR("/a/seven/c"), 1), "seven"));
    targets_free(&r.targets);
    image_free(r.image);
    arena_free(r.arena);
}

/* ---- signatures ------------------------------------------------------------------------------------------------------- */

typedef struct Signed { HttpServerRequest request; HttpHeader headers[4]; char text[256]; } Signed;

static void stripe(Signed *s, const char *body, const char *signed_body, const char *secret, int64_t seconds)
{
    char data[256], hex[SHA256_HEX + 1];
    snprintf(data, sizeof data, "%lld.%s", (long long)seconds, signed_body);
    Sha256 mac = hmac_sha256(str_of(secret), str_of(data));
    hex_encode(mac.bytes, SHA256_BYTES, hex);
    snprintf(s->text, sizeof s->text, "t=%lld,v0=00,v1=%s", (long long)seconds, hex);
    s->headers[0] = (HttpHeader){ STR("Stripe-Signature"), str_of(s->text) };
    s->request = (HttpServerRequest){ .method = "POST", .body = str_of(body), .headers = s->headers, .header_count = 1 };
}

static bool stripe_ok(const Signed *s, const char *secrets)
{
    Arena *arena = arena_new();
    const char *why = signature_check(VERIFY_STRIPE, str_of(secrets), &s->request, NOW, MINUTES_5 * TIME_SECOND, arena);
    arena_free(arena);
    return why == NULL;
}

static void stripe_signatures(void **state)
{
    static const char secret[] = "whsec_0123456789abcdef", other[] = "whsec_fedcba9876543210";
    const int64_t now = NOW / TIME_SECOND;
    Signed s;
    stripe(&s, "{}", "{}", secret, now);
    assert_true(stripe_ok(&s, secret));
    assert_true(stripe_ok(&s, "whsec_fedcba9876543210, whsec_0123456789abcdef"));
    assert_false(stripe_ok(&s, other));
    assert_false(stripe_ok(&s, ""));
    assert_false(stripe_ok(&s, "short"));
    assert_false(stripe_ok(&s, "whsec_0123456789abcdef short"));
    s.headers[0].name = STR("X-Stripe-Signature");
    assert_true(stripe_ok(&s, secret));
    stripe(&s, "{ }", "{}", secret, now);
    assert_false(stripe_ok(&s, secret));
    for (int64_t away = -MINUTES_5 - 1; away <= MINUTES_5 + 1; away += MINUTES_5 + 1) {
        stripe(&s, "{}", "{}", secret, now + away);
        assert_int_equal(stripe_ok(&s, secret), away == 0);
    }
    stripe(&s, "{}", "{}", secret, now - MINUTES_5);
    assert_true(stripe_ok(&s, secret));
    char cut[256];
    snprintf(cut, sizeof cut, "%s", s.text);
    for (size_t len = 0; len < strlen(s.text); len++) {
        s.headers[0].value = (Str){ cut, len };
        assert_false(stripe_ok(&s, secret));
    }
    for (size_t i = strlen(cut) - SHA256_HEX; i < strlen(s.text); i++) {
        cut[i] = cut[i] == 'a' ? 'b' : 'a';
        s.headers[0].value = str_of(cut);
        assert_false(stripe_ok(&s, secret));
        cut[i] = s.text[i];
    }
}

/* The example of the specification's own reference libraries. */
static void standard_signatures(void **state)
{
    static const char secret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", body[] = "{\"test\": 2432232314}";
    const int64_t seconds = 1614265330;
    HttpHeader headers[] = { { STR("webhook-id"), STR("msg_p5jXN8AQM9LWM0D4loKWxJek") }, { STR("webhook-timestamp"), STR("1614265330") },
                             { STR("webhook-signature"), STR("v1a,bm90aGluZw== v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=") } };
    HttpServerRequest request = { .method = "POST", .body = STR("{\"test\": 2432232314}"), .headers = headers, .header_count = 3 };
    Arena *arena = arena_new();
    assert_true(str_is(request.body, body));
    assert_null(signature_check(VERIFY_STANDARD, str_of(secret), &request, seconds * TIME_SECOND, MINUTES_5 * TIME_SECOND, arena));
    assert_non_null(signature_check(VERIFY_STANDARD, str_of(secret), &request, (seconds + MINUTES_5 + 1) * TIME_SECOND, MINUTES_5 * TIME_SECOND, arena));
    headers[0].value = STR("msg_p5jXN8AQM9LWM0D4loKWxJel");
    assert_non_null(signature_check(VERIFY_STANDARD, str_of(secret), &request, seconds * TIME_SECOND, MINUTES_5 * TIME_SECOND, arena));
    headers[0].value = STR("msg_p5jXN8AQM9LWM0D4loKWxJek");
    headers[1].value = STR("1614265331");
    assert_non_null(signature_check(VERIFY_STANDARD, str_of(secret), &request, seconds * TIME_SECOND, MINUTES_5 * TIME_SECOND, arena));
    assert_null(signature_secrets_bad(VERIFY_STANDARD, str_of(secret), arena));
    assert_non_null(signature_secrets_bad(VERIFY_STANDARD, STR("whsec_c2hvcnQ="), arena));
    assert_non_null(signature_secrets_bad(VERIFY_STANDARD, STR("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), arena));
    arena_free(arena);
}

/* ---- problems, keys ------------------------------------------------------------------------------------------------------- */

static const char *problem_text(Err err, const char *text, Reply *reply, Arena *arena)
{
    Error error;
    err_set(&error, err, "%s", text);
    *reply = (Reply){ 0 };
    problem_of_error(err, &error, STR("r-1"), arena, reply);
    return arena_str(arena, reply->body).ptr;
}

static void errors_are_problems(void **state)
{
    Arena *arena = arena_new();
    Reply reply;
    const char *text = problem_text(ERR_INVALID, "/items/3/price: expected a decimal: got text", &reply, arena);
    assert_non_null(strstr(text, "\"errors\":[{\"pointer\":\"/items/3/price\",\"detail\":\"expected a decimal: got text\"}]"));
    assert_int_equal(reply.status, 400);
    text = problem_text(ERR_LIMIT, "rate_limited: `f` was started 3 times already; retry after 7 s", &reply, arena);
    assert_int_equal(reply.status, 429);
    assert_true(reply.header_count == 1 && str_is(reply.headers[0].name, "Retry-After") && str_is(reply.headers[0].value, "7"));
    text = problem_text(ERR_CORRUPT, "snapshot of run 7 is broken", &reply, arena);
    assert_int_equal(reply.status, 500);
    assert_null(strstr(text, "snapshot"));
    problem_text(ERR_IO, "could not reach 10.0.0.7", &reply, arena);
    assert_int_equal(reply.status, 503);
    assert_null(strstr(arena_str(arena, reply.body).ptr, "10.0.0.7"));
    for (int kind = 0; kind < ERROR_KIND_COUNT; kind++) assert_string_equal(problem_code(problem_of_kind((ErrorKind)kind)), error_kind_name((ErrorKind)kind));
    arena_free(arena);
}

/* Two requests of one key, however their moments lie, try an id in common unless more than the key's time is between them. */
static void keys_meet(void **state)
{
    const Plan plan = { .once_key = STR("a key"), .once_us = 3600 * TIME_SECOND };
    for (int64_t at = NOW; at < NOW + 2 * 3600 * TIME_SECOND; at += 7 * TIME_SECOND) {
        OnceIds first, second;
        once_ids(&plan, at, &first);
        const char *made = first.first_before ? first.before : first.now;
        for (int64_t later = 0; later < plan.once_us; later += 301 * TIME_SECOND) {
            once_ids(&plan, at + later, &second);
            assert_true(strcmp(made, second.before) == 0 || strcmp(made, second.now) == 0);
            assert_true(once_counts(&plan, &(RunRow){ .created_us = at }, at + later));
        }
        assert_false(once_counts(&plan, &(RunRow){ .created_us = at }, at + plan.once_us));
        once_ids(&plan, at + 40 * TIME_SECOND, &second);           /* two at nearly the same time race for one id */
        assert_true(strcmp(made, second.first_before ? second.before : second.now) == 0 || strcmp(made, second.before) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_goes_before_parameters), cmocka_unit_test(stripe_signatures), cmocka_unit_test(standard_signatures), cmocka_unit_test(errors_are_problems), cmocka_unit_test(keys_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
