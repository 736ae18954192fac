/* test_hot_redis.c - the contract of hot state, met by Redis, and what is Redis' own: keys, a server that is gone, slow, flushed, behind a password. */
#include "tests/unit/hot_contract.h"
#include "tests/unit/redis_server.h"

static Hot *open_url(const char *url)
{
    Error error;
    Hot *hot = NULL;
    if (hot_open(url, NULL, contract_loop, &hot, &error)) fail_msg("%s", error.text);
    return hot;
}

static Hot *contract_open(void) { return open_url(redis_url); }
static void contract_shut(Hot *hot) { hot_close(hot); }

static Answer try_read(Hot *hot, const char *key)
{
    Answer a = { 0 };
    hot_read(hot, TENANT, str_of(key), NOW, on_answer, &a);
    settle(hot, &a);
    buf_free(&a.shown);
    return a;
}

static void too_late(evutil_socket_t fd, short what, void *arg) { abort(); }

/* The loop alone brings it back; a deadline ends the test. */
static void until_up(Hot *hot)
{
    struct event *tick = event_new(contract_loop, -1, EV_PERSIST, too_late, NULL);
    event_add(tick, &(struct timeval){ 30, 0 });
    while (!hot_is_up(hot)) event_base_loop(contract_loop, EVLOOP_ONCE);
    event_free(tick);
}

static void keys_are_named_as_promised(void **state)
{
    char key[160];
    must_put(STR("acme"), "session:R-1:state", "month", "may", NOW, A_MINUTE);
    assert_non_null(strstr(redis_say("HGET {acme}:session:R-1:state month"), "may"));
    snprintf(key, sizeof key, "PTTL {acme}:session:R-1:state");
    long long left = atoll(redis_say(key) + 1);
    assert_true(left > 0 && left <= 60001);                /* Redis clears up by itself */
    must_put(STR("a}b:c%"), "k", "", "v", NOW, 0);
    assert_non_null(strstr(redis_say("HLEN {a%7Db%3Ac%25}:k"), ":1"));
    assert_non_null(strstr(redis_say("PTTL {a%7Db%3Ac%25}:k"), ":-1"));
    assert_string_equal(hot_kind(contract_hot), "redis");
}

static void a_server_that_is_killed_is_reported_and_found_again(void **state)
{
    Answer outstanding = { 0 };
    must_put(TENANT, "k", "", "v", NOW, A_MINUTE);
    kill(redis_pid, SIGSTOP);                               /* so that the call is under way when it dies */
    hot_read(contract_hot, TENANT, STR("k"), NOW, on_answer, &outstanding);
    redis_kill();
    settle(contract_hot, &outstanding);
    wants(&outstanding, ERR_IO);
    assert_false(hot_is_up(contract_hot));
    for (int i = 0; i < 3; i++) {
        Answer a = try_read(contract_hot, "k");
        wants(&a, ERR_IO);
        assert_non_null(strstr(a.text, "could not reach Redis"));
    }
    redis_start("--databases", "16");
    until_up(contract_hot);
    assert_string_equal(hot_trouble(contract_hot), "");
    is_gone(TENANT, "k", NOW);
    must_put(TENANT, "k", "", "v", NOW, A_MINUTE);
}

static void without_a_loop_it_is_found_again_too(void **state)
{
    redis_kill();
    Answer a = try_read(contract_hot, "k");
    wants(&a, ERR_IO);
    redis_start("--databases", "16");
    while (!hot_is_up(contract_hot)) {
        a = try_read(contract_hot, "k");                    /* each failed call is a chance to look again */
        event_base_loop(contract_loop, EVLOOP_NONBLOCK);
    }
    must_put(TENANT, "k", "", "v", NOW, A_MINUTE);
}

static void a_server_that_is_not_there_yet_is_no_error(void **state)
{
    redis_kill();
    Hot *early = contract_open();
    assert_false(hot_is_up(early));
    assert_true(hot_trouble(early)[0]);
    Answer a = try_read(early, "k");
    wants(&a, ERR_IO);
    redis_start("--databases", "16");
    until_up(early);
    until_up(contract_hot);
    a = try_read(early, "k");
    wants(&a, ERR_OK);
    hot_close(early);
}

static void a_server_that_does_not_answer_is_given_up(void **state)
{
    Answer a[3] = { 0 };
    kill(redis_pid, SIGSTOP);
    for (int i = 0; i < 3; i++) hot_add(contract_hot, TENANT, STR("n"), 1, NOW, A_MINUTE, on_answer, &a[i]);
    for (int i = 0; i < 3; i++) {
        if (!a[i].calls) settle(contract_hot, &a[i]);
        wants(&a[i], ERR_IO);
        assert_non_null(strstr(a[i].text, "does not answer"));
    }
    Answer next = try_read(contract_hot, "k");              /* nobody else waits for it */
    wants(&next, ERR_IO);
    kill(redis_pid, SIGCONT);
    until_up(contract_hot);
    must_put(TENANT, "k", "", "v", NOW, A_MINUTE);
}

static void a_flushed_server_has_nothing_and_goes_on(void **state)
{
    must_put(TENANT, "k", "", "v", NOW, A_MINUTE);
    assert_non_null(strstr(redis_say("FLUSHALL"), "+OK"));
    assert_non_null(strstr(redis_say("SCRIPT FLUSH"), "+OK"));
    is_gone(TENANT, "k", NOW);
    assert_true(put_new("k", "v", NOW, A_MINUTE));
    assert_true(hot_is_up(contract_hot));
}

static void a_full_server_says_so(void **state)
{
    must_put(TENANT, "k", "", "v", NOW, A_MINUTE);
    assert_non_null(strstr(redis_say("CONFIG SET maxmemory 1"), "+OK"));
    Answer a = put_one(TENANT, "k", "", "w", NOW, A_MINUTE);
    wants(&a, ERR_IO);
    assert_non_null(strstr(a.text, "OOM"));
    shows(TENANT, "k", NOW, "=v;");                         /* what is there is read, and can be erased */
    assert_int_equal(erase(TENANT, "k").number, 1);
    assert_non_null(strstr(redis_say("CONFIG SET maxmemory 0"), "+OK"));
    must_put(TENANT, "k", "", "w", NOW, A_MINUTE);
    assert_true(hot_is_up(contract_hot));
}

static void a_server_that_is_no_primary_is_left(void **state)
{
    must_put(TENANT, "k", "", "v", NOW, A_MINUTE);
    assert_non_null(strstr(redis_say("REPLICAOF 127.0.0.1 1"), "+OK"));
    Answer a = put_one(TENANT, "k", "", "w", NOW, A_MINUTE);
    wants(&a, ERR_IO);
    assert_non_null(strstr(a.text, "READONLY"));
    assert_false(hot_is_up(contract_hot));
    assert_non_null(strstr(redis_say("REPLICAOF NO ONE"), "+OK"));
    until_up(contract_hot);
    must_put(TENANT, "k", "", "w", NOW, A_MINUTE);
}

static void what_another_program_keeps_there_is_left_alone(void **state)
{
    char command[160];
    snprintf(command, sizeof command, "SET {%s}:k mine", contract_tenant);
    assert_non_null(strstr(redis_say(command), "+OK"));
    Answer a = try_read(contract_hot, "k");
    wants(&a, ERR_INVALID);
    a = put_one(TENANT, "k", "", "v", NOW, A_MINUTE);
    wants(&a, ERR_INVALID);
    snprintf(command, sizeof command, "GET {%s}:k", contract_tenant);
    assert_non_null(strstr(redis_say(command), "mine"));
    assert_true(hot_is_up(contract_hot));
}

static void databases_are_apart(void **state)
{
    char url[160];
    snprintf(url, sizeof url, "%s?db=3", redis_url);
    Hot *third = open_url(url);
    must_put(TENANT, "k", "", "v", NOW, A_MINUTE);
    assert_true(hot_is_up(third));
    Answer a = try_read(third, "k");
    assert_false(a.found);
    hot_close(third);
}

static void a_password_opens_and_is_never_shown(void **state)
{
    char url[200];
    redis_kill();
    redis_start("--requirepass", "geheim%&?");
    Hot *without = contract_open();
    snprintf(url, sizeof url, "%s?password=geheim%%25%%26%%3F", redis_url);
    Hot *with = open_url(url);
    snprintf(url, sizeof url, "%s?password=falsch1234", redis_url);
    Hot *wrong = open_url(url);
    assert_true(hot_is_up(with));
    assert_false(hot_is_up(without));
    assert_false(hot_is_up(wrong));
    assert_non_null(strstr(hot_trouble(without), "NOAUTH"));
    assert_non_null(strstr(hot_trouble(wrong), "WRONGPASS"));
    assert_null(strstr(hot_trouble(wrong), "falsch"));
    Answer a = try_read(with, "k");
    wants(&a, ERR_OK);
    a = try_read(wrong, "k");
    wants(&a, ERR_IO);
    assert_null(strstr(a.text, "falsch"));
    hot_close(with);
    hot_close(without);
    hot_close(wrong);
    redis_kill();
    redis_start("--databases", "16");
}

static void an_url_is_read_exactly(void **state)
{
    static const struct { const char *url; Err err; const char *part; } CASES[] = {
        { "unix:", ERR_INVALID, "unix:PATH" }, { "unix:/x?geheim=1", ERR_INVALID, "only db" }, { "unix:/x?db=seven", ERR_INVALID, "database" },
        { "unix:/x?password=geheim%4", ERR_INVALID, "hexadecimal" }, { "redis://h:0", ERR_INVALID, "port" }, { "redis://:geheim@h:99999", ERR_INVALID, "port" },
        { "redis://:geheim@h/65536", ERR_INVALID, "database" }, { "rediss://geheim@h", ERR_UNSUPPORTED, "TLS" }, { "geheim", ERR_INVALID, "redis://HOST" },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        Error error = { 0 };
        Hot *hot = NULL;
        Err err = hot_open(CASES[i].url, NULL, contract_loop, &hot, &error);
        if (err != CASES[i].err || !strstr(error.text, CASES[i].part)) fail_msg("%s: %s `%s`", CASES[i].url, err_name(err), error.text);
        assert_null(strstr(error.text, "geheim"));
    }
}

int main(void)
{
    if (!redis_available("test_hot_redis")) return 0;
    redis_start("--databases", "16");
    const struct CMUnitTest tests[] = {
        HOT_CONTRACT_TESTS
        CONTRACT_TEST(keys_are_named_as_promised), CONTRACT_TEST(a_server_that_is_killed_is_reported_and_found_again), CONTRACT_TEST(without_a_loop_it_is_found_again_too),
        CONTRACT_TEST(a_server_that_is_not_there_yet_is_no_error), CONTRACT_TEST(a_server_that_does_not_answer_is_given_up), CONTRACT_TEST(a_flushed_server_has_nothing_and_goes_on),
        CONTRACT_TEST(a_full_server_says_so), CONTRACT_TEST(a_server_that_is_no_primary_is_left), CONTRACT_TEST(what_another_program_keeps_there_is_left_alone), CONTRACT_TEST(databases_are_apart), CONTRACT_TEST(a_password_opens_and_is_never_shown),
        CONTRACT_TEST(an_url_is_read_exactly),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return redis_remove() || failed;
}
