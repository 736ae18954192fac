/* test_hot_rows.c - the contract of hot state, met by rows of a store, and what is theirs alone: upkeep, and the commit they ride in.
 * Over SQLite always, and once more over PostgreSQL when FLOW_TEST_POSTGRES names a server. */
#include "tests/unit/hot_contract.h"

static char url[512] = "sqlite::memory:";
static Store *store;                     /* both clients of a test are over one */

static Hot *contract_open(void)
{
    Error error;
    Hot *hot = NULL;
    if (!store && store_open(url, &(StoreOptions){ .loop = contract_loop }, &store, &error)) fail_msg("%s", error.text);
    if (hot_open("", store, contract_loop, &hot, &error)) fail_msg("%s", error.text);
    return hot;
}

static void contract_shut(Hot *hot)
{
    hot_close(hot);
    if (hot != contract_hot) return;
    store_close(store);
    store = NULL;
}

static void rows_are_always_up(void **state)
{
    assert_string_equal(hot_kind(contract_hot), "rows");
    assert_true(hot_is_up(contract_hot));
    assert_string_equal(hot_trouble(contract_hot), "");
}

static int64_t prune(int64_t now, uint32_t limit)
{
    Answer a = { 0 };
    hot_prune(contract_hot, now, limit, on_answer, &a);
    settle(contract_hot, &a);
    wants(&a, ERR_OK);
    return a.number;
}

static void upkeep_removes_what_ended(void **state)
{
    prune(INT64_MAX - 1, 0);                                /* of the tests before this one */
    must_put(TENANT, "a", "", "1", NOW, TIME_SECOND);
    must_put(STR("another"), "b", "", "1", NOW, 2 * TIME_SECOND);
    must_put(TENANT, "c", "", "1", NOW, A_MINUTE);
    must_put(TENANT, "d", "", "1", NOW, 0);
    assert_int_equal(prune(NOW, 0), 0);
    assert_int_equal(prune(NOW + 2 * TIME_SECOND, 1), 1);
    assert_int_equal(prune(NOW + 2 * TIME_SECOND, 1), 1);
    assert_int_equal(prune(NOW + 2 * TIME_SECOND, 1), 0);
    assert_int_equal(prune(NOW + TIME_DAY, 0), 1);
    shows(TENANT, "d", NOW + TIME_DAY, "=1;");
}

static void many_calls_share_a_commit(void **state)
{
    uint64_t before = store_commits(store);
    for (int i = 0; i < 100; i++)
        hot_add(contract_hot, TENANT, STR("n"), 1, NOW, A_MINUTE, NULL, NULL);
    while (hot_busy(contract_hot)) hot_wait(contract_hot);
    assert_int_equal(store_commits(store) - before, 1);
    shows(TENANT, "n", NOW, "=100;");
}

/* Two processes would look the same: each store has its own connection, and both have their change under way at once. */
static void two_stores_change_one_entry_and_lose_nothing(void **state)
{
    enum { ROUNDS = 50 };
    Store *second = store;
    Hot *other = NULL;
    Error error;
    if (str_starts(str_of(url), STR("postgresql")) && store_open(url, &(StoreOptions){ .loop = contract_loop }, &second, &error)) fail_msg("%s", error.text);
    if (hot_open("", second, contract_loop, &other, &error)) fail_msg("%s", error.text);
    for (int i = 0; i < ROUNDS; i++) {
        char field[16];
        snprintf(field, sizeof field, "a%d", i);
        hot_add(contract_hot, TENANT, STR("n"), 1, NOW, A_MINUTE, NULL, NULL);
        hot_add(other, TENANT, STR("n"), 1, NOW, A_MINUTE, NULL, NULL);
        hot_put(contract_hot, TENANT, STR("s"), &(HotField){ str_of(field), STR("1") }, 1, NOW, A_MINUTE, NULL, NULL);
        field[0] = 'b';
        hot_put(other, TENANT, STR("s"), &(HotField){ str_of(field), STR("1") }, 1, NOW, A_MINUTE, NULL, NULL);
        while (i % 7 == 0 && (hot_busy(contract_hot) || hot_busy(other))) event_base_loop(contract_loop, EVLOOP_ONCE);
    }
    while (hot_busy(contract_hot) || hot_busy(other)) event_base_loop(contract_loop, EVLOOP_ONCE);
    shows(TENANT, "n", NOW, "=100;");
    assert_int_equal(read_at(contract_hot, TENANT, "s", NOW).count, 2 * ROUNDS);
    hot_close(other);
    if (second != store) store_close(second);
}

static void without_a_home_there_is_none(void **state)
{
    Error error;
    Hot *hot = NULL;
    assert_int_equal(hot_open(NULL, NULL, contract_loop, &hot, &error), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOT_CONTRACT_TESTS
        CONTRACT_TEST(rows_are_always_up), CONTRACT_TEST(upkeep_removes_what_ended), CONTRACT_TEST(many_calls_share_a_commit), CONTRACT_TEST(without_a_home_there_is_none),
        CONTRACT_TEST(two_stores_change_one_entry_and_lose_nothing),
    };
    int failed = cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
    const char *server = getenv("FLOW_TEST_POSTGRES");
    if (!server) {
        puts("test_hot_rows: PostgreSQL skipped, FLOW_TEST_POSTGRES names no server (scripts/test.sh starts one)");
        return failed;
    }
    snprintf(url, sizeof url, "%s%cschema=hot_%d", server, strchr(server, '?') ? '&' : '?', (int)getpid());
    return cmocka_run_group_tests_name("postgresql", tests, NULL, NULL) + failed;
}
