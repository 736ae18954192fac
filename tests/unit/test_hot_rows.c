/* test_hot_rows.c - the contract of hot state, met by rows of a store, and what is theirs alone: upkeep, and the commit they ride in. */
#include "tests/unit/hot_contract.h"

static Store *store;                     /* both clients of a test are over one */

static Hot *contract_open(void)
{
    Error error;
    Hot *hot = NULL;
    if (!store && store_open("sqlite::memory:", &(StoreOptions){ .loop = contract_loop }, &store, &error)) fail_msg("%s", error.text);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
