/* store_contract_log.h - tables that are append only: the store itself refuses what no compiled program can ask. */

static uint16_t log_insert, log_update, log_delete, log_exists;

/* The table was an ordinary one before: it becomes a history when a program says so. */
static int log_setup(void **state)
{
    shop_setup(state);
    log_insert = add_insert(shop, TABLE_ORDERS, (uint16_t[]){ O_ID, O_ITEM, O_AMOUNT }, 3);
    log_update = add_query(shop, QUERY_UPDATE, TABLE_ORDERS, NULL, 0);
    set_one(shop, log_update, O_ITEM, EXPRESSION(shop, XC(O_ID)));
    log_delete = add_query(shop, QUERY_DELETE, TABLE_ORDERS, NULL, 0);
    log_exists = add_query(shop, QUERY_EXISTS, TABLE_ORDERS, NULL, 0);
    shop->tables[TABLE_ORDERS].append_only = true;
    StoreBatch *batch = batch_of("", 0);
    store_ensure_tables(batch, shop);
    must_go(batch);
    return 0;
}

static void stored_rows_cannot_be_changed(void **state)
{
    (void)state;
    const RowSet *rows;
    Error error = { 0 };
    assert_int_equal(ask_as("t", "u", log_insert, CELLS(ct("o1"), ct("tea"), cd("1.5")), &rows, &error), ERR_OK);
    assert_int_not_equal(ask_as("t", "u", log_update, NULL, 0, &rows, &error), ERR_OK);
    assert_non_null(strstr(error.text, "append only"));
    assert_int_not_equal(ask_as("t", "u", log_delete, NULL, 0, &rows, &error), ERR_OK);
    assert_non_null(strstr(error.text, "append only"));
    assert_int_equal(ask_as("t", "u", log_exists, NULL, 0, &rows, &error), ERR_OK);
    assert_int_equal(rows->cells[0].i, 1);
}

static void rows_are_added_behind_a_refusal(void **state)
{
    (void)state;
    const RowSet *rows;
    Error error = { 0 };
    assert_int_equal(ask_as("t", "u", log_insert, CELLS(ct("o1"), ct("tea"), cd("1.5")), &rows, &error), ERR_OK);
    assert_int_not_equal(ask_as("t", "u", log_delete, NULL, 0, &rows, &error), ERR_OK);
    assert_int_equal(ask_as("t", "u", log_insert, CELLS(ct("o2"), ct("milk"), cd("2")), &rows, &error), ERR_OK);
    StoreBatch *batch = batch_of("", 0);             /* said again it changes nothing */
    store_ensure_tables(batch, shop);
    must_go(batch);
    assert_int_equal(ask_as("t", "u", log_insert, CELLS(ct("o3"), ct("milk"), cd("2")), &rows, &error), ERR_OK);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_setup, shop_teardown)
#define CONTRACT_LOG_TESTS LOG_TEST(stored_rows_cannot_be_changed), LOG_TEST(rows_are_added_behind_a_refusal),
