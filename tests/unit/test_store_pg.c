/* test_store_pg.c - the contract, met by PostgreSQL, and what is PostgreSQL's own. Needs FLOW_TEST_POSTGRES. */
#define CONTRACT_CONCURRENT 1
#include "tests/unit/store_contract.h"

#include "interpreter/store/pg.h"
#include "tests/unit/store_pg_group.h"

static int schemas;

static const char *server(void) { return getenv("FLOW_TEST_POSTGRES"); }

static const char *fresh_url(void)
{
    static char url[256];
    snprintf(url, sizeof url, "%s%capplication_name=flow_test_%d&schema=test_%d_%d", server(), strchr(server(), '?') ? '&' : '?', (int)getpid(), (int)getpid(), ++schemas);
    return url;
}

/* ---- a second way in ---- */

static PGconn *raw;

static void raw_open(void)
{
    raw = PQconnectdb(server());
    if (PQstatus(raw) != CONNECTION_OK) fail_msg("%s", PQerrorMessage(raw));
    PQclear(PQexec(raw, "SET client_min_messages = warning"));
}

/* %s: the store's schema, as often as it is there. The state of the error, or NULL; the first cell into *cell. */
static const char *raw_state(const char *sql, char *cell)
{
    static char state[8];
    Buf text = { 0 };
    const char *schema = strstr(contract_url, "schema=") + 7;
    for (const char *p = sql; *p; p++) {
        if (p[0] == '%' && p[1] == 's') buf_put_text(&text, schema), p++;
        else buf_put_char(&text, *p);
    }
    PGresult *result = PQexec(raw, buf_cstr(&text));
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    snprintf(state, sizeof state, "%s", code ? code : "");
    if (cell) snprintf(cell, 64, "%s", PQntuples(result) && PQnfields(result) ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    buf_free(&text);
    return *state ? state : NULL;
}

static void raw_do(const char *sql)
{
    const char *state = raw_state(sql, NULL);
    if (state) fail_msg("%s: %s", state, sql);
}

static int raw_int(const char *sql)
{
    char cell[64];
    const char *state = raw_state(sql, cell);
    if (state) fail_msg("%s: %s", state, sql);
    return atoi(cell);
}

static int raw_setup(void **state)
{
    contract_setup(state);
    raw_open();
    return 0;
}

static int raw_teardown(void **state)
{
    PQfinish(raw);
    return contract_teardown(state);
}

static int raw_shop_setup(void **state)
{
    shop_setup(state);
    raw_open();
    return 0;
}

static int raw_shop_teardown(void **state)
{
    PQfinish(raw);
    return shop_teardown(state);
}

#define RAW_TEST(name) cmocka_unit_test_setup_teardown(name, raw_setup, raw_teardown)
#include "tests/unit/store_pg_rows.h"
#define RAW_SHOP_TEST(name) cmocka_unit_test_setup_teardown(name, raw_shop_setup, raw_shop_teardown)

#include "tests/unit/store_pg_log.h"
#include "tests/unit/store_pg_ask.h"

/* ---- row security ---- */

static void the_rows_of_programs_are_walled_off_for_the_stores_own_role(void **state)
{
    const RowSet *rows;
    uint16_t insert = add_insert(shop, TABLE_ITEMS, PARAMS(C_ID));
    for (int i = 0; i < 2; i++) assert_int_equal(ask_as("acme", "ann", insert, CELLS(ct(i ? "a" : "b")), &rows, NULL), ERR_OK);
    assert_int_equal(ask_as("other", "ann", insert, CELLS(ct("a")), &rows, NULL), ERR_OK);
    if (raw_int("SELECT (rolsuper OR rolbypassrls)::int FROM pg_roles WHERE rolname = current_user")) fail_msg("FLOW_TEST_POSTGRES names a role that row security does not bind");
    assert_true(raw_int("SELECT COUNT(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '%s' AND c.relname LIKE 't\\_%' AND c.relkind = 'r'") >= 3);
    assert_int_equal(raw_int("SELECT COUNT(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '%s' AND c.relname LIKE 't\\_%' AND c.relkind = 'r' AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"), 0);
    char table[64], sql[512];
    assert_null(raw_state("SELECT name FROM %s.flow_tables WHERE table_name = 'items'", table));
#define ON_ITEMS(format) (snprintf(sql, sizeof sql, format, table), sql)
    raw_do("SET search_path = %s");
    assert_int_equal(raw_int(ON_ITEMS("SELECT COUNT(*) FROM \"%s\"")), 0);
    raw_do("SET flow.tenant = 'acme'");
    assert_int_equal(raw_int(ON_ITEMS("SELECT COUNT(*) FROM \"%s\"")), 2);
    raw_do("SET flow.tenant = 'other'");
    assert_int_equal(raw_int(ON_ITEMS("SELECT COUNT(*) FROM \"%s\"")), 1);
    assert_string_equal(raw_state(ON_ITEMS("INSERT INTO \"%s\" (tenant_id, owner_id, c_id) VALUES ('acme', 'ann', 'z')"), NULL), "42501");
    assert_string_equal(raw_state(ON_ITEMS("UPDATE \"%s\" SET tenant_id = 'acme'"), NULL), "42501");
    raw_do(ON_ITEMS("DELETE FROM \"%s\""));                 /* its own rows only */
    raw_do("SET flow.tenant = 'acme'");
    assert_int_equal(raw_int(ON_ITEMS("SELECT COUNT(*) FROM \"%s\"")), 2);
}

static void a_cleared_store_keeps_its_tables_and_no_row(void **state)
{
    const RowSet *rows;
    char table[64], sql[512];
    uint16_t insert = add_insert(shop, TABLE_ITEMS, PARAMS(C_ID));
    assert_int_equal(ask_as("acme", "ann", insert, CELLS(ct("a")), &rows, NULL), ERR_OK);
    new_run("r1");
    must_go(journal_batch("r1", 0, 1));
    assert_int_equal(store_clear(contract_store, NULL), ERR_OK);
    assert_int_equal(raw_int("SELECT COUNT(*) FROM %s.flow_runs"), 0);
    assert_int_equal(raw_int("SELECT COUNT(*) FROM %s.flow_journal"), 0);
    assert_null(raw_state("SELECT name FROM %s.flow_tables WHERE table_name = 'items'", table));
    raw_do("SET search_path = %s");
    raw_do("SET flow.tenant = 'acme'");
    assert_int_equal(raw_int(ON_ITEMS("SELECT COUNT(*) FROM \"%s\"")), 0);
    assert_int_equal(ask_as("acme", "ann", insert, CELLS(ct("a")), &rows, NULL), ERR_OK);
    assert_int_equal(raw_int(ON_ITEMS("SELECT COUNT(*) FROM \"%s\"")), 1);
}

static void one_transaction_may_serve_several_tenants(void **state)
{
    enum { TENANTS = 3, ROUNDS = 4 };
    static const char *const WHO[TENANTS] = { "acme", "other", "third" };
    Seen seen = { 0 };
    uint16_t insert = add_insert(shop, TABLE_ITEMS, PARAMS(C_ID)), all = select_ids((QueryExpr){ 0 }, NULL, 0);
    for (int i = 0; i < TENANTS * ROUNDS; i++) {            /* one of them fails, so the group is done again batch by batch */
        Cell id = ct(i / TENANTS == 0 ? "a" : i / TENANTS == 1 ? "b" : i / TENANTS == 2 ? "c" : i % TENANTS == 1 ? "a" : "d");
        StoreBatch *batch = store_batch(contract_store, str_of(WHO[i % TENANTS]), STR(""), 0);
        store_query(batch, shop, insert, STR("ann"), &id, 1);
        store_submit(batch, see, &seen);
    }
    store_wait(contract_store);
    assert_string_equal(seen.order, "kkkkkkkkkkck");
    const RowSet *rows;
    for (int i = 0; i < TENANTS; i++) {
        assert_int_equal(ask_as(WHO[i], "ann", all, NULL, 0, &rows, NULL), ERR_OK);
        assert_int_equal(rows->rows, i == 1 ? 3 : 4);
    }
}

/* ---- schema ---- */

static void a_schema_of_a_newer_program_is_refused(void **state)
{
    Store *store = NULL;
    Error error;
    raw_do("UPDATE %s.flow_schema SET version = 1000");
    assert_int_equal(store_open(contract_url, NULL, &store, &error), ERR_UNSUPPORTED);
    assert_non_null(strstr(error.text, "version 1000"));
}

static void an_old_schema_is_brought_up_and_keeps_its_rows(void **state)
{
    Buf sql = { 0 };
    store_close(contract_store);
    contract_store = NULL;
    raw_do("DROP SCHEMA %s CASCADE");
    raw_do("CREATE SCHEMA %s");
    raw_do("SET search_path = %s");
    pg_put_migrations(&sql, 0, 1);
    PGresult *result = PQexec(raw, buf_cstr(&sql));
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
    buf_free(&sql);
    raw_do("INSERT INTO flow_meta VALUES ('snapshot_key', decode(repeat('ab', 32), 'hex'))");
    raw_do("INSERT INTO flow_modules VALUES ('00', 'x')");
    raw_do("INSERT INTO flow_journal VALUES ('acme', 'old', 1, 300, 1, 2, 3, 4, 5, 65535, 7, 'n\u00e4me', '[1]', '\\x0001ff', '{\"long\": \"' || repeat('y', 200) || '\"}', 1000, 990),"
           " ('acme', 'old', 2, 9223372036854775807, 0, 0, 0, 0, 0, 0, 0, '', '', '', '', -5, 5)");
    Store *store = NULL;
    Error error;
    assert_int_equal(store_open(contract_url, &(StoreOptions){ .read_only = true }, &store, &error), ERR_UNSUPPORTED);       /* not by who only reads */
    assert_non_null(strstr(error.text, "version 1"));
    StoreSchema schema = { 0 };
    assert_int_equal(store_open(contract_url, NULL, &store, &error), ERR_UNSUPPORTED);          /* others may be using it: only on purpose */
    assert_non_null(strstr(error.text, "flowd migrate"));
    assert_int_equal(store_open(contract_url, &(StoreOptions){ .migrate = true, .schema = &schema }, &contract_store, &error), ERR_OK);
    assert_true(schema.found == 1 && schema.known == raw_int("SELECT version FROM flow_schema"));
    assert_true(raw_int("SELECT version FROM flow_schema") > 1);
    assert_int_equal(raw_int("SELECT COUNT(*) FROM flow_modules"), 1);
    assert_int_equal(raw_int("SELECT COUNT(*) FROM flow_hot"), 0);
    StoreBatch *batch = batch_of("old", 0);
    int index = store_get_journal(batch, STR("old"), 0, 10);
    uint32_t count;
    must(batch);
    const JournalRow *rows = store_journal(batch, index, &count);
    assert_int_equal(count, 2);
    assert_true(rows[0].request == 300 && rows[0].fiber == 1 && rows[0].entry == 4 && rows[0].target == 65535 && rows[0].agent == 7 && rows[0].started_us == 1000 && rows[0].ended_us == 990);
    assert_true(str_is(rows[0].name, "n\u00e4me") && str_eq(rows[0].payload, (Str){ "\0\1\377", 3 }) && rows[0].detail_json.len == 212);
    assert_true(rows[1].request == INT64_MAX && rows[1].started_us == -5 && rows[1].ended_us == 5);
    store_batch_free(batch);
    uint32_t id;
    uint8_t key[32];
    store_snapshot_key(contract_store, &id, key);
    assert_int_equal(key[0], 0xab);
    new_run("r1");
}

/* 14 is the last version whose runs are wide: what they say is the same behind it, and what they are looked for by. */
static void runs_of_a_wide_schema_say_the_same(void **state)
{
    enum { WIDE = 14 };
    Buf sql = { 0 };
    store_close(contract_store);
    contract_store = NULL;
    raw_do("DROP SCHEMA %s CASCADE");
    raw_do("CREATE SCHEMA %s");
    raw_do("SET search_path = %s");
    pg_put_migrations(&sql, 0, WIDE);
    PGresult *result = PQexec(raw, buf_cstr(&sql));
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
    buf_free(&sql);
    raw_do("INSERT INTO flow_meta VALUES ('snapshot_key', decode(repeat('ab', 32), 'hex'))");
    raw_do("INSERT INTO flow_modules VALUES (repeat('0a', 32), 'x')");
    raw_do("INSERT INTO flow_runs (tenant, run_id, module_hash, func_name, func, status, user_id, user_name, correlation, causation, hops, input, input_json, result_json, waits_json, concurrency_key,"
           " limit_key, limit_count, priority, epoch, worker, lease_until_us, last_seq, snapshot_seq, created_us, updated_us, started_us, ended_us, durability, cancel_requested, scopes)"
           " VALUES ('acme', 'old', repeat('0a', 32), 'book', 65535, 1, 'u', 'U', 'old', '', 0, '\\x01', '{}', '', '[]', '', '', 0, -3, 7, 'w', 900, 0, 0, 100, 101, 102, 0, 0, 0, ''),"
           " ('acme', 'child', 'odd', 'book', 1, 4, 'u', 'U', 'old', 'old', 2, '', '{}', 'no', '[]', 'k', 'l', 4000000000, 9, 1, '', 0, 0, 0, 200, 201, 202, 203, 3, 1, 's')");
    Error error;
    raw_do("UPDATE flow_runs SET lease_until_us = extract(epoch FROM now()) * 1000000 + 3600000000 WHERE run_id = 'old'");
    assert_int_not_equal(store_open(contract_url, &(StoreOptions){ .migrate = true }, &contract_store, &error), ERR_OK);         /* a worker of before version 17 is at work */
    assert_non_null(strstr(error.text, "hold 1 run(s)"));
    assert_int_equal(raw_int("SELECT version FROM flow_schema"), WIDE);
    raw_do("UPDATE flow_runs SET lease_until_us = 900 WHERE run_id = 'old'");
    if (store_open(contract_url, &(StoreOptions){ .migrate = true }, &contract_store, &error)) fail_msg("%s", error.text);
    StoreBatch *batch = batch_of("", 0);
    int index = store_list_runs(batch, &(RunFilter){ .status = -1, .correlation = STR("old") });
    uint32_t count;
    must(batch);
    const RunRow *rows = store_runs(batch, index, &count);
    assert_int_equal(count, 2);
    const RunRow *child = &rows[0], *old = &rows[1];
    assert_true(str_is(old->module_hash, "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a") && str_is(child->module_hash, "odd"));
    assert_true(old->func == 65535 && old->status == RUN_RUNNING && old->priority == -3 && old->epoch == 7 && str_is(old->worker, "w") && old->lease_until_us == 900);
    assert_true(str_is(old->correlation, "old") && old->ended_us == 0 && !old->cancel_requested && old->started_us == 102);
    assert_true(child->limit_count == 4000000000u && child->hops == 2 && child->ended_us == 203 && child->durability == 3 && child->cancel_requested && str_is(child->scopes, "s"));
    store_batch_free(batch);
    raw_do("UPDATE flow_runs SET epoch = 8 WHERE run_id = 'old'");       /* a takeover is counted as before */
    assert_int_equal(raw_int("SELECT COALESCE(pg_sequence_last_value('flow_takeovers'), 0)"), 1);
    new_run("r1");
    assert_int_equal(raw_int("SELECT octet_length(module_hash) FROM flow_runs WHERE run_id = 'old'"), 32);
    raw_do("DELETE FROM flow_runs WHERE run_id <> 'old'");
    FsckReport report = { 0 };
    Buf text = { 0 };
    assert_int_equal(store_fsck(contract_store, &report, &text, &error), ERR_OK);
    assert_int_equal(report.problems, 0);
    buf_free(&text);
}

static void long_names_stay_distinct(void **state)
{
    static char name[2][130], text[2][120];
    Image *image = image_new();
    uint16_t agent = IMAGE_ADD(image, agent);
    memset(text, 'a', sizeof text);
    image->agents[agent].name = (Str){ text[0], 60 };
    for (int i = 0; i < 2; i++) {
        memset(name[i], 'n', sizeof name[i]);
        name[i][119] = (char)('1' + i);
        uint16_t table = IMAGE_ADD(image, table);
        ImageColumn *columns = ARENA_ARRAY(image->arena, ImageColumn, 2);
        for (int k = 0; k < 2; k++) columns[k] = (ImageColumn){ .name = { name[k], 120 }, .type = TYPE_INDEX_STRING, .default_const = NO_INDEX };
        image->tables[table] = (ImageTable){ .name = { name[i], 120 }, .id_column = 0, .columns = columns, .column_count = 2 };
    }
    StoreBatch *batch = batch_of("", 0);
    store_ensure_tables(batch, image);
    must_go(batch);
    assert_int_equal(raw_int("SELECT COUNT(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '%s' AND c.relkind = 'r' AND c.relname LIKE 't\\_%'"), 2);
    uint64_t commits = store_commits(contract_store);
    batch = batch_of("", 0);
    store_ensure_tables(batch, image);
    must_go(batch);
    assert_int_equal(store_commits(contract_store), commits);
    image_free(image);
}

/* ---- values and addresses ---- */

static void text_with_a_nul_byte_is_refused(void **state)
{
    new_run("r1");
    StoreBatch *batch = batch_of("r1", 0);
    store_put_mail(batch, &(MailRow){ .tenant = STR("acme"), .run_id = STR("r1"), .mail_id = STR("m"), .name = { "a\0b", 3 } });
    fails_with(batch, ERR_INVALID, "NUL byte");
    batch = batch_of("r1", 0);
    store_put_mail(batch, &(MailRow){ .tenant = STR("acme"), .run_id = STR("r1"), .mail_id = STR("m"), .name = { "\xff\xfe", 2 } });
    fails_with(batch, ERR_INVALID, "encoding");
    must_go(journal_batch("r1", 0, 1));
}

static void letters_change_their_case_as_in_the_machine(void **state)
{
    static const char *const PAIRS[][2] = { { "ÄÖÜẞ", "äöüß" }, { "İI", "ii" }, { "ΣΑΣ", "σασ" }, { "ԱՊ", "ապ" }, { "𐐀", "𐐨" } };
    for (size_t i = 0; i < sizeof PAIRS / sizeof *PAIRS; i++) {
        char sql[200], cell[64];
        snprintf(sql, sizeof sql, "SELECT %%s.flow_lower('%s')", PAIRS[i][0]);
        assert_null(raw_state(sql, cell));
        assert_string_equal(cell, PAIRS[i][1]);
    }
    char cell[64];
    assert_null(raw_state("SELECT %s.flow_upper('straße ǆ')", cell));
    assert_string_equal(cell, "STRAẞE Ǆ");                  /* letter by letter: no letter becomes two */
}

static void averages_of_decimals_are_rounded_as_in_the_machine(void **state)
{
    static const char *const CASES[][2] = {
        { "1, 3", "0.3333333333333333333333333333" }, { "2, 3", "0.6666666666666666666666666667" }, { "-2, 3", "-0.6666666666666666666666666667" }, { "1, 4", "0.25" },
        { "0.0000000000000000000000000001, 2", "0" }, { "0.0000000000000000000000000003, 2", "0.0000000000000000000000000002" }, { "-0.0000000000000000000000000003, 2", "-0.0000000000000000000000000002" },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char sql[200], cell[64];
        snprintf(sql, sizeof sql, "SELECT trim_scale(%%s.flow_decimal_div(%s))", CASES[i][0]);
        assert_null(raw_state(sql, cell));
        assert_string_equal(cell, CASES[i][1]);
    }
}

static void an_address_that_is_none_is_refused_and_no_secret_is_shown(void **state)
{
    static const struct { const char *url; Err err; const char *part; } BAD[] = {
        { "postgresql://ann:hunter2@/x?host=/no/such/folder", ERR_IO, "cannot be reached" }, { "postgresql://ann:hunter2@[::1/x", ERR_INVALID, "store's URL" },
        { "postgresql://ann:hunter2@/x?nonsense=1", ERR_INVALID, "store's URL" },
        { "postgresql://ann:hunter2@/x?schema=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ERR_INVALID, "PG_SCHEMA_MAX" },
        { "postgresql://ann:hunter2@/x?wait_ms=soon", ERR_INVALID, "wait_ms" }, { "postgresql://ann:hunter2@/x?wait_ms=9999999", ERR_INVALID, "PG_WAIT_MAX_MS" },
        { "mongo://ann:hunter2@/x", ERR_UNSUPPORTED, "mongo" },
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        Store *store = NULL;
        Error error = { 0 };
        assert_int_equal(store_open(BAD[i].url, NULL, &store, &error), BAD[i].err);
        if (!strstr(error.text, BAD[i].part) || strstr(error.text, "hunter2")) fail_msg("`%s`", error.text);
    }
}

static void a_schema_may_have_any_name(void **state)
{
    char url[512];
    Store *store = NULL;
    Error error = { 0 };
    snprintf(url, sizeof url, "%s%cschema=%%22a%%20%%26%%3B%%27_%d", server(), strchr(server(), '?') ? '&' : '?', (int)getpid());
    if (store_open(url, NULL, &store, &error)) fail_msg("%s", error.text);
    store_close(store);
    char sql[120];
    snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM pg_namespace WHERE nspname = '\"a &;''_%d'", (int)getpid());
    assert_int_equal(raw_int(sql), 1);
    assert_int_equal(store_drop(url, NULL), ERR_OK);
    assert_int_equal(raw_int(sql), 0);
}

/* ---- order, locks, races ---- */

static void a_read_sees_what_was_submitted_before_it(void **state)
{
    new_run("r1");
    for (uint64_t seq = 1; seq <= 20; seq++) {
        store_submit(journal_batch("r1", 0, seq), NULL, NULL);
        if (seq % 4 == 0) assert_int_equal(journal_count(contract_store, "acme", "r1"), seq);
    }
}

/* Takes its row in a transaction of somebody else, as a takeover does, and lets it go when told. */
static void a_batch_waits_for_a_takeover_and_is_fenced_by_it(void **state)
{
    Seen seen = { 0 };
    new_run("r1"), new_run("r2");
    assert_int_equal(claim(0, 1), 1);
    raw_do("BEGIN; UPDATE %s.flow_runs SET epoch = epoch + 1 WHERE run_id = 'r1'");
    store_submit(journal_batch("r1", 1, 1), see, &seen);
    store_submit(journal_batch("r2", 0, 1), see, &seen);
    store_flush(contract_store);
    assert_int_equal(seen.count, 0);                        /* it cannot know yet */
    raw_do("COMMIT");
    store_wait(contract_store);
    assert_string_equal(seen.order, "fk");
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 0);
    assert_int_equal(journal_count(contract_store, "acme", "r2"), 1);
}

static void two_stores_take_over_from_each_other(void **state)
{
    Store *other = open_again(), *first = contract_store;
    new_run("r1");
    assert_int_equal(claim(0, 1), 1);
    must_go(journal_batch("r1", 1, 1));
    contract_store = other;
    assert_int_equal(claim_as(other, "", "w2", 2000, 1, "", NULL), 1);
    must_go(journal_batch("r1", 2, 2));
    contract_store = first;
    fails_with(journal_batch("r1", 1, 2), ERR_FENCED, "epoch 2");
    assert_int_equal(journal_count(first, "acme", "r1"), 2);
    store_close(other);
}

static void a_transaction_holds_its_run_and_nobody_elses(void **state)
{
    Seen seen = { 0 };
    new_run("r1"), new_run("r2");
    assert_int_equal(claim(0, 1), 1);
    StoreTxn *txn = begin("r1", 1);
    assert_string_equal(raw_state("SELECT 1 FROM %s.flow_runs WHERE run_id = 'r1' FOR NO KEY UPDATE NOWAIT", NULL), "55P03");      /* a takeover */
    StoreBatch *renew = batch_of("r1", 1);
    store_renew(renew, 99999);
    renew->epoch = 0;                                       /* as the engine's own, for many runs at once */
    must_go(renew);
    must_go(mail_batch("r1", "m1", MAIL_SIGNAL));
    must_go(journal_batch("r2", 0, 1));
    StoreBatch *last = journal_batch("r1", 1, 1);
    store_update_run(last, &(RunRow){ .status = RUN_RUNNING, .last_seq = 1, .lease_until_us = 5 });
    store_txn_commit(txn, last, see, &seen);
    store_wait(contract_store);
    assert_string_equal(seen.order, "k");
    assert_int_equal(get_run("r1").lease_until_us, 5);
    assert_null(raw_state("SELECT 1 FROM %s.flow_runs WHERE run_id = 'r1' FOR NO KEY UPDATE NOWAIT", NULL));
}

static void a_run_inside_a_transaction_is_not_taken_over_before_it_ends(void **state)
{
    Seen seen = { 0 };
    new_run("r1"), new_run("r2");
    assert_int_equal(claim(0, 2), 2);                       /* leases until 1000 */
    StoreTxn *txn = begin("r1", 1);
    Store *other = open_again();
    RunRow row = { 0 };
    assert_int_equal(claim_as(other, "", "w2", 5000, 8, "", &row), 1);          /* and nobody waits for the other one */
    store_txn_commit(txn, journal_batch("r1", 1, 1), see, &seen);
    store_wait(contract_store);
    assert_string_equal(seen.order, "k");
    assert_int_equal(claim_as(other, "", "w2", 5000, 8, "", &row), 1);
    fails_with(journal_batch("r1", 1, 2), ERR_FENCED, "epoch 2");
    TxnSeen late = { 0 };
    store_txn_begin(contract_store, STR("acme"), STR("r1"), 1, txn_ready, &late);
    store_wait(contract_store);
    assert_true(late.count == 1 && late.err == ERR_FENCED && !late.txn);
    store_close(other);
}

static StoreBatch *set_quantity(uint16_t update, int64_t to)
{
    Cell value = ci(to);
    StoreBatch *batch = batch_of("", 0);
    store_query(batch, shop, update, STR("ann"), &value, 1);
    return batch;
}

static void of_two_transactions_that_change_one_row_one_is_told_to_try_again(void **state)
{
    Seen first = { 0 }, second = { 0 };
    new_run("r1"), new_run("r2");
    ask(add_insert(shop, TABLE_ITEMS, PARAMS(C_ID)), CELLS(ct("a")));
    uint16_t update = add_query(shop, QUERY_UPDATE, TABLE_ITEMS, PARAMS(TYPE_INDEX_INT));
    set_one(shop, update, C_QTY, EXPRESSION(shop, XC(C_QTY), XP(0), X(ADD)));
    uint16_t all = select_ids((QueryExpr){ 0 }, NULL, 0);
    StoreTxn *a = begin("r1", 0), *b = begin("r2", 0);
    for (int i = 0; i < 2; i++) {                           /* both have their picture of the world */
        StoreBatch *look = batch_of("", 0);
        store_query(look, shop, all, STR("ann"), NULL, 0);
        store_txn_run(i ? b : a, look, NULL, NULL);
    }
    store_wait(contract_store);
    store_txn_run(a, set_quantity(update, 5), see, &first);
    store_txn_commit(a, NULL, see, &first);
    store_wait(contract_store);
    assert_string_equal(first.order, "kk");
    store_txn_run(b, set_quantity(update, 7), see, &second);
    store_wait(contract_store);
    assert_true(second.count == 1 && second.last == ERR_BUSY);
    store_txn_rollback(b);
    b = begin("r2", 0);
    store_txn_run(b, set_quantity(update, 7), see, &second);
    store_txn_commit(b, NULL, see, &second);
    store_wait(contract_store);
    assert_true(second.count == 3 && second.last == ERR_OK);
    assert_int_equal(ask(all, NULL, 0)->rows, 1);
    raw_do("SET flow.tenant = 'acme'");
    char table[64], sql[200];
    assert_null(raw_state("SELECT name FROM %s.flow_tables WHERE table_name = 'items'", table));
    snprintf(sql, sizeof sql, "SELECT c_qty FROM %%s.\"%s\"", table);
    assert_int_equal(raw_int(sql), 13);                     /* 1 by default, both added once */
}

/* Somebody else holds a row for long: who wants it is told, and its neighbours stand. */
static void a_group_does_not_wait_for_ever_for_one_row(void **state)
{
    Seen busy = { 0 }, others = { 0 };
    new_run("r1"), new_run("r2");
    ask(add_insert(shop, TABLE_ITEMS, PARAMS(C_ID)), CELLS(ct("a")));
    uint16_t update = add_query(shop, QUERY_UPDATE, TABLE_ITEMS, PARAMS(TYPE_INDEX_INT));
    set_one(shop, update, C_QTY, EXPRESSION(shop, XP(0)));
    StoreTxn *txn = begin("r1", 0);
    store_txn_run(txn, set_quantity(update, 5), NULL, NULL);
    store_wait(contract_store);
    Cell value = ci(7);
    StoreBatch *batch = batch_of("r2", 0);
    store_query(batch, shop, update, STR("ann"), &value, 1);
    store_append_journal(batch, &(JournalRow){ .seq = 1, .name = STR("update") });
    store_submit(batch, see, &busy);
    store_submit(journal_batch("r2", 0, 2), see, &others);  /* of the same run: not before it */
    store_submit(journal_batch("r1", 0, 1), see, &others);
    store_wait(contract_store);
    assert_true(busy.count == 1 && busy.last == ERR_BUSY);
    assert_string_equal(others.order, "kk");
    store_txn_commit(txn, NULL, NULL, NULL);
    store_wait(contract_store);
    must_go(set_quantity(update, 7));
}

static void more_transactions_than_connections_wait_for_each_other(void **state)
{
    enum { COUNT = PG_TXN_LANES + 3 };
    TxnSeen seen[COUNT] = { 0 };
    char name[16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "r%d", i);
        new_run(name);
        store_txn_begin(contract_store, STR("acme"), str_of(name), 0, txn_ready, &seen[i]);
    }
    store_wait(contract_store);
    for (int i = 0; i < COUNT; i++) assert_int_equal(seen[i].count, i < PG_TXN_LANES);
    new_run("more");                                        /* others do not care */
    for (int i = 0; i < COUNT; i++) {
        if (i >= PG_TXN_LANES) assert_true(seen[i].count == 1 && seen[i].txn);
        store_txn_rollback(seen[i].txn);
        store_wait(contract_store);
    }
}

/* ---- a server that goes away ---- */

enum { PATIENCE_MS = 20000 };

/* Of this process: others may test on the same server. */
static void end_the_stores_connections(void)
{
    char sql[2][256];
    snprintf(sql[0], sizeof sql[0], "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'flow_test_%d'", (int)getpid());
    snprintf(sql[1], sizeof sql[1], "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'flow_test_%d'", (int)getpid());
    raw_do(sql[0]);
    for (int64_t until = pg_now_ms() + PATIENCE_MS; raw_int(sql[1]);)
        if (pg_now_ms() > until) fail_msg("the connections do not end");
}

static void after_its_connections_were_cut_the_store_goes_on(void **state)
{
    new_run("r1");
    must_go(journal_batch("r1", 0, 1));
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 1);
    for (uint64_t round = 2; round < 4; round++) {
        end_the_stores_connections();
        must_go(journal_batch("r1", 0, round));
        assert_int_equal(journal_count(contract_store, "acme", "r1"), round);
        assert_true(store_is_up(contract_store));
    }
}

static void a_transaction_that_was_cut_says_so_and_nothing_of_it_stands(void **state)
{
    Seen seen = { 0 };
    new_run("r1");
    StoreTxn *txn = begin("r1", 0);
    store_txn_run(txn, journal_batch("r1", 0, 1), see, &seen);
    store_wait(contract_store);
    assert_string_equal(seen.order, "k");
    end_the_stores_connections();
    store_txn_commit(txn, NULL, see, &seen);
    store_wait(contract_store);
    assert_true(seen.count == 2 && seen.last == ERR_IO);
    assert_int_equal(journal_count(contract_store, "acme", "r1"), 0);
    txn = begin("r1", 0);
    store_txn_rollback(txn);
}

/* A server that can be hidden: the store finds its socket through a link in a folder of ours. */
static char hideout[] = "/tmp/flow_pg_XXXXXX", socket_path[300], socket_link[320];

static bool find_socket(char *url, size_t size, int wait_ms)
{
    const char *host = strstr(server(), "host=/");
    char folder[200], cell[64];
    if (!host || !mkdtemp(hideout)) return false;
    snprintf(folder, sizeof folder, "%.*s", (int)strcspn(host + 5, "&"), host + 5);
    assert_null(raw_state("SHOW port", cell));
    snprintf(socket_path, sizeof socket_path, "%s/.s.PGSQL.%s", folder, cell);
    snprintf(socket_link, sizeof socket_link, "%s/.s.PGSQL.%s", hideout, cell);
    const char *rest = strchr(host, '&');
    snprintf(url, size, "%.*shost=%s%s&%s&wait_ms=%d", (int)(host - server()), server(), hideout, rest ? rest : "", strstr(contract_url, "application_name="), wait_ms);
    return symlink(socket_path, socket_link) == 0;
}

static void work_waits_for_a_server_that_comes_back_and_not_for_ever(void **state)
{
    char url[768];
    Seen seen = { 0 };
    Store *store = NULL, *first = contract_store;
    Error error = { 0 };
    if (!find_socket(url, sizeof url, 300)) {
        puts("skipped: FLOW_TEST_POSTGRES names no unix socket (host=/…)");
        return;
    }
    new_run("r1");
    if (store_open(url, NULL, &store, &error)) fail_msg("%s", error.text);
    contract_store = store;
    must_go(journal_batch("r1", 0, 1));
    unlink(socket_link);
    end_the_stores_connections();
    fails_with(journal_batch("r1", 0, 2), ERR_IO, "cannot be reached");
    assert_false(store_is_up(store));
    fails_with(journal_batch("r1", 0, 2), ERR_IO, "cannot be reached");        /* the wait is over: at once */
    assert_int_equal(symlink(socket_path, socket_link), 0);
    must_go(journal_batch("r1", 0, 2));
    assert_true(store_is_up(store));
    store_close(store);
    strcpy(strstr(url, "wait_ms="), "wait_ms=60000");
    contract_store = NULL;
    if (store_open(url, NULL, &contract_store, &error)) fail_msg("%s", error.text);
    unlink(socket_link);
    end_the_stores_connections();
    store_submit(journal_batch("r1", 0, 3), see, &seen);
    store_flush(contract_store);
    assert_true(seen.count == 0 && !store_is_up(contract_store));
    assert_int_equal(symlink(socket_path, socket_link), 0);
    store_wait(contract_store);
    assert_string_equal(seen.order, "k");
    assert_true(store_is_up(contract_store));
    store_close(contract_store);
    contract_store = first;
    assert_int_equal(journal_count(first, "acme", "r1"), 3);
    unlink(socket_link);
    rmdir(hideout);
}

/* ---- waking ---- */

static void another_process_that_leaves_work_wakes_the_loop(void **state)
{
    Alarm alarm = { .loop = event_base_new() };
    Store *listener = NULL;
    assert_int_equal(store_open(contract_url, &(StoreOptions){ .loop = alarm.loop }, &listener, NULL), ERR_OK);
    store_on_wake(listener, on_wake, &alarm);
    wait_for_wake(&alarm);                                  /* it listens: what came before nobody heard */
    new_run("r1");
    wait_for_wake(&alarm);
    assert_int_equal(claim(0, 1), 1);
    set_status("r1", 1, RUN_PARKED);                        /* no work for anybody … */
    must_go(mail_batch("r1", "m1", MAIL_SIGNAL));           /* … until now */
    wait_for_wake(&alarm);
    end_the_stores_connections();                           /* what is announced meanwhile is not lost: it looks again after it connected */
    wait_for_wake(&alarm);
    store_close(listener);
    event_base_free(alarm.loop);
}

/* ---- waits and the dispatcher ---- */

static int waits_of(Store *store)
{
    uint32_t count;
    StoreBatch *batch = store_batch(store, (Str){ 0 }, (Str){ 0 }, 0);
    store_pass_waits(batch, STR("acme"), STR("Booked"));
    must_go(batch);
    batch = store_batch(store, (Str){ 0 }, (Str){ 0 }, 0);
    int index = store_get_waits(batch, STR("acme"), STR("Booked"));
    must(batch);
    store_waits(batch, index, &count);
    store_batch_free(batch);
    return (int)count;
}

/* Another process dispatches an event while a wait for it is written and not durable: it must not read the waits before that is over. */
static void the_dispatcher_lets_waits_that_are_being_written_pass(void **state)
{
    Seen seen = { 0 };
    new_run("r1");
    StoreTxn *txn = begin("r1", 0);
    StoreBatch *batch = batch_of("r1", 0);
    store_put_wait(batch, &(WaitRow){ .event = STR("Booked"), .request = 1 });
    store_txn_run(txn, batch, see, &seen);
    store_wait(contract_store);
    assert_string_equal(seen.order, "k");
    fflush(NULL);
    pid_t other = fork();
    if (other == 0) {
        Store *store = NULL;
        if (store_open(contract_url, NULL, &store, NULL)) _exit(100);
        _exit(waits_of(store));
    }
    int status = 0, asks = 0;
    while (asks == 0 && waitpid(other, &status, WNOHANG) == 0)
        asks = raw_int("SELECT COUNT(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND NOT l.granted AND a.query LIKE 'SELECT pg_advisory_lock(%'");
    assert_int_equal(asks, 1);                              /* it stands and waits */
    store_txn_commit(txn, NULL, see, &seen);
    store_wait(contract_store);
    assert_int_equal(waitpid(other, &status, 0), other);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_int_equal(waits_of(contract_store), 1);
}

int main(void)
{
    if (!server()) {
        puts("test_store_pg: skipped, FLOW_TEST_POSTGRES names no server (scripts/test.sh starts one)");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        STORE_CONTRACT_TESTS
        RAW_SHOP_TEST(the_rows_of_programs_are_walled_off_for_the_stores_own_role), RAW_SHOP_TEST(one_transaction_may_serve_several_tenants),
        RAW_SHOP_TEST(a_cleared_store_keeps_its_tables_and_no_row),
        RAW_TEST(a_schema_of_a_newer_program_is_refused), RAW_TEST(an_old_schema_is_brought_up_and_keeps_its_rows), RAW_TEST(long_names_stay_distinct),
        RAW_TEST(runs_of_a_wide_schema_say_the_same),
        CONTRACT_TEST(text_with_a_nul_byte_is_refused), RAW_TEST(letters_change_their_case_as_in_the_machine), RAW_TEST(averages_of_decimals_are_rounded_as_in_the_machine),
        CONTRACT_TEST(an_address_that_is_none_is_refused_and_no_secret_is_shown), RAW_TEST(a_schema_may_have_any_name), CONTRACT_TEST(a_read_sees_what_was_submitted_before_it),
        RAW_TEST(a_batch_waits_for_a_takeover_and_is_fenced_by_it), CONTRACT_TEST(two_stores_take_over_from_each_other), RAW_TEST(a_transaction_holds_its_run_and_nobody_elses),
        CONTRACT_TEST(a_run_inside_a_transaction_is_not_taken_over_before_it_ends), RAW_SHOP_TEST(of_two_transactions_that_change_one_row_one_is_told_to_try_again), SHOP_TEST(a_group_does_not_wait_for_ever_for_one_row), CONTRACT_TEST(more_transactions_than_connections_wait_for_each_other),
        RAW_TEST(after_its_connections_were_cut_the_store_goes_on), RAW_TEST(work_waits_for_a_server_that_comes_back_and_not_for_ever), RAW_TEST(a_transaction_that_was_cut_says_so_and_nothing_of_it_stands),
        RAW_TEST(another_process_that_leaves_work_wakes_the_loop), RAW_TEST(the_dispatcher_lets_waits_that_are_being_written_pass),
        GROUP_TESTS,
        PG_LOG_TESTS,
        ROWS_TESTS,
        ASK_TESTS,
    };
    if (getenv("FLOW_TEST_ONLY")) cmocka_set_test_filter(getenv("FLOW_TEST_ONLY"));      /* a pattern: *_log* */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
