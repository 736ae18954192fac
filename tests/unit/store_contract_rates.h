/* store_contract_rates.h - part of store_contract.h: starts that are counted. */
#ifndef TESTS_STORE_CONTRACT_RATES_H
#define TESTS_STORE_CONTRACT_RATES_H

/* A start as the engine makes it: the run's row, and its place in the rate. */
static StoreBatch *rated_start(Store *store, const char *tenant, const char *run, const char *key, uint32_t limit, int64_t now)
{
    StoreBatch *batch = store_batch(store, str_of(tenant), str_of(run), 0);
    RunRow row = run_row(run);
    row.tenant = str_of(tenant);
    store_put_run(batch, &row);
    store_take_rate(batch, str_of(key), STR("book"), limit, 100, now);
    return batch;
}

static void a_rate_lets_so_many_through_in_any_stretch_of_time(void **state)
{
    must_go(rated_start(contract_store, "acme", "r1", "k", 3, 0));
    must_go(rated_start(contract_store, "acme", "r2", "k", 3, 10));
    must_go(rated_start(contract_store, "acme", "r3", "k", 3, 20));
    fails_with(rated_start(contract_store, "acme", "r4", "k", 3, 50), ERR_LIMIT, "rate_limited: `book` was started 3 times already; retry after 1 s");
    fails_with(rated_start(contract_store, "acme", "r4", "k", 3, 99), ERR_LIMIT, "rate_limited");
    StoreBatch *batch = batch_of("", 0);
    store_get_run(batch, STR("r4"));
    fails_with(batch, ERR_NOT_FOUND, "r4");                  /* the row went with its place */
    must_go(rated_start(contract_store, "acme", "r4", "k", 3, 100));
    fails_with(rated_start(contract_store, "acme", "r5", "k", 3, 105), ERR_LIMIT, "rate_limited");
    must_go(rated_start(contract_store, "acme", "r5", "k", 3, 110));
    fails_with(rated_start(contract_store, "acme", "r6", "k", 3, 119), ERR_LIMIT, "rate_limited");
    must_go(rated_start(contract_store, "acme", "r6", "k", 3, 1000));
}

static void a_rate_is_of_one_key_of_one_tenant(void **state)
{
    must_go(rated_start(contract_store, "acme", "r1", "k", 1, 0));
    fails_with(rated_start(contract_store, "acme", "r2", "k", 1, 0), ERR_LIMIT, "rate_limited");
    must_go(rated_start(contract_store, "acme", "r2", "l", 1, 0));
    must_go(rated_start(contract_store, "other", "r1", "k", 1, 0));
}

static void a_start_that_fails_for_another_reason_takes_no_place(void **state)
{
    must_go(rated_start(contract_store, "acme", "r1", "k", 2, 0));
    fails_with(rated_start(contract_store, "acme", "r1", "k", 2, 0), ERR_CONFLICT, "exists already");
    must_go(rated_start(contract_store, "acme", "r2", "k", 2, 0));
    fails_with(rated_start(contract_store, "acme", "r2", "k", 2, 0), ERR_CONFLICT, "exists already");         /* not: too often. Who asks again hears that it is there */
}

static void upkeep_forgets_rates_whose_time_is_over(void **state)
{
    Error error;
    GcReport report;
    must_go(rated_start(contract_store, "acme", "r1", "k", 1, 0)), must_go(rated_start(contract_store, "acme", "r2", "young", 1, 60));
    if (store_gc(contract_store, 150, &report, NULL, NULL, &error)) fail_msg("%s", error.text);
    must_go(rated_start(contract_store, "acme", "r3", "k", 1, 50));                  /* nothing is known of the start at 0 */
    fails_with(rated_start(contract_store, "acme", "r4", "young", 1, 150), ERR_LIMIT, "rate_limited");
}

enum { RATE_PROCESSES = 4, RATE_TRIES = 25, RATE_LIMIT = 30 };

/* The exit says how many starts were let through. */
static pid_t rate_racer(int number)
{
    pid_t child = fork();
    if (child) return child;
    Store *store;
    if (store_open(contract_url, NULL, &store, NULL)) _exit(255);
    int through = 0;
    for (int i = 0; i < RATE_TRIES; i++) {
        char id[32];
        Err err;
        snprintf(id, sizeof id, "r%d-%d", number, i);
        do {
            StoreBatch *batch = rated_start(store, "acme", id, "k", RATE_LIMIT, i);
            err = store_run_batch(batch, NULL);
            store_batch_free(batch);
        } while (err == ERR_BUSY);
        if (err && err != ERR_LIMIT) _exit(254);
        through += !err;
    }
    _exit(through);
}

static void processes_that_start_at_the_same_time_share_one_rate(void **state)
{
    pid_t racers[RATE_PROCESSES];
    int through = 0, status;
    for (int i = 0; i < RATE_PROCESSES; i++) racers[i] = rate_racer(i);
    for (int i = 0; i < RATE_PROCESSES; i++) {
        assert_int_equal(waitpid(racers[i], &status, 0), racers[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= RATE_TRIES);
        through += WEXITSTATUS(status);
    }
    assert_int_equal(through, RATE_LIMIT);
    uint32_t count;
    StoreBatch *batch = batch_of("", 0);
    int index = store_list_runs(batch, &(RunFilter){ .status = -1 });
    must(batch);
    store_runs(batch, index, &count);
    store_batch_free(batch);
    assert_int_equal(count, RATE_LIMIT);
}

#define CONTRACT_RATE_TESTS \
    CONTRACT_TEST(a_rate_lets_so_many_through_in_any_stretch_of_time), CONTRACT_TEST(a_rate_is_of_one_key_of_one_tenant), \
    CONTRACT_TEST(a_start_that_fails_for_another_reason_takes_no_place), CONTRACT_TEST(upkeep_forgets_rates_whose_time_is_over), \
    CONTRACT_TEST(processes_that_start_at_the_same_time_share_one_rate),
#endif
