/* store_pg_ask.h - many statements sent before the first is answered, on a connection that cannot keep them all. */

/* Prepares others until there is room for `left`. */
static void fill_statements(PgConn *c, uint32_t left)
{
    static int number;
    while (c->statements.count + left < PG_STATEMENTS_MAX) {
        char sql[32];
        Error error;
        snprintf(sql, sizeof sql, "SELECT %d", ++number);
        if (pg_query(c, str_of(sql), NULL, 0, NULL, NULL, &error)) fail_msg("%s", error.text);
    }
}

static void put_waits(void)
{
    static const char *const EVENTS[] = { "Booked", "Paid", "Booked" };
    for (int i = 0; i < 3; i++) {
        char id[4] = { 'r', (char)('1' + i), 0 };
        new_run(id);
        StoreBatch *batch = batch_of(id, 0);
        store_put_wait(batch, &(WaitRow){ .event = str_of(EVENTS[i]), .request = (uint64_t)i + 1 });
        must_go(batch);
    }
}

static void check_waits(StoreBatch *batch, int index, uint32_t expected)
{
    uint32_t count;
    store_waits(batch, index, &count);
    assert_int_equal(count, expected);
}

static void what_is_asked_at_once_is_made_room_for(void **state)
{
    void *pg = NULL;
    Error error;
    put_waits();
    assert_int_equal(claim(5, 3), 3);
    if (STORE_POSTGRES.open(strchr(contract_url, ':') + 1, &(StoreOptions){ 0 }, &pg, &error)) fail_msg("%s", error.text);
    PgConn *c = ((PgStore *)pg)->conns[PG_WRITE_LANES];
    if (pg_ready(c, 0, &error)) fail_msg("%s", error.text);
    for (uint32_t left = 0; left < 4; left++) {
        fill_statements(c, left);
        StoreBatch *batch = store_batch(contract_store, (Str){ 0 }, (Str){ 0 }, 0);
        int booked = store_get_waits_for(batch, STR("acme"), STR("Booked"), STR("{}")), subscribed = store_get_subscriptions(batch, STR("Paid"));
        int paid = store_get_waits_for(batch, STR("acme"), STR("Paid"), STR("{\"a\":1}")), module = store_get_module(batch, STR("00ff"));
        assert_true(pg_asks_at_once(batch));
        if (STORE_POSTGRES.read(c, batch, &error)) fail_msg("%s", error.text);
        check_waits(batch, booked, 2), check_waits(batch, paid, 1);
        uint32_t count;
        bool found;
        store_subscriptions(batch, subscribed, &count), store_bytes(batch, module, NULL, &found);
        assert_true(count == 0 && !found && c->statements.count <= PG_STATEMENTS_MAX);
        store_batch_free(batch);
        fill_statements(c, left);
        StoreBatch *loads[] = { batch_of("r1", 1), batch_of("r2", 7), batch_of("r3", 1) };
        Err errs[3] = { ERR_OK };
        Error errors[3];
        for (int i = 0; i < 3; i++) store_get_journal(loads[i], loads[i]->run_id, 0, 0), store_get_mail(loads[i], 1);
        if (STORE_POSTGRES.read_loads(c, loads, 3, errs, errors, &error)) fail_msg("%s", error.text);
        assert_true(errs[0] == ERR_OK && errs[1] == ERR_FENCED && errs[2] == ERR_OK);
        for (int i = 0; i < 3; i++) store_batch_free(loads[i]);
    }
    STORE_POSTGRES.close(pg);
}

static void more_than_is_asked_at_once_is_asked_one_by_one(void **state)
{
    uint32_t count;
    put_waits();
    for (int many = PG_ASK_MAX; many <= PG_ASK_MAX + 1; many++) {
        StoreBatch *batch = store_batch(contract_store, (Str){ 0 }, (Str){ 0 }, 0);
        for (int i = 0; i < many; i++) store_get_waits_for(batch, STR("acme"), i % 2 ? STR("Paid") : STR("Booked"), STR("{}"));
        assert_int_equal(pg_asks_at_once(batch), many <= PG_ASK_MAX);
        must(batch);
        for (int i = 0; i < many; i++) store_waits(batch, i, &count), assert_int_equal(count, i % 2 ? 1 : 2);
        store_batch_free(batch);
    }
}

#define ASK_TESTS CONTRACT_TEST(what_is_asked_at_once_is_made_room_for), CONTRACT_TEST(more_than_is_asked_at_once_is_asked_one_by_one)
